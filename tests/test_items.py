"""One source of a point: how variants and units change it, what it is worth, and which source is written to."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from edgeagent.catalog import Driver, Kind, Point, PointType, Text
from edgeagent.decode import decode
from edgeagent.encode import EncodeError, encode
from edgeagent.items import Identify, Item, Variant, among, shows
from edgeagent.readings import PARTIAL, UNVERIFIED, Answers, Missing, Quality, Raw, Reading, Value

TEXT = Text("x", "x")
NOW = 1_700_000_000.0
OWN = "test/one"
POINTS = {
    "x": Point("x", PointType.NUMBER, TEXT, "V", (-1000, 5000)),
    "volts": Point("volts", PointType.NUMBER, TEXT, "V", aggregate="min", phases=True),
    "mode": Point("mode", PointType.ENUM, TEXT, values=("on", "off", "test")),
    "runs": Point("runs", PointType.FLAG, TEXT),
    "name": Point("name", PointType.TEXT, TEXT),
    "alarms": Point("alarms", PointType.SET, TEXT),
}


def driver(*items: Item, variants: tuple[Variant, ...] = (), ways: tuple[Identify, ...] = (), protocol: str = "modbus") -> Driver:  # fmt: skip
    return Driver(OWN, Kind("test", TEXT, POINTS, {}), protocol, TEXT, "made up", ways, items, variants=variants)


def read(answers: Answers, *items: Item, variants: tuple[Variant, ...] = ()) -> dict[str, Reading]:
    return decode(driver(*items, variants=variants), answers, NOW)


def good(value: Value) -> Reading:
    return Reading(value, NOW)


def bad(reason: str) -> Reading:
    return Reading.bad(reason, NOW)


def uncertain(value: Value, reason: str) -> Reading:
    return Reading(value, NOW, Quality.UNCERTAIN, reason)


# Units behind a gateway.


@pytest.mark.parametrize(
    ("item", "index", "addresses", "bits"),
    [
        pytest.param(Item("x", "number", ("h100",), step=20), 3, ("h160",), None, id="a step of registers a unit"),
        pytest.param(Item("x", "number", ("h100", "h101"), step=20), 1, ("h120", "h121"), None, id="both halves"),
        pytest.param(Item("x", "number", ("h100",), step=20), 0, ("h100",), None, id="the first unit stays"),
        pytest.param(Item("x", "number", ("i7",)), 5, ("i7",), None, id="shared by all units"),
        pytest.param(Item("x", "flag", ("i1",), bits=(0, 0), bit_step=1), 15, ("i1",), (15, 15), id="a bit a unit"),
        pytest.param(Item("x", "flag", ("i1",), bits=(0, 0), bit_step=1), 16, ("i2",), (0, 0), id="the next word"),
        pytest.param(Item("x", "flag", ("i1",), bits=(3, 3), bit_step=4), 9, ("i3",), (7, 7), id="nibbles"),
        pytest.param(Item("x", "enum", ("i1",), bits=(2, 3), bit_step=4), 2, ("i1",), (10, 11), id="as wide as before"),
        pytest.param(Item("x", "flag", ("i1",), bits=(8, 8), bit_step=8, step=10), 1, ("i12",), (0, 0), id="both steps"),
        pytest.param(Item("x", "flag", ("c1",), bits=(4, 4), step=10), 2, ("c21",), (4, 4), id="bits of each register"),
    ],
)  # fmt: skip
def test_another_unit_has_its_own_places(
    item: Item, index: int, addresses: tuple[str, ...], bits: tuple[int, int] | None
) -> None:
    unit = item.of_unit(index)
    assert (unit.addresses, unit.bits) == (addresses, bits)
    assert replace(unit, addresses=item.addresses, bits=item.bits) == item


def test_a_driver_of_another_unit_asks_for_that_unit() -> None:
    device = driver(Item("x", "number", ("h1",), step=10), Item("runs", "flag", ("c1",), step=5))
    assert device.of_unit(0) is device
    assert device.of_unit(2).gets == ("h21", "c11")


# What identifies, and what must be asked for it.


@pytest.mark.parametrize(
    ("way", "strong"),
    [
        (Identify(sys_object_ids=("1.3",)), True),
        (Identify(sys_descr="APC"), True),
        (Identify(equals={"h1": frozenset({1})}), True),
        (Identify(texts={("h1",): "DSE"}), True),
        (Identify(requires=("h1",)), False),
        (Identify(between={"h1": ((0, 1),)}), False),
        (Identify(absent=("h1",)), False),
        (Identify(unless={("h1",): "DSE"}), False),
    ],
)
def test_only_what_a_device_says_of_itself_is_strong(way: Identify, strong: bool) -> None:
    assert way.strong is strong
    assert driver(ways=(Identify(absent=("h9",)), way)).named is strong


@pytest.mark.parametrize(
    ("way", "named"),
    [(Identify(requires=("1.3",)), True), (Identify(between={"1.3": ((0, 1),)}), False), (Identify(absent=("1.3",)), False)],
)  # fmt: skip
@pytest.mark.parametrize("protocol", ["snmp", "serial"])
def test_to_have_an_object_or_a_command_is_a_name_too(protocol: str, way: Identify, named: bool) -> None:
    assert driver(ways=(way,), protocol=protocol).named is named
    assert driver(protocol=protocol).named is False


def test_all_that_decides_is_asked_once() -> None:
    way = Identify(
        0, (), None, ("r",), {"e": frozenset({1})}, {("t1", "t2"): "x"}, {"b": ((0, 1),)}, ("a",), {("u1", "u2"): "x"},
    )  # fmt: skip
    assert sorted(way.addresses) == ["a", "b", "e", "r", "t1", "t2", "u1", "u2"]
    card = Variant(OWN, ("1.3",), {("v1", "r"): "x"}, {"n": ((0, 1),)})
    device = driver(Item("x", "number", ("h1",)), Item("name", "text", ("h1",)), ways=(way, Identify(requires=("r", "s"))), variants=(card,))  # fmt: skip
    assert sorted(device.proofs) == ["a", "b", "e", "r", "s", "t1", "t2", "u1", "u2", "v1"]
    assert device.gets == ("h1", "n")  # each poll asks what tells the variant by its number


# Variants.


@pytest.mark.parametrize(
    ("between", "answers", "shown"),
    [
        ({"a": ((1.0, 2.0), (5.0, 6.0))}, {"a": 5}, True),
        ({"a": ((1.0, 2.0), (5.0, 6.0))}, {"a": 3}, False),
        ({"a": ((1.0, 2.0),)}, {"a": 1}, True),
        ({"a": ((1.0, 2.0),)}, {"a": 2}, True),
        ({"a": ((1.0, 2.0),)}, {"a": 1.5}, True),
        ({"a": ((1.0, 2.0),), "b": ((7.0, 7.0),)}, {"a": 9, "b": 7}, True),
        ({"a": ((1.0, 2.0),), "b": ((7.0, 7.0),)}, {"a": Missing.TIMEOUT}, False),
        ({"a": ((1.0, 2.0),)}, {"a": b" +1"}, True),
        ({"a": ((-2.0, -1.0),)}, {"a": b"-1"}, True),
        ({"a": ((1.0, 2.0),)}, {"a": b"1 V"}, False),
        ({"a": ((1.0, 2.0),)}, {"a": b""}, False),
        ({"a": ((0.0, 1e30),)}, {"a": b"9" * 5000}, False),
        ({}, {"a": 1}, False),
    ],
)
def test_any_number_within_its_ranges_shows_it(
    between: Mapping[str, tuple[tuple[float, float], ...]], answers: Answers, shown: bool
) -> None:
    assert shows(between, answers) is shown


@pytest.mark.parametrize(
    ("point", "found"),
    [("volts", True), ("volts.l2", True), ("door", False), ("volt", False), ("volts.l2.x", False), ("", False)],
)
def test_a_phase_goes_with_its_point(point: str, found: bool) -> None:
    assert among({"volts"}, point) is found


def test_a_variant_rescales_and_leaves_out_only_what_its_own_file_reads() -> None:
    items = (
        Item("volts.l1", "number", ("1",), scale=0.1, offset=3, driver=OWN),
        Item("volts.l2", "number", ("2",), scale=0.1, driver=OWN),
        Item("x", "number", ("3",), driver=OWN),
        Item("volts.l1", "number", ("4",), driver="test/other"),
        Item("x", "number", ("5",), driver="test/other"),
    )
    made = Variant(OWN, scales={"volts": 10, "volts.l2": 100}, omit=frozenset({"x"})).of(items)
    assert [(item.addresses[0], item.scale, item.offset) for item in made] == [
        ("1", 1, 3), ("2", 10, 0), ("4", 1, 0), ("5", 1, 0),
    ]  # fmt: skip
    assert [item.addresses[0] for item in Variant(OWN, omit=frozenset({"volts"})).of(items)] == ["3", "4", "5"]
    assert Variant(OWN).of(items) == items


VOLTS = (Item("volts.l1", "number", ("v",), driver=OWN), Item("x", "number", ("x",), driver=OWN))
TENTHS = Variant(OWN, between={"v": ((900, 5000),)}, scales={"volts": 0.1})
NO_X = Variant(OWN, between={"n": ((1, 1),)}, omit=frozenset({"x"}))


def test_the_numbers_of_each_poll_tell_the_variant() -> None:
    device = driver(*VOLTS, variants=(TENTHS, NO_X))
    assert decode(device, {"v": 231, "x": 5, "n": 0}, NOW) == {"volts.l1": good(231), "volts": good(231), "x": good(5)}
    assert decode(device, {"v": 2310, "x": 5, "n": 0}, NOW)["volts"] == good(231)
    assert decode(device, {"v": 2310, "x": 5, "n": 1}, NOW) == {
        "volts.l1": good(231), "volts": good(231), "x": bad("not-fitted"),
    }  # fmt: skip
    assert decode(device, {"v": 231, "x": 5, "n": Missing.TIMEOUT}, NOW)["x"] == good(5)


def test_the_items_of_a_variant_are_made_once() -> None:
    device = driver(*VOLTS, variants=(TENTHS, NO_X))
    assert device.suited({"v": 230}) is device.items
    once = device.suited({"v": 2310})
    assert device.suited({"v": 2400, "n": 0}) is once
    assert device.suited({"v": 2400, "n": 1}) is not once
    assert replace(device, items=VOLTS[:1]).suited({"v": 2310}) == once[:1]  # nor are those of another driver taken


def test_a_point_that_a_fallback_gives_all_the_same_is_not_missing() -> None:
    items = (*VOLTS, Item("x", "number", ("y",), driver="test/other"))
    assert read({"v": 231, "x": 5, "y": 6, "n": 1}, *items, variants=(NO_X,))["x"] == good(6)


# Numbers outside `valid` are none, and what nobody confirms is uncertain.


@pytest.mark.parametrize(
    ("item", "raw", "expected"),
    [
        pytest.param(Item("x", "number", ("h0",), scale=0.1, valid=(1, 9)), 1, good(0.1), id="the lowest"),
        pytest.param(Item("x", "number", ("h0",), scale=0.1, valid=(1, 9)), 9, good(0.9), id="the highest"),
        pytest.param(Item("x", "number", ("h0",), scale=0.1, valid=(1, 9)), 0, bad("not-available"), id="below, before its scale"),
        pytest.param(Item("x", "number", ("h0",), scale=0.1, valid=(1, 9)), 10, bad("not-available"), id="above"),
        pytest.param(Item("x", "number", ("h0",), valid=(1, 9), sentinels={10: "over-range"}), 10, bad("over-range"), id="a sentinel says why"),
        pytest.param(Item("x", "number", ("h0",), valid=(1, 9)), b"9.5", bad("not-available"), id="text"),
        pytest.param(Item("x", "number", ("h0",), type="u16", bits=(0, 3), valid=(0, 0xFF)), 0x0105, bad("not-available"), id="the whole register, before its bits"),
        pytest.param(Item("x", "number", ("h0",)), 10, good(10), id="without it, any"),
        pytest.param(Item("x", "number", ("h0",), unverified=True), 7, uncertain(7, UNVERIFIED), id="a number that nobody confirms"),
        pytest.param(Item("x", "number", ("h0",), unverified=True), 6000, bad("out-of-range"), id="which cannot be true"),
        pytest.param(Item("x", "number", ("h0",), unverified=True), Missing.BUSY, bad("busy"), id="or was not read"),
    ],
)  # fmt: skip
def test_a_number_is_worth_what_its_source_is(item: Item, raw: Raw, expected: Reading) -> None:
    assert read({"h0": raw}, item)["x"] == expected


def test_an_unknown_word_of_an_unverified_source_is_unknown_first() -> None:
    item = Item("mode", "enum", ("h0",), enum={1: "on"}, unverified=True)
    assert read({"h0": 2}, item)["mode"] == uncertain("unknown-2", "unknown-enum")
    assert read({"h0": 1}, item)["mode"] == uncertain("on", UNVERIFIED)


def test_the_first_value_stands_though_a_later_source_is_confirmed() -> None:
    items = (Item("x", "number", ("a",), unverified=True), Item("x", "number", ("b",)))
    assert read({"a": 1, "b": 2}, *items)["x"] == uncertain(1, UNVERIFIED)
    assert read({"a": Missing.NULL, "b": 2}, *items)["x"] == good(2)
    assert read({"a": Missing.ABSENT, "b": Missing.BUSY}, *items)["x"] == bad("busy")


def test_what_is_made_of_uncertain_phases_is_uncertain() -> None:
    sure, other = Item("volts.l1", "number", ("a",)), Item("volts.l2", "number", ("b",), unverified=True)
    assert read({"a": 1, "b": 2}, sure, other)["volts"] == uncertain(1, UNVERIFIED)
    assert read({"a": 1, "b": 2}, sure, replace(other, unverified=False))["volts"] == good(1)


def some(*members: str) -> frozenset[str]:
    return frozenset(members)


def bit(number: int, alarm: str, *, unverified: bool = False) -> Item:
    return Item("alarms", "alarm", (f"d{number}",), alarm=alarm, unverified=unverified)


@pytest.mark.parametrize(
    ("items", "answers", "expected"),
    [
        pytest.param((bit(0, "fan", unverified=True),), {"d0": 1}, uncertain(some("fan"), UNVERIFIED), id="unverified and shown"),
        pytest.param((bit(0, "fan", unverified=True),), {"d0": 0}, good(some()), id="no alarm wants no proof"),
        pytest.param((bit(0, "fan", unverified=True), bit(1, "door")), {"d0": 1, "d1": 1}, uncertain(some("fan", "door"), UNVERIFIED), id="one of two"),
        pytest.param((bit(1, "door"), bit(0, "fan", unverified=True)), {"d0": 1, "d1": 0}, uncertain(some("fan"), UNVERIFIED), id="in either order"),
        pytest.param((bit(0, "fan", unverified=True), bit(1, "door")), {"d0": 0, "d1": 1}, good(some("door")), id="the other one is sure"),
        pytest.param((bit(0, "fan", unverified=True), bit(1, "door"), bit(2, "heat")), {"d0": 1, "d1": 1, "d2": 1}, uncertain(some("fan", "door", "heat"), UNVERIFIED), id="through a third"),
        pytest.param((bit(0, "fan", unverified=True), bit(1, "door")), {"d0": 1, "d1": Missing.TIMEOUT}, uncertain(some("fan"), PARTIAL), id="one was not read"),
        pytest.param((bit(1, "door"), bit(0, "fan", unverified=True), bit(2, "heat")), {"d0": 1, "d1": Missing.BUSY, "d2": 1}, uncertain(some("fan", "heat"), PARTIAL), id="which counts for more"),
        pytest.param((bit(0, "fan"), bit(1, "door")), {"d0": Missing.BUSY, "d1": Missing.TIMEOUT}, bad("busy"), id="none was read"),
    ],
)  # fmt: skip
def test_a_set_says_why_it_is_uncertain(items: tuple[Item, ...], answers: Answers, expected: Reading) -> None:
    assert read(answers, *items)["alarms"] == expected


COUNTED = Item("alarms", "rows", ("n",), walk="w", below="1.3", enum={1: "fan"})


def test_a_count_of_alarms_is_one_only_where_nothing_lists_them() -> None:
    door = bit(1, "door")
    assert read({"w": 0, "n": 2, "d1": 0}, COUNTED, door)["alarms"] == good(some("unlisted"))
    assert read({"w": 0, "n": 2, "d1": 1}, COUNTED, door)["alarms"] == good(some("door"))
    assert read({"w": 0, "n": 2, "d1": 1}, door, COUNTED)["alarms"] == good(some("door"))
    assert read({"w": 0, "n": 2, "d1": Missing.BUSY}, COUNTED, door)["alarms"] == uncertain(some("unlisted"), PARTIAL)  # fmt: skip


# Which source is written to.


@pytest.mark.parametrize(
    ("items", "values", "image", "changes"),
    [
        pytest.param((Item("x", "number", ("h0",), type="u16", sentinels={0xFFFF: "gone"}), Item("x", "number", ("h1",), type="s16")), {"x": -5}, {"h0": 7, "h1": 0}, {"h0": 0xFFFF, "h1": 0xFFFB}, id="what the first cannot say the second does, and the first says that it has none"),
        pytest.param((Item("x", "number", ("h0",), type="u16"), Item("x", "number", ("h1",), type="s16")), {"x": -5}, {"h0": 7, "h1": 0}, {"h0": Missing.ABSENT, "h1": 0xFFFB}, id="or is taken out"),
        pytest.param((Item("x", "number", ("h0",), type="u16"), Item("x", "number", ("h1",), type="s16")), {"x": 5}, {"h0": 7, "h1": 9}, {"h0": 5}, id="the first that can"),
        pytest.param((Item("x", "number", ("h0",), type="u16", sentinels={0xFFFF: "gone"}), Item("x", "number", ("h1",), type="s16")), {"x": -5}, {"h0": 0xFFFF}, {"h1": 0xFFFB}, id="one that says nothing is left alone"),
        pytest.param((Item("mode", "enum", ("o",), enum={1: "on"}), Item("mode", "enum", ("p",), enum={7: "test"})), {"mode": "test"}, {"o": 1}, {"o": Missing.ABSENT, "p": 7}, id="a word that only the second knows"),
        pytest.param((Item("x", "number", ("Q1:0",), scale=0.1),), {"x": 23.45}, {}, {"Q1:0": b"234.5"}, id="a number on a serial line is text"),
        pytest.param((Item("x", "number", ("Q1:0",)),), {"x": 230}, {}, {"Q1:0": b"230"}, id="without a needless point"),
        pytest.param((Item("x", "number", ("Q1:0",)),), {"x": 0}, {}, {"Q1:0": b"0"}, id="0 stays 0"),
        pytest.param((Item("alarms", "number-list", ("o",), enum={5: "fan", 2: "door", 9: ""}),), {"alarms": frozenset({"fan", "door"})}, {}, {"o": b"2,5"}, id="a list of numbers"),
        pytest.param((Item("alarms", "number-list", ("o",), enum={5: "fan"}),), {"alarms": frozenset()}, {"o": b"5"}, {"o": b""}, id="an empty list"),
        pytest.param((Item("alarms", "bitmap", ("h0",), type="u16", enum={0: "fan", 9: "door", 10: "fan"}),), {"alarms": frozenset({"fan", "door"})}, {}, {"h0": 0x201}, id="a bitmap, the first bit of an alarm"),
        pytest.param((Item("alarms", "bitmap", ("h0", "h1"), type="u32", enum={0: "fan", 17: "door"}),), {"alarms": frozenset({"fan", "door"})}, {}, {"h0": 2, "h1": 1}, id="over two registers"),
        pytest.param((Item("alarms", "bitmap", ("h0", "h1"), type="u32", word_order="little", enum={0: "fan", 17: "door"}),), {"alarms": frozenset({"fan", "door"})}, {}, {"h0": 1, "h1": 2}, id="low word first"),
        pytest.param((Item("alarms", "bitmap", ("h0",), type="u16", enum={0: "fan", "other": "door"}),), {"alarms": frozenset({"door"})}, {}, {"h0": 2}, id="a bit that the map does not name"),
        pytest.param((Item("alarms", "code", ("o",), enum={5: "fan", "other": "door"}),), {"alarms": frozenset({"door"})}, {}, {"o": 6}, id="a number that the map does not name"),
        pytest.param((Item("alarms", "code", ("o",), enum={"OK": "", "FAN": "fan"}),), {"alarms": frozenset()}, {"o": b"FAN"}, {"o": b"OK"}, id="the word for no alarm"),
        pytest.param((Item("alarms", "code", ("o",), enum={5: "fan"}), Item("alarms", "code", ("p",), enum={1: "fan", 2: "door"})), {"alarms": frozenset({"fan", "door"})}, {"o": 0, "p": 0}, {"o": 5, "p": 2}, id="each alarm by the first that knows it"),
        pytest.param((Item("alarms", "code", ("o",), enum={5: "fan", 6: "door"}), Item("alarms", "code", ("p",), enum={1: "fan"})), {"alarms": frozenset({"fan", "door"})}, {"o": 0, "p": 0}, {"o": 6, "p": 1}, id="a number names one alarm at a time"),
        pytest.param((Item("alarms", "rows", ("n",), walk="w", enum={5: "fan", "HOT": "door"}),), {"alarms": frozenset({"fan", "door"})}, {"w": 1, "w.9": 7}, {"w.9": Missing.ABSENT, "w.1": b"HOT", "w.2": 5, "w": 2, "n": 2}, id="rows of numbers and texts, and their count"),
        pytest.param((Item("alarms", "rows", walk="w", below="1.3", enum={"7.41": "fan"}),), {"alarms": frozenset({"fan"})}, {}, {"w.1": "1.3.7.41", "w": 1}, id="rows of OIDs with several components"),
    ],
)  # fmt: skip
def test_a_value_is_written_where_it_reads_back(
    items: tuple[Item, ...], values: Mapping[str, Value], image: Answers, changes: Answers
) -> None:
    device = driver(*items)
    assert encode(device, values, image) == changes
    read = decode(device, {**image, **changes}, NOW)
    assert {id: read[id].value for id in values} == values or "Q1:0" in changes


def test_a_value_that_no_source_can_say_is_refused_in_the_words_of_the_last() -> None:
    device = driver(Item("x", "number", ("h0",), type="u16"), Item("x", "number", ("h1",), type="s16"))
    with pytest.raises(EncodeError, match="x = 70000 does not fit into s16"):
        encode(device, {"x": 70000}, {})


def test_a_number_that_names_one_alarm_cannot_name_two() -> None:
    device = driver(Item("alarms", "code", ("o",), enum={5: "fan", 6: "door"}))
    with pytest.raises(EncodeError, match=r"alarms cannot show fan \(known: door, fan\)"):
        encode(device, {"alarms": some("fan", "door")}, {})


def test_a_value_that_makes_it_another_variant_is_written_as_that_one_reads_it() -> None:
    device = driver(*VOLTS, variants=(Variant(OWN, between={"v": ((200, 9000),)}, scales={"volts": 0.1}),))
    assert encode(device, {"volts.l1": 230}, {"v": 5}) == {"v": 2300}
    assert encode(device, {"volts.l1": 230}, {"v": 2000}) == {"v": 2300}
    assert encode(device, {"volts.l1": 12}, {"v": 2000}) == {"v": 12}
    assert encode(driver(*VOLTS, variants=(NO_X,)), {"volts.l1": 230}, {"v": 2000}) == {"v": 230}


def test_a_value_that_lies_between_two_variants_is_refused() -> None:
    device = driver(*VOLTS, variants=(Variant(OWN, between={"v": ((200, 300),)}, scales={"volts": 0.1}),))
    with pytest.raises(EncodeError, match="with this value it would be taken for another variant"):
        encode(device, {"volts.l1": 230}, {"v": 5})


def test_a_point_that_the_variant_lacks_cannot_be_set() -> None:
    with pytest.raises(EncodeError, match="nothing gives this point in this variant"):
        encode(driver(*VOLTS, variants=(NO_X,)), {"x": 1}, {"n": 1})


@pytest.mark.parametrize("raw", [b"--5", b"+-5", b"5-", b"", b"9" * 30, b"\xb2"])
def test_what_only_looks_like_a_number_shows_nothing(raw: bytes) -> None:
    assert not shows({"a": ((-9, 9),)}, {"a": raw})
    assert shows({"a": ((-9, 9),)}, {"a": b" -5 "})


def test_what_is_no_raw_number_is_not_written() -> None:
    item = Item("x", "number", ("h0",), type="u16", valid=(0, 100))
    with pytest.raises(EncodeError, match="would be the raw value 150"):
        encode(driver(item), {"x": 150}, {})
    assert encode(driver(item, Item("x", "number", ("h1",), type="u16")), {"x": 150}, {"h0": 7})["h1"] == 150


def test_a_first_source_of_two_registers_is_not_half_overwritten() -> None:
    first = Item("x", "number", ("h0", "h1"), type="u32", sentinels={0xFFFFFFFF: "not-available"})
    second = Item("x", "number", ("h2",), type="s16")
    with pytest.raises(EncodeError, match="nor be silent"):
        encode(driver(first, second), {"x": -1}, {"h0": 0, "h1": 7})


def test_an_alarm_that_no_number_can_take_back_is_told() -> None:
    item = Item("alarms", "code", ("h0",), enum={0: "dry", 1: "wet"})
    with pytest.raises(EncodeError, match="no alarm"):
        encode(driver(item), {"alarms": frozenset()}, {"h0": 1})
