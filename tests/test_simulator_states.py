"""A simulated device in each of its states, and what our own agent makes of it over the real wire."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import subprocess
import sys
import tty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgeagent.catalog import Driver, Text
from edgeagent.config import Device
from edgeagent.decode import decode
from edgeagent.devices import DeviceState
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.inventory import driver_rules
from edgeagent.links import Plan, Target
from edgeagent.probe import Found, ask, opened, raised
from edgeagent.readings import Missing, Quality, Raw, Reading
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice, SimulationError
from edgeagent.simulators.lies import lies
from edgeagent.simulators.states import half_dead, known_by

CATALOG = load([drivers()])
SERVED = sorted(id for id, driver in CATALOG.drivers.items() if driver.protocol not in ("host", "service", "ami"))
MUTE = frozenset({
    "ats/asco-group-g", "environment/advantech-adam", "environment/moxa-iologik-e1212", "environment/moxa-iologik-e1214",
    "environment/waveshare-io8", "environment/wp80xx", "generator/cat-emcp42", "hvac/uniflair-le", "ups/emerson-cn",
})  # fmt: skip
"""Drivers that have no word for any alarm: measurements alone, or contacts whose meaning the site gives."""
OWN = ("reachable", "identity")


def device_of(driver: str, state: str = "normal") -> SimulatedDevice:
    device = SimulatedDevice(CATALOG.drivers[driver])
    device.command(f"state {state}", 0.0)
    return device


@functools.cache
def healthy_device(driver: str) -> SimulatedDevice:
    """Return a device that is only looked at."""
    return SimulatedDevice(CATALOG.drivers[driver])


def told(alarms: list[str]) -> set[str]:
    """Return the types of alarms that say more than that something was not understood or a sensor is broken."""
    return {alarm.split(".")[1] for alarm in alarms} - {"vendor-alarm", "sensor-fault"}


# What it answers.


@pytest.mark.parametrize("id", SERVED)
def test_an_alarmed_device_shows_a_fault_and_is_healthy_again_after_it(id: str) -> None:
    device, healthy = device_of(id, "alarm"), healthy_device(id)
    assert bool(Found(device.driver, {}, device.readings()).alarms) is (id not in MUTE)
    device.command("state normal", 0.0)
    assert device.answers == healthy.answers


@pytest.mark.parametrize(
    ("driver", "alarms"),
    [
        ("ups/rfc1628", ["ups.battery-low", "ups.on-battery", "ups.runtime-low"]),
        ("ups/megatec", ["ups.battery-low", "ups.on-battery"]),
        ("generator/dse-gencomm", ["generator.fail-to-start", "generator.mains-lost"]),
        ("ats/socomec-atys", ["ats.mains-lost"]),
        ("ats/apc-rack-ats", ["ats.redundancy-lost", "ats.source-a-lost"]),
        ("hvac/liebert-icom", ["hvac.return-temperature-high", "hvac.unit-alarm"]),
        ("environment/xy-md02", ["environment.temperature-high"]),
    ],
)
def test_the_fault_is_the_typical_one_of_the_kind(driver: str, alarms: list[str]) -> None:
    device = device_of(driver, "alarm")
    assert Found(device.driver, {}, device.readings()).alarms == alarms


def test_what_is_set_during_an_alarm_stays_after_it() -> None:
    device = device_of("ups/rfc1628", "alarm")
    device.command("set battery.charge=55", 0.0)
    device.command("state slow", 0.0)
    readings = device.readings()
    assert (readings["battery.charge"].value, readings["source"].value) == (55, "normal")


def decoded(driver: Driver, answers: dict[str, Raw]) -> dict[str, Reading]:
    there = dict.fromkeys(driver.gets, Missing.ABSENT) | dict.fromkeys(driver.walks, 0)
    return decode(driver, {**there, **answers}, 0.0)


def unlike(driver: Driver, found: dict[str, Reading], healthy: dict[str, Reading]) -> set[str]:
    """Return the points that are read otherwise than of a healthy device, those that are concluded aside."""
    derived = {item.point for item in driver.items if item.code == "when"}
    return {id for id, reading in found.items() if not reading.same(healthy[id])} - derived


def related(driver: Driver, point: str) -> set[str]:
    """Return the point, its phases and its whole."""
    return {id for id in driver.points if id == point or id.startswith(f"{point}.") or point.startswith(f"{id}.")}


@pytest.mark.parametrize("id", SERVED)
def test_half_of_it_dies_and_the_other_half_says_what_it_said(id: str) -> None:
    device = healthy_device(id)
    driver, healthy = device.driver, decoded(device.driver, device.answers)
    dead = half_dead(driver, device.answers)
    assert known_by(driver).isdisjoint(dead)
    items = [item for item in driver.items if item.code != "when"]
    if any(not known_by(driver).issuperset((*item.addresses, *filter(None, [item.walk]))) for item in items):
        assert dead
    assert half_dead(driver, device.answers) == dead
    hit = {item.point for item in items if not {*item.addresses, item.walk}.isdisjoint(dead)}
    hit = {id for point in hit for id in related(driver, point)}
    found = decoded(driver, {**device.answers, **dead})
    assert unlike(driver, found, healthy) <= hit
    assert told(Found(driver, {}, found).alarms) == set()


@pytest.mark.parametrize("id", SERVED)
def test_every_lie_is_seen_through_and_no_other_point_suffers(id: str) -> None:
    device = healthy_device(id)
    driver, healthy = device.driver, decoded(device.driver, device.answers)
    lie = lies(driver, device.answers)
    assert known_by(driver).isdisjoint(lie)
    found = decoded(driver, {**device.answers, **lie})
    hit = {item.point for item in driver.items if any(a in lie for a in (*item.addresses, item.walk))}
    hit = {id for point in hit for id in related(driver, point)}
    assert unlike(driver, found, healthy) <= hit
    assert told(Found(driver, {}, found).alarms) == set()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("state sleepy", 'unknown state "sleepy"'),
        ("state half", 'unknown state "half"'),
        ("state slow soon", "write: state slow SECONDS, not soon"),
        ("state half-dead asleep", 'unknown death "asleep"'),
        ("state lying a bit", "state lying takes nothing more, not a bit"),
        ("state", 'unknown state ""'),
    ],
)
def test_a_state_that_there_is_not_says_which_there_are(line: str, message: str) -> None:
    device = SimulatedDevice(CATALOG.drivers["ups/rfc1628"])
    with pytest.raises(SimulationError) as caught:
        device.command(line, 0.0)
    assert str(caught.value).startswith(message)
    assert device.state == "normal"


@pytest.mark.parametrize(
    ("driver", "line", "delay"),
    [
        ("ups/rfc1628", "state slow", 1.6),
        ("ups/rfc1628", "state slow 0.25", 0.25),
        ("ups/megatec", "state slow", 0.8),
        ("hvac/liebert-icom", "state slow", 2.4),
    ],
)
def test_slow_is_most_of_what_the_driver_waits(driver: str, line: str, delay: float) -> None:
    device = SimulatedDevice(CATALOG.drivers[driver])
    patience = device.driver.quirks.timeout
    device.command(line, 0.0)
    assert device.delay == pytest.approx(0.8 * patience if patience and line == "state slow" else delay)
    device.command("state normal", 0.0)
    assert device.delay == 0


def test_the_command_line_names_a_state_and_changes_it() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "edgeagent", "simulate", "ups/rfc1628", "--listen", "snmp://127.0.0.1:0", "--state", "alarm"],
        input="show\nstate normal\nshow\nstate half-dead absent\nshow\nstate dead\nquit\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert [line for line in told.stdout.splitlines() if line.startswith(("source", "ok", "error"))] == [
        "source = battery", "ok", "source = normal", "ok", "source = normal",
        'error: unknown state "dead", did you mean "half-dead"?',
    ]  # fmt: skip
    assert " = (absent)" in told.stdout


def test_the_command_line_refuses_a_state_that_there_is_not() -> None:
    command = ["simulate", "ups/rfc1628", "--listen", "snmp://127.0.0.1:0", "--state", "dead"]
    told = subprocess.run(
        [sys.executable, "-m", "edgeagent", *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode != 0
    assert 'unknown state "dead"' in told.stderr


# What the agent makes of it.


@contextlib.contextmanager
def joined(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Join two pseudo terminals: what goes into one end comes out of the other."""
    loop = asyncio.get_running_loop()
    pairs = [os.openpty() for _ in range(2)]
    ends = folder / "here", folder / "there"
    masters = [master for master, _ in pairs]

    def carry(*ends: int) -> None:
        source, sink = ends
        with contextlib.suppress(OSError):
            os.write(sink, os.read(source, 1024))

    for end, (_, slave) in zip(ends, pairs, strict=True):
        tty.setraw(slave)
        end.symlink_to(os.ttyname(slave))
    loop.add_reader(masters[0], carry, *masters)
    loop.add_reader(masters[1], carry, *masters[::-1])
    try:
        yield ends
    finally:
        for pair in pairs:
            loop.remove_reader(pair[0])
            for fd in pair:
                os.close(fd)


