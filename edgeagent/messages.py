"""What goes over the feed: the topic tree, the message and the envelope around events. Pure: no clock, no I/O.

State is retained flat JSON; events are CloudEvents 1.0 in structured JSON, which MQTT 3.1.1 readers understand too.
The payloads are in `payloads.py` (the site and its devices) and `alarmfeed.py` (alarms).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import lru_cache
from math import floor
from typing import Any, Final, NotRequired

import orjson
from typing_extensions import TypedDict

JSON: Final = "application/json"
CLOUDEVENT: Final = "application/cloudevents+json; charset=utf-8"
GAP: Final = "gap"
SCHEMA: Final = "urn:edgeagent:v1"
LARGEST: Final = 64 * 1024
"""Bytes of a payload that any broker of a site may be asked to take."""
_ID: Final = re.compile(r"[a-z0-9-]{1,40}")
_PLAIN: Final[Mapping[str, str]] = {}
"""The properties of nearly all messages."""
_ALARM: Final = re.compile(r"[a-z0-9.-]{1,200}")


class Mode(StrEnum):
    """The lane a message comes from. It is a topic level, so that a reader of `live/#` never sees a drill."""

    LIVE = "live"
    DRILL = "drill"


class Place(IntEnum):
    """Where a message stands in the queue when the broker comes back. All but events are kept once a topic."""

    STATUS = 0
    SNAPSHOT = 1
    STATE = 2
    EVENT = 3
    DRILL = 4
    """All of a drill, events or not: it never goes before anything real."""


class Keep(IntEnum):
    """Which event is dropped first when the outbox is full, lowest first."""

    TELEMETRY = 0
    INFO = 1
    MINOR = 2
    ENDED = 3
    RAISE = 4


@dataclass(frozen=True, slots=True)
class Message:
    """One message to publish. Times are epoch s; `expires` None means never.

    An empty `body` deletes a retained topic and is never a value. `seq` numbers an event. `subject` is the alarm
    it is about; `clears` tells that it ends that alarm.
    """

    topic: str
    body: bytes
    place: Place
    qos: int = 1
    retain: bool = False
    properties: Mapping[str, str] = field(default_factory=lambda: _PLAIN)
    content_type: str = JSON
    born: float = 0.0
    expires: float | None = None
    keep: Keep = Keep.INFO
    seq: int | None = None
    subject: str = ""
    clears: bool = False

    @property
    def size(self) -> int:
        """Bytes that topic and body take in a packet."""
        return len(self.topic) + len(self.body)


@dataclass(frozen=True, slots=True)
class Tree:
    """The topics of one agent: `<root>/v1/<site>/<live|drill>/…`.

    Raises:
        ValueError: for an id that is not 1 to 40 of a-z, 0-9 and -.
    """

    root: str
    site: str
    agent: str

    def __post_init__(self) -> None:
        _checked(self.root, self.site, self.agent)

    def _at(self, mode: Mode, *levels: str) -> str:
        return "/".join((self.root, "v1", self.site, mode, *levels))

    def own(self, name: str) -> str:
        """Give the agent's topics: status, info or health."""
        return self._at(Mode.LIVE, "agent", self.agent, *_checked(name))

    def inventory(self, page: int = 1) -> str:
        """Give the inventory; what does not fit one message goes on under `inventory/2`."""
        return self._at(Mode.LIVE, "inventory", *([] if page == 1 else [str(page)]))

    def availability(self, device: str) -> str:
        """Give the topic that tells whether a device answers."""
        return self._at(Mode.LIVE, "device", *_checked(device), "availability")

    def state(self, device: str, mode: Mode = Mode.LIVE) -> str:
        """Give the topic of a device's readings."""
        return self._at(mode, "device", *_checked(device), "state")

    def alarm(self, id: str, mode: Mode = Mode.LIVE) -> str:
        """Give the topic of an alarm's record; alarm ids have dots."""
        if not _ALARM.fullmatch(id):
            raise ValueError(f"{id!r} is no alarm id: 1 to 200 of a-z, 0-9, dot and -")
        return self._at(mode, "alarm", id)

    def alarms(self, mode: Mode = Mode.LIVE) -> str:
        """Give the topic of the snapshot of all open alarms."""
        return self._at(mode, "alarms")

    def event(self, family: str, name: str, mode: Mode = Mode.LIVE) -> str:
        """Give an event topic: alarm/<severity>, procedure/<procedure>, agent/gap."""
        return self._at(mode, "event", *_checked(family, name))

    def procedure(self, run: str, mode: Mode = Mode.LIVE) -> str:
        """Give the topic of an open run of a procedure."""
        return self._at(mode, "procedure", *_checked(run))

    def record(self, run: str, mode: Mode = Mode.LIVE) -> str:
        """Give the topic of the fault record of a run."""
        return self._at(mode, "record", *_checked(run))

    def forecast(self, mode: Mode = Mode.LIVE) -> str:
        """Give the topic that tells what is likely next."""
        return self._at(mode, "forecast")

    def exercise(self, mode: Mode = Mode.LIVE) -> str:
        """Give the topic that tells which drill runs."""
        return self._at(mode, "exercise")

    def request(self, verb: str, mode: Mode = Mode.LIVE) -> str:
        """Give the topic that takes a command."""
        return self._at(mode, "req", *_checked(verb))

    def answer(self, verb: str, mode: Mode = Mode.LIVE) -> str:
        """Give the topic of a command's answer."""
        return self._at(mode, "res", *_checked(verb))

    @property
    def requests(self) -> str:
        """The filter of all commands."""
        return f"{self.root}/v1/{self.site}/+/req/+"

    def seat(self, seat: str, name: str) -> str:
        """Give a topic on which the agent of a seat speaks: status or report."""
        return f"{self.root}/v1/{self.site}/seat/{'/'.join(_checked(seat, name))}"

    @property
    def statuses(self) -> str:
        """The filter of the statuses of all seats."""
        return f"{self.root}/v1/{self.site}/seat/+/status"

    def speaker(self, topic: str) -> tuple[str, str] | None:
        """Take seat and name out of the topic of a seat; None when it is none."""
        match topic.removeprefix(f"{self.root}/v1/{self.site}/").split("/"):
            case ["seat", seat, name]:
                return seat, name
        return None

    def mode(self, topic: str) -> Mode:
        """Tell the lane of a topic."""
        return Mode.DRILL if topic.startswith(f"{self.root}/v1/{self.site}/{Mode.DRILL}/") else Mode.LIVE

    def requested(self, topic: str) -> tuple[Mode, str] | None:
        """Take mode and verb out of a request's topic; None when it is none."""
        match topic.removeprefix(f"{self.root}/v1/{self.site}/").split("/"):
            case [(Mode.LIVE | Mode.DRILL) as mode, "req", verb] if _ID.fullmatch(verb):
                return Mode(mode), verb
        return None


