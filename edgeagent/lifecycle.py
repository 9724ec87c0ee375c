"""What readings and timers do to one alarm (ISA-18.2 on RFC 8632). No clock, no I/O.

The detectors of an alarm say which of its levels are there; the record follows them. Raised is the highest level
that is there. What the record may be and who else changes it is in `entry.py`.

Shelved and out-of-service alarms are judged like all others, so the record stays true. Alarms that are suppressed
by design are not: their timers stand still, and when the settle time is over they are judged afresh before they
come back.

An alarm that chatters stays raised, oscillating, until no raise came for the quiet time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from edgeagent.alarm import Measured, OperatorState, Rule, Silence, Verb, spelled
from edgeagent.catalog import Severity
from edgeagent.detector import Detector, Phase, Timer, judge, judge_member
from edgeagent.entry import Entry
from edgeagent.readings import PARTIAL, Quality, Reading


class Presence(StrEnum):
    """Whether a fault is there, as far as is known."""

    GONE = "gone"
    COMING = "coming"
    """Its on-delay runs. A timer that stands still tells nothing."""
    THERE = "there"


class Live(Entry):
    """One alarm under way."""

    __slots__ = ()

    @property
    def severity(self) -> Severity | None:
        """The highest level that is there, None if none is."""
        active = [severity for severity, d in zip(self.state.levels, self.state.detectors, strict=True) if d.active]
        return active[-1] if active else None

    @property
    def empty(self) -> bool:
        """Tell whether nothing is left to remember."""
        state = self.state
        return state.record is None and not state.raises and all(d == Detector() for d in state.detectors)

    @property
    def due(self) -> float | None:
        """When the next timer runs out, epoch s."""
        state = self.state
        timers = [d.due for d in state.detectors]
        timers += (state.quiet.due if state.quiet else None, state.nag, state.purge)
        timers.append(state.record.suppression.until if state.record else None)
        return min((due for due in timers if due is not None), default=None)

    @property
    def presence(self) -> Presence:
        """Whether the fault is there, kept from people or not."""
        hidden = self.silence is Silence.BY_DESIGN
        if self.standing:
            return Presence.GONE if hidden and self.over else Presence.THERE
        coming = (d.phase is Phase.PENDING and d.due is not None for d in self.state.detectors)
        return Presence.COMING if not hidden and any(coming) else Presence.GONE

    def readable(self, readings: Mapping[str, Reading]) -> bool:
        """Tell whether readings say anything about it."""
        return any(truth is not None for truth in self._judge(readings))

    def see(self, readings: Mapping[str, Reading], now: float, onset: float) -> None:
        """Judge the alarm by readings; `onset` is since when they are so."""
        state, kind = self.state, self.rule.type
        truths = self._judge(readings)
        if self.silence is Silence.BY_DESIGN:
            ends = [truth for d, truth in zip(state.detectors, truths, strict=True) if d.active]
            self.over = self.over if None in ends else bool(ends) and all(ends)
            return
        known = any(truth is not None for truth in truths)
        detectors = tuple(
            d.see(truth, kind.off_delay if d.active else level.on_delay, now, onset)
            for d, truth, level in zip(state.detectors, truths, kind.levels, strict=True)
        )
        if known and (detectors != state.detectors or any(d.timer for d in detectors)):
            self._measure(readings)
        if state.quiet is not None:
            quiet = state.quiet.resume(now) if known else state.quiet.freeze(now)
            self.touched |= quiet != state.quiet
            state.quiet = quiet
        self._move(detectors, now)
        self._mark_quality(readings, known=known)

    def run(self, readings: Mapping[str, Reading], now: float) -> bool:
        """Let all timers that ran out by now do their work, in their order; tell whether to judge afresh."""
        afresh = False
        while (at := self.due) is not None and at <= now:
            state = self.state
            fired = tuple(d.fire(at) for d in state.detectors)
            if fired != state.detectors:
                self._move(fired, at)
            elif state.quiet is not None and state.quiet.due == at:
                state.quiet, self.touched = None, True
                self._steady(at)
            elif state.nag == at:
                state.nag, self.touched = None, True
                self._nag(at)
            elif state.purge == at:
                self._purge()
            else:
                if self.silence is Silence.BY_DESIGN:
                    self._dismiss(readings, at)
                    afresh = True
                self.bring_back(at, "system", "time is over")
        return afresh

    def adopt(self, rule: Rule, base: Rule) -> None:
        """Go on under a changed rule. If the raised level is gone the lowest takes its place, to be judged anew."""
        state, was = self.state, [d for d in self.state.detectors if d.active]
        had = dict(zip(state.levels, state.detectors, strict=True))
        self.rule, self.base = rule, base
        state.levels = tuple(level.severity for level in rule.type.levels)
        state.detectors = tuple(had.get(severity, Detector()) for severity in state.levels)
        if was and self.severity is None:
            state.detectors = (Detector(Phase.RAISED, was[0].onset), *state.detectors[1:])

    def _judge(self, readings: Mapping[str, Reading]) -> list[bool | None]:
        kind, state = self.rule.type, self.state
        if not readings:
            return [None] * len(state.detectors)  # not read yet, which even `bad(x)` and `absent(x)` cannot judge
        pairs = zip(state.detectors, kind.levels, strict=True)
        if not kind.each:
            return [judge(kind, level, readings, active=d.active) for d, level in pairs]
        reading = readings.get(kind.each)
        members = reading.value if reading is not None else None
        present: bool | None = None
        if isinstance(members, frozenset):
            present = any(spelled(member) == spelled(state.member) for member in members)
            if not present and reading is not None and reading.reason == PARTIAL:
                present = None
        return [judge_member(present=present, active=d.active) for d, _ in pairs]

    def _measure(self, readings: Mapping[str, Reading]) -> None:
        """Note what the alarm shows: a number that is compared, else the first point; and the drill behind it."""
        kind, state = self.rule.type, self.state
        used = [(point, readings[point]) for point in sorted(self.rule.points) if point in readings]
        state.origin = next((reading.origin for _, reading in used if reading.origin), None)
        if kind.each:
            state.measured = Measured(kind.each, state.member)
            return
        if kind.shows in readings:
            shown = readings[kind.shows]
            state.measured = Measured(kind.shows, shown.value, self.rule.units.get(kind.shows), None, shown.quality)
            return
        raising = frozenset().union(*(level.when.points for level in kind.levels))
        compared = [(point, reading) for point, reading in used if point in raising]
        numbers = [pair for pair in compared if type(pair[1].value) in (int, float)]
        for point, reading in (numbers or compared)[:1]:
            state.measured = Measured(point, reading.value, self.rule.units.get(point), None, reading.quality)

    def _mark_quality(self, readings: Mapping[str, Reading], *, known: bool) -> None:
        record = self.state.record
        if record is None or record.is_cleared or record.value is None:
            return
        reading = readings.get(record.value.point)
        quality = reading.quality if known and reading is not None else Quality.BAD
        if quality is not record.value.quality:
            self.state.record = replace(record, value=replace(record.value, quality=quality))
            self.touched = True

    def _dismiss(self, readings: Mapping[str, Reading], at: float) -> None:
        """End what is known to be over after a suppression: nobody saw it, so no off-delay is owed."""
        pairs = zip(self.state.detectors, self._judge(readings), strict=True)
        detectors = tuple(Detector() if d.active and over else d for d, over in pairs)
        if self.listed.oscillating and not any(d.active for d in detectors):  # nor is its quiet time
            self.state.quiet = None
            self.tell(Verb.STEADIED, at, oscillating=False)
        self._move(detectors, at)

    def _move(self, detectors: tuple[Detector, ...], at: float) -> None:
        """Take new detector states over and bring the record in line with them."""
        state = self.state
        if detectors != state.detectors:
            before = self.severity
            state.detectors, self.touched = detectors, True
            if state.quiet is not None and before is None and self.severity is not None:
                state.quiet = Timer.start(self.settings.chatter_quiet, at)
        severity = self.severity
        if not self.standing:
            if severity is not None:
                self._raise(severity, at)
        elif severity is None:
            if not self.listed.oscillating:
                self.clear(Verb.CLEARED, at)
        elif severity is not self.listed.perceived_severity:
            was = self.listed.perceived_severity
            self.regrade(severity, at)
            self._end_shelf(was, at)

    def _raise(self, severity: Severity, at: float) -> None:
        state, settings = self.state, self.settings
        was = state.record.perceived_severity if state.record is not None else severity
        onset = min((d.onset for d in state.detectors if d.active and d.onset is not None), default=at)
        self.begin(Verb.RAISED, severity, onset, at)
        count = settings.chatter_count
        state.raises = (*state.raises, at)[-count:]
        if len(state.raises) == count and at - state.raises[0] <= settings.chatter_window:
            state.quiet = Timer.start(settings.chatter_quiet, at)
            self.tell(Verb.OSCILLATING, at, oscillating=True)
        self._end_shelf(was, at)

    def _end_shelf(self, was: Severity, at: float) -> None:
        """Bring a shelved alarm back that rose to critical."""
        rose = was is not Severity.CRITICAL and self.listed.perceived_severity is Severity.CRITICAL
        if rose and self.silence is Silence.SHELVED:
            self.bring_back(at, "system", "severity rose to critical")

    def _steady(self, at: float) -> None:
        self.tell(Verb.STEADIED, at, oscillating=False)
        self._move(self.state.detectors, at)

    def _nag(self, at: float) -> None:
        record = self.listed
        if self.silence is Silence.OUT_OF_SERVICE:
            self.state.nag = at + self.settings.remind
            self.tell(Verb.REMINDED, at, reason=record.suppression.reason)
        elif self.standing and record.operator_state is OperatorState.ACK:
            self.tell(
                Verb.RE_ALARMED, at, reason="acknowledgement lapsed", operator_state=OperatorState.NONE,
                re_alarm_count=record.re_alarm_count + 1,
            )  # fmt: skip

    def _purge(self) -> None:
        self.state.purge = self.state.record = None
        self.state.raises = ()
        self.touched = True
