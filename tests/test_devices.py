"""What a device is taken for, told as stories: (answers, time) in, readings and what changed out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from edgeagent.catalog import Driver, Text
from edgeagent.config import Device
from edgeagent.devices import BACK_OFF_CAP, MISSES, RECHECK, DeviceState
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.fit import SYS_DESCR, SYS_OBJECT_ID
from edgeagent.items import Identify, Variant
from edgeagent.readings import PARTIAL, Answers, Missing, Quality, Raw, Reading
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice

DRIVERS = load([drivers()]).drivers
UPS = DRIVERS["ups/rfc1628"]
GENSET = DRIVERS["generator/dse-gencomm"]
SENSOR = DRIVERS["environment/xy-md02"]
CHARGE = "1.3.6.1.2.1.33.1.2.4.0"
SOURCE = "1.3.6.1.2.1.33.1.4.1.0"


def state_of(driver: Driver, interval: float = 2.0, fast: float = 1.0) -> DeviceState:
    url = {"snmp": "snmp://h", "modbus": "modbus://h?unit=1", "host": "host://", "service": "service+tcp://h:1"}[
        driver.protocol
    ]
    device = Device("d", Text("D", "D"), driver, parse(url), None, interval, fast, 2.0, driver.kind.alarms)
    return DeviceState(device)


class Story:
    """A device behind its driver: polls it as asked, some of the answers replaced."""

    def __init__(self, driver: Driver, interval: float = 2.0) -> None:
        self.state = state_of(driver, interval)
        self.answers = dict(SimulatedDevice(driver).answers)

    def answer(self, now: float, replaced: Mapping[str, Raw] | None = None) -> Answers:
        gets, walks = self.state.wants(now)
        known = {**self.answers, **(replaced or {})}
        below = {address: raw for address, raw in known.items() if address.startswith(tuple(f"{w}." for w in walks))}
        counts = {walk: known.get(walk, Missing.ABSENT) for walk in walks}
        return {**{address: known.get(address, Missing.ABSENT) for address in gets}, **below, **counts}

    def poll(self, now: float, replaced: Mapping[str, Raw] | None = None) -> frozenset[str]:
        return self.state.take(self.answer(now, replaced), now)

    def miss(self, now: float, reason: Missing = Missing.TIMEOUT) -> frozenset[str]:
        gets, walks = self.state.wants(now)
        return self.state.take(dict.fromkeys((*gets, *walks), reason), now)

    def value(self, id: str) -> object:
        reading = self.state.readings.get(id)
        return None if reading is None else reading.value

    def reasons(self) -> set[str | None]:
        own = ("reachable", "identity")
        return {reading.reason for id, reading in self.state.readings.items() if id not in own}


def test_the_first_answer_is_enough_to_be_reachable_and_identified() -> None:
    story = Story(UPS)
    assert story.state.readings == {}
    changed = story.poll(100.0)
    assert changed == story.state.readings.keys()
    assert {"reachable", "identity", "battery.charge", "alarms"} <= changed
    assert story.state.readings["reachable"] == Reading(True, 100.0)
    assert story.state.readings["identity"] == Reading("match", 100.0)
    assert story.state.observed == 100.0
    assert story.state.facts["vendor"] == "Simulated"
    assert story.state.facts["sysObjectID"] == "1.3.6.1.4.1.8072.3.2.10"


def test_equal_answers_change_nothing_but_when_it_was_observed() -> None:
    story = Story(UPS)
    story.poll(100.0)
    story.poll(102.0)
    before = dict(story.state.readings)
    assert story.poll(104.0) == frozenset()
    assert story.state.readings == before
    assert story.state.observed == 104.0


def test_only_what_reads_otherwise_has_changed() -> None:
    story = Story(UPS)
    story.poll(100.0)
    assert story.poll(102.0, {CHARGE: 97}) == {"battery.charge"}
    assert story.state.readings["battery.charge"] == Reading(97, 102.0)
    assert story.poll(104.0, {CHARGE: Missing.TIMEOUT}) == {"battery.charge"}
    assert story.state.readings["battery.charge"] == Reading.bad("timeout", 104.0)
    assert story.value("source") == "normal"
    assert story.value("reachable") is True


def test_one_miss_makes_all_bad_and_the_next_answer_all_good() -> None:
    story = Story(UPS)
    story.poll(100.0)
    good = dict(story.state.readings)
    changed = story.miss(102.0)
    assert changed == good.keys() - {"reachable", "identity"}
    assert story.reasons() == {"timeout"}
    assert story.value("reachable") is True
    assert story.value("identity") == "match"
    assert story.state.observed == 100.0
    assert story.poll(104.0) == changed
    assert all(reading.same(good[id]) for id, reading in story.state.readings.items())


@pytest.mark.parametrize("reason", list(Missing))
def test_three_polls_without_a_value_make_it_unreachable_whatever_the_reason(reason: Missing) -> None:
    story = Story(GENSET)
    story.poll(100.0)
    assert "reachable" not in story.miss(102.0, reason) | story.miss(104.0, reason)
    assert story.miss(106.0, reason) == {"reachable"}
    reachable = story.state.readings["reachable"]
    assert (reachable.value, reachable.reason) == (False, reason.value)
    changed = story.miss(110.0, reason)
    if reason in (Missing.ABSENT, Missing.NULL):  # it answers, and has nothing of what its driver knows
        assert story.value("identity") == "mismatch"
    else:
        assert changed == frozenset()


def test_two_answers_make_it_reachable_again() -> None:
    story = Story(UPS)
    story.poll(100.0)
    for now in (102.0, 104.0, 106.0):
        story.miss(now)
    changed = story.poll(110.0)
    assert "battery.charge" in changed
    assert story.value("reachable") is False
    assert "reachable" in story.poll(112.0)
    assert story.value("reachable") is True


def test_misses_count_in_a_row() -> None:
    story = Story(UPS)
    story.poll(100.0)
    for now in range(102, 130, 6):
        story.miss(now)
        story.miss(now + 2.0)
        story.poll(now + 4.0)
    assert story.value("reachable") is True


def test_a_device_that_never_answered_is_unreachable_too() -> None:
    story = Story(UPS)
    story.miss(1.0)
    assert story.value("reachable") is None
    assert story.value("battery.charge") is None
    story.miss(2.0)
    assert story.miss(3.0) == {"reachable"}
    assert story.value("identity") is None
    story.poll(4.0)
    story.poll(5.0)
    assert story.value("reachable") is True


def test_another_reason_of_silence_is_told() -> None:
    story = Story(GENSET)
    for now in (1.0, 2.0, 3.0):
        story.miss(now)
    assert "reachable" in story.miss(4.0, Missing.LINK_DOWN)
    assert story.state.readings["reachable"].reason == "link-down"
    assert story.state.reason is Missing.LINK_DOWN


# Identity.


def test_a_device_that_does_not_fit_gives_mismatch_and_nothing_else() -> None:
    story = Story(GENSET)
    story.poll(100.0, {"h768": 2})
    assert story.value("identity") == "mismatch"
    assert story.value("reachable") is True
    assert story.reasons() == {"profile-mismatch"}
    assert {id for id, reading in story.state.readings.items() if reading.value is not None} == {
        "identity",
        "reachable",
    }
    assert story.poll(102.0, {"h768": 2}) == frozenset()
    assert story.state.observed == 102.0


def test_a_device_that_was_replaced_is_believed_as_soon_as_it_fits() -> None:
    story = Story(GENSET)
    story.poll(100.0, {"h768": 2})
    changed = story.poll(102.0)
    assert {"identity", "fuel"} <= changed
    assert story.value("identity") == "match"
    assert story.value("fuel") == 85


def test_one_that_cannot_tell_what_it_is_counts_as_silent() -> None:
    story = Story(UPS)
    hidden = dict.fromkeys(UPS.proofs, Missing.TIMEOUT)
    for now in (1.0, 2.0, 3.0):
        assert "battery.charge" not in story.state.readings or story.value("battery.charge") is None
        story.poll(now, hidden)
    assert story.value("reachable") is False
    assert story.value("identity") is None
    assert story.state.observed is None


def test_identity_is_asked_at_first_then_after_silence_and_every_ten_minutes() -> None:
    story, proof = Story(UPS), SYS_OBJECT_ID
    assert proof in story.state.wants(100.0)[0]
    story.poll(100.0)
    assert proof not in story.state.wants(102.0)[0]
    story.miss(102.0)
    story.miss(104.0)
    assert proof not in story.state.wants(106.0)[0]  # it may be the network
    story.miss(106.0)
    assert proof in story.state.wants(110.0)[0]  # it may be another device by now
    story.poll(110.0)
    assert proof not in story.state.wants(110.0 + RECHECK - 1)[0]
    assert proof in story.state.wants(110.0 + RECHECK)[0]
    story.poll(110.0 + RECHECK)
    assert proof not in story.state.wants(112.0 + RECHECK)[0]


def test_another_device_at_the_address_is_found_out_after_silence() -> None:
    story = Story(GENSET)
    story.poll(100.0)
    for now in (102.0, 104.0, 106.0):
        story.miss(now)
    assert "identity" in story.poll(110.0, {"h768": 7})
    assert story.value("identity") == "mismatch"
    assert story.value("fuel") is None


def test_answers_asked_before_doubt_arose_are_no_proof_against_the_device() -> None:
    described = replace(UPS, identify=(Identify(20, ("1.3.6.1.4.1.8072",), None, UPS.identify[0].requires),))
    story = Story(described)
    story.answers[SYS_OBJECT_ID] = "1.3.6.1.4.1.8072.3.2.10"
    story.poll(100.0)
    asked = story.answer(100.0 + RECHECK - 1, {CHARGE: 50})
    assert SYS_OBJECT_ID not in asked
    assert story.state.take(asked, 100.0 + RECHECK + 1) == {"battery.charge"}
    assert story.value("identity") == "match"
    assert SYS_OBJECT_ID in story.state.wants(100.0 + RECHECK + 2)[0]


def test_a_driver_that_nothing_tells_apart_is_believed() -> None:
    story = Story(SENSOR)
    assert story.poll(100.0) == {"reachable", "identity", "temperature", "humidity"}
    assert story.value("identity") == "match"
    assert story.value("temperature") == 23


CARDS = ("1.3.6.1.4.1.2254.2.5", "1.3.6.1.4.1.705.1.2")
TENTHS = replace(UPS, variants=(Variant(UPS.id, CARDS, scales={"output.voltage": 0.1}),))


@pytest.mark.parametrize(
    ("object_id", "voltage"),
    [
        pytest.param("1.3.6.1.4.1.8072.3.2.10", 230, id="volts"),
        pytest.param("1.3.6.1.4.1.2254.2.5", 23, id="tenths of volts"),
        pytest.param("1.3.6.1.4.1.705.1.2", 23, id="another card with tenths"),
    ],
)
def test_cards_that_scale_otherwise_are_known_by_their_object_id(object_id: str, voltage: float) -> None:
    story = Story(TENTHS)
    story.answers[SYS_OBJECT_ID] = object_id
    story.poll(100.0)
    assert story.value("output.voltage") == voltage
    story.poll(102.0, {CHARGE: 99})  # the object id is not asked each time
    assert story.value("output.voltage") == voltage


def test_a_card_that_was_exchanged_scales_as_its_own() -> None:
    story = Story(TENTHS)
    story.answers[SYS_OBJECT_ID] = "1.3.6.1.4.1.2254.2.5"
    story.poll(100.0)
    story.answers[SYS_OBJECT_ID] = "1.3.6.1.4.1.8072.3.2.10"
    story.poll(100.0 + RECHECK)
    assert story.value("output.voltage") == 230


def test_the_facts_are_those_of_the_device() -> None:
    story = Story(UPS)
    ups = "1.3.6.1.2.1.33.1"
    story.poll(100.0, {SYS_DESCR: b"NMC \xb5\xe7\xd4\xb4", f"{ups}.1.2.0": Missing.ABSENT, f"{ups}.1.2": b"X1"})
    assert story.state.facts == {
        "vendor": "Simulated",
        "model": "X1",
        "firmware": "1.0",
        "sysObjectID": "1.3.6.1.4.1.8072.3.2.10",
        "sysDescr": "NMC 电源",
    }


# When it is asked again.


@pytest.mark.parametrize(
    ("interval", "misses", "expected"),
    [
        (2.0, 0, 2.0),
        (2.0, 1, 2.0),
        (60.0, 1, 2.0),
        (60.0, 2, 2.0),
        (2.0, 3, 4.0),
        (2.0, 4, 8.0),
        (2.0, 5, 16.0),
        (2.0, 6, BACK_OFF_CAP),
        (2.0, 100_000, BACK_OFF_CAP),
        (0.1, 100_000, BACK_OFF_CAP),
        (60.0, 3, 60.0),
        (60.0, 100_000, 60.0),
    ],
)
def test_a_silent_device_is_asked_soon_and_then_ever_less_often(interval: float, misses: int, expected: float) -> None:
    story = Story(UPS, interval)
    story.poll(0.0)
    story.state.misses = max(misses - 1, 0)
    if misses:
        story.miss(1.0)
    assert story.state.interval(hasten=False) == expected


def test_a_device_that_comes_back_is_soon_confirmed() -> None:
    story = Story(UPS, interval=60.0)
    for now in (0.0, 1.0, 2.0):
        story.miss(now)
    story.poll(60.0)
    assert story.state.interval(hasten=False) == 2.0
    story.poll(62.0)
    assert story.state.interval(hasten=False) == 60.0


def test_haste_shortens_the_interval() -> None:
    state = state_of(UPS, interval=5.0, fast=1.0)
    assert (state.interval(hasten=False), state.interval(hasten=True)) == (5.0, 1.0)


def test_an_answer_of_an_alarm_table_that_failed_leaves_the_rest() -> None:
    story = Story(UPS)
    story.poll(100.0)
    assert story.poll(102.0, {"1.3.6.1.2.1.33.1.6.2.1.2": Missing.TIMEOUT}) == {"alarms"}
    assert story.state.readings["alarms"] == Reading(frozenset(), 102.0, Quality.UNCERTAIN, PARTIAL)
    assert story.value("source") == "normal"


def test_what_a_card_does_not_have_is_not_left_as_it_was() -> None:
    bare = Variant(UPS.id, ("1.3.6.1.4.1.9",), omit=frozenset({"battery.charge"}))
    story = Story(replace(UPS, variants=(bare,)))
    story.poll(100.0)
    assert story.value("battery.charge") == 100
    story.answers[SYS_OBJECT_ID] = "1.3.6.1.4.1.9.1"
    assert "battery.charge" in story.poll(100.0 + RECHECK)
    assert story.state.readings["battery.charge"] == Reading.bad("not-fitted", 100.0 + RECHECK)


def test_a_proof_that_the_device_fails_at_is_told_as_that() -> None:
    story = Story(GENSET)
    for now in (1.0, 2.0, 3.0):
        story.poll(now, {"h768": Missing.ERROR})
    assert story.state.reason is Missing.ERROR


def test_a_device_too_slow_to_prove_itself_beside_its_points_is_asked_for_the_proof_alone() -> None:
    story = Story(GENSET)
    story.poll(1.0, {"h768": Missing.TIMEOUT})
    gets, _ = story.state.wants(2.0)
    assert "h768" in gets
    assert "h1027" not in gets
    story.poll(2.0)
    assert story.value("identity") == "match"
    assert "h1027" in story.state.wants(3.0)[0]
    story.poll(3.0)
    assert story.value("fuel") == 85
    assert story.value("reachable") is True


DRILL = "outage-20261125-0210"


def test_all_that_a_twin_reads_carries_the_drills_id_and_the_device_is_left_alone() -> None:
    story = Story(UPS)
    story.poll(100.0)
    before = dict(story.state.readings)
    twin = story.state.twin(DRILL)
    assert twin.readings == before
    changed = twin.take(story.answer(102.0, {CHARGE: 40}), 102.0)
    assert changed == before.keys() - {"reachable", "identity"}
    assert {twin.readings[id].origin for id in changed} == {DRILL}
    assert twin.readings["battery.charge"] == Reading(40, 102.0, origin=DRILL)
    assert story.state.readings == before
    assert {reading.origin for reading in before.values()} == {None}


def test_a_twin_reads_even_an_equal_answer_anew_and_then_only_what_is_another() -> None:
    story = Story(UPS)
    story.poll(100.0)
    story.poll(102.0)
    twin = story.state.twin(DRILL)
    assert "battery.charge" in twin.take(story.answer(104.0), 104.0)
    assert twin.take(story.answer(106.0), 106.0) == frozenset()
    assert twin.take(story.answer(108.0, {CHARGE: 40}), 108.0) == {"battery.charge"}


def test_a_twin_that_is_silent_in_a_drill_is_unreachable_there_alone_and_comes_back_unasked() -> None:
    story = Story(UPS)
    story.poll(100.0)
    twin = story.state.twin(DRILL)
    twin.take(story.answer(102.0), 102.0)
    for now in (104.0, 106.0, 108.0):
        story.poll(now)
        twin.take(dict.fromkeys(story.answer(now), Missing.TIMEOUT), now)
    assert twin.readings["reachable"] == Reading(False, 108.0, reason="timeout", origin=DRILL)
    assert twin.readings["battery.charge"] == Reading.bad("timeout", 108.0, DRILL)
    assert story.value("reachable") is True
    for now in (110.0, 112.0):
        story.poll(now)
        twin.take(story.answer(now), now)
    assert twin.readings["reachable"] == Reading(True, 112.0, origin=DRILL)
    assert twin.readings["battery.charge"] == Reading(100, 110.0, origin=DRILL)
    assert twin.readings["identity"].value == "match"


def test_what_a_drill_shows_is_no_proof_of_what_the_device_is() -> None:
    story = Story(GENSET)
    story.poll(100.0)
    twin = story.state.twin(DRILL)
    again = 100.0 + RECHECK
    answers = story.answer(again)
    story.state.take(answers, again)
    twin.take({**answers, "h768": Missing.ABSENT}, again)
    assert twin.readings["identity"].value == "match"
    assert twin.readings["fuel"] == Reading(85, again, origin=DRILL)


def test_a_twin_takes_over_that_the_device_is_another_one() -> None:
    story = Story(UPS)
    story.poll(100.0)
    twin = story.state.twin(DRILL)
    again = 100.0 + RECHECK
    strange: dict[str, Raw] = dict.fromkeys(story.answers, Missing.ABSENT)
    strange |= {SYS_OBJECT_ID: "1.3.6.1.4.1.1.1", SYS_DESCR: b"a printer"}
    answers = story.answer(again, strange)
    story.state.take(answers, again)
    assert story.value("identity") == "mismatch"
    twin.take({**answers, CHARGE: 40}, again)
    assert twin.readings["identity"] == Reading("mismatch", again, origin=DRILL)
    assert twin.readings["battery.charge"] == Reading.bad("profile-mismatch", again, DRILL)


def test_a_twin_takes_over_which_card_it_is() -> None:
    bare = Variant(UPS.id, ("1.3.6.1.4.1.9",), omit=frozenset({"battery.charge"}))
    story = Story(replace(UPS, variants=(bare,)))
    twin = story.state.twin(DRILL)
    story.answers[SYS_OBJECT_ID] = "1.3.6.1.4.1.9.1"
    story.poll(100.0)
    twin.take(story.answer(102.0), 102.0)
    assert twin.driver is story.state.driver
    assert twin.facts == story.state.facts
    assert twin.readings["battery.charge"] == Reading.bad("not-fitted", 102.0, DRILL)
    assert twin.readings["identity"] == Reading("match", 102.0, origin=DRILL)


# A probe, whose own word on `reachable` counts.

CRM = DRIVERS["service/http"]


def test_a_target_that_does_not_answer_is_a_reading_however_often_it_is_the_same() -> None:
    story = Story(CRM)
    story.poll(0.0)
    assert (story.value("reachable"), story.value("identity")) == (True, "match")
    down: Mapping[str, Raw] = {"answer": "refused", "latency": Missing.NULL, "status": Missing.NULL}
    assert "reachable" in story.poll(10.0, down)
    for second in (20.0, 30.0, 40.0):
        assert story.poll(second, down) == frozenset()
        assert (story.value("reachable"), story.value("answer"), story.state.misses) == (False, "refused", 0)
    assert "reachable" in story.poll(50.0)
    assert story.value("reachable") is True


def test_a_probe_that_could_not_be_made_says_nothing_of_its_target() -> None:
    story = Story(CRM)
    story.poll(0.0)
    for number in range(1, MISSES + 3):
        story.miss(10.0 * number, Missing.LINK_DOWN)
        assert story.state.readings["reachable"] == Reading.bad("link-down", story.state.readings["reachable"].time)
    assert story.state.misses == MISSES + 2
    story.poll(100.0)
    assert story.value("reachable") is True


def test_what_is_no_number_stirs_where_something_was_said_before() -> None:
    story = Story(UPS)
    assert not story.state.stirs(story.answer(100.0)), "nothing was said before"
    story.poll(100.0)
    same = story.answer(102.0)
    assert not story.state.stirs(same)
    assert not story.state.stirs({**same, CHARGE: 12})
    assert story.state.stirs({**same, SOURCE: 5})
    assert story.state.stirs({**same, SOURCE: Missing.TIMEOUT})
    assert not story.state.stirs({**same, CHARGE: Missing.TIMEOUT})


def test_a_row_of_a_walked_table_is_more_than_a_number() -> None:
    story = Story(UPS)
    story.poll(100.0)
    (walk,) = UPS.walks
    same = story.answer(102.0)
    assert story.state.stirs({**same, f"{walk}.1.2.7": "1.3.6.1.2.1.33.1.6.3.3"})
    assert not story.state.stirs({**same, f"{walk}7.1.2.7": "1.3.6.1.2.1.33.1.6.3.3"})
