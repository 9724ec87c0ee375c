"""What a broker can do to the feed, each with the line the operator gets: fallbacks, MQTT 3.1.1, TLS, half-open lines.

Away, refusing, jealous or mad brokers are in test_mqtt.py; forgetting, forbidding and choking ones in test_feed.py.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeagent.broker import Broker, Choice, Place, Protocol
from edgeagent.delivery import Settings
from edgeagent.feed import Feed
from edgeagent.mqtt import Connection
from edgeagent.store import Store
from tests.broker import Listener, Mosquitto, certificates, free_port, needs_mosquitto, until
from tests.field import Simulated
from tests.rig import Daemon, Ear, device, write_site
from tests.test_feed import CRITICAL, STATUS, TREE, Agent, eventually, raised, refuses
from tests.test_mqtt import Heard, running

pytestmark = needs_mosquitto
URL = "snmp://127.0.0.1:{port}?version=2c&community=kept"


@pytest.fixture(autouse=True)
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeagent.mqtt._FAST", 0.05)
    monkeypatch.setattr("edgeagent.mqtt._SLOW", 0.2)


@asynccontextmanager
async def feeding(folder: Path, broker: Broker) -> AsyncIterator[Agent]:
    troubles: list[tuple[str, str]] = []
    store = Store(folder / "edge.db")
    feed = Feed(
        Settings(TREE, "en"), store, lambda events, will: Connection(broker, events, will), refuses,
        on_trouble=lambda kind, text: troubles.append((kind, text)),
    )  # fmt: skip
    task = asyncio.create_task(feed.run())
    try:
        yield Agent(store, feed, troubles, [])
    finally:
        await feed.stop()
        task.cancel()
        await asyncio.wait([task])
        store.close()


def edge(port: int, *fallbacks: int, **settings: Any) -> Broker:  # noqa: ANN401 - as Broker takes them
    places = tuple(Place("127.0.0.1", each) for each in fallbacks)
    more = {"keepalive": 3, "will_delay": 1, "session_expiry": 3, **settings}
    return Broker("127.0.0.1", port, "edge-hq-1", fallbacks=places, **more)


# Several brokers.


def test_brokers_are_tried_in_order_and_an_outage_leads_back_to_the_first() -> None:
    choice = Choice(Broker("a", fallbacks=(Place("b", 1), Place("c", 2))))
    hosts = []
    for stood in (False, False, False, False, True, True, False):
        hosts.append(choice.broker.host)
        choice.ended(stood=stood)
    assert hosts == ["a", "b", "c", "a", "b", "a", "a"]
    assert choice.broker.host == "b"


def test_a_fallback_is_used_told_everything_and_left_after_its_own_outage_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = Mosquitto(tmp_path / "a"), Mosquitto(tmp_path / "b")
    second.start()

    async def run() -> None:
        async with feeding(tmp_path, edge(first.port, second.port)) as it:
            await eventually(lambda: it.feed.session == "connected")
            assert it.feed.connection.fallback
            await it.tell(raised("a"))
            await it.drained()
            first.start()
            with Listener(first.port, "floor/#") as there:
                await it.tell(raised("b"))
                await it.drained()
                assert there.messages == [], "the first is back, and the second serves well"
                with Listener(second.port, "floor/#") as here:
                    until(lambda: here.newest(STATUS) and here.newest(TREE.alarms()))
                    assert here.newest(STATUS)["state"] == "online"
                second.stop()
                await it.tell(raised("c"))
                await eventually(lambda: there.newest(STATUS) and there.on(CRITICAL))
                await it.drained()
                await eventually(lambda: len((there.newest(TREE.alarms()) or {"open": ()})["open"]) == 3)
                assert not it.feed.connection.fallback
                assert [event["payload"]["subject"] for event in there.on(CRITICAL)] == ["c"]

    try:
        asyncio.run(run())
    finally:
        first.stop()
        second.stop()
    assert f"mqtt://127.0.0.1:{second.port}: connected as edge-hq-1, for want of the first broker" in caplog.text


@pytest.mark.slow
def test_the_site_sees_that_a_fallback_serves_and_when_the_first_is_back(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = Mosquitto(tmp_path / "a"), Mosquitto(tmp_path / "b")
    both = f'["mqtt://127.0.0.1:{first.port}", "mqtt://127.0.0.1:{second.port}"]'
    info, alarm = "floor/v1/test/live/agent/edge-1/info", "agent.broker-fallback"
    with second, Simulated("ups/rfc1628", URL.format(port=0)) as ups:
        site = write_site(tmp_path / "site", second.port, device("ups-a", "ups/rfc1628", URL.format(port=ups.port)))
        text = (site / "site.toml").read_text()
        (site / "site.toml").write_text(text.replace(f'"mqtt://127.0.0.1:{second.port}"', both))
        with Daemon(site):
            with Ear(second.port) as ear:
                until(lambda: (ear.newest(info) or {}).get("broker") == f"mqtt://127.0.0.1:{second.port}")
                told = ear.until_raised(alarm, 60)
                assert told["data"]["perceived_severity"] == "warning"
            second.stop()
            with first, Ear(first.port) as ear:
                ear.until_cleared(alarm, 90)
                assert ear.newest(info)["broker"] == f"mqtt://127.0.0.1:{first.port}"


# MQTT 3.1.1.


def test_a_broker_that_knows_no_mqtt_5_is_named_and_served_in_3_1_1(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, "floor/#", args=["-V", "311"]) as listener,
    ):

        async def run() -> None:
            async with feeding(tmp_path, edge(broker.port, protocol=Protocol.V311)) as it:
                await it.tell(raised("a"), raised("b"))
                await it.drained()
                assert it.feed.session == "connected"
                assert it.troubles == []

        asyncio.run(run())
        until(lambda: (listener.newest(STATUS) or {}).get("state") == "offline")
        assert [event["payload"]["subject"] for event in listener.on(CRITICAL)] == ["a", "b"]
        assert [said["payload"]["state"] for said in listener.on(STATUS)] == ["online", "offline"]
    assert "p4" not in caplog.text
    assert "as edge-hq-1 (p2, c1, k3)" in broker.log, "spoken to in 3.1.1"


def test_denial_that_looks_like_success_is_found_out_and_costs_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgeagent.dialect.READ_BACK", 1.0)
    acl = f"user edge\ntopic read floor/#\ntopic write {CRITICAL}\n"
    with Mosquitto(tmp_path, accounts={"edge": "e"}, acl=acl) as broker:

        async def run() -> None:
            settings = edge(broker.port, protocol=Protocol.V311, username="edge", password="e")
            async with feeding(tmp_path, settings) as it:
                await it.tell(raised("a"))
                await eventually(lambda: it.feed.session == "refused")
                assert it.store.depth().events == 1, "acknowledged is not delivered"

        asyncio.run(run())
        assert f"d0, q1, r0, m2, '{CRITICAL}'" not in broker.log, "nothing goes out before the birth is back"
    assert "refused: what we say does not come back to us" in caplog.text


# TLS.


def certificate(folder: Path, files: dict[str, Path], *, name: str, days: int) -> None:
    """Give the broker another certificate of the same CA."""
    (folder / "other.ext").write_text(f"subjectAltName = {name}\n")
    made = subprocess.run(
        [
            "openssl", "x509", "-req", "-in", folder / "broker.csr", "-CA", files["ca.crt"], "-CAkey", files["ca.key"],
            "-CAcreateserial", "-days", str(days), "-extfile", folder / "other.ext", "-out", files["broker.crt"],
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize(
    ("name", "days", "said"),
    [
        pytest.param("IP:127.0.0.1", -1, "certificate has expired", id="expired"),
        pytest.param("DNS:broker.example", 2, "certificate is not valid for '127.0.0.1'", id="of another host"),
    ],
)
def test_a_certificate_that_does_not_hold_is_told_apart(
    tmp_path: Path, name: str, days: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = certificates(tmp_path)
    certificate(tmp_path, files, name=name, days=days)
    config = [f"cafile {files['ca.crt']}", f"certfile {files['broker.crt']}", f"keyfile {files['broker.key']}"]
    with Mosquitto(tmp_path, config) as broker:

        async def run() -> Heard:
            heard = Heard()
            async with running(Connection(Broker("127.0.0.1", broker.port, "a", ca=files["ca.crt"]), heard)):
                await eventually(lambda: heard.connected or heard.disconnected)
            return heard

        heard = asyncio.run(run())
    assert not heard.connected
    assert "the broker's certificate is not trusted" in heard.disconnected[0][0]
    assert said in caplog.text


# Lines that only look alive.


class Swallower:
    """A line to a broker that, once told to, carries nothing any more and does not close either."""

    def __init__(self, target: int) -> None:
        self.target, self.swallow, self.lines = target, False, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines += 1
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        swallowing = False
        while data := await source.read(65_536):
            swallowing |= self.swallow
            if not swallowing:
                sink.write(data)
                await sink.drain()
        if not swallowing:
            sink.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()


def test_a_half_open_line_is_given_up_after_the_keepalive_and_its_events_are_sent_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, CRITICAL) as listener:

        async def run() -> float:
            line = Swallower(broker.port)
            server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            async with feeding(tmp_path, edge(port, keepalive=2)) as it:
                await eventually(lambda: it.feed.session == "connected")
                line.swallow = True
                await it.tell(raised("a"))
                began = time.monotonic()
                await eventually(lambda: it.feed.session == "disconnected")
                took, line.swallow = time.monotonic() - began, False
                await it.drained()
            server.close()
            await line.close()
            return took

        took = asyncio.run(run())
        until(lambda: listener.on(CRITICAL))
        assert [event["payload"]["subject"] for event in listener.on(CRITICAL)] == ["a"]
    assert took < 10 * 2, "not when TCP gives up, a quarter of an hour later"
    assert "connection lost: Keep alive timeout" in caplog.text


def test_a_broker_that_acknowledges_nothing_gets_what_may_be_under_way_and_no_more(tmp_path: Path) -> None:
    async def run() -> None:
        published = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal published
            writer.write(b"\x20\x03\x00\x00\x00")
            held = b""
            while data := await reader.read(65_536):
                held += data
                published = held.count(b"alarm.raised")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with feeding(tmp_path, edge(port, keepalive=60)) as it:
            await eventually(lambda: it.feed.session == "connected")
            await it.tell(*(raised(f"a{n}") for n in range(60)))
            await eventually(lambda: it.feed.connection.room == 0)
            assert it.store.depth().events == 60
            assert published <= 20
        server.close()

    asyncio.run(run())


def test_a_reader_too_slow_for_its_queue_sees_by_the_numbers_what_it_missed(tmp_path: Path) -> None:
    """The broker drops without a word what a reader that is away does not fetch; `seq` is how the reader knows."""
    with Mosquitto(tmp_path, ["max_queued_messages 10"]) as broker:
        lasting = ("-i", "slow", "-c", "-x", "3600")
        with Listener(broker.port, CRITICAL, args=lasting):
            pass

        async def run() -> None:
            async with feeding(tmp_path, edge(broker.port)) as it:
                await it.tell(*(raised(f"a{n}") for n in range(30)))
                await it.drained()
                assert it.troubles == [], "the agent has delivered"

        asyncio.run(run())
        with Listener(broker.port, CRITICAL, args=lasting) as late:
            until(lambda: len(late.messages) >= 10)
            seqs = [json.loads(message["payload"])["seq"] for message in late.messages]
        assert len(seqs) < 30
        assert seqs[-1] - seqs[0] + 1 > len(seqs) or seqs[-1] < 30


def test_nobody_listening_anywhere_is_said_with_each_broker_by_name(caplog: pytest.LogCaptureFixture) -> None:
    ports = [free_port(), free_port()]

    async def run() -> None:
        heard = Heard()
        async with running(Connection(edge(ports[0], ports[1]), heard)):
            await eventually(lambda: len(heard.disconnected) >= 2)

    asyncio.run(run())
    for port in ports:
        assert f"mqtt://127.0.0.1:{port}" in caplog.text
