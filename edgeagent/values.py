"""One item's raw answer to a value. Pure; what has none gives its reason.

Order: sentinel on the raw value, then sign, bits, enum, scale.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Final

from edgeagent.items import ABSENT, REGISTERS, REST, Item
from edgeagent.readings import Answers, Missing, Raw, Value

_GENCOMM: Final = ("not-available", "over-range", "under-range", "sensor-fault", "bad-data", "input-high", "input-low")
SENTINELS: Final[Mapping[str, Mapping[str, Mapping[Raw, str]]]] = {
    # DSE GenComm standard 2.210, "Sentinel values": counted down from the highest number of the type.
    "gencomm": {
        type: {top - step: reason for step, reason in enumerate(_GENCOMM)}
        for type, top in (("u16", 0xFFFF), ("s16", 0x7FFF), ("u32", 0xFFFFFFFF), ("s32", 0x7FFFFFFF))
    }
}

_NUMBER: Final = re.compile(rb"\s*([+-]?\d+(?:\.\d+)?)")
MOST: Final = 2**64 - 1
"""What no number of a device exceeds (Counter64, u64)."""
DIGITS: Final = len(str(MOST))
"""More digits than any number of a device has."""


class NoValue(Exception):
    """Why one item has no value. No error: it is the reason of a bad reading."""


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


def _raw(item: Item, answers: Answers, address: str | None = None) -> Raw:
    """Return the raw value of one address, sentinels already turned into reasons."""
    raw = _plain(answers, address or item.addresses[0])
    if not isinstance(raw, float) and raw in item.sentinels:
        raise NoValue(item.sentinels[raw])
    return raw


def _plain(answers: Answers, address: str) -> Raw:
    raw = answers.get(address, Missing.TIMEOUT)
    if isinstance(raw, Missing):
        raise NoValue(raw.value)
    if isinstance(raw, (int, float)) and not -MOST <= raw <= MOST:  # not a number is neither
        raise NoValue(Missing.MALFORMED)
    return raw


def integer(item: Item, answers: Answers) -> int | float:
    """Join registers, test sentinels, apply sign and bits: the raw number before its scale."""
    if len(item.addresses) > 1:
        # A sentinel is a number of the whole: 0xFFFF may well be one half of a good one.
        words = [_plain(answers, address) for address in item.addresses]
        joined = 0
        for word in words if item.word_order == "big" else reversed(words):
            if not isinstance(word, int):
                raise NoValue(Missing.MALFORMED)
            joined = joined << 16 | word & 0xFFFF
        if joined in item.sentinels:
            raise NoValue(item.sentinels[joined])
        raw: Raw = joined
    else:
        raw = _raw(item, answers)
    if isinstance(raw, bytes):
        match = _NUMBER.match(raw)
        if match is None:
            raise NoValue(Missing.NULL if not raw.strip() else Missing.MALFORMED)
        raw = float(match.group(1))
        if raw in item.sentinels:
            raise NoValue(item.sentinels[raw])
    if isinstance(raw, str):
        raise NoValue(Missing.MALFORMED)
    if item.valid is not None and not item.valid[0] <= raw <= item.valid[1]:
        raise NoValue("not-available")
    if isinstance(raw, float):
        if abs(raw) > MOST:
            raise NoValue(Missing.MALFORMED)
        return raw
    if item.type == "f32":
        number: float = struct.unpack(">f", (raw & 0xFFFFFFFF).to_bytes(4, "big"))[0]
        if not math.isfinite(number):
            raise NoValue("not-available")
        return float(f"{number:.7g}")  # what single precision holds: 231.3, not 231.3000030517578
    bits = 16 * REGISTERS.get(item.type, 0)
    if item.type.startswith("s") and bits and raw >> bits - 1:
        raw -= 1 << bits
    if item.bits is not None:
        low, high = item.bits
        raw = raw >> low & (1 << high - low + 1) - 1
    return raw


def number(item: Item, answers: Answers) -> Value:
    """Return a number in the unit of its point."""
    # Rounded: 0.1 x 2313 is 231.3, not 231.30000000000001.
    number = round(integer(item, answers) * item.scale + item.offset, 6)
    return int(number) if number == int(number) else number


def share(item: Item, answers: Answers) -> Value:
    """Return which part of a whole a number is, in the unit of its point."""
    part, whole = (_unsigned(_plain(answers, address)) for address in item.addresses)
    if not whole:
        raise NoValue("not-available")
    return round(part / whole * item.scale + item.offset, 2)


def _unsigned(raw: Raw) -> int:
    """Read a size: what is too large for 31 bits comes as a negative number (hrStorageSize, RFC 2790 §4.2)."""
    if not isinstance(raw, int) or raw < -(2**31):
        raise NoValue(Missing.MALFORMED)
    return raw if raw >= 0 else raw + 2**32


def enum(item: Item, answers: Answers) -> Value:
    """Return the word for a raw number or text, `unknown-<raw>` where the driver has none, not even for all others."""
    if ABSENT in item.enum and answers.get(item.addresses[0]) is Missing.ABSENT:
        return item.enum[ABSENT]
    raw = _raw(item, answers) if len(item.addresses) == 1 and item.bits is None else integer(item, answers)
    key = text_of(raw) if isinstance(raw, bytes) else raw
    if isinstance(key, float):
        key = int(key)
    if key not in item.enum and isinstance(key, str) and len(key) <= DIGITS and key.isdecimal():
        key = int(key)
        if key in item.sentinels:
            raise NoValue(item.sentinels[key])
    if key in item.enum:
        return item.enum[key]
    return item.enum.get(REST, f"unknown-{key}")


def flag(item: Item, answers: Answers) -> Value:
    """Return a flag; it may be wired the other way round."""
    raw = integer(item, answers)
    flag = raw != 0 if item.equals is None else raw in item.equals
    return flag is not item.invert


def text(item: Item, answers: Answers) -> Value:
    """Return a text, in one answer or spread over registers."""
    if len(item.addresses) > 1:  # one or two characters a register
        words = [_raw(item, answers, address) for address in item.addresses]
        raw: Raw = b"".join(
            word.to_bytes(2, "big").lstrip(b"\0") for word in words if isinstance(word, int) and 0 <= word <= 0xFFFF
        )
    else:
        raw = _raw(item, answers)
    text = text_of(raw) if isinstance(raw, bytes) else str(raw)
    if text in item.sentinels:
        raise NoValue(item.sentinels[text])
    if not text:
        raise NoValue(Missing.NULL)
    return text
