"""Many alarms at once: chatter, floods, who was first, the order of a step, the members of a set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.alarms import AlarmState, Rule, Settings, Verb
from edgeagent.catalog import Level, Severity
from edgeagent.readings import PARTIAL, Quality, Reading
from edgeagent.rules import parse
from tests.floor import AT_ONCE, BASE, LOAD, NAME, OFF, ON, SELF, TWO, VENDOR, Floor, many, told


def test_chatter_is_told_once_and_held_until_it_is_quiet() -> None:
    floor = Floor(AT_ONCE, settings=Settings(chatter_quiet=600))
    for second in range(0, 100, 10):
        floor.read(second, source="battery" if second % 20 == 0 else "normal")
    floor.at(2000)
    assert told(floor.changes) == [
        "0 raised unack", "10 cleared rtn-unack", "20 raised unack", "30 cleared rtn-unack", "40 raised unack",
        "40 oscillating unack", "680 steadied unack", "680 cleared rtn-unack",
    ]  # fmt: skip


def test_a_time_out_is_not_quiet() -> None:
    floor = Floor(AT_ONCE, settings=Settings(chatter_quiet=600))
    for second in range(0, 60, 10):
        floor.read(second, source="battery" if second % 20 == 0 else "normal")
    floor.read(140, source=None)
    floor.at(5000)
    floor.read(5000, source="normal")
    floor.at(9000)
    assert told(floor.changes)[-2:] == ["5500 steadied unack", "5500 cleared rtn-unack"]


def test_a_steadied_alarm_that_still_stands_stays_raised() -> None:
    floor = Floor(AT_ONCE, settings=Settings(chatter_quiet=600))
    for second in range(0, 50, 10):
        floor.read(second, source="battery" if second % 20 == 0 else "normal")
    floor.at(2000)
    assert told(floor.changes)[-1] == "640 steadied unack"
    assert not floor.record().is_cleared


def test_a_flood_begins_above_ten_and_ends_below_five() -> None:
    floor = Floor(rules=many(20), settings=Settings(linger=10_000))
    for number in range(11):
        floor.read(number * 10, f"pc-{number:02}", source="battery")
        assert floor.alarms.flooding is (number == 10)
    assert floor.changes[-1].verb is Verb.FLOOD_BEGIN
    assert floor.changes[-1].alarm.alarm_id == "agent.alarm-flood"
    assert floor.changes[-1].alarm.alarm_text.en == "11 new alarms, more than can be read one by one"
    floor.at(659.9)
    assert floor.alarms.flooding
    floor.at(661)  # the raises at 70, 80, 90 and 100 are the four that are left once that at 60 is ten minutes old
    assert told(floor.changes)[-2:] == ["660 flood-end rtn-unack", "660 closed closed"]
    assert not floor.alarms.flooding


def test_what_people_do_not_see_is_no_flood() -> None:
    floor = Floor(rules=many(20))
    for rule in many(20):
        floor.alarms.out_of_service(rule.id, BASE + 5000, "Lin", "works", BASE)
    for number in range(20):
        floor.read(number, f"pc-{number:02}", source="battery")
    assert not floor.alarms.flooding


def first_outs(floor: Floor) -> dict[str, tuple[bool, tuple[str, ...]]]:
    return {id: (alarm.first_out, alarm.related_alarm) for id, alarm in floor.alarms.records().items()}


def test_the_first_within_five_seconds_leads_the_others() -> None:
    floor = Floor(rules=[replace(rule, group="row-a") for rule in many(3)])
    floor.read(0, "pc-01", source="battery")
    floor.read(5, "pc-00", source="battery")
    floor.read(6, "pc-02", source="battery")
    assert first_outs(floor) == {
        "pc-01.on-battery": (True, ()),
        "pc-00.on-battery": (False, ("pc-01.on-battery",)),
        "pc-02.on-battery": (True, ()),
    }


def test_an_earlier_onset_takes_the_lead_from_one_that_was_told_sooner() -> None:
    floor = Floor(LOAD, AT_ONCE)
    floor.read(0, load=90)
    floor.read(1, source="battery")
    floor.at(10)
    assert told(floor.changes) == ["1 raised unack", "3 raised unack", "3 related unack"]
    assert first_outs(floor) == {
        "ups-1.load-high": (True, ()),
        "ups-1.on-battery": (False, ("ups-1.load-high",)),
    }


def test_one_step_tells_the_cause_first_and_what_falls_last() -> None:
    worst = replace(AT_ONCE, levels=(replace(AT_ONCE.levels[0], severity=Severity.CRITICAL),))
    over = replace(SELF, id="over", levels=(Level(Severity.MINOR, parse("source = normal")),))
    floor = Floor(TWO, worst, SELF, replace(SELF, id="a-late"), over)
    floor.read(0, source="normal")
    floor.changes.clear()
    now = BASE + 10
    floor.view["ups-1"] = {"source": Reading("battery", now), "load": Reading(120, now)}
    changes = floor.alarms.step(
        floor.view, [("ups-1", "load"), ("ups-1", "source")], now, {("ups-1", "source"): BASE + 7}
    )
    assert [(change.alarm.alarm_type_id, str(change.verb)) for change in changes] == [
        ("on-battery", "raised"), ("a-late", "raised"), ("event", "raised"), ("graded", "raised"),
        ("over", "cleared"), ("over", "closed"),
    ]  # fmt: skip
    assert [change.alarm.first_out for change in changes if change.verb is Verb.RAISED] == [True, False, False, False]


def test_each_member_of_a_set_is_an_alarm_of_its_own() -> None:
    floor = Floor(VENDOR)
    floor.read(0, alarms=frozenset({"testing", "overload.warning", "unknown-7", "Fan Fail"}))
    floor.read(1, alarms=None)
    floor.read(2, alarms=frozenset({"unknown-7"}))
    assert [(c.verb.value, c.alarm.alarm_id) for c in floor.changes] == [
        ("raised", "ups-1.vendor.fan-fail"), ("raised", "ups-1.vendor.unknown-7"), ("cleared", "ups-1.vendor.fan-fail"),
    ]  # fmt: skip
    record = floor.record("ups-1.vendor.fan-fail")
    assert record.alarm_type_qualifier == "Fan Fail"
    assert record.alarm_text.zh == "一号 UPS：Fan Fail"


def test_a_set_that_was_read_in_part_raises_what_it_shows_and_clears_nothing() -> None:
    floor = Floor(VENDOR)
    floor.read(0, alarms=frozenset({"unknown-1"}))
    part = Reading(frozenset({"unknown-2"}), BASE + 1, Quality.UNCERTAIN, PARTIAL)
    floor.view["ups-1"] = {"alarms": part}
    floor.changes += floor.alarms.step(floor.view, [("ups-1", "alarms")], BASE + 1)
    floor.read(2, alarms=frozenset())
    assert [f"{c.at - BASE:g} {c.verb} {c.alarm.alarm_type_qualifier}" for c in floor.changes] == [
        "0 raised unknown-1", "1 raised unknown-2", "2 cleared unknown-1", "2 cleared unknown-2",
    ]  # fmt: skip


def test_members_are_out_of_service_with_the_whole_even_if_they_come_later() -> None:
    floor = Floor(VENDOR)
    floor.read(0, alarms=frozenset({"unknown-1"}))
    floor.ask(1, "out_of_service", BASE + 50, id="ups-1.vendor")
    floor.read(2, alarms=frozenset({"unknown-1", "unknown-2"}))
    states = {id: record.state.value for id, record in floor.alarms.records().items()}
    assert set(states.values()) == {"out-of-service"}
    assert len(states) == 3
    floor.ask(10, "in_service", id="ups-1.vendor")
    assert floor.record("ups-1.vendor.unknown-2").state is AlarmState.UNACK


@pytest.mark.parametrize(
    ("qualifier", "id"),
    [
        ("", "ups-1.on-battery"),
        ("l1", "ups-1.on-battery.l1"),
        ("1.3.6.1", "ups-1.on-battery.1.3.6.1"),
        ("Fan #2/+x", "ups-1.on-battery.fan-2-x"),
        ("前门", "ups-1.on-battery.14b04bbf"),
        ("#", "ups-1.on-battery.70659eff"),
    ],
)
def test_an_alarm_id_is_fit_for_a_topic(qualifier: str, id: str) -> None:
    assert Rule("ups-1", NAME, AT_ONCE, qualifier).id == id


def test_two_rules_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="ups-1"):
        Floor(AT_ONCE, AT_ONCE)


def test_three_raises_in_more_than_a_minute_are_no_chatter() -> None:
    floor = Floor(AT_ONCE, settings=Settings())
    for second, source in [(0, "battery"), (10, "normal"), (30, "battery"), (40, "normal"), (61, "battery")]:
        floor.read(second, source=source)
    assert Verb.OSCILLATING not in {change.verb for change in floor.changes}


def test_an_alarm_never_follows_itself() -> None:
    floor = Floor(AT_ONCE)
    floor.play([(0, ON), (1, OFF), (2, ON)])
    assert first_outs(floor) == {"ups-1.on-battery": (True, ())}


def test_nobody_follows_an_alarm_that_is_no_longer_listed() -> None:
    floor = Floor(SELF, TWO)
    floor.play([(0, ON), (1, OFF)], until=100)
    assert not floor.alarms.records()
    floor.read(101, since=2, load=90)
    assert first_outs(floor) == {"ups-1.graded": (True, ())}


def test_a_flood_that_was_suppressed_comes_back_until_the_count_ends_it() -> None:
    floor = Floor(rules=many(20), settings=Settings(linger=10_000))
    for number in range(11):
        floor.read(number, f"pc-{number:02}", source="battery")
    floor.changes.clear()
    floor.ask(20, "suppress", id="agent.alarm-flood")
    floor.ask(21, "unsuppress", id="agent.alarm-flood")
    floor.at(1000)
    assert told(floor.changes) == [
        "20 suppressed suppressed", "26 unsuppressed unack", "606 flood-end rtn-unack", "606 closed closed",
    ]  # fmt: skip


def test_what_a_step_s_timers_do_to_the_flood_alarm_is_told_before_the_raises_it_counts() -> None:
    floor = Floor(LOAD, rules=many(20), settings=Settings(linger=10_000))
    for number in range(10):
        floor.read(number, f"pc-{number:02}", source="battery")
    floor.ask(10, "out_of_service", BASE + 15, id="agent.alarm-flood")
    floor.read(12, load=90)
    floor.at(15)
    assert told(floor.changes[-3:]) == ["15 in-service closed", "15 raised unack", "15 flood-begin unack"]
