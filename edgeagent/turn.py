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
_Asked: TypeAlias = tuple[DeviceState, Answers, bool]
"""A device, what it said, and whether it is to be said again, exactly."""
Step: TypeAlias = Callable[[Polled, list[tuple[str, str]], float], None]
"""Judges the devices that were asked and, by (device, point), what changed; hands on what follows from it."""


def take(polled: Polled, step: Step, voice: Voice, now: float) -> None:
    """Carry the answers of one turn all the way; `now` is epoch s.

    The devices that say something else than another number are judged before the others are decoded: alarms seldom
    hang on a number for as long as that takes.
    """
    calm: list[tuple[DeviceState, Answers]] = []
    first: list[_Asked] = []
    others: list[_Asked] = []
    for state, answers in polled:
        due = voice.due(state.device.id, now)
        if not due and state.goes_on(answers, now):
            calm.append((state, answers))
        else:
            (first if _stirs(state, answers) else others).append((state, answers, due))
    told = [*_judged(first, (), step, now), *_judged(others, calm, step, now)]
    for state, points in told:
        _tell(state, points, voice, now)


def _stirs(state: DeviceState, answers: Answers) -> bool:
    """Tell whether a device says something else than another number; one that said nothing before does not."""
    last = state.answers
    if last is None or state.repeats(answers):
        return False
    driver = state.driver
    for address in driver.telling:
        if address in answers and answers[address] != last.get(address):
            return True
    return bool(driver.walks) and _walked(driver.walks, answers) != _walked(driver.walks, last)


def _walked(walks: tuple[str, ...], answers: Answers) -> Answers:
    below = tuple(f"{walk}." for walk in walks)
    return {address: raw for address, raw in answers.items() if address.startswith(below)}


def _judged(asked: Sequence[_Asked], calm: Polled, step: Step, now: float) -> list[tuple[DeviceState, frozenset[str]]]:
    """Decode and judge some devices beside those that are as they were; return what is to be said of which."""
    changed: list[tuple[str, str]] = []
    told: list[tuple[DeviceState, frozenset[str]]] = []
    for state, answers, due in asked:
        points = state.take(answers, now, exact=due)
        if points:
            changed += [(state.device.id, point) for point in points]
        if points or due:
            told.append((state, points))
    if asked or calm:
        step([*((state, answers) for state, answers, _ in asked), *calm], changed, now)
    return told


def _tell(state: DeviceState, points: frozenset[str], voice: Voice, now: float) -> None:
    if REACHABLE in points:
        voice.availability(state, now)
    if IDENTITY in points and state.readings[IDENTITY].value == "mismatch":
        device = state.device
        log.warning("%s at %s is no %s, it shows %s", device.id, device.endpoint, state.driver.id, state.facts)
    voice.note(state, now, points)
