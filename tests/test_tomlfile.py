"""TOML files with places: every key is found on its line, every mistake says where it stands."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from edgeagent import driverfiles, procedurefiles, scenariofiles, seatconfig, sitefiles
from edgeagent.mistakes import Mistake, Mistakes
from edgeagent.resources import drivers, examples
from edgeagent.tomlfile import SHAPES, Document, Strict, _places, check, dotted, read


class _Row(Strict):
    name: str
    number: int = Field(default=1, ge=1)


class _File(Strict):
    title: str
    size: tuple[float, float] = (0.0, 1.0)
    words: dict[str, str | bool] = Field(default_factory=dict)
    rows: tuple[_Row, ...] = ()
    named: dict[str, _Row] = Field(default_factory=dict)
    either: dict[str, str] | tuple[str, ...] = ()


def document(tmp_path: Path, text: str) -> Document:
    file = tmp_path / "a.toml"
    file.write_text(text, encoding="utf-8")
    return read(file, "a.toml")


PLACES = '''# a comment [not.a.table] with = and """
title = "x # no comment [nor a table]"   # but this is = one
"quoted.key" = 1
a.b = 2
'single' = 3
inline = { first = 1, list = [1, 2] }
spread = [
  { name = "one" },   # ]
  "]",
]
text = """
rows = 1
[named]
"""
after = 1

[named.one]   # the first
number = 1
[named."two.three"]
number = 2
[[rows]]
name = "a"
[rows.map]
1 = "x"
[[rows]]
name = "b"
[rows.map]
1 = "y"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("quoted.key",), 3),
        (("a", "b"), 4),
        (("a",), 4),
        (("single",), 5),
        (("inline", "first"), 6),
        (("spread", 0, "name"), 7),
        (("text",), 11),
        (("after",), 15),
        (("named", "one"), 17),
        (("named", "one", "number"), 18),
        (("named", "two.three", "number"), 20),
        (("rows", 0), 21),
        (("rows", 0, "name"), 22),
        (("rows", 0, "map", "1"), 24),
        (("rows", 1, "name"), 26),
        (("rows", 1, "map", "1"), 28),
        (("rows", 1, "missing"), 25),
        (("nowhere", "at", "all"), 1),
    ],
    ids=lambda value: dotted(value) if isinstance(value, tuple) else None,
)
def test_a_key_is_found_on_its_line(tmp_path: Path, path: tuple[str | int, ...], line: int) -> None:
    assert document(tmp_path, PLACES).line(path) == line


@pytest.mark.parametrize("newline", ["\r\n", "\n"], ids=["CRLF", "LF"])
def test_lines_end_as_toml_says_and_nowhere_else(tmp_path: Path, newline: str) -> None:
    # U+2028 and U+0085 end lines for Python's splitlines, not for TOML nor for editors.
    text = newline.join(["# a\u2028b", 't = "c\u2028d"', "# e\u0085f", "u = 1"])
    file = tmp_path / "a.toml"
    file.write_bytes(text.encode())
    assert read(file).line(("u",)) == 4


@pytest.mark.parametrize(
    "file", [*drivers().rglob("*.toml"), *examples().glob("*.toml")], ids=lambda file: f"{file.parent.name}-{file.stem}"
)
def test_every_table_of_every_shipped_file_has_its_line(file: Path) -> None:
    lines = ["", *file.read_text(encoding="utf-8").split("\n")]
    found = read(file)
    for key, value in found.data.items():
        assert key in lines[found.line((key,))]
        for name in value if isinstance(value, dict) else ():
            assert found.depth((key, name)) >= 1
            assert name in lines[found.line((key, name))] or lines[found.line((key, name))].startswith(f"{key} = {{")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a = 1\nb = \nc = 3\n", "a.toml:2: Invalid value (column 5)", id="no value"),
        pytest.param(
            "a = 1\n[b\n", "a.toml:2: Expected ']' at the end of a table declaration (column 3)", id="open header"
        ),
        pytest.param("a = 1\na = 2\n", "a.toml:2: Cannot overwrite a value (column 6)", id="twice"),
        pytest.param("a = 1\nb = [1,\n2", "a.toml:3: Unclosed array", id="end of the file"),
    ],
)
def test_a_syntax_error_has_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Mistakes) as caught:
        document(tmp_path, text)
    assert str(caught.value) == message


