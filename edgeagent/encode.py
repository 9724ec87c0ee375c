"""The inverse of decode: which raw answers make a driver read the wanted values. Pure.

The simulator serves what this gives, and a drill puts it between link and decode.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from edgeagent.alarmsets import OTHER, SETS
from edgeagent.catalog import Driver, PointType
from edgeagent.items import ABSENT, REGISTERS, Item
from edgeagent.phases import PHASES
from edgeagent.readings import Answers, Missing, Raw, Value
from edgeagent.values import NoValue

_WORD: Final = 0xFFFF
_WHOLE: Final = 1_000_000
"""What a number is a part of where the device has not said so yet."""
_NIBBLES: Final = {"warning": 2, "shutdown": 3, "trip": 4}
_HEALTHY: Final = 1
_MOST: Final = 1e30
"""Far beyond any unit: keeps infinity and what is no number out of integers and single precision."""


_UNKNOWN: Final = ("not-available", "unknown", "sensor-fault")
"""What sentinels say of a value that is not known just now, the plainest first."""


class EncodeError(ValueError):
    """A value that this driver has no raw answer for; the message says what it would take."""


def encode(driver: Driver, values: Mapping[str, Value], image: Answers) -> dict[str, Raw]:
    """Return the raw answers to change in `image` so that the driver reads `values` (canonical units).

    `Missing.ABSENT` takes an object out (rows of alarm tables). Registers that hold several points keep
    the bits of the others.

    Raises:
        EncodeError: for a point that the driver lacks or a value that it cannot say.
    """
    suited = driver.suited(image)
    changes = _changes(driver, suited, values, image)
    shown = driver.suited({**image, **changes})
    if shown is not suited:  # the value itself is what tells the variant
        changes = _changes(driver, shown, values, image)
        if driver.suited({**image, **changes}) is not shown:
            raise EncodeError(f"{', '.join(values)}: with this value it would be taken for another variant")
    return changes


def _changes(driver: Driver, all_: tuple[Item, ...], values: Mapping[str, Value], image: Answers) -> dict[str, Raw]:
    changes: dict[str, Raw] = {}
    for id, value in values.items():
        for point, part in _parts(driver, id, value):
            known = {**image, **changes}
            items = [item for item in all_ if item.point == point and item.code != "when"]
            if driver.kind.point(point) is not None and _is_set(driver, point):
                changes.update(_set(point, items, part, known))
            else:
                changes.update(_first(items, part, known))
    return changes


def _is_set(driver: Driver, id: str) -> bool:
    point = driver.kind.point(id)
    return point is not None and point.type is PointType.SET


def _parts(driver: Driver, id: str, value: Value) -> Iterator[tuple[str, Value]]:
    """Spread a value over the phases where the driver has only these."""
    given = {item.point for item in driver.items if item.code != "when"}
    if id in given:
        yield id, value
        return
    rows = [f"{id}.{phase}" for phase in PHASES if f"{id}.{phase}" in given]
    point = driver.kind.point(id)
    if not rows or point is None:
        raise EncodeError(f"{driver.id} has no point {id} that could be set")
    for row in rows:
        yield row, value / len(rows) if point.aggregate == "sum" and isinstance(value, (int, float)) else value


def _first(items: list[Item], value: Value, image: Answers) -> dict[str, Raw]:
    """Say a value by the first source that can, and make those before it say nothing."""
    silenced: dict[str, Raw] = {}
    for item in items:
        try:
            return {**silenced, **_one(item, value, {**image, **silenced})}
        except EncodeError:
            if item is items[-1]:
                raise
        raw = image.get(item.addresses[0], Missing.ABSENT)
        if not isinstance(raw, (Missing, float)) and raw not in item.sentinels:
            if len(item.addresses) > 1 or item.bits is not None:
                raise EncodeError(f"{item.point}: its first source cannot say {value}, nor be silent in this variant")
            silenced[item.addresses[0]] = next(iter(item.sentinels), Missing.ABSENT)
    raise EncodeError("nothing gives this point in this variant")


def _one(item: Item, value: Value, image: Answers) -> dict[str, Raw]:
    if item.code == "share":
        return _share(item, value, image)
    raw = _raw(item, value)
    if isinstance(raw, bytes) and len(item.addresses) > 1:
        padded = raw.ljust(len(item.addresses))
        return {address: padded[place] for place, address in enumerate(item.addresses)}
    if not isinstance(raw, int):
        return {item.addresses[0]: raw}
    words = REGISTERS.get(item.type)
    if words is not None and item.bits is None:
        signed = item.type.startswith("s")
        if not 0 <= raw + (1 << 16 * words - 1) * signed < 1 << 16 * words:
            raise EncodeError(f"{item.point} = {value} does not fit into {item.type}")
        raw &= (1 << 16 * words) - 1
    raw = _merged(item, raw, image)
    if raw in item.sentinels:
        raise EncodeError(f"{item.point} = {value} would be the raw value {raw}, which means {item.sentinels[raw]}")
    if item.valid is not None and not item.valid[0] <= raw <= item.valid[1]:
        raise EncodeError(f"{item.point} = {value} would be the raw value {raw}, which is none here")
    if words is None:
        return {item.addresses[0]: raw}
    return _words(item, raw)


def _words(item: Item, raw: int) -> dict[str, Raw]:
    """Spread a number over the registers of an item, in their order."""
    parts = [raw >> 16 * place & _WORD for place in range(len(item.addresses))]
    return dict(zip(item.addresses, parts if item.word_order == "little" else parts[::-1], strict=True))


def _share(item: Item, value: Value, image: Answers) -> dict[str, Raw]:
    part, whole = item.addresses
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _MOST:
        raise EncodeError(f"{item.point} = {value} is not a number")
    known = image.get(whole)
    size = known if isinstance(known, int) and known > 0 else _WHOLE
    number = round((value - item.offset) / item.scale * size)
    if not 0 <= number <= size:
        raise EncodeError(f"{item.point} = {value} is no part of a whole")
    return {part: number, whole: size}


def _raw(item: Item, value: Value) -> int | bytes | str | float:
    if item.code == "enum":
        for key, word in item.enum.items():
            if word == value and key == ABSENT:
                return Missing.ABSENT
            if word == value:
                return _key(item, str(word)) if key == OTHER else key if isinstance(key, int) else key.encode()
        known = ", ".join(str(word) for word in dict.fromkeys(item.enum.values()))
        raise EncodeError(f"{item.point} = {value} is none of {known}")
    if item.code == "flag":
        if not isinstance(value, bool):
            raise EncodeError(f"{item.point} = {value} is neither true nor false")
        return _flag(item, value is not item.invert)
    if item.code == "text":
        return str(value).encode()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _MOST:
        raise EncodeError(f"{item.point} = {value} is not a number")
    number = (value - item.offset) / item.scale
    if item.type == "f32":
        return int.from_bytes(struct.pack(">f", number), "big")
    if ":" in item.addresses[0]:  # a field of a serial line is text
        return f"{number:.3f}".rstrip("0").rstrip(".").encode()
    return round(number)


def _flag(item: Item, on: bool) -> int:
    if item.equals is None:
        return int(on)
    return min(item.equals) if on else next(raw for raw in range(len(item.equals) + 1) if raw not in item.equals)


def unsaid(driver: Driver, id: str, image: Answers) -> dict[str, Raw]:
    """Return the raw answers to change in `image` so that the driver reads no value of a point and its phases.

    That is the sentinel of the family. Without one the object is absent; the source of a set fails instead, for an
    absent one has no alarms.

    Raises:
        EncodeError: for a point that the driver lacks, or where other points would be lost with it.
    """
    rows = {id, *(f"{id}.{phase}" for phase in PHASES)}
    suited = driver.suited(image)
    items = [item for item in suited if item.point in rows and item.code != "when"]
    if not items:
        raise EncodeError(f"{driver.id} has no point {id} that could be missing")
    own = {place for item in items for place in (*item.addresses, item.walk) if place}
    others = {place: item.point for item in driver.items if item.point not in rows for place in item.addresses}
    lost = sorted({others[place] for place in own & others.keys()})
    if lost:
        raise EncodeError(f"{id} cannot be missing without {', '.join(lost)}: one answer holds both")
    changes: dict[str, Raw] = {}
    for item in items:
        changes |= _unsaid(item, image)
    if driver.suited({**image, **changes}) is not suited:
        raise EncodeError(f"{id}: without it, it would be taken for another variant")
    return changes


def _unsaid(item: Item, image: Answers) -> dict[str, Raw]:
    if item.code in SETS:
        rows = [address for address in image if item.walk and address.startswith(item.walk + ".")]
        roots = (*item.addresses, *([item.walk] if item.walk else []))
        return {**dict.fromkeys(rows, Missing.ABSENT), **dict.fromkeys(roots, Missing.ERROR)}
    known = {reason: raw for raw, reason in reversed(list(item.sentinels.items()))}
    gone = Missing.ERROR if ABSENT in item.enum else Missing.ABSENT
    raw = next((known[reason] for reason in (*_UNKNOWN, *item.sentinels.values()) if reason in known), gone)
    if isinstance(raw, int) and len(item.addresses) > 1:
        return _words(item, raw)
    textual = ":" in item.addresses[0] or isinstance(image.get(item.addresses[0]), bytes)
    if not isinstance(raw, Missing) and (textual or isinstance(raw, str)):
        raw = str(raw).encode()
    return dict.fromkeys(item.addresses, raw)


def _set(point: str, items: list[Item], value: Value, image: Answers) -> dict[str, Raw]:
    """Spread the members over the sources of the set; the others are cleared.

    What a source shows already stays there, for other points may read it as well; the rest goes to the first source
    that knows it.
    """
    wanted = value if isinstance(value, frozenset) else frozenset({str(value)} - {""})
    kept = [wanted & sayable(item) & (_shows(item, image) or frozenset()) for item in items]
    left = wanted.difference(*kept)
    changes: dict[str, Raw] = {}
    for item, keep in zip(items, kept, strict=True):
        own = keep | (left & sayable(item))
        if item.code == "code":
            own = frozenset(sorted(keep or own)[:1])
        left -= own
        if _shows(item, {**image, **changes}) != own:  # a register that other points share stays as it is
            changes.update(_WAYS[item.code](item, own, {**image, **changes}))
    if left:
        known = sorted({member for item in items for member in sayable(item)})
        raise EncodeError(f"{point} cannot show {', '.join(sorted(left))} (known: {', '.join(known)})")
    return changes


def _shows(item: Item, image: Answers) -> frozenset[str] | None:
    if not any(address in image for address in (*item.addresses, item.walk or "")):
        return None
    try:
        shown = SETS[item.code](item, image)
    except NoValue:
        return None
    return shown if isinstance(shown, frozenset) else None


def sayable(item: Item) -> set[str]:
    """Return what one source of a set can show."""
    if item.code == "gencomm-alarms":
        return {f"{name}.{grade}" for row in item.names for name in row if name for grade in _NIBBLES}
    if item.code == "alarm":
        return {item.alarm}
    return {str(name) for name in item.enum.values()} - {""}


def _key(item: Item, member: str) -> int | str:
    """Return what stands for an alarm, a number that the map does not name where it means all others."""
    for key, name in item.enum.items():
        if name == member and key != OTHER:
            return key
    return max((key for key in item.enum if isinstance(key, int)), default=0) + 1


def _rows(item: Item, members: frozenset[str], image: Answers) -> dict[str, Raw]:
    root = item.walk or ""
    changes: dict[str, Raw] = {address: Missing.ABSENT for address in image if address.startswith(root + ".")}
    for number, member in enumerate(sorted(members), 1):
        key = _key(item, member)
        raw = f"{item.below}.{key}" if item.below else key if isinstance(key, int) else key.encode()
        changes[f"{root}.{number}"] = raw
    changes[root] = len(members)
    return changes | dict.fromkeys(item.addresses, len(members))


def _code(item: Item, members: frozenset[str], image: Answers) -> dict[str, Raw]:
    for member in members:
        key = _key(item, member)
        return {item.addresses[0]: key if isinstance(key, int) else key.encode()}
    quiet = next((key for key, name in item.enum.items() if name == "" and key != OTHER), 0)
    if item.enum.get(quiet):
        raise EncodeError(f"{item.point}: no raw value of {item.addresses[0]} means that there is no alarm")
    return {item.addresses[0]: quiet if isinstance(quiet, int) else quiet.encode()}


def _number_list(item: Item, members: frozenset[str], image: Answers) -> dict[str, Raw]:
    return {item.addresses[0]: ",".join(str(_key(item, member)) for member in sorted(members)).encode()}


def _bitmap(item: Item, members: frozenset[str], image: Answers) -> dict[str, Raw]:
    """Set one bit for each member, the first that stands for it."""
    number = sum(1 << int(_key(item, member)) for member in members)
    words = len(item.addresses)
    if number.bit_length() > 16 * words and item.type != "int":
        raise EncodeError(f"{item.point}: {', '.join(sorted(members))} would be a bit beyond {item.type}")
    return _words(item, number) if words > 1 else {item.addresses[0]: number}


def _flag_string(item: Item, members: frozenset[str], image: Answers) -> dict[str, Raw]:
    old = image.get(item.addresses[0], b"")
    flags = bytearray(old if isinstance(old, bytes) and not set(old) - set(b"01") else b"").ljust(64, b"0")
    for place, name in item.enum.items():
        if name:
            flags[int(place) - 1] = ord("1") if name in members else ord("0")
    return {item.addresses[0]: bytes(flags)}


def _gencomm(item: Item, members: frozenset[str], image: Answers) -> dict[str, Raw]:
    changes: dict[str, Raw] = {}
    for address, names in zip(item.addresses, item.names, strict=True):
        word = 0
        for name in names:
            grade = next((grade for grade in _NIBBLES if f"{name}.{grade}" in members), None)
            word = word << 4 | (_NIBBLES[grade] if grade else _HEALTHY)
        changes[address] = word
    return changes


def _alarm(item: Item, members: frozenset[str], image: Answers) -> dict[str, Raw]:
    raw = _flag(item, (item.alarm in members) is not item.invert)
    return {item.addresses[0]: _merged(item, raw, image)}


def _merged(item: Item, raw: int, image: Answers) -> int:
    """Put the bits of one item into a register and leave the others as they are."""
    if item.bits is None:
        return raw
    low, high = item.bits
    mask = (1 << high - low + 1) - 1 << low
    if raw << low & ~mask:
        raise EncodeError(f"{item.point} = {raw} does not fit into the bits {low} to {high}")
    old = image.get(item.addresses[0], 0)
    return (old if isinstance(old, int) else 0) & ~mask | raw << low & mask


_WAYS: Final[Mapping[str, Callable[[Item, frozenset[str], Answers], dict[str, Raw]]]] = {
    "rows": _rows,
    "code": _code,
    "flag-string": _flag_string,
    "gencomm-alarms": _gencomm,
    "alarm": _alarm,
    "number-list": _number_list,
    "bitmap": _bitmap,
}
