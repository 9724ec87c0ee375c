"""Reads the site's folder (`*.toml`) into the frozen site model and says all that is wrong with it at once.

Tables may stand in any of the files; a device, an area or a setting stands once. Nothing is opened or asked
here but the files themselves and the secrets they name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edgeagent import driverfiles, procedurefiles, resources, scenariofiles
from edgeagent.broker import Broker
from edgeagent.brokerfile import broker_of
from edgeagent.catalog import AlarmType, Catalog, Driver
from edgeagent.config import Device, Site
from edgeagent.contacts import INTERVAL as CONTACTS
from edgeagent.contacts import wire
from edgeagent.drillsettings import ShiftEntry, shifts_of
from edgeagent.endpoint import ENGINES, Endpoint, EndpointError, parse
from edgeagent.kindfiles import text_of
from edgeagent.mistakes import Mistake, Mistakes, Path_, nearest
from edgeagent.overrides import Overridden, overridden
from edgeagent.scenario import DrillPlans
from edgeagent.seatparts import parts_of, staffing_of
from edgeagent.siteentries import DeviceEntry, SiteFeedEntry, SiteFile
from edgeagent.sitetree import MAINS
from edgeagent.tls import faults
from edgeagent.tomlfile import Document, check, joined, readable, unlisted
from edgeagent.treefiles import Planter, left_out
from edgeagent.waivers import security_of

STATE: Final = Path("/var/lib/edgeagent")
TIMEOUT: Final = 2.0
"""s that a poll may take where neither the site nor the driver says otherwise."""


_SERVICE: Final = "service"
"""The place that a seat's URL names itself."""
_STAND_INS: Final[Mapping[str, dict[str, Any]]] = {
    "site": {"id": "site", "name": {"en": "-", "zh": "-"}},
    "feed": {"broker": "mqtt://localhost"},
}
_SHIFT: Final = ShiftEntry.model_validate({"name": {"en": "-", "zh": "-"}, "hours": "00:00-24:00"})
"""Stands in for a shift whose own table is wrong."""
PROCEDURES: Final = "procedures"
"""The folder of procedures, among the shipped examples and in the site's own folder."""
DRILLS: Final = "drills"
"""The folder of scenarios, likewise."""
FAST: Final = 1.0
"""Interval of power devices while power is abnormal, s."""


