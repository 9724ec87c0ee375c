"""Five hundred seats at a real broker: single faults, a dead switch, a broker that restarts, the end of a shift."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.broker import Mosquitto, needs_mosquitto, until
from tests.causescene import quicken, raised, runs_of
from tests.field import Spoken
from tests.rig import TOPICS, Daemon, Ear, write_site
from tests.seatcrowd import Crowd

pytestmark = [needs_mosquitto, pytest.mark.slow]

INTERVAL: Final = 5.0
PORTS: Final = 48
ROWS: Final = 10
SEATS: Final = 500
UP: Final = "1.3.6.1.2.1.2.2.1.8"
ADMIN: Final = "1.3.6.1.2.1.2.2.1.7"
POE: Final = "1.3.6.1.2.1.105.1.1.1.6.1"
DEAD: Final = "switch-01.group.workstation-down"


def rows() -> list[list[str]]:
    """Lay the seats out: 48 at the first switch, the others shared by nine."""
    seats = [f"a{number:03}" for number in range(1, SEATS + 1)]
    rest = seats[PORTS:]
    size = len(rest) // (ROWS - 1)
    cuts = [rest[place * size : (place + 1) * size] for place in range(ROWS - 2)]
    return [seats[:PORTS], *cuts, rest[(ROWS - 2) * size :]]


class Switch(Spoken):
    """An access switch with a port a seat, all up and powering phones."""

    def __init__(self, folder: Path) -> None:
        lines = [
            "1.3.6.1.2.1.1.1.0|4|Test switch", "1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.8072.3.2.10",
            *(f"{ADMIN}.{port}|2|1" for port in range(1, PORTS + 1)),
            *(f"{UP}.{port}|2|1" for port in range(1, PORTS + 1)),
            *(f"{POE}.{port}|2|3" for port in range(1, PORTS + 1)),
        ]  # fmt: skip
        record = folder / "switch.snmprec"
        record.write_text("\n".join(lines) + "\n", encoding="utf-8")
        super().__init__("replay", record, "--listen", "snmp://127.0.0.1:0?community=access")


def site(folder: Path, broker: int, switch: int) -> Path:
    lines = [
        '[areas.hall]\nname = { en = "Hall", zh = "大厅" }',
        '[network.core]\nname = { en = "Core", zh = "核心交换机" }',
    ]
    for number, seats in enumerate(rows(), 1):
        lines += [
            f'[network.switch-{number:02}]\nconnected_by = ["core"]',
            f'name = {{ en = "Switch {number}", zh = "{number} 号交换机" }}',
            f'[seats.row-{number:02}]\nrange = "{seats[0]}..{seats[-1]}"\narea = "hall"',
            f'connected_by = ["switch-{number:02}"]\nspare = ["{seats[-2]}..{seats[-1]}"]',
            f'[seats.row-{number:02}.parts.pc]\ndriver = "workstation/host"\nurl = "seat://{{seat}}"',
            f'[seats.row-{number:02}.parts.headset]\ndriver = "headset/host"\nurl = "seat://{{seat}}"',
        ]
        if number == 1:
            lines.append(
                f'[seats.row-01.parts.port]\ndriver = "port/if-mib"\n'
                f'url = "snmp://127.0.0.1:{switch}?version=2c&community=access"\nindex = "{{n}}"\nport = "1.{{n}}"'
            )
    made = write_site(folder, broker, *lines, language="zh")
    quicken(made, "equipment-fault", "system-fault", "network-emergency")
    return made


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker", ["max_queued_messages 10000"]) as broker:
        yield broker


def test_five_hundred_seats_through_a_day(tmp_path: Path, broker: Mosquitto) -> None:
    lined = rows()
    seats = [seat for row in lined for seat in row]
    with ExitStack() as stack, Ear(broker.port) as ear:
        switch = stack.enter_context(Switch(tmp_path))
        daemon = stack.enter_context(Daemon(site(tmp_path / "site", broker.port, switch.port)))
        crowd = stack.enter_context(Crowd(broker.port, seats, interval=INTERVAL))
        until(lambda: all((ear.state(f"{row[-1]}-pc") or {}).get("agent") == "running" for row in lined), 30)

        process = psutil.Process(daemon.pid)
        before, sent, began = sum(process.cpu_times()[:2]), crowd.sent, time.monotonic()
        until(lambda: time.monotonic() - began >= 2 * INTERVAL, 30)
        busy, span = sum(process.cpu_times()[:2]) - before, time.monotonic() - began
        reports = crowd.sent - sent
        print(f"{SEATS} seats, {reports / span:.0f} reports/s: {100 * busy / span:.1f} % of a core")
        assert reports >= SEATS
        assert raised(ear) == []

        # Twenty headsets, two in each row: twenty seats' own faults, each with a spare seat named.
        ill = [row[place] for row in lined for place in (3, 17)]
        crowd.say(ill, **{"headset.present": 0})
        until(lambda: len(runs_of(ear, "equipment-fault")) == len(ill), 90)
        told = runs_of(ear, "equipment-fault")
        assert {run["scope"] for run in told} == set(ill)
        assert all(run["spare"] is not None for run in told)
        assert {event["data"]["alarm_type_id"] for event in ear.events("", "raised")} == {"headset-missing"}
        assert runs_of(ear, "system-fault") == []
        crowd.say(ill, **{"headset.present": 1})
        until(lambda: len(ear.events("", "cleared", "closed")) >= len(ill), 60)

        # A switch dies with the 48 seats at it: one fault of the switch.
        marks = len(raised(ear))
        crowd.mute(lined[0])
        switch.tell("silence")
        until(lambda: any("switch-01" in id for id in raised(ear)[marks:]), 120)
        assert raised(ear)[marks:] == [DEAD]
        assert len(runs_of(ear, "equipment-fault")) == len(ill), "no seat of them is a fault of its own"
        crowd.mute(lined[0], muted=False)
        switch.tell("answer")

        # The broker restarts before that is over: nobody fails.
        marks = len(raised(ear))
        broker.stop()
        broker.start()
        crowd.come(seats)
        until(lambda: "connected as edge-test-edge-1-seats" in daemon.log.rpartition("connection lost")[2], 30)

        # Two hundred leave for the night: nobody fails either.
        crowd.leave(seats[300:])
        until(
            lambda: all((ear.state(f"{seat}-pc") or {}).get("agent") == "left" for seat in (seats[300], seats[-1])), 30
        )
        silent = time.monotonic()
        until(lambda: time.monotonic() - silent > 4 * INTERVAL, 60)
        ear.until_cleared(DEAD, 60)
        assert raised(ear)[marks:] == []
        assert "Traceback" not in daemon.log
        assert (ear.newest(f"{TOPICS}/agent/edge-1/health") or {})["counts"]["devices"] == 2 * SEATS + PORTS
