"""The leader's log of a shift (组长日志): which faults there were, since when, until when, and what was done. Pure.

A fault is a run of a procedure, or an alarm that started none. What a drill made stands in the log, marked, and counts
for nothing.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final, NamedTuple

from edgeagent import faultrecord
from edgeagent.alarm import AlarmState, Verb
from edgeagent.alarmhistory import AlarmLine, Line, alarm_lines
from edgeagent.catalog import Severity, Text
from edgeagent.exercisemark import MARK
from edgeagent.faultrecord import FaultRecord
from edgeagent.inventory import AGENT
from edgeagent.run import RunChange, RunVerb
from edgeagent.runtexts import head_of
from edgeagent.wording import NAMELESS, SYSTEM, Names, clean, duration, moment, person, said, severity, zone_name

_DONE: Final = frozenset({RunVerb.STEP_DONE, RunVerb.STEP_SKIPPED, RunVerb.NOTED})
_BY_PEOPLE: Final = _DONE | {RunVerb.ACKNOWLEDGED, RunVerb.COMMANDER, RunVerb.LEVEL_CHANGED, RunVerb.CLOSED}
_RISKY: Final = tuple("=+-@\t\r\n＝＋－＠")
"""What a cell must not begin with: a spreadsheet would take it for a formula."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the log. `end` is None while the fault is there; `id` names the run or the alarm."""

    id: str
    start: float
    end: float | None
    place: Text
    what: Text
    severity: Severity
    procedure: Text | None = None
    level: Text | None = None
    affected: int = 1
    spare: Text | None = None
    measures: tuple[Text, ...] = ()
    who: tuple[str, ...] = ()
    acked: float | None = None
    drill: str | None = None

    @property
    def took(self) -> float | None:
        """How long it lasted, s."""
        return None if self.end is None else max(0.0, self.end - self.start)


@dataclass(frozen=True, slots=True)
class Summary:
    """The shift in numbers, drills aside. Times in s, None without any.

    `began` are the faults that began in the shift, `open` those that it hands on.
    """

    faults: int
    began: int
    open: int
    drills: int
    by_kind: Mapping[Text, int]
    mean_ack: float | None
    mean_recovery: float | None
    longest: Fault | None


@dataclass(frozen=True, slots=True)
class ShiftLog:
    """The log of a shift, oldest fault first."""

    since: float
    until: float
    faults: tuple[Fault, ...]
    summary: Summary


def of(lines: Iterable[Line], since: float, until: float, names: Names = NAMELESS) -> ShiftLog:
    """Make the log of a shift out of the lines of its runs and of its alarms, earlier ones of theirs included."""
    found = sorted((line for line in lines if line.time < until), key=lambda line: line.seq)
    ids = dict.fromkeys(str(line.body.get("run_id")) for line in found if line.kind == "run")
    records = [record for id in ids if (record := faultrecord.of(found, id, until)) is not None]
    runs = [_of_run(record, names) for record in records]
    known = {id for record in records for id in record.run.alarms}
    alarms = _of_alarms(found, known, until, names)
    faults = sorted(
        (fault for fault in (*runs, *alarms) if fault.end is None or fault.end >= since),
        key=lambda fault: (fault.start, fault.procedure is None, fault.id),
    )
    return ShiftLog(since, until, tuple(faults), _summary(faults, since))


def _of_run(record: FaultRecord, names: Names) -> Fault:
    run = record.run
    over = run.recovered if run.recovered is not None else run.ended
    grave = max((alarm.severity for alarm in record.alarms), key=lambda each: each.rank, default=Severity.MAJOR)
    return Fault(
        run.run_id, run.onset, over, run.scope_name, run.summary, grave, record.words.text, level_of(record),
        record.affected, None if run.spare is None else names.resource(run.spare),
        tuple(measure(change, record) for change in record.story if change.verb in _DONE and not lapsed(change)),
        tuple(dict.fromkeys(who_of(record))), None if record.times.ack is None else run.onset + record.times.ack,
        run.origin,
    )  # fmt: skip


def level_of(record: FaultRecord) -> Text | None:
    """Name a fault's level, by its number and in words."""
    number, words = record.run.level, record.level
    if number is None or words is None:
        return None if number is None else Text(f"level {number}", f"{number} 级")
    return Text(f"level {number}: {words.en}", f"{number} 级：{words.zh}")


def lapsed(change: RunChange) -> bool:
    """Tell whether a step was left out because the fault was over: nobody did anything."""
    return change.verb is RunVerb.STEP_SKIPPED and change.by == SYSTEM


def line_of(change: RunChange) -> Text:
    """Say a change without what every line of the run begins with."""
    head, line = head_of(change.run), change.text
    return Text(line.en.removeprefix(head.en), line.zh.removeprefix(head.zh))


def measure(change: RunChange, record: FaultRecord) -> Text:
    """Say what was done: a step, with what was noted of it, or a note alone."""
    words = next((step.words.text for step in record.steps if step.words.id == change.step), line_of(change))
    if change.verb is RunVerb.NOTED and not change.step:
        return Text(change.reason, change.reason) if change.reason else words
    if change.verb is RunVerb.STEP_SKIPPED:
        words = Text(f"Skipped: {words.en}", f"跳过：{words.zh}")
    if not change.reason or change.reason in words.en or change.reason in words.zh:
        return words
    return Text(f"{words.en} ({change.reason})", f"{words.zh}（{change.reason}）")


