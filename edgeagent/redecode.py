"""The readings that a poll changes, found from the raw answers that changed. Pure.

`decode.py` says what a poll means, and does so here too for whatever is not plain: a shortcut gives the very readings
that it would give, or None where only it can tell. Owns what is found once a driver for that: which points an address
has a part in, and what a raw answer means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final
from weakref import WeakValueDictionary

from edgeagent.catalog import Driver, Point
from edgeagent.decode import better, derived, reading_of
from edgeagent.items import Item, Ranges, shows
from edgeagent.phases import PHASES, UNREAD, aggregate_of
from edgeagent.readings import Answers, Missing, Raw, Reading, Readings
from edgeagent.rules import Condition

_MOST: Final = 4096
"""Raw answers of one item of which the meaning is remembered."""
_MOVES: Final = 256
"""Sets of points that move together of which the doubts are remembered."""
_CODES: Final = frozenset({"number", "enum", "flag", "text", "code", "alarm", "bitmap", "flag-string", "number-list"})
"""Decoders that look at the addresses of their item alone."""
_SIDES: Final = ("output.", "input.", "bypass.")
_DOUBTED: Final = "implausible"
_NOT_FITTED: Final = "not-fitted"


class Source:
    """One item of a driver, and what its raw answers meant so far."""

    def __init__(self, item: Item, point: Point | None) -> None:
        self.item, self.point = item, point
        self.plain = len(item.addresses) == 1 and item.walk is None and item.code in _CODES
        """Whether one address says it all."""
        self._address = item.addresses[0] if item.addresses else ""
        self._meanings: dict[Raw, Reading] = {}

    def reading(self, answers: Answers, now: float, origin: str | None) -> Reading:
        """Return what `decode` makes of it."""
        if not self.plain:
            return reading_of(self.item, self.point, answers, now, origin)
        raw = answers[self._address]
        kind = type(raw)
        if kind is not int and kind is not bytes and kind is not Missing:  # 1, 1.0 and True are one key
            return reading_of(self.item, self.point, answers, now, origin)
        meant = self.alone(raw)
        return Reading(meant.value, now, meant.quality, meant.reason, origin)

    def alone(self, raw: Raw) -> Reading:
        """Return what a raw answer to a plain item means, whenever it comes."""
        meant = self._meanings.get(raw)
        if meant is None:
            if len(self._meanings) >= _MOST:
                self._meanings.clear()
            meant = self._meanings[raw] = reading_of(self.item, self.point, {self._address: raw}, 0.0, None)
        return meant


class Table:
    """What has a part in each point of a driver whose items are `items`, its variants applied."""

    def __init__(self, driver: Driver, items: tuple[Item, ...]) -> None:
        self.driver, self.items, self.points = driver, items, driver.points
        self.sources: dict[str, tuple[Source, ...]] = {}
        for item in items:
            if item.code != "when":
                source = Source(item, driver.kind.point(item.point))
                self.sources[item.point] = (*self.sources.get(item.point, ()), source)
        self.walked = tuple(dict.fromkeys(item.point for item in items if item.walk))
        self.of: dict[str, tuple[str, ...]] = dict.fromkeys(driver.gets, ())
        for item in items:
            for address in item.addresses:
                below = [other.point for other in items if other.walk and address.startswith(f"{other.walk}.")]
                self.of[address] = tuple(dict.fromkeys((*self.of[address], item.point, *below)))
        self.shown: dict[str, tuple[Ranges, ...]] = {}
        for variant in driver.variants:
            for address, ranges in variant.between.items():
                self.shown[address] = (*self.shown.get(address, ()), ranges)
        self.made: dict[str, Point] = {}
        self.phases: dict[str, tuple[str, ...]] = {}
        self.doubts: dict[str, tuple[Point, ...]] = {}
        for id, point in driver.kind.points.items():
            if id not in self.points:
                continue
            if point.aggregate is not None:
                self.phases[id] = tuple(f"{id}.{phase}" for phase in PHASES)
                self.made |= dict.fromkeys((id, *self.phases[id]), point)
            for named in {id} | point.doubt.points if point.doubt is not None else ():
                self.doubts[named] = (*self.doubts.get(named, ()), point)
        self.derived = {item.point: item for item in items if item.code == "when"}
        self.whens: dict[str, tuple[Item, ...]] = {}
        for item in self.derived.values():
            for named in item.when.points if item.when is not None else ():
                self.whens[named] = (*self.whens.get(named, ()), item)
        self._doubting: dict[tuple[str, ...], tuple[tuple[tuple[str, ...], Condition], ...]] = {}
        looked = {*self.made, *self.doubts, *self.whens}
        self.hidden = frozenset(looked - self.points)
        # Derived from what is derived, or with another source beside it: too seldom for a shortcut.
        own = self.derived.keys() & (self.whens.keys() | self.sources.keys() | self.made.keys())
        self.tangled = bool(own) or len(self.derived) < sum(item.code == "when" for item in items)

    def doubting(self, found: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], Condition], ...]:
        """Return what could make these points or others doubtful, each with the points that it is about."""
        doubts = self._doubting.get(found)
        if doubts is None:
            if len(self._doubting) >= _MOVES:
                self._doubting.clear()
            points = dict.fromkeys(point.id for id in found for point in self.doubts.get(id, ()))
            of = {id: doubt for id in points if (doubt := self.driver.kind.points[id].doubt) is not None}
            doubts = self._doubting[found] = tuple(((id, *doubt.points), doubt) for id, doubt in of.items())
        return doubts

    def read(self, id: str, answers: Answers, now: float, origin: str | None) -> Reading:
        """Return what the sources of one point say, together."""
        sources = self.sources[id]
        reading = sources[0].reading(answers, now, origin)
        for source in sources[1:]:
            reading = better(reading, source.reading(answers, now, origin))
        return reading


_TABLES: Final[WeakValueDictionary[tuple[int, int], Table]] = WeakValueDictionary()


def table(driver: Driver, answers: Answers) -> Table | None:
    """Return the table for what a device says, shared by all that are alike; None where not all was asked."""
    if not all(address in answers for address in (*driver.gets, *driver.walks)):
        return None
    items = driver.suited(answers)
    known = _TABLES.get((id(driver), id(items)))
    if known is None:
        known = _TABLES[id(driver), id(items)] = Table(driver, items)
    return known


def changed(
    table: Table, last: Answers, answers: Answers, readings: Readings, now: float, origin: str | None = None
) -> dict[str, Reading] | None:
    """Return the readings that these answers may change, by point id; None if all must be decoded.

    `readings` are what the `last` answers meant, for which the table was found.
    """
    points = _points(table, last, answers)
    if points is None:
        return None
    found: dict[str, Reading] = {}
    for id in points:
        found[id] = reading = table.read(id, answers, now, origin)
        if id.startswith(_SIDES) and id.endswith(PHASES) and not _alike(readings.get(id), reading):
            return None  # it may be a phantom now, or none any more
    view = dict(readings)
    if not table.hidden.isdisjoint(view):
        for id in table.hidden:
            view.pop(id, None)
    view.update(found)
    if not (_aggregate(table, answers, view, found, now, origin) and _derive(table, view, found, now, origin)):
        return None
    for id in found:
        if id in readings and readings[id].reason == _DOUBTED:
            return None
    for ids, doubt in table.doubting(tuple(found)):
        if not _knows(view, ids) or doubt.holds(view):
            return None
    return found


def _knows(view: Readings, ids: Iterable[str]) -> bool:
    """Tell whether none of these is doubted: what is doubted hides its value."""
    for id in ids:
        reading = view.get(id)
        if reading is not None and reading.reason == _DOUBTED:
            return False
    return True


def _points(table: Table, last: Answers, answers: Answers) -> Collection[str] | None:
    """Return the points that a changed answer has a part in; None if not the same was answered, or by another card."""
    if len(last) != len(answers):
        return None
    try:
        moved = [address for address, raw in answers.items() if last[address] != raw]
    except KeyError:
        return None
    points: dict[str, None] = {}
    for address in moved:
        for ranges in table.shown.get(address, ()):
            between = {address: ranges}
            if shows(between, last) is not shows(between, answers):
                return None
        points |= dict.fromkeys(table.of.get(address, table.walked))
    return points


def _alike(old: Reading | None, new: Reading) -> bool:
    """Tell whether two readings of a phase say the same of whether it is there at all."""
    if old is not None and old.value and new.value and old.reason is None and new.reason is None:
        return True  # as nearly always
    return old is not None and old.reason != _NOT_FITTED and _there(old) == _there(new)


def _there(row: Reading) -> tuple[bool, bool]:
    return row.value in (0, None) and row.reason not in UNREAD, row.reason in (Missing.ABSENT, Missing.NULL)


def _aggregate(
    table: Table, answers: Answers, view: dict[str, Reading], found: dict[str, Reading], now: float, origin: str | None
) -> bool:
    """Make the plain points anew of which a phase changed; tell whether that can be told."""
    made = table.made
    for id, point in {made[id].id: made[id] for id in found if id in made}.items():
        if id not in found and id in table.sources:
            view[id] = found[id] = table.read(id, answers, now, origin)
        if id in found and found[id].value is not None:
            continue
        phases = table.phases[id]
        if not _knows(view, phases):
            return False
        whole = aggregate_of(point, [view[phase] for phase in phases if phase in view])
        if whole is not None:
            view[id] = found[id] = Reading(whole.value, now, whole.quality, whole.reason, whole.origin)
    return True


def _derive(table: Table, view: dict[str, Reading], found: dict[str, Reading], now: float, origin: str | None) -> bool:
    """Derive anew what hangs on a changed point; tell whether that can be told."""
    if not table.whens:
        return True
    for item in dict.fromkeys(item.point for id in found for item in table.whens.get(id, ())):
        when = table.derived[item].when
        if table.tangled or when is None or not _knows(view, when.points):
            return False
        view[item] = found[item] = derived(table.derived[item], view, now, origin)
    return True
