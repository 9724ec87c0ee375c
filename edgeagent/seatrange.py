"""How seats in a row are written: "a001..a040", or one alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST_SEATS: Final = 20_000
"""Seats that a site has at the most."""
_ID: Final = r"[a-z0-9-]{1,40}"


@dataclass(frozen=True, slots=True)
class SeatRange:
    """Seats in a row: a001..a040, or one alone."""

    prefix: str
    digits: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __iter__(self) -> Iterator[str]:
        return (f"{self.prefix}{number:0{self.digits}}" for number in range(self.first, self.last + 1))


_ONE_DASH: Final = re.compile(r"([a-z0-9-]*[a-z-])(\d+)-+\1(\d+)")
"""Two ends that begin alike and hang together by a dash: an id as well, which nobody means."""
_END: Final = re.compile(r"([a-z0-9-]*?)(\d{1,9})")


def seats_of(text: str) -> SeatRange | str:
    """Read a range of seats; return what is wrong with it where it cannot be read."""
    meant = _ONE_DASH.fullmatch(text)
    if meant is not None and int(meant[2]) < int(meant[3]):
        return f'"{text}" is one seat of that name, did you mean "{meant[1]}{meant[2]}..{meant[1]}{meant[3]}"?'
    first, _, last = text.partition("..")
    low, high = _END.fullmatch(first), _END.fullmatch(last or first)
    if low is None or high is None or not re.fullmatch(_ID, first):
        return f'"{text}" is no range of seats; write "a001..a040", in lower case'
    seats = SeatRange(low[1], len(low[2]), int(low[2]), int(high[2]))
    if low[1] != high[1]:
        return f'both ends begin alike: "{low[1]}" is not "{high[1]}"'
    if seats.last < seats.first:
        return f'"{text}" runs backwards'
    if high[2] != f"{seats.last:0{seats.digits}}":
        return f'both ends have as many digits: "{low[2]}" and "{high[2]}"'
    return seats
