"""What other clients write on the agent's own topics, be it a forged "all is well". Pure: no clock, no I/O.

The feed subscribes to its own topics with No Local (MQTT 5 §3.8.3.1): what comes there was written by somebody else. A
broker that does not know this option hands our own birth back, and then nothing is to be learnt from it. Owns what
counts as foreign and how often a topic is set right; publishes nothing itself. Times are s.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

from edgeagent.messages import Mode, Tree

log = logging.getLogger(__name__)

QUIET: Final = 600.0
"""s without a foreign message after which the trouble is over."""
_ECHO: Final = 5.0
"""s within which the birth comes back from a broker without No Local."""
_PAUSE: Final = 1.0
"""s at least between two repairs of one topic: two writers in a loop would feed each other."""
_AT_ONCE: Final = 200
"""Repairs in that time."""
_MOST: Final = 10_000
"""Topics that may wait for their repair."""
_TOLD: Final = 60.0
"""s between two lines of the log."""
_LEVELS: Final = (
    "alarms", "alarm/+", "device/+/+", "inventory/#", "event/+/+", "procedure/+", "record/+", "forecast", "exercise",
    "res/+",
)  # fmt: skip
_PASSING: Final = frozenset({"event", "res"})
"""What is not retained: nothing stands there that could be set right."""


class Foreign:
    """The watch over one agent's topics. `repair(topic)` has what we say there said again, or taken away."""

    def __init__(self, tree: Tree, will: bytes, repair: Callable[[str], None]) -> None:
        self._status, self._will, self._repair = tree.own("status"), will, repair
        self._lanes = {f"{tree.root}/v1/{tree.site}/{mode}/" for mode in Mode}
        own = tree.own("status").removesuffix("status")
        self.filters = (f"{own}+", *(f"{lane}{levels}" for lane in sorted(self._lanes) for levels in _LEVELS))
        self._birth, self._since, self.deaf = b"", -math.inf, False
        self._heard, self._told, self._count = -math.inf, -math.inf, 0
        self._repaired: dict[str, float] = {}
        self._due: dict[str, None] = {}

    def begin(self, birth: bytes, now: float) -> None:
        """Hear that a connection begins, and with which message."""
        self._birth, self._since, self.deaf = birth, now, False
        self._due.clear()

    def take(self, topic: str, body: bytes, said: Sequence[bytes], now: float) -> None:
        """Judge a message on a topic of ours; `said` are the bodies that we ourselves say there."""
        if topic == self._status and body == self._birth and now - self._since <= _ECHO and not self.deaf:
            self.deaf = True
            log.warning("the broker knows no No Local: that others write on our topics cannot be seen")
        if self.deaf or body in said or body == self._birth:
            return
        if topic == self._status and body == self._will:  # of a connection before this one
            self._repair(topic)
            return
        self._heard = now
        self._count += 1
        if now - self._told >= _TOLD:
            log.warning("another client writes on our topics, now %s; %d messages by now", topic, self._count)
            self._told = now
        if self._passing(topic):
            return
        if len(self._repaired) < _AT_ONCE and now - self._repaired.get(topic, -math.inf) >= _PAUSE:
            self._repaired[topic] = now
            self._repair(topic)
        elif len(self._due) < _MOST:
            self._due[topic] = None

    def step(self, now: float) -> None:
        """Set right, once a second, what had to wait."""
        self._repaired = {topic: at for topic, at in self._repaired.items() if now - at < _PAUSE}
        for topic in list(self._due)[:_AT_ONCE]:
            if topic not in self._repaired:
                del self._due[topic]
                self._repaired[topic] = now
                self._repair(topic)

    def heard(self, now: float) -> bool:
        """Tell whether somebody wrote of late."""
        return now - self._heard < QUIET

    def _passing(self, topic: str) -> bool:
        lane = next((lane for lane in self._lanes if topic.startswith(lane)), "")
        return topic.removeprefix(lane).partition("/")[0] in _PASSING
