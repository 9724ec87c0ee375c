"""Which seats go dark first: one feed, two feeds, no UPS at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.catalog import Relation, Text
from edgeagent.ridethrough import Gap, Ride
from edgeagent.seatfeeds import Dark, SeatFeeds, Supply, ranges
from edgeagent.sitetree import MAINS, SEAT, Node, SiteTree


def node(id: str, kind: str, *feeds: str) -> Node:
    return Node(id, Text(id, id), kind, {Relation.POWER: feeds} if feeds else {})


TREE = SiteTree({each.id: each for each in (
    node("grid", MAINS),
    node("panel", "panel", "grid"),
    node("ups-a", "ups", "panel"),
    node("ups-b", "ups", "panel"),
    node("row-1", "circuit", "ups-a"),
    node("row-2", "circuit", "ups-b"),
    node("rack-ats", "ats", "ups-a", "ups-b"),
    node("wall", "circuit", "panel"),
    *(node(f"a{number:03}", SEAT, "row-1") for number in range(1, 21)),
    *(node(f"b{number:03}", SEAT, "row-2") for number in range(1, 4)),
    node("lead-1", SEAT, "rack-ats"),
    node("lead-2", SEAT, "row-1", "row-2"),
    node("spare-1", SEAT, "row-1", "wall"),
    node("guest-1", SEAT, "wall"),
    node("loose-1", SEAT),
)})  # fmt: skip
FEEDS = SeatFeeds(TREE, frozenset({"ups-a", "ups-b"}))


def dark(*rides: Ride, lost: bool = True, off: tuple[str, ...] = (), circuits: tuple[str, ...] = ()) -> list[Dark]:
    supply = Supply({ride.ups: ride for ride in rides}, frozenset(off), lost, frozenset(circuits))
    return list(FEEDS.dark(supply))


def named(found: list[Dark]) -> list[tuple[tuple[str, ...], float | None]]:
    return [(each.seats, each.low) for each in found]


A, B = Ride("ups-a", 300, 400), Ride("ups-b", 900, 950)


def test_the_seats_of_the_weakest_ups_come_first_and_two_feeds_last_as_long_as_the_longer() -> None:
    assert named(dark(A, B)) == [
        (("guest-1",), 0),
        (("a001..a020", "spare-1"), 300),
        (("b001..b003",), 900),
        (("lead-1..lead-2",), 900),
    ]
    assert [each.count for each in dark(A, B)] == [1, 21, 3, 2]
    assert [each.high for each in dark(A, B)] == [0, 400, 950, 950]


def test_a_feed_that_stands_keeps_a_seat_lit() -> None:
    assert named(dark(A)) == [(("guest-1",), 0), (("a001..a020", "spare-1"), 300)]


def test_with_the_mains_there_a_seat_with_a_plain_feed_stays_lit() -> None:
    assert named(dark(A, lost=False)) == [(("a001..a020",), 300)]


def test_a_plain_feed_counts_as_dead_where_its_own_circuit_is_lost() -> None:
    assert named(dark(A, lost=False, circuits=("wall",))) == [(("guest-1",), 0), (("a001..a020", "spare-1"), 300)]


def test_a_ups_that_is_off_leaves_its_seats_dark_now() -> None:
    assert named(dark(lost=False, off=("ups-b",))) == [(("b001..b003",), 0)]
    assert (("lead-1..lead-2",), 300) in named(dark(A, lost=False, off=("ups-b",)))


def test_where_nobody_knows_how_long_it_lasts_nobody_says_so_and_it_comes_last() -> None:
    unknown = Ride("ups-a", gap=Gap.UNREADABLE)
    found = dark(unknown, B, lost=False)
    assert named(found) == [(("b001..b003",), 900), (("a001..a020",), None), (("lead-1..lead-2",), None)]


def test_a_seat_of_which_nobody_said_what_feeds_it_is_in_no_forecast() -> None:
    assert not any("loose-1" in each.seats for each in dark(A, B))
    assert FEEDS.feeding == {"ups-a", "ups-b"}


def test_only_the_nearest_ups_counts() -> None:
    tree = SiteTree({each.id: each for each in (
        node("big", "ups"), node("small", "ups", "big"), node("a1", SEAT, "small"),
    )})  # fmt: skip
    assert SeatFeeds(tree, frozenset({"big", "small"})).feeding == {"small"}


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (["a001", "a002", "a003"], ("a001..a003",)),
        (["a003", "a001", "a002", "a005"], ("a001..a003", "a005")),
        (["a9", "a10", "a11"], ("a9", "a10..a11")),
        (["a001", "b002"], ("a001", "b002")),
        (["desk", "a001", "a002"], ("a001..a002", "desk")),
        (["a001", "a001"], ("a001",)),
        ([], ()),
    ],
)
def test_seats_in_a_row_are_written_as_a_range(ids: list[str], told: tuple[str, ...]) -> None:
    assert ranges(ids) == told


@given(st.sets(st.integers(0, 999)))
def test_a_range_names_every_seat_and_no_other(numbers: set[int]) -> None:
    found: set[int] = set()
    for each in ranges(f"s{number:03}" for number in numbers):
        first, _, last = each.partition("..")
        found |= set(range(int(first[1:]), int((last or first)[1:]) + 1))
    assert found == numbers


@given(st.floats(0, 2000), st.floats(0, 2000), st.floats(0, 500))
def test_a_weaker_battery_never_keeps_a_seat_lit_longer(a: float, b: float, less: float) -> None:
    def first(low: float) -> dict[tuple[str, ...], float | None]:
        return dict(named(dark(Ride("ups-a", low, low), Ride("ups-b", b, b))))

    strong, weak = first(a), first(max(0.0, a - less))
    assert strong.keys() == weak.keys()
    assert all((weak[seats] or 0) <= (strong[seats] or 0) for seats in strong)
