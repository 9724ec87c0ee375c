"""Finds what a device would have to say for one of its alarms to come, in the words of a scenario. Pure.

Nothing is taken out of a condition but the points and words that it names: each is tried on a device that is well, in
the order in which the condition names them, one change before two, and what makes it true and can be said is it.
What a driver works out from other points is reached through those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Final

from edgeagent import injectwords, targets
from edgeagent.catalog import AlarmType, Catalog, Driver, Level, PointType, Severity, Text
from edgeagent.config import Device, Site
from edgeagent.devices import REACHABLE
from edgeagent.drill import DrillRefused
from edgeagent.injectwords import WordError
from edgeagent.readings import Reading, Value
from edgeagent.rules import Condition
from edgeagent.scenario import Scenario
from edgeagent.sitetree import SiteTree

_NUMBER: Final = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w.-])")
_MOST: Final = 2
"""Points that are changed at once."""
_UNSAID: Final = Text("", "")


@dataclass(frozen=True, slots=True)
class Shown:
    """What makes an alarm come, and what ends it: each a WHAT of a scenario, "source = battery"."""

    begin: tuple[str, ...]
    end: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Alone:
    """A site with one device, so that a line is tried on that alone."""

    devices: Mapping[str, Device]
    tree: SiteTree
    catalog: Catalog


def level_of(type: AlarmType, severity: Severity) -> Level | None:
    """Return the level of a severity, the gravest where none has it; None for a type that has no level."""
    found = (level for level in type.levels if level.severity is severity)
    return next(found, type.levels[-1] if type.levels else None)


def shown(site: Site, device: str, type: AlarmType, severity: Severity) -> Shown | None:
    """Return what makes an alarm of a device come; None where its driver cannot be made to say it."""
    found = site.devices[device]
    own = found.driver.points
    if type.levels and type.levels[0].when.points == {REACHABLE}:
        if REACHABLE not in own:
            return Shown(("silent",), ("answers",))
        probed = Shown(("answer = silent",), ("answer = ok",))
        return probed if can(site, device, *probed.begin) else None
    level = level_of(type, severity)
    if level is None or type.each is not None:
        return None
    fine, named = well(found.driver), _named(found.driver, level.when)
    for point in named if "bad(" in level.when.text else ():
        if can(site, device, f"{point} = missing"):
            return Shown((f"{point} = missing",), tuple(_ends(point, 0.0, fine.get(point)).splitlines()))
    single = [(point, value) for point in named for value in _values(point, type, level, found)]
    pairs = (pair for pair in combinations(single, _MOST) if pair[0][0] != pair[1][0])
    for changes in chain(((each,) for each in single), pairs):
        if _truth(found.driver, {**fine, **dict(changes)}, level) is not True:
            continue
        begin = tuple(_begins(point, value) for point, value in changes)
        if can(site, device, *begin):
            ends = (_ends(point, value, fine.get(point)) for point, value in changes)
            return Shown(begin, tuple(end for end in ends if end and can(site, device, end)))
    return None


def can(site: Site, device: str, *whats: str) -> bool:
    """Tell whether a device can be made to show all of this."""
    alone = _Alone({device: site.devices[device]}, site.tree, site.catalog)
    kinds = {device: site.devices[device].driver.kind.id}
    try:
        lines = tuple(injectwords.inject(f"at 0:00 {device} {what}", site.catalog.kinds, kinds) for what in whats)
        targets.plan(Scenario("", 1, _UNSAID, _UNSAID, "", timeline=lines), alone)
    except (WordError, DrillRefused):
        return False
    return True


def well(driver: Driver) -> dict[str, Value]:
    """Return what a healthy device reads."""
    fine: dict[str, Value] = {}
    for id in driver.points:
        point = driver.kind.point(id)
        if point is not None and point.type is PointType.SET:
            fine[id] = frozenset()
        elif point is not None and point.sample is not None:
            fine[id] = point.sample
    return fine


def _derived(driver: Driver) -> Iterator[tuple[str, Condition]]:
    return ((item.point, item.when) for item in driver.items if item.code == "when" and item.when is not None)


def _truth(driver: Driver, values: Mapping[str, Value], level: Level) -> bool | None:
    readings = {id: Reading(value, 0.0) for id, value in values.items()}
    for id, when in _derived(driver):
        holds = when.holds(readings)
        readings[id] = Reading.bad("absent", 0.0) if holds is None else Reading(holds, 0.0)
    return level.when.holds(readings, level.limit)


def _named(driver: Driver, when: Condition) -> dict[str, Condition]:
    """Return the points of a condition in its order, with what names each; derived ones are looked through."""
    derived = dict(_derived(driver))
    named: dict[str, Condition] = {}
    for id in sorted(when.points & driver.points, key=lambda id: (when.text.find(id.partition(".")[0]), id)):
        if id in derived:
            named |= {each: other for each, other in _named(driver, derived[id]).items() if each not in named}
        else:
            named.setdefault(id, when)
    return named


def _values(id: str, type: AlarmType, level: Level, device: Device) -> Iterator[Value]:
    """Give the values of a point that may matter to a condition."""
    point = device.driver.kind.point(id)
    when = _named(device.driver, level.when)[id]
    words = sorted((word for named, word in when.words if named == id), key=when.text.find)
    if point is None:
        return
    if point.type is PointType.SET:
        yield from (frozenset({word}) for word in words)
    elif point.type is PointType.ENUM:
        yield from dict.fromkeys((*words, *point.values))
    elif point.type is PointType.FLAG:
        yield point.sample is not True
    elif point.type is PointType.NUMBER:
        limits = [float(number) for number in _NUMBER.findall(when.text)]
        for limit in ([] if level.limit is None else [level.limit]) + limits:
            beyond = max(2 * type.deadband, abs(limit) / 20, 1.0)
            low, high = point.range or (limit - beyond, limit + beyond)
            yield from (min(max(limit + way, low), high) for way in (beyond, -beyond))


def _begins(point: str, value: Value) -> str:
    if isinstance(value, frozenset):
        return f"{point} + {next(iter(value))}"
    return f"{point} = {spelled(value)}"


def _ends(point: str, value: Value, well: Value | None) -> str:
    if isinstance(value, frozenset):
        return f"{point} - {next(iter(value))}"
    return "" if well is None else f"{point} = {spelled(well)}"


def spelled(value: Value) -> str:
    """Write a value as a scenario does."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
