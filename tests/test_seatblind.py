"""Seats at one switch that fall silent together, whatever order and delay it is noticed in."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.readings import Value
from edgeagent.sitetree import CauseSettings
from tests.seatrow import Row, ids, rows

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
