"""How a service is asked whether it answers: a TCP connection, a web page, a name, a SIP OPTIONS.

Each probe returns what it heard, or raises what kept it from hearing anything; `service.py` says what that means.
Nothing of an answer is believed but what is read here, and not more than MOST bytes of it are read.
"""

from __future__ import annotations

import asyncio
import io
import re
import secrets
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Final, cast

from edgeagent.endpoint import Endpoint
from edgeagent.readings import Missing, Raw

MOST: Final = 65_536
"""Bytes of an answer that are read at most."""
OK, WRONG = "ok", "wrong"
_ADDRESSES: Final = 3
"""So many of the addresses of a name are tried."""
_AGAIN: Final = 0.5
"""s until a question over UDP is sent again, twice as long each time (T1, RFC 3261 §17.1.2.2)."""
_DAY: Final = 86_400
_ILL: Final = (500, 503, 504)
"""Final answers by which a SIP server says that it cannot do its work (RFC 3261 §21.5)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer: is it a right one, the status code that it bears, days that its certificate is valid."""

    answer: str
    status: Raw = Missing.ABSENT
    certificate: Raw = Missing.ABSENT


# TCP.


async def ask_tcp(endpoint: Endpoint, within: float) -> Heard:
    """Open a connection within so many s and close it."""
    _, writer = await _connected(endpoint, within)
    writer.transport.abort()
    return Heard(OK)


async def ask_http(endpoint: Endpoint, within: float, context: ssl.SSLContext | None) -> Heard:
    """Ask for a page and see whether it is the expected one; no redirection is followed."""
    reader, writer = await _connected(endpoint, within, context)
    certificate = _days(writer.get_extra_info("peercert"))
    try:
        writer.write(_request(endpoint))
        data = await _read(reader, whole="text" in endpoint.options)
    except ConnectionError:
        data = b""  # it took the connection and then dropped it: it is there and does not work
    finally:
        writer.transport.abort()
    status, body = _response(data)
    right = isinstance(status, int) and _expected(endpoint, status, body)
    return Heard(OK if right else WRONG, status, certificate)


async def _connected(
    endpoint: Endpoint, within: float, context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that takes it; the time is shared among them, or one that is dead uses it up."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    rows = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    hosts = list(dict.fromkeys(str(row[4][0]) for row in rows))[:_ADDRESSES]
    errors: list[OSError] = []
    for left, host in zip(range(len(hosts), 0, -1), hosts, strict=True):
        try:
            async with asyncio.timeout((until - loop.time()) / left):
                name = endpoint.host if context else None
                return await asyncio.open_connection(host, endpoint.port, ssl=context, server_hostname=name)
        except ssl.SSLError:
            raise
        except OSError as error:
            errors.append(error)
    # An IPv6 address that no route leads to says less than the IPv4 one beside it.
    raise min(errors, key=lambda error: (not isinstance(error, ConnectionError), not isinstance(error, TimeoutError)))


def _request(endpoint: Endpoint) -> bytes:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host.encode("idna").decode("ascii")
    usual = {"service+http": 80, "service+https": 443}[endpoint.scheme]
    where = host if endpoint.port == usual else f"{host}:{endpoint.port}"
    query = endpoint.options.get("query", "")
    path = endpoint.path + (f"?{query}" if query else "")
    lines = (f"GET {path} HTTP/1.1", f"Host: {where}", "User-Agent: edgeagent", "Accept: */*", "Connection: close")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


async def _read(reader: asyncio.StreamReader, *, whole: bool) -> bytes:
    """Read the head of a response, or all of it."""
    data = b""
    while len(data) < MOST and not _complete(data, whole=whole):
        part = await reader.read(MOST - len(data))
        if not part:
            break
        data += part
    return data


def _complete(data: bytes, *, whole: bool) -> bool:
    """Tell whether a response is there: not every server closes as it is asked to."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end or not whole:
        return bool(end)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d{1,9})", head)
    if length is not None:
        return len(body) >= int(length[1])
    return b"chunked" in head.lower() and body.endswith(b"0\r\n\r\n")


class _Read:
    """Bytes in the shape that http.client reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _response(data: bytes) -> tuple[Raw, bytes]:
    """Return status code and body of an HTTP response, as far as it came; NULL where it is none."""
    try:
        response = HTTPResponse(cast("socket.socket", _Read(data)), method="GET")
        response.begin()
        try:
            body = response.read()
        except IncompleteRead as error:
            body = error.partial
    except (HTTPException, ValueError, OverflowError):  # a length that no memory has is an OverflowError
        return Missing.NULL, b""
    return response.status, body


def _expected(endpoint: Endpoint, status: int, body: bytes) -> bool:
    wanted = endpoint.options.get("status")
    if status != int(wanted) if wanted else not 200 <= status < 400:
        return False
    text = endpoint.options.get("text", "")
    return any(text.encode(coding, "ignore") in body for coding in ("utf-8", "gbk"))


def _days(certificate: object) -> Raw:
    """Return for how many days a certificate that was verified is valid (RFC 5280 §4.1.2.5)."""
    until = certificate.get("notAfter") if isinstance(certificate, dict) else None
    if not isinstance(until, str):
        return Missing.ABSENT
    return round((ssl.cert_time_to_seconds(until) - time.time()) / _DAY, 1)


# UDP.


class _Ear(asyncio.DatagramProtocol):
    """Waits for the first answer that is understood, or for the news that nobody listens there."""

    def __init__(self, understand: Callable[[bytes], Heard | None]) -> None:
        self._understand = understand
        self.heard: asyncio.Future[Heard | Exception] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, address: object) -> None:
        self._take(self._understand(data))

    def error_received(self, error: Exception) -> None:
        self._take(error)

    def _take(self, found: Heard | Exception | None) -> None:
        if found is not None and not self.heard.done():
            self.heard.set_result(found)


