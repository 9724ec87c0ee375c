"""Raw answers to readings. Pure: no clock, no wire, no exceptions for what a device says.

Order: each item by itself (sentinel on the raw value, then sign, bits, scale, range), alternatives (the first
with a value wins; sets are united), phantom phases dropped, phases aggregated, flags derived, doubts applied.
What cannot be read becomes quality bad with a reason on that point alone.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from edgeagent.catalog import REGISTERS, Driver, Item, Kind, Point
from edgeagent.readings import PARTIAL, UNKNOWN_ENUM, Answers, Missing, Quality, Raw, Reading, Value

SYS_OBJECT_ID: Final = "1.3.6.1.2.1.1.2.0"
SYS_DESCR: Final = "1.3.6.1.2.1.1.1.0"
PHASES: Final = ("l1", "l2", "l3")

_GENCOMM: Final = ("not-available", "over-range", "under-range", "sensor-fault", "bad-data", "input-high", "input-low")
SENTINELS: Final[Mapping[str, Mapping[str, Mapping[Raw, str]]]] = {
    # DSE GenComm standard 2.210, "Sentinel values": counted down from the highest number of the type.
    "gencomm": {
        type: {top - step: reason for step, reason in enumerate(_GENCOMM)}
        for type, top in (("u16", 0xFFFF), ("s16", 0x7FFF), ("u32", 0xFFFFFFFF), ("s32", 0x7FFFFFFF))
    }
}

_UNREAD: Final = frozenset[Raw](set(Missing) - {Missing.ABSENT, Missing.NULL})
"""What says nothing about whether an object is there."""
_NUMBER: Final = re.compile(rb"\s*([+-]?\d+(?:\.\d+)?)")
_MOST: Final = 2**64 - 1
"""What no number of a device exceeds (Counter64, u64)."""
_DIGITS: Final = len(str(_MOST))


class _NoValue(Exception):
    """Why one item has no value. No error: it is the reason of a bad reading."""


def decode(driver: Driver, answers: Answers, now: float, origin: str | None = None) -> dict[str, Reading]:
    """Decode one poll of a device: all points of the driver whose addresses were asked, by point id."""
    readings: dict[str, Reading] = {}
    for item in driver.items:
        if item.code == "when" or not _asked(item, answers):
            continue
        reading = _reading(item, driver.kind.point(item.point), answers, now, origin)
        known = readings.get(item.point)
        readings[item.point] = reading if known is None else _better(known, reading)
    _drop_phantoms(readings, now, origin)
    _aggregate(driver.kind, readings)
    for item in driver.items:
        if item.code == "when":
            reading, known = _derived(item, readings, now, origin), readings.get(item.point)
            readings[item.point] = reading if known is None else _better(known, reading)
    for id, point in driver.kind.points.items():
        if point.doubt is not None and id in readings and point.doubt.holds(readings):
            readings[id] = Reading.bad("implausible", now, origin)
    return readings


def identity(driver: Driver, answers: Answers, now: float) -> dict[str, str | None]:
    """Decode vendor, model, serial and firmware; None where the device does not say."""
    found: dict[str, str | None] = {}
    for item in driver.identity:
        reading = _reading(item, None, answers, now, None)
        found[item.point] = found.get(item.point) or (None if reading.value is None else str(reading.value))
    return found


def fits(driver: Driver, answers: Answers) -> bool | None:
    """Tell whether the answers show a device of this driver; None when they do not tell."""
    identify = driver.identify
    if driver.protocol == "snmp":
        object_id = answers.get(SYS_OBJECT_ID)
        if identify.sys_object_ids:
            if not isinstance(object_id, str) or isinstance(object_id, Missing):
                return None if object_id in _UNREAD else False
            if not any(object_id == prefix or object_id.startswith(prefix + ".") for prefix in identify.sys_object_ids):
                return False
        if identify.sys_descr is not None:
            description = answers.get(SYS_DESCR)
            if not isinstance(description, bytes):
                return None if description in _UNREAD else False
            if not re.search(identify.sys_descr, text_of(description)):
                return False
        if not identify.requires:
            return True
        asked = [answers.get(address, Missing.TIMEOUT) for address in identify.requires]
        if any(not isinstance(raw, Missing) and raw != b"" for raw in asked):
            return True
        return None if any(raw in _UNREAD for raw in asked) else False
    verdict: bool | None = True if identify.equals else None
    for address, wanted in identify.equals.items():
        raw = answers.get(address, Missing.TIMEOUT)
        if raw in _UNREAD:
            verdict = None
        elif raw not in wanted:
            return False
    return verdict


def text_of(raw: bytes) -> str:
    """Turn octets into text: UTF-8, else GBK (cards made in China), else Latin-1; control characters dropped."""
    raw = raw.split(b"\0", 1)[0]
    for encoding in ("utf-8", "gbk"):
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        text = raw.decode("latin-1")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _asked(item: Item, answers: Answers) -> bool:
    return item.walk in answers if item.walk else any(address in answers for address in item.addresses)


def _reading(item: Item, point: Point | None, answers: Answers, now: float, origin: str | None) -> Reading:
    try:
        value = _CODES[item.code](item, answers)
    except _NoValue as reason:
        return Reading.bad(str(reason), now, origin)
    if isinstance(value, str) and item.code == "enum" and value.startswith("unknown-"):
        return Reading(value, now, Quality.UNCERTAIN, UNKNOWN_ENUM, origin)
    if point is not None and point.range is not None and isinstance(value, (int, float)):
        low, high = point.range
        if not low <= value <= high:
            return Reading.bad("out-of-range", now, origin)
    return Reading(value, now, origin=origin)


def _better(known: Reading, other: Reading) -> Reading:
    """Join two sources of one point: sets unite, otherwise the earlier value stands."""
    if isinstance(known.value, frozenset) or isinstance(other.value, frozenset):
        return _united(known, other)
    if known.value is None and (other.value is not None or known.reason == Missing.ABSENT):
        return other
    return known


def _united(*sources: Reading) -> Reading:
    """Unite the sources of a set. Where one could not be read, the alarms of the others are alarms all the same."""
    members = frozenset[str]().union(*(source.value for source in sources if isinstance(source.value, frozenset)))
    whole = all(source.quality is Quality.GOOD for source in sources)
    quality, reason = (Quality.GOOD, None) if whole else (Quality.UNCERTAIN, PARTIAL)
    return Reading(members, sources[0].time, quality, reason, sources[0].origin)


def _raw(item: Item, answers: Answers, address: str | None = None) -> Raw:
    """Return the raw value of one address, sentinels already turned into reasons."""
    raw = _plain(answers, address or item.addresses[0])
    if not isinstance(raw, float) and raw in item.sentinels:
        raise _NoValue(item.sentinels[raw])
    return raw


def _plain(answers: Answers, address: str) -> Raw:
    raw = answers.get(address, Missing.TIMEOUT)
    if isinstance(raw, Missing):
        raise _NoValue(raw.value)
    if isinstance(raw, (int, float)) and not -_MOST <= raw <= _MOST:  # not a number is neither
        raise _NoValue(Missing.MALFORMED)
    return raw


def _integer(item: Item, answers: Answers) -> int | float:
    """Join registers, test sentinels, apply sign and bits: the raw number before its scale."""
    if len(item.addresses) > 1:
        # A sentinel is a number of the whole: 0xFFFF may well be one half of a good one.
        words = [_plain(answers, address) for address in item.addresses]
        joined = 0
        for word in words if item.word_order == "big" else reversed(words):
            if not isinstance(word, int):
                raise _NoValue(Missing.MALFORMED)
            joined = joined << 16 | word & 0xFFFF
        if joined in item.sentinels:
            raise _NoValue(item.sentinels[joined])
        raw: Raw = joined
    else:
        raw = _raw(item, answers)
    if isinstance(raw, bytes):
        match = _NUMBER.match(raw)
        if match is None:
            raise _NoValue(Missing.NULL if not raw.strip() else Missing.MALFORMED)
        raw = float(match.group(1))
        if raw in item.sentinels:
            raise _NoValue(item.sentinels[raw])
    if isinstance(raw, str):
        raise _NoValue(Missing.MALFORMED)
    if isinstance(raw, float):
        if abs(raw) > _MOST:
            raise _NoValue(Missing.MALFORMED)
        return raw
    if item.type == "f32":
        number: float = struct.unpack(">f", (raw & 0xFFFFFFFF).to_bytes(4, "big"))[0]
        if not math.isfinite(number):
            raise _NoValue("not-available")
        return float(f"{number:.7g}")  # what single precision holds: 231.3, not 231.3000030517578
    bits = 16 * REGISTERS.get(item.type, 0)
    if item.type.startswith("s") and bits and raw >> bits - 1:
        raw -= 1 << bits
    if item.bits is not None:
        low, high = item.bits
        raw = raw >> low & (1 << high - low + 1) - 1
    return raw


def _number(item: Item, answers: Answers) -> Value:
    # Rounded: 0.1 x 2313 is 231.3, not 231.30000000000001.
    number = round(_integer(item, answers) * item.scale + item.offset, 6)
    return int(number) if number == int(number) else number


def _enum(item: Item, answers: Answers) -> Value:
    raw = _raw(item, answers) if len(item.addresses) == 1 and item.bits is None else _integer(item, answers)
    key = text_of(raw) if isinstance(raw, bytes) else raw
    if isinstance(key, float):
        key = int(key)
    if key in item.enum:
        return item.enum[key]
    if isinstance(key, str) and len(key) <= _DIGITS and key.isdecimal() and int(key) in item.enum:
        return item.enum[int(key)]
    return f"unknown-{key}"


def _flag(item: Item, answers: Answers) -> Value:
    raw = _integer(item, answers)
    flag = raw != 0 if item.equals is None else raw in item.equals
    return flag is not item.invert


def _text(item: Item, answers: Answers) -> Value:
    if len(item.addresses) > 1:  # one or two characters a register
        words = [_raw(item, answers, address) for address in item.addresses]
        raw: Raw = b"".join(
            word.to_bytes(2, "big").lstrip(b"\0") for word in words if isinstance(word, int) and 0 <= word <= 0xFFFF
        )
    else:
        raw = _raw(item, answers)
    text = text_of(raw) if isinstance(raw, bytes) else str(raw)
    if text in item.sentinels:
        raise _NoValue(item.sentinels[text])
    if not text:
        raise _NoValue(Missing.NULL)
    return text


def _rows(item: Item, answers: Answers) -> Value:
    """Read an SNMP alarm table whose rows hold the OID of what is wrong (RFC 1628 §4.6)."""
    assert item.walk is not None  # noqa: S101 - the loader gives every rows item its walk
    state = answers.get(item.walk, Missing.TIMEOUT)
    if isinstance(state, Missing):
        return _none_if_absent(state)
    below = item.below + "."
    members: set[str] = set()
    for address, raw in answers.items():
        if not address.startswith(item.walk + ".") or isinstance(raw, Missing):
            continue
        if not isinstance(raw, str) or raw in ("0.0", "0"):  # CE+T and others: empty rows point at 0.0
            continue
        tail = raw.removeprefix(below)
        number = int(tail) if len(tail) <= _DIGITS and tail.isdecimal() else -1
        members.add(str(item.enum.get(number, f"unknown-{raw}")))
    return frozenset(members - {""})


def _code(item: Item, answers: Answers) -> Value:
    raw = answers.get(item.addresses[0], Missing.TIMEOUT)
    if isinstance(raw, Missing):
        return _none_if_absent(raw)
    if raw in item.sentinels:
        return frozenset()
    number = int(_integer(item, answers))
    member = str(item.enum.get(number, "" if number == 0 else f"unknown-{number}"))
    return frozenset({member} if member else ())


def _flag_string(item: Item, answers: Answers) -> Value:
    """Read a string of 0 and 1, counted from 1 (PowerNet-MIB upsBasicStateOutputState)."""
    raw = answers.get(item.addresses[0], Missing.TIMEOUT)
    if isinstance(raw, Missing):
        return _none_if_absent(raw)
    if not isinstance(raw, bytes) or set(raw) - set(b"01"):
        return frozenset()  # "UNKNOWN": the card has no contact with its UPS, which it tells elsewhere
    return frozenset(
        str(name) for place, name in item.enum.items() if name and raw[int(place) - 1 : int(place)] == b"1"
    )


_GRADES: Final = {2: "warning", 3: "shutdown", 4: "trip", 5: "shutdown"}


def _gencomm_alarms(item: Item, answers: Answers) -> Value:
    """Read one alarm a nibble, first alarm in the top nibble (DSE GenComm pages 8 and 154)."""
    members: set[str] = set()
    for place, address in enumerate(item.addresses):
        raw = answers.get(address, Missing.TIMEOUT)
        if isinstance(raw, Missing):
            _none_if_absent(raw)
            continue
        if not isinstance(raw, int):
            continue
        for nibble, name in enumerate(item.names[place]):
            grade = _GRADES.get(raw >> 12 - 4 * nibble & 15)
            if grade and name:
                members.add(f"{name}.{grade}")
    return frozenset(members)


def _alarm(item: Item, answers: Answers) -> Value:
    raw = answers.get(item.addresses[0], Missing.TIMEOUT)
    if isinstance(raw, Missing):
        return _none_if_absent(raw)
    return frozenset({item.alarm} if raw not in item.sentinels and _flag(item, answers) else ())


def _none_if_absent(missing: Missing) -> frozenset[str]:
    """Return no alarms where the device has no such alarm object, else give the reason up."""
    if missing in (Missing.ABSENT, Missing.NULL):
        return frozenset()
    raise _NoValue(missing.value)


_CODES: Final[Mapping[str, Callable[[Item, Answers], Value]]] = {
    "number": _number,
    "enum": _enum,
    "flag": _flag,
    "text": _text,
    "rows": _rows,
    "code": _code,
    "alarm": _alarm,
    "flag-string": _flag_string,
    "gencomm-alarms": _gencomm_alarms,
}
NAMED: Final = frozenset({"flag-string", "gencomm-alarms"})
"""What a driver file may name in `decode =`."""


def _drop_phantoms(readings: dict[str, Reading], now: float, origin: str | None) -> None:
    """Drop rows 2 and 3 that a card shows for a single-phase unit (NetMan, Phoenixtec: 0 or -1).

    Only both together while row 1 of the output is alive: one dead row beside a living one is a lost phase.
    Another side is dropped with the output's rows when its own are as empty: a unit with three phases in and
    one out keeps its input.
    """
    if _empty(readings, "output", ("l1",)) or not _empty(readings, "output", PHASES[1:]):
        return
    for side in ("output", "input", "bypass"):
        if _empty(readings, side, PHASES[1:]):
            for id in _rows_of(readings, side, PHASES[1:]):
                readings[id] = Reading.bad("not-fitted", now, origin)


def _rows_of(readings: Mapping[str, Reading], side: str, phases: tuple[str, ...]) -> list[str]:
    return [id for id in readings if id.startswith(side + ".") and id.endswith(phases)]


def _empty(readings: Mapping[str, Reading], side: str, phases: tuple[str, ...]) -> bool:
    rows = [readings[id] for id in _rows_of(readings, side, phases)]
    return all(row.value in (0, None) and row.reason not in _UNREAD for row in rows)


_AGGREGATES: Final[Mapping[str, Callable[[Iterable[float]], float]]] = {"min": min, "max": max, "sum": sum}


def _aggregate(kind: Kind, readings: dict[str, Reading]) -> None:
    for id, point in kind.points.items():
        if point.aggregate is None or (id in readings and readings[id].value is not None):
            continue
        rows = [readings[f"{id}.{phase}"] for phase in PHASES if f"{id}.{phase}" in readings]
        fitted = [row for row in rows if row.reason not in ("not-fitted", Missing.ABSENT, Missing.NULL)]
        values = [row.value for row in fitted if isinstance(row.value, (int, float))]
        if values and len(values) == len(fitted):
            readings[id] = Reading(round(_AGGREGATES[point.aggregate](values), 6), rows[0].time, origin=rows[0].origin)
        elif rows:
            readings[id] = next((row for row in fitted if row.value is None), rows[0])


def _derived(item: Item, readings: Mapping[str, Reading], now: float, origin: str | None) -> Reading:
    assert item.when is not None  # noqa: S101 - the loader gives every derived item its condition
    holds = item.when.holds(readings)
    return Reading.bad("unknown", now, origin) if holds is None else Reading(holds, now, origin=origin)
