"""What is plugged into a seat's workstation: HID descriptors and reports, and what the kernel lists of devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from edgeagent import usbdevices
from edgeagent.headsetqueries import LONGEST, QUERIES, private_reports, query
from edgeagent.headsets import Headsets, HeadsetSettings
from tests import headsetbed
from tests.fuzz import targets
from tests.fuzz.pieces import framed, pieces
from tests.fuzz.shared import folder

# Headsets: a descriptor, then reports.


class Dongle:
    """A device that answers with the next pieces of a script, on a clock that goes on."""

    def __init__(self, descriptor: bytes, script: Iterator[tuple[bool, bytes]]) -> None:
        self._descriptor, self._script, self.now = descriptor, script, 0.0
        self._waiting: list[bytes] = []
        self.written: list[bytes] = []

    def clock(self) -> float:
        self.now += 0.001
        return self.now

    def open_path(self, path: bytes) -> None:
        pass

    def close(self) -> None:
        pass

    def write(self, data: bytes) -> int:
        self.written.append(data)
        for last, piece in self._script:
            self._waiting.append(piece[:64])
            if last:
                break
        return len(data)

    def read(self, size: int, timeout_ms: int) -> list[int]:
        assert timeout_ms > 0
        if self._waiting:
            return list(self._waiting.pop(0))
        self.now += timeout_ms / 1000
        return []

    def get_report_descriptor(self) -> list[int]:
        return list(self._descriptor)


MODELS: Final = (headsetbed.LINK_390, headsetbed.BT600)


def build_headset() -> targets.Run:
    def run(data: bytes) -> None:
        model = MODELS[data[0] & 1] if data else MODELS[0]
        own = not data or data[0] & 2
        script = pieces(data[1:])
        descriptor = model.descriptor if own else next(script, (False, b""))[1]
        wanted = QUERIES[model.vendor]
        dongle = Dongle(descriptor, script)
        answer = query(dongle, wanted, dongle.clock)
        assert dongle.now <= LONGEST + 0.2
        assert {frame[0] for frame in dongle.written} <= wanted.reports & private_reports(descriptor)
        assert answer.charge is None or 0 <= answer.charge <= 100
        assert len(usbdevices.clean(answer.name)) <= 64
        assert usbdevices.clean(answer.serial).isprintable()

    return run


def seeds_headset() -> list[bytes]:
    jabra = headsetbed.jabra(b"\x00\x64", name=b"Evolve2 65", serial=b"00A1B2C3")
    wired, poly = headsetbed.jabra(0xF5, b"\0\x30"), headsetbed.poly(b"\x07\x0b\0\2\xee\1")
    found = []
    for number, (model, talk) in enumerate(((MODELS[0], jabra), (MODELS[0], wired), (MODELS[1], poly))):
        dongle = headsetbed_of(model.descriptor, talk)
        query(dongle, QUERIES[model.vendor], dongle.clock)
        said = b"".join(framed(*frames[:-1]) + framed(frames[-1], honest=True) for frames in dongle.heard if frames)
        found += [bytes([number // 2 | 2]) + said, bytes([number // 2]) + framed(model.descriptor[-127:]) + said]
    return found


class headsetbed_of(Dongle):  # noqa: N801 - reads as what it is
    """A device that answers by a function and remembers what it said."""

    def __init__(self, descriptor: bytes, talk: Callable[[bytes], list[bytes]]) -> None:
        super().__init__(descriptor, iter(()))
        self._talk = talk
        self.heard: list[list[bytes]] = []

    def write(self, data: bytes) -> int:
        self._waiting = self._talk(data)
        self.heard.append(list(self._waiting))
        return len(data)


# What the kernel lists: texts of attributes, on a shelf of files, and what a device says of itself.

_KEYS: Final = ("serial", "name", "capacity", "status", "online", "scope", "wireless", "pcm", "usbid")


def build_usb() -> targets.Run:
    shelf = headsetbed.Shelf(folder())
    plug = shelf.plug(headsetbed.PRO_X2)
    cards = shelf.proc / "asound/card1"
    cards.mkdir(parents=True)
    battery = "hidpp_battery_0"
    files = {
        key: shelf.sys / f"{plug.hid[1:]}/power_supply/{battery}/{key}"
        for key in ("capacity", "status", "online", "scope")
    }
    files |= {
        "wireless": shelf.sys / plug.face[1:] / "wireless_status", "pcm": shelf.proc / "asound/pcm",
        "usbid": cards / "usbid",
    }  # fmt: skip
    shelf.battery(battery, plug.hid, scope="Device")
    written: dict[str, bytes] = {}

    def run(data: bytes) -> None:
        told = dict(zip(_KEYS, (*data.split(b"\x1f"), *[b""] * len(_KEYS)), strict=False))
        for key, file in files.items():
            if written.get(key) != told[key]:
                file.write_bytes(told[key])
        written.update(told)
        texts = {key: told[key].decode("utf-8", "replace") for key in ("serial", "name")}
        rows = [
            {**row, "serial_number": texts["serial"], "product_string": texts["name"]}
            for row in plug.rows()
        ]  # fmt: skip
        api = Listed(rows)
        headsets = Headsets(
            HeadsetSettings(), shelf.sys, shelf.proc, api=api, serial=lambda: 0, present=lambda: None,
            clock=shelf.clock, linux=True,
        )  # fmt: skip
        answers = headsets.sample()
        assert answers["headset.count"] == 1
        assert 0 <= int(answers.get("headset.battery", 0)) <= 100
        for address, value in answers.items():
            assert isinstance(value, int) or (value.isprintable() and len(value) <= 64), address
        usbdevices.vendors([texts["serial"], texts["name"]])

    return run


class Listed:
    """A hidapi that lists these rows."""

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self._rows = rows

    def enumerate(self, vendor: int, product: int) -> list[dict[str, object]]:
        return self._rows

    def device(self) -> Dongle:
        return Dongle(b"", iter(()))


def seeds_usb() -> list[bytes]:
    rows = (
        ("00A1B2C3", "PRO X 2", "87", "Discharging", "1", "Device", "connected",
         "01-00: USB Audio : USB Audio : playback 1 : capture 1", "046d:0af7"),
        ("", r"USB\VID_0B0E&PID_2E57", "100", "Charging", "0", "Device", "disconnected", "02-00: x : y", "zz"),
        ("0000", "耳机", "", "Unknown", "", "System", "", "", ""),
    )  # fmt: skip
    return ["\x1f".join(row).encode() for row in rows]


TARGETS: Final = (
    targets.Target("headset", build_headset, seeds_headset, ("edgeagent.headsetqueries",)),
    targets.Target("usb", build_usb, seeds_usb, ("edgeagent.usbdevices", "edgeagent.headsets"), 512),
)
