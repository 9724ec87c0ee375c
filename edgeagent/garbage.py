"""When Python looks for garbage: never through all that there is while thousands of devices wait.

Owns the collector's settings for the life of the process.
"""

from __future__ import annotations

import gc
from typing import Final

_NEVER: Final = 1_000_000


def settle() -> None:
    """Keep for good what is there by now, and look through what comes later only in `sweep`.

    Readings come and go by the hundred thousand: by itself Python would look through all of them every few seconds.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)


def sweep() -> None:
    """Look through all that came since; once a minute is often enough."""
    gc.collect()
