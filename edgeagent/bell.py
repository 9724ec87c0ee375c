"""A bell between two threads: one rings, the other waits. Quicker than a condition, which is made of several locks.

Owns nothing but its lock. One thread alone may ring, another alone may wait.
"""

from __future__ import annotations

import threading


class Bell:
    """Wakes one thread for another's sake; each rings or waits, and a ring that nobody waits for is kept."""

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        """Wake who waits, or who will."""
        if self._silent.locked():
            self._silent.release()

    def wait(self, seconds: float) -> None:
        """Wait for a ring."""
        self._silent.acquire(timeout=seconds)
