"""All SNMP hosts over one UDP socket an address family: many questions in flight, each with its own deadline.

Owns the sockets, request-ids, deadlines and resends. `snmppoll` splits a poll into questions. `snmpcodec` (v1, v2c) and
`snmpv3` turn questions into bytes; they load pysnmp and are loaded when a device is first asked.

What a question came to, a `Response` or a `Missing`, goes to its callback. There is no task and no future a poll; one
timer sweeps the open questions.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias, cast

from edgeagent.endpoint import Endpoint
from edgeagent.links import Plan, Target
from edgeagent.links.snmpmessage import FIRST_ID, LAST_ID, Ask, Foreign, Response, Row, Session, peek
from edgeagent.links.snmppoll import Come, Pace, Poll, next_row
from edgeagent.readings import Answers, Missing

_log = logging.getLogger(__name__)

_LESSONS: Final = 3
"""How often one question is asked again because the engine told its id or clock: id, clock, and a reboot."""
_GRAIN: Final = 0.02
"""Deadlines this close together, in s, share a wake-up."""
_DATAGRAMS: Final = 32
"""Datagrams taken in one go, so that decoding them never holds up the loop for long."""
_BUFFER: Final = 4 * 1024 * 1024
"""Receive buffer asked for, in bytes: the answers of a slot arrive together."""

_Address: TypeAlias = tuple[int, tuple[str, int] | tuple[str, int, int, int]]


@dataclass(slots=True, eq=False)
class _Device:
    """One conversation: where, how, and what was learnt: the addresses of its name, how much it takes at once."""

    host: str
    port: int
    session: Session
    pace: Pace
    addresses: list[_Address]
    numeric: bool
    resolving: asyncio.Task[None] | None = None


@dataclass(slots=True, eq=False)
class _Question:
    """One request PDU until its answer or its deadline. `again` is when it is sent a second time; loop times, in s."""

    device: _Device
    ask: Ask
    oids: tuple[str, ...]
    deadline: float
    again: float
    come: Come
    ids: list[int] = field(default_factory=list)
    peer: str = ""
    lessons: int = 0


class SnmpLink:
    """The medium that all SNMP devices share, v1, v2c and v3."""

    def __init__(self) -> None:
        self._devices: dict[tuple[str, ...], _Device] = {}
        self._sockets: dict[int, socket.socket] = {}
        self._open: dict[_Question, None] = {}
        self._by_id: dict[int, _Question] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._bug: asyncio.Future[None] | None = None

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        """Start one poll; see `Link.ask`. Its deadline runs from now, whether or not `run` has opened the sockets."""
        loop = asyncio.get_running_loop()
        if not plan.gets and not plan.walks:
            loop.call_soon(self._guard, done, {})
            return
        device = self._device(target)
        Poll(plan, device.pace, partial(self._put, device, loop.time() + target.timeout), done).step()

    async def run(self) -> None:
        """Own the sockets until cancelled; polls under way then end as LINK_DOWN. Raises what a callback raised."""
        loop = asyncio.get_running_loop()
        self._bug = loop.create_future()
        try:
            for family in (socket.AF_INET, socket.AF_INET6):
                self._listen(loop, family)
            for question in list(self._open):
                self._send(question)
            await self._bug
        finally:
            for sock in self._sockets.values():
                loop.remove_reader(sock)
                sock.close()
            self._sockets.clear()
            for question in list(self._open):
                self._close(question, Missing.LINK_DOWN)

    async def walk_all(
        self, target: Target, roots: tuple[str, ...], limit: int
    ) -> list[tuple[str, int, int | bytes | str]]:
        """Walk subtrees for a recording: (OID, BER tag as in snmprec files, value) of at most `limit` rows.

        ASN.1 NULL has the value b"". A silent or lying device ends the walk of its subtree, what it gave before is
        returned, and the log says where that was.
        """
        loop = asyncio.get_running_loop()
        device = self._device(target)
        found: list[tuple[str, int, int | bytes | str]] = []
        for root in roots:
            last = root
            while len(found) < limit:
                answer: asyncio.Future[Response | Missing] = loop.create_future()
                self._put(device, loop.time() + target.timeout, Ask.NEXT, (last,), partial(_settle, answer))
                row = next_row(await answer, root, last)
                if isinstance(row, Missing):
                    _log.warning("%s: the walk of %s stopped after %s: %s", target.name, root, last, row)
                if not isinstance(row, Row):
                    break
                last = row.oid
                if row.value is Missing.NULL:
                    found.append((row.oid, row.tag, b""))
                elif not isinstance(row.value, Missing | float):
                    found.append((row.oid, row.tag, row.value))
        return found

    def _put(self, device: _Device, deadline: float, ask: Ask, oids: tuple[str, ...], come: Come) -> None:
        """Ask one question; `come` gets what it came to, exactly once and never from inside this call."""
        now = asyncio.get_running_loop().time()
        question = _Question(device, ask, oids, deadline, now + (deadline - now) / 2, come)
        self._open[question] = None
        self._wake(question.again)
        self._send(question)

    def _device(self, target: Target) -> _Device:
        endpoint = target.endpoint
        key = (
            *(endpoint.host, str(endpoint.port), endpoint.user),
            *endpoint.options.values(),
            *endpoint.secrets.values(),
        )
        device = self._devices.get(key)
        if device is None:
            addresses = _numeric(endpoint.host, endpoint.port)
            pace = Pace(target.quirks.objects)
            device = _Device(endpoint.host, endpoint.port, _session(endpoint), pace, addresses, bool(addresses))
            self._devices[key] = device
        return device

    def _listen(self, loop: asyncio.AbstractEventLoop, family: socket.AddressFamily) -> None:
        # Never connected: an ICMP error for one host would else fail the next call, made for another.
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            _log.info("no %s here: %s", family.name, error)
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._sockets[family] = sock
        loop.add_reader(sock, self._guard, self._drain, sock, _DATAGRAMS)

    def _send(self, question: _Question) -> None:
        device = question.device
        if not device.addresses:
            self._resolve(device)
        for family, address in device.addresses:
            sock = self._sockets.get(family)
            if sock is None:
                continue
            ident = self._new_id()
            data = device.session.wrap(question.ask, question.oids, ident)
            try:
                sock.sendto(data, address)
            except OSError as error:  # no route, no room: the second sending may fare better
                _log.debug("%s: %s", device.host, error)
                return
            question.peer = address[0]
            question.ids.append(ident)
            self._by_id[ident] = question
            return

    def _new_id(self) -> int:
        while True:
            ident = FIRST_ID + secrets.randbelow(LAST_ID - FIRST_ID + 1)
            if ident not in self._by_id:
                return ident

    def _close(self, question: _Question, what: Response | Missing) -> None:
        del self._open[question]
        self._drop_ids(question)
        question.come(what)

    def _drop_ids(self, question: _Question) -> None:
        for ident in question.ids:
            del self._by_id[ident]
        question.ids.clear()

    def _drain(self, sock: socket.socket, most: int) -> None:
        for _ in range(most):
            try:
                data, address = sock.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("receiving: %s", error)
                continue
            self._take(data, address)

    def _take(self, data: bytes, address: tuple[str, int]) -> None:
        """Give a datagram to the question it answers; what is late, foreign or forged goes without a word."""
        head = peek(data)
        question = self._by_id.get(head[1]) if head else None
        if head is None or question is None:
            return
        device, session = question.device, question.device.session
        if head[0] != session.version or address[0] != question.peer or address[1] != device.port:
            return
        try:
            what = session.unwrap(data, head[1])
        except Foreign:
            return
        except Exception as error:  # noqa: BLE001 - the link's edge: the codec raises far more than its own errors
            _log.debug("%s sent no valid answer: %r", device.host, error)
            what = Missing.MALFORMED
        if what is not None:
            self._close(question, what)
        elif question.lessons < _LESSONS:
            question.lessons += 1
            for stale in [other for other in self._open if other.device is device]:
                self._drop_ids(stale)  # asked under the old id or clock, refused for that alone
                self._send(stale)

    def _wake(self, when: float) -> None:
        if self._timer is None or when < self._timer.when() - _GRAIN:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(when, self._guard, self._sweep)

    def _sweep(self) -> None:
        """Send what is due a second time and end what is past its deadline."""
        self._timer = None
        for sock in self._sockets.values():  # what lies in the buffer came in time
            self._drain(sock, len(self._open))
        now = asyncio.get_running_loop().time()
        for question in list(self._open):
            if question not in self._open:
                continue
            if question.deadline <= now:
                self._time_out(question)
            elif question.again <= now:
                question.again = question.deadline
                self._send(question)
        if self._open:
            self._wake(max(now + _GRAIN, min(question.again for question in self._open)))

    def _time_out(self, question: _Question) -> None:
        sent = bool(question.peer)
        if sent:
            question.device.session.forget()
            if not question.device.numeric:
                self._resolve(question.device)  # its name may stand for another address by now
        self._close(question, Missing.TIMEOUT if sent else Missing.LINK_DOWN)

    def _resolve(self, device: _Device) -> None:
        if device.resolving is None:
            device.resolving = asyncio.get_running_loop().create_task(self._look_up(device))

    async def _look_up(self, device: _Device) -> None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(device.host, device.port, type=socket.SOCK_DGRAM)
        except OSError as error:  # an address once known stays: in a power cut the name server may go first
            _log.info("%s: %s", device.host, error)
        else:
            device.addresses = _addresses(found)
        device.resolving = None
        self._guard(self._looked_up, device)

    def _looked_up(self, device: _Device) -> None:
        for question in list(self._open):
            if question.device is device and not question.ids:
                if device.addresses:
                    self._send(question)
                else:
                    self._close(question, Missing.LINK_DOWN)

    def _guard(self, call: Callable[..., None], *args: object) -> None:
        """Let a bug end `run`; from a callback it would only be logged, and the link stay half alive."""
        try:
            call(*args)
        except Exception as bug:
            if self._bug is None or self._bug.done():
                raise
            self._bug.set_exception(bug)


def _settle(answer: asyncio.Future[Response | Missing], what: Response | Missing) -> None:
    if not answer.done():
        answer.set_result(what)


def _numeric(host: str, port: int) -> list[_Address]:
    """Return the address of a host given by number, nothing when it is a name. Asks no name server."""
    try:
        return _addresses(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST))
    except OSError:
        return []


def _addresses(found: Iterable[tuple[int, int, int, str, object]]) -> list[_Address]:
    # IPv4 first: many a card has an IPv6 address in the name service and no SNMP behind it.
    known = [cast("_Address", (entry[0], entry[4])) for entry in found if entry[0] in (socket.AF_INET, socket.AF_INET6)]
    return sorted(known, key=lambda address: address[0] != socket.AF_INET)


def _session(endpoint: Endpoint) -> Session:
    version = endpoint.options["version"]
    if version == "3":
        from edgeagent.links.snmpv3 import Usm

        return Usm(endpoint)
    from edgeagent.links.snmpcodec import Community

    return Community(version, endpoint.secrets["community"])
