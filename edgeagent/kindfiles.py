"""Reads `<kind>/kind.toml`: the vocabulary of a kind and its alarm types, each word checked against the others."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from pydantic import Field

from edgeagent.catalog import ID, AlarmType, Kind, Level, Point, PointType, Relation, Severity, Text
from edgeagent.mistakes import Mistake, Path_, nearest
from edgeagent.rules import Condition, RuleError, parse
from edgeagent.tomlfile import Document, Strict, check

UNITS: Final = (
    "%", "V", "A", "W", "VA", "Hz", "Cel", "K", "min", "s", "ms", "h", "d", "L", "kPa", "bar", "r/min", "kW.h",
    "By", "1", "lx", "[ppm]", "dB", "Mbit/s",
)  # fmt: skip
"""The UCUM codes in use."""
CAUSES: Final = (
    "airConditioningFailure", "batteryChargingFailure", "batteryDischarging", "batteryFailure",
    "commercialPowerFailure", "communicationsSubsystemFailure", "configurationOrCustomizationError",
    "coolingFanFailure", "coolingSystemFailure", "cpuCyclesLimitExceeded", "diskFailure", "enclosureDoorOpen",
    "engineFailure", "equipmentMalfunction", "excessiveVibration", "fireDetected", "floodDetected", "fuseFailure",
    "generatorFailure", "heatingVentCoolingSystemProblem", "humidityUnacceptable", "inputDeviceError",
    "intrusionDetected", "lanError", "leakDetected", "lossOfSignal", "lowBatteryThreshold", "lowFuel",
    "materialSupplyExhausted", "outOfMemory", "outputDeviceError", "performanceDegraded", "powerProblem",
    "powerSupplyFailure", "pressureUnacceptable", "pumpFailure", "queueSizeExceeded", "rectifierFailure",
    "rectifierHighVoltage", "rectifierLowFVoltage", "resourceAtOrNearingCapacity", "smoke", "softwareError",
    "softwareProgramAbnormallyTerminated", "storageCapacityProblem", "temperatureUnacceptable",
    "thresholdCrossed", "timingProblem", "underlyingResourceUnavailable", "ventilationsSystemFailure",
    "versionMismatch",
)  # fmt: skip
"""Probable causes: ITU-T X.733 §8.1.2.1, M.3100 and ISO/IEC 10164-4."""
_PLACEHOLDERS: Final = ("name", "value", "unit", "limit", "qualifier")


class TextEntry(Strict):
    """A text as the files spell it."""

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)


class _Point(Strict):
    type: PointType
    text: TextEntry
    unit: str | None = None
    range: tuple[float, float] | None = None
    values: tuple[str, ...] = ()
    aggregate: Literal["min", "max", "sum"] | None = None
    phases: bool = False
    deadband: float = Field(default=0.0, ge=0)
    doubt: str | None = None
    many: bool = False
    sample: bool | float | str | None = None


class _Level(Strict):
    severity: Severity
    when: str | None = None
    limit: float | None = None
    on_delay: float | None = Field(default=None, ge=0)


class _Alarm(Strict):
    text: TextEntry
    advice: TextEntry
    event_type: Literal["communications", "quality-of-service", "processing", "equipment", "environmental"]
    probable_cause: str
    when: str | None = None
    severity: Severity | None = None
    limit: float | None = None
    levels: tuple[_Level, ...] = ()
    on_delay: float = Field(default=0.0, ge=0)
    off_delay: float = Field(default=0.0, ge=0)
    deadband: float = Field(default=0.0, ge=0)
    clear: str | None = None
    latch: bool = False
    ack_needed: bool = True
    each: str | None = None
    shows: str = ""
    explains: frozenset[Relation] = frozenset()
    explained_by: frozenset[Relation] = frozenset()


class _KindFile(Strict):
    kind: str = Field(pattern=ID)
    text: TextEntry
    interval: float = Field(default=10.0, gt=0)
    power: bool = False
    conditions: frozenset[str] = frozenset()
    points: dict[str, _Point] = Field(default_factory=dict)
    alarms: dict[str, _Alarm] = Field(default_factory=dict)


class DeviceFile(Strict):
    """What device.toml may hold."""

    points: dict[str, _Point] = Field(default_factory=dict)
    alarms: dict[str, _Alarm] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Laid(Document):
    """A kind's file laid over device.toml: a mistake is told where its key stands."""

    below: Document

    def mistake(self, path: Sequence[str | int], text: str) -> Mistake:
        """Say what is wrong at a key."""
        if self.below.depth(path) > self.depth(path):
            return self.below.mistake(path, text)
        return Document.mistake(self, path, text)


