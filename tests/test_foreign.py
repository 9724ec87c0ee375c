"""What others write on the agent's topics: what counts as foreign, and how often a topic is set right."""

from __future__ import annotations

import pytest

from edgeagent.foreign import QUIET, Foreign
from edgeagent.messages import Tree

TREE = Tree("floor", "hq", "edge-1")
STATUS = TREE.own("status")
ALARMS, EVENT = TREE.alarms(), TREE.event("alarm", "critical")
BIRTH, WILL = b"birth", b"will"


@pytest.fixture
def repaired() -> list[str]:
    return []


@pytest.fixture
def watch(repaired: list[str]) -> Foreign:
    watch = Foreign(TREE, WILL, repaired.append)
    watch.begin(BIRTH, 0.0)
    return watch


def test_what_another_wrote_is_heard_of_and_set_right_at_once(watch: Foreign, repaired: list[str]) -> None:
    assert not watch.heard(10.0)
    watch.take(ALARMS, b"all is well", [b"ours"], 10.0)
    assert repaired == [ALARMS]
    assert watch.heard(10.0 + QUIET - 1)
    assert not watch.heard(10.0 + QUIET)


def test_what_we_say_ourselves_is_not_foreign(watch: Foreign, repaired: list[str]) -> None:
    watch.take(ALARMS, b"ours", [b"ours"], 10.0)
    watch.take(STATUS, BIRTH, [], 10.0)
    assert not repaired
    assert not watch.heard(10.0)


def test_our_own_will_of_an_older_connection_is_set_right_without_a_word(watch: Foreign, repaired: list[str]) -> None:
    watch.take(STATUS, WILL, [], 10.0)
    assert repaired == [STATUS]
    assert not watch.heard(10.0)


def test_a_broker_that_hands_our_birth_back_teaches_nothing_until_the_next_connection(
    watch: Foreign, repaired: list[str]
) -> None:
    watch.take(STATUS, BIRTH, [], 0.1)
    watch.take(ALARMS, b"an older one of ours", [b"ours"], 0.2)
    assert watch.deaf
    assert not watch.heard(0.3)
    watch.begin(BIRTH, 20.0)
    watch.take(ALARMS, b"all is well", [b"ours"], 30.0)
    assert watch.heard(30.0)
    assert repaired == [ALARMS]


def test_a_forged_event_is_heard_of_and_nothing_stands_to_be_set_right(watch: Foreign, repaired: list[str]) -> None:
    watch.take(EVENT, b"{}", [], 10.0)
    assert watch.heard(10.0)
    assert not repaired


def test_two_writers_in_a_loop_do_not_feed_each_other(watch: Foreign, repaired: list[str]) -> None:
    for number in range(1000):
        watch.take(ALARMS, b"well", [b"ours"], 10.0 + number / 1000)
    assert repaired == [ALARMS]
    watch.step(11.0)
    assert repaired == [ALARMS, ALARMS]


def test_so_many_topics_at_once_are_set_right_in_turn(watch: Foreign, repaired: list[str]) -> None:
    topics = [TREE.alarm(f"a{number}") for number in range(500)]
    for topic in topics:
        watch.take(topic, b"well", [], 10.0)
    assert len(repaired) == 200
    watch.step(11.0)
    assert len(repaired) == 400
    watch.step(12.0)
    assert sorted(repaired) == sorted(topics)


def test_the_filters_leave_seats_and_commands_alone(watch: Foreign) -> None:
    assert not any("/seat/" in each or "/req/" in each or "/+/alarm" in each for each in watch.filters)
    assert f"floor/v1/{TREE.site}/live/agent/{TREE.agent}/+" in watch.filters
