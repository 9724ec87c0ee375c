"""What the agents of seats report of their workstation, headset and phone: read here as if they had been asked.

Nobody asks a seat: its agent reports by itself, and the newest report answers all polls until it is too old. Addresses
are those of `host.py`, and headset.… and phone.… beside them. Who reports, and that it may, is looked at before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgeagent.links import Plan, Target
from edgeagent.links.turns import same
from edgeagent.readings import Answers, Missing

FRESH: Final = 45.0
"""s that a report holds: three heartbeats of a seat."""
MOST: Final = 20_000
"""Seats of which a report is kept, as many as a site may have."""


@dataclass(frozen=True, slots=True)
class _Report:
    answers: Answers
    taken: float


class SeatLink:
    """All seats of the site. Times are s of `clock`, which never jumps."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reports: dict[str, _Report] = {}

    def take(self, seat: str, answers: Answers, now: float) -> None:
        """Keep the newest report of a seat, taken at `now`; an empty one says that it has gone."""
        if not answers:
            self._reports.pop(seat, None)
        elif seat in self._reports or len(self._reports) < MOST:
            self._reports[seat] = _Report(answers, now)

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        """Answer from the seat's report; what it does not hold is absent, and without a fresh one all timed out."""
        seat = target.endpoint.host
        report = self._reports.get(seat)
        if report is not None and self._clock() - report.taken >= FRESH:
            report = self._reports.pop(seat, None) and None
        answers = same(plan, Missing.TIMEOUT if report is None else Missing.ABSENT)
        if report is not None:
            answers |= {address: report.answers[address] for address in plan.gets if address in report.answers}
        asyncio.get_running_loop().call_soon(done, answers)

    async def run(self) -> None:
        """Wait to be cancelled: reports come by `take`."""
        await asyncio.Event().wait()
