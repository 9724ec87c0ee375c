"""The drills folders: what is wrong in them is told with file, line, key and the nearest word, all at once."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from edgeagent.catalog import Text
from edgeagent.mistakes import Mistake, Mistakes
from edgeagent.resources import examples
from edgeagent.scenario import USUAL, Do, Scenario
from edgeagent.scenariofiles import load
from edgeagent.targets import Park
from tests.duty import catalog, shipped
from tests.hall import hall

FILE = """\
scenario = "dark"
version = 2
text = { en = "Dark", zh = "断电" }
purpose = { en = "Learn", zh = "学习" }
procedure = "outage"
duration = "25min"
scope = ["hall"]
timeline = [
  # what the mains does
  "at 0:10 every ups source = battery",
  "at 0:10 every ups input.voltage = 0", "at 9:00 every ups released",
]
expect = [
  "by 0:45 alarm mains.mains-lost",
  "never run security",
]
abort = ["any environment temperature > 32"]
"""


@cache
def site() -> Park:
    """Return a site with two UPSes, a generator, a cooler, a sensor and six seats."""
    return hall().site()


def folder(tmp_path: Path, name: str = "drills", **files: str) -> Path:
    place = tmp_path / name
    place.mkdir(exist_ok=True)
    for file, text in files.items():
        (place / f"{file}.toml").write_text(text, encoding="utf-8")
    return place


def mistakes(*places: Path, known: Park | None = None) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        load(places, catalog(), shipped(), known)
    return list(map(str, caught.value.found))


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    dark = load([folder(tmp_path, dark=FILE)], catalog(), shipped(), site())["dark"]
    assert (dark.id, dark.version, dark.text, dark.purpose) == (
        "dark", 2, Text("Dark", "断电"), Text("Learn", "学习"),
    )  # fmt: skip
    assert (dark.procedure, dark.duration, dark.scope) == ("outage", 1500, ("hall",))
    assert [(inject.at, inject.do) for inject in dark.timeline] == [(10, Do.SET), (10, Do.SET), (540, Do.RELEASE)]
    assert [(each.by, each.never) for each in dark.expects] == [(45, False), (0, True)]
    assert [(each.kind, each.when.text, each.line) for each in dark.aborts] == [
        ("environment", "temperature > 32", "any environment temperature > 32")
    ]


def test_a_drill_lasts_half_an_hour_where_nothing_else_is_said(tmp_path: Path) -> None:
    text = FILE.replace('duration = "25min"\n', "")
    assert load([folder(tmp_path, dark=text)], catalog(), shipped())["dark"].duration == USUAL == 1800


WRONG = {
    "an id that is none": ('"dark"', '"Dark"', '1: scenario: "Dark" does not fit: lower-case words joined by hyphens'),
    "an id too long for those of drills": (
        '"dark"', '"a-mains-outage-with-a-weak-battery"', "1: scenario: string should have at most 26 characters",
    ),
    "another name than the file": ('"dark"', '"light"', "1: scenario: the file is dark.toml; make both the same"),
    "a version below 1": ("version = 2", "version = 0", "2: version: input should be greater than or equal to 1"),
    "a language missing": ('{ en = "Dark", zh = "断电" }', '{ zh = "断电" }', "3: text.en: is missing"),
    "a purpose missing": ('purpose = { en = "Learn", zh = "学习" }', "", "1: purpose: is missing"),
    "an unknown procedure": ('"outage"', '"outtage"', '5: procedure: unknown procedure "outtage", did you mean'),
    "no duration": ('"25min"', '"long"', '6: duration: "long" is no duration; write for example "90s"'),
    "a day": ('"25min"', '"4h1s"', "6: duration: input should be less than or equal to 14400"),
    "an unknown key": ("scope = ", "scop = ", '7: scop: unknown key, did you mean "scope"?'),
    "no line": ('"at 0:10 every ups source = battery"', "10", "8: timeline.0: input should be a valid string"),
    "a wrong word": ("source = battery", "source = batery", '10: timeline.0: "batery" is no value of source, did you'),
    "a wrong word on a line of two": ("released", "relaesed", '11: timeline.2: "relaesed" is nothing to do, did'),
    "an inject after the end": ("at 9:00", "at 25:01", "11: timeline.2: comes after the end of the drill, 25:00"),
    "a wrong expectation": ("mains-lost", "mains-los", '14: expect.0: unknown alarm type "mains-los", did you mean'),
    "an expectation after the end": ("by 0:45", "by 1:00:00", "14: expect.0: comes after the end of the drill, 25:00"),
    "an end of no device": ("any environment", "any room", '17: abort.0: unknown kind "room"'),
    "an end by no point": ("temperature >", "temprature >", '17: abort.0: unknown point "temprature", did you mean'),
    "an end by a limit": ("> 32", "> limit", "17: abort.0: there is no limit here; write the number"),
    "an end nobody can read": ("> 32", ">", '17: abort.0: a number or a word is missing at the end of "temperature >"'),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_told_with_line_key_and_nearest_word(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in FILE
    found = mistakes(folder(tmp_path, dark=FILE.replace(old, new, 1)))
    assert [line for line in found if line.startswith(f"drills/dark.toml:{expected}")], found


def test_a_drill_shows_something(tmp_path: Path) -> None:
    text = FILE.partition("timeline = [")[0] + "timeline = []\n"
    assert mistakes(folder(tmp_path, dark=text)) == [
        "drills/dark.toml:8: timeline: tuple should have at least 1 item after validation, not 0"
    ]


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    text = FILE.replace("= battery", "= batery").replace("alarm mains", "alrm mains").replace('"outage"', '"out"')
    place = folder(tmp_path, dark=text, other="scenario =")
    assert [line.partition(": ")[0] for line in mistakes(place)] == [
        "drills/dark.toml:5", "drills/dark.toml:10", "drills/dark.toml:14", "drills/other.toml:1",
    ]  # fmt: skip


def test_one_scenario_stands_in_one_file_of_a_folder(tmp_path: Path) -> None:
    found = mistakes(folder(tmp_path, dark=FILE, more=FILE))
    assert found == ['drills/more.toml:1: scenario: "dark" stands in drills/dark.toml already']


def test_the_site_s_own_file_wins_over_the_shipped_one_whole(tmp_path: Path) -> None:
    shipped_ones = folder(tmp_path, "shipped", dark=FILE, other=FILE.replace('"dark"', '"other"'))
    own = folder(tmp_path, dark=FILE.replace("version = 2", "version = 3").replace("abort", "# abort"))
    found = load([shipped_ones, own], catalog(), shipped())
    assert {id: (each.version, len(each.aborts)) for id, each in found.items()} == {"dark": (3, 0), "other": (2, 1)}


def test_a_missing_folder_has_none(tmp_path: Path) -> None:
    assert load([tmp_path / "none", tmp_path / "nothing"], catalog(), shipped()) == {}


# What a site cannot show.

ELSEWHERE = FILE.replace("every ups input.voltage = 0", "usp-a input.voltage = 0").replace('["hall"]', '["attic"]')
LACKS = [
    'drills/dark.toml:7: scope.0: this site has no "attic"',
    'drills/dark.toml:11: timeline.1: this site has no device "usp-a"',
]


def noted(*places: Path) -> tuple[dict[str, Scenario], list[str]]:
    notes: list[Mistake] = []
    return dict(load(places, catalog(), shipped(), site(), notes)), list(map(str, notes))


def test_what_the_site_lacks_is_a_mistake_in_a_scenario_of_its_own(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "shipped", folder(tmp_path, dark=ELSEWHERE), known=site()) == LACKS


def test_and_a_note_in_a_shipped_one_that_is_there_all_the_same(tmp_path: Path) -> None:
    place = folder(tmp_path, dark=ELSEWHERE, pale=ELSEWHERE.replace('"dark"', '"pale"'))
    found, notes = noted(place, tmp_path / "own")
    assert list(found) == ["dark", "pale"]
    assert notes == ['drills: this site has no "attic": cannot rehearse dark, pale']


def test_a_copy_of_a_shipped_one_is_not_the_site_s_own(tmp_path: Path) -> None:
    place = folder(tmp_path, "shipped", dark=ELSEWHERE)
    shutil.copytree(place, tmp_path / "drills")
    assert len(noted(place, tmp_path / "drills")[1]) == 1


def test_what_is_passed_over_in_a_scenario_of_ones_own_is_noted(tmp_path: Path) -> None:
    text = FILE.replace("every ups input.voltage = 0", "every ups input.voltage.l1 = 0")
    _, notes = noted(tmp_path / "shipped", folder(tmp_path, dark=text))
    why = "no ups here can show input.voltage.l1 = 0"
    assert notes == [f"drills/dark.toml:11: timeline.1: is passed over: {why}"]
    assert noted(folder(tmp_path, dark=text))[1] == []


def test_an_alarm_of_nobody_at_this_site_cannot_be_expected(tmp_path: Path) -> None:
    text = FILE.replace("alarm mains.", "alarm grid.")
    assert mistakes(tmp_path / "shipped", folder(tmp_path, dark=text), known=site()) == [
        'drills/dark.toml:14: expect.0: this site has no "grid"'
    ]


def test_the_words_of_a_device_are_those_of_its_kind(tmp_path: Path) -> None:
    text = FILE.replace("every ups input.voltage = 0", "ups-a state = running")
    assert [line[:70] for line in mistakes(folder(tmp_path, dark=text), known=site())] == [
        'drills/dark.toml:11: timeline.1: unknown point "state" (known: alarms, '[:70]
    ]


# What is shipped.


def test_every_shipped_scenario_can_be_read() -> None:
    found = load([examples() / "drills"], catalog(), shipped())
    assert {path.stem for path in (examples() / "drills").glob("*.toml")} == found.keys()
    assert {scenario.procedure for scenario in found.values()} <= shipped().keys()
