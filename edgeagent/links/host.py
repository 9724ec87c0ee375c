"""The machine that the agent runs on, read through psutil. The only module that imports it.

Addresses (raw values): online (always 1), cpu.percent, memory.percent, disk.percent (in use, %, memory without
what could be freed, disk of the system volume), nic.up and clock.synced (0 or 1), boot.time (s since the epoch).
What this platform does not tell is `Missing.ABSENT`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeagent.clock import TIMESYNC, synced
from edgeagent.links import Plan, Target
from edgeagent.readings import Answers, Missing, Raw

if TYPE_CHECKING:
    from types import ModuleType

_NETWORK: Final = Path("/sys/class/net")
_REMOTE: Final = ("nfs", "cifs", "smb", "9p", "fuse.", "afs", "ceph", "gluster")
_APART: Final = 0.1
"""Shortest time in s over which the processor can be measured (psutil, cpu_percent)."""


class HostLink:
    """Answers from psutil at once: a sample costs half a millisecond and touches local volumes only."""

    def __init__(self, timesync: Path = TIMESYNC) -> None:
        import psutil

        self._psutil: ModuleType = psutil
        self._timesync = timesync
        psutil.cpu_percent(interval=None)  # always 0: it only marks where the first measurement begins
        self._measured = time.monotonic()
        self._cpu: float | None = None
        self._sources: Mapping[str, Callable[[], Raw]] = {
            "online": lambda: 1,
            "cpu.percent": self._cpu_percent,
            "memory.percent": lambda: float(psutil.virtual_memory().percent),
            "disk.percent": self._disk_percent,
            "nic.up": self._nic_up,
            "clock.synced": self._clock_synced,
            "boot.time": lambda: float(psutil.boot_time()),
        }

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        """Read all addresses of the plan; `done` follows in the next turn of the event loop."""
        answers: dict[str, Raw] = {address: self._answer(address) for address in plan.gets}
        answers |= dict.fromkeys(plan.walks, Missing.ABSENT)
        asyncio.get_running_loop().call_soon(done, answers)

    async def run(self) -> None:
        """Wait to be cancelled: there is nothing to hold open."""
        await asyncio.Event().wait()

    def _answer(self, address: str) -> Raw:
        source = self._sources.get(address)
        if source is None:
            return Missing.ABSENT
        try:
            return source()
        except (AttributeError, NotImplementedError):  # psutil leaves out what a platform does not have
            return Missing.ABSENT
        except PermissionError:
            return Missing.DENIED
        except (OSError, RuntimeError, ValueError, self._psutil.Error):  # a /proc or WMI that says nonsense
            return Missing.ERROR

    def _cpu_percent(self) -> Raw:
        """Return the use since the last measurement, the same for all who ask within a moment."""
        now = time.monotonic()
        if now - self._measured >= _APART:
            self._cpu = float(self._psutil.cpu_percent(interval=None))
            self._measured = now
        return Missing.BUSY if self._cpu is None else self._cpu

    def _disk_percent(self) -> Raw:
        """Return the use of the system volume; a system on the network could block and is not asked."""
        if sys.platform == "win32":
            root = os.environ.get("SYSTEMDRIVE", "C:") + "\\"
        else:
            root = "/"
            mounted = {part.mountpoint: part.fstype for part in self._psutil.disk_partitions(all=True)}
            if mounted.get(root, "").startswith(_REMOTE):
                return Missing.ABSENT
        return float(self._psutil.disk_usage(root).percent)

    def _nic_up(self) -> Raw:
        """Tell whether a network interface is up: a real one where any is known to be, else any but loopback."""
        names = {
            name: stats.isup
            for name, stats in self._psutil.net_if_stats().items()
            if "loopback" not in getattr(stats, "flags", "") and not name.lower().startswith(("lo0", "loopback"))
        }
        real = {name: up for name, up in names.items() if (_NETWORK / name / "device").exists()} or names
        return int(any(real.values())) if real else Missing.ABSENT

    def _clock_synced(self) -> Raw:
        answer = synced(self._timesync)
        return Missing.ABSENT if answer is None else int(answer)
