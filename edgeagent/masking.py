"""What nobody else should see in a record of a device: where it stands, whose it is, how to get in. Pure.

Masks keep the length and the shape of what they hide (digits become 0, letters x or X), so that a masked record
decodes as the device did, and the same thing is hidden the same way everywhere. Addresses become those kept for
documentation (RFC 5737, RFC 7042 §2.1.1). What a driver reads as a number, a word or an alarm stays as it is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from edgeagent.catalog import Driver
from edgeagent.fit import SYSTEM
from edgeagent.items import Item
from edgeagent.readings import Raw
from edgeagent.values import text_of

PRIVATE: Final = ("1.3.6.1.2.1.1.4.", "1.3.6.1.2.1.1.5.", "1.3.6.1.2.1.1.6.")
"""sysContact, sysName, sysLocation (RFC 3418)."""
MACS: Final = "1.3.6.1.2.1.2.2.1.6"
"""ifPhysAddress (RFC 2863)."""
IPS: Final = "1.3.6.1.2.1.4.20.1.1"
"""ipAdEntAddr (RFC 4293)."""
_OWN_NAME: Final = "1.3.6.1.2.1.1.5.0"
_OCTETS, _OID, _IP = 4, 6, 64
_MAC: Final = bytes.fromhex("00005e005300")
_FIRST_INDEX: Final = 7
"""What comes before this place in an OID is no index."""
_SHORT: Final = 4
_LONG: Final = 6
_COMMON: Final = frozenset({b"none", b"null", b"unknown", b"default", b"localhost", b"not set", b"undefined", b"snmp"})

_EMAIL = rb"[\w.+-]+@[\w-]+(?:\.[\w-]+)*"
_MAC_TEXT = rb"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![0-9A-Za-z])"
_MAC_DOTS = rb"(?<![0-9A-Za-z])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![0-9A-Za-z])"
_INSIDE = rb"local|localdomain|lan|intranet|internal|intra|corp|home|arpa"
_DOMAINS = rb"com|net|org|cn|hk|tw|sg|jp|kr|de|uk|eu|fr|nl|pl|ru|info|biz|gov|edu|mil"
_HOST = rb"(?<![\w.-])[a-z0-9][\w-]*(?:\.[\w-]+)*\.(?:" + _INSIDE + rb"|" + _DOMAINS + rb")(?![\w-])"
_URL = rb"(?<=://)[^\s/\"'<>]+"
_PHONE = rb"(?<![\w.])\+\d[\d ()-]{6,}\d"
_SERIAL = rb"(?:\bs/?n\s*[:=#]\s*|\bserial(?:\s*(?:no|num|number))?\s*[.:=#\s]\s*)(?=[\w-]*\d)(?P<hidden>[\w-]{4,})"
_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE) for pattern in (_MAC_TEXT, _MAC_DOTS, _EMAIL, _URL, _HOST, _PHONE, _SERIAL)
)
_IPV4: Final = re.compile(rb"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)")
_IPV6: Final = re.compile(rb"(?<![\w:])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,40}(?![\w:])")
_VERSION: Final = re.compile(
    rb"(?:[a-z_-]|\b(?:v|ver|vers|version|fw|firmware|rev|revision|release|sw|hw)[ .:=]*)$", re.IGNORECASE
)
_BY_ID: Final = re.compile(rb"by-id/usb-[^\s\"'?]*_(?P<hidden>[0-9A-Za-z]{4,})(?=-if|-port|[\s\"'?]|$)")
"""The serial number in the name that udev gives a serial line."""
_SERIAL_LIKE: Final = re.compile(rb"(?!\d{4}-\d\d-\d\d$)(?=(?:[A-Z-]*\d){6})[A-Z\d-]{9,24}")
_SERIAL_WORD: Final = re.compile(rb"(?<![\w.-])(?=(?:[A-Z]*\d){6})(?=\d*[A-Z])[A-Z\d]{9,24}(?![\w.-])")


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogue says of addresses: serial numbers, what names a model, what is read as a number or a word.

    `walks` are tables whose rows and indices are read.
    """

    serials: tuple[Item, ...]
    kept: frozenset[str]
    read: frozenset[str]
    walks: tuple[str, ...] = ()

    @classmethod
    def of(cls, drivers: Iterable[Driver]) -> Known:
        """Collect it from drivers of one protocol."""
        serials: list[Item] = []
        kept: set[str] = set()
        read: set[str] = set()
        walks: set[str] = set()
        for driver in drivers:
            serials += (item for item in driver.identity if item.point == "serial")
            kept |= {address for item in driver.identity if item.point != "serial" for address in item.addresses}
            read |= {address for item in driver.items if item.code != "text" for address in item.addresses}
            walks |= {f"{root}." for root in driver.walks}
            for way in driver.identify:
                kept |= {address for addresses in way.texts for address in addresses}
                read |= {*way.equals, *way.between}
        own = {address for item in serials for address in item.addresses}
        return cls(tuple(serials), frozenset(kept - own), frozenset(read - own), tuple(sorted(walks)))

    @property
    def serial_addresses(self) -> frozenset[str]:
        """All addresses of serial numbers."""
        return frozenset(address for item in self.serials for address in item.addresses)


