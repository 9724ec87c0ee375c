"""What the operator says of the site, as one frozen model: `sitefiles.py` reads it from the site's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgeagent.broker import Broker
from edgeagent.catalog import AlarmType, Catalog, Driver, Text
from edgeagent.contacts import Delays
from edgeagent.endpoint import Endpoint
from edgeagent.mistakes import Mistake
from edgeagent.outputconfig import HomeAssistant, Metrics
from edgeagent.procedure import Procedure
from edgeagent.scenario import DrillPlans
from edgeagent.sitetree import CauseSettings, SiteTree
from edgeagent.trapconfig import Traps
from edgeagent.waivers import Security


@dataclass(frozen=True, slots=True)
class Device:
    """One thing to poll. Times in s. `alarms` are the kind's alarm types as this device has them.

    `contacts` are the delays of its dry contacts by point id.
    """

    id: str
    name: Text
    driver: Driver
    endpoint: Endpoint
    area: str | None
    interval: float
    fast: float
    timeout: float
    alarms: Mapping[str, AlarmType]
    contacts: Mapping[str, Delays] = field(default_factory=dict)
    alarm_interval: float | None = None
    """How often what its alarms look at is asked, where that is more often than the rest."""


@dataclass(frozen=True, slots=True)
class Site:
    """All that the operator says."""

    id: str
    name: Text
    language: Literal["en", "zh"]
    agent: str
    state: Path
    broker: Broker
    root: str
    rate: float
    areas: Mapping[str, Text]
    devices: Mapping[str, Device]
    catalog: Catalog
    digest: str
    """Of all files of the folder: tells two configurations apart."""
    traps: Traps | None = None
    tree: SiteTree = field(default_factory=SiteTree)
    causes: CauseSettings = field(default_factory=CauseSettings)
    notes: tuple[Mistake, ...] = ()
    """What may be right and is worth a look."""
    mains_alarms: Mapping[str, AlarmType] = field(default_factory=dict)
    """The alarm types of the mains as this site has them."""
    procedures: Mapping[str, Procedure] = field(default_factory=dict)
    drills: DrillPlans = field(default_factory=DrillPlans)
    security: Security = field(default_factory=Security)
    homeassistant: HomeAssistant | None = None
    metrics: Metrics | None = None
