"""What holds for the alarm list whatever happens: delays to the second, restarts, suppressions, silence."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.alarms import Alarm, Alarms, AlarmState, Change, OperatorState, Refused, Rule, Settings, Verb
from edgeagent.catalog import AlarmType, Level, Severity, Text
from edgeagent.readings import Quality, Reading, Value
from edgeagent.rules import parse

NONE = AlarmType(
    id="none", text=Text("{name} {value}", "{name} {value}"), advice=Text("Look.", "查看。"), levels=(),
    event_type="equipment", probable_cause="powerProblem",
)  # fmt: skip
LOAD = replace(
    NONE, id="load", deadband=5, off_delay=4,
    levels=(
        Level(Severity.MINOR, parse("load > limit"), 80, on_delay=3),
        Level(Severity.CRITICAL, parse("load > limit"), 100),
    ),
)  # fmt: skip
BATTERY = replace(NONE, id="battery", levels=(Level(Severity.MAJOR, parse("source = battery")),))
RULES = [
    *(
        Rule(device, Text(device, device), type, group="row")
        for device in ("a", "b")
        for type in (
            LOAD,
            BATTERY,
            replace(BATTERY, id="latched", latch=True, off_delay=2),
            replace(BATTERY, id="event", ack_needed=False),
        )
    ),
    Rule("a", Text("a", "a"), replace(BATTERY, id="vendor", each="alarms")),
]
IDS = [*(rule.id for rule in RULES), "a.vendor.x", "a.vendor.y", "agent.alarm-flood"]
QUICK = Settings(
    chatter_count=3, chatter_window=20, chatter_quiet=30, flood_begin=4, flood_end=3, flood_window=40,
    shelf_max=50, settle=5, linger=25, ack_lapse=15, remind=20,
)  # fmt: skip
JUDGED = {Verb.RAISED, Verb.CLEARED, Verb.SEVERITY_CHANGED, Verb.OSCILLATING, Verb.STEADIED}

VALUES: Mapping[str, st.SearchStrategy[Value | None]] = {
    "load": st.sampled_from([None, 10, 78, 90, 98, 110]),
    "source": st.sampled_from([None, "battery", "normal", "battery", "normal"]),
    "alarms": st.sampled_from([None, frozenset(), frozenset({"x"}), frozenset({"x", "y"})]),
}
Read: TypeAlias = tuple[str, dict[str, Value | None]]
Ask: TypeAlias = tuple[str, str, int]
Deed: TypeAlias = tuple[int, Read | Ask]
"""Seconds to wait, then readings of a device or a command: verb, alarm id, number."""

reads: st.SearchStrategy[Read] = st.tuples(
    st.sampled_from(["a", "b"]),
    st.fixed_dictionaries({}, optional=dict(VALUES)),
)
asks: st.SearchStrategy[Ask] = st.tuples(
    st.sampled_from([
        "ack", "unack", "reset", "shelve", "unshelve", "suppress", "unsuppress", "out_of_service", "in_service",
    ]),
    st.sampled_from(IDS),
    st.integers(1, 30),
)  # fmt: skip
deeds: st.SearchStrategy[list[Deed]] = st.lists(st.tuples(st.integers(0, 12), reads | reads | asks), max_size=40)


class World:
    """A list under readings, commands and timers, with the rows that a database would hold."""

    def __init__(self, start: float = 1000.0) -> None:
        self.alarms = Alarms(RULES, QUICK)
        self.view: dict[str, dict[str, Reading]] = {}
        self.now = start
        self.changes: list[Change] = []
        self.rows: dict[str, str] = {}
        self.look: Callable[[list[Change]], None] = lambda changes: None

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(10_000):
            due = self.alarms.next_due()
            if due is None or due > end:
                break
            self.take(self.alarms.tick(self.view, max(due, self.now)))
        else:
            raise AssertionError("timers never come to rest")
        self.now = end

    def do(self, deed: Deed) -> None:
        seconds, what = deed
        self.wait(seconds)
        if len(what) == 2:
            self.read(*what)
            return
        verb, alarm_id, number = what
        try:
            if verb in ("ack", "unack", "reset"):
                told = getattr(self.alarms, verb)(alarm_id, None, "Lin", "", self.now)
            elif verb == "shelve":
                told = self.alarms.shelve(alarm_id, number, "Lin", "why", self.now)
            elif verb == "out_of_service":
                told = self.alarms.out_of_service(alarm_id, self.now + number, "Lin", "why", self.now)
            else:
                told = getattr(self.alarms, verb)(alarm_id, "Lin", "why", self.now)
        except Refused:
            return
        self.take(told)

    def read(self, device: str, values: Mapping[str, Value | None]) -> None:
        for point, value in values.items():
            reading = Reading.bad("timeout", self.now) if value is None else Reading(value, self.now)
            self.view.setdefault(device, {})[point] = reading
        self.take(self.alarms.step(self.view, [(device, point) for point in values], self.now))

    def take(self, changes: list[Change]) -> None:
        self.changes += changes
        for alarm_id in self.alarms.touched():
            row = self.alarms.store(alarm_id)
            if row is None:
                self.rows.pop(alarm_id, None)
            else:
                self.rows[alarm_id] = json.dumps(row)
        self.look(changes)

    def name_all(self) -> None:
        points = [(device, point) for device, readings in self.view.items() for point in readings]
        self.take(self.alarms.step(self.view, points, self.now))

    def restart(self) -> None:
        self.alarms = Alarms(RULES, QUICK)
        self.alarms.restore({id: json.loads(row) for id, row in self.rows.items()}, self.now, seen=self.now)


# -- delays -------------------------------------------------------------------------------------------------------

truths = st.lists(st.tuples(st.integers(1, 6), st.sampled_from([True, False, None])), max_size=25)


def by_the_second(truths: list[tuple[int, bool | None]], on: int, off: int, until: int) -> list[tuple[int, str]]:
    """Say when an alarm is raised and cleared by counting each second in which its truth was known."""
    at, second = {}, 0
    for gap, truth in truths:
        second += gap
        at[second] = truth
    told: list[tuple[int, str]] = []
    truth, raised, spent = None, False, 0
    for second in range(until + 1):
        if truth is not None and truth is not raised:
            spent += 1
            if spent >= (off if raised else on):
                raised, spent = not raised, 0
                told.append((second, "raised" if raised else "cleared"))
        truth = at.get(second, truth)
        if truth is raised:
            spent = 0
        if truth is not None and truth is not raised and (off if raised else on) == 0:
            raised = not raised
            told.append((second, "raised" if raised else "cleared"))
    return told


def heard(
    truths: list[tuple[int, bool | None]], on: int, off: int, until: int, *, late: bool
) -> list[tuple[float, str]]:
    level = Level(Severity.MAJOR, parse("source = battery"), on_delay=on)
    rule = Rule("a", Text("a", "a"), replace(BATTERY, levels=(level,), off_delay=off))
    world = World(0.0)
    world.alarms = Alarms([rule], replace(QUICK, chatter_count=1000))
    for gap, truth in truths:
        if late:
            world.now += gap
        else:
            world.wait(gap)
        world.read("a", {"source": None if truth is None else "battery" if truth else "normal"})
    world.wait(until - world.now)
    return [(change.at, change.verb.value) for change in world.changes if change.verb in JUDGED]


@given(truths, st.integers(0, 7), st.integers(0, 7))
def test_an_alarm_follows_its_condition_known_for_exactly_its_delays(
    truths: list[tuple[int, bool | None]], on: int, off: int
) -> None:
    assert heard(truths, on, off, 200, late=False) == by_the_second(truths, on, off, 200)


@given(truths, st.integers(0, 7), st.integers(0, 7))
def test_a_late_tick_tells_the_same_times(truths: list[tuple[int, bool | None]], on: int, off: int) -> None:
    assert heard(truths, on, off, 200, late=True) == by_the_second(truths, on, off, 200)


@given(st.integers(1, 20), st.integers(0, 19), st.integers(0, 1000))
def test_suppressed_time_is_not_used_up(on: int, spent: int, suppressed: int) -> None:
    spent %= on
    rule = Rule("a", Text("a", "a"), replace(BATTERY, levels=(replace(BATTERY.levels[0], on_delay=on),)))
    world = World(0.0)
    world.alarms = Alarms([rule], QUICK)
    world.read("a", {"source": "battery"})
    world.do((spent, ("suppress", rule.id, 0)))
    world.do((suppressed, ("unsuppress", rule.id, 0)))
    world.wait(100)
    raised = [change.at for change in world.changes if change.verb is Verb.RAISED]
    assert raised == [suppressed + QUICK.settle + on]


# -- whatever happens ---------------------------------------------------------------------------------------------


@given(deeds)
def test_raise_and_clear_take_turns_and_nothing_is_told_twice(deeds: list[Deed]) -> None:
    world = World()
    for deed in deeds:
        world.do(deed)
    world.wait(200)
    standing: dict[str, bool] = {}
    for change in world.changes:
        id, alarm = change.alarm.alarm_id, change.alarm
        assert alarm != change.before or change.verb is Verb.REMINDED
        if change.verb in (Verb.RAISED, Verb.FLOOD_BEGIN):
            assert not standing.get(id, False)
            assert alarm.raise_count == (change.before.raise_count if change.before else 0) + 1
            assert (alarm.onset or 0) <= (alarm.raised or 0) == change.at
        elif change.verb in (Verb.CLEARED, Verb.FLOOD_END):
            assert standing[id]
        standing[id] = not alarm.is_cleared


@given(deeds)
def test_each_change_begins_where_the_last_one_of_its_alarm_ended(deeds: list[Deed]) -> None:
    def facts(alarm: Alarm) -> Alarm:
        """Leave out what moves without a change: the quality, and the end of a suppression that settles."""
        value = replace(alarm.value, quality=Quality.GOOD) if alarm.value else None
        return replace(alarm, value=value, suppression=replace(alarm.suppression, until=None))

    world = World()
    for deed in deeds:
        world.do(deed)
    world.wait(20)
    last: dict[str, Alarm] = {}
    for change in world.changes:
        before = change.before
        known = last.get(change.alarm.alarm_id)
        if before is None:
            assert known is None or known.state is AlarmState.CLOSED
        else:
            assert known is not None
            assert facts(before) == facts(known)
        last[change.alarm.alarm_id] = change.alarm
    for alarm_id, alarm in world.alarms.records().items():
        assert facts(last[alarm_id]) == facts(alarm)


@given(deeds)
def test_nothing_is_told_without_a_reading_or_a_timer(deeds: list[Deed]) -> None:
    world = World()
    for deed in deeds:
        world.do(deed)
        world.wait(0)
        due = world.alarms.next_due()
        between = world.now if due is None else (world.now + due) / 2
        assert world.alarms.tick(world.view, between) == []
        world.name_all()
        world.changes.clear()
        world.name_all()
        assert not world.changes


@given(deeds)
def test_silence_neither_raises_nor_clears_however_long_it_lasts(deeds: list[Deed]) -> None:
    world = World()
    for deed in deeds:
        world.do(deed)
    world.wait(0)
    for device in ("a", "b"):
        world.read(device, {"load": None, "source": None, "alarms": None})
    world.changes.clear()
    world.wait(100_000)
    assert not [change for change in world.changes if change.verb in JUDGED]
    assert all(
        record.value is None or record.value.quality == "bad"
        for record in world.alarms.records().values()
        if not record.is_cleared and record.resource in "ab" and record.state is not AlarmState.SUPPRESSED
    )


@given(deeds, deeds)
def test_a_restart_at_any_moment_changes_nothing_that_comes_later(before: list[Deed], after: list[Deed]) -> None:
    world = World()
    for deed in before:
        world.do(deed)
    world.wait(0)
    other = copy.copy(world)
    other.view, other.rows, other.changes = copy.deepcopy(world.view), dict(world.rows), list(world.changes)
    other.restart()
    assert other.alarms.records() == world.alarms.records()
    for each in (world, other):
        each.name_all()
        for deed in after:
            each.do(deed)
        each.wait(200)
    assert other.changes == world.changes


@given(deeds, deeds, st.integers(-5000, 5000))
def test_a_step_of_the_clock_moves_what_comes_later_by_as_much(
    before: list[Deed], after: list[Deed], delta: int
) -> None:
    def told(world: World, moved: float) -> list[tuple[str, str, float]]:
        return [
            (change.alarm.alarm_id, change.verb.value, change.at - moved)
            for change in world.changes
            if change.verb is not Verb.RELATED  # who was first goes by recorded onsets, as does the order: history
        ]

    worlds = [World(10_000), World(10_000)]
    before, after = ([deed for deed in deeds if deed[1][0] != "out_of_service"] for deeds in (before, after))
    for world, moved in zip(worlds, (0, delta), strict=True):
        for deed in before:
            world.do(deed)
        world.wait(0)
        world.alarms.shift(moved)
        world.now += moved
        world.changes.clear()
        for deed in after:
            world.do(deed)
        world.wait(200)
    assert sorted(told(worlds[1], delta)) == sorted(told(worlds[0], 0))


@given(deeds)
def test_a_shelf_never_hides_a_rise_to_critical(deeds: list[Deed]) -> None:
    def look(changes: list[Change]) -> None:
        for change in changes:
            rises = change.verb in (Verb.RAISED, Verb.SEVERITY_CHANGED)
            before = change.before.perceived_severity if change.before else None
            if rises and change.alarm.perceived_severity is Severity.CRITICAL and before is not Severity.CRITICAL:
                assert world.alarms.records()[change.alarm.alarm_id].state is not AlarmState.SHELVED

    world = World()
    world.look = look
    for deed in deeds:
        world.do(deed)


@given(deeds)
def test_a_record_closes_only_when_it_is_over_and_seen(deeds: list[Deed]) -> None:
    world = World()
    for deed in deeds:
        world.do(deed)
        for record in world.alarms.records().values():
            if record.operator_state is OperatorState.CLOSED:
                assert record.is_cleared
                assert not record.latched
            over = record.is_cleared and not record.latched and record.suppression.kind == "none"
            assert not (over and record.operator_state is OperatorState.ACK)
            if over and record.alarm_type_id == "event":
                assert record.operator_state is OperatorState.CLOSED


@given(deeds)
def test_each_group_has_a_first_and_its_followers_point_to_one_that_came_before(deeds: list[Deed]) -> None:
    world = World()
    for deed in deeds:
        world.do(deed)
        records = world.alarms.records()
        for record in records.values():
            if record.alarm_type_id == "alarm-flood" or not record.raise_count:
                continue
            assert record.first_out is not bool(record.related_alarm)
            for id in record.related_alarm:
                leader = records.get(id)  # raised anew since, it is another story
                if leader is not None and leader.raise_count == 1 and leader.time_created <= (record.raised or 0):
                    apart = (record.onset or 0) - (leader.onset or 0)
                    assert 0 <= apart <= QUICK.first_out_window


@given(deeds)
def test_what_is_over_leaves_nothing_behind(deeds: list[Deed]) -> None:
    world = World()
    for deed in deeds:
        world.do(deed)
    for device in ("a", "b"):
        world.wait(100)
        world.read(device, {"load": 10, "source": "normal", "alarms": frozenset()})
    world.wait(100)
    for verbs in (("unshelve", "in_service", "unsuppress"), ("reset", "ack")):
        for id in list(world.alarms.records()):
            for verb in verbs:
                world.do((0, (verb, id, 0)))
        world.wait(200)
    assert world.alarms.records() == {}
    assert world.rows == {}
    assert world.alarms.next_due() is None
