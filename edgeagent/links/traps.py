"""Traps and informs of SNMP devices, v1, v2c and v3, as hints: whoever sends one is polled at once.

**A hint is no truth.** A trap is one datagram: it can be lost, come late, come twice, come from somebody else, and it
says what was so when it was sent. Nobody repeats the one that would have cleared an alarm. Vendors number the same
event differently and copy each other's numbers with other meanings. So a trap raises nothing, clears nothing and gives
no reading; it only moves the next poll forward, and the answer to that says what is so. Without any trap the same is
seen a poll's interval later.

Owns the sockets, and when traps make polls: a burst makes one at once and one after it, so that what the last trap
told of is seen. Who may send is in `trapbook`, the bytes are read by `trapmessage` and `trapv3`. Packets from
addresses where no device is go unread.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import logging
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from edgeagent.endpoint import Endpoint
from edgeagent.links import trapmessage
from edgeagent.links.ber import Malformed
from edgeagent.links.trapbook import RATE, Allowance, Book, Notes, Sender, plain
from edgeagent.links.trapmessage import Notification
from edgeagent.links.udp import BUFFER, opened
from edgeagent.trapconfig import Traps

if TYPE_CHECKING:
    from edgeagent.links.trapv3 import Account, Receiver

_log = logging.getLogger(__name__)

APART: Final = 0.5
"""Seconds between two polls that traps of one address make."""
RETRY: Final = 30.0
"""Seconds until an address that could not be bound is tried again."""
REFRESH: Final = 300.0
"""Seconds until the names of devices are looked up again."""
PACKETS: Final = 10_000
"""Packets of all addresses taken from the sockets in a row, and in a second: what is beyond waits in the kernel."""
_GO: Final = 0.02
"""Seconds for which packets are taken in one go: what the polls they make bring in takes longer than they do."""
_PAUSE: Final = 0.05
"""Seconds for which a socket is left alone when PACKETS are used up."""
_LATER: Final = 0.2
"""Seconds after which a line is written about a trap: the poll that it makes comes first."""
_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

State: TypeAlias = Literal["off", "listening", "failing"]


class Fate(StrEnum):
    """What became of a packet."""

    TAKEN = "taken"
    """From a device, by its community or user."""
    QUESTION = "question"
    """A v3 engine asks for our id or clock, in order to send an inform."""
    UNKNOWN = "unknown"
    """From where no device is, or relayed for none of ours."""
    DENIED = "denied"
    """By a community or user that is not the device's."""
    MALFORMED = "malformed"
    FLOODED = "flooded"
    """Beyond what is read of one address."""


_Line: TypeAlias = tuple[float, tuple[str, str], str, str, tuple[str, ...]]
"""When a trap came, whose it was, what it told of, and what is written about that."""


class _Heard(NamedTuple):
    """What a packet came to: whose it is, what it tells, what goes back; or why nothing is done for it."""

    fate: Fate
    sender: Sender | None = None
    notification: Notification | None = None
    reply: bytes | None = None
    why: str = ""


