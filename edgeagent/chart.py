"""Draws what happened when: rows of bars and marks over one axis of time, as SVG text. Pure.

Owns the drawing; what is drawn comes from `timeline.py`. Nothing in it comes from outside: no script, no font file, no
picture. Looks differ in shade and shape, not in hue alone, so that a grey print can be read. Long stretches in which
nothing happens are cut short, and the axis says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from html import escape
from itertools import pairwise
from typing import Final

from edgeagent.wording import clean, duration, local

WIDTH: Final = 720.0
_LEFT, _RIGHT = 212.0, 602.0  # the plot; the labels stand left of it, what came of each row right of it
_ROW, _HEAD, _FLAG = 21.0, 25.0, 16.0
_FONT: Final = "'Noto Sans CJK SC','Source Han Sans SC','Microsoft YaHei','PingFang SC','WenQuanYi Zen Hei',sans-serif"
_STEPS: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800)
"""Between two ticks, s."""
_APART: Final = 58.0
"""px between two ticks at least."""
_LONGEST: Final = 0.14
"""Part of the axis that a quiet stretch takes at most."""
_INK, _PALE, _GRID = "#1f2a33", "#5d6b76", "#dfe4e8"


_HATCHES: Final = """<defs>
<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="5" height="5" fill="#fff"/><rect width="1.8" height="5" fill="#5d6b76"/></pattern>
<pattern id="late" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">
<rect width="4" height="4" fill="#8f1d21"/><rect width="1.2" height="4" fill="#fff"/></pattern>
</defs>"""


class Look(StrEnum):
    """What a bar looks like."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"
    TARGET = "target"
    """From when its clock began until it should be done."""
    WINDOW = "window"
    """In which it is expected."""
    WORK = "work"
    LATE = "overtime"
    SHOWN = "shown"
    """In which a drill changes what a device says."""


class Shape(StrEnum):
    """What a mark looks like. No word of it is one of Look: both are keys of one legend."""

    DONE = "done"
    LATE = "late"
    SKIPPED = "skipped"
    OPEN = "open"
    REMINDER = "reminder"
    ESCALATION = "escalation"
    ACK = "ack"
    INJECT = "inject"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time, epoch s; None reaches to the edge of the picture."""

    start: float | None
    end: float | None
    look: Look


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment, epoch s."""

    at: float
    shape: Shape


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the picture: what it is about, what happened, and what came of it in a few words."""

    label: str
    bars: tuple[Bar, ...] = ()
    marks: tuple[Mark, ...] = ()
    result: str = ""
    heading: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A moment that matters to all rows, numbered in the order of time and explained below the picture."""

    at: float
    word: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture. `legend` explains looks and shapes.

    A fault's time counts from its onset, and quiet stretches are cut short; a shift's (`plain`) is the clock's.
    """

    title: str
    start: float
    end: float
    rows: tuple[Row, ...]
    flags: tuple[Flag, ...] = ()
    legend: tuple[tuple[Look | Shape, str], ...] = ()
    plain: bool = False

    def moments(self) -> list[float]:
        """Return every moment that it shows, in order."""
        found = {self.start, self.end, *(flag.at for flag in self.flags)}
        for row in self.rows:
            found |= {mark.at for mark in row.marks}
            found |= {at for bar in row.bars for at in (bar.start, bar.end) if at is not None}
        return sorted(at for at in found if self.start <= at <= self.end)


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a moment lies on the axis: straight pieces between `times`, each as wide as its `widths` say, px."""

    times: tuple[float, ...]
    places: tuple[float, ...]
    cuts: tuple[tuple[float, float], ...]
    """The stretches that are cut short."""
    unit: float
    """px a second elsewhere."""

    def place(self, at: float) -> float:
        """Return the x of a moment; what lies outside lies at the edge."""
        if at <= self.times[0]:
            return self.places[0]
        for (t0, t1), (x0, x1) in zip(pairwise(self.times), pairwise(self.places), strict=True):
            if at <= t1:
                return x0 + (x1 - x0) * (at - t0) / (t1 - t0)
        return self.places[-1]


