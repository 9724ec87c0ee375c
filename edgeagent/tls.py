"""TLS towards the broker: the certificate files, and why a connection did not come about in plain words."""

from __future__ import annotations

import socket
import ssl

from edgeagent.broker import Broker


def context(broker: Broker) -> ssl.SSLContext:
    """Read the certificate files. They are read anew for each connection, so renewed ones count.

    Raises:
        OSError: when a file is missing or is not what it should be.
    """
    found = ssl.create_default_context(cafile=broker.ca)
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.cert is not None:
        found.load_cert_chain(broker.cert, broker.key)
    return found


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
