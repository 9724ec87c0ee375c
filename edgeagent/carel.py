"""Turns a vendor's list of pCO variables into the text of a driver file. Pure.

A Carel pCO program publishes its variables over Modbus as three numbered lists: digital ones are coils, analog and
integer ones are holding registers. What each means and where the registers begin is the choice of whoever wrote the
program (Airsys, Envicool, Uniflair, Aermec …), so there is no driver for "pCO"; there is one for each list.

The list is CSV with commas, semicolons or tabs and one line of column names; empty lines and lines that begin with #
are skipped, and columns that are not named here are ignored. Case and spaces around words do not matter.

    name     what the vendor calls it; becomes a comment
    type     digital, analog or integer; D, A, I and the like
    index    its number in its list
    address  the address on the wire; optional, wins over index
    point    what it means: a point of the kind, such as return.temperature
    alarm    or the alarm type that it raises, such as high-pressure
    scale    optional; analog variables come in tenths unless this says otherwise
    offset   optional, in the unit of the point
    values   optional, for points with words: 0=off 1=on
    invert   optional: yes where 0 means that it is so

A variable without point and alarm becomes a comment to be filled in. Where only an index is given for a register its
address is an assumption, and the reading is marked unverified.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from edgeagent.mistakes import nearest

COLUMNS: Final = ("name", "type", "index", "address", "point", "alarm", "scale", "offset", "values", "invert")
_TYPES: Final = {
    "digital": ("digital", "d", "dig", "bool", "bit", "coil", "di", "do"),
    "analog": ("analog", "analogue", "a", "ana", "an", "ai", "ao", "real"),
    "integer": ("integer", "i", "int", "word"),
}
_TRUE: Final = ("yes", "y", "true", "1", "x")
_FALSE: Final = ("", "no", "n", "false", "0")
_WORD: Final = re.compile(r"\s*([^\s=;,]+)\s*=\s*([^\s=;,]+)[\s;,]*")
_HIGHEST: Final = 65535


class ListError(ValueError):
    """A list that cannot be read; the message has one line a mistake, with the number of its line."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a vendor writes its list.

    `columns` gives the vendor's name of a column where it differs, {"name": "Description"}. The other three are
    what is added to an index to make an address; None: the list must give the addresses of such variables itself.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    digital: int | None = 0
    analog: int | None = 0
    integer: int | None = None

    def first(self, type: str) -> int | None:
        """Return what is added to the index of a variable of this type."""
        return {"digital": self.digital, "analog": self.analog}.get(type, self.integer)


@dataclass(frozen=True, slots=True)
class _Variable:
    name: str
    place: str
    point: str
    entry: str


def driver_from(text: str, name: str, layout: Layout | None = None) -> str:
    """Return the TOML of a driver that reads what the list gives a meaning.

    `name` is the driver's id, "hvac/airsys-optima", or its second half. Whether points and alarms exist is for
    the loader of driver files to say.

    Raises:
        ListError: all that is wrong with the list, or that it gives nothing a meaning.
    """
    id = name if "/" in name else f"hvac/{name}"
    if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", id):
        raise ListError(f'"{name}" is no name for a driver: lower-case letters, digits and hyphens')
    reader = _Reader(layout or Layout())
    variables = list(reader.variables(text))
    if not reader.mistakes and not any(variable.entry for variable in variables):
        reader.mistakes.append("no line has a point or an alarm: fill in one of these columns")
    if reader.mistakes:
        raise ListError("\n".join(reader.mistakes))
    return _written(id, variables)


