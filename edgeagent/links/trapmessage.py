"""What a trap or an inform says, read from its bytes: v1 (RFC 1157 §4.1.6), v2c and the frame of v3 (RFC 3416 §4.2.6).

Reads no more of a packet than what says who sent it and why. No pyasn1: that takes a millisecond a packet, and a burst
would run over the socket's buffer meanwhile. Knows no sockets, no devices and no secrets. What is wrong with a packet
comes out as `Malformed` and nothing else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final, NamedTuple

from edgeagent.links.ber import INTEGER, OCTETS, OID, RESPONSE, SEQUENCE, Malformed, dotted, enter, identifier

ADDRESS, COUNTER = 0x40, 0x41
TRAP_V1, INFORM, TRAP_V2, REPORT = 0xA4, 0xA6, 0xA7, 0xA8

_ENTERPRISE_SPECIFIC: Final = 6
_BINDINGS: Final = 64
"""Variable bindings looked at: what matters stands first, and a packet may hold ten thousand."""
_LONGEST: Final = 128 * 5
"""Bytes of an OBJECT IDENTIFIER at most: 128 sub-identifiers of 32 bits (RFC 2578 §3.5)."""

_TRAP_OID: Final = bytes.fromhex("2b060106030101040100")
"""snmpTrapOID.0, 1.3.6.1.6.3.1.1.4.1.0 (RFC 3418 §2)."""
_TRAP_ADDRESS: Final = bytes.fromhex("2b0601060312010300")
"""snmpTrapAddress.0, 1.3.6.1.6.3.18.1.3.0: whom a proxy relayed it for (RFC 3584 §3.1)."""
_TRAP_COMMUNITY: Final = bytes.fromhex("2b0601060312010400")
"""snmpTrapCommunity.0, 1.3.6.1.6.3.18.1.4.0: the community it came to the proxy with (RFC 3584 §3.1)."""

_STANDARD: Final = "1.3.6.1.6.3.1.1.5"
_GENERIC: Final = ("coldStart", "warmStart", "linkDown", "linkUp", "authenticationFailure", "egpNeighborLoss")
_UPS: Final = ("upsTrapOnBattery", "upsTrapTestCompleted", "upsTrapAlarmEntryAdded", "upsTrapAlarmEntryRemoved")
_NAMES: Final[Mapping[str, str]] = {
    **{f"{_STANDARD}.{number}": name for number, name in enumerate(_GENERIC, 1)},
    # RFC 1628 §4 has 33.2.k; an agent that speaks v1 converts it to 33.2.0.k and back (RFC 3584 §3.1).
    **{f"1.3.6.1.2.1.33.2{zero}.{number}": name for number, name in enumerate(_UPS, 1) for zero in ("", ".0")},
}
_SPELT: Final = {identifier(oid)[2:]: oid for oid in _NAMES}


class Notification(NamedTuple):
    """One trap or inform. `oid` is snmpTrapOID.0, made from enterprise and number in v1; "" when it has none.

    `origin` is whom it was relayed for and `community` the one it came to the relay with, as the packet claims; only
    a trusted forwarder is believed. `inform` wants an answer.
    """

    oid: str
    origin: str = ""
    community: bytes | None = None
    inform: bool = False

    @property
    def name(self) -> str:
        """The MIB's name where it is known, and the OID."""
        known = _NAMES.get(self.oid)
        return f"{known} ({self.oid})" if known else self.oid or "without snmpTrapOID"


class Plain(NamedTuple):
    """A v1 or v2c message: where its PDU begins, to answer an inform by changing that one byte (RFC 3416 §4.2.7)."""

    community: bytes
    notification: Notification
    pdu: int


def version_of(data: bytes) -> int:
    """Return the version of a message: 0 is v1, 1 is v2c, 3 is v3. Raises `Malformed`."""
    try:
        return _number(data, enter(data, 0, len(data), SEQUENCE)[0], len(data))[0]
    except IndexError as error:
        raise Malformed("cut short") from error


