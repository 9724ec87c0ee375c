"""The pictures: where a moment lies, what is drawn of a fault and of a shift, and that a hostile text stays a text."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta, timezone
from itertools import pairwise
from typing import Final
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import faultrecord, shiftlog, timeline
from edgeagent.catalog import Severity, Text
from edgeagent.chart import WIDTH, Bar, Chart, Flag, Look, Mark, Row, Shape, draw, scale
from edgeagent.faultrecord import FaultRecord
from edgeagent.run import RunVerb
from tests.journals import BASE, STORIES, Journal, cooling, outage, seat

ZONE: Final = timezone(timedelta(hours=8))
SVG: Final = "{http://www.w3.org/2000/svg}"
HOSTILE: Final = "<script>alert(1)</script>&\"'\x00\x1b\ud800\u202egnp"


def played(name: str = "outage", until: float | None = None) -> FaultRecord:
    journal = Journal()
    story = outage(journal, until=until) if until is not None else STORIES[name](journal)
    record = faultrecord.of(journal.lines, story.is_now.run_id, BASE + (until if until is not None else 50_000))
    assert record is not None
    return record


def words(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


def numbers(svg: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'\b{name}="(-?[\d.]+)"', svg)]


MOMENTS: Final = st.lists(st.integers(0, 10**10).map(lambda ms: ms / 1000), min_size=2, max_size=60, unique=True).map(
    sorted
)


@given(MOMENTS)
def test_time_runs_from_left_to_right_over_the_whole_axis(moments: list[float]) -> None:
    found = scale(moments, 100, 500)
    places = [found.place(at) for at in moments]
    assert places == sorted(places)
    assert (places[0], round(places[-1], 6)) == (100, 500)
    assert found.place(moments[0] - 1) == 100
    assert round(found.place(moments[-1] + 1), 6) == 500


@given(MOMENTS)
def test_a_second_is_as_wide_everywhere_but_where_it_is_cut_short(moments: list[float]) -> None:
    found = scale(moments, 0, 1000)
    for before, after in pairwise(moments):
        width = found.place(after) - found.place(before)
        straight = (after - before) * found.unit
        if (before, after) in found.cuts:
            assert width <= straight / 2 + 1e-6
        else:
            assert width == pytest.approx(straight, abs=1e-6)


def test_a_quiet_stretch_is_cut_short_and_the_busy_ones_are_not() -> None:
    busy = [0.0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600]
    found = scale([*busy, 86_400.0], 0, 400)
    assert found.cuts == ((600, 86_400),)
    assert found.place(600) > 300


def test_two_moments_and_one_need_no_cut() -> None:
    assert scale([5.0], 0, 100).place(5.0) == 0
    assert scale([0.0, 1e6], 0, 100).cuts == ()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", STORIES)
def test_a_fault_is_drawn_with_every_step_and_alarm(name: str, language: str) -> None:
    record = played(name)
    svg = timeline.of_record(record, language, ZONE)
    titles = [title.text for title in ET.fromstring(svg).iter(f"{SVG}title")]
    for text in (*(step.words.text for step in record.steps), *(alarm.text for alarm in record.alarms)):
        assert getattr(text, language) in titles
    assert svg == timeline.of_record(record, language, ZONE)
    assert not re.search(r"\b(nan|inf)\b", svg)
    assert all(-4 <= x <= WIDTH for x in numbers(svg, "x"))  # a mark is drawn round its own 0
    assert all(width >= 0 for width in numbers(svg, "width"))


def test_an_outage_shows_the_generators_window_the_late_step_and_who_heard_of_it() -> None:
    svg = timeline.of_record(played(), "zh", ZONE)
    said = words(svg)
    body = svg.partition("</defs>")[2]
    assert body.count('fill="url(#hatch)"') == 2  # the row and the legend
    assert body.count('fill="url(#late)"') == 2
    assert {"预期时段", "超时", "上报", "提醒", "规定时限"} <= set(said)
    assert {
        "✓ 8 分 10 秒",
        "超时 2 分 25 秒",
        "发现 +2 秒",
        "发布 +2.4 秒",
        "受理 +45 秒",
        "恢复 +2 小时 20 分",
    } <= set(said)
    assert "08:30" in said
    assert "+5 分" in said


def test_the_window_lies_between_seven_and_ten_minutes() -> None:
    record = played()
    chart = Chart("", BASE, BASE + 1200, (Row("", (Bar(BASE + 420, BASE + 600, Look.WINDOW),)),))
    drawn = draw(chart, "zh", ZONE).partition("</defs>")[2]
    window = re.search(r'<rect x="([\d.]+)" [^>]*width="([\d.]+)"[^>]*url\(#hatch', drawn)
    assert window is not None
    found = scale(chart.moments())
    assert float(window[1]) == pytest.approx(found.place(BASE + 420), abs=0.06)
    assert float(window[1]) + float(window[2]) == pytest.approx(found.place(BASE + 600), abs=0.11)
    assert record.steps[4].words.opens == 420


def test_an_open_run_shows_now_and_what_falls_due_next() -> None:
    said = words(timeline.of_record(played(until=430), "zh", ZONE))
    assert "当前 +7 分 10 秒" in said
    assert "08:40" in said  # the generator's window closes ahead of now
    assert said.count("未恢复") == 3
    assert {"未到", "未完成", "超时 2 分 10 秒"} <= set(said)


def test_looks_differ_in_shade_so_that_a_grey_print_can_be_read() -> None:
    chart = Chart("", 0, 100, tuple(Row(look, (Bar(10, 20, look),)) for look in Look))
    fills = re.findall(r'<rect [^>]*rx="1.5" fill="(#\w{6}|url\(#\w+\))"', draw(chart, "en", ZONE))
    assert len(fills) == len(Look)
    greys = {
        look: sum(weight * int(fill[at : at + 2], 16) for weight, at in ((0.3, 1), (0.59, 3), (0.11, 5)))
        for look, fill in zip(Look, fills, strict=True)
        if fill.startswith("#")
    }
    alarms = [greys[look] for look in (Look.CRITICAL, Look.MAJOR, Look.MINOR, Look.WARNING)]
    assert all(lighter - darker >= 30 for darker, lighter in pairwise(alarms))
    assert greys[Look.TARGET] - greys[Look.WORK] >= 60


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_hostile_text_stays_a_text(language: str) -> None:
    hostile = Text(HOSTILE, HOSTILE)
    record = played()
    record = replace(
        record, run=replace(record.run, summary=hostile),
        alarms=tuple(replace(alarm, text=hostile) for alarm in record.alarms),
        steps=tuple(replace(step, words=replace(step.words, text=hostile)) for step in record.steps),
    )  # fmt: skip
    svg = timeline.of_record(record, language, ZONE)
    root = ET.fromstring(svg.encode())
    assert not list(root.iter(f"{SVG}script"))
    assert "<script" not in svg
    assert "\u202e" not in svg


def test_a_long_label_is_cut_and_still_whole_in_its_title() -> None:
    long = "通知系统运维专员和中心经理" * 5
    svg = draw(Chart("", 0, 10, (Row(long),)), "zh", ZONE)
    assert any(word.startswith(long) and word.endswith("…") for word in words(svg))  # the title, then what is shown
    assert svg.count(long) == 1


def test_flags_that_stand_close_are_stacked() -> None:
    flags = tuple(Flag(at, str(at)) for at in (1.0, 1.1, 1.2, 90.0))
    svg = draw(Chart("", 0, 100, (), flags, plain=True), "en", ZONE)
    heights = numbers(svg, "cy")[:4]
    assert len(set(heights[:3])) == 3
    assert heights[3] == heights[0]


def test_a_day_later_the_clock_says_the_date_too() -> None:
    row = Row("", (), (Mark(BASE + 86_400, Shape.DONE),))
    said = words(draw(Chart("", BASE, BASE + 2 * 86_400, (row,)), "en", ZONE))
    assert any(re.fullmatch(r"11-2[67] \d\d:30", word) for word in said)


def test_more_alarms_than_fit_are_counted() -> None:
    record = played("system-fault")
    many = tuple(replace(record.alarms[0], alarm_id=f"seat-{number}.gone") for number in range(40))
    said = words(timeline.of_record(replace(record, alarms=many, alarm_count=400), "en", ZONE))
    assert any(word.startswith("and 386 more") for word in said)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_shift_is_drawn_by_the_clock(language: str) -> None:
    journal = Journal()
    cooling(journal)
    seat(journal, 23, 9000, over=False)
    log = shiftlog.of(journal.lines, BASE - 1800, BASE - 1800 + 8 * 3600)
    said = words(timeline.of_shift(log, language, ZONE))
    assert {"08:00", "10:00", "16:00"} <= set(said)
    assert not any(word.startswith("+") for word in said)
    assert ("未恢复" if language == "zh" else "still there") in said
    assert [fault.severity for fault in log.faults] == [Severity.MAJOR, Severity.MINOR]


def test_reminders_are_drawn_where_they_were() -> None:
    record = played()
    svg = timeline.of_record(record, "en", ZONE)
    reminders = [change for change in record.story if change.verb is RunVerb.REMINDED]
    assert svg.count('d="M0 -7.5V7.5"') == len(reminders) + 1  # and the legend
