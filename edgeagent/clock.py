"""The agent's clock: seconds since the epoch that never jump while nobody looks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

TIMESYNC: Final = Path("/run/systemd/timesync")

STEP: Final = 2.0
"""A difference beyond this many seconds is a step of the system's clock, not drift."""


class Clock:
    """Wall time carried by the monotonic clock. A step of the system's clock is taken over only in `step`."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the time, s since the epoch."""
        return time.monotonic() + self._offset

    def step(self) -> float:
        """Follow the system's clock; return by how many seconds it was stepped, 0.0 if it only drifted."""
        delta = time.time() - self.now()
        self._offset += delta
        return delta if abs(delta) > STEP else 0.0


def synced(timesync: Path = TIMESYNC) -> bool | None:
    """Tell what systemd-timesyncd says; another time service leaves no such mark, which is None."""
    return (timesync / "synchronized").exists() if timesync.is_dir() else None
