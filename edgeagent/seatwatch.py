"""The watch over the seats: their witnesses gathered, judged where something changed, and read as nodes. Pure.

    readings of a seat's parts → witnesses that can be believed → `seatverdict.py` → readings of the seat

Owns the readings of the seats and what the agent says of all of them. Whether the seats can be heard at all is for
`seatblind.py`, which headset failed where for `headsetlog.py`, who is at work for `staffing.py`. A seat is watched
if its own agent reports, or something else than its own parts speaks of it: an echo, a switch port.

A witness is believed once it was seen alive: an echo that never came says nothing. One that had been dark for long
while the agent went on reporting had been wrong about it then, and is no witness when the agent falls silent.
`now` is epoch s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Any, Final

from typing_extensions import TypedDict

from edgeagent.alarm import Change, Silence, Verb
from edgeagent.catalog import Relation
from edgeagent.config import Site
from edgeagent.devices import REACHABLE
from edgeagent.headsetlog import HeadsetLog, HeadsetMemory
from edgeagent.inventory import AGENT, Fitted, fitted
from edgeagent.readings import Missing, Quality, Reading, Readings, Value
from edgeagent.seatblind import Blindness, Neighbours, Voice
from edgeagent.seatverdict import HEARD, LOST, UNPOWERED, Doubt, Part, Seen, State, Word, answers, judge
from edgeagent.staffing import Staffing

_CONTRADICTED: Final = 90.0
"""s before its silence at which an agent surely still reported: by then it takes 45 s to be called silent."""
_DARK: Final = {
    "echo": False, "link": "down", "mac": False, "poe": UNPOWERED, "registered": False,
    "reachable": False, "powered": False,
}  # fmt: skip
_BEFORE: Final = frozenset({"echo", "link", "mac", "poe"})
"""What has to be seen alive before."""
_POINTS: Final = {
    "presence": ("echo",), "port": ("link", "poe", "mac"), "phone": ("registered", "reachable", "powered"),
}  # fmt: skip
_UNREAD: Final = frozenset(missing.value for missing in Missing)
_SILENT: Final = frozenset(missing.value for missing in Missing if missing.silent)
_WORDS: Final = frozenset(word.value for word in Word)
_GONE: Final = ("disconnected", "refused", "taken-over")
_HEEDED: Final = frozenset({"agent", "present", "capture", "render", "model", "serial", *_DARK})
"""Points of parts that matter to their seat; a headset's link and that of a port have one name."""
_NOTHING: Final[Readings] = {}
_HEADSET: Final = ("headset-missing", "headset-offline", "audio-missing")


@dataclass(slots=True)
class _Seat:
    """One watched seat: what it has, and what its witnesses said before."""

    id: str
    has: Fitted
    calendar: tuple[Any, ...]
    maintenance: bool
    spare: bool
    by: tuple[str, ...]
    word: Word | None = None
    turned: float | None = None
    alive: set[str] = field(default_factory=set)
    dark: dict[str, float] = field(default_factory=dict)
    ready: bool = False


class SeatMemory(TypedDict):
    """What a restart needs of `SeatWatch`: for whom it waits, and what headsets did."""

    blind: list[str] | None
    headsets: HeadsetMemory


