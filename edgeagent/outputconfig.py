"""The tables of a site for who else reads it: [homeassistant] and [metrics], both off where they are missing. Data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import Field

from edgeagent.tomlfile import Strict

PORT: Final = 9464
"""Where exporters of metrics are looked for (OpenTelemetry, Prometheus exporter)."""


@dataclass(frozen=True, slots=True)
class HomeAssistant:
    """Where Home Assistant looks for devices, and whether it is to know the parts of seats too, which are many."""

    prefix: str = "homeassistant"
    seats: bool = False


@dataclass(frozen=True, slots=True)
class Metrics:
    """The TCP port of loopback on which figures can be fetched."""

    port: int = PORT


class HomeAssistantEntry(Strict):
    """The table as it stands in the file. The feed's own tree is no place for it, so a prefix is one or two levels."""

    prefix: str = Field(default=HomeAssistant().prefix, pattern=r"^[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40})?$")
    seats: bool = False

    def settings(self) -> HomeAssistant:
        """Return it for the feed."""
        return HomeAssistant(self.prefix, self.seats)


class MetricsEntry(Strict):
    """The table as it stands in the file."""

    port: int = Field(default=PORT, ge=1, le=65535)

    def settings(self) -> Metrics:
        """Return it for the listener."""
        return Metrics(self.port)
