"""SUPPORTED.md says what the catalogue says."""

from __future__ import annotations

import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from edgeagent.catalog import EVIDENCE, Catalog, Driver
from edgeagent.driverfiles import load
from edgeagent.items import Identify, Item
from edgeagent.resources import drivers
from edgeagent.supported import page, recognised

CATALOG: Final = load([drivers()])
ROOT: Final = Path(__file__).parent.parent
DSE: Final = CATALOG.drivers["generator/dse-gencomm"]


def shown(driver: Driver) -> str:
    return page(Catalog(CATALOG.kinds, {driver.id: driver}))


def row(driver: Driver) -> list[str]:
    """Return the cells of a driver's row."""
    (line,) = [line for line in shown(driver).splitlines() if line.startswith("| ") and f"`{driver.id}`" in line]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_page_is_what_the_catalogue_says() -> None:
    """A driver that was just added may wait for the next `make golden` or `make supported`."""
    said = (ROOT / "SUPPORTED.md").read_text(encoding="utf-8")
    listed = {id: driver for id, driver in CATALOG.drivers.items() if f"\n- `{id}` gives" in said}
    assert said == page(Catalog(CATALOG.kinds, listed)), "please run: make supported"


def test_every_driver_has_one_row_under_its_kind_and_its_source() -> None:
    sections = re.split(r"^## ", page(CATALOG), flags=re.MULTILINE)[1:]
    for driver in CATALOG.drivers.values():
        (section,) = [text for text in sections if f"\n- `{driver.id}` gives" in text]
        assert section.startswith(f"{driver.kind.text.en} / {driver.kind.text.zh}\n")
        assert len(re.findall(rf"^\| .*\| `{re.escape(driver.id)}` \|", section, re.MULTILINE)) == 1
        assert driver.source in section
        assert driver.text.zh in section


def test_every_row_has_a_cell_for_every_column() -> None:
    rows = [line for line in page(CATALOG).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"\|", line)) for line in rows} == {6}


def test_every_driver_has_a_grade_that_the_page_explains() -> None:
    text = page(CATALOG)
    assert {driver.evidence for driver in CATALOG.drivers.values()} <= set(EVIDENCE)
    for grade in EVIDENCE:
        assert f"- **{grade}**: " in text


@pytest.mark.parametrize(
    ("ways", "protocol", "said"),
    [
        ((Identify(20, equals={"h768": frozenset({1})}),), "modbus", "yes"),
        ((Identify(10, requires=("1.3.6.1.2.1.33.1.4.1.0",)),), "snmp", "yes"),
        ((Identify(2, between={"i1": ((0, 1000),)}),), "modbus", "by shape"),
        ((), "modbus", "no"),
        ((Identify(10, requires=("online",)),), "host", "yes"),
        ((), "host", "no"),
    ],
    ids=["identity register", "standard tree", "shape", "nothing", "this host", "a part of a seat"],
)
def test_a_row_says_how_a_device_is_recognised(ways: tuple[Identify, ...], protocol: str, said: str) -> None:
    driver = replace(DSE, identify=ways, protocol=protocol)
    assert recognised(driver).startswith(f"{said} / ")
    assert row(driver)[3] == recognised(driver)


def test_models_are_named_and_no_mark_breaks_the_table() -> None:
    cells = row(replace(DSE, models=("DSE 6120", "DSE 7x|0")))
    assert cells[0].endswith("DSE 6120, DSE 7x/0")
    assert len(cells) == 5


def test_what_no_good_source_confirms_has_a_mark() -> None:
    items = tuple(replace(item, unverified=item.point == "fuel") for item in DSE.items)
    text = shown(replace(DSE, items=items))
    assert "(fuel)" in text
    assert "(speed)" not in text
    assert "unverified" not in row(replace(DSE, items=items))[4]
    all_of_it = tuple(replace(item, unverified=True) for item in DSE.items)
    assert row(replace(DSE, items=all_of_it))[4].endswith("unverified / 未验证")


def test_a_driver_that_falls_back_on_another_says_so() -> None:
    other = Item("fuel", "number", ("h1",), driver="generator/other")
    assert "`generator/other`" in shown(replace(DSE, items=(*DSE.items, other)))
    assert "Falls back" not in shown(DSE)


def test_phases_stand_behind_their_point() -> None:
    assert "mains.voltage L1–L3" in shown(DSE)
    assert "mains.voltage.l1" not in shown(DSE)


def test_the_command_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["supported", str(tmp_path / "page.md")])
    monkeypatch.delitem(sys.modules, "edgeagent.supported")
    runpy.run_module("edgeagent.supported", run_name="__main__")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page(CATALOG)
