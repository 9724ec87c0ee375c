"""What the agent of a seat can read of it: the workstation, its headsets, the services as they are seen from there.

Reads only; what of it may leave the seat is for `seatanswers.py`. Libraries for headsets are loaded where they are
wanted, and a seat without them tells all the rest.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from edgeagent.links import Link, Plan, Target
from edgeagent.links.host import HostLink
from edgeagent.readings import Answers, Raw
from edgeagent.seatanswers import HOST, PROBED, probed
from edgeagent.seatconfig import SeatSettings

_TIMEOUT: Final = 6.0
"""s that a service may take to answer."""
_PRIME: Final = 0.3
"""s over which the first figures of processor and network are measured."""


class Sensors:
    """All that one seat can read. `sample` asks nobody who could keep it waiting."""

    def __init__(self, settings: SeatSettings) -> None:
        self._settings = settings
        self.host = HostLink(softphone=settings.softphone)
        self._headsets = _headsets(settings)
        self._services: dict[str, Raw] = {}
        self._targets = {name: Target(name, each, timeout=_TIMEOUT) for name, each in settings.services.items()}

    def sample(self) -> Answers:
        """Read everything now; of services, what was heard last."""
        return {**self.host.sample(HOST), **self._headsets(), **self._services}

    async def first(self) -> Answers:
        """Read everything once, figures that need two looks and services too."""
        self.host.sample(HOST)
        await asyncio.gather(asyncio.sleep(_PRIME), self._ask())
        return self.sample()

    async def run(self) -> None:
        """Ask the services again and again until cancelled, each seat at moments of its own."""
        await asyncio.sleep(random.random() * self._settings.interval)  # noqa: S311 - jitter
        while self._targets:
            await self._ask()
            await asyncio.sleep(self._settings.probe * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    async def _ask(self) -> None:
        """Ask all services side by side; each answers within its time, whatever it does."""
        if not self._targets:
            return
        from edgeagent.links.service import ServiceLink  # with TLS, which a seat without services does not need

        link = ServiceLink()
        running = asyncio.get_running_loop().create_task(link.run())
        await asyncio.sleep(0)  # it stands once its task has had a turn
        heard = asyncio.gather(*(self._one(link, name, target) for name, target in self._targets.items()))
        either: tuple[asyncio.Future[Any], ...] = (heard, running)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            heard.cancel()
            running.cancel()

    async def _one(self, link: Link, name: str, target: Target) -> None:
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        link.ask(target, Plan(PROBED), lambda heard: None if answered.done() else answered.set_result(heard))
        self._services |= probed(name, await answered)


def _headsets(settings: SeatSettings) -> Callable[[], Mapping[str, Raw]]:
    if not settings.headsets:
        return dict
    from edgeagent.headsets import Headsets, HeadsetSettings

    return Headsets(HeadsetSettings(expected=settings.headset, ask=settings.ask)).sample
