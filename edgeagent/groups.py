"""Faults of many: alike faults that share something become one alarm on what they share. Pure.

Alike are faults of one alarm type at seats, each seat counted once, or at devices of one kind. Those count that
began within the window, be they raised or still waiting to be; a fault waits long enough that its fellows can come.
When the first of them is about to be told, the most specific thing is sought below which there are at least `quorum`
of them and a `share` of all that could have the fault, and four fifths of all that have it. A seat that left, is not
staffed or is being worked on could not: it does not count until it is back. The fault of many stands there, and ends
when fewer than half of the quorum are left. Where something already accounts for them there is none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final, TypeAlias

from edgeagent.alarm import Rule, Ruled
from edgeagent.alarms import Alarms
from edgeagent.catalog import AlarmType, Level, Relation, Severity, Text
from edgeagent.causes import GROUP
from edgeagent.explaining import Flow
from edgeagent.lifecycle import Live, Presence
from edgeagent.readings import Reading, Readings
from edgeagent.rules import parse
from edgeagent.seatverdict import AWAY
from edgeagent.sitetree import SEAT, CauseSettings, SiteTree

_SHARED: Final = (Relation.NETWORK, Relation.POWER, Relation.SERVICE, Relation.PLACE)
_MOST: Final = 0.8
_GRAVE: Final = (10, 0.8)
"""From this many seats and this share of them on it is critical."""
_ASIDE: Final = re.compile(r" ?[(（]\{value\}[)）]")
"""What one seat's witnesses say; of many it is left out."""
_VARYING: Final = re.compile(r"\{(value|unit|limit|qualifier)\}")
_MANY: Final = {"is": "are", "has": "have", "does": "do", "runs": "run", "reports": "report", "sees": "see"}

Key: TypeAlias = tuple[str, str]
"""Alarm type id, and `seat` or the kind of the devices: faults with one key are alike."""
GroupMemory: TypeAlias = tuple[str, Relation, str, str, bool] | tuple[str, Relation, str, str, bool, int]
"""What a restart needs of a group: node, relation, key, whether it is formed, its size. Older ones tell no size."""


@dataclass(slots=True)
class Group:
    """One fault of many on a node. `there` counts the alarms of each member that has it, `whose` says whose each is.

    `size` is how many could have it when it began. `formed` is from when the quorum is met until the alarm is over:
    alike faults that come later are another story.
    """

    node: str
    relation: Relation
    key: Key
    rule: Rule
    size: int
    formed: bool = True
    there: Counter[str] = field(default_factory=Counter)
    whose: dict[str, str] = field(default_factory=dict)

    @property
    def point(self) -> str:
        """The reading that counts them."""
        return f"alike.{self.key[0]}"


