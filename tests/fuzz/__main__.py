"""Fuzz each parser in turn, for so many seconds each, and say how far that came.

`python -m tests.fuzz --seconds 60 [--target NAME …]` keeps what it finds in build/fuzz/<target>: `corpus`, with which
the next run begins, and `crashes`, each a file of the bytes that did it. It exits with 1 when there was a crash.
`python -m tests.fuzz --again FILE --target NAME` runs one such file. `--table` writes docs/fuzzing.md's table anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.child import CORPUS, CRASHES
from tests.fuzz.targets import NAMES, target

ROOT: Final = Path(__file__).parent.parent.parent
FOUND: Final = ROOT / "build/fuzz"
PAGE: Final = ROOT / "docs/fuzzing.md"
_BEGIN, _END = "<!-- table -->\n", "<!-- /table -->\n"
_HEAD: Final = (
    "| target | executions | s | edges | new by fuzzing | lines of its modules | crashes |\n"
    "|---|---:|---:|---:|---:|---:|---:|\n"
)
_EXECUTED: Final = re.compile(r"stat::number_of_executed_units: *(\d+)")
_EDGES: Final = re.compile(r"cov: (\d+)")
_LASTED: Final = re.compile(r"Done \d+ runs in (\d+) second")
_OF: Final = re.compile(r"#\d+\s+INITED cov: (\d+)")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one target. `edges` are those reached, `new` of them by what the seeds did not reach."""

    target: str
    executions: int
    seconds: int
    edges: int
    new: int
    lines: int
    of: int
    crashes: int

    def row(self) -> str:
        reached = f"{100 * self.lines / self.of:.0f} % of {self.of}" if self.of else "–"
        edges = f"{self.edges} | {self.new}" if self.edges else "– | –"
        return f"| {self.target} | {self.executions:,} | {self.seconds} | {edges} | {reached} | {self.crashes} |"


def fuzz(name: str, seconds: int) -> Result:
    """Fuzz one target and count what it reached."""
    folder = FOUND / name
    for each in (CORPUS, CRASHES):
        (folder / each).mkdir(parents=True, exist_ok=True)
    for seed in target(name).seeds():
        (folder / CORPUS / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    before = set((folder / CRASHES).iterdir())
    ended = child("fuzz", name, str(seconds), str(folder))
    said = ended.stderr.decode("utf-8", "replace") + ended.stdout.decode("utf-8", "replace")
    crashes = set((folder / CRASHES).iterdir()) - before
    if crashes or ended.returncode:
        told = [line for line in said.splitlines() if not line.startswith(("#", "stat::", "INFO", "\tNEW_FUNC"))]
        print("\n".join(told[-30:]), file=sys.stderr)
        print("".join(f"{crash.relative_to(ROOT)}\n" for crash in crashes), file=sys.stderr)
    edges = [int(edge) for edge in _EDGES.findall(said)]
    first = _OF.search(said)
    ran, lasted = _EXECUTED.search(said), _LASTED.search(said)
    counted = child("lines", name, str(folder))
    lines = json.loads(counted.stdout.splitlines()[-1]) if counted.returncode == 0 else {}
    if counted.returncode:
        print(counted.stderr.decode("utf-8", "replace")[-2000:], file=sys.stderr)
    result = Result(
        name, int(ran[1]) if ran else 0, int(lasted[1]) if lasted else 0, max(edges, default=0),
        max(edges, default=0) - int(first[1]) if first else 0,
        sum(reached for reached, _ in lines.values()), sum(there for _, there in lines.values()),
        len(crashes) or int(ended.returncode != 0),
    )  # fmt: skip
    (folder / "last.json").write_text(json.dumps(asdict(result)), encoding="utf-8")
    return result


def child(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run one part of the work apart; libFuzzer ends its process as it is, so what that leaves behind goes here."""
    with tempfile.TemporaryDirectory() as scratch:
        return subprocess.run(
            [sys.executable, "-m", "tests.fuzz.child", *words], cwd=ROOT, capture_output=True, check=False,
            env={**os.environ, "TMPDIR": scratch},
        )  # fmt: skip


def table(before: str) -> str:
    """Write what the last run of each target gave; one that was not run here keeps its row of `before`."""
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines()[2:]}
    for path in (FOUND / name / "last.json" for name in NAMES):
        if path.is_file():
            found = Result(**json.loads(path.read_text(encoding="utf-8")))
            rows[found.target] = found.row()
    return _HEAD + "".join(f"{rows[name]}\n" for name in NAMES if name in rows)


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("--seconds", type=int, default=60)
    asked.add_argument("--target", action="append", choices=NAMES, default=[])
    asked.add_argument("--again", type=Path)
    asked.add_argument("--table", action="store_true")
    said = asked.parse_args()
    if said.again is not None:
        target(said.target[0]).build()(said.again.read_bytes())
        return 0
    if said.table:
        text = PAGE.read_text(encoding="utf-8")
        begin, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
        PAGE.write_text(text[:begin] + table(text[begin:end]) + text[end:], encoding="utf-8")
        return 0
    crashes = 0
    print(_HEAD, end="", flush=True)
    for name in said.target or NAMES:
        result = fuzz(name, said.seconds)
        crashes += result.crashes
        print(result.row(), flush=True)
    return int(crashes > 0)


if __name__ == "__main__":
    sys.exit(main())
