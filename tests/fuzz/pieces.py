"""How one run of bytes becomes several messages, and what any poll must answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgeagent.readings import Answers


def told(answers: Answers, asked: Sequence[str]) -> None:
    """See that a poll answered for all it was asked, with what a raw answer may be."""
    assert answers.keys() >= set(asked), set(asked) - answers.keys()
    for address, raw in answers.items():
        assert isinstance(address, str)
        assert isinstance(raw, int | float | bytes | str), address


def pieces(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """Cut what came into frames: a byte of length, whose top bit asks for a frame that is right in its outer form."""
    at = 0
    while at < len(data):
        head = data[at]
        yield bool(head & 0x80), data[at + 1 : at + 1 + (head & 0x7F)]
        at += 1 + (head & 0x7F)


def framed(*frames: bytes, honest: bool = False) -> bytes:
    return b"".join(bytes([len(frame) | honest << 7]) + frame for frame in frames)
