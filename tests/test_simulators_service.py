"""Simulated services over the real wire, read by our own link."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edgeagent.catalog import Driver
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target
from edgeagent.probe import ask, opened, probe
from edgeagent.readings import Value
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice, SimulationError

CATALOG = load([drivers()])
SERVED = [
    pytest.param("service/tcp", "service+tcp://127.0.0.1:0", id="TCP"),
    pytest.param("service/http", "service+http://127.0.0.1:0/health", id="HTTP"),
    pytest.param("service/dns", "service+dns://127.0.0.1:0?name=crm.example", id="DNS"),
    pytest.param("service/sip", "service+sip://127.0.0.1:0", id="SIP"),
]


def words_of(driver: Driver) -> list[str]:
    """Return what a service of this driver can answer."""
    return [str(word) for item in driver.items if item.point == "answer" for word in item.enum.values()]


async def heard(device: SimulatedDevice, url: str, *lines: str, within: float = 3.0) -> list[Value | None]:
    """Serve a device and read its answer after each command."""
    serving = await device.serve(parse(url))
    at = replace(parse(url), port=serving.port)
    found: list[Value | None] = []
    try:
        async with opened(at) as link:
            for line in lines:
                device.command(line, 0.0)
                await asyncio.sleep(0)
                answers = await ask(link, Target("x", at, timeout=within), Plan(("answer",)))
                raw = answers["answer"]
                found.append(raw if isinstance(raw, str) else None)
    finally:
        await serving.stop()
    return found


@pytest.mark.parametrize(("id", "url"), SERVED)
def test_a_simulated_service_is_found_and_is_well(id: str, url: str) -> None:
    async def story() -> tuple[str, object, list[str]]:
        serving = await SimulatedDevice(CATALOG.drivers[id]).serve(parse(url))
        try:
            found = await probe(CATALOG, replace(parse(url), port=serving.port), None, 5.0, 0.0)
        finally:
            await serving.stop()
        return found.driver.id, found.readings["answer"].value, found.alarms

    assert asyncio.run(story()) == (id, "ok", [])


@pytest.mark.parametrize(("id", "url"), SERVED)
def test_it_answers_what_it_is_set_to_and_is_well_again_on_the_same_port(id: str, url: str) -> None:
    driver = CATALOG.drivers[id]
    # A name that cannot be resolved is no matter of the server, and an open port cannot keep silent.
    words = [word for word in words_of(driver) if word not in ("ok", "unresolved", "insecure")]
    lines = [line for word in words for line in (f"set answer={word}", "set answer=ok")]
    said = [("refused" if word == "silent" and id == "service/tcp" else word) for word in words]
    assert asyncio.run(heard(SimulatedDevice(driver), url, *lines)) == [
        answer for word in said for answer in (word, "ok")
    ]


@pytest.mark.parametrize(("id", "url"), SERVED[1:])
def test_silence_and_slowness_are_those_of_the_wire(id: str, url: str) -> None:
    device = SimulatedDevice(CATALOG.drivers[id])
    lines = ("silence", "answer", "state slow 4.0", "state normal", "state alarm")
    assert asyncio.run(heard(device, url, *lines)) == ["silent", "ok", "silent", "ok", "refused"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("service+https://127.0.0.1:0/", "a service+https device cannot be served"),
        ("service+http://192.0.2.7/", "192.0.2.7 is not a loopback address; a simulated device stays on this machine"),
        ("host://", "service/http speaks service, not host"),
    ],
)
def test_what_cannot_be_served_says_so(url: str, message: str) -> None:
    with pytest.raises(SimulationError) as caught:
        asyncio.run(SimulatedDevice(CATALOG.drivers["service/http"]).serve(parse(url)))
    assert str(caught.value) == message
