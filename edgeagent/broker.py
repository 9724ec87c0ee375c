"""Where the broker is, how it knows us, and what its refusals mean. Reads certificate files, opens no connection."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

REFUSALS: Final[Mapping[int, str]] = {
    0x84: "the broker does not speak MQTT 5",
    0x85: "the broker does not accept the client id",
    0x86: "bad user name or password",
    0x87: "not authorised: the broker knows no such user, password or certificate, or bars it (mosquitto says no more)",
    0x88: "the broker is unavailable",
    0x89: "the broker is busy",
    0x8A: "the broker has banned this client",
    0x95: "the broker takes no packet as large as our CONNECT",
    0x97: "over the broker's quota",
    0x9F: "the broker limits the rate of connections",
}
"""What a CONNACK reason code means for the operator (MQTT 5 §3.2.2.2)."""


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach a broker. Times in s. TLS is on when `tls` is, or any of the certificate files is named."""

    host: str
    port: int = 1883
    client_id: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    keepalive: int = 15
    session_expiry: int = 30
    will_delay: int = 5
    connect_timeout: float = 5.0

    @property
    def secured(self) -> bool:
        """Tell whether the connection is TLS."""
        return self.tls or bool(self.ca or self.cert)

    def context(self) -> ssl.SSLContext:
        """Read the certificate files. They are read anew for each connection, so renewed ones count.

        Raises:
            OSError: when a file is missing or is not what it should be.
        """
        context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context

    def __str__(self) -> str:
        return f"{'mqtts' if self.secured else 'mqtt'}://{self.host}:{self.port}"


def failure(error: Exception, broker: Broker) -> str:
    """Say in plain words why a connection did not come about, most telling cause first."""
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
    if isinstance(error, FileNotFoundError):
        return f"TLS: a certificate file is missing: {error.filename or broker.cert or broker.ca}"
    return str(error)
