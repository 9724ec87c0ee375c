"""An agent's inside without its links: lanes, ledger, store and feed are the true ones, the broker takes everything.

Time is told it; timers are served when they are due, devices are read every other second, as they are by the agent.
"""

# ruff: noqa: ANN401 - words of commands are of many types

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from edgeagent.alarm import Refused
from edgeagent.catalog import Text
from edgeagent.commands import Rejected
from edgeagent.config import Site
from edgeagent.delivery import Settings
from edgeagent.devices import DeviceState
from edgeagent.drill import Drill, End
from edgeagent.feed import Feed
from edgeagent.inventory import AGENT
from edgeagent.lane import Lane, Outcome
from edgeagent.ledger import Ledger
from edgeagent.messages import Mode, Place, Tree
from edgeagent.mqtt import Connection, Received
from edgeagent.readings import Answers, Reading
from edgeagent.rehearsals import Rehearsals, Surroundings
from edgeagent.requests import carry_out
from edgeagent.rules import parse
from edgeagent.scenario import Abort, Do, DrillPlans, DrillSettings, Expectation, Inject, Scenario, What, Who
from edgeagent.store import Batch, Store, StoreError
from tests.cornersite import answered, corner
from tests.duty import BASE
from tests.exercises import taints
from tests.rig import Ear

TREE: Final = Tree("floor", "test", "edge-1")
LIVE, DRILL = "floor/v1/test/live", "floor/v1/test/drill"
TITLE: Final = Text("Mains outage", "市电断电")
_BATTERY: Final = (("ups", "source", "battery"), ("ups", "input.voltage", 0.0), ("generator", "mains.voltage", 0.0))
OUTAGE: Final = Scenario(
    "blackout", 1, TITLE, TITLE, "outage", 1200.0, ("mains",),
    (
        *(Inject(10.0, Who(kind), Do.SET, f"at 0:10 {kind} {point}", point, value) for kind, point, value in _BATTERY),
        Inject(900.0, Who("ups"), Do.RELEASE, "at 15:00 every ups released"),
        Inject(900.0, Who("generator"), Do.RELEASE, "at 15:00 every generator released"),
    ),
    (
        Expectation(What.ALARM, "mains.mains-lost", "by 0:45 alarm mains.mains-lost", by=45.0),
        Expectation(What.RUN, "outage", "by 0:50 run outage", by=50.0),
        Expectation(What.CLOSED, "outage", "by 18:00 closed outage", by=1080.0),
    ),
    (Abort("environment", parse("temperature > 32"), "any environment temperature > 32"),),
)  # fmt: skip
SILENCE: Final = Scenario(
    "silence", 1, TITLE, TITLE, "equipment-fault", 600.0,
    timeline=(Inject(5.0, Who("", ("ups-a",)), Do.SILENT, "at 0:05 ups-a silent"),),
)  # fmt: skip
LEAD: Final = {"owner": "王班长", "confirmed_by": "李主管"}


class Broker:
    """Takes what the feed publishes, acknowledges it, and keeps what is retained. `said` is all of it, in its order."""

    def __init__(self) -> None:
        self.connected, self.room = True, 1_000
        self.messages: list[dict[str, Any]] = []
        self.retained: dict[str, dict[str, Any]] = {}
        self.feed: Feed

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.connected = False

    def subscribe(self, filters: object, **settings: object) -> None:
        pass

    def publish(self, topic: str, payload: bytes, *, retain: bool, user: Mapping[str, str], **more: object) -> int:
        said = {"topic": topic, "payload": payload.decode(), "properties": dict(user), "retain": retain}
        self.messages.append(said)
        if retain:
            self.retained[topic] = said
            if not payload:
                del self.retained[topic]
        mid = len(self.messages)
        asyncio.get_running_loop().call_soon(self.feed.on_ack, mid, 0, False)
        return mid

    def flush(self) -> None:
        pass


