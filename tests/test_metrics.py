"""The figures page and the health check: what they say, to whom, and what they put up with."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest

from edgeagent import metrics
from edgeagent.catalog import Severity
from edgeagent.metrics import Exporter, Figures, page, standing_still
from edgeagent.outbox import Depth
from edgeagent.outputconfig import Metrics
from tests.broker import free_port, until

FIGURES = Figures(
    {"devices": 12, "silent": 1, "alarms": 3, "seats": 40, "seats.dropped": 2, "seats.unknown": 0},
    {Severity.CRITICAL: 1, Severity.MINOR: 2},
    Depth(states=4, events=7, event_bytes=900, oldest=990.0, quarantined=1, unwritten=0),
    "connected", None, 123_456,
)  # fmt: skip
_SAMPLE = re.compile(r'(edgeagent_[a-z_]+)(\{[a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*\})? (-?[0-9.e+]+)')


def samples(text: str) -> dict[str, float]:
    """Read a page by the rules of the text format: each series explained once, before its samples."""
    found: dict[str, float] = {}
    explained: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            explained.append(line.split()[2])
            continue
        if line.startswith("# TYPE "):
            assert line.split()[2:] in ([explained[-1], "gauge"], [explained[-1], "counter"])
            continue
        match = _SAMPLE.fullmatch(line)
        assert match is not None, line
        assert match[1] == explained[-1]
        found[match[1] + (match[2] or "")] = float(match[3])
    assert len(explained) == len(set(explained))
    return found


def test_the_page_has_the_figures() -> None:
    found = samples(page("hq", "edge-1", FIGURES, "", 1000.0))
    wanted = {
        "edgeagent_devices": 12, "edgeagent_silent": 1, "edgeagent_seats": 40, "edgeagent_seats_dropped": 2,
        'edgeagent_alarms{severity="critical"}': 1, 'edgeagent_alarms{severity="major"}': 0,
        'edgeagent_alarms{severity="minor"}': 2, "edgeagent_outbox_events": 7, "edgeagent_outbox_bytes": 900,
        "edgeagent_outbox_age_seconds": 10, "edgeagent_quarantined": 1, "edgeagent_store_failing": 0,
        'edgeagent_broker_session{state="connected"}': 1, 'edgeagent_broker_session{state="refused"}': 0,
        "edgeagent_passes_total": 123_456, "edgeagent_healthy": 1,
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted


def test_trouble_shows_on_the_page() -> None:
    empty = replace(FIGURES.depth, oldest=None)
    found = samples(page("hq", "edge-1", replace(FIGURES, trouble="disk full", depth=empty), "feed", 1000.0))
    assert (found["edgeagent_store_failing"], found["edgeagent_healthy"]) == (1, 0)
    assert found["edgeagent_outbox_age_seconds"] == 0


def test_the_line_for_systemd_says_the_same() -> None:
    said = "12 devices, 1 silent; 3 alarms, 1 critical; broker connected; 7 events waiting"
    assert FIGURES.line == said


@pytest.mark.parametrize(
    ("before", "now", "feed", "still"),
    [
        ((1, 1), (2, 2), True, ""),
        ((1, 1), (1, 2), True, "poller"),
        ((1, 1), (2, 1), True, "engine"),
        ((1, 1), (2, 2), False, "feed"),
        ((1, 1), (1, 1), False, "poller, engine, feed"),
    ],
)
def test_what_stands_still_is_named(before: tuple[int, int], now: tuple[int, int], feed: bool, still: str) -> None:
    assert standing_still(before, now, feed) == still


def served(talk: Callable[[int], None], still: str = "") -> None:
    """Run an exporter, talk to it from another thread, end it."""

    async def run() -> None:
        port = free_port()
        exporter = Exporter(Metrics(port), "hq", "edge-1", lambda: FIGURES, lambda: still, lambda: 1000.0)
        running = asyncio.create_task(exporter.run())
        await asyncio.to_thread(until, lambda: listens(port))
        await asyncio.to_thread(talk, port)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(run())


def listens(port: int) -> bool:
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


def ask(port: int, request: bytes) -> tuple[str, str]:
    """Send a request; return the status and what follows the head."""
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.sendall(request)
        said = ""
        with suppress(ConnectionResetError):  # that is how a peer closes who has not read all
            said = b"".join(iter(lambda: line.recv(65_536), b"")).decode()
    head, _, body = said.partition("\r\n\r\n")
    assert not body or f"Content-Length: {len(body.encode())}\r\n" in f"{head}\r\n"
    return head.partition("\r\n")[0].removeprefix("HTTP/1.0 "), body


def test_prometheus_and_a_health_check_are_answered() -> None:
    def talk(port: int) -> None:
        status, body = ask(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status == "200 OK"
        assert samples(body)["edgeagent_devices"] == 12
        assert ask(port, b"GET /healthz?x=1 HTTP/1.0\r\n\r\n") == ("200 OK", f"ok: {FIGURES.line}\n")
        assert ask(port, b"HEAD /healthz HTTP/1.0\r\n\r\n") == ("200 OK", "")

    served(talk)


def test_a_health_check_hears_what_stands_still() -> None:
    def talk(port: int) -> None:
        said = ask(port, b"GET /healthz HTTP/1.0\r\n\r\n")
        assert said == ("503 Service Unavailable", "stands still: poller\n")

    served(talk, "poller")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"\x16\x03\x01\r\n\r\n", "400 Bad Request"),
        (b"\r\n\r\n", "400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\nCookie: " + b"x" * 6000 + b"\r\n\r\n", "431 Request Header Fields Too Large"),
    ],
    ids=["elsewhere", "posted", "tls", "empty", "too large"],
)
def test_what_is_no_request_for_figures_is_refused(request_: bytes, status: str) -> None:
    def talk(port: int) -> None:
        assert ask(port, request_)[0] == status

    served(talk)


def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_PATIENCE", 0.05)

    def talk(port: int) -> None:
        assert ask(port, b"GET /metrics") == ("", "")

    served(talk)


def test_many_at_once_cost_no_more_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_MOST", 2)

    def talk(port: int) -> None:
        with ExitStack() as idle:
            for _ in range(2):
                idle.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            assert ask(port, b"GET /metrics HTTP/1.1\r\n\r\n") == ("", "")
        until(lambda: ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")[0] == "200 OK")

    served(talk)


def test_only_loopback_listens() -> None:
    assert metrics.HOST == "127.0.0.1"


def test_without_settings_nobody_listens() -> None:
    asyncio.run(Exporter(None, "hq", "edge-1", lambda: FIGURES, str, lambda: 0.0).run())


def test_a_port_that_is_taken_is_tried_again_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metrics, "_RETRY", 0.05)

    async def run() -> None:
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            exporter = Exporter(Metrics(port), "hq", "edge-1", lambda: FIGURES, str, lambda: 1000.0)
            running = asyncio.create_task(exporter.run())
            await asyncio.to_thread(until, lambda: "cannot be opened" in caplog.text)
        await asyncio.to_thread(until, lambda: listens(port))
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(run())
