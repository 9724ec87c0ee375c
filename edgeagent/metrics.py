"""How the agent is, in figures: one line for systemd, a page for Prometheus, and a yes or no for a health check.

The page and the answer are served over HTTP on loopback alone: there is no one to let in or keep out. Who wants them
elsewhere puts his own proxy before it. Nothing of the site is on the page but its id and numbers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from edgeagent import __version__
from edgeagent.catalog import Severity
from edgeagent.outbox import Depth
from edgeagent.outputconfig import Metrics

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
_SESSIONS: Final = ("connected", "disconnected", "refused", "taken-over")
_LARGEST: Final = 4096
"""Bytes of a request; those of Prometheus have some 300."""
_PATIENCE: Final = 5.0
"""s for a request and its answer."""
_MOST: Final = 8
"""Connections at once; one more is closed unheard."""
_RETRY: Final = 30.0
"""s until a port that is taken is tried again."""
_TEXT: Final = "text/plain; charset=utf-8"
_PAGE: Final = "text/plain; version=0.0.4; charset=utf-8"
_COUNTS: Final[Mapping[str, str]] = {
    "devices": "Devices of the site.",
    "silent": "Devices whose last poll had no answer.",
    "seats": "Seats whose agents are listened to.",
    "seats.dropped": "Messages of seats dropped in the last minute.",
    "seats.unknown": "Seats heard that the site does not name.",
    "seats.silent": "Seats not heard again yet since the agent came back.",
    "spares.ready": "Healthy spare seats.",
}
"""What is told of the counts of the heartbeat, and how it is explained."""
_Sample = tuple[str, float]
"""Labels as they are written, and a value."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How the agent is at one moment. `counts` are those of the heartbeat, `trouble` is why the disk refuses.

    `passes` counts the turns of the poller.
    """

    counts: Mapping[str, float]
    alarms: Mapping[Severity, int]
    depth: Depth
    broker: str
    trouble: str | None
    passes: int

    @property
    def line(self) -> str:
        """Say it in one line."""
        counts, up, critical = self.counts, sum(self.alarms.values()), self.alarms.get(Severity.CRITICAL, 0)
        return (
            f"{counts['devices']} devices, {counts['silent']} silent; {up} alarms, {critical} critical; "
            f"broker {self.broker}; {self.depth.events} events waiting"
        )


def standing_still(before: tuple[int, int], now: tuple[int, int], feed: bool) -> str:
    """Name what does not go on, "" where all does: the turns of poller and engine have grown, and the feed lives."""
    goes = {"poller": now[0] > before[0], "engine": now[1] > before[1], "feed": feed}
    return ", ".join(name for name, on in goes.items() if not on)


def page(site: str, agent: str, figures: Figures, still: str, now: float) -> str:
    """Write the figures as Prometheus reads them (text exposition format 0.0.4). `now` is epoch s."""
    lines: list[str] = []
    for name, kind, about, samples in _series(site, agent, figures, still, now):
        lines += [f"# HELP edgeagent_{name} {about}", f"# TYPE edgeagent_{name} {kind}"]
        lines += [f"edgeagent_{name}{labels} {value:.15g}" for labels, value in samples]
    return "\n".join([*lines, ""])


def _series(
    site: str, agent: str, figures: Figures, still: str, now: float
) -> Iterator[tuple[str, str, str, list[_Sample]]]:
    known = f'{{agent="{agent}",site="{site}",version="{__version__}"}}'  # ids and versions need no escapes
    yield "info", "gauge", "Which agent this is.", [(known, 1)]
    yield "healthy", "gauge", "1 while poller, engine and feed go on.", [("", not still)]
    for point, about in _COUNTS.items():
        if point in figures.counts:
            yield point.replace(".", "_"), "gauge", about, [("", figures.counts[point])]
    standing = [(f'{{severity="{severity}"}}', figures.alarms.get(severity, 0)) for severity in reversed(Severity)]
    yield "alarms", "gauge", "Alarms that stand, by severity.", [*standing]
    depth = figures.depth
    yield "outbox_events", "gauge", "Events that wait for the broker.", [("", depth.events)]
    yield "outbox_bytes", "gauge", "Bytes of the events that wait.", [("", depth.event_bytes)]
    age = 0.0 if depth.oldest is None else max(0.0, now - depth.oldest)
    yield "outbox_age_seconds", "gauge", "Age of the oldest event that waits.", [("", round(age, 3))]
    yield "outbox_unwritten", "gauge", "Messages in memory that the disk has not taken.", [("", depth.unwritten)]
    yield "quarantined", "gauge", "Messages that the broker will never take.", [("", depth.quarantined)]
    sessions = [(f'{{state="{state}"}}', float(state == figures.broker)) for state in _SESSIONS]
    yield "broker_session", "gauge", "1 for how the agent stands with the broker.", [*sessions]
    yield "store_failing", "gauge", "1 while the disk refuses.", [("", figures.trouble is not None)]
    yield "passes_total", "counter", "Turns of the poller since the start.", [("", figures.passes)]


class Exporter:
    """Answers GET /metrics and GET /healthz. Without settings it does nothing.

    `figures()` gives how the agent is, `still()` names what stands still, `clock()` is epoch s.
    """

    def __init__(
        self, settings: Metrics | None, site: str, agent: str, figures: Callable[[], Figures],
        still: Callable[[], str], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._settings, self._site, self._agent = settings, site, agent
        self._figures, self._still, self._clock = figures, still, clock
        self._open = 0

    async def run(self) -> None:
        """Serve until cancelled. A port that is taken is no reason to leave the floor unwatched."""
        if self._settings is None:
            return
        port = self._settings.port
        while True:
            try:
                server = await asyncio.start_server(self._serve, HOST, port, limit=_LARGEST, backlog=_MOST)
            except OSError as error:
                log.error("metrics: %s:%d cannot be opened, trying again in %d s: %s", HOST, port, _RETRY, error)  # noqa: TRY400 - no bug
                await asyncio.sleep(_RETRY)
                continue
            async with server:
                await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            async with asyncio.timeout(_PATIENCE):
                writer.write(await self._answer(reader))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            log.debug("metrics: a request came to nothing")
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        if self._open > _MOST:
            return b""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response("431 Request Header Fields Too Large", "too large\n")
        words = head.partition(b"\r\n")[0].split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/"):
            return _response("400 Bad Request", "this is no HTTP\n")
        if words[0] not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", "GET it\n", "Allow: GET, HEAD\r\n")
        said = self._said(words[1].partition(b"?")[0])
        return said if words[0] == b"GET" else said[: said.index(b"\r\n\r\n") + 4]

    def _said(self, path: bytes) -> bytes:
        still = self._still()
        if path == b"/metrics":
            text = page(self._site, self._agent, self._figures(), still, self._clock())
            return _response("200 OK", text, type=_PAGE)
        if path != b"/healthz":
            return _response("404 Not Found", "there are /metrics and /healthz\n")
        if still:
            return _response("503 Service Unavailable", f"stands still: {still}\n")
        return _response("200 OK", f"ok: {self._figures().line}\n")


def _response(status: str, text: str, more: str = "", type: str = _TEXT) -> bytes:
    body = text.encode()
    head = (
        f"HTTP/1.0 {status}\r\nContent-Type: {type}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body
