"""Golden files: what each capture reads as, beside it. `make golden` writes those that are missing.

A capture's folder and name say its driver: `captures/<kind>/<driver>_<what it shows>`. A golden file that says
something else than today's drivers is shown and left alone, unless `--accept` says that the new text is right.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgeagent.captures import Capture, load
from edgeagent.catalog import Catalog, Driver
from edgeagent.driverfiles import load as load_drivers
from edgeagent.fit import best
from edgeagent.mistakes import Mistakes
from edgeagent.probe import plan_of, read
from edgeagent.readings import Raw
from edgeagent.resources import drivers

FOLDER: Final = Path(__file__).parent / "captures"
ASIDE: Final = frozenset({"confidence", "others"})
"""What depends on the other drivers of the catalogue, not on this device."""


def captures(folder: Path = FOLDER) -> list[Path]:
    """List all captures."""
    return sorted([*folder.glob("*/*.rec"), *folder.glob("*/*.snmprec")])


def driver_of(path: Path, catalog: Catalog) -> Driver:
    """Find the driver that a capture is for. Raises KeyError when there is none of that name."""
    return catalog.drivers[f"{path.parent.name}/{path.stem.partition('_')[0]}"]


def identified(capture: Capture, catalog: Catalog) -> list[str]:
    """List the drivers that the captured device fits, the best first."""
    rivals = [driver for driver in catalog.drivers.values() if driver.protocol == capture.protocol]
    answers: dict[str, Raw] = {}
    for driver in rivals:
        plan = plan_of(driver)
        answers |= capture.answers(plan.gets)
    return [driver.id for driver, _ in best(rivals, answers)]


def text_of(path: Path, catalog: Catalog) -> str:
    """Return what the golden file of a capture should say by today's drivers."""
    driver = driver_of(path, catalog)
    plan = plan_of(driver)
    found = read(driver, load(path).answers(plan.gets, plan.walks), 0.0).as_json()
    kept = {key: value for key, value in found.items() if key not in ASIDE}
    return json.dumps(kept, indent=1, ensure_ascii=False) + "\n"


def update(folder: Path, catalog: Catalog, accept: bool) -> tuple[list[str], bool]:
    """Write what is missing, and with `accept` what changed; return what to print and whether all is settled."""
    said: list[str] = []
    settled = True
    for path in captures(folder):
        golden, text = path.with_suffix(".json"), text_of(path, catalog)
        name = str(golden.relative_to(folder))
        if not golden.exists():
            golden.write_text(text, encoding="utf-8")
            said.append(f"new      {name}: compare it with the device's display or its manual before you commit it")
            continue
        old = golden.read_text(encoding="utf-8")
        if json.loads(old) == json.loads(text):
            continue
        said += difflib.unified_diff(
            old.splitlines(), text.splitlines(), name, f"{name} by today's drivers", lineterm=""
        )
        if accept:
            golden.write_text(text, encoding="utf-8")
            said.append(f"changed  {name}")
        else:
            settled = False
            said.append(f"differs  {name}: left alone; make golden ARGS=--accept overwrites it")
    for golden in sorted(folder.glob("*/*.json")):
        if not any(golden.with_suffix(suffix).exists() for suffix in (".rec", ".snmprec")):
            settled = False
            said.append(f"stray    {golden.relative_to(folder)}: there is no capture beside it")
    return said, settled


def main(words: Sequence[str]) -> int:
    """Run as a command."""
    if set(words) - {"--accept"}:
        sys.stderr.write("usage: python -m tests.golden [--accept]\n")
        return 2
    try:
        catalog = load_drivers([drivers()])
    except Mistakes as error:
        sys.stderr.write(f"{error}\n")
        return 78
    said, settled = update(FOLDER, catalog, "--accept" in words)
    sys.stdout.write("".join(f"{line}\n" for line in said or ["every golden file says what the drivers say"]))
    return 0 if settled else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
