"""SNMPv3 traps and informs: the receiving side of the user-based security model (RFC 3414).

Of a trap the sender is the authoritative engine: its id stands in the packet, and a device's passwords give the key for
any id. Of an inform we are it: whoever sends one first asks for our id and our clock, by being refused (§4).

The listener loads this when a device with version=3 is known.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from edgeagent.endpoint import Endpoint
from edgeagent.links.ber import INTEGER, OCTETS, OID, SEQUENCE, Malformed, enter, integer, tlv
from edgeagent.links.trapmessage import COUNTER, INFORM, REPORT, Notification, answer, notification
from edgeagent.links.usm import AUTHENTICATED, PRIVATE, Keys, User
from edgeagent.links.usmmessage import Frame, authentic, inside, opened, read, write

WINDOW: Final = 150
"""Seconds by which a sender's idea of our clock may be off (RFC 3414 §2.2.3)."""
_KEPT: Final = 4096
"""Engines whose keys one account keeps; only those whose digest was right get there."""
_UNKNOWN_ENGINE: Final = bytes.fromhex("2b060106030f01010400")
"""usmStatsUnknownEngineIDs.0, 1.3.6.1.6.3.15.1.1.4.0."""
_NOT_IN_TIME: Final = bytes.fromhex("2b060106030f01010200")
"""usmStatsNotInTimeWindows.0, 1.3.6.1.6.3.15.1.1.2.0."""


_ANSWERED: Final = (b"\xa0", b"\xa1", b"\xa5", bytes((INFORM,)))
"""GetRequest, GetNextRequest, GetBulkRequest, InformRequest."""


class Denied(Exception):
    """No user of a device here wrote this."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a message: what it tells and by whose account, what to send back. One of both may be missing."""

    notification: Notification | None = None
    account: Account | None = None
    reply: bytes | None = None


class Account(User):
    """A user with passwords and level, which many devices may share."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._known: dict[bytes, Keys] = {}

    def keys(self, engine: bytes) -> Keys:
        """Return the keys for an engine (RFC 3414 §2.6)."""
        return self._known.get(engine) or super().keys(engine)

    def keep(self, engine: bytes, keys: Keys) -> None:
        """Keep the keys of an engine that has shown it has them too."""
        if engine not in self._known and len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        self._known[engine] = keys


_NOBODY: Final = Keys(None, b"", None)


class Receiver:
    """Our own engine. `name` makes its id, `boots` must grow with every start; `clock` counts s, never backwards."""

    def __init__(self, name: str, boots: int, clock: Callable[[], float] = time.monotonic) -> None:
        # An id needs an enterprise number (RFC 3411 §5, SnmpEngineID): pysnmp's, as its own engines have.
        self.engine = bytes.fromhex("80004fb805") + hashlib.sha256(name.encode()).digest()[:8]
        self._boots, self._clock = boots, clock
        self._start = clock()
        self._reports = 0

    def take(self, message: bytes, accounts: Iterable[Account]) -> Heard:
        """Open a v3 message with one of these accounts.

        The clock of a trap's sender is not checked, against RFC 3414 §3.2 (7b): cards that forget it at a power cut
        would be unheard just then, and a trap sent again by somebody else makes a poll and no more.

        Raises:
            Malformed: it is no notification.
            Denied: no account fits, or the digest is wrong.
        """
        frame = read(message)
        if frame.reportable and frame.engine != self.engine:
            return Heard(reply=self._report(frame, message, _UNKNOWN_ENGINE))
        account, keys = _writer(frame, message, accounts)
        account.keep(frame.engine, keys)
        if frame.reportable and frame.level and not self._timely(frame):
            return Heard(reply=self._report(frame, message, _NOT_IN_TIME, AUTHENTICATED, keys))
        scoped = opened(message, frame, keys)
        at, end = inside(scoped)
        told = notification(scoped, at, end)
        reply = None
        if told.inform and frame.reportable:
            reply = self._write(frame, frame.level, keys, answer(scoped[:end], at))
        return Heard(told, account, reply)

    @property
    def _now(self) -> int:
        return int(self._clock() - self._start)

    def _timely(self, frame: Frame) -> bool:
        return frame.boots == self._boots and abs(frame.time - self._now) <= WINDOW

    def _report(self, frame: Frame, message: bytes, counter: bytes, level: int = 0, keys: Keys = _NOBODY) -> bytes:
        self._reports = (self._reports + 1) & 0xFFFFFFFF
        binding = tlv(SEQUENCE, tlv(OID, counter), tlv(COUNTER, integer(self._reports)[2:]))
        pdu = tlv(REPORT, _request_id(frame, message), integer(0), integer(0), tlv(SEQUENCE, binding))
        return self._write(frame, level, keys, tlv(SEQUENCE, tlv(OCTETS, self.engine), tlv(OCTETS), pdu))

    def _write(self, frame: Frame, level: int, keys: Keys, scoped: bytes) -> bytes:
        """Write a message of our engine in answer to another."""
        return write(level, frame.ident, self.engine, self._boots, self._now, frame.user, keys, scoped)


def _writer(frame: Frame, message: bytes, accounts: Iterable[Account]) -> tuple[Account, Keys]:
    """Find the account that the message was written with: user, level and digest fit."""
    for account in accounts:
        if account.name != frame.user or account.level != frame.level:
            continue
        keys = account.keys(frame.engine)
        if authentic(message, frame, keys):
            return account, keys
    raise Denied


def _request_id(frame: Frame, message: bytes) -> bytes:
    """Return the request-id to report on, 0 when it cannot be seen (RFC 3412 §7.1.3)."""
    if frame.level & PRIVATE:
        return integer(0)
    scoped = message[frame.data : frame.end]
    at, end = inside(scoped)
    if scoped[at : at + 1] not in _ANSWERED:
        raise Malformed("reportable, and yet nothing that is answered")
    try:
        start, end = enter(scoped, at, end, scoped[at])
        first, last = enter(scoped, start, end, INTEGER)
    except IndexError as error:
        raise Malformed("cut short") from error
    return tlv(INTEGER, scoped[first:last])
