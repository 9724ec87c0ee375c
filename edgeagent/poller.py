"""When each device is asked. Asks go out in slots, answers come back in lists, dead devices cost the others nothing.

One timer serves all devices: it wakes at the next slot that has something due, starts all polls of that slot on
their links and sleeps again. A device has at most one poll under way. What came back between two turns of the
event loop is delivered as one list, so that one pass and one commit serve it all.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import itertools
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edgeagent.devices import DeviceState
from edgeagent.endpoint import Endpoint
from edgeagent.links import Link, Plan, Target
from edgeagent.readings import Answers

SLOT: Final = 0.05
"""Polls that are due within this many seconds are asked together."""
FIRST_ROUND: Final = 1.0
"""The first polls, and so all later ones, are spread over this many seconds at most."""
APART: Final = 0.02
"""Seconds between the first polls of two devices while they are few."""


@dataclass(slots=True)
class _Watch:
    """One device on its link. `due` is when it is asked next or was asked last, in loop time."""

    state: DeviceState
    link: Link
    target: Target
    due: float
    busy: bool = False
    again: bool = False
    gone: bool = False
    plans: dict[tuple[tuple[str, ...], tuple[str, ...]], Plan] = field(default_factory=dict)

    def plan(self, now: float) -> Plan:
        wanted = self.state.wants(now)
        plan = self.plans.get(wanted)
        if plan is None:
            plan = self.plans[wanted] = Plan(*wanted)
        return plan


class Poller:
    """Asks devices in slots and delivers their answers in lists."""

    def __init__(
        self,
        link_of: Callable[[Endpoint], Link],
        deliver: Callable[[list[tuple[DeviceState, Answers]]], None],
        now: Callable[[], float],
    ) -> None:
        self._link_of, self._deliver, self._now = link_of, deliver, now
        self._watches: dict[str, _Watch] = {}
        self._heap: list[tuple[float, int, _Watch]] = []
        self._order = itertools.count()
        self._inbox: list[tuple[_Watch, Answers]] = []
        self._hastened: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self.turns = 0
        """Grows with every turn of the timer: the watchdog looks at it."""

    @property
    def states(self) -> Mapping[str, DeviceState]:
        """All devices by id."""
        return {id: watch.state for id, watch in self._watches.items()}

    def watch(self, states: Iterable[DeviceState]) -> None:
        """Begin with these devices, spread over the first second."""
        start = asyncio.get_running_loop().time()
        fresh = list(states)
        spread = min(FIRST_ROUND, APART * (len(fresh) - 1))
        for state in fresh:
            device = state.device
            target = Target(device.id, device.endpoint, device.driver.quirks, device.timeout)
            share = zlib.crc32(device.id.encode()) / 0xFFFFFFFF
            watch = _Watch(state, self._link_of(device.endpoint), target, start + share * spread)
            self._watches[device.id] = watch
            self._push(watch, watch.due)
        self._wake.set()

    def forget(self, ids: Iterable[str]) -> None:
        """Stop asking these devices."""
        for id in ids:
            self._watches.pop(id).gone = True

    def hasten(self, ids: frozenset[str]) -> None:
        """Ask these devices at their fast interval, all others at their own."""
        soon = asyncio.get_running_loop().time()
        for id in ids - self._hastened:
            watch = self._watches.get(id)
            if watch is not None and not watch.busy:
                self._push(watch, min(watch.due, soon + watch.state.interval(hasten=True)))
        self._hastened = ids

    def now(self, id: str) -> None:
        """Ask one device at once, or again as soon as its poll under way is back."""
        watch = self._watches.get(id)
        if watch is None:
            return
        watch.again = watch.busy
        if not watch.busy:
            self._push(watch, asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Serve the timer until cancelled; a bug in what takes the answers ends it."""
        loop = asyncio.get_running_loop()
        while True:
            self.turns += 1
            self._wake.clear()
            if self._inbox:
                self._flush()
            pause = self._heap[0][0] - loop.time() if self._heap else 1.0
            if pause > 0:
                # Woken early by answers or an earlier due time; at least once a second for the watchdog.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(pause, 1.0)):
                        await self._wake.wait()
                continue
            self._ask_due(loop.time() + SLOT)
            await asyncio.sleep(0)

    def _ask_due(self, until: float) -> None:
        now = self._now()
        while self._heap and self._heap[0][0] <= until:
            due, _, watch = heapq.heappop(self._heap)
            if watch.gone or watch.busy or due != watch.due:
                continue
            watch.busy = True
            watch.link.ask(watch.target, watch.plan(now), functools.partial(self._done, watch))

    def _push(self, watch: _Watch, due: float) -> None:
        watch.due = due
        heapq.heappush(self._heap, (due, next(self._order), watch))
        if self._heap[0][2] is watch:
            self._wake.set()

    def _done(self, watch: _Watch, answers: Answers) -> None:
        if watch.gone:
            return
        self._inbox.append((watch, answers))
        self._wake.set()

    def _flush(self) -> None:
        inbox, self._inbox = self._inbox, []
        self._deliver([(watch.state, answers) for watch, answers in inbox if not watch.gone])
        now = asyncio.get_running_loop().time()
        for watch, _ in inbox:
            # Counted from when it was due, so that polls do not drift; one that fell behind starts anew.
            due = watch.due + watch.state.interval(watch.state.device.id in self._hastened)
            watch.busy = False
            self._push(watch, now if watch.again else max(due, now))
            watch.again = False
