"""Stories of a floor: outages, cooling and many seats, from readings to what people are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.alarm import AlarmState, Verb
from edgeagent.readings import Value
from tests.hall import BASE, LIT, LOADED, ON_GENERATOR, OUT, WELL, Hall, hall


def test_mains_lost_at_two_upses_and_the_generator_is_one_cause_with_all_else_folded_under_it() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(12, {"crac": {"alarms": frozenset({"unit-trip"})}, "ups-b": {"battery.time": 3}})
    floor.until(120)
    assert floor.raised() == ["mains.mains-lost"]
    assert floor.hidden() == {
        "ups-a.on-battery": "mains.mains-lost",
        "ups-b.on-battery": "mains.mains-lost",
        "gen.mains-lost": "mains.mains-lost",
        "ats.mains-lost": "mains.mains-lost",
        "crac.unit-trip": "mains.mains-lost",
    }
    cause = floor.record("mains.mains-lost")
    assert cause.alarm_text.en == "Mains lost, seen by ats, gen, ups-a, ups-b"
    assert cause.alarm_text.zh == "市电断电（依据：“ats”、“gen”、“ups-a”、“ups-b”）"
    assert cause.impacted_resource == ("ats", "crac", "gen", "ups-a", "ups-b")
    assert floor.record("crac.unit-trip").root_cause_resource == ("mains",)
    assert floor.record("crac.unit-trip").state is AlarmState.SUPPRESSED


def test_the_same_site_with_a_generator_that_nobody_can_read_has_one_cause_and_one_that_is_not_known() -> None:
    floor = Hall(hall()).start()
    floor.say(5, {"gen": None})
    floor.outage(10, "ups-a", "ups-b", "ats")
    floor.say(12, {"crac": {"alarms": frozenset({"unit-trip"})}})
    floor.until(120)
    assert floor.raised() == ["mains.mains-lost", "mains.generator-unknown"]


def test_what_a_ups_carries_is_not_explained_by_the_mains() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(20, {"pc-s000": {"online": False}})
    floor.until(120)
    assert "pc-s000.offline" in floor.raised()


@pytest.mark.parametrize(
    "out", [{"source": "bypass"}, {"source": "off"}, {"output.voltage": 0}], ids=["bypass", "off", "no output"]
)
def test_seats_go_dark_with_a_ups_that_carries_no_more(out: dict[str, str]) -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.until(100)
    floor.say(100, {"ups-a": {**OUT["ups"], **out}})
    floor.say(101, {f"pc-s{number:03}": {"online": False} for number in range(6)})
    floor.until(200)
    assert not [id for id in floor.raised() if id.startswith("pc-")]
    assert floor.record("pc-s003.offline").root_cause_resource in (("mains",), ("ups-a",))


def test_what_hangs_on_a_carrying_generator_speaks_for_itself() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(400, {"gen": LOADED, "ats": ON_GENERATOR})
    floor.say(402, {"ups-a": LIT, "ups-b": LIT})
    floor.say(600, {"crac": {"alarms": frozenset({"unit-trip"})}})
    floor.until(700)
    assert floor.raised()[-1] == "crac.unit-trip"
    assert floor.standing() == {"mains.mains-lost", "crac.unit-trip"}


def test_a_child_that_spoke_before_its_parent_is_folded_quietly_and_told_over_when_it_is() -> None:
    floor = Hall(hall()).start()
    floor.say(10, {"crac": {"alarms": frozenset({"unit-trip"})}})
    floor.until(30)
    assert floor.raised() == ["crac.unit-trip"]
    floor.floor.alarms.announced("crac.unit-trip", BASE + 30)
    floor.outage(30)
    floor.until(60)
    assert floor.hidden()["crac.unit-trip"] == "mains.mains-lost"
    assert "crac.unit-trip suppressed" not in floor.told()
    floor.say(100, back(floor))
    floor.say(101, {"crac": {"alarms": frozenset()}})
    floor.until(300)
    assert [line for line in floor.told() if line.startswith("crac")] == [
        "crac.unit-trip raised", "crac.unit-trip cleared",
    ]  # fmt: skip
    assert not floor.hidden()


def back(floor: Hall) -> dict[str, dict[str, Value]]:
    return {id: dict(WELL[floor.kind(id)]) for id in ("ups-a", "ups-b", "gen", "ats")}


def test_after_the_cause_is_over_what_still_stands_speaks_once_it_was_asked_again_and_settled() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(12, {"crac": {"alarms": frozenset({"unit-trip"})}})
    floor.until(100)
    floor.say(100, back(floor))
    floor.until(200)
    told = [change for change in floor.changes if change.verb is Verb.UNSUPPRESSED and not change.alarm.is_cleared]
    assert [(change.alarm.alarm_id, change.at - BASE) for change in told] == [("crac.unit-trip", 132)]
    assert floor.raised() == ["mains.mains-lost", "crac.unit-trip"]


def test_what_is_over_with_its_cause_closes_without_a_word() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.until(100)
    floor.say(100, back(floor))
    floor.until(200)
    assert floor.told() == ["mains.mains-lost raised", "mains.mains-lost cleared"]
    assert floor.record("ups-a.on-battery").state is AlarmState.CLOSED
    floor.until(900)
    assert set(floor.floor.records()) == {"mains.mains-lost"}


def test_a_child_whose_device_was_not_asked_since_does_not_speak() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(12, {"crac": {"alarms": frozenset({"unit-trip"})}})
    floor.until(100)
    crac = floor.view.pop("crac")  # nobody polls it any more
    floor.say(100, back(floor))
    floor.until(400)
    assert floor.hidden() == {"crac.unit-trip": "mains.mains-lost"}
    floor.view["crac"] = crac
    floor.until(500)
    assert floor.raised()[-1] == "crac.unit-trip"


def test_mains_that_flaps_every_forty_seconds_is_told_as_it_comes_and_its_children_never() -> None:
    floor = Hall(hall()).start()
    floor.say(5, {"crac": {"alarms": frozenset()}})
    for second in range(10, 410, 80):
        floor.outage(second)
        floor.say(second + 40, back(floor))
    floor.until(500)
    assert set(floor.raised()) == {"mains.mains-lost"}
    assert floor.verbs("mains.mains-lost").count(Verb.RAISED) == 5
    gaps = [change.at - BASE for change in floor.changes if change.alarm.alarm_id == "mains.mains-lost"
            and change.verb in (Verb.RAISED, Verb.CLEARED)]  # fmt: skip
    assert gaps[:4] == [13, 80, 93, 160]


def test_a_mains_that_comes_for_twenty_seconds_only_is_one_outage() -> None:
    floor = Hall(hall()).start()
    for second in range(10, 410, 40):
        floor.outage(second)
        floor.say(second + 20, back(floor))
    floor.until(500)
    assert floor.told() == ["mains.mains-lost raised", "mains.mains-lost cleared"]


def test_a_critical_alarm_that_nothing_accounts_for_is_never_hidden() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(
        20,
        {"ups-a": {"battery.status": "low"}, "room": {"smoke": True}, "gen": {"alarms": frozenset({"fail-to-start"})}},
    )
    floor.until(60)
    assert {"ups-a.battery-low", "room.smoke", "gen.fail-to-start"} <= floor.standing()


# -- cooling, network ---------------------------------------------------------------------------------------------


def test_a_cooler_trips_a_room_warms_and_its_sensor_dies_in_the_middle() -> None:
    floor = Hall(hall()).start()
    floor.say(10, {"crac": {"alarms": frozenset({"unit-trip"})}})
    floor.say(300, {"room": {"temperature": 28}})
    floor.until(500)
    assert floor.raised() == ["crac.unit-trip", "room.temperature-high"], "a warm room is told of"
    assert floor.hidden() == {}
    floor.say(500, {"room": {"temperature": None}})
    floor.say(700, {"crac": {"alarms": frozenset()}})
    floor.until(900)
    assert floor.raised() == ["crac.unit-trip", "room.temperature-high", "room.sensor-fault"]
    assert "room.temperature-high" in floor.standing(), "nobody knows how warm it is"
    floor.say(900, {"room": {"temperature": 24}})
    floor.until(1300)
    assert "room.temperature-high" not in floor.standing()


def test_a_room_that_warms_while_its_cooler_runs_is_told() -> None:
    floor = Hall(hall()).start()
    floor.say(300, {"room": {"temperature": 28}})
    floor.until(500)
    assert floor.raised() == ["room.temperature-high"]


def test_who_does_not_answer_has_its_parents_asked_at_once() -> None:
    plan = hall().add("card", "ups", linked=["room"])  # some device that connects it
    floor = Hall(plan).start()
    floor.curious.clear()
    floor.say(10, {"card": None})
    assert "room" in floor.curious


def test_a_seat_has_its_ups_asked_when_its_fault_begins() -> None:
    floor = Hall(hall()).start()
    floor.curious.clear()
    floor.say(10, {"pc-s000": {"online": False}})
    assert floor.curious == {"ups-a"}


# -- people, restarts, reloads ------------------------------------------------------------------------------------


def test_a_cause_that_is_shelved_explains_nothing_until_it_is_back() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.until(60)
    floor.ask(60, "shelve", "mains.mains-lost", 600, "Lin", "known")
    floor.until(110)
    assert {"ups-a.on-battery", "ups-b.on-battery"} <= floor.standing()
    floor.ask(120, "unshelve", "mains.mains-lost", "Lin", "back")
    assert floor.hidden()["ups-a.on-battery"] == "mains.mains-lost"


@pytest.mark.parametrize("second", [12, 15, 25, 60, 102, 110, 135, 140])
def test_a_restart_at_any_moment_hides_and_tells_the_same(second: float) -> None:
    def play(floor: Hall, *, restart: bool) -> Hall:
        for at, said in (
            (10.0, {id: dict(OUT[floor.kind(id)]) for id in ("ups-a", "ups-b", "gen", "ats")}),
            (14.0, {"crac": {"alarms": frozenset({"unit-trip"})}}),
            (100.0, back(floor)),
        ):
            if restart and second < at and floor.now < BASE + second:
                floor.until(second)
                floor.restart(second)
            floor.say(at, said)
        if restart and floor.now < BASE + second:
            floor.until(second)
            floor.restart(second)
        floor.until(400)
        return floor

    other, same = play(Hall(hall()).start(), restart=True), play(Hall(hall()).start(), restart=False)
    assert other.raised() == same.raised()
    assert other.hidden() == same.hidden() == {}
    assert {id: record.state for id, record in other.floor.records().items()} == {
        id: record.state for id, record in same.floor.records().items()
    }


def test_a_reload_keeps_what_is_explained_and_what_the_supply_is() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.until(60)
    hidden = floor.hidden()
    floor.take(floor.floor.replace(hall(8).site(), floor.now))
    floor.until(100)
    assert floor.hidden() == hidden
    assert floor.supply() == "lost"
    assert floor.raised() == ["mains.mains-lost"]


def test_a_reload_that_unties_a_device_lets_it_speak() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(12, {"crac": {"alarms": frozenset({"unit-trip"})}})
    floor.until(60)
    plan = hall()
    plan.nodes["crac"] = replace(plan.nodes["crac"], parents={})
    floor.take(floor.floor.replace(plan.site(), floor.now))
    floor.until(120)
    assert floor.raised() == ["mains.mains-lost", "crac.unit-trip"]


def test_a_step_of_the_clock_moves_an_outage_along() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.until(60)
    floor.floor.shift(1000)
    floor.now += 1000
    floor.until(1605)
    assert "mains.generator-late" not in floor.standing()
    floor.until(1615)
    assert "mains.generator-late" in floor.standing()


def test_derived_readings_that_changed_are_given_once() -> None:
    floor = Hall(hall()).start()
    floor.floor.moved()
    floor.outage(10)
    assert ("mains", "state") in floor.floor.moved()
    assert floor.floor.moved() == []
