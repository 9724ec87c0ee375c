"""Conditions: three-valued truth, absence, hysteresis and clear errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.readings import PARTIAL, Missing, Quality, Reading, Value
from edgeagent.rules import RuleError, parse


def reading(value: Value | None, reason: str | None = None) -> Reading:
    return Reading(value, 0.0, Quality.BAD if value is None else Quality.GOOD, reason)


VIEW = {
    "source": reading("battery"),
    "battery.charge": reading(40.0),
    "smoke": reading(True),
    "alarms": reading(frozenset({"overload", "oil-pressure.warning"})),
    "battery.time": reading(None, Missing.ABSENT.value),
    "output.load": reading(None, Missing.TIMEOUT.value),
    "temperature": reading(None, "sensor-fault"),
    "test": reading(0.0),
}


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("source = battery", True),
        ("source == normal", False),
        ("source != normal", True),
        ("source in [battery, bypass]", True),
        ("not source in [battery, bypass]", False),
        ("battery.charge < 50", True),
        ("battery.charge >= 40 and battery.charge <= 40", True),
        ("smoke", True),
        ("not smoke", False),
        ("smoke = true", True),
        ("alarms has overload", True),
        ("alarms has oil-pressure", True),
        ("alarms has oil-pressure.shutdown", False),
        ("alarms has oil", False),
        ("output.load > 80", None),
        ("not output.load > 80", None),
        ("output.load > 80 and source = normal", False),
        ("output.load > 80 and source = battery", None),
        ("output.load > 80 or source = battery", True),
        ("output.load > 80 or source = normal", None),
        ("battery.time > 0", None),
        ("battery.time > 0 or source = normal", False),
        ("source = battery and battery.time > 0", None),
        ("source = battery and (absent(battery.time) or battery.time > 0)", True),
        ("unheard.of > 0 or source = battery", True),
        ("unheard.of > 0 or source = normal", False),
        ("absent(unheard.of)", True),
        ("absent(output.load)", None),
        ("unknown(output.load)", True),
        ("unknown(battery.time)", True),
        ("unknown(unheard.of)", True),
        ("unknown(battery.charge)", False),
        ("source = battery and (not output.load > 80 or unknown(output.load))", True),
        ("bad(temperature)", True),
        ("bad(output.load)", None),
        ("bad(battery.time)", False),
        ("bad(battery.charge)", False),
        ("battery.charge > test", True),
        ("source > 4", None),
    ],
)
def test_truth_has_three_values(text: str, truth: bool | None) -> None:
    assert parse(text).holds(VIEW) is truth


def test_a_set_of_which_a_source_is_missing_shows_what_it_has_and_denies_nothing() -> None:
    view = {"alarms": Reading(frozenset({"overload"}), 0.0, Quality.UNCERTAIN, PARTIAL)}
    assert parse("alarms has overload").holds(view) is True
    assert parse("alarms has fan").holds(view) is None
    assert parse("not alarms has fan").holds(view) is None
    assert parse("unknown(alarms)").holds(view) is True


def test_a_limit_is_filled_in_and_slack_relaxes_it_both_ways() -> None:
    high, low = parse("battery.charge > limit"), parse("battery.charge < limit")
    assert high.holds(VIEW, limit=41) is False
    assert high.holds(VIEW, limit=41, slack=2) is True
    assert low.holds(VIEW, limit=39) is False
    assert low.holds(VIEW, limit=39, slack=2) is True
    assert high.holds(VIEW) is None


def test_not_turns_the_slack_round() -> None:
    assert parse("not battery.charge > 39").holds(VIEW) is False
    assert parse("not battery.charge > 39").holds(VIEW, slack=2) is True


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 1e3), st.sampled_from(["<", "<=", ">", ">="]))
def test_slack_only_ever_holds_longer(value: float, limit: float, slack: float, op: str) -> None:
    condition = parse(f"x {op} limit")
    view = {"x": reading(value)}
    if condition.holds(view, limit):
        assert condition.holds(view, limit, slack)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a point is missing at the end"),
        ("source =", "a number or a word is missing at the end"),
        ("source = battery battery", '"battery" is too much'),
        ("(source = battery", '")" is missing at the end'),
        ("source in battery", '"[" is missing before "battery"'),
        ("and smoke", 'a point is missing before "and"'),
        ("alarms has 4", 'an alarm id is missing before "4"'),
        ("source ~ 4", 'cannot read "~ 4"'),
    ],
)
def test_a_broken_condition_says_where(text: str, message: str) -> None:
    with pytest.raises(RuleError, match=message.replace("(", r"\(").replace(")", r"\)").replace("[", r"\[")):
        parse(text)


def test_a_condition_tells_what_it_needs() -> None:
    condition = parse("source in [battery, test] and output.load > limit and alarms has overload and a > b")
    assert condition.points == {"source", "output.load", "alarms", "a", "b"}
    assert condition.uses_limit
    assert condition.words == {("source", "battery"), ("source", "test"), ("alarms", "overload")}


def test_points_can_be_renamed_without_touching_longer_names() -> None:
    condition = parse("door and door.front and indoor = door")
    assert condition.renamed({"door": "door.back"}).points == {"door.back", "door.front", "indoor"}
