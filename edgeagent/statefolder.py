"""The folder in which the agent keeps its memory: one agent at a time, and what to do when the disk refuses it."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgeagent.store import Store, StoreError

log = logging.getLogger(__name__)

DATABASE: Final = "edgeagent.db"
"""The store's file in the state folder."""


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
