"""When seats are staffed, by the clock on the wall. Pure: `now` is epoch s, the zone is given or the host's own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import Final, TypeAlias

from edgeagent.scenario import Hours

Calendar: TypeAlias = tuple[Hours, ...]
"""The hours in which somebody works at a seat; none at all is always."""
_DAY: Final = 24 * 60


class Staffing:
    """Who is at work by now, told only where that changes."""

    def __init__(self, calendars: Iterable[Calendar], zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._staffed: dict[Calendar, bool] = dict.fromkeys(calendars, True)
        self.due: float | None = 0.0 if any(self._staffed) else None
        """When the next shift begins or ends, epoch s."""

    def staffed(self, calendar: Calendar) -> bool:
        """Tell whether somebody works by this calendar, as of the last `turn`."""
        return self._staffed[calendar]

    def turn(self, now: float) -> frozenset[Calendar]:
        """Look at the clock if it is time to; return the calendars by which work began or ended."""
        if self.due is None or now < self.due:
            return frozenset()
        local = datetime.fromtimestamp(now, self._zone)
        minute = local.hour * 60 + local.minute
        turned = set[Calendar]()
        for calendar, before in self._staffed.items():
            after = not calendar or any(hours.holds(local.weekday(), minute) for hours in calendar)
            if after is not before:
                self._staffed[calendar] = after
                turned.add(calendar)
        self.due = self._next(local)
        return frozenset(turned)

    def shift(self) -> None:
        """Look anew: the clock was stepped."""
        self.due = None if self.due is None else 0.0

    def _next(self, local: datetime) -> float:
        """Return when the next of all hours begins or ends, at midnight at the latest."""
        ends = {end % _DAY for calendar in self._staffed for hours in calendar for end in (hours.begin, hours.end)}
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        turns = [midnight + timedelta(minutes=minute) for minute in sorted(ends | {_DAY})]
        # By its stamp, since a day of a changed clock has an hour twice, or lacks one.
        return next(stamp for turn in turns if (stamp := turn.timestamp()) > local.timestamp())
