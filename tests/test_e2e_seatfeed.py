"""Seats over a real broker: what is heard of them on the feed, and what one that floods can do to it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.broker import Mosquitto, needs_mosquitto, until
from tests.rig import SITE, TOPICS, Daemon, Ear, device, environment, write_site
from tests.seatcrowd import Crowd, Seat

pytestmark = [needs_mosquitto, pytest.mark.slow]

FLOOD: Final = 10_000
SOON: Final = 2.0
"""s from what a seat says to the feed, with room for two busy cores; its devices are polled every 15 s."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


def site(folder: Path, port: int, *seats: str) -> Path:
    parts = (
        device(f"{part}-{seat}", f"{part}/host", f"seat://{seat}")
        for seat in seats for part in ("workstation", "headset", "phone")
    )  # fmt: skip
    return write_site(folder, port, *parts)


def publish(port: int, seat: str, name: str, payload: object, *args: str) -> None:
    command = [
        "mosquitto_pub",
        "-V",
        "5",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-t",
        f"floor/v1/{SITE}/seat/{seat}/{name}",
    ]
    subprocess.run([*command, "-m", json.dumps(payload), *args], check=True, timeout=30)


def word(ear: Ear, seat: str, part: str = "workstation") -> str | None:
    state = ear.state(f"{part}-{seat}")
    found: str | None = state and state["agent"]
    return found


def test_each_end_of_a_seats_agent_is_told_from_the_others_and_at_once(tmp_path: Path, broker: Mosquitto) -> None:
    seats = [f"a00{number}" for number in range(1, 7)]
    killed, left, stopped, cloned, well, _ = seats
    publish(broker.port, "a006", "status", {"state": "online", "session": "old", "reason": "start"}, "-r")
    with (
        Ear(broker.port) as ear,
        Daemon(site(tmp_path / "site", broker.port, *seats)),
        Crowd(broker.port, seats[:5], interval=2.0) as crowd,
    ):
        until(lambda: all(word(ear, seat, part) == "running" for seat in seats[:5] for part in ("headset", "phone")))
        assert word(ear, "a006") == "unknown", "that it was online before our time is a hint only"

        slow = crowd.seats[stopped]
        crowd.drop([stopped])
        until(lambda: word(ear, stopped) == "died")
        crowd.do(slow.connect(keepalive=15))
        online = {"state": "online", "session": slow.session, "reason": "start", "interval": 5}
        publish(broker.port, stopped, "status", online)
        crowd.say([stopped])
        until(lambda: word(ear, stopped) == "running")
        crowd.mute([stopped])

        crowd.seats["copy"] = Seat(cloned, broker.port)
        crowd.come(["copy"])
        crowd.drop([killed])
        crowd.leave([left])
        at = time.monotonic()
        until(lambda: word(ear, killed) == "died" and word(ear, left) == "left")
        until(lambda: word(ear, cloned) == "cloned")
        print(f"\nkilled, left and cloned are on the feed {time.monotonic() - at:.1f} s after; the broker waits 1 s")

        at = crowd.say([well], **{"headset.present": 0})
        until(lambda: ear.state(f"headset-{well}")["present"] is False)
        print(f"a headset pulled out is on the feed {time.time() - at:.2f} s after its seat said so")

        until(lambda: word(ear, stopped) == "silent", 40)
        until(lambda: word(ear, stopped) == "frozen", 50)
        assert {seat: word(ear, seat) for seat in (killed, left, well)} == {
            killed: "died", left: "left", well: "running",
        }  # fmt: skip
        for seat in (killed, left, stopped):
            state = ear.state(f"workstation-{seat}")
            assert state["cpu"] is None
            assert state["quality"]["cpu"] == {"quality": "bad", "reason": "timeout"}
        assert not [id for id in ear.listed() if "unreachable" in id], "a seat that is silent is no device unread"
        crowd.come([killed, left])
        until(lambda: word(ear, killed) == word(ear, left) == "running")


def test_a_broker_that_comes_back_without_memory_is_no_end_of_a_seat(tmp_path: Path, broker: Mosquitto) -> None:
    with Daemon(site(tmp_path / "site", broker.port, "a001", "a002")) as daemon:
        with Ear(broker.port) as ear, Crowd(broker.port, ["a001", "a002"], interval=2.0):
            until(lambda: word(ear, "a001") == word(ear, "a002") == "running")
        broker.stop()
        broker.start()
        with Ear(broker.port) as ear, Crowd(broker.port, ["a001", "a002"], interval=2.0) as crowd:
            until(lambda: word(ear, "a001") == word(ear, "a002") == "running")
            crowd.say(["a001"], **{"headset.present": 0})
            until(lambda: (ear.state("headset-a001") or {}).get("present") is False)
        assert daemon.stop() == 0


def cpu(pid: int) -> float:
    """Return the CPU that a process has used, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_one_seat_that_floods_stops_neither_the_agent_nor_another_seat(tmp_path: Path, broker: Mosquitto) -> None:
    with (
        Ear(broker.port) as ear,
        Daemon(site(tmp_path / "site", broker.port, "a001", "a002")) as daemon,
        Crowd(broker.port, ["a001", "a002"], interval=2.0) as crowd,
    ):
        until(lambda: word(ear, "a001") == word(ear, "a002") == "running")
        publish(broker.port, "b001", "status", {"state": "online", "session": "s", "reason": "start"})
        topic = f"floor/v1/{SITE}/seat/a001/report"
        command = [sys.executable, __file__, str(broker.port), topic, str(FLOOD), "8"]
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as flood:
            used, began = cpu(daemon.pid), time.monotonic()
            delays = []
            for turn in range(6):
                at = crowd.say(["a002"], **{"headset.present": turn % 2})
                until(lambda turn=turn: ear.state("headset-a002")["present"] is bool(turn % 2))  # type: ignore[misc]
                delays.append(time.time() - at)
                time.sleep(1.0)
            share = (cpu(daemon.pid) - used) / (time.monotonic() - began)
            assert flood.stdout is not None
            sent = int(flood.stdout.read())
        print(
            f"\n{sent / 8:.0f} messages/s of one seat cost the agent {share:.0%} of a core; what another seat says is"
            f" on the feed after {max(delays):.2f} s at the latest"
        )
        assert statistics.median(delays) < SOON
        assert sent > FLOOD
        event = ear.until_raised("agent.seat-flood")
        assert event["topic"] == f"{TOPICS}/event/alarm/warning"
        assert share < 0.5, "the broker was asked to spare us"
        assert word(ear, "a001") == word(ear, "a002") == "running"
        assert "most of a001: too many" in daemon.now
        assert "1 seats speak that the site does not name, such as 'b001'" in daemon.now
        assert ear.listed() == {"agent.seat-flood"}


def pour(port: int, topic: str, rate: int, seconds: float) -> int:
    """Publish one report again and again, QoS 0, as fast as is asked for; return how many."""
    import socket

    from tests.seatcrowd import _packet, _publish, _text

    report = {"session": "s", "seq": 1, "time": "2026-01-01T00:00:00Z", "machine": "", "answers": {"cpu.percent": 1}}
    packet, sent, began = _publish(topic, json.dumps(report).encode(), retain=False), 0, time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(_packet(0x10, _text("MQTT") + b"\x05\x02\x00\x3c\x00" + _text("flood")))
        sock.recv(64)
        while (spent := time.monotonic() - began) < seconds:
            due = int(spent * rate) - sent
            sock.sendall(packet * due)
            sent += due
            time.sleep(0.005)
    return sent


if __name__ == "__main__":
    sys.stdout.write(str(pour(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
