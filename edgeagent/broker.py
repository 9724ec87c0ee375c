"""Where the brokers are, how they know us, which one comes next, and what their refusals mean. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from edgeagent.endpoint import Files

REFUSALS: Final[Mapping[int, str]] = {
    0x84: 'the broker does not speak MQTT 5; protocol = "3.1.1" in [feed] may help',
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


class Protocol(StrEnum):
    """A version of MQTT."""

    V5 = "5"
    V311 = "3.1.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a further broker is."""

    host: str
    port: int
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach a broker. Times in s. TLS is on when `tls` is, or any of the certificate files is named.

    `patience` spreads the attempts of many clients that lost one broker: about so long the first of each waits.
    """

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
    patience: float = 0.0
    protocol: Protocol = Protocol.V5
    fallbacks: tuple[Place, ...] = ()
    """Where to go, in this order, while the first broker cannot be used; they know us in the same way."""

    def all(self) -> tuple[Broker, ...]:
        """Return the brokers in the order in which they are tried."""
        others = (replace(self, host=to.host, port=to.port, tls=to.tls) for to in self.fallbacks)
        return (self, *others)

    @property
    def files(self) -> Files:
        """Its certificate files."""
        return Files(self.ca, self.cert, self.key)

    @property
    def secured(self) -> bool:
        """Tell whether the connection is TLS."""
        return self.tls or bool(self.ca or self.cert)

    def __str__(self) -> str:
        return f"{'mqtts' if self.secured else 'mqtt'}://{self.host}:{self.port}"


class Choice:
    """Which of the brokers to go to. It stays where it got through; after an outage there it begins with the first."""

    def __init__(self, broker: Broker) -> None:
        self._brokers, self._at = broker.all(), 0

    @property
    def broker(self) -> Broker:
        """The broker to go to, or where we are."""
        return self._brokers[self._at]

    @property
    def fallback(self) -> bool:
        """Tell whether it is not the first."""
        return self._at > 0

    def __len__(self) -> int:
        return len(self._brokers)

    def ended(self, *, stood: bool) -> None:
        """Hear that an attempt failed, or that a connection ended which had `stood` for a while."""
        self._at = 0 if stood else (self._at + 1) % len(self._brokers)
