"""What an Asterisk knows of the phones: one session a PBX answers for all of them, and asks the phones nothing itself.

Owns the connection: time-outs, back-off, and what its loss says of every phone. What is said over it: `amisession`.

Addresses (raw values, 0 or 1): registered (the phone has a contact), reachable (it answered the PBX's last OPTIONS).
Of a phone that the PBX does not ask, or that is not registered, reachable is NULL; one that it does not have is ABSENT.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from dataclasses import dataclass
from typing import Final

from edgeagent.endpoint import Endpoint
from edgeagent.links import Plan, Target
from edgeagent.links.amisession import Lost, Session
from edgeagent.links.turns import Done, same
from edgeagent.readings import Answers, Missing
from edgeagent.tls import context

_log = logging.getLogger(__name__)

_CONNECT: Final = 5.0
_TICK: Final = 1.0
_PIECE: Final = 65_536
_FIRST: Final = 1.0
_LAST: Final = 60.0
"""s between two attempts: twice as long each time, and at once so long where the PBX keeps us out (it may ban us)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Poll:
    """A poll that waits for the first list of phones."""

    target: Target
    plan: Plan
    done: Done


class AmiLink:
    """One PBX. Its phones are told apart by the option `endpoint` of their URLs."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: Session | None = None
        self._why: Missing | None = None
        self._open: dict[_Poll, asyncio.TimerHandle] = {}

    def ask(self, target: Target, plan: Plan, done: Done) -> None:
        """Answer from what the PBX told; before it told anything wait for that until the deadline. See `Link.ask`."""
        loop = asyncio.get_running_loop()
        if self._why is None and not self._ready:
            poll = _Poll(target, plan, done)
            self._open[poll] = loop.call_later(target.timeout, self._expire, poll)
        else:
            loop.call_soon(done, self._answers(target, plan))

    async def run(self) -> None:
        """Own the session until cancelled, and begin a new one whenever it ends."""
        pause = _FIRST
        try:
            while True:
                try:
                    await self._converse()
                except Lost as lost:
                    self._lose(lost.missing, str(lost))
                except (OSError, ssl.SSLError) as error:
                    timeout = isinstance(error, TimeoutError)
                    self._lose(Missing.TIMEOUT if timeout else Missing.LINK_DOWN, str(error) or "it does not answer")
                pause = _FIRST if self._ready else _LAST if self._why is Missing.DENIED else min(pause * 2, _LAST)
                self._session = None
                self._flush()
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads agents, guards nothing
        finally:
            self._session, self._why = None, Missing.LINK_DOWN
            self._flush()

    @property
    def _ready(self) -> bool:
        return self._session is not None and self._session.ready

    async def _converse(self) -> None:
        """Hold one session; raises what ends it."""
        loop, where = asyncio.get_running_loop(), self._endpoint
        trusted = context(where.files) if where.scheme == "ami+tls" else None
        async with asyncio.timeout(_CONNECT):
            reader, writer = await asyncio.open_connection(where.host, where.port, ssl=trusted)
        session = self._session = Session(where.user, where.secrets["ami"], loop.time())
        try:
            while True:
                data = await _read(reader)
                if data == b"":
                    raise Lost(Missing.LINK_DOWN, "it closed the connection")
                said = session.receive(data, loop.time()) if data else b""
                writer.write(said + session.due(loop.time()))
                if session.ready and self._why is not None:
                    _log.info("%s: the PBX tells of its phones again", self._endpoint.medium)
                if session.ready:
                    self._why = None
                    self._flush()
        finally:
            writer.transport.abort()

    def _lose(self, why: Missing, text: str) -> None:
        if why is not self._why:
            _log.warning("%s: %s", self._endpoint.medium, text)
        self._why = why

    def _answers(self, target: Target, plan: Plan) -> Answers:
        session = self._session
        if session is None or not session.ready:
            return same(plan, self._why or Missing.TIMEOUT)
        known = session.phone(target.endpoint.options["endpoint"])
        return same(plan, Missing.ABSENT) | {id: known[id] for id in plan.gets if id in known}

    def _flush(self) -> None:
        """Answer all that waited."""
        waiting, self._open = self._open, {}
        for poll, timer in waiting.items():
            timer.cancel()
            poll.done(self._answers(poll.target, poll.plan))

    def _expire(self, poll: _Poll) -> None:
        del self._open[poll]
        poll.done(same(poll.plan, Missing.TIMEOUT))


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    """Return what came, nothing at the end of the connection, None when it is time to look at the clock."""
    try:
        async with asyncio.timeout(_TICK) as tick:
            return await reader.read(_PIECE)
    except TimeoutError:
        if not tick.expired():  # the connection's own
            raise
        return None
