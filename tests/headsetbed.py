"""Headsets that are not there: their descriptors, what they answer, a sysfs tree and a hidapi over it.

Vendor ids are the makers' own, and so are the product ids of the Link 390, the BT600 and the PRO X 2; the others are
made up. `headsetdesk.py` plugs the same ones into a mocked machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgeagent.headsets import ADDRESSES, Headsets, HeadsetSettings


def collection(page: int, usage: int, report: int, *, output: int | None = None, kept: int | None = None) -> bytes:
    """Describe one application collection: an input report, and an output report on a page of its own."""
    described = bytes((0x06, *page.to_bytes(2, "little"), 0x09, usage, 0xA1, 0x01, 0x85, report))
    fields = bytes((0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, 0x3F))
    described += fields + bytes((0x09, 0x01, 0x81, 0x02))
    if output is not None:
        described += bytes((0x06, *(kept or page).to_bytes(2, "little"), 0x85, output, 0x09, 0x01, 0x91, 0x02))
    return described + b"\xc0"


TELEPHONY: Final = collection(0x0B, 0x05, 0x02, output=0x03, kept=0x08)
"""A headset's hooks, with its lamps as output report 3: what nobody but the softphone may write."""
CONSUMER: Final = collection(0x0C, 0x01, 0x01)


@dataclass(frozen=True)
class Model:
    vendor: int
    product: int
    maker: str
    name: str
    serial: str
    descriptor: bytes
    audio: bool = True
    release: int = 0x0120
    kernel: str = "hid"


LINK_390 = Model(
    0x0B0E, 0x2E57, "GN Audio A/S", "Jabra Link 390", "50C275A1B2C3",
    TELEPHONY + CONSUMER + collection(0xFF00, 0x05, 0x05, output=0x05),
)  # fmt: skip
EVOLVE2 = replace(LINK_390, product=0x0E40, name="Jabra Evolve2 40", serial="00A1B2C3D4E5")
BT600 = Model(
    0x047F, 0x02EE, "Plantronics", "Plantronics BT600", "8A1B2C3D4E5F",
    TELEPHONY + CONSUMER + collection(0xFFA2, 0x03, 0x07, output=0x07)
    + collection(0xFFA2, 0x02, 0x06, output=0x06),
)  # fmt: skip
PRO_X2 = Model(
    0x046D, 0x0AF7, "Logitech", "PRO X 2 LIGHTSPEED", "0000000000000000",
    CONSUMER + collection(0xFFA0, 0x01, 0x51, output=0x51),
)  # fmt: skip
ADAPT = Model(0x1395, 0x0360, "EPOS", "EPOS ADAPT 360", "A003190000123", TELEPHONY + CONSUMER)
KEYBOARD = Model(0x046D, 0xC31C, "Logitech", "USB Keyboard", "", CONSUMER, audio=False)
HEADSETS = (LINK_390, EVOLVE2, BT600, PRO_X2, ADAPT)


@dataclass(frozen=True)
class Plug:
    """A model in a USB port, as the kernel numbers it."""

    model: Model
    port: str
    number: int

    @property
    def usb(self) -> str:
        return f"/devices/pci0000:00/0000:00:14.0/usb1/{self.port}"

    @property
    def face(self) -> str:
        return f"{self.usb}/{self.port}:1.3"

    @property
    def hid(self) -> str:
        return f"{self.face}/0003:{self.model.vendor:04X}:{self.model.product:04X}.{self.number + 1:04X}"

    @property
    def hidraw(self) -> str:
        return f"{self.hid}/hidraw/hidraw{self.number}"

    def rows(self) -> list[dict[str, object]]:
        """Give its collections as hidapi does on Linux."""
        pages = [(0x0B, 5), (0x0C, 1), (0xFF00, 5), (0xFFA2, 3), (0xFFA0, 1)]
        return [
            {
                "path": f"/dev/hidraw{self.number}".encode(), "vendor_id": self.model.vendor,
                "product_id": self.model.product, "serial_number": self.model.serial,
                "release_number": self.model.release, "manufacturer_string": self.model.maker,
                "product_string": self.model.name, "usage_page": page, "usage": usage, "interface_number": 3,
            }
            for page, usage in pages
            if bytes((0x06, *page.to_bytes(2, "little"), 0x09, usage, 0xA1)) in self.model.descriptor
        ]  # fmt: skip


class Shelf:
    """The same devices as a sysfs tree in a folder, with a hidapi that lists them: for tests that need no umockdev."""

    def __init__(self, folder: Path) -> None:
        self.sys, self.proc = folder / "sys", folder / "proc"
        self.sys.mkdir()
        self.proc.mkdir()
        self.plugs: dict[str, Plug] = {}
        self.asked: list[int] = []
        """What enumerate was called with."""
        self.opened: list[bytes] = []
        self.fault: OSError | None = None
        self.talk: Callable[[bytes], list[bytes]] = lambda frame: []
        """What a device answers to a report."""
        self.written: list[bytes] = []
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def plug(self, model: Model, port: str = "1-2", number: int | None = None) -> Plug:
        number = len(list((self.sys / "class/hidraw").glob("*"))) if number is None else number
        plug = self.plugs[port] = Plug(model, port, number)
        _write(self.sys, f"{plug.usb}/idVendor", f"{model.vendor:04x}")
        _write(self.sys, f"{plug.face}/bInterfaceClass", "03")
        if model.audio:
            _write(self.sys, f"{plug.usb}/{port}:1.0/bInterfaceClass", "01")
        (self.sys / plug.hidraw[1:]).mkdir(parents=True)
        self._link("hidraw", plug.hidraw)
        return plug

    def unplug(self, port: str = "1-2") -> None:
        plug = self.plugs.pop(port)
        shutil.rmtree(self.sys / plug.usb[1:])
        for link in self.sys.glob("class/*/*"):
            if not link.exists():
                link.unlink()

    def battery(self, name: str, parent: str = "/devices/virtual", **attributes: str) -> None:
        for key, value in attributes.items():
            _write(self.sys, f"{parent}/power_supply/{name}/{key}", value)
        self._link("power_supply", f"{parent}/power_supply/{name}")

    def _link(self, kind: str, path: str) -> None:
        link = self.sys / "class" / kind / path.rsplit("/", 1)[1]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(self.sys / path[1:])

    def set(self, path: str, value: str) -> None:
        _write(self.sys, path, value)

    def enumerate(self, vendor: int, product: int) -> list[dict[str, object]]:
        self.asked.append(vendor)
        if self.fault is not None:
            raise self.fault
        return [row for plug in self.plugs.values() for row in plug.rows() if vendor in {0, row["vendor_id"]}]

    def device(self) -> Open:
        return Open(self)


