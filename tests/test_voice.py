"""What is said of readings: what is worth it, when again, how fast, and that it is the newest there is."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import resources, sitefiles
from edgeagent.config import Device
from edgeagent.devices import DeviceState
from edgeagent.feed import Feed
from edgeagent.messages import Message, Tree
from edgeagent.readings import Missing, Quality, Reading
from edgeagent.store import Store
from edgeagent.voice import REFRESH, Voice, again_at

NOON: Final = 1_795_000_000.0
TREE: Final = Tree("floor", "site", "one")
FACTORY: Final = sitefiles.load(Path(__file__).parent.parent / "config", resources.drivers())
UPS: Final = FACTORY.devices["ups-a"]


class Ear:
    """A feed that only listens."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def hold(self, *said: Message) -> None:
        self.heard += said

    def devices(self) -> list[str]:
        return [message.topic.split("/")[-2] for message in self.heard]


@dataclass
class Time:
    wall: float = NOON
    clock: float = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.clock += seconds


def voice(ear: Ear, time: Time) -> Voice:
    feed, store = cast("Feed", ear), cast("Store", None)
    return Voice(feed, TREE, store, wall=lambda: time.wall, clock=lambda: time.clock)


def state(id: str = "ups-a", device: Device = UPS, **values: float | str) -> DeviceState:
    made = DeviceState(replace(device, id=id))
    made.readings = {point.replace("_", "."): Reading(value, NOON) for point, value in values.items()}
    return made


async def until(met: Callable[[], bool]) -> None:
    for _ in range(2000):
        if met():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen in 10 s")


def test_the_first_readings_are_said_at_once() -> None:
    ear = Ear()
    voice(ear, Time()).note(state(source="normal"), NOON, ["source"])
    assert ear.devices() == ["ups-a"]


def test_what_was_said_in_one_second_is_not_said_again_in_one() -> None:
    ids = [f"ups-{number}" for number in range(6000)]
    first = {id: again_at(id, NOON) for id in ids}
    assert all(REFRESH / 2 <= at - NOON <= REFRESH for at in first.values())
    assert max(Counter(int(at) for at in first.values()).values()) < 6000 / 30 * 1.5
    later = {id: again_at(id, again_at(id, at)) for id, at in first.items()}
    assert max(Counter(int(at) for at in later.values()).values()) < 6000 / 60 * 1.5


@given(st.text(min_size=1), st.floats(0, 4e9))
def test_from_the_second_time_on_a_device_is_said_each_minute(id: str, now: float) -> None:
    at = again_at(id, again_at(id, now))
    assert again_at(id, at + 0.001) - at == pytest.approx(REFRESH, abs=0.01)


def test_a_device_of_which_nothing_changes_is_due_within_a_minute_and_not_before_half_of_it() -> None:
    speaking = voice(Ear(), Time())
    assert speaking.due("ups-a", NOON)
    speaking.note(state(source="normal"), NOON, ["source"])
    assert not speaking.due("ups-a", NOON + REFRESH / 2 - 1)
    assert speaking.due("ups-a", NOON + REFRESH)


def test_a_clock_that_was_set_back_does_not_silence_a_device() -> None:
    speaking = voice(Ear(), Time())
    speaking.note(state(source="normal"), NOON, ["source"])
    assert speaking.due("ups-a", NOON - 3600.0)


def test_very_many_that_move_at_once_are_said_at_the_feeds_rate() -> None:
    async def run() -> None:
        ear, time = Ear(), Time()
        speaking, ups = voice(ear, time), [state(f"ups-{number}", source="normal") for number in range(100)]
        for each in ups:
            speaking.note(each, NOON, ["source"])
        ear.heard.clear()
        for each in ups:
            each.readings["source"] = Reading("battery", NOON)
            speaking.note(each, NOON, ["source"])
        await asyncio.sleep(0)
        few = len(ear.heard)
        await asyncio.sleep(0.05)
        assert 0 < few == len(ear.heard) < 50
        time.pass_by(0.1)
        await until(lambda: len(ear.heard) > few)

        def everybody() -> bool:
            time.pass_by(0.1)
            return len(ear.heard) == 100

        await until(everybody)
        assert ear.devices() == [each.device.id for each in ups]

    asyncio.run(run())


