"""What a drill leaves in the journal: its lines, written by `journal_of` and read back by `read`. Pure.

A drill's lines have kinds of their own: "drill" for what happened to it, "drill-alarm" and "drill-run" with the bodies
of real alarms and runs. That keeps the two apart: no report of real faults reads one of these, and none of drills a
real one. The lines at which a drill begins and ends hold its whole declaration, so nothing else is needed to judge it:
`drillreview.py` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edgeagent import survived
from edgeagent.alarmhistory import Line
from edgeagent.catalog import Text
from edgeagent.drill import Drill, DrillChange, DrillVerb, End, Outcome, Verdict
from edgeagent.readings import Value
from edgeagent.scenario import Do, Expectation, Inject

DRILL: Final = "drill"
ALARM: Final = "drill-alarm"
RUN: Final = "drill-run"
MOST: Final = 200
"""Devices that the line of one inject names; it counts them all."""
TURNS: Final = frozenset({DrillVerb.STARTED, DrillVerb.ENDED})
"""These lines hold the declaration."""
ENDS: Final[Mapping[End, Text]] = {
    End.COMPLETED: Text("completed", "按计划完成"),
    End.TIME: Text("ended when its time was up", "到达规定时间后结束"),
    End.STOPPED: Text("stopped by hand", "人工中止"),
    End.UNLED: Text("ended because nobody renewed it", "无人确认继续，自动终止"),
    End.REAL_ALARM: Text("broken off for a real alarm", "因真实告警中止"),
    End.REAL_RUN: Text("broken off for a real procedure", "因真实预案启动中止"),
    End.CONDITION: Text("broken off by its abort condition", "触发中止条件，自动中止"),
    End.BROKER: Text("broken off because the broker was away", "消息服务器中断，自动中止"),
    End.RESTART: Text("broken off by a restart of the agent", "代理重启，自动中止"),
    End.FAILED: Text("broken off by a fault of the agent", "程序故障，自动中止"),
    End.RELOAD: Text("broken off by another configuration", "配置变更，自动中止"),
}
"""How a drill ended, in words."""
_COUNTED: Final = (
    (Verdict.LATE, Text("{} late", "{} 项超时")),
    (Verdict.MISSED, Text("{} missed", "{} 项未达到")),
    (Verdict.BROKEN, Text("{} came that should not", "{} 项不应出现却出现")),
    (Verdict.UNJUDGED, Text("{} not judged", "{} 项未判定")),
    (Verdict.OPEN, Text("{} open", "{} 项待判定")),
)
_GOOD: Final = frozenset({Verdict.MET, Verdict.HELD})
_UNTOLD: Final = frozenset({Verdict.OPEN, Verdict.UNJUDGED})


@dataclass(frozen=True, slots=True)
class InjectWords:
    """One line of the timeline as it was declared. `at` and `over` are s of the scenario; see `scenario.Inject`."""

    at: float
    line: str
    do: Do
    over: float = 0.0
    point: str = ""
    value: Value | None = None
    start: float | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """What was declared when the drill was started. `started` and `ends` are epoch s."""

    scenario: str
    version: int
    text: Text
    purpose: Text
    procedure: str
    owner: str
    started: float
    ends: float
    confirmed_by: str = ""
    speed: float = 1.0
    scope: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    injects: tuple[InjectWords, ...] = ()
    expects: tuple[Expectation, ...] = ()
    aborts: tuple[str, ...] = ()

    def moment(self, at: float) -> float:
        """Return how far the scenario was at a moment (epoch s), s from its start."""
        return (at - self.started) * self.speed

    def clock(self, at: float) -> float:
        """Return what the drill's own clock said at a moment, epoch s: all its alarms and runs are told by it."""
        return self.started + self.moment(at)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a drill ended. `at` is epoch s."""

    at: float
    why: End
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of a drill read back. `outcomes` are those of all expectations by then."""

    drill: str
    verb: DrillVerb
    at: float
    text: Text
    by: str = ""
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    declared: Declaration | None = None
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A drill in brief: what was declared, how each expectation stands, and how it ended, None while it goes on."""

    drill_id: str
    declared: Declaration
    outcomes: tuple[Outcome, ...]
    ended: Ended | None

    @property
    def good(self) -> int:
        """How many expectations were met."""
        return sum(outcome.verdict in _GOOD for outcome in self.outcomes)

    @property
    def rehearsed(self) -> bool:
        """Tell whether it counts as a rehearsal: it went to its end, and its clocks were true."""
        if self.ended is None or self.declared.speed != 1.0:
            return False
        full = self.good == len(self.outcomes)
        return self.ended.why is End.COMPLETED or (self.ended.why is End.TIME and full)


def journal_of(change: DrillChange) -> dict[str, Any]:
    """Write a change as a line of the journal."""
    drill = change.drill
    end = None
    if drill.ended is not None and drill.end is not None:
        end = Ended(drill.ended, drill.end, drill.ended_by, drill.reason)
    line = Happening(
        drill.drill_id, change.verb, change.at, change.text, change.by, change.reason, _bounded(change.facts),
        drill.outcomes, _declaration(drill) if change.verb in TURNS else None, end,
    )  # fmt: skip
    return {name: each for name, each in survived.written(line).items() if name != "at"}


def read(line: Line) -> Happening | None:
    """Read a drill's line back; None for one that is none, or that nobody can read."""
    if line.kind != DRILL:
        return None
    try:
        return survived.read(Happening, {**line.body, "at": line.time})
    except ValueError:
        return None


