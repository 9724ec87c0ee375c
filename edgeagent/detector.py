"""Whether one severity of an alarm is there: normal, pending, raised, clearing. No clock, no I/O.

Two phases rest and two run a timer. In a resting phase the detector asks "does what would move me on hold?":
for NORMAL that is the level's condition, for RAISED that it holds no more, its deadband taken off.

    phase      True                           False        None (bad reading)   timer runs out
    NORMAL     -> PENDING, on-delay starts    –            –                    –
    PENDING    timer runs (on)                -> NORMAL    timer freezes        -> RAISED
    RAISED     -> CLEARING, off-delay starts  –            –                    –
    CLEARING   timer runs (on)                -> RAISED    timer freezes        -> NORMAL

With no delay the timer runs out at once. A frozen timer keeps what is left of it: time in which nobody knew is
neither for nor against, so a reading that comes and goes cannot use a delay up, and silence alone never
raises and never clears.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from edgeagent.catalog import AlarmType, Level
from edgeagent.readings import Reading


class Phase(StrEnum):
    """Where a detector is between "not there" and "there"."""

    NORMAL = "normal"
    PENDING = "pending"
    RAISED = "raised"
    CLEARING = "clearing"


@dataclass(frozen=True, slots=True)
class Timer:
    """A delay in s that can be frozen. `due` is epoch s while it runs, None while it is frozen with `left` s."""

    left: float
    due: float | None = None

    @classmethod
    def start(cls, seconds: float, now: float) -> Timer:
        """Start a timer."""
        return cls(seconds, now + seconds)

    def freeze(self, now: float) -> Timer:
        """Stop it and keep what is left."""
        return self if self.due is None else Timer(max(0.0, self.due - now))

    def resume(self, now: float) -> Timer:
        """Let it run on for what is left."""
        return self if self.due is not None else Timer.start(self.left, now)

    def shift(self, delta: float) -> Timer:
        """Move it along with a clock that stepped."""
        return self if self.due is None else Timer(self.left, self.due + delta)


@dataclass(frozen=True, slots=True)
class Detector:
    """The state of one level. `onset` is the first moment its condition was true, as early as is known by the raise."""

    phase: Phase = Phase.NORMAL
    onset: float | None = None
    timer: Timer | None = None

    @property
    def active(self) -> bool:
        """Tell whether the level counts as raised."""
        return self.phase in (Phase.RAISED, Phase.CLEARING)

    @property
    def due(self) -> float | None:
        """When the running timer runs out, epoch s."""
        return self.timer.due if self.timer else None

    def see(self, truth: bool | None, delay: float, now: float, onset: float) -> Detector:
        """Take in whether what moves it on holds; `onset` is since when that is so."""
        if truth is None:
            return self.freeze(now)
        if not truth:
            return self if self.timer is None else Detector(Phase.RAISED, self.onset) if self.active else Detector()
        timer = self.timer.resume(now) if self.timer else Timer.start(delay, now)
        moving = (
            replace(self, phase=Phase.CLEARING, timer=timer)
            if self.active
            else Detector(Phase.PENDING, onset if self.onset is None else min(self.onset, onset), timer)
        )
        return moving.fire(now)

    def fire(self, now: float) -> Detector:
        """Move on if the timer has run out."""
        if self.due is None or self.due > now:
            return self
        return Detector(Phase.RAISED, self.onset) if self.phase is Phase.PENDING else Detector()

    def freeze(self, now: float) -> Detector:
        """Stop the timer and keep what is left."""
        return self if self.timer is None else replace(self, timer=self.timer.freeze(now))

    def shift(self, delta: float) -> Detector:
        """Move what is under way along with a clock that stepped."""
        if self.timer is None:
            return self
        onset = self.onset + delta if self.onset is not None and self.phase is Phase.PENDING else self.onset
        return Detector(self.phase, onset, self.timer.shift(delta))


def begins(type: AlarmType, readings: Mapping[str, Reading]) -> bool:
    """Tell whether the condition of any level holds."""
    for level in type.levels:  # noqa: SIM110 - a generator costs as much as what it asks
        if level.when.holds(readings, level.limit):
            return True
    return False


def judge(type: AlarmType, level: Level, readings: Mapping[str, Reading], *, active: bool) -> bool | None:
    """Tell whether what moves a level's detector on holds.

    An active level moves on when its condition, relaxed by the deadband, is over and the type's own `clear`, if
    it has one, holds too.
    """
    if not active:
        return level.when.holds(readings, level.limit)
    still = level.when.holds(readings, level.limit, type.deadband)
    if type.clear is None:
        return None if still is None else not still
    over = type.clear.holds(readings, level.limit)
    if still or over is False:
        return False
    return None if still is None or over is None else True


def judge_member(*, present: bool | None, active: bool) -> bool | None:
    """Tell the same for an alarm that stands while a member is in a set; None: the set cannot be read."""
    return present if not active or present is None else not present
