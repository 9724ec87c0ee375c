"""Raw answers to readings. Pure: no clock, no wire, no exceptions for what a device says.

Order: each item by itself (sentinel on the raw value, then sign, bits, scale, range), alternatives (the first
with a value wins; sets are united), phantom phases dropped, phases aggregated, flags derived, doubts applied.
What cannot be read becomes quality bad with a reason on that point alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from edgeagent.alarmsets import SETS, UNLISTED
from edgeagent.catalog import Driver, Point
from edgeagent.items import Item, Variant, among, shows
from edgeagent.phases import aggregate, drop_phantoms
from edgeagent.readings import PARTIAL, UNKNOWN_ENUM, UNVERIFIED, Answers, Missing, Quality, Reading, Value
from edgeagent.values import NoValue, enum, flag, number, share, text

_CODES: Final[Mapping[str, Callable[[Item, Answers], Value]]] = {
    **SETS,
    "number": number,
    "enum": enum,
    "flag": flag,
    "share": share,
    "text": text,
}
_NONE: Final = frozenset[str]()
"""What nearly every set of alarms is, nearly always: one object for all of them, who are ten thousand."""


def decode(driver: Driver, answers: Answers, now: float, origin: str | None = None) -> dict[str, Reading]:
    """Decode one poll of a device: all points of the driver whose addresses were asked, by point id."""
    readings: dict[str, Reading] = {}
    items = driver.suited(answers)
    for item in items:
        if item.code == "when" or not _asked(item, answers):
            continue
        reading = reading_of(item, driver.kind.point(item.point), answers, now, origin)
        known = readings.get(item.point)
        readings[item.point] = reading if known is None else better(known, reading)
    if items is not driver.items:
        shown = [variant for variant in driver.variants if shows(variant.between, answers)]
        for id in {item.point for item in driver.items} - {item.point for item in items}:
            readings[id] = Reading.bad(_why(shown, id), now, origin)
    drop_phantoms(readings, now, origin)
    aggregate(driver.kind, readings)
    for item in items:
        if item.code == "when":
            reading, known = derived(item, readings, now, origin), readings.get(item.point)
            readings[item.point] = reading if known is None else better(known, reading)
    for id, point in driver.kind.points.items():
        if point.doubt is not None and id in readings and point.doubt.holds(readings):
            readings[id] = Reading.bad("implausible", now, origin)
    return readings


def omitted(driver: Driver, suited: Driver, now: float, origin: str | None = None) -> dict[str, Reading]:
    """Return the readings of the points that a driver has and its variant for one card has not."""
    return {id: Reading.bad(_why(driver.variants, id), now, origin) for id in driver.points - suited.points}


def _why(variants: Iterable[Variant], id: str) -> str:
    """Return why a variant has no such point."""
    return next((variant.reason for variant in variants if among(variant.omit, id)), "not-fitted")


def identity(driver: Driver, answers: Answers, now: float) -> dict[str, str | None]:
    """Decode vendor, model, serial and firmware; None where the device does not say."""
    found: dict[str, str | None] = {}
    for item in driver.identity:
        reading = reading_of(item, None, answers, now, None)
        found[item.point] = found.get(item.point) or (None if reading.value is None else str(reading.value))
    return found


def _asked(item: Item, answers: Answers) -> bool:
    return item.walk in answers if item.walk else any(address in answers for address in item.addresses)


def reading_of(item: Item, point: Point | None, answers: Answers, now: float, origin: str | None) -> Reading:
    """Read one item; `point` is its word of the vocabulary, None for what only tells who a device is."""
    try:
        value = _CODES[item.code](item, answers)
    except NoValue as reason:
        return Reading.bad(str(reason), now, origin)
    if isinstance(value, str) and item.code == "enum" and value.startswith("unknown-"):
        return Reading(value, now, Quality.UNCERTAIN, UNKNOWN_ENUM, origin)
    if point is not None and point.range is not None and isinstance(value, (int, float)):
        low, high = point.range
        if not low <= value <= high:
            return Reading.bad("out-of-range", now, origin)
    if value == _NONE:
        return Reading(_NONE, now, origin=origin)
    if item.unverified:
        return Reading(value, now, Quality.UNCERTAIN, UNVERIFIED, origin)
    return Reading(value, now, origin=origin)


def better(known: Reading, other: Reading) -> Reading:
    """Join two sources of one point: sets unite, otherwise the earlier value stands."""
    if isinstance(known.value, frozenset) or isinstance(other.value, frozenset):
        return _united(known, other)
    if known.value is None and (other.value is not None or known.reason == Missing.ABSENT):
        return other
    return known


def _united(*sources: Reading) -> Reading:
    """Unite the sources of a set. Where one could not be read, the alarms of the others are alarms all the same."""
    members = frozenset[str]().union(*(source.value for source in sources if isinstance(source.value, frozenset)))
    if len(members) > 1:
        members -= {UNLISTED}  # another table of the same card lists it
    reasons = {source.reason for source in sources if source.quality is not Quality.GOOD}
    reason = PARTIAL if reasons - {UNVERIFIED} else UNVERIFIED if reasons else None
    quality = Quality.UNCERTAIN if reasons else Quality.GOOD
    return Reading(members or _NONE, sources[0].time, quality, reason, sources[0].origin)


def derived(item: Item, readings: Mapping[str, Reading], now: float, origin: str | None) -> Reading:
    """Read one flag that is made of other readings."""
    assert item.when is not None  # noqa: S101 - the loader gives every derived item its condition
    holds = item.when.holds(readings)
    return Reading.bad("unknown", now, origin) if holds is None else Reading(holds, now, origin=origin)
