"""Every capture under tests/captures reads as its golden file says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Final

import pytest

from edgeagent.captures import load
from edgeagent.driverfiles import load as load_drivers
from edgeagent.resources import drivers
from tests import golden

CATALOG: Final = load_drivers([drivers()])
CAPTURES: Final = golden.captures()
RECORD: Final = "environment/xy-md02_manual-example"

pytestmark = pytest.mark.disable_socket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A captures folder with one capture and its golden file."""
    (tmp_path / "environment").mkdir()
    for suffix in (".rec", ".json"):
        shutil.copy(golden.FOLDER / f"{RECORD}{suffix}", tmp_path / f"{RECORD}{suffix}")
    return tmp_path


def test_there_are_captures() -> None:
    assert CAPTURES


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_capture_reads_as_its_golden_file_says(path: Path) -> None:
    assert json.loads(golden.text_of(path, CATALOG)) == json.loads(
        path.with_suffix(".json").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_captured_device_is_taken_for_no_other(path: Path) -> None:
    driver = golden.driver_of(path, CATALOG)
    identified = golden.identified(load(path), CATALOG)
    assert identified[:1] == ([driver.id] if driver.identify else []), identified


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_capture_says_where_it_comes_from(path: Path) -> None:
    comments = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    assert [line for line in comments if not re.fullmatch(r"# [a-z]+/[a-z0-9-]+", line)]


def test_all_golden_files_are_settled_and_none_is_stray() -> None:
    assert [path.name for path in golden.FOLDER.glob("*/*.json") if not _captured(path)] == []


def _captured(path: Path) -> bool:
    return any(path.with_suffix(suffix).exists() for suffix in (".rec", ".snmprec"))


def test_nothing_is_said_or_written_when_all_agrees(folder: Path) -> None:
    before = (folder / f"{RECORD}.json").read_bytes()
    assert golden.update(folder, CATALOG, accept=True) == ([], True)
    assert (folder / f"{RECORD}.json").read_bytes() == before


def test_a_new_capture_gets_its_golden_file(folder: Path) -> None:
    file = folder / f"{RECORD}.json"
    known = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    said, settled = golden.update(folder, CATALOG, accept=False)
    assert settled
    assert said[0].startswith(f"new      {RECORD}.json")
    assert json.loads(file.read_text(encoding="utf-8")) == known


def test_a_golden_file_that_differs_is_shown_and_left_alone(folder: Path) -> None:
    file = folder / f"{RECORD}.json"
    wrong = file.read_text(encoding="utf-8").replace("30.5", "30.6")
    file.write_text(wrong, encoding="utf-8")
    said, settled = golden.update(folder, CATALOG, accept=False)
    assert not settled
    assert any(re.fullmatch(r'-\s+"value": 30\.6,', line) for line in said)
    assert any(re.fullmatch(r'\+\s+"value": 30\.5,', line) for line in said)
    assert file.read_text(encoding="utf-8") == wrong


def test_a_golden_file_that_differs_is_overwritten_when_told_so(folder: Path) -> None:
    file = folder / f"{RECORD}.json"
    right = file.read_text(encoding="utf-8")
    file.write_text(right.replace("30.5", "30.6"), encoding="utf-8")
    said, settled = golden.update(folder, CATALOG, accept=True)
    assert settled
    assert said[-1] == f"changed  {RECORD}.json"
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(right)


def test_a_golden_file_without_a_capture_is_told(folder: Path) -> None:
    (folder / f"{RECORD}.rec").unlink()
    said, settled = golden.update(folder, CATALOG, accept=True)
    assert not settled
    assert said == [f"stray    {RECORD}.json: there is no capture beside it"]


def test_an_unknown_word_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert golden.main(["--force"]) == 2
    assert "usage" in capsys.readouterr().err
