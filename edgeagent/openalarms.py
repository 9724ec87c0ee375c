"""The open alarms of each lane, kept in order, and the snapshot that lists them. Pure.

Owns when a snapshot is to be said again. It is put together from lines that are written already: of a hundred alarms
that stand and one that comes, one line is made. `alarmfeed.snapshot` says the same of any alarms.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable
from typing import Final

from edgeagent.alarm import Alarm, AlarmState, Change, OperatorState, Silence
from edgeagent.alarmfeed import LARGEST_SNAPSHOT, hushed, listed, mode_of, rank
from edgeagent.catalog import Severity
from edgeagent.messages import Message, Mode, Place, Tree, dump, stamp

PAUSE: Final = 2.0
"""s between two snapshots for what nobody is told of: 5,000 seats that fail poll by poll are not 150 of them."""


class _List:
    """The open alarms of one lane."""

    def __init__(self) -> None:
        self._alarms: dict[str, Alarm] = {}
        self._order: list[tuple[int, float, str]] = []
        self._lines: dict[str, bytes] = {}
        self._standing: Counter[Severity] = Counter()
        self._unacknowledged = self._suppressed = 0

    def take(self, alarm: Alarm) -> None:
        """Take over how an alarm is by now."""
        before = self._alarms.pop(alarm.alarm_id, None)
        if before is not None:
            del self._order[bisect_left(self._order, rank(before))]
            self._lines.pop(alarm.alarm_id, None)
            self._count(before, -1)
        if alarm.state is not AlarmState.CLOSED:
            self._alarms[alarm.alarm_id] = alarm
            insort(self._order, rank(alarm))
            self._count(alarm, 1)

    def _count(self, alarm: Alarm, by: int) -> None:
        if alarm.suppression.kind is not Silence.NONE:
            self._suppressed += by
            return
        self._unacknowledged += by * (alarm.operator_state is OperatorState.NONE)
        self._standing[alarm.perceived_severity] += by * (not alarm.is_cleared)

    def body(self, mode: Mode, language: str, boot: int, version: int, at: float, exercise: str | None) -> bytes:
        """Write what `alarmfeed.snapshot` says of them."""
        shown, room = list[bytes](), LARGEST_SNAPSHOT
        for *_, id in self._order:
            line = self._lines.get(id)
            if line is None:
                line = self._lines[id] = dump(listed(self._alarms[id], language))
            room -= len(line) + 1
            if room < 0:
                break
            shown.append(line)
        head = {
            "list_version": version,
            "boot": boot,
            "time": stamp(at),
            "mode": mode,
            "exercise_id": exercise,
            "counts": {severity.value: self._standing[severity] for severity in reversed(Severity)},
            "unacknowledged": self._unacknowledged,
            "suppressed": self._suppressed,
        }
        omitted = len(self._order) - len(shown)
        return b'%b,"open":[%b],"omitted":%d}' % (dump(head)[:-1], b",".join(shown), omitted)


class OpenAlarms:
    """The open alarms of each lane, and whether the snapshot of them is to be said again.

    `exercise` is the id of the drill that the drill lane belongs to.
    """

    def __init__(self) -> None:
        self.exercise: str | None = None
        self._open = {mode: _List() for mode in Mode}
        self._owed: dict[Mode, bool] = {}
        self._said: dict[Mode, float] = {}

    def take(self, alarm: Alarm) -> None:
        """Take over how an alarm is by now."""
        self._open[mode_of(alarm)].take(alarm)

    def change(self, changes: Iterable[Change]) -> None:
        """Take over what changed."""
        for change in changes:
            self.take(change.alarm)
            mode = mode_of(change.alarm)
            self._owed[mode] = self._owed.get(mode, False) or not hushed(change)

    def due(self, now: float, mode: Mode = Mode.LIVE) -> bool:
        """Tell once whether a lane is to be said again: at once what people are told of, the rest now and then."""
        loud = self._owed.get(mode)
        if loud is None or (not loud and 0 <= now - self._said.get(mode, 0.0) < PAUSE):
            return False
        del self._owed[mode]
        self._said[mode] = now
        return True

    def begin(self, exercise: str | None) -> None:
        """Empty the drill lane, for the drill of this id or for none."""
        self.exercise = exercise
        self._open[Mode.DRILL] = _List()
        self._owed.pop(Mode.DRILL, None)
        self._said.pop(Mode.DRILL, None)

    def snapshot(self, tree: Tree, mode: Mode, language: str, boot: int, version: int, now: float) -> Message:
        """Build the message that carries a lane's snapshot."""
        exercise = self.exercise if mode is Mode.DRILL else None
        body = self._open[mode].body(mode, language, boot, version, now, exercise)
        return Message(tree.alarms(mode), body, Place.SNAPSHOT, 1, retain=True, born=now)
