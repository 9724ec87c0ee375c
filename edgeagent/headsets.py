"""The headsets at this workstation: are they there, how do they hang on it, what is left in their batteries.

Owns what is remembered between two looks. Sees devices through `usbdevices`, and asks them by `headsetqueries` only
where the site wants that. Never opens a microphone, never touches lamps, hooks or mute, and keeps nothing of how a
headset is used.

Addresses (raw values, left out where unknown): headset.present (0, 1), headset.count, headset.vendor, headset.model,
headset.firmware (of what is plugged in), headset.serial (for `seatanswers` to hash), headset.link (a `Link` word),
headset.battery (%), headset.charging (0, 1), headset.returns (times that one came back within the last hour);
audio.capture, audio.render (0, 1: of the headset's own sound card, of any where no headset is plugged in);
serial.count (USB serial devices).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from edgeagent import headsetqueries, usbdevices
from edgeagent.headsetqueries import NOTHING, QUERIES, VENDOR, Link, Query, Told
from edgeagent.usbdevices import LINUX, PROC, SYS, Battery, Collection, Hidapi

ADDRESSES: Final = (
    "headset.present", "headset.count", "headset.vendor", "headset.model", "headset.firmware", "headset.serial",
    "headset.link", "headset.battery", "headset.charging", "headset.returns", "audio.capture", "audio.render",
    "serial.count",
)  # fmt: skip
LOOK: Final = 10.0
"""s between two lists of devices: more often is heard in the headsets and slows HID down (node-hid issue 272)."""
EVERY: Final = 60.0
"""s between two queries at the least: each one is a talk over the radio link."""
_HOUR: Final = 3600.0
_SILENCES: Final = 2
"""Unanswered queries in a row that make a headset offline which says nothing when it is off."""
_KNOWN: Final = 64
"""Headsets that are remembered: more than ever hang on one machine."""
_TELEPHONY: Final = 0x0B
_CONSUMER: Final = 0x0C

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Maker:
    """A maker of headsets; one that makes `other` things too must show that a device is one."""

    name: str
    other: bool = True


MAKERS: Final[Mapping[int, Maker]] = {
    0x0B0E: Maker("Jabra", other=False),
    0x047F: Maker("Poly", other=False),
    0x1395: Maker("EPOS", other=False),
    0x6993: Maker("Yealink"),
    0x095D: Maker("Polycom"),
    0x046D: Maker("Logitech"),
    0x03F0: Maker("HP"),
    0x17EF: Maker("Lenovo"),
    0x045E: Maker("Microsoft"),
    0x0D8C: Maker("C-Media"),
    0x05A7: Maker("Bose"),
    0x19F7: Maker("RODE"),
}
"""By USB vendor id (usb.ids). Products are not listed: one has many ids, and new ones come every year."""
ASKED: Final = tuple(MAKERS[vendor].name.lower() for vendor in QUERIES)
"""Makers whose headsets can be asked, as `HeadsetSettings.ask` spells them."""


@dataclass(frozen=True, slots=True)
class HeadsetSettings:
    """What a site says of the headset at a seat.

    `expected` is False where none hangs on the machine (on the phone, or by a jack): then none is missed. `ask` names
    the makers whose own protocol may be spoken with their headsets (`ASKED`), every `every` s.
    """

    expected: bool = True
    vendors: tuple[int, ...] = tuple(MAKERS)
    ask: tuple[str, ...] = ()
    every: float = 90.0


@dataclass(frozen=True, slots=True)
class Headset:
    """One headset, dongle or base as it is plugged in."""

    key: str
    first: Collection
    places: frozenset[str]
    port: Path | None
    asked: tuple[bytes, Query] | None


@dataclass(slots=True)
class _Past:
    """What is remembered of one."""

    places: frozenset[str]
    here: bool = True
    charge: int | None = None
    told: Told = NOTHING
    silences: int = 0
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class _State:
    link: Link | None
    charge: int | None
    charging: bool | None


@dataclass(slots=True)
class _Query:
    """One query under way, in a thread of its own: a device may hold up who writes to it, but nobody else."""

    key: str
    thread: threading.Thread
    told: list[Told] = field(default_factory=list)


class Headsets:
    """All headsets of this machine. Times are s of `clock`, which never jumps."""

    def __init__(
        self,
        settings: HeadsetSettings,
        sys: Path = SYS,
        proc: Path = PROC,
        *,
        api: Hidapi | None = None,
        serial: Callable[[], int | None] = usbdevices.serial_devices,
        present: Callable[[], frozenset[str] | None] = usbdevices.present,
        clock: Callable[[], float] = time.monotonic,
        linux: bool = LINUX,
    ) -> None:
        self._settings = settings
        self._sys = sys
        self._proc = proc
        self._api = api or _hidapi()
        self._serial = serial
        self._present = present
        self._clock = clock
        self._linux = linux
        self._looked: float | None = None
        self._marks: frozenset[str] | None = None
        self._found: tuple[Headset, ...] | None = None
        self._serials: int | None = None
        self._past: dict[str, _Past] = {}
        self._returned: deque[float] = deque(maxlen=1000)
        self._query: _Query | None = None
        self._opening = threading.Lock()  # hidapi may not list and open at once (hidapi.h on thread safety)

    def sample(self) -> Mapping[str, int | str]:
        """Return what is known by address. Cheap, and never waits for a device."""
        now = self._clock()
        self._look(now)
        self._hear(now)
        answers: dict[str, int | str] = {} if self._serials is None else {"serial.count": self._serials}
        if self._found is None:
            return answers | self._audio(None)
        while self._returned and now - self._returned[0] >= _HOUR:
            self._returned.popleft()
        answers |= {"headset.count": len(self._found), "headset.returns": len(self._returned)}
        if self._found or self._settings.expected:
            answers["headset.present"] = int(bool(self._found))
        batteries = usbdevices.batteries(self._sys) if self._linux and self._found else []
        states = {headset.key: self._state(headset, batteries) for headset in self._found}
        chosen = min(self._found, key=lambda headset: (_rank(states[headset.key]), headset.key), default=None)
        if chosen is not None:
            answers |= self._described(chosen, states[chosen.key])
        return answers | self._audio(chosen)

    def close(self) -> None:
        """Wait for a query that is under way."""
        if self._query is not None:
            self._query.thread.join(2 * headsetqueries.LONGEST)

    def _look(self, now: float) -> None:
        """List the devices anew, where something changed and not too often."""
        if self._looked is not None and now - self._looked < LOOK:
            return
        marks = usbdevices.marks(self._sys) if self._linux else self._present()
        if self._looked is not None and marks is not None and marks == self._marks:
            return
        if not self._opening.acquire(blocking=False):
            return
        self._marks, self._looked = marks, now
        try:
            self._serials = self._serial()
            self._found = None if self._api is None else self._list(self._api)
        except (OSError, RuntimeError) as error:
            _log.warning("the list of USB devices cannot be had: %s", error)
            self._found, self._looked = None, None
            return
        finally:
            self._opening.release()
        self._remember(self._found or (), now)

    def _list(self, api: Hidapi) -> tuple[Headset, ...]:
        """Put the collections of each device together; hidapi gives one row for each of them."""
        devices: dict[str, list[Collection]] = {}
        makers = frozenset(self._settings.vendors)
        if not self._linux and self._marks is not None:
            makers &= usbdevices.vendors(self._marks)
        for row in usbdevices.collections(api, makers, self._sys, linux=self._linux):
            port = usbdevices.port(row.place)
            key = f"{row.vendor:04x}:{row.product:04x}:{row.serial or (port.name if port else '')}"
            devices.setdefault(key, []).append(row)
        found = (_headset(key, rows, self._settings.ask) for key, rows in sorted(devices.items()))
        return tuple(headset for headset in found if headset is not None)

    def _remember(self, found: tuple[Headset, ...], now: float) -> None:
        """Count those that came back: seen before, and gone meanwhile or at another place now."""
        here = {headset.key for headset in found}
        for key, past in self._past.items():
            past.here = past.here and key in here
        for headset in found:
            before = self._past.pop(headset.key, None)
            if before is not None and before.here and before.places == headset.places:
                self._past[headset.key] = before
                continue
            if before is not None:
                self._returned.append(now)
                told = Told(name=before.told.name, serial=before.told.serial)
                self._past[headset.key] = _Past(headset.places, charge=before.charge, told=told)
            else:
                self._past[headset.key] = _Past(headset.places)
        while len(self._past) > _KNOWN:
            del self._past[next(iter(self._past))]

    def _hear(self, now: float) -> None:
        """Take what a query brought, and start the next one that is due: one at a time, for as long as it takes."""
        if self._query is not None:
            if self._query.thread.is_alive():
                return
            past = self._past.get(self._query.key)
            if past is not None:
                self._take(past, self._query.told[0] if self._query.told else NOTHING, now)
            self._query = None
        if self._api is None or sys.platform == "darwin":  # it takes an opened device from everybody else
            return
        waiting = [headset for headset in self._found or () if headset.asked is not None]
        headset = min(waiting, key=lambda headset: self._past[headset.key].due, default=None)
        if headset is None or headset.asked is None or now < self._past[headset.key].due:
            return
        self._past[headset.key].due = now + max(self._settings.every, EVERY)
        self._start(self._api, headset.key, *headset.asked)

    def _take(self, past: _Past, told: Told, now: float) -> None:
        past.silences = 0 if told.sure else past.silences + 1
        if 0 < past.silences < _SILENCES:
            past.due = now  # one answer may be lost: ask again at the next look
            return
        # A headset that says nothing is the one that was there: a fault is its own, not its dongle's.
        past.told = replace(told, name=told.name or past.told.name, serial=told.serial or past.told.serial)
        past.charge = past.charge if told.charge is None else told.charge

    def _start(self, api: Hidapi, key: str, path: bytes, query: Query) -> None:
        told: list[Told] = []

        def ask() -> None:
            device = api.device()
            try:
                with self._opening:
                    device.open_path(path)
            except OSError as error:
                _log.info("headset %s cannot be asked: %s", key, error)
                return
            try:
                told.append(headsetqueries.query(device, query))
            finally:
                device.close()

        self._query = _Query(key, threading.Thread(target=ask, name="headset", daemon=True), told)
        self._query.thread.start()

    def _state(self, headset: Headset, batteries: Iterable[Battery]) -> _State:
        """Put together what the device told, what its receiver tells the kernel, and the kernel's battery."""
        past = self._past[headset.key]
        battery = next((battery for battery in batteries if _belongs(battery, headset)), None)
        link, charge, charging = past.told.link, past.told.charge, past.told.charging
        linked = usbdevices.wireless(headset.port) if headset.port is not None else None
        if battery is not None:
            linked = battery.linked if linked is None else linked
            charge = battery.charge if charge is None else charge
            charging = battery.charging if charging is None else charging
        if link is None and linked is not None:
            link = Link.CONNECTED if linked else Link.OFFLINE
        if link is Link.OFFLINE:  # one that went flat is offline with its last charge
            return _State(link, past.charge if charge is None else charge, None)
        past.charge = past.charge if charge is None else charge
        return _State(link, charge, charging)

    def _described(self, headset: Headset, state: _State) -> dict[str, int | str]:
        told = self._past[headset.key].told
        first = headset.first
        model = usbdevices.clean(told.name) or first.name or f"{first.vendor:04x}:{first.product:04x}"
        answers: dict[str, int | str] = {
            "headset.vendor": MAKERS[first.vendor].name if first.vendor in MAKERS else f"{first.vendor:04x}",
            "headset.model": model,
        }
        if first.release:  # bcdDevice (USB 2.0 §9.6.1): 0x0120 is 1.20
            answers["headset.firmware"] = f"{first.release >> 8:x}.{first.release & 0xFF:02x}"
        serial = usbdevices.clean(told.serial) or first.serial
        if len(set(serial)) > 2:  # 0000000000: some makers number nothing
            answers["headset.serial"] = serial
        if state.link is not None:
            answers["headset.link"] = state.link.value
        if state.charge is not None:
            answers["headset.battery"] = state.charge
        if state.charging is not None:
            answers["headset.charging"] = int(state.charging)
        return answers

    def _audio(self, chosen: Headset | None) -> dict[str, int | str]:
        device = None if chosen is None else (chosen.first.vendor, chosen.first.product)
        streams = usbdevices.streams(self._proc, device) if self._linux else None
        if streams is None:
            return {}
        return {"audio.capture": int(streams.capture), "audio.render": int(streams.render)}


