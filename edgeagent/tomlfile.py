"""TOML files with places: what is wrong is said as `file:line: key: what, nearest valid word`, all of it at once."""

from __future__ import annotations

import copy
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edgeagent.mistakes import Mistake, Mistakes, Path_, nearest, unread


class Strict(BaseModel):
    """A table of a file: unknown keys are mistakes, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, coerce_numbers_to_str=False)


Model = TypeVar("Model", bound=BaseModel)
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file that knows where its keys stand. What it does not hold is missing, unless it is not `whole`."""

    file: str
    data: dict[str, Any]
    source: str
    whole: bool = field(default=True, kw_only=True)

    @property
    def places(self) -> Mapping[Path_, int]:
        """Lines by key, found when the first mistake asks for one."""
        return _places(self.source)

    def depth(self, path: Sequence[str | int]) -> int:
        """Return how many parts of the path stand in this file."""
        return next((length for length in range(len(path), 0, -1) if tuple(path[:length]) in self.places), 0)

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line of the deepest part of the path that has one of its own."""
        return self.places.get(tuple(path[: self.depth(path)]), 1)

    def mistake(self, path: Sequence[str | int], text: str) -> Mistake:
        """Say what is wrong at a key."""
        return Mistake(self.file, self.line(path), dotted(path), text)


def dotted(path: Sequence[str | int]) -> str:
    """Spell a path as a person would write it in the file."""
    return ".".join(
        str(part) if not isinstance(part, str) or re.fullmatch(r"[\w-]+", part) else f'"{part}"' for part in path
    )


def read(path: Path, name: str | None = None) -> Document:
    """Parse one file.

    Raises:
        Mistakes: when it cannot be read or is not TOML.
    """
    file = name or str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a mark
    except OSError as error:
        raise Mistakes([Mistake(file, 0, "", unread(error))]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Mistakes([Mistake(file, line, "", "is not UTF-8 text; save the file as UTF-8")]) from error
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of a number without end, of brackets without end: tomllib says more
        raise Mistakes([_unparsed(file, text, str(error))]) from error
    return Document(file, data, text)


def _unparsed(file: str, text: str, said: str) -> Mistake:
    """Say where TOML stops making sense, and which likely slip stands on that line."""
    why, _, place = said.partition(" (at ")
    found = re.match(r"line (\d+), column (\d+)", place)
    if found is None:
        return Mistake(file, len(text.splitlines()), "", why)
    line = text.split("\n")[int(found[1]) - 1]
    return Mistake(file, int(found[1]), "", f"{why} (column {found[2]}){_slip(line)}")


_WIDE: Final = {
    **dict.fromkeys("“”„‟‘’", '"'),
    "：": "=",
    "、": ",",
    "。": ".",
    "【": "[",
    "】": "]",
    "\u3000": "a space",
}
"""What an input method for Chinese gives, and what TOML wants there; those of U+FF01 on have their plain twins."""


def _slip(line: str) -> str:
    bare = _STRING.sub("", line)
    strings = "".join(found for found in _STRING.findall(line) if not found.startswith("#"))
    if strings.count("“") != strings.count("”"):  # one of them was to end a string that the next straight one ended
        bare += "".join(each for each in strings if each in "“”")
    wide = dict.fromkeys(each for each in bare if each in _WIDE or "！" <= each <= "～")
    plain = {each: _WIDE.get(each) or chr(ord(each) - 0xFEE0) for each in wide}
    if plain:
        said = ", ".join(f"{right} for {'U+3000' if each.isspace() else each}" for each, right in plain.items())
        return f"; full-width punctuation is not read: write {said}"
    if re.search(r"=\s*[\d.]+\s*[a-zµ%°]+\s*(?:[,}#]|$)", line, re.IGNORECASE):
        return f"; {_BARE}"
    return ""


_BARE: Final = "a number stands without unit and quotes, times in seconds"


@dataclass(frozen=True, slots=True)
class _Joined(Document):
    """A document whose keys stand in several files."""

    owners: Mapping[Path_, Document]

    def mistake(self, path: Sequence[str | int], text: str) -> Mistake:
        """Say what is wrong in the file in which the key stands."""
        owner = self.owners.get(tuple(path[:2])) or self.owners.get(tuple(path[:1]))
        return owner.mistake(path, text) if owner else Mistake(self.file, 0, ".".join(map(str, path)), text)


def unlisted(folder: Path) -> str | None:
    """Say why it cannot be told what is in a folder, None where it can."""
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError:
        return "no such folder"
    except NotADirectoryError:
        return "is no folder"
    except OSError as error:
        return unread(error)
    return None


def joined(folder: Path, mistakes: list[Mistake]) -> Document:
    """Read all *.toml of a folder as one document; the same key in two of them is a mistake."""
    files: list[Document] = []
    why = unlisted(folder)
    paths = sorted(folder.glob("*.toml")) if why is None else []
    if not paths:
        mistakes.append(Mistake(str(folder), 0, "", why or "no *.toml in this folder"))
    for path in paths:
        try:
            files.append(read(path))
        except Mistakes as error:
            mistakes += error.found
    data: dict[str, Any] = {}
    owners: dict[Path_, Document] = {}
    for document in files:
        for key, value in document.data.items():
            if isinstance(value, dict) and isinstance(data.get(key, {}), dict):
                data.setdefault(key, {})
                for name, entry in value.items():
                    if (key, name) in owners:
                        mistakes.append(document.mistake((key, name), f"stands in {owners[key, name].file} already"))
                    data[key][name] = entry
                    owners[key, name] = document
            else:
                data[key] = value
            owners.setdefault((key,), document)
    return _Joined(str(folder), data, "", owners, whole=0 < len(paths) == len(files))


_HEADER: Final = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(
    r"""\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w-]+))*)\s*=(.*)$"""
)
_PART: Final = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([\w-]+))\s*\.?""")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)


