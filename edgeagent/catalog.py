"""What the drivers folder says: kinds with their points and alarm types, and the drivers that read them.

Owns the frozen model. `driverfiles.py` reads the TOML into it. Nothing here touches a device.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, TypeAlias

from edgeagent.readings import Answers, Raw
from edgeagent.rules import Condition


@dataclass(frozen=True, slots=True)
class Text:
    """A text that people see, in both languages."""

    en: str
    zh: str

    def format(self, **words: object) -> Text:
        """Fill the `{placeholders}` of both languages."""
        return Text(self.en.format(**words), self.zh.format(**words))


class Severity(StrEnum):
    """Perceived severity (RFC 8632 §4.2, X.733), lowest first."""

    INDETERMINATE = "indeterminate"
    WARNING = "warning"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Order of severity, 0 is the lowest."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class PointType(StrEnum):
    """What a point's value is."""

    NUMBER = "number"
    ENUM = "enum"
    FLAG = "flag"
    TEXT = "text"
    SET = "set"


@dataclass(frozen=True, slots=True)
class Point:
    """One word of a kind's vocabulary.

    `unit` is UCUM, None for what is not a number. `range` is what can be true; outside it the reading is bad.
    `aggregate` (min, max, sum) makes the plain point out of its phases .l1 .l2 .l3. `deadband` is the change
    in units below which the feed stays silent. `doubt` names readings that devices are known to make up.
    `many` allows named instances (`door.front`), each with alarms of its own. `sample` is what a healthy
    device shows, for the simulator.
    """

    id: str
    type: PointType
    text: Text
    unit: str | None = None
    range: tuple[float, float] | None = None
    values: tuple[str, ...] = ()
    aggregate: str | None = None
    phases: bool = False
    deadband: float = 0.0
    doubt: Condition | None = None
    many: bool = False
    sample: bool | float | str | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One severity of an alarm type: its condition, its numeric limit if it has one, its on-delay in s."""

    severity: Severity
    when: Condition
    limit: float | None = None
    on_delay: float = 0.0


@dataclass(frozen=True, slots=True)
class AlarmType:
    """One alarm that a kind can raise (RFC 8632 alarm inventory).

    `levels` run from the lowest severity to the highest. `deadband` is in the unit of the compared points,
    `off_delay` in s. `latch` keeps a cleared alarm until it is reset. `each` names a set point: every member
    of it that maps to no alarm type becomes an alarm of its own with the member as qualifier.
    """

    id: str
    text: Text
    advice: Text
    levels: tuple[Level, ...]
    event_type: str
    probable_cause: str
    clear: Condition | None = None
    deadband: float = 0.0
    off_delay: float = 0.0
    latch: bool = False
    ack_needed: bool = True
    each: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """What every device of a kind means. `power` marks the kinds that are polled faster while power is abnormal."""

    id: str
    text: Text
    points: Mapping[str, Point]
    alarms: Mapping[str, AlarmType]
    conditions: frozenset[str] = frozenset()
    interval: float = 10.0
    power: bool = False
    units: Mapping[str, str] = field(init=False, repr=False, compare=False)
    members: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find once what every rule of every device of the kind shares: units by point id, known alarm members."""
        units = {id: point.unit for id, point in self.points.items() if point.unit is not None}
        object.__setattr__(self, "units", units)
        object.__setattr__(self, "members", frozenset(self.alarms) | self.conditions)

    def owns(self, member: str) -> bool:
        """Tell whether a member of the alarm set, its grade aside, has an alarm type or is a mere condition."""
        return member in self.members or member.rpartition(".")[0] in self.members

    def point(self, id: str) -> Point | None:
        """Find the vocabulary entry for a point id, its phase or instance suffix aside."""
        if id in self.points:
            return self.points[id]
        stem, _, suffix = id.rpartition(".")
        point = self.points.get(stem)
        if point is None:
            return None
        return point if point.many or (point.phases and suffix in ("l1", "l2", "l3")) else None


EVIDENCE: Final = ("capture", "second-tool", "manual", "third-party")
"""What a driver rests on, the best first: a real device's record, a tool that reads such devices, the maker's
manual or MIB, one other source."""