class Gap(TypedDict):
    """The data of a gap event: numbered events that will never come."""

    from_seq: int
    to_seq: int
    count: int
    reason: str


class Event(TypedDict):
    """The CloudEvents 1.0 envelope with our extensions. Order by (boot, seq), tell duplicates by (source, id)."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    dataschema: str
    seq: int
    boot: int
    mode: str
    severity: NotRequired[str]
    exerciseid: NotRequired[str]
    replayed: NotRequired[bool]
    data: Mapping[str, Any]


def _checked(*ids: str) -> tuple[str, ...]:
    for id in ids:
        if not _ID.fullmatch(id):
            raise ValueError(f"{id!r} cannot be part of a topic: 1 to 40 of a-z, 0-9 and -")
    return ids


def stamp(at: float) -> str:
    """Write a time as RFC 3339 in UTC with milliseconds."""
    rounded = round(at, 3)
    second = floor(rounded)
    return f"{_second(second)}.{round((rounded - second) * 1000):03}Z"


@lru_cache(maxsize=8)
def _second(at: int) -> str:
    """Write a second; very many times that are written fall into the same one."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()


def stamped(at: float | None) -> str | None:
    """Write a time that may not have come."""
    return None if at is None else stamp(at)


def dump(payload: Mapping[str, Any]) -> bytes:
    """Write a payload as JSON; a set is written in order."""
    # Copied: what orjson gives keeps the whole of its buffer, 16 KB and more, and messages are held by the thousand.
    return bytes(memoryview(orjson.dumps(payload, default=sorted)))


