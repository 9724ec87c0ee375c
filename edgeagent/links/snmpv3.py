"""SNMPv3 with the user-based security model (RFC 3414): one conversation with one engine.

Owns what is learnt of an engine: its id, its boots and its clock. pysnmp gives the keys and the ciphers. Its own
`SnmpEngine` is not used to ask with: it keeps clocks by engine id and users by name, so that two devices with one
engine id, or with one user name and two passwords, disturb each other, and an engine a device costs 0.12 s of CPU and
0.7 MB. Here every device has its own clock and keys, and shares the socket and the deadlines with v1 and v2c.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast

from pyasn1.codec.ber import decoder, encoder
from pyasn1.type import univ
from pysnmp.proto.api import v2c
from pysnmp.proto.secmod.rfc3414 import localkey, service

from edgeagent.endpoint import Endpoint
from edgeagent.links.snmpcodec import decode_pdu, dotted, pdu, sequence
from edgeagent.links.snmpmessage import Ask, Foreign, Response
from edgeagent.readings import Missing

# Through `service`: pysnmp's modules of ciphers import one another in a circle that opens from there alone.
_SHA2: Final = service.hmacsha2.HmacSha2

AUTHS: Final[Mapping[str, tuple[str, int, tuple[int, ...]]]] = {
    "MD5": ("md5", 12, service.hmacmd5.HmacMd5.SERVICE_ID),
    "SHA-1": ("sha1", 12, service.hmacsha.HmacSha.SERVICE_ID),
    "SHA-224": ("sha224", 16, _SHA2.SHA224_SERVICE_ID),
    "SHA-256": ("sha256", 24, _SHA2.SHA256_SERVICE_ID),
    "SHA-384": ("sha384", 32, _SHA2.SAH384_SERVICE_ID),
    "SHA-512": ("sha512", 48, _SHA2.SHA512_SERVICE_ID),
}
"""Hash, length of the digest in a message (RFC 3414 §6, RFC 7860 §4), pysnmp's word for it."""

# AES-192 and AES-256 are no standard; net-snmp and most devices stretch short keys as draft-blumenthal-aes-usm-04 does.
# One instance a protocol, as each counts its own salts (RFC 3414 §8.1.1.1, RFC 3826 §3.1.2.1).
PRIVS: Final[Mapping[str, service.AbstractEncryptionService]] = {
    "DES": service.des.Des(),
    "AES-128": service.aes.Aes(),
    "AES-192": service.aes192.AesBlumenthal192(),
    "AES-256": service.aes256.AesBlumenthal256(),
}

AUTHENTICATED, PRIVATE, REPORTABLE = 1, 2, 4
_MAX_SIZE: Final = 65507

_HEADER: Final = sequence(univ.Integer(), univ.Integer(), univ.OctetString(), univ.Integer())
_MESSAGE: Final = sequence(univ.Integer(), _HEADER, univ.OctetString(), univ.Any())
_SECURITY: Final = sequence(
    univ.OctetString(), univ.Integer(), univ.Integer(), univ.OctetString(), univ.OctetString(), univ.OctetString()
)
_SCOPED: Final = sequence(univ.OctetString(), univ.OctetString(), univ.Any())
_REPORT: Final = b"\xa8"

_ASK_AGAIN: Final = ("1.3.6.1.6.3.15.1.1.2", "1.3.6.1.6.3.15.1.1.4")
"""usmStatsNotInTimeWindows and usmStatsUnknownEngineIDs: the report's header tells what was wrong (RFC 3414 §4)."""


@lru_cache(maxsize=256)
def master(secret: str, algorithm: str) -> univ.OctetString:
    """Hash a password into a key (RFC 3414 §A.2); a megabyte of hashing, hence kept."""
    return localkey.hash_passphrase(secret.encode(), getattr(hashlib, algorithm))