async def _asked(
    endpoint: Endpoint, question: Callable[[tuple[str, int]], bytes], understand: Callable[[bytes], Heard | None]
) -> Heard:
    """Send a question until somebody answers it; `question` is told our own address."""
    loop = asyncio.get_running_loop()
    transport, ear = await loop.create_datagram_endpoint(
        lambda: _Ear(understand), remote_addr=(endpoint.host, endpoint.port)
    )
    try:
        here = transport.get_extra_info("sockname")
        asked, pause = question((str(here[0]), int(here[1]))), _AGAIN
        while not ear.heard.done():
            transport.sendto(asked)
            await asyncio.wait([ear.heard], timeout=pause)
            pause *= 2
        found = ear.heard.result()
    finally:
        transport.abort()
    if isinstance(found, Exception):
        raise found
    return found


async def ask_dns(endpoint: Endpoint) -> Heard:
    """Ask a name server for the IPv4 address of a name (RFC 1035 §4.1)."""
    ident = secrets.randbits(16)
    labels = endpoint.options["name"].removesuffix(".").split(".")
    name = b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels)
    asked = struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0) + name + struct.pack(">BHH", 0, 1, 1)

    def understand(data: bytes) -> Heard | None:
        if len(data) < 12:
            return None
        found, flags, _, answers, _, _ = struct.unpack_from(">HHHHHH", data)
        if found != ident or not flags & 0x8000:
            return None
        return Heard(OK if flags & 0x000F == 0 and answers else WRONG, flags & 0x000F)

    return await _asked(endpoint, lambda _: asked, understand)


async def ask_sip(endpoint: Endpoint) -> Heard:
    """Send OPTIONS and wait for a final answer (RFC 3261 §11, §17.1.2)."""
    call = secrets.token_hex(12)

    def question(here: tuple[str, int]) -> bytes:
        host, us = (f"[{each}]" if ":" in each else each for each in (endpoint.host, here[0]))
        to = f"sip:{endpoint.user}@{host}" if endpoint.user else f"sip:{host}"
        lines = (
            f"OPTIONS {to}:{endpoint.port} SIP/2.0",
            f"Via: SIP/2.0/UDP {us}:{here[1]};branch=z9hG4bK{call};rport",
            "Max-Forwards: 70",
            f"From: <sip:edgeagent@{us}>;tag={call[:8]}",
            f"To: <{to}>",
            f"Call-ID: {call}",
            "CSeq: 1 OPTIONS",
            f"Contact: <sip:edgeagent@{us}:{here[1]}>",
            "Accept: application/sdp",
            "User-Agent: edgeagent",
            "Content-Length: 0",
            "",
        )
        return "".join(f"{line}\r\n" for line in lines).encode()

    def understand(data: bytes) -> Heard | None:
        first = re.match(rb"SIP/2\.0 ([1-6]\d\d)[ \r]", data)
        if first is None or call.encode() not in data or int(first[1]) < 200:
            return None
        return Heard(WRONG if int(first[1]) in _ILL else OK, int(first[1]))

    return await _asked(endpoint, question, understand)
