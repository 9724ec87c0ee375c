"""What is heard of each seat's agent: which of its sessions counts, what it last reported, whether it is there. Pure.

    word      it is so when
    running   it spoke within three of its intervals
    left      it said that it leaves
    died      the broker said in its name that it is gone while it still spoke: the process or the machine went at once
    frozen    the broker said so after it had spoken no more for two intervals; or it came and never reported
    silent    it has not spoken for three intervals, and nobody said why
    cloned    two sessions of it were heard within three intervals, each after the other, or on two machines
    unknown   it was never heard; that the broker has it as online since before our time is only a hint

A seat is not trusted: each has a budget of messages, all together have one, what is over it or is no message of a seat
is dropped and counted. `now` is s of a clock that never jumps; the seat's own time tells how far its clock is off.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edgeagent.delivery import Bucket
from edgeagent.readings import Answers
from edgeagent.seatanswers import LARGEST
from edgeagent.seatpayloads import Malformed, Report, Status, report, status
from edgeagent.seatverdict import Word

STATE: Final = "agent.state"
"""The address under which the word is read."""
OFFSET: Final = "clock.offset"
"""The address of the difference between the seat's clock and ours, s; the host finds it."""
INTERVAL: Final = 15.0
"""s between two reports of a seat that did not say otherwise."""
FRESH: Final = 3.0
"""Intervals that a report holds."""
_GONE: Final = 2.0
"""Intervals without a word after which the broker's word of an end comes late."""
_WILL: Final = 14.0
"""s that the broker waits before it speaks for a seat that is gone, and what it takes it to do so."""
_RATE, _BURST = 1.0, 10.0
"""Messages/s of one seat, and at once."""
_FLOOD: Final = 100
"""Messages over the budget of a seat in a row, after which it floods."""
_OLDER: Final = 4
"""Sessions that are remembered after another one came."""
_MINUTE: Final = 60.0
_SLOT: Final = 5.0
_STRANGERS: Final = 1_000
_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(slots=True)
class _Seat:
    """One seat. Times are those of `now`, -inf for never; `word` is what was last said of it.

    `over` are the messages over its budget since the last one that was not.
    """

    budget: Bucket = field(default_factory=lambda: Bucket(_RATE, _BURST, _BURST))
    over: int = 0
    session: str = ""
    machine: str = ""
    older: tuple[str, ...] = ()
    interval: float = INTERVAL
    reported: float = -math.inf
    born: float = -math.inf
    hinted: float = -math.inf
    cloned: float = -math.inf
    ended: Word | None = None
    ended_at: float = -math.inf
    answers: dict[str, float | str] = field(default_factory=dict)
    word: Word = Word.UNKNOWN
    due: float = math.inf

    @property
    def fresh(self) -> float:
        return FRESH * self.interval

    @property
    def spoke(self) -> float:
        """When the session that counts last gave a sign of life."""
        return max(self.reported, self.born)

    def near(self, now: float) -> bool:
        """Tell whether the session that counts was heard lately, be it over since."""
        return now < self.spoke + self.fresh

    def lives(self, now: float) -> bool:
        return self.ended is None and self.near(now)

    def word_at(self, now: float) -> Word:
        if now < self.cloned + self.fresh:
            return Word.CLONED
        if self.ended is not None:
            return self.ended
        if self.near(now):
            return Word.RUNNING
        if now < self.hinted + self.fresh or (self.spoke == self.hinted == -math.inf):
            return Word.UNKNOWN
        return Word.FROZEN if self.born > self.reported else Word.SILENT

    def next_due(self, now: float) -> float:
        """Return when the word will be another one though nothing comes."""
        ends = [self.cloned] if self.ended is not None else [self.cloned, self.spoke, self.hinted]
        return min((end + self.fresh for end in ends if end + self.fresh > now), default=math.inf)


