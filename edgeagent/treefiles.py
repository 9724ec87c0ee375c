"""Reads the tables of the site's tree: areas, power, network, services and seats, and what ties devices to them.

Owns what these tables may hold and what can be wrong or missing in them. Opens no file: `sitefiles.py` reads the folder
and hands the tables over. All ids of the site, those of devices and single seats too, are names of one kind: each
stands once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from edgeagent.catalog import Kind, Relation, Text
from edgeagent.kindfiles import TextEntry, text_of
from edgeagent.mistakes import Mistake, Path_, nearest
from edgeagent.overrides import Override
from edgeagent.scenario import Hours
from edgeagent.seatrange import MOST_SEATS, SeatRange, seats_of
from edgeagent.sitetree import AREA, MAINS, SEAT, CauseSettings, Node, SiteTree
from edgeagent.tomlfile import Document, Strict

ID: Final = r"^[a-z0-9-]{1,40}$"
_NETWORK: Final = "network"
_SERVICE: Final = "service"
_KEYS: Final = {"area": Relation.PLACE, "in": Relation.PLACE, "fed_by": Relation.POWER,
                "connected_by": Relation.NETWORK, "needs": Relation.SERVICE}  # fmt: skip
_LACKS: Final = {"fed_by": "feeds nothing", "connected_by": "connects nothing", "needs": "is no service",
                 "cools": "is no area", "seat": "is no seat", "area": "is no area", "in": "is no area"}  # fmt: skip
_DEFAULTS: Final = CauseSettings()
_NOWHERE: Final[Mapping[str, Path_]] = {}
_ALWAYS: Final[Mapping[str, tuple[Hours, ...]]] = {}


class Tied(Strict):
    """What a thing stands in and hangs on: ids of other things of the site."""

    area: str | None = None
    fed_by: tuple[str, ...] = ()
    connected_by: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


class DeviceTies(Tied):
    """A device's part in the tree."""

    name: TextEntry
    driver: str
    cools: tuple[str, ...] = ()
    seat: str | None = None


class _Area(Strict):
    name: TextEntry
    within: str | None = Field(default=None, alias="in")


class _Power(Strict):
    name: TextEntry
    kind: Literal["mains", "panel", "circuit"] = "circuit"
    fed_by: tuple[str, ...] = ()
    alarms: dict[str, Override] = Field(default_factory=dict)


class _Network(Strict):
    name: TextEntry
    area: str | None = None
    fed_by: tuple[str, ...] = ()
    connected_by: tuple[str, ...] = ()


class _Service(Tied):
    name: TextEntry


class PartEntry(Tied):
    """A device that each seat of a range has; what it does not say of its ties its seat says."""

    driver: str
    url: str
    name: TextEntry | None = None
    index: int | str = 0
    port: str | None = None
    interval: float | None = Field(default=None, ge=0.1, le=3600)
    fast: float | None = Field(default=None, ge=0.1, le=3600)
    timeout: float | None = Field(default=None, gt=0, le=60)
    alarms: dict[str, Override] = Field(default_factory=dict)


class _Seats(Tied):
    range: str
    name: TextEntry = TextEntry(en="Seat {seat}", zh="{seat} 号座席")
    spare: tuple[str, ...] = ()
    maintenance: tuple[str, ...] = ()
    staffed: str | tuple[str, ...] = ()
    parts: dict[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,20}$")], PartEntry] = Field(default_factory=dict)


class _Causes(Strict):
    hold: float = Field(default=_DEFAULTS.hold, ge=0, le=60)
    quorum: int = Field(default=_DEFAULTS.quorum, ge=2)
    share: float = Field(default=_DEFAULTS.share, ge=0, le=1)
    window: float = Field(default=_DEFAULTS.window, gt=0, le=3600)
    settle: float = Field(default=_DEFAULTS.settle, ge=0, le=600)
    transfer: float = Field(default=_DEFAULTS.transfer, gt=0, le=600)

    def settings(self) -> CauseSettings:
        """Return them for the cause finder."""
        return CauseSettings(self.hold, self.quorum, self.share, self.window, self.settle, self.transfer)


