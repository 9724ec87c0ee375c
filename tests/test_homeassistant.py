"""What Home Assistant is told, judged by what its documentation says and, where it is installed, by itself.

`HOMEASSISTANT_PYTHON=/path/to/venv/bin/python` names a Python that has the package `homeassistant`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgeagent import driverfiles
from edgeagent.catalog import PointType
from edgeagent.config import Site
from edgeagent.homeassistant import _FLAGS, _UNITS, _of, discovery
from edgeagent.messages import LARGEST, Tree
from edgeagent.mistakes import Mistakes
from edgeagent.payloads import device_state
from edgeagent.readings import Quality, Reading, Value
from edgeagent.resources import drivers
from edgeagent.sitefiles import load

SITE = """\
[site]
id = "hq"
name = { en = "HQ", zh = "总部" }
language = "en"
[agent]
id = "edge-1"
[feed]
broker = "mqtt://127.0.0.1"
[homeassistant]
[areas.hall]
name = { en = "Hall", zh = "大厅" }
[devices.ups-a]
name = { en = "UPS A", zh = "A 路 UPS" }
driver = "ups/rfc1628"
url = "snmp://192.0.2.1?version=2c&community=x"
area = "hall"
[devices.genset]
name = { en = "Generator", zh = "发电机" }
driver = "generator/dse-gencomm"
url = "modbus://192.0.2.3?unit=10"
[devices.contacts]
name = { en = "Contacts", zh = "干接点" }
driver = "environment/moxa-iologik-e1212"
url = "modbus://192.0.2.2?unit=1"
[devices.contacts.contacts]
1 = { point = "smoke.hall", active = "open" }
2 = { point = "water", active = "open" }
3 = { point = "door.front", active = "open" }
[seats.row-a]
range = "a001..a002"
[seats.row-a.parts.pc]
driver = "workstation/host"
url = "seat://{seat}"
"""
LOAD = driverfiles.load
SHIPPED = LOAD([drivers()])
TREE = Tree("floor", "hq", "edge-1")
PYTHON = os.environ.get("HOMEASSISTANT_PYTHON", "")


@pytest.fixture(autouse=True)
def _shipped_drivers_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driverfiles, "load", lambda folders: SHIPPED if folders == [drivers()] else LOAD(folders))


def site(folder: Path, text: str = SITE) -> Site:
    (folder / "site.toml").write_text(text, encoding="utf-8")
    return load(folder, drivers())


def told(site: Site) -> dict[str, dict[str, Any]]:
    return {message.topic: json.loads(message.body) for message in discovery(site, TREE, 0.0)}


def test_a_site_that_says_nothing_of_it_tells_nothing(tmp_path: Path) -> None:
    assert not told(site(tmp_path, SITE.replace("[homeassistant]\n", "")))


def test_each_device_and_the_agent_have_one_retained_message(tmp_path: Path) -> None:
    found = discovery(site(tmp_path), TREE, 0.0)
    names = ("hq_agent_edge-1", "hq_ups-a", "hq_genset", "hq_contacts")
    assert [message.topic for message in found] == [f"homeassistant/device/{name}/config" for name in names]
    assert all(message.retain and message.qos == 1 and message.size < LARGEST for message in found)


def test_parts_of_seats_are_told_only_where_the_site_asks_for_them(tmp_path: Path) -> None:
    asked = told(site(tmp_path, SITE.replace("[homeassistant]", '[homeassistant]\nprefix = "ha"\nseats = true')))
    assert {"ha/device/hq_a001-pc/config", "ha/device/hq_a002-pc/config"} <= asked.keys()
    assert len(asked) == len(told(site(tmp_path))) + 2


@pytest.mark.parametrize("prefix", ["", "a/b/c", "home+", "home/#", "home assistant", "/x"])
def test_a_prefix_that_is_no_place_is_a_mistake(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(Mistakes, match=r"homeassistant.prefix|1 mistake|prefix"):
        site(tmp_path, SITE.replace("[homeassistant]", f'[homeassistant]\nprefix = "{prefix}"'))


def test_a_device_is_available_only_while_it_and_the_agent_are(tmp_path: Path) -> None:
    ups = told(site(tmp_path))["homeassistant/device/hq_ups-a/config"]
    assert ups["availability_mode"] == "all"
    topics = ["floor/v1/hq/live/agent/edge-1/status", "floor/v1/hq/live/device/ups-a/availability"]
    assert [each["topic"] for each in ups["availability"]] == topics
    # That a device does not answer is seen while it does not.
    assert [each["topic"] for each in ups["components"]["reachable"]["availability"]] == topics[:1]
    assert ups["device"]["suggested_area"] == "Hall"


def test_points_have_the_units_and_classes_of_home_assistant(tmp_path: Path) -> None:
    found = told(site(tmp_path))
    ups = found["homeassistant/device/hq_ups-a/config"]["components"]
    contacts = found["homeassistant/device/hq_contacts/config"]["components"]
    genset = found["homeassistant/device/hq_genset/config"]["components"]
    wanted = ("unit_of_measurement", "device_class", "state_class")
    assert [ups["battery.temperature"][key] for key in wanted] == ["°C", "temperature", "measurement"]
    assert [ups["battery.charge"][key] for key in wanted] == ["%", "battery", "measurement"]
    assert [genset["runtime"][key] for key in wanted] == ["s", "duration", "total_increasing"]
    assert "device_class" not in ups["output.load"]
    assert ups["source"]["device_class"] == "enum"
    assert "battery" in ups["source"]["options"]
    classes = {id: contacts[id]["device_class"] for id in ("smoke.hall", "water", "door.front")}
    assert classes == {"smoke.hall": "smoke", "water": "moisture", "door.front": "door"}
    assert contacts["door.front"]["name"] == "Door open front"
    assert contacts["door.front"]["unique_id"] == "edgeagent_hq_contacts_door.front"
    assert contacts["door.front"]["default_entity_id"] == "binary_sensor.hq_contacts_door_front"


def test_names_are_in_the_language_of_the_site_and_ids_are_not(tmp_path: Path) -> None:
    english, chinese = (told(site(tmp_path, SITE.replace('"en"\n', f'"{code}"\n'))) for code in ("en", "zh"))
    topic = "homeassistant/device/hq_contacts/config"
    assert chinese[topic]["device"]["name"] == "干接点"
    assert chinese[topic]["components"]["water"]["name"] == "漏水"
    ids = [{key: each["unique_id"] for key, each in told[topic]["components"].items()} for told in (english, chinese)]
    assert ids[0] == ids[1]


def test_no_two_entities_share_an_id(tmp_path: Path) -> None:
    found = told(site(tmp_path)).values()
    for key in ("unique_id", "default_entity_id"):
        ids = [each[key] for payload in found for each in payload["components"].values()]
        assert len(ids) == len(set(ids))
    names = [each["default_entity_id"] for payload in found for each in payload["components"].values()]
    assert all(re.fullmatch(r"(binary_)?sensor\.[a-z0-9_]+", name) for name in names)


def test_nothing_is_read_of_a_drill(tmp_path: Path) -> None:
    assert "/drill/" not in json.dumps(told(site(tmp_path)))


def test_every_unit_of_the_vocabulary_has_one_of_home_assistant() -> None:
    points = [point for kind in SHIPPED.kinds.values() for point in kind.points.values()]
    assert {point.unit for point in points if point.unit} - {"1"} == set(_UNITS)
    assert set(_FLAGS) <= {point.id for point in points if point.type is PointType.FLAG}


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="HOMEASSISTANT_PYTHON names no Python that has Home Assistant")
@pytest.mark.enable_socket
def test_home_assistant_takes_the_messages_and_reads_the_values(tmp_path: Path) -> None:
    found = told(site(tmp_path, SITE.replace("[homeassistant]", "[homeassistant]\nseats = true")))
    good: dict[str, Value] = {
        "battery.charge": 97, "battery.temperature": 25.5, "source": "battery", "smoke.hall": True, "water": False,
        "alarms": frozenset({"b", "a"}), "boot": 1_760_000_000.0,
    }  # fmt: skip
    readings = {id: Reading(value, 0.0) for id, value in good.items()}
    readings["door.front"] = Reading(None, 0.0, Quality.BAD, "timeout")
    state = device_state(readings, {}, 0.0, 0.0)
    health = {"counts": {"devices": 3, "silent": 1, "critical": 2}, "outbox": {"events": 4}, "quarantined": 0}
    agent = {**health, "trouble": ["store: failing"], "unacknowledged": 5, "state": "offline"}
    cases = [
        {"payload": payload, "state": agent if "_agent_" in topic else state, "availability": {"state": "unknown"}}
        for topic, payload in found.items()
    ]
    every = {
        f"{kind.id}.{id}": {**_of(point, id), "name": id, "unique_id": f"{kind.id}.{id}", "expire_after": 180}
        for kind in SHIPPED.kinds.values()
        for id, point in kind.points.items()
    }
    cases.append({**cases[-1], "payload": {**cases[-1]["payload"], "components": every}})
    command = [PYTHON, str(Path(__file__).parent / "homeassistant_check.py")]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    *said, last = map(json.loads, done.stdout.splitlines())
    assert last["values"].keys() == every.keys()
    answers = dict(zip(found, said, strict=True))
    assert all(answer["available"] == "offline" for answer in answers.values())
    contacts = answers["homeassistant/device/hq_contacts/config"]["values"]
    wanted = {"smoke.hall": "True", "water": "False", "door.front": "None", "reachable": "None"}
    assert {id: contacts[id] for id in wanted} == wanted
    ups = answers["homeassistant/device/hq_ups-a/config"]["values"]
    assert (ups["battery.charge"], ups["source"], ups["output.load"]) == ("97", "battery", "None")
    assert ups["alarms"] == "a, b"
    assert answers["homeassistant/device/hq_a001-pc/config"]["values"]["boot"].startswith("2025-10-09")
    own = answers["homeassistant/device/hq_agent_edge-1/config"]["values"]
    assert (own["trouble"], own["alarms.critical"], own["outbox.events"]) == ("True", "2", "4")
