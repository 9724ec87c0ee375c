"""What becomes of the answers of one turn: readings, then alarms, then what is said of the devices.

Owns the order, so that no alarm waits for what can wait. Judges nothing and writes nothing itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from edgeagent.devices import IDENTITY, REACHABLE, DeviceState
from edgeagent.readings import Answers
from edgeagent.voice import Voice

log = logging.getLogger(__name__)

Polled: TypeAlias = Sequence[tuple[DeviceState, Answers]]
Step: TypeAlias = Callable[[Polled, list[tuple[str, str]], float], None]
"""Judges the devices that were asked and, by (device, point), what changed; hands on what follows from it."""
_TREMBLING: Final = (int, float, type(None))
"""Types of values that may wait for the rest of their turn: no alarm hangs on a number for as long as that takes."""


def take(polled: Polled, step: Step, voice: Voice, now: float) -> None:
    """Carry the answers of one turn all the way; `now` is epoch s.

    The first device that says something else than another number is judged before those behind it are decoded, and
    the rest together: where very much fails at once, that is cheaper than one by one.
    """
    begin, changed = 0, list[tuple[str, str]]()
    told: list[tuple[DeviceState, frozenset[str]]] = []
    for end, (state, answers) in enumerate(polled, 1):
        due = voice.due(state.device.id, now)
        points = state.take(answers, now, exact=due)
        if points:
            id, readings = state.device.id, state.readings
            changed += [(id, point) for point in points]
            if not begin and any(type(readings[point].value) not in _TREMBLING for point in points):
                step(polled[:end], changed, now)
                begin, changed = end, []
        if points or due:
            told.append((state, points))
    if begin < len(polled):
        step(polled[begin:], changed, now)
    for state, points in told:
        _tell(state, points, voice, now)


def _tell(state: DeviceState, points: frozenset[str], voice: Voice, now: float) -> None:
    if REACHABLE in points:
        voice.availability(state, now)
    if IDENTITY in points and state.readings[IDENTITY].value == "mismatch":
        device = state.device
        log.warning("%s at %s is no %s, it shows %s", device.id, device.endpoint, state.driver.id, state.facts)
    voice.note(state, now, points)
