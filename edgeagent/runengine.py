"""Procedures carried out: which alarm starts or joins which run, what readings tick, what is due when. Pure.

One run of a procedure is open for one scope and lane at a time; further alarms of it join. What is suppressed or
explained by something else starts nothing until it comes out. The life of one run is in `runs.py`, all of them in
`runbook.py`, what an alarm is for in `triggers.py`, what readings prove in `proofs.py`, what people ask in
`procedures.py`. `now` comes in as epoch s.

Order is the product: what fell due before comes before what alarms, and then readings, say now. A step costs what
changed: alarms are found by type, proofs by (kind, point), clocks in a heap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo

from edgeagent import runtexts as texts
from edgeagent.alarm import Alarm, Change
from edgeagent.catalog import Text
from edgeagent.procedure import Phase, Procedure
from edgeagent.proofs import Watch, Watching
from edgeagent.readings import Readings
from edgeagent.run import Clocks, Run, RunChange, RunState, StepRun
from edgeagent.runbook import Runbook
from edgeagent.runs import SYSTEM, Live, Scene
from edgeagent.runtexts import Words
from edgeagent.scopes import Scopes
from edgeagent.sitetree import SiteTree
from edgeagent.triggers import Match, Triggers, plain, stands


class RunEngine:
    """Carries out all runs of one lane.

    `kinds` are the kinds of all resources; times in texts and ids are those of `zone`, the host's own if None.
    """

    def __init__(
        self, procedures: Mapping[str, Procedure], tree: SiteTree, kinds: Mapping[str, str],
        zone: tzinfo | None = None,
    ) -> None:  # fmt: skip
        self._procedures = procedures
        self._scene = Scene(Scopes(tree, kinds), Words(zone), Watching(), {})
        self._triggers = Triggers(procedures.values(), self._scene.scopes)
        self._book = Runbook(zone)
        self._records: Mapping[str, Alarm] = {}
        self._standing: dict[str, set[str]] = {}
        self._held: dict[str, None] = {}
        self._stale = True
        self._now = 0.0

    # -- alarms, readings and clocks --------------------------------------------------------------------------

    def step(
        self, changes: Sequence[Change], records: Mapping[str, Alarm], view: Mapping[str, Readings], now: float,
        changed: Iterable[tuple[str, str]] | None = None,
    ) -> list[RunChange]:  # fmt: skip
        """Carry all runs on: what is due, what happened to alarms, what readings prove.

        `records` and `view` are all alarms and readings by now, `changed` are the (resource, point) that are new;
        without it every reading that a run waits for is looked at.
        """
        self._now, self._records, self._scene.view = now, records, view
        if self._stale:
            self._book.serve(now, inclusive=False)
            self._stale, changed = False, None
            self._take_stock(now)
        for change in changes:  # a seat that fails in this very step is no spare seat
            self._note(change.alarm)
        for change in changes:
            self._book.serve(min(change.at, now), inclusive=False)
            self._hear(change.alarm, min(change.at, now))
        self._book.serve(now, inclusive=False)
        self._read(changed, now)
        for alarm_id in [*self._held]:
            self._held.pop(alarm_id)
            if (record := records.get(alarm_id)) is not None and stands(record) and plain(record):
                self._offer(record, now)
        self._read((), now)
        self._book.serve(now, inclusive=True)
        return self._book.told()

    def next_due(self) -> float | None:
        """Return when the next clock runs out, epoch s; None if none runs."""
        return self._now if self._stale else self._book.next_due()

    def shift(self, delta: float) -> None:
        """Move all that runs along with a wall clock that stepped by `delta` s."""
        self._now += delta
        self._book.shift(delta)

    def _take_stock(self, now: float) -> None:
        """Compare the runs with all alarms, after a restart or with other procedures."""
        self._standing.clear()
        for live in [*self._book.lives.values()]:
            for alarm_id in (*live.run.standing, *live.run.beside):
                if alarm_id not in self._records:
                    live.clears(alarm_id, Text(alarm_id, alarm_id), now)
            self._book.keep(live)
        for alarm in self._records.values():
            self._note(alarm)
        for alarm in [*self._records.values()]:
            self._hear(alarm, now)

    def _hear(self, alarm: Alarm, at: float) -> None:
        """Take over how one alarm is by now."""
        self._note(alarm)
        id, there = alarm.alarm_id, stands(alarm)
        if not there:
            self._held.pop(id, None)
        for live in self._book.of_alarm(id):
            if not there:
                live.clears(id, alarm.short_text, at)
                self._entitle(live)
            elif not live.run.over and (id in live.run.standing or plain(alarm)):
                self._join(live, alarm, at, self._triggers.match(live.definition, alarm))
            self._book.keep(live)
        if there and plain(alarm):
            self._offer(alarm, at)
        self._accompany(alarm, at)

    def _note(self, alarm: Alarm) -> None:
        beside = self._standing.setdefault(alarm.resource, set())
        if stands(alarm):
            beside.add(alarm.alarm_id)
        else:
            beside.discard(alarm.alarm_id)
        if not beside:
            del self._standing[alarm.resource]

    def _offer(self, alarm: Alarm, at: float) -> None:
        """Let an alarm start or join a run of each procedure that it is for and that does not have it."""
        has = {
            live.run.procedure for live in self._book.of_alarm(alarm.alarm_id) if alarm.alarm_id in live.run.standing
        }
        for match in self._triggers.of(alarm):
            if match.procedure.id in has or match.trigger.beside:
                continue
            if self._kept_back(match, alarm):
                self._held[alarm.alarm_id] = None
                continue
            has.add(match.procedure.id)
            scope = self._scene.scopes.of(match.procedure.scope, alarm.resource)
            live = self._book.open.get((match.procedure.id, scope, alarm.origin))
            if live is None:
                self._begin(match, alarm, scope, at)
            else:
                self._join(live, alarm, at, match)
                self._book.hears(live, alarm.alarm_id)
                self._book.keep(live)

    def _accompany(self, alarm: Alarm, at: float) -> None:
        """Let an alarm stand beside the open runs that it matters to, or no longer."""
        for match in self._triggers.of(alarm):
            scope = self._scene.scopes.of(match.procedure.scope, alarm.resource)
            live = self._book.open.get((match.procedure.id, scope, alarm.origin)) if match.trigger.beside else None
            if live is None or alarm.alarm_id in live.run.alarms:
                continue
            if not stands(alarm):
                live.clears(alarm.alarm_id, alarm.short_text, at)
            elif plain(alarm):
                live.accompany(alarm, at)
            self._book.keep(live)

    def _kept_back(self, match: Match, alarm: Alarm) -> bool:
        """Tell whether a run of another procedure accounts for what this alarm would start one for."""
        trigger = match.trigger
        held = trigger.held_by and any(
            procedure in trigger.held_by and origin == alarm.origin for procedure, _, origin in self._book.open
        )
        if not held:
            return False
        return trigger.held_when is None or trigger.held_when.holds(self._scene.view.get(alarm.resource, {})) is True

    def _join(self, live: Live, alarm: Alarm, at: float, match: Match | None) -> None:
        self._entitle(live, alarm)
        live.joins(alarm, at, match.trigger.level if match else None)

    def _begin(self, match: Match, alarm: Alarm, scope: str, at: float) -> None:
        procedure, trigger = match.procedure, match.trigger
        onset = at if alarm.onset is None else min(at, alarm.onset)
        run = self._run(
            procedure, scope, onset, at, texts.titled(procedure, trigger), alarm.short_text,
            procedure.level if trigger.level is None else trigger.level, SYSTEM, alarm.origin,
        )  # fmt: skip
        affected = tuple(dict.fromkeys((alarm.resource, *alarm.impacted_resource)))
        run = replace(run, alarms=(alarm.alarm_id,), standing=(alarm.alarm_id,), affected=affected)
        self._open(run, procedure, at, "")
        if any(each.beside for each in procedure.triggers):
            for id in [id for ids in self._standing.values() for id in ids]:
                if (record := self._records.get(id)) is not None:
                    self._accompany(record, at)

    def _run(
        self, procedure: Procedure, scope: str, onset: float, at: float, text: Text, summary: Text, level: int | None,
        by: str, origin: str | None,
    ) -> Run:  # fmt: skip
        steps = tuple(StepRun(step.id) for step in procedure.steps)
        spares = (spare for spare in self._scene.scopes.spares(scope) if spare != scope and self._fit(spare))
        spare = next(spares, None) if procedure.spare else None
        return Run(
            self._book.new_id(procedure.id, at, origin), procedure.id, procedure.version, scope,
            self._scene.scopes.name(scope), text, summary, RunState.OPEN, Phase.RESPONSE, onset, at, steps,
            opened_by=by, level=level, spare=spare, origin=origin,
        )  # fmt: skip

    def _open(self, run: Run, procedure: Procedure, at: float, reason: str) -> Run:
        live = Live(run, procedure, Clocks(base=run.onset, last=at), self._scene)
        spare = None
        if procedure.spare:
            spare = Text("", "") if run.spare is None else self._scene.scopes.name(run.spare)
        live.open(at, reason, spare)
        self._book.add(live)
        return live.run

    def _fit(self, spare: str) -> bool:
        """Tell whether a spare seat is healthy and nobody has been sent there; of one that is watched it is known."""
        ready = self._scene.view.get(spare, {}).get("ready")
        if self._book.taken(spare) or (ready is not None and ready.value is not True):
            return False
        return not any(part in self._standing for part in self._scene.scopes.parts(spare))

    def _entitle(self, live: Live, alarm: Alarm | None = None) -> None:
        """Name a run by the alarm that says best what failed: by its trigger's place, its severity, its age."""
        ids = dict.fromkeys(live.run.standing)
        records = {id: self._records[id] for id in ids if id in self._records}
        if alarm is not None:
            records[alarm.alarm_id] = alarm
        if not records or live.run.over:
            return
        found = {id: self._triggers.match(live.definition, record) for id, record in records.items()}

        def weight(id: str) -> tuple[float, int, float]:
            match, record = found[id], records[id]
            last = len(live.definition.triggers)
            return (match.rank if match else last, -record.perceived_severity.rank, record.onset or record.time_created)

        lead = min(records, key=weight)
        match = found[lead]
        title = texts.titled(live.definition, match.trigger if match else None)
        live.entitle(title, texts.summed_up(records[lead], len(records)))

    def _read(self, changed: Iterable[tuple[str, str]] | None, now: float) -> None:
        """Let readings tick what they prove; what becomes ready by that is looked at too."""
        watching, view, scopes = self._scene.watching, self._scene.view, self._scene.scopes
        if not watching:
            return
        hit: dict[Watch, None] = {}
        for resource, point in changed or ():
            for watch in watching.naming(scopes.kind(resource), point):
                if watch.look(view, resource):
                    hit[watch] = None
        fresh = watching.all() if changed is None else watching.fresh()
        while hit or fresh:
            for watch in fresh:
                watch.look_at_all(view)
            of_run: dict[str, dict[Watch, None]] = {}
            for watch in (*hit, *fresh):
                of_run.setdefault(watch.run_id, {})[watch] = None
            for run_id, watches in of_run.items():
                self._book.lives[run_id].judge(watches, now)
                self._book.keep(self._book.lives[run_id])
            hit, fresh = {}, watching.fresh()
