"""What one alarm is: the rule it can come from, its record, and the change that is told about it.

Owns the value types of the alarm list and the texts in them. Field names are those of RFC 8632 in snake case,
event types and probable causes those of X.733. What happens to an alarm over time is in `lifecycle.py`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from edgeagent.catalog import AlarmType, Severity, Text
from edgeagent.readings import Quality, Value

LONGEST: Final = 160
"""Characters of a short text: one SMS."""
_UNITS: Final[Mapping[str, str]] = MappingProxyType({})
_NAMES: Final[Mapping[str, Text]] = MappingProxyType({})
_SHOWN: Final = {"Cel": "°C", "1": "", "[ppm]": "ppm", "By": "B", "kW.h": "kWh"}
"""How people write UCUM codes that are not written as they are spelled."""
_SHOWN_ZH: Final = {**_SHOWN, "s": "秒", "min": "分钟", "h": "小时", "d": "天"}
_NAMED: Final = 8
"""Members of a set that are told by name; more are counted."""
WORDS: Final = {"en": ("yes", "no", ", "), "zh": ("是", "否", "、")}
"""How values are written in each language: yes, no, and what stands between names."""
_LONG: Final = 120.0
"""Seconds from which on people are told minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One alarm that can exist: the key triple of RFC 8632 §3.2 and what its texts need.

    `resource` is the device whose readings the conditions look at; `qualifier` tells apart several alarms of
    one type on it. `group` is where alarms are first or follow (first-out), the resource if empty. `known` are
    the set members that an `each` type leaves alone; `units` gives the UCUM unit of a point, `names` what people call
    the ids that a value may hold.
    """

    resource: str
    name: Text
    type: AlarmType
    qualifier: str = ""
    group: str = ""
    known: frozenset[str] = frozenset()
    units: Mapping[str, str] = field(default_factory=lambda: _UNITS)
    names: Mapping[str, Text] = field(default_factory=lambda: _NAMES)

    @property
    def id(self) -> str:
        """Spell the alarm's identity so that it can be a topic level: `<resource>.<type>[.<qualifier>]`."""
        stem = f"{self.resource}.{self.type.id}"
        return f"{stem}.{spelled(self.qualifier)}" if self.qualifier else stem

    @property
    def ending(self) -> str:
        """Spell what follows the resource in the id."""
        return self.id[len(self.resource) :]

    @property
    def place(self) -> str:
        """Where the alarm is first or follows."""
        return self.group or self.resource

    @property
    def points(self) -> frozenset[str]:
        """All points whose change can matter to this alarm."""
        type = self.type
        if type.each:
            return frozenset({type.each})
        points = frozenset().union(*(level.when.points for level in type.levels))
        return points | type.clear.points if type.clear else points

    def on(self, resource: str, name: Text) -> Rule:
        """Return the same rule for a resource; one that has a resource stays as it is."""
        return self if self.resource else replace(self, resource=resource, name=name)

    def member(self, name: str) -> Rule:
        """Return the rule of one member of the set that an `each` type names."""
        return replace(self, qualifier=f"{self.qualifier}.{name}" if self.qualifier else name)

    def own(self, member: str) -> bool:
        """Tell whether a set member is this `each` type's to raise: neither known nor a grade of something known."""
        parts = member.split(".")
        return not any(".".join(parts[:count]) in self.known for count in range(1, len(parts) + 1))


@dataclass(frozen=True, slots=True, eq=False)
class Ruled:
    """A resource and its alarms. `forms` are rules without a resource: all that are alike share one tuple of them."""

    resource: str
    name: Text
    forms: tuple[Rule, ...]

    def rules(self) -> Iterator[Rule]:
        """Yield the rules of the resource, made anew."""
        return (form.on(self.resource, self.name) for form in self.forms)


def spelled(qualifier: str) -> str:
    """Make a qualifier topic-safe; one that loses letters gets a checksum so that it stays its own."""
    safe = re.sub(r"[^a-z0-9.-]+", "-", qualifier.lower()).strip("-.")
    if qualifier.isascii() and safe:
        return safe
    return f"{safe}-{zlib.crc32(qualifier.encode()):08x}".lstrip("-")


class OperatorState(StrEnum):
    """What the operator did (RFC 8632 §4.4); shelving is a suppression here."""

    NONE = "none"
    ACK = "ack"
    CLOSED = "closed"


