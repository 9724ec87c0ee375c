"""Journals with drills in them, written by hand: a drill told change by change, with the alarms and runs it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from edgeagent import drillrecord
from edgeagent.catalog import Text
from edgeagent.drill import Drill, DrillChange, DrillVerb, End, Outcome, Verdict
from edgeagent.run import Evidence, RunState, RunVerb
from edgeagent.scenario import Do, Expectation, Inject, Scenario, What, Who
from tests.journals import BASE, OUTAGE, Journal, Story, both

DRILL: Final = "outage-good-start-20261125-0830"
SCENARIO: Final = Scenario(
    "outage-good-start", 2, both("Mains outage, generator starts well", "市电断电，发电机正常启动"),
    both("Everybody knows the way", "熟悉断电处置流程"), "outage", 1500.0,
    timeline=(
        Inject(10, Who("ups"), Do.SET, "at 0:10 every ups source = battery", "source", "battery"),
        Inject(
            10, Who("ups"), Do.RAMP, "at 0:10 every ups battery.charge = 100 -> 60 over 8:00", "battery.charge", 60.0,
            100.0, 480.0,
        ),
        Inject(60, Who(names=("ups-a",)), Do.MISSING, "at 1:00 ups-a battery.runtime = missing", "battery.runtime"),
        Inject(540, Who("ups"), Do.RELEASE, "at 9:00 every ups released"),
        Inject(1400, Who(names=("genset",)), Do.SILENT, "at 23:20 genset silent"),
    ),
    expects=(
        Expectation(What.ALARM, "mains.mains-lost", "by 0:45 alarm mains.mains-lost", by=45),
        Expectation(What.RUN, "outage", "by 0:50 run outage", by=50),
        Expectation(What.ACK, "outage", "by 1:00 ack outage", by=60),
        Expectation(What.STEP, "outage", "by 3:00 step outage/notify", "notify", 180),
        Expectation(What.RECOVERED, "outage", "by 12:00 recovered outage", by=720),
        Expectation(What.ALARM, "failed-to-start", "never alarm failed-to-start", never=True),
    ),
)  # fmt: skip
LOST: Final = both("Mains lost", "市电断电")


class Told(Journal):
    """The part of a journal that a drill writes: kinds of its own, and its id in each line. s count from its start."""

    def __init__(
        self, journal: Journal, drill_id: str = DRILL, at: float = 0.0, scenario: Scenario = SCENARIO,
        **more: Any,  # noqa: ANN401 - fields of Drill
    ) -> None:  # fmt: skip
        self.lines, self.at = journal.lines, at
        started = BASE + at
        self.drill = Drill(
            drill_id, scenario, "林玥", "陈经理", started, started + scenario.duration, started + 300,
            frozenset({"mains", "ups-a", "ups-b", "genset"}), frozenset({"ups-a", "ups-b", "genset"}),
            outcomes=tuple(Outcome() for _ in scenario.expects), **more,
        )  # fmt: skip
        self.tell(0, DrillVerb.STARTED, by="林玥")

    def put(self, kind: str, at: float, body: Mapping[str, Any]) -> None:
        if kind != "drill":
            kind, body = f"drill-{kind}", {**body, "drill": self.drill.drill_id}
        super().put(kind, at, body)

    def tell(self, at: float, verb: DrillVerb, by: str = "", reason: str = "", **facts: Any) -> Told:  # noqa: ANN401
        change = DrillChange(verb, BASE + self.at + at, self.drill, Text(str(verb), str(verb)), by, reason, facts)
        self.put("drill", self.at + at, drillrecord.journal_of(change))
        return self

    def injected(self, at: float, number: int, *devices: str) -> Told:
        line = self.drill.scenario.timeline[number].line
        return self.tell(at, DrillVerb.INJECTED, number=number, line=line, devices=devices)

    def failed(self, at: float, number: int, device: str, why: str) -> Told:
        line = self.drill.scenario.timeline[number].line
        return self.tell(at, DrillVerb.INJECT_FAILED, reason=why, number=number, line=line, devices=[device])

    def judged(self, at: float, number: int, verdict: Verdict, of: str = "", by: str = "system") -> Told:
        moment = None if verdict is Verdict.MISSED else BASE + self.at + at
        outcomes = list(self.drill.outcomes)
        outcomes[number] = Outcome(verdict, moment, of, by)
        self.drill = replace(self.drill, outcomes=tuple(outcomes))
        verbs = {Verdict.MISSED: DrillVerb.MISSED, Verdict.BROKEN: DrillVerb.BROKEN}
        return self.tell(at, verbs.get(verdict, DrillVerb.MET), by, expectation=number)

    def ended(self, at: float, why: End = End.COMPLETED, by: str = "system", reason: str = "") -> Told:
        open_as = {True: Verdict.HELD, False: Verdict.UNJUDGED}
        outcomes = tuple(
            replace(each, verdict=open_as[want.never and why is End.COMPLETED])
            if each.verdict is Verdict.OPEN
            else each
            for want, each in zip(self.drill.scenario.expects, self.drill.outcomes, strict=True)
        )
        self.drill = replace(
            self.drill, outcomes=outcomes, ended=BASE + self.at + at, end=why, ended_by=by, reason=reason
        )
        return self.tell(at, DrillVerb.ENDED, by, reason)

    def noted(self, at: float, text: str, by: str = "王工", **facts: str) -> Told:
        return self.tell(at, DrillVerb.NOTED, by, text, **facts)


def drilled(journal: Journal, drill_id: str = DRILL, at: float = 0.0, *, ack: float = 70.0) -> Told:
    """Tell a drill of an outage: the alarm in time, the acknowledgement late, an appliance forgotten, a stray alarm."""
    told = Told(journal, drill_id, at)
    told.injected(10.2, 0, "ups-a", "ups-b").injected(10.2, 1, "ups-a", "ups-b")
    told.failed(10.3, 1, "ups-b", "battery.charge cannot be written back")
    told.alarm(at + 14, "raised", "mains.mains-lost", LOST, "critical")
    told.alarm(at + 14, "raised", "ups-a.on-battery", both("UPS A on battery", "UPS A 电池供电"), state="suppressed")
    told.judged(14, 0, Verdict.MET, "mains.mains-lost")
    story = told.run(
        OUTAGE, f"{drill_id}-run", onset=at + 10.2, started=at + 15, summary=LOST, alarms=("mains.mains-lost",),
        origin=drill_id,
    )  # fmt: skip
    told.judged(15, 1, Verdict.MET, f"{drill_id}-run")
    story.done(at + 20, "ups-carries", "system", evidence=(Evidence("ups-a", "source", "battery"),))
    told.injected(60, 2, "ups-a").judged(60.1, 2, Verdict.MISSED)
    story.acked(at + ack, "林玥")
    told.judged(ack, 2, Verdict.LATE, f"{drill_id}-run", "林玥")
    told.alarm(at + 72, "acknowledged", "mains.mains-lost", LOST, "critical", by="林玥", announced=BASE + at + 14.5)
    story.done(at + 100, "notify", "林玥")
    told.judged(100, 3, Verdict.MET, f"{drill_id}-run", "林玥")
    story.skipped(at + 150, "hall-cooling-off", "演练中不关闭空调", "林玥")
    told.alarm(at + 200, "raised", "genset.fuel-low", both("Fuel low", "燃油不足"), "minor")
    told.noted(300, "广播听不清")
    story.overdue(at + 310.2, "appliances-off")
    story.done(at + 490, "generator-carries", "system")
    told.injected(540, 3, "ups-a", "ups-b")
    told.alarm(at + 570, "cleared", "mains.mains-lost", LOST, "critical")
    story.recovering(at + 600)
    told.judged(600, 4, Verdict.MET, f"{drill_id}-run")
    told.ended(1210)
    aborted(story, at + 1210.1)
    return told.noted(5000, "给大厅加一只喇叭", owner="王工", due="2026-12-31")


def aborted(story: Story, at: float) -> None:
    """End a run as the end of its drill does."""
    story.set(ended=BASE + at, state=RunState.ABORTED)
    story.tell(at, RunVerb.ABORTED, both("Aborted", "已中止"), reason="end of exercise")
