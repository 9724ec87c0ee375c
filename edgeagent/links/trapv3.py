"""SNMPv3 traps and informs: the receiving side of the user-based security model (RFC 3414).

Of a trap the sender is the authoritative engine: its id stands in the packet, and a device's passwords give the key for
any id. Of an inform we are it: whoever sends one first asks for our id and our clock, by being refused (§4).

Loading this loads pysnmp; the listener does so when a device with version=3 is known.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pyasn1.type import univ
from pysnmp.proto.secmod.rfc3414 import localkey

from edgeagent.endpoint import Endpoint
from edgeagent.links.snmpv3 import AUTHENTICATED, AUTHS, PRIVATE, PRIVS, REPORTABLE, master
from edgeagent.links.trapmessage import (
    COUNTER,
    INFORM,
    OCTETS,
    OID,
    REPORT,
    SEQUENCE,
    Malformed,
    Notification,
    answer,
    element,
    integer,
    notification,
    number,
    octets,
    tlv,
)

WINDOW: Final = 150
"""Seconds by which a sender's idea of our clock may be off (RFC 3414 §2.2.3)."""
_SIZE: Final = 65507
_KEPT: Final = 4096
"""Engines whose keys one account keeps; only those whose digest was right get there."""
_UNKNOWN_ENGINE: Final = bytes.fromhex("2b060106030f01010400")
"""usmStatsUnknownEngineIDs.0, 1.3.6.1.6.3.15.1.1.4.0."""
_NOT_IN_TIME: Final = bytes.fromhex("2b060106030f01010200")
"""usmStatsNotInTimeWindows.0, 1.3.6.1.6.3.15.1.1.2.0."""


class Denied(Exception):
    """No user of a device here wrote this."""


@dataclass(frozen=True, slots=True)
class _Keys:
    auth: bytes = b""
    priv: univ.OctetString | None = None


@dataclass(frozen=True, slots=True)
class _Header:
    """The message's frame. Positions of the digest are into the whole message."""

    ident: int
    level: int
    reportable: bool
    engine: bytes
    boots: int
    time: int
    user: bytes
    digest: tuple[int, int]
    salt: bytes
    data: int
    end: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a message: what it tells and by whose account, what to send back. One of both may be missing."""

    notification: Notification | None = None
    account: Account | None = None
    reply: bytes | None = None


class Account:
    """A user with passwords and level, which many devices may share."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.user = endpoint.user.encode()
        self.auth = AUTHS.get(endpoint.options["auth"])
        self.priv = PRIVS.get(endpoint.options["priv"])
        self.level = (AUTHENTICATED if self.auth else 0) | (PRIVATE if self.priv else 0)
        self._secrets = endpoint.secrets
        self._known: dict[bytes, _Keys] = {}

    def keys(self, engine: bytes) -> _Keys:
        """Return the keys for an engine (RFC 3414 §2.6)."""
        known = self._known.get(engine)
        if known is not None or self.auth is None:
            return known or _Keys()
        algorithm, _, protocol = self.auth
        id = univ.OctetString(engine)
        auth = localkey.localize_key(master(self._secrets["auth"], algorithm), id, getattr(hashlib, algorithm))
        priv = self.priv and self.priv.localize_key(protocol, master(self._secrets["priv"], algorithm), id)
        return _Keys(bytes(auth), priv)

    def keep(self, engine: bytes, keys: _Keys) -> None:
        """Keep the keys of an engine that has shown it has them too."""
        if engine not in self._known and len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        self._known[engine] = keys

    def digest(self, keys: _Keys, message: bytes) -> bytes:
        """Return the digest of a message whose own digest is zeros (RFC 3414 §6.3, RFC 7860 §4)."""
        if self.auth is None:
            return b""
        algorithm, size, _ = self.auth
        return hmac.digest(keys.auth, message, algorithm)[:size]


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
        header = _header(message)
        if header.reportable and header.engine != self.engine:
            return Heard(reply=self._report(header, message, _UNKNOWN_ENGINE))
        account, keys = _writer(header, message, accounts)
        account.keep(header.engine, keys)
        if header.reportable and header.level and not self._timely(header):
            return Heard(reply=self._report(header, message, _NOT_IN_TIME, account, keys))
        scoped = _opened(header, message, account, keys)
        outer, at = _pdu(scoped)
        told = notification(scoped, at, outer)
        reply = None
        if told.inform and header.reportable:
            reply = self._seal(header, account, keys, header.level, answer(scoped[:outer], at))
        return Heard(told, account, reply)

    @property
    def _now(self) -> int:
        return int(self._clock() - self._start)

    def _timely(self, header: _Header) -> bool:
        return header.boots == self._boots and abs(header.time - self._now) <= WINDOW

    def _report(
        self, header: _Header, message: bytes, counter: bytes, account: Account | None = None, keys: _Keys | None = None
    ) -> bytes:
        self._reports = (self._reports + 1) & 0xFFFFFFFF
        binding = tlv(SEQUENCE, tlv(OID, counter), integer(self._reports, COUNTER))
        ident = _request_id(header, message)
        pdu = tlv(REPORT, ident, integer(0), integer(0), tlv(SEQUENCE, binding))
        scoped = tlv(SEQUENCE, tlv(OCTETS, self.engine), tlv(OCTETS), pdu)
        return self._seal(header, account, keys, AUTHENTICATED if account else 0, scoped)

    def _seal(self, header: _Header, account: Account | None, keys: _Keys | None, level: int, scoped: bytes) -> bytes:
        """Write a message of our engine in answer to another."""
        now, salt, size = self._now, b"", 0
        if account is not None and keys is not None and level & PRIVATE and account.priv:
            ciphered, salted = account.priv.encrypt_data(keys.priv, (self._boots, now, None), scoped)
            scoped, salt = tlv(OCTETS, bytes(ciphered)), bytes(salted)
        if account is not None and level & AUTHENTICATED and account.auth:
            size = account.auth[1]
        head = tlv(
            SEQUENCE, integer(header.ident), integer(_SIZE), tlv(OCTETS, bytes([level])), integer(3)
        )  # fmt: skip
        tail = tlv(OCTETS, salt)
        security = tlv(
            SEQUENCE, tlv(OCTETS, self.engine), integer(self._boots), integer(now), tlv(OCTETS, header.user),
            tlv(OCTETS, bytes(size)), tail,
        )  # fmt: skip
        whole = tlv(SEQUENCE, integer(3), head, tlv(OCTETS, security), scoped)
        if account is None or keys is None or not size:
            return whole
        at = len(whole) - len(scoped) - len(tail) - size
        return whole[:at] + account.digest(keys, whole) + whole[at + size :]


