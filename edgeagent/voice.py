"""What the agent says of its devices and of itself: inventory, availability, readings, health. Not its alarms.

Readings wait for their turn: after the alarms of their pass, and no faster than the feed sends them. What waits is
written when it is said, so that of ten changes of a device in that time one message is made and not ten.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

from edgeagent import __version__, homeassistant, messages, payloads
from edgeagent.catalog import Kind
from edgeagent.config import Site
from edgeagent.delivery import READINGS, Bucket
from edgeagent.devices import REACHABLE, DeviceState
from edgeagent.feed import Feed
from edgeagent.messages import Message, Mode, Tree
from edgeagent.readings import Reading, Value
from edgeagent.statement import Points, Statement
from edgeagent.store import Batch, Store

REFRESH: Final = 60.0
"""A device's readings and the heartbeat are said again after this many seconds, changed or not."""
EXPIRY: Final = 180.0
"""What is not said again vanishes from the broker after this many seconds, so that nobody takes it for fresh."""
SCHEMA: Final = "v1"
"""The version of the feed, which is a level of every topic."""
_AT_ONCE: Final = 40
"""Devices whose readings are said in one turn of the event loop."""
_PAUSE: Final = 0.02
"""s between two turns while some wait."""
_WELL: Final[Mapping[str, Value]] = {"store": "ok", "clock.synced": True, "config.error": False, "quarantine": 0}
"""The agent's own readings when all is well. The broker is not among them: whoever reads this has reached it."""


