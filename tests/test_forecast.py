"""The forecast of a site: an outage from its first second to the generator, what is told when, what is remembered."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.catalog import Relation, Text
from edgeagent.forecast import Forecast, Forecasts
from edgeagent.outlast import Outage, Outlast, Why
from edgeagent.readings import Reading, Value
from edgeagent.ridethrough import Gap, Source
from edgeagent.sitetree import AREA, MAINS, SEAT, Node, SiteTree
from edgeagent.verdict import Readiness

BASE = 1_750_000_000.0
KINDS = {"ups-a": "ups", "ups-b": "ups", "genset": "generator", "ats": "ats", "climate": "environment", "crac": "hvac"}
LIMITS = {"climate": 27.0, "crac": 30.0}
UPS: dict[str, Value] = {
    "reachable": True, "source": "normal", "battery.status": "normal", "battery.charge": 100, "battery.runtime": 1500,
    "output.load": 40, "alarms": frozenset(),
}  # fmt: skip


def node(id: str, kind: str, *feeds: str, area: str = "hall", zh: str = "") -> Node:
    parents = {Relation.PLACE: (area,)} | ({Relation.POWER: feeds} if feeds else {})
    return Node(id, Text(id, zh or id), kind, parents)


def site(*more: Node) -> SiteTree:
    nodes = [
        Node("hall", Text("Hall", "大厅"), AREA),
        node("grid", MAINS),
        node("genset", "generator"),
        node("ats", "ats", "grid", "genset"),
        node("ups-a", "ups", "ats", zh="A 路 UPS"),
        node("ups-b", "ups", "ats"),
        node("climate", "environment"),
        node("crac", "hvac"),
        *(node(f"a{number:03}", SEAT, "ups-a") for number in range(1, 21)),
        *(node(f"b{number:03}", SEAT, "ups-b") for number in range(1, 11)),
        *more,
    ]
    return SiteTree({each.id: each for each in nodes})


class Site:
    """A whole site under its forecasts, played second by second."""

    def __init__(self, memory: dict[str, object] | None = None) -> None:
        self.forecasts = Forecasts(site(), KINDS, LIMITS)
        self.forecasts.restore(memory)
        self.view: dict[str, dict[str, Reading]] = {}
        self.told: list[float] = []
        self.say(0, "grid", state="normal", generator="idle", circuits=frozenset())
        self.say(0, "ups-a", **UPS)
        self.say(0, "ups-b", **UPS | {"battery.runtime": 3000})
        self.say(0, "genset", reachable=True, mode="auto", state="stopped", running=False, fuel=80, alarms=frozenset())
        self.say(0, "ats", reachable=True, mode="auto", position="mains", alarms=frozenset())

    def say(self, second: float, device: str, reason: str = "timeout", /, **values: Value | None) -> bool:
        now = BASE + second
        points = {word.replace("_", "."): value for word, value in values.items()}
        for point, value in points.items():
            reading = Reading.bad(reason, now) if value is None else Reading(value, now)
            self.view.setdefault(device, {})[point] = reading
        told = self.forecasts.step(self.view, [(device, point) for point in points], now)
        self.told += [second] if told else []
        return told

    def tick(self, start: float, end: float) -> None:
        second = start
        while second <= end:
            if self.forecasts.step(self.view, (), BASE + second):
                self.told.append(second)
            second += 1

    def lose(self, second: float) -> None:
        self.say(second, "grid", state="lost", generator="ordered")
        self.say(second, "ups-a", source="battery", battery_runtime=1500 - 1)
        self.say(second, "ups-b", source="battery")

    def at(self, second: float) -> Forecast:
        return self.forecasts.at(BASE + second)

    def outage(self, second: float) -> Outage:
        outage = self.at(second).outage
        assert outage is not None
        return outage

    def readiness(self, second: float) -> Readiness:
        self.forecasts.step(self.view, (), BASE + second)
        standing = self.at(second).standing
        assert standing is not None
        return standing.level


def test_a_site_that_is_well_would_stand_an_outage() -> None:
    assert Site().readiness(10) is Readiness.READY


def test_an_outage_from_the_loss_to_the_generator() -> None:
    scene = Site()
    scene.lose(100)
    begin = scene.outage(100)
    assert (begin.since, begin.opens, begin.closes) == (BASE + 100, BASE + 520, BASE + 700)
    assert (begin.outlast, begin.why, begin.ups) == (Outlast.YES, Why.RESERVE, "ups-a")
    assert begin.margin == pytest.approx(1499 - 600)
    found = scene.at(100)
    assert [ride.ups for ride in found.rides] == ["ups-a", "ups-b"]
    assert [dark.seats for dark in found.dark] == [("a001..a020",), ("b001..b010",)]
    assert found.standing is None
    scene.say(590, "grid", generator="carrying")
    assert scene.outage(591).why is Why.NOT_TAKEN
    scene.say(592, "ups-a", source="normal")
    scene.say(593, "ups-b", source="normal")
    assert (scene.outage(593).outlast, scene.outage(593).why) == (Outlast.YES, Why.CARRYING)
    assert scene.at(593).dark == ()
    assert (scene.at(593).starts.count, scene.at(593).starts.median) == (1, 490)
    scene.say(2000, "grid", state="normal", generator="idle")
    assert scene.at(2000).outage is None
    assert scene.at(2000).standing is not None


def test_the_onset_that_the_alarm_gives_wins() -> None:
    scene = Site()
    scene.lose(100)
    scene.forecasts.step(scene.view, [("grid", "state")], BASE + 101, since=BASE + 95)
    assert scene.outage(101).since == BASE + 95
    scene.forecasts.step(scene.view, (), BASE + 110)
    assert scene.outage(110).since == BASE + 95


def test_without_a_node_for_the_mains_the_alarm_alone_tells() -> None:
    forecasts = Forecasts(SiteTree({}), KINDS, LIMITS)
    view = {"ups-a": {"source": Reading("battery", BASE), "battery.runtime": Reading(900, BASE)}}
    forecasts.step(view, [("ups-a", "source")], BASE, since=BASE)
    assert forecasts.at(BASE).outage is not None
    forecasts.step(view, (), BASE + 60, since=None)
    assert forecasts.at(BASE + 60).outage is None


def test_the_weakest_ups_that_feeds_seats_counts_and_no_other() -> None:
    tree = SiteTree({
        id: node
        for id, node in site().nodes.items()
        if not id.startswith("a0")  # nothing hangs on ups-a now
    })  # fmt: skip
    scene = Site()
    scene.forecasts.replace(tree, KINDS, LIMITS)
    scene.lose(100)
    assert scene.outage(100).ups == "ups-b"


def test_a_ups_that_nobody_could_read_before_the_outage_makes_the_answer_unknown() -> None:
    scene = Site()
    scene.say(10, "ups-b", source=None, battery_charge=None, battery_runtime=None, alarms=None, reachable=False)
    scene.say(10, "ups-b", battery_status=None, output_load=None)
    scene.say(200, "grid", state="lost", generator="ordered")
    scene.say(200, "ups-a", source="battery")
    found = scene.at(200)
    assert [(ride.ups, ride.gap) for ride in found.rides] == [("ups-a", None), ("ups-b", Gap.UNREADABLE)]
    assert (scene.outage(200).outlast, scene.outage(200).ups) == (Outlast.UNKNOWN, "ups-b")


def test_a_ups_that_dies_with_its_switch_in_the_outage_is_counted_on_for_a_minute() -> None:
    scene = Site()
    scene.lose(100)
    gone = dict.fromkeys(("source", "battery_charge", "battery_runtime", "battery_status", "output_load", "alarms"))
    scene.say(110, "ups-a", **gone)
    scene.tick(111, 160)
    assert scene.outage(160).outlast is Outlast.YES
    scene.tick(161, 180)
    assert scene.outage(180).outlast is Outlast.UNKNOWN


def test_only_our_circuit_lost_is_no_matter_for_the_generator() -> None:
    scene = Site()
    scene.say(100, "grid", state="circuit-lost", circuits=frozenset({"ups-a"}))
    scene.say(100, "ups-a", source="battery", battery_runtime=900)
    outage = scene.outage(100)
    assert (outage.state, outage.outlast, outage.why) == ("circuit-lost", Outlast.UNKNOWN, Why.NO_WINDOW)
    assert [dark.seats for dark in scene.at(100).dark] == [("a001..a020",)]


def test_a_battery_that_gives_out_without_any_outage_is_told_all_the_same() -> None:
    scene = Site()
    scene.say(100, "ups-a", source="battery", battery_runtime=900)
    found = scene.at(100)
    assert found.outage is None
    assert [ride.ups for ride in found.rides] == ["ups-a"]
    assert [dark.seats for dark in found.dark] == [("a001..a020",)]
    assert found.standing is not None
    assert found.standing.level is Readiness.NOT_READY


def test_a_battery_test_is_no_outage() -> None:
    scene = Site()
    scene.say(100, "ups-a", source="test", alarms=frozenset({"testing"}))
    assert scene.at(100).rides == ()


def test_the_generator_that_failed_gives_no_yes() -> None:
    scene = Site()
    scene.lose(100)
    scene.say(160, "grid", generator="failed-to-start")
    assert (scene.outage(160).outlast, scene.outage(160).why) == (Outlast.UNCLEAR, Why.GENERATOR_FAILED)


def test_a_site_without_a_generator_has_no_window_to_outlast() -> None:
    scene = Site()
    scene.lose(100)
    scene.say(101, "grid", "not-fitted", generator=None)
    assert (scene.outage(101).outlast, scene.outage(101).why) == (Outlast.UNKNOWN, Why.NO_WINDOW)


def test_an_outage_does_not_end_because_its_witnesses_fall_silent() -> None:
    scene = Site()
    scene.lose(100)
    scene.say(200, "grid", "no-witness", state=None)
    assert (scene.outage(200).since, scene.outage(200).state) == (BASE + 100, "unknown")


def test_a_discharge_is_followed_through_the_site() -> None:
    """The device says 25 minutes and drains in 10."""
    scene = Site()
    scene.lose(100)
    for second in range(100, 401, 2):
        scene.say(second, "ups-a", battery_charge=round(100 - (second - 100) / 6))
    outage, ride = scene.outage(400), scene.at(400).rides[0]
    assert Source.DISCHARGE in ride.sources
    assert ride.low is not None
    assert ride.low <= 240
    assert outage.outlast in (Outlast.NO, Outlast.UNCLEAR)
    assert outage.margin is not None
    assert outage.margin < 0


# -- what is told when ----------------------------------------------------------------------------------------


def test_a_site_at_rest_tells_nothing() -> None:
    scene = Site()
    scene.tick(1, 20)
    scene.told.clear()
    scene.tick(21, 3600)
    assert scene.told == []


def test_a_small_wobble_of_load_and_runtime_tells_nothing() -> None:
    scene = Site()
    scene.tick(1, 20)
    scene.told.clear()
    for second in range(21, 600, 2):
        scene.say(second, "ups-a", output_load=40 + second % 3, battery_runtime=1500 + second % 7)
    assert scene.told == []


def test_a_loss_is_told_at_once_and_a_countdown_only_every_half_minute() -> None:
    scene = Site()
    scene.tick(1, 20)
    assert scene.say(100, "grid", state="lost", generator="ordered")
    assert scene.say(101, "ups-a", source="battery")
    assert not scene.say(101, "ups-b", source="battery")  # within the second: told with the next look
    assert scene.say(102, "ups-b", battery_charge=100)
    scene.told.clear()
    for second in range(103, 403):
        scene.say(second, "ups-a", battery_runtime=1500 - (second - 101))
    assert scene.told == list(range(132, 403, 30))
    assert scene.say(403, "ups-a", battery_status="low")


def test_a_step_without_a_word_for_it_looks_at_nothing() -> None:
    scene = Site()
    scene.tick(1, 20)

    class Closed(dict[str, dict[str, Reading]]):
        def get(self, *_: object) -> None:  # type: ignore[override]
            raise AssertionError("looked")

    changed = [("climate", "humidity"), ("ups-a", "input.frequency"), ("pc-1", "cpu"), ("nobody", "source")]
    assert not scene.forecasts.step(Closed(), changed, BASE + 20.5)


def test_a_lost_point_of_the_generator_is_told_within_the_round() -> None:
    scene = Site()
    scene.tick(1, 20)
    scene.told.clear()
    scene.say(21, "genset", mode="manual")
    scene.tick(22, 31)
    assert len(scene.told) == 1
    assert scene.readiness(32) is Readiness.NOT_READY


# -- rooms ----------------------------------------------------------------------------------------------------


def test_a_room_that_warms_is_told_with_its_minutes_until_the_sensor_dies() -> None:
    scene = Site()
    for second in range(0, 601, 10):
        scene.say(second, "climate", temperature=round(23 + second / 300, 1))
    heat = scene.at(600).heat[0]
    assert (heat.area, heat.sensor, heat.limit) == ("hall", "climate", 27.0)
    assert heat.low is not None
    assert heat.high is not None
    assert heat.low <= 600 <= heat.high
    scene.say(610, "climate", temperature=None)
    scene.told.clear()
    scene.tick(611, 700)
    assert len(scene.told) == 1
    assert (scene.at(700).heat[0].low, scene.at(700).heat[0].gap) == (None, "stale")


def test_an_instance_of_a_temperature_is_a_sensor_of_its_own_and_return_air_stands_in() -> None:
    scene = Site()
    scene.say(0, "climate", temperature_rear=28.5)
    assert (scene.at(0).heat[0].point, scene.at(0).heat[0].low) == ("temperature.rear", 0)
    scene.say(1, "crac", return_temperature=31.0, running=True)
    assert scene.at(1).heat[0].sensor == "climate"
    scene.say(2, "climate", "sensor-fault", temperature_rear=None)
    assert (scene.at(2).heat[0].sensor, scene.at(2).heat[0].limit) == ("crac", 30.0)
    scene.say(3, "crac", running=False)
    assert scene.at(3).heat[0].now is None


# -- memory ---------------------------------------------------------------------------------------------------


def test_what_was_learnt_is_given_once_and_survives_a_restart() -> None:
    scene = Site()
    assert scene.forecasts.memory() is None
    scene.lose(100)
    for second in range(100, 500, 5):
        scene.say(second, "ups-a", battery_charge=round(100 - (second - 100) / 20))
    scene.tick(500, 589)
    scene.say(590, "genset", running=True)
    scene.say(590, "grid", generator="carrying")
    scene.say(600, "ups-a", source="normal")
    scene.tick(601, 620)
    memory = scene.forecasts.memory()
    assert memory is not None
    assert scene.forecasts.memory() is None
    assert memory["starts"] == [490]
    assert memory["discharges"]["ups-a"]["per_minute"] == pytest.approx(2.4, abs=0.4)
    assert memory["runs"] == {"genset": BASE + 590}
    after = Site(json.loads(json.dumps(memory)))
    assert (after.at(0).starts.count, after.at(0).starts.slowest) == (1, 490)
    assert after.at(0).standing is not None
    proved = [part and part.proved for part in (after.forecasts._parts.get(id) for id in ("genset", "ups-a"))]
    assert proved == [BASE + 590, BASE + 600]


def test_one_outage_counts_once_and_a_generator_first_seen_carrying_not_at_all() -> None:
    scene = Site()
    scene.lose(100)
    for second in (500, 520, 540):
        scene.say(second, "grid", generator="carrying")
        scene.say(second + 5, "grid", generator="running")
    assert scene.at(600).starts.count == 1
    restarted = Site(scene.forecasts.memory())
    restarted.view["grid"] = {}
    restarted.forecasts._generator = ""
    restarted.say(700, "grid", state="lost", generator="carrying")
    assert restarted.at(700).starts.count == 1


def test_only_the_last_twenty_starts_are_kept() -> None:
    scene = Site()
    for outage in range(25):
        begin = 1000 * (outage + 1)
        scene.say(begin, "grid", state="lost", generator="ordered")
        scene.say(begin + 400 + outage, "grid", generator="carrying")
        scene.say(begin + 900, "grid", state="normal", generator="idle")
    memory = scene.forecasts.memory()
    assert memory is not None
    assert memory["starts"] == [float(400 + outage) for outage in range(5, 25)]


def test_a_new_configuration_keeps_what_remains() -> None:
    scene = Site()
    scene.lose(100)
    for second in range(100, 401, 2):
        scene.say(second, "ups-a", battery_charge=round(100 - (second - 100) / 6))
    before = scene.at(400).rides[0]
    kinds = {id: kind for id, kind in KINDS.items() if id != "ups-b"}
    nodes = site(node("x1", SEAT, "ups-a")).nodes.items()
    tree = SiteTree({id: node for id, node in nodes if not id.startswith(("b0", "ups-b"))})
    scene.forecasts.replace(tree, kinds, LIMITS)
    after = scene.at(400)
    assert after.rides == (before,)
    assert after.dark[0].seats == ("a001..a020", "x1")


def test_a_stepped_clock_changes_no_countdown() -> None:
    scene = Site()
    scene.lose(100)
    before = scene.outage(160)
    scene.forecasts.shift(-3600)
    after = scene.outage(160 - 3600)
    assert after.since == before.since - 3600
    assert after.margin == pytest.approx(before.margin)


def test_what_comes_from_a_drill_carries_its_mark() -> None:
    scene = Site()
    assert scene.at(0).origin is None
    scene.view["ups-a"]["source"] = Reading("battery", BASE + 5, origin="drill-7")
    scene.forecasts.step(scene.view, [("ups-a", "source")], BASE + 5)
    assert scene.at(5).origin == "drill-7"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ups-a", "ups-b"]), st.sampled_from(["normal", "battery", "off", "other", None]),
            st.sampled_from([0.5, 20.0, 400.0]),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_what_is_on_battery_is_counted_as_looking_at_all_finds_it(
    turns: list[tuple[str, str | None, float]],
) -> None:
    scene, second = Site(), 0.0
    for ups, source, later in turns:
        second += later
        scene.say(second, ups, source=source)
        batteries = scene.forecasts._batteries
        assert scene.forecasts._on == {id for id, battery in batteries.items() if battery.on}
        assert scene.forecasts._off == {id for id, battery in batteries.items() if battery.off}