REGISTERS: Final = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2, "u64": 4}
"""How many 16-bit registers a value of each type takes."""


@dataclass(frozen=True, slots=True)
class Item:
    """Where one point of a driver lies and how its raw answer becomes a value.

    `addresses` are all needed for the value (two registers make a u32); alternatives are items of their own.
    `walk` is an SNMP subtree that is walked instead. `code` names the decoder. `enum` maps raw numbers to
    words, flags or alarm ids; `sentinels` raw numbers to reasons, and outside `valid` there is no raw number.
    `bits` are the lowest and highest bit. `driver` is whose file it stands in: a driver may fall back on
    another one's. What is `unverified` no good source confirms.
    """

    point: str
    code: str
    addresses: tuple[str, ...] = ()
    walk: str | None = None
    type: str = "int"
    scale: float = 1.0
    offset: float = 0.0
    enum: Mapping[int | str, str | bool] = field(default_factory=dict)
    sentinels: Mapping[Raw, str] = field(default_factory=dict)
    bits: tuple[int, int] | None = None
    invert: bool = False
    word_order: str = "big"
    when: Condition | None = None
    below: str = ""
    alarm: str = ""
    equals: frozenset[int] | None = None
    names: tuple[tuple[str, ...], ...] = ()
    valid: tuple[int, int] | None = None
    unverified: bool = False
    driver: str = ""


Ranges: TypeAlias = tuple[tuple[float, float], ...]
"""Raw numbers, each from its lowest to its highest."""


@dataclass(frozen=True, slots=True)
class Identify:
    """One way in which a device shows that a driver fits it: all that is given must hold.

    `sys_object_ids` are prefixes, one of which must be there; `sys_descr` and those of `texts` are regular
    expressions; one of `requires` must answer with a value, each of `equals` and `between` hold one of its raw
    numbers, none of `absent` answer. A text over several registers has the key (address, …) of all of them.
    Among several drivers that fit, the highest `rank` wins.
    """

    rank: int = 0
    sys_object_ids: tuple[str, ...] = ()
    sys_descr: str | None = None
    requires: tuple[str, ...] = ()
    equals: Mapping[str, frozenset[int]] = field(default_factory=dict)
    texts: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    between: Mapping[str, Ranges] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that must be asked to decide, the system group of SNMP aside."""
        spread = (address for addresses in self.texts for address in addresses)
        return (*self.requires, *self.equals, *spread, *self.between, *self.absent)

    @property
    def strong(self) -> bool:
        """Tell whether the device names itself; else it only has the shape of one."""
        return bool(self.sys_object_ids or self.sys_descr or self.equals or self.texts)


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a device family wants to be asked.

    Counts are per request, times in s. `registers` and `bits` bound one Modbus read, `objects` one SNMP GET,
    `gap` is how many unwanted registers may be read to join two wanted ones. `pause_after_connect` and
    `frame_delay` give slow devices time. `groups` are address ranges that must be read whole.
    """

    objects: int = 20
    registers: int = 64
    coils: int = 512
    gap: int = 8
    pause_after_connect: float = 0.0
    frame_delay: float = 0.0
    timeout: float | None = None
    groups: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """Numbered inputs of a module whose meaning the site gives: table letter, first address, how many."""

    table: str
    first: int
    count: int

    def address(self, number: int) -> str:
        """Return the address of an input, counted from 1 as on the terminal strip."""
        return f"{self.table}{self.first + number - 1}"


