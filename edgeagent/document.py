"""A printed page: sections of facts, tables and pictures, written as Markdown or as HTML. Pure.

Owns the spelling, and the escaping of all that comes from people: whatever a cell holds, it is read as text. The HTML
needs nothing from outside, runs nothing, and prints on A4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Final, TypeAlias

from edgeagent.wording import clean


class Tone(StrEnum):
    """What a row of a table is, so that it can be seen."""

    PLAIN = ""
    LATE = "late"
    SKIPPED = "skipped"
    OPEN = "open"
    DRILL = "drill"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are, as on a form."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """A few numbers that are seen at once, each with its name."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head. `widths` are per cent."""

    head: tuple[str, ...]
    rows: tuple[tuple[Tone, tuple[str, ...]], ...]
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """An `<svg>` element of our own. Markdown has none: the tables say the same."""

    svg: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Places to sign, each behind its name and colon."""

    names: tuple[str, ...]


Block: TypeAlias = Facts | Figures | Table | Picture | Lines


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a title."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One report in one language. `mark` stands above all else: that it is a drill, that it is not over.

    `wide` prints across the page. `stamp` lies across every sheet, pale, behind all that is read.
    """

    title: str
    line: str
    language: str
    sections: tuple[Section, ...]
    marks: tuple[str, ...] = ()
    foot: str = ""
    wide: bool = False
    stamp: str = ""


# Markdown.

_SPECIAL: Final = re.compile(r"[\\`*_\[\]|~$]|^[-+#=]")
_NUMBERED: Final = re.compile(r"^(\d+)([.)]\s)")
_BREAKS: Final = re.compile(r"\s*[\r\n\u2028\u2029]+\s*")


def markdown(documents: Sequence[Document]) -> str:
    """Write documents as one text of GitHub's Markdown."""
    return "\n---\n\n".join("\n".join(_markdown(document)) + "\n" for document in documents)


def _markdown(document: Document) -> Iterator[str]:
    yield f"# {_plain(document.title)}\n"
    yield f"{_plain(document.line)}\n"
    for mark in document.marks:
        yield f"> **{_plain(mark)}**\n"
    for section in document.sections:
        written = [lines for block in section.blocks if (lines := list(_block(block)))]
        if not written:
            continue
        yield f"## {_plain(section.title)}\n"
        for lines in written:
            yield from lines
            yield ""
    if document.foot:
        yield _plain(document.foot)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Facts(()) | Figures(()):
            return
        case Facts(rows) | Figures(rows):
            yield "| | |"
            yield "|---|---|"
            yield from (f"| **{_plain(name)}** | {_plain(value)} |" for name, value in rows)
        case Table(head, rows):
            yield f"| {' | '.join(map(_plain, head))} |"
            yield f"|{'---|' * len(head)}"
            yield from (f"| {' | '.join(map(_plain, cells))} |" for _, cells in rows)
        case Lines(names):
            yield "\u3000".join(f"{_plain(name)} \\_\\_\\_\\_\\_\\_\\_\\_" for name in names)
        case Picture():
            return


def _plain(text: str) -> str:
    """Write text so that Markdown reads it as text, in a table's cell too."""
    marked = _SPECIAL.sub(r"\\\g<0>", escape(clean(text), quote=False))
    return _BREAKS.sub("<br>", _NUMBERED.sub(r"\1\\\2", marked))


# HTML.

