"""What was measured, in numbers: spreads of several runs, and claims that are met or fall short."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

MET: Final = "met"
SHORT: Final = "short"
TOLD: Final = "-"
"""A figure to compare with; nobody promised anything of it."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure of several runs."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Take the figures of all runs."""
        return cls(tuple(values))

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return _short(self.values[0])
        return f"{_short(self.middle)} ({_short(min(self.values))} to {_short(max(self.values))})"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what it is, the figure, and at most how much it should be. Without values, why there are
    none."""

    group: str
    what: str
    unit: str
    spread: Spread
    goal: float | None = None
    why: str = ""

    @property
    def verdict(self) -> str:
        """Tell whether the median keeps to the goal."""
        if not self.spread.values:
            return self.why
        return TOLD if self.goal is None else MET if self.spread.middle <= self.goal else SHORT


def row(group: str, what: str, unit: str, values: Iterable[float], goal: float | None = None) -> Row:
    """Make a line of the figures of several runs."""
    found = Spread.of(values)
    return Row(group, what, unit, found, goal, "" if found.values else "nothing was measured")


def absent(group: str, what: str, why: str, goal: float | None = None) -> Row:
    """Make a line of what could not be measured here, and why."""
    return Row(group, what, "", Spread(()), goal, why)


def share(values: Sequence[float], part: float) -> float:
    """Return the value below which that part of all lies: the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "never"
    return (
        f"{value:.3f}"
        if abs(value) < 1
        else f"{value:.2f}"
        if abs(value) < 10
        else f"{value:,.0f}"
        if abs(value) >= 1000
        else f"{value:.1f}"
    )
