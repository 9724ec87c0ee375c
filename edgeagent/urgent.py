"""What of a device is asked more often than the rest: the addresses behind what its alarms look at. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from edgeagent.catalog import AlarmType, Driver
from edgeagent.items import among


def urgent(driver: Driver, alarms: Iterable[AlarmType]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the addresses to get and the subtrees to walk for all that these alarms look at."""
    wanted: set[str] = set()
    for type in alarms:
        wanted.update(*(level.when.points for level in type.levels), type.clear.points if type.clear else ())
        wanted.update({type.each} if type.each else ())
    doubts = (driver.kind.points[id].doubt for id in wanted if id in driver.kind.points)
    wanted.update(*(doubt.points for doubt in doubts if doubt is not None))
    derived = (item.when for item in driver.items if among(wanted, item.point))
    wanted.update(*(when.points for when in derived if when is not None))
    items = [item for item in driver.items if among(wanted, item.point)]
    gets = dict.fromkeys(address for item in items for address in item.addresses)
    return tuple(gets), tuple(dict.fromkeys(item.walk for item in items if item.walk))
