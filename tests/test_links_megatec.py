"""Lines of the Megatec family: what they mean, and what is none."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.links import megatec as lines
from edgeagent.readings import Missing

# From the Megatec document §Example, the Voltronic document, and devices whose owners showed their logs.
BYPASS: Final = b"(208.4 140.0 208.4 034 59.9 2.05 35.0 00110000"
WHOLE: Final = b"(209.7 209.7 219.7 020 50.0 41.8 23.3 00000001"
DARK: Final = b"(002.9 000.0 000.0 000 00.0 2.02 21.0 10000001"
HOME: Final = b"(231.0 000.0 231.0 003 49.0 13.7 30.8 00001000"
BIG: Final = b"(219.5 59.9 220.4 60.0 002.8 007 361.8 361.8 272.9 ---.- 022.9 100000000010"


def q1(line: bytes) -> lines.Fields:
    fields = lines.parse("Q1", line)
    assert not isinstance(fields, Missing)
    return fields


def test_a_status_line_gives_its_fields_and_its_bits() -> None:
    fields = q1(BYPASS)
    assert [fields[str(place)] for place in range(7)] == [
        b"208.4",
        b"140.0",
        b"208.4",
        b"034",
        b"59.9",
        b"2.05",
        b"35.0",
    ]
    assert fields["status"] == b"00110000"
    assert {name for name in fields if name.startswith("b") and fields[name] == b"1"} == {"b5", "b4"}


def test_a_voltronic_status_line_gives_its_fields_and_its_bits() -> None:
    fields = lines.parse("QGS", BIG)
    assert not isinstance(fields, Missing)
    assert (fields["0"], fields["8"], fields["9"]) == (b"219.5", b"272.9", Missing.NULL)
    assert (fields["b11"], fields["b10"], fields["b9"], fields["b1"]) == (b"1", b"0", b"0", b"1")


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        pytest.param(HOME, b"line", id="on the mains"),
        pytest.param(BYPASS, b"bypass", id="b5 of an on-line unit"),
        pytest.param(b"(000.0 000.0 230.0 034 50.0 25.1 30.0 10001000", b"battery", id="b7"),
        pytest.param(b"(000.0 000.0 230.0 034 50.0 25.1 30.0 11001100", b"battery", id="b7 while testing"),
        pytest.param(DARK, b"battery", id="no mains and no output"),
        pytest.param(b"(230.0 230.0 230.0 034 50.0 25.1 30.0 00001100", b"test", id="b2"),
        pytest.param(b"(195.0 195.0 224.0 034 50.0 27.1 30.0 00101000", b"boost", id="b5, output higher"),
        pytest.param(b"(255.0 255.0 222.0 034 50.0 27.1 30.0 00101000", b"buck", id="b5, output lower"),
        pytest.param(b"(230.0 230.0 230.0 034 50.0 27.1 30.0 00101000", b"bypass", id="b5, output the same"),
        pytest.param(b"(230.0 230.0 @@@.@ 034 50.0 27.1 30.0 00101000", b"boost", id="b5, output not told"),
        pytest.param(b"(230.0 230.0 000.0 000 50.0 2.25 30.0 00000000", b"off", id="no output on the mains"),
        pytest.param(b"(230.0 230.0 ---.- 000 50.0 2.25 30.0 00000000", b"line", id="output not told"),
    ],
)
def test_the_bits_say_where_the_output_comes_from(line: bytes, mode: bytes) -> None:
    assert q1(line)["mode"] == mode


@pytest.mark.parametrize("word", [b"---.-", b"@@@.@", b"***.*", b"###.#"])
def test_what_a_ups_does_not_measure_is_missing_alone(word: bytes) -> None:
    fields = q1(WHOLE.replace(b"23.3", word))
    assert fields["6"] is Missing.NULL
    assert fields["0"] == b"209.7"


def test_a_field_that_is_no_number_is_missing_alone() -> None:
    fields = q1(WHOLE.replace(b"020", b"0x0"))
    assert (fields["3"], fields["2"]) == (Missing.MALFORMED, b"219.7")


@pytest.mark.parametrize(
    ("command", "line", "missing"),
    [
        ("Q1", b"Q1", Missing.ABSENT), ("Q1", b"(NAK", Missing.ABSENT), ("QGS", b"NAK", Missing.ABSENT),
        ("I", b"I", Missing.ABSENT), ("F", b"?", Missing.ABSENT), ("S01", b"(ACK", Missing.ABSENT),
        ("Q1", b"", Missing.MALFORMED), ("Q1", b"(", Missing.MALFORMED), ("Q1", WHOLE[1:], Missing.MALFORMED),
        ("Q1", WHOLE[:-1], Missing.MALFORMED), ("Q1", WHOLE + b"1", Missing.MALFORMED),
        ("Q1", WHOLE[:-8] + b"0000000x", Missing.MALFORMED), ("Q1", WHOLE[:20], Missing.MALFORMED),
        ("Q1", WHOLE.replace(b"41.8 ", b""), Missing.MALFORMED), ("Q1", BIG, Missing.MALFORMED),
        ("Q1", b"(@ @ @ @ @ @ @ 00000000", Missing.MALFORMED), ("Q1", b"#220.0 004 036.0 50.0", Missing.MALFORMED),
        ("Q1", b"\xff\xfe(209.7\x80", Missing.MALFORMED),
        ("QGS", WHOLE, Missing.MALFORMED), ("QMOD", b"(LL", Missing.MALFORMED), ("QMOD", b"(7", Missing.MALFORMED),
        ("QWS", b"(0101", Missing.MALFORMED), ("F", b"#220.0 004", Missing.MALFORMED), ("F", b"#Simulated UPS 1 2", Missing.MALFORMED),
        ("I", b"#one two", Missing.MALFORMED), ("QID", b"(\x01\x02", Missing.MALFORMED), ("QBV", b"(026.5 02", Missing.MALFORMED),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_none(command: str, line: bytes, missing: Missing) -> None:
    assert lines.parse(command, line) is missing


def test_noise_before_an_answer_is_no_part_of_it() -> None:
    assert q1(b"\0\xf3x(" + WHOLE) == q1(WHOLE)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            b"#                OLHVT1K0   00322.02  ", [Missing.NULL, b"OLHVT1K0", b"00322.02"], id="no maker"
        ),
        pytest.param(
            b"#Acme Power      UPS 1000   V1.2", [b"Acme Power", b"UPS 1000", b"V1.2"], id="columns, cut short"
        ),
        pytest.param(b"#Acme U1000 V1.2", [b"Acme", b"U1000", b"V1.2"], id="words"),
        pytest.param(b"#-------------   ------     VT12046Q  ", [Missing.NULL, Missing.NULL, b"VT12046Q"], id="dashes"),
    ],
)
def test_a_ups_says_who_it_is(line: bytes, expected: list[lines.Field]) -> None:
    fields = lines.parse("I", line)
    assert not isinstance(fields, Missing)
    assert [fields[str(place)] for place in range(3)] == expected


@pytest.mark.parametrize(
    ("rating", "cells"),
    [(b"#220.0 000 024.0 50.0", 12), (b"#220.0 004 192.0 50.0", 96), (b"#220.0 004 @@@@@ 50.0", None), (b"#220.0 004 000.0 50.0", None)],
)  # fmt: skip
def test_the_ratings_say_how_many_cells_there_are(rating: bytes, cells: int | None) -> None:
    fields = lines.parse("F", rating)
    assert not isinstance(fields, Missing)
    assert lines.cells(fields) == cells


@given(
    st.sampled_from([*lines.FORMS, "S01", ""]),
    st.binary(max_size=120) | st.text("(#01 .-@QNAK", max_size=90).map(str.encode),
)
def test_no_line_upsets_the_parser(command: str, line: bytes) -> None:
    fields = lines.parse(command, line)
    for raw in (fields,) if isinstance(fields, Missing) else fields.values():
        assert isinstance(raw, (bytes, Missing))
    if command == "Q1" and not isinstance(fields, Missing):
        assert isinstance(lines.whole(fields, 12), (bytes, Missing))
