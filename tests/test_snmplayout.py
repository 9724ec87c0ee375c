"""Answers read by layout against the same answers read in full."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.links import ber, snmplayout
from edgeagent.links.ber import integer, tlv
from edgeagent.links.snmplayout import Form
from edgeagent.links.snmpmessage import Ask, Foreign, Response, peek
from edgeagent.readings import Missing

OIDS = tuple(f"1.3.6.1.2.1.33.1.4.{number}.0" for number in range(1, 5))
OTHER = "1.3.6.1.2.1.33.1.5.1.0"
IDENT = 0x12345678


def answer(
    rows: list[tuple[str, bytes]], ident: int = IDENT, status: int = 0, index: int = 0, community: bytes = b"public"
) -> bytes:
    """Write an answer of names and encoded values."""
    bound = tlv(0x30, *(tlv(0x30, ber.identifier(oid) + value) for oid, value in rows))
    pdu = tlv(0xA2, integer(ident), integer(status), integer(index), bound)
    return tlv(0x30, integer(1), tlv(0x04, community), pdu)


def asked() -> Form:
    return Form(1, "public", Ask.GET, OIDS)


def read(form: Form, data: bytes, ident: int = IDENT) -> Response:
    head = peek(data)
    assert head is not None
    return form.read(data, ident, head[2])


contents = st.sampled_from((1, 2, 3, 4, 5, 8, 9)).flatmap(lambda size: st.binary(min_size=size, max_size=size))
numbers = st.builds(tlv, st.sampled_from((0x02, 0x41, 0x42, 0x43, 0x46)), contents)
texts = st.builds(tlv, st.sampled_from((0x04, 0x06, 0x40, 0x44)), st.binary(max_size=3))
nothings = st.sampled_from((b"\x05\x00", b"\x80\x00", b"\x81\x00", b"\x82\x00", b"\x02\x00", b"\x49\x01\x07"))
values = numbers | texts | nothings | st.binary(min_size=10, max_size=10).map(lambda content: tlv(0x02, content))
orders = st.permutations(OIDS).map(list) | st.lists(st.sampled_from((*OIDS, OTHER)), min_size=1, max_size=5)
shapes = st.just(list(OIDS)) | st.just(list(OIDS)) | orders


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    rows = [(oid, draw(values)) for oid in draw(shapes)]
    status, index = draw(st.sampled_from(((0, 0), (0, 0), (0, 0), (2, 1), (1, 0), (16, 300))))
    return answer(rows, IDENT, status, index, draw(st.sampled_from((b"public", b"public", b"secret"))))


@st.composite
def turned(draw: st.DrawFn, data: bytes) -> bytes:
    """Change a few bytes and no length: most of the time a value, now and then what is none."""
    spoilt = bytearray(data)
    for at in draw(st.lists(st.integers(len(data) // 3, len(data) - 1), min_size=1, max_size=6)):
        spoilt[at] = draw(st.integers(0, 255))
    return bytes(spoilt)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_an_answer_is_read_by_layout_as_it_is_in_full(data: st.DataObject) -> None:
    form = asked()
    for _ in range(data.draw(st.integers(1, 4))):
        first = data.draw(answers())
        for answered in (first, data.draw(turned(first)), first, data.draw(turned(first))):
            head = peek(answered)
            if head is not None and head[:2] == (1, IDENT):
                by_layout = told(partial(form.read, ident=IDENT, at=head[2]), answered)
                assert by_layout == told(ber.decode_message, answered)


def told(read: Callable[[bytes], Response], data: bytes) -> Response | None:
    try:
        return read(data)
    except ber.Malformed:
        return None


def rows_of(*encoded: bytes) -> list[tuple[str, bytes]]:
    return list(zip(OIDS, encoded, strict=False))


SAME = [
    pytest.param(b"\x02\x01\x07", b"\x02\x01\xf9", (7, -7), id="a sign"),
    pytest.param(b"\x02\x02\x00\x80", b"\x02\x02\xff\x7f", (128, -129), id="two bytes"),
    pytest.param(b"\x43\x03\x01\x00\x00", b"\x43\x03\xff\xff\xff", (65536, 16777215), id="three bytes without sign"),
    pytest.param(b"\x02\x03\x01\x00\x00", b"\x02\x03\xff\xff\xff", (65536, -1), id="three bytes with sign"),
    pytest.param(b"\x42\x04\xff\xff\xff\xff", b"\x42\x04\x7f\xff\xff\xff", (2**32 - 1, 2**31 - 1), id="a gauge"),
    pytest.param(
        b"\x42\x05\x00\xff\xff\xff\xff", b"\x42\x05\x00\x80\x00\x00\x00", (2**32 - 1, 2**31), id="a long gauge"
    ),
    pytest.param(
        b"\x46\x09\x00" + b"\xff" * 8, b"\x46\x09\x00" + b"\x01" * 8, (2**64 - 1, 0x0101010101010101), id="a counter"
    ),
    pytest.param(b"\x04\x02on", b"\x04\x02no", (b"on", b"no"), id="a text"),
    pytest.param(b"\x06\x03\x2b\x06\x01", b"\x06\x03\x2b\x06\x02", ("1.3.6.1", "1.3.6.2"), id="a name"),
    pytest.param(b"\x06\x03\x2b\x06\x01", b"\x06\x03\x2b\x06\x81", ("1.3.6.1", Missing.MALFORMED), id="a broken name"),
]


@pytest.mark.parametrize(("before", "after", "told"), SAME)
def test_another_value_of_the_same_length_needs_no_full_reading(
    before: bytes, after: bytes, told: tuple[object, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    form = asked()
    around = (b"\x80\x00", b"\x04\x00", b"\x05\x00")
    for row in range(4):
        spread = [*around[:row], before, *around[row:]]
        first = read(form, answer(rows_of(*spread)))
        with monkeypatch.context() as closed:
            closed.setattr(ber, "decode_spans", None)
            spread[row] = after
            second = read(form, answer(rows_of(*spread), IDENT + 1), IDENT + 1)
        assert (first.values[row], second.values[row]) == told
        assert second.names is OIDS
        empty = (Missing.ABSENT, b"", Missing.NULL)
        assert (*second.values[:row], *second.values[row + 1 :]) == empty


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(rows_of(b"\x41\x01\x07", b"\x02\x01\x07"), id="another tag"),
        pytest.param(rows_of(b"\x81\x00", b"\x02\x02\x00\x07"), id="an exception and a longer value"),
        pytest.param([(OIDS[1], b"\x02\x01\x07"), (OIDS[0], b"\x02\x01\x07")], id="another order"),
        pytest.param([(OIDS[0], b"\x02\x01\x07"), (OIDS[0], b"\x02\x01\x07")], id="a name twice"),
    ],
)
def test_an_answer_of_the_same_length_and_another_layout_is_read_in_full(changed: list[tuple[str, bytes]]) -> None:
    form = asked()
    first = answer(rows_of(b"\x02\x01\x07", b"\x02\x01\x07"))
    second = answer(changed)
    assert len(first) == len(second)
    for data in (first, second, first, second):
        assert read(form, data) == ber.decode_message(data)


def test_an_answer_to_another_question_or_of_another_version_is_none() -> None:
    form = asked()
    data = answer(rows_of(b"\x02\x01\x07"))
    for spoilt, ident in ((data, IDENT + 1), (data.replace(b"\x02\x01\x01\x04", b"\x02\x01\x00\x04"), IDENT)):
        with pytest.raises(Foreign):
            read(form, spoilt, ident)
    with pytest.raises(Foreign):
        form.read(data, IDENT, 3)


def test_what_is_kept_of_layouts_is_bounded() -> None:
    form = asked()
    for length in range(100):
        read(form, answer(rows_of(tlv(0x04, b"x" * length))))
    for split in range(100):
        read(form, answer(rows_of(tlv(0x04, b"a" * split), tlv(0x04, b"b" * (100 - split)))))
    assert len(form._layouts) <= snmplayout._LENGTHS
    assert max(map(len, form._layouts.values())) <= snmplayout._ALIKE