@lru_cache(maxsize=8)
def _places(text: str) -> dict[Path_, int]:
    """Find the line of every key. Values that span lines belong to the line their key stands on."""
    places: dict[Path_, int] = {}
    counts: dict[Path_, int] = {}
    bare = _STRING.sub(lambda match: _hidden(match.group()), text)
    table: Path_ = ()
    depth = 0
    multiline = False
    for number, (line, raw) in enumerate(zip(bare.split("\n"), text.split("\n"), strict=True), 1):
        if multiline:
            multiline = (line.count('"""') + line.count("'''")) % 2 == 0
            continue
        if depth == 0:
            header = _HEADER.match(line)
            if header and "=" not in line.split("]", 1)[0]:
                *above, last = _parts((_HEADER.match(raw) or header).group(2))
                table = ()
                for part in above:
                    table = (*table, part)
                    places.setdefault(table, number)
                    if table in counts:  # below [[a]] the header [a.b] means the latest a
                        table = (*table, counts[table])
                table = (*table, last)
                places.setdefault(table, number)
                if header.group(1) == "[[":
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                places.setdefault(table, number)
                continue
            key = _KEY.match(line)
            if key is None:
                continue
            raw_key = _KEY.match(raw)
            path = (*table, *_parts((raw_key or key).group(1)))
            for length in range(len(table) + 1, len(path) + 1):
                places.setdefault(path[:length], number)
            value = key.group(2)
        else:
            value = line
        depth += value.count("[") + value.count("{") - value.count("]") - value.count("}")
        multiline = (line.count('"""') + line.count("'''")) % 2 == 1
    return places


def _hidden(text: str) -> str:
    """Take from a string or a comment what could look like structure; its length and its own quotes stay."""
    if text.startswith("#"):
        return " " * len(text)
    quotes = 3 if text[:3] in ('"""', "'''") else 1
    return text[:quotes] + re.sub(r"[\[\]{}#\"']", "_", text[quotes:-quotes]) + text[-quotes:]


def _parts(text: str) -> Path_:
    return tuple(next(group for group in match.groups() if group is not None) for match in _PART.finditer(text))


