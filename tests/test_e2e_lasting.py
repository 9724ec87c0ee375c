"""Nothing that was seen is lost: the agent is killed at any moment, and the broker is away for a while."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.broker import Mosquitto, needs_mosquitto, until
from tests.field import Simulated
from tests.rig import Daemon, Ear, device, edgeagent, write_site

pytestmark = [needs_mosquitto, pytest.mark.slow]

KILLS: Final = 20
URL: Final = "snmp://127.0.0.1:{port}?version=2c&community=kept"
AT_ONCE: Final[dict[str, object]] = {"on_delay": 0, "off_delay": 0}
TURNS: Final = (
    "battery-replace", "battery-low", "over-temperature", "output-bad", "bypass-unavailable", "charger-fault",
    "output-off", "fan-fault", "internal-fault", "test-failed", "ups-comms-lost", "shutdown-imminent",
)  # fmt: skip
"""Alarms that come and go in turn, on one UPS after the other: three raises of one in a minute would be chatter."""
ON: Final = "ups-a.on-battery"
BYPASS: Final = "ups-b.on-bypass"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def two() -> Iterator[tuple[Simulated, Simulated]]:
    with Simulated("ups/rfc1628", URL.format(port=0)) as a, Simulated("ups/rfc1628", URL.format(port=0)) as b:
        yield a, b


def site_of(folder: Path, broker: Mosquitto, *upses: Simulated, load_high: float = 30) -> Path:
    alarms: dict[str, dict[str, object]] = {
        **dict.fromkeys((*TURNS, "on-battery", "on-bypass"), AT_ONCE),
        "load-high": {"on_delay": load_high},
    }
    devices = [
        device(f"ups-{id}", "ups/rfc1628", URL.format(port=ups.port), alarms, interval=0.2, timeout=0.5)
        for id, ups in zip("ab", upses, strict=False)
    ]
    return write_site(folder / "site", broker.port, *devices)


def journal(site: Path) -> list[dict[str, Any]]:
    """Read what the agent has written down of its alarms and told, as another tool would."""
    with closing(sqlite3.connect(site / "state" / "edgeagent.db")) as db:
        rows = db.execute("SELECT body FROM journal WHERE kind = 'alarm' ORDER BY seq")
        lines = [orjson.loads(body) for (body,) in rows]
    return [line for line in lines if line["verb"] != "related"]


def told(events: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(event["data"]["verb"], event["subject"], event["data"]["raise_count"]) for event in events]


def follow_from_raise_to_clear(events: list[dict[str, Any]]) -> None:
    """See that each alarm is raised and cleared in turn, one raise a count."""
    runs: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for event in events:
        if event["data"]["verb"] in ("raised", "cleared", "closed"):
            runs[event["subject"]].append((event["data"]["verb"], event["data"]["raise_count"]))
    for alarm, run in runs.items():
        assert run[0] == ("raised", 1), alarm
        for (verb, count), (following, next_count) in pairwise(run):
            if verb == "raised":
                assert following in ("cleared", "closed"), (alarm, run)
                assert next_count == count, (alarm, run)
            else:
                assert following == "raised", (alarm, run)
                assert next_count == count + 1, (alarm, run)


class Trouble(threading.Thread):
    """Makes one UPS after the other show one alarm after the other, and none in between, until it is stopped."""

    def __init__(self, upses: tuple[Simulated, Simulated], pause: float) -> None:
        super().__init__(daemon=True)
        self.turns = 0
        self._upses, self._pause, self._end = upses, pause, threading.Event()

    def run(self) -> None:
        while not self._end.wait(self._pause):
            turn, off = divmod(self.turns, 2)
            lap, which = divmod(turn, len(TURNS))
            self._upses[lap % 2].tell("set alarms=" if off else f"set alarms={TURNS[which]}")
            self.turns += 1

    def stop(self) -> None:
        self._end.set()
        self.join(10)
        for ups in self._upses:
            ups.tell("set alarms=")


def test_killed_twenty_times_it_loses_no_transition_no_ack_and_no_shelf(
    tmp_path: Path, broker: Mosquitto, two: tuple[Simulated, Simulated]
) -> None:
    seed = int(os.environ.get("EDGEAGENT_SEED", "0")) or random.randrange(1, 1_000_000)
    print(f"EDGEAGENT_SEED={seed}")
    chance = random.Random(seed)
    site = site_of(tmp_path, broker, *two)
    with Ear(broker.port) as ear, Daemon(site) as daemon:
        two[0].tell("set source=battery")
        two[1].tell("set source=bypass")
        ear.until_raised(ON)
        ear.until_raised(BYPASS)
        for command in (("ack", ON), ("shelve", BYPASS, "--reason", "known", "--minutes", "30")):
            done = edgeagent(*command, "--config", site, "--by", "li.wei")
            assert done.returncode == 0, done.stderr
        until(lambda: ear.record(BYPASS)["state"] == "shelved")
        shelf = ear.record(BYPASS)["suppression"]

        trouble = Trouble(two, 0.6)
        trouble.start()
        began = time.monotonic()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.1, 3.4))  # any moment: in the middle of its start, of a pass, of a commit
            daemon.kill()
            daemon.start(ready=False)
        daemon.until_says("first pass after")
        seconds = time.monotonic() - began
        trouble.stop()
        daemon.until_says("connected as")
        until(lambda: not troubled(ear))

        assert ear.record(ON)["state"] == "acked"
        assert ear.record(ON)["operator"] == "li.wei"
        assert ear.record(ON)["raise_count"] == 1
        assert ear.record(BYPASS)["state"] == "shelved"
        assert ear.record(BYPASS)["suppression"] == shelf
        assert daemon.stop() == 0

        written = [(row["verb"], row["alarm_id"], row["raise_count"]) for row in journal(site)]
        until(lambda: len(ear.events()) >= len(written))
        events = sorted(ear.events(), key=lambda event: (event["boot"], event["seq"]))
        print(
            f"{KILLS} kills in {seconds:.0f} s, {trouble.turns} turns of the device, {len(events)} transitions, "
            f"{len([m for m in ear.messages if '/event/alarm/' in m['topic']]) - len(events)} repetitions"
        )
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert told(events) == written
        assert len(events) >= KILLS, "too little happened to prove anything"
        follow_from_raise_to_clear(events)
        assert "Traceback" not in daemon.log


def troubled(ear: Ear) -> list[str]:
    """Return the alarms of the turns that still stand."""
    found = [ear.record(f"ups-{id}.{alarm}") for id in "ab" for alarm in TURNS]
    return [record["alarm_id"] for record in found if record and not record["is_cleared"]]


def test_nothing_is_seen_any_more_once_it_stops(
    tmp_path: Path, broker: Mosquitto, two: tuple[Simulated, Simulated]
) -> None:
    site = site_of(tmp_path, broker, *two)
    with Ear(broker.port) as ear, Daemon(site) as daemon:
        trouble = Trouble(two, 0.25)
        trouble.start()
        ear.until_raised("ups-b.battery-replace")
        with broker.standing_still():  # so that it takes some seconds to stop
            began = time.monotonic()
            assert daemon.stop() == 0
            took = time.monotonic() - began
        _, _, last = daemon.log.partition("stopping")
        print(f"{took:.1f} s to stop, said in them: {last}")
        assert took > 2
        assert "raised" not in last
        assert "cleared" not in last
        trouble.stop()
        daemon.start()
        until(lambda: outbox(site) == 0)
        written = [(row["verb"], row["alarm_id"], row["raise_count"]) for row in journal(site)]
        until(lambda: {event["seq"] for event in ear.events()} >= set(range(1, len(written) + 1)))


def test_an_on_delay_goes_on_over_a_kill(tmp_path: Path, broker: Mosquitto, two: tuple[Simulated, Simulated]) -> None:
    delay, before, away = 10.0, 5.0, 5.0
    site = site_of(tmp_path, broker, two[0], load_high=delay)
    with Ear(broker.port) as ear, Daemon(site) as daemon:
        until(lambda: ear.state("ups-a"))
        two[0].tell("set output.load=91")
        began = time.monotonic()
        until(lambda: ear.state("ups-a")["output.load"] == 91)
        until(lambda: time.monotonic() > began + before)
        assert ear.events() == []
        daemon.kill()
        killed, gone = time.time(), time.monotonic()
        until(lambda: time.monotonic() > gone + away)
        daemon.start()
        again = time.monotonic()
        event = ear.until_raised("ups-a.load-high")
        took = time.monotonic() - again
        print(f"{before} s of {delay} s before the kill, {took:.1f} s after it")
        assert took < delay - before / 2, "the time before the kill counts"
        assert took > delay - before - away / 2, "the time in which nobody looked does not"
        onset = event["data"]["onset"]
        assert onset < time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(killed - before / 2))


def test_a_broker_that_is_away_for_a_while_gets_everything_in_order(
    tmp_path: Path, broker: Mosquitto, two: tuple[Simulated, Simulated]
) -> None:
    away = 60.0 if os.environ.get("EDGEAGENT_LONG") == "1" else 15.0
    site = site_of(tmp_path, broker, *two)
    with Ear(broker.port) as ear, Daemon(site) as daemon:
        until(lambda: ear.state("ups-a"))
        trouble = Trouble(two, 0.7)
        trouble.start()
        ear.until_raised("ups-a.battery-low")
        broker.stop()
        gone = time.monotonic()
        until(lambda: time.monotonic() > gone + away, away + 5)
        broker.start()
        daemon.until_says("connected as", 60)
        back = len(re.findall("connected as", daemon.now))
        until(lambda: len(re.findall("connected as", daemon.now)) > back or back > 1, 90)
        trouble.stop()
        until(lambda: not troubled(ear), 60)
        assert f"mqtt://127.0.0.1:{broker.port}: " in daemon.now
        assert re.search(r"WARNING.*mqtt: mqtt://127\.0\.0\.1:\d+: .*(lost|refused|disconnected us|shut)", daemon.now)
        until(lambda: outbox(site) == 0)
        assert daemon.stop() == 0
        written = [(row["verb"], row["alarm_id"], row["raise_count"]) for row in journal(site)]
        until(lambda: len(ear.events()) >= len(written))
        events = ear.events()
        print(f"{away:.0f} s without a broker, {len(events)} transitions, {len(late(events))} of them told late")
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), "in order as they came"
        assert told(events) == written
        follow_from_raise_to_clear(events)
        assert len(events) > away / 2
        until(lambda: ear.newest("floor/v1/test/live/agent/edge-1/status")["reason"] == "stop")


def outbox(site: Path) -> int:
    with closing(sqlite3.connect(site / "state" / "edgeagent.db")) as db:
        return int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])


def late(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["came"] - stamp(event["time"]) > 1.0]


def stamp(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
