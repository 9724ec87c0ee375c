"""The slow way to the alarm rules, as an oracle: every rule of every resource made at once, kept and looked through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace

from edgeagent.alarm import Rule
from edgeagent.catalog import AlarmType, Kind, Text
from edgeagent.causes import of_the_grid
from edgeagent.config import Device, Site
from edgeagent.contacts import debounced
from edgeagent.devices import IDENTITY, REACHABLE
from edgeagent.groups import groupable
from edgeagent.inventory import AGENT, _for_instance, _instance, _silent, fitted
from edgeagent.seatverdict import WITNESSES
from edgeagent.sitetree import MAINS, SEAT


def facts(rule: Rule) -> list[object]:
    """Return all that a rule is."""
    return [rule.id, *(getattr(rule, field.name) for field in fields(rule))]


def plain_rules(site: Site) -> Iterator[Rule]:
    """Yield all rules of a site, each found on its own and made to wait where something can explain it."""
    for rule in _told(site):
        if not _waits(site, rule):
            yield rule
            continue
        levels = tuple(replace(level, on_delay=max(level.on_delay, site.causes.hold)) for level in rule.type.levels)
        yield replace(rule, type=replace(rule.type, levels=levels))


def _waits(site: Site, rule: Rule) -> bool:
    type, node = rule.type, site.tree.nodes.get(rule.resource)
    if not type.explained_by or node is None:
        return False
    if of_the_grid(type) and site.tree.mains is not None:
        return True
    many = (
        (node.seat is not None or node.kind == SEAT) and bool(node.parents) and not rule.qualifier and groupable(type)
    )
    return many or any(node.parents.get(relation) for relation in type.explained_by)


def _told(site: Site) -> Iterator[Rule]:
    seats = fitted(site)
    weighed = {part: seat for seat, has in seats.items() for part, _ in has.parts}
    for device in site.devices.values():
        silent = _silent(device, seats[weighed[device.id]]) if device.id in weighed else frozenset()
        yield from (rule for rule in _of_device(device) if rule.type.id not in silent)
    mains = site.tree.nodes.get(site.tree.mains or "")
    if mains is not None:
        names = {id: other.name for id, other in site.tree.nodes.items() if other.kind != SEAT}
        for type in site.mains_alarms.values():
            rule = replace(_rule(mains.id, mains.name, site.catalog.kinds[MAINS], type), names=names)
            if rule.points.isdisjoint({REACHABLE, IDENTITY}):
                yield rule
    for id, has in seats.items():
        kind = site.catalog.kinds[SEAT]
        for type in kind.alarms.values():
            rule = replace(_rule(id, site.tree.name(id), kind, type), names=WITNESSES)
            own = rule.points - {"workstation"}
            if own <= has.points and (own or "workstation" in has.points):
                yield rule
    kind = site.catalog.kinds[AGENT]
    for type in kind.alarms.values():
        yield _rule(AGENT, Text(f"Agent {site.agent}", f"监控代理 {site.agent}"), kind, type)


def _of_device(device: Device) -> Iterator[Rule]:
    kind = device.driver.kind
    given = device.driver.points | {REACHABLE, IDENTITY}
    for type in device.alarms.values():
        if _rule("", kind.text, kind, type).points & given:
            yield _rule(device.id, device.name, kind, debounced(type, device.contacts))
        for instance in sorted({_instance(kind, id) for id in given} - {""}):
            own = _for_instance(kind, type, instance, given)
            if own is not None:
                yield _rule(device.id, device.name, kind, debounced(own, device.contacts), instance)


def _rule(resource: str, name: Text, kind: Kind, type: AlarmType, qualifier: str = "") -> Rule:
    return Rule(resource, name, type, qualifier, known=kind.members, units=kind.units)


class PlainBook:
    """All rules in one list."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)

    def naming(self) -> Mapping[tuple[str, str], list[Rule]]:
        """Return the rules that look at a point of a resource."""
        found: dict[tuple[str, str], list[Rule]] = {}
        for rule in self.rules:
            for point in rule.points | ({rule.type.shows} if rule.type.shows else set()):
                found.setdefault((rule.resource, point), []).append(rule)
        return found

    def find(self, alarm_id: str, member: str = "") -> Rule | None:
        """Find the rule an alarm id comes from."""
        for rule in self.rules:
            if not member and rule.id == alarm_id:
                return rule
            if member and rule.type.each and rule.own(member) and rule.member(member).id == alarm_id:
                return rule
        return None

    def news(self, before: PlainBook) -> list[Rule]:
        """Return the rules that are new or judge otherwise than before."""
        had = {rule.id: (rule.known, rule.type) for rule in before.rules}
        return [rule for rule in self.rules if had.get(rule.id) != (rule.known, rule.type)]
