"""The agent of a seat without a broker: what it says when, and to what it pays no heed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import pytest

from edgeagent import seat as role
from edgeagent.broker import Broker
from edgeagent.headsets import HeadsetSettings
from edgeagent.mqtt import MqttError, Received, Will
from edgeagent.readings import Missing, Raw
from edgeagent.seat import Seat, once, why
from edgeagent.seatanswers import HOST
from edgeagent.seatconfig import SeatSettings
from edgeagent.seatsensors import Sensors
from tests.rig import environment

ACK_REFUSED = 0x87


class Line:
    """A connection in which a test plays the broker."""

    here: ClassVar[Line]

    def __init__(self, broker: Broker, events: Seat, will: Will | None = None) -> None:
        self.broker, self.events, self.will = broker, events, will
        self.connected = False
        self.closed = False
        self.moved = asyncio.Event()
        self.said: list[tuple[str, dict[str, Any], Mapping[str, object]]] = []
        Line.here = self

    def publish(self, topic: str, payload: bytes, **how: object) -> int:
        if not self.connected:
            raise MqttError("not connected")
        self.said.append((topic.rpartition("/")[2], json.loads(payload), how))
        self.moved.set()
        if how["qos"]:
            asyncio.get_running_loop().call_soon(self.events.on_ack, len(self.said), 0, False)
        return len(self.said)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True

    def connect(self) -> None:
        self.connected = True
        self.events.on_connected(False, None)

    def statuses(self) -> list[tuple[str, str]]:
        return [(payload["state"], payload["reason"]) for name, payload, _ in self.said if name == "status"]

    def reports(self) -> list[dict[str, Any]]:
        return [payload for name, payload, _ in self.said if name == "report"]


class Running:
    """A seat's agent at work, its first report due after a moment."""

    def __init__(self, settings: SeatSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        self.seat = Seat(self._settings)
        self.line = Line.here
        self._task = asyncio.create_task(self.seat.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.seat.stop()
        assert await asyncio.wait_for(self._task, 60.0) == 0


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeagent.seat.Connection", Line)


def settings(**more: object) -> SeatSettings:
    said: dict[str, Any] = {
        "id": "a017", "site": "hq", "root": "floor", "interval": 0.02, "salt": "salt", "broker": Broker("b"),
        "reason": None, "headsets": False,
    }  # fmt: skip
    return SeatSettings(**said | more)


async def reported(line: Line) -> None:
    """Wait for a report."""
    async with asyncio.timeout(5.0):
        while not line.reports():
            line.moved.clear()
            await line.moved.wait()


def test_it_connects_under_an_id_of_seat_and_machine_with_a_will_that_waits_for_it_to_come_back() -> None:
    async def run() -> None:
        async with Running(settings()) as at:
            broker, will = at.line.broker, at.line.will
            assert broker.client_id.startswith("seat-hq-a017-")
            assert broker.will_delay == 10 < broker.session_expiry == 30
            assert broker.patience == 10, "a broker that comes back is met by thousands"
            assert will is not None
            assert will.topic == "floor/v1/hq/seat/a017/status"
            assert json.loads(will.payload)["state"] == "offline"

    asyncio.run(run())


def test_while_the_broker_is_away_nothing_is_said_and_nothing_is_kept() -> None:
    async def run() -> None:
        async with Running(settings()) as at:
            await asyncio.sleep(0.1)
            at.line.connect()
            assert at.line.reports() == []
            await reported(at.line)
            assert at.line.statuses() == [("online", "start")]
            at.line.connected = False
            said = len(at.line.said)
            await asyncio.sleep(0.1)
            at.line.connect()
            assert at.line.statuses() == [("online", "start"), ("online", "reconnect")]
            assert len(at.line.said) == said + 1
        assert at.line.statuses()[-1] == ("leaving", "stop")
        numbers = [payload["seq"] for _, payload, _ in at.line.said]
        assert numbers == list(range(1, len(numbers) + 1))

    asyncio.run(run())


def test_a_status_is_kept_by_the_broker_and_a_report_is_not() -> None:
    async def run() -> None:
        async with Running(settings()) as at:
            at.line.connect()
            await reported(at.line)
        for name, _, how in at.line.said:
            assert (how["qos"], how.get("retain", False)) == ((1, True) if name == "status" else (0, False))
            assert how.get("expiry") == (None if name == "status" else 45)

    asyncio.run(run())


def test_a_message_that_comes_to_a_seat_changes_nothing() -> None:
    async def run() -> None:
        async with Running(settings()) as at:
            at.line.connect()
            at.seat.on_message(Received("floor/v1/hq/seat/a017/req/stop", b'{"stop": true}', False))
            await reported(at.line)
            assert not at.line.closed
            assert not hasattr(at.line, "subscribe"), "it would have failed"

    asyncio.run(run())


def test_without_a_broker_it_leaves_without_waiting_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeagent.seat._FAREWELL", 1e6)  # which `Running` would not wait for

    async def run() -> None:
        async with Running(settings()) as at:
            pass
        assert at.line.closed
        assert at.line.said == []

    asyncio.run(run())


def test_a_broker_that_refuses_its_status_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with Running(settings()) as at:
            at.seat.on_ack(77, ACK_REFUSED, True)
            at.seat.on_ack(78, ACK_REFUSED, True)

    asyncio.run(run())
    complaints = [record.message for record in caplog.records if "ACL" in record.message]
    assert complaints == ["the broker takes nothing on floor/v1/hq/seat/a017/status (0x87): see its ACL"]


@pytest.mark.parametrize(
    ("content", "age", "reason"),
    [
        ("shutdown\n", 0, "shutdown"),
        (" Update ", 0, "update"),
        ("logoff", 0, "logoff"),
        ("stop", 0, "stop"),
        ("lost", 0, "stop"),
        ("online", 0, "stop"),
        ("rm -rf /", 0, "stop"),
        ("\xff\xfe", 0, "stop"),
        ("", 0, "stop"),
        ("shutdown", 3600, "stop"),
        (None, 0, "stop"),
    ],
)
def test_the_reason_is_one_of_four_words_that_somebody_wrote_a_moment_ago(
    tmp_path: Path, content: str | None, age: float, reason: str
) -> None:
    file = tmp_path / "reason"
    if content is not None:
        file.write_text(content, encoding="latin-1")
        os.utime(file, (time.time() - age,) * 2)
    assert why(file) == reason
    assert not file.exists()
    assert why(file) == why(None) == "stop"


@pytest.mark.skipif(sys.platform == "win32", reason="plays the signals of Windows with those of POSIX")
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT], ids=["SIGBREAK", "SIGINT"])
def test_on_windows_a_console_event_stops_it(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    monkeypatch.setattr("edgeagent.seat.sys", SimpleNamespace(platform="win32"))
    before = {each: signal.getsignal(each) for each in (signal.SIGUSR1, signal.SIGINT)}

    async def run() -> None:
        seat = Seat(settings())
        running = asyncio.create_task(seat.run())
        await asyncio.sleep(0)
        signal.raise_signal(number)
        assert await asyncio.wait_for(running, 60.0) == 0

    try:
        asyncio.run(run())
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_the_loop_is_one_that_can_carry_pahos_socket_on_windows_too(monkeypatch: pytest.MonkeyPatch) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def note(self: Seat) -> int:
        loops.append(asyncio.get_running_loop())
        return 0

    monkeypatch.setattr(Seat, "run", note)
    assert role.run(settings()) == 0
    assert isinstance(loops[0], asyncio.SelectorEventLoop)


def test_all_that_is_read_of_the_machine_is_asked_for_and_headsets_only_where_they_are_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Heads:
        def __init__(self, settings: HeadsetSettings) -> None:
            assert (settings.expected, settings.ask) == (False, ("jabra",))

        def sample(self) -> Mapping[str, Raw]:
            return {"headset.present": 1, "audio.capture": 1}

    monkeypatch.setattr("edgeagent.headsets.Headsets", Heads)
    assert Sensors(settings()).sample().keys() == set(HOST)
    watched = Sensors(settings(headsets=True, headset=False, ask=("jabra",))).sample()
    assert watched.keys() == {*HOST, "headset.present"}
    assert watched["audio.capture"] == 1, "the headset's own sound card counts for more than any other"


def test_one_look_measures_the_processor_and_makes_the_report_it_would_send() -> None:
    answers, report = once(settings())
    assert not isinstance(answers["cpu.percent"], Missing)
    assert json.loads(report)["answers"]["online"] == 1


def test_nothing_of_ours_that_a_seat_needs_is_of_posix_alone(tmp_path: Path) -> None:
    (tmp_path / "seat.toml").write_text('[seat]\nid = "a"\nsite = "b"\n[broker]\nurl = "mqtt://c"\n')
    code = (
        "import runpy, sys, psutil, serial.tools.list_ports\n"  # their own parts for this system are another matter
        "sys.modules |= dict.fromkeys(['fcntl', 'termios', 'pwd', 'grp', 'resource', 'tty', 'pty', 'syslog'])\n"
        f"sys.argv = ['edgeagent', 'seat', '--config', {str(tmp_path / 'seat.toml')!r}, '--once', '--json']\n"
        "runpy.run_module('edgeagent', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answers"]["online"] == 1
