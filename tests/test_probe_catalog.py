"""The whole catalogue over the wire: every driver's simulated device is served, probed, and taken for what it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from edgeagent.catalog import Driver
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.fit import Sure
from edgeagent.probe import Found, NoDriver, probe
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice

CATALOG = load([drivers()])
SERVED = sorted(id for id, driver in CATALOG.drivers.items() if driver.protocol not in ("host", "service", "ami"))
AT_ONCE = 12
"""Devices that are probed at a time: most of a Modbus probe is waiting between questions."""


async def probed(driver: Driver, folder: Path, turn: asyncio.Semaphore) -> Found | NoDriver:
    path = folder / driver.id.replace("/", "-")
    url = {"snmp": "snmp://127.0.0.1:0", "modbus": "modbus://127.0.0.1:0?unit=1", "serial": f"serial://{path}"}
    at = parse(url[driver.protocol])
    async with turn:
        serving = await SimulatedDevice(driver).serve(at)
        try:
            return await probe(CATALOG, replace(at, port=serving.port), None, 30.0, 0.0)
        except NoDriver as reason:
            return reason
        finally:
            await serving.stop()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found | NoDriver]:
    folder = tmp_path_factory.mktemp("lines")

    async def story() -> dict[str, Found | NoDriver]:
        turn = asyncio.Semaphore(AT_ONCE)
        results = await asyncio.gather(*(probed(CATALOG.drivers[id], folder, turn) for id in SERVED))
        return dict(zip(SERVED, results, strict=True))

    return asyncio.run(story())


@pytest.mark.parametrize("id", SERVED)
def test_a_device_is_taken_for_what_it_is(found: dict[str, Found | NoDriver], id: str) -> None:
    driver, seen = CATALOG.drivers[id], found[id]
    if not driver.identify:
        # Nothing tells it apart: it may look like another family, but nothing may be sure of it.
        assert isinstance(seen, NoDriver) or seen.sure is Sure.GUESS, seen
        return
    assert isinstance(seen, Found), seen
    assert seen.driver.id == id
    assert seen.alarms == []
    assert seen.sure is not Sure.GUESS or driver.protocol != "snmp"
    shown = SimulatedDevice(driver).readings()
    assert {id: reading.value for id, reading in seen.readings.items()} == {id: r.value for id, r in shown.items()}
