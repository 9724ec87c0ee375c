"""The agent: one pass from answers to the feed, and the few tasks that keep it going.

    links → poller → DeviceState.take → Lane.step → Ledger.enter → Store.commit → Feed
                └──▶ Rehearsals.take, while a drill runs, after the live lane      └─▶ Ledger.foresee, when that is told

`_take` is the pass, in the order of `turn.py`. Everything else here starts, watches, reloads and stops. A bug ends the
task group and so the process; systemd starts it again and the store gives back alarms, acknowledgements, timers and
the outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from edgeagent import garbage, payloads, sdnotify, turn
from edgeagent.catalog import Severity
from edgeagent.clock import Clock, synced
from edgeagent.config import Site
from edgeagent.delivery import Settings
from edgeagent.devices import DeviceState
from edgeagent.drill import End
from edgeagent.endpoint import Endpoint
from edgeagent.feed import Feed
from edgeagent.hearing import Hearing
from edgeagent.inventory import AGENT
from edgeagent.lane import Lane, Outcome
from edgeagent.ledger import SEEN, Ledger
from edgeagent.links import Link, open_link
from edgeagent.links.traps import TrapListener
from edgeagent.messages import Mode, Tree
from edgeagent.metrics import Exporter, Figures, standing_still
from edgeagent.mistakes import Mistakes
from edgeagent.mqtt import Connection, Events, Will
from edgeagent.poller import Poller
from edgeagent.readings import Reading, Value
from edgeagent.records import Records
from edgeagent.rehearsals import Rehearsals, Surroundings
from edgeagent.requests import carry_out
from edgeagent.statefolder import StateFolder
from edgeagent.store import Batch
from edgeagent.turn import Polled
from edgeagent.voice import REFRESH, Voice

log = logging.getLogger(__name__)

FIRST_PASS: Final = 30.0
"""systemd hears READY after this many seconds even if a device has not answered yet."""
_GRAVE: Final = frozenset({Severity.MAJOR, Severity.CRITICAL})


class Agent:
    """One site's agent. `load` reads the configuration again, for a reload, and raises `Mistakes`."""

    def __init__(self, site: Site, load: Callable[[], Awaitable[Site]]) -> None:
        self._site, self._load = site, load
        self._clock = Clock()
        self._started = self._clock.now()
        self._folder = StateFolder(site.state, self._clock.now)
        self._store = self._folder.store
        self._tree = tree = Tree(site.root, site.id, site.agent)
        self._feed = Feed(
            Settings(tree, site.language, site.rate), self._store, self._connect, self._command,
            clock=self._clock.now, on_trouble=self._trouble, on_announced=self._announced,
        )  # fmt: skip
        self._voice = Voice(self._feed, tree, self._store, wall=self._clock.now)
        self._lane = Lane(site)
        self._ledger = Ledger(self._lane, self._feed, self._store, tree, site.language)
        self._records = Records(self._folder.database, self._feed, tree, self._clock.now)
        self._poller = Poller(self._link, self._take, self._clock.now)
        self._drills = Rehearsals(
            site,
            Surroundings(
                self._lane, self._feed, self._store, tree, self._clock.now, lambda: self._poller.states, self._ask,
                self._follow,
            ),
        )  # fmt: skip
        self._hearing = Hearing(site, tree, self._poller.now, self._clock.now)
        self._traps = TrapListener(self._poller.now, f"{site.id}/{site.agent}", self._store.boot)
        self._still = "starting"
        self._exporter = Exporter(
            site.metrics, site.id, site.agent, self._figures, lambda: self._still, self._clock.now
        )  # fmt: skip
        self._links: dict[str, tuple[Link, asyncio.Task[None]]] = {}
        self._own_readings: dict[str, Reading] = {}
        self._lane.view[AGENT] = self._own_readings
        self._waiting = set(site.devices)
        self._power: frozenset[str] = frozenset()
        self._timer: asyncio.TimerHandle | None = None
        self._foreseeing: asyncio.Handle | None = None
        self._ticks, self._passed, self._stop, self._hung_up = 0, asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._bug: BaseException | None = None
        self._tasks: asyncio.TaskGroup
        self._looking, self._telling = list[asyncio.Task[None]](), list[asyncio.Task[None]]()

    # Start and stop.

    async def run(self) -> int:
        """Run until told to stop; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up.set)
        loop.set_exception_handler(self._in_callback)
        self._ledger.restore(self._clock.now())
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._begin()
                await self._stop.wait()
                if self._bug is not None:
                    raise self._bug
                sdnotify.stopping()
                log.info("stopping")
                for task in self._looking:  # what is seen from now on could not be told any more
                    task.cancel()
                self._drills.end(End.RESTART)
                await self._feed.stop()
                for task in (*self._telling, *(task for _, task in self._links.values())):
                    task.cancel()
        finally:
            self._folder.close()
        return 0

    def _in_callback(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End the process for a bug in a callback too: the loop alone would log it and leave the device unpolled."""
        loop.default_exception_handler(context)
        if "handle" in context and "exception" in context:
            self._bug = context["exception"]
            self._stop.set()

    def _begin(self) -> None:
        self._voice.site(self._site, self._started, self._clock_state(), self._clock.now())
        if orphans := self._lane.floor.orphans():
            self._enter(Outcome(orphans))
        self._records.touch(self._lane.procedures.runs())
        self._drills.restore()
        self._watch(self._site)
        looking = self._poller.run(), self._traps.run(), self._hearing.run(), self._keep_time(), self._reload()
        telling = self._feed.run(), self._records.run(), self._tell_systemd(), self._exporter.run()
        self._looking, self._telling = ([self._tasks.create_task(each) for each in run] for run in (looking, telling))

    def _watch(self, site: Site, ids: Iterable[str] | None = None) -> None:
        states = [DeviceState(site.devices[id]) for id in (site.devices if ids is None else ids)]
        for state in states:
            self._lane.view[state.device.id] = state.readings
            self._voice.availability(state, self._clock.now())
        self._poller.watch(states)
        self._hearing.follow(site)
        self._traps.follow(site.traps, {id: device.endpoint for id, device in site.devices.items()})
        self._power = frozenset(id for id, device in site.devices.items() if device.driver.kind.power)

    def _link(self, endpoint: Endpoint) -> Link:
        """Return the link of a medium, opened when its first device comes."""
        known = self._links.get(endpoint.medium)
        if known is None:
            link = self._hearing.link if endpoint.scheme == "seat" else open_link(endpoint)
            known = self._links[endpoint.medium] = (link, self._tasks.create_task(link.run(), name=endpoint.medium))
        return known[0]

    def _connect(self, events: Events, will: Will) -> Connection:
        own = f"edge-{self._site.id}-{self._site.agent}"
        return Connection(replace(self._site.broker, client_id=own), events, will)

    # The pass.

    def _take(self, polled: Polled) -> None:
        """Carry the answers of one turn all the way: readings, alarms, store, feed."""
        turn.take(polled, self._step, self._voice, self._clock.now())
        if self._waiting:
            self._waiting -= {state.device.id for state, _ in polled}
        if not self._waiting:
            self._passed.set()

    def _step(self, polled: Polled, changed: list[tuple[str, str]], now: float) -> None:
        read = [state.device.id for state, _ in polled]
        if changed or not self._lane.calm(read, now):
            self._enter(self._lane.step(changed, read, now))
        self._drills.take(polled, changed, now)

    def _judge(self, changed: Sequence[tuple[str, str]], now: float) -> None:
        self._enter(self._lane.step(changed, (), now))
        if changed:
            self._drills.take((), changed, now)

    def _enter(self, outcome: Outcome) -> None:
        """Hand what changed to the store, and through it to the feed; see to what is due next."""
        now = self._clock.now()
        moved = self._ledger.enter(outcome, now)
        if moved:
            self._records.touch({change.run.run_id for change in outcome.runs})
            self._drills.heard(outcome, now)
        self._follow(moved)

    def _follow(self, moved: bool = True) -> None:
        """See to what is to be asked at once or, where alarms moved, sooner, to what is due next and what may come."""
        if moved or self._lane.records():  # as long as all is well, once a second is enough
            self._foreseeing = self._foreseeing or asyncio.get_running_loop().call_soon(self._foresee)
        if moved:
            self._poller.hasten(self._abnormal())
        for id in (*self._lane.floor.curious(), *self._drills.curious()):
            self._poller.now(id)
        dues = [due for due in (self._lane.next_due(), self._drills.next_due()) if due is not None]
        if self._timer is not None:
            self._timer.cancel()
        if dues:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, min(dues) - self._clock.now()), self._due)

    def _due(self) -> None:
        """Do what the timers owe; those of a drill leave the live lane alone."""
        if self._stop.is_set():
            return
        now, due = self._clock.now(), self._lane.next_due()
        if due is not None and due <= now:
            self._judge((), now)
        self._drills.due()
        self._follow(moved=False)

    def _foresee(self) -> None:
        """Look ahead, once the turn is over and what it brought is told."""
        self._foreseeing = None
        self._ledger.foresee(self._clock.now())
        self._drills.foresee()

    def _ask(self, id: str, delay: float) -> None:
        asyncio.get_running_loop().call_later(delay, self._poller.now, id)

    def _abnormal(self) -> frozenset[str]:
        """Return the devices to poll faster: all of the power tree while something grave is up in it."""
        grave = any(
            alarm.perceived_severity in _GRAVE and alarm.alarm_type_id != "unreachable"
            for alarm in (*self._ledger.standing(), *self._drills.standing())
            if alarm.resource in self._power
        )
        return self._power if grave else frozenset()

    # What operators ask.

    def _command(self, verb: str, request: Mapping[str, Any], by: str) -> Mapping[str, Any]:
        now = self._clock.now()
        if self._drills.answers(verb, request):
            return self._drills.command(verb, request, by)
        if verb == "refresh":
            for id in self._poller.states:
                self._poller.now(id)
            self._voice.again()
            return {"devices": len(self._poller.states)}
        if verb == "runs":
            return {"runs": self._ledger.records(now)}
        answer, outcome = carry_out(self._lane, verb, request, by, now)
        self._enter(outcome)
        return answer

    # The agent's own readings.

    def _clock_state(self) -> payloads.Clock:
        synced = self._own_readings.get("clock.synced")
        return {"synced": synced is None or synced.value is not False, "offset_ms": None}

    def _figures(self) -> Figures:
        up = Counter(alarm.perceived_severity for alarm in self._ledger.standing())
        silent = sum(state.misses > 0 for state in self._poller.states.values())
        counts = {
            "devices": len(self._site.devices), "silent": silent, "alarms": up.total(), "seats": self._hearing.seats,
            **self._hearing.figures,
        }  # fmt: skip
        derived = self._lane.floor.derived.get(AGENT, {}).items()
        counts |= {point: reading.value for point, reading in derived if type(reading.value) is int}
        trouble = self._store.trouble or self._folder.makeshift
        return Figures(counts, up, self._store.depth(), self._feed.session, trouble, self._poller.turns)

    def _own(self, point: str, value: Value) -> None:
        """Note a reading of the agent itself, and judge it when it is another one."""
        now = self._clock.now()
        if not (reading := Reading(value, now)).same(self._own_readings.get(point)):
            self._own_readings[point] = reading
            self._judge([(AGENT, point)], now)

    def _trouble(self, kind: str, text: str) -> None:
        if kind != "disconnected":  # that is looked at once a second
            log.warning("feed: %s: %s", kind, text)

    def _announced(self, alarm_id: str, at: float, mode: Mode) -> None:
        if mode is Mode.DRILL:
            self._drills.announced(alarm_id, at)
        else:
            self._lane.floor.alarms.announced(alarm_id, at)

    # The clock, systemd, and a new configuration.

    async def _keep_time(self) -> None:
        """Look after the clock, the agent's own readings and the heartbeat, once a second."""
        beat = 0.0
        while True:
            self._ticks += 1
            step = self._clock.step()
            if step:
                log.warning("the system's clock was stepped by %.1f s", step)
                self._lane.shift(step)
                self._drills.shift(step)
                self._follow()
            for point, value in self._folder.readings(self._clock.now()).items():
                self._own(point, value)
            self._own("broker", self._feed.session)
            self._own("broker.fallback", self._feed.connection.fallback)
            if self._feed.connection.connected:
                self._voice.reached(str(self._feed.connection.broker), self._clock.now())
            self._enter(Outcome())  # what was put off comes due, though nothing changes
            self._foresee()
            self._drills.tick(self._clock.now(), connected=self._feed.session == "connected")
            self._own("traps", self._traps.state)
            for point, count in self._hearing.tick().items():
                self._own(point, count)
            self._own("foreign", self._feed.foreign.heard(time.monotonic()))
            for point, settings in self._site.security.readings(self._clock.now()).items():
                self._own(point, settings)
            if self._lane.delays() is not None and self._store.trouble is None:
                # What has run of a delay is not to be waited for again after a kill.
                self._store.commit(Batch({SEEN: {"at": self._clock.now()}}))
            if (clock := synced()) is not None:
                self._own("clock.synced", clock)
            now = asyncio.get_running_loop().time()
            if now - beat >= REFRESH:
                beat = now
                clock_state, counts = self._clock_state(), self._figures().counts
                self._voice.health(self._started, clock_state, counts, self._own_readings, self._clock.now())
                garbage.sweep()
            await asyncio.sleep(1.0)

    async def _tell_systemd(self) -> None:
        """Say READY after the first pass, then WATCHDOG only while poller, engine and feed all go on."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._passed.wait(), FIRST_PASS)
        log.info("first pass after %.1f s, %d devices still to answer", loop.time() - start, len(self._waiting))
        garbage.settle()
        sdnotify.ready(self._figures().line)
        self._still, seen = "", (0, 0)
        pause = min(sdnotify.watchdog_interval() or 10.0, 10.0)
        while True:
            await asyncio.sleep(pause)
            turns = (self._poller.turns, self._ticks)
            self._still, seen = standing_still(seen, turns, self._feed.alive()), turns
            if not self._still:
                sdnotify.watchdog()
            sdnotify.status(self._figures().line)

    async def _reload(self) -> None:
        """Read the configuration again when asked; a wrong one changes nothing, a right one swaps what is another."""
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            sdnotify.reloading()
            self._own("config.error", value=(found := await self._read()) is None)
            if found is not None:
                self._swap(found)
            sdnotify.ready(self._figures().line)

    async def _read(self) -> Site | None:
        try:
            return await self._load()
        except Mistakes as error:
            mistakes = error.found
        for mistake in mistakes:
            log.error("%s", mistake)
        log.error("the new configuration has %d mistakes; the old one stays in force", len(mistakes))
        return None

    def _swap(self, site: Site) -> None:
        old = self._site
        if fixed := [name for name in _FIXED if getattr(old, name) != getattr(site, name)]:
            log.warning("%s changed: restart the agent for it, the rest is taken over now", ", ".join(fixed))
            site = replace(site, **{name: getattr(old, name) for name in fixed})
        gone = [id for id, device in old.devices.items() if site.devices.get(id) != device]
        fresh = [id for id, device in site.devices.items() if old.devices.get(id) != device]
        self._site = site
        self._poller.forget(gone)
        now = self._clock.now()
        self._voice.forget(set(gone) - set(fresh), now)
        for id in gone:
            self._lane.view.pop(id)
        self._drills.replace(site)
        self._enter(self._lane.replace(site, now))
        self._watch(site, fresh)
        used = {device.endpoint.medium for device in site.devices.values()}
        for medium in self._links.keys() - used:
            self._links.pop(medium)[1].cancel()
        self._voice.site(site, self._started, self._clock_state(), now)
        lost = len(set(gone) - set(fresh))
        log.info("configuration taken over: %d devices new or changed, %d gone", len(fresh), lost)


_FIXED: Final = ("id", "agent", "state", "broker", "root", "rate", "language", "metrics")
