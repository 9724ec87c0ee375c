"""The alarms under way: which are listed, whose timer runs out next, what was told and what is to be stored.

Nothing is kept for an alarm that is not there. No clock, no I/O.

Within one step what rises is told before what falls, so the list never looks healthy in between; among those the
earliest onset comes first, so a cause stands before its consequence, then the more severe, then the alarm id; what
another alarm explains comes after those. What happened to one alarm stays together in the order it happened.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from edgeagent.alarm import Alarm, Change, Rule, Settings, Silence, Suppression, Verb
from edgeagent.entry import State
from edgeagent.flood import FLOOD, FirstOut, Flood, marked
from edgeagent.lifecycle import Live, Presence

_FALLING: Final = frozenset({Verb.CLEARED, Verb.CLOSED, Verb.STEADIED})


class Roster:
    """All alarms under way by id, and what follows from a change to one of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._live: dict[str, Live] = {}
        self._records: dict[str, Alarm] = {}
        self._members: dict[str, dict[str, Live]] = {}
        self._heap: list[tuple[float, str]] = []
        self._touched: set[str] = set()
        self._told: list[Change] = []
        self._risen: dict[str, None] = {}
        self._veils: dict[str, tuple[Suppression, tuple[str, ...]]] = {}
        self._moved: dict[str, None] = {}
        self._folded: set[str] = set()
        self.first = FirstOut(settings.first_out_window)
        self.records: Mapping[str, Alarm] = MappingProxyType(self._records)

    def get(self, alarm_id: str) -> Live | None:
        """Return an alarm that is under way."""
        return self._live.get(alarm_id)

    def all(self) -> list[Live]:
        """Return all alarms under way in the order of their ids."""
        return [live for _, live in sorted(self._live.items())]

    def members(self, alarm_id: str) -> list[Live]:
        """Return those under way for the members of a set, by the id of the `each` rule, in the order of their ids."""
        return [live for _, live in sorted(self._members.get(alarm_id, {}).items())]

    def flood(self) -> Flood:
        """Return the alarm about the list."""
        flood = self._live.get(FLOOD.id) or self.add(FLOOD)
        assert isinstance(flood, Flood)  # noqa: S101 - add makes it so
        return flood

    def add(self, rule: Rule, base: Rule | None = None, member: str = "", state: State | None = None) -> Live:
        """Begin to follow an alarm."""
        live = (Flood if rule is FLOOD else Live)(rule, self._settings, state, base)
        live.state.member = member
        self._live[rule.id] = live
        if member:
            self._members.setdefault(live.base.id, {})[rule.id] = live
        return live

    def drop(self, live: Live) -> None:
        """Follow an alarm no longer."""
        alarm_id = live.rule.id
        self._live.pop(alarm_id, None)
        self._touched.add(alarm_id)
        if live.noted is not None:
            self._moved[alarm_id] = None
        if live.state.folded:
            self._folded.add(alarm_id)
        self._unlist(live)
        if live.state.member:
            family = self._members[live.base.id]
            family.pop(alarm_id, None)
            if not family:
                del self._members[live.base.id]

    def keep(self, live: Live) -> None:
        """Take over what changed in one alarm: its record, its timer, what it told."""
        alarm_id = live.rule.id
        if live.out:
            self._told += live.out
            if any(change.verb is Verb.RAISED for change in live.out):
                self._risen[alarm_id] = None
            live.out.clear()
        presence = live.presence
        noted = None if presence is Presence.GONE and live.silence is Silence.NONE else (presence, live.silence)
        if noted != live.noted:
            live.noted = noted
            self._moved[alarm_id] = None
        if live.touched:
            live.touched = False
            self._touched.add(alarm_id)
        if live.record is not None:
            self._records[alarm_id] = live.record
        else:
            self._unlist(live)
        if live.empty:
            self.drop(live)
            return
        due = live.due
        if due != live.armed:
            live.armed = due
            if due is not None:
                heapq.heappush(self._heap, (due, alarm_id))

    def _unlist(self, live: Live) -> None:
        if self._records.pop(live.rule.id, None) is not None:
            self.first.forget(live.rule.place, live.rule.id)

    def next_due(self) -> float | None:
        """Return when the next timer runs out, epoch s; None if none runs."""
        while self._heap and not self._valid(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def expired(self, now: float) -> list[Live]:
        """Take the alarms whose timer has run out."""
        expired: list[Live] = []
        while self._heap and self._heap[0][0] <= now:
            due, alarm_id = heapq.heappop(self._heap)
            if self._valid(due, alarm_id):
                self._live[alarm_id].armed = None
                expired.append(self._live[alarm_id])
        return expired

    def _valid(self, due: float, alarm_id: str) -> bool:
        live = self._live.get(alarm_id)
        return live is not None and live.armed == due

    def told(self) -> list[Change]:
        """Take what was told since the last call, as it happened."""
        told, self._told = self._told, []
        self._risen = {}
        return told

    @property
    def risen(self) -> tuple[str, ...]:
        """The alarms that were raised and are not told yet."""
        return tuple(self._risen)

    def moved(self) -> tuple[str, ...]:
        """Take the alarms that came, went, or are kept from people in another way since the last call."""
        moved, self._moved = tuple(self._moved), {}
        return moved

    def stir(self) -> None:
        """Let all alarms that are there count as moved: somebody begins to follow them."""
        self._moved |= dict.fromkeys(id for id, live in self._live.items() if live.noted is not None)

    def hide(self, live: Live, by: str, reason: str, root: tuple[str, ...], now: float) -> None:
        """Suppress what another alarm explains; if its raise is not told yet, it begins so."""
        alarm_id = live.rule.id
        if alarm_id in self._risen and live.silence in (Silence.NONE, Silence.BY_DESIGN):
            veil = Suppression(Silence.BY_DESIGN, by, reason)
            if self._veils.get(alarm_id) != (veil, root):
                self._veils[alarm_id] = (veil, root)
                live.veil(veil, root, now)
        else:
            live.suppress(by, reason, now, root)
        self.keep(live)

    def folded(self, alarm_id: str) -> bool:
        """Tell whether an alarm has no topic of its own; also of one that went since the last step."""
        live = self._live.get(alarm_id)
        return live.state.folded if live is not None else alarm_id in self._folded

    def touch(self, alarm_id: str) -> None:
        """Mark a stored row as out of date."""
        self._touched.add(alarm_id)

    def touched(self) -> frozenset[str]:
        """Take the ids whose stored state changed since the last call."""
        touched, self._touched = frozenset(self._touched), set()
        return touched

    def in_order(self, now: float) -> list[Change]:
        """Take what a step told, in order; name first-outs and count for a flood on the way."""
        if not self._told:
            return []
        chunks: dict[str, list[Change]] = {}
        veils, self._veils = self._veils, {}
        for change in self.told():
            chunks.setdefault(change.alarm.alarm_id, []).append(change)
        ordered: list[Change] = []
        followers: dict[str, str] = {}
        for alarm_id, (suppression, root) in veils.items():
            _veil(chunks[alarm_id], suppression, root)
        for chunk in sorted(chunks.values(), key=_precedence):
            for index in range(len(chunk)):
                raised = chunk[index].verb is Verb.RAISED
                if raised and chunk[index].alarm.suppression.kind is not Silence.BY_DESIGN:
                    self._place(chunk, index, followers)
                ordered.append(chunk[index])
                if raised and chunk[index].alarm.suppression.kind is Silence.NONE:
                    flood = self.flood()
                    flood.count(chunk[index].at)
                    self.keep(flood)
                    ordered += self.told()
        for alarm_id, leader in followers.items():
            live = self.get(alarm_id)
            if live is not None:
                reason = f"{leader} came first"
                live.tell(Verb.RELATED, now, reason=reason, first_out=False, related_alarm=(leader,))
                self.keep(live)
                ordered += self.told()
        return ordered

    def _place(self, chunk: list[Change], index: int, followers: dict[str, str]) -> None:
        """Write into a raise, and what came after it in this step, whether it was the first of its group."""
        raised = chunk[index].alarm
        live = self.get(raised.alarm_id)
        if live is None or live.record is None or raised.onset is None:
            return
        leader, behind = self.first.place(live.rule.place, raised.alarm_id, raised.onset)
        followers |= dict.fromkeys(behind, raised.alarm_id)
        told = live.record is chunk[-1].alarm
        for later in range(index, len(chunk)):
            before = chunk[later - 1].alarm if later > index else chunk[later].before
            chunk[later] = replace(chunk[later], alarm=marked(chunk[later].alarm, leader), before=before)
        live.state.record = chunk[-1].alarm if told else marked(live.record, leader)
        self.keep(live)


def _veil(chunk: list[Change], suppression: Suppression, root: tuple[str, ...]) -> None:
    """Write into the last raise, and what came after it in this step, that another alarm explains it."""
    first = max(index for index, change in enumerate(chunk) if change.verb is Verb.RAISED)
    for index in range(first, len(chunk)):
        before = chunk[index - 1].alarm if index > first else chunk[index].before
        after = replace(chunk[index].alarm, suppression=suppression, root_cause_resource=root)
        chunk[index] = replace(chunk[index], alarm=after, before=before)


def _precedence(chunk: list[Change]) -> tuple[int, bool, float, int, str]:
    """Order what happened to the alarms of one step: the flood alarm, what rises, what is explained, what falls."""
    alarm, before = chunk[0].alarm, chunk[0].before
    falls = chunk[0].verb in _FALLING or (
        before is not None and alarm.perceived_severity.rank < before.perceived_severity.rank
    )
    turn = -1 if alarm.alarm_id == FLOOD.id else int(falls)  # it counts the raises that follow
    onset = chunk[0].at if alarm.onset is None else alarm.onset
    explained = chunk[-1].alarm.suppression.kind is Silence.BY_DESIGN
    return turn, explained, onset, -alarm.perceived_severity.rank, alarm.alarm_id
