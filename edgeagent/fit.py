"""Which drivers fit what a device answers, how sure that is, and which variant of its family it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from edgeagent.catalog import Driver
from edgeagent.items import Identify, Variant, shows
from edgeagent.phases import UNREAD
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.values import text_of

SYS_OBJECT_ID: Final = "1.3.6.1.2.1.1.2.0"
SYS_DESCR: Final = "1.3.6.1.2.1.1.1.0"
_STANDARD: Final = 10
"""Up to this rank a driver reads what many makers' devices have, whatever else it looks at."""
SYSTEM: Final = (SYS_OBJECT_ID, SYS_DESCR)


class Sure(StrEnum):
    """How sure it is that a driver fits."""

    CERTAIN = "certain"
    """The device names itself, and has what only such a device has."""
    LIKELY = "likely"
    """It names itself, or has the objects of a standard."""
    GUESS = "guess"
    """It only has the shape of one."""
    MISMATCH = "mismatch"
    """It was named by a person, and the device says that it is something else."""


def fits(driver: Driver, answers: Answers) -> bool | None:
    """Tell whether the answers show a device of this driver; None when they do not tell."""
    verdicts = [_holds(way, answers) for way in driver.identify]
    return True if True in verdicts else None if None in verdicts or not verdicts else False


def best(drivers: list[Driver], answers: Answers) -> list[tuple[Driver, Sure]]:
    """Return the drivers that fit, the best first."""
    found = []
    for driver in drivers:
        ways = [way for way in driver.identify if _holds(way, answers)]
        if ways:
            way = max(ways, key=lambda way: (way.rank, _witnesses(way)))
            found.append((way.rank, _witnesses(way), driver, _sure(way, driver)))
    found.sort(key=lambda one: one[:2], reverse=True)
    return [(driver, sure) for _, _, driver, sure in found]


def suited(driver: Driver, answers: Answers) -> Driver:
    """Return the driver as this card or firmware needs it; what shows in the numbers of each poll stays open."""
    if not driver.variants:
        return driver
    return driver.carded(tuple(place for place, variant in enumerate(driver.variants) if all(_card(variant, answers))))


def _card(variant: Variant, answers: Answers) -> Iterator[bool | None]:
    if variant.sys_object_ids:
        yield _below(answers.get(SYS_OBJECT_ID), variant.sys_object_ids)
    yield from _texts(variant.texts, answers)


def _holds(way: Identify, answers: Answers) -> bool | None:
    """Tell whether all that this way asks for holds; None when what could be read does not tell."""
    verdicts = set(_checks(way, answers))
    return False if False in verdicts else None if None in verdicts or not verdicts else True


def _checks(way: Identify, answers: Answers) -> Iterator[bool | None]:
    if way.sys_object_ids:
        yield _below(answers.get(SYS_OBJECT_ID), way.sys_object_ids)
    if way.sys_descr is not None:
        yield _matches(answers.get(SYS_DESCR), way.sys_descr)
    if way.requires:
        asked = [answers.get(address, Missing.TIMEOUT) for address in way.requires]
        there = any(not isinstance(raw, Missing) and raw != b"" for raw in asked)
        yield True if there else None if any(raw in UNREAD for raw in asked) else False
    for address, wanted in way.equals.items():
        raw = answers.get(address, Missing.TIMEOUT)
        yield None if raw in UNREAD else raw in wanted
    yield from _texts(way.texts, answers)
    for address, ranges in way.between.items():
        raw = answers.get(address, Missing.TIMEOUT)
        yield None if raw in UNREAD else shows({address: ranges}, answers)
    for verdict in _texts(way.unless, answers):
        yield None if verdict is None else not verdict
    for address in way.absent:
        raw = answers.get(address, Missing.TIMEOUT)
        yield raw in (Missing.ABSENT, Missing.NULL, Missing.ERROR) or (None if raw in UNREAD else False)


def _below(raw: Raw | None, prefixes: tuple[str, ...]) -> bool | None:
    if not isinstance(raw, str) or isinstance(raw, Missing):
        return None if raw in UNREAD else False
    return any(raw == prefix or raw.startswith(prefix + ".") for prefix in prefixes)


def _matches(raw: Raw | None, pattern: str) -> bool | None:
    if not isinstance(raw, bytes):
        return None if raw in UNREAD else False
    return re.search(pattern, text_of(raw)) is not None


def _texts(texts: Mapping[tuple[str, ...], str], answers: Answers) -> Iterator[bool | None]:
    for addresses, pattern in texts.items():
        parts = [answers.get(address, Missing.TIMEOUT) for address in addresses]
        missing = sorted((part for part in parts if isinstance(part, Missing)), key=lambda part: part not in UNREAD)
        gone = missing[0] if missing else None
        if gone is not None or len(parts) == 1:
            yield _matches(gone if gone is not None else parts[0], pattern)
            continue
        words = [part & 0xFFFF for part in parts if isinstance(part, int)]
        yield _matches(b"".join(word.to_bytes(2, "big").lstrip(b"\0") for word in words), pattern)


def _witnesses(way: Identify) -> int:
    strong = bool(way.sys_object_ids) + bool(way.sys_descr) + len(way.texts) + len(way.equals)
    return strong + bool(way.requires) + bool(way.between)


def _sure(way: Identify, driver: Driver) -> Sure:
    if way.strong and way.rank > _STANDARD:
        return Sure.CERTAIN if _witnesses(way) > 1 else Sure.LIKELY
    return Sure.LIKELY if driver.protocol != "modbus" and way.requires else Sure.GUESS
