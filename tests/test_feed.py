"""The feed at a real mosquitto: presence, order, loss, refusals, commands; and at brokers that misbehave."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edgeagent.alarm import Alarm, Change, OperatorState, Refused, Verb
from edgeagent.alarmfeed import record
from edgeagent.broker import Broker
from edgeagent.catalog import Severity, Text
from edgeagent.commands import Commands, Rejected
from edgeagent.consumer import request
from edgeagent.delivery import Bucket, Patience, Settings
from edgeagent.feed import Feed
from edgeagent.messages import Message, Mode, Place, Tree, event, state
from edgeagent.mqtt import Connection, Received
from edgeagent.payloads import device_state
from edgeagent.readings import Reading
from edgeagent.store import Batch, Entry, Limits, Store, StoreError
from edgeagent.underway import Line
from tests.broker import Listener, Mosquitto, free_port, needs_mosquitto, until

pytestmark = needs_mosquitto

TREE = Tree("floor", "hq", "edge-1")
STATUS = TREE.own("status")
CRITICAL = TREE.event("alarm", "critical")

ALARM = Alarm(
    alarm_id="ups-a.on-battery",
    resource="ups-a",
    alarm_type_id="on-battery",
    alarm_type_qualifier="",
    event_type="equipment",
    probable_cause="powerProblem",
    perceived_severity=Severity.CRITICAL,
    alarm_text=Text("UPS A runs on battery", "UPS A 由电池供电"),
    short_text=Text("UPS A on battery", "UPS A 电池供电"),
    recommended_action=Text("Look at the mains", "检查市电"),
    time_created=1.0,
    last_changed=1.0,
    is_cleared=False,
    raised=1.0,
    raise_count=1,
    operator_state=OperatorState.NONE,
)


@pytest.fixture(autouse=True)
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeagent.mqtt._FAST", 0.05)
    monkeypatch.setattr("edgeagent.mqtt._SLOW", 0.2)


def raised(id: str, at: float = 1.0, **facts: Any) -> Change:  # noqa: ANN401 - as replace() takes them
    return Change(Verb.RAISED, replace(ALARM, alarm_id=id, raised=at, **facts), None, at)


def refuses(verb: str, request: dict[str, Any], by: str) -> Mapping[str, Any]:
    raise Rejected("unknown-verb")


@dataclass
class Agent:
    """A store and a feed, and what the feed told of trouble."""

    store: Store
    feed: Feed
    troubles: list[tuple[str, str]]
    announced: list[str]

    async def tell(self, *changes: Change) -> None:
        messages = self.feed.messages(changes, time.time())
        entries = [Entry(change.verb, time.time(), {"alarm_id": change.alarm.alarm_id}) for change in changes]
        await self.feed.commit(Batch(journal=entries, outbox=messages))

    async def drained(self, within: float = 90.0) -> None:
        await eventually(lambda: not self.store.next_rows(1), within)


async def eventually(true: Callable[[], object], within: float = 60.0) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what is waited for comes from another program
            await asyncio.sleep(0.01)


@asynccontextmanager
async def agent(
    folder: Path, port: int, on_command: Callable[..., Mapping[str, Any]] = refuses, *, crash: bool = False,
    before: Callable[[Feed], None] = lambda feed: None, limits: Limits | None = None,
    account: tuple[str, str] | None = None,
    **settings: Any,  # noqa: ANN401 - as Settings takes them
) -> AsyncIterator[Agent]:  # fmt: skip
    troubles: list[tuple[str, str]] = []
    announced: list[str] = []
    store = Store(folder / "edge.db", limits)
    user, password = account or (None, None)
    broker = Broker("127.0.0.1", port, "edge-hq-1", user, password, keepalive=3, will_delay=1, session_expiry=3)
    feed = Feed(
        Settings(TREE, "en", **settings), store, lambda events, will: Connection(broker, events, will), on_command,
        on_trouble=lambda kind, text: troubles.append((kind, text)),
        on_announced=lambda alarm_id, at, mode: announced.append(alarm_id),
    )  # fmt: skip
    before(feed)
    running = asyncio.create_task(feed.run())
    try:
        yield Agent(store, feed, troubles, announced)
    finally:
        if not crash:
            await feed.stop()
        running.cancel()
        await asyncio.wait([running])
        store.close()
    if not running.cancelled():
        running.result()


def numbers(listener: Listener, *topics: str) -> list[int]:
    """Return the event numbers that were heard, duplicates told by (source, id) taken out."""
    heard = {}
    for topic in topics:
        for message in listener.on(topic):
            heard[message["payload"]["source"], message["payload"]["id"]] = message["payload"]["seq"]
    return sorted(heard.values())


# Presence.


def test_birth_clean_exit_and_will_stand_on_one_retained_topic(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, STATUS) as listener:

        async def run(crash: bool) -> int:
            async with agent(tmp_path, broker.port, crash=crash) as it:
                await eventually(lambda: (listener.newest(STATUS) or {}).get("boot") == it.store.boot)
                return it.store.boot

        boots = [asyncio.run(run(False))]
        until(lambda: len(listener.on(STATUS)) == 2)
        boots.append(asyncio.run(run(True)))
        until(lambda: len(listener.on(STATUS)) == 4)
        said = [message["payload"] for message in listener.on(STATUS)]
        assert [(one["state"], one["reason"], one["boot"]) for one in said] == [
            ("online", "start", boots[0]),
            ("offline", "stop", boots[0]),
            ("online", "start", boots[1]),
            ("offline", "lost", boots[1]),
        ]
        with Listener(broker.port, STATUS) as late:
            until(lambda: late.on(STATUS))
            assert (late.on(STATUS)[0]["retain"], late.newest(STATUS)["reason"]) == (1, "lost")


def test_the_feed_is_alive_and_stops_at_once_without_a_broker(tmp_path: Path) -> None:
    async def run() -> float:
        async with agent(tmp_path, free_port()) as it:
            await it.tell(raised("a"))
            await asyncio.sleep(0.5)
            assert it.feed.alive()
            before = time.monotonic()
        return time.monotonic() - before

    assert min(asyncio.run(run()) for _ in range(3)) < 1.0


# Nothing is lost.


@pytest.mark.parametrize(
    ("stops", "starts"),
    [
        pytest.param((0, 251), (100, 301), id="away-at-first-and-once-more"),
        pytest.param((101, 201, 301), (111, 251, 399), id="away-three-times"),
    ],
)
def test_every_event_reaches_a_reader_with_a_lasting_session_at_least_once_and_without_gaps(
    tmp_path: Path, stops: tuple[int, ...], starts: tuple[int, ...]
) -> None:
    lasting = ["-i", "reader", "-c", "-x", "3600"]
    config = ["persistence true", f"persistence_location {tmp_path}/", "max_queued_messages 100000"]
    with Mosquitto(tmp_path, config) as broker:
        with Listener(broker.port, f"{CRITICAL}", args=lasting) as first:
            pass

        async def run() -> None:
            async with agent(tmp_path, broker.port, rate=2000.0) as it:
                for n in range(400):
                    if n in stops:
                        broker.stop()
                    await it.tell(raised(f"a{n % 50}"))
                    if n in starts:
                        broker.start()
                await it.drained()

        asyncio.run(run())
        with Listener(broker.port, CRITICAL, args=lasting) as again:
            until(lambda: 400 in numbers(again, CRITICAL))
            assert numbers(again, CRITICAL) == list(range(1, 401))
        assert first.messages == []


def test_a_crash_of_the_agent_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        broker.stop()

        async def run(crash: bool) -> None:
            async with agent(tmp_path, broker.port, crash=crash) as it:
                await it.tell(raised("a"), raised("b"))
                if not crash:
                    await it.drained()

        asyncio.run(run(True))
        broker.start()
        with Listener(broker.port, CRITICAL) as listener:
            asyncio.run(run(False))
            until(lambda: numbers(listener, CRITICAL) == [1, 2, 3, 4])
            boots = [message["payload"]["boot"] for message in listener.on(CRITICAL)]
        assert boots == [boots[0], boots[0], boots[0] + 1, boots[0] + 1]


def test_a_full_disk_does_not_silence_an_alarm(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, CRITICAL) as listener:

        async def run() -> None:
            async with agent(tmp_path, broker.port) as it:
                other = sqlite3.connect(tmp_path / "edge.db", isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreError):
                    await it.tell(raised("a"))
                await eventually(lambda: numbers(listener, CRITICAL) == [1])
                other.execute("ROLLBACK")
                other.close()
                await eventually(lambda: it.store.trouble is None)
                await it.drained()
                assert len(it.store.journal()) == 1

        asyncio.run(run())
        assert len(listener.on(CRITICAL)) == 1


def test_an_old_event_says_that_it_is_replayed_and_a_new_one_does_not(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, CRITICAL) as listener:

        async def run() -> None:
            async with agent(tmp_path, broker.port) as it:
                old = it.feed.messages([raised("a")], time.time() - 100)
                await it.feed.commit(Batch(outbox=old))
                await it.tell(raised("b"))
                await it.drained()

        asyncio.run(run())
        until(lambda: len(listener.on(CRITICAL)) == 2)
        assert [message["payload"].get("replayed") for message in listener.on(CRITICAL)] == [True, None]


def test_an_alarm_that_nothing_is_before_is_sent_without_a_look_at_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {TREE.alarms(), TREE.alarm("ups-b.on-battery"), CRITICAL}

    def heard(reader: Listener) -> list[str]:
        return [message["topic"] for message in reader.messages if message["topic"] in told]

    async def run(broker: Mosquitto, reader: Listener) -> None:
        async with agent(tmp_path, broker.port) as it:
            await it.tell(raised("ups-a.on-battery"))
            await it.drained()
            monkeypatch.setattr(it.store, "next_rows", lambda *_: [])
            await it.tell(raised("ups-b.on-battery"))
            await eventually(lambda: len(numbers(reader, CRITICAL)) == 2 and heard(reader)[-1] == TREE.alarms())

    with Mosquitto(tmp_path) as broker, Listener(broker.port, "floor/#") as reader:
        asyncio.run(run(broker, reader))
    assert heard(reader)[-3:] == [CRITICAL, TREE.alarm("ups-b.on-battery"), TREE.alarms()]


def test_an_alarm_is_announced_when_the_broker_has_its_event(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:

        async def run() -> None:
            async with agent(tmp_path, broker.port) as it:
                await it.tell(raised("a"))
                await eventually(lambda: it.announced == ["a"])

        asyncio.run(run())


# What is retained.


def test_a_broker_that_has_forgotten_everything_is_told_again(tmp_path: Path) -> None:
    reading = device_state({"source": Reading("normal", 1.0)}, {}, 1.0, 1.0)
    topics = [TREE.alarm("a"), TREE.alarms(), TREE.state("ups-a"), TREE.own("info"), STATUS]
    with Mosquitto(tmp_path) as broker:

        async def run() -> None:
            async with agent(tmp_path, broker.port) as it:
                it.feed.hold(state(TREE.own("info"), {"version": "1"}, 1.0))
                it.feed.hold(state(TREE.state("ups-a"), reading, 1.0, qos=0))
                await it.tell(raised("a"))
                await it.drained()
                broker.stop()
                broker.start()
                with Listener(broker.port, "floor/#") as listener:
                    await eventually(lambda: all(listener.on(topic) for topic in topics))
                    assert listener.newest(STATUS)["reason"] == "reconnect"
                    assert listener.newest(TREE.state("ups-a")) == reading
                    assert listener.newest(TREE.alarms())["counts"]["critical"] == 1

        asyncio.run(run())


def test_restored_alarms_are_on_the_feed_and_what_is_no_longer_wanted_is_deleted(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, ["persistence true", f"persistence_location {tmp_path}/"]) as broker:

        async def first() -> None:
            async with agent(tmp_path, broker.port, crash=True) as it:
                it.feed.hold(state(TREE.state("gone"), {"x": 1}, 1.0, qos=0))
                await it.tell(raised("a"), raised("b"), raised("c", origin="drill-1"))
                await it.drained()
                await eventually(lambda: TREE.state("gone") in it.store.retained())

        async def second() -> None:
            listed = [replace(ALARM, alarm_id="a")]
            said = [state(TREE.alarm("a"), record(listed[0], "zh"), 1.0, qos=0)]
            async with agent(tmp_path, broker.port, before=lambda feed: feed.restore(listed, said)) as it:
                await it.drained()
                await eventually(lambda: it.store.retained() == {STATUS, TREE.alarm("a"), TREE.alarms()})

        asyncio.run(first())
        asyncio.run(second())
        with Listener(broker.port, "floor/#") as late:
            until(lambda: len(late.messages) >= 3)
            assert {message["topic"] for message in late.messages} == {STATUS, TREE.alarm("a"), TREE.alarms()}
            assert [line["alarm_id"] for line in late.newest(TREE.alarms())["open"]] == ["a"]


@pytest.mark.parametrize("sent", [pytest.param(True, id="on-its-way"), pytest.param(False, id="still-waiting")])
def test_a_record_that_was_deleted_and_is_wanted_again_stays_and_is_remembered(tmp_path: Path, sent: bool) -> None:
    topic = TREE.alarm("a")
    with Mosquitto(tmp_path) as broker:

        async def run() -> None:
            async with agent(tmp_path, broker.port) as it:
                await it.tell(raised("a"))
                await it.drained()
                (stone,) = it.feed.gone([replace(ALARM, alarm_id="a")], time.time())
                deleted = it.feed.commit(Batch(outbox=[stone]))
                if sent:
                    await deleted
                await it.tell(raised("a", at=2.0))
                await it.drained()
                await eventually(lambda: not it.feed._acked)
                await it.store.commit(Batch())
                assert topic in it.store.retained()
                with Listener(broker.port, topic) as late:
                    await eventually(lambda: late.on(topic))
                    assert late.newest(topic)["last_raised"].startswith("1970-01-01T00:00:02")

        asyncio.run(run())


def test_what_is_being_written_when_it_is_to_stop_is_sent_before_it_leaves(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, CRITICAL) as listener:

        async def run() -> None:
            async with agent(tmp_path, broker.port) as it:
                await eventually(lambda: it.feed.connection.connected)
                await it.drained()
                telling = asyncio.create_task(it.tell(raised("late")))
                await asyncio.sleep(0)
                await it.feed.stop()
                await telling

        asyncio.run(run())
        until(lambda: listener.on(CRITICAL))


def test_the_end_of_a_drill_empties_its_lane_and_leaves_the_live_one(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, "floor/v1/hq/live/#") as live:

        async def run() -> None:
            async with agent(tmp_path, broker.port) as it:
                await it.tell(raised("a"))
                await it.drained()
                heard = len(live.messages)
                await it.tell(raised("a", origin="drill-1"), raised("b", origin="drill-1"))
                it.feed.hold(state(TREE.state("ups-a", Mode.DRILL), {"x": 1}, 1.0, qos=0))
                await it.drained()
                await it.feed.commit(Batch(outbox=it.feed.end_drill(time.time())))
                await it.drained()
                with Listener(broker.port, "floor/v1/hq/#") as late:
                    await eventually(lambda: late.on(TREE.alarm("a")))
                    assert not [message for message in late.messages if "/drill/" in message["topic"]]
                assert len(live.messages) == heard, "a reader of live hears nothing of a drill"

        asyncio.run(run())


def test_telemetry_is_the_newest_a_topic_and_never_touches_the_disk(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, TREE.state("ups-a")) as listener:

        async def run() -> None:
            async with agent(tmp_path, broker.port, telemetry_rate=50.0) as it:
                await eventually(lambda: it.feed.connection.connected)
                for n in range(1000):
                    it.feed.hold(state(TREE.state("ups-a"), {"n": n}, 1.0, qos=0))
                    if n % 100 == 0:
                        await asyncio.sleep(0)
                assert it.store.next_rows(10) == []
                await eventually(lambda: listener.newest(TREE.state("ups-a")) == {"n": 999})

        asyncio.run(run())
        assert len(listener.messages) < 200


def test_what_is_over_the_bound_of_telemetry_goes_several_at_a_time(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:

        async def run() -> list[int]:
            async with agent(tmp_path, broker.port, telemetry_rate=500.0) as it:
                await eventually(lambda: it.feed.connection.connected)
                went: list[int] = []
                say, pump = it.feed._say, it.feed._pump

                def counted(line: Line, topic: str) -> None:
                    went[-1] += 1
                    say(line, topic)

                def pumped() -> None:
                    went.append(0)
                    pump()

                it.feed._say, it.feed._pump = counted, pumped  # type: ignore[method-assign]
                it.feed.hold(*(state(TREE.state(f"ups-{number}"), {}, 1.0, qos=0) for number in range(150)))
                await eventually(lambda: sum(went) >= 150)
                return went

        went = asyncio.run(run())
        assert len([many for many in went if many]) < 20, went


def test_the_same_value_is_said_once(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, TREE.state("ups-a")) as listener:

        async def run() -> None:
            async with agent(tmp_path, broker.port) as it:
                await eventually(lambda: it.feed.connection.connected)
                for n in (1, 1, 1, 2):
                    it.feed.hold(state(TREE.state("ups-a"), {"n": n}, 1.0, qos=0))
                    await eventually(lambda n=n: listener.newest(TREE.state("ups-a")) == {"n": n})  # type: ignore[misc]
                    await asyncio.sleep(0.05)

        asyncio.run(run())
        assert [message["payload"] for message in listener.on(TREE.state("ups-a"))] == [{"n": 1}, {"n": 2}]


def test_the_drain_is_bounded_in_rate_and_a_single_alarm_does_not_wait(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, CRITICAL) as listener:

        async def run() -> tuple[list[float], float]:
            async with agent(tmp_path, broker.port, rate=100.0, burst=10) as it:
                await eventually(lambda: it.feed.connection.connected)
                each = []
                for alone in range(1, 6):
                    await asyncio.sleep(0.3)
                    before = time.monotonic()
                    await it.tell(raised(f"alone-{alone}"))
                    await eventually(lambda n=alone: len(numbers(listener, CRITICAL)) == n)  # type: ignore[misc]
                    each.append(time.monotonic() - before)
                before = time.monotonic()
                await it.tell(*(raised(f"a{n}") for n in range(120)))
                await it.drained()
                return each, time.monotonic() - before

        each, many = asyncio.run(run())
        until(lambda: len(numbers(listener, CRITICAL)) == 125)
    assert many > 0.8, "120 events at 100 a second, 10 at once"
    assert min(each) < many / 4, "an alarm alone goes at once"


# What the broker refuses.


def test_a_topic_the_access_rules_forbid_goes_to_quarantine_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = f"""
user edge
topic write {STATUS}
topic write {TREE.event("alarm", "minor")}
topic write {TREE.event("agent", "gap")}
user reader
topic read floor/#
"""
    minor = TREE.event("alarm", "minor")
    with (
        Mosquitto(tmp_path, accounts={"edge": "e", "reader": "r"}, acl=acl) as broker,
        Listener(broker.port, "floor/#", args=["-u", "reader", "-P", "r"]) as listener,
    ):

        async def run() -> None:
            async with agent(tmp_path, broker.port, account=("edge", "e")) as it:
                await it.tell(raised("a"), raised("b", perceived_severity=Severity.MINOR))
                await it.drained()
                await eventually(lambda: it.store.depth().quarantined == 1)
                ((_, forbidden),) = [trouble for trouble in it.troubles if trouble[0] == "quarantine"]
                assert forbidden.startswith(CRITICAL)
                assert "access rules" in forbidden
                assert ("denied", TREE.alarms()) in it.troubles

        asyncio.run(run())
        until(lambda: listener.on(minor) and listener.on(TREE.event("agent", "gap")))
        gap = listener.newest(TREE.event("agent", "gap"))
        assert gap["data"] == {"from_seq": 1, "to_seq": 1, "count": 1, "reason": "quarantined"}
        assert listener.on(CRITICAL) == []
    assert f"{CRITICAL} cannot be delivered" in caplog.text


@pytest.mark.parametrize(
    ("config", "largest"),
    [
        pytest.param([], 4000, id="our-own-bound"),
        pytest.param(["max_packet_size 4000"], 65_536, id="told-by-the-broker"),
        pytest.param(["message_size_limit 4000"], 65_536, id="not-told-by-the-broker"),
    ],
)
def test_what_is_too_large_goes_to_quarantine_and_the_rest_goes_on(
    tmp_path: Path, config: list[str], largest: int
) -> None:
    with Mosquitto(tmp_path, config) as broker, Listener(broker.port, "floor/v1/hq/live/event/#") as listener:

        async def run() -> None:
            async with agent(tmp_path, broker.port, largest=largest) as it:
                topic = TREE.event("alarm", "critical")
                large = event(
                    TREE, topic, "alarm.raised", "x", 1.0, {"text": "x" * 5000}, boot=it.store.boot,
                    seq=it.store.next_seq(), born=time.time(),
                )  # fmt: skip
                await it.feed.commit(Batch(outbox=[large]))
                await it.tell(raised("b", perceived_severity=Severity.MINOR))
                await eventually(lambda: it.store.depth().quarantined == 1)
                await it.drained()
                assert [kind for kind, _ in it.troubles if kind != "disconnected"] == ["quarantine"]

        asyncio.run(run())
        until(lambda: listener.on(TREE.event("alarm", "minor")))
        assert listener.on(CRITICAL) == []
        assert broker.log.count("New client connected") == 2, "no connection was lost over it"


class Moody:
    """A little broker that takes everything and hangs up when it sees a word it does not like."""

    def __init__(self, word: bytes, farewell: bytes = b"") -> None:
        self.word, self.farewell = word, farewell
        self.published: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                kind = (await reader.readexactly(1))[0]
                length, shift = 0, 0
                while True:
                    byte = (await reader.readexactly(1))[0]
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                packet = await reader.readexactly(length)
                if kind >> 4 == 1:
                    writer.write(b"\x20\x03\x00\x00\x00")
                elif kind >> 4 == 8:
                    writer.write(b"\x90\x04" + packet[:2] + b"\x00\x01")
                elif kind >> 4 == 3:
                    if self.word in packet:
                        writer.write(self.farewell)
                        return
                    self.published.append(packet)
                    if kind & 6:
                        at = 2 + int.from_bytes(packet[:2], "big")
                        writer.write(b"\x40\x02" + packet[at : at + 2])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.mark.parametrize(
    ("farewell", "connections"),
    [pytest.param(b"\xe0\x01\x95", 3, id="packet-too-large"), pytest.param(b"", 12, id="without-a-word")],
)
def test_a_message_at_which_the_broker_hangs_up_does_not_stop_the_others_for_ever(
    tmp_path: Path, farewell: bytes, connections: int
) -> None:
    async def run() -> None:
        moody = Moody(b"poison", farewell)
        server = await asyncio.start_server(moody.serve, "127.0.0.1", 0)
        async with agent(tmp_path, server.sockets[0].getsockname()[1]) as it:
            poison = event(
                TREE, CRITICAL, "alarm.raised", "poison", 1.0, {"text": "x" * 9000}, boot=1,
                seq=it.store.next_seq(), born=time.time(),
            )  # fmt: skip
            await it.feed.commit(Batch(outbox=[poison]))
            await it.tell(*(raised(f"a{n}") for n in range(30)))
            await it.drained(30)
            assert it.store.depth().quarantined == 1
        seen = b"".join(moody.published)
        assert all(b"a%d" % n in seen for n in range(30))
        assert moody.connections <= connections
        server.close()
        await server.wait_closed()

    asyncio.run(run())


@pytest.mark.parametrize("word", [pytest.param(b"poison", id="a-document"), pytest.param(b"alarms", id="the-snapshot")])
def test_what_is_said_from_memory_and_makes_the_broker_hang_up_keeps_no_event_from_it(
    tmp_path: Path, word: bytes
) -> None:
    async def run() -> None:
        moody = Moody(word)
        server = await asyncio.start_server(moody.serve, "127.0.0.1", 0)
        async with agent(tmp_path, server.sockets[0].getsockname()[1]) as it:
            it.feed.hold(state(TREE.own("info"), {"state": "poison", "text": "x" * 20_000}, 1.0))
            await it.tell(*(raised(f"a{n}") for n in range(30)))
            await it.drained(30)
            await eventually(lambda: it.feed._largest < 65_536, 60)
            small = state(TREE.own("health"), {"x": 1}, 1.0)
            it.feed.hold(small)
            await eventually(lambda: any(TREE.own("health").encode() in each for each in moody.published))
        seen = b"".join(moody.published)
        assert all(b"a%d" % n in seen for n in range(30))
        server.close()
        await server.wait_closed()

    asyncio.run(run())


# Commands.


@dataclass
class Desk:
    """Does what it is told and remembers it."""

    done: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)

    def __call__(self, verb: str, request: dict[str, Any], by: str) -> Mapping[str, Any]:
        if verb == "break":
            raise RuntimeError("a bug")
        if verb not in ("ack", "refuse"):
            raise Rejected("unknown-verb")
        if verb == "refuse":
            raise Refused("stale-raise-count")
        self.done.append((verb, request, by))
        return {"count": len(self.done)}


@pytest.mark.parametrize(
    ("verb", "payload", "reason"),
    [
        pytest.param("ack", b'{"by":"li","alarm_id":"a"}', None, id="done"),
        pytest.param("ack", b"not json", "bad-json", id="bad-json"),
        pytest.param("ack", b'["li"]', "bad-json", id="no-object"),
        pytest.param("ack", b"", "bad-json", id="empty"),
        pytest.param("ack", b"\xff\xfe", "bad-json", id="no-utf-8"),
        pytest.param("ack", b'{"by":"li","x":"' + b"x" * 17_000 + b'"}', "too-large", id="too-large"),
        pytest.param("ack", b'{"alarm_id":"a"}', "operator-missing", id="by-nobody"),
        pytest.param("ack", b'{"by":7}', "operator-missing", id="by-a-number"),
        pytest.param("ack", b'{"by":"li","transaction":7}', "bad-transaction", id="bad-transaction"),
        pytest.param("fly", b'{"by":"li"}', "unknown-verb", id="unknown-verb"),
        pytest.param("refuse", b'{"by":"li"}', "stale-raise-count", id="refused-by-the-alarm-list"),
        pytest.param("break", b'{"by":"li"}', "internal-error", id="a-bug-behind-it"),
    ],
)
def test_a_command_is_always_answered(tmp_path: Path, verb: str, payload: bytes, reason: str | None) -> None:
    with Mosquitto(tmp_path) as broker:

        async def run() -> tuple[dict[str, Any], Desk]:
            desk = Desk()
            async with agent(tmp_path, broker.port, desk) as it:
                await eventually(lambda: "Sending SUBACK to edge-hq-1" in broker.log)
                here = Broker("127.0.0.1", broker.port, "cli")
                said = await request(here, TREE.request(verb, Mode.DRILL), payload, TREE.answer(verb, Mode.DRILL))
                assert it.feed.connection.connected
            return json.loads(said), desk

        said, desk = asyncio.run(run())
    assert said["ok"] is (reason is None)
    assert said["verb"] == verb
    if reason is None:
        assert desk.done == [("ack", {"alarm_id": "a", "mode": "drill"}, "li")]
        assert said["count"] == 1
    else:
        assert said["reason"] == reason
        assert said["texts"]["en"] == said["text"]
        assert said["texts"]["zh"]


def test_a_repeated_transaction_gets_the_same_answer_and_is_done_once_even_after_a_restart(tmp_path: Path) -> None:
    topic, answers = TREE.request("ack"), TREE.answer("ack")
    with Mosquitto(tmp_path) as broker:
        desk = Desk()

        async def run(times: int) -> list[bytes]:
            before = broker.log.count("Sending SUBACK to edge-hq-1")
            async with agent(tmp_path, broker.port, desk):
                await eventually(lambda: broker.log.count("Sending SUBACK to edge-hq-1") > before)
                here = Broker("127.0.0.1", broker.port, "cli")
                body = b'{"by":"li","transaction":"t-1","alarm_id":"a"}'
                return [await request(here, topic, body, answers) for _ in range(times)]

        said = asyncio.run(run(2)) + asyncio.run(run(1))
    assert len(set(said)) == 1
    assert len(desk.done) == 1


def test_a_retained_request_is_not_obeyed(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        desk = Desk()

        async def run() -> None:
            async with agent(tmp_path, broker.port, desk) as it:
                lying = Received(TREE.request("ack"), b'{"by":"li"}', True)
                it.feed.on_message(lying)
                it.feed.on_message(replace(lying, retained=False))
                assert len(desk.done) == 1

        asyncio.run(run())


@contextmanager
def commands(folder: Path, at: Callable[[], float]) -> Iterator[tuple[Commands, Desk, list[Message]]]:
    store, desk, sent = Store(folder / "edge.db"), Desk(), list[Message]()
    try:
        yield Commands(TREE, "zh", store, desk, lambda message, correlation: sent.append(message), at), desk, sent
    finally:
        store.close()


@pytest.mark.parametrize(
    ("wanted", "used"),
    [
        pytest.param(None, TREE.answer("ack"), id="none"),
        pytest.param("clients/7/answers", "clients/7/answers", id="their-own"),
        pytest.param(TREE.alarm("a"), TREE.answer("ack"), id="a-topic-that-people-believe"),
        pytest.param("clients/+", TREE.answer("ack"), id="wildcard"),
    ],
)
def test_answers_go_where_they_are_wanted_but_not_onto_our_own_topics(
    tmp_path: Path, wanted: str | None, used: str
) -> None:
    async def run() -> None:
        with commands(tmp_path, lambda: 1.0) as (it, _, sent):
            it.take(Received(TREE.request("ack"), b'{"by":"li"}', False, wanted))
            assert [message.topic for message in sent] == [used]
            assert not sent[0].retain
            assert sent[0].expires == 31.0

    asyncio.run(run())


def test_answers_are_remembered_for_a_day_and_a_thousand_of_them(tmp_path: Path) -> None:
    async def run() -> None:
        at = 1.0
        with commands(tmp_path, lambda: at) as (it, desk, sent):

            def ask(transaction: str) -> None:
                body = json.dumps({"by": "li", "transaction": transaction}).encode()
                it.take(Received(TREE.request("ack"), body, False))

            for n in range(1001):
                ask(f"t{n}")
            ask("t1000")
            ask("t0")
            await eventually(lambda: len(sent) == 1003)
            assert len(desk.done) == 1002, "the first of them had been forgotten"
            assert len(it._store.load_state("answer/")) == 1000
            at += 25 * 3600
            ask("t1000")
            await eventually(lambda: len(sent) == 1004)
            assert len(desk.done) == 1003
            assert len(it._store.load_state("answer/")) == 1

    asyncio.run(run())


# Patience, without a broker.


def test_a_budget_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = Bucket(10.0, 5.0)
    assert bucket.fill(100.0) == 5.0
    assert bucket.take(5) == 0.0
    assert bucket.fill(100.25) == 2.5
    assert bucket.fill(200.0) == 5.0


def test_a_refused_row_waits_longer_each_time_up_to_a_minute() -> None:
    patience, now = Patience(), 0.0
    waits = []
    for _ in range(8):
        waits.append(patience.refused(7, now))
        assert patience.waiting(now) == {7}
        now += waits[-1]
        assert patience.waiting(now) == set()
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_only_a_row_that_breaks_connection_after_connection_is_given_up() -> None:
    patience = Patience()
    sizes = {1: 100, 2: 9000, 3: 50}
    for _ in range(2):
        assert patience.broken(sizes) is None
    assert patience.broken({}) is None, "a connection that ended with nothing on its way clears all"
    for _ in range(3):
        assert patience.alone is None
        assert patience.broken(sizes) is None
    assert patience.alone == 2
    given_up = [patience.broken({2: 9000}) for _ in range(4)]
    assert given_up == [None, None, None, 2]


def test_a_row_that_gets_through_alone_is_no_longer_suspected() -> None:
    patience = Patience()
    for _ in range(3):
        patience.broken({1: 10})
    patience.over(1)
    assert patience.alone is None
    assert patience.broken({1: 10}) is None
    assert patience.alone is None


def test_state_and_events_have_their_places() -> None:
    assert state("t", {}, 1.0).place is Place.STATE
    assert event(TREE, CRITICAL, "x", "s", 1.0, {}, boot=1, seq=1, born=1.0).place is Place.EVENT
