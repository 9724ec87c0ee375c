"""Things to be looked at again at a time of their own, many thousands of them, at the cost of one timer.

Owns who is due when, to a grain. Nothing is ever taken out before it is due: whoever gets it back looks whether that
still matters. Knows no clock and no loop.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")

GRAIN: Final = 0.02
"""Times this close together, in s, are one."""


class Wheel(Generic[T]):
    """What is due, by the grain of time in which it is."""

    def __init__(self) -> None:
        self._ticks: dict[int, list[T]] = {}

    def add(self, item: T, when: float) -> float | None:
        """Keep an item until a grain after `when` at most; return that time when nothing else is due with it."""
        tick = int(when / GRAIN) + 1
        with_it = self._ticks.get(tick)
        if with_it is not None:
            with_it.append(item)
            return None
        self._ticks[tick] = [item]
        return tick * GRAIN

    def due(self, now: float) -> list[T]:
        """Take out what is due, in the order of its time."""
        ticks = sorted(tick for tick in self._ticks if tick * GRAIN <= now)
        return [item for tick in ticks for item in self._ticks.pop(tick)]

    @property
    def next(self) -> float | None:
        """When the next is due, None when nothing is."""
        return min(self._ticks) * GRAIN if self._ticks else None
