"""What stands in a leader's log (组长日志), as a document in one language. Pure.

Owns the headings and the order; `document.py` writes it as HTML. The spreadsheet is in `shiftlog.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from edgeagent import timeline
from edgeagent.catalog import Text
from edgeagent.document import Document, Facts, Figures, Lines, Picture, Section, Table, Tone
from edgeagent.shiftlog import Fault, ShiftLog, cells
from edgeagent.wording import NAMELESS, NOTHING, TIMES, Names, duration, hour, moment, said, zone_name

_LONGEST: Final = 200
"""Characters of one measure that are shown."""


def shift(log: ShiftLog, language: str, zone: tzinfo | None, names: Names = NAMELESS) -> Document:
    """Lay a leader's log out."""

    def word(en: str, zh: str) -> str:
        return said(Text(en, zh), language)

    def took(seconds: float | None) -> str:
        return NOTHING if seconds is None else duration(seconds, language)

    total = log.summary
    longest = total.longest
    numbers = (
        (word("faults", "故障总数"), str(total.faults)),
        (word("began in this shift", "本班新发生"), str(total.began)),
        (word("handed on", "移交下班"), str(total.open)),
        (word("mean time to acknowledge", "平均受理用时"), took(total.mean_ack)),
        (word("mean time to recover", "平均恢复用时"), took(total.mean_recovery)),
        (word("longest", "最长故障"), NOTHING if longest is None else took(longest.took)),
    )
    kinds = word(", ", "、").join(f"{said(kind, language)} {count}" for kind, count in total.by_kind.items())
    facts = [(word("By procedure", "按预案"), kinds)] if kinds else []
    if longest is not None:
        told = word("{} ({})", "{}（{}）").format(said(longest.what, language), took(longest.took))
        facts.append((word("Longest fault", "最长故障"), told))
    if total.drills:
        facts.append((word("Exercises, not counted", "演练（不计入统计）"), str(total.drills)))
    tones = {True: Tone.DRILL, False: Tone.PLAIN}
    rows = tuple(
        (Tone.OPEN if fault.end is None else tones[fault.drill is not None], tuple(_row(fault, log, language, zone)))
        for fault in log.faults
    )
    head = (
        word("Start", "开始"), word("Recovered", "恢复"), word("Place", "地点"), word("What failed", "故障内容"),
        word("Level", "等级"), word("Spare seat", "备用座席"), word("Measures", "处理措施"), word("Who", "处理人"),
    )  # fmt: skip
    table = Table(head, rows, (9, 11, 9, 21, 7, 8, 25, 10))
    none = Facts(((word("Faults", "故障"), word("none", "无")),))
    signs = Lines((word("Shift leader:", "值班班组长："), word("Takes over:", "接班人："), word("Date:", "日期：")))
    span = f"{moment(log.since, zone)} – {moment(log.until, zone)}"
    clock = f"{said(TIMES, language)} {zone_name(log.since, zone)}"
    line = " · ".join(filter(None, (said(names.site, language), span, clock)))
    picture = (Picture(timeline.of_shift(log, language, zone)),) if log.faults else ()
    sections = (
        Section(
            word("The shift in numbers", "本班汇总"), (Figures(numbers), *((Facts(tuple(facts)),) if facts else ()))
        ),
        Section(word("The shift in one picture", "本班故障时间线"), picture),
        Section(word("Faults", "故障明细"), (table if rows else none, signs)),
    )
    foot = word("Written by edgeagent from its journal", "由 edgeagent 根据日志生成")
    return Document(word("Shift leader's log", "组长日志"), line, language, sections, foot=foot, wide=True)


def _row(fault: Fault, log: ShiftLog, language: str, zone: tzinfo | None) -> Iterator[str]:
    """Write a fault for the page; the spreadsheet has more columns."""
    full = cells(fault, language, zone)
    affected = said(Text("affected: {}", "影响 {} 个"), language).format(fault.affected) if fault.affected > 1 else ""
    yield hour(fault.start, zone, log.since)
    yield full.recovered if fault.end is None else f"{hour(fault.end, zone, log.since)}\n{full.lasted}"
    yield full.place
    yield "\n".join(filter(None, (full.what, affected, f"{full.procedure} {full.number}".strip())))
    yield full.level
    yield full.spare or NOTHING
    yield "\n".join(map(_brief, (said(each, language) for each in fault.measures))) or NOTHING
    yield full.who or NOTHING


def _brief(text: str) -> str:
    """Cut a note that would fill the page: the record has all of it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
