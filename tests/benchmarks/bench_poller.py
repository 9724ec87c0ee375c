"""What dead devices cost the living: the gaps between polls with and without them, in one run.

Fifty UPSes answer over real SNMP from a process of their own; fifty more are ports that swallow every question.
Figures are compared within the run, never with a number from another machine.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pyasn1.codec.ber import decoder
from pysnmp.proto.api import v2c

from edgeagent import driverfiles, resources
from edgeagent.catalog import Driver, Text
from edgeagent.config import Device
from edgeagent.devices import DeviceState
from edgeagent.endpoint import Endpoint, parse
from edgeagent.links import Link, open_link
from edgeagent.poller import Poller
from edgeagent.readings import Answers
from edgeagent.simulator import SimulatedDevice, _tagged
from edgeagent.simulators.snmp import SnmpServer
from tests.rig import environment

ALIVE: Final = 50
DEAD: Final = 50
INTERVAL: Final = 1.0
TIMEOUT: Final = 2.0
WARM_UP: Final = 2.0
MEASURED: Final = 7.0
URL: Final = "snmp://127.0.0.1:{port}?version=2c&community=bench"


def driver() -> Driver:
    return driverfiles.load([resources.drivers()]).drivers["ups/rfc1628"]


def state(id: str, ups: Driver, port: int) -> DeviceState:
    endpoint = parse(URL.format(port=port))
    return DeviceState(Device(id, Text(id, id), ups, endpoint, None, INTERVAL, INTERVAL, TIMEOUT, ups.kind.alarms))


@contextmanager
def living() -> Iterator[list[int]]:
    """Serve the UPSes that answer and yield their ports."""
    with subprocess.Popen(
        [sys.executable, __file__], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.terminate()


@contextmanager
def deaf() -> Iterator[list[int]]:
    """Hold ports that take every question and answer none."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(DEAD)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        yield [int(each.getsockname()[1]) for each in sockets]


@dataclass(frozen=True)
class Figures:
    """What one phase showed: when each device was polled (s), the CPU of this process in s for so many polls."""

    name: str
    at: list[list[float]]
    cpu: float
    asked: int

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for at in self.at for earlier, later in pairwise(at)]

    @property
    def kept(self) -> float:
        """The share of the wanted polls that were made. One that comes late and is followed in time is not lost."""
        return len(self.gaps) / sum(max(len(at) - 1, round((at[-1] - at[0]) / INTERVAL)) for at in self.at)

    def __str__(self) -> str:
        errors = sorted(abs(gap - INTERVAL) for gap in self.gaps)
        parts = [errors[min(int(len(errors) * share), len(errors) - 1)] * 1000 for share in (0.5, 0.99, 1.0)]
        figures = " ".join(f"{part:8.1f}" for part in parts)
        return f"{self.name:20} {len(errors):6} {self.kept:6.1%} {figures} {self.cpu / self.asked * 1000:12.2f}"


class Count:
    """Takes what the poller delivers as the agent does, decoding included, and notes when."""

    def __init__(self) -> None:
        self.at: dict[str, list[float]] = defaultdict(list)
        self.asked = 0

    def take(self, polled: Iterable[tuple[DeviceState, Answers]]) -> None:
        now = time.monotonic()
        for state, answers in polled:
            self.asked += 1
            state.take(answers, now)
            if not state.misses:
                self.at[state.device.id].append(now)

    async def phase(self, name: str) -> Figures:
        await asyncio.sleep(WARM_UP)
        self.at.clear()
        self.asked = 0
        cpu = time.process_time()
        await asyncio.sleep(MEASURED)
        cpu = time.process_time() - cpu
        assert len(self.at) == ALIVE, "somebody was never polled"
        return Figures(name, [list(at) for at in self.at.values()], cpu, self.asked)


async def measure(ports: list[int], silent: list[int]) -> list[Figures]:
    ups, count, links = driver(), Count(), dict[str, Link]()
    tasks: list[asyncio.Task[None]] = []

    def link_of(endpoint: Endpoint) -> Link:
        if endpoint.medium not in links:
            links[endpoint.medium] = link = open_link(endpoint)
            tasks.append(asyncio.create_task(link.run()))
        return links[endpoint.medium]

    poller = Poller(link_of, count.take, time.monotonic)
    tasks.append(asyncio.create_task(poller.run()))
    poller.watch(state(f"alive-{place}", ups, port) for place, port in enumerate(ports))
    found = [await count.phase(f"{ALIVE} alive")]
    poller.watch(state(f"dead-{place}", ups, port) for place, port in enumerate(silent))
    found.append(await count.phase(f"{ALIVE} alive, {DEAD} dead"))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return found


def test_dead_devices_cost_the_living_nothing() -> None:
    with living() as ports, deaf() as silent:
        alone, beside = asyncio.run(measure(ports, silent))
    objects = len(driver().gets)
    print(f"\n{objects} objects and a walk a poll, {INTERVAL:.0f} s interval, {TIMEOUT:.0f} s time-out")
    print("|gap - interval|          gaps   kept   p50 ms   p99 ms   max ms  CPU ms/poll")
    print(alone, beside, sep="\n")
    for figures in (alone, beside):
        assert figures.kept >= 0.95


class Card(SnmpServer):
    """A card that answers at once: all remember each answer that one gave, and put the request's own id into it."""

    def __init__(self, device: SimulatedDevice, remembered: dict[bytes, bytes]) -> None:
        walks = set(device.driver.walks)
        super().__init__(
            {oid: _tagged(raw) for oid, raw in device.answers.items() if oid not in walks}, community="bench"
        )
        self._remembered = remembered

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        assert self._transport is not None
        key = without_id(data)
        answer = self._remembered.get(key)
        if answer is None:
            request, _ = decoder.decode(data, asn1Spec=v2c.Message())
            answer = self._remembered[key] = self._respond(request, old=False)
        begin, end = place_of_id(data)
        own, _ = place_of_id(answer)
        self._transport.sendto(answer[:own] + data[begin:end] + answer[own + end - begin :], address)


def place_of_id(message: bytes) -> tuple[int, int]:
    """Find the octets of the request-id, which follows the community and the tag and length of the PDU."""
    at = message.index(b"bench") + len(b"bench") + 1
    at += 1 + (message[at] & 0x7F if message[at] & 0x80 else 0)
    return at + 2, at + 2 + message[at + 1]


def without_id(message: bytes) -> bytes:
    begin, end = place_of_id(message)
    return message[:begin] + message[end:]


async def serve() -> None:
    ups, remembered = SimulatedDevice(driver()), dict[bytes, bytes]()
    cards = [Card(ups, remembered) for _ in range(ALIVE)]
    sys.stdout.write(" ".join([str(await card.start()) for card in cards]) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
