"""The inverse of decode: what is encoded reads back, and nothing else is touched."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgeagent.catalog import Driver, Kind, Point, PointType, Text
from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.encode import EncodeError, encode
from edgeagent.items import Item
from edgeagent.phases import PHASES
from edgeagent.readings import Missing, Raw, Value
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice


def trusting(driver: Driver) -> Driver:
    """Take the doubts out: a value that devices are known to make up is encoded all the same."""
    points = {id: replace(point, doubt=None) for id, point in driver.kind.points.items()}
    return replace(driver, kind=replace(driver.kind, points=points))


DRIVERS = {id: trusting(driver) for id, driver in load([drivers()]).drivers.items()}
DRIVERS["environment/moxa-iologik-e1212"] = DRIVERS["environment/moxa-iologik-e1212"].wired(
    {("contact", 1): ("smoke", True), ("contact", 2): ("water", False), ("contact", 16): ("door.front", True)}
)
SIMULATED = {id: SimulatedDevice(driver) for id, driver in DRIVERS.items()}


def settable(driver: Driver) -> list[str]:
    return sorted(
        {id for item in driver.items if item.code != "when" for id in (item.point, plain(driver, item.point))}
    )


def plain(driver: Driver, id: str) -> str:
    stem, _, phase = id.rpartition(".")
    return stem if phase in PHASES and driver.kind.points[stem].aggregate else id


def vocabulary(driver: Driver, id: str) -> Point:
    point = driver.kind.point(id)
    assert point is not None
    return point


def words(driver: Driver) -> list[str]:
    return [id for id in settable(driver) if vocabulary(driver, id).type is not PointType.SET]


SETTING = [pytest.param(driver, words(driver), id=id) for id, driver in DRIVERS.items() if words(driver)]


def sources(driver: Driver, id: str) -> list[Item]:
    """Return what encode writes for a point: its first source, or that of each of its phases."""
    own = [item for item in driver.items if item.code != "when" and item.point == id]
    rows = [next((item for item in driver.items if item.point == f"{id}.{phase}"), None) for phase in PHASES]
    return own[:1] or [item for item in rows if item is not None]


def values(driver: Driver, id: str) -> st.SearchStrategy[Value]:
    """Draw what a point of this driver can be."""
    point, item = vocabulary(driver, id), sources(driver, id)[0]
    if item.code == "enum":
        return st.sampled_from(sorted(set(item.enum.values()), key=str))
    if point.type is PointType.FLAG:
        return st.booleans()
    if point.type is PointType.TEXT:
        return st.text("abcXYZ019-", min_size=1, max_size=12)
    assert point.type is PointType.NUMBER
    low, high = point.range or (-1000.0, 1000.0)
    return st.one_of(st.floats(low, high), st.integers(math.ceil(low), math.floor(high)))


@pytest.mark.parametrize(("driver", "ids"), SETTING)
@settings(max_examples=80)
@given(data=st.data())
def test_what_is_encoded_reads_back(driver: Driver, ids: list[str], data: st.DataObject) -> None:
    id = data.draw(st.sampled_from(ids))
    value = data.draw(values(driver, id))
    image = SIMULATED[driver.id].answers
    try:
        changes = encode(driver, {id: value}, image)
    except EncodeError as error:
        assume(not any(word in str(error) for word in ("would be the raw", "does not fit into", "variant")))
        raise
    read = decode(driver, {**image, **changes}, 0.0)[id].value
    if isinstance(value, (bool, str)):
        assert read == value
        return
    items = sources(driver, id)
    low, high = vocabulary(driver, id).range or (-math.inf, math.inf)
    # Where the first source cannot say it, because it would be a sentinel there, a coarser one does.
    any_of = [abs(item.scale) for item in driver.items if plain(driver, item.point) == plain(driver, id)]
    step = sum(abs(item.scale) for item in items) if vocabulary(driver, id).aggregate == "sum" else max(any_of)
    if read is None:  # a step beyond the end of the range
        assert isinstance(value, (int, float))
        assert min(value - low, high - value) < step
    else:
        assert isinstance(read, (int, float))
        assert read == pytest.approx(value, abs=step / 2 + 1e-6, rel=1e-6)


@pytest.mark.parametrize(("driver", "ids"), SETTING)
@settings(max_examples=40)
@given(data=st.data())
def test_only_the_bits_of_the_point_itself_are_touched(driver: Driver, ids: list[str], data: st.DataObject) -> None:
    id = data.draw(st.sampled_from(ids))
    items = [item for item in driver.items if item.code != "when" and plain(driver, item.point) == plain(driver, id)]
    old = {address: data.draw(st.integers(0, 0xFFFF)) for item in items for address in item.addresses}
    image: dict[str, Raw] = {**SIMULATED[driver.id].answers, **old}
    try:
        changes = encode(driver, {id: data.draw(values(driver, id))}, image)
    except EncodeError:
        assume(False)
    assert set(changes) <= set(old)
    for item in items:
        if item.bits is not None and item.addresses[0] in changes:
            low, high = item.bits
            others = 0xFFFF & ~((1 << high - low + 1) - 1 << low)
            new = changes[item.addresses[0]]
            assert isinstance(new, int)
            assert new & others == old[item.addresses[0]] & others


def members(driver: Driver) -> list[str]:
    """Return every alarm that a driver's tables name."""
    named: set[str] = set()
    for item in driver.items:
        if item.point == "alarms":
            named |= {str(name) for name in item.enum.values()} | {item.alarm}
            named |= {
                f"{name}.{grade}" for row in item.names for name in row for grade in ("warning", "shutdown", "trip")
            }
    return sorted(name for name in named if name and not name.startswith("."))


