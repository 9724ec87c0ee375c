"""The entry of one alarm in the list: its four facts, and who may change them. No clock, no I/O.

Four facts are kept apart and each change moves one of them: `is_cleared` belongs to the detectors,
`operator_state` to people, `latched` to the alarm type, `suppression` to whoever keeps the alarm from people.
What people see is derived from them and never stored:

    state            cleared  operator  latched  leaves by
    (no record)      –        –         –        a level holds for its on-delay -> UNACK
    UNACK            no       none      –        ack -> ACKED; clears -> RTN_UNACK or LATCHED_UNACK
    ACKED            no       ack       –        clears -> CLOSED or LATCHED_ACKED; rises, unack, ack lapses -> UNACK
    RTN_UNACK        yes      none      no       ack -> CLOSED; raised again -> UNACK
    LATCHED_UNACK    yes      none      yes      ack -> LATCHED_ACKED; reset -> CLOSED; raised again -> UNACK
    LATCHED_ACKED    yes      ack       yes      reset -> CLOSED; unack -> LATCHED_UNACK; raised again -> UNACK
    SHELVED          any      any       any      its end, unshelve, a rise to critical
    SUPPRESSED       any      any       any      the rule is over and the settle time with it
    OUT_OF_SERVICE   any      any       any      its end, back in service
    CLOSED           yes      closed    no       raised again -> UNACK; linger is over -> no record

An alarm that needs no acknowledgement closes when it clears. Every raise numbers itself in `raise_count`, and an
acknowledgement is for one number: nobody can acknowledge what they have not seen. A record closes only when it
is kept from people no longer, so a shelf outlives the clearing of its alarm.

One suppression at a time. Out of service takes the place of the other two; those two leave each other in place.
Coming back, an active alarm wants to be acknowledged again. What was never raised can be out of service or
suppressed too: a closed record that was raised 0 times says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from edgeagent.alarm import (
    Alarm,
    AlarmState,
    Change,
    Measured,
    OperatorState,
    Refused,
    Rule,
    Settings,
    Silence,
    Suppression,
    Verb,
    texts,
)
from edgeagent.catalog import Severity
from edgeagent.detector import Detector, Phase, Timer

KEEPS: Final = {
    Silence.SHELVED: Verb.SHELVED,
    Silence.BY_DESIGN: Verb.SUPPRESSED,
    Silence.OUT_OF_SERVICE: Verb.OUT_OF_SERVICE,
}
BACK: Final = {
    Silence.SHELVED: Verb.UNSHELVED,
    Silence.BY_DESIGN: Verb.UNSUPPRESSED,
    Silence.OUT_OF_SERVICE: Verb.IN_SERVICE,
}


_GONE: Final = "no longer configured"


@dataclass(slots=True)
class State:
    """All about one alarm that survives a restart. Times are epoch s.

    `detectors` and `levels` run together. `measured` and `origin` are from when it was last judged. `raises`
    are the last times it was raised (of the flood alarm: any alarm), `quiet` when that is over. `nag` is when
    an acknowledgement lapses or a reminder is due, `purge` when the record goes, `at` when all this was so. `unseen`
    is what another alarm explained when it was raised, so nobody was told; `folded` has no topic of its own either.
    """

    levels: tuple[Severity, ...]
    detectors: tuple[Detector, ...]
    member: str = ""
    record: Alarm | None = None
    measured: Measured | None = None
    origin: str | None = None
    raises: tuple[float, ...] = ()
    quiet: Timer | None = None
    nag: float | None = None
    purge: float | None = None
    at: float = 0.0
    unseen: bool = False
    folded: bool = False


class Entry:
    """One alarm: its rule and its state, and what people and other alarms may do to it.

    `base` is the rule that is judged: for a member of a set the one with `each`. Changes gather in `out` in
    the order they happened; `touched` tells that something to be stored changed. `over` tells that what is
    suppressed by design has been read to be there no more. `armed` and `noted` belong to the list.
    """

    __slots__ = ("armed", "base", "noted", "out", "over", "rule", "settings", "state", "touched")

    def __init__(self, rule: Rule, settings: Settings, state: State | None = None, base: Rule | None = None) -> None:
        levels = tuple(level.severity for level in rule.type.levels)
        self.rule = rule
        self.base = base or rule
        self.settings = settings
        self.state = state or State(levels, (Detector(),) * len(levels))
        self.armed: float | None = None
        self.noted: object = None
        self.over = False
        self.out: list[Change] = []
        self.touched = False

    @property
    def record(self) -> Alarm | None:
        """The record as it is listed."""
        return self.state.record

    @property
    def listed(self) -> Alarm:
        """The record, which must be there."""
        if self.state.record is None:
            raise Refused("unknown-alarm")
        return self.state.record

    @property
    def standing(self) -> bool:
        """Tell whether the record says raised."""
        return self.state.record is not None and not self.state.record.is_cleared

    @property
    def silence(self) -> Silence:
        """How the alarm is kept from people."""
        return self.state.record.suppression.kind if self.state.record is not None else Silence.NONE

    # -- the record -------------------------------------------------------------------------------------------

    def tell(self, verb: Verb, at: float, by: str = "system", reason: str = "", **facts: Any) -> None:  # noqa: ANN401
        """Replace facts of the record, by their names, and give the change."""
        self._put(verb, self.listed, replace(self.listed, last_changed=at, **facts), at, by, reason)

    def _put(self, verb: Verb, before: Alarm | None, after: Alarm, at: float, by: str, reason: str) -> None:
        self.state.record = after
        self.touched = True
        self.out.append(Change(verb, after, before, at, by, reason))

    def _record(self, at: float) -> Alarm:
        """Return the record, a closed one that was never raised if there is none."""
        if self.state.record is not None:
            return self.state.record
        text, short, advice = texts(self.rule, self.state.measured)
        severity = self.rule.type.levels[0].severity
        return self._new(
            at, perceived_severity=severity, alarm_text=text, short_text=short, recommended_action=advice,
            last_changed=at,
        )  # fmt: skip

    def _new(self, at: float, **facts: Any) -> Alarm:  # noqa: ANN401
        kind, rule = self.rule.type, self.rule
        return Alarm(
            rule.id, rule.resource, kind.id, rule.qualifier, kind.event_type, kind.probable_cause, time_created=at,
            **facts,
        )  # fmt: skip

    def begin(self, verb: Verb, severity: Severity, onset: float, at: float) -> None:
        """Raise the record, a new one or the one that is still listed."""
        before = self.state.record
        facts: dict[str, Any] = {
            "is_cleared": False, "operator_state": OperatorState.NONE, "operator": "", "operator_text": "",
            "operator_time": None, "latched": False, "raise_count": 1 if before is None else before.raise_count + 1,
            "onset": onset, "raised": at, "announced": None, "first_out": False, "root_cause_resource": (),
            "impacted_resource": (), "related_alarm": (), "last_changed": at, "origin": self.state.origin,
            **self._described(severity),
        }  # fmt: skip
        after = self._new(at, **facts) if before is None else replace(before, **facts)
        self.state.purge = None
        self.state.unseen = self.state.folded = False
        self._put(verb, before, after, at, "system", "")

    def regrade(self, severity: Severity, at: float) -> None:
        """Change the severity. A rise wants a new acknowledgement, a fall does not."""
        rise = severity.rank > self.listed.perceived_severity.rank
        if rise and self.silence is not Silence.OUT_OF_SERVICE:
            self.state.nag = None
        self.tell(
            Verb.SEVERITY_CHANGED, at, operator_state=OperatorState.NONE if rise else self.listed.operator_state,
            origin=self.state.origin or self.listed.origin, **self._described(severity),
        )  # fmt: skip

    def clear(self, verb: Verb, at: float) -> None:
        """Clear the record, and close it if nobody has to see it any more."""
        if self.silence is not Silence.OUT_OF_SERVICE:
            self.state.nag = None
        origin = self.state.origin or self.listed.origin
        self.tell(verb, at, is_cleared=True, last_cleared=at, latched=self.rule.type.latch, origin=origin)
        self._close_if_over(at)

    def _described(self, severity: Severity) -> dict[str, Any]:
        """Return the facts that follow from a level and from what was measured."""
        measured = self.state.measured
        limit = next((level.limit for level in self.rule.type.levels if level.severity is severity), None)
        value = replace(measured, limit=limit) if measured else None
        text, short, advice = texts(self.rule, value)
        return {
            "perceived_severity": severity, "alarm_text": text, "short_text": short, "recommended_action": advice,
            "value": value,
        }  # fmt: skip

    def _close_if_over(self, at: float, by: str = "system", reason: str = "") -> None:
        """Close a record that is cleared, seen, not latched and not kept from people."""
        record = self.listed
        if not record.is_cleared or record.latched or self.silence is not Silence.NONE:
            return
        seen = record.operator_state is OperatorState.ACK or not self.rule.type.ack_needed
        if seen and record.operator_state is not OperatorState.CLOSED:
            self.state.purge = at + self.settings.linger
            self.state.nag = None
            self.tell(Verb.CLOSED, at, by, reason, operator_state=OperatorState.CLOSED)

    # -- people -----------------------------------------------------------------------------------------------

    def ack(self, by: str, note: str, now: float) -> None:
        """Acknowledge; a second time changes nothing. A cleared, unlatched alarm closes by it."""
        if self.listed.operator_state is not OperatorState.NONE:
            return
        lapse = self.settings.ack_lapse
        if lapse is not None and self.standing and self.silence is Silence.NONE:
            self.state.nag = now + lapse
        self._operate(Verb.ACKNOWLEDGED, OperatorState.ACK, by, note, now)
        self._close_if_over(now, by, note)

    def unack(self, by: str, note: str, now: float) -> None:
        """Take an acknowledgement back."""
        if self.listed.operator_state is OperatorState.CLOSED:
            raise Refused("already-closed")
        if self.listed.operator_state is OperatorState.NONE:
            return
        if self.silence is Silence.NONE:
            self.state.nag = None
        self._operate(Verb.UNACKNOWLEDGED, OperatorState.NONE, by, note, now)

    def reset(self, by: str, note: str, now: float) -> None:
        """Release the latch of a cleared alarm, which closes it; without a latch nothing changes."""
        if self.standing:
            raise Refused("not-cleared")
        if self.listed.latched:
            self._operate(Verb.RESET, OperatorState.ACK, by, note, now, latched=False)
            self._close_if_over(now, by, note)

    def shelve(self, seconds: float, by: str, reason: str, now: float) -> None:
        """Keep a listed alarm from people for a while; again moves the end."""
        if seconds > self.settings.shelf_max:
            raise Refused("too-long")
        if not seconds > 0:
            raise Refused("end-in-past")
        if self.silence not in (Silence.NONE, Silence.SHELVED):
            raise Refused("already-suppressed")
        if self.listed.operator_state is OperatorState.CLOSED:
            raise Refused("already-closed")
        self.keep_back(Suppression(Silence.SHELVED, by, reason, now + seconds), now)

    def _operate(
        self, verb: Verb, state: OperatorState, by: str, note: str, now: float, **facts: Any,  # noqa: ANN401
    ) -> None:  # fmt: skip
        self.tell(
            verb, now, by, note, operator_state=state, operator=by, operator_text=note, operator_time=now, **facts
        )  # fmt: skip

    # -- keeping it from people -------------------------------------------------------------------------------

    def keep_back(self, suppression: Suppression, at: float, root: tuple[str, ...] | None = None) -> None:
        """Shelve, suppress or take out of service; the same once more changes nothing."""
        before, record = self.state.record, self._record(at)
        root = record.root_cause_resource if root is None else root
        if before is not None and (before.suppression, before.root_cause_resource) == (suppression, root):
            return
        after = replace(record, suppression=suppression, root_cause_resource=root, last_changed=at)
        reminded = suppression.kind is Silence.OUT_OF_SERVICE
        self.state.purge, self.state.nag = None, at + self.settings.remind if reminded else None
        hidden = self.silence is Silence.BY_DESIGN and self.over
        self.over = suppression.kind is Silence.BY_DESIGN and (hidden or self._ending)
        if suppression.kind is Silence.BY_DESIGN:
            self.freeze(at)
        self._put(KEEPS[suppression.kind], before, after, at, suppression.by, suppression.reason)

    def suppress(self, by: str, reason: str, now: float, root: tuple[str, ...] | None = None) -> None:
        """Suppress by design; its timers stand still. A shelf or being out of service keeps its place."""
        had = self._record(now).suppression
        if had.kind is Silence.BY_DESIGN and had.until is not None:
            self._settle(None)
        if had.kind in (Silence.NONE, Silence.BY_DESIGN):
            self.keep_back(Suppression(Silence.BY_DESIGN, by, reason), now, root)

    def veil(self, suppression: Suppression, root: tuple[str, ...], now: float) -> None:
        """Suppress by design what was raised a moment ago and is not told yet: nobody will have seen it."""
        self.state.record = replace(self.listed, suppression=suppression, root_cause_resource=root)
        self.state.unseen = self.touched = True
        self.over = self._ending
        self.freeze(now)

    @property
    def _ending(self) -> bool:
        """Whether readings have said that it is over: they say so once, and nobody judges it again for that."""
        active = [detector for detector in self.state.detectors if detector.active]
        return bool(active) and all(detector.phase is Phase.CLEARING for detector in active)

    def unsuppress(self, now: float) -> None:
        """Let the settle time run that ends a suppression by design."""
        if self.silence is Silence.BY_DESIGN and self.listed.suppression.until is None:
            self._settle(now + self.settings.settle)

    def _settle(self, until: float | None) -> None:
        self.state.record = replace(self.listed, suppression=replace(self.listed.suppression, until=until))
        self.touched = True

    def bring_back(self, at: float, by: str, reason: str) -> None:
        """End the suppression: an active alarm wants to be acknowledged again, one that is over closes.

        What nobody has seen and is over asks nobody to acknowledge it.
        """
        record = self.listed
        if self.silence is Silence.NONE:
            return
        self.state.nag, self.over = None, False
        state = record.operator_state if record.is_cleared else OperatorState.NONE
        if record.is_cleared and self.state.unseen and not record.latched and self.silence is Silence.BY_DESIGN:
            state = OperatorState.CLOSED
        elif not record.is_cleared or record.latched:
            self.state.unseen = self.state.folded = False
        if state is OperatorState.CLOSED:
            self.state.purge = at + self.settings.linger
        facts: dict[str, object] = {"suppression": Suppression(), "operator_state": state}
        if self.silence is Silence.BY_DESIGN and not record.is_cleared:
            facts["root_cause_resource"] = ()  # nothing accounts for it any more
        self.tell(BACK[self.silence], at, by, reason, **facts)
        self._close_if_over(at, by, reason)

    def freeze(self, now: float) -> None:
        """Stop all timers that count what is known about the device."""
        state = self.state
        state.detectors = tuple(detector.freeze(now) for detector in state.detectors)
        state.quiet = state.quiet.freeze(now) if state.quiet else None

    def shift(self, delta: float) -> None:
        """Move all that runs along with a clock that stepped; an agreed end of being out of service stays."""
        state = self.state
        state.detectors = tuple(detector.shift(delta) for detector in state.detectors)
        state.quiet = state.quiet.shift(delta) if state.quiet else None
        state.nag = None if state.nag is None else state.nag + delta
        state.purge = None if state.purge is None else state.purge + delta
        state.raises = tuple(at + delta for at in state.raises)
        self.touched = True
        if state.record is None or self.silence is Silence.OUT_OF_SERVICE:
            return
        if state.record.suppression.until is not None:
            self._settle(state.record.suppression.until + delta)


def closed(record: Alarm | None, now: float) -> list[Change]:
    """Close the record of an alarm that no rule raises any more."""
    if record is None or record.state is AlarmState.CLOSED:
        return []
    after = replace(
        record, operator_state=OperatorState.CLOSED, is_cleared=True, latched=False, oscillating=False,
        suppression=Suppression(), last_changed=now,
    )  # fmt: skip
    return [Change(Verb.CLOSED, after, record, now, "system", _GONE)]
