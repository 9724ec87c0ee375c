"""Seats at one switch that fall silent together, whatever order and delay it is noticed in."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.catalog import Severity
from edgeagent.readings import Value
from edgeagent.scenario import Hours
from edgeagent.sitetree import CauseSettings, SiteTree
from tests.seatrow import OFFICE, Row, ids, rows

SEATS = 16
FEW = settings().max_examples // 4
"""Each example is a story of ten minutes."""
HIT, OTHERS = ids(2 * SEATS)[::2], ids(2 * SEATS)[1::2]
GROUP = "switch-0.group.workstation-down"
WITNESSES: dict[str, tuple[dict[str, Value] | None, dict[str, Value]]] = {
    "port": (None, {"link": "up", "poe": "searching"}),
    "ping": ({"echo": False}, {"echo": True}),
}
"""What a witness says once the switch is dead, and once it is back."""


def started(*witnesses: str) -> Row:
    """Start as many seats at each of two switches, with their agents and the named witnesses."""
    site = rows(2 * SEATS, switches=2)
    kept = {id: device for id, device in site.devices.items() if id.partition("-")[2] in ("pc", *witnesses)}
    return Row(replace(site, devices=kept)).start()


Event = tuple[str, dict[str, Value] | None]


@dataclass(frozen=True)
class Luck:
    """How the seats fare, s after the switch died: chance within what this says.

    The witnesses of the `first` seats are found dead within `soon`, those of the others from `later` on, or at the
    latest `asked` s after the seat fell silent. In a `hold` the agent stands still and judges nothing.
    """

    seed: int
    interval: float
    first: int
    soon: float
    later: float
    asked: float
    holds: list[tuple[float, float]]


LUCK = st.builds(
    Luck, st.integers(0, 2**32), st.sampled_from([5, 15, 30, 60]), st.integers(0, SEATS), st.floats(0, 60),
    st.floats(0, 60), st.floats(0, 5), st.lists(st.tuples(st.floats(0, 200), st.floats(1, 8)), max_size=3),
)  # fmt: skip
DIES, RETURNS = 100, 400


def fate(luck: Luck, witness: str | None, *, asked: bool) -> list[tuple[float, list[Event]]]:
    """Let a switch die and return; give what is noticed of it step by step, in the order in which it is judged."""
    chance = random.Random(luck.seed)
    seats, events = chance.sample(HIT, SEATS), list[tuple[float, Event]]()
    for place, seat in enumerate(seats):
        silent = DIES + (3 - chance.random()) * luck.interval + chance.uniform(0, 5)
        events += [(silent, (f"{seat}-pc", {"agent": "silent"}))]
        events += [(RETURNS + chance.uniform(0, 20), (f"{seat}-pc", {"agent": "running"}))]
        if witness is not None:
            gone, well = WITNESSES[witness]
            noticed = DIES + chance.uniform(*((0, luck.soon) if place < luck.first else (luck.later, 60)))
            events += [(min(noticed, silent + luck.asked) if asked else noticed, (f"{seat}-{witness}", gone))]
            events += [(RETURNS + chance.uniform(0, 40), (f"{seat}-{witness}", well))]
    chance.shuffle(events)
    steps: dict[float, list[Event]] = {}
    for at, event in events:
        ends = (DIES + begin + length for begin, length in luck.holds if 0 <= at - DIES - begin < length)
        steps.setdefault(max(ends, default=at), []).append(event)
    return [(at, steps[at]) for at in sorted(steps)]


def play(row: Row, steps: list[tuple[float, list[Event]]]) -> None:
    for at, events in steps:
        for id, said in events:
            row.at(at, {id: said})


def one_fault_of_the_switch(row: Row) -> None:
    assert row.raised() == [GROUP]
    row.to(700)
    assert row.raised() == [GROUP]
    assert row.standing() == set()
    assert row.hidden() == {}


@settings(max_examples=FEW)
@given(LUCK, st.sampled_from([None, "port"]))
def test_a_dead_switch_is_one_fault_whenever_each_silence_is_noticed(luck: Luck, witness: str | None) -> None:
    row = started(*([witness] if witness else []))
    # Where seats fall silent soon it counts that their witnesses are asked at once: until then only agents are down.
    play(row, fate(luck, witness, asked=luck.interval < 15))
    one_fault_of_the_switch(row)


@settings(max_examples=FEW)
@given(LUCK)
def test_a_dead_switch_is_one_fault_too_where_an_echo_fails_each_seat_by_itself(luck: Luck) -> None:
    # Reports further apart than a fault waits for its fellows tell of it one after the other.
    luck = replace(luck, interval=min(luck.interval, 30))
    row = started("ping")
    play(row, fate(luck, "ping", asked=True))
    one_fault_of_the_switch(row)


def test_a_switch_that_falls_silent_after_most_of_its_seats_did_is_one_fault() -> None:
    row = started("port")
    row.at(95, {f"{seat}-port": None for seat in HIT[:4]})
    row.part(110, "pc", HIT, agent="silent")
    assert row.is_(HIT[0]) == "(silent)"
    assert row.is_(HIT[4], "agent") == "down"
    row.at(112, {f"{seat}-port": None for seat in HIT[4:]})
    row.to(300)
    assert row.raised() == [GROUP]


def test_agents_that_are_down_while_most_of_their_workstations_answer_fail_none_of_the_others() -> None:
    row = started("port")
    row.at(50, {f"{seat}-port": None for seat in HIT[:6]})
    row.part(100, "pc", HIT, agent="silent").to(110)
    assert {row.is_(seat) for seat in HIT[:6]} == {"(silent)"}
    assert {row.is_(seat) for seat in HIT[6:]} == {"working"}


def test_agents_that_were_down_for_long_say_nothing_when_their_switch_cannot_be_read_any_more() -> None:
    row = started("port")
    row.part(100, "pc", HIT[:10], agent="silent").to(600)
    before = row.raised()
    row.at(600, {f"{seat}-port": None for seat in HIT})
    row.to(1000)
    assert {row.is_(seat) for seat in HIT[:10]} == {"(silent)"}
    assert [id for id in row.raised() if id not in before and "workstation" in id] == []


def test_a_new_configuration_in_between_forgets_nobody_who_fell_silent() -> None:
    row = started("port")
    row.part(110, "pc", HIT, agent="silent").to(115)
    row.take(row.floor.replace(replace(row.site, causes=CauseSettings(hold=5)), row.now))
    row.at(120, {f"{seat}-port": None for seat in HIT})
    row.to(200)
    assert row.raised() == [GROUP]
    row.take(row.floor.replace(row.site, row.now))
    row.to(900)
    assert {row.is_(seat) for seat in HIT} == {"failed"}


# At night most seats are empty: the share is of those that could fail.

NIGHT, LEFT = HIT[:6], HIT[6:]


def dies(row: Row, at: float, seats: list[str]) -> None:
    """Let a dead switch take along these seats, and the ports of all."""
    row.part(at, "pc", seats, agent="silent")
    row.at(at + 2, {f"{seat}-port": None for seat in HIT})


def returns(row: Row, at: float, seats: list[str]) -> None:
    row.at(at, {f"{seat}-port": {"link": "up"} for seat in HIT})
    row.part(at, "pc", seats, agent="running")


def test_the_few_who_are_there_at_night_are_one_fault_of_their_switch() -> None:
    row = started("port")
    row.part(50, "pc", LEFT, agent="left")
    dies(row, 100, NIGHT)
    row.to(300)
    assert row.raised() == [GROUP]
    assert row.hidden() == {f"{seat}.workstation-down": GROUP for seat in NIGHT}
    returns(row, 400, NIGHT)
    one_fault_of_the_switch(row)


def watched(*, staffed: tuple[Hours, ...] = (), off: list[str] | None = None) -> Row:
    """Start seats at a switch of which ten are empty by the calendar, or worked on."""
    site = rows(2 * SEATS, switches=2, off=off or ())
    nodes = {id: replace(node, staffed=staffed) if id in LEFT else node for id, node in site.tree.nodes.items()}
    return Row(replace(site, tree=SiteTree(nodes)), hour=19.9).start()


def test_seats_that_the_calendar_leaves_empty_do_not_count() -> None:
    row = watched(staffed=(OFFICE,))
    row.to(1000)
    dies(row, 1000, HIT)
    row.part(1003, "ping", HIT, echo=False).to(1300)
    assert row.is_(LEFT[0]) == "empty"
    assert row.raised() == [GROUP]


def test_seats_that_are_worked_on_do_not_count() -> None:
    row = watched(off=LEFT)
    dies(row, 100, HIT)
    row.part(103, "ping", HIT, echo=False).to(300)
    assert row.raised() == [GROUP]


def test_seats_that_are_back_count_again() -> None:
    row = started("port")
    row.part(50, "pc", LEFT, agent="left")
    dies(row, 100, NIGHT)
    row.part(110, "pc", LEFT, agent="running").to(300)
    assert sorted(row.raised()) == [f"{seat}.workstation-down" for seat in NIGHT]


def test_seats_that_come_back_into_the_outage_fold_under_it() -> None:
    row = watched(staffed=(Hours(20 * 60, 24 * 60),))  # from 360 s on
    dies(row, 100, NIGHT)
    row.part(103, "ping", NIGHT, echo=False)
    row.part(103, "pc", LEFT, agent="silent").part(110, "ping", LEFT, echo=False).to(300)
    assert len(row.hidden()) == len(NIGHT)
    row.to(600)
    assert row.raised() == [GROUP]
    assert len(row.hidden()) == SEATS
    returns(row, 700, HIT)
    row.part(700, "ping", HIT, echo=True).to(1000)
    assert (row.standing(), row.hidden()) == (set(), {})


def test_with_all_at_work_six_of_sixteen_are_six_faults() -> None:
    row = started("port")
    for seat in NIGHT:
        row.part(100, "port", [seat], link="down").part(100, "pc", [seat], agent="silent")
    row.to(300)
    assert sorted(row.raised()) == [f"{seat}.workstation-down" for seat in NIGHT]


def test_phones_of_those_who_left_can_still_fail_and_count() -> None:
    row = Row(rows(2 * SEATS, switches=2, phone=True)).start()
    row.part(50, "pc", LEFT, agent="left").part(100, "phone", NIGHT, registered=False).to(300)
    assert sorted(row.raised()) == [f"{seat}.phone-down" for seat in NIGHT]


def test_who_fails_and_then_leaves_still_counts_among_those_who_could() -> None:
    row = started("port")
    row.part(100, "pc", HIT[:5], softphone=False)
    row.part(105, "pc", HIT[:5], agent="left").part(105, "pc", HIT[5:10], agent="left").to(300)
    assert sorted(row.raised()) == [f"{seat}-pc.softphone-down" for seat in HIT[:5]]


def test_a_restart_at_night_leaves_the_fault_of_many_as_grave_as_it_was() -> None:
    row = started("port")
    row.part(50, "pc", HIT[10:], agent="left")
    dies(row, 100, HIT[:10])
    row.to(200)
    told = row.told()
    assert row.record(GROUP).perceived_severity is Severity.CRITICAL, "all ten who were there"
    row.restart(row.offset + 200)
    row.to(300)
    assert (row.told(), row.record(GROUP).perceived_severity) == (told, Severity.CRITICAL)


def test_a_memory_from_before_sizes_were_kept_is_taken_up() -> None:
    row = started("port")
    dies(row, 100, HIT)
    row.to(200)
    row.memory["groups"] = [group[:5] for group in row.memory["groups"]]
    row.restart(row.offset + 200)
    row.to(300)
    assert row.hidden() == {f"{seat}.workstation-down": GROUP for seat in HIT}
    returns(row, 400, HIT)
    one_fault_of_the_switch(row)
