"""The alarm inventory: which alarms can exist for a device, once for each place the site names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from edgeagent.alarm import Measured, Rule, texts
from edgeagent.catalog import Driver, Text
from edgeagent.config import Device
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.inventory import AGENT, driver_rules, rules_of
from edgeagent.items import Item
from edgeagent.readings import Reading, Value
from edgeagent.resources import drivers, examples
from edgeagent.sitefiles import load as load_site
from edgeagent.sitetree import SiteTree
from tests.hall import hall
from tests.seatrow import rows

DRIVERS = load([drivers()]).drivers
CONTACTS = DRIVERS["environment/moxa-iologik-e1212"]


def rules(driver: Driver, *without: str) -> dict[str, Rule]:
    url = {"snmp": "snmp://h", "modbus": "modbus://h?unit=1", "host": "host://"}[driver.protocol]
    types = {id: type for id, type in driver.kind.alarms.items() if id not in without}
    device = Device("d", Text("D", "D"), driver, parse(url), None, 2.0, 1.0, 2.0, types)
    return {rule.id: rule for rule in driver_rules(device.id, device.name, device.driver, device.alarms)}


def wired(*points: str) -> Driver:
    return CONTACTS.wired({("contact", number): (point, False) for number, point in enumerate(points, 1)})


def view(**values: Value) -> Mapping[str, Reading]:
    return {id.replace("__", "."): Reading(value, 0.0) for id, value in values.items()}


OWN = {"d.unreachable", "d.profile-mismatch"}


@pytest.mark.parametrize(
    ("driver", "ids"),
    [
        pytest.param(wired("smoke"), {"d.smoke"}, id="a point of the vocabulary"),
        pytest.param(wired("door.front"), {"d.door.front"}, id="a named one"),
        pytest.param(
            wired("door.front", "door.back", "door"), {"d.door", "d.door.front", "d.door.back"}, id="all three"
        ),
        pytest.param(wired("smoke.hall", "water.hall"), {"d.smoke.hall", "d.water.hall"}, id="two things in one place"),
        pytest.param(wired("mains-present"), {"d.mains-lost"}, id="an alarm of another name"),
        pytest.param(
            DRIVERS["environment/xy-md02"],
            {"d.temperature-high", "d.humidity-abnormal", "d.sensor-fault"},
            id="numbers",
        ),
    ],
)
def test_a_device_has_the_alarms_that_its_points_can_decide(driver: Driver, ids: set[str]) -> None:
    assert rules(driver).keys() == ids | OWN


def test_the_rule_of_an_instance_looks_at_that_instance_alone() -> None:
    found = rules(wired("door.front", "door.back"))
    (level,) = found["d.door.front"].type.levels
    assert found["d.door.front"].points == {"door.front"}
    assert level.when.holds(view(door__front=True, door__back=False)) is True
    assert level.when.holds(view(door__front=False, door__back=True)) is False


def test_a_rule_of_several_points_is_renamed_where_the_instance_has_them() -> None:
    items = (Item("temperature.hall", "number", ("i1",)), Item("humidity", "number", ("i2",)))
    found = rules(replace(CONTACTS, items=items))
    assert found["d.sensor-fault"].points == {"temperature", "humidity"}
    assert found["d.sensor-fault.hall"].points == {"temperature.hall", "humidity"}
    assert "d.humidity-abnormal.hall" not in found


def test_phases_are_not_instances() -> None:
    found = rules(DRIVERS["ups/rfc1628"])
    assert not [id for id in found if id.endswith(("l1", "l2", "l3"))]
    assert {"d.phase-loss", "d.load-high", "d.vendor-alarm"} <= found.keys()


def test_what_the_site_left_out_is_not_there() -> None:
    assert "d.fan-fault" in rules(DRIVERS["ups/rfc1628"])
    assert "d.fan-fault" not in rules(DRIVERS["ups/rfc1628"], "fan-fault")


def test_a_device_without_an_alarm_set_has_no_alarms_of_its_vendor() -> None:
    assert "d.vendor-alarm" in rules(DRIVERS["ups/apc-powernet"])
    assert "d.vendor-alarm" not in rules(DRIVERS["environment/xy-md02"])


def test_rules_carry_what_their_texts_need() -> None:
    rule = rules(DRIVERS["ups/rfc1628"])["d.load-high"]
    assert rule.units["output.load"] == "%"
    assert rule.name == Text("D", "D")
    assert {"battery-low", "testing"} <= rule.known


def test_the_site_has_the_rules_of_all_its_devices_and_of_the_agent() -> None:
    site = load_site(examples(), drivers())
    ids = [rule.id for rule in rules_of(site)]
    assert len(ids) == len(set(ids))
    assert {id.partition(".")[0] for id in ids} == {*site.devices, "mains", AGENT}
    assert {"ups-a.on-battery", "contacts.smoke", "contacts.door.front", "agent.clock-unsynced"} <= set(ids)
    load_high = next(rule for rule in rules_of(site) if rule.id == "ups-b.load-high")
    assert [level.limit for level in load_high.type.levels] == [70, 95]


def test_the_mains_has_rules_where_the_site_tells_of_it_and_is_never_unreachable() -> None:
    site = load_site(examples(), drivers())
    found = {rule.id: rule for rule in rules_of(site) if rule.resource == "mains"}
    assert {"mains.mains-lost", "mains.circuit-lost", "mains.supply-lost", "mains.generator-late"} <= found.keys()
    assert "mains.unreachable" not in found
    assert found["mains.mains-lost"].name == site.tree.name("mains")
    nodes = {id: node for id, node in site.tree.nodes.items() if node.kind != "mains"}
    assert not [rule for rule in rules_of(replace(site, tree=SiteTree(nodes))) if rule.resource == "mains"]


def test_who_sees_the_mains_lost_is_told_by_name() -> None:
    site = load_site(examples(), drivers())
    rule = next(rule for rule in rules_of(site) if rule.id == "mains.mains-lost")
    text, short, _ = texts(rule, Measured("witnesses", frozenset({"ups-a", "genset"})))
    assert text.en == "Mains lost, seen by Diesel generator, UPS A"
    assert "A 路 UPS" in short.zh
    assert "柴油发电机" in short.zh


def test_a_watched_seat_speaks_for_its_witnesses_and_for_an_agent_that_is_silent() -> None:
    site = rows(2, phone=True, headset=True)
    ids = {rule.id for rule in rules_of(site) if rule.resource.startswith("s000")}
    own = {"workstation-down", "phone-down", "agent-down", "cloned", "witness-unread", "seat-eats-headsets"}
    assert {id for id in ids if id.startswith("s000.")} == {f"s000.{type}" for type in own}
    parts = {id for id in ids if not id.startswith("s000.")}
    assert not {id for id in parts if id.startswith(("s000-ping.", "s000-port.")) and "mismatch" not in id}
    assert not {id for id in parts if id.endswith((".unreachable", ".unregistered", ".unpowered"))}
    assert {"s000-pc.softphone-down", "s000-pc.cpu-high", "s000-headset.headset-missing"} <= parts


@pytest.mark.parametrize(
    ("headset", "tells"), [(True, {"s000-headset"}), (False, {"s000-pc"})], ids=["a headset", "none"]
)
def test_sound_that_is_missing_at_a_seat_is_told_by_one_of_its_parts(headset: bool, tells: set[str]) -> None:
    rules = rules_of(rows(2, headset=headset))
    found = {rule.resource for rule in rules if rule.type.id == "audio-missing"}
    assert {resource for resource in found if resource.startswith("s000")} == tells


def test_a_seat_that_is_not_watched_leaves_it_to_its_parts() -> None:
    site = hall().site()
    ids = {rule.id for rule in rules_of(site)}
    assert "pc-s000.unreachable" in ids
    assert not {id for id in ids if id.startswith("s000.")}


def test_a_port_or_an_echo_beside_the_seats_speaks_for_itself() -> None:
    plan = hall().add("uplink", "port").add("gateway", "presence")
    ids = {rule.id for rule in rules_of(plan.site())}
    assert {"uplink.link-down", "uplink.unreachable", "gateway.no-answer"} <= ids


def test_a_seat_has_the_alarms_of_what_it_has() -> None:
    site = rows(1)
    devices = {id: device for id, device in site.devices.items() if id.endswith("-port") or id.startswith("ups")}
    ids = {rule.id for rule in rules_of(replace(site, devices=devices)) if rule.resource == "s000"}
    assert ids == {"s000.workstation-down", "s000.witness-unread"}