@pytest.mark.parametrize("driver", [pytest.param(driver, id=id) for id, driver in DRIVERS.items() if members(driver)])
def test_each_alarm_can_be_shown_and_taken_away(driver: Driver) -> None:
    device = SimulatedDevice(driver)
    for member in members(driver):
        device.set("alarms", frozenset({member}))
        assert device.readings()["alarms"].value == frozenset({member})
        device.set("alarms", frozenset())
        assert device.readings()["alarms"].value == frozenset(), member


def beside_alarms(driver: Driver) -> frozenset[str]:
    """Return the points that share no register with the alarms and are not derived from anything."""
    taken = {address for item in driver.items if item.point == "alarms" for address in item.addresses}
    shared = {item.point for item in driver.items if taken & set(item.addresses)}
    return frozenset(item.point for item in driver.items if item.addresses) - shared


@pytest.mark.parametrize("driver", [pytest.param(driver, id=id) for id, driver in DRIVERS.items() if members(driver)])
@settings(max_examples=25)
@given(data=st.data())
def test_alarms_are_shown_together_and_leave_the_points_alone(driver: Driver, data: st.DataObject) -> None:
    singles = {
        frozenset(str(name) for name in item.enum.values() if name) for item in driver.items if item.code == "code"
    }
    grades: dict[str, str] = {}
    for member in data.draw(st.sets(st.sampled_from(members(driver)), max_size=6)):
        grades[member.rpartition(".")[0] or member] = member  # an alarm has one grade at a time
    wanted = frozenset(grades.values())
    image = SIMULATED[driver.id].answers
    before = decode(driver, image, 0.0)
    try:
        changes = encode(driver, {"alarms": wanted}, image)
    except EncodeError as error:
        # A number that names one alarm cannot name two.
        assert any(len(wanted & names) > 1 for names in singles), error  # noqa: PT017
        return
    after = decode(driver, {**image, **changes}, 0.0)
    assert after["alarms"].value == wanted
    for id in beside_alarms(driver) & before.keys():
        assert after[id].same(before[id])


TEXT = Text("x", "x")


def one(item: Item, type: PointType = PointType.NUMBER, *others: Item) -> Driver:
    """Return a driver of one point, its other items aside."""
    points = {"x": Point("x", type, TEXT), "alarms": Point("alarms", PointType.SET, TEXT), "y": Point("y", type, TEXT)}
    return Driver("test/one", Kind("test", TEXT, points, {}), "modbus", TEXT, "made up", DRIVERS["ups/rfc1628"].identify, (item, *others))  # fmt: skip


@pytest.mark.parametrize(
    ("item", "value", "answers"),
    [
        pytest.param(Item("x", "number", ("h0",), type="s16", scale=0.1), -12.5, {"h0": 65411}, id="s16"),
        pytest.param(Item("x", "number", ("h0", "h1"), type="u32"), 0x12345, {"h0": 1, "h1": 0x2345}, id="u32"),
        pytest.param(Item("x", "number", ("h0", "h1"), type="u32", word_order="little"), 0x12345, {"h0": 0x2345, "h1": 1}, id="u32 low first"),
        pytest.param(Item("x", "number", ("h0", "h1"), type="s32"), -1, {"h0": 0xFFFF, "h1": 0xFFFF}, id="s32"),
        pytest.param(Item("x", "number", ("h0", "h1"), type="f32"), -0.25, {"h0": 0xBE80, "h1": 0}, id="f32"),
        pytest.param(Item("x", "number", ("h0", "h1"), type="f32", word_order="little"), -0.25, {"h0": 0, "h1": 0xBE80}, id="f32 low first"),
        pytest.param(Item("x", "number", ("h0",), type="u16", offset=-40), 25, {"h0": 65}, id="offset"),
        pytest.param(Item("x", "number", ("o",), scale=60), 2400, {"o": 40}, id="scale"),
        pytest.param(Item("x", "flag", ("h0",), invert=True), True, {"h0": 0}, id="inverted flag"),
        pytest.param(Item("x", "flag", ("h0",), equals=frozenset({0, 1, 3})), False, {"h0": 2}, id="flag that equals"),
        pytest.param(Item("x", "text", ("o",)), "电池", {"o": "电池".encode()}, id="text"),
        pytest.param(Item("x", "text", ("h0", "h1", "h2")), "AB", {"h0": 65, "h1": 66, "h2": 32}, id="text in registers"),
        pytest.param(Item("x", "enum", ("o",), enum={"IDLE": "off", 2: "on"}), "off", {"o": b"IDLE"}, id="enum of words"),
    ],
)  # fmt: skip
def test_values_become_raw_answers(item: Item, value: Value, answers: Mapping[str, Raw]) -> None:
    assert encode(one(item), {"x": value}, {}) == answers


