"""What operators may do to alarms, what they may not, and what keeps alarms from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.alarms import AlarmState, Refused, Verb
from tests.floor import AT_ONCE, BASE, CALM, LOAD, OFF, ON, SELF, VENDOR, B, Floor, S, told

REFUSED = {
    "stale ack": ([(0, ON), (1, OFF), (2, ON)], "ack", (1,), "stale-raise-count"),
    "ack of a raise to come": ([(0, ON)], "ack", (2,), "stale-raise-count"),
    "ack of nothing": ([(0, OFF)], "ack", (1,), "unknown-alarm"),
    "unack of a closed one": ([(0, ON), (1, OFF), (2, "ack", 1, B)], "unack", (1,), "already-closed"),
    "reset while it stands": ([(0, ON)], "reset", (1,), "not-cleared"),
    "shelf of nothing": ([(0, OFF)], "shelve", (60,), "unknown-alarm"),
    "shelf of a closed one": ([(0, ON), (1, OFF), (2, "ack", 1, B)], "shelve", (60,), "already-closed"),
    "shelf over 8 h": ([(0, ON)], "shelve", (8 * 3600 + 1,), "too-long"),
    "shelf without end": ([(0, ON)], "shelve", (float("inf"),), "too-long"),
    "shelf of no time": ([(0, ON)], "shelve", (0,), "end-in-past"),
    "shelf of not a number": ([(0, ON)], "shelve", (float("nan"),), "end-in-past"),
    "shelf of a suppressed one": ([(0, ON), (1, "suppress", B)], "shelve", (60,), "already-suppressed"),
    "out of service until now": ([(0, ON)], "out_of_service", (BASE + 5,), "end-in-past"),
}


@pytest.mark.parametrize(("story", "verb", "words", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_done_is_refused_in_both_languages_and_changes_nothing(
    story: list[tuple[object, ...]], verb: str, words: tuple[object, ...], code: str
) -> None:
    floor = Floor(AT_ONCE)
    floor.play(story)
    before = dict(floor.alarms.records())
    with pytest.raises(Refused) as refused:
        floor.ask(5, verb, *words)
    assert refused.value.code == code
    assert refused.value.text.en
    assert refused.value.text.zh
    assert floor.alarms.records() == before


@pytest.mark.parametrize("verb", ["out_of_service", "suppress", "unsuppress", "unshelve", "in_service"])
def test_an_alarm_that_cannot_exist_is_refused(verb: str) -> None:
    words = (BASE + 99,) if verb == "out_of_service" else ()
    with pytest.raises(Refused, match="unknown-alarm"):
        Floor(AT_ONCE).ask(0, verb, *words, id="ups-1.nonsense")


def test_shelving_and_taking_out_of_service_need_a_name_and_a_reason() -> None:
    floor = Floor(AT_ONCE)
    floor.read(0, source="battery")
    for by, reason, code in [("", "why", "operator-missing"), ("Lin", " ", "reason-missing")]:
        with pytest.raises(Refused, match=code):
            floor.alarms.shelve(B, 60, by, reason, BASE)
        with pytest.raises(Refused, match=code):
            floor.alarms.out_of_service(B, BASE + 60, by, reason, BASE)


def test_a_second_acknowledgement_by_anyone_changes_nothing() -> None:
    floor = Floor(AT_ONCE)
    floor.read(0, source="battery")
    assert len(floor.ask(1, "ack", 1, by="Lin")) == 1
    assert floor.ask(2, "ack", 1, by="Chen") == []
    assert (floor.record().operator, floor.record().operator_time) == ("Lin", BASE + 1)
    floor.read(3, source="normal")
    assert floor.ask(4, "ack", 1, by="Chen") == []


def test_an_acknowledgement_lapses_while_the_alarm_stands() -> None:
    floor = Floor(AT_ONCE, settings=replace(CALM, ack_lapse=100))
    floor.read(0, source="battery")
    floor.ask(1, "ack", 1)
    floor.at(200)
    assert told(floor.changes)[-1] == "101 re-alarmed unack"
    assert floor.record().re_alarm_count == 1
    assert floor.record().raise_count == 1


def test_suppression_says_who_and_why() -> None:
    floor = Floor(AT_ONCE)
    changes = floor.alarms.suppress(B, "causes", "mains-failed explains it", BASE)
    assert (changes[0].by, changes[0].reason) == ("causes", "mains-failed explains it")
    kept = floor.record().suppression
    assert (kept.kind, kept.by, kept.reason) == ("by_design", "causes", "mains-failed explains it")


def test_out_of_service_takes_the_place_of_a_suppression_and_is_judged_again() -> None:
    floor = Floor(AT_ONCE)
    floor.ask(0, "suppress")
    floor.read(1, source="battery")
    floor.ask(2, "out_of_service", BASE + 60)
    assert floor.ask(3, "suppress") == []
    floor.at(4)
    assert told(floor.changes)[-1] == "2 raised out-of-service"


def test_someone_is_reminded_of_what_is_out_of_service() -> None:
    floor = Floor(AT_ONCE, settings=replace(CALM, remind=100))
    floor.ask(0, "out_of_service", BASE + 250)
    floor.at(300)
    assert told(floor.changes)[1:3] == ["100 reminded out-of-service", "200 reminded out-of-service"]
    assert told(floor.changes)[3:] == ["250 in-service closed"]


def test_a_suppression_does_not_use_up_a_delay() -> None:
    floor = Floor(LOAD)
    floor.read(0, load=90)
    floor.ask(2, "suppress", id="ups-1.load-high")
    floor.ask(100, "unsuppress", id="ups-1.load-high")
    floor.at(200)
    assert told(floor.changes)[1:] == ["105 unsuppressed closed", "106 raised unack"]


def test_a_closed_record_stays_for_the_linger_time() -> None:
    floor = Floor(SELF)
    floor.play([(0, ON), (1, OFF)])
    floor.at(50)
    assert floor.record(S).state is AlarmState.CLOSED
    floor.alarms.touched()
    floor.at(51)
    assert S not in floor.alarms.records()
    assert floor.alarms.store(S) is None
    assert S in floor.alarms.touched()


def test_causes_are_written_into_the_record() -> None:
    floor = Floor(AT_ONCE)
    floor.read(0, source="battery")
    changes = floor.alarms.explain(B, ("mains",), ("rack-1",), "causes", "feeds it", BASE + 1)
    assert [change.verb for change in changes] == [Verb.RELATED]
    assert floor.record().root_cause_resource == ("mains",)
    assert floor.alarms.explain(B, ("mains",), ("rack-1",), "causes", "feeds it", BASE + 2) == []


def test_an_acknowledgement_lapses_only_where_people_see_the_alarm() -> None:
    floor = Floor(AT_ONCE, settings=replace(CALM, ack_lapse=10))
    floor.read(0, source="battery")
    floor.ask(1, "shelve", 100)
    floor.ask(2, "ack", 1)
    floor.at(50)
    assert told(floor.changes)[-1] == "2 acknowledged shelved"


def test_a_closed_alarm_that_is_suppressed_stays_listed() -> None:
    floor = Floor(SELF)
    floor.play([(0, ON), (1, OFF)])
    floor.ask(2, "suppress", id=S)
    floor.at(500)
    assert floor.record(S).state is AlarmState.SUPPRESSED


def test_all_members_of_a_set_come_back_with_the_whole() -> None:
    floor = Floor(VENDOR)
    floor.read(0, alarms=frozenset({"unknown-1", "unknown-2"}))
    floor.ask(1, "suppress", id="ups-1.vendor")
    floor.ask(2, "unsuppress", id="ups-1.vendor")
    floor.at(10)
    assert {record.state.value for record in floor.alarms.records().values()} == {"unack", "closed"}


def test_no_timer_is_left_of_a_shelf_that_was_ended() -> None:
    floor = Floor(AT_ONCE)
    floor.read(0, source="battery")
    shelved = floor.alarms.shelve("ups-1.on-battery", 60, "Lin", "tests", BASE + 1)
    assert floor.alarms.next_due() == shelved[0].alarm.suppression.until == BASE + 61
    floor.alarms.unshelve("ups-1.on-battery", "Lin", "", BASE + 2)
    assert floor.alarms.next_due() == BASE + 600  # when the raise no longer counts for a flood
    floor.at(600)
    assert floor.alarms.next_due() is None


def test_the_same_shelf_once_more_changes_nothing_and_another_end_does() -> None:
    floor = Floor(AT_ONCE)
    floor.read(0, source="battery")
    assert len(floor.ask(1, "shelve", 60)) == 1
    assert floor.ask(1, "shelve", 60) == []
    assert len(floor.ask(2, "shelve", 60)) == 1
