"""Network UPS Tools beside us: Debian's snmp-ups reads devices once and says what it saw.

Nothing of NUT is in the project. The driver runs in the foreground, prints its variables and ends; no service starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

VERSION: Final = "2.8.0"
"""What Debian 12 ships. Its tables move from version to version, and what is compared with them."""
SNMP_UPS: Final = shutil.which("snmp-ups", path="/lib/nut:/usr/libexec/nut")


def _fits() -> bool:
    if SNMP_UPS is None:
        return False
    said = subprocess.run([SNMP_UPS, "-V"], capture_output=True, text=True, timeout=60, check=False).stdout
    return f"({VERSION})" in said


HERE: Final = _fits()
needs_nut: Final = pytest.mark.skipif(
    not HERE, reason=f"snmp-ups of Network UPS Tools {VERSION} is not in /lib/nut (Debian 12: nut-snmp)"
)
_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """One device to read: its community at the simulator, and the table of NUT that reads it."""

    community: str
    mib: str


def read(port: int, devices: Sequence[Asked], folder: Path) -> list[Mapping[str, str]]:
    """Read each device once, two at a time and 20 s each at most; return NUT's variables, none where it gave up."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda device: _variables(port, device, folder), devices))


def _variables(port: int, device: Asked, folder: Path) -> Mapping[str, str]:
    assert SNMP_UPS is not None
    # v1, its default: over v2c its table "pw" counts outlets without end, as it takes noSuchInstance for one.
    given = {
        "port": f"127.0.0.1:{port}", "community": device.community, "mibs": device.mib,
        "snmp_version": "v1", "snmp_timeout": "2", "snmp_retries": "1",
    }  # fmt: skip
    options = [part for key, value in given.items() for part in ("-x", f"{key}={value}")]
    root = ["-u", "root"] if os.geteuid() == 0 else []
    places = dict.fromkeys(("NUT_CONFPATH", "NUT_STATEPATH", "NUT_ALTPIDPATH"), str(folder))
    try:
        done = subprocess.run(
            [SNMP_UPS, "-s", device.community.replace("/", "-"), *root, *options, "-d", "1"],
            env={**os.environ, **places}, capture_output=True, text=True, errors="replace", timeout=60, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {}
    rows = (line.partition(": ") for line in done.stdout.splitlines())
    return {name: value.strip() for name, colon, value in rows if colon and " " not in name}
