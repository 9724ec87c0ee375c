"""First come, first served: the polls of a medium on which one question is asked at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from edgeagent.links import Plan, Target
from edgeagent.readings import Answers, Missing, Raw

Done: TypeAlias = Callable[[Answers], None]


class Turns:
    """Polls that wait, at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._polls: asyncio.Queue[tuple[Target, Plan, Done]] = asyncio.Queue(most)
        self._serving = False

    @property
    def idle(self) -> bool:
        """Tell whether no poll waits and none is under way."""
        return not self._serving and self._polls.empty()

    def ask(self, target: Target, plan: Plan, done: Done) -> None:
        """Put a poll at the end; where there is no room it is answered as timed out."""
        try:
            self._polls.put_nowait((target, plan, done))
        except asyncio.QueueFull:
            asyncio.get_running_loop().call_soon(done, same(plan, Missing.TIMEOUT))

    async def serve(self, poll: Callable[[Target, Plan], Awaitable[Answers]], close: Callable[[], None]) -> None:
        """Answer one poll after another until cancelled; then close, and answer what is open as link down."""
        current: tuple[Target, Plan, Done] | None = None
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        try:
            # wait_for, in whatever reads the wire, loses a cancellation that comes together with the answer.
            while not task.cancelling():
                current = await self._polls.get()
                self._serving = True
                answers = await poll(current[0], current[1])
                done, current, self._serving = current[2], None, False
                done(answers)
            raise asyncio.CancelledError
        finally:
            close()
            if current is not None:
                current[2](same(current[1], Missing.LINK_DOWN))
            while not self._polls.empty():
                _, plan, done = self._polls.get_nowait()
                done(same(plan, Missing.LINK_DOWN))


def same(plan: Plan, missing: Missing) -> dict[str, Raw]:
    """Answer all that was asked with one and the same reason."""
    return dict.fromkeys((*plan.gets, *plan.walks), missing)
