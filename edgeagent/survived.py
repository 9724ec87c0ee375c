"""What an earlier life of the agent wrote, looked at before it is believed. No clock, no I/O but the log.

SQLite tells a corrupt file from a sound one; a row that was changed in place it hands out as it is. Such a row is left
out and said so: an agent that comes up without it finds anew what stands, one that does not come up finds nothing.
A row is JSON of a dataclass: `written` makes it, `read` believes it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
import orjson

from edgeagent.rules import Condition, parse

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_LEFT_OUT: Final = "%s, written by an earlier life of the agent, cannot be read and is left out: %s"
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def read(shape: type[_T], row: object) -> _T:
    """Return a row in its shape; a condition stands there as its text.

    Raises:
        ValueError: when it has another shape; the message names the first place.
    """
    return msgspec.convert(row, shape, str_keys=True, dec_hook=_parsed)


def taken(shape: type[_T], row: object, what: str) -> _T | None:
    """Return a row in its shape, None when it has another one."""
    try:
        return read(shape, row)
    except ValueError as error:
        why = str(error)
    log.error(_LEFT_OUT, what, why)
    return None


def written(value: Any) -> Any:  # noqa: ANN401 - any value of the model, and JSON
    """Return JSON-able data of a value, without the fields that are as they are by default."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if issubclass(kind, Enum):
        return value.value
    if kind is Condition:
        return value.text
    if is_dataclass(kind):
        made = {}
        for name, default in _defaults(kind):
            kept = getattr(value, name)
            if kept is not default and kept != default:
                made[name] = kept if type(kept) in _PLAIN else written(kept)
        return made
    if issubclass(kind, Mapping):
        return {str(key): written(each) for key, each in value.items()}
    return [each if type(each) in _PLAIN else written(each) for each in value]


@cache
def _defaults(shape: type[Any]) -> tuple[tuple[str, Any], ...]:
    """Return the fields of a dataclass with what they are by default."""
    return tuple(
        (each.name, each.default if each.default_factory is MISSING else each.default_factory())
        for each in fields(shape)
    )


def _parsed(shape: type[Any], value: object) -> Condition:
    if shape is not Condition or not isinstance(value, str):
        raise TypeError(f"no {shape.__name__}")
    return parse(value)


def unpacked(body: bytes, what: str) -> dict[str, Any] | None:
    """Return the JSON object that a row holds, None when it holds none."""
    try:
        found = orjson.loads(body)
        if isinstance(found, dict):
            return found
        why = "it is no object"
    except orjson.JSONDecodeError as error:
        why = str(error)
    log.error(_LEFT_OUT, what, why)
    return None
