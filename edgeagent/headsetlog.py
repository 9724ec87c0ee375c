"""Which headset failed where: one that fails wherever it is used, and a seat at which all of them fail. Pure.

A headset is known by its model and the hash that stands for its serial number; nobody who wears it is. It counts once
a seat. One that is seen at another seat soon after was carried there and had not failed. Times are epoch s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from typing_extensions import TypedDict

KEPT: Final = 30 * 86_400.0
"""s that a failure counts."""
SEATS: Final = 3
"""Seats at which a headset has failed that is suspect."""
_CARRIED: Final = 600.0
"""s within which a headset that is elsewhere was carried."""
_MOST: Final = 1_000
"""Headsets that are kept; the longest without a failure goes."""
_EACH: Final = 20
"""Seats that are kept of one headset."""


class HeadsetMemory(TypedDict):
    """What a restart needs: when each headset failed, by seat, epoch s, and which one each seat had."""

    failed: dict[str, dict[str, float]]
    worn: dict[str, str]


class HeadsetLog:
    """The failures of 30 days, by headset and seat."""

    def __init__(self) -> None:
        self._failed: dict[str, dict[str, float]] = {}
        self._worn: dict[str, str] = {}
        self._eaten: dict[str, set[str]] = {}
        self.suspects: frozenset[str] = frozenset()
        self.dirty = False

    def seen(self, seat: str, model: str, serial: str, now: float) -> set[str]:
        """Note that a headset is at a seat; return the seats of which another number failed now."""
        headset = f"{model} #{serial[:6]}"
        if self._worn.get(seat) == headset:
            return set()
        self._worn[seat] = headset
        failed = self._failed.get(headset, {})
        carried = {other for other, at in failed.items() if other != seat and now - at < _CARRIED}
        for other in carried:
            del failed[other]
        return self._settle(headset, carried)

    def failed(self, seat: str, now: float) -> set[str]:
        """Note that the headset last seen at a seat has failed there; return the seats likewise."""
        headset = self._worn.get(seat)
        if headset is None:
            return set()
        failed = self._failed.pop(headset, {})
        failed.pop(seat, None)
        self._failed[headset] = {**dict(list(failed.items())[1 - _EACH :]), seat: now}
        hit = self._settle(headset, {seat})
        if len(self._failed) > _MOST:
            hit |= self._forget(next(iter(self._failed)))
        return hit

    def prune(self, now: float) -> set[str]:
        """Let go of what is too old; return the seats likewise."""
        hit = set[str]()
        for headset, failed in list(self._failed.items()):
            old = {seat for seat, at in failed.items() if now - at >= KEPT}
            for seat in old:
                del failed[seat]
            if old:
                hit |= self._settle(headset, old)
        return hit

    def eaten(self, seat: str) -> int:
        """Return how many different headsets failed at a seat."""
        return len(self._eaten.get(seat, ()))

    def next_due(self) -> float | None:
        """Return when something is too old, epoch s; the oldest failures of a headset stand first."""
        return min((next(iter(failed.values())) + KEPT for failed in self._failed.values()), default=None)

    def shift(self, delta: float) -> None:
        """Move along with a clock that stepped."""
        self._failed = {
            headset: {seat: at + delta for seat, at in failed.items()} for headset, failed in self._failed.items()
        }

    def _forget(self, headset: str) -> set[str]:
        seats = set(self._failed[headset])
        self._failed[headset] = {}
        return self._settle(headset, seats)

    def _settle(self, headset: str, seats: Iterable[str]) -> set[str]:
        """Count anew what one headset's failures at some seats have changed."""
        failed = self._failed.get(headset, {})
        hit = set[str]()
        for seat in seats:
            eaten = self._eaten.setdefault(seat, set())
            if (headset in eaten) is not (seat in failed):
                (eaten.add if seat in failed else eaten.discard)(headset)
                hit.add(seat)
            if not eaten:
                del self._eaten[seat]
        if not failed:
            self._failed.pop(headset, None)
        suspect = len(failed) >= SEATS
        if suspect is not (headset in self.suspects):
            self.suspects = self.suspects | {headset} if suspect else self.suspects - {headset}
        self.dirty = self.dirty or bool(seats)
        return hit

    # -- over a restart ---------------------------------------------------------------------------------------

    def remembered(self) -> HeadsetMemory:
        """Return what a restart needs as JSON-able data."""
        return {"failed": self._failed, "worn": {seat: worn for seat, worn in self._worn.items() if self.eaten(seat)}}

    def restore(self, memory: HeadsetMemory) -> set[str]:
        """Take up what `remembered` gave; return the seats at which headsets failed."""
        self._worn = dict(memory["worn"])
        self._failed = {headset: dict(failed) for headset, failed in memory["failed"].items()}
        return {seat for headset, failed in list(self._failed.items()) for seat in self._settle(headset, failed)}