@dataclass(frozen=True, slots=True)
class Variant:
    """Cards or firmware of a family that give some points in another scale, or make them up (`omit`).

    All that is given must hold: one of the sysObjectID prefixes, each regular expression of `texts`, and one
    raw number of `between` within its ranges. Only sources that stand in the file of `driver` are touched.
    """

    driver: str
    sys_object_ids: tuple[str, ...] = ()
    texts: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    between: Mapping[str, Ranges] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    omit: frozenset[str] = frozenset()

    @property
    def addresses(self) -> tuple[str, ...]:
        """What must be asked, once, to know the card; the system group aside."""
        return tuple(address for addresses in self.texts for address in addresses)

    def of(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """Return the items as such a card needs them."""
        return tuple(
            replace(item, scale=item.scale * scale) if scale != 1 else item
            for item in items
            if not (item.driver == self.driver and among(self.omit, item.point))
            for scale in [_scale(self.scales, item.point) if item.driver == self.driver else 1.0]
        )


@dataclass(frozen=True, slots=True)
class Driver:
    """One device model family: how it is recognised, asked and decoded.

    `evidence` is the best that the addresses rest on, `models` names of devices that people look for.
    """

    id: str
    kind: Kind
    protocol: str
    text: Text
    source: str
    identify: tuple[Identify, ...]
    items: tuple[Item, ...]
    identity: tuple[Item, ...] = ()
    quirks: Quirks = Quirks()
    channels: Mapping[str, Channel] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    evidence: str = EVIDENCE[-1]
    models: tuple[str, ...] = ()
    _suited: dict[tuple[int, ...], tuple[Item, ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    @property
    def gets(self) -> tuple[str, ...]:
        """All addresses of one poll, each once, in the order of the file."""
        own = (address for item in self.items for address in item.addresses)
        return tuple(dict.fromkeys((*own, *(address for variant in self.variants for address in variant.between))))

    @property
    def walks(self) -> tuple[str, ...]:
        """All subtrees of one poll."""
        return tuple(dict.fromkeys(item.walk for item in self.items if item.walk))

    @property
    def proofs(self) -> tuple[str, ...]:
        """What must be asked to know whether the driver fits and which variant it is, the system group aside."""
        ways = (address for identify in self.identify for address in identify.addresses)
        return tuple(dict.fromkeys((*ways, *(address for variant in self.variants for address in variant.addresses))))

    @property
    def named(self) -> bool:
        """Tell whether devices of this family say what they are; else the site must name the driver."""
        return any(way.strong or (self.protocol == "snmp" and way.requires) for way in self.identify)

    @property
    def points(self) -> frozenset[str]:
        """All point ids that this driver can give, aggregates included."""
        given = {item.point for item in self.items}
        given |= {id for id, point in self.kind.points.items() if point.aggregate and f"{id}.l1" in given}
        return frozenset(given)

    def suited(self, answers: Answers) -> tuple[Item, ...]:
        """Return the items as these answers ask for: variants that the numbers of each poll give away."""
        if not self.variants:
            return self.items
        shown = tuple(place for place, variant in enumerate(self.variants) if shows(variant.between, answers))
        if shown not in self._suited:
            items = self.items
            for place in shown:
                items = self.variants[place].of(items)
            self._suited[shown] = items
        return self._suited[shown]

    def wired(self, contacts: Mapping[tuple[str, int], tuple[str, bool]]) -> Driver:
        """Return the driver with a meaning for its inputs: (channel, number) -> (point id, inverted)."""
        extra = tuple(
            Item(point, "flag", (self.channels[channel].address(number),), invert=inverted)
            for (channel, number), (point, inverted) in contacts.items()
        )
        return replace(self, items=self.items + extra) if extra else self


def shows(between: Mapping[str, Ranges], answers: Answers) -> bool:
    """Tell whether any of these addresses holds a raw number within its ranges."""
    for address, ranges in between.items():
        raw = answers.get(address)
        if isinstance(raw, (int, float)) and any(low <= raw <= high for low, high in ranges):
            return True
    return False


def among(ids: Collection[str], point: str) -> bool:
    """Tell whether a point, or the point whose phase or instance it is, is among these."""
    return point in ids or point.rpartition(".")[0] in ids


def _scale(scales: Mapping[str, float], point: str) -> float:
    return scales.get(point, scales.get(point.rpartition(".")[0], 1.0))


@dataclass(frozen=True, slots=True)
class Catalog:
    """All kinds by id and all drivers by id ("ups/rfc1628")."""

    kinds: Mapping[str, Kind]
    drivers: Mapping[str, Driver]
