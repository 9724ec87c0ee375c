"""How a row is measured: what a poll costs whoever polls the site, and how long a fault takes to be heard."""

from __future__ import annotations

import math
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.ear import Ear
from tests.benchmarks.figures import share
from tests.benchmarks.peers import program, started
from tests.benchmarks.process import Process
from tests.benchmarks.site import BATTERY, SOURCE_SLOT, WARMTH_SLOT, SimulatedSite
from tests.broker import free_port, until

SETTLED: Final = 12.0
WARM: Final = 31
"""Cel that a battery shows in a fault that is no alarm; 25 else."""
_WELL: Final = {SOURCE_SLOT: 3, WARMTH_SLOT: 25}


@dataclass(frozen=True, slots=True)
class Cost:
    """What polling cost: us of CPU a poll, % of a core, MB, and |gap - interval| in ms."""

    poll: float
    core: float
    memory: float
    peak: float
    polls: float
    devices: float
    gap_p50: float
    gap_p99: float
    site: float
    """% of a core that the simulated site took."""
    wanted: float
    """Polls a second that were wanted."""

    @property
    def kept(self) -> Cost:
        """What it costs to keep up: no figure for one that makes less than 95 % of the polls."""
        never = math.inf
        return self if self.polls > 0.95 * self.wanted else replace(self, core=never, gap_p50=never, gap_p99=never)


@dataclass(frozen=True, slots=True)
class Delays:
    """How long faults took, ms: from the fault, and from the first answer with it, until it was heard."""

    fault: tuple[float, ...]
    answer: tuple[float, ...]
    lost: int

    def p99(self) -> tuple[float, float]:
        """Return both at their 99th percentile; nothing heard is for ever."""
        return (share(self.fault, 0.99), share(self.answer, 0.99)) if self.fault else (math.inf, math.inf)


@dataclass(slots=True)
class Bench:
    """One run of the benchmarks: its folder, how long and how often, and all raw figures."""

    folder: Path
    seconds: float = 8.0
    rounds: int = 3
    settle: float = SETTLED
    """s before it is measured what polling costs: in the first, all that there is is said and judged once."""
    raw: list[dict[str, Any]] = field(default_factory=list)
    say: Callable[[str], None] = print
    _number: int = 0

    def place(self) -> Path:
        """Return a fresh folder."""
        self._number += 1
        folder = self.folder / f"run-{self._number}"
        folder.mkdir()
        return folder

    def keep(self, what: str, **figures: Any) -> None:  # noqa: ANN401 - JSON
        """Keep raw figures and tell that they are there."""
        self.raw.append({"what": what, **figures})
        told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if isinstance(value, int | float))
        self.say(f"    {what}: {told}")

    @contextmanager
    def broker(self) -> Iterator[int]:
        """Run mosquitto without a log and without TLS, and yield its port."""
        folder, port = self.place(), free_port()
        own = "user root\n" if os.geteuid() == 0 else ""  # else it drops to a user that cannot read the folder
        # Else a small message waits for the acknowledgement of the one before it, 40 ms.
        settings = f"{own}set_tcp_nodelay true\nlistener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n"
        (folder / "mosquitto.conf").write_text(settings + "max_queued_messages 0\n")
        with started(folder, [program("mosquitto"), "-c", folder / "mosquitto.conf"]):
            until(lambda: _listening(port))
            yield port

    def cost(
        self, what: str, process: Process, site: SimulatedSite, interval: float = 1.0, settle: float | None = None,
        devices: int | None = None,
    ) -> Cost:  # fmt: skip
        """Measure what polling the site, or as many of its devices as there are to answer, costs for some seconds."""
        time.sleep(self.settle if settle is None else settle)
        site.reset()
        began, cpu, own = time.monotonic(), process.cpu(), site.cpu.cpu()
        time.sleep(self.seconds)
        cpu, own, lasted = process.cpu() - cpu, site.cpu.cpu() - own, time.monotonic() - began
        seen, memory = site.polls(interval), process.memory()
        found = Cost(
            cpu / max(1.0, seen["polls"]) * 1e6, cpu / lasted * 100, memory.now, memory.peak, seen["polls"] / lasted,
            seen["devices"], seen["p50"], seen["p99"], own / lasted * 100,
            (devices or site.devices) / interval,
        )  # fmt: skip
        self.keep(what, **asdict(found))
        return found.kept

    def faults(
        self, what: str, site: SimulatedSite, ear: Ear, plan: Sequence[tuple[int, int]], *,
        told: Callable[[int, int], Callable[[str, bytes], bool]], lasting: float, patience: float = 3.0,
        every: Mapping[int, int] | None = None,
    ) -> Delays:  # fmt: skip
        """Let (device, slot) go wrong one after another over some seconds, and hear when each is told."""
        wrong = every or {SOURCE_SLOT: BATTERY, WARMTH_SLOT: WARM}
        dice = random.Random(7)
        times = sorted(dice.uniform(0, lasting) for _ in plan)
        begun, at = {}, time.monotonic()
        for (device, slot), due in zip(plan, times, strict=True):
            time.sleep(max(0.0, at + due - time.monotonic()))
            begun[device, slot] = site.set(device, slot, wrong[slot])
        time.sleep(patience)
        fault, answer, lost = [], [], 0
        for (device, slot), since in begun.items():
            heard, seen = ear.first(since, told(device, slot)), site.seen.get((device, slot))
            if heard is None or seen is None:
                lost += 1
                continue
            fault.append((heard - since) * 1000)
            answer.append((heard - seen) * 1000)
        for device, slot in begun:
            if slot in _WELL:
                site.set(device, slot, _WELL[slot])
        time.sleep(patience)  # so that what is well again is no part of what comes next
        found = Delays(tuple(fault), tuple(answer), lost)
        by_fault, by_answer = found.p99()
        middle = share(answer, 0.5) if answer else math.inf
        self.keep(
            what, fault_p99=by_fault, answer_p50=middle, answer_p99=by_answer, heard=len(fault), lost=lost,
            fault=found.fault, answer=found.answer,
        )  # fmt: skip
        return found


def _listening(port: int) -> bool:
    wanted = f":{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(wanted) and row[3] == "0A" for row in rows)


def told_by_agent(device: int, slot: int) -> Callable[[str, bytes], bool]:
    """Recognise a fault in what the agent says: an alarm where the source changed, else a reading."""
    if slot == SOURCE_SLOT:
        alarm = f'"ups-{device}.on-battery"'.encode()
        return lambda topic, payload: "/event/alarm/" in topic and alarm in payload and b'"raised"' in payload
    end, value = f"/device/ups-{device}/state", re.compile(rb'"battery.temperature":%d\b' % WARM)
    return lambda topic, payload: topic.endswith(end) and value.search(payload) is not None


def told_by_collectd(device: int, slot: int) -> Callable[[str, bytes], bool]:
    """Recognise a fault in the message with all twenty values."""
    wanted, value = f"collectd/ups-{device}/snmp/bench", str({SOURCE_SLOT: BATTERY, WARMTH_SLOT: WARM}[slot]).encode()
    return lambda topic, payload: topic == wanted and payload.split(b":")[slot + 1] == value


def alternating(devices: Iterable[int]) -> list[tuple[int, int]]:
    """Let every other device have an alarm, and the rest another fault."""
    return [(device, (SOURCE_SLOT, WARMTH_SLOT)[place % 2]) for place, device in enumerate(devices)]