class SeatInbox:
    """All seats of a site."""

    def __init__(self, seats: Iterable[str] = ()) -> None:
        self._seats: dict[str, _Seat] = {}
        self._budget = Bucket(0.0, 0.0)
        self._dues: list[tuple[float, str]] = []
        self._minute = _Minute()
        self._strangers: set[str] = set()
        self.follow(seats)

    def __contains__(self, seat: object) -> bool:
        """Tell whether this is a seat of the site."""
        return seat in self._seats

    def follow(self, seats: Iterable[str]) -> None:
        """Know these seats alone; what is known of those that stay is kept."""
        self._seats = {id: self._seats.get(id) or _Seat() for id in seats}
        # All may come back at once after the broker did; what lies retained there comes at once as well.
        self._budget.rate, self._budget.burst = max(50.0, len(self._seats) / 2), 200.0 + 3 * len(self._seats)
        self._budget.level = self._budget.burst
        self._strangers -= self._seats.keys()

    def take(
        self, seat: str, name: str, payload: bytes, now: float, wall: float, *, retained: bool = False
    ) -> frozenset[str]:
        """Take a message of a seat's topic `name` (status or report); return the addresses that answer otherwise now.

        `wall` is our own time, epoch s.
        """
        known = self._seats.get(seat)
        if known is None:
            if not payload:
                self._strangers.discard(seat[:40])
            elif len(self._strangers) < _STRANGERS:
                self._strangers.add(seat[:40])
            return _NOTHING
        if not payload and name == "status":  # somebody cleared the topic
            return _NOTHING
        if known.budget.fill(now) < 1:
            known.over += 1
            return self._drop(seat, "too many", now)
        known.over = 0
        known.budget.take(1)
        if self._budget.fill(now) < 1:
            return self._drop(seat, "too many of all seats", now)
        self._budget.take(1)
        if len(payload) > LARGEST:
            return self._drop(seat, "too large", now)
        try:
            if name == "status":
                _hear_status(known, status(payload), now, retained=retained)
                changed = _NOTHING
            elif retained:
                return self._drop(seat, "a report that lay at the broker", now)
            else:
                changed = _hear_report(known, report(payload), now, wall)
        except Malformed as error:
            return self._drop(seat, f"malformed: {error}", now)
        if self._moved(seat, known, now):
            return frozenset({STATE, OFFSET, *known.answers}) | changed
        return changed

    def step(self, now: float) -> list[str]:
        """Return the seats whose word is another one by the mere passing of time."""
        moved = []
        while self._dues and self._dues[0][0] <= now:
            due, id = heapq.heappop(self._dues)
            seat = self._seats.get(id)
            if seat is not None and seat.due == due:
                seat.due = math.inf
                if self._moved(id, seat, now):
                    moved.append(id)
        return moved

    def state(self, seat: str, now: float) -> Word:
        """Say what is heard of a seat's agent."""
        known = self._seats.get(seat)
        return Word.UNKNOWN if known is None else known.word_at(now)

    def answers(self, seat: str, now: float) -> Answers | None:
        """Return what a seat last reported, None when that does not hold any more."""
        known = self._seats.get(seat)
        if known is None or known.ended is not None or now >= known.reported + known.fresh:
            return None
        return known.answers

    def floods(self, seat: str) -> bool:
        """Tell whether a seat says so much that it costs too much to listen."""
        known = self._seats.get(seat)
        return known is not None and known.over >= _FLOOD

    def dropped(self, now: float) -> int:
        """Return how many messages of seats were dropped in the last minute."""
        return self._minute.dropped(now)

    def strangers(self) -> frozenset[str]:
        """Return the seats heard that the site does not name, a thousand at the most."""
        return frozenset(self._strangers)

    def begin(self) -> None:
        """Hear all that lies at the broker anew: strangers whose word was cleared meanwhile are none any more."""
        self._strangers.clear()

    def worst(self, now: float) -> tuple[str, str] | None:
        """Return the seat of which most was dropped in the last minute, and why."""
        return self._minute.worst(now)

    def _moved(self, id: str, seat: _Seat, now: float) -> bool:
        """Note the word of a seat and when it is to be looked at again; tell whether it is another one."""
        word = seat.word_at(now)
        if seat.due == math.inf:
            due = seat.next_due(now)
            if due != math.inf:
                seat.due = due
                heapq.heappush(self._dues, (due, id))
        if word is seat.word:
            return False
        seat.word = word
        return True

    def _drop(self, seat: str, why: str, now: float) -> frozenset[str]:
        self._minute.drop(seat, why, now)
        return _NOTHING


