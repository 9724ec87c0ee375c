"""A floor under procedures, played second by second: alarms made by hand, readings, people, restarts.

The site has a mains node, two UPSes, a generator, two cooling units in a hall with seats, and two spare seats.
"""

# ruff: noqa: ANN401 - facts of alarms and words of commands are of many types

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta, timezone
from functools import cache
from typing import Any

from edgeagent import driverfiles, procedurefiles, resources
from edgeagent.alarm import Alarm, Change, Silence, Suppression, Verb
from edgeagent.catalog import Catalog, Relation, Severity, Text
from edgeagent.procedure import Procedure
from edgeagent.procedures import Procedures
from edgeagent.readings import Reading, Value
from edgeagent.run import Run, RunChange, StepRun
from edgeagent.sitetree import Node, SiteTree

BASE = 1_795_543_800.0
"""2026-11-25 02:10:00 in China."""
CHINA = timezone(timedelta(hours=8))
MAINS = "grid"
PARTS = {"pc": "workstation", "headset": "headset", "phone": "phone", "crm": "service"}
"""What a seat is made of: the end of each device's id, its kind."""


@cache
def catalog() -> Catalog:
    return driverfiles.load([resources.drivers()])


@cache
def shipped() -> Mapping[str, Procedure]:
    return procedurefiles.load([resources.examples() / "procedures"], catalog())


def site(seats: int = 4) -> SiteTree:
    """Build the site's tree: seats s1, s2 … in the hall, spares x1 in the hall and y1 in the annex."""

    def node(id: str, kind: str, area: str = "", **more: Any) -> Node:
        parents = {Relation.PLACE: (area,)} if area else {}
        return Node(id, Text(id.upper(), f"{id} 号"), kind, parents, **more)

    nodes = [
        node("hall", "area"), node("annex", "area"), node("room", "area"), node(MAINS, "mains"),
        node("ups-a", "ups", "room", device=True), node("ups-b", "ups", "room", device=True),
        node("genset", "generator", "room", device=True), node("crac-1", "hvac", "hall", device=True),
        node("crac-2", "hvac", "hall", device=True), node("sensor", "environment", "hall", device=True),
        node("switch", "network", "room"), node("crm", "service", device=True), node("acd", "service", device=True),
    ]  # fmt: skip
    places = [("y1", "annex"), *((f"s{number}", "hall") for number in range(1, seats + 1)), ("x1", "hall")]
    for id, area in places:
        nodes.append(node(id, "seat", area, spare=id in ("x1", "y1")))
        nodes += [node(f"{id}-{part}", kind, seat=id, device=True) for part, kind in PARTS.items()]
    return SiteTree({each.id: each for each in nodes})


