"""What the feed says of drills: the notice on the live lane, the drill's progress on its own, one event a change. Pure.

The notice is the one thing of a drill that the live lane carries: who reads that lane alone knows from it that one is
on, and of what. Every text has the mark of a drill. Lists are bounded; what is left out is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Literal

from typing_extensions import TypedDict

from edgeagent import messages
from edgeagent.catalog import Text
from edgeagent.drill import Drill, DrillChange, DrillVerb, End, Outcome, Verdict
from edgeagent.drillrecord import ENDS
from edgeagent.drilltexts import BY, REASON, maybe
from edgeagent.exercisemark import marked
from edgeagent.messages import Message, Mode, Tree, stamp, stamped
from edgeagent.runtexts import filled
from edgeagent.scenario import Expectation

MOST: Final = 100
"""Entries of each list at the most."""
TYPE: Final = "exercise"
"""The family of the events, and the last level of the retained topic."""
WENT: Final = frozenset({End.COMPLETED, End.TIME})
"""Ends of a drill that went all its way; any other one cut it short."""
VERDICTS: Final[Mapping[Verdict, Text]] = {
    Verdict.OPEN: Text("open", "待判定"),
    Verdict.MET: Text("met", "达到"),
    Verdict.LATE: Text("late", "超时"),
    Verdict.MISSED: Text("missed", "未达到"),
    Verdict.HELD: Text("did not come, as it should", "未出现（符合预期）"),
    Verdict.BROKEN: Text("came and should not", "不应出现却出现"),
    Verdict.UNJUDGED: Text("not judged", "未判定"),
}
_GOOD: Final = (Verdict.MET, Verdict.HELD)
_UNDER_WAY: Final = Text("under way: {title}, led by {owner}", "进行中：{title}，负责人 {owner}")
_OVER: Final = Text("over: {title}, {end}{by}; {judged}{reason}", "已结束：{title}，{end}{by}；{judged}{reason}")
_JUDGED: Final = Text("{good} of {all} expectations met", "{all} 项预期中 {good} 项达到")
_UNEXPECTED: Final = Text("nothing was expected", "未设预期")
_NONE: Final = Text("none is on", "当前没有演练")


class ExerciseEnded(TypedDict):
    """How a drill came out. `counts` are its expectations by verdict; `short_text` is the one line for a screen."""

    drill_id: str
    scenario: str
    title: str
    titles: dict[str, str]
    procedure: str
    owner: str
    started: str
    ended: str | None
    end: str | None
    by: str
    reason: str
    counts: dict[str, int]
    short_text: str
    texts: dict[str, str]


class ExerciseNotice(TypedDict):
    """The payload of `exercise` on the live lane: which drill is on, if any, and how the last one came out.

    Times are RFC 3339. What belongs to a running drill is null or empty while there is none. `devices` are those of
    which the drill lane shows what is not so; what the live lane says of them is real.
    """

    state: Literal["running", "none"]
    drill_id: str | None
    scenario: str | None
    title: str
    titles: dict[str, str]
    procedure: str | None
    owner: str
    confirmed_by: str
    scope: list[str]
    scope_omitted: int
    devices: list[str]
    devices_omitted: int
    started: str | None
    ends: str | None
    renew_by: str | None
    short_text: str
    texts: dict[str, str]
    last: ExerciseEnded | None
    time: str
    mode: str


class ExpectationRecord(TypedDict):
    """One expectation and how it stands. `by` and `came` are s from the start of the scenario, `at` RFC 3339."""

    line: str
    what: str
    name: str
    step: str
    never: bool
    by: float
    verdict: str
    at: str | None
    came: float | None
    of: str
    operator: str


class InjectRecord(TypedDict):
    """What is shown next: how it is written, and when, in s from the start and as RFC 3339."""

    line: str
    moment: float
    at: str


class ExerciseProgress(ExerciseNotice):
    """The payload of `exercise` on the drill lane, and the answer of `drill-status`. `moment` is how far it is, s."""

    exercise_id: str | None
    version: int | None
    purposes: dict[str, str]
    speed: float
    moment: float | None
    injects: int
    injects_done: int
    next: InjectRecord | None
    counts: dict[str, int]
    expectations: list[ExpectationRecord]
    expectations_omitted: int


class ExerciseTold(TypedDict):
    """The data of an exercise event. `facts` are those of the journal; `ended` is there with the last event alone."""

    drill_id: str
    scenario: str
    procedure: str
    verb: str
    moment: float
    by: str
    reason: str
    facts: Mapping[str, Any]
    ends: str
    renew_by: str
    ended: ExerciseEnded | None
    short_text: str
    texts: dict[str, str]


def notice(drill: Drill | None, last: Drill | None, language: str, now: float) -> ExerciseNotice:
    """Say on the live lane which drill is on, and how the `last` one ended."""
    return _notice(drill, last, language, now, Mode.LIVE)


def progress(drill: Drill | None, last: Drill | None, language: str, now: float) -> ExerciseProgress:
    """Say on the drill lane how far the drill is and how its expectations stand; without one, how the last ended."""
    said = _notice(drill, last, language, now, Mode.DRILL)
    if drill is None:
        return {
            **said, "exercise_id": None, "version": None, "purposes": {}, "speed": 1.0, "moment": None, "injects": 0,
            "injects_done": 0, "next": None, "counts": {}, "expectations": [], "expectations_omitted": 0,
        }  # fmt: skip
    scenario, moment = drill.scenario, drill.moment(now)
    following = min((each for each in scenario.timeline if each.at > moment), key=lambda each: each.at, default=None)
    judged = list(zip(scenario.expects, _outcomes(drill), strict=False))
    return {
        **said,
        "exercise_id": drill.drill_id,
        "version": scenario.version,
        "purposes": marked(scenario.purpose),
        "speed": drill.speed,
        "moment": round(moment, 1),
        "injects": len(scenario.timeline),
        "injects_done": min(drill.done, len(scenario.timeline)),
        "next": None if following is None else {
            "line": following.line, "moment": following.at, "at": stamp(drill.when(following.at)),
        },
        "counts": counts(drill),
        "expectations": [_expectation(drill, expectation, outcome) for expectation, outcome in judged[:MOST]],
        "expectations_omitted": max(0, len(judged) - MOST),
    }  # fmt: skip


def ended(drill: Drill, language: str) -> ExerciseEnded:
    """Say how a drill came out."""
    texts, titles = marked(over(drill)), marked(drill.scenario.text)
    return {
        "drill_id": drill.drill_id,
        "scenario": drill.scenario.id,
        "title": titles[language],
        "titles": titles,
        "procedure": drill.scenario.procedure,
        "owner": drill.owner,
        "started": stamp(drill.started),
        "ended": stamped(drill.ended),
        "end": drill.end,
        "by": drill.ended_by,
        "reason": drill.reason,
        "counts": counts(drill),
        "short_text": texts[language],
        "texts": texts,
    }


def told(change: DrillChange, language: str) -> ExerciseTold:
    """Build the data of the event that tells a change."""
    drill, texts = change.drill, marked(change.text)
    return {
        "drill_id": drill.drill_id,
        "scenario": drill.scenario.id,
        "procedure": drill.scenario.procedure,
        "verb": change.verb,
        "moment": round(drill.moment(change.at), 1),
        "by": change.by,
        "reason": change.reason,
        "facts": dict(change.facts),
        "ends": stamp(drill.ends),
        "renew_by": stamp(drill.renew_by),
        "ended": ended(drill, language) if change.verb is DrillVerb.ENDED else None,
        "short_text": texts[language],
        "texts": texts,
    }


def event(change: DrillChange, tree: Tree, language: str, boot: int, seq: int, now: float, id: str = "") -> Message:
    """Build the event of a change, on the drill lane. `seq` is a number of the drill's own, not of the live events."""
    drill = change.drill
    return messages.event(
        tree, tree.event(TYPE, drill.scenario.id, Mode.DRILL), f"{TYPE}.{change.verb}", drill.drill_id, change.at,
        told(change, language), boot=boot, seq=seq, born=now, mode=Mode.DRILL, exercise=drill.drill_id, id=id,
    )  # fmt: skip


