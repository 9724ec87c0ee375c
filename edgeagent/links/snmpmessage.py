"""What is asked of an SNMP device and what comes back, whatever bytes it travels in.

Owns the types between the link and the codecs, and the one look at a packet's head that tells whose it is. Loads no
pysnmp, so that the link can be imported where no SNMP device is.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple, Protocol

from edgeagent.readings import Missing, Raw


class Ask(StrEnum):
    """What is asked of the device for each name."""

    GET = "get"
    NEXT = "next"


class Status(IntEnum):
    """The error-status words that change what is asked next (RFC 3416 §3)."""

    NO_ERROR = 0
    TOO_BIG = 1
    NO_SUCH_NAME = 2
    NO_ACCESS = 6
    AUTHORIZATION_ERROR = 16


class Row(NamedTuple):
    """One variable binding: dotted name, BER tag as snmprec files write it (2 INTEGER, 65 Counter32 …), value."""

    oid: str
    tag: int
    value: Raw


class Response(NamedTuple):
    """A Response-PDU: error-status, error-index counted from 1 (0 is none), variable bindings as three columns."""

    status: int
    error_index: int
    names: tuple[str, ...]
    tags: bytes
    values: tuple[Raw, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The variable bindings one by one."""
        return tuple(map(Row, self.names, self.tags, self.values))


class Foreign(Exception):
    """The bytes are no answer of the device that was asked; they are dropped without a word."""


class Session(Protocol):
    """How one device is spoken to: the community or user, and what was learnt of its engine."""

    version: int
    """As the message carries it: 0 is v1, 1 is v2c, 3 is v3."""

    def wrap(self, ask: Ask, oids: tuple[str, ...], ident: int) -> bytes:
        """Encode a request; `ident` is its request-id and, in v3, its msgID."""

    def unwrap(self, data: bytes, ident: int, oids: tuple[str, ...]) -> Response | Missing | None:
        """Decode an answer to a question for these names, whose version and id are known to fit.

        Returns None when the device only told its engine id or clock and wants to be asked again, a `Missing`
        when it refuses. Raises `Foreign`, and whatever the codec raises on bytes that are no message.
        """

    def forget(self) -> None:
        """Drop what was learnt of the device; the next request learns it anew."""


FIRST_ID: Final = 0x01000000
LAST_ID: Final = 0x7FFFFFFE
"""Request-ids between these take exactly four bytes, so that an encoded request is used again with another id."""


def peek(data: bytes) -> tuple[int, int, int] | None:
    """Return version, request-id (v3: msgID) and where that lies in a response, None when it does not begin like one.

    Costs a hundredth of decoding: late and foreign packets are dropped on it.
    """
    try:
        at, _ = enter(data, 0, 0x30)
        at, end = enter(data, at, 0x02)
        version = int.from_bytes(data[at:end], "big")
        if version == 3:
            at, _ = enter(data, end, 0x30)
        else:
            _, end = enter(data, end, 0x04)
            at, _ = enter(data, end, 0xA2)
        at, end = enter(data, at, 0x02)
    except (IndexError, ValueError):
        return None
    return version, int.from_bytes(data[at:end], "big", signed=True), at


def enter(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Return where the content of the element at `at` begins and ends."""
    if data[at] != tag:
        raise ValueError(tag)
    length = data[at + 1]
    at += 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    return at, at + length
