"""The drill lane beside the live one: whatever is shown and whatever is really so, the live lane says the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, TypeAlias

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.alarm import Refused, Verb
from edgeagent.catalog import Text
from edgeagent.commands import Rejected
from edgeagent.config import Site
from edgeagent.devices import DeviceState
from edgeagent.drill import Drill
from edgeagent.forecast import Forecast
from edgeagent.inventory import AGENT
from edgeagent.lane import Lane, Outcome
from edgeagent.readings import Answers, Reading
from edgeagent.rehearsal import Rehearsal, Standing, prepared
from edgeagent.requests import carry_out
from edgeagent.run import StepState
from edgeagent.scenario import Do, Planned, Scenario
from tests.cornersite import MOODS, Wish, answered, corner, planned
from tests.duty import BASE

DRILL: Final = "any-20261125-0210"
NOTHING: Final = Scenario("any", 1, Text("Any", "任意"), Text("", ""), "outage")

Polls: TypeAlias = Mapping[str, str]
"""The mood in which each device answers that is polled."""


@cache
def site() -> Site:
    return corner()


@dataclass(frozen=True, slots=True)
class Turn:
    """What happens `wait` s after the last thing: polls, what somebody asks on which lane, a step of the clock."""

    wait: float
    polls: Polls
    asks: str = ""
    step: float = 0.0


class World:
    """A floor and its live lane, and beside it a drill if there is one. `said` is all that the live lane gave."""

    def __init__(
        self, injects: tuple[Planned, ...] | None = None, begin: int = 0, slow: int = 0, speed: float = 1.0
    ) -> None:  # fmt: skip
        self.now = BASE
        self.site, self.lane = site(), Lane(site())
        self.states = {id: DeviceState(device) for id, device in self.site.devices.items()}
        self.lane.view.update({id: state.readings for id, state in self.states.items()})
        self.lane.view[AGENT] = {"broker": Reading("connected", self.now)}
        self.said: list[tuple[float, Outcome, Forecast | None, bytes]] = []
        self.injects, self.begin, self.slow, self.speed = injects, begin, slow, speed
        self.turns = 0
        self.ready: tuple[Drill, Lane] | None = None
        self.rehearsal: Rehearsal | None = None
        self.drilled: list[Outcome] = []
        self.ever: dict[tuple[str, str], set[Reading]] = {}
        """What each point was ever really read to be."""

    def play(self, story: list[Turn]) -> World:
        self._take(dict.fromkeys(self.states, "well"))
        for turn in story:
            if self.turns == self.begin and self.injects is not None:
                self._begin()
            if self.turns == self.begin + self.slow and self.ready is not None:
                self._ready()
            self.turns += 1
            self._wait(turn.wait)
            if turn.step:
                self._shift(turn.step)
            self._ask(turn.asks)
            self._take(turn.polls)
        if self.rehearsal is not None:
            self.drilled.append(Outcome(runs=self.rehearsal.abort("", "over", self.now)))
        return self

    def _begin(self) -> None:
        drill = Drill(DRILL, NOTHING, "li", "wang", self.now, self.now + 1800, self.now + 300, speed=self.speed)
        self.ready = drill, prepared(self.site, Standing.of(self.lane), self.now)

    def _ready(self) -> None:
        assert self.ready is not None
        drill, lane = self.ready
        drivers = {id: state.driver for id, state in self.states.items()}
        self.rehearsal, self.ready = Rehearsal(drill, lane, self.injects or (), drivers, self.lane.view), None
        self._rehearse([], [])

    def _wait(self, seconds: float) -> None:
        """Serve the timers of both lanes."""
        until = self.now + seconds
        for _ in range(10_000):
            live = self.lane.next_due()
            dues = [live, None if self.rehearsal is None else self.rehearsal.next_due(self.now)]
            due = min((each for each in dues if each is not None), default=None)
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            if live is not None and live <= self.now:
                self._step([], ())
            self._rehearse([], [])
        else:
            raise AssertionError("timers never come to rest")
        self.now = max(self.now, until)

    def _take(self, polls: Polls) -> None:
        polled = [(self.states[id], answered(self.states[id].driver, mood)) for id, mood in sorted(polls.items())]
        changed = [(state.device.id, point) for state, answers in polled for point in state.take(answers, self.now)]
        self._step(changed, [state.device.id for state, _ in polled])
        self._rehearse(polled, changed)

    def _step(self, changed: list[tuple[str, str]], asked: Sequence[str]) -> None:
        outcome = self.lane.step(changed, asked, self.now)
        self._note(outcome, self.lane.foresee(self.now))

    def _rehearse(self, polled: list[tuple[DeviceState, Answers]], changed: list[tuple[str, str]]) -> None:
        for id, readings in (*self.lane.view.items(), *self.lane.floor.derived.items()):
            for point, reading in readings.items():
                self.ever.setdefault((id, point), set()).add(replace(reading, time=0.0))
        if self.rehearsal is not None:
            self.drilled.append(self.rehearsal.step(polled, changed, self.now).outcome)
            self.rehearsal.lane.foresee(self.rehearsal.time(self.now))

    def _ask(self, what: str) -> None:
        """Let somebody acknowledge, open or do on a lane whatever there is."""
        lane, by = (self.rehearsal.lane if self.rehearsal else None, DRILL) if "drill" in what else (self.lane, None)
        if lane is None or not what:
            return
        mode, at = "drill" if by else "live", self.rehearsal.time(self.now) if by and self.rehearsal else self.now
        alarm = next((id for id, each in lane.records().items() if each.origin == by), "no.alarm")
        run = next((each for each in lane.procedures.runs().values() if each.origin == by), None)
        step = next((each.id for each in run.steps if each.state is StepState.READY), "x") if run else "x"
        asked = {
            "ack": {"alarm_id": alarm}, "run-open": {"procedure": "security", "reason": "a drill"},
            "step": {"run_id": run.run_id if run else "x", "step": step, "action": "done"},
        }  # fmt: skip
        verb = what.removeprefix("drill ")
        try:
            _, outcome = carry_out(lane, verb, {"mode": mode, **asked[verb]}, "li", at, by)
        except (Rejected, Refused):
            return
        if by:
            self.drilled.append(outcome)
        else:
            self._note(outcome)

    def _shift(self, delta: float) -> None:
        self.now += delta
        self.lane.shift(delta)
        if self.rehearsal is not None:
            self.rehearsal.shift(delta)
        if self.ready is not None:
            drill, lane = self.ready
            lane.shift(delta)
            self.ready = drill.shifted(delta), lane

    def _note(self, outcome: Outcome, forecast: Forecast | None = None) -> None:
        """Keep what the live lane told and would store. What an empty step gave is nothing."""
        floor, procedures = self.lane.floor, self.lane.procedures
        stored = {
            **{id: floor.store(id) for id in sorted(floor.touched())},
            **{id: procedures.store(id) for id in sorted(procedures.touched())},
            **{name: memory for name, memory in self._memory().items() if memory is not None},
        }
        if stored or outcome != Outcome() or forecast is not None:
            self.said.append((self.now, outcome, forecast, orjson.dumps(stored)))

    def _memory(self) -> Mapping[str, object]:
        return {"floor": self.lane.floor.memory(), "forecast": self.lane.forecasts.memory()}

    def view(self) -> str:
        """Write down all that the live lane holds at the end."""
        lane = self.lane
        rows = [lane.floor.store(id) for id in lane.records()], [lane.procedures.store(id) for id in self._runs()]
        held = {id: dict(readings) for id, readings in lane.view.items()}
        memory = lane.floor.remembered(), lane.forecasts.memory(), lane.next_due()
        states = [(s.misses, s.reason, s.observed, s.answers, s.wants(self.now)) for s in self.states.values()]
        return repr((held, rows, memory, states))

    def _runs(self) -> list[str]:
        return list(self.lane.procedures.runs())


def live_is_untouched(story: list[Turn], beside: World) -> None:
    """See that a world with a drill said and holds, of what is real, what one without it says and holds."""
    alone = World().play(story)
    beside.play(story)
    assert beside.said == alone.said
    assert beside.view() == alone.view()
    assert DRILL not in repr(beside.said)
    assert DRILL not in beside.view()


def all_is_marked(world: World) -> None:
    """See that all of the drill lane bears the drill's mark that is not really so."""
    lane = None if world.rehearsal is None else world.rehearsal.lane
    if lane is None or world.speed != 1.0 or world.slow:
        return  # by a clock that goes faster, or in a lane that was built late, what is really wrong has other times
    for id, readings in (*lane.view.items(), *lane.floor.derived.items()):
        for point, reading in readings.items():
            real = replace(reading, time=0.0) in world.ever.get((id, point), ())
            assert real or reading.origin == DRILL, f"{id} {point} {reading}"
    real_ones = {change.alarm.alarm_id for _, outcome, *_ in world.said for change in outcome.changes}
    for outcome in world.drilled:
        raised = (change.alarm for change in outcome.changes if change.verb is Verb.RAISED)
        assert {alarm.alarm_id for alarm in raised if alarm.origin is None} <= real_ones
        assert {run.run.origin for run in outcome.runs if run.run.run_id.startswith("drill-")} <= {DRILL}


