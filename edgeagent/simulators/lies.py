"""What a lying device says: right packets whose content cannot be. Pure.

A lie is told only where it can be seen through: where the driver that reads it makes bad, uncertain or an
unknown alarm of it. What nobody could notice would be another truth, not a lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final
from zlib import crc32

from edgeagent.catalog import Driver
from edgeagent.decode import decode
from edgeagent.encode import EncodeError, encode
from edgeagent.items import REGISTERS, Item
from edgeagent.readings import Answers, Missing, Quality, Raw
from edgeagent.simulators.states import half, known_by, places

_STRANGE: Final = 9999
"""An alarm number that no map knows."""
_WORD: Final = 0xFFFF


def lies(driver: Driver, answers: Answers) -> dict[str, Raw]:
    """Return the answers that are wrong: half of the points that can be lied about."""
    whole = known_by(driver)
    items = [item for item in driver.suited(answers) if item.code != "when"]
    uses = Counter(address for item in items for address in places(item))
    told: dict[str, dict[str, Raw]] = {}
    for item in items:
        # A register that says several things cannot lie about one of them alone.
        free = all(uses[address] == 1 and address not in whole for address in places(item))
        if free and _room(driver, item):
            lie = _lie(driver, item, answers)
            if lie is not None:
                told.setdefault(item.point, {}).update(lie)
    return {address: raw for point in half(driver, "lies", set(told)) for address, raw in told[point].items()}


def _room(driver: Driver, item: Item) -> bool:
    """Tell whether there is room for a lie: a coil holds nothing but yes and no, a serial line only numbers at will."""
    if driver.protocol == "serial":
        return item.code == "number"
    return driver.protocol == "snmp" or item.addresses[0][0] not in "cd"


def _lie(driver: Driver, item: Item, answers: Answers) -> Mapping[str, Raw] | None:
    """Return the first lie that is seen through; with which sort to begin hangs on the point."""
    alone = replace(driver, items=(item,), variants=())
    sorts = _SETS.get(item.code, _SORTS)
    first = crc32(item.point.encode()) % len(sorts) if sorts else 0
    for sort in (*sorts[first:], *sorts[:first]):
        for lie in sort(alone, item, answers):
            reading = decode(alone, {**answers, **lie}, 0.0).get(item.point)
            if reading is not None and _seen(reading.value, reading.quality, item):
                return lie
    return None


def _seen(value: object, quality: Quality, item: Item) -> bool:
    if isinstance(value, frozenset):
        return all(member.startswith("unknown-") for member in value) and (bool(value) or quality is not Quality.GOOD)
    return quality is not Quality.GOOD and not (item.unverified and value is not None)


def _far(driver: Driver, item: Item, answers: Answers) -> Iterator[dict[str, Raw]]:
    """Yield numbers outside of what can be true."""
    point = driver.kind.point(item.point)
    if item.code != "number" or point is None or point.range is None:
        return
    low, high = point.range
    for value in (2 * high - low, high + 1, low - (high - low) / 2, low - 1):
        try:
            said = encode(driver, {item.point: value}, answers)
        except EncodeError:
            continue
        if not any(isinstance(raw, int) and abs(raw) > 0xFFFFFFFF for raw in said.values()):
            yield said


def _sentinel(driver: Driver, item: Item, answers: Answers) -> Iterator[dict[str, Raw]]:
    """Yield the numbers that stand for "there is none"."""
    for raw in item.sentinels:
        if isinstance(raw, int):
            yield _spread(item, raw)


def _strange(driver: Driver, item: Item, answers: Answers) -> Iterator[dict[str, Raw]]:
    """Yield numbers that a list of words does not know."""
    if item.enum and item.bits is None:
        known = [key for key in item.enum if isinstance(key, int)]
        yield from (_spread(item, raw) for raw in (max(known, default=0) + 7, _STRANGE))


def _swapped(driver: Driver, item: Item, answers: Answers) -> Iterator[dict[str, Raw]]:
    """Yield an answer of another type."""
    if driver.protocol == "snmp":
        yield {item.addresses[0]: b"n/a"}


def _empty(driver: Driver, item: Item, answers: Answers) -> Iterator[dict[str, Raw]]:
    """Yield nothing, said as an answer."""
    if driver.protocol != "modbus":
        yield {item.addresses[0]: Missing.NULL}


def _row(driver: Driver, item: Item, answers: Answers) -> Iterator[dict[str, Raw]]:
    """Yield a row of an alarm that no map knows."""
    root = item.walk or ""
    raw: Raw = f"{item.below}.{_STRANGE}" if item.below else _STRANGE
    rows = sum(address.startswith(root + ".") for address in answers)
    yield {f"{root}.{_STRANGE}": raw, root: rows + 1}


def _listed(driver: Driver, item: Item, answers: Answers) -> Iterator[dict[str, Raw]]:
    yield {item.addresses[0]: str(_STRANGE).encode()}


def _bit(driver: Driver, item: Item, answers: Answers) -> Iterator[dict[str, Raw]]:
    """Yield each bit that no map knows."""
    width = 16 * len(item.addresses) if driver.protocol == "modbus" else 31
    yield from (_spread(item, 1 << bit) for bit in range(width) if bit not in item.enum)


def _spread(item: Item, raw: int) -> dict[str, Raw]:
    """Put a raw number into as many registers as the item has."""
    if item.type not in REGISTERS:
        return {item.addresses[0]: raw}
    words: list[Raw] = [raw >> 16 * place & _WORD for place in range(len(item.addresses))]
    return dict(zip(item.addresses, words if item.word_order == "little" else words[::-1], strict=True))


_Sort = Callable[[Driver, Item, Answers], Iterator[dict[str, Raw]]]
_SORTS: Final[tuple[_Sort, ...]] = (_far, _sentinel, _strange, _swapped, _empty)
_SETS: Final[Mapping[str, tuple[_Sort, ...]]] = {
    "rows": (_row,),
    "code": (_strange,),
    "number-list": (_listed,),
    "bitmap": (_bit,),
    "alarm": (_swapped,),
    "flag-string": (_empty,),
    "gencomm-alarms": (),
}
