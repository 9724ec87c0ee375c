"""A service that is not there: it answers, refuses, keeps silent or answers wrong, on a port of its own.

What it says is put together here, apart from how the link takes it apart. TLS needs a certificate and is not served.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from edgeagent.readings import Raw
from edgeagent.values import text_of

_ILL: Final = 503


class ServiceServer(Protocol):
    """One service. `answer` is a word of the kind, `status` its code while that is ok; answers are `delay` s late."""

    answer: str
    status: int
    delay: float

    async def start(self) -> int:
        """Open the port and return its number; port 0 takes a free one. Raises OSError when it cannot be had."""

    def turn(self) -> None:
        """Be as `answer` says from now on."""

    def stop(self) -> None:
        """Close the port."""


class TcpServer:
    """Takes connections; with `page` it answers requests on them. A refused one finds a port where nobody listens."""

    def __init__(self, host: str, port: int, *, page: bool = False) -> None:
        self.answer, self.status, self.delay = "ok", 200, 0.0
        self._host, self._port, self._page = host, port, page
        self._socket: socket.socket | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """See `ServiceServer`."""
        self._listen()
        return self._port

    def _listen(self) -> None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.create_server((self._host, self._port), family=family)
        self._socket.setblocking(False)
        self._port = int(self._socket.getsockname()[1])
        asyncio.get_running_loop().add_reader(self._socket, self._accept, self._socket)

    def turn(self) -> None:
        """See `ServiceServer`. A port that is open cannot keep silent: without a page, silent is refused."""
        closed = self.answer in ("refused", "unresolved") or (self.answer == "silent" and not self._page)
        if closed and self._socket is not None:
            self._close()
        elif not closed and self._socket is None:
            with contextlib.suppress(OSError):  # somebody took the port meanwhile; then it stays refused
                self._listen()

    def _close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def stop(self) -> None:
        """See `ServiceServer`."""
        self._close()
        for task in self._open:
            task.cancel()

    def _accept(self, listening: socket.socket) -> None:
        try:
            taken, _ = listening.accept()
        except OSError:  # gone again before we came
            return
        task = asyncio.get_running_loop().create_task(self._talk(taken))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _talk(self, taken: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=taken)
        except OSError:
            taken.close()
            return
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await reader.readuntil(b"\r\n\r\n")
                if self._page and self.answer != "silent":
                    await asyncio.sleep(self.delay)
                    writer.write(self._response())
                    await writer.drain()
                else:
                    await reader.read()
        finally:
            writer.close()

    def _response(self) -> bytes:
        status = self.status if self.answer == "ok" else _ILL
        body = f"<html><title>Simulated</title><p>{self.answer}</html>"
        head = f"HTTP/1.1 {status} Simulated\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\n\r\n{body}".encode()


class UdpServer(asyncio.DatagramProtocol):
    """Answers datagrams. A refused one finds a port where nobody listens."""

    def __init__(self, host: str, port: int, respond: Callable[[bytes, str, int], bytes | None]) -> None:
        self.answer, self.status, self.delay = "ok", 200, 0.0
        self._host, self._port, self._respond = host, port, respond
        self._transport: asyncio.DatagramTransport | None = None
        self._opening: asyncio.Task[int] | None = None

    async def start(self) -> int:
        """See `ServiceServer`."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self._host, self._port))
        self._port = int(self._transport.get_extra_info("sockname")[1])
        return self._port

    def turn(self) -> None:
        """See `ServiceServer`."""
        closed = self.answer in ("refused", "unresolved")
        if closed:
            self.stop()
        elif self._transport is None and self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self.start())
            self._opening.add_done_callback(self._opened)

    def _opened(self, opening: asyncio.Task[int]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # somebody took the port meanwhile; then it stays refused

    def stop(self) -> None:
        """See `ServiceServer`."""
        if self._opening is not None:
            self._opening.cancel()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Answer one question."""
        answer = None if self.answer == "silent" else self._respond(data, self.answer, self.status)
        if answer is not None:
            asyncio.get_running_loop().call_later(self.delay, self._send, answer, address)

    def _send(self, data: bytes, address: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, address)


def sip(data: bytes, answer: str, status: int) -> bytes | None:
    """Answer a SIP request: its Via, From, To, Call-ID and CSeq come back (RFC 3261 §8.2.6)."""
    head = data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    kept = [line for line in head.split("\r\n")[1:] if re.match(r"(?i)(via|from|to|call-id|cseq):", line)]
    if not kept or head.startswith("SIP/"):
        return None
    code = status if answer == "ok" else _ILL
    lines = (f"SIP/2.0 {code} Simulated", *(_tagged(line) for line in kept), "Content-Length: 0", "", "")
    return "\r\n".join(lines).encode()


def _tagged(line: str) -> str:
    return f"{line};tag=simulated" if line.lower().startswith("to:") else line


def dns(data: bytes, answer: str, status: int) -> bytes | None:
    """Answer a question for an address with 192.0.2.1, or with SERVFAIL (RFC 1035 §4.1.1)."""
    if len(data) < 17:
        return None
    question = data[12:]
    if answer != "ok":
        return data[:2] + b"\x81\x82" + b"\0\1\0\0\0\0\0\0" + question
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 1])
    return data[:2] + b"\x81\x80" + b"\0\1\0\1\0\0\0\0" + question + record


def show(server: ServiceServer, shown: Mapping[str, Raw], silent: bool, delay: float) -> None:
    """Make a service answer as its device shows."""
    answer, status = shown.get("answer"), shown.get("status")
    server.answer = "silent" if silent else text_of(answer) if isinstance(answer, bytes) else "ok"
    server.status = status if isinstance(status, int) else 200
    server.delay = delay
    server.turn()


SERVERS: Final[Mapping[str, Callable[[str, int], ServiceServer]]] = {
    "service+tcp": TcpServer,
    "service+http": lambda host, port: TcpServer(host, port, page=True),
    "service+dns": lambda host, port: UdpServer(host, port, dns),
    "service+sip": lambda host, port: UdpServer(host, port, sip),
}
"""The server of each scheme that can be served."""
