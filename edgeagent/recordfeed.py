"""A fault record as JSON, for the feed and for programs. Pure.

Texts are in both languages, times RFC 3339 in UTC, durations s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from typing_extensions import TypedDict

from edgeagent.alarmhistory import AlarmLine
from edgeagent.catalog import Text
from edgeagent.faultrecord import FORM, FaultRecord, StepLine
from edgeagent.messages import Mode, dump, stamp, stamped
from edgeagent.run import RunChange, RunVerb


class RecordedSpan(TypedDict):
    """A stretch in which an alarm stood; null where the journal does not know, or where it still stands."""

    start: str | None
    end: str | None


class RecordedAlarm(TypedDict):
    """One alarm of the fault."""

    alarm_id: str
    texts: dict[str, str]
    severity: str
    spans: list[RecordedSpan]
    announced: str | None
    acked: str | None
    acked_by: str


class Proof(TypedDict):
    """One reading that proved a step."""

    resource: str
    point: str
    value: bool | float | str | list[str] | None
    unit: str | None


class RecordedStep(TypedDict):
    """One step. `target`, `opens` and `actual` count from when its clock began; `late` is so far where it is open."""

    step: str
    texts: dict[str, str]
    role: str
    phase: str
    state: str
    due: str | None
    at: str | None
    by: str
    note: str
    evidence: list[Proof]
    opens: float | None
    target: float | None
    actual: float | None
    target_met: bool | None
    late: float
    reminders: int
    escalations: int


class Recorded(TypedDict):
    """One line of the story."""

    time: str
    verb: str
    texts: dict[str, str]
    step: str
    by: str
    reason: str
    roles: list[str]


class RecordedTimes(TypedDict):
    """How long it took from the onset, s; null for what did not happen or is not known."""

    detect: float | None
    announce: float | None
    open: float | None
    ack: float | None
    recover: float | None
    close: float | None


class FaultRecordJson(TypedDict):
    """The whole record. `over` tells whether the run has ended; what is not over may still change.

    `omitted` counts lines of its lists that did not fit a message.
    """

    run_id: str
    procedure: str
    version: int
    titles: dict[str, str]
    state: str
    over: bool
    trimmed: bool
    as_of: str
    onset: str
    started: str
    recovered: str | None
    ended: str | None
    scope: str
    places: dict[str, str]
    summaries: dict[str, str]
    level: int | None
    levels: dict[str, str] | None
    restore_by: str | None
    restored_in_time: bool | None
    affected: list[str]
    affected_count: int
    spare: str | None
    commander: str
    form: dict[str, str]
    times: RecordedTimes
    steps: list[RecordedStep]
    escalations: list[Recorded]
    alarms: list[RecordedAlarm]
    alarm_count: int
    story: list[Recorded]
    omitted: int
    mode: str
    exercise_id: str | None


PAYLOADS: Final[Mapping[str, type]] = {"fault-record": FaultRecordJson}
"""The type of each payload by name."""


def record(found: FaultRecord) -> FaultRecordJson:
    """Write a record; every field that people fill in is there, empty where nobody has."""
    run, times = found.run, found.times
    return {
        "run_id": run.run_id,
        "procedure": run.procedure,
        "version": run.version,
        "titles": both(found.words.text),
        "state": run.state,
        "over": found.over,
        "trimmed": found.trimmed,
        "as_of": stamp(found.as_of),
        "onset": stamp(run.onset),
        "started": stamp(run.started),
        "recovered": stamped(run.recovered),
        "ended": stamped(run.ended),
        "scope": run.scope,
        "places": both(run.scope_name),
        "summaries": both(run.summary),
        "level": run.level,
        "levels": None if found.level is None else both(found.level),
        "restore_by": stamped(run.restore_by),
        "restored_in_time": found.restored,
        "affected": list(run.affected),
        "affected_count": found.affected,
        "spare": run.spare,
        "commander": run.commander,
        "form": {**dict.fromkeys(FORM, ""), **run.form},
        "times": {
            "detect": rounded(times.detect),
            "announce": rounded(times.announce),
            "open": rounded(times.open),
            "ack": rounded(times.ack),
            "recover": rounded(times.recover),
            "close": rounded(times.close),
        },
        "steps": [_step(step) for step in found.steps],
        "escalations": [_told(change) for change in found.story if change.verb is RunVerb.ESCALATED],
        "alarms": [_alarm(alarm) for alarm in found.alarms],
        "alarm_count": found.alarm_count,
        "story": [_told(change) for change in found.story],
        "omitted": 0,
        "mode": Mode.LIVE if run.origin is None else Mode.DRILL,
        "exercise_id": run.origin,
    }


def bounded(record: FaultRecordJson, largest: int) -> FaultRecordJson:
    """Cut the longest list, the oldest lines first, until the record is no larger than `largest` bytes."""
    while len(dump(record)) > largest:
        lists: list[list[Any]] = [record["story"], record["alarms"], record["affected"], record["escalations"]]
        longest = max(lists, key=len)
        cut = len(longest) // 2 + 1
        record["omitted"] += cut
        del longest[:cut]
    return record


def _step(step: StepLine) -> RecordedStep:
    run = step.run
    return {
        "step": run.id,
        "texts": both(step.words.text),
        "role": step.words.role,
        "phase": step.words.phase,
        "state": run.state,
        "due": stamped(run.due),
        "at": stamped(run.at),
        "by": run.by,
        "note": run.note,
        "evidence": [
            {
                "resource": each.resource,
                "point": each.point,
                "value": sorted(each.value) if isinstance(each.value, frozenset) else each.value,
                "unit": each.unit,
            }
            for each in run.evidence
        ],
        "opens": step.words.opens,
        "target": rounded(step.target),
        "actual": rounded(step.actual),
        "target_met": step.met,
        "late": round(step.late, 3),
        "reminders": step.reminders,
        "escalations": len(step.escalations),
    }


def _told(change: RunChange) -> Recorded:
    return {
        "time": stamp(change.at),
        "verb": change.verb,
        "texts": both(change.text),
        "step": change.step,
        "by": change.by,
        "reason": change.reason,
        "roles": list(change.roles),
    }


def _alarm(alarm: AlarmLine) -> RecordedAlarm:
    return {
        "alarm_id": alarm.alarm_id,
        "texts": both(alarm.text),
        "severity": alarm.severity,
        "spans": [{"start": stamped(span.start), "end": stamped(span.end)} for span in alarm.spans],
        "announced": stamped(alarm.announced),
        "acked": stamped(alarm.acked),
        "acked_by": alarm.acked_by,
    }


def both(text: Text) -> dict[str, str]:
    """Give a text in both languages."""
    return {"en": text.en, "zh": text.zh}


def rounded(seconds: float | None) -> float | None:
    """Give a time in s to the millisecond."""
    return None if seconds is None else round(seconds, 3)
