"""What a poll costs: over SNMP and Modbus, the agent beside its peers, from a hundred devices to ten thousand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks import peers
from tests.benchmarks.agent import agent, sensors, upses
from tests.benchmarks.bench import Bench, Cost, Delays, alternating, told_by_agent, told_by_collectd
from tests.benchmarks.ear import Ear
from tests.benchmarks.figures import Row, absent, row
from tests.benchmarks.site import SimulatedSite

MANY = 1000
DEAD = 0.1


def ours(
    bench: Bench, what: str, site: SimulatedSite, driver: str = "ups/bench", starts: list[float] | None = None
) -> Cost:
    """Measure the agent on a site of UPSes; `starts` takes the s until its first pass."""
    with bench.broker() as broker, agent(bench.place() / "site", broker, upses(site, driver)) as it:
        bench.keep(f"{what}, start", seconds=it.start)
        if starts is not None:
            starts.append(it.start)
        return bench.cost(what, it.process, site)


def collectd(bench: Bench, what: str, site: SimulatedSite, plugins: str) -> Cost:
    """Measure collectd on it."""
    with bench.broker() as broker, peers.collectd(bench.place(), broker, plugins) as process:
        return bench.cost(what, process, site)


@contextmanager
def ups_site(bench: Bench, devices: int, **options: float) -> Iterator[SimulatedSite]:
    """Run a site of UPSes."""
    with SimulatedSite(bench.folder, "snmp", devices, **options) as site:
        yield site


def snmp(bench: Bench) -> Iterator[Row]:
    """Compare a poll of twenty objects at a thousand UPSes."""
    group, mine, bundled, documented = "SNMP, 20 objects, 1,000 UPSes at 1 s", [], [], []
    gone, starts = peers.missing("collectd"), list[float]()
    with ups_site(bench, MANY) as site:
        for _ in range(bench.rounds):
            mine.append(ours(bench, "agent, 1,000", site, starts=starts))
            if not gone:
                bundled.append(collectd(bench, "collectd bundled, 1,000", site, peers.snmp_bundled(site)))
                documented.append(collectd(bench, "collectd documented, 1,000", site, peers.snmp_documented(site)))
    yield row(group, "agent, CPU a poll", "us", (cost.poll for cost in mine))
    for name, found, goal in (("bundled", bundled, 0.75), ("as documented", documented, 0.1)):
        if gone:
            yield absent(group, f"agent / collectd {name}", gone, goal)
            continue
        yield row(group, f"collectd {name}, CPU a poll", "us", (cost.poll for cost in found))
        ratios = (one.poll / other.poll for one, other in zip(mine, found, strict=True))
        yield row(group, f"agent / collectd {name}", "", ratios, goal)
    yield row(group, "agent, gap p99", "ms", (cost.gap_p99 for cost in mine))
    yield row(group, "agent, resident", "MB", (cost.memory for cost in mine))
    yield row(group, "agent, start to first pass", "s", starts, 3)


def others(bench: Bench) -> Iterator[Row]:
    """Tell what other tools take, and the agent where a driver walks too."""
    group = "SNMP, other tools"
    with ups_site(bench, 200) as site:
        found = [ours(bench, "agent, UPS-MIB with a walk, 200", site, "ups/rfc1628") for _ in range(bench.rounds)]
        yield row(group, "agent, 200 UPSes of the whole UPS-MIB with a walk, CPU a poll", "us", (x.poll for x in found))
        scraped = peers.missing("prometheus-snmp-exporter")
        if not scraped:
            exported = []
            for _ in range(bench.rounds):
                with peers.exporter(bench.place(), site) as process:
                    exported.append(bench.cost("snmp-exporter, 200", process, site))
            yield row(group, "prometheus-snmp-exporter, 200 UPSes, CPU a poll", "us", (x.poll for x in exported))
        else:
            yield absent(group, "prometheus-snmp-exporter", scraped)
    watched = peers.missing("snmp-ups", "upsd")
    if watched:
        yield absent(group, "NUT", watched)
        return
    with ups_site(bench, 20) as site:
        driven = []
        for _ in range(bench.rounds):
            with peers.nut(bench.place(), site) as process:
                driven.append(bench.cost("NUT, 20", process, site, 2.0))
    yield row(group, "NUT, 20 UPSes (polls every 2 s), CPU a poll", "us", (x.poll for x in driven))
    yield row(group, "NUT, resident, a UPS", "MB", (x.memory / 20 for x in driven))


def growth(bench: Bench) -> Iterator[Row]:
    """Show how it grows with the number of UPSes; a thousand are in `snmp`."""
    gone = peers.missing("collectd")
    for devices in (100, 10 * MANY):
        group, mine, theirs, starts = f"growth, {devices:,} UPSes at 1 s", [], [], list[float]()
        with ups_site(bench, devices) as site:
            for _ in range(bench.rounds):
                mine.append(ours(bench, f"agent, {devices:,}", site, starts=starts))
                if not gone:
                    theirs.append(collectd(bench, f"collectd bundled, {devices:,}", site, peers.snmp_bundled(site)))
        most = devices == 10 * MANY
        yield row(group, "agent, of a core", "%", (cost.core for cost in mine), 50 if most else None)
        yield row(group, "agent, CPU a poll", "us", (cost.poll for cost in mine))
        yield row(group, "agent, polls a second that are missing", "", (devices - cost.polls for cost in mine))
        yield row(group, "agent, gap p99", "ms", (cost.gap_p99 for cost in mine), 20 if most else None)
        yield row(group, "agent, resident", "MB", (cost.memory for cost in mine), 60 if most else None)
        yield row(group, "agent, start to first pass", "s", starts)
        if theirs:
            yield row(group, "collectd bundled, CPU a poll", "us", (cost.poll for cost in theirs))
            yield row(group, "collectd bundled, gap p99", "ms", (cost.gap_p99 for cost in theirs))


def modbus(bench: Bench) -> Iterator[Row]:
    """Compare a poll of sixty registers."""
    group, gone, mine, theirs = "Modbus TCP, 60 registers, 100 devices at 1 s", peers.missing("collectd"), [], []
    with SimulatedSite(bench.folder, "modbus", 100) as site:
        for _ in range(bench.rounds):
            with bench.broker() as broker, agent(bench.place() / "site", broker, sensors(site)) as it:
                mine.append(bench.cost("agent, Modbus", it.process, site))
            if not gone:
                theirs.append(collectd(bench, "collectd, Modbus", site, peers.modbus(site)))
    yield row(group, "agent, CPU a poll", "us", (cost.poll for cost in mine))
    if gone:
        yield absent(group, "agent / collectd", gone, 0.1)
        return
    yield row(group, "collectd, CPU a poll", "us", (cost.poll for cost in theirs))
    ratios = (one.poll / other.poll for one, other in zip(mine, theirs, strict=True))
    yield row(group, "agent / collectd", "", ratios, 0.1)
    yield row(group, "agent, gap p99", "ms", (cost.gap_p99 for cost in mine))


def dead(bench: Bench) -> Iterator[Row]:
    """Show what a tenth of the devices costs the others by being dead."""
    group, gone = "200 UPSes at 1 s, a tenth dead", peers.missing("collectd")
    living = [number for number in range(200) if int((number + 1) * DEAD) == int(number * DEAD)]
    plan = alternating(living[::4])
    well: list[tuple[Cost, Delays]] = []
    hurt: list[tuple[Cost, Delays]] = []
    theirs: list[tuple[Cost, Delays]] = []
    for _ in range(bench.rounds):
        for share, found in ((0.0, well), (DEAD, hurt)):
            with ups_site(bench, 200) as site, bench.broker() as broker:
                site.dead(share)
                with (
                    agent(bench.place() / "site", broker, upses(site)) as it,
                    Ear(broker, *it.topics([device for device, _ in plan])) as ear,
                ):
                    cost = bench.cost(
                        f"agent, {share:.0%} dead", it.process, site, devices=len(living) if share else 200
                    )
                    heard = bench.faults(
                        "faults", site, ear, plan, told=told_by_agent, lasting=bench.seconds, patience=4.0
                    )
                    found.append((cost, heard))
        if not gone:
            with ups_site(bench, 200) as site, bench.broker() as broker:
                site.dead(DEAD)
                with (
                    peers.collectd(bench.place(), broker, peers.snmp_bundled(site)) as process,
                    Ear(broker, *(f"collectd/ups-{device}/#" for device, _ in plan)) as ear,
                ):
                    cost = bench.cost("collectd, 10% dead", process, site, devices=len(living))
                    heard = bench.faults(
                        "faults", site, ear, plan, told=told_by_collectd, lasting=bench.seconds, patience=6.0
                    )
                    theirs.append((cost, heard))
    yield row(group, "agent, healthy devices' gap p99", "ms", (cost.gap_p99 for cost, _ in hurt), 20)
    pairs = zip(hurt, well, strict=True)
    ratios = (one.p99()[0] / other.p99()[0] for (_, one), (_, other) in pairs)
    yield row(group, "agent, fault to PUBLISH p99, against none dead", "", ratios, 1.05)
    yield row(group, "agent, polls of the healthy a second, of 180", "", (cost.polls for cost, _ in hurt))
    if gone:
        yield absent(group, "collectd", gone)
        return
    yield row(group, "collectd, healthy devices' gap p99", "ms", (cost.gap_p99 for cost, _ in theirs))
    yield row(group, "collectd, fault to PUBLISH p99", "ms", (heard.p99()[0] for _, heard in theirs))
    yield row(group, "collectd, faults never told in 6 s", "", (heard.lost for _, heard in theirs))
    yield row(group, "collectd, polls of the healthy a second, of 180", "", (cost.polls for cost, _ in theirs))


def rough(bench: Bench) -> Iterator[Row]:
    """Show what a slow network that loses packets does: 50 ms there and back, one answer in fifty lost."""
    group, gone = "200 UPSes at 1 s, answers 50 ms late, 2 % lost", peers.missing("collectd")
    mine: list[tuple[Cost, Delays]] = []
    theirs: list[tuple[Cost, Delays]] = []
    alarms: list[int] = []
    plan = alternating(range(0, 200, 4))
    with ups_site(bench, 200, delay=50, loss=0.02) as site:
        for _ in range(bench.rounds):
            with (
                bench.broker() as broker,
                agent(bench.place() / "site", broker, upses(site)) as it,
                Ear(broker, *it.topics([device for device, _ in plan])) as ear,
            ):
                cost = bench.cost("agent, rough", it.process, site)
                mine.append((cost, bench.faults("faults", site, ear, plan, told=told_by_agent, lasting=bench.seconds)))
                alarms.append(it.log.count(".unreachable ("))
            if not gone:
                with (
                    bench.broker() as broker,
                    peers.collectd(bench.place(), broker, peers.snmp_bundled(site)) as process,
                    Ear(broker, *(f"collectd/ups-{device}/#" for device, _ in plan)) as ear,
                ):
                    cost = bench.cost("collectd, rough", process, site)
                    theirs.append(
                        (cost, bench.faults("faults", site, ear, plan, told=told_by_collectd, lasting=bench.seconds))
                    )
    yield row(group, "agent, polls a second, of 200", "", (cost.polls for cost, _ in mine))
    yield row(group, "agent, fault to PUBLISH p99", "ms", (heard.p99()[0] for _, heard in mine))
    yield row(group, "agent, faults never told", "", (heard.lost for _, heard in mine), 0)
    yield row(group, "agent, devices called unreachable", "", alarms)
    if gone:
        yield absent(group, "collectd", gone)
        return
    yield row(group, "collectd, polls a second, of 200", "", (cost.polls for cost, _ in theirs))
    yield row(group, "collectd, fault to PUBLISH p99", "ms", (heard.p99()[0] for _, heard in theirs))
    yield row(group, "collectd, faults never told", "", (heard.lost for _, heard in theirs))
