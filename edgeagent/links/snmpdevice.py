"""One SNMP device as the link knows it, and what it is being asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from edgeagent.endpoint import Endpoint
from edgeagent.links import Plan
from edgeagent.links.snmpcourse import Course
from edgeagent.links.snmplayout import Community, Form
from edgeagent.links.snmpmessage import Ask, Response, Session
from edgeagent.links.snmppoll import Come, Pace
from edgeagent.links.udp import Address


@dataclass(slots=True, eq=False)
class Device:
    """One conversation: where, how, and what was learnt: the addresses of its name, how much it takes at once."""

    host: str
    port: int
    session: Session
    pace: Pace
    addresses: list[Address]
    numeric: bool
    resolving: asyncio.Task[None] | None = None
    courses: dict[Plan, Course] = field(default_factory=dict)
    open: dict[Question, None] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Question:
    """One request PDU until its answer or its deadline, and again the next time; loop times, in s.

    `again` is when it is sent a second time, `peer` whom it was sent to. Of the last answer it keeps the bytes before
    and after the request-id, and what they said.
    """

    device: Device
    ask: Ask
    oids: tuple[str, ...]
    come: Come
    form: Form | None
    deadline: float = 0.0
    again: float = 0.0
    ids: list[int] = field(default_factory=list)
    peer: str = ""
    lessons: int = 0
    start: bytes = b""
    rest: bytes = b""
    said: Response | None = None


def session(endpoint: Endpoint) -> Session:
    """Begin a conversation; what it needs is loaded now."""
    version = endpoint.options["version"]
    if version == "3":
        from edgeagent.links.snmpv3 import Usm

        return Usm(endpoint)
    if endpoint.options.get("engine") == "pysnmp":
        from edgeagent.links import snmpcodec

        return snmpcodec.Community(version, endpoint.secrets["community"])
    return Community(version, endpoint.secrets["community"])
