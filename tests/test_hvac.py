"""Air conditioners and their gateways: raw registers worked out by hand from the makers' tables, to what people see."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from edgeagent.catalog import Catalog, Driver
from edgeagent.decode import decode, identity
from edgeagent.driverfiles import load
from edgeagent.fit import SYS_OBJECT_ID, best, suited
from edgeagent.probe import Found
from edgeagent.readings import UNVERIFIED, Missing, Quality, Raw, Reading, Value
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice

pytestmark = pytest.mark.disable_socket

CATALOG: Final[Catalog] = load([drivers()])
HVAC: Final = [driver for driver in CATALOG.drivers.values() if driver.kind.id == "hvac"]
NOW: Final = 1_700_000_000.0


def at(table: str, first: int, *words: int) -> dict[str, Raw]:
    """Return words in consecutive registers or bits."""
    return {f"{table}{first + place}": word for place, word in enumerate(words)}


def none(table: str, *places: int) -> dict[str, Raw]:
    """Return registers or bits that hold nothing."""
    return {f"{table}{place}": 0 for place in places}


def card(system: str, base: str, objects: Mapping[str, Raw]) -> dict[str, Raw]:
    """Return what an SNMP card shows, below one OID."""
    return {SYS_OBJECT_ID: system, **{f"{base}.{place}": raw for place, raw in objects.items()}}


def text(first: int, shown: str, count: int) -> dict[str, Raw]:
    """Return a text with two characters a register, as the InRow maps have it."""
    raw = shown.encode().ljust(2 * count, b"\0")
    return {f"h{first + place}": int.from_bytes(raw[2 * place : 2 * place + 2], "big") for place in range(count)}


def read(driver: Driver, image: Mapping[str, Raw]) -> Mapping[str, Reading]:
    """Decode an image; what it does not name the device does not have."""
    whole: dict[str, Raw] = {address: image.get(address, Missing.ABSENT) for address in driver.gets}
    for walk in driver.walks:
        rows = {address: raw for address, raw in image.items() if address.startswith(f"{walk}.")}
        whole |= {walk: len(rows), **rows}
    asked = {**dict.fromkeys(driver.proofs, Missing.ABSENT), **image}
    return decode(suited(driver, asked), whole, NOW)


POWERNET: Final = "1.3.6.1.4.1.318.1.1"
APC: Final = "1.3.6.1.4.1.318.1.3.99"
STULZ: Final = "1.3.6.1.4.1.29462.10.2.1"
EVENTS: Final = (
    *range(33, 39), 91, 93, 97, 98, 107, 108, *range(208, 216), 217, *range(223, 231), *range(231, 243),
    *range(344, 347), *range(499, 505), *range(599, 603), *range(604, 611),
)  # fmt: skip

# Each in good order: 23 degrees wanted, 24 measured.
ICOM: Final = {
    "i99": 1, "i101": 1, "i500": 230, "h22": 230, "i564": 240, "i129": 480, "i268": 1,
    **none("d", 90, *EVENTS), "d24": 1, "d232": 1,
}  # fmt: skip
XDC: Final = {"i386": 130, "i388": 1, "i415": 1, "i416": 0, "i421": 1}
XDP: Final = none("d", *range(23), *range(261, 266))
C7000: Final = {"h0": 7, "d1013": 1, "d1010": 0, "c8": 0, "d1014": 0, "c1022": 0, "h1192": 240}
C2020: Final = {"h0": 12, "c0": 0, "c1": 1, **none("d", *range(13, 28))}
UNIFLAIR: Final = at("d", 1, 1, 1, 0, 0, 0, 0, 0)
# 73.4, 60.8 and 75.2 degrees Fahrenheit, in tenths, high word first.
SC: Final = {
    "h0": 0, **at("h", 1, 0, 734), **text(53, "ACSC101", 10), **text(63, "YK0716110141", 10), **text(73, "2.1.1", 4),
    "h87": 1, **at("h", 94, 0, 608), **at("h", 96, 0, 752),
}  # fmt: skip
RC2: Final = {"h0": 0, **at("h", 1, 0, 52, 0, 48), **at("h", 5, 0, 734), **at("h", 7, 0, 644)}
CAREL: Final = none("c", *range(28, 43))
INTESIS: Final = {
    "h0": 1, "h1": 4, "h4": 230, "h5": 240, "h10": 0, "h11": 0, "h14": 2, "h15": 1, "h44": 0, "h49": 0x0500, "h50": 26,
}  # fmt: skip
MULTI: Final = {**at("h", 0, 0, 1, 0, 23, 1, 0, 0, 24, 0, 0, 1)}
DIII: Final = {
    "i0": 0b11, **at("i", 1, 1, 0, 0, 0), **at("i", 5, 0, 0, 0, 0),
    **at("i", 2000, 0b0010_0000_1010_1001, 2, 230, 0, 240, 0), **at("i", 3600, 0x3030, 0),
}  # fmt: skip
EKMBPP1: Final = {**at("i", 20, 2, 0, 255, 2400), "h3": 3, "h5": 1}
HITACHI: Final = {
    **at("h", 2000, 1, 0, 0),
    **at("h", 2009, 1, 0, 1, 23, 0, 0, 24, 16),
    "h2019": 0,
    "h2022": 2,
    "h2024": 33,
}
HAIER: Final = {"c0": 1, **at("h", 0, 23, 1, 4, 1), **at("i", 0, 24, 0, 0)}
LG: Final = {"c0": 1, "i2": 240, "i99": 0, **at("h", 0, 0, 230)}
XCT: Final = {**at("d", 0, 1, 1), "c0": 1, **at("i", 0, 24, 0, 0x7FFF)}
SIGNATURE: Final = at("i", 290, *b"GR-1-MB-B", 0, 0, 0)
ONOKOM: Final = {"c1": 1, "c20": 1, **at("h", 1, 2, 2, 2400, 3300, 2300, 2), "i1": 0, **SIGNATURE}
VRF: Final = {
    "c10001": 1, "c10020": 1, **at("h", 10001, 2, 2, 2400, 3300, 2300, 2), "i10001": 0,
    **at("i", 290, *b"MD-VRF-MB-B\0"),
}  # fmt: skip
INROW_RC: Final = card(APC, f"{POWERNET}.13.3.2", {
    "2.2.1.0": 2, "1.2.2.0": 230, "2.2.9.0": 160, "2.2.11.0": 240, "2.2.16.0": 557, "2.2.27.0": 1,
    "2.1.4.0": b"ACRC103", "2.1.5.0": b"JK1", "2.1.6.0": b"3.2.0",
})  # fmt: skip
INROW_SC: Final = card(APC, f"{POWERNET}.13.3.4", {
    "1.2.1.0": 2, "2.2.2.0": 230, "1.2.9.0": 160, "1.2.11.0": 240, "1.2.24.0": 600, "1.2.32.0": 2, "1.2.33.0": 1,
    "1.1.3.0": b"ACSC101", "1.1.4.0": b"YK1", "1.1.5.0": b"2.1.1",
})  # fmt: skip
COOLING: Final = card(APC, f"{POWERNET}.27.1.4", {
    "1.2.1.2.1.2": b"Supply Air Temperature", "1.2.1.3.1.2": 159, "1.2.1.4.1.2": b"C", "1.2.1.5.1.2": 10,
    "1.2.1.2.1.4": b"Return Air Temperature", "1.2.1.3.1.4": 240, "1.2.1.4.1.4": b"C",
    "2.2.1.4.1.1": 1, "2.2.1.5.1.1": b"Standby(0),On(1),Idle(2),Maintenance(3)",
})  # fmt: skip
WIB: Final = card("1.3.6.1.4.1.29462.10", STULZ, {
    "4.1.1.1.1013.1.1.1": 1, "1.1.1.1.1.1.1.1192.1.1.1": 240, "1.1.1.1.1.1.1.1170.1.1.1": 235,
    "1.1.1.1.1.1.1.1193.1.1.1": 160, "1.1.1.1.2.1.1.1194.1.1.1": 480, "4.4.1.1.1.1010.1.1.1": 0,
})  # fmt: skip

WARM: Final[Mapping[str, Value | None]] = {"running": True, "setpoint": 23, "return.temperature": 24}
SPLIT: Final[Mapping[str, Value | None]] = {**WARM, "unit.connected": True, "mode": "cool"}
Case = tuple[str, Mapping[str, Raw], Mapping[str, Raw], Mapping[str, Value | None], set[str]]
CASES: Final[Mapping[str, Case]] = {
    # Vertiv SL-28170
    "icom cools": ("liebert-icom", ICOM, {}, {**WARM, "state": "on", "humidity": 48, "fan": True, "compressor": True, "unit.connected": True}, set()),
    "icom off on purpose": ("liebert-icom", ICOM, {"i99": 0, "d24": 0, "i268": 0, "d231": 1, "d232": 0}, {"running": False, "state": "off"}, set()),
    "icom in standby": ("liebert-icom", ICOM, {"i99": 2, "d236": 1}, {"running": False, "state": "standby"}, set()),
    "icom by its wish": ("liebert-icom", ICOM, {"i500": Missing.ABSENT, "h22": 215}, {"setpoint": 21.5}, set()),
    "icom by what it does": ("liebert-icom", ICOM, {"i500": 225, "h22": 215}, {"setpoint": 22.5}, set()),
    "icom high pressure": ("liebert-icom", ICOM, {"i101": 16, "d36": 1}, {}, {"high-pressure", "unit-alarm"}),
    "icom no air": ("liebert-icom", ICOM, {"i101": 32, "d34": 1, "d234": 1}, {}, {"airflow-loss", "unit-alarm", "unit-trip"}),
    "icom warning": ("liebert-icom", ICOM, {"i101": 8, "d208": 1}, {}, {"unit-warning", "supply-temperature-high"}),
    "icom warm return": ("liebert-icom", ICOM, {"i564": 361}, {"return.temperature": 36.1}, {"return-temperature-high"}),
    "icom below zero": ("liebert-icom", ICOM, {"i564": 65411}, {"return.temperature": -12.5}, set()),
    "icom leak detector broken": ("liebert-icom", ICOM, {"d227": 1}, {}, {"sensor-fault"}),
    "icom fire": ("liebert-icom", ICOM, {"d228": 1}, {}, {"smoke"}),
    "icom without its team": ("liebert-icom", ICOM, {"d91": 1}, {"return.temperature": 24}, {"comms-lost"}),
    "xdc cools": ("liebert-xdc", XDC, {}, {"running": True, "compressor": True, "state": "on"}, set()),
    "xdc abnormal": ("liebert-xdc", XDC, {"i421": 32, "i415": 0}, {"compressor": False}, {"unit-alarm"}),
    "xdp water and smoke": ("liebert-xdp", XDP, {"d20": 1, "d21": 1}, {"unit.connected": True}, {"water", "smoke"}),
    "xdp no flow, no power": ("liebert-xdp", XDP, {"d0": 1, "d18": 1}, {}, {"pump-fault", "power-fault"}),
    "xdp warm water": ("liebert-xdp", XDP, {"d5": 1, "d2": 1}, {}, {"coolant-abnormal", "fan-fault"}),
    # Stulz
    "c7000 cools": ("stulz-c7000", C7000, {}, {"running": True, "return.temperature": 24}, set()),
    "c7000 alarm": ("stulz-c7000", C7000, {"d1010": 1, "d1014": 1}, {}, {"unit-alarm", "maintenance-due"}),
    "c7000 stopped by the timer": ("stulz-c7000", C7000, {"d1013": 0, "c1003": 1}, {"running": False}, set()),
    "c7000 in fahrenheit": ("stulz-c7000", C7000, {"c1022": 1, "h1192": 752}, {"return.temperature": None}, set()),
    "c2020 fails": ("stulz-c2020", C2020, {"d20": 1, "d21": 1, "d27": 1}, {"running": True}, {"high-pressure", "airflow-loss", "compressor-fault"}),
    "c2020 room": ("stulz-c2020", C2020, {"d14": 1, "d18": 1, "d26": 1, "d22": 1}, {}, {"return-temperature-high", "humidity-abnormal", "filter-dirty", "smoke"}),
    "wib": ("stulz-wib", WIB, {}, {"running": True, "return.temperature": 24, "supply.temperature": 16, "humidity": 48}, set()),
    "wib alarm": ("stulz-wib", WIB, {f"{STULZ}.4.4.1.1.1.1010.1.1.1": 1, f"{STULZ}.4.1.1.1.1013.1.1.1": 0}, {"running": False}, {"unit-alarm"}),
    # Schneider and APC
    "uniflair": ("uniflair-le", UNIFLAIR, {}, {"running": True, "fan": True, "compressor": True}, set()),
    "uniflair off": ("uniflair-le", UNIFLAIR, at("d", 1, 0, 0), {"running": False, "compressor": False}, set()),
    "inrow sc": ("inrow-sc", SC, {}, {**WARM, "state": "on", "supply.temperature": 16}, set()),
    "inrow sc idle": ("inrow-sc", SC, {"h87": 2, "h0": 2}, {"running": False, "state": "idle"}, set()),
    "inrow sc critical": ("inrow-sc", SC, {"h0": 8, **at("h", 96, 0, 986)}, {"return.temperature": 37}, {"unit-alarm", "return-temperature-high"}),
    "inrow sc frost": ("inrow-sc", SC, {"h0": 4, **at("h", 94, 0xFFFF, 0xFF9C)}, {"supply.temperature": -23.333333}, {"unit-warning"}),
    "inrow rc2": ("inrow-rc2", RC2, {}, {"setpoint": 23}, set()),
    "inrow rc2 warns": ("inrow-rc2", RC2, {"h0": 2}, {}, {"unit-warning"}),
    "inrow rc2 critical": ("inrow-rc2", RC2, {"h0": 3}, {}, {"unit-alarm"}),
    "inrow rc card": ("apc-inrow-rc", INROW_RC, {}, {**WARM, "state": "on", "supply.temperature": 16, "fan": True}, set()),
    "inrow rc leaks": ("apc-inrow-rc", INROW_RC, {f"{POWERNET}.13.3.2.2.2.27.0": 2, f"{POWERNET}.13.3.1.2.1.3.1": b"Leak Detected"}, {}, {"water", "unit-alarm"}),
    "inrow rc half its supply": ("apc-inrow-rc", INROW_RC, {f"{POWERNET}.13.3.1.2.1.3.1": b"Power Source B Failure", f"{POWERNET}.13.3.1.2.1.3.2": b"Fan Power Supply Right Fault"}, {}, {"power-fault", "fan-fault"}),
    "inrow rc idle": ("apc-inrow-rc", INROW_RC, {f"{POWERNET}.13.3.2.2.2.1.0": 3}, {"running": False, "state": "idle"}, set()),
    "inrow sc card": ("apc-inrow-sc", INROW_SC, {}, {**WARM, "supply.temperature": 16, "compressor": True}, set()),
    "inrow sc card stands": ("apc-inrow-sc", INROW_SC, {f"{POWERNET}.13.3.4.1.2.1.0": 1, f"{POWERNET}.13.3.4.1.2.24.0": 0, f"{POWERNET}.13.3.4.1.2.32.0": 1}, {"running": False, "fan": False, "compressor": False}, set()),
    "inrow sc card leaks": ("apc-inrow-sc", INROW_SC, {f"{POWERNET}.13.3.4.1.2.33.0": 2}, {"state": "on"}, {"water"}),
    "cooling": ("apc-cooling", COOLING, {}, {"running": True, "state": "on", "supply.temperature": 15.9, "return.temperature": 24}, set()),
    "cooling, other rows": ("apc-cooling", COOLING, {f"{POWERNET}.27.1.4.1.2.1.2.1.4": b"Rack Inlet Temperature 1"}, {"supply.temperature": 15.9, "return.temperature": None}, set()),
    "cooling in fahrenheit": ("apc-cooling", COOLING, {f"{POWERNET}.27.1.4.1.2.1.4.1.2": b"F", f"{POWERNET}.27.1.4.1.2.1.3.1.2": 606}, {"supply.temperature": None}, set()),
    # Carel
    "carel rests": ("carel-standard-ac", CAREL, {}, {}, set()),
    "carel no air, fan out": ("carel-standard-ac", CAREL, {"c32": 1, "c33": 1, "c31": 1}, {}, {"airflow-loss", "fan-fault", "low-pressure"}),
    "carel hot and humid": ("carel-standard-ac", CAREL, {"c38": 1, "c40": 1, "c37": 1, "c42": 1}, {}, {"return-temperature-high", "humidity-abnormal", "filter-dirty", "maintenance-due"}),
    "carel fire": ("carel-standard-ac", CAREL, {"c36": 1}, {}, {"smoke"}),
    # Gateways
    "intesis cools": ("intesis-mbs", INTESIS, {}, {**SPLIT, "filter": False, "fault.code": 0}, set()),
    "intesis in whole degrees": ("intesis-mbs", INTESIS, {"h4": 23, "h5": 24}, WARM, set()),
    "intesis in fahrenheit": ("intesis-mbs", INTESIS, {"h4": 73, "h5": 75}, {"setpoint": None, "return.temperature": None}, set()),
    "intesis unit fails": ("intesis-mbs", INTESIS, {"h10": 1, "h11": 6607}, {"fault.code": 6607}, {"unit-alarm"}),
    "intesis filter": ("intesis-mbs", INTESIS, {"h44": 1}, {"filter": True}, {"filter-dirty"}),
    "intesis has no room temperature yet": ("intesis-mbs", INTESIS, {"h5": 32768}, {"return.temperature": None}, set()),
    "multi": ("intesis-multi", MULTI, {}, {**SPLIT, "compressor": True, "fault.code": 0}, set()),
    "multi fails": ("intesis-multi", MULTI, {"h9": 5, "h8": 1}, {"fault.code": 5}, {"unit-alarm", "filter-dirty"}),
    "diii": ("daikin-diii", DIII, {}, {**SPLIT, "fan": True, "filter": False}, set()),
    "diii off": ("daikin-diii", DIII, {"i2000": 0b1000}, {"running": False, "fan": False}, set()),
    "diii error U4": ("daikin-diii", DIII, {"i3600": 0x3455, "i3601": 0x0100}, {}, {"unit-alarm"}),
    "diii warning and filter": ("daikin-diii", DIII, {"i3601": 0x0400, "i2001": 0x00F2}, {"filter": True, "mode": "cool"}, {"unit-warning", "filter-dirty"}),
    "diii second unit gone": ("daikin-diii", DIII, {"i5": 0b10}, SPLIT, set()),
    "ekmbpp1": ("daikin-ekmbpp1", EKMBPP1, {}, {"running": True, "mode": "cool", "return.temperature": 24, "unit.connected": True}, set()),
    "ekmbpp1 frost": ("daikin-ekmbpp1", EKMBPP1, {"i23": 65036}, {"return.temperature": -5}, set()),
    "ekmbpp1 error U4": ("daikin-ekmbpp1", EKMBPP1, {"i21": 1, "i22": 0x5534}, {"unit.connected": True}, {"unit-alarm"}),
    "hitachi": ("hitachi-hc-a16mb", HITACHI, {}, {**SPLIT, "supply.temperature": 16}, set()),
    "hitachi frost": ("hitachi-hc-a16mb", HITACHI, {"h2015": 65526}, {"return.temperature": -10}, set()),
    "hitachi alarm": ("hitachi-hc-a16mb", HITACHI, {"h2022": 3, "h2019": 35}, {"running": "unknown-3", "fault.code": 35}, {"unit-alarm"}),
    "haier": ("haier-ycj-a002", HAIER, {}, {**WARM, "mode": "cool"}, set()),
    "haier heats": ("haier-ycj-a002", HAIER, {"h1": 2}, {"mode": "heat"}, set()),
    "haier fails": ("haier-ycj-a002", HAIER, {"i1": 7}, {"fault.code": 7}, {"unit-alarm"}),
    "lg": ("lg-pdrycb500", LG, {}, {**WARM, "mode": "cool"}, set()),
    "lg fails": ("lg-pdrycb500", LG, {"i99": 1, "c0": 0}, {"running": False}, {"unit-alarm"}),
    "xct": ("carrier-xct", XCT, {}, {"running": True, "return.temperature": 24, "unit.connected": True}, set()),
    "xct without a sensor": ("carrier-xct", XCT, {"i0": 0x7FFF}, {"return.temperature": None}, set()),
    "xct frost": ("carrier-xct", XCT, {"i0": 65526, "i1": 12}, {"return.temperature": -10, "fault.code": 12}, {"unit-alarm"}),
    "onokom": ("onokom-air", ONOKOM, {}, SPLIT, set()),
    "onokom fails": ("onokom-air", ONOKOM, {"i1": 3, "h3": 65036}, {"return.temperature": -5, "fault.code": 3}, {"unit-alarm"}),
    "onokom vrf": ("onokom-vrf", VRF, {}, SPLIT, set()),
    "onokom vrf fails": ("onokom-vrf", VRF, {"i10001": 3}, {"fault.code": 3}, {"unit-alarm"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_raw_registers_show_what_the_unit_does(case: Case) -> None:
    name, image, changes, expected, alarms = case
    driver = CATALOG.drivers[f"hvac/{name}"]
    readings = read(driver, {**image, **changes})
    found = {point: readings[point].value if point in readings else None for point in expected}
    assert found == pytest.approx(expected)
    assert set(Found(driver, {}, readings).alarms) == {f"hvac.{alarm}" for alarm in alarms}


def test_every_family_is_covered() -> None:
    assert {driver.id for driver in HVAC} == {f"hvac/{name}" for name, *_ in CASES.values()}


# Gateways go on showing the last values of a unit that is gone, and some call it an error of the unit.
GONE: Final[Mapping[str, tuple[str, Mapping[str, Raw], Mapping[str, Raw]]]] = {
    "icom": ("liebert-icom", ICOM, {"d90": 1, "i101": 32, "d38": 1}),
    "xdp": ("liebert-xdp", XDP, {"d261": 1, "d20": 1}),
    "intesis": ("intesis-mbs", INTESIS, {"h10": 1, "h11": 65535}),
    "intesis begins": ("intesis-mbs", INTESIS, {"h4": 32768, "h5": 32768, "h10": 1, "h11": 65532}),
    "multi": ("intesis-multi", MULTI, {"h0": 1, "h9": 9}),
    "diii": ("daikin-diii", DIII, {"i5": 1, "i3601": 0x0100, "i2004": 450}),
    "ekmbpp1 misses a unit": ("daikin-ekmbpp1", EKMBPP1, {"i21": 1, "i22": 14388}),
    "ekmbpp1 finds none": ("daikin-ekmbpp1", EKMBPP1, {"i21": 1, "i22": 14384}),
    "hitachi": ("hitachi-hc-a16mb", HITACHI, {"h2000": 0, "h2022": 3}),
    "xct": ("carrier-xct", XCT, {"d1": 0, "i1": 255}),
    "onokom": ("onokom-air", ONOKOM, {"c20": 0, "i1": 12, "h3": 4500}),
    "onokom vrf": ("onokom-vrf", VRF, {"c10020": 0, "i10001": 12}),
}


@pytest.mark.parametrize("case", GONE.values(), ids=GONE)
def test_a_unit_lost_behind_its_gateway_is_no_cooling_fault_and_nothing_else_is_believed(
    case: tuple[str, Mapping[str, Raw], Mapping[str, Raw]],
) -> None:
    name, image, changes = case
    driver = CATALOG.drivers[f"hvac/{name}"]
    readings = read(driver, {**image, **changes})
    assert Found(driver, {}, readings).alarms == ["hvac.unit-comms-lost"]
    for point in readings.keys() - {"unit.connected"}:
        assert (readings[point].value, readings[point].quality) == (None, Quality.BAD), point
        assert readings[point].reason in ("implausible", "not-available")


def test_a_unit_lost_behind_its_gateway_neither_raises_nor_clears_what_stood_before() -> None:
    driver = CATALOG.drivers["hvac/intesis-mbs"]
    readings = read(driver, {**INTESIS, "h10": 1, "h11": 65535})
    for id, alarm in driver.kind.alarms.items():
        if alarm.each is None and id not in ("unit-comms-lost", "unreachable", "profile-mismatch"):
            assert [level.when.holds(readings, level.limit) for level in alarm.levels] == [None] * len(alarm.levels), id


def test_a_gateway_that_cannot_be_read_says_nothing_of_its_unit() -> None:
    driver = CATALOG.drivers["hvac/intesis-mbs"]
    readings = decode(driver, dict.fromkeys(driver.gets, Missing.TIMEOUT), NOW)
    assert Found(driver, {}, readings).alarms == []
    assert readings["unit.connected"].reason == Missing.TIMEOUT


@pytest.mark.parametrize(("mode", "raised"), [(1, []), (4, ["hvac.supply-temperature-high"])])
def test_warm_air_is_no_fault_of_a_unit_that_heats(mode: int, raised: list[str]) -> None:
    driver = CATALOG.drivers["hvac/intesis-mbs"]
    readings = {**read(driver, {**INTESIS, "h1": mode}), "supply.temperature": Reading(35, NOW)}
    assert Found(driver, {}, readings).alarms == raised


def test_warm_air_is_a_fault_of_a_unit_that_has_no_mode() -> None:
    driver = CATALOG.drivers["hvac/stulz-wib"]
    readings = read(driver, {**WIB, f"{STULZ}.1.1.1.1.1.1.1.1193.1.1.1": 290})
    assert Found(driver, {}, readings).alarms == ["hvac.supply-temperature-high"]


@pytest.mark.parametrize(("raw", "raised"), [(Missing.ERROR, ["hvac.sensor-fault"]), (Missing.TIMEOUT, [])])
def test_only_what_the_unit_itself_calls_broken_is_a_fault_of_its_sensor(raw: Missing, raised: list[str]) -> None:
    driver = CATALOG.drivers["hvac/haier-ycj-a002"]
    assert Found(driver, {}, read(driver, {**HAIER, "i0": raw})).alarms == raised


def test_a_second_sensor_stands_in_for_the_return_air() -> None:
    driver = CATALOG.drivers["hvac/stulz-wib"]
    plain = {address: raw for address, raw in WIB.items() if ".1192." not in address}
    assert read(driver, plain)["return.temperature"].value == 23.5


@pytest.mark.parametrize(
    ("name", "image", "points"),
    [
        ("stulz-c7000", C7000, {"return.temperature"}),
        ("intesis-multi", MULTI, {"unit.connected", "return.temperature"}),
        ("hitachi-hc-a16mb", HITACHI, {"unit.connected", "mode"}),
        ("apc-inrow-sc", INROW_SC, {"running", "state"}),
        ("apc-cooling", COOLING, {"running", "state"}),
        ("lg-pdrycb500", LG, {"running", "mode", "setpoint", "return.temperature"}),
    ],
)
def test_what_no_good_source_confirms_is_uncertain(name: str, image: Mapping[str, Raw], points: set[str]) -> None:
    readings = read(CATALOG.drivers[f"hvac/{name}"], image)
    assert {point for point, reading in readings.items() if reading.reason == UNVERIFIED} == points


@pytest.mark.parametrize(
    ("name", "image", "found"),
    [
        ("inrow-sc", SC, {"model": "ACSC101", "serial": "YK0716110141", "firmware": "2.1.1"}),
        ("stulz-c7000", {**C7000, "h0": 8}, {"model": "C7000 AT"}),
        ("stulz-c2020", C2020, {}),
        ("onokom-air", {**ONOKOM, **at("h", 250, *b"2.5.1", *[0] * 11)}, {"model": "GR-1-MB-B", "firmware": "2.5.1"}),
        ("onokom-vrf", {**VRF, **at("h", 250, *b"2.5.1", *[0] * 11)}, {"model": "MD-VRF-MB-B", "firmware": "2.5.1"}),
        ("intesis-mbs", {**INTESIS, "h49": 0x0801}, {}),
        ("intesis-mbs", {**INTESIS, "h49": 0x1234}, {}),
        ("liebert-icom", ICOM, {}),
        ("liebert-xdc", XDC, {}),
        ("inrow-rc2", RC2, {}),
        ("daikin-diii", DIII, {}),
        ("daikin-ekmbpp1", EKMBPP1, {}),
        ("hitachi-hc-a16mb", HITACHI, {}),
        ("haier-ycj-a002", HAIER, {}),
        ("lg-pdrycb500", LG, {}),
        ("carrier-xct", XCT, {}),
        ("apc-inrow-rc", INROW_RC, {"model": "ACRC103", "serial": "JK1", "firmware": "3.2.0"}),
        ("apc-inrow-sc", INROW_SC, {"model": "ACSC101", "serial": "YK1", "firmware": "2.1.1"}),
        ("apc-cooling", COOLING, {}),
        ("stulz-wib", WIB, {}),
    ],
)
def test_a_unit_is_found_as_itself_and_as_nothing_else(
    name: str, image: Mapping[str, Raw], found: Mapping[str, str]
) -> None:
    driver = CATALOG.drivers[f"hvac/{name}"]
    rivals = [other for other in CATALOG.drivers.values() if other.protocol == driver.protocol]
    asked = {address: image.get(address, Missing.ABSENT) for other in rivals for address in other.proofs}
    asked |= {address: raw for address, raw in image.items() if driver.protocol == "snmp"}
    assert [other.id for other, _ in best(rivals, asked)] == [driver.id]
    assert identity(driver, image, NOW) == found


@pytest.mark.parametrize("name", ["carel-standard-ac", "intesis-multi", "liebert-xdp", "uniflair-le"])
def test_a_family_that_nothing_tells_apart_is_named_by_the_site(name: str) -> None:
    driver = CATALOG.drivers[f"hvac/{name}"]
    assert not driver.identify
    assert SimulatedDevice(driver).readings().keys() == driver.points


@pytest.mark.parametrize("word", [0, 1, 100, 0xFFFF])
def test_what_answers_every_question_with_the_same_number_is_no_air_conditioner(word: int) -> None:
    rivals = [other for other in HVAC if other.protocol == "modbus"]
    asked: dict[str, Raw] = {
        address: min(word, 1) if address[0] in "cd" else word for other in rivals for address in other.proofs
    }
    assert best(rivals, asked) == []


def test_weak_witnesses_rank_below_names() -> None:
    for driver in HVAC:
        for way in driver.identify:
            assert (way.rank >= 20) is way.strong, driver.id
            assert way.strong or way.rank <= 3, driver.id


@pytest.mark.parametrize("driver", HVAC, ids=lambda driver: driver.id)
def test_each_alarm_of_a_family_can_be_drilled(driver: Driver) -> None:
    """A drill turns an alarm into raw answers by the same file; what it reads back must be that alarm."""
    members = {
        str(word) for item in driver.items if item.point == "alarms" for word in (*item.enum.values(), item.alarm)
    }
    for member in members - {""}:
        device = SimulatedDevice(driver, {"alarms": frozenset({member})})
        assert device.readings()["alarms"].value == frozenset({member})


def test_how_slow_and_short_winded_units_are_asked() -> None:
    for name in ("inrow-sc", "inrow-rc2", "uniflair-le"):
        quirks = CATALOG.drivers[f"hvac/{name}"].quirks
        assert quirks.gap == 0
        assert quirks.timeout is not None
        assert quirks.timeout > 2
    assert CATALOG.drivers["hvac/daikin-ekmbpp1"].quirks.registers == 10
