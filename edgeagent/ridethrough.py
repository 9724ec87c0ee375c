"""How long the battery of one UPS lasts, and whether that is long enough. Pure.

    the UPS's own figure     counts down from when it first said it: a figure that stands still is not believed to
    observed discharge       the robust slope of its charge, down to 10 %, once enough has gone to see one
    an earlier discharge     how fast it went the last time, at that load, until this one shows itself
    the low-battery flag     two minutes from when it was raised, whatever the others say

The low estimate is the lowest of them. What is bad, doubtful or too old counts for nothing, and with nothing left
there is no forecast and a reason for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from edgeagent.readings import Quality, Reading, Readings
from edgeagent.rules import parse
from edgeagent.trend import STALE, Heard, Series, Trend, number, silent

FLOOR: Final = 10.0
"""% of charge below which a battery may give way at any moment."""
FLAG_LASTS: Final = 120.0
"""s that a battery is good for at the most once the UPS calls it low (RFC 1628 §4.8, usual setting)."""
ON_BATTERY: Final = parse(
    "(source = battery or alarms has on-battery and (source = other or absent(source) or battery.time > 0"
    " or input.voltage < 80)) and (not alarms has testing or unknown(alarms) or input.voltage < 80"
    " or battery.time > 3600) or source = test and input.voltage < 80"
)
"""As the alarm of that name in drivers/ups/kind.toml has it."""
LOW: Final = parse("battery.status in [low, depleted] or alarms has battery-low or alarms has shutdown-imminent")
_DISCHARGING: Final = parse("source in [battery, test] or alarms has testing or alarms has on-battery")
_OFF: Final = parse("source = off or alarms has output-off")
_CHARGE, _RUNTIME, _LOAD = "battery.charge", "battery.runtime", "output.load"
_NUMBERS: Final = (_CHARGE, _RUNTIME, _LOAD)
POINTS: Final = frozenset(_NUMBERS) | ON_BATTERY.points | LOW.points
URGENT: Final = frozenset({"source", "battery.status", "alarms"})
"""Points whose change is worth a look at once; the others wait for the next round."""

_SAMPLES, _GAP = 120, 5.0
_DROP: Final = 3.0
"""% that must have gone before a slope is one."""
_SPAN: Final = 60.0
_FRESH_DROP, _FRESH_SPAN = 8.0, 120.0
"""The slope is that of the last 8 %, so that it follows the load, but of no less than two minutes."""
_LOOK_AGAIN: Final = 10.0
_PEUKERT: Final = 1.3
"""A lead battery gives less than its share at a higher load; at a lower one it is not credited with more."""
_HISTORY: Final = 400 * 86400.0
"""An earlier discharge says nothing of what a battery can do after more than a year."""


class Source(StrEnum):
    """What an estimate rests on."""

    DEVICE = "device"
    DISCHARGE = "discharge"
    HISTORY = "history"
    FLAG = "flag"


class Gap(StrEnum):
    """Why there is no forecast for a battery."""

    UNREADABLE = "unreadable"
    """The UPS was never read, or not for `STALE` s."""
    NO_FIGURE = "no-figure"
    """It gives no runtime that can be trusted, and its charge has not gone down far enough to tell."""


@dataclass(frozen=True, slots=True)
class Ride:
    """How long one UPS on battery lasts: `low` to `high` s from now. Both are None where `gap` says why.

    `age` is how many s ago the UPS was last read. `charge` and `load` are what it said then, %.
    """

    ups: str
    low: float | None = None
    high: float | None = None
    sources: tuple[Source, ...] = ()
    age: float | None = None
    gap: Gap | None = None
    charge: float | None = None
    load: float | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Discharge:
    """One discharge that was watched, in a test or an outage: when it ended, how fast it went, at which load."""

    at: float
    per_minute: float
    """% of charge."""
    seconds: float
    load: float | None = None

    def lasts(self, charge: float, load: float | None, now: float) -> tuple[float, float] | None:
        """Tell how many s a charge lasts at a load, by this; None if it is too long ago or the load is not known."""
        if now - self.at > _HISTORY or load is None or self.load is None:
            return None
        ratio = max(load, 1.0) / max(self.load, 1.0)
        per_second = self.per_minute / 60 * (ratio**_PEUKERT if ratio > 1 else 1.0)
        return max(0.0, charge - FLOOR) / per_second, charge / per_second


@dataclass(slots=True)
class _Seen:
    """A number that can be trusted: since when it is what it is."""

    value: float
    since: float


class Battery:
    """One UPS, as far as its battery goes. `observed` is everywhere when it last answered, if somebody knows."""

    __slots__ = (
        "_begun", "_charges", "_heard", "_load", "_low_since", "_seen", "_since", "_trend",
        "last", "off", "on", "origin", "ups",
    )  # fmt: skip

    def __init__(self, ups: str) -> None:
        self.ups = ups
        self.on: bool | None = None
        """On battery; None if that was never known."""
        self.off = False
        """It gives no power."""
        self.last: Discharge | None = None
        self.origin: str | None = None
        self._since = 0.0
        self._heard = Heard()
        self._low_since: float | None = None
        self._seen: dict[str, _Seen] = {}
        self._charges = Series(_SAMPLES, _GAP)
        self._trend: tuple[float, Trend | None] | None = None
        """The slope of the charge and when it was looked for: it costs more than all the rest."""
        self._begun: tuple[float, float] | None = None
        """When the discharge that runs began, at which charge."""
        self._load = 0.0
        """Highest load of the discharge."""

    def take(self, readings: Readings, now: float, observed: float | None = None) -> bool:
        """Take what the UPS says; tell whether a discharge ended that is worth remembering."""
        said = [reading for point in POINTS if (reading := readings.get(point))]
        was_mute, self._heard.mute = self._heard.mute, all(reading.quality is Quality.BAD for reading in said)
        if self._heard.look(now, observed) > STALE and was_mute:
            self._begun = None  # nobody knows what went on meanwhile
        self.origin = next((reading.origin for reading in said if reading.origin is not None), None)
        on = ON_BATTERY.holds(readings)
        if on is not None and on is not self.on:
            self.on, self._since = on, now
        self.off = _OFF.holds(readings) or False
        self._flag(LOW.holds(readings), now)
        for point in _NUMBERS:
            self._note(point, readings.get(point), now)
        return self._watch(_DISCHARGING.holds(readings) or on, now)

    def _flag(self, low: bool | None, now: float) -> None:
        if low is False:
            self._low_since = None
        elif low and self._low_since is None:
            self._low_since = now

    def _note(self, point: str, reading: Reading | None, now: float) -> None:
        value = number(reading)
        if value is None:
            if not silent(reading):
                self._seen.pop(point, None)  # it says that it does not know: what it said before is no more so
            return
        seen = self._seen.get(point)
        if seen is None or seen.value != value:
            self._seen[point] = _Seen(value, now)
            if point == _CHARGE and self._begun is not None:
                self._charges.add(now, value)
                self._trend = None

    def _watch(self, discharging: bool | None, now: float) -> bool:
        """Follow a discharge from its first moment to its last."""
        charge, load = self._value(_CHARGE), self._value(_LOAD)
        if discharging and self._begun is None and charge is not None:
            self._begun, self._load = (now, charge), 0.0
            self._charges.clear()
            self._charges.add(now, charge)
            self._trend = None
        if discharging:
            self._load = max(self._load, load or 0.0)
        if discharging is not False or self._begun is None:
            return False
        (began, full), self._begun = self._begun, None
        seconds, drop = now - began, full - (full if charge is None else charge)
        if seconds < _SPAN or drop < _DROP:
            return False
        self.last = Discharge(now, round(drop / seconds * 60, 3), round(seconds, 1), self._load or None)
        return True

    def _value(self, point: str) -> float | None:
        seen = self._seen.get(point)
        return None if seen is None else seen.value

    def ride(self, now: float, observed: float | None = None) -> Ride:
        """Forecast how long it lasts from now, on battery."""
        self._heard.look(now, observed)
        age = self._heard.age(now)
        charge, load = self._value(_CHARGE), self._value(_LOAD)
        blank = Ride(self.ups, age=age, charge=charge, load=load, origin=self.origin)
        stale = age is None or age > STALE
        found = {} if stale or age is None else self._figures(now, age)
        if self._low_since is not None:
            left = max(0.0, FLAG_LASTS - (now - self._low_since))
            found[Source.FLAG] = left, left
        if not found:
            return replace(blank, gap=Gap.UNREADABLE if stale else Gap.NO_FIGURE)
        low, high = _together(found)
        return replace(blank, low=low, high=high, sources=tuple(found))

    def _figures(self, now: float, age: float) -> dict[Source, tuple[float, float]]:
        """Return what can be said of the time left, as a range by source."""
        found: dict[Source, tuple[float, float]] = {}
        runtime, charge = self._seen.get(_RUNTIME), self._value(_CHARGE)
        if runtime is not None:
            counted = now - max(runtime.since, self._since)
            found[Source.DEVICE] = max(0.0, runtime.value - counted), max(0.0, runtime.value - age)
        if charge is None:
            return found
        observed = self._observed(charge, now, age)
        if observed is not None:
            found[Source.DISCHARGE] = observed
        elif self.last is not None and (lasts := self.last.lasts(charge, self._value(_LOAD), now)) is not None:
            found[Source.HISTORY] = max(0.0, lasts[0] - age), max(0.0, lasts[1] - age)
        return found

    def _observed(self, charge: float, now: float, age: float) -> tuple[float, float] | None:
        """Follow the charge down to the floor as fast as it may go, and to nothing as slowly as it may."""
        if self._begun is None:
            return None
        trend = self._slope(charge, now - age)
        if trend is None or trend.span < _SPAN or -trend.slope * trend.span < _DROP:
            return None
        # Charge comes in whole %: one of them more or less may have gone in that time.
        doubt = 1 / trend.span
        steep, flat = max(-trend.slow, -trend.slope + doubt), min(-trend.fast, -trend.slope - doubt)
        high = charge / flat if flat > 0 else charge / -trend.slope * 2
        return max(0.0, (charge - FLOOR) / steep - age), max(0.0, high - age)

    def _slope(self, charge: float, read: float) -> Trend | None:
        """Return the slope of the last 8 %, found anew when the charge moved or has not for a while."""
        if self._trend is None or read - self._trend[0] > _LOOK_AGAIN:
            begin = self._charges.since_above(charge + _FRESH_DROP)
            begin = self._charges.begin() if begin is None else min(begin, read - _FRESH_SPAN)
            self._trend = read, None if begin is None else self._charges.trend(begin, read)
        return self._trend[1]

    def standing(self, now: float) -> float | None:
        """Tell how many s it would last if the mains failed now: the lower of its own figure and the last discharge."""
        charge, runtime = self._value(_CHARGE), self._value(_RUNTIME)
        lasts = None
        if self.last is not None and charge is not None:
            lasts = self.last.lasts(charge, self._value(_LOAD), now)
        figures = [figure for figure in (runtime, lasts[0] if lasts else None) if figure is not None]
        return min(figures, default=None)

    def shift(self, delta: float) -> None:
        """Move along with a wall clock that stepped by `delta` s."""
        self._since += delta
        self._heard.shift(delta)
        self._low_since = None if self._low_since is None else self._low_since + delta
        self._begun = None if self._begun is None else (self._begun[0] + delta, self._begun[1])
        for seen in self._seen.values():
            seen.since += delta
        self._charges.shift(delta)
        self._trend = None
        if self.last is not None:
            self.last = replace(self.last, at=self.last.at + delta)


def _together(found: Mapping[Source, tuple[float, float]]) -> tuple[float, float]:
    """Make one range of several: the lowest of all, up to what the best witness allows."""
    low = min(low for low, _ in found.values())
    if Source.FLAG in found:
        high = found[Source.FLAG][1]
    elif Source.DISCHARGE in found:
        high = found[Source.DISCHARGE][1]
    else:
        high = max(high for _, high in found.values())
    return low, max(low, high)
