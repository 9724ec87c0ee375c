"""The bytes of SNMP v1, v2c and of the PDUs that v3 carries: requests written, responses read (RFC 3416, RFC 3417 §8).

Owns a small BER writer and a full reader of responses. Reads what `snmpcodec` reads and says the same of it, at a
hundredth of the cost, but refuses what RFC 3417 §8 forbids and no device sends: indefinite lengths, strings in pieces,
tags of more than a byte, elements that reach out of the one they lie in. Knows no sockets, no times and no targets.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeAlias

from edgeagent.links.snmpmessage import LAST_ID, Ask, Foreign, Response
from edgeagent.readings import Missing, Raw

INTEGER, OCTETS, NULL, OID, SEQUENCE, RESPONSE = 0x02, 0x04, 0x05, 0x06, 0x30, 0xA2
GET, NEXT = 0xA0, 0xA1

NUMBERS: Final = frozenset({INTEGER, 0x41, 0x42, 0x43, 0x46, 0x47})
"""INTEGER, Counter32, Gauge32, TimeTicks, Counter64, and UInteger32 of long ago (RFC 1442 §2)."""
STRINGS: Final = frozenset({OCTETS, 0x40, 0x44})
"""OCTET STRING, IpAddress, Opaque."""
_ABSENT: Final = frozenset({0x80, 0x81, 0x82})
"""noSuchObject, noSuchInstance, endOfMibView."""
LONGEST: Final = 9
"""Bytes of a number at most: a Counter64 and its leading zero."""
_ARC: Final = 20
"""Bytes of an arc that another byte of it follows, as pyasn1 has it."""

_MARK: Final = LAST_ID + 1
_MARK_BYTES: Final = _MARK.to_bytes(4, "big")


Spans: TypeAlias = list[tuple[int, int]]
"""Where contents begin and end."""


class Malformed(ValueError):
    """The bytes are no message, or none that is an answer."""


def tlv(tag: int, *parts: bytes) -> bytes:
    """Write one element around these contents."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int) -> bytes:
    """Write an INTEGER that is not negative."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def identifier(oid: str) -> bytes:
    """Write an OBJECT IDENTIFIER from its dotted form. Raises ValueError when it is none."""
    first, second, *others = map(int, oid.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *others):
        part = [arc & 0x7F]
        while arc := arc >> 7:
            part.append(0x80 | arc & 0x7F)
        content += bytes(reversed(part))
    return tlv(OID, bytes(content))


@lru_cache(maxsize=4096)
def pdu(ask: Ask, oids: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Write a request PDU in two halves, its four bytes of request-id belong between them."""
    head, tail = _request(ask, oids).split(_MARK_BYTES, 1)
    return head, tail


