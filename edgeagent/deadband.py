"""Numbers that only tremble: moved by less than their deadband, and past nothing that an alarm asks. Pure.

Owns which raw answers of a poll may be taken for what they were, so that nobody has to look at them. What is put back
is the answer that was looked at last, so a value that creeps is seen once it has crept far enough; right after a look
that is three deadbands. What is no plain number is never put back.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from weakref import WeakKeyDictionary

from edgeagent.catalog import AlarmType, Driver, Point
from edgeagent.items import Ranges, shows
from edgeagent.phases import PHASES
from edgeagent.readings import Answers, Quality, Raw, Reading
from edgeagent.redecode import Source, Table
from edgeagent.rules import Condition

COUNT: Final = "battery.time"
"""What a UPS counts on battery. Each step is looked at: that it counts at all is what dates an outage."""
WIDE: Final = 3
"""How many deadbands a number may move that was looked at a moment ago."""
_MOST: Final = 2048
"""Moves of one number of which it is remembered whether they count."""
_PROTOCOLS: Final = frozenset({"snmp", "modbus"})
"""Those whose numbers are ints, so that two raw answers that are equal mean the same."""


class _Number:
    """One plain number of a driver, and which of its moves count. `ranges` of its raw answer tell variants apart."""

    def __init__(
        self, source: Source, deadband: float, cuts: tuple[float, ...], ranges: tuple[Mapping[str, Ranges], ...]
    ) -> None:
        self._source, self._deadband, self._cuts, self._ranges = source, deadband, cuts, ranges
        self._address = source.item.addresses[0]
        self.trembles: dict[tuple[Raw, Raw], bool] = {}

    def wider(self) -> _Number:
        """Return the same number for when it was looked at a moment ago."""
        return _Number(self._source, WIDE * self._deadband, self._cuts, self._ranges)

    def judge(self, was: Raw, now: Raw) -> bool:
        """Tell whether a move is none, and remember it."""
        if len(self.trembles) >= _MOST:
            self.trembles.clear()
        found = self.trembles[was, now] = type(was) is type(now) is int and self._near(was, now)
        return found

    def _near(self, was: Raw, now: Raw) -> bool:
        old, new = self._value(was), self._value(now)
        if old is None or new is None or not abs(new - old) < self._deadband or self._place(old) != self._place(new):
            return False
        one, other = {self._address: was}, {self._address: now}
        return all(shows(ranges, one) is shows(ranges, other) for ranges in self._ranges)

    def _value(self, raw: Raw) -> float | None:
        reading: Reading = self._source.alone(raw)
        value = reading.value
        plain = type(value) in (int, float) and reading.quality is Quality.GOOD and reading.reason is None
        return value if plain and isinstance(value, (int, float)) else None

    def _place(self, value: float) -> tuple[int, int]:
        """Return between or on which of the numbers that it is compared with a value lies."""
        return bisect_left(self._cuts, value), bisect_right(self._cuts, value)


class Deadbands:
    """What may be put back of the answers of devices of one driver with the same alarms."""

    def __init__(self, table: Table, alarms: Iterable[AlarmType]) -> None:
        self._alarms = tuple(alarms)
        """Kept, so that no other conditions are taken for theirs by their address."""
        cuts, kind = _cuts(table.driver, self._alarms), table.driver.kind
        self._of: dict[str, _Number] = {}
        for id, sources in table.sources.items():
            point = kind.point(id)
            plain = all(source.plain and source.item.code == "number" for source in sources)
            if point is None or not plain or id == COUNT:
                continue
            deadband, places = _steps(id, point, cuts)
            if not deadband or places is None:
                continue
            for source in sources:
                address = source.item.addresses[0]
                if table.of.get(address) == (id,):
                    ranges = tuple({address: each} for each in table.shown.get(address, ()))
                    self._of[address] = _Number(source, deadband, places, ranges)
        self._wide = {address: number.wider() for address, number in self._of.items()}

    def put_back(self, last: Answers, answers: Answers, *, wide: bool = False, part: bool = False) -> Answers:
        """Return these answers with what only trembles as it was `last`; `last` itself if nothing else moved.

        As soon as anything moved that is no plain number, all of them stay what they are. Of a `part` it does not
        count what else there was.
        """
        numbers = self._wide if wide else self._of
        if len(last) != len(answers) and not part:
            return answers
        back: dict[str, Raw] = {}
        moved = 0
        try:
            for address, raw in answers.items():
                was = last[address]
                if raw == was:
                    continue
                moved += 1
                number = numbers[address]
                trembles = number.trembles.get((was, raw))
                if trembles is None:
                    trembles = number.judge(was, raw)
                if trembles:
                    back[address] = was
                elif not type(raw) is type(was) is int:
                    return answers
        except KeyError:
            return answers
        if moved == len(back):
            return last
        return {**answers, **back} if back else answers


_KNOWN: Final[WeakKeyDictionary[Table, dict[object, Deadbands]]] = WeakKeyDictionary()


def deadbands(table: Table, alarms: Mapping[str, AlarmType]) -> Deadbands | None:
    """Return what devices of a driver share whose alarms ask the same; None where nothing can be put back."""
    if table.driver.protocol not in _PROTOCOLS or table.tangled:
        return None
    asked = tuple(
        (id(type.clear), type.deadband, *((id(level.when), level.limit) for level in type.levels))
        for type in alarms.values()
    )
    known = _KNOWN.setdefault(table, {})
    found = known.get(asked)
    if found is None:
        found = known[asked] = Deadbands(table, alarms.values())
    return found


def _steps(id: str, point: Point, cuts: Mapping[str, set[float] | None]) -> tuple[float, tuple[float, ...] | None]:
    """Return the deadband of a point and what it is compared with, None for what moves itself.

    What is asked of a plain point is asked of its phases and instances too.
    """
    own, deadband = cuts.get(id, set()), point.deadband
    if id != point.id and point.id in cuts:
        summed = point.aggregate == "sum" and id.endswith(PHASES)
        whole = None if summed else cuts[point.id]
        own = None if own is None or whole is None else own | whole
    if point.aggregate == "sum" and id != point.id:
        deadband /= len(PHASES)
    return deadband, None if own is None else tuple(sorted({0.0, *own}))


def _cuts(driver: Driver, alarms: Iterable[AlarmType]) -> dict[str, set[float] | None]:
    """Return all numbers with which points are compared, by point; None where the other side moves as well."""
    cuts: dict[str, set[float] | None] = {}
    for condition, limit, slack in _asked(driver, alarms):
        for point, op, right in condition.compares:
            bound = limit if right == "limit" else right
            if isinstance(bound, (int, float)) and not isinstance(bound, bool):
                known = cuts.setdefault(point, set())
                if known is not None:
                    known |= {float(bound), bound + slack, bound - slack}
            elif op[0] in "<>" and isinstance(bound, str):
                cuts[point] = cuts[bound] = None
    return cuts


def _asked(driver: Driver, alarms: Iterable[AlarmType]) -> Iterator[tuple[Condition, float | None, float]]:
    """Give all that is asked of a device's numbers, each with its limit and its slack."""
    for type in alarms:
        for level in type.levels:
            yield level.when, level.limit, type.deadband
            if type.clear is not None:
                yield type.clear, level.limit, 0.0
    for point in driver.kind.points.values():
        if point.doubt is not None:
            yield point.doubt, None, 0.0
    for item in driver.items:
        if item.when is not None:
            yield item.when, None, 0.0
