"""What is read in gulps against what paho reads by itself, of all that a broker may send and of what none would."""

from __future__ import annotations

import socket
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, _ConnectionState

from edgeagent import dialect
from edgeagent.gulps import GulpingClient

NOTHING: Final = "nothing more"


class Wire:
    """A socket that gives what was put into it; closed once `over`. It takes as much as there is `room` for."""

    def __init__(self) -> None:
        self.left, self.asked, self.over = b"", 0, False
        self.sent, self.sends, self.room = b"", 0, 1 << 20

    def send(self, data: bytes) -> int:
        self.sends += 1
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.sent, self.room = self.sent + taken, self.room - len(taken)
        return len(taken)

    def recv(self, most: int) -> bytes:
        self.asked += 1
        if not (self.left or self.over):
            raise BlockingIOError
        given, self.left = self.left[:most], self.left[most:]
        return given

    def close(self) -> None:
        self.over = True


class Side:
    """A client and all that it tells; `read` as the event loop does, for as long as there is something to read."""

    def __init__(self, *, modern: bool, gulps: bool) -> None:
        self.wire, self.told = Wire(), list[object]()
        reader = GulpingClient if gulps else Client
        self.client = reader(CallbackAPIVersion.VERSION2, "x", protocol=MQTTv5 if modern else MQTTv311)
        self.client._sock = self.wire  # type: ignore[assignment]
        self.client.on_message = self._hear
        self.client.on_publish = lambda _, __, mid, code, ___: self.told.append(("acknowledged", mid, code.value))
        self.client.on_disconnect = lambda *_: self.told.append("disconnected")
        self.client.on_socket_register_write = lambda *_: None
        self.ended: object = None

    def _hear(self, _: Client, __: object, message: MQTTMessage) -> None:
        asked = getattr(message.properties, "ResponseTopic", None), getattr(message.properties, "UserProperty", None)
        self.told.append((message.topic, bytes(message.payload), message.retain, *asked))

    def read(self, piece: bytes) -> None:
        self.wire.left += piece
        while self.ended is None and (self.wire.left or self.wire.over):
            try:
                self.ended = self.client.loop_read() or (NOTHING if self.wire.over and not self.wire.left else None)
            except Exception as error:  # noqa: BLE001 - paho raises all sorts of things, and so shall we
                self.ended = type(error)

    @property
    def all(self) -> tuple[object, ...]:
        sent = [bytes(packet["packet"]) for packet in self.client._out_packet]
        return self.told, sent, self.ended and (self.ended if isinstance(self.ended, type) else str(self.ended))


def counted(size: int) -> bytes:
    found = b""
    while True:
        size, digit = size >> 7, size & 127
        found += bytes((digit | (128 if size else 0),))
        if not size:
            return found


def packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + counted(len(body)) + body


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2) + value


def expires(seconds: int) -> bytes:
    return b"\x02" + seconds.to_bytes(4)


PROPERTIES: Final = st.one_of(
    st.just(b""),
    st.integers(0, 1 << 30).map(expires),
    st.just(b"\x01\x01" + expires(45)),
    st.just(b"\x08" + text(b"res/x")),
    st.just(b"\x23\x00\x07"),
    st.binary(max_size=6),
)
TOPICS: Final = st.one_of(
    st.just(b"floor/v1/site/seat/a017/report"), st.text(max_size=200).map(str.encode), st.binary(max_size=4)
)


@st.composite
def publishes(draw: st.DrawFn, *, modern: bool) -> bytes:
    first = draw(st.sampled_from((0x30, 0x30, 0x30, 0x31, 0x32, 0x34, 0x38, 0x36)))
    mid = b"\x00\x07" if first & 6 else b""
    said = draw(PROPERTIES)
    properties = counted(len(said)) + said if modern else b""
    return packet(first, text(draw(TOPICS)) + mid + properties + draw(st.binary(max_size=300)))


