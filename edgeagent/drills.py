"""The rules of drills: how one may start, what keeps it going, how it is judged, and on what it ends at once. Pure.

    start ──▶ runs ──▶ complete · its time · stopped · nobody renews · a real alarm or run · a condition · no broker · …

There is one drill at a time, and none is ever taken up again. Once it has ended nothing of it can change but its notes.
Anyone may stop it, with or without a name and a reason: nothing that is missing may hold up a stop.

All times are epoch s by the real clock. Only what the drill lane tells bears the time of the drill's own clock, which
in a demonstration runs faster. Clocks are moments: a late call does first what an early one would have done. What a
refused command found due is kept and told by the next call; `next_due` asks for that at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from math import nextafter
from types import MappingProxyType
from typing import Final

from edgeagent import drilltexts as texts
from edgeagent.alarm import Change, Silence
from edgeagent.catalog import Text
from edgeagent.drill import BROKER, RENEWAL, Drill, DrillChange, DrillRefused, DrillVerb, End, Outcome, Verdict
from edgeagent.exercise import Exercise, sign_of
from edgeagent.procedures import LONGEST as LONGEST_TEXT
from edgeagent.readings import Readings
from edgeagent.run import RunChange
from edgeagent.runtexts import Words
from edgeagent.scenario import DrillSettings, Planned, Scenario
from edgeagent.steady import Start, Trouble, forbidden, grave

__all__ = ["Drills", "Start"]

NOTICE: Final = 60.0
"""s before its end for want of a renewal in which people are told of that."""
_LONGEST_ID: Final = 40
_GOOD: Final = frozenset({Verdict.MET, Verdict.HELD})
_VERBS: Final = {
    Verdict.MET: DrillVerb.MET,
    Verdict.LATE: DrillVerb.MET,
    Verdict.MISSED: DrillVerb.MISSED,
    Verdict.BROKEN: DrillVerb.BROKEN,
}
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_NONE: Final = Text("", "")


class Drills:
    """The drill of one agent: `current` while it runs, the one before it as `last`."""

    def __init__(self, settings: DrillSettings) -> None:
        self.settings = settings
        self.current: Drill | None = None
        self.last: Drill | None = None
        self._exercise = Exercise(Scenario("", 0, _NONE, _NONE, ""))
        self._words = Words()
        self._told: list[DrillChange] = []
        self._heard = 0.0
        """When the last thing happened: no change lies before the one before it."""
        self._warned = False
        self._away: float | None = None
        self._shown: set[int] = set()
        self._ids: set[str] = set()

    # -- what people ask --------------------------------------------------------------------------------------

    def start(
        self, asked: Start, scenario: Scenario, scope: Collection[str], devices: Collection[str],
        steady: Sequence[Trouble], now: float, local: datetime,
    ) -> list[DrillChange]:  # fmt: skip
        """Start a drill. `steady` is what speaks against one now, `local` the moment by the clock on the wall.

        Raises:
            DrillRefused: with every reason in its text, and the code of the first.
        """
        self._serve(now, inclusive=True)
        # One whose end is still to be told is on: nobody may hear of two at once.
        running = [self.current] if self.current is not None else [each.drill for each in self._told[-1:]]
        troubles = [*map(self._already, running), *forbidden(asked, scenario, self.settings, local), *steady]
        if troubles:
            raise DrillRefused(troubles[0].code, texts.listed([trouble.text for trouble in troubles]))
        duration = scenario.duration if asked.duration is None else asked.duration
        self._exercise, self._words = Exercise(scenario), Words(local.tzinfo)
        self._warned, self._away, self._shown, self._heard = False, None, set(), now
        drill = self.current = Drill(
            self._new_id(scenario.id, local), scenario, asked.owner.strip(), asked.confirmed_by.strip(), now,
            now + duration / asked.speed, now + RENEWAL, frozenset(scope), frozenset(devices), asked.speed,
            outcomes=tuple(Outcome() for _ in scenario.expects),
        )  # fmt: skip
        confirmed = texts.maybe(texts.CONFIRMED, by=drill.confirmed_by)
        ends = self._words.at(drill.ends)
        line = texts.line(drill, texts.STARTED, owner=drill.owner, confirmed=confirmed, ends=ends)
        self._tell(DrillVerb.STARTED, now, line, drill.owner)
        return self._answer(now)

    def renew(self, by: str, now: float, drill_id: str = "") -> list[DrillChange]:
        """Say that the drill is still led. `drill_id` makes sure that it is this one that is meant."""
        self._serve(now, inclusive=False)
        drill = self._named(drill_id)
        _checked(by, "-")
        drill = self.current = replace(drill, renew_by=now + RENEWAL)
        self._warned = False
        until = self._words.at(min(drill.renew_by, drill.ends))
        self._tell(DrillVerb.RENEWED, now, texts.line(drill, texts.RENEWED, by=by, until=until), by)
        return self._answer(now)

    def note(
        self, by: str, text: str, now: float, owner: str = "", due: str = "", drill_id: str = ""
    ) -> list[DrillChange]:
        """Write something down, of the last drill if none is on: what was seen, or what `owner` improves until `due`.

        `due` is a date, "2026-11-25".
        """
        self._serve(now, inclusive=False)
        known = [drill for drill in (self.current, self.last) if drill is not None]
        drill = next((drill for drill in known if drill_id in ("", drill.drill_id)), None)
        if drill is None:
            raise texts.refused("other-drill", drill=known[0].drill_id) if known else texts.refused("no-drill")
        _checked(by, text)
        owner, due = owner.strip(), due.strip()
        if bool(owner) is not bool(due):
            raise texts.refused("improvement-incomplete")
        if due and not _is_date(due):
            raise texts.refused("bad-date")
        template = texts.IMPROVEMENT if due else texts.NOTED
        said = texts.line(drill, template, by=by, text=text, owner=owner, due=due)
        self._tell(DrillVerb.NOTED, now, said, by, text, drill, {"owner": owner, "due": due} if due else {})
        return self._answer(now)

    def stop(self, by: str, reason: str, now: float, drill_id: str = "") -> list[DrillChange]:
        """Stop the drill at once. Anyone may, and one that has just ended by itself is stopped."""
        was = self.current
        self._serve(now, inclusive=False)
        if self.current is None and was is not None:
            return self._answer(now)
        self._named(drill_id)
        self._end(End.STOPPED, now, reason.strip(), by.strip())
        return self._answer(now)

    def _named(self, drill_id: str) -> Drill:
        drill = self.current
        if drill is None:
            raise texts.refused("no-drill")
        if drill_id not in ("", drill.drill_id):
            raise texts.refused("other-drill", drill=drill.drill_id)
        return drill

    def _already(self, drill: Drill) -> Trouble:
        ends = self._words.at(drill.ends)
        return Trouble(*texts.refusal("already-running", drill=drill.drill_id, owner=drill.owner, ends=ends))

    # -- what the live lane and the agent tell ----------------------------------------------------------------

    def live(self, changes: Sequence[Change], runs: Sequence[RunChange], now: float) -> list[DrillChange]:
        """Take what the live lane told: a grave alarm that people hear of, or a procedure under way, ends the drill.

        None of either was there when it began, so whatever is there now has come since.
        """
        self._serve(now, inclusive=False)
        drill = self.current
        if drill is not None and (changes or runs):
            scope = drill.scope | drill.devices
            alarms = (change.alarm for change in changes if change.alarm.suppression.kind is Silence.NONE)
            alarm = next((alarm for alarm in alarms if grave(alarm, scope)), None)
            run = next((change.run for change in runs if change.run.origin is None and not change.run.over), None)
            if alarm is not None:
                self._end(End.REAL_ALARM, now, alarm.alarm_id, what=alarm.short_text)
            elif run is not None:
                self._end(End.REAL_RUN, now, run.run_id, what=run.text)
        return self._answer(now)

    def conditions(
        self, view: Mapping[str, Readings], kinds: Mapping[str, str], now: float, changed: Iterable[str] | None = None
    ) -> list[DrillChange]:
        """End the drill on a condition of its scenario; only what is known to hold does.

        `view` are the readings of the live lane, `kinds` the kinds of the devices, `changed` those to look at, all if
        None.
        """
        self._serve(now, inclusive=False)
        drill = self.current
        if drill is not None and drill.scenario.aborts:
            for id in kinds if changed is None else changed:
                held = (abort for abort in drill.scenario.aborts if abort.kind == kinds.get(id))
                found = next((abort for abort in held if abort.when.holds(view.get(id, {})) is True), None)
                if found is not None:
                    said = f"{id}, {found.line}"
                    self._end(End.CONDITION, now, said, what=said)
                    break
        return self._answer(now)

    def broker(self, connected: bool, now: float) -> list[DrillChange]:
        """Take whether there is a session with the broker; without one nobody sees the drill, or can stop it."""
        self._serve(now, inclusive=False)
        if connected:
            self._away = None
        elif self._away is None:
            self._away = now
        return self._answer(now)

    def end(self, why: End, now: float, by: str = "", reason: str = "") -> list[DrillChange]:
        """End the drill, if one is on, for a reason that nobody here can see."""
        self._serve(now, inclusive=False)
        self._end(why, now, reason, by, what=reason)
        return self._answer(now)

    def found(self, drill: Drill, now: float) -> list[DrillChange]:
        """End a drill that was on when the agent died; what was due while it was dead did not happen."""
        if self.current is None and drill.ended is None:
            self._exercise, self.current, self._heard = Exercise(drill.scenario), drill, max(now, drill.started)
            self._ids.add(drill.drill_id)
            self._end(End.RESTART, now, watched=drill.started)
        return self._answer(now)

    # -- what the drill lane tells ----------------------------------------------------------------------------

    def drilled(self, changes: Sequence[Change], runs: Sequence[RunChange], now: float) -> list[DrillChange]:
        """Take what the drill lane told of the drill, with times of the drill's own clock, and judge it."""
        told: list[Change | RunChange] = [*changes, *runs]
        for change in sorted(told, key=lambda change: change.at):
            drill = self.current
            if drill is None:
                break
            at = min(drill.when(change.at - drill.started), now)
            self._serve(at, inclusive=False)
            self._judge(change, at)
        return self._answer(now)

    def _judge(self, change: Change | RunChange, at: float) -> None:
        drill, sign = self.current, sign_of(change)
        if drill is None:
            return
        self._heard = max(self._heard, at)
        if isinstance(change, RunChange):
            self._exercise.follow(change.run)
        if sign is not None:
            for number, outcome in list(self._exercise.answered(drill, sign, at)):
                self._settle(number, outcome, at)

    def _settle(self, number: int, outcome: Outcome, at: float) -> None:
        """Write down how an expectation stands now, and tell it."""
        drill = self.current
        if drill is None:
            return
        outcomes = (*drill.outcomes[:number], outcome, *drill.outcomes[number + 1 :])
        drill = self.current = replace(drill, outcomes=outcomes)
        expected = drill.scenario.expects[number]
        facts = {
            "expectation": number, "line": expected.line, "verdict": outcome.verdict.value, "target": expected.by,
            "actual": None if outcome.at is None else drill.moment(outcome.at), "of": outcome.of,
        }  # fmt: skip
        self._tell(_VERBS[outcome.verdict], at, texts.judged(drill, expected, outcome), outcome.by, facts=facts)

    def injected(self, due: Iterable[Planned], now: float) -> list[DrillChange]:
        """Note which injects are shown from now on; each is told once, with all its devices."""
        self._serve(now, inclusive=False)
        devices: dict[int, list[str]] = {}
        for planned in due:
            if planned.number not in self._shown:
                devices.setdefault(planned.number, []).append(planned.device)
        for number in sorted(devices):
            drill = self.current
            if drill is None:
                break
            self._shown.add(number)
            drill = self.current = replace(drill, done=len(self._shown))
            said, moment = drill.scenario.timeline[number].line, texts.clocked(drill.moment(now))
            line = texts.line(drill, texts.INJECTED, moment=moment, line=texts.bare(said))
            facts = {"number": number, "line": said, "devices": devices[number]}
            self._tell(DrillVerb.INJECTED, now, line, facts=facts)
        return self._answer(now)

    def failed(self, planned: Planned, why: str, now: float) -> list[DrillChange]:
        """Note that a device cannot show what was planned; what it really says stays."""
        self._serve(now, inclusive=False)
        drill = self.current
        if drill is not None:
            said = drill.scenario.timeline[planned.number].line
            line = texts.line(drill, texts.INJECT_FAILED, device=planned.device, line=said, why=why)
            facts = {"number": planned.number, "line": said, "devices": [planned.device]}
            self._tell(DrillVerb.INJECT_FAILED, now, line, reason=why, facts=facts)
        return self._answer(now)

    # -- clocks -----------------------------------------------------------------------------------------------

    def step(self, now: float) -> list[DrillChange]:
        """Do what is due by now. Tell first what the drill lane and the injects gave until then."""
        return self._answer(now)

    def next_due(self) -> float | None:
        """Return when something is due next, epoch s; None if nothing will be."""
        dues = [at for at, _, _ in self._events()]
        return min((*dues, *(change.at for change in self._told[:1])), default=None)

    def shift(self, delta: float) -> None:
        """Move all that runs along with a wall clock that stepped by `delta` s."""
        if self.current is not None:
            self.current = self.current.shifted(delta)
        self._heard += delta
        self._away = None if self._away is None else self._away + delta

    def _events(self) -> Iterator[tuple[float, int, Callable[[float], None]]]:
        """Give what will be due: when, its rank among those of one moment, and what is to be done then."""
        drill = self.current
        if drill is None:
            return
        if drill.renew_by < drill.ends and not self._warned:
            yield drill.renew_by - NOTICE, 0, self._warn
        for number, by in self._exercise.pending(drill):
            yield nextafter(by, float("inf")), 1, partial(self._settle, number, Outcome(Verdict.MISSED))
        if self._exercise.complete(drill):
            yield max(drill.when(self._exercise.shown), self._heard), 2, partial(self._end, End.COMPLETED)
        yield drill.ends, 3, partial(self._end, End.TIME)
        yield drill.renew_by, 4, partial(self._end, End.UNLED)
        if self._away is not None:
            yield self._away + BROKER, 5, partial(self._end, End.BROKER)

    def _serve(self, until: float, *, inclusive: bool) -> None:
        while (event := min(self._events(), key=lambda event: event[:2], default=None)) is not None:
            due, _, do = event
            if due > until or (due == until and not inclusive):
                return
            do(max(due, self._heard))

    def _warn(self, at: float) -> None:
        drill = self.current
        if drill is not None:
            self._warned = True
            line = texts.line(drill, texts.RENEW_DUE, until=self._words.at(drill.renew_by))
            self._tell(DrillVerb.RENEW_DUE, at, line)

    # -- the end, and what is told ----------------------------------------------------------------------------

    def _end(
        self, end: End, at: float, reason: str = "", by: str = "", what: Text | str = "", watched: float | None = None
    ) -> None:  # fmt: skip
        """End the drill; `watched` is until when it could be judged, the end if None."""
        drill = self.current
        if drill is None:
            return
        watched = at if watched is None else watched
        for number, due in list(self._exercise.pending(drill)):
            if due <= watched:
                self._settle(number, Outcome(Verdict.MISSED), at)
        drill = self.current or drill
        outcomes = self._exercise.final(drill, watched)
        at = max(at, self._heard)
        drill = replace(drill, outcomes=outcomes, ended=at, end=end, ended_by=by, reason=reason)
        self.current, self.last = None, drill
        why = texts.why(end, by, reason, what)
        good = sum(outcome.verdict in _GOOD for outcome in outcomes)
        template = texts.ENDED if outcomes else texts.ENDED_PLAIN
        line = texts.line(drill, template, why=why, good=good, all=len(outcomes))
        self._tell(DrillVerb.ENDED, at, line, by, reason, drill)

    def _tell(
        self, verb: DrillVerb, at: float, line: Text, by: str = "", reason: str = "", drill: Drill | None = None,
        facts: Mapping[str, object] = _NOTHING,
    ) -> None:  # fmt: skip
        drill = drill or self.current
        if drill is not None:
            self._heard = max(at, self._heard)
            self._told.append(DrillChange(verb, self._heard, drill, line, by, reason, facts))

    def _answer(self, now: float) -> list[DrillChange]:
        """Do what is due and return, once, all that happened."""
        self._serve(now, inclusive=True)
        told, self._told = self._told, []
        return told

    def _new_id(self, scenario: str, local: datetime) -> str:
        """Return an id that is free: outage-good-start-20261125-0210, with the local time."""
        number = 1
        while True:
            tail = f"-{local:%Y%m%d-%H%M}" + (f"-{number}" if number > 1 else "")
            id = scenario[: _LONGEST_ID - len(tail)].strip("-") + tail
            if id not in self._ids:
                self._ids.add(id)
                return id
            number += 1


def _checked(by: str, text: str) -> None:
    """Refuse what nobody says, or what says nothing."""
    if not by.strip():
        raise texts.refused("operator-missing")
    if not text.strip():
        raise texts.refused("text-missing")
    if max(len(by), len(text)) > LONGEST_TEXT:
        raise texts.refused("too-long")


def _is_date(word: str) -> bool:
    try:
        return date.fromisoformat(word).isoformat() == word
    except ValueError:
        return False
