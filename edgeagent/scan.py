"""Walk given addresses or a serial port at a polite rate, find out what stands there, and write it for site.toml.

Only what the operator named is asked, one question after another at each address. What merely has the shape of
a device comes out commented: a guess that went into service unread could raise false alarms.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edgeagent.catalog import Catalog, Driver
from edgeagent.devices import known
from edgeagent.endpoint import Endpoint, parse
from edgeagent.fit import SYS_DESCR, SYSTEM, Sure
from edgeagent.links import Link, Plan, Target
from edgeagent.probe import NoAnswer, NoDriver, ask, identify, opened, plan_of
from edgeagent.readings import Answers, silence
from edgeagent.values import text_of

MOST: Final = 4096
"""Addresses of one scan at the most."""
_AT_ONCE: Final = 64
_GUESS: Final = "Only a guess, by the shape of its registers: compare it with the unit's plate, then uncomment."
_RANGE: Final = re.compile(r"((?:\d{1,3}\.){3})(\d{1,3})-(\d{1,3})")


class ScanError(ValueError):
    """What to scan makes no sense; the message says what would."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How to ask: SNMP and Modbus URL endings, unit ids, rates in Bd, new addresses a second, s to wait."""

    snmp: tuple[str, ...] = ("version=2c",)
    user: str = ""
    ports: tuple[int, ...] = (502,)
    snmp_port: int = 161
    units: tuple[int, ...] = (1,)
    bauds: tuple[int, ...] = (9600,)
    rate: float = 20.0
    timeout: float = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What answered at one endpoint: the driver that fits, or what it said of itself."""

    endpoint: Endpoint
    driver: Driver | None = None
    sure: Sure | None = None
    others: tuple[str, ...] = ()
    model: str = ""
    said: str = ""


def addresses(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Spread networks, ranges and hosts into hosts, and serial ports into their paths ("ports": all there are).

    Raises:
        ScanError: for what is neither, or too many.
    """
    hosts: dict[str, None] = {}
    lines: dict[str, None] = {}
    for word in words:
        if word == "ports":
            from serial.tools.list_ports import comports

            lines |= dict.fromkeys(sorted(port.device for port in comports()))
        elif word.startswith("/"):
            lines[word] = None
        else:
            hosts |= dict.fromkeys(_hosts(word))
    if len(hosts) > MOST:
        raise ScanError(f"{len(hosts)} addresses are too many; at most {MOST} at a time")
    return list(hosts), list(lines)


def _hosts(word: str) -> Iterator[str]:
    match = _RANGE.fullmatch(word)
    try:
        if match is not None:
            first, last = int(match[2]), int(match[3])
            if not first <= last <= 255:
                raise ScanError(f"{word}: the range ends before it begins, or beyond 255")
            yield from (str(ipaddress.ip_address(f"{match[1]}{number}")) for number in range(first, last + 1))
        elif "/" in word:
            network = ipaddress.ip_network(word, strict=False)
            if network.num_addresses > MOST + 2:
                raise ScanError(f"{word}: {network.num_addresses} addresses are too many; at most {MOST} at a time")
            yield from map(str, network.hosts())
        elif re.fullmatch(r"[\d.]+", word) or ":" in word:
            yield str(ipaddress.ip_address(word))
        elif re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", word):
            yield word
        else:
            raise ScanError(f'"{word}" is no network, range, host or serial port')
    except ValueError as error:
        raise error if isinstance(error, ScanError) else ScanError(f"{word}: {error}") from error


