"""The makers' own protocols: what is asked, what the answers mean, and that no device can do harm by them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.headsetqueries import LONGEST, NOTHING, QUERIES, VENDOR, Link, Told, private_reports, query
from edgeagent.usbdevices import clean
from tests.headsetbed import BT600, EVOLVE2, LINK_390, TELEPHONY, Model, jabra, poly


class Wire:
    """A device that answers by a function, on a clock that goes on by 10 ms each time that one looks at it."""

    def __init__(self, descriptor: bytes, talk: Callable[[bytes], list[bytes]]) -> None:
        self._descriptor, self._talk = descriptor, talk
        self._waiting: list[bytes] = []
        self.written: list[bytes] = []
        self.now = 0.0

    def clock(self) -> float:
        self.now += 0.001
        return self.now

    def open_path(self, path: bytes) -> None:
        pass

    def write(self, data: bytes) -> int:
        self.written.append(data)
        self._waiting = self._talk(data)
        return len(data)

    def read(self, size: int, timeout_ms: int) -> list[int]:
        assert 0 < timeout_ms <= LONGEST * 1000
        if self._waiting:
            return list(self._waiting.pop(0))
        self.now += timeout_ms / 1000
        return []

    def get_report_descriptor(self) -> list[int]:
        return list(self._descriptor)

    def close(self) -> None:
        pass


def told(model: Model, talk: Callable[[bytes], list[bytes]]) -> Told:
    wire = Wire(model.descriptor, talk)
    answer = query(wire, QUERIES[model.vendor], wire.clock)
    assert wire.now <= LONGEST + 0.1
    return answer


def echo(frame: bytes) -> list[bytes]:
    return [frame] * 100


@pytest.mark.parametrize(
    ("model", "talk", "answer"),
    [
        (LINK_390, jabra(b"\x00\x64"), Told(Link.CONNECTED, 100, False)),
        (LINK_390, jabra(b"\x41\x00"), Told(Link.CONNECTED, 0, True)),
        (LINK_390, jabra(b"\x00\x65"), Told(Link.CONNECTED)),
        (LINK_390, jabra(b"\x00"), Told(Link.CONNECTED)),
        (LINK_390, jabra(0xF6), Told(Link.CONNECTED)),
        (LINK_390, jabra(0xF3, 0xFF), Told(Link.OFFLINE)),
        (LINK_390, jabra(0xF4, 0xF5), Told(Link.OFFLINE)),
        (LINK_390, jabra(0xF5), Told(Link.OFFLINE)),
        (EVOLVE2, jabra(0xF5, 0xFF), Told(Link.WIRED)),
        (EVOLVE2, jabra(None, b"\0\x30"), Told(Link.WIRED, 48, False)),
        (EVOLVE2, jabra(), NOTHING),
        (EVOLVE2, jabra(0x42), NOTHING),
        (LINK_390, echo, NOTHING),
        (BT600, poly(b"\x07\x0b\0\2\xee\1"), Told(Link.CONNECTED, 70, False)),
        (BT600, poly(b"\x0a\x0b\1\0\0\1"), Told(Link.CONNECTED, 100, True)),
        (BT600, poly(b"\x0b\x0b\1\0\0\1"), Told(Link.CONNECTED)),
        (BT600, poly(b"\0\1\0"), Told(Link.CONNECTED)),
        (BT600, poly(None), Told(Link.OFFLINE, sure=False)),
        (BT600, poly(None, dongle=False), NOTHING),
        (BT600, echo, NOTHING),
    ],
)
def test_what_a_device_answers_is_told(model: Model, talk: Callable[[bytes], list[bytes]], answer: Told) -> None:
    assert told(model, talk) == answer


@pytest.mark.parametrize("model", [LINK_390, BT600], ids=lambda model: model.name)
def test_a_device_that_talks_without_end_is_left_in_half_a_second(model: Model) -> None:
    noise = bytes((model.descriptor[-1], 1)).ljust(64, b"\xff")
    wire = Wire(model.descriptor, lambda frame: [noise] * 100_000)
    assert query(wire, QUERIES[model.vendor], wire.clock) == NOTHING
    assert wire.now <= LONGEST
    assert len(wire._waiting) > 90_000


@pytest.mark.parametrize("fault", [OSError("read error"), ValueError("not open")], ids=str)
def test_a_device_that_is_pulled_out_while_it_is_asked_says_nothing(fault: Exception) -> None:
    def pull(frame: bytes) -> list[bytes]:
        raise fault

    assert told(LINK_390, pull) == NOTHING


def test_a_query_is_one_frame_of_the_makers_protocol() -> None:
    wire = Wire(LINK_390.descriptor, jabra(0xF3))
    query(wire, QUERIES[0x0B0E], wire.clock)
    assert wire.written == [bytes.fromhex("05040000461202").ljust(64, b"\0")]
    wire = Wire(BT600.descriptor, poly(b"\x07\x0b\0\2\xee\1"))
    query(wire, QUERIES[0x047F], wire.clock)
    assert [frame.rstrip(b"\0").hex() for frame in wire.written] == [
        "0601", "0701011007000000010102", "0701011007200000010102", "0701011006200000020a1a",
    ]  # fmt: skip


frames = st.lists(st.binary(max_size=70), max_size=8)


@given(st.sampled_from([LINK_390, BT600]), st.lists(frames, max_size=6))
def test_whatever_a_device_says_no_more_is_told_than_can_be(model: Model, answers: list[list[bytes]]) -> None:
    turns = itertools.chain(answers, itertools.repeat([]))
    answer = told(model, lambda frame: list(next(turns)))
    assert answer.charge is None or 0 <= answer.charge <= 100


@given(
    st.sampled_from([LINK_390, BT600]),
    st.lists(st.tuples(st.integers(0, 63), st.integers(0, 255)), max_size=4),
    st.integers(0, 64),
)
def test_good_answers_with_wrong_octets_in_them_do_no_harm(
    model: Model, changes: list[tuple[int, int]], size: int
) -> None:
    good = jabra(b"\0\x32", name=b"Headset", serial=b"1") if model is LINK_390 else poly(b"\x07\x0b\0\2\xee\1")

    def talk(frame: bytes) -> list[bytes]:
        garbled = []
        for each in map(bytearray, good(frame)):
            for place, octet in changes:
                each[place] = octet
            garbled.append(bytes(each[:size]))
        return garbled

    answer = told(model, talk)
    assert answer.charge is None or 0 <= answer.charge <= 100
    assert len(clean(answer.name)) <= 64


@given(st.binary(max_size=200))
def test_any_octets_can_stand_where_a_report_descriptor_should(descriptor: bytes) -> None:
    assert all(isinstance(report, int) for report in private_reports(descriptor))


def test_reports_are_private_by_the_page_of_their_usages() -> None:
    assert private_reports(LINK_390.descriptor) == {5}
    assert private_reports(BT600.descriptor) == {6, 7}
    pushed = bytes.fromhex("0600ff8505a40508850309099102b409019102c0")
    assert private_reports(pushed) == {5}
    assert private_reports(bytes.fromhex("0600ff85050b090008009102")) == frozenset(), "a usage may name its page itself"
    assert private_reports(bytes.fromhex("0600fffe03aa0102038505")) == frozenset(), "a long item"


def test_the_lamps_are_on_no_list_of_what_may_be_written() -> None:
    assert VENDOR == 0xFF00
    assert 3 not in private_reports(TELEPHONY)
    assert set().union(*(query.reports for query in QUERIES.values())) == {5, 6, 7}
