"""What alarms look at, asked more often than the rest: it brings nothing but sooner news, and hides nothing."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.catalog import Text
from edgeagent.config import Device
from edgeagent.devices import MISSES, RECHECK, DeviceState
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.fit import SYSTEM
from edgeagent.readings import Missing, Raw
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice
from edgeagent.urgent import urgent

CATALOG: Final = load([drivers()])
RFC: Final = CATALOG.drivers["ups/rfc1628"]
UPS: Final = "1.3.6.1.2.1.33.1"
SOURCE, POWER, CHARGE = f"{UPS}.4.1.0", f"{UPS}.4.4.1.4.1", f"{UPS}.2.4.0"
OFTEN: Final = 0.2


class Scene:
    """A UPS, and the device that answers whatever is asked."""

    def __init__(self, often: float | None = OFTEN) -> None:
        device = Device(
            "ups", Text("U", "U"), RFC, parse("snmp://h?community=x"), None, 5.0, 1.0, 1.0, RFC.kind.alarms,
            alarm_interval=often,
        )  # fmt: skip
        self.state, self.says = DeviceState(device), dict(SimulatedDevice(RFC).answers)
        self.now, self.asked = 0.0, list[tuple[str, ...]]()
        self.given = dict[tuple[str, ...], dict[str, Raw]]()
        self.silent = False

    def poll(self, after: float = OFTEN, *, exact: bool = False) -> frozenset[str]:
        self.now += after
        gets, walks = self.state.wants(self.now)
        self.asked.append(gets)
        if self.silent:
            return self.state.take(dict.fromkeys((*gets, *walks), Missing.TIMEOUT), self.now)
        rows = {at: raw for at, raw in self.says.items() if at.startswith(tuple(f"{walk}." for walk in walks))}
        roots: dict[str, Raw] = {walk: len(rows) for walk in walks}
        answers = {**{at: self.says.get(at, Missing.ABSENT) for at in gets}, **roots, **rows}
        if answers == self.given.get(gets):  # as a link does it
            answers = self.given[gets]
        self.given[gets] = answers
        return self.state.take(answers, self.now, exact=exact)

    def settle(self) -> None:
        self.poll()
        self.poll()
        self.asked.clear()

    @property
    def whole(self) -> list[bool]:
        return [POWER in gets for gets in self.asked]


def test_without_the_setting_each_poll_is_in_full() -> None:
    scene = Scene(often=None)
    scene.settle()
    for _ in range(5):
        scene.poll()
    assert scene.whole == [True] * 5
    assert scene.state.interval(hasten=False) == 5.0


def test_the_rest_is_asked_at_its_own_interval() -> None:
    scene = Scene()
    scene.settle()
    for _ in range(60):
        assert scene.state.interval(hasten=False) == OFTEN
        scene.poll()
    assert 2 <= sum(scene.whole) <= 3


def test_the_rest_is_asked_more_often_while_power_is_abnormal() -> None:
    scene = Scene()
    scene.settle()
    for _ in range(50):
        scene.state.interval(hasten=True)
        scene.poll()
    assert 8 <= sum(scene.whole) <= 11


def test_what_is_not_asked_stays_as_it_was() -> None:
    scene = Scene()
    scene.settle()
    before = dict(scene.state.readings)
    assert scene.poll() == frozenset()
    assert scene.whole == [False]
    assert scene.state.readings == before
    assert scene.state.observed == scene.now


def test_a_change_is_seen_at_once_and_asks_for_the_rest() -> None:
    scene = Scene()
    scene.settle()
    scene.says |= {SOURCE: 5, POWER: 77}
    assert "source" in scene.poll()
    assert scene.state.readings["source"].value == "battery"
    assert scene.state.interval(hasten=False) == 0.0
    assert "output.power" in scene.poll()
    scene.poll()
    assert scene.whole == [False, True, False]


def test_a_number_that_trembles_asks_for_nothing() -> None:
    scene = Scene()
    scene.settle()
    scene.says[f"{UPS}.3.3.1.3.1"] = 228
    assert "input.voltage" in scene.poll()
    scene.poll()
    assert scene.whole == [False, False]


def test_a_trap_asks_for_the_rest() -> None:
    scene = Scene()
    scene.settle()
    scene.state.ask_all()
    scene.poll()
    scene.poll()
    assert scene.whole == [True, False]


def test_silence_counts_and_the_first_answer_is_asked_in_full() -> None:
    scene = Scene()
    scene.settle()
    scene.silent = True
    for _ in range(MISSES):
        scene.poll()
    assert scene.state.readings["reachable"].value is False
    assert scene.state.readings["output.power.l1"].value is None
    scene.silent = False
    scene.asked.clear()
    scene.poll()
    scene.poll()
    assert scene.whole[0]
    assert scene.state.readings["reachable"].value is True


def test_the_same_part_says_something_else_after_a_poll_in_full() -> None:
    scene = Scene()
    scene.settle()
    gets, walks = scene.state.wants(scene.now + OFTEN)
    part: dict[str, Raw] = {at: scene.says.get(at, Missing.ABSENT) for at in gets} | dict.fromkeys(walks, 0)
    scene.state.take(part, scene.now + 0.2)
    scene.state.take(part, scene.now + 0.4)
    scene.says[SOURCE] = 5
    scene.state.ask_all()
    scene.poll(0.6)
    assert scene.state.readings["source"].value == "battery"
    scene.state.take(part, scene.now + 0.2)
    assert scene.state.readings["source"].value == "normal"


def test_who_it_is_is_asked_again_in_its_time() -> None:
    scene = Scene()
    scene.settle()
    scene.poll(RECHECK + 1)
    assert set(SYSTEM) <= set(scene.asked[-1])
    assert scene.state.readings["identity"].value == "match"


@pytest.mark.parametrize("driver", [pytest.param(each, id=each.id) for each in CATALOG.drivers.values()])
def test_all_that_alarms_look_at_is_urgent(driver: object) -> None:
    known = next(each for each in CATALOG.drivers.values() if each is driver)
    gets, walks = urgent(known, known.kind.alarms.values())
    assert set(gets) <= set(known.gets)
    assert set(walks) <= set(known.walks)
    named = {point for type in known.kind.alarms.values() for level in type.levels for point in level.when.points}
    for item in known.items:
        if item.point in named:
            assert set(item.addresses) <= set(gets)
            assert item.walk is None or item.walk in walks


NEWS: Final = st.dictionaries(
    st.sampled_from([SOURCE, POWER, CHARGE, f"{UPS}.2.1.0", f"{UPS}.3.3.1.3.1", f"{UPS}.7.3.0", f"{UPS}.6.2.1.2.1"]),
    st.sampled_from([1, 2, 3, 5, 90, 228, Missing.ABSENT, f"{UPS}.6.3.2"]), max_size=3,
)  # fmt: skip


@given(story=st.lists(NEWS, max_size=12))
@settings(max_examples=100)
def test_after_a_poll_in_full_all_is_as_if_each_had_been_one(story: list[dict[str, Raw]]) -> None:
    often, plain = Scene(), Scene(often=None)
    for news in story:
        for scene in (often, plain):
            scene.says |= news
            scene.poll()
    often.state.ask_all()
    for scene in (often, plain):
        scene.poll(exact=True)
        scene.poll(exact=True)
    said = {id: reading for id, reading in often.state.readings.items() if not reading.same(plain.state.readings[id])}
    assert said == {}
