"""What the agent of a seat says, as the site host takes it: the payloads, and the look at each that came. Pure.

A seat is not trusted. What is not of this shape is refused as a whole; members and addresses that nobody here knows are
passed over, so that a seat may be newer than its host, and nothing of them goes further.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NotRequired

import orjson
from typing_extensions import TypedDict

from edgeagent.seatanswers import LARGEST, NUMBERS, TEXTS, known

LONGEST: Final = 80
"""Characters of a text at most."""
SHORTEST_INTERVAL: Final = 5.0
LONGEST_INTERVAL: Final = 60.0
"""s between two reports: what a seat says beyond these is not believed."""
_MOST: Final = 1e15
_SESSION: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_MACHINE: Final = re.compile(r"[0-9A-Za-z-]{0,64}")


class SeatStatus(TypedDict):
    """The payload of seat/<seat>/status. A will knows neither number nor time."""

    state: Literal["online", "leaving", "offline"]
    session: str
    reason: str
    seq: NotRequired[int]
    time: NotRequired[str]
    interval: NotRequired[float]
    version: NotRequired[str]


class SeatReport(TypedDict):
    """The payload of seat/<seat>/report: what the seat would answer, by address. `machine` tells a cloned image."""

    session: str
    seq: int
    time: str
    machine: str
    answers: Mapping[str, float | str]


PAYLOADS: Final[Mapping[str, Any]] = {"seat-status": SeatStatus, "seat-report": SeatReport}


class Malformed(ValueError):
    """A message of a seat that has not the shape of one; the text says where."""


@dataclass(frozen=True, slots=True)
class Status:
    """A status that was looked at. `interval` is in s."""

    state: str
    session: str
    interval: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was looked at. `time` is the seat's own, epoch s."""

    session: str
    machine: str
    time: float
    answers: dict[str, float | str]


def status(payload: bytes) -> Status:
    """Read a status.

    Raises:
        Malformed.
    """
    said = _object(payload)
    state, interval = said.get("state"), said.get("interval")
    if state not in ("online", "leaving", "offline"):
        raise Malformed("state")
    if interval is not None:
        if not _number(interval):
            raise Malformed("interval")
        interval = min(max(float(interval), SHORTEST_INTERVAL), LONGEST_INTERVAL)
    return Status(state, _name(said, "session", _SESSION), interval)


def report(payload: bytes) -> Report:
    """Read a report, known addresses only.

    Raises:
        Malformed.
    """
    said = _object(payload)
    answers = said.get("answers")
    if not isinstance(answers, dict):
        raise Malformed("answers")
    if type(said.get("seq")) is not int:
        raise Malformed("seq")
    session, machine = _name(said, "session", _SESSION), _name(said, "machine", _MACHINE)
    return Report(session, machine, _time(said.get("time")), _answers(answers))


def _object(payload: bytes) -> dict[str, Any]:
    if len(payload) > LARGEST:
        raise Malformed("size")
    try:
        said = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Malformed("JSON") from error
    if not isinstance(said, dict):
        raise Malformed("JSON")
    return said


def _name(said: Mapping[str, Any], key: str, shape: re.Pattern[str]) -> str:
    value = said.get(key)
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise Malformed(key)
    return value


def _time(value: object) -> float:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise Malformed("time")
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is not None:
            return time.timestamp()
    except (ValueError, OverflowError) as error:
        raise Malformed("time") from error
    raise Malformed("time")


def _number(value: object) -> bool:
    """Tell whether a value is a number that can be reckoned with; true, false and what is not a number are none."""
    return (type(value) is float or type(value) is int) and -_MOST < value < _MOST


def _text(value: object) -> bool:
    return type(value) is str and len(value) <= LONGEST and value.isprintable()


_LOOKS: Final[Mapping[str, Callable[[object], bool]]] = {
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys(TEXTS, _text),
}


def _answers(answers: Mapping[str, Any]) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    for address, value in answers.items():
        look = _LOOKS.get(address)
        if look is None:
            if not known(address):
                continue
            look = _number if address.endswith(".latency") else _text
        if not look(value):
            raise Malformed(address)
        found[address] = value
    return found
