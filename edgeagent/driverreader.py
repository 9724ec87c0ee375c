"""Compiles one driver file against the vocabulary of its kind, and says all that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from edgeagent.alarmsets import NAMED, OTHER
from edgeagent.catalog import Driver, Kind, Point, PointType, Text
from edgeagent.driverentries import ChannelEntry, DriverFile, Entry, IdentifyEntry, VariantEntry
from edgeagent.items import PLACES, REGISTERS, Channel, Identify, Item, Quirks, Ranges, Variant
from edgeagent.kindfiles import compile_condition, text_of
from edgeagent.mistakes import Mistake, Path_, nearest
from edgeagent.readings import Raw
from edgeagent.tomlfile import Document
from edgeagent.values import SENTINELS

_OID: Final = re.compile(r"\d+(?:\.\d+)*")
_ADDRESS: Final = re.compile(r"[hicd]\d{1,5}")
_TABLES: Final = {"holding": "h", "input": "i", "coil": "c", "discrete": "d"}


class DriverReader:
    """Compiles one driver file against the vocabulary of its kind."""

    def __init__(self, document: Document, file: DriverFile, kind: Kind) -> None:
        self._document, self._file, self._kind = document, file, kind
        self.mistakes: list[Mistake] = []

    def _say(self, path: Path_, text: str) -> None:
        self.mistakes.append(self._document.mistake(path, text))

    def driver(self) -> Driver:
        """Return what the file says, as far as it makes sense; `mistakes` holds the rest."""
        file = self._file
        items: list[Item] = []
        for id, entries in file.points.items():
            point = self._kind.point(id)
            if point is None:
                self._say(("points", id), f"unknown point{nearest(id, list(self._kind.points))}")
                continue
            for path, entry in _numbered(("points", id), entries):
                items += self._items(path, replace(point, id=id), entry)
        identity: list[Item] = []
        for id, entries in file.identity.items():
            if id not in ("vendor", "model", "serial", "firmware"):
                known = ("vendor", "model", "serial", "firmware")
                self._say(("identity", id), f"unknown key{nearest(id, known)}")
            for path, entry in _numbered(("identity", id), entries):
                identity += self._items(path, Point(id, PointType.TEXT, Text(id, id)), entry)
        if isinstance(file.sentinels, str) and file.sentinels not in SENTINELS:
            self._say(("sentinels",), f'unknown family "{file.sentinels}"{nearest(file.sentinels, list(SENTINELS))}')
        return Driver(
            file.driver, self._kind, file.protocol, text_of(file.text), file.source,
            tuple(self._identify(number, way) for number, way in enumerate(file.identify)), tuple(items),
            tuple(identity), Quirks(**file.quirks.model_dump()),
            {name: self._channel(name, channel) for name, channel in file.channels.items()},
            tuple(self._variant(number, variant) for number, variant in enumerate(file.variants)),
            file.evidence, file.models, file.units.last if file.units else 0,
        )  # fmt: skip

    def _identify(self, number: int, way: IdentifyEntry) -> Identify:
        path: Path_ = ("identify", number) if isinstance(self._document.data.get("identify"), list) else ("identify",)
        self._regex((*path, "sys_descr"), way.sys_descr)
        if way == IdentifyEntry(rank=way.rank):
            self._say(path, "names nothing that a device is known by, such as requires, equals or texts")
        return Identify(
            way.rank,
            self._object_ids(path, way.sys_object_ids),
            way.sys_descr,
            tuple(self._address((*path, "requires"), place) for place in way.requires),
            {self._address((*path, "equals", place), place): wanted for place, wanted in way.equals.items()},
            self._texts((*path, "texts"), way.texts),
            self._between(path, way.between),
            tuple(self._address((*path, "absent"), place) for place in way.absent),
            self._texts((*path, "unless"), way.unless),
        )

    def _variant(self, number: int, variant: VariantEntry) -> Variant:
        path: Path_ = ("variants", number)
        if not (variant.sys_object_ids or variant.texts or variant.between):
            self._say(path, "needs sys_object_ids, texts or between")
        for id, scale in variant.scale.items():
            if scale == 0:
                self._say((*path, "scale", id), "may not be 0; omit leaves a point out")
        for key, ids in (("scale", tuple(variant.scale)), ("omit", variant.omit)):
            for id in ids:
                if self._kind.point(id) is None:
                    self._say((*path, key, id), f"unknown point{nearest(id, list(self._kind.points))}")
        return Variant(
            self._file.driver,
            self._object_ids(path, variant.sys_object_ids),
            self._texts((*path, "texts"), variant.texts),
            self._between(path, variant.between),
            variant.scale,
            frozenset(variant.omit),
            variant.reason,
        )

    def _object_ids(self, path: Path_, ids: tuple[str, ...]) -> tuple[str, ...]:
        for id in ids:
            if not _OID.fullmatch(id):
                self._say((*path, "sys_object_ids"), f'"{id}" is not an OID')
        return ids

    def _between(self, path: Path_, between: Mapping[str, Ranges]) -> dict[str, Ranges]:
        for place, ranges in between.items():
            if any(low > high for low, high in ranges):
                self._say((*path, "between", place), "a range is its lowest and its highest number")
        return {self._address((*path, "between", place), place): ranges for place, ranges in between.items()}

    def _texts(self, path: Path_, texts: Mapping[str, str]) -> dict[tuple[str, ...], str]:
        """Return the regular expressions by all the addresses that the text of each lies in."""
        found: dict[tuple[str, ...], str] = {}
        for place, pattern in texts.items():
            self._regex((*path, place), pattern)
            first, _, count = place.partition("+")
            first = self._address((*path, place), first)
            many = int(count) if re.fullmatch(r"[1-9]\d{0,2}", count) else 1
            if "+" in place and many < 2:
                self._say((*path, place), "a text over several registers is an address and how many, such as h1307+16")
            if many > 1 and _ADDRESS.fullmatch(first):
                found[tuple(f"{first[0]}{int(first[1:]) + step}" for step in range(many))] = pattern
            else:
                found[(first,)] = pattern
        return found

    def _address(self, path: Path_, place: str) -> str:
        """Read an address outside the table of points: an OID, h768, or the name of a field."""
        if self._file.protocol == "snmp":
            return self._oid(path, place)
        if self._file.protocol == "modbus" and not _ADDRESS.fullmatch(place):
            self._say(path, "an address is h, i, c or d and a number, such as h768")
        return place

    def _channel(self, name: str, channel: ChannelEntry) -> Channel:
        if (channel.coil is None) is (channel.discrete is None):
            self._say(("channels", name), "needs either coil or discrete")
        return (
            Channel("c", channel.coil, channel.count)
            if channel.coil is not None
            else Channel("d", channel.discrete or 0, channel.count)
        )

    def _regex(self, path: Path_, text: str | None) -> None:
        try:
            re.compile(text or "")
        except re.error as error:
            self._say(path, f"not a regular expression: {error}")

    def _oid(self, path: Path_, oid: str) -> str:
        full = oid if oid.startswith("1.3.6.1.") or not self._file.base else f"{self._file.base}.{oid}"
        self._named(path, full)
        if not _OID.fullmatch(re.sub(r"\{\w*\}", "1", full)):
            self._say(path, f'"{full}" is not an OID')
        return full

    def _named(self, path: Path_, address: str) -> None:
        """See that a site can name the places that stand in an address."""
        for name in re.findall(r"\{(\w*)\}", address):
            if name not in PLACES:
                self._say(path, f'unknown place "{name}"{nearest(name, list(PLACES))}')

    def _items(self, path: Path_, point: Point, entry: Entry) -> list[Item]:
        if entry.when is not None:
            if point.type is not PointType.FLAG:
                self._say(path, "only a flag can be derived with when")
            when = compile_condition(self._document, path, entry.when, self._kind, self._kind.alarms, self.mistakes)
            return [Item(point.id, "when", when=when, driver=self._file.driver)]
        code = self._code(path, point, entry)
        if entry.scale == 0:
            self._say(path, "scale may not be 0")
        if entry.walk is None and (entry.below is not None or entry.total is not None):
            self._say(path, "below and total go with walk")
        if entry.walk is not None and self._file.protocol != "snmp":
            self._say(path, f"has no table that {self._file.protocol} could walk")
        if entry.valid is not None and entry.valid[0] > entry.valid[1]:
            self._say(path, "valid is the lowest and the highest raw number")
        type = entry.type or ("u16" if self._file.protocol == "modbus" else "int")
        base = Item(
            point.id, code, type=type, scale=entry.scale, offset=entry.offset,
            enum=self._enum(path, point, entry, code), sentinels=self._sentinels(entry),
            bits=self._bits(path, entry, 64 if type == "int" else 16 * REGISTERS.get(type, 1)),
            invert=entry.invert, word_order=entry.word_order or self._file.word_order,
            alarm=entry.alarm or "", equals=entry.equals,
            names=entry.map if isinstance(entry.map, tuple) else (), valid=entry.valid,
            unverified=entry.unverified or self._file.unverified, driver=self._file.driver,
            step=self._step(entry), bit_step=entry.bit_step,
        )  # fmt: skip
        if code == "rows":
            walk, below = self._oid(path, entry.walk or ""), self._oid(path, entry.below) if entry.below else ""
            count = (self._oid(path, entry.total),) if entry.total else ()
            return [replace(base, walk=walk, below=below, addresses=count)]
        items = (replace(base, addresses=addresses) for addresses in self._addresses(path, entry, base))
        return [item.placed(PLACES) if item.places <= PLACES.keys() else item for item in items]

    def _step(self, entry: Entry) -> int:
        """Return how many registers further the next unit behind a gateway has this."""
        if entry.step is not None:
            return entry.step
        units = self._file.units
        return next((getattr(units, table) for table in _TABLES if units and getattr(entry, table) is not None), 0)

    def _bits(self, path: Path_, entry: Entry, width: int) -> tuple[int, int] | None:
        """Return the lowest and the highest bit."""
        bits = entry.bits if entry.bit is None else (entry.bit, entry.bit)
        if bits is not None and not 0 <= bits[0] <= bits[1] < width:
            self._say(path, f"bits are the lowest and the highest of 0 to {width - 1}")
        return bits

    def _code(self, path: Path_, point: Point, entry: Entry) -> str:
        """Choose the decoder from what the point is and what the entry says."""
        if point.type is PointType.SET:
            if entry.walk is not None:
                return "rows"
            if entry.decode is not None:
                if entry.decode not in NAMED:
                    self._say(path, f'unknown decoder "{entry.decode}"{nearest(entry.decode, sorted(NAMED))}')
                return entry.decode
            if entry.alarm is not None:
                self._member(path, entry.alarm)
                return "alarm"
            if entry.map is None:
                self._say(path, "a set needs walk, map, decode or alarm")
            return "code"
        if point.type is PointType.ENUM and entry.enum is None:
            self._say(path, f'an enum needs its raw numbers: enum = {{ 1 = "{point.values[0]}" }}')
        if entry.enum is not None:
            return "enum"
        if entry.of is not None:
            if point.type is not PointType.NUMBER or not entry.oid:
                self._say(path, "of is the whole of which the number at an oid is a part")
            return "share"
        return {PointType.FLAG: "flag", PointType.TEXT: "text"}.get(point.type, "number")

    def _member(self, path: Path_, member: str) -> None:
        if member and not self._kind.owns(member):
            close = nearest(member, sorted(self._kind.members))
            self._say(path, f'"{member}" is neither an alarm nor a condition of {self._kind.id}{close}')

    def _enum(self, path: Path_, point: Point, entry: Entry, code: str) -> dict[int | str, str | bool]:
        if point.type is PointType.SET:
            table = entry.map or {}
            names = table.values() if isinstance(table, dict) else (name for row in table for name in row)
            for name in names:
                self._member(path, name)
            plain = table if isinstance(table, dict) else {}
            if code == "number-list" and not plain:
                self._say(path, "a number-list needs map = { number = alarm }")
            width = 64 if self._file.protocol == "snmp" else 16 * REGISTERS.get(entry.type or "u16", 1)
            if code == "bitmap" and not (plain and all(key == OTHER or 0 <= _bit(key) < width for key in plain)):
                self._say(path, "a bitmap needs map = { bit = alarm }, its bits counted from 0")
            if isinstance(table, tuple) and code != "gencomm-alarms":
                self._say(path, "map is a table of raw number = alarm here")
            if code == "flag-string" and not (isinstance(table, dict) and table and all(map(_place, table))):
                self._say(path, "a flag-string needs map = { place = alarm }, its places counted from 1 to 64")
            return {_raw(key): value for key, value in table.items()} if isinstance(table, dict) else {}
        for word in (entry.enum or {}).values():
            if point.type is PointType.FLAG and not isinstance(word, bool):
                self._say(path, f'a flag is true or false, not "{word}"')
            elif point.type is PointType.ENUM and word not in point.values:
                self._say(path, f'"{word}" is no value of {point.id}{nearest(str(word), list(point.values))}')
        return {_raw(key): word for key, word in (entry.enum or {}).items()}

    def _sentinels(self, entry: Entry) -> Mapping[Raw, str]:
        own: dict[Raw, str] = {}
        shared = self._file.sentinels
        if isinstance(shared, str):
            own.update(SENTINELS.get(shared, {}).get(entry.type or "u16", {}))
        else:
            own.update({_raw(key): reason for key, reason in shared.items()})
        own.update({_raw(key): reason for key, reason in (entry.sentinels or {}).items()})
        if entry.type == "text":
            own.update({str(key): reason for key, reason in list(own.items()) if isinstance(key, int)})
        return own

    def _addresses(self, path: Path_, entry: Entry, item: Item) -> list[tuple[str, ...]]:
        """List the alternatives, each with all the addresses it needs."""
        tables = [
            (letter, getattr(entry, name)) for name, letter in _TABLES.items() if getattr(entry, name) is not None
        ]
        named = {"field": entry.field, "host": entry.host, "service": entry.service, "ami": entry.ami}
        name, place = next(((key, place) for key, place in named.items() if place is not None), ("", ""))
        given = len(tables) + bool(entry.oid) + sum(place is not None for place in named.values())
        if given != 1:
            places = "oid, holding, input, coil, discrete, field, host, service, ami or when"
            self._say(path, f"needs exactly one place: {places}")
            return []
        wanted = {"snmp": "oid", "serial": "field", "modbus": ""}.get(self._file.protocol, self._file.protocol)
        found = "oid" if entry.oid else name
        if found != wanted:
            self._say(path, f"has no place that {self._file.protocol} can read")
        if entry.oid and entry.of is not None:
            return [(self._oid(path, oid), self._oid(path, entry.of)) for oid in entry.oid]
        if entry.oid:
            return [(self._oid(path, oid),) for oid in entry.oid]
        if name:
            self._named(path, place)
            return [(place,)]
        letter, first = tables[0]
        if item.code == "gencomm-alarms":
            if len(item.names) != entry.count or any(len(row) != 4 for row in item.names):  # nibbles
                self._say(path, f"count = {entry.count} registers need as many rows of four names")
            return [tuple(f"{letter}{first + step}" for step in range(len(item.names)))]
        width = entry.count if item.type == "text" else REGISTERS.get(item.type, 1)
        return [tuple(f"{letter}{first + step}" for step in range(width))]


def _numbered(path: Path_, entries: tuple[Entry, ...]) -> list[tuple[Path_, Entry]]:
    """Give each of several sources its place; a single one has that of its point."""
    return [((*path, number) if len(entries) > 1 else path, entry) for number, entry in enumerate(entries)]


def _bit(key: str) -> int:
    number = _raw(key)
    return number if isinstance(number, int) and number < 64 else -1


def _place(key: str) -> bool:
    number = _raw(key)
    return isinstance(number, int) and 1 <= number <= 64


def _raw(key: str) -> int | str:
    """Read a raw number as a TOML key spells it: 5, -1 or 0x7FFF."""
    try:
        return int(key, 0)
    except ValueError:
        return key