def _headset(key: str, rows: list[Collection], ask: tuple[str, ...]) -> Headset | None:
    """Return the headset that a device is, None where it is something else of that maker."""
    first = min(rows, key=lambda row: (row.page, row.usage, row.place))
    port = usbdevices.port(first.place)
    if not _is_headset(first, {row.page for row in rows}, port):
        return None
    maker = MAKERS.get(first.vendor)
    query = QUERIES.get(first.vendor) if maker is not None and maker.name.lower() in ask else None
    asked = next((row.path for row in rows if query and row.page == query.page and row.usage in query.usages), None)
    return Headset(key, first, frozenset(row.place for row in rows), port, (asked, query) if asked and query else None)


def _is_headset(first: Collection, pages: set[int], port: Path | None) -> bool:
    if _TELEPHONY in pages:
        return True
    maker = MAKERS.get(first.vendor)
    if maker is not None and not maker.other:
        return _CONSUMER in pages or any(page >= VENDOR for page in pages)
    audio = usbdevices.has_audio(port) if port is not None else "headset" in first.name.lower()
    return _CONSUMER in pages and audio  # a keyboard has volume keys too, but no sound


def _belongs(battery: Battery, headset: Headset) -> bool:
    """Tell whether a battery is in this headset: below the same USB device, else by the serial number in its name."""
    if headset.port is not None and battery.place.startswith(f"{headset.port}/"):
        return True
    return bool(headset.first.serial) and battery.name.startswith(f"hid-{headset.first.serial}")


def _rank(state: _State) -> int:
    """Put the headset that works first."""
    return {None: 1, Link.OFFLINE: 2}.get(state.link, 0)


def _hidapi() -> Hidapi | None:
    try:
        return usbdevices.hidapi()
    except ImportError:
        _log.warning(
            "headsets are not seen: hidapi is not installed (pip install '.[seat]' in the folder of the source)"
        )
        return None
