"""What a run of a procedure is about, and what belongs to that. Pure.

Owns the questions that procedures ask of the site's tree: the scope of an alarm, the devices of a kind in a scope, the
spare seats near a seat. Knows no alarm and no reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from edgeagent.catalog import Relation, Text
from edgeagent.procedure import Proof, Scope
from edgeagent.sitetree import AREA, SEAT, SiteTree

SITE: Final = "site"
"""Scope of a run that is about the whole site."""
_SITE: Final = Text("the whole site", "全场")


class Scopes:
    """The site as procedures see it. `kinds` are the kinds of all resources, those that no tree names among them."""

    def __init__(self, tree: SiteTree, kinds: Mapping[str, str]) -> None:
        self._tree = tree
        self._kinds = {**{node.id: node.kind for node in tree.nodes.values()}, **kinds}
        self._of_kind: dict[str, list[str]] = {}
        for id, kind in self._kinds.items():
            self._of_kind.setdefault(kind, []).append(id)
        self._spares = [node.id for node in tree.of_kind(SEAT) if node.spare]

    def knows(self, id: str) -> bool:
        """Tell whether the site has such a thing."""
        return id == SITE or id in self._kinds

    def kind(self, id: str) -> str:
        """Return the kind of a resource, "" for an unknown one."""
        return self._kinds.get(id, "")

    def seat(self, id: str) -> str | None:
        """Return the seat that a resource is, or is part of."""
        node = self._tree.nodes.get(id)
        if node is None:
            return None
        return id if node.kind == SEAT else node.seat

    def of(self, scope: Scope, resource: str) -> str:
        """Return the id of what a run is about when a fault is at a resource; the resource itself where none fits."""
        if scope is Scope.SITE:
            return SITE
        if scope is Scope.SEAT:
            return self.seat(resource) or resource
        if scope is Scope.AREA and self.kind(resource) != AREA:
            return self._tree.area(resource) or self._tree.area(self.seat(resource) or "") or resource
        return resource

    def name(self, scope: str) -> Text:
        """Return what people call it."""
        return _SITE if scope == SITE else self._tree.name(scope)

    def devices(self, proof: Proof, scope: str, affected: Collection[str]) -> tuple[str, ...]:
        """Return the devices that a proof looks at, in a run that is about `scope` and hits `affected`."""
        if proof.resource is not None:
            return (proof.resource,)
        found = self._of_kind.get(proof.kind, [])
        if scope != SITE:
            within = {scope, *affected, *self._tree.parts(scope), *self._tree.below(scope, Relation.PLACE)}
            found = [id for id in found if id in within or self.seat(id) in within]
        if proof.area is not None:
            here = set(self._tree.below(proof.area, Relation.PLACE))
            found = [id for id in found if id in here or self.seat(id) in here]
        hits = set(affected) if proof.affected else set()
        return tuple([id for id in found if id in hits] or found)

    def spares(self, seat: str) -> Iterator[str]:
        """Give the spare seats, those of the same area first."""
        area = self._tree.area(seat)
        here = [spare for spare in self._spares if self._tree.area(spare) == area]
        yield from here
        yield from (spare for spare in self._spares if spare not in here)

    def parts(self, seat: str) -> tuple[str, ...]:
        """Return a seat and its devices."""
        return (seat, *self._tree.parts(seat))
