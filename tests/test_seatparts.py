"""Parts of seats by range: what becomes of them, and each mistake once, where it stands."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from pathlib import Path

import pytest

from edgeagent import driverfiles
from edgeagent.catalog import Relation, Text
from edgeagent.config import Site
from edgeagent.mistakes import Mistakes
from edgeagent.resources import drivers
from edgeagent.scenario import Hours
from edgeagent.seatparts import filled
from edgeagent.sitefiles import load

LOAD = driverfiles.load
SHIPPED = LOAD([drivers()])
HEAD = """\
[site]
id = "hq"
name = { en = "HQ", zh = "总部" }
[feed]
broker = "mqtt://127.0.0.1"
[shifts.day]
name = { en = "Day", zh = "白班" }
hours = "mon-fri 08:00-20:00"
[network.sw]
name = { en = "Switch", zh = "交换机" }
"""
ROW = """\
[seats.row]
range = "a01..a03"
connected_by = ["sw"]
"""
PC = """\
[seats.row.parts.pc]
driver = "workstation/host"
url = "seat://{seat}"
"""
PHONE = """\
[seats.row.parts.phone]
driver = "phone/sip"
url = "service+sip://phone-{seat}.example:50{n+59}"
interval = 20
alarms = { unregistered = { enabled = false } }
"""
CRM = """\
[seats.row.parts.crm]
driver = "service/seat"
url = "seat://{seat}?service=crm"
"""


@pytest.fixture(autouse=True)
def _shipped_drivers_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driverfiles, "load", lambda folders: SHIPPED if folders == [drivers()] else LOAD(folders))


def site(tmp_path: Path, *tables: str) -> Site:
    (tmp_path / "site.toml").write_text(HEAD + "".join(tables), encoding="utf-8")
    return load(tmp_path, drivers())


def mistakes(tmp_path: Path, *tables: str) -> list[str]:
    """Return what is wrong; lines are counted from the end of what all sites begin with."""
    with pytest.raises(Mistakes) as caught:
        site(tmp_path, *tables)
    return [f"{each.line - HEAD.count(chr(10))}: {each.key}: {each.text}" for each in caught.value.found]


def test_each_seat_of_a_range_has_its_parts(tmp_path: Path) -> None:
    found = site(tmp_path, ROW, PC, PHONE)
    assert list(found.devices) == ["a01-pc", "a02-pc", "a03-pc", "a01-phone", "a02-phone", "a03-phone"]
    pc, phone = found.devices["a02-pc"], found.devices["a02-phone"]
    assert (pc.endpoint.scheme, pc.endpoint.host, pc.driver.id) == ("seat", "a02", "workstation/host")
    assert (phone.endpoint.host, phone.endpoint.port, phone.interval) == ("phone-a02.example", 5061, 20)
    node = found.tree.nodes["a02-pc"]
    assert (node.seat, node.device, node.parents[Relation.NETWORK]) == ("a02", True, ("sw",))
    assert found.tree.parts("a02") == ("a02-pc", "a02-phone")


def test_parts_are_named_after_their_seat_in_both_languages(tmp_path: Path) -> None:
    found = site(tmp_path, ROW, PC, PHONE + 'name = { en = "Phone of {seat}", zh = "{seat} 话机" }\n')
    assert found.devices["a01-pc"].name == Text("Seat a01 workstation", "a01 号座席电脑")
    assert found.devices["a01-phone"].name == Text("Phone of a01", "a01 话机")


def test_a_service_that_seats_ask_is_read_under_its_own_name_and_named_by_its_word(tmp_path: Path) -> None:
    found = site(tmp_path, ROW, PC, CRM, CRM.replace("crm", "kb")).devices
    assert found["a02-crm"].driver.gets == ("service.crm.answer", "service.crm.latency", "agent.state")
    assert found["a02-kb"].driver.gets[0] == "service.kb.answer"
    assert found["a02-crm"].driver is found["a03-crm"].driver
    assert found["a02-crm"].name == Text("Seat a02 crm", "a02 号座席 crm")
    assert found["a02-pc"].driver.id == "workstation/host"


def test_what_a_part_says_of_an_alarm_is_shared_by_all_seats(tmp_path: Path) -> None:
    found = site(tmp_path, ROW, PHONE)
    assert "unregistered" not in found.devices["a01-phone"].alarms
    assert found.devices["a01-phone"].alarms is found.devices["a03-phone"].alarms
    assert found.devices["a01-phone"].driver is found.devices["a03-phone"].driver


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("icmp://pc-{seat}.example", "icmp://pc-a017.example"),
        ("{n}", "17"),
        ("{n+10100}", "10117"),
        ("{n-16}", "1"),
        ("7", "7"),
    ],
)
def test_placeholders_are_filled(text: str, expected: str) -> None:
    assert filled(text, "a017", 17) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ()),
        ('staffed = "day"\n', (Hours(480, 1200, frozenset(range(5))),)),
        ('staffed = "mon-fri 08:00-20:00"\n', (Hours(480, 1200, frozenset(range(5))),)),
        (
            'staffed = ["day", "sat 09:00-12:00"]\n',
            (Hours(480, 1200, frozenset(range(5))), Hours(540, 720, frozenset({5}))),
        ),
    ],
    ids=["always", "a shift", "hours", "both"],
)
def test_seats_are_staffed_by_a_shift_or_by_hours(tmp_path: Path, line: str, expected: tuple[Hours, ...]) -> None:
    assert site(tmp_path, ROW + line, PC).tree.nodes["a01"].staffed == expected


def test_seats_in_maintenance_are_named_by_range(tmp_path: Path) -> None:
    nodes = site(tmp_path, ROW + 'maintenance = ["a02..a03"]\n', PC).tree.nodes
    assert [id for id, node in nodes.items() if node.maintenance] == ["a02", "a03"]


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        pytest.param((ROW, PC.replace('host"', 'hots"')), ['5: seats.row.parts.pc.driver: unknown driver "workstation/hots", did you mean "workstation/host"?'], id="driver"),
        pytest.param((ROW, PC.replace("seat://", "snmp://")), ["6: seats.row.parts.pc.url: workstation/host speaks host, not snmp"], id="scheme"),
        pytest.param((ROW, PC.replace("{seat}", "{place}")), ['6: seats.row.parts.pc.url: unknown placeholder "{place}"; there are {seat}, {n} and {n+100}'], id="placeholder"),
        pytest.param((ROW, PC.replace("{seat}", "{seat+1}")), ['6: seats.row.parts.pc.url: unknown placeholder "{seat+1}"; there are {seat}, {n} and {n+100}'], id="a seat is no number"),
        pytest.param((ROW, PC + 'index = "{n-2}"\n'), ['7: seats.row.parts.pc.index: "-1" of a01 is no number from 0 on'], id="index below 0"),
        pytest.param((ROW, PC + 'index = "{n}"\n'), ["7: seats.row.parts.pc.index: workstation/host takes no index: it reads one unit"], id="index of one unit"),
        pytest.param((ROW, PC + 'connected_by = ["swi"]\n'), ['7: seats.row.parts.pc.connected_by: unknown node "swi", did you mean "sw"?'], id="tie, told once"),
        pytest.param((ROW, PC + "alarms = { ofline = { enabled = false } }\n"), ['7: seats.row.parts.pc.alarms.ofline: workstation has no such alarm, did you mean "offline"?'], id="alarm"),
        pytest.param((ROW, PC + "intervall = 3\n"), ['7: seats.row.parts.pc.intervall: unknown key, did you mean "interval"?'], id="key"),
        pytest.param((ROW, PC.replace("parts.pc", "parts.PC")), None, id="id of a part"),
        pytest.param((ROW, PC, '[devices.a02-pc]\nname = { en = "X", zh = "某" }\ndriver = "workstation/host"\nurl = "host://"\n'), ['4: seats.row.parts.pc: "a02-pc" stands here twice: as a device too, or in two ranges'], id="twice"),
        pytest.param((ROW, PC, '[areas.a02-pc]\nname = { en = "X", zh = "某" }\n'), ['4: seats.row.parts.pc: "a02-pc" is areas.a02-pc (site.toml:17) already'], id="an id that stands"),
        pytest.param((ROW, CRM.replace("?service=crm", "")), ["6: seats.row.parts.crm.url: the service is missing: seat://a01?service=crm, as the seat's file names it"], id="no service"),
        pytest.param((ROW, PC.replace("{seat}", "{seat}?service=crm")), ["6: seats.row.parts.pc.url: workstation/host reads nothing by service (known: none)"], id="a service of a workstation"),
        pytest.param((ROW + 'staffed = "dya"\n', PC), ['4: seats.row.staffed: unknown shift "dya", did you mean "day"?'], id="shift"),
        pytest.param((ROW + 'staffed = "mon 8-20"\n', PC), ['4: seats.row.staffed: "mon 8-20" is no time of day; write "08:00-20:00" or "mon-fri 09:00-11:30"'], id="hours"),
        pytest.param((ROW + 'maintenance = ["b1"]\n', PC), ['4: seats.row.maintenance: "b1" is not within a01..a03'], id="maintenance"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_once_where_it_stands(
    tmp_path: Path, tables: tuple[str, ...], told: list[str] | None
) -> None:
    found = mistakes(tmp_path, *tables)
    if told is None:
        assert any(each.startswith("4: seats.row.parts.PC") for each in found)
    else:
        assert [each.replace(f"{tmp_path}/", "") for each in found] == told


def test_a_range_of_far_too_many_seats_makes_no_parts(tmp_path: Path) -> None:
    (only,) = mistakes(tmp_path, ROW.replace("a01..a03", "a0..a999999999"), PC)
    assert "20000 at the most" in only
