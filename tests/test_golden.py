"""Every capture under tests/captures reads as its golden file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from edgeagent.decode import SYS_DESCR, SYS_OBJECT_ID, decode, fits
from edgeagent.devices import known
from edgeagent.driverfiles import load
from edgeagent.probe import Found
from edgeagent.readings import Missing, Raw
from edgeagent.resources import drivers

FOLDER: Final = Path(__file__).parent / "captures"
CATALOG: Final = load([drivers()])
CAPTURES: Final = sorted([*FOLDER.glob("*/*.rec"), *FOLDER.glob("*/*.snmprec")])


def raw(tag: str, text: str) -> Raw:
    """Read one value: an ASN.1 tag of snmprec (x for hex), or a type of our own records."""
    if tag in ("int", "2", "65", "66", "67", "70"):
        return int(text)
    if tag == "float":
        return float(text)
    if tag == "missing":
        return Missing(text)
    if tag == "5":
        return Missing.NULL
    if tag == "6":
        return text
    return bytes.fromhex(text) if tag == "bytes" or tag.endswith("x") else text.encode()


def answers(path: Path) -> dict[str, Raw]:
    """Answer every address of the driver as the captured device would."""
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#"))
    objects = {address: raw(tag, text) for address, tag, text in (line.split("|", 2) for line in lines)}
    driver = CATALOG.drivers[f"{path.parent.name}/{path.stem.partition('_')[0]}"]
    own = (address for item in driver.identity for address in item.addresses)
    wanted = (SYS_OBJECT_ID, SYS_DESCR, *driver.identify.addresses, *own, *driver.gets)
    found: dict[str, Raw] = {address: objects.get(address, Missing.ABSENT) for address in wanted}
    for root in driver.walks:
        rows = {oid: value for oid, value in objects.items() if oid.startswith(f"{root}.")}
        found |= {**rows, root: len(rows)}
    return found


def test_there_are_captures() -> None:
    assert CAPTURES


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_capture_reads_as_its_golden_file_says(path: Path) -> None:
    driver = CATALOG.drivers[f"{path.parent.name}/{path.stem.partition('_')[0]}"]
    device = answers(path)
    assert fits(driver, device)
    object_id = device.get(SYS_OBJECT_ID)
    driver = driver.on(object_id) if isinstance(object_id, str) and not isinstance(object_id, Missing) else driver
    found = Found(driver, known(driver, device, 0.0), decode(driver, device, 0.0))
    assert found.as_json() == json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
