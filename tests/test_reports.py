"""Fault records and leader's logs as people read them: headings, numbers, and hostile texts that stay texts."""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from html import unescape
from html.parser import HTMLParser
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import document, faultrecord, reports, shiftlog, shiftreport
from edgeagent.catalog import Text
from edgeagent.document import Document, Facts, Section, Table, Tone
from edgeagent.faultrecord import FaultRecord
from edgeagent.run import RunVerb
from edgeagent.wording import Names, duration, evidence, folded, hour, local, moment, zone_name
from tests.journals import BASE, SEAT, STORIES, Journal, Story, cooling, outage, seat

ZONE: Final = timezone(timedelta(hours=8))
LATER: Final = BASE + 50_000
HOSTILE: Final = (
    '<script>alert(1)</script><img src=x onerror="alert(2)">',
    "a | b\n\n# heading\n- item\n| c |",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png)",
    "`code` **bold** _it_ ~~gone~~ $x$ \\",
    "\x00\x07\x1b[31m\u202e\ufeff\ud800end",
    "</td></tr></table></article>&lt;b&gt;",
    "'; DROP TABLE journal; --",
)


ASKED: Final = {
    "Start": "开始时间", "Recovered": "恢复时间", "Place": "故障地点", "Nature": "故障性质", "Affected": "影响范围",
    "developed": "故障发展过程", "Measures": "处理措施", "Cause": "故障原因", "responsible": "责任人",
    "Follow-up": "后续处理", "prevent": "预防措施",
}  # fmt: skip