moments = st.sampled_from([0.0, 0.0, 5.0, 30.0, 61.0, 300.0])
wishes = st.builds(
    Wish, st.integers(0, 99), st.sampled_from([*Do, Do.SET, Do.SET, Do.SET]), st.integers(0, 99), st.integers(0, 99),
    moments, st.sampled_from([1.0, 60.0]),
)  # fmt: skip
asks = st.sampled_from(["", "", "", "ack", "run-open", "step", "drill ack", "drill run-open", "drill step"])
ids = sorted(corner().devices)
turns = st.builds(
    Turn, st.sampled_from([0.0, 0.5, 2.0, 2.0, 10.0, 31.0, 125.0]),
    st.dictionaries(st.sampled_from(ids), st.sampled_from([*MOODS, "well", "trouble", "trouble"]), max_size=5),
    asks, st.sampled_from([0.0] * 9 + [-3600.0, 500.0]),
)  # fmt: skip
everything = dict.fromkeys(ids, "trouble")
stories = st.lists(st.one_of(turns, turns, st.builds(Turn, st.just(2.0), st.just(everything))), max_size=20)


@given(
    stories, st.lists(wishes, max_size=12).map(tuple), st.integers(0, 4), st.integers(0, 2),
    st.sampled_from([1.0, 1.0, 1.0, 20.0]),
)  # fmt: skip
def test_whatever_is_shown_the_live_lane_says_and_keeps_what_it_would_without_a_drill(
    story: list[Turn], wished: tuple[Wish, ...], begin: int, slow: int, speed: float
) -> None:
    world = World(planned(site(), wished), begin, slow, speed)
    live_is_untouched(story, world)
    all_is_marked(world)


