"""What has not been rehearsed for too long, by procedure and shift."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Final

import pytest

from edgeagent import drilldebt, drillrecord
from edgeagent.drill import End, Verdict
from edgeagent.drilldebt import ANY, LIMIT, Owed
from edgeagent.scenario import DrillPlans, Hours, Shift
from tests.drilljournals import SCENARIO, Told
from tests.journals import BASE, Journal, both

ZONE: Final = timezone(timedelta(hours=8))
DAY: Final = 86_400.0
PROCEDURES: Final = ("outage", "air-conditioning", "security")
SHIFTS: Final = {
    "day": Shift("day", both("Day", "白班"), Hours(8 * 60, 20 * 60)),
    "night": Shift("night", both("Night", "夜班"), Hours(20 * 60, 8 * 60)),
}
COOLING: Final = replace(SCENARIO, id="cooling-unit-trips", procedure="air-conditioning")
PLANS: Final = DrillPlans(scenarios={SCENARIO.id: SCENARIO, COOLING.id: COOLING}, shifts=SHIFTS)


def owed(journal: Journal, plans: DrillPlans = PLANS, now: float = BASE + DAY) -> dict[tuple[str, str], Owed]:
    rows = drilldebt.owed(drillrecord.held(journal.lines), plans, PROCEDURES, now, ZONE)
    return {(row.procedure, row.shift): row for row in rows}


def test_each_procedure_that_a_scenario_exercises_is_asked_for_on_each_shift() -> None:
    rows = owed(Journal())
    assert list(rows) == [
        ("outage", "day"), ("outage", "night"), ("air-conditioning", "day"), ("air-conditioning", "night"),
    ]  # fmt: skip
    assert all((row.last, row.days, row.overdue) == (None, None, True) for row in rows.values())


def test_without_shifts_there_is_one_row_a_procedure() -> None:
    journal = Journal()
    Told(journal).ended(1200)
    rows = owed(journal, replace(PLANS, shifts={}))
    assert list(rows) == [("outage", ANY), ("air-conditioning", ANY)]
    assert rows["outage", ANY].days == 1


@pytest.mark.parametrize(
    ("hours", "shift"), [(0, "day"), (11.49, "day"), (11.5, "night"), (16, "night"), (23.4, "night"), (23.5, "day")]
)
def test_a_drill_counts_for_the_shift_in_which_it_began(hours: float, shift: str) -> None:
    journal = Journal()
    Told(journal, at=hours * 3600).ended(1200)  # BASE is 08:30
    rows = owed(journal, now=BASE + 2 * DAY)
    assert [row.shift for row in rows.values() if row.procedure == "outage" and not row.overdue] == [shift]


@pytest.mark.parametrize(
    ("why", "met", "speed", "counts"),
    [
        (End.COMPLETED, False, 1.0, True),
        (End.TIME, True, 1.0, True),
        (End.TIME, False, 1.0, False),
        (End.COMPLETED, True, 2.0, False),
        *((why, True, 1.0, False) for why in End if why not in (End.COMPLETED, End.TIME)),
    ],
)
def test_only_a_drill_that_went_to_its_end_at_true_speed_counts(
    why: End, met: bool, speed: float, counts: bool
) -> None:
    journal = Journal()
    told = Told(journal, speed=speed)
    for number, want in enumerate(SCENARIO.expects):
        verdict = Verdict.HELD if want.never else Verdict.MET
        told.judged(number, number, verdict if met else Verdict.MISSED)
    told.ended(1200, why)
    assert (owed(journal)["outage", "day"].last is not None) is counts


def test_a_drill_that_still_runs_counts_for_nothing() -> None:
    journal = Journal()
    Told(journal)
    assert owed(journal)["outage", "day"].overdue


@pytest.mark.parametrize(("days", "overdue"), [(0, False), (LIMIT, False), (LIMIT + 0.01, True), (200, True)])
def test_a_rehearsal_is_good_for_ninety_days(days: float, overdue: bool) -> None:
    journal = Journal()
    told = Told(journal)
    told.ended(1200)
    row = owed(journal, now=BASE + days * DAY)["outage", "day"]
    assert (row.last, row.days, row.overdue, row.drill_id) == (BASE, int(days), overdue, told.drill.drill_id)


def test_the_newest_drill_counts_whatever_the_order_of_their_ends() -> None:
    journal = Journal()
    Told(journal, "second", 3 * DAY).ended(1200)
    Told(journal, "first", DAY).ended(1200)
    assert owed(journal, now=BASE + 4 * DAY)["outage", "day"].drill_id == "second"
