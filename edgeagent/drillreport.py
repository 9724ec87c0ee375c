"""What stands in the report of a drill, as a document in one language. Pure.

Owns the headings and the order; `document.py` writes it as Markdown or HTML. Every sheet says that it was a drill.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from edgeagent import drillfigures, drillrecord, drillwords, reports, timeline
from edgeagent.catalog import Text
from edgeagent.document import Document, Facts, Figures, Lines, Picture, Section, Table, Tone
from edgeagent.drill import End, Verdict
from edgeagent.drillfigures import Judgement
from edgeagent.drillrecord import Happening
from edgeagent.drillreview import DrilledAlarm, ExpectedLine, InjectLine
from edgeagent.drilltexts import bare, clocked
from edgeagent.exercisemark import MARK
from edgeagent.faultrecord import FaultRecord, StepLine
from edgeagent.wording import (
    LAPSED,
    NAMELESS,
    NOTHING,
    SYSTEM,
    TIMES,
    Names,
    Speech,
    folded,
    hour,
    moment,
    person,
    role,
    severity,
    zone_name,
)  # fmt: skip

_TONES: Final = {
    Verdict.LATE: Tone.LATE, Verdict.MISSED: Tone.LATE, Verdict.BROKEN: Tone.LATE, Verdict.OPEN: Tone.OPEN,
    Verdict.UNJUDGED: Tone.SKIPPED,
}  # fmt: skip
_STAMP: Final = Text("EXERCISE", "演练")
_SIGNERS: Final = Text("Led by:", "演练负责人："), Text("Supervisor:", "呼叫中心主管："), Text("Date:", "日期：")
_BLANK: Final = Text("(to be filled in)", "（待填写）")
_NONE: Final = Text("none", "无")
_SHOWN: Final = 40
"""Devices, or series of them, that are named."""
_ALARMS: Final = 60
"""Alarms that get a row."""
_RUNS: Final = 12
"""Runs whose steps are laid out."""


def drill(found: Judgement, language: str, zone: tzinfo | None, names: Names = NAMELESS) -> Document:
    """Lay out the report of a drill."""
    return _Drill(found, language, zone, names).document()


class _Drill(Speech):
    """A drill's report being laid out."""

    def __init__(self, found: Judgement, language: str, zone: tzinfo | None, names: Names) -> None:
        self.found, self.record, self.declared = found, found.record, found.record.declared
        super().__init__(language)
        self.zone, self.names = zone, names

    def document(self) -> Document:
        record, declared = self.record, self.declared
        picture = Picture(timeline.of_drill(record, self.language, self.zone, self.names))
        runs = tuple(self.runs())
        sections = (
            Section(self.word("Result", "演练结论"), (Facts(tuple(self.result())),)),
            Section(
                self.word(
                    "Times: detected since the inject, announced since then, the rest since the onset",
                    "处理用时（发现自注入起，发布自触发起，其余自故障发生起）",
                ),
                (Figures(tuple(self.figures())),),
            ),
            Section(self.word("Declaration", "演练方案"), (Facts(tuple(self.declaration())),)),
            Section(self.word("Expected and actual", "预期与实际"), self.expected()),
            Section(self.word("Timeline", "时间线"), (picture,)),
            Section(self.word("Injects", "注入的模拟故障"), self.injects()),
            Section(
                self.word("Alarms: detected, announced, acknowledged", "告警：发现、发布、确认用时"), self.alarms()
            ),
            *runs,
            Section(self.word("Steps missed or skipped", "未完成或跳过的步骤"), self.undone()),
            Section(self.word("Alarms and runs that nothing expected", "预期之外的告警和预案"), self.strays()),
            Section(self.word("Compared", "对比"), self.compared()),
            Section(self.word("Notes", "演练记录"), self.notes()),
            Section(
                self.word("Improvements", "改进措施"), (self.improvements(), Lines(tuple(map(self.say, _SIGNERS))))
            ),
        )
        zone = f"{self.say(TIMES)} {zone_name(declared.started, self.zone)}"
        line = (self.say(self.names.site), self.say(declared.text), record.held.drill_id, zone)
        made = self.word("Written by edgeagent from its journal, as of", "由 edgeagent 根据日志生成，截至")
        foot = f"{self.say(MARK)}{made} {moment(record.as_of, self.zone)} · {declared.scenario} v{declared.version}"
        title = self.say(MARK) + self.word("Drill report", "应急演练评估报告")
        return Document(
            title, " · ".join(filter(None, line)), self.language, sections, tuple(self.marks()), foot,
            stamp=self.say(_STAMP),
        )  # fmt: skip

    def at(self, at: float | None) -> str:
        return NOTHING if at is None else hour(at, self.zone, self.declared.started)

    def since(self, at: float | None) -> str:
        """Write a moment by the drill's clock, from its start."""
        return NOTHING if at is None else f"+{clocked(max(0.0, at - self.declared.started))}"

    def devices(self, ids: tuple[str, ...], count: int | None = None) -> str:
        words = folded(ids, self.names, self.language)
        more = (len(ids) if count is None else count) - len(ids) + len(words[_SHOWN:])
        rest = "" if more <= 0 else self.word(f" and {more} more", f" 等，另有 {more} 个")
        return f"{self.listed(words[:_SHOWN])}{rest}" or NOTHING

    def none(self, en: str, zh: str) -> tuple[Facts]:
        return (Facts(((self.word(en, zh), self.say(_NONE)),)),)

    def marks(self) -> Iterator[str]:
        yield self.word("EXERCISE – none of this was real", "演练 – 以下内容均非真实故障")
        if self.declared.speed != 1.0:
            words = self.word(
                "Ran {:g} times faster than real: its clocks were not true, and it counts for no rehearsal",
                "以 {:g} 倍速运行：用时不真实，不计为一次演练",
            )
            yield words.format(self.declared.speed)
        if self.record.held.ended is None:
            still = self.word("Not over yet", "演练尚未结束")
            yield self.word("{} ({})", "{}（{}）").format(still, moment(self.record.as_of, self.zone))
        if self.record.trimmed:
            yield self.word("The journal no longer has the beginning", "日志开头部分已超出保存期限，以下内容不完整")

    def result(self) -> Iterator[tuple[str, str]]:
        ended = self.record.held.ended
        yield self.word("Verdict", "结论"), self.say(drillrecord.in_short(self.record.held))
        if ended is not None:
            yield self.word("Why it ended", "结束原因"), self.why(ended.why, ended.by, ended.reason)

    def why(self, end: End, by: str, reason: str) -> str:
        """Say why it ended, by whom."""
        who = "" if by in ("", SYSTEM) else self.word(f"by {person(by, 'en')}", f"操作人：{person(by, 'zh')}")
        return self.word("; ", "；").join(filter(None, (self.say(drillrecord.ENDS[end]), who, reason)))

    def figures(self) -> Iterator[tuple[str, str]]:
        first, main = self.record.first, self.record.main
        times = None if main is None else main.times
        yield self.word("detected", "发现"), self.took(None if first is None else first.detect)
        yield self.word("announced", "发布"), self.took(None if first is None else first.announce)
        yield self.word("acknowledged", "受理"), self.took(None if times is None else times.ack)
        yield self.word("recovered", "恢复"), self.took(None if times is None else times.recover)
        yield self.word("closed", "结束"), self.took(None if main is None else drillfigures.closed(main))

    def declaration(self) -> Iterator[tuple[str, str]]:
        declared, ended = self.declared, self.record.held.ended
        confirmed = person(declared.confirmed_by, self.language) if declared.confirmed_by else NOTHING
        yield self.word("Drill", "演练编号"), self.record.held.drill_id
        yield self.word("Scenario", "演练场景"), f"{self.say(declared.text)} ({declared.scenario} v{declared.version})"
        yield self.word("Purpose", "演练目的"), self.say(declared.purpose)
        yield self.word("Procedure", "演练预案"), self.procedure(declared.procedure)
        yield self.word("Led by", "演练负责人"), person(declared.owner, self.language)
        yield self.word("Confirmed by", "确认人"), confirmed
        yield self.word("Start", "开始时间"), moment(declared.started, self.zone)
        yield self.word("Declared end", "规定结束时间"), moment(declared.ends, self.zone)
        if ended is not None:
            both = moment(ended.at, self.zone), self.took(ended.at - declared.started)
            yield self.word("End", "结束时间"), self.word("{} ({})", "{}（{}）").format(*both)
        yield self.word("Devices shown", "模拟设备"), self.devices(declared.devices)
        yield self.word("Scope", "演练范围"), self.devices(declared.scope)
        if declared.aborts:
            yield self.word("Broken off when", "中止条件"), "\n".join(declared.aborts)
        if declared.speed != 1.0:
            yield self.word("Speed", "倍速"), f"×{declared.speed:g}"

    def procedure(self, id: str) -> str:
        """Name a procedure; one of which no run was opened is called by its id."""
        return next((self.say(each.words.text) for each in self.record.runs if each.run.procedure == id), id)

    def injects(self) -> tuple[Table, ...]:
        head = (
            self.word("Moment", "时刻"), self.word("Shown at", "注入时间"), self.word("Inject", "注入内容"),
            self.word("Devices", "设备"), self.word("Result", "结果"),
        )  # fmt: skip
        rows = tuple((self.shade(each), tuple(self.inject(each))) for each in self.record.injects)
        return (Table(head, rows, (11, 12, 30, 23, 24)),) if rows else ()

    def shade(self, inject: InjectLine) -> Tone:
        if inject.failures:
            return Tone.LATE
        return Tone.PLAIN if inject.shown is not None else Tone.SKIPPED

    def inject(self, inject: InjectLine) -> Iterator[str]:
        yield clocked(inject.words.at)
        yield self.at(inject.shown)
        yield drillwords.inject(inject, self.names, self.language)
        yield self.devices(inject.devices, inject.count)
        failed = len(inject.failures)
        done = [self.word("shown", "已注入")] if inject.shown is not None and inject.count > failed else []
        if self.record.passed(inject):
            done = [self.word("not at this site", "本站点不适用")]
        elif not done and not failed:
            done = [self.word("not reached", "未进行到")]
        yield "\n".join([*done, *self.failures(inject)])

    def failures(self, inject: InjectLine) -> Iterator[str]:
        """Say at which devices an inject failed, those together that failed alike."""
        alike: dict[str, list[str]] = {}
        for each in inject.failures:
            alike.setdefault(each.reason or self.say(each.text), []).extend(each.devices)
        for why, ids in alike.items():
            words = self.word(": ", "：").join((self.devices(tuple(sorted(ids))), why))
            yield self.word("failed: {}", "未成功：{}").format(words)

    def expected(self) -> tuple[Table, ...]:
        head = (
            self.word("Expected", "预期"), self.word("Target", "规定"), self.word("Actual", "实际"),
            self.word("Shown by", "依据"), self.word("Result", "结果"),
        )  # fmt: skip
        rows = tuple(
            (_TONES.get(line.outcome.verdict, Tone.PLAIN), tuple(self.expectation(line)))
            for line in self.record.expected
        )
        return (Table(head, rows, (36, 10, 10, 26, 18)),) if rows else ()

    def expectation(self, line: ExpectedLine) -> Iterator[str]:
        want = line.expectation
        words, id = drillwords.expectation(want, self.record, self.language), want.step or want.name
        yield words if id in words else f"{words}\n{bare(want.line)}"
        yield self.word("never", "不得出现") if want.never else clocked(want.by)
        yield NOTHING if line.actual is None else clocked(max(0.0, line.actual))
        by = person(line.outcome.by, self.language) if line.outcome.by not in ("", SYSTEM) else ""
        yield "\n".join(filter(None, (line.outcome.of, by))) or NOTHING
        met = self.word("✓ met", "✓ 达到")
        yield met if line.outcome.verdict is Verdict.MET else timeline.expectation(line, self.language)

    def alarms(self) -> tuple[Table, ...]:
        head = (
            self.word("Alarm", "告警"), self.word("Severity", "级别"), self.word("Raised", "触发"),
            self.word("Detected in", "发现用时"), self.word("Announced in", "发布用时"),
            self.word("Acknowledged in", "确认用时"), self.word("Cleared", "恢复"),
        )  # fmt: skip
        heard = [alarm for alarm in self.record.alarms if alarm.heard]
        rows = [(Tone.PLAIN, tuple(self.alarm(each))) for each in heard[:_ALARMS]]
        quiet = len(self.record.alarms) - len(heard)
        more = [(len(heard) - len(rows), Text("and {} more", "另有 {} 条告警"))]
        more.append((quiet, Text("{} explained by others and told to nobody", "{} 条由其他告警解释，未通知")))
        rows += [
            (Tone.PLAIN, (self.say(words).format(count), *[""] * (len(head) - 1))) for count, words in more if count
        ]
        return (Table(head, tuple(rows), (28, 11, 9, 12, 13, 16, 11)),) if rows else ()

    def alarm(self, alarm: DrilledAlarm) -> Iterator[str]:
        line = alarm.line
        yield f"{self.say(line.text)}\n{line.alarm_id}"
        yield severity(line.severity, self.language)
        yield self.since(alarm.raised)
        inject = "" if alarm.inject is None else self.word("from {}", "自 {}").format(clocked(alarm.inject.words.at))
        yield "\n".join(filter(None, (self.took(alarm.detect), inject if alarm.detect is not None else "")))
        yield self.took(alarm.announce)
        by = "" if line.acked is None else person(line.acked_by, self.language)
        yield "\n".join(filter(None, (self.took(alarm.ack), by)))
        over = line.spans[-1].end
        yield self.word("still there", "未恢复") if over is None else self.since(over)

    def runs(self) -> Iterator[Section]:
        """Lay out the steps of each run, those of the procedure that was exercised first."""
        own = self.declared.procedure
        found = sorted(self.record.runs, key=lambda each: each.run.procedure != own)
        title = self.word("Steps: target and actual", "预案步骤：规定与实际")
        for record in found[:_RUNS]:
            name = f"{self.say(record.words.text)} {record.run.run_id}" if len(found) > 1 else ""
            yield Section(
                self.word(" – ", "：").join(filter(None, (title, name))),
                reports.steps(record, self.language, self.zone, self.names),
            )

    def undone(self) -> tuple[Table | Facts, ...]:
        head = (
            self.word("Step", "步骤"), self.word("Role", "责任人"), self.word("Result", "结果"),
            self.word("Why", "原因"), self.word("Run", "预案"),
        )  # fmt: skip
        rows = tuple(
            (
                Tone.SKIPPED if step.run.settled else Tone.LATE,
                (
                    self.say(step.words.text), role(step.words.role, self.language),
                    self.left(step), self.say(LAPSED) if step.lapsed else step.run.note or NOTHING, record.run.run_id,
                ),
            )
            for record, step in self.record.undone
        )  # fmt: skip
        return (Table(head, rows, (32, 14, 16, 22, 16)),) if rows else self.none("Steps", "步骤")

    def left(self, step: StepLine) -> str:
        """Say what became of a step that nobody did."""
        undone = [] if step.run.settled else [self.word("not done", "未完成")]
        return self.word(", ", "，").join([*undone, timeline.result(step, self.language)])

    def strays(self) -> tuple[Table | Facts, ...]:
        head = (
            self.word("Alarm or run", "告警或预案"), self.word("At", "时刻"), self.word("Belongs to", "所属预案")
        )  # fmt: skip
        rows = [
            (
                Tone.PLAIN,
                (f"{self.say(each.line.text)}\n{each.line.alarm_id}", self.since(each.raised), self.home(each)),
            )
            for each in self.record.strays[:_ALARMS]
        ]
        rows += [(Tone.LATE, (self.opened(each), self.since(each.run.started), "")) for each in self.record.stray_runs]
        return (Table(head, tuple(rows), (56, 14, 30)),) if rows else self.none("Alarms and runs", "告警和预案")

    def opened(self, record: FaultRecord) -> str:
        return f"{self.say(record.words.text)}\n{record.run.run_id}"

    def home(self, alarm: DrilledAlarm) -> str:
        """Name the run that an alarm belongs to."""
        id = alarm.line.alarm_id
        return next((each.run.run_id for each in self.record.runs if id in each.run.alarms), NOTHING)

    def compared(self) -> tuple[Table | Facts, ...]:
        found = drillfigures.compared(self.found)
        before, real = self.found.before, len(self.found.real)
        if not found or (before is None and not real):
            return self.none("Earlier drills and real faults", "以往演练和真实故障")
        last = NOTHING if before is None else f"{moment(before.declared.started, self.zone)}\n{before.held.drill_id}"
        head = (
            self.word("Time", "用时"), self.word("This drill", "本次演练"),
            f"{self.word('The one before', '上次演练')}\n{last}",
            self.word(f"Real faults: median of the last {real}", f"真实故障：最近 {real} 次的中位数"),
        )  # fmt: skip
        rows = ((self.say(row.text), *map(self.took, (row.now, row.before, row.real))) for row in found)
        return (Table(head, tuple((Tone.PLAIN, row) for row in rows), (40, 16, 24, 20)),)

    def notes(self) -> tuple[Table, ...]:
        head = (self.word("Time", "时间"), self.word("Who", "记录人"), self.word("Note", "内容"))
        rows = tuple(
            (Tone.PLAIN, (self.at(each.at), person(each.by, self.language), self.note(each)))
            for each in self.record.notes
        )
        return (Table(head, rows, (15, 25, 60)),) if rows else ()

    def improvements(self) -> Table | Facts:
        head = (
            self.word("What", "改进内容"), self.word("Owner", "责任人"), self.word("Due", "完成期限"),
            self.word("Noted by", "记录人"),
        )  # fmt: skip
        rows = tuple(
            (
                Tone.PLAIN,
                (
                    self.note(each), str(each.facts.get("owner") or NOTHING), str(each.facts.get("due") or NOTHING),
                    person(each.by, self.language),
                ),
            )
            for each in self.record.improvements
        )  # fmt: skip
        blank = Facts(((self.word("What, who, until when", "内容、责任人、期限"), self.say(_BLANK)),))
        return Table(head, rows, (48, 20, 16, 16)) if rows else blank

    def note(self, note: Happening) -> str:
        return note.reason or self.say(note.text)
