"""The record of one fault (故障记录): what a run leaves in the journal, and what can be told from it. Pure.

Owns the journal's "run" lines, written by `journal_of` and read by `read`, and the record that `of` makes of them and
of the "alarm" lines beside them. Each run line holds the run as it was then, and the lines at which a run turns hold
the words of its procedure too. So a record needs no files, and what a trimmed journal still has is enough for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edgeagent import survived
from edgeagent.alarmhistory import AlarmLine, Line, alarm_lines
from edgeagent.catalog import Text
from edgeagent.procedure import Phase, Procedure, Role, Ticked
from edgeagent.run import Run, RunChange, RunVerb, StepRun, StepState
from edgeagent.wording import SYSTEM

FORM: Final[Mapping[str, Text]] = {
    "nature": Text("Nature of the fault", "故障性质"),
    "cause": Text("Cause", "故障原因"),
    "responsible": Text("Who is responsible", "责任人 / 责任部门"),
    "follow-up": Text("Follow-up", "后续处理"),
    "prevention": Text("What would prevent the next one", "预防措施"),
}
"""The fields of the record that people fill in, in its order. A run's form may have others."""
MOST: Final = 200
"""Ids of one list that a line between two turns holds: a fault of 5,000 seats must not cost 5,000² of them."""
PROVEN: Final = 12
"""Readings that a line holds for each step."""
TURNS: Final = frozenset({RunVerb.OPENED, RunVerb.RECOVERING, RunVerb.RELAPSED, RunVerb.CLOSED, RunVerb.ABORTED})
"""Where a run turns: these lines hold all ids, and the procedure's words."""


@dataclass(frozen=True, slots=True)
class StepWords:
    """What a procedure says of one step. `due` and `opens` count from the start of its phase, s."""

    id: str
    text: Text
    role: Role
    phase: Phase = Phase.RESPONSE
    ticked: Ticked = Ticked.PERSON
    due: float | None = None
    opens: float | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What a procedure says, as far as a record tells it. `levels` are the texts of its fault levels."""

    text: Text
    owner: Role
    steps: tuple[StepWords, ...] = ()
    levels: Mapping[int, Text] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Happening:
    """A run's line read back: the change, and the procedure's words where the line has them.

    `counts` says how many alarms and affected resources there were, however many the line names.
    """

    change: RunChange
    words: Words | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody was reminded, or told of what was not done."""

    at: float
    text: Text
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step: what was asked, by when, and what became of it. `start` is when its clock began.

    `met` is None where there is no target, while it may still be met, and for what was left out in time or by somebody.
    `late` is by how many s, so far where it is not done. `overdue` is when that was noticed.
    """

    words: StepWords
    run: StepRun
    start: float | None
    met: bool | None
    late: float
    overdue: float | None = None
    reminders: int = 0
    escalations: tuple[Told, ...] = ()

    @property
    def lapsed(self) -> bool:
        """Tell whether nobody did it before the fault was over."""
        return self.run.state is StepState.SKIPPED and self.run.by == SYSTEM

    @property
    def target(self) -> float | None:
        """In how many s it should be done."""
        if self.run.due is not None and self.start is not None:
            return self.run.due - self.start
        return self.words.due

    @property
    def actual(self) -> float | None:
        """In how many s it was done."""
        done = self.run.state is StepState.DONE and self.run.at is not None and self.start is not None
        return self.run.at - self.start if done and self.run.at is not None and self.start is not None else None


@dataclass(frozen=True, slots=True)
class Times:
    """How long it took from the onset of the fault, s; None for what did not happen or is not known."""

    detect: float | None = None
    """Until the first of its alarms was raised."""
    announce: float | None = None
    """Until the feed got the first of them out."""
    open: float | None = None
    """Until the procedure was running."""
    ack: float | None = None
    """Until somebody said: I have it."""
    recover: float | None = None
    close: float | None = None


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """All that is to be told of one run. `run` is how it was last, with all ids that any of its lines named.

    What failed, its `summary`, is what was said when most of its alarms stood: the last of them to clear is not it.

    `affected` and `alarm_count` are how many there were; `trimmed` says that the journal begins in the middle.
    """

    run: Run
    words: Words
    as_of: float
    steps: tuple[StepLine, ...]
    story: tuple[RunChange, ...]
    alarms: tuple[AlarmLine, ...]
    times: Times
    affected: int
    alarm_count: int
    trimmed: bool

    @property
    def over(self) -> bool:
        """Tell whether the run has ended."""
        return self.run.over

    @property
    def level(self) -> Text | None:
        """The words of its fault level."""
        return None if self.run.level is None else self.words.levels.get(self.run.level)

    @property
    def restored(self) -> bool | None:
        """Tell whether its level's time to restore was met; None while it may be, and where there is none."""
        by, until = self.run.restore_by, self.run.recovered
        if by is None or (until is None and (self.as_of <= by or self.over)):
            return None
        return until is not None and until <= by

    @property
    def escalations(self) -> tuple[RunChange, ...]:
        """Whom the agent told of what was not done."""
        return tuple(change for change in self.story if change.verb is RunVerb.ESCALATED)


