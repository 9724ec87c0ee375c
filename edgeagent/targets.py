"""Finds what a scenario means on a site: which device shows which inject, and what the drill concerns. Pure.

The same words mean the same devices throughout a scenario: "2 ups" are those two that can show most of what it asks
of "2 ups", those at seats before others, then by id. Where devices are meant by kind, those that cannot show a point
are passed over, and so is the whole line if none of them can, as long as the same words show something elsewhere: a
driver may work a point out from others, and makes differ in what they tell. Owns no rule of when a drill may run:
`steady.py` and `drills.py` do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from edgeagent.alarmsets import SETS
from edgeagent.catalog import Catalog, Driver, PointType, Relation, Text
from edgeagent.drill import DrillRefused
from edgeagent.encode import sayable
from edgeagent.items import Item
from edgeagent.phases import PHASES
from edgeagent.readings import Value
from edgeagent.scenario import Do, Inject, Planned, Scenario, What, Who
from edgeagent.sitetree import AREA, SiteTree

_GRADES: Final = ("shutdown", "trip", "warning")
"""Grades of an alarm, the gravest first: what is asked for without one is shown with the first that there is."""
_BACK: Final = (Do.ANSWERS, Do.RELEASE)
"""What takes something back: it means devices of which something has been shown before."""


class _Device(Protocol):
    @property
    def driver(self) -> Driver: ...


class Park(Protocol):
    """What must be known of a site: its scenarios are read together with it, so `Site` is unknown here."""

    @property
    def devices(self) -> Mapping[str, _Device]:
        """All devices by id."""
        ...

    @property
    def tree(self) -> SiteTree:
        """What hangs on what."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The words of all kinds."""
        ...


@dataclass(frozen=True, slots=True)
class Unable:
    """An entry of a scenario that means nothing at a site: which of which table, how it was written, and why.

    Where it is merely `passed` over, the scenario can be run without it.
    """

    table: str
    number: int
    line: str
    why: Text
    passed: bool = False


def plan(scenario: Scenario, site: Park) -> tuple[Planned, ...]:
    """Return what is shown at which device, in the order of time and, within a moment, of the timeline.

    Raises:
        DrillRefused: `no-target`, when an inject means no device.
    """
    aim = _Aim(scenario, site)
    planned: list[Planned] = []
    for number, inject in _by_time(scenario):
        found = list(aim.at(inject))
        if not found and not aim.passes(inject):
            raise DrillRefused("no-target", _quoted(inject.line, aim.why(inject)))
        aim.touched.update(id for id, _, _ in found)
        planned += (
            Planned(number, inject.at, id, inject.do, point, value, inject.start, inject.over)
            for id, point, value in found
        )
    return tuple(planned)


def unable(scenario: Scenario, site: Park) -> list[Unable]:
    """Return what of a scenario means nothing at this site, in the order of its tables."""
    aim = _Aim(scenario, site)
    nodes = site.tree.nodes
    lacks = [Unable("scope", number, id, _no_node(id)) for number, id in enumerate(scenario.scope) if id not in nodes]
    timeline: list[Unable] = []
    for number, inject in _by_time(scenario):
        found = [id for id, _, _ in aim.at(inject)]
        aim.touched.update(found)
        if not found and not inject.who.optional:
            timeline.append(Unable("timeline", number, inject.line, aim.why(inject), aim.passes(inject)))
    lacks += sorted(timeline, key=lambda each: each.number)
    for number, expectation in enumerate(scenario.expects):
        resource = expectation.name.partition(".")[0]
        if expectation.what in (What.ALARM, What.CLEARED) and resource != expectation.name and resource not in nodes:
            lacks.append(Unable("expect", number, expectation.line, _no_node(resource)))
    return lacks


def prevents(scenario: Scenario, site: Park) -> list[Unable]:
    """Return what of a scenario keeps it from being run at this site."""
    return [each for each in unable(scenario, site) if not each.passed]


def scope(scenario: Scenario, site: Park, planned: Iterable[Planned]) -> frozenset[str]:
    """Return the ids of all that a drill concerns: what it touches and names, and what gets one thing or other of it.

    What stands in an area that it cools or names is with it, and the mains as soon as the power supply is touched. It
    does not go on from one relation to the next: who loses a cooler does not lose the network of its switch room.
    """
    tree = site.tree
    touched = {each.device for each in planned}
    start = {*touched, *(id for id in scenario.scope if id in tree.nodes)}
    found = start.union(*(_below(tree, start, relation) for relation in Relation))
    found |= _below(tree, {id for id in found if tree.nodes[id].kind == AREA}, Relation.PLACE)
    found.update(part for id in tuple(found) for part in tree.parts(id))
    if tree.mains is not None and any(site.devices[id].driver.kind.power for id in touched):
        found.add(tree.mains)
    return frozenset(found)


