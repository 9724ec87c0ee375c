"""What the feed says of procedures: the retained record of each run, and one event a change. Pure.

Texts are in the site's language where one is given alone, because a screen shows `short_text` as it is; `texts` holds
both. What comes from a drill says so in every text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from typing_extensions import TypedDict

from edgeagent.exercisemark import marked
from edgeagent.messages import Keep, Message, Mode, Tree, event, stamp, stamped, state, tombstone
from edgeagent.procedure import Procedure, Step
from edgeagent.run import Evidence, Run, RunChange, RunState, RunVerb, StepRun

_GRAVE: Final = frozenset({RunVerb.OPENED, RunVerb.ESCALATED, RunVerb.STEP_OVERDUE, RunVerb.RELAPSED, RunVerb.ABORTED})
"""What must not be dropped before anything lesser is."""


class Proved(TypedDict):
    """One reading that proved a step."""

    resource: str
    point: str
    value: bool | float | str | list[str] | None
    unit: str | None


class StepRecord(TypedDict):
    """One step of a run. Times are RFC 3339; `target_met` is null while it is open or has no target."""

    step: str
    text: str
    texts: dict[str, str]
    role: str
    phase: str
    ticked: str
    state: str
    ready: str | None
    opens: str | None
    due: str | None
    overdue: bool
    at: str | None
    by: str
    note: str
    evidence: list[Proved]
    target_met: bool | None


class RunRecord(TypedDict):
    """The payload of procedure/<run>. `short_text` is the one line for a screen."""

    run_id: str
    procedure: str
    version: int
    title: str
    titles: dict[str, str]
    scope: str
    scope_names: dict[str, str]
    short_text: str
    texts: dict[str, str]
    state: str
    phase: str
    onset: str
    started: str
    recovered: str | None
    ended: str | None
    opened_by: str
    level: int | None
    restore_by: str | None
    alarms: list[str]
    standing: list[str]
    beside: list[str]
    affected: list[str]
    spare: str | None
    commander: str
    acked_by: str
    acked: str | None
    ack_until: str | None
    steps: list[StepRecord]
    form: dict[str, str]
    time: str
    mode: str
    exercise_id: str | None


class RunTold(TypedDict):
    """The data of a procedure event: what happened, in one line, and for whom. The run itself is retained."""

    run_id: str
    procedure: str
    verb: str
    step: str
    by: str
    reason: str
    roles: list[str]
    short_text: str
    texts: dict[str, str]
    state: str
    phase: str
    level: int | None
    spare: str | None


def mode_of(run: Run) -> Mode:
    """Tell the lane of a run: what came from a drill stays in it."""
    return Mode.LIVE if run.origin is None else Mode.DRILL


def record(run: Run, procedure: Procedure, language: str, now: float) -> RunRecord:
    """Build the record of a run; `procedure` is the version that it was opened with."""
    texts, titles = (marked(text, drilled=run.origin is not None) for text in (run.summary, run.text))
    steps = {step.id: step for step in procedure.steps}
    return {
        "run_id": run.run_id,
        "procedure": run.procedure,
        "version": run.version,
        "title": titles[language],
        "titles": titles,
        "scope": run.scope,
        "scope_names": {"en": run.scope_name.en, "zh": run.scope_name.zh},
        "short_text": texts[language],
        "texts": texts,
        "state": run.state,
        "phase": run.phase,
        "onset": stamp(run.onset),
        "started": stamp(run.started),
        "recovered": stamped(run.recovered),
        "ended": stamped(run.ended),
        "opened_by": run.opened_by,
        "level": run.level,
        "restore_by": stamped(run.restore_by),
        "alarms": list(run.alarms),
        "standing": list(run.standing),
        "beside": list(run.beside),
        "affected": list(run.affected),
        "spare": run.spare,
        "commander": run.commander,
        "acked_by": run.acked_by,
        "acked": stamped(run.acked),
        "ack_until": stamped(run.ack_until),
        "steps": [_step(run, steps[each.id], each, language) for each in run.steps if each.id in steps],
        "form": dict(run.form),
        "time": stamp(now),
        "mode": mode_of(run),
        "exercise_id": run.origin,
    }


def told(change: RunChange, language: str) -> RunTold:
    """Build the data of the event that tells a change."""
    run, texts = change.run, marked(change.text, drilled=change.run.origin is not None)
    return {
        "run_id": run.run_id,
        "procedure": run.procedure,
        "verb": change.verb,
        "step": change.step,
        "by": change.by,
        "reason": change.reason,
        "roles": list(change.roles),
        "short_text": texts[language],
        "texts": texts,
        "state": run.state,
        "phase": run.phase,
        "level": run.level,
        "spare": run.spare,
    }


def messages_of(
    changes: Sequence[RunChange], definition: Callable[[Run], Procedure], tree: Tree, language: str, boot: int,
    next_seq: Callable[[], int], now: float,
) -> list[Message]:  # fmt: skip
    """Turn changes into one event each, and one retained record for each run as it is after the last of them."""
    newest = {change.run.run_id: change.run for change in changes}
    return [
        *(record_of(run, definition(run), tree, language, now) for run in newest.values()),
        *(_event_of(change, tree, language, boot, next_seq(), now) for change in changes),
    ]


def record_of(run: Run, procedure: Procedure, tree: Tree, language: str, now: float) -> Message:
    """Build the retained message of a run."""
    return state(tree.procedure(run.run_id, mode_of(run)), record(run, procedure, language, now), now)


def gone(run: Run, tree: Tree, now: float) -> Message:
    """Build the tombstone of a run that is no longer listed."""
    return tombstone(tree.procedure(run.run_id, mode_of(run)), now)


def _event_of(change: RunChange, tree: Tree, language: str, boot: int, seq: int, now: float) -> Message:
    run = change.run
    return event(
        tree, tree.event("procedure", run.procedure, mode_of(run)), f"procedure.{change.verb}", run.run_id, change.at,
        told(change, language), boot=boot, seq=seq, born=now, mode=mode_of(run), exercise=run.origin,
        keep=Keep.RAISE if change.verb in _GRAVE else Keep.INFO,
        clears=run.state in (RunState.CLOSED, RunState.ABORTED),
    )  # fmt: skip


def _step(run: Run, step: Step, at: StepRun, language: str) -> StepRecord:
    texts = marked(step.text, drilled=run.origin is not None)
    return {
        "step": at.id,
        "text": texts[language],
        "texts": texts,
        "role": step.role,
        "phase": step.phase,
        "ticked": step.ticked,
        "state": at.state,
        "ready": stamped(at.ready),
        "opens": stamped(at.opens),
        "due": stamped(at.due),
        "overdue": at.overdue,
        "at": stamped(at.at),
        "by": at.by,
        "note": at.note,
        "evidence": [_proved(each) for each in at.evidence],
        "target_met": None if at.at is None or at.due is None else at.at <= at.due,
    }


def _proved(evidence: Evidence) -> Proved:
    value = sorted(evidence.value) if isinstance(evidence.value, frozenset) else evidence.value
    return {"resource": evidence.resource, "point": evidence.point, "value": value, "unit": evidence.unit}


PAYLOADS: Final[Mapping[str, type]] = {"procedure": RunRecord, "procedure-event": RunTold}
"""The type of each payload by name."""
