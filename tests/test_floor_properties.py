"""What holds for a floor whatever fails in whatever order, and what it costs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.alarm import Silence, Verb
from edgeagent.catalog import AlarmType, Catalog, Driver, Kind, Level, Point, PointType, Relation, Severity, Text
from edgeagent.groups import _SHARED
from edgeagent.items import Item
from edgeagent.rules import parse
from edgeagent.sitetree import AREA, MAINS, SEAT, CauseSettings
from tests.hall import BASE, CATALOG, Hall, Plan, hall

GIVEN = (Relation.POWER, Relation.NETWORK, Relation.COOLING, Relation.SERVICE)
HOLD, SETTLE = 10.0, 10.0
CAUSES = CauseSettings(hold=HOLD, settle=SETTLE, quorum=3)


def type_of(id: str, severity: Severity, explains: str = "", explained_by: str = "", delay: float = 0) -> AlarmType:
    return AlarmType(
        id, Text("{name} " + id, "{name} " + id), Text("Look.", "查看。"),
        (Level(severity, parse(id), on_delay=delay),), "equipment", "powerProblem",
        explains=frozenset(map(Relation, explains.split())),
        explained_by=frozenset(map(Relation, explained_by.split())),
    )  # fmt: skip


BOX = Kind(
    "box", Text("Box", "盒"),
    {id: Point(id, PointType.FLAG, Text(id, id)) for id in ("dead", "deaf", "lame", "grave", "reachable", "identity")},
    {
        type.id: type
        for type in (
            type_of("dead", Severity.MAJOR, "power cooling service", "power", 2),
            type_of("deaf", Severity.MINOR, "network", "power network"),
            type_of("lame", Severity.MINOR, "", "power network cooling service", 3),
            type_of("grave", Severity.CRITICAL),
        )
    },
)  # fmt: skip
POINTS = ("dead", "deaf", "lame", "grave")
DRIVER = Driver("box/all", BOX, "host", BOX.text, "test", (), tuple(Item(id, "flag", (id,)) for id in POINTS))
CATALOGUE = Catalog({**CATALOG.kinds, "box": BOX}, {"box/all": DRIVER})

Deed: TypeAlias = tuple[int, list[tuple[int, str, bool | None]]]
"""Seconds to wait, then points of boxes by number: there, not there, cannot be read."""


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a tree: each box hangs on some of those before it, a few stand in seats."""
    plan = Plan(drivers={"box": DRIVER}).add("hall", AREA)
    keys = ("fed", "linked", "cooled", "needs")
    for number in range(draw(st.integers(2, 8))):
        before = [f"b{other}" for other in range(number)]
        some = st.lists(st.sampled_from(before), max_size=2, unique=True) if before else st.just([])
        ties = {key: draw(some) for key in keys}
        seat = None
        if draw(st.booleans()):
            seat = f"s{number}"
            plan.add(seat, SEAT, area="hall", **ties)  # type: ignore[arg-type]
            ties = {}
        plan.add(f"b{number}", "box", area="hall", seat=seat, **ties)
    return plan


deeds: st.SearchStrategy[list[Deed]] = st.lists(
    st.tuples(
        st.integers(0, 25),
        st.lists(st.tuples(st.integers(0, 7), st.sampled_from(POINTS), st.sampled_from([True, True, False, None])),
                 min_size=1, max_size=4, unique_by=lambda each: each[:2]),
    ),
    max_size=12,
)  # fmt: skip


def floor_of(plan: Plan) -> Hall:
    floor = Hall(plan.site(CAUSES, CATALOGUE))
    floor.say(0, {id: dict.fromkeys(POINTS, False) for id in floor.site.devices})
    return floor


def do(floor: Hall, deed: Deed, *, backwards: bool = False) -> None:
    seconds, points = deed
    said: dict[str, dict[str, bool | None]] = {}
    for number, point, value in reversed(points) if backwards else points:
        if f"b{number}" in floor.site.devices:
            said.setdefault(f"b{number}", {})[point] = value
    floor.say(floor.now - BASE + seconds, said)


@given(plans(), deeds)
def test_what_nothing_may_explain_is_never_hidden(plan: Plan, deeds: list[Deed]) -> None:
    floor = floor_of(plan)
    for deed in deeds:
        do(floor, deed)
        for id, alarm in floor.floor.records().items():
            live = floor.floor.alarms.roster.get(id)
            assert live is not None
            assert alarm.suppression.kind is Silence.NONE or live.rule.type.explained_by
    assert all(
        change.alarm.suppression.kind is Silence.NONE
        for change in floor.changes
        if change.alarm.alarm_type_id == "grave"
    )