class Mask:
    """What is known to be private about one device. It learns from all rows before it masks the first."""

    def __init__(self, known: Known, secrets: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        self._known = known
        self._serials = known.serial_addresses
        self._secrets = {secret.encode() for secret in secrets if secret}
        self._words = set(self._secrets)
        self._names: set[bytes] = set()
        self._ips: dict[bytes, bytes] = {}
        self._macs: dict[bytes, bytes] = {}
        self._open: re.Pattern[bytes] | None = None
        self._closed: re.Pattern[bytes] | None = None
        self._hard: re.Pattern[bytes] | None = None
        for host in hosts:
            self._host(host.encode())

    def learn(self, rows: Iterable[tuple[str, int, Raw]]) -> None:
        """Find serial numbers, names and addresses in all rows (address, BER tag or 0, raw)."""
        kept: list[bytes] = []
        for address, tag, raw in rows:
            if isinstance(raw, int) and address in self._serials and abs(raw) >= 10_000:
                self._words.add(str(raw).encode())
            if not isinstance(raw, bytes):
                continue
            if address in self._serials:
                self._serial(raw)
            elif address.startswith(PRIVATE):
                self._host(raw) if address == _OWN_NAME else self._names.add(raw.strip())
            elif address.startswith(f"{MACS}.") and len(raw) == len(_MAC):
                self._mac(raw)
            elif tag == _IP:
                self._ip(raw)
            if address in self._known.kept:
                kept.append(raw.lower())
            for found in _IPV4.finditer(raw):
                if not _versioned(raw, found) and max(octets := [int(part) for part in found[0].split(b".")]) < 256:
                    self._ip(bytes(octets))
        plain = b"\n".join(kept)
        self._names = {
            name for name in self._names
            if len(name) >= _SHORT and name.lower() not in _COMMON and name.lower() not in plain
        }  # fmt: skip
        self._open = _any_of(word for word in self._words if len(word) >= _LONG)
        closed = self._names | {word for word in self._words if len(word) < _LONG}
        self._closed = _any_of(closed, rb"(?<![0-9A-Za-z])", rb"(?![0-9A-Za-z])")
        self._hard = _any_of(secret for secret in self._secrets if len(secret) >= _SHORT)

    def _serial(self, raw: bytes) -> None:
        word = raw.strip(b" \0")
        if len(word) >= _SHORT and re.search(rb"[1-9]", word):
            self._words.add(word)

    def _host(self, name: bytes) -> None:
        """Learn a name, its first label and its domain."""
        name = name.strip()
        if _IPV4.fullmatch(name):
            return
        label, _, domain = name.partition(b".")
        self._names |= {name, label} | ({domain} if b"." in domain else set())

    def _ip(self, octets: bytes) -> None:
        if len(octets) == 4 and octets[0] not in (0, 127, 255) and octets not in self._ips:
            self._ips[octets] = bytes((192, 0, 2, len(self._ips) % 254 + 1))

    def _mac(self, octets: bytes) -> None:
        if any(octets) and octets not in self._macs:
            mask = _MAC[:5] + bytes([len(self._macs) % 255 + 1])
            self._macs[octets] = mask
            self._words.add(octets.hex().encode())

    def row(self, oid: str, tag: int, raw: Raw) -> tuple[str, int, Raw]:
        """Mask one SNMP object, its index included."""
        walked = oid.startswith(self._known.walks)
        asked = walked or oid in self._known.read or oid in self._known.kept or oid in self._serials
        name = oid if asked else self.oid(oid)
        if isinstance(raw, bytes):
            return name, tag, self._ips.get(raw, raw) if tag == _IP else self.value(oid, raw)
        if tag == _OID and isinstance(raw, str) and oid not in SYSTEM and not walked:
            return name, tag, self.oid(raw)
        if isinstance(raw, int) and raw and oid in self._serials and not self._sentinel(oid, raw):
            return name, tag, 1
        return name, tag, raw

    def value(self, address: str, raw: bytes) -> bytes:
        """Mask the octets or the text at an address."""
        if address.startswith(PRIVATE):
            return b"x" * len(raw)
        if address in self._serials:
            return raw if self._sentinel(address, raw) else shape(raw)
        for mac, mask in self._macs.items():
            raw = raw.replace(mac, mask)
        if address in self._known.read:
            return raw if self._hard is None or re.fullmatch(rb"[\d\s.,+-]*", raw) else self._hard.sub(_shaped, raw)
        plain = all(32 <= octet < 127 for octet in raw)
        if len(raw) == len(_MAC) and not plain and any(raw) and raw not in self._macs.values() and not _is_text(raw):
            return _MAC
        if address not in self._known.kept and _SERIAL_LIKE.fullmatch(raw.strip()) and set(raw.strip()) - set(b"01"):
            return shape(raw)
        return self.text(raw, address in self._known.kept)

    def text(self, raw: bytes, kept: bool = False) -> bytes:
        """Mask what a text gives away; `kept` for models and firmware, whose dotted numbers are versions."""
        for words in (self._open, self._closed):
            raw = raw if words is None else words.sub(_shaped, raw)
        for pattern in _PATTERNS[:3] if kept else (_BY_ID, *_PATTERNS):
            raw = pattern.sub(_shaped, raw)
        if kept:
            return raw
        raw = _IPV4.sub(self._ipv4, _SERIAL_WORD.sub(_shaped, raw))
        return _IPV6.sub(_ipv6, raw)

    def _ipv4(self, found: re.Match[bytes]) -> bytes:
        octets = [int(part) for part in found[0].split(b".")]
        if max(octets) > 255 or octets[0] in (0, 127):
            return found[0]
        local = octets[:2] in ([192, 168], [169, 254]) or (octets[0] == 172 and 16 <= octets[1] < 32)
        return found[0] if _versioned(found.string, found) and not local else shape(found[0])

    def oid(self, oid: str) -> str:
        """Mask addresses and names in the index of an OID."""
        parts = [int(part) for part in oid.split(".")]
        data = bytes(min(part, 255) for part in parts)
        masked = bytearray(data)
        index = _FIRST_INDEX
        while index + 4 <= len(data):
            four, six = data[index : index + 4], data[index : index + 6]
            local = four[:2] in (b"\xc0\xa8", b"\xa9\xfe") and max(parts[index : index + 4]) < 256
            if six in self._macs:
                masked[index : index + 6] = self._macs[six]
                index += 6
            elif four in self._ips or local:
                self._ip(four)
                masked[index : index + 4] = self._ips[four]
                index += 4
            else:
                index += 1
        for words in (self._open, self._closed):
            if words is not None:
                masked[_FIRST_INDEX:] = words.sub(_shaped, bytes(masked[_FIRST_INDEX:]))
        changed = zip(parts, data, masked, strict=True)
        return ".".join(str(part if old == new else new) for part, old, new in changed)

    def registers(self, answers: Mapping[str, Raw]) -> dict[str, Raw]:
        """Mask serial numbers and texts in registers, one or two characters each."""
        masked = dict(answers)
        for item in self._known.serials:
            words = {address: raw for address in item.addresses if isinstance(raw := masked.get(address), int)}
            joined = int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words.values()), "big")
            if len(words) == len(item.addresses) and (not joined or joined in item.sentinels):
                continue
            for address, word in words.items():
                masked[address] = _pair(word) if item.code == "text" else int(address == item.addresses[-1])
        closed = self._known.read | self._known.kept | self._serials
        for run in _runs(masked):
            for order in ("big", "little", ""):
                self._scan(masked, run, closed, order)
        return masked

    def _scan(self, masked: dict[str, Raw], run: list[str], closed: frozenset[str], order: str) -> None:
        """Mask the texts in neighbouring registers: two characters each, high or low first, or one."""
        parts = [_characters(masked[address], order) for address in run]
        hidden = self.text(b"".join(parts))
        size = len(parts[0])
        for place, (address, old) in enumerate(zip(run, parts, strict=True)):
            new = hidden[place * size : (place + 1) * size]
            if new != old and address not in closed:
                masked[address] = int.from_bytes(new, "little" if order == "little" else "big")

    def _sentinel(self, address: str, raw: Raw) -> bool:
        items = (item for item in self._known.serials if address in item.addresses)
        said = {raw, text_of(raw)} if isinstance(raw, bytes) else {raw}
        return any(not said.isdisjoint(item.sentinels) for item in items)