@lru_cache(maxsize=4096)
def message(version: int, community: str, ask: Ask, oids: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Write a whole v1 or v2c request in two halves likewise."""
    # 0x7FFFFFFF: 0xFF is in no UTF-8 text, so the mark is never found in the community.
    whole = tlv(SEQUENCE, integer(version), tlv(OCTETS, community.encode()), _request(ask, oids))
    head, tail = whole.split(_MARK_BYTES, 1)
    return head, tail


def _request(ask: Ask, oids: tuple[str, ...]) -> bytes:
    rows = (tlv(SEQUENCE, identifier(oid), tlv(NULL)) for oid in oids)
    tag = GET if ask is Ask.GET else NEXT
    return tlv(tag, integer(_MARK), integer(0), integer(0), tlv(SEQUENCE, *rows))


def decode_message(data: bytes) -> Response:
    """Read a whole v1 or v2c answer whose version and id are known to fit. Raises `Malformed`."""
    return decode_spans(data)[0]


def decode_spans(data: bytes) -> tuple[Response, Spans]:
    """Read it and say where the contents of its values begin and end. Raises `Malformed`."""
    try:
        at, stop = enter(data, 0, len(data), SEQUENCE)
        _, at = enter(data, at, stop, INTEGER)
        _, at = enter(data, at, stop, OCTETS)
        at, end = enter(data, at, stop, RESPONSE)
        if end != stop:
            raise Malformed("more than a message")
        _, at = enter(data, at, stop, INTEGER)
        return _response(data, at, stop)
    except IndexError as error:
        raise Malformed("cut short") from error


def decode_pdu(data: bytes, ident: int) -> Response:
    """Read a bare Response-PDU, as it lies in a v3 message. Raises `Foreign` for another request-id, `Malformed`."""
    found, response, _ = decode_pdu_spans(data, RESPONSE)
    if found != ident:
        raise Foreign
    return response


def decode_pdu_spans(data: bytes, tag: int) -> tuple[int, Response, Spans]:
    """Read a bare PDU of this tag: its request-id, what it says, and where its values lie. Raises `Malformed`."""
    try:
        at, stop = enter(data, 0, len(data), tag)
        at, end = enter(data, at, stop, INTEGER)
        response, spans = _response(data, end, stop)
    except IndexError as error:
        raise Malformed("cut short") from error
    return int.from_bytes(data[at:end], "big", signed=True), response, spans


def enter(data: bytes, at: int, stop: int, tag: int) -> tuple[int, int]:
    """Return where the content of the element at `at` begins and ends. Raises `Malformed`, or IndexError at the end."""
    if data[at] != tag:
        raise Malformed(f"0x{data[at]:02x} in the place of 0x{tag:02x}")
    start = at + 2
    end = start + data[at + 1]
    if data[at + 1] >= 0x80:
        start, end = _content(data, at)
    if end > stop:
        raise Malformed("cut short")
    return start, end


def _content(data: bytes, at: int) -> tuple[int, int]:
    length, start = data[at + 1], at + 2
    if length >= 0x80:
        size = length & 0x7F
        if not 0 < size <= 8:
            raise Malformed("a length that BER in SNMP does not have")
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return start, start + length


def _response(data: bytes, at: int, stop: int) -> tuple[Response, Spans]:
    """Read what follows the request-id, up to `stop`."""
    at, end = enter(data, at, stop, INTEGER)
    status = int.from_bytes(data[at:end], "big", signed=True)
    at, end = enter(data, end, stop, INTEGER)
    index = int.from_bytes(data[at:end], "big", signed=True)
    at, end = enter(data, end, stop, SEQUENCE)
    if end != stop:
        raise Malformed("more than a PDU")
    names: list[str] = []
    tags = bytearray()
    values: list[Raw] = []
    spans: Spans = []
    # Short lengths are read in place: a call for each of sixty elements would be half of the cost.
    while at < stop:
        if data[at] != SEQUENCE:
            raise Malformed("a binding that is none")
        start = at + 2
        after = start + data[at + 1]
        if data[at + 1] >= 0x80:
            start, after = _content(data, at)
        if after > stop:
            raise Malformed("cut short")
        if data[start] != OID:
            raise Malformed("a binding without a name")
        first = start + 2
        end = first + data[start + 1]
        if data[start + 1] >= 0x80:
            first, end = _content(data, start)
        if end >= after:
            raise Malformed("a binding without a value")
        tag = data[end]
        begin = end + 2
        at = begin + data[end + 1]
        if data[end + 1] >= 0x80:
            begin, at = _content(data, end)
        if at != after or tag & 0x1F == 0x1F:
            raise Malformed("a binding with more than a value")
        names.append(dotted(data[first:end]))
        tags.append(tag)
        values.append(value(tag, data[begin:at]))
        spans.append((begin, at))
    return Response(status, index, tuple(names), bytes(tags), tuple(values)), spans


def value(tag: int, content: bytes) -> Raw:
    """Read one value; what the type does not allow is MALFORMED and costs its neighbours nothing."""
    if tag in NUMBERS:
        if 0 < len(content) <= LONGEST:
            # Counters and gauges are unsigned (RFC 2578 §7.1), whether or not the device sent the leading zero byte.
            return int.from_bytes(content, "big", signed=tag == INTEGER)
        return Missing.MALFORMED
    if tag in STRINGS:
        return content
    if tag == OID:
        return named(content)
    if tag == NULL:
        return Missing.NULL
    return Missing.ABSENT if tag in _ABSENT else Missing.MALFORMED


@lru_cache(maxsize=16384)
def dotted(content: bytes) -> str:
    """Spell the content of an OBJECT IDENTIFIER; a device sends the same ones for ever. Raises `Malformed`."""
    arcs: list[int] = []
    arc = more = 0
    for byte in content:
        if not more and byte == 0x80:
            raise Malformed("an arc with a leading zero")
        arc = arc << 7 | byte & 0x7F
        if byte & 0x80:
            more += 1
            if more > _ARC:
                raise Malformed("an arc beyond all bounds")
        else:
            arcs.append(arc)
            arc = more = 0
    if more or not arcs:
        raise Malformed("an object identifier that is none")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def named(content: bytes) -> Raw:
    """Spell an OBJECT IDENTIFIER that is a value."""
    try:
        return dotted(content)
    except Malformed:
        return Missing.MALFORMED