def _below(tree: SiteTree, ids: Iterable[str], relation: Relation) -> set[str]:
    found: set[str] = set()
    border = list(ids)
    while border:
        further = [child for id in border for child in tree.children(id, relation)]
        border = list(set(further) - found)
        found.update(border)
    return found


def _by_time(scenario: Scenario) -> list[tuple[int, Inject]]:
    return sorted(enumerate(scenario.timeline), key=lambda each: (each[1].at, each[0]))


class _Aim:
    """The devices of one site as the lines of one scenario mean them. `touched` are those shown otherwise so far."""

    def __init__(self, scenario: Scenario, site: Park) -> None:
        self.touched: set[str] = set()
        self._site = site
        self._kinds: dict[str, list[str]] = {}
        for id in sorted(site.devices):
            self._kinds.setdefault(site.devices[id].driver.kind.id, []).append(id)
        self._asked: dict[Who, list[Inject]] = {}
        for inject in scenario.timeline:
            if inject.point:
                self._asked.setdefault(inject.who, []).append(inject)
        self._meant: dict[Who, list[str]] = {}
        self._drivers: dict[int, _Sayable] = {}

    def at(self, inject: Inject) -> Iterator[tuple[str, str, Value | None]]:
        """Give the devices of an inject, each with the point and the value by which it can show it."""
        ids = self._devices(inject.who)
        if not inject.point:
            yield from ((id, "", None) for id in ids if inject.do not in _BACK or id in self.touched)
            return
        shown: dict[int, tuple[str, Value | None] | None] = {}
        for device in ids:
            driver = self._site.devices[device].driver
            if id(driver) not in shown:
                shown[id(driver)] = self._shown(device, inject)
            if (found := shown[id(driver)]) is not None:
                yield device, *found

    def passes(self, inject: Inject) -> bool:
        """Tell whether it does not matter that an inject means no device."""
        who = inject.who
        if who.optional or not inject.point or who.names:
            return who.optional
        return any(self._shown(id, other) is not None for id in self._devices(who) for other in self._asked[who])

    def why(self, inject: Inject) -> Text:
        """Say why an inject means no device."""
        who, devices = inject.who, self._site.devices
        if who.under and who.under not in self._site.tree.nodes:
            return _no_node(who.under)
        if not who.kind and len(who.names) == 1 and who.names[0] not in self._site.tree.nodes:
            return Text(f'this site has no device "{who.names[0]}"', f"本站点没有设备“{who.names[0]}”")
        able = self._devices(who) or self._named(who)
        kind = self._site.catalog.kinds.get(who.kind)
        en, zh = (who.kind, kind.text.zh) if kind is not None else ("device", "设备")
        where = _where(who)
        if not able:
            return Text(f"there is no {en} {where.en}", f"{where.zh}没有{zh}")
        if not inject.point:
            return Text(f"no {en} {where.en} shows anything of the drill by then", f"{where.zh}的{zh}此前没有任何模拟")
        wanted = inject.point if inject.value is None or inject.do is Do.RAMP else _phrase(inject)
        model = f" ({devices[able[0]].driver.id})" if len(able) == 1 else ""
        return Text(f"no {en} {where.en} can show {wanted}{model}", f"{where.zh}没有能显示 {wanted} 的{zh}{model}")

    def _named(self, who: Who) -> list[str]:
        """Return the devices among which the words choose."""
        devices, tree = self._site.devices, self._site.tree
        if who.names:
            found = [id for name in who.names for id in ((name,) if name in devices else tree.parts(name))]
            return [id for id in found if id in devices and who.kind in ("", devices[id].driver.kind.id)]
        ids = self._kinds.get(who.kind, [])
        if not who.under:
            return ids
        inside = {who.under}.union(*(_below(tree, [who.under], relation) for relation in Relation))
        inside.update(part for id in tuple(inside) for part in tree.parts(id))
        return [id for id in ids if id in inside]

    def _devices(self, who: Who) -> list[str]:
        """Return the devices that the words mean, in the order of their ids."""
        if who not in self._meant:
            ids = self._named(who)
            self._meant[who] = ids if who.count is None and who.share is None else self._few(who, ids)
        return self._meant[who]

    def _few(self, who: Who, ids: list[str]) -> list[str]:
        asked = self._asked.get(who, [])
        able = {id: sum(self._shown(id, inject) is not None for inject in asked) for id in ids}
        some = [id for id in ids if able[id] or not asked]
        # Rounded first: 7% of 100 are 7.000000000000001.
        count = who.count or math.ceil(round((who.share or 0.0) * len(some), 6))
        nodes = self._site.tree.nodes
        # Those at a seat first: "one workstation" is an agent's, not the host of the facility.
        return sorted(sorted(some, key=lambda id: (-able[id], nodes[id].seat is None))[:count])

    def _shown(self, device: str, inject: Inject) -> tuple[str, Value | None] | None:
        driver = self._site.devices[device].driver
        if id(driver) not in self._drivers:
            self._drivers[id(driver)] = _Sayable(driver)
        return self._drivers[id(driver)].of(inject)


