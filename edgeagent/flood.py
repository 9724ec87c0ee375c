"""Too many at once, and who was first. No clock, no I/O.

A flood begins above ten new alarms in ten minutes and ends below five (ISA-18.2, EEMUA 191). It is an alarm of the
list about the list, so it is shown, acknowledged and kept like the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from edgeagent.alarm import Alarm, Measured, Rule, Verb
from edgeagent.catalog import AlarmType, Level, Severity, Text
from edgeagent.detector import Timer
from edgeagent.lifecycle import Live
from edgeagent.readings import Reading
from edgeagent.rules import parse

FLOOD: Final = Rule(
    "agent",
    Text("Edge agent", "边缘代理"),
    AlarmType(
        id="alarm-flood",
        text=Text("{value} new alarms, more than can be read one by one", "新告警 {value} 条，已无法逐条查看"),
        advice=Text(
            "Look at the first-out alarms and at what power, cooling or network they share.",
            "先看首发告警，以及它们共用的电源、制冷或网络。",
        ),
        levels=(Level(Severity.MAJOR, parse("alarm-flood")),),  # nothing reads it: the list counts
        event_type="quality-of-service",
        probable_cause="queueSizeExceeded",
        ack_needed=False,
    ),
)


class Flood(Live):
    """The alarm about the list. Its `raises` are the newest of all alarms that people see, as many as decide."""

    __slots__ = ()

    def count(self, at: float) -> None:
        """Take in one new alarm, and begin a flood when there are too many."""
        state, settings = self.state, self.settings
        state.raises = self._recent((*state.raises, at), at)
        if not self.standing and len(state.raises) > settings.flood_begin:
            state.measured = Measured("alarms", len(state.raises))
            self.begin(Verb.FLOOD_BEGIN, Severity.MAJOR, state.raises[0], at)
        self._watch()
        self.touched = True

    def see(self, readings: Mapping[str, Reading], now: float, onset: float) -> None:
        """Look at no reading."""

    def _dismiss(self, readings: Mapping[str, Reading], at: float) -> None:
        """End nothing after a suppression: only the count ends a flood."""

    def freeze(self, now: float) -> None:
        """Leave the timers alone: they count people's time, not what is known about a device."""

    def _steady(self, at: float) -> None:
        self.state.raises = self._recent(self.state.raises, at)
        if self.standing:
            self.clear(Verb.FLOOD_END, at)
        self._watch()

    def _purge(self) -> None:
        self.state.purge = self.state.record = None
        self.touched = True

    def _recent(self, raises: tuple[float, ...], now: float) -> tuple[float, ...]:
        enough = max(self.settings.flood_begin + 1, self.settings.flood_end)
        return tuple(sorted(at for at in raises if at > now - self.settings.flood_window)[-enough:])

    def _watch(self) -> None:
        """Set the timer to when the flood ends or, without one, when nothing counts any more."""
        raises = self.state.raises
        if raises:
            last = raises[-self.settings.flood_end :][0] if self.standing else raises[-1]
            self.state.quiet = Timer(0.0, last + self.settings.flood_window)


class FirstOut:
    """Who came first in each group. Holds nothing that the records do not say."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._leaders: dict[str, dict[str, float]] = {}

    def place(self, group: str, alarm_id: str, onset: float) -> tuple[str | None, tuple[str, ...]]:
        """Return the alarm that this one follows, None if it is the first, and those that now follow it."""
        leaders = self._leaders.setdefault(group, {})
        leaders.pop(alarm_id, None)
        ahead = [(since, id) for id, since in leaders.items() if since <= onset <= since + self._window]
        if ahead:
            return min(ahead)[1], ()
        behind = tuple(sorted(id for id, since in leaders.items() if onset < since <= onset + self._window))
        for id in behind:
            del leaders[id]
        leaders[alarm_id] = onset
        return None, behind

    def recall(self, group: str, alarm: Alarm) -> None:
        """Take a record in that was there before a restart."""
        if alarm.first_out and alarm.onset is not None:
            self._leaders.setdefault(group, {})[alarm.alarm_id] = alarm.onset

    def forget(self, group: str, alarm_id: str) -> None:
        """Drop an alarm whose record is gone."""
        leaders = self._leaders.get(group, {})
        leaders.pop(alarm_id, None)
        if not leaders:
            self._leaders.pop(group, None)


def marked(record: Alarm, leader: str | None) -> Alarm:
    """Write into a record whether it was first or whom it follows."""
    return replace(record, first_out=leader is None, related_alarm=() if leader is None else (leader,))
