from __future__ import annotations

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "systemd"
UNIT, SEAT = FOLDER / "edgeagent.service", FOLDER / "edgeagent-seat.service"

both = pytest.mark.parametrize("shipped", [UNIT, SEAT], ids=lambda unit: unit.stem)

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: install Debian's package systemd"
)


def score(unit: Path) -> subprocess.CompletedProcess[str]:
    """Rate a unit's exposure, in tenths; the exit status is 0 up to 1.5."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def service(unit: Path) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser


@both
@needs_systemd_analyze
def test_the_sandbox_is_tight(shipped: Path) -> None:
    done = score(shipped)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr
    assert not done.stderr  # a key that systemd does not know is told here and ignored


@both
@needs_systemd_analyze
@pytest.mark.parametrize("lost", ["SystemCallFilter", "DynamicUser", "CapabilityBoundingSet"])
def test_a_sandbox_that_lost_a_wall_is_noticed(lost: str, shipped: Path, tmp_path: Path) -> None:
    unit = tmp_path / shipped.name
    unit.write_text("\n".join(line for line in shipped.read_text().splitlines() if not line.startswith(lost)))
    assert score(unit).returncode != 0


@both
@needs_systemd_analyze
def test_systemd_knows_every_key_of_the_unit(shipped: Path, tmp_path: Path) -> None:
    unit = tmp_path / shipped.name
    unit.write_text(shipped.read_text().replace("/opt/edgeagent/bin/edgeagent", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert unit.name not in done.stderr


def test_the_unit_keeps_what_the_agent_counts_on() -> None:
    said = service(UNIT)["Service"]
    assert said["ExecStart"] == "/opt/edgeagent/bin/edgeagent run --config /etc/edgeagent"
    assert said["WatchdogSec"] == "60"
    assert said["StateDirectory"] == "edgeagent"


def test_the_unit_of_a_seat_keeps_what_its_agent_counts_on() -> None:
    said = service(SEAT)["Service"]
    assert said["ExecStart"] == "/opt/edgeagent/bin/edgeagent seat --config /etc/edgeagent-seat/seat.toml"
    assert float(said["WatchdogSec"]) >= 3 * 60, "the longest interval between two reports"
    assert said["RuntimeDirectory"] == "edgeagent-seat"
    assert "StateDirectory" not in said, "a seat keeps nothing"
    assert "ProtectProc" not in said, "the softphone is another user's process"


@both
def test_a_unit_starts_again_whatever_happens_but_not_with_a_wrong_configuration(shipped: Path) -> None:
    parser = service(shipped)
    said = parser["Service"]
    assert said["Type"] == "notify"
    assert said["Restart"] == "always"
    assert said["RestartPreventExitStatus"] == "78"
    assert parser["Unit"]["StartLimitIntervalSec"] == "0"
    assert "LoadCredential" not in said, "a credential that is not there keeps the unit from starting"


@pytest.mark.parametrize(("state", "said"), [("stopping", "shutdown\n"), ("running", None), ("degraded", None)])
def test_a_seat_learns_that_the_machine_goes(state: str, said: str | None, tmp_path: Path) -> None:
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\necho {state}\n")
    (tmp_path / "systemctl").chmod(0o755)
    shell, flag, script = service(SEAT)["Service"]["ExecStop"].split(maxsplit=2)
    command = [shell, flag, script.strip("'").replace("$$", "$")]  # as systemd.service(5) reads it
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RUNTIME_DIRECTORY": str(tmp_path)}
    subprocess.run(command, env=environ, check=True, timeout=60)
    reason = tmp_path / "reason"
    assert (reason.read_text() if reason.exists() else None) == said
