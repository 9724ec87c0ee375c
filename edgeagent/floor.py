"""The floor: all alarms of one lane with what caused them. Pure: no clock, no await, no I/O; `now` is epoch s.

    readings → supply (`supply.py`) and seats (`seatwatch.py`) → detectors (`alarms.py`)
             → causes (`causes.py`) and groups (`groups.py`) → changes

One step judges first and tells last: what an alarm raised in a step is explained by may have been raised in the same
one. Owns the order in which these parts speak, and the readings that nobody polls: those of the mains and the seats,
and counts of alike faults.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import tzinfo
from typing import Any, Final, NotRequired

import msgspec
from typing_extensions import TypedDict

from edgeagent.alarm import Alarm, Change, Rule, Ruled, Settings
from edgeagent.alarms import Alarms
from edgeagent.catalog import AlarmType, Relation
from edgeagent.causes import Causes, of_the_grid
from edgeagent.config import Site
from edgeagent.explaining import Flow, near_devices
from edgeagent.groups import GroupMemory, Groups, groupable
from edgeagent.inventory import inventory
from edgeagent.lifecycle import Live, Presence
from edgeagent.readings import Missing, Quality, Readings
from edgeagent.seatwatch import SeatMemory, SeatWatch
from edgeagent.sitetree import SEAT
from edgeagent.supply import Supply, SupplyMemory
from edgeagent.survived import taken

_SILENT: Final = frozenset({missing.value for missing in Missing if missing.silent})
_ASKED: Final = (Relation.POWER, Relation.NETWORK, Relation.SERVICE, Relation.COOLING)
_ROUNDS: Final = 200
"""Of folding in one step; a few are the rule. Whatever may be wrong, the watching goes on."""


class FloorMemory(TypedDict):
    """What a restart needs of a floor but for its alarms."""

    supply: SupplyMemory
    groups: list[GroupMemory]
    seats: NotRequired[SeatMemory]


class _Group(msgspec.Struct, array_like=True, frozen=True):
    """A `GroupMemory` as it is read: an older one tells no size."""

    node: str
    relation: Relation
    type: str
    kind: str
    formed: bool
    size: int | None = None

    def told(self) -> GroupMemory:
        """Return it as it was written."""
        group = (self.node, self.relation, self.type, self.kind, self.formed)
        return group if self.size is None else (*group, self.size)


class _Kept(TypedDict):
    """`FloorMemory` as it is read."""

    supply: SupplyMemory
    groups: list[_Group]
    seats: NotRequired[SeatMemory]


class Floor:
    """Alarms and causes of one site. Its shifts go by the clocks of `zone`, the host's own if None."""

    def __init__(self, site: Site, zone: tzinfo | None = None) -> None:
        self._zone = zone
        ruled = planned(site)
        self._alarms = Alarms(ruled, Settings(settle=site.causes.settle))
        self._view: Mapping[str, Readings] = {}
        self._curious: set[str] = set()
        self._fresh: list[tuple[str, str]] = []
        self._unnamed: list[tuple[str, str]] = []
        self._build(site, ruled)

    def _build(self, site: Site, ruled: list[Ruled]) -> None:
        self._tree = site.tree
        self._supply = Supply(site.tree, site.causes.transfer)
        self._seats = SeatWatch(site, self._zone)
        self._flow = Flow(site.tree, self._supply.said.get)
        self._groups = Groups(self._alarms, site.tree, self._flow, site.causes, ruled, self._is_explained)
        self._causes = Causes(self._alarms, site.tree, self._flow, self._groups.of, self._circuits)

    def _is_explained(self, live: Live) -> bool:
        return self._causes.explains(live)

    def _circuits(self) -> frozenset[str]:
        reading = self._supply.readings.get("circuits")
        value = reading.value if reading is not None else None
        return value if isinstance(value, frozenset) else frozenset()

    # -- one step ---------------------------------------------------------------------------------------------

    def step(
        self, view: Mapping[str, Readings], changed: Iterable[tuple[str, str]], now: float, read: Iterable[str]
    ) -> list[Change]:
        """Take in what changed by (resource, point), and do what the timers owe.

        `view[resource][point]` is the reading by now. `read` are the devices that were asked for this step, whether
        they answered or not: an alarm whose cause is over may speak only after its device was asked again.
        """
        changed, read = list(changed), list(read)
        self._view = view
        self._miss(view, changed)
        moved, points, onsets = self._supply.step(view, changed, read, now)
        joined = _Joined(view, *self._derived())
        self._flow.moved(moved)
        self._curious |= self._supply.others(moved)
        seats, since = self._seats.step(view, changed, now)
        self._groups.count(seats, self._seats.readings)
        onsets |= since
        self._causes.heard(read, joined, now)
        changed += self._say([(self._supply.mains, point) for point in points if self._supply.mains is not None])
        changed += self._say(seats)
        changed += self._unnamed
        self._unnamed = []
        if "circuits" in points:
            self._causes.circuits_changed()
        self._alarms.judge(joined, changed, now, onsets)
        return self._settle(now)

    def calm(self, read: Collection[str], now: float) -> bool:
        """Take in that these devices were asked and nothing changed; False, and nothing done, if it takes a step."""
        if self._unnamed or self._causes.awaits(read):
            return False
        due = self.next_due()
        if due is not None and due <= now:
            return False
        self._supply.calm(read, now)
        return True

    def take(self, changes: list[Change], now: float) -> list[Change]:
        """Let what an operator changed in `alarms` have its consequences; return both."""
        return [*changes, *self._settle(now)]

    def _settle(self, now: float) -> list[Change]:
        """Fold and release until nothing moves any more, then tell."""
        for _ in range(_ROUNDS):
            moved = self._alarms.roster.moved()
            self._ask(moved)
            counts = self._groups.take(moved, now)
            self._causes.take(moved)
            counts += self._groups.form(self._causes.judge(now), now)
            self._causes.look_again(self._groups.again())
            if counts:
                self._fresh += counts
                onsets = self._groups.onsets(counts, now)
                self._alarms.judge(_Joined(self._view, *self._derived()), counts, now, onsets)
            elif not moved and not self._causes.pending:
                break
        self._causes.write(now)
        changes = self._alarms.tell(now)
        if changes:
            self._groups.sweep()
            self._seats.hear(changes, now)
        return changes

    def _say(self, told: list[tuple[str, str]]) -> list[tuple[str, str]]:
        self._fresh += told
        return told

    def _miss(self, view: Mapping[str, Readings], changed: Iterable[tuple[str, str]]) -> None:
        """Become curious about what is above a device that did not answer."""
        for id, point in dict(changed).items():
            readings = view.get(id)
            reading = None if readings is None else readings.get(point)
            if reading is not None and reading.quality is Quality.BAD and reading.reason in _SILENT:
                self._curious |= near_devices(self._tree, id, _ASKED)

    def _ask(self, moved: Iterable[str]) -> None:
        """Become curious about what is above a fault that begins."""
        for alarm_id in moved:
            live = self._alarms.roster.get(alarm_id)
            if live is not None and live.presence is Presence.COMING and live.rule.type.explained_by:
                self._curious |= near_devices(self._tree, live.rule.resource, live.rule.type.explained_by)

    # -- what the agent asks ----------------------------------------------------------------------------------

    @property
    def alarms(self) -> Alarms:
        """The alarm list, for what operators ask; give what they changed to `take`."""
        return self._alarms

    @property
    def derived(self) -> Mapping[str, Readings]:
        """The readings that nobody polls, by node and point."""
        return _Joined(*self._derived())

    def _derived(self) -> tuple[Mapping[str, Readings], ...]:
        mains = {} if self._supply.mains is None else {self._supply.mains: self._supply.readings}
        return self._groups.readings, self._seats.readings, mains

    def moved(self) -> list[tuple[str, str]]:
        """Take the derived readings, by (node, point), that changed since the last call."""
        fresh, self._fresh = list(dict.fromkeys(self._fresh)), []
        return fresh

    def curious(self) -> frozenset[str]:
        """Take the devices to poll at once: they may be the cause of what was just seen, or a witness of it."""
        curious, self._curious = frozenset(self._curious | self._seats.curious), set()
        self._seats.curious = set()
        return curious

    def next_due(self) -> float | None:
        """Return when the next timer runs out, epoch s; None if none runs."""
        dues = (self.delays(), self._seats.next_due())
        return min((due for due in dues if due is not None), default=None)

    def delays(self) -> float | None:
        """Return when the next timer runs out of which a restart must know how far it has run."""
        dues = (self._alarms.next_due(), self._supply.next_due(), self._causes.next_due())
        return min((due for due in dues if due is not None), default=None)

    def records(self) -> Mapping[str, Alarm]:
        """Return all listed records by alarm id."""
        return self._alarms.records()

    def folded(self, alarm_id: str) -> bool:
        """Tell whether an alarm is only in the snapshot: its cause has many, and no record of its own was published."""
        return self._alarms.roster.folded(alarm_id)

    def shift(self, delta: float) -> None:
        """Move all that runs along with a wall clock that stepped by `delta` s."""
        self._alarms.shift(delta)
        self._supply.shift(delta)
        self._seats.shift(delta)

    # -- over restarts and reloads ----------------------------------------------------------------------------

    def touched(self) -> frozenset[str]:
        """Take the alarm ids whose stored state changed since the last call."""
        return self._alarms.touched()

    def store(self, alarm_id: str) -> dict[str, object] | None:
        """Return all that a restart needs of one alarm as JSON-able data, None if its row can go."""
        return self._alarms.store(alarm_id)

    def memory(self) -> FloorMemory | None:
        """Return what else a restart needs as JSON-able data, None if it is as it was at the last call."""
        supply, groups, seats = self._supply.memory(), self._groups.memory(), self._seats.memory()
        if supply is None and groups is None and seats is None:
            return None
        return {
            "supply": self._supply.remembered() if supply is None else supply,
            "groups": self._groups.remembered() if groups is None else groups,
            "seats": self._seats.remembered() if seats is None else seats,
        }

    def remembered(self) -> FloorMemory:
        """Return what `memory` gives, changed or not."""
        return {
            "supply": self._supply.remembered(), "groups": self._groups.remembered(),
            "seats": self._seats.remembered(),
        }  # fmt: skip

    def restore(
        self, rows: Mapping[str, Mapping[str, object]], now: float, seen: float | None = None,
        memory: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Take up rows of `store` and what `memory` gave; the first steps then have to name all points there are."""
        self._recall(memory)
        self._unnamed = [(node, point) for node, readings in self.derived.items() for point in readings]
        self._fresh += self._unnamed
        self._alarms.restore(rows, now, seen)

    def _recall(self, row: Mapping[str, Any] | None) -> list[Rule]:
        memory = None if row is None else taken(_Kept, row, "what was known of supply, groups and seats")
        if memory is None:
            return []
        self._supply.restore(memory["supply"])
        self._flow.moved(self._supply.said)
        if "seats" in memory:
            self._seats.restore(memory["seats"])
        rules = self._groups.restore(map(_Group.told, memory["groups"]))
        for rule in rules:
            self._alarms.admit(rule)
        return rules

    def orphans(self) -> list[Change]:
        """Close what `restore` found no rule for."""
        return self._alarms.orphans()

    def replace(self, site: Site, now: float) -> list[Change]:
        """Go on with another configuration: what remains keeps its state, what is gone closes."""
        supply, groups, seats = self._supply.remembered(), self._groups.remembered(), self._seats
        ruled = planned(site)
        self._build(site, ruled)
        self._seats.follow(seats)
        self._supply.restore(supply)
        self._flow.moved(self._supply.said)
        changes = self._alarms.replace([*ruled, *self._groups.restore(groups)], now)
        self._alarms.roster.stir()
        return [*changes, *self._settle(now)]


class _Joined(Mapping[str, Readings]):
    """What is said in several places, seen as one: the later ones win."""

    def __init__(self, *layers: Mapping[str, Readings]) -> None:
        self._layers = layers

    def __getitem__(self, id: str) -> Readings:
        found: Readings | None = None
        for layer in self._layers:
            if (own := layer.get(id)) is not None:
                found = own if found is None else {**found, **own}
        if found is None:
            raise KeyError(id)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(id for layer in self._layers for id in layer))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def planned(site: Site) -> list[Ruled]:
    """Return all that has alarms; those rules that something could explain wait for it to speak."""
    mains, hold = site.tree.mains is not None, site.causes.hold
    held: dict[int, AlarmType] = {}  # devices with the same alarm types go on sharing them
    forms: dict[tuple[tuple[Rule, ...], bool, frozenset[Relation]], tuple[Rule, ...]] = {}
    ruled: list[Ruled] = []
    for each in inventory(site):
        node = site.tree.nodes.get(each.resource)
        if node is None:
            ruled.append(each)
            continue
        above = frozenset(relation for relation, parents in node.parents.items() if parents)
        seated = (node.seat is not None or node.kind == SEAT) and bool(node.parents)
        key = (each.forms, seated, above)
        if key not in forms:
            forms[key] = tuple(
                replace(form, type=_held(form.type, hold, held))
                if _waits(form, mains=mains, seated=seated, above=above) else form
                for form in each.forms
            )  # fmt: skip
        ruled.append(Ruled(each.resource, each.name, forms[key]))
    return ruled


def _waits(form: Rule, *, mains: bool, seated: bool, above: frozenset[Relation]) -> bool:
    """Tell whether something could explain an alarm, or make it one of many, so that it waits."""
    type = form.type
    if not type.explained_by:
        return False
    if of_the_grid(type) and mains:
        return True
    many = seated and not form.qualifier and groupable(type)
    return many or not above.isdisjoint(type.explained_by)


def _held(type: AlarmType, hold: float, held: dict[int, AlarmType]) -> AlarmType:
    """Return an alarm type whose delays are at least the hold; the same one for the same type."""
    if id(type) not in held:
        levels = tuple(replace(level, on_delay=max(level.on_delay, hold)) for level in type.levels)
        held[id(type)] = replace(type, levels=levels)
    return held[id(type)]