class Scene:
    """A device as the agent has it after some polls over the wire."""

    def __init__(self, device: SimulatedDevice, state: DeviceState) -> None:
        self.device = device
        self.readings = {id: reading for id, reading in state.readings.items() if id not in OWN}
        self.reachable = state.readings["reachable"].value
        self.identity = state.readings.get("identity")
        driver = state.device.driver
        self.alarms = raised(driver_rules("x", driver.kind.text, driver, driver.kind.alarms), state.readings)

    def unlike(self) -> dict[str, str | None]:
        """Return the points that the agent reads in another way than the device shows them, with its reason."""
        shown = self.device.readings()
        return {
            id: reading.reason
            for id, reading in self.readings.items()
            if (reading.value, reading.reason) != (shown[id].value, shown[id].reason)
        }


def seen(folder: Path, driver: str, url: str, state: str, rounds: int = 5, timeout: float = 20.0) -> Scene:
    """Poll a device in a state as the agent does, `rounds` times."""
    device = SimulatedDevice(CATALOG.drivers[driver])
    for line in (state,) if state == "silence" else (f"state {state}",):
        device.command(line, 0.0)

    async def story() -> DeviceState:
        with contextlib.ExitStack() as stack:
            here = there = folder / "ups"
            if url.startswith("modbus+rtu"):
                here, there = stack.enter_context(joined(folder))
            serving = await device.serve(parse(url.format(port=here)))
            at = parse(url.format(port=there))
            at = replace(at, port=serving.port) if at.host else at
            plain = CATALOG.drivers[driver]
            known = DeviceState(Device("d", Text("D", "设备"), plain, at, None, 2.0, 1.0, timeout, plain.kind.alarms))
            async with opened(at) as link:
                for number in range(rounds):
                    now = 1000.0 + 2 * number
                    plan = Plan(*known.wants(now))
                    known.take(await ask(link, Target("d", at, plain.quirks, timeout), plan), now)
            await serving.stop()
            return known

    return Scene(device, asyncio.run(story()))


