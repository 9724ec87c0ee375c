"""What an echo costs the agent, with poller, link and decoding, beside the bare system calls of it, in one run."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from typing import Final

from edgeagent import driverfiles, resources
from edgeagent.catalog import Driver, Text
from edgeagent.config import Device
from edgeagent.devices import DeviceState
from edgeagent.endpoint import parse
from edgeagent.links.echo import open_wire
from edgeagent.links.icmp import IcmpLink
from edgeagent.poller import Poller
from edgeagent.readings import Answers
from tests.netns import Namespace, floor, needs_namespaces

HOSTS: Final = 5_000
INTERVAL: Final = 5.0
MEASURED: Final = 15.0
CADENCE: Final = 15.0
"""s between two echoes to a host where nothing else is said."""


def name(number: int) -> str:
    return f"10.98.{1 + number // 250}.{1 + number % 250}"


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime + used.ru_stime


def bare() -> float:
    """Return the s that one echo costs when one thread does nothing but send and receive."""
    wire = open_wire(socket.AF_INET, 1)
    with wire.sock as sock:
        sock.setblocking(True)
        began = spent()
        for number in range(HOSTS):
            sock.sendto(wire.question(b"benchday", number), (name(number), 0))
            wire.receive()
        return (spent() - began) / HOSTS


async def polled(driver: Driver) -> tuple[float, int]:
    """Return the s that one echo costs the agent, and how many hosts did not answer."""
    counts = {"ok": 0, "lost": 0}

    def deliver(came: list[tuple[DeviceState, Answers]]) -> None:
        for state, answers in came:
            state.take(answers, time.time())
            counts["ok" if state.readings["echo"].value is True else "lost"] += 1

    link = IcmpLink()
    poller = Poller(lambda _: link, deliver, time.time)
    text = Text("D", "D")
    poller.watch(
        DeviceState(
            Device(f"d{number}", text, driver, parse(f"icmp://{name(number)}"), None, INTERVAL, INTERVAL, 2.0, {})
        )
        for number in range(HOSTS)
    )
    tasks = [asyncio.create_task(link.run()), asyncio.create_task(poller.run())]
    await asyncio.sleep(2.0)
    began, before = spent(), counts["ok"]
    await asyncio.sleep(MEASURED)
    cost = (spent() - began) / (counts["ok"] - before)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return cost, counts["lost"]


def beyond(site: Namespace, seats: Namespace) -> None:
    """Put the hosts behind a router, as those of other rooms are."""
    site.run("ip route add 10.98.0.0/16 via 10.99.0.2")
    seats.run("ip route add local 10.98.0.0/16 dev lo")


@needs_namespaces
def test_five_thousand_hosts_cost_little_more_than_their_echoes() -> None:
    driver = driverfiles.load([resources.drivers()]).drivers["presence/icmp"]
    with floor("10.99.0.2") as (site, seats):
        beyond(site, seats)
        least = site.call(bare)
        cost, lost = site.tell(polled(driver))
    share = cost * HOSTS / CADENCE
    print(f"\n{cost * 1e6:.0f} µs an echo, {least * 1e6:.0f} bare; {HOSTS} at {CADENCE:.0f} s: {share:.2%} of a core")
    assert lost == 0
    assert cost < 8 * least
