"""What 5,000 seats that report every 15 s cost the site host: the inbox, the link with the polls it answers, the wire.

Each seat has a workstation, a headset and a phone; in each report something is another figure than before. Parts are
measured in one run by the CPU of this process, and told as figures: nothing here waits or fails by the clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from edgeagent import driverfiles, resources
from edgeagent.broker import Broker
from edgeagent.catalog import Text
from edgeagent.config import Device
from edgeagent.devices import DeviceState
from edgeagent.endpoint import parse
from edgeagent.hearing import TOGETHER
from edgeagent.links.seats import SeatLink
from edgeagent.messages import stamp
from edgeagent.mqtt import Connection, Received
from edgeagent.poller import Poller
from edgeagent.readings import Answers
from edgeagent.seatinbox import SeatInbox
from tests.benchmarks.crowding import ANSWERS, INTERVAL
from tests.broker import Mosquitto, needs_mosquitto
from tests.rig import environment

SEATS: Final = 5_000
ROUNDS: Final = 4
PARTS: Final = ("workstation", "headset", "phone")
TOPIC: Final = "floor/v1/test/seat/{}/report"


def report(seat: int, turn: int, now: float) -> bytes:
    answers = {**ANSWERS, "cpu.percent": 20.0 + (seat + turn) % 40, "memory.percent": 50.0 + turn / 10}
    said = {"session": f"{seat:032x}", "seq": turn, "time": stamp(now), "machine": f"{seat:012x}", "answers": answers}
    return json.dumps(said).encode()


class Hall:
    """All seats with their devices, polled as the agent does, by a clock that a round moves."""

    def __init__(self) -> None:
        drivers = driverfiles.load([resources.drivers()]).drivers
        self.now, self.delivered = 1_000.0, 0
        self.seats = [f"s{number}" for number in range(SEATS)]
        self.inbox = SeatInbox(self.seats)
        self.gets = {part: frozenset(drivers[f"{part}/host"].gets) for part in PARTS}
        link = SeatLink(self.inbox, lambda: self.now)
        self.poller = Poller(lambda _: link, self._take, lambda: self.now)
        # So long an interval, that only what is asked for at once is asked at all.
        self.states = [
            DeviceState(
                Device(
                    f"{part}-{seat}", Text(seat, seat), drivers[f"{part}/host"], parse(f"seat://{seat}"), None,
                    3600.0, 3600.0, 2.0, {},
                )
            )
            for seat in self.seats for part in PARTS
        ]  # fmt: skip

    def _take(self, polled: list[tuple[DeviceState, Answers]]) -> None:
        self.delivered += len(polled)
        for state, answers in polled:
            state.take(answers, self.now)

    async def settled(self) -> None:
        """Wait until no answer comes any more."""
        seen = -1
        while seen != self.delivered:
            seen = self.delivered
            await asyncio.sleep(0.3)


def spent(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


async def measure() -> tuple[float, float, float]:
    """Return CPU s of the inbox, and of the polls that follow, for a report; and how many polls follow one."""
    hall = Hall()
    running = asyncio.create_task(hall.poller.run())
    hall.poller.watch(hall.states)
    await asyncio.sleep(1.5)
    await hall.settled()
    taking = polling = 0.0
    polls = 0
    for turn in range(ROUNDS):
        hall.now += INTERVAL
        payloads = [report(number, turn, hall.now) for number in range(SEATS)]
        changed: list[frozenset[str]] = []

        def take(payloads: list[bytes] = payloads, changed: list[frozenset[str]] = changed) -> None:
            changed += (
                hall.inbox.take(seat, "report", payload, hall.now, hall.now)
                for seat, payload in zip(hall.seats, payloads, strict=True)
            )
            hall.inbox.step(hall.now)

        spent_taking = spent(take)
        before, began = hall.delivered, time.process_time()
        for seat, addresses in zip(hall.seats, changed, strict=True):
            for part in PARTS:
                if not hall.gets[part].isdisjoint(addresses):
                    hall.poller.now(f"{part}-{seat}")
        await hall.settled()
        if turn:  # in the first one all is new
            taking, polling, polls = (
                taking + spent_taking, polling + time.process_time() - began, polls + hall.delivered - before
            )  # fmt: skip
    running.cancel()
    reports = SEATS * (ROUNDS - 1)
    assert hall.inbox.dropped(hall.now) == 0
    assert polls >= reports
    return taking / reports, polling / reports, polls / reports


def test_what_a_report_costs() -> None:
    taking, polling, polls = asyncio.run(measure())
    share = (taking + polling) * SEATS / INTERVAL
    print(f"\n{SEATS} seats, {len(PARTS)} devices each, a report every {INTERVAL:.0f} s, {polls:.1f} polls a report")
    print(
        f"inbox {taking * 1e6:.1f} us, link and polls, decoded, {polling * 1e6:.1f} us a report; {share:.1%} of a core"
    )


@needs_mosquitto
def test_what_the_wire_costs(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        cpu, messages, seconds = asyncio.run(listen(broker.port))
    print(f"\n{messages / seconds:.0f} reports/s over mosquitto: {cpu / messages * 1e6:.1f} us each to read one;")
    print(f"{cpu / seconds:.2%} of a core")
    assert messages > 0.8 * seconds * SEATS / INTERVAL


class _Ear:
    """Listens to all seats, and does nothing with what it hears."""

    def __init__(self, port: int) -> None:
        self.connection = Connection(Broker("127.0.0.1", port, client_id="ear"), self, rest=TOGETHER)
        self.ready, self.first = asyncio.Event(), asyncio.Event()
        self.heard = 0

    def on_connected(self, session_present: bool, maximum_packet_size: int | None) -> None:
        topics = [TOPIC.format(f"s{number}") for number in range(SEATS)]
        for first in range(0, SEATS, 200):
            self.connection.subscribe(topics[first : first + 200], qos=0, retained=False)
        self.ready.set()

    def on_disconnected(self, reason: str, code: int | None) -> None:
        pytest.fail(reason)

    def on_ack(self, mid: int, code: int, failure: bool) -> None:
        pass

    def on_message(self, message: Received) -> None:
        self.heard += 1
        self.first.set()


async def listen(port: int, seconds: float = 6.0) -> tuple[float, int, float]:
    """Return the CPU s, the reports and the time of some seconds of listening to all seats."""
    ear = _Ear(port)
    running = asyncio.create_task(ear.connection.run())
    await asyncio.wait_for(ear.ready.wait(), 10)
    speaker = await asyncio.create_subprocess_exec(sys.executable, __file__, str(port), env=environment())
    try:
        await asyncio.wait_for(ear.first.wait(), 20)
        await asyncio.sleep(1)
        heard, cpu, began = ear.heard, time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        found = time.process_time() - cpu, ear.heard - heard, time.monotonic() - began
    finally:
        speaker.terminate()
        await speaker.wait()
    running.cancel()
    await asyncio.wait([running])
    return found


def speak(port: int) -> None:
    """Report for all seats in turn, at their rate, until ended."""
    import socket

    from tests.seatcrowd import _packet, _publish, _text

    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(_packet(0x10, _text("MQTT") + b"\x05\x02\x00\x3c\x00" + _text("seats")))
        sock.recv(64)
        began, sent = time.monotonic(), 0
        while True:
            while sent < (time.monotonic() - began) * SEATS / INTERVAL:
                number = sent % SEATS
                payload = report(number, sent // SEATS, time.time())
                sock.sendall(_publish(TOPIC.format(f"s{number}"), payload, retain=False, expiry=45))
                sent += 1
            time.sleep(0.003)


if __name__ == "__main__":
    speak(int(sys.argv[1]))