class SeatWatch:
    """All watched seats of one site. `readings` are those of the seats, and what they come to for the agent."""

    def __init__(self, site: Site, zone: tzinfo | None = None) -> None:
        nodes, causes = site.tree.nodes, site.causes
        self._switches: dict[tuple[str, ...], Neighbours] = {}
        self._seats: dict[str, _Seat] = {}
        for id, has in fitted(site).items():
            node, by = nodes[id], site.tree.parents(id, Relation.NETWORK)
            self._seats[id] = _Seat(id, has, node.staffed, node.maintenance, node.spare, by)
            self._switches.setdefault(by, Neighbours(causes.quorum, causes.window))
        self._of = {part: id for id, seat in self._seats.items() for part, _ in seat.has.parts}
        self._hosts = frozenset(
            id
            for id, device in site.devices.items()
            if device.endpoint.scheme == "host" and device.driver.kind.id == "workstation" and id not in self._of
        )
        self._staffing = Staffing({seat.calendar for seat in self._seats.values()}, zone)
        self._blindness = Blindness(causes.quorum, causes.window)
        self._headsets = HeadsetLog()
        self._stale: set[str] = set(self._seats)
        self._ready = 0
        self._dirty = False
        self._cuts: dict[str, bool] = {}
        self._shown: dict[str, str] = {}
        self.readings: dict[str, dict[str, Reading]] = {}
        self.curious: set[str] = set()

    # -- one step ---------------------------------------------------------------------------------------------

    def step(
        self, view: Mapping[str, Readings], changed: Iterable[tuple[str, str]], now: float
    ) -> tuple[list[tuple[str, str]], dict[tuple[str, str], float]]:
        """Take in what changed; return the readings that are others now, and since when what failed has failed."""
        if not self._seats:
            return [], {}
        todo, self._stale = self._stale, set()
        for id, point in changed:
            seat = self._of.get(id) if point in _HEEDED else None
            if seat is not None:
                todo.add(seat)
            elif id in self._hosts or (id == AGENT and point == "broker"):
                self._way(id, view)
        turned = self._staffing.turn(now)
        if turned:
            todo |= {id for id, seat in self._seats.items() if seat.calendar in turned}
        todo |= self._blindness.expired(now)
        due = self._headsets.next_due()
        if due is not None and due <= now:
            todo |= self._headsets.prune(now)
        seen = {id: self._look(self._seats[id], view, now) for id in todo}
        for by in {self._seats[id].by for id in todo}:
            seen |= {each: self._look(self._seats[each], view, now) for each in self._switches[by].judge(now)}
        if self._blindness.judge(now):
            self._dirty = True
            seen |= {id: self._look(seat, view, now) for id, seat in self._seats.items() if id not in seen}
        moved: list[tuple[str, str]] = []
        onsets: dict[tuple[str, str], float] = {}
        for id in sorted(seen):
            self._read(self._seats[id], seen[id], view, now, moved, onsets)
        self._sum_up(now, moved)
        return moved, onsets

    def hear(self, changes: Iterable[Change], now: float) -> None:
        """Take in which headsets failed: those whose alarm people are told of."""
        for change in changes:
            alarm = change.alarm
            if alarm.alarm_type_id in _HEADSET and change.verb in (Verb.RAISED, Verb.UNSUPPRESSED):
                seat = self._of.get(alarm.resource)
                if seat is not None and not alarm.is_cleared and alarm.suppression.kind is Silence.NONE:
                    self._stale |= self._headsets.failed(seat, now)

    def next_due(self) -> float | None:
        """Return when something happens without a reading, epoch s."""
        if not self._seats:
            return None
        if self._stale:
            return 0.0
        dues = (self._staffing.due, self._blindness.due, self._headsets.next_due())
        return min((due for due in dues if due is not None), default=None)

    def shift(self, delta: float) -> None:
        """Move all that runs along with a clock that stepped."""
        self._staffing.shift()
        self._blindness.shift(delta)
        self._headsets.shift(delta)
        for neighbours in self._switches.values():
            neighbours.shift(delta)
        for seat in self._seats.values():
            seat.turned = None if seat.turned is None else seat.turned + delta
            seat.dark = {name: at + delta for name, at in seat.dark.items()}

    # -- one seat ---------------------------------------------------------------------------------------------

    def _look(self, seat: _Seat, view: Mapping[str, Readings], now: float) -> Seen:
        """Gather what a seat's witnesses say, and count it among those that are heard."""
        said: dict[str, Value] = {}
        for id, kind in seat.has.parts:
            readings = view.get(id, _NOTHING)
            for point in _POINTS.get(kind, ()):
                value = _value(readings, point)
                # Of two that say the same thing the one that sees it alive is right.
                if value is not None and (point not in said or _is_dark(point, said[point])):
                    said[point] = value
            if kind == "headset" and _value(readings, "present") is True:
                model, serial = _value(readings, "model"), _value(readings, "serial")
                if isinstance(serial, str) and serial:
                    self._stale |= self._headsets.seen(seat.id, str(model or "?"), serial, now) - {seat.id}
        self._hear_agent(seat, view, now)
        for point, value in said.items():
            self._date(seat, point, value, now)
        believed = {point: value for point, value in said.items() if self._believed(seat, point)}
        link = believed.get("link")
        seen = Seen(
            seat.word, _flag(believed, "echo"), None if link is None or link == "unknown" else link == "up",
            _poe(believed.get("poe")), _flag(believed, "mac"), _flag(believed, "registered"),
            _flag(believed, "reachable"), _flag(believed, "powered"), fitted=seat.has.workstation, phone=seat.has.phone,
        )  # fmt: skip
        voice = self._voice(seat, seen)
        self._blindness.hear(seat.id, Voice.OUT if voice is Voice.LOST and seen.link is False else voice, now)
        # What hangs on nothing has no neighbours.
        self._switches[seat.by].hear(seat.id, voice if seat.by else Voice.OUT, now, answers=answers(seen))
        return replace(seen, neighbours=seat.id in self._switches[seat.by])

    def _hear_agent(self, seat: _Seat, view: Mapping[str, Readings], now: float) -> None:
        if not seat.has.agent:
            return
        found = next((each for id, _ in seat.has.parts if (each := view.get(id, _NOTHING).get("agent"))), None)
        word = _word(found)
        if word in HEARD:
            seat.turned = None
        elif seat.word in HEARD:
            seat.turned = now
        if word in LOST and seat.word not in LOST:
            self.curious |= {id for id, kind in seat.has.parts if kind in _POINTS}
        seat.word = word

    @staticmethod
    def _date(seat: _Seat, point: str, value: Value, now: float) -> None:
        """Note since when a witness says that something is gone."""
        if _is_dark(point, value):
            seat.dark.setdefault(point, now)
        else:
            seat.dark.pop(point, None)
            seat.alive.add(point)

    @staticmethod
    def _believed(seat: _Seat, point: str) -> bool:
        if point not in seat.dark or point not in _BEFORE:
            return True
        lately = seat.turned is None or seat.dark[point] >= seat.turned - _CONTRADICTED
        return point in seat.alive and lately

    def _voice(self, seat: _Seat, seen: Seen) -> Voice:
        if seat.maintenance or not self._staffing.staffed(seat.calendar) or seat.word in (None, Word.LEFT):
            return Voice.OUT
        return Voice.HEARD if seat.word in HEARD else Voice.LOST

    def _read(
        self, seat: _Seat, seen: Seen, view: Mapping[str, Readings], now: float,
        moved: list[tuple[str, str]], onsets: dict[tuple[str, str], float],
    ) -> None:  # fmt: skip
        """Judge a seat and take what it comes to over into its readings."""
        staffed = self._staffing.staffed(seat.calendar)
        blind = not self._blindness.judges(seat.id)
        verdict = judge(seen, staffed=staffed, maintenance=seat.maintenance, blind=blind)
        ready = verdict.ready and not _lacks_headset(seat, view)
        self._ready += seat.spare * (ready - seat.ready)
        seat.ready = ready
        origin = _origin(seat, view)
        if origin is None:
            self._shown.pop(seat.id, None)
        else:
            self._shown[seat.id] = origin
        told: dict[str, Value | State] = {
            "workstation": verdict.workstation, "phone": verdict.phone, "agent": verdict.agent, "gone": verdict.gone,
            "alive": verdict.alive, "unread": _unread(seat, view), "ready": ready,
            "headsets": self._headsets.eaten(seat.id),
        }  # fmt: skip
        own = self.readings.setdefault(seat.id, {})
        for point, value in told.items():
            if point not in seat.has.points:
                continue
            reading = (
                Reading.bad(value.value, now, origin)
                if isinstance(value, Doubt)
                else Reading(str(value) if isinstance(value, Part) else value, now, origin=origin)
            )
            if not reading.same(own.get(point)):
                own[point] = reading
                moved.append((seat.id, point))
                if value is Part.FAILED:
                    onsets[seat.id, point] = _since(seat, point, now)

    # -- all of them ------------------------------------------------------------------------------------------

    def _way(self, id: str, view: Mapping[str, Readings]) -> None:
        """Note whether the way to the seats is there: the broker's session, the network of this host."""
        readings = view.get(id, _NOTHING)
        self._cuts[id] = _value(readings, "broker") in _GONE if id == AGENT else _value(readings, "nic") is False
        self._blindness.cut = any(self._cuts.values())

    def _sum_up(self, now: float, moved: list[tuple[str, str]]) -> None:
        told: dict[str, Value] = {
            "seats.blind": self._blindness.blind, "seats.silent": self._blindness.silent,
            "spares.ready": self._ready, "headsets.suspect": self._headsets.suspects,
        }  # fmt: skip
        own = self.readings.setdefault(AGENT, {})
        origin = next(iter(self._shown.values()), None)
        for point, value in told.items():
            reading = Reading(value, now, origin=origin)
            if not reading.same(own.get(point)):
                own[point] = reading
                moved.append((AGENT, point))

    # -- over restarts and reloads ----------------------------------------------------------------------------

    def memory(self) -> SeatMemory | None:
        """Return what a restart needs as JSON-able data, None if it is as it was."""
        if not (self._dirty or self._headsets.dirty):
            return None
        self._dirty = self._headsets.dirty = False
        return self.remembered()

    def remembered(self) -> SeatMemory:
        """Return what a restart needs as JSON-able data."""
        return {"blind": self._blindness.remembered(), "headsets": self._headsets.remembered()}

    def restore(self, memory: SeatMemory) -> None:
        """Take up what `memory` gave."""
        self._blindness.restore(memory["blind"])
        self._headsets.restore(memory["headsets"])

    def follow(self, other: SeatWatch) -> None:
        """Go on from the watch of another configuration: what its witnesses said before is still so."""
        self.restore(other.remembered())
        self._cuts, self._blindness.cut = other._cuts, other._blindness.cut
        for id, seat in self._seats.items():
            was = other._seats.get(id)
            if was is not None:
                seat.word, seat.turned, seat.alive, seat.dark = was.word, was.turned, was.alive, was.dark
                if seat.by == was.by:
                    self._switches[seat.by].adopt(id, other._switches[was.by])


