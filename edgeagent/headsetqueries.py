"""What a maker's own protocol tells of the headset behind a dongle: is it there, its battery, its name.

These are the only words ever sent to a headset, and only where the site asked for them. What is sent asks and sets
nothing, except that Poly wants a session opened. No report goes out that the device's own descriptor does not keep for
its maker: lamps and hooks (LED and telephony pages) belong to the softphone.

A dialogue lasts half a second at most, whatever the device does. Parsers take any octets and never raise.
Facts from what others found out: Jabra GNP (HeadsetControl pull request 576), Poly (pull request 536).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from edgeagent.usbdevices import Device

LONGEST: Final = 0.5
"""s that a whole dialogue may last."""
_WAIT: Final = 0.2
"""s that one answer may take."""
_SKIPPED: Final = 64
"""Frames that are no answer which are read while waiting for one."""
SIZE: Final = 64
VENDOR: Final = 0xFF00
"""The first of the usage pages that makers keep for themselves (HID Usage Tables 1.5 §3)."""


class Link(StrEnum):
    """How the headset itself hangs on what is plugged in."""

    WIRED = "wired"
    CONNECTED = "connected"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Told:
    """What a device told. None where it told nothing.

    `sure` is False for an offline that was concluded from silence: one lost answer looks the same.
    """

    link: Link | None = None
    charge: int | None = None
    charging: bool | None = None
    name: str = ""
    serial: str = ""
    sure: bool = True


NOTHING: Final = Told()


@dataclass(frozen=True, slots=True)
class Query:
    """How one maker's devices are asked: in which collection, with which reports, by which dialogue."""

    page: int
    usages: frozenset[int]
    reports: frozenset[int]
    ask: Callable[[Line], Told]


class Refused(Exception):
    """What the device will not or may not be asked. No error: it is an outcome."""


class Line:
    """One dialogue with an open device, over before its deadline. Sends the query's own reports only."""

    def __init__(self, device: Device, reports: frozenset[int], clock: Callable[[], float]) -> None:
        self._device = device
        self._reports = reports
        self._clock = clock
        self._deadline = clock() + LONGEST

    def send(self, frame: bytes) -> None:
        """Send one report.

        Raises:
            Refused: it is not among those that may be sent, or the device did not take it.
        """
        if frame[0] not in self._reports or self._clock() >= self._deadline or self._device.write(frame) < 0:
            raise Refused

    def answer(self, fits: Callable[[bytes], bool]) -> bytes | None:
        """Return the first frame that fits and skip those that do not, None when it does not come in time."""
        until = min(self._clock() + _WAIT, self._deadline)
        for _ in range(_SKIPPED):
            left = int((until - self._clock()) * 1000)
            if left < 1:  # hidapi takes a time-out of 0 for "wait for ever"
                return None
            frame = bytes(self._device.read(SIZE, left))
            if not frame:
                return None
            if fits(frame):
                return frame
        return None


def query(device: Device, query: Query, clock: Callable[[], float] = time.monotonic) -> Told:
    """Ask an open device; it says nothing where it does not speak the protocol, is gone or misbehaves."""
    try:
        if not query.reports <= private_reports(bytes(device.get_report_descriptor())):
            return NOTHING
        return query.ask(Line(device, query.reports, clock))
    except (OSError, ValueError, Refused):
        return NOTHING