@given(plans(), deeds)
def test_whatever_is_hidden_has_a_cause_that_is_there_and_no_circle_of_causes(plan: Plan, deeds: list[Deed]) -> None:
    floor = floor_of(plan)
    for deed in deeds:
        do(floor, deed)
        hidden = floor.hidden()
        for id in hidden:
            seen = [id]
            while seen[-1] in hidden:
                seen.append(hidden[seen[-1]])
                assert len(seen) == len(set(seen)), seen
            assert floor.floor.alarms.roster.get(seen[-1]) is not None or floor.floor._causes._awaiting


def lost(floor: Hall, plan: Plan, id: str, relation: Relation, since: float) -> bool:
    """Tell by the plan alone whether a thing surely gets nothing: all that give it have stood dead for the hold."""
    parents = plan.nodes[id].parents.get(relation, ())

    def gives_none(parent: str) -> bool:
        types = ("deaf",) if relation is Relation.NETWORK else ("dead",)
        alarms = (floor.floor.records().get(f"{parent}.{type}") for type in types)
        dead = any(a is not None and not a.is_cleared and (a.raised or 0) <= since for a in alarms)
        return dead or lost(floor, plan, parent, relation, since)

    found = [gives_none(parent) for parent in parents]
    return any(found) if relation in (Relation.COOLING, Relation.SERVICE) else bool(found) and all(found)


@given(plans(), deeds)
def test_no_child_is_announced_while_its_cause_has_stood_longer_than_the_hold(plan: Plan, deeds: list[Deed]) -> None:
    floor = floor_of(plan)
    for deed in deeds:
        seen = len(floor.changes)
        do(floor, (0, deed[1]))
        end = floor.now + deed[0] + 1
        while floor.now < end:
            for change in floor.changes[seen:]:
                alarm = change.alarm
                by = (
                    {relation for relation in GIVEN if relation in BOX.alarms[alarm.alarm_type_id].explained_by}
                    if (alarm.alarm_type_id in BOX.alarms)
                    else set()
                )
                if change.verb is Verb.RAISED and alarm.suppression.kind is Silence.NONE:
                    assert not any(lost(floor, plan, alarm.resource, r, change.at - HOLD) for r in by), change
            seen = len(floor.changes)
            floor.until(floor.now - BASE + 1)


@given(plans(), deeds)
def test_when_all_is_well_and_was_read_nothing_stays_hidden(plan: Plan, deeds: list[Deed]) -> None:
    floor = floor_of(plan)
    for deed in deeds:
        do(floor, deed)
    floor.say(floor.now - BASE + 1, {id: dict.fromkeys(POINTS, False) for id in floor.site.devices})
    floor.until(floor.now - BASE + 3 * SETTLE * len(plan.nodes))
    assert not floor.hidden()
    assert not floor.floor._causes._awaiting
    assert not floor.floor._causes._blaming
    assert all(alarm.is_cleared for alarm in floor.floor.records().values() if alarm.resource != "agent")


@given(plans(), deeds)
def test_the_order_in_which_a_step_names_things_does_not_matter(plan: Plan, deeds: list[Deed]) -> None:
    floors = [floor_of(plan), floor_of(plan)]
    for floor, backwards in zip(floors, (False, True), strict=True):
        for deed in deeds:
            do(floor, deed, backwards=backwards)
        floor.until(floor.now - BASE + 30)
    told = [[change for change in floor.changes if change.verb is not Verb.RELATED] for floor in floors]
    assert told[0] == told[1]


@given(plans(), deeds)
def test_a_step_in_which_nothing_changed_and_nothing_is_due_can_be_left_out(plan: Plan, deeds: list[Deed]) -> None:
    swift, slow = floor_of(plan), floor_of(plan)
    swift.swift = True
    for deed in deeds:
        for floor in (swift, slow):
            do(floor, deed)
    for floor in (swift, slow):
        floor.until(floor.now - BASE + 40)
    assert (swift.changes, swift.rows, swift.memory) == (slow.changes, slow.rows, slow.memory)