def check(
    document: Document, model: type[BaseModel], data: Mapping[str, Any]
) -> tuple[BaseModel | None, list[Mistake]]:
    """Validate a document's data; return the model or what is wrong with it."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        found: dict[Path_, str] = {}
        for each in typing.cast("list[dict[str, Any]]", error.errors(include_url=False)):
            if each["type"] == "missing" and not document.whole:
                continue
            found.setdefault(_path(data, each), _explain(model, each))
        # What may be one of two things fails as both: the deepest place and the first text say most.
        deepest = [path for path in found if not any(path == other[: len(path)] != other for other in found)]
        return None, [document.mistake(path, found[path]) for path in deepest]


def readable(model: type[Model], data: Mapping[str, Any], stand_ins: Mapping[str, Mapping[str, Any]]) -> Model | None:
    """Read what is left when everything of a wrong shape is taken out, so that the rest can be checked as well.

    `stand_ins` are for the tables without which nothing can be read.
    """
    left = copy.deepcopy(dict(data))
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(left)
        except ValidationError as error:
            wrong = [(each["loc"], each["type"] == "missing") for each in error.errors()]
        for path, missing in wrong:
            _take_out(left, path[:2] if missing else path, stand_ins)
    return None


def _take_out(data: dict[str, Any], path: Path_, stand_ins: Mapping[str, Mapping[str, Any]]) -> None:
    """Remove the entry at a path; a table that nothing can be read without becomes a stand-in."""
    table: Any = data
    for part in path[:-1]:
        table = table.get(part) if isinstance(table, dict) else None
    if path[0] in stand_ins and (len(path) == 1 or not isinstance(table, dict) or path[-1] not in table):
        data[str(path[0])] = copy.deepcopy(dict(stand_ins[str(path[0])]))
    elif isinstance(table, dict) and path[-1] in table:
        del table[path[-1]]
    elif len(path) > 2:  # a part of a value: the value goes
        _take_out(data, path[:-1], stand_ins)


def _path(data: Any, error: dict[str, Any]) -> Path_:  # noqa: ANN401 - whatever TOML gave
    """Return where the error stands in the data, without what pydantic adds: its tags, [0] for what is no list."""
    path: list[str | int] = []
    for part in error["loc"]:
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and part in range(len(data))):
            data = data[part]
            path.append(part)
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    return tuple(path)


SHAPES: Final[Mapping[str, str]] = {
    r"^[a-z0-9-]{1,40}$": "1 to 40 of a-z, 0-9 and -",
    r"^[a-z0-9-]{1,20}$": "1 to 20 of a-z, 0-9 and -",
    r"^[a-z0-9]+(?:-[a-z0-9]+)*$": "lower-case words joined by hyphens",
    r"^[a-z0-9]+(?:[.-][a-z0-9]+)*$": "lower-case words joined by dots and hyphens",
    r"^[a-z0-9-]+/[a-z0-9-]+$": "kind/name, each of a-z, 0-9 and -",
    r"^[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40})?$": "one level or two, each 1 to 40 of A-Z, a-z, 0-9, _ and -",
    r"^[A-Za-z0-9]+:[A-Za-z0-9.-]+$": "question:place, as I:0",
    r"^[1-9]\d{0,8}\.[1-9]\d{0,8}$": "group.port, as 1.17",
    r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$": "six pairs of hexadecimal digits, as 00:00:5e:00:53:17",
    r"^[^/\\\s](?:[^/\\]{0,62}[^/\\\s])?$": "the name of a process: up to 64 characters, no path",
}
"""What the patterns of our tables ask for, in words."""


def _explain(model: type[BaseModel], error: dict[str, Any]) -> str:
    loc, kind = error["loc"], error["type"]
    if kind == "extra_forbidden":
        return f"unknown key{nearest(str(loc[-1]), _fields(model, loc[:-1]))}"
    if kind == "missing":
        return "is missing"
    if kind in ("literal_error", "enum"):
        known = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
        return f'"{error["input"]}" is not known{nearest(str(error["input"]), known)}'
    said = error["input"]
    if kind in ("float_parsing", "int_parsing"):
        return f'"{said}" is no number{f"; {_BARE}" if re.match(r" *[0-9]", said) else ""}'
    if kind.startswith("date_") and isinstance(said, str):
        return f'"{said}" is no date; write YYYY-MM-DD, as 2027-06-30'
    if kind == "string_pattern_mismatch" and error["ctx"]["pattern"] in SHAPES:
        return f'"{said}" does not fit: {SHAPES[error["ctx"]["pattern"]]}'
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message[0].lower() + message[1:]


def _fields(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """List the keys that are legal in the table at `loc`."""
    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = next((f for name, f in current.model_fields.items() if part in (name, f.alias)), None)
            if field is None:
                return []
            current = _inner(field.annotation)
        else:
            arguments = typing.get_args(current)
            if not arguments:
                return []
            current = _inner(arguments[-1] if arguments[-1] is not Ellipsis else arguments[0])
    if isinstance(current, type) and issubclass(current, BaseModel):
        return [f.alias or name for name, f in current.model_fields.items()]
    return []


def _inner(annotation: Any) -> Any:  # noqa: ANN401
    """Take None and Annotated off a type."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _inner(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(annotation) if option is not type(None)]
        return _inner(next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), options[0]))
    return annotation
