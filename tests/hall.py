"""A small call centre under the floor, played second by second: devices of the real kinds, a tree made by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeagent.alarm import Alarm, Change, Silence, Verb
from edgeagent.alarmfeed import messages_of
from edgeagent.broker import Broker
from edgeagent.catalog import Catalog, Driver, Kind, Relation, Text
from edgeagent.config import Device, Site
from edgeagent.devices import REACHABLE
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.floor import Floor
from edgeagent.items import Item
from edgeagent.messages import Place, Tree
from edgeagent.readings import Reading, Value
from edgeagent.resources import drivers
from edgeagent.sitetree import AREA, MAINS, SEAT, CauseSettings, Node, SiteTree

BASE = 1_750_000_000.0
CATALOG = load([drivers()])
POLL = 2.0
STANDARD = CauseSettings()
TREE = Tree("floor", "hq", "edge-1")


def text(id: str) -> Text:
    return Text(id, f"“{id}”")


def driver(kind: Kind) -> Driver:
    """Make a driver that can read all points of a kind."""
    items = tuple(Item(id, "number", (id,)) for id in kind.points)
    return Driver(f"{kind.id}/all", kind, "host", kind.text, "test", (), items)


DRIVERS = {id: driver(kind) for id, kind in CATALOG.kinds.items() if id not in (MAINS, SEAT, "agent")}


@dataclass
class Plan:
    """A site in the making: nodes by id, devices by id."""

    nodes: dict[str, Node] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    drivers: Mapping[str, Driver] = field(default_factory=lambda: DRIVERS)

    def add(
        self, id: str, kind: str, *, fed: Iterable[str] = (), linked: Iterable[str] = (), cooled: Iterable[str] = (),
        needs: Iterable[str] = (), area: str | None = None, seat: str | None = None,
    ) -> Plan:  # fmt: skip
        ties = {
            Relation.POWER: tuple(fed), Relation.NETWORK: tuple(linked), Relation.COOLING: tuple(cooled),
            Relation.SERVICE: tuple(needs), Relation.PLACE: (area,) if area else (),
        }  # fmt: skip
        parents = {**(self.nodes[seat].parents if seat else {}), **{r: ids for r, ids in ties.items() if ids}}
        device = kind in self.drivers
        self.nodes[id] = Node(id, text(id), kind, parents, seat, device=device)
        if device:
            own = self.drivers[kind]
            self.devices[id] = Device(
                id, text(id), own, parse("host://"), None, POLL, 1.0, 2.0, own.kind.alarms
            )  # fmt: skip
        return self

    def site(self, causes: CauseSettings = STANDARD, catalog: Catalog = CATALOG) -> Site:
        return Site(
            "hq", text("hq"), "en", "edge-1", Path("state"), Broker("h", 1883), "floor", 200.0, {}, self.devices,
            catalog, "0", None, SiteTree(self.nodes), causes, mains_alarms=catalog.kinds[MAINS].alarms,
        )  # fmt: skip


def hall(seats: int = 6) -> Plan:
    """Plan two UPSes and a cooler behind a panel, a generator beside the mains, a switch and seats on UPS A."""
    plan = Plan().add("hall", AREA, cooled=["crac"]).add("mains", MAINS).add("gen", "generator")
    plan.add("ats", "ats", fed=["mains", "gen"]).add("panel", "panel", fed=["ats"])
    plan.add("circuit-a", "circuit", fed=["panel"]).add("circuit-b", "circuit", fed=["panel"])
    plan.add("ups-a", "ups", fed=["circuit-a"]).add("ups-b", "ups", fed=["circuit-b"])
    plan.add("crac", "hvac", fed=["panel"], area="hall").add("room", "environment", cooled=["hall"], area="hall")
    plan.add("switch", "network", fed=["ups-b"]).add("acd", "service")
    for number in range(seats):
        seat = f"s{number:03}"
        plan.add(seat, SEAT, fed=["ups-a"], linked=["switch"], needs=["acd"], area="hall")
        plan.add(f"pc-{seat}", "workstation", seat=seat)
    return plan


WELL: Mapping[str, Mapping[str, Value]] = {
    "ups": {
        "source": "normal", "battery.status": "normal", "input.voltage": 230, "output.voltage": 230,
        "battery.time": 0, "alarms": frozenset(),
    },
    "generator": {
        "state": "stopped", "mode": "auto", "running": False, "on-load": False, "mains.healthy": True,
        "output.voltage": 0, "output.frequency": 0, "output.power": 0, "alarms": frozenset(),
    },
    "ats": {
        "position": "mains", "mode": "auto", "source.mains": "available", "source.generator": "lost",
        "generator.called": False, "alarms": frozenset(),
    },
    "hvac": {"running": True, "unit.connected": True, "alarms": frozenset()},
    "environment": {"temperature": 24, "humidity": 50},
    "workstation": {"online": True, "nic": True, "softphone": True},
    "service": {"answer": "ok", "latency": 12},
}  # fmt: skip
"""What healthy devices say."""
OUT: Mapping[str, Mapping[str, Value]] = {
    "ups": {"source": "battery", "input.voltage": 0},
    "generator": {"mains.healthy": False},
    "ats": {"source.mains": "lost"},
}
"""What they say more without the mains."""
RUNS: Mapping[str, Value] = {
    "state": "running", "running": True, "output.voltage": 230, "output.frequency": 50, "mains.healthy": False,
}  # fmt: skip
LOADED: Mapping[str, Value] = {**RUNS, "on-load": True, "output.power": 40_000}
ON_GENERATOR: Mapping[str, Value] = {"position": "generator", "source.generator": "available", "source.mains": "lost"}
DARK: Mapping[str, Value]
LIT: Mapping[str, Value]
DARK, LIT = OUT["ups"], {"source": "normal", "input.voltage": 230}


class Hall:
    """A site whose devices are read each time something is said, and asked again every two seconds."""

    def __init__(self, plan: Plan | Site, second: float = 0.0) -> None:
        self.site = plan if isinstance(plan, Site) else plan.site()
        self.floor = Floor(self.site)
        self.view: dict[str, dict[str, Reading]] = {}
        self.now = BASE + second
        self.changes: list[Change] = []
        self.rows: dict[str, Any] = {}
        self.memory: Any = None
        self.curious: set[str] = set()
        self.origin: str | None = None
        self.swift = False
        """Leave out steps in which nothing changed and nothing is due, as the agent does."""

    def kind(self, id: str) -> str:
        return self.site.devices[id].driver.kind.id

    def start(self) -> Hall:
        """Let all devices say that they are well."""
        self.say(0, {id: dict(WELL.get(self.kind(id), {})) for id in self.site.devices})
        return self

    def say(
        self, second: float, said: Mapping[str, Mapping[str, Value | None] | None], *, late: bool = False
    ) -> list[Change]:
        """Let devices be read at a second; None is a device that does not answer, None as a value one bad value.

        A late step comes after a while in which no timer was served: they run out together with what is read.
        """
        if not late:
            self.until(second)
        self.now = BASE + second
        changed = []
        for id, values in said.items():
            own = self.view.setdefault(id, {})
            new: dict[str, Reading] = {}
            if values is None:
                new = {point: Reading.bad("timeout", self.now) for point in own if point != REACHABLE}
            else:
                new = {
                    point: Reading.bad("error", self.now, self.origin)
                    if value is None
                    else Reading(value, self.now, origin=self.origin)
                    for point, value in {REACHABLE: True, **values}.items()
                }
            changed += [(id, point) for point, reading in new.items() if not reading.same(own.get(point))]
            own |= {point: reading for point, reading in new.items() if not reading.same(own.get(point))}
        return self.take(self._step(changed, self.now, list(said)))

    def _step(self, changed: list[tuple[str, str]], now: float, read: list[str]) -> list[Change]:
        if self.swift and not changed and self.floor.calm(read, now):
            return []
        return self.floor.step(self.view, changed, now, read)

    def until(self, second: float) -> None:
        """Serve timers and ask all devices again every two seconds, up to a second."""
        end = BASE + second
        while True:
            due = self.floor.next_due()
            at = min(self.now + POLL, end if due is None else max(due, self.now))
            if at >= end:
                break
            polled = list(self.view) if at == self.now + POLL or (at - BASE) % POLL == 0 else []
            self.now = at
            self.take(self._step([], at, polled))
        self.now = max(self.now, end)
        self.take(self._step([], self.now, []))

    def take(self, changes: list[Change]) -> list[Change]:
        self.changes += changes
        for id in self.floor.touched():
            row = self.floor.store(id)
            if row is None:
                self.rows.pop(id, None)
            else:
                self.rows[id] = json.loads(json.dumps(row))
        memory = self.floor.memory()
        if memory is not None:
            assert memory == self.floor.remembered()
            self.memory = json.loads(json.dumps(memory))
        self.curious |= self.floor.curious()
        return changes

    def ask(self, second: float, verb: str, *words: object) -> list[Change]:
        self.until(second)
        return self.take(self.floor.take(getattr(self.floor.alarms, verb)(*words, BASE + second), BASE + second))

    def restart(self, second: float) -> None:
        """Lose the process and take up what was stored; then all is read anew."""
        self.floor = Floor(self.site)
        self.floor.restore(self.rows, BASE + second, BASE + second, self.memory)
        self.now = BASE + second
        self.take(self.floor.orphans())
        points = [(id, point) for id, readings in self.view.items() for point in readings]
        self.take(self.floor.step(self.view, points, self.now, list(self.view)))

    def outage(self, second: float, *ids: str) -> list[Change]:
        """Let devices say that the mains is gone."""
        return self.say(second, {id: OUT[self.kind(id)] for id in ids or ("ups-a", "ups-b", "gen", "ats")})

    # -- what is asked ----------------------------------------------------------------------------------------

    def told(self) -> list[str]:
        """Return what people were told: events that are not hushed, without those about what hits what."""
        messages = messages_of(self.changes, TREE, "en", 1, lambda: 0, self.now)
        events = [json.loads(message.body)["data"] for message in messages if message.place is Place.EVENT]
        return [f"{event['alarm_id']} {event['verb']}" for event in events if event["verb"] != "related"]

    def raised(self) -> list[str]:
        """Return the alarms whose raise people were told of."""
        return [line.partition(" ")[0] for line in self.told() if line.endswith((" raised", " unsuppressed"))]

    def record(self, id: str) -> Alarm:
        return self.floor.records()[id]

    def standing(self) -> set[str]:
        """Return the alarms that stand and are not kept from people."""
        return {
            id
            for id, alarm in self.floor.records().items()
            if not alarm.is_cleared and alarm.suppression.kind is Silence.NONE
        }

    def hidden(self) -> dict[str, str]:
        """Return what is explained, with what by."""
        return {
            id: alarm.suppression.by
            for id, alarm in self.floor.records().items()
            if alarm.suppression.kind is Silence.BY_DESIGN
        }

    def supply(self, point: str = "state") -> Value | None:
        return self.floor.derived["mains"][point].value

    def onset(self, id: str) -> float:
        onset = self.record(id).onset
        assert onset is not None
        return onset - BASE

    def verbs(self, id: str) -> list[Verb]:
        return [change.verb for change in self.changes if change.alarm.alarm_id == id]
