"""The supply weighed: mains or circuit, since when, what the generator does, and who is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import supply
from edgeagent.readings import Reading, Value
from edgeagent.sitetree import MAINS
from edgeagent.supply import Supply
from edgeagent.witnesses import goes_on, listen
from tests.hall import BASE, DARK, LIT, LOADED, ON_GENERATOR, OUT, RUNS, WELL, Hall, Plan, hall


def witnesses(*kinds: str) -> Hall:
    """Set devices on circuits of their own behind one panel: ups-1, generator-2 …, all well."""
    plan = Plan().add("mains", MAINS).add("panel", "panel", fed=["mains"])
    for number, kind in enumerate(kinds, 1):
        plan.add(f"circuit-{number}", "circuit", fed=["panel"])
        plan.add(f"{kind}-{number}", kind, fed=[] if kind == "generator" else [f"circuit-{number}"])
    floor = Hall(plan).start()
    for id in floor.site.devices:
        if id.startswith("environment"):
            floor.say(0, {id: {"mains-present": True}})
    return floor


def turn(floor: Hall, second: float, dark: str, *, lit: bool = False) -> None:
    """Let devices, named by their numbers, say that the mains is gone, or is there."""
    said: dict[str, Mapping[str, Value | None] | None] = {}
    for id in floor.site.devices:
        if id[-1] in dark:
            well = {"mains-present": True} if floor.kind(id) == "environment" else WELL[floor.kind(id)]
            out = {"mains-present": False} if floor.kind(id) == "environment" else OUT[floor.kind(id)]
            said[id] = well if lit else out
    floor.say(second, said)


@pytest.mark.parametrize(
    ("kinds", "dark", "state", "told"),
    [
        pytest.param("ups ups", "12", "lost", "mains-lost", id="two UPSes"),
        pytest.param("ups", "1", "unclear", "supply-lost", id="one UPS on the whole site"),
        pytest.param("ups generator", "12", "lost", "mains-lost", id="UPS and generator"),
        pytest.param("ups generator", "1", "circuit-lost", "circuit-lost", id="UPS against the generator"),
        pytest.param("ups ups", "1", "circuit-lost", "circuit-lost", id="a lit UPS proves the mains"),
        pytest.param("generator", "1", "lost", "mains-lost", id="one direct witness"),
        pytest.param("environment", "1", "lost", "mains-lost", id="a relay"),
        pytest.param("ats ups", "12", "lost", "mains-lost", id="switch and UPS"),
        pytest.param("environment ups ups", "1", "normal", "witnesses-disagree", id="a relay that lost its coil"),
        pytest.param("environment ups ups", "12", "unclear", "supply-lost", id="relay and one UPS against another"),
        pytest.param("generator ats environment ups", "1234", "lost", "mains-lost", id="all"),
        pytest.param("generator ats environment ups", "134", "lost", "mains-lost", id="most direct ones"),
        pytest.param("generator ats environment ups", "34", "circuit-lost", "circuit-lost", id="fewer direct ones"),
        pytest.param("generator ats ups", "23", "lost", "mains-lost", id="divided, and the UPS decides"),
        pytest.param("generator ats", "1", "unclear", "supply-lost", id="divided"),
    ],
)
def test_mains_or_circuit_is_what_the_witnesses_say_together(kinds: str, dark: str, state: str, told: str) -> None:
    floor = witnesses(*kinds.split())
    turn(floor, 10, dark)
    floor.until(60)
    assert floor.supply() == state
    assert f"mains.{told}" in floor.standing()


def test_who_disagrees_is_named() -> None:
    floor = witnesses("generator", "ats", "environment", "ups")
    turn(floor, 10, "134")
    floor.until(60)
    assert floor.supply("witnesses") == frozenset({"generator-1", "environment-3", "ups-4"})
    assert floor.supply("dissent") == frozenset({"ats-2"})
    assert floor.record("mains.witnesses-disagree").alarm_text.en == "Others see the supply lost, but not ats-2"


@pytest.mark.parametrize(
    ("dark", "circuits"),
    [
        pytest.param(["ups-a"], {"circuit-a"}, id="its own"),
        pytest.param(["ups-a", "ups-b"], {"panel"}, id="what both share"),
        pytest.param(["ups-b"], {"circuit-b"}, id="the other"),
    ],
)
def test_a_circuit_is_named_that_is_above_all_dark_ones_and_above_no_lit_one(
    dark: list[str], circuits: set[str]
) -> None:
    floor = Hall(hall()).start()
    floor.outage(10, *dark)
    floor.until(60)
    assert floor.supply() == "circuit-lost"
    assert floor.supply("circuits") == frozenset(circuits)
    assert floor.raised() == ["mains.circuit-lost"]
    (name,) = circuits
    assert floor.record("mains.circuit-lost").alarm_text.zh == f"呼叫中心线路故障断电（市电正常）：“{name}”"


def test_a_ups_that_shares_its_circuit_with_a_lit_one_is_named_itself() -> None:
    plan = Plan().add("mains", MAINS).add("panel", "panel", fed=["mains"])
    floor = Hall(plan.add("ups-1", "ups", fed=["panel"]).add("ups-2", "ups", fed=["panel"])).start()
    floor.outage(10, "ups-1")
    assert floor.supply("circuits") == frozenset({"ups-1"})


@pytest.mark.parametrize(
    ("said", "power"),
    [
        ({"source": "battery"}, False),
        ({"source": "normal"}, True),
        ({"source": "eco"}, True),
        ({"source": "bypass"}, True),
        ({"source": "battery", "alarms": frozenset({"testing"}), "input.voltage": 230}, None),
        ({"source": "battery", "alarms": frozenset({"testing"})}, None),
        ({"source": "battery", "alarms": frozenset({"testing"}), "input.voltage": 4}, False),
        ({"source": "test", "input.voltage": 230}, None),
        ({"source": "test", "input.voltage": 0}, False),
        ({"source": "other", "input.voltage": 0}, False),
        ({"source": "other"}, None),
        ({"source": "off", "input.voltage": 230}, True),
        ({"source": "off", "input.voltage": 0}, None),
        ({"alarms": frozenset({"on-battery"})}, False),
        ({}, None),
    ],
)
def test_a_ups_says_of_its_input_what_it_knows(said: Mapping[str, Value], power: bool | None) -> None:
    found = listen("ups", {point: Reading(value, BASE) for point, value in said.items()})
    assert found is not None
    assert found.input is power


def test_a_self_test_is_no_outage() -> None:
    floor = Hall(hall()).start()
    floor.say(10, {"ups-a": {"source": "battery", "alarms": frozenset({"testing"}), "battery.time": 1}})
    floor.until(60)
    assert floor.supply() == "normal"
    assert floor.raised() == []


def test_nobody_who_can_be_read_is_no_answer() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.until(20)
    floor.say(20, dict.fromkeys(("ups-a", "ups-b", "gen", "ats")))
    assert floor.floor.derived["mains"]["state"].reason == "no-witness"
    floor.until(3000)
    assert "mains.mains-lost" in floor.standing()
    assert "mains.mains-lost cleared" not in floor.told()


# -- since when ---------------------------------------------------------------------------------------------------


def test_the_onset_is_what_a_ups_counts_from() -> None:
    floor = Hall(hall()).start()
    floor.say(12, {"ups-a": {**DARK, "battery.time": 1}})
    floor.outage(14, "ups-b", "gen", "ats")
    floor.until(30)
    assert floor.onset("mains.mains-lost") == 11
    assert floor.onset("ups-a.on-battery") == 11


def test_a_ups_that_shows_the_seconds_of_the_last_outage_is_not_believed() -> None:
    floor = Hall(hall()).start()
    floor.until(100)
    floor.say(100, {"ups-a": {**DARK, "battery.time": 340}})
    floor.outage(102, "ups-b", "gen", "ats")
    floor.until(130)
    assert floor.onset("mains.mains-lost") == 100
    assert floor.onset("ups-a.on-battery") == 100


@pytest.mark.parametrize(
    ("count", "onset"),
    [
        pytest.param([300, 302], -300, id="grown in step"),
        pytest.param([300, 300], 0, id="stands still"),
        pytest.param([300, 900], 0, id="leaps"),
        pytest.param([90_000, 90_002], 0, id="older than a day"),
    ],
)
def test_after_a_start_a_count_must_grow_in_step(count: list[int], onset: float) -> None:
    floor = Hall(hall())
    floor.outage(0, "gen", "ats", "ups-b")
    floor.say(0, {"ups-a": {**DARK, "battery.time": count[0]}})
    floor.say(2, {"ups-a": {**DARK, "battery.time": count[1]}})
    floor.until(30)
    assert floor.onset("mains.mains-lost") == onset


def test_a_circuit_that_was_out_for_long_does_not_date_the_mains() -> None:
    floor = Hall(hall()).start()
    floor.outage(10, "ups-a")
    floor.outage(1000, "ups-b", "gen", "ats")
    floor.until(1030)
    assert floor.onset("mains.mains-lost") == 1000


def test_a_witness_that_changes_its_word_has_the_others_asked_at_once() -> None:
    floor = Hall(hall()).start()
    floor.curious.clear()
    floor.outage(10, "ups-a")
    assert {"ups-b", "gen", "ats"} <= floor.curious


# -- the generator ------------------------------------------------------------------------------------------------


def phases(floor: Hall) -> list[tuple[float, str]]:
    """Note each second on which the generator's phase is another one."""
    found: list[tuple[float, str]] = []
    step = floor.floor.step

    def watched(*words: object) -> object:
        told = step(*words)  # type: ignore[arg-type]
        phase = str(floor.supply("generator"))
        if not found or found[-1][1] != phase:
            found.append((floor.now - BASE, phase))
        return told

    floor.floor.step = watched  # type: ignore[method-assign, assignment]
    return found


