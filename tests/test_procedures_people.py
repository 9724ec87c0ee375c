"""What people ask of runs: steps, notes, forms, levels, command, opening and closing by hand, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from edgeagent.alarm import Refused as AlarmRefused
from edgeagent.procedures import Refused
from edgeagent.run import RunState, RunVerb, StepState
from tests.duty import BASE, FREE, LOST, Duty, outage, work

CODES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "unknown-run": ("done", ("no-run", "tell", "Lin", "")),
    "unknown-step": ("done", ("RUN", "tel", "Lin", "")),
    "unknown-step to skip": ("skip", ("RUN", "tel", "Lin", "why")),
    "operator-missing": ("done", ("RUN", "tell", " ", "")),
    "reason-missing": ("skip", ("RUN", "tell", "Lin", " ")),
    "reason-missing to close": ("close", ("RUN", "Lin", "")),
    "reason-missing to abort": ("abort", ("RUN", "Lin", "")),
    "text-missing": ("note", ("RUN", "Lin", "")),
    "not-yet": ("done", ("RUN", "record", "Lin", "")),
    "unknown-level": ("level", ("RUN", 5, "Lin", "why")),
    "bad-field": ("fill", ("RUN", "Cause!", "a fuse", "Lin")),
    "too-long": ("note", ("RUN", "Lin", "x" * 2001)),
    "still-standing": ("close", ("RUN", "Lin", "why")),
    "already-open": ("open", ("outage", "", "Lin", "why")),
    "unknown-scope": ("open", ("outage", "moon", "Lin", "why")),
    "bad-procedure": ("open", ("Media visit", "", "Lin", "why")),
}


@pytest.mark.parametrize(("verb", "words"), CODES.values(), ids=CODES.keys())
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    verb: str, words: tuple[Any, ...], request: pytest.FixtureRequest
) -> None:
    duty = outage()
    run = duty.run()
    with pytest.raises(Refused) as error:
        duty.ask(10, verb, *(run.run_id if word == "RUN" else word for word in words))
    assert error.value.code == request.node.callspec.id.partition(" ")[0]
    assert error.value.text.en
    assert error.value.text.zh
    assert isinstance(error.value, AlarmRefused)
    assert duty.run() == run


def test_a_step_that_is_done_is_done_once_and_by_whom() -> None:
    duty = outage()
    run_id = duty.run().run_id
    assert [change.verb for change in duty.ask(30, "done", run_id, "tell", "Lin", "by phone")] == [RunVerb.STEP_DONE]
    assert duty.ask(40, "done", run_id, "tell", "Wang", "") == []
    step = duty.step("tell")
    assert (step.by, step.at, step.note) == ("Lin", BASE + 30, "by phone")
    assert duty.told[-1].text.zh.endswith("何时开始、影响哪些设备（by phone）")
    with pytest.raises(Refused, match="already-done"):
        duty.ask(50, "skip", run_id, "tell", "Wang", "why")


def test_a_step_is_skipped_with_a_reason_and_is_not_done_afterwards() -> None:
    duty = outage()
    run_id = duty.run().run_id
    (change,) = duty.ask(30, "skip", run_id, "appliances-off", "Lin", "there are none")
    assert (change.verb, change.reason) == (RunVerb.STEP_SKIPPED, "there are none")
    assert "原因：there are none" in change.text.zh
    assert duty.ask(40, "skip", run_id, "appliances-off", "Lin", "again") == []
    with pytest.raises(Refused, match="already-skipped"):
        duty.ask(50, "done", run_id, "appliances-off", "Lin", "")
    duty.at(2000)
    assert "appliances-off" not in " ".join(duty.story("step-overdue", "reminded"))


def test_to_acknowledge_is_not_to_do_and_lapses_without_progress() -> None:
    duty = outage()
    run_id = duty.run().run_id
    duty.ask(10, "ack", run_id, "Lin")
    assert duty.ask(11, "ack", run_id, "Lin") == []
    assert not duty.step("tell").settled
    duty.at(130)
    assert "123 reminded tell" in duty.story()
    work(duty, 200, "tell")
    assert duty.run().ack_until == BASE + 1100
    duty.at(1099)
    assert duty.run().acked_by == "Lin"
    duty.at(1101)
    assert (duty.run().acked_by, duty.run().acked, duty.run().ack_until) == ("", None, None)
    assert duty.story("ack-lapsed") == ["1100 ack-lapsed"]


def test_notes_and_the_form_go_into_the_record() -> None:
    duty = outage()
    run_id = duty.run().run_id
    duty.ask(10, "note", run_id, "Lin", "the lift is stuck")
    duty.ask(20, "note", run_id, "Lin", "O&M does not answer", step="tell")
    duty.ask(30, "fill", run_id, "cause", "a digger", "Wang")
    assert duty.ask(31, "fill", run_id, "cause", "a digger", "Wang") == []
    duty.ask(32, "fill", run_id, "nature", "", "Wang")
    run = duty.run()
    assert (run.notes, run.form, duty.step("tell").note) == (2, {"cause": "a digger"}, "O&M does not answer")
    assert duty.told[-1].text.zh == "【断电（市电断电）】Wang 填写 故障原因：a digger"


def test_somebody_takes_command() -> None:
    duty = outage()
    duty.ask(10, "command", duty.run().run_id, "Zhao")
    assert duty.run().commander == "Zhao"
    assert duty.ask(11, "command", duty.run().run_id, "Zhao") == []


def test_another_level_is_another_clock_from_the_same_moment() -> None:
    duty = Duty()
    duty.raised(0, "switch.group.cpu-high")
    run_id = duty.run().run_id
    assert (duty.run().level, duty.run().restore_by) == (1, BASE + 1800)
    duty.ask(1000, "level", run_id, 4, "Lin", "nobody can take calls")
    assert duty.ask(1001, "level", run_id, 4, "Lin", "again") == []
    assert (duty.run().level, duty.run().restore_by) == (4, BASE + 900)
    duty.at(1002)
    late = [(change.at - BASE, *change.roles) for change in duty.told if change.verb == "escalated" and not change.step]
    assert late == [(1000, "om"), (1000, "manager")]


def test_a_graver_fault_makes_the_clock_shorter_unless_somebody_chose_it() -> None:
    duty = Duty()
    duty.raised(0, "switch.group.cpu-high")
    duty.raised(10, "switch.group.softphone-down")
    assert duty.run().level == 3
    duty.ask(20, "level", duty.run().run_id, 2, "Lin", "one row only")
    duty.raised(30, "switch.group.nic-down")
    assert duty.run().level == 2


def test_a_run_that_somebody_opens_asks_for_its_steps_and_closes_when_all_are_settled() -> None:
    duty = Duty()
    duty.ask(0, "open", "system-fault", "", "Lin", "CRM is slow", level=1)
    run = duty.run()
    assert (run.opened_by, run.level, run.scope, run.summary.zh) == ("Lin", 1, "site", "CRM is slow")
    assert duty.told[0].text.zh.startswith("【应用程序/网络/ACD 系统故障】Lin 启动预案，原因：CRM is slow；故障等级 1")
    work(duty, 100, "notice", "report", "paper", "reassign")
    assert duty.run().state is RunState.RECOVERING
    work(duty, 200, "log")
    assert duty.run().state is RunState.CLOSED


def test_a_run_that_somebody_opened_may_be_closed_at_any_time() -> None:
    duty = Duty()
    duty.ask(0, "open", "outage", "", "Lin", "announced work")
    duty.raised(10, LOST)
    run = duty.run()
    assert run.alarms == (LOST,)
    duty.ask(20, "close", run.run_id, "Lin", "work is done")
    duty.at(30)
    duty.restart(60)
    assert duty.story("opened", "closed") == ["0 opened", "20 closed"]


def test_a_run_at_a_seat_names_a_spare_seat_that_is_another_one() -> None:
    duty = Duty()
    duty.ask(0, "open", "equipment-fault", "x1-pc", "Lin", "headset hums")
    assert (duty.run().scope, duty.run().spare) == ("x1", "y1")


def test_a_procedure_that_only_another_system_knows_is_opened_and_closed_by_it() -> None:
    duty = Duty()
    (opened,) = duty.ask(0, "open", "media-visit", "hall", "crm", "television at the door")
    assert (opened.run.scope, opened.run.steps) == ("hall", ())
    duty.at(5000)
    assert duty.run().state is RunState.OPEN
    with pytest.raises(Refused, match="unknown-level"):
        duty.ask(5000, "open", "media-visit", "annex", "crm", "why", level=1)
    duty.ask(6000, "close", opened.run.run_id, "crm", "they left")
    assert duty.run().state is RunState.CLOSED


def test_nothing_is_asked_of_a_run_that_has_ended() -> None:
    duty = outage()
    run_id = duty.run().run_id
    duty.ask(10, "abort", run_id, "Lin", "a test")
    for verb, words in {
        "done": ("tell", "Lin", ""), "skip": ("tell", "Lin", "why"), "note": ("Lin", "text"), "ack": ("Lin",),
        "fill": ("cause", "text", "Lin"), "command": ("Lin",), "level": (1, "Lin", "why"), "close": ("Lin", "why"),
        "abort": ("Lin", "why"),
    }.items():  # fmt: skip
        with pytest.raises(Refused, match="run-ended"):
            duty.ask(20, verb, run_id, *words)
    duty.at(5000)
    assert [change.verb for change in duty.told][-1] is RunVerb.ABORTED


def test_an_aborted_run_is_not_opened_again_while_its_alarm_stands_but_by_the_next_one() -> None:
    duty = outage()
    duty.ask(10, "abort", duty.run().run_id, "Lin", "a test")
    duty.changed(20, LOST, impacted_resource=("ups-a",))
    duty.changed(30, LOST, suppression=FREE)
    duty.at(4000)
    duty.restart(4100)
    assert duty.story("opened") == ["3 opened"]
    duty.cleared(4200, LOST)
    duty.raised(4300, LOST)
    assert duty.story("opened") == ["3 opened", "4300 opened"]


def test_an_ended_run_stays_listed_for_ten_minutes() -> None:
    duty = Duty()
    duty.ask(0, "open", "outage", "", "Lin", "announced work")
    run_id = duty.run().run_id
    duty.ask(10, "close", run_id, "Lin", "done")
    duty.at(609)
    assert list(duty.procedures.runs()) == [run_id]
    assert list(duty.rows) == [run_id]
    duty.at(610)
    assert not duty.procedures.runs()
    assert not duty.rows
    with pytest.raises(Refused, match="unknown-run"):
        duty.ask(620, "note", run_id, "Lin", "late")


def test_what_fell_due_is_told_before_a_command_that_comes_later() -> None:
    duty = outage()
    duty.now = BASE + 130
    changes = duty.procedures.done(duty.run().run_id, "tell", "Lin", "", duty.now)
    told = [(change.at - BASE, change.verb.value, change.step) for change in changes if change.step == "tell"]
    assert told == [(120, "step-overdue", "tell"), (123, "reminded", "tell"), (130, "step-done", "tell")]


def test_a_step_that_only_readings_can_tell_is_refused_to_people_and_may_be_skipped() -> None:
    from dataclasses import replace

    from edgeagent.procedure import Ticked
    from tests.duty import shipped

    steps = tuple(
        replace(step, ticked=Ticked.READING) if step.id == "generator-carries" else step
        for step in shipped()["outage"].steps
    )
    duty = outage(Duty({"outage": replace(shipped()["outage"], steps=steps)}))
    run_id = duty.run().run_id
    with pytest.raises(Refused, match="reading-only"):
        duty.ask(10, "done", run_id, "generator-carries", "Lin", "I saw it")
    duty.ask(20, "skip", run_id, "generator-carries", "Lin", "being serviced")
    assert duty.step("generator-carries").state is StepState.SKIPPED
