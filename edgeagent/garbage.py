"""When Python looks for garbage: never through all that there is while thousands of devices wait.

Owns the collector's settings for the life of the process.
"""

from __future__ import annotations

import gc
from itertools import count
from typing import Final

_NEVER: Final = 1_000_000
_MUCH: Final = 20_000
"""What comes to be and stays within a minute at most, as a rule; what is more is looked through at once, and once."""
_WHOLE: Final = 60
"""Sweeps after which one looks through everything again: rings of what has long been there are few."""
_SWEEPS: Final = count(1)


def settle() -> None:
    """Keep for good what is there by now, and look through what comes later only in `sweep`.

    Readings come and go by the hundred thousand: by itself Python would look through all of them every few seconds.
    It would do so when much comes to be, and that is when an alarm does: it would be told some ms later.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MUCH, _NEVER, _NEVER)


def sweep() -> None:
    """Look through what came since the last time, and keep what is left; once a minute is often enough."""
    if next(_SWEEPS) % _WHOLE == 0:
        gc.unfreeze()
    gc.collect()
    gc.freeze()
