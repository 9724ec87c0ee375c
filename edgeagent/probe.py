"""Ask one device once: find out which driver fits, read it, say what it shows. Needs no running agent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgeagent.catalog import AlarmType, Catalog, Driver, Quirks
from edgeagent.decode import SYS_DESCR, SYS_OBJECT_ID, decode, fits
from edgeagent.devices import known
from edgeagent.endpoint import Endpoint
from edgeagent.inventory import driver_rules
from edgeagent.links import Link, Plan, Target, open_link
from edgeagent.readings import Answers, Missing, Reading, silence


class NoAnswer(Exception):
    """Nothing answered; the message says why."""


class NoDriver(Exception):
    """The device answered and no driver fits; the message says what it showed."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that was read once. `types` are its alarm types where the site changed them."""

    driver: Driver
    identity: Mapping[str, str | None]
    readings: Mapping[str, Reading]
    types: Mapping[str, AlarmType] | None = None

    @property
    def alarms(self) -> list[str]:
        """List the alarms `<kind>.<type>[.<qualifier>]` that the readings would raise if they lasted."""
        kind, readings = self.driver.kind, self.readings
        found = []
        for rule in driver_rules(kind.id, kind.text, self.driver, kind.alarms if self.types is None else self.types):
            if rule.type.each is None:
                if any(level.when.holds(readings, level.limit) for level in rule.type.levels):
                    found.append(rule.id)
                continue
            members = readings.get(rule.type.each)
            if members is not None and isinstance(members.value, frozenset):
                found += [rule.member(member).id for member in members.value if rule.own(member)]
        return sorted(found)

    def as_json(self) -> dict[str, Any]:
        """Return the object that `probe --json` and `poll --json` print."""
        return {
            "driver": self.driver.id,
            "kind": self.driver.kind.id,
            "identity": dict(self.identity),
            "readings": {id: spelled(self.driver, id, reading) for id, reading in sorted(self.readings.items())},
            "alarms": self.alarms,
        }


def spelled(driver: Driver, id: str, reading: Reading) -> dict[str, Any]:
    """Return one reading as JSON: value, unit where it has one, quality, reason where it is not good."""
    point = driver.kind.point(id)
    value = sorted(reading.value) if isinstance(reading.value, frozenset) else reading.value
    fields: dict[str, Any] = {"value": value}
    if point is not None and point.unit is not None:
        fields["unit"] = point.unit
    fields["quality"] = reading.quality.value
    if reading.reason is not None:
        fields["reason"] = reading.reason
    return fields


async def probe(
    catalog: Catalog, endpoint: Endpoint, driver: Driver | None, within: float, now: float,
    types: Mapping[str, AlarmType] | None = None,
) -> Found:  # fmt: skip
    """Identify what answers at `endpoint` within so many s and read it; `driver` overrides the identification.

    Raises:
        NoAnswer, NoDriver.
    """
    async with opened(endpoint) as link:
        if driver is None:
            driver = await identify(catalog, link, endpoint, within)
        target = Target("probe", endpoint, driver.quirks, within)
        asked = (SYS_OBJECT_ID, SYS_DESCR) if driver.protocol == "snmp" else ()
        own = (address for item in driver.identity for address in item.addresses)
        gets = tuple(dict.fromkeys((*asked, *own, *driver.gets)))
        answers = await ask(link, target, Plan(gets, driver.walks))
    missing = silence(answers)
    if missing is not None:
        raise NoAnswer(missing.value)
    object_id = answers.get(SYS_OBJECT_ID)
    if isinstance(object_id, str) and not isinstance(object_id, Missing):
        driver = driver.on(object_id)
    return Found(driver, known(driver, answers, now), decode(driver, answers, now), types)


async def ask(link: Link, target: Target, plan: Plan) -> Answers:
    """Poll once and wait for the answers."""
    answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
    link.ask(target, plan, answered.set_result)
    return await answered


@contextlib.asynccontextmanager
async def opened(endpoint: Endpoint) -> AsyncIterator[Link]:
    """Open the link of an endpoint for as long as the context lasts."""
    link = open_link(endpoint)
    running = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        running.cancel()
        await asyncio.wait([running])


async def identify(catalog: Catalog, link: Link, endpoint: Endpoint, within: float) -> Driver:
    """Find the driver of the highest rank that fits what answers.

    Raises:
        NoAnswer, NoDriver.
    """
    drivers = [driver for driver in catalog.drivers.values() if driver.protocol == endpoint.protocol]
    if endpoint.protocol == "snmp":
        return await _identify_snmp(drivers, link, endpoint, within)
    if len(drivers) == 1 and not drivers[0].identify.addresses:
        return drivers[0]
    answered: Answers = {}
    fitting: list[Driver] = []
    for driver in drivers:
        if not driver.identify.addresses:
            continue
        target = Target("probe", endpoint, driver.quirks, within)
        answers = await ask(link, target, Plan(driver.identify.addresses))
        if silence(answers) is not None:
            # One that does not answer one question at all does not answer the next one either.
            raise NoAnswer(str(silence(answers)))
        answered = {**answered, **answers}
        if fits(driver, answers):
            fitting.append(driver)
    return _best(fitting, answered)


async def _identify_snmp(drivers: list[Driver], link: Link, endpoint: Endpoint, within: float) -> Driver:
    target = Target("probe", endpoint, Quirks(), within)
    system = dict(await ask(link, target, Plan((SYS_OBJECT_ID, SYS_DESCR))))
    missing = silence(system)
    if missing is not None:
        raise NoAnswer(missing.value)
    wanted = tuple(dict.fromkeys(address for driver in drivers for address in driver.identify.addresses))
    answers = {**system, **await ask(link, target, Plan(wanted))} if wanted else system
    return _best([driver for driver in drivers if fits(driver, answers)], answers)


def _best(fitting: list[Driver], answers: Answers) -> Driver:
    if not fitting:
        shown = ", ".join(f"{key} = {raw!r}" for key, raw in answers.items() if not isinstance(raw, Missing))
        raise NoDriver(shown[:500] or "nothing that a driver knows")
    return max(fitting, key=lambda driver: driver.identify.rank)
