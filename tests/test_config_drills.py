"""The site's folder and its drills: settings, shifts and scenarios, and what of them a site cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeagent import driverfiles
from edgeagent.config import Site
from edgeagent.mistakes import Mistakes
from edgeagent.resources import drivers, examples
from edgeagent.sitefiles import load

SITE = """\
[site]
id = "hq"
name = { en = "HQ", zh = "总部" }
[feed]
broker = "mqtt://127.0.0.1"
[devices.contacts]
name = { en = "Contacts", zh = "干接点" }
driver = "environment/moxa-iologik-e1212"
url = "modbus://192.0.2.2?unit=1"
[devices.contacts.contacts]
1 = { point = "smoke.hall", active = "open" }
[drills]
blocked = ["mon-fri 09:00-11:30"]
speed = 5
[shifts.day]
name = { en = "Day", zh = "白班" }
hours = "08:00-20:00"
"""
LOAD = driverfiles.load
SHIPPED = LOAD([drivers()])


@pytest.fixture(autouse=True)
def _shipped_drivers_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driverfiles, "load", lambda folders: SHIPPED if folders == [drivers()] else LOAD(folders))


def site(folder: Path, text: str = SITE, **scenarios: str) -> Site:
    """Load a site of one file and of scenarios of its own."""
    (folder / "site.toml").write_text(text, encoding="utf-8")
    (folder / "drills").mkdir(exist_ok=True)
    for name, content in scenarios.items():
        (folder / f"drills/{name}.toml").write_text(content, encoding="utf-8")
    return load(folder, drivers())


def mistakes(folder: Path, text: str = SITE, **scenarios: str) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        site(folder, text, **scenarios)
    return sorted(str(each).replace(f"{folder}/", "") for each in caught.value.found)


def smoke(line: str = "at 0:10 one environment smoke = true") -> str:
    """Return a scenario that replaces a shipped one."""
    names = 'text = { en = "Smoke", zh = "烟雾" }\npurpose = { en = "Learn", zh = "学习" }\n'
    return f'scenario = "smoke"\nversion = 7\n{names}procedure = "security"\ntimeline = [\n  "{line}",\n]\n'


def test_the_example_site_can_rehearse_each_scenario_of_devices_that_it_has() -> None:
    told = [note.key for note in load(examples(), drivers()).drills.notes]
    assert all(why.startswith("there is no ") for why in told), told


def test_what_is_said_of_drills_and_shifts_becomes_part_of_the_site(tmp_path: Path) -> None:
    found = site(tmp_path).drills
    assert [each.begin for each in found.settings.blocked] == [540]
    assert (found.settings.speed, found.settings.second_person, found.shifts["day"].hours.end) == (5.0, True, 1200)
    assert found.scenarios.keys() == {path.stem for path in (examples() / "drills").glob("*.toml")}


def test_speeded_up_drills_are_noted(tmp_path: Path) -> None:
    why = "speeded-up drills are for demonstrations: nobody rehearses true clocks by them"
    assert f"site.toml:14: drills.speed: {why}" in [
        str(note).replace(f"{tmp_path}/", "") for note in site(tmp_path).drills.notes
    ]
    slow = site(tmp_path, SITE.replace("speed = 5", "speed = 1")).drills
    assert not [note for note in slow.notes if note.key == "drills.speed"]


def test_a_site_is_told_what_it_cannot_rehearse(tmp_path: Path) -> None:
    notes = {note.key: note.text for note in site(tmp_path).drills.notes}
    assert "outage-good-start" in notes["there is no ups here"]
    assert not any("smoke" in text for text in notes.values())


def test_a_scenario_of_the_site_s_own_replaces_the_shipped_one_and_changes_the_digest(tmp_path: Path) -> None:
    first = site(tmp_path)
    second = site(tmp_path, smoke=smoke())
    assert (first.drills.scenarios["smoke"].version, second.drills.scenarios["smoke"].version) == (1, 7)
    assert first.digest != second.digest


def test_mistakes_in_hours_and_in_scenarios_are_told_with_all_others(tmp_path: Path) -> None:
    text = SITE.replace("08:00-20:00", "8-20").replace("speed = 5", "sped = 5")
    found = mistakes(tmp_path, text, smoke=smoke("at 0:10 one environment smoke = yes"))
    assert [line[: len("drills/smoke.toml:7: timeline.0")] for line in found] == [
        "drills/smoke.toml:7: timeline.0",
        "site.toml:14: drills.sped: unkn",
        "site.toml:17: shifts.day.hours:",
    ]


def test_a_scenario_is_not_blamed_for_a_device_that_has_a_mistake_itself(tmp_path: Path) -> None:
    text = SITE.replace("moxa-iologik-e1212", "moxa")
    assert [line.partition(": ")[0] for line in mistakes(tmp_path, text, smoke=smoke())] == ["site.toml:8"]


def test_what_the_site_lacks_is_a_mistake_in_a_scenario_of_its_own(tmp_path: Path) -> None:
    assert mistakes(tmp_path, smoke=smoke("at 0:10 sensor-9 smoke = true")) == [
        'drills/smoke.toml:7: timeline.0: this site has no device "sensor-9"'
    ]
