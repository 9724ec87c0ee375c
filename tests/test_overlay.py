"""What a drill shows instead of what its devices say, told as stories: (moment, real answers) in, readings out."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edgeagent.overlay import Overlay
from edgeagent.readings import Missing, Reading
from edgeagent.scenario import Do
from tests.play import DRILL, DRIVERS, Play, do, real, show, with_real

UPS = DRIVERS["ups/rfc1628"]
GENSET = DRIVERS["generator/dse-gencomm"]
ROWS = "1.3.6.1.2.1.33.1.6.2.1.2"


def test_what_is_set_is_shown_from_its_moment_on_until_something_else_is() -> None:
    play = Play(UPS, show(0, 10, "source", "battery"), show(1, 60, "source", "normal"))
    assert [play.value("source", moment) for moment in (0, 9.9, 10, 59, 60, 600)] == [
        "normal", "normal", "battery", "battery", "normal", "normal",
    ]  # fmt: skip


def test_injects_of_one_moment_come_together() -> None:
    play = Play(
        UPS, show(0, 10, "source", "battery"), show(1, 10, "input.voltage", 0), show(2, 10, "battery.charge", 61)
    )
    readings = play.readings(10)
    assert {id: readings[id].value for id in ("source", "input.voltage", "battery.charge")} == {
        "source": "battery", "input.voltage": 0, "battery.charge": 61,
    }  # fmt: skip


def test_what_nobody_replaced_is_what_the_device_really_says() -> None:
    play = Play(UPS, show(0, 10, "source", "battery"))
    assert play.value("battery.charge", 20, with_real(UPS, {"battery.charge": 87})) == 87
    assert play.value("battery.charge", 22, with_real(UPS, {"battery.charge": 86})) == 86
    assert play.value("source", 22, with_real(UPS, {"battery.charge": 86})) == "battery"


def test_a_ramp_goes_evenly_and_then_stays() -> None:
    play = Play(UPS, show(0, 10, "battery.charge", 60, Do.RAMP, 100, over=80))
    told = [play.value("battery.charge", moment) for moment in (0, 10, 12, 30, 90, 91, 900)]
    assert told == [100, 100, 99, 90, 60, 60, 60]


def test_a_ramp_without_a_start_begins_at_what_is_really_so_when_it_begins() -> None:
    play = Play(UPS, show(0, 10, "battery.charge", 40, Do.RAMP, over=100))
    assert play.value("battery.charge", 10, with_real(UPS, {"battery.charge": 90})) == 90
    assert play.value("battery.charge", 60, with_real(UPS, {"battery.charge": 88})) == 65
    assert play.value("battery.charge", 110, with_real(UPS, {"battery.charge": 88})) == 40


def test_a_ramp_without_a_start_goes_on_from_what_is_shown() -> None:
    play = Play(
        UPS,
        show(0, 10, "battery.charge", 40),
        show(1, 20, "battery.charge", 60, Do.RAMP, over=20),
        show(2, 30, "battery.charge", 10, Do.RAMP, over=40),
    )
    assert [play.value("battery.charge", moment) for moment in (19, 25, 30, 50, 70)] == [40, 45, 50, 30, 10]


def test_a_value_that_is_set_ends_a_ramp() -> None:
    play = Play(UPS, show(0, 0, "battery.charge", 0, Do.RAMP, 100, over=100), show(1, 50, "battery.charge", 77))
    assert [play.value("battery.charge", moment) for moment in (49, 50, 60)] == [51, 77, 77]


def test_a_ramp_that_has_nothing_to_begin_at_is_told_and_shows_its_end_all_the_same() -> None:
    play = Play(UPS, show(0, 0, "battery.charge", 50, Do.RAMP, over=100))
    blind = {**real(UPS), "1.3.6.1.2.1.33.1.2.4.0": Missing.ABSENT}
    assert play.answers(10, blind) == blind
    assert play.why() == ["battery.charge has no value from which it could go to 50"]
    assert play.value("battery.charge", 100, blind) == 50


def test_a_ramp_moves_only_as_far_as_the_device_can_tell_apart() -> None:
    play = Play(UPS, show(0, 0, "battery.charge", 60, Do.RAMP, 100, over=400))
    shown = [play.answers(moment) for moment in range(10)]
    assert all(before is after for before, after in pairwise(shown[:5]))
    assert play.value("battery.charge", 9) == 99


def test_alarms_join_and_leave_what_the_device_really_shows() -> None:
    play = Play(
        UPS,
        show(0, 10, "alarms", "output-off", Do.ADD),
        show(1, 20, "alarms", "battery-low", Do.REMOVE),
        show(2, 30, "alarms", "output-off", Do.REMOVE),
    )
    image = with_real(UPS, {"alarms": frozenset({"battery-low", "over-temperature"})})
    assert play.value("alarms", 10, image) == frozenset({"battery-low", "over-temperature", "output-off"})
    assert play.value("alarms", 20, image) == frozenset({"over-temperature", "output-off"})
    assert play.value("alarms", 30, image) == frozenset({"over-temperature"})
    assert play.value("alarms", 31, real(UPS)) == frozenset()
    assert play.value("alarms", 15, real(UPS)) == frozenset({"output-off"})


def test_an_alarm_that_joins_leaves_the_others_where_the_device_shows_them() -> None:
    netvision = DRIVERS["ups/socomec-netvision"]
    play = Play(netvision, show(0, 10, "source", "battery"), show(1, 10, "alarms", "battery-low", Do.ADD))
    readings = play.readings(10)
    assert readings["source"].value == "battery"
    assert readings["alarms"].value == frozenset({"on-battery", "battery-low"})


def test_a_set_that_is_set_hides_what_the_device_shows_and_later_changes_work_on_it() -> None:
    play = Play(UPS, show(0, 10, "alarms", frozenset({"battery-low"})), show(1, 20, "alarms", "output-off", Do.ADD))
    image = with_real(UPS, {"alarms": frozenset({"over-temperature"})})
    assert play.value("alarms", 10, image) == frozenset({"battery-low"})
    assert play.value("alarms", 20, image) == frozenset({"battery-low", "output-off"})


def test_rows_of_an_alarm_table_come_and_go_with_their_count() -> None:
    play = Play(UPS, show(0, 10, "alarms", "output-off", Do.ADD), show(1, 20, "alarms", frozenset[str]()))
    image = with_real(UPS, {"alarms": frozenset({"battery-low", "over-temperature"})})
    assert image[ROWS] == 2
    for moment, rows in ((10, 3), (20, 0)):
        shown = play.answers(moment, image)
        assert shown[ROWS] == rows
        assert sum(address.startswith(f"{ROWS}.") for address in shown) == rows


def test_an_alarm_is_shown_in_one_grade_at_a_time() -> None:
    play = Play(
        GENSET,
        show(0, 10, "alarms", "oil-pressure-low.shutdown", Do.ADD),
        show(1, 20, "alarms", "oil-pressure-low.shutdown", Do.REMOVE),
    )
    image = with_real(GENSET, {"alarms": frozenset({"oil-pressure-low.warning", "fuel-low.warning"})})
    assert play.value("alarms", 10, image) == frozenset({"oil-pressure-low.shutdown", "fuel-low.warning"})
    assert play.value("alarms", 20, image) == frozenset({"fuel-low.warning"})


def test_a_point_that_is_missing_reads_as_the_device_would_say_it() -> None:
    points = ("oil.pressure", "fuel")
    genset = Play(GENSET, *(show(number, 10, id, None, Do.MISSING) for number, id in enumerate(points))).readings(10)
    assert genset["oil.pressure"] == Reading.bad("not-available", 10, DRILL)
    assert genset["fuel"] == Reading.bad("sensor-fault", 10, DRILL)
    host = Play(DRIVERS["workstation/host"], show(0, 10, "cpu", None, Do.MISSING)).readings(10)["cpu"]
    assert host == Reading.bad("absent", 10, DRILL)


def test_what_is_missing_is_there_again_once_it_is_set() -> None:
    play = Play(GENSET, show(0, 10, "fuel", None, Do.MISSING), show(1, 20, "fuel", 30))
    assert [play.value("fuel", moment) for moment in (10, 20)] == [None, 30]


def test_a_set_that_is_missing_is_known_again_once_an_alarm_joins_it() -> None:
    play = Play(UPS, show(0, 10, "alarms", None, Do.MISSING), show(1, 20, "alarms", "output-off", Do.ADD))
    assert play.readings(10)["alarms"] == Reading.bad("error", 10, DRILL)
    assert play.readings(20)["alarms"] == Reading(frozenset({"output-off"}), 20, origin=DRILL)
    assert play.overlay.dry("d", UPS, real(UPS)) == []


def test_a_silent_device_goes_on_with_what_was_shown_once_it_answers() -> None:
    silence, charge, answers = do(1, 20, Do.SILENT), show(2, 30, "battery.charge", 9), do(3, 40, Do.ANSWERS)
    play = Play(UPS, show(0, 10, "source", "battery"), silence, charge, answers)
    image = with_real(UPS, {"alarms": frozenset({"battery-low"})})
    silent = play.answers(30, image)
    assert set(silent.values()) == {Missing.TIMEOUT}
    assert silent.keys() == {*UPS.gets, *UPS.walks}
    assert (play.value("source", 40), play.value("battery.charge", 40)) == ("battery", 9)


@pytest.mark.parametrize("reason", [reason for reason in Missing if reason.silent])
def test_a_device_that_is_really_silent_stays_so(reason: Missing) -> None:
    play = Play(UPS, show(0, 10, "source", "battery"), do(1, 20, Do.SILENT))
    silent = dict.fromkeys((*UPS.gets, *UPS.walks), reason)
    assert play.answers(10, silent) is silent
    assert play.answers(20, silent) is silent
    assert play.why() == []


def test_what_could_not_be_read_in_one_poll_is_not_made_up() -> None:
    play = Play(UPS, show(0, 10, "battery.charge", 9), show(1, 10, "alarms", "battery-low", Do.ADD))
    image = {**real(UPS), "1.3.6.1.2.1.33.1.2.4.0": Missing.TIMEOUT, ROWS: Missing.TIMEOUT}
    readings = play.readings(10, image)
    assert (readings["battery.charge"].reason, readings["alarms"].reason) == ("timeout", "partial")
    assert readings["alarms"].value == frozenset()
    assert play.value("battery.charge", 12) == 9


def test_the_real_device_counts_again_once_it_is_released() -> None:
    silence, release, charge = do(1, 20, Do.SILENT), do(2, 60, Do.RELEASE), show(3, 90, "battery.charge", 50)
    play = Play(UPS, show(0, 10, "source", "battery"), silence, release, charge)
    image = real(UPS)
    assert play.answers(60, image) is image
    assert play.value("source", 90) == "normal"
    assert play.value("battery.charge", 90) == 50
    assert [play.overlay.devices(moment) for moment in (9, 10, 30, 60, 90)] == [
        frozenset(), {"d"}, {"d"}, frozenset(), {"d"},
    ]  # fmt: skip


def test_a_device_of_which_nothing_is_shown_is_let_through() -> None:
    overlay = Overlay([show(0, 10, "source", "battery")], {"d": UPS})
    image = real(UPS)
    assert overlay.apply("another", UPS, image, 20) is image
    assert overlay.dry("another", UPS, image) == []


def test_a_poll_that_asks_for_the_proof_alone_gets_nothing_more() -> None:
    play = Play(GENSET, show(0, 0, "fuel", 20), show(1, 0, "alarms", "fail-to-start.shutdown", Do.ADD))
    proof = {"h768": 1, "h769": 6}
    assert play.answers(10, proof) is proof
    assert play.why() == []


def test_an_inject_that_cannot_be_said_leaves_the_others_and_is_told_once() -> None:
    windmill, nonsense = show(1, 10, "input.voltage", "windmill"), show(2, 10, "nonsense", 1)
    play = Play(UPS, show(0, 10, "source", "battery"), windmill, nonsense, show(3, 10, "battery.charge", 55))
    readings = play.readings(10)
    assert readings["battery.charge"].value == 55
    assert readings["source"].value == "battery"
    told = [(op.number, why.partition(" ")[0]) for op, why in play.overlay.failures()]
    assert told == [(1, "input.voltage.l1"), (2, "ups/rfc1628")]
    play.readings(12, with_real(UPS, {"battery.charge": 80}))
    assert play.overlay.failures() == []


def test_equal_answers_give_the_same_object() -> None:
    play = Play(UPS, show(0, 10, "source", "battery"))
    first = play.answers(10)
    assert play.answers(11) is first
    other_charge = play.answers(12, with_real(UPS, {"battery.charge": 80}))
    assert other_charge is not first
    assert play.answers(13) == first


def test_injects_come_due_once_each_and_in_their_order() -> None:
    a, b, c = show(1, 10, "source", "battery"), show(0, 10, "battery.charge", 9), do(2, 30, Do.RELEASE)
    overlay = Overlay([c, a, b], {"d": UPS})
    assert overlay.due(-1, 9) == []
    assert overlay.due(9, 10) == [b, a]
    assert overlay.due(10, 29.9) == []
    assert overlay.due(10, 300) == [c]
    assert [overlay.next_change(moment) for moment in (-1, 9.9, 10, 30, 31)] == [10, 10, 30, None, None]


# The check before a start.


def test_a_dry_run_tells_what_would_not_be_shown() -> None:
    overlay = Overlay(
        [
            show(0, 10, "source", "battery"),
            show(1, 20, "battery.charge", 250),
            show(2, 30, "output.power", 10),
            show(3, 40, "alarms", "no-such-alarm", Do.ADD),
            show(4, 50, "battery.charge", 20, Do.RAMP, 100, over=60),
            do(5, 60, Do.SILENT),
        ],
        {"d": UPS},
    )
    why = {op.number: why for op, why in overlay.dry("d", UPS, real(UPS))}
    assert why[1] == "battery.charge would not be read: out-of-range"
    assert "alarms cannot show no-such-alarm" in why[3]
    assert why.keys() == {1, 3}
    assert overlay.failures() == []


def test_a_dry_run_tells_what_contradicts_what() -> None:
    datakom = DRIVERS["generator/datakom"]  # one number says both
    stopped = show(0, 10, "alarms", frozenset({"common-shutdown"}))
    overlay = Overlay([stopped, show(1, 10, "state", "running")], {"d": datakom})
    assert overlay.dry("d", datakom, real(datakom)) == [(stopped, "alarms would not show common-shutdown")]


def test_a_dry_run_lets_a_later_inject_have_its_way() -> None:
    joins, leaves = show(0, 10, "alarms", "output-off", Do.ADD), show(1, 20, "alarms", "output-off", Do.REMOVE)
    again = show(2, 30, "alarms", "output-off", Do.ADD)
    assert Overlay([joins, leaves, again], {"d": UPS}).dry("d", UPS, real(UPS)) == []


def test_a_dry_run_on_a_silent_device_says_so() -> None:
    overlay = Overlay([show(0, 10, "source", "battery"), do(1, 20, Do.SILENT)], {"d": UPS})
    silent = dict.fromkeys((*UPS.gets, *UPS.walks), Missing.TIMEOUT)
    assert [(op.number, why) for op, why in overlay.dry("d", UPS, silent)] == [(0, "it does not answer now")]


def test_a_point_that_shares_its_answer_cannot_be_missing_alone() -> None:
    cyberpower = DRIVERS["ups/cyberpower"]
    play = Play(cyberpower, show(0, 10, "source", None, Do.MISSING))
    assert play.answers(10) == real(cyberpower)
    assert play.why() == ["source cannot be missing without alarms: one answer holds both"]
