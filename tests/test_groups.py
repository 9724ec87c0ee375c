"""Faults of many: forty softphones are one fault, one softphone is one seat's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.alarm import Verb
from edgeagent.catalog import Severity
from edgeagent.readings import Value
from edgeagent.sitetree import AREA, SEAT, CauseSettings
from tests.hall import BASE, Hall, Plan, hall

SOFTPHONES = "switch.group.softphone-down"


def seats(*numbers: int, **said: Value) -> dict[str, dict[str, Value]]:
    return {f"pc-s{number:03}": dict(said) for number in numbers}


def fail(floor: Hall, second: float, *numbers: int, well: bool = False, late: bool = False) -> None:
    floor.say(second, seats(*numbers, softphone=well), late=late)


def test_forty_softphones_are_one_fault_and_no_forty_are_told() -> None:
    floor = Hall(hall(50)).start()
    for number in range(40):  # as polls come in
        fail(floor, 10 + number / 4, number)
    floor.until(100)
    assert floor.raised() == [SOFTPHONES]
    group = floor.record(SOFTPHONES)
    assert (group.resource, group.alarm_type_id, group.alarm_type_qualifier) == ("switch", "group", "softphone-down")
    assert group.perceived_severity is Severity.CRITICAL
    assert group.alarm_text.en == "40 seats at switch: softphone does not run"
    assert group.alarm_text.zh == "“switch”的 40 个座席：软电话未运行"
    assert set(floor.hidden().values()) == {SOFTPHONES}
    assert len(floor.hidden()) == 40
    assert group.impacted_resource == tuple(f"s{number:03}" for number in range(40))
    assert group.raised == BASE + 40, "with the first of them, not after the last"
    assert group.onset == BASE + 10, "since the first of them failed"
    assert floor.floor.derived["switch"]["alike.softphone-down"].value == 40


def test_one_seat_is_one_fault() -> None:
    floor = Hall(hall(50)).start()
    fail(floor, 10, 3)
    floor.until(100)
    assert floor.raised() == ["pc-s003.softphone-down"]
    assert not floor.hidden()


@pytest.mark.parametrize(
    ("count", "of", "told"),
    [
        pytest.param(4, 6, 4, id="below the quorum"),
        pytest.param(5, 6, 1, id="a quorum"),
        pytest.param(5, 11, 5, id="less than half of them"),
        pytest.param(6, 12, 1, id="half of them"),
    ],
)
def test_a_quorum_and_a_share_make_a_fault_of_many(count: int, of: int, told: int) -> None:
    floor = Hall(hall(of)).start()
    fail(floor, 10, *range(count))
    floor.until(100)
    assert len(floor.raised()) == told


def test_it_stands_on_the_most_specific_thing_that_they_share() -> None:
    plan = hall(20)
    for row in ("row-1", "row-2"):
        plan.add(row, AREA, area="hall")
    for number in range(20):
        seat, pc = f"s{number:03}", f"pc-s{number:03}"
        row = "row-1" if number < 8 else "row-2"
        for id in (seat, pc):
            node = plan.nodes[id]
            places = {relation: ids for relation, ids in node.parents.items() if relation != "place"}
            plan.nodes[id] = replace(node, parents={**places, next(r for r in node.parents if r == "place"): (row,)})
    floor = Hall(plan).start()
    fail(floor, 10, *range(6))
    floor.until(100)
    assert floor.raised() == ["row-1.group.softphone-down"]


def test_those_that_come_later_fold_under_it_and_strangers_do_not() -> None:
    floor = Hall(hall(12)).start()
    fail(floor, 10, *range(8))
    floor.until(60)
    fail(floor, 60, 8)
    floor.say(60, seats(9, nic=False))
    floor.until(120)
    assert floor.raised() == [SOFTPHONES, "pc-s009.nic-down"]
    assert floor.hidden()["pc-s008.softphone-down"] == SOFTPHONES


def test_singles_that_were_told_are_folded_quietly_when_many_follow() -> None:
    floor = Hall(hall(8)).start()
    fail(floor, 10, 0)
    fail(floor, 50, *range(1, 8))
    floor.until(100)
    assert floor.raised() == ["pc-s000.softphone-down", SOFTPHONES]
    assert len(floor.hidden()) == 8
    assert not [line for line in floor.told() if line.endswith("suppressed")]


def test_old_singles_do_not_make_a_fault_of_many_with_a_new_one() -> None:
    floor = Hall(hall(8)).start()
    for number in range(7):
        fail(floor, 10 + 100 * number, number)
    floor.until(1000)
    assert len(floor.raised()) == 7
    assert not floor.hidden()


def test_it_is_over_when_fewer_than_half_of_the_quorum_are_left_and_those_speak_for_themselves() -> None:
    floor = Hall(hall(8)).start()
    fail(floor, 10, *range(8))
    floor.until(60)
    fail(floor, 60, 0, 1, 2, 3, 4, well=True)
    floor.until(90)
    assert not floor.record(SOFTPHONES).is_cleared
    fail(floor, 90, 5, well=True)
    floor.until(200)
    assert floor.told() == [
        f"{SOFTPHONES} raised", f"{SOFTPHONES} cleared",
        "pc-s006.softphone-down unsuppressed", "pc-s007.softphone-down unsuppressed",
    ]  # fmt: skip
    assert not floor.hidden()
    fail(floor, 200, 6, 7, well=True)
    floor.until(240)
    for id in (SOFTPHONES, "pc-s006.softphone-down", "pc-s007.softphone-down"):
        floor.ask(240, "ack", id, None, "Lin", "")
    floor.until(2000)
    assert not floor.floor.records()
    fail(floor, 2000, *range(8))
    floor.until(2100)
    assert floor.raised()[-1] == SOFTPHONES, "and it can come again"


@pytest.mark.parametrize("back", [28.0, 30.0, 30.5, 58.0, 60.0, 60.5])
@pytest.mark.parametrize("some", [3, 8], ids=["some first", "all at once"])
def test_it_is_over_though_seats_ran_again_in_the_step_that_raised_it(back: float, some: int) -> None:
    floor = Hall(hall(8)).start()
    fail(floor, 10, *range(8))
    floor.until(10 + back - 1.5)
    fail(floor, 10 + back, *range(some), well=True, late=True)
    floor.until(80)
    fail(floor, 80, *range(8), well=True)
    floor.until(300)
    assert not floor.standing()
    assert not floor.hidden()


def test_two_that_fail_again_after_it_was_over_are_two() -> None:
    floor = Hall(hall(8)).start()
    fail(floor, 10, *range(8))
    fail(floor, 60, *range(8), well=True)
    floor.until(200)
    fail(floor, 200, 0, 1, 2)
    floor.until(300)
    assert floor.raised() == [SOFTPHONES, *(f"pc-s00{number}.softphone-down" for number in range(3))]


def test_what_accounts_for_them_all_already_leaves_nothing_for_a_fault_of_many() -> None:
    floor = Hall(hall(8)).start()
    floor.say(10, {"ups-a": {"source": "off", "output.voltage": 0}})
    floor.say(12, seats(*range(8), online=False, softphone=False))
    floor.until(100)
    assert floor.raised() == ["ups-a.output-off"]
    assert len(floor.hidden()) == 16
    assert set(floor.hidden().values()) == {"ups-a.output-off"}


def test_a_cause_that_speaks_late_takes_the_fault_of_many_and_its_members_over() -> None:
    floor = Hall(hall(8)).start()
    floor.say(10, seats(*range(8), online=False))
    floor.until(60)
    assert floor.raised() == ["switch.group.offline"]
    floor.say(60, {"ups-b": {"source": "off", "output.voltage": 0}})
    floor.until(100)
    assert floor.raised() == ["switch.group.offline", "ups-b.output-off"]
    assert floor.standing() == {"ups-b.output-off"}
    assert floor.hidden()["switch.group.offline"] == "ups-b.output-off"
    assert floor.record("pc-s000.offline").root_cause_resource == ("ups-b",)


def test_devices_of_one_kind_are_alike_too() -> None:
    plan = Plan().add("panel", "panel")
    for number in range(6):
        plan.add(f"crac-{number}", "hvac", fed=["panel"])
    floor = Hall(plan).start()
    floor.say(10, {f"crac-{number}": {"alarms": frozenset({"unit-trip"})} for number in range(5)})
    floor.until(60)
    assert floor.raised() == ["panel.group.unit-trip"]
    assert floor.record("panel.group.unit-trip").alarm_text.en == "5 devices at panel have shut down on a fault"
    assert floor.record("panel.group.unit-trip").alarm_text.zh == "“panel”的 5 台设备：故障停机"


def test_several_devices_of_one_seat_count_once() -> None:
    plan = hall(0)
    for number in range(3):
        plan.add(f"s{number}", SEAT, linked=["switch"])
        for device in ("a", "b"):
            plan.add(f"pc-{number}{device}", "workstation", seat=f"s{number}")
    floor = Hall(plan).start()
    floor.say(10, {f"pc-{number}{device}": {"softphone": False} for number in range(3) for device in "ab"})
    floor.until(60)
    assert len(floor.raised()) == 6


def test_a_site_says_how_many_make_many() -> None:
    floor = Hall(hall(8).site(CauseSettings(quorum=2, share=0.1))).start()
    fail(floor, 10, 0, 1)
    floor.until(60)
    assert floor.raised() == [SOFTPHONES]


@pytest.mark.parametrize("second", [30, 45, 70, 125, 150])
def test_a_restart_changes_nothing(second: float) -> None:
    def play(*, restart: bool) -> Hall:
        floor = Hall(hall(8)).start()
        for at, numbers, well in ((10.0, range(8), False), (100.0, range(6), True)):
            if restart and floor.now < BASE + second < BASE + at:
                floor.until(second)
                floor.restart(second)
            fail(floor, at, *numbers, well=well)
        if restart and floor.now < BASE + second:
            floor.until(second)
            floor.restart(second)
        floor.until(300)
        return floor

    again, same = play(restart=True), play(restart=False)
    assert again.told() == same.told()
    assert again.hidden() == same.hidden()


def test_a_drill_s_fault_of_many_is_a_drill_s() -> None:
    floor = Hall(hall(8)).start()
    floor.origin = "drill-7"
    fail(floor, 10, *range(8))
    floor.until(60)
    assert floor.record(SOFTPHONES).origin == "drill-7"


def test_only_twenty_of_many_have_a_record_of_their_own() -> None:
    floor = Hall(hall(50)).start()
    fail(floor, 10, *range(50))
    floor.until(100)
    folded = {id for id in floor.floor.records() if floor.floor.folded(id)}
    assert len(folded) == 30
    assert SOFTPHONES not in folded
    fail(floor, 100, *range(49), well=True)
    floor.until(200)
    assert floor.raised() == [SOFTPHONES, "pc-s049.softphone-down"]
    assert not floor.floor.folded("pc-s049.softphone-down"), "who speaks has one"
    gone = folded - {"pc-s049.softphone-down"}
    assert all(floor.floor.folded(id) for id in gone)
    while floor.floor.records().keys() & gone:
        floor.until(floor.now - BASE + 2)
    assert all(floor.floor.folded(id) for id in gone), "of those that just went as well"


def test_a_raise_of_many_is_told_before_those_it_explains() -> None:
    floor = Hall(hall(8)).start()
    fail(floor, 10, *range(8))
    floor.until(60)
    first = [change.alarm.alarm_id for change in floor.changes if change.verb is Verb.RAISED]
    assert first[0] == SOFTPHONES
