"""What a drill costs: a pass of the live lane alone and with a drill beside it, and how long its start holds the loop.

All devices are UPSes of a true driver, polled in one turn, of which a tenth reads otherwise than before. Ledger, store
and feed are the real ones; nothing is sent. Ratios are of one run. CPU is that of this thread: the store's writer and
the thread that builds the drill's lane work beside it; the loop's longest gap meanwhile is in wall time.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

import pytest

from edgeagent import procedurefiles, resources, steady, targets
from edgeagent.config import Site
from edgeagent.drill import Drill
from edgeagent.readings import Answers
from edgeagent.rehearsal import Rehearsal, Standing, prepared
from edgeagent.scenario import Do, DrillPlans, DrillSettings, Inject, Scenario, Who
from edgeagent.sitetree import MAINS
from tests.cornersite import MODELS, answered
from tests.hall import CATALOG, Plan
from tests.play import with_real
from tests.stage import LEAD, TITLE, Stage

T = TypeVar("T")
PASSES: Final = 12
TWO: Final = (Who("", ("ups-00000",)), Who("", ("ups-00001",)))
ALL: Final = (Who("ups"),)


def scenario(id: str, who: Iterable[Who], *, ramp: bool = False) -> Scenario:
    injects = [
        Inject(0.0, each, Do.SET, f"at 0:00 {id} {point}", point, value)
        for each in who
        for point, value in (("output.voltage", 200.0), ("battery.temperature", 24.0))
    ]
    if ramp:
        injects += [
            Inject(0.0, each, Do.RAMP, f"at 0:00 {id} ramp", "battery.charge", 60.0, 100.0, 240.0) for each in who
        ]
    return Scenario(id, 1, TITLE, TITLE, "outage", timeline=tuple(injects))


SCENARIOS: Final = (scenario("two", TWO), scenario("all", ALL), scenario("ramp", ALL, ramp=True))


def power(count: int) -> Site:
    """Build a site of UPSes behind one panel."""
    plan = (
        Plan(drivers={"ups": CATALOG.drivers[MODELS["ups"]]}).add("mains", MAINS).add("panel", "panel", fed=["mains"])
    )
    for number in range(count):
        plan.add(f"ups-{number:05}", "ups", fed=["panel"])
    site = plan.site()
    procedures = procedurefiles.load([resources.examples() / "procedures"], CATALOG, site.tree.nodes)
    drills = DrillPlans(DrillSettings(), {each.id: each for each in SCENARIOS})
    return replace(site, id="test", procedures=procedures, drills=drills)


class Turns(Stage):
    """A stage whose devices are polled all at once. `live` and `drill` are the CPU of each pass, s."""

    def prepare(self) -> None:
        self.live: list[float] = []
        self.drill: list[float] = []
        self.wire.connected, self.turns = False, 0
        driver = CATALOG.drivers[MODELS["ups"]]
        self.images = answered(driver, "well"), with_real(driver, {"output.load": 50})
        self.said: dict[str, Answers] = dict.fromkeys(self.states, self.images[0])

    def turn(self) -> None:
        """Poll all devices; every tenth reads otherwise than the last time."""
        self.now += 1.0
        self.turns += 1
        for place, id in enumerate(self.states):
            if place % 10 == self.turns % 10:
                self.said[id] = self.images[self.said[id] is self.images[0]]
        began = time.thread_time()
        polled = [(state, self.said[id]) for id, state in self.states.items()]
        changed = [(state.device.id, point) for state, answers in polled for point in state.take(answers, self.now)]
        self.enter(self.lane.step(changed, list(self.states), self.now))
        between = time.thread_time()
        self.drills.take(polled, changed, self.now)
        self.live.append(between - began)
        self.drill.append(time.thread_time() - between)


def timed(do: Callable[[], T]) -> tuple[float, T]:
    """Return how many ms a thing took of this thread, and what it gave."""
    began = time.thread_time()
    given = do()
    return (time.thread_time() - began) * 1000, given


async def longest_gap(of: asyncio.Task[None]) -> float:
    """Return the longest time in ms for which the loop did not turn until a task was done."""
    longest, last = 0.0, time.monotonic()
    while not of.done():
        await asyncio.sleep(0)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return longest * 1000


async def measure(path: Path, count: int, name: str) -> str:
    it = Turns(power(count), path)
    it.prepare()
    it.ledger.restore(it.now)
    for _ in range(2):
        it.turn()
    gc.collect()
    gc.freeze()
    it.live.clear()
    for _ in range(PASSES):
        it.turn()
    alone = median(it.live)
    held, _ = timed(lambda: it.ask("drill-start", scenario=name, **LEAD))
    assert it.drills._preparing is not None
    gap = await longest_gap(it.drills._preparing)
    it.turn()
    first = it.drill[-1]
    it.live.clear()
    it.drill.clear()
    for _ in range(PASSES):
        it.turn()
    assert it.running is not None
    beside, drill = median(it.live), median(it.drill)
    end, _ = timed(lambda: it.ask("drill-stop"))
    it.store.close()
    gc.unfreeze()
    return (
        f"{count:6} {name:5} {alone * 1000:9.1f} {beside * 1000:9.1f} {drill * 1000:9.1f} {drill / alone:7.2f}"
        f" {first * 1000:9.1f} {held:9.1f} {gap:9.1f} {end:9.1f}"
    )


def parts(site: Site, path: Path) -> Mapping[str, float]:
    """Return the CPU in ms of what a start is made of."""
    path.mkdir()

    async def run() -> dict[str, float]:
        it = Turns(site, path)
        it.prepare()
        it.ledger.restore(it.now)
        it.turn()
        it.turn()
        gc.collect()
        gc.freeze()  # as the agent does after its first pass
        found: dict[str, float] = {}
        found["plan"], planned = timed(lambda: targets.plan(SCENARIOS[1], site))
        devices = frozenset(each.device for each in planned)
        found["scope"], scope = timed(lambda: targets.scope(SCENARIOS[1], site, planned))
        lane = it.lane
        found["steady"], _ = timed(
            lambda: steady.check(lane.records(), lane.procedures.runs(), lane.view, scope, devices, site)
        )
        found["standing"], standing = timed(lambda: Standing.of(lane))
        found["prepared (thread)"], own = timed(lambda: prepared(site, standing, it.now))
        drill = replace(_drill(it), devices=devices)
        drivers = {id: it.states[id].driver for id in devices}
        found["Rehearsal"], rehearsal = timed(lambda: Rehearsal(drill, own, planned, drivers, lane.view))
        found["first step"], _ = timed(lambda: rehearsal.step((), (), it.now))
        it.store.close()
        gc.unfreeze()
        return found

    return asyncio.run(run())


def _drill(it: Stage) -> Drill:
    return Drill("all-1", SCENARIOS[1], "li", "wang", it.now, it.now + 1800, it.now + 300)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("edgeagent").setLevel(logging.CRITICAL)


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_what_a_start_is_made_of(tmp_path: Path, count: int) -> None:
    found = parts(power(count), tmp_path / "parts")
    print(f"\n{count} devices, all drilled; ms of CPU:", ", ".join(f"{name} {ms:.1f}" for name, ms in found.items()))


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_what_a_drill_adds_to_a_pass(tmp_path: Path, count: int) -> None:
    print(
        "\nms: a pass of the live lane alone, beside a drill, the drill's part and its ratio to the first; the drill's"
    )
    print(
        "first pass, what its start and its end take at once, and the longest gap of the loop while its lane is built"
    )
    print(" devices         alone    beside     drill   ratio     first     start       gap      stop")
    for name in ("two", "all", "ramp"):
        (tmp_path / name).mkdir()
        print(asyncio.run(measure(tmp_path / name, count, name)))
