"""Seats and systems as stories: one seat is an equipment fault, many that share a cause are one system fault."""

from __future__ import annotations

import pytest

from edgeagent.catalog import Severity
from edgeagent.readings import Reading
from edgeagent.run import RunState
from tests.duty import BASE, SUPPRESSED, Duty, catalog, work


def test_forty_seats_without_softphone_are_one_system_fault_with_a_deadline_of_five_minutes() -> None:
    duty = Duty(seats=40)
    seats = [f"s{number}-pc" for number in range(1, 41)]
    duty.raised(0, *(f"{seat}.softphone-down" for seat in seats), suppression=SUPPRESSED)
    duty.raised(2, "switch.group.softphone-down", onset=BASE, impacted_resource=tuple(seats))
    duty.at(301)
    assert [run.procedure for run in duty.procedures.runs().values()] == ["system-fault"]
    run = duty.run()
    assert (run.level, (run.restore_by or 0) - BASE, len(run.affected)) == (3, 900, 41)
    assert "300 step-overdue report" in duty.story()
    assert "300 escalated report" in duty.story()
    assert len(duty.told) < 20


def test_a_level_that_is_not_restored_in_time_goes_to_om_manager_and_department() -> None:
    duty = Duty()
    duty.raised(0, "switch.group.softphone-down")
    duty.at(4000)
    told = [(change.at - BASE, *change.roles) for change in duty.told if change.verb == "escalated" and not change.step]
    assert told == [(900, "om"), (900, "manager"), (1800, "department")]


def test_what_is_restored_in_time_escalates_nothing_even_if_that_is_certain_only_later() -> None:
    duty = Duty()
    duty.raised(0, "switch.group.softphone-down")
    duty.cleared(890, "switch.group.softphone-down")
    duty.at(4000)
    assert [change for change in duty.told if change.verb == "escalated" and not change.step] == []
    assert duty.run().recovered == BASE + 890


def test_a_fault_that_was_not_over_after_all_escalates_late_and_once() -> None:
    duty = Duty()
    duty.raised(0, "switch.group.softphone-down")
    duty.cleared(890, "switch.group.softphone-down")
    duty.raised(920, "switch.group.softphone-down")
    duty.at(4000)
    told = [change.at - BASE for change in duty.told if change.verb == "escalated" and not change.step]
    assert told == [920, 920, 1800]


def test_one_seat_is_an_equipment_fault_with_the_nearest_healthy_spare_seat() -> None:
    duty = Duty()
    duty.raised(0, "s1-pc.offline", perceived_severity=Severity.MINOR)
    run = duty.run()
    assert (run.procedure, run.scope, run.spare) == ("equipment-fault", "s1", "x1")
    opened = duty.told[0]
    assert opened.text.zh == ("【座席设备故障】s1 号：s1-pc offline 告警，始于 02:10，启动预案；可换到备用座席 x1 号")
    assert opened.roles == ("leader", "agent", "om")
    duty.raised(10, "s2-pc.offline", perceived_severity=Severity.MINOR)
    assert duty.run().spare == "y1"
    duty.raised(20, "s3-pc.offline", perceived_severity=Severity.MINOR)
    assert duty.run().spare is None
    assert "暂无可用的备用座席" in duty.told[-1].text.zh
    duty.ask(30, "abort", next(iter(duty.procedures.runs())), "Lin", "wrong seat")
    duty.raised(40, "s4-pc.offline", perceived_severity=Severity.MINOR)
    assert duty.run().spare == "x1"


def test_a_seat_that_fails_in_the_same_step_is_no_spare_seat() -> None:
    duty = Duty()
    duty.raised(0, "s1-pc.offline", "x1-pc.offline")
    spares = {run.scope: run.spare for run in duty.procedures.runs().values()}
    assert spares["s1"] == "y1"
    assert spares["x1"] is None


def test_the_log_of_an_equipment_fault_has_start_and_recovery() -> None:
    duty = Duty()
    duty.raised(5, "s1-pc.offline", onset=BASE)
    work(duty, 60, "move")
    duty.cleared(1200, "s1-pc.offline")
    work(duty, 1300, "log")
    run = duty.run()
    assert run.state is RunState.CLOSED
    assert (run.onset - BASE, (run.recovered or 0) - BASE) == (0, 1200)


def test_a_warning_at_a_seat_and_a_group_alarm_are_no_equipment_fault() -> None:
    duty = Duty()
    duty.raised(0, "s1-pc.clock-unsynced", perceived_severity=Severity.WARNING)
    duty.raised(0, "s1.group.offline", perceived_severity=Severity.MAJOR)
    assert duty.told == []


@pytest.mark.parametrize("type", ["workstation-down", "phone-down"])
def test_a_watched_seat_that_fails_is_an_equipment_fault(type: str) -> None:
    duty = Duty()
    duty.raised(0, f"s1.{type}", perceived_severity=grade(type))
    assert [(run.procedure, run.scope) for run in duty.procedures.runs().values()] == [("equipment-fault", "s1")]


@pytest.mark.parametrize("type", ["agent-down", "cloned", "witness-unread", "seat-eats-headsets"])
def test_what_is_no_fault_of_the_seat_starts_nothing(type: str) -> None:
    duty = Duty()
    duty.raised(0, f"s1.{type}", perceived_severity=grade(type))
    duty.raised(0, "agent.monitoring-blind", perceived_severity=Severity.MAJOR)
    assert duty.told == []


def test_workstation_and_phone_of_one_seat_are_one_run() -> None:
    duty = Duty()
    duty.raised(0, "s1.workstation-down", "s1.phone-down", perceived_severity=Severity.MINOR)
    assert len(duty.procedures.runs()) == 1
    assert duty.run().standing == ("s1.workstation-down", "s1.phone-down")


