"""The folder in which the agent keeps its memory: one agent at a time, and what to do when the disk refuses it."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgeagent.readings import Value
from edgeagent.store import Store, StoreError

log = logging.getLogger(__name__)

DATABASE: Final = "edgeagent.db"
"""The store's file in the state folder."""
RESERVE: Final = 400_000_000
"""Bytes that the store may grow by until its own bounds hold it, write-ahead log and all."""


class Occupied(Exception):
    """Another agent works in this folder."""


class StateFolder:
    """The open store, and the lock that keeps a second agent out until `close`.

    A disk that is full, read-only or broken does not stop the watching: the store then lies in the runtime
    folder, which a reboot empties, and `makeshift` tells why.

    Raises:
        Occupied: when another agent works in the folder.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self.makeshift: str | None = None
        self._lock: int | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(folder / "lock")
            self.database = folder / DATABASE
            self.store = Store(self.database, clock=clock)
        except (OSError, StoreError) as error:
            self.makeshift = str(error)
            spare = Path(tempfile.mkdtemp(prefix="edgeagent-", dir=os.environ.get("RUNTIME_DIRECTORY")))
            log.critical("%s cannot be used: %s; what happens now is kept in %s only", folder, error, spare)
            self.database = spare / DATABASE
            self.store = Store(self.database, clock=clock)

    def readings(self, now: float) -> dict[str, Value]:
        """Return what the agent reads of its own memory. `outbox.fill` is the worst of rows, bytes and age."""
        depth, limits = self.store.depth(), self.store.limits
        age = 0.0 if depth.oldest is None else (now - depth.oldest) / limits.event_age
        used = max(depth.events / limits.events, depth.event_bytes / limits.event_bytes, age)
        return {
            "outbox.fill": round(100 * min(1.0, used)),
            "quarantine": depth.quarantined,
            "store": "ok" if self.store.trouble is None and self.makeshift is None else "failing",
            "store.fill": self._fill(),
        }

    def _fill(self) -> int:
        """Tell how much of the reserve is no longer free on the disk, in %."""
        try:
            disk = os.statvfs(self.database.parent)
        except OSError:
            return 100
        return round(100 * (1 - min(1.0, disk.f_bavail * disk.f_frsize / RESERVE)))

    def close(self) -> None:
        """Write what waits, close the store, let the next agent in."""
        self.store.close()
        if self._lock is not None:
            os.close(self._lock)


def _locked(path: Path) -> int:
    """Take the lock; the kernel gives it back when the process ends, however it ends."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Occupied(f"another agent works in {path.parent}; stop it first") from None
    return lock
