"""What is wrong in a file, and where: said as `file:line: key: what, nearest valid word`, all of it at once. Pure.

Reads nothing: `tomlfile.py` finds the places. Stands apart from it because a running agent knows mistakes and no files.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Path_ = tuple[str | int, ...]
"""The keys that lead to a value."""
_TELLING: Final = 3
"""Letters of a part of a word at least that tell which one is meant."""


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong in a file. `line` is 1-based, 0 when it is the whole file."""

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        """Spell it as compilers do."""
        return ": ".join(
            part for part in (f"{self.file}:{self.line}" if self.line else self.file, self.key, self.text) if part
        )


def unread(error: OSError, *, secret: bool = False) -> str:
    """Say why a file or folder cannot be read, and what to do where it is a matter of rights."""
    why = f"cannot be read: {error.strerror or error}"
    if not isinstance(error, PermissionError):
        return why
    other = ", or make it a systemd credential" if secret else ""
    return f"{why}; let the agent's user read it and enter its folder (chown, chmod){other}"


class Mistakes(Exception):
    """All that is wrong, sorted by place."""

    def __init__(self, found: Iterable[Mistake]) -> None:
        self.found = tuple(sorted(set(found)))
        super().__init__("\n".join(map(str, self.found)))


def nearest(word: str, known: tuple[str, ...] | list[str]) -> str:
    """Return ', did you mean "x"?' or the list of what is known; best is what the word is a part of, from its begin."""
    within = re.compile(rf"(?<![a-z0-9]){re.escape(word)}", re.IGNORECASE)
    close = [each for each in known if len(word) >= _TELLING and within.search(each)]
    close = sorted(close, key=len)[:3] or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    said = " or ".join(f'"{each}"' for each in close)
    return f", did you mean {said}?" if close else f" (known: {', '.join(known) or 'none'})"
