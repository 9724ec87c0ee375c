"""Reads what [seats.*] says beside the range: the parts that each seat has, and when somebody works there.

    [seats.row-a.parts.pc]      driver = "workstation/host", url = "seat://{seat}"         a001-pc, a002-pc …
    [seats.row-a.parts.port]    driver = "port/if-mib", url = "snmp://…", index = "{n}", port = "1.{n}"    a001-port …

In a url, an index and a port `{seat}` is the seat's id and `{n}` its place in the range, from 1; `{n+100}` counts from
101. What is wrong with a part is told once, at the part, not for each seat. Opens no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from edgeagent.catalog import Kind, Text
from edgeagent.drillsettings import ShiftEntry, hours
from edgeagent.kindfiles import TextEntry, text_of
from edgeagent.mistakes import Path_, nearest
from edgeagent.scenario import Hours
from edgeagent.seatrange import MOST_SEATS, seats_of
from edgeagent.treefiles import PartEntry, TreeTables

PORT: Final = re.compile(r"[1-9]\d{0,8}\.[1-9]\d{0,8}")
"""group.port of POWER-ETHERNET-MIB."""
_PLACEHOLDER: Final = re.compile(r"\{(seat|n)([+-]\d{1,9})?\}")
_ANY: Final = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class SeatPart:
    """One part of one seat, as [devices.<id>] would say it; `path` is where it stands in the file."""

    id: str
    seat: str
    name: TextEntry
    url: str
    index: int
    port: str | None
    entry: PartEntry
    path: Path_


def parts_of(tables: TreeTables, kinds: Mapping[str, Kind], say: Callable[[Path_, str], None]) -> Iterator[SeatPart]:
    """Give the parts of all seats; `say` hears of mistakes."""
    for group, seats in tables.seats.items():
        ids = seats_of(seats.range)
        if isinstance(ids, str) or len(ids) > MOST_SEATS:  # the tree says so
            continue
        for word, entry in seats.parts.items():
            path: Path_ = ("seats", group, "parts", word)
            if not _sound(path, entry, say):
                continue
            for number, seat in enumerate(ids, 1):
                index = filled(str(entry.index), seat, number)
                if not index.isdecimal():
                    say((*path, "index"), f'"{index}" of {seat} is no number from 0 on')
                    break
                port = filled(entry.port, seat, number) if entry.port else None
                if port is not None and not PORT.fullmatch(port):
                    say((*path, "port"), f'"{port}" of {seat} is no group.port, such as 1.17')
                    break
                name = text_of(seats.name if entry.name is None else entry.name)
                yield SeatPart(
                    f"{seat}-{word}", seat, _named(name, seat, word, entry, kinds), filled(entry.url, seat, number),
                    int(index), port, entry, path,
                )  # fmt: skip


def filled(text: str, seat: str, number: int) -> str:
    """Put a seat's id and its place in the range where the text has room for them."""
    return _PLACEHOLDER.sub(lambda match: seat if match[1] == "seat" else str(number + int(match[2] or 0)), text)


def _sound(path: Path_, entry: PartEntry, say: Callable[[Path_, str], None]) -> bool:
    sound = True
    for key, text in (("url", entry.url), ("index", str(entry.index)), ("port", entry.port or "")):
        for found in _ANY.findall(text):
            if not _PLACEHOLDER.fullmatch(found) or found.startswith(("{seat+", "{seat-")):
                say((*path, key), f'unknown placeholder "{found}"; there are {{seat}}, {{n}} and {{n+100}}')
                sound = False
    return sound


def _named(name: Text, seat: str, word: str, entry: PartEntry, kinds: Mapping[str, Kind]) -> TextEntry:
    """Name a part after its seat: "Seat a001 headset", "a001 号座席耳机"; a service by its word: "Seat a001 crm"."""
    try:
        name = name.format(seat=seat)
    except (AttributeError, IndexError, KeyError, ValueError):  # the tree says so
        name = Text(seat, seat)
    kind = kinds.get(entry.driver.partition("/")[0])
    if entry.name is not None or kind is None:
        return TextEntry(en=name.en, zh=name.zh)
    if kind.id == "service":
        return TextEntry(en=f"{name.en} {word}", zh=f"{name.zh} {word}")
    en = kind.text.en[:1].lower() + kind.text.en[1:]
    return TextEntry(en=f"{name.en} {en}", zh=name.zh + kind.text.zh.removeprefix("座席"))


def staffing_of(
    tables: TreeTables, shifts: Mapping[str, ShiftEntry], say: Callable[[Path_, str], None]
) -> dict[str, tuple[Hours, ...]]:
    """Return when somebody works at the seats of each range: hours, or those of a shift that the site names."""
    found: dict[str, tuple[Hours, ...]] = {}
    for group, seats in tables.seats.items():
        words = (seats.staffed,) if isinstance(seats.staffed, str) else seats.staffed
        calendar: list[Hours] = []
        for word in words:
            if word in shifts:
                calendar.append(shifts[word].hours)
                continue
            try:
                calendar.append(hours(word))
            except ValueError as error:
                plain = re.fullmatch(r"[a-z0-9-]+", word)
                say(
                    ("seats", group, "staffed"),
                    f'unknown shift "{word}"{nearest(word, list(shifts))}' if plain else str(error),
                )
        found[group] = tuple(calendar)
    return found
