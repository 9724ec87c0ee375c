"""USB devices as the operating system lists them: HID collections, sound cards, batteries of devices, serial ports.

Reads lists and attributes only. It opens no device and no microphone: what talks to a headset is `headsetqueries`.
Linux tells all of it; elsewhere there are HID collections and serial ports.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

SYS: Final = Path("/sys")
PROC: Final = Path("/proc")
LINUX: Final = sys.platform == "linux"

Row: TypeAlias = Mapping[str, object]
"""One top-level collection as hidapi gives it."""

_WATCHED: Final = (("hidraw", ""), ("power_supply", ""), ("tty", "ttyACM"), ("tty", "ttyUSB"))
"""Classes of devices whose coming and going is looked for, and how the names that count begin."""
_LONGEST: Final = 64
_PRESENT: Final = 0x101
"""CM_GETIDLIST_FILTER_PRESENT and _ENUMERATOR (cfgmgr32.h)."""
_VENDOR: Final = re.compile(r"VID_([0-9A-F]{4})", re.IGNORECASE | re.ASCII)
_AUDIO: Final = "01"
"""bInterfaceClass of an audio interface (USB Audio Device Class 1.0, A.1)."""


@dataclass(frozen=True, slots=True)
class Collection:
    """One HID top-level collection. `place` is where it is plugged in, another one each time that it is plugged in."""

    vendor: int
    product: int
    serial: str
    name: str
    release: int
    page: int
    usage: int
    path: bytes
    place: str


@dataclass(frozen=True, slots=True)
class Battery:
    """What the kernel knows of the battery in a device: charge in %, and whether a radio link to it stands."""

    name: str
    place: str
    charge: int | None
    charging: bool | None
    linked: bool | None


@dataclass(frozen=True, slots=True)
class Streams:
    """Whether sound cards can record and play."""

    capture: bool
    render: bool


class Device(Protocol):
    """An HID device of hidapi."""

    def open_path(self, path: bytes, /) -> None:
        """Open it.

        Raises:
            OSError: it is gone, or may not be opened.
        """

    def write(self, data: bytes, /) -> int:
        """Send one output report, its id first; return -1 when that failed."""

    def read(self, size: int, timeout_ms: int, /) -> list[int]:
        """Return the next input report, empty when none came in time. A time-out of 0 ms is none.

        Raises:
            OSError: the device is gone.
        """

    def get_report_descriptor(self) -> list[int]:
        """Return the HID report descriptor.

        Raises:
            OSError: it cannot be had.
        """

    def close(self) -> None:
        """Let go of it."""


class Hidapi(Protocol):
    """What is used of hidapi's module."""

    def enumerate(self, vendor: int, product: int, /) -> Iterable[Row]:
        """List all collections, or those of a vendor; 0 stands for any.

        Raises:
            OSError: the system gave no list.
        """

    def device(self) -> Device:
        """Make a device that is not open yet."""


def hidapi() -> Hidapi:
    """Return hidapi: on Linux the one that goes through the kernel's own HID, since the other detaches the driver.

    Raises:
        ImportError: hidapi is not installed.
    """
    if LINUX:
        import hidraw as module
    else:
        import hid as module
    api: Hidapi = module
    return api


def collections(api: Hidapi, vendors: Iterable[int], sys: Path = SYS, *, linux: bool = LINUX) -> list[Collection]:
    """List the HID collections of these makers.

    On Linux one look at sysfs lists all of them. Elsewhere each maker is asked for by its id: without one, Windows
    fetches strings from every keyboard and mouse on the bus, which can be heard (hidapi issue 225).

    Raises:
        OSError: the system gave no list.
    """
    wanted = frozenset(vendors)
    rows = (row for vendor in ((0,) if linux else sorted(wanted)) for row in api.enumerate(vendor, 0))
    return [_collection(row, sys if linux else None) for row in rows if row.get("vendor_id") in wanted]


def _collection(row: Row, sys: Path | None) -> Collection:
    path = row.get("path")
    path = path if isinstance(path, bytes) else str(path or "").encode()
    place = os.fsdecode(path)
    if sys is not None:
        place = _target(sys / "class/hidraw" / Path(place).name) or place
    return Collection(
        vendor=_number(row, "vendor_id"),
        product=_number(row, "product_id"),
        serial=clean(row.get("serial_number")),
        name=clean(row.get("product_string")),
        release=_number(row, "release_number"),
        page=_number(row, "usage_page"),
        usage=_number(row, "usage"),
        path=path,
        place=place,
    )


def _number(row: Row, key: str) -> int:
    value = row.get(key)
    return value if isinstance(value, int) else 0


def clean(text: object) -> str:
    """Make a device's own text fit to be shown: what is no text is none, control characters go, the rest is cut."""
    if not isinstance(text, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST]


