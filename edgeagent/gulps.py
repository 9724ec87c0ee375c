"""What a broker sends and is sent, taken and given in gulps: to paho each packet is one or more looks at the socket.

Owns one client's bytes on their way to paho, and messages on their way from it. A plain PUBLISH, which is most of what
comes, is told without paho; all else is handed on to it, in the order in which it came. Opens and closes no socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import MQTTErrorCode

_GULP: Final = 1 << 16
"""Bytes taken or given at once; what is left wakes the loop again."""
_PLAIN: Final = 0x30
"""PUBLISH of QoS 0, but for its lowest bit, which says that it lay retained (MQTT 5 §3.3.1)."""
_QUIET: Final = 1
"""The QoS under which a packet waits with which paho is done when it has gone out: that of what is acknowledged."""
_LENGTH: Final = 5
"""Bytes before that of which a length tells at most: the first, and four of its own (MQTT 5 §1.5.5)."""
_EXPIRY: Final = 0x02
_EXPIRES: Final = 5
"""The one property that a plain message may have, and its bytes (MQTT 5 §3.3.2.3.3)."""


class Plain(NamedTuple):
    """A message, with the names that those of paho have."""

    topic: str
    payload: bytes
    retain: bool
    properties: None = None


class GulpingClient(Client):
    """paho's client as an event loop needs it: `loop_read` and `loop_write` do all that can be done."""

    _came, _at = b"", 0
    _end: OSError | None = None
    """What the socket raised when it had no more; None when it was closed."""

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Take one gulp and tell of what is whole in it; return what ended the connection, if something did."""
        try:
            self._came, self._at = super()._sock_recv(_GULP), 0
            self._end = BlockingIOError() if self._came else None
        except OSError as error:
            self._came, self._at, self._end = b"", 0, error
        while True:
            result = MQTTErrorCode.MQTT_ERR_SUCCESS if self._tell() else super().loop_read(max_packets)
            if result or self._at >= len(self._came):
                return result

    def say(self, topic: str, payload: bytes, retain: bool, extra: bytes) -> MQTTErrorCode:
        """Send a message of QoS 0, of which nobody hears more; `publish` does the same, and much else.

        `extra` are its properties as they are written. It joins what waits behind all others, if that is of its kind.
        """
        if self._sock is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        name, waiting, packet = topic.encode(), self._out_packet, bytearray((_PLAIN | retain,))
        self._pack_remaining_length(packet, 2 + len(name) + len(extra) + len(payload))
        packet += b"".join((len(name).to_bytes(2), name, extra, payload))
        last = waiting[-1] if waiting else None
        if last and last["qos"] and last["command"] == _PLAIN and not last["pos"] and last["to_process"] < _GULP:
            last["packet"] += packet
            last["to_process"] += len(packet)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return self._packet_queue(_PLAIN, packet, 0, _QUIET)

    def loop_write(self) -> MQTTErrorCode:
        """Send what waits, messages behind one another at once."""
        waiting, joined, size = self._out_packet, list[bytes | bytearray](), 0
        if len(waiting) < 2:
            return super().loop_write()
        while waiting and size < _GULP and self._joins(waiting[0]):
            last = waiting.popleft()
            joined.append(last["packet"])
            size += last["to_process"]
        if joined:
            waiting.appendleft({**last, "packet": bytearray().join(joined), "to_process": size, "qos": _QUIET})
        return super().loop_write()

    def _joins(self, packet: Mapping[str, Any]) -> bool:
        """Tell whether nothing is to be done but send it: nobody hears that a message of QoS 0 has gone out."""
        heard = self.on_publish is not None and not packet["qos"]
        return packet["command"] & 0xF0 == _PLAIN and not packet["pos"] and not heard

    def _sock_recv(self, bufsize: int) -> bytes:
        """Stand for the socket where paho reads it."""
        begin = self._at
        if begin < len(self._came):
            self._at = begin + bufsize
            return self._came[begin : self._at]
        if self._end is not None:
            raise self._end
        return b""

    def _tell(self) -> bool:
        """Tell of the next packet if it is a plain PUBLISH, all of it."""
        came, at = self._came, self._at
        begun = self._in_packet["command"] or self._in_packet["remaining_count"]
        if begun or at >= len(came) or came[at] & 0xFE != _PLAIN or self._sock is None:
            return False
        try:
            begin, size = _counted(came, at + 1)
            topic = begin + 2
            body = topic + (came[begin] << 8 | came[begin + 1])
            name = came[topic:body].decode()
            if self._protocol == MQTTv5:
                if came[body] and not (came[body] == _EXPIRES and came[body + 1] == _EXPIRY):
                    return False
                body += 1 + came[body]
        except (IndexError, UnicodeDecodeError):
            return False
        end = begin + size
        if not name or body > end or end > len(came) or begin - at > _LENGTH:
            return False
        self._at = end
        if self.on_message is not None:
            self.on_message(self, None, cast("Any", Plain(name, came[body:end], bool(came[at] & 1))))
        return True


def _counted(came: bytes, at: int) -> tuple[int, int]:
    """Return where a packet goes on after its length, and its length."""
    size = shift = 0
    while came[at] > 0x7F:
        size |= (came[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return at + 1, size | came[at] << shift
