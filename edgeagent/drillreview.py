"""The record of one drill: what can be told of it from the journal alone. Pure.

Runs and alarms of a drill have the bodies of real ones, so they are told by the same code as those, each kind apart.
All times are by the drill's own clock, which is the true one but in a demonstration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from edgeagent import faultrecord
from edgeagent.alarm import AlarmState, Verb
from edgeagent.alarmhistory import AlarmLine, Line, alarm_lines
from edgeagent.catalog import Text
from edgeagent.drill import DrillVerb, Outcome
from edgeagent.drillrecord import ALARM, RUN, Declaration, Happening, Held, InjectWords, brief, improves, read_all
from edgeagent.drilltexts import bare
from edgeagent.faultrecord import FaultRecord, StepLine
from edgeagent.run import StepState
from edgeagent.scenario import Do, Expectation, What

_REAL: Final[Mapping[str, str]] = {ALARM: "alarm", RUN: "run"}
"""The kind that a line of a drill would have if it were real."""
_ALARMS: Final = frozenset({What.ALARM, What.CLEARED})
_SOON: Final = 60.0
"""s of the scenario within which each device is polled, and shows what is due."""
_BACK: Final = frozenset({Do.RELEASE, Do.ANSWERS})
"""What means only devices of which something is shown before."""
_HARMLESS: Final = frozenset({Do.RELEASE, Do.ANSWERS, Do.REMOVE})
"""Injects that take something back: they cause no alarm."""
_COMES: Final = frozenset({
    Verb.RAISED, Verb.SEVERITY_CHANGED, Verb.UNSHELVED, Verb.UNSUPPRESSED, Verb.IN_SERVICE,
})  # fmt: skip
_TOLD: Final = frozenset({AlarmState.UNACK, AlarmState.ACKED})
"""States of an alarm that stands and of which people are told."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Devices that could not be made to show an inject, and why."""

    devices: tuple[str, ...]
    text: Text
    reason: str


@dataclass(frozen=True, slots=True)
class InjectLine:
    """One inject: what was planned, and what became of it. `shown` is by the drill's clock, None before it is.

    `count` is at how many devices, however many `devices` names.
    """

    number: int
    words: InjectWords
    shown: float | None = None
    devices: tuple[str, ...] = ()
    count: int = 0
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedLine:
    """One expectation and what came of it. `actual` is the moment at which it came, s of the scenario."""

    expectation: Expectation
    outcome: Outcome
    actual: float | None

    @property
    def late(self) -> float:
        """By how many s of the scenario it came late."""
        late = self.actual is not None and not self.expectation.never
        return max(0.0, self.actual - self.expectation.by) if late and self.actual is not None else 0.0


@dataclass(frozen=True, slots=True)
class DrilledAlarm:
    """One alarm of the drill. `inject` is the one that it tells of.

    `heard` tells whether people were told of it; what another alarm explains they were not. `named` tells whether an
    expectation names it.
    """

    line: AlarmLine
    inject: InjectLine | None
    heard: bool
    named: bool

    @property
    def raised(self) -> float | None:
        """When it was raised first, epoch s."""
        return self.line.spans[0].start

    @property
    def detect(self) -> float | None:
        """How many s from the inject until it was raised."""
        shown = None if self.inject is None else self.inject.shown
        return None if shown is None or self.raised is None else max(0.0, self.raised - shown)

    @property
    def announce(self) -> float | None:
        """How many s from then until the feed got it out."""
        announced = self.line.announced
        return None if announced is None or self.raised is None else max(0.0, announced - self.raised)

    @property
    def ack(self) -> float | None:
        """How many s from then until somebody acknowledged it."""
        return None if self.line.acked is None or self.raised is None else max(0.0, self.line.acked - self.raised)


