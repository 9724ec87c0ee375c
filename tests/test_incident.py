"""A recorded incident becomes a scenario: what happened is lived through, made a file, and played as a drill."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from edgeagent import resources, scenariofiles
from edgeagent.catalog import Severity
from edgeagent.config import Site
from edgeagent.incident import IncidentError, scenario_of
from edgeagent.inventory import rules_of
from edgeagent.scenario import LONGEST, Scenario
from edgeagent.showing import Shown, shown
from edgeagent.store import Entry
from tests.rehearsed import BEGIN, CHINA, LEADER, Played, Told, load_site

HAPPENED: Final = sorted(
    path.stem for path in (resources.examples() / "drills").glob("*.toml") if path.stem != "ups-self-test"
)
"""Shipped scenarios as what may really happen; a self-test leaves no run."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return load_site(tmp_path_factory.mktemp("incident") / "site")


def lived(site: Site, name: str) -> Played:
    played = Played(site, site.drills.scenarios[name])
    played.live_through()
    return played


def opened(lines: Iterable[Entry]) -> list[str]:
    return [line.body["run_id"] for line in lines if line.kind == "run" and line.body["verb"] == "opened"]


def of_run(lines: Iterable[Entry], run_id: str) -> list[Entry]:
    """Return what the journal gives for a run: its lines and those of its own alarms."""
    lines = list(lines)
    own = [line for line in lines if line.kind == "run" and line.body["run_id"] == run_id]
    ids = {id for line in own for id in line.body["run"].get("alarms", ())}
    return [*own, *(line for line in lines if line.body.get("alarm_id") in ids)]


def read(site: Site, text: str, folder: Path) -> Scenario:
    """Read a scenario as `check` does one of the site's own."""
    id = tomllib.loads(text)["scenario"]
    (folder / f"{id}.toml").write_text(text, encoding="utf-8")
    return scenariofiles.load([folder / "none", folder], site.catalog, site.procedures, site)[id]


def raised(told: Told) -> set[str]:
    """Return the alarms that people were told of."""
    return {each.alarm.alarm_id for each in told.alarms if each.verb == "raised" and each.alarm.state == "unack"}


@pytest.mark.parametrize("all_lines", [True, False], ids=["all-alarms", "own-alarms"])
@pytest.mark.parametrize("name", HAPPENED)
def test_what_happened_comes_again_as_a_drill(site: Site, name: str, tmp_path: Path, *, all_lines: bool) -> None:
    real = lived(site, name)
    run_id = opened(real.live.journal)[0]
    lines = real.live.journal if all_lines else of_run(real.live.journal, run_id)
    drill = Played(site, read(site, scenario_of(lines, run_id, site), tmp_path))
    drill.play()
    assert set(drill.verdicts().values()) == {"met"}, "\n".join(drill.story())
    assert not drill.failures()
    runs = [change.run for change in real.live.runs if change.run.run_id == run_id]
    again = [change.run for change in drill.told.runs if change.run.procedure == runs[-1].procedure][-1]
    assert (again.state, again.steps[0].state) == (runs[-1].state, runs[-1].steps[0].state)
    assert raised(drill.told) >= set(runs[-1].alarms)
    if all_lines:
        assert raised(drill.told) >= {id for run in runs for id in run.beside}


def test_the_file_says_when_it_was_and_names_nobody(site: Site) -> None:
    real = lived(site, "outage-good-start")
    text = scenario_of(real.live.journal, opened(real.live.journal)[0], site, CHINA)
    found = tomllib.loads(text)
    assert found["scenario"] == "outage-261125"
    assert found["text"] == {
        "en": "Power outage (mains lost), as on 2026-11-25", "zh": "断电（市电断电）（2026-11-25 实况）",
    }  # fmt: skip
    assert "mains.mains-lost" in text
    assert LEADER not in text


def test_the_targets_are_those_of_the_procedure(site: Site, tmp_path: Path) -> None:
    real = lived(site, "outage-good-start")
    scenario = read(site, scenario_of(real.live.journal, opened(real.live.journal)[0], site), tmp_path)
    by = {expected.step: expected.by for expected in scenario.expects if expected.step}
    assert (by["tell"], by["generator-carries"]) == (130, 610)
    assert {expected.by for expected in scenario.expects if expected.what == "ack"} == {130}


def test_the_generator_has_the_load_again_before_the_upses_are_lit(site: Site, tmp_path: Path) -> None:
    real = lived(site, "outage-good-start")
    scenario = read(site, scenario_of(real.live.journal, opened(real.live.journal)[0], site), tmp_path)
    at = {inject.line.split(" ", 2)[2]: inject.at for inject in scenario.timeline}
    assert at["genset on-load = true"] < at["ups-a source = normal"]
    assert at["ats position = mains"] > at["ats position = generator"]


