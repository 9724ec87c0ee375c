"""What a condition asks, as functions made once: the tree of `rules.py` says which. Pure.

Owns how fast a condition is judged. What it means is what its tree says; the tree is the oracle of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from edgeagent.readings import PARTIAL, UNKNOWN_ENUM, Reading

Truth: TypeAlias = bool | str | None
"""True, False, None (unknown) or "absent"."""
Check: TypeAlias = Callable[[Mapping[str, Reading], float | None, float], Truth]
"""Judge readings, with what stands for the word "limit" and the slack."""
Gap: TypeAlias = Callable[[Reading | None], Truth]


def constant(point: str, right: float | str | bool, *, equal: bool, gap: Gap) -> Check:
    """Ask whether a point is, or is not, a word or number."""

    def check(readings: Mapping[str, Reading], _limit: float | None, _slack: float) -> Truth:
        reading = readings.get(point)
        if reading is None or reading.value is None or reading.reason == UNKNOWN_ENUM:
            return gap(reading)
        return (reading.value == right) is equal

    return check


def order(point: str, op: Callable[[float, float], bool], right: float | None, sign: int, gap: Gap) -> Check:
    """Ask whether a point is on one side of a number, None: of the limit; `sign` says which way slack moves it."""

    def check(readings: Mapping[str, Reading], limit: float | None, slack: float) -> Truth:
        reading = readings.get(point)
        if reading is None or reading.value is None or reading.reason == UNKNOWN_ENUM:
            return gap(reading)
        bound = limit if right is None else right
        value = reading.value
        if bound is None or not isinstance(value, (int, float)):
            return None
        return op(value, bound + sign * slack)

    return check


def within(point: str, words: tuple[float | str | bool, ...], gap: Gap) -> Check:
    """Ask whether a point is one of some words."""

    def check(readings: Mapping[str, Reading], _limit: float | None, _slack: float) -> Truth:
        reading = readings.get(point)
        if reading is None or reading.value is None or reading.reason == UNKNOWN_ENUM:
            return gap(reading)
        return reading.value in words

    return check


def flag(point: str, gap: Gap) -> Check:
    """Ask whether a flag is set."""

    def check(readings: Mapping[str, Reading], _limit: float | None, _slack: float) -> Truth:
        reading = readings.get(point)
        if reading is None or reading.value is None or reading.reason == UNKNOWN_ENUM:
            return gap(reading)
        return reading.value is True

    return check


def has(point: str, member: str, gap: Gap) -> Check:
    """Ask whether a member, of whatever grade, is in a set."""
    grade = member + "."

    def check(readings: Mapping[str, Reading], _limit: float | None, _slack: float) -> Truth:
        reading = readings.get(point)
        if reading is None or reading.value is None or reading.reason == UNKNOWN_ENUM:
            return gap(reading)
        members = reading.value
        if not isinstance(members, frozenset):
            return None
        if members and (member in members or any(other.startswith(grade) for other in members)):
            return True
        return None if reading.reason == PARTIAL else False

    return check


def both(sides: tuple[Check, ...], absent: str) -> Check:
    """Ask whether all hold."""

    def check(readings: Mapping[str, Reading], limit: float | None, slack: float) -> Truth:
        result: Truth = True
        for side in sides:
            truth = side(readings, limit, slack)
            if truth is False:
                return False
            if truth is not True and result is not absent:
                result = truth
        return result

    return check


def either(sides: tuple[Check, ...], absent: str) -> Check:
    """Ask whether one holds."""

    def check(readings: Mapping[str, Reading], limit: float | None, slack: float) -> Truth:
        result: Truth = absent
        for side in sides:
            truth = side(readings, limit, slack)
            if truth is True:
                return True
            if truth is None or (truth is False and result is absent):
                result = truth
        return result

    return check


def negation(side: Check) -> Check:
    """Ask whether one does not hold; the slack turns round."""

    def check(readings: Mapping[str, Reading], limit: float | None, slack: float) -> Truth:
        truth = side(readings, limit, -slack)
        return not truth if isinstance(truth, bool) else truth

    return check
