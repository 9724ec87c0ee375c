"""Capture files: what a device answered, as text that people can read, mend and replay.

`.snmprec` is the format of snmpsim, `OID|tag|value`, the tag a BER number, with x for a value in hex. `.rec` is
`address|type|value` with our addresses (`h1032|int|2301`), type int, float, bool, str, missing, and for octets text
(ASCII) or bytes (hex).
Lines that begin with # are comments. Touches no device.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from edgeagent.mistakes import Mistake, Mistakes
from edgeagent.readings import Missing, Raw

Objects: TypeAlias = dict[str, tuple[int, Raw]]
"""What answered at each address: BER tag (0 in a .rec file) and raw value."""

_NULL, _OID, _OCTETS, _IP, _INTEGER = 5, 6, 4, 64, 2
_NUMBERS: Final = {
    _INTEGER: (-(2**63), 2**63 - 1),
    65: (0, 2**32 - 1),
    66: (0, 2**32 - 1),
    67: (0, 2**32 - 1),
    70: (0, 2**64 - 1),
}
_BYTES: Final = frozenset({_OCTETS, _IP, 68})
_DOTTED: Final = re.compile(r"\.?([012](?:\.\d{1,10})+)")
_REGISTER: Final = re.compile(r"[hicd](\d{1,5})")
_IP_OCTETS: Final = 4


@dataclass(frozen=True, slots=True)
class Capture:
    """One recorded device. `driver` is the one that its first line names, None without one."""

    protocol: str
    objects: Mapping[str, tuple[int, Raw]]
    driver: str | None = None

    def answers(self, gets: Iterable[str], walks: Iterable[str] = ()) -> dict[str, Raw]:
        """Return what the device would answer to one poll; what was not recorded is absent."""
        found = {address: self.objects.get(address, (0, Missing.ABSENT))[1] for address in gets}
        for root in walks:
            rows = {oid: raw for oid, (_, raw) in self.objects.items() if oid.startswith(f"{root}.")}
            found |= {**rows, root: len(rows)}
        return found


def load(path: Path) -> Capture:
    """Read a capture.

    Raises:
        Mistakes: with all lines that are not understood.
        OSError: when the file cannot be read.
    """
    if path.suffix not in (".snmprec", ".rec"):
        raise Mistakes([Mistake(str(path), 0, "", "a capture is called .snmprec (SNMP) or .rec (anything else)")])
    snmp = path.suffix == ".snmprec"
    objects: Objects = {}
    mistakes: list[Mistake] = []
    driver: str | None = None
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        row = line.rstrip(b"\r")
        if row.startswith(b"#"):
            match = re.fullmatch(rb"# ([a-z]+/[a-z0-9-]+)", row)
            driver = match[1].decode() if driver is None and match else driver
            continue
        if not row.strip():
            continue
        try:
            address, tag, raw = (_object if snmp else _answer)(row)
            if address in objects:
                raise ValueError(f"{address} stands there twice")  # noqa: TRY301 - one way to tell a wrong line
        except ValueError as error:
            mistakes.append(Mistake(str(path), number, "", str(error)))
        else:
            objects[address] = (tag, raw)
    if not objects and not mistakes:
        mistakes.append(Mistake(str(path), 0, "", "nothing was recorded here"))
    if mistakes:
        raise Mistakes(mistakes)
    return Capture(_protocol(objects, snmp), objects, driver)


def _protocol(objects: Iterable[str], snmp: bool) -> str:
    if snmp:
        return "snmp"
    if all(_REGISTER.fullmatch(address) for address in objects):
        return "modbus"
    return "serial" if any(":" in address for address in objects) else "host"


def _fields(row: bytes) -> tuple[str, str, bytes]:
    fields = row.split(b"|", 2)
    if len(fields) != 3:
        raise ValueError("a line is address|type|value")
    return fields[0].strip().decode("utf-8", "replace"), fields[1].strip().decode("utf-8", "replace"), fields[2]


def _object(row: bytes) -> tuple[str, int, Raw]:
    oid, tag, value = _fields(row)
    name = _DOTTED.fullmatch(oid)
    if name is None:
        raise ValueError(f'"{oid}" is no OID')
    kind, _, coding = tag.partition("x") if tag.endswith("x") else (tag, "", None)
    number = int(kind) if kind.isascii() and kind.isdecimal() and len(kind) <= 3 else -1
    if number == _NULL:
        return name[1], number, Missing.NULL
    if number in _BYTES:
        octets = value if coding is None else _hex(value)
        return name[1], number, _address(octets, coding is not None) if number == _IP else octets
    if coding is None and number == _OID:
        target = _DOTTED.fullmatch(value.decode("utf-8", "replace").strip())
        if target is None:
            raise ValueError("the value is no OID")
        return name[1], number, target[1]
    if coding is None and number in _NUMBERS:
        return name[1], number, _number(value, *_NUMBERS[number])
    raise ValueError(f'unknown tag "{tag}" (known: 2, 4, 4x, 5, 6, 64, 64x, 65, 66, 67, 68x, 70)')


def _hex(value: bytes) -> bytes:
    try:
        return bytes.fromhex(value.decode("ascii"))
    except ValueError:  # UnicodeDecodeError is one
        raise ValueError("the value is not hexadecimal") from None


def _address(value: bytes, coded: bool) -> bytes:
    if coded and len(value) == _IP_OCTETS:
        return value
    parts = [] if coded else value.strip().split(b".")
    if len(parts) != _IP_OCTETS or not all(part.isdigit() and len(part) <= 3 and int(part) < 256 for part in parts):
        raise ValueError("the value is no IPv4 address")
    return bytes(map(int, parts))


def _number(value: bytes, low: int, high: int) -> int:
    match = re.match(rb"\s*([+-]?\d{1,20})(?:\s|$)", value)  # some walks keep the unit behind the number
    if match is None or not low <= int(match[1]) <= high:
        raise ValueError(f"the value is no whole number from {low} to {high}")
    return int(match[1])


def _answer(row: bytes) -> tuple[str, int, Raw]:
    address, kind, value = _fields(row)
    register = _REGISTER.fullmatch(address)
    if not address or (register is not None and int(register[1]) > 0xFFFF):
        raise ValueError(f'"{address}" is no address')
    text = value.decode("utf-8", "replace")
    if kind == "int":
        number = _number(value, -(2**63), 2**64 - 1)
        if register is not None and not 0 <= number <= (0xFFFF if address[0] in "hi" else 1):
            raise ValueError(f"{number} does not fit into {address}")
        return address, 0, number
    if kind == "missing":
        if text not in set(Missing):
            raise ValueError(f'unknown reason "{text}" (known: {", ".join(Missing)})')
        return address, 0, Missing(text)
    if register is not None:
        raise ValueError(f'a register is int or missing, not "{kind}"')
    if kind == "float":
        return address, 0, float(text)
    if kind == "bool" and text in ("True", "False"):
        return address, 0, text == "True"
    if kind in ("bytes", "text"):
        return address, 0, _hex(value) if kind == "bytes" else value
    if kind == "str":
        return address, 0, text
    raise ValueError(f'unknown type "{kind}" (known: int, float, bool, str, text, bytes, missing)')


def object_line(oid: str, tag: int, raw: Raw) -> str:
    """Spell one SNMP object; "" for what a snmprec file cannot say."""
    if tag == _NULL:
        return f"{oid}|{tag}|\n"
    if isinstance(raw, bytes):
        if tag == _IP and len(raw) == _IP_OCTETS:
            return f"{oid}|{tag}|{'.'.join(map(str, raw))}\n"
        plain = tag == _OCTETS and _plain(raw)
        return f"{oid}|{tag}|{raw.decode()}\n" if plain else f"{oid}|{tag}x|{raw.hex()}\n"
    return "" if isinstance(raw, Missing) else f"{oid}|{tag}|{raw}\n"


def answer_line(address: str, raw: Raw) -> str:
    """Spell one answer of a device that does not speak SNMP."""
    if isinstance(raw, bytes):
        return f"{address}|text|{raw.decode()}\n" if _plain(raw) else f"{address}|bytes|{raw.hex()}\n"
    kind = "missing" if isinstance(raw, Missing) else type(raw).__name__
    return f"{address}|{kind}|{' '.join(raw.splitlines()) if isinstance(raw, str) else raw}\n"


def _plain(raw: bytes) -> bool:
    """Tell whether octets can stand in a line as they are."""
    return raw == raw.strip() and all(32 <= octet < 127 for octet in raw)
