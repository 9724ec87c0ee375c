"""The typical fault of each kind, said as far as a driver has words for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from edgeagent.catalog import Driver
from edgeagent.decode import decode
from edgeagent.encode import EncodeError, encode
from edgeagent.probe import Found
from edgeagent.readings import Answers, Missing, Raw, Value

_FAULTS: Final[Mapping[str, tuple[tuple[str, Value], ...]]] = {
    "ups": (
        ("source", "battery"),
        ("battery.status", "low"),
        ("battery.charge", 18),
        ("battery.runtime", 240),
        ("battery.time", 60),
        ("input.voltage", 0),
        ("input.frequency", 0),
        ("alarms", frozenset({"on-battery", "battery-low"})),
    ),
    "generator": (
        ("state", "fault"),
        ("mains.voltage", 0),
        ("mains.frequency", 0),
        ("mains.healthy", False),
        ("alarms", frozenset({"fail-to-start"})),
    ),
    "ats": (
        ("position", "generator"),
        ("source.mains", "lost"),
        ("source.generator", "available"),
        ("mains.voltage", 0),
        ("mains.frequency", 0),
        ("generator.voltage", 230),
        ("generator.frequency", 50),
        ("feed", "b"),
        ("source.a", "lost"),
        ("a.voltage", 0),
        ("a.frequency", 0),
        ("redundant", False),
    ),
    "hvac": (("alarms", frozenset({"unit-alarm"})), ("return.temperature", 36)),
    "service": (("answer", "refused"),),
    "presence": (("echo", False),),
    "port": (("link", "down"), ("poe", "fault")),
    "phone": (("registered", False),),
    "workstation": (("softphone", False), ("memory", 97), ("disk", 99)),
    "environment": (("smoke", True), ("water", True), ("temperature", 45)),
}


_LAST: Final[tuple[tuple[str, Value], ...]] = (
    ("mode", "off"),
    ("mode", "manual"),
    ("fuel", 10),
    ("humidity", 95),
    ("position", "off"),
)
_GRADES: Final = ("", ".shutdown", ".trip", ".warning")


def faulty(driver: Driver, answers: Answers) -> dict[str, Raw]:
    """Return the answers to change so that a healthy device shows the typical fault of its kind.

    Where that raises no alarm the first other fault does that the driver can say; what is not there any more is
    `Missing.ABSENT`.
    """
    changes: dict[str, Raw] = {}
    for id, value in _typical(driver):
        changes |= _said(driver, id, value, {**answers, **changes})
    if not _alarms(driver, {**answers, **changes}):
        for id, value in _others(driver):
            more = _said(driver, id, value, {**answers, **changes})
            if more and _alarms(driver, {**answers, **changes, **more}):
                return changes | more
    return changes


def _typical(driver: Driver) -> Iterator[tuple[str, Value]]:
    for id, value in _FAULTS.get(driver.kind.id, ()):
        named = sorted(point for point in driver.points if point.startswith(id + ".") and driver.kind.points[id].many)
        yield from ((point, value) for point in ([id] if id in driver.points else named[:1]))


def _others(driver: Driver) -> Iterator[tuple[str, Value]]:
    if "alarms" in driver.points:
        yield from (("alarms", frozenset({alarm})) for alarm in driver.kind.alarms)
    yield from _LAST
    yield from ((id, True) for id in sorted(driver.points))


def _said(driver: Driver, id: str, value: Value, answers: Answers) -> dict[str, Raw]:
    """Return what to change for a point, nothing where the driver cannot say it; of a set what it can say."""
    if isinstance(value, frozenset):
        value = _graded(driver, id, value, answers)
    try:
        return encode(driver, {id: value}, answers) if value != frozenset() else {}
    except EncodeError:
        return {}


def _graded(driver: Driver, id: str, members: frozenset[str], answers: Answers) -> frozenset[str]:
    """Return those of the alarms that the driver can say, each with the highest grade that it knows."""
    said: frozenset[str] = frozenset()
    for member in sorted(members):
        for grade in _GRADES:
            try:
                encode(driver, {id: said | {member + grade}}, answers)
            except EncodeError:
                continue
            said |= {member + grade}
            break
    return said


def _alarms(driver: Driver, answers: Answers) -> list[str]:
    known = {address: answers.get(address, Missing.ABSENT) for address in driver.gets}
    return Found(driver, {}, decode(driver, {**answers, **known}, 0.0)).alarms
