"""A service as each seat reaches it: one seat alone, many that share something, and what the centre sees itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.catalog import Severity
from edgeagent.endpoint import parse
from edgeagent.inventory import rules_of
from edgeagent.procedures import Procedures
from edgeagent.sitetree import AREA, MAINS, SEAT
from tests.duty import CHINA, shipped
from tests.hall import CATALOG, Hall, Plan
from tests.seatrow import ids

SEEN = CATALOG.drivers["service/seat"]
LOST = "unreachable-from-seat"


class Office(Hall):
    """Seats at two switches that each ask CRM by themselves, as the centre does too; with the procedures beside it."""

    def __init__(self, seats: int = 24, *, probed: bool = True) -> None:
        plan = Plan().add("mains", MAINS).add("ups", "ups", fed=["mains"])
        plan.add("hall", AREA).add("core", "network", fed=["ups"])
        plan.add("crm", "service", linked=["core"])
        if not probed:
            plan.nodes["crm"] = replace(plan.nodes["crm"], device=False)
            del plan.devices["crm"]
        for switch in ("east", "west"):
            plan.add(switch, "network", fed=["ups"], linked=["core"])
        for number, seat in enumerate(ids(seats)):
            plan.add(seat, SEAT, fed=["ups"], linked=[("east", "west")[number % 2]], needs=["crm"], area="hall")
            id = f"{seat}-crm"
            plan.add(id, "service", seat=seat)
            asked = parse(f"seat://{seat}?service=crm")
            plan.devices[id] = replace(plan.devices[id], driver=SEEN, endpoint=asked)
        super().__init__(plan)
        self.procedures = Procedures(shipped(), self.site.tree, {}, CHINA)
        first = ids(seats)
        self.say(0, {f"{seat}-crm": {"seat.answer": "ok", "seat.latency": 20, "agent": "running"} for seat in first})
        if probed:
            self.say(1, {"crm": {"reachable": True, "answer": "ok", "latency": 12}})

    def seen(self, second: float, seats: list[str], answer: str) -> None:
        """Let seats report what they got of the service, each a moment after the other."""
        for number, seat in enumerate(seats):
            self.say(second + number % 15, {f"{seat}-crm": {"seat.answer": answer}})

    def runs(self) -> list[tuple[str, str]]:
        """Return which procedures were opened by all that was told so far, each with what it is about."""
        self.procedures.step(self.changes, self.floor.records(), self.view, self.now, [])
        return sorted((run.procedure, run.scope) for run in self.procedures.runs().values())


@pytest.mark.parametrize("answer", ["silent", "refused", "unresolved"])
def test_a_service_that_one_seat_alone_cannot_reach_is_an_equipment_fault_of_that_seat(answer: str) -> None:
    office = Office()
    office.seen(100, ["s003"], answer)
    office.until(300)
    assert office.raised() == [f"s003-crm.{LOST}"]
    alarm = office.record(f"s003-crm.{LOST}")
    assert alarm.perceived_severity is Severity.MINOR
    assert alarm.alarm_text.en == "s003-crm: service cannot be reached from the seat"
    assert alarm.alarm_text.zh == "“s003-crm” 从座席无法访问业务系统"
    assert office.runs() == [("equipment-fault", "s003")]


@pytest.mark.parametrize("answer", ["wrong", "insecure"])
def test_a_service_that_answers_one_seat_with_an_error_is_an_equipment_fault_too(answer: str) -> None:
    office = Office()
    office.seen(100, ["s003"], answer)
    office.until(300)
    assert (office.raised(), office.runs()) == (["s003-crm.failing-at-seat"], [("equipment-fault", "s003")])


def test_one_probe_that_is_lost_is_told_to_nobody() -> None:
    office = Office()
    office.seen(100, ["s003"], "silent")
    office.seen(125, ["s003"], "ok")
    office.until(300)
    assert (office.raised(), office.runs()) == ([], [])


def test_a_service_that_a_whole_switch_cannot_reach_is_one_system_fault_on_the_switch() -> None:
    office = Office()
    office.seen(100, ids(24)[::2], "silent")
    office.until(300)
    assert office.raised() == [f"east.group.{LOST}"]
    alarm = office.record(f"east.group.{LOST}")
    assert alarm.alarm_text.en == "12 seats at east: service cannot be reached from the seat"
    assert alarm.alarm_text.zh == "“east”的 12 个座席：从座席无法访问业务系统"
    assert office.runs() == [("system-fault", "site")]


def test_what_the_centre_cannot_reach_either_is_a_network_emergency_and_explains_the_seats() -> None:
    office = Office()
    office.seen(100, ids(24), "silent")
    office.say(116, {"crm": {"reachable": False, "answer": "silent"}})
    office.until(400)
    assert office.raised() == ["crm.unreachable"]
    assert office.hidden() == {f"{seat}-crm.{LOST}": "crm.unreachable" for seat in ids(24)}
    assert office.runs() == [("network-emergency", "site")]


def test_a_service_that_nobody_but_the_seats_asks_is_a_system_fault_when_none_of_them_gets_an_answer() -> None:
    office = Office(probed=False)
    office.seen(100, ids(24), "silent")
    office.until(300)
    (raised,) = office.raised()
    assert raised.endswith(f".group.{LOST}")
    assert office.record(raised).perceived_severity is Severity.CRITICAL
    assert office.runs() == [("system-fault", "site")]


def test_a_seat_that_falls_silent_neither_loses_nor_reaches_its_service() -> None:
    office = Office()
    office.seen(100, ["s003"], "silent")
    office.until(200)
    office.say(210, {"s003-crm": {"seat.answer": None, "seat.latency": None, "agent": "silent"}})
    office.say(211, {"s005-crm": {"seat.answer": None, "seat.latency": None, "agent": "silent"}})
    office.until(900)
    assert office.standing() == {f"s003-crm.{LOST}"}
    office.say(910, {"s003-crm": {"seat.answer": "ok", "agent": "running"}})
    office.until(1000)
    assert office.standing() == set()


def test_a_service_that_is_slow_at_one_seat_is_a_warning_and_at_many_a_system_fault() -> None:
    office = Office()
    office.say(100, {"s003-crm": {"seat.latency": 6000}})
    office.until(300)
    assert (office.raised(), office.runs()) == (["s003-crm.slow-at-seat"], [])
    assert office.record("s003-crm.slow-at-seat").perceived_severity is Severity.WARNING
    office = Office()
    for seat in ids(24):
        office.say(100, {f"{seat}-crm": {"seat.latency": 6000}})
    office.until(300)
    (raised,) = office.raised()
    assert raised.endswith(".group.slow-at-seat")
    assert office.runs() == [("system-fault", "site")]


def test_what_a_seat_sees_of_a_service_is_never_told_as_what_the_centre_sees() -> None:
    rules = {rule.id for rule in rules_of(Office(1).site) if rule.resource == "s000-crm"}
    types = {LOST, "failing-at-seat", "slow-at-seat", "profile-mismatch"}
    assert rules <= {f"s000-crm.{type}" for type in types}
    assert f"s000-crm.{LOST}" in rules