def test_a_generator_is_followed_from_the_order_to_its_return() -> None:
    floor = Hall(hall()).start()
    seen = phases(floor)
    floor.outage(10)
    floor.say(12, {"gen": {"state": "cranking", "mains.healthy": False}})
    floor.say(20, {"gen": RUNS})
    floor.say(490, {"gen": LOADED, "ats": ON_GENERATOR})
    floor.say(500, {"ups-a": LIT, "ups-b": LIT})
    floor.until(900)
    floor.say(900, {"gen": {**LOADED, "mains.healthy": True}, "ats": {**ON_GENERATOR, "source.mains": "available"}})
    floor.say(960, {"ats": {"position": "mains"}, "gen": {"on-load": False, "output.power": 0}})
    floor.say(1260, {"gen": WELL["generator"]})
    floor.until(1300)
    assert seen == [
        (2, "idle"), (10, "ordered"), (12, "cranking"), (20, "running"), (80, "failed-to-transfer"), (500, "carrying"),
        (900, "returning"), (1260, "idle"),
    ]  # fmt: skip
    assert "mains.generator-late raised" not in floor.told()


def test_a_lit_ups_says_nothing_about_the_mains_while_the_generator_carries() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(400, {"gen": LOADED, "ats": ON_GENERATOR})
    floor.say(402, {"ups-a": LIT, "ups-b": LIT})
    floor.until(500)
    assert floor.supply() == "lost"
    assert floor.supply("generator") == "carrying"
    assert floor.standing() == {"mains.mains-lost"}