WIRES = [
    pytest.param("ups/rfc1628", "snmp://127.0.0.1:0", id="SNMP"),
    pytest.param("ups/apc-powernet", "snmp://127.0.0.1:0?version=1", id="SNMPv1"),
    pytest.param("ups/rfc1628", "snmp://guard@127.0.0.1:0?version=3", id="SNMPv3"),
    pytest.param("hvac/liebert-icom", "modbus://127.0.0.1:0?unit=1", id="Modbus TCP"),
    pytest.param("ats/socomec-atys", "modbus+rtu://{port}?unit=5&baud=115200", id="Modbus RTU"),
    pytest.param("ups/megatec", "serial://{port}", id="Megatec"),
    pytest.param("ups/voltronic", "serial://{port}", id="Voltronic"),
]


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH", "PRIV"):
        monkeypatch.setenv(f"EDGEAGENT_SNMP_{name}", "spoken softly")


@pytest.mark.parametrize(("driver", "url"), WIRES)
def test_a_normal_device_is_read_as_it_is(tmp_path: Path, driver: str, url: str) -> None:
    scene = seen(tmp_path, driver, url, "normal", rounds=2)
    assert (scene.reachable, scene.alarms, scene.unlike()) == (True, [], {})
    assert scene.identity is not None
    assert scene.identity.value == "match"