def numbers(text: str, low: int, high: int) -> tuple[int, ...]:
    """Read "1-10,17" as numbers.

    Raises:
        ScanError: for what is none, or out of `low` to `high`.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,7})(?:-(\d{1,7}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= first <= last <= high:
            raise ScanError(f'"{part}" is no number or range from {low} to {high}')
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(found)


async def scan(
    catalog: Catalog, hosts: Sequence[str], lines: Sequence[str], ways: Ways, tick: Callable[[], None]
) -> AsyncIterator[Seen]:
    """Yield what answers, as it is found. `tick` is called after each address and line."""
    found: asyncio.Queue[Seen | None] = asyncio.Queue()

    async def work() -> None:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(host: str, snmp: Link) -> None:
            async with slots:
                async for seen in _at_host(catalog, snmp, host, ways):
                    found.put_nowait(seen)
                tick()

        try:
            async with opened(parse("snmp://localhost")) as snmp, asyncio.TaskGroup() as group:
                for host in hosts:
                    group.create_task(one(host, snmp))
                    await asyncio.sleep(1 / ways.rate)
            for line in lines:
                async for seen in _on_line(catalog, line, ways):
                    found.put_nowait(seen)
                tick()
        finally:
            found.put_nowait(None)

    working = asyncio.create_task(work())
    try:
        while (seen := await found.get()) is not None:
            yield seen
        await working
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


async def _at_host(catalog: Catalog, snmp: Link, host: str, ways: Ways) -> AsyncIterator[Seen]:
    spelled = f"[{host}]" if ":" in host else host
    user = f"{ways.user}@" if ways.user else ""
    for query in ways.snmp:
        endpoint = parse(f"snmp://{user}{spelled}:{ways.snmp_port}?{query}")
        target = Target("scan", endpoint, timeout=ways.timeout)
        system = await ask(snmp, target, Plan(SYSTEM))
        if silence(system) is None:
            yield await _identified(catalog, snmp, endpoint, ways, system)
            break
    for port in ways.ports:
        if not await _open(host, port, ways.timeout):
            continue
        async with opened(parse(f"modbus://{spelled}:{port}?unit=1")) as link:
            for unit in ways.units:
                seen = await _identified(catalog, link, parse(f"modbus://{spelled}:{port}?unit={unit}"), ways, {})
                if seen.driver is not None or seen.said:
                    yield seen


async def _on_line(catalog: Catalog, line: str, ways: Ways) -> AsyncIterator[Seen]:
    """Ask one port in all its ways, one after the other: it is one wire."""
    for scheme, bauds, units in (("serial", (2400,), (0,)), ("modbus+rtu", ways.bauds, ways.units)):
        for baud in bauds:
            ends = [f"&unit={unit}" if scheme == "modbus+rtu" else "" for unit in units]
            endpoints = [parse(f"{scheme}://{line}?baud={baud}{end}") for end in ends]
            async with opened(endpoints[0]) as link:
                for endpoint in endpoints:
                    seen = await _identified(catalog, link, endpoint, ways, {})
                    if seen.driver is not None or seen.said:
                        yield seen
                        if scheme == "serial":
                            return


async def _identified(catalog: Catalog, link: Link, endpoint: Endpoint, ways: Ways, system: Answers) -> Seen:
    described = system.get(SYS_DESCR)
    said = text_of(described) if isinstance(described, bytes) else ""
    try:
        fitting = await identify(catalog, link, endpoint, ways.timeout)
    except NoAnswer:
        return Seen(endpoint, said=said)
    except NoDriver as shown:
        return Seen(endpoint, said=said or str(shown))
    driver, sure = fitting[0]
    plan = Plan(plan_of(driver).gets)
    answers = await ask(link, Target("scan", endpoint, driver.quirks, driver.quirks.timeout or ways.timeout), plan)
    facts = known(driver, answers, 0.0)
    model = " ".join(dict.fromkeys(word for word in (facts.get("vendor"), facts.get("model")) if word))
    return Seen(endpoint, driver, sure, tuple(other.id for other, _ in fitting[1:]), model, said)


async def _open(host: str, port: int, within: float) -> bool:
    """Tell whether anything listens there, before a Modbus link tries in earnest."""
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def sections(found: Sequence[Seen]) -> str:
    """Write what was found as sections of site.toml; guesses and what nothing reads are comments."""
    counts: dict[str, int] = {}
    blocks = []
    for seen in found:
        if seen.driver is None:
            blocks.append(f"# {seen.endpoint} answers, but no driver fits: {_comment(seen.said) or 'nothing known'}\n")
            continue
        kind = seen.driver.kind.id
        counts[kind] = counts.get(kind, 0) + 1
        model, text = _plain(seen.model), seen.driver.text
        others = f"; also fits: {', '.join(seen.others)}" if seen.others else ""
        lines = [
            f"[devices.{kind}-{counts[kind]}]",
            f'name = {{ en = "{model or _plain(text.en)}", zh = "{model or _plain(text.zh)}" }}',
            f'driver = "{seen.driver.id}"   # {seen.sure}{others}',
            f'url = "{seen.endpoint}"',
        ]
        if seen.sure is Sure.GUESS:
            lines = [f"# {line}" for line in (_GUESS, *lines)]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _plain(text: str) -> str:
    """Keep what may stand between quotes in a TOML file."""
    return "".join(c for c in text if c.isprintable() and c not in '"\\').strip()[:80]


def _comment(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:200]
