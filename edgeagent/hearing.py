"""What the site host hears of seats: a connection of its own to the broker, and from it the inbox, link and poller.

It is not the feed's connection: a seat that floods it delays neither an alarm nor what an operator asks. It only
listens. Statuses are asked for with QoS 0, because a broker queues so many messages of a higher one and no more, and
all of them lie retained when we come.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from edgeagent.config import Site
from edgeagent.links.seats import SeatLink
from edgeagent.messages import Tree
from edgeagent.mqtt import Connection, Received
from edgeagent.seatinbox import SeatInbox

log = logging.getLogger(__name__)

_TOLD: Final = 60.0
"""s between two lines of the log about what was dropped."""


class Hearing:
    """All seats of a site. `now(device)` has a device asked at once, `wall` is epoch s, `clock` never jumps."""

    def __init__(
        self, site: Site, tree: Tree, now: Callable[[str], None], wall: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._tree, self._now, self._wall, self._clock = tree, now, wall, clock
        self._inbox = SeatInbox()
        self._parts: dict[str, list[tuple[str, frozenset[str]]]] = {}
        self._wanted = asyncio.Event()
        self._told, self._strangers = -_TOLD, frozenset[str]()
        self.link = SeatLink(self._inbox, clock)
        id = f"edge-{site.id}-{site.agent}-seats"
        self.connection = Connection(replace(site.broker, client_id=id, session_expiry=0), self)
        self.figures: dict[str, int] = {}
        """The agent's own readings of it, by point."""

    def follow(self, site: Site) -> None:
        """Listen to the seats that have a device which their agent tells of."""
        self._parts.clear()
        for device in site.devices.values():
            if device.endpoint.scheme == "seat":
                parts = self._parts.setdefault(device.endpoint.host, [])
                parts.append((device.id, frozenset(device.driver.gets)))
        self._inbox.follow(self._parts)
        if self._parts:
            self._wanted.set()

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
        dropped, strangers = self._inbox.dropped(now), self._inbox.strangers(now)
        self.figures = {"seats.dropped": dropped, "seats.unknown": len(strangers)}
        if now - self._told >= _TOLD:
            self._tell(dropped, strangers, now)
        return self.figures

    def _tell(self, dropped: int, strangers: frozenset[str], now: float) -> None:
        """Name in the log, once a minute at most, who is to be looked at."""
        worst = self._inbox.worst(now)
        if worst is not None:
            log.warning("%d messages of seats dropped in a minute, most of %s: %s", dropped, *worst)
            self._told = now
        if strangers - self._strangers:
            log.warning("%d seats speak that the site does not name, such as %r", len(strangers), min(strangers))
            self._strangers, self._told = strangers, now

    # What the connection says.

    def on_connected(self, session_present: bool, maximum_packet_size: int | None) -> None:
        """Ask for what seats say."""
        self.connection.subscribe([self._tree.seats("status")], qos=0)
        self.connection.subscribe([self._tree.seats("report")], qos=0, retained=False)

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