_STYLE: Final = """
@page { size: A4; margin: 14mm 12mm 15mm }
@page wide { size: A4 landscape; margin: 12mm }
* { box-sizing: border-box }
html { -webkit-print-color-adjust: exact; print-color-adjust: exact }
body { margin: 0; background: #eceff1; color: #1f2a33; font: 10pt/1.5 "Noto Sans CJK SC", "Source Han Sans SC",
  "Microsoft YaHei", "PingFang SC", "WenQuanYi Zen Hei", "Segoe UI", sans-serif }
article { max-width: 210mm; margin: 8mm auto; padding: 14mm 12mm; background: #fff; box-shadow: 0 1px 6px #0002 }
article.wide { max-width: 297mm; page: wide }
article + article { break-before: page }
h1 { margin: 0; text-align: center; font-size: 17pt; line-height: 1.3; letter-spacing: .04em }
h2 { margin: 5.5mm 0 2mm; font-size: 11.5pt; line-height: 1.3; break-after: avoid }
h2::before { content: ""; display: inline-block; width: 1.2mm; height: 1.2em; margin-right: 2.5mm; background: #2b6c8f;
  vertical-align: -.2em }
.line { margin: 1.5mm 0 4mm; text-align: center; color: #5d6b76; font-size: 9pt }
.mark { margin: 0 0 3mm; padding: 1.5mm 3mm; border: .5mm solid #8f1d21; color: #8f1d21; font-weight: bold;
  text-align: center }
table { width: 100%; border-collapse: collapse; table-layout: fixed; font-size: 9pt; line-height: 1.4 }
thead { display: table-header-group }
tr { break-inside: avoid }
th, td { padding: 1.1mm 1.8mm; border: .25mm solid #b9c3ca; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; white-space: pre-line }
th { background: #eef2f5; font-weight: 600 }
.facts th { width: 34mm }
section:last-of-type:has(.facts) { break-inside: avoid }
tr.late td { background: #fbeceb } tr.late td:first-child { box-shadow: inset 1mm 0 #8f1d21 }
tr.open td:first-child { box-shadow: inset 1mm 0 #d4a017 } tr.skipped td { color: #5d6b76; background: #f6f7f8 }
tr.drill td { font-style: italic; background: repeating-linear-gradient(45deg, #fff 0 2mm, #f3f5f6 2mm 4mm) }
.figures { display: flex; flex-wrap: wrap; gap: 2mm; margin: 0 0 2mm; padding: 0; break-inside: avoid }
.figures div { flex: 1 1 24mm; padding: 1.6mm 2mm; border: .25mm solid #b9c3ca; border-radius: 1mm; text-align: center }
.figures dt { color: #5d6b76; font-size: 8pt } .figures dd { margin: 0; font-size: 11.5pt; font-weight: 600 }
figure { margin: 0; break-inside: avoid } svg { display: block; width: 100%; height: auto }
.wide figure { max-width: 210mm }
.sign { display: flex; gap: 8mm; margin-top: 9mm; break-inside: avoid } .sign span { flex: 1; padding-bottom: 1mm;
  border-bottom: .25mm solid #1f2a33; white-space: nowrap }
.stamp { position: fixed; top: 42%; left: 0; right: 0; margin: 0; color: #8f1d21; opacity: .09; font-size: 64pt;
  font-weight: bold; letter-spacing: .1em; text-align: center; transform: rotate(-28deg); pointer-events: none;
  white-space: nowrap }
footer { margin-top: 5mm; color: #5d6b76; font-size: 8pt; text-align: center }
@media print { body { background: #fff } article { margin: 0; padding: 0 .3mm; max-width: none; box-shadow: none } }
""".strip()


def html(documents: Sequence[Document]) -> str:
    """Write documents as one page of HTML, each beginning on a new sheet."""
    title, language = documents[0].title, documents[0].language
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="{_lang(language)}">',
            "<head>",
            '<meta charset="utf-8">',
            # Should ever something get past the escaping, nothing runs and nothing is fetched.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_safe(title)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            "</head>",
            "<body>",
            # Once for the file: what is fixed comes again on every sheet.
            *(f'<p class="stamp" aria-hidden="true">{_safe(stamp)}</p>' for stamp in _stamps(documents)),
            *(line for document in documents for line in _article(document)),
            "</body>",
            "</html>",
            "",
        ]
    )


def _stamps(documents: Sequence[Document]) -> list[str]:
    stamps = dict.fromkeys(document.stamp for document in documents if document.stamp)
    return [" ".join(stamps)] if stamps else []


def _article(document: Document) -> Iterator[str]:
    yield f'<article lang="{_lang(document.language)}"{" class=wide" if document.wide else ""}>'
    yield f'<h1>{_safe(document.title)}</h1>\n<p class="line">{_safe(document.line)}</p>'
    yield from (f'<p class="mark">{_safe(mark)}</p>' for mark in document.marks)
    for section in document.sections:
        written = [line for block in section.blocks for line in _element(block)]
        if written:
            yield f"<section>\n<h2>{_safe(section.title)}</h2>"
            yield from written
            yield "</section>"
    if document.foot:
        yield f"<footer>{_safe(document.foot)}</footer>"
    yield "</article>"


def _element(block: Block) -> Iterator[str]:
    match block:
        case Facts(()) | Figures(()):
            return
        case Facts(rows):
            yield '<table class="facts">'
            yield from (f"<tr><th>{_safe(name)}</th><td>{_safe(value)}</td></tr>" for name, value in rows)
            yield "</table>"
        case Figures(items):
            figures = (f"<div><dt>{_safe(name)}</dt><dd>{_safe(value)}</dd></div>" for name, value in items)
            yield f'<dl class="figures">{"".join(figures)}</dl>'
        case Table(head, rows, widths):
            columns = (f'<col style="width:{width}%">' for width in widths)
            yield f"<table>\n<colgroup>{''.join(columns)}</colgroup>"
            yield f"<thead><tr>{_cells('th', head)}</tr></thead>\n<tbody>"
            yield from (f'<tr class="{tone}">{_cells("td", cells)}</tr>' for tone, cells in rows)
            yield "</tbody>\n</table>"
        case Picture(svg):
            yield f"<figure>{svg}</figure>"
        case Lines(names):
            yield f'<div class="sign">{"".join(f"<span>{_safe(name)}</span>" for name in names)}</div>'


def _cells(tag: str, cells: Iterable[str]) -> str:
    return "".join(f"<{tag}>{_safe(cell)}</{tag}>" for cell in cells)


def _lang(language: str) -> str:
    return "zh-CN" if language == "zh" else "en"


def _safe(text: str) -> str:
    return escape(clean(text))
