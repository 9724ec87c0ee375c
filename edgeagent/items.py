"""One source of a point, how a device shows what it is, and how its family wants to be asked: a driver's parts."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from edgeagent.readings import Answers, Raw
from edgeagent.rules import Condition

REGISTERS: Final = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2, "u64": 4}
"""How many 16-bit registers a value of each type takes."""


PLACES: Final[Mapping[str, str]] = {
    "index": "1", "port": "1.1", "vlan": "1", "mac": "2.0.0.0.0.1", "bridge": "1", "service": "crm",
}  # fmt: skip
"""What a site says of where a thing is in a device that holds many of it, as it stands in an address; here a sample."""
ABSENT: Final = "absent"
"""Stands in an enum for an object that the device does not have: an address that a switch does not see."""
REST: Final = "other"
"""Stands in an enum or a map for all that it does not name."""
_NAMED: Final = re.compile(r"\{([a-z]+)\}")
_WHOLE: Final = re.compile(rb"\s*[+-]?\d{1,19}\s*")


@dataclass(frozen=True, slots=True)
class Item:
    """Where one point of a driver lies and how its raw answer becomes a value.

    `addresses` are all needed for the value (two registers make a u32); alternatives are items of their own.
    `walk` is an SNMP subtree that is walked instead. `code` names the decoder. `enum` maps raw numbers to
    words, flags or alarm ids; `sentinels` raw numbers to reasons, and outside `valid` there is no raw number.
    `bits` are the lowest and highest bit. `step` and `bit_step` lead to the next unit behind a gateway. `driver` is
    whose file it stands in: a driver may fall back on another one's. What is `unverified` no good source confirms.
    `unplaced` is the same with names of places in braces, where the site says which of many things it reads.
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
    step: int = 0
    bit_step: int = 0
    unplaced: Item | None = None

    @property
    def places(self) -> frozenset[str]:
        """The places that the site has to name, before they are filled in."""
        raw = self.unplaced or self
        texts = (*raw.addresses, *(key for key in raw.enum if isinstance(key, str)))
        return frozenset(name for text in texts for name in _NAMED.findall(text))

    def placed(self, places: Mapping[str, str]) -> Item:
        """Return the item of the thing at these places, which must be all that it names."""
        raw = self.unplaced or self
        if not raw.places:
            return self
        enum = {
            int(_filled(key, places)) if isinstance(key, str) and _NAMED.search(key) else key: word
            for key, word in raw.enum.items()
        }
        return replace(
            raw, addresses=tuple(_filled(address, places) for address in raw.addresses), enum=enum, unplaced=raw
        )

    def of_unit(self, index: int) -> Item:
        """Return the item of another unit behind the same gateway, `step` registers or `bit_step` bits a unit on."""
        if not index or not (self.step or self.bit_step):
            return self
        low, high = self.bits or (0, 0)
        words, bit = divmod(low + self.bit_step * index, 16)
        on = self.step * index + words
        addresses = tuple(f"{address[0]}{int(address[1:]) + on}" for address in self.addresses)
        return replace(self, addresses=addresses, bits=self.bits and (bit, bit + high - low))


def _filled(text: str, places: Mapping[str, str]) -> str:
    return _NAMED.sub(lambda name: places[name[1]], text)


Ranges: TypeAlias = tuple[tuple[float, float], ...]
"""Raw numbers, each from its lowest to its highest."""


@dataclass(frozen=True, slots=True)
class Identify:
    """One way in which a device shows that a driver fits it: all that is given must hold.

    `sys_object_ids` are prefixes, one of which must be there; `sys_descr` and those of `texts` are regular
    expressions; one of `requires` must answer with a value, each of `equals` and `between` hold one of its raw
    numbers, none of `absent` answer, and no text of `unless` match.
    A text over several registers has the key (address, …) of all of them.
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
    unless: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that must be asked to decide, the system group of SNMP aside."""
        spread = (address for addresses in (*self.texts, *self.unless) for address in addresses)
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
    raw number of `between` within its ranges. `reason` is why an omitted point has no value.
    Only sources that stand in the file of `driver` are touched.
    """

    driver: str
    sys_object_ids: tuple[str, ...] = ()
    texts: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    between: Mapping[str, Ranges] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    omit: frozenset[str] = frozenset()
    reason: str = "not-fitted"

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


def shows(between: Mapping[str, Ranges], answers: Answers) -> bool:
    """Tell whether any of these addresses holds a raw number within its ranges."""
    for address, ranges in between.items():
        raw = answers.get(address)
        if isinstance(raw, bytes) and _WHOLE.fullmatch(raw):
            raw = int(raw)
        if isinstance(raw, (int, float)) and any(low <= raw <= high for low, high in ranges):
            return True
    return False


def among(ids: Collection[str], point: str) -> bool:
    """Tell whether a point, or the point whose phase or instance it is, is among these."""
    return point in ids or point.rpartition(".")[0] in ids


def _scale(scales: Mapping[str, float], point: str) -> float:
    return scales.get(point, scales.get(point.rpartition(".")[0], 1.0))
