"""What services answer: an Asterisk's manager, web pages, names, SIP, echoes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from edgeagent.endpoint import Endpoint, parse
from edgeagent.links import echo, serviceprobes
from edgeagent.links.amisession import Lost, Session
from edgeagent.links.serviceprobes import OK, WRONG, Heard
from edgeagent.readings import Missing, Raw
from tests.fuzz import targets
from tests.fuzz.jumping import jump
from tests.test_links_ami import BANNER, PHONES, SECRET, Pbx, changed, message

CALL: Final = b"<call>"
"""Stands in a seed for the id of the call, which is another one each time."""
NONCE: Final = b"\x01\x02\x03\x04\x05\x06\x07\x08"


# An Asterisk. The whole of what it says, cut once somewhere.


def build_ami() -> targets.Run:
    def run(data: bytes) -> None:
        session = Session("edge", SECRET, 0.0)
        cut, said = int.from_bytes(data[:2], "big"), data[2:]
        try:
            for piece in (said[:cut], said[cut:]):
                sent = session.receive(piece, 1.0)
                assert sent.isascii()
                assert sent.count(b"Action: ") <= 1 + said.count(b"\r\n\r\n")
            for now in (5.0, 11.0, 70.0, 75.0):
                session.due(now)
        except Lost as lost:
            targets.explained(lost)
        for name in ("1001", "9999", ""):
            known = session.phone(name)
            assert known.keys() == {"registered", "reachable"}
            assert all(isinstance(raw, Missing) or raw in (0, 1) for raw in known.values())

    return run


def seeds_ami() -> list[bytes]:
    found = []
    for pbx in (Pbx(PHONES, ["1005"]), Pbx([], ["1005"]), Pbx(PHONES[:1])):
        session, heard, said = Session("edge", SECRET, 0.0), BANNER, b""
        while heard:
            said += heard
            heard = pbx.answer(session.receive(heard, 0.0))
        for status in ("Reachable", "Unreachable", "Removed", "Updated"):
            said += changed("1001", status)
        found += [b"\0\x40" + said, b"\xff\xff" + said]
    refused = message("Response: Error", "ActionID: 1", "Message: Authentication failed")
    return [*found, b"\0\0" + BANNER + refused, b"\0\x08SSH-2.0-OpenSSH_9.2p1\r\n"]


# Web pages. The first byte says whether a text is looked for.


def build_http() -> targets.Run:
    plain, text = parse("service+http://192.0.2.9/"), parse("service+http://192.0.2.9/?status=200&text=ready")

    def run(data: bytes) -> None:
        endpoint, page = (text if data[:1] >= b"\x80" else plain), data[1:]
        serviceprobes._complete(page, whole="text" in endpoint.options)
        status, body = serviceprobes._response(page)
        assert status is Missing.NULL or (isinstance(status, int) and 100 <= status <= 999)
        assert len(body) <= len(page)
        if isinstance(status, int):
            serviceprobes._expected(endpoint, status, body)

    return run


def seeds_http() -> list[bytes]:
    pages = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 16\r\n\r\n<p>I am ready</p>",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n0\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nLocation: /login\r\nSet-Cookie: a=b\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\nno",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    )
    return [start + page for page in pages for start in (b"\0", b"\xff")]


# Datagrams: the first byte says of what, the second whether the id of the question stands in it.


def understanding(
    ask: Callable[[Endpoint], object], endpoint: Endpoint
) -> tuple[bytes, Callable[[bytes], Heard | None]]:
    """Take out of a probe what it asks and how it understands answers."""
    caught: list[tuple[bytes, Callable[[bytes], Heard | None]]] = []

    async def asked(
        endpoint: Endpoint, question: Callable[[tuple[str, int]], bytes], understand: Callable[[bytes], Heard | None]
    ) -> Heard:
        caught.append((question(("192.0.2.1", 4711)), understand))
        return Heard(OK)

    own, serviceprobes._asked = serviceprobes._asked, asked
    try:
        jump(_awaited(ask, endpoint))
    finally:
        serviceprobes._asked = own
    return caught[0]


async def _awaited(ask: Callable[[Endpoint], object], endpoint: Endpoint) -> None:
    await cast("asyncio.Future[object]", ask(endpoint))


def build_datagrams() -> targets.Run:
    asked, name = understanding(serviceprobes.ask_dns, parse("service+dns://192.0.2.53?name=crm.example"))
    options, call = understanding(serviceprobes.ask_sip, parse("service+sip://desk@192.0.2.60"))
    ident = next(line for line in options.split(b"\r\n") if line.startswith(b"Call-ID: "))[9:]
    wires = [
        echo.Wire(cast("socket.socket", None), family, 7, raw)
        for family in (socket.AF_INET, socket.AF_INET6) for raw in (False, True)
    ]  # fmt: skip

    def heard(what: Heard | None, low: int, high: int) -> None:
        assert what is None or what.answer in (OK, WRONG)
        status: Raw = Missing.ABSENT if what is None else what.status
        assert isinstance(status, Missing) or low <= int(status) <= high

    def run(data: bytes) -> None:
        kind, own, answer = data[0:1] or b"\0", data[1:2] >= b"\x80", data[2:]
        if kind[0] % 3 == 0:
            heard(name(asked[:2] + answer[2:] if own else answer), 0, 15)
        elif kind[0] % 3 == 1:
            heard(call(answer.replace(CALL, ident) if own else answer), 200, 699)
        else:
            for wire in wires:
                number = wire.number(answer, NONCE)
                assert number is None or 0 <= number < 2**64

    return run


def seeds_datagrams() -> list[bytes]:
    name = bytes.fromhex("000081800001000100000000") + b"\x03crm\x07example\0" + bytes.fromhex("00010001c00c")
    sip = b"SIP/2.0 200 OK\r\nCall-ID: " + CALL + b"\r\nCSeq: 1 OPTIONS\r\n\r\n"
    found = [b"\0\xff" + name, b"\0\xff" + name[:12], b"\0\xff" + name.replace(b"\x81\x80", b"\x81\x83")]
    found += [b"\1\xff" + sip, b"\1\xff" + sip.replace(b"200", b"503"), b"\1\xff" + sip.replace(b"200", b"100")]
    for family, type in ((socket.AF_INET, 0), (socket.AF_INET6, 129)):
        wire = echo.Wire(cast("socket.socket", None), family, 7, raw=True)
        answer = bytes([type]) + wire.question(NONCE, 0x00070001)[1:]
        found += [b"\2\0" + answer, b"\2\0\x45" + bytes(19) + answer]
    return found


TARGETS: Final = (
    targets.Target("ami", build_ami, seeds_ami, ("edgeagent.links.amisession",), 4096),
    targets.Target("http", build_http, seeds_http, ("edgeagent.links.serviceprobes",)),
    targets.Target(
        "datagrams", build_datagrams, seeds_datagrams, ("edgeagent.links.serviceprobes", "edgeagent.links.echo"), 512
    ),
)