@st.composite
def streams(draw: st.DrawFn, *, modern: bool) -> list[bytes]:
    one = st.one_of(
        publishes(modern=modern), publishes(modern=modern), publishes(modern=modern),
        st.integers(0, 9).map(lambda mid: packet(0x40, mid.to_bytes(2))), st.just(b"\xd0\x00"),
        st.binary(min_size=1, max_size=8), st.just(b"\x30\x80\x80\x80\x80\x00"), st.just(b"\x30\x00"),
    )  # fmt: skip
    stream = b"".join(draw(st.lists(one, max_size=8)))
    if stream and draw(st.booleans()):
        at = draw(st.integers(0, len(stream) - 1))
        stream = stream[:at] + bytes((draw(st.integers(0, 255)),)) + stream[at + 1 :]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    return [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(st.data(), st.booleans(), st.booleans())
def test_gulps_tell_what_paho_alone_tells(data: st.DataObject, modern: bool, hangs_up: bool) -> None:
    pieces = data.draw(streams(modern=modern))
    sides = [Side(modern=modern, gulps=gulps) for gulps in (False, True)]
    for side in sides:
        for piece in pieces:
            side.read(piece)
        if hangs_up:
            side.wire.over = True
            side.read(b"")
    alone, ours = sides
    assert ours.all == alone.all


@pytest.mark.parametrize("pieces", [
    (b"\x00\x01", packet(0x30, text(b"seat"))),
    (b"\x00\x80", packet(0x30, text(b"seat"))),
    (b"\x30\x80\x80\x80\x80\x01" + text(b"seat"),),
], ids=["a packet of type 0", "half a length", "a length of five bytes"])  # fmt: skip
def test_what_is_no_packet_comes_to_the_same(pieces: tuple[bytes, ...]) -> None:
    sides = [Side(modern=False, gulps=gulps) for gulps in (False, True)]
    for side in sides:
        for piece in pieces:
            side.read(piece)
    assert sides[0].all == sides[1].all


def test_many_packets_cost_one_look_at_the_socket() -> None:
    side = Side(modern=True, gulps=True)
    side.read(b"".join(packet(0x30, text(b"seat") + counted(5) + expires(45) + b"%d" % n) for n in range(50)))
    assert side.told == [("seat", b"%d" % n, False, None, None) for n in range(50)]
    assert side.wire.asked == 1


@pytest.mark.parametrize("whole", [True, False])
def test_a_packet_in_two_gulps_is_told_once(whole: bool) -> None:
    side, data = Side(modern=False, gulps=True), packet(0x31, text(b"seat") + b"body")
    side.read(data + data[:3])
    assert side.told == [("seat", b"body", True, None, None)]
    side.read(data[3:] + (data if whole else b""))
    assert side.told == [("seat", b"body", True, None, None)] * (2 + whole)


def test_a_gulp_is_all_that_is_told_in_one_turn() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        side, data = Side(modern=False, gulps=True), packet(0x30, text(b"seat") + bytes(3000))
        side.client._sock = ours
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.sendall(data * 40)
        assert not side.client.loop_read()
        assert 0 < len(side.told) < 40
        assert not side.client.loop_read()
        assert len(side.told) == 40


def test_what_hears_may_hang_up() -> None:
    side: Any = Side(modern=False, gulps=True)

    def hear(client: Client, _: object, __: MQTTMessage) -> None:
        side.told.append("heard")
        client._sock_close()

    side.client.on_message = hear
    side.client.on_socket_close = lambda *_: None
    side.wire.left = packet(0x30, text(b"seat")) * 3
    assert side.client.loop_read()
    assert side.told == ["heard"]


SAYINGS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 2), st.binary(max_size=40)),
        st.tuples(st.sampled_from(("subscribe", "ping", "write")), st.just(0), st.just(b"")),
        st.tuples(st.just("room"), st.integers(0, 60), st.just(b"")),
    ),
    max_size=20,
)


