"""The mark that every text of a drill bears, and lines short enough for a phone. Pure."""

from __future__ import annotations

from typing import Final

from edgeagent.alarm import LONGEST
from edgeagent.catalog import Text

MARK: Final = Text("EXERCISE – ", "演练 – ")


def cut(line: str) -> str:
    """Return a line no longer than a phone shows."""
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def marked(text: Text, *, drilled: bool = True) -> dict[str, str]:
    """Give a line in both languages, no longer than a phone shows, with the mark before it where it is of a drill."""
    mark = MARK if drilled else Text("", "")
    return {"en": cut(mark.en + text.en), "zh": cut(mark.zh + text.zh)}
