"""What a lane judged, written down: one batch of state, journal and messages, committed before anything is sent.

Owns which rows of the store belong to the lane and which records people were shown. Judges nothing. Of a drill's lane
only what the drill touched is written, as journal entries of kinds of their own and never as state: it is not restored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, Literal

from edgeagent import alarmfeed, faultrecord, forecastfeed, messages, runfeed
from edgeagent.alarm import Alarm, Change
from edgeagent.feed import Feed
from edgeagent.lane import Lane, Outcome
from edgeagent.messages import Message, Mode, Tree
from edgeagent.run import Run
from edgeagent.store import Batch, Body, Entry, Store, StoreError

log = logging.getLogger(__name__)

SEEN: Final = "seen"
"""Key of the last moment at which we are known to have watched."""
_ALARM: Final = "alarm/"
_RUN: Final = "run/"
_MEMORY: Final = "memory/"
_FLOOR: Final = "memory/floor"
_FORECAST: Final = "memory/forecast"


class Ledger:
    """Keeps store and feed in step with one lane.

    Of a drill's lane `exercise` is the drill's id, and `next_seq` numbers its events; the live ones have the store's.
    """

    def __init__(
        self, lane: Lane, feed: Feed, store: Store, tree: Tree, language: Literal["en", "zh"],
        exercise: str | None = None, next_seq: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        self._lane, self._feed, self._store, self._tree = lane, feed, store, tree
        self._exercise = exercise
        self._mode = Mode.LIVE if exercise is None else Mode.DRILL
        self._next_seq = next_seq or store.next_seq
        self._language: Literal["en", "zh"] = language
        self._listed: dict[str, Alarm] = {}
        self._runs: dict[str, Run] = {}

    def restore(self, now: float) -> None:
        """Take up where the last process stopped."""
        store, lane = self._store, self._lane
        alarms, memory = _rows(store, _ALARM), store.load_state(_MEMORY)
        marks = [mark.get("at") for mark in (*store.load_state(SEEN).values(), *alarms.values())]
        seen = max((mark for mark in marks if isinstance(mark, float | int)), default=None)
        lane.floor.restore(alarms, now, seen, memory.get(_FLOOR))
        lane.procedures.restore(_rows(store, _RUN), now)
        lane.forecasts.restore(memory.get(_FORECAST))
        self._listed, self._runs = dict(lane.records()), dict(lane.procedures.runs())
        shown = (alarm for id, alarm in self._listed.items() if not lane.floor.folded(id))
        said = [*(self._alarm(alarm, now) for alarm in shown), *(self._record(run, now) for run in self._runs.values())]
        self._feed.restore(self._listed.values(), said)
        log.info("boot %d of the store, %d alarms and %d runs taken up", store.boot, len(self._listed), len(self._runs))

    def standing(self) -> list[Alarm]:
        """Return the alarms that stand."""
        return [alarm for alarm in self._listed.values() if not alarm.is_cleared]

    def enter(self, outcome: Outcome, now: float) -> bool:
        """Hand what changed to the store, and through it to the feed; tell whether anything did."""
        lane = self._lane
        touched, carried = lane.floor.touched(), lane.procedures.touched()
        state: dict[str, Body | None] = {}
        if self._exercise is None:
            if (memory := lane.floor.memory()) is not None:
                state[_FLOOR] = memory
            state |= {_ALARM + id: lane.floor.store(id) for id in touched}
            state |= {_RUN + id: lane.procedures.store(id) for id in carried}
        else:
            outcome = self.touched(outcome)
            touched = frozenset(id for id in touched if self._drilled(id))
            carried = frozenset(id for id in carried if self._listed_run(id))
        owed = [] if outcome.changes else self._feed.snapshots(now, self._mode)
        if not (touched or carried or state or outcome.changes or outcome.runs or owed):
            return False
        said = [*owed, *self._of_alarms(touched, outcome, now), *self._of_runs(carried, outcome, now)]
        self.commit(Batch(state, list(self._entries(outcome)), said))
        _log(outcome, self._exercise)
        return True

    def foresee(self, now: float) -> None:
        """Have the lane look ahead: keep what it learnt, and say the forecast where it is worth it."""
        forecasts, exercise = self._lane.forecasts, self._exercise
        forecast = self._lane.foresee(now)
        if exercise is None and (memory := forecasts.memory()) is not None:
            self.commit(Batch({_FORECAST: memory}))
        if forecast is None or (exercise is not None and forecast.origin is None):
            return
        payload = forecastfeed.payload(forecast, self._lane.name, self._language)
        message = messages.state(self._tree.forecast(self._mode), payload, now)
        self._feed.hold(message if exercise is None else messages.drilled(message, exercise))

    def commit(self, batch: Batch) -> None:
        """Write a batch, marked as the drill's where this is its lane."""
        if self._exercise is not None:
            batch = replace(batch, outbox=[messages.drilled(each, self._exercise) for each in batch.outbox])
        self._feed.commit(batch).add_done_callback(_committed)

    def _entries(self, outcome: Outcome) -> Iterator[Entry]:
        kind, mark = ("", {}) if self._exercise is None else ("drill-", {"drill": self._exercise})
        for change in outcome.changes:
            yield Entry(f"{kind}alarm", change.at, _journal(change) | mark)
        for run in outcome.runs:
            definition = self._lane.procedures.definition(run.run)
            yield Entry(f"{kind}run", run.at, faultrecord.journal_of(run, definition) | mark)

    def touched(self, outcome: Outcome) -> Outcome:
        """Leave out what would have happened without the drill: that is told on the live lane."""
        changes = [change for change in outcome.changes if change.alarm.origin is not None]
        runs = [change for change in outcome.runs if change.run.origin is not None]
        return Outcome(changes, runs)

    def _drilled(self, alarm_id: str) -> bool:
        alarm = self._lane.records().get(alarm_id) or self._listed.get(alarm_id)
        return alarm is not None and alarm.origin is not None

    def _listed_run(self, run_id: str) -> bool:
        run = self._lane.procedures.runs().get(run_id) or self._runs.get(run_id)
        return run is not None and run.origin is not None

    def records(self, now: float) -> list[dict[str, Any]]:
        """Return the runs that are listed, as the feed says them."""
        procedures = self._lane.procedures
        return [
            {**runfeed.record(run, procedures.definition(run), self._language, now)}
            for run in procedures.runs().values()
            if self._exercise is None or run.origin is not None
        ]

    def _of_alarms(self, touched: frozenset[str], outcome: Outcome, now: float) -> Iterator[Message]:
        if not touched and not outcome.changes:
            return
        records, folded = self._lane.records(), self._lane.floor.folded
        gone = [self._listed.pop(id) for id in touched if id in self._listed and id not in records]
        # What was shown by itself and is one of many now must not stay as it was last said.
        gone += [records[id] for id in touched if id in records and folded(id)]
        told = {change.alarm.alarm_id for change in outcome.changes}
        listed = {id: records[id] for id in touched if id in records}
        # What changed without an event: its value's quality, when it was announced.
        renewed = [id for id, alarm in listed.items() if id not in told and alarm != self._listed.get(id)]
        self._listed |= listed
        yield from self._feed.messages(outcome.changes, now, folded, self._mode, self._next_seq)
        yield from (self._alarm(records[id], now) for id in renewed if not folded(id))
        yield from self._feed.gone(gone, now)

    def _of_runs(self, carried: frozenset[str], outcome: Outcome, now: float) -> Iterator[Message]:
        procedures = self._lane.procedures
        runs = procedures.runs()
        for id in carried - runs.keys() & self._runs.keys():
            gone = self._runs.pop(id)
            yield runfeed.gone(gone, self._tree, now)
            yield messages.tombstone(self._tree.record(id, runfeed.mode_of(gone)), now)
        told = {change.run.run_id for change in outcome.runs}
        for id in carried & runs.keys():
            if id not in told and runs[id] != self._runs.get(id):
                yield self._record(runs[id], now)
            self._runs[id] = runs[id]
        yield from runfeed.messages_of(
            outcome.runs, procedures.definition, self._tree, self._language, self._store.boot, self._next_seq, now
        )

    def _alarm(self, alarm: Alarm, now: float) -> Message:
        record = alarmfeed.record(alarm, self._language)
        return messages.state(self._tree.alarm(alarm.alarm_id, alarmfeed.mode_of(alarm)), record, now, qos=0)

    def _record(self, run: Run, now: float) -> Message:
        return runfeed.record_of(run, self._lane.procedures.definition(run), self._tree, self._language, now)