@pytest.mark.parametrize(
    ("item", "value", "message"),
    [
        pytest.param(Item("x", "number", ("h0",), type="u16"), -1, "x = -1 does not fit into u16", id="below u16"),
        pytest.param(Item("x", "number", ("h0",), type="u16"), 65536, "x = 65536 does not fit into u16", id="above u16"),
        pytest.param(Item("x", "number", ("h0",), type="s16"), 32768, "x = 32768 does not fit into s16", id="above s16"),
        pytest.param(Item("x", "number", ("h0",), type="s16"), -32769, "x = -32769 does not fit into s16", id="below s16"),
        pytest.param(Item("x", "number", ("h0",), type="u16", bits=(0, 3)), 16, "x = 16 does not fit into the bits 0 to 3", id="bits"),
        pytest.param(Item("x", "number", ("h0",), type="u16", sentinels={65535: "not-available"}), 65535, "x = 65535 would be the raw value 65535, which means not-available", id="sentinel"),
        pytest.param(Item("x", "number", ("h0",), type="s16", sentinels={0x8000: "sensor-fault"}), -32768, "x = -32768 would be the raw value 32768, which means sensor-fault", id="sentinel without its sign"),
        pytest.param(Item("x", "number", ("o",)), "many", "x = many is not a number", id="word"),
        pytest.param(Item("x", "number", ("o",)), True, "x = True is not a number", id="flag for a number"),
        pytest.param(Item("x", "number", ("o",)), math.nan, "x = nan is not a number", id="NaN"),
        pytest.param(Item("x", "number", ("o",)), math.inf, "x = inf is not a number", id="infinity"),
        pytest.param(Item("x", "flag", ("o",)), 0, "x = 0 is neither true nor false", id="number for a flag"),
        pytest.param(Item("x", "enum", ("o",), enum={1: "on", 2: "off", 3: "off"}), "of", "x = of is none of on, off", id="enum"),
        pytest.param(Item("y", "number", ("o",)), 1, "test/one has no point x that could be set", id="no such point"),
    ],
)  # fmt: skip
def test_what_a_driver_cannot_say_is_refused(item: Item, value: Value, message: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(one(item), {"x": value}, {})
    assert str(caught.value) == message


def test_a_derived_point_cannot_be_set() -> None:
    with pytest.raises(EncodeError, match=r"generator/dse-gencomm has no point mains\.healthy that could be set"):
        encode(DRIVERS["generator/dse-gencomm"], {"mains.healthy": False}, {})


def test_an_alarm_that_no_table_knows_is_refused_with_those_it_knows() -> None:
    with pytest.raises(EncodeError, match=r"alarms cannot show gas, smoke \(known: fan, heat\)"):
        encode(
            one(Item("alarms", "code", ("o",), enum={1: "heat", 2: "fan", 3: ""})),
            {"alarms": frozenset({"gas", "smoke"})},
            {},
        )


def test_a_plain_point_is_spread_over_its_phases() -> None:
    driver = DRIVERS["ups/rfc1628"]
    base = "1.3.6.1.2.1.33.1.4.4.1"
    assert encode(driver, {"output.voltage": 228}, {}) == {f"{base}.2.{phase}": 228 for phase in (1, 2, 3)}
    assert encode(driver, {"output.power": 3000}, {}) == {f"{base}.4.{phase}": 1000 for phase in (1, 2, 3)}


def test_rows_of_alarms_that_ended_are_taken_out_of_the_table() -> None:
    driver, table = DRIVERS["ups/rfc1628"], "1.3.6.1.2.1.33.1.6.2.1.2"
    image = SimulatedDevice(driver, {"alarms": frozenset({"on-battery", "battery-low"})}).answers
    assert {image[f"{table}.1"], image[f"{table}.2"], image[table]} == {
        "1.3.6.1.2.1.33.1.6.3.3",
        "1.3.6.1.2.1.33.1.6.3.2",
        2,
    }
    changes = encode(driver, {"alarms": frozenset({"on-battery"})}, image)
    assert changes[table] == 1
    assert changes[f"{table}.1"] == "1.3.6.1.2.1.33.1.6.3.2"
    assert changes[f"{table}.2"] is Missing.ABSENT


def test_values_that_share_a_register_are_encoded_one_upon_the_other() -> None:
    low, high = (
        Item("x", "number", ("h0",), type="u16", bits=(0, 7)),
        Item("y", "number", ("h0",), type="u16", bits=(8, 15)),
    )
    assert encode(one(low, PointType.NUMBER, high), {"x": 0x12, "y": 0x34}, {"h0": 0xFFFF}) == {"h0": 0x3412}
