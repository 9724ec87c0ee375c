"""The life of one run of a procedure: its alarms, its steps, its clocks, one change at a time. Pure.

    OPEN ── all its alarms stay away for `settle` ──▶ RECOVERING ── every step settled, nothing stands ──▶ CLOSED
     ▲                                                    │
     └──────────────── an alarm is back ──────────────────┘      a person may close it, once it is over, or abort it

A step waits until its phase, the steps before it and its `enabled_when` ask for it, and is then ready until a person
or readings say that it is done, or somebody skips it with a reason. An overdue step holds up nothing that waits for it.
When the fault is back, what readings can prove is asked for anew; what people have done in the response stays done.

Clocks are moments: what is due follows from the run's own times, so a late service does what an early one would have
done, in the same order, each deadline once; of reminders that were missed only the last is told. No change of a run
lies before the one before it. What starts a run and what commands may ask is in `procedures.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import nextafter
from typing import Final, TypeAlias

from edgeagent import runtexts as texts
from edgeagent.alarm import Alarm
from edgeagent.catalog import Text
from edgeagent.procedure import Escalation, Phase, Procedure, Proof, Role, Step, Ticked
from edgeagent.proofs import Waits, Watch, Watching
from edgeagent.readings import Readings
from edgeagent.run import Clocks, Evidence, Run, RunChange, RunState, RunVerb, StepRun, StepState, moved
from edgeagent.runtexts import Words
from edgeagent.scopes import Scopes
from edgeagent.wording import ROLES

SYSTEM: Final = "system"
_EARLY: Final = 60.0
"""s after the opening in which an alarm with an earlier onset may still set the clock back."""
_Event: TypeAlias = tuple[float, int, Callable[[float], None]]
"""A moment, its rank among those of the same moment, and what is to be done then."""


@dataclass(slots=True)
class Scene:
    """What is known when runs are judged."""

    scopes: Scopes
    words: Words
    watching: Watching
    view: Mapping[str, Readings]


class Live:
    """One run under way."""

    def __init__(self, run: Run, definition: Procedure, clocks: Clocks, scene: Scene) -> None:
        self.run, self.definition, self.clocks = run, definition, clocks
        self.told: list[RunChange] = []
        self.touched = True
        self.steps: Mapping[str, Step] = {step.id: step for step in definition.steps}
        self._scene = scene
        self.waits = Waits(run.run_id, scene.watching, self._devices)
        for step in run.steps:
            if step.state is StepState.READY and not run.over:
                self._await_proof(self.steps[step.id])

    # -- clocks -----------------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """Return the moment of what is due next, epoch s; None if nothing will be."""
        return min((at for at, _, _ in self._events()), default=None)

    def serve(self, until: float, *, inclusive: bool) -> None:
        """Do, in order, what fell due before a moment, or up to it."""
        last = until if inclusive else nextafter(until, 0.0)
        while True:
            due = min(self._events(last), key=lambda event: event[:2], default=None)
            if due is None or due[0] > last:
                return
            due[2](max(due[0], self.clocks.last))
            self.advance(self.clocks.last)

    def _events(self, until: float = 0.0) -> Iterator[_Event]:
        run, clocks = self.run, self.clocks
        if run.over:
            return
        if clocks.cleared is not None and run.state is RunState.OPEN:
            yield clocks.cleared + self.definition.settle, 0, partial(self._recover, clocks.cleared)
        for step in run.steps:
            if (proven := self.waits.proven(step.id)) is not None and not self._held_back(step):
                yield proven, 1, self.advance
            if step.state is StepState.READY:
                yield from self._step_events(step, self.steps[step.id], until)
        level = self.definition.fault_level(run.level)
        if level and run.state is RunState.OPEN and clocks.cleared is None and run.escalated < len(level.escalations):
            escalation = level.escalations[run.escalated]
            yield clocks.base + escalation.after, 3, partial(self._escalate, "", escalation)
        if run.ack_until is not None:
            yield run.ack_until, 5, self._lapse

    def _step_events(self, step: StepRun, says: Step, until: float) -> Iterator[_Event]:
        if step.due is not None and not step.overdue:
            yield step.due, 2, partial(self._overdue, step.id)
        if step.escalated < len(says.escalations):
            escalation = says.escalations[step.escalated]
            yield (step.start or 0.0) + escalation.after, 3, partial(self._escalate, step.id, escalation)
        if says.remind is not None and step.ready is not None:
            late = int((until - step.ready) // says.remind)  # of those that were missed only the last is told
            count = max(step.reminded + 1, late)
            yield step.ready + count * says.remind, 4, partial(self._remind, step.id, count)

    def shift(self, delta: float) -> None:
        """Move all its times along with a wall clock that stepped by `delta` s."""
        self.run, self.clocks = self.run.shifted(delta), self.clocks.shifted(delta)
        self.waits.shift(delta)
        self.touched = True

    # -- alarms -----------------------------------------------------------------------------------------------

    def open(self, at: float, reason: str, spare: Text | None) -> None:
        """Begin: ask for the first steps and tell those who have them."""
        self._reckon()
        self._arm(at, quiet=True)
        line = self._scene.words.opened(self.run, reason, spare)
        self.tell(RunVerb.OPENED, at, line, by=self.run.opened_by, reason=reason, roles=self.called)

    def joins(self, alarm: Alarm, at: float, level: int | None) -> None:
        """Take in an alarm that stands, for the first time or again, and what it hits by now."""
        run, id = self.run, alarm.alarm_id
        affected = tuple(dict.fromkeys((*run.affected, alarm.resource, *alarm.impacted_resource)))
        if affected != run.affected:
            self.run = replace(run, affected=affected)
            self.touched = True
            self.waits.look_again()
        if id in run.standing:
            return
        onset = at if alarm.onset is None else alarm.onset
        alarms = tuple(dict.fromkeys((*run.alarms, id)))
        self.run = replace(self.run, alarms=alarms, standing=(*run.standing, id))
        self.clocks = replace(self.clocks, cleared=None)
        if run.state is RunState.RECOVERING:
            self._relapse(max(onset, run.recovered or onset), at, alarm)
            return
        if onset < run.onset and at - run.started <= _EARLY and self.clocks.base == run.onset:
            self._date_back(onset)
        self.tell(RunVerb.ALARM_JOINED, at, self.line(texts.JOINED, alarm=alarm.short_text), roles=self.called)
        if level is not None and not self.clocks.chosen and self.definition.graver(level, self.run.level):
            self.level(level, SYSTEM, "", at)

    def accompany(self, alarm: Alarm, at: float) -> None:
        """Tell of an alarm that matters to the run and is none of its own."""
        if alarm.alarm_id not in self.run.beside:
            self.run = replace(self.run, beside=(*self.run.beside, alarm.alarm_id))
            self.tell(RunVerb.ALARM_JOINED, at, self.line(texts.BESIDE, alarm=alarm.short_text), roles=self.called)

    def clears(self, alarm_id: str, text: Text, at: float) -> None:
        """Let go of an alarm that is over."""
        own = alarm_id in self.run.standing
        if not own and alarm_id not in self.run.beside:
            return
        standing, beside = (tuple(id for id in ids if id != alarm_id) for ids in (self.run.standing, self.run.beside))
        self.run = replace(self.run, standing=standing, beside=beside)
        self.touched = True
        if self.run.over:
            return
        self.tell(RunVerb.ALARM_CLEARED, at, self.line(texts.CLEARED, alarm=text), roles=self.called)
        if own and not standing:
            self.clocks = replace(self.clocks, cleared=self.clocks.last)

    def entitle(self, text: Text, summary: Text) -> None:
        """Name the run by what is known of its fault by now."""
        if (text, summary) != (self.run.text, self.run.summary):
            self.run = replace(self.run, text=text, summary=summary)
            self.touched = True

    def _recover(self, cleared: float, at: float) -> None:
        """Turn to the recovery; what only made sense while the fault lasted is not asked for any more."""
        says = self.steps
        lapsed = [
            step.id
            for step in self.run.steps
            if says[step.id].phase is Phase.RESPONSE and not step.settled and not says[step.id].over
            if says[step.id].lapses or (step.state is StepState.WAITING and says[step.id].enabled_when)
        ]
        self.run = replace(self.run, state=RunState.RECOVERING, phase=Phase.RECOVERY, recovered=cleared)
        self._arm(at, quiet=True)
        took = texts.lasting(cleared - self.run.onset)
        line = self.line(texts.RECOVERING, at=self._scene.words.at(cleared), took=took)
        self.tell(RunVerb.RECOVERING, at, line, roles=self.called)
        for id in lapsed:
            self.skip(id, at, SYSTEM, "fault over")
        for step in self.run.steps:
            if says[step.id].over and not step.settled:
                self.finish(step.id, at, SYSTEM, "", tuple(map(Evidence.cleared, self.run.alarms)))

    def _relapse(self, base: float, at: float, alarm: Alarm) -> None:
        """Begin again with what readings prove and with what comes after the fault."""
        for step in self.run.steps:
            says = self.steps[step.id]
            untouched = step.state is StepState.WAITING or (step.state is StepState.SKIPPED and step.by == SYSTEM)
            if untouched or says.phase is Phase.RECOVERY or says.provable:
                self.waits.end(step.id)
                self.run = self.run.put(StepRun(step.id))
        self.run = replace(self.run, state=RunState.OPEN, phase=Phase.RESPONSE, recovered=None, escalated=0)
        self.clocks = replace(self.clocks, base=base)
        self._reckon()
        self.waits.look_again()
        self._arm(at, quiet=True)
        self.tell(RunVerb.RELAPSED, at, self.line(texts.RELAPSED, summary=alarm.short_text), roles=self.called)

    def _date_back(self, onset: float) -> None:
        """Count from an earlier moment: another witness saw the fault sooner."""
        delta = onset - self.run.onset
        for each in self.run.steps:
            start, opens, due = (moved(at, delta) for at in (each.start, each.opens, each.due))
            self.run = self.run.put(replace(each, start=start, opens=opens, due=due))
        self.run = replace(self.run, onset=onset)
        self.clocks = replace(self.clocks, base=onset)
        self._reckon()

    # -- steps ------------------------------------------------------------------------------------------------

    def judge(self, watches: Iterable[Watch], now: float) -> None:
        """Take over what readings say by now."""
        for watch in watches:
            watch.move(now)
        self.advance(now)

    def advance(self, at: float) -> None:
        """Ask for what has become due to be asked for, tick what is proven, end what is complete."""
        before = None
        while before is not self.run and not self.run.over:
            before = self.run
            self._arm(at)
            for step in before.steps:
                if step.state is StepState.READY and self._proven(step.id, at):
                    self.finish(step.id, at, SYSTEM, "", self.waits.evidence(step.id, self._scene.view))
            self._complete(at)

    def _arm(self, at: float, *, quiet: bool = False) -> None:
        """Make ready what nothing holds back; watch for what must be proven first."""
        for step in self.run.steps:
            says = self.steps[step.id]
            if step.state is not StepState.WAITING or self._held_back(step):
                continue
            if says.enabled_when:
                self.waits.begin(step.id, says.enabled_when)
                if not self._proven(step.id, at):
                    continue
            self.waits.end(step.id)
            recovered = self.run.recovered if says.phase is Phase.RECOVERY else None
            start = self.clocks.base if recovered is None else recovered
            due, opens = (None if delay is None else start + delay for delay in (says.due, says.opens))
            ready = max(at, self.clocks.last)
            self.run = self.run.put(StepRun(step.id, StepState.READY, ready=ready, opens=opens, due=due, start=start))
            self._await_proof(says)
            if not quiet:
                until = Text("", "") if due is None else texts.filled(texts.BY, due=self._scene.words.at(due))
                said = texts.AWAITED if says.role is Role.SYSTEM else texts.READY
                line = self.line(said, role=ROLES[self.definition.whose(says)], step=says.text, by=until)
                self.tell(RunVerb.STEP_READY, at, line, step.id, roles=(self.definition.whose(says),))

    def _held_back(self, step: StepRun) -> bool:
        """Tell whether its phase or steps before it hold a step back, whatever readings prove."""
        says = self.steps[step.id]
        early = says.phase is Phase.RECOVERY and self.run.phase is Phase.RESPONSE
        return step.state is StepState.WAITING and (early or not all(map(self._out_of_the_way, says.needs)))

    def _await_proof(self, says: Step) -> None:
        if says.ticked is not Ticked.PERSON and says.done_when:
            self.waits.begin(says.id, says.done_when)

    def _proven(self, step: str, at: float) -> bool:
        proven = self.waits.proven(step)
        return proven is not None and proven <= at

    def _devices(self, proof: Proof) -> tuple[str, ...]:
        return self._scene.scopes.devices(proof, self.run.scope, self.run.affected)

    def _out_of_the_way(self, need: str) -> bool:
        step = self.run.step(need)
        return step is None or step.settled or step.overdue

    def _complete(self, at: float) -> None:
        run, words = self.run, self._scene.words
        response = [step for step in run.steps if self.steps[step.id].phase is Phase.RESPONSE]
        if run.over or run.standing:
            return
        if run.state is RunState.RECOVERING and all(step.settled for step in run.steps):
            onset, recovered = words.at(run.onset), words.at(run.recovered)
            took = texts.lasting((run.recovered or at) - run.onset)
            line = self.line(texts.CLOSED, took=took, onset=onset, recovered=recovered)
            self.end(RunState.CLOSED, at, line)
        elif run.state is RunState.OPEN and not run.alarms and response and all(step.settled for step in response):
            self._recover(max(at, self.clocks.last), at)  # opened by a person, and nothing else tells its end

    def finish(self, id: str, at: float, by: str, note: str, evidence: tuple[Evidence, ...] = ()) -> None:
        """Tick a step."""
        self._settle(id, at, StepState.DONE, by, note, evidence)
        said = texts.READ if by == SYSTEM else texts.DONE
        line = self.line(said, step=self.steps[id].text, by=by, note=texts.noted(note))
        self.tell(RunVerb.STEP_DONE, at, line, id, by, note, (self.definition.owner,))

    def skip(self, id: str, at: float, by: str, reason: str) -> None:
        """Do without a step."""
        self._settle(id, at, StepState.SKIPPED, by, reason)
        itself = self.steps[id].role is Role.SYSTEM
        said = texts.SKIPPED if by != SYSTEM else texts.UNAWAITED if itself else texts.LAPSED
        line = self.line(said, step=self.steps[id].text, by=by, reason=reason)
        self.tell(RunVerb.STEP_SKIPPED, at, line, id, by, reason, (self.definition.owner,))

    def _settle(
        self, id: str, at: float, state: StepState, by: str, note: str, evidence: tuple[Evidence, ...] = ()
    ) -> None:
        self.waits.end(id)
        at = max(at, self.clocks.last)
        self.run = self.run.put(replace(self.run.the(id), state=state, at=at, by=by, note=note, evidence=evidence))

    def _overdue(self, id: str, at: float) -> None:
        step, says = self.run.the(id), self.steps[id]
        self.run = self.run.put(replace(step, overdue=True))
        line = self.line(texts.OVERDUE, step=says.text, due=self._scene.words.at(step.due))
        self.tell(RunVerb.STEP_OVERDUE, at, line, id, roles=(self.definition.whose(says), self.definition.owner))

    def _remind(self, id: str, count: int, at: float) -> None:
        step, says = self.run.the(id), self.steps[id]
        self.run = self.run.put(replace(step, reminded=count))
        since = texts.lasting(at - (at if step.ready is None else step.ready))
        line = self.line(texts.REMINDED, role=ROLES[self.definition.whose(says)], open=since, step=says.text)
        self.tell(RunVerb.REMINDED, at, line, id, roles=(self.definition.whose(says),))

    def _escalate(self, id: str, escalation: Escalation, at: float) -> None:
        if id:
            self.run = self.run.put(replace(self.run.the(id), escalated=self.run.the(id).escalated + 1))
        else:
            self.run = replace(self.run, escalated=self.run.escalated + 1)
        self.tell(RunVerb.ESCALATED, at, self.line(texts.AS_IT_IS, text=escalation.text), id, roles=(escalation.role,))

    # -- people -----------------------------------------------------------------------------------------------

    def level(self, level: int, by: str, reason: str, at: float) -> None:
        """Set the fault level, whose clock counts from the same moment as the old one's."""
        self.run = replace(self.run, level=level, escalated=0)
        self.clocks = replace(self.clocks, chosen=by != SYSTEM)
        self._reckon()
        found, until = self.definition.fault_level(level), self._scene.words.at(self.run.restore_by)
        text = found.text if found is not None else Text("", "")
        line = self.line(texts.LEVELLED, level=level, text=text, restore=until)
        self.tell(RunVerb.LEVEL_CHANGED, at, line, by=by, reason=reason, roles=self.called)

    def ack(self, by: str, at: float) -> None:
        """Note that somebody has taken it on."""
        at = max(at, self.clocks.last)
        self.run = replace(self.run, acked_by=by, acked=at, ack_until=at + self.definition.ack_lapse)
        self.tell(RunVerb.ACKNOWLEDGED, at, self.line(texts.ACK, by=by), by=by, roles=(self.definition.owner,))

    def _lapse(self, at: float) -> None:
        by, ago = self.run.acked_by, texts.lasting(self.definition.ack_lapse)
        self.run = replace(self.run, acked_by="", acked=None, ack_until=None)
        self.tell(RunVerb.ACK_LAPSED, at, self.line(texts.ACK_LAPSED, by=by, ago=ago), roles=self.called)

    def end(self, state: RunState, at: float, line: Text, by: str = SYSTEM, reason: str = "") -> None:
        """End the run."""
        at = max(at, self.clocks.last)
        recovered = self.clocks.cleared if self.run.recovered is None else self.run.recovered
        self.run = replace(self.run, state=state, ended=at, recovered=recovered, ack_until=None)
        for id in self.steps:
            self.waits.end(id)
        verb = RunVerb.CLOSED if state is RunState.CLOSED else RunVerb.ABORTED
        self.tell(verb, at, line, by=by, reason=reason, roles=self.definition.roles)

    # -- telling ----------------------------------------------------------------------------------------------

    def line(self, template: Text, **words: Text | str | float) -> Text:
        """Fill a line about this run."""
        return self._scene.words.say(self.run, template, **words)

    def tell(
        self, verb: RunVerb, at: float, line: Text, step: str = "", by: str = SYSTEM, reason: str = "",
        roles: tuple[Role, ...] = (),
    ) -> None:  # fmt: skip
        """Tell a change. What anybody does is progress, and an acknowledgement lives on by it."""
        at = max(at, self.clocks.last)
        if self.run.ack_until is not None and (by != SYSTEM or verb is RunVerb.STEP_DONE):
            self.run = replace(self.run, ack_until=at + self.definition.ack_lapse)
        self.clocks = replace(self.clocks, last=at)
        self.touched = True
        self.told.append(RunChange(verb, self.run, at, line, by, step, reason, tuple(dict.fromkeys(roles))))

    @property
    def called(self) -> tuple[Role, ...]:
        """Those who have something to do now, the owner first."""
        ready = (self.steps[step.id] for step in self.run.steps if step.state is StepState.READY)
        return tuple(dict.fromkeys((self.definition.owner, *map(self.definition.whose, ready))))

    def _reckon(self) -> None:
        level = self.definition.fault_level(self.run.level)
        self.run = replace(self.run, restore_by=None if level is None else self.clocks.base + level.restore)
