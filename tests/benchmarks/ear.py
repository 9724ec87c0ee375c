"""A subscriber that stamps what it hears: an MQTT 3.1.1 client of a few lines, so that listening costs little."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Ear:
    """Hears some topics of a broker. `heard` is (monotonic s, topic, payload), in the order they came."""

    def __init__(self, port: int, *filters: str) -> None:
        self.heard: list[tuple[float, str, bytes]] = []
        self._socket = socket.create_connection(("127.0.0.1", port), 5)
        self._socket.settimeout(None)
        name = text(f"ear-{id(self)}")
        self._socket.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + name))
        self._subscribed = threading.Event()
        for first in range(0, len(filters), 500):
            wanted = b"".join(text(topic) + b"\x00" for topic in filters[first : first + 500])
            self._socket.sendall(packet(0x82, b"\x00\x01" + wanted))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        assert self._subscribed.wait(10), "the broker did not take the subscription"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def first(self, after: float, fits: Callable[[str, bytes], bool]) -> float | None:
        """Return when the first message after a moment that fits was heard."""
        return next((at for at, topic, payload in list(self.heard) if at >= after and fits(topic, payload)), None)

    def _read(self) -> None:
        rest = bytearray()
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except OSError:
                return
            at = time.monotonic()
            if not data:
                return
            rest += data
            used = 0
            while (found := _next(rest, used)) is not None:
                kind, begin, used = found
                if kind >> 4 == 3:
                    end = begin + 2 + int.from_bytes(rest[begin : begin + 2], "big")
                    topic = rest[begin + 2 : end].decode()
                    self.heard.append((at, topic, bytes(rest[end + (2 if kind & 6 else 0) : used])))
                elif kind >> 4 == 9:
                    self._subscribed.set()
            del rest[:used]


def _next(data: bytearray, at: int) -> tuple[int, int, int] | None:
    """Return the kind, the begin and the end of the packet that begins at a place, None while it is not all there."""
    length = shift = 0
    for place in range(at + 1, min(at + 5, len(data))):
        length |= (data[place] & 0x7F) << shift
        shift += 7
        if not data[place] & 0x80:
            end = place + 1 + length
            return (data[at], place + 1, end) if end <= len(data) else None
    return None


def text(word: str) -> bytes:
    """Write a string as MQTT does (§1.5.3)."""
    return len(word).to_bytes(2, "big") + word.encode()


def packet(kind: int, body: bytes) -> bytes:
    """Write a packet with its remaining length (§2.2.3)."""
    size, left = bytearray(), len(body)
    while True:
        size.append(left & 0x7F | (0x80 if left > 0x7F else 0))
        left >>= 7
        if not left:
            return bytes([kind]) + bytes(size) + body
