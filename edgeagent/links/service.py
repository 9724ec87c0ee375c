"""The services that the floor needs, asked from this host: CRM, ACD, name server, whatever answers on a port.

Here a question that fails is the answer: `refused`, `silent` or `unresolved` are readings, not silence. Only what keeps
this host from asking at all is `Missing`: LINK_DOWN where no way leads out, ERROR where it may not or cannot ask.

Addresses (raw values): answer (ok, refused, silent, unresolved, wrong, insecure), status (the code of HTTP or SIP),
latency (ms until the answer, names and TLS included), certificate (days that it is valid), scheme (tcp, http, https,
dns, sip). What a protocol does not have is `Missing.ABSENT`, what did not come `Missing.NULL`.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgeagent.endpoint import Endpoint
from edgeagent.links import Plan, Target
from edgeagent.links.carrier import NETWORK, cut_off
from edgeagent.links.serviceprobes import OK, WRONG, Heard, ask_dns, ask_http, ask_sip, ask_tcp
from edgeagent.links.turns import Done, same
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.tls import context

_REFUSED, _SILENT, _UNRESOLVED, _INSECURE = "refused", "silent", "unresolved", "insecure"
_NO_WAY: Final = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
_GONE: Final = frozenset({errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT})


class ServiceLink:
    """Asks all services side by side; the poller sees to it that each is asked one question at a time."""

    def __init__(self, network: Path = NETWORK) -> None:
        self._network = network
        self._polls: set[asyncio.Task[Answers]] = set()
        self._bug: asyncio.Future[None] | None = None
        self._trust: ssl.SSLContext | None = None

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        """Start one poll; see `Link.ask`."""
        poll = asyncio.get_running_loop().create_task(self._poll(target, plan))
        self._polls.add(poll)
        poll.add_done_callback(functools.partial(self._end, plan, done))

    async def run(self) -> None:
        """Wait to be cancelled; polls under way then end as LINK_DOWN. Raises what a poll raised: a bug."""
        self._bug = asyncio.get_running_loop().create_future()
        try:
            await self._bug
        finally:
            polls = list(self._polls)
            for poll in polls:
                poll.cancel()
            if polls:
                await asyncio.wait(polls)

    def _end(self, plan: Plan, done: Done, poll: asyncio.Task[Answers]) -> None:
        self._polls.discard(poll)
        error = None if poll.cancelled() else poll.exception()
        if error is None:
            done(same(plan, Missing.LINK_DOWN) if poll.cancelled() else poll.result())
        elif self._bug is not None and not self._bug.done():
            self._bug.set_exception(error)

    async def _poll(self, target: Target, plan: Plan) -> Answers:
        loop = asyncio.get_running_loop()
        began = loop.time()
        heard = await self._heard(target.endpoint, target.timeout)
        if isinstance(heard, Missing):
            return same(plan, heard)
        took = round((loop.time() - began) * 1000, 1)
        answers: dict[str, Raw] = {
            "scheme": target.endpoint.scheme.partition("+")[2].encode(),
            "answer": heard.answer,
            "status": heard.status,
            "certificate": heard.certificate,
            "latency": took if heard.answer in (OK, WRONG) else Missing.NULL,
        }
        return same(plan, Missing.ABSENT) | {id: answers[id] for id in plan.gets if id in answers}

    async def _heard(self, endpoint: Endpoint, within: float) -> Heard | Missing:
        try:
            async with asyncio.timeout(within):
                return await self._ask(endpoint, within)
        except (OSError, UnicodeError) as error:  # a name that cannot be spelled for the name server is a ValueError
            said = _said(error)
        if said in (_SILENT, _UNRESOLVED) and not endpoint.on_loopback and cut_off(self._network):
            return Missing.LINK_DOWN
        return said if isinstance(said, Missing) else Heard(said, Missing.NULL, Missing.NULL)

    async def _ask(self, endpoint: Endpoint, within: float) -> Heard:
        if endpoint.scheme == "service+tcp":
            return await ask_tcp(endpoint, within)
        if endpoint.scheme == "service+dns":
            return await ask_dns(endpoint)
        if endpoint.scheme == "service+sip":
            return await ask_sip(endpoint)
        return await ask_http(endpoint, within, self._context(endpoint) if endpoint.scheme == "service+https" else None)

    def _context(self, endpoint: Endpoint) -> ssl.SSLContext:
        """Return whom to trust. A site's own file is read anew each time, so that a renewed one counts."""
        if "ca" in endpoint.options:
            return context(endpoint.files)
        if self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust


def _said(error: OSError | UnicodeError) -> str | Missing:
    """Return what an error says of the service, or why it says nothing of it."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return _UNRESOLVED
    if isinstance(error, ssl.SSLError):
        return _INSECURE
    if isinstance(error, ConnectionError):
        return _REFUSED
    if isinstance(error, TimeoutError) or error.errno in _GONE:
        return _SILENT
    return Missing.LINK_DOWN if error.errno in _NO_WAY else Missing.ERROR
