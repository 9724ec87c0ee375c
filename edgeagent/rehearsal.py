"""The drill lane while a drill runs: the same engine on what the drill shows, beside the real one. Pure.

    real answers ─┬─▶ DeviceState ─▶ live Lane
                  └─▶ Overlay ─▶ twin ─▶ drill Lane      (only devices of which something is shown that is not so)

The live lane is neither asked nor told anything here: it steps as it would without a drill. What the twins read has the
drill's id as origin, and so has all that follows from it. Times are epoch s; a demonstration may run faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, nextafter
from typing import Any

from edgeagent.catalog import Driver
from edgeagent.config import Site
from edgeagent.devices import DeviceState
from edgeagent.drill import Drill
from edgeagent.inventory import AGENT
from edgeagent.lane import Lane, Outcome
from edgeagent.overlay import Overlay
from edgeagent.readings import Answers, Readings
from edgeagent.run import RunChange
from edgeagent.runs import SYSTEM
from edgeagent.scenario import Planned


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What one step of the drill lane gave.

    `shown` are the twins whose readings changed, `released` the devices that speak for themselves again, `again` in
    how many s a device is to be asked, `due` the injects that came due, `failed` those that a device could not say.
    """

    outcome: Outcome
    shown: list[DeviceState] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    again: list[tuple[str, float]] = field(default_factory=list)
    due: list[Planned] = field(default_factory=list)
    failed: list[tuple[Planned, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the live lane holds when a drill begins: alarms as rows of the store, memory, readings by device."""

    alarms: Mapping[str, Mapping[str, Any]]
    memory: Mapping[str, Any] | None
    view: Mapping[str, Readings]

    @classmethod
    def of(cls, lane: Lane) -> Standing:
        """Copy what is needed of a lane, so that a thread may take its time over it."""
        rows = {id: row for id in lane.records() if (row := lane.floor.store(id)) is not None}
        view = {id: dict(readings) for id, readings in lane.view.items()}
        return cls(rows, lane.floor.remembered(), view)


def prepared(site: Site, standing: Standing, now: float) -> Lane:
    """Make a lane that knows what stands, as after a restart. It takes its time: 10,000 devices are built anew."""
    lane = Lane(site)
    lane.floor.restore(standing.alarms, now, now, standing.memory)
    lane.view.update(standing.view)
    lane.step([(id, point) for id, readings in standing.view.items() for point in readings], standing.view, now)
    lane.foresee(now)
    return lane


class Rehearsal:
    """One drill's lane, twins and overlay."""

    def __init__(
        self, drill: Drill, lane: Lane, planned: Sequence[Planned], drivers: Mapping[str, Driver],
        live: Mapping[str, Readings],
    ) -> None:  # fmt: skip
        """Take over a prepared lane; `live` are the readings of the live lane by resource, as they are renewed."""
        self.drill, self.lane = drill, lane
        self._overlay = Overlay(planned, drivers)
        self._live = live
        self._twins: dict[str, DeviceState] = {}
        self._told = -1.0
        self._missed: list[tuple[str, str]] = []
        for id in live.keys() & lane.view.keys():
            if id == AGENT or id not in lane.floor.derived:
                before, lane.view[id] = lane.view[id], live[id]
                self._missed += ((id, point) for point, reading in live[id].items() if reading is not before.get(point))

    def time(self, now: float) -> float:
        """Return what the clock of the drill says: the real time, but in a demonstration that runs faster."""
        return self.drill.started + self.drill.moment(now)

    def step(
        self, polled: Iterable[tuple[DeviceState, Answers]], changed: Iterable[tuple[str, str]], now: float
    ) -> Rehearsed:
        """Take the answers of one turn, what changed on the live lane with them, and what the timers owe."""
        moment, at = self.drill.moment(now), self.time(now)
        covered = self._overlay.devices(moment)
        mine, self._missed = self._missed, []
        released = self._released(covered)
        mine += ((id, point) for id in released for point in self._live[id])
        asked: list[str] = []
        shown: list[DeviceState] = []
        again: list[tuple[str, float]] = []
        for state, answers in polled:
            id = state.device.id
            asked.append(id)
            if id not in covered:
                continue
            twin = self._twins.get(id) or self._begin(state)
            points = twin.take(self._overlay.apply(id, state.driver, answers, moment), at)
            mine += ((id, point) for point in points)
            if points:
                shown.append(twin)
            if twin.misses and not state.misses:  # a device that misses a poll is asked again sooner
                again.append((id, twin.interval(hasten=False)))
        mine += (pair for pair in changed if pair[0] not in self._twins)
        outcome = self.lane.step(mine, asked, at)
        due, self._told = self._overlay.due(self._told, moment), moment
        return Rehearsed(outcome, shown, released, again, due, self._overlay.failures())

    def _begin(self, state: DeviceState) -> DeviceState:
        twin = self._twins[state.device.id] = state.twin(self.drill.drill_id)
        self.lane.view[state.device.id] = twin.readings
        return twin

    def _released(self, covered: frozenset[str]) -> list[str]:
        """Let devices speak for themselves again of which nothing is shown any more."""
        released = [id for id in self._twins if id not in covered]
        for id in released:
            del self._twins[id]
            self.lane.view[id] = self._live[id]
        return released

    def next_due(self, now: float) -> float | None:
        """Return when a timer of the lane runs out or an inject is due; None for never."""
        drill, found = self.drill, list[float]()
        due, change = self.lane.next_due(), self._overlay.next_change(drill.moment(now))
        if due is not None:
            found.append(drill.when(due - drill.started))
        if change is not None:
            found.append(drill.when(change))
        soonest = min(found, default=None)
        # By a clock that runs faster it may be a hair too early then, for the rounding of times.
        return soonest if soonest is None or drill.speed == 1.0 else nextafter(soonest, inf)

    def abort(self, by: str, reason: str, now: float) -> list[RunChange]:
        """Close the drill's runs: with it they are over."""
        procedures, at = self.lane.procedures, self.time(now)
        open_ = [run.run_id for run in procedures.runs().values() if run.origin is not None and not run.over]
        return [change for run_id in open_ for change in procedures.abort(run_id, by or SYSTEM, reason, at)]

    def shift(self, delta: float) -> None:
        """Move all that runs along with a wall clock that stepped by `delta` s."""
        self.drill = replace(self.drill, started=self.drill.started + delta)
        self.lane.shift(delta)
