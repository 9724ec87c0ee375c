"""What processes cost, as the kernel counts it: CPU of all their threads, and memory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class Process:
    """One process or several that do a job together."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids

    def cpu(self) -> float:
        """Return the s of CPU used so far, user and system."""
        return sum(_scheduled(pid) for pid in self._pids)

    def memory(self) -> Memory:
        """Return what it takes now and what it took at most, in MB of 10^6 bytes."""
        rows = [dict(_fields(pid)) for pid in self._pids]
        resident, peak = (sum(row.get(name, 0) for row in rows) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
        return Memory(resident, peak)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in MB: now, and at most."""

    now: float
    peak: float


def _scheduled(pid: int) -> float:
    """Sum the ns of all threads: ten thousand times finer than the ticks of /proc/<pid>/stat."""
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def _fields(pid: int) -> list[tuple[str, int]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [(name, int(rest.split()[0])) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest]
