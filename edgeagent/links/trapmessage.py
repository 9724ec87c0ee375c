"""What a trap or an inform says, read from its bytes: v1 (RFC 1157 §4.1.6), v2c and the frame of v3 (RFC 3416 §4.2.6).

Owns a BER reader and writer of just what a notification needs. No pyasn1: that takes a millisecond a packet, and a
burst would run over the socket's buffer meanwhile. Knows no sockets, no devices and no secrets. What is wrong with a
packet comes out as `Malformed` and nothing else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

INTEGER, OCTETS, NULL, OID, SEQUENCE, ADDRESS, COUNTER = 0x02, 0x04, 0x05, 0x06, 0x30, 0x40, 0x41
RESPONSE, TRAP_V1, INFORM, TRAP_V2, REPORT = 0xA2, 0xA4, 0xA6, 0xA7, 0xA8

_ENTERPRISE_SPECIFIC: Final = 6
_BINDINGS: Final = 64
"""Variable bindings looked at: what matters stands first, and a packet may hold ten thousand."""
_ARCS: Final = 128
"""Sub-identifiers of an OBJECT IDENTIFIER at most (RFC 2578 §3.5)."""
_LONGEST: Final = 1 << 16

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


class Malformed(ValueError):
    """The bytes are no notification."""


@dataclass(frozen=True, slots=True)
class Notification:
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


@dataclass(frozen=True, slots=True)
class Plain:
    """A v1 or v2c message: where its PDU begins, to answer an inform by changing that one byte (RFC 3416 §4.2.7)."""

    community: bytes
    notification: Notification
    pdu: int


class Element(NamedTuple):
    """One BER element: its tag, where it begins, where its content begins and ends."""

    tag: int
    at: int
    start: int
    stop: int


def element(data: bytes, at: int, end: int, tag: int | None = None) -> Element:
    """Read the head of the element at `at`, which must lie before `end` with all its content."""
    if at + 2 > end:
        raise Malformed("cut short")
    found, length, start = data[at], data[at + 1], at + 2
    if tag is not None and found != tag:
        raise Malformed(f"0x{found:02x} in the place of 0x{tag:02x}")
    if length & 0x80:
        size = length & 0x7F
        if not 0 < size <= 4 or start + size > end:
            raise Malformed("a length that BER in SNMP does not have")
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if start + length > end:
        raise Malformed("cut short")
    return Element(found, at, start, start + length)


def number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read an INTEGER; return it and where the next element begins."""
    _, _, start, stop = element(data, at, end, INTEGER)
    if not 0 < stop - start <= 5:
        raise Malformed("a number of that length")
    return int.from_bytes(data[start:stop], "big", signed=True), stop


def octets(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Read an OCTET STRING; return it and where the next element begins."""
    _, _, start, stop = element(data, at, end, OCTETS)
    return data[start:stop], stop


def version_of(data: bytes) -> int:
    """Return the version of a message: 0 is v1, 1 is v2c, 3 is v3. Raises `Malformed`."""
    return number(data, element(data, 0, len(data), SEQUENCE).start, len(data))[0]


def read(data: bytes) -> Plain:
    """Read a v1 or v2c message. Raises `Malformed`."""
    outer = element(data, 0, len(data), SEQUENCE)
    version, at = number(data, outer.start, outer.stop)
    community, at = octets(data, at, outer.stop)
    if version not in (0, 1):
        raise Malformed(f"version {version}")
    tag = data[at] if at < outer.stop else 0
    if (tag == TRAP_V1) is not (version == 0):
        raise Malformed("a PDU that is no notification of this version")
    return Plain(community, notification(data, at, outer.stop), at)


def notification(data: bytes, at: int, end: int) -> Notification:
    """Read the PDU at `at`. Raises `Malformed`, also for a PDU that is no notification."""
    tag, _, start, stop = element(data, at, end)
    if tag == TRAP_V1:
        return _first(data, start, stop)
    if tag not in (TRAP_V2, INFORM):
        raise Malformed(f"PDU 0x{tag:02x}")
    for _ in range(3):  # request-id, error-status, error-index
        _, start = number(data, start, stop)
    oid, origin, community = "", "", None
    for name, value in _bindings(data, start, stop):
        content = data[value.start : value.stop]
        if name == _TRAP_OID and value.tag == OID:
            oid = dotted(content)
        elif name == _TRAP_ADDRESS and value.tag == ADDRESS:
            origin = _address(content)
        elif name == _TRAP_COMMUNITY and value.tag == OCTETS:
            community = content
    return Notification(oid, origin, community, tag == INFORM)


def _first(data: bytes, start: int, stop: int) -> Notification:
    """Read a v1 Trap-PDU and name it as RFC 3584 §3.1 does: a standard trap, or enterprise.0.specific."""
    enterprise = element(data, start, stop, OID)
    address = element(data, enterprise.stop, stop, ADDRESS)
    generic, at = number(data, address.stop, stop)
    specific, _ = number(data, at, stop)
    if 0 <= generic < _ENTERPRISE_SPECIFIC:
        oid = f"{_STANDARD}.{generic + 1}"
    else:
        oid = f"{dotted(data[enterprise.start : enterprise.stop])}.0.{specific}"
    return Notification(oid, _address(data[address.start : address.stop]))


def _bindings(data: bytes, start: int, stop: int) -> list[tuple[bytes, Element]]:
    rows = element(data, start, stop, SEQUENCE)
    found: list[tuple[bytes, Element]] = []
    at = rows.start
    while at < rows.stop and len(found) < _BINDINGS:
        row = element(data, at, rows.stop, SEQUENCE)
        name = element(data, row.start, row.stop, OID)
        found.append((data[name.start : name.stop], element(data, name.stop, row.stop)))
        at = row.stop
    return found


def _address(content: bytes) -> str:
    """Spell an IpAddress; 0.0.0.0 is what agents say that do not know their own."""
    if len(content) != 4:
        raise Malformed("an IpAddress of another length")
    return str(ipaddress.IPv4Address(content)) if any(content) else ""


def dotted(content: bytes) -> str:
    """Spell the content of an OBJECT IDENTIFIER. Raises `Malformed`."""
    arcs: list[int] = []
    arc = 0
    for byte in content:
        arc = arc << 7 | byte & 0x7F
        if arc >> 39 or len(arcs) == _ARCS:
            raise Malformed("an object identifier that is none")
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs or content[-1] & 0x80:
        raise Malformed("an object identifier that is none")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def answer(data: bytes, pdu: int) -> bytes:
    """Turn a message with an inform into its answer: the same, but a Response-PDU (RFC 3416 §4.2.7)."""
    return data[:pdu] + bytes([RESPONSE]) + data[pdu + 1 :]


def tlv(tag: int, *parts: bytes) -> bytes:
    """Write one element around these contents."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    if size >= _LONGEST:
        raise Malformed("too long for a datagram")
    return bytes([tag, 0x82]) + size.to_bytes(2, "big") + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Write a number that is not negative."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))