def shape(raw: bytes) -> bytes:
    """Return octets of the same length that show only where letters, digits and marks were."""
    return bytes(
        0x30 if 0x30 <= octet <= 0x39 else 0x58 if 0x41 <= octet <= 0x5A else octet if octet in _MARKS else 0x78
        for octet in raw
    )


def plain(raw: bytes) -> bytes:
    """Mask serial numbers and hardware addresses in a text, and nothing else."""
    for pattern in (_BY_ID, _PATTERNS[0], _PATTERNS[1], _PATTERNS[-1], _SERIAL_WORD):
        raw = pattern.sub(_shaped, raw)
    return raw


_MARKS: Final = frozenset(range(0x80)) - frozenset(range(0x61, 0x7B))


def _characters(raw: Raw, order: str) -> bytes:
    word = raw & 0xFFFF if isinstance(raw, int) else 0
    if order:
        return word.to_bytes(2, "little" if order == "little" else "big")
    return bytes([word if 32 <= word < 127 else 0])


def _pair(word: int) -> int:
    return int.from_bytes(shape(word.to_bytes(2, "big")), "big")


def _shaped(found: re.Match[bytes]) -> bytes:
    """Mask a match, or only its group `hidden` where the rest is the label before it."""
    if "hidden" not in found.re.groupindex:
        return shape(found[0])
    return found[0][: found.start("hidden") - found.start()] + shape(found["hidden"])


