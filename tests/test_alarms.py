"""The alarm list told as stories: what happens at which second, and what is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.catalog import AlarmType, Severity
from edgeagent.readings import Reading
from edgeagent.rules import parse
from tests.floor import AT_ONCE, BASE, LATCHED, LOAD, LOST, OFF, ON, SELF, TWO, B, Floor, L, told

STORIES = {
    "unack, acked, clears closed": (
        AT_ONCE,
        [(0, ON), (1, "ack", 1, B), (2, OFF)],
        ["0 raised unack", "1 acknowledged acked", "2 cleared closed", "2 closed closed"],
    ),
    "unack, clears, ack closes": (
        AT_ONCE,
        [(0, ON), (1, OFF), (2, "ack", 1, B)],
        ["0 raised unack", "1 cleared rtn-unack", "2 acknowledged closed", "2 closed closed"],
    ),
    "rtn-unack raised again is unack": (
        AT_ONCE,
        [(0, ON), (1, OFF), (2, ON)],
        ["0 raised unack", "1 cleared rtn-unack", "2 raised unack"],
    ),
    "closed raised again is unack": (
        AT_ONCE,
        [(0, ON), (1, OFF), (2, "ack", 1, B), (3, ON)],
        ["0 raised unack", "1 cleared rtn-unack", "2 acknowledged closed", "2 closed closed", "3 raised unack"],
    ),
    "unack takes an ack back": (
        AT_ONCE,
        [(0, ON), (1, "ack", 1, B), (2, "unack", 1, B), (3, OFF)],
        ["0 raised unack", "1 acknowledged acked", "2 unacknowledged unack", "3 cleared rtn-unack"],
    ),
    "no acknowledgement needed": (
        SELF,
        [(0, ON), (1, OFF)],
        ["0 raised unack", "1 cleared rtn-unack", "1 closed closed"],
    ),
    "latched, ack, reset": (
        LATCHED,
        [(0, ON), (1, OFF), (2, "ack", 1, L), (3, "reset", 1, L)],
        ["0 raised unack", "1 cleared latched-unack", "2 acknowledged latched-acked", "3 reset closed",
         "3 closed closed"],
    ),
    "latched, reset alone closes": (
        LATCHED,
        [(0, ON), (1, OFF), (3, "reset", 1, L)],
        ["0 raised unack", "1 cleared latched-unack", "3 reset closed", "3 closed closed"],
    ),
    "latched raised again is unack": (
        LATCHED,
        [(0, ON), (1, OFF), (2, "ack", 1, L), (3, ON)],
        ["0 raised unack", "1 cleared latched-unack", "2 acknowledged latched-acked", "3 raised unack"],
    ),
    "shelf ends by its time": (
        AT_ONCE,
        [(0, ON), (1, "ack", 1, B), (2, "shelve", 10, B)],
        ["0 raised unack", "1 acknowledged acked", "2 shelved shelved", "12 unshelved unack"],
    ),
    "shelved is still judged": (
        AT_ONCE,
        [(0, ON), (1, "shelve", 10, B), (2, OFF), (3, ON), (4, "unshelve", B)],
        ["0 raised unack", "1 shelved shelved", "2 cleared shelved", "3 raised shelved", "4 unshelved unack"],
    ),
    "a shelf outlives clearing, then closes": (
        AT_ONCE,
        [(0, ON), (1, "ack", 1, B), (2, "shelve", 10, B), (3, OFF)],
        ["0 raised unack", "1 acknowledged acked", "2 shelved shelved", "3 cleared shelved",
         "12 unshelved closed", "12 closed closed"],
    ),
    "suppressed, comes back after settling": (
        AT_ONCE,
        [(0, ON), (1, "ack", 1, B), (2, "suppress", B), (3, "unsuppress", B)],
        ["0 raised unack", "1 acknowledged acked", "2 suppressed suppressed", "8 unsuppressed unack"],
    ),
    "suppressed, over meanwhile": (
        AT_ONCE,
        [(0, ON), (2, "suppress", B), (3, OFF), (4, "unsuppress", B)],
        ["0 raised unack", "2 suppressed suppressed", "9 cleared suppressed", "9 unsuppressed rtn-unack"],
    ),
    "suppressed before it began": (
        AT_ONCE,
        [(0, "suppress", B), (1, ON), (3, "unsuppress", B)],
        ["0 suppressed suppressed", "8 unsuppressed closed", "8 raised unack"],
    ),
    "explained again while settling": (
        AT_ONCE,
        [(0, ON), (1, "suppress", B), (2, "unsuppress", B), (4, "suppress", B)],
        ["0 raised unack", "1 suppressed suppressed"],
    ),
    "out of service tells what is still wrong": (
        AT_ONCE,
        [(0, "out_of_service", BASE + 20, B), (5, ON)],
        ["0 out-of-service out-of-service", "5 raised out-of-service", "20 in-service unack"],
    ),
    "back in service early, all well": (
        AT_ONCE,
        [(0, ON), (1, "ack", 1, B), (2, "out_of_service", BASE + 30, B), (3, OFF), (4, "in_service", B)],
        ["0 raised unack", "1 acknowledged acked", "2 out-of-service out-of-service", "3 cleared out-of-service",
         "4 in-service closed", "4 closed closed"],
    ),
    "silence neither raises nor clears": (
        AT_ONCE,
        [(0, LOST), (1, ON), (2, LOST), (3, ON), (4, LOST), (5, OFF)],
        ["1 raised unack", "5 cleared rtn-unack"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("type", "story", "expected"), STORIES.values(), ids=STORIES.keys())
def test_each_state_is_left_as_the_table_says(
    type: AlarmType, story: list[tuple[object, ...]], expected: list[str]
) -> None:
    assert Floor(type).play(story, until=30) == expected


LEVELS = {
    "on-delay": ([(0, 90)], ["3 raised minor"]),
    "too short": ([(0, 90), (2, 70), (3, 90)], ["6 raised minor"]),
    "deadband holds it": ([(0, 90), (4, 78)], ["3 raised minor"]),
    "off-delay": ([(0, 90), (4, 70)], ["3 raised minor", "8 cleared minor"]),
    "off-delay starts again": ([(0, 90), (4, 70), (7, 90), (9, 70)], ["3 raised minor", "13 cleared minor"]),
    "rises": ([(0, 90), (5, 105)], ["3 raised minor", "6 severity-changed critical"]),
    "straight to critical": ([(0, 105)], ["1 raised critical"]),
    "falls": ([(0, 105), (6, 90)], ["1 raised critical", "10 severity-changed minor"]),
    "falls and clears": ([(0, 105), (6, 10)], ["1 raised critical", "10 cleared critical"]),
    "a time-out freezes the on-delay": ([(0, 90), (2, None), (20, 90)], ["21 raised minor"]),
    "a time-out, then well": ([(0, 90), (2, None), (20, 70)], []),
    "a time-out freezes the off-delay": ([(0, 90), (5, 70), (8, None), (20, 70)],
                                         ["3 raised minor", "21 cleared minor"]),
}  # fmt: skip


@pytest.mark.parametrize(("story", "expected"), LEVELS.values(), ids=LEVELS.keys())
def test_levels_rise_and_fall_by_their_own_delays(story: list[tuple[float, float | None]], expected: list[str]) -> None:
    floor = Floor(LOAD)
    for second, load in story:
        floor.read(second, load=load)
    floor.at(60)
    assert [f"{c.at - BASE:g} {c.verb} {c.alarm.perceived_severity}" for c in floor.changes] == expected


def test_a_rise_wants_a_new_acknowledgement_and_a_fall_does_not() -> None:
    floor = Floor(TWO)
    graded = [(0, {"load": 90}), (1, "ack", 1, "ups-1.graded"), (2, {"load": 110}), (3, "ack", 1, "ups-1.graded"),
              (4, {"load": 90})]  # fmt: skip
    assert floor.play(graded) == [
        "0 raised unack", "1 acknowledged acked", "2 severity-changed unack", "3 acknowledged acked",
        "4 severity-changed acked",
    ]  # fmt: skip


def test_a_rise_to_critical_ends_a_shelf_and_another_rise_does_not() -> None:
    major = replace(TWO, levels=(TWO.levels[0], replace(TWO.levels[1], severity=Severity.MAJOR)))
    story = [(0, {"load": 90}), (1, "shelve", 99, "ups-1.graded"), (2, {"load": 110})]
    assert Floor(TWO).play(story)[2:] == ["2 severity-changed shelved", "2 unshelved unack"]
    assert Floor(major).play(story)[2:] == ["2 severity-changed shelved"]


def test_a_shelf_does_not_hide_an_alarm_that_cleared_and_came_back_critical() -> None:
    floor = Floor(TWO)
    story = [(0, {"load": 90}), (1, "shelve", 99, "ups-1.graded"), (2, {"load": 9}), (3, {"load": 110})]
    assert floor.play(story)[2:] == ["2 cleared shelved", "3 raised shelved", "3 unshelved unack"]


def test_the_type_s_own_clear_must_hold_too() -> None:
    floor = Floor(replace(AT_ONCE, clear=parse("charge > 50")))
    floor.read(0, source="battery", charge=20.0)
    floor.read(1, source="normal")
    floor.read(2, charge=None)
    floor.read(3, charge=60.0, source="battery")
    floor.read(4, source="normal")
    assert told(floor.changes) == ["0 raised unack", "4 cleared rtn-unack"]


def test_a_condition_that_is_true_at_the_first_reading_raises() -> None:
    assert told(Floor(AT_ONCE).read(0, source="battery")) == ["0 raised unack"]


def test_onset_raised_and_announced_are_three_times() -> None:
    floor = Floor(LOAD)
    floor.read(10, since=4, load=90)
    floor.at(20)
    assert told(floor.changes) == ["13 raised unack"]
    floor.alarms.announced("ups-1.load-high", BASE + 21)
    floor.alarms.announced("ups-1.load-high", BASE + 99)
    record = floor.record("ups-1.load-high")
    assert (record.onset, record.raised, record.announced) == (BASE + 4, BASE + 13, BASE + 21)


def test_an_onset_from_a_device_never_lies_ahead() -> None:
    floor = Floor(AT_ONCE)
    floor.read(10, since=99, source="battery")
    assert floor.record().onset == BASE + 10


def test_a_late_tick_tells_the_same_as_one_on_time() -> None:
    floor = Floor(LOAD)
    floor.read(0, load=90)
    now = BASE + 9
    floor.view["ups-1"]["load"] = Reading(10, now)
    changes = floor.alarms.step(floor.view, [("ups-1", "load")], now)
    assert told(changes) == ["3 raised unack"]
    assert changes[0].alarm.alarm_text.en == "UPS 1 carries 90 %, limit 80 %"


def test_a_critical_alarm_that_was_shelved_as_such_stays_shelved() -> None:
    story = [(0, {"load": 110}), (1, "shelve", 40, "ups-1.graded"), (2, {"load": 9}), (3, {"load": 110})]
    assert Floor(TWO).play(story)[2:] == ["2 cleared shelved", "3 raised shelved"]


def test_a_new_raise_is_neither_latched_nor_announced() -> None:
    floor = Floor(LATCHED)
    floor.play([(0, ON), (1, OFF)])
    floor.alarms.announced(L, BASE + 1)
    assert floor.record(L).latched
    floor.read(2, source="battery")
    assert not floor.record(L).latched
    assert floor.record(L).announced is None
    assert floor.record(L).raise_count == 2
