"""Modbus TCP, plain or in TLS: one connection that frames reads and takes their answers apart.

Owns the bytes of MODBUS Messaging on TCP/IP V1.0b §3.1 (the MBAP header) and of the four reads of MODBUS Application
Protocol V1.1b3 §6.1 to §6.4. Judges nothing: `modbuswire` does. pymodbus reads the same at four times the cost; it
serves the tests as the other side.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable
from typing import Final, TypeAlias

from edgeagent.endpoint import Endpoint
from edgeagent.links.blocks import Block
from edgeagent.links.modbusline import Answer
from edgeagent.tls import context

_HEADER: Final = struct.Struct(">HHHBB")
"""Transaction, protocol (0 is Modbus), bytes that follow with the unit, unit, function."""
_REQUEST: Final = struct.Struct(">HHBBHH")
"""Protocol, bytes that follow, unit, function, start and count; the transaction comes before it."""
_SHORTEST: Final = 2
"""Bytes that follow the length field at least: unit and function; some devices do not count the code of a refusal."""
_LONGEST: Final = 254
"""At most: the unit and a PDU of 253."""
_REFUSED: Final = 0x80
_BIT_READS: Final = (1, 2)
_BITS: Final = tuple([byte >> bit & 1 for bit in range(8)] for byte in range(256))
_SHAPES: Final = tuple(struct.Struct(f">{count}H") for count in range(128))

Outcome: TypeAlias = Callable[[Answer | Exception], None]


class MbapLine(asyncio.Protocol):
    """A session with one host; see `Line`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.heard = False
        self._endpoint = endpoint
        self._transport: asyncio.Transport | None = None
        self._transactions = itertools.cycle(range(1, 0x10000))
        self._transaction = self._unit = 0
        self._answer: Outcome | None = None
        """Takes what the question under way comes to."""
        self._plain: Callable[[bytes], None] | None = None
        """Takes it instead where it is one whole frame of this size that begins so."""
        self._head, self._size = b"", 0
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
        trusted = context(where.files) if where.scheme == "modbus+tls" else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(within):
                await loop.create_connection(lambda: self, where.host, where.port, ssl=trusted)
        except TimeoutError:
            return "not answered"
        return ""

    async def ask(self, unit: int, block: Block, within: float) -> Answer:
        """Ask for one block."""
        if self._transport is None:
            raise ConnectionError
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def take(outcome: Answer | Exception) -> None:
            if answer.done():
                return
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        self._plain = None
        self._send(_REQUEST.pack(0, 6, unit, block.function, block.start, block.count), unit, take)
        timer = loop.call_later(within, self.expire)
        try:
            return await answer
        finally:
            timer.cancel()
            self._answer = None

    def put(self, question: bytes, head: bytes, size: int, plain: Callable[[bytes], None], odd: Outcome) -> None:
        """Ask a question; one of the two gets the answer, once, and none of them from inside.

        A frame of `size` bytes that begins with the transaction and `head` is `plain`; all else is for `odd`. The
        question and the head begin behind the transaction.
        """
        self._send(question, question[4], odd)
        self._head, self._size, self._plain = self._transaction.to_bytes(2) + head, size, plain

    def expire(self) -> None:
        """Wait no longer for the question under way."""
        self._end(TimeoutError())

    def drop(self) -> None:
        """Forget the question under way: nobody waits for its answer any more."""
        self._answer = self._plain = None

    def _send(self, question: bytes, unit: int, answer: Outcome) -> None:
        self._transaction, self._unit, self._answer = next(self._transactions), unit, answer
        self.heard = self._garbled = False
        if self._transport is not None:
            self._transport.write(self._transaction.to_bytes(2) + question)

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
        self._end(exc or ConnectionError())

    def data_received(self, data: bytes) -> None:
        """Take frames out of what came; an answer to an earlier question or of another unit is dropped."""
        self.heard = True
        plain = self._plain
        if plain is not None and not self._left and len(data) == self._size and data.startswith(self._head):
            self._answer = self._plain = None
            plain(data)
            return
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
        if self._answer is None:
            return
        if function & _REFUSED:
            self._end(Answer(unit, function, [], body[0], anonymous))
        elif body[0] != len(body) - 1 or not (function in _BIT_READS or len(body) % 2):
            self._garble()
        else:
            self._end(Answer(unit, function, taken(function, body[1:]), 0, anonymous))

    def _garble(self) -> None:
        self._garbled = True
        self._end(ConnectionError())

    def _end(self, outcome: Answer | Exception) -> None:
        answer, self._answer, self._plain = self._answer, None, None
        if answer is not None:
            answer(outcome)


def taken(function: int, data: bytes) -> list[int]:
    """Take the registers or bits out of the data of an answer; bits come in whole bytes."""
    if function in _BIT_READS:
        return [bit for byte in data for bit in _BITS[byte]]
    return list(_SHAPES[len(data) // 2].unpack_from(data))
