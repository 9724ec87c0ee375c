"""The procedures folders: what is wrong in them is told with file, line, key and the nearest word, all at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from edgeagent import survived
from edgeagent.catalog import Text
from edgeagent.mistakes import Mistakes
from edgeagent.procedure import Phase, Procedure, Role, Scope, Ticked
from edgeagent.procedurefiles import load
from edgeagent.resources import examples
from tests.duty import catalog, shipped

FILE = """\
procedure = "flood"
version = 3
text = { en = "Flood", zh = "水浸" }
scope = "area"
owner = "leader"
settle = "1min30s"
level = 2

[[triggers]]
kinds = ["environment"]
types = ["water"]
severity = "major"
level = 1

[steps.tell]
text = { en = "Tell", zh = "报告" }
role = "leader"
due = "1h30min"
opens = 60
[[steps.tell.escalations]]
after = "5min"
role = "manager"
text = { en = "Not told", zh = "未报告" }

[steps.dry]
text = { en = "Dry", zh = "抽水" }
role = "om"
needs = ["tell"]
done_when = [{ kind = "environment", when = "not water", hold = "10s" }]

[steps.log]
text = { en = "Log", zh = "记录" }
role = "leader"
phase = "recovery"

[levels.1]
text = { en = "One", zh = "一" }
restore = "30min"
[levels.2]
text = { en = "Two", zh = "二" }
restore = "15min"
"""


def folder(tmp_path: Path, **files: str) -> Path:
    place = tmp_path / "procedures"
    place.mkdir(exist_ok=True)
    for name, text in files.items():
        (place / f"{name}.toml").write_text(text, encoding="utf-8")
    return place


def mistakes(place: Path, nodes: frozenset[str] | None = None) -> list[str]:
    with pytest.raises(Mistakes) as error:
        load([place], catalog(), nodes)
    return list(map(str, error.value.found))


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    flood = load([folder(tmp_path, flood=FILE)], catalog())["flood"]
    assert (flood.id, flood.version, flood.scope, flood.owner, flood.settle) == (
        "flood",
        3,
        Scope.AREA,
        Role.LEADER,
        90,
    )
    tell, dry, log = flood.steps
    assert (tell.due, tell.opens, tell.ticked, tell.escalations[0].after) == (5400, 60, Ticked.PERSON, 300)
    assert (dry.ticked, dry.needs, dry.done_when[0].hold) == (Ticked.EITHER, ("tell",), 10)
    assert log.phase is Phase.RECOVERY
    assert [level.restore for level in flood.levels] == [1800, 900]
    assert flood.triggers[0].level == 1


WRONG = {
    "a version below 1": ("version = 3", "version = 0", "2: version: input should be greater than or equal to 1"),
    "a language missing": ('{ en = "Flood", zh = "水浸" }', '{ en = "Flood" }', "3: text.zh: is missing"),
    "an empty text": ('zh = "水浸"', 'zh = ""', "3: text.zh: string should have at least 1 character"),
    "an unknown scope": ('"area"', '"zone"', '4: scope: "zone" is not known (known: site, area, seat, resource)'),
    "an unknown owner": (
        'owner = "leader"',
        'owner = "leaders"',
        '5: owner: "leaders" is not known, did you mean "leader"?',
    ),
    "no duration": (
        '"1min30s"',
        '"a while"',
        '6: settle: "a while" is no duration; write for example "90s", "7min" or "1h30min"',
    ),
    "an unknown key": ("level = 2\n", "levle = 2\n", '7: levle: unknown key, did you mean "level"?'),
    "an unknown level": ("level = 2\n", "level = 4\n", '7: level: unknown fault level "4" (known: 1, 2)'),
    "levels without a level": (
        "level = 2\n",
        "\n",
        "36: levels: needs a level beside them: which one holds until somebody says otherwise",
    ),
    "an unknown kind": (
        'kinds = ["environment"]',
        'kinds = ["environmet"]',
        '10: triggers.0.kinds: unknown kind "environmet", did you mean "environment"?',
    ),
    "an unknown alarm type": (
        '"water"]',
        '"watter"]',
        '11: triggers.0.types: unknown alarm type "watter", did you mean "water"?',
    ),
    "an unknown severity": (
        '"major"',
        '"majer"',
        '12: triggers.0.severity: "majer" is not known, did you mean "major"?',
    ),
    "an unknown level of a trigger": (
        "level = 1\n",
        "level = 9\n",
        '13: triggers.0.level: unknown fault level "9" (known: 1, 2)',
    ),
    "an unknown role": ('role = "om"', 'role = "cook"', '27: steps.dry.role: "cook" is not known'),
    "an unknown need": ('["tell"]', '["tel"]', '28: steps.dry.needs: unknown step "tel", did you mean "tell"?'),
    "a need that comes later": ('["tell"]', '["log"]', '28: steps.dry.needs: "log" is a recovery step and comes later'),
    "a cycle": ('due = "1h30min"', 'needs = ["dry"]', "18: steps.tell.needs: waits for itself: tell → dry → tell"),
    "an unknown point": (
        "not water",
        "not wather",
        '29: steps.dry.done_when.0.when: unknown point "wather", did you mean "water"?',
    ),
    "a limit": (
        "not water",
        "temperature < limit",
        "29: steps.dry.done_when.0.when: there is no limit here; write the number",
    ),
    "a condition nobody can read": (
        "not water",
        "not not",
        '29: steps.dry.done_when.0.when: a point is missing at the end of "not not"',
    ),
    "an unknown kind of a proof": (
        'kind = "environment", when',
        'kind = "enviroment", when',
        '29: steps.dry.done_when.0.kind: unknown kind "enviroment", did you mean "environment"?',
    ),
    "opens after due": ("opens = 60", 'opens = "2h"', "19: steps.tell.opens: must lie before due"),
    "readings without a proof": (
        "opens = 60",
        'ticked = "reading"',
        "19: steps.tell.ticked: needs done_when: nothing says what the readings must show",
    ),
    "a proof nobody looks at": (
        'role = "om"',
        'role = "om"\nticked = "person"',
        "28: steps.dry.ticked: done_when is never looked at when only a person ticks it",
    ),
    "nobody does it": (
        'role = "leader"\ndue',
        'role = "system"\ndue',
        "17: steps.tell.role: no person does it, so it needs done_when",
    ),
    "over in the recovery": (
        'phase = "recovery"',
        'phase = "recovery"\ndone_when = "over"',
        "35: steps.log.done_when: the recovery begins when the fault is over; ask for something else",
    ),
    "lapses in the recovery": (
        'phase = "recovery"',
        'phase = "recovery"\nlapses = true',
        "35: steps.log.lapses: only a response step lapses with the fault",
    ),
    "escalations out of order": (
        "[steps.dry]",
        '[[steps.tell.escalations]]\nafter = "1min"\nrole = "om"\ntext = { en = "x", zh = "x" }\n[steps.dry]',
        "20: steps.tell.escalations: stand from the earliest to the latest",
    ),
    "an escalation to nobody": ('role = "manager"', 'role = "system"', "20: steps.tell.escalations: go to a person"),
    "held by an unknown procedure": (
        "level = 1\n",
        'held_by = ["outage"]\n',
        '13: triggers.0.held_by: unknown procedure "outage" (known: flood)',
    ),
    "held by nothing": (
        "level = 1\n",
        'held_when = "not water"\n',
        "13: triggers.0.held_when: needs held_by beside it, and one kind of device",
    ),
    "beside, yet of a level": (
        "level = 1\n",
        "level = 1\nbeside = true\n",
        "14: triggers.0.beside: an alarm beside a run gives it neither text nor level",
    ),
    "another name than the file": (
        'procedure = "flood"',
        'procedure = "fire"',
        "1: procedure: the file is flood.toml; make both the same",
    ),
}


@pytest.mark.parametrize(("old", "new", "expected"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_told_with_line_key_and_nearest_word(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in FILE
    found = mistakes(folder(tmp_path, flood=FILE.replace(old, new, 1)))
    assert [line for line in found if expected in line], found
    assert all(line.startswith("procedures/flood.toml:") for line in found)


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    place = folder(
        tmp_path, flood=FILE.replace('"water"]', '"watter"]').replace('["tell"]', '["tel"]'), other="procedure ="
    )
    assert [line.partition(":")[0] for line in mistakes(place)] == ["procedures/flood.toml"] * 2 + [
        "procedures/other.toml"
    ]


def test_one_procedure_stands_in_one_file_of_a_folder(tmp_path: Path) -> None:
    found = mistakes(folder(tmp_path, flood=FILE, more=FILE))
    assert found == ['procedures/more.toml:1: procedure: "flood" stands in procedures/flood.toml already']


def test_the_site_s_own_file_wins_over_the_shipped_one(tmp_path: Path) -> None:
    own = FILE.replace("flood", "outage").replace("outage", "outage", 1)
    found = load([examples() / "procedures", folder(tmp_path, outage=own)], catalog())
    assert found["outage"].text == Text("Flood", "水浸")
    assert found["security"] == shipped()["security"]


def test_the_example_site_s_folder_may_be_named_twice_and_a_missing_one_is_none(tmp_path: Path) -> None:
    place = examples() / "procedures"
    assert load([place, place, tmp_path / "none"], catalog()).keys() == shipped().keys()


def test_names_of_the_site_are_checked_where_the_site_is_known(tmp_path: Path) -> None:
    text = FILE.replace('when = "not water"', 'when = "not water", resource = "sensor-1", area = "hal"')
    place = folder(tmp_path, flood=text)
    assert load([place], catalog())["flood"].steps[1].done_when[0].area == "hal"
    assert mistakes(place, frozenset({"sensor-1", "hall"})) == [
        'procedures/flood.toml:29: steps.dry.done_when.0.area: unknown name of the site "hal", did you mean "hall"?'
    ]


# -- what is shipped ----------------------------------------------------------------------------------------------

NAMES = ("air-conditioning", "equipment-fault", "network-emergency", "outage", "security", "system-fault")


def texts(value: object) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if value.keys() >= {"en", "zh"}:
            yield value
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


@pytest.mark.parametrize("name", NAMES)
def test_each_shipped_file_says_everything_in_both_languages(name: str) -> None:
    found = list(texts(tomllib.loads((examples() / "procedures" / f"{name}.toml").read_text(encoding="utf-8"))))
    assert len(found) > 4
    for text in found:
        assert re.search(r"[\u4e00-\u9fff]", text["zh"]), text
        assert not re.search(r"[\u4e00-\u9fff]", text["en"]), text


def test_the_shipped_procedures_are_those_that_floor_hardware_can_start() -> None:
    assert sorted(shipped()) == sorted(NAMES)
    assert all(procedure.triggers and procedure.steps for procedure in shipped().values())
    assert all(any(step.phase is Phase.RECOVERY for step in procedure.steps) for procedure in shipped().values())


def test_the_outage_has_the_window_of_the_rules() -> None:
    steps = {step.id: step for step in shipped()["outage"].steps}
    assert (steps["generator-carries"].opens, steps["generator-carries"].due) == (420, 600)
    assert steps["ups-carries"].role is Role.SYSTEM


def test_the_system_fault_has_the_clocks_of_the_rules() -> None:
    fault = shipped()["system-fault"]
    clocks = {level.id: (level.restore, [(e.after, e.role) for e in level.escalations]) for level in fault.levels}
    slow = (1800, [(1800, "om"), (1800, "manager"), (3600, "department")])
    quick = (900, [(900, "om"), (900, "manager"), (1800, "department")])
    assert clocks == {1: slow, 2: slow, 3: quick, 4: quick}
    assert next(step.due for step in fault.steps if step.id == "report") == 300


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_can_be_written_down_and_read_back(name: str) -> None:
    row = orjson.loads(orjson.dumps(survived.written(shipped()[name])))
    assert survived.read(Procedure, row) == shipped()[name]
