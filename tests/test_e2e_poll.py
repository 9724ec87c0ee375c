"""A generator's controller polled over every Modbus medium, and registers written by hand into another server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from pymodbus.server import ModbusTcpServer

from tests.broker import free_port, until
from tests.field import NOT_THERE, Simulated, controller
from tests.rig import device, edgeagent, write_site

DSE: Final = "generator/dse-gencomm"
RUNNING: Final = (
    "state=running", "on-load=true", "speed=1500", "output.voltage=231", "output.frequency=50",
    "output.power=42000", "mains.voltage=0", "mains.frequency=0", "fuel=64", "coolant.temperature=82",
    "oil.pressure=410", "starter.voltage=27.4", "alarms=fuel-low.warning",
)  # fmt: skip


def poll(folder: Path, url: str) -> dict[str, Any]:
    site = write_site(folder, 1883, device("genset", DSE, url, timeout=20))
    done = edgeagent("poll", "genset", "--config", site, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def serial_line(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Join two pseudo terminals with socat: what goes into one end comes out of the other."""
    if shutil.which("socat") is None:
        pytest.skip("socat is not installed")
    ends = folder / "agent-end", folder / "device-end"
    process = subprocess.Popen(["socat", *(f"pty,raw,echo=0,link={end}" for end in ends)])
    try:
        until(lambda: all(end.exists() for end in ends))
        yield ends
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_a_controller_reads_the_same_over_tcp_rtu_over_tcp_and_a_serial_line(tmp_path: Path) -> None:
    found: dict[str, dict[str, Any]] = {}
    for scheme in ("modbus", "modbus+rtuovertcp"):
        with Simulated(DSE, f"{scheme}://127.0.0.1:0?unit=10", *RUNNING) as genset:
            found[scheme] = poll(tmp_path / "site", f"{scheme}://127.0.0.1:{genset.port}?unit=10")
    with serial_line(tmp_path) as (ours, theirs):
        options = "?baud=19200&parity=N&unit=10"
        with Simulated(DSE, f"modbus+rtu://{theirs}{options}", *RUNNING):
            found["modbus+rtu"] = poll(tmp_path / "site", f"modbus+rtu://{ours}{options}")
    assert found["modbus"] == found["modbus+rtuovertcp"] == found["modbus+rtu"]
    readings = found["modbus"]["readings"]
    shown = {
        point: readings[point]["value"] for point in ("state", "running", "on-load", "speed", "fuel", "output.power")
    }
    assert shown == {
        "state": "running", "running": True, "on-load": True, "speed": 1500, "fuel": 64, "output.power": 42000,
    }  # fmt: skip
    assert readings["coolant.temperature"] == {"value": 82, "unit": "Cel", "quality": "good"}
    assert readings["mains.healthy"]["value"] is False
    assert found["modbus"]["alarms"] == ["generator.fuel-low", "generator.mains-lost"]


# Registers written by hand and served by pymodbus: what follows knows the standard, not the driver file.


def polled(folder: Path, changes: Mapping[int, int]) -> dict[str, Any]:
    """Serve a controller with pymodbus and poll it with the command line."""

    async def serve_and_poll() -> dict[str, Any]:
        port = free_port()
        server = ModbusTcpServer(controller(changes), address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        try:
            return await asyncio.to_thread(poll, folder, f"modbus://127.0.0.1:{port}?unit=10")
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]

    return asyncio.run(serve_and_poll())


def value(found: dict[str, Any], point: str) -> object:
    return found["readings"][point]["value"]


def test_registers_at_rest_are_a_healthy_set(tmp_path: Path) -> None:
    found = polled(tmp_path / "site", {})
    assert found["driver"] == DSE
    assert found["identity"]["vendor"] == "Deep Sea Electronics"
    points = (
        "state",
        "mode",
        "running",
        "on-load",
        "mains.frequency",
        "mains.voltage",
        "mains.voltage.l3",
        "mains.healthy",
    )
    assert [value(found, point) for point in points] == ["stopped", "auto", False, False, 50, 229.8, 230.5, True]
    others = ("fuel", "coolant.temperature", "starter.voltage", "runtime", "starts", "alarms")
    assert [value(found, point) for point in others] == [64, 38, 27.4, 446400, 128, []]
    assert found["alarms"] == []


def test_a_failed_mains_is_told_by_voltages_and_by_its_nibble(tmp_path: Path) -> None:
    found = polled(tmp_path / "site", {**dict.fromkeys(range(1059, 1066), 0), 2058: 0x1121})
    assert [value(found, point) for point in ("mains.frequency", "mains.voltage", "mains.healthy")] == [0, 0, False]
    assert value(found, "alarms") == ["mains-failed.warning"]
    assert found["alarms"] == ["generator.mains-lost"]


def test_the_nibble_alone_is_enough_where_voltages_are_not_measured(tmp_path: Path) -> None:
    found = polled(tmp_path / "site", {**dict.fromkeys(range(1059, 1066), NOT_THERE), 2058: 0x1121})
    assert value(found, "mains.voltage") is None
    assert value(found, "mains.healthy") is False
    assert found["alarms"] == ["generator.mains-lost"]


def test_a_set_that_fails_to_start_is_told_whatever_page_says_so(tmp_path: Path) -> None:
    newer = polled(tmp_path / "newer", {39428: 0x1311, 774: 0x1000})
    assert value(newer, "alarms") == ["common-shutdown", "fail-to-start.shutdown"]
    assert "generator.fail-to-start" in newer["alarms"]
    older = polled(tmp_path / "older", {2050: 0x1131, 774: 0x1000})
    assert older["alarms"] == newer["alarms"]


@pytest.mark.parametrize(
    ("changes", "point", "reason"),
    [
        ({1025: 0x7FFF}, "coolant.temperature", "not-available"),
        ({1027: 0xFFFF}, "fuel", "not-fitted"),
        ({1024: 0xFFFC}, "oil.pressure", "sensor-fault"),
        ({1025: 0x7FFC}, "coolant.temperature", "sensor-fault"),
        ({1027: 0xFFFE}, "fuel", "over-range"),
        ({1027: 0xFFFD}, "fuel", "under-range"),
        ({1060: 0xFFFF, 1061: 0xFFFF}, "mains.voltage.l1", "not-fitted"),
        ({1408: 15}, "state", "not-fitted"),
    ],
    ids=lambda each: "" if isinstance(each, dict) else str(each),
)
def test_a_sentinel_is_no_value_and_says_why(tmp_path: Path, changes: dict[int, int], point: str, reason: str) -> None:
    found = polled(tmp_path / "site", changes)
    reading = found["readings"][point]
    assert (reading["value"], reading["quality"], reading["reason"]) == (None, "bad", reason)
    assert found["alarms"] == []


def test_a_unit_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    with Simulated(DSE, "modbus://127.0.0.1:0?unit=10") as genset:
        site = write_site(
            tmp_path / "site", 1883, device("genset", DSE, f"modbus://127.0.0.1:{genset.port}?unit=11", timeout=1)
        )
        done = edgeagent("poll", "genset", "--config", site, "--json")
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert done.stdout == ""
