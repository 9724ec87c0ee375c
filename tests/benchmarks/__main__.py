"""Measure the agent beside its peers: `make bench`, or `python -m tests.benchmarks [ROW …]`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.benchmarks import crowding, picture, polling, report, telling
from tests.benchmarks.bench import SETTLED, Bench
from tests.benchmarks.figures import Row
from tests.benchmarks.site import COMPILER, MISSING
from tests.rig import ROOT

ROWS: Final[Mapping[str, Callable[[Bench], Iterator[Row]]]] = {
    "snmp": polling.snmp,
    "others": polling.others,
    "growth": polling.growth,
    "modbus": polling.modbus,
    "dead": polling.dead,
    "rough": polling.rough,
    "faults": telling.faults,
    "fast": telling.fast,
    "traps": telling.traps,
    "alarms": telling.alarms,
    "v3": crowding.v3,
    "memory": crowding.memory,
    "seats": crowding.seats,
}
PARTS: Final = "parts"
"""The benchmarks of single parts, which are tests of their own, bench_*.py: another five minutes, when asked for."""


def parts() -> None:
    """Run the benchmarks of single parts; they print their own figures."""
    words = ["-s", "-q", "-o", "python_files=bench_*.py", "tests/benchmarks"]
    subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, check=False)


def _write(out: Path, page: Path | None, rows: list[Row], bench: Bench, load: float) -> None:
    """Write what there is by now, so that a run that is broken off leaves something."""
    about = (
        f"{report.machine()}, load up to {load:.1f} with this run; {bench.rounds} rounds of {bench.seconds:g} s, "
        f"{time.strftime('%Y-%m-%d', time.gmtime())}."
    )
    drawn = picture.draw(rows)
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(report.raw(rows, bench.raw, about), encoding="utf-8")
    (out / "bench.svg").write_text(drawn, encoding="utf-8")
    if page:
        report.insert(page, report.markdown(rows, about))
        page.with_suffix(".svg").write_text(drawn, encoding="utf-8")


def main() -> int:
    """Measure what is asked for, and say it as a table, raw figures, a picture and a page."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of {', '.join(ROWS)}; all without one; or {PARTS}")
    parser.add_argument("--quick", action="store_true", help="once and briefly: to see that it runs, not to compare")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder of bench.json and bench.svg")
    parser.add_argument("--page", type=Path, help="a page to put the figures into; the picture goes beside it")
    chosen = parser.parse_args()
    wanted = chosen.rows or [*ROWS]
    if unknown := set(wanted) - ROWS.keys() - {PARTS}:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    if COMPILER is None:
        sys.stderr.write(f"{MISSING}\n")
        return 1
    rounds, seconds = (1, 3.0) if chosen.quick else (chosen.rounds, chosen.seconds)
    rows: list[Row] = []
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), seconds, rounds, SETTLED / 2 if chosen.quick else SETTLED)
        for name in wanted:
            if name in ROWS:
                print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
                rows += ROWS[name](bench)
                loads.append(os.getloadavg()[0])
                _write(chosen.out, chosen.page, rows, bench, max(loads))
    if rows:
        print(f"\n{report.table(rows)}\n{chosen.out}/bench.json, {chosen.out}/bench.svg", flush=True)
    if PARTS in wanted:
        parts()
    return 0


if __name__ == "__main__":
    sys.exit(main())
