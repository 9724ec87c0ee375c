"""The only code that touches devices. A link is one conversation medium and never raises for trouble on the wire.

Every link turns what happened into raw answers: a value, or a `Missing` that says why there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edgeagent.endpoint import Endpoint
from edgeagent.items import Quirks
from edgeagent.readings import Answers


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask in one poll: addresses to get, SNMP subtrees to walk."""

    gets: tuple[str, ...]
    walks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """One device on a link: its name for the log, where it answers, how it wants to be asked, a poll's time in s."""

    name: str
    endpoint: Endpoint
    quirks: Quirks = Quirks()
    timeout: float = 2.0


class Link(Protocol):
    """One medium: the socket of all SNMP hosts, a Modbus session or bus, a serial line, all services, the host."""

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        """Start one poll. `done` is called exactly once, on the event loop, never from inside `ask`.

        Its answers hold every address of `plan.gets`. A walk adds a row an instance and, under the
        root's own address, the number of rows, or a `Missing` when the walk failed.
        """

    async def run(self) -> None:
        """Own the socket, session or port until cancelled."""


def open_link(endpoint: Endpoint) -> Link:
    """Make the link for an endpoint's medium. A protocol's library is loaded only when a device needs it.

    Raises:
        ValueError: for a protocol that no link speaks.
    """
    if endpoint.protocol == "snmp":
        from edgeagent.links.snmp import SnmpLink

        return SnmpLink()
    if endpoint.protocol == "modbus":
        from edgeagent.links.modbus import ModbusLink

        return ModbusLink(endpoint)
    if endpoint.protocol == "serial":
        from edgeagent.links.serial import SerialLink

        return SerialLink(endpoint)
    if endpoint.scheme == "icmp":
        from edgeagent.links.icmp import IcmpLink

        return IcmpLink()
    if endpoint.protocol == "ami":
        from edgeagent.links.ami import AmiLink

        return AmiLink(endpoint)
    if endpoint.protocol == "service":
        from edgeagent.links.service import ServiceLink

        return ServiceLink()
    if endpoint.scheme == "seat":
        from edgeagent.links.seats import SeatLink

        return SeatLink()
    if endpoint.protocol == "host":
        from edgeagent.links.host import HostLink

        return HostLink()
    raise ValueError(f"no link speaks {endpoint.protocol}")
