"""The connection at a real mosquitto, and at brokers that are missing, silent, jealous or out of their mind."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from edgeagent.broker import Broker
from edgeagent.consumer import consume, request
from edgeagent.mqtt import Connection, MqttError, Received, Will
from tests.broker import Listener, Mosquitto, certificates, free_port, needs_mosquitto, until

pytestmark = needs_mosquitto


class Heard:
    """Remembers what a connection told it."""

    def __init__(self) -> None:
        self.connected: list[tuple[bool, int | None]] = []
        self.disconnected: list[tuple[str, int | None]] = []
        self.acks: list[tuple[int, int, bool]] = []
        self.messages: list[Received] = []
        self.spoilt = False

    def on_connected(self, session_present: bool, maximum_packet_size: int | None) -> None:
        self.connected.append((session_present, maximum_packet_size))

    def on_disconnected(self, reason: str, code: int | None) -> None:
        self.disconnected.append((reason, code))

    def on_ack(self, mid: int, code: int, failure: bool) -> None:
        self.acks.append((mid, code, failure))

    def on_message(self, message: Received) -> None:
        if self.spoilt:
            raise RuntimeError("a callback with a fault")
        self.messages.append(message)


async def eventually(true: Callable[[], object], within: float = 60.0) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what is waited for comes from another program
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(connection: Connection) -> AsyncIterator[None]:
    task = asyncio.create_task(connection.run())
    try:
        yield
    finally:
        await connection.close()
        task.cancel()
        await asyncio.wait([task])


class Lag:
    """The longest time for which the loop did not come round, in s."""

    longest = 0.0

    async def watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            self.longest = max(self.longest, time.perf_counter() - before - 0.005)


@contextmanager
def scripted(*replies: bytes) -> Iterator[int]:
    """Listen, and answer the first bytes of every client with these, then hold the line."""
    import threading

    server = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            clients.append(client)
            client.recv(4096)
            for reply in replies:
                client.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
        for client in clients:
            client.close()


CONNACK = b"\x20\x03\x00\x00\x00"
TAKEN_OVER = b"\xe0\x01\x8e"


def test_messages_go_out_and_come_in_with_their_properties(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:

        async def run() -> Heard:
            heard = Heard()
            connection = Connection(Broker("127.0.0.1", broker.port, "me"), heard)
            async with running(connection):
                await eventually(lambda: heard.connected)
                connection.subscribe(["t/#"])
                mid = connection.publish(
                    "t/1", b"{}", expiry=30, user={"seq": "7"}, content_type="application/json",
                    response_topic="answer", correlation=b"\x01\x02",
                )  # fmt: skip
                await eventually(lambda: heard.messages and heard.acks)
                assert heard.acks == [(mid, 0, False)]
            return heard

        heard = asyncio.run(run())
    assert heard.messages == [Received("t/1", b"{}", False, "answer", b"\x01\x02", {"seq": "7"})]
    assert heard.connected == [(False, None)]


def test_what_comes_soon_after_something_else_is_read_together(tmp_path: Path) -> None:
    async def run(port: int) -> list[float]:
        said, times = Heard(), list[float]()

        class Ear(Heard):
            def on_message(self, message: Received) -> None:
                super().on_message(message)
                times.append(asyncio.get_running_loop().time())

        heard = Ear()
        ear = Connection(Broker("127.0.0.1", port, "ear"), heard, rest=0.2)
        mouth = Connection(Broker("127.0.0.1", port, "mouth"), said)
        async with running(ear), running(mouth):
            await eventually(lambda: heard.connected and said.connected)
            ear.subscribe(["t"], qos=0)
            while not times:
                mouth.publish("t", b"0", qos=0)
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
            times.clear()
            for _ in range(30):
                mouth.publish("t", b"1", qos=0)
                await asyncio.sleep(0.01)
            await eventually(lambda: len(times) == 30)
        return times

    with Mosquitto(tmp_path) as broker:
        times = asyncio.run(run(broker.port))
    turns = [after - before for before, after in pairwise(times) if after - before > 0.05]
    assert turns, "else it did not rest"
    assert all(pause >= 0.19 for pause in turns)


def test_what_is_flushed_is_with_others_before_the_loop_comes_round(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, "t") as listener:

        async def run() -> None:
            heard = Heard()
            connection = Connection(Broker("127.0.0.1", broker.port, "me"), heard)
            connection.flush()  # nothing to write to yet
            async with running(connection):
                await eventually(lambda: heard.connected)
                connection.publish("t", b"1")
                connection.flush()
                until(lambda: listener.messages)  # the loop stands still

        asyncio.run(run())
    assert [message["payload"] for message in listener.messages] == ["1"]


def test_the_will_goes_out_after_a_crash_and_not_after_a_clean_end(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, "will") as listener:

        async def run(clean: bool) -> None:
            heard = Heard()
            settings = Broker("127.0.0.1", broker.port, "me", will_delay=1, session_expiry=5)
            connection = Connection(settings, heard, Will("will", b'"gone"'))
            task = asyncio.create_task(connection.run())
            await eventually(lambda: heard.connected)
            if clean:
                await connection.close()
            task.cancel()
            await asyncio.wait([task])

        asyncio.run(run(True))
        asyncio.run(run(False))
        until(lambda: listener.on("will"))
        assert broker.log.count("Sending PUBLISH to") == 1
        assert listener.newest("will") == "gone"


def test_only_the_first_connection_of_a_process_starts_clean(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:

        async def run() -> Heard:
            heard = Heard()
            connection = Connection(Broker("127.0.0.1", broker.port, "me"), heard)
            async with running(connection):
                await eventually(lambda: heard.connected)
                broker.stop()
                broker.start()
                await eventually(lambda: len(heard.connected) == 2)
            return heard

        heard = asyncio.run(run())
        assert re.findall(r" as me \(p5, (c[01]), k15\)", broker.log) == ["c1", "c0"]
    assert "connection lost" in heard.disconnected[0][0] or "disconnected us" in heard.disconnected[0][0]


@pytest.mark.parametrize(
    ("account", "said"),
    [
        pytest.param(("edge", "wrong"), "not authorised", id="wrong-password"),
        pytest.param((None, None), "not authorised", id="no-user"),
        pytest.param(("edge", "right"), None, id="right"),
    ],
)
def test_a_wrong_password_is_told_apart(
    tmp_path: Path, account: tuple[str | None, str | None], said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path, accounts={"edge": "right"}) as broker:

        async def run() -> Heard:
            heard = Heard()
            async with running(Connection(Broker("127.0.0.1", broker.port, "me", *account), heard)):
                await eventually(lambda: heard.connected or heard.disconnected)
            return heard

        heard = asyncio.run(run())
    assert bool(heard.connected) is (said is None)
    if said is not None:
        assert said in heard.disconnected[0][0]
        assert said in caplog.text
    assert "right" not in caplog.text
    assert "wrong" not in caplog.text


def test_certificates_are_used_and_a_missing_one_is_hinted_at(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    config = [
        f"cafile {files['ca.crt']}", f"certfile {files['broker.crt']}", f"keyfile {files['broker.key']}",
        "require_certificate true", "use_identity_as_username true",
    ]  # fmt: skip
    with Mosquitto(tmp_path, config, acl="user edge-hq-1\ntopic write mine\n") as broker:

        async def run(settings: Broker) -> Heard:
            heard = Heard()
            connection = Connection(settings, heard)
            async with running(connection):
                await eventually(lambda: heard.connected or heard.disconnected)
                if heard.connected:
                    connection.publish("mine", b"1")
                    connection.publish("yours", b"1")
                    await eventually(lambda: len(heard.acks) == 2 or heard.disconnected)
            return heard

        host, port = "127.0.0.1", broker.port
        good = asyncio.run(
            run(Broker(host, port, "a", ca=files["ca.crt"], cert=files["agent.crt"], key=files["agent.key"]))
        )
        bare = asyncio.run(run(Broker(host, port, "a", ca=files["ca.crt"])))
        stranger = asyncio.run(run(Broker(host, port, "a", tls=True)))
        absent = asyncio.run(run(Broker(host, port, "a", ca=tmp_path / "nothing.crt")))
        plain = asyncio.run(run(Broker(host, port, "a", keepalive=1)))
    assert sorted((code, failure) for _, code, failure in good.acks) == [(0x10, False), (0x87, True)]
    assert "client certificate" in bare.disconnected[0][0]
    assert "not trusted" in stranger.disconnected[0][0]
    assert "nothing.crt is no file" in absent.disconnected[0][0]
    assert plain.disconnected
    assert not plain.connected


@contextmanager
def refused() -> Iterator[int]:
    yield free_port()


@contextmanager
def black_hole() -> Iterator[int]:
    """Fill the queue of a listener that accepts nobody, so that further SYNs get no answer."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize(
    ("place", "host", "said"),
    [
        pytest.param(refused, "127.0.0.1", "connection refused", id="refused"),
        pytest.param(black_hole, "127.0.0.1", "no answer within 4 s", id="black-hole"),
        pytest.param(refused, "no-such-host.invalid", "cannot be resolved", id="unknown-name"),
        pytest.param(scripted, "127.0.0.1", "no answer to our CONNECT", id="silent"),
    ],
)
def test_no_kind_of_missing_broker_blocks_the_loop(
    place: Callable[[], AbstractContextManager[int]], host: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with place() as port:

        async def run() -> tuple[Heard, float]:
            heard, lag = Heard(), Lag()
            watching = asyncio.create_task(lag.watch())
            connection = Connection(Broker(host, port, "me", keepalive=1, connect_timeout=4.0), heard)
            async with running(connection):
                await asyncio.sleep(0)
                with pytest.raises(MqttError, match="not connected"):
                    connection.publish("t", b"")
                await eventually(lambda: heard.disconnected)
            watching.cancel()
            return heard, lag.longest

        longest = 4.0
        for _ in range(5):  # what blocks would block each time, a machine that stands still does not
            heard, lag = asyncio.run(run())
            assert said in heard.disconnected[0][0]
            if (longest := min(longest, lag)) < 2.0:
                break
    assert said in caplog.text
    assert longest < 2.0, "half of what it waits for an answer"


def test_leaving_does_not_wait_for_a_black_hole() -> None:
    with black_hole() as port:

        async def run() -> None:
            connection = Connection(Broker("127.0.0.1", port, "me", connect_timeout=20.0), Heard())
            async with running(connection):
                await asyncio.sleep(0.1)

        before = time.monotonic()
        asyncio.run(run())
        assert time.monotonic() - before < 10.0


def test_a_taken_over_session_stops_the_fight(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeagent.mqtt._FAST", 0.01)
    with scripted(CONNACK, TAKEN_OVER) as port:

        async def run() -> Heard:
            heard = Heard()
            async with running(Connection(Broker("127.0.0.1", port, "edge-hq-1"), heard)):
                await eventually(lambda: len(heard.disconnected) == 5)
                await asyncio.sleep(1.0)
            return heard

        heard = asyncio.run(run())
    assert len(heard.disconnected) == 5, "the sixth attempt has to wait"
    assert {code for _, code in heard.disconnected} == {0x8E}
    assert "taken over" in heard.disconnected[0][0]
    assert "does another client use the id edge-hq-1" in heard.disconnected[4][0]
    assert "does another client use the id edge-hq-1" in caplog.text


def test_two_agents_with_one_id_end_up_waiting_at_a_real_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeagent.mqtt._FAST", 0.02)
    with Mosquitto(tmp_path) as broker:

        async def run() -> tuple[Heard, Heard]:
            one, two = Heard(), Heard()
            settings = Broker("127.0.0.1", broker.port, "edge-hq-1")
            async with running(Connection(settings, one)), running(Connection(settings, two)):
                await eventually(
                    lambda: any("another client" in said for said, _ in one.disconnected + two.disconnected)
                )
                loser = one if any("another client" in said for said, _ in one.disconnected) else two
                fights = len(loser.disconnected)
                await asyncio.sleep(1.0)
                assert len(loser.disconnected) == fights
            return one, two

        asyncio.run(run())


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"\x20\x03\x00\x00\x7f", id="cut-properties"),
        pytest.param(CONNACK + b"\x30\x05\x00\x09abc", id="cut-publish"),
        pytest.param(CONNACK + b"\xf0\xff\xff\xff\xff\xff", id="endless-length"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another-protocol"),
    ],
)
def test_what_cannot_be_read_ends_the_connection_and_nothing_else(garbage: bytes) -> None:
    with scripted(garbage) as port:

        async def run() -> Heard:
            heard = Heard()
            async with running(Connection(Broker("127.0.0.1", port, "me", keepalive=2), heard)):
                await eventually(lambda: heard.disconnected)
            return heard

        assert asyncio.run(run()).disconnected


