"""Which alarms can exist at this site: each device's alarm types, once for each instance of a `many` point. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from edgeagent.alarm import Rule
from edgeagent.catalog import AlarmType, Kind, Text
from edgeagent.config import Device, Site
from edgeagent.devices import IDENTITY, REACHABLE

AGENT: Final = "agent"
"""Resource and kind of the agent's own alarms."""


def rules_of(site: Site) -> list[Rule]:
    """Return the alarm inventory: all rules of all devices and of the agent itself."""
    rules = [rule for device in site.devices.values() for rule in device_rules(device)]
    own = site.catalog.kinds.get(AGENT)
    if own is not None:
        name = Text(f"Agent {site.agent}", f"监控代理 {site.agent}")
        rules += [_rule(AGENT, name, own, type) for type in own.alarms.values()]
    return rules


def device_rules(device: Device) -> Iterator[Rule]:
    """Yield the rules that the readings of this device's driver can ever decide."""
    given = device.driver.points | {REACHABLE, IDENTITY}
    kind = device.driver.kind
    for type in device.alarms.values():
        rule = _rule(device.id, device.name, kind, type)
        if rule.points & given:
            yield rule
        for instance in sorted({_instance(kind, id) for id in given} - {""}):
            own = _for_instance(kind, type, instance, given)
            if own is not None:
                yield replace(_rule(device.id, device.name, kind, own), qualifier=instance)


def _rule(resource: str, name: Text, kind: Kind, type: AlarmType) -> Rule:
    units = {id: point.unit for id, point in kind.points.items() if point.unit is not None}
    return Rule(resource, name, type, known=frozenset(kind.alarms) | kind.conditions, units=units)


def _instance(kind: Kind, id: str) -> str:
    """Return the instance name of a point such as door.front, "" for a point of the vocabulary itself."""
    stem, _, suffix = id.rpartition(".")
    point = kind.points.get(stem)
    return suffix if id not in kind.points and point is not None and point.many else ""


def _for_instance(kind: Kind, type: AlarmType, instance: str, given: frozenset[str] | set[str]) -> AlarmType | None:
    """Return the type with its `many` points turned to one instance, None when none of them has it."""
    if type.each is not None:
        return None
    points = frozenset[str]().union(*(level.when.points for level in type.levels))
    many = {id for id, point in kind.points.items() if point.many}
    names = {id: f"{id}.{instance}" for id in points & many if f"{id}.{instance}" in given}
    if not names:
        return None
    return replace(
        type,
        levels=tuple(replace(level, when=level.when.renamed(names)) for level in type.levels),
        clear=type.clear.renamed(names) if type.clear is not None else None,
    )
