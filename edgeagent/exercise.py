"""What one drill waits for, and what came of it: the story of the drill lane, read as answers to expectations. Pure.

    OPEN ── it comes by its time ──▶ MET          a `never`: OPEN ── it comes ──▶ BROKEN
      │                                                        └─── the end, all was shown ──▶ HELD
      └── its time passes ──▶ MISSED ── it comes ──▶ LATE
                                                                  the end, before it could be told ──▶ UNJUDGED

An alarm comes when people are told of it: one that another explains, or that is shelved, does not. It is over whether
people are told of that or not. What counts is when a thing happened, not when it was heard of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from edgeagent.alarm import Change, Silence, Verb
from edgeagent.drill import Drill, Outcome, Verdict
from edgeagent.run import Run, RunChange, RunVerb
from edgeagent.scenario import Expectation, Scenario, What

_COMES: Final = frozenset(
    {Verb.RAISED, Verb.SEVERITY_CHANGED, Verb.UNSHELVED, Verb.UNSUPPRESSED, Verb.IN_SERVICE}
)  # fmt: skip
_RUNS: Final = {
    RunVerb.OPENED: What.RUN, RunVerb.ACKNOWLEDGED: What.ACK, RunVerb.STEP_DONE: What.STEP,
    RunVerb.RECOVERING: What.RECOVERED, RunVerb.CLOSED: What.CLOSED,
}  # fmt: skip
_IN_RUNS: Final = frozenset(_RUNS.values()) - {What.RUN}
"""What can come only while a run of the procedure is open."""
_UNSETTLED: Final = frozenset({Verdict.OPEN, Verdict.MISSED})


class Sign(NamedTuple):
    """Something that happened on the drill lane and may be expected, under each of its `names`."""

    what: What
    names: Iterable[str]
    of: str
    by: str
    step: str = ""


def sign_of(change: Change | RunChange) -> Sign | None:
    """Read a change as something that may be expected; None where it is nothing of the kind."""
    if isinstance(change, RunChange):
        what = _RUNS.get(change.verb)
        if what is None:
            return None
        step = change.step if what is What.STEP else ""
        return Sign(what, (change.run.procedure,), change.run.run_id, change.by, step)
    alarm = change.alarm
    names = dict.fromkeys((alarm.alarm_id, f"{alarm.resource}.{alarm.alarm_type_id}", alarm.alarm_type_id))
    if change.verb is Verb.CLEARED:
        return Sign(What.CLEARED, names, alarm.alarm_id, change.by)
    if change.verb not in _COMES or alarm.is_cleared or alarm.suppression.kind is not Silence.NONE:
        return None
    return Sign(What.ALARM, names, alarm.alarm_id, change.by)


class Exercise:
    """What a scenario waits for while it is played. `shown` is the moment when its timeline is over."""

    def __init__(self, scenario: Scenario) -> None:
        self._expects = scenario.expects
        self.shown = max((inject.at + inject.over for inject in scenario.timeline), default=0.0)
        self._wanted: dict[tuple[What, str, str], list[int]] = {}
        for number, expected in enumerate(scenario.expects):
            self._wanted.setdefault((expected.what, expected.name, expected.step), []).append(number)
        self._going: dict[str, set[str]] = {}

    def follow(self, run: Run) -> None:
        """Take over whether a run of the drill is open."""
        going = self._going.setdefault(run.procedure, set())
        if run.over:
            going.discard(run.run_id)
        else:
            going.add(run.run_id)

    def answered(self, drill: Drill, sign: Sign, at: float) -> Iterator[tuple[int, Outcome]]:
        """Give the expectations that a sign settles, by their number, each with its verdict."""
        for name in sign.names:
            for number in self._wanted.get((sign.what, name, sign.step), ()):
                if drill.outcomes[number].verdict in _UNSETTLED:
                    yield number, Outcome(self._verdict(drill, self._expects[number], at), at, sign.of, sign.by)

    @staticmethod
    def _verdict(drill: Drill, expected: Expectation, at: float) -> Verdict:
        if expected.never:
            return Verdict.BROKEN
        return Verdict.MET if at <= drill.when(expected.by) else Verdict.LATE

    def pending(self, drill: Drill) -> Iterator[tuple[int, float]]:
        """Give the expectations that have not come yet, by their number, each with when it is missed, epoch s."""
        for number, (expected, outcome) in enumerate(zip(self._expects, drill.outcomes, strict=True)):
            if outcome.verdict is Verdict.OPEN and not expected.never:
                yield number, drill.when(expected.by)

    def complete(self, drill: Drill) -> bool:
        """Tell whether nothing is left to wait for once the timeline is over.

        A missed expectation is waited for as long as it can come: of a step, an acknowledgement or the end of a run it
        can not when all runs of its procedure are over. Open runs are waited for, because people are at work in them.
        Where nothing is expected to come nothing tells that it is over, and a talk round a table takes its time.
        """
        if any(self._going.values()) or all(expected.never for expected in self._expects):
            return False
        pairs = zip(self._expects, drill.outcomes, strict=True)
        return not any(self._awaited(expected, outcome) for expected, outcome in pairs if not expected.never)

    def _awaited(self, expected: Expectation, outcome: Outcome) -> bool:
        if outcome.verdict is Verdict.MISSED:
            return expected.what not in _IN_RUNS or expected.name not in self._going
        return outcome.verdict is Verdict.OPEN

    def final(self, drill: Drill, at: float) -> tuple[Outcome, ...]:
        """Return how all expectations stand when the drill ends.

        What never should come has held when all was shown and nothing else was left open: a drill that is cut off
        proves nothing by what did not come.
        """
        whole = at >= drill.when(self.shown) and not any(self.pending(drill))
        return tuple(
            replace(outcome, verdict=Verdict.HELD if expected.never and whole else Verdict.UNJUDGED)
            if outcome.verdict is Verdict.OPEN
            else outcome
            for expected, outcome in zip(self._expects, drill.outcomes, strict=True)
        )