class _Reader:
    """Reads the lines of one list and gathers all that is wrong with it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._line = 0
        self.mistakes: list[str] = []

    def _say(self, text: str) -> None:
        self.mistakes.append(f"line {self._line}: {text}")

    def variables(self, text: str) -> Iterator[_Variable]:
        lines = [
            (number, line)
            for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1)
            if line.strip(" \t,;") and not line.lstrip().startswith("#")
        ]
        if not lines:
            self.mistakes.append("the list is empty")
            return
        mark = max(",;\t", key=lines[0][1].count)
        rows = csv.reader((line for _, line in lines), delimiter=mark, skipinitialspace=True)
        try:
            table = [(lines[rows.line_num - 1][0], row) for row in rows]
        except csv.Error as error:
            self.mistakes.append(f"line {lines[rows.line_num - 1][0]}: {error}")
            return
        self._line, first = table[0]
        heads = [head.strip().casefold() for head in first]
        places = {own: self._place(own, heads) for own in COLUMNS}
        if self.mistakes:
            return
        for self._line, row in table[1:]:
            cells = {own: row[at].strip() if at is not None and at < len(row) else "" for own, at in places.items()}
            yield self._variable(cells)

    def _place(self, own: str, heads: list[str]) -> int | None:
        """Find a column; the list needs a type, and an index or an address."""
        wanted = self._layout.columns.get(own, own).strip().casefold()
        if wanted in heads:
            return heads.index(wanted)
        needed = own in self._layout.columns or own == "type" or (own == "index" and "address" not in heads)
        if needed:
            self._say(f'there is no column "{wanted}"{nearest(wanted, heads)}')
        return None

    def _variable(self, cells: Mapping[str, str]) -> _Variable:
        type = next((own for own, words in _TYPES.items() if cells["type"].casefold() in words), "")
        if not type:
            self._say(f'"{cells["type"]}" is no type{nearest(cells["type"].casefold(), list(_TYPES))}')
        address = self._address(type, cells)
        table = "coil" if type == "digital" else "holding"
        if cells["point"] and cells["alarm"]:
            self._say("has both a point and an alarm; keep one")
        point = "alarms" if cells["alarm"] else cells["point"]
        parts = [f"{table} = {address}"]
        if table == "holding":
            parts.append('type = "s16"')
            scale = self._number("scale", cells) if cells["scale"] else 0.1 if type == "analog" else 1.0
            offset = self._number("offset", cells) if cells["offset"] else 0.0
            if scale == 0:
                self._say("a scale of 0 leaves nothing")
            parts += [f"scale = {scale:.10g}"] if scale != 1 else []
            parts += [f"offset = {offset:.10g}"] if offset else []
        parts += [f"enum = {{ {values} }}"] if (values := self._values(cells["values"])) else []
        if cells["invert"].casefold() not in (*_TRUE, *_FALSE):
            self._say(f'invert is yes or no, not "{cells["invert"]}"')
        parts += ["invert = true"] if cells["invert"].casefold() in _TRUE else []
        parts += [f"alarm = {_quoted(cells['alarm'])}"] if cells["alarm"] else []
        parts += ["unverified = true"] if table == "holding" and not cells["address"] else []
        entry = f"{{ {', '.join(parts)} }}" if point else ""
        return _Variable(" ".join(cells["name"].split()), f"{table} {address}", point, entry)

    def _address(self, type: str, cells: Mapping[str, str]) -> int:
        given = "address" if cells["address"] else "index"
        word = cells[given]
        if not re.fullmatch(r"[0-9]{1,6}|0[xX][0-9a-fA-F]{1,4}", word):
            self._say(f'{given} "{word}" is not a whole number')
            return 0
        first = 0 if given == "address" else self._layout.first(type) if type else 0
        if first is None:
            self._say(f"the address of {type} variables depends on the program: give a column address")
            return 0
        address = int(word, 16 if word[:2] in ("0x", "0X") else 10) + first
        if not 0 <= address <= _HIGHEST:
            self._say(f"the address {address} does not exist in Modbus")
        return address

    def _number(self, column: str, cells: Mapping[str, str]) -> float:
        if not re.fullmatch(r"[+-]?[0-9]{1,9}([.,][0-9]{1,9})?", cells[column]):
            self._say(f'{column} "{cells[column]}" is not a number')
            return 1.0
        return float(cells[column].replace(",", "."))

    def _values(self, cell: str) -> str:
        """Turn "0=off 1=on" into the inside of a TOML table."""
        if _WORD.sub("", cell).strip():
            self._say(f'values are written 0=off 1=on, not "{cell}"')
            return ""
        words = _WORD.findall(cell)
        for key, _ in words:
            if not re.fullmatch(r"-?[0-9]{1,9}", key):
                self._say(f'values: "{key}" is not a whole number')
        return ", ".join(f"{key} = {word if word in ('true', 'false') else _quoted(word)}" for key, word in words)


def _quoted(text: str) -> str:
    """Write a TOML string; what JSON escapes, TOML escapes alike."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _written(id: str, variables: Iterable[_Variable]) -> str:
    meant: dict[str, list[_Variable]] = {}
    rest: list[_Variable] = []
    for variable in variables:
        (meant.setdefault(variable.point, []) if variable.entry else rest).append(variable)
    own = id.partition("/")[2]
    lines = [
        f'driver = "{id}"',
        'protocol = "modbus"',
        f'text = {{ en = "Air conditioner by its variable list: {own}", zh = "按变量表导入的空调：{own}" }}',
        f'source = "Variable list of the vendor, {sum(map(len, meant.values()))} variables with a meaning"',
        'evidence = "manual"',
        "",
        "# A variable list has no identity register: the site names this driver itself.",
        "[quirks]",
        "gap = 0",
        "timeout = 1.0",
        "",
        "[points]",
    ]
    for point, sources in meant.items():
        if len(sources) == 1:
            lines.append(f"{_quoted(point)} = {sources[0].entry}{_note(sources[0])}")
            continue
        lines += [f"{_quoted(point)} = [", *(f"  {source.entry},{_note(source)}" for source in sources), "]"]
    if rest:
        lines += ["", "# Without a meaning so far:", *(f"# {one.place}  {_comment(one.name)}".rstrip() for one in rest)]
    return "\n".join(lines) + "\n"


def _note(variable: _Variable) -> str:
    return f"  # {_comment(variable.name)}" if variable.name else ""
