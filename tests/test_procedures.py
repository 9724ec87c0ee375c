"""Outages as stories: what the agent says when, which steps tick by themselves, when a run is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.catalog import Severity
from edgeagent.run import Evidence, RunState, StepState
from tests.duty import BASE, CIRCUIT, FREE, LOST, MAINS, SUPPRESSED, UNCLEAR, Duty, outage, shipped, work

QUIET = ("opened", "step-done", "step-skipped", "step-overdue", "escalated", "recovering", "relapsed", "closed")


def test_an_outage_runs_from_the_loss_to_the_record() -> None:
    duty = outage()
    duty.read(60, "crac-1", running=False)
    duty.read(70, "crac-2", running=False)
    work(duty, 80, "tell", "appliances-off")
    duty.read(488, "ups-a", source="normal")
    duty.read(490, MAINS, generator="carrying")
    duty.read(491, "ups-b", source="normal")
    duty.read(3600, MAINS, state="normal", generator="returning")
    duty.cleared(3630, LOST)
    duty.read(3900, MAINS, generator="idle")
    duty.read(3950, "crac-1", running=True)
    duty.read(3960, "crac-2", running=True)
    work(duty, 4000, "record")
    assert duty.story(*QUIET) == [
        "3 opened", "3 step-done ups-carries", "75 step-done cooling-off", "80 step-done tell",
        "80 step-done appliances-off", "491 step-done generator-carries", "3660 recovering",
        "3910 step-done back-on-mains", "3970 step-done cooling-on", "4000 step-done record", "4000 closed",
    ]  # fmt: skip
    run = duty.run()
    assert (run.onset - BASE, run.started - BASE) == (0, 3)
    assert (run.recovered or 0) - BASE == 3630
    assert run.state is RunState.CLOSED


def test_the_generator_carries_at_8_10_and_its_window_is_right_to_the_second() -> None:
    duty = outage()
    step = duty.step("generator-carries")
    assert ((step.opens or 0) - BASE, (step.due or 0) - BASE) == (420, 600)
    duty.read(490, MAINS, generator="carrying")
    for ups in ("ups-a", "ups-b"):
        duty.read(490, ups, source="normal")
    step = duty.step("generator-carries")
    assert (step.state, (step.at or 0) - BASE, step.by) == (StepState.DONE, 490, "system")
    assert step.evidence == (
        Evidence(MAINS, "generator", "carrying"), Evidence("ups-a", "source", "normal"),
        Evidence("ups-b", "source", "normal"),
    )  # fmt: skip
    duty.at(1200)
    assert "step-overdue generator-carries" not in " ".join(duty.story())


@pytest.mark.parametrize(
    "generator", ["failed-to-start", "ordered", "running", "failed-to-transfer", "unknown", None],
    ids=["fails to start", "not in auto", "runs without carrying", "cannot transfer", "says nothing", "unreadable"],
)  # fmt: skip
def test_a_generator_that_does_not_carry_is_told_at_ten_minutes_and_to_whom(generator: str | None) -> None:
    duty = outage()
    duty.read(30, MAINS, generator=generator)
    duty.at(3000)
    story = [line for line in duty.story() if "generator-carries" in line]
    assert story == [
        "3 step-ready generator-carries", "600 step-overdue generator-carries", "600 escalated generator-carries",
        "600 escalated generator-carries",
    ]  # fmt: skip
    roles = [change.roles for change in duty.told if change.step == "generator-carries" and change.at == BASE + 600]
    assert roles == [("leader",), ("om",), ("manager",)]


def test_a_late_generator_still_ticks_its_step_and_the_record_knows_that_it_was_late() -> None:
    duty = outage()
    for ups in ("ups-a", "ups-b"):
        duty.read(700, ups, source="normal")
    duty.read(700, MAINS, generator="carrying")
    step = duty.step("generator-carries")
    assert (step.state, step.overdue, (step.at or 0) - BASE) == (StepState.DONE, True, 700)


def test_a_person_who_stands_by_the_generator_may_tick_what_nobody_can_read() -> None:
    duty = outage()
    duty.read(30, MAINS, generator="unknown")
    duty.ask(500, "done", duty.run().run_id, "generator-carries", "Wang", "looked at the set")
    step = duty.step("generator-carries")
    assert (step.by, step.note, step.evidence) == ("Wang", "looked at the set", ())


def test_a_lost_circuit_waits_for_no_generator_and_says_which_of_the_two_it_is() -> None:
    duty = outage(alarm=CIRCUIT, state="circuit-lost")
    duty.at(1200)
    run = duty.run()
    assert run.text.zh == "断电（呼叫中心线路故障断电）"
    assert run.step("generator-carries") is not None
    assert duty.step("generator-carries").state is StepState.WAITING
    duty.cleared(1300, CIRCUIT)
    duty.at(1400)
    assert duty.step("generator-carries").state is StepState.SKIPPED


def test_a_circuit_fault_for_which_the_generator_starts_waits_for_it_after_all() -> None:
    duty = outage(alarm=CIRCUIT, state="circuit-lost")
    duty.read(60, MAINS, generator="cranking")
    step = duty.step("generator-carries")
    assert (step.state, (step.due or 0) - BASE) == (StepState.READY, 600)


def test_the_verdict_turns_from_unclear_to_mains_in_one_run() -> None:
    duty = outage(alarm=UNCLEAR, state="unclear")
    assert duty.run().text.en == "Power outage (mains or own circuit, not known yet)"
    duty.raised(8, LOST, onset=BASE)
    duty.cleared(15, UNCLEAR)
    assert duty.run().text.en == "Power outage (mains lost)"
    assert len(duty.procedures.runs()) == 1
    assert duty.run().standing == (LOST,)
    assert duty.story("recovering", "relapsed") == []


def test_an_earlier_witness_sets_the_clock_back() -> None:
    duty = outage(alarm=UNCLEAR, state="unclear")
    duty.raised(8, LOST, onset=BASE - 4)
    assert duty.run().onset == BASE - 4
    assert duty.step("generator-carries").due == BASE + 596
    assert duty.step("tell").due == BASE + 116


def test_mains_that_flap_every_40_s_are_one_outage() -> None:
    duty = outage()
    for second in range(40, 400, 80):
        duty.cleared(second + 30, LOST)  # 30 s of mains clear the alarm
        duty.raised(second + 43, LOST)
    assert len(duty.procedures.runs()) == 1
    assert duty.story("opened", "recovering", "closed") == ["3 opened"]
    assert duty.run().onset == BASE


def test_an_outage_that_is_back_within_its_recovery_is_the_same_run_with_a_new_clock() -> None:
    duty = outage()
    work(duty, 60, "tell")
    duty.read(299, MAINS, state="normal", generator="idle")
    duty.read(299, "ups-a", source="normal")
    duty.cleared(300, LOST)
    duty.at(400)
    assert duty.run().state is RunState.RECOVERING
    assert duty.step("generator-carries").state is StepState.SKIPPED
    duty.read(1000, MAINS, state="lost", generator="ordered")
    duty.raised(1003, LOST, onset=BASE + 1000)
    run = duty.run()
    assert (run.state, run.recovered, run.onset) == (RunState.OPEN, None, BASE)
    assert duty.step("generator-carries").state is StepState.READY
    assert duty.step("generator-carries").due == BASE + 1600
    assert duty.step("tell").state is StepState.DONE
    assert duty.step("back-on-mains").state is StepState.WAITING
    assert duty.story("opened", "relapsed") == ["3 opened", "1003 relapsed"]


def test_a_short_outage_asks_nobody_to_switch_things_off_afterwards() -> None:
    duty = outage()
    duty.cleared(60, LOST)
    duty.at(89)
    assert duty.run().state is RunState.OPEN
    duty.at(90)
    skipped = [step.id for step in duty.run().steps if step.state is StepState.SKIPPED]
    assert skipped == ["cooling-off", "appliances-off", "generator-carries"]
    assert duty.step("tell").state is StepState.READY


def test_clearing_alone_closes_nothing() -> None:
    duty = outage()
    duty.cleared(300, LOST)
    duty.at(90_000)
    assert duty.run().state is RunState.RECOVERING
    assert [step.id for step in duty.run().steps if not step.settled] == ["tell", "back-on-mains", "record"]


def test_what_is_suppressed_or_explained_starts_nothing_until_it_comes_out() -> None:
    duty = Duty()
    duty.raised(0, "crac-1.unit-trip", suppression=SUPPRESSED)
    duty.raised(0, "s1-pc.offline", root_cause_resource=("grid",))
    assert duty.told == []
    duty.changed(50, "crac-1.unit-trip", suppression=FREE)
    duty.changed(60, "s1-pc.offline", root_cause_resource=())
    assert duty.story("opened") == ["50 opened", "60 opened"]
    assert {run.procedure for run in duty.procedures.runs().values()} == {"air-conditioning", "equipment-fault"}


def test_a_suppressed_alarm_does_not_bring_a_recovering_run_back() -> None:
    duty = Duty()
    duty.raised(0, "s1-pc.offline")
    duty.cleared(10, "s1-pc.offline")
    duty.at(100)
    duty.raised(200, "s1-pc.offline", root_cause_resource=("grid",))
    assert duty.run().state is RunState.RECOVERING


def test_a_self_test_opens_nothing() -> None:
    duty = Duty()
    duty.read(0, "ups-a", source="test")
    duty.raised(5, "ups-a.on-battery", perceived_severity=Severity.CRITICAL)
    assert duty.told == []


def test_a_cooling_unit_that_was_switched_off_in_an_outage_opens_nothing_until_the_outage_is_over() -> None:
    duty = outage()
    duty.read(60, "crac-1", running=False)
    duty.raised(70, "crac-1.airflow-loss")
    duty.at(100)
    assert [run.procedure for run in duty.procedures.runs().values()] == ["outage"]
    outage_run = duty.run("outage").run_id
    duty.ask(200, "abort", outage_run, "Lin", "drill by mistake")
    duty.at(201)
    duty.read(202, "sensor", temperature=25.0)
    assert duty.run().procedure == "air-conditioning"


def test_a_cooling_unit_that_trips_while_it_runs_is_a_fault_outage_or_not() -> None:
    duty = outage()
    duty.raised(70, "crac-1.unit-trip")
    assert duty.run().procedure == "air-conditioning"


def test_a_cooling_unit_trips_and_the_room_warms_in_one_run_of_its_area() -> None:
    duty = Duty()
    duty.raised(0, "crac-1.unit-trip")
    duty.raised(600, "sensor.temperature-high", perceived_severity=Severity.MINOR)
    run = duty.run()
    assert (run.procedure, run.scope, run.alarms) == (
        "air-conditioning", "hall", ("crac-1.unit-trip", "sensor.temperature-high"),
    )  # fmt: skip
    work(duty, 700, "tell", "fans", "maintenance")
    duty.cleared(2000, "crac-1.unit-trip")
    duty.cleared(3000, "sensor.temperature-high")
    duty.at(3200)
    watch = duty.step("watch")
    assert ((watch.at or 0) - BASE, watch.by) == (3120, "system")
    assert watch.evidence == (
        Evidence("crac-1", "unit-trip", "cleared"), Evidence("sensor", "temperature-high", "cleared"),
    )  # fmt: skip
    assert run.recovered is None
    assert duty.run().recovered == BASE + 3000


def test_a_dead_sensor_neither_ticks_nor_closes_anything() -> None:
    duty = Duty()
    duty.raised(0, "sensor.temperature-high", perceived_severity=Severity.MINOR)
    duty.read(100, "sensor", temperature=None)
    duty.raised(130, "sensor.unreachable", perceived_severity=Severity.MINOR)
    duty.at(3000)
    assert duty.run().state is RunState.OPEN
    assert not duty.step("watch").settled


def test_smoke_is_for_security_and_a_broken_wire_is_not() -> None:
    duty = Duty()
    duty.raised(0, "sensor.wire-break")
    duty.raised(1, "sensor.smoke", perceived_severity=Severity.CRITICAL)
    assert [(run.procedure, run.text.zh) for run in duty.procedures.runs().values()] == [
        ("security", "安全防护（火警）")
    ]


def test_a_proof_must_hold_and_stands_still_while_nobody_can_read() -> None:
    duty = outage()
    duty.read(100, "crac-1", running=False)
    duty.read(100, "crac-2", running=False)
    duty.read(103, "crac-2", running=None)
    duty.read(200, "crac-2", running=False)
    duty.at(201)
    assert duty.step("cooling-off").state is StepState.READY
    duty.at(202)
    assert duty.step("cooling-off").at == BASE + 202


def test_a_proof_that_is_disproved_begins_anew() -> None:
    duty = outage()
    duty.read(100, "crac-1", running=False)
    duty.read(100, "crac-2", running=False)
    duty.read(104, "crac-2", running=True)
    duty.read(110, "crac-2", running=False)
    duty.at(114)
    assert duty.step("cooling-off").state is StepState.READY
    duty.at(115)
    assert duty.step("cooling-off").at == BASE + 115


def test_a_single_ups_of_a_lost_circuit_is_not_outvoted_by_those_on_mains() -> None:
    duty = Duty()
    duty.read(0, "ups-a", source="battery", alarms=frozenset())
    duty.read(0, "ups-b", source="normal", alarms=frozenset())
    duty.raised(3, CIRCUIT, impacted_resource=("ups-a",))
    step = duty.step("ups-carries")
    assert (step.state, [each.resource for each in step.evidence]) == (StepState.DONE, ["ups-a", "ups-a"])


def test_nobody_who_can_tell_is_no_proof() -> None:
    duty = Duty()
    duty.raised(0, LOST)
    duty.at(50)
    assert [step.id for step in duty.run().steps if step.settled] == []


def test_a_device_that_can_never_tell_is_passed_over() -> None:
    duty = outage()
    duty.view["crac-2"] = {"setpoint": duty.view["crac-1"]["running"]}
    duty.restart(50)
    duty.read(60, "crac-1", running=False)
    duty.at(66)
    assert duty.step("cooling-off").state is StepState.DONE


def test_an_overdue_step_holds_up_nothing_that_needs_it() -> None:
    outage_ = shipped()["outage"]
    steps = tuple(replace(step, needs=("tell",)) if step.id == "appliances-off" else step for step in outage_.steps)
    duty = Duty({"outage": replace(outage_, steps=steps)})
    duty.raised(0, LOST)
    assert duty.step("appliances-off").state is StepState.WAITING
    duty.at(120)
    assert duty.step("appliances-off").state is StepState.READY


def test_alarms_of_other_drills_and_of_the_real_thing_have_runs_of_their_own() -> None:
    duty = Duty()
    duty.raised(0, LOST)
    duty.raised(5, "ups-a.mains-lost")
    duty.raised(5, f"{MAINS}.supply-lost", origin="drill-1")
    ids = {run.origin: run.run_id for run in duty.procedures.runs().values()}
    assert ids == {None: "outage-20261125-0210", "drill-1": "drill-outage-20261125-0210"}


def test_ids_of_runs_are_unique_and_fit_into_a_topic() -> None:
    duty = Duty(seats=30)
    duty.raised(0, *(f"s{number}-pc.offline" for number in range(1, 31)))
    ids = list(duty.procedures.runs())
    assert len(set(ids)) == 30
    assert ids[:2] == ["equipment-fault-20261125-0210", "equipment-fault-20261125-0210-2"]
    duty.ask(10, "open", "a-procedure-that-somebody-else-has-named", "", "Lin", "asked")
    assert max(map(len, duty.procedures.runs())) <= 40
    assert duty.run().run_id == "a-procedure-that-someb-20261125-0210"


def test_every_line_is_told_in_both_languages() -> None:
    duty = outage()
    duty.at(700)
    duty.cleared(800, LOST)
    duty.at(900)
    for change in duty.told:
        assert change.text.en
        assert change.text.zh.startswith("【断电")
        assert "{" not in change.text.en + change.text.zh


FAILED = f"{MAINS}.generator-failed-to-start"


def test_what_stands_beside_an_outage_is_told_in_it_and_keeps_none_open() -> None:
    duty = outage()
    duty.raised(20, FAILED, "genset.fail-to-start")
    run = duty.run()
    assert (run.standing, run.beside) == ((LOST,), (FAILED, "genset.fail-to-start"))
    assert duty.told[-1].text.zh == "【断电（市电断电）】相关告警：genset fail-to-start 告警"
    duty.restart(40)
    duty.cleared(50, FAILED)
    duty.cleared(60, LOST)
    duty.at(100)
    assert (duty.run().state, duty.run().recovered) == (RunState.RECOVERING, BASE + 60)
    assert duty.story("alarm-joined", "alarm-cleared") == [
        "20 alarm-joined", "20 alarm-joined", "50 alarm-cleared", "60 alarm-cleared",
    ]  # fmt: skip
    duty.raised(110, f"{MAINS}.generator-failed-to-return")
    assert duty.run().state is RunState.RECOVERING, "it is told, and brings no outage back"
    assert duty.story("relapsed") == []


def test_what_stands_beside_an_outage_starts_none_and_is_told_when_one_opens() -> None:
    duty = Duty()
    duty.raised(-600, "genset.not-in-auto", "genset.fuel-low", suppression=FREE)
    duty.changed(-500, "genset.fuel-low", suppression=SUPPRESSED)
    assert not duty.procedures.runs()
    outage(duty)
    assert duty.run().beside == ("genset.not-in-auto",), "what is kept from people stays so"
    assert duty.run().summary.zh == f"{MAINS} mains-lost 告警", "the outage is named by its own alarms"
