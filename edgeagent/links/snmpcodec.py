"""pysnmp and pyasn1 as codec of SNMP v1 and v2c.

Owns the bytes of requests and responses; a faster codec replaces this module and nothing else. Knows no sockets, no
times and no targets. Importing it loads pysnmp: the link does so when a device is first asked.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

from pyasn1.codec.ber import decoder, encoder
from pyasn1.type import namedtype, univ
from pysnmp.proto.api import v2c

from edgeagent.links.snmpmessage import LAST_ID, Ask, Foreign, Response, enter
from edgeagent.readings import Missing, Raw

_MARK: Final = LAST_ID + 1
_MARK_BYTES: Final = _MARK.to_bytes(4, "big")


def sequence(*types: object, **kind: object) -> univ.Sequence:
    """Build a SEQUENCE of these types, to decode by or to fill in."""
    named = (namedtype.NamedType(str(position), type) for position, type in enumerate(types))
    return univ.Sequence(componentType=namedtype.NamedTypes(*named), **kind)


# Any: devices send Gauge32 with the sign bit set and integers too long. Decoded by type, one would cost all the rest.
_BINDING: Final = sequence(univ.ObjectIdentifier(), univ.Any())
_BINDINGS: Final = univ.SequenceOf(componentType=_BINDING)
_PDU: Final = sequence(univ.Integer(), univ.Integer(), univ.Integer(), _BINDINGS, tagSet=v2c.ResponsePDU.tagSet)
_MESSAGE: Final = sequence(univ.Integer(), univ.OctetString(), _PDU)

_NUMBERS: Final = frozenset({0x02, 0x41, 0x42, 0x43, 0x46, 0x47})
_BYTES: Final = frozenset({0x04, 0x40, 0x44})
_ABSENT: Final = frozenset({0x80, 0x81, 0x82})


@lru_cache(maxsize=4096)
def pdu(ask: Ask, oids: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Encode a request PDU in two halves, its four bytes of request-id belong between them."""
    encoded = cast("bytes", encoder.encode(_request(ask, oids)))
    head, tail = encoded.split(_MARK_BYTES, 1)
    return head, tail


@lru_cache(maxsize=4096)
def _message(version: int, community: str, ask: Ask, oids: tuple[str, ...]) -> tuple[bytes, bytes]:
    message = v2c.Message()
    v2c.apiMessage.set_version(message, version)
    v2c.apiMessage.set_community(message, community.encode())
    v2c.apiMessage.set_pdu(message, _request(ask, oids))
    # 0xFF is in no UTF-8 text, so the mark is never found in the community.
    head, tail = cast("bytes", encoder.encode(message)).split(_MARK_BYTES, 1)
    return head, tail


def _request(ask: Ask, oids: tuple[str, ...]) -> object:
    request = v2c.GetRequestPDU() if ask is Ask.GET else v2c.GetNextRequestPDU()
    v2c.apiPDU.set_defaults(request)
    v2c.apiPDU.set_request_id(request, _MARK)
    v2c.apiPDU.set_varbinds(request, [(univ.ObjectIdentifier(oid), v2c.null) for oid in oids])
    return request


def decode_pdu(data: bytes, ident: int) -> Response:
    """Decode a bare Response-PDU, as it lies in a v3 message. Raises `Foreign` for another request-id."""
    response, _ = decoder.decode(data, asn1Spec=_PDU)
    if int(response[0]) != ident:
        raise Foreign
    return _response(response)


def _response(response: univ.Sequence) -> Response:
    names = tuple(dotted(binding[0]) for binding in response[3])
    read = [_value(bytes(binding[1])) for binding in response[3]]
    tags, values = bytes(tag for tag, _ in read), tuple(value for _, value in read)
    return Response(int(response[1]), int(response[2]), names, tags, values)


def dotted(oid: univ.ObjectIdentifier) -> str:
    """Spell an OBJECT IDENTIFIER."""
    return ".".join(map(str, oid.asTuple()))


def _value(raw: bytes) -> tuple[int, Raw]:
    """Take one encoded value apart; what the type does not allow is MALFORMED and costs its neighbours nothing."""
    tag = raw[0]
    start, end = enter(raw, 0, tag)
    content = raw[start:end]
    if tag in _NUMBERS:
        # Counters and gauges are unsigned (RFC 2578 §7.1), whether or not the device sent the leading zero byte.
        return tag, int.from_bytes(content, "big", signed=tag == 0x02) if 0 < len(content) <= 9 else Missing.MALFORMED
    if tag in _BYTES:
        return tag, content
    if tag == 0x06:
        try:
            return tag, dotted(decoder.decode(raw, asn1Spec=univ.ObjectIdentifier())[0])
        except Exception:  # noqa: BLE001 - the link's edge: pyasn1 raises more than its own errors on crafted bytes
            return tag, Missing.MALFORMED
    if tag == 0x05:
        return tag, Missing.NULL
    return tag, Missing.ABSENT if tag in _ABSENT else Missing.MALFORMED


class Community:
    """An SNMP v1 or v2c conversation. There is nothing to learn and nothing to forget."""

    def __init__(self, version: str, community: str) -> None:
        self.version = 0 if version == "1" else 1
        self._community = community

    def wrap(self, ask: Ask, oids: tuple[str, ...], ident: int) -> bytes:
        """Encode a request with this community."""
        head, tail = _message(self.version, self._community, ask, oids)
        return head + ident.to_bytes(4, "big") + tail

    def unwrap(self, data: bytes, ident: int, oids: tuple[str, ...]) -> Response:
        """Decode an answer. Raises what pyasn1 raises on bytes that are no message."""
        message, _ = decoder.decode(data, asn1Spec=_MESSAGE)
        return _response(message[2])

    def forget(self) -> None:
        """Do nothing: a community says all there is."""
