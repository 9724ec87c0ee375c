"""Numbers that tremble against numbers that all count: no alarm sees another thing, and none is off by its deadband."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.catalog import AlarmType, Catalog, Driver, Text
from edgeagent.config import Device
from edgeagent.deadband import WIDE, deadbands
from edgeagent.devices import CALM, DeviceState
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.readings import Answers, Missing, Quality, Raw
from edgeagent.redecode import table
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice

CATALOG: Final[Catalog] = load([drivers()])
POLLED: Final = [each for each in CATALOG.drivers.values() if each.protocol in ("snmp", "modbus") and each.gets]
UPS: Final = CATALOG.drivers["ups/rfc1628"]
SENSOR: Final = CATALOG.drivers["environment/xy-md02"]
MIB: Final = "1.3.6.1.2.1.33.1"
LOAD, RUNTIME, VOLTS, SOURCE = f"{MIB}.4.4.1.5.1", f"{MIB}.2.3.0", f"{MIB}.3.3.1.3.1", f"{MIB}.4.1.0"
ODD: Final[list[Raw]] = [0, 1, -1, 79, 80, 81, 100, 230, 65535, 2147483647, 1.5, b"", b"OK", "0.0", *Missing]


def device(driver: Driver, alarms: dict[str, AlarmType] | None = None) -> DeviceState:
    url = "snmp://h" if driver.protocol == "snmp" else "modbus://h?unit=1"
    return DeviceState(
        Device("d", Text("D", "D"), driver, parse(url), None, 1.0, 1.0, 2.0, alarms or dict(driver.kind.alarms))
    )


class Story:
    """A device that is taken both ways, poll by poll, and what both must agree on."""

    def __init__(self, driver: Driver, alarms: dict[str, AlarmType] | None = None) -> None:
        self.short, self.long = device(driver, alarms), device(driver, alarms)
        self.answers: dict[str, Raw] = dict(SimulatedDevice(driver).answers)
        self.now = 100.0
        for _ in range(3):
            self.poll({})

    def asked(self) -> Answers:
        gets, walks = self.short.wants(self.now)
        rows = tuple(f"{walk}." for walk in walks)
        below = {address: raw for address, raw in self.answers.items() if address.startswith(rows)}
        return {address: self.answers.get(address, Missing.ABSENT) for address in (*gets, *walks)} | below

    def poll(self, moved: dict[str, Raw], *, exact: bool = False, after: float = 2 * CALM) -> frozenset[str]:
        self.answers |= moved
        self.now += after
        answers = self.asked()
        self.long.take(dict(answers), self.now, exact=True)
        changed = self.short.take(answers, self.now, exact=exact)
        self.agree(1 if after >= CALM else WIDE, exact=exact)
        return changed

    def agree(self, deadbands: int, *, exact: bool) -> None:
        short, long, kind = self.short.readings, self.long.readings, self.short.driver.kind
        assert short.keys() == long.keys()
        for id, reading in long.items():
            held, point = short[id], kind.point(id)
            if not held.same(reading):
                assert not exact, id
                assert point is not None
                assert (held.quality, held.reason) == (reading.quality, reading.reason) == (Quality.GOOD, None), id
                assert isinstance(held.value, (int, float))
                assert isinstance(reading.value, (int, float))
                assert abs(held.value - reading.value) < deadbands * point.deadband, id
        for type in self.short.device.alarms.values():
            for level in type.levels:
                conditions = [(level.when, 0.0), (level.when, type.deadband), (level.when, -type.deadband)]
                for when, slack in [*conditions, *([(type.clear, 0.0)] if type.clear is not None else [])]:
                    one, other = when.holds(short, level.limit, slack), when.holds(long, level.limit, slack)
                    assert one is other, (type.id, level.severity)


@given(driver=st.sampled_from(POLLED), data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_alarm_sees_another_thing(driver: Driver, data: st.DataObject) -> None:
    story = Story(driver)
    numbers = sorted(address for address, raw in story.asked().items() if type(raw) is int)
    if not numbers:
        return
    for _ in range(data.draw(st.integers(1, 12))):
        steps = data.draw(st.dictionaries(st.sampled_from(numbers), st.integers(-4, 4), max_size=6))
        known = {address: story.answers.get(address, 0) for address in steps}
        moved: dict[str, Raw] = {
            address: raw + steps[address] if isinstance(raw, int) else raw for address, raw in known.items()
        }
        moved |= data.draw(st.dictionaries(st.sampled_from(numbers), st.sampled_from(ODD), max_size=1))
        story.poll(
            moved, exact=data.draw(st.integers(0, 4)) == 0, after=data.draw(st.sampled_from([1.0, 4.0, CALM, 70]))
        )
    story.poll({})
    story.poll({}, exact=True)


def test_what_trembles_is_as_it_was_and_what_creeps_is_seen() -> None:
    story = Story(UPS)
    assert story.poll({VOLTS: 231}) == frozenset()
    assert story.poll({VOLTS: 229}) == frozenset()
    assert story.short.readings["input.voltage.l1"].value == 230
    assert {"input.voltage.l1"} <= story.poll({VOLTS: 228})
    assert story.short.observed == story.now


def test_only_what_moved_far_enough_is_looked_at() -> None:
    story = Story(UPS)
    load = story.answers[LOAD]
    assert isinstance(load, int)
    changed = story.poll({VOLTS: 231, LOAD: load + 3})
    assert changed == {"output.load", "output.load.l1"} & story.short.readings.keys()
    assert story.short.readings["input.voltage.l1"].value == 230


def test_right_after_a_look_it_takes_three_deadbands_and_the_rest_is_seen_in_its_time() -> None:
    story = Story(UPS)
    assert story.poll({VOLTS: 227})
    assert story.poll({VOLTS: 223}, after=1) == frozenset()
    assert story.poll({VOLTS: 221}, after=1)
    assert story.poll({VOLTS: 224}, after=1) == frozenset()
    assert story.poll({}, after=CALM - 2) == frozenset()
    assert story.poll({}, after=1)
    assert story.short.readings["input.voltage.l1"].value == 224
    same = story.asked()
    assert story.short.take(same, story.now + 1) == frozenset()
    assert story.short.take(same, story.now - 3600) == frozenset(), "a clock that went back"
    assert story.short.observed == story.now - 3600


def test_a_limit_in_between_counts_however_small_the_step() -> None:
    story = Story(UPS)
    for volts in (81, 80, 79, 80, 81):  # of "input.voltage < 80", which is made of its phases
        assert story.poll({VOLTS: volts}), volts
    assert story.poll({VOLTS: 82}) == frozenset()
    for volts in (81, 80, 79, 80, 81):
        story.poll({VOLTS: volts}, after=0.5)
        assert (story.short.readings["input.voltage"].value in (81, 82)) is (volts > 80), volts
    for share in (85, 84, 79, 80, 81):
        story.poll({LOAD: share})
        assert story.short.readings["output.load.l1"].value == share


def test_another_limit_of_one_device_is_its_own() -> None:
    kind = SENSOR.kind
    low = {
        id: replace(type, levels=tuple(replace(level, limit=23.15) for level in type.levels))
        if id == "temperature-high" else type
        for id, type in kind.alarms.items()
    }  # fmt: skip
    answers = SimulatedDevice(SENSOR).answers
    found = table(SENSOR, {address: answers.get(address, Missing.ABSENT) for address in SENSOR.gets})
    assert found is not None
    usual, other = deadbands(found, kind.alarms), deadbands(found, low)
    assert usual is deadbands(found, dict(kind.alarms))
    assert usual is not other
    assert usual is not None
    assert other is not None
    item = next(item for item in SENSOR.items if item.point == "temperature")
    (address,) = item.addresses
    last = {each: answers.get(each, Missing.ABSENT) for each in SENSOR.gets}
    last[address] = round(23.1 / item.scale)
    now = {**last, address: round(23.2 / item.scale)}
    assert usual.put_back(last, now) is last
    assert other.put_back(last, now) is now


@pytest.mark.parametrize("raw", [Missing.ABSENT, Missing.ERROR, b"35", 35.5])
def test_what_is_no_whole_number_lets_all_count(raw: Raw) -> None:
    story = Story(UPS)
    story.poll({VOLTS: 231, LOAD: raw})
    assert story.short.readings["input.voltage.l1"].value == 231


def test_each_second_on_battery_counts() -> None:
    story = Story(UPS)
    for second in (1, 2, 3):
        assert "battery.time" in story.poll({f"{MIB}.2.2.0": second}, after=1)


def test_a_word_lets_all_count_with_it() -> None:
    story = Story(UPS)
    story.poll({VOLTS: 231, SOURCE: 5})
    assert story.short.readings["input.voltage.l1"].value == 231
    assert story.short.readings["source"].value == "battery"


def test_while_it_is_polled_faster_each_number_counts() -> None:
    story = Story(UPS)
    story.poll({VOLTS: 231})
    assert story.short.interval(hasten=True)
    assert "input.voltage.l1" in story.poll({}), "also what was put back before"
    assert "input.voltage.l1" in story.poll({VOLTS: 230})


def test_the_same_answers_cost_nothing_and_an_exact_look_finds_what_was_put_back() -> None:
    story = Story(UPS)
    story.answers[VOLTS] = 231
    same = story.asked()
    assert story.short.take(same, story.now + 1) == frozenset()
    assert story.short.take(same, story.now + 2) == frozenset()
    assert "input.voltage.l1" in story.short.take(same, story.now + 3, exact=True)
    assert story.short.take(same, story.now + 4, exact=True) == frozenset()


@given(driver=st.sampled_from(POLLED), data=st.data())
@settings(deadline=None)
def test_a_part_of_the_answers_counts_as_it_does_among_all(driver: Driver, data: st.DataObject) -> None:
    answers = SimulatedDevice(driver).answers
    last = {address: answers.get(address, Missing.ABSENT) for address in driver.gets}
    found = table(driver, last)
    bands = None if found is None else deadbands(found, driver.kind.alarms)
    if bands is None:
        return
    some = data.draw(st.lists(st.sampled_from(driver.gets), unique=True))
    part = {address: last[address] for address in some}
    for address, raw in part.items():
        step = data.draw(st.integers(-4, 4))
        part[address] = raw + step if isinstance(raw, int) else raw
    part |= data.draw(st.dictionaries(st.sampled_from(driver.gets), st.sampled_from(ODD), max_size=1))
    wide = data.draw(st.booleans())
    kept = bands.put_back(last, part, wide=wide, part=True)
    assert {**last, **kept} == bands.put_back(last, {**last, **part}, wide=wide)
    assert (kept is last) is (bands.put_back(last, {**last, **part}, wide=wide) is last)
