"""Reads the drivers folders into the catalogue and says all that is wrong with them at once.

`device.toml` holds the points and alarm types of every device, `<kind>/kind.toml` those of a kind (single
keys of an alarm type of device.toml may be overridden there), every other file of the folder one driver.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from edgeagent.catalog import (
    REGISTERS,
    Catalog,
    Channel,
    Driver,
    Identify,
    Item,
    Kind,
    Point,
    PointType,
    Quirks,
    Text,
    Variant,
)  # fmt: skip
from edgeagent.decode import NAMED, SENTINELS
from edgeagent.endpoint import nearest
from edgeagent.kindfiles import DeviceFile, TextEntry, compile_condition, compile_kind, text_of
from edgeagent.readings import Raw
from edgeagent.tomlfile import Document, Mistake, Mistakes, Path_, Strict, check, read

_OID: Final = re.compile(r"\d+(?:\.\d+)*")
_ADDRESS: Final = re.compile(r"[hicd]\d{1,5}")
_TABLES: Final = {"holding": "h", "input": "i", "coil": "c", "discrete": "d"}


def _listed(value: Any) -> Any:  # noqa: ANN401 - whatever TOML gave
    return value if isinstance(value, list) else [value]


class _Entry(Strict):
    oid: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    walk: str | None = None
    below: str | None = None
    holding: int | None = Field(default=None, ge=0, le=65535)
    input: int | None = Field(default=None, ge=0, le=65535)
    coil: int | None = Field(default=None, ge=0, le=65535)
    discrete: int | None = Field(default=None, ge=0, le=65535)
    host: str | None = None
    when: str | None = None
    type: Literal["int", "u16", "s16", "u32", "s32", "u64", "f32", "text"] | None = None
    count: int = Field(default=1, ge=1, le=125)
    scale: float = 1.0
    offset: float = 0.0
    enum: dict[str, str | bool] | None = None
    sentinels: dict[str, str] | None = None
    bits: tuple[int, int] | None = None
    bit: int | None = Field(default=None, ge=0, le=63)
    invert: bool = False
    word_order: Literal["big", "little"] | None = None
    decode: str | None = None
    map: dict[str, str] | tuple[tuple[str, ...], ...] | None = None
    alarm: str | None = None
    equals: Annotated[frozenset[int], BeforeValidator(_listed)] | None = None


_Entries = Annotated[tuple[_Entry, ...], BeforeValidator(_listed)]


class _Identify(Strict):
    rank: int = 0
    sys_object_ids: tuple[str, ...] = ()
    sys_descr: str | None = None
    requires: tuple[str, ...] = ()
    equals: dict[str, Annotated[frozenset[int], BeforeValidator(_listed)]] = Field(default_factory=dict)


class _Quirks(Strict):
    objects: int = Field(default=20, ge=1, le=100)
    registers: int = Field(default=64, ge=1, le=125)
    coils: int = Field(default=512, ge=1, le=2000)
    gap: int = Field(default=8, ge=0)
    pause_after_connect: float = Field(default=0.0, ge=0, le=10)
    frame_delay: float = Field(default=0.0, ge=0, le=10)
    timeout: float | None = Field(default=None, gt=0, le=30)
    groups: tuple[tuple[str, int], ...] = ()


class _Channel(Strict):
    coil: int | None = Field(default=None, ge=0)
    discrete: int | None = Field(default=None, ge=0)
    count: int = Field(ge=1, le=256)


class _Variant(Strict):
    sys_object_ids: tuple[str, ...] = Field(min_length=1)
    scale: dict[str, float]


class _DriverFile(Strict):
    driver: str = Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")
    protocol: Literal["snmp", "modbus", "host"]
    text: TextEntry
    source: str = Field(min_length=1)
    base: str = ""
    sentinels: dict[str, str] | str = Field(default_factory=dict)
    word_order: Literal["big", "little"] = "big"
    identify: _Identify = _Identify()
    quirks: _Quirks = _Quirks()
    identity: dict[str, _Entries] = Field(default_factory=dict)
    points: dict[str, _Entries] = Field(default_factory=dict)
    channels: dict[str, _Channel] = Field(default_factory=dict)
    variants: tuple[_Variant, ...] = ()


def load(folders: Sequence[Path]) -> Catalog:
    """Read all drivers folders, the shipped one first.

    Raises:
        Mistakes: everything that is wrong in any of their files.
    """
    mistakes: list[Mistake] = []
    kinds: dict[str, Kind] = {}
    drivers: dict[str, Driver] = {}
    origin: dict[str, str] = {}
    broken: set[str] = set()
    device = Document("", {}, {})
    for folder in folders:
        if (folder / "device.toml").is_file():
            device = _document(folder / "device.toml", folder, mistakes) or device
            mistakes += check(device, DeviceFile, device.data)[1]
    if mistakes:
        raise Mistakes(mistakes)  # all kinds rest on it
    for folder in folders:
        for path in sorted(folder.glob("*/kind.toml")):
            document = _document(path, folder, mistakes)
            kind = compile_kind(document, device, mistakes) if document else None
            if document is None or kind is None:
                broken.add(path.parent.name)
                continue
            if path.parent.name in kinds:
                where = origin[path.parent.name]
                mistakes.append(document.mistake(("kind",), f'"{kind.id}" stands in {where} already'))
                continue
            kinds[path.parent.name] = kind
            origin[path.parent.name] = document.file
            if kind.id != path.parent.name:
                mistakes.append(document.mistake(("kind",), f"the folder is {path.parent.name}; make both the same"))
    for folder in folders:
        for path in sorted(folder.glob("*/*.toml")):
            if path.name == "kind.toml" or (document := _document(path, folder, mistakes)) is None:
                continue
            if path.parent.name in broken - kinds.keys():
                mistakes += check(document, _DriverFile, document.data)[1]
                continue
            driver = _driver(document, path, kinds, mistakes)
            if driver is not None and driver.id in origin:
                mistakes.append(document.mistake(("driver",), f'"{driver.id}" stands in {origin[driver.id]} already'))
            elif driver is not None:
                drivers[driver.id] = driver
                origin[driver.id] = document.file
    if mistakes:
        raise Mistakes(mistakes)
    return Catalog(kinds, drivers)


def _document(path: Path, folder: Path, mistakes: list[Mistake]) -> Document | None:
    try:
        return read(path, f"{folder.name}/{path.relative_to(folder)}")
    except Mistakes as error:
        mistakes += error.found
        return None


def _driver(document: Document, path: Path, kinds: Mapping[str, Kind], mistakes: list[Mistake]) -> Driver | None:
    found, wrong = check(document, _DriverFile, document.data)
    mistakes += wrong
    if not isinstance(found, _DriverFile):
        return None
    kind = kinds.get(found.driver.partition("/")[0])
    if kind is None:
        name = found.driver.partition("/")[0]
        mistakes.append(document.mistake(("driver",), f'unknown kind "{name}"{nearest(name, list(kinds))}'))
        return None
    if found.driver != f"{path.parent.name}/{path.stem}":
        mistakes.append(
            document.mistake(("driver",), f"the file is {path.parent.name}/{path.stem}.toml; make both the same")
        )
    reader = _DriverReader(document, found, kind)
    driver = reader.driver()
    mistakes += reader.mistakes
    return driver


class _DriverReader:
    """Compiles one driver file against the vocabulary of its kind."""

    def __init__(self, document: Document, file: _DriverFile, kind: Kind) -> None:
        self._document, self._file, self._kind = document, file, kind
        self.mistakes: list[Mistake] = []

    def _say(self, path: Path_, text: str) -> None:
        self.mistakes.append(self._document.mistake(path, text))

    def driver(self) -> Driver:
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
        for address in file.identify.equals:
            if not _ADDRESS.fullmatch(address):
                self._say(("identify", "equals", address), "an address is h, i, c or d and a number, such as h768")
        identify = Identify(
            file.identify.rank,
            file.identify.sys_object_ids,
            file.identify.sys_descr,
            tuple(self._oid(("identify", "requires"), oid) for oid in file.identify.requires),
            dict(file.identify.equals),
        )
        self._regex(("identify", "sys_descr"), file.identify.sys_descr)
        for number, variant in enumerate(file.variants):
            for id in variant.scale:
                if self._kind.point(id) is None:
                    close = nearest(id, list(self._kind.points))
                    self._say(("variants", number, "scale", id), f"unknown point{close}")
        return Driver(
            file.driver, self._kind, file.protocol, text_of(file.text), file.source, identify, tuple(items),
            tuple(identity), Quirks(**file.quirks.model_dump()),
            {name: self._channel(name, channel) for name, channel in file.channels.items()},
            tuple(Variant(variant.sys_object_ids, variant.scale) for variant in file.variants),
        )  # fmt: skip

    def _channel(self, name: str, channel: _Channel) -> Channel:
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
        if not _OID.fullmatch(full):
            self._say(path, f'"{full}" is not an OID')
        return full

    def _items(self, path: Path_, point: Point, entry: _Entry) -> list[Item]:
        if entry.when is not None:
            if point.type is not PointType.FLAG:
                self._say(path, "only a flag can be derived with when")
            when = compile_condition(self._document, path, entry.when, self._kind, self._kind.alarms, self.mistakes)
            return [Item(point.id, "when", when=when)]
        code = self._code(path, point, entry)
        if entry.scale == 0:
            self._say(path, "scale may not be 0")
        type = entry.type or ("u16" if self._file.protocol == "modbus" else "int")
        base = Item(
            point.id, code, type=type, scale=entry.scale, offset=entry.offset,
            enum=self._enum(path, point, entry, code), sentinels=self._sentinels(entry),
            bits=self._bits(path, entry, 64 if type == "int" else 16),
            invert=entry.invert, word_order=entry.word_order or self._file.word_order,
            alarm=entry.alarm or "", equals=entry.equals,
            names=entry.map if isinstance(entry.map, tuple) else (),
        )  # fmt: skip
        if code == "rows":
            walk, below = self._oid(path, entry.walk or ""), self._oid(path, entry.below or "")
            return [replace(base, walk=walk, below=below)]
        return [replace(base, addresses=addresses) for addresses in self._addresses(path, entry, base)]

    def _bits(self, path: Path_, entry: _Entry, width: int) -> tuple[int, int] | None:
        """Return the lowest and the highest bit; they lie within one register."""
        bits = entry.bits if entry.bit is None else (entry.bit, entry.bit)
        if bits is not None and not 0 <= bits[0] <= bits[1] < width:
            self._say(path, f"bits are the lowest and the highest of 0 to {width - 1}")
        return bits

    def _code(self, path: Path_, point: Point, entry: _Entry) -> str:
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
        return {PointType.FLAG: "flag", PointType.TEXT: "text"}.get(point.type, "number")

    def _member(self, path: Path_, member: str) -> None:
        if member and not self._kind.owns(member):
            close = nearest(member, sorted(self._kind.members))
            self._say(path, f'"{member}" is neither an alarm nor a condition of {self._kind.id}{close}')

    def _enum(self, path: Path_, point: Point, entry: _Entry, code: str) -> dict[int | str, str | bool]:
        if point.type is PointType.SET:
            table = entry.map or {}
            names = table.values() if isinstance(table, dict) else (name for row in table for name in row)
            for name in names:
                self._member(path, name)
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

    def _sentinels(self, entry: _Entry) -> Mapping[Raw, str]:
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

    def _addresses(self, path: Path_, entry: _Entry, item: Item) -> list[tuple[str, ...]]:
        """List the alternatives, each with all the addresses it needs."""
        tables = [
            (letter, getattr(entry, name)) for name, letter in _TABLES.items() if getattr(entry, name) is not None
        ]
        given = len(tables) + bool(entry.oid) + (entry.host is not None)
        if given != 1:
            self._say(path, "needs exactly one place: oid, holding, input, coil, discrete, host or when")
            return []
        wanted = {"snmp": "oid", "host": "host"}.get(self._file.protocol, "")
        found = "oid" if entry.oid else "host" if entry.host else ""
        if found != wanted:
            self._say(path, f"has no place that {self._file.protocol} can read")
        if entry.oid:
            return [(self._oid(path, oid),) for oid in entry.oid]
        if entry.host:
            return [(entry.host,)]
        letter, first = tables[0]
        if item.code == "gencomm-alarms":
            if len(item.names) != entry.count or any(len(row) != 4 for row in item.names):  # nibbles
                self._say(path, f"count = {entry.count} registers need as many rows of four names")
            return [tuple(f"{letter}{first + step}" for step in range(len(item.names)))]
        width = entry.count if item.type == "text" else 1 if letter in "cd" else REGISTERS.get(item.type, 1)
        return [tuple(f"{letter}{first + step}" for step in range(width))]


def _numbered(path: Path_, entries: tuple[_Entry, ...]) -> list[tuple[Path_, _Entry]]:
    """Give each of several sources its place; a single one has that of its point."""
    return [((*path, number) if len(entries) > 1 else path, entry) for number, entry in enumerate(entries)]


def _place(key: str) -> bool:
    number = _raw(key)
    return isinstance(number, int) and 1 <= number <= 64


def _raw(key: str) -> int | str:
    """Read a raw number as a TOML key spells it: 5, -1 or 0x7FFF."""
    try:
        return int(key, 0)
    except ValueError:
        return key
