"""`edgeagent drill report`, `debt` and `from`: from a store that is being written to a page, a list, a scenario."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson
import pytest
from typer.testing import Result

from edgeagent import database
from tests.drilljournals import DRILL, drilled
from tests.journals import BASE, Journal, outage
from tests.rig import device, invoke, write_site

RUN: Final = "outage-20261125-0830"
BEFORE: Final = "outage-good-start-20261115-0830"
CHINA: Final = ("--tz", "Asia/Shanghai")
SHIFTS: Final = """
[shifts.day]
name = { en = "Day shift", zh = "白班" }
hours = "08:00-20:00"
[shifts.night]
name = { en = "Night shift", zh = "夜班" }
hours = "20:00-08:00"
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    ups = device("ups-a", "ups/rfc1628", "snmp://192.0.2.1?version=2c")
    folder = write_site(tmp_path / "site", 1883, ups, SHIFTS, language="zh")
    (folder / "state").mkdir()
    return folder


@pytest.fixture
def agent(site: Path) -> Iterator[sqlite3.Connection]:
    """The store as an agent has it open, with a real outage and two drills of one."""
    journal = Journal()
    outage(journal)
    drilled(journal, BEFORE, -10 * 86_400.0)
    drilled(journal)
    db = database.opened(site / "state" / "edgeagent.db", BASE)
    db.executemany(
        "INSERT INTO journal(time, kind, body) VALUES (?, ?, ?)",
        [(line.time, line.kind, orjson.dumps(line.body)) for line in journal.lines],
    )
    yield db
    db.close()


def drill(site: Path, *words: str | Path) -> Result:
    return invoke("drill", *words, "--config", site)


@pytest.mark.parametrize(("words", "told"), [((), DRILL), ((BEFORE,), BEFORE)], ids=["the last one", "by its id"])
def test_a_report_is_markdown_in_the_sites_language(
    site: Path, agent: sqlite3.Connection, words: tuple[str, ...], told: str
) -> None:
    result = drill(site, "report", *words, *CHINA)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("# 演练")
    assert told in result.stdout


@pytest.mark.parametrize(("language", "titles"), [("en", 1), ("both", 2)])
def test_a_report_is_a_page_in_the_language_asked_for(
    site: Path, agent: sqlite3.Connection, language: str, titles: int
) -> None:
    result = drill(site, "report", "--format", "html", "--language", language)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("<!DOCTYPE html>")
    assert result.stdout.count("<h1>") == titles


def test_a_report_is_json_for_programs_and_goes_into_a_file(
    site: Path, agent: sqlite3.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    result = drill(site, "report", DRILL, "--format", "json", "--out", file)
    assert (result.exit_code, result.stdout) == (0, "")
    found = json.loads(file.read_text(encoding="utf-8"))
    assert (found["drill_id"], found["mode"], found["before"]) == (DRILL, "drill", BEFORE)


def test_a_drill_that_nobody_knows_is_told_with_the_nearest_one(site: Path, agent: sqlite3.Connection) -> None:
    result = drill(site, "report", DRILL.replace("good", "god"))
    assert result.exit_code == 1
    assert f'did you mean "{DRILL}"?' in result.stderr


def test_without_any_drill_there_is_no_report(site: Path) -> None:
    database.opened(site / "state" / "edgeagent.db", BASE).close()
    result = drill(site, "report")
    assert result.exit_code == 1
    assert "no drill in the journal" in result.stderr


@pytest.mark.parametrize("words", [("report",), ("debt",)])
def test_a_host_without_an_agent_has_no_journal(site: Path, words: tuple[str, ...]) -> None:
    result = drill(site, *words)
    assert result.exit_code == 1
    assert "no such file" in result.stderr


def test_the_debt_has_each_procedure_on_each_shift(site: Path, agent: sqlite3.Connection) -> None:
    result = drill(site, "debt", *CHINA)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    day, night = (next(line for line in lines if " outage " in line and shift in line) for shift in ("白班", "夜班"))
    assert "上次演练 2026-11-25" in day
    assert DRILL in day
    assert night.startswith("✗")
    assert night.endswith("从未演练")


def test_the_debt_is_json_for_programs(site: Path, agent: sqlite3.Connection) -> None:
    rows = json.loads(drill(site, "debt", "--json", *CHINA).stdout)
    found = {(each["procedure"], each["shift"]): each for each in rows}
    assert found["outage", "day"]["drill_id"] == DRILL
    assert found["outage", "day"]["last"] == "2026-11-25T00:30:00.000Z"
    assert found["outage", "night"] == {
        "procedure": "outage", "shift": "night", "last": None, "days": None, "overdue": True, "drill_id": "",
    }  # fmt: skip


def test_what_is_overdue_fails_only_who_asks_for_that(site: Path, agent: sqlite3.Connection) -> None:
    assert drill(site, "debt").exit_code == 0
    assert drill(site, "debt", "--fail").exit_code == 1


def test_a_recorded_incident_becomes_a_scenario_that_the_site_can_run(site: Path, agent: sqlite3.Connection) -> None:
    (site / "drills").mkdir()
    file = site / "drills" / "incident.toml"
    result = drill(site, "from", RUN, *CHINA, "--out", file)
    assert result.exit_code == 0, result.stderr
    made = tomllib.loads(file.read_text(encoding="utf-8"))
    assert made["procedure"] == "outage"
    file.rename(site / "drills" / f"{made['scenario']}.toml")
    checked = invoke("check", "--config", site)
    assert checked.exit_code == 0, checked.stderr
    listed = {each["scenario"]: each for each in json.loads(drill(site, "list", "--json").stdout)}
    assert listed[made["scenario"]]["lacks"] == []


def test_an_incident_that_nobody_knows_is_told_with_the_nearest_one(site: Path, agent: sqlite3.Connection) -> None:
    result = drill(site, "from", "outage-20261125-0831")
    assert result.exit_code == 1
    assert f'did you mean "{RUN}"?' in result.stderr


def test_of_an_incident_that_no_device_can_show_there_is_no_scenario(site: Path, agent: sqlite3.Connection) -> None:
    text = (site / "site.toml").read_text(encoding="utf-8")
    host = device("this-host", "workstation/host", "host://")
    (site / "site.toml").write_text(text.partition("[devices.ups-a]")[0] + host + SHIFTS, encoding="utf-8")
    result = drill(site, "from", RUN)
    assert (result.exit_code, result.stdout) == (1, "")
    assert RUN in result.stderr
    assert "Traceback" not in result.stderr
