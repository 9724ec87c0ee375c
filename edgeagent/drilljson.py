"""The report of a drill as JSON, for programs. Pure.

Texts are in both languages, times RFC 3339 in UTC, durations s, moments s of the scenario from its start.
"""

from __future__ import annotations

from collections import Counter

from typing_extensions import TypedDict

from edgeagent import drillfigures
from edgeagent.drill import Verdict
from edgeagent.drillfigures import Compared, Judgement
from edgeagent.drillrecord import Happening
from edgeagent.drillreview import DrilledAlarm, DrillRecord, ExpectedLine, InjectLine
from edgeagent.messages import Mode, stamp
from edgeagent.recordfeed import FaultRecordJson, both, rounded
from edgeagent.recordfeed import record as run_of


class FailureJson(TypedDict):
    """Devices that could not be made to show an inject, and why."""

    devices: list[str]
    texts: dict[str, str]
    reason: str


class InjectJson(TypedDict):
    """One inject; `shown` is null where it was not shown. `devices` may be cut, `device_count` is not."""

    moment: float
    line: str
    shown: str | None
    devices: list[str]
    device_count: int
    failures: list[FailureJson]


class ExpectationJson(TypedDict):
    """One expectation: `target` and `actual` are moments, null for what never should come and what did not."""

    line: str
    what: str
    name: str
    step: str
    never: bool
    target: float | None
    actual: float | None
    late: float
    verdict: str
    of: str
    by: str


class AlarmJson(TypedDict):
    """One alarm of the drill: `detect` from the inject at the moment `inject`, `announce` and `ack` from its raise."""

    alarm_id: str
    texts: dict[str, str]
    severity: str
    raised: str | None
    cleared: str | None
    heard: bool
    expected: bool
    inject: float | None
    detect: float | None
    announce: float | None
    ack: float | None
    acked_by: str


class UndoneJson(TypedDict):
    """One step that was missed or skipped."""

    run_id: str
    step: str
    state: str
    by: str
    reason: str


class NoteJson(TypedDict):
    """Something that was noted; an improvement has an owner and a day."""

    time: str
    by: str
    text: str
    owner: str | None
    due: str | None


class ComparedJson(TypedDict):
    """One time, s: in this drill, in the one before, and the median of `real_count` real faults."""

    time: str
    texts: dict[str, str]
    this: float | None
    before: float | None
    real_median: float | None
    real_count: int


class DrillReportJson(TypedDict):
    """The whole report. `over` tells whether the drill has ended; what is not over may still change."""

    drill_id: str
    exercise_id: str
    mode: str
    as_of: str
    over: bool
    trimmed: bool
    scenario: str
    version: int
    titles: dict[str, str]
    purposes: dict[str, str]
    procedure: str
    owner: str
    confirmed_by: str
    started: str
    declared_end: str
    ended: str | None
    duration: float | None
    end: str | None
    ended_by: str
    reason: str
    speed: float
    rehearsed: bool
    scope: list[str]
    devices: list[str]
    aborts: list[str]
    met: int
    expected: int
    verdicts: dict[str, int]
    injects: list[InjectJson]
    expectations: list[ExpectationJson]
    alarms: list[AlarmJson]
    runs: list[FaultRecordJson]
    undone: list[UndoneJson]
    unexpected_alarms: list[str]
    unexpected_runs: list[str]
    notes: list[NoteJson]
    improvements: list[NoteJson]
    before: str | None
    real_runs: list[str]
    compared: list[ComparedJson]


