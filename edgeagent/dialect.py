"""MQTT 5 and MQTT 3.1.1 as paho speaks them: what a client, a publish and a subscription are in each.

Version 3.1.1 has no properties, no delay of the will and no reason codes: a message that the access rules forbid is
acknowledged like any other (MQTT 3.1.1 §3.3.5). `ReadBack` therefore holds everything back until the agent's own birth
has come back to it. Owns no connection and no socket.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from edgeagent.broker import Broker, Protocol

if TYPE_CHECKING:
    from paho.mqtt import client as paho
    from paho.mqtt.properties import Properties

    from edgeagent.gulps import GulpingClient

READ_BACK: Final = 10.0
"""s in which a broker without reason codes has to hand our birth back."""


def new_client(broker: Broker, will: tuple[str, bytes] | None, clean: bool) -> GulpingClient:
    """Build the client of one connection; `clean` drops what a session of before left."""
    from paho.mqtt.client import MQTTv5, MQTTv311
    from paho.mqtt.enums import CallbackAPIVersion

    from edgeagent.gulps import GulpingClient

    _know_too_large()
    modern = broker.protocol is Protocol.V5
    client = GulpingClient(
        CallbackAPIVersion.VERSION2, broker.client_id, protocol=MQTTv5 if modern else MQTTv311,
        clean_session=None if modern else True,
    )  # fmt: skip
    client.connect_timeout = broker.connect_timeout
    client.on_socket_register_write = lambda *_: None  # else CONNECT is written by the thread that dials
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if will is not None:
        delay = properties(99, WillDelayInterval=broker.will_delay) if modern else None
        client.will_set(*will, 1, retain=True, properties=delay)
    if modern:
        # The will goes out when its delay or the session ends, whichever is first.
        session = properties(1, SessionExpiryInterval=broker.session_expiry)
        client.connect_async(broker.host, broker.port, broker.keepalive, clean_start=clean, properties=session)
    else:
        client.connect_async(broker.host, broker.port, broker.keepalive)
    return client


def written(
    expiry: int | None, user: Mapping[str, str] | None, content_type: str | None, response_topic: str | None,
    correlation: bytes | None,
) -> bytes:  # fmt: skip
    """Write the properties of a PUBLISH. `expiry` is in s.

    paho spends more time on them than on the message. `built` is how it would be done.
    """
    if not user and response_topic is None and correlation is None:
        return _plain(expiry, content_type)
    return _pack(expiry, user, content_type, response_topic, correlation)


def of_publish(written: bytes) -> Properties:
    """Give properties that are written already, as paho takes them."""
    return _packed_type()(written)


def built(
    expiry: int | None, user: Mapping[str, str] | None, content_type: str | None, response_topic: str | None,
    correlation: bytes | None,
) -> Properties:  # fmt: skip
    """Build the same by paho alone."""
    return properties(
        3,
        PayloadFormatIndicator=content_type and 1,
        ContentType=content_type,
        MessageExpiryInterval=expiry and max(1, expiry),
        UserProperty=list(user.items()) if user else None,
        ResponseTopic=response_topic,
        CorrelationData=correlation,
    )


def subscribe(
    client: paho.Client, protocol: Protocol, filters: Sequence[str], qos: int, *, retained: bool, own: bool
) -> None:
    """Subscribe. Version 3.1.1 cannot leave out what we say ourselves: what asks for that is not subscribed to."""
    from paho.mqtt.subscribeoptions import SubscribeOptions

    if protocol is Protocol.V5:
        handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
        options = SubscribeOptions(qos, not own, retainHandling=handling)
        client.subscribe([(topic, options) for topic in filters])
    elif own:
        client.subscribe([(topic, qos) for topic in filters])


class ReadBack:
    """Whether what we say arrives at a broker that acknowledges everything: our own birth has to come back."""

    def __init__(self, topic: str, now: float) -> None:
        self.topic, self._deadline = topic, now + READ_BACK
        self._said: bytes | None = None
        self.proven = False

    @property
    def room(self) -> int:
        """How many messages may go out until it is proven: the birth."""
        return int(self._said is None)

    def publish(self, topic: str, payload: bytes) -> None:
        """Note what is said; the first on the topic is to come back."""
        if self._said is None and topic == self.topic:
            self._said = payload

    def take(self, payload: bytes) -> None:
        """Hear a message on the topic, be it one of before."""
        self.proven |= payload == self._said

    def failed(self, now: float) -> bool:
        """Tell whether it has waited long enough."""
        return not self.proven and now >= self._deadline


def properties(packet: int, **values: object) -> Properties:
    """Build the properties of a packet type (1 CONNECT, 3 PUBLISH, 14 DISCONNECT, 99 the will); None leaves one out."""
    from paho.mqtt.properties import Properties

    built = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        if value is not None:
            setattr(built, name, value)
    return built


def close(client: paho.Client) -> None:
    """Close the client's socket without a word to anybody."""
    client.on_socket_close = client.on_socket_unregister_write = client.on_socket_register_write = None
    if (sock := client.socket()) is not None:
        sock.close()


def close_left(error: Exception) -> None:
    """Close the socket that paho leaves to the garbage collector when a TLS handshake fails."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, socket.socket):
                value.close()


def _know_too_large() -> None:
    """Let paho read a PUBACK with 0x95, which mosquitto 2.0 sends and MQTT 5 §3.4.2.1 does not list.

    paho would take it for a malformed packet and hang up, and after every connection again.
    """
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    packets = ReasonCode.names[0x95]["Packet too large"]
    if PacketTypes.PUBACK not in packets:
        packets.append(PacketTypes.PUBACK)


@lru_cache(maxsize=1024)
def _plain(expiry: int | None, content_type: str | None) -> bytes:
    return _pack(expiry, None, content_type, None, None)


def _pack(
    expiry: int | None, user: Mapping[str, str] | None, content_type: str | None, response_topic: str | None,
    correlation: bytes | None,
) -> bytes:  # fmt: skip
    """Write properties of a PUBLISH (MQTT 5 §3.3.2.3) in the order in which paho writes them."""
    said = b"" if content_type is None else b"\x01\x01"
    if expiry is not None:
        said += b"\x02" + (expiry and max(1, expiry)).to_bytes(4)
    if content_type is not None:
        said += b"\x03" + _counted(content_type.encode())
    if response_topic is not None:
        said += b"\x08" + _counted(response_topic.encode())
    if correlation is not None:
        said += b"\x09" + _counted(correlation)
    for name, value in user.items() if user else ():
        said += b"\x26" + _counted(name.encode()) + _counted(value.encode())
    size, head = len(said), b""
    while size > 127:
        head, size = head + bytes((size & 127 | 128,)), size >> 7
    return head + bytes((size,)) + said


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(2) + data


@cache
def _packed_type() -> Callable[[bytes], Properties]:
    from paho.mqtt.properties import Properties

    class Packed(Properties):
        """Properties of which only the bytes are known."""

        def __init__(self, packed: bytes) -> None:
            vars(self)["packed"] = packed

        def pack(self) -> bytes:
            return bytes(vars(self)["packed"])

        def __str__(self) -> str:
            return self.pack().hex()

    return Packed
