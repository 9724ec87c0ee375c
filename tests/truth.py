"""Walks of real devices and what people read in them: `python -m tests.truth` prints field by capture.

The walks lie beside the project; nothing of them is in it. Each is answered from memory as its card would, and the
same comparison serves what `edgeagent probe --json` printed after asking over the wire.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console
from rich.table import Table

from edgeagent import fit, probe
from edgeagent.captures import Capture
from edgeagent.captures import load as capture
from edgeagent.catalog import Driver
from edgeagent.driverfiles import load
from edgeagent.phases import PHASES
from edgeagent.probe import Found
from edgeagent.readings import Answers, Raw
from edgeagent.resources import drivers

FOLDER: Final = Path(__file__).parent.parent.parent / "shared" / "captures"
CATALOG: Final = load([drivers()])
SNMP: Final = [driver for driver in CATALOG.drivers.values() if driver.protocol == "snmp"]
NAMES: Final = sorted(file.stem for file in FOLDER.glob("*.snmprec"))
needs_captures: Final = pytest.mark.skipif(not NAMES, reason=f"walks of real devices are not in {FOLDER}")
BY_HAND: Final[Mapping[str, Mapping[str, Any]]] = {
    "eaton-93e-80": {
        "charge_pct": 100, "load_pct": [21, 16, 12], "input_v": [227, 227, 233], "output_v": [220, 220, 220],
    },
    "ingrasys-power-switch": {
        "charge_pct": 100, "load_pct": [33, 33, 33], "input_v": [228, 229, 227], "output_v": [220, 220, 220],
        "must_be_unknown": ["runtime_min"],
    },
    "centreon-ups-apc-galaxy": {"charge_pct": 100, "runtime_min": 101.8, "battery_temp": 28},
    "centreon-ups-apc-battery-low": {"charge_pct": 75, "alarms_allowed": ["ups.battery-low", "ups.battery-replace"]},
}  # fmt: skip
"""What the walks say that have no entry in truth.json, read by people."""
POINTS: Final = {
    "charge_pct": "battery.charge", "runtime_min": "battery.runtime", "load_pct": "output.load",
    "input_v": "input.voltage", "output_v": "output.voltage", "battery_temp": "battery.temperature",
}  # fmt: skip
RAISED: Final = {
    "cyberpower": ["ups.environment"],
    "generex-ups_cs141": ["ups.on-bypass"],
    "centreon-ups-apc-battery-low": ["ups.battery-low", "ups.battery-replace"],
}
"""What a walk shows, and so must be raised; all others raise nothing."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One field of one walk: what people know of it, what was read, and whether that agrees."""

    field: str
    known: object
    read: object
    right: bool


@cache
def truth(name: str) -> Mapping[str, Any]:
    """Return what people know of a walk."""
    known = json.loads((FOLDER / "truth.json").read_text(encoding="utf-8"))
    found: Mapping[str, Any] = known.get(name) or {"source": ["normal"], "alarms_allowed": [], **BY_HAND.get(name, {})}
    return found


@cache
def walk(name: str) -> Mapping[str, Raw]:
    """Return what a walked card answered, by OID."""
    return {oid: raw for oid, (_, raw) in capture(FOLDER / f"{name}.snmprec").objects.items()}


def answers(driver: Driver, objects: Mapping[str, Raw]) -> Answers:
    """Answer as a card would that has these objects."""
    plan = probe.plan_of(driver)
    return Capture("snmp", {oid: (0, raw) for oid, raw in objects.items()}).answers(plan.gets, plan.walks)


def recognised(objects: Mapping[str, Raw]) -> list[Driver]:
    """Return the drivers that fit, the best first."""
    asked = {address: raw for driver in SNMP for address, raw in answers(driver, objects).items()}
    return [driver for driver, _ in fit.best(SNMP, asked)]


def read(objects: Mapping[str, Raw], driver: Driver | None = None) -> Found | None:
    """Identify and read a device that has these objects; None when no driver fits."""
    chosen = driver or next(iter(recognised(objects)), None)
    return None if chosen is None else probe.read(chosen, answers(chosen, objects), 0.0)


def marks(found: Mapping[str, Any], name: str) -> Iterator[Mark]:
    """Compare what `probe --json` says of a walk with what people know of it, field by field."""
    known, readings = truth(name), found["readings"]
    driver = CATALOG.drivers[found["driver"]]
    unknown = known.get("must_be_unknown", [])
    for field, id in POINTS.items():
        rows = [readings[f"{id}.{phase}"] for phase in PHASES if f"{id}.{phase}" in readings]
        fitted = [row for row in rows if row.get("reason") not in ("not-fitted", "absent", "null")]
        shown = [row["value"] for row in fitted or [readings.get(id, {"value": None})]]
        if field in unknown:
            bad = readings.get(id, {"quality": "bad", "reason": "absent"})
            yield Mark(field, "unknown", shown, bad["quality"] == "bad" and shown == [None] and "reason" in bad)
        elif known.get(field) is not None:
            wanted = known[field] if isinstance(known[field], list) else [known[field]]
            if len(wanted) == 3 and wanted[1:] == [0, 0]:
                wanted = wanted[:1]  # a single-phase unit whose card shows three rows
            wanted = [60 * value for value in wanted] if field == "runtime_min" else wanted
            yield Mark(field, wanted, shown, _close(shown, wanted, digit(driver, id)))
    if known.get("source"):
        source = readings.get("source", {"value": None})["value"]
        yield Mark("source", known["source"], source, source in known["source"])
    allowed = known.get("alarms_allowed", [])
    right = all(any(fnmatch(alarm, each) for each in allowed) for alarm in found["alarms"])
    right = right and found["alarms"] == RAISED.get(name, [])
    yield Mark("alarms", RAISED.get(name, []), found["alarms"], right)


def digit(driver: Driver, id: str) -> float:
    """Return one digit of a point, in its unit, as the driver reads it."""
    return max((item.scale for item in driver.items if item.point in (id, f"{id}.l1")), default=1)


def _close(shown: Sequence[object], wanted: Sequence[float], step: float) -> bool:
    return len(shown) == len(wanted) and all(
        isinstance(value, (int, float)) and abs(value - known) <= max(0.005 * abs(known), step)
        for value, known in zip(shown, wanted, strict=True)
    )


def table() -> tuple[Table, int]:
    """Return field by capture, and how many of the fields are wrong."""
    fields = [*POINTS, "source", "alarms"]
    rows, wrong = Table("capture", "driver", *fields, title="read / known where they differ"), 0
    for name in NAMES:
        found = read(walk(name))
        if found is None:
            rows.add_row(name, "none fits")
            wrong += truth(name).get("kind", "UPS") == "UPS"
            continue
        cells = {mark.field: mark for mark in marks(found.as_json(), name)}
        wrong += sum(not mark.right for mark in cells.values())
        rows.add_row(name, found.driver.id, *(_cell(cells.get(field)) for field in fields))
    return rows, wrong


def _cell(mark: Mark | None) -> str:
    if mark is None:
        return "·"
    text = "/".join(map(str, mark.read)) if isinstance(mark.read, list) else str(mark.read)
    return text or "none" if mark.right else f"[red]{text or 'none'} ≠ {mark.known}[/red]"


if __name__ == "__main__":
    if not NAMES:
        sys.exit(f"walks of real devices are not in {FOLDER}")
    shown, failures = table()
    Console(width=220).print(shown)
    sys.exit(f"{failures} fields are wrong" if failures else 0)
