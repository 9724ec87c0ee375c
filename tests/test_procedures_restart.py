"""Runs outlast the process, a stepped clock and another configuration."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgeagent.catalog import Text
from edgeagent.procedures import Procedures
from edgeagent.run import RunState, StepState
from tests.duty import BASE, CHINA, LOST, MAINS, Duty, outage, shipped, site, work


def test_after_three_minutes_of_being_dead_clocks_go_on_as_if_nothing_had_happened() -> None:
    through, killed = outage(), outage()
    for duty in (through, killed):
        work(duty, 60, "tell")
        duty.ask(70, "ack", duty.run().run_id, "Lin")
    killed.restart(250)
    through.at(250)
    assert through.run() == killed.run()
    for duty in (through, killed):
        duty.at(2000)
        duty.cleared(2100, LOST)
        duty.at(4000)
    assert through.run() == killed.run()


def test_what_fell_due_while_dead_is_done_once_and_in_order() -> None:
    duty = outage()
    duty.at(100)
    duty.restart(500)
    while_dead = [line for line in duty.story() if float(line.split()[0]) > 100]
    assert while_dead == [
        "120 step-overdue tell", "120 step-overdue cooling-off", "120 step-overdue appliances-off",
        "300 escalated tell", "483 reminded tell", "483 reminded cooling-off", "483 reminded appliances-off",
    ]  # fmt: skip
    duty.restart(510)
    duty.restart(520)
    assert [line for line in duty.story() if float(line.split()[0]) > 100] == while_dead
    duty.at(603)
    assert "603 reminded tell" in duty.story()


@pytest.mark.parametrize("second", [123, 243, 483])
def test_an_agent_that_wakes_at_the_moment_of_a_reminder_gives_it_once_and_goes_on(second: int) -> None:
    duty = outage()
    duty.at(100)
    duty.restart(second)
    assert duty.story().count(f"{second} reminded tell") == 1
    duty.at(603)
    assert duty.story().count(f"{second} reminded tell") == 1


def test_a_second_death_right_after_the_first_loses_nothing() -> None:
    duty = outage()
    duty.restart(50)
    duty.restart(51)
    duty.read(490, MAINS, generator="carrying")
    for ups in ("ups-a", "ups-b"):
        duty.read(490, ups, source="normal")
    assert duty.step("generator-carries").at == BASE + 490


def test_an_alarm_that_vanished_while_dead_is_over_and_one_that_came_starts_its_run() -> None:
    duty = outage()
    del duty.records[LOST]
    duty.records["s1-pc.offline"] = replace(
        outage().records[LOST], alarm_id="s1-pc.offline", resource="s1-pc", alarm_type_id="offline"
    )
    duty.restart(100)
    assert duty.run("outage").standing == ()
    assert duty.run("equipment-fault").standing == ("s1-pc.offline",)
    duty.at(131)
    assert duty.run("outage").state is RunState.RECOVERING


def test_a_run_id_stays_and_a_new_one_is_another() -> None:
    duty = outage()
    run_id = duty.run().run_id
    duty.restart(20)
    assert duty.run().run_id == run_id
    duty.ask(25, "abort", run_id, "Lin", "test")
    duty.cleared(30, LOST)
    duty.raised(40, LOST)
    assert list(duty.procedures.runs()) == [run_id, f"{run_id}-2"]


def test_a_clock_that_steps_takes_all_running_clocks_along() -> None:
    duty = outage()
    duty.ask(10, "ack", duty.run().run_id, "Lin")
    duty.cleared(50, LOST)
    before = duty.run()
    duty.procedures.shift(3600)
    run = duty.run()
    assert run == before.shifted(3600)
    assert duty.procedures.next_due() == BASE + 3600 + 80
    duty.now += 3600
    duty.at(3600 + 81)
    assert duty.story("recovering") == ["3680 recovering"]
    assert duty.run().recovered == BASE + 3650


def test_a_clock_that_steps_back_tells_nothing_twice() -> None:
    duty = outage()
    duty.at(130)
    told = len(duty.told)
    duty.procedures.shift(-60)
    duty.now -= 60
    duty.at(100)
    assert len(duty.told) == told


def test_a_run_goes_on_with_the_version_that_it_was_opened_with() -> None:
    duty = outage()
    other = replace(shipped()["outage"], version=2, steps=shipped()["outage"].steps[:1], text=Text("New", "新"))
    definition = duty.procedures.definition(duty.run())
    duty.defined = {"outage": other}
    assert duty.procedures.replace(duty.defined, duty.tree, {}, duty.now) == []
    duty.at(60)
    assert duty.procedures.definition(duty.run()) is definition
    duty.restart(100)
    assert duty.procedures.definition(duty.run()) == definition
    assert (duty.run().version, len(duty.run().steps)) == (1, 8)
    work(duty, 200, "appliances-off")
    duty.ask(210, "abort", duty.run().run_id, "Lin", "test")
    duty.cleared(220, LOST)
    duty.raised(230, LOST)
    assert (duty.run().version, len(duty.run().steps)) == (2, 1)


def test_a_definition_that_did_not_change_is_shared_after_a_restart() -> None:
    duty = outage()
    duty.restart(20)
    assert duty.procedures.definition(duty.run()) is shipped()["outage"]


def test_new_procedures_hear_of_what_stands_already() -> None:
    duty = Duty({})
    duty.raised(0, LOST)
    assert duty.told == []
    duty.defined = shipped()
    duty.procedures.replace(duty.defined, duty.tree, {}, BASE + 10)
    assert duty.procedures.next_due() is not None
    duty.at(10)
    assert duty.run().procedure == "outage"


def test_a_device_that_is_new_to_the_site_counts_for_the_proof_of_an_open_run() -> None:
    small = site()
    duty = outage()
    nodes = {id: node for id, node in small.nodes.items() if id != "crac-2"}
    duty.procedures.replace(duty.defined, type(small)(nodes), {}, duty.now)
    duty.read(20, "crac-1", running=False)
    duty.at(26)
    assert duty.step("cooling-off").state is StepState.DONE


def test_rows_are_plain_data_and_go_when_the_run_does() -> None:
    duty = outage()
    (row,) = duty.rows.values()
    assert isinstance(json.loads(row), dict)
    other = Procedures({}, duty.tree, {}, CHINA)
    other.restore({id: json.loads(row) for id, row in duty.rows.items()}, duty.now)
    assert other.runs() == duty.procedures.runs()
    assert other.store("no-run") is None
    assert other.touched() == frozenset()


def test_a_run_that_ends_and_is_forgotten_in_one_late_step_is_still_told() -> None:
    duty = Duty()
    duty.raised(0, "s1-pc.offline")
    work(duty, 5, "move")
    duty.cleared(10, "s1-pc.offline")
    duty.at(71)
    work(duty, 80, "log")
    run = duty.run()
    duty.restart(5000)
    assert run.state is RunState.CLOSED
    assert duty.procedures.definition(run).id == "equipment-fault"
    assert not duty.rows
