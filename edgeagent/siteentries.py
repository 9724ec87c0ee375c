"""The tables of a site's files as they are spelled: what may stand there, of which shape, within which bounds.

Owns shapes alone. What a table means together with the others is for `sitefiles.py`; the tables of the site's tree are
in `treefiles.py`, those of drills and shifts in `drillsettings.py`.
"""

from __future__ import annotations

import re
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, IPvAnyAddress

from edgeagent.brokerfile import FeedEntry
from edgeagent.contacts import Contact
from edgeagent.drillsettings import DrillsEntry, Shifts
from edgeagent.kindfiles import TextEntry
from edgeagent.outputconfig import PORT as METRICS
from edgeagent.outputconfig import HomeAssistant, Metrics
from edgeagent.overrides import Override
from edgeagent.seatparts import PORT
from edgeagent.tomlfile import Strict
from edgeagent.trapconfig import PORT as TRAPS
from edgeagent.trapconfig import Traps
from edgeagent.treefiles import ID, DeviceTies, TreeTables
from edgeagent.waivers import Insecure, Waiver


class ContactEntry(Strict):
    """One input as the site's files spell it. Delays in s."""

    point: str
    active: Literal["open", "closed"] = "closed"
    on_delay: float | None = Field(default=None, ge=0, le=3600)
    off_delay: float | None = Field(default=None, ge=0, le=3600)
    fault: str | int | None = None
    fault_active: Literal["open", "closed"] = "closed"

    def settings(self) -> Contact:
        """Return it for the wiring."""
        return Contact(self.point, self.active, self.on_delay, self.off_delay, self.fault, self.fault_active)


class TrapsEntry(Strict):
    """The table as it stands in the file."""

    addresses: tuple[IPvAnyAddress, ...] = Field(
        default=tuple(ip_address(each) for each in Traps().addresses), min_length=1
    )
    port: int = Field(default=TRAPS, ge=1, le=65535)
    forwarders: tuple[IPvAnyAddress, ...] = ()

    def settings(self) -> Traps:
        """Return it for the listener."""
        return Traps(tuple(map(str, self.addresses)), self.port, frozenset(map(str, self.forwarders)))


class HomeAssistantEntry(Strict):
    """The table as it stands in the file. The feed's own tree is no place for it, so a prefix is one or two levels."""

    prefix: str = Field(default=HomeAssistant().prefix, pattern=r"^[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40})?$")
    seats: bool = False

    def settings(self) -> HomeAssistant:
        """Return it for the feed."""
        return HomeAssistant(self.prefix, self.seats)


class MetricsEntry(Strict):
    """The table as it stands in the file."""

    port: int = Field(default=METRICS, ge=1, le=65535)

    def settings(self) -> Metrics:
        """Return it for the listener."""
        return Metrics(self.port)


class WaiverEntry(Strict):
    """What one [[waivers]] must hold."""

    what: Insecure
    who: str = Field(min_length=2, max_length=80)
    why: str = Field(min_length=8, max_length=400)
    until: date

    def settings(self) -> Waiver:
        """Return it for the model."""
        return Waiver(self.what, self.who, self.why, self.until)


class SiteEntry(Strict):
    """What [site] must hold."""

    id: str = Field(pattern=ID)
    name: TextEntry
    language: Literal["en", "zh"] = "zh"


class AgentEntry(Strict):
    """What [agent] may hold."""

    id: str = Field(default="edge-1", pattern=ID)
    state: Path | None = None
    drivers: tuple[Path, ...] = ()


class SiteFeedEntry(FeedEntry):
    """What [feed] must hold."""

    root: str = Field(default="floor", pattern=ID)
    rate: float = Field(default=200.0, gt=0, le=2000)


class SnmpEntry(Strict):
    """What [snmp] may hold."""

    engine: Literal["fast", "pysnmp"] = "fast"


class PollingEntry(Strict):
    """What [polling] may hold: seconds."""

    alarm_interval: float | None = Field(default=None, ge=0.1, le=60)


class DeviceEntry(DeviceTies):
    """What one [devices.<id>] must hold. Times in s."""

    url: str
    interval: float | None = Field(default=None, ge=0.1, le=3600)
    fast: float | None = Field(default=None, ge=0.1, le=3600)
    alarm_interval: float | None = Field(default=None, ge=0.1, le=60)
    timeout: float | None = Field(default=None, gt=0, le=60)
    alarms: dict[str, Override] = Field(default_factory=dict)
    contacts: dict[str, ContactEntry] = Field(default_factory=dict)
    index: int = Field(default=0, ge=0)
    port: str | None = Field(default=None, pattern=rf"^{PORT.pattern}$")
    vlan: int | None = Field(default=None, ge=1, le=2**31)
    mac: str | None = Field(default=None, pattern=r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$")
    bridge: int | None = Field(default=None, ge=1, le=2**31)

    def places(self) -> dict[str, str]:
        """Return where the thing is in its device, as arcs of an OID, as far as it says."""
        mac = ".".join(str(int(part, 16)) for part in re.split("[:-]", self.mac)) if self.mac else None
        said = {"index": self.index or None, "port": self.port, "vlan": self.vlan, "mac": mac, "bridge": self.bridge}
        return {name: str(place) for name, place in said.items() if place is not None}


class SiteFile(TreeTables):
    """All files of a site's folder, joined."""

    site: SiteEntry
    feed: SiteFeedEntry
    agent: AgentEntry = AgentEntry()
    traps: TrapsEntry | None = None
    snmp: SnmpEntry = SnmpEntry()
    polling: PollingEntry = PollingEntry()
    devices: dict[str, DeviceEntry] = Field(default_factory=dict)
    drills: DrillsEntry = DrillsEntry()
    waivers: tuple[WaiverEntry, ...] = ()
    shifts: Shifts = Field(default_factory=dict)
    homeassistant: HomeAssistantEntry | None = None
    metrics: MetricsEntry | None = None

    def named(self) -> frozenset[str]:
        """Return the ids of all drivers that devices and parts of seats name."""
        parts = {part.driver for seats in self.seats.values() for part in seats.parts.values()}
        return frozenset(parts.union(device.driver for device in self.devices.values()))
