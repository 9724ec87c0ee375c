"""Our own reader and writer of SNMP against pysnmp's: what both read they read alike, and ours reads nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeagent.captures import load
from edgeagent.links import ber, snmpcodec
from edgeagent.links.ber import tlv
from edgeagent.links.snmplayout import Form
from edgeagent.links.snmpmessage import Ask, Foreign, Response, peek
from edgeagent.readings import Missing, Raw
from tests.field import CAPTURES, needs_captures

IDENT = 0x12345678

arcs = st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 300), max_size=12)
oids = st.builds(
    lambda first, second, rest: ".".join(map(str, (first, second, *rest))), st.integers(0, 2), st.integers(0, 39), arcs
)


@st.composite
def lengths(draw: st.DrawFn, tag: int, content: bytes) -> bytes:
    """Write an element with a length in any of the forms BER has for it."""
    size = len(content)
    if size < 0x80 and draw(st.integers(0, 9)):
        return tlv(tag, content)
    least = (size.bit_length() + 7) // 8 or 1
    octets = draw(st.integers(least, min(8, least + 2)))
    return bytes((tag, 0x80 | octets)) + size.to_bytes(octets, "big") + content


@st.composite
def values(draw: st.DrawFn) -> bytes:
    """Write a value: of every type, rightly sized or not, and of types that are none."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        tag = draw(st.sampled_from((0x02, 0x41, 0x42, 0x43, 0x46, 0x47)))
        return draw(lengths(tag, draw(st.binary(max_size=11))))
    if kind == 1:
        return draw(lengths(draw(st.sampled_from((0x04, 0x40, 0x44))), draw(st.binary(max_size=140))))
    if kind == 2:
        return ber.identifier(draw(oids))
    if kind == 3:
        return tlv(0x06, draw(st.binary(max_size=30)))
    if kind == 4:
        return tlv(draw(st.sampled_from((0x05, 0x80, 0x81, 0x82))), draw(st.binary(max_size=1)))
    # pyasn1 takes 0x20 for the end of something, and refuses the packet.
    tags = st.integers(1, 254).filter(lambda tag: tag & 0x1F != 0x1F and tag != 0x20)
    return tlv(draw(tags), draw(st.binary(max_size=5)))


@st.composite
def pdus(draw: st.DrawFn) -> bytes:
    """Write a Response-PDU."""
    rows = draw(st.lists(st.tuples(oids, values()), max_size=6))
    written = b"".join([draw(lengths(0x30, ber.identifier(oid) + value)) for oid, value in rows])
    status, index = (tlv(0x02, draw(st.binary(max_size=3))) for _ in range(2))
    return draw(lengths(0xA2, ber.integer(IDENT) + status + index + draw(lengths(0x30, written))))


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Write an answer."""
    community = tlv(0x04, draw(st.binary(max_size=20)))
    return draw(lengths(0x30, ber.integer(draw(st.integers(0, 1))) + community + draw(pdus())))


changes = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3)), max_size=4)


def mutate(data: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    """Replace stretches of a packet by others, which may be longer, shorter or nothing."""
    for at, instead, length in changes:
        place = at % (len(data) + 1)
        data = data[:place] + instead + data[place + length :]
    return data


def theirs(data: bytes) -> Response | None:
    try:
        return snmpcodec.Community("2c", "public").unwrap(data, IDENT, ())
    except Exception:  # noqa: BLE001 - pyasn1 raises more than its own errors on crafted bytes
        return None


def ours(data: bytes) -> Response | None:
    try:
        return ber.decode_message(data)
    except ber.Malformed:
        return None


@settings(max_examples=120, deadline=None)
@given(messages())
def test_an_answer_is_read_as_pysnmp_reads_it(data: bytes) -> None:
    read = ours(data)
    assert read is not None
    assert read == theirs(data)


@settings(max_examples=250, deadline=None)
@given(messages(), changes)
@example(b"", [])
@example(b"\x30", [])
@example(b"\x30\x80", [])
def test_a_mutated_packet_is_read_as_pysnmp_reads_it_or_refused(
    data: bytes, changes: list[tuple[int, bytes, int]]
) -> None:
    spoilt = mutate(data, changes)
    read = ours(spoilt)
    assert read is None or read == theirs(spoilt)


@settings(max_examples=50, deadline=None)
@given(pdus(), st.integers(IDENT, IDENT + 1))
def test_a_bare_pdu_is_read_as_pysnmp_reads_it(data: bytes, ident: int) -> None:
    told: list[Response | None] = []
    for decode in (ber.decode_pdu, snmpcodec.decode_pdu):
        try:
            told.append(decode(data, ident))
        except Foreign:
            told.append(None)
    assert told[0] == told[1]
    assert (told[0] is None) is (ident != IDENT)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(Ask), st.lists(oids, max_size=20).map(tuple), st.text(max_size=200))
def test_a_request_is_written_as_pysnmp_writes_it(ask: Ask, asked: tuple[str, ...], community: str) -> None:
    head, tail = ber.message(1, community, ask, asked)
    assert head + IDENT.to_bytes(4, "big") + tail == snmpcodec.Community("2c", community).wrap(ask, asked, IDENT)
    assert ber.pdu(ask, asked) == snmpcodec.pdu(ask, asked)


@needs_captures
@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.snmprec")), ids=lambda path: path.stem)
def test_all_that_real_devices_said_is_read_as_pysnmp_reads_it(path: Path) -> None:
    rows = [(oid, tag, raw) for oid, (tag, raw) in load(path).objects.items()]
    for start in range(0, len(rows), 20):
        some = rows[start : start + 20]
        bound = tlv(0x30, *(tlv(0x30, ber.identifier(oid) + encoded(tag, raw)) for oid, tag, raw in some))
        pdu = tlv(0xA2, ber.integer(IDENT), ber.integer(0), ber.integer(0), bound)
        data = tlv(0x30, ber.integer(1), tlv(0x04, b"public"), pdu)
        form = Form(1, "public", Ask.GET, tuple(oid for oid, _, _ in some))
        head = peek(data)
        assert head is not None
        read = theirs(data)
        assert read is not None
        assert read.values == tuple(Missing.NULL if tag == 0x05 else raw for _, tag, raw in some)
        for way in (ours(data), form.read(data, IDENT, head[2]), form.read(data, IDENT, head[2])):
            assert way == read


def encoded(tag: int, raw: Raw) -> bytes:
    """Write a value of a capture."""
    if isinstance(raw, int):
        return tlv(tag, raw.to_bytes(raw.bit_length() // 8 + 1, "big", signed=True))
    if isinstance(raw, bytes):
        return tlv(tag, raw)
    return tlv(tag) if isinstance(raw, Missing) else ber.identifier(str(raw))
