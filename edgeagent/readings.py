"""What the wire said and what it means: raw answers, readings and their quality.

Owns the value types that every other module passes around. Imports nothing of the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar, dataclass_transform

_T = TypeVar("_T")

Value: TypeAlias = bool | int | float | str | frozenset[str]
"""A decoded value: flag, number (in the point's UCUM unit), enum word or text, set of alarm ids."""


class Quality(StrEnum):
    """How far a value can be trusted."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


class Missing(StrEnum):
    """Why the wire gave no usable answer for one address."""

    TIMEOUT = "timeout"
    """Nothing came back before the deadline."""
    LINK_DOWN = "link-down"
    """The session, port or bus itself is not there."""
    GATEWAY = "gateway"
    """A gateway answered for a unit that is gone (Modbus exceptions 10 and 11)."""
    DENIED = "denied"
    """The device refused us: SNMPv3 user, digest or key, noAccess."""
    ABSENT = "absent"
    """The device answered and has no such object (noSuchObject, noSuchInstance, exception 2 or 3)."""
    NULL = "null"
    """The device answered with an ASN.1 NULL or an empty value."""
    BUSY = "busy"
    """The device asked us to come back later (exceptions 5 and 6)."""
    ERROR = "error"
    """The device reported its own failure (genErr, exceptions 1 and 4)."""
    MALFORMED = "malformed"
    """The answer was not what the protocol allows."""

    @property
    def silent(self) -> bool:
        """Tell whether this says nothing about the device but that it cannot be read."""
        return self in _SILENT


_SILENT: Final = frozenset({Missing.TIMEOUT, Missing.LINK_DOWN, Missing.GATEWAY, Missing.DENIED})

Raw: TypeAlias = int | float | bytes | str | Missing
"""One raw answer. SNMP: numbers int, OCTET STRING bytes, OBJECT IDENTIFIER str (dotted).
Modbus: one register or bit as int. Host: what psutil gave."""

Answers: TypeAlias = Mapping[str, Raw]
"""Raw answers by address. SNMP: dotted OID with instance, "1.3.6.1.2.1.33.1.4.1.0".
Modbus: table letter and 0-based PDU address, "h1032" holding, "i4" input, "c16" coil, "d0" discrete.
Host: dotted name, "cpu.percent"."""


def silence(answers: Answers) -> Missing | None:
    """Return why a whole poll went unanswered, or None when anything at all was answered."""
    reason: Missing | None = None
    for raw in answers.values():
        if not isinstance(raw, Missing) or not raw.silent:
            return None
        reason = raw
    return reason or Missing.TIMEOUT


def fruitless(answers: Answers, wanted: Iterable[str]) -> Missing | None:
    """Return why none of the wanted addresses has a value, or None when one has: garbage and refusals are none."""
    reason: Missing | None = None
    for address in wanted:
        raw = answers.get(address, Missing.TIMEOUT)
        if not isinstance(raw, Missing):
            return None
        reason = raw
    return reason


UNKNOWN_ENUM: Final = "unknown-enum"
"""Reason of an uncertain reading whose raw number the driver has no word for. It neither raises nor clears."""


PARTIAL: Final = "partial"
"""Reason of an uncertain set of which a source could not be read: what it shows is so, what it lacks is unknown."""


UNVERIFIED: Final = "unverified"
"""Reason of an uncertain reading whose meaning no good source confirms."""


@dataclass_transform(frozen_default=True)
def _value(cls: type[_T]) -> type[_T]:
    """Make a frozen slotted dataclass that only the type checker keeps frozen.

    One is made for each number that moves, and what freezes it at run time takes three quarters of that.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@_value
class Reading:
    """One decoded value with what it is worth.

    `value` is None exactly when `quality` is bad. `reason` says why the quality is not good: a `Missing`
    word, "sentinel" or a named sentinel such as "sensor-fault", "out-of-range", "implausible", "unknown-enum".
    `time` is when the answer was taken, in seconds since the epoch. `origin` is the id of the drill that
    replaced the raw answer, None for the real thing.
    """

    value: Value | None
    time: float
    quality: Quality = Quality.GOOD
    reason: str | None = None
    origin: str | None = None

    @staticmethod
    @lru_cache(maxsize=64)
    def bad(reason: str, time: float, origin: str | None = None) -> Reading:
        """Build a reading without a value: one for all points that a device lacks, and a device lacks many."""
        return Reading(None, time, Quality.BAD, reason, origin)

    def same(self, other: Reading | None) -> bool:
        """Tell whether both say the same, their times aside."""
        return (
            other is not None
            and self.value == other.value
            and self.quality is other.quality
            and self.reason == other.reason
            and self.origin == other.origin
        )


Readings: TypeAlias = Mapping[str, Reading]
"""The readings of one device by point id."""
