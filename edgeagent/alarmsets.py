"""The alarms that a device reports of itself: every way in which devices say them, to a set of alarm ids. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edgeagent.items import REST, Item
from edgeagent.readings import Answers, Missing, Value
from edgeagent.values import DIGITS, MOST, NoValue, flag, integer, text_of

UNLISTED: Final = "unlisted"
"""Member of a set of alarms: the device counts alarms and lists none."""
_COUNTED: Final = 100
"""More alarms at once than any device has; beyond it the count is made up."""
OTHER: Final = REST
"""The key of a map that stands for all that it does not name."""


def _rows(item: Item, answers: Answers) -> Value:
    """Read an SNMP table whose rows hold what is wrong: OIDs (RFC 1628 §4.6), or numbers or texts of the maker's."""
    assert item.walk is not None  # noqa: S101 - the loader gives every rows item its walk
    state = answers.get(item.walk, Missing.TIMEOUT)
    if isinstance(state, Missing):
        return _none_if_absent(state)
    below = item.below + "."
    members: set[str] = set()
    for address, raw in answers.items():
        if not address.startswith(item.walk + ".") or isinstance(raw, (Missing, float)):
            continue
        if raw in item.sentinels or (isinstance(raw, int) and abs(raw) > MOST):
            continue
        if not item.below:
            members.add(_member(item, raw))
        elif isinstance(raw, str) and set(raw) - set("0."):  # CE+T and others: empty rows are 0.0, or more zeros
            members.add(_member(item, raw.removeprefix(below), raw))
    if not members and item.addresses:
        count = answers.get(item.addresses[0])
        if isinstance(count, int) and 0 < count <= _COUNTED:
            return frozenset({UNLISTED})
    return frozenset(members - {""})


def _code(item: Item, answers: Answers) -> Value:
    raw = answers.get(item.addresses[0], Missing.TIMEOUT)
    if isinstance(raw, Missing):
        return _none_if_absent(raw)
    if not isinstance(raw, bytes) or all(isinstance(key, int) or key == OTHER for key in item.enum):
        number = _whole(item, answers)
        if number is None:
            return frozenset()
        raw = number
    elif text_of(raw) in item.sentinels:
        return frozenset()
    return frozenset({_member(item, raw)} - {""})


def _whole(item: Item, answers: Answers) -> int | None:
    """Return the raw number of an alarm object, None where a sentinel says that there is none."""
    try:
        return int(integer(item, answers))
    except NoValue as reason:
        if str(reason) in item.sentinels.values():
            return None
        raise


def _member(item: Item, raw: str | bytes | int, shown: str = "") -> str:
    """Look one raw alarm up: a number, or a text or the tail of an OID, which may be a number too."""
    key = text_of(raw) if isinstance(raw, bytes) else raw
    if isinstance(key, str) and len(key) <= DIGITS and key.isdecimal():
        key = int(key)
    if key in item.enum:
        return str(item.enum[key])
    if key in (0, ""):
        return ""
    return str(item.enum.get(OTHER, f"unknown-{shown or key}"))


def _number_list(item: Item, answers: Answers) -> Value:
    """Read a text of numbers: "1,5,23"."""
    raw = answers.get(item.addresses[0], Missing.TIMEOUT)
    if isinstance(raw, Missing):
        return _none_if_absent(raw)
    if not isinstance(raw, bytes):
        raise NoValue(Missing.MALFORMED)
    words = (word.strip() for word in text_of(raw).split(","))
    return frozenset({_member(item, word) for word in words if word not in item.sentinels} - {""})


def _bitmap(item: Item, answers: Answers) -> Value:
    """Read one alarm a bit, bit 0 the lowest."""
    first = answers.get(item.addresses[0], Missing.TIMEOUT)
    if isinstance(first, Missing):
        return _none_if_absent(first)
    number = _whole(item, answers)
    if number is None:
        return frozenset()
    rest = item.enum.get(OTHER)
    bits = (bit for bit in range(number.bit_length()) if number >> bit & 1) if number > 0 else iter(())
    return frozenset({str(item.enum.get(bit, f"unknown-bit-{bit}" if rest is None else rest)) for bit in bits} - {""})


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
    return frozenset({item.alarm} if raw not in item.sentinels and flag(item, answers) else ())


def _none_if_absent(missing: Missing) -> frozenset[str]:
    """Return no alarms where the device has no such alarm object, else give the reason up."""
    if missing in (Missing.ABSENT, Missing.NULL):
        return frozenset()
    raise NoValue(missing.value)


SETS: Final[Mapping[str, Callable[[Item, Answers], Value]]] = {
    "rows": _rows,
    "code": _code,
    "alarm": _alarm,
    "flag-string": _flag_string,
    "gencomm-alarms": _gencomm_alarms,
    "bitmap": _bitmap,
    "number-list": _number_list,
}
"""Decoders of set points."""
NAMED: Final = frozenset({"flag-string", "gencomm-alarms", "bitmap", "number-list"})
"""What a driver file may name in `decode =`."""
