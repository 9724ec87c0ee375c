"""A run of a procedure: what it is at one moment, and one change to it. Pure.

A run is a fact sheet that only `procedures.py` changes, one verb a change; its story is the journal. Times are epoch s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from edgeagent.catalog import Text
from edgeagent.procedure import Phase
from edgeagent.readings import Value


class RunState(StrEnum):
    """Where a run is. Only `closed` and `aborted` are ends."""

    OPEN = "open"
    RECOVERING = "recovering"
    """What started it is over; the recovery steps are asked for."""
    CLOSED = "closed"
    ABORTED = "aborted"


class StepState(StrEnum):
    """Where a step is. Overdue is no state: it is a fact beside it, and an overdue step can still be done."""

    WAITING = "waiting"
    """Not asked for yet: its phase, its conditions or the steps before it."""
    READY = "ready"
    DONE = "done"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reading that proved a step."""

    resource: str
    point: str
    value: Value | None
    unit: str | None = None

    @classmethod
    def cleared(cls, alarm_id: str) -> Evidence:
        """Build what proves that a fault is over: its alarm cleared and stayed away."""
        resource, _, type = alarm_id.partition(".")
        return cls(resource, type, "cleared")


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of a run. `due` is the moment it should be done by, `ready` since when it is asked for.

    `start` is from when its clock runs, which is its phase's start and may lie before.
    """

    id: str
    state: StepState = StepState.WAITING
    ready: float | None = None
    opens: float | None = None
    due: float | None = None
    overdue: bool = False
    at: float | None = None
    by: str = ""
    note: str = ""
    evidence: tuple[Evidence, ...] = ()
    reminded: int = 0
    escalated: int = 0
    """How many of its escalations were told."""
    start: float | None = None

    @property
    def settled(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.state in (StepState.DONE, StepState.SKIPPED)

    def shifted(self, delta: float) -> StepRun:
        """Return it with all its times moved by `delta` s."""
        return replace(
            self, ready=moved(self.ready, delta), opens=moved(self.opens, delta), due=moved(self.due, delta),
            at=moved(self.at, delta), start=moved(self.start, delta),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `scope` is the id of the site, area, seat or resource it is about.

    `onset` is since when the fault is there, `started` when the run opened, `recovered` when the last fault was over
    for good, `ended` when it closed. `alarms` are the ids of all alarms that belong to it, `standing` those still
    raised, `beside` those of others that are told with it while they stand. `affected` are resources that are hit,
    `spare` the healthy spare seat that was named. `form` are the fields of the fault record that people fill in:
    nature, cause, responsible, follow-up and the like.
    """

    run_id: str
    procedure: str
    version: int
    scope: str
    scope_name: Text
    text: Text
    summary: Text
    """One line: what failed, where."""
    state: RunState
    phase: Phase
    onset: float
    started: float
    steps: tuple[StepRun, ...]
    opened_by: str = "system"
    level: int | None = None
    restore_by: float | None = None
    escalated: int = 0
    """How many of its level's escalations were told."""
    recovered: float | None = None
    ended: float | None = None
    alarms: tuple[str, ...] = ()
    standing: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    affected: tuple[str, ...] = ()
    spare: str | None = None
    commander: str = ""
    acked_by: str = ""
    acked: float | None = None
    ack_until: float | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    notes: int = 0
    origin: str | None = None
    """The drill it belongs to."""

    @property
    def over(self) -> bool:
        """Tell whether the run has ended."""
        return self.state in (RunState.CLOSED, RunState.ABORTED)

    def step(self, id: str) -> StepRun | None:
        """Find a step."""
        return next((step for step in self.steps if step.id == id), None)

    def the(self, id: str) -> StepRun:
        """Return a step that is known to be there."""
        return next(step for step in self.steps if step.id == id)

    def put(self, step: StepRun) -> Run:
        """Return the run with one step as it is now."""
        return replace(self, steps=tuple(step if each.id == step.id else each for each in self.steps))

    def shifted(self, delta: float) -> Run:
        """Return it with all its times moved by `delta` s."""
        return replace(
            self, onset=self.onset + delta, started=self.started + delta,
            steps=tuple(step.shifted(delta) for step in self.steps), restore_by=moved(self.restore_by, delta),
            recovered=moved(self.recovered, delta), ended=moved(self.ended, delta), acked=moved(self.acked, delta),
            ack_until=moved(self.ack_until, delta),
        )  # fmt: skip


def moved(at: float | None, delta: float) -> float | None:
    """Return a moment moved by `delta` s, where there is one."""
    return None if at is None else at + delta


@dataclass(frozen=True, slots=True)
class Clocks:
    """What of a run is nobody's business but a restart's. Times are epoch s.

    `base` is from when the response counts, `cleared` since when nothing stands, `last` when it last changed.
    `chosen` says that a person chose the fault level.
    """

    base: float
    last: float
    cleared: float | None = None
    chosen: bool = False

    def shifted(self, delta: float) -> Clocks:
        """Return them moved by `delta` s."""
        cleared = moved(self.cleared, delta)
        return replace(self, base=self.base + delta, last=self.last + delta, cleared=cleared)


class RunVerb(StrEnum):
    """What a change did."""

    OPENED = "opened"
    ALARM_JOINED = "alarm-joined"
    ALARM_CLEARED = "alarm-cleared"
    STEP_READY = "step-ready"
    STEP_DONE = "step-done"
    STEP_SKIPPED = "step-skipped"
    STEP_OVERDUE = "step-overdue"
    REMINDED = "reminded"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    ACK_LAPSED = "ack-lapsed"
    COMMANDER = "commander"
    LEVEL_CHANGED = "level-changed"
    NOTED = "noted"
    FORM_CHANGED = "form-changed"
    RECOVERING = "recovering"
    RELAPSED = "relapsed"
    CLOSED = "closed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class RunChange:
    """One thing that happened to one run: the run after it, when, by whom, about which step, in which words.

    `text` is what people are told: one line. `roles` are the ids of those whom it is meant for.
    """

    verb: RunVerb
    run: Run
    at: float
    text: Text
    by: str = "system"
    step: str = ""
    reason: str = ""
    roles: tuple[str, ...] = ()
