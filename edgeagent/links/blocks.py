"""Which reads cover the wanted addresses: the planner of a Modbus poll. Pure; asks nothing.

An address is a table letter and a 0-based PDU address: "c16" coil, "d0" discrete input, "h1032" holding
register, "i4" input register.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from edgeagent.items import Quirks

FUNCTIONS: Final = {"c": 1, "d": 2, "h": 3, "i": 4}
"""Function code that reads a table."""

MOST_REGISTERS: Final = 125
MOST_BITS: Final = 2000
"""What one read may hold at most (MODBUS Application Protocol V1.1b3 §6.1 to §6.4)."""

_LAST: Final = 0xFFFF
_BITS: Final = frozenset("cd")
_WORDS: Final = 4  # the widest value that spans registers is 64 bits


@dataclass(frozen=True, slots=True)
class Block:
    """One read: `count` registers or bits of a table from `start` on.

    `wanted` are the addresses asked for, each with its offset from `start`. `whole` marks a range that the
    device gives only in one piece.
    """

    table: str
    start: int
    count: int
    wanted: tuple[tuple[str, int], ...]
    whole: bool = False

    @property
    def function(self) -> int:
        """Function code of the read."""
        return FUNCTIONS[self.table]

    @property
    def bits(self) -> bool:
        """Tell whether the table holds bits."""
        return self.table in _BITS

    @property
    def size(self) -> int:
        """Bytes of data in the answer."""
        return (self.count + 7) // 8 if self.bits else self.count * 2

    @property
    def shape(self) -> tuple[int, int]:
        """What tells its answer from others: function code and bytes of data."""
        return self.function, self.size

    def halves(self) -> tuple[Block, Block]:
        """Split at the widest hole, in the middle where there is none; needs two wanted addresses."""
        numbers = [self.start + offset for _, offset in self.wanted]
        total = len(numbers)
        cut = max(range(1, total), key=lambda i: (numbers[i] - numbers[i - 1], -abs(2 * i - total)))
        return _block(self.table, numbers[:cut]), _block(self.table, numbers[cut:])

    def anchor(self, owed: AbstractSet[tuple[int, int]], gap: int) -> Block:
        """Return a read from this block's start whose answer can be told from every owed one, as far as there is one.

        `owed` are the shapes of answers that may still come. The read may run up to `gap` registers
        beyond the block: when the device refuses that, the refusal is an answer that can be told, too.
        """
        if not self.whole:
            beyond = self.count + (gap * 16 if self.bits else gap)
            longest = min(beyond, MOST_BITS if self.bits else MOST_REGISTERS, _LAST + 1 - self.start)
            for count in range(1, longest + 1):
                anchor = Block(self.table, self.start, count, ())
                if anchor.size != self.size and anchor.shape not in owed:
                    return anchor
        return self


def split(address: str) -> tuple[str, int]:
    """Take an address apart into table letter and 0-based number.

    Raises:
        ValueError: when it is no Modbus address.
    """
    table, number = address[:1], address[1:]
    if table not in FUNCTIONS or not (number.isascii() and number.isdecimal()) or int(number) > _LAST:
        raise ValueError(f'"{address}" is not a Modbus address such as h1032, i4, c16 or d0')
    return table, int(number)


def cover(
    addresses: Iterable[str],
    quirks: Quirks,
    bad: AbstractSet[str] = frozenset(),
    cuts: AbstractSet[str] = frozenset(),
) -> tuple[Block, ...]:
    """Cover the addresses with as few reads as the quirks allow, lowest address first in each table.

    Holes of up to `quirks.gap` registers (sixteen times as many bits, which is the same on the wire) are read to
    join two wanted addresses. Ranges of `quirks.groups` are read whole and alone, and only when nothing in them is
    bad. `bad` addresses are neither read nor bridged; no block runs into a `cuts` address from a lower one.

    Raises:
        ValueError: when something is no Modbus address.
    """
    tables: dict[str, set[int]] = {}
    for address in addresses:
        if address not in bad:
            table, number = split(address)
            tables.setdefault(table, set()).add(number)
    blocks: list[Block] = []
    for table in sorted(tables):
        wanted = tables[table]
        barred = {split(address)[1] for address in bad if address[0] == table}
        edges = {split(address)[1] for address in cuts if address[0] == table}
        for group, count in quirks.groups:
            letter, start = split(group)
            if letter != table:
                continue
            span = range(start, start + count)
            inside = sorted(wanted.intersection(span))
            if inside and barred.isdisjoint(span):
                blocks.append(Block(table, start, count, _names(table, start, inside), whole=True))
            wanted.difference_update(span)
            barred.update(span)
        bits = table in _BITS
        limit = min(quirks.coils, MOST_BITS) if bits else min(quirks.registers, MOST_REGISTERS)
        for run in _runs(sorted(wanted), quirks.gap * 16 if bits else quirks.gap, barred, edges):
            blocks.extend(_block(table, piece) for piece in _pieces(run, limit))
    return tuple(blocks)


def _names(table: str, start: int, numbers: list[int]) -> tuple[tuple[str, int], ...]:
    return tuple((f"{table}{number}", number - start) for number in numbers)


def _block(table: str, numbers: list[int]) -> Block:
    start = numbers[0]
    return Block(table, start, numbers[-1] - start + 1, _names(table, start, numbers))


def _runs(numbers: list[int], gap: int, barred: AbstractSet[int], edges: AbstractSet[int]) -> Iterator[list[int]]:
    """Yield what may be joined."""
    if not numbers:
        return
    run = numbers[:1]
    for before, number in pairwise(numbers):
        near = number - before - 1 <= gap
        if near and barred.isdisjoint(range(before + 1, number)) and edges.isdisjoint(range(before + 1, number + 1)):
            run.append(number)
        else:
            yield run
            run = [number]
    yield run


def _pieces(run: list[int], limit: int) -> Iterator[list[int]]:
    """Yield pieces no longer than the limit, cut at holes where that keeps adjacent addresses together."""
    while run[-1] - run[0] >= limit:
        cut = bisect_left(run, run[0] + limit)
        first = last = cut
        while first and run[first - 1] == run[first] - 1:
            first -= 1
        while last + 1 < len(run) and run[last + 1] == run[last] + 1:
            last += 1
        # A stretch that fits one read stays whole; a longer one is cut between values, not between the words of one.
        cut = first if first and last - first < limit else cut - (cut - first) % _WORDS or cut
        yield run[:cut]
        run = run[cut:]
    yield run
