"""When devices are asked: told on a loop whose clock jumps from one timer to the next, so that times are exact."""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

import pytest

from edgeagent.catalog import Text
from edgeagent.config import Device
from edgeagent.devices import MISSES, DeviceState
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target
from edgeagent.poller import FIRST_ROUND, SLOT, Poller
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.resources import drivers

SENSOR = load([drivers()]).drivers["environment/xy-md02"]
LATENCY = 0.01
"""How long the link takes for an answer, s."""


class Jump(selectors.SelectSelector):
    """Waits for nothing: moves the clock to the end of the wait instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing would ever happen again"
            self.now += timeout
        return ready


class Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jump = Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        return self.jump.now


class FakeLink:
    """Answers after LATENCY; the dead never do, which the deadline of the poll turns into silence."""

    def __init__(self, dead: Sequence[str] = (), latency: float = LATENCY) -> None:
        self.dead, self.latency = set(dead), latency
        self.asked: list[tuple[float, str, Plan]] = []
        self.under_way: Counter[str] = Counter()
        self.most = 0

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        loop = asyncio.get_running_loop()
        self.asked.append((loop.time(), target.name, plan))
        self.under_way[target.name] += 1
        self.most = max(self.most, self.under_way[target.name])
        dead = target.name in self.dead
        answer: Raw = Missing.TIMEOUT if dead else 230
        loop.call_later(target.timeout if dead else self.latency, self._answer, target.name, plan, answer, done)

    def _answer(self, name: str, plan: Plan, answer: Raw, done: Callable[[Answers], None]) -> None:
        self.under_way[name] -= 1
        done(dict.fromkeys(plan.gets, answer))

    async def run(self) -> None:
        await asyncio.Event().wait()

    def times(self, name: str) -> list[float]:
        return [round(time, 6) for time, asked, _ in self.asked if asked == name]


class Scene:
    """A poller on a fake link; `taken` are the lists it delivered."""

    def __init__(self, link: FakeLink) -> None:
        self.link = link
        self.taken: list[list[str]] = []
        self.poller = Poller(lambda _: link, self._take, asyncio.get_running_loop().time)

    def _take(self, polled: list[tuple[DeviceState, Answers]]) -> None:
        now = asyncio.get_running_loop().time()
        self.taken.append([state.device.id for state, _ in polled])
        for state, answers in polled:
            state.take(answers, now)

    def watch(
        self, *ids: str, interval: float = 2.0, fast: float = 0.5, timeout: float = 1.0,
        kind: type[DeviceState] = DeviceState,
    ) -> None:  # fmt: skip
        devices = (
            Device(id, Text(id, id), SENSOR, parse("modbus://h?unit=1"), None, interval, fast, timeout, {})
            for id in ids
        )
        self.poller.watch([kind(device) for device in devices])


class Restless(DeviceState):
    """A device that says something else than another number each time, where its id says so."""

    __slots__ = ()

    def stirs(self, answers: Answers) -> bool:
        return self.device.id.startswith("fault")


def play(story: Callable[[Scene], Awaitable[None]], link: FakeLink | None = None) -> Scene:
    """Tell a story beside a running poller."""

    async def told() -> Scene:
        scene = Scene(link or FakeLink())
        running = asyncio.create_task(scene.poller.run())
        await story(scene)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])
        return scene

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(told())


def test_a_device_is_asked_at_once_and_then_at_its_interval() -> None:
    async def story(scene: Scene) -> None:
        scene.watch("a", interval=2.0)
        await asyncio.sleep(7.0)

    assert play(story).link.times("a") == pytest.approx([0, 2, 4, 6], abs=SLOT)


def test_fifty_polls_do_not_drift() -> None:
    async def story(scene: Scene) -> None:
        scene.watch("a", interval=0.7)
        await asyncio.sleep(0.7 * 50 + 0.1)

    times = play(story).link.times("a")
    assert len(times) == 51
    assert times == pytest.approx([0.7 * number for number in range(51)], abs=SLOT)
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.7 + LATENCY


def test_one_poll_of_a_device_is_under_way_at_a_time() -> None:
    link = FakeLink(latency=0.9)

    async def story(scene: Scene) -> None:
        scene.watch("a", interval=0.2)
        for _ in range(20):
            scene.poller.now("a")
            scene.poller.hasten(frozenset({"a"}))
            await asyncio.sleep(0.1)
            scene.poller.hasten(frozenset())

    assert link.most == 0
    play(story, link)
    assert link.most == 1
    assert link.times("a") == pytest.approx([0, 0.9, 1.8])


def test_one_that_fell_behind_starts_anew_and_does_not_catch_up() -> None:
    link = FakeLink(latency=5.0)

    async def story(scene: Scene) -> None:
        scene.watch("a", interval=1.0)
        await asyncio.sleep(1.0)
        link.latency = LATENCY
        await asyncio.sleep(7.5)

    play(story, link)
    assert link.times("a") == pytest.approx([0, 5, 6, 7, 8], abs=SLOT)


def test_what_is_due_together_is_asked_and_delivered_together() -> None:
    ids = [f"d{number}" for number in range(40)]

    async def story(scene: Scene) -> None:
        scene.watch(*ids, interval=1.0)
        await asyncio.sleep(9.97)

    scene = play(story)
    moments = {time for time, _, _ in scene.link.asked}
    assert Counter(name for _, name, _ in scene.link.asked) == dict.fromkeys(ids, 10)
    assert len(moments) <= 10 * 17  # 40 devices begin within 0.8 s, which is sixteen slots
    assert len(scene.taken) <= len(moments)
    assert sum(map(len, scene.taken)) == 400


def test_first_polls_are_spread_over_a_second_at_most() -> None:
    ids = [f"d{number}" for number in range(2000)]

    async def story(scene: Scene) -> None:
        scene.watch(*ids, interval=5.0)
        await asyncio.sleep(FIRST_ROUND + LATENCY)

    scene = play(story)
    asked = Counter(time for time, _, _ in scene.link.asked)
    assert sum(asked.values()) == 2000
    assert max(asked.values()) < 2000 / 5
    assert max(asked) <= FIRST_ROUND


def test_the_dead_do_not_delay_the_living() -> None:
    dead = [f"dead{number}" for number in range(10)]
    living = [f"d{number}" for number in range(10)]
    link = FakeLink(dead)

    async def story(scene: Scene) -> None:
        scene.watch(*dead, *living, interval=0.5, timeout=3.0)
        await asyncio.sleep(60.0)

    play(story, link)
    for id in living:
        gaps = [later - earlier for earlier, later in pairwise(link.times(id))]
        assert len(gaps) >= 118
        assert max(gaps) <= 0.5 + SLOT
    for id in dead:
        assert MISSES <= len(link.times(id)) < 12  # ever less often


def test_a_device_that_comes_back_is_asked_at_its_interval_again() -> None:
    link = FakeLink(["a"])

    async def story(scene: Scene) -> None:
        scene.watch("a", interval=1.0, timeout=0.5)
        await asyncio.sleep(30.0)
        link.dead.clear()
        await asyncio.sleep(40.0)

    play(story, link)
    times = [time for time in link.times("a") if time > 30.0]
    assert times[0] <= 60.0
    assert all(gap == pytest.approx(1.0, abs=SLOT) for gap in (b - a for a, b in pairwise(times)))


@pytest.mark.parametrize("held_up", [True, False])
def test_what_asks_or_holds_up_all_at_once_leaves_no_bunch(held_up: bool) -> None:
    link, ids = FakeLink(), [f"d{number}" for number in range(40)]

    async def story(scene: Scene) -> None:
        scene.watch(*ids, interval=4.0)
        await asyncio.sleep(5.0)
        if held_up:
            link.latency = 7.0
            await asyncio.sleep(4.0)
            link.latency = LATENCY
        else:
            for id in ids:
                scene.poller.now(id)
        await asyncio.sleep(15.0)

    play(story, link)
    for id in ids:
        first, *_, sooner, last = link.times(id)
        assert last - sooner == pytest.approx(4.0, abs=0.01)
        assert (last - first) % 4.0 == pytest.approx(0.0, abs=0.01) or (last - first) % 4.0 == pytest.approx(
            4.0, abs=0.01
        )


def test_haste_takes_hold_at_once_and_ends() -> None:
    async def story(scene: Scene) -> None:
        scene.watch("a", "b", interval=10.0, fast=0.5)
        await asyncio.sleep(2.0)
        scene.poller.hasten(frozenset({"a"}))
        await asyncio.sleep(3.0)
        scene.poller.hasten(frozenset())
        await asyncio.sleep(9.0)

    link = play(story).link
    hasty = [time for time in link.times("a") if 2.0 < time <= 5.0]
    assert hasty[0] <= 2.5
    assert all(later - sooner == pytest.approx(0.5, abs=0.01) for sooner, later in pairwise(hasty))
    assert len(hasty) in (6, 7)
    assert len([time for time in link.times("a") if time > 5.2]) <= 1
    assert link.times("b") == pytest.approx([0, 10], abs=2 * SLOT)


def test_haste_for_a_device_that_nobody_knows_is_nothing() -> None:
    async def story(scene: Scene) -> None:
        scene.poller.hasten(frozenset({"x"}))
        scene.poller.now("x")
        await asyncio.sleep(0.1)

    assert play(story).link.asked == []


def test_a_device_can_be_asked_now() -> None:
    async def story(scene: Scene) -> None:
        scene.watch("a", interval=100.0)
        await asyncio.sleep(7.0)
        scene.poller.now("a")
        await asyncio.sleep(10.0)

    assert play(story).link.times("a") == [0, 7]


def test_one_that_is_being_asked_is_asked_again_when_its_poll_is_back() -> None:
    link = FakeLink(latency=0.8)

    async def story(scene: Scene) -> None:
        scene.watch("a", interval=100.0)
        await asyncio.sleep(0.5)
        scene.poller.now("a")
        scene.poller.now("a")
        await asyncio.sleep(10.0)

    play(story, link)
    assert link.times("a") == pytest.approx([0, 0.8])


def test_what_is_forgotten_is_neither_asked_nor_heard_any_more() -> None:
    link = FakeLink(latency=0.3)

    async def story(scene: Scene) -> None:
        scene.watch("a", "b", interval=1.0)
        await asyncio.sleep(2.1)  # both are being asked
        assert link.under_way == {"a": 1, "b": 1}
        scene.poller.forget(["a"])
        assert list(scene.poller.states) == ["b"]
        await asyncio.sleep(3.0)

    scene = play(story, link)
    assert max(link.times("a")) <= 2.1
    assert len(link.times("b")) >= 5
    heard = Counter(id for ids in scene.taken for id in ids)
    assert heard["a"] == len(link.times("a")) - 1


def test_a_device_may_be_forgotten_between_its_answer_and_the_delivery() -> None:
    async def story(scene: Scene) -> None:
        scene.watch("a", interval=1.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        plan, target = Plan(("i1",)), Target("a", parse("modbus://h?unit=1"))
        watch = scene.poller._watches["a"]
        scene.poller._done(watch, dict.fromkeys(plan.gets, 1))
        scene.poller.forget([target.name])
        await asyncio.sleep(2.0)

    assert [ids for ids in play(story).taken if ids] == []


def test_a_new_device_is_asked_while_all_others_rest() -> None:
    async def story(scene: Scene) -> None:
        scene.watch("a", interval=100.0)
        await asyncio.sleep(5.0)
        scene.watch("b", interval=100.0)
        await asyncio.sleep(5.0)

    assert play(story).link.times("b") == [5.0]


def test_the_timer_turns_once_a_second_with_nothing_to_do() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(10.5)
        assert 10 <= scene.poller.turns <= 13
        scene.watch("a", interval=1000.0)
        await asyncio.sleep(10.0)
        assert 20 <= scene.poller.turns <= 28

    play(story)


def test_the_plan_of_a_poll_is_what_the_device_wants_by_then() -> None:
    driver = load([drivers()]).drivers["generator/dse-gencomm"]

    async def story(scene: Scene) -> None:
        device = Device("g", Text("G", "G"), driver, parse("modbus://h?unit=1"), None, 1.0, 1.0, 1.0, {})
        scene.poller.watch([DeviceState(device)])
        await asyncio.sleep(0.5)

    ((_, _, plan),) = play(story).link.asked
    assert "h768" in plan.gets


async def together(scene: Scene, ids: Sequence[str]) -> None:
    """Have all of them answer at the same moment, and forget what was before."""
    scene.watch(*ids, interval=100.0, kind=Restless)
    await asyncio.sleep(2 * FIRST_ROUND)
    scene.taken.clear()
    for id in ids:
        scene.poller.now(id)
    await asyncio.sleep(0.2)


def test_what_may_be_a_fault_is_delivered_before_the_rest_and_the_first_of_it_at_once() -> None:
    ids = [f"{kind}-{number}" for number in range(8) for kind in ("calm", "fault")]

    async def story(scene: Scene) -> None:
        await together(scene, ids)

    first, faults, rest = play(story).taken
    assert len(first) == 1
    assert sorted(first + faults) == sorted(id for id in ids if id.startswith("fault"))
    assert sorted(rest) == sorted(id for id in ids if id.startswith("calm"))


def test_of_very_much_that_may_be_faults_the_rest_waits_for_the_next_turn() -> None:
    ids = [f"fault-{number}" for number in range(300)]

    async def story(scene: Scene) -> None:
        await together(scene, ids)

    taken = play(story).taken
    assert [len(each) for each in taken] == [1, 128, 128, 43]
    assert sorted(id for each in taken for id in each) == sorted(ids)


@pytest.mark.parametrize("id", ["a", "fault"])
def test_a_bug_in_what_takes_the_answers_ends_the_run(id: str) -> None:
    async def told() -> None:
        def take(polled: list[tuple[DeviceState, Answers]]) -> None:
            raise ZeroDivisionError

        scene = Scene(FakeLink())
        scene.poller._deliver = take
        scene.watch(id, kind=Restless)
        await scene.poller.run()

    with asyncio.Runner(loop_factory=Loop) as runner, pytest.raises(ZeroDivisionError):
        runner.run(told())