def test_a_faulty_callback_is_logged_and_counted_and_the_next_message_arrives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path) as broker:

        async def run() -> None:
            heard = Heard()
            heard.spoilt = True
            connection = Connection(Broker("127.0.0.1", broker.port, "me"), heard)
            async with running(connection):
                await eventually(lambda: heard.connected)
                connection.subscribe(["t"])
                connection.publish("t", b"1")
                await eventually(lambda: connection.errors)
                heard.spoilt = False
                connection.publish("t", b"2")
                await eventually(lambda: heard.messages)
                assert [message.payload for message in heard.messages] == [b"2"]
                assert connection.errors == 1
                assert heard.disconnected == []

        asyncio.run(run())
    assert "a callback with a fault" in caplog.text


def test_a_puback_for_something_too_large_does_not_break_the_connection(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, ["message_size_limit 1000"]) as broker:

        async def run() -> None:
            heard = Heard()
            connection = Connection(Broker("127.0.0.1", broker.port, "me"), heard)
            async with running(connection):
                await eventually(lambda: heard.connected)
                connection.publish("t", b"x" * 2000)
                connection.publish("t", b"x")
                await eventually(lambda: len(heard.acks) == 2)
                assert [(code, failure) for _, code, failure in heard.acks] == [(0x95, True), (0x10, False)]
                assert heard.disconnected == []

        asyncio.run(run())


