"""What the site's generators make of an outage, of several the best one. Pure.

mains lost      at rest in auto, or called        ordered
                it starts, output not good yet    cranking
                it runs, output good              running; after `transfer` s, or if told so, failed-to-transfer
                it has the load, a UPS is lit     carrying
                fail to start                     failed-to-start
mains is back   still runs                        returning; carrying after RETURN s failed-to-return
else            at rest                           idle
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from typing_extensions import TypedDict

from edgeagent.witnesses import Engine

CARRYING: Final = "carrying"
TRANSFER: Final = 60.0
"""s in which a set that is ready should have the load, if the site says nothing else."""
RETURN: Final = 1800.0
"""s after which the load should be back on a mains that stays."""
_BEST: Final = tuple(Engine)


class StandbyMemory(TypedDict):
    """What a restart needs of `Standby`."""

    ready: float | None
    back: float | None
    lost: bool
    due: float | None


class Standby:
    """The generators of a site under an outage. `due` is when the phase changes without a reading, epoch s."""

    def __init__(self, transfer: float = TRANSFER) -> None:
        self._transfer = transfer
        self.due: float | None = None
        self._ready: float | None = None
        self._back: float | None = None
        self._was_lost = False

    def judge(
        self, engines: Sequence[Engine], now: float, *, lost: bool, called: bool = False, switched: bool = False,
        stuck: bool = False, arrives: bool = True,
    ) -> str:  # fmt: skip
        """Return the phase.

        `called` is whether a transfer switch has ordered it, `switched` whether one stands on the generator, `stuck`
        whether something says that it could not transfer, `arrives` whether power reaches the UPSes.
        """
        self.due = None
        engine = min(engines, key=_BEST.index, default=Engine.UNKNOWN)
        loaded = engine is Engine.LOADED or (engine is Engine.READY and switched)
        runs = engine in (Engine.LOADED, Engine.READY, Engine.TURNING)
        self._was_lost, was = lost, self._was_lost
        if lost:
            self._back = None
        elif was:
            self._back = now
        if engine in (Engine.WAITING, Engine.NOT_IN_AUTO, Engine.FAILED):
            self._back = None
        ready = lost and engine in (Engine.LOADED, Engine.READY) and not (loaded and arrives)
        self._ready = (now if self._ready is None else self._ready) if ready else None
        if engine is Engine.UNKNOWN:
            return "unknown"
        if self._back is not None and runs:
            return self._within(self._back, RETURN, now, "returning", "failed-to-return" if loaded else "returning")
        if self._ready is not None:
            within = 0.0 if stuck else self._transfer
            return self._within(self._ready, within, now, "running", "failed-to-transfer")
        if loaded and arrives:
            return CARRYING
        if runs:
            return "cranking" if engine is Engine.TURNING else "running"
        if engine is Engine.FAILED and (lost or called):
            return "failed-to-start"
        return "ordered" if called or (lost and engine is Engine.WAITING) else "idle"

    def _within(self, start: float, limit: float, now: float, before: str, after: str) -> str:
        if now - start >= limit:
            return after
        self.due = start + limit
        return before

    def shift(self, delta: float) -> None:
        """Move what runs along with a clock that stepped."""
        self.due = None if self.due is None else self.due + delta
        self._ready = None if self._ready is None else self._ready + delta
        self._back = None if self._back is None else self._back + delta

    def remembered(self) -> StandbyMemory:
        """Return what a restart needs."""
        return {"ready": self._ready, "back": self._back, "lost": self._was_lost, "due": self.due}

    def restore(self, memory: StandbyMemory) -> None:
        """Take up what `remembered` gave."""
        self._ready, self._back = memory["ready"], memory["back"]
        self._was_lost, self.due = memory["lost"], memory["due"]