def test_what_waited_is_said_once_as_it_is_by_then() -> None:
    async def run() -> None:
        ear, time, ups = Ear(), Time(), state(source="normal")
        speaking = voice(ear, time)
        speaking.note(ups, NOON, ["source"])
        for source in ("battery", "bypass", "off"):
            ups.readings["source"] = Reading(source, NOON)
            speaking.note(ups, NOON, ["source"])
        assert len(ear.heard) == 1
        await asyncio.sleep(0)
        assert [json.loads(message.body)["source"] for message in ear.heard] == ["normal", "off"]

    asyncio.run(run())


def test_a_device_that_is_not_known_any_more_is_not_said() -> None:
    async def run() -> None:
        ear, ups = Ear(), state(source="normal")
        speaking = voice(ear, Time())
        speaking.note(ups, NOON, ["source"])
        ups.readings["source"] = Reading("battery", NOON)
        speaking.note(ups, NOON, ["source"])
        speaking.availability(state(), NOON)
        await asyncio.sleep(0)
        assert [message.topic for message in ear.heard] == [TREE.state("ups-a"), TREE.availability("ups-a")]

    asyncio.run(run())


def slowly(readings: dict[str, Reading], last: dict[str, Reading]) -> bool:
    """Hold all readings against all that was said: the way that needs a copy of everything."""
    for point, reading in readings.items():
        was, known = last.get(point), UPS.driver.kind.point(point)
        if was is None or (reading.quality, reading.reason) != (was.quality, was.reason):
            return True
        numbers = isinstance(reading.value, (int, float)) and isinstance(was.value, (int, float))
        if not numbers or known is None or not known.deadband:
            if reading.value != was.value:
                return True
        elif abs(cast("float", reading.value) - cast("float", was.value)) >= known.deadband:
            return True
    return False


NUMBERS: Final = st.one_of(
    st.integers(-5, 5).map(lambda value: Reading(value, NOON)),
    st.floats(-5, 5).map(lambda value: Reading(value, NOON, Quality.UNCERTAIN, "unverified")),
    st.sampled_from([Missing.TIMEOUT, Missing.ABSENT]).map(lambda reason: Reading.bad(reason.value, NOON)),
)
WORDS: Final = st.one_of(
    st.sampled_from(["normal", "battery"]).map(lambda value: Reading(value, NOON)),
    st.just(Reading.bad("timeout", NOON)),
)
TURNS: Final = st.lists(
    st.fixed_dictionaries(
        {"battery.charge": NUMBERS},
        optional={"source": WORDS, "output.load": NUMBERS, "input.voltage.l1": NUMBERS, "battery.runtime": NUMBERS},
    ),
    min_size=1, max_size=30,
)  # fmt: skip


def tell(turns: Iterable[dict[str, Reading]], *, noting: bool) -> tuple[list[int], list[int]]:
    """Say a story as the agent or, all at once, as a drill does; return after which turns it and the slow way spoke."""
    ear, ups, last = Ear(), state(), dict[str, Reading]()
    fast, slow = list[int](), list[int]()

    async def run() -> None:
        time = Time()
        speaking = voice(ear, time) if noting else Voice(cast("Feed", ear), TREE, cast("Store", None), "drill-1")
        for number, turn in enumerate(turns):
            time.pass_by(0.5)
            changed = {id for id, reading in turn.items() if not reading.same(ups.readings.get(id))}
            ups.readings.update(turn)
            if noting:
                speaking.note(ups, time.wall, changed)
            else:
                speaking.readings(ups, time.wall)
            await asyncio.sleep(0)
            if ear.heard:
                fast.append(number)
                ear.heard.clear()
            if slowly(ups.readings, last):
                slow.append(number)
                last.clear()
                last.update(ups.readings)

    asyncio.run(run())
    return fast, slow


@given(TURNS)
def test_what_is_worth_saying_is_what_comparing_everything_finds(turns: list[dict[str, Reading]]) -> None:
    fast, slow = tell(turns, noting=True)
    assert fast == slow


@given(TURNS)
def test_a_drill_says_what_comparing_everything_finds(turns: list[dict[str, Reading]]) -> None:
    fast, slow = tell(turns, noting=False)
    assert fast == slow
