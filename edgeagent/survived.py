"""What an earlier life of the agent wrote, looked at before it is believed. No clock, no I/O but the log.

SQLite tells a corrupt file from a sound one; a row that was changed in place it hands out as it is. Such a row is left
out and said so: an agent that comes up without it finds anew what stands, one that does not come up finds nothing.
A row is JSON of a dataclass: `written` makes it, `read` believes it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
import orjson

from edgeagent.rules import Condition, parse

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_LEFT_OUT: Final = "%s, written by an earlier life of the agent, cannot be read and is left out: %s"
_PLAIN: Final = (str, int, float, type(None))


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
    if isinstance(value, Condition):
        return value.text
    if is_dataclass(value) and not isinstance(value, type):
        kept = ((name, getattr(value, name), default) for name, default in _defaults(type(value)))
        return {name: written(each) for name, each, default in kept if each != default}
    if isinstance(value, Mapping):
        return {str(key): written(each) for key, each in value.items()}
    if isinstance(value, (tuple, list, frozenset)):
        return list(value) if all(type(each) is str for each in value) else list(map(written, value))
    return value if type(value) in _PLAIN else msgspec.to_builtins(value)


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
