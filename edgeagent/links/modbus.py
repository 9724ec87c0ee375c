"""All Modbus units behind one session or bus: TCP, TLS, RTU over TCP, RTU on a serial line.

Owns the order of the polls and what was learnt about each unit. Only reads; never writes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from edgeagent.endpoint import Endpoint
from edgeagent.items import Quirks
from edgeagent.links import Plan, Target
from edgeagent.links.blocks import Block, cover
from edgeagent.links.modbuscourse import Course
from edgeagent.links.modbusline import Early
from edgeagent.links.modbuswire import Wire
from edgeagent.links.turns import Done, Turns, same
from edgeagent.readings import Answers, Missing, Raw

_log = logging.getLogger(__name__)

RECHECK: Final = 60.0
LONGEST_RECHECK: Final = 3600.0
"""How long a refused address is left alone, in s; it doubles each time the refusal is confirmed."""

_REQUEST: Final = 1.0  # s for one answer where neither quirks nor target say less
_BUSY: Final = 0.1  # s before a busy device is asked again
_SPARE: Final = 16  # questions a poll may spend on finding out what a device fails at
_QUEUE: Final = 512  # polls waiting; a bus has 247 units at most
_COURSES: Final = 1024  # plans of units whose course is kept

_FINAL: Final = frozenset({Missing.TIMEOUT, Missing.LINK_DOWN, Missing.GATEWAY})
"""After one of these the rest of a unit's poll is not asked: it would cost the others a time-out each."""


@dataclass(slots=True)
class _Unit:
    """What was learnt about one unit: addresses it refuses, addresses into which no read may run.

    `lost` are the addresses at which blocks begin that fail as a whole.
    """

    bad: set[str] = field(default_factory=set)
    cuts: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    until: float = 0.0
    patience: float = 0.0
    layouts: dict[tuple[str, ...], tuple[Quirks, tuple[Block, ...]]] = field(default_factory=dict)

    def layout(self, addresses: tuple[str, ...], quirks: Quirks) -> tuple[Block, ...]:
        """Return the reads that cover the addresses; they are planned once."""
        known = self.layouts.get(addresses)
        if known is None or known[0] is not quirks:
            # Where all is refused one address is asked on, so that silence is still seen.
            blocks = cover(addresses, quirks, self.bad, self.cuts) or cover(addresses[:1], quirks)
            known = self.layouts[addresses] = (quirks, blocks)
        return known[1]

    def learn(self, where: set[str], addresses: Iterable[str], now: float, recheck: float) -> None:
        """Remember a refusal for a while, each time for longer: a device that boots refuses what it has later."""
        where.update(addresses)
        self.layouts.clear()
        if self.until <= now:
            self.patience = max(recheck, min(2 * self.patience, LONGEST_RECHECK))
            self.until = now + self.patience

    def forget(self) -> None:
        """Ask for everything again."""
        self.bad.clear()
        self.cuts.clear()
        self.lost.clear()
        self.layouts.clear()
        self.until = 0.0


@dataclass(slots=True)
class _Poll:
    """One poll under way. `heard` tells whether the unit said anything, `over` why the rest is not asked."""

    target: Target
    unit: _Unit
    answers: dict[str, Raw]
    heard: bool = False
    garbled: bool = False
    over: Missing | None = None
    spare: int = _SPARE
    """Questions left for finding out what a device fails at."""