def private_reports(descriptor: bytes) -> frozenset[int]:
    """Return the ids of the output reports that hold nothing but the maker's own usages (HID 1.11 §6.2.2)."""
    pages: dict[int, set[int]] = {}
    page = report = position = 0
    usages: set[int] = set()
    stack: list[tuple[int, int]] = []
    while position < len(descriptor):
        prefix = descriptor[position]
        size = (0, 1, 2, 4)[prefix & 3]
        if prefix == 0xFE:  # a long item, which carries nothing known
            position += 3 + (descriptor[position + 1] if position + 1 < len(descriptor) else 0)
            continue
        data = int.from_bytes(descriptor[position + 1 : position + 1 + size], "little")
        position += 1 + size
        tag = prefix & 0xFC
        if tag == 0x04:
            page = data
        elif tag == 0x84:
            report = data
        elif tag == 0xA4:
            stack.append((page, report))
        elif tag == 0xB4 and stack:
            page, report = stack.pop()
        elif tag in (0x08, 0x18, 0x28):  # a usage of four octets names its page itself (§6.2.2.8)
            usages.add(data >> 16 if size == 4 else page)
        elif prefix & 0x0C == 0:  # a main item: local items end here
            if tag == 0x90:
                pages.setdefault(report, set()).update(usages or {page})
            usages = set()
    return frozenset(report for report, found in pages.items() if all(page >= VENDOR for page in found))


# Jabra GNP: 05 <to> <from> <sequence> <type << 6 | length from <to> on> <command> <sub> <payload>, in 64 octets.
_GNP: Final = 0x05
_GET: Final = 0x01
_RESPONSE: Final = 0x03
_HEADER: Final = 6
_BEHIND: Final = 0x04
"""Address of the headset behind a dongle."""
_ITSELF: Final = 0x08
"""Address of a headset on the cable."""
_NACK: Final = 0xFE
_OFFLINE: Final = 0xF3
_NOBODY: Final = frozenset({0xF4, 0xF5})
"""No child, no device at that address."""
_UNSUPPORTED: Final = frozenset({0xF6, 0xFF})
_NAME: Final = (0x02, 0x00)
_SERIAL: Final = (0x02, 0x01)
_BATTERY: Final = (0x12, 0x02)


def gnp_get(to: int, sequence: int, what: tuple[int, int]) -> bytes:
    """Return the frame that reads one thing of the device at an address."""
    return bytes((_GNP, to, 0, sequence, _GET << 6 | _HEADER, *what)).ljust(SIZE, b"\0")


def gnp_answers(frame: bytes, sequence: int) -> bool:
    """Tell whether a frame is the response of this number: events of the headset come in between."""
    return len(frame) > _HEADER and frame[0] == _GNP and frame[4] >> 6 == _RESPONSE and frame[3] == sequence


def gnp_refusal(frame: bytes) -> int | None:
    """Return why a response refuses, None when it does not."""
    return frame[6] if frame[5] == _NACK else None


def gnp_payload(frame: bytes) -> bytes:
    """Return what a response holds, at most as long as it says."""
    return frame[7 : 1 + (frame[4] & 0x3F)]


def gnp_battery(payload: bytes) -> tuple[int, bool] | None:
    """Return charge in % and whether it charges."""
    return (payload[1], bool(payload[0] & 1)) if len(payload) >= 2 and payload[1] <= 100 else None


def gnp_text(payload: bytes) -> str:
    """Return a text, which may have its length before it."""
    if payload and payload[0] == len(payload) - 1:
        payload = payload[1:]
    return payload.split(b"\0", 1)[0].decode("utf-8", "replace")


def ask_jabra(line: Line) -> Told:
    """Ask a Jabra dongle for the headset behind it, or the headset that it is."""
    told, refusal = _jabra(line, _BEHIND, 0)
    if told is not None:
        return replace(
            told, link=Link.CONNECTED, name=_jabra_text(line, 1, _NAME), serial=_jabra_text(line, 2, _SERIAL)
        )
    if refusal == _OFFLINE:
        return Told(Link.OFFLINE)
    told, other = _jabra(line, _ITSELF, 3)
    if told is not None:
        return replace(told, link=Link.WIRED)
    gone = refusal in _NOBODY and other in {None, _OFFLINE, *_NOBODY}
    return Told(Link.OFFLINE) if gone else NOTHING


