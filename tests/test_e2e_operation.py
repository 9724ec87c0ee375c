"""What people do with a running agent: command it, reconfigure it, run it under systemd, let its disk fill up."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import pytest

from edgeagent.agent import Agent
from edgeagent.broker import Broker
from edgeagent.consumer import request
from edgeagent.devices import DeviceState
from edgeagent.handover import read_again
from edgeagent.readings import Answers
from edgeagent.resources import drivers
from edgeagent.sitefiles import load
from tests.broker import Mosquitto, needs_mosquitto, until
from tests.field import Simulated, Wire
from tests.rig import TOPICS, Daemon, Ear, device, edgeagent, write_site

pytestmark = [needs_mosquitto, pytest.mark.slow]

UPS: Final = "snmp://127.0.0.1:{port}?version=2c&community=operated"
DSE: Final = "modbus://127.0.0.1:{port}?unit=10"
AT_ONCE: Final = {"on_delay": 0, "off_delay": 0}
ON: Final = "ups.on-battery"
STUCK: Final = "genset.fail-to-start"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def ups() -> Iterator[Simulated]:
    with Simulated("ups/rfc1628", UPS.format(port=0)) as ups:
        yield ups


def ups_at(port: int, id: str = "ups", **settings: float) -> str:
    settings = {"interval": 0.2, "timeout": 0.5, **settings}
    return device(id, "ups/rfc1628", UPS.format(port=port), {"on-battery": AT_ONCE}, **settings)


def ask(broker: Mosquitto, verb: str, payload: bytes | dict[str, object]) -> dict[str, Any]:
    """Send a request as any MQTT 5 client may, and return the answer."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    target = Broker("127.0.0.1", broker.port, f"asker-{time.monotonic_ns()}")
    answer: dict[str, Any] = json.loads(
        asyncio.run(request(target, f"{TOPICS}/req/{verb}", raw, f"{TOPICS}/res/{verb}"))
    )
    return answer


def test_operators_acknowledge_shelve_and_reset_at_the_command_line(
    tmp_path: Path, broker: Mosquitto, ups: Simulated
) -> None:
    with ExitStack() as stack:
        genset = stack.enter_context(Simulated("generator/dse-gencomm", DSE.format(port=0)))
        ear = stack.enter_context(Ear(broker.port))
        site = write_site(
            tmp_path / "site", broker.port, ups_at(ups.port),
            device(
                "genset", "generator/dse-gencomm", DSE.format(port=genset.port), {"fail-to-start": AT_ONCE},
                interval=0.2,
            ),
        )  # fmt: skip
        stack.enter_context(Daemon(site))

        def done(*words: str, code: int = 0) -> str:
            result = edgeagent(*words, "--config", site)
            assert result.returncode == code, result.stdout + result.stderr
            return result.stdout if code == 0 else result.stderr

        ups.tell("set source=battery")
        genset.tell("set alarms=fail-to-start.shutdown")
        ear.until_raised(ON)
        ear.until_raised(STUCK)
        shown = done("alarms")
        assert ON in shown
        assert STUCK in shown
        listed = json.loads(done("alarms", "--json"))
        assert listed["agent"] == "online"
        assert {alarm["alarm_id"] for alarm in listed["open"]} >= {ON, STUCK}

        assert done("ack", ON, "--by", "li.wei", "--note", "O&M on the way") == "ack: ok\n"
        record = until(lambda: (found := ear.record(ON))["state"] == "acked" and found)
        assert (record["operator"], record["operator_text"]) == ("li.wei", "O&M on the way")
        done("unack", ON, "--by", "li.wei")
        until(lambda: ear.record(ON)["state"] == "unack")

        done("shelve", ON, "--reason", "planned switching", "--minutes", "20", "--by", "zhang.min")
        record = until(lambda: (found := ear.record(ON))["state"] == "shelved" and found)
        assert (record["suppression"]["by"], record["suppression"]["reason"]) == ("zhang.min", "planned switching")
        assert "longer than a shelf may last" in done("shelve", ON, "--reason", "x", "--minutes", "10000", code=1)
        done("unshelve", ON)
        until(lambda: ear.record(ON)["state"] == "unack")

        assert "没有这个告警" in done("ack", "ups.on-fire", code=1)
        refused = done("reset", STUCK, code=1)
        assert "not-cleared" in refused
        assert "still stands" in refused
        genset.tell("set alarms=")
        until(lambda: ear.record(STUCK)["state"] == "latched-unack")
        done("reset", STUCK, "--by", "chen.hao", "--note", "starter battery replaced")
        until(lambda: STUCK not in ear.listed())
        assert ear.events(STUCK)[-1]["data"]["by"] == "chen.hao"
        assert ear.verbs(STUCK)[0] == "raised"

        said = len(ear.on(f"{TOPICS}/inventory"))
        done("refresh")
        until(lambda: len(ear.on(f"{TOPICS}/inventory")) > said)


