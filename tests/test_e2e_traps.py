"""Traps of net-snmp's own programs at the true agent: the device is polled at once, and only its answer counts."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.broker import Mosquitto, free_port, needs_mosquitto, until
from tests.field import Simulated, Wire
from tests.rig import Daemon, Ear, device, write_site

pytestmark = [
    needs_mosquitto,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("snmptrap") is None, reason="Debian's package snmp is not installed"),
]

UPS: Final = "snmp://127.0.0.1:{port}?version=2c&community=hinted"
V3: Final = "snmp://watch@127.0.0.1:{port}?version=3&auth=SHA-256&priv=AES-128"
SECRETS: Final = {"EDGEAGENT_SNMP_AUTH": "one two three", "EDGEAGENT_SNMP_PRIV": "four five six"}
PLAIN: Final = ("-v2c", "-c", "hinted")
SECURED: Final = (
    "-v3", "-u", "watch", "-l", "authPriv", "-a", "SHA-256", "-A", "one two three", "-x", "AES", "-X", "four five six",
)  # fmt: skip
ON: Final = "ups.on-battery"
AT_ONCE: Final = {"on-battery": {"on_delay": 0, "off_delay": 0}}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


def tell(port: int, *version: str, program: str = "snmptrap") -> float:
    """Send upsTrapOnBattery; return the moment, epoch s."""
    sent = time.time()
    command = [program, *version, f"127.0.0.1:{port}", "", "1.3.6.1.2.1.33.2.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    return sent


def site(folder: Path, broker: Mosquitto, url: str, port: int, **settings: float) -> Path:
    table = f'[traps]\nport = {port}\naddresses = ["127.0.0.1"]'
    return write_site(folder, broker.port, table, device("ups", "ups/rfc1628", url, AT_ONCE, **settings))


@pytest.mark.parametrize(
    ("url", "version", "program"),
    [(UPS, PLAIN, "snmptrap"), (UPS, PLAIN, "snmpinform"), (V3, SECURED, "snmptrap"), (V3, SECURED, "snmpinform")],
    ids=["v2c trap", "v2c inform", "v3 trap", "v3 inform"],
)
def test_a_trap_alone_is_no_alarm_and_with_the_device_on_battery_it_is_one_within_a_second(
    url: str, version: tuple[str, ...], program: str, tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    with Simulated("ups/rfc1628", url.format(port=0)) as ups, Wire() as wire:
        wire.plug(ups.port)
        folder = site(tmp_path / "site", broker, url.format(port=wire.port), port, interval=3600, fast=3600)
        with Ear(broker.port) as ear, Daemon(folder, **SECRETS) as agent:
            until(lambda: (ear.state("ups") or {}).get("source") == "normal")
            asked = len(wire.asked)
            tell(port, *version, program=program)
            agent.until_says("upsTrapOnBattery (1.3.6.1.2.1.33.2.1)")
            until(lambda: len(wire.asked) > asked)
            time.sleep(1.0)
            assert ear.events(ON) == [], "a trap is no truth of its own"
            assert ear.state("ups")["source"] == "normal"
            took = []
            for turn in (1, 2, 3):  # the machine may stand still for a moment, but not each time
                ups.tell("set source=battery")
                sent = tell(port, *version, program=program)
                took.append(ear.until_raised(ON, times=turn)["came"] - sent)
                if took[-1] < 2.0:
                    break
                ups.tell("set source=normal")
                tell(port, *version, program=program)
                ear.until_cleared(ON, times=turn)
            print(f"{version[0]} {program}: raised {1e3 * min(took):.0f} ms after the program's start")
            assert min(took) < 2.0


def test_a_device_in_back_off_is_polled_at_once_when_it_sends_a_trap(tmp_path: Path, broker: Mosquitto) -> None:
    port = free_port()
    with Simulated("ups/rfc1628", UPS.format(port=0)) as ups, Wire() as wire:
        wire.plug(ups.port)
        folder = site(tmp_path / "site", broker, UPS.format(port=wire.port), port, interval=0.2, timeout=0.1)
        with Ear(broker.port) as ear, Daemon(folder):
            until(lambda: ear.state("ups"))
            wire.pull()
            ear.until_raised("ups.unreachable")
            # Each miss doubles the interval: who was not asked for 6.6 s is next asked after more than twelve.
            until(lambda: len(wire.asked) > 2 and time.monotonic() - wire.asked[-1] > 6.6, 90)
            wire.plug(ups.port)
            asked = len(wire.asked)
            sent = time.monotonic()
            tell(port, *PLAIN)
            until(lambda: len(wire.asked) > asked)
            assert wire.asked[asked] - sent < 5.0


def test_a_port_that_is_taken_is_an_error_an_alarm_and_no_end_of_polling(tmp_path: Path, broker: Mosquitto) -> None:
    with Simulated("ups/rfc1628", UPS.format(port=0)) as ups:
        folder = site(tmp_path / "site", broker, UPS.format(port=ups.port), ups.port, interval=0.2)
        with Ear(broker.port) as ear, Daemon(folder) as agent:
            agent.until_says(f"cannot listen for traps at 127.0.0.1 port {ups.port}/udp: Address already in use")
            until(lambda: ear.state("ups"))
            ups.tell("set source=battery")
            ear.until_raised(ON)
            own = (folder / "site.toml").read_text().replace(f"port = {ups.port}\n", f"port = {free_port()}\n")
            (folder / "site.toml").write_text(own)
            agent.reload()
            agent.until_says("listening for traps at 127.0.0.1")