class _Sayable:
    """What one driver can be made to say, as `encode.py` will have it."""

    def __init__(self, driver: Driver) -> None:
        self._kind = driver.kind
        self._items: dict[str, list[Item]] = {}
        for item in driver.items:
            if item.code != "when":
                self._items.setdefault(item.point, []).append(item)
        self._known: dict[tuple[str, Do, Value | None], tuple[str, Value | None] | None] = {}

    def of(self, inject: Inject) -> tuple[str, Value | None] | None:
        """Return the point and the value of an inject in this driver's own words, None if it has none for it."""
        key = (inject.point, inject.do, inject.value)
        if key not in self._known:
            self._known[key] = self._find(inject)
        return self._known[key]

    def _find(self, inject: Inject) -> tuple[str, Value | None] | None:
        point = self._kind.point(inject.point)
        rows = self._rows(inject.point)
        if point is None or not rows:
            return None
        id, items = rows[0]
        if inject.value is None or point.type in (PointType.NUMBER, PointType.FLAG):
            return id, inject.value
        if point.type is PointType.ENUM:
            able = all(
                any(item.code != "enum" or inject.value in item.enum.values() for item in own) for _, own in rows
            )
            return (id, inject.value) if able else None
        wanted = inject.value if isinstance(inject.value, frozenset) else frozenset({str(inject.value)})
        said = [_said(member, items) for member in sorted(wanted)]
        if None in said:
            return None
        value = frozenset(member for member in said if member is not None)
        return id, value if isinstance(inject.value, frozenset) else next(iter(value))

    def _rows(self, id: str) -> list[tuple[str, list[Item]]]:
        """Return the sources of a point: its own, else those of its phases, else of its first instance (door.front)."""
        if id in self._items:
            return [(id, self._items[id])]
        rows = [(id, self._items[f"{id}.{phase}"]) for phase in PHASES if f"{id}.{phase}" in self._items]
        point = self._kind.points.get(id)
        if rows or point is None or not point.many:
            return rows
        return [(own, self._items[own]) for own in sorted(self._items) if own.startswith(f"{id}.")][:1]


def _said(member: str, items: list[Item]) -> str | None:
    """Return a member as one of these sources knows it, with its gravest grade or without."""
    if any(item.code not in SETS for item in items):
        return member
    known = set[str]().union(*map(sayable, items))
    stem, _, grade = member.rpartition(".")
    spelled = (member, *(f"{member}.{each}" for each in _GRADES), *((stem,) if grade in _GRADES else ()))
    return next((each for each in spelled if each in known), None)


def _phrase(inject: Inject) -> str:
    """Spell what is shown, whom and when aside."""
    value = inject.value
    if inject.do in (Do.ADD, Do.REMOVE):
        return f"{value} in {inject.point}"
    if isinstance(value, frozenset):
        return f"{inject.point} = {', '.join(sorted(value)) or 'none'}"
    word = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value
    return f"{inject.point} = {word}"


def _where(who: Who) -> Text:
    if who.names:
        names = who.names if len(who.names) == 1 else (who.names[0], who.names[-1])
        return Text(f"at {' to '.join(names)}", f"“{'–'.join(names)}”")
    return Text(f"in {who.under}", f"“{who.under}”内") if who.under else Text("here", "本站点")


def _no_node(id: str) -> Text:
    return Text(f'this site has no "{id}"', f"本站点没有“{id}”")


def _quoted(line: str, why: Text) -> Text:
    return Text(f'"{line}": {why.en}', f"“{line}”：{why.zh}")
