"""What has not been rehearsed for too long: each procedure on each shift, by the drills of the journal. Pure.

A drill counts for the shift in which it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from edgeagent.drillrecord import Held
from edgeagent.scenario import DrillPlans, Shift
from edgeagent.wording import local

LIMIT: Final = 90
"""Days after which a procedure is to be rehearsed again on each shift."""
ANY: Final = "any"
"""Stands for all shifts where the site names none."""
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Owed:
    """One procedure on one shift: when it was rehearsed last (epoch s) and how many whole days ago, None for never.

    `drill_id` is the drill that did it.
    """

    procedure: str
    shift: str
    last: float | None
    days: int | None
    overdue: bool
    drill_id: str = ""


def owed(
    drills: Iterable[Held], plans: DrillPlans, procedures: Iterable[str], now: float, zone: tzinfo | None = None
) -> tuple[Owed, ...]:
    """Tell of each procedure that a scenario exercises and each shift when it was rehearsed last.

    `procedures` are those of the site, whose order the rows have; `zone` None is the host's own.
    """
    exercised = {scenario.procedure for scenario in plans.scenarios.values()}
    last: dict[tuple[str, str], Held] = {}
    for held in drills:
        if not held.rehearsed or held.declared.started > now:
            continue
        for shift in _shifts(held.declared.started, plans.shifts, zone):
            key = held.declared.procedure, shift
            if key not in last or last[key].declared.started < held.declared.started:
                last[key] = held
    wanted = [id for id in dict.fromkeys(procedures) if id in exercised]
    return tuple(_owed(id, shift, last.get((id, shift)), now) for id in wanted for shift in plans.shifts or (ANY,))


def _owed(procedure: str, shift: str, held: Held | None, now: float) -> Owed:
    if held is None:
        return Owed(procedure, shift, None, None, overdue=True)
    since = now - held.declared.started
    overdue = since > LIMIT * _DAY
    return Owed(procedure, shift, held.declared.started, int(since // _DAY), overdue, held.drill_id)


def _shifts(at: float, shifts: Mapping[str, Shift], zone: tzinfo | None) -> Iterator[str]:
    """Give the shifts that a moment lies in; two may overlap."""
    here = local(at, zone)
    minute = here.hour * 60 + here.minute
    yield from (id for id, shift in shifts.items() if shift.hours.holds(here.weekday(), minute))
    if not shifts:
        yield ANY
