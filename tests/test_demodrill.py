"""When the people of the demo act in its drill: a story of moments and what is asked of them by then."""

from __future__ import annotations

from typing import Any

from edgeagent.catalog import Text
from edgeagent.demodrill import People
from edgeagent.demostory import LEADER, OM
from edgeagent.scenario import Expectation, Scenario, What

EXPECTS = (
    Expectation(What.ACK, "outage", "by 2:00 ack outage", by=120),
    Expectation(What.STEP, "outage", "by 2:00 step outage/tell", "tell", 120),
    Expectation(What.STEP, "outage", "by 3:00 step outage/back", "back", 180),
    Expectation(What.STEP, "outage", "never step outage/carries", "carries", never=True),
)
PEOPLE = Scenario("s", 1, Text("", ""), Text("", ""), "outage", expects=EXPECTS)


def step(id: str, role: str = "leader", ticked: str = "person", state: str = "ready") -> dict[str, str]:
    return {"step": id, "role": role, "ticked": ticked, "state": state}


def run(*steps: dict[str, str], acked_by: str = "") -> dict[str, Any]:
    return {"run_id": "r", "procedure": "outage", "acked_by": acked_by, "steps": list(steps)}


def done(people: People, moment: float, *steps: dict[str, str], acked_by: str = LEADER) -> list[tuple[object, object]]:
    found = people.due([run(*steps, acked_by=acked_by)], moment)
    return [(fields.get("step", "ack"), fields["by"]) for _, fields in found]


def test_people_act_a_while_after_they_are_asked_and_well_before_their_target() -> None:
    people = People(PEOPLE)
    assert done(people, 30, step("tell"), acked_by="") == []
    assert done(people, 59, step("tell"), acked_by="") == []
    assert done(people, 60, step("tell"), acked_by="") == [("ack", LEADER), ("tell", LEADER)]
    assert done(people, 61, step("tell"), acked_by="") == [], "each thing is done once"


def test_what_a_reading_may_say_too_is_left_to_it_for_longer() -> None:
    people = People(PEOPLE)
    back = step("back", "om", "either")
    assert [done(people, at, back) for at in (30, 149, 150)] == [[], [], [("back", OM)]]


def test_nobody_does_what_is_not_asked_or_what_only_a_reading_says() -> None:
    people = People(PEOPLE)
    steps = step("tell", state="waiting"), step("back", ticked="reading"), step("carries", "system")
    assert [done(people, at, *steps) for at in (0, 1000)] == [[], []]


def test_what_the_scenario_does_not_expect_is_done_with_the_last_that_it_does() -> None:
    people = People(PEOPLE)
    assert [done(people, at, step("other")) for at in (30, 79, 80)] == [[], [], [("other", LEADER)]]
