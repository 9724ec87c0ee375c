"""A drill played second by second: what the two lanes tell, what people ask, clocks that are served on time."""

# ruff: noqa: ANN401 - facts of alarms and words of commands are of many types

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from edgeagent.alarm import Alarm, Change, Silence, Suppression, Verb
from edgeagent.catalog import Severity, Text
from edgeagent.drill import Drill, DrillChange, DrillVerb
from edgeagent.drills import Drills, Start
from edgeagent.procedure import Phase
from edgeagent.rules import parse
from edgeagent.run import Run, RunChange, RunState, RunVerb
from edgeagent.scenario import Abort, Do, DrillSettings, Expectation, Inject, Planned, Scenario, What, Who
from edgeagent.steady import Trouble
from tests.duty import BASE, CHINA, blank

TITLE = Text("Mains outage, generator starts well", "市电断电，发电机正常启动")
EXPECTED = (
    Expectation(What.ALARM, "mains.mains-lost", "by 0:45 alarm mains.mains-lost", by=45),
    Expectation(What.RUN, "outage", "by 0:50 run outage", by=50),
    Expectation(What.STEP, "outage", "by 10:10 step outage/ups-carries", "ups-carries", by=610),
    Expectation(What.ACK, "outage", "by 3:00 ack outage", by=180),
    Expectation(What.CLEARED, "mains-lost", "by 9:30 cleared mains-lost", by=570),
    Expectation(What.RECOVERED, "outage", "by 12:00 recovered outage", by=720),
    Expectation(What.CLOSED, "outage", "by 20:00 closed outage", by=1200),
    Expectation(What.ALARM, "failed-to-start", "never alarm failed-to-start", never=True),
)
OUTAGE = Scenario(
    "outage-good-start", 1, TITLE, TITLE, "outage", 1500,
    timeline=(
        Inject(10, Who("ups"), Do.SET, "at 0:10 every ups source = battery", "source", "battery"),
        Inject(
            480, Who("ups"), Do.RAMP, "at 8:00 every ups battery.charge -> 60 over 1:00", "battery.charge", 60,
            over=60,
        ),
    ),
    expects=EXPECTED,
    aborts=(Abort("environment", parse("temperature > 32"), "any environment temperature > 32"),),
)  # fmt: skip
ALARMS_ONLY = replace(OUTAGE, expects=(EXPECTED[0], EXPECTED[-1]), timeline=OUTAGE.timeline[:1])
TALK = replace(OUTAGE, expects=(), timeline=())
SCOPE, DEVICES = ("mains", "panel"), ("ups-a", "ups-b")
PLANNED = tuple(
    Planned(number, inject.at, device, inject.do) for number, inject in enumerate(OUTAGE.timeline) for device in DEVICES
)
LED = Start("Lin", "Wang")
EXPLAINED = Suppression(Silence.BY_DESIGN, "system", "mains")


def alarm(id: str, severity: Severity = Severity.MAJOR, **facts: Any) -> Alarm:
    """Make an alarm that stands."""
    return replace(blank(id), perceived_severity=severity, is_cleared=False, raise_count=1, **facts)


def change(verb: Verb, record: Alarm, second: float) -> Change:
    return Change(verb, record, None, BASE + second)


def run(procedure: str = "outage", run_id: str = "", state: RunState = RunState.OPEN, **facts: Any) -> Run:
    name = Text(procedure, f"{procedure} 预案")
    return Run(
        run_id or f"drill-{procedure}", procedure, 1, "site", name, name, name, state, Phase.RESPONSE, BASE, BASE, (),
        **facts,
    )  # fmt: skip


class Scene:
    """Rules of drills under what happens. Seconds are from BASE, which is when the usual drill starts."""

    def __init__(self, scenario: Scenario = OUTAGE, settings: DrillSettings | None = None) -> None:
        self.drills = Drills(settings or DrillSettings())
        self.scenario = scenario
        self.told: list[DrillChange] = []

    def take(self, changes: list[DrillChange]) -> list[DrillChange]:
        self.told += changes
        return changes

    def at(self, second: float) -> None:
        """Serve all clocks up to a second."""
        for _ in range(1000):
            due = self.drills.next_due()
            if due is None or due > BASE + second:
                return
            self.take(self.drills.step(due))
        raise AssertionError("clocks never come to rest")

    def start(self, second: float = 0.0, asked: Start = LED, steady: tuple[Trouble, ...] = ()) -> list[DrillChange]:
        now = BASE + second
        local = datetime.fromtimestamp(now, CHINA)
        return self.take(self.drills.start(asked, self.scenario, SCOPE, DEVICES, steady, now, local))

    def ask(self, second: float, verb: str, *words: Any, **more: Any) -> list[DrillChange]:
        """Let somebody ask for something, or the agent tell something."""
        self.at(second)
        changes: list[DrillChange] = getattr(self.drills, verb)(*words, now=BASE + second, **more)
        return self.take(changes)

    def lead(self, until: float, begin: float = 0.0) -> None:
        """Renew the drill every four minutes as long as it runs."""
        second = begin + 240.0
        while second <= until:
            self.at(second)
            if self.drills.current is None:
                return
            self.ask(second, "renew", "Lin")
            second += 240.0
        self.at(until)

    def drill_alarm(self, second: float, id: str, verb: Verb = Verb.RAISED, **facts: Any) -> list[DrillChange]:
        """Let the drill lane tell of an alarm."""
        record = replace(alarm(id), is_cleared=verb is Verb.CLEARED, origin="d", **facts)
        return self.ask(second, "drilled", [change(verb, record, second)], [])

    def drill_run(self, second: float, verb: RunVerb, by: str = "system", step: str = "", **facts: Any) -> None:
        """Let the drill lane tell of its run."""
        state = {RunVerb.CLOSED: RunState.CLOSED, RunVerb.RECOVERING: RunState.RECOVERING}.get(verb, RunState.OPEN)
        own = run(state=state, origin="d", **facts)
        self.ask(second, "drilled", [], [RunChange(verb, own, BASE + second, own.text, by, step)])

    def story(self, *verbs: DrillVerb) -> list[str]:
        """Write changes down: "45 missed by 0:45 alarm mains.mains-lost", "300 ended unled"."""
        told = [each for each in self.told if not verbs or each.verb in verbs]
        return [f"{each.at - BASE:.0f} {each.verb.value} {_about(each)}".strip() for each in told]


def _about(told: DrillChange) -> str:
    if told.verb is DrillVerb.ENDED:
        return str(told.drill.end)
    if told.verb in (DrillVerb.MET, DrillVerb.MISSED, DrillVerb.BROKEN):
        return f"{told.facts['verdict']} {told.facts['line']}"
    return str(told.facts.get("line", ""))


def on(scene: Scene) -> Drill:
    drill = scene.drills.current
    assert drill is not None
    return drill


def over(scene: Scene) -> Drill:
    assert scene.drills.current is None
    drill = scene.drills.last
    assert drill is not None
    return drill


def started(scene: Scene | None = None) -> Scene:
    scene = scene or Scene()
    scene.start()
    return scene
