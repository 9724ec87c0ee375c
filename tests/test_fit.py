"""Which driver a device fits, how sure that is, and which variant of its family it is."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.catalog import Driver, Kind, Point, PointType, Text
from edgeagent.config import Device
from edgeagent.devices import DeviceState
from edgeagent.endpoint import parse
from edgeagent.fit import SYS_DESCR, SYS_OBJECT_ID, SYSTEM, Sure, best, fits, suited
from edgeagent.items import Identify, Item, Variant
from edgeagent.readings import Answers, Missing, Reading

TEXT = Text("x", "x")
POINTS = {
    id: Point(id, PointType.NUMBER, TEXT, "V", phases=True) for id in ("input.voltage", "output.voltage", "runtime")
}
SILENT = (Missing.TIMEOUT, Missing.LINK_DOWN, Missing.GATEWAY, Missing.DENIED, Missing.BUSY, Missing.MALFORMED)
"""What does not say whether an object is there."""


def driver(
    *ways: Identify,
    id: str = "test/one",
    protocol: str = "modbus",
    items: tuple[Item, ...] = (),
    variants: tuple[Variant, ...] = (),
) -> Driver:
    return Driver(id, Kind("test", TEXT, POINTS, {}), protocol, TEXT, "made up", ways, items, variants=variants)


# Each kind of evidence by itself has three values.


TEXTUAL = Identify(texts={("t",): "(?i)huawei"})
SPREAD = Identify(texts={("h1", "h2", "h3"): "^DSE ?$"})
BETWEEN = Identify(between={"h1": ((0, 1000), (64536, 65535))})
TWO_RANGES = Identify(between={"h1": ((1, 5),), "h2": ((7, 9),)})
GONE = Identify(absent=("h1",))
UNLESS = Identify(requires=("o",), unless={("t",): "Monitor"})


@pytest.mark.parametrize(
    ("way", "answers", "verdict"),
    [
        pytest.param(TEXTUAL, {"t": b"HUAWEI UPS2000"}, True, id="the text matches anywhere"),
        pytest.param(TEXTUAL, {"t": b"Huaw"}, False, id="the text does not match"),
        pytest.param(TEXTUAL, {"t": b""}, False, id="the text is empty"),
        pytest.param(TEXTUAL, {"t": 5}, False, id="a number is no text"),
        pytest.param(TEXTUAL, {"t": Missing.ABSENT}, False, id="there is no text"),
        pytest.param(TEXTUAL, {"t": Missing.TIMEOUT}, None, id="the text was not read"),
        pytest.param(TEXTUAL, {}, None, id="the text was not asked"),
        pytest.param(SPREAD, {"h1": 0x44, "h2": 0x53, "h3": 0x45}, True, id="one letter a register"),
        pytest.param(SPREAD, {"h1": 0x4453, "h2": 0x4520, "h3": 0x2020}, True, id="two letters a register"),
        pytest.param(SPREAD, {"h1": 0x4453, "h2": 0x4500, "h3": 0x5858}, True, id="NUL ends the text"),
        pytest.param(SPREAD, {"h1": 0x4453, "h2": 0x45, "h3": 0x58}, False, id="other letters"),
        pytest.param(SPREAD, {"h1": -1, "h2": 10**9, "h3": 0}, False, id="no registers at all"),
        pytest.param(SPREAD, {"h1": 0x4453, "h2": 0x4520, "h3": Missing.TIMEOUT}, None, id="a register was not read"),
        pytest.param(SPREAD, {"h1": 0x4453, "h2": 0x4520, "h3": Missing.ABSENT}, False, id="a register is refused"),
        pytest.param(BETWEEN, {"h1": 0}, True, id="the lowest number of a range"),
        pytest.param(BETWEEN, {"h1": 1000}, True, id="the highest"),
        pytest.param(BETWEEN, {"h1": 65535}, True, id="the second range"),
        pytest.param(BETWEEN, {"h1": 1001}, False, id="between the ranges"),
        pytest.param(BETWEEN, {"h1": b" 5 "}, True, id="a number in a string"),
        pytest.param(BETWEEN, {"h1": b"5 V"}, False, id="text is no number"),
        pytest.param(BETWEEN, {"h1": Missing.ABSENT}, False, id="no register there"),
        pytest.param(BETWEEN, {"h1": Missing.BUSY}, None, id="busy"),
        pytest.param(BETWEEN, {}, None, id="the number was not asked"),
        pytest.param(TWO_RANGES, {"h1": 3, "h2": 8}, True, id="all registers lie in their ranges"),
        pytest.param(TWO_RANGES, {"h1": 3, "h2": 6}, False, id="to identify by, one register does not do"),
        pytest.param(TWO_RANGES, {"h1": Missing.TIMEOUT, "h2": 6}, False, id="one is silent and one is wrong"),
        pytest.param(TWO_RANGES, {"h1": 3, "h2": Missing.TIMEOUT}, None, id="one is right and one is silent"),
        pytest.param(GONE, {"h1": Missing.ABSENT}, True, id="refused as it must be"),
        pytest.param(GONE, {"h1": Missing.NULL}, True, id="empty is absent"),
        pytest.param(GONE, {"h1": Missing.ERROR}, True, id="an exception of its own is a refusal too"),
        pytest.param(GONE, {"h1": 0}, False, id="it answers where it must not"),
        pytest.param(GONE, {}, None, id="the absent one was not asked"),
        pytest.param(UNLESS, {"o": 1, "t": b"Monitor 3"}, False, id="a text that must not match does"),
        pytest.param(UNLESS, {"o": 1, "t": b"UPS"}, True, id="it does not match"),
        pytest.param(UNLESS, {"o": 1, "t": Missing.ABSENT}, True, id="what is absent matches nothing"),
        pytest.param(UNLESS, {"o": 1, "t": Missing.TIMEOUT}, None, id="what was not read may match"),
        pytest.param(UNLESS, {"o": Missing.ABSENT, "t": Missing.TIMEOUT}, False, id="wrong whatever the text"),
        pytest.param(Identify(requires=("a", "b")), {"a": Missing.ABSENT}, None, id="the other one was not asked"),
        pytest.param(Identify(requires=("a", "b")), {"a": Missing.TIMEOUT, "b": 0}, True, id="0 is a value"),
        pytest.param(Identify(requires=("a",)), {"a": Missing.ERROR}, None, id="a failure of its own tells nothing"),
        pytest.param(Identify(equals={"h1": frozenset({7})}), {}, None, id="the register was not asked"),
        pytest.param(Identify(sys_object_ids=("1.3.6.1.4.1.9",)), {SYS_OBJECT_ID: b"1.3.6.1.4.1.9"}, False, id="an object id is no octets"),
        pytest.param(Identify(sys_descr="^APC"), {SYS_DESCR: "1.3.6"}, False, id="a description is no object id"),
        pytest.param(Identify(sys_descr="施耐德"), {SYS_DESCR: "施耐德电气".encode("gbk")}, True, id="a description in GBK"),
        pytest.param(Identify(rank=30), {"h1": 1}, None, id="nothing to tell it by"),
    ],
)  # fmt: skip
def test_evidence_is_for_or_against_or_not_there(way: Identify, answers: Answers, verdict: bool | None) -> None:
    assert fits(driver(way), answers) is verdict


@pytest.mark.parametrize("missing", SILENT)
@pytest.mark.parametrize(
    "way", [TEXTUAL, SPREAD, BETWEEN, GONE, Identify(requires=("t",)), Identify(equals={"t": frozenset({1})})]
)
def test_silence_is_no_evidence(way: Identify, missing: Missing) -> None:
    assert fits(driver(way), dict.fromkeys(way.addresses, missing)) is None


ALL = Identify(
    5, ("1.3.6.1.4.1.9",), "^Acme", ("r",), {"e": frozenset({1})}, {("t",): "UPS"}, {"b": ((1, 2),)}, ("a",), {("u",): "PDU"},
)  # fmt: skip
WHOLE: Answers = {
    SYS_OBJECT_ID: "1.3.6.1.4.1.9.1", SYS_DESCR: b"Acme card", "r": 1, "e": 1, "t": b"UPS", "b": 2,
    "a": Missing.ABSENT, "u": b"UPS",
}  # fmt: skip


def test_a_way_holds_when_all_that_it_asks_for_does() -> None:
    assert fits(driver(ALL), WHOLE) is True


@pytest.mark.parametrize(
    ("address", "wrong"),
    [(SYS_OBJECT_ID, "1.3.6.1.4.1.8"), (SYS_DESCR, b"Cisco"), ("r", b""), ("e", 2), ("t", b"PDU"), ("b", 3), ("a", 1), ("u", b"PDU")],
)  # fmt: skip
def test_one_thing_that_is_wrong_is_enough_and_one_that_is_silent_leaves_it_open(
    address: str, wrong: int | bytes
) -> None:
    assert fits(driver(ALL), {**WHOLE, address: wrong}) is False
    assert fits(driver(ALL), {**WHOLE, address: Missing.TIMEOUT}) is None


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (1, 1, True), (1, 0, True), (0, 1, True), (1, Missing.TIMEOUT, True), (Missing.TIMEOUT, 1, True),
        (0, 0, False), (0, Missing.TIMEOUT, None), (Missing.TIMEOUT, 0, None), (Missing.TIMEOUT, Missing.TIMEOUT, None),
    ],
)  # fmt: skip
def test_of_several_ways_one_is_enough_and_only_all_can_be_wrong(
    first: int | Missing, second: int | Missing, verdict: bool | None
) -> None:
    ways = (Identify(equals={"a": frozenset({1})}), Identify(equals={"b": frozenset({1})}))
    assert fits(driver(*ways), {"a": first, "b": second}) is verdict


def test_a_driver_without_a_way_never_tells() -> None:
    assert fits(driver(), WHOLE) is None
    assert best([driver()], WHOLE) == []


# Of several drivers that fit.


def found(*drivers: Driver, answers: Answers = WHOLE) -> list[tuple[str, str]]:
    return [(driver.id, sure.value) for driver, sure in best(list(drivers), answers)]


def test_the_highest_rank_comes_first_then_the_most_witnesses_then_the_order_of_the_catalogue() -> None:
    drivers = [
        driver(Identify(10, requires=("r",)), id="t/generic"),
        driver(Identify(20, requires=("r",)), id="t/first"),
        driver(Identify(20, requires=("r",)), id="t/second"),
        driver(Identify(20, ("1.3.6.1.4.1.9",), requires=("r",)), id="t/vendor"),
        driver(Identify(30, requires=("e",)), id="t/model"),
        driver(Identify(90, ("1.3.6.1.4.1.8",)), id="t/other"),
        driver(Identify(90, requires=("silent",)), id="t/open"),
    ]
    assert [id for id, _ in found(*drivers)] == ["t/model", "t/vendor", "t/first", "t/second", "t/generic"]


def test_a_driver_counts_with_the_best_of_its_ways_that_hold() -> None:
    several = driver(
        Identify(5, requires=("r",)), Identify(40, ("1.3.6.1.4.1.8",)), Identify(20, ("1.3.6.1.4.1.9",), requires=("r",)),
        id="t/several", protocol="snmp",
    )  # fmt: skip
    rival = driver(Identify(21, requires=("r",)), id="t/rival", protocol="snmp")
    assert found(several, rival) == [("t/rival", "likely"), ("t/several", "certain")]
    weaker = driver(Identify(19, requires=("r",)), id="t/weaker", protocol="snmp")
    assert found(weaker, several) == [("t/several", "certain"), ("t/weaker", "likely")]


def test_witnesses_of_one_rank_decide_within_a_driver_too() -> None:
    ways = (Identify(20, requires=("r",)), Identify(20, ("1.3.6.1.4.1.9",), requires=("r",)))
    assert found(driver(*ways, protocol="snmp")) == [("test/one", "certain")]


@pytest.mark.parametrize("more", [
    Identify(20, ("1.3.6.1.4.1.9",), "^Acme"), Identify(20, ("1.3.6.1.4.1.9",), texts={("t",): "UPS"}),
    Identify(20, ("1.3.6.1.4.1.9",), equals={"e": frozenset({1})}), Identify(20, ("1.3.6.1.4.1.9",), between={"b": ((1, 2),)}),
], ids=["description", "text", "register", "range"])  # fmt: skip
def test_every_kind_of_evidence_is_a_witness(more: Identify) -> None:
    plain = driver(Identify(20, ("1.3.6.1.4.1.9",)), id="t/plain")
    assert found(plain, driver(more)) == [("test/one", "certain"), ("t/plain", "likely")]


@pytest.mark.parametrize(
    ("way", "protocol", "sure"),
    [
        pytest.param(Identify(sys_object_ids=("1.3.6.1.4.1.9",), requires=("r",)), "snmp", Sure.CERTAIN, id="a name and what such a device has"),
        pytest.param(Identify(sys_object_ids=("1.3.6.1.4.1.9",)), "snmp", Sure.LIKELY, id="a name alone"),
        pytest.param(Identify(sys_descr="^Acme"), "snmp", Sure.LIKELY, id="a description alone"),
        pytest.param(Identify(requires=("r",)), "snmp", Sure.LIKELY, id="the objects of a standard"),
        pytest.param(Identify(requires=("r",)), "serial", Sure.LIKELY, id="the commands of a standard"),
        pytest.param(Identify(requires=("r",)), "modbus", Sure.GUESS, id="a register that answers"),
        pytest.param(Identify(requires=("r",), between={"b": ((1, 2),)}, absent=("a",)), "modbus", Sure.GUESS, id="a shape"),
        pytest.param(Identify(between={"b": ((1, 2),)}), "snmp", Sure.GUESS, id="a number of an object"),
        pytest.param(Identify(equals={"e": frozenset({1})}), "modbus", Sure.LIKELY, id="one identity register"),
        pytest.param(Identify(equals={"e": frozenset({1}), "r": frozenset({1})}), "modbus", Sure.CERTAIN, id="two of them"),
        pytest.param(Identify(texts={("t",): "UPS"}), "modbus", Sure.LIKELY, id="its name in registers"),
        pytest.param(Identify(texts={("t",): "UPS"}, between={"b": ((1, 2),)}), "modbus", Sure.CERTAIN, id="its name and a number"),
        pytest.param(Identify(requires=("r",), unless={("t",): "PDU"}), "modbus", Sure.GUESS, id="not to be another is no name"),
    ],
)  # fmt: skip
def test_what_was_seen_tells_how_sure_it_is(way: Identify, protocol: str, sure: Sure) -> None:
    assert found(driver(replace(way, rank=20), protocol=protocol)) == [("test/one", sure.value)]


def test_a_standard_is_never_certain_whatever_it_looks_at() -> None:
    way = Identify(10, ("1.3.6.1.4.1.9",), "^Acme", ("r",))
    assert found(driver(way, protocol="snmp")) == [("test/one", "likely")]
    assert found(driver(replace(way, rank=11), protocol="snmp")) == [("test/one", "certain")]
    assert found(driver(replace(way, requires=()), protocol="snmp")) == [("test/one", "guess")]


# Variants: the card tells once, the numbers of each poll may tell more.

ITEMS = (
    Item("input.voltage", "number", ("1",), driver="test/one"),
    Item("output.voltage.l1", "number", ("2",), scale=0.5, driver="test/one"),
    Item("runtime", "number", ("3",), driver="test/one"),
    Item("runtime", "number", ("4",), driver="test/other"),
)
BY_ID = Variant("test/one", ("1.3.6.1.4.1.9", "1.3.6.1.4.1.10"), scales={"output.voltage": 0.1})
BY_TEXT = Variant("test/one", texts={("t",): "^v2"}, omit=frozenset({"runtime"}))
BY_BOTH = Variant("test/one", ("1.3.6.1.4.1.9",), {("t",): "^v2"}, scales={"input.voltage": 10})


def scales(made: Driver) -> dict[str, float]:
    return {item.addresses[0]: item.scale for item in made.items}


@pytest.mark.parametrize(
    ("variant", "answers", "expected"),
    [
        pytest.param(BY_ID, {SYS_OBJECT_ID: "1.3.6.1.4.1.9.1"}, {"1": 1, "2": 0.05, "3": 1, "4": 1}, id="one of its prefixes"),
        pytest.param(BY_ID, {SYS_OBJECT_ID: "1.3.6.1.4.1.10"}, {"1": 1, "2": 0.05, "3": 1, "4": 1}, id="another one"),
        pytest.param(BY_ID, {SYS_OBJECT_ID: "1.3.6.1.4.1.90"}, {"1": 1, "2": 0.5, "3": 1, "4": 1}, id="like digits"),
        pytest.param(BY_ID, {SYS_OBJECT_ID: Missing.TIMEOUT}, {"1": 1, "2": 0.5, "3": 1, "4": 1}, id="what was not read makes no variant"),
        pytest.param(BY_TEXT, {"t": b"v2.1"}, {"1": 1, "2": 0.5, "4": 1}, id="firmware; another file's source stays"),
        pytest.param(BY_TEXT, {"t": b"v1"}, {"1": 1, "2": 0.5, "3": 1, "4": 1}, id="other firmware"),
        pytest.param(BY_TEXT, {"t": Missing.TIMEOUT}, {"1": 1, "2": 0.5, "3": 1, "4": 1}, id="firmware unread"),
        pytest.param(BY_BOTH, {SYS_OBJECT_ID: "1.3.6.1.4.1.9", "t": b"v2"}, {"1": 10, "2": 0.5, "3": 1, "4": 1}, id="both hold"),
        pytest.param(BY_BOTH, {SYS_OBJECT_ID: "1.3.6.1.4.1.9", "t": b"v1"}, {"1": 1, "2": 0.5, "3": 1, "4": 1}, id="one does not"),
        pytest.param(BY_BOTH, {SYS_OBJECT_ID: "1.3.6.1.4.1.8", "t": b"v2"}, {"1": 1, "2": 0.5, "3": 1, "4": 1}, id="nor the other"),
    ],
)  # fmt: skip
def test_the_card_tells_which_variant_it_is(variant: Variant, answers: Answers, expected: dict[str, float]) -> None:
    made = suited(driver(items=ITEMS, variants=(variant,)), answers)
    assert scales(made) == pytest.approx(expected)
    assert made.variants == ()


def test_variants_of_a_card_add_up_and_touch_what_it_is_too() -> None:
    device = replace(driver(items=ITEMS, variants=(BY_ID, BY_TEXT, BY_BOTH)), identity=(Item("runtime", "text", ("m",), driver="test/one"),))  # fmt: skip
    made = suited(device, {SYS_OBJECT_ID: "1.3.6.1.4.1.9", "t": b"v2"})
    assert scales(made) == pytest.approx({"1": 10, "2": 0.05, "4": 1})
    assert made.identity == ()


def test_what_the_numbers_tell_stays_open_where_the_card_does_not_speak_against_it() -> None:
    ranges = {"1": ((700.0, 7000.0),)}
    mixed = Variant("test/one", ("1.3.6.1.4.1.9",), {("t",): "^v2"}, ranges, {"input.voltage": 0.1})
    free = Variant("test/one", between=ranges, scales={"output.voltage": 2})
    device = driver(items=ITEMS, variants=(mixed, free))
    ours = suited(device, {SYS_OBJECT_ID: "1.3.6.1.4.1.9", "t": b"v2", "1": 2300})
    assert ours.items == ITEMS
    assert ours.variants == (replace(mixed, sys_object_ids=(), texts={}), free)
    assert [item.scale for item in ours.suited({"1": 2300})] == [0.1, 1, 1, 1]
    assert suited(device, {SYS_OBJECT_ID: "1.3.6.1.4.1.9", "t": b"v1"}).variants == (free,)


def test_a_driver_without_variants_is_the_same_for_every_card() -> None:
    device = driver(items=ITEMS)
    assert suited(device, WHOLE) is device


def test_devices_with_the_same_card_share_one_driver_whatever_else_they_say() -> None:
    device = driver(items=ITEMS, variants=(BY_ID, BY_TEXT))
    one, other = ({SYS_OBJECT_ID: "1.3.6.1.4.1.9", "t": b"v1", "1": volts} for volts in (2300, 2310))
    assert suited(device, one) is suited(device, other)
    assert suited(device, one) is not suited(device, {**one, "t": b"v2"})
    assert scales(suited(device, one)) != scales(suited(device, {**one, "t": b"v2"}))


# In service.


def state_of(device: Driver) -> DeviceState:
    url = "snmp://192.0.2.7" if device.protocol == "snmp" else "modbus://192.0.2.7?unit=1"
    return DeviceState(Device("d", TEXT, device, parse(url), None, 2.0, 1.0, 2.0, {}))


VOLTS = (Item("input.voltage", "number", ("h1",), type="u16", driver="test/one"),)


def test_a_driver_that_only_has_a_shape_is_not_asked_for_proof_in_service() -> None:
    state = state_of(driver(Identify(3, requires=("h9",), between={"h8": ((1, 2),)}), items=VOLTS))
    assert state.wants(0.0) == (("h1",), ())
    state.take({"h1": 230, "h9": Missing.ABSENT, "h8": 77}, 0.0)  # though it lost what it is found by
    assert state.readings["identity"] == Reading("match", 0.0)
    assert state.readings["input.voltage"] == Reading(230, 0.0)


@pytest.mark.parametrize(
    ("way", "proof"),
    [
        pytest.param(Identify(10, requires=("h9",)), (*SYSTEM, "h9"), id="an object of its own"),
        pytest.param(Identify(20, ("1.3.6.1.4.1.9",), between={"h8": ((1, 2),)}, absent=("h7",)), (*SYSTEM, "h8", "h7"), id="its vendor and more"),
    ],
)  # fmt: skip
def test_over_snmp_the_objects_of_a_standard_are_proof(way: Identify, proof: tuple[str, ...]) -> None:
    variant = Variant("test/one", texts={("t",): "x"})
    state = state_of(driver(way, protocol="snmp", items=VOLTS, variants=(variant,)))
    assert state.wants(0.0)[0] == (*proof, "t", "h1")


def test_one_that_says_it_is_something_else_gives_a_mismatch_and_no_value() -> None:
    state = state_of(driver(Identify(20, texts={("h8", "h9"): "^DSE"}), items=VOLTS))
    state.take({"h1": 230, "h8": 0x4443, "h9": 0x5020}, 0.0)
    assert state.readings == {
        "reachable": Reading(True, 0.0), "identity": Reading("mismatch", 0.0),
        "input.voltage": Reading.bad("profile-mismatch", 0.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"h8": Missing.BUSY, "h9": Missing.TIMEOUT}, "busy"),
        ({"h8": 0x4453, "h9": Missing.ERROR}, "error"),
        ({"h8": Missing.TIMEOUT, "h9": 0x4520}, "timeout"),
    ],
)
def test_one_that_cannot_say_what_it_is_is_not_believed(answers: dict[str, Missing | int], reason: str) -> None:
    state = state_of(driver(Identify(20, texts={("h8", "h9"): "^DSE"}), items=VOLTS))
    for now in (0.0, 1.0, 2.0):
        state.take({"h1": 230, **answers}, now)
    assert state.readings == {
        "reachable": Reading(False, 2.0, reason=reason),
        "input.voltage": Reading.bad(reason, 2.0),
    }