class Page(HTMLParser):
    """Takes a page apart, and sees to it that what is opened is closed."""

    VOID: Final = frozenset({"meta", "col", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def told(journal: Journal, story: Story, as_of: float = LATER) -> FaultRecord:
    record = faultrecord.of(journal.lines, story.is_now.run_id, as_of)
    assert record is not None
    return record


def played(name: str) -> FaultRecord:
    journal = Journal()
    return told(journal, STORIES[name](journal))


def markdown(record: FaultRecord, language: str = "zh") -> str:
    return document.markdown([reports.fault(record, language, ZONE)])


def page(record: FaultRecord, language: str = "zh") -> str:
    return document.html([reports.fault(record, language, ZONE)])


@pytest.mark.parametrize(
    ("name", "language", "title"),
    [
        ("system-fault", "zh", "系统故障情况记录表"),
        ("system-fault", "en", "System fault record"),
        ("outage", "zh", "故障记录"),
        ("equipment-fault", "en", "Fault record"),
    ],
)
def test_a_record_is_headed_as_the_form_is(name: str, language: str, title: str) -> None:
    assert markdown(played(name), language).startswith(f"# {title}\n")
    assert f"<h1>{title}</h1>" in page(played(name), language)


@pytest.mark.parametrize("name", STORIES)
def test_a_record_says_all_that_the_form_asks_for_in_both_languages(name: str) -> None:
    record = played(name)
    chinese, english = markdown(record, "zh"), markdown(record, "en")
    for in_english, in_chinese in ASKED.items():
        assert in_chinese in chinese
        assert in_english in english
    for step in record.steps:
        assert step.words.text.zh in chinese
        assert step.words.text.en in unescape(english)


def test_an_outage_reads_to_the_second() -> None:
    said = markdown(played("outage"))
    assert "| **开始时间** | 2026-11-25 08:30:00 |" in said
    assert "| **恢复时间** | 2026-11-25 10:50:30（2 小时 20 分） |" in said
    carried = r"\| 柴油发电机启动并带载 \| 设备自动 \| 7 分 – 10 分 \| 8 分 10 秒 \| 08:38:10 \|.*\| ✓ 8 分 10 秒 \|"
    assert re.search(carried, said)
    assert re.search(r"关闭非必要电器.*\| 5 分 \| 7 分 25 秒 \|.*\| 超时 2 分 25 秒 \|", said)
    assert "区域 10 kV 电缆被施工挖断" in said
    assert "时间均为 UTC+08:00" in said
    assert re.search(r"\| 08:37:00 \| 上报 \| 呼叫中心主管 \|", said)
    assert "| 08:55:00 | 王工 | 供电局答复：区域电缆故障，预计 11 点前恢复 |" in said


def test_a_level_says_its_time_and_whether_it_was_met() -> None:
    assert "| **故障等级** | 1 级：一级，规定恢复时限 30 分，未达标 |" in markdown(played("system-fault"))


def test_a_skipped_step_says_why() -> None:
    said = markdown(played("air-conditioning"))
    assert re.search(r"\| 摆放风扇通风备用 \|.*仓库无备用风扇 \| 跳过 \|", said)
    assert "跳过：摆放风扇通风备用（仓库无备用风扇）" in said


def test_an_open_run_says_so_first() -> None:
    journal = Journal()
    said = markdown(told(journal, outage(journal, until=430), BASE + 432))
    assert said.index("> **故障处理尚未结束：处理中") < said.index("## 故障情况")
    assert "| **恢复时间** | 尚未恢复 |" in said
    assert "（待填写）" in said


def test_a_drill_says_so_first_and_a_trimmed_journal_too() -> None:
    journal = Journal()
    story = journal.run(SEAT, "drill-1", origin="ex-7").done(20, "tell-leader").closed(30)
    journal.lines = journal.lines[1:]
    said = markdown(told(journal, story))
    assert "> **演练 – 非真实故障 (ex-7)**" in said
    assert "日志开头部分已超出保存期限" in said
    english = page(told(journal, story), "en")
    assert '<p class="mark">EXERCISE – not a real fault (ex-7)</p>' in english


def test_both_languages_are_one_file_with_a_sheet_each() -> None:
    record = played("outage")
    documents = [reports.fault(record, language, ZONE) for language in ("zh", "en")]
    found = Page(document.html(documents))
    assert found.tags.count("article") == 2
    assert document.markdown(documents).count("\n# ") == 1


@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_people_write_is_read_as_text(hostile: str) -> None:
    def story_of(words: str) -> FaultRecord:
        journal = Journal()
        text = Text(words, words)
        journal.alarm(1, "raised", "a.b", text)
        story = journal.run(
            SEAT, "seat-1", summary=text, name=text, alarms=("a.b",), affected=(words,), commander=words
        )
        story.done(2, "tell-leader", words, words).skipped(3, "repair", words, words).noted(4, words, words)
        story.filled(5, words, nature=words, cause=words, something_else=words)
        return told(journal, story.closed(9))

    hostile = hostile.replace("\ud800", "?")
    plain, found = Page(page(story_of("plain"))), Page(page(story_of(hostile)))
    assert found.tags == plain.tags
    assert {name for name, _ in found.attributes} == {name for name, _ in plain.attributes}
    shape = [re.sub(r"(?<!\\)\|", "¦", line).count("¦") for line in markdown(story_of("plain")).splitlines()]
    said = markdown(story_of(hostile))
    assert [re.sub(r"(?<!\\)\|", "¦", line).count("¦") for line in said.splitlines()] == shape
    assert not re.search(r"<(?!br>)", said)
    assert not re.search(r"(?<!\\)\[", said)
    assert not re.search(r"[\x00-\x08\x1b\u202e]", said + "".join(found.text))


def test_a_page_asks_for_nothing_and_runs_nothing() -> None:
    written = page(played("outage"))
    found = Page(written)
    assert not {"script", "link", "img", "iframe", "object"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("src", "href")]
    assert "default-src 'none'" in written
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)", written)
    assert "@page" in written


def test_forty_reminders_are_one_line_with_their_number() -> None:
    journal = Journal()
    story = journal.run(SEAT, "seat-1")
    for minute in range(1, 41):
        story.reminded(60 * minute, "repair")
    said = markdown(told(journal, story, BASE + 3000))
    assert said.count("（共 40 次，最后一次 09:10:00）") == 2  # among the reminders and in the story
    assert said.count("提醒：请尽快处理") == 2


def test_a_lone_reminder_is_told_as_it_is() -> None:
    journal = Journal()
    said = markdown(told(journal, journal.run(SEAT, "seat-1").reminded(60, "repair"), BASE + 70))
    assert "共 1 次" not in said
    assert "| 08:31:00 | 提醒 | 值班班组长 | 提醒：请尽快处理<br>维修或更换设备 |" in said


def test_more_alarms_than_fit_are_counted() -> None:
    journal = Journal()
    ids = tuple(f"pc-{number:03}.gone" for number in range(200))
    for id in ids:
        journal.alarm(1, "raised", id)
    assert "另有 140 条告警" in markdown(told(journal, journal.run(SEAT, "seat-1", alarms=ids)))


def test_a_line_that_begins_like_a_list_is_no_list() -> None:
    text = Document("- a", "1. b", "en", (Section("# c", (Facts((("+", "="),)),)),), foot="2) d")
    said = document.markdown([text])
    assert "\n1\\. b" in said
    assert "# \\- a" in said
    assert "\n2\\) d" in said
    assert "| **发布** | 2.4 秒 |" in markdown(played("outage"))


def test_every_row_of_a_table_has_a_cell_for_each_head() -> None:
    for name in STORIES:
        for section in reports.fault(played(name), "zh", ZONE).sections:
            for block in section.blocks:
                if isinstance(block, Table):
                    assert {len(cells) for _, cells in block.rows} == {len(block.head)}
                    assert (len(block.widths), sum(block.widths)) == (len(block.head), 100)


def test_late_and_skipped_rows_can_be_seen() -> None:
    steps = next(
        block for section in reports.fault(played("outage"), "en", ZONE).sections for block in section.blocks
        if isinstance(block, Table)
    )  # fmt: skip
    assert [tone for tone, _ in steps.rows].count(Tone.LATE) == 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_log_says_its_numbers_its_faults_and_who_takes_over(language: str) -> None:
    journal = Journal()
    cooling(journal)
    seat(journal, 17, 5000)
    seat(journal, 23, 9000, over=False)
    log = shiftlog.of(journal.lines, BASE - 1800, BASE + 27_000)
    written = document.html([shiftreport.shift(log, language, ZONE)])
    found = Page(written)
    said = "\n".join(found.text)
    expected = {
        "zh": (
            "组长日志",
            "故障总数",
            "移交下班",
            "平均恢复用时",
            "23 号座席耳机故障",
            "换到 60 号座席",
            "接班人",
            "未恢复",
        ),
        "en": ("Shift leader's log", "handed on", "mean time to recover", "Headset of seat 23", "Takes over"),
    }
    for words in expected[language]:
        assert words in said
    assert "svg" in found.tags


def test_a_quiet_shift_says_so() -> None:
    written = document.html([shiftreport.shift(shiftlog.of([], BASE, BASE + 3600), "zh", ZONE)])
    assert "<td>无</td>" in written
    assert "svg" not in Page(written).tags


@pytest.mark.parametrize(
    ("seconds", "chinese", "english"),
    [
        (0, "0 秒", "0 s"), (-5, "0 秒", "0 s"), (2.4, "2.4 秒", "2.4 s"), (9.96, "10 秒", "10 s"),
        (59.6, "1 分", "1 min"), (490, "8 分 10 秒", "8 min 10 s"), (600, "10 分", "10 min"),
        (8430, "2 小时 20 分", "2 h 20 min"), (3605, "1 小时", "1 h"), (86_400, "1 天", "1 d"),
        (90_061, "1 天 1 小时", "1 d 1 h"),
    ],
)  # fmt: skip
def test_durations_are_told_in_two_units(seconds: float, chinese: str, english: str) -> None:
    assert (duration(seconds, "zh"), duration(seconds, "en")) == (chinese, english)


def test_times_are_local_and_name_their_zone() -> None:
    assert moment(BASE, ZONE) == "2026-11-25 08:30:00"
    assert hour(BASE + 86_400, ZONE, BASE) == "11-26 08:30:00"
    assert zone_name(BASE, timezone(-timedelta(hours=3, minutes=30))) == "UTC-03:30"
    assert moment(BASE, None) == f"{local(BASE, None):%Y-%m-%d %H:%M:%S}"
    assert moment(None, ZONE) == "–"


def test_seats_that_count_up_are_told_as_a_series() -> None:
    names = Names(lambda id: Text(f"<{id}>", f"<{id}>"))
    assert folded(["a-08", "a-09", "a-10", "b", "a-12", "a-13", "9", "99999999999999"], names, "en") == [
        "<a-08> – <a-10>", "<b>", "<a-12>", "<a-13>", "<9>", "<99999999999999>",
    ]  # fmt: skip
    assert folded([], names, "zh") == []


def test_a_reading_is_told_with_names_and_unit() -> None:
    record = played("air-conditioning")
    proof = next(step for step in record.steps if step.run.evidence).run.evidence[0]
    names = Names(lambda _: Text("Sensor", "温湿度"), point=lambda _, __: Text("temperature", "温度"))
    assert evidence(proof, names, "zh") == "温湿度，温度：25.6 °C"
    assert evidence(proof, names, "en") == "Sensor, temperature: 25.6 °C"


@given(st.sampled_from(sorted(STORIES)), st.integers(1, 30), st.integers(0, 30), st.floats(0, 20_000))
def test_any_piece_of_any_journal_at_any_moment_makes_a_record(name: str, kept: int, dropped: int, now: float) -> None:
    journal = Journal()
    run_id = STORIES[name](journal).is_now.run_id
    record = faultrecord.of(journal.lines[dropped : dropped + kept], run_id, BASE + now)
    if record is None:
        assert all(line.kind == "alarm" for line in journal.lines[dropped : dropped + kept])
        return
    Page(page(record))
    assert record.story[0].verb is not RunVerb.OPENED or not record.trimmed
