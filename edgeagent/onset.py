"""Since when there is no power at a witness: as early as what a UPS counts can be trusted. Pure.

A UPS counts the seconds on battery, and some cards go on showing those of the last outage. So its count is believed
only if it does not reach back before the moment at which this UPS was last seen on its input. Where nobody has seen
it so, after a start, the count must have grown in step with the clock between two polls, and be no older than a day.
"""

from __future__ import annotations

from typing import Final

from typing_extensions import TypedDict

from edgeagent.deadband import COUNT
from edgeagent.readings import Readings
from edgeagent.witnesses import number

_ROUNDED: Final = 2.0
"""s by which a count of whole seconds may be off."""
_OLDEST: Final = 24 * 3600.0


class SinceMemory(TypedDict):
    """What a restart needs of `Since`."""

    dark: dict[str, float]
    noticed: dict[str, float]
    lit: dict[str, float]


class Since:
    """When each witness lost power. Times are epoch s.

    `dark` is since when, as well as is known; `noticed` when that was noticed; `lit` when it was last seen with power.
    """

    def __init__(self) -> None:
        self.dark: dict[str, float] = {}
        self.noticed: dict[str, float] = {}
        self.lit: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._count: dict[str, tuple[float, float]] = {}

    def note(self, id: str, readings: Readings, now: float, *, dark: bool) -> bool:
        """Take in what a witness says; tell whether the moment it lost power is better known now."""
        if not dark:
            self.dark.pop(id, None)
            self.noticed.pop(id, None)
            self._count.pop(id, None)
            return False
        before = self.dark.get(id)
        found = self._counted(id, readings, now)
        if before is None:
            self.noticed[id] = now
        self.dark[id] = min(now if before is None else before, now if found is None else found)
        return self.dark[id] != before

    def _counted(self, id: str, readings: Readings, now: float) -> float | None:
        """Return when the UPS says that it went on battery, None if that cannot be trusted."""
        count, reading = number(readings, COUNT), readings.get(COUNT)
        if count is None or reading is None or count <= 0:
            return None
        since = reading.time - count
        lit = self.lit.get(id)
        if lit is not None:
            return max(since, lit) if since >= lit - _ROUNDED else None
        first = self._count.setdefault(id, (reading.time, count))
        passed, grown = reading.time - first[0], count - first[1]
        in_step = passed > 0 and abs(grown - passed) <= max(_ROUNDED, passed / 10)
        known = self._seen.get(id, now - _OLDEST)
        return since if in_step and since >= max(known, now - _OLDEST) else None

    def shift(self, delta: float) -> None:
        """Move all times along with a clock that stepped."""
        for times in (self.dark, self.noticed, self.lit, self._seen):
            times.update({id: at + delta for id, at in times.items()})
        self._count.clear()

    def remembered(self) -> SinceMemory:
        """Return what a restart needs."""
        return {"dark": dict(self.dark), "noticed": dict(self.noticed), "lit": {**self._seen, **self.lit}}

    def restore(self, memory: SinceMemory) -> None:
        """Take up what `remembered` gave. What was seen then bounds a count and proves none."""
        self.dark, self.noticed, self._seen = dict(memory["dark"]), dict(memory["noticed"]), dict(memory["lit"])