class TreeTables(Strict):
    """The tables of the site's tree, its devices aside."""

    areas: dict[str, _Area] = Field(default_factory=dict)
    power: dict[str, _Power] = Field(default_factory=dict)
    network: dict[str, _Network] = Field(default_factory=dict)
    services: dict[str, _Service] = Field(default_factory=dict)
    seats: dict[str, _Seats] = Field(default_factory=dict)
    causes: _Causes = _Causes()


_Entry: TypeAlias = _Area | _Power | _Network | _Service | DeviceTies


class Planter:
    """Compiles the checked tables into the tree.

    `places` are where devices stand that no [devices.<id>] names, `staffed` the hours of each range of seats. After
    `tree()`, `mistakes` holds what is wrong, and `notes` what may be right and is worth a look. `unread` are ids whose
    own tables are so wrong that they were left out: nobody calls these unknown.
    """

    def __init__(
        self, document: Document, tables: TreeTables, devices: Mapping[str, DeviceTies], kinds: Mapping[str, Kind],
        places: Mapping[str, Path_] = _NOWHERE, staffed: Mapping[str, tuple[Hours, ...]] = _ALWAYS,
    ) -> None:  # fmt: skip
        self._places, self._staffed = places, staffed
        self._told: set[Path_] = set()
        self._document, self._tables, self._devices, self._kinds = document, tables, devices, kinds
        self._kind: dict[str, str] = {}
        self._place: dict[str, Path_] = {}
        self._ranges: dict[str, SeatRange] = {}
        self._candidates: dict[str, list[str]] = {}
        self._unread_seats = left_out(document, "seats", tables.seats)
        self.mistakes: list[Mistake] = []
        self.notes: list[Mistake] = []
        self.unread: frozenset[str] = frozenset()

    def tree(self) -> SiteTree:
        """Claim every id, then tie the things to each other."""
        tables = self._tables
        named: tuple[tuple[str, Mapping[str, _Entry], str], ...] = (
            ("areas", tables.areas, AREA), ("power", tables.power, ""), ("network", tables.network, _NETWORK),
            ("services", tables.services, _SERVICE), ("devices", self._devices, ""),
        )  # fmt: skip
        self.unread = frozenset().union(*(left_out(self._document, table, entries) for table, entries, _ in named))
        for table, entries, kind in named:
            for id, entry in entries.items():
                self._claim(self._path(table, id), id, kind or _kind_of(entry))
        self._seat_ids()
        nodes: dict[str, Node] = {}
        for table, entries, _ in named[:-1]:
            for id, entry in entries.items():
                nodes[id] = Node(id, text_of(entry.name), self._kind[id], self._ties((table, id), entry))
        for group, seats in self._ranges.items():
            nodes |= self._seats(group, seats)
        for id, device in self._devices.items():
            nodes[id] = self._device(id, device, nodes)
        self._cool(nodes)
        self._one_mains()
        self._no_cycles(nodes)
        tree = SiteTree(nodes)
        if not self.mistakes:
            self._look_over(tree)
        return tree

    def _say(self, path: Path_, text: str) -> None:
        self.mistakes.append(self._document.mistake(path, text))

    def _where(self, id: str) -> str:
        place = self._document.mistake(self._place[id], "")
        return f"{place.key} ({place.file}:{place.line})"

    def _path(self, table: str, id: str) -> Path_:
        return self._places.get(id, (table, id)) if table == "devices" else (table, id)

    # Ids.

    def _claim(self, path: Path_, id: str, kind: str) -> None:
        if path in self._told:  # of another seat
            return
        if id in self._places and (not re.fullmatch(ID, id) or id in self._place):
            self._told.add(path)
        if not re.fullmatch(ID, id):
            self._say(path, "an id is 1 to 40 of a-z, 0-9 and -, since it becomes part of topics")
        if id == "agent":
            self._say(path, '"agent" is the agent itself; take another id')
        if id in self._place:
            self._say(path, f'"{id}" is {self._where(id)} already')
            return
        self._kind[id], self._place[id] = kind, path

    def _seat_ids(self) -> None:
        """Claim the ids of all seats. What stands there already is told once for each owner, not for each seat."""
        total = 0
        for group, entry in self._tables.seats.items():
            path: Path_ = ("seats", group)
            seats = seats_of(entry.range)
            if isinstance(seats, str):
                self._say((*path, "range"), seats)
                continue
            total += len(seats)
            if total > MOST_SEATS:
                self._say((*path, "range"), f"makes {total} seats; a site has {MOST_SEATS} at the most")
                continue
            taken: dict[Path_, list[str]] = {}
            for id in seats:
                if id in self._place:
                    taken.setdefault(self._place[id], []).append(id)
                else:
                    self._kind[id], self._place[id] = SEAT, path
            for ids in taken.values():
                which = ids[0] if len(ids) == 1 else f"{ids[0]} to {ids[-1]}"
                self._say((*path, "range"), f"{which} stands in {self._where(ids[0])} already")
            self._ranges[group] = seats

    # Nodes.

    def _ties(self, path: Path_, entry: _Entry | _Seats) -> dict[Relation, tuple[str, ...]]:
        """Return what an entry hangs on, what cannot be so left out."""
        found: dict[Relation, tuple[str, ...]] = {}
        for key, relation in _KEYS.items():
            said = getattr(entry, "within" if key == "in" else key, None)
            ids = self._known(path, key, (said,) if isinstance(said, str) else said or ())
            if ids:
                found[relation] = ids
        return found

    def _known(self, path: Path_, key: str, ids: Iterable[str]) -> tuple[str, ...]:
        """Return the ids that can stand at a key, each once, and say what is wrong with the others."""
        good: dict[str, None] = {}
        for id in ids:
            kind = self._kind.get(id)
            if kind is None and id in self.unread:
                continue
            if kind is not None and self._can(key, id, kind):
                good[id] = None
            elif kind is not None:
                self._say((*path, key), f'"{id}" is of kind {kind}, which {_LACKS[key]}{self._nearest(key, id)}')
            elif key != "seat" or len(self._ranges) == len(self._tables.seats) + len(self._unread_seats):
                what = {"seat": SEAT}.get(key, AREA if _LACKS[key] == "is no area" else "node")
                self._say((*path, key), f'unknown {what} "{id}"{self._nearest(key, id)}')
        return tuple(good)

    def _can(self, key: str, id: str, kind: str) -> bool:
        """Tell whether a thing of a kind can stand at a key."""
        if key == "seat":
            return kind == SEAT
        if key in ("area", "in", "cools"):
            return kind == AREA
        if key == "needs":
            return kind == _SERVICE or id in self._devices
        if key == "connected_by":
            return kind == _NETWORK or id in self._devices
        if id in self._devices:  # UPS, generator, transfer switch, or what a site's own kinds add to them
            return kind not in self._kinds or self._kinds[kind].power
        return kind in (MAINS, "panel", "circuit", _NETWORK)  # a switch feeds phones (PoE)

    def _nearest(self, key: str, id: str) -> str:
        """Name the nearest word of those that can stand at a key; of seats the ranges, not all of them."""
        if key not in self._candidates:
            self._candidates[key] = (
                [entry.range for entry in self._tables.seats.values()]
                if key == "seat"
                else [id for id, kind in self._kind.items() if self._can(key, id, kind)]
            )
        return nearest(id, self._candidates[key])

    def _seats(self, group: str, seats: SeatRange) -> dict[str, Node]:
        path: Path_ = ("seats", group)
        entry = self._tables.seats[group]
        name = text_of(entry.name)
        try:
            name.format(seat="")
        except (AttributeError, IndexError, KeyError, ValueError):
            self._say((*path, "name"), "the only placeholder here is {seat}")
            name = Text("", "")
        own = frozenset(seats)
        spare = self._among(path, "spare", entry.range, own, entry.spare)
        off = self._among(path, "maintenance", entry.range, own, entry.maintenance)
        ties, staffed = self._ties(path, entry), self._staffed.get(group, ())  # one for all of them
        return {
            id: Node(id, name.format(seat=id), SEAT, ties, spare=id in spare, maintenance=id in off, staffed=staffed)
            for id in seats
        }

    def _among(self, path: Path_, key: str, span: str, own: frozenset[str], said: Iterable[str]) -> set[str]:
        """Return the seats of a range that a key names, by ranges too."""
        found = set[str]()
        for text in said:
            kept = seats_of(text)
            if isinstance(kept, str):
                self._say((*path, key), kept)
            elif len(kept) > len(own) or not own.issuperset(kept):
                self._say((*path, key), f'"{text}" is not within {span}')
            else:
                found.update(kept)
        return found

    def _device(self, id: str, entry: DeviceTies, nodes: Mapping[str, Node]) -> Node:
        """Tie a device; what it does not say itself its seat says. What cools is cooled by nobody."""
        path = self._path("devices", id)
        ties = self._ties(path, entry)
        seat = next(iter(self._known(path, "seat", () if entry.seat is None else (entry.seat,))), None)
        if seat is not None:
            ties = {**nodes[seat].parents, **ties}
        if Relation.PLACE in ties and not entry.cools:
            ties[Relation.COOLING] = ties[Relation.PLACE]
        return Node(id, text_of(entry.name), _kind_of(entry), ties, seat, device=True)

    def _cool(self, nodes: dict[str, Node]) -> None:
        """Hang areas on what cools them; one without coolers of its own is cooled with the area around it."""
        coolers: dict[str, list[str]] = {}
        for id, device in self._devices.items():
            for area in self._known(self._path("devices", id), "cools", device.cools):
                coolers.setdefault(area, []).append(id)
        for area in self._tables.areas:
            node = nodes[area]
            by = tuple(coolers.get(area, ())) or node.parents.get(Relation.PLACE, ())
            if by and node.kind == AREA:
                nodes[area] = Node(area, node.name, AREA, {**node.parents, Relation.COOLING: by})

    # What is wrong with the whole, and what may be.

    def _one_mains(self) -> None:
        mains = [id for id, entry in self._tables.power.items() if entry.kind == MAINS]
        for id in mains[1:]:
            self._say(("power", id, "kind"), f"the site has its mains already: {self._where(mains[0])}")
        for id in mains:
            if self._tables.power[id].fed_by:
                self._say(("power", id, "fed_by"), "the mains is where power comes in; nothing of the site feeds it")

    def _no_cycles(self, nodes: Mapping[str, Node]) -> None:
        """Say every way on which something hangs on itself."""
        for key, relation in _KEYS.items():
            if key == "area":  # nothing stands in what is no area, and areas say it with `in`
                continue
            above = set(chain.from_iterable(node.parents.get(relation, ()) for node in nodes.values()))
            graph = {id: set(nodes[id].parents.get(relation, ())) for id in above}
            while cycle := _cycle(graph):
                self._say((*self._place[cycle[0]], key), f"hangs on itself: {' → '.join(cycle)}")
                graph[cycle[0]].discard(cycle[1])

    def _look_over(self, tree: SiteTree) -> None:
        """Note what may have been forgotten."""
        mains = tree.mains
        backed = next(iter(tree.of_kind("ups", "generator")), None)
        if mains is None and backed is not None:
            self._note(("power",), f'no [power.<id>] has kind = "mains", yet {backed.id} stands in for it')
        for ups in tree.of_kind("ups"):
            if mains is not None and not tree.parents(ups.id, Relation.POWER):
                self._note(("devices", ups.id), "is fed by nothing; say with fed_by what its input hangs on")
        for group, seats in self._ranges.items():
            if not tree.parents(next(iter(seats)), Relation.POWER):
                self._note(("seats", group), "are fed by nothing: no fault of the supply will account for dark seats")
        cooled = {area for area in self._tables.areas if tree.parents(area, Relation.COOLING)}
        for area in self._tables.areas if cooled else ():
            if area not in cooled and cooled.isdisjoint(tree.below(area, Relation.PLACE)):
                self._note(("areas", area), "is cooled by nothing, while other areas are; say cools at a device")

    def _note(self, path: Sequence[str | int], text: str) -> None:
        self.notes.append(self._document.mistake(path, text))


def left_out(document: Document, table: str, read: Mapping[str, object]) -> set[str]:
    """Return the ids that stand in a table of the files and were too wrong to be read."""
    said = document.data.get(table)
    return said.keys() - read.keys() if isinstance(said, dict) else set()


def _kind_of(entry: _Entry) -> str:
    return entry.driver.partition("/")[0] if isinstance(entry, DeviceTies) else str(getattr(entry, "kind", ""))


def _cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return a way from a node to itself, begun at the first of its ids; empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        way: list[str] = error.args[1][:0:-1]
        start = way.index(min(way))
        return [*way[start:], *way[: start + 1]]
    return []
