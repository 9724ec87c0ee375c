"""The tables of a site for who else reads it: [homeassistant] and [metrics], both off where they are missing. Data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
