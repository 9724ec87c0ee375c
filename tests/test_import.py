"""`edgeagent import` makes a driver that loads, or says why not and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeagent.driverfiles import load
from edgeagent.resources import drivers
from tests.rig import invoke
from tests.test_comap import EXPORT

LIST = (
    "name,type,index,scale,unit,point,alarm\nReturn temperature,analog,3,0.1,C,return.temperature,\n"
    "High pressure,digital,21,,,,high-pressure\n"
)


@pytest.mark.parametrize(
    ("source", "kind", "text", "point"),
    [("comap", "generator", EXPORT, "speed"), ("carel", "hvac", LIST, "return.temperature")],
)
def test_an_export_becomes_a_driver_of_the_sites_own(
    tmp_path: Path, source: str, kind: str, text: str, point: str
) -> None:
    export = tmp_path / "list.txt"
    export.write_text(text, encoding="utf-8")
    printed = invoke("import", source, export, "--name", "our-unit")
    assert printed.exit_code == 0, printed.stderr
    made = invoke("import", source, export, "--name", "our-unit", "--out", tmp_path / "own")
    assert made.exit_code == 0, made.stderr
    assert (tmp_path / "own" / kind / "our-unit.toml").read_text(encoding="utf-8") == printed.stdout
    assert point in load([drivers(), tmp_path / "own"]).drivers[f"{kind}/our-unit"].points
    again = invoke("import", source, export, "--name", "our-unit", "--out", tmp_path / "own")
    assert again.exit_code == 2
    assert "stands there already" in again.stderr


@pytest.mark.parametrize("source", ["comap", "carel"])
def test_what_is_no_export_makes_nothing(tmp_path: Path, source: str) -> None:
    export = tmp_path / "list.txt"
    export.write_bytes(b"\xff\xfe\x00 nothing of the kind \x00" * 50)
    done = invoke("import", source, export, "--name", "our-unit", "--out", tmp_path / "own")
    assert done.exit_code == 78
    assert "list.txt" in done.stderr
    assert not (tmp_path / "own").exists()


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    export = tmp_path / "list.txt"
    export.write_text(EXPORT, encoding="utf-8")
    done = invoke("import", "comap", export, "--name", "../../evil", "--out", tmp_path / "own")
    assert done.exit_code == 78
    assert not (tmp_path / "own").exists()
