"""A drill beside the last one of its scenario, and beside the real faults of its procedure: their times. Pure.

Real figures come of real runs alone and a drill's of that drill alone: neither is ever counted into the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from edgeagent.catalog import Text
from edgeagent.drillreview import DrillRecord
from edgeagent.faultrecord import FaultRecord

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
    """One time, s: in this drill, in the last one, and the median of `count` real faults. `step` is empty but for one.

    None stands for what did not happen, or is not known.
    """

    id: str
    text: Text
    now: float | None
    before: float | None
    real: float | None
    count: int
    step: str = ""


_DETECT: Final = Text("detected (from the inject)", "发现（自注入起）")
_TIMES: Final = (
    ("ack", Text("acknowledged", "受理")),
    ("recover", Text("recovered", "恢复")),
    ("close", Text("closed", "结束")),
)


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
    ack, *rest = [_time(id, text, main, old, real) for id, text in _TIMES]
    steps = [_step(line.words.id, line.words.text, main, old, real) for line in main.steps]
    rows = (detect, ack, *steps, *rest)
    return tuple(row for row in rows if not row.now is row.before is row.real is None)


def actual(record: FaultRecord | None, step: str) -> float | None:
    """Return in how many s a step of a run was done."""
    lines = () if record is None else record.steps
    return next((line.actual for line in lines if line.words.id == step), None)


def _time(id: str, text: Text, main: FaultRecord, old: FaultRecord | None, real: Iterable[FaultRecord]) -> Compared:
    def of(record: FaultRecord | None) -> float | None:
        found: float | None = None if record is None else getattr(record.times, id)
        return found

    return Compared(id, text, of(main), of(old), *_median(map(of, real)))


def _step(id: str, text: Text, main: FaultRecord, old: FaultRecord | None, real: Iterable[FaultRecord]) -> Compared:
    times = (actual(each, id) for each in real)
    return Compared(f"step/{id}", text, actual(main, id), actual(old, id), *_median(times), step=id)


def _median(times: Iterable[float | None]) -> tuple[float | None, int]:
    known = [time for time in times if time is not None]
    return (median(known) if known else None), len(known)