class Groups:
    """All faults of many. `readings` are the counts by node and point."""

    def __init__(
        self, alarms: Alarms, tree: SiteTree, flow: Flow, settings: CauseSettings, ruled: Iterable[Ruled],
        explained: Callable[[Live], bool],
    ) -> None:  # fmt: skip
        self._alarms, self._tree, self._flow, self._settings = alarms, tree, flow, settings
        self._explained = explained
        self.readings: dict[str, dict[str, Reading]] = {}
        self._types: dict[Key, AlarmType] = {}
        self._parts: dict[Key, str] = {}
        seen: set[tuple[tuple[Rule, ...], str, bool, bool]] = set()
        for each in ruled:
            node = tree.nodes.get(each.resource)
            if node is None or (alike := (each.forms, node.kind, node.device, node.seat is None)) in seen:
                continue
            seen.add(alike)
            for rule in each.rules():
                if groupable(rule.type) and (key := self._alike(rule)) is not None and key not in self._types:
                    self._types[key], self._parts[key] = rule.type, self._part(rule)
        self._faulty: dict[Key, dict[str, Live]] = {}
        self._below: dict[Key, Counter[tuple[str, Relation]]] = {}
        """How many of those hang on each node, whoever they are: at least as many as can be one of many there."""
        self._groups: dict[str, Group] = {}
        self._sizes: dict[tuple[str, Relation], Counter[str]] = {}
        self._away: dict[str, set[str]] = {part: set() for part in self._parts.values()}
        self._less: dict[tuple[str, Relation], Counter[str]] = {
            (part, relation): Counter() for part in self._away for relation in _SHARED
        }
        self._again: dict[str, None] = {}
        self._dirty = False

    # -- who is in one ----------------------------------------------------------------------------------------

    def of(self, live: Live) -> str | None:
        """Return the alarm of the fault of many that a fault is one of."""
        for group in self._groups.values():
            if group.formed and self._within(group, live):
                return group.rule.id
        return None

    def _within(self, group: Group, live: Live) -> bool:
        return group.key == self._key(live.rule) and group.node in self._flow.above(live.rule.resource, group.relation)

    def _key(self, rule: Rule) -> Key | None:
        """Return what tells alike faults; None for one that cannot be one of many."""
        key = self._alike(rule)
        return key if key in self._types else None

    def _alike(self, rule: Rule) -> Key | None:
        if rule.qualifier:
            return None
        node = self._tree.nodes.get(rule.resource)
        if node is None or not (node.device or node.kind == SEAT):
            return None
        return rule.type.id, SEAT if node.seat else node.kind

    def _part(self, rule: Rule) -> str:
        """Return the point of a seat that says whether it can have a fault now, "" where it always can."""
        node = self._tree.nodes[rule.resource]
        if node.seat is not None:
            return "phone" if node.kind == "phone" else "workstation"
        return next(iter(rule.points)) if node.kind == SEAT and len(rule.points) == 1 else ""

    def _member(self, live: Live) -> str:
        node = self._tree.nodes[live.rule.resource]
        return node.seat or node.id

    # -- one step ---------------------------------------------------------------------------------------------

    def count(self, points: Iterable[tuple[str, str]], seats: Mapping[str, Readings]) -> None:
        """Take in which points of seats changed: what is away there cannot have a fault."""
        for seat, point in points:
            away = self._away.get(point)
            if away is None or (gone := seats[seat][point].value in AWAY) is (seat in away):
                continue
            (away.add if gone else away.discard)(seat)
            for relation in _SHARED:
                less = self._less[point, relation]
                for node in self._flow.above(seat, relation):
                    less[node] += 1 if gone else -1

    def take(self, moved: Iterable[str], now: float) -> list[tuple[str, str]]:
        """Take in which alarms came and went; return the counts that changed."""
        hit: dict[str, Group] = {}
        for alarm_id in moved:
            if alarm_id in self._groups:
                self._end(self._groups[alarm_id], hit)
            live = self._alarms.roster.get(alarm_id)
            key = self._key(live.rule) if live is not None else None
            there = live if key is not None and live is not None and live.presence is not Presence.GONE else None
            for other, faulty in self._faulty.items():
                if (there is None or other != key) and (left := faulty.pop(alarm_id, None)) is not None:
                    self._hang(other, left, -1)
            if there is not None and key is not None:
                faulty = self._faulty.setdefault(key, {})
                if alarm_id not in faulty:
                    self._hang(key, there, 1)
                faulty[alarm_id] = there
            for group in self._groups.values():
                if self._count(group, alarm_id, there):
                    hit[group.rule.id] = group
        return [point for group in hit.values() for point in self._read(group, now)]

    def form(self, alone: Iterable[Live], now: float) -> list[tuple[str, str]]:
        """Look for what raised alarms share that nothing explains; return the counts that began."""
        counts: list[tuple[str, str]] = []
        for key in sorted({key for live in alone if (key := self._key(live.rule)) is not None}):
            if not self._may(key):
                continue
            since = now - self._settings.window
            fresh = {
                alarm_id: live
                for alarm_id, live in self._faulty.get(key, {}).items()
                if (live.record is None or live.listed.raised is None or not live.standing
                    or live.listed.raised >= since)
                and self.of(live) is None and not self._explained(live)
            }  # fmt: skip
            while (found := self._shared(key, fresh.values())) is not None:
                group = self._begin(key, *found)
                for alarm_id, live in self._faulty[key].items():
                    self._count(group, alarm_id, live)
                self._again |= dict.fromkeys(group.whose)
                fresh = {alarm_id: live for alarm_id, live in fresh.items() if not self._within(group, live)}
                counts += self._read(group, now)
        return counts

    def _hang(self, key: Key, live: Live, by: int) -> None:
        """Count a fault in or out on all that its resource hangs on."""
        below = self._below.setdefault(key, Counter())
        for relation in _SHARED:
            for node in self._flow.above(live.rule.resource, relation):
                below[node, relation] += by
                if not below[node, relation]:
                    del below[node, relation]

    def _may(self, key: Key) -> bool:
        """Tell whether enough alike faults hang on anything at all; a look at each of them costs more."""
        quorum, share, part = self._settings.quorum, self._settings.share, self._parts[key]
        return any(
            count >= quorum and count >= share * (self._size(key[1], relation)[node] - self._less[part, relation][node])
            for (node, relation), count in self._below.get(key, Counter()).items()
        )

    def onsets(self, counts: Iterable[tuple[str, str]], now: float) -> dict[tuple[str, str], float]:
        """Return since when faults of many are there that are not raised yet: since the first of each failed."""
        wanted, since = set(counts), now - self._settings.window
        found: dict[tuple[str, str], float] = {}
        for group in self._groups.values():
            if (group.node, group.point) not in wanted or self._stands(group):
                continue
            lives = (live for id, live in self._faulty.get(group.key, {}).items() if id in group.whose)
            begun = (detector.onset for live in lives for detector in live.state.detectors)
            first = min((onset for onset in begun if onset is not None and onset >= since), default=None)
            if first is not None:
                found[group.node, group.point] = first
        return found

    def _stands(self, group: Group) -> bool:
        live = self._alarms.roster.get(group.rule.id)
        return live is not None and live.standing

    def again(self) -> list[str]:
        """Take the alarms that became one of many since the last call."""
        again, self._again = list(self._again), {}
        return again

    def sweep(self) -> None:
        """Forget those whose alarm is no longer under way."""
        for alarm_id, group in list(self._groups.items()):
            if not group.formed and self._alarms.roster.get(alarm_id) is None:
                del self._groups[alarm_id]
                self._alarms.dismiss(group.rule)
                self.readings.get(group.node, {}).pop(group.point, None)
                self._dirty = True

    def _end(self, group: Group, hit: dict[str, Group]) -> None:
        """Let a fault of many be over once its alarm is."""
        live = self._alarms.roster.get(group.rule.id)
        if group.formed and (live is None or live.presence is Presence.GONE):
            group.formed, self._dirty = False, True
            hit[group.rule.id] = group

    def _count(self, group: Group, alarm_id: str, live: Live | None) -> bool:
        """Count an alarm in or out; tell whether the number of members is another one."""
        before = len(group.there)
        if live is None and alarm_id in group.whose:
            member = group.whose.pop(alarm_id)
            group.there[member] -= 1
            if not group.there[member]:
                del group.there[member]
        elif live is not None and alarm_id not in group.whose and self._within(group, live):
            group.whose[alarm_id] = member = self._member(live)
            group.there[member] += 1
        return len(group.there) != before

    def _read(self, group: Group, now: float) -> list[tuple[str, str]]:
        origin = next(
            (live.state.origin for live in self._faulty.get(group.key, {}).values() if live.state.origin), None
        )
        reading = Reading(len(group.there) if group.formed else 0, now, origin=origin)
        readings = self.readings.setdefault(group.node, {})
        if reading.same(readings.get(group.point)):
            return []
        readings[group.point] = reading
        return [(group.node, group.point)]

    # -- what they share --------------------------------------------------------------------------------------

    def _shared(self, key: Key, faulty: Iterable[Live]) -> tuple[str, Relation, int] | None:
        """Return the most specific thing that alike faults share and how many could; None if that is nothing."""
        settings = self._settings
        members = {self._member(live): live.rule.resource for live in faulty}
        if len(members) < settings.quorum:
            return None
        told, part = self._types[key].explained_by, self._parts[key]
        # Who failed and then went away counts on both sides.
        left = [resource for member, resource in members.items() if member in self._away[part]]
        order = sorted(_SHARED, key=lambda relation: (relation not in told, _SHARED.index(relation)))
        candidates: list[tuple[int, int, int, int, str, Relation]] = []
        for rank, relation in enumerate(order):
            tally = self._tally(members.values(), relation)
            sizes, less, also = self._size(key[1], relation), self._less[part, relation], self._tally(left, relation)
            candidates += [
                (count, size, rank, -len(self._flow.above(node, relation)), node, relation)
                for node, count in tally.items()
                if count >= settings.quorum
                and count >= settings.share * (size := sizes[node] - less[node] + also[node])
                and self._free(node, relation, key)
            ]
        most = [each for each in candidates if each[0] >= _MOST * len(members)]
        if most:
            _, size, *_, node, relation = min(most, key=lambda each: each[1:5])
        elif candidates:
            _, size, *_, node, relation = min(candidates, key=lambda each: (-each[0], *each[1:5]))
        else:
            return None
        return node, relation, size

    def _free(self, node: str, relation: Relation, key: Key) -> bool:
        """Tell whether a fault of many can stand on a node: no alarm there accounts for it, and no other one does."""
        group = self._groups.get(f"{node}.{GROUP}.{key[0]}")
        taken = group is not None and (group.formed or group.key != key)
        return not taken and (relation is Relation.PLACE or self._flow.accuser(node, relation) is None)

    def _size(self, kind: str, relation: Relation) -> Counter[str]:
        """Return how many seats, or devices of a kind, hang on each node, away or not."""
        if (kind, relation) not in self._sizes:
            those = (node.id for node in self._tree.of_kind(kind) if node.kind == SEAT or node.seat is None)
            self._sizes[kind, relation] = self._tally(those, relation)
        return self._sizes[kind, relation]

    def _tally(self, ids: Iterable[str], relation: Relation) -> Counter[str]:
        """Count how many of these hang on each node; those that hang on the same are counted together."""
        tally: Counter[str] = Counter()
        for above, count in Counter(self._flow.above(id, relation) for id in ids).items():
            for node in above:
                tally[node] += count
        return tally

    def _begin(self, key: Key, node: str, relation: Relation, size: int) -> Group:
        rule = self._rule(key, node, size)
        before = self._groups.pop(rule.id, None)
        if before is not None:
            rule, size = before.rule, before.size
        else:
            self._alarms.admit(rule)
        group = self._groups[rule.id] = Group(node, relation, key, rule, size)
        self._dirty = True
        return group

    def _rule(self, key: Key, node: str, size: int) -> Rule:
        """Make the rule of a fault of many out of the alarm type of its members."""
        type = self._types[key]
        point = parse(f"alike.{type.id} >= limit")
        grave = type.levels[-1].severity.rank > Severity.WARNING.rank
        lowest = Severity.MAJOR if grave else Severity.MINOR
        levels = [Level(lowest, point, float(max(1, ceil(self._settings.quorum / 2))))]
        if grave and key[1] == SEAT and size >= _GRAVE[0]:
            levels.append(Level(Severity.CRITICAL, point, float(ceil(_GRAVE[1] * size))))
        made = AlarmType(
            GROUP, _of_many(type.text, seats=key[1] == SEAT), type.advice, tuple(levels), type.event_type,
            type.probable_cause, off_delay=type.off_delay, explained_by=type.explained_by,
        )  # fmt: skip
        return Rule(node, self._tree.name(node), made, type.id)

    # -- over a restart ---------------------------------------------------------------------------------------

    def memory(self) -> list[GroupMemory] | None:
        """Return what a restart needs as JSON-able data, None if it is as it was."""
        if not self._dirty:
            return None
        self._dirty = False
        return self.remembered()

    def remembered(self) -> list[GroupMemory]:
        """Return what a restart needs as JSON-able data."""
        return [(group.node, group.relation, *group.key, group.formed, group.size) for group in self._groups.values()]

    def restore(self, memory: Iterable[GroupMemory]) -> list[Rule]:
        """Take up what `memory` gave and is still of this site; return the rules."""
        for node, relation, type_id, kind, formed, *told in memory:
            if (type_id, kind) in self._types and node in self._tree.nodes:
                size = told[0] if told else self._size(kind, relation)[node]
                rule = self._rule((type_id, kind), node, size)
                self._groups[rule.id] = Group(node, relation, (type_id, kind), rule, size, formed)
        return [group.rule for group in self._groups.values()]


def groupable(type: AlarmType) -> bool:
    """Tell whether faults of this type can become one of many: nothing varies in its text, and a cause may hide it."""
    varies = any(_VARYING.search(_ASIDE.sub("", text)) for text in (type.text.en, type.text.zh))
    return bool(type.explained_by) and type.each is None and not varies and type.id != GROUP


def _of_many(text: Text, *, seats: bool) -> Text:
    """Turn the text of one into that of many: "40 seats at Hall: …"."""
    what = ("seats", "个座席") if seats else ("devices", "台设备")

    def several(match: re.Match[str]) -> str:
        return f"{{name}} {_MANY[match[1]]} "

    text = Text(_ASIDE.sub("", text.en), _ASIDE.sub("", text.zh))
    en = re.sub(r"\{name\} (" + "|".join(_MANY) + ") ", several, text.en).replace(" its ", " their ")
    many = f"{{name}}的 {{value}} {what[1]}"
    zh = re.sub(r"\{name\}( ?)", lambda match: f"{many}：" if match[1] else many, text.zh)
    return replace(text, en=en.replace("{name}", f"{{value}} {what[0]} at {{name}}"), zh=zh)
