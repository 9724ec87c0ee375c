"""What the agent says of its devices and of itself: inventory, availability, readings, health. Not its alarms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from edgeagent import __version__, homeassistant, messages, payloads
from edgeagent.catalog import Point
from edgeagent.config import Site
from edgeagent.devices import REACHABLE, DeviceState
from edgeagent.feed import Feed
from edgeagent.messages import Mode, Tree
from edgeagent.readings import Missing, Quality, Reading, Value
from edgeagent.store import Batch, Store

REFRESH: Final = 60.0
"""A device's readings and the heartbeat are said again after this many seconds, changed or not."""
EXPIRY: Final = 180.0
"""What is not said again vanishes from the broker after this many seconds, so that nobody takes it for fresh."""
SCHEMA: Final = "v1"
"""The version of the feed, which is a level of every topic."""
_NOT_THERE: Final = frozenset({Missing.ABSENT.value, "not-fitted"})
"""Reasons of points that a device does not have: they would only fill the message."""
_WELL: Final[Mapping[str, Value]] = {"store": "ok", "clock.synced": True, "config.error": False, "quarantine": 0}
"""The agent's own readings when all is well. The broker is not among them: whoever reads this has reached it."""


class Voice:
    """Builds the retained documents and hands them to the feed. `now` is epoch s everywhere.

    That of a drill, whose id is `exercise`, tells readings alone, and on the drill lane.
    """

    def __init__(self, feed: Feed, tree: Tree, store: Store, exercise: str | None = None) -> None:
        self._feed, self._tree, self._store, self._exercise = feed, tree, store, exercise
        self._mode = Mode.LIVE if exercise is None else Mode.DRILL
        self._said: dict[str, tuple[float, dict[str, Reading]]] = {}
        self._discovered: set[str] = set()
        self._info: payloads.Info | None = None

    def site(self, site: Site, started: float, clock: payloads.Clock, now: float) -> None:
        """Say what there is at the site, and which agent with which configuration watches it."""
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
            said = payloads.availability("unknown", None)
        else:
            said = payloads.availability("online" if reading.value else "offline", reading.time, reading.reason)
        self._feed.hold(messages.state(self._tree.availability(state.device.id), said, now))

    def readings(self, state: DeviceState, now: float, changed: Iterable[str] | None = None) -> None:
        """Say a device's readings when one of them moved by its deadband, or when it is time to.

        `changed` are the points that may have moved since the last call, all if None.
        """
        id, kind, readings = state.device.id, state.driver.kind, state.readings
        at, last = self._said.get(id, (0.0, {}))
        if now - at < REFRESH and not any(
            _moved(readings[point], last.get(point), kind.point(point))
            for point in (readings if changed is None else changed)
        ):
            return
        shown = {point: reading for point, reading in state.readings.items() if reading.reason not in _NOT_THERE}
        units = {point: found.unit for point in shown if (found := kind.point(point)) and found.unit}
        newest = max((reading.time for reading in shown.values()), default=now)
        payload = payloads.device_state(shown, units, newest, state.observed)
        expires = now + max(EXPIRY, 3 * state.device.interval)
        said = replace(messages.state(self._tree.state(id, self._mode), payload, now, qos=0), expires=expires)
        self._feed.hold(said if self._exercise is None else messages.drilled(said, self._exercise))
        self._said[id] = (now, dict(state.readings))

    def due(self, id: str, now: float) -> bool:
        """Tell whether a device's readings are to be said again though nothing changed."""
        return now - self._said.get(id, (0.0, {}))[0] >= REFRESH

    def forget(self, ids: set[str], now: float) -> None:
        """Take devices that are no longer there off the broker, or off a drill's lane."""
        for id in ids:
            self._said.pop(id, None)
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


def _moved(reading: Reading, last: Reading | None, point: Point | None) -> bool:
    """Tell whether a reading is worth a message."""
    if last is None or reading.quality is not last.quality or reading.reason != last.reason:
        return True
    values = (reading.value, last.value)
    if point is None or not point.deadband or reading.quality is Quality.BAD:
        return values[0] != values[1]
    if not isinstance(values[0], (int, float)) or not isinstance(values[1], (int, float)):
        return values[0] != values[1]
    return abs(values[0] - values[1]) >= point.deadband
