"""Which alarms can exist at this site, the groups of alike faults aside. Pure.

Each device's alarm types, once for each instance of a `many` point, those of the mains, of the seats that are watched
and of the agent itself. What is a witness of such a seat does not speak for itself where the seat does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from edgeagent.alarm import Rule, Ruled
from edgeagent.catalog import AlarmType, Driver, Kind, Text
from edgeagent.config import Device, Site
from edgeagent.contacts import Delays, debounced
from edgeagent.devices import IDENTITY, REACHABLE
from edgeagent.seatverdict import WITNESSES
from edgeagent.sitetree import MAINS, SEAT

AGENT: Final = "agent"
"""Resource and kind of the agent's own alarms."""
_WEIGHED: Final = {
    "presence": frozenset({"no-answer", "unreachable"}), "port": frozenset({"link-down", "poe-fault", "unreachable"}),
    "phone": frozenset({"unregistered", "unpowered", "unreachable"}),
}  # fmt: skip
"""Alarm types of the witnesses of a seat that the seat's own take the place of."""
_SOUND: Final = frozenset({"audio-missing"})
"""What a workstation leaves to the headset beside it."""
_NOTHING: Final = frozenset[str]()
_UNHEARD: Final = frozenset({"unreachable"})
"""The same of what its agent reports: a silent agent is no fault of the workstation or headset."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a watched seat has: its parts with their kinds, and what can be said of it.

    `others` are the parts that are asked otherwise than by the seat's agent.
    """

    parts: tuple[tuple[str, str], ...]
    others: tuple[str, ...]
    workstation: bool
    phone: bool
    agent: bool
    points: frozenset[str]


def fitted(site: Site) -> dict[str, Fitted]:
    """Return what each seat has that is watched: whose agent reports, that is pinged or whose switch port is read."""
    parts: dict[str, list[Device]] = {}
    for id, node in site.tree.nodes.items():
        if node.seat is not None and id in site.devices:
            parts.setdefault(node.seat, []).append(site.devices[id])
    return {seat: _fitted(devices) for seat, devices in parts.items() if any(map(_watches, devices))}


def _watches(device: Device) -> bool:
    return device.endpoint.scheme == SEAT or device.driver.kind.id in ("presence", "port")


def _fitted(devices: list[Device]) -> Fitted:
    parts = tuple((device.id, device.driver.kind.id) for device in devices)
    kinds = {kind for _, kind in parts}
    others = tuple(
        device.id for device in devices if device.endpoint.scheme != SEAT and device.driver.kind.id in _WEIGHED
    )
    agent, phone = any(device.endpoint.scheme == SEAT for device in devices), "phone" in kinds
    # A port with a phone on it may have nothing else.
    workstation = agent or bool(kinds & {"workstation", "presence"}) or ("port" in kinds and not phone)
    can = {
        "workstation": workstation, "phone": phone, "agent": agent, "unread": bool(others),
        "headsets": "headset" in kinds, "gone": True, "alive": True, "ready": True,
    }  # fmt: skip
    return Fitted(parts, others, workstation, phone, agent, frozenset(point for point, so in can.items() if so))


def rules_of(site: Site) -> list[Rule]:
    """Return the alarm inventory as single rules, each of a resource of its own."""
    return [rule for ruled in inventory(site) for rule in ruled.rules()]


def inventory(site: Site) -> list[Ruled]:
    """Return what has alarms: all devices, the mains if the site has one, watched seats, the agent itself."""
    # What a driver can decide is found once for all devices that share it and its alarm types.
    found: dict[tuple[int, int, frozenset[str]], tuple[Rule, ...]] = {}
    ruled: list[Ruled] = []
    seats = fitted(site)
    weighed = {part: seat for seat, has in seats.items() for part, _ in has.parts}
    for device in site.devices.values():
        silent = _silent(device, seats[weighed[device.id]]) if device.id in weighed else _NOTHING
        key = (id(device.driver), id(device.alarms), silent)
        if key not in found:
            told = {id: type for id, type in device.alarms.items() if id not in silent}
            found[key] = tuple(_forms(device.driver, told, device.contacts))
        ruled.append(Ruled(device.id, device.name, found[key]))
    ruled += _of_mains(site)
    ruled += _of_seats(site, seats)
    own = site.catalog.kinds.get(AGENT)
    if own is not None:
        name = Text(f"Agent {site.agent}", f"监控代理 {site.agent}")
        ruled.append(Ruled(AGENT, name, tuple(_form(own, type) for type in own.alarms.values())))
    return ruled


def _silent(device: Device, has: Fitted) -> frozenset[str]:
    """Return the alarm types of a part of a seat that the seat tells, or another part."""
    kind = device.driver.kind.id
    heard = _WEIGHED.get(kind) or (_UNHEARD if device.endpoint.scheme == SEAT else frozenset())
    return heard | _SOUND if kind == "workstation" and "headsets" in has.points else heard


def _of_mains(site: Site) -> Iterator[Ruled]:
    """Yield the mains: nobody polls it, so it is never unreachable. Its sets are told by names."""
    kind, node = site.catalog.kinds.get(MAINS), site.tree.nodes.get(site.tree.mains or "")
    if kind is None or node is None:
        return
    names = {id: other.name for id, other in site.tree.nodes.items() if other.kind != SEAT}
    forms = (replace(_form(kind, type), names=names) for type in site.mains_alarms.values())
    yield Ruled(node.id, node.name, tuple(form for form in forms if form.points.isdisjoint({REACHABLE, IDENTITY})))


def _of_seats(site: Site, seats: Mapping[str, Fitted]) -> Iterator[Ruled]:
    """Yield the watched seats; each has the rules of what it has."""
    kind = site.catalog.kinds.get(SEAT)
    if kind is None:
        return
    of: dict[frozenset[str], tuple[Rule, ...]] = {}
    for id, has in seats.items():
        if has.points not in of:
            forms = (replace(_form(kind, type), names=WITNESSES) for type in kind.alarms.values())
            of[has.points] = tuple(form for form in forms if _told(form, has))
        yield Ruled(id, site.tree.name(id), of[has.points])


def _told(rule: Rule, has: Fitted) -> bool:
    """Tell whether a seat can have an alarm; one that only asks after the workstation beside may do without."""
    own = rule.points - {"workstation"}
    return own <= has.points and bool(own or "workstation" in has.points)


def driver_rules(resource: str, name: Text, driver: Driver, alarms: Mapping[str, AlarmType]) -> Iterator[Rule]:
    """Yield the rules of these alarm types that a driver's readings can ever decide."""
    return Ruled(resource, name, tuple(_forms(driver, alarms, {}))).rules()


def _forms(driver: Driver, alarms: Mapping[str, AlarmType], contacts: Mapping[str, Delays]) -> Iterator[Rule]:
    """Yield the rules of alarm types: the plain one, and one for each instance of a `many` point.

    `contacts` are the delays that the site gave to single contacts, by point id.
    """
    given = driver.points | {REACHABLE, IDENTITY}
    kind = driver.kind
    instances = sorted({_instance(kind, id) for id in given} - {""})
    for type in alarms.values():
        if _form(kind, type).points & given:
            yield _form(kind, debounced(type, contacts))
        for instance in instances:
            own = _for_instance(kind, type, instance, given)
            if own is not None:
                yield _form(kind, debounced(own, contacts), instance)


def _form(kind: Kind, type: AlarmType, qualifier: str = "") -> Rule:
    return Rule("", kind.text, type, qualifier, known=kind.members, units=kind.units)


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
