"""Each shipped scenario, played on a site of real drivers with people who do their part: what it expects must come."""

from __future__ import annotations

from typing import Final

import pytest

from edgeagent import drillscreen, resources, sitefiles
from edgeagent.config import Site
from edgeagent.drill import End
from edgeagent.procedure import Phase
from edgeagent.scenario import LONGEST, What
from tests.rehearsed import Played, load_site

FOLDER: Final = resources.examples() / "drills"
SHIPPED: Final = sorted(path.stem for path in FOLDER.glob("*.toml"))
BEGIN: Final = 10.0
"""s after its start at which every shipped scenario begins to show something."""
LATE: Final = {("outage-no-transfer", "generator-carries")}
"""Steps that a scenario does not let be done by the procedure's target."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return load_site(tmp_path_factory.mktemp("scenes") / "site")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_comes_to_its_expected_outcome_and_all_of_it_bears_the_mark(site: Site, name: str) -> None:
    played = Played(site, site.drills.scenarios[name])
    drill = played.play()
    wrong = {line: verdict for line, verdict in played.verdicts().items() if verdict not in ("met", "held")}
    assert not wrong, "\n".join(played.story())
    assert not played.failures()
    assert drill.end is (End.TIME if name == "ups-self-test" else End.COMPLETED)
    assert {change.alarm.origin for change in played.told.alarms} <= {drill.drill_id}
    assert {change.run.origin for change in played.told.runs} <= {drill.drill_id}
    assert {forecast.origin for forecast in played.told.forecasts if forecast.outage} <= {drill.drill_id}
    assert (played.live.alarms, played.live.runs) == ([], []), "the real floor is well"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_step_is_expected_by_the_target_of_its_procedure(site: Site, name: str) -> None:
    scenario = site.drills.scenarios[name]
    for expected in scenario.expects:
        if expected.what is not What.STEP or expected.never or (name, expected.step) in LATE:
            continue
        step = next(each for each in site.procedures[expected.name].steps if each.id == expected.step)
        recovered = next(each.by for each in scenario.expects if each.what is What.RECOVERED)
        start = BEGIN if step.phase is Phase.RESPONSE else recovered
        # The clock of a fault of many starts when it is told.
        told = 0.0 if scenario.procedure != "system-fault" else 30.0
        assert expected.by <= start + told + (LONGEST if step.due is None else step.due), expected.line


def test_each_procedure_is_rehearsed_by_a_scenario(site: Site) -> None:
    assert {scenario.procedure for scenario in site.drills.scenarios.values()} == set(site.procedures)


def test_people_who_tell_nobody_are_found_out(site: Site) -> None:
    played = Played(site, site.drills.scenarios["outage-good-start"])
    played.play(late=["tell"])
    missed = {line for line, verdict in played.verdicts().items() if verdict == "missed"}
    assert missed == {"by 2:10 step outage/tell", "by 31:00 closed outage"}


def test_the_example_site_is_told_what_it_cannot_rehearse() -> None:
    """It has no headsets, and its services and seats are watched by nobody."""
    example = sitefiles.load(resources.examples(), resources.drivers())
    cannot = {each["scenario"] for each in drillscreen.scenarios(example) if each["lacks"]}
    assert cannot == {"seat-headset", "crm-unreachable"}


GENSETS: Final = ("basler-dgc2020hd", "cummins-pcc1301", "comap-intelilite", "smartgen-hgm", "dynagen-gsc400")
UNITS: Final = ("stulz-c7000", "daikin-diii", "carel-standard-ac", "stulz-c2020")
UPSES: Final = ("huawei-ups2000", "megatec", "vertiv-ita2", "alpha-compas", "bke-dc-ups")
OTHERS: Final = [
    *(("generator/dse-gencomm", f"generator/{model}", "outage-good-start") for model in GENSETS),
    *(("hvac/liebert-icom", f"hvac/{model}", "cooling-unit-trips") for model in UNITS),
    *(("ups/apc-powernet", f"ups/{model}", "outage-good-start") for model in UPSES),
]
URLS: Final = {
    "snmp": "snmp://192.0.2.9?version=2c&community=floor-read", "modbus": "modbus://192.0.2.9:502?unit=3",
    "serial": "serial:///dev/ttyS9",
}  # fmt: skip


@pytest.mark.parametrize(("had", "has", "name"), OTHERS, ids=[f"{has}" for _, has, _ in OTHERS])
def test_a_scenario_fits_devices_that_tell_the_same_in_other_words(
    tmp_path_factory: pytest.TempPathFactory, had: str, has: str, name: str
) -> None:
    folder = tmp_path_factory.mktemp("other") / "site"
    protocol = load_site(folder).catalog.drivers[has].protocol
    lines = (folder / "site.toml").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line == f'driver = "{had}"':
            lines[number : number + 2] = [f'driver = "{has}"', f'url = "{URLS[protocol]}"']
            break
    (folder / "site.toml").write_text("\n".join(lines), encoding="utf-8")
    other = sitefiles.load(folder, resources.drivers())
    played = Played(other, other.drills.scenarios[name])
    played.play()
    assert set(played.verdicts().values()) <= {"met", "held"}, "\n".join(played.story())
    assert not played.failures()
