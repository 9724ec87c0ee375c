from __future__ import annotations

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

UNIT = Path(__file__).parent.parent / "systemd" / "edgeagent.service"

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: install Debian's package systemd"
)


def score(unit: Path) -> subprocess.CompletedProcess[str]:
    """Rate a unit's exposure, in tenths; the exit status is 0 up to 1.5."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@needs_systemd_analyze
def test_the_sandbox_is_tight() -> None:
    done = score(UNIT)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr
    assert not done.stderr  # a key that systemd does not know is told here and ignored


@needs_systemd_analyze
@pytest.mark.parametrize("lost", ["SystemCallFilter", "DynamicUser", "CapabilityBoundingSet"])
def test_a_sandbox_that_lost_a_wall_is_noticed(lost: str, tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text("\n".join(line for line in UNIT.read_text().splitlines() if not line.startswith(lost)))
    assert score(unit).returncode != 0


@needs_systemd_analyze
def test_systemd_knows_every_key_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/edgeagent/bin/edgeagent", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert unit.name not in done.stderr


def test_the_unit_keeps_what_the_agent_counts_on() -> None:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    service = parser["Service"]
    assert service["ExecStart"] == "/opt/edgeagent/bin/edgeagent run --config /etc/edgeagent"
    assert service["Type"] == "notify"
    assert service["WatchdogSec"] == "60"
    assert service["Restart"] == "always"
    assert service["RestartPreventExitStatus"] == "78"
    assert service["StateDirectory"] == "edgeagent"
    assert parser["Unit"]["StartLimitIntervalSec"] == "0"
    assert "LoadCredential" not in service, "a credential that is not there keeps the unit from starting"
