"""What the site host hears of seats: a connection of its own to the broker, and from it the inbox, link and poller.

It is not the feed's connection: what seats say delays neither an alarm nor what an operator asks. It only listens, with
QoS 0: of a higher one a broker queues so many messages and no more, and the statuses of all seats lie there when we
come. Reports are subscribed to seat by seat, so that the broker can be told to spare us those of one that floods.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from edgeagent.config import Site
from edgeagent.links.seats import SeatLink
from edgeagent.messages import Tree
from edgeagent.mqtt import Connection, Received
from edgeagent.seatinbox import SeatInbox

log = logging.getLogger(__name__)

TOGETHER: Final = 0.05
"""s for which reports wait for each other: each wake-up, and each pass, costs more than many of them."""
_HUSH: Final = 10.0
"""s for which nobody listens to what floods."""
_AT_ONCE: Final = 200
"""Filters in one packet."""
_TOLD: Final = 60.0
"""s between two lines of the log about who is dropped most."""


class Hearing:
    """All seats of a site. `now(device)` has a device asked at once, `wall` is epoch s, `clock` never jumps."""

    def __init__(
        self, site: Site, tree: Tree, now: Callable[[str], None], wall: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._tree, self._now, self._wall, self._clock = tree, now, wall, clock
        self._inbox = SeatInbox()
        self._parts: dict[str, list[tuple[str, frozenset[str]]]] = {}
        self._hushed: dict[str, float] = {}
        self._wanted = asyncio.Event()
        self._told, self._strangers = -math.inf, frozenset[str]()
        self.link = SeatLink(self._inbox, clock)
        id = f"edge-{site.id}-{site.agent}-seats"
        self.connection = Connection(replace(site.broker, client_id=id, session_expiry=0), self, rest=TOGETHER)
        self.figures: dict[str, int] = {}
        """The agent's own readings of it, by point."""

    def follow(self, site: Site) -> None:
        """Listen to the seats that have a device which their agent tells of."""
        before = list(self._parts)
        self._parts.clear()
        for device in site.devices.values():
            if device.endpoint.scheme == "seat":
                parts = self._parts.setdefault(device.endpoint.host, [])
                parts.append((device.id, frozenset(device.driver.gets)))
        self._inbox.follow(self._parts)
        gone = [self._tree.seat(seat, "report") for seat in before if seat not in self._parts]
        if gone:
            self.connection.unsubscribe(gone)
        self._listen(seat for seat in self._parts if seat not in before)
        if self._parts:
            self._wanted.set()

    @property
    def seats(self) -> int:
        """Count the seats that are listened to."""
        return len(self._parts)

    async def run(self) -> None:
        """Listen until cancelled, once there is a seat to listen to."""
        await self._wanted.wait()
        await self.connection.run()

    def tick(self) -> dict[str, int]:
        """See, once a second, to what time alone changes; return `figures` as they are now."""
        now = self._clock()
        for seat in self._inbox.step(now):
            for id, _ in self._parts[seat]:
                self._now(id)
        for topic in [topic for topic, until in self._hushed.items() if until <= now]:
            del self._hushed[topic]
            self.connection.subscribe([topic], qos=0, retained=topic == self._tree.statuses)
        dropped, strangers = self._inbox.dropped(now), self._inbox.strangers()
        self.figures = {"seats.dropped": dropped, "seats.unknown": len(strangers)}
        worst = self._inbox.worst(now) if now - self._told >= _TOLD else None
        if worst is not None:
            log.warning("%d messages of seats dropped in a minute, most of %s: %s", dropped, *worst)
            self._told = now
        if len(strangers) > len(self._strangers):
            other = min(strangers - self._strangers)
            log.warning("%d seats speak that the site does not name, such as %r", len(strangers), other)
        self._strangers = strangers
        return self.figures

    def _listen(self, seats: Iterable[str]) -> None:
        topics = [self._tree.seat(seat, "report") for seat in seats]
        for first in range(0, len(topics), _AT_ONCE):
            self.connection.subscribe(topics[first : first + _AT_ONCE], qos=0, retained=False)

    def _hush(self, topic: str) -> None:
        """Have the broker keep for itself what floods. Of statuses, the newest are there when we listen again."""
        if topic not in self._hushed:
            self._hushed[topic] = self._clock() + _HUSH
            self.connection.unsubscribe([topic])

    # What the connection says.

    def on_connected(self, session_present: bool, maximum_packet_size: int | None) -> None:
        """Ask for what seats say."""
        self._hushed.clear()
        self._inbox.begin()
        self.connection.subscribe([self._tree.statuses], qos=0)
        self._listen(self._parts)

    def on_disconnected(self, reason: str, code: int | None) -> None:
        """Wait: what is not heard any more shows in the seats."""

    def on_ack(self, mid: int, code: int, failure: bool) -> None:
        """Hear nothing: nothing is sent."""

    def on_message(self, message: Received) -> None:
        """Take what a seat says, and have its devices asked whose answers it changes."""
        spoken = self._tree.speaker(message.topic)
        if spoken is None:
            return
        changed = self._inbox.take(*spoken, message.payload, self._clock(), self._wall(), retained=message.retained)
        if changed:
            for id, gets in self._parts[spoken[0]]:
                if not gets.isdisjoint(changed):
                    self._now(id)
        elif self._inbox.floods(spoken[0]):
            self._hush(self._tree.statuses if spoken[1] == "status" else message.topic)
