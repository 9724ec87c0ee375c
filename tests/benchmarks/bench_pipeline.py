"""What the agent itself costs a poll, the wire aside: scheduling, decoding, judging, storing and telling.

The whole agent runs on real time; only its link and its broker stand in: a link that answers from memory, and a
connection that takes everything. The link's own cost is measured by itself and taken off. Each size of site runs in
a process of its own, so that memory is its own too. `python -m tests.benchmarks.bench_pipeline 1000 --profile 0.5`
shows where the time goes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import gc
import logging
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final, cast
from unittest.mock import patch

from edgeagent import agent as agents
from edgeagent import resources, sitefiles
from edgeagent.endpoint import Endpoint
from edgeagent.handover import read_again
from edgeagent.links import Link, Plan, Target
from edgeagent.mqtt import Connection, Events, Will
from edgeagent.readings import Answers, Raw
from edgeagent.simulator import SimulatedDevice
from tests.rig import environment

SIZES: Final = (100, 1_000, 10_000)
SHARES: Final = (0.0, 0.1, 0.5, 1.0)
DRIVER: Final = "ups/vertiv-ita2"
"""22 objects in one GET, as many as peers are measured with."""
MOVING: Final = ("2.2.1.0", "2.3.1.0", "2.3.4.0", "2.3.14.0", "2.5.8.0")
"""What trembles in a real UPS: a voltage in and out, a current, a load and a temperature."""
WARM_UP: Final = 8.0
MEASURED: Final = 8.0


class Memory:
    """A link whose devices answer at once: the same mapping while nothing changed, another one when it did."""

    def __init__(self) -> None:
        self.share = 0.0
        self.at: dict[str, list[float]] = defaultdict(list)
        self.polls = 0
        self.timing = False
        self._well: dict[str, Raw] = {}
        self._said: dict[str, Answers] = {}
        self._moving: tuple[str, ...] = ()
        self._waiting: list[tuple[Callable[[Answers], None], Answers]] = []

    def prepare(self, well: Mapping[str, Raw]) -> None:
        """Know what a healthy device says."""
        self._well = dict(well)
        self._moving = tuple(id for id in self._well if id.endswith(MOVING))

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        name = target.name
        if self.timing:
            self.at[name].append(time.monotonic())
        self.polls += 1
        last = self._said.get(name)
        if last is None or len(last) != len(plan.gets) or random.random() < self.share:
            last = self._said[name] = self._next(plan)
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._answer)
        self._waiting.append((done, last))

    def _next(self, plan: Plan) -> Answers:
        said = {address: self._well.get(address, 1) for address in plan.gets}
        for id in self._moving:
            raw = said[id]
            assert isinstance(raw, int)
            said[id] = raw + random.randint(-2, 2)
        return said

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for done, answers in waiting:
            done(answers)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def gap(self) -> float:
        """Return the p99 of |gap - interval| in ms."""
        gaps = sorted(abs(after - before - 1.0) for at in self.at.values() for before, after in pairwise(at))
        return gaps[int(len(gaps) * 0.99)] * 1000 if gaps else 0.0


class Broker:
    """A connection that takes everything."""

    fallback, broker, room = False, "memory", 20

    def __init__(self, events: Events) -> None:
        self._events, self.connected, self.taken = events, False, 0

    def subscribe(self, *_: object, **__: object) -> None:
        pass

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, **_: object) -> int:
        self.taken += 1
        if qos:
            asyncio.get_running_loop().call_soon(self._events.on_ack, self.taken, 0, False)
        return self.taken

    def flush(self) -> None:
        pass

    async def run(self) -> None:
        self.connected = True
        self._events.on_connected(False, None)
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.connected = False


class Agent(agents.Agent):
    """The agent, but for its broker."""

    def _connect(self, events: Events, will: Will) -> Connection:
        self.taker = Broker(events)
        return cast("Connection", self.taker)

    def finish(self) -> None:
        self._stop.set()


def folder(path: Path, count: int, driver: str) -> Path:
    """Write a site of so many alike UPSes."""
    own = path / "site.toml"
    lines = [
        '[site]\nid = "bench"\nname = { en = "Bench", zh = "测试" }\n[feed]\nbroker = "mqtt://127.0.0.1"\n',
        f'[agent]\nstate = "{path / "state"}"\n',
    ]
    for number in range(count):
        url = f"snmp://10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}?version=2c&community=bench"
        lines.append(
            f'[devices.ups-{number}]\ndriver = "{driver}"\nurl = "{url}"\ninterval = 1.0\nfast = 1.0\n'
            f'name = {{ en = "UPS {number}", zh = "不间断电源 {number}" }}\n'
        )
    own.write_text("".join(lines))
    return path


def link_alone(memory: Memory, polls: int = 20_000) -> float:
    """Return what the link that stands in costs by itself, us a poll."""

    async def run() -> float:
        memory.timing = False
        plan = Plan(tuple(memory._well))
        taken: list[Answers] = []
        targets = [Target(f"ups-{number}", cast("Endpoint", None)) for number in range(1000)]
        began = time.process_time()
        for first in range(0, polls, 1000):
            for target in targets:
                memory.ask(target, plan, taken.append)
            await asyncio.sleep(0)
            taken.clear()
            del first
        return (time.process_time() - began) / polls * 1e6

    return asyncio.run(run())


def rss() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def measure(agent: Agent, memory: Memory, share: float) -> str:
    memory.share = share
    await asyncio.sleep(WARM_UP / 4)
    memory.at.clear()
    memory.polls, taken, memory.timing = 0, agent.taker.taken, True
    cpu, began = time.process_time(), time.monotonic()
    lags: list[float] = []
    pauses: list[float] = [0.0]

    def collecting(phase: str, _: object) -> None:
        if phase == "start":
            pauses.append(time.monotonic())
        else:
            pauses[-1] = time.monotonic() - pauses[-1]

    gc.callbacks.append(collecting)
    last = time.monotonic()
    while last - began < MEASURED:
        await asyncio.sleep(0.01)
        now = time.monotonic()
        lags.append(now - last - 0.01)
        last = now
    gc.callbacks.remove(collecting)
    cpu, passed = time.process_time() - cpu, time.monotonic() - began
    memory.timing = False
    lags.sort()
    return (
        f"{share:6.0%} {memory.polls / passed:8.0f} {cpu / max(1, memory.polls) * 1e6:9.1f} {cpu / passed:7.1%}"
        f" {memory.gap():8.1f} {lags[int(len(lags) * 0.99)] * 1000:8.1f} {lags[-1] * 1000:8.1f}"
        f" {max(pauses) * 1000:8.1f} {(agent.taker.taken - taken) / passed:8.0f} {rss():7.1f}"
    )


def measured(count: int, shares: tuple[float, ...], driver: str, profile: bool) -> None:
    logging.getLogger("edgeagent").setLevel(logging.ERROR)
    memory = Memory()
    with tempfile.TemporaryDirectory() as place:
        site = sitefiles.load(folder(Path(place), count, driver), resources.drivers())
        site = replace(site, procedures={})
        memory.prepare(SimulatedDevice(site.catalog.drivers[driver]).answers)
        gc.collect()
        started = rss()
        agent = Agent(site, read_again)

        async def run() -> None:
            running = asyncio.create_task(agent.run())
            await asyncio.sleep(WARM_UP)
            for share in shares:
                profiler = cProfile.Profile()
                with profiler if profile else contextlib.nullcontext():
                    line = await measure(agent, memory, share)
                print(f"{count:6} {line}", flush=True)
                if profile:
                    pstats.Stats(profiler).sort_stats("tottime").print_stats(45)
            agent.finish()
            await running

        def link(_: Endpoint) -> Link:
            return memory

        with patch.object(agents, "open_link", link):
            asyncio.run(run())
        alone = []
        for share in shares:
            memory.share = share
            alone.append(f"{link_alone(memory):.1f}")
        print(f"{count:6} the link alone: {', '.join(alone)} us a poll; the site alone: {started:.1f} MB", flush=True)


HEAD: Final = "  UPSes  moved  polls/s  us/poll    core  gap p99  lag p99  lag max   gc max    msg/s  RSS MB"


def test_what_a_poll_costs_the_agent() -> None:
    print(f"\n{HEAD}")
    for size in SIZES:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.bench_pipeline", str(size)],
            env=environment(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        print(done.stdout, end="")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--profile", type=float, default=None)
    parser.add_argument("--driver", default=DRIVER)
    parser.add_argument("--share", type=float, default=None)
    given = parser.parse_args()
    shares = SHARES if given.share is None else (given.share,)
    if given.profile is not None:
        shares = (given.profile,)
    print(HEAD)
    measured(given.count, shares, given.driver, profile=given.profile is not None)


if __name__ == "__main__":
    main()
