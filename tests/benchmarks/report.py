"""What came of a run: a table to read, a page with it, and raw figures for whoever wants to count again."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import figures
from tests.benchmarks.figures import Row

BEGIN: Final = "<!-- figures: written by make bench -->"
END: Final = "<!-- end of figures -->"


def machine() -> str:
    """Say what kind of machine this is, not which."""
    system = next(
        (line.partition("=")[2].strip('"') for line in _lines("/etc/os-release") if line.startswith("PRETTY_NAME")),
        platform.system(),
    )
    return f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, {system}, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _cells(row: Row) -> tuple[str, str, str, str]:
    goal = "" if row.goal is None else f"≤ {row.goal:g}{_unit(row.unit)}"
    figure = f"{row.spread}{_unit(row.unit)}" if row.spread.values else ""
    return row.what, figure, goal, row.verdict


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out for a terminal."""
    lines, group = [], ""
    for row in rows:
        if row.group != group:
            group = row.group
            lines += ["", group]
        what, figure, goal, verdict = _cells(row)
        lines.append(f"  {what:62} {figure:36} {goal:12} {verdict}".rstrip())
    kept = sum(row.verdict == figures.MET for row in rows)
    short = sum(row.verdict == figures.SHORT for row in rows)
    return "\n".join([*lines, "", f"{kept} goals met, {short} fall short"])


def markdown(rows: Sequence[Row], about: str) -> str:
    """Lay the rows out for a page."""
    lines, group = [about], ""
    for row in rows:
        if row.group != group:
            group = row.group
            lines += ["", f"**{group}**", "", "| what | median (min to max) | goal | |", "|---|---|---|---|"]
        what, figure, goal, verdict = _cells(row)
        strong = f"**{verdict}**" if verdict == figures.SHORT else verdict
        lines.append(f"| {what} | {figure} | {goal} | {strong} |")
    return "\n".join(lines)


def insert(page: Path, text: str) -> None:
    """Put the figures into a page, between its marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{page} has no place for figures"
    assert end, f"{page} has no end of its figures"
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def raw(rows: Sequence[Row], measured: Sequence[dict[str, Any]], about: str) -> str:
    """Write all figures as JSON."""
    said = [
        {
            "group": row.group, "what": row.what, "unit": row.unit, "values": row.spread.values, "goal": row.goal,
            "verdict": row.verdict,
        }
        for row in rows
    ]  # fmt: skip
    whole = {"about": about, "rows": said, "measured": list(measured)}
    return json.dumps(whole, indent=1, ensure_ascii=False).replace("Infinity", "null") + "\n"
