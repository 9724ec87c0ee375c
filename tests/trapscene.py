"""Traps as devices send them, written by pysnmp or net-snmp, and a listener on the loopback's addresses."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from pyasn1.codec.ber import encoder
from pyasn1.type import univ
from pysnmp.proto.api import v1, v2c

from edgeagent.endpoint import Endpoint, parse
from edgeagent.links.traps import TrapListener
from edgeagent.trapconfig import Traps

ON_BATTERY = "1.3.6.1.2.1.33.2.1"
OWN = "floor"
REQUEST = bytes.fromhex("302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500")
"""A GET, which no device sends to us."""
needs_net_snmp = pytest.mark.skipif(shutil.which("snmptrap") is None, reason="Debian's package snmp is not installed")


def first(
    enterprise: str = "1.3.6.1.2.1.33.2",
    generic: int = 6,
    specific: int = 1,
    agent: str = "0.0.0.0",
    community: str = OWN,
) -> bytes:
    """Write a v1 trap with pysnmp."""
    pdu = v1.TrapPDU()
    v1.apiTrapPDU.set_defaults(pdu)
    v1.apiTrapPDU.set_enterprise(pdu, univ.ObjectIdentifier(enterprise))
    v1.apiTrapPDU.set_agent_address(pdu, agent)
    v1.apiTrapPDU.set_generic_trap(pdu, generic)
    v1.apiTrapPDU.set_specific_trap(pdu, specific)
    return message(v1, pdu, community)


def second(
    oid: str = ON_BATTERY, community: str = OWN, inform: bool = False, rows: Sequence[tuple[str, object]] = ()
) -> bytes:
    """Write a v2c trap or inform with pysnmp."""
    pdu = v2c.InformRequestPDU() if inform else v2c.SNMPv2TrapPDU()
    v2c.apiTrapPDU.set_defaults(pdu)
    head = [
        (univ.ObjectIdentifier("1.3.6.1.2.1.1.3.0"), v2c.TimeTicks(4711)),
        (univ.ObjectIdentifier("1.3.6.1.6.3.1.1.4.1.0"), univ.ObjectIdentifier(oid)),
    ]
    v2c.apiPDU.set_varbinds(pdu, [*head, *((univ.ObjectIdentifier(name), value) for name, value in rows)])
    return message(v2c, pdu, community)


def message(version: Any, pdu: object, community: str) -> bytes:  # noqa: ANN401 - a module of pysnmp
    whole = version.Message()
    version.apiMessage.set_defaults(whole)
    version.apiMessage.set_community(whole, community)
    version.apiMessage.set_pdu(whole, pdu)
    return cast("bytes", encoder.encode(whole))


def relayed(address: str, community: str = "relay", original: str = OWN) -> bytes:
    """Write a v2c trap as a proxy sends it on (RFC 3584 §3.1)."""
    rows = [
        ("1.3.6.1.6.3.18.1.3.0", v2c.IpAddress(address)),
        ("1.3.6.1.6.3.18.1.4.0", univ.OctetString(original)),
    ]
    return second(community=community, rows=rows)


@dataclass
class Scene:
    """A listener and what it asked for. `send` sends from an address and returns what came back, if waited for."""

    listener: TrapListener
    hints: list[tuple[float, str]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.listener.ports[0]

    @property
    def polled(self) -> list[str]:
        return [id for _, id in self.hints]

    def send(self, data: bytes, source: str = "127.0.0.1", *, port: int | None = None) -> None:
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.sendto(data, (source, port or self.port))

    async def until(self, ready: Callable[[], bool], within: float = 60.0) -> None:
        async with asyncio.timeout(within):
            while not ready():  # noqa: ASYNC110 - what is waited for happens in the listener
                await asyncio.sleep(0.002)

    async def heard(self, count: int) -> None:
        await self.until(lambda: self.listener.counts.total() >= count)


def at(host: str, port: int = 161, community: str = OWN) -> Endpoint:
    where = f"[{host}]" if ":" in host else host
    return parse(f"snmp://{where}:{port}?version=2c&community={community}")


def user(host: str, name: str = "watch", auth: str = "SHA-256", priv: str = "AES-128") -> Endpoint:
    options = {"version": "3", "auth": auth, "priv": priv}
    secrets = {"auth": "one two three", "priv": "four five six"}
    return Endpoint("snmp", host, 161, user=name, options=options, secrets=secrets)


@asynccontextmanager
async def listening(
    endpoints: dict[str, Endpoint], addresses: tuple[str, ...] = ("127.0.0.1",), forwarders: Sequence[str] = ()
) -> AsyncIterator[Scene]:
    hints: list[tuple[float, str]] = []
    loop = asyncio.get_running_loop()
    listener = TrapListener(lambda id: hints.append((loop.time(), id)), "test", 7)
    listener.follow(Traps(addresses, 0, frozenset(forwarders)), endpoints)
    running = asyncio.create_task(listener.run())
    try:
        scene = Scene(listener, hints)
        await scene.until(lambda: len(listener.ports) == len(addresses) or running.done())
        yield scene
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait([running])


def play(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(cast("Any", story()))


EVERYWHERE = ("0.0.0.0",)
