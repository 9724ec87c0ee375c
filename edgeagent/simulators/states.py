"""How a device can be ill, and how half of it dies. Pure; a state is a change to what it answers.

Which half is dead or wrong looks random and is the same every time: it hangs on the names of the points alone. What the
device is known by (its identification and the registers that tell variants apart) stays whole, so that the illness is
seen and not a stranger.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from zlib import crc32

from edgeagent.catalog import Driver
from edgeagent.fit import SYSTEM
from edgeagent.items import Item
from edgeagent.readings import Answers, Missing, Raw


class State(StrEnum):
    """What a simulated device is like."""

    NORMAL = "normal"
    ALARM = "alarm"
    """The typical fault of its kind, as far as its driver has words for it."""
    SLOW = "slow"
    """Every answer comes late, and is right."""
    HALF_DEAD = "half-dead"
    """Half of its points cannot be read; the others are right."""
    LYING = "lying"
    """Half of its points hold what cannot be; each answer comes after one that nobody asked for."""


class Death(StrEnum):
    """How the dead half of a device answers."""

    REFUSED = "refused"
    """Some of it is absent, the rest fails."""
    ABSENT = "absent"
    """noSuchInstance; exception 2; a field of dashes."""
    FAILING = "failing"
    """genErr; exception 4; a field of dashes."""
    SILENT = "silent"
    """A question that touches it gets no answer."""


SLOWNESS: Final = 0.8
"""Share of its driver's time-out that a slow device takes for an answer."""
_PATIENCE: Final[Mapping[str, float]] = {"snmp": 2.0}
"""s that a device has where its driver does not say, else 1 s: the default of a poll, of one answer elsewhere."""


def patience(driver: Driver) -> float:
    """Return the s within which an answer must have come."""
    return driver.quirks.timeout or _PATIENCE.get(driver.protocol, 1.0)


def half_dead(driver: Driver, answers: Answers, death: Death = Death.REFUSED) -> dict[str, Raw]:
    """Return the answers that are not given, each with its reason."""
    whole = known_by(driver)
    dead: dict[str, Raw] = {}
    # Of a serial line only numbers can be left out: without its letters and bits it would be no answer at all.
    mortal = ("number",) if driver.protocol == "serial" and death is not Death.SILENT else None
    items = [item for item in driver.items if item.code != "when" and (mortal is None or item.code in mortal)]
    for point in half(driver, "dead", {item.point for item in items if not whole.issuperset(places(item))}):
        for item in items:
            if item.point == point:
                missing = _death(driver, item, death)
                dead |= {address: missing for address in places(item) if address not in whole}
    return dead


def known_by(driver: Driver) -> frozenset[str]:
    """Return what stays whole: by what the device is known, and which variant of its family it is."""
    own = (address for item in driver.identity for address in item.addresses)
    between = (address for variant in driver.variants for address in variant.between)
    return frozenset((*SYSTEM, *(driver.proofs if driver.named else ()), *own, *between))


def places(item: Item) -> tuple[str, ...]:
    """Return all that is asked for an item."""
    return (item.walk,) if item.walk else item.addresses


def half(driver: Driver, salt: str, points: set[str]) -> list[str]:
    """Return half of the points, at least one, always the same."""
    mixed = sorted(points, key=lambda point: crc32(f"{salt} {driver.id} {point}".encode()))
    return mixed[: (len(mixed) + 1) // 2]


def _death(driver: Driver, item: Item, death: Death) -> Missing:
    if death is Death.SILENT:
        return Missing.TIMEOUT
    if driver.protocol == "serial":
        return Missing.NULL  # one field of a line cannot be refused
    if item.walk or death is Death.FAILING:  # a table that is absent would be one without rows
        return Missing.ERROR
    if death is Death.ABSENT:
        return Missing.ABSENT
    return Missing.ERROR if crc32(item.point.encode()) % 2 else Missing.ABSENT
