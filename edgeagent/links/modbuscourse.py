"""The same poll of the same unit, time after time, over Modbus TCP: what was answered before is not taken apart again.

Owns the questions of one plan and the bytes that answered them last. A poll whose answers are all plain needs no task
and, while nothing changes, makes no new object: it gives the answers of the last one. At the first answer that is not
plain, or none, it is over, and `modbus` goes on from there as if it had asked itself.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from operator import itemgetter
from typing import Final, TypeAlias

from edgeagent.links import Plan
from edgeagent.links.blocks import Block
from edgeagent.links.modbusline import Answer, Early
from edgeagent.links.modbusmbap import MbapLine, taken
from edgeagent.links.turns import Done, same
from edgeagent.readings import Answers, Missing, Raw

_QUESTION: Final = struct.Struct(">HHBBHH")
_HEAD: Final = struct.Struct(">HHBBB")
"""What follows the transaction: protocol, bytes that follow, unit and function; then a range, or bytes of data."""
BEFORE: Final = 9
"""Bytes of an answer before its data."""


class _Step:
    """One question: its bytes, what a plain answer to it begins with, and what came last."""

    __slots__ = ("block", "body", "head", "names", "pick", "question", "size")

    def __init__(self, unit: int, block: Block) -> None:
        self.block = block
        self.question = _QUESTION.pack(0, 6, unit, block.function, block.start, block.count)
        self.head = _HEAD.pack(0, 3 + block.size, unit, block.function, block.size)
        self.size = BEFORE + block.size
        self.names = tuple(address for address, _ in block.wanted)
        offsets = tuple(offset for _, offset in block.wanted)
        # Of one offset itemgetter makes no tuple.
        self.pick: Callable[[list[int]], tuple[int, ...]] = (
            itemgetter(*offsets) if len(offsets) > 1 else lambda values: (values[offsets[0]],)
        )
        self.body = b""

    def values(self) -> list[int]:
        return taken(self.block.function, self.body)


Over: TypeAlias = Callable[[dict[Block, Early]], None]
"""Hears that a course is over, and what its questions came to where it could not answer."""


class Course:
    """A plan as one unit is asked it; its blocks are those of `blocks`. For one poll at a time."""

    __slots__ = (
        *("_answers", "_asked", "_at", "_began", "_limit", "_line", "_loop", "_moved", "_over", "_steps", "_timer"),
        *("_within", "blocks", "done", "plan"),
    )

    def __init__(self, unit: int, plan: Plan, blocks: tuple[Block, ...], over: Over) -> None:
        self.plan, self.blocks, self._over = plan, blocks, over
        self._steps = [_Step(unit, block) for block in blocks]
        self._answers: Answers = same(plan, Missing.ABSENT)
        self._moved: list[_Step] = []

    def start(self, line: MbapLine, within: float, limit: float, done: Done) -> None:
        """Poll: wait `within` s for each answer, `limit` s for all. `done` or, why not, `over` hears of it."""
        self._loop = loop = asyncio.get_running_loop()
        self._line, self._within, self.done = line, within, done
        self._began = loop.time()
        self._limit = self._began + limit
        self._at = 0
        self._moved.clear()
        self._ask(self._began)

    def stop(self) -> None:
        """Let go of the poll under way; neither of the two hears of it."""
        self._timer.cancel()
        self._line.drop()

    def _ask(self, now: float) -> None:
        step = self._steps[self._at]
        when = min(now + self._within, self._limit)
        self._timer = self._loop.call_at(when, self._line.expire)
        self._line.put(step.question, step.head, step.size, self._plain, self._odd)

    def _plain(self, frame: bytes) -> None:
        """Take the answer that was to be expected."""
        self._timer.cancel()
        step = self._steps[self._at]
        if not step.body or not frame.endswith(step.body):
            step.body = frame[BEFORE:]
            self._moved.append(step)
        self._at += 1
        if self._at == len(self._steps):
            self._finish()
            return
        now = self._loop.time()
        if now < self._limit:
            self._ask(now)
        else:
            self._give_up()

    def _finish(self) -> None:
        if self._moved:
            answers: dict[str, Raw] = dict(self._answers)
            for step in self._moved:
                answers.update(zip(step.names, step.pick(step.values()), strict=True))
            self._answers = answers
        # Not from here: a bug in what takes them is no trouble of the connection.
        self._loop.call_soon(self.done, self._answers)
        self._over({})

    def _odd(self, outcome: Answer | Exception) -> None:
        """Leave what is not plain to those who can judge it."""
        self._timer.cancel()
        block, waited = self._steps[self._at].block, self._loop.time() - self._began
        self._give_up({block: Early(outcome, waited)})

    def _give_up(self, last: dict[Block, Early] | None = None) -> None:
        unit = self._steps[0].head[4]
        known = self._steps[: self._at]
        waited = 0.0 if last else self._loop.time() - self._began
        early = {
            step.block: Early(Answer(unit, step.block.function, step.values()), waited if step is known[-1] else 0.0)
            for step in known
        }
        self._over(early | (last or {}))
