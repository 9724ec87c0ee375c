"""Modbus TCP, plain or in TLS: one connection that frames reads and takes their answers apart.

Owns the bytes of MODBUS Messaging on TCP/IP V1.0b §3.1 (the MBAP header) and of the four reads of MODBUS Application
Protocol V1.1b3 §6.1 to §6.4. Judges nothing: `modbuswire` does. pymodbus reads the same at four times the cost; it
serves the tests as the other side.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import struct
from typing import Final

from edgeagent.endpoint import Endpoint
from edgeagent.links.blocks import Block
from edgeagent.links.modbusline import Answer

_HEADER: Final = struct.Struct(">HHHBB")
"""Transaction, protocol (0 is Modbus), bytes that follow with the unit, unit, function."""
_REQUEST: Final = struct.Struct(">HHHBBHH")
_SHORTEST: Final = 2
"""Bytes that follow the length field at least: unit and function; some devices do not count the code of a refusal."""
_LONGEST: Final = 254
"""At most: the unit and a PDU of 253."""
_REFUSED: Final = 0x80
_BIT_READS: Final = (1, 2)
_BITS: Final = tuple([byte >> bit & 1 for bit in range(8)] for byte in range(256))
_SHAPES: Final = tuple(struct.Struct(f">{count}H") for count in range(128))


class MbapLine(asyncio.Protocol):
    """A session with one host; see `Line`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.heard = False
        self._endpoint = endpoint
        self._transport: asyncio.Transport | None = None
        self._transactions = itertools.cycle(range(1, 0x10000))
        self._transaction = self._unit = 0
        self._answer: asyncio.Future[Answer] | None = None
        self._left = b""
        self._garbled = False

    @property
    def alive(self) -> bool:
        """Tell whether questions can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def torn(self) -> bool:
        """Tell whether what came is no frame, or not all of one."""
        return self._garbled or bool(self._left)

    async def connect(self, within: float) -> str:
        """Open the session; raises OSError or ssl.SSLError."""
        where = self._endpoint
        context = _tls(where) if where.scheme == "modbus+tls" else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(within):
                await loop.create_connection(lambda: self, where.host, where.port, ssl=context)
        except TimeoutError:
            return "not answered"
        return ""

    async def ask(self, unit: int, block: Block, within: float) -> Answer:
        """Ask for one block."""
        if self._transport is None:
            raise ConnectionError
        loop = asyncio.get_running_loop()
        self._transaction, self._unit = next(self._transactions), unit
        self.heard = self._garbled = False
        answer: asyncio.Future[Answer] = loop.create_future()
        self._answer = answer
        frame = _REQUEST.pack(self._transaction, 0, 6, unit, block.function, block.start, block.count)
        self._transport.write(frame)
        timer = loop.call_later(within, self._fail, TimeoutError())
        try:
            return await answer
        finally:
            timer.cancel()
            self._answer = None

    def close(self) -> None:
        """Hang up."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it was asked for with TCP
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End the question under way: no answer can come."""
        self._fail(exc or ConnectionError())

    def data_received(self, data: bytes) -> None:
        """Take frames out of what came; an answer to an earlier question or of another unit is dropped."""
        self.heard = True
        data = self._left + data
        while len(data) >= _HEADER.size:
            transaction, protocol, length, unit, function = _HEADER.unpack_from(data)
            if protocol or not _SHORTEST <= length <= _LONGEST:
                self._garble()
                return
            end = max(length, 3) + 6
            if len(data) < end:
                break
            if transaction in (self._transaction, 0) and self._unit in (unit, 0):
                self._take(unit, function, data[8:end], anonymous=not transaction)
            data = data[end:]
        self._left = data

    def _take(self, unit: int, function: int, body: bytes, *, anonymous: bool) -> None:
        answer = self._answer
        if answer is None or answer.done():
            return
        if function & _REFUSED:
            answer.set_result(Answer(unit, function, [], body[0], anonymous))
        elif body[0] != len(body) - 1:
            self._garble()
        elif function in _BIT_READS:
            bits = [bit for byte in body[1:] for bit in _BITS[byte]]
            answer.set_result(Answer(unit, function, bits, 0, anonymous))
        else:
            registers = list(_SHAPES[len(body) // 2].unpack_from(body, 1))
            answer.set_result(Answer(unit, function, registers, 0, anonymous))

    def _garble(self) -> None:
        self._garbled = True
        self._fail(ConnectionError())

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _tls(where: Endpoint) -> ssl.SSLContext:
    """Build the context of a client that checks the device's name against `ca` and may show a certificate."""
    context = ssl.create_default_context(cafile=where.options.get("ca"))
    if "cert" in where.options:
        context.load_cert_chain(where.options["cert"], where.options.get("key"))
    return context
