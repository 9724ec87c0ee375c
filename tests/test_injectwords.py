"""The lines of a scenario: what each way to write one means, and what is said of one that means nothing."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.injectwords import WordError, abort, expectation, inject, moment
from edgeagent.scenario import Do, Expectation, Inject, What, Who
from tests.duty import catalog, shipped

KINDS = catalog().kinds
EVERY = Who("ups")


@pytest.mark.parametrize(
    ("words", "who"),
    [
        pytest.param("ups-a", Who(names=("ups-a",)), id="a device"),
        pytest.param("every ups", Who("ups"), id="every"),
        pytest.param("any ups", Who("ups", optional=True), id="any"),
        pytest.param("one ups", Who("ups", count=1), id="one"),
        pytest.param("12 ups", Who("ups", count=12), id="a number"),
        pytest.param("30% of ups", Who("ups", share=0.3), id="a share"),
        pytest.param("100% of ups in panel-1", Who("ups", share=1, under="panel-1"), id="a share in"),
        pytest.param("every ups in hall", Who("ups", under="hall"), id="every in"),
        pytest.param("12 ups in hall", Who("ups", count=12, under="hall"), id="a number in"),
        pytest.param("seats a009..a011 ups", Who("ups", ("a009", "a010", "a011")), id="seats"),
        pytest.param("seats a1..a3", Who(names=("a1", "a2", "a3")), id="all of seats"),
        pytest.param("seats a7 ups", Who("ups", ("a7",)), id="one seat"),
    ],
)
def test_who_is_meant(words: str, who: Who) -> None:
    assert inject(f"at 0:10 {words} silent", KINDS) == Inject(10, who, Do.SILENT, f"at 0:10 {words} silent")
    assert inject(f"at 0:10 {words} source = battery", KINDS).who == who


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("source = battery", {"do": Do.SET, "point": "source", "value": "battery"}, id="a word"),
        pytest.param("input.voltage = 0", {"do": Do.SET, "point": "input.voltage", "value": 0.0}, id="a number"),
        pytest.param("input.voltage.l2 = 12.5", {"do": Do.SET, "point": "input.voltage.l2", "value": 12.5}, id="a phase"),
        pytest.param("battery.temperature = -5", {"do": Do.SET, "point": "battery.temperature", "value": -5.0}, id="below zero"),
        pytest.param("battery.runtime = missing", {"do": Do.MISSING, "point": "battery.runtime"}, id="missing"),
        pytest.param("alarms = overload,fan-fault", {"do": Do.SET, "point": "alarms", "value": frozenset({"overload", "fan-fault"})}, id="a set"),
        pytest.param("alarms = overload, fan-fault", {"do": Do.SET, "point": "alarms", "value": frozenset({"overload", "fan-fault"})}, id="a set with blanks"),
        pytest.param("alarms = none", {"do": Do.SET, "point": "alarms", "value": frozenset()}, id="an empty set"),
        pytest.param("battery.status = none", {"do": Do.SET, "point": "battery.status", "value": "none"}, id="a word none"),
        pytest.param("alarms + fan-fault", {"do": Do.ADD, "point": "alarms", "value": "fan-fault"}, id="an alarm"),
        pytest.param("alarms - overload.warning", {"do": Do.REMOVE, "point": "alarms", "value": "overload.warning"}, id="an alarm with its grade"),
        pytest.param("battery.charge -> 60 over 8:00", {"do": Do.RAMP, "point": "battery.charge", "value": 60.0, "over": 480.0}, id="a ramp"),
        pytest.param("battery.charge = 100 -> 60 over 8:00", {"do": Do.RAMP, "point": "battery.charge", "value": 60.0, "start": 100.0, "over": 480.0}, id="a ramp with a start"),
        pytest.param("silent", {"do": Do.SILENT}, id="silent"),
        pytest.param("answers", {"do": Do.ANSWERS}, id="answers"),
        pytest.param("released", {"do": Do.RELEASE}, id="released"),
    ],
)  # fmt: skip
def test_what_is_shown(words: str, expected: dict[str, object]) -> None:
    line = f"at 1:02:03 every ups {words}"
    silent = Inject(3723, EVERY, Do.SILENT, line)
    assert inject(line, KINDS) == replace(silent, **expected)  # type: ignore[arg-type]


def test_a_flag_is_true_or_false_and_an_instance_is_a_point() -> None:
    assert inject("at 0:00 contacts door.front = true", KINDS).value is True
    assert inject("at 0:00 every environment smoke = false", KINDS).value is False


def test_a_device_is_read_with_the_words_of_its_own_kind_where_that_is_known() -> None:
    assert inject("at 0:00 x state = running", KINDS).value == "running"
    assert inject("at 0:00 x state = running", KINDS, {"x": "generator"}).value == "running"
    with pytest.raises(WordError, match=r'"running" is no value of state \(known: off, on, standby, idle\)'):
        inject("at 0:00 x state = running", KINDS, {"x": "hvac"})


def test_blanks_do_not_count() -> None:
    assert inject("  at 0:10   ups-a  source =   battery ", KINDS).line == "at 0:10 ups-a source = battery"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("0:10 ups-a silent", 'says when, who and what, for example "at 0:10 every ups source = battery"', id="no at"),
        pytest.param("at 10 ups-a silent", '"10" is no moment; write minutes and seconds, "0:45" or "12:00", or "1:30:00"', id="s alone"),
        pytest.param("at 0:60 ups-a silent", '"0:60" is no moment', id="60 s"),
        pytest.param("at 1:60:00 ups-a silent", '"1:60:00" is no moment', id="60 min of an hour"),
        pytest.param("at 0:10 every usp silent", 'unknown kind "usp", did you mean "ups"?', id="kind"),
        pytest.param("at 0:10 every ups", 'does not say what is shown; write for example "source = battery", or "silent"', id="nothing"),
        pytest.param("at 0:10 0 ups silent", "is about no device at all", id="none"),
        pytest.param("at 0:10 0% of ups silent", '"0%" is no share', id="no share"),
        pytest.param("at 0:10 101% of ups silent", '"101%" is no share', id="more than all"),
        pytest.param("at 0:10 30% ups silent", '"30%" is no share; write for example "30% of workstation"', id="no of"),
        pytest.param("at 0:10 seats a005..a001 ups silent", '"a005..a001" runs backwards', id="seats backwards"),
        pytest.param("at 0:10 seats a01..a1 ups silent", "both ends have as many digits", id="digits of seats"),
        pytest.param("at 0:10 seats a000001..a999999 ups silent", "names 999999 seats; a site has 20000 at the most", id="seats without end"),
        pytest.param("at 0:10 seats a1..a3 upps source = battery", 'unknown kind "upps", did you mean "ups"?', id="kind at seats"),
        pytest.param("at 0:10 ups-a silnt", '"silnt" is nothing to do, did you mean "silent"?', id="verb"),
        pytest.param("at 0:10 ups-a source=battery", '"source=battery" is nothing to do', id="no blanks"),
        pytest.param("at 0:10 ups-a source battery", '"source battery" is not "POINT = VALUE"', id="no operator"),
        pytest.param("at 0:10 ups-a source =", '"source =" is not "POINT = VALUE"', id="no value"),
        pytest.param("at 0:10 every ups sorce = battery", 'unknown point "sorce", did you mean "source"?', id="point"),
        pytest.param("at 0:10 every ups door.front = true", 'unknown point "door.front"', id="point of another kind"),
        pytest.param("at 0:10 every ups source = batery", '"batery" is no value of source, did you mean "battery"?', id="word"),
        pytest.param("at 0:10 every environment smoke = yes", '"yes" is no value of smoke (known: true, false)', id="flag"),
        pytest.param("at 0:10 every ups input.voltage = 0V", '"0V" is no number; input.voltage is a bare number in V', id="unit"),
        pytest.param("at 0:10 every ups battery.charge = 101", "battery.charge cannot be 101: it lies from 0 to 100 %", id="beyond its range"),
        pytest.param("at 0:10 every ups battery.charge = 120 -> 60 over 1:00", "battery.charge cannot be 120", id="start beyond its range"),
        pytest.param("at 0:10 every ups source -> battery over 1:00", 'source is no number, so it changes at once; write "source = VALUE"', id="ramp of a word"),
        pytest.param("at 0:10 every ups battery.charge -> 60", 'is "battery.charge -> VALUE over M:SS", or', id="ramp without end"),
        pytest.param("at 0:10 every ups battery.charge -> 60 over 0:00", 'takes no time; write "battery.charge = 60"', id="ramp without time"),
        pytest.param("at 0:10 every ups battery.charge = 100 90 -> 60 over 1:00", "VALUE over M:SS", id="ramp with two starts"),
        pytest.param("at 0:10 every ups alarms + fan-falt", '"fan-falt" is no alarm of ups, did you mean "fan-fault"?', id="alarm"),
        pytest.param("at 0:10 every ups alarms = fan-fault,", '"" is no alarm of ups', id="comma too many"),
        pytest.param("at 0:10 every ups source + battery", 'source is no set of alarms; write "source = VALUE"', id="member of no set"),
        pytest.param("at 0:10 every ups model = X", "model is a text, and no drill shows another one", id="text"),
        pytest.param("at 0:10 every ups reachable = false", 'no device says "reachable" of itself; write "silent"', id="reachable"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_told_with_the_nearest_word(line: str, told: str) -> None:
    with pytest.raises(WordError) as caught:
        inject(line, KINDS)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("by 0:45 alarm mains.mains-lost", Expectation(What.ALARM, "mains.mains-lost", "", by=45), id="alarm"),
        pytest.param("by 0:45 alarm mains-lost", Expectation(What.ALARM, "mains-lost", "", by=45), id="anywhere"),
        pytest.param("by 0:45 alarm hall.group.offline", Expectation(What.ALARM, "hall.group.offline", "", by=45), id="a group"),
        pytest.param("by 9:30 cleared ups-a.on-battery", Expectation(What.CLEARED, "ups-a.on-battery", "", by=570), id="cleared"),
        pytest.param("by 0:50 run outage", Expectation(What.RUN, "outage", "", by=50), id="run"),
        pytest.param("by 1:00:00 step outage/ups-carries", Expectation(What.STEP, "outage", "", "ups-carries", 3600), id="step"),
        pytest.param("by 12:00 recovered outage", Expectation(What.RECOVERED, "outage", "", by=720), id="recovered"),
        pytest.param("by 20:00 closed outage", Expectation(What.CLOSED, "outage", "", by=1200), id="closed"),
        pytest.param("by 3:00 ack outage", Expectation(What.ACK, "outage", "", by=180), id="ack"),
        pytest.param("never alarm generator-failed-to-start", Expectation(What.ALARM, "generator-failed-to-start", "", never=True), id="never"),
    ],
)  # fmt: skip
def test_what_is_expected(line: str, expected: Expectation) -> None:
    assert expectation(line, KINDS, shipped()) == replace(expected, line=line)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("alarm mains-lost", 'is "by 0:45 alarm mains-lost" or "never run security", one thing a line', id="no moment"),
        pytest.param("by 0:45 alarm", "one thing a line", id="no name"),
        pytest.param("never by 0:45 alarm mains-lost", "one thing a line", id="never by"),
        pytest.param("by 45 run outage", '"45" is no moment', id="moment"),
        pytest.param("by 0:45 alrm mains-lost", '"alrm" is nothing to expect, did you mean "alarm"?', id="what"),
        pytest.param("by 0:45 alarm mains.mains-los", 'unknown alarm type "mains-los", did you mean "mains-lost"?', id="alarm type"),
        pytest.param("by 0:45 cleared on-batery", 'unknown alarm type "on-batery", did you mean "on-battery"?', id="alarm type anywhere"),
        pytest.param("by 0:45 run outtage", 'unknown procedure "outtage", did you mean "outage"?', id="procedure"),
        pytest.param("by 0:45 step outage/ups-carry", 'unknown step of outage "ups-carry", did you mean "ups-carries"?', id="step"),
        pytest.param("by 0:45 run outage/ups-carries", 'is a step; write "step outage/ups-carries", or "run outage"', id="step of a run"),
    ],
)  # fmt: skip
def test_a_wrong_expectation_is_told_with_the_nearest_word(line: str, told: str) -> None:
    with pytest.raises(WordError) as caught:
        expectation(line, KINDS, shipped())
    assert told in str(caught.value)


def test_the_end_is_a_condition_on_any_device_of_a_kind() -> None:
    assert abort("any environment  temperature > 32", KINDS) == (KINDS["environment"], "temperature > 32")
    with pytest.raises(WordError, match='unknown kind "enviroment", did you mean "environment"'):
        abort("any enviroment temperature > 32", KINDS)
    for line in ("environment temperature > 32", "any environment"):
        with pytest.raises(WordError, match='is "any KIND CONDITION"'):
            abort(line, KINDS)


@given(st.integers(0, 4 * 3600))
def test_a_moment_reads_back_however_it_is_written(seconds: int) -> None:
    minutes, rest = divmod(seconds, 60)
    assert moment(f"{minutes}:{rest:02}") == moment(f"{minutes // 60}:{minutes % 60:02}:{rest:02}") == seconds


@given(st.lists(st.sampled_from(
    ["at", "0:10", "every", "12", "30%", "of", "in", "seats", "a1..a3", "ups", "source", "battery.charge", "alarms", "=", "->", "+", "-", "over", "missing", "silent", "60", "battery", "never", "by", "any", "alarm"],
), max_size=12))  # fmt: skip
def test_words_in_any_order_are_read_or_refused_and_nothing_else(words: list[str]) -> None:
    line = " ".join(words)
    for read in (lambda: inject(line, KINDS), lambda: expectation(line, KINDS, shipped()), lambda: abort(line, KINDS)):
        with suppress(WordError):
            read()
