"""What the feed says of procedures: the record of a run and one event a change."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from typing import Final, get_type_hints

import pytest

from edgeagent.alarm import LONGEST
from edgeagent.catalog import Text
from edgeagent.messages import Keep, Mode, Tree
from edgeagent.procedure import Phase, Procedure, Role, Scope, Step
from edgeagent.run import Evidence, Run, RunChange, RunState, RunVerb, StepRun, StepState
from edgeagent.runfeed import RunRecord, RunTold, gone, messages_of, record, told

TREE: Final = Tree("floor", "hq", "edge-1")
NOW: Final = 1_795_000_000.0
OUTAGE: Final = Procedure(
    "outage", 3, Text("Power outage", "断电"), Scope.SITE, Role.LEADER, (),
    (Step("tell", Text("Tell O&M", "通知运维"), Role.LEADER), Step("carry", Text("Carries", "带载"), Role.SYSTEM)),
)  # fmt: skip
RUN: Final = Run(
    "outage-20261119-0210", "outage", 3, "site", Text("Site", "全场"), OUTAGE.text, Text("Mains lost", "市电断电"),
    RunState.OPEN, Phase.RESPONSE, NOW - 60, NOW - 55,
    (
        StepRun("tell", StepState.DONE, due=NOW, at=NOW - 5, by="li"),
        StepRun("carry", StepState.READY, due=NOW - 1, overdue=True,
                evidence=(Evidence("ups-a", "alarms", frozenset({"b", "a"})),)),
    ),
    alarms=("mains.mains-lost",), standing=("mains.mains-lost",),
)  # fmt: skip


def change(verb: RunVerb, run: Run = RUN, text: str = "x") -> RunChange:
    return RunChange(verb, run, NOW, Text(f"en {text}", f"中文 {text}"), "li", "tell", roles=("leader",))


def test_a_record_has_every_member_of_its_type_and_both_languages() -> None:
    said = record(RUN, OUTAGE, "zh", NOW)
    assert said.keys() == get_type_hints(RunRecord).keys()
    assert (said["short_text"], said["texts"]) == ("市电断电", {"en": "Mains lost", "zh": "市电断电"})
    first, second = said["steps"]
    assert (first["text"], first["target_met"], second["target_met"]) == ("通知运维", True, None)
    assert second["evidence"][0]["value"] == ["a", "b"], "a set has an order on the wire"
    json.dumps(said)


def test_an_event_says_what_happened_in_one_line_and_for_whom() -> None:
    data = told(change(RunVerb.STEP_DONE), "en")
    assert data.keys() == get_type_hints(RunTold).keys()
    assert (data["short_text"], data["roles"], data["step"], data["by"]) == ("en x", ["leader"], "tell", "li")


def test_each_change_is_one_event_and_each_run_one_record() -> None:
    changes = [change(RunVerb.OPENED), change(RunVerb.STEP_DONE), change(RunVerb.ESCALATED)]
    numbers = count(7)
    said = messages_of(changes, lambda _: OUTAGE, TREE, "zh", 2, lambda: next(numbers), NOW)
    assert [message.topic for message in said] == [
        "floor/v1/hq/live/procedure/outage-20261119-0210",
        *["floor/v1/hq/live/event/procedure/outage"] * 3,
    ]
    events = [json.loads(message.body) for message in said[1:]]
    assert [event["seq"] for event in events] == [7, 8, 9]
    assert events[0]["type"] == "edgeagent.procedure.opened"
    assert {event["subject"] for event in events} == {RUN.run_id}
    assert [message.keep for message in said[1:]] == [Keep.RAISE, Keep.INFO, Keep.RAISE]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_drill_says_so_in_every_text_and_topic(language: str) -> None:
    drill = replace(RUN, origin="drill-1")
    said = messages_of([change(RunVerb.OPENED, drill)], lambda _: OUTAGE, TREE, language, 1, lambda: 1, NOW)
    assert all(f"/{Mode.DRILL}/" in message.topic for message in (*said, gone(drill, TREE, NOW)))
    state, event = (json.loads(message.body) for message in said)
    mark = {"en": "EXERCISE", "zh": "演练"}
    for texts in (state["texts"], state["titles"], event["data"]["texts"], *(step["texts"] for step in state["steps"])):
        assert all(texts[code].startswith(mark[code]) for code in mark)
    assert state["exercise_id"] == event["exerciseid"] == "drill-1"
    assert state["short_text"].startswith(mark[language])


def test_a_line_is_no_longer_than_a_phone_shows() -> None:
    data = told(change(RunVerb.NOTED, text="long " * 100), "en")
    assert all(len(text) <= LONGEST for text in data["texts"].values())
