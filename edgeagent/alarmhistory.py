"""What the journal says of alarms: when each stood, who acknowledged it. Pure.

Owns how a line of the journal is seen by those who only read it, and the reading of its "alarm" lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from edgeagent.alarm import AlarmState, Verb
from edgeagent.catalog import Severity, Text
from edgeagent.survived import read


class Line(Protocol):
    """A line of the journal, as `store.Entry` is one."""

    @property
    def kind(self) -> str:
        """Whether it is of a run or of an alarm."""

    @property
    def time(self) -> float:
        """When it happened, epoch s."""

    @property
    def body(self) -> Mapping[str, Any]:
        """What was written."""

    @property
    def seq(self) -> int:
        """Its place in the journal."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch in which an alarm stood; no start where the journal begins later, no end while it stands."""

    start: float | None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """What became of one alarm of the run. `severity` is the gravest that it had."""

    alarm_id: str
    text: Text
    severity: Severity
    spans: tuple[Span, ...]
    acked: float | None = None
    acked_by: str = ""
    announced: float | None = None

    @property
    def resource(self) -> str:
        """The resource, which an alarm's id begins with."""
        return self.alarm_id.partition(".")[0]


def alarm_lines(lines: Iterable[Line], ids: frozenset[str] | None, until: float) -> Iterator[AlarmLine]:
    """Make one line an alarm of all that the journal says of it up to a moment; all alarms where no ids are given."""
    told: dict[str, AlarmLine] = {}
    for line in lines:
        body = line.body
        id = str(body.get("alarm_id", ""))
        if (ids is not None and id not in ids) or line.time > until:
            continue
        try:
            severity, text = Severity(body["severity"]), read(Text, body["text"])
        except (KeyError, ValueError):
            continue
        had = told.get(id, AlarmLine(id, text, severity, ()))
        told[id] = _after(had, str(body.get("verb")), line.time, severity, text, body)
    yield from (line for line in told.values() if line.spans)


def _after(had: AlarmLine, verb: str, at: float, severity: Severity, text: Text, body: Mapping[str, Any]) -> AlarmLine:
    announced = body.get("announced")
    if had.announced is None and isinstance(announced, (int, float)):
        had = replace(had, announced=float(announced))
    stands = bool(had.spans) and had.spans[-1].end is None
    back = verb == Verb.UNSUPPRESSED and body.get("state") in (AlarmState.UNACK, AlarmState.ACKED)
    if (verb == Verb.RAISED or back) and not stands:
        return replace(had, text=text, severity=_graver(had.severity, severity), spans=(*had.spans, Span(at)))
    if verb == Verb.SEVERITY_CHANGED:
        spans = had.spans if stands else (*had.spans, Span(None))
        return replace(had, text=text, severity=_graver(had.severity, severity), spans=spans)
    if verb == Verb.CLEARED or (verb == Verb.CLOSED and stands):  # closed as it stands: nothing looks at it any more
        last = had.spans[-1] if stands else Span(None)
        return replace(had, spans=(*(had.spans[:-1] if stands else had.spans), replace(last, end=at)))
    if verb == Verb.ACKNOWLEDGED and had.acked is None:
        return replace(had, acked=at, acked_by=str(body.get("by", "")), spans=had.spans or (Span(None),))
    return had


def _graver(one: Severity, other: Severity) -> Severity:
    return max(one, other, key=lambda severity: severity.rank)