def read(data: bytes) -> Plain:
    """Read a v1 or v2c message. Raises `Malformed`."""
    try:
        at, stop = enter(data, 0, len(data), SEQUENCE)
        version, at = _number(data, at, stop)
        start, at = enter(data, at, stop, OCTETS)
        if version not in (0, 1):
            raise Malformed(f"version {version}")
        if (data[at] == TRAP_V1) is not (version == 0):
            raise Malformed("a PDU that is no notification of this version")
    except IndexError as error:
        raise Malformed("cut short") from error
    return Plain(data[start:at], notification(data, at, stop), at)


def notification(data: bytes, at: int, end: int) -> Notification:
    """Read the PDU at `at`. Raises `Malformed`, also for a PDU that is no notification."""
    try:
        tag = data[at]
        start, stop = enter(data, at, end, tag)
        if tag == TRAP_V1:
            return _first(data, start, stop)
        if tag in (TRAP_V2, INFORM):
            return _second(data, start, stop, inform=tag == INFORM)
    except IndexError as error:
        raise Malformed("cut short") from error
    raise Malformed(f"PDU 0x{tag:02x}")


def _first(data: bytes, at: int, stop: int) -> Notification:
    """Read a v1 Trap-PDU and name it as RFC 3584 §3.1 does: a standard trap, or enterprise.0.specific."""
    start, at = enter(data, at, stop, OID)
    enterprise = data[start:at]
    start, at = enter(data, at, stop, ADDRESS)
    address = data[start:at]
    generic, at = _number(data, at, stop)
    specific, _ = _number(data, at, stop)
    standard = 0 <= generic < _ENTERPRISE_SPECIFIC
    oid = f"{_STANDARD}.{generic + 1}" if standard else f"{_spelled(enterprise)}.0.{specific}"
    return Notification(oid, _address(address))


def _second(data: bytes, at: int, stop: int, *, inform: bool) -> Notification:
    for _ in range(3):  # request-id, error-status, error-index
        _, at = _number(data, at, stop)
    at, stop = enter(data, at, stop, SEQUENCE)
    oid, origin, community = "", "", None
    left = _BINDINGS
    while at < stop and left:
        left -= 1
        start, after = enter(data, at, stop, SEQUENCE)
        start, end = enter(data, start, after, OID)
        name, tag = data[start:end], data[end]
        start, end = enter(data, end, after, tag)
        if name == _TRAP_OID and tag == OID:
            oid = _spelled(data[start:end])
        elif name == _TRAP_ADDRESS and tag == ADDRESS:
            origin = _address(data[start:end])
        elif name == _TRAP_COMMUNITY and tag == OCTETS:
            community = data[start:end]
        at = after
    return Notification(oid, origin, community, inform)


def _number(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """Read an INTEGER; return it and where the next element begins."""
    start, end = enter(data, at, stop, INTEGER)
    if not start < end <= start + 5:
        raise Malformed("a number of that length")
    return int.from_bytes(data[start:end], "big", signed=True), end


def _spelled(content: bytes) -> str:
    """Spell an OBJECT IDENTIFIER; not by what is kept of spellings, which anybody could fill with traps."""
    known = _SPELT.get(content)
    if known is not None:
        return known
    if len(content) > _LONGEST:
        raise Malformed("an object identifier that is none")
    return dotted.__wrapped__(content)


def _address(content: bytes) -> str:
    """Spell an IpAddress; 0.0.0.0 is what agents say that do not know their own."""
    if len(content) != 4:
        raise Malformed("an IpAddress of another length")
    return str(ipaddress.IPv4Address(content)) if any(content) else ""


def answer(data: bytes, pdu: int) -> bytes:
    """Turn a message with an inform into its answer: the same, but a Response-PDU (RFC 3416 §4.2.7)."""
    return data[:pdu] + bytes([RESPONSE]) + data[pdu + 1 :]