class Voice:
    """Builds the retained documents and hands them to the feed. `now` and `wall()` are epoch s, `clock()` never jumps.

    That of a drill, whose id is `exercise`, tells readings alone, and on the drill lane.
    """

    def __init__(
        self, feed: Feed, tree: Tree, store: Store, exercise: str | None = None,
        wall: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._feed, self._tree, self._store, self._exercise = feed, tree, store, exercise
        self._wall, self._clock = wall, clock
        self._mode = Mode.LIVE if exercise is None else Mode.DRILL
        self._said: dict[str, Statement] = {}
        self._points: dict[str, Points] = {}
        self._owed: dict[str, DeviceState] = {}
        self._budget = Bucket(READINGS, _AT_ONCE)
        self._turn: asyncio.Handle | None = None
        self._discovered: set[str] = set()
        self._info: payloads.Info | None = None

    def site(self, site: Site, started: float, clock: payloads.Clock, now: float) -> None:
        """Say what there is at the site, and which agent with which configuration watches it."""
        self._points.clear()
        for page in payloads.inventory(site):
            self._feed.hold(messages.state(self._tree.inventory(page["page"]), page, now))
        self._info = {
            "version": __version__,
            "schema": SCHEMA,
            "config": site.digest,
            "boot": self._store.boot,
            "started": messages.stamp(started),
            "devices": len(site.devices),
            "clock": clock,
        }
        self._feed.hold(messages.state(self._tree.own("info"), self._info, now))
        found = homeassistant.discovery(site, self._tree, now)
        for message in found:
            self._feed.hold(message)
        gone = self._discovered - {message.topic for message in found}
        self._discovered = {message.topic for message in found}
        if gone:
            self._feed.commit(Batch(outbox=[messages.tombstone(topic, now) for topic in sorted(gone)]))

    def reached(self, broker: str, now: float) -> None:
        """Say which of several brokers has taken us."""
        if self._info is not None and self._info.get("broker") != broker:
            self._info = {**self._info, "broker": broker}
            self._feed.hold(messages.state(self._tree.own("info"), self._info, now))

    def availability(self, state: DeviceState, now: float) -> None:
        """Say whether a device answers; nothing is known before its first answers."""
        reading = state.readings.get(REACHABLE)
        if reading is None:
            self._owed.pop(state.device.id, None)
            said = payloads.availability("unknown", None)
        else:
            said = payloads.availability("online" if reading.value else "offline", reading.time, reading.reason)
        self._feed.hold(messages.state(self._tree.availability(state.device.id), said, now))

    def note(self, state: DeviceState, now: float, changed: Iterable[str]) -> None:
        """Say a device's readings soon if they are worth it by these points that changed; for the first time, now."""
        id = state.device.id
        if id in self._owed:
            return
        said = self._said.get(id)
        if said is None:
            self._say([state], now)
        elif self._expired(said.due, now) or self._moved(state, said, changed):
            self._owed[id] = state
            if self._turn is None:
                self._turn = asyncio.get_running_loop().call_soon(self._speak)

    def _speak(self) -> None:
        """Say what is owed, as much as may be now, and the rest in the next turns."""
        now, room = self._wall(), int(self._budget.fill(self._clock()))
        states = [self._owed.pop(id) for id in list(islice(self._owed, room))]
        if states:
            self._budget.take(len(states))
            self._say(states, now)
        self._turn = asyncio.get_running_loop().call_later(_PAUSE, self._speak) if self._owed else None

    def readings(self, state: DeviceState, now: float) -> None:
        """Say a device's readings at once when one of them moved by its deadband, or when it is time to."""
        said = self._said.get(state.device.id)
        if said is None or self._expired(said.due, now) or self._moved(state, said, state.readings):
            self._say([state], now)

    def due(self, id: str, now: float) -> bool:
        """Tell whether a device's readings are to be said again though nothing changed."""
        said = self._said.get(id)
        return said is None or self._expired(said.due, now)

    def _expired(self, due: float, now: float) -> bool:
        return not 0 < due - now <= REFRESH  # further off is a clock that was set back

    def _moved(self, state: DeviceState, said: Statement, points: Iterable[str]) -> bool:
        """Tell whether any of these points is worth a message."""
        readings, known = state.readings, self._known(state.driver.kind)
        for point in points:
            band = known[point][0]
            # Live, what has no deadband is said at each change: it was not what it is now.
            if not band and self._exercise is None:
                return True
            if _differs(readings[point], said.told(point), band):
                return True
        return False

    def _say(self, states: Iterable[DeviceState], now: float) -> None:
        """Say the readings of some devices together."""
        self._feed.hold(*(self._message(state, now) for state in states))

    def _message(self, state: DeviceState, now: float) -> Message:
        id = state.device.id
        said = self._said.get(id)
        if said is None:
            said = self._said[id] = Statement(self._tree.state(id, self._mode))
        body = said.body(state.readings, self._known(state.driver.kind), now, state.observed)
        message = messages.readings(said.topic, body, now, now + max(EXPIRY, 3 * state.device.interval))
        said.due = again_at(id, now)
        return message if self._exercise is None else messages.drilled(message, self._exercise)

    def _known(self, kind: Kind) -> Points:
        found = self._points.get(kind.id)
        return self._points.setdefault(kind.id, Points(kind)) if found is None else found

    def forget(self, ids: set[str], now: float) -> None:
        """Take devices that are no longer there off the broker, or off a drill's lane."""
        for id in ids:
            self._said.pop(id, None)
            self._owed.pop(id, None)
        topics = [self._tree.state(id, self._mode) for id in sorted(ids)]
        if self._exercise is None:
            topics += [self._tree.availability(id) for id in sorted(ids)]
        stones = [messages.tombstone(topic, now) for topic in topics]
        if stones:
            mine = stones if self._exercise is None else [messages.drilled(each, self._exercise) for each in stones]
            self._feed.commit(Batch(outbox=mine))

    def again(self) -> None:
        """Say everything again at the next occasion."""
        self._said.clear()
        self._feed.say_again()

    def health(
        self, started: float, clock: payloads.Clock, counts: Mapping[str, float], own: Mapping[str, Reading], now: float
    ) -> None:
        """Beat: say that the agent lives and how it is; `own` are its readings of itself."""
        depth = self._store.depth()
        health: payloads.Health = {
            "time": messages.stamp(now),
            "boot": self._store.boot,
            "uptime": round(now - started, 1),
            "seq": self._store.seq,
            "outbox": {"events": depth.events, "bytes": depth.event_bytes, "age": depth.oldest and now - depth.oldest},
            "quarantined": depth.quarantined,
            "clock": clock,
            "counts": counts,
            "trouble": [f"{id}: {own[id].value}" for id, well in _WELL.items() if id in own and own[id].value != well],
        }
        beat = messages.state(self._tree.own("health"), health, now, qos=0)
        self._feed.hold(replace(beat, expires=now + EXPIRY))


def again_at(id: str, now: float) -> float:
    """Return when a device that is said now is said again: each at its own second of the minute.

    No sooner than half of the time, no later than all of it, whatever was said in the same second as this.
    """
    left = REFRESH * (zlib.crc32(id.encode()) / 2**32) - now % REFRESH
    left += REFRESH if left <= 0 else 0.0
    return now + (left if left >= REFRESH / 2 else left + REFRESH / 2)


def _differs(reading: Reading, last: Reading | None, band: float) -> bool:
    """Tell whether a reading is worth a message after the one that said `last`; a band of 0 is none."""
    if last is None or reading.quality is not last.quality or reading.reason != last.reason:
        return True
    value, before = reading.value, last.value
    if not band or not isinstance(value, (int, float)) or not isinstance(before, (int, float)):
        return value != before
    return abs(value - before) >= band
