"""What the feed says of drills: the notice of the live lane, the progress on the drill lane, one event a change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, get_type_hints

import pytest

from edgeagent.alarm import LONGEST
from edgeagent.catalog import Text
from edgeagent.drill import Drill, DrillChange, DrillVerb, End, Outcome, Verdict
from edgeagent.drillfeed import (
    MOST,
    VERDICTS,
    ExerciseEnded,
    ExerciseNotice,
    ExerciseProgress,
    ExerciseTold,
    ended,
    event,
    notice,
    progress,
    told,
)
from edgeagent.drillrecord import ENDS
from edgeagent.messages import Mode, Tree, stamp
from edgeagent.scenario import Do, Expectation, Inject, Scenario, What, Who

TREE: Final = Tree("floor", "hq", "edge-1")
NOW: Final = 1_795_000_000.0
MARK: Final = {"en": "EXERCISE – ", "zh": "演练 – "}
SCENARIO: Final = Scenario(
    "outage-good-start", 2, Text("Mains outage", "市电断电"), Text("Everybody knows the way", "人人熟悉流程"), "outage",
    timeline=(
        Inject(10, Who("ups"), Do.SET, "at 0:10 every ups source = battery", "source", "battery"),
        Inject(540, Who("ups"), Do.RELEASE, "at 9:00 every ups released"),
    ),
    expects=(
        Expectation(What.ALARM, "mains.mains-lost", "by 0:45 alarm mains.mains-lost", by=45),
        Expectation(What.ACK, "outage", "by 3:00 ack outage", by=180),
        Expectation(What.ALARM, "fuel-low", "never alarm fuel-low", never=True),
    ),
)  # fmt: skip
DRILL: Final = Drill(
    "outage-good-start-20261119-0210", SCENARIO, "li", "wang", NOW - 60, NOW + 1740, NOW + 240,
    scope=frozenset({"mains", "ups-b", "ups-a"}), devices=frozenset({"ups-b", "ups-a"}), done=1,
    outcomes=(Outcome(Verdict.MET, NOW - 20, "mains.mains-lost"), Outcome(), Outcome()),
)  # fmt: skip
OVER: Final = replace(
    DRILL, ended=NOW, end=End.STOPPED, ended_by="zhao", reason="a fire door stood open",
    outcomes=(Outcome(Verdict.MET, NOW - 20, "mains.mains-lost"), Outcome(Verdict.MISSED), Outcome(Verdict.HELD)),
)  # fmt: skip


def change(verb: DrillVerb, drill: Drill = DRILL, facts: Mapping[str, object] | None = None) -> DrillChange:
    return DrillChange(verb, NOW, drill, Text("en x", "中文 x"), "li", facts=facts or {})


def texts_of(payload: object) -> list[dict[str, str]]:
    """Find every text in both languages, however deep."""
    if isinstance(payload, dict):
        own = [payload] if payload.keys() == {"en", "zh"} else []
        return own + [text for value in payload.values() for text in texts_of(value)]
    return [text for value in payload for text in texts_of(value)] if isinstance(payload, list) else []


@pytest.mark.parametrize("drill", [DRILL, None], ids=["running", "none"])
@pytest.mark.parametrize("last", [OVER, None], ids=["after one", "the first"])
def test_each_payload_has_every_member_of_its_type(drill: Drill | None, last: Drill | None) -> None:
    said = notice(drill, last, "zh", NOW)
    assert said.keys() == get_type_hints(ExerciseNotice).keys()
    more = progress(drill, last, "zh", NOW)
    assert more.keys() == get_type_hints(ExerciseProgress).keys()
    assert json.loads(json.dumps([said, more])) == [said, more]
    if last is not None:
        assert (said["last"] or {}).keys() == get_type_hints(ExerciseEnded).keys()


def test_the_notice_says_which_drill_is_on_who_leads_it_and_until_when() -> None:
    said = notice(DRILL, None, "en", NOW)
    assert said["state"] == "running"
    assert said["short_text"] == "EXERCISE – under way: Mains outage, led by li"
    assert said["texts"]["zh"] == "演练 – 进行中：市电断电，负责人 li"
    assert (said["owner"], said["confirmed_by"], said["procedure"]) == ("li", "wang", "outage")
    assert (said["scope"], said["devices"]) == (["mains", "ups-a", "ups-b"], ["ups-a", "ups-b"])
    assert said["ends"] == stamp(NOW + 1740)
    assert said["mode"] == Mode.LIVE


def test_the_notice_after_a_drill_says_that_it_is_over_and_why() -> None:
    said = notice(None, OVER, "zh", NOW)
    assert (said["state"], said["drill_id"], said["scope"]) == ("none", None, [])
    assert (
        said["short_text"] == "演练 – 已结束：市电断电，人工中止（zhao）；3 项预期中 2 项达到（a fire door stood open）"
    )
    last = said["last"]
    assert last is not None
    assert (last["end"], last["by"], last["counts"]) == ("stopped", "zhao", {"met": 1, "missed": 1, "held": 1})


def test_without_any_drill_the_notice_says_so() -> None:
    said = notice(None, None, "zh", NOW)
    assert (said["short_text"], said["last"], said["owner"]) == ("演练 – 当前没有演练", None, "")


def test_progress_tells_how_far_it_is_what_is_next_and_how_each_expectation_stands() -> None:
    said = progress(DRILL, None, "en", NOW)
    assert (said["moment"], said["injects"], said["injects_done"]) == (60.0, 2, 1)
    assert said["next"] == {"line": "at 9:00 every ups released", "moment": 540, "at": stamp(NOW + 480)}
    first, second, third = said["expectations"]
    assert (first["verdict"], first["came"], first["of"]) == ("met", 40.0, "mains.mains-lost")
    assert (second["verdict"], second["by"], second["at"]) == ("open", 180, None)
    assert third["never"] is True
    assert said["counts"] == {"open": 2, "met": 1}
    assert (said["mode"], said["exercise_id"]) == (Mode.DRILL, DRILL.drill_id)


def test_before_the_first_judgement_all_expectations_are_open() -> None:
    said = progress(replace(DRILL, outcomes=()), None, "en", NOW)
    assert [each["verdict"] for each in said["expectations"]] == ["open"] * 3


def test_a_drill_in_fast_motion_says_its_own_moments() -> None:
    said = progress(replace(DRILL, speed=10), None, "en", NOW)
    assert (said["moment"], said["next"]) == (600.0, None)


def test_a_scope_of_thousands_is_cut_and_counted() -> None:
    seats = frozenset(f"a{number:04}" for number in range(MOST + 5))
    said = notice(replace(DRILL, scope=seats, devices=seats), None, "en", NOW)
    assert (len(said["scope"]), said["scope_omitted"]) == (MOST, 5)
    assert (len(said["devices"]), said["devices_omitted"]) == (MOST, 5)


def test_an_event_says_what_happened_and_of_which_drill() -> None:
    facts = {"line": "at 0:10 every ups source = battery", "devices": ["ups-a"]}
    message = event(change(DrillVerb.INJECTED, facts=facts), TREE, "zh", 3, 7, NOW)
    assert message.topic == "floor/v1/hq/drill/event/exercise/outage-good-start"
    assert not message.retain
    said = json.loads(message.body)
    assert said["type"] == "edgeagent.exercise.injected"
    assert (said["mode"], said["exerciseid"], said["subject"]) == ("drill", DRILL.drill_id, DRILL.drill_id)
    assert said["data"].keys() == get_type_hints(ExerciseTold).keys()
    assert (said["data"]["moment"], said["data"]["facts"], said["data"]["ended"]) == (60.0, facts, None)
    assert said["data"]["short_text"] == "演练 – 中文 x"


def test_two_drills_never_share_the_id_of_an_event() -> None:
    other = replace(DRILL, drill_id="outage-good-start-20261119-0310")
    ids = {
        json.loads(event(change(DrillVerb.NOTED, each), TREE, "zh", 3, 7, NOW).body)["id"] for each in (DRILL, other)
    }
    assert len(ids) == 2
    assert "3-7" not in ids, "that is an event of the live lane"


def test_the_last_event_carries_the_outcome() -> None:
    data = told(change(DrillVerb.ENDED, OVER), "en")
    assert data["ended"] == ended(OVER, "en")
    assert ended(OVER, "en")["short_text"] == (
        "EXERCISE – over: Mains outage, stopped by hand by zhao; 2 of 3 expectations met (a fire door stood open)"
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_text_has_the_mark_of_a_drill(language: str) -> None:
    said = [
        *(notice(drill, last, language, NOW) for drill in (DRILL, None) for last in (OVER, None)),
        *(progress(drill, last, language, NOW) for drill in (DRILL, None) for last in (OVER, None)),
        *(told(change(verb, OVER), language) for verb in DrillVerb),
    ]
    for payload in said:
        assert payload["short_text"].startswith(MARK[language])
    found = [text for text in texts_of(said) if any(text.values())]
    assert len(found) > len(said)
    assert all(text[code].startswith(MARK[code]) for text in found for code in MARK)


def test_no_line_is_longer_than_a_phone_shows() -> None:
    long = replace(DRILL, owner="x" * 300, scenario=replace(SCENARIO, text=Text("y" * 300, "断" * 300)))
    said = notice(long, replace(long, end=End.COMPLETED, ended=NOW), "en", NOW)
    assert all(len(line) <= LONGEST for text in texts_of(said) for line in text.values())
    assert said["short_text"].endswith("…")


@pytest.mark.parametrize("end", list(End))
def test_each_end_has_its_words(end: End) -> None:
    line = ended(replace(OVER, end=end), "zh")["short_text"]
    assert ENDS[end].zh in line


def test_each_verdict_has_its_words() -> None:
    assert VERDICTS.keys() == set(Verdict)


def test_what_a_person_wrote_is_never_taken_for_a_placeholder() -> None:
    said = ended(replace(OVER, reason="{title}", ended_by="{by}"), "en")
    assert "{title}" in said["short_text"]
    assert "stopped by hand by {by}" in said["short_text"]
