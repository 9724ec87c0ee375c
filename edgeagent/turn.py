"""What becomes of the answers of one turn: readings, then alarms, then what is said of the devices.

Owns the order, so that no alarm waits for what can wait. Judges nothing and writes nothing itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from edgeagent.devices import IDENTITY, REACHABLE, DeviceState
from edgeagent.readings import Answers
from edgeagent.voice import Voice

log = logging.getLogger(__name__)

Polled: TypeAlias = Sequence[tuple[DeviceState, Answers]]
Step: TypeAlias = Callable[[Polled, list[tuple[str, str]], float], None]
"""Judges the devices that were asked and, by (device, point), what changed; hands on what follows from it."""


def take(polled: Polled, step: Step, voice: Voice, now: float) -> None:
    """Carry the answers of one turn all the way; `now` is epoch s."""
    changed: list[tuple[str, str]] = []
    told: list[tuple[DeviceState, frozenset[str]]] = []
    for state, answers in polled:
        id = state.device.id
        due = voice.due(id, now)
        points = state.take(answers, now, exact=due)
        if points:
            changed += [(id, point) for point in points]
        if points or due:
            told.append((state, points))
    step(polled, changed, now)
    for state, points in told:
        _tell(state, points, voice, now)


def _tell(state: DeviceState, points: frozenset[str], voice: Voice, now: float) -> None:
    if REACHABLE in points:
        voice.availability(state, now)
    if IDENTITY in points and state.readings[IDENTITY].value == "mismatch":
        device = state.device
        log.warning("%s at %s is no %s, it shows %s", device.id, device.endpoint, state.driver.id, state.facts)
    voice.note(state, now, points)