@given(SAYINGS, st.booleans(), st.booleans(), st.booleans())
def test_what_is_sent_at_once_is_what_paho_alone_sends(
    sayings: list[tuple[str, int, bytes]], modern: bool, heard: bool, leaves: bool
) -> None:
    sides = [Side(modern=modern, gulps=gulps) for gulps in (False, True)]
    for side in sides:
        client = side.client
        client._state = _ConnectionState.MQTT_CS_CONNECTED
        client.on_publish = (lambda _, it, mid, *__: it.told.append(mid)) if heard else None
        client.user_data_set(side)
        for what, number, body in sayings:
            if what == "publish":
                client.publish("t", body, number)
            elif what == "subscribe":
                client.subscribe("t")
            elif what == "ping":
                client._send_pingreq()
            elif what == "room":
                side.wire.room = number
            else:
                assert not client.loop_write()
        if leaves:
            client.disconnect()
        side.wire.room = 1 << 20
        while client.want_write() and client._sock is not None:
            assert not client.loop_write()
    alone, ours = sides
    assert ours.wire.sent == alone.wire.sent
    assert ours.told == alone.told
    assert ours.wire.over is alone.wire.over is leaves


def test_messages_that_wait_together_cost_one_look_at_the_socket() -> None:
    side = Side(modern=True, gulps=True)
    side.client._state = _ConnectionState.MQTT_CS_CONNECTED
    side.client.on_publish = None
    for number in range(15):
        side.client.publish("t", b"%d" % number, qos=number % 2)
    side.client.loop_write()
    assert side.wire.sends == 1
    assert not side.client.want_write()


@given(
    st.text(min_size=1, max_size=200),
    st.binary(max_size=300),
    st.booleans(),
    st.integers(1, 1 << 30) | st.none(),
    st.booleans(),
)
def test_what_is_said_is_what_paho_would_send(
    topic: str, body: bytes, retain: bool, expiry: int | None, modern: bool
) -> None:
    assume(not {"+", "#"} & set(topic) and len(topic.encode()) < 1 << 16)
    extra = dialect.written(expiry, None, "application/json", None, None) if modern else b""
    own, theirs = (Side(modern=modern, gulps=gulps) for gulps in (True, False))
    assert isinstance(own.client, GulpingClient)
    theirs.client.publish(topic, body, 0, retain, dialect.of_publish(extra) if extra else None)
    assert own.client.say(topic, body, retain, extra) is MQTTErrorCode.MQTT_ERR_SUCCESS
    for side in (own, theirs):
        side.client.on_publish = None
        side.client.loop_write()
    assert own.wire.sent == theirs.wire.sent != b""


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=40)), max_size=12), st.booleans(), st.integers(0, 200))
def test_what_is_said_among_other_things_is_sent_in_order(
    sayings: list[tuple[int, bytes]], modern: bool, room: int
) -> None:
    own, theirs = (Side(modern=modern, gulps=gulps) for gulps in (True, False))
    for side in (own, theirs):
        client = side.client
        client._state, client.on_publish = _ConnectionState.MQTT_CS_CONNECTED, None
        for number, (what, body) in enumerate(sayings):
            if what == 1:
                client.publish("t", body, 1)
            elif what:
                client._send_pingreq()
            elif isinstance(client, GulpingClient):
                client._mid_generate()  # as paho does, though it is for nothing
                client.say("t", body, retain=True, extra=b"\x00" if modern else b"")
            else:
                client.publish("t", body, 0, retain=True)
            if number == 5:
                side.wire.room = room
                client.loop_write()
        side.wire.room = 1 << 20
        client.loop_write()
    assert own.wire.sent == theirs.wire.sent


def test_nothing_is_said_without_a_socket() -> None:
    side = Side(modern=True, gulps=True)
    side.client._sock = None
    assert isinstance(side.client, GulpingClient)
    assert side.client.say("a", b"b", retain=True, extra=b"\x00") is MQTTErrorCode.MQTT_ERR_NO_CONN
    assert not side.client._out_packet
