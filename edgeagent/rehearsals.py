"""Drills on the running agent: what is asked of them, the lane that rehearses, and what is written down and told.

Owns the one drill there may be. The live lane is read here and never told anything. Whatever goes wrong in a drill ends
the drill and nothing else: the watching goes on.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, ParamSpec, TypeVar

from typing_extensions import TypedDict

from edgeagent import drillfeed, drillrecord, messages
from edgeagent.alarm import Alarm, Refused
from edgeagent.commands import Rejected
from edgeagent.config import Site
from edgeagent.devices import DeviceState
from edgeagent.drill import Drill, DrillChange, DrillVerb, End
from edgeagent.drillrequests import of_drill
from edgeagent.drills import Drills
from edgeagent.feed import Feed
from edgeagent.lane import Lane, Outcome
from edgeagent.ledger import Ledger
from edgeagent.messages import Message, Mode, Place, Tree
from edgeagent.readings import Answers
from edgeagent.rehearsal import Rehearsal, Rehearsed, Standing, prepared
from edgeagent.requests import carry_out, no_drill
from edgeagent.scenario import Planned, Scenario
from edgeagent.store import Batch, Body, Entry, Store
from edgeagent.survived import taken
from edgeagent.voice import Voice

log = logging.getLogger(__name__)

_NOBODY: Final = frozenset[str]()
_STATE: Final = "drill"
"""Key of the drill that runs: an agent that finds it at its start says that the drill is over."""
_P = ParamSpec("_P")
_R = TypeVar("_R")
_O = TypeVar("_O")


class _Led(TypedDict):
    """What is kept of the drill that runs: its id, and when it began, epoch s."""

    drill: str
    started: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the agent gives a drill to look at and to do. `ask(device, s)` has a device polled so many s from now.

    `states` are the devices as they are polled; `moved` hears when timers or alarms of the drill are others.
    """

    live: Lane
    feed: Feed
    store: Store
    tree: Tree
    clock: Callable[[], float]
    states: Callable[[], Mapping[str, DeviceState]]
    ask: Callable[[str, float], None]
    moved: Callable[[], None]


def _guarded(otherwise: _O) -> Callable[[Callable[_P, _R]], Callable[_P, _R | _O]]:
    """Let an error of ours end the drill and not the watching; `otherwise` is what is returned then."""

    def guard(do: Callable[_P, _R]) -> Callable[_P, _R | _O]:
        @functools.wraps(do)
        def done(*args: _P.args, **kwargs: _P.kwargs) -> _R | _O:
            try:
                return do(*args, **kwargs)
            except Exception:  # the edge of a drill: the real watching runs on the same loop
                log.exception("the drill failed; it ends, the watching goes on")
                own = args[0]
                assert isinstance(own, Rehearsals)  # noqa: S101 - it decorates its methods alone
                own.fail()
                return otherwise

        return done

    return guard


