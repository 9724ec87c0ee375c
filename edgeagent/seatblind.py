"""Whether the seats can be heard at all: when nearly all turn silent at once it is not they who failed. Pure.

    begins  nine in ten of the staffed seats that were heard, and at least a quorum, fall silent within the window;
            or the way to the broker is gone while any seat was heard
    ends    the way is there and at least half are heard again; each of the others is judged after its own word, or
            after a while

Of the seats at one switch it is the other way round: half of them that fall silent together, while others are heard,
speak for each other. One that is silent and answers otherwise, by its link or an echo, speaks against that, but only as
long as it does: that the switch is dead too is often noticed after its seats fell silent. A seat that leaves, is not
staffed any more or whose port is read as down does not count: that one is heard of. Times are epoch s.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

GRACE: Final = 60.0
"""s after the end in which a seat may still say its own word: three reports and a little."""
_SHARE: Final = 0.9
_NEIGHBOURS: Final = 0.5


class Voice(StrEnum):
    """How a seat counts."""

    HEARD = "heard"
    LOST = "lost"
    OUT = "out"
    """It left, is not staffed or was never heard."""


class Blindness:
    """Whether the seats of a site are heard. `quorum` and `window` are those of alike faults."""

    def __init__(self, quorum: int, window: float) -> None:
        self._quorum, self._window = quorum, window
        self._heard: set[str] = set()
        self._lost: dict[str, float] = {}
        self._awaited: set[str] = set()
        self._until: float | None = None
        self.blind = False
        self.cut = False
        """The broker, or our own network, is gone."""

    def hear(self, seat: str, voice: Voice, now: float) -> None:
        """Take in how a seat counts by now."""
        before = seat in self._heard
        if voice is Voice.LOST:
            if before:
                self._lost[seat] = now
                if self.blind:
                    self._awaited.add(seat)
            self._heard.discard(seat)
            return
        self._lost.pop(seat, None)
        self._awaited.discard(seat)
        (self._heard.add if voice is Voice.HEARD else self._heard.discard)(seat)

    def judge(self, now: float) -> bool:
        """Judge by what was heard; tell whether it is another matter now for all seats."""
        while self._lost and now - next(iter(self._lost.values())) > self._window:
            del self._lost[next(iter(self._lost))]
        lost, heard = len(self._lost), len(self._heard)
        before = self.blind
        if not before:
            gone = lost >= self._quorum and lost >= _SHARE * (lost + heard)
            self.blind = gone or (self.cut and bool(lost or heard))
            if self.blind:
                self._awaited |= set(self._lost)
                self._until = None
        elif not self.cut and heard >= len(self._awaited):
            self.blind = False
            self._until = now + GRACE if self._awaited else None
            self._lost.clear()
        return self.blind is not before

    def judges(self, seat: str) -> bool:
        """Tell whether a seat may be judged."""
        return not self.blind and seat not in self._awaited

    def expired(self, now: float) -> frozenset[str]:
        """Take the seats for whose word nobody waits any longer."""
        if self._until is None or now < self._until:
            return frozenset()
        over, self._awaited, self._until = frozenset(self._awaited), set(), None
        return over

    @property
    def silent(self) -> int:
        """How many seats are to be heard again."""
        return len(self._awaited)

    @property
    def due(self) -> float | None:
        """When nobody waits any longer, epoch s."""
        return self._until

    def shift(self, delta: float) -> None:
        """Move along with a clock that stepped."""
        self._lost = {seat: at + delta for seat, at in self._lost.items()}
        self._until = None if self._until is None else self._until + delta

    def remembered(self) -> list[str] | None:
        """Return whom a restart has to wait for; None when it need not."""
        return sorted(self._awaited) if self.blind else None

    def restore(self, memory: Iterable[str] | None) -> None:
        """Take up what `remembered` gave."""
        self.blind = memory is not None
        self._awaited = set(memory or ())


class Neighbours:
    """The seats at one switch: those that fell silent together are in it until they are heard or answer again."""

    def __init__(self, quorum: int, window: float) -> None:
        self._quorum, self._window = quorum, window
        self._heard: set[str] = set()
        self._silent: dict[str, float] = {}
        self._answering: set[str] = set()
        """Not heard, but something else of them answers."""
        self._together: set[str] = set()

    def __contains__(self, seat: object) -> bool:
        """Tell whether a seat fell silent with its neighbours."""
        return seat in self._together

    def hear(self, seat: str, voice: Voice, now: float, *, answers: bool = False) -> None:
        """Take in how a seat counts by now; `answers` says that something else of it than its agent does."""
        lost, answers = voice is Voice.LOST, voice is Voice.LOST and answers
        if not lost:
            self._silent.pop(seat, None)
        elif seat in self._heard:
            self._silent[seat] = now
        if answers or not lost:
            self._together.discard(seat)
        (self._heard.add if voice is Voice.HEARD else self._heard.discard)(seat)
        (self._answering.add if answers else self._answering.discard)(seat)

    def judge(self, now: float) -> frozenset[str]:
        """Return the seats that are newly known to have fallen silent together."""
        if len(self._silent) < self._quorum:
            return frozenset()
        self._silent = {seat: at for seat, at in self._silent.items() if now - at <= self._window}
        lost = self._silent.keys() - self._answering
        others = len(self._heard) + len(self._answering)
        if len(lost) < self._quorum or len(lost) < _NEIGHBOURS * (len(lost) + others):
            return frozenset()
        fresh = frozenset(lost - self._together)
        self._together |= fresh
        return fresh

    def adopt(self, seat: str, other: Neighbours) -> None:
        """Take over what was known of a seat under another configuration."""
        if seat in other._silent:
            self._silent[seat] = other._silent[seat]
        for own, theirs in (
            (self._heard, other._heard), (self._answering, other._answering), (self._together, other._together),
        ):  # fmt: skip
            if seat in theirs:
                own.add(seat)

    def shift(self, delta: float) -> None:
        """Move along with a clock that stepped."""
        self._silent = {seat: at + delta for seat, at in self._silent.items()}
