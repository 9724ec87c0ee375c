"""Ask one device once: find out which driver fits, read it, say what it shows. Needs no running agent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from edgeagent.alarm import Rule
from edgeagent.catalog import AlarmType, Catalog, Driver
from edgeagent.decode import decode, omitted
from edgeagent.devices import known
from edgeagent.endpoint import Endpoint
from edgeagent.fit import SYSTEM, Sure, best, fits, suited
from edgeagent.inventory import driver_rules
from edgeagent.items import Quirks
from edgeagent.links import Link, Plan, Target, open_link
from edgeagent.readings import Answers, Missing, Raw, Reading, silence

_QUIET: Final = 2


class NoAnswer(Exception):
    """Nothing answered; the message says why."""


class NoDriver(Exception):
    """The device answered and no driver fits; the message says what it showed."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that was read once. `types` are its alarm types where the site changed them.

    `sure` says how sure it is that the driver is the right one, None when it was named by a person; `others` are
    the drivers that fit as well, the likelier first.
    """

    driver: Driver
    identity: Mapping[str, str | None]
    readings: Mapping[str, Reading]
    types: Mapping[str, AlarmType] | None = None
    sure: Sure | None = None
    others: tuple[str, ...] = ()

    @property
    def alarms(self) -> list[str]:
        """List the alarms `<kind>.<type>[.<qualifier>]` that the readings would raise if they lasted."""
        kind = self.driver.kind
        types = kind.alarms if self.types is None else self.types
        return raised(driver_rules(kind.id, kind.text, self.driver, types), self.readings)

    def as_json(self) -> dict[str, Any]:
        """Return the object that `probe --json` and `poll --json` print."""
        return {
            "driver": self.driver.id,
            "kind": self.driver.kind.id,
            "confidence": "given" if self.sure is None else self.sure.value,
            "others": list(self.others),
            "identity": dict(self.identity),
            "readings": {id: spelled(self.driver, id, reading) for id, reading in sorted(self.readings.items())},
            "alarms": self.alarms,
        }


def raised(rules: Iterable[Rule], readings: Mapping[str, Reading]) -> list[str]:
    """Return the alarms that these readings would raise if they lasted."""
    found = []
    for rule in rules:
        if rule.type.each is None:
            if any(level.when.holds(readings, level.limit) for level in rule.type.levels):
                found.append(rule.id)
            continue
        members = readings.get(rule.type.each)
        if members is not None and isinstance(members.value, frozenset):
            found += [rule.member(member).id for member in members.value if rule.own(member)]
    return sorted(found)


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
        fitting: list[tuple[Driver, Sure]] = []
        if driver is None:
            fitting = await identify(catalog, link, endpoint, within)
        chosen = driver or fitting[0][0]
        answers = await ask(link, Target("probe", endpoint, chosen.quirks, within), plan_of(chosen))
    missing = silence(answers)
    if missing is not None:
        raise NoAnswer(missing.value)
    found = read(chosen, answers, now)
    others = tuple(other.id for other, _ in fitting[1:])
    sure = fitting[0][1] if fitting else Sure.MISMATCH if chosen.named and fits(chosen, answers) is False else None
    return replace(found, types=types, sure=sure, others=others)


def plan_of(driver: Driver) -> Plan:
    """Return all that is worth asking a device once: who it is, which variant, and its points."""
    asked = SYSTEM if driver.protocol == "snmp" else ()
    own = (address for item in driver.identity for address in item.addresses)
    return Plan(tuple(dict.fromkeys((*asked, *driver.proofs, *own, *driver.gets))), driver.walks)


def read(driver: Driver, answers: Answers, now: float) -> Found:
    """Decode the answers to `plan_of(driver)`."""
    own = suited(driver, answers)
    readings = omitted(driver, own, now) | decode(own, answers, now)
    return Found(own, known(own, answers, now), readings)


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


async def identify(catalog: Catalog, link: Link, endpoint: Endpoint, within: float) -> list[tuple[Driver, Sure]]:
    """Find the drivers that fit what answers, the best first; at least one.

    Raises:
        NoAnswer, NoDriver.
    """
    drivers = [driver for driver in catalog.drivers.values() if driver.protocol == endpoint.protocol]
    if len(drivers) == 1 and not drivers[0].proofs:
        return [(drivers[0], Sure.CERTAIN)]  # this host
    asking = _ask_snmp if endpoint.protocol == "snmp" else _ask_each
    answers = await asking(drivers, link, endpoint, within)
    missing = silence(answers)
    if missing is not None:
        raise NoAnswer(missing.value)
    fitting = best(drivers, answers)
    if not fitting:
        shown = ", ".join(f"{key} = {raw!r}" for key, raw in answers.items() if not isinstance(raw, Missing))
        raise NoDriver(shown[:500] or "nothing that a driver knows")
    return fitting


async def _ask_snmp(drivers: list[Driver], link: Link, endpoint: Endpoint, within: float) -> Answers:
    """Ask for the system group first: who does not answer that is not there."""
    target = Target("probe", endpoint, Quirks(), within)
    system = await ask(link, target, Plan(SYSTEM))
    wanted = tuple(dict.fromkeys(address for driver in drivers for address in driver.proofs))
    if silence(system) is not None or not wanted:
        return system
    return {**system, **await ask(link, target, Plan(wanted))}


async def _ask_each(drivers: list[Driver], link: Link, endpoint: Endpoint, within: float) -> Answers:
    """Ask each driver's questions in its own way: units differ in what they can be asked at once.

    Two families in a row that get no word end it: nothing stands there. One that gets none may have asked for
    what the unit does not answer at all, instead of refusing it. Who has said what it is is asked for no shapes.
    """
    answers: dict[str, Raw] = {}
    silent = 0
    for driver in sorted(drivers, key=lambda driver: -max((way.rank for way in driver.identify), default=0)):
        left = tuple(address for address in driver.proofs if address not in answers)
        if not left:
            continue
        if not driver.named and best(drivers, answers):
            break
        answered = await ask(link, Target("probe", endpoint, driver.quirks, within), Plan(left))
        quiet = silence(answered) is not None
        silent = silent + 1 if quiet and silence(answers) is not None else 0
        answers |= answered
        if silent == _QUIET:
            break
    return answers
