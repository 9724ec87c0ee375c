"""How soon a fault is told: found in an answer, in the fast lane, after a trap, and a thousand at once."""

from __future__ import annotations

import random
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgeagent import siteentries
from tests.benchmarks import peers
from tests.benchmarks.agent import Agent, agent, upses
from tests.benchmarks.bench import Bench, Delays, alternating, told_by_agent, told_by_collectd
from tests.benchmarks.ear import Ear
from tests.benchmarks.figures import Row, absent, row, share
from tests.benchmarks.site import BATTERY, SOURCE_SLOT, WARMTH_SLOT, SimulatedSite, address
from tests.broker import free_port


def faults(bench: Bench) -> Iterator[Row]:
    """Measure from the first answer that shows a fault until the subscriber has its message."""
    group, gone = "fault in an answer to PUBLISH, 1,000 UPSes at 1 s", peers.missing("collectd")
    alarms: list[Delays] = []
    readings: list[Delays] = []
    theirs: list[Delays] = []
    with SimulatedSite(bench.folder, "snmp", 1000) as site:
        for turn in range(bench.rounds):
            plan = alternating(range(turn, 1000, 12))
            with (
                bench.broker() as broker,
                agent(bench.place() / "site", broker, upses(site)) as it,
                Ear(broker, *it.topics([device for device, _ in plan])) as ear,
            ):
                time.sleep(bench.settle)
                for slot, found in ((SOURCE_SLOT, alarms), (WARMTH_SLOT, readings)):
                    wanted = [each for each in plan if each[1] == slot]
                    name = "agent, alarms" if slot == SOURCE_SLOT else "agent, readings"
                    found.append(bench.faults(name, site, ear, wanted, told=told_by_agent, lasting=bench.seconds))
            if not gone:
                with (
                    bench.broker() as broker,
                    peers.collectd(bench.place(), broker, peers.snmp_bundled(site)) as process,
                    Ear(broker, *(f"collectd/ups-{device}/#" for device, _ in plan)) as ear,
                ):
                    assert process
                    time.sleep(bench.settle)
                    theirs.append(
                        bench.faults("collectd", site, ear, plan, told=told_by_collectd, lasting=bench.seconds)
                    )
    for name, found, goal in (("agent, alarms", alarms, 3.0), ("agent, other readings", readings, 10.0)):
        yield row(group, f"{name}, p50", "ms", (share(each.answer, 0.5) for each in found if each.answer))
        yield row(group, f"{name}, p99", "ms", (each.p99()[1] for each in found), goal)
    yield row(group, "agent, never told", "", (each.lost for each in (*alarms, *readings)), 0)
    commits = [_commits(bench.place()) for _ in range(bench.rounds)]
    yield row(group, "one commit on this disk, p50", "ms", (share(each, 0.5) for each in commits))
    yield row(group, "one commit on this disk, p99", "ms", (share(each, 0.99) for each in commits))
    if gone:
        yield absent(group, "collectd", gone)
    else:
        yield row(group, "collectd bundled, p99", "ms", (each.p99()[1] for each in theirs))


def fast(bench: Bench) -> Iterator[Row]:
    """Measure faults of 200 UPSes with a fast lane for what alarms need, else with all of them polled so fast."""
    lane = "alarm_interval" in siteentries.DeviceEntry.model_fields
    settings = {"alarm_interval": 0.1} if lane else {}
    how = "alarm_interval 0.1 s beside 1 s" if lane else "all at 0.1 s for want of a fast lane"
    group, heard, cores = f"200 UPSes without traps, {how}", [], []
    with SimulatedSite(bench.folder, "snmp", 200) as site:
        for turn in range(bench.rounds):
            plan = [(device, SOURCE_SLOT) for device in range(turn, 200, 4)]
            devices = upses(site, "ups/bench", 1.0 if lane else 0.1, **settings)
            with (
                bench.broker() as broker,
                agent(bench.place() / "site", broker, devices) as it,
                Ear(broker, *it.topics([])) as ear,
            ):
                cores.append(bench.cost("agent, fast", it.process, site, 0.1))
                heard.append(bench.faults("faults", site, ear, plan, told=told_by_agent, lasting=bench.seconds))
    yield row(group, "agent, fault to PUBLISH p99", "ms", (each.p99()[0] for each in heard), 120)
    yield row(group, "agent, of a core", "%", (cost.core for cost in cores), 10)


def _commits(folder: Path, times: int = 200) -> list[float]:
    """Measure how long the disk takes for a commit as an alarm's, in ms: what no alarm can be told before."""
    database, found = sqlite3.connect(folder / "commits.db", isolation_level=None), list[float]()
    database.execute("PRAGMA journal_mode=wal")
    database.execute("PRAGMA synchronous=full")
    database.execute("CREATE TABLE rows (text)")
    for _ in range(times):
        begun = time.monotonic()
        database.execute("INSERT INTO rows VALUES (?)", ("x" * 1000,))
        found.append((time.monotonic() - begun) * 1000)
        time.sleep(0.005)
    database.close()
    return found


def trap(number: int) -> bytes:
    """Write an SNMPv2-Trap: sysUpTime, and upsTrapOnBattery (RFC 1628 §4) as snmpTrapOID."""
    uptime = _tlv(0x30, bytes.fromhex("06082b06010201010300") + _tlv(0x43, b"\x01\x00"))
    what = _tlv(6, bytes.fromhex("2b060102012102")[:7] + b"\x01")
    name = _tlv(0x30, bytes.fromhex("060a2b060106030101040100") + what)
    ident = _tlv(2, number.to_bytes(4, "big"))
    pdu = _tlv(0xA7, ident + b"\x02\x01\x00\x02\x01\x00" + _tlv(0x30, uptime + name))
    return _tlv(0x30, b"\x02\x01\x01" + _tlv(4, b"public") + pdu)


