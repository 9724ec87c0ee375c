"""What a procedure is: what starts it, its steps with role, clock and proof, its fault levels. Pure.

Owns the frozen model. `procedurefiles.py` reads it from config/procedures, `procedures.py` carries it out as runs.
All times are s; a step's clock starts with its phase: the response with the run, the recovery when the fault is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edgeagent.catalog import Severity, Text
from edgeagent.rules import Condition


class Role(StrEnum):
    """Who acts (PROCEDURES.md, roles)."""

    AGENT = "agent"
    LEADER = "leader"
    SUPERVISOR = "supervisor"
    MANAGER = "manager"
    OM = "om"
    DEPARTMENT = "department"
    SYSTEM = "system"
    """No person: the thing itself does it, and readings prove it."""


class Scope(StrEnum):
    """What one run is about. One open run per (procedure, scope, lane)."""

    SITE = "site"
    AREA = "area"
    SEAT = "seat"
    RESOURCE = "resource"


class Phase(StrEnum):
    """When a step is due: while the fault lasts, or once it is over."""

    RESPONSE = "response"
    RECOVERY = "recovery"


class Ticked(StrEnum):
    """Who may say that a step is done."""

    PERSON = "person"
    READING = "reading"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Proof:
    """What readings must show: `when` at all (or any) devices of a `kind` in the run's scope, or at one `resource`.

    It must have been true for `hold` s. No device that can tell is no proof.
    """

    when: Condition
    kind: str | None = None
    resource: str | None = None
    every: bool = True
    hold: float = 0.0


@dataclass(frozen=True, slots=True)
class Escalation:
    """Whom to tell when something is not done `after` s, in which words."""

    after: float
    role: Role
    text: Text


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `due` and `opens` (the earliest moment that is expected) count from the start of its phase.

    `enabled_when` are proofs that must hold before it is asked for, `needs` steps that must be settled before.
    `remind` repeats until it is done. All `done_when` together tick it, if `ticked` lets readings do so.
    """

    id: str
    text: Text
    role: Role
    phase: Phase = Phase.RESPONSE
    ticked: Ticked = Ticked.PERSON
    due: float | None = None
    opens: float | None = None
    remind: float | None = None
    escalations: tuple[Escalation, ...] = ()
    needs: tuple[str, ...] = ()
    enabled_when: tuple[Proof, ...] = ()
    done_when: tuple[Proof, ...] = ()


@dataclass(frozen=True, slots=True)
class FaultLevel:
    """A fault level (故障等级): within how many s it must be restored, and who is told when it is not."""

    id: int
    text: Text
    restore: float
    escalations: tuple[Escalation, ...] = ()


@dataclass(frozen=True, slots=True)
class Trigger:
    """Alarms that start a run: of a resource of one of `kinds` (all if empty), of one of these alarm types.

    `types` are alarm type ids; a group alarm is `group` and its qualifier is among `qualifiers` (all if empty).
    `seat` asks that the resource is, or is not, part of a seat. `level` is the fault level that the run then has.
    """

    types: frozenset[str]
    kinds: frozenset[str] = frozenset()
    qualifiers: frozenset[str] = frozenset()
    severity: Severity = Severity.WARNING
    seat: bool | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Procedure:
    """One procedure in one version. `ack_lapse` is after how long without progress an acknowledgement lapses."""

    id: str
    version: int
    text: Text
    scope: Scope
    owner: Role
    triggers: tuple[Trigger, ...]
    steps: tuple[Step, ...]
    levels: tuple[FaultLevel, ...] = ()
    level: int | None = None
    ack_lapse: float = 900.0
    settle: float = 30.0
    """A fault that stays away this long is over: only then the recovery steps are asked for."""
