"""What may be told of a seat: the closed list of addresses, and the shape in which their answers leave it. Pure.

The list is the promise to the people at the seats: figures of equipment, no names, no programs, no doings. What is not
on it is left out of a report, whoever measured it; a serial number leaves the seat as a salted hash only.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from typing import Final

from edgeagent.readings import Answers, Missing, Raw

LARGEST: Final = 4096
"""Bytes of a report at most."""
LONGEST: Final = 48
"""Characters of a text in a report at most."""
SERVICES: Final = 8
"""Services at most that a seat may ask by itself."""

HOST: Final = (
    "online", "cpu.percent", "memory.percent", "memory.commit", "disk.percent", "nic.up", "net.errors", "clock.synced",
    "boot.time", "battery.percent", "battery.charging", "softphone", "audio.capture", "audio.render",
)  # fmt: skip
"""What is read of the workstation itself."""
NUMBERS: Final = frozenset(HOST) | {
    "headset.present", "headset.count", "headset.battery", "headset.charging", "headset.returns", "serial.count",
    "phone.registered", "phone.reachable", "phone.powered",
}  # fmt: skip
TEXTS: Final = frozenset({"headset.link", "headset.vendor", "headset.model", "headset.firmware", "headset.serial"})
PROBED: Final = ("answer", "latency")
"""What is told of a service: service.<name>.answer, a word, and service.<name>.latency, ms."""
_HASHED: Final = "headset.serial"
HASH: Final = 12
_WORD: Final = 16


def told(answers: Answers, salt: str) -> dict[str, float | str]:
    """Return what of the answers may leave the seat, in the shape in which it does."""
    plain = {address: _plain(address, raw, salt) for address, raw in answers.items()}
    return {address: value for address, value in plain.items() if value is not None}


def known(address: str) -> bool:
    """Tell whether an address is one that a seat may report."""
    return address in NUMBERS or address in TEXTS or _service(address) is not None


def masked(text: str, salt: str) -> str:
    """Return a short hash by which the same thing is known again, and its number is not."""
    return hmac.digest(salt.encode(), text.encode(), "sha256").hex()[:HASH]


def probed(name: str, answers: Mapping[str, Raw]) -> dict[str, Raw]:
    """Put what a service answered under the seat's addresses for it."""
    return {f"service.{name}.{each}": answers[each] for each in PROBED if each in answers}


def _service(address: str) -> str | None:
    """Return which figure of a service an address is, None when it is none."""
    first, _, rest = address.partition(".")
    name, _, figure = rest.rpartition(".")
    return figure if first == "service" and name and "." not in name and figure in PROBED else None


def _plain(address: str, raw: Raw, salt: str) -> float | str | None:
    if isinstance(raw, Missing):
        return None
    figure = _service(address)
    if address in NUMBERS or figure == "latency":
        number = isinstance(raw, (int, float)) and math.isfinite(raw) and abs(raw) < 1e15
        return round(float(raw), 1) if number and isinstance(raw, float) else int(raw) if number else None
    if address not in TEXTS and figure is None:
        return None
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if not isinstance(text, str):
        return None
    text = "".join(letter for letter in text if letter.isprintable()).strip()
    if address == _HASHED and text:
        return masked(text, salt)
    return text[: LONGEST if figure is None else _WORD] or None
