"""The bytes of SNMPv3 messages (RFC 3412 §6, RFC 3414 §2.4): the frame around a scoped PDU, read and written.

Owns the frame, not what is in it, and the checks that need no more than one user's keys. Knows no clocks and no
sockets. What is wrong with a packet comes out as `Malformed` and nothing else.
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple, TypeAlias

from edgeagent.links.ber import INTEGER, OCTETS, SEQUENCE, Malformed, enter, integer, tlv
from edgeagent.links.usm import AUTHENTICATED, PRIVATE, REPORTABLE, Keys

_LARGEST: Final = integer(65507)
"""msgMaxSize: what a UDP datagram holds."""
_VERSION: Final = integer(3)
_MODEL: Final = 3
"""msgSecurityModel of RFC 3414."""
_USM: Final = integer(_MODEL)
LARGEST: Final = 0x7FFFFFFF
"""The highest number in a frame, and so the highest boots and time (RFC 3414 §2.2.2)."""
_ENGINE: Final = 32
"""Bytes of an engine id, and of a user's name, at most (RFC 3411 §5)."""


class Frame(NamedTuple):
    """What stands around the data of a message: `data` to `end`, a scoped PDU or, if private, its cipher's octets.

    Of the digest it is told where it begins and ends.
    """

    ident: int
    level: int
    reportable: bool
    engine: bytes
    boots: int
    time: int
    user: bytes
    digest: tuple[int, int]
    salt: bytes
    data: int
    end: int


Span: TypeAlias = tuple[int, int]
"""Where the content of an element begins and ends."""


def read(message: bytes) -> Frame:
    """Read a message's frame. Raises `Malformed`."""
    return spans(message)[0]


def spans(message: bytes) -> tuple[Frame, tuple[Span, Span, Span]]:
    """Read it, and tell where msgID, the engine's time and the salt lie. Raises `Malformed`."""
    try:
        at, end = enter(message, 0, len(message), SEQUENCE)
        at, stop = enter(message, at, end, INTEGER)
        if message[at:stop] != b"\x03":
            raise Malformed("another version")
        at, header = enter(message, stop, end, SEQUENCE)
        ident = _number(message, at, header)
        at, stop = enter(message, _number(message, ident[1], header)[1], header, OCTETS)
        flags = message[at] if stop == at + 1 else PRIVATE
        model = value(message, _number(message, stop, header))
        level = flags & (AUTHENTICATED | PRIVATE)
        if model != _MODEL or level == PRIVATE:
            raise Malformed("a security model or level that does not exist")
        at, data = enter(message, header, end, OCTETS)
        at, stop = enter(message, at, data, SEQUENCE)
        first, at = enter(message, at, stop, OCTETS)
        engine = message[first:at]
        boots = _number(message, at, stop)
        now = _number(message, boots[1], stop)
        first, at = enter(message, now[1], stop, OCTETS)
        user = message[first:at]
        digest = enter(message, at, stop, OCTETS)
        salt = enter(message, digest[1], stop, OCTETS)
    except IndexError as error:
        raise Malformed("cut short") from error
    if len(engine) > _ENGINE or len(user) > _ENGINE:
        raise Malformed("security parameters out of range")
    frame = Frame(
        value(message, ident), level, bool(flags & REPORTABLE), engine, value(message, boots), value(message, now),
        user, digest, message[slice(*salt)], data, end,
    )  # fmt: skip
    return frame, (ident, now, salt)


def _number(message: bytes, at: int, stop: int) -> Span:
    """Find a number from 0 to 2^31-1, as all in a frame are."""
    span = enter(message, at, stop, INTEGER)
    if not span[0] < span[1] <= span[0] + 5 or not 0 <= value(message, span) <= LARGEST:
        raise Malformed("a number out of range")
    return span


def value(message: bytes, span: Span) -> int:
    """Return the number that lies there."""
    return int.from_bytes(message[span[0] : span[1]], "big", signed=True)


def authentic(message: bytes, frame: Frame, keys: Keys) -> bool:
    """Tell whether a message was written with these keys (RFC 3414 §6.3.2)."""
    start, stop = frame.digest
    if stop - start != keys.size:
        return False
    zeroed = message[:start] + bytes(keys.size) + message[stop:]
    return hmac.compare_digest(message[start:stop], keys.digest(zeroed))


def opened(message: bytes, frame: Frame, keys: Keys) -> bytes:
    """Return the scoped PDU of a message in clear; padding may follow. Raises `Malformed`."""
    if not frame.level & PRIVATE:
        return message[frame.data : frame.end]
    if keys.privacy is None:
        raise Malformed("no key for what is in it")
    try:
        start, stop = enter(message, frame.data, frame.end, OCTETS)
    except IndexError as error:
        raise Malformed("cut short") from error
    return keys.privacy.decrypt(frame.boots, frame.time, frame.salt, message[start:stop])


def inside(scoped: bytes) -> tuple[int, int]:
    """Return where the PDU in a scoped PDU begins and where that ends. Raises `Malformed`."""
    try:
        at, end = enter(scoped, 0, len(scoped), SEQUENCE)
        _, at = enter(scoped, at, end, OCTETS)
        _, at = enter(scoped, at, end, OCTETS)
    except IndexError as error:
        raise Malformed("cut short") from error
    return at, end


def write(
    flags: int, ident: int, engine: bytes, boots: int, now: int, user: bytes, keys: Keys, scoped: bytes
) -> bytes:  # fmt: skip
    """Write a message around a scoped PDU: encrypt, then sign, as the level in `flags` says."""
    salt, size = b"", keys.size if flags & AUTHENTICATED else 0
    if flags & PRIVATE and keys.privacy is not None:
        ciphered, salt = keys.privacy.encrypt(boots, now, scoped)
        scoped = tlv(OCTETS, ciphered)
    salted = tlv(OCTETS, salt)
    security = tlv(
        SEQUENCE, tlv(OCTETS, engine), integer(boots), integer(now), tlv(OCTETS, user), tlv(OCTETS, bytes(size)), salted
    )
    head = tlv(SEQUENCE, integer(ident), _LARGEST, tlv(OCTETS, bytes((flags,))), _USM)
    whole = tlv(SEQUENCE, _VERSION, head, tlv(OCTETS, security), scoped)
    at = len(whole) - len(scoped) - len(salted) - size
    return whole[:at] + keys.digest(whole) + whole[at + size :] if size else whole
