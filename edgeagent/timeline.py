"""What the picture of a fault, of a shift and of a drill shows (`chart.py` draws it). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from edgeagent import drillwords
from edgeagent.alarmhistory import AlarmLine
from edgeagent.catalog import Severity, Text
from edgeagent.chart import Bar, Chart, Flag, Look, Mark, Row, Shape, draw
from edgeagent.drill import Verdict
from edgeagent.drillreview import DrillRecord, ExpectedLine, InjectLine
from edgeagent.drilltexts import clocked
from edgeagent.exercisemark import MARK
from edgeagent.faultrecord import FaultRecord, StepLine
from edgeagent.procedure import Phase
from edgeagent.run import RunChange, RunVerb, StepState
from edgeagent.shiftlog import ShiftLog
from edgeagent.wording import NAMELESS, Names, duration, said

_MOST: Final = 14
"""Alarms of a fault that get a row of their own."""
_FAULTS: Final = 60
"""Rows of a shift."""
_AHEAD: Final = 900.0
"""s that a picture of an open run looks ahead at least, for what falls due."""
_LOOKS: Final = {
    Severity.CRITICAL: Look.CRITICAL, Severity.MAJOR: Look.MAJOR, Severity.MINOR: Look.MINOR,
}  # fmt: skip
_LEGEND: Final[dict[Look | Shape, Text]] = {
    Look.CRITICAL: Text("critical alarm", "紧急告警"),
    Look.MAJOR: Text("major alarm", "重要告警"),
    Look.MINOR: Text("minor alarm", "次要告警"),
    Look.WARNING: Text("warning", "警告"),
    Look.TARGET: Text("time allowed", "规定时限"),
    Look.WINDOW: Text("expected window", "预期时段"),
    Look.WORK: Text("until done", "实际用时"),
    Look.LATE: Text("too late", "超时"),
    Shape.DONE: Text("done", "完成"),
    Shape.LATE: Text("done late", "超时完成"),
    Shape.SKIPPED: Text("skipped", "跳过"),
    Shape.OPEN: Text("still open", "未完成"),
    Shape.REMINDER: Text("reminder", "提醒"),
    Shape.ESCALATION: Text("escalated", "上报"),
    Shape.ACK: Text("alarm acknowledged", "告警已确认"),
    Look.SHOWN: Text("changes slowly", "逐渐变化"),
    Shape.INJECT: Text("inject", "注入"),
    Shape.FAILED: Text("failed, missed", "未成功、未达到"),
}
_ALARMS: Final = Text("Alarms", "告警")
_STEPS: Final = {Phase.RESPONSE: Text("Response steps", "处置步骤"), Phase.RECOVERY: Text("Recovery steps", "恢复步骤")}
_MORE: Final = Text("and {} more", "另有 {} 条告警")
_INJECTS: Final = Text("Injects", "注入")
_EXPECTED: Final = Text("Expected and actual", "预期与实际")
_LANE: Final = 20
"""Injects, and expectations, of a drill that get a row of their own."""
_OTHERS: Final = Text("and {} more", "另有 {} 项")


def of_record(record: FaultRecord, language: str, zone: tzinfo | None) -> str:
    """Draw a fault: its alarms, its steps with target and actual time, who heard of it when."""
    end = _end(record)
    rows = (*_alarm_rows(record, end, language), *_step_rows(record, end, language))
    title = f"{said(Text('Timeline', '时间线'), language)}: {said(record.run.summary, language)}"
    return draw(
        Chart(title, record.run.onset, end, rows, _flags(record, language), _legend(rows, language)), language, zone
    )


def of_shift(log: ShiftLog, language: str, zone: tzinfo | None) -> str:
    """Draw a shift: one bar a fault."""
    rows = tuple(
        Row(
            (said(MARK, language) if fault.drill is not None else "") + said(fault.what, language),
            (Bar(fault.start, fault.end, _LOOKS.get(fault.severity, Look.WARNING)),),
            (Mark(log.until, Shape.OPEN),) if fault.end is None else (),
            _open(language) if fault.took is None else duration(fault.took, language),
        )
        for fault in log.faults[:_FAULTS]
    )
    title = said(Text("The shift", "本班故障"), language)
    return draw(Chart(title, log.since, log.until, rows, (), _legend(rows, language), plain=True), language, zone)


def of_drill(record: DrillRecord, language: str, zone: tzinfo | None, names: Names = NAMELESS) -> str:
    """Draw a drill: what was shown, what was expected and what came, the alarms, the steps of the run it was for."""
    start, end = record.declared.started, max(record.until, record.declared.started + 1.0)
    main = record.main
    rows = [
        *_lane(_INJECTS, list(_inject_rows(record, language, names)), language),
        *_lane(_EXPECTED, [_expected_row(each, record, language) for each in record.expected], language),
    ]
    alarms = [alarm.line for alarm in record.alarms if alarm.heard]
    if alarms:
        rows.append(Row(said(_ALARMS, language), heading=True))
        rows += [_alarm_row(alarm, end, language) for alarm in alarms[:_MOST]]
        rows += [Row(said(_MORE, language).format(len(alarms) - _MOST))] if len(alarms) > _MOST else []
    rows += () if main is None else _step_rows(main, end, language)
    title = said(MARK, language) + said(record.declared.text, language)
    chart = Chart(title, start, end, tuple(rows), _drill_flags(record, language), _legend(tuple(rows), language))
    return draw(chart, language, zone)


def _lane(title: Text, rows: list[Row], language: str) -> Iterator[Row]:
    if rows:
        yield Row(said(title, language), heading=True)
    yield from rows[:_LANE]
    if len(rows) > _LANE:
        yield Row(said(_OTHERS, language).format(len(rows) - _LANE))


def _inject_rows(record: DrillRecord, language: str, names: Names) -> Iterator[Row]:
    """Give a row to each moment at which something was shown; what nothing here can show has none."""
    moments: dict[float, list[InjectLine]] = {}
    for each in record.injects:
        if not record.passed(each):
            moments.setdefault(each.words.at, []).append(each)
    for at, injects in sorted(moments.items()):
        label = f"{clocked(at)} {drillwords.inject(injects[0], names, language)}"
        shown = [each for each in injects if each.shown is not None and each.count > len(each.failures)]
        if not shown:
            failed = any(each.failures for each in injects)
            cross = (Mark(record.declared.started + at, Shape.FAILED),) if failed else ()
            yield Row(label, (), cross, said(Text("not shown", "未注入"), language))
            continue
        whole = len(shown) == len(injects) and not any(each.failures for each in injects)
        result = said(Text("partly", "部分"), language)
        if whole:
            result = f"✓ {len(shown)}" if len(shown) > 1 else "✓"
        marks = tuple(Mark(begun, Shape.INJECT) for begun in sorted({each.shown for each in shown if each.shown}))
        yield Row(label, tuple(_ramps(shown, record)), marks, result)


def _ramps(injects: list[InjectLine], record: DrillRecord) -> Iterator[Bar]:
    for each in injects:
        if each.shown is not None and each.words.over:
            yield Bar(each.shown, min(each.shown + each.words.over, record.until), Look.SHOWN)


def _expected_row(line: ExpectedLine, record: DrillRecord, language: str) -> Row:
    start, want = record.declared.started, line.expectation
    limit = record.until if want.never else min(start + want.by, record.until)
    bars = (Bar(start, limit, Look.WINDOW if want.never else Look.TARGET),)
    verdict, label = line.outcome.verdict, drillwords.expectation(want, record, language)
    if line.actual is not None:
        shape = {Verdict.LATE: Shape.LATE, Verdict.BROKEN: Shape.FAILED}.get(verdict, Shape.DONE)
        return Row(label, bars, (Mark(start + line.actual, shape),), expectation(line, language))
    marks = (Mark(limit, Shape.FAILED),) if verdict is Verdict.MISSED else ()
    return Row(label, bars, marks, expectation(line, language))


def _drill_flags(record: DrillRecord, language: str) -> tuple[Flag, ...]:
    start, main, first = record.declared.started, record.main, record.first
    run = None if main is None else main.run
    found = [
        (None if first is None else first.raised, Text("detected", "发现")),
        (None if run is None else run.started, Text("procedure started", "启动预案")),
        (None if main is None or main.times.ack is None else main.run.onset + main.times.ack, Text("acked", "受理")),
        (None if run is None else run.recovered, Text("recovered", "恢复")),
        (record.until, Text("now", "当前") if record.held.ended is None else Text("end of the drill", "演练结束")),
    ]
    told = sorted(((at, said(word, language)) for at, word in found if at is not None), key=lambda flag: flag[0])
    return tuple(Flag(at, f"{word} +{duration(at - start, language)}") for at, word in told)


def expectation(line: ExpectedLine, language: str) -> str:
    """Say in a few words what came of an expectation."""
    verdict = line.outcome.verdict
    if verdict is Verdict.LATE:
        return said(Text("late {}", "超时 {}"), language).format(duration(line.late, language))
    if verdict is Verdict.MET and line.actual is not None:
        return f"✓ {clocked(line.actual)}"
    return said(_VERDICTS[verdict], language)


_VERDICTS: Final = {
    Verdict.OPEN: Text("open", "待判定"),
    Verdict.MET: Text("met", "达到"),
    Verdict.LATE: Text("late", "超时"),
    Verdict.MISSED: Text("missed", "未达到"),
    Verdict.HELD: Text("✓ did not come", "✓ 未出现"),
    Verdict.BROKEN: Text("came", "不应出现"),
    Verdict.UNJUDGED: Text("not judged", "未判定"),
}


def _end(record: FaultRecord) -> float:
    """Return where the picture ends: with the run, or far enough ahead to see what falls due next."""
    if record.run.ended is not None:
        return max(record.run.ended, record.run.onset + 1.0)
    ahead = record.as_of + max(_AHEAD, record.as_of - record.run.onset)
    due = (step.run.due for step in record.steps if not step.run.settled)
    return max([record.as_of, *(at for at in due if at is not None and at <= ahead)]) + 1.0


def _flags(record: FaultRecord, language: str) -> tuple[Flag, ...]:
    run, times = record.run, record.times
    words = [
        (times.detect, Text("detected", "发现")),
        (times.announce, Text("announced", "发布")),
        (times.open, Text("procedure started", "启动预案")),
        (times.ack, Text("acknowledged", "受理")),
        (None if run.restore_by is None else run.restore_by - run.onset, Text("to be restored", "规定恢复时限")),
        (times.recover, Text("recovered", "恢复")),
        (times.close, Text("closed", "结束")),
        (record.as_of - run.onset if run.ended is None else None, Text("now", "当前")),
    ]
    told = [(each.at - run.onset, Text("escalated", "上报")) for each in record.escalations if not each.step]
    found = sorted(
        ((at, said(word, language)) for at, word in (*words, *told) if at is not None), key=lambda flag: flag[0]
    )
    return tuple(Flag(run.onset + at, f"{word} +{duration(at, language)}") for at, word in found)


def _alarm_rows(record: FaultRecord, end: float, language: str) -> Iterator[Row]:
    if not record.alarms:
        return
    yield Row(said(_ALARMS, language), heading=True)
    for alarm in record.alarms[:_MOST]:
        yield _alarm_row(alarm, end if record.over else record.as_of, language)
    more = record.alarm_count - min(len(record.alarms), _MOST)
    if more > 0:
        yield Row(said(_MORE, language).format(more))


def _alarm_row(alarm: AlarmLine, end: float, language: str) -> Row:
    look = _LOOKS.get(alarm.severity, Look.WARNING)
    bars = tuple(Bar(span.start, end if span.end is None else span.end, look) for span in alarm.spans)
    stands = alarm.spans[-1].end is None
    first, last = alarm.spans[0].start, alarm.spans[-1].end
    took = "" if first is None or last is None else duration(last - first, language)
    marks = () if alarm.acked is None else (Mark(alarm.acked, Shape.ACK),)
    return Row(said(alarm.text, language), bars, marks, _open(language) if stands else took)


def _open(language: str) -> str:
    return said(Text("still there", "未恢复"), language)


def _step_rows(record: FaultRecord, end: float, language: str) -> Iterator[Row]:
    for phase, title in _STEPS.items():
        steps = [step for step in record.steps if step.words.phase is phase]
        if steps:
            yield Row(said(title, language), heading=True)
        for step in steps:
            own = [change for change in record.story if change.step == step.words.id]
            yield Row(
                said(step.words.text, language), tuple(_step_bars(step, record, end)),
                tuple(_step_marks(step, record, own)), result(step, language),
            )  # fmt: skip


def _step_bars(step: StepLine, record: FaultRecord, end: float) -> Iterator[Bar]:
    run = step.run
    if step.start is None or run.state is StepState.WAITING:
        return
    if run.due is not None:
        yield Bar(step.start, min(run.due, end), Look.TARGET)
        if run.opens is not None:
            yield Bar(run.opens, min(run.due, end), Look.WINDOW)
    until = min(end, record.as_of) if run.at is None else run.at
    on_time = until if run.due is None else min(until, run.due)
    yield Bar(step.start, on_time, Look.WORK)
    if until > on_time and run.state is not StepState.SKIPPED:
        yield Bar(on_time, until, Look.LATE)


def _step_marks(step: StepLine, record: FaultRecord, own: list[RunChange]) -> Iterator[Mark]:
    shapes = {RunVerb.REMINDED: Shape.REMINDER, RunVerb.ESCALATED: Shape.ESCALATION}
    yield from (Mark(change.at, shapes[change.verb]) for change in own if change.verb in shapes)
    if step.run.state is StepState.SKIPPED and step.run.at is not None:
        yield Mark(step.run.at, Shape.SKIPPED)
    elif step.run.at is not None:
        yield Mark(step.run.at, Shape.LATE if step.met is False else Shape.DONE)
    elif step.run.state is StepState.READY:
        yield Mark(min(record.as_of, _end(record)), Shape.OPEN)


def result(step: StepLine, language: str) -> str:
    """Say in a few words what came of a step."""
    state = step.run.state
    if step.lapsed:
        late = step.met is False
        return said(Text("not done in time", "逾期未做") if late else Text("not needed", "无需再做"), language)
    if state is StepState.SKIPPED:
        return said(Text("skipped", "跳过"), language)
    if state is StepState.WAITING:
        return said(Text("not yet due", "未到"), language)
    if step.met is False:
        return said(Text("late {}", "超时 {}"), language).format(duration(step.late, language))
    if state is StepState.DONE:
        return "✓" if step.actual is None else f"✓ {duration(step.actual, language)}"
    return said(Text("open", "未完成"), language)


def _legend(rows: tuple[Row, ...], language: str) -> tuple[tuple[Look | Shape, str], ...]:
    """Explain what is there, and nothing else."""
    used = {bar.look for row in rows for bar in row.bars} | {mark.shape for row in rows for mark in row.marks}
    return tuple((each, said(word, language)) for each, word in _LEGEND.items() if each in used)
