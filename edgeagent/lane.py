"""One lane: all that is judged from one view of the site, in one order. Pure: no clock, no await, no I/O.

    readings → alarms, supply, causes, groups (`floor.py`) → procedures → forecasts

The live lane steps on what the devices say. A lane owns its view: readings by resource and point, those of the agent
itself and those that `floor.py` derives among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeagent.alarm import Alarm, Change
from edgeagent.alarms import Alarms
from edgeagent.config import Site
from edgeagent.floor import Floor
from edgeagent.forecast import Forecasts
from edgeagent.inventory import AGENT
from edgeagent.procedures import Procedures
from edgeagent.readings import Readings
from edgeagent.run import RunChange


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step changed: alarms, then runs of procedures, each in the order that is told."""

    changes: list[Change] = field(default_factory=list)
    runs: list[RunChange] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Tell whether anything is to be told."""
        return bool(self.changes or self.runs)


class Lane:
    """All that is judged on one lane. Times are epoch s."""

    def __init__(self, site: Site) -> None:
        self.view: dict[str, Readings] = {AGENT: {}}
        self.floor = Floor(site)
        self.procedures = Procedures(site.procedures, site.tree, kinds_of(site))
        self.forecasts = Forecasts(site.tree, kinds_of(site), limits_of(site))

    def step(self, changed: Iterable[tuple[str, str]], now: float) -> Outcome:
        """Judge what changed, by (resource, point), and what the timers owe."""
        changed = list(changed)
        return self._follow(self.floor.step(self.view, changed, now), changed, now)

    def ask(self, command: Callable[[Alarms], list[Change]], now: float) -> Outcome:
        """Let an operator change alarms, and see what follows from it."""
        return self._follow(self.floor.take(command(self.floor.alarms), now), [], now)

    def replace(self, site: Site, now: float) -> Outcome:
        """Go on with another configuration: what remains keeps its state."""
        changes = self.floor.replace(site, now)
        runs = self.procedures.replace(site.procedures, site.tree, kinds_of(site), now)
        self.forecasts.replace(site.tree, kinds_of(site), limits_of(site))
        return Outcome(changes, runs)

    def records(self) -> Mapping[str, Alarm]:
        """Return all listed alarms."""
        return self.floor.records()

    def next_due(self) -> float | None:
        """Return when the next timer runs out."""
        dues = [due for due in (self.floor.next_due(), self.procedures.next_due()) if due is not None]
        return min(dues, default=None)

    def shift(self, delta: float) -> None:
        """Move all that runs along with a wall clock that stepped by `delta` s."""
        self.floor.shift(delta)
        self.procedures.shift(delta)
        self.forecasts.shift(delta)

    def restore(self, rows: Mapping[str, dict[str, Any]], now: float, seen: float | None) -> None:
        """Take up what was stored, by key as in `rows` of `ledger.py`."""
        ...

    def _follow(self, changes: list[Change], changed: list[tuple[str, str]], now: float) -> Outcome:
        self.view |= self.floor.derived
        changed += self.floor.moved()
        runs = self.procedures.step(changes, self.floor.records(), self.view, now)
        self.forecasts.step(self.view, changed, now)
        return Outcome(changes, runs)
