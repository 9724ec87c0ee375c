"""Which alarm is for which procedure, found by alarm type. Pure. Starts nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from edgeagent.alarm import Alarm, Silence
from edgeagent.procedure import GROUP, Procedure, Trigger
from edgeagent.scopes import Scopes

_ANY: Final = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A procedure that an alarm is for, by which of its triggers; the first in the file say best what failed."""

    procedure: Procedure
    trigger: Trigger
    rank: int


class Triggers:
    """The triggers of all procedures."""

    def __init__(self, procedures: Iterable[Procedure], scopes: Scopes) -> None:
        self._scopes = scopes
        self._found: dict[str, list[Match]] = {}
        for procedure in procedures:
            for rank, trigger in enumerate(procedure.triggers):
                for type in trigger.types or (_ANY,):
                    self._found.setdefault(type, []).append(Match(procedure, trigger, rank))

    def of(self, alarm: Alarm) -> Iterator[Match]:
        """Give what an alarm is for; a procedure may come several times."""
        type = alarm.alarm_type_id
        for match in (*self._found.get(type, ()), *(self._found.get(_ANY, ()) if type != GROUP else ())):
            if self._fits(match.trigger, alarm):
                yield match

    def match(self, procedure: Procedure, alarm: Alarm) -> Match | None:
        """Find by which trigger an alarm is for one procedure, which may be of another version."""
        for rank, trigger in enumerate(procedure.triggers):
            named = alarm.alarm_type_id in trigger.types or (not trigger.types and alarm.alarm_type_id != GROUP)
            if named and self._fits(trigger, alarm):
                return Match(procedure, trigger, rank)
        return None

    def _fits(self, trigger: Trigger, alarm: Alarm) -> bool:
        if alarm.perceived_severity.rank < trigger.severity.rank:
            return False
        if trigger.qualifiers and alarm.alarm_type_qualifier not in trigger.qualifiers:
            return False
        if trigger.kinds and self._scopes.kind(alarm.resource) not in trigger.kinds:
            return False
        return trigger.seat is None or trigger.seat is self._at_a_seat(alarm)

    def _at_a_seat(self, alarm: Alarm) -> bool:
        hit = alarm.impacted_resource if alarm.alarm_type_id == GROUP else (alarm.resource,)
        return any(self._scopes.seat(resource) is not None for resource in hit)


def stands(alarm: Alarm) -> bool:
    """Tell whether the fault is there; an alarm that is listed because it is suppressed may never have been raised."""
    return not alarm.is_cleared and alarm.raise_count > 0


def plain(alarm: Alarm) -> bool:
    """Tell whether nothing keeps an alarm from people and nothing else explains it."""
    explained = any(cause != alarm.resource for cause in alarm.root_cause_resource)
    return alarm.suppression.kind is Silence.NONE and not explained