def marks(sys: Path = SYS) -> frozenset[str]:
    """Return what changes whenever a device is plugged in or out, for the price of a few names.

    The kernel numbers each HID device anew (…:2E40.0007), so that one that was out between two looks is seen too.
    """
    return frozenset(
        f"{name} {_target(sys / 'class' / kind / name)}"
        for kind, prefix in _WATCHED
        for name in _names(sys / "class" / kind)
        if name.startswith(prefix)
    )


def present() -> frozenset[str] | None:
    r"""Return the ids of all USB devices as Windows lists them (USB\VID_0B0E&PID_2E57\…) without opening any.

    None where this is no Windows, or it does not say. Written after the documentation of CM_Get_Device_ID_ListW.
    """
    if sys.platform != "win32":
        return None
    manager, size = ctypes.WinDLL("cfgmgr32"), ctypes.c_ulong()
    if manager.CM_Get_Device_ID_List_SizeW(ctypes.byref(size), "USB", _PRESENT):
        return None
    buffer = ctypes.create_unicode_buffer(size.value)
    if manager.CM_Get_Device_ID_ListW("USB", buffer, size, _PRESENT):
        return None
    return frozenset(id for id in "".join(buffer[:]).split("\0") if id)


def vendors(ids: Iterable[str]) -> frozenset[int]:
    """Return whose devices these are."""
    return frozenset(int(match[1], 16) for match in map(_VENDOR.search, ids) if match is not None)


def port(place: str) -> Path | None:
    """Return the folder of the USB device at a place, None where it is no USB device or has gone."""
    if not LINUX or not place.startswith("/"):
        return None
    return next((parent for parent in Path(place).parents if (parent / "idVendor").is_file()), None)


def has_audio(port: Path) -> bool:
    """Tell whether a USB device has an audio interface."""
    return any(_text(face / "bInterfaceClass") == _AUDIO for face in _interfaces(port))


def wireless(port: Path) -> bool | None:
    """Tell whether the device behind a receiver is connected to it (Linux 6.4, `wireless_status` of an interface)."""
    for face in _interfaces(port):
        if (status := _text(face / "wireless_status")) in {"connected", "disconnected"}:
            return status == "connected"
    return None


def _interfaces(port: Path) -> Iterator[Path]:
    return (port / name for name in _names(port) if name.startswith(f"{port.name}:"))


def batteries(sys: Path = SYS) -> list[Battery]:
    """List the batteries of devices that are used with this machine: those of the machine itself are none of them.

    `scope` tells them apart (Documentation/ABI/testing/sysfs-class-power). psutil does not look at it and takes
    any of these for the battery of the machine.
    """
    folder = sys / "class/power_supply"
    return [_battery(folder / name) for name in _names(folder) if _text(folder / name / "scope") == "Device"]


def _battery(folder: Path) -> Battery:
    charge = _text(folder / "capacity")
    status = _text(folder / "status")
    # hid-input always says online; only the HID++ driver means its link by it.
    online = _text(folder / "online") if folder.name.startswith("hidpp") else ""
    return Battery(
        name=folder.name,
        place=_target(folder) or "",
        charge=min(int(charge), 100) if charge.isascii() and charge.isdecimal() and len(charge) < 4 else None,
        charging={"Charging": True, "Discharging": False, "Not charging": False, "Full": False}.get(status),
        linked={"1": True, "0": False}.get(online),
    )


def streams(proc: Path = PROC, device: tuple[int, int] | None = None) -> Streams | None:
    """Tell what the sound card of a USB device, by its ids, can do, or without one all cards together.

    None where the system does not tell (no ALSA). Only what ALSA lists is read, no stream is opened.
    """
    if not (proc / "asound").is_dir():
        return None
    can: set[str] = set()
    for line in _text(proc / "asound/pcm").splitlines():  # 01-00: USB Audio : USB Audio : playback 1 : capture 1
        card = line.split("-", 1)[0]
        if device is None or (card.isdecimal() and _usb(proc / f"asound/card{int(card)}/usbid") == device):
            can |= {word.split()[0] for word in line.split(" : ")[1:] if word.strip()}
    return Streams("capture" in can, "playback" in can)


def _usb(path: Path) -> tuple[int, int] | None:
    vendor, _, product = _text(path).partition(":")
    try:
        return int(vendor, 16), int(product, 16)
    except ValueError:
        return None


def serial_devices() -> int | None:
    """Count the USB serial devices (bases, busy lights, lifters), none of which is opened; None where that failed."""
    from serial.tools import list_ports

    try:
        return sum(port.vid is not None for port in list_ports.comports())
    except (OSError, TypeError, ValueError):  # pyserial takes the number out of a file that is gone in that moment
        return None


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - a Path for each name would cost more than all the rest
    except OSError:
        return []


def _target(link: Path) -> str | None:
    try:
        return str(link.resolve(strict=True))
    except (OSError, RuntimeError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