class Open:
    """One device of a shelf, open."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._model: Model | None = None
        self._waiting: list[bytes] = []
        self.closed = False

    def open_path(self, path: bytes) -> None:
        self._shelf.opened.append(path)
        plug = next((plug for plug in self._shelf.plugs.values() if path == f"/dev/hidraw{plug.number}".encode()), None)
        if plug is None or self._shelf.fault is not None:
            raise OSError("open failed")
        self._model = plug.model

    def write(self, data: bytes) -> int:
        self._shelf.written.append(data)
        self._waiting += self._shelf.talk(data)
        return len(data)

    def read(self, size: int, timeout_ms: int) -> list[int]:
        assert timeout_ms > 0, "hidapi would wait for ever"
        return list(self._waiting.pop(0)[:size]) if self._waiting else []

    def get_report_descriptor(self) -> list[int]:
        assert self._model is not None
        return list(self._model.descriptor)

    def close(self) -> None:
        self.closed = True


def _write(sys: Path, path: str, text: str) -> None:
    file = sys / path[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", encoding="utf-8")


def jabra(
    behind: bytes | int | None = None, itself: bytes | int | None = None, name: bytes = b"", serial: bytes = b""
) -> Callable[[bytes], list[bytes]]:
    """Answer as a Jabra device: battery payload or refusal of the headset behind a dongle and of one on the cable."""

    def talk(frame: bytes) -> list[bytes]:
        to, sequence, what = frame[1], frame[3], (frame[5], frame[6])
        answer = {
            (4, 0x12, 0x02): behind, (8, 0x12, 0x02): itself,
            (4, 0x02, 0x00): bytes((len(name), *name)), (4, 0x02, 0x01): bytes((len(serial), *serial)),
        }.get((to, *what))  # fmt: skip
        event = bytes((5, 0, to, sequence, 0x08, 0x12, 0x02, 1, 1)).ljust(64, b"\0")
        if answer is None:
            return [event]
        said = bytes((0xFE, answer)) if isinstance(answer, int) else bytes((*what, *answer))
        reply = bytes((5, 0, to, sequence, 3 << 6 | 4 + len(said), *said)).ljust(64, b"\0")
        stale = bytes((5, 0, to, sequence - 1 & 0xFF, 3 << 6 | 8, *what, 0, 1)).ljust(64, b"\0")
        return [event, stale, reply]

    return talk


def poly(battery: bytes | None = None, *, dongle: bool = True) -> Callable[[bytes], list[bytes]]:
    """Answer as a Poly dongle whose headset is there with this battery value, or off."""
    piece = bytes((7, 2, 1, 0x10, 7, 0, 0, 0, 8, 1, 2)).ljust(64, b"\0")

    def talk(frame: bytes) -> list[bytes]:
        head = bytes((7, 1, 1, 0x10))
        if frame[0] != 7:
            return []
        to, operation, what = frame[5], frame[8], frame[9:11]
        if operation == 1 and (battery is not None if to else dongle):
            return [piece, (head + bytes((6, 2 if to else 0, 0, 0, 8)) + what).ljust(64, b"\0"), piece]
        if operation == 2 and battery is not None:
            return [piece, (head + bytes((12, 2, 0, 0, 3)) + what + battery).ljust(64, b"\0")]
        return []

    return talk


def _escaped(data: bytes) -> str:
    return "".join(f"^{chr(b + 64)}" if b <= 32 else "^`" if b == 0x5E else chr(b) for b in data)


def cards(proc: Path, plugs: Iterable[Plug], *, capture: bool = True) -> None:
    """Write what ALSA tells of a sound card each."""
    listed = []
    (proc / "asound").mkdir(parents=True, exist_ok=True)
    for number, plug in enumerate(plugs):
        (proc / f"asound/card{number}").mkdir(exist_ok=True)
        (proc / f"asound/card{number}/usbid").write_text(f"{plug.model.vendor:04x}:{plug.model.product:04x}\n")
        listed.append(f"{number:02d}-00: USB Audio : USB Audio : playback 1" + (" : capture 1" if capture else ""))
    (proc / "asound/pcm").write_text("".join(f"{line}\n" for line in listed))


def watch(shelf: Shelf, settings: HeadsetSettings = HeadsetSettings(), *, linux: bool = True) -> Headsets:  # noqa: B008
    return Headsets(settings, shelf.sys, shelf.proc, api=shelf, serial=lambda: 0, clock=shelf.clock, linux=linux)


def look(headsets: Headsets, shelf: Shelf, after: float = 15.0) -> Mapping[str, int | str]:
    """Sample once more, with the query of the last time over."""
    headsets.close()
    shelf.now += after
    answers = headsets.sample()
    assert set(answers) <= set(ADDRESSES)
    return answers