@pytest.mark.parametrize("type", ["workstation-down", "phone-down"])
def test_seats_that_fail_together_are_a_system_fault_and_no_equipment_faults(type: str) -> None:
    duty = Duty(seats=40)
    seats = [f"s{number}" for number in range(1, 41)]
    duty.raised(0, *(f"{seat}.{type}" for seat in seats), suppression=SUPPRESSED)
    duty.raised(2, f"switch.group.{type}", impacted_resource=tuple(seats))
    assert [run.procedure for run in duty.procedures.runs().values()] == ["system-fault"]


def grade(type: str) -> Severity:
    """Return how grave an alarm of a seat is at its worst."""
    return catalog().kinds["seat"].alarms[type].levels[-1].severity


@pytest.mark.parametrize(
    ("x1", "y1", "spare"),
    [
        pytest.param(True, True, "x1", id="both are healthy"),
        pytest.param(False, True, "y1", id="the nearer one is not"),
        pytest.param(None, True, "y1", id="nobody knows of the nearer one"),
        pytest.param(False, False, None, id="none is"),
    ],
)
def test_a_spare_seat_that_is_watched_is_named_only_when_it_is_known_to_be_healthy(
    x1: bool | None, y1: bool | None, spare: str | None
) -> None:
    duty = Duty()
    for id, ready in (("x1", x1), ("y1", y1)):
        reading = Reading.bad("blind", BASE) if ready is None else Reading(ready, BASE)
        duty.view[id] = {"ready": reading}
    duty.raised(0, "s1.workstation-down", perceived_severity=Severity.MINOR)
    assert duty.run().spare == spare


@pytest.mark.parametrize(
    ("kind", "type"),
    [
        (kind, type)
        for kind in ("workstation", "headset", "phone")
        for type, alarm in catalog().kinds[kind].alarms.items()
        if alarm.levels[0].severity.rank >= Severity.MINOR.rank
    ],
)
def test_whatever_fails_of_one_seat_is_an_equipment_fault(kind: str, type: str) -> None:
    part = {"workstation": "pc"}.get(kind, kind)
    severity = catalog().kinds[kind].alarms[type].levels[0].severity
    duty = Duty()
    duty.raised(0, f"s1-{part}.{type}", perceived_severity=severity)
    assert [(run.procedure, run.scope) for run in duty.procedures.runs().values()] == [("equipment-fault", "s1")]


def test_a_flat_headset_starts_nothing() -> None:
    duty = Duty()
    duty.raised(0, "s1-headset.battery-low", perceived_severity=flattest())
    assert duty.told == []


def flattest() -> Severity:
    """Return the highest severity that a flat headset can have."""
    return catalog().kinds["headset"].alarms["battery-low"].levels[-1].severity


@pytest.mark.parametrize(
    ("alarm", "severity", "procedure", "level"),
    [
        ("crm.unreachable", Severity.MAJOR, "network-emergency", None),
        ("acd.telephony-down", Severity.CRITICAL, "system-fault", 4),
        ("crm.failing", Severity.MAJOR, "system-fault", 2),
        ("crm.slow", Severity.MAJOR, "system-fault", 1),
        ("crm.slow", Severity.MINOR, None, None),
        ("crm.certificate-expiring", Severity.MINOR, None, None),
    ],
)
def test_a_service_that_fails_starts_what_the_rules_say(
    alarm: str, severity: Severity, procedure: str | None, level: int | None
) -> None:
    type = catalog().kinds["service"].alarms[alarm.partition(".")[2]]
    assert severity in {level.severity for level in type.levels}
    duty = Duty()
    duty.raised(0, alarm, perceived_severity=severity)
    found = [(run.procedure, run.level) for run in duty.procedures.runs().values()]
    assert found == ([(procedure, level)] if procedure else [])


@pytest.mark.parametrize("type", ["unreachable-from-seat", "failing-at-seat", "unreachable", "failing"])
def test_a_service_that_one_seat_cannot_reach_is_a_fault_of_that_seat_alone(type: str) -> None:
    severity = catalog().kinds["service"].alarms[type].levels[-1].severity
    duty = Duty()
    duty.raised(0, f"s1-crm.{type}", perceived_severity=severity)
    assert [(run.procedure, run.scope) for run in duty.procedures.runs().values()] == [("equipment-fault", "s1")]


def test_a_service_that_is_slow_at_one_seat_starts_nothing() -> None:
    duty = Duty()
    severity = catalog().kinds["service"].alarms["slow-at-seat"].levels[-1].severity
    duty.raised(0, "s1-crm.slow-at-seat", perceived_severity=severity)
    assert duty.told == []


@pytest.mark.parametrize(("type", "level"), [("unreachable-from-seat", 2), ("failing-at-seat", 2), ("slow-at-seat", 1)])
@pytest.mark.parametrize("node", ["switch", "crm"])
def test_a_service_that_many_seats_cannot_reach_is_a_system_fault(node: str, type: str, level: int) -> None:
    duty = Duty()
    duty.raised(0, f"{node}.group.{type}", impacted_resource=("s1", "s2"))
    assert [(run.procedure, run.level) for run in duty.procedures.runs().values()] == [("system-fault", level)]


@pytest.mark.parametrize("type", ["unregistered", "headset-missing", "headset-offline", "audio-missing"])
def test_what_fails_at_many_seats_at_once_is_a_system_fault(type: str) -> None:
    duty = Duty()
    duty.raised(0, f"switch.group.{type}", impacted_resource=("s1", "s2"))
    assert [run.procedure for run in duty.procedures.runs().values()] == ["system-fault"]
