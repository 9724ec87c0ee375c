"""Raw answers to readings: one table a rule of the wire, and nothing that a device says raises."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.catalog import Catalog, Driver, Kind, Point, PointType, Text
from edgeagent.decode import decode, identity
from edgeagent.driverfiles import load
from edgeagent.fit import SYS_DESCR, SYS_OBJECT_ID, fits, suited
from edgeagent.items import Identify, Item, Variant
from edgeagent.readings import PARTIAL, Answers, Missing, Quality, Raw, Reading, Value
from edgeagent.resources import drivers
from edgeagent.rules import parse
from edgeagent.simulator import SimulatedDevice
from edgeagent.values import SENTINELS, text_of

CATALOG: Catalog = load([drivers()])
DRIVERS = [pytest.param(driver, id=driver.id) for driver in CATALOG.drivers.values()]
RFC = CATALOG.drivers["ups/rfc1628"]
DSE = CATALOG.drivers["generator/dse-gencomm"]
APC = CATALOG.drivers["ups/apc-powernet"]
NOW = 1_700_000_000.0
TEXT = Text("x", "x")
UPS = "1.3.6.1.2.1.33.1"


def number(
    id: str = "x", *, between: tuple[float, float] | None = None, aggregate: str | None = None, phases: bool = False
) -> Point:
    return Point(id, PointType.NUMBER, TEXT, "V", between, aggregate=aggregate, phases=phases)


def flag(id: str) -> Point:
    return Point(id, PointType.FLAG, TEXT)


def driver(*items: Item, protocol: str = "modbus", **points: Point) -> Driver:
    return Driver("test/one", Kind("test", TEXT, points, {}), protocol, TEXT, "made up", (), items)


def read(item: Item, answers: Answers, point: Point | None = None) -> Reading:
    """Read one item by a driver that has nothing else."""
    return decode(driver(item, x=point or number(item.point)), answers, NOW)["x"]


def good(value: Value) -> Reading:
    return Reading(value, NOW)


def bad(reason: str) -> Reading:
    return Reading.bad(reason, NOW)


def words(raw: int, count: int, first: int = 0, *, little: bool = False) -> dict[str, Raw]:
    """Spread a number over registers."""
    parts = [raw >> 16 * place & 0xFFFF for place in range(count)]
    return {f"h{first + step}": word for step, word in enumerate(parts if little else reversed(parts))}


def single(value: float) -> int:
    return int.from_bytes(struct.pack(">f", value), "big")


GENCOMM = SENTINELS["gencomm"]
ONE, TWO, FOUR = ("h0",), ("h0", "h1"), ("h0", "h1", "h2", "h3")


@pytest.mark.parametrize(
    ("item", "answers", "expected"),
    [
        pytest.param(Item("x", "number", ONE, type="u16"), {"h0": 65535}, good(65535), id="u16 has no sign"),
        pytest.param(Item("x", "number", ONE, type="s16"), {"h0": 65535}, good(-1), id="s16 has one"),
        pytest.param(Item("x", "number", ONE, type="s16"), {"h0": 0x8000}, good(-32768), id="s16 lowest"),
        pytest.param(
            Item("x", "number", ONE, type="s16", scale=0.1), {"h0": 65411}, good(-12.5), id="sign, then scale"
        ),
        pytest.param(Item("x", "number", TWO, type="u32"), words(0x00012345, 2), good(0x12345), id="u32 high first"),
        pytest.param(
            Item("x", "number", TWO, type="u32", word_order="little"),
            words(0x00012345, 2, little=True),
            good(0x12345),
            id="u32 low first",
        ),
        pytest.param(Item("x", "number", TWO, type="s32"), words(-70000, 2), good(-70000), id="s32 high first"),
        pytest.param(
            Item("x", "number", TWO, type="s32", word_order="little"),
            words(-70000, 2, little=True),
            good(-70000),
            id="s32 low first",
        ),
        pytest.param(Item("x", "number", FOUR, type="u64"), words(2**40 + 7, 4), good(2**40 + 7), id="u64"),
        pytest.param(Item("x", "number", TWO, type="f32"), words(single(231.3), 2), good(231.3), id="f32"),
        pytest.param(Item("x", "number", TWO, type="f32"), words(single(-0.25), 2), good(-0.25), id="f32 negative"),
        pytest.param(
            Item("x", "number", TWO, type="f32"), words(single(math.nan), 2), bad("not-available"), id="f32 NaN"
        ),
        pytest.param(
            Item("x", "number", TWO, type="f32"), words(single(math.inf), 2), bad("not-available"), id="f32 infinite"
        ),
        pytest.param(Item("x", "number", ONE, scale=0.1), {"h0": 2313}, good(231.3), id="no binary dust"),
        pytest.param(Item("x", "number", ONE, scale=0.1, offset=-40), {"h0": 650}, good(25), id="scale, then offset"),
        pytest.param(Item("x", "number", ONE, type="u16", bits=(4, 7)), {"h0": 0xABCD}, good(0xC), id="nibble"),
        pytest.param(Item("x", "number", ONE, type="u16", bits=(12, 15)), {"h0": 0xABCD}, good(0xA), id="top nibble"),
        pytest.param(Item("x", "number", ("o",)), {"o": -5}, good(-5), id="SNMP INTEGER"),
        pytest.param(Item("x", "number", ("o",), scale=0.1), {"o": b"2301"}, good(230.1), id="number in a string"),
        pytest.param(Item("x", "number", ("o",)), {"o": b" 230.1 V"}, good(230.1), id="number with its unit"),
        pytest.param(Item("x", "number", ("o",)), {"o": b"n/a"}, bad("malformed"), id="words for a number"),
        pytest.param(Item("x", "number", ("o",)), {"o": b"  "}, bad("null"), id="blanks for a number"),
        pytest.param(Item("x", "number", ("o",)), {"o": "1.3.6.1"}, bad("malformed"), id="OID for a number"),
        pytest.param(Item("x", "number", ("o",)), {"o": 18.5}, good(18.5), id="float of the host"),
        pytest.param(Item("x", "number", ("o",)), {"o": math.nan}, bad("malformed"), id="NaN of the host"),
        pytest.param(Item("x", "number", ("o",)), {"o": 10**400}, bad("malformed"), id="more than 64 bits"),
        pytest.param(Item("x", "number", ("o",)), {"o": b"9" * 400}, bad("malformed"), id="400 digits"),
        pytest.param(Item("x", "number", TWO, type="u32"), {"h0": 1}, bad("timeout"), id="half a number"),
        pytest.param(Item("x", "number", TWO, type="u32"), {"h0": 1, "h1": b"1"}, bad("malformed"), id="half a string"),
    ],
)
def test_a_raw_number_becomes_a_value(item: Item, answers: Answers, expected: Reading) -> None:
    assert read(item, answers) == expected


@pytest.mark.parametrize(
    ("item", "answers", "reason"),
    [
        pytest.param(Item("x", "number", ("o",), scale=0.1, sentinels={-1: "not-fitted"}), {"o": -1}, "not-fitted", id="SNMP"),
        pytest.param(Item("x", "number", ("o",), sentinels={-1: "not-fitted"}), {"o": b"-1"}, "not-fitted", id="string"),
        pytest.param(Item("x", "number", ONE, type="u16", sentinels=GENCOMM["u16"]), {"h0": 0xFFFC}, "sensor-fault", id="u16"),
        pytest.param(Item("x", "number", ONE, type="s16", sentinels=GENCOMM["s16"]), {"h0": 0x7FFF}, "not-available", id="s16"),
        pytest.param(Item("x", "number", ONE, type="s16", sentinels={0x8000: "sensor-fault"}), {"h0": 0x8000}, "sensor-fault", id="s16 unsigned"),
        pytest.param(Item("x", "number", TWO, type="u32", sentinels=GENCOMM["u32"]), words(0xFFFFFFFE, 2), "over-range", id="u32"),
        pytest.param(Item("x", "number", TWO, type="s32", sentinels=GENCOMM["s32"]), words(0x7FFFFFFD, 2), "under-range", id="s32"),
        pytest.param(Item("x", "number", TWO, type="f32", sentinels={0xFFFFFFFF: "not-fitted"}), words(0xFFFFFFFF, 2), "not-fitted", id="f32"),
        pytest.param(Item("x", "number", ONE, bits=(0, 3), sentinels={0xFFFF: "not-available"}), {"h0": 0xFFFF}, "not-available", id="whole register, before its bits"),
        pytest.param(Item("x", "enum", ONE, sentinels={15: "not-fitted"}, enum={15: "on"}), {"h0": 15}, "not-fitted", id="enum"),
    ],
)  # fmt: skip
def test_a_sentinel_is_found_in_the_raw_number_before_sign_bits_and_scale(
    item: Item, answers: Answers, reason: str
) -> None:
    assert read(item, answers) == bad(reason)


def test_half_of_a_long_number_may_look_like_a_sentinel() -> None:
    item = Item("x", "number", TWO, type="u32", sentinels={0: "not-fitted", 0xFFFF: "not-available"})
    assert read(item, words(0x0000FFFE, 2)) == good(0xFFFE)
    assert read(item, words(0x0001FFFF, 2)) == good(0x1FFFF)
    assert read(item, words(0xFFFF, 2)) == bad("not-available")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (0, good(0)),
        (250, good(250)),
        (251, bad("out-of-range")),
        (-1, bad("out-of-range")),
    ],
)
def test_what_cannot_be_true_is_out_of_range(raw: int, expected: Reading) -> None:
    assert read(Item("x", "number", ("o",)), {"o": raw}, number(between=(0, 250))) == expected


WORDS = Item("x", "enum", ("o",), enum={1: "off", 2: "on", "IDLE": "off"})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(2, good("on"), id="known"),
        pytest.param(b"2", good("on"), id="in a string"),
        pytest.param(2.0, good("on"), id="as a float"),
        pytest.param(b"IDLE\0", good("off"), id="a word"),
        pytest.param(7, Reading("unknown-7", NOW, Quality.UNCERTAIN, "unknown-enum"), id="unknown number"),
        pytest.param(b"HUH", Reading("unknown-HUH", NOW, Quality.UNCERTAIN, "unknown-enum"), id="unknown word"),
        pytest.param(Missing.NULL, bad("null"), id="NULL"),
    ],
)
def test_an_unknown_enum_is_uncertain(raw: Raw, expected: Reading) -> None:
    assert read(WORDS, {"o": raw}, Point("x", PointType.ENUM, TEXT, values=("off", "on"))) == expected


@pytest.mark.parametrize(
    ("item", "raw", "expected"),
    [
        pytest.param(Item("x", "flag", ONE), 1, True, id="set"),
        pytest.param(Item("x", "flag", ONE), 0, False, id="clear"),
        pytest.param(Item("x", "flag", ONE, invert=True), 0, True, id="inverted"),
        pytest.param(Item("x", "flag", ONE, bits=(3, 3)), 0b1000, True, id="bit 3"),
        pytest.param(Item("x", "flag", ONE, bits=(3, 3)), 0b10111, False, id="all other bits"),
        pytest.param(Item("x", "flag", ONE, equals=frozenset({2, 3})), 3, True, id="equals"),
        pytest.param(Item("x", "flag", ONE, equals=frozenset({2, 3})), 1, False, id="equals another"),
        pytest.param(Item("x", "enum", ONE, bits=(8, 9), enum={0: False, 1: True}), 0x1FF, True, id="bits with words"),
        pytest.param(Item("x", "enum", ONE, bits=(8, 9), enum={0: False, 1: True}), 0xF0FF, False, id="bits off"),
    ],
)
def test_a_flag_is_read(item: Item, raw: int, expected: bool) -> None:
    assert read(item, {"h0": raw}, flag("x")) == good(expected)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(b"Smart-UPS 1500", "Smart-UPS 1500", id="ASCII"),
        pytest.param("不间断电源".encode(), "不间断电源", id="UTF-8"),
        pytest.param("山特 C1KS".encode("gbk"), "山特 C1KS", id="GBK"),
        pytest.param(b"25 \xb0", "25 °", id="Latin-1"),
        pytest.param(b"Galaxy\0\xff\xff", "Galaxy", id="ends at NUL"),
        pytest.param(b"  two \r\n\x07 words ", "two words", id="control characters"),
        pytest.param(b"\xff\xfe", "ÿþ", id="no text at all"),
    ],
)
def test_text_is_read_in_the_encodings_of_the_cards(raw: bytes, text: str) -> None:
    assert text_of(raw) == text
    assert read(Item("x", "text", ("o",)), {"o": raw}).value == text


@pytest.mark.parametrize(
    ("item", "answers", "expected"),
    [
        pytest.param(Item("x", "text", ("o",)), {"o": b"\0\0"}, bad("null"), id="empty"),
        pytest.param(Item("x", "text", ("o",)), {"o": 29}, good("29"), id="a number for a name"),
        pytest.param(Item("x", "text", ("o",), sentinels={"FFFF": "not-available"}), {"o": b"FFFF"}, bad("not-available"), id="sentinel"),
        pytest.param(Item("x", "text", ("h0", "h1", "h2")), {"h0": 0x41, "h1": 0x54, "h2": 0x53}, good("ATS"), id="one a register"),
        pytest.param(Item("x", "text", ("h0", "h1")), {"h0": 0x4154, "h1": 0x5320}, good("ATS"), id="two a register"),
        pytest.param(Item("x", "text", ("h0", "h1")), {"h0": 0x41, "h1": Missing.BUSY}, bad("busy"), id="half of it"),
    ],
)  # fmt: skip
def test_text_has_its_oddities(item: Item, answers: Answers, expected: Reading) -> None:
    assert read(item, answers, Point("x", PointType.TEXT, TEXT)) == expected


@pytest.mark.parametrize("missing", list(Missing))
def test_what_is_missing_stays_with_its_own_point(missing: Missing) -> None:
    answers: Answers = SimulatedDevice(RFC).answers
    whole = decode(RFC, answers, NOW)
    holed = decode(RFC, {**answers, f"{UPS}.2.4.0": missing}, NOW)
    assert holed.pop("battery.charge") == bad(missing.value)
    del whole["battery.charge"]
    assert holed == whole


def test_only_what_was_asked_is_read() -> None:
    assert decode(RFC, {f"{UPS}.2.5.0": 2180}, NOW)["battery.voltage"] == good(218)
    assert "battery.charge" not in decode(RFC, {f"{UPS}.2.5.0": 2180}, NOW)


def test_the_origin_of_replaced_answers_goes_along() -> None:
    readings = decode(RFC, SimulatedDevice(RFC).answers, NOW, "drill-7")
    assert {reading.origin for reading in readings.values()} == {"drill-7"}


# Several sources of one point.


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(995, 99, good(99.5), id="the first wins"),
        pytest.param(Missing.ABSENT, 99, good(99), id="the first is not there"),
        pytest.param(-1, 99, good(99), id="the first is a sentinel"),
        pytest.param(b"?", 99, good(99), id="the first is garbage"),
        pytest.param(9999, 99, good(99), id="the first cannot be"),
        pytest.param(Missing.ABSENT, Missing.TIMEOUT, bad("timeout"), id="absence says less than silence"),
        pytest.param(Missing.TIMEOUT, Missing.ABSENT, bad("timeout"), id="whatever the order"),
        pytest.param(Missing.ABSENT, Missing.ABSENT, bad("absent"), id="neither is there"),
    ],
)
def test_of_alternatives_the_first_with_a_value_counts(first: Raw, second: Raw, expected: Reading) -> None:
    fine = Item("x", "number", ("a",), scale=0.1, sentinels={-1: "not-fitted"})
    device = driver(fine, Item("x", "number", ("b",)), x=number(between=(0, 100)))
    assert decode(device, {"a": first, "b": second}, NOW)["x"] == expected


ALARMS = Point("alarms", PointType.SET, TEXT)


def partial(*members: str) -> Reading:
    return Reading(frozenset(members), NOW, Quality.UNCERTAIN, PARTIAL)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param(1, 2, good(frozenset({"fan", "door"})), id="united"),
        pytest.param(0, 0, good(frozenset()), id="none"),
        pytest.param(1, Missing.ABSENT, good(frozenset({"fan"})), id="one is not there"),
        pytest.param(1, Missing.TIMEOUT, partial("fan"), id="the second is silent"),
        pytest.param(Missing.TIMEOUT, 2, partial("door"), id="the first is silent"),
        pytest.param(0, Missing.ERROR, partial(), id="the second is broken and the first has nothing"),
        pytest.param(Missing.TIMEOUT, Missing.TIMEOUT, bad("timeout"), id="both are silent"),
        pytest.param(9, 0, good(frozenset({"unknown-9"})), id="a number without a name"),
        pytest.param(3, 0, good(frozenset()), id="a number that is no alarm"),
        pytest.param(8, 2, good(frozenset({"door"})), id="a sentinel"),
    ],
)
def test_a_set_is_the_union_of_its_sources(a: Raw, b: Raw, expected: Reading) -> None:
    device = driver(
        Item("alarms", "code", ("a",), enum={1: "fan", 3: ""}, sentinels={8: "not-available"}),
        Item("alarms", "alarm", ("b",), alarm="door", equals=frozenset({2})),
        alarms=ALARMS,
    )
    assert decode(device, {"a": a, "b": b}, NOW)["alarms"] == expected


TABLE = f"{UPS}.6.2.1.2"


@pytest.mark.parametrize(
    ("rows", "members"),
    [
        pytest.param({}, set(), id="empty table"),
        pytest.param({"1": f"{UPS}.6.3.2", "7": f"{UPS}.6.3.3"}, {"on-battery", "battery-low"}, id="two rows"),
        pytest.param({"1": f"{UPS}.6.3.99"}, {f"unknown-{UPS}.6.3.99"}, id="a well-known alarm of later days"),
        pytest.param({"1": "1.3.6.1.4.1.9.9"}, {"unknown-1.3.6.1.4.1.9.9"}, id="an alarm of the vendor"),
        pytest.param({"1": "0.0"}, set(), id="a row that points nowhere"),
        pytest.param({"1": 5, "2": b"x", "3": Missing.NULL}, set(), id="rows that are no OID"),
    ],
)
def test_alarm_rows_name_alarms(rows: Mapping[str, Raw], members: set[str]) -> None:
    answers: Answers = {TABLE: len(rows), **{f"{TABLE}.{index}": raw for index, raw in rows.items()}}
    assert decode(RFC, answers, NOW)["alarms"] == good(frozenset(members))


def test_an_alarm_table_that_failed_is_unknown_and_one_that_is_absent_is_empty() -> None:
    assert decode(RFC, {TABLE: Missing.TIMEOUT}, NOW)["alarms"] == bad("timeout")
    assert decode(RFC, {TABLE: Missing.ABSENT}, NOW)["alarms"] == good(frozenset())


@pytest.mark.parametrize(
    ("raw", "members"),
    [
        pytest.param(b"0" * 64, set(), id="none"),
        pytest.param(b"01" + b"0" * 62, {"on-battery"}, id="the second flag"),
        pytest.param(b"01", {"on-battery"}, id="a short string"),
        pytest.param(b"1" + b"0" * 63, set(), id="on line is no alarm"),
        pytest.param(b"UNKNOWN", set(), id="the card has lost its UPS"),
    ],
)
def test_a_flag_string_counts_from_one(raw: bytes, members: set[str]) -> None:
    flags = "1.3.6.1.4.1.318.1.1.1.11.1.1.0"
    assert decode(APC, {flags: raw}, NOW)["alarms"] == good(frozenset(members))


@pytest.mark.parametrize(
    ("word", "members"),
    [
        pytest.param(0x1111, set(), id="all healthy"),
        pytest.param(0x2111, {"emergency-stop.warning"}, id="the top nibble is the first"),
        pytest.param(0x1341, {"oil-pressure-low.shutdown", "coolant-temperature-high.trip"}, id="two at once"),
        pytest.param(0x1115, {"oil-temperature-high.shutdown"}, id="grade 5 is a shutdown too"),
        pytest.param(0x0F86, set(), id="grades without a meaning"),
        pytest.param(0xFFFF, set(), id="not implemented"),
    ],
)
def test_gencomm_alarms_come_four_a_register(word: int, members: set[str]) -> None:
    assert decode(DSE, {"h2049": word}, NOW)["alarms"] == bad("timeout")
    page = next(item.addresses for item in DSE.items if item.addresses[:1] == ("h2049",))
    whole = {**dict.fromkeys(page, 0x1111), "h2049": word}
    assert decode(DSE, whole, NOW)["alarms"] == good(frozenset(members))


# Rows, aggregates, doubts and what is derived.


def rows(voltages: tuple[Raw, Raw, Raw], side: str = "4.4.1.2") -> dict[str, Raw]:
    return {f"{UPS}.{side}.{number}": raw for number, raw in enumerate(voltages, 1)}


@pytest.mark.parametrize(
    ("voltages", "fitted", "lowest"),
    [
        pytest.param((231, 0, 0), 1, good(231), id="a single-phase unit shows two rows of zeros"),
        pytest.param((231, -1, -1), 1, good(231), id="or of minus ones"),
        pytest.param((231, Missing.ABSENT, Missing.ABSENT), 1, good(231), id="or none"),
        pytest.param((231, 0, 230), 3, good(0), id="one dead row is a lost phase"),
        pytest.param((0, 0, 0), 3, good(0), id="all dead is an output that is off"),
        pytest.param((231, Missing.TIMEOUT, Missing.TIMEOUT), 3, bad("timeout"), id="rows that were not read may be there"),
        pytest.param((231, Missing.BUSY, Missing.ERROR), 3, bad("busy"), id="nor does a refusal say they are not"),
    ],
)  # fmt: skip
def test_rows_that_are_not_there_are_told_from_lost_phases(
    voltages: tuple[Raw, Raw, Raw], fitted: int, lowest: Reading
) -> None:
    readings = decode(RFC, rows(voltages), NOW)
    gone = [id for id in ("l1", "l2", "l3") if readings[f"output.voltage.{id}"].reason in ("not-fitted", "absent")]
    assert len(gone) == 3 - fitted
    assert readings["output.voltage"] == lowest


def test_three_phases_in_and_one_out_keeps_its_input() -> None:
    readings = decode(RFC, {**rows((231, 0, 0)), **rows((230, 0, 229), "3.3.1.3")}, NOW)
    assert readings["output.voltage.l2"] == bad("not-fitted")
    assert readings["input.voltage.l2"] == good(0)
    assert readings["input.voltage"] == good(0)


@pytest.mark.parametrize(
    ("aggregate", "values", "expected"),
    [
        pytest.param("min", (3, 1, 2), good(1), id="min"),
        pytest.param("max", (3, 1, 2), good(3), id="max"),
        pytest.param("sum", (3, 1, 2), good(6), id="sum"),
        pytest.param("sum", (3, Missing.ABSENT, Missing.ABSENT), good(3), id="of one phase"),
        pytest.param("min", (3, Missing.TIMEOUT, 2), bad("timeout"), id="not of some phases"),
        pytest.param("min", (Missing.NULL,) * 3, bad("null"), id="of none"),
    ],
)
def test_the_plain_point_is_made_of_its_phases(aggregate: str, values: tuple[Raw, ...], expected: Reading) -> None:
    items = (Item(f"x.l{phase}", "number", (f"o{phase}",)) for phase in (1, 2, 3))
    device = driver(*items, x=number(phases=True, aggregate=aggregate))
    assert decode(device, {f"o{phase}": raw for phase, raw in enumerate(values, 1)}, NOW)["x"] == expected


def test_a_point_that_the_device_gives_itself_is_not_made() -> None:
    items = (Item("x", "number", ("o",)), Item("x.l1", "number", ("o1",)))
    device = driver(*items, x=number(phases=True, aggregate="min"))
    assert decode(device, {"o": 7, "o1": 9}, NOW)["x"] == good(7)
    assert decode(device, {"o": Missing.ABSENT, "o1": 9}, NOW)["x"] == good(9)


@pytest.mark.parametrize(
    ("values", "point", "reason"),
    [
        pytest.param({"battery.runtime": 0, "battery.charge": 100}, "battery.runtime", "implausible", id="no time left, battery full"),
        pytest.param({"battery.runtime": 0, "source": "battery", "battery.charge": 3}, "battery.runtime", None, id="no time left on battery"),
        pytest.param({"battery.runtime": 0, "source": "battery", "battery.charge": 95}, "battery.runtime", "implausible", id="on battery, and never a time"),
        pytest.param({"output.voltage": 0, "output.load": 40, "source": "normal"}, "output.voltage", "implausible", id="load without volts"),
        pytest.param({"output.voltage": 0, "output.load": 0, "source": "off"}, "output.voltage", None, id="off"),
        pytest.param({"battery.runtime": 0, "battery.charge": 5}, "battery.runtime", None, id="no time left, battery empty"),
        pytest.param({"battery.temperature": 0}, "battery.temperature", "implausible", id="frost in the battery"),
        pytest.param({"output.power": 0, "output.load": 40}, "output.power", "implausible", id="load without power"),
        pytest.param({"output.power": 0, "output.load": 0}, "output.power", None, id="no load"),
    ],
)  # fmt: skip
def test_what_devices_make_up_is_doubted(values: Mapping[str, Value], point: str, reason: str | None) -> None:
    readings = SimulatedDevice(RFC, values).readings()
    assert readings[point].reason == reason
    assert (readings[point].value is None) is (reason is not None)


@pytest.mark.parametrize(
    ("mains", "alarms", "expected"),
    [
        pytest.param(230, 0x1111, good(True), id="mains there"),
        pytest.param(100, 0x1111, good(False), id="mains low"),
        pytest.param(230, 0x1121, good(False), id="the controller says it failed"),
        pytest.param(100, Missing.TIMEOUT, good(False), id="one false is enough"),
        pytest.param(230, Missing.TIMEOUT, bad("unknown"), id="the alarms were not read"),
        pytest.param(Missing.TIMEOUT, 0x1111, bad("unknown"), id="the voltage was not read"),
    ],
)
def test_a_derived_flag_has_three_values(mains: int | Missing, alarms: Raw, expected: Reading) -> None:
    answers = dict(SimulatedDevice(DSE).answers)
    for first in (1060, 1062, 1064):
        answers |= (
            {f"h{first}": mains, f"h{first + 1}": mains} if isinstance(mains, Missing) else words(mains * 10, 2, first)
        )
    assert decode(DSE, {**answers, "h2058": alarms}, NOW)["mains.healthy"] == expected


def test_a_derived_flag_steps_in_where_the_device_does_not_tell() -> None:
    items = (Item("runs", "flag", ("r",)), Item("runs", "when", when=parse("x > 100")), Item("x", "number", ("x",)))
    device = driver(*items, runs=flag("runs"), x=number())
    assert decode(device, {"r": 0, "x": 1500}, NOW)["runs"] == good(False)
    assert decode(device, {"r": Missing.ABSENT, "x": 1500}, NOW)["runs"] == good(True)
    assert decode(device, {"r": Missing.ABSENT, "x": Missing.TIMEOUT}, NOW)["runs"] == bad("unknown")


def test_wired_contacts_read_in_the_sense_the_site_gives_them() -> None:
    device = CATALOG.drivers["environment/moxa-iologik-e1212"]
    wired = device.wired({("contact", 1): ("smoke", True), ("contact", 3): ("door.front", False)})
    assert wired.gets == ("d0", "d2")
    readings = decode(wired, {"d0": 1, "d2": 1}, NOW)
    assert readings == {"smoke": good(False), "door.front": good(True)}
    assert decode(wired, {"d0": Missing.TIMEOUT, "d2": 0}, NOW)["smoke"] == bad("timeout")


def test_a_card_that_scales_otherwise_is_told_by_its_object_id() -> None:
    answers = rows((2302, 0, 0))
    tenths = Variant(RFC.id, sys_object_ids=("1.3.6.1.4.1.2254.2.5",), scales={"output.voltage": 0.1})
    odd = replace(RFC, variants=(tenths,))
    for own, read in (("5", good(230.2)), ("5.1", good(230.2)), ("50", bad("out-of-range"))):
        card = {SYS_OBJECT_ID: f"1.3.6.1.4.1.2254.2.{own}"}
        assert decode(suited(odd, card), answers, NOW)["output.voltage.l1"] == read


# What a device is.


SNMP, MODBUS = driver(protocol="snmp"), driver(protocol="modbus")
ASKED = replace(SNMP, identify=(Identify(sys_object_ids=("1.3.6.1.4.1.318",), requires=("a", "b")),))
DESCRIBED = replace(SNMP, identify=(Identify(sys_descr="^APC "),))
REGISTERS = replace(MODBUS, identify=(Identify(equals={"h1": frozenset({7}), "h2": frozenset({8, 9})}),))


@pytest.mark.parametrize(
    ("device", "answers", "verdict"),
    [
        pytest.param(ASKED, {SYS_OBJECT_ID: "1.3.6.1.4.1.318.1", "a": 1, "b": Missing.ABSENT}, True, id="one of its objects answers"),
        pytest.param(ASKED, {SYS_OBJECT_ID: "1.3.6.1.4.1.318", "a": Missing.ABSENT, "b": Missing.NULL}, False, id="none does"),
        pytest.param(ASKED, {SYS_OBJECT_ID: "1.3.6.1.4.1.318", "a": b"", "b": b""}, False, id="they are empty"),
        pytest.param(ASKED, {SYS_OBJECT_ID: "1.3.6.1.4.1.318", "a": Missing.TIMEOUT, "b": Missing.ABSENT}, None, id="one was not read"),
        pytest.param(ASKED, {SYS_OBJECT_ID: "1.3.6.1.4.1.3180", "a": 1}, False, id="another vendor with like digits"),
        pytest.param(ASKED, {SYS_OBJECT_ID: Missing.TIMEOUT, "a": 1}, None, id="no word who it is"),
        pytest.param(ASKED, {SYS_OBJECT_ID: Missing.ABSENT, "a": 1}, False, id="it does not say who it is"),
        pytest.param(DESCRIBED, {SYS_DESCR: b"APC Web/SNMP"}, True, id="the description fits"),
        pytest.param(DESCRIBED, {SYS_DESCR: b"Cisco"}, False, id="it does not"),
        pytest.param(DESCRIBED, {SYS_DESCR: Missing.TIMEOUT}, None, id="it was not read"),
        pytest.param(DESCRIBED, {SYS_DESCR: Missing.ABSENT}, False, id="there is none"),
        pytest.param(REGISTERS, {"h1": 7, "h2": 9}, True, id="both registers fit"),
        pytest.param(REGISTERS, {"h1": 7, "h2": 1}, False, id="one does not"),
        pytest.param(REGISTERS, {"h1": 7, "h2": Missing.TIMEOUT}, None, id="one is silent"),
        pytest.param(REGISTERS, {"h1": Missing.TIMEOUT, "h2": 1}, False, id="silent and wrong is wrong"),
        pytest.param(REGISTERS, {"h1": Missing.ABSENT, "h2": Missing.TIMEOUT}, False, id="absent and silent is wrong"),
        pytest.param(REGISTERS, {"h1": Missing.TIMEOUT, "h2": Missing.ABSENT}, False, id="in either order"),
        pytest.param(REGISTERS, {"h1": Missing.BUSY, "h2": 8}, None, id="busy says nothing"),
        pytest.param(REGISTERS, {"h1": Missing.MALFORMED, "h2": Missing.ERROR}, None, id="nor does garbage"),
    ],
)  # fmt: skip
def test_a_device_fits_or_not_or_does_not_tell(device: Driver, answers: Answers, verdict: bool | None) -> None:
    assert fits(device, answers) is verdict


def test_identity_takes_the_first_source_that_says_something() -> None:
    answers: Answers = {
        f"{UPS}.1.1.0": b"",
        f"{UPS}.1.1": b"Minuteman",
        f"{UPS}.1.3.0": b"00.00",
        f"{UPS}.1.4.0": b"4.2",
    }
    assert identity(RFC, answers, NOW) == {"vendor": "Minuteman", "model": None, "firmware": "4.2"}


# Whatever comes.

RAW = st.one_of(
    st.sampled_from(list(Missing)),
    st.integers(0, 0xFFFF),
    st.integers(-(2**70), 2**70),
    st.sampled_from([10**400, -(10**5000)]),
    st.floats(),
    st.binary(max_size=80),
    st.sampled_from([b"9" * 5000, b"0" * 64, b"-1", b"1e999", "1.3.6.1." + "9" * 5000]),
    st.text("0123456789.", max_size=40),
)


@pytest.mark.parametrize("device", DRIVERS)
@settings(max_examples=12)
@given(data=st.data())
def test_no_answer_ever_raises(device: Driver, data: st.DataObject) -> None:
    own = [address for item in device.identity for address in item.addresses]
    addresses = (*device.gets, *device.walks, *own, *device.proofs, SYS_OBJECT_ID, SYS_DESCR)
    below = [f"{walk}.{index}" for walk in device.walks for index in range(3)]
    pool = data.draw(st.lists(RAW, min_size=1, max_size=8))
    seed = data.draw(st.randoms(use_true_random=False))
    answers = {address: seed.choice(pool) for address in (*addresses, *below) if seed.random() < 0.9}
    for id, reading in decode(device, answers, NOW).items():
        point = device.kind.point(id)
        assert (reading.value is None) is (reading.quality is Quality.BAD)
        assert (reading.reason is None) is (reading.quality is Quality.GOOD)
        assert not isinstance(reading.value, float) or math.isfinite(reading.value)
        if point is not None and point.range is not None and "." not in id and isinstance(reading.value, (int, float)):
            assert point.range[0] <= reading.value <= point.range[1]
    assert all(isinstance(word, (str, type(None))) for word in identity(device, answers, NOW).values())
    assert fits(device, answers) in (True, False, None)


@given(raw=st.binary(max_size=200))
def test_text_is_always_printable(raw: bytes) -> None:
    assert text_of(raw).isprintable()