@given(plans(), deeds)
def test_what_is_counted_as_it_goes_along_is_what_a_look_at_all_faults_finds(plan: Plan, deeds: list[Deed]) -> None:
    swift, slow = floor_of(plan), floor_of(plan)
    slow.floor._groups._may = bool  # type: ignore[method-assign, assignment]
    for deed in deeds:
        for floor in (swift, slow):
            do(floor, deed)
        groups, counted = swift.floor._groups, dict[object, Counter[tuple[str, Relation]]]()
        for key, faulty in groups._faulty.items():
            hangs = [(live.rule.resource, relation) for live in faulty.values() for relation in _SHARED]
            counted[key] = Counter((node, by) for id, by in hangs for node in swift.floor._flow.above(id, by))
        assert groups._below == counted
        causes, flow, nodes = swift.floor._causes, swift.floor._flow, set(swift.site.tree.nodes)
        over = {node: {place for place in causes._open if node in flow.all_above(place)} for node in nodes}
        assert causes._exposed == {node: places for node, places in over.items() if places}
    for floor in (swift, slow):
        floor.until(floor.now - BASE + 30)
    assert swift.changes == slow.changes


@given(plans(), deeds, deeds)
def test_a_restart_hides_what_was_hidden(plan: Plan, before: list[Deed], after: list[Deed]) -> None:
    floors = [floor_of(plan), floor_of(plan)]
    for floor in floors:
        for deed in before:
            do(floor, deed)
    floors[1].restart(floors[1].now - BASE)
    assert floors[1].hidden() == floors[0].hidden()
    assert {id for id in floors[0].floor.records() if floors[0].floor.folded(id)} == {
        id for id in floors[1].floor.records() if floors[1].floor.folded(id)
    }
    for floor in floors:
        for deed in after:
            do(floor, deed)
        floor.until(floor.now - BASE + 120)
    assert floors[1].standing() == floors[0].standing()


# -- what it costs ------------------------------------------------------------------------------------------------

SEATS, DEVICES = 5_000, 1_000


def large() -> Plan:
    """Plan a thousand cabinets behind panels and five thousand seats on a hundred switches."""
    plan = Plan().add("mains", MAINS).add("site", AREA).add("core", "network")
    for number in range(20):
        plan.add(f"panel-{number}", "panel", fed=["mains"]).add(f"room-{number}", AREA, area="site")
    for number in range(DEVICES):
        plan.add(f"ups-{number}", "ups", fed=[f"panel-{number % 20}"])
    for number in range(100):
        plan.add(f"sw-{number}", "network", fed=[f"ups-{number}"], linked=["core"])
    for number in range(SEATS):
        seat, group = f"s{number:04}", number % 100
        plan.add(seat, SEAT, fed=[f"ups-{group}"], linked=[f"sw-{group}"], area=f"room-{number % 20}")
        plan.add(f"pc-{seat}", "workstation", seat=seat)
    return plan


def spent(floor: Hall, second: float, said: Mapping[str, Mapping[str, bool]]) -> float:
    start = time.process_time()
    floor.say(second, said)
    return time.process_time() - start


def test_five_thousand_seats_that_fail_at_once_are_one_fault_told_in_one_pass() -> None:
    floor = Hall(large()).start()
    seats = [id for id in floor.site.devices if id.startswith("pc-")]
    floor.changes.clear()
    first = spent(floor, 1, {id: {"softphone": False} for id in seats})
    start = time.process_time()
    floor.now = BASE + 31
    floor.take(floor.floor.step(floor.view, [], floor.now, []))
    raised = time.process_time() - start
    start = time.process_time()
    for _ in range(100):
        floor.floor.step(floor.view, [], floor.now, [])
    idle = (time.process_time() - start) / 100
    print(
        f"\n5,000 seats: {first:.2f} s to see, {raised:.2f} s to raise and fold, {idle * 1e6:.0f} us a step of nothing"
    )
    assert len(floor.told()) <= 10
    assert "core.group.softphone-down raised" in floor.told()
    assert len(floor.hidden()) == SEATS
    assert sum(not floor.floor.folded(id) for id in floor.hidden()) == 20
    assert first + raised < 30
    small = Hall(hall()).start()
    start = time.process_time()
    for _ in range(100):
        small.floor.step(small.view, [], small.now, [])
    assert idle < 20 * (time.process_time() - start) / 100 + 0.001


def test_three_hundred_seats_that_come_back_close_without_a_word() -> None:
    plan = hall(300)
    floor = Hall(replace(plan.site(), causes=CauseSettings(settle=5))).start()
    seats = [id for id in floor.site.devices if id.startswith("pc-")]
    floor.say(1, {id: {"softphone": False} for id in seats})
    floor.until(60)
    floor.say(60, {id: {"softphone": True} for id in seats})
    floor.until(120)
    assert len(floor.told()) <= 3
    assert not floor.hidden()