@dataclass(frozen=True, slots=True)
class DrillRecord:
    """All that is to be told of one drill, its notes after the end too. `runs` are told as those of real faults are.

    `trimmed` says that the journal begins in the middle.
    """

    held: Held
    as_of: float
    injects: tuple[InjectLine, ...]
    expected: tuple[ExpectedLine, ...]
    alarms: tuple[DrilledAlarm, ...]
    runs: tuple[FaultRecord, ...]
    story: tuple[Happening, ...]
    trimmed: bool

    @property
    def declared(self) -> Declaration:
        """What was declared."""
        return self.held.declared

    @property
    def until(self) -> float:
        """Up to when it is told, by the drill's clock, epoch s."""
        return self.declared.clock(self.as_of if self.held.ended is None else self.held.ended.at)

    @property
    def main(self) -> FaultRecord | None:
        """The run that the drill was held for."""
        return next((each for each in self.runs if each.run.procedure == self.declared.procedure), None)

    @property
    def first(self) -> DrilledAlarm | None:
        """The alarm by which the fault was found: the first that was expected, else the first that people heard."""
        heard = [alarm for alarm in self.alarms if alarm.heard and alarm.raised is not None]
        return next((alarm for alarm in heard if alarm.named), heard[0] if heard else None)

    def passed(self, inject: InjectLine) -> bool:
        """Tell whether its moment came and no device was asked to show it: nothing at this site can.

        What takes back from the same devices goes with what nobody showed: a drill may end at that very moment.
        """
        if inject.shown is not None or inject.failures:
            return False
        return self.declared.started + inject.words.at + _SOON < self.until or self._idle(inject)

    def _idle(self, inject: InjectLine) -> bool:
        if inject.words.do not in _BACK:
            return False
        who = bare(inject.words.line).rpartition(" ")[0]
        before = [
            each for each in self.injects if each.words.do not in _BACK and bare(each.words.line).startswith(f"{who} ")
        ]
        return bool(before) and all(map(self.passed, before))

    @property
    def undone(self) -> Iterator[tuple[FaultRecord, StepLine]]:
        """The steps that were missed or skipped, but those of which the scenario says that they never come."""
        never = {(each.name, each.step) for each in self.declared.expects if each.never and each.what is What.STEP}
        for record in self.runs:
            for step in record.steps:
                if (record.run.procedure, step.words.id) in never:
                    continue
                if step.run.state is StepState.SKIPPED or (step.met is False and not step.run.settled):
                    yield record, step

    @property
    def strays(self) -> tuple[DrilledAlarm, ...]:
        """The alarms that people heard of and that no expectation names."""
        return tuple(alarm for alarm in self.alarms if alarm.heard and not alarm.named)

    @property
    def stray_runs(self) -> tuple[FaultRecord, ...]:
        """The runs that neither the scenario nor an expectation names."""
        named = {self.declared.procedure, *(each.name for each in self.declared.expects if each.what not in _ALARMS)}
        return tuple(record for record in self.runs if record.run.procedure not in named)

    @property
    def notes(self) -> tuple[Happening, ...]:
        """What was noted, improvements aside."""
        return tuple(each for each in self.story if each.verb is DrillVerb.NOTED and not improves(each))

    @property
    def improvements(self) -> tuple[Happening, ...]:
        """What is to be done better, with `owner` and `due` among the facts."""
        return tuple(each for each in self.story if each.verb is DrillVerb.NOTED and improves(each))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A line of a drill under the kind that a real one has."""

    kind: str
    time: float
    body: Mapping[str, Any]
    seq: int


def of(lines: Iterable[Line], drill_id: str, as_of: float) -> DrillRecord | None:
    """Make the record of a drill, as of a moment; None where the journal knows nothing of it.

    `lines` may hold other drills and real faults: what belongs to the drill is found here.
    """
    own = sorted((line for line in lines if line.body.get("drill") == drill_id), key=lambda line: line.seq)
    story = tuple(happening for happening in read_all(own) if happening.at <= as_of)
    found = brief(story)
    if found is None:
        return None
    declared = found.declared
    until = declared.clock(as_of if found.ended is None else found.ended.at)
    # Its end closes its runs, a moment later than it: those lines belong to them.
    told = [
        _Seen(_REAL[line.kind], line.time, line.body, line.seq)
        for line in own
        if line.kind in _REAL and line.time <= declared.clock(as_of)
    ]
    injects = tuple(_injects(declared, story))
    run_ids = dict.fromkeys(str(line.body.get("run_id")) for line in told if line.kind == "run")
    return DrillRecord(
        held=found,
        as_of=as_of,
        injects=injects,
        expected=tuple(
            ExpectedLine(each, outcome, None if outcome.at is None else declared.moment(outcome.at))
            for each, outcome in zip(declared.expects, found.outcomes, strict=True)
        ),
        alarms=tuple(_alarms(told, injects, declared, until)),
        runs=tuple(record for id in run_ids if (record := faultrecord.of(told, id, until)) is not None),
        story=story,
        trimmed=story[0].verb is not DrillVerb.STARTED,
    )


def names(expectation: Expectation, alarm_id: str) -> bool:
    """Tell whether an expectation is about an alarm: it names its id, or its type at any resource."""
    resource, _, rest = alarm_id.partition(".")
    type = rest.partition(".")[0]
    return expectation.what in _ALARMS and expectation.name in (alarm_id, f"{resource}.{type}", type)


def _injects(declared: Declaration, story: Iterable[Happening]) -> Iterator[InjectLine]:
    numbers = {words.line: number for number, words in reversed(list(enumerate(declared.injects)))}
    found = {number: InjectLine(number, words) for number, words in enumerate(declared.injects)}
    for each in story:
        number = each.facts.get("number", numbers.get(str(each.facts.get("line"))))
        if number not in found or each.verb not in (DrillVerb.INJECTED, DrillVerb.INJECT_FAILED):
            continue
        had, devices = found[number], tuple(map(str, each.facts.get("devices", ())))
        if each.verb is DrillVerb.INJECT_FAILED:
            found[number] = replace(had, failures=(*had.failures, Failure(devices, each.text, each.reason)))
            continue
        shown = declared.clock(each.at) if had.shown is None else had.shown
        count = had.count + int(each.facts.get("count", len(devices)))
        found[number] = replace(had, shown=shown, devices=(*had.devices, *devices), count=count)
    yield from found.values()


def _alarms(
    lines: Sequence[Line], injects: Sequence[InjectLine], declared: Declaration, until: float
) -> Iterator[DrilledAlarm]:
    heard = {
        str(line.body.get("alarm_id"))
        for line in lines
        if line.kind == "alarm" and line.body.get("verb") in _COMES and line.body.get("state") in _TOLD
    }
    for line in alarm_lines((line for line in lines if line.kind == "alarm"), None, until):
        named = any(names(each, line.alarm_id) for each in declared.expects)
        yield DrilledAlarm(line, _cause(line, injects, declared), line.alarm_id in heard, named)


def _cause(alarm: AlarmLine, injects: Iterable[InjectLine], declared: Declaration) -> InjectLine | None:
    """Find the inject that an alarm tells of: the last one at its own device before it.

    What is no device of the drill, as the mains or a group, tells of the last one at any. A line that counts more
    devices than it names may be about any of them.
    """
    raised, resource = alarm.spans[0].start, alarm.resource
    before = [
        each
        for each in injects
        if each.shown is not None and raised is not None and each.shown <= raised and each.words.do not in _HARMLESS
    ]
    if resource in declared.devices:
        before = [each for each in before if resource in each.devices or each.count > len(each.devices)]
    return max(before, key=lambda each: (each.shown, -each.number), default=None)
