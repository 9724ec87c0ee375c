"""What stands in an alarm record: texts, value, drill, identity."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.alarm import Measured, Rule, texts
from edgeagent.catalog import AlarmType, Level, Severity, Text
from edgeagent.readings import Quality
from edgeagent.rules import parse
from tests.floor import AT_ONCE, LOAD, NONE, Floor


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (27.299999, "27.3"), (27.0, "27"), (100, "100"), (231.04, "231"), (5.128, "5.13"), (0.05, "0.05"),
        (-40.06, "-40.1"),
    ],
)  # fmt: skip
def test_numbers_in_texts_are_short(value: float, written: str) -> None:
    type = replace(NONE, id="x", levels=(Level(Severity.MINOR, parse("temperature > limit"), -1000.5),),
                   text=Text("{value} {unit}/{limit}", "{value}{unit}"))  # fmt: skip
    floor = Floor(type)
    floor.read(0, temperature=value)
    assert floor.record("ups-1.x").alarm_text == Text(f"{written} °C/-1000.5", f"{written}°C")


def test_texts_name_the_thing_in_its_language_and_the_short_one_fits_a_message() -> None:
    floor = Floor(replace(LOAD, text=Text("{name} {value} " + "x" * 200, "{name} 负载 {value}")))
    floor.read(0, load=120)
    floor.at(10)
    record = floor.record("ups-1.load-high")
    assert record.alarm_text.en.startswith("UPS 1 120 xxx")
    assert len(record.short_text.en) == 160
    assert record.short_text.zh == "一号 UPS 负载 120"


def test_the_value_is_that_of_the_raise_and_its_quality_that_of_now() -> None:
    floor = Floor(LOAD)
    floor.read(0, load=90)
    floor.at(10)
    floor.alarms.touched()
    assert floor.read(11, load=None) == []
    value = floor.record("ups-1.load-high").value
    assert value is not None
    assert (value.point, value.value, value.unit, value.limit, value.quality) == ("load", 90, "%", 80, Quality.BAD)
    assert "ups-1.load-high" in floor.alarms.touched()
    floor.read(12, load=91)
    assert floor.record("ups-1.load-high").value == replace(value, quality=Quality.GOOD)


def test_a_drill_s_id_is_carried_by_what_it_raises_and_by_what_it_clears() -> None:
    floor = Floor(AT_ONCE)
    floor.read(0, source="battery", origin="drill-7")
    assert floor.record().origin == "drill-7"
    floor.read(1, source="normal")
    assert floor.record().origin == "drill-7"
    floor.read(2, source="battery")
    assert floor.record().origin is None
    changes = floor.read(3, source="normal", origin="drill-8")
    assert changes[0].alarm.origin == "drill-8"


def test_the_quality_is_bad_while_the_condition_cannot_be_judged() -> None:
    floor = Floor(replace(LOAD, levels=(Level(Severity.MINOR, parse("load > limit and source = battery"), 80),)))
    floor.read(0, load=90, source="battery")
    floor.read(1, source=None)
    value = floor.record("ups-1.load-high").value
    assert value is not None
    assert (value.point, value.quality) == ("load", Quality.BAD)


@pytest.mark.parametrize(
    ("value", "limit", "en", "zh"),
    [
        pytest.param(540.0, 600.0, "9 min (limit 10)", "9 分钟（限值 10）", id="long times in minutes"),
        pytest.param(45.0, 600.0, "0.75 min (limit 10)", "0.75 分钟（限值 10）", id="one unit for both"),
        pytest.param(45.0, 60.0, "45 s (limit 60)", "45 秒（限值 60）", id="short times in seconds"),
    ],
)
def test_times_are_told_as_people_say_them(value: float, limit: float, en: str, zh: str) -> None:
    shown = Text("{value} {unit} (limit {limit})", "{value} {unit}（限值 {limit}）")
    low = AlarmType("low", shown, Text("a", "b"), (), "equipment", "lowBatteryThreshold")
    text, _, _ = texts(Rule("ups", Text("UPS", "UPS"), low), Measured("battery.runtime", value, "s", limit))
    assert (text.en, text.zh) == (en, zh)
