"""A simulated device: what it shows, how it is told to change, and where it may stand."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from edgeagent.catalog import Driver
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.probe import Found, probe
from edgeagent.readings import Value
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice, SimulationError

CATALOG = load([drivers()])
UPS = CATALOG.drivers["ups/rfc1628"]
GENSET = CATALOG.drivers["generator/dse-gencomm"]
SWITCH = CATALOG.drivers["ats/socomec-atys"]


def value(device: SimulatedDevice, id: str) -> Value | None:
    return device.readings()[id].value


def test_it_begins_healthy() -> None:
    device = SimulatedDevice(UPS)
    assert value(device, "source") == "normal"
    assert value(device, "output.voltage.l2") == 230
    assert value(device, "alarms") == frozenset()
    assert Found(UPS, {}, device.readings()).alarms == []


def test_it_begins_as_asked() -> None:
    device = SimulatedDevice(UPS, {"source": "battery", "battery.charge": 40})
    assert (value(device, "source"), value(device, "battery.charge")) == ("battery", 40)


@pytest.mark.parametrize(
    ("line", "id", "expected"),
    [
        ("set source=battery", "source", "battery"),
        ("set battery.charge=55 output.load=80", "output.load", 80),
        ("set battery.charge=55.4", "battery.charge", 55),
        ("set output.voltage=228", "output.voltage.l3", 228),
        ("set output.voltage.l2=201", "output.voltage", 201),
        ("set alarms=on-battery,battery-low", "alarms", frozenset({"on-battery", "battery-low"})),
        ("set 'alarms=on-battery battery-low'", "alarms", frozenset({"on-battery", "battery-low"})),
        ("set alarms=", "alarms", frozenset()),
    ],
)
def test_a_line_sets_points(line: str, id: str, expected: Value) -> None:
    device = SimulatedDevice(UPS, {"alarms": frozenset({"fan-fault"})})
    assert device.command(line, 0.0) == "ok"
    assert value(device, id) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [("true", True), ("YES", True), ("on", True), ("1", True), ("false", False), ("No", False), ("off", False), ("0", False)],
)  # fmt: skip
def test_a_flag_is_said_in_many_words(word: str, expected: bool) -> None:
    device = SimulatedDevice(GENSET, {"on-load": not expected})
    device.command(f"set on-load={word}", 0.0)
    assert value(device, "on-load") is expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("sett source=battery", 'unknown command "sett", did you mean "set"?', id="verb"),
        pytest.param("set sorce=battery", '"sorce" is no point of ups/rfc1628, did you mean "source"?', id="point"),
        pytest.param("set source", '"source" is no point of ups/rfc1628, did you mean "source"?', id="no value"),
        pytest.param("set source=solar", "source = solar is none of other, off, normal, bypass, battery, booster, reducer", id="enum word"),
        pytest.param("set battery.charge=full", "battery.charge is a number in %, not full", id="number"),
        pytest.param("set battery.charge=nan", "battery.charge = nan is not a number", id="not a number"),
        pytest.param("set battery.charge=-1", "battery.charge = -1.0 would be the raw value -1, which means not-fitted", id="sentinel"),
        pytest.param("set reachable=perhaps", "reachable is true or false, not perhaps", id="flag"),
        pytest.param("set reachable=true", "ups/rfc1628 has no point reachable that could be set", id="what the driver does not read"),
        pytest.param("set alarms=meteor", "alarms cannot show meteor (known: awaiting-power, battery-low, battery-replace, bypass-unavailable, charger-fault, fan-fault, input-bad, internal-fault, off-as-requested, on-battery, on-bypass, output-bad, output-off, over-temperature, overload, shutdown-imminent, test-failed, testing, ups-comms-lost)", id="alarm"),
        pytest.param("set 'source=battery", "No closing quotation: set 'source=battery", id="quote"),
        pytest.param("ramp battery.charge 100 0", "write: ramp POINT FROM TO SECONDS", id="ramp too short"),
        pytest.param("ramp battery.charge full 0 60", "write: ramp POINT FROM TO SECONDS", id="ramp of words"),
        pytest.param("ramp source 1 2 3", "source = 1.0 is none of other, off, normal, bypass, battery, booster, reducer", id="ramp of an enum"),
    ],
)  # fmt: skip
def test_a_line_that_makes_no_sense_says_what_would(line: str, message: str) -> None:
    device = SimulatedDevice(UPS)
    before = dict(device.answers)
    with pytest.raises(SimulationError) as caught:
        device.command(line, 0.0)
    assert str(caught.value) == message
    assert device.answers == before


def test_a_ramp_moves_with_the_clock_and_ends() -> None:
    device = SimulatedDevice(UPS)
    device.command("ramp battery.charge 100 20 60", 1000.0)
    shown = []
    for now in (1000.0, 1015.0, 1030.0, 1060.0, 1090.0):
        device.tick(now)
        shown.append(value(device, "battery.charge"))
    assert shown == [100, 80, 60, 20, 20]
    device.set("battery.charge", 50)
    device.tick(1100.0)
    assert value(device, "battery.charge") == 50


def test_a_set_ends_the_ramp_of_that_point_alone() -> None:
    device = SimulatedDevice(UPS)
    device.command("ramp battery.charge 100 0 100", 0.0)
    device.command("ramp output.load 0 100 100", 0.0)
    device.command("set battery.charge=70", 10.0)
    device.tick(50.0)
    assert (value(device, "battery.charge"), value(device, "output.load")) == (70, 50)


def test_a_ramp_steps_over_what_the_device_cannot_say() -> None:
    device = SimulatedDevice(UPS)
    device.command("ramp battery.current 4 -4 8", 0.0)  # -0.1 A would be the raw -1, "not fitted"
    device.tick(4.1)
    assert value(device, "battery.current") == 4
    device.tick(6.0)
    assert value(device, "battery.current") == -2


def test_silence_and_answer() -> None:
    device, told = SimulatedDevice(UPS), []
    device.follow(lambda: told.append(device.silent))
    device.command("silence", 0.0)
    device.command("answer", 0.0)
    assert told == [False, True, False]


def test_show_spells_every_point() -> None:
    device = SimulatedDevice(UPS, {"alarms": frozenset({"overload", "fan-fault"}), "battery.temperature": 0})
    shown = device.command("show", 0.0).splitlines()
    assert "source = normal" in shown
    assert "alarms = fan-fault, overload" in shown
    assert "battery.temperature = (implausible)" in shown
    assert [line.partition(" = ")[0] for line in shown] == sorted(device.readings())
    assert "alarms = none" in SimulatedDevice(UPS).command("", 0.0)


# Where it may stand.


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("snmp://192.0.2.7:0", "192.0.2.7 is not a loopback address; a simulated device stays on this machine"),
        ("snmp://0.0.0.0:0", "0.0.0.0 is not a loopback address; a simulated device stays on this machine"),
        ("snmp://[::]:0", ":: is not a loopback address; a simulated device stays on this machine"),
        ("snmp://example.org:0", "example.org is not a loopback address; a simulated device stays on this machine"),
        ("snmp://127.0.0.1.example.org:0", "127.0.0.1.example.org is not a loopback address; a simulated device stays on this machine"),
        ("modbus://127.0.0.1:0?unit=1", "ups/rfc1628 speaks snmp, not modbus"),
        ("host://", "ups/rfc1628 speaks snmp, not host"),
    ],
)  # fmt: skip
def test_it_refuses_to_stand_elsewhere(url: str, message: str) -> None:
    with pytest.raises(SimulationError) as caught:
        asyncio.run(SimulatedDevice(UPS).serve(parse(url)))
    assert str(caught.value) == message


def test_a_device_that_is_this_machine_cannot_be_served() -> None:
    with pytest.raises(SimulationError, match="a host device cannot be served"):
        asyncio.run(SimulatedDevice(CATALOG.drivers["workstation/host"]).serve(parse("host://")))


def test_a_taken_port_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(SimulationError, match=f"snmp://127.0.0.1:{port}.*in use"):
            asyncio.run(SimulatedDevice(UPS).serve(parse(f"snmp://127.0.0.1:{port}")))


@pytest.mark.parametrize(
    ("driver", "url", "alarm"),
    [
        pytest.param(UPS, "snmp://127.0.0.1:{}", "on-battery", id="SNMP"),
        pytest.param(GENSET, "modbus://127.0.0.1:{}?unit=3", "fuel-low.warning", id="Modbus TCP"),
        pytest.param(SWITCH, "modbus+rtuovertcp://localhost:{}?unit=5", "testing", id="RTU over TCP"),
    ],
)
def test_what_is_read_over_the_wire_is_what_it_shows(
    driver: Driver, url: str, alarm: str, free_port: Callable[[], int]
) -> None:
    device, at = SimulatedDevice(driver), parse(url.format(free_port()))

    async def story() -> Found:
        serving = await device.serve(at)
        try:
            device.command(f"set alarms={alarm}", 0.0)
            return await probe(CATALOG, at, None, 10.0, 0.0)
        finally:
            await serving.stop()

    found = asyncio.run(story())
    assert found.driver.id == driver.id
    assert found.readings == device.readings()
    assert found.readings["alarms"].value == frozenset({alarm})
    assert all(found.identity.values())
