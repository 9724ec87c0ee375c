"""What the feed says of the agent, the site and its devices, and how it answers commands. Pure.

Every payload is a TypedDict, from which its JSON Schema can be made (`PAYLOADS`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict

from edgeagent import drillfeed, forecastfeed, recordfeed, runfeed, seatpayloads
from edgeagent.alarmfeed import Record, Snapshot, Told
from edgeagent.catalog import AlarmType, Kind, Text
from edgeagent.config import Device, Site
from edgeagent.messages import LARGEST, Event, Gap, Mode, dump, stamp
from edgeagent.readings import Quality, Reading, Value
from edgeagent.sitetree import AREA, SEAT, Node

State: TypeAlias = Literal["online", "offline", "unknown"]
_Section: TypeAlias = Literal["areas", "kinds", "nodes", "devices"]


class Both(TypedDict):
    """A text in both languages."""

    en: str
    zh: str


class Status(TypedDict):
    """The payload of agent/<agent>/status: birth, will and clean exit. A will does not know when it is sent."""

    state: Literal["online", "offline"]
    reason: str
    boot: int
    since: str | None


class Clock(TypedDict):
    """Whether the agent's clock can be trusted; `offset` is in ms where it is known."""

    synced: bool
    offset_ms: float | None


class Info(TypedDict):
    """The payload of agent/<agent>/info: what changes with an installation or a configuration.

    `broker` is the one of several that the agent got through to last.
    """

    version: str
    schema: str
    config: str
    boot: int
    started: str
    devices: int
    clock: Clock
    broker: NotRequired[str]


class Health(TypedDict):
    """The payload of agent/<agent>/health, gone after 180 s. Ages in s, sizes in bytes."""

    time: str
    boot: int
    uptime: float
    seq: int
    outbox: Mapping[str, float | None]
    quarantined: int
    clock: Clock
    counts: Mapping[str, float]
    trouble: list[str]


class PointEntry(TypedDict):
    """One point of a kind."""

    type: str
    texts: Both
    unit: NotRequired[str]
    values: NotRequired[list[str]]


class AlarmEntry(TypedDict):
    """One alarm type (RFC 8632 §3.2, alarm inventory)."""

    texts: Both
    severities: list[str]
    event_type: str
    probable_cause: str
    will_clear: bool


class KindEntry(TypedDict):
    """What every device of a kind has."""

    texts: Both
    points: dict[str, PointEntry]
    alarms: dict[str, AlarmEntry]


class DeviceEntry(TypedDict):
    """One device. `above` is what it hangs on, by relation, `seat` the seat it is part of.

    `alarms` are the types it has switched on, where they are not all of its kind.
    """

    kind: str
    driver: str
    area: str | None
    texts: Both
    interval: float
    above: NotRequired[dict[str, list[str]]]
    seat: NotRequired[str]
    alarms: NotRequired[list[str]]


class NodeEntry(TypedDict):
    """One thing that nobody polls: mains, panel, circuit, switch, service; `above` is what it hangs on, by relation."""

    kind: str
    texts: Both
    above: dict[str, list[str]]


class Inventory(TypedDict):
    """The payload of `inventory`, and of `inventory/2` and on where it takes several `pages`."""

    site: str
    texts: Both
    language: str
    page: int
    pages: int
    areas: dict[str, Both]
    kinds: dict[str, KindEntry]
    nodes: dict[str, NodeEntry]
    devices: dict[str, DeviceEntry]


class Availability(TypedDict):
    """The payload of device/<id>/availability."""

    state: State
    since: str | None
    reason: str | None


class Answer(TypedDict):
    """The payload of res/<verb>. `reason` is for programs, `text` (the site's language) and `texts` for people."""

    ok: bool
    verb: str
    transaction: str | None
    time: str
    reason: NotRequired[str]
    text: NotRequired[str]
    texts: NotRequired[Both]


PAYLOADS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "status": Status,
        "info": Info,
        "health": Health,
        "inventory": Inventory,
        "availability": Availability,
        "alarm": Record,
        "alarms": Snapshot,
        "alarm-event": Told,
        "gap-event": Gap,
        "event": Event,
        "answer": Answer,
        **runfeed.PAYLOADS,
        **recordfeed.PAYLOADS,
        **forecastfeed.PAYLOADS,
        **drillfeed.PAYLOADS,
        **seatpayloads.PAYLOADS,
    }
)
"""The type of each payload by name. A device's state is flat and has the points of its kind (see `device_state`)."""


def both(text: Text) -> Both:
    """Give a text in both languages."""
    return {"en": text.en, "zh": text.zh}


def status(online: bool, reason: str, boot: int, since: float | None) -> Status:
    """Say whether the agent is there: birth `start` or `reconnect`, clean exit `stop`, will `lost`."""
    return {
        "state": "online" if online else "offline",
        "reason": reason,
        "boot": boot,
        "since": None if since is None else stamp(since),
    }


def availability(state: State, since: float | None, reason: str | None = None) -> Availability:
    """Say whether a device answers. Readers take all readings of an agent that is offline for unknown."""
    return {"state": state, "since": None if since is None else stamp(since), "reason": reason}