def counts(drill: Drill) -> dict[str, int]:
    """Count the expectations of a drill by verdict; verdicts that none has are left out."""
    found = Counter(outcome.verdict for outcome in _outcomes(drill))
    return {verdict.value: found[verdict] for verdict in Verdict if found[verdict]}


def over(drill: Drill) -> Text:
    """Say in one line how a drill ended and what came of it."""
    outcomes = _outcomes(drill)
    good = sum(outcome.verdict in _GOOD for outcome in outcomes)
    judged = _JUDGED.format(good=good, all=len(outcomes)) if outcomes else _UNEXPECTED
    end = Text("", "") if drill.end is None else ENDS[drill.end]
    by = maybe(BY, by=drill.ended_by if drill.end is End.STOPPED else "")
    reason = maybe(REASON, reason=drill.reason)
    return filled(_OVER, title=drill.scenario.text, end=end, by=by, judged=judged, reason=reason)


def _notice(drill: Drill | None, last: Drill | None, language: str, now: float, mode: Mode) -> ExerciseNotice:
    line = _NONE if last is None else over(last)
    if drill is not None:
        line = filled(_UNDER_WAY, title=drill.scenario.text, owner=drill.owner)
    texts = marked(line)
    titles = {"en": "", "zh": ""} if drill is None else marked(drill.scenario.text)
    scope, devices = ([], []) if drill is None else (sorted(drill.scope), sorted(drill.devices))
    return {
        "state": "none" if drill is None else "running",
        "drill_id": drill.drill_id if drill else None,
        "scenario": drill.scenario.id if drill else None,
        "title": titles[language],
        "titles": titles,
        "procedure": drill.scenario.procedure if drill else None,
        "owner": drill.owner if drill else "",
        "confirmed_by": drill.confirmed_by if drill else "",
        "scope": scope[:MOST],
        "scope_omitted": max(0, len(scope) - MOST),
        "devices": devices[:MOST],
        "devices_omitted": max(0, len(devices) - MOST),
        "started": stamp(drill.started) if drill else None,
        "ends": stamp(drill.ends) if drill else None,
        "renew_by": stamp(drill.renew_by) if drill else None,
        "short_text": texts[language],
        "texts": texts,
        "last": None if last is None else ended(last, language),
        "time": stamp(now),
        "mode": mode,
    }


def _outcomes(drill: Drill) -> tuple[Outcome, ...]:
    """Return how each expectation stands; before the first judgement all are open."""
    return drill.outcomes or tuple(Outcome() for _ in drill.scenario.expects)


def _expectation(drill: Drill, expectation: Expectation, outcome: Outcome) -> ExpectationRecord:
    return {
        "line": expectation.line,
        "what": expectation.what,
        "name": expectation.name,
        "step": expectation.step,
        "never": expectation.never,
        "by": expectation.by,
        "verdict": outcome.verdict,
        "at": stamped(outcome.at),
        "came": None if outcome.at is None else round(drill.moment(outcome.at), 1),
        "of": outcome.of,
        "operator": outcome.by,
    }


PAYLOADS: Final[Mapping[str, type]] = {
    "exercise": ExerciseNotice,
    "exercise-progress": ExerciseProgress,
    "exercise-event": ExerciseTold,
}
"""The type of each payload by name."""
