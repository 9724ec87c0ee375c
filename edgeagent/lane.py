"""One lane: all that is judged from one view of the site, in one order. Pure: no clock, no await, no I/O.

    readings → alarms, supply, causes, groups (`floor.py`) → procedures, and once that is told → forecasts

The live lane steps on what the devices say. A lane owns its view: readings by resource and point, those of the agent
itself and those that nobody polls among them. Times are epoch s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edgeagent.alarm import Alarm, Change
from edgeagent.alarms import Alarms
from edgeagent.config import Site
from edgeagent.floor import Floor
from edgeagent.forecast import Forecast, Forecasts
from edgeagent.inventory import AGENT, fitted
from edgeagent.procedures import Procedures
from edgeagent.readings import Readings
from edgeagent.run import RunChange

_OUT: Final = ("mains-lost", "circuit-lost", "supply-lost")
"""Alarm types of the mains whose onset is that of an outage."""
_WARM: Final = ("temperature-high", "return-temperature-high")
"""Alarm types whose highest limit is what a room may come to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step changed: alarms, then runs of procedures, each in the order that is told."""

    changes: list[Change] = field(default_factory=list)
    runs: list[RunChange] = field(default_factory=list)


class Lane:
    """All that is judged on one lane."""

    def __init__(self, site: Site) -> None:
        self.view: dict[str, Readings] = {AGENT: {}}
        self.floor = Floor(site)
        kinds = _kinds(site)
        self.procedures = Procedures(site.procedures, site.tree, kinds)
        self.forecasts = Forecasts(site.tree, kinds, _limits(site))
        self._mains, self._seats = site.tree.mains, frozenset(fitted(site))
        self.name = site.tree.name
        self._out = False
        self._unforeseen: list[tuple[str, str]] = []

    def step(self, changed: Iterable[tuple[str, str]], read: Iterable[str], now: float) -> Outcome:
        """Judge what changed, by (resource, point), and what the timers owe; `read` are the devices just asked."""
        changed = list(changed)
        return self._follow(self.floor.step(self.view, changed, now, read), changed, now)

    def calm(self, read: Collection[str], now: float) -> bool:
        """Take in that these devices were asked and nothing changed; False, and nothing done, if it takes a step.

        Nearly all turns of a calm site are of this kind. A step with nothing changed comes to the same.
        """
        due = self.procedures.next_due()
        return (due is None or due > now) and self.floor.calm(read, now)

    def ask_alarms(self, command: Callable[[Alarms], list[Change]], now: float) -> Outcome:
        """Let somebody change alarms, and see what follows from it."""
        return self._follow(self.floor.take(command(self.floor.alarms), now), [], now)

    def ask_runs(self, command: Callable[[Procedures], list[RunChange]]) -> Outcome:
        """Let somebody change runs of procedures."""
        return Outcome(runs=command(self.procedures))

    def replace(self, site: Site, now: float) -> Outcome:
        """Go on with another configuration: what remains keeps its state."""
        kinds = _kinds(site)
        self._mains, self.name = site.tree.mains, site.tree.name
        for id in self._seats - (seats := frozenset(fitted(site))):
            self.view.pop(id, None)
        self._seats = seats
        changes = self.floor.replace(site, now)
        runs = self.procedures.replace(site.procedures, site.tree, kinds, now)
        self.forecasts.replace(site.tree, kinds, _limits(site))
        after = self._follow(changes, [], now)
        return Outcome(after.changes, [*runs, *after.runs])

    def foresee(self, now: float) -> Forecast | None:
        """Return the forecast, by all that changed since the last call, if it is worth saying again.

        It takes its time: ask for it when the outcome that it follows from is told. Witnesses are not asked at one
        moment: an outage is told of when its alarm stands, and then at once.
        """
        changed, self._unforeseen = self._unforeseen, []
        onset = self._onset()
        moved = self.forecasts.step(self.view, changed, now, onset)
        begins, self._out = (onset is not None) is not self._out, onset is not None
        if not moved and not begins:
            return None
        forecast = (self.forecasts.told if moved else None) or self.forecasts.at(now)
        return None if forecast.outage is not None and onset is None else forecast

    def records(self) -> Mapping[str, Alarm]:
        """Return all listed alarms by id."""
        return self.floor.records()

    def next_due(self) -> float | None:
        """Return when the next timer of alarms or procedures runs out; None if none runs."""
        dues = (self.floor.next_due(), self.procedures.next_due())
        return min((due for due in dues if due is not None), default=None)

    def delays(self) -> float | None:
        """Return when the next of those timers runs out of which a restart must know how far they have run."""
        dues = (self.floor.delays(), self.procedures.next_due())
        return min((due for due in dues if due is not None), default=None)

    def shift(self, delta: float) -> None:
        """Move all that runs along with a wall clock that stepped by `delta` s."""
        self.floor.shift(delta)
        self.procedures.shift(delta)
        self.forecasts.shift(delta)

    def _follow(self, changes: list[Change], changed: list[tuple[str, str]], now: float) -> Outcome:
        derived = self.floor.derived
        moved = [(id, point) for id, point in self.floor.moved() if id == self._mains or id in self._seats]
        for id in dict.fromkeys(id for id, _ in moved):
            self.view[id] = derived[id]
        changed = [*changed, *moved]
        self._unforeseen += changed
        return Outcome(changes, self.procedures.step(changes, self.floor.records(), self.view, now, changed))

    def _onset(self) -> float | None:
        """Return since when the supply is gone, as its alarm says."""
        records = self.floor.records()
        if not records:
            return None
        found = (records.get(f"{self._mains}.{type}") for type in _OUT if self._mains is not None)
        onsets = (record.onset for record in found if record is not None and not record.is_cleared)
        return min((onset for onset in onsets if onset is not None), default=None)


def _kinds(site: Site) -> dict[str, str]:
    """Return the kind of each resource of the site."""
    nodes = {id: node.kind for id, node in site.tree.nodes.items()}
    return nodes | {id: device.driver.kind.id for id, device in site.devices.items()}


def _limits(site: Site) -> dict[str, float]:
    """Return what each device that measures a room lets the room come to, Cel."""
    limits: dict[str, float] = {}
    for id, device in site.devices.items():
        found = [device.alarms[type] for type in _WARM if type in device.alarms]
        given = [level.limit for type in found for level in type.levels if level.limit is not None]
        if given:
            limits[id] = max(given)
    return limits
