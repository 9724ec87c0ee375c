"""The true agent, `edgeagent run`, on a site of many simulated devices: store on disk, alarms, quality and feed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.process import Process
from tests.benchmarks.site import SimulatedSite, address
from tests.rig import TOPICS, Daemon, device, write_site

DRIVERS: Final = Path(__file__).with_name("drivers")
PROFILED: Final = Path(__file__).with_name("profiled.py")
PROFILE: Final = "BENCH_PROFILE"
"""The environment's word for a folder that profiles of the agent go to; its figures are worth nothing then."""
AT_ONCE: Final = {"on_delay": 0, "off_delay": 0}
START: Final = 120.0
"""s that ten thousand devices may take until the first pass."""
RATE: Final = 2000.0
"""Events a second that the feed may send, so that its bound is no part of what is measured here."""


def upses(site: SimulatedSite, driver: str = "ups/bench", interval: float = 1.0, **settings: float) -> list[str]:
    """Write one UPS for each device of the site, alarms without delay."""
    return [
        device(
            f"ups-{number}", driver, f"snmp://{address(number)}:{site.port}?version=2c&community=public",
            {"on-battery": AT_ONCE}, interval=interval, fast=interval, **settings,
        )
        for number in range(site.devices)
    ]  # fmt: skip


def sensors(site: SimulatedSite, interval: float = 1.0) -> list[str]:
    """Write one device of sixty registers for each of the site."""
    return [
        device(
            f"env-{number}", "environment/bench", f"modbus://{address(number)}:{site.port}?unit=1",
            {"smoke": AT_ONCE}, interval=interval, fast=interval,
        )
        for number in range(site.devices)
    ]  # fmt: skip


class Agent:
    """A running agent: what it costs, and where its messages are."""

    def __init__(self, daemon: Daemon, start: float) -> None:
        self.process, self._daemon, self.start = Process(daemon.pid), daemon, start
        """`start` is how long it took to its first pass, s."""

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._daemon.log

    @staticmethod
    def topics(numbers: Sequence[int], prefix: str = "ups") -> list[str]:
        """Return where faults of these devices are told: alarms, and readings."""
        return [f"{TOPICS}/event/alarm/+", *(f"{TOPICS}/device/{prefix}-{number}/state" for number in numbers)]


@contextmanager
def agent(folder: Path, broker: int, devices: Sequence[str], *tables: str, **environ: str) -> Iterator[Agent]:
    """Run the agent, from its first pass to the end of the block."""
    own = f'state = "{folder / "state"}"\ndrivers = ["{DRIVERS}"]'
    write_site(folder, broker, f"rate = {RATE}", *tables, *devices, agent=own)
    profile = os.environ.get(PROFILE)
    before = [] if profile is None else [sys.executable, str(PROFILED), f"{profile}/{folder.parent.name}.prof"]
    daemon, begun = Daemon(folder, before, **environ), time.monotonic()
    with ExitStack() as stack:
        stack.push(daemon)
        daemon.start(ready=False)
        daemon.until_says("first pass after", within=START)
        yield Agent(daemon, time.monotonic() - begun)
        assert daemon.running, daemon.log[-4000:]
        if profile is not None:
            daemon.stop(60)