def _hear_status(seat: _Seat, said: Status, now: float, *, retained: bool) -> None:
    if said.interval is not None and (said.session == seat.session or not seat.lives(now)):
        seat.interval, seat.due = said.interval, math.inf
    if said.state == "online":
        if not retained:
            if _meet(seat, said.session, "", now):
                seat.born, seat.ended = now, None
        elif said.session != seat.session and not seat.lives(now):
            _adopt(seat, said.session, "")
            seat.hinted = now
    elif said.session == seat.session or not seat.session:
        seat.session = said.session
        if said.state == "leaving":
            _end(seat, Word.LEFT, now)
        elif seat.ended is None:
            _end(seat, _lost(seat, now, retained=retained), now)
    elif said.state == "leaving" and not seat.lives(now):
        _adopt(seat, said.session, "")
        _end(seat, Word.LEFT, now)


def _hear_report(seat: _Seat, said: Report, now: float, wall: float) -> frozenset[str]:
    late = seat.ended is Word.LEFT and said.session == seat.session and now - seat.ended_at < seat.interval
    if late or not _meet(seat, said.session, said.machine, now):
        return _NOTHING
    seat.reported, seat.ended = now, None
    # Whole seconds: what a message is under way is not to look like a clock that wanders.
    said.answers[OFFSET] = round(said.time - wall)
    before = seat.answers
    if before == said.answers:
        return _NOTHING  # and the same object goes on answering
    seat.answers = said.answers
    changed = {address for address, value in said.answers.items() if before.get(address) != value}
    return frozenset(changed | (before.keys() - said.answers.keys()))


def _meet(seat: _Seat, session: str, machine: str, now: float) -> bool:
    """Tell whether a session that was just heard is the one that counts; the newest does, where there are no two."""
    other = bool(machine and seat.machine and machine != seat.machine)
    if session == seat.session:
        seat.machine = seat.machine or machine
        if other:
            seat.cloned = now
        return not other
    lives = seat.lives(now)
    # A session that speaks after another one came has been there all the time.
    two = (seat.near(now) and session in seat.older) or (lives and other)
    if two:
        seat.cloned = now
        if lives:
            return False
    _adopt(seat, session, machine)
    return True


def _adopt(seat: _Seat, session: str, machine: str) -> None:
    if seat.session:
        seat.older = (seat.session, *(each for each in seat.older if each != session))[:_OLDER]
    seat.session, seat.machine, seat.ended = session, machine, None


def _end(seat: _Seat, word: Word, now: float) -> None:
    seat.ended, seat.ended_at = word, now


def _lost(seat: _Seat, now: float, *, retained: bool) -> Word:
    """Tell by the time that the broker's word took how a session ended. Nobody knows when a retained one was said."""
    late = max(_GONE * seat.interval, seat.interval + _WILL)
    return Word.FROZEN if not retained and seat.spoke > -math.inf and now - seat.spoke >= late else Word.DIED


@dataclass(slots=True)
class _Slot:
    begin: float
    count: int = 0
    drops: Counter[tuple[str, str]] = field(default_factory=Counter)


class _Minute:
    """What was dropped in the last minute, in slots of some seconds."""

    def __init__(self) -> None:
        self._slots: deque[_Slot] = deque()

    def drop(self, seat: str, why: str, now: float) -> None:
        slot = self._slot(now)
        slot.count += 1
        slot.drops[seat, why] += 1

    def dropped(self, now: float) -> int:
        return sum(slot.count for slot in self._recent(now))

    def worst(self, now: float) -> tuple[str, str] | None:
        drops: Mapping[tuple[str, str], int] = sum(
            (slot.drops for slot in self._recent(now)), Counter[tuple[str, str]]()
        )
        return max(drops, key=lambda each: drops[each], default=None)

    def _recent(self, now: float) -> deque[_Slot]:
        while self._slots and now - self._slots[0].begin >= _MINUTE:
            self._slots.popleft()
        return self._slots

    def _slot(self, now: float) -> _Slot:
        if not self._slots or now - self._slots[-1].begin >= _SLOT:
            self._recent(now)
            self._slots.append(_Slot(now))
        return self._slots[-1]