def test_a_file_that_cannot_be_read_is_a_mistake_too(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r"none\.toml: cannot be read: .*No such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'# a\na = "\xe9"')
    with pytest.raises(Mistakes, match=r"latin\.toml:2: is not UTF-8 text; save the file as UTF-8"):
        read(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        pytest.param("", ["a.toml:1: title: is missing"], id="missing"),
        pytest.param('titel = "x"', ['a.toml:1: titel: unknown key, did you mean "title"?', "a.toml:1: title: is missing"], id="unknown, near"),
        pytest.param('title = "x"\nzzz = 1', ["a.toml:2: zzz: unknown key (known: title, size, words, rows, named, either)"], id="unknown, far"),
        pytest.param("title = 5", ["a.toml:1: title: input should be a valid string"], id="type"),
        pytest.param('title = "x"\n\n[[rows]]\nname = "a"\nnumbr = 2', ['a.toml:5: rows.0.numbr: unknown key, did you mean "number"?'], id="in a list"),
        pytest.param('title = "x"\n[named."a b"]\nname = "a"\nnumber = 0', ['a.toml:4: named."a b".number: input should be greater than or equal to 1'], id="in a table"),
        pytest.param('title = "x"\nwords = { a = "b", c = 5 }', ["a.toml:2: words.c: input should be a valid string"], id="one of two types, told once"),
        pytest.param('title = "x"\neither = { a = 1 }', ["a.toml:2: either.a: input should be a valid string"], id="one of two shapes, told where it is"),
        pytest.param('title = "x"\neither = ["a", 1]', ["a.toml:2: either.1: input should be a valid string"], id="the other shape"),
        pytest.param('title = "x"\nsize = [1]', ["a.toml:2: size.1: is missing"], id="a short pair"),
        pytest.param("title = 1\nrows = 2\n", ["a.toml:1: title: input should be a valid string", "a.toml:2: rows: input should be a valid tuple"], id="all at once"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_file_line_and_key(tmp_path: Path, text: str, messages: list[str]) -> None:
    found = document(tmp_path, text)
    model, mistakes = check(found, _File, found.data)
    assert model is None
    assert sorted(map(str, mistakes)) == messages


def test_what_fits_is_returned(tmp_path: Path) -> None:
    found = document(tmp_path, 'title = "x"')
    assert check(found, _File, found.data) == (_File(title="x"), [])


def test_mistakes_are_sorted_by_place_and_told_once() -> None:
    last, first, whole = Mistake("b", 9, "k", "x"), Mistake("b", 10, "k", "x"), Mistake("a", 0, "", "gone")
    assert str(Mistakes([first, last, whole, last])) == "a: gone\nb:9: k: x\nb:10: k: x"


PLAIN = st.characters(exclude_categories=["Cc", "Cs"])
KEYS = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\'), min_size=1),
    min_size=1,
    unique=True,
)


@given(keys=KEYS, value=st.text(PLAIN), comment=st.text(PLAIN))
def test_any_key_string_and_comment_keep_their_lines(keys: list[str], value: str, comment: str) -> None:
    text = "\n".join(f'"{key}" = {json.dumps(value, ensure_ascii=False)}  # {comment}' for key in keys)
    assert list(tomllib.loads(text)) == keys
    assert _places(text) == {(key,): number for number, key in enumerate(keys, 1)}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("a = “x”", 'write " for “, " for ”', id="quotes"),
        pytest.param('a = "x”', 'write " for ”', id="a quote that ends no string"),
        pytest.param("a ＝ 1", "write = for ＝", id="equals"),
        pytest.param("a：1", "write = for ：", id="colon"),
        pytest.param("a = [1，2]", "write , for ，", id="comma"),
        pytest.param("a = {\u3000b = 1", "write a space for U+3000", id="a space that is none"),
        pytest.param('a = { b = "x”, c = "y" }', 'write " for ”', id="a quote that ends another"),
        pytest.param('a = "，" b', None, id="not in a string"),
        pytest.param('a = "他说“好”" b', None, id="nor what is quoted in one"),
        pytest.param("b # ， “x”", None, id="nor in a comment"),
        pytest.param("a = 5s", "a number stands without unit and quotes, times in seconds", id="a unit"),
        pytest.param("a = { b = 2.5 min, c = 1 }", "a number stands without unit and quotes, times in seconds", id="a unit within"),
    ],
)  # fmt: skip
def test_the_likely_slip_is_named(tmp_path: Path, text: str, hint: str | None) -> None:
    with pytest.raises(Mistakes) as caught:
        document(tmp_path, f"{text}\nlast = 1\n")
    _, _, found = str(caught.value).partition("; ")
    assert found.removeprefix("full-width punctuation is not read: ") == (hint or "")


def test_a_file_begun_with_a_mark_is_read_like_any_other(tmp_path: Path) -> None:
    found = document(tmp_path, "\ufeffa = 1")
    assert (found.data, found.line(("a",))) == ({"a": 1}, 1)


def test_every_pattern_that_a_file_must_match_is_told_in_words() -> None:
    for module in (sitefiles, seatconfig, procedurefiles, scenariofiles, driverfiles):
        assert module
    asked = {pattern for model in _all(Strict) for pattern in _patterns(model.model_json_schema())}
    assert len(asked) > 5
    assert asked <= SHAPES.keys()


def _all(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        if each.__module__.startswith("edgeagent."):
            yield each
            yield from _all(each)


def _patterns(schema: object) -> Iterator[str]:
    """Give what must be matched, of values and of keys."""
    if isinstance(schema, dict):
        yield from (found for found in (schema.get("pattern"),) if isinstance(found, str))
        yield from schema.get("patternProperties", {})
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _patterns(part)
