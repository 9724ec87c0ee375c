"""TLS towards brokers and devices: the certificate files, what is wrong with them, why no connection came about."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgeagent.broker import Broker
from edgeagent.endpoint import Files
from edgeagent.mistakes import unread

_NO_PASSPHRASE: Final = ""
"""Without one OpenSSL would ask for it on the terminal, and wait."""
_NO_PAIR: Final = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
"""What OpenSSL calls a key that belongs to another certificate, or is of another kind."""


class Unusable(OSError):
    """A certificate file that is of no use: `part` is ca, cert or key; the message names the file and says why."""

    def __init__(self, part: str, why: str) -> None:
        super().__init__(why)
        self.part = part


def context(files: Files) -> ssl.SSLContext:
    """Read the certificate files. They are read anew for each connection, so renewed ones count.

    Raises:
        OSError: when a file is missing or is not what it should be.
    """
    try:
        found = ssl.create_default_context(cafile=files.ca)
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        if files.cert is not None:
            found.load_cert_chain(files.cert, files.key, _NO_PASSPHRASE)
    except OSError as error:  # which does not say which file
        raise next(faults(files), error) from error
    return found


def faults(files: Files) -> Iterator[Unusable]:
    """Tell which of the certificate files are of no use."""
    read: dict[str, Path] = {}
    for part, path in files._asdict().items():
        if path is None:
            continue
        try:
            path.open("rb").close()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            yield Unusable(part, f"{path} is no file")
        except OSError as error:
            yield Unusable(part, f"{path} {unread(error, secret=True)}")
        else:
            read[part] = path
    for part in [part for part in ("ca", "cert") if part in read]:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(read[part])
        except ssl.SSLError:
            yield Unusable(part, f"{read.pop(part)} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    if "cert" in read and (files.key is None or "key" in read):
        key = read.get("key", read["cert"])
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(read["cert"], key, _NO_PASSPHRASE)
        except ssl.SSLError as error:
            yield _unlike(read["cert"], key, error)


def _unlike(cert: Path, key: Path, error: ssl.SSLError) -> Unusable:
    """Say in plain words why a certificate and a key are no pair."""
    if error.reason is None:
        return Unusable("key", f"{key} holds no private key in PEM form without a passphrase")
    if error.reason in _NO_PAIR:
        return Unusable("key", f"{key} is not the key of {cert}")
    return Unusable("cert", f"{cert} is not taken: {error.reason.replace('_', ' ').lower()}")


def failure(error: Exception, broker: Broker) -> str:
    """Say in plain words why a connection did not come about, most telling cause first."""
    if isinstance(error, Unusable):
        return f"TLS: {error}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the broker's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}; is a client certificate missing, or is this no TLS port?"
    if isinstance(error, socket.gaierror):
        return f"the name {broker.host} cannot be resolved: {error.strerror}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there"
    if isinstance(error, TimeoutError):
        return f"no answer within {broker.connect_timeout:.0f} s"
    return str(error)
