"""The alarm list: which alarms to judge when, in which order to tell what changed, what operators ask of it.

Whether a condition is there is in `detector.py`, what happens to one alarm in `lifecycle.py` and, with the table
of its states, in `entry.py`; floods and first-out in `flood.py`. Pure: no clock, no await, no I/O; `now` is epoch s.

Order is the product: timers that ran out come before what new readings say, and a step is told in the order that
`roster.py` gives it. Commands are steps of their own: an acknowledgement that was given before a re-raise is told
before it, and one that comes after it is refused unless it knows of it.

A step costs what changed: rules are found by (resource, point), timers in a heap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import msgspec

from edgeagent.alarm import (
    Alarm,
    AlarmState,
    Change,
    Measured,
    OperatorState,
    Refused,
    Rule,
    Ruled,
    Settings,
    Silence,
    Suppression,
    Verb,
)
from edgeagent.detector import begins
from edgeagent.entry import State, closed
from edgeagent.flood import FLOOD
from edgeagent.lifecycle import Live
from edgeagent.readings import Readings
from edgeagent.roster import Roster
from edgeagent.rulebook import Rulebook
from edgeagent.survived import taken

__all__ = [
    "Alarm",
    "AlarmState",
    "Alarms",
    "Change",
    "Measured",
    "OperatorState",
    "Refused",
    "Rule",
    "Settings",
    "Silence",
    "Suppression",
    "Verb",
]

_NOTHING: Final[Readings] = MappingProxyType({})
_NO_ONSETS: Final[Mapping[tuple[str, str], float]] = MappingProxyType({})
_STANDARD: Final = Settings()


class Alarms:
    """All alarms of one lane.

    Raises:
        ValueError: two rules with one id.
    """

    def __init__(self, rules: Iterable[Rule | Ruled], settings: Settings = _STANDARD) -> None:
        self._settings = settings
        self._rules = Rulebook(rules, FLOOD)
        self._now = 0.0
        self._roster = Roster(settings)
        self._stale: dict[Rule, None] = {}
        self._orphans: dict[str, State] = {}

    # -- readings and timers ----------------------------------------------------------------------------------

    def step(
        self,
        view: Mapping[str, Readings],
        changed: Iterable[tuple[str, str]],
        now: float,
        onsets: Mapping[tuple[str, str], float] = _NO_ONSETS,
    ) -> list[Change]:
        """Judge the alarms that name a changed (device, point), do what the timers owe, and tell what came of it."""
        self.judge(view, changed, now, onsets)
        return self.tell(now)

    def judge(
        self,
        view: Mapping[str, Readings],
        changed: Iterable[tuple[str, str]],
        now: float,
        onsets: Mapping[tuple[str, str], float] = _NO_ONSETS,
    ) -> None:
        """Do a step but for the telling, so that a cause finder can have its say before.

        `view[device][point]` is the reading by now. `onsets` says since when a changed point is as it is, where
        the device told and can be trusted; it dates the alarm back and shortens no delay.
        """
        self._now = now
        todo, self._stale = {rule.id: (rule.resource, rule) for rule in self._stale}, {}
        for live in self._roster.expired(now):
            if live.run(view.get(live.rule.resource, _NOTHING), now):
                todo[live.base.id] = (live.base.resource, live.base)
            self._roster.keep(live)
        for resource, point in changed:
            for ending, form in self._rules.naming(resource, point):
                todo[resource + ending] = (resource, form)
        for alarm_id, (resource, form) in todo.items():
            readings = view.get(resource, _NOTHING)
            for live in self._concerned(alarm_id, resource, form, readings, now):
                live.see(readings, now, min((now, *_hinted(resource, form, onsets))) if onsets else now)
                self._roster.keep(live)

    def tell(self, now: float) -> list[Change]:
        """Tell what happened since the last telling, in order."""
        return self._roster.in_order(now)

    def tick(self, view: Mapping[str, Readings], now: float) -> list[Change]:
        """Do what the timers owe."""
        return self.step(view, (), now)

    def next_due(self) -> float | None:
        """Return when the next timer runs out, epoch s; None if none runs."""
        if self._stale:
            return self._now
        return self._roster.next_due()

    def shift(self, delta: float) -> None:
        """Move all that runs along with a wall clock that stepped by `delta` s."""
        self._now += delta
        for live in self._roster.all():
            live.shift(delta)
            self._roster.keep(live)

    def _concerned(self, alarm_id: str, resource: str, form: Rule, readings: Readings, now: float) -> list[Live]:
        """Return the alarms that a rule can move: those under way, and those that begin."""
        if form.type.each:
            return [*self._roster.members(alarm_id), *self._appearing(resource, form, readings, now)]
        live = self._roster.get(alarm_id)
        if live is None and readings and begins(form.type, readings):
            live = self._roster.add(self._rules.made(resource, form))
        return [live] if live is not None else []

    def _appearing(self, resource: str, form: Rule, readings: Readings, now: float) -> list[Live]:
        """Return the members of a set that are alarms of their own and not under way yet."""
        reading = readings.get(form.type.each or "")
        members = reading.value if reading is not None else None
        if not members or not isinstance(members, frozenset):
            return []
        rule = self._rules.made(resource, form)
        whole = self._roster.records.get(rule.id)
        new: list[Live] = []
        for member in sorted(members):
            own = rule.member(member)
            if rule.own(member) and self._roster.get(own.id) is None:
                live = self._roster.add(own, rule, member)
                if whole is not None and whole.suppression.kind is not Silence.NONE:
                    live.keep_back(whole.suppression, now)
                new.append(live)
        return new

    # -- what operators and the cause finder ask --------------------------------------------------------------

    def ack(self, alarm_id: str, raise_count: int | None, by: str, note: str, now: float) -> list[Change]:
        """Acknowledge one raise; a second time changes nothing. A cleared, unlatched alarm closes by it."""
        live = self._asked(alarm_id, raise_count, now, by)
        live.ack(by, note, now)
        return self._done(live)

    def unack(self, alarm_id: str, raise_count: int | None, by: str, note: str, now: float) -> list[Change]:
        """Take an acknowledgement back."""
        live = self._asked(alarm_id, raise_count, now, by)
        live.unack(by, note, now)
        return self._done(live)

    def reset(self, alarm_id: str, raise_count: int | None, by: str, note: str, now: float) -> list[Change]:
        """Release the latch of a cleared alarm, which closes it; without a latch nothing changes."""
        live = self._asked(alarm_id, raise_count, now, by)
        live.reset(by, note, now)
        return self._done(live)

    def shelve(self, alarm_id: str, seconds: float, by: str, reason: str, now: float) -> list[Change]:
        """Keep a listed alarm from people for a while; again moves the end."""
        live = self._asked(alarm_id, None, now, by, reason)
        live.shelve(seconds, by, reason, now)
        return self._done(live)

    def unshelve(self, alarm_id: str, by: str, reason: str, now: float) -> list[Change]:
        """End a shelf."""
        return self._bring_back(alarm_id, Silence.SHELVED, by, reason, now)

    def out_of_service(self, alarm_id: str, until: float, by: str, reason: str, now: float) -> list[Change]:
        """Keep an alarm from people while its device is worked on, raised or not, until epoch s.

        It takes the place of a shelf or a suppression. The id of an `each` rule stands for all its members.
        """
        self._hear(now, by, reason)
        if not until > now:
            raise Refused("end-in-past")
        for live in self._family(alarm_id, add=True):
            self._stale[live.base] = None  # a suppression by design had stopped its timers
            live.keep_back(Suppression(Silence.OUT_OF_SERVICE, by, reason, until), now)
            self._roster.keep(live)
        return self._roster.told()

    def in_service(self, alarm_id: str, by: str, reason: str, now: float) -> list[Change]:
        """End being out of service; what is still wrong comes back unacknowledged."""
        return self._bring_back(alarm_id, Silence.OUT_OF_SERVICE, by, reason, now)

    def suppress(self, alarm_id: str, by: str, reason: str, now: float) -> list[Change]:
        """Keep an alarm from people by design: another one explains it. Its timers stand still.

        A shelf or being out of service keeps its place. The id of an `each` rule stands for all its members.
        """
        self._hear(now, by, reason)
        for live in self._family(alarm_id, add=True):
            live.suppress(by, reason, now)
            self._roster.keep(live)
        return self._roster.told()

    def unsuppress(self, alarm_id: str, by: str, reason: str, now: float) -> list[Change]:
        """Say that nothing explains it any more. It comes back after the settle time; that step tells it."""
        self._hear(now, by, reason)
        for live in self._family(alarm_id):
            live.unsuppress(now)
            self._roster.keep(live)
        return self._roster.told()

    def explain(
        self, alarm_id: str, root_cause: tuple[str, ...], impacted: tuple[str, ...], by: str, reason: str, now: float
    ) -> list[Change]:
        """Write into a record which resources caused it and which it hits."""
        live = self._asked(alarm_id, None, now, by)
        facts = {"root_cause_resource": root_cause, "impacted_resource": impacted}
        if any(getattr(live.listed, name) != resources for name, resources in facts.items()):
            live.tell(Verb.RELATED, now, by, reason, **facts)
        return self._done(live)

    # -- what the cause finder does before a step is told ------------------------------------------------------

    @property
    def roster(self) -> Roster:
        """All alarms under way."""
        return self._roster

    def impact(self, alarm_id: str, resources: tuple[str, ...], now: float) -> None:
        """Write into a standing record which resources it hits."""
        live = self._roster.get(alarm_id)
        if live is not None and live.standing and live.listed.impacted_resource != resources:
            live.tell(Verb.RELATED, now, impacted_resource=resources)
            self._roster.keep(live)

    def release(self, alarm_id: str, now: float) -> None:
        """Let the settle time of one alarm run that nothing explains any more."""
        live = self._roster.get(alarm_id)
        if live is not None:
            live.unsuppress(now)
            self._roster.keep(live)

    def admit(self, rule: Rule) -> None:
        """Take in the rule of an alarm that comes up with a fault of many."""
        self._rules.add(rule)

    def dismiss(self, rule: Rule) -> None:
        """Drop such a rule whose alarm is no longer under way."""
        self._rules.remove(rule)

    def announced(self, alarm_id: str, now: float) -> None:
        """Note that the feed got the raise out."""
        live = self._roster.get(alarm_id)
        if live is not None and live.record is not None and live.record.announced is None:
            live.state.record = replace(live.record, announced=now)
            live.touched = True
            self._roster.keep(live)

    def _hear(self, now: float, by: str, reason: str = "-") -> None:
        """Note when something is asked, and that someone asks it for a reason."""
        self._now = now
        if not by.strip():
            raise Refused("operator-missing")
        if not reason.strip():
            raise Refused("reason-missing")

    def _asked(self, alarm_id: str, raise_count: int | None, now: float, by: str, reason: str = "-") -> Live:
        self._hear(now, by, reason)
        live = self._roster.get(alarm_id)
        if live is None or live.record is None:
            raise Refused("unknown-alarm")
        if raise_count is not None and raise_count != live.record.raise_count:
            raise Refused("stale-raise-count")
        return live

    def _bring_back(self, alarm_id: str, kind: Silence, by: str, reason: str, now: float) -> list[Change]:
        self._hear(now, by)
        for live in self._family(alarm_id):
            if live.silence is kind:
                live.bring_back(now, by, reason)
            self._roster.keep(live)
        return self._roster.told()

    def _family(self, alarm_id: str, *, add: bool = False) -> list[Live]:
        """Return the alarm, and the members that are under way if it is an `each` rule's id."""
        live = self._roster.get(alarm_id)
        if live is None:
            rule = self._rules.find(alarm_id)
            if rule is None:
                raise Refused("unknown-alarm")
            live = self._roster.add(rule) if add else None
        return [*([live] if live else []), *self._roster.members(alarm_id)]

    # -- the list ---------------------------------------------------------------------------------------------

    @property
    def flooding(self) -> bool:
        """Tell whether more is raised than people can read."""
        flood = self._roster.records.get(FLOOD.id)
        return flood is not None and not flood.is_cleared

    def records(self) -> Mapping[str, Alarm]:
        """Return all listed records by alarm id: standing, waiting for someone, kept back, or closed of late."""
        return self._roster.records

    def touched(self) -> frozenset[str]:
        """Return the ids whose stored state changed since the last call.

        A value that merely moved is no such change: the first reading after a restart brings it anyway.
        """
        return self._roster.touched()

    def store(self, alarm_id: str) -> dict[str, object] | None:
        """Return all that a restart needs of one alarm as JSON-able data, None if its row can go."""
        live = self._roster.get(alarm_id)
        if live is None:
            return None
        live.state.at = self._now
        row: dict[str, object] = msgspec.to_builtins(live.state)
        return row

    def restore(self, rows: Mapping[str, Mapping[str, object]], now: float, seen: float | None = None) -> None:
        """Take up rows of `store` after a restart; the first step then has to name all points it has.

        Delays stand still from `seen`, the last moment the old process is known to have watched, else from when
        each row was stored, until a reading says how things are.
        """
        self._now = now
        found = {id: state for id, row in rows.items() if (state := taken(State, row, f"the alarm {id}")) is not None}
        for alarm_id, state in found.items():
            rule = self._rules.find(alarm_id, state.member)
            if rule is None:
                self._orphans[alarm_id] = state
                continue
            own = rule.member(state.member) if state.member else rule
            live = self._roster.add(own, rule, state.member, state)
            live.adopt(own, rule)
            live.freeze(state.at if seen is None else seen)
            if live.record is not None:
                self._roster.first.recall(own.place, live.record)
            self._roster.keep(live)

    def orphans(self) -> list[Change]:
        """Close what `restore` found no rule for; the rows are then among the touched."""
        orphans, self._orphans = self._orphans, {}
        for alarm_id in orphans:
            self._roster.touch(alarm_id)
        return [change for _, state in sorted(orphans.items()) for change in closed(state.record, self._now)]

    def replace(self, rules: Iterable[Rule | Ruled], now: float) -> list[Change]:
        """Go on with other rules: what remains keeps its state, what is gone closes, what is new is judged next."""
        self._now = now
        before, self._rules = self._rules, Rulebook(rules, FLOOD)
        self._stale = dict.fromkeys(self._rules.news(before))
        changes: list[Change] = []
        for live in self._roster.all():
            member = live.state.member
            rule = self._rules.find(live.rule.id, member)
            if rule is None:
                changes += closed(live.record, now)
                self._roster.drop(live)
            else:
                live.adopt(rule.member(member) if member else rule, rule)
                self._roster.keep(live)
        return changes

    # -- inner ------------------------------------------------------------------------------------------------

    def _done(self, live: Live) -> list[Change]:
        self._roster.keep(live)
        return self._roster.told()


def _hinted(resource: str, form: Rule, onsets: Mapping[tuple[str, str], float]) -> Iterator[float]:
    return (onsets[resource, point] for point in form.points if (resource, point) in onsets)