def test_without_direct_witnesses_the_position_of_the_switch_says_that_the_mains_is_back() -> None:
    floor = Hall(hall()).start()
    bare: dict[str, Mapping[str, Value | None] | None] = {
        "gen": {"mains.healthy": None}, "ats": {"source.mains": None},
    }  # fmt: skip
    floor.say(2, bare)
    floor.outage(10, "ups-a", "ups-b")
    assert floor.supply() == "lost"
    floor.say(400, {"gen": {**LOADED, "mains.healthy": None}, "ats": {"position": "generator"}})
    floor.say(402, {"ups-a": LIT, "ups-b": LIT})
    assert floor.supply() == "lost"
    floor.say(900, {"ats": {"position": "mains"}, "gen": {"on-load": False, "output.power": 0}})
    assert floor.supply() == "normal"


@pytest.mark.parametrize(
    ("said", "phase", "told"),
    [
        pytest.param(
            {"alarms": frozenset({"fail-to-start"})}, "failed-to-start", "generator-failed-to-start", id="no start"
        ),
        pytest.param({"mode": "off"}, "idle", "generator-late", id="not in auto"),
        pytest.param(RUNS, "failed-to-transfer", "generator-failed-to-transfer", id="not carrying"),
        pytest.param(
            {**RUNS, "alarms": frozenset({"generator-close-failed"})},
            "failed-to-transfer", "generator-failed-to-transfer", id="told so",
        ),
        pytest.param(None, "unknown", "generator-unknown", id="unreadable"),
    ],
)  # fmt: skip
def test_a_generator_that_does_not_help_is_told(said: Mapping[str, Value] | None, phase: str, told: str) -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(20, {"gen": None if said is None else {"mains.healthy": False, **said}})
    floor.until(700)
    assert floor.supply("generator") == phase
    assert f"mains.{told}" in floor.standing()
    assert "mains.generator-late" in floor.standing()
    assert floor.record("mains.generator-late").raised == BASE + 610


