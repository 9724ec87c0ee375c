"""How fast a measured value moves, and how sure that is. Pure.

Owns a bounded series of one value and the robust slope through it; what the slope means is for `ridethrough.py` and
`heat.py`. Only changes are measured, so a series is a staircase: a value holds until the next one comes.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from edgeagent.readings import UNVERIFIED, Missing, Quality, Reading

STALE: Final = 60.0
"""What was read longer ago than this, in s, is no ground for a forecast."""
SILENT: Final = frozenset(missing.value for missing in Missing if missing.silent)
"""Reasons of a bad reading that say nothing of the device: what it said just before may still be counted on."""
_STEPS: Final = 32
"""A slope is looked for between points of time this many to the window, each with the one half a window later."""


def number(reading: Reading | None) -> float | None:
    """Return the number that may be reckoned with, or None: for words, flags, and what is bad or doubtful."""
    if reading is None or isinstance(reading.value, bool) or not isinstance(reading.value, (int, float)):
        return None
    sure = reading.quality is Quality.GOOD or (reading.quality is Quality.UNCERTAIN and reading.reason == UNVERIFIED)
    return float(reading.value) if sure else None


def silent(reading: Reading | None) -> bool:
    """Tell whether a reading is bad only because nothing was heard."""
    return reading is not None and reading.quality is Quality.BAD and reading.reason in SILENT


@dataclass(slots=True)
class Heard:
    """When a device was last read. While it is `mute` nothing comes; else what it shows is so by now.

    Readings alone cannot tell: one whose raw answer stays what it was keeps its time. Who knows when the device last
    answered says so as `observed`, and is believed.
    """

    last: float | None = None
    mute: bool = True

    def look(self, now: float, observed: float | None) -> float:
        """Bring it up to now; return for how many s nothing was heard before."""
        before = self.last
        if observed is not None:
            self.last = observed if before is None else max(before, observed)
        elif not self.mute:
            self.last = now
        return 0.0 if before is None or self.last is None else self.last - before

    def age(self, now: float) -> float | None:
        """Tell how many s ago it was last read, None if never."""
        return None if self.last is None else max(0.0, now - self.last)

    def shift(self, delta: float) -> None:
        """Move along with a wall clock that stepped by `delta` s."""
        self.last = None if self.last is None else self.last + delta


@dataclass(frozen=True, slots=True)
class Trend:
    """How a value moved in `span` s: by `change` in all, by `slope` a second, of which half lies in slow to fast.

    `slow` and `fast` are the quartiles, the lower first: for a value that falls `slow` is the steeper one.
    """

    span: float
    change: float
    slope: float
    slow: float
    fast: float


class Series:
    """The newest values of one reading: at most `most`, thinned to `gap` s apart, the newest always among them."""

    __slots__ = ("_gap", "_most", "_times", "_values")

    def __init__(self, most: int, gap: float) -> None:
        self._most, self._gap = most, gap
        self._times: list[float] = []
        self._values: list[float] = []

    def __len__(self) -> int:
        return len(self._times)

    def add(self, at: float, value: float) -> None:
        """Take a value. One that is no later than the newest replaces it, as does one that follows too closely."""
        times, values = self._times, self._values
        if times and at < times[0]:
            self.clear()
        while times and times[-1] >= at:
            times.pop(), values.pop()
        if len(times) > 1 and at - times[-2] < self._gap:
            times[-1], values[-1] = at, value
            return
        times.append(at)
        values.append(value)
        if len(times) > self._most:
            del times[0], values[0]

    def clear(self) -> None:
        """Forget everything: what comes next has nothing to do with it."""
        self._times.clear()
        self._values.clear()

    def shift(self, delta: float) -> None:
        """Move along with a wall clock that stepped by `delta` s."""
        self._times = [at + delta for at in self._times]

    def begin(self) -> float | None:
        """Return the time of the oldest value."""
        return self._times[0] if self._times else None

    def since_above(self, value: float) -> float | None:
        """Return the last moment at which the series was at or above a value; None if it never was."""
        found = (at for at, each in zip(reversed(self._times), reversed(self._values), strict=True) if each >= value)
        return next(found, None)

    def trend(self, begin: float, now: float) -> Trend | None:
        """Find the slope from `begin` (not before the oldest value) to now; None without any time between.

        The median of the slopes between points half the window apart (Theil–Sen on pairs that do not overlap): a
        few wild values do not move it, and it costs as much as the window has points.
        """
        if not self._times:
            return None
        begin = max(begin, self._times[0])
        span = now - begin
        if span <= 0:
            return None
        half = _STEPS // 2
        pace = span / (_STEPS - 1)
        values = [self._held(begin + pace * step) for step in range(_STEPS)]
        slopes = sorted((values[step + half] - values[step]) / (pace * half) for step in range(half))
        return Trend(span, values[-1] - values[0], _middle(slopes), slopes[half // 4], slopes[half - 1 - half // 4])

    def _held(self, at: float) -> float:
        return self._values[max(0, bisect_right(self._times, at) - 1)]


def _middle(values: list[float]) -> float:
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