def _log(outcome: Outcome, exercise: str | None) -> None:
    """Log what people are told; of the rest only how much it is, or 5,000 failing seats were 5,000 lines."""
    if exercise is not None:
        for told in outcome.runs:
            log.info("EXERCISE: %s %s %s", told.verb, told.run.run_id, told.step)
        log.debug("EXERCISE %s: %d changes of alarms", exercise, len(outcome.changes))
        return
    quiet = 0
    for change in outcome.changes:
        if alarmfeed.hushed(change):
            quiet += 1
        else:
            log.info("%s %s (%s)", change.verb, change.alarm.alarm_id, change.alarm.perceived_severity)
    if quiet:
        log.info("%d changes of alarms that nobody is told of", quiet)
    for told in outcome.runs:
        log.info("%s %s %s", told.verb, told.run.run_id, told.step)


def _rows(store: Store, prefix: str) -> dict[str, dict[str, Any]]:
    return {key.removeprefix(prefix): row for key, row in store.load_state(prefix).items()}


def _committed(done: asyncio.Future[None]) -> None:
    error = done.exception()
    if error is not None and not isinstance(error, StoreError):
        raise error


def _journal(change: Change) -> dict[str, Any]:
    alarm = change.alarm
    return {
        "verb": change.verb.value,
        "alarm_id": alarm.alarm_id,
        "severity": alarm.perceived_severity.value,
        "state": alarm.state.value,
        "raise_count": alarm.raise_count,
        "announced": alarm.announced,
        "by": change.by,
        "reason": change.reason,
        "text": {"en": alarm.short_text.en, "zh": alarm.short_text.zh},
    }
