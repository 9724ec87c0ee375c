"""A call centre of 5,000 seats and 1,000 devices beside them, and a ledger that writes down what befalls it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, cast

from edgeagent import procedurefiles, resources
from edgeagent.config import Site
from edgeagent.delivery import Settings
from edgeagent.devices import REACHABLE
from edgeagent.feed import Feed
from edgeagent.lane import Lane, Outcome
from edgeagent.ledger import Ledger
from edgeagent.messages import Message
from edgeagent.mqtt import Connection
from edgeagent.readings import Reading, Value
from edgeagent.sitetree import AREA, MAINS, SEAT
from edgeagent.store import Batch, Store, StoreError
from tests.hall import BASE, CATALOG, TREE, WELL, Plan

SEATS: Final = 5_000
ROOMS: Final = 50
UPSES: Final = 100
COOLERS: Final = 300
SENSORS: Final = 600


def crowd(seats: int = SEATS, rooms: int = ROOMS, others: int = UPSES + COOLERS + SENSORS) -> Site:
    """Build a site of rooms with a switch each, all under one core, and with one workstation a seat."""
    plan = Plan().add("mains", MAINS).add("panel", "panel", fed=["mains"]).add("core", "network").add("acd", "service")
    upses, coolers = max(2, others // 10), others * 3 // 10
    for number in range(upses):
        plan.add(f"ups-{number}", "ups", fed=["panel"])
    for number in range(rooms):
        plan.add(f"room-{number}", AREA).add(f"switch-{number}", "network", linked=["core"])
    for number in range(coolers):
        plan.add(f"crac-{number}", "hvac", fed=["panel"], area=f"room-{number % rooms}")
    for number in range(others - upses - coolers):
        plan.add(f"sensor-{number}", "environment", area=f"room-{number % rooms}")
    for number in range(seats):
        room, seat = number % rooms, f"s{number:04}"
        plan.add(
            seat, SEAT, fed=[f"ups-{room % upses}", f"ups-{(room + 1) % upses}"], linked=[f"switch-{room}"],
            needs=["acd"], area=f"room-{room}",
        )  # fmt: skip
        plan.add(f"pc-{seat}", "workstation", seat=seat)
    site = plan.site()
    procedures = procedurefiles.load([resources.examples() / "procedures"], CATALOG, site.tree.nodes)
    return replace(site, procedures=procedures)


def without_tree(site: Site) -> Site:
    """Return the same devices with nothing known of what hangs on what."""
    nodes = {id: replace(node, parents={}, seat=None) for id, node in site.tree.nodes.items() if node.device}
    return replace(site, tree=replace(site.tree, nodes=nodes))


class Wire:
    """Stands in for the connection: takes everything, or is not there. `said` is what it took."""

    def __init__(self) -> None:
        self.connected, self.room = False, 20
        self.said: list[tuple[str, bytes]] = []

    async def run(self) -> None:
        await asyncio.Event().wait()

    def subscribe(self, filters: object, **settings: object) -> None:
        pass

    def publish(self, topic: str, payload: bytes, **settings: object) -> int:
        self.said.append((topic, payload))
        return len(self.said)

    def flush(self) -> None:
        pass


@dataclass
class Office:
    """A store, a feed and a ledger of one lane, and all batches that the ledger hands in."""

    site: Site
    path: Path
    now: float = BASE
    view: dict[str, dict[str, Reading]] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    pass_cpu: float = 0.0
    commit_cpu: float = 0.0

    def __post_init__(self) -> None:
        self.store = Store(self.path / "edge.db", clock=lambda: self.now)
        self.wire = Wire()
        self.feed = Feed(
            Settings(TREE, "en"), self.store, lambda *_: cast("Connection", self.wire), lambda *_: {},
            clock=lambda: self.now,
        )  # fmt: skip
        self.lane = Lane(self.site)
        self.ledger = Ledger(self.lane, self.feed, self.store, TREE, "en")
        commit = self.feed.commit

        def kept(batch: Batch) -> asyncio.Future[None]:
            self.batches.append(batch)
            return commit(batch)

        self.feed.commit = kept  # type: ignore[method-assign]

    def start(self) -> None:
        """Take up what the store holds, then let all devices say what they said last, or that they are well."""
        self.ledger.restore(self.now)
        self.enter(Outcome(self.lane.floor.orphans()))
        self.lane.view.update(self.view)
        last = [(id, point) for id, readings in self.view.items() for point in readings]
        well = {id: WELL.get(device.driver.kind.id, {}) for id, device in self.site.devices.items()}
        self.say({id: values for id, values in well.items() if id not in self.view}, last)

    def say(self, said: Mapping[str, Mapping[str, Value] | None], also: Iterable[tuple[str, str]] = ()) -> None:
        """Let devices be read in one pass; None is one that does not answer."""
        changed = list(also)
        for id, values in said.items():
            own = self.view.setdefault(id, {})
            self.lane.view[id] = own
            new = {point: Reading(value, self.now) for point, value in {REACHABLE: True, **(values or {})}.items()}
            if values is None:
                new = {point: Reading.bad("timeout", self.now) for point in own} | {REACHABLE: Reading(False, self.now)}
            changed += [(id, point) for point, reading in new.items() if not reading.same(own.get(point))]
            own |= new
        self.step(changed, list(self.view))

    def step(self, changed: Iterable[tuple[str, str]] = (), read: Iterable[str] = ()) -> None:
        changed = list(changed)
        began = time.thread_time()
        outcome = self.lane.step(changed, read, self.now)
        self.pass_cpu += time.thread_time() - began
        self.enter(outcome)
        began = time.thread_time()
        self.ledger.foresee(self.now)
        self.pass_cpu += time.thread_time() - began

    def enter(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        began = time.thread_time()
        self.ledger.enter(outcome, self.now)
        self.commit_cpu += time.thread_time() - began

    def wait(self, seconds: float, *, polled: bool = False) -> None:
        """Let time pass timer by timer; `polled` reads all devices again at its end."""
        until = self.now + seconds
        while (due := self.lane.next_due()) is not None and due < until:
            self.now = max(self.now, due)
            self.step()
        self.now = until
        self.step(read=list(self.view) if polled else ())

    async def written(self) -> None:
        """Wait until the disk has all of it."""
        with suppress(StoreError):
            await self.store.commit(Batch())

    def clean(self) -> None:
        """Forget what was measured so far."""
        self.batches.clear()
        self.outcomes.clear()
        self.pass_cpu = self.commit_cpu = 0.0

    def messages(self) -> list[Message]:
        return [message for batch in self.batches for message in batch.outbox]
