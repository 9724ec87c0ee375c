"""The user-based security model of SNMPv3 (RFC 3414): what a user's passwords make of a message.

Owns users, keys and digests. Knows no messages, no clocks and no sockets. Says what pysnmp's modules of the same
protocols say, at a hundredth of the cost, and loads nothing but a cipher that is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from edgeagent.endpoint import Endpoint

if TYPE_CHECKING:
    from edgeagent.links.usmcipher import Privacy

AUTHENTICATED, PRIVATE, REPORTABLE = 1, 2, 4
"""Bits of msgFlags (RFC 3412 §6.4)."""
_MEGABYTE: Final = 1 << 20
"""Bytes of repeated password that make a key (RFC 3414 §A.2)."""


class Auth(NamedTuple):
    """An authentication protocol: its hash, and how many bytes of digest a message has."""

    algorithm: str
    size: int


AUTHS: Final[Mapping[str, Auth]] = {
    "MD5": Auth("md5", 12),
    "SHA-1": Auth("sha1", 12),
    "SHA-224": Auth("sha224", 16),
    "SHA-256": Auth("sha256", 24),
    "SHA-384": Auth("sha384", 32),
    "SHA-512": Auth("sha512", 48),
}
"""RFC 3414 §6 and §7, RFC 7860 §4."""

PRIVS: Final[Mapping[str, int]] = {"DES": 16, "AES-128": 16, "AES-192": 24, "AES-256": 32}
"""Bytes of key that a privacy protocol wants (RFC 3414 §8.1.1.1, RFC 3826 §1.2)."""


@lru_cache(maxsize=256)
def master(secret: str, algorithm: str) -> bytes:
    """Hash a password into a key (RFC 3414 §A.2); a megabyte of hashing, hence kept."""
    password = secret.encode()
    return hashlib.new(algorithm, (password * (_MEGABYTE // len(password) + 1))[:_MEGABYTE]).digest()


def localized(key: bytes, engine: bytes, algorithm: str) -> bytes:
    """Make a key one engine's own (RFC 3414 §2.6)."""
    return hashlib.new(algorithm, key + engine + key).digest()


def stretched(key: bytes, size: int, algorithm: str) -> bytes:
    """Make a localized key as long as a cipher wants it.

    AES-192 and AES-256 are no standard; net-snmp and most devices do as draft-blumenthal-aes-usm-04 §3.1.2.1 says.
    """
    while len(key) < size:
        key += hashlib.new(algorithm, key).digest()
    return key[:size]


class Keys:
    """The keys of one user at one engine; none of those that its level does not need."""

    __slots__ = ("_inner", "_outer", "privacy", "size")

    def __init__(self, auth: Auth | None, key: bytes, privacy: Privacy | None) -> None:
        self.size = auth.size if auth else 0
        """Bytes of digest."""
        self.privacy = privacy
        if auth:
            # HMAC (RFC 2104 §2) from two beginnings that are hashed once: half of what `hmac` takes.
            padded = key.ljust(hashlib.new(auth.algorithm).block_size, b"\0")
            self._inner = hashlib.new(auth.algorithm, bytes(byte ^ 0x36 for byte in padded))
            self._outer = hashlib.new(auth.algorithm, bytes(byte ^ 0x5C for byte in padded))

    def digest(self, message: bytes) -> bytes:
        """Return the digest of a message that has zeros in its place (RFC 3414 §6.3, RFC 7860 §4)."""
        if not self.size:
            return b""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()[: self.size]


class User:
    """A user with passwords and level, at whatever engine."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.name = endpoint.user.encode()
        self._auth = AUTHS.get(endpoint.options["auth"])
        self._priv = endpoint.options["priv"] if self._auth and endpoint.options["priv"] in PRIVS else ""
        self._secrets = endpoint.secrets
        self.level = (AUTHENTICATED if self._auth else 0) | (PRIVATE if self._priv else 0)

    def keys(self, engine: bytes) -> Keys:
        """Return the keys for an engine; from a password as it is, some ms are spent the first time it is seen."""
        if self._auth is None:
            return Keys(None, b"", None)
        algorithm = self._auth.algorithm
        key = localized(master(self._secrets["auth"], algorithm), engine, algorithm)
        if not self._priv:
            return Keys(self._auth, key, None)
        from edgeagent.links.usmcipher import CIPHERS

        own = localized(master(self._secrets["priv"], algorithm), engine, algorithm)
        return Keys(self._auth, key, CIPHERS[self._priv](stretched(own, PRIVS[self._priv], algorithm)))
