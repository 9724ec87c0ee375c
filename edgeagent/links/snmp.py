"""All SNMP hosts over one UDP socket an address family: many questions in flight, each with its own deadline.

Owns the sockets, request-ids, deadlines and resends. `snmpcourse` and, where that knows no further, `snmppoll` split a
poll into questions. `snmplayout` turns those of v1 and v2c into bytes and back, `usmsession` those of v3. `snmpcodec`
and `snmpv3` do the same where a device is to be asked by pysnmp, and are loaded when such a device is first asked.

What a question came to, a `Response` or a `Missing`, goes to its callback. There is no task, no future and, as long as
a device goes on answering as it did, no new object a poll but what changed. One timer turns the wheel of deadlines.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from edgeagent.links import Plan, Target
from edgeagent.links.snmpcourse import Course
from edgeagent.links.snmpdevice import Device, Question, Single, session
from edgeagent.links.snmpmessage import FIRST_ID, LAST_ID, Ask, Foreign, Response, Row, peek
from edgeagent.links.snmppoll import Come, Known, Pace, Poll, next_row
from edgeagent.links.udp import To, addresses, numeric, opened, room
from edgeagent.links.wheel import Wheel
from edgeagent.readings import Answers, Missing

_log = logging.getLogger(__name__)

_LESSONS: Final = 3
"""How often one question is asked again because the engine told its id or clock: id, clock, and a reboot."""
_DATAGRAMS: Final = 128
"""Datagrams taken in one turn of the loop, so that what they tell is not held up for long; the next takes the rest."""
_BURST: Final = 4096
"""Requests sent in a row at most, before all that was answered is read: as many as the buffer has room for answers."""
_COURSES: Final = 512
"""Plans of one device whose course is kept: a switch is a device a port."""
_TARGETS: Final = 1 << 16
"""Targets whose device is found without looking at what they say."""


class SnmpLink:
    """The medium that all SNMP devices share, v1, v2c and v3."""

    def __init__(self) -> None:
        self._devices: dict[tuple[str, ...], Device] = {}
        self._targets: dict[int, tuple[Target, Device]] = {}
        self._sockets: dict[int, socket.socket] = {}
        self._by_id: dict[int, Question] = {}
        self._fresh = _idents()
        self._places: dict[int, int] = {}
        self._wheel: Wheel[Question] = Wheel(_is_open)
        self._timer: asyncio.TimerHandle | None = None
        self._out: deque[tuple[socket.socket, bytes, To, int]] = deque()
        """Requests that go out together, once the loop has done what it is about, with their ids."""
        self._burst, self._held_up = _BURST, False
        self._put, self._go_on = self._ask, self._poll  # one object each for all courses
        self._bug: asyncio.Future[None] | None = None
        self._time: Callable[[], float] = lambda: asyncio.get_running_loop().time()
        """Loop time; once `run` knows the loop, its own clock."""

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        """Start one poll; see `Link.ask`. Its deadline runs from now, whether or not `run` has opened the sockets."""
        known = self._targets.get(id(target))
        device = known[1] if known is not None and known[0] is target else self._device(target)
        course = device.course
        if course is None or course.plan is not plan:
            if not plan.gets and not plan.walks:
                asyncio.get_running_loop().call_soon(self._guard, done, {})
                return
            course = self._course(device, plan)
        deadline = self._time() + target.timeout
        if course.busy:
            self._poll(device, plan, {}, deadline, done)
        else:
            course.start(deadline, done)

    def _course(self, device: Device, plan: Plan) -> Course:
        course = device.courses.get(plan)
        if course is None:
            if len(device.courses) >= _COURSES:
                del device.courses[next(iter(device.courses))]
            course = device.courses[plan] = Course(device, plan, self._put, self._go_on)
        device.course = course
        return course

    def _poll(self, device: Device, plan: Plan, known: Known, deadline: float, done: Callable[[Answers], None]) -> None:
        def put(ask: Ask, oids: tuple[str, ...], come: Come) -> None:
            self._ask(Single(device, ask, oids, come), deadline)

        Poll(plan, device.pace, put, done, known).step()

    async def run(self) -> None:
        """Own the sockets until cancelled; polls under way then end as LINK_DOWN. Raises what a callback raised."""
        loop = asyncio.get_running_loop()
        self._bug, self._time = loop.create_future(), loop.time
        try:
            for family in (socket.AF_INET, socket.AF_INET6):
                self._listen(loop, family)
            for question in self._all_open():
                self._send(question)
            await self._bug
        finally:
            for sock in self._sockets.values():
                loop.remove_reader(sock)
                sock.close()
            self._sockets.clear()
            for question in self._all_open():
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
                self._ask(Single(device, Ask.NEXT, (last,), partial(_settle, answer)), loop.time() + target.timeout)
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

    def _ask(self, question: Question, deadline: float) -> None:
        """Ask a question until this loop time; it gets what it came to exactly once, never from inside this call."""
        question.deadline, question.again = deadline, (self._time() + deadline) / 2
        question.peer, question.lessons = "", 0
        question.device.open.append(question)
        self._look_at(question, question.again)
        self._send(question)

    def _all_open(self) -> list[Question]:
        return [question for device in self._devices.values() for question in device.open]

    def _device(self, target: Target) -> Device:
        """Find the device that is meant, or begin with it; targets of one device share it."""
        endpoint = target.endpoint
        key = (
            *(endpoint.host, str(endpoint.port), endpoint.user),
            *endpoint.options.values(),
            *endpoint.secrets.values(),
        )
        device = self._devices.get(key)
        if device is None:
            addresses = numeric(endpoint.host, endpoint.port)
            pace = Pace(target.quirks.objects)
            device = Device(endpoint.host, endpoint.port, session(endpoint), pace, addresses, bool(addresses))
            self._devices[key] = device
        if len(self._targets) >= _TARGETS:
            self._targets.clear()
        self._targets[id(target)] = target, device
        return device

    def _listen(self, loop: asyncio.AbstractEventLoop, family: socket.AddressFamily) -> None:
        try:
            sock = opened(family)
        except OSError as error:
            _log.info("no %s here: %s", family.name, error)
            return
        self._sockets[family] = sock
        self._burst = min(self._burst, room(sock))
        loop.add_reader(sock, self._guard, self._drain, sock, _DATAGRAMS)

    def _send(self, question: Question) -> None:
        device = question.device
        if not device.addresses:
            self._resolve(device)
        for family, address in device.addresses:
            sock = self._sockets.get(family)
            if sock is None:
                continue
            ident = next(self._fresh)
            while ident in self._by_id:
                ident = next(self._fresh)
            form = question.form
            if form is None:
                data = device.session.wrap(question.ask, question.oids, ident)
            else:
                data = form.head + ident.to_bytes(4, "big") + form.tail
            question.peer = address[0]
            question.ids += (ident,)
            self._by_id[ident] = question
            if not self._out:
                asyncio.get_running_loop().call_soon(self._guard, self._go)
            self._out.append((sock, data, address, ident))
            return

    def _go(self) -> None:
        """Send what waits in one go, so that who answers is woken once; what is more, when no answer lies unread."""
        if self._held_up and not all(self._drain(sock, self._burst) for sock in self._sockets.values()):
            asyncio.get_running_loop().call_soon(self._guard, self._go)
            return
        out, left = self._out, self._burst
        while out and left:
            sock, data, address, ident = out.popleft()
            if ident not in self._by_id:  # its time is over
                continue
            left -= 1
            try:
                sock.sendto(data, address)
            except OSError as error:  # no route, no room: the second sending may fare better
                _log.debug("%s: %s", address[0], error)
                self._unsent(ident)
        self._held_up = bool(out)
        if out:
            asyncio.get_running_loop().call_soon(self._guard, self._go)

    def _unsent(self, ident: int) -> None:
        question = self._by_id.pop(ident)
        question.ids = tuple(each for each in question.ids if each != ident)
        if not question.ids:
            question.peer = ""

    def _close(self, question: Question, what: Response | Missing) -> None:
        question.deadline = 0.0
        question.device.open.remove(question)
        self._drop_ids(question)
        question.come(what)

    def _drop_ids(self, question: Question) -> None:
        for ident in question.ids:
            del self._by_id[ident]
        question.ids = ()

    def _drain(self, sock: socket.socket, most: int) -> bool:
        """Take what lies in the buffer, up to so many; return whether that was all."""
        for _ in range(most):
            try:
                data, address = sock.recvfrom(65535)
            except BlockingIOError:
                return True
            except OSError as error:
                _log.debug("receiving: %s", error)
                continue
            self._take(data, address)
        return False

    def _take(self, data: bytes, address: tuple[str, int]) -> None:
        """Give a datagram to the question it answers; what is late, foreign or forged goes without a word."""
        # Answers of one length have their id in one place, mostly; what says so wrongly is found out by what reads it.
        at = self._places.get(len(data), 0)
        ident = int.from_bytes(data[at : at + 4], "big")
        question = self._by_id.get(ident)
        if question is None or question.form is None:
            head = peek(data)
            question = self._by_id.get(head[1]) if head else None
            if head is None or question is None or head[0] != question.device.session.version:
                return
            _, ident, at = head
            self._places[len(data)] = at
        if address[0] != question.peer or address[1] != question.device.port:
            return
        try:
            what = self._read(question, data, ident, at)
        except Foreign:
            return
        except Exception as error:  # noqa: BLE001 - the link's edge: the codec raises far more than its own errors
            _log.debug("%s sent no valid answer: %r", question.device.host, error)
            what = Missing.MALFORMED
        if what is not None:
            self._close(question, what)
        elif question.lessons < _LESSONS:
            question.lessons += 1
            for stale in list(question.device.open):
                self._drop_ids(stale)  # asked under the old id or clock, refused for that alone
                self._send(stale)

    def _read(self, question: Question, data: bytes, ident: int, at: int) -> Response | Missing | None:
        """Return what an answer says: the same object as last time when the same bytes say it."""
        form = question.form
        if form is None:
            return question.device.session.unwrap(data, ident, question.oids)
        rest = data[at + 4 :]
        if rest == question.rest and question.said is not None and data[:at] == question.start:
            return question.said
        said = form.read(data, ident, at)
        question.start, question.rest, question.said = data[:at], rest, said
        return said

    def _look_at(self, question: Question, when: float) -> None:
        wake = self._wheel.add(question, when)
        if wake is not None:
            self._set_timer(wake)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._guard, self._sweep)

    def _sweep(self) -> None:
        """Send what is due a second time and end what is past its deadline."""
        self._timer = None
        for sock in self._sockets.values():  # what lies in the buffer came in time
            self._drain(sock, len(self._by_id))
        now = asyncio.get_running_loop().time()
        for question in self._wheel.due(now):
            if question.deadline <= now:
                self._time_out(question)
            elif question.again <= now:  # else it was answered and asked anew since, and is in the wheel anew
                question.again = question.deadline
                self._look_at(question, question.deadline)
                self._send(question)
        wake = self._wheel.next()
        if wake is not None:
            self._set_timer(wake)

    def _time_out(self, question: Question) -> None:
        sent = bool(question.peer)
        if sent:
            question.device.session.forget()
            if not question.device.numeric:
                self._resolve(question.device)  # its name may stand for another address by now
        self._close(question, Missing.TIMEOUT if sent else Missing.LINK_DOWN)

    def _resolve(self, device: Device) -> None:
        if device.resolving is None:
            device.resolving = asyncio.get_running_loop().create_task(self._look_up(device))

    async def _look_up(self, device: Device) -> None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(device.host, device.port, type=socket.SOCK_DGRAM)
        except OSError as error:  # an address once known stays: in a power cut the name server may go first
            _log.info("%s: %s", device.host, error)
        else:
            device.addresses = addresses(found)
        device.resolving = None
        self._guard(self._looked_up, device)

    def _looked_up(self, device: Device) -> None:
        for question in list(device.open):
            if not question.ids:
                if device.addresses:
                    self._send(question)
                else:
                    self._close(question, Missing.LINK_DOWN)

    def _guard(self, call: Callable[..., object], *args: object) -> None:
        """Let a bug end `run`; from a callback it would only be logged, and the link stay half alive."""
        try:
            call(*args)
        except Exception as bug:
            if self._bug is None or self._bug.done():
                raise
            self._bug.set_exception(bug)


def _is_open(question: Question) -> bool:
    return question.deadline > 0


def _idents() -> Iterator[int]:
    """Yield request-ids for ever, random so that nobody can answer for a device without having heard the question."""
    while True:
        for (word,) in struct.iter_unpack(">I", os.urandom(4096)):
            ident = word & 0x7FFFFFFF
            if FIRST_ID <= ident <= LAST_ID:
                yield ident


def _settle(answer: asyncio.Future[Response | Missing], what: Response | Missing) -> None:
    if not answer.done():
        answer.set_result(what)
