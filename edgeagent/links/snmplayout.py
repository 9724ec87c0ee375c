"""Answers read by where their values lie, as long as all else in them is what it was: tags, lengths, names.

Owns the questions as they are known to all devices of one community: the request, written once, and the layouts in
which they were answered. An answer that fits none is read in full by `ber`, which stays the one that says what an
answer means, and leaves its layout. Knows no sockets, no times and no targets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Final

from edgeagent.links import ber
from edgeagent.links.ber import INTEGER, LONGEST, NUMBERS, OID, STRINGS
from edgeagent.links.snmpmessage import Ask, Foreign, Response, peek
from edgeagent.readings import Raw

_ALIKE: Final = 32
"""Layouts of one length that are kept: a value that goes to and fro over 127 takes a byte more or less."""
_LENGTHS: Final = 32
"""Lengths of answers that are kept of one question."""
_CODES: Final = {1: "b", 2: "h", 4: "i", 8: "q"}


class Layout:
    """Where the values of an answer lie. Two answers have one layout when nothing but their values and ids differs.

    That is when, taken as one big-endian number each and without the bits outside `mask`, both are `fixed`.
    """

    __slots__ = ("_pick", "_read", "_rest", "_spelt", "_told", "fixed", "mask")

    def __init__(self, data: bytes, ident: int, told: Response, spans: ber.Spans) -> None:
        """Take the layout of an answer with its request-id at `ident`, which was read as `told`."""
        mask = bytearray(b"\xff") * len(data)
        mask[ident : ident + 4] = bytes(4)
        form, at = ">", 0
        order: list[int] = []
        fixed: list[Raw] = []
        spelt: list[tuple[int, Callable[[bytes], Raw]]] = []
        lies = 0
        for tag, (start, stop), value in zip(told.tags, spans, told.values, strict=True):
            size = stop - start
            if not size or not (tag in STRINGS or tag == OID or (tag in NUMBERS and size <= LONGEST)):
                order.append(~len(fixed))
                fixed.append(value)
                continue
            code = _CODES.get(size) if tag in NUMBERS else None
            form += f"{start - at}x" + (f"{size}s" if code is None else code if tag == INTEGER else code.upper())
            at = stop
            mask[start:stop] = bytes(size)
            if code is None and tag not in STRINGS:
                spelt.append((lies, _signed if tag == INTEGER else ber.named if tag == OID else _unsigned))
            order.append(lies)
            lies += 1
        self._told = told
        self.mask = int.from_bytes(mask, "big")
        self.fixed = int.from_bytes(data, "big") & self.mask
        self._read = struct.Struct(form).unpack_from
        self._spelt = tuple(spelt)
        self._rest = tuple(fixed)
        order = [place if place >= 0 else lies + ~place for place in order]
        self._pick: itemgetter[object] | None = None
        if fixed:
            self._pick = itemgetter(*order) if len(order) > 1 else itemgetter(slice(order[0], order[0] + 1))

    def read(self, data: bytes) -> Response:
        """Read an answer that fits."""
        values = self._read(data)
        if self._spelt:
            spelt = list(values)
            for place, spell in self._spelt:
                spelt[place] = spell(spelt[place])
            values = tuple(spelt)
        if self._pick is not None:
            values = self._pick(values + self._rest)
        told = self._told
        return Response(told.status, told.error_index, told.names, told.tags, values)


def _signed(content: bytes) -> int:
    return int.from_bytes(content, "big", signed=True)


def _unsigned(content: bytes) -> int:
    return int.from_bytes(content, "big")


class Layouts:
    """The layouts in which a question was answered, by length, what came last first."""

    __slots__ = ("_layouts", "_oids")

    def __init__(self, oids: tuple[str, ...]) -> None:
        self._oids = oids
        self._layouts: dict[int, list[Layout]] = {}

    def _keep(self, data: bytes, ident: int, told: Response, spans: ber.Spans) -> Response:
        """Keep the layout of an answer with its request-id at `ident`; return what it said."""
        if told.names == self._oids:
            told = told._replace(names=self._oids)  # one object, so that comparing them is comparing addresses
        length = len(data)
        if length not in self._layouts and len(self._layouts) >= _LENGTHS:
            del self._layouts[next(iter(self._layouts))]
        alike = self._layouts.setdefault(length, [])
        alike.insert(0, Layout(data, ident, told, spans))
        del alike[_ALIKE:]
        return told


class Form(Layouts):
    """One question as it is put to all devices of a community; `head` and `tail` go around its request-id."""

    __slots__ = ("_version", "head", "tail")

    def __init__(self, version: int, community: str, ask: Ask, oids: tuple[str, ...]) -> None:
        super().__init__(oids)
        self.head, self.tail = ber.message(version, community, ask, oids)
        self._version = version

    def read(self, data: bytes, ident: int, at: int) -> Response:
        """Read an answer that seems to have its request-id at `at`.

        Raises `Foreign` when it has not, and `Malformed` for bytes that are no message.
        """
        alike = self._layouts.get(len(data))
        if alike is not None:
            number = int.from_bytes(data, "big")
            for layout in alike:
                if number & layout.mask == layout.fixed:
                    return layout.read(data)
        if peek(data) != (self._version, ident, at):
            raise Foreign
        told, spans = ber.decode_spans(data)
        if data[at : at + 4] == ident.to_bytes(4, "big"):
            told = self._keep(data, at, told, spans)
        return told


class Pdus(Layouts):
    """The Response-PDUs that answer one question, as they lie in v3 messages of whatever device."""

    __slots__ = ()

    def read(self, data: bytes, ident: int) -> Response:
        """Read one. Raises `Foreign` for another request-id, and `Malformed`."""
        at = _place(data)
        alike = self._layouts.get(len(data)) if data[at : at + 4] == ident.to_bytes(4, "big") else None
        if alike is not None:
            number = int.from_bytes(data, "big")
            for layout in alike:
                if number & layout.mask == layout.fixed:
                    return layout.read(data)
        found, told, spans = ber.decode_pdu_spans(data, ber.RESPONSE)
        if found != ident:
            raise Foreign
        if data[at - 2 : at + 4] == b"\x02\x04" + ident.to_bytes(4, "big"):
            told = self._keep(data, at, told, spans)
        return told


def _place(data: bytes) -> int:
    """Return where the request-id of a PDU lies, if that is four bytes long."""
    length = data[1] if len(data) > 1 else 0
    return 4 + (length & 0x7F if length & 0x80 else 0)


@lru_cache(maxsize=4096)
def pdus(oids: tuple[str, ...]) -> Pdus:
    """Return what is known of the answers to a question of v3, the same for every device."""
    return Pdus(oids)


@lru_cache(maxsize=4096)
def form(version: int, community: str, ask: Ask, oids: tuple[str, ...]) -> Form:
    """Return the form of a question, the same one for every device of this community."""
    return Form(version, community, ask, oids)


class Community:
    """An SNMP v1 or v2c conversation. There is nothing to learn and nothing to forget."""

    __slots__ = ("_community", "version")

    def __init__(self, version: str, community: str) -> None:
        self.version = 0 if version == "1" else 1
        self._community = community

    def form(self, ask: Ask, oids: tuple[str, ...]) -> Form:
        """Return a question as it is put with this community."""
        return form(self.version, self._community, ask, oids)

    def wrap(self, ask: Ask, oids: tuple[str, ...], ident: int) -> bytes:
        """Encode a request with this community."""
        asked = self.form(ask, oids)
        return asked.head + ident.to_bytes(4, "big") + asked.tail

    def unwrap(self, data: bytes, ident: int, oids: tuple[str, ...]) -> Response:
        """Decode an answer. Raises `ber.Malformed` on bytes that are no message."""
        return ber.decode_message(data)

    def forget(self) -> None:
        """Do nothing: a community says all there is."""