def device_state(
    readings: Mapping[str, Reading], units: Mapping[str, str], time: float, observed: float | None
) -> dict[str, Any]:
    """Build a device's readings as one flat object: values by point id, and beside them what they are worth.

    A bad reading is null and stands in `quality` with its reason, as does an uncertain one. `units` (UCUM) names the
    unit of each number. `time` is when the newest changed, `observed` when the device last answered, epoch s.
    """
    payload: dict[str, Any] = {point: _plain(reading.value) for point, reading in readings.items()}
    payload["units"] = {point: unit for point, unit in units.items() if point in readings}
    payload["quality"] = {
        point: {"quality": reading.quality, "reason": reading.reason}
        for point, reading in readings.items()
        if reading.quality is not Quality.GOOD
    }
    payload["time"] = stamp(time)
    payload["observed"] = None if observed is None else stamp(observed)
    exercise = next((reading.origin for reading in readings.values() if reading.origin is not None), None)
    if exercise is not None:
        payload["lane"], payload["exercise_id"] = Mode.DRILL, exercise  # `mode` is a point of many devices
    return payload


def inventory(site: Site, largest: int = LARGEST) -> list[Inventory]:
    """List what there is at the site, in as many pages as keep each below `largest` bytes."""
    kinds = {device.driver.kind.id: device.driver.kind for device in site.devices.values()}
    nodes = [node for node in site.tree.nodes.values() if not node.device and node.kind not in (AREA, SEAT)]
    kinds |= {node.kind: site.catalog.kinds[node.kind] for node in nodes if node.kind in site.catalog.kinds}
    entries: list[tuple[_Section, str, Any]] = [
        *(("areas", id, both(name)) for id, name in site.areas.items()),
        *(("kinds", id, _kind(kind)) for id, kind in kinds.items()),
        *(("nodes", node.id, _node(node)) for node in nodes),
        *(("devices", id, _device(device, site.tree.nodes.get(id))) for id, device in site.devices.items()),
    ]
    pages: list[Inventory] = []
    room = 0
    for section, id, entry in entries:
        size = len(dump({id: entry}))
        if size > room:
            pages.append(_page(site, len(pages) + 1))
            room = largest - len(dump(pages[-1])) - 16
        pages[-1][section][id] = entry
        room -= size
    for page in pages:
        page["pages"] = len(pages)
    return pages


def answer(verb: str, transaction: str | None, at: float, result: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a command that was done; what it gave stands beside."""
    return {**result, "ok": True, "verb": verb, "transaction": transaction, "time": stamp(at)}


def refusal(
    verb: str, transaction: str | None, at: float, reason: str, text: Text, language: Literal["en", "zh"]
) -> dict[str, Any]:
    """Answer a command that was not done."""
    said: Answer = {
        "ok": False,
        "verb": verb,
        "transaction": transaction,
        "time": stamp(at),
        "reason": reason,
        "text": getattr(text, language),
        "texts": both(text),
    }
    return {**said}


def _plain(value: Value | None) -> bool | float | str | list[str] | None:
    return sorted(value) if isinstance(value, frozenset) else value


def _page(site: Site, number: int) -> Inventory:
    return {
        "site": site.id,
        "texts": both(site.name),
        "language": site.language,
        "page": number,
        "pages": 1,
        "areas": {},
        "kinds": {},
        "nodes": {},
        "devices": {},
    }


def _kind(kind: Kind) -> KindEntry:
    return {
        "texts": both(kind.text),
        "points": dict(_points(kind)),
        "alarms": {id: _alarm(type) for id, type in kind.alarms.items()},
    }


def _points(kind: Kind) -> Iterator[tuple[str, PointEntry]]:
    for id, point in kind.points.items():
        entry: PointEntry = {"type": point.type, "texts": both(point.text)}
        if point.unit is not None:
            entry["unit"] = point.unit
        if point.values:
            entry["values"] = list(point.values)
        yield id, entry


def _alarm(type: AlarmType) -> AlarmEntry:
    return {
        "texts": both(type.text),
        "severities": [level.severity for level in type.levels],
        "event_type": type.event_type,
        "probable_cause": type.probable_cause,
        "will_clear": not type.latch,
    }


def _node(node: Node) -> NodeEntry:
    return {"kind": node.kind, "texts": both(node.name), "above": _above(node)}


def _above(node: Node) -> dict[str, list[str]]:
    return {relation.value: list(parents) for relation, parents in node.parents.items() if parents}


def _device(device: Device, node: Node | None) -> DeviceEntry:
    entry: DeviceEntry = {
        "kind": device.driver.kind.id,
        "driver": device.driver.id,
        "area": device.area,
        "texts": both(device.name),
        "interval": device.interval,
    }
    if node is not None and node.parents:
        entry["above"] = _above(node)
    if node is not None and node.seat is not None:
        entry["seat"] = node.seat
    if set(device.alarms) != set(device.driver.kind.alarms):
        entry["alarms"] = sorted(device.alarms)
    return entry
