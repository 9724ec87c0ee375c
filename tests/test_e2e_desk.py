"""What a person at a terminal sees: the line that follows a change, the capture of a device, the demo and its drill."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.broker import Mosquitto, needs_mosquitto, until
from tests.field import Simulated
from tests.rig import Daemon, device, edgeagent, environment, write_site

pytestmark = [needs_mosquitto, pytest.mark.slow]

UPS: Final = "snmp://127.0.0.1:{port}?version=2c&community=operated"
AT_ONCE: Final = {"on_delay": 0, "off_delay": 0}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


def test_watch_says_each_change_in_one_line_of_the_sites_language(tmp_path: Path, broker: Mosquitto) -> None:
    with Simulated("ups/rfc1628", UPS.format(port=0)) as ups:
        entry = device("ups", "ups/rfc1628", UPS.format(port=ups.port), {"on-battery": AT_ONCE}, interval=0.2)
        site = write_site(tmp_path / "site", broker.port, entry, language="zh")
        seen = tmp_path / "seen"
        with Daemon(site), seen.open("wb") as out:
            command = (sys.executable, "-m", "edgeagent", "watch", "--config", str(site))
            watching = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment())
            try:
                # It shows nothing of the past, so the fault comes and goes until it has connected.
                def turned() -> bool:
                    ups.tell("set source=battery")
                    ups.tell("set source=normal")
                    _, raised, later = seen.read_text(encoding="utf-8").partition("  raised  ")
                    return bool(raised) and "  cleared  " in later

                until(turned, within=30.0)
            finally:
                watching.terminate()
                watching.wait(30)
        lines = seen.read_text(encoding="utf-8").splitlines()
    raised = next(line for line in lines if "  raised  " in line)
    assert "critical  ups.on-battery" in raised
    assert raised.endswith("已转为电池供电")
    assert any("  cleared  " in line and "已恢复：" in line for line in lines)


def test_a_record_of_a_device_holds_what_it_said_and_no_secret(tmp_path: Path) -> None:
    with Simulated("ups/apc-powernet", UPS.format(port=0)) as ups:
        file = tmp_path / "capture.snmprec"
        done = edgeagent("record", UPS.format(port=ups.port), "--out", file)
    assert done.returncode == 0, done.stderr
    text = file.read_text(encoding="utf-8")
    assert "1.3.6.1.4.1.318.1.1.1.4.1.1.0|2|2\n" in text
    assert "operated" not in text + done.stdout + done.stderr
    oids = [[int(part) for part in line.split("|")[0].split(".")] for line in text.splitlines()]
    assert oids == sorted(oids)


def test_a_record_of_nothing_is_no_answer(free_port: object) -> None:
    assert callable(free_port)
    done = edgeagent("record", UPS.format(port=free_port()), "--timeout", "1")
    assert done.returncode == 3, done.stderr


def test_the_demo_shows_one_cause_its_procedure_and_the_record() -> None:
    done = edgeagent("demo", "--for", "45s", within=90.0)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("raised       critical  mains.mains-lost", "cleared      critical  mains.mains-lost"):
        assert line in done.stdout
    assert "ups-a.on-battery" not in done.stdout, "what the cause explains is told to nobody"
    for verb in ("opened", "step-done", "recovering", "closed"):
        assert f"{verb:12} outage" in done.stdout
    assert "forecast     断电" in done.stdout
    assert "# 故障记录" in done.stdout
    assert "still raised" not in done.stdout


def test_the_demo_shows_a_drill_its_people_and_its_report_while_the_live_lane_stays_quiet() -> None:
    done = edgeagent("demo", "--drill", "smoke", "--speed", "60", within=120.0)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "【演练进行中】烟感报警",
        "EXERCISE – Smoke contact: shown at 0:10",
        "王班长 (demo) 已受理",
        "# 演练 – 应急演练评估报告",
        "告警：检测到烟雾：干接点模块<br>alarm smoke",
        "演练 – 已结束：烟感报警（火警），按计划完成；10 项预期中 10 项达到",
        "live lane: quiet",
    ):
        assert line in done.stdout, line
    assert "raised       " not in done.stdout, "nothing of it is told on the live lane"


def test_the_demo_says_at_its_start_how_to_listen_and_whoever_does_hears_it() -> None:
    command = [sys.executable, "-m", "edgeagent", "demo"]
    with subprocess.Popen(command, cwd="/", env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            ears = shlex.split(told.partition(": ")[2])
            heard = subprocess.run(
                [*ears, "-C", "3", "-W", "30"], capture_output=True, text=True, check=False, timeout=60
            )
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
    assert told.startswith("listen to its feed / 接收数据: mosquitto_sub -V mqttv5 ")
    assert heard.returncode == 0, heard.stderr
    assert all(line.startswith("floor/v1/demo/live/") for line in heard.stdout.splitlines())


def test_the_demo_ends_without_a_word_when_whoever_reads_it_has_seen_enough(tmp_path: Path) -> None:
    command, said = [sys.executable, "-m", "edgeagent", "demo"], tmp_path / "stderr"
    with (
        said.open("wb") as stderr,
        subprocess.Popen(command, cwd="/", env=environment(), stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert process.wait(60) == 1
        finally:
            process.kill()
    assert said.read_text() == ""


def test_the_demo_stops_its_drill_when_its_time_is_up() -> None:
    done = edgeagent("demo", "--drill", "outage-good-start", "--for", "12s", within=90.0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "人工中止" in done.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crm-unreachable", "the demo's site cannot show crm-unreachable: there is no service here"),
        ("smok", 'unknown drill "smok", did you mean "smoke"?'),
    ],
)
def test_the_demo_says_which_drills_its_site_cannot_show(name: str, why: str) -> None:
    done = edgeagent("demo", "--drill", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
