"""Walks of real cards, which nobody here made: what the drivers read in them is what the devices showed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from edgeagent import fit, probe
from edgeagent.catalog import Driver
from edgeagent.driverfiles import load
from edgeagent.phases import PHASES
from edgeagent.probe import Found
from edgeagent.readings import Answers, Missing, Quality, Raw, Reading
from edgeagent.resources import drivers

FOLDER: Final = Path(__file__).parent.parent.parent / "shared" / "captures"
CATALOG = load([drivers()])
APC, RFC = "ups/apc-powernet", "ups/rfc1628"

pytestmark = [
    pytest.mark.disable_socket,
    pytest.mark.skipif(not (FOLDER / "truth.json").is_file(), reason=f"walks of real devices are not in {FOLDER}"),
]

DRIVERS: Final = {
    "abbups_abbups": RFC, "apc_smart1500": APC, "apc_smtl1000-nmc3": APC, "apc_sua1500rmi2u": APC,
    "apc_symmetralx": APC,
    "centreon-ups-apc-battery-low": APC, "centreon-ups-apc-galaxy": APC, "dell-ups_tower1000w": RFC, "deltaups": RFC,
    "deltaups_mini-snmp": RFC, "eaton-93e-80": RFC, "eaton-mgeups_5px": RFC, "eatonupsm2_9px": RFC,
    "generex-ups_cs141": RFC, "huaweiups_ups2000": RFC, "ingrasys-power-switch": RFC, "liebert_apm": RFC,
    "marathonups": RFC, "netmanplus_204": RFC, "orvaldi-ups": RFC, "poweralert_ups": RFC,
}  # fmt: skip
STRANGE: Final = (
    "algcom-dc-ups", "apc-mgeups_galaxy7000", "bke_bke", "compas_usv", "cyberpower", "eatonups", "huawei-smu",
    "netagent2",
    "powerwalker", "socomec-ups", "vertiv-ita2", "webpower-smart2",
)  # fmt: skip
"""Walks of devices that no driver reads: neither tree in them shows the state of a UPS."""
BY_HAND: Final[Mapping[str, Mapping[str, Any]]] = {
    "eaton-93e-80": {
        "charge_pct": 100, "load_pct": [21, 16, 12], "input_v": [227, 227, 233], "output_v": [220, 220, 220],
    },
    "ingrasys-power-switch": {
        "charge_pct": 100, "load_pct": [33, 33, 33], "input_v": [228, 229, 227], "output_v": [220, 220, 220],
        "must_be_unknown": ["runtime_min"],
    },
    "centreon-ups-apc-galaxy": {"charge_pct": 100, "runtime_min": 101.8},
    "centreon-ups-apc-battery-low": {"charge_pct": 75, "alarms_allowed": ["ups.battery-low", "ups.battery-replace"]},
}  # fmt: skip
"""What the walks say that have no entry in truth.json, read by people."""
POINTS: Final = {
    "charge_pct": "battery.charge", "runtime_min": "battery.runtime", "load_pct": "output.load",
    "input_v": "input.voltage", "output_v": "output.voltage", "battery_temp": "battery.temperature",
}  # fmt: skip
NOT_THERE: Final = {("liebert_apm", "load_pct")}
"""Known to people from a private table alone."""
RAISED: Final = {
    "generex-ups_cs141": ["ups.on-bypass"],
    "centreon-ups-apc-battery-low": ["ups.battery-low", "ups.battery-replace"],
}


@cache
def truth(name: str) -> Mapping[str, Any]:
    known = json.loads((FOLDER / "truth.json").read_text(encoding="utf-8"))
    found: Mapping[str, Any] = known.get(name) or {"source": ["normal"], "alarms_allowed": [], **BY_HAND.get(name, {})}
    return found


@cache
def walk(name: str) -> Mapping[str, Raw]:
    """Read a snmprec file: `oid|tag|value`, the tag an ASN.1 number, with x for a value in hex."""
    objects: dict[str, Raw] = {}
    for line in (FOLDER / f"{name}.snmprec").read_bytes().split(b"\n"):
        if line.strip():
            oid, tag, value = line.rstrip(b"\r").split(b"|", 2)
            objects[oid.decode()] = raw(tag.decode(), value)
    return objects


def raw(tag: str, value: bytes) -> Raw:
    if tag.endswith("x"):
        return bytes.fromhex(value.decode())
    if tag in ("2", "65", "66", "67", "70"):
        return int(value.split()[0])  # one walk keeps the unit behind the number
    if tag == "6":
        return value.decode().lstrip(".")
    return Missing.NULL if tag == "5" else value


def asked(driver: Driver, name: str) -> Answers:
    """Answer as the card would that was walked."""
    objects = walk(name)
    answers: dict[str, Raw] = {address: objects.get(address, Missing.ABSENT) for address in probe.plan_of(driver).gets}
    for root in driver.walks:
        rows = {oid: raw for oid, raw in objects.items() if oid.startswith(f"{root}.")}
        answers |= {**rows, root: len(rows)}
    return answers


def identified(name: str) -> Driver | None:
    drivers = [driver for driver in CATALOG.drivers.values() if driver.protocol == "snmp"]
    answers = {address: raw for driver in drivers for address, raw in asked(driver, name).items()}
    fitting = fit.best(drivers, answers)
    return fitting[0][0] if fitting else None


@cache
def read(name: str) -> Found:
    driver = CATALOG.drivers[DRIVERS[name]]
    return probe.read(driver, asked(driver, name), 0.0)


def digit(driver: Driver, id: str) -> float:
    """Return one digit of a point, in its unit, as the driver reads it."""
    return max(item.scale for item in driver.items if item.point in (id, f"{id}.l1"))


def shown(name: str, id: str) -> list[Reading]:
    """Return the readings of a point: those of its phases that are fitted, else its own."""
    readings = read(name).readings
    rows = [readings[f"{id}.{phase}"] for phase in PHASES if f"{id}.{phase}" in readings]
    return [row for row in rows if row.reason not in ("not-fitted", "absent", "null")] or [readings[id]]


def graded(field: str) -> list[str]:
    """List the walks for which a field is known."""
    if not (FOLDER / "truth.json").is_file():
        return []
    known = (name for name in DRIVERS if truth(name).get(field) is not None)
    return [
        name for name in known if (name, field) not in NOT_THERE and field not in truth(name).get("must_be_unknown", [])
    ]


CASES = [
    (name, field)
    for field in ("charge_pct", "runtime_min", "load_pct", "input_v", "output_v")
    for name in graded(field)
]


def test_every_walk_is_either_read_or_known_to_be_strange() -> None:
    assert sorted([*DRIVERS, *STRANGE]) == sorted(file.stem for file in FOLDER.glob("*.snmprec"))


@pytest.mark.parametrize("name", DRIVERS)
def test_a_card_is_recognised(name: str) -> None:
    found = identified(name)
    assert found is not None
    assert found.id == DRIVERS[name]


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_device_is_not_taken_for_a_known_one(name: str) -> None:
    assert identified(name) is None


@pytest.mark.parametrize(("name", "field"), CASES)
def test_a_value_is_what_the_device_showed(name: str, field: str) -> None:
    expected, id = truth(name)[field], POINTS[field]
    wanted = [60 * expected] if field == "runtime_min" else expected if isinstance(expected, list) else [expected]
    if len(wanted) == 3 and wanted[1:] == [0, 0]:
        wanted = wanted[:1]  # a single-phase unit whose card shows three rows
    step = digit(read(name).driver, id)
    values = [reading.value for reading in shown(name, id)]
    assert len(values) == len(wanted)
    for value, known in zip(values, wanted, strict=True):
        assert isinstance(value, (int, float))
        assert abs(value - known) <= max(0.005 * known, step)


@pytest.mark.parametrize("name", DRIVERS)
def test_the_source_is_what_the_device_showed(name: str) -> None:
    source = read(name).readings["source"]
    assert source.value in truth(name)["source"]
    assert source.quality is Quality.GOOD


@pytest.mark.parametrize(
    ("name", "id"),
    [(name, POINTS[field]) for name in graded("must_be_unknown") for field in truth(name)["must_be_unknown"]],
)
def test_what_a_device_does_not_know_is_bad_and_has_no_value(name: str, id: str) -> None:
    reading = read(name).readings[id]
    assert reading.value is None
    assert reading.quality is Quality.BAD
    assert reading.reason


@pytest.mark.parametrize("name", DRIVERS)
def test_a_device_raises_what_it_has_and_nothing_else(name: str) -> None:
    alarms = read(name).alarms
    assert all(any(fnmatch(alarm, allowed) for allowed in truth(name)["alarms_allowed"]) for alarm in alarms), alarms
    assert alarms == RAISED.get(name, [])


@pytest.mark.parametrize("name", ["netmanplus_204"])
def test_rows_of_phases_that_a_unit_does_not_have_are_dropped(name: str) -> None:
    readings = read(name).readings
    for id in ("input.voltage", "output.voltage", "output.load"):
        assert [readings[f"{id}.{phase}"].reason for phase in PHASES] == [None, "not-fitted", "not-fitted"]
        assert readings[id].same(readings[f"{id}.l1"])
