"""What a procedure is: what starts it, its steps with role, clock and proof, its fault levels. Pure.

Owns the frozen model. `procedurefiles.py` reads it from config/procedures, `procedures.py` carries it out as runs.
All times are s; a step's clock starts with its phase: the response with the fault, the recovery when the fault is over.
A run keeps the definition that it was opened with, so a definition can be written down whole: conditions as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from edgeagent.catalog import Severity, Text
from edgeagent.rules import Condition

GROUP: Final = "group"
"""Type of the alarm that stands for many alike ones; its qualifier is their type."""


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

    `area` narrows it to what stands there, `affected` to what the fault hits, if it hits any of the kind. It must have
    been true for `hold` s. A device that has no such points is passed over; no device that can tell is no proof.
    `units` are the UCUM units of the points, for the evidence.
    """

    when: Condition
    kind: str
    resource: str | None = None
    area: str | None = None
    affected: bool = False
    every: bool = True
    hold: float = 0.0
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Escalation:
    """Whom to tell when something is not done `after` s, in which words."""

    after: float
    role: Role
    text: Text


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `due`, `opens` (the earliest moment that is expected) and escalations count from its phase's start.

    `enabled_when` are proofs that must hold before it is asked for, `needs` steps that must be settled before; one
    that is overdue holds nothing up. `remind` repeats until it is done. All `done_when` together tick it, if `ticked`
    lets readings do so; `over` ticks it when the fault is over. `lapses` says that it is not asked for any more then.
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
    over: bool = False
    lapses: bool = False

    @property
    def provable(self) -> bool:
        """Tell whether readings can say that it is done."""
        return self.over or bool(self.done_when)


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

    `types` are alarm type ids, all but groups if empty; a group alarm is `group` and its qualifier is among
    `qualifiers` (all if empty). `seat` asks that the resource, or for a group one of those that it hits, is, or is
    not, part of a seat. `level` is the fault level that the run then has, `text` what it is called beside its title.
    While a run of a `held_by` procedure is open and `held_when` is true at the alarm's resource, it starts nothing.
    One that stands `beside` is told in a run that is open; it starts none and keeps none open.
    """

    types: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    qualifiers: frozenset[str] = frozenset()
    severity: Severity = Severity.WARNING
    seat: bool | None = None
    level: int | None = None
    text: Text | None = None
    held_by: frozenset[str] = frozenset()
    held_when: Condition | None = None
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Procedure:
    """One procedure in one version. `ack_lapse` is after how long without progress an acknowledgement lapses.

    `spare` asks for the name of a healthy spare seat.
    """

    id: str
    version: int
    text: Text
    scope: Scope
    owner: Role
    triggers: tuple[Trigger, ...] = ()
    steps: tuple[Step, ...] = ()
    levels: tuple[FaultLevel, ...] = ()
    level: int | None = None
    ack_lapse: float = 900.0
    settle: float = 30.0
    """A fault that stays away this long is over: only then the recovery steps are asked for."""
    spare: bool = False

    def fault_level(self, id: int | None) -> FaultLevel | None:
        """Find a fault level."""
        return next((level for level in self.levels if level.id == id), None)

    def graver(self, level: int, than: int | None) -> bool:
        """Tell whether one fault level leaves less time than another."""
        new, old = self.fault_level(level), self.fault_level(than)
        return new is not None and (old is None or new.restore < old.restore)

    def whose(self, step: Step) -> Role:
        """Return the person to ask about a step: the owner, where the thing itself does it."""
        return self.owner if step.role is Role.SYSTEM else step.role

    @property
    def roles(self) -> tuple[Role, ...]:
        """All people who have a part in it, the owner first."""
        return tuple(dict.fromkeys((self.owner, *map(self.whose, self.steps))))
