"""Who may send traps from which address, and how much of it is read and told.

Owns the way from device endpoints to addresses, and the allowances and log lines of each. Opens no socket; the name
server is asked through the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edgeagent.endpoint import Endpoint

if TYPE_CHECKING:
    from edgeagent.links.trapv3 import Account

_log = logging.getLogger(__name__)

BURST: Final = 2000
"""Packets of one address that are read in a row."""
RATE: Final = 100.0
"""Packets of one address that are read in a second after that."""
QUIET: Final = 600.0
"""Seconds in which the same thing is not said again in the log."""
_SUBJECTS: Final = 512
"""Things said that are remembered, in order not to say them again."""
_NAMED: Final = 3
"""Devices behind one address that a log line names."""


class Allowance:
    """A bucket of `most` that fills by `rate` a second. Times in s."""

    def __init__(self, most: float, rate: float) -> None:
        self._most, self._rate = most, rate
        self._left, self._at = most, 0.0

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(slots=True, eq=False)
class Sender:
    """Who may send from an address: devices there, with their communities and users; a forwarder, for others too.

    `polled` is when a trap last made a poll, in loop time; `following` the poll that is to come APART after it.
    """

    allowance: Allowance = field(default_factory=lambda: Allowance(BURST, RATE))
    relay: bool = False
    devices: list[str] = field(default_factory=list)
    communities: set[bytes] = field(default_factory=set)
    accounts: list[Account] = field(default_factory=list)
    polled: float = float("-inf")
    following: asyncio.TimerHandle | None = None

    @property
    def names(self) -> str:
        """The devices, for a log line."""
        if len(self.devices) == 1:
            return self.devices[0]
        more = len(self.devices) - _NAMED
        return ", ".join(self.devices[:_NAMED]) + (f" and {more} more" if more > 0 else "")

    def rest(self) -> None:
        """Give up the poll that is to come."""
        if self.following is not None:
            self.following.cancel()
            self.following = None


class Book:
    """Senders by address. Several devices may stand behind one address, and one name may stand for several."""

    def __init__(self, account_of: Callable[[Endpoint], Account]) -> None:
        self._account_of = account_of
        self._endpoints: Mapping[str, Endpoint] = {}
        self._forwarders: frozenset[str] = frozenset()
        self._found: dict[str, tuple[str, ...]] = {}
        self._accounts: dict[tuple[str, ...], Account] = {}
        self._senders: dict[str, Sender] = {}

    def get(self, address: str) -> Sender | None:
        """Return who sends from an address as `plain` spells it."""
        return self._senders.get(address)

    @property
    def accounts(self) -> list[Account]:
        """All v3 users."""
        return list(self._accounts.values())

    def write(self, endpoints: Mapping[str, Endpoint], forwarders: frozenset[str]) -> None:
        """Take these devices and forwarders for the old ones. Names are known after `look_up`."""
        self._endpoints, self._forwarders = endpoints, frozenset(map(plain, forwarders))
        self._write()

    def rest(self) -> None:
        """Give up all polls that are to come."""
        for sender in self._senders.values():
            sender.rest()

    async def look_up(self, stop: asyncio.Event) -> None:
        """Ask for the addresses of all names, one after the other, until `stop` is set.

        What is known stays when the name server is silent: in a power cut it may go first.
        """
        loop = asyncio.get_running_loop()
        names = sorted({each.host for each in self._endpoints.values() if each.host and not _is_number(each.host)})
        self._found = {name: known for name, known in self._found.items() if name in names}
        fresh, written = False, loop.time()
        for name in names:
            with suppress(OSError, UnicodeError):
                entries = await loop.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
                addresses = tuple(sorted({plain(str(entry[4][0])) for entry in entries}))
                fresh |= addresses != self._found.get(name)
                self._found[name] = addresses
            if stop.is_set():
                break
            if fresh and loop.time() - written > 1.0:
                self._write()
                fresh, written = False, loop.time()
        if fresh:
            self._write()

    def _write(self) -> None:
        """Write the book anew; what a sender has used of its allowance stays, and so do the keys of accounts."""
        old, self._senders = self._senders, {}
        known, self._accounts = self._accounts, {}

        def at(address: str) -> Sender:
            if address not in self._senders:
                sender = self._senders[address] = old.pop(address) if address in old else Sender()
                sender.relay = address in self._forwarders
                sender.devices, sender.communities, sender.accounts = [], set(), []
            return self._senders[address]

        for address in self._forwarders:
            at(address)
        for id, endpoint in self._endpoints.items():
            account = None
            if endpoint.options.get("version") == "3":
                key = (endpoint.user, *endpoint.options.values(), *endpoint.secrets.values())
                account = self._accounts.get(key) or known.get(key) or self._account_of(endpoint)
                self._accounts[key] = account
            for address in (plain(endpoint.host),) if _is_number(endpoint.host) else self._found.get(endpoint.host, ()):
                sender = at(address)
                sender.devices.append(id)
                if account is not None and account not in sender.accounts:
                    sender.accounts.append(account)
                if "community" in endpoint.secrets:
                    sender.communities.add(endpoint.secrets["community"].encode())
        for sender in old.values():
            sender.rest()


class Notes:
    """Log lines, `most` in a row and `rate` a second.

    The same of the same subject is said once in QUIET; what was left out is counted in the next line.
    """

    def __init__(self, most: float, rate: float) -> None:
        self._allowance = Allowance(most, rate)
        self._said: dict[tuple[str, str], tuple[str, float]] = {}
        self._left_out = 0

    def say(self, now: float, level: int, subject: tuple[str, str], what: str, text: str, *args: object) -> None:
        """Say a line, as `logging` would, unless `what` was the last thing said of this subject and not long ago."""
        last = self._said.get(subject)
        if (last is not None and last[0] == what and now - last[1] < QUIET) or not self._allowance.take(now):
            self._left_out += 1
            return
        self._said.pop(subject, None)
        if len(self._said) >= _SUBJECTS:
            del self._said[next(iter(self._said))]
        self._said[subject] = (what, now)
        more = f" ({self._left_out} times something not told of before this)" if self._left_out else ""
        self._left_out = 0
        _log.log(level, f"{text}%s", *args, more)


def plain(address: str) -> str:
    """Spell an address as the kernel does, without the interface of a link-local one."""
    host = address.partition("%")[0]
    if ":" in host:
        with suppress(OSError):
            return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host))
    return host


def _is_number(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        return False
    return True