def _jabra(line: Line, to: int, sequence: int) -> tuple[Told | None, int | None]:
    """Return what a headset at an address told of its battery, or why there is none or no answer."""
    line.send(gnp_get(to, sequence, _BATTERY))
    frame = line.answer(lambda frame: gnp_answers(frame, sequence))
    if frame is None:
        return None, None
    refusal = gnp_refusal(frame)
    if refusal is not None:  # what it does not support it refuses itself: it is there, without a battery
        return (NOTHING, None) if refusal in _UNSUPPORTED else (None, refusal)
    battery = gnp_battery(gnp_payload(frame))
    return (NOTHING if battery is None else Told(charge=battery[0], charging=battery[1])), None


def _jabra_text(line: Line, sequence: int, what: tuple[int, int]) -> str:
    line.send(gnp_get(_BEHIND, sequence, what))
    frame = line.answer(lambda frame: gnp_answers(frame, sequence))
    return "" if frame is None or gnp_refusal(frame) is not None else gnp_text(gnp_payload(frame))


# Poly BT600: 07 01 01 10 <length> <address> 00 00 <operation> <group> <item> <value>, in 64 octets. Other headers are
# pieces of a catalogue that follows each hello.
_POLY: Final = bytes((0x07, 0x01, 0x01, 0x10))
_WAKE: Final = bytes((0x06, 0x01))
_DONGLE: Final = 0x00
_TO_HEADSET: Final = 0x20
_FROM_HEADSET: Final = 0x02
_HELLO: Final = 0x01
_HELLO_TAKEN: Final = 0x08
_READ: Final = 0x02
_READ_ANSWER: Final = 0x03
_SESSION: Final = (0x01, 0x02)
_CHARGE: Final = (0x0A, 0x1A)


def poly_frame(to: int, operation: int, what: tuple[int, int]) -> bytes:
    """Return the frame that opens a session or reads one thing."""
    length = 7 if operation == _HELLO else 6
    return (_POLY + bytes((length, to, 0, 0, operation, *what))).ljust(SIZE, b"\0")


def poly_answers(frame: bytes, sender: int, operation: int, what: tuple[int, int]) -> bool:
    """Tell whether a frame is this answer of this sender."""
    return len(frame) > 10 and frame[:4] == _POLY and frame[5] == sender and tuple(frame[8:11]) == (operation, *what)


def poly_battery(frame: bytes) -> tuple[int, bool] | None:
    """Return charge in % and whether it charges: a level of a number of levels, the empty one among them."""
    if len(frame) < 14:
        return None
    level, levels, charging = frame[11:14]
    return (level * 100 // (levels - 1), charging != 0) if levels >= 2 and level < levels else None


def ask_poly(line: Line) -> Told:
    """Ask a Poly dongle for its headset. The dongle answers for itself; a headset that is off says nothing."""
    line.send(_WAKE)
    line.send(poly_frame(_DONGLE, _HELLO, _SESSION))
    if line.answer(lambda frame: poly_answers(frame, _DONGLE, _HELLO_TAKEN, _SESSION)) is None:
        return NOTHING  # it is no such dongle, and so its silence means nothing
    line.send(poly_frame(_TO_HEADSET, _HELLO, _SESSION))
    if line.answer(lambda frame: poly_answers(frame, _FROM_HEADSET, _HELLO_TAKEN, _SESSION)) is None:
        return Told(Link.OFFLINE, sure=False)
    line.send(poly_frame(_TO_HEADSET, _READ, _CHARGE))
    frame = line.answer(lambda frame: poly_answers(frame, _FROM_HEADSET, _READ_ANSWER, _CHARGE))
    battery = None if frame is None else poly_battery(frame)
    return Told(Link.CONNECTED) if battery is None else Told(Link.CONNECTED, *battery)


QUERIES: Final[Mapping[int, Query]] = {
    0x0B0E: Query(0xFF00, frozenset({1, 5}), frozenset({_GNP}), ask_jabra),
    0x047F: Query(0xFFA2, frozenset({3}), frozenset({_POLY[0], _WAKE[0]}), ask_poly),
}
"""Whom this can ask, by vendor id (facts above); of all others only what the system lists is known."""
