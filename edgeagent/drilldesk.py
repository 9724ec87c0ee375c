"""Answers what people ask of drills that were held: the report of one, and what has not been rehearsed for too long.

Reads the journal; what is made of it is made by pure code.
"""

from __future__ import annotations

from datetime import tzinfo

from edgeagent import drilldebt, drilljson, drillrecord, drillreport, drillreview, faultrecord
from edgeagent.config import Site
from edgeagent.document import Document
from edgeagent.drilldebt import Owed
from edgeagent.drillfigures import REAL, Judgement
from edgeagent.drilljson import DrillReportJson
from edgeagent.drillrecord import Held
from edgeagent.journal import Journal
from edgeagent.wording import NAMELESS, Names


def drills(journal: Journal, now: float) -> tuple[Held, ...]:
    """Return all drills of the journal in brief, oldest first."""
    return drillrecord.held(journal.drills(now))


def judged(journal: Journal, drill_id: str | None, now: float) -> Judgement | None:
    """Judge a drill, the last one without an id; None where there is none such."""
    known = drills(journal, now)
    found = next((each for each in reversed(known) if drill_id in (None, each.drill_id)), None)
    record = None if found is None else drillreview.of(journal.drill(found.drill_id), found.drill_id, now)
    if found is None or record is None:
        return None
    told = found.declared
    alike = (
        each
        for each in reversed(known)
        if each.declared.started < told.started
        and (each.declared.scenario, each.declared.speed) == (told.scenario, told.speed)
    )
    last = next(alike, None)
    before = None if last is None else drillreview.of(journal.drill(last.drill_id), last.drill_id, now)
    lines = journal.real_runs(told.procedure, told.started, REAL)
    ids = dict.fromkeys(str(line.body.get("run_id")) for line in lines)
    real = (faultrecord.of(lines, id, now) for id in ids)
    return Judgement(record, before, tuple(each for each in real if each is not None))


def report(
    journal: Journal, drill_id: str | None, language: str, zone: tzinfo | None, names: Names = NAMELESS, *, now: float
) -> Document | None:
    """Lay out the report of a drill, the last one without an id; None where there is none such."""
    found = judged(journal, drill_id, now)
    return None if found is None else drillreport.drill(found, language, zone, names)


def as_json(journal: Journal, drill_id: str | None, *, now: float) -> DrillReportJson | None:
    """Write the report of a drill for programs; None where there is none such."""
    found = judged(journal, drill_id, now)
    return None if found is None else drilljson.report(found)


def debt(journal: Journal, site: Site, now: float, zone: tzinfo | None = None) -> tuple[Owed, ...]:
    """Tell which procedures have not been rehearsed for too long on which shift; `zone` None is the host's own."""
    return drilldebt.owed(drills(journal, now), site.drills, site.procedures, now, zone)