def test_a_request_that_cannot_be_done_is_answered_with_the_reason_in_both_languages(
    tmp_path: Path, broker: Mosquitto, ups: Simulated
) -> None:
    with Ear(broker.port) as ear, Daemon(write_site(tmp_path / "site", broker.port, ups_at(ups.port))):
        ups.tell("set source=battery")
        ear.until_raised(ON)
        by: dict[str, object] = {"by": "li.wei"}
        wrong: dict[str, tuple[str, bytes | dict[str, object]]] = {
            "stale-raise-count": ("ack", {**by, "alarm_id": ON, "raise_count": 7}),
            "unknown-alarm": ("ack", {**by, "alarm_id": "ups.on-fire"}),
            "bad-json": ("ack", b"{ack"),
            "unknown-verb": ("dance", {**by, "alarm_id": ON}),
            "operator-missing": ("ack", {"alarm_id": ON}),
            "reason-missing": ("shelve", {**by, "alarm_id": ON, "seconds": 60}),
            "bad-request": ("shelve", {**by, "alarm_id": ON, "seconds": "long"}),
            "not-cleared": ("reset", {**by, "alarm_id": ON}),
        }
        for reason, (verb, payload) in wrong.items():
            answer = ask(broker, verb, payload)
            assert (answer["ok"], answer["verb"], answer["reason"]) == (False, verb, reason)
            assert re.search(r"[a-z]{3}", answer["texts"]["en"])
            assert re.search(r"[\u4e00-\u9fff]", answer["texts"]["zh"])
            assert answer["text"] == answer["texts"]["en"]
        assert ear.verbs() == ["raised"]

        once = {**by, "alarm_id": ON, "raise_count": 1, "transaction": "t-1"}
        first, again = ask(broker, "ack", once), ask(broker, "ack", once)
        assert first == again
        assert (first["ok"], first["state"], first["transaction"]) == (True, "acked", "t-1")
        assert ear.verbs() == ["raised", "acknowledged"]


def test_a_command_on_the_drill_lane_does_nothing_to_the_real_thing(
    tmp_path: Path, broker: Mosquitto, ups: Simulated
) -> None:
    site = write_site(tmp_path / "site", broker.port, ups_at(ups.port))
    with Ear(broker.port) as ear, Daemon(site):
        ups.tell("set source=battery")
        ear.until_raised(ON)
        drill = TOPICS.replace("/live", "/drill")
        target = Broker("127.0.0.1", broker.port, "trainee")
        asked = json.dumps({"alarm_id": ON, "by": "trainee"}).encode()
        said = json.loads(asyncio.run(request(target, f"{drill}/req/ack", asked, f"{drill}/res/ack")))
        assert (said["ok"], said["reason"]) == (False, "no-drill")
        assert said["texts"]["zh"].startswith("当前没有演练")
        assert ear.record(ON)["state"] == "unack"


def test_commands_say_why_when_nobody_is_there(tmp_path: Path, broker: Mosquitto) -> None:
    site = write_site(tmp_path / "site", broker.port, ups_at(1))
    done = edgeagent("ack", ON, "--config", site)
    assert done.returncode == 1
    assert "is it running" in done.stderr
    broker.stop()
    done = edgeagent("ack", ON, "--config", site)
    assert done.returncode == 1
    assert f"mqtt://127.0.0.1:{broker.port}" in done.stderr


