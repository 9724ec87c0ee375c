"""UPS drivers on a serial line, from the simulator's pseudo terminal to the alarm, and what other people's tool reads."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from edgeagent.catalog import Driver
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.probe import Found, NoAnswer, NoDriver, probe
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice, SimulationError
from edgeagent.simulators.serial import SerialServer

CATALOG: Final = load([drivers()])
MEGATEC = CATALOG.drivers["ups/megatec"]
VOLTRONIC = CATALOG.drivers["ups/voltronic"]
NUT: Final = Path("/lib/nut")


def probed(path: Path, device: SimulatedDevice, driver: bool = False, options: str = "") -> Found:
    async def story() -> Found:
        serving = await device.serve(parse(f"serial://{path}"))
        try:
            return await probe(CATALOG, parse(f"serial://{path}{options}"), device.driver if driver else None, 3.0, 0.0)
        finally:
            await serving.stop()

    return asyncio.run(story())


def values(found: Found) -> dict[str, object]:
    return {id: reading.value for id, reading in found.readings.items()}


@pytest.mark.parametrize("driver", ["ups/megatec", "ups/voltronic"])
def test_it_is_known_from_its_own_simulator(tmp_path: Path, driver: str) -> None:
    device = SimulatedDevice(CATALOG.drivers[driver])
    found = probed(tmp_path / "ups", device)
    assert found.driver.id == driver
    assert found.others == ()
    assert found.alarms == []
    assert values(found) == {id: reading.value for id, reading in device.readings().items()}
    assert found.identity["firmware"] == "1.0"


@pytest.mark.parametrize("word", ["normal", "battery", "test", "bypass", "booster", "reducer", "off"])
def test_every_source_passes_the_line(tmp_path: Path, word: str) -> None:
    device = SimulatedDevice(MEGATEC, {"source": word})
    assert values(probed(tmp_path / "ups", device, driver=True))["source"] == word


@pytest.mark.parametrize("word", ["normal", "eco", "battery", "test", "bypass", "off", "other"])
def test_every_source_of_a_voltronic_unit_passes_the_line(tmp_path: Path, word: str) -> None:
    device = SimulatedDevice(VOLTRONIC, {"source": word})
    assert values(probed(tmp_path / "ups", device, driver=True))["source"] == word


@pytest.mark.parametrize(
    ("driver", "line", "alarms"),
    [
        pytest.param(MEGATEC, "source=battery", ["ups.on-battery"], id="an outage"),
        pytest.param(MEGATEC, "source=battery battery.status=low", ["ups.battery-low", "ups.on-battery"], id="battery low"),
        pytest.param(MEGATEC, "source=test alarms=testing", [], id="a test is no outage"),
        pytest.param(MEGATEC, "source=booster", [], id="a low mains is no fault"),
        pytest.param(MEGATEC, "source=bypass", ["ups.on-bypass"], id="bypass"),
        pytest.param(MEGATEC, "alarms=internal-fault,shutdown-imminent", ["ups.internal-fault", "ups.shutdown-imminent"], id="failed"),
        pytest.param(VOLTRONIC, "source=battery", ["ups.on-battery"], id="an outage of a Voltronic unit"),
        pytest.param(VOLTRONIC, "alarms=fan-fault,overload", ["ups.fan-fault", "ups.load-high"], id="warnings"),
    ],
)  # fmt: skip
def test_what_it_says_raises_its_alarm(tmp_path: Path, driver: Driver, line: str, alarms: list[str]) -> None:
    device = SimulatedDevice(driver)
    device.command(f"set {line}", 0.0)
    assert probed(tmp_path / "ups", device, driver=True).alarms == alarms


def test_there_is_no_charge_where_the_ups_gives_none() -> None:
    assert not {"battery.charge", "battery.runtime", "output.power"} & MEGATEC.points


def test_a_silent_ups_is_no_answer_and_a_strange_one_no_driver(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "ups"
        server = SerialServer(str(path), lambda command: None)
        await server.start()
        with pytest.raises(NoDriver):
            await probe(CATALOG, parse(f"serial://{path}"), None, 4.0, 0.0)
        server.silent = True
        with pytest.raises(NoAnswer, match="timeout"):
            await probe(CATALOG, parse(f"serial://{path}"), None, 0.4, 0.0)
        server.stop()

    asyncio.run(story())


def test_a_simulated_ups_takes_nobodys_place(tmp_path: Path) -> None:
    (tmp_path / "ups").touch()

    async def story() -> None:
        with pytest.raises(SimulationError, match="File exists"):
            await SimulatedDevice(MEGATEC).serve(parse(f"serial://{tmp_path / 'ups'}"))

    asyncio.run(story())


# -- a second opinion --------------------------------------------------------------------------------------------

NAMES: Final = {
    "input.voltage": "input.voltage", "input.frequency": "input.frequency", "output.voltage": "output.voltage",
    "ups.load": "output.load", "ups.temperature": "battery.temperature", "battery.voltage": "battery.voltage",
}  # fmt: skip


def nut(program: str, path: Path, folder: Path, options: str) -> dict[str, str]:
    """Let a driver of Network UPS Tools read the line twice and say what it found."""
    (folder / "ups.conf").write_text(f"[ups]\ndriver = {program}\nport = {path}\n{options}")
    environment = {
        **os.environ,
        "NUT_CONFPATH": str(folder),
        "NUT_STATEPATH": str(folder),
        "NUT_ALTPIDPATH": str(folder),
    }
    user = ["-u", "root"] if os.geteuid() == 0 else []
    told = subprocess.run(
        [NUT / program, "-a", "ups", *user, "-d", "2"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    return dict(line.split(": ", 1) for line in told.stdout.splitlines() if ": " in line)


@pytest.mark.slow
@pytest.mark.skipif(not (NUT / "nutdrv_qx").is_file(), reason="nut-server is not installed")
@pytest.mark.parametrize(
    ("program", "options", "driver", "line", "status"),
    [
        ("nutdrv_qx", "protocol = megatec\n", MEGATEC, "source=normal", "OL"),
        ("nutdrv_qx", "protocol = megatec\n", MEGATEC, "source=battery battery.status=low", "OB LB"),
        ("nutdrv_qx", "protocol = megatec\n", MEGATEC, "source=booster", "OL BOOST"),
        ("nutdrv_qx", "protocol = megatec\n", MEGATEC, "source=reducer", "OL TRIM"),
        ("nutdrv_qx", "protocol = mustek\n", MEGATEC, "source=bypass", "OL BYPASS"),
        ("blazer_ser", "", MEGATEC, "source=battery output.load=80", "OB"),
        ("nutdrv_qx", "protocol = voltronic\n", VOLTRONIC, "source=normal", "OL"),
        ("nutdrv_qx", "protocol = voltronic\n", VOLTRONIC, "source=battery battery.status=low", "OB LB"),
    ],
)  # fmt: skip
def test_network_ups_tools_reads_the_same(
    tmp_path: Path, program: str, options: str, driver: Driver, line: str, status: str
) -> None:
    path = tmp_path / "ups"
    device = SimulatedDevice(driver, {"battery.voltage": 27.0})
    device.command(f"set {line}", 0.0)

    async def story() -> tuple[dict[str, str], Found]:
        serving = await device.serve(parse(f"serial://{path}"))
        try:
            theirs = await asyncio.to_thread(nut, program, path, tmp_path, options)
            return theirs, await probe(CATALOG, parse(f"serial://{path}"), device.driver, 3.0, 0.0)
        finally:
            await serving.stop()

    theirs, ours = asyncio.run(story())
    assert {id: float(theirs[name]) for name, id in NAMES.items()} == {
        id: ours.readings[id].value for id in NAMES.values()
    }
    assert {*theirs["ups.status"].split()} == {*status.split()}
