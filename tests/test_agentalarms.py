"""The agent's alarms of its own broker session and disk, by the true agent to whom time is told.

Of its tasks, only the feed runs, against a real mosquitto; what it does once a second is done at each `look`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

from edgeagent.agent import Agent
from edgeagent.handover import read_again
from edgeagent.resources import drivers
from edgeagent.sitefiles import load
from edgeagent.statefolder import RESERVE
from tests.broker import Mosquitto, free_port, needs_mosquitto
from tests.duty import BASE
from tests.rig import device, write_site
from tests.test_feed import eventually

AWAY: Final = device("ups", "ups/rfc1628", "snmp://192.0.2.1?version=2c&community=kept")


class Watch:
    """An agent, the time it is told, and what its journal says of an alarm."""

    def __init__(self, folder: Path, broker: int, fallback: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = BASE
        told = SimpleNamespace(time=lambda: self.now, monotonic=lambda: self.now)
        monkeypatch.setattr("edgeagent.clock.time", told)
        monkeypatch.setattr("edgeagent.mqtt._FAST", 0.05)
        monkeypatch.setattr("edgeagent.mqtt._SLOW", 0.2)
        site = write_site(folder, broker, AWAY)
        if fallback is not None:
            text = (site / "site.toml").read_text()
            one, other = (f'"mqtt://127.0.0.1:{port}"' for port in (broker, fallback))
            (site / "site.toml").write_text(text.replace(one, f"[{one}, {other}]"))
        self.agent = Agent(load(site, drivers()), read_again)

    async def look(self, seconds: float = 1.0) -> None:
        """Let time go on, and have the agent look at itself."""
        self.now += seconds
        self.agent._due()
        looking = asyncio.create_task(self.agent._keep_time())
        await asyncio.sleep(0)
        looking.cancel()
        await asyncio.wait([looking])
        assert looking.cancelled(), looking.exception()

    async def verbs(self, alarm: str, count: int) -> list[str]:
        """Return what happened to an alarm once its journal has as many lines."""

        def found() -> list[str]:
            bodies = [entry.body for entry in self.agent._store.journal(kind="alarm")]
            return [body["verb"] for body in bodies if body["alarm_id"] == alarm]

        await eventually(lambda: len(found()) >= count)
        return found()


def watched(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    story: Callable[[Watch], Awaitable[None]],
    broker: int,
    fallback: int | None = None,
) -> None:
    async def run() -> None:
        watch = Watch(folder, broker, fallback, monkeypatch)
        feeding = asyncio.create_task(watch.agent._feed.run())
        try:
            await story(watch)
        finally:
            await watch.agent._feed.stop()
            feeding.cancel()
            await asyncio.wait([feeding])
            watch.agent._folder.close()

    asyncio.run(run())


@needs_mosquitto
def test_a_broker_that_is_away_for_a_minute_is_an_alarm_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, lost = Mosquitto(tmp_path), "agent.broker-lost"

    async def story(watch: Watch) -> None:
        await watch.look()
        assert watch.agent._feed.session == "disconnected"
        await watch.look(59)
        assert lost not in {alarm.alarm_id for alarm in watch.agent._ledger.standing()}
        await watch.look(2)
        assert await watch.verbs(lost, 1) == ["raised"]
        broker.start()
        await eventually(lambda: watch.agent._feed.session == "connected")
        await watch.look()
        await watch.look(11)
        assert await watch.verbs(lost, 2) == ["raised", "cleared"]

    try:
        watched(tmp_path / "site", monkeypatch, story, broker.port)
    finally:
        broker.stop()


@needs_mosquitto
def test_a_fallback_in_use_is_an_alarm_until_the_first_broker_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second, used = Mosquitto(tmp_path / "a"), Mosquitto(tmp_path / "b"), "agent.broker-fallback"
    second.start()

    async def story(watch: Watch) -> None:
        await eventually(lambda: watch.agent._feed.connection.fallback)
        await watch.look()
        await watch.look(11)
        assert await watch.verbs(used, 1) == ["raised"]
        first.start()
        second.stop()
        await eventually(lambda: watch.agent._feed.session == "connected" and not watch.agent._feed.connection.fallback)
        await watch.look()
        await watch.look(11)
        assert await watch.verbs(used, 2) == ["raised", "cleared"]

    try:
        watched(tmp_path / "site", monkeypatch, story, first.port, second.port)
    finally:
        first.stop()
        second.stop()


def test_a_disk_that_fills_up_is_an_alarm_before_it_is_full_and_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, high = RESERVE, "agent.store-high"
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))

    async def story(watch: Watch) -> None:
        nonlocal free
        await watch.look()
        for left, seconds in ((0.19, 1), (0.19, 59)):
            free = int(RESERVE * left)
            await watch.look(seconds)
        assert high not in {alarm.alarm_id for alarm in watch.agent._ledger.standing()}
        await watch.look(2)
        assert await watch.verbs(high, 1) == ["raised"]
        free = int(RESERVE * 0.23)  # within the deadband
        await watch.look()
        await watch.look(61)
        free = int(RESERVE * 0.5)
        await watch.look()
        assert await watch.verbs(high, 1) == ["raised"]
        await watch.look(61)
        assert await watch.verbs(high, 2) == ["raised", "cleared"]

    watched(tmp_path / "site", monkeypatch, story, free_port())
