"""The `[traps]` table of a site: where to listen for traps and informs, and who may relay them. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PORT: Final = 1162
"""Unprivileged stand-in of 162, which many trap receivers use."""


@dataclass(frozen=True, slots=True)
class Traps:
    """UDP addresses to listen at, and the addresses of forwarders that are believed whom they relay for."""

    addresses: tuple[str, ...] = ("0.0.0.0", "::")
    port: int = PORT
    forwarders: frozenset[str] = frozenset()
