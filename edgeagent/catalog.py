"""What the drivers folder says: kinds with their points and alarm types, and the drivers that read them.

Owns the frozen model. `driverfiles.py` reads the TOML into it. Nothing here touches a device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from edgeagent.items import Channel, Identify, Item, Quirks, Variant, shows
from edgeagent.readings import Answers
from edgeagent.rules import Condition

ID: Final = r"^[a-z0-9]+(?:[.-][a-z0-9]+)*$"
"""How ids of kinds, points and alarm types are spelled."""


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


class Relation(StrEnum):
    """What one thing gets from another: the edges of the site's tree, and what an alarm says is lost there."""

    POWER = "power"
    COOLING = "cooling"
    NETWORK = "network"
    SERVICE = "service"
    PLACE = "place"
    """Where it stands: groups alike faults, and explains nothing."""


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
    in units below which nobody looks, but for alarms. `doubt` names readings that devices are known to make up.
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
    of it that maps to no alarm type becomes an alarm of its own with the member as qualifier. `shows` is the point
    whose value the texts give, the compared one if empty. While it stands, the alarm says that what hangs on its
    resource does not get what `explains` names; a loss of what `explained_by` names accounts for it.
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
    shows: str = ""
    explains: frozenset[Relation] = frozenset()
    explained_by: frozenset[Relation] = frozenset()


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

    def counts(self, id: str) -> bool:
        """Tell whether a point is known to be a number."""
        point = self.point(id)
        return point is not None and point.type is PointType.NUMBER

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


@dataclass(frozen=True, slots=True)
class Driver:
    """One device model family: how it is recognised, asked and decoded.

    `evidence` is the best that the addresses rest on, `models` names of devices that people look for. A gateway
    has units 0 to `last_unit`; the driver reads unit 0 until `of_unit` makes it another.
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
    last_unit: int = 0
    gets: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """All addresses of one poll, each once, in the order of the file."""
    walks: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """All subtrees of one poll."""
    telling: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The addresses of one poll that stand for something else than a number."""
    _suited: dict[tuple[int, ...], tuple[Item, ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    _carded: dict[tuple[int, ...], Driver] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Find once what each poll of each device asks for."""
        own = (address for item in self.items for address in item.addresses)
        shown = (address for variant in self.variants for address in variant.between)
        object.__setattr__(self, "gets", tuple(dict.fromkeys((*own, *shown))))
        object.__setattr__(self, "walks", tuple(dict.fromkeys(item.walk for item in self.items if item.walk)))
        words = (item for item in self.items if not self.kind.counts(item.point))
        object.__setattr__(self, "telling", tuple(dict.fromkeys(each for item in words for each in item.addresses)))

    @property
    def proofs(self) -> tuple[str, ...]:
        """What must be asked to know whether the driver fits and which variant it is, the system group aside."""
        ways = (address for identify in self.identify for address in identify.addresses)
        return tuple(dict.fromkeys((*ways, *(address for variant in self.variants for address in variant.addresses))))

    @property
    def named(self) -> bool:
        """Tell whether devices of this family say what they are; else the site must name the driver."""
        return any(way.strong or (self.protocol != "modbus" and way.requires) for way in self.identify)

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

    def carded(self, cards: tuple[int, ...]) -> Driver:
        """Return the driver for devices with these cards, by the places of the variants: one for all that have them."""
        if cards not in self._carded:
            items, identity, left = self.items, self.identity, list[Variant]()
            for variant in (self.variants[place] for place in cards):
                if variant.between:  # shows in the numbers of each poll, so it stays open
                    left.append(replace(variant, sys_object_ids=(), texts={}))
                else:
                    items, identity = variant.of(items), variant.of(identity)
            self._carded[cards] = replace(self, items=items, identity=identity, variants=tuple(left))
        return self._carded[cards]

    def of_unit(self, index: int) -> Driver:
        """Return the driver for one of several units behind a gateway, counted from 0."""
        return replace(self, items=tuple(item.of_unit(index) for item in self.items)) if index else self

    @property
    def places(self) -> frozenset[str]:
        """What the site may say of which of many things a device of this driver is, such as one port of a switch."""
        return frozenset[str]().union(*(item.places for item in self.items))

    def placed(self, places: Mapping[str, str]) -> Driver:
        """Return the driver for the thing at these places: of each point the first source that they suffice for."""
        if not self.places:
            return self
        items: dict[tuple[str, str], Item] = {}
        for number, item in enumerate(self.items):
            if item.places <= places.keys():
                items.setdefault((item.point, "" if item.places else str(number)), item.placed(places))
        return replace(self, items=tuple(items.values()))

    def wired(self, contacts: Mapping[tuple[str, int], tuple[str, bool]]) -> Driver:
        """Return the driver with a meaning for its inputs: (channel, number) -> (point id, inverted)."""
        extra = tuple(
            Item(point, "flag", (self.channels[channel].address(number),), invert=inverted)
            for (channel, number), (point, inverted) in contacts.items()
        )
        return replace(self, items=self.items + extra) if extra else self


@dataclass(frozen=True, slots=True)
class Catalog:
    """All kinds by id and all drivers by id ("ups/rfc1628")."""

    kinds: Mapping[str, Kind]
    drivers: Mapping[str, Driver]
