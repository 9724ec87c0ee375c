"""The machine that the agent runs on, read through psutil. The only module that imports it.

Addresses (raw values): online (always 1), agent.state (always "running"), cpu.percent, memory.percent, disk.percent
(in use, %, memory without what could be freed, disk of the system volume), memory.commit (what is promised of what can
be, %: on Windows, and on a Linux that keeps to a limit), nic.up and clock.synced (0 or 1), net.errors (% of the packets
since the last sample), boot.time (s since the epoch), battery.percent and battery.charging (of the machine, not of a
headset), audio.capture and audio.render (0 or 1: is there a device; none is opened), softphone (0 or 1; nothing while
nobody is logged on). What this platform does not tell is `Missing.ABSENT`.

Of processes only names are looked at, of people only how many are logged on: neither goes further than the one bit.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeagent.clock import TIMESYNC, synced
from edgeagent.links import Plan, Target
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.usbdevices import streams

if TYPE_CHECKING:
    from types import ModuleType

_NETWORK: Final = Path("/sys/class/net")
_SUPPLY: Final = Path("/sys/class/power_supply")
_SESSIONS: Final = Path("/run/systemd/sessions")
_REMOTE: Final = ("nfs", "cifs", "smb", "9p", "fuse.", "afs", "ceph", "gluster")
_APART: Final = 0.1
"""Shortest time in s over which the processor can be measured (psutil, cpu_percent)."""
_FEW: Final = 1000
"""Packets below which one that is lost would weigh too much."""
_COMM: Final = 15
"""Characters of a process's name that Linux keeps (proc_pid_comm(5))."""


