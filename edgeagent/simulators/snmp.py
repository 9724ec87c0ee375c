"""A simulated SNMP device: a table of objects served as a real agent serves them, on v1, v2c and v3.

Owns the answering side of SNMP. v1 and v2c have a small responder of their own, pysnmp being its codec; v3 goes
through pysnmp's engine, which shares no code with the v3 of `links`, so that each proves the other.
"""

from __future__ import annotations

import asyncio
import secrets
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

from pyasn1.codec.ber import decoder, encoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import univ
from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.carrier.asyncio.dispatch import AsyncioDispatcher
from pysnmp.carrier.base import AbstractTransport
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto.api import v2c
from pysnmp.smi.error import GenError, NotWritableError

from edgeagent.readings import Missing

Image: TypeAlias = dict[str, tuple[int, int | bytes | str]]
"""Objects by dotted OID: (BER tag as in snmprec files, value). NULL (5) has b"", OBJECT IDENTIFIER (6) a dotted str."""

_Oid: TypeAlias = tuple[int, ...]
_Bound: TypeAlias = tuple[object, object]
_Address: TypeAlias = tuple[str, int]

_COUNTER64: Final = 70
# Plain types for INTEGER and OCTET STRING: devices send what RFC 2578 forbids, and a recording of them must be served.
_TYPES: Final = {
    2: univ.Integer,
    4: univ.OctetString,
    5: univ.Null,
    6: univ.ObjectIdentifier,
    64: v2c.IpAddress,
    65: v2c.Counter32,
    66: v2c.Gauge32,
    67: v2c.TimeTicks,
    68: v2c.Opaque,
    _COUNTER64: v2c.Counter64,
}

_NO_SUCH_NAME, _READ_ONLY, _GEN_ERR, _NOT_WRITABLE = 2, 4, 5, 17
_MOST_ROWS: Final = 64

_AUTH: Final = {
    "none": config.USM_AUTH_NONE,
    "MD5": config.USM_AUTH_HMAC96_MD5,
    "SHA-1": config.USM_AUTH_HMAC96_SHA,
    "SHA-224": config.USM_AUTH_HMAC128_SHA224,
    "SHA-256": config.USM_AUTH_HMAC192_SHA256,
    "SHA-384": config.USM_AUTH_HMAC256_SHA384,
    "SHA-512": config.USM_AUTH_HMAC384_SHA512,
}
_PRIV: Final = {
    "none": config.USM_PRIV_NONE,
    "DES": config.USM_PRIV_CBC56_DES,
    "AES-128": config.USM_PRIV_CFB128_AES,
    "AES-192": config.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "AES-256": config.USM_PRIV_CFB256_AES_BLUMENTHAL,
}


@dataclass(frozen=True, slots=True)
class User:
    """A v3 user; protocols are spelled as in device URLs (`endpoint.AUTH`, `endpoint.PRIV`)."""

    name: str
    auth: str = "none"
    auth_secret: str = field(default="", repr=False)
    priv: str = "none"
    priv_secret: str = field(default="", repr=False)