def compile_kind(document: Document, device: Document, mistakes: list[Mistake]) -> Kind | None:
    """Read a kind from its file and from what every device has; None, and `mistakes` grow, when it cannot be."""
    document = _Laid(document.file, document.data, document.source, device)
    data = dict(document.data)
    for table in ("points", "alarms"):
        own = data.get(table, {})
        shared = device.data.get(table, {})
        if isinstance(own, dict):
            data[table] = {
                id: {**shared.get(id, {}), **entry} if isinstance(entry, dict) else entry
                for id, entry in {**shared, **own}.items()
            }
    found, wrong = check(document, _KindFile, data)
    mistakes += wrong
    if not isinstance(found, _KindFile):
        return None
    reader = _KindReader(document, found)
    kind = reader.kind()
    mistakes += reader.mistakes
    return kind


class _KindReader:
    """Compiles one kind file and checks its words against each other."""

    def __init__(self, document: Document, file: _KindFile) -> None:
        self._document, self._file = document, file
        self.mistakes: list[Mistake] = []

    def kind(self) -> Kind:
        file = self._file
        points = {id: self._point(id, point) for id, point in file.points.items()}
        # Conditions are checked against a kind without alarms first: they may name any of its points.
        self._bare = Kind(file.kind, text_of(file.text), points, {}, file.conditions)
        for id, point in file.points.items():
            if point.doubt is not None:
                doubt = self._condition(("points", id, "doubt"), point.doubt, None)
                points[id] = replace(points[id], doubt=doubt)
        alarms = {id: self._alarm(id, alarm) for id, alarm in file.alarms.items()}
        return Kind(file.kind, text_of(file.text), points, alarms, file.conditions, file.interval, file.power)

    def _say(self, path: Path_, text: str) -> None:
        self.mistakes.append(self._document.mistake(path, text))

    def _point(self, id: str, point: _Point) -> Point:
        path = ("points", id)
        if not re.fullmatch(ID, id):
            self._say(path, "a point id is lower-case words joined by dots and hyphens")
        if point.type is PointType.NUMBER and point.unit is None:
            self._say(path, "a number needs its UCUM unit")
        if point.unit is not None and point.unit not in UNITS:
            self._say((*path, "unit"), f'unknown UCUM unit "{point.unit}"{nearest(point.unit, UNITS)}')
        if point.type is PointType.ENUM and not point.values:
            self._say(path, "an enum needs its values")
        if point.range is not None and point.range[0] >= point.range[1]:
            self._say((*path, "range"), "its low end is not below its high end")
        if point.type is PointType.ENUM and point.sample not in (None, *point.values):
            self._say((*path, "sample"), f'"{point.sample}" is no value{nearest(str(point.sample), point.values)}')
        return Point(
            id, point.type, text_of(point.text), point.unit, point.range, point.values, point.aggregate,
            point.phases, point.deadband, None, point.many, point.sample,
        )  # fmt: skip

    def _alarm(self, id: str, alarm: _Alarm) -> AlarmType:
        path = ("alarms", id)
        if not re.fullmatch(ID, id):
            self._say(path, "an alarm id is lower-case words joined by dots and hyphens")
        if alarm.probable_cause not in CAUSES:
            cause = alarm.probable_cause
            self._say((*path, "probable_cause"), f'unknown X.733 probable cause "{cause}"{nearest(cause, CAUSES)}')
        if alarm.levels and (alarm.severity is not None or alarm.limit is not None):
            self._say(path, "severity and limit stand in the levels where there are levels")
        if not alarm.levels and alarm.severity is None:
            self._say(path, "needs a severity or levels")
        if alarm.each is not None and self._type_of(alarm.each) is not PointType.SET:
            self._say((*path, "each"), f'"{alarm.each}" is not a set point of this kind')
        if alarm.shows and self._type_of(alarm.shows) is None:
            self._say((*path, "shows"), f'unknown point "{alarm.shows}"{nearest(alarm.shows, list(self._file.points))}')
        for name, text in (("text", alarm.text), ("advice", alarm.advice)):
            for language in ("en", "zh"):
                self._placeholders((*path, name), getattr(text, language))
        single = _Level(severity=alarm.severity or Severity.MINOR, limit=alarm.limit, on_delay=alarm.on_delay)
        levels = tuple(
            Level(
                level.severity,
                self._condition((*path, "when"), level.when or alarm.when or "", level.limit, each=alarm.each),
                level.limit,
                alarm.on_delay if level.on_delay is None else level.on_delay,
            )
            for level in alarm.levels or (single,)
        )
        if [level.severity.rank for level in levels] != sorted({level.severity.rank for level in levels}):
            self._say((*path, "levels"), "stand from the lowest severity to the highest, each once")
        clear = None if alarm.clear is None else self._condition((*path, "clear"), alarm.clear, alarm.limit)
        return AlarmType(
            id, text_of(alarm.text), text_of(alarm.advice), levels, alarm.event_type, alarm.probable_cause, clear,
            alarm.deadband, alarm.off_delay, alarm.latch, alarm.ack_needed, alarm.each, alarm.shows,
            alarm.explains, alarm.explained_by,
        )  # fmt: skip

    def _type_of(self, point: str) -> PointType | None:
        found = self._bare.point(point)
        return found.type if found else None

    def _placeholders(self, path: Path_, text: str) -> None:
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        except ValueError as error:
            self._say(path, f"{error}")
            return
        for name in names:
            if name not in _PLACEHOLDERS:
                self._say(path, f'unknown placeholder "{{{name}}}"{nearest(name, _PLACEHOLDERS)}')

    def _condition(self, path: Path_, text: str, limit: float | None, *, each: str | None = None) -> Condition:
        if not text and each is not None:
            return parse(f"absent({each})")  # never looked at: members of the set are the condition
        condition = compile_condition(
            self._document, path, text, self._bare, frozenset(self._file.alarms), self.mistakes
        )
        if condition.uses_limit and limit is None:
            self._say(path, "compares with limit but no limit is given")
        return condition


def compile_condition(
    document: Document, path: Path_, text: str, kind: Kind, alarms: Iterable[str], mistakes: list[Mistake]
) -> Condition:
    """Parse a condition and check that each of its words is in the kind's vocabulary."""
    never = parse("absent(x)")
    try:
        condition = parse(text)
    except RuleError as error:
        mistakes.append(document.mistake(path, str(error)))
        return never
    mistakes += [
        document.mistake(path, f'unknown point "{id}"{nearest(id, list(kind.points))}')
        for id in sorted(condition.points)
        if kind.point(id) is None
    ]
    for id, word in sorted(condition.words):
        point = kind.point(id)
        if point is None:
            continue
        known = sorted({*alarms, *kind.conditions}) if point.type is PointType.SET else list(point.values)
        if word not in known and not (point.type is PointType.SET and word.rpartition(".")[0] in known):
            mistakes.append(document.mistake(path, f'"{word}" is no value of {id}{nearest(word, known)}'))
    return condition


def text_of(text: TextEntry) -> Text:
    """Take a text over into the model."""
    return Text(text.en, text.zh)
