"""What explains what: which alarms are kept from people because another one accounts for them. Pure.

An alarm whose type is `explained_by` a loss is explained while its resource does not get what it names, or while a
fault of many stands of which it is one. The cause is an alarm too: it stands, or its on-delay runs, and it is neither
shelved nor out of service. Nothing else is ever kept from people, and two alarms never explain each other.

    explained when it is raised     begins suppressed by design: listed with its cause, told to nobody
    explained later                 is suppressed, quietly
    explained no more               stays so until its device was asked again, then settles and is judged afresh

A step costs what moved: alarms are looked at again when they are raised, or when something changed above them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from edgeagent.alarm import Silence
from edgeagent.alarms import Alarms
from edgeagent.catalog import AlarmType, Relation
from edgeagent.explaining import FEED, GIVEN, Flow
from edgeagent.lifecycle import Live, Presence
from edgeagent.readings import Readings
from edgeagent.sitetree import MAINS, SiteTree

SHOWN: Final = 20
"""Explained alarms of one cause that have a record of their own; the others are in the snapshot."""
MOST: Final = 100
"""The same of all causes together."""
HIT: Final = 50
"""Resources that a cause names as hit; more are told by what they hang on."""
_PAUSE: Final = 5.0
"""s between two records of what a cause hits."""
_NO_GROUP: Final = ""
_REASONS: Final[Mapping[str, str]] = {
    Relation.POWER: "no power / 无供电",
    Relation.NETWORK: "no network / 网络中断",
    Relation.SERVICE: "no service / 所需服务中断",
    Relation.COOLING: "no cooling / 制冷中断",
    _NO_GROUP: "one of many / 群体故障之一",
}
_GRID: Final = "commercialPowerFailure"
_OTHERWISE: Final = frozenset({Silence.SHELVED, Silence.OUT_OF_SERVICE})


class Causes:
    """Folds alarms under their causes. `group_of` names the fault of many that an alarm is one of."""

    def __init__(
        self, alarms: Alarms, tree: SiteTree, flow: Flow, group_of: Callable[[Live], str | None],
        circuits: Callable[[], frozenset[str]],
    ) -> None:  # fmt: skip
        self._alarms, self._tree, self._flow = alarms, tree, flow
        self._group_of, self._circuits = group_of, circuits
        self._mains = tree.mains
        self._open: dict[str, dict[str, None]] = {}
        self._exposed: dict[str, set[str]] = {}
        """Where those are, by each thing whose fault can matter there."""
        self._blaming: dict[str, frozenset[tuple[str, str]]] = {}
        self._by: dict[str, str] = {}
        self._under: dict[str, str] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._shown: dict[str, int] = {}
        self._awaiting: dict[str, dict[str, None]] = {}
        self._dirty: dict[str, None] = {}
        self._written: dict[str, float] = {}
        self._stale: dict[str, None] = {}

    # -- what moved -------------------------------------------------------------------------------------------

    def take(self, moved: Iterable[str]) -> None:
        """Take in which alarms came, went, or are kept from people in another way."""
        for alarm_id in moved:
            live = self._alarms.roster.get(alarm_id)
            if live is not None and live.rule.type.explains:
                self._blame(live)
            elif live is None:
                self._unblame(alarm_id)
            if live is not None and live.rule.type.explained_by and live.record is not None:
                place = self._place(live)
                self._begin(place, alarm_id)
                if not self._hangs(live):
                    self._stale[alarm_id] = None
                if live.silence is Silence.BY_DESIGN:
                    self._link(live, live.listed.suppression.by)
                else:
                    self._unlink(alarm_id)
                if live.presence is Presence.GONE and live.silence is not Silence.BY_DESIGN:
                    self._forget(place, alarm_id)
            elif live is None:
                self._unlink(alarm_id)
            if alarm_id in self._children:
                self._stale |= self._children[alarm_id]
                self._dirty[alarm_id] = None

    def circuits_changed(self) -> None:
        """Look again at which nodes the alarms of the mains speak of."""
        for alarm_id in list(self._blaming):
            live = self._alarms.roster.get(alarm_id)
            if live is not None and self._names_circuits(live):
                self._blame(live)

    def look_again(self, alarm_ids: Iterable[str]) -> None:
        """Look again at alarms that are of one fault of many now."""
        self._stale |= dict.fromkeys(alarm_ids)

    @property
    def pending(self) -> bool:
        """Tell whether something is still to be judged."""
        return bool(self._stale) or self._flow.stirred

    def heard(self, read: Iterable[str], view: Mapping[str, Readings], now: float) -> None:
        """Let the alarms settle that nothing explains any more and whose device was asked since."""
        if not self._awaiting:
            return
        for resource in read:
            for alarm_id in tuple(self._awaiting.get(resource, ())):
                live = self._alarms.roster.get(alarm_id)
                if live is None or live.readable(view.get(resource, {})):
                    self._await(resource, alarm_id, on=False)
                    self._alarms.release(alarm_id, now)

    def awaits(self, read: Iterable[str]) -> bool:
        """Tell whether an alarm waits for one of these devices to be asked."""
        return bool(self._awaiting) and any(resource in self._awaiting for resource in read)

    def _blame(self, live: Live) -> None:
        alarm_id = live.rule.id
        speaks = live.presence is not Presence.GONE and live.silence not in _OTHERWISE
        circuits = self._circuits() if self._names_circuits(live) else None
        nodes = frozenset({live.rule.resource}) if circuits is None else circuits
        devices = {node for node in nodes if (found := self._tree.nodes.get(node)) is not None and found.device}
        fed = frozenset[str]() if circuits is None else devices
        after = frozenset(
            (node, FEED if node in fed else given) for node in nodes for given in live.rule.type.explains if speaks
        )
        self._swap(alarm_id, after)

    def _unblame(self, alarm_id: str) -> None:
        if alarm_id in self._blaming:
            self._swap(alarm_id, frozenset())

    def _swap(self, alarm_id: str, after: frozenset[tuple[str, str]]) -> None:
        before = self._blaming.pop(alarm_id, frozenset())
        if after:
            self._blaming[alarm_id] = after
        for node, relation in before - after:
            self._flow.blame(node, relation, alarm_id, on=False)
        for node, relation in after - before:
            self._flow.blame(node, relation, alarm_id, on=True)

    def _names_circuits(self, live: Live) -> bool:
        node = self._tree.nodes.get(live.rule.resource)
        return node is not None and node.kind == MAINS and live.rule.type.shows == "circuits"

    # -- judging ----------------------------------------------------------------------------------------------

    def judge(self, now: float) -> list[Live]:
        """Fold and release what moved; return the alarms that were raised in this step and that nothing explains."""
        changed = self._flow.changed()
        stale, self._stale = self._stale, {}
        risen = self._alarms.roster.risen
        again = dict.fromkeys((*stale, *risen))
        if changed:
            for place in set[str]().union(*(self._exposed.get(node, ()) for node in changed)):
                again |= self._open[place]
        rose, alone = frozenset(risen), list[Live]()
        moved: dict[str, tuple[str, str]] = {}
        for alarm_id in sorted(again):
            live = self._alarms.roster.get(alarm_id)
            if live is None or live.record is None or not live.rule.type.explained_by or live.silence in _OTHERWISE:
                continue
            found = self._explained(live)
            if found is not None and (live.standing or live.silence is Silence.BY_DESIGN or alarm_id in rose):
                moved[alarm_id] = found
                self._by[alarm_id] = found[0]
            elif live.silence is Silence.BY_DESIGN:
                self._let_go(live, now)
            elif alarm_id in rose:
                alone.append(live)
        self._fold(moved, rose, now)
        return alone

    def explains(self, live: Live) -> bool:
        """Tell whether something accounts for an alarm by what its resource does not get."""
        return self._lost(live) is not None

    def _explained(self, live: Live) -> tuple[str, str] | None:
        """Return the alarm that explains another one, and why."""
        found = self._lost(live)
        if found is None and (group := self._group_of(live)) is not None:
            found = (group, _REASONS[_NO_GROUP])
        return None if found is None or self._leads_to(found[0], live.rule.id) else found

    def _lost(self, live: Live) -> tuple[str, str] | None:
        rule = live.rule
        if self._mains is not None and self._place(live) == self._mains:
            weighed = self._flow.accuser(self._mains, Relation.POWER)
            return None if weighed in (None, rule.id) else (weighed, _REASONS[Relation.POWER])
        for relation in GIVEN:
            if relation not in rule.type.explained_by:
                continue
            # A fault of many stands on what its members share: that thing's own fault accounts for it.
            ask = self._flow.withholds if rule.type.id == GROUP else self._flow.lacks
            by = ask(rule.resource, relation)
            if by is not None and by != rule.id:
                return by, _REASONS[relation]
        return None

    def _place(self, live: Live) -> str:
        """Return where an alarm stands: what one witness sees of the mains is about the mains, wherever it stands."""
        return self._mains if self._mains is not None and of_the_grid(live.rule.type) else live.rule.resource

    def _leads_to(self, by: str, alarm_id: str) -> bool:
        """Tell whether one alarm is explained by another, over however many."""
        seen: set[str] = set()
        while by not in seen:
            if by == alarm_id:
                return True
            seen.add(by)
            by = self._by.get(by, by)
        return False

    def _root(self, alarm_id: str) -> str:
        while alarm_id in self._by:
            alarm_id = self._by[alarm_id]
        return alarm_id

    def _fold(self, moved: Mapping[str, tuple[str, str]], rose: frozenset[str], now: float) -> None:
        roster = self._alarms.roster
        for alarm_id, (by, reason) in moved.items():
            live = roster.get(alarm_id)
            if live is None:
                continue
            self._await(live.rule.resource, alarm_id, on=False)
            root = self._root(by)
            cause = roster.get(root)
            resource = cause.rule.resource if cause is not None else root.partition(".")[0]
            if self._hangs(live) and self._says(live, by, reason, resource):
                continue
            if alarm_id in rose and live.silence is Silence.NONE:
                live.state.folded = self._shown.get(by, 0) >= SHOWN or sum(self._shown.values()) >= MOST
            roster.hide(live, by, reason, (resource,), now)
            self._link(live, by)

    def _let_go(self, live: Live, now: float) -> None:
        """Let an alarm wait for its device, if somebody polls it, before it may speak for itself."""
        node = self._tree.nodes.get(live.rule.resource)
        if live.listed.suppression.until is not None:
            return
        if node is not None and node.device:
            self._await(live.rule.resource, live.rule.id, on=True)
        else:
            self._alarms.release(live.rule.id, now)

    # -- bookkeeping ------------------------------------------------------------------------------------------

    def _link(self, live: Live, by: str) -> None:
        """Hang an alarm under its cause; all that the cause itself hangs under have one more."""
        alarm_id = live.rule.id
        self._by[alarm_id] = by
        if self._under.get(alarm_id) == by:
            return
        self._cut(alarm_id)
        self._under[alarm_id] = by
        self._children.setdefault(by, {})[alarm_id] = None
        self._shown[by] = self._shown.get(by, 0) + (not live.state.folded)
        while by not in self._dirty:
            self._dirty[by] = None
            by = self._by.get(by, by)

    def _hangs(self, live: Live) -> bool:
        """Tell whether an alarm is suppressed and hangs under the cause that it names: it was judged before."""
        if live.silence is not Silence.BY_DESIGN:
            return False
        return self._under.get(live.rule.id) == live.listed.suppression.by

    @staticmethod
    def _says(live: Live, by: str, reason: str, resource: str) -> bool:
        """Tell whether the record of a suppressed alarm says just this."""
        hidden, root = live.listed.suppression, live.listed.root_cause_resource
        return (hidden.by, hidden.reason, hidden.until, root) == (by, reason, None, (resource,))

    def _unlink(self, alarm_id: str) -> None:
        self._by.pop(alarm_id, None)
        self._cut(alarm_id)

    def _cut(self, alarm_id: str) -> None:
        by = self._under.pop(alarm_id, None)
        if by is not None:
            children = self._children[by]
            children.pop(alarm_id, None)
            if not children:
                del self._children[by]
                self._shown.pop(by, None)

    def _begin(self, resource: str, alarm_id: str) -> None:
        if resource not in self._open:
            self._open[resource] = {}
            for node in self._flow.all_above(resource):
                self._exposed.setdefault(node, set()).add(resource)
        self._open[resource][alarm_id] = None

    def _forget(self, resource: str, alarm_id: str) -> None:
        ids = self._open.get(resource)
        if ids is None:
            return
        ids.pop(alarm_id, None)
        if not ids:
            del self._open[resource]
            for node in self._flow.all_above(resource):
                self._exposed[node].discard(resource)
                if not self._exposed[node]:
                    del self._exposed[node]

    def _await(self, resource: str, alarm_id: str, *, on: bool) -> None:
        if on:
            self._awaiting.setdefault(resource, {})[alarm_id] = None
        elif resource in self._awaiting:
            self._awaiting[resource].pop(alarm_id, None)
            if not self._awaiting[resource]:
                del self._awaiting[resource]

    # -- what a cause hits ------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """Return when the record of a cause is to be written, epoch s."""
        return min((self._written.get(cause, 0.0) + _PAUSE for cause in self._dirty), default=None)

    def write(self, now: float) -> None:
        """Write into the causes what they hit, each now and then only."""
        for cause in tuple(self._dirty):
            live = self._alarms.roster.get(cause)
            if live is None or not live.standing:
                del self._dirty[cause]
                self._written.pop(cause, None)
            elif now >= self._written.get(cause, 0.0) + _PAUSE:
                del self._dirty[cause]
                self._written[cause] = now
                had = live.listed.impacted_resource
                self._alarms.impact(cause, self._hit(cause, had), now)

    def _hit(self, cause: str, had: tuple[str, ...]) -> tuple[str, ...]:
        """Return what is hit: single things, or what they share where they are too many. It only grows."""
        hit: dict[str, None] = dict.fromkeys(had)
        border = [cause]
        while border:
            alarm_id = border.pop()
            border += self._children.get(alarm_id, ())
            live = self._alarms.roster.get(alarm_id) if alarm_id != cause else None
            if live is not None:
                node = self._tree.nodes.get(live.rule.resource)
                hit[node.seat if node is not None and node.seat else live.rule.resource] = None
        for relation in (Relation.PLACE, Relation.NETWORK, Relation.POWER):
            if len(hit) > HIT:
                hit = {shared: None for id in hit for shared in self._tree.parents(id, relation)[:1] or (id,)}
        return tuple(sorted(hit)[:HIT])


def of_the_grid(type: AlarmType) -> bool:
    """Tell whether an alarm is what one witness says of the grid, not of its own supply."""
    return type.probable_cause == _GRID and Relation.POWER in type.explained_by


GROUP: Final = "group"
"""Alarm type id of a fault of many."""
