"""SNMPv3 messages that are as the last one was, but for ids, times, digests, salts and what is in them.

Owns where those lie, so that such a message is read and written without looking at the rest again. `usmmessage` says
what a message is: a shape is taken from one that it has read, and what has another shape is left to it.
"""

from __future__ import annotations

from edgeagent.links.ber import OCTETS, Malformed, enter
from edgeagent.links.usm import PRIVATE, Keys
from edgeagent.links.usmmessage import LARGEST, Frame, spans, value


class Shape:
    """How the messages of one engine to one user look. Raises `Malformed` for one that has no shape."""

    __slots__ = ("_content", "_fixed", "_frame", "_mask", "_size", "_spans")

    def __init__(self, message: bytes) -> None:
        self._frame, self._spans = spans(message)
        self._content, self._size = _content(message, self._frame), len(message)
        mask = bytearray(b"\xff") * self._content
        for first, last in (*self._spans, self._frame.digest):
            mask[first:last] = bytes(last - first)
        self._mask = int.from_bytes(mask, "big")
        self._fixed = int.from_bytes(message[: self._content], "big") & self._mask

    def read(self, message: bytes) -> Frame | None:
        """Read the frame of a message of this shape; None for another."""
        if len(message) != self._size or int.from_bytes(message[: self._content], "big") & self._mask != self._fixed:
            return None
        known, (ident, now, salt) = self._frame, self._spans
        said, at = value(message, ident), value(message, now)
        if not (0 <= said <= LARGEST and 0 <= at <= LARGEST):
            return None
        return Frame(
            said, known.level, known.reportable, known.engine, known.boots, at, known.user, known.digest,
            message[salt[0] : salt[1]], known.data, known.end,
        )  # fmt: skip


class Envelope:
    """How the messages of one user to one engine look. Raises `Malformed` for one that has no shape."""

    __slots__ = ("_boots", "_digest", "_pieces", "_private", "_sizes")

    def __init__(self, message: bytes) -> None:
        frame, (ident, now, salt) = spans(message)
        start, (first, last) = _content(message, frame), frame.digest
        self._boots, self._digest, self._private = frame.boots, frame.digest, frame.level & PRIVATE
        self._sizes = tuple(stop - begin for begin, stop in (ident, now, salt, (start, len(message))))
        zeroed = message[:first] + bytes(last - first) + message[last:]
        between = ((0, ident[0]), (ident[1], now[0]), (now[1], salt[0]), (salt[1], start))
        self._pieces = tuple(zeroed[begin:stop] for begin, stop in between)

    def write(self, ident: int, boots: int, now: int, keys: Keys, scoped: bytes) -> bytes | None:
        """Write a message of this shape around a scoped PDU; None where it would have another."""
        salt, content = b"", scoped
        if self._private and keys.privacy is not None:
            content, salt = keys.privacy.encrypt(boots, now, scoped)
        said, at = _octets(ident), _octets(now)
        if boots != self._boots or (len(said), len(at), len(salt), len(content)) != self._sizes:
            return None
        first, second, third, last = self._pieces
        whole = b"".join((first, said, second, at, third, salt, last, content))
        begin, end = self._digest
        return whole[:begin] + keys.digest(whole) + whole[end:] if begin < end else whole


def _octets(number: int) -> bytes:
    """Write the content of an INTEGER that is not negative."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _content(message: bytes, frame: Frame) -> int:
    """Return where the content begins, which must go to the end: the cipher's octets or, in clear, the scoped PDU."""
    at, end = frame.data, frame.end
    if frame.level & PRIVATE:
        try:
            at, end = enter(message, at, end, OCTETS)
        except IndexError as error:
            raise Malformed("cut short") from error
    if end != len(message):
        raise Malformed("more than a message")
    return at
