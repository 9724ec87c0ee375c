"""What people are told of a drill itself: one line a change, in both languages, and why something is refused. Pure.

Owns the words. No line bears the mark of a drill: whoever sends or shows it puts that before it. Times in a line are
local, to the minute; moments of the scenario are m:ss from its start.
"""

from __future__ import annotations

import re
from typing import Final

from edgeagent.catalog import Text
from edgeagent.drill import BROKER, RENEWAL, Drill, DrillRefused, End, Outcome, Verdict
from edgeagent.runtexts import HEAD, filled, joined, lasting
from edgeagent.scenario import Expectation
from edgeagent.wording import SYSTEM

STARTED: Final = Text(
    "exercise started by {owner}{confirmed}; over by {ends} at the latest",
    "演练已开始，负责人 {owner}{confirmed}，最迟 {ends} 结束",
)
CONFIRMED: Final = Text(", confirmed by {by}", "，确认人 {by}")
INJECTED: Final = Text("shown at {moment}: {line}", "{moment} 开始模拟：{line}")
INJECT_FAILED: Final = Text("{device} cannot show this: {line} ({why})", "{device} 无法模拟：{line}（{why}）")
JUDGED: Final = {
    Verdict.MET: Text("came in time, at {moment}{by}: {line}", "{moment} 按时达到{by}：{line}"),
    Verdict.LATE: Text("came late, at {moment}{by}: {line}", "{moment} 才达到，已超时{by}：{line}"),
    Verdict.MISSED: Text("did not come in time: {line}", "未按时达到：{line}"),
    Verdict.BROKEN: Text(
        "came at {moment} and never should have: {line} ({of})", "{moment} 出现了不应出现的情况：{line}（{of}）"
    ),
}
BY: Final = Text(" by {by}", "（{by}）")
RENEWED: Final = Text("{by} goes on with it; to be renewed by {until}", "{by} 确认继续演练，须在 {until} 前再次确认")
RENEW_DUE: Final = Text("nobody has renewed it; it ends by itself at {until}", "请确认继续演练，否则 {until} 自动结束")
NOTED: Final = Text("{by}: {text}", "{by}：{text}")
IMPROVEMENT: Final = Text(
    "to be improved by {owner} until {due}: {text}", "改进事项，责任人 {owner}，{due} 前完成：{text}"
)
ENDED: Final = Text(
    "exercise over: {why}; {good} of {all} as expected", "演练已结束：{why}；{all} 项预期中 {good} 项符合"
)
ENDED_PLAIN: Final = Text("exercise over: {why}", "演练已结束：{why}")
WHY: Final = {
    End.COMPLETED: Text("it is complete", "全部完成"),
    End.TIME: Text("its time is up", "已到规定时间"),
    End.STOPPED: Text("stopped by {by}{reason}", "{by} 叫停{reason}"),
    End.UNLED: Text("nobody renewed it for {pause}", "{pause}内无人确认继续"),
    End.REAL_ALARM: Text("a real alarm: {what}", "出现真实告警：{what}"),
    End.REAL_RUN: Text("a real procedure was started: {what}", "真实预案已启动：{what}"),
    End.CONDITION: Text("a condition on which it ends: {what}", "满足终止条件：{what}"),
    End.BROKER: Text("no session with the broker for {pause}", "已 {pause}未连接消息服务器"),
    End.RESTART: Text("the agent was started anew{reason}", "监控代理已重新启动{reason}"),
    End.FAILED: Text("the agent made an error; the watching goes on", "监控代理内部出错，实际监控不受影响"),
    End.RELOAD: Text("another configuration was taken over{reason}", "已启用新配置{reason}"),
}
REASON: Final = Text(" ({reason})", "（{reason}）")
_MOMENT: Final = re.compile(r"(at|by) [\d:]+ ")
SOMEBODY: Final = Text("somebody", "有人")

REFUSALS: Final = {
    "already-running": Text(
        "an exercise is on already: {drill}, {owner}, until {ends}",
        "已有演练正在进行：{drill}，负责人 {owner}，至 {ends}",
    ),
    "no-drill": Text("no exercise is on", "当前没有演练"),
    "other-drill": Text("another exercise is on: {drill}", "正在进行的是另一场演练：{drill}"),
    "owner-missing": Text("somebody must lead it", "必须指定演练负责人"),
    "second-person-missing": Text(
        "somebody else than its owner must confirm it", "须由负责人以外的第二人确认"
    ),
    "blocked-hours": Text("none may start between {begin} and {end}", "{begin} 至 {end} 期间不得开始演练"),
    "too-fast": Text("it may run {speed} times as fast at most", "演练速度最多为 {speed} 倍"),
    "bad-duration": Text("it lasts 4 hours at most, and not no time", "演练时长须大于 0，最长 4 小时"),
    "operator-missing": Text("a name is needed", "必须填写操作人"),
    "text-missing": Text("there is nothing to write down", "内容不能为空"),
    "too-long": Text("that is too long; 2,000 characters at most", "内容过长，最多 2000 个字符"),
    "improvement-incomplete": Text(
        "an improvement has an owner and a date", "改进事项须有责任人和完成日期"
    ),
    "bad-date": Text("a date is written 2026-11-25", "日期格式为 2026-11-25"),
}  # fmt: skip


def line(drill: Drill, template: Text, **words: Text | str | float) -> Text:
    """Fill a line about a drill and put before it what it rehearses."""
    return joined(filled(HEAD, title=drill.scenario.text), filled(template, **words))


def why(end: End, by: str, reason: str, what: Text | str) -> Text:
    """Say why a drill ended: who or what did it."""
    words = {"what": what, "by": by or SOMEBODY, "reason": maybe(REASON, reason=reason)}
    return filled(WHY[end], pause=lasting(BROKER if end is End.BROKER else RENEWAL), **words)


def judged(drill: Drill, expected: Expectation, outcome: Outcome) -> Text:
    """Say how an expectation stands, and who did what was expected of people."""
    moment = "" if outcome.at is None else clocked(drill.moment(outcome.at))
    by = maybe(BY, by="" if outcome.by == SYSTEM else outcome.by)
    return line(drill, JUDGED[outcome.verdict], moment=moment, by=by, line=expected.line, of=outcome.of)


def refusal(code: str, **words: str) -> tuple[str, Text]:
    """Return a reason why something is not done: its code, and its text."""
    return code, filled(REFUSALS[code], **words)


def refused(code: str, **words: str) -> DrillRefused:
    """Build the exception that says so."""
    return DrillRefused(*refusal(code, **words))


def maybe(template: Text, **words: Text | str) -> Text:
    """Fill a part of a line that is left out where there is nothing to fill it with."""
    return filled(template, **words) if all(words.values()) else Text("", "")


def clocked(moment: float) -> str:
    """Write a moment of the scenario: 0:45, 12:00, 1:05:00."""
    minutes, seconds = divmod(int(max(0.0, moment)), 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours}:{rest:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def bare(line: str) -> str:
    """Return a line of a scenario without its moment, for where that is said already."""
    return _MOMENT.sub("", line, count=1)


def listed(texts: list[Text]) -> Text:
    """Put reasons one after the other."""
    return Text("; ".join(text.en for text in texts), "；".join(text.zh for text in texts))