class Duty:
    """Procedures under alarms, readings and people; timers are served on time."""

    def __init__(self, procedures: Mapping[str, Procedure] | None = None, seats: int = 4) -> None:
        self.defined = shipped() if procedures is None else procedures
        self.tree = site(seats)
        self.procedures = Procedures(self.defined, self.tree, {}, CHINA)
        self.records: dict[str, Alarm] = {}
        self.view: dict[str, dict[str, Reading]] = {}
        self.rows: dict[str, str] = {}
        self.told: list[RunChange] = []
        self.now = BASE

    # -- time -------------------------------------------------------------------------------------------------

    def at(self, second: float) -> None:
        """Serve all clocks up to a second."""
        for _ in range(100_000):
            due = self.procedures.next_due()
            if due is None or due > BASE + second:
                break
            self.now = max(self.now, due)
            self._take(self.procedures.step([], self.records, self.view, self.now, []))
        else:
            raise AssertionError("clocks never come to rest")
        self.now = max(self.now, BASE + second)

    def _take(self, changes: list[RunChange]) -> None:
        self.told += changes
        for run_id in self.procedures.touched():
            row = self.procedures.store(run_id)
            if row is None:
                self.rows.pop(run_id, None)
            else:
                self.rows[run_id] = json.dumps(row)

    def restart(self, second: float) -> None:
        """Be dead until a second, then take up what was stored and look at everything."""
        self.now = BASE + second
        self.procedures = Procedures(self.defined, self.tree, {}, CHINA)
        self.procedures.restore({id: json.loads(row) for id, row in self.rows.items()}, self.now)
        self._take(self.procedures.step([], self.records, self.view, self.now))

    # -- what happens -----------------------------------------------------------------------------------------

    def raised(self, second: float, *ids: str, serve: bool = True, **facts: Any) -> None:
        """Raise alarms in one step: "grid.mains-lost"."""
        self._change(second, Verb.RAISED, ids, serve, is_cleared=False, raise_count=1, **facts)

    def cleared(self, second: float, *ids: str) -> None:
        """Clear alarms in one step."""
        self._change(second, Verb.CLEARED, ids, serve=True, is_cleared=True)

    def changed(self, second: float, *ids: str, **facts: Any) -> None:
        """Change facts of listed alarms."""
        self._change(second, Verb.RELATED, ids, serve=True, **facts)

    def _change(self, second: float, verb: Verb, ids: tuple[str, ...], serve: bool, **facts: Any) -> None:
        if serve:
            self.at(second)
        self.now = BASE + second
        changes = []
        for id in ids:
            before = self.records.get(id)
            alarm = replace(before or blank(id), last_changed=self.now)
            if verb is Verb.RAISED:
                alarm = replace(alarm, onset=self.now, raised=self.now)
            self.records[id] = replace(alarm, **facts)
            changes.append(Change(verb, self.records[id], before, self.now))
        self._take(self.procedures.step(changes, self.records, self.view, self.now, []))

    def read(self, second: float, device: str, **values: Value | None) -> None:
        """Take readings of a device; None is one that cannot be read. A dot in a point is written as __."""
        self.at(second)
        changed = []
        for name, value in values.items():
            point = name.replace("__", ".")
            reading = Reading.bad("timeout", self.now) if value is None else Reading(value, self.now)
            self.view.setdefault(device, {})[point] = reading
            changed.append((device, point))
        self._take(self.procedures.step([], self.records, self.view, self.now, changed))

    def ask(self, second: float, verb: str, *words: Any, **more: Any) -> list[RunChange]:
        """Let a person ask for something."""
        self.at(second)
        changes: list[RunChange] = getattr(self.procedures, verb)(*words, self.now, **more)
        self._take(changes)
        return changes

    # -- what came of it --------------------------------------------------------------------------------------

    def story(self, *verbs: str, run: str | None = None) -> list[str]:
        """Write changes down: "480 step-done generator-carries"; all verbs if none is named."""
        return [
            " ".join(filter(None, (f"{change.at - BASE:g}", change.verb.value, change.step)))
            for change in self.told
            if (not verbs or change.verb in verbs) and (run is None or change.run.run_id == run)
        ]

    def run(self, procedure: str = "") -> Run:
        """Return the newest run of a procedure."""
        return [run for run in self.procedures.runs().values() if not procedure or run.procedure == procedure][-1]

    def step(self, id: str, procedure: str = "") -> StepRun:
        return self.run(procedure).the(id)


def blank(id: str) -> Alarm:
    """Make an alarm that was never raised: <resource>.<type>[.<qualifier>]."""
    resource, type, *more = id.split(".")
    text = Text(f"{resource} {type}", f"{resource} {type} 告警")
    return Alarm(
        id, resource, type, ".".join(more), "equipment", "powerProblem", Severity.MAJOR, text, text, text,
        time_created=BASE, last_changed=BASE,
    )  # fmt: skip


SUPPRESSED = Suppression(Silence.BY_DESIGN, "system", "grid")
FREE = Suppression()
LOST = f"{MAINS}.mains-lost"
CIRCUIT = f"{MAINS}.circuit-lost"
UNCLEAR = f"{MAINS}.supply-lost"


def outage(duty: Duty | None = None, alarm: str = LOST, state: str = "lost") -> Duty:
    """Let the supply go at second 0, seen by both UPSes and raised 3 s later."""
    duty = duty or Duty()
    for ups in ("ups-a", "ups-b"):
        duty.read(-10, ups, source="normal", alarms=frozenset())
    for unit in ("crac-1", "crac-2"):
        duty.read(-10, unit, running=True)
    duty.read(-10, "genset", mode="auto")
    duty.read(-10, MAINS, state="normal", generator="idle")
    duty.read(0, "ups-a", source="battery")
    duty.read(1, "ups-b", source="battery")
    duty.read(1, MAINS, state=state, generator="ordered" if state == "lost" else "idle")
    duty.raised(3, alarm, onset=BASE, impacted_resource=("ups-a", "ups-b"))
    return duty


def work(duty: Duty, second: float, *steps: str) -> None:
    """Let the leader tick steps of the newest run."""
    for step in steps:
        duty.ask(second, "done", duty.run().run_id, step, "Lin", "")
