"""What a drill shows and waits for, in words that people on the floor know."""

from __future__ import annotations

import pytest

from edgeagent import drillreview, drillwords
from edgeagent.catalog import Text
from edgeagent.drillrecord import InjectWords
from edgeagent.drillreview import InjectLine
from edgeagent.readings import Value
from edgeagent.scenario import Do, Expectation, What
from edgeagent.wording import Names
from tests.drilljournals import DRILL, Told, drilled
from tests.journals import BASE, Journal

POINTS = {"charge": ("Battery charge", "电池电量", "%"), "source": ("Output source", "供电来源", "")}
NAMES = Names(
    point=lambda _, id: Text(*POINTS[id][:2]) if id in POINTS else Text(id, id), unit=lambda _, id: POINTS[id][2]
)


def shown(
    do: Do, point: str = "", value: Value | None = None, start: float | None = None, over: float = 0.0
) -> InjectLine:
    words = InjectWords(10, "at 0:10 every ups as it is written", do, over, point, value, start)
    return InjectLine(0, words, BASE + 10, ("ups-a",), 1)


SAYS = {
    "a word": (shown(Do.SET, "source", "battery"), "供电来源：电池", "Output source: battery"),
    "a number": (shown(Do.SET, "charge", 40.0), "电池电量：40 %", "Battery charge: 40 %"),
    "a ramp from a value": (
        shown(Do.RAMP, "charge", 40.0, 100.0, 720.0),
        "电池电量：100 → 40 %，历时 12:00",
        "Battery charge: 100 → 40 % over 12:00",
    ),
    "a ramp from what it is": (
        shown(Do.RAMP, "charge", 60.0, None, 480.0),
        "电池电量：历时 8:00 变为 60 %",
        "Battery charge: to 60 % over 8:00",
    ),
    "a sentinel": (shown(Do.MISSING, "charge"), "电池电量：无读数", "Battery charge: no value"),
    "silence": (shown(Do.SILENT), "无应答", "does not answer"),
    "the end of it": (shown(Do.RELEASE), "恢复实际读数", "speaks for itself again"),
    "an old journal": (shown(Do.SET), "every ups as it is written", "every ups as it is written"),
}


@pytest.mark.parametrize(("line", "zh", "en"), SAYS.values(), ids=SAYS.keys())
def test_an_inject_is_said_in_the_words_of_the_site(line: InjectLine, zh: str, en: str) -> None:
    names = Names(point=NAMES.point, unit=lambda id, point: NAMES.unit(id, point) if point else "")
    assert drillwords.inject(line, names, "zh") == zh
    assert drillwords.inject(line, names, "en") == en


def test_what_nobody_shows_stands_as_the_scenario_has_it() -> None:
    line = InjectLine(0, InjectWords(10, "at 0:10 every ups source = battery", Do.SET, 0.0, "source", "battery"))
    assert drillwords.inject(line, NAMES, "zh") == "every ups source = battery"


def test_an_expectation_is_said_in_the_words_of_the_run_and_the_alarm_and_else_by_its_id() -> None:
    journal = Journal()
    drilled(journal)
    record = drillreview.of(journal.lines, DRILL, BASE + 50_000)
    assert record is not None
    said = {
        each.expectation.line: drillwords.expectation(each.expectation, record, "zh") for each in record.expected
    }  # fmt: skip
    assert said["by 0:45 alarm mains.mains-lost"] == "告警：市电断电"
    assert said["by 0:50 run outage"] == "启动预案：断电"
    assert said["never alarm failed-to-start"] == "告警：failed-to-start"
    unknown = Expectation(What.STEP, "security", "by 1:00 step security/look", "look", 60)
    assert drillwords.expectation(unknown, record, "en") == "step: look"


def test_an_inject_whose_moment_is_long_past_and_that_no_device_showed_is_not_of_this_site() -> None:
    journal = Journal()
    Told(journal).ended(120)
    record = drillreview.of(journal.lines, DRILL, BASE + 50_000)
    assert record is not None
    passed = {each.words.line: record.passed(each) for each in record.injects}
    assert passed["at 0:10 every ups source = battery"]
    assert not passed["at 1:00 ups-a battery.runtime = missing"], "it may just not have been polled"
    assert not passed["at 23:20 genset silent"]


@pytest.mark.parametrize(
    ("shown", "until", "passed"),
    [((), 540, True), ((0, 1), 540, False), ((), 60, False)],
    ids=["nothing was shown", "the devices were shown otherwise", "not even the first moment came"],
)
def test_what_takes_back_is_not_of_this_site_where_what_came_before_is_not(
    shown: tuple[int, ...], until: float, passed: bool
) -> None:
    journal = Journal()
    told = Told(journal)
    for number in shown:
        told.injected(10, number, "ups-a")
    told.ended(until)
    record = drillreview.of(journal.lines, DRILL, BASE + 50_000)
    assert record is not None
    released = next(each for each in record.injects if each.words.line == "at 9:00 every ups released")
    assert record.passed(released) is passed