def test_a_wrong_configuration_is_refused_and_a_right_one_leaves_the_others_alone(
    tmp_path: Path, broker: Mosquitto
) -> None:
    interval = 0.3
    with ExitStack() as stack:
        a, b, c = (stack.enter_context(Simulated("ups/rfc1628", UPS.format(port=0))) for _ in "abc")
        wire, ear = stack.enter_context(Wire()), stack.enter_context(Ear(broker.port))
        wire.plug(a.port)
        kept = ups_at(wire.port, "ups-a", interval=interval, fast=interval)
        site = write_site(tmp_path / "site", broker.port, kept, ups_at(b.port, "ups-b"))
        daemon = stack.enter_context(Daemon(site))
        a.tell("set source=battery")
        b.tell("set source=battery")
        ear.until_raised("ups-a.on-battery")
        ear.until_raised("ups-b.on-battery")
        turns, began = [len(wire.asked)], time.monotonic()

        good = (site / "site.toml").read_text(encoding="utf-8")
        broken = good.replace('driver = "ups/rfc1628"', 'driver = "ups/rfc1682"', 1) + "\n[feeed]\n"
        (site / "site.toml").write_text(broken, encoding="utf-8")
        daemon.reload()
        ear.until_raised("agent.config-invalid")
        assert 'did you mean "ups/rfc1628"?' in daemon.now
        assert re.search(r"site\.toml:\d+: devices\.ups-a\.driver: ", daemon.now)
        b.tell("set source=normal")
        ear.until_cleared("ups-b.on-battery")
        b.tell("set source=battery")
        ear.until_raised("ups-b.on-battery", times=2)
        turns.append(len(wire.asked))

        write_site(site, broker.port, kept, ups_at(c.port, "ups-c"))
        daemon.reload()
        ear.until_cleared("agent.config-invalid")
        assert until(lambda: ear.state("ups-c"))["source"] == "normal"
        closed = ear.until_cleared("ups-b.on-battery", times=2)
        assert closed["data"]["reason"] == "no longer configured"
        gone = [f"{TOPICS}/device/ups-b/{name}" for name in ("state", "availability")]
        until(lambda: all(ear.on(topic)[-1]["payload"] is None for topic in gone))
        assert ear.newest(f"{TOPICS}/inventory")["devices"].keys() == {"ups-a", "ups-c"}
        c.tell("set source=battery")
        ear.until_raised("ups-c.on-battery")
        assert ear.verbs("ups-a.on-battery") == ["raised"]
        turns.append(len(wire.asked))
        longest = [max(b - a for a, b in pairwise(wire.asked[first - 1 : last])) for first, last in pairwise(turns)]
        print(f"two reloads in {time.monotonic() - began:.1f} s; the device that stayed: {turns[-1] - turns[0]} polls, "
              f"longest gaps {[round(gap, 2) for gap in longest]} s at {interval} s")  # fmt: skip
        assert min(longest) < interval + 1.0, "the machine may stand still for a moment, but not each time"
        assert max(longest) < interval + 10.0

        write_site(site, broker.port, kept.replace(f"interval = {interval}", "interval = 0.2"), ups_at(c.port, "ups-c"))
        daemon.reload()
        daemon.until_says("1 devices new or changed, 0 gone")
        a.tell("set source=normal")
        ear.until_cleared("ups-a.on-battery")
        assert ear.verbs("ups-a.on-battery") == ["raised", "cleared"]


def test_a_device_that_went_and_came_back_while_the_broker_was_away_is_there(
    tmp_path: Path, broker: Mosquitto, ups: Simulated
) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(Simulated("ups/rfc1628", UPS.format(port=0)))
        ear = stack.enter_context(Ear(broker.port))
        both = ups_at(ups.port), ups_at(other.port, "other")
        site = write_site(tmp_path / "site", broker.port, *both)
        daemon = stack.enter_context(Daemon(site))
        until(lambda: ear.state("other"))
        broker.stop()
        write_site(site, broker.port, both[0])
        daemon.reload()
        daemon.until_says("0 devices new or changed, 1 gone")
        write_site(site, broker.port, *both)
        daemon.reload()
        daemon.until_says("1 devices new or changed, 0 gone")
        other.tell("set battery.charge=77")
        broker.start()
        until(lambda: (ear.state("other") or {}).get("battery.charge") == 77)
        assert ear.newest(f"{TOPICS}/device/other/availability")["state"] == "online"
        assert daemon.stop() == 0
        assert ear.newest(f"{TOPICS}/device/other/availability")["state"] == "online"
        assert ear.state("other")["battery.charge"] == 77


class Systemd:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/notify"
        self.heard: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self.path)
        self._thread.join(5)
        self._socket.close()

    def _listen(self) -> None:
        while data := self._socket.recv(4096):
            self.heard.append(dict(line.split("=", 1) for line in data.decode().splitlines()))

    def heard_of(self, name: str) -> list[str]:
        return [said[name] for said in list(self.heard) if name in said]


