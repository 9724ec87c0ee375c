"""Five ways in which a seat falls silent, told apart: true agents of seats in namespaces, real echoes, mosquitto."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import pytest

from tests.broker import Mosquitto, free_port, needs_mosquitto, until
from tests.causescene import quicken, raised, runs_of
from tests.netns import Namespace, namespace, needs_namespaces
from tests.rig import Daemon, Ear, environment, write_site
from tests.seatprocess import SALT, write_seat

pytestmark = [needs_mosquitto, needs_namespaces, pytest.mark.slow]

KILLED, FROZEN, CUT, LEFT, CLONED = SEATS = ("a001", "a002", "a003", "a004", "a005")
NET: Final = "10.97.{}"
SITE: Final = """
[areas.hall]
name = { en = "Hall", zh = "大厅" }
[seats.row]
range = "a001..a005"
area = "hall"
[seats.row.parts.pc]
driver = "workstation/host"
url = "seat://{seat}"
[seats.row.parts.ping]
driver = "presence/icmp"
url = "icmp://10.97.{n}.2"
interval = 2
"""


class Workstation:
    """A seat's agent in a namespace of its own, with a wire to ours."""

    def __init__(self, stack: ExitStack, number: int, config: Path, broker: int) -> None:
        self.space: Namespace = stack.enter_context(namespace())
        net, name = NET.format(number), f"edgetest{number}"
        self._ip(stack, f"link add {name} type veth peer name eth0 netns {self.space.pid}", f"link del {name}")
        self._ip(stack, f"addr add {net}.1/24 dev {name}")
        self._ip(stack, f"link set {name} up")
        self.space.run("ip link set lo up", f"ip addr add {net}.2/24 dev eth0", "ip link set eth0 up")
        text = config.read_text()
        config.write_text(re.sub(r"mqtt://[^\"]+", f"mqtt://{net}.1:{broker}", text))
        self._config = config

    @staticmethod
    def _ip(stack: ExitStack, line: str, undo: str = "") -> None:
        subprocess.run(["ip", *line.split()], check=True, capture_output=True)
        if undo:
            stack.callback(subprocess.run, ["ip", *undo.split()], check=False, capture_output=True)

    def __enter__(self) -> Self:
        command = ["nsenter", "-t", str(self.space.pid), "-n", sys.executable, "-m", "edgeagent", "seat", "--config"]
        with (self._config.parent / "log").open("wb") as log:
            self._process = subprocess.Popen([*command, str(self._config)], cwd="/", env=environment(), stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait(60)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def cut(self) -> None:
        """Pull the cable."""
        self.space.run("ip link set eth0 down")


def test_kill_freeze_cut_leave_and_clone_are_five_different_things(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    port = free_port()
    with ExitStack() as stack:
        works = {}
        for number, seat in enumerate((*SEATS, "copy"), 1):
            salt, id = (SALT, seat) if seat != "copy" else ("another-machine!", CLONED)
            works[seat] = Workstation(stack, number, write_seat(tmp_path / seat, port, id, salt=salt), port)
        broker = stack.enter_context(Mosquitto(tmp_path / "broker", [f"listener {port} 0.0.0.0"]))
        ear = stack.enter_context(Ear(broker.port))
        folder = write_site(tmp_path / "site", broker.port, SITE, language="zh")
        quicken(folder, "equipment-fault")
        daemon = stack.enter_context(Daemon(folder))
        for seat in SEATS:
            stack.enter_context(works[seat])

        def word(seat: str) -> str | None:
            return (ear.state(f"{seat}-pc") or {}).get("agent")

        until(lambda: all(word(seat) == "running" for seat in SEATS), 60)
        until(lambda: all((ear.state(f"{seat}-ping") or {}).get("echo") for seat in SEATS))

        works[KILLED].signal(signal.SIGKILL)
        works[FROZEN].signal(signal.SIGSTOP)
        works[CUT].cut()
        works[LEFT].signal(signal.SIGTERM)
        stack.enter_context(works["copy"])
        until(lambda: word(LEFT) == "left" and word(CLONED) == "cloned", 60)
        until(lambda: word(KILLED) == "died" and word(FROZEN) == "frozen", 60)
        told = {f"{KILLED}.agent-down", f"{FROZEN}.agent-down", f"{CUT}.workstation-down", f"{CLONED}.cloned"}
        until(lambda: told <= set(raised(ear)), 120)
        assert set(raised(ear)) == told, "who leaves in order is no fault"
        assert [run["scope"] for run in runs_of(ear, "equipment-fault")] == [CUT], "only a dead workstation is one"
        assert "Traceback" not in daemon.log
