"""What the agents of seats report of their workstation, headset and phone: read here as if they had been asked.

Nobody asks a seat: its agent reports by itself, and the newest report answers all polls for as long as it holds.
Addresses are those of `seatanswers.py`, and `clock.offset` and `agent.state`, which the inbox knows by itself. The last
one is answered always, so that a seat that is silent is no device that cannot be read. What is answered as it was last
time is answered with the same object: whoever takes it can tell by that alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from edgeagent.links import Plan, Target
from edgeagent.links.turns import same
from edgeagent.readings import Answers, Missing
from edgeagent.seatinbox import STATE, SeatInbox
from edgeagent.seatverdict import Word

_Given: TypeAlias = tuple[Answers | None, Word | None, Answers]
"""What was held of a seat and its word, and the answers that came of it."""
_MOST: Final = 1 << 17
"""Answers that are remembered; above that all are found anew."""


class SeatLink:
    """All seats of the site. `clock` is that of the inbox, s."""

    def __init__(self, inbox: SeatInbox | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._inbox = SeatInbox() if inbox is None else inbox
        self._clock = clock
        self._given: dict[tuple[str, Plan], _Given] = {}

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        """Answer from the seat's report; what it does not hold is absent, and without a fresh one all timed out."""
        seat, now = target.endpoint.host, self._clock()
        held = self._inbox.answers(seat, now)
        word = self._inbox.state(seat, now) if seat in self._inbox else None
        given = self._given.get((seat, plan))
        if given is None or given[0] is not held or given[1] is not word:
            answers = _answers(plan, held, word)
            if given is not None and given[2] == answers:
                answers = given[2]
            if len(self._given) >= _MOST:
                self._given.clear()
            given = self._given[seat, plan] = held, word, answers
        asyncio.get_running_loop().call_soon(done, given[2])

    async def run(self) -> None:
        """Wait to be cancelled: reports come to the inbox."""
        await asyncio.Event().wait()


def _answers(plan: Plan, held: Answers | None, word: Word | None) -> Answers:
    answers = same(plan, Missing.TIMEOUT if held is None else Missing.ABSENT)
    if held is not None:
        answers |= {address: held[address] for address in plan.gets if address in held}
    if word is not None and STATE in answers:
        answers[STATE] = word.value
    return answers
