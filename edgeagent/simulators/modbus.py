"""A Modbus device that is not there: register images served over TCP, TLS, RTU over TCP and RTU on a serial port.

The framing is our own, on purpose: it is a second opinion on the client's, and pymodbus's server answers an
unknown unit instead of staying silent, cannot be wrong, and keeps its own copy of the registers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from edgeagent.endpoint import Endpoint, parse
from edgeagent.readings import Missing

if TYPE_CHECKING:
    import serial

Image: TypeAlias = MutableMapping[str, int]
"""Registers and bits by address: {"h1032": 5, "c3": 1}; h holding, i input, c coil, d discrete, 0-based."""

_TABLES: Final = {1: "c", 2: "d", 3: "h", 4: "i"}
_LIMITS: Final = {1: 2000, 2: 2000, 3: 125, 4: 125}
_WRITE_ONE: Final = 6
_WRITE_MANY: Final = 16
_MOST_WRITTEN: Final = 123

_ILLEGAL_FUNCTION: Final = 1
_ILLEGAL_ADDRESS: Final = 2
_ILLEGAL_VALUE: Final = 3
_DEVICE_FAILURE: Final = 4

_MBAP: Final = 7
_LONGEST: Final = 260


class Request(NamedTuple):
    """One question that was understood."""

    unit: int
    function: int
    address: int
    quantity: int


@dataclass
class ModbusServer:
    """Serve images by unit id at a device URL; port 0 takes a free one.

    The images stay the caller's and may change while they are served; writes (functions 6 and 16) change them too.
    An address that is not in the image is refused with exception 2, or reads 0 with `zeros`. Units in `silent` do not
    answer, those in `exceptions` answer with that code, every answer comes `delay` seconds late, in the order
    of the questions. A read that touches an address in `broken`, whatever the unit, fails (`ERROR`, exception 4) or
    gets no answer (`TIMEOUT`). With `stale` a refusal of an earlier question goes before every answer (MBAP framing).
    A unit that is not there stays silent unless `unknown` names an exception code. `requests` holds the last thousand
    questions, `connections` counts all that were made, `clients` those that are open.
    """

    units: Mapping[int, Image]
    url: str
    zeros: bool = False
    silent: set[int] = field(default_factory=set)
    exceptions: dict[int, int] = field(default_factory=dict)
    broken: dict[str, Missing] = field(default_factory=dict)
    delay: float = 0.0
    stale: bool = False
    unknown: int | None = None
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=1000))
    connections: int = 0

    def __post_init__(self) -> None:
        """Check the URL.

        Raises:
            EndpointError: when it is no device URL.
        """
        self._endpoint: Endpoint = parse(self.url)
        self._server: asyncio.Server | None = None
        self._serial: serial.Serial | None = None
        self._due = 0.0
        self._open: set[asyncio.Transport] = set()

    @property
    def clients(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    async def start(self) -> int:
        """Listen, and return the port that was taken; 0 for a serial line.

        Raises:
            OSError: when the port cannot be had.
        """
        where = self._endpoint
        loop = asyncio.get_running_loop()
        if where.path:
            self._serial = _serial(where)
            rtu = _Rtu(self.answer, self._write)
            loop.add_reader(self._serial.fileno(), self._read, rtu)
            return 0
        context: ssl.SSLContext | None = None
        if where.scheme == "modbus+tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(where.options["cert"], where.options.get("key"))
        framing = _Rtu if where.scheme == "modbus+rtuovertcp" else _Socket
        self._server = await loop.create_server(
            lambda: _Connection(self, framing),
            where.host,
            where.port,
            ssl=context,
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Let go of the port and of all clients."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in tuple(self._open):
            transport.abort()
        if self._serial is not None:
            self._unplug()

    def joined(self, transport: asyncio.Transport) -> None:
        """Count a client."""
        self._open.add(transport)
        self.connections += 1

    def left(self, transport: asyncio.Transport) -> None:
        """Forget a client."""
        self._open.discard(transport)

    def _read(self, rtu: _Rtu) -> None:
        if self._serial is None:
            return
        try:
            data = self._serial.read(1024)
        except OSError:  # the line was pulled out
            self._unplug()
            return
        rtu.feed(data)

    def _write(self, data: bytes) -> None:
        if self._serial is not None:
            with contextlib.suppress(OSError):  # the line was pulled out
                self._serial.write(data)

    def _unplug(self) -> None:
        if self._serial is not None:
            asyncio.get_running_loop().remove_reader(self._serial.fileno())
            self._serial.close()
            self._serial = None

    def answer(self, unit: int, pdu: bytes, reply: Callable[[bytes], None]) -> None:
        """Answer one question, or do not."""
        answer = self._reply(unit, pdu)
        if answer is None:
            return
        loop = asyncio.get_running_loop()
        self._due = max(self._due, loop.time() + self.delay)
        if self._due > loop.time():
            loop.call_at(self._due, reply, answer)
        else:
            reply(answer)

    def _reply(self, unit: int, pdu: bytes) -> bytes | None:
        function = pdu[0]
        count = 1 if function == _WRITE_ONE else int.from_bytes(pdu[3:5], "big")
        question = Request(unit, function, int.from_bytes(pdu[1:3], "big"), count)
        self.requests.append(question)
        if unit in self.silent:
            return None
        image = self.units.get(unit)
        code = self.unknown if image is None else self.exceptions.get(unit)
        if image is None and code is None:
            return None
        if code is None and image is not None:
            if function in _TABLES:
                code, data = self._values(image, question)
            else:
                code, data = self._store(image, question, pdu)
            if code is None:
                return None
            if not code:
                return bytes([function]) + data
        return bytes([function | 0x80, code or _ILLEGAL_FUNCTION])

    def _values(self, image: Image, question: Request) -> tuple[int | None, bytes]:
        """Read what is asked for (MODBUS Application Protocol V1.1b3 §6.1 to §6.4); no code for no answer."""
        _, function, start, count = question
        if not 1 <= count <= _LIMITS[function]:
            return _ILLEGAL_VALUE, b""
        names = [f"{_TABLES[function]}{start + i}" for i in range(count)]
        ways = {self.broken.get(name) for name in names} if self.broken else set()
        if Missing.TIMEOUT in ways:
            return None, b""
        if not self.zeros and any(name not in image and name not in self.broken for name in names):
            return _ILLEGAL_ADDRESS, b""
        if Missing.ERROR in ways:
            return _DEVICE_FAILURE, b""
        values = [image.get(name, 0) for name in names]
        if _TABLES[function] in "hi":
            data = b"".join((value & 0xFFFF).to_bytes(2, "big") for value in values)
        else:
            bits = sum(1 << i for i, value in enumerate(values) if value)
            data = bits.to_bytes((count + 7) // 8, "little")
        return 0, bytes([len(data)]) + data

    def _store(self, image: Image, question: Request, pdu: bytes) -> tuple[int, bytes]:
        """Write what is told (§6.6, §6.12)."""
        _, function, start, count = question
        if function == _WRITE_ONE:
            words = pdu[3:5]
        elif function == _WRITE_MANY:
            words = pdu[6:]
        else:
            return _ILLEGAL_FUNCTION, b""
        if not 1 <= count <= _MOST_WRITTEN or len(words) != 2 * count:
            return _ILLEGAL_VALUE, b""
        names = [f"h{start + i}" for i in range(count)]
        if not self.zeros and any(name not in image for name in names):
            return _ILLEGAL_ADDRESS, b""
        image.update((name, int.from_bytes(words[2 * i : 2 * i + 2], "big")) for i, name in enumerate(names))
        return 0, pdu[1:5]


Answer: TypeAlias = Callable[[int, bytes, Callable[[bytes], None]], None]


class _Socket:
    """MBAP framing (MODBUS Messaging on TCP/IP V1.0b §3.1.3)."""

    def __init__(self, answer: Answer, write: Callable[[bytes], object]) -> None:
        self._answer = answer
        self._write = write
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """Take in bytes and answer the questions they complete."""
        self._buffer += data
        while len(self._buffer) > _MBAP:
            header, length = self._buffer[:_MBAP], int.from_bytes(self._buffer[4:6], "big")
            if header[2:4] != b"\0\0" or not 2 <= length < _LONGEST:
                self._buffer = b""
                return
            if len(self._buffer) < 6 + length:
                return
            pdu, self._buffer = self._buffer[_MBAP : 6 + length], self._buffer[6 + length :]

            def reply(answer: bytes, header: bytes = header) -> None:
                self._write(header[:4] + (len(answer) + 1).to_bytes(2, "big") + header[6:] + answer)

            self._answer(header[6], pdu, reply)


class _Rtu:
    """RTU framing (MODBUS over Serial Line V1.02 §2.5.1), by length and CRC; pauses are lost on the way here."""

    def __init__(self, answer: Answer, write: Callable[[bytes], object]) -> None:
        self._answer = answer
        self._write = write
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """Take in bytes and answer the questions they complete; hunt for the next frame after garbage."""
        self._buffer = (self._buffer + data)[-_LONGEST:]
        while len(self._buffer) >= 8:
            many = self._buffer[1] == _WRITE_MANY
            length = 9 + self._buffer[6] if many else 8
            if len(self._buffer) < length:
                return
            frame = self._buffer[:length]
            if crc(frame[:-2]) != frame[-2:]:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[length:]

            def reply(answer: bytes, unit: bytes = frame[:1]) -> None:
                self._write(unit + answer + crc(unit + answer))

            self._answer(frame[0], frame[1:-2], reply)


class _Connection(asyncio.Protocol):
    """One TCP client of a server."""

    def __init__(self, server: ModbusServer, framing: type[_Socket | _Rtu]) -> None:
        self._server = server
        self._framing = framing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 narrows what asyncio calls the base
        self._transport = transport
        self._frames = self._framing(self._server.answer, self._write)
        self._server.joined(transport)

    def data_received(self, data: bytes) -> None:
        self._frames.feed(data)

    def _write(self, data: bytes) -> None:
        if self._transport.is_closing():  # a late answer may outlive the client
            return
        if self._server.stale and self._framing is _Socket:
            earlier = (int.from_bytes(data[:2], "big") - 1) % 0x10000
            refusal = bytes([0, 3, data[6], data[7] | 0x80, _DEVICE_FAILURE])
            data = earlier.to_bytes(2, "big") + b"\0\0" + refusal + data
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.left(self._transport)


def crc(data: bytes) -> bytes:
    """Return the two check bytes of an RTU frame (MODBUS over Serial Line V1.02 §6.2.2)."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register.to_bytes(2, "little")


def _serial(where: Endpoint) -> serial.Serial:
    import serial

    options = where.options
    return serial.Serial(
        where.path,
        baudrate=int(options["baud"]),
        bytesize=int(options["bytesize"]),
        parity=options["parity"],
        stopbits=int(options["stopbits"]),
        timeout=0,
    )