class HostLink:
    """Answers from psutil at once: a sample costs a millisecond and touches local volumes only.

    `softphone` are names of processes of which one must run.
    """

    def __init__(self, timesync: Path = TIMESYNC, softphone: Sequence[str] = ()) -> None:
        import psutil

        self._psutil: ModuleType = psutil
        self._timesync = timesync
        psutil.cpu_percent(interval=None)  # always 0: it only marks where the first measurement begins
        self._measured = time.monotonic()
        self._cpu: float | None = None
        self._softphone = frozenset(_comparable(name) for name in softphone)
        self._pid: int | None = None
        self._packets: Mapping[str, tuple[int, int]] = {}
        self._sources: Mapping[str, Callable[[], Raw]] = {
            "online": lambda: 1,
            "agent.state": lambda: "running",
            "cpu.percent": self._cpu_percent,
            "memory.percent": lambda: float(psutil.virtual_memory().percent),
            "memory.commit": self._commit_percent,
            "disk.percent": self._disk_percent,
            "nic.up": self._nic_up,
            "net.errors": self._net_errors,
            "clock.synced": self._clock_synced,
            "boot.time": lambda: float(psutil.boot_time()),
            "battery.percent": lambda: self._battery()[0],
            "battery.charging": lambda: self._battery()[1],
            "audio.capture": lambda: self._audio("capture"),
            "audio.render": lambda: self._audio("render"),
            "softphone": self._softphone_runs,
        }

    def sample(self, addresses: Iterable[str]) -> dict[str, Raw]:
        """Read these addresses now."""
        return {address: self._answer(address) for address in addresses}

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        """Read all addresses of the plan; `done` follows in the next turn of the event loop."""
        answers = self.sample(plan.gets)
        answers |= dict.fromkeys(plan.walks, Missing.ABSENT)
        asyncio.get_running_loop().call_soon(done, answers)

    def hardware(self) -> str:
        """Return what tells this machine from one with a copy of its disk: the makers' addresses of its network cards.

        Without any, what the installation calls itself; empty where even that is not known.
        """
        link = getattr(self._psutil, "AF_LINK", None)
        rows = self._psutil.net_if_addrs().items() if link is not None else ()
        named = {
            address.address.replace("-", ":").lower()
            for _, found in rows
            for address in found
            if address.family == link
        }
        cards = sorted(address for address in named if address.count(":") == 5 and _by_maker(address))
        if cards:
            return " ".join(cards)
        try:
            return Path("/etc/machine-id").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

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
        found = {
            name: stats.isup
            for name, stats in self._psutil.net_if_stats().items()
            if "loopback" not in getattr(stats, "flags", "")
        }
        names = self._nics(found)
        return int(any(found[name] for name in names)) if names else Missing.ABSENT

    def _clock_synced(self) -> Raw:
        answer = synced(self._timesync)
        return Missing.ABSENT if answer is None else int(answer)

    def _nics(self, names: Iterable[str]) -> list[str]:
        """Return the real network cards where any is known to be one, else all but loopback."""
        found = [name for name in names if not name.lower().startswith(("lo0", "loopback")) and name != "lo"]
        return [name for name in found if (_NETWORK / name / "device").exists()] or found

    def _net_errors(self) -> Raw:
        """Return which part of the packets since the last sample was lost on the card.

        Packets that came in and were dropped do not count: so are those of protocols to which nobody listens.
        """
        counters = self._psutil.net_io_counters(pernic=True)
        before, self._packets = self._packets, {
            name: (counters[name].packets_recv + counters[name].packets_sent,
                   counters[name].errin + counters[name].errout + counters[name].dropout)
            for name in self._nics(counters)
        }  # fmt: skip
        both = before.keys() & self._packets.keys()
        if not both:
            return Missing.BUSY if self._packets else Missing.ABSENT
        packets, lost = (sum(self._packets[name][each] - before[name][each] for name in both) for each in (0, 1))
        return round(min(100.0, 100.0 * max(0, lost) / max(packets, _FEW)), 1)

    def _commit_percent(self) -> Raw:
        if sys.platform == "win32":
            from edgeagent.links import windows

            return windows.commit_percent()
        proc = self._proc()
        # Only then CommitLimit is one (proc_meminfo(5)).
        if (proc / "sys/vm/overcommit_memory").read_text(encoding="ascii").strip() != "2":
            return Missing.ABSENT
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return round(100.0 * kib["Committed_AS"] / max(kib["CommitLimit"], 1), 1)

    def _battery(self) -> tuple[Raw, Raw]:
        """Return the charge of the machine's own battery and whether it is charged.

        psutil takes any battery for it, a wireless headset's too; Linux tells them apart by `scope`.
        """
        if sys.platform != "linux":
            battery = self._psutil.sensors_battery()
            return (
                (Missing.ABSENT,) * 2 if battery is None else (float(battery.percent), int(bool(battery.power_plugged)))
            )
        own = [
            folder for folder in sorted(_SUPPLY.glob("*"))
            if _word(folder / "type") == "Battery" and _word(folder / "scope") != "Device"
        ]  # fmt: skip
        charges = [int(word) for word in (_word(folder / "capacity") for folder in own) if word.isdecimal()]
        if not charges:
            return (Missing.ABSENT,) * 2
        return sum(charges) / len(charges), int(all(_word(folder / "status") != "Discharging" for folder in own))

    def _audio(self, flow: str) -> Raw:
        if sys.platform == "win32":
            from edgeagent.links import windows

            return int(windows.endpoints(flow.capitalize()) > 0)
        found = streams()
        return Missing.ABSENT if found is None else int(getattr(found, flow))

    def _softphone_runs(self) -> Raw:
        """Tell whether one of the programs runs; while nobody is logged on none has to."""
        if not self._softphone:
            return Missing.ABSENT
        if self._pid is None or self._name(self._pid) not in self._softphone:
            self._pid = next((pid for pid, name in self._names() if name in self._softphone), None)
        if self._pid is None and not self._sessions():
            return Missing.NULL
        return int(self._pid is not None)

    def _names(self) -> Iterator[tuple[int, str]]:
        for pid in self._psutil.pids():
            name = self._name(pid)
            if name is not None:
                yield pid, name

    def _name(self, pid: int) -> str | None:
        """Return the name of a process, None when it has gone or may not be looked at."""
        try:
            if sys.platform == "linux":  # psutil would look at the command line to make a long name whole
                return _comparable((self._proc() / f"{pid}/comm").read_text(encoding="utf-8", errors="replace").strip())
            return _comparable(self._psutil.Process(pid).name())
        except (OSError, self._psutil.Error):
            return None

    def _sessions(self) -> int:
        """Count who is logged on. A Linux without utmp(5) tells it by logind's files only."""
        sessions = [file for file in _SESSIONS.glob("*") if "CLASS=user" in _word(file).splitlines()]
        return max(len(sessions), len(self._psutil.users()))

    def _proc(self) -> Path:
        return Path(getattr(self._psutil, "PROCFS_PATH", "/proc"))


def _comparable(name: str) -> str:
    return name[:_COMM] if sys.platform == "linux" else name.casefold()


def _by_maker(address: str) -> bool:
    """Tell whether a MAC address was given by a maker: not local, no group, not nothing (IEEE 802, §8.2)."""
    first = int(address[:2], 16) if all(digit in "0123456789abcdef:" for digit in address) else 1
    return not first & 0b11 and address != "00:00:00:00:00:00"


def _word(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