def test_a_load_that_stays_on_the_generator_is_told_after_half_an_hour() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(100, {"gen": LOADED, "ats": ON_GENERATOR, "ups-a": LIT, "ups-b": LIT})
    back = {**LOADED, "mains.healthy": True}
    floor.say(1000, {"gen": back, "ats": {**ON_GENERATOR, "source.mains": "available"}})
    floor.until(2790)
    assert floor.supply("generator") == "returning"
    floor.until(2810)
    assert floor.supply("generator") == "failed-to-return"
    assert "mains.generator-failed-to-return" in floor.standing()


def test_the_best_of_several_sets_counts() -> None:
    plan = hall().add("gen-2", "generator")
    floor = Hall(plan).start()
    floor.outage(10)
    floor.say(20, {"gen": {"alarms": frozenset({"fail-to-start"})}, "gen-2": {"state": "cranking"}})
    assert floor.supply("generator") == "cranking"


def test_a_site_without_a_generator_waits_for_none() -> None:
    floor = witnesses("ups", "ups")
    turn(floor, 10, "12")
    floor.until(1000)
    assert floor.supply("generator") is None
    assert floor.standing() == {"mains.mains-lost"}


def test_a_test_run_with_the_mains_there_is_neither_outage_nor_failed_transfer() -> None:
    floor = Hall(hall()).start()
    floor.say(10, {"gen": {**RUNS, "mains.healthy": True, "mode": "test"}})
    floor.until(600)
    assert floor.supply("generator") == "running"
    assert floor.raised() == []


def test_what_the_supply_is_outlives_a_restart() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.say(20, {"gen": RUNS})
    floor.until(50)
    before = {point: reading.value for point, reading in floor.floor.derived["mains"].items()}
    floor.restart(52)
    assert {point: reading.value for point, reading in floor.floor.derived["mains"].items()} == before
    floor.until(100)
    assert floor.supply("generator") == "failed-to-transfer"
    assert floor.record("mains.generator-failed-to-transfer").raised == BASE + 80
    assert floor.onset("mains.mains-lost") == 10


def test_a_drill_marks_what_is_derived_from_it() -> None:
    floor = Hall(hall()).start()
    floor.origin = "drill-7"
    floor.outage(10)
    floor.until(30)
    assert floor.record("mains.mains-lost").origin == "drill-7"


def test_a_ups_that_returns_later_than_the_mains_has_lost_no_circuit_until_it_stays_away() -> None:
    floor = witnesses("generator", "ups", "ups")
    turn(floor, 10, "123")
    floor.until(20)
    turn(floor, 100, "2", lit=True)
    turn(floor, 101, "1", lit=True)
    assert (floor.supply(), floor.supply("circuits")) == ("normal", frozenset())
    floor.restart(110)
    floor.until(160)
    assert floor.supply() == "normal"
    floor.until(170)
    assert (floor.supply(), floor.supply("circuits")) == ("circuit-lost", frozenset({"circuit-3"}))
    assert "mains.circuit-lost" in floor.raised()


def test_a_circuit_that_goes_after_the_return_is_lost_at_once() -> None:
    floor = witnesses("generator", "ups", "ups")
    turn(floor, 10, "123")
    turn(floor, 60, "123", lit=True)
    turn(floor, 65, "3")
    assert floor.supply() == "circuit-lost"


def test_inputs_lit_one_by_one_by_a_generator_that_cannot_be_read_are_no_mains() -> None:
    floor = witnesses("generator", "ups", "ups")
    turn(floor, 10, "123")
    floor.say(40, {"generator-1": None})
    turn(floor, 50, "2", lit=True)
    assert floor.supply() == "lost"
    turn(floor, 52, "3", lit=True)
    floor.until(200)
    assert floor.supply() is None
    assert "mains.mains-lost" in floor.standing()