class Usm:
    """A v3 conversation of one user with one engine."""

    version = 3

    def __init__(self, endpoint: Endpoint) -> None:
        self._user = endpoint.user.encode()
        self._context = endpoint.options.get("context", "").encode()
        self._auth = AUTHS.get(endpoint.options["auth"])
        self._priv = PRIVS.get(endpoint.options["priv"])
        self._secrets = endpoint.secrets
        self._flags = (AUTHENTICATED if self._auth else 0) | (PRIVATE if self._priv else 0)
        self._engine = b""
        self._auth_key = b""
        self._priv_key = univ.OctetString(b"")
        self._boots = 0
        self._time = 0
        self._seen = 0.0

    def forget(self) -> None:
        """Drop engine id and clock: a silent or refusing device may have been replaced by another."""
        self._engine = b""

    def wrap(self, ask: Ask, oids: tuple[str, ...], ident: int) -> bytes:
        """Encode a request, or while the engine is unknown the question that makes it tell its id (RFC 3414 §4)."""
        known = bool(self._engine)
        head, tail = pdu(ask, oids if known else ())
        scoped = _encode(_SCOPED, self._engine, self._context, head + ident.to_bytes(4, "big") + tail)
        flags = self._flags if known else 0
        boots, now = (self._boots, self._time + int(time.monotonic() - self._seen)) if known else (0, 0)
        salt = b""
        if flags & PRIVATE and self._priv:
            ciphered, salted = self._priv.encrypt_data(self._priv_key, (boots, now, None), scoped)
            scoped, salt = cast("bytes", encoder.encode(ciphered)), bytes(salted)
        algorithm, size, _ = self._auth if flags & AUTHENTICATED and self._auth else ("", 0, ())
        # The digest's place is found by random bytes: the zeros of RFC 3414 §6.3.1 may stand in an engine id too.
        mark = secrets.token_bytes(size)
        security = _encode(_SECURITY, self._engine, boots, now, self._user if known else b"", mark, salt)
        header = _fill(_HEADER, ident, _MAX_SIZE, bytes([flags | REPORTABLE]), 3)
        message = _encode(_MESSAGE, 3, header, security, scoped)
        if not size:
            return message
        return message.replace(mark, self._digest(algorithm, size, message.replace(mark, bytes(size), 1)), 1)

    def unwrap(self, data: bytes, ident: int, oids: tuple[str, ...]) -> Response | Missing | None:
        """Check and decode an answer; see `Session.unwrap`."""
        try:
            message, _ = decoder.decode(data, asn1Spec=_MESSAGE)
            security, _ = decoder.decode(bytes(message[2]), asn1Spec=_SECURITY)
        except Exception as error:  # the link's edge: pyasn1 raises more than its own errors on crafted bytes
            raise Foreign from error
        flags = bytes(message[1][2])[:1]
        level = flags[0] & (AUTHENTICATED | PRIVATE) if flags else 0
        engine, boots, now, user, digest, salt = security.values()
        if level & AUTHENTICATED:
            self._check(data, bytes(engine), bytes(user), bytes(digest))
        scoped = bytes(message[3])
        if level & PRIVATE:
            if self._priv is None or not level & AUTHENTICATED:
                raise Foreign
            ciphered, _ = decoder.decode(scoped, asn1Spec=univ.OctetString())
            scoped = self._priv.decrypt_data(self._priv_key, (boots, now, salt), ciphered)
        inner = bytes(decoder.decode(scoped, asn1Spec=_SCOPED)[0][2])
        if inner[:1] == _REPORT:
            return self._report(inner, bytes(engine), int(boots), int(now))
        # A response below the level that was asked for could come from anyone (RFC 3412 §7.2.12).
        if level != self._flags or bytes(engine) != self._engine or bytes(user) != self._user:
            raise Foreign
        response = decode_pdu(inner, ident)
        self._learn(bytes(engine), int(boots), int(now))
        return response

    def _report(self, inner: bytes, engine: bytes, boots: int, now: int) -> Missing | None:
        report, _ = decoder.decode(inner, asn1Spec=v2c.ReportPDU())
        rows = v2c.apiPDU.get_varbinds(report)
        # A replaced device may refuse the old one's keys before it looks at the engine id they were made for.
        if engine and (engine != self._engine or (rows and dotted(rows[0][0]).startswith(_ASK_AGAIN))):
            self._learn(engine, boots, now)
            return None
        self.forget()
        return Missing.DENIED

    def _learn(self, engine: bytes, boots: int, now: int) -> None:
        """Take over the engine's clock, backward steps too.

        RFC 3414 §3.2 has a clock that steps back refused, against replays. Devices that forget their boots at a
        power cut would then stay silent for ever, and a replay fails here on the random msgID in any case.
        """
        self._boots, self._time, self._seen = boots, now, time.monotonic()
        if engine == self._engine:
            return
        self._engine = engine
        octets = univ.OctetString(engine)
        if self._auth:
            algorithm, _, protocol = self._auth
            key = localkey.localize_key(master(self._secrets["auth"], algorithm), octets, getattr(hashlib, algorithm))
            self._auth_key = bytes(key)
            if self._priv:
                self._priv_key = self._priv.localize_key(protocol, master(self._secrets["priv"], algorithm), octets)

    def _check(self, data: bytes, engine: bytes, user: bytes, digest: bytes) -> None:
        if self._auth is None or engine != self._engine or user != self._user:
            raise Foreign
        algorithm, size, _ = self._auth
        expected = self._digest(algorithm, size, data.replace(digest, bytes(size), 1)) if len(digest) == size else b""
        if not hmac.compare_digest(digest, expected):
            raise Foreign

    def _digest(self, algorithm: str, size: int, message: bytes) -> bytes:
        return hmac.digest(self._auth_key, message, algorithm)[:size]


def _fill(kind: univ.Sequence, *values: object) -> univ.Sequence:
    filled = kind.clone()
    for position, value in enumerate(values):
        filled[position] = value
    return filled


def _encode(kind: univ.Sequence, *values: object) -> bytes:
    return cast("bytes", encoder.encode(_fill(kind, *values)))