def scale(moments: Sequence[float], left: float = _LEFT, right: float = _RIGHT) -> Scale:
    """Spread moments over the axis. What is quiet for long is cut short."""
    times = moments if len(moments) > 1 else [moments[0], moments[0] + 1.0]
    gaps = [after - before for before, after in pairwise(times)]
    kept, most = gaps, max(_LONGEST, 1.6 / len(gaps))
    for _ in range(20):
        limit = most * sum(kept)
        kept = [min(gap, limit) for gap in gaps]
    lengths = [gap if most >= 1.0 or short > gap / 2 else short for gap, short in zip(gaps, kept, strict=True)]
    unit = (right - left) / sum(lengths)
    places = [left]
    for length in lengths:
        places.append(places[-1] + length * unit)
    cuts = tuple((t0, t1) for (t0, t1), gap, length in zip(pairwise(times), gaps, lengths, strict=True) if length < gap)
    return Scale(tuple(times), tuple(places), cuts, unit)


def draw(chart: Chart, language: str, zone: tzinfo | None) -> str:
    """Draw the picture as one `<svg>` element, WIDTH px wide."""
    return _Drawing(chart, language, zone).text()


@dataclass(slots=True)
class _Drawing:
    chart: Chart
    language: str
    zone: tzinfo | None
    scale: Scale = field(init=False)

    def __post_init__(self) -> None:
        self.scale = scale([self.chart.start, self.chart.end] if self.chart.plain else self.chart.moments())

    def text(self) -> str:
        flags, depth = self._flags()
        top = 8.0 + depth * _FLAG
        body, bottom = self._rows(top)
        axis = list(self._axis(top, bottom))
        notes, height = self._notes(bottom + (34.0 if self.chart.plain else 46.0))
        title = _safe(self.chart.title)
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:.0f}" role="img"',
                f'width="{WIDTH:g}" height="{height:.0f}" aria-label="{title}"',
                f'font-family="{_FONT}" font-size="11" fill="{_INK}">',
                f"<title>{title}</title>",
                _HATCHES,
                f'<rect width="{WIDTH:g}" height="{height:.0f}" fill="#fff"/>',
                *axis,
                *(_line(x, y + 6, x, bottom, _INK, "2 2") for x, y, _ in flags),
                *body,
                *(_number(x, y, number) for x, y, number in flags),
                *notes,
                "</svg>",
            ]
        )

    def _flags(self) -> tuple[list[tuple[float, float, int]], int]:
        """Stack the numbers of flags that stand too close to lie side by side."""
        lanes: list[float] = []
        placed = []
        for number, flag in enumerate(self.chart.flags, 1):
            x = self.scale.place(flag.at)
            lane = next((lane for lane, last in enumerate(lanes) if x - last >= _FLAG), len(lanes))
            lanes[lane : lane + 1] = [x]
            placed.append((x, lane, number))
        return [(x, 10.0 + lane * _FLAG, number) for x, lane, number in placed], len(lanes)

    def _rows(self, top: float) -> tuple[list[str], float]:
        drawn, y = [], top
        for row in self.chart.rows:
            if row.heading:
                y += _HEAD
                drawn.append(
                    f'<text x="4" y="{y - 8:.1f}" font-weight="bold" font-size="11.5">{_safe(row.label)}</text>'
                )
                drawn.append(_line(4, y - 3, WIDTH - 4, y - 3, _PALE))
                continue
            drawn += self._row(row, y)
            y += _ROW
        return drawn, y + 4

    def _row(self, row: Row, y: float) -> Iterator[str]:
        middle = y + _ROW / 2
        label = f"<title>{_safe(row.label)}</title>{_safe(_fitted(row.label, _LEFT - 18))}"
        yield f'<text x="8" y="{middle + 4:.1f}">{label}</text>'
        for bar in row.bars:
            x0 = _LEFT if bar.start is None else self.scale.place(bar.start)
            x1 = _RIGHT if bar.end is None else self.scale.place(bar.end)
            yield _bar(bar.look, x0, max(x1 - x0, 1.6), middle)
        for mark in row.marks:
            yield _mark(mark.shape, self.scale.place(mark.at), middle)
        yield f'<text x="{_RIGHT + 12:g}" y="{middle + 4:.1f}">{_safe(_fitted(row.result, WIDTH - _RIGHT - 14))}</text>'

    def _axis(self, top: float, bottom: float) -> Iterator[str]:
        yield _line(_LEFT, bottom, _RIGHT, bottom, _INK)
        for x, at in self._ticks():
            yield _line(x, top, x, bottom, _GRID)
            yield _line(x, bottom, x, bottom + 4, _INK)
            since = at - self.chart.start
            elapsed = "0" if since == 0 else f"+{duration(since, self.language)}"
            words = [self._clock(at)] if self.chart.plain else [elapsed, self._clock(at)]
            for depth, (word, colour) in enumerate(zip(words, (_INK, _PALE), strict=False)):
                yield _centred(x, bottom + 15 + 12 * depth, word, colour)
        for t0, t1 in self.scale.cuts:
            x0, x1 = self.scale.place(t0), self.scale.place(t1)
            x = (x0 + x1) / 2
            yield f'<rect x="{x - 4:.1f}" y="{top:.1f}" width="8" height="{bottom - top + 2:.1f}" fill="#f3f5f6"/>'
            yield f'<path d="M{x - 7:.1f} {bottom + 5:.1f}l5 -10M{x + 2:.1f} {bottom + 5:.1f}l5 -10" stroke="{_INK}"/>'

    def _clock(self, at: float) -> str:
        step = self._step()
        here, first = local(at, self.zone), local(self.chart.start, self.zone)
        form = "%H:%M:%S" if step < _STEPS[5] or first.second else "%H:%M"
        return f"{here:{form}}" if here.date() == first.date() else f"{here:%m-%d %H:%M}"

    def _step(self) -> float:
        return next((step for step in _STEPS if step * self.scale.unit >= _APART), _STEPS[-1])

    def _ticks(self) -> Iterator[tuple[float, float]]:
        """Give the ticks outside of what is cut short, none so close to the last that their words touch."""
        step, start, last = self._step(), self.chart.start, _LEFT - 2 * _APART
        if self.chart.plain:  # whole hours of the zone, as a clock shows them
            clock = local(start, self.zone)
            start -= (clock.hour * 3600 + clock.minute * 60 + clock.second) % min(step, 86_400)
        edges = [self.chart.start, *(edge for cut in self.scale.cuts for edge in cut), self.chart.end]
        for t0, t1 in zip(edges[::2], edges[1::2], strict=True):
            ticks = [
                start + step * number
                for number in range(max(0, int((t0 - start) // step)), int((t1 - start) // step) + 1)
            ]
            for at in ticks:
                x = self.scale.place(at)
                if t0 <= at <= t1 and x - last >= _APART:
                    yield x, at
                    last = x

    def _notes(self, y: float) -> tuple[list[str], float]:
        """Write the flags' words, then the legend, in lines as wide as the picture."""
        drawn: list[str] = []
        x = 8.0
        for number, flag in enumerate(self.chart.flags, 1):
            width = 20 + _wide(flag.word) + 14
            if x + width > WIDTH and x > 8.0:
                x, y = 8.0, y + 18
            drawn += [_number(x + 7, y, number), f'<text x="{x + 18:.1f}" y="{y + 4:.1f}">{_safe(flag.word)}</text>']
            x += width
        x, y = 8.0, y + (20 if self.chart.flags else 0)
        for look, word in self.chart.legend:
            width = 34 + _wide(word, 10) + 12
            if x + width > WIDTH and x > 8.0:
                x, y = 8.0, y + 17
            sample = _bar(look, x, 24, y) if isinstance(look, Look) else _mark(look, x + 12, y)
            drawn += [
                sample,
                f'<text x="{x + 30:.1f}" y="{y + 4:.1f}" font-size="10" fill="{_PALE}">{_safe(word)}</text>',
            ]
            x += width
        return drawn, y + 14


def _safe(text: str) -> str:
    return escape(clean(text))


def _wide(text: str, size: float = 11.0) -> float:
    """Guess how wide a text is, px: nobody knows the font in which it will be shown."""
    return sum(size if ord(letter) > 0x2E80 else size * 0.53 for letter in text)


def _fitted(text: str, width: float) -> str:
    """Cut a text to a width; the whole of it is still in the row's title."""
    if _wide(text) <= width:
        return text
    while text and _wide(text) > width - 11:
        text = text[:-1]
    return f"{text}…"


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="{colour}"{dashed} fill="none"/>'


def _centred(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="9.5" fill="{colour}">{_safe(text)}</text>'


def _number(x: float, y: float, number: int) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="{_INK}"/><text x="{x:.1f}" y="{y + 3.3:.1f}"'
        f' text-anchor="middle" font-size="9" font-weight="bold" fill="#fff">{number}</text>'
    )


_BARS: Final = {
    # look: height, fill, stroke
    Look.CRITICAL: (11.0, "#8f1d21", "#8f1d21"),
    Look.MAJOR: (11.0, "#d4693f", "#a94a24"),
    Look.MINOR: (11.0, "#f0c05a", "#9a7416"),
    Look.WARNING: (11.0, "#eef2f5", _PALE),
    Look.TARGET: (13.0, "#e6edf2", "#9fb0bc"),
    Look.WINDOW: (13.0, "url(#hatch)", _PALE),
    Look.WORK: (6.0, "#2b6c8f", "#2b6c8f"),
    Look.LATE: (6.0, "url(#late)", "#8f1d21"),
    Look.SHOWN: (6.0, "#d9cfe6", "#6a4c93"),
}
_MARKS: Final = {
    # Drawn round 0,0, 10 px high.
    Shape.DONE: '<circle r="4.6" fill="#2b6c8f" stroke="#fff"/>',
    Shape.LATE: '<path d="M0 -6L6 0L0 6L-6 0Z" fill="#8f1d21" stroke="#fff"/>',
    Shape.SKIPPED: f'<path d="M-4 -4L4 4M-4 4L4 -4" stroke="{_INK}" stroke-width="2.2"/>',
    Shape.OPEN: '<path d="M-3 -4.6L5 0L-3 4.6Z" fill="#fff" stroke="#2b6c8f" stroke-width="1.5"/>',
    Shape.REMINDER: f'<path d="M0 -7.5V7.5" stroke="{_INK}" stroke-width="1.6"/>',
    Shape.ESCALATION: f'<path d="M0 -7L5.6 4H-5.6Z" fill="#f0c05a" stroke="{_INK}"/>',
    Shape.INJECT: '<path d="M-5 -5H5L0 5.5Z" fill="#6a4c93" stroke="#fff"/>',
    Shape.FAILED: '<path d="M-4 -4L4 4M-4 4L4 -4" stroke="#8f1d21" stroke-width="2.6"/>',
    Shape.ACK: f'<rect x="-3.6" y="-3.6" width="7.2" height="7.2" fill="#fff" stroke="{_INK}" stroke-width="1.4"/>',
}


def _bar(look: Look, x: float, width: float, middle: float) -> str:
    height, fill, stroke = _BARS[look]
    return (
        f'<rect x="{x:.1f}" y="{middle - height / 2:.1f}" width="{width:.1f}" height="{height:g}" rx="1.5"'
        f' fill="{fill}" stroke="{stroke}" stroke-width=".8"/>'
    )


def _mark(shape: Shape, x: float, middle: float) -> str:
    return f'<g transform="translate({x:.1f} {middle:.1f})">{_MARKS[shape]}</g>'
