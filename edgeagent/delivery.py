"""How the feed behaves: its budgets of messages, rows put off after a refusal, rows that break connections. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from edgeagent.messages import LARGEST, Tree

TOO_LARGE: Final = 0x95
NEVER: Final[Mapping[int, str]] = {
    0x87: "the broker's access rules forbid it",
    0x90: "the broker does not accept the topic",
    TOO_LARGE: "too large for the broker",
    0x99: "the broker does not accept the payload",
}
"""Reason codes of a PUBACK (MQTT 5 §3.4.2.1) after which it is no use to try again."""
READINGS: Final = 500.0
"""Readings that are said in a second at most."""
_STRIKES: Final = 3
_LONGEST: Final = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How the feed behaves. Rates are messages/s, `burst` messages at once, `largest` bytes of a payload."""

    tree: Tree
    language: Literal["en", "zh"] = "zh"
    rate: float = 200.0
    burst: int = 20
    telemetry_rate: float = READINGS
    largest: int = LARGEST


@dataclass(slots=True)
class Bucket:
    """A budget that fills by `rate` a second up to `burst`. `now` is any clock that never goes back, s."""

    rate: float
    burst: float
    level: float = 0.0
    seen: float = 0.0

    def fill(self, now: float) -> float:
        """Add what has come since, and tell how much there is."""
        self.level = min(self.burst, self.level + (now - self.seen) * self.rate)
        self.seen = now
        return self.level

    def take(self, count: int) -> float:
        """Spend some of it, and tell what is left."""
        self.level -= count
        return self.level


@dataclass(slots=True)
class Patience:
    """What is known of rows that could not be delivered at once.

    A broker that hangs up at one message without a word would stop all others for ever, since that one is sent again
    after each connection. Suspicion falls on what was unanswered each time a working connection ended; the
    largest suspect is then sent `alone`, and only if that fails time and again is it given up.
    """

    alone: int | None = None
    breaks: int = 0
    """Working connections in a row that ended with something unanswered that is said from memory."""
    _later: dict[int, tuple[float, float]] = field(default_factory=dict)
    _strikes: dict[int, int] = field(default_factory=dict)

    def refused(self, row: int, now: float) -> float:
        """Put a row off that may pass another time; return for how many s."""
        delay = min(_LONGEST, self._later.get(row, (0.0, 0.5))[1] * 2)
        self._later[row] = (now + delay, delay)
        return delay

    def waiting(self, now: float) -> set[int]:
        """Return the rows that are put off."""
        return {row for row, (due, _) in self._later.items() if due > now}

    def over(self, row: int) -> None:
        """Forget a row that was delivered or set aside."""
        self._later.pop(row, None)
        self._strikes.pop(row, None)
        if self.alone == row:
            self.alone = None

    @property
    def wary(self) -> bool:
        """Tell whether what is said from memory is to go behind all rows, one at a time."""
        return self.breaks >= _STRIKES

    def hung_up(self, sizes: Collection[int]) -> int | None:
        """Take note that a working connection ended with messages of these bytes unanswered that are no rows.

        Returns the bytes of the one at which the broker hangs up, once that is sure.
        """
        self.breaks = self.breaks + 1 if sizes else 0
        if self.breaks <= 3 * _STRIKES or len(sizes) > 1:
            return None
        self.breaks = 0
        return max(sizes)

    def broken(self, sizes: Mapping[int, int]) -> int | None:
        """Take note that a working connection ended with these rows (and their bytes) unanswered.

        Returns the row to give up, if there is one.
        """
        if self.alone is not None:
            if self.alone not in sizes:
                return None
            self._strikes[self.alone] += 1
            return self.alone if self._strikes[self.alone] > 2 * _STRIKES else None
        self._strikes = {row: self._strikes.get(row, 0) + 1 for row in sizes}
        suspects = [row for row, count in self._strikes.items() if count >= _STRIKES]
        self.alone = max(suspects, key=lambda row: sizes[row], default=None)
        return None