def report(found: Judgement) -> DrillReportJson:
    """Write the report of a drill."""
    record = found.record
    held, declared, ended = record.held, record.declared, record.held.ended
    counts = Counter(outcome.verdict for outcome in held.outcomes)
    return {
        "drill_id": held.drill_id,
        "exercise_id": held.drill_id,
        "mode": Mode.DRILL,
        "as_of": stamp(record.as_of),
        "over": ended is not None,
        "trimmed": record.trimmed,
        "scenario": declared.scenario,
        "version": declared.version,
        "titles": both(declared.text),
        "purposes": both(declared.purpose),
        "procedure": declared.procedure,
        "owner": declared.owner,
        "confirmed_by": declared.confirmed_by,
        "started": stamp(declared.started),
        "declared_end": stamp(declared.ends),
        "ended": None if ended is None else stamp(ended.at),
        "duration": None if ended is None else rounded(ended.at - declared.started),
        "end": None if ended is None else ended.why,
        "ended_by": "" if ended is None else ended.by,
        "reason": "" if ended is None else ended.reason,
        "speed": declared.speed,
        "rehearsed": held.rehearsed,
        "scope": list(declared.scope),
        "devices": list(declared.devices),
        "aborts": list(declared.aborts),
        "met": held.good,
        "expected": len(held.outcomes),
        "verdicts": {verdict.value: counts[verdict] for verdict in Verdict},
        "injects": [_inject(each) for each in record.injects],
        "expectations": [_expectation(each) for each in record.expected],
        "alarms": [_alarm(each) for each in record.alarms],
        "runs": [run_of(each) for each in record.runs],
        "undone": _undone(record),
        "unexpected_alarms": [each.line.alarm_id for each in record.strays],
        "unexpected_runs": [each.run.run_id for each in record.stray_runs],
        "notes": [_note(each) for each in record.notes],
        "improvements": [_note(each) for each in record.improvements],
        "before": None if found.before is None else found.before.held.drill_id,
        "real_runs": [each.run.run_id for each in found.real],
        "compared": [_compared(each) for each in drillfigures.compared(found)],
    }


def _inject(line: InjectLine) -> InjectJson:
    return {
        "moment": line.words.at,
        "line": line.words.line,
        "shown": None if line.shown is None else stamp(line.shown),
        "devices": list(line.devices),
        "device_count": line.count,
        "failures": [
            {"devices": list(each.devices), "texts": both(each.text), "reason": each.reason} for each in line.failures
        ],
    }


def _expectation(line: ExpectedLine) -> ExpectationJson:
    want, outcome = line.expectation, line.outcome
    return {
        "line": want.line,
        "what": want.what,
        "name": want.name,
        "step": want.step,
        "never": want.never,
        "target": None if want.never else want.by,
        "actual": rounded(line.actual),
        "late": round(line.late, 3),
        "verdict": outcome.verdict,
        "of": outcome.of,
        "by": outcome.by,
    }


def _alarm(alarm: DrilledAlarm) -> AlarmJson:
    line, cleared = alarm.line, alarm.line.spans[-1].end
    return {
        "alarm_id": line.alarm_id,
        "texts": both(line.text),
        "severity": line.severity,
        "raised": None if alarm.raised is None else stamp(alarm.raised),
        "cleared": None if cleared is None else stamp(cleared),
        "heard": alarm.heard,
        "expected": alarm.named,
        "inject": None if alarm.inject is None else alarm.inject.words.at,
        "detect": rounded(alarm.detect),
        "announce": rounded(alarm.announce),
        "ack": rounded(alarm.ack),
        "acked_by": line.acked_by,
    }


def _undone(record: DrillRecord) -> list[UndoneJson]:
    return [
        {
            "run_id": run.run.run_id,
            "step": step.words.id,
            "state": step.run.state,
            "by": step.run.by,
            "reason": step.run.note,
        }
        for run, step in record.undone
    ]


def _note(note: Happening) -> NoteJson:
    owner, due = note.facts.get("owner"), note.facts.get("due")
    return {
        "time": stamp(note.at),
        "by": note.by,
        "text": note.reason or note.text.en,
        "owner": None if not owner else str(owner),
        "due": None if not due else str(due),
    }


def _compared(row: Compared) -> ComparedJson:
    return {
        "time": row.id,
        "texts": both(row.text),
        "this": rounded(row.now),
        "before": rounded(row.before),
        "real_median": rounded(row.real),
        "real_count": row.count,
    }