def load(folder: Path, shipped: Path, *, whole: bool = True) -> Site:
    """Read the site in `folder` with the drivers of `shipped` and of the site's own drivers folders.

    Not `whole`: with the drivers that it names alone, be what it may with the others.

    Raises:
        Mistakes: everything that is wrong in the site's files and in all drivers.
    """
    mistakes: list[Mistake] = []
    document = joined(folder, mistakes)
    checked, wrong = check(document, SiteFile, document.data)
    mistakes += wrong
    found = checked if isinstance(checked, SiteFile) else readable(SiteFile, document.data, _STAND_INS)
    own = tuple(folder / path for path in found.agent.drivers) if found is not None else ()
    for path in own:
        if why := unlisted(path):
            mistakes.append(document.mistake(("agent", "drivers"), f"{path}: {why}"))
    catalog = Catalog({}, {})
    try:
        only = () if whole or found is None else (found.named(),)
        catalog = driverfiles.load([shipped, *own], *only)
    except Mistakes as error:
        mistakes += error.found
    for path in (folder / PROCEDURES, folder / DRILLS) if document.whole else ():
        if path.exists() and (why := unlisted(path)):
            mistakes.append(Mistake(str(path), 0, "", why))
    if found is None or not document.whole:  # what a file tells that cannot be read would be said to be unknown
        raise Mistakes(mistakes)
    reader = _Reader(document, found, catalog, folder)
    site = reader.site()
    if catalog.kinds:
        try:
            folders = (resources.examples() / PROCEDURES, folder / PROCEDURES)
            nodes = site.tree.nodes.keys() | reader.unread
            site = replace(site, procedures=procedurefiles.load(folders, catalog, nodes))
            site = replace(site, drills=reader.drills(site, right=not mistakes))
        except Mistakes as error:
            mistakes += error.found
    if mistakes or reader.mistakes:
        raise Mistakes(mistakes + reader.mistakes)
    return replace(site, digest=_digest(folder))


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for part in ("", PROCEDURES, DRILLS) for path in (folder / part).glob("*.toml")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class _Reader:
    """Compiles the checked tables into the site model."""

    def __init__(self, document: Document, file: SiteFile, catalog: Catalog, folder: Path) -> None:
        self._document, self._file, self._catalog, self._folder = document, file, catalog, folder
        self.mistakes: list[Mistake] = []
        self.unread: frozenset[str] = frozenset()
        self._places: dict[str, Path_] = {}
        self._parsed: dict[str, Endpoint] = {}
        self._drivers: dict[tuple[str, ...], Driver] = {}
        self._named: dict[str, frozenset[str]] = {}
        self._alike: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        self._alarms: dict[Path_, Mapping[str, AlarmType]] = {}
        self._broken: set[Path_] = set()
        self._overridden = Overridden()

    def _say(self, path: Path_, text: str) -> None:
        self.mistakes.append(self._document.mistake(path, text))

    def site(self) -> Site:
        file = self._file
        entries = {**file.devices, **self._parts()}
        devices = {id: device for id, entry in entries.items() if (device := self._device(id, entry))}
        if not self._document.data.get("devices") and not any(seats.parts for seats in file.seats.values()):
            self._say(("devices",), "no device stands here; add [devices.<id>] with url, driver and name")
        shifts = dict.fromkeys(left_out(self._document, "shifts", file.shifts), _SHIFT) | file.shifts
        staffed = staffing_of(file, shifts, self._say)
        planter = Planter(self._document, file, entries, self._catalog.kinds, self._places, staffed)
        tree = planter.tree()
        self.mistakes += planter.mistakes
        self.unread = planter.unread
        broker = self._broker(file.feed)
        ways = ((self._places.get(id, ("devices", id)), device.endpoint) for id, device in devices.items())
        security = security_of(ways, broker, [waiver.settings() for waiver in file.waivers], self._document.mistake)
        state = file.agent.state or Path(os.environ.get("STATE_DIRECTORY", STATE))
        return Site(
            file.site.id, text_of(file.site.name), file.site.language, file.agent.id, self._folder / state,
            broker, file.feed.root, file.feed.rate,
            {id: text_of(area.name) for id, area in file.areas.items()}, devices, self._catalog, "",
            None if file.traps is None else file.traps.settings(), tree, file.causes.settings(), tuple(planter.notes),
            self._mains_alarms(), security=security,
            homeassistant=None if file.homeassistant is None else file.homeassistant.settings(),
            metrics=None if file.metrics is None else file.metrics.settings(),
        )  # fmt: skip

    def drills(self, site: Site, *, right: bool) -> DrillPlans:
        """Read what stands of drills, for a site that is known but for them.

        What a site can show is looked at only when all else of it is `right`: a device with a mistake is missing.

        Raises:
            Mistakes: everything that is wrong in any scenario.
        """
        notes: list[Mistake] = []
        folders = (resources.examples() / DRILLS, self._folder / DRILLS)
        known = site if right and not self.mistakes else None
        scenarios = scenariofiles.load(folders, self._catalog, site.procedures, known, notes)
        settings = self._file.drills.settings()
        if settings.speed > 1:
            why = "speeded-up drills are for demonstrations: nobody rehearses true clocks by them"
            notes.append(self._document.mistake(("drills", "speed"), why))
        return DrillPlans(settings, scenarios, shifts_of(self._file.shifts), tuple(notes))

    def _mains_alarms(self) -> Mapping[str, AlarmType]:
        kind = self._catalog.kinds.get(MAINS)
        if kind is None:
            return {}
        for id, entry in self._file.power.items():
            if entry.alarms and entry.kind != MAINS:
                self._say(("power", id, "alarms"), "only the mains has alarms of its own")
        found = next(((id, entry) for id, entry in self._file.power.items() if entry.kind == MAINS), None)
        if found is None:
            return kind.alarms
        return overridden(kind, found[1].alarms, lambda key, text: self._say(("power", found[0], "alarms", *key), text))

    def _broker(self, feed: SiteFeedEntry) -> Broker:
        found = broker_of(feed.broker, feed, self._folder, "broker", lambda key, text: self._say(("feed", key), text))
        return replace(found, protocol=feed.protocol)

    def _parts(self) -> dict[str, DeviceEntry]:
        """Return the parts of seats as if each stood alone."""
        found: dict[str, DeviceEntry] = {}
        for part in parts_of(self._file, self._catalog.kinds, self._say):
            if part.id in self._file.devices or part.id in found:
                self._say(part.path, f'"{part.id}" stands here twice: as a device too, or in two ranges')
                continue
            entry = part.entry
            self._places[part.id] = part.path
            found[part.id] = DeviceEntry.model_construct(
                name=part.name, driver=entry.driver, url=part.url, seat=part.seat, area=entry.area, index=part.index,
                port=part.port,
                fed_by=entry.fed_by, connected_by=entry.connected_by, needs=entry.needs, interval=entry.interval,
                fast=entry.fast, timeout=entry.timeout, alarms=entry.alarms,
            )  # fmt: skip
        return found

    def _endpoint(self, path: Path_, url: str) -> Endpoint | None:
        """Read a URL, once for all ports of a switch."""
        if url not in self._parsed:
            try:
                endpoint = self._parsed[url] = self._spoken(parse(url, self._folder / "secrets"))
            except EndpointError as error:
                self._say((*path, "url"), str(error))
            else:
                for fault in faults(endpoint.files):
                    self._say((*path, "url"), f"{fault.part}: {fault}")
        return self._parsed.get(url)

    def _spoken(self, endpoint: Endpoint) -> Endpoint:
        """Let a device that says nothing else be spoken to as the site wants."""
        engine, options = self._file.snmp.engine, endpoint.options
        if endpoint.protocol == "snmp" and engine != ENGINES[0]:
            options = {"engine": engine, **options}
        return replace(endpoint, options=self._one(options), secrets=self._one(endpoint.secrets))

    def _one(self, words: Mapping[str, str]) -> Mapping[str, str]:
        """Return one mapping for all that say the same: ten thousand devices are spoken to alike."""
        return self._alike.setdefault(tuple(words.items()), words)

    def _device(self, id: str, entry: DeviceEntry) -> Device | None:
        path = self._places.get(id, ("devices", id))
        if path in self._broken:
            return None
        before = len(self.mistakes)
        device = self._made(id, entry, path)
        if id in self._places and len(self.mistakes) > before:
            self._broken.add(path)
        return device

    def _driver(self, driver: Driver, places: Mapping[str, str], index: int) -> Driver:
        """Return the driver for one of many units, once for all of the same place."""
        key = (driver.id, str(index), *(f"{name}={place}" for name, place in places.items()))
        if key not in self._drivers:
            self._drivers[key] = driver.placed(places) if self._named[driver.id] else driver.of_unit(index)
        return self._drivers[key]

    def _made(self, id: str, entry: DeviceEntry, path: Path_) -> Device | None:
        endpoint = self._endpoint(path, entry.url)
        driver = self._catalog.drivers.get(entry.driver)
        if driver is None:
            if self._catalog.drivers:
                known = list(self._catalog.drivers)
                self._say((*path, "driver"), f'unknown driver "{entry.driver}"{nearest(entry.driver, known)}')
            return None
        if endpoint is not None and endpoint.protocol != driver.protocol:
            self._say((*path, "url"), f"{driver.id} speaks {driver.protocol}, not {endpoint.scheme}")
        if endpoint is not None and endpoint.scheme == "seat" and entry.seat not in (None, endpoint.host):
            self._say((*path, "url"), f"heard from seat {endpoint.host}, yet part of seat {entry.seat}")
        timeout = entry.timeout or max(TIMEOUT, driver.quirks.timeout or 0.0)
        interval = entry.interval or min(driver.kind.interval, CONTACTS if entry.contacts else driver.kind.interval)
        places = entry.places() | _asked(endpoint)
        if driver.id not in self._named:  # looking through all its items once, not once a device
            self._named[driver.id] = driver.places
        named = self._named[driver.id]
        for name in sorted(places.keys() - named - {"index"}):
            key = "url" if name == _SERVICE else name
            self._say((*path, key), f"{driver.id} reads nothing by {name}{nearest(name, sorted(named))}")
        if endpoint is not None and _SERVICE in named - places.keys():
            self._say((*path, "url"), f"the service is missing: {endpoint}?service=crm, as the seat's file names it")
        if entry.index > driver.last_unit and "index" not in named:
            several = f"0 to {driver.last_unit}" if driver.last_unit else "no index: it reads one unit"
            self._say((*path, "index"), f"{driver.id} takes {several}")
        driver, contacts = wire(
            self._driver(driver, places, entry.index),
            {key: contact.settings() for key, contact in entry.contacts.items()},
            interval,
            lambda key, text: self._say((*path, "contacts", *key), text),
        )
        if not driver.gets and not driver.walks:
            inputs = f"in [devices.{id}.contacts] what the inputs mean"
            self._say(
                path, f"nothing to read: say {inputs if driver.channels else 'index or port, as the device counts'}"
            )
        if path not in self._alarms:  # those of a part are shared by all seats
            self._alarms[path] = self._overridden(
                driver.kind, entry.alarms, lambda key, text: self._say((*path, "alarms", *key), text)
            )
        if endpoint is None:
            return None
        fast = entry.fast or min(interval, FAST if driver.kind.power else interval)
        often = entry.alarm_interval or (self._file.polling.alarm_interval if driver.kind.power else None)
        return Device(
            id, text_of(entry.name), driver, endpoint, entry.area, interval, min(fast, interval), timeout,
            self._alarms[path], contacts, often if often is not None and often < interval else None,
        )  # fmt: skip


def _asked(endpoint: Endpoint | None) -> dict[str, str]:
    """Return what the URL of a seat names: the service that is seen from there, or nothing."""
    return {} if endpoint is None or endpoint.scheme != "seat" else dict(endpoint.options)
