"""The shortcut of a poll that changed little against decoding all of it: whatever a device says, both say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.catalog import Catalog, Driver
from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.readings import Answers, Missing, Raw, Reading
from edgeagent.redecode import changed, table
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice

CATALOG: Final[Catalog] = load([drivers()])
DRIVERS: Final = [driver for driver in CATALOG.drivers.values() if driver.gets or driver.walks]
RFC: Final = CATALOG.drivers["ups/rfc1628"]
ODD: Final[list[Raw]] = [
    0, 1, 2, 3, 5, -1, 45, 60, 100, 101, 500, 2300, 32767, 65535, 4294967295, 2147483647, 1.5, float("inf"), b"", b"7",
    b"OK", b"-1", b"\xff\xfe", "1.3.6.1.2.1.33.1.6.3.2", "0.0", *Missing,
]  # fmt: skip
RAWS: Final = st.sampled_from(ODD) | st.integers(-300, 70_000)
FAULT: Final = "1.3.6.1.2.1.33.1"


def whole(driver: Driver, answers: Mapping[str, Raw]) -> dict[str, Raw]:
    """Complete the answers to what a poll of the driver gets."""
    asked = dict.fromkeys((*driver.gets, *driver.walks), Missing.ABSENT)
    return {**asked, **{address: raw for address, raw in answers.items() if address in asked or driver.walks}}


class Pair:
    """A device that is decoded both ways; `short` counts the polls for which the shortcut was enough."""

    def __init__(self, driver: Driver, answers: Answers) -> None:
        self.driver, self.last, self.short, self.now = driver, answers, 0, 0.0
        self.readings = decode(driver, answers, self.now)
        self.table = table(driver, answers)

    def take(self, answers: Answers) -> None:
        self.now += 1
        anew = decode(self.driver, answers, self.now)
        assert self.table is not None
        found = changed(self.table, self.last, answers, self.readings, self.now)
        if found is None:
            self.table = table(self.driver, answers)
            found = anew
        else:
            self.short += 1
        moved = {id: reading for id, reading in found.items() if not reading.same(self.readings.get(id))}
        assert all(reading.time == self.now for reading in moved.values())
        self.readings |= moved
        self.last = answers
        assert self.readings.keys() == anew.keys()
        assert {id for id in anew if not anew[id].same(self.readings[id])} == set()


@given(driver=st.sampled_from(DRIVERS), data=st.data())
@settings(max_examples=150)
def test_the_shortcut_says_what_decoding_says(driver: Driver, data: st.DataObject) -> None:
    answers = whole(driver, SimulatedDevice(driver).answers)
    pair = Pair(driver, answers)
    for _ in range(6):
        moved = data.draw(st.dictionaries(st.sampled_from(sorted(answers)), RAWS, max_size=4))
        answers = {**answers, **moved}
        pair.take(answers)


@pytest.mark.parametrize("driver", [pytest.param(driver, id=driver.id) for driver in DRIVERS])
def test_each_address_of_a_driver_may_change_by_itself(driver: Driver) -> None:
    well = whole(driver, SimulatedDevice(driver).answers)
    pair = Pair(driver, well)
    for address in well:
        for raw in (0, Missing.ABSENT):
            pair.take({**well, address: raw})
            pair.take(well)


def test_numbers_that_tremble_need_no_decoding() -> None:
    well = whole(RFC, SimulatedDevice(RFC).answers)
    pair = Pair(RFC, well)
    moving = [f"{FAULT}.{tail}" for tail in ("2.5.0", "3.3.1.3.1", "4.4.1.2.1", "4.4.1.5.1")]
    for step in range(1, 20):
        pair.take({**well, **{address: raw + step % 3 for address in moving if isinstance(raw := well[address], int)}})
    assert pair.short == 19


def test_a_row_that_comes_or_goes_is_decoded_anew() -> None:
    well = whole(RFC, SimulatedDevice(RFC).answers)
    pair = Pair(RFC, well)
    pair.take({**well, f"{FAULT}.6.2.1.2": 1, f"{FAULT}.6.2.1.2.1": f"{FAULT}.6.3.2"})
    assert pair.short == 0
    assert pair.readings["alarms"].value == frozenset({"on-battery"})
    pair.take(well)
    assert pair.readings["alarms"].value == frozenset()


def test_what_was_not_asked_in_full_has_no_shortcut() -> None:
    assert table(RFC, {f"{FAULT}.4.1.0": 3}) is None


def test_devices_of_one_driver_share_what_is_found_of_it() -> None:
    well = whole(RFC, SimulatedDevice(RFC).answers)
    one = table(RFC, well)
    assert one is not None
    assert table(RFC, dict(well)) is one


def test_what_a_raw_answer_means_is_bound_to_its_type() -> None:
    pair = Pair(RFC, whole(RFC, SimulatedDevice(RFC).answers))
    for raw in (231, 232.5, True, 1, 1.0, b"230", "230"):
        pair.take({**pair.last, f"{FAULT}.2.5.0": raw})
    assert isinstance(pair.readings["battery.voltage"], Reading)
