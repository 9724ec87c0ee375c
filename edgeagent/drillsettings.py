"""Reads what a site says of drills and shifts: [drills] and [shifts.<id>] of its files.

Owns how hours are written: "08:00-20:00", "mon-fri 09:00-11:30", "sat,sun 00:00-24:00"; past midnight they belong to
the day on which they begin. Opens no file: `sitefiles.py` reads the folder and hands the tables over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from edgeagent.kindfiles import TextEntry, text_of
from edgeagent.mistakes import nearest
from edgeagent.scenario import DrillSettings, Hours, Shift
from edgeagent.tomlfile import Strict
from edgeagent.treefiles import ID

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(r"(?:([a-z,\s-]+?)\s+)?(\d\d):([0-5]\d)\s*-\s*(\d\d):([0-5]\d)")
_MIDNIGHT: Final = 24 * 60
_DEFAULTS: Final = DrillSettings()


def hours(value: object) -> Hours:
    """Read hours as they are written.

    Raises:
        ValueError: saying what is wrong with them.
    """
    match = _HOURS.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'"{value}" is no time of day; write "08:00-20:00" or "mon-fri 09:00-11:30"')
    begin, end = (int(hour) * 60 + int(minute) for hour, minute in ((match[2], match[3]), (match[4], match[5])))
    if begin >= _MIDNIGHT or end > _MIDNIGHT:
        raise ValueError(f'"{value}": a day goes from 00:00 to 24:00')
    if begin == end:
        raise ValueError(f'"{value}" takes no time; the whole day is "00:00-24:00"')
    return Hours(begin, end, _days(match[1]) if match[1] else Hours(begin, end).days)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in re.sub(r"\s", "", text).split(","):
        first, _, last = part.partition("-")
        for word in (first, last or first):
            if word not in DAYS:
                raise ValueError(f'unknown day "{word}"{nearest(word, DAYS)}')
        low, high = DAYS.index(first), DAYS.index(last or first)
        found.update(day % 7 for day in range(low, high + 1 if high >= low else high + 8))
    return frozenset(found)


_Hours = Annotated[Hours, BeforeValidator(hours)]


class DrillsEntry(Strict):
    """What [drills] may hold."""

    blocked: tuple[_Hours, ...] = ()
    second_person: bool = _DEFAULTS.second_person
    speed: float = Field(default=_DEFAULTS.speed, ge=1, le=100)

    def settings(self) -> DrillSettings:
        """Return them for the rules of drills."""
        return DrillSettings(self.blocked, self.second_person, self.speed)


class ShiftEntry(Strict):
    """What [shifts.<id>] must hold."""

    name: TextEntry
    hours: _Hours


Shifts = dict[Annotated[str, Field(pattern=ID)], ShiftEntry]


def shifts_of(entries: Mapping[str, ShiftEntry]) -> Mapping[str, Shift]:
    """Take the shifts over into the model."""
    return {id: Shift(id, text_of(entry.name), entry.hours) for id, entry in entries.items()}
