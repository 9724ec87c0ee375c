"""A conversation of one SNMPv3 user with one engine (RFC 3414).

Owns what is learnt of an engine: its id, its boots and its clock. Every device has its own, so that two devices with
one engine id, or with one user name and two passwords, do not disturb each other. It shares the socket and the
deadlines with v1 and v2c. `snmpv3` does the same with pysnmp.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from edgeagent.endpoint import Endpoint
from edgeagent.links import ber
from edgeagent.links.ber import OCTETS, SEQUENCE, Malformed, tlv
from edgeagent.links.snmplayout import pdus
from edgeagent.links.snmpmessage import Ask, Foreign, Response
from edgeagent.links.usm import AUTHENTICATED, REPORTABLE, Keys, User
from edgeagent.links.usmmessage import LARGEST, Frame, authentic, inside, opened, read, write
from edgeagent.links.usmshape import Envelope, Shape
from edgeagent.readings import Missing

WINDOW: Final = 150
"""Seconds by which two notions of an engine's clock may differ (RFC 3414 §2.2.3)."""
_ALIKE: Final = 4
"""Lengths of messages of which the look is kept."""
_REPORT: Final = b"\xa8"
_NOBODY: Final = Keys(None, b"", None)
_ASK_AGAIN: Final = ("1.3.6.1.6.3.15.1.1.2", "1.3.6.1.6.3.15.1.1.4")
"""usmStatsNotInTimeWindows and usmStatsUnknownEngineIDs: the report's header tells what was wrong (RFC 3414 §4)."""

T = TypeVar("T")


class Usm:
    """See the module. `clock` counts seconds and never goes back."""

    version = 3

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float] = time.monotonic) -> None:
        self._user = User(endpoint)
        self._context = tlv(OCTETS, endpoint.options.get("context", "").encode())
        self._clock = clock
        self._engine = b""
        self._keys = _NOBODY
        self._boots = 0
        self._time = 0
        self._seen = 0.0
        self._asked: tuple[tuple[str, ...], Ask, bytes, bytes] | None = None
        """What was asked last, and its scoped PDU in two halves."""
        self._envelopes: dict[int, Envelope] = {}
        self._shapes: dict[int, Shape] = {}
        """How requests and answers look, by the length of what is in them and by their own."""

    def forget(self) -> None:
        """Drop engine id and clock: a silent or refusing device may have been replaced by another."""
        self._engine = b""

    def wrap(self, ask: Ask, oids: tuple[str, ...], ident: int) -> bytes:
        """Encode a request, or while the engine is unknown the question that makes it tell its id (RFC 3414 §4)."""
        user, own = self._user, ident.to_bytes(4, "big")
        if not self._engine:
            head, tail = self._scoped(ask, ())
            return write(REPORTABLE, ident, b"", 0, 0, b"", _NOBODY, head + own + tail)
        if self._asked is None or self._asked[0] is not oids or self._asked[1] is not ask:
            self._asked = (oids, ask, *self._scoped(ask, oids))
        _, _, head, tail = self._asked
        scoped, now = head + own + tail, self._now()
        envelope = self._envelopes.get(len(scoped))
        message = None if envelope is None else envelope.write(ident, self._boots, now, self._keys, scoped)
        if message is None:
            level = user.level | REPORTABLE
            message = write(level, ident, self._engine, self._boots, now, user.name, self._keys, scoped)
            _keep(self._envelopes, len(scoped), Envelope(message))
        return message

    def _scoped(self, ask: Ask, oids: tuple[str, ...]) -> tuple[bytes, bytes]:
        """Write a scoped PDU in two halves, its four bytes of request-id belong between them."""
        head, tail = ber.pdu(ask, oids)
        whole = tlv(SEQUENCE, tlv(OCTETS, self._engine), self._context, head, bytes(4), tail)
        return whole[: len(whole) - len(tail) - 4], tail

    def unwrap(self, data: bytes, ident: int, oids: tuple[str, ...]) -> Response | Missing | None:
        """Check and decode an answer; see `Session.unwrap`."""
        shape = self._shapes.get(len(data))
        frame = None if shape is None else shape.read(data)
        known = frame is not None
        if frame is None:
            try:
                frame = read(data)
            except Malformed as error:
                raise Foreign from error
        ours = bool(self._engine) and frame.engine == self._engine and frame.user == self._user.name
        if frame.level and not (ours and frame.level & ~self._user.level == 0 and authentic(data, frame, self._keys)):
            raise Foreign
        scoped = opened(data, frame, self._keys)
        at, end = inside(scoped)
        pdu = scoped[at:end]
        if pdu[:1] == _REPORT:
            return self._report(pdu, frame)
        # A response below the level that was asked for could come from anyone (RFC 3412 §7.2.12).
        if not ours or frame.level != self._user.level or not self._timely(frame):
            raise Foreign
        response = pdus(oids).read(pdu, ident)
        self._learn(frame)
        if not known:
            with suppress(Malformed):
                _keep(self._shapes, len(data), Shape(data))
        return response

    def _report(self, pdu: bytes, frame: Frame) -> Missing | None:
        _, told, _ = ber.decode_pdu_spans(pdu, _REPORT[0])
        # A replaced device may refuse the old one's keys before it looks at the engine id they were made for.
        if frame.engine and (frame.engine != self._engine or (told.names and told.names[0].startswith(_ASK_AGAIN))):
            self._learn(frame)
            return None
        self.forget()
        return Missing.DENIED

    def _now(self) -> int:
        return min(self._time + int(self._clock() - self._seen), LARGEST)

    def _timely(self, frame: Frame) -> bool:
        """Tell whether a response was written about now (RFC 3414 §3.2, 7b).

        One that was not is dropped; the silence that follows makes the clock be learnt anew.
        """
        if not frame.level & AUTHENTICATED or frame.boots > self._boots:
            return True
        return frame.boots == self._boots < LARGEST and frame.time >= self._now() - WINDOW

    def _learn(self, frame: Frame) -> None:
        """Take over the engine's clock, from a report backward steps too.

        RFC 3414 §3.2 has a clock that steps back refused, against replays. Devices that forget their boots at a
        power cut would then stay silent for ever, and a replay fails here on the random msgID in any case.
        """
        self._boots, self._time, self._seen = frame.boots, frame.time, self._clock()
        if frame.engine != self._engine:
            self._asked = None
            self._envelopes.clear()
            self._shapes.clear()
            self._engine = frame.engine
            self._keys = self._user.keys(frame.engine)


def _keep(known: dict[int, T], size: int, one: T) -> None:
    """Keep one more, but not many of one device: a walk's messages have many lengths."""
    if size not in known and len(known) >= _ALIKE:
        known.clear()
    known[size] = one