@dataclass
class Stage:
    """All that a drill has around it. `moods` are how the devices really answer."""

    site: Site
    path: Path
    now: float = BASE
    wire: Broker = field(default_factory=Broker)
    moods: dict[str, str] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    asked: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store(self.path / "edge.db", clock=lambda: self.now)
        self.feed = Feed(
            Settings(TREE, "zh", 1e6, 1_000_000, 1e6), self.store, lambda *_: cast("Connection", self.wire),
            self.command, clock=lambda: self.now,
        )  # fmt: skip
        self.wire.feed = self.feed
        self.states = {id: DeviceState(device) for id, device in self.site.devices.items()}
        self.lane = Lane(self.site)
        self.lane.view.update({id: state.readings for id, state in self.states.items()})
        self.lane.view[AGENT] = {"broker": Reading("connected", self.now), "store": Reading("ok", self.now)}
        self.ledger = Ledger(self.lane, self.feed, self.store, TREE, "zh")
        around = Surroundings(
            self.lane, self.feed, self.store, TREE, lambda: self.now, lambda: self.states,
            lambda id, delay: self.asked.append((id, delay)), lambda: None,
        )  # fmt: skip
        self.drills = Rehearsals(self.site, around)
        commit = self.feed.commit

        def kept(batch: Batch) -> asyncio.Future[None]:
            self.batches.append(batch)
            return commit(batch)

        self.feed.commit = kept  # type: ignore[method-assign]

    # What the agent does.

    def take(self, ids: Sequence[str] = ()) -> None:
        """Read devices, all if none is named."""
        polled: list[tuple[DeviceState, Answers]] = []
        changed: list[tuple[str, str]] = []
        for id in ids or self.states:
            state, mood = self.states[id], self.moods.get(id, "well")
            answers = answered(state.driver, mood)
            changed += ((id, point) for point in state.take(answers, self.now))
            polled.append((state, answers))
        self.enter(self.lane.step(changed, [state.device.id for state, _ in polled], self.now))
        self.drills.take(polled, changed, self.now)
        self.foresee()

    def enter(self, outcome: Outcome) -> None:
        if self.ledger.enter(outcome, self.now):
            self.drills.heard(outcome, self.now)

    def foresee(self) -> None:
        self.ledger.foresee(self.now)
        self.drills.foresee()

    def due(self, until: float) -> None:
        """Serve the timers of both lanes."""
        for _ in range(10_000):
            live, drill = self.lane.next_due(), self.drills.next_due()
            due = min((each for each in (live, drill) if each is not None), default=None)
            if due is None or due > until:
                return
            self.now = max(self.now, due)
            if live is not None and live <= self.now:
                self.enter(self.lane.step((), (), self.now))
            self.drills.due()
            self.foresee()
        raise AssertionError("timers never come to rest")

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self.now < until:
            second = min(until, self.now + 1.0)
            self.due(second)
            self.now = max(self.now, second)
            self.drills.tick(self.now, connected=self.wire.connected)
            if round(self.now - BASE) % 2 == 0:
                self.take()
            await asyncio.sleep(0)

    def shift(self, delta: float) -> None:
        """Step the system's clock."""
        self.now += delta
        self.lane.shift(delta)
        self.drills.shift(delta)

    def leave(self) -> None:
        """Let the broker go away."""
        self.wire.connected = False
        self.feed.on_disconnected("gone", None)

    def come_back(self) -> None:
        """Let it come back without its memory."""
        self.wire.connected = True
        self.wire.retained.clear()
        self.feed.on_connected(False, None)

    # What people do.

    def command(self, verb: str, request: Mapping[str, Any], by: str) -> Mapping[str, Any]:
        if self.drills.answers(verb, request):
            return self.drills.command(verb, request, by)
        answer, outcome = carry_out(self.lane, verb, request, by, self.now)
        self.enter(outcome)
        return answer

    def ask(self, verb: str, lane: str = "drill", by: str = "林悦", **fields: Any) -> Mapping[str, Any]:
        return self.command(verb, {"mode": Mode(lane), **fields}, by)

    def refused(self, verb: str, lane: str = "drill", **fields: Any) -> str:
        """Return the code with which something is refused, and in words, "" if it is done."""
        try:
            self.ask(verb, lane, **fields)
        except Rejected as error:
            return error.reason if error.text.en and error.text.zh else f"{error.reason} without words"
        except Refused as error:
            return error.code
        return ""

    async def start(self, scenario: str = "blackout", **fields: Any) -> str:
        """Start a drill and wait until its lane is there."""
        drill = str(self.ask("drill-start", scenario=scenario, **{**LEAD, **fields})["drill_id"])
        await self.prepared()
        return drill

    async def prepared(self) -> None:
        assert self.drills._preparing is not None
        await self.drills._preparing

    def request(self, verb: str, lane: str, body: Mapping[str, Any]) -> None:
        """Ask over the feed."""
        self.feed.on_message(Received(f"floor/v1/test/{lane}/req/{verb}", json.dumps(body).encode(), False))

    # What came of it.

    @property
    def running(self) -> Drill | None:
        return self.drills.drills.current

    @property
    def last(self) -> Drill:
        drill = self.drills.drills.last
        assert drill is not None
        return drill

    async def written(self) -> None:
        """Wait until the disk has all of it, and the broker, which is sent so many messages a second."""
        for _ in range(3):
            with suppress(StoreError):
                await self.store.commit(Batch())
            self.feed._wake()
            await asyncio.sleep(0)
        for _ in range(1000):
            if self.feed._line is None or not (self.feed._waiting.more or self.feed._owed.next):
                return
            await asyncio.sleep(0.005)

    def lies(self) -> list[str]:
        """Return what lies retained on the drill lane."""
        return sorted(topic for topic in self.wire.retained if topic.startswith(f"{DRILL}/"))

    def notice(self) -> dict[str, Any]:
        """Return what the live lane says of drills."""
        said: dict[str, Any] = json.loads(self.wire.retained[f"{LIVE}/exercise"]["payload"])
        return said

    def events(self, lane: str = DRILL) -> list[dict[str, Any]]:
        said = [message for message in self.wire.messages if message["topic"].startswith(f"{lane}/event/")]
        return [json.loads(message["payload"]) for message in said]

    def verbs(self, lane: str = DRILL) -> list[str]:
        return [event["data"]["verb"] for event in self.events(lane)]

    def alarms(self) -> list[str]:
        """Return the alarms that stand on the live lane."""
        return [alarm.alarm_id for alarm in self.ledger.standing()]

    def of_drill(self) -> list[Any]:
        """Return all messages of batches that wait in their place behind all that is real."""
        return [said for batch in self.batches for said in batch.outbox if said.place is Place.DRILL]


