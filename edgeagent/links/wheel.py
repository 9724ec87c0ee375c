"""Things to be looked at again at a time of their own, many thousands of them, at the cost of one timer.

Owns who is due when, to a grain. Nothing is taken out when it no longer matters: it is passed over later, and nobody is
woken for it. Knows no clock and no loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

GRAIN: Final = 0.02
"""Times this close together, in s, are one."""


class Wheel(Generic[T]):
    """What is due, by the grain of time in which it is. `matters` tells whether an item still does."""

    def __init__(self, matters: Callable[[T], bool]) -> None:
        self._matters = matters
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

    def due(self, now: float) -> Iterator[T]:
        """Take out what is due; give what of it still matters when its turn comes, in the order of its time."""
        ticks = sorted(tick for tick in self._ticks if tick * GRAIN <= now)
        return filter(self._matters, [item for tick in ticks for item in self._ticks.pop(tick)])

    def next(self) -> float | None:
        """Return when the next is due that matters, None when nothing does; forget what is due before it."""
        for tick in sorted(self._ticks):
            if any(map(self._matters, self._ticks[tick])):
                return tick * GRAIN
            del self._ticks[tick]
        return None