class Rehearsals:
    """The drill of an agent, if one runs. Times are epoch s."""

    def __init__(self, site: Site, around: Surroundings) -> None:
        self.site, self.around = site, around
        self.drills = Drills(site.drills.settings)
        self._rehearsal: Rehearsal | None = None
        self._ledger: Ledger | None = None
        self._voice: Voice | None = None
        self._next_seq: Callable[[], int] = itertools.count(1).__next__
        self._kinds = {id: device.driver.kind.id for id, device in site.devices.items()}
        self._preparing: asyncio.Task[None] | None = None

    # What people ask.

    def answers(self, verb: str, request: Mapping[str, Any]) -> bool:
        """Tell whether a command is about a drill, or on its lane."""
        return verb.startswith("drill-") or request.get("mode") == Mode.DRILL

    def command(self, verb: str, request: Mapping[str, Any], by: str) -> Mapping[str, Any]:
        """Do one command about a drill or on its lane and return what its answer adds.

        Raises:
            Rejected, alarm.Refused: see `requests.carry_out`.
        """
        try:
            return self._command(verb, request, by, self.around.clock())
        except (Rejected, Refused):
            raise
        except Exception:  # what failed half-way must not go on as a drill
            self.fail()
            raise

    def _command(self, verb: str, request: Mapping[str, Any], by: str, now: float) -> Mapping[str, Any]:
        if verb.startswith("drill-"):
            answer = of_drill(self, verb, request, by, now)
            self.around.moved()
            return answer
        rehearsal, ledger = self._rehearsal, self._ledger
        if rehearsal is None or ledger is None:
            raise no_drill()
        at = rehearsal.time(now)
        if verb == "runs":
            return {"runs": ledger.records(at)}
        answer, outcome = carry_out(rehearsal.lane, verb, request, by, at, rehearsal.drill.drill_id)
        self._enter(Rehearsed(outcome), now)
        return answer

    def begin(self, changes: Sequence[DrillChange], planned: tuple[Planned, ...], now: float) -> None:
        """Begin the drill that `drills` has just started."""
        drill = changes[-1].drill
        log.warning("drill %s begins, led by %s, confirmed by %s", drill.drill_id, drill.owner, drill.confirmed_by)
        self.tell(changes, now, [self.around.feed.begin_drill(drill.drill_id, now)])
        self._preparing = asyncio.get_running_loop().create_task(self._prepare(drill, planned), name="drill")

    # What goes on.

    async def _prepare(self, drill: Drill, planned: tuple[Planned, ...]) -> None:
        """Build the drill's lane beside the live one; it takes a thread its time, the loop none."""
        try:
            standing = Standing.of(self.around.live)
            lane = await asyncio.to_thread(prepared, self.site, standing, drill.started)
            if self._runs(drill):
                self._rehearse(drill, lane, planned)
        except Exception:  # the edge of a drill: nobody waits for this task, and the drill would hang
            log.exception("the drill's lane cannot be built")
            if self._runs(drill):
                self.fail()

    def _runs(self, drill: Drill) -> bool:
        return self.drills.current is not None and self.drills.current.drill_id == drill.drill_id

    def _rehearse(self, drill: Drill, lane: Lane, planned: tuple[Planned, ...]) -> None:
        around, current = self.around, self.drills.current or drill
        drivers = {id: around.states()[id].driver for id in drill.devices}
        rehearsal = Rehearsal(drill, lane, planned, drivers, around.live.view)
        if current.started != drill.started:  # the clock was stepped meanwhile
            rehearsal.shift(current.started - drill.started)
        self._rehearsal = rehearsal
        self._ledger = Ledger(
            lane, around.feed, around.store, around.tree, self.site.language, drill.drill_id, self._next_seq
        )
        self._voice = Voice(around.feed, around.tree, around.store, drill.drill_id)
        self.due()

    @_guarded(None)
    def take(
        self, polled: Iterable[tuple[DeviceState, Answers]], changed: Iterable[tuple[str, str]], now: float
    ) -> None:
        """Take the answers of one turn, after the live lane has had them."""
        if self._rehearsal is not None:
            self._enter(self._rehearsal.step(polled, changed, now), now)

    @_guarded(None)
    def heard(self, outcome: Outcome, now: float) -> None:
        """Take what the live lane told: a real fault ends the drill."""
        if self.drills.current is not None:
            self.tell(self.drills.live(outcome.changes, outcome.runs, now), now)

    @_guarded(None)
    def tick(self, now: float, *, connected: bool) -> None:
        """Look once a second at what nobody tells: the broker, and what the devices really say."""
        if self.drills.current is not None:
            self.tell(self.drills.broker(connected=connected, now=now), now)
            self.tell(self.drills.conditions(self.around.live.view, self._kinds, now), now)
            self.around.moved()

    @_guarded(None)
    def due(self) -> None:
        """Do what the timers owe."""
        now = self.around.clock()
        if self._rehearsal is not None:
            self._enter(self._rehearsal.step((), (), now), now)
        elif self.drills.next_due() is not None:
            self.tell(self.drills.step(now), now)
            self.around.moved()

    @_guarded(None)
    def foresee(self) -> None:
        """Look ahead on the drill lane, after what it told."""
        if self._rehearsal is not None and self._ledger is not None:
            self._ledger.foresee(self._rehearsal.time(self.around.clock()))

    @_guarded(None)
    def next_due(self) -> float | None:
        """Return when `due` is to be called next, epoch s."""
        now = self.around.clock()
        dues = (self.drills.next_due(), None if self._rehearsal is None else self._rehearsal.next_due(now))
        return min((due for due in dues if due is not None), default=None)

    @_guarded(_NOBODY)
    def curious(self) -> frozenset[str]:
        """Take the devices that the drill lane wants asked at once."""
        return frozenset() if self._rehearsal is None else frozenset(self._rehearsal.lane.floor.curious())

    def standing(self) -> list[Alarm]:
        """Return the alarms of the drill that stand."""
        return [] if self._ledger is None else self._ledger.standing()

    @_guarded(None)
    def announced(self, alarm_id: str, at: float) -> None:
        """Note that the broker has an alarm's event."""
        if self._rehearsal is not None:
            self._rehearsal.lane.floor.alarms.announced(alarm_id, self._rehearsal.time(at))

    @_guarded(None)
    def shift(self, delta: float) -> None:
        """Move all that runs along with a wall clock that stepped by `delta` s."""
        self.drills.shift(delta)
        if self._rehearsal is not None:
            self._rehearsal.shift(delta)

    # How it ends.

    @_guarded(None)
    def end(self, why: End) -> None:
        """End the drill that runs, if one does."""
        if self.drills.current is not None:
            now = self.around.clock()
            self.tell(self.drills.end(why, now), now)

    def fail(self) -> None:
        """End it because of an error of ours, in as few steps as can be; leave nothing of it on the feed."""
        feed, now, drill = self.around.feed, self.around.clock(), self.drills.current or self.drills.last
        self._rehearsal = self._ledger = self._voice = None
        if self.drills.current is not None:
            self.tell(self.drills.end(End.FAILED, now), now)
        elif drill is not None:
            left = [messages.drilled(stone, drill.drill_id) for stone in feed.end_drill(now)]
            feed.commit(Batch({_STATE: None}, outbox=left))
            self._notice(now)

    def replace(self, site: Site) -> None:
        """Go on with another configuration: a drill was declared for the old one, and ends."""
        self.end(End.RELOAD)
        self.site = site
        self._kinds = {id: device.driver.kind.id for id, device in site.devices.items()}
        self.drills.settings = site.drills.settings

    def restore(self) -> None:
        """Say of the drill that an earlier life of the agent led that it is over. It is not taken up again."""
        store, now = self.around.store, self.around.clock()
        store.forget_drill()
        row = store.load_state(_STATE).get(_STATE)
        found = None if row is None else taken(_Led, row, "the drill that was on")
        held = None
        if found is not None:
            lines = store.journal(found["started"] - 1.0, "drill")
            held = drillrecord.brief([each for each in drillrecord.read_all(lines) if each.drill == found["drill"]])
        if held is None:
            self._notice(now)
            return
        log.warning("drill %s ended with the agent that led it", held.drill_id)
        self.tell(self.drills.found(_earlier(held), now), now)

    # What is written and told.

    def _enter(self, rehearsed: Rehearsed, now: float) -> None:
        rehearsal, ledger, voice, drills = self._rehearsal, self._ledger, self._voice, self.drills
        if rehearsal is None or ledger is None or voice is None:
            return
        at = rehearsal.time(now)
        for twin in rehearsed.shown:
            voice.readings(twin, at)
        voice.forget(set(rehearsed.released), at)
        if rehearsed.due:
            self.tell(drills.injected(rehearsed.due, now), now)
        for planned, why in rehearsed.failed:
            log.warning("drill: %s cannot show it: %s", planned.device, why)
            self.tell(drills.failed(planned, why, now), now)
        if self._rehearsal is not rehearsal:  # that ended it: its lane is empty by now and stays so
            return
        ledger.enter(rehearsed.outcome, at)
        told = ledger.touched(rehearsed.outcome)
        self.tell([*drills.drilled(told.changes, told.runs, now), *drills.step(now)], now)
        for id, delay in rehearsed.again:
            self.around.ask(id, delay)
        self.around.moved()

    def tell(self, changes: Sequence[DrillChange], now: float, first: Sequence[Message] = ()) -> None:
        """Write down and say what happened to the drill, and clear its lane when it is over."""
        if not changes:
            return
        ended = next((change for change in changes if change.verb is DrillVerb.ENDED), None)
        drill, current = changes[-1].drill, self.drills.current
        if ended is not None:
            self._close(ended, now)
        around, language = self.around, self.site.language
        said = [messages.drilled(each, drill.drill_id) for each in first]
        for change in changes:  # what is noted of the last drill may be noted while the next one is on
            told = drillfeed.event(change, around.tree, language, around.store.boot, self._next_seq(), now)
            said.append(messages.drilled(told, change.drill.drill_id))
        if current is not None:
            progress = drillfeed.progress(current, self.drills.last, language, now)
            message = messages.state(around.tree.exercise(Mode.DRILL), progress, now)
            said.append(messages.drilled(message, current.drill_id))
        entries = [Entry("drill", change.at, drillrecord.journal_of(change)) for change in changes]
        state: dict[str, Body | None] = {}
        if any(change.verb is DrillVerb.STARTED for change in changes):
            state[_STATE] = {"drill": drill.drill_id, "started": drill.started}
        if ended is not None:
            state[_STATE] = None
            said += [messages.drilled(stone, ended.drill.drill_id) for stone in around.feed.end_drill(now)]
        around.feed.commit(Batch(state, entries, said))
        if any(change.verb in _NOTICED for change in changes):
            self._notice(now)

    def _notice(self, now: float) -> None:
        """Say on the live lane which drill is on, after all that is real."""
        said = drillfeed.notice(self.drills.current, self.drills.last, self.site.language, now)
        message = messages.state(self.around.tree.exercise(), said, now)
        self.around.feed.commit(Batch(outbox=[replace(message, place=Place.DRILL)]))

    def _close(self, ended: DrillChange, now: float) -> None:
        rehearsal, ledger = self._rehearsal, self._ledger
        self._rehearsal = self._ledger = self._voice = None
        log.warning("drill %s ended: %s %s", ended.drill.drill_id, ended.drill.end, ended.reason)
        if rehearsal is None or ledger is None:
            return
        try:
            runs = rehearsal.abort(ended.by, f"演练结束 / end of exercise: {ended.drill.end}", now)
            ledger.enter(Outcome(runs=runs), rehearsal.time(now))
        except Exception:  # its end is written down and told all the same
            log.exception("the runs of drill %s cannot be closed", ended.drill.drill_id)


_NOTICED: Final = frozenset({DrillVerb.STARTED, DrillVerb.RENEWED, DrillVerb.ENDED})


def _earlier(held: drillrecord.Held) -> Drill:
    """Return a drill as far as the journal of an earlier life tells of it."""
    it = held.declared
    scenario = Scenario(it.scenario, it.version, it.text, it.purpose, it.procedure, expects=it.expects)
    return Drill(
        held.drill_id, scenario, it.owner, it.confirmed_by, it.started, it.ends, it.ends, frozenset(it.scope),
        frozenset(it.devices), it.speed, outcomes=held.outcomes,
    )  # fmt: skip
