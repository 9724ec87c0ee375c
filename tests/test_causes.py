"""What explains what: which losses account for an alarm, and which do not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edgeagent.alarm import Silence
from edgeagent.catalog import Relation
from edgeagent.explaining import Flow
from edgeagent.floor import planned
from edgeagent.sitetree import AREA, MAINS, SEAT, SiteTree
from edgeagent.witnesses import Said
from tests.hall import DARK, LIT, OUT, RUNS, WELL, Hall, Plan, hall

POWER, COOLING, NETWORK, SERVICE, PLACE = Relation
ALARM = "x.dead"


def flow(plan: Plan, said: Mapping[str, Said] | None = None) -> Flow:
    told = {} if said is None else dict(said)
    made = Flow(SiteTree(plan.nodes), told.get)
    made.moved(told)
    return made


def two(relation: Relation, kind: str = "thing") -> Plan:
    """Hang one thing on two others."""
    key = {POWER: "fed", NETWORK: "linked", COOLING: "cooled", SERVICE: "needs"}[relation]
    return Plan().add("a", kind).add("b", kind).add("x", "thing", **{key: ["a", "b"]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("relation", "lost", "gone"),
    [
        (POWER, ["a"], False),
        (POWER, ["a", "b"], True),
        (NETWORK, ["b"], False),
        (NETWORK, ["a", "b"], True),
        (COOLING, ["b"], True),
        (SERVICE, ["a"], True),
    ],
)
def test_power_and_network_are_lost_with_all_that_give_them_cooling_and_service_with_any(
    relation: Relation, lost: list[str], gone: bool
) -> None:
    made = flow(two(relation))
    for id in lost:
        made.blame(id, relation, f"{id}.dead", on=True)
    assert (made.lacks("x", relation) is not None) is gone
    made.blame(lost[0], relation, f"{lost[0]}.dead", on=False)
    assert made.lacks("x", relation) is None


def test_a_loss_is_handed_down_until_something_carries() -> None:
    plan = Plan().add("mains", MAINS).add("ups", "ups", fed=["mains"]).add("pdu", "panel", fed=["ups"])
    plan.add("x", "thing", fed=["pdu"])
    for feeds, gone in ((True, False), (False, True), (None, False)):
        made = flow(plan, {"ups": Said(feeds=feeds)})
        made.blame("mains", POWER, ALARM, on=True)
        assert made.lacks("ups", POWER) == ALARM
        assert (made.lacks("x", POWER) == ALARM) is gone


@pytest.mark.parametrize(
    ("position", "runs", "gone"),
    [
        ("mains", False, True),
        ("mains", True, True),
        ("generator", True, False),
        ("generator", False, True),
        (None, True, False),
        (None, False, True),
        (None, None, True),
    ],
)
def test_a_switch_gives_what_the_side_gives_on_which_it_stands(
    position: str | None, runs: bool | None, gone: bool
) -> None:
    plan = Plan().add("mains", MAINS).add("gen", "generator").add("ats", "ats", fed=["mains", "gen"])
    plan.add("x", "thing", fed=["ats"])
    made = flow(plan, {"gen": Said(feeds=runs), "ats": Said(position=position)})
    made.blame("mains", POWER, ALARM, on=True)
    assert (made.lacks("x", POWER) == ALARM) is gone


def test_a_thing_without_power_gives_nothing_at_all() -> None:
    plan = Plan().add("mains", MAINS).add("switch", "network", fed=["mains"]).add("acd", "service", fed=["mains"])
    plan.add("crac", "hvac", fed=["mains"]).add("hall", AREA, cooled=["crac"])
    plan.add("x", "thing", linked=["switch"], needs=["acd"], cooled=["hall"])
    made = flow(plan)
    made.blame("mains", POWER, ALARM, on=True)
    assert [made.lacks("x", relation) for relation in (NETWORK, SERVICE, COOLING)] == [ALARM] * 3
    assert "mains" in made.all_above("x")


def test_what_a_lit_ups_proves_is_not_lost() -> None:
    plan = Plan().add("mains", MAINS).add("panel", "panel", fed=["mains"]).add("ups", "ups", fed=["panel"])
    plan.add("x", "thing", fed=["panel"])
    made = flow(plan, {"ups": Said(input=True, feeds=True)})
    made.blame("mains", POWER, ALARM, on=True)
    assert made.lacks("x", POWER) is None


def test_where_a_thing_stands_explains_nothing() -> None:
    plan = Plan().add("hall", AREA).add("x", "thing", area="hall")
    made = flow(plan)
    made.blame("hall", PLACE, ALARM, on=True)
    assert all(made.lacks("x", relation) is None for relation in (POWER, NETWORK, COOLING, SERVICE))


def test_the_own_alarms_of_a_device_do_not_explain_each_other() -> None:
    floor = Hall(hall()).start()
    floor.say(10, {"ups-a": {"source": "off", "alarms": frozenset({"input-bad"})}})
    floor.until(60)
    assert {"ups-a.output-off", "ups-a.input-bad"} <= floor.standing()


def test_an_alarm_waits_for_its_parent_only_where_it_has_one() -> None:
    plan = hall().add("desk", SEAT).add("lone", "workstation")
    floor = Hall(plan).start()
    floor.say(10, {"lone": {"nic": False}, "pc-s000": {"nic": False}, "crac": {"alarms": frozenset({"airflow-loss"})}})
    rules = {rule.id: rule for ruled in planned(plan.site()) for rule in ruled.rules()}
    assert rules["ups-a.on-battery"].type.levels[0].on_delay == 10
    assert rules["gen.mains-lost"].type.levels[0].on_delay == 10, "it sees what the mains itself is to tell first"
    assert rules["pc-s000.nic-down"].type.levels[0].on_delay == 10
    assert rules["lone.unreachable"].type.levels[0].on_delay == 0
    assert rules["pc-s000.nic-down"].type is rules["pc-s001.nic-down"].type, "which is what plans are shared by"


def test_a_chain_of_causes_ends_at_the_root() -> None:
    plan = hall().add("gateway", "ups", fed=["ups-a"]).add("pc", "workstation", fed=["gateway"])
    floor = Hall(plan).start()
    floor.say(10, {"gateway": {"source": "off", "output.voltage": 0}})
    floor.say(11, {"pc": {"online": False}})
    floor.until(60)
    assert floor.hidden() == {"pc.offline": "gateway.output-off"}
    floor.outage(60)
    floor.say(62, {"ups-a": {"source": "off", "output.voltage": 0}})
    floor.until(120)
    assert floor.hidden()["pc.offline"] == "gateway.output-off"
    root = floor.record("pc.offline").root_cause_resource
    assert root == floor.record("gateway.output-off").root_cause_resource or root == ("gateway",)
    assert floor.record("ups-a.output-off").alarm_id in floor.standing()


def test_what_a_cause_hits_is_written_now_and_then_and_bounded() -> None:
    floor = Hall(hall(120)).start()
    floor.say(10, {"ups-a": {"source": "off", "output.voltage": 0}})
    for number in range(120):
        floor.say(12 + number / 10, {f"pc-s{number:03}": {"online": False}})
    floor.until(100)
    assert len([change for change in floor.changes if change.verb == "related"]) <= 5
    assert floor.record("ups-a.output-off").impacted_resource == ("hall",)


def test_an_alarm_under_its_cause_says_why_in_both_languages() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.until(60)
    assert floor.record("ups-a.on-battery").suppression.reason == "no power / 无供电"


def test_a_self_test_in_the_middle_of_it_explains_nothing() -> None:
    floor = Hall(hall()).start()
    floor.say(10, {"ups-b": {**OUT["ups"], "alarms": frozenset({"testing"}), "input.voltage": 230}})
    floor.say(12, {"pc-s000": {"online": False}})
    floor.until(90)
    assert floor.raised() == ["pc-s000.offline"]


def test_a_ups_whose_own_circuit_is_lost_explains_itself_and_still_feeds_its_seats() -> None:
    plan = Plan().add("mains", MAINS).add("panel", "panel", fed=["mains"])
    for id in ("ups-a", "ups-b"):
        plan.add(id, "ups", fed=["panel"])
    plan.add("seat", SEAT, fed=["ups-a"]).add("pc", "workstation", seat="seat")
    floor = Hall(plan).start()
    floor.say(10, {"ups-a": DARK})
    floor.until(40)
    assert floor.supply("circuits") == frozenset({"ups-a"})
    assert floor.hidden()["ups-a.on-battery"] == "mains.circuit-lost"
    floor.say(50, {"pc": {"nic": False}})
    floor.until(90)
    assert "pc.nic-down" not in floor.hidden(), "the battery feeds it, so its fault is its own"


def test_a_generator_that_runs_without_load_leaves_what_hangs_on_the_mains_explained() -> None:
    plan = Plan().add("mains", MAINS).add("gen", "generator").add("panel", "panel", fed=["mains", "gen"])
    floor = Hall(plan.add("ups-a", "ups", fed=["panel"]).add("ups-b", "ups", fed=["panel"])).start()
    floor.say(10, {"gen": OUT["generator"], "ups-a": DARK, "ups-b": DARK})
    floor.until(30)
    floor.say(40, {"gen": RUNS})
    floor.until(140)
    assert floor.hidden()["ups-a.on-battery"] == "mains.mains-lost"
    assert "mains.generator-failed-to-transfer" in floor.raised()


def test_a_fault_that_outlasts_its_cause_is_caused_by_nothing_any_more() -> None:
    floor = Hall(hall()).start()
    floor.outage(10)
    floor.until(30)
    assert floor.record("ups-a.on-battery").root_cause_resource == ("mains",)
    floor.say(40, {"gen": WELL["generator"], "ups-b": LIT})
    floor.until(140)
    record = floor.record("ups-a.on-battery")
    assert (record.suppression.kind, record.root_cause_resource) == (Silence.NONE, ())