@pytest.mark.parametrize(("driver", "url"), WIRES)
def test_an_alarmed_device_raises_its_alarms(tmp_path: Path, driver: str, url: str) -> None:
    scene = seen(tmp_path, driver, url, "alarm", rounds=2)
    assert (scene.reachable, scene.unlike()) == (True, {})
    assert scene.alarms
    assert "x.unreachable" not in scene.alarms


@pytest.mark.parametrize(("driver", "url"), WIRES)
def test_a_slow_device_is_right_as_long_as_one_waits(tmp_path: Path, driver: str, url: str) -> None:
    scene = seen(tmp_path, driver, url, "slow 0.03", rounds=2, timeout=20.0)
    assert (scene.reachable, scene.alarms, scene.unlike()) == (True, [], {})


@pytest.mark.parametrize(("driver", "url"), [WIRES[0], WIRES[5]])
def test_what_a_slow_device_has_no_time_for_is_a_time_out_and_no_fault(tmp_path: Path, driver: str, url: str) -> None:
    for _ in range(3):  # the machine may stand still for a moment, but not each time
        scene = seen(tmp_path, driver, url, "slow 0.4", rounds=3, timeout=1.0)
        if scene.reachable:
            break
    assert (scene.reachable, scene.alarms) == (True, [])
    assert set(scene.unlike().values()) <= {"timeout", "partial", "unknown"}


@pytest.mark.parametrize(("driver", "url"), [WIRES[0], WIRES[3], WIRES[5]])
def test_too_slow_for_any_answer_is_silence(tmp_path: Path, driver: str, url: str) -> None:
    scene = seen(tmp_path, driver, url, "slow 1.5", rounds=4, timeout=0.3)
    assert (scene.reachable, scene.alarms) == (False, ["x.unreachable"])


@pytest.mark.parametrize(("driver", "url"), WIRES)
@pytest.mark.parametrize("death", ["refused", "absent", "failing"])
def test_a_half_dead_device_is_half_read(tmp_path: Path, driver: str, url: str, death: str) -> None:
    scene = seen(tmp_path, driver, url, f"half-dead {death}")
    bad = {id for id, reading in scene.device.readings().items() if reading.quality is not Quality.GOOD}
    assert 0 < len(bad) < len(scene.readings)
    if url.startswith("modbus") and death != "absent":
        # A read that touches what fails, fails as a whole: neighbours go with it, and all of a small device does.
        wrong = {"error", "partial", "unknown"} if scene.reachable else {"error", "timeout"}
        assert told(scene.alarms) == (set() if scene.reachable else {"unreachable"})
        assert set(scene.unlike().values()) <= wrong
    else:
        assert (scene.reachable, told(scene.alarms), scene.unlike()) == (True, set(), {})


@pytest.mark.parametrize(("driver", "url"), WIRES)
def test_silence_of_a_half_is_no_fault(tmp_path: Path, driver: str, url: str) -> None:
    scene = seen(tmp_path, driver, url, "half-dead silent", rounds=4, timeout=0.3)
    assert told(scene.alarms) <= {"unreachable"}
    assert ("x.unreachable" in scene.alarms) is (scene.reachable is False)
    assert set(scene.unlike().values()) <= {"timeout", "partial", "unknown"}


@pytest.mark.parametrize(("driver", "url"), WIRES)
def test_a_lying_device_is_disbelieved_on_those_points_alone(tmp_path: Path, driver: str, url: str) -> None:
    scene = seen(tmp_path, driver, url, "lying")
    assert (scene.reachable, told(scene.alarms), scene.unlike()) == (True, set(), {})
    assert any(reading.quality is not Quality.GOOD for reading in scene.readings.values())


@pytest.mark.parametrize(("driver", "url"), WIRES)
def test_only_real_silence_is_unreachable(tmp_path: Path, driver: str, url: str) -> None:
    scene = seen(tmp_path, driver, url, "silence", rounds=4, timeout=0.3)
    assert (scene.reachable, scene.alarms) == (False, ["x.unreachable"])
    assert {reading.quality for reading in scene.readings.values()} == {Quality.BAD}
