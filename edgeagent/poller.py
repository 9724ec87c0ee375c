"""When each device is asked. Asks go out in slots, answers come back in lists, dead devices cost the others nothing.

One timer serves all devices: it wakes at the next slot that has something due, starts all polls of that slot on
their links and sleeps again. Slots are as wide as few devices need, and narrower for many, so that no slot is long. A
device has at most one poll under way. What came back between two turns of the event loop is delivered as one list, so
that one pass and one commit serve it all; of very much, the rest waits for the next turn. What says something else than
another number comes before the rest, in a list of its own, and the first of it does not wait for the turn: an alarm
seldom hangs on a number, and is not to wait until a hundred others are decoded.
"""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from edgeagent.devices import DeviceState
from edgeagent.endpoint import Endpoint
from edgeagent.links import Link, Plan, Target
from edgeagent.readings import Answers

SLOT: Final = 0.25
"""Polls that are due within this many seconds are asked together: each wake-up costs as much as many of them."""
_NARROWER: Final = (0.1, 0.05, 0.02)
"""The same where there are many, or where devices are asked at times between."""
_TOGETHER: Final = 100
"""Polls of one slot, beyond which slots become narrower: a wake-up is cheap then, and what waits behind them is not."""
_MOST: Final = 128
"""Answers of one list."""
_CROWD: Final = 2 * _TOGETHER
"""More polls than these go out before what came is looked at, so that their answers come meanwhile."""
_PATIENCE: Final = 0.1
"""Seconds for which what came waits for them."""
FIRST_ROUND: Final = 1.0
"""The first polls, and so all later ones, are spread over this many seconds at most."""
APART: Final = 0.02
"""Seconds between the first polls of two devices while they are few."""
_LAZY: Final = 0.01
"""Seconds for which answers without any news may wait for others: each turn costs as much as many of them."""
_AWAKE: Final = 1.0
"""Seconds between two turns at most: the watchdog looks for them."""
_NOTHING: Final = Plan(())
_Asked: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(slots=True, eq=False)
class _Watch:
    """One device on its link. `due` is when it is asked next or was asked last, in loop time; `slot` where it waits.

    `done` takes the answers of its poll. `turn` is when its turn is by its interval alone, whatever makes it be asked
    at other times: else what holds all up would leave them in a bunch.
    """

    state: DeviceState
    link: Link
    target: Target
    due: float
    done: Callable[[Answers], None] = field(init=False)
    turn: float = 0.0
    slot: int = -1
    busy: bool = False
    again: bool = False
    gone: bool = False
    wanted: _Asked | None = None
    plan: Plan = _NOTHING
    answers: Answers | None = None

    def after(self, time: float, interval: float) -> float:
        """Move its turn to the first one after a moment."""
        self.turn += interval * ((time - self.turn) // interval + 1)
        return self.turn


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
        self._states: dict[str, DeviceState] = {}
        self._width = SLOT
        self._slots: dict[int, list[_Watch]] = {}
        self._order: list[int] = []
        """The slots in which something waits, as a heap."""
        self._plans: dict[_Asked, Plan] = {}
        self._urgent: list[tuple[_Watch, Answers]] = []
        self._inbox: list[tuple[_Watch, Answers]] = []
        """What came, and is not delivered yet; what may be a fault apart."""
        self._hastened: frozenset[str] = frozenset()
        self._ended: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0
        self._soon: asyncio.Handle | None = None
        self._lazy = self._news = self._hurried = False
        self._put_off: float | None = None
        """Since when answers wait for polls to go out."""
        self.turns = 0
        """Grows with every turn of the timer: the watchdog looks at it."""

    @property
    def states(self) -> Mapping[str, DeviceState]:
        """All devices by id."""
        return self._states

    def watch(self, states: Iterable[DeviceState]) -> None:
        """Begin with these devices, spread over the first second."""
        start = asyncio.get_running_loop().time()
        fresh = list(states)
        spread = min(FIRST_ROUND, APART * (len(fresh) - 1))
        watches = []
        for state in fresh:
            device = state.device
            target = Target(device.id, device.endpoint, device.driver.quirks, device.timeout)
            share = zlib.crc32(device.id.encode()) / 0xFFFFFFFF
            watch = _Watch(state, self._link_of(device.endpoint), target, start + share * spread)
            watch.done = partial(self._done, watch)
            self._watches[device.id], self._states[device.id] = watch, state
            watches.append(watch)
        self._fit()
        for watch in watches:
            # From the middle of a slot: what is added to it later, rounded as it may be, stays within slots.
            watch.turn = (watch.due // self._width + 0.5) * self._width
            self._push(watch, watch.turn)

    def _fit(self) -> None:
        """Make slots as wide as suits so many polls at such intervals, those of long ones as close as they begin."""
        devices = [watch.state.device for watch in self._watches.values()]
        intervals = [min(device.interval, device.alarm_interval or device.interval) for device in devices]
        times = set(intervals)
        rate = sum(1 / min(interval, FIRST_ROUND) for interval in intervals)  # all lie in one round
        fit = (width for width in (SLOT, *_NARROWER) if rate * width <= _TOGETHER and _even(times, width))
        width = next(fit, _NARROWER[-1])
        if width == self._width:
            return
        waiting = [watch for slot, found in self._slots.items() for watch in found if watch.slot == slot]
        self._width, self._slots, self._order = width, {}, []
        for watch in waiting:
            self._push(watch, watch.due)

    def forget(self, ids: Iterable[str]) -> None:
        """Stop asking these devices."""
        for id in ids:
            self._watches.pop(id).gone = True
            del self._states[id]

    def hasten(self, ids: frozenset[str]) -> None:
        """Ask these devices at their fast interval, all others at their own."""
        soon = asyncio.get_running_loop().time()
        for id in ids - self._hastened:
            watch = self._watches.get(id)
            if watch is not None and not watch.busy:
                self._push(watch, min(watch.due, watch.after(soon, watch.state.interval(hasten=True))))
        self._hastened = ids

    def now(self, id: str) -> None:
        """Ask one device at once, or again as soon as its poll under way is back."""
        watch = self._watches.get(id)
        if watch is None:
            return
        watch.again = watch.busy
        watch.state.ask_all()
        if not watch.busy:
            self._push(watch, asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Serve the timer until cancelled; a bug in what takes the answers ends it."""
        self._ended = asyncio.get_running_loop().create_future()
        self._wake()
        try:
            await self._ended
        finally:
            self._ended = None
            for handle in (self._timer, self._soon):
                if handle is not None:
                    handle.cancel()

    def _wake(self) -> None:
        """Take a turn as soon as the loop has done what it is about."""
        if self._soon is None and self._ended is not None:
            self._soon = asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._soon, self._lazy, self._hurried = None, False, False
        if self._runs and self._guarded(self._serve):
            self._rest()

    @property
    def _runs(self) -> bool:
        return self._ended is not None and not self._ended.done()

    def _guarded(self, call: Callable[[], None]) -> bool:
        """Do something; a bug in it is handed on to whoever waits for `run`."""
        try:
            call()
        except Exception as bug:
            if self._ended is None:
                raise
            self._ended.set_exception(bug)
            return False
        return True

    def _serve(self) -> None:
        """Ask what is due and deliver what came, what is urgent first."""
        self.turns += 1
        now = asyncio.get_running_loop().time()
        late = self._put_off is not None and now - self._put_off > _PATIENCE
        if self._news and (late or self._waiting(now) <= _CROWD):
            self._flush()
        asked = self._ask_due(now)
        if self._came and (late or not asked):
            self._flush()
        self._put_off = (self._put_off or now) if self._came and asked else None

    @property
    def _came(self) -> bool:
        return bool(self._urgent or self._inbox)

    def _rest(self) -> None:
        """Sleep until the next slot, unless there is something to do."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        when = min(self._order[0] * self._width, now + _AWAKE) if self._order else now + _AWAKE
        if self._came or when <= now:
            self._wake()
        else:
            self._arm(when)

    def _arm(self, when: float) -> None:
        """Take the next turn then; whatever makes one come sooner arms anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._next = asyncio.get_running_loop().call_at(when, self._turn), when

    def _waiting(self, now: float) -> int:
        """Return how many are in the next slot that is due, 0 where none is."""
        due = self._order and self._order[0] * self._width <= now
        return len(self._slots[self._order[0]]) if due else 0

    def _ask_due(self, now: float) -> bool:
        """Ask what is due in one slot, and tell if any is; after a long pass the others come in the next turns."""
        if not self._waiting(now):
            return False
        slot, at = heapq.heappop(self._order), self._now()
        for watch in self._slots.pop(slot):
            if watch.slot != slot or watch.busy or watch.gone:
                continue
            watch.busy, watch.slot = True, -1
            wanted = watch.state.wants(at)
            if wanted is not watch.wanted:
                watch.wanted, watch.plan = wanted, self._plans.setdefault(wanted, Plan(*wanted))
            watch.link.ask(watch.target, watch.plan, watch.done)
        return True

    def _push(self, watch: _Watch, due: float) -> None:
        watch.due = due
        watch.slot = slot = int(due / self._width)
        with_it = self._slots.get(slot)
        if with_it is not None:
            with_it.append(watch)
            return
        self._slots[slot] = [watch]
        heapq.heappush(self._order, slot)
        if self._order[0] == slot:
            self._wake()

    def _done(self, watch: _Watch, answers: Answers) -> None:
        if watch.gone:
            return
        if answers is watch.answers:
            self._inbox.append((watch, answers))
            if not self._lazy:
                self._lazy, when = True, asyncio.get_running_loop().time() + _LAZY
                if when < self._next:
                    self._arm(when)
            return
        watch.answers, self._news = answers, True
        self._wake()
        stirs = watch.state.stirs(answers)
        if stirs and self._runs and not self._hurried:
            self._hurried = True  # the others in the next turn, together: much may fail at once
            self._guarded(partial(self._take, [(watch, answers)]))
        else:
            (self._urgent if stirs else self._inbox).append((watch, answers))

    def _flush(self) -> None:
        self._news = False
        for come in (self._urgent, self._inbox):
            if come:
                now = come[:_MOST]
                del come[:_MOST]
                self._take(now)

    def _take(self, inbox: Sequence[tuple[_Watch, Answers]]) -> None:
        """Deliver some answers, and see when who gave them is asked next."""
        self._deliver([(watch.state, answers) for watch, answers in inbox if not watch.gone])
        now, hastened = asyncio.get_running_loop().time(), self._hastened
        for watch, _ in inbox:
            state = watch.state
            interval = state.interval(hasten=bool(hastened) and state.device.id in hastened)
            if watch.again or not interval:
                due = now
            elif state.misses:
                due = max(now, watch.due + interval)
            else:
                due = watch.after(max(now, watch.due), interval)
            watch.busy = watch.again = False
            self._push(watch, due)


def _even(times: Iterable[float], width: float) -> bool:
    """Tell whether these are whole numbers of slots."""
    return all(abs(time / width - round(time / width)) < 1e-6 for time in times)