def _word(reading: Reading | None) -> Word:
    """Return what is heard of an agent; one that a drill silences is not told of at all."""
    if reading is not None and reading.reason in _SILENT:
        return Word.SILENT
    value = None if reading is None or reading.quality is Quality.BAD else reading.value
    return Word(value) if isinstance(value, str) and value in _WORDS else Word.UNKNOWN


def _value(readings: Readings, point: str) -> Value | None:
    reading = readings.get(point)
    return None if reading is None or reading.quality is Quality.BAD else reading.value


def _is_dark(point: str, value: Value) -> bool:
    dark = _DARK[point]
    return value in dark if isinstance(dark, frozenset) else value == dark


def _flag(said: Mapping[str, Value], point: str) -> bool | None:
    value = said.get(point)
    return value if isinstance(value, bool) else None


def _poe(value: Value | None) -> str | None:
    return value if isinstance(value, str) and value != "unknown" else None


def _unread(seat: _Seat, view: Mapping[str, Readings]) -> bool:
    """Tell whether a witness beside the seat's own agent cannot be read; a probe that gets no answer has been read."""
    found = (view.get(id, _NOTHING).get(REACHABLE) for id in seat.has.others)
    return any(reading is not None and reading.reason in _UNREAD for reading in found)


def _lacks_headset(seat: _Seat, view: Mapping[str, Readings]) -> bool:
    headsets = [view.get(id, _NOTHING) for id, kind in seat.has.parts if kind == "headset"]
    lacks = any(_value(own, point) is False for own in headsets for point in ("present", "capture", "render"))
    return lacks or any(_value(own, "link") == "offline" for own in headsets)


def _origin(seat: _Seat, view: Mapping[str, Readings]) -> str | None:
    """Return the drill by which anything of a seat is shown that is not so."""
    readings = (reading for id, _ in seat.has.parts for reading in view.get(id, _NOTHING).values())
    return next((reading.origin for reading in readings if reading.origin), None)


def _since(seat: _Seat, point: str, now: float) -> float:
    """Return since when the witnesses say that a part is gone, the earliest of those that count."""
    names = ("echo", "link", "mac") if point == "workstation" else ("registered", "reachable", "powered", "poe")
    since = [seat.dark[name] for name in names if name in seat.dark]
    if point == "workstation" and seat.turned is not None:
        since = [at for at in since if at >= seat.turned - _CONTRADICTED] + [seat.turned]
    return min(since, default=now)