class Silence(StrEnum):
    """Why an alarm is kept from people (ISA-18.2)."""

    NONE = "none"
    SHELVED = "shelved"
    BY_DESIGN = "by_design"
    OUT_OF_SERVICE = "out_of_service"


class AlarmState(StrEnum):
    """The state that people see. It is derived from the four facts and never stored."""

    UNACK = "unack"
    ACKED = "acked"
    RTN_UNACK = "rtn-unack"
    LATCHED_UNACK = "latched-unack"
    LATCHED_ACKED = "latched-acked"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out-of-service"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Suppression:
    """Whether, by whom and why an alarm is kept from people. `until` is epoch s, None without an end."""

    kind: Silence = Silence.NONE
    by: str = ""
    reason: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured at the last raise or change of severity. `quality` is how the reading is by now."""

    point: str
    value: Value | None
    unit: str | None = None
    limit: float | None = None
    quality: Quality = Quality.GOOD


@dataclass(frozen=True, slots=True)
class Alarm:
    """One record of the alarm list (RFC 8632 §4.2). Times are epoch s.

    `onset` is the first moment the condition was true, `raised` when its on-delay was over, `announced` when
    the feed got it out. `raise_count` numbers the raise that an acknowledgement is for; 0 means that the alarm
    was never raised and is listed because it is suppressed. `origin` is the id of the drill it came from.
    """

    alarm_id: str
    resource: str
    alarm_type_id: str
    alarm_type_qualifier: str
    event_type: str
    probable_cause: str
    perceived_severity: Severity
    alarm_text: Text
    short_text: Text
    recommended_action: Text
    time_created: float
    last_changed: float
    is_cleared: bool = True
    onset: float | None = None
    raised: float | None = None
    announced: float | None = None
    last_cleared: float | None = None
    raise_count: int = 0
    re_alarm_count: int = 0
    operator_state: OperatorState = OperatorState.CLOSED
    operator: str = ""
    operator_text: str = ""
    operator_time: float | None = None
    latched: bool = False
    suppression: Suppression = Suppression()
    first_out: bool = False
    oscillating: bool = False
    root_cause_resource: tuple[str, ...] = ()
    impacted_resource: tuple[str, ...] = ()
    related_alarm: tuple[str, ...] = ()
    value: Measured | None = None
    origin: str | None = None

    @property
    def state(self) -> AlarmState:
        """Derive what people see from the four facts."""
        if self.suppression.kind is not Silence.NONE:
            return _SUPPRESSED[self.suppression.kind]
        acked = self.operator_state is not OperatorState.NONE
        if not self.is_cleared:
            return AlarmState.ACKED if acked else AlarmState.UNACK
        if self.latched:
            return AlarmState.LATCHED_ACKED if acked else AlarmState.LATCHED_UNACK
        return AlarmState.CLOSED if acked else AlarmState.RTN_UNACK


_SUPPRESSED: Final = {
    Silence.SHELVED: AlarmState.SHELVED,
    Silence.BY_DESIGN: AlarmState.SUPPRESSED,
    Silence.OUT_OF_SERVICE: AlarmState.OUT_OF_SERVICE,
}


class Verb(StrEnum):
    """What a change did. Each changes one fact."""

    RAISED = "raised"
    CLEARED = "cleared"
    SEVERITY_CHANGED = "severity-changed"
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    RE_ALARMED = "re-alarmed"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SUPPRESSED = "suppressed"
    UNSUPPRESSED = "unsuppressed"
    OUT_OF_SERVICE = "out-of-service"
    IN_SERVICE = "in-service"
    REMINDED = "reminded"
    RESET = "reset"
    CLOSED = "closed"
    OSCILLATING = "oscillating"
    STEADIED = "steadied"
    RELATED = "related"
    FLOOD_BEGIN = "flood-begin"
    FLOOD_END = "flood-end"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to one alarm: the record after and before it, when, by whom and why."""

    verb: Verb
    alarm: Alarm
    before: Alarm | None
    at: float
    by: str = "system"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the whole list behaves (ISA-18.2, EEMUA 191). Times are s.

    `shelf_max` bounds a shelf; `settle` follows the end of a suppression by design; `linger` is how long a
    closed record stays listed. An acknowledgement lapses after `ack_lapse` while the alarm still stands, never
    if None. `remind` repeats that something is out of service.
    """

    chatter_count: int = 3
    chatter_window: float = 60.0
    chatter_quiet: float = 600.0
    flood_begin: int = 10
    flood_end: int = 5
    flood_window: float = 600.0
    first_out_window: float = 5.0
    shelf_max: float = 8 * 3600.0
    settle: float = 5.0
    linger: float = 600.0
    ack_lapse: float | None = None
    remind: float = 8 * 3600.0


class Refused(Exception):
    """An operator's command that cannot be done. `code` is for programs, `text` for people."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.text = _REFUSALS[code]
        super().__init__(f"{code}: {self.text.en}")