def event(
    tree: Tree, topic: str, type: str, subject: str, at: float, data: Mapping[str, Any], *, boot: int, seq: int,
    born: float, mode: Mode = Mode.LIVE, severity: str | None = None, exercise: str | None = None, id: str = "",
    keep: Keep = Keep.INFO, clears: bool = False,
) -> Message:  # fmt: skip
    """Put the envelope around what happened at `at` (epoch s) and is told since `born`.

    A drill counts its own events: the numbers of the real ones stay without gaps.
    """
    own = f"{boot}-{seq}" if exercise is None else f"{boot}-{exercise}-{seq}"
    envelope: Event = {
        "specversion": "1.0",
        "id": id or own,
        "source": f"/{tree.root}/{tree.site}/{tree.agent}",
        "type": f"edgeagent.{type}",
        "subject": subject,
        "time": stamp(at),
        "datacontenttype": JSON,
        "dataschema": f"{SCHEMA}:{type.partition('.')[0]}-event",
        "seq": seq,
        "boot": boot,
        "mode": mode,
        "data": data,
    }
    hints = {"seq": str(seq), "boot": str(boot)}
    if severity is not None:
        envelope["severity"] = severity
    if exercise is not None:
        envelope["exerciseid"] = hints["exerciseid"] = exercise
    return Message(
        topic, dump(envelope), Place.EVENT, 1, retain=False, properties=hints, content_type=CLOUDEVENT, born=born,
        keep=keep, seq=seq, subject=subject, clears=clears,
    )  # fmt: skip


def drilled(message: Message, exercise: str) -> Message:
    """Mark a message of a drill: it waits behind all that is real, and its properties say what it is."""
    marks = {"mode": Mode.DRILL.value, "exerciseid": exercise}
    properties = {**message.properties, **marks}
    return replace(message, place=Place.DRILL, properties=properties, keep=Keep.TELEMETRY, seq=None)


def told_gap(tree: Tree, row: Message, row_id: int, boot: int) -> Message:
    """Make the event of a gap row. It takes the place of the last event that is missing and has no number itself."""
    data: Gap = orjson.loads(row.body)
    return event(
        tree, tree.event("agent", "gap"), "gap", tree.agent, row.born, data, boot=boot, seq=data["to_seq"],
        born=row.born, id=f"{boot}-gap{abs(row_id)}", keep=row.keep,
    )  # fmt: skip


def as_replayed(message: Message) -> Message:
    """Mark an event as told late, so that nobody is paged for what is long over."""
    body = message.body[:-1] + b',"replayed":true}'
    return replace(message, body=body, properties={**message.properties, "replayed": "true"})


def state(
    topic: str, payload: Mapping[str, Any], born: float, *, qos: int = 1, place: Place = Place.STATE,
    expires: float | None = None,
) -> Message:  # fmt: skip
    """Build a retained message. Bulk state is QoS 0: mosquitto hands a late reader only so many of QoS 1."""
    return Message(topic, dump(payload), place, qos, retain=True, born=born, expires=expires)


def readings(topic: str, body: bytes, born: float, expires: float) -> Message:
    """Build the retained message of a device's readings."""
    return Message(topic, body, Place.STATE, 0, retain=True, born=born, expires=expires)


def tombstone(topic: str, born: float) -> Message:
    """Build the empty retained message that deletes a topic."""
    return Message(topic, b"", Place.STATE, 1, retain=True, born=born)
