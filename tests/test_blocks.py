"""The planner of Modbus reads: everything once, nothing refused, nothing too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.items import Quirks
from edgeagent.links.blocks import Block, cover, split


def spans(*args: object, **kwargs: object) -> list[tuple[str, int, int]]:
    return [(block.table, block.start, block.count) for block in cover(*args, **kwargs)]  # type: ignore[arg-type]


def run(table: str, first: int, last: int) -> list[str]:
    return [f"{table}{number}" for number in range(first, last + 1)]


QUIRKS = Quirks(registers=10, coils=64, gap=2)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        pytest.param(["h5", "h3", "h4", "h3"], [("h", 3, 3)], id="unsorted and doubled"),
        pytest.param(["h0", "h3"], [("h", 0, 4)], id="hole as wide as the gap"),
        pytest.param(["h0", "h4"], [("h", 0, 1), ("h", 4, 1)], id="hole wider than the gap"),
        pytest.param(["i1", "h1", "c1", "d1"], [("c", 1, 1), ("d", 1, 1), ("h", 1, 1), ("i", 1, 1)], id="tables apart"),
        pytest.param(["c0", "c33"], [("c", 0, 34)], id="bits join over sixteen times the gap"),
        pytest.param(["c0", "c34"], [("c", 0, 1), ("c", 34, 1)], id="but not over more"),
        pytest.param(run("h", 0, 9), [("h", 0, 10)], id="as long as allowed"),
        pytest.param([*run("h", 0, 5), *run("h", 7, 12)], [("h", 0, 6), ("h", 7, 6)], id="cut at the hole"),
        pytest.param(run("h", 0, 10), [("h", 0, 8), ("h", 8, 3)], id="no hole: cut between 64 bit values"),
        pytest.param(["h0", *run("h", 2, 14)], [("h", 0, 10), ("h", 10, 5)], id="stretch longer than a read"),
        pytest.param(["h65535"], [("h", 65535, 1)], id="last address"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_addresses_become_few_reads(addresses: list[str], expected: list[tuple[str, int, int]]) -> None:
    assert spans(addresses, QUIRKS) == expected


def test_a_bad_address_is_neither_read_nor_bridged() -> None:
    assert spans(["h0", "h1", "h2"], QUIRKS, {"h1"}) == [("h", 0, 1), ("h", 2, 1)]
    assert spans(["h0", "h2"], QUIRKS, {"h1"}) == [("h", 0, 1), ("h", 2, 1)]
    assert spans(["h0", "h2"], QUIRKS, {"i1"}) == [("h", 0, 3)]


def test_no_read_runs_into_a_cut() -> None:
    assert spans(run("h", 0, 5), QUIRKS, frozenset(), {"h2"}) == [("h", 0, 2), ("h", 2, 4)]
    assert spans(["h0", "h3"], QUIRKS, frozenset(), {"h2"}) == [("h", 0, 1), ("h", 3, 1)]


def test_a_group_is_read_whole_and_alone() -> None:
    quirks = Quirks(gap=8, groups=(("h100", 32),))
    blocks = cover(["h99", "h101", "h120", "h133"], quirks)
    assert [(block.start, block.count, block.whole) for block in blocks] == [
        (100, 32, True),
        (99, 1, False),
        (133, 1, False),
    ]
    assert blocks[0].wanted == (("h101", 1), ("h120", 20))
    assert spans(["h99"], quirks) == [("h", 99, 1)]
    assert spans(["h101", "h99"], quirks, {"h110"}) == [("h", 99, 1)]
    assert spans(["h98", "h133"], Quirks(gap=60, groups=(("h100", 32),))) == [("h", 98, 1), ("h", 133, 1)]


@pytest.mark.parametrize("registers", [1, 2, 3])
def test_a_device_that_gives_few_registers_at_a_time_is_read_in_small_steps(registers: int) -> None:
    blocks = cover(run("h", 7, 16), Quirks(registers=registers, gap=8))
    assert {block.count for block in blocks} <= set(range(1, registers + 1))
    assert sum(len(block.wanted) for block in blocks) == 10


@pytest.mark.parametrize("address", ["", "h", "x1", "h-1", "h65536", "1.3.6.1", "h1.0", "h²", "H1"])
def test_what_is_no_modbus_address_is_named(address: str) -> None:
    with pytest.raises(ValueError, match=f'^"{address}" is not a Modbus address'):
        split(address)


def test_an_anchor_looks_unlike_every_owed_answer() -> None:
    block = Block("h", 10, 4, ())
    assert block.anchor({(3, 2)}, 0).count == 2
    assert block.anchor({(4, 2)}, 0).count == 1
    assert block.anchor({(3, 2), (3, 4), (3, 6), (3, 8)}, 2).count == 5
    assert block.anchor({(3, 2), (3, 4), (3, 6), (3, 8)}, 0) == block
    assert Block("h", 0xFFFF, 1, ()).anchor(set(), 8).count == 1
    assert Block("h", 10, 4, (), whole=True).anchor(set(), 8).count == 4
    assert Block("c", 0, 20, ()).anchor({(1, 1)}, 0).size == 2


ADDRESS = st.builds("{}{}".format, st.sampled_from("hc"), st.integers(0, 150))


@given(
    st.sets(ADDRESS, max_size=120),
    st.sets(ADDRESS, max_size=20),
    st.sets(ADDRESS, max_size=5),
    st.builds(
        Quirks,
        registers=st.integers(1, 200),
        coils=st.integers(1, 3000),
        gap=st.integers(0, 20),
        groups=st.lists(st.tuples(ADDRESS, st.integers(1, 40)), max_size=3).map(tuple),
    ),
)
def test_every_address_is_covered_once_and_no_read_breaks_a_rule(
    wanted: set[str], bad: set[str], cuts: set[str], quirks: Quirks
) -> None:
    blocks = cover(wanted, quirks, bad, cuts)
    seen: list[str] = []
    groups = {(split(start), count) for start, count in quirks.groups}
    grouped = {f"{table}{start + i}" for (table, start), count in groups for i in range(count)}
    for block in blocks:
        inside = {f"{block.table}{block.start + i}" for i in range(block.count)}
        assert not inside & bad
        for address, offset in block.wanted:
            assert address == f"{block.table}{block.start + offset}"
            assert 0 <= offset < block.count
        seen += [address for address, _ in block.wanted]
        if block.whole:
            assert ((block.table, block.start), block.count) in groups
            continue
        assert block.count <= (min(quirks.coils, 2000) if block.bits else min(quirks.registers, 125))
        assert not inside & grouped
        assert not (inside & cuts) - {f"{block.table}{block.start}"}
        assert block.wanted[0][1] == 0
        assert block.wanted[-1][1] == block.count - 1
    assert len(seen) == len(set(seen))
    assert set(seen) <= wanted - bad
    # Only a group with something bad in it may go unread.
    assert wanted - bad - set(seen) <= grouped


@given(st.sets(st.integers(0, 80), min_size=2), st.integers(0, 20))
def test_halves_hold_what_the_block_held(numbers: set[int], gap: int) -> None:
    for block in cover([f"h{number}" for number in numbers], Quirks(gap=gap)):
        if len(block.wanted) > 1:
            left, right = block.halves()
            names = [address for half in (left, right) for address, _ in half.wanted]
            assert names == [address for address, _ in block.wanted]
            assert left.wanted
            assert right.wanted
            assert left.start + left.count <= right.start