def _any_of(words: Iterable[bytes], before: bytes = b"", after: bytes = b"") -> re.Pattern[bytes] | None:
    longest = sorted((word for word in set(words) if word), key=lambda word: (-len(word), word))
    joined = b"|".join(map(re.escape, longest))
    return re.compile(before + b"(?:" + joined + b")" + after, re.IGNORECASE) if longest else None


def _versioned(text: bytes, found: re.Match[bytes]) -> bool:
    """Tell whether four dotted numbers stand where a version does."""
    return _VERSION.search(text[max(0, found.start() - 12) : found.start()]) is not None


def _ipv6(found: re.Match[bytes]) -> bytes:
    text = found[0].rstrip(b".")
    try:
        address = ipaddress.IPv6Address(text.removesuffix(b":").decode() if text.count(b"::") == 0 else text.decode())
    except ValueError:
        return found[0]
    return re.sub(rb"[0-9A-Fa-f]", b"0", found[0]) if int(address) else found[0]


def _is_text(raw: bytes) -> bool:
    """Tell whether octets are letters in the encodings that cards use, Chinese ones for the most part."""
    try:
        return raw.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def _runs(answers: Mapping[str, Raw]) -> list[list[str]]:
    """Return neighbouring registers that hold numbers, table by table."""
    runs: list[list[str]] = []
    for table in "hi":
        places = sorted(
            int(address[1:]) for address, raw in answers.items()
            if address[0] == table and address[1:].isdecimal() and isinstance(raw, int)
        )  # fmt: skip
        last = -2
        for place in places:
            if place != last + 1:
                runs.append([])
            runs[-1].append(f"{table}{place}")
            last = place
    return [run for run in runs if len(run) > 1]
