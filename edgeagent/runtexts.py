"""What people are told of a run: one line a change, in both languages, with what counts at its front. Pure.

Owns the words of changes and of refusals. Times in a line are local, to the minute; the records have the seconds.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

from edgeagent import alarm
from edgeagent.alarm import Alarm
from edgeagent.catalog import Text
from edgeagent.procedure import Procedure, Trigger
from edgeagent.run import Run
from edgeagent.scopes import SITE
from edgeagent.wording import duration, local

HEAD: Final = Text("{title}: ", "【{title}】")
HEAD_AT: Final = Text("{title}, {scope}: ", "【{title}】{scope}：")
TITLED: Final = Text("{title} ({kind})", "{title}（{kind}）")
MORE: Final = Text("{lead} (and {more} more)", "{lead}（另有 {more} 条告警）")
OPENED: Final = Text("{summary}; since {onset}", "{summary}，始于 {onset}，启动预案")
OPENED_BY: Final = Text("opened by {by}: {reason}", "{by} 启动预案，原因：{reason}")
LEVEL: Final = Text("; level {level}, restore by {by}", "；故障等级 {level}，须在 {by} 前恢复")
SPARE: Final = Text("; spare seat {spare}", "；可换到备用座席 {spare}")
NO_SPARE: Final = Text("; no healthy spare seat is free", "；暂无可用的备用座席")
AS_IT_IS: Final = Text("{text}", "{text}")
JOINED: Final = Text("also {alarm}", "新增告警：{alarm}")
BESIDE: Final = Text("beside it: {alarm}", "相关告警：{alarm}")
CLEARED: Final = Text("over: {alarm}", "已恢复：{alarm}")
READY: Final = Text("{role}: {step}{by}", "请{role}：{step}{by}")
AWAITED: Final = Text("waited for: {step}{by}", "等待确认：{step}{by}")
BY: Final = Text(" (by {due})", "（{due} 前完成）")
READ: Final = Text("done, as readings show: {step}", "读数确认已完成：{step}")
DONE: Final = Text("{by} has done: {step}{note}", "{by} 已完成：{step}{note}")
NOTE: Final = Text(" ({note})", "（{note}）")
SKIPPED: Final = Text("{by} skips: {step}. Reason: {reason}", "{by} 跳过：{step}，原因：{reason}")
LAPSED: Final = Text("no longer needed: {step}", "故障已恢复，无需再做：{step}")
UNAWAITED: Final = Text("no longer waited for: {step}", "故障已恢复，不再等待：{step}")
OVERDUE: Final = Text("overdue since {due}: {step}", "超过时限（{due}）仍未完成：{step}")
REMINDED: Final = Text("{role}, still to do for {open}: {step}", "提醒{role}，已 {open} 未完成：{step}")
ACK: Final = Text("{by} has taken it on", "{by} 已受理")
ACK_LAPSED: Final = Text(
    "no progress for {ago} since {by} took it on; who has it?", "{by} 受理后 {ago} 无进展，请重新受理"
)
COMMANDER: Final = Text("{by} is in command", "{by} 担任现场指挥")
LEVELLED: Final = Text(
    "fault level {level}: {text}; restore by {restore}", "故障等级 {level}：{text}；须在 {restore} 前恢复"
)
NOTED: Final = Text("{by}: {text}", "{by}：{text}")
FILLED: Final = Text("{by} writes {field}: {text}", "{by} 填写 {field}：{text}")
RECOVERING: Final = Text(
    "fault over at {at} after {took}; recovery steps are due", "故障已于 {at} 恢复，历时 {took}，请完成恢复步骤"
)
RELAPSED: Final = Text("it is back: {summary}", "故障再次出现：{summary}")
CLOSED: Final = Text("closed; {took} from {onset} to {recovered}", "已结束，故障 {onset} 至 {recovered}，历时 {took}")
CLOSED_BY: Final = Text("closed by {by}: {reason}", "{by} 结束预案，原因：{reason}")
ABORTED: Final = Text("aborted by {by}: {reason}", "{by} 中止预案，原因：{reason}")

_REFUSALS: Final = {
    "unknown-run": Text("there is no such run", "没有这次预案记录"),
    "unknown-step": Text("the procedure has no such step", "该预案没有这个步骤"),
    "unknown-level": Text("the procedure has no such fault level", "该预案没有这个故障等级"),
    "unknown-scope": Text("the site has no such area, seat or device", "没有这个区域、座席或设备"),
    "bad-procedure": Text(
        "a procedure's id is lower-case letters, digits and hyphens, 40 at most",
        "预案编号只能用小写字母、数字和连字符，最长 40 个字符",
    ),
    "bad-field": Text(
        "a field's name is lower-case letters, digits and hyphens, 40 at most",
        "字段名只能用小写字母、数字和连字符，最长 40 个字符",
    ),
    "run-ended": Text("the run has ended", "该预案已结束"),
    "already-open": Text("such a run is open already: {run}", "同一预案已在执行：{run}"),
    "already-done": Text("the step is done already", "该步骤已完成"),
    "already-skipped": Text("the step was skipped", "该步骤已跳过"),
    "not-yet": Text("a recovery step comes when the fault is over", "故障恢复后才能做恢复步骤"),
    "reading-only": Text(
        "only readings can tell that this is done; skip it with a reason",
        "该步骤只能由读数确认；可注明原因跳过",
    ),
    "still-standing": Text("the fault still stands; a run ends when it is over", "故障仍在，恢复后才能结束预案"),
    "operator-missing": Text("a name is needed", "必须填写操作人"),
    "reason-missing": Text("a reason is needed", "必须填写原因"),
    "text-missing": Text("there is nothing to write down", "内容不能为空"),
    "too-long": Text("that is too long; 2,000 characters at most", "内容过长，最多 2000 个字符"),
}


class Refused(alarm.Refused):
    """A command about a run that cannot be done. `code` is for programs, `text` for people."""

    def __init__(self, code: str, **words: object) -> None:
        self.code = code
        self.text = _REFUSALS[code].format(**words)
        Exception.__init__(self, f"{code}: {self.text.en}")


class Words:
    """Says it with the site's clock: a zone of None is the host's own."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self.zone = zone

    def say(self, run: Run, template: Text, **words: Text | str | float) -> Text:
        """Fill a line about a run and put before it what it is about."""
        return joined(head_of(run), filled(template, **words))

    def at(self, at: float | None) -> str:
        """Write a moment as the clock on the wall shows it."""
        return "–" if at is None else f"{local(at, self.zone):%H:%M}"

    def opened(self, run: Run, reason: str, spare: Text | None) -> Text:
        """Say that a run is open and what for; the spare seat if one is asked for, no text if none is free."""
        line = (
            self.say(run, OPENED_BY, by=run.opened_by, reason=reason)
            if reason
            else self.say(run, OPENED, summary=run.summary, onset=self.at(run.onset))
        )
        if run.level is not None and run.restore_by is not None:
            line = joined(line, filled(LEVEL, level=run.level, by=self.at(run.restore_by)))
        if spare is not None:
            line = joined(line, filled(SPARE, spare=spare) if spare.zh else NO_SPARE)
        return line