def test_systemd_hears_ready_status_watchdog_reloading_and_stopping(
    tmp_path: Path, broker: Mosquitto, ups: Simulated
) -> None:
    with tempfile.TemporaryDirectory() as short, Systemd(short) as systemd, Ear(broker.port) as ear:
        site = write_site(tmp_path / "site", broker.port, ups_at(ups.port), ups_at(1, "dead", timeout=0.5))
        with Daemon(site, NOTIFY_SOCKET=systemd.path, WATCHDOG_USEC="1000000") as daemon:
            until(lambda: systemd.heard_of("READY"))
            assert systemd.heard[0].keys() == {"READY", "STATUS"}
            assert "2 devices" in systemd.heard[0]["STATUS"]
            until(lambda: len(systemd.heard_of("WATCHDOG")) >= 3)
            until(lambda: any("2 devices, 1 silent" in text for text in systemd.heard_of("STATUS")))
            until(lambda: any("broker connected" in text for text in systemd.heard_of("STATUS")))
            daemon.reload()
            until(lambda: systemd.heard_of("RELOADING"))
            until(lambda: len(systemd.heard_of("READY")) == 2)
            assert daemon.stop() == 0
            assert systemd.heard_of("STOPPING") == ["1"]
            status = until(
                lambda: (found := ear.newest(f"{TOPICS}/agent/edge-1/status"))["state"] == "offline" and found
            )
            assert status["reason"] == "stop"
            ends = [message for message in ear.messages if message["topic"].endswith("/status")]
            assert len(ends) == 2, "birth and end, no will"


def test_a_killed_agent_is_told_by_its_will(tmp_path: Path, broker: Mosquitto, ups: Simulated) -> None:
    with Ear(broker.port) as ear, Daemon(write_site(tmp_path / "site", broker.port, ups_at(ups.port))) as daemon:
        until(lambda: ear.state("ups"))
        daemon.kill()
        status = until(
            lambda: (found := ear.newest(f"{TOPICS}/agent/edge-1/status"))["state"] == "offline" and found, 20
        )
        assert status["reason"] == "lost"


def test_a_disk_that_refuses_is_told_and_silences_no_alarm(tmp_path: Path, broker: Mosquitto, ups: Simulated) -> None:
    with Ear(broker.port) as ear:
        site = write_site(tmp_path / "site", broker.port, ups_at(ups.port))
        with Daemon(site) as daemon:
            until(lambda: ear.state("ups"))
            ups.tell("set source=battery")
            ear.until_raised(ON)
            wal = site / "state" / "edgeagent.db-wal"
            full = wal.stat().st_size // 2
            assert full > len(daemon.log) + 10_000, "the log is to go on"
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
            ups.tell("set source=bypass alarms=battery-replace,fan-fault")
            began = time.monotonic()
            ear.until_raised("agent.store-failing")
            ear.until_cleared(ON)
            print(f"the disk refuses: told and cleared {time.monotonic() - began:.2f} s later, all from memory")
            ups.tell("set source=battery")
            ear.until_raised(ON, times=2)
            assert ear.record("agent.store-failing")["is_cleared"] is False
            assert "the disk refuses" in daemon.now

            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            ear.until_cleared("agent.store-failing")
            ups.tell("set source=normal")
            ear.until_cleared(ON, times=2)
            assert daemon.stop() == 0
        with closing(sqlite3.connect(site / "state" / "edgeagent.db")) as db:
            rows = db.execute("SELECT body FROM journal WHERE kind = 'alarm' ORDER BY seq")
            written = [(row["verb"], row["alarm_id"]) for row in (json.loads(body) for (body,) in rows)]
        events = ear.events()
        assert written == [(event["data"]["verb"], event["subject"]) for event in events]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_a_state_folder_that_cannot_be_used_is_told_and_the_watching_goes_on(
    tmp_path: Path, broker: Mosquitto, ups: Simulated
) -> None:
    site = write_site(tmp_path / "site", broker.port, ups_at(ups.port))
    (site / "state").write_text("a file where the folder should be")
    with Ear(broker.port) as ear, Daemon(site, TMPDIR=str(tmp_path)) as daemon:
        ear.until_raised("agent.store-failing")
        ups.tell("set source=battery")
        ear.until_raised(ON)
        assert f"{site / 'state'} cannot be used" in daemon.now
        assert daemon.stop() == 0


def test_a_bug_in_the_pass_ends_the_process_so_that_systemd_starts_it_again(
    tmp_path: Path, ups: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(state: DeviceState, answers: Answers, now: float, *, exact: bool) -> frozenset[str]:
        raise ZeroDivisionError(state.device.id)

    monkeypatch.setattr(DeviceState, "take", spoilt)
    folder = write_site(tmp_path / "site", 1, ups_at(ups.port))

    async def run() -> int:
        async with asyncio.timeout(30):
            return await Agent(load(folder, drivers()), read_again).run()

    with pytest.RaisesGroup(ZeroDivisionError):
        asyncio.run(run())
