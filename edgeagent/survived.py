"""What an earlier life of the agent wrote, looked at before it is believed. No clock, no I/O but the log.

SQLite tells a corrupt file from a sound one; a row that was changed in place it hands out as it is. Such a row is left
out and said so: an agent that comes up without it finds anew what stands, one that does not come up finds nothing.
"""

from __future__ import annotations

import logging
from typing import Any, Final, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_LEFT_OUT: Final = "%s, written by an earlier life of the agent, cannot be read and is left out: %s"


def taken(shape: TypeAdapter[_T], row: object, what: str) -> _T | None:
    """Return a row in its shape, None when it has another one."""
    try:
        return shape.validate_python(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    log.error(_LEFT_OUT, what, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    return None


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
