"""What else a site has: devices that speak SNMPv3 only, thousands of seats, and a host whose memory is small."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from edgeagent import endpoint
from tests.benchmarks import peers
from tests.benchmarks.agent import agent, upses
from tests.benchmarks.bench import Bench
from tests.benchmarks.ear import packet, text
from tests.benchmarks.figures import Row, absent, row
from tests.benchmarks.process import Process
from tests.benchmarks.site import OIDS, SimulatedSite, address
from tests.broker import free_port, until
from tests.rig import SITE, device

PYSNMP: Final = Path(__file__).with_name("pysnmppeer.py")
USER, AUTH, PRIV = "bench", "a long secret", "another long one"
SECRETS: Final = {"EDGEAGENT_SNMP_AUTH": AUTH, "EDGEAGENT_SNMP_PRIV": PRIV}
IN_PACKETS: Final = "1.3.6.1.2.1.11.1.0"
_SHOWN: Final = (3, 2, 0, 40, 100, 2180, 2, 25, 4, 500, 230, 231, 229, 500, 230, 82, 1800, 35, 230, 6)
INTERVAL: Final = 15.0
_SAID: Final = 45.0
"""s until all has been said for the first time, which the feed bounds; a site is measured as it is from then on."""
ANSWERS: Final = {
    "online": 1, "cpu.percent": 20.0, "memory.percent": 50.0, "memory.commit": 40.0, "disk.percent": 40.0, "nic.up": 1,
    "net.errors": 0, "clock.synced": 1, "boot.time": 1_760_000_000, "softphone": 1, "audio.capture": 1,
    "audio.render": 1, "headset.present": 1, "headset.link": "connected", "headset.battery": 80, "headset.charging": 0,
    "headset.vendor": "Jabra", "headset.model": "Jabra Link 390", "headset.firmware": "1.2.3",
    "headset.serial": "0123456789ab", "phone.registered": 1, "phone.reachable": 1, "phone.powered": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snmpd:
    """An snmpd that shows a UPS, over v2c and v3."""

    port: int

    def packets(self) -> int:
        """Return how many packets it has had, this question too."""
        command = ["snmpget", "-v2c", "-c", "public", "-Oqv", f"127.0.0.1:{self.port}", IN_PACKETS]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
        return int(done.stdout or 0)


@contextmanager
def snmpd(folder: Path) -> Iterator[Snmpd]:
    """Run the snmpd of the system on all loopback addresses."""
    port = free_port()
    shown = [f"override .{oid} integer {value}" for oid, value in zip(OIDS, _SHOWN, strict=True)]
    lines = ["rocommunity public", f'createUser {USER} SHA "{AUTH}" AES "{PRIV}"', f"rouser {USER} priv", *shown]
    (folder / "snmpd.conf").write_text("\n".join(lines) + "\n")
    command: list[str | Path] = [
        peers.program("snmpd"),
        "-f",
        "-Lo",
        "-C",
        "-c",
        folder / "snmpd.conf",
        "-p",
        folder / "pid",
    ]
    with peers.started(folder, [*command, f"udp:0.0.0.0:{port}"], SNMP_PERSISTENT_DIR=str(folder), MIBS=""):
        found = Snmpd(port)
        until(found.packets)
        yield found


def _polled(bench: Bench, what: str, process: Process, it: Snmpd) -> float:
    """Return the us of CPU that a process spends on a poll."""
    time.sleep(bench.settle)
    began, cpu = it.packets(), process.cpu()
    time.sleep(bench.seconds)
    cpu, polls = process.cpu() - cpu, it.packets() - began - 1
    bench.keep(what, poll=cpu / max(polls, 1) * 1e6, core=cpu / bench.seconds * 100, polls=polls / bench.seconds)
    return cpu / max(polls, 1) * 1e6


def v3(bench: Bench) -> Iterator[Row]:
    """Compare SNMPv3 with authentication and privacy (SHA-1, AES-128) with pysnmp by itself."""
    group, gone = "SNMPv3 authPriv, 20 objects, 200 UPSes at 1 s", peers.missing("snmpd")
    if gone:
        yield absent(group, "agent / pysnmp", gone, 0.02)
        return
    mine, theirs = [], []
    for _ in range(bench.rounds):
        folder = bench.place()
        with snmpd(folder) as it:
            devices = [
                device(
                    f"ups-{number}", "ups/bench",
                    f"snmp://{USER}@{address(number)}:{it.port}?version=3&auth=SHA-1&priv=AES-128", interval=1.0,
                )
                for number in range(200)
            ]  # fmt: skip
            with bench.broker() as broker, agent(folder / "site", broker, devices, **SECRETS) as ours:
                mine.append(_polled(bench, "agent, v3", ours.process, it))
            alone: list[str | Path] = [sys.executable, PYSNMP, str(it.port), USER, AUTH, PRIV, *OIDS]
            with peers.started(bench.place(), alone) as process:
                theirs.append(_polled(bench, "pysnmp, v3", process, it))
    yield row(group, "agent, CPU a poll", "us", mine)
    yield row(group, "pysnmp at its fastest, CPU a poll", "us", theirs)
    yield row(group, "agent / pysnmp", "", (one / other for one, other in zip(mine, theirs, strict=True)), 0.02)


def memory(bench: Bench) -> Iterator[Row]:
    """Measure what the agent holds with 200 UPSes, with and without pysnmp."""
    group = "memory, 200 UPSes at 1 s"
    own = "engine" in endpoint._KNOWN["snmp"][1]
    plain: list[float] = []
    loaded: list[float] = []
    peaks: list[float] = []
    with SimulatedSite(bench.folder, "snmp", 200) as site:
        where = f"{address(0)}:{site.port}"
        url = f"snmp://{where}?version=2c&community=public&engine=pysnmp" if own else f"snmp://{USER}@{where}?version=3"
        for _ in range(bench.rounds):
            devices = upses(site)
            for found, chosen in ((plain, devices), (loaded, [device("v3", "ups/bench", url, interval=1.0), *devices])):
                folder = bench.place()
                with bench.broker() as broker, agent(folder / "site", broker, chosen, **SECRETS) as it:
                    cost = bench.cost("agent, memory", it.process, site)
                    found.append(cost.memory)
            peaks.append(cost.peak)
    yield row(group, "agent, resident", "MB", plain)
    yield row(group, "agent with pysnmp loaded, resident", "MB", loaded, 48)
    yield row(group, "agent with pysnmp loaded, at most", "MB", peaks)


class Crowd:
    """All seats of a call centre over one connection. In each report something is another figure than before."""

    def __init__(self, port: int, seats: int) -> None:
        self._seats, self._over, self.sent = [f"s{number:04}" for number in range(1, seats + 1)], threading.Event(), 0
        self._socket = socket.create_connection(("127.0.0.1", port), 5)
        self._socket.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("crowd")))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        for place, seat in enumerate(self._seats):
            said = {"state": "online", "seq": 1, "reason": "start", "interval": INTERVAL, "version": "0"}
            self._publish(seat, place, "status", said, retain=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(5)
        self._socket.close()

    def _publish(self, seat: str, place: int, name: str, said: dict[str, object], *, retain: bool = False) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = json.dumps({"session": f"{place:032x}", "time": now, **said}).encode()
        self._socket.sendall(packet(0x31 if retain else 0x30, text(f"floor/v1/{SITE}/seat/{seat}/{name}") + body))

    def _run(self) -> None:
        due, pause = time.monotonic(), INTERVAL / len(self._seats)
        while not self._over.is_set():
            place, turn = self.sent % len(self._seats), self.sent // len(self._seats)
            answers = {**ANSWERS, "cpu.percent": 20.0 + (place + turn) % 40, "memory.percent": 50.0 + turn / 10}
            said = {"seq": turn + 2, "machine": f"{place:012x}", "answers": answers}
            self._publish(self._seats[place], place, "report", said)
            self.sent += 1
            due += pause
            if due - time.monotonic() > 0.02:
                time.sleep(due - time.monotonic())


def _range(seats: int) -> str:
    parts = [
        f'[seats.hall.parts.{part}]\ndriver = "{part}/host"\nurl = "seat://{{seat}}"'
        for part in ("workstation", "headset", "phone")
    ]
    return "\n".join([f'[seats.hall]\nrange = "s0001..s{seats:04}"', *parts])


def seats(bench: Bench) -> Iterator[Row]:
    """Measure seats that report every 15 s beside a thousand UPSes."""
    for count in (500, 5000):
        group, costs = f"{count:,} seats at 15 s beside 1,000 UPSes at 1 s", []
        with SimulatedSite(bench.folder, "snmp", 1000) as site:
            for _ in range(bench.rounds):
                folder = bench.place()
                with (
                    bench.broker() as broker,
                    Crowd(broker, count) as crowd,
                    agent(folder / "site", broker, upses(site), _range(count)) as it,
                ):
                    heard = crowd.sent
                    cost = bench.cost(f"agent, {count:,} seats", it.process, site, settle=_SAID)
                    costs.append(cost)
                    bench.keep("reports", sent=crowd.sent - heard)
        yield row(group, "agent, of a core", "%", (cost.core for cost in costs), 25 if count == 5000 else None)
        yield row(group, "agent, resident", "MB", (cost.memory for cost in costs))
        yield row(group, "agent, gap p99 of the UPSes", "ms", (cost.gap_p99 for cost in costs))
