"""What a lane judged, written down: one batch of state, journal and messages, committed before anything is sent.

Owns which rows of the store belong to a lane and which records people were shown. Judges nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Literal

from edgeagent import alarmfeed, faultrecord, messages, runfeed
from edgeagent.alarm import Alarm, Change
from edgeagent.feed import Feed
from edgeagent.lane import Lane, Outcome
from edgeagent.messages import Message, Tree
from edgeagent.run import Run
from edgeagent.store import Batch, Body, Entry, Store, StoreError

log = logging.getLogger(__name__)

_ALARM: Final = "alarm/"
_RUN: Final = "run/"
_FLOOR: Final = "memory/floor"
_FORECAST: Final = "memory/forecast"
SEEN: Final = "seen"
"""Key of the last moment at which we are known to have watched."""


class Ledger:
    """Keeps store and feed in step with one lane."""

    def __init__(self, lane: Lane, feed: Feed, store: Store, tree: Tree, language: Literal["en", "zh"]) -> None:
        self._lane, self._feed, self._store = lane, feed, store
        self._tree: Tree = tree
        self._language: Literal["en", "zh"] = language
        self._listed: dict[str, Alarm] = {}
        self._runs: dict[str, Run] = {}

    def restore(self, now: float) -> None:
        """Take up where the last process stopped."""
        store, lane = self._store, self._lane
        alarms = _rows(store, _ALARM)
        memory = store.load_state("memory/")
        marks = [mark["at"] for mark in (*store.load_state(SEEN).values(), *alarms.values())]
        lane.floor.restore(alarms, now, seen=max(marks, default=None), memory=memory.get(_FLOOR))
        lane.procedures.restore(_rows(store, _RUN), now)
        lane.forecasts.restore(memory.get(_FORECAST))
        self._listed = dict(lane.records())
        self._runs = dict(lane.procedures.runs())
        shown = [alarm for id, alarm in self._listed.items() if not lane.floor.folded(id)]
        self._feed.restore(shown, [self._record(run, now) for run in self._runs.values()])
        log.info(
            "boot %d of the store, %d alarms and %d runs taken up", store.boot, len(self._listed), len(self._runs)
        )

    def standing(self) -> list[Alarm]:
        """Return the alarms that stand."""
        return [alarm for alarm in self._listed.values() if not alarm.is_cleared]

    def enter(self, outcome: Outcome, now: float) -> bool:
        """Hand what changed to the store, and through it to the feed; tell whether anything did."""
        lane, feed = self._lane, self._feed
        touched, runs_touched = lane.floor.touched(), lane.procedures.touched()
        memory = {_FLOOR: lane.floor.memory(), _FORECAST: lane.forecasts.memory()}
        state: dict[str, Body | None] = {key: body for key, body in memory.items() if body is not None}
        if not (touched or runs_touched or outcome or state):
            return False
        state |= {_ALARM + id: lane.floor.store(id) for id in touched}
        state |= {_RUN + id: lane.procedures.store(id) for id in runs_touched}
        entries = [Entry("alarm", change.at, _journal(change)) for change in outcome.changes]
        entries += [Entry("run", change.at, faultrecord.journal_of(change)) for change in outcome.runs]
        batch = Batch(state, entries, [*self._alarms(touched, outcome, now), *self._procedures(outcome, now)])
        feed.commit(batch).add_done_callback(_committed)
        for change in outcome.changes:
            log.info("%s %s (%s)", change.verb, change.alarm.alarm_id, change.alarm.perceived_severity)
        for told in outcome.runs:
            log.info("%s %s %s", told.run.run_id, told.verb, told.step)
        return True
