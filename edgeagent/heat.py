"""When a room is too warm: minutes until its limit, from how fast it warms. Pure.

Owns one sensor's recent past and the choice among the sensors of an area. Room sensors come first; the return air
of a cooling unit stands in where an area has no room sensor that can be read, as long as air moves through the unit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from edgeagent.readings import Readings
from edgeagent.rules import parse
from edgeagent.trend import STALE, Heard, Series, number, silent

TEMPERATURE: Final = "temperature"
RETURN: Final = "return.temperature"
_MOVING: Final = parse("fan or running or state = on")
HVAC_POINTS: Final = _MOVING.points | {RETURN}
_SAMPLES, _GAP = 180, 10.0
_WINDOW: Final = 600.0
_LEAST: Final = 180.0
"""s of history without which a slope is none."""
_RISES: Final = 0.2 / 600
"""K/s below which a room is not said to warm."""


class NoHeat(StrEnum):
    """Why there is no forecast for a room."""

    STALE = "stale"
    """No sensor of it can be read."""
    IDLE = "idle"
    """Only the return air of a unit is measured, and no air moves through it."""
    NO_LIMIT = "no-limit"
    SHORT = "short"
    """It was not watched for long enough."""
    STEADY = "steady"
    """It does not clearly warm."""


@dataclass(frozen=True, slots=True)
class Heat:
    """How warm one area is, and in how many s, `low` to `high`, it reaches its limit; 0 when it is over it.

    `slope` is K in 10 minutes. `low` and `high` are None where `gap` says why. `age` is how many s ago the sensor was
    last read. Temperatures in Cel.
    """

    area: str
    sensor: str
    point: str
    now: float | None = None
    limit: float | None = None
    slope: float | None = None
    low: float | None = None
    high: float | None = None
    age: float | None = None
    gap: NoHeat | None = None
    origin: str | None = None

    @property
    def urgency(self) -> tuple[bool, float, float]:
        """Order the soonest first, then the warmest."""
        return self.low is None, self.low or 0.0, -(self.now if self.now is not None else -273.0)


class Sensor:
    """One temperature of one device: point `temperature`, an instance of it, or a unit's return air."""

    def __init__(self, device: str, point: str, area: str, limit: float | None) -> None:
        self.device, self.point, self.area, self.limit = device, point, area, limit
        self._series = Series(_SAMPLES, _GAP)
        self._value: float | None = None
        self._moves = True
        self._heard = Heard()
        self._origin: str | None = None

    @property
    def room(self) -> bool:
        """Tell whether it hangs in the room itself."""
        return self.point != RETURN

    def take(self, readings: Readings, now: float, observed: float | None = None) -> None:
        """Take what the sensor says. `observed` is when it last answered, if somebody knows."""
        reading = readings.get(self.point)
        value = number(reading)
        self._heard.mute = value is None
        self._heard.look(now, observed)
        self._origin = None if reading is None else reading.origin
        if silent(reading):
            return
        self._moves = self.room or _MOVING.holds(readings) is True
        if value is None or not self._moves:
            self._forget()
        elif value != self._value:
            self._series.add(now, value)
            self._value = value

    def _forget(self) -> None:
        """Begin anew: what comes after a hole is no part of the slope before it."""
        self._value = None
        self._series.clear()

    def heat(self, now: float, observed: float | None = None) -> Heat:
        """Forecast when the limit is reached."""
        self._heard.look(now, observed)
        age = self._heard.age(now)
        blank = Heat(self.area, self.device, self.point, limit=self.limit, age=age, origin=self._origin)
        if not self._moves:
            return replace(blank, gap=NoHeat.IDLE)
        if self._value is None or age is None or age > STALE:
            self._forget()
            return replace(blank, gap=NoHeat.STALE)
        found = replace(blank, now=self._value)
        trend = self._series.trend(now - _WINDOW, now)
        if trend is not None and trend.span >= _LEAST:
            found = replace(found, slope=round(trend.slope * 600, 2))
        if self.limit is None:
            return replace(found, gap=NoHeat.NO_LIMIT)
        room = self.limit - self._value
        if room <= 0:
            return replace(found, low=0.0, high=0.0)
        if trend is None or trend.span < _LEAST:
            return replace(found, gap=NoHeat.SHORT)
        if trend.slope < _RISES or trend.slow <= 0:
            return replace(found, gap=NoHeat.STEADY)
        return replace(found, low=max(0.0, room / trend.fast - age), high=room / trend.slow)

    def shift(self, delta: float) -> None:
        """Move along with a wall clock that stepped by `delta` s."""
        self._series.shift(delta)
        self._heard.shift(delta)


def worst(found: Iterable[tuple[Sensor, Heat]]) -> Heat | None:
    """Choose what is told of one area: what can be read before what cannot, the room before the return air."""
    ranked = sorted(
        found,
        key=lambda pair: (pair[1].now is None, not pair[0].room, pair[1].urgency, pair[0].device, pair[0].point),
    )
    return ranked[0][1] if ranked else None
