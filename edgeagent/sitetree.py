"""The site as a tree: what feeds, cools, connects and serves what, and what stands where. Pure.

Owns the model and its questions. `treefiles.py` reads it from the site's files and says what is wrong with it; what
follows from a fault in it is for `causes.py`. Every relation is free of cycles. A node with several parents of one
relation has them all: two feeds, two coolers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from edgeagent.catalog import Relation, Text
from edgeagent.scenario import Hours

MAINS: Final = "mains"
"""Kind of the node at which the grid comes in. A site has one, or none that it tells of."""
SEAT: Final = "seat"
AREA: Final = "area"
_NOTHING: Final[Mapping[Relation, tuple[str, ...]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CauseSettings:
    """How the cause finder of a site weighs and waits. Times in s.

    A fault that something above it could account for waits `hold`, so that the cause can speak first. `quorum` alike
    faults that began within `window` of each other, at a `share` of what hangs on one node and can fail now, are one
    group fault. After its cause is over a fault has been read again and waits `settle` before it may speak for
    itself. A generator that is ready should have the load within `transfer`.
    """

    hold: float = 10.0
    quorum: int = 5
    share: float = 0.5
    window: float = 60.0
    settle: float = 30.0
    transfer: float = 60.0


@dataclass(frozen=True, slots=True)
class Node:
    """One thing of the site: a device, a seat, an area, or something that nobody polls (mains, panel, circuit).

    `kind` is the device's kind, or mains, panel, circuit, area, seat, service. `seat` is the seat that a device is
    part of; it hangs on what its seat hangs on. `spare` marks a seat that is kept free for an agent whose own fails,
    `maintenance` one that is being worked on. `staffed` are the hours in which somebody works there, always if none.
    """

    id: str
    name: Text
    kind: str
    parents: Mapping[Relation, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)
    seat: str | None = None
    spare: bool = False
    device: bool = False
    maintenance: bool = False
    staffed: tuple[Hours, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteTree:
    """All nodes by id."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    _children: Mapping[Relation, Mapping[str, tuple[str, ...]]] = field(init=False, repr=False, compare=False)
    _parts: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Turn the edges round once: what hangs on a node is asked as often as what it hangs on."""
        children: dict[Relation, dict[str, list[str]]] = {relation: {} for relation in Relation}
        parts: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for relation, parents in node.parents.items():
                for parent in parents:
                    children[relation].setdefault(parent, []).append(node.id)
            if node.seat is not None:
                parts.setdefault(node.seat, []).append(node.id)
        frozen = {relation: {id: tuple(ids) for id, ids in found.items()} for relation, found in children.items()}
        object.__setattr__(self, "_children", frozen)
        object.__setattr__(self, "_parts", {seat: tuple(ids) for seat, ids in parts.items()})

    def parents(self, id: str, relation: Relation) -> tuple[str, ...]:
        """Return what a node hangs on directly; nothing for an unknown id."""
        node = self.nodes.get(id)
        return () if node is None else node.parents.get(relation, ())

    def children(self, id: str, relation: Relation) -> tuple[str, ...]:
        """Return what hangs on a node directly."""
        return self._children[relation].get(id, ())

    def above(self, id: str, relation: Relation) -> tuple[str, ...]:
        """Return all that a node hangs on, the nearest first."""
        return self._reached(id, relation, self.parents)

    def below(self, id: str, relation: Relation) -> tuple[str, ...]:
        """Return all that hangs on a node, the nearest first."""
        return self._reached(id, relation, self.children)

    def parts(self, seat: str) -> tuple[str, ...]:
        """Return the devices of a seat."""
        return self._parts.get(seat, ())

    def area(self, id: str) -> str | None:
        """Return the area in which a node stands; a nested area stands in the one around it."""
        found = self.parents(id, Relation.PLACE)
        return found[0] if found else None

    def of_kind(self, *kinds: str) -> Iterable[Node]:
        """Give the nodes of some kinds, in the order of the site's files."""
        return (node for node in self.nodes.values() if node.kind in kinds)

    @property
    def mains(self) -> str | None:
        """The id of the node at which the grid comes in, None where the site tells of none."""
        return next((node.id for node in self.of_kind(MAINS)), None)

    def name(self, id: str) -> Text:
        """Return the name of a node; an unknown one is called by its id."""
        node = self.nodes.get(id)
        return Text(id, id) if node is None else node.name

    @staticmethod
    def _reached(id: str, relation: Relation, step: Callable[[str, Relation], tuple[str, ...]]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        border = list(step(id, relation))
        while border:
            found |= dict.fromkeys(border)
            border = [further for each in border for further in step(each, relation) if further not in found]
        return tuple(found)
