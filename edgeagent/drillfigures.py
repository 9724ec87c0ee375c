"""A drill beside the last one of its scenario, and beside the real faults of its procedure: their times. Pure.

Real figures come of real runs alone and a drill's of that drill alone: neither is ever counted into the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from edgeagent.catalog import Text
from edgeagent.drillreview import DrillRecord
from edgeagent.faultrecord import FaultRecord
from edgeagent.run import RunState

REAL: Final = 5
"""Real runs, the newest, that a drill is compared with."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A drill with what it is compared with: the one before it of the same scenario, the newest real runs."""

    record: DrillRecord
    before: DrillRecord | None = None
    real: tuple[FaultRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """One time, s: in this drill, in the last one, and the median of `count` real faults.

    None stands for what did not happen, or is not known.
    """

    id: str
    text: Text
    now: float | None
    before: float | None
    real: float | None
    count: int


_DETECT: Final = Text("detected (from the inject)", "发现（自注入起）")


def compared(found: Judgement) -> tuple[Compared, ...]:
    """Set the times of a drill beside those before it; nothing where its clocks were not true or it had no run."""
    record, before = found.record, found.before
    main = record.main
    if main is None or record.declared.speed != 1.0:
        return ()
    last = None if before is None or before.declared.speed != 1.0 else before
    old = None if last is None else last.main
    real = [each for each in found.real if each.run.origin is None][-REAL:]
    first, earlier = record.first, None if last is None else last.first
    detect = Compared(
        "detect", _DETECT, None if first is None else first.detect, None if earlier is None else earlier.detect, None, 0
    )
    ack, *rest = [_row(id, text, of, main, old, real) for id, text, of in _TIMES]
    steps = [
        _row(f"step/{line.words.id}", line.words.text, partial(actual, line.words.id), main, old, real)
        for line in main.steps
    ]
    rows = (detect, ack, *steps, *rest)
    return tuple(row for row in rows if not row.now is row.before is row.real is None)


def closed(record: FaultRecord) -> float | None:
    """Return in how many s from its onset a run was closed by people; the end of a drill aborts what is open."""
    return record.times.close if record.run.state is RunState.CLOSED else None


def actual(step: str, record: FaultRecord) -> float | None:
    """Return in how many s a step of a run was done."""
    return next((line.actual for line in record.steps if line.words.id == step), None)


def _row(
    id: str, text: Text, of: Callable[[FaultRecord], float | None], main: FaultRecord, old: FaultRecord | None,
    real: Iterable[FaultRecord],
) -> Compared:  # fmt: skip
    known = [time for each in real if (time := of(each)) is not None]
    return Compared(id, text, of(main), None if old is None else of(old), median(known) if known else None, len(known))


_TIMES: Final[tuple[tuple[str, Text, Callable[[FaultRecord], float | None]], ...]] = (
    ("ack", Text("acknowledged", "受理"), lambda record: record.times.ack),
    ("recover", Text("recovered", "恢复"), lambda record: record.times.recover),
    ("close", Text("closed", "结束"), closed),
)
