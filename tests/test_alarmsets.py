"""The alarms that a device reports of itself, in every way in which devices say them."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.alarmsets import NAMED, SETS
from edgeagent.items import Item
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.values import NoValue

REFUSED = (Missing.ABSENT, Missing.NULL)
"""The device says that it has no such object: so it has no such alarm."""
UNREAD = tuple(set(Missing) - set(REFUSED))


def members(item: Item, answers: Answers) -> set[str] | str:
    """Return what the set holds, or the reason why nobody knows."""
    try:
        value = SETS[item.code](item, answers)
    except NoValue as reason:
        return str(reason)
    assert isinstance(value, frozenset)
    return set(value)


def table(rows: Mapping[str, Raw], **more: Raw) -> dict[str, Raw]:
    return {"1.9": len(rows), **{f"1.9.{index}": raw for index, raw in rows.items()}, **more}


# Tables.

OIDS = Item("alarms", "rows", walk="1.9", below="1.3.7", enum={1: "fan", "7.41": "door", "7.4": "heat", 5: ""})
CODES = Item("alarms", "rows", walk="1.9", enum={1: "fan", "HOT": "heat", 7: "", -3: "door"})


@pytest.mark.parametrize(
    ("item", "rows", "expected"),
    [
        pytest.param(OIDS, {"1": "1.3.7.1", "2": "1.3.7.7.41"}, {"fan", "door"}, id="tails of one and of two components"),
        pytest.param(OIDS, {"1": "1.3.7.7.4"}, {"heat"}, id="a tail that another one begins with"),
        pytest.param(OIDS, {"1": "1.3.7.7.410"}, {"unknown-1.3.7.7.410"}, id="like digits"),
        pytest.param(OIDS, {"1": "1.3.70.1"}, {"unknown-1.3.70.1"}, id="beside the tree"),
        pytest.param(OIDS, {"1": "1.3.7"}, {"unknown-1.3.7"}, id="the tree itself"),
        pytest.param(OIDS, {"1": "1.3.7.5"}, set(), id="mapped to nothing"),
        pytest.param(OIDS, {"1": "0.0", "2": "0.0.0", "3": "0", "4": ""}, set(), id="rows that point nowhere"),
        pytest.param(OIDS, {"1.4.2": "1.3.7.1"}, {"fan"}, id="an index of several numbers"),
        pytest.param(OIDS, {"1": 1, "2": b"1", "3": b"HOT"}, set(), id="numbers and texts where OIDs are wanted"),
        pytest.param(OIDS, {"1": "1.3.7." + "9" * 5000}, {"unknown-1.3.7." + "9" * 5000}, id="a hostile OID"),
        pytest.param(CODES, {"1": 1, "2": b"HOT", "3": -3}, {"fan", "heat", "door"}, id="numbers and texts"),
        pytest.param(CODES, {"1": b"1"}, {"fan"}, id="a number in a text"),
        pytest.param(CODES, {"1": 0, "2": b"", "3": b"\0", "4": b"0"}, set(), id="empty rows"),
        pytest.param(CODES, {"1": 7}, set(), id="a number that is no alarm"),
        pytest.param(CODES, {"1": 8, "2": b"COLD"}, {"unknown-8", "unknown-COLD"}, id="rows that the map does not know"),
        pytest.param(CODES, {"1": 1, "2": 1}, {"fan"}, id="twice the same"),
        pytest.param(CODES, {"1": 2**64, "2": -(10**5000), "3": 1.5, "4": math.nan, "5": Missing.NULL}, set(), id="what no device means"),
        pytest.param(CODES, {"1": b"9" * 5000}, {"unknown-" + "9" * 5000}, id="more digits than any number"),
        pytest.param(CODES, {"1": "火警".encode("gbk")}, {"unknown-火警"}, id="text of a card made in China"),
        pytest.param(replace(CODES, enum={1: "fan", "other": ""}), {"1": 1, "2": 8}, {"fan"}, id="the rest is silenced"),
        pytest.param(replace(CODES, enum={1: "fan", "other": "heat"}), {"1": 8, "2": 0}, {"heat"}, id="or is one alarm, 0 aside"),
        pytest.param(replace(CODES, enum={0: "door", "other": "heat"}), {"1": 0}, {"door"}, id="a 0 that the map names"),
        pytest.param(replace(OIDS, enum={1: "fan", "other": "heat"}), {"1": "1.3.4.5", "2": "1.3.7.9"}, {"heat"}, id="all other OIDs"),
    ],
)  # fmt: skip
def test_rows_are_looked_up(item: Item, rows: Mapping[str, Raw], expected: set[str]) -> None:
    assert members(item, table(rows)) == expected


def test_only_rows_of_its_own_table_count() -> None:
    assert members(CODES, {"1.9": 0, "1.90.1": 1, "1.8.1": 1}) == set()


@pytest.mark.parametrize(
    ("rows", "count", "expected"),
    [
        pytest.param({}, 2, {"unlisted"}, id="counted and not listed"),
        pytest.param({}, 0, set(), id="none counted"),
        pytest.param({}, 100, {"unlisted"}, id="as many as a device may have"),
        pytest.param({}, 101, set(), id="a count that is made up"),
        pytest.param({}, -1, set(), id="a negative count"),
        pytest.param({}, b"2", set(), id="text for a count"),
        pytest.param({}, Missing.TIMEOUT, set(), id="the count was not read"),
        pytest.param({"1": 1}, 2, {"fan"}, id="one is listed"),
        pytest.param({"1": 7}, 1, set(), id="what is listed is no alarm"),
        pytest.param({"1": 0}, 1, set(), id="an empty row is a list too"),
    ],
)
def test_a_count_without_a_list_is_an_alarm(rows: Mapping[str, Raw], count: Raw, expected: set[str]) -> None:
    item = replace(CODES, addresses=("1.8",))
    assert members(item, table(rows, **{"1.8": count})) == expected
    assert members(CODES, table(rows, **{"1.8": count})) == expected - {"unlisted"}


# One object.

NUMBER = Item("alarms", "code", ("o",), enum={1: "fan", 2: "", -2: "door"}, sentinels={-1: "not-available", 9: "gone"})
WORD = Item("alarms", "code", ("o",), enum={"FAN": "fan", "OK": "", 5: "door"}, sentinels={"N/A": "not-available"})
LIST = Item("alarms", "number-list", ("o",), enum={1: "fan", 23: "door", 4: ""}, sentinels={"N/A": "not-available"})
BITS = Item("alarms", "bitmap", ("o",), enum={0: "fan", 3: "door", 5: ""})
PAIR = Item(
    "alarms", "bitmap", ("h0", "h1"), type="u32", enum={0: "fan", 31: "door"}, sentinels={0xFFFFFFFF: "not-available"}
)
FLAGS = Item("alarms", "flag-string", ("o",), enum={1: "fan", 3: "door", 4: ""})
ONE = Item("alarms", "alarm", ("o",), alarm="fan")


@pytest.mark.parametrize(
    ("item", "raw", "expected"),
    [
        pytest.param(NUMBER, 1, {"fan"}, id="number"),
        pytest.param(NUMBER, b"1", {"fan"}, id="number in a text"),
        pytest.param(NUMBER, 1.0, {"fan"}, id="number with a point"),
        pytest.param(NUMBER, -2, {"door"}, id="negative number"),
        pytest.param(NUMBER, 0, set(), id="0 is none"),
        pytest.param(NUMBER, 2, set(), id="mapped to none"),
        pytest.param(NUMBER, 9, set(), id="sentinel"),
        pytest.param(NUMBER, 3, {"unknown-3"}, id="unknown number"),
        pytest.param(NUMBER, b"FAN", "malformed", id="a word for a number"),
        pytest.param(NUMBER, b"", "null", id="an empty text for a number"),
        pytest.param(NUMBER, "1.3.6", "malformed", id="an OID for a number"),
        pytest.param(NUMBER, 2**64, "malformed", id="beyond any number"),
        pytest.param(NUMBER, math.nan, "malformed", id="no number at all"),
        pytest.param(replace(NUMBER, type="s16"), 0xFFFE, {"door"}, id="with a sign"),
        pytest.param(replace(NUMBER, type="u16", bits=(4, 7)), 0xFF1F, {"fan"}, id="in some bits"),
        pytest.param(replace(NUMBER, enum={1: "fan", "other": ""}), 3, set(), id="the rest silenced, of numbers"),
        pytest.param(WORD, b"FAN\0\0", {"fan"}, id="word"),
        pytest.param(WORD, b" FAN ", {"fan"}, id="word between blanks"),
        pytest.param(WORD, b"OK", set(), id="word for none"),
        pytest.param(WORD, b"", set(), id="no word"),
        pytest.param(WORD, b"5", {"door"}, id="a number among words"),
        pytest.param(WORD, 5, {"door"}, id="a number that is one"),
        pytest.param(WORD, b"HEAT", {"unknown-HEAT"}, id="unknown word"),
        pytest.param(WORD, b"fan", {"unknown-fan"}, id="letters count as they are"),
        pytest.param(WORD, b"N/A", set(), id="sentinel word"),
        pytest.param(replace(WORD, enum={"FAN": "fan", "other": "heat"}), b"COLD", {"heat"}, id="any other word"),
        pytest.param(LIST, b"1,23", {"fan", "door"}, id="list"),
        pytest.param(LIST, b" 1 , 4 ,,23, ", {"fan", "door"}, id="list with blanks and gaps"),
        pytest.param(LIST, b"01,2", {"fan", "unknown-2"}, id="list with an unknown number"),
        pytest.param(LIST, b"0", set(), id="list of 0"),
        pytest.param(LIST, b"", set(), id="empty list"),
        pytest.param(LIST, b"N/A", set(), id="sentinel for a list"),
        pytest.param(LIST, b"1;23", {"unknown-1;23"}, id="no list of this kind"),
        pytest.param(LIST, 1, "malformed", id="a number for a list"),
        pytest.param(LIST, b"1," * 5000, {"fan"}, id="a long list"),
        pytest.param(replace(LIST, enum={1: "fan", "other": ""}), b"1,2,3", {"fan"}, id="the rest silenced, of a list"),
        pytest.param(BITS, 0b1001, {"fan", "door"}, id="two bits"),
        pytest.param(BITS, 0, set(), id="no bit"),
        pytest.param(BITS, 0b100000, set(), id="a bit that is no alarm"),
        pytest.param(BITS, 0b10100, {"unknown-bit-2", "unknown-bit-4"}, id="unknown bits"),
        pytest.param(BITS, b"9", {"fan", "door"}, id="bits in a text"),
        pytest.param(BITS, -1, set(), id="a negative number has no bits"),
        pytest.param(BITS, 2**65, "malformed", id="more bits than there are"),
        pytest.param(BITS, b"\xff\x09", "malformed", id="octets are no number"),
        pytest.param(replace(BITS, enum={0: "fan", "other": ""}), 0xFF, {"fan"}, id="other bits silenced"),
        pytest.param(replace(BITS, enum={0: "fan", "other": "heat"}), 0b110, {"heat"}, id="other bits are one alarm"),
        pytest.param(replace(BITS, sentinels={0xFFFF: "not-available"}), 0xFFFF, set(), id="all bits set is a sentinel"),
        pytest.param(replace(BITS, type="u16", bits=(8, 15)), 0x0900, {"fan", "door"}, id="counted from the lowest of its bits"),
        pytest.param(FLAGS, b"1010", {"fan", "door"}, id="flags counted from 1"),
        pytest.param(FLAGS, b"0101", set(), id="other flags"),
        pytest.param(FLAGS, b"1", {"fan"}, id="a short flag string"),
        pytest.param(FLAGS, b"", set(), id="an empty flag string"),
        pytest.param(FLAGS, b"102", set(), id="no flag string"),
        pytest.param(FLAGS, 101, set(), id="a number for a flag string"),
        pytest.param(ONE, 1, {"fan"}, id="flag"),
        pytest.param(ONE, 0, set(), id="flag off"),
        pytest.param(replace(ONE, invert=True), 0, {"fan"}, id="flag the other way round"),
        pytest.param(replace(ONE, equals=frozenset({2, 3})), 3, {"fan"}, id="one of its numbers"),
        pytest.param(replace(ONE, equals=frozenset({2, 3})), 1, set(), id="another number"),
        pytest.param(replace(ONE, bits=(3, 3)), 0b1000, {"fan"}, id="bit"),
        pytest.param(replace(ONE, sentinels={0xFFFF: "gone"}), 0xFFFF, set(), id="sentinel for a flag"),
        pytest.param(replace(ONE, invert=True, sentinels={0: "gone"}), 0, set(), id="sentinel for one the other way round"),
        pytest.param(ONE, b"x", "malformed", id="a word for a flag"),
    ],
)  # fmt: skip
def test_one_object_says_which_alarms_are_there(item: Item, raw: Raw, expected: set[str] | str) -> None:
    assert members(item, {"o": raw}) == expected


@pytest.mark.parametrize(
    ("high", "low", "expected"),
    [
        pytest.param(0x8000, 1, {"fan", "door"}, id="both words"),
        pytest.param(0xFFFF, 0xFFFF, set(), id="a sentinel of the whole"),
        pytest.param(0xFFFF, 0xFFFE, {"door", *(f"unknown-bit-{bit}" for bit in range(1, 31))}, id="half of one is none"),
        pytest.param(0, Missing.TIMEOUT, "timeout", id="half of it was not read"),
        pytest.param(Missing.ABSENT, Missing.ABSENT, set(), id="no such registers"),
        pytest.param(0, b"1", "malformed", id="half of it is text"),
    ],
)  # fmt: skip
def test_a_bitmap_may_lie_in_two_registers(high: Raw, low: Raw, expected: set[str] | str) -> None:
    assert members(PAIR, {"h0": high, "h1": low}) == expected


def test_a_bitmap_may_lie_low_word_first() -> None:
    assert members(replace(PAIR, word_order="little"), {"h0": 1, "h1": 0x8000}) == {"fan", "door"}


NIBBLES = Item("alarms", "gencomm-alarms", ("h0", "h1"), names=(("fan", "", "heat", "door"), ("fuel", "oil", "", "")))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(0x2345, 0x1111, {"fan.warning", "heat.trip", "door.shutdown"}, id="a grade each"),
        pytest.param(0x1111, 0x3400, {"fuel.shutdown", "oil.trip"}, id="the second register"),
        pytest.param(0x0167, 0x89AF, set(), id="grades that are none"),
        pytest.param(0x1311, 0x1111, set(), id="an alarm without a name"),
        pytest.param(Missing.ABSENT, 0x2111, {"fuel.warning"}, id="a register that the model lacks"),
        pytest.param(0x2111, Missing.TIMEOUT, "timeout", id="a register that was not read"),
        pytest.param(b"!!", 0x2111, {"fuel.warning"}, id="octets for a register"),
        pytest.param(0xF2111, 2**70 | 0x2111, {"fan.warning", "fuel.warning"}, id="more than a register"),
        pytest.param(-1, 0x1111, set(), id="less than a register"),
    ],
)
def test_gencomm_has_a_grade_a_nibble(first: Raw, second: Raw, expected: set[str] | str) -> None:
    assert members(NIBBLES, {"h0": first, "h1": second}) == expected


# What every way has in common.

WAYS = [CODES, OIDS, NUMBER, WORD, LIST, BITS, PAIR, FLAGS, ONE, NIBBLES]


def places(item: Item) -> tuple[str, ...]:
    return (item.walk,) if item.walk else item.addresses


@pytest.mark.parametrize("item", WAYS, ids=lambda item: item.code)
def test_what_the_device_does_not_have_is_no_alarm_and_what_was_not_read_is_unknown(item: Item) -> None:
    for missing in REFUSED:
        assert members(item, dict.fromkeys(places(item), missing)) == set()
    for missing in UNREAD:
        assert members(item, dict.fromkeys(places(item), missing)) == missing.value
    assert members(item, {}) == "timeout"


HOSTILE = st.one_of(
    st.sampled_from([*Missing, 10**400, -(10**400), 2**64, -1, math.nan, math.inf, 1e308, b"9" * 5000, b"-1", "1.3.7." + "9" * 5000]),
    st.integers(-5, 0x1FFFF), st.integers(-(2**70), 2**70), st.floats(), st.binary(max_size=80),
    st.text("0123456789.-²٣ ", max_size=30), st.text("0123456789,-²٣ ", max_size=30).map(str.encode),
)  # fmt: skip


@pytest.mark.parametrize("item", WAYS, ids=lambda item: item.code)
@given(data=st.data())
def test_whatever_a_device_says_is_a_set_of_alarms_or_a_reason(item: Item, data: st.DataObject) -> None:
    answers = {address: data.draw(HOSTILE) for address in (*places(item), "1.9.1", "1.9.2", "1.8")}
    for one in (item, replace(item, type="u16", sentinels={-1: "gone", "N/A": "gone"})):
        found = members(one, answers)
        assert isinstance(found, str) or "" not in found


def test_every_way_is_tried_here() -> None:
    assert {item.code for item in WAYS} == set(SETS) >= NAMED


@pytest.mark.parametrize("high", [0, 0xFFFF])
def test_a_code_over_two_registers_is_tested_as_a_whole(high: int) -> None:
    item = Item("alarms", "code", ("h0", "h1"), type="u32", enum={1: "dry"}, sentinels={0: "none", 0xFFFFFFFF: "none"})
    low = 1 if high == 0 else 0xFFFF
    assert SETS["code"](item, {"h0": high, "h1": low}) == (frozenset({"dry"}) if high == 0 else frozenset())


def test_a_row_that_holds_a_sentinel_is_no_alarm() -> None:
    item = Item("alarms", "rows", walk="1.2", enum={3: "dry"}, sentinels={-1: "not-fitted"})
    assert SETS["rows"](item, {"1.2": 2, "1.2.1": -1, "1.2.2": 3}) == frozenset({"dry"})
