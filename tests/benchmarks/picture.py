"""The run as a picture: what a poll costs each tool, and how far each goal is met, on logarithmic axes, as SVG.

The agent's own `chart.py` draws moments on an axis of time; these are amounts, so they are drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from tests.benchmarks.figures import SHORT, Row

_WIDTH, _LEFT, _RIGHT, _LINE = 860, 430, 760, 19
_FONT: Final = "'Noto Sans',sans-serif"
_OURS, _OTHERS, _SHORT, _INK, _GRID = "#1f5f8b", "#9aa5ae", "#b3541e", "#1f2a33", "#dfe4e8"
_LEAST: Final = 1e-3


def draw(rows: Sequence[Row]) -> str:
    """Draw what there is of both panels."""
    polls = [each for each in rows if each.what.endswith("CPU a poll") and each.spread.values]
    goals = [each for each in rows if each.goal and each.spread.values]
    body: list[str] = []
    at = 24.0
    if polls:
        named = [
            (
                f"{each.what.removesuffix(', CPU a poll')} · {each.group}",
                each.spread.middle,
                each.what.startswith("agent"),
            )
            for each in polls
        ]
        at = _panel(
            body,
            at,
            "CPU a poll, µs",
            [(name, value, _OURS if ours else _OTHERS, _number(value)) for name, value, ours in named],
        )
    if goals:
        parts = [
            (
                f"{each.what} · {each.group}",
                each.spread.middle / (each.goal or 1),
                _SHORT if each.verdict == SHORT else _OURS,
                f"{_number(each.spread.middle)} {each.unit if math.isfinite(each.spread.middle) else ''}",
            )
            for each in goals
        ]
        at = _panel(body, at + 26, "part of what the goal allows (1: just met)", parts, mark=1.0)
    size = f'viewBox="0 0 {_WIDTH} {at + 10:.0f}"'
    look = f'font-family="{_FONT}" font-size="11" fill="{_INK}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {look}>'
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{at + 10:.0f}" fill="#fff"/>', *body, "</svg>", ""])


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "never"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _panel(
    body: list[str], at: float, title: str, bars: Sequence[tuple[str, float, str, str]], mark: float | None = None
) -> float:
    """Draw one panel below `at` and return where it ends."""
    known = [max(value, _LEAST) for _, value, _, _ in bars if math.isfinite(value)] + ([mark] if mark else [])
    low, high = math.floor(math.log10(min(known)) - 0.01), math.ceil(math.log10(max(known)) + 0.01)

    def place(value: float) -> float:
        share = (math.log10(max(min(value, 10**high), 10**low)) - low) / (high - low)
        return _LEFT + (_RIGHT - _LEFT) * share

    body.append(f'<text x="12" y="{at:.0f}" font-weight="bold" font-size="13">{escape(title)}</text>')
    top, bottom = at + 12, at + 12 + _LINE * len(bars)
    body.extend(_axis(low, high, place, top, bottom))
    for number, (name, value, colour, told) in enumerate(bars):
        y, end = top + _LINE * number, place(value)
        body.append(f'<text x="{_LEFT - 8}" y="{y + 13:.0f}" text-anchor="end">{escape(name)}</text>')
        body.append(
            f'<rect x="{_LEFT}" y="{y + 4:.0f}" width="{max(end - _LEFT, 1):.1f}" height="11" fill="{colour}"/>'
        )
        body.append(f'<text x="{max(end, _LEFT) + 5:.1f}" y="{y + 13:.0f}">{escape(told)}</text>')
    if mark:
        body.append(f'<path d="M{place(mark):.1f} {top - 2:.0f}V{bottom + 2:.0f}" stroke="{_INK}" stroke-width="1.5"/>')
    return bottom + 18


def _axis(low: int, high: int, place: object, top: float, bottom: float) -> Iterator[str]:
    assert callable(place)
    for power in range(low, high + 1):
        x = place(10.0**power)
        yield f'<path d="M{x:.1f} {top:.0f}V{bottom:.0f}" stroke="{_GRID}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 12:.0f}" text-anchor="middle" font-size="9">{10.0**power:g}</text>'