def journal_of(change: RunChange, procedure: Procedure | None = None) -> dict[str, Any]:
    """Write a change as a line of the journal; `procedure` is what the run carries out, for its words."""
    run, turn = change.run, change.verb in TURNS
    kept = replace(run, steps=tuple(replace(step, evidence=step.evidence[:PROVEN]) for step in run.steps))
    if not turn:
        kept = replace(kept, alarms=run.alarms[:MOST], standing=run.standing[:MOST], affected=run.affected[:MOST])
    body = {
        "verb": change.verb.value,
        "run_id": run.run_id,
        "procedure": run.procedure,
        "version": run.version,
        "step": change.step,
        "by": change.by,
        "reason": change.reason,
        "roles": list(change.roles),
        "text": {"en": change.text.en, "zh": change.text.zh},
        "counts": {"alarms": len(run.alarms), "affected": len(run.affected)},
        "run": survived.written(kept),
    }
    if turn and procedure is not None:
        body["words"] = survived.written(_words_of(procedure))
    return body


def read(line: Line) -> Happening | None:
    """Read a run's line back; None for one that is none, or that nobody can read."""
    body = line.body
    try:
        change = RunChange(
            RunVerb(body["verb"]), survived.read(Run, body["run"]), line.time, survived.read(Text, body["text"]),
            str(body["by"]), str(body["step"]), str(body["reason"]), tuple(map(str, body["roles"])),
        )  # fmt: skip
        words = survived.read(Words, body["words"]) if "words" in body else None
        counts = {str(name): int(count) for name, count in dict(body.get("counts", {})).items()}
    except (KeyError, TypeError, ValueError):
        return None
    return Happening(change, words, counts)


def of(lines: Iterable[Line], run_id: str, as_of: float) -> FaultRecord | None:
    """Make the record of a run, as of a moment; None where the journal knows nothing of it.

    `lines` may hold other runs and any alarms: what belongs to the run is found here.
    """
    found = sorted(lines, key=lambda line: line.seq)
    happenings = [
        happening
        for line in found
        if line.kind == "run" and line.body.get("run_id") == run_id and (happening := read(line)) is not None
    ]
    if not happenings:
        return None
    story = tuple(happening.change for happening in happenings)
    run = _gathered(story)
    words = next((each.words for each in reversed(happenings) if each.words is not None), _wordless(run))
    own = {id for change in story for id in change.run.alarms}
    end = min(as_of, run.ended) if run.ended is not None else as_of
    alarms = tuple(alarm_lines((line for line in found if line.kind == "alarm"), frozenset(run.alarms), end))
    return FaultRecord(
        run=run,
        words=words,
        as_of=as_of,
        steps=tuple(_steps(run, words, story, end)),
        story=story,
        alarms=alarms,
        times=_times(run, story, tuple(alarm for alarm in alarms if alarm.alarm_id in own)),
        affected=max(len(run.affected), *(each.counts.get("affected", 0) for each in happenings)),
        alarm_count=max(len(run.alarms), *(each.counts.get("alarms", 0) for each in happenings)),
        trimmed=story[0].verb is not RunVerb.OPENED,
    )


