"""Which UPSes each seat hangs on, and which seats go dark first when their batteries give out. Pure.

Owns the way from a seat up its supply to the nearest UPSes, looked up once, and the order of going dark. A seat with
two feeds is dark only when both are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edgeagent.catalog import Relation
from edgeagent.ridethrough import Ride
from edgeagent.sitetree import SEAT, SiteTree

_NUMBERED: Final = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True, slots=True)
class Dark:
    """Seats that go dark together, in `low` to `high` s from now: None where nobody knows, 0 where they are.

    `seats` are their ids as ranges ("a001..a020"), `count` how many, `upses` all that would have to give out.
    """

    seats: tuple[str, ...]
    count: int
    upses: tuple[str, ...]
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Supply:
    """What is known of the supply: the UPSes on battery by id, those off, and whether what has no UPS is dead."""

    rides: Mapping[str, Ride]
    off: frozenset[str] = frozenset()
    lost: bool = False
    circuits: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Group:
    """Seats of one supply: the nearest UPSes, and the nodes on the ways up that meet none."""

    upses: tuple[str, ...]
    bare: frozenset[str]
    seats: list[str] = field(default_factory=list)


class SeatFeeds:
    """The seats of a site by what they hang on."""

    def __init__(self, tree: SiteTree, upses: frozenset[str]) -> None:
        groups: dict[tuple[tuple[str, ...], frozenset[str]], _Group] = {}
        known: dict[tuple[str, ...], tuple[tuple[str, ...], frozenset[str]]] = {}
        for seat in tree.of_kind(SEAT):
            parents = tree.parents(seat.id, Relation.POWER)
            if not parents:
                continue  # nobody said what feeds it
            if parents not in known:
                known[parents] = _ways_up(tree, parents, upses)
            key = known[parents]
            groups.setdefault(key, _Group(*key)).seats.append(seat.id)
        self._groups = tuple(groups.values())
        self._ranges: dict[tuple[int, ...], tuple[str, ...]] = {}
        self.feeding: Final = frozenset(ups for group in self._groups for ups in group.upses)
        """The UPSes that seats hang on."""

    def dark(self, supply: Supply) -> tuple[Dark, ...]:
        """Say which seats go dark, the first of them first; those of which nobody knows when come last."""
        found: dict[tuple[str, ...], list[int]] = {}
        spans: dict[tuple[str, ...], tuple[float | None, float | None]] = {}
        for index, group in enumerate(self._groups):
            span = _span(group, supply)
            if span is not None:
                spans[group.upses] = span
                found.setdefault(group.upses, []).append(index)
        told = [
            Dark(self._named(tuple(indices)), self._count(indices), upses, *spans[upses])
            for upses, indices in found.items()
        ]
        return tuple(sorted(told, key=lambda dark: (dark.low is None, dark.low or 0.0, len(dark.upses), dark.upses)))

    def _count(self, indices: Iterable[int]) -> int:
        return sum(len(self._groups[index].seats) for index in indices)

    def _named(self, indices: tuple[int, ...]) -> tuple[str, ...]:
        if indices not in self._ranges:
            self._ranges[indices] = ranges(seat for index in indices for seat in self._groups[index].seats)
        return self._ranges[indices]


def ranges(ids: Iterable[str]) -> tuple[str, ...]:
    """Write ids that are numbered in a row as "first..last"."""
    named = sorted((_parts(id), id) for id in set(ids))
    told: list[list[str]] = []
    last: tuple[str, int, int] | None = None
    for parts, id in named:
        follows = last is not None and parts[1] >= 0 and parts == (last[0], last[1], last[2] + 1)
        if follows:
            told[-1][1:] = [id]
        else:
            told.append([id])
        last = parts
    return tuple("..".join(each) for each in told)


def _parts(id: str) -> tuple[str, int, int]:
    """Take an id apart into its stem, the width of its number and the number; -1 for none."""
    match = _NUMBERED.fullmatch(id)
    return (id, -1, -1) if match is None else (match[1], len(match[2]), int(match[2]))


def _ways_up(tree: SiteTree, parents: tuple[str, ...], upses: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Follow all feeds up to the nearest UPS of each; return these, and what lies on feeds without one."""
    found: dict[str, None] = {}
    bare: set[str] = set()

    def climb(id: str, path: tuple[str, ...]) -> None:
        if id in upses:
            found[id] = None
            return
        above = tree.parents(id, Relation.POWER)
        if not above:
            bare.update((*path, id))
        for parent in above:
            climb(parent, (*path, id))

    for parent in parents:
        climb(parent, ())
    return tuple(sorted(found)), frozenset(bare)


def _span(group: _Group, supply: Supply) -> tuple[float | None, float | None] | None:
    """Return when a group goes dark; None when something feeds it that is not about to give out."""
    if group.bare and not supply.lost and not group.bare & supply.circuits:
        return None
    low: float | None = 0.0
    high: float | None = 0.0
    for ups in group.upses:
        if ups in supply.off:
            continue
        ride = supply.rides.get(ups)
        if ride is None:
            return None
        low = None if low is None or ride.low is None else max(low, ride.low)
        high = None if high is None or ride.high is None else max(high, ride.high)
    return low, high
