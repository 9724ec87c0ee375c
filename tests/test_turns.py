"""The queue of a medium: how it ends."""

from __future__ import annotations

import asyncio

from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target
from edgeagent.links.turns import Turns, same
from edgeagent.readings import Answers, Missing


def test_a_cancellation_that_is_lost_in_a_poll_still_ends_the_queue() -> None:
    answered: list[Answers] = []

    async def run() -> None:
        turns, asked = Turns(8), asyncio.Event()

        async def poll(target: Target, plan: Plan) -> Answers:
            asked.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:  # as wait_for does when the answer is there at that moment
                return {"h0": 1}
            raise AssertionError

        serving = asyncio.create_task(turns.serve(poll, lambda: None))
        for _ in range(2):
            turns.ask(Target("genset", parse("modbus://127.0.0.1?unit=1")), Plan(("h0",)), answered.append)
        await asyncio.wait_for(asked.wait(), 60)
        serving.cancel()
        await asyncio.wait([serving], timeout=60)
        assert serving.cancelled()

    asyncio.run(run())
    assert answered == [{"h0": 1}, same(Plan(("h0",)), Missing.LINK_DOWN)]
