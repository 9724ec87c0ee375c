"""What the agents of seats report of their workstation, headset and phone: read here as if they had been asked.

Nobody asks a seat: its agent reports by itself, and the newest report answers all polls for as long as it holds.
Addresses are those of `seatanswers.py`, and `clock.offset` and `agent.state`, which the inbox knows by itself. The last
one is answered always, so that a seat that is silent is no device that cannot be read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from edgeagent.links import Plan, Target
from edgeagent.links.turns import same
from edgeagent.readings import Answers, Missing
from edgeagent.seatinbox import STATE, SeatInbox


class SeatLink:
    """All seats of the site. `clock` is that of the inbox, s."""

    def __init__(self, inbox: SeatInbox | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._inbox = SeatInbox() if inbox is None else inbox
        self._clock = clock

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        """Answer from the seat's report; what it does not hold is absent, and without a fresh one all timed out."""
        seat, now = target.endpoint.host, self._clock()
        held = self._inbox.answers(seat, now)
        answers = same(plan, Missing.TIMEOUT if held is None else Missing.ABSENT)
        if held is not None:
            answers |= {address: held[address] for address in plan.gets if address in held}
        if STATE in answers and seat in self._inbox:
            answers[STATE] = self._inbox.state(seat, now).value
        asyncio.get_running_loop().call_soon(done, answers)

    async def run(self) -> None:
        """Wait to be cancelled: reports come to the inbox."""
        await asyncio.Event().wait()
