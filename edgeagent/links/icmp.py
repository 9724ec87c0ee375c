"""Hosts that answer an echo, or do not: one socket an address family for all of them, many questions in flight.

As with services, silence is the answer. `Missing` is only what keeps this host from asking: DENIED where it may send no
echoes, LINK_DOWN where no way leads out. A question is sent twice, the second time at half of its deadline. A reply
counts when it bears a number and a secret of ours and comes from whom we asked; late, doubled and foreign ones do not.

Addresses (raw values): answer (ok, silent, unresolved), latency (ms until the answer), scheme (icmp).
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias, cast

from edgeagent.endpoint import Endpoint
from edgeagent.links import Plan, Target
from edgeagent.links.carrier import NETWORK, cut_off
from edgeagent.links.echo import Wire, bare, open_wire
from edgeagent.links.turns import Done, same
from edgeagent.readings import Missing, Raw

_log = logging.getLogger(__name__)

_GRAIN: Final = 0.05
"""Deadlines this close together, in s, share a wake-up."""
_DATAGRAMS: Final = 64
"""Datagrams taken in one go, so that a flood never holds up the loop for long."""
_RETRY: Final = 60.0
"""s after which a host that refused its sockets is asked for them again."""
_FRESH: Final = 300.0
"""s that the address of a name counts; another machine may have it after that."""
_SOON: Final = 60.0
"""s after which a name is looked up again when its address keeps silent."""
_LATER: Final = frozenset({errno.ENOBUFS, errno.ENOMEM})
"""The table of neighbours is full (net.ipv4.neigh.default.gc_thresh3): the second sending may find a place."""
_NO_WAY: Final = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EHOSTUNREACH})
_DENIED: Final = (
    "this host does not let the agent send echoes: have net.ipv4.ping_group_range hold the agent's group, as "
    "60-edgeagent.conf in /etc/sysctl.d does, or set AmbientCapabilities=CAP_NET_RAW as edgeagent.service says: %s"
)

_Address: TypeAlias = tuple[int, tuple[str, int] | tuple[str, int, int, int]]


@dataclass(slots=True, eq=False)
class _Host:
    """Where a host is: its addresses, since when they are known (loop time), whether its name says them."""

    name: str
    addresses: list[_Address]
    numeric: bool
    near: bool
    known: float = 0.0
    resolving: asyncio.Task[None] | None = None
    waiting: list[_Question] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Question:
    """One poll until its answer or its deadline (loop time, s). `error` is why nothing could be sent, while so."""

    host: _Host
    plan: Plan
    done: Done
    deadline: float
    peer: str = ""
    numbers: list[int] = field(default_factory=list)
    error: Missing | None = Missing.LINK_DOWN
    open: bool = True


class IcmpLink:
    """The medium that all echoes share, IPv4 and IPv6."""

    def __init__(self, network: Path = NETWORK, wire: Callable[[int, int], Wire] = open_wire) -> None:
        self._network, self._wire = network, wire
        self._ident = secrets.randbelow(0xFFFF) + 1
        self._nonce = secrets.token_bytes(8)
        self._hosts: dict[str, _Host] = {}
        self._wires: dict[int, Wire] = {}
        self._asked: dict[int, tuple[_Question, float]] = {}
        self._open: dict[_Question, None] = {}
        self._due: list[tuple[float, int, _Question]] = []
        self._waiting: dict[int, deque[_Question]] = {}
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._bug: asyncio.Future[None] | None = None
        self._denied: float | None = None
        self._warned = False

    def ask(self, target: Target, plan: Plan, done: Done) -> None:
        """Start one poll; see `Link.ask`. Its deadline runs from now, whether or not `run` has opened the sockets."""
        now = asyncio.get_running_loop().time()
        if self._denied is not None and now - self._denied >= _RETRY:
            self._listen()
        question = _Question(self._host(target.endpoint), plan, done, now + target.timeout)
        self._open[question] = None
        self._push(now + target.timeout / 2, question)
        self._renew(question.host, now, _FRESH)
        if question.host.addresses:
            self._send(question)
        else:
            question.host.waiting.append(question)

    async def run(self) -> None:
        """Own the sockets until cancelled; polls under way then end as LINK_DOWN. Raises what a callback raised."""
        loop = asyncio.get_running_loop()
        self._bug = loop.create_future()
        try:
            self._listen()
            for question in list(self._open):
                self._send(question)
            await self._bug
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for wire in self._wires.values():
                loop.remove_reader(wire.sock)
                loop.remove_writer(wire.sock)
                wire.sock.close()
            self._wires.clear()
            for question in list(self._open):
                self._close(question, Missing.LINK_DOWN)

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._denied = None
        for family in (socket.AF_INET, socket.AF_INET6):
            if family in self._wires:
                continue
            try:
                wire = self._wire(family, self._ident)
            except PermissionError as error:
                self._denied = loop.time()
                if not self._warned:
                    self._warned = True
                    _log.warning(_DENIED, error)
            except OSError as error:
                _log.info("no %s here: %s", family.name, error)
            else:
                self._wires[family] = wire
                loop.add_reader(wire.sock, self._guard, self._drain, wire, _DATAGRAMS)

    def _host(self, endpoint: Endpoint) -> _Host:
        host = self._hosts.get(endpoint.host)
        if host is None:
            addresses = _numeric(endpoint.host)
            host = _Host(endpoint.host, addresses, bool(addresses), endpoint.on_loopback)
            self._hosts[endpoint.host] = host
        return host

    # -- asking -----------------------------------------------------------------------------------------------

    def _send(self, question: _Question) -> None:
        """Send an echo to the first address for which there is a socket."""
        for family, address in question.host.addresses:
            wire = self._wires.get(family)
            if wire is None:
                continue
            number = self._number = self._number + 1
            sent = time.time()
            try:
                wire.sock.sendto(wire.question(self._nonce, number), address)
            except OSError as error:
                self._failed(question, wire, error)
                return
            question.peer, question.error = bare(address[0]), None
            question.numbers.append(number)
            self._asked[number] = question, sent
            return
        if self._denied is not None:
            question.error = Missing.DENIED

    def _failed(self, question: _Question, wire: Wire, error: OSError) -> None:
        if question.error is not None:
            known = error.errno in _NO_WAY | _LATER or isinstance(error, BlockingIOError)
            question.error = Missing.LINK_DOWN if known else Missing.ERROR
        if not isinstance(error, BlockingIOError):
            _log.debug("%s: %s", question.host.name, error)
            return
        # Echoes to neighbours that are gone fill the buffer until the kernel gives them up: the others wait for room.
        waiting = self._waiting.setdefault(wire.family, deque())
        if not waiting:
            asyncio.get_running_loop().add_writer(wire.sock, self._guard, self._room, wire)
        waiting.append(question)

    def _room(self, wire: Wire) -> None:
        """Send what waited, as much of it as there is room for now."""
        asyncio.get_running_loop().remove_writer(wire.sock)
        waiting = self._waiting.pop(wire.family, deque())
        while waiting and wire.family not in self._waiting:
            question = waiting.popleft()
            if question.open:
                self._send(question)
        if waiting:
            self._waiting[wire.family].extend(waiting)

    # -- answers ----------------------------------------------------------------------------------------------

    def _drain(self, wire: Wire, most: int) -> None:
        for _ in range(most):
            try:
                data, peer, came = wire.receive()
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("receiving: %s", error)
                continue
            number = wire.number(data, self._nonce)
            asked = None if number is None else self._asked.get(number)
            if asked is not None and asked[0].peer == peer:
                self._answer(asked[0], "ok", round(max(came - asked[1], 0.0) * 1000, 1))

    def _answer(self, question: _Question, answer: str, latency: Raw = Missing.NULL) -> None:
        self._close(question, {"scheme": b"icmp", "answer": answer, "latency": latency})

    def _close(self, question: _Question, what: dict[str, Raw] | Missing) -> None:
        del self._open[question]
        question.open = False
        for number in question.numbers:
            del self._asked[number]
        plan = question.plan
        if isinstance(what, Missing):
            question.done(same(plan, what))
        else:
            question.done(same(plan, Missing.ABSENT) | {id: what[id] for id in plan.gets if id in what})

    # -- deadlines --------------------------------------------------------------------------------------------

    def _push(self, due: float, question: _Question) -> None:
        self._number += 1
        heapq.heappush(self._due, (due, self._number, question))
        if self._timer is None or due < self._timer.when() - _GRAIN:
            self._wake(due)

    def _wake(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._guard, self._sweep)

    def _sweep(self) -> None:
        """Send what is due a second time and end what is past its deadline."""
        self._timer = None
        for wire in self._wires.values():  # what lies in the buffer came in time
            self._drain(wire, len(self._open))
        now = asyncio.get_running_loop().time()
        alone: bool | None = None
        while self._due and self._due[0][0] <= now + _GRAIN / 2:
            due, _, question = heapq.heappop(self._due)
            if not question.open:
                continue
            if due < question.deadline:
                self._send(question)
                self._push(question.deadline, question)
                continue
            alone = cut_off(self._network) if alone is None else alone
            self._time_out(question, now, alone)
        while self._due and not self._due[0][2].open:
            heapq.heappop(self._due)
        if self._due:
            self._wake(max(now + _GRAIN, self._due[0][0]))

    def _time_out(self, question: _Question, now: float, alone: bool) -> None:
        host = question.host
        if question.error is not None:
            self._close(question, question.error)
            return
        self._renew(host, now, _SOON)
        if alone and not host.near:
            self._close(question, Missing.LINK_DOWN)
        else:
            self._answer(question, "silent")

    # -- names ------------------------------------------------------------------------------------------------

    def _renew(self, host: _Host, now: float, age: float) -> None:
        """Look a name up when its address is that old."""
        if not host.numeric and host.resolving is None and (not host.addresses or now - host.known >= age):
            host.resolving = asyncio.get_running_loop().create_task(self._look_up(host))

    async def _look_up(self, host: _Host) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host.name, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:  # in a power cut the name server may go first: what is known stays
            _log.info("%s: %s", host.name, error)
        else:
            host.addresses = _addresses(found)
        host.known, host.resolving = loop.time(), None
        self._guard(self._looked_up, host)

    def _looked_up(self, host: _Host) -> None:
        waiting, host.waiting = host.waiting, []
        for question in waiting:
            if question.open and host.addresses:
                self._send(question)
            elif question.open:
                self._answer(question, "unresolved")

    def _guard(self, call: Callable[..., None], *args: object) -> None:
        """Let a bug end `run`; from a callback it would only be logged, and the link stay half alive."""
        try:
            call(*args)
        except Exception as bug:
            if self._bug is None or self._bug.done():
                raise
            self._bug.set_exception(bug)


def _numeric(host: str) -> list[_Address]:
    """Return the address of a host given by number, nothing when it is a name. Asks no name server."""
    try:
        return _addresses(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        return []


def _addresses(found: Iterable[tuple[int, int, int, str, object]]) -> list[_Address]:
    # IPv4 first, as the switch and the name service of most floors know their machines.
    known = [cast("_Address", (entry[0], entry[4])) for entry in found if entry[0] in (socket.AF_INET, socket.AF_INET6)]
    return sorted(known, key=lambda address: address[0] != socket.AF_INET)