def _tlv(tag: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([tag, len(body)]) + body


@contextmanager
def _listening(bench: Bench, site: SimulatedSite) -> Iterator[tuple[Agent, Ear, int]]:
    port = free_port()
    traps = f'[traps]\nport = {port}\naddresses = ["127.0.0.1"]'
    with (
        bench.broker() as broker,
        agent(bench.place() / "site", broker, upses(site, interval=600.0), traps) as it,
        Ear(broker, *it.topics([])) as ear,
    ):
        time.sleep(2)
        yield it, ear, port


def _send(site: SimulatedSite, numbers: Sequence[int], port: int, apart: float) -> dict[int, float]:
    """Let devices go on battery and send a trap each; return when each trap left."""
    left, socks = {}, []
    for number in numbers:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind((address(number), 0))
        socks.append(sock)
        site.set(number, SOURCE_SLOT, BATTERY)
    time.sleep(0.2)
    for number, sock in zip(numbers, socks, strict=True):
        left[number] = time.monotonic()
        sock.sendto(trap(number + 1), ("127.0.0.1", port))
        if apart:
            time.sleep(apart * random.uniform(0.5, 1.5))
    for sock in socks:
        sock.close()
    return left


def _heard(bench: Bench, what: str, ear: Ear, left: dict[int, float], site: SimulatedSite) -> Delays:
    raised: dict[int, float] = {}
    for at, topic, payload in list(ear.heard):
        if "/event/alarm/" in topic and b'"raised"' in payload and (begin := payload.find(b'"ups-')) >= 0:
            name = payload[begin + 5 : payload.index(b".", begin)]
            raised.setdefault(int(name), at)
    told = [(raised[number] - at) * 1000 for number, at in left.items() if number in raised]
    polled = [
        (site.seen[number, SOURCE_SLOT] - at) * 1000
        for number, at in left.items()
        if (number, SOURCE_SLOT) in site.seen
    ]
    found = Delays(tuple(told), tuple(polled), len(left) - len(told))
    bench.keep(
        what, heard=len(told), polled=len(polled), publish_p50=share(told or [0.0], 0.5), publish_p99=found.p99()[0],
        answer_p99=share(polled or [0.0], 0.99), publish=found.fault, answer=found.answer,
    )  # fmt: skip
    return found


def traps(bench: Bench) -> Iterator[Row]:
    """Measure from a trap to the alarm that the poll it brings about finds: one at a time, and 2,000 at once."""
    group = "trap to PUBLISH of the alarm"
    idle, burst = [], []
    for _ in range(bench.rounds):
        with SimulatedSite(bench.folder, "snmp", 200) as site, _listening(bench, site) as (_, ear, port):
            left = _send(site, range(0, 200, 2), port, bench.seconds / 100)
            time.sleep(1)
            idle.append(_heard(bench, "traps, one at a time", ear, left, site))
        with SimulatedSite(bench.folder, "snmp", 2000) as site, _listening(bench, site) as (_, ear, port):
            left = _send(site, range(2000), port, 0)
            _until_told(ear, 2000)
            burst.append(_heard(bench, "traps, 2,000 at once", ear, left, site))
    yield row(group, "idle, p50", "ms", (share(each.fault or [0.0], 0.5) for each in idle))
    yield row(group, "idle, p99", "ms", (each.p99()[0] for each in idle), 3)
    yield row(group, "2,000 at once: devices never polled for it", "", (2000 - len(each.answer) for each in burst), 0)
    yield row(group, "2,000 at once: alarms never told", "", (each.lost for each in burst), 0)
    yield row(
        group,
        "2,000 at once: trap to the poll's answer, p99",
        "ms",
        (share(each.answer or [0.0], 0.99) for each in burst),
        60,
    )
    yield row(group, "2,000 at once: trap to PUBLISH of each alarm, p99", "ms", (each.p99()[0] for each in burst))


def _until_told(ear: Ear, wanted: int, pause: float = 8.0) -> None:
    """Wait until so many alarms are raised, or nothing more has been heard for a while."""
    heard, last = -1, time.monotonic()
    while time.monotonic() - last < pause:
        raised = sum(b'"raised"' in payload for _, _, payload in list(ear.heard))
        if raised >= wanted:
            return
        if raised != heard:
            heard, last = raised, time.monotonic()
        time.sleep(0.2)


def alarms(bench: Bench) -> Iterator[Row]:
    """Measure alarms that come all at once, at a thousand UPSes."""
    for count in (10, 1000):
        group, found, spent = f"{count:,} alarms at once, 1,000 UPSes at 1 s", [], []
        for _ in range(bench.rounds):
            with (
                SimulatedSite(bench.folder, "snmp", 1000) as site,
                bench.broker() as broker,
                agent(bench.place() / "site", broker, upses(site)) as it,
                Ear(broker, *it.topics([])) as ear,
            ):
                time.sleep(2)
                cpu, numbers = it.process.cpu(), range(0, 1000, 1000 // count)
                left = {number: site.set(number, SOURCE_SLOT, BATTERY) for number in numbers}
                _until_told(ear, count)
                spent.append((it.process.cpu() - cpu) * 1000)
                heard = _heard(bench, f"{count:,} alarms", ear, left, site)
                found.append(heard)
        yield row(group, "fault to PUBLISH, p99", "ms", (each.p99()[0] for each in found))
        yield row(group, "never told", "", (each.lost for each in found), 0)
