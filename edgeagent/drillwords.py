"""Spells what a drill shows and what it waits for in words that people know, from the journal alone. Pure.

Owns no name of a thing: points are called as the caller's `Names` do, alarms, runs and steps as the drill's own were.
What has no such words stays as the scenario has it.
"""

from __future__ import annotations

from typing import Final

from edgeagent.catalog import Text
from edgeagent.drillreview import DrillRecord, InjectLine
from edgeagent.drillreview import names as is_about
from edgeagent.drilltexts import bare, clocked
from edgeagent.scenario import Do, Expectation, What
from edgeagent.wording import Names, said, value

_SHOWS: Final = {
    Do.SET: Text("{point}: {value}", "{point}：{value}"),
    Do.RAMP: Text("{point}: to {value} over {over}", "{point}：历时 {over} 变为 {value}"),
    Do.MISSING: Text("{point}: no value", "{point}：无读数"),
    Do.ADD: Text("{point}: {value} appears", "{point}：出现 {value}"),
    Do.REMOVE: Text("{point}: {value} goes", "{point}：{value} 消失"),
    Do.SILENT: Text("does not answer", "无应答"),
    Do.ANSWERS: Text("answers again", "恢复应答"),
    Do.RELEASE: Text("speaks for itself again", "恢复实际读数"),
}
_FROM: Final = Text("{point}: {start} → {value} over {over}", "{point}：{start} → {value}，历时 {over}")
_WAITS: Final = {
    What.ALARM: Text("alarm: {name}", "告警：{name}"),
    What.CLEARED: Text("alarm cleared: {name}", "告警恢复：{name}"),
    What.RUN: Text("procedure started: {name}", "启动预案：{name}"),
    What.STEP: Text("step: {name}", "步骤：{name}"),
    What.ACK: Text("taken on: {name}", "受理：{name}"),
    What.RECOVERED: Text("fault over: {name}", "故障恢复：{name}"),
    What.CLOSED: Text("procedure closed: {name}", "预案结束：{name}"),
}


def inject(line: InjectLine, names: Names, language: str) -> str:
    """Say what is shown; as the scenario has it where no device of the site shows it."""
    words = line.words
    if not line.devices or (not words.point and words.do not in (Do.SILENT, Do.ANSWERS, Do.RELEASE)):
        return bare(words.line)
    device = line.devices[0]
    unit = names.unit(device, words.point)
    ramp = words.do is Do.RAMP and words.start is not None
    return said(_FROM if ramp else _SHOWS[words.do], language).format(
        point=said(names.point(device, words.point), language), start=value(words.start, "", language),
        value=value(words.value, unit, language), over=clocked(words.over),
    )  # fmt: skip


def expectation(want: Expectation, record: DrillRecord, language: str) -> str:
    """Say what is waited for."""
    return said(_WAITS[want.what], language).format(name=said(_name(want, record), language))


def _name(want: Expectation, record: DrillRecord) -> Text:
    if want.what in (What.ALARM, What.CLEARED):
        alarms = (alarm.line for alarm in record.alarms if is_about(want, alarm.line.alarm_id))
        return next((line.text for line in alarms), Text(want.name, want.name))
    runs = [run for run in record.runs if run.run.procedure == want.name]
    if want.what is not What.STEP:
        return next((run.words.text for run in runs), Text(want.name, want.name))
    steps = (step.words for run in runs for step in run.steps)
    return next((step.text for step in steps if step.id == want.step), Text(want.step, want.step))
