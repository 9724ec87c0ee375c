"""One SNMP device as the link knows it, and what it is being asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeagent.endpoint import Endpoint
from edgeagent.links import Plan
from edgeagent.links.snmplayout import Community, Form
from edgeagent.links.snmpmessage import Ask, Response, Session
from edgeagent.links.snmppoll import Come, Pace
from edgeagent.links.udp import Address
from edgeagent.readings import Missing

if TYPE_CHECKING:
    from edgeagent.links.snmpcourse import Course


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
    course: Course | None = None
    """The one it was asked last."""
    open: list[Question] = field(default_factory=list)


class Question:
    """One request PDU until its answer or its deadline, and again the next time.

    `deadline` and, when it is sent a second time, `again` are loop times; the deadline of one that is not open is 0.
    `ids` are those of its sendings, `peer` is whom it was sent to. Of the last answer it keeps the bytes before and
    after the request-id, and what they said.
    """

    __slots__ = (
        *("again", "ask", "deadline", "device", "form", "ids", "lessons", "oids"),
        *("peer", "rest", "said", "start"),
    )

    def __init__(self, device: Device, ask: Ask, oids: tuple[str, ...]) -> None:
        self.device = device
        self.ask = ask
        self.oids = oids
        session = device.session
        self.form: Form | None = session.form(ask, oids) if isinstance(session, Community) else None
        self.deadline = self.again = 0.0
        self.ids: tuple[int, ...] = ()
        self.peer = ""
        self.lessons = 0
        self.start = self.rest = b""
        self.said: Response | None = None

    def come(self, what: Response | Missing) -> None:
        """Take what it came to, once each time it is asked."""
        raise NotImplementedError


class Single(Question):
    """A question that somebody waits for once."""

    __slots__ = ("_come",)

    def __init__(self, device: Device, ask: Ask, oids: tuple[str, ...], come: Come) -> None:
        super().__init__(device, ask, oids)
        self._come = come

    def come(self, what: Response | Missing) -> None:
        """Pass it on."""
        self._come(what)


def session(endpoint: Endpoint) -> Session:
    """Begin a conversation; what it needs is loaded now."""
    version = endpoint.options["version"]
    slow = endpoint.options.get("engine") == "pysnmp"
    if version == "3":
        if slow:
            from edgeagent.links import snmpv3

            return snmpv3.Usm(endpoint)
        from edgeagent.links.usmsession import Usm

        return Usm(endpoint)
    if slow:
        from edgeagent.links import snmpcodec

        return snmpcodec.Community(version, endpoint.secrets["community"])
    return Community(version, endpoint.secrets["community"])
