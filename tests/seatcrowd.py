"""Many seats at once: each with an MQTT connection of its own, as light as can be, so that hundreds fit into a test.

What a seat says is what `edgeagent seat` says: a retained status with a will, and reports that are not retained. Only
the packets are made by hand (MQTT 5.0, §3); what they hold is compared with the real seat in tests/test_e2e_seat.py.
"""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
import uuid
from collections.abc import Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self

from tests.rig import SITE

WELL: Final[Mapping[str, float | int | str]] = {
    "online": 1, "cpu.percent": 20.0, "memory.percent": 50.0, "disk.percent": 40.0, "nic.up": 1, "clock.synced": 1,
    "boot.time": 1_760_000_000.0, "softphone": 1, "headset.present": 1, "headset.battery": 80,
}  # fmt: skip
_WILL_DELAY: Final = 1
_SESSION: Final = 30


def _text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def _packet(kind: int, body: bytes) -> bytes:
    left, length = len(body), b""
    while True:
        left, digit = divmod(left, 128)
        length += bytes([digit | (0x80 if left else 0)])
        if not left:
            return bytes([kind]) + length + body


def _publish(topic: str, payload: bytes, *, retain: bool, expiry: int | None = None) -> bytes:
    properties = b"" if expiry is None else b"\x02" + struct.pack(">I", expiry)
    return _packet(0x30 | retain, _text(topic) + bytes([len(properties)]) + properties + payload)


class Seat:
    """One seat: what it would answer, and its connection."""

    def __init__(self, id: str, port: int, user: str = "", interval: float = 15.0) -> None:
        self.id, self._port, self._user, self._interval = id, port, user, interval
        self.answers: dict[str, float | int | str] = dict(WELL)
        self.session = uuid.uuid4().hex
        self.machine = uuid.uuid4().hex[:12]
        self.seq = 0
        self.muted = False
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None
        self._reading: asyncio.Task[None] | None = None

    def _topic(self, name: str) -> str:
        return f"floor/v1/{SITE}/seat/{self.id}/{name}"

    def _status(self, state: str, reason: str) -> bytes:
        self.seq += 1
        said = {
            "state": state, "session": self.session, "seq": self.seq, "time": _now(), "reason": reason,
            "interval": self._interval, "version": "0",
        }  # fmt: skip
        return json.dumps(said).encode()

    async def connect(self, keepalive: int = 30) -> None:
        """Connect with a will, and say that it is online; what was there before is left."""
        self.drop()
        self.session = uuid.uuid4().hex
        will = {"state": "offline", "session": self.session, "reason": "lost"}
        flags = 0x04 | 0x08 | 0x20 | 0x02 | (0x80 if self._user else 0)
        session = b"\x11" + struct.pack(">I", _SESSION)
        delay = b"\x18" + struct.pack(">I", _WILL_DELAY)
        body = _text("MQTT") + bytes([5, flags]) + struct.pack(">H", keepalive) + bytes([len(session)]) + session
        body += _text(f"seat-{SITE}-{self.id}-{self.machine}") + bytes([len(delay)]) + delay
        body += _text(self._topic("status")) + _text(json.dumps(will))
        body += _text(self._user) if self._user else b""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(_packet(0x10, body))
        answer = await self._reader.readexactly(4)
        assert answer[0] == 0x20, answer
        assert answer[3] == 0, f"{self.id} was refused: {answer[3]:#04x}"
        self._reading = asyncio.create_task(self._swallow(self._reader))
        self._send(_publish(self._topic("status"), self._status("online", "start"), retain=True))

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(4096):
            pass

    def _send(self, packet: bytes) -> None:
        if self._writer is not None and not self.muted:
            self._writer.write(packet)

    def report(self, **more: float | str) -> None:
        """Say how it is."""
        self.answers |= more
        self.seq += 1
        said = {
            "session": self.session,
            "seq": self.seq,
            "time": _now(),
            "machine": self.machine,
            "answers": self.answers,
        }
        self._send(_publish(self._topic("report"), json.dumps(said).encode(), retain=False, expiry=45))

    def leave(self, reason: str = "shutdown") -> None:
        """Say that it goes on purpose, and go."""
        self._send(_publish(self._topic("status"), self._status("leaving", reason), retain=True))
        self._send(_packet(0xE0, b""))
        self.drop()

    def drop(self) -> None:
        """Be gone at once, as a process that is killed."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Crowd:
    """Seats in a thread of their own, each reporting every `interval` s."""

    def __init__(self, port: int, ids: Iterable[str], interval: float = 15.0) -> None:
        self.seats = {id: Seat(id, port, interval=interval) for id in ids}
        self._interval = interval
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.sent = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.do(self._connect(self.seats.values()))
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._beat()))
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, Any], within: float = 60.0) -> Any:  # noqa: ANN401 - of the coroutine
        """Have something done in the thread of the seats."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within)

    def say(self, ids: Iterable[str], **answers: float | str) -> float:
        """Have seats report something else at once; return the moment, epoch s."""

        async def report() -> None:
            for id in ids:
                self.seats[id].report(**answers)

        at = time.time()
        self.do(report())
        return at

    def leave(self, ids: Iterable[str], reason: str = "shutdown") -> None:
        """Have seats shut down in order."""

        async def leave() -> None:
            for id in ids:
                self.seats[id].leave(reason)

        self.do(leave())

    def drop(self, ids: Iterable[str]) -> None:
        """Have seats die at once."""

        async def drop() -> None:
            for id in ids:
                self.seats[id].drop()

        self.do(drop())

    def mute(self, ids: Iterable[str], *, muted: bool = True) -> None:
        """Cut or mend the wire of seats: their connections stay and nothing comes."""
        for id in ids:
            self.seats[id].muted = muted

    def come(self, ids: Iterable[str]) -> None:
        """Have seats start again."""
        self.do(self._connect([self.seats[id] for id in ids]))

    async def _connect(self, seats: Iterable[Seat]) -> None:
        for seat in seats:
            await seat.connect()
            seat.report()

    async def _beat(self) -> None:
        order = list(self.seats.values())
        while True:
            for place, seat in enumerate(order):
                if place % 50 == 0:
                    await asyncio.sleep(self._interval / (len(order) / 50 + 1))
                if seat._writer is not None:
                    seat.report()
                    self.sent += 1
            await asyncio.sleep(self._interval / (len(order) / 50 + 1))

    async def _close(self) -> None:
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        for seat in self.seats.values():
            seat.drop()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
