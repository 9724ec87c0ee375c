"""The site as a tree: what hangs on a node and what it hangs on, near and far."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.catalog import Relation, Text
from edgeagent.sitetree import Node, SiteTree

POWER, NETWORK, PLACE = Relation.POWER, Relation.NETWORK, Relation.PLACE


def node(id: str, kind: str = "circuit", *fed_by: str, seat: str | None = None) -> Node:
    return Node(id, Text(id.upper(), f"{id} 号"), kind, {POWER: fed_by} if fed_by else {}, seat)


def tree(*nodes: Node) -> SiteTree:
    return SiteTree({each.id: each for each in nodes})


FLOOR = tree(
    node("mains", "mains"), node("gen", "generator"), node("ats", "ats", "mains", "gen"), node("ups-a", "ups", "ats"),
    node("ups-b", "ups", "ats"), node("a1", "seat", "ups-a"), node("a2", "seat", "ups-a", "ups-b"),
    node("pc", "workstation", "ups-b", seat="a2"), node("phone", "phone", seat="a2"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("id", "parents", "above"),
    [
        pytest.param("mains", (), (), id="the top"),
        pytest.param("ats", ("mains", "gen"), ("mains", "gen"), id="two feeds"),
        pytest.param("a2", ("ups-a", "ups-b"), ("ups-a", "ups-b", "ats", "mains", "gen"), id="the nearest first"),
        pytest.param("nobody", (), (), id="no such node"),
    ],
)  # fmt: skip
def test_what_a_node_hangs_on(id: str, parents: tuple[str, ...], above: tuple[str, ...]) -> None:
    assert FLOOR.parents(id, POWER) == parents
    assert FLOOR.above(id, POWER) == above
    assert FLOOR.above(id, NETWORK) == ()


@pytest.mark.parametrize(
    ("id", "children", "below"),
    [
        pytest.param("ats", ("ups-a", "ups-b"), ("ups-a", "ups-b", "a1", "a2", "pc"), id="the nearest first"),
        pytest.param("a1", (), (), id="the end"),
        pytest.param("nobody", (), (), id="no such node"),
    ],
)  # fmt: skip
def test_what_hangs_on_a_node(id: str, children: tuple[str, ...], below: tuple[str, ...]) -> None:
    assert FLOOR.children(id, POWER) == children
    assert FLOOR.below(id, POWER) == below
    assert FLOOR.below(id, NETWORK) == ()


def test_a_seat_has_its_devices() -> None:
    assert FLOOR.parts("a2") == ("pc", "phone")
    assert FLOOR.parts("a1") == FLOOR.parts("nobody") == ()


def test_the_area_is_the_nearest_one() -> None:
    hall = Node("hall", Text("Hall", "大厅"), "area", {PLACE: ("floor",)})
    found = tree(
        Node("floor", Text("Floor", "楼层"), "area"), hall, Node("x", Text("x", "x"), "ups", {PLACE: ("hall",)})
    )
    assert [found.area(id) for id in ("x", "hall", "floor", "nobody")] == ["hall", "floor", None, None]


def test_nodes_are_given_by_kind_in_the_order_of_the_files() -> None:
    assert [each.id for each in FLOOR.of_kind("ups", "generator")] == ["gen", "ups-a", "ups-b"]
    assert list(FLOOR.of_kind("hvac")) == []


def test_an_unknown_node_is_called_by_its_id() -> None:
    assert FLOOR.name("ups-a") == Text("UPS-A", "ups-a 号")
    assert FLOOR.name("nobody") == Text("nobody", "nobody")


EDGES = st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=30)


@given(EDGES)
def test_above_and_below_are_the_same_way_seen_from_both_ends(edges: list[list[int]]) -> None:
    """Each node hangs on nodes before it, so that nothing hangs on itself."""
    found = tree(*(
        node(str(id), "circuit", *dict.fromkeys(str(above % id) for above in parents if id))
        for id, parents in enumerate(edges)
    ))  # fmt: skip
    for id in found.nodes:
        assert id not in found.above(id, POWER)
        assert len(set(found.above(id, POWER))) == len(found.above(id, POWER))
        assert {other for other in found.nodes if id in found.above(other, POWER)} == set(found.below(id, POWER))
