"""Who gives what to whom, and which alarm accounts for what does not arrive. Pure.

Power and network are lost when all that give them are lost, cooling and a needed service when any is. Where a thing
stands explains nothing. What carries on by itself, a UPS on its battery or a generator with the load, keeps what
hangs on it fed; one that cannot be read is taken to do so, since what is not known to be lost explains nothing. A
generator is the other way round: it gives only while it is known to. A thing without power gives nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from edgeagent.catalog import Relation
from edgeagent.sitetree import SiteTree
from edgeagent.witnesses import GENERATOR, SWITCH, UPS, Said

GIVEN: Final = (Relation.POWER, Relation.NETWORK, Relation.SERVICE, Relation.COOLING)
"""What can be lost, the most telling first."""
FEED: Final = "feed"
"""What is lost where a device's own input is: it gives on as long as it can."""
_ANY: Final = frozenset({Relation.COOLING, Relation.SERVICE})
_SILENT: Final = Said()


class Flow:
    """What flows through the tree by now.

    `blame(node, relation, alarm, on)` tells it which alarms say that a node gives nothing. Its answers are kept until
    something changes.
    """

    def __init__(self, tree: SiteTree, said: Callable[[str], Said | None]) -> None:
        self._tree, self._said = tree, said
        self._blamed: dict[tuple[str, str], set[str]] = {}
        self._proven: dict[str, tuple[str, ...]] = {}
        self._lit: dict[str, int] = {}
        self._known: dict[tuple[str, Relation], str | None] = {}
        self._above: dict[tuple[tuple[str, ...], Relation], frozenset[str]] = {}
        self._all: dict[str, frozenset[str]] = {}
        self._changed: set[str] = set()

    # -- what changes it --------------------------------------------------------------------------------------

    def blame(self, node: str, relation: str, alarm_id: str, *, on: bool) -> None:
        """Note that an alarm says a node gives nothing of a kind, or says so no more."""
        alarms = self._blamed.setdefault((node, relation), set())
        if on is not (alarm_id in alarms):
            (alarms.add if on else alarms.discard)(alarm_id)
            self._change(node)

    def moved(self, devices: Iterable[str]) -> None:
        """Note that devices say something else about the supply."""
        for id in devices:
            said = self._said(id)
            chain = self._proof(id) if said is not None and said.input else ()
            before = self._proven.get(id, ())
            for node in before:
                self._lit[node] -= 1
            for node in chain:
                self._lit[node] = self._lit.get(node, 0) + 1
            self._proven[id] = chain
            for node in (id, *set(before).symmetric_difference(chain)):
                self._change(node)

    @property
    def stirred(self) -> bool:
        """Tell whether something changed since `changed` was asked."""
        return bool(self._changed)

    def changed(self) -> frozenset[str]:
        """Take the nodes at which something changed since the last call."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def _change(self, node: str) -> None:
        self._changed.add(node)
        self._known.clear()

    def _proof(self, ups: str) -> tuple[str, ...]:
        """Return the nodes that surely give power because a UPS gets it: no other way leads to it."""
        chain: list[str] = []
        parents = self._tree.parents(ups, Relation.POWER)
        while len(parents) == 1:
            chain.append(parents[0])
            parents = self._tree.parents(parents[0], Relation.POWER)
        return tuple(chain)

    # -- what it answers --------------------------------------------------------------------------------------

    def lacks(self, id: str, relation: Relation) -> str | None:
        """Return the alarm that accounts for a thing not getting something; None if it may well get it."""
        parents = self._tree.parents(id, relation)
        if relation is Relation.POWER:
            if (cut := self.accuser(id, FEED)) is not None:
                return cut
            parents = self._feeding(id, parents)
        lost = [self.withholds(parent, relation) for parent in parents]
        if relation in _ANY:
            return next((alarm for alarm in lost if alarm is not None), None)
        return lost[0] if lost and None not in lost else None

    def withholds(self, id: str, relation: Relation) -> str | None:
        """Return the alarm that accounts for a thing not giving something."""
        key = (id, relation)
        if key not in self._known:
            self._known[key] = self._withholds(id, relation)
        return self._known[key]

    def accuser(self, id: str, relation: str) -> str | None:
        """Return the alarm, of the thing itself or of its circuit, that says it gives nothing."""
        return min(self._blamed.get((id, relation), ()), default=None)

    def above(self, id: str, relation: Relation) -> frozenset[str]:
        """Return all that a thing hangs on by one relation: one set for all that hang on the same."""
        key = (self._tree.parents(id, relation), relation)
        found = self._above.get(key)
        if found is None:
            parents = key[0]
            found = frozenset(parents).union(*(self.above(parent, relation) for parent in parents))
            self._above[key] = found
        return found

    def all_above(self, id: str) -> frozenset[str]:
        """Return all whose faults can matter to a thing, by whatever relation."""
        if id not in self._all:
            near = frozenset({id}).union(*(self.above(id, relation) for relation in Relation))
            # A cooler, a switch or a server is lost with its power.
            self._all[id] = near.union(*(self.above(each, Relation.POWER) for each in near))
        return self._all[id]

    def _withholds(self, id: str, relation: Relation) -> str | None:
        power = relation is Relation.POWER
        if power and self._lit.get(id):
            return None
        own = self.accuser(id, relation)
        if own is not None:
            return own
        if power and self._fed_anyway(id):
            return None
        lost = self.lacks(id, relation)
        return lost if lost is not None or power else self.withholds(id, Relation.POWER)

    def _fed_anyway(self, id: str) -> bool:
        """Tell whether a thing gives power whatever is above it."""
        kind = self._kind(id)
        if kind == UPS:
            said = self._said(id)
            return said is None or said.feeds is not False
        return kind == GENERATOR and self._runs(id)

    def _feeding(self, id: str, parents: tuple[str, ...]) -> tuple[str, ...]:
        """Return the parents that count: a generator at rest feeds nothing, a switch stands on one side."""
        sets = tuple(parent for parent in parents if self._kind(parent) == GENERATOR)
        position = (self._said(id) or _SILENT).position if self._kind(id) == SWITCH else None
        if position == "generator" and sets:
            running = tuple(parent for parent in sets if (self._said(parent) or _SILENT).feeds is not False)
            return running or tuple(parent for parent in parents if parent not in sets)
        if position == "mains" and len(sets) < len(parents):
            return tuple(parent for parent in parents if parent not in sets)
        return tuple(parent for parent in parents if parent not in sets or self._runs(parent)) or parents

    def _runs(self, id: str) -> bool:
        return (self._said(id) or _SILENT).feeds is True

    def _kind(self, id: str) -> str:
        node = self._tree.nodes.get(id)
        return "" if node is None else node.kind


def near_devices(tree: SiteTree, id: str, relations: Iterable[Relation]) -> frozenset[str]:
    """Return the nearest devices that a thing hangs on: those to ask when it fails."""
    found: set[str] = set()
    for relation in relations:
        border = list(tree.parents(id, relation))
        while border:
            parent = border.pop()
            node = tree.nodes.get(parent)
            if node is not None and node.device:
                found.add(parent)
            else:
                border += tree.parents(parent, relation)
    return frozenset(found)
