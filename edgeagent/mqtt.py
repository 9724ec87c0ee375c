"""The conversation with an MQTT broker. The one place that knows paho, with `dialect.py` and `gulps.py`.

paho runs without its thread: its socket is read and written by the event loop. Only what blocks (DNS, TCP, TLS) is
done by a worker thread, so that neither a dead name server nor a black hole stops the agent. Every connection gets
a client of its own: paho re-sends nothing, whoever publishes keeps what was not acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from edgeagent import dialect
from edgeagent.broker import REFUSALS, Broker, Choice
from edgeagent.broker import Protocol as Version
from edgeagent.tls import context, failure

if TYPE_CHECKING:
    from paho.mqtt import client as paho
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edgeagent.gulps import GulpingClient

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 20
NOT_AUTHORISED, NO_SUBSCRIBERS, _TAKEN_OVER = 0x87, 0x10, 0x8E
_FAST, _SLOW, _TAKEN = 1.0, 15.0, 60.0  # a critical alarm must not wait a minute for a broker that is back
_SETTLED, _TAKEOVERS = 30.0, 5


class MqttError(Exception):
    """The broker cannot be used; the message says why and what to look at."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says in our name when we are gone without a word. Retained, QoS 1."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """One message that came in."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None = None
    correlation: bytes | None = None
    user: Mapping[str, str] = field(default_factory=dict)


class Events(Protocol):
    """Who hears of a connection. All calls come on the event loop, none from inside a call of `Connection`."""

    def on_connected(self, session_present: bool, maximum_packet_size: int | None) -> None:
        """Hear that the broker took us, and the largest packet in bytes it will take."""

    def on_disconnected(self, reason: str, code: int | None) -> None:
        """Hear that a connection ended, or that an attempt failed; `code` is of the broker's DISCONNECT or CONNACK.

        Nothing that was not acknowledged is sent again.
        """

    def on_ack(self, mid: int, code: int, failure: bool) -> None:
        """Hear that the broker has a message of QoS 1, or will not have it. Of QoS 0 nothing is heard."""

    def on_message(self, message: Received) -> None:
        """Hear a message of a subscription."""


class Connection:
    """One client id at one broker, kept connected by `run` with a back-off of 1 to 15 s.

    What comes within `rest` s of what was read before is read together.
    """

    def __init__(self, broker: Broker, events: Events, will: Will | None = None, rest: float = 0.0) -> None:
        self._choice, self._events, self._will, self._rest = Choice(broker), events, will, rest
        self.errors = 0
        """How many exceptions callbacks have raised."""
        self._client: GulpingClient | None = None
        self._ended: asyncio.Future[str] | None = None
        self._stop = asyncio.Event()
        self._met: set[str] = set()
        self._read_back: dialect.ReadBack | None = None
        self._since: float | None = None
        self._limit = IN_FLIGHT
        self._unacked: set[int] = set()
        self._kicks: deque[float] = deque(maxlen=_TAKEOVERS)
        self._reason = ""
        self._code: int | None = None
        self._inside = False
        self._soon: asyncio.Handle | None = None

    @property
    def broker(self) -> Broker:
        """The broker that we talk to, or try next."""
        return self._choice.broker

    @property
    def fallback(self) -> bool:
        """Tell whether we are connected, and not to the first broker."""
        return self.connected and self._choice.fallback

    @property
    def connected(self) -> bool:
        """Tell whether the broker has taken us and the socket still stands."""
        return self._since is not None

    @property
    def room(self) -> int:
        """How many more QoS 1 messages may be on their way at once."""
        if self._read_back is not None and not self._read_back.proven:
            return self._read_back.room
        return self._limit - len(self._unacked)

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry: int | None = None,
        user: Mapping[str, str] | None = None, content_type: str | None = None, response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> int:  # fmt: skip
        """Send one message with the next turn of the loop, or with `flush`; return its id for `on_ack`, 0 for QoS 0.

        `expiry` is in s.

        Raises:
            MqttError: when not connected.
        """
        if self._client is None or self._since is None:
            raise MqttError("not connected")
        modern = self.broker.protocol is Version.V5
        extra = dialect.written(expiry, user, content_type, response_topic, correlation) if modern else b""
        properties = dialect.of_publish(extra) if qos and modern else None
        info = self._client.publish(topic, payload, qos, retain, properties) if qos else None
        code = self._client.say(topic, payload, retain, extra) if info is None else info.rc
        if code:
            raise MqttError(f"not sent: {code.name}")
        if self._read_back is not None:
            self._read_back.publish(topic, payload)
        if info is None:
            return 0
        self._unacked.add(info.mid)
        return info.mid

    def flush(self) -> None:
        """Write to the socket what was published, as far as it takes it, without waiting for the loop to come round."""
        if self.connected and not self._inside:
            self._io(self._write)

    def subscribe(self, filters: Sequence[str], qos: int = 1, retained: bool = True, own: bool = True) -> None:
        """Subscribe; with `retained` false, not to what already lies there; with `own` false, not to what we say."""
        if self._client is not None:
            dialect.subscribe(self._client, self.broker.protocol, filters, qos, retained=retained, own=own)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Hear no more of what was subscribed to."""
        if self._client is not None:
            self._client.unsubscribe(list(filters))

    async def run(self) -> None:
        """Connect and stay connected until cancelled or closed."""
        attempts = 0
        while not self._stop.is_set():
            began = time.monotonic()
            client, self._code = self._new_client(), None
            reason = await self._dial(client) or await self._converse(client)
            if self._stop.is_set():
                return
            stood, tried = time.monotonic() - began > _SETTLED, self.broker
            attempts = 0 if stood else attempts + 1
            rounds = min(attempts // len(self._choice), 6)
            delay = min(_SLOW, max(_FAST, tried.patience) * 2**rounds) * random.uniform(0.5, 1)  # noqa: S311 - jitter
            if self._code != _TAKEN_OVER:  # whoever has our client id will have it there too
                self._choice.ended(stood=stood)
            if len(self._kicks) == _TAKEOVERS and time.monotonic() - self._kicks[0] < 60:
                reason += f"; {_TAKEOVERS} times in a minute: does another client use the id {tried.client_id}?"
                delay = _TAKEN
            if reason != self._reason:
                log.warning("%s: %s; next attempt in %.0f s, %s", tried, reason, delay, self.broker)
                self._reason = reason
            self._guarded(self._events.on_disconnected, reason, self._code)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)

    async def close(self) -> None:
        """Send DISCONNECT, which drops the will and the session, and end `run`."""
        self._stop.set()
        if self._client is not None and self._ended is not None and self.connected:
            self._client.disconnect(properties=dialect.properties(14, SessionExpiryInterval=0))
            await asyncio.wait([self._ended], timeout=1.0)

    def _new_client(self) -> GulpingClient:
        will = None if self._will is None else (self._will.topic, self._will.payload)
        return dialect.new_client(self.broker, will, clean=str(self.broker) not in self._met)

    async def _dial(self, client: GulpingClient) -> str | None:
        """Connect the socket in a thread; return why it failed. A thread that nobody waits for closes its socket."""
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        def dial() -> None:
            try:
                if self.broker.secured:
                    client.tls_set_context(context(self.broker.files))
                client.reconnect()
            except (OSError, ValueError) as error:
                dialect.close_left(error)
                outcome: Exception | None = error
            else:
                outcome = None
            with suppress(RuntimeError):  # the loop has gone
                loop.call_soon_threadsafe(finish, outcome)
                return
            dialect.close(client)

        def finish(outcome: Exception | None) -> None:
            if done.cancelled():
                dialect.close(client)
            else:
                done.set_result(outcome)

        # No executor: leaving asyncio.run would wait for its threads, and so for a black hole.
        threading.Thread(target=dial, name="mqtt-connect", daemon=True).start()
        return None if (error := await done) is None else failure(error, self.broker)

    async def _converse(self, client: GulpingClient) -> str:
        """Let the loop carry the socket until the connection ends; return why it did."""
        sock, loop = client.socket(), asyncio.get_running_loop()
        if sock is None:
            return "the connection was closed at once"
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client, self._ended = client, loop.create_future()
        self._unacked.clear()
        self._read_back = self._soon = None
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_message = self._on_publish, self._on_message
        client.on_subscribe = self._on_subscribe

        def write(*_: object) -> None:
            self._soon = self._soon or loop.call_soon(self._io, self._write)

        def rest(*_: object) -> None:
            loop.remove_writer(sock)

        def forget(*_: object) -> None:
            loop.remove_reader(sock)
            loop.remove_writer(sock)

        def read() -> None:
            self._io(self._read)
            if self._rest and self._client is client and client.socket() is sock:
                loop.remove_reader(sock)
                loop.call_later(self._rest, listen)

        def listen() -> None:
            if self._client is client and client.socket() is sock:
                loop.add_reader(sock, read)

        client.on_socket_register_write, client.on_socket_unregister_write, client.on_socket_close = write, rest, forget
        listen()
        write()
        try:
            while not self._ended.done():
                await asyncio.wait([self._ended], timeout=1.0)
                self._io(client.loop_misc)
                if self._read_back is not None and self._read_back.failed(time.monotonic()):
                    self._code = NOT_AUTHORISED
                    self._end(
                        "refused: what we say does not come back to us: the access rules forbid to write or read it"
                    )
            return self._ended.result()
        finally:
            if client.socket() is not None:
                forget()
            self._client, self._since = None, None
            dialect.close(client)

    def _read(self) -> None:
        while self._client is not None and not self._client.loop_read():
            sock = self._client.socket()
            if not isinstance(sock, ssl.SSLSocket) or not sock.pending():  # what TLS holds back wakes no selector
                return

    def _write(self) -> None:
        """Write; without `on_publish`, for whose call paho builds an answer to each message of QoS 0 by itself."""
        self._soon, client = None, self._client
        if client is None:
            return
        client.on_publish = None
        try:
            client.loop_write()
        finally:
            client.on_publish = self._on_publish
        if client.want_write() and (sock := client.socket()) is not None:  # it did not take all
            asyncio.get_running_loop().add_writer(sock, self._io, self._write)

    def _io(self, call: Callable[[], object]) -> None:
        """Run one step of paho; what it chokes on ends the connection, never the agent."""
        self._inside = True
        try:
            call()
        except Exception as error:  # the edge: bytes of a foreign program are being parsed
            log.exception("%s: MQTT client failed", self.broker)
            self.errors += 1
            self._end(f"what the broker sent cannot be read: {error}")
        finally:
            self._inside = False

    def _guarded(self, call: Callable[..., None], *args: object) -> None:
        """Call whoever listens. An exception would unwind through paho and stop the feed without a word."""
        try:
            call(*args)
        except Exception:
            log.exception("%s: %s failed", self.broker, call)
            self.errors += 1

    def _end(self, reason: str) -> None:
        self._since = None
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)

    def _on_connect(
        self, _: object, __: object, flags: paho.ConnectFlags, code: ReasonCode, said: Properties | None
    ) -> None:
        if code.is_failure:
            self._code = code.value
            self._end(f"refused: {REFUSALS.get(code.value, str(code))}")
            return
        broker, now = self.broker, time.monotonic()
        if self._choice.fallback:
            log.warning("%s: connected as %s, for want of the first broker", broker, broker.client_id)
        elif self._reason or not self._met:
            log.info("%s: connected as %s", broker, broker.client_id)
        self._met.add(str(broker))
        self._reason, self._since = "", now
        if broker.protocol is Version.V311 and self._will is not None:
            self._read_back = dialect.ReadBack(self._will.topic, now)
            self.subscribe([self._will.topic])
        self._limit = min(IN_FLIGHT, getattr(said, "ReceiveMaximum", 65_535))
        # Not from here: paho now walks through its queue, which whoever hears of the connection will add to.
        client, largest = self._client, getattr(said, "MaximumPacketSize", None)

        def tell() -> None:
            if client is self._client and self._since is not None:
                self._guarded(self._events.on_connected, flags.session_present, largest)

        asyncio.get_running_loop().call_soon(tell)

    def _on_disconnect(self, _: object, __: object, flags: paho.DisconnectFlags, code: ReasonCode, ___: object) -> None:
        lived = None if self._since is None else time.monotonic() - self._since
        said = flags.is_disconnect_packet_from_server
        if said:
            self._code = code.value
        # mosquitto before 2.1 hangs up without giving the code; amid messages, it may be one of them that it disliked.
        if self._code == _TAKEN_OVER or not (said or lived is None or lived > _SETTLED or self._unacked):
            self._kicks.append(time.monotonic())
        if self._code == _TAKEN_OVER:
            self._end("session taken over: another client came with our client id")
        elif said:
            self._end(f"the broker disconnected us: {code}")
        elif lived is None and self.broker.secured:
            self._end("the broker hung up at once; with TLS 1.3 a missing or refused client certificate shows so")
        else:
            self._end(f"connection lost: {code}" if lived is not None else f"no answer to our CONNECT: {code}")

    def _on_publish(self, _: object, __: object, mid: int, code: ReasonCode, ___: object) -> None:
        self._unacked.discard(mid)
        self._guarded(self._events.on_ack, mid, code.value, code.is_failure)

    def _on_subscribe(self, _: object, __: object, ___: int, codes: list[ReasonCode], ____: object) -> None:
        for code in (code for code in codes if code.is_failure):
            log.warning("%s: a subscription was refused: %s", self.broker, code)

    def _on_message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        if self._read_back is not None and message.topic == self._read_back.topic:
            self._read_back.take(bytes(message.payload))
            return
        said = message.properties
        self._guarded(
            self._events.on_message,
            Received(
                message.topic, bytes(message.payload), message.retain, getattr(said, "ResponseTopic", None),
                getattr(said, "CorrelationData", None), dict(getattr(said, "UserProperty", ())),
            ),
        )  # fmt: skip