WORDS: Mapping[str, st.SearchStrategy[Value | None]] = {
    "source": st.sampled_from(["normal", "battery", "bypass", "off", "test", "other", None]),
    "alarms": st.sampled_from([frozenset(), frozenset({"on-battery"}), frozenset({"testing"}), None]),
    "input.voltage": st.sampled_from([230.0, 231.0, 0.0, None]),
    "output.voltage": st.sampled_from([230.0, 0.0, None]),
    "battery.time": st.sampled_from([0, 5, 60, None]),
    "battery.charge": st.integers(0, 100),
    "running": st.booleans(),
    "on-load": st.booleans(),
    "mains.healthy": st.booleans(),
    "output.power": st.sampled_from([0.0, 4000.0]),
    "mains-present": st.booleans(),
    "temperature": st.integers(10, 40),
}
TURNS = st.lists(
    st.tuples(
        st.floats(0.1, 100.0), st.sampled_from(["ups-1", "ups-2", "ups-3", "generator-4", "environment-5"]),
        st.fixed_dictionaries({}, optional=dict(WORDS)),
    ),
    max_size=25,
)  # fmt: skip


@given(TURNS, st.sampled_from([None, "drill-1"]))
def test_what_need_not_be_heard_and_counted_anew_changes_nothing(
    turns: list[tuple[float, str, dict[str, Value | None]]],
    origin: str | None,
) -> None:
    tree = witnesses("ups", "ups", "ups", "generator", "environment").site.tree
    quick, slow = Supply(tree), Supply(tree)
    view: dict[str, dict[str, Reading]] = {}
    now = BASE
    for later, id, values in turns:
        now += later
        told = {
            point: Reading.bad("timeout", now, origin) if value is None else Reading(value, now, origin=origin)
            for point, value in values.items()
        }
        readings = view.setdefault(id, {})
        changed = [(id, point) for point, reading in told.items() if not reading.same(readings.get(point))]
        readings.update(told)
        found = quick.step(view, changed, view, now)
        with patch.multiple(supply, tells=lambda kind, point: True, goes_on=lambda said, readings, point: False):
            assert slow.step(view, changed, view, now) == found
        assert {id for id, said in quick.said.items() if said.input} == quick._lit
        assert {id for id, said in quick.said.items() if said.input is False} == quick._out
        assert (quick.said, quick.readings) == (slow.said, slow.readings)
        assert quick.remembered()["said"] == {id: astuple(said) for id, said in quick.said.items()}
        for each in quick, slow:
            each.restore(each.remembered())


UPS_SAYS = st.fixed_dictionaries(
    {"source": st.sampled_from(["normal", "normal", "eco", "bypass", "battery", "off"])},
    optional={point: WORDS[point] for point in ("input.voltage", "output.voltage", "alarms")},
)


@given(UPS_SAYS, st.sampled_from(["input.voltage", "output.voltage", "source"]), st.data())
def test_a_ups_that_need_not_be_heard_anew_says_the_same(
    says: dict[str, Value | None], point: str, data: st.DataObject
) -> None:
    readings = {
        id: Reading.bad("timeout", BASE) if value is None else Reading(value, BASE) for id, value in says.items()
    }
    before, value = listen("ups", readings), data.draw(WORDS[point])
    assert before is not None
    readings[point] = Reading.bad("timeout", BASE) if value is None else Reading(value, BASE)
    if goes_on(before, readings, point):
        assert listen("ups", readings) == before


def test_a_ups_whose_voltages_tremble_need_not_be_heard_anew() -> None:
    readings = {id: Reading(value, BASE) for id, value in WELL["ups"].items()}
    before = listen("ups", readings)
    assert before is not None
    for point in ("input.voltage", "output.voltage"):
        readings[point] = Reading(229.0, BASE + 1)
        assert goes_on(before, readings, point)
        readings[point] = Reading(229.0, BASE + 1, origin="drill-1")
        assert not goes_on(before, readings, point)
        readings[point] = Reading(229.0, BASE + 1)


def test_steps_in_which_nothing_changed_can_be_left_out_of_an_outage() -> None:
    floors = Hall(hall()), Hall(hall())
    floors[0].swift = True
    for floor in floors:
        floor.start().until(100)
        floor.say(110, {ups: {**DARK, "battery.time": 2.5} for ups in ("ups-a", "ups-b")})
        floor.outage(110, "gen", "ats")
        floor.say(120, {"gen": RUNS})
        floor.say(490, {"gen": LOADED, "ats": ON_GENERATOR, "ups-a": LIT, "ups-b": LIT})
        floor.until(900)
        floor.say(960, {"ats": {"position": "mains"}, "gen": WELL["generator"]})
        floor.until(1300)
    swift, slow = floors
    assert slow.onset("mains.mains-lost") == pytest.approx(108)
    assert (swift.changes, swift.rows, swift.memory) == (slow.changes, slow.rows, slow.memory)
