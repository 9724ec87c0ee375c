"""Phases: rows that only seem to be there, and the plain point that is made of all. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from edgeagent.catalog import Kind, Point
from edgeagent.readings import Missing, Quality, Raw, Reading

PHASES: Final = ("l1", "l2", "l3")
UNREAD: Final = frozenset[Raw](set(Missing) - {Missing.ABSENT, Missing.NULL})
"""What says nothing about whether an object is there."""


def drop_phantoms(readings: dict[str, Reading], now: float, origin: str | None) -> None:
    """Drop rows 2 and 3 that a card shows for a single-phase unit (NetMan, Phoenixtec: 0 or -1).

    Only both together while row 1 of the output is alive: one dead row beside a living one is a lost phase.
    Another side is dropped with the output's rows when its own are as empty: a unit with three phases in and
    one out keeps its input. A card that tells nothing of its output is judged by its input.
    """
    volts = [row for id, row in readings.items() if id.startswith("output.voltage.")]
    judge = "output" if any(row.reason not in (Missing.ABSENT, Missing.NULL) for row in volts) else "input"
    if _empty(readings, judge, ("l1",)) or not _empty(readings, "output", PHASES[1:]):
        return
    for side in ("output", "input", "bypass"):
        if _empty(readings, side, PHASES[1:]):
            for id in _rows_of(readings, side, PHASES[1:]):
                readings[id] = Reading.bad("not-fitted", now, origin)


def _rows_of(readings: Mapping[str, Reading], side: str, phases: tuple[str, ...]) -> list[str]:
    return [id for id in readings if id.startswith(side + ".") and id.endswith(phases)]


def _empty(readings: Mapping[str, Reading], side: str, phases: tuple[str, ...]) -> bool:
    # Cards repeat the frequency in rows without a phase.
    rows = [readings[id] for id in _rows_of(readings, side, phases) if ".frequency." not in id]
    return all(row.value in (0, None) and row.reason not in UNREAD for row in rows)


_AGGREGATES: Final[Mapping[str, Callable[[Iterable[float]], float]]] = {"min": min, "max": max, "sum": sum}


def aggregate(kind: Kind, readings: dict[str, Reading]) -> None:
    """Make each plain point of its phases, where the device gives none itself."""
    for id, point in kind.points.items():
        if point.aggregate is None or (id in readings and readings[id].value is not None):
            continue
        made = aggregate_of(point, [readings[f"{id}.{phase}"] for phase in PHASES if f"{id}.{phase}" in readings])
        if made is not None:
            readings[id] = made


def aggregate_of(point: Point, rows: Sequence[Reading]) -> Reading | None:
    """Make one plain point of its phases; None where there are none."""
    if point.aggregate is not None and (good := _good(rows)):
        first = rows[0]
        return Reading(round(_AGGREGATES[point.aggregate](good), 6), first.time, first.quality, None, first.origin)
    fitted = [row for row in rows if row.reason not in ("not-fitted", Missing.ABSENT, Missing.NULL)]
    values = [row.value for row in fitted if isinstance(row.value, (int, float))]
    if point.aggregate is not None and values and len(values) == len(fitted):
        worst = next((row for row in fitted if row.quality is not Quality.GOOD), fitted[0])
        value = round(_AGGREGATES[point.aggregate](values), 6)
        return Reading(value, worst.time, worst.quality, worst.reason, worst.origin)
    return next((row for row in fitted if row.value is None), rows[0]) if rows else None


def _good(rows: Sequence[Reading]) -> list[float]:
    """Return the numbers of the rows if nothing is to be said of any, as nearly always; else none."""
    values: list[float] = []
    for row in rows:
        value = row.value
        if row.reason is not None or row.quality is not Quality.GOOD or not isinstance(value, (int, float)):
            return []
        values.append(value)
    return values
