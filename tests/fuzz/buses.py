"""What controllers say on Modbus and UPSes on a serial line, through whole polls of the links."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from edgeagent.endpoint import Endpoint, parse
from edgeagent.links import Plan, Target, modbus, modbuswire, serial
from edgeagent.links.modbusmbap import MbapLine
from edgeagent.links.modbusrtu import RtuLine
from edgeagent.probe import plan_of
from edgeagent.readings import Answers, Missing
from tests.fuzz import targets
from tests.fuzz.jumping import jump
from tests.fuzz.pieces import framed, pieces, told
from tests.fuzz.shared import catalog

# Modbus. A frame that is to be right in its outer form gets its transaction id and length, or its check sum.


class Bus(asyncio.Transport):
    """Answers each question with the next frames of a script."""

    def __init__(self, script: Iterator[tuple[bool, bytes]], rtu: bool) -> None:
        super().__init__()
        self._script, self._rtu = script, rtu
        self.hear: Callable[[bytes], None] = lambda data: None
        self.asked = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.asked += 1
        found = next(self._script, None)
        if found is not None:
            honest, frame = found
            asyncio.get_running_loop().call_soon(self.hear, self._formed(bytes(data), frame) if honest else frame)

    def _formed(self, question: bytes, frame: bytes) -> bytes:
        if not self._rtu:
            return question[:2] + struct.pack(">HH", 0, len(frame)) + frame
        from pymodbus.framer import FramerRTU

        return frame + struct.pack(">H", FramerRTU.compute_CRC(frame))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Wired(modbuswire.Wire):
    """A connection that is there whenever it is asked for."""

    def __init__(self, endpoint: Endpoint, script: Iterator[tuple[bool, bytes]]) -> None:
        super().__init__(endpoint)
        self.bus = Bus(script, self._rtu)

    async def _open(self, quirks: object, within: float) -> bool:
        if self._line is not None:
            return True
        self._line = line = self._build()
        if isinstance(line, MbapLine):
            line.connection_made(self.bus)
            self.bus.hear = line.data_received
        elif isinstance(line, RtuLine):
            client = line._client = line._build(within)
            client.ctx.transport = self.bus
            self.bus.hear = client.ctx.data_received
        return True


def modbus_builder(url: str) -> Callable[[], targets.Run]:
    def build() -> targets.Run:
        endpoint = parse(url)
        asked = ("h1024", "h1025", "h1030", "i3", "c0", "c1", "d7")

        async def story(data: bytes) -> None:
            link = modbus.ModbusLink(endpoint)
            link._wire = wire = Wired(endpoint, pieces(data))
            target, plan, running = (
                Target("genset", endpoint, timeout=5.0),
                Plan(asked),
                asyncio.create_task(link.run()),
            )
            for _ in range(3):  # the first by itself, and those that may be as it was
                answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
                link.ask(target, plan, answered.set_result)
                answers = await answered
                told(answers, asked)
                assert all(isinstance(raw, Missing) or 0 <= int(raw) <= 0xFFFF for raw in answers.values())
            running.cancel()
            await asyncio.wait([running])
            assert wire.bus.asked <= 100, "questions without an end"

        return lambda data: jump(story(data))

    return build


def seeds_modbus() -> list[bytes]:
    """Write what a controller answers to such a poll: registers, bits, refusals; whole and in pieces."""
    words = b"\x01\x03\x04\x09\x29\x00\xe6"
    seven = b"\x01\x03\x0e" + bytes(range(14))
    refused, failed, busy, gateway = (bytes([1, 0x83, code]) for code in (2, 4, 6, 0x0B))
    input_, coils, inputs = b"\x01\x04\x02\x00\x07", b"\x01\x01\x01\x03", b"\x01\x02\x01\x01"
    tcp = b"\0\1\0\0\0\x07" + words
    rtu = words + bytes.fromhex("7d2f")
    return [
        framed(words, seven, input_, coils, inputs, honest=True),
        framed(seven, input_, coils, inputs, honest=True),
        framed(*(coils, inputs, seven, input_) * 3, honest=True),
        framed(*(coils, inputs, seven, input_) * 2, coils, busy, inputs, seven, failed, honest=True),
        framed(refused, words, words, busy, words, failed, inputs, honest=True),
        framed(gateway, honest=True),
        framed(busy, busy, failed, failed, refused, honest=True),
        framed(tcp, tcp[:5], tcp[5:]), framed(rtu, rtu[:3], rtu[3:] + rtu), framed(b"", words),
    ]  # fmt: skip


# A serial line.


class Scripted(serial.Line):
    """A port that answers each question with the next piece of a script, through a pipe."""

    def __init__(self, endpoint: Endpoint, script: Iterator[tuple[bool, bytes]]) -> None:
        super().__init__(endpoint)
        self._script = script
        self._ends = os.pipe()
        os.set_blocking(self._ends[0], False)
        self._port = cast("Any", self)
        self.asked = 0

    def fileno(self) -> int:
        return self._ends[0]

    async def open(self) -> bool:
        return True

    def close(self) -> None:
        pass

    def free(self) -> None:
        for end in self._ends:
            os.close(end)

    def _send(self, data: bytes) -> bool:
        self.asked += 1
        for ended, piece in self._script:
            if piece:
                os.write(self._ends[1], piece + b"\r" * ended)
                asyncio.get_running_loop().call_soon(self._readable)
            if ended:
                break
        return True


def build_serial() -> targets.Run:
    endpoint = parse("serial:///dev/ttyUSB0")
    driver = next(driver for driver in catalog().drivers.values() if driver.protocol == "serial")
    plan = plan_of(driver)

    async def story(data: bytes) -> None:
        link = serial.SerialLink(endpoint)
        link._line = line = Scripted(endpoint, pieces(data))
        try:
            for _ in range(2):
                answers = await link._poll(Target("ups", endpoint, timeout=10.0), plan)
                told(answers, plan.gets)
                assert all(isinstance(raw, bytes | Missing) for raw in answers.values())
            assert line.asked <= 60
        finally:
            line.free()

    return lambda data: jump(story(data))


def seeds_serial() -> list[bytes]:
    q1, rating = b"(228.0 228.0 229.8 017 50.0 2.25 25.0 00001001", b"#230.0 004 048.0 50.0"
    maker = b"#CYBERPOWER      PR3000     V1.23     "
    return [
        framed(q1, rating, maker, q1, honest=True), framed(q1, b"(NAK", b"QGS", honest=True),
        framed(b"Q1", q1, rating, honest=True), framed(b"", b"(ACK", q1, honest=True),
        framed(q1[:20]) + framed(q1[20:], rating, maker, honest=True),
        framed(b"(229.9 50.0 230.0 50.0 007.0 030 360.0 360.0 054.0 ---.- 28.5 110000000000", q1, honest=True),
        framed(b"(L", b"(" + b"0" * 64, b"(054.6 04 01 100 120", b"(VERFW:00123.04", honest=True),
    ]  # fmt: skip


_LINK: Final = "edgeagent.links"
_MODBUS: Final = tuple(
    f"{_LINK}.{name}" for name in ("modbuswire", "modbuscourse", "modbusmbap", "modbusrtu", "modbus", "blocks")
)
TARGETS: Final = (
    targets.Target("modbus-tcp", modbus_builder("modbus://127.0.0.1?unit=1"), seeds_modbus, _MODBUS),
    targets.Target("modbus-rtu", modbus_builder("modbus+rtuovertcp://127.0.0.1?unit=1"), seeds_modbus, _MODBUS),
    targets.Target("serial", build_serial, seeds_serial, (f"{_LINK}.megatec", f"{_LINK}.serial")),
)
