"""Room sensors and contact modules: registers written by hand from the makers' lists, and contacts as sites wire them."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from edgeagent.catalog import AlarmType, Driver, Text
from edgeagent.config import Device
from edgeagent.contacts import Delays, debounced, wire
from edgeagent.decode import decode
from edgeagent.detector import Detector, judge
from edgeagent.devices import DeviceState
from edgeagent.driverfiles import load
from edgeagent.encode import encode
from edgeagent.endpoint import parse
from edgeagent.fit import SYS_OBJECT_ID, best
from edgeagent.probe import Found, read
from edgeagent.readings import Answers, Missing, Raw, Reading
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice
from edgeagent.siteentries import ContactEntry

CATALOG = load([drivers()])
OWN: Final = sorted(id for id in CATALOG.drivers if id.startswith("environment/"))
NAMED_BY_THE_SITE: Final = {"environment/comwintop-ws", "environment/renke-ws"}
"""Two families that answer alike and mean different things: a guess would swap temperature and humidity."""
E1212: Final = CATALOG.drivers["environment/moxa-iologik-e1212"]
IEM: Final = "1.3.6.1.4.1.318.1.1.10.2.3"
UIO: Final = "1.3.6.1.4.1.318.1.1.25.1.2.1"


def seen(driver: Driver | str, answers: Mapping[str, Raw]) -> Found:
    """Read a device that has these answers and nothing else."""
    found = CATALOG.drivers[driver] if isinstance(driver, str) else driver
    return read(found, {**dict.fromkeys((*found.gets, *found.proofs), Missing.ABSENT), **answers}, 0.0)


def values(found: Found) -> dict[str, Any]:
    return {id: reading.value for id, reading in found.readings.items() if reading.value is not None}


def wired(
    driver: Driver = E1212, interval: float = 0.5, **contacts: dict[str, Any]
) -> tuple[Driver, Mapping[str, Delays]]:
    """Wire inputs as a site does: i1 is the input 1, leak_2 the input 2 of "leak"."""
    said: list[object] = []
    entries = {
        key.removeprefix("i").replace("_", "."): ContactEntry.model_validate(entry).settings()
        for key, entry in contacts.items()
    }
    found = wire(driver, entries, interval, lambda path, text: said.append((path, text)))
    assert said == []
    return found


# Sensors.


@pytest.mark.parametrize(
    ("driver", "answers", "expected"),
    [
        pytest.param("environment/xy-md02", {"i1": 253, "i2": 471}, {"temperature": 25.3, "humidity": 47.1}, id="XY-MD02"),
        pytest.param("environment/xy-md02", {"i1": 0xFFCE, "i2": 1000}, {"temperature": -5, "humidity": 100}, id="XY-MD02 in the frost"),
        pytest.param("environment/renke-ws", {"h0": 658, "h1": 0xFF9B}, {"humidity": 65.8, "temperature": -10.1}, id="Renke, the manual's own example"),
        pytest.param("environment/comwintop-ws", {"h0": 231, "h1": 480}, {"temperature": 23.1, "humidity": 48}, id="ComWinTop, swapped"),
        pytest.param("environment/wb-msw", {"i0": 224, "i1": 391, "i3": 3850, "i8": 712, "i9": 1, "i10": 0x86A0}, {"temperature": 22.4, "humidity": 39.1, "sound": 38.5, "co2": 712, "illuminance": 1000}, id="WB-MSW"),
        pytest.param("environment/wb-msw", {"i0": 0x7FFF, "i1": 0xFFFF, "i3": 3850, "i8": 0xFFFF, "i9": 0, "i10": 0}, {"sound": 38.5, "illuminance": 0}, id="WB-MSW with a dead sensor"),
        pytest.param("environment/wb-mwac-v2", {"c2": 1}, {"water": True}, id="WB-MWAC in leakage mode"),
        pytest.param("environment/apc-iem", {f"{IEM}.2.1.3.1": 2, f"{IEM}.2.1.4.1": 26, f"{IEM}.2.1.5.1": 1, f"{IEM}.2.1.6.1": -1, f"{IEM}.4.1.3.1": 1, f"{IEM}.4.1.3.2": 3}, {"temperature": 26, "contact.1": False}, id="APC IEM with a thermometer and one input"),
        pytest.param("environment/apc-iem", {f"{IEM}.2.1.3.1": 1, f"{IEM}.2.1.4.1": 26, f"{IEM}.2.1.5.1": 1, f"{IEM}.2.1.6.1": 37}, {}, id="APC IEM, probe pulled out"),
        pytest.param("environment/apc-iem", {f"{IEM}.2.1.3.1": 2, f"{IEM}.2.1.4.1": 79, f"{IEM}.2.1.5.1": 2, f"{IEM}.2.1.6.1": 37}, {"humidity": 37}, id="APC IEM that says Fahrenheit"),
        pytest.param("environment/apc-uio", {f"{UIO}.6.1.1": 27, f"{UIO}.7.1.1": 32, f"{UIO}.10.1.1": 2, f"{UIO}.6.2.1": 28, f"{UIO}.7.2.1": -1, f"{UIO}.10.2.1": 2}, {"temperature.port1": 27, "humidity.port1": 32, "temperature.port2": 28}, id="APC UIO with two sensors"),
        pytest.param("environment/apc-uio", {f"{UIO}.6.1.1": 27, f"{UIO}.7.1.1": 32, f"{UIO}.10.1.1": 3, f"{UIO}.6.2.1": 28, f"{UIO}.7.2.1": -1, f"{UIO}.10.2.1": 2}, {"temperature.port2": 28}, id="APC UIO that lost a sensor"),
    ],
)  # fmt: skip
def test_a_sensor_reads_as_its_maker_wrote_it(driver: str, answers: Answers, expected: dict[str, Any]) -> None:
    assert values(seen(driver, answers)) == expected


@pytest.mark.parametrize(
    ("driver", "answers", "raised"),
    [
        pytest.param("environment/xy-md02", {"i1": 271, "i2": 480}, ["temperature-high"], id="27.1 degrees"),
        pytest.param("environment/xy-md02", {"i1": 270, "i2": 699}, [], id="27.0 degrees, 69.9 %"),
        pytest.param("environment/renke-ws", {"h0": 291, "h1": 230}, ["humidity-abnormal"], id="29.1 %"),
        pytest.param("environment/wb-msw", {"i0": 0x7FFF, "i1": 391}, ["sensor-fault"], id="a dead thermometer"),
        pytest.param("environment/wb-msw", {"i0": 224, "i1": 391, "i8": 0xFFFF}, [], id="no CO2 module"),
        pytest.param("environment/apc-iem", {f"{IEM}.2.1.3.1": 1, f"{IEM}.2.1.4.1": 26, f"{IEM}.2.1.6.1": -1}, ["sensor-fault"], id="APC IEM, probe pulled out"),
        pytest.param("environment/apc-iem", {f"{IEM}.2.1.3.1": 2, f"{IEM}.2.1.4.1": 26, f"{IEM}.2.1.6.1": -1, f"{IEM}.4.1.3.2": 2}, ["contact.2"], id="APC IEM, its second input"),
        pytest.param("environment/apc-uio", {f"{UIO}.6.1.1": 33}, ["temperature-high.port1"], id="APC UIO, port 1 hot, no second"),
        pytest.param("environment/wb-mwac-v2", {"c2": 1}, ["water"], id="WB-MWAC in leakage mode"),
    ],
)  # fmt: skip
def test_a_sensor_raises_what_its_numbers_mean(driver: str, answers: Answers, raised: list[str]) -> None:
    assert seen(driver, answers).alarms == [f"environment.{alarm}" for alarm in raised]


# What a device is.


@pytest.mark.parametrize("id", OWN)
def test_a_sensor_is_found_by_its_own_driver_and_by_no_other(id: str) -> None:
    driver = CATALOG.drivers[id]
    others = [other for other in CATALOG.drivers.values() if other.protocol == driver.protocol]
    asked = {address: Missing.ABSENT for other in others for address in other.proofs}
    found = [one.id for one, _ in best(others, {**asked, **SimulatedDevice(driver).answers})]
    assert found == ([] if id in NAMED_BY_THE_SITE else [id])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param({f"i{5000 + place}": word for place, word in enumerate((0x4531, 0x3231, 0x3200, 0, 0, 0, 0, 0, 0, 0))}, ["environment/moxa-iologik-e1212"], id="E1212, two characters a word"),
        pytest.param({f"i{5000 + place}": word for place, word in enumerate((0x4531, 0x3231, 0x3400, 0, 0, 0, 0, 0, 0, 0))}, ["environment/moxa-iologik-e1214"], id="E1214"),
        pytest.param({"d5": 0, "d6": 1, "d15": 1, "i48": 0x8040}, ["environment/moxa-iologik-e1212"], id="E1212 with old firmware"),
        pytest.param({"d5": 0, "i48": 0}, ["environment/moxa-iologik-e1214"], id="E1214 with old firmware"),
        pytest.param({"h210": 0x6052}, ["environment/advantech-adam"], id="ADAM-6052"),
        pytest.param({"h210": 0x4056}, [], id="ADAM-4056, which has outputs only"),
        pytest.param({f"h{200 + place}": ord(c) for place, c in enumerate("WBMSW3")}, ["environment/wb-msw"], id="WB-MSW v3"),
        pytest.param({f"h{200 + place}": ord(c) for place, c in enumerate("WBMWAC-v2")}, ["environment/wb-mwac-v2"], id="WB-MWAC v2"),
        pytest.param({f"h{200 + place}": ord(c) for place, c in enumerate("WBMWAC\0\0\0")}, [], id="WB-MWAC of the first version"),
        pytest.param({"i1": 230, "i2": 480, "h257": 1, "h258": 9600}, ["environment/xy-md02"], id="XY-MD02"),
        pytest.param({"i1": 230, "i2": 480}, [], id="two input registers are not enough"),
    ],
)  # fmt: skip
def test_a_module_is_known_by_what_it_says(answers: dict[str, Raw], expected: list[str]) -> None:
    modbus = [driver for driver in CATALOG.drivers.values() if driver.protocol == "modbus"]
    asked: dict[str, Raw] = {address: Missing.ABSENT for driver in modbus for address in driver.proofs}
    assert [driver.id for driver, _ in best(modbus, {**asked, **answers})] == expected


def test_a_ups_card_with_sensors_is_a_ups_card_first() -> None:
    snmp = [driver for driver in CATALOG.drivers.values() if driver.protocol == "snmp"]
    asked: dict[str, Raw] = {address: Missing.ABSENT for driver in snmp for address in driver.proofs}
    apc = SimulatedDevice(CATALOG.drivers["ups/apc-powernet"]).answers
    card: dict[str, Raw] = {
        **asked,
        **apc,
        SYS_OBJECT_ID: "1.3.6.1.4.1.318.1.3.27",
        f"{IEM}.2.1.4.1": 26,
        f"{UIO}.6.1.1": 27,
    }
    found = [driver.id for driver, _ in best(snmp, card)]
    assert found[0] == "ups/apc-powernet"
    assert found[-2:] == ["environment/apc-uio", "environment/apc-iem"]


# Contacts: which way round.


@pytest.mark.parametrize(
    ("active", "raw", "smoke"),
    [
        pytest.param("closed", 1, True, id="closed means smoke, closed"),
        pytest.param("closed", 0, False, id="closed means smoke, open"),
        pytest.param("open", 0, True, id="open means smoke: a cut wire alarms"),
        pytest.param("open", 1, False, id="open means smoke, closed"),
    ],
)
@pytest.mark.parametrize(
    ("id", "address"),
    [
        pytest.param("environment/moxa-iologik-e1212", "d2", id="Moxa"),
        pytest.param("environment/advantech-adam", "c2", id="ADAM: inputs in the coils"),
        pytest.param("environment/waveshare-io8", "d2", id="Waveshare"),
        pytest.param("environment/wp80xx", "c2", id="WP80xx"),
    ],
)
def test_a_contact_reads_in_the_sense_of_the_site(id: str, address: str, active: str, raw: int, smoke: bool) -> None:
    driver, _ = wired(CATALOG.drivers[id], i3={"point": "smoke.hall", "active": active})
    assert values(seen(driver, {address: raw})) == {"smoke.hall": smoke}


def test_a_module_that_does_not_answer_is_unreachable_and_its_contacts_are_unknown() -> None:
    driver, delays = wired(i1={"point": "smoke", "active": "open"}, i2={"point": "mains-present"})
    url = parse("modbus://192.0.2.1?unit=1")
    device = Device("d", Text("D", "D"), driver, url, None, 0.5, 0.5, 2.0, driver.kind.alarms, delays)
    state = DeviceState(device)
    proof = {"i5000": 0x4531, "i5001": 0x3231, "i5002": 0x3200, **{f"i{n}": 0 for n in range(5003, 5010)}}
    state.take({**dict.fromkeys(driver.proofs, Missing.ABSENT), **proof, "d0": 1, "d1": 1}, 0.0)
    assert state.readings["smoke"].value is False
    for second in (1.0, 2.0, 3.0):
        state.take(dict.fromkeys(driver.gets, Missing.TIMEOUT), second)
        assert {id: state.readings[id].value for id in ("smoke", "mains-present")} == {
            "smoke": None,
            "mains-present": None,
        }
    assert state.readings["reachable"].value is False
    types = [type for type in driver.kind.alarms.values() if type.each is None]
    assert [type.id for type in types if type.levels[-1].when.holds(state.readings)] == ["unreachable"]


# Contacts: for how long.


def at(type: AlarmType, point: str) -> AlarmType:
    """Return the alarm type as it is for one instance of its point."""
    levels = (replace(level, when=level.when.renamed({point.partition(".")[0]: point})) for level in type.levels)
    return replace(type, levels=tuple(levels))


def story(type: AlarmType, *reads: tuple[float, int | Missing], until: float) -> list[tuple[float, bool]]:
    """Play reads (s, raw) of the input 1, closed when active; return when the alarm turned, to 0.1 s."""
    driver, delays = wired(i1={"point": "smoke"})
    own = debounced(type, delays)
    detector, turns, left = Detector(), [], list(reads)
    for tick in range(round(until * 10) + 1):
        now, before = tick / 10, detector.active
        detector = detector.fire(now)
        if left and left[0][0] <= now:
            readings = decode(driver, {"d0": left.pop(0)[1]}, now)
            delay = own.off_delay if detector.active else own.levels[0].on_delay
            truth = judge(own, own.levels[0], readings, active=detector.active)
            detector = detector.see(truth, delay, now, now)
        if detector.active is not before:
            turns.append((now, detector.active))
    return turns


SMOKE: Final = E1212.kind.alarms["smoke"]


def test_one_stray_read_raises_nothing() -> None:
    assert story(SMOKE, (0.0, 0), (0.5, 1), (1.0, 0), (1.5, 0), until=10) == []


def test_two_equal_reads_raise_and_two_equal_reads_clear() -> None:
    reads = [(0.5 * n, raw) for n, raw in enumerate((0, 1, 1, 1, 0, 0, 0, 0))]
    assert story(SMOKE, *reads, until=10) == [(1.5, True), (3.0, False)]


def test_one_stray_read_does_not_clear_either() -> None:
    reads = [(0.5 * n, raw) for n, raw in enumerate((1, 1, 1, 0, 1, 1))]
    assert story(SMOKE, *reads, until=10) == [(1.0, True)]


def test_silence_between_two_reads_is_no_second_read() -> None:
    silence = Missing.TIMEOUT
    assert story(SMOKE, (0.0, 1), (0.5, silence), (1.0, silence), (9.0, 0), until=20) == []
    assert story(SMOKE, (0.0, 1), (0.5, silence), (5.0, 1), (5.5, 1), until=20) == [(5.5, True)]


def test_a_slow_module_has_its_second_read_too() -> None:
    _, delays = wired(interval=5.0, i1={"point": "smoke"})
    assert debounced(SMOKE, delays).levels[0].on_delay == 5.5


@pytest.mark.parametrize(
    ("contact", "on", "off"),
    [
        pytest.param({"point": "door.front"}, 1.0, 5.0, id="as the alarm type says"),
        pytest.param({"point": "door.front", "on_delay": 30}, 30.0, 5.0, id="a door that may stand open for half a minute"),
        pytest.param({"point": "door.front", "off_delay": 60}, 1.0, 60.0, id="a slow end"),
    ],
)  # fmt: skip
def test_a_contact_may_have_delays_of_its_own(contact: dict[str, Any], on: float, off: float) -> None:
    _, delays = wired(i1=contact, i2={"point": "door.back"})
    door = E1212.kind.alarms["door"]
    front = debounced(at(door, "door.front"), delays)
    assert (front.levels[0].on_delay, front.off_delay) == (on, off)
    back = debounced(at(door, "door.back"), delays)
    assert (back.levels[0].on_delay, back.off_delay) == (1.0, 5.0)
    assert debounced(door, delays) == door


# Contacts: whether the line is whole.


@pytest.mark.parametrize(
    ("active", "fault_active", "contact", "fault", "smoke", "broken"),
    [
        pytest.param("closed", "closed", 0, 0, False, False, id="fire panel at rest"),
        pytest.param("closed", "closed", 1, 0, True, False, id="fire panel in alarm"),
        pytest.param("closed", "closed", 0, 1, None, True, id="fire panel in fault: no smoke cannot be believed"),
        pytest.param("closed", "closed", 1, 1, True, True, id="fire panel in both: smoke is believed"),
        pytest.param("open", "open", 1, 1, False, False, id="normally closed pair at rest"),
        pytest.param("open", "open", 0, 1, True, False, id="normally closed pair in alarm"),
        pytest.param("open", "open", 1, 0, None, True, id="normally closed pair in fault"),
        pytest.param("open", "open", 0, 0, True, True, id="cable cut through: both"),
        pytest.param("closed", "open", 0, 1, False, False, id="sensor present and dry"),
        pytest.param("closed", "open", 0, 0, None, True, id="sensor gone"),
        pytest.param("open", "closed", 1, 0, False, False, id="the fourth way at rest"),
        pytest.param("open", "closed", 1, 1, None, True, id="the fourth way in fault"),
    ],
)
def test_a_supervised_contact_is_believed_when_active_and_not_when_quiet_on_a_broken_line(
    active: str, fault_active: str, contact: int, fault: int, smoke: bool | None, broken: bool
) -> None:
    entry = {"point": "smoke.hall", "active": active, "fault": 2, "fault_active": fault_active}
    driver, _ = wired(i1=entry)
    found = seen(driver, {"d0": contact, "d1": fault})
    assert found.readings["smoke.hall"].value is smoke
    assert found.readings["smoke.hall"].reason == ("sensor-fault" if smoke is None else None)
    assert found.readings["wire-break.smoke-hall"].value is broken
    raised = ["environment.smoke.hall"] * (smoke is True) + ["environment.wire-break.smoke-hall"] * broken
    assert found.alarms == raised


@pytest.mark.parametrize(
    "values_", [{"smoke": True}, {"smoke": False}, {"wire-break.smoke": True}, {"smoke": True, "wire-break.smoke": True}]
)  # fmt: skip
@pytest.mark.parametrize("active", ["open", "closed"])
@pytest.mark.parametrize("fault_active", ["open", "closed"])
def test_a_simulated_contact_shows_what_is_wanted(active: str, fault_active: str, values_: dict[str, bool]) -> None:
    driver, _ = wired(i1={"point": "smoke", "active": active, "fault": 2, "fault_active": fault_active})
    image = dict(SimulatedDevice(driver).answers)
    assert values(seen(driver, image)) == {"smoke": False, "wire-break.smoke": False}
    shown = decode(driver, {**image, **encode(driver, values_, image)}, 0.0)
    assert {id: shown[id].value for id in values_} == values_


def test_a_leak_controller_tells_a_dry_sensor_from_one_whose_line_is_cut() -> None:
    leak = {"point": "water.crac", "fault": "present.3", "fault_active": "open"}
    driver, _ = wired(CATALOG.drivers["environment/wb-mwac-v2"], leak_3=leak)
    assert seen(driver, {"d2": 0, "d22": 1, "c2": 0}).alarms == []
    assert seen(driver, {"d2": 1, "d22": 1, "c2": 0}).alarms == ["environment.water.crac"]
    assert seen(driver, {"d2": 0, "d22": 0, "c2": 0}).alarms == ["environment.wire-break.water-crac"]
    assert seen(driver, {"d2": 1, "d22": 0, "c2": 1}).alarms == [
        "environment.water", "environment.water.crac", "environment.wire-break.water-crac",
    ]  # fmt: skip


def test_a_supervised_contact_whose_module_is_silent_is_unknown_and_no_broken_line() -> None:
    driver, _ = wired(i1={"point": "smoke", "fault": 2})
    found = decode(driver, dict.fromkeys(driver.gets, Missing.TIMEOUT), 0.0)
    assert found == {id: Reading.bad("timeout", 0.0) for id in ("smoke", "wire-break.smoke")}