def rehearsing(*scenarios: Scenario, settings: DrillSettings | None = None) -> Site:
    """Return a corner of a site with scenarios to rehearse."""
    plans = DrillPlans(settings or DrillSettings(), {each.id: each for each in scenarios or (OUTAGE, SILENCE)})
    return replace(corner(), drills=plans)


@asynccontextmanager
async def stage(path: Path, site: Site | None = None, now: float = BASE) -> AsyncIterator[Stage]:
    """Open a stage on which all is well."""
    it = Stage(site or rehearsing(), path, now)
    try:
        it.ledger.restore(it.now)
        it.drills.restore()
        it.feed.on_connected(False, None)
        await it.wait(60)
        yield it
    finally:
        it.wire.connected = False
        it.store.close()


def play(path: Path, story: Callable[[Stage], Any], site: Site | None = None) -> Stage:
    """Play one story."""

    async def run() -> Stage:
        async with stage(path, site) as it:
            await story(it)
            await it.written()
        return it

    return asyncio.run(run())


def wrong(it: Stage, *drills: str) -> list[str]:
    """Return what is wrong with the marks of all that the broker was told."""
    return taints(cast("Ear", it.wire), *drills)


def ended(it: Stage, why: End) -> None:
    """See that a drill is over, for this reason, and nothing of it is left where it could be taken for real."""
    assert it.running is None
    assert it.last.end is why
    assert it.lies() == []
    assert it.notice()["state"] == "none"
    assert it.notice()["last"]["end"] == why
    assert it.verbs()[-1] == "ended"
    assert [entry.body["verb"] for entry in it.store.journal(kind="drill")][-1] == "ended"
    assert not it.store.load_state("drill")
    assert it.drills.standing() == []
    assert it.drills.next_due() is None


def drill_of(it: Stage) -> str:
    assert it.running is not None
    return it.running.drill_id