def improves(note: Happening) -> bool:
    """Tell whether a note says what is to be done better: somebody shall do it, or until some day."""
    return any(note.facts.get(name) for name in ("improvement", "owner", "due"))


def held(lines: Iterable[Line]) -> tuple[Held, ...]:
    """Return the drills that these lines are about, oldest first; those whose declaration is lost are left out."""
    told: dict[str, list[Happening]] = {}
    for happening in read_all(lines):
        told.setdefault(happening.drill, []).append(happening)
    found = (brief(story) for story in told.values())
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.declared.started))


def read_all(lines: Iterable[Line]) -> Iterator[Happening]:
    """Read the lines of drills among others, in their order."""
    return (found for line in sorted(lines, key=lambda line: line.seq) if (found := read(line)) is not None)


def brief(story: Sequence[Happening]) -> Held | None:
    """Put a drill in brief; None where nothing of its story has the declaration."""
    declared = next((each.declared for each in story if each.declared is not None), None)
    if declared is None:
        return None
    ended = next((each.ended for each in story if each.ended is not None), None)
    outcomes = [Outcome() for _ in declared.expects]
    for each in story:  # what was judged stays so: a drill that ends with the agent is ended by one that saw nothing
        told = zip(outcomes, each.outcomes, strict=False)
        outcomes[: len(each.outcomes)] = [had if new.verdict in _UNTOLD else new for had, new in told]
    if ended is not None:  # what the end found open can be told no more
        outcomes = [
            replace(each, verdict=Verdict.UNJUDGED) if each.verdict is Verdict.OPEN else each for each in outcomes
        ]
    return Held(story[0].drill, declared, tuple(outcomes), ended)


def in_short(found: Held) -> Text:
    """Say in one line what came of a drill: what was met, what was not, how it ended."""
    total, counts = len(found.outcomes), Counter(outcome.verdict for outcome in found.outcomes)
    met = Text(f"{found.good} of {total} expectations met", f"{total} 项预期中 {found.good} 项达到")
    told = [met if total else Text("nothing was expected", "未设预期")]
    for verdict, text in _COUNTED:
        if count := counts[verdict]:
            told.append(Text(text.en.format(count), text.zh.format(count)))
    end = Text("not over yet", "尚未结束") if found.ended is None else ENDS[found.ended.why]
    return Text(f"{', '.join(each.en for each in told)}; {end.en}", f"{'、'.join(each.zh for each in told)}；{end.zh}")


def _declaration(drill: Drill) -> Declaration:
    scenario = drill.scenario
    return Declaration(
        scenario.id, scenario.version, scenario.text, scenario.purpose, scenario.procedure, drill.owner, drill.started,
        drill.ends, drill.confirmed_by, drill.speed, tuple(sorted(drill.scope)), tuple(sorted(drill.devices)),
        tuple(map(_words, scenario.timeline)), scenario.expects, tuple(each.line for each in scenario.aborts),
    )  # fmt: skip


def _words(inject: Inject) -> InjectWords:
    return InjectWords(inject.at, inject.line, inject.do, inject.over, inject.point, inject.value, inject.start)


def _bounded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts with no more devices than a line names."""
    if "devices" not in facts:
        return dict(facts)
    devices = sorted(map(str, facts["devices"]))
    return {**facts, "devices": devices[:MOST], "count": len(devices)}
