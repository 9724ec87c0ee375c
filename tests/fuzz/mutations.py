"""Valid messages, spoilt: bits turned, cut short, spliced, lengths that lie. All by one source of chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from hypothesis import strategies as st

_LENGTHS: Final = (0, 1, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xFE, 0xFF)
_WORDS: Final = (
    b"\0", b"\r\n\r\n", b"\n", b'"', b"[", b"]", b"{", b"}", b"[[", b"=", b"-1", b"1e400", b"9" * 40, b"NaN", b"null",
    b"\xff\xff\xff\xff", b"\xed\xa0\x80", "１٣".encode(), b"a" * 300, b"\\ud800", b"(" * 40,
)  # fmt: skip


def _flip(data: bytearray, at: int, chance: random.Random) -> None:
    if data:
        data[at] ^= 1 << chance.randrange(8)


def _put(data: bytearray, at: int, chance: random.Random) -> None:
    if data:
        data[at] = chance.randrange(256)


def _lie(data: bytearray, at: int, chance: random.Random) -> None:
    if data:
        data[at] = chance.choice(_LENGTHS)


def _cut(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at:]


def _drop(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at : at + chance.randrange(1, 9)]


def _repeat(data: bytearray, at: int, chance: random.Random) -> None:
    piece = data[at : at + chance.randrange(1, 33)]
    data[at:at] = piece * chance.choice((1, 1, 2, 20))


def _insert(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = chance.choice(_WORDS)


_CHANGES: Final[tuple[Callable[[bytearray, int, random.Random], None], ...]] = (
    _flip, _flip, _put, _lie, _cut, _drop, _repeat, _insert,
)  # fmt: skip


def spoilt(seeds: Sequence[bytes], chance: random.Random, longest: int = 4096) -> bytes:
    """Take a message, splice it with another one now and then, and change it at a few places."""
    data = bytearray(chance.choice(seeds))
    if chance.random() < 0.2:
        other = chance.choice(seeds)
        data[chance.randrange(len(data) + 1) :] = other[chance.randrange(len(other) + 1) :]
    for _ in range(chance.choice((0, 1, 1, 2, 4, 16))):
        chance.choice(_CHANGES)(data, chance.randrange(len(data)) if data else 0, chance)
    return bytes(data[:longest])


def messages(seeds: Sequence[bytes], longest: int = 4096) -> st.SearchStrategy[bytes]:
    """Give spoilt messages, and now and then bytes that never were one."""
    made = st.randoms(use_true_random=True).map(lambda chance: spoilt(seeds, chance, longest))
    return st.one_of(made, made, made, st.binary(max_size=64))
