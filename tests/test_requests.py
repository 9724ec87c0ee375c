"""What may be asked of a running agent: shapes, refusals, answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from edgeagent import resources, sitefiles
from edgeagent.alarm import Refused
from edgeagent.commands import Rejected
from edgeagent.config import Site
from edgeagent.lane import Lane, Outcome
from edgeagent.requests import VERBS, carry_out

NOW: Final = 1_795_000_000.0


@pytest.fixture(scope="module")
def site() -> Site:
    return sitefiles.load(Path(__file__).parent.parent / "config", resources.drivers())


@pytest.fixture
def lane(site: Site) -> Lane:
    return Lane(site)


def ask(lane: Lane, verb: str, later: float = 0.0, /, **fields: object) -> tuple[Mapping[str, Any], Outcome]:
    return carry_out(lane, verb, {"mode": "live", **fields}, "li.wei", NOW + later)


def opened(lane: Lane, procedure: str = "system-fault") -> str:
    answer, _ = ask(lane, "run-open", procedure=procedure, reason="told by telephone")
    return str(answer["run_id"])


def test_a_run_is_opened_carried_out_and_closed_by_people(lane: Lane) -> None:
    run = opened(lane)
    assert [change.by for change in ask(lane, "step", 1, run_id=run, step="report", action="done")[1].runs] == [
        "li.wei"
    ]
    ask(lane, "step", 2, run_id=run, step="paper", action="skip", note="no paper there")
    ask(lane, "step", 3, run_id=run, step="report", action="note", note="supervisor is on her way")
    ask(lane, "run-level", 4, run_id=run, level=4, reason="whole floor")
    ask(lane, "run-ack", 5, run_id=run)
    ask(lane, "run-lead", 6, run_id=run)
    ask(lane, "run-note", 7, run_id=run, text="switch replaced")
    ask(lane, "run-fill", 8, run_id=run, field="cause", text="switch")
    answer, outcome = ask(lane, "run-close", 9, run_id=run, reason="works again")
    assert answer == {"run_id": run, "state": "closed"}
    assert outcome.runs[-1].verb == "closed"
    ended = lane.procedures.runs()[run]
    assert (ended.commander, ended.level, ended.form) == ("li.wei", 4, {"cause": "switch"})
    steps = {step.id: (step.state, step.by) for step in ended.steps}
    assert steps["report"] == ("done", "li.wei")
    assert steps["paper"] == ("skipped", "li.wei")


@pytest.mark.parametrize(
    ("verb", "fields", "code"),
    [
        pytest.param("fly", {}, "unknown-verb", id="a verb that is none"),
        pytest.param("ack", {"alarm_id": "x", "mode": "drill"}, "no-drill", id="the drill lane"),
        pytest.param("ack", {}, "bad-request", id="no alarm"),
        pytest.param("step", {"run_id": "x"}, "bad-request", id="no step"),
        pytest.param("step", {"run_id": "x", "step": "tell", "action": "undo"}, "bad-request", id="no such action"),
        pytest.param("step", {"run_id": "x", "step": "tell", "action": "done"}, "unknown-run", id="no such run"),
        pytest.param("run-open", {"procedure": "No Such"}, "reason-missing", id="no reason"),
        pytest.param("run-open", {"procedure": "No Such", "reason": "x"}, "bad-procedure", id="no procedure's id"),
        pytest.param("run-open", {"procedure": "outage", "reason": "x", "scope": "b9"}, "unknown-scope", id="nowhere"),
        pytest.param(
            "run-open", {"procedure": "outage", "reason": "x", "level": 3}, "unknown-level", id="no such level"
        ),
        pytest.param("run-level", {"run_id": "x", "level": "high"}, "bad-request", id="a level that is no number"),
        pytest.param("run-note", {"run_id": "x", "text": "a" * 3000}, "bad-request", id="a novel"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_code_and_a_text_in_both_languages(
    lane: Lane, verb: str, fields: dict[str, object], code: str
) -> None:
    with pytest.raises(Rejected) as refused:
        ask(lane, verb, 0.0, **fields)
    assert refused.value.reason == code
    assert refused.value.text.en
    assert refused.value.text.zh
    assert not lane.procedures.runs()


def test_an_unknown_alarm_is_refused_by_the_alarm_list(lane: Lane) -> None:
    with pytest.raises(Refused) as refused:
        ask(lane, "ack", alarm_id="ups-a.on-battery")
    assert refused.value.code == "unknown-alarm"


def test_a_second_run_of_one_procedure_for_one_place_is_refused(lane: Lane) -> None:
    run = opened(lane)
    with pytest.raises(Rejected) as refused:
        opened(lane)
    assert refused.value.reason == "already-open"
    assert run in refused.value.text.en


def test_a_step_of_a_run_that_has_ended_is_refused(lane: Lane) -> None:
    run = opened(lane)
    ask(lane, "run-abort", 1, run_id=run, reason="a mistake")
    with pytest.raises(Rejected) as refused:
        ask(lane, "step", 2, run_id=run, step="report", action="done")
    assert refused.value.reason == "run-ended"


def test_on_the_lane_of_a_drill_only_what_is_the_drills_can_be_touched(lane: Lane) -> None:
    real = opened(lane)

    def asked(verb: str, mode: str = "drill", **fields: object) -> str:
        try:
            answer, _ = carry_out(lane, verb, {"mode": mode, **fields}, "li.wei", NOW, "ex-1")
        except Rejected as refused:
            return refused.reason
        return str(answer["run_id"])

    for verb in ("run-ack", "run-lead", "run-close", "run-abort"):
        assert asked(verb, run_id=real, reason="x") == "not-drilled"
    assert asked("step", run_id=real, step="report", action="done") == "not-drilled"
    own = asked("run-open", procedure="system-fault", reason="rehearsed")
    assert lane.procedures.runs()[own].origin == "ex-1"
    assert asked("step", run_id=own, step="report", action="done") == own
    with pytest.raises(Rejected) as refused:
        ask(lane, "run-ack", run_id=own)
    assert refused.value.reason == "not-drilled"
    assert asked("run-ack", "live", run_id=own) == "no-drill", "nor does the live lane reach a drill's"
    assert lane.procedures.runs()[real].acked_by == ""


def test_every_verb_is_a_level_of_a_topic() -> None:
    assert all(verb.replace("-", "").isalpha() and verb == verb.lower() for verb in VERBS)
