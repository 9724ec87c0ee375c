"""The report of a drill as people and programs read it: marked on every sheet, in both languages, nothing made up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from html import unescape
from typing import Any, Final
from xml.etree import ElementTree as ET

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import document, drilljson, drillrecord, drillreport, drillreview, faultrecord, timeline
from edgeagent.catalog import Text
from edgeagent.document import Document, Table
from edgeagent.drill import End, Verdict
from edgeagent.drillfigures import Judgement
from edgeagent.scenario import Expectation, What
from edgeagent.wording import Names
from tests.drilljournals import DRILL, SCENARIO, Told, drilled
from tests.journals import BASE, SEAT, Journal, outage
from tests.test_reports import HOSTILE, Page

ZONE: Final = timezone(timedelta(hours=8))
LATER: Final = BASE + 50_000
SVG: Final = "{http://www.w3.org/2000/svg}"


def judged(tell: Callable[[Journal], object] = drilled, as_of: float = LATER) -> Judgement:
    journal = Journal()
    tell(journal)
    record = drillreview.of(journal.lines, DRILL, as_of)
    assert record is not None
    return Judgement(record)


def compared() -> Judgement:
    """Judge a drill beside the one before it and a real outage."""
    journal = Journal()
    drilled(journal, "outage-good-start-20261001-0830", -55 * 86_400, ack=90.0)
    drilled(journal)
    before = drillreview.of(journal.lines, "outage-good-start-20261001-0830", LATER)
    real = Journal()
    record = faultrecord.of(real.lines, outage(real).is_now.run_id, LATER)
    assert record is not None
    return replace(judged(), before=before, real=(record,))


def laid_out(found: Judgement, language: str = "zh") -> Document:
    return drillreport.drill(found, language, ZONE)


def markdown(found: Judgement, language: str = "zh") -> str:
    return document.markdown([laid_out(found, language)])


@pytest.mark.parametrize(
    ("language", "title", "mark", "stamp"),
    [
        ("zh", "演练 – 应急演练评估报告", "演练 – 以下内容均非真实故障", "演练"),
        ("en", "EXERCISE – Drill report", "EXERCISE – none of this was real", "EXERCISE"),
    ],
)
def test_a_report_says_that_it_was_a_drill_in_its_title_first_and_on_every_sheet(
    language: str, title: str, mark: str, stamp: str
) -> None:
    found = laid_out(judged(), language)
    written, page = document.markdown([found]), document.html([found])
    assert written.startswith(f"# {title}\n")
    assert written.index(f"> **{mark}**") < written.index("## ")
    assert f"<h1>{title}</h1>" in page
    assert f'<p class="stamp" aria-hidden="true">{stamp}</p>' in page  # what is fixed comes again on every sheet
    assert re.search(r"\.stamp \{ position: fixed", page)
    picture = re.search(r'aria-label="([^"]*)"', page)
    assert picture is not None
    assert picture.group(1).startswith(f"{stamp} – ")


def test_a_report_of_a_real_fault_has_no_stamp() -> None:
    assert '<p class="stamp"' not in document.html([Document("t", "l", "en", ())])


def test_both_languages_are_one_file_with_one_stamp() -> None:
    page = document.html([laid_out(judged(), language) for language in ("zh", "en")])
    assert page.count('<p class="stamp"') == 1
    assert ">演练 EXERCISE</p>" in page
    assert Page(page).tags.count("article") == 2


@pytest.mark.parametrize(
    ("language", "verdict"),
    [
        ("zh", "| **结论** | 6 项预期中 5 项达到、1 项超时；按计划完成 |"),
        ("en", "| **Verdict** | 5 of 6 expectations met, 1 late; completed |"),
    ],
)
def test_the_first_line_says_what_came_of_it(language: str, verdict: str) -> None:
    written = markdown(judged(), language)
    assert verdict in written
    assert written.index(verdict) < written.index("|---|", written.index("## ") + 60)


def test_a_report_tells_all_to_the_second() -> None:
    written = markdown(judged())
    for line in (
        "| **演练场景** | 市电断电，发电机正常启动 (outage-good-start v2) |",
        "| **演练负责人** | 林玥 |",
        "| **确认人** | 陈经理 |",
        "| **结束时间** | 2026-11-25 08:50:10（20 分 10 秒） |",
        "| 0:10 | 08:30:10 | source：电池 | ups-a、ups-b | 已注入 |",
        "| 23:20 | – | genset silent | – | 未进行到 |",
        "已注入<br>未成功：ups-b：battery.charge cannot be written back |",
        "| 告警：市电断电<br>alarm mains.mains-lost | 0:45 | 0:14 | mains.mains-lost | ✓ 达到 |",
        "超时 10 秒 |",
        "| 告警：failed-to-start | 不得出现 | – | – | ✓ 未出现 |",
        "| 市电断电<br>mains.mains-lost | 紧急 | \\+0:14 | 3.8 秒<br>自 0:10 | 0.5 秒 | 58 秒<br>林玥 | \\+9:30 |",
        "1 条由其他告警解释，未通知",
        "| 关闭大厅空调，节约 UPS 电量 | 值班班组长 | 跳过 | 演练中不关闭空调 |",
        "| 关闭非必要电器（冰箱、微波炉） | 值班班组长 | 未完成，超时 15 分 | – |",
        "| 燃油不足<br>genset.fuel-low | \\+3:20 | – |",
        "| 08:35:00 | 王工 | 广播听不清 |",
        "| 给大厅加一只喇叭 | 王工 | 2026-12-31 | 王工 |",
    ):
        assert line in written, line


def test_both_languages_tell_the_same() -> None:
    chinese, english = laid_out(compared(), "zh"), laid_out(compared(), "en")
    shapes = [
        [
            [[type(block).__name__, len(block.rows)] if isinstance(block, Table) else [type(block).__name__]]
            for section in each.sections
            for block in section.blocks
        ]
        for each in (chinese, english)
    ]
    assert shapes[0] == shapes[1]
    assert not re.search(r"[\u4e00-\u9fff]", "".join(section.title for section in english.sections))
    assert all(re.search(r"[\u4e00-\u9fff]", section.title) for section in chinese.sections)


def test_a_drill_stands_beside_the_last_one_and_beside_real_faults() -> None:
    written = markdown(compared())
    assert "真实故障：最近 1 次的中位数" in written
    assert "2026-10-01 08:30:00<br>outage-good-start-20261001-0830" in written
    assert "| 受理 | 1 分 | 1 分 20 秒 | 45 秒 |" in written
    assert "| 柴油发电机启动并带载 | 8 分" in written


def test_without_anything_to_compare_it_says_so() -> None:
    assert "| **以往演练和真实故障** | 无 |" in markdown(judged())


@pytest.mark.parametrize("why", End)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_drill_that_was_broken_off_says_why_and_by_whom(why: End, language: str) -> None:
    def tell(journal: Journal) -> None:
        Told(journal).ended(100, why, "赵强", "真实告警：机房漏水")

    written = unescape(markdown(judged(tell), language))
    assert drillrecord.ENDS[why].zh in written or drillrecord.ENDS[why].en in written
    assert {"zh": "操作人：赵强；真实告警：机房漏水", "en": "by 赵强; 真实告警：机房漏水"}[language] in written


def test_a_speeded_up_drill_warns_that_its_clocks_were_not_true() -> None:
    def tell(journal: Journal) -> None:
        Told(journal, speed=20.0).ended(60)

    assert "> **以 20 倍速运行：用时不真实，不计为一次演练**" in markdown(judged(tell))
    assert "times faster" not in markdown(judged(), "en")


def test_a_running_drill_says_first_that_it_is_not_over() -> None:
    written = markdown(judged(as_of=BASE + 90))
    assert "> **演练尚未结束（2026-11-25 08:31:30）**" in written
    assert "待判定；尚未结束" in written


def test_a_drill_without_expectations_or_injects_is_told_too() -> None:
    def tell(journal: Journal) -> None:
        Told(journal, scenario=replace(SCENARIO, timeline=(), expects=())).ended(60)

    written = markdown(judged(tell))
    assert "| **结论** | 未设预期；按计划完成 |" in written
    assert "## 注入的模拟故障" not in written


def test_a_run_that_nothing_expected_is_a_false_start() -> None:
    def tell(journal: Journal) -> None:
        told = Told(journal)
        told.run(SEAT, "equipment-fault-9", origin=DRILL)
        told.ended(60)

    found = judged(tell)
    assert [record.run.run_id for record in found.record.stray_runs] == ["equipment-fault-9"]
    assert "| 座席设备故障<br>equipment-fault-9 | \\+0:03 |" in markdown(found)


def test_five_thousand_failed_devices_are_one_line() -> None:
    def tell(journal: Journal) -> None:
        told = Told(journal)
        told.injected(10, 0, *(f"pc-{number:04}" for number in range(2000)))
        for number in range(2000):
            told.failed(10, 0, f"pc-{number:04}", "no such point")

    assert "未成功：pc-0000 – pc-1999：no such point |" in markdown(judged(tell))


def test_every_row_of_a_table_has_a_cell_for_each_head() -> None:
    for section in laid_out(compared()).sections:
        for block in section.blocks:
            if isinstance(block, Table):
                assert {len(cells) for _, cells in block.rows} == {len(block.head)}
                assert (len(block.widths), sum(block.widths)) == (len(block.head), 100)


def test_things_are_called_as_the_site_calls_them() -> None:
    names = Names(lambda id: Text(f"<{id}>", f"《{id}》"), site=Text("Centre", "呼叫中心"))
    written = document.markdown([drillreport.drill(judged(), "zh", ZONE, names)])
    assert "《ups-a》、《ups-b》" in written
    assert "呼叫中心 · 市电断电，发电机正常启动" in written


def test_a_step_that_the_scenario_says_never_comes_is_not_among_those_left_undone() -> None:
    never = Expectation(What.STEP, "outage", "never step outage/appliances-off", "appliances-off", never=True)
    found = judged()
    declared = replace(found.record.declared, expects=(*found.record.declared.expects, never))
    record = replace(found.record, held=replace(found.record.held, declared=declared))
    assert {step.words.id for _, step in found.record.undone} == {"hall-cooling-off", "appliances-off"}
    assert {step.words.id for _, step in record.undone} == {"hall-cooling-off"}


# The picture.


def pictured(found: Judgement, language: str = "en") -> list[str]:
    svg = timeline.of_drill(found.record, language, ZONE)
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_has_injects_what_was_expected_alarms_and_steps() -> None:
    words = " ".join(pictured(judged()))
    for word in ("Injects", "Expected and actual", "Alarms", "Response steps", "inject", "partly", "changes slowly"):
        assert word in words
    assert "late 10 s" in words


def test_what_was_missed_and_what_could_not_be_shown_have_a_cross() -> None:
    def tell(journal: Journal) -> None:
        Told(journal).failed(10, 0, "ups-a", "no such point").judged(45, 0, Verdict.MISSED).ended(60)

    svg = timeline.of_drill(judged(tell).record, "en", ZONE)
    assert svg.count('stroke="#8f1d21" stroke-width="2.6"') == 3  # both, and the legend
    assert "not shown" in svg


def test_a_picture_of_many_injects_says_how_many_are_left_out() -> None:
    inject = SCENARIO.timeline[0]
    many = tuple(replace(inject, at=float(at), line=f"at 0:{at:02} x = {at}") for at in range(40))

    def tell(journal: Journal) -> None:
        Told(journal, scenario=replace(SCENARIO, timeline=many)).ended(60)

    assert any("and 20 more" in word for word in pictured(judged(tell)))


# Programs.


def test_programs_get_stable_keys_and_times_that_name_their_zone() -> None:
    found: Mapping[str, Any] = json.loads(orjson.dumps(drilljson.report(compared())))
    assert set(found) == set(drilljson.DrillReportJson.__annotations__)
    running = drilljson.report(judged(as_of=BASE + 90))
    assert set(running) == set(found)
    assert (found["mode"], found["exercise_id"], found["end"], found["over"]) == ("drill", DRILL, "completed", True)
    assert (found["started"], found["ended"]) == ("2026-11-25T00:30:00.000Z", "2026-11-25T00:50:10.000Z")
    assert (found["met"], found["expected"], found["verdicts"]["late"]) == (5, 6, 1)
    assert set(found["verdicts"]) == set(Verdict)
    assert found["runs"][0]["mode"] == "drill"
    assert found["unexpected_alarms"] == ["genset.fuel-low"]
    assert found["improvements"] == [
        {"time": "2026-11-25T01:53:20.000Z", "by": "王工", "text": "给大厅加一只喇叭", "owner": "王工",
         "due": "2026-12-31"}
    ]  # fmt: skip
    assert found["compared"][0]["time"] == "detect"
    assert datetime.fromisoformat(found["injects"][0]["shown"]).timestamp() == BASE + 10.2


# Whatever comes.


@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_people_write_is_read_as_text(hostile: str) -> None:
    def told(words: str) -> Judgement:
        def tell(journal: Journal) -> None:
            scenario = replace(SCENARIO, text=Text(words, words), purpose=Text(words, words))
            drill = Told(journal, scenario=scenario)
            drill.injected(10, 0, words).failed(11, 0, words, words).noted(12, words, words)
            drill.noted(13, words, words, owner=words, due=words).ended(60, End.STOPPED, words, words)

        return judged(tell)

    hostile = hostile.replace("\ud800", "?")
    plain = Page(document.html([laid_out(told("plain"))]))
    found = Page(document.html([laid_out(told(hostile))]))
    assert found.tags == plain.tags
    assert {name for name, _ in found.attributes} == {name for name, _ in plain.attributes}
    assert not re.search(r"<(?!br>)", markdown(told(hostile)))


@given(st.integers(0, 30), st.integers(1, 60), st.floats(0, 6000))
def test_any_piece_of_any_journal_at_any_moment_makes_a_report(dropped: int, kept: int, now: float) -> None:
    journal = Journal()
    drilled(journal)
    record = drillreview.of(journal.lines[dropped : dropped + kept], DRILL, BASE + now)
    if record is not None:
        Page(document.html([laid_out(Judgement(record), "en")]))
        orjson.dumps(drilljson.report(Judgement(record)))
