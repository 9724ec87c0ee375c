"""The tables of the tree: what hangs on what when they are right, each mistake with its place, each note."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import time
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edgeagent import driverfiles
from edgeagent.catalog import Relation, Severity, Text
from edgeagent.cli import app
from edgeagent.config import Site
from edgeagent.mistakes import Mistakes
from edgeagent.resources import drivers, examples
from edgeagent.seatrange import MOST_SEATS
from edgeagent.sitefiles import load
from edgeagent.sitetree import CauseSettings
from edgeagent.tomlfile import Document
from edgeagent.treefiles import DeviceTies, Planter, TreeTables

LOAD = driverfiles.load
SHIPPED = LOAD([drivers()])
NAME = 'name = { en = "X", zh = "某" }\n'
SITE = f"""\
[site]
id = "hq"
{NAME}
[feed]
broker = "mqtt://127.0.0.1"
"""
DRIVERS = {
    "ups": ("ups/rfc1628", "snmp://192.0.2.1?community=floor"),
    "generator": ("generator/dse-gencomm", "modbus://192.0.2.2?unit=1"),
    "ats": ("ats/socomec-atys", "modbus://192.0.2.3?unit=1"),
    "hvac": ("hvac/liebert-icom", "modbus://192.0.2.4?unit=1"),
    "workstation": ("workstation/host", "host://"),
}


@pytest.fixture(autouse=True)
def _shipped_drivers_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driverfiles, "load", lambda folders: SHIPPED if folders == [drivers()] else LOAD(folders))


def device(id: str, kind: str, *lines: str) -> str:
    driver, url = DRIVERS[kind]
    return entry("devices", id, f'driver = "{driver}"', f'url = "{url}"', *lines)


def entry(table: str, id: str, *lines: str) -> str:
    """Write one table in few lines, so that its keys have lines of their own."""
    return f"[{table}.{id}]\n{NAME}" + "".join(f"{line}\n" for line in lines)


def seats(group: str, span: str, *lines: str) -> str:
    return f'[seats.{group}]\nrange = "{span}"\n' + "".join(f"{line}\n" for line in lines)


UPS = device("ups-a", "ups", 'fed_by = ["mains"]')
MAINS = entry("power", "mains", 'kind = "mains"')


def site(tmp_path: Path, *tables: str) -> Site:
    (tmp_path / "site.toml").write_text(SITE + "".join(tables), encoding="utf-8")
    return load(tmp_path, drivers())


def mistakes(tmp_path: Path, *tables: str) -> list[str]:
    """Return what is wrong; lines are counted from the end of what all sites begin with."""
    with pytest.raises(Mistakes) as caught:
        site(tmp_path, *tables)
    start = SITE.count("\n")
    return [f"{each.line - start}: {each.key}: {each.text}".replace(f"{tmp_path}/", "") for each in caught.value.found]


def notes(tmp_path: Path, *tables: str) -> list[str]:
    return [f"{each.key}: {each.text}" for each in site(tmp_path, *tables).notes]


# What is right.


def test_a_site_without_a_tree_has_its_devices_and_areas_in_it(tmp_path: Path) -> None:
    found = site(tmp_path, entry("areas", "hall"), device("desk", "workstation", 'area = "hall"'))
    assert list(found.tree.nodes) == ["hall", "desk"]
    assert found.tree.nodes["desk"].device
    assert (found.tree.nodes["desk"].kind, found.tree.nodes["hall"].kind) == ("workstation", "area")
    assert found.tree.area("desk") == "hall"
    assert found.causes == CauseSettings()
    assert found.notes == ()


def test_the_example_has_every_table_and_no_note() -> None:
    found = load(examples(), drivers())
    tree = found.tree
    assert found.notes == ()
    assert {node.kind for node in tree.nodes.values()} >= {
        "mains",
        "panel",
        "circuit",
        "network",
        "service",
        "seat",
        "area",
    }
    assert tree.above("a001", Relation.POWER) == ("hall-east", "ups-a", "panel-1", "ats", "mains", "genset")
    assert tree.above("a001", Relation.NETWORK) == ("hall-switch", "core")
    assert tree.parents("a001", Relation.SERVICE) == ("crm", "softphone")
    assert [id for id, node in tree.nodes.items() if node.spare] == ["a039", "a040"]
    assert tree.parents("climate-hall", Relation.COOLING) == ("hall",)
    assert tree.parents("hall", Relation.COOLING) == ("crac-2",)
    assert len([id for id in tree.below("mains", Relation.POWER) if tree.nodes[id].kind == "seat"]) == 40


def test_the_example_shows_the_defaults_of_the_cause_finder() -> None:
    text = (examples() / "site.toml").read_text(encoding="utf-8")
    for field in fields(CauseSettings):
        assert f"\n# {field.name} = {field.default:g} " in text


def test_a_device_hangs_on_what_its_seat_hangs_on_where_it_says_nothing_itself(tmp_path: Path) -> None:
    tree = site(
        tmp_path, MAINS, entry("areas", "hall"), UPS, entry("network", "sw"), entry("network", "other"), entry("services", "crm"),
        seats("row", "a1..a3", 'area = "hall"', 'fed_by = ["ups-a"]', 'connected_by = ["sw"]', 'needs = ["crm"]'),
        device("pc-2", "workstation", 'seat = "a2"', 'connected_by = ["other"]'),
    ).tree  # fmt: skip
    assert tree.nodes["pc-2"].parents == {
        Relation.PLACE: ("hall",), Relation.POWER: ("ups-a",), Relation.NETWORK: ("other",), Relation.SERVICE: ("crm",),
        Relation.COOLING: ("hall",),
    }  # fmt: skip
    assert tree.nodes["pc-2"].seat == "a2"
    assert tree.parts("a2") == ("pc-2",)
    assert tree.parts("a1") == ()


@pytest.mark.parametrize(
    ("span", "ids"),
    [
        pytest.param("a008..a011", ["a008", "a009", "a010", "a011"], id="padded"),
        pytest.param("9..11", ["9", "10", "11"], id="numbers alone, not padded"),
        pytest.param("vip-1", ["vip-1"], id="one seat"),
        pytest.param("2f-b99..2f-b100", ["2f-b99", "2f-b100"], id="a prefix with numbers"),
    ],
)
def test_a_range_makes_seats(tmp_path: Path, span: str, ids: list[str]) -> None:
    tree = site(tmp_path, MAINS, UPS, seats("row", span, 'fed_by = ["mains"]')).tree
    assert [node.id for node in tree.of_kind("seat")] == ids
    assert tree.name(ids[0]) == Text(f"Seat {ids[0]}", f"{ids[0]} 号座席")


def test_seats_can_be_called_otherwise(tmp_path: Path) -> None:
    tree = site(
        tmp_path,
        UPS.replace("mains", "c"),
        entry("power", "c"),
        seats("row", "b1..b2", 'name = { en = "Desk {seat}", zh = "{seat} 台" }'),
    ).tree
    assert tree.name("b2") == Text("Desk b2", "b2 台")


def test_what_cools_is_not_cooled_and_an_inner_area_is_cooled_with_the_one_around_it(tmp_path: Path) -> None:
    tree = site(
        tmp_path, entry("areas", "floor"), entry("areas", "hall", 'in = "floor"'), entry("areas", "booth", 'in = "hall"'),
        device("ac", "hvac", 'area = "hall"', 'cools = ["floor"]'), device("ac-booth", "hvac", 'area = "hall"', 'cools = ["booth"]'),
        device("pc", "workstation", 'area = "hall"'),
    ).tree  # fmt: skip
    assert tree.above("pc", Relation.COOLING) == ("hall", "floor", "ac")
    assert tree.above("booth", Relation.COOLING) == ("ac-booth",)
    assert tree.parents("ac", Relation.COOLING) == ()
    assert tree.above("booth", Relation.PLACE) == ("hall", "floor")
    assert tree.area("ac") == "hall"


def test_a_node_has_all_its_parents_each_once(tmp_path: Path) -> None:
    text = device("ats", "ats", 'fed_by = ["mains", "gen", "mains"]')
    assert site(tmp_path, MAINS, device("gen", "generator"), text).tree.parents("ats", Relation.POWER) == (
        "mains",
        "gen",
    )


def test_a_switch_feeds_what_it_connects(tmp_path: Path) -> None:
    tree = site(
        tmp_path, entry("network", "sw"), device("pc", "workstation", 'fed_by = ["sw"]', 'connected_by = ["sw"]')
    ).tree
    assert tree.parents("pc", Relation.POWER) == tree.parents("pc", Relation.NETWORK) == ("sw",)


def test_the_cause_finder_is_set_in_the_site(tmp_path: Path) -> None:
    text = "[causes]\nhold = 3\nquorum = 8\nshare = 0.25\nwindow = 30\nsettle = 9\n"
    assert site(tmp_path, device("pc", "workstation"), text).causes == CauseSettings(3, 8, 0.25, 30, 9)


# What is wrong.

PC = device("pc", "workstation")


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        # names
        pytest.param((MAINS, device("pc", "workstation", 'fed_by = ["main"]')), ['8: devices.pc.fed_by: unknown node "main", did you mean "mains"?'], id="unknown feed"),
        pytest.param((PC, entry("network", "sw-1"), entry("services", "crm", 'connected_by = ["sw-11"]', 'needs = ["cmr"]')), ['9: services.crm.connected_by: unknown node "sw-11", did you mean "sw-1"?', '10: services.crm.needs: unknown node "cmr", did you mean "crm"?'], id="unknown switch and service"),
        pytest.param((PC, entry("areas", "hall", 'in = "hell"')), ['7: areas.hall.in: unknown area "hell", did you mean "hall"?'], id="unknown area around"),
        pytest.param((PC, entry("areas", "hall"), seats("row", "a1..a9", 'area = "hal"')), ['9: seats.row.area: unknown area "hal", did you mean "hall"?'], id="area of seats, told once"),
        pytest.param((entry("areas", "hall"), device("ac", "hvac", 'cools = ["hal"]')), ['7: devices.ac.cools: unknown area "hal", did you mean "hall"?'], id="unknown area to cool"),
        pytest.param((PC + 'seat = "b1"\n', seats("row", "a1..a9")), ['5: devices.pc.seat: unknown seat "b1" (known: a1..a9)'], id="unknown seat, of many"),
        pytest.param((PC, "[causes]\nquorums = 3\n"), ['6: causes.quorums: unknown key, did you mean "quorum"?'], id="key"),
        pytest.param((PC, entry("areas", "hall", 'inn = "x"')), ['7: areas.hall.inn: unknown key, did you mean "in"?'], id="key with an alias"),
        # what cannot be so
        pytest.param((entry("areas", "hall"), device("pc", "workstation", 'fed_by = ["hall"]')), ['7: devices.pc.fed_by: "hall" is of kind area, which feeds nothing (known: none)'], id="fed by an area"),
        pytest.param((MAINS, device("pc", "workstation", 'fed_by = ["a1"]'), seats("row", "a1")), ['8: devices.pc.fed_by: "a1" is of kind seat, which feeds nothing (known: mains)'], id="fed by a seat"),
        pytest.param((device("ac", "hvac"), device("pc", "workstation", 'fed_by = ["ac"]')), ['9: devices.pc.fed_by: "ac" is of kind hvac, which feeds nothing (known: none)'], id="fed by an air conditioner"),
        pytest.param((MAINS, device("pc", "workstation", 'connected_by = ["mains"]')), ['8: devices.pc.connected_by: "mains" is of kind mains, which connects nothing (known: pc)'], id="connected by the mains"),
        pytest.param((MAINS, device("ac", "hvac", 'cools = ["mains"]')), ['8: devices.ac.cools: "mains" is of kind mains, which is no area (known: none)'], id="cools what is no area"),
        pytest.param((PC, device("pc-2", "workstation", 'seat = "pc"')), ['9: devices.pc-2.seat: "pc" is of kind workstation, which is no seat (known: none)'], id="part of what is no seat"),
        pytest.param((PC, MAINS, entry("power", "grid", 'kind = "mains"')), ["10: power.grid.kind: the site has its mains already: power.mains (site.toml:11)"], id="two mains"),
        pytest.param((PC, MAINS + 'fed_by = ["c"]\n', entry("power", "c")), ["8: power.mains.fed_by: the mains is where power comes in; nothing of the site feeds it"], id="what feeds the mains"),
        pytest.param((PC, entry("power", "a", 'kind = "breaker"')), ['7: power.a.kind: "breaker" is not known (known: mains, panel, circuit)'], id="kind of a power node"),
        # one name, one thing
        pytest.param((entry("areas", "pc"), PC), ['3: devices.pc: "pc" is areas.pc (site.toml:7) already'], id="a device called as an area"),
        pytest.param((PC, entry("power", "x"), entry("network", "x"), entry("services", "x")), ['7: network.x: "x" is power.x (site.toml:11) already', '9: services.x: "x" is power.x (site.toml:11) already'], id="one name in three tables"),
        pytest.param((device("a2", "workstation"), seats("row", "a1..a9")), ["6: seats.row.range: a2 stands in devices.a2 (site.toml:7) already"], id="a device called as a seat"),
        pytest.param((PC, seats("row", "a01..a09"), seats("end", "a07..a12")), ["8: seats.end.range: a07 to a09 stands in seats.row (site.toml:11) already"], id="ranges that overlap"),
        pytest.param((PC, entry("power", "agent")), ['5: power.agent: "agent" is the agent itself; take another id'], id="the agent's id"),
        pytest.param((PC, entry("power", '"Circuit 1"')), ['5: power."Circuit 1": an id is 1 to 40 of a-z, 0-9 and -, since it becomes part of topics'], id="an id that is no topic"),
        # ways that come back
        pytest.param((PC, entry("power", "a", 'fed_by = ["a"]')), ["7: power.a.fed_by: hangs on itself: a → a"], id="fed by itself"),
        pytest.param((PC, entry("power", "b", 'fed_by = ["c"]'), entry("power", "a", 'fed_by = ["b"]'), entry("power", "c", 'fed_by = ["a"]'), entry("power", "d", 'fed_by = ["a"]')), ["10: power.a.fed_by: hangs on itself: a → b → c → a"], id="round three nodes"),
        pytest.param((PC, *(entry("power", id, f'fed_by = ["{by}"]') for id, by in ("ab", "ba", "cd", "dc"))), ["7: power.a.fed_by: hangs on itself: a → b → a", "13: power.c.fed_by: hangs on itself: c → d → c"], id="two ways"),
        pytest.param((PC, entry("network", "a", 'connected_by = ["b"]'), entry("network", "b", 'connected_by = ["a"]')), ["7: network.a.connected_by: hangs on itself: a → b → a"], id="network"),
        pytest.param((PC, entry("services", "a", 'needs = ["a"]')), ["7: services.a.needs: hangs on itself: a → a"], id="services"),
        pytest.param((PC, entry("areas", "a", 'in = "b"'), entry("areas", "b", 'in = "a"')), ["7: areas.a.in: hangs on itself: a → b → a"], id="areas"),
        # ranges
        pytest.param((PC, seats("row", "A1-A9")), ['6: seats.row.range: "A1-A9" is no range of seats; write "a001..a040", in lower case'], id="no range"),
        pytest.param((PC, seats("row", "a..b")), ['6: seats.row.range: "a..b" is no range of seats; write "a001..a040", in lower case'], id="no numbers"),
        pytest.param((PC, seats("row", "a1..b9")), ['6: seats.row.range: both ends begin alike: "a" is not "b"'], id="two prefixes"),
        pytest.param((PC, seats("row", "a001..a40")), ['6: seats.row.range: both ends have as many digits: "001" and "40"'], id="padded at one end"),
        pytest.param((PC, seats("row", "a001-a020")), ['6: seats.row.range: "a001-a020" is one seat of that name, did you mean "a001..a020"?'], id="a dash for the dots"),
        pytest.param((PC, seats("row", "row-1-row-9")), ['6: seats.row.range: "row-1-row-9" is one seat of that name, did you mean "row-1..row-9"?'], id="a dash among dashes"),
        pytest.param((PC, seats("row", "a9..a1")), ['6: seats.row.range: "a9..a1" runs backwards'], id="backwards"),
        pytest.param((PC, seats("row", "a1..a10000"), seats("end", "b1..b10001")), [f"8: seats.end.range: makes 20001 seats; a site has {MOST_SEATS} at the most"], id="too many"),
        pytest.param((PC, seats("row", "a0..a999999999")), [f"6: seats.row.range: makes 1000000000 seats; a site has {MOST_SEATS} at the most"], id="far too many"),
        pytest.param((PC, seats("row", "a1..a9", 'spare = ["a9..a10"]')), ['7: seats.row.spare: "a9..a10" is not within a1..a9'], id="spare outside"),
        pytest.param((PC, seats("row", "a1..a9", 'spare = ["a1..a999999999", "x"]')), ['7: seats.row.spare: "a1..a999999999" is not within a1..a9', '7: seats.row.spare: "x" is no range of seats; write "a001..a040", in lower case'], id="spare of another kind"),
        pytest.param((PC, seats("row", "a1..a9", 'name = { en = "Seat {name}", zh = "{seat}" }')), ["7: seats.row.name: the only placeholder here is {seat}"], id="placeholder"),
        pytest.param((PC + 'seat = "b1"\n', seats("row", "b9..b1")), ['7: seats.row.range: "b9..b1" runs backwards'], id="what follows from a wrong range is not told"),
        pytest.param((PC, "[causes]\nquorum = 1\nshare = 1.1\n"), ["6: causes.quorum: input should be greater than or equal to 2", "7: causes.share: input should be less than or equal to 1"], id="settings"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, tables: tuple[str, ...], told: list[str]) -> None:
    assert mistakes(tmp_path, *tables) == told


# What may have been forgotten.

HALL = entry("areas", "hall")
AC = device("ac", "hvac", 'cools = ["hall"]')


@pytest.mark.parametrize(
    ("tables", "noted"),
    [
        pytest.param((MAINS, UPS), [], id="nothing"),
        pytest.param((device("ups-a", "ups"),), ['power: no [power.<id>] has kind = "mains", yet ups-a stands in for it'], id="a UPS and no mains"),
        pytest.param((device("gen", "generator"),), ['power: no [power.<id>] has kind = "mains", yet gen stands in for it'], id="a generator and no mains"),
        pytest.param((MAINS, device("ups-a", "ups")), ["devices.ups-a: is fed by nothing; say with fed_by what its input hangs on"], id="a UPS on nothing"),
        pytest.param((PC, seats("row", "a1..a9")), ["seats.row: are fed by nothing: no fault of the supply will account for dark seats"], id="seats on nothing, told once"),
        pytest.param((HALL, AC, entry("areas", "store")), ["areas.store: is cooled by nothing, while other areas are; say cools at a device"], id="an area without cooling"),
        pytest.param((HALL, PC, entry("areas", "store")), [], id="no cooling anywhere"),
        pytest.param((HALL, AC, entry("areas", "booth", 'in = "hall"')), [], id="cooled with the area around it"),
        pytest.param((HALL + 'in = "floor"\n', AC, entry("areas", "floor")), [], id="an area whose rooms are cooled"),
    ],
)  # fmt: skip
def test_what_may_have_been_forgotten_is_noted_and_no_mistake(
    tmp_path: Path, tables: tuple[str, ...], noted: list[str]
) -> None:
    assert notes(tmp_path, *tables) == noted


# Any site.

IDS = "abcdefgh"
EDGES = st.dictionaries(st.sampled_from(IDS), st.lists(st.sampled_from(IDS), max_size=3), min_size=1)


def planted(tables: object, devices: dict[str, DeviceTies] | None = None) -> Planter:
    document = Document("site.toml", {}, "")
    return Planter(document, TreeTables.model_validate(tables), devices or {}, SHIPPED.kinds)


@given(EDGES)
def test_a_tree_is_free_of_ways_that_come_back_or_each_is_told(edges: dict[str, list[str]]) -> None:
    words = {"en": "x", "zh": "某"}
    planter = planted({"power": {id: {"name": words, "fed_by": edges.get(id, [])} for id in IDS}})
    tree = planter.tree()
    looped = [id for id in IDS if id in tree.above(id, Relation.POWER)]
    assert bool(looped) == bool(planter.mistakes)
    for mistake in planter.mistakes:
        way = mistake.text.removeprefix("hangs on itself: ").split(" → ")
        assert way[0] == way[-1]
        assert all(below in tree.children(above, Relation.POWER) for below, above in pairwise(way))


def test_what_a_site_costs_grows_with_it_and_no_faster() -> None:
    small, large = planting(5), planting(50)
    assert large < 40 * small


def planting(rows: int) -> float:
    """Return the processor time, in s, of the tree of as many rows of 100 seats and 20 devices."""
    words = {"en": "x", "zh": "某"}
    tables = {
        "areas": {"hall": {"name": words}},
        "power": {f"c{row}": {"name": words} for row in range(rows)},
        "seats": {
            f"r{row}": {"range": f"s{row}-001..s{row}-100", "area": "hall", "fed_by": [f"c{row}"]}
            for row in range(rows)
        },
    }
    seats = [(f"pc-{row}-{number}", f"s{row}-{number:03}") for row in range(rows) for number in range(1, 21)]
    ties = {"name": words, "driver": "workstation/host"}
    devices = {id: DeviceTies.model_validate({**ties, "seat": seat}) for id, seat in seats}
    times = []
    for _ in range(3):
        planter = planted(tables, devices)
        start = time.process_time()
        tree = planter.tree()
        times.append(time.process_time() - start)
        assert not planter.mistakes
        assert len(tree.nodes) == 1 + rows * 121
    return min(times)


# What the kinds say of causes.


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("ups", {"runtime-low", "battery-low", "load-high", "shutdown-imminent", "output-off", "emergency-off", "over-temperature"}),
        ("generator", {"fail-to-start", "not-in-auto", "failed-to-transfer", "fuel-low", "starter-voltage-low", "common-shutdown"}),
        ("ats", {"not-in-auto", "failed-to-transfer", "generator-lost", "position-off", "output-off"}),
        ("hvac", {"smoke", "water"}),
        ("environment", {"smoke", "water", "door", "intrusion", "wire-break", "contact"}),
        ("mains", {"mains-lost", "circuit-lost", "supply-lost", "generator-late", "generator-failed-to-start"}),
    ],
)  # fmt: skip
def test_what_decides_an_outage_or_must_be_seen_is_accounted_for_by_nothing(kind: str, ids: set[str]) -> None:
    alarms = SHIPPED.kinds[kind].alarms
    assert {id for id in ids if alarms[id].explained_by} == set()
    assert {id for id, alarm in alarms.items() if alarm.each and (alarm.explains or alarm.explained_by)} == set()


def test_a_load_that_is_still_fed_is_not_explained_away() -> None:
    ups = SHIPPED.kinds["ups"].alarms
    assert {id for id, alarm in ups.items() if Relation.POWER in alarm.explains} == {"output-off", "emergency-off"}


@pytest.mark.parametrize("relation", [Relation.POWER, Relation.COOLING])
def test_a_loss_of_power_or_cooling_that_accounts_for_others_is_grave_itself(relation: Relation) -> None:
    found = [alarm for kind in SHIPPED.kinds.values() for alarm in kind.alarms.values() if relation in alarm.explains]
    assert found
    assert [alarm.id for alarm in found if alarm.levels[0].severity.rank < Severity.MAJOR.rank] == []


def test_an_outage_leaves_the_network_of_a_ups_as_the_only_reason_for_its_silence() -> None:
    silent = {id: kind.alarms["unreachable"].explained_by for id, kind in SHIPPED.kinds.items()}
    assert silent["ups"] == silent["generator"] == {Relation.NETWORK}
    assert silent["workstation"] == silent["hvac"] == {Relation.POWER, Relation.NETWORK}


def test_check_says_how_large_the_tree_is_and_what_may_have_been_forgotten(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        SITE + MAINS + device("ups-a", "ups") + seats("row", "a1..a9"), encoding="utf-8"
    )
    result = CliRunner().invoke(app, ["check", "--config", str(tmp_path)])
    assert result.exit_code == 0
    *noted, last = result.stdout.splitlines()
    assert [line.startswith(f"note: {tmp_path}/site.toml:") for line in noted[:3]] == [True, True, False]
    assert all(line.startswith("note: drills: there is no ") for line in noted[2:])  # nor a drill without a device
    assert last.endswith("1 devices, 0 areas, no mistakes; 11 nodes in the tree, 9 of them seats")