def _words_of(procedure: Procedure) -> Words:
    return Words(
        procedure.text,
        procedure.owner,
        tuple(
            StepWords(step.id, step.text, step.role, step.phase, step.ticked, step.due, step.opens)
            for step in procedure.steps
        ),
        {level.id: level.text for level in procedure.levels},
    )


def _wordless(run: Run) -> Words:
    """Make do without the procedure's words: a step is called by its id."""
    return Words(run.text, Role.LEADER, tuple(_step_words(step.id) for step in run.steps))


def _step_words(id: str) -> StepWords:
    return StepWords(id, Text(id, id), Role.SYSTEM)


def _gathered(story: tuple[RunChange, ...]) -> Run:
    """Return the run as it was last, with every id that any line named: between two turns a line is cut short."""
    full = max(reversed(story), key=lambda change: len(change.run.standing)).run
    alarms = dict.fromkeys(id for change in story for id in (*change.run.alarms, *change.run.beside))
    affected = dict.fromkeys(id for change in story for id in change.run.affected)
    return replace(story[-1].run, alarms=tuple(alarms), affected=tuple(affected), text=full.text, summary=full.summary)


def _steps(run: Run, words: Words, story: tuple[RunChange, ...], now: float) -> Iterator[StepLine]:
    known = {step.id: step for step in words.steps}
    for step in run.steps:
        spoken = known.get(step.id, _step_words(step.id))
        own = [change for change in story if change.step == step.id]
        met, late = _judged(step, now)
        yield StepLine(
            spoken, step, _start(run, step, spoken), met, late,
            next((change.at for change in own if change.verb is RunVerb.STEP_OVERDUE), None),
            max(step.reminded, sum(change.verb is RunVerb.REMINDED for change in own)),
            tuple(Told(each.at, each.text, each.roles) for each in own if each.verb is RunVerb.ESCALATED),
        )  # fmt: skip


def _start(run: Run, step: StepRun, words: StepWords) -> float | None:
    """Return when a step's clock began; before it did, when its phase began."""
    if step.start is not None:
        return step.start
    if step.due is not None and words.due is not None:
        return step.due - words.due
    return run.onset if words.phase is Phase.RESPONSE else run.recovered


def _judged(step: StepRun, now: float) -> tuple[bool | None, float]:
    if step.due is None or (step.state is StepState.SKIPPED and step.by != SYSTEM):
        return None, 0.0
    if step.settled:
        late = max(0.0, (step.due if step.at is None else step.at) - step.due)
        return (late == 0.0 if step.state is StepState.DONE or late else None), late
    late = max(0.0, now - step.due)
    return (False, late) if late else (None, 0.0)


def _times(run: Run, story: tuple[RunChange, ...], alarms: tuple[AlarmLine, ...]) -> Times:
    raised = [span.start for alarm in alarms for span in alarm.spans if span.start is not None]
    announced = [alarm.announced for alarm in alarms if alarm.announced is not None]
    acked = [change.at for change in story if change.verb is RunVerb.ACKNOWLEDGED]
    acked += [] if acked or run.acked is None else [run.acked]

    def since(at: float | None) -> float | None:
        return None if at is None else max(0.0, at - run.onset)

    return Times(
        since(min(raised, default=None)), since(min(announced, default=None)), since(run.started),
        since(min(acked, default=None)), since(run.recovered), since(run.ended),
    )  # fmt: skip
