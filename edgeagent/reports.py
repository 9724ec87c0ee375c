"""What stands in a fault record, as a document in one language. Pure.

Owns the headings (PROCEDURES.md) and the order; `document.py` writes them as Markdown or HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from itertools import groupby
from typing import Final

from edgeagent import timeline
from edgeagent.catalog import Text
from edgeagent.document import Document, Facts, Figures, Lines, Picture, Section, Table, Tone
from edgeagent.faultrecord import FORM, FaultRecord, StepLine
from edgeagent.procedure import Phase
from edgeagent.run import Evidence, RunChange, RunState, RunVerb, StepState
from edgeagent.shiftlog import lapsed, level_of, line_of, measure
from edgeagent.wording import (
    LAPSED,
    NAMELESS,
    NOTHING,
    STATES,
    SYSTEM,
    TIMES,
    Names,
    Speech,
    evidence,
    folded,
    hour,
    moment,
    person,
    role,
    severity,
    zone_name,
)  # fmt: skip

_SHOWN: Final = 40
"""Affected resources, or series of them, that are named."""
_ALARMS: Final = 60
"""Alarms that get a row."""
_ALIKE: Final = 3
"""As many lines of one kind that follow each other become one."""
_FOLDED: Final = frozenset({RunVerb.ALARM_JOINED, RunVerb.ALARM_CLEARED, RunVerb.REMINDED})
_MEASURES: Final = frozenset({
    RunVerb.STEP_DONE, RunVerb.STEP_SKIPPED, RunVerb.NOTED, RunVerb.ACKNOWLEDGED, RunVerb.COMMANDER,
    RunVerb.LEVEL_CHANGED,
})  # fmt: skip
_TITLES: Final = {
    "system-fault": Text("System fault record", "系统故障情况记录表"),
    "security": Text("Incident record", "事件记录"),
    "": Text("Fault record", "故障记录"),
}
_SIGNERS: Final = (
    Text("Shift leader:", "值班班组长："),
    Text("Supervisor:", "呼叫中心主管："),
    Text("Date:", "日期："),
)
_BLANK: Final = Text("(to be filled in)", "（待填写）")
_UNKNOWN: Final = Text("not known", "未知")


def fault(record: FaultRecord, language: str, zone: tzinfo | None, names: Names = NAMELESS) -> Document:
    """Lay a fault record out."""
    return _Fault(record, language, zone, names).document()


def steps(record: FaultRecord, language: str, zone: tzinfo | None, names: Names = NAMELESS) -> tuple[Table, ...]:
    """Lay out the steps of a run alone: target, actual, by whom."""
    return _Fault(record, language, zone, names).steps()


class _Fault(Speech):
    """A fault record being laid out."""

    def __init__(self, record: FaultRecord, language: str, zone: tzinfo | None, names: Names) -> None:
        self.record, self.run = record, record.run
        super().__init__(language)
        self.zone, self.names = zone, names

    def document(self) -> Document:
        record, run = self.record, self.run
        title = self.say(_TITLES.get(run.procedure, _TITLES[""]))
        sections = (
            Section(self.word("The fault", "故障情况"), (Facts(tuple(self.facts())),)),
            Section(self.word("Times since the onset", "处理用时（自故障发生起）"), (Figures(tuple(self.figures())),)),
            Section(self.word("Timeline", "时间线"), (Picture(timeline.of_record(record, self.language, self.zone)),)),
            Section(self.word("Steps: target and actual", "预案步骤：规定与实际"), self.steps()),
            Section(self.word("Measures: what, by whom, when", "处理措施（何时、何人、做了什么）"), self.measures()),
            Section(self.word("Escalations and reminders", "上报与提醒"), self.escalations()),
            Section(self.word("Alarms", "相关告警"), self.alarms()),
            Section(self.word("How it developed", "故障发展过程"), self.story()),
            Section(
                self.word("Review", "总结"),
                (Facts(tuple(self.form())), Lines(tuple(map(self.say, _SIGNERS)))),
            ),
        )
        zone = f"{self.say(TIMES)} {zone_name(run.onset, self.zone)}"
        title_line = (self.say(self.names.site), self.say(record.words.text), run.run_id, zone, self.other_clock())
        line = " · ".join(filter(None, title_line))
        made = self.word("Written by edgeagent from its journal, as of", "由 edgeagent 根据日志生成，截至")
        foot = f"{made} {moment(record.as_of, self.zone)} · {run.procedure} v{run.version}"
        return Document(title, line, self.language, sections, tuple(self.marks()), foot)

    def other_clock(self) -> str:
        """Say by which clock the agent spoke, where it is another than the record's."""
        own, asked = zone_name(self.run.onset, None), zone_name(self.run.onset, self.zone)
        words = self.word("within quoted lines {}", "引述原文中的钟点为 {}")
        return "" if own == asked else words.format(own)

    def at(self, at: float | None) -> str:
        return NOTHING if at is None else hour(at, self.zone, self.run.onset)

    def who(self, change: RunChange) -> str:
        return person(change.by, self.language)

    def doer(self, change: RunChange) -> str:
        """Name who did something: what readings show may have been done by anybody, but not by the agent."""
        shown = change.verb is RunVerb.STEP_DONE and change.by == SYSTEM
        return self.word("(shown by readings)", "（读数确认）") if shown else self.who(change)

    def called(self, id: str) -> str:
        return self.say(self.names.resource(id))

    def marks(self) -> Iterator[str]:
        if self.run.origin is not None:
            yield self.word("EXERCISE – not a real fault", "演练 – 非真实故障") + f" ({self.run.origin})"
        if self.run.state is RunState.ABORTED:
            yield self.word("The run was aborted", "本次处置已中止")
        elif not self.record.over:
            stands = self.word("Not over yet: ", "故障处理尚未结束：") + self.say(STATES[self.run.state])
            yield self.word("{} ({})", "{}（{}）").format(stands, moment(self.record.as_of, self.zone))
        if self.record.trimmed:
            yield self.word("The journal no longer has the beginning", "日志开头部分已超出保存期限，以下内容不完整")

    def facts(self) -> Iterator[tuple[str, str]]:
        record, run = self.record, self.run
        yield self.word("Start", "开始时间"), moment(run.onset, self.zone)
        yield self.word("Recovered", "恢复时间"), self.recovered()
        yield self.word("Place", "故障地点"), self.say(run.scope_name)
        yield self.word("What failed", "故障现象"), self.say(run.summary)
        yield self.say(FORM["nature"]), run.form.get("nature", self.say(_BLANK))
        if run.level is not None or record.words.levels:
            yield self.word("Fault level", "故障等级"), self.level()
        yield self.word("Affected", "影响范围"), self.affected()
        if run.spare is not None:
            yield self.word("Spare seat", "备用座席"), self.called(run.spare)
        yield self.word("State", "状态"), self.say(STATES[run.state])
        yield self.word("In command", "现场指挥"), person(run.commander, self.language) if run.commander else NOTHING
        yield self.word("Opened by", "启动方式"), person(run.opened_by, self.language)

    def recovered(self) -> str:
        run, took = self.run, self.record.times.recover
        if run.recovered is None or took is None:
            return self.word("not yet", "尚未恢复") if not self.record.over else NOTHING
        return self.word("{} ({})", "{}（{}）").format(moment(run.recovered, self.zone), self.took(took))

    def level(self) -> str:
        run, found = self.run, level_of(self.record)
        if found is None:
            return self.say(_UNKNOWN)
        words = self.say(found)
        if run.restore_by is None:
            return words
        limit = f"{self.word('to be restored within', '规定恢复时限')} {self.took(run.restore_by - run.onset)}"
        verdicts = {True: self.word("met", "达标"), False: self.word("not met", "未达标"), None: ""}
        return self.word(", ", "，").join(filter(None, (words, limit, verdicts[self.record.restored])))

    def affected(self) -> str:
        count = self.record.affected
        if not count:
            return NOTHING
        words = folded(self.run.affected, self.names, self.language)
        more = count - len(self.run.affected) + len(words[_SHOWN:])
        rest = "" if more <= 0 else self.word(f" and {more} more", f" 等，另有 {more} 个")
        return f"{count}{self.word(': ', ' 个：')}{self.listed(words[:_SHOWN])}{rest}"

    def figures(self) -> Iterator[tuple[str, str]]:
        times = self.record.times
        yield self.word("detected", "发现"), self.took(times.detect)
        yield self.word("announced", "发布"), self.took(times.announce)
        yield self.word("procedure started", "启动预案"), self.took(times.open)
        yield self.word("acknowledged", "受理"), self.took(times.ack)
        yield self.word("recovered", "恢复"), self.took(times.recover)
        yield self.word("closed", "结束"), self.took(times.close)

    def steps(self) -> tuple[Table, ...]:
        head = (
            self.word("Step", "步骤"), self.word("Role", "责任人"), self.word("Target", "规定"),
            self.word("Actual", "实际"), self.word("Done", "完成时间"), self.word("By", "完成人 / 依据"),
            self.word("Result", "结果"),
        )  # fmt: skip
        rows = tuple((self.tone(step), tuple(self.step(step))) for step in self.record.steps)
        return (Table(head, rows, (23, 11, 10, 11, 10, 22, 13)),) if rows else ()

    def tone(self, step: StepLine) -> Tone:
        if step.met is False:
            return Tone.LATE
        if step.run.state is StepState.SKIPPED:
            return Tone.SKIPPED
        return Tone.PLAIN if step.run.state is StepState.DONE else Tone.OPEN

    def step(self, step: StepLine) -> Iterator[str]:
        run = step.run
        recovery = self.word(" [recovery]", "【恢复】") if step.words.phase is Phase.RECOVERY else ""
        yield self.say(step.words.text) + recovery
        yield role(step.words.role, self.language)
        yield self.target(step)
        yield self.took(step.actual)
        yield self.at(run.at)
        yield self.proof(step)
        yield timeline.result(step, self.language)

    def target(self, step: StepLine) -> str:
        if step.words.opens is not None and step.target is not None:
            return f"{self.took(step.words.opens)} – {self.took(step.target)}"
        return self.took(step.target)

    def proof(self, step: StepLine) -> str:
        """Say who ticked a step, or which readings did, and what was noted."""
        run = step.run
        if not run.settled:
            return NOTHING
        by = [] if run.evidence and run.by in ("", SYSTEM) else [person(run.by, self.language)]
        note = self.say(LAPSED) if step.lapsed else run.note
        return "\n".join(filter(None, (*by, *map(self.proven, run.evidence), note)))

    def proven(self, found: Evidence) -> str:
        """Write what proved a step: a reading, or an alarm that is over."""
        if found != Evidence.cleared(id := f"{found.resource}.{found.point}"):
            return evidence(found, self.names, self.language)
        text = next((self.say(alarm.text) for alarm in self.record.alarms if alarm.alarm_id == id), id)
        return self.word("over: {}", "已恢复：{}").format(text)

    def measures(self) -> tuple[Table, ...]:
        head = (self.word("Time", "时间"), self.word("Who", "处理人"), self.word("What", "处理措施"))
        found = [change for change in self.record.story if change.verb in _MEASURES and not lapsed(change)]
        rows = tuple(
            (Tone.PLAIN, (self.at(change.at), self.doer(change), self.say(measure(change, self.record))))
            for change in found
        )
        return (Table(head, rows, (15, 25, 60)),) if rows else ()

    def escalations(self) -> tuple[Table, ...]:
        kinds = {RunVerb.ESCALATED: self.word("escalation", "上报"), RunVerb.REMINDED: self.word("reminder", "提醒")}
        head = (
            self.word("Time", "时间"),
            self.word("Kind", "类型"),
            self.word("To", "对象"),
            self.word("What", "内容"),
        )
        rows = []
        for change, count, last in self.folded([each for each in self.record.story if each.verb in kinds]):
            told = f"{self.say(line_of(change))}{self.times(count, last)}{self.about(change, roles=False)}"
            tone = Tone.LATE if change.verb is RunVerb.ESCALATED else Tone.PLAIN
            rows.append((tone, (self.at(change.at), kinds[change.verb], self.roles(change) or NOTHING, told)))
        return (Table(head, tuple(rows), (15, 12, 23, 50)),) if rows else ()

    def roles(self, change: RunChange) -> str:
        return self.listed([role(id, self.language) for id in change.roles])

    def alarms(self) -> tuple[Table, ...]:
        head = (
            self.word("Alarm", "告警"), self.word("Severity", "级别"), self.word("Raised", "触发"),
            self.word("Cleared", "恢复"), self.word("Times", "次数"), self.word("Acknowledged", "确认"),
        )  # fmt: skip
        rows = []
        for alarm in self.record.alarms[:_ALARMS]:
            first, last = alarm.spans[0], alarm.spans[-1]
            over = self.word("still there", "未恢复") if last.end is None else self.at(last.end)
            acked = (
                NOTHING if alarm.acked is None else f"{self.at(alarm.acked)} {person(alarm.acked_by, self.language)}"
            )
            cells = (
                f"{self.say(alarm.text)}\n{alarm.alarm_id}", severity(alarm.severity, self.language),
                self.at(first.start), over, str(len(alarm.spans)), acked,
            )  # fmt: skip
            rows.append((Tone.OPEN if last.end is None else Tone.PLAIN, cells))
        more = self.record.alarm_count - len(rows)
        if more > 0:
            text = self.word(f"and {more} more", f"另有 {more} 条告警")
            rows.append((Tone.PLAIN, (text, "", "", "", "", "")))
        return (Table(head, tuple(rows), (38, 10, 13, 13, 8, 18)),) if rows else ()

    def story(self) -> tuple[Table, ...]:
        head = (
            self.word("Time", "时间"),
            self.word("Since onset", "距故障发生"),
            self.word("What happened", "经过"),
            self.word("Who", "操作人"),
        )
        rows = tuple(
            (
                Tone.LATE if change.verb in (RunVerb.STEP_OVERDUE, RunVerb.ESCALATED, RunVerb.RELAPSED) else Tone.PLAIN,
                (
                    self.at(change.at), f"+{self.took(change.at - self.run.onset)}",
                    f"{self.say(line_of(change))}{self.times(count, last)}{self.about(change)}", self.who(change),
                ),
            )
            for change, count, last in self.folded(self.record.story)
        )  # fmt: skip
        return (Table(head, rows, (13, 15, 52, 20)),)

    def folded(self, story: Sequence[RunChange]) -> Iterator[tuple[RunChange, int, float]]:
        """Give each change with how many it stands for, and when the last was: a reminder may come forty times.

        Nothing else happened between them but reminders of other steps.
        """
        for foldable, stretch in groupby(story, key=lambda change: change.verb in _FOLDED):
            alike: dict[tuple[str, ...], list[RunChange]] = {}
            for number, change in enumerate(stretch):
                own = (change.verb, change.step) if foldable else (str(number),)
                alike.setdefault(own, []).append(change)
            few = [(each, 1, each.at) for found in alike.values() if len(found) < _ALIKE for each in found]
            many = [(found[0], len(found), found[-1].at) for found in alike.values() if len(found) >= _ALIKE]
            yield from sorted((*few, *many), key=lambda told: told[0].at)

    def times(self, count: int, last: float) -> str:
        words = self.word(" (×{}, the last at {})", "（共 {} 次，最后一次 {}）")
        return "" if count == 1 else words.format(count, self.at(last))

    def about(self, change: RunChange, *, roles: bool = True) -> str:
        """Add the step's words, the roles and the reason, where the line does not have them already."""
        line = self.say(change.text)
        step = next((self.say(each.words.text) for each in self.record.steps if each.words.id == change.step), "")
        to = self.roles(change) if roles else ""
        added = [
            "" if step in line else step,
            "" if change.reason in line or lapsed(change) else change.reason,
            f"→ {to}" if to else "",
        ]
        return "".join(f"\n{words}" for words in added if words)

    def form(self) -> Iterator[tuple[str, str]]:
        """Give what people filled in, and what nobody has yet."""
        form = self.run.form
        for id, words in FORM.items():
            if id != "nature":
                yield self.say(words), form.get(id, "") or self.say(_BLANK)
        yield from ((id, text) for id, text in form.items() if id not in FORM)