class ModbusLink:
    """The devices of one `endpoint.medium`, asked one question at a time, first come first served.

    `target.timeout` bounds what a poll waits for answers, from its turn on; pauses for connecting, pacing and
    settling the line are not counted. One request may take `quirks.timeout`, else 1 s. A unit that does not answer
    costs the others one such time and, on RTU, the quiet time after it. `recheck` is the shortest time in s for which
    an address that the device refused is left alone.
    """

    def __init__(self, endpoint: Endpoint, *, recheck: float = RECHECK) -> None:
        self._wire = Wire(endpoint)
        self._recheck = recheck
        self._units: dict[int, _Unit] = {}
        self._turns = Turns(_QUEUE)
        self._courses: dict[tuple[int, Plan], Course] = {}
        self._under_way: tuple[Course, Target, Done] | None = None
        self._behind: deque[tuple[Target, Plan, Done]] = deque()
        """Polls that came while one was under way by its course."""

    def ask(self, target: Target, plan: Plan, done: Done) -> None:
        """Start one poll; see `Link.ask`. Walks do not exist in Modbus and are answered as absent."""
        if self._under_way is not None:
            self._behind.append((target, plan, done))
        elif not (self._turns.idle and self._begin(target, plan, done)):
            self._turns.ask(target, plan, done)

    async def run(self) -> None:
        """Own the connection until cancelled; what is still open then is answered as link down."""
        await self._turns.serve(self._poll, self._close)

    def _begin(self, target: Target, plan: Plan, done: Done) -> bool:
        """Start a poll that is likely to be as the one before it, without a task; tell whether that can be done."""
        number = target.endpoint.unit
        line, unit = self._wire.at_once(number, target.quirks), self._units.get(number)
        if line is None or unit is None or (unit.until and unit.until <= asyncio.get_running_loop().time()):
            return False
        blocks = unit.layout(plan.gets, target.quirks)
        course = self._courses.get((number, plan))
        if course is None or course.blocks is not blocks:
            asked = {address for block in blocks for address, _ in block.wanted}
            if not (blocks and unit.bad.isdisjoint(asked)):
                return False
            if len(self._courses) >= _COURSES:
                self._courses.clear()
            course = self._courses[number, plan] = Course(number, plan, blocks, self._over)
        self._under_way = course, target, done
        course.start(line, target.quirks.timeout or _REQUEST, target.timeout, done)
        return True

    def _over(self, early: dict[Block, Early]) -> None:
        """Go on after a course; with what came `early` where it was given up."""
        assert self._under_way is not None  # noqa: S101 - it was begun
        (course, target, done), self._under_way = self._under_way, None
        if early:
            self._courses.pop((target.endpoint.unit, course.plan), None)
            self._wire.early = early
            self._turns.ask(target, course.plan, done)
        while self._behind and self._under_way is None:
            self.ask(*self._behind.popleft())

    def _close(self) -> None:
        """Hang up; what is under way or waits by itself is answered as link down."""
        self._wire.close()
        waiting, self._under_way = self._under_way, None
        if waiting is not None:
            waiting[0].stop()
            waiting[2](same(waiting[0].plan, Missing.LINK_DOWN))
        while self._behind:
            _, plan, done = self._behind.popleft()
            done(same(plan, Missing.LINK_DOWN))

    async def _poll(self, target: Target, plan: Plan) -> Answers:
        unit = self._units.setdefault(target.endpoint.unit, _Unit())
        if unit.until and unit.until <= asyncio.get_running_loop().time():
            unit.forget()
        poll = _Poll(target, unit, same(plan, Missing.ABSENT))
        self._wire.spent = 0.0
        for block in unit.layout(plan.gets, target.quirks):
            await self._fill(poll, block)
        self._wire.early = {}
        if poll.over is not None and not poll.heard:
            # What is known to be refused says nothing about a unit that is silent now.
            return same(plan, poll.over)
        return poll.answers

    async def _fill(self, poll: _Poll, block: Block) -> None:
        """Put the block's answers into the poll; bisect what the device refuses."""
        result = poll.over or await self._question(poll.target, block)
        poll.heard = poll.heard or not (isinstance(result, Missing) and result.silent)
        if not isinstance(result, Missing):
            for address, offset in block.wanted:
                poll.answers[address] = result[offset]
            if poll.unit.bad and not poll.unit.bad.isdisjoint(address for address, _ in block.wanted):
                poll.unit.forget()
        elif result is Missing.ABSENT:
            await self._bisect(poll, block)
        elif result is Missing.ERROR and poll.spare > 0 and not (block.whole or block.wanted[0][0] in poll.unit.lost):
            await self._isolate(poll, block)
        else:
            poll.answers.update((address, result) for address, _ in block.wanted)
            if result in _FINAL or (result is Missing.MALFORMED and poll.garbled):
                poll.over = result
            poll.garbled = poll.garbled or result is Missing.MALFORMED

    async def _bisect(self, poll: _Poll, block: Block) -> None:
        """Find out what in a refused block is refused, and remember it."""
        unit, now = poll.unit, asyncio.get_running_loop().time()
        if block.whole or len(block.wanted) == 1:
            refused = {address for address, _ in block.wanted} - unit.bad
            if refused:
                _log.info("%s refuses %s", poll.target.name, ", ".join(sorted(refused)))
                unit.learn(unit.bad, refused, now, self._recheck)
            return
        known = len(unit.bad) + len(unit.cuts)
        halves = block.halves()
        for half in halves:
            if poll.over is None:
                await self._fill(poll, half)
        if poll.over is None and len(unit.bad) + len(unit.cuts) == known:
            # Each half is there: the hole between them is not, or both together are longer than the device allows.
            unit.learn(unit.cuts, [halves[1].wanted[0][0]], now, self._recheck)

    async def _isolate(self, poll: _Poll, block: Block) -> None:
        """Ask again in halves when a device fails at a block (exception 4): one dead sensor is not all of them.

        What fails is asked alone from now on, unless nothing of the block could be read.
        """
        unit, now = poll.unit, asyncio.get_running_loop().time()
        names = [address for address, _ in block.wanted]
        poll.answers.update(dict.fromkeys(names, Missing.ERROR))
        for half in block.halves() if len(names) > 1 else ():
            poll.spare -= 1
            if poll.over is None:
                await self._fill(poll, half)
        failed = {address for address in names if poll.answers[address] is Missing.ERROR}
        if len(failed) == len(names):
            unit.learn(unit.lost, names[:1], now, self._recheck)
        elif failed:
            edges = [after for before, after in pairwise(names) if (before in failed) is not (after in failed)]
            unit.learn(unit.cuts, edges, now, self._recheck)

    async def _question(self, target: Target, block: Block) -> list[int] | Missing:
        """Ask for one block; a busy device gets a second chance."""
        result = await self._attempt(target, block)
        if result is Missing.BUSY:
            await asyncio.sleep(_BUSY)
            result = await self._attempt(target, block)
        return result

    async def _attempt(self, target: Target, block: Block) -> list[int] | Missing:
        left = target.timeout - self._wire.spent
        if left <= 0:
            return Missing.TIMEOUT
        within = min(target.quirks.timeout or _REQUEST, left)
        return await self._wire.read(target.endpoint.unit, block, target.quirks, within)