def _header(message: bytes) -> _Header:
    outer = element(message, 0, len(message), SEQUENCE)
    _, at = number(message, outer.start, outer.stop)
    head = element(message, at, outer.stop, SEQUENCE)
    ident, at = number(message, head.start, head.stop)
    _, at = number(message, at, head.stop)
    flags, at = octets(message, at, head.stop)
    model, _ = number(message, at, head.stop)
    level = flags[0] & (AUTHENTICATED | PRIVATE) if len(flags) == 1 else PRIVATE
    if model != 3 or level == PRIVATE or ident < 0:
        raise Malformed("a security model or level that does not exist")
    wrapped = element(message, head.stop, outer.stop, OCTETS)
    security = element(message, wrapped.start, wrapped.stop, SEQUENCE)
    engine, at = octets(message, security.start, security.stop)
    boots, at = number(message, at, security.stop)
    now, at = number(message, at, security.stop)
    user, at = octets(message, at, security.stop)
    digest = element(message, at, security.stop, OCTETS)
    salt, _ = octets(message, digest.stop, security.stop)
    if len(engine) > 32 or len(user) > 32 or min(boots, now) < 0:
        raise Malformed("security parameters out of range")
    return _Header(
        ident, level, bool(flags[0] & REPORTABLE), engine, boots, now, user,
        (digest.start, digest.stop), salt, wrapped.stop, outer.stop,
    )  # fmt: skip


def _writer(header: _Header, message: bytes, accounts: Iterable[Account]) -> tuple[Account, _Keys]:
    """Find the account that the message was written with: user, level and digest fit."""
    start, stop = header.digest
    given = message[start:stop]
    # What stands after the message is not part of it, though it is part of the datagram.
    zeroed = message[:start] + bytes(stop - start) + message[stop : header.end]
    for account in accounts:
        if account.user != header.user or account.level != header.level:
            continue
        keys = account.keys(header.engine)
        if hmac.compare_digest(given, account.digest(keys, zeroed)):
            return account, keys
    raise Denied


def _opened(header: _Header, message: bytes, account: Account, keys: _Keys) -> bytes:
    if not header.level & PRIVATE or account.priv is None:
        return message[header.data : header.end]
    ciphered, _ = octets(message, header.data, header.end)
    try:
        return bytes(
            account.priv.decrypt_data(
                keys.priv, (header.boots, header.time, univ.OctetString(header.salt)), univ.OctetString(ciphered)
            )
        )
    except Exception as error:  # the link's edge: pysnmp and cryptography raise many things
        raise Malformed("cannot be decrypted") from error


def _pdu(scoped: bytes) -> tuple[int, int]:
    """Return where a scoped PDU ends and where the PDU in it begins; a cipher's padding may follow."""
    outer = element(scoped, 0, len(scoped), SEQUENCE)
    _, at = octets(scoped, outer.start, outer.stop)
    _, at = octets(scoped, at, outer.stop)
    return outer.stop, at


def _request_id(header: _Header, message: bytes) -> bytes:
    """Return the request-id to report on, 0 when it cannot be seen (RFC 3412 §7.1.3)."""
    if header.level & PRIVATE:
        return integer(0)
    scoped = message[header.data : header.end]
    end, at = _pdu(scoped)
    inside = element(scoped, at, end)
    if inside.tag not in (0xA0, 0xA1, 0xA5, INFORM):
        raise Malformed("reportable, and yet nothing that is answered")
    found = element(scoped, inside.start, inside.stop, 0x02)
    return scoped[found.at : found.stop]
