"""Reads the lines of a scenario: what is shown when, what must come of it, and on what the drill ends. Opens nothing.

    at 0:10 every ups battery.charge = 100 -> 60 over 8:00        at 0:05 30% of workstation in hall softphone = false
    at 2:00 ups-b silent        by 0:45 alarm mains.mains-lost        never run security
    any environment temperature > 32

An inject is "at MOMENT WHO WHAT". MOMENT is M:SS or H:MM:SS from the start. WHO is one of

    ups-a                               the device of this id
    every KIND                          all of them; the site must have one
    any KIND                            all of them, and none is fine as well
    one KIND, 12 KIND, 30% of KIND      the first so many, a share is rounded up
    seats a001..a010 [KIND]             the devices at these seats

and of all but the first and the last "in NODE" after it keeps to what hangs on a node or stands in an area. WHAT is
one of

    POINT = VALUE                       a number in the point's unit, true or false, a word, members joined by commas
    POINT = missing                     the device says that it does not know
    POINT -> VALUE over MOMENT          from what it is, evenly; POINT = VALUE -> VALUE over MOMENT from a value
    POINT + MEMBER, POINT - MEMBER      an alarm joins the set, or leaves it
    silent, answers, released           no answer at all, answers again, what the device really says counts again

Each word is checked against the catalogue. Whether the site has such devices is for `targets.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from edgeagent.catalog import Kind, Point, PointType
from edgeagent.mistakes import nearest
from edgeagent.procedure import GROUP, Procedure
from edgeagent.readings import Value
from edgeagent.scenario import Do, Expectation, Inject, What, Who
from edgeagent.seatrange import MOST_SEATS, seats_of


class WordError(ValueError):
    """A line that cannot be read; the message says what is wrong and what would be right."""


_VERBS: Final = {"silent": Do.SILENT, "answers": Do.ANSWERS, "released": Do.RELEASE}
_CHANGES: Final = {"+": Do.ADD, "-": Do.REMOVE}
_MOMENT: Final = re.compile(r"(?:(\d{1,2}):(?=\d\d:))?(\d{1,3}):([0-5]\d)")
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")
_SHARE: Final = re.compile(r"(\d{1,3})%")
_OURS: Final = ("reachable", "identity")
"""Points that the agent finds itself: no device says them."""
_NONE: Final = "none"
"""How an empty set is written."""


def moment(word: str) -> float:
    """Return the s of "M:SS" or "H:MM:SS"."""
    match = _MOMENT.fullmatch(word)
    if match is None or (match[1] and int(match[2]) > 59):
        raise WordError(f'"{word}" is no moment; write minutes and seconds, "0:45" or "12:00", or "1:30:00"')
    return int(match[1] or 0) * 3600.0 + int(match[2]) * 60 + int(match[3])


def inject(line: str, kinds: Mapping[str, Kind], devices: Mapping[str, str] = MappingProxyType({})) -> Inject:
    """Read one line of the timeline. `devices` are the kinds of the site's devices, as far as they are known.

    Raises:
        WordError: when a word is unknown, or stands where it means nothing.
    """
    words = line.split()
    if words[:1] != ["at"] or len(words) < 4:
        raise WordError('says when, who and what, for example "at 0:10 every ups source = battery"')
    at = moment(words[1])
    who, rest = _who(words[2:], kinds)
    if not rest:
        raise WordError('does not say what is shown; write for example "source = battery", or "silent"')
    what = _what(rest, who, kinds, devices)
    return Inject(at, who, what.do, " ".join(words), what.point, what.value, what.start, what.over)


def expectation(line: str, kinds: Mapping[str, Kind], procedures: Mapping[str, Procedure]) -> Expectation:
    """Read what must have come "by MOMENT", or may "never" come.

    Raises:
        WordError: when a word is unknown, or stands where it means nothing.
    """
    words = line.split()
    never = words[:1] == ["never"]
    if len(words) != 3 if never else words[:1] != ["by"] or len(words) != 4:
        raise WordError('is "by 0:45 alarm mains-lost" or "never run security", one thing a line')
    what, name = words[-2:]
    if what not in list(What):
        raise WordError(f'"{what}" is nothing to expect{nearest(what, [each.value for each in What])}')
    by = 0.0 if never else moment(words[1])
    if what in (What.ALARM, What.CLEARED):
        _alarm(name, kinds)
        return Expectation(What(what), name, " ".join(words), by=by, never=never)
    procedure, slash, step = name.partition("/")
    _known("procedure", procedure, list(procedures))
    if what == What.STEP:
        _known(f"step of {procedure}", step, [each.id for each in procedures[procedure].steps])
    elif slash:
        raise WordError(f'"{name}" is a step; write "step {name}", or "{what} {procedure}"')
    return Expectation(What(what), procedure, " ".join(words), step, by, never)


def abort(line: str, kinds: Mapping[str, Kind]) -> tuple[Kind, str]:
    """Return of "any KIND CONDITION" the kind, and the condition as it is written.

    Raises:
        WordError: when it begins otherwise.
    """
    words = line.split()
    if words[:1] != ["any"] or len(words) < 3:
        raise WordError('is "any KIND CONDITION", for example "any environment temperature > 32"')
    _known("kind", words[1], list(kinds))
    return kinds[words[1]], " ".join(words[2:])


def _known(what: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise WordError(f'unknown {what} "{word}"{nearest(word, list(known))}')


def _alarm(name: str, kinds: Mapping[str, Kind]) -> None:
    types = sorted({GROUP, *(type for kind in kinds.values() for type in kind.alarms)})
    _, dot, rest = name.partition(".")
    type = rest.partition(".")[0] if dot and name not in types else name
    _known("alarm type", type, types)


# Who.


def _who(words: Sequence[str], kinds: Mapping[str, Kind]) -> tuple[Who, Sequence[str]]:
    """Return whom the words mean, and the words after them."""
    first, *rest = words
    if first == "seats":
        return _seats(rest, kinds)
    if first in ("every", "any"):
        return _of_kind(rest, kinds, lambda kind, under: Who(kind, under=under, optional=first == "any"))
    if first == "one" or first.isdecimal():
        count = 1 if first == "one" else int(first)
        if not count:
            raise WordError("is about no device at all")
        return _of_kind(rest, kinds, lambda kind, under: Who(kind, count=count, under=under))
    if match := _SHARE.fullmatch(first):
        share = int(match[1]) / 100
        if not 0 < share <= 1 or rest[:1] != ["of"]:
            raise WordError(f'"{first}" is no share; write for example "30% of workstation", 1% to 100%')
        return _of_kind(rest[1:], kinds, lambda kind, under: Who(kind, share=share, under=under))
    return Who(names=(first,)), rest


def _of_kind(
    words: Sequence[str], kinds: Mapping[str, Kind], who: Callable[[str, str], Who]
) -> tuple[Who, Sequence[str]]:
    kind = words[0] if words else ""
    _known("kind", kind, list(kinds))
    if words[1:2] == ["in"] and len(words) > 2:
        return who(kind, words[2]), words[3:]
    return who(kind, ""), words[1:]


def _seats(words: Sequence[str], kinds: Mapping[str, Kind]) -> tuple[Who, Sequence[str]]:
    seats = seats_of(words[0] if words else "")
    if isinstance(seats, str):
        raise WordError(seats)
    if len(seats) > MOST_SEATS:
        raise WordError(f"names {len(seats)} seats; a site has {MOST_SEATS} at the most")
    rest = words[1:]
    if rest[:1] and (rest[0] in kinds or (len(rest) > 2 and not _speaks(rest[1]) and _speaks(rest[2]))):
        _known("kind", rest[0], list(kinds))
        return Who(rest[0], tuple(seats)), rest[1:]
    return Who(names=tuple(seats)), rest


def _speaks(word: str) -> bool:
    """Tell whether a word stands between a point and its value."""
    return word in ("=", "->", *_CHANGES)


# What.


@dataclass(frozen=True, slots=True)
class _Said:
    do: Do
    point: str = ""
    value: Value | None = None
    start: float | None = None
    over: float = 0.0


def _what(words: Sequence[str], who: Who, kinds: Mapping[str, Kind], devices: Mapping[str, str]) -> _Said:
    id, *rest = words
    if not rest:
        if id not in _VERBS:
            wanted = 'else "POINT = VALUE", with blanks between'
            raise WordError(f'"{id}" is nothing to do{nearest(id, list(_VERBS))}; {wanted}')
        return _Said(_VERBS[id])
    if not _speaks(rest[0]) or len(rest) < 2:
        raise WordError(f'"{" ".join(words)}" is not "POINT = VALUE", "POINT -> VALUE over M:SS" or "POINT + MEMBER"')
    if id in _OURS:
        raise WordError(f'no device says "{id}" of itself; write "silent"')
    own = {who.kind} if who.kind else {devices[name] for name in who.names if name in devices}
    candidates = [kind for kind in kinds.values() if not own or kind.id in own]
    wrong: WordError | None = None
    for kind in candidates:
        point = kind.point(id)
        if point is None:
            continue
        try:
            return _said(id, point, kind, rest)
        except WordError as error:
            wrong = wrong or error
    known = sorted({each for kind in candidates for each in kind.points} - set(_OURS))
    raise wrong or WordError(f'unknown point "{id}"{nearest(id, known)}')


def _said(id: str, point: Point, kind: Kind, words: Sequence[str]) -> _Said:
    operator, *rest = words
    if operator in _CHANGES:
        if point.type is not PointType.SET:
            raise WordError(f'{id} is no set of alarms; write "{id} = VALUE"')
        return _Said(_CHANGES[operator], id, _member(" ".join(rest), kind))
    if operator == "=" and rest == ["missing"]:
        return _Said(Do.MISSING, id)
    if operator == "=" and "->" not in rest:
        return _Said(Do.SET, id, _value(id, point, kind, " ".join(rest)))
    start, way = (None, rest) if operator == "->" else (rest[0], rest[2:])
    if point.type is not PointType.NUMBER:
        raise WordError(f'{id} is no number, so it changes at once; write "{id} = VALUE"')
    if len(way) != 3 or way[1] != "over" or (start is not None and rest[1] != "->"):
        raise WordError(f'is "{id} -> VALUE over M:SS", or "{id} = VALUE -> VALUE over M:SS"')
    over = moment(way[2])
    if not over:
        raise WordError(f'takes no time; write "{id} = {way[0]}"')
    first = None if start is None else _number(id, point, start)
    return _Said(Do.RAMP, id, _number(id, point, way[0]), first, over)


def _value(id: str, point: Point, kind: Kind, text: str) -> Value:
    match point.type:
        case PointType.NUMBER:
            return _number(id, point, text)
        case PointType.SET:
            members = [] if text == _NONE else [each.strip() for each in text.split(",")]
            return frozenset(_member(member, kind) for member in members)
        case PointType.TEXT:
            raise WordError(f"{id} is a text, and no drill shows another one")
    known = point.values if point.type is PointType.ENUM else ("true", "false")
    if text not in known:
        raise WordError(f'"{text}" is no value of {id}{nearest(text, list(known))}')
    return text if point.type is PointType.ENUM else text == "true"


def _number(id: str, point: Point, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise WordError(f'"{text}" is no number; {id} is a bare number in {point.unit}')
    number = float(text)
    if point.range is not None and not point.range[0] <= number <= point.range[1]:
        low, high = point.range
        raise WordError(f"{id} cannot be {text}: it lies from {low:g} to {high:g} {point.unit}")
    return number


def _member(member: str, kind: Kind) -> str:
    if not kind.owns(member):
        raise WordError(f'"{member}" is no alarm of {kind.id}{nearest(member, sorted(kind.members))}')
    return member