def head_of(run: Run) -> Text:
    """Say what a line about a run begins with: what it is about."""
    return filled(HEAD if run.scope == SITE else HEAD_AT, title=run.text, scope=run.scope_name)


def filled(template: Text, **words: Text | str | float) -> Text:
    """Fill the placeholders of a template, each language with its own words."""
    en = {name: word.en if isinstance(word, Text) else word for name, word in words.items()}
    zh = {name: word.zh if isinstance(word, Text) else word for name, word in words.items()}
    return Text(template.en.format(**en), template.zh.format(**zh))


def joined(*texts: Text) -> Text:
    """Put texts one after the other."""
    return Text("".join(text.en for text in texts), "".join(text.zh for text in texts))


def titled(procedure: Procedure, trigger: Trigger | None) -> Text:
    """Name a procedure, with which of its faults it is."""
    if trigger is None or trigger.text is None:
        return procedure.text
    return filled(TITLED, title=procedure.text, kind=trigger.text)


def summed_up(lead: Alarm, standing: int) -> Text:
    """Say in one line what failed, by the alarm that says it best and how many stand beside it."""
    return filled(MORE, lead=lead.short_text, more=standing - 1) if standing > 1 else lead.short_text


def lasting(seconds: float) -> Text:
    """Write a duration in both languages."""
    return Text(duration(seconds, "en"), duration(seconds, "zh"))


def noted(note: str) -> Text:
    """Write what somebody adds to a line, if anything."""
    return filled(NOTE, note=note) if note else Text("", "")