def test_an_alarm_that_no_device_can_be_made_to_show_is_named_in_a_comment(site: Site) -> None:
    real = lived(site, "outage-good-start")
    run_id = opened(real.live.journal)[0]
    lines = []
    for line in real.live.journal:
        body = dict(line.body)
        if body.get("run_id") == run_id:
            body["run"] = {**body["run"], "beside": ["genset.vendor-alarm.x9"]}
        lines.append(Entry(line.kind, line.time, body, line.seq))
    first = next(line for line in lines if line.kind == "alarm")
    lines.append(
        Entry("alarm", first.time, {**first.body, "alarm_id": "genset.vendor-alarm.x9", "verb": "raised"}, 10_000)
    )
    text = scenario_of(lines, run_id, site)
    assert "# Cannot be made to come here: genset.vendor-alarm.x9." in text
    assert "vendor-alarm" not in str(tomllib.loads(text))


@pytest.mark.parametrize(("silence", "stood"), [(15, 4), (30, 20)])
def test_a_short_silence_lasts_as_long_as_its_alarm_stood_and_long_enough_for_it(
    site: Site, tmp_path: Path, silence: int, stood: int
) -> None:
    shipped = site.drills.scenarios["outage-silent-device"]
    timeline = tuple(
        replace(each, at=120.0 + silence) if each.line == "at 4:00 one ups answers" else each
        for each in shipped.timeline
        if "every generator silent" not in each.line and "every generator answers" not in each.line
    )
    real = Played(site, replace(shipped, timeline=timeline))
    real.live_through()
    came, went = (each.at for each in real.live.alarms if each.alarm.alarm_id == "ups-a.unreachable")
    assert went - came == stood
    scenario = read(site, scenario_of(real.live.journal, opened(real.live.journal)[0], site), tmp_path)
    drill = Played(site, scenario)
    drill.play()
    at = {each.line.split()[-1]: each.at for each in scenario.timeline}
    assert at["answers"] - at["silent"] >= max(stood, 15)
    assert set(drill.verdicts().values()) == {"met"}, "\n".join(drill.story())


def later(value: Any, after: float, by: float) -> Any:  # noqa: ANN401 - whatever a line of the journal holds
    """Move all moments after one."""
    if isinstance(value, dict):
        return {key: later(each, after, by) for key, each in value.items()}
    if isinstance(value, list):
        return [later(each, after, by) for each in value]
    return value + by if isinstance(value, float) and value > after else value


def test_a_fault_that_lasted_longer_than_any_drill_fits_into_the_longest(site: Site, tmp_path: Path) -> None:
    real = lived(site, "seat-headset")
    run_id = opened(real.live.journal)[0]
    lines = [
        Entry(line.kind, later(line.time, BEGIN + 400, 6 * 3600.0), later(line.body, BEGIN + 400, 6 * 3600.0), line.seq)
        for line in real.live.journal
    ]
    text = scenario_of(lines, run_id, site)
    assert read(site, text, tmp_path).duration == LONGEST
    assert "# What came later than four hours is left out" in text


def test_a_run_of_a_drill_is_no_incident(site: Site) -> None:
    played = Played(site, site.drills.scenarios["seat-headset"])
    played.play()
    with pytest.raises(IncidentError, match="no real one"):
        scenario_of(played.told.journal, opened(played.told.journal)[0], site)


def test_an_unknown_run_is_told(site: Site) -> None:
    with pytest.raises(IncidentError, match="outage-x: the journal knows no such run"):
        scenario_of([], "outage-x", site)


SAID: Final = {
    "ups-a.on-battery": ("critical", "source = battery", "source = normal"),
    "ups-b.runtime-low": (
        "major",
        "battery.runtime = 480, source = battery",
        "battery.runtime = 2400, source = normal",
    ),
    "ups-b.charger-fault": ("major", "alarms + charger-fault", "alarms - charger-fault"),
    "genset.mains-lost": ("critical", "mains.voltage = 167.2", "mains.voltage = 230"),
    "genset.oil-pressure-low": ("critical", "alarms + oil-pressure-low.shutdown", "alarms - oil-pressure-low.shutdown"),
    "climate-hall.temperature-high": ("major", "temperature = 34", "temperature = 23"),
    "contacts.door.front": ("warning", "door.front = true", "door.front = false"),
    "crm.unreachable": ("major", "answer = silent", "answer = ok"),
    "crac-1.unreachable": ("minor", "silent", "answers"),
    "crac-1.filter-dirty": ("warning", "", ""),
    "ups-a.profile-mismatch": ("major", "", ""),
}


@pytest.mark.parametrize("id", SAID)
def test_an_alarm_comes_by_what_its_driver_can_say(site: Site, id: str) -> None:
    rule = next(rule for rule in rules_of(site) if rule.id == id)
    severity, begin, end = SAID[id]
    found = shown(site, rule.resource, rule.type, Severity(severity))
    assert found == (Shown(tuple(begin.split(", ")), tuple(end.split(", "))) if begin else None)
