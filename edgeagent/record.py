"""Record a device as a capture: what it answered, with what could tell where it stands or how to get in masked.

`captures` spells it, `masking` hides. Masking is for people and places and knows what devices commonly say; read a
capture before you pass it on all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from edgeagent.captures import answer_line, object_line
from edgeagent.catalog import Catalog, Driver
from edgeagent.endpoint import Endpoint
from edgeagent.items import Quirks
from edgeagent.links import Link, Plan, Target
from edgeagent.masking import IPS, MACS, Known, Mask
from edgeagent.probe import NoAnswer, ask, identify, opened, plan_of
from edgeagent.readings import Answers, Missing, Raw, silence

ROOTS: Final = ("1.3.6.1.2.1.1", "1.3.6.1.2.1.33", "1.3.6.1.4.1")
MOST: Final = 20_000
"""Objects or registers of one device at the most."""
_MOST_LEARNT: Final = 256
_PORTION: Final = 250
"""Addresses asked in one go, so that each portion has the whole time."""
_RANGE: Final = re.compile(r"([hicd])(\d{1,5})(?:-(\d{1,5}))?")


class RangeError(ValueError):
    """A range of registers that makes no sense; the message says what would."""


def ranges(text: str) -> tuple[str, ...]:
    """Take "h768-800,i0-20,c5" apart into addresses.

    Raises:
        RangeError: for a part that is no range, and for more than a recording takes.
    """
    found: dict[str, None] = {}
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (int(match[2]), int(match[3] or match[2])) if match else (1, 0)
        if match is None or not first <= last <= 0xFFFF:
            raise RangeError(f'"{part}" is no range of registers; write for example h768-800,i0-20 (h i c d, 0-based)')
        found |= dict.fromkeys(f"{match[1]}{number}" for number in range(first, last + 1))
        if len(found) > MOST:
            raise RangeError(f"more than {MOST} addresses; record them in several files")
    return tuple(found)


async def record(
    catalog: Catalog, endpoint: Endpoint, driver: Driver | None, within: float, dump: tuple[str, ...] = ()
) -> str:
    """Return the capture as text. SNMP: all of `ROOTS`. Else the driver's addresses, or the registers of `dump`.

    `within` s is the patience for one question of SNMP and for one portion of anything else.

    Raises:
        NoAnswer, NoDriver: as `probe` does; SNMP and a dump need no driver.
    """
    async with opened(endpoint) as link:
        if endpoint.protocol == "snmp":
            return await _walk(link, endpoint, within, _mask(endpoint, catalog.drivers.values()))
        if dump:
            answers = await _dump(link, endpoint, driver, within, dump)
            chosen = driver
        else:
            chosen = driver or (await identify(catalog, link, endpoint, within))[0][0]
            answers = await ask(link, Target("record", endpoint, chosen.quirks, within), plan_of(chosen))
    missing = silence(answers)
    if missing is not None:
        raise NoAnswer(missing.value)
    heading = f"# {chosen.id}\n" if chosen else ""
    mask = _mask(endpoint, [chosen] if chosen else [])
    return heading + spelled_answers(answers, mask, endpoint.protocol, bool(dump))


def _mask(endpoint: Endpoint, drivers: Iterable[Driver]) -> Mask:
    """Make a mask that knows how the device was reached."""
    known = Known.of(driver for driver in drivers if driver.protocol == endpoint.protocol)
    return Mask(known, (*endpoint.secrets.values(), endpoint.user), [endpoint.host] if endpoint.host else [])


async def _walk(link: Link, endpoint: Endpoint, within: float, mask: Mask) -> str:
    from edgeagent.links.snmp import SnmpLink

    assert isinstance(link, SnmpLink)  # noqa: S101 - open_link makes it
    target = Target("record", endpoint, timeout=within)
    rows = await link.walk_all(target, ROOTS, MOST)
    if not rows:
        raise NoAnswer(Missing.TIMEOUT.value)
    aside = await link.walk_all(target, (MACS, IPS), _MOST_LEARNT)
    return spelled_objects(rows, mask, aside)


def spelled_objects(
    rows: Iterable[tuple[str, int, Raw]], mask: Mask, aside: Iterable[tuple[str, int, Raw]] = ()
) -> str:
    """Spell a walk, masked and sorted. What stands `aside` is learnt from and left out."""
    rows = list(rows)
    mask.learn([*aside, *rows])
    masked: dict[str, tuple[int, Raw]] = {}
    for row in rows:
        oid, tag, raw = mask.row(*row)
        masked.setdefault(oid, (tag, raw))
    ordered = sorted(masked, key=lambda oid: [int(part) for part in oid.split(".")])
    return "".join(object_line(oid, *masked[oid]) for oid in ordered)


async def _dump(link: Link, endpoint: Endpoint, driver: Driver | None, within: float, dump: tuple[str, ...]) -> Answers:
    target = Target("record", endpoint, driver.quirks if driver else Quirks(gap=0), within)
    answers: dict[str, Raw] = {}
    for start in range(0, len(dump), _PORTION):
        answers |= await ask(link, target, Plan(dump[start : start + _PORTION]))
        if silence(answers) is not None:
            break
    return answers


def spelled_answers(answers: Answers, mask: Mask, protocol: str, gaps: bool = False) -> str:
    """Spell the answers of a device that does not speak SNMP, masked and sorted; `gaps` leaves out what it refused."""
    mask.learn((address, 0, raw) for address, raw in answers.items())
    if protocol == "modbus":
        answers = mask.registers(answers)
    ordered = sorted(answers.items(), key=lambda item: (item[0][:1], len(item[0]), item[0]))
    kept = [(address, raw) for address, raw in ordered if not (gaps and raw is Missing.ABSENT)]
    return "".join(answer_line(address, _hidden(address, raw, mask)) for address, raw in kept)


def _hidden(address: str, raw: Raw, mask: Mask) -> Raw:
    if isinstance(raw, bytes):
        return mask.value(address, raw)
    if isinstance(raw, str) and not isinstance(raw, Missing):
        return mask.value(address, raw.encode()).decode("utf-8", "replace")
    return raw
