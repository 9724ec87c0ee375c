"""The `[traps]` table of a site: where to listen for traps and informs, and who may relay them. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from pydantic import Field, IPvAnyAddress

from edgeagent.tomlfile import Strict

PORT: Final = 1162
"""Unprivileged stand-in of 162, which many trap receivers use."""


@dataclass(frozen=True, slots=True)
class Traps:
    """UDP addresses to listen at, and the addresses of forwarders that are believed whom they relay for."""

    addresses: tuple[str, ...] = ("0.0.0.0", "::")
    port: int = PORT
    forwarders: frozenset[str] = frozenset()


class TrapsEntry(Strict):
    """The table as it stands in the file."""

    addresses: tuple[IPvAnyAddress, ...] = Field(
        default=tuple(ip_address(each) for each in Traps().addresses), min_length=1
    )
    port: int = Field(default=PORT, ge=1, le=65535)
    forwarders: tuple[IPvAnyAddress, ...] = ()

    def settings(self) -> Traps:
        """Return it for the listener."""
        return Traps(tuple(map(str, self.addresses)), self.port, frozenset(map(str, self.forwarders)))