def who_of(record: FaultRecord) -> Iterator[str]:
    """Give the people who acted in a run, in the order of their first act."""
    for change in record.story:
        if change.verb in _BY_PEOPLE and change.by not in ("", SYSTEM):
            yield change.by


def _of_alarms(lines: Iterable[Line], known: Collection[str], until: float, names: Names) -> Iterator[Fault]:
    """Give the alarms that no run has, that people heard of, and that tell of more than the agent itself."""
    own = [line for line in lines if line.kind == "alarm" and line.body.get("alarm_id") not in known and _heard(line)]
    acks: dict[object, list[Line]] = {}
    for line in own:
        if line.body.get("verb") == Verb.ACKNOWLEDGED:
            acks.setdefault(line.body.get("alarm_id"), []).append(line)
    for alarm in alarm_lines(own, None, until):
        if alarm.severity.rank >= Severity.MINOR.rank and alarm.resource != AGENT:
            yield from _of_alarm(alarm, names.place(alarm.resource), acks.get(alarm.alarm_id, []))


def _heard(line: Line) -> bool:
    """Tell whether people heard of it: what another fault explains is no fault of its own."""
    return not (line.body.get("state") == AlarmState.SUPPRESSED and line.body.get("verb") == Verb.RAISED)


def _of_alarm(alarm: AlarmLine, place: Text, acks: Iterable[Line]) -> Iterator[Fault]:
    """Give one fault for each time that it came; an acknowledgement is for the time in which it was given."""
    starts = [span.start for span in alarm.spans if span.start is not None]
    for span in alarm.spans:
        if span.start is None:
            continue
        ack = next((each for each in acks if bisect_right(starts, each.time) == starts.index(span.start) + 1), None)
        reason = "" if ack is None else str(ack.body.get("reason", ""))
        yield Fault(
            alarm.alarm_id, span.start, span.end, place, alarm.text, alarm.severity,
            measures=(Text(reason, reason),) if reason else (),
            who=() if ack is None else (str(ack.body.get("by", "")),),
            acked=None if ack is None else ack.time,
        )  # fmt: skip


def _summary(found: Collection[Fault], since: float) -> Summary:
    faults = [fault for fault in found if fault.drill is None]
    kinds: dict[Text, int] = {}
    for fault in faults:
        kind = fault.procedure or Text("single alarm", "单个告警")
        kinds[kind] = kinds.get(kind, 0) + 1
    over = [fault for fault in faults if fault.took is not None]
    return Summary(
        len(faults), sum(fault.start >= since for fault in faults), len(faults) - len(over), len(found) - len(faults),
        kinds, _mean([fault.acked - fault.start for fault in faults if fault.acked is not None]),
        _mean([fault.took for fault in over if fault.took is not None]),
        max(over, key=lambda fault: fault.took or 0.0, default=None),
    )  # fmt: skip


def _mean(numbers: list[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


COLUMNS: Final = (
    Text("Start", "开始时间"), Text("Recovered", "恢复时间"), Text("Lasted", "历时"), Text("Place", "地点"),
    Text("What failed", "故障内容"), Text("Procedure", "预案"), Text("Level", "故障等级"), Text("Affected", "影响数量"),
    Text("Spare seat", "备用座席"), Text("Measures", "处理措施"), Text("Who", "处理人"), Text("Number", "编号"),
)  # fmt: skip


class Cells(NamedTuple):
    """A fault as it is written, one field for each of the COLUMNS."""

    start: str
    recovered: str
    lasted: str
    place: str
    what: str
    procedure: str
    level: str
    affected: str
    spare: str
    measures: str
    who: str
    number: str


def cells(fault: Fault, language: str, zone: tzinfo | None) -> Cells:
    """Write a fault."""
    drill = said(MARK, language) if fault.drill is not None else ""
    level = fault.level or fault.severity
    return Cells(
        moment(fault.start, zone),
        said(Text("still there", "未恢复"), language) if fault.end is None else moment(fault.end, zone),
        "" if fault.took is None else duration(fault.took, language),
        clean(said(fault.place, language)),
        drill + clean(said(fault.what, language)),
        "" if fault.procedure is None else said(fault.procedure, language),
        severity(level, language) if isinstance(level, Severity) else said(level, language),
        str(fault.affected),
        "" if fault.spare is None else clean(said(fault.spare, language)),
        said(Text("; ", "；"), language).join(clean(said(each, language)) for each in fault.measures),
        said(Text(", ", "、"), language).join(person(each, language) for each in fault.who),
        fault.id,
    )


def as_csv(log: ShiftLog, language: str, zone: tzinfo | None) -> str:
    """Write the log for a spreadsheet: UTF-8 with its mark, so that Excel reads the Chinese, and no formulas."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    offset = zone_name(log.since, zone)
    head = [said(column, language) for column in COLUMNS]
    rows.writerow([f"{name} ({offset})" if place < 2 else name for place, name in enumerate(head)])
    rows.writerows([_harmless(cell) for cell in cells(fault, language, zone)] for fault in log.faults)
    return "\ufeff" + text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.lstrip(" ").startswith(_RISKY) else cell