def test_the_largest_packet_and_the_room_come_from_the_broker(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, ["max_packet_size 5000", "max_inflight_messages 7"]) as broker:

        async def run() -> None:
            heard = Heard()
            connection = Connection(Broker("127.0.0.1", broker.port, "me"), heard)
            async with running(connection):
                await eventually(lambda: heard.connected)
                assert heard.connected == [(False, 5000)]
                assert connection.room == 7
                connection.publish("t", b"x")
                connection.publish("t", b"x", qos=0)
                assert connection.room == 6
                await eventually(lambda: len(heard.acks) == 1)
                assert connection.room == 7

        asyncio.run(run())


def test_a_consumer_reads_and_asks(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:

        async def run() -> None:
            here = ("127.0.0.1", broker.port)
            async with consume(Broker(*here, "agent"), ["req/+"]) as agent:

                async def serve() -> None:
                    async for asked in agent:
                        assert asked.response_topic is not None
                        agent.connection.publish(asked.response_topic, b"not yours", correlation=b"other")
                        agent.connection.publish(asked.response_topic, asked.payload, correlation=asked.correlation)

                serving = asyncio.create_task(serve())
                assert await request(Broker(*here, "cli"), "req/ack", b'{"a":1}', "res/ack") == b'{"a":1}'
                serving.cancel()
            with pytest.raises(MqttError, match="no agent listens"):
                await request(Broker(*here, "cli"), "req/ack", b"{}", "res/ack")

        asyncio.run(run())


def test_a_consumer_says_why_it_cannot_connect(tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(MqttError, match="connection refused"):
            await request(Broker("127.0.0.1", free_port(), "cli"), "req/ack", b"{}", "res/ack")

    asyncio.run(run())