class TrapListener:
    """Listens where the site says and calls `hint` with a device's id when it is to be polled at once.

    `name` and `boots` make our own SNMP engine, which v3 informs are sent to: a name of our own, a number that grows
    with every start.
    """

    def __init__(self, hint: Callable[[str], None], name: str, boots: int) -> None:
        self._hint, self._name, self._boots = hint, name, boots
        self.state: State = "off"
        self.counts: Counter[Fate] = Counter()
        """Packets since the start."""
        self.polls = 0
        """Polls that traps made, counted for each device."""
        self._traps: Traps | None = None
        self._book = Book(self._account)
        self._receiver: Receiver | None = None
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._asked = asyncio.Event()
        # Apart, so that a stranger who sends much cannot keep what devices send out of the log.
        self._notes, self._strangers = Notes(200, 1.0), Notes(20, 1 / 60)
        self._lines = list[_Line]()
        self._allowance = Allowance(PACKETS, PACKETS)
        self._bug: Exception | None = None

    def follow(self, traps: Traps | None, endpoints: Mapping[str, Endpoint]) -> None:
        """Listen like this from now on (None: not at all) for these devices, by their ids."""
        self._traps = traps
        self._book.write({} if traps is None else endpoints, frozenset() if traps is None else traps.forwarders)
        self._asked.set()

    @property
    def ports(self) -> tuple[int, ...]:
        """The UDP ports that are open."""
        return tuple(sock.getsockname()[1] for sock in self._sockets.values())

    async def run(self) -> None:
        """Own the sockets until cancelled. Raises what `hint` raised, nothing for what comes from outside."""
        try:
            while self._bug is None:
                self._asked.clear()
                self._open()
                await self._book.look_up(self._asked)
                pause = None if self._traps is None else RETRY if self.state == "failing" else REFRESH
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._asked.wait()
            raise self._bug
        finally:
            self._book.rest()
            self._close(set(self._sockets))

    # Where to listen.

    def _open(self) -> None:
        traps = self._traps
        wanted = set() if traps is None else {(address, traps.port) for address in traps.addresses}
        self._close(self._sockets.keys() - wanted)
        failed = False
        for address, port in sorted(wanted - self._sockets.keys()):
            try:
                self._sockets[address, port] = self._listen(address, port)
            except OSError as error:
                failed |= not self._excused(address, port, error)
        failed |= bool(wanted) and not self._sockets
        self.state = "off" if traps is None else "failing" if failed else "listening"

    def _excused(self, address: str, port: int, error: OSError) -> bool:
        """Say why an address could not be bound; a host without IPv6 is none to worry about."""
        if address == "::" and error.errno in _NO_IPV6:
            self._notes.say(_now(), logging.INFO, (address, "bind"), "", "no IPv6 here to listen for traps")
            return True
        why = error.strerror or str(error)
        if error.errno == errno.EACCES:
            why += "; ports below 1024 are for root: listen at 1162 and have the firewall redirect 162 to it"
        said = f"cannot listen for traps at {address} port {port}/udp: {why}; devices are polled all the same"
        self._notes.say(_now(), logging.ERROR, (address, "bind"), why, "%s", said)
        return False

    def _listen(self, address: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = opened(family)
        try:
            if family is socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address, port))
        except OSError:
            sock.close()
            raise
        given = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it for its own needs
        less = f", with a buffer of {given // 1024} KiB (net.core.rmem_max)" if given < BUFFER else ""
        _log.info("listening for traps at %s port %d/udp%s", address, sock.getsockname()[1], less)
        asyncio.get_running_loop().add_reader(sock, self._guard, self._drain, sock)
        return sock

    def _close(self, keys: set[tuple[str, int]]) -> None:
        for key in keys:
            sock = self._sockets.pop(key)
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()

    # What comes in.

    def _drain(self, sock: socket.socket) -> None:
        now = _now()
        end = now + _GO
        while now < end:
            if not self._allowance.take(now):
                self._rest(sock, now)
                return
            try:
                data, address = sock.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("receiving: %s", error)
            else:
                self._take(data, address, sock, now)
            now = _now()

    def _rest(self, sock: socket.socket, now: float) -> None:
        """Leave a socket alone for a moment: somebody floods it, and polling is more than hearing."""
        said = "a flood of packets at the trap port; most are dropped unread, devices are polled as ever"
        self._notes.say(now, logging.WARNING, ("", "flood"), "", said)
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock)
        loop.call_later(_PAUSE, self._wake, sock)

    def _wake(self, sock: socket.socket) -> None:
        if sock in self._sockets.values():
            asyncio.get_running_loop().add_reader(sock, self._guard, self._drain, sock)

    def _take(self, data: bytes, address: tuple[str, int], sock: socket.socket, now: float) -> None:
        host = plain(address[0])
        heard = self._hear(data, host, now)
        self.counts[heard.fate] += 1
        if heard.reply is not None:
            try:
                sock.sendto(heard.reply, address)
            except OSError as error:  # who sent it sends it again
                _log.debug("answering %s: %s", host, error)
        if heard.sender is not None and heard.notification is not None:
            told, names = heard.notification, heard.sender.names
            what, said = "inform" if told.inform else "trap", "%s: %s %s from %s, polled at once"
            self._fold(heard.sender, now)
            subject, args = (names, Fate.TAKEN), (names, what, told.name, host)
            if not self._lines:
                asyncio.get_running_loop().call_later(_LATER, self._write)
            self._lines.append((now, subject, told.oid, said, args))
        elif heard.fate is Fate.UNKNOWN:
            self._strangers.say(now, logging.INFO, (host, heard.fate), heard.why, "%s", heard.why)
        elif heard.fate is not Fate.QUESTION:
            self._notes.say(now, logging.WARNING, (host, heard.fate), "", "%s", heard.why)

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        for now, subject, what, said, args in lines:
            self._notes.say(now, logging.INFO, subject, what, said, *args)

    def _hear(self, data: bytes, host: str, now: float) -> _Heard:
        """Read a packet and see whether it is a device's own."""
        sender = self._book.get(host)
        if sender is None:
            return _Heard(Fate.UNKNOWN, why=f"a trap from {host}, where no device is")
        if not sender.allowance.take(now):
            return _Heard(Fate.FLOODED, why=f"{host} sends traps without end; {RATE:.0f} a second are read")
        try:
            if trapmessage.version_of(data) == 3:
                return self._hear_v3(data, host, sender)
            return self._hear_plain(data, host, sender)
        except Malformed as error:
            return _Heard(Fate.MALFORMED, why=f"{host} sent what is no trap: {error}")

    def _hear_plain(self, data: bytes, host: str, sender: Sender) -> _Heard:
        read = trapmessage.read(data)
        told = read.notification
        target = self._target(sender, told)
        if target is None:
            return _foreign(host, told)
        claimed = [read.community]
        if sender.relay and told.community is not None:
            claimed.append(told.community)
        if not any(hmac.compare_digest(own, each) for own in target.communities for each in claimed):
            return _denied(host, "with a community that is not its device's")
        return _Heard(Fate.TAKEN, target, told, trapmessage.answer(data, read.pdu) if told.inform else None)

    def _hear_v3(self, data: bytes, host: str, sender: Sender) -> _Heard:
        accounts = self._book.accounts if sender.relay else sender.accounts
        if self._receiver is None or not accounts:
            return _denied(host, "of v3, which its device is not asked in")
        from edgeagent.links.trapv3 import Denied

        try:
            heard = self._receiver.take(data, accounts)
        except Denied:
            return _denied(host, "with a v3 user, password or level that is not its device's")
        told = heard.notification
        if told is None:
            return _Heard(Fate.QUESTION, reply=heard.reply)
        target = self._target(sender, told)
        if target is None:
            return _foreign(host, told)
        if heard.account not in target.accounts:
            return _denied(host, "with a v3 user that is not its device's")
        return _Heard(Fate.TAKEN, target, told, heard.reply)

    def _target(self, sender: Sender, told: Notification) -> Sender | None:
        """Return whose trap it is: the sender's own, unless it is a forwarder and names somebody else."""
        target = self._book.get(told.origin) if sender.relay and told.origin else sender
        return target if target is not None and target.devices else None

    def _account(self, endpoint: Endpoint) -> Account:
        from edgeagent.links.trapv3 import Account, Receiver

        if self._receiver is None:
            self._receiver = Receiver(self._name, self._boots)
        return Account(endpoint)

    # What comes of it.

    def _fold(self, sender: Sender, now: float) -> None:
        """Poll the devices at an address now, or APART after the last time; no more than one such poll waits."""
        if sender.following is not None:
            return
        due = sender.polled + APART
        if now < due:
            sender.following = asyncio.get_running_loop().call_at(due, self._guard, self._poll, sender)
        else:
            self._poll(sender)

    def _poll(self, sender: Sender) -> None:
        sender.following, sender.polled = None, _now()
        for id in sender.devices:
            self.polls += 1
            self._hint(id)

    def _guard(self, call: Callable[..., None], *args: object) -> None:
        """Let a bug end `run`; from a callback it would only be logged."""
        try:
            call(*args)
        except Exception as bug:  # noqa: BLE001 - `run` raises it again
            self._bug = bug
            self._asked.set()


def _foreign(host: str, told: Notification) -> _Heard:
    return _Heard(Fate.UNKNOWN, why=f"a trap that {host} relays for {told.origin or 'nobody'}, where no device is")


def _denied(host: str, how: str) -> _Heard:
    return _Heard(Fate.DENIED, why=f"a trap from {host} {how}; nothing is polled for it")


def _now() -> float:
    return asyncio.get_running_loop().time()
