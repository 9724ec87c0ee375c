"""What was last said of one device's readings, and the body of what is said next. Pure: no clock, no I/O.

Between two messages mostly a number or two move. So what is said of a device is looked at as a whole only when
something else than good values changed; else only the values are read anew. `payloads.device_state` is the slow way,
and says the same. Very many of these are kept: one holds the readings that it told of and nothing made from them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf
from typing import Any, Final

import orjson

from edgeagent.catalog import Kind
from edgeagent.messages import Mode, dump, stamp
from edgeagent.payloads import device_state
from edgeagent.readings import Missing, Quality, Reading

_NOT_THERE: Final = frozenset({Missing.ABSENT.value, "not-fitted"})
"""Reasons of points that a device does not have: they would only fill the message."""
_ALL_GOOD: Final[Mapping[str, Any]] = {}


class Points(dict[str, tuple[float, str]]):
    """Deadband, 0 for none, and unit, "" for none, of the points of a kind; learnt as they are met."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self._kind = kind
        self._shapes: dict[tuple[tuple[str, ...], tuple[str, ...]], _Shape] = {}

    def __missing__(self, id: str) -> tuple[float, str]:
        point = self._kind.point(id)
        known = self[id] = (0.0, "") if point is None else (point.deadband, point.unit or "")
        return known

    def shape(self, readings: Mapping[str, Reading]) -> _Shape:
        """Return what devices with these points, of which the same are there, have in common."""
        hidden = tuple(point for point, reading in readings.items() if reading.reason in _NOT_THERE)
        key = tuple(readings), hidden
        if key not in self._shapes:
            self._shapes[key] = _Shape(self, *key)
        return self._shapes[key]


class _Shape:
    """What alike devices share: their points in order, which of them are not shown, and the units of the others."""

    __slots__ = ("at", "hidden", "known", "points", "units")

    def __init__(self, known: Points, points: tuple[str, ...], hidden: Collection[str]) -> None:
        self.known, self.points, self.hidden = known, points, hidden
        self.at = {point: index for index, point in enumerate(points)}
        units = {point: unit for point in points if point not in hidden and (unit := known[point][1])}
        self.units = orjson.Fragment(orjson.dumps(units))


class Statement:
    """What is said of one device under `topic`; `due` is when it is said again, epoch s."""

    __slots__ = ("_exercise", "_last", "_newest", "_quality", "_readings", "_shape", "due", "topic")

    def __init__(self, topic: str) -> None:
        self.topic, self.due = topic, 0.0
        self._readings: Mapping[str, Reading] = {}
        self._shape: _Shape | None = None
        self._last: tuple[Reading, ...] = ()
        self._newest = 0.0
        self._quality: Mapping[str, Any] = {}
        self._exercise: str | None = None

    def told(self, point: str) -> Reading | None:
        """Return the reading of a point that was said last, None if there was none."""
        index = None if self._shape is None else self._shape.at.get(point)
        return None if index is None else self._last[index]

    def body(self, readings: Mapping[str, Reading], known: Points, now: float, observed: float | None) -> bytes:
        """Say all readings of the device, whose mapping only grows, and remember it; `now` is epoch s."""
        shape = self._shape
        if shape is None or not self._goes_on(shape, readings, known):
            shape = self._begin(readings, known, now)
        payload: dict[str, Any] = dict(zip(shape.points, [reading.value for reading in self._last], strict=True))
        for point in shape.hidden:
            del payload[point]
        payload["units"], payload["quality"] = shape.units, self._quality
        payload["time"] = time = stamp(self._newest)
        payload["observed"] = time if observed == self._newest else None if observed is None else stamp(observed)
        if self._exercise is not None:
            payload["lane"], payload["exercise_id"] = Mode.DRILL, self._exercise
        return dump(payload)

    def _goes_on(self, shape: _Shape, readings: Mapping[str, Reading], known: Points) -> bool:
        """Take the readings if only good values changed since the last time; else tell that they were not taken."""
        last = self._last
        if readings is not self._readings or known is not shape.known:
            return False
        if not len(shape.hidden) < len(last) == len(readings):
            return False
        now = tuple(readings.values())
        changed = [(before, after) for before, after in zip(last, now, strict=True) if before is not after]
        newest = self._newest if not changed else -inf
        for before, after in changed:
            if before.reason is not None or after.reason is not None or before.origin != after.origin:
                return False
            if before.quality is not Quality.GOOD or after.quality is not Quality.GOOD:
                return False
            newest = max(newest, after.time)
        if newest < self._newest:
            return False  # the newest may be gone, by a clock that was set back
        self._last, self._newest = now, newest
        return True

    def _begin(self, readings: Mapping[str, Reading], known: Points, now: float) -> _Shape:
        """Look at all readings."""
        shape = self._shape = known.shape(readings)
        self._readings, self._last = readings, tuple(readings.values())
        shown = {point: reading for point, reading in readings.items() if point not in shape.hidden}
        self._newest = max((reading.time for reading in shown.values()), default=now)
        said = device_state(shown, {}, self._newest, None)
        self._quality, self._exercise = said["quality"] or _ALL_GOOD, said.get("exercise_id")
        return shape
