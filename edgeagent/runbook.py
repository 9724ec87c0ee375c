"""All runs of one lane: found by id, by what they are about and by their alarms, with their clocks. Pure.

Knows nothing of procedures: what starts a run and what is asked of it comes from `procedures.py`. An ended run is
listed for a while; as long as an alarm of it stands it is kept, so that this alarm starts nothing anew.
"""

from __future__ import annotations

import heapq
from datetime import tzinfo
from typing import Final

from edgeagent.run import RunChange
from edgeagent.runs import Live
from edgeagent.wording import local

LINGER: Final = 600.0
"""s that a run stays listed after its end."""
_LONGEST: Final = 22
"""Characters of a procedure's id in the id of a run: with date, time and a number it stays within 40."""
Key = tuple[str, str, str | None]
"""Procedure, scope and drill: one run of them is open at a time."""


class Runbook:
    """The runs. A touched run is one whose stored state changed."""

    def __init__(self, zone: tzinfo | None) -> None:
        self.lives: dict[str, Live] = {}
        self.open: dict[Key, Live] = {}
        self._zone = zone
        self._of_alarm: dict[str, dict[Live, None]] = {}
        self._spares: dict[str, Live] = {}
        self._heap: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}
        self._minute, self._numbers = "", dict[str, int]()
        self._told: list[RunChange] = []
        self._touched: set[str] = set()

    def new_id(self, procedure: str, at: float, origin: str | None) -> str:
        """Return an id that is free: outage-20261125-0210, with the local time."""
        stem = f"{'drill-' if origin else ''}{procedure}"[:_LONGEST].strip("-")
        minute = f"{local(at, self._zone):%Y%m%d-%H%M}"
        if minute != self._minute:
            self._minute, self._numbers = minute, {}
        number = self._numbers.get(stem, 0)
        while True:
            number += 1
            id = f"{stem}-{minute}" if number == 1 else f"{stem}-{minute}-{number}"
            if id not in self.lives:
                self._numbers[stem] = number
                return id

    def add(self, live: Live) -> None:
        """Take in a run."""
        run = live.run
        self.lives[run.run_id] = live
        if not run.over:
            self.open[run.procedure, run.scope, run.origin] = live
            if run.spare is not None:
                self._spares[run.spare] = live
        for alarm_id in run.standing if run.over else run.alarms:
            self.hears(live, alarm_id)
        self.keep(live)

    def hears(self, live: Live, alarm_id: str) -> None:
        """Note that a run is concerned with an alarm."""
        self._of_alarm.setdefault(alarm_id, {})[live] = None

    def of_alarm(self, alarm_id: str) -> list[Live]:
        """Return the runs that are concerned with an alarm."""
        return [*self._of_alarm.get(alarm_id, ())]

    def taken(self, spare: str) -> bool:
        """Tell whether an open run has named a spare seat."""
        return spare in self._spares

    def keep(self, live: Live) -> None:
        """Take over what happened to a run: what is to be told, when it is due, whether it has ended."""
        run, id = live.run, live.run.run_id
        self._told += live.told
        live.told = []
        if live.touched:
            live.touched = False
            self._touched.add(id)
        if run.over:
            self._free(live)
            due = None if run.standing or run.ended is None else run.ended + LINGER
        else:
            due = live.next_due()
        if due is None:
            self._due.pop(id, None)
        elif self._due.get(id) != due:
            self._due[id] = due
            heapq.heappush(self._heap, (due, id))

    def _free(self, live: Live) -> None:
        run = live.run
        key = (run.procedure, run.scope, run.origin)
        if self.open.get(key) is live:
            del self.open[key]
            for alarm_id in {*run.alarms} - {*run.standing}:
                self._let_go(live, alarm_id)
        if run.spare is not None and self._spares.get(run.spare) is live:
            del self._spares[run.spare]

    def _let_go(self, live: Live, alarm_id: str) -> None:
        concerned = self._of_alarm.get(alarm_id, {})
        concerned.pop(live, None)
        if not concerned:
            self._of_alarm.pop(alarm_id, None)

    def next_due(self) -> float | None:
        """Return when the next clock runs out, epoch s; None if none runs."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def serve(self, until: float, *, inclusive: bool) -> None:
        """Let each run do what fell due before a moment, or up to it."""
        while (due := self.next_due()) is not None and (due < until or (inclusive and due == until)):
            live = self.lives[self._heap[0][1]]
            if live.run.over:
                self._forget(live)
            else:
                live.serve(until, inclusive=inclusive)
                self.keep(live)

    def _forget(self, live: Live) -> None:
        id = live.run.run_id
        del self.lives[id]
        del self._due[id]
        for alarm_id in live.run.alarms:
            self._let_go(live, alarm_id)
        self._touched.add(id)

    def shift(self, delta: float) -> None:
        """Move all clocks along with a wall clock that stepped by `delta` s."""
        for live in self.lives.values():
            live.shift(delta)
            self.keep(live)

    def told(self) -> list[RunChange]:
        """Return, once, what happened, the earliest first; what happened to one run stays in its order."""
        told, self._told = self._told, []
        return sorted(told, key=lambda change: change.at)

    def touched(self) -> frozenset[str]:
        """Return, once, the ids whose stored state changed."""
        touched, self._touched = frozenset(self._touched), set()
        return touched