_REFUSALS: Final = {
    "unknown-alarm": Text("there is no such alarm", "没有这个告警"),
    "stale-raise-count": Text("the alarm was raised again since; look again", "告警已再次触发，请重新查看"),
    "not-cleared": Text("the alarm still stands; only a cleared one can be reset", "告警仍在，恢复后才能复位"),
    "already-closed": Text("the alarm is closed already", "告警已关闭"),
    "already-suppressed": Text("the alarm is already suppressed in another way", "告警已被其他方式抑制"),
    "reason-missing": Text("a reason is needed", "必须填写原因"),
    "operator-missing": Text("a name is needed", "必须填写操作人"),
    "too-long": Text("that is longer than a shelf may last", "超过允许的最长搁置时间"),
    "end-in-past": Text("the end must lie ahead", "结束时间必须晚于现在"),
}


def texts(rule: Rule, measured: Measured | None) -> tuple[Text, Text, Text]:
    """Fill alarm text, short text and recommended action of a rule with what was measured."""
    shown = _in_minutes(measured)
    unit = shown.unit or "" if shown else ""
    limit = number(shown.limit) if shown and shown.limit is not None else ""

    def fill(template: str, code: str, units: Mapping[str, str], words: tuple[str, str, str]) -> str:
        if "{" not in template:
            return _plain(template)
        value = "" if shown is None else spoken(shown.value, words, lambda id: _called(rule, id, code))
        name: str = getattr(rule.name, code)
        filled = template.format(
            name=name, value=value, unit=units.get(unit, unit), limit=limit, qualifier=rule.qualifier
        )
        return " ".join(filled.split())

    def both(text: Text) -> Text:
        return Text(fill(text.en, "en", _SHOWN, WORDS["en"]), fill(text.zh, "zh", _SHOWN_ZH, WORDS["zh"]))

    text = both(rule.type.text)
    return text, Text(_short(text.en), _short(text.zh)), both(rule.type.advice)


@lru_cache(maxsize=1024)
def _plain(template: str) -> str:
    """Write a text in which nothing is to be filled in."""
    return " ".join(template.format().split())


def _in_minutes(measured: Measured | None) -> Measured | None:
    """Turn long times from seconds into minutes: nobody divides by sixty at 2 a.m."""
    if measured is None or measured.unit != "s" or isinstance(measured.value, bool):
        return measured
    value, limit = measured.value, measured.limit
    if not isinstance(value, (int, float)) or max(abs(value), abs(limit or 0.0)) < _LONG:
        return measured
    return replace(measured, value=value / 60, unit="min", limit=None if limit is None else limit / 60)


def _called(rule: Rule, id: str, code: str) -> str:
    name: str = getattr(rule.names[id], code) if id in rule.names else id
    return name


def spoken(value: Value | None, words: tuple[str, str, str], called: Callable[[str], str] = str) -> str:
    """Write a value for people; `words` say yes and no and stand between names, `called` gives the name of an id."""
    if value is None or value == frozenset():
        return "–"
    if isinstance(value, bool):
        return words[0] if value else words[1]
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, frozenset):
        names = sorted(map(called, value))
        more = f" +{len(names) - _NAMED}" if len(names) > _NAMED else ""
        return words[2].join(names[:_NAMED]) + more
    return called(value)


def number(value: float) -> str:
    """Write a number with as many digits as a person can use: 27.3, 231, 0.0512."""
    size = abs(value)
    written = f"{value:.{1 if size >= 10 else 2 if size >= 1 else 4}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
