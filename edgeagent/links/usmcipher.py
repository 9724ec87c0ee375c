"""The ciphers of SNMPv3: AES (RFC 3826) and DES (RFC 3414 §8), each with one key.

Owns salts and initialization vectors. Importing it loads cryptography: `usm` does so when somebody has a key.
"""

from __future__ import annotations

import itertools
import secrets
import struct
from collections.abc import Mapping
from typing import Final, Protocol

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

from edgeagent.links.ber import Malformed

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:  # before it was moved there
    from cryptography.hazmat.primitives.ciphers.modes import CFB

_SALT: Final = 8
_BLOCK, _WIDE = 8, 16
"""Bytes of a block of DES, and of AES."""
_CLOCK: Final = struct.Struct(">II").pack

# Random at the start and counted on, so that no vector comes twice (RFC 3414 §8.1.1.1, RFC 3826 §3.1.2.1).
_SALTS: Final = itertools.count(secrets.randbits(63))


class Privacy(Protocol):
    """A privacy protocol with a key. Boots and times are those of the message, 0 to 2^31-1."""

    def encrypt(self, boots: int, now: int, data: bytes) -> tuple[bytes, bytes]:
        """Return the data in cipher, and the salt that the message carries."""

    def decrypt(self, boots: int, now: int, salt: bytes, data: bytes) -> bytes:
        """Return the data in clear, padding may follow. Raises `Malformed`."""


class Aes:
    """AES in CFB mode of whole blocks, with 16, 24 or 32 bytes of key."""

    __slots__ = ("_key", "_pad")

    def __init__(self, key: bytes) -> None:
        self._key = AES(key)
        self._pad = Cipher(self._key, ECB()).encryptor().update  # noqa: S305 - CFB is made of it, see decrypt

    def encrypt(self, boots: int, now: int, data: bytes) -> tuple[bytes, bytes]:
        """Encrypt with a fresh salt (RFC 3826 §3.3.1)."""
        salt = (next(_SALTS) & 0xFFFFFFFFFFFFFFFF).to_bytes(_SALT, "big")
        return Cipher(self._key, CFB(_CLOCK(boots, now) + salt)).encryptor().update(data), salt

    def decrypt(self, boots: int, now: int, salt: bytes, data: bytes) -> bytes:
        """Decrypt (RFC 3826 §3.3.2)."""
        if len(salt) != _SALT:
            raise Malformed("a salt of another length")
        # To decrypt, each block is XORed with the encryption of the one before it, and those are all here: at once.
        size = len(data)
        pad = self._pad((_CLOCK(boots, now) + salt + data)[: -(-size // _WIDE) * _WIDE])
        return (int.from_bytes(data, "big") ^ int.from_bytes(pad[:size], "big")).to_bytes(size, "big")


class Des:
    """DES in CBC mode; its 16 bytes of key are the key and what is mixed into its vectors."""

    __slots__ = ("_key", "_mixed")

    def __init__(self, key: bytes) -> None:
        self._key = TripleDES(key[:8] * 3)  # three times with one key is once
        self._mixed = int.from_bytes(key[8:16], "big")

    def encrypt(self, boots: int, now: int, data: bytes) -> tuple[bytes, bytes]:
        """Encrypt with a fresh salt (RFC 3414 §8.3.1)."""
        salt = _CLOCK(boots, next(_SALTS) & 0xFFFFFFFF)
        padded = data + bytes(-len(data) % _BLOCK)
        return Cipher(self._key, self._vector(salt)).encryptor().update(padded), salt

    def decrypt(self, boots: int, now: int, salt: bytes, data: bytes) -> bytes:
        """Decrypt (RFC 3414 §8.3.2)."""
        if len(salt) != _SALT or len(data) % _BLOCK:
            raise Malformed("a salt or data of another length")
        return Cipher(self._key, self._vector(salt)).decryptor().update(data)

    def _vector(self, salt: bytes) -> CBC:
        return CBC((int.from_bytes(salt, "big") ^ self._mixed).to_bytes(_BLOCK, "big"))


CIPHERS: Final[Mapping[str, type[Aes | Des]]] = {
    "DES": Des,
    "AES-128": Aes,
    "AES-192": Aes,
    "AES-256": Aes,
}
