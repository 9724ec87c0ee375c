"""The log: standard logging to stderr, with journal priorities when stderr is the journal.

Owns how a line looks. Results of commands go to stdout and never through here.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from typing import Final

_SECRET: Final = re.compile(
    r"""\b((?:community|password)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s&,;)}]+)""", re.IGNORECASE
)
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Lowest level and its sd-daemon(3) priority, gravest first; what is below is 7, debug."""


def setup(level: str = "info") -> None:
    """Send everything from `level` (debug, info, warning, error, critical) on to stderr.

    Raises:
        ValueError: for a level that is none of these.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JournalFormatter() if _stderr_is_the_journal() else PlainFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


def redact(text: str) -> str:
    """Put `***` in the place of what follows `community=` or `password=`."""
    return _SECRET.sub(r"\1***", text)


class PlainFormatter(logging.Formatter):
    """A line for a terminal or a file: RFC 3339 time in UTC, level, module, message."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, layout: str = "%(asctime)s %(levelname)-8s %(name)s: %(message)s") -> None:
        super().__init__(layout)
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Format a record and its traceback, secrets masked."""
        return redact(super().format(record))


class JournalFormatter(PlainFormatter):
    """A line for the journal, which adds the time itself; every line begins with `<priority>` (sd-daemon(3))."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; without its own priority the rest of a traceback would be taken for information."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def _stderr_is_the_journal() -> bool:
    """Compare stderr with $JOURNAL_STREAM, which is inherited even where stderr goes elsewhere (systemd.exec(5))."""
    try:
        stat = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # closed, replaced or none at all
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"
