"""A site under a drill, played second by second: real answers, the overlay, both lanes, and people who do their part.

The devices hold what a simulated device of their driver holds and never change: whatever is wrong comes from the drill.
People do what the scenario expects of them in time, and leave out the steps that are named `late`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Final

import orjson

from edgeagent import ledger, resources, sitefiles, targets
from edgeagent.alarm import Change
from edgeagent.config import Site
from edgeagent.devices import DeviceState
from edgeagent.drill import Drill, DrillChange, DrillVerb
from edgeagent.drills import Drills, Start
from edgeagent.faultrecord import journal_of
from edgeagent.forecast import Forecast
from edgeagent.lane import Lane, Outcome
from edgeagent.overlay import Overlay
from edgeagent.procedure import Ticked
from edgeagent.procedures import Procedures
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.rehearsal import Rehearsal, Standing, prepared
from edgeagent.run import RunChange, StepState
from edgeagent.scenario import DrillSettings, Scenario, What
from edgeagent.simulator import SimulatedDevice
from edgeagent.store import Entry

BEGIN: Final = 1_795_543_800.0
"""2026-11-25 02:10:00 in China."""
CHINA: Final = timezone(timedelta(hours=8))
LEADER: Final = "王班长"
SEATS: Final = tuple(f"a{number:03}" for number in range(1, 41))
_CALM: Final = 90.0
"""s before the drill in which all devices are read and nothing is wrong."""
_EARLY: Final = 15.0
"""s before its target at which people do a thing."""
_SERVICES: Final = {
    "acd": ("service/acd", "service+tcp://192.0.2.60:5060", "ACD", "话务系统"),
    "crm": ("service/http", "service+https://192.0.2.61/health", "CRM", "客户关系管理系统"),
    "softphone": ("service/sip", "service+sip://192.0.2.62", "Softphone service", "软电话服务"),
}
Due = Mapping[tuple[What, str, str], float]
"""By when the scenario expects what of which step of which procedure, s."""


def load_site(folder: Path) -> Site:
    """Load the example site with services that are polled, and a workstation and a headset at each seat."""
    folder.mkdir(parents=True)
    shipped = (resources.examples() / "site.toml").read_text(encoding="utf-8")
    site = re.sub(r"\[services\.\w+\]\n(?:\w.*\n)+", "", shipped)
    (folder / "site.toml").write_text(site, encoding="utf-8")
    tables = [
        f'[devices.{id}]\nname = {{ en = "{en}", zh = "{zh}" }}\ndriver = "{driver}"\nurl = "{url}"\n'
        'connected_by = ["core"]\n'
        for id, (driver, url, en, zh) in _SERVICES.items()
    ]
    tables += [
        f'[devices.{seat}-{part}]\nname = {{ en = "{en} {seat}", zh = "{seat} {zh}" }}\n'
        f'driver = "{part}/host"\nurl = "seat://{seat}"\nseat = "{seat}"\n'
        for seat in SEATS
        for part, en, zh in (("workstation", "Workstation", "电脑"), ("headset", "Headset", "耳机"))
    ]
    (folder / "floor.toml").write_text("\n".join(tables), encoding="utf-8")
    return sitefiles.load(folder, resources.drivers())


def healthy(state: DeviceState) -> Answers:
    """Return what a poll of a healthy device of this kind brings."""
    driver = state.device.driver
    held = SimulatedDevice(driver).answers
    rows = {oid: raw for oid, raw in held.items() if oid.startswith(tuple(f"{root}." for root in driver.walks))}
    counts: dict[str, Raw] = {root: sum(oid.startswith(f"{root}.") for oid in rows) for root in driver.walks}
    return {**held, **{address: held.get(address, Missing.ABSENT) for address in driver.gets}, **rows, **counts}


@dataclass
class Told:
    """All that one lane told."""

    alarms: list[Change] = field(default_factory=list)
    runs: list[RunChange] = field(default_factory=list)
    forecasts: list[Forecast] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)

    def take(self, outcome: Outcome, lane: Lane, now: float) -> None:
        self.alarms += outcome.changes
        self.runs += outcome.runs
        if (forecast := lane.foresee(now)) is not None:
            self.forecasts.append(forecast)
        for alarm in outcome.changes:
            self._write("alarm", alarm.at, ledger._journal(alarm))
        for run in outcome.runs:
            self._write("run", run.at, journal_of(run, lane.procedures.definition(run.run)))

    def _write(self, kind: str, at: float, body: Mapping[str, object]) -> None:
        """Write a line down as it comes back from the disk."""
        self.journal.append(Entry(kind, at, orjson.loads(orjson.dumps(body)), len(self.journal) + 1))


class Played:
    """One scenario on one site. `live` and `told` are what the two lanes told from the start of the drill on."""

    def __init__(self, site: Site, scenario: Scenario) -> None:
        self.site, self.scenario = site, scenario
        self.lane, self.now = Lane(site), BEGIN - _CALM
        self.states = {id: DeviceState(device) for id, device in site.devices.items()}
        images: dict[int, Answers] = {}
        self.answers: dict[str, Answers] = {}
        for name, state in self.states.items():
            self.answers[name] = images.setdefault(id(state.driver), healthy(state))
            self.lane.view[name] = state.readings
        self.next = {name: self.now + number % 7 for number, name in enumerate(self.states)}
        self.live, self.told, self.changes = Told(), Told(), list[DrillChange]()
        self.drills = Drills(DrillSettings())
        self.rehearsal: Rehearsal | None = None
        self.fate: Overlay | None = None
        self.late: frozenset[str] = frozenset()
        self.due: Due = {
            (expected.what, expected.name, expected.step): expected.by
            for expected in scenario.expects
            if not expected.never
        }

    @property
    def drill(self) -> Drill:
        """The drill, whether it runs or has ended."""
        drill = self.drills.current or self.drills.last
        assert drill is not None
        return drill

    def play(self, *, late: Iterable[str] = ()) -> Drill:
        """Play the whole scenario."""
        self.late = frozenset(late)
        while self.now < BEGIN:
            self._second()
        self.live = Told()
        planned = targets.plan(self.scenario, self.site)
        scope = targets.scope(self.scenario, self.site, planned)
        devices = frozenset(each.device for each in planned)
        local = datetime.fromtimestamp(self.now, CHINA)
        asked = Start("林悦", LEADER)
        self.changes += self.drills.start(asked, self.scenario, scope, devices, [], self.now, local)
        lane = prepared(self.site, Standing.of(self.lane), self.now)
        drivers = {id: self.states[id].driver for id in devices}
        self.rehearsal = Rehearsal(self.drill, lane, planned, drivers, self.lane.view)
        while (drill := self.drills.current) is not None:
            self._second()
            if drill.renew_by - self.now < _CALM:
                self.changes += self.drills.renew(drill.owner, self.now)
            self._people(lane, drill.moment(self.now), real=False)
        return self.drill

    def live_through(self) -> list[Entry]:
        """Let it really happen instead, and return what the journal has of it."""
        while self.now < BEGIN:
            self._second()
        self.live = Told()
        self.fate = Overlay(
            targets.plan(self.scenario, self.site), {id: state.driver for id, state in self.states.items()}
        )
        while self.now < BEGIN + self.scenario.duration:
            self._second()
            self._people(self.lane, self.now - BEGIN, real=True)
        return self.live.journal

    def _second(self) -> None:
        """Poll what is due; the live lane comes first."""
        polled: list[tuple[DeviceState, Answers]] = []
        changed: list[tuple[str, str]] = []
        for id, due in self.next.items():
            if due <= self.now:
                state, answers = self.states[id], self.answers[id]
                if self.fate is not None:
                    answers = self.fate.apply(id, state.driver, answers, self.now - BEGIN)
                changed += ((id, point) for point in state.take(answers, self.now))
                polled.append((state, answers))
                self.next[id] = self.now + (state.interval(hasten=False) if self.fate else state.device.interval)
        self.live.take(self.lane.step(changed, [state.device.id for state, _ in polled], self.now), self.lane, self.now)
        if self.rehearsal is not None:
            done = self.rehearsal.step(polled, changed, self.now)
            self.next |= {id: min(self.next[id], self.now + seconds) for id, seconds in done.again}
            self.changes += self.drills.injected(done.due, self.now)
            for planned, why in done.failed:
                self.changes += self.drills.failed(planned, why, self.now)
            self._judge(done.outcome, self.rehearsal.lane)
            self.changes += self.drills.step(self.now)
        self.now += 1.0

    def _judge(self, outcome: Outcome, lane: Lane) -> None:
        """Let the drill be judged by what bears its mark; the rest of its lane is what is really so."""
        self.told.take(outcome, lane, self.now)
        alarms = [change for change in outcome.changes if change.alarm.origin is not None]
        runs = [change for change in outcome.runs if change.run.origin is not None]
        self.changes += self.drills.drilled(alarms, runs, self.now)

    # -- people -----------------------------------------------------------------------------------------------

    def _people(self, lane: Lane, moment: float, *, real: bool) -> None:
        """Let people do what is nearly due: acknowledge, tick."""
        by = moment + _EARLY
        for run_id in [id for id, run in lane.procedures.runs().items() if (run.origin is None) is real]:
            run = lane.procedures.runs()[run_id]
            if by >= self.due.get((What.ACK, run.procedure, ""), by + 1) and not (run.over or run.acked_by):
                self._ask(lane, partial(Procedures.ack, run_id=run_id, by=LEADER, now=self.now))
            for step in run.steps:
                if self._acts(lane.procedures, run_id, step.id, by):
                    done = partial(Procedures.done, run_id=run_id, step=step.id, by=LEADER, note="", now=self.now)
                    self._ask(lane, done)

    def _ask(self, lane: Lane, command: Callable[[Procedures], list[RunChange]]) -> None:
        outcome = lane.ask_runs(command)
        if lane is self.lane:
            self.live.take(outcome, lane, self.now)
        else:
            self._judge(outcome, lane)

    def _acts(self, procedures: Procedures, run_id: str, step: str, by: float) -> bool:
        run = procedures.runs()[run_id]
        says = next(each for each in procedures.definition(run).steps if each.id == step)
        ready = run.the(step).state is StepState.READY
        if run.over or not ready or says.ticked is Ticked.READING or step in self.late:
            return False
        # What is expected of nobody is done with the last of what is: a run closes when all its steps are settled.
        last = max((at for (_, name, _), at in self.due.items() if name == run.procedure), default=0.0)
        return by >= self.due.get((What.STEP, run.procedure, step), last)

    # -- what came of it --------------------------------------------------------------------------------------

    def verdicts(self) -> dict[str, str]:
        """Return how each expectation came out, by its line."""
        outcomes = zip(self.scenario.expects, self.drill.outcomes, strict=True)
        return {expected.line: outcome.verdict.value for expected, outcome in outcomes}

    def failures(self) -> list[str]:
        """Return what devices could not be made to show."""
        return [change.text.en for change in self.changes if change.verb is DrillVerb.INJECT_FAILED]

    def story(self) -> list[str]:
        """Write down what the lane told that it happened on: "20 raised mains.mains-lost unack"."""
        lane = self.live if self.fate is not None else self.told
        told = [(each.at, f"{each.verb} {each.alarm.alarm_id} {each.alarm.state}") for each in lane.alarms]
        told += [(each.at, f"{each.verb} {each.run.run_id} {each.step}") for each in lane.runs]
        return [f"{at - BEGIN:7.1f} {line}" for at, line in sorted(told)]
