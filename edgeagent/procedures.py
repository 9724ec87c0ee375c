"""The procedures of one lane: what people ask of their runs, and what a restart and another configuration need. Pure.

A run is carried out by `runengine.py`. A command is a step of its own: what fell due before it is told before it. What
cannot be done is refused with a code and a text, and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from typing_extensions import TypedDict

from edgeagent import runtexts as texts
from edgeagent.catalog import Text
from edgeagent.faultrecord import FORM
from edgeagent.procedure import Phase, Procedure, Role, Scope, Ticked
from edgeagent.run import Clocks, Run, RunChange, RunState, RunVerb, StepRun, StepState
from edgeagent.runengine import RunEngine
from edgeagent.runs import SYSTEM, Live
from edgeagent.runtexts import Refused
from edgeagent.scopes import SITE, Scopes
from edgeagent.sitetree import SiteTree
from edgeagent.survived import taken, written
from edgeagent.triggers import Triggers

__all__ = ["Procedures", "Refused"]

LONGEST: Final = 2000
"""Characters that anybody may write down at once."""
_ID: Final = re.compile(r"[a-z0-9-]{1,40}")


class _Row(TypedDict):
    """What a restart needs of a run. `definition` is the version of the procedure that it was opened with."""

    run: Run
    definition: Procedure
    clocks: Clocks


class Procedures(RunEngine):
    """All runs of one lane, and what people ask of them."""

    # -- what people ask --------------------------------------------------------------------------------------

    def open(
        self, procedure: str, scope: str, by: str, reason: str, now: float, level: int | None = None,
        origin: str | None = None,
    ) -> list[RunChange]:  # fmt: skip
        """Open a run by hand: of a procedure, or of one that only somebody else knows and that has no steps here.

        `origin` is the drill that it belongs to.
        """
        self._heard(by, reason, now)
        if not _ID.fullmatch(procedure):
            raise Refused("bad-procedure")
        known = self._named(procedure)
        scopes = self._scene.scopes
        if scope and not scopes.knows(scope):
            raise Refused("unknown-scope")
        about = scopes.of(known.scope, scope) if scope and scope != SITE else SITE
        if level is not None and known.fault_level(level) is None:
            raise Refused("unknown-level")
        if (before := self._book.open.get((procedure, about, origin))) is not None:
            raise Refused("already-open", run=before.run.run_id)
        summary = Text(reason, reason)
        self._open(
            self._run(
                known, about, now, now, known.text, summary, known.level if level is None else level, by, origin
            ),
            known, now, reason,
        )  # fmt: skip
        return self._answer(None, now)

    def done(self, run_id: str, step: str, by: str, note: str, now: float) -> list[RunChange]:
        """Say that a step is done; a second time changes nothing."""
        live, found = self._step_of(run_id, step, by, note or "-", now)
        says = live.steps[step]
        if found.state is StepState.DONE:
            return self._answer(None, now)
        if found.state is StepState.SKIPPED:
            raise Refused("already-skipped")
        if says.ticked is Ticked.READING:
            raise Refused("reading-only")
        if says.phase is Phase.RECOVERY and found.state is StepState.WAITING:
            raise Refused("not-yet")
        live.finish(step, now, by, note)
        return self._answer(live, now)

    def skip(self, run_id: str, step: str, by: str, reason: str, now: float) -> list[RunChange]:
        """Do without a step, for a reason; a second time changes nothing."""
        live, found = self._step_of(run_id, step, by, reason, now)
        if found.state is StepState.DONE:
            raise Refused("already-done")
        if found.state is not StepState.SKIPPED:
            live.skip(step, now, by, reason)
        return self._answer(live, now)

    def note(self, run_id: str, by: str, text: str, now: float, step: str = "") -> list[RunChange]:
        """Write down what happens, of one step if it is named."""
        live = self._asked(run_id, by, text, now, "text-missing")
        if step:
            live.run = live.run.put(replace(self._step_of(run_id, step, by, text, now)[1], note=text))
        live.run = replace(live.run, notes=live.run.notes + 1)
        live.tell(
            RunVerb.NOTED, now, live.line(texts.NOTED, by=by, text=text), step, by, text, (live.definition.owner,)
        )
        return self._answer(live, now)

    def fill(self, run_id: str, field: str, text: str, by: str, now: float) -> list[RunChange]:
        """Fill in a field of the fault record; an empty text clears it."""
        live = self._asked(run_id, by, text or "-", now)
        if not _ID.fullmatch(field):
            raise Refused("bad-field")
        form = {name: said for name, said in {**live.run.form, field: text}.items() if said}
        if form != live.run.form:
            live.run = replace(live.run, form=form)
            line = live.line(texts.FILLED, by=by, field=FORM.get(field, field), text=text)
            live.tell(RunVerb.FORM_CHANGED, now, line, "", by, text, (live.definition.owner,))
        return self._answer(live, now)

    def ack(self, run_id: str, by: str, now: float) -> list[RunChange]:
        """Say that somebody has taken it on; it lapses where nothing goes on. Nothing is done by it."""
        live = self._asked(run_id, by, "-", now)
        if live.run.acked_by != by:
            live.ack(by, now)
        return self._answer(live, now)

    def command(self, run_id: str, by: str, now: float) -> list[RunChange]:
        """Take command of a run."""
        live = self._asked(run_id, by, "-", now)
        if live.run.commander != by:
            live.run = replace(live.run, commander=by)
            line = live.line(texts.COMMANDER, by=by)
            live.tell(RunVerb.COMMANDER, now, line, by=by, roles=live.called)
        return self._answer(live, now)

    def level(self, run_id: str, level: int, by: str, reason: str, now: float) -> list[RunChange]:
        """Set the fault level, and with it the clock."""
        live = self._asked(run_id, by, reason, now)
        if live.definition.fault_level(level) is None:
            raise Refused("unknown-level")
        if live.run.level != level:
            live.level(level, by, reason, now)
        return self._answer(live, now)

    def close(self, run_id: str, by: str, reason: str, now: float) -> list[RunChange]:
        """Close a run whose fault is over; one that a person opened may be closed at any time."""
        live = self._asked(run_id, by, reason, now)
        if live.run.standing and live.run.opened_by == SYSTEM:
            raise Refused("still-standing")
        live.end(RunState.CLOSED, now, live.line(texts.CLOSED_BY, by=by, reason=reason), by, reason)
        return self._answer(live, now)

    def abort(self, run_id: str, by: str, reason: str, now: float) -> list[RunChange]:
        """End a run that should not be."""
        live = self._asked(run_id, by, reason, now)
        live.end(RunState.ABORTED, now, live.line(texts.ABORTED, by=by, reason=reason), by, reason)
        return self._answer(live, now)

    # -- the list ---------------------------------------------------------------------------------------------

    def runs(self) -> Mapping[str, Run]:
        """Return all listed runs by id: open ones, those that ended of late, and those whose alarms outlast them."""
        return {id: live.run for id, live in self._book.lives.items()}

    def definition(self, run: Run) -> Procedure:
        """Return the procedure in the version that a run carries out, by now's where the run is no longer listed."""
        live = self._book.lives.get(run.run_id)
        return self._named(run.procedure) if live is None else live.definition

    def touched(self) -> frozenset[str]:
        """Return the ids of runs whose stored state changed since the last call, also where nothing was told."""
        return self._book.touched()

    def store(self, run_id: str) -> dict[str, Any] | None:
        """Return all that a restart needs of one run as JSON-able data, None if its row can go."""
        live = self._book.lives.get(run_id)
        if live is None:
            return None
        row: _Row = {"run": live.run, "definition": live.definition, "clocks": live.clocks}
        made: dict[str, Any] = written(row)
        return made

    def restore(self, rows: Mapping[str, Mapping[str, Any]], now: float) -> None:
        """Take up rows of `store` after a restart; the first step does what fell due meanwhile.

        A proof that had to hold for a while begins anew: nobody watched.
        """
        self._now, self._stale = now, True
        for id, row in rows.items():
            kept = taken(_Row, row, f"the run {id}")
            if kept is None:
                continue
            run, definition, clocks = kept["run"], kept["definition"], kept["clocks"]
            same = self._procedures.get(definition.id)
            live = Live(run, same if same == definition and same is not None else definition, clocks, self._scene)
            live.touched = False
            self._book.add(live)

    def replace(
        self, procedures: Mapping[str, Procedure], tree: SiteTree, kinds: Mapping[str, str], now: float
    ) -> list[RunChange]:
        """Go on with other procedures or another site: open runs keep the version that they were opened with."""
        self._now, self._stale = now, True
        self._procedures = procedures
        self._scene.scopes = Scopes(tree, kinds)
        self._triggers = Triggers(procedures.values(), self._scene.scopes)
        for live in self._book.lives.values():
            live.waits.look_again()
        return self._book.told()

    # -- inner ------------------------------------------------------------------------------------------------

    def _named(self, procedure: str) -> Procedure:
        bare = Procedure(procedure, 1, Text(procedure, procedure), Scope.RESOURCE, Role.LEADER)
        return self._procedures.get(procedure, bare)

    def _heard(self, by: str, text: str, now: float, missing: str = "reason-missing") -> None:
        self._now = now
        if not by.strip():
            raise Refused("operator-missing")
        if not text.strip():
            raise Refused(missing)
        if max(len(by), len(text)) > LONGEST:
            raise Refused("too-long")

    def _asked(self, run_id: str, by: str, text: str, now: float, missing: str = "reason-missing") -> Live:
        self._heard(by, text, now, missing)
        self._book.serve(now, inclusive=False)
        live = self._book.lives.get(run_id)
        if live is None:
            raise Refused("unknown-run")
        if live.run.over:
            raise Refused("run-ended")
        return live

    def _step_of(self, run_id: str, step: str, by: str, text: str, now: float) -> tuple[Live, StepRun]:
        live = self._asked(run_id, by, text, now)
        found = live.run.step(step)
        if found is None:
            raise Refused("unknown-step")
        return live, found

    def _answer(self, live: Live | None, now: float) -> list[RunChange]:
        if live is not None:
            live.advance(now)
            self._book.keep(live)
        self._read((), now)
        return self._book.told()