class SnmpServer(asyncio.DatagramProtocol):
    """Serves `image` read-only. The image may change while it is served; `silent` makes the device dead.

    A wrong community gets no answer, as from a real agent. `broken` are objects, or subtrees that are walked, that fail
    (`ERROR`, genErr) or spoil the request that names them (`TIMEOUT`, no answer at all). Every answer comes `delay`
    seconds late; with `stale` one to an earlier request id goes before it (v1 and v2c).
    """

    def __init__(
        self,
        image: Image,
        host: str = "127.0.0.1",
        port: int = 0,
        community: str = "public",
        users: tuple[User, ...] = (),
        engine_id: bytes = b"",
    ) -> None:
        self.image = image
        self.silent = False
        self.broken: dict[str, Missing] = {}
        self.delay = 0.0
        self.stale = False
        self._host = host
        self._port = port
        self._community = community.encode()
        self._users = users
        self._engine_id = engine_id or b"\x80\x00\x00\x00\x05" + secrets.token_bytes(8)
        self._engine: SnmpEngine | None = None
        self._pipe: _Pipe | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._order: list[_Oid] = []
        self._ordered: set[str] = set()

    async def start(self) -> int:
        """Open the port and return its number; port 0 takes a free one. Raises OSError when it cannot be had."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self._host, self._port))
        self._transport = transport
        if self._users:
            self._pipe = _Pipe(self)
            self._engine = _engine(self, self._users, self._engine_id, self._pipe)
        self._port = cast("int", transport.get_extra_info("sockname")[1])
        return self._port

    def stop(self) -> None:
        """Close the port."""
        if self._engine is not None:
            self._engine.close_dispatcher()
            self._engine = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def datagram_received(self, data: bytes, address: _Address) -> None:
        """Answer one request."""
        if self.silent or self._transport is None:
            return
        if self._pipe is not None and b"\x02\x01\x03" in data[2:7]:  # msgVersion 3
            self._pipe.take(data, address)
            return
        try:
            request, _ = decoder.decode(data, asn1Spec=v2c.Message())
        except PyAsn1Error:
            return
        version, community = int(request[0]), bytes(request[1])
        if version in (0, 1) and community == self._community:
            self._answer(request, version == 0, address)

    def _answer(self, request: univ.Sequence, old: bool, address: _Address) -> None:
        try:
            answer = self._respond(request, old)
        except Mute:
            return
        if self.stale:
            asked = v2c.apiMessage.get_pdu(request)
            ident = v2c.apiPDU.get_request_id(asked)
            self.send(_message(request, asked, max(int(ident) - 1, 0), (_GEN_ERR, 1, [])), address)
        self.send(answer, address)

    def send(self, data: bytes, address: _Address) -> None:
        """Send an answer, late if this device is slow."""
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self._send, data, address)
        else:
            self._send(data, address)

    def _send(self, data: bytes, address: _Address) -> None:
        if self._transport is not None:
            self._transport.sendto(data, address)

    def fails(self, oid: _Oid, below: bool = False) -> bool:
        """Tell whether an object, or (`below`) a subtree that it lies in, fails.

        Raises:
            Mute: where no answer is to be given.
        """
        if not self.broken:
            return False
        shortest = 1 if below else len(oid)
        for length in range(len(oid), shortest - 1, -1):
            why = self.broken.get(_dotted(oid[:length]))
            if why is Missing.TIMEOUT:
                raise Mute
            if why is not None:
                return True
        return False

    def get(self, oid: _Oid, old: bool = False) -> object | None:
        """Return the value of an object, an exception value of SNMPv2, or for v1 (`old`) None when there is none."""
        tag, value = self.image.get(_dotted(oid), (None, b""))
        if tag is None or (old and tag == _COUNTER64):  # v1 knows no Counter64 (RFC 3584 §4.2.2.1)
            return None if old else self._exception(oid)
        return cast("object", _TYPES[tag](value))

    def next(self, oid: _Oid, old: bool = False) -> _Bound | None:
        """Return the object after this name; past the last one endOfMibView, for v1 (`old`) None."""
        order = self._names()
        for name in order[bisect_right(order, oid) :]:
            value = self.get(name, old)
            if value is not None:
                return univ.ObjectIdentifier(name), value
        return None if old else (univ.ObjectIdentifier(oid), v2c.EndOfMibView(""))

    def _exception(self, oid: _Oid) -> object:
        """Tell a missing instance of a known object from an unknown object (RFC 3416 §4.2.1)."""
        order = self._names()
        at = bisect_right(order, oid[:-1])
        known = at < len(order) and order[at][: len(oid) - 1] == oid[:-1]
        return v2c.NoSuchInstance("") if known else v2c.NoSuchObject("")

    def _names(self) -> list[_Oid]:
        if self.image.keys() != self._ordered:
            self._ordered = set(self.image)
            self._order = sorted(tuple(map(int, oid.split("."))) for oid in self.image)
        return self._order

    def _respond(self, request: univ.Sequence, old: bool) -> bytes:
        asked = v2c.apiMessage.get_pdu(request)
        names = [oid.asTuple() for oid, _ in v2c.apiPDU.get_varbinds(asked)]
        return _message(request, asked, v2c.apiPDU.get_request_id(asked), self._carry_out(asked, names, old))

    def _carry_out(self, asked: univ.Sequence, names: list[_Oid], old: bool) -> tuple[int, int, list[_Bound]]:
        """Return error-status, error-index and the bindings of the answer."""
        if asked.tagSet == v2c.SetRequestPDU.tagSet:
            return (_READ_ONLY if old else _NOT_WRITABLE), 1, []
        walked = asked.tagSet != v2c.GetRequestPDU.tagSet
        failing = [index for index, oid in enumerate(names, 1) if self.fails(oid, below=walked)]
        if failing:
            return _GEN_ERR, failing[0], []
        if asked.tagSet == v2c.GetBulkRequestPDU.tagSet and not old:
            return 0, 0, self._bulk(names, int(asked[1]), int(asked[2]))
        bound: list[_Bound] = []
        for index, oid in enumerate(names, 1):
            if asked.tagSet == v2c.GetRequestPDU.tagSet:
                value = self.get(oid, old)
                row = None if value is None else (univ.ObjectIdentifier(oid), value)
            else:
                row = self.next(oid, old)
            if row is None:
                return _NO_SUCH_NAME, index, []
            bound.append(row)
        return 0, 0, bound

    def _bulk(self, names: list[_Oid], once: int, times: int) -> list[_Bound]:
        bound = [row for oid in names[:once] if (row := self.next(oid))]
        repeated = names[once:]
        for _ in range(times if repeated else 0):
            if len(bound) + len(repeated) > _MOST_ROWS:
                break
            rows = [row for oid in repeated if (row := self.next(oid))]
            bound += rows
            repeated = [cast("univ.ObjectIdentifier", oid).asTuple() for oid, _ in rows]
        return bound


class Mute(Exception):
    """There is to be no answer."""


def _message(
    request: univ.Sequence, asked: univ.Sequence, ident: object, outcome: tuple[int, int, list[_Bound]]
) -> bytes:
    status, index, bound = outcome
    answer = v2c.apiPDU.get_response(asked)
    v2c.apiPDU.set_request_id(answer, ident)
    v2c.apiPDU.set_error_status(answer, status)
    v2c.apiPDU.set_error_index(answer, index)
    v2c.apiPDU.set_varbinds(answer, v2c.apiPDU.get_varbinds(asked) if status else bound)
    message = v2c.Message()
    v2c.apiMessage.set_version(message, request[0])
    v2c.apiMessage.set_community(message, request[1])
    v2c.apiMessage.set_pdu(message, answer)
    return cast("bytes", encoder.encode(message))


def _dotted(oid: _Oid) -> str:
    return ".".join(map(str, oid))


class _Pipe(AbstractTransport):  # type: ignore[misc]
    """Lets pysnmp's engine answer through the server's own socket."""

    PROTO_TRANSPORT_DISPATCHER = AsyncioDispatcher

    def __init__(self, server: SnmpServer) -> None:
        self._server = server
        self.mute = False

    def take(self, data: bytes, address: _Address) -> None:
        self.mute = False
        self._callback_function(self, address, data)

    def send_message(self, data: bytes, address: _Address) -> None:
        if not self.mute:
            self._server.send(data, address)


class _Objects:
    """The server's image as pysnmp's responders read it."""

    def __init__(self, server: SnmpServer, pipe: _Pipe) -> None:
        self._server = server
        self._pipe = pipe
        self.failing = 0

    def _check(self, bound: tuple[tuple[univ.ObjectIdentifier, object], ...], below: bool) -> None:
        for self.failing, (oid, _) in enumerate(bound, 1):
            try:
                failing = self._server.fails(oid.asTuple(), below)
            except Mute:
                self._pipe.mute = failing = True
            if failing:
                raise GenError(name=oid, idx=0)

    def read_variables(self, *bound: tuple[univ.ObjectIdentifier, object], **_: object) -> list[_Bound]:
        self._check(bound, below=False)
        return [(oid, self._server.get(oid.asTuple())) for oid, _ in bound]

    def read_next_variables(self, *bound: tuple[univ.ObjectIdentifier, object], **_: object) -> list[_Bound]:
        self._check(bound, below=True)
        return [row for oid, _ in bound if (row := self._server.next(oid.asTuple()))]

    def write_variables(self, *bound: tuple[univ.ObjectIdentifier, object], **_: object) -> list[_Bound]:
        raise NotWritableError(name=bound[0][0], idx=0)


class _Get(cmdrsp.GetCommandResponder):  # type: ignore[misc]
    """Names the object that failed; pysnmp's own responder nearly always blames the first."""

    objects: _Objects

    def send_varbinds(
        self, engine: SnmpEngine, reference: int, status: object, index: int, bound: list[_Bound]
    ) -> None:
        index = self.objects.failing if status == "genErr" else index
        super().send_varbinds(engine, reference, status, index, bound)


def _engine(server: SnmpServer, users: tuple[User, ...], engine_id: bytes, pipe: _Pipe) -> SnmpEngine:
    engine = SnmpEngine()
    # Not through the constructor, which would keep the boots of every id in a file below /tmp.
    (identity,) = engine.get_mib_builder().import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID")
    identity.syntax = identity.syntax.clone(engine_id)
    engine.snmpEngineID = identity.syntax
    for user in users:
        config.add_v3_user(
            engine,
            user.name,
            _AUTH[user.auth],
            user.auth_secret or None,
            _PRIV[user.priv],
            user.priv_secret or None,
        )
    served = context.SnmpContext(engine)
    served.unregister_context_name(b"")
    objects = _Objects(server, pipe)
    served.register_context_name(b"", objects)
    _Get(engine, served).objects = objects
    for responder in (
        cmdrsp.NextCommandResponder,
        cmdrsp.BulkCommandResponder,
        cmdrsp.SetCommandResponder,
    ):
        responder(engine, served)
    config.add_transport(engine, udp.DOMAIN_NAME, pipe)
    return engine
