"""What a site says its dry contacts mean: which input, which way round, for how long, who watches the line. Pure.

Two equal reads decide: an alarm waits for at least one more read of its contact than the one that showed it. A
module that does not answer says nothing about its contacts. A contact may have a second input that supervises its
line, be it the fault relay of a fire panel or the sensor-present bit of a module: while that says broken, an active
contact is still believed and a quiet one is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from edgeagent.catalog import ID, AlarmType, Driver, PointType
from edgeagent.items import Item
from edgeagent.mistakes import Path_, nearest

INTERVAL: Final = 0.5
"""Interval of a device with contacts where the site names none, s."""
MARGIN: Final = 0.5
"""How much later than the next read an alarm may come at the earliest, s. Keeps two reads 0.3 s apart and more."""
WIRE_BREAK: Final = "wire-break"
"""The point that tells of a supervised line, once for each: wire-break.smoke-hall."""
_NONE: Final[Mapping[str, Delays]] = MappingProxyType({})
FAULT: Final = "sensor-fault"
"""Why a quiet contact on a broken line has no value."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What one input means, and which input supervises its line. Delays in s."""

    point: str
    active: Literal["open", "closed"] = "closed"
    on_delay: float | None = None
    off_delay: float | None = None
    fault: str | int | None = None
    fault_active: Literal["open", "closed"] = "closed"


@dataclass(frozen=True, slots=True)
class Delays:
    """How long a contact must say so before its alarms rise and clear, s.

    None: as the alarm type says, yet never less than `least`, within which a second read comes.
    """

    least: float
    on: float | None = None
    off: float | None = None

    def of(self, type: AlarmType) -> AlarmType:
        """Return the alarm type of such a contact."""
        levels = tuple(
            replace(level, on_delay=max(level.on_delay, self.least) if self.on is None else self.on)
            for level in type.levels
        )
        off = max(type.off_delay, self.least) if self.off is None else self.off
        return replace(type, levels=levels, off_delay=off)


def debounced(type: AlarmType, delays: Mapping[str, Delays]) -> AlarmType:
    """Return an alarm type with the delays of the contacts (by point id) that its conditions look at."""
    if not delays:
        return type
    points = frozenset[str]().union(*(level.when.points for level in type.levels))
    for point in sorted(points & delays.keys()):
        type = delays[point].of(type)
    return type


def wire(
    driver: Driver, entries: Mapping[str, Contact], interval: float, say: Callable[[Path_, str], None]
) -> tuple[Driver, Mapping[str, Delays]]:
    """Give the inputs of a driver their meaning; `say` takes what is wrong, by key below the contacts.

    Returns the driver with the contacts as points of their own, and the delays of each by point id.
    """
    if not entries:
        return driver, _NONE
    return _Wiring(driver, interval, say).wire(entries)


class _Wiring:
    """The inputs of one device while they are given out."""

    def __init__(self, driver: Driver, interval: float, say: Callable[[Path_, str], None]) -> None:
        self._driver, self._say = driver, say
        self._least = round(interval + MARGIN, 3)
        self._plain: dict[tuple[str, int], tuple[str, bool]] = {}
        self._lines: list[Item] = []
        self._faults: set[tuple[str, int]] = set()
        self._delays: dict[str, Delays] = {}

    def wire(self, entries: Mapping[str, Contact]) -> tuple[Driver, Mapping[str, Delays]]:
        supervised: list[tuple[str, tuple[str, int], Contact]] = []
        taken: dict[tuple[str, int], str] = {}
        for key, entry in entries.items():
            place = self._input((key,), key)
            if place is None or not self._point(key, entry, place, taken):
                continue
            taken[place] = entry.point
            self._delay(key, entry)
            if entry.fault is None:
                self._plain[place] = (entry.point, entry.active == "open")
            else:
                supervised.append((key, place, entry))
        for key, place, entry in supervised:
            fault = self._input((key, "fault"), str(entry.fault))
            if fault is not None and fault in taken:
                self._say((key, "fault"), f"input {fault[1]} is a contact itself")
            elif fault is not None:
                self._line(key, place, fault, entry)
        driver = self._driver.wired(self._plain)
        return (replace(driver, items=driver.items + tuple(self._lines)) if self._lines else driver), self._delays

    def _input(self, path: Path_, key: str) -> tuple[str, int] | None:
        channels = self._driver.channels
        channel, _, number = key.rpartition(".")
        channel = channel or next(iter(channels), "contact")
        if channel not in channels:
            self._say(path, f'{self._driver.id} has no inputs "{channel}"')
            return None
        count = channels[channel].count
        if not number.isdecimal() or not 1 <= int(number) <= count:
            self._say(path, f"{self._driver.id} has the inputs 1 to {count}")
            return None
        return channel, int(number)

    def _point(self, key: str, entry: Contact, place: tuple[str, int], taken: Mapping[tuple[str, int], str]) -> bool:
        """Tell whether the input can be that point."""
        kind = self._driver.kind
        point = kind.point(entry.point)
        if point is None or not re.fullmatch(ID, entry.point):
            known = [id for id, point in kind.points.items() if point.type is PointType.FLAG]
            self._say((key,), f'unknown point "{entry.point}"{nearest(entry.point, known)}')
        elif point.type is not PointType.FLAG:
            self._say((key,), f"{entry.point} is a {point.type}; a contact is a flag")
        elif place in taken:
            self._say((key,), f"input {place[1]} stands here twice")
        elif entry.point in taken.values():
            self._say((key,), f"{entry.point} has an input already; name this one {point.id}.<where it is>")
        else:
            return True
        return False

    def _delay(self, key: str, entry: Contact) -> None:
        for name, seconds in (("on_delay", entry.on_delay), ("off_delay", entry.off_delay)):
            if seconds is not None and seconds < self._least:
                least = f"needs at least {self._least:g} s, so that two reads decide"
                self._say((key, name), f"{least}; or give the device a shorter interval")
        self._delays[entry.point] = Delays(self._least, entry.on_delay, entry.off_delay)

    def _line(self, key: str, place: tuple[str, int], fault: tuple[str, int], entry: Contact) -> None:
        """Read a contact together with the input that supervises its line, and that line by itself."""
        line = f"{WIRE_BREAK}.{entry.point.replace('.', '-')}"
        if self._driver.kind.point(WIRE_BREAK) is None:
            self._say((key, "fault"), f"{self._driver.kind.id} has no point {WIRE_BREAK}")
            return
        here, there = (self._driver.channels[channel].address(number) for channel, number in (place, fault))
        quiet, active = (1 << 16, 0) if entry.active == "open" else (0, 1 << 16)
        whole, broken = (1, 0) if entry.fault_active == "open" else (0, 1)
        words: dict[int | str, str | bool] = {quiet | whole: False, active | whole: True, active | broken: True}
        self._lines += [
            Item(entry.point, "enum", (here, there), type="u32", enum=words, sentinels={quiet | broken: FAULT}),
            Item(line, "flag", (there,), invert=entry.fault_active == "open"),
        ]
        self._delays[line] = Delays(self._least)