# -- the property can fail ------------------------------------------------------------------------------------

OUTAGE: Final = (
    *(Planned(n, 0.0, f"ups-{'ab'[n]}", Do.SET, "source", "battery") for n in range(2)),
    *(Planned(2 + n, 0.0, f"ups-{'ab'[n]}", Do.SET, "input.voltage", 0.0) for n in range(2)),
    Planned(4, 0.0, "genset", Do.SET, "mains.voltage", 0.0),
    Planned(5, 30.0, "climate", Do.SILENT),
)
CALM: Final = [Turn(2.0, dict.fromkeys(ids, "well")) for _ in range(40)]


def _shared_readings(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    own = DeviceState.twin

    def twin(state: DeviceState, origin: str) -> DeviceState:
        twin = own(state, origin)
        twin.readings = state.readings
        return twin

    monkeypatch.setattr(DeviceState, "twin", twin)


def _one_state(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(DeviceState, "twin", lambda state, origin: state)


def _shared_view(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    def ready() -> None:
        assert world.ready is not None
        world.ready[1].view = world.lane.view
        World._ready(world)

    monkeypatch.setattr(world, "_ready", ready)


def _shared_floor(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    def ready() -> None:
        assert world.ready is not None
        world.ready[1].floor = world.lane.floor
        World._ready(world)

    monkeypatch.setattr(world, "_ready", ready)


def _same_lane(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    def ready() -> None:
        assert world.ready is not None
        world.ready = world.ready[0], world.lane
        World._ready(world)

    monkeypatch.setattr(world, "_ready", ready)


@pytest.mark.parametrize("leak", [_shared_readings, _one_state, _shared_view, _shared_floor, _same_lane])
def test_a_leak_into_the_live_lane_is_found(
    monkeypatch: pytest.MonkeyPatch, leak: Callable[[pytest.MonkeyPatch, World], None]
) -> None:
    live_is_untouched(CALM, World(OUTAGE))
    world = World(OUTAGE)
    leak(monkeypatch, world)
    with pytest.raises(AssertionError):
        live_is_untouched(CALM, world)


def test_a_mark_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    all_is_marked(World(OUTAGE).play(CALM))
    own = DeviceState.twin

    def twin(state: DeviceState, origin: str) -> DeviceState:
        twin = copy(own(state, origin))
        twin.origin = None
        return twin

    monkeypatch.setattr(DeviceState, "twin", twin)
    with pytest.raises(AssertionError):
        all_is_marked(World(OUTAGE).play(CALM))


# -- one drill ------------------------------------------------------------------------------------------------


def loud(world: World) -> list[str]:
    return [
        f"{change.verb} {change.alarm.alarm_id}"
        for outcome in world.drilled
        for change in outcome.changes
        if change.alarm.origin is not None and change.alarm.state != "suppressed"
    ]


def test_a_drill_of_an_outage_is_an_outage_on_its_own_lane() -> None:
    world = World(OUTAGE).play(CALM)
    assert "raised mains.mains-lost" in loud(world)
    opened = [run.run for outcome in world.drilled for run in outcome.runs if run.verb == "opened"]
    assert [(run.procedure, run.origin) for run in opened] == [("outage", DRILL)]
    assert world.drilled[-1].runs[-1].verb == "aborted"


def test_a_device_that_is_shown_otherwise_while_it_is_silent_in_earnest_stays_silent() -> None:
    silent = [Turn(2.0, {id: "silent" if id == "ups-a" else "well" for id in ids}) for _ in range(10)]
    world = World(OUTAGE)
    live_is_untouched(silent, world)
    assert world.rehearsal is not None
    reading = world.rehearsal.lane.view["ups-a"]["source"]
    assert (reading.value, reading.reason) == (None, "timeout")


def test_what_changed_while_the_lane_was_being_built_is_not_missed() -> None:
    quiet = [Turn(10.0, {"crm": "well"}) for _ in range(4)]
    story = [Turn(2.0, {}), Turn(2.0, {"ups-b": "trouble"}), *quiet]  # it is not asked again
    world = World((), 1, 2)
    live_is_untouched(story, world)
    assert world.rehearsal is not None
    assert world.rehearsal.lane.view["ups-b"] is world.lane.view["ups-b"]
    assert "ups-b.on-battery" in world.lane.records()
    assert world.rehearsal.lane.records().keys() == world.lane.records().keys()


def test_a_released_device_speaks_for_itself_again() -> None:
    release = Planned(9, 20.0, "ups-a", Do.RELEASE)
    world = World((*OUTAGE, release))
    live_is_untouched(CALM, world)
    assert world.rehearsal is not None
    assert world.rehearsal.lane.view["ups-a"] is world.lane.view["ups-a"]
    assert world.rehearsal.lane.view["ups-b"]["source"].origin == DRILL


def test_a_clock_that_is_stepped_moves_the_drill_with_it() -> None:
    stepped = [*CALM[:5], replace(CALM[5], step=-3600.0), *CALM[6:]]
    world, still = World(OUTAGE), World(OUTAGE).play(CALM)
    live_is_untouched(stepped, world)
    assert loud(world) == loud(still)
