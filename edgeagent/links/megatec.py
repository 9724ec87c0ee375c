"""Lines of the Megatec family to fields: what a UPS says to Q1, F, I, QGS … and what that means. Pure.

Sources: "Megatec Protocol information", Kevin Chiou, v2.7 of 1996-07-30 (Q1, D, F, I); "Voltronic Power UPS Protocol",
D. Pezzini, v1.3 of 2015-03 (QS, QGS, QMOD, QWS, QBV, QVFW, QMF, QID). Lines have no check sum, so that what a line
must look like is all there is to tell an answer from noise.

Fields by name: the place in the line, counted from 0, as it stands there ("Q1:0"); of a status line also `status`, all
its bits as text, and `b7` … `b0` each alone. Of Q1 there is more, made of several fields:

    Q1:mode     line, battery, test, bypass, boost, buck or off: see `_mode`
    Q1:battery  V of the whole battery; on-line units say it per cell, and F says how many cells there are
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from edgeagent.readings import Missing

Field: TypeAlias = bytes | Missing
Fields: TypeAlias = Mapping[str, Field]

STATUS: Final = "Q1"
"""The status inquiry, in whichever dialect it is asked: the answers have one form."""
RATING: Final = "F"
VERBS: Final[Mapping[str, str]] = {"megatec": "Q1", "mustek": "QS", "megatec-old": "D"}
"""Dialect to what is sent for the status: the URL's `protocol`. D is not looked for: the document withdrew it in 1996
(v2.7, revision history)."""
LOOKED_FOR: Final = ("megatec", "mustek")

CELL: Final = 2.0
"""Nominal V of a lead-acid cell."""
_PER_CELL: Final = 3.0
"""No battery of a UPS has so few V, no cell so many."""
_DARK: Final = 10.0
"""V at the output below which nothing is fed."""
_REFUSED: Final = (b"(NAK", b"NAK", b"(ACK", b"ACK", b"?", b"(?")
_NUMBER: Final = re.compile(rb"-?\d{1,5}(?:\.\d{0,3})?")
_FILLER: Final = re.compile(rb"[-@#*?._]*")
_WIDTHS: Final = ((0, 15), (16, 26), (27, 37))
"""I: maker, model and version, 15, 10 and 10 characters with a space between."""


def parse(command: str, line: bytes) -> Fields | Missing:
    """Take the answer to a command apart; `ABSENT` for a UPS that does not know it, `MALFORMED` for noise.

    A field that the UPS fills with @ or - is `NULL`, one that is no number where one must be `MALFORMED`.
    """
    form = FORMS.get(command)
    text = line.strip(b"\0 \r\n")
    if form is None or text in _REFUSED or text == command.encode():
        return Missing.ABSENT
    begin = text.rfind(form.start)  # noise may stand before an answer
    if begin < 0:
        return Missing.MALFORMED
    body = text[begin + 1 :]
    return form.take(body) if body.isascii() else Missing.MALFORMED


def cells(rating: Fields) -> int | None:
    """Return how many cells in series the battery has (F: nominal battery voltage)."""
    nominal = number(rating.get("2", Missing.NULL))
    return None if nominal is None or not CELL <= nominal <= 1000 else round(nominal / CELL)


def whole(status: Fields, count: int | None) -> Field:
    """Return the V of the whole battery out of a status line; `ABSENT` when it is given per cell and F is silent."""
    raw = status.get("5", Missing.NULL)
    volts = number(raw)
    if volts is None or volts > _PER_CELL or volts == 0:
        return raw
    return Missing.ABSENT if count is None else f"{volts * count:.2f}".encode()


def per_cell(status: Fields) -> bool:
    """Tell whether the battery voltage is that of one cell."""
    volts = number(status.get("5", Missing.NULL))
    return volts is not None and 0 < volts <= _PER_CELL


def number(raw: Field) -> float | None:
    """Return a field that holds a number."""
    return None if isinstance(raw, Missing) else float(raw)


def _numbers(words: list[bytes]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for place, word in enumerate(words):
        filler = Missing.NULL if _FILLER.fullmatch(word) else Missing.MALFORMED
        found[str(place)] = word if _NUMBER.fullmatch(word) else filler
    return found


def _bits(word: bytes) -> dict[str, Field]:
    bits: dict[str, Field] = {f"b{len(word) - 1 - place}": word[place : place + 1] for place in range(len(word))}
    return {"status": word, **bits}


def _status(numbers: int, bits: int) -> Callable[[bytes], Fields | Missing]:
    """Make the parser of a line of so many numbers and then so many bits; more may follow."""

    def take(body: bytes) -> Fields | Missing:
        words = body.split()
        if len(words) <= numbers or len(words[numbers]) != bits or words[numbers].strip(b"01"):
            return Missing.MALFORMED
        fields = {**_numbers(words[:numbers]), **_bits(words[numbers])}
        if all(isinstance(fields[str(place)], Missing) for place in range(numbers)):
            return Missing.MALFORMED
        return fields

    return take


def _q1(body: bytes) -> Fields | Missing:
    fields = _status(7, 8)(body)
    return fields if isinstance(fields, Missing) else {**fields, "mode": _mode(fields)}


def _mode(fields: Fields) -> bytes:
    """Tell where the output comes from (v2.7, UPS status).

    b7 utility fail, b5 bypass, boost or buck active, b3 standby or line-interactive (else on-line), b2 test in
    progress. A line-interactive unit with b5 shows by its voltages, 5 % apart or more, what it does, as Network UPS
    Tools has it too (blazer.c); where it shows none it is taken for boost. Without voltage at the output while the
    mains is there the unit is off.
    """
    inside, outside = number(fields["0"]), number(fields["2"])
    if fields["b7"] == b"1":
        return b"battery"
    if outside is not None and outside < _DARK:
        return b"off"
    if fields["b2"] == b"1":
        return b"test"
    if fields["b5"] == b"0":
        return b"line"
    if fields["b3"] == b"0":
        return b"bypass"
    if inside is None or outside is None or outside > 1.05 * inside:
        return b"boost"
    return b"buck" if outside < 0.95 * inside else b"bypass"


def _row(count: int) -> Callable[[bytes], Fields | Missing]:
    """Make the parser of a line of so many numbers; more may follow."""

    def take(body: bytes) -> Fields | Missing:
        fields = _numbers(body.split()[:count])
        # One word among them makes it the answer to something else, such as a late one to I.
        return fields if len(fields) == count and Missing.MALFORMED not in fields.values() else Missing.MALFORMED

    return take


def _maker(body: bytes) -> Fields | Missing:
    """Cut the answer to I at its columns; one that is too short for them must be three words."""
    words = [body[begin:end] for begin, end in _WIDTHS] if len(body) > _WIDTHS[2][0] else body.split()
    if len(words) != 3 or not body.isascii() or not body.decode().isprintable():
        return Missing.MALFORMED
    return {str(place): _filled(word) for place, word in enumerate(words)}


def _filled(word: bytes) -> Field:
    """Return a text without what fills it up."""
    text = word.strip(b" #@")
    return Missing.NULL if _FILLER.fullmatch(text) else text


def _text(body: bytes) -> Fields | Missing:
    return {"0": _filled(body.removeprefix(b"VERFW:"))} if body.decode().isprintable() else Missing.MALFORMED


def _letter(body: bytes) -> Fields | Missing:
    return {"0": body} if len(body) == 1 and body.isalpha() else Missing.MALFORMED


def _warnings(body: bytes) -> Fields | Missing:
    return {"0": body} if len(body) == 64 and not body.strip(b"01") else Missing.MALFORMED


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer begins with and how the rest is taken apart."""

    start: bytes
    take: Callable[[bytes], Fields | Missing]


FORMS: Final[Mapping[str, Form]] = {
    STATUS: Form(b"(", _q1),
    "QGS": Form(b"(", _status(11, 12)),
    "QMOD": Form(b"(", _letter),
    "QWS": Form(b"(", _warnings),
    "QBV": Form(b"(", _row(5)),
    RATING: Form(b"#", _row(4)),
    "I": Form(b"#", _maker),
    "QMF": Form(b"(", _text),
    "QVFW": Form(b"(", _text),
    "QID": Form(b"(", _text),
}
"""Inquiries, what matters most first, and all that is ever sent: S, T, C and Q are commands that act, and no driver
file can name them."""
ORDER: Final[Mapping[str, int]] = {command: place for place, command in enumerate(FORMS)}
