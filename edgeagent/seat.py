"""The agent of a seat: it reads the workstation it runs on and says so to the site's broker, nothing else.

It subscribes to nothing and obeys nobody. It keeps nothing: what could not be said at its time is not said later. All
of it is one event loop. A bug ends the process, and whatever started it starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from edgeagent import __version__, sdnotify
from edgeagent.mqtt import Connection, MqttError, Received, Will
from edgeagent.readings import Answers
from edgeagent.seatanswers import masked
from edgeagent.seatconfig import SeatSettings
from edgeagent.seatreport import EXPIRY, LEAVING, Reason, Speaker, State
from edgeagent.seatsensors import Sensors

log = logging.getLogger(__name__)

WILL_DELAY: Final = 10
"""s that the broker waits for a seat to come back before it says that it was lost."""
_SESSION: Final = 30
_PATIENCE: Final = 10.0
"""A broker that comes back is met by all seats of the site: they spread over so many s."""
_FAREWELL: Final = 3.0
"""s that the broker may take to confirm that a seat leaves."""
_STALE: Final = 600.0
"""s after which a reason that somebody left behind is of another stop."""
_GLANCE: Final = 0.5
"""s between two turns of the loop on Windows at the most: a signal does not wake a selector there."""
_T = TypeVar("_T")


def run(settings: SeatSettings) -> int:
    """Be the seat's agent until told to stop; return the exit code."""
    return _loop(Seat(settings).run())


def once(settings: SeatSettings) -> tuple[Answers, bytes]:
    """Read the seat once: what was read, and the report that would be made of it. Nothing is published."""
    sensors = Sensors(settings)
    answers = _loop(sensors.first())
    return answers, speaker(settings, sensors).report(answers, 1, time.time())


def speaker(settings: SeatSettings, sensors: Sensors) -> Speaker:
    """Say who speaks: this seat, in this run, from this machine."""
    hardware = sensors.host.hardware()
    return Speaker(
        settings.root, settings.site, settings.id, uuid.uuid4().hex,
        masked(hardware, settings.salt) if hardware else "", settings.interval, __version__, settings.salt,
    )  # fmt: skip


class Seat:
    """One seat's agent. `run` ends after `stop`."""

    def __init__(self, settings: SeatSettings) -> None:
        self._settings = settings
        self._sensors = Sensors(settings)
        self._speaker = speaker(settings, self._sensors)
        broker = replace(
            settings.broker, client_id=self._speaker.client_id, will_delay=WILL_DELAY, session_expiry=_SESSION,
            patience=_PATIENCE,
        )  # fmt: skip
        will = Will(self._speaker.topic("status"), self._speaker.will())
        self._connection = Connection(broker, self, will)
        self._seq = 0
        self._known = False
        self._refused = False
        self._farewell: int | None = None
        self._left = asyncio.Event()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Leave in order."""
        self._stop.set()

    async def run(self) -> int:
        """Report until told to stop; return the exit code."""
        _heed(asyncio.get_running_loop(), self.stop)
        log.info("seat %s of %s as %s", self._settings.id, self._settings.site, self._speaker.client_id)
        async with asyncio.TaskGroup() as tasks:
            lasting = [tasks.create_task(each) for each in (self._connection.run(), self._sensors.run(), self._beat())]
            await self._told_to_stop()
            sdnotify.stopping()
            await self._leave()
            for task in lasting:
                task.cancel()
        return 0

    async def _told_to_stop(self) -> None:
        """Wait for `stop`."""
        while not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _GLANCE if sys.platform == "win32" else None)

    # What it says.

    async def _beat(self) -> None:
        """Report every interval, at moments that no other seat has."""
        interval = self._settings.interval
        loop = asyncio.get_running_loop()
        self._sensors.sample()  # processor and network are measured from here on
        sdnotify.ready(f"seat {self._settings.id}, reporting every {interval:g} s")
        due = loop.time() + random.random() * interval  # noqa: S311 - jitter
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due + interval, loop.time())
            self._report()
            sdnotify.watchdog()

    def _report(self) -> None:
        answers = self._sensors.sample()
        if self._connection.connected:
            self._seq += 1
            payload = self._speaker.report(answers, self._seq, time.time())
            expiry = max(EXPIRY, round(3 * self._settings.interval))
            with suppress(MqttError):  # it went away meanwhile; the next report is as good
                self._connection.publish(self._speaker.topic("report"), payload, qos=0, expiry=expiry)

    def _say(self, state: State, reason: Reason) -> int:
        self._seq += 1
        payload = self._speaker.status(state, reason, self._seq, time.time())
        return self._connection.publish(self._speaker.topic("status"), payload, qos=1, retain=True)

    async def _leave(self) -> None:
        """Say that the seat leaves and why; without it the broker would say that it was lost."""
        reason = why(self._settings.reason)
        log.info("leaving: %s", reason)
        with suppress(MqttError, TimeoutError):
            self._farewell = self._say(State.LEAVING, reason)
            await asyncio.wait_for(self._left.wait(), _FAREWELL)
        await self._connection.close()

    # What it hears of its connection.

    def on_connected(self, session_present: bool, maximum_packet_size: int | None) -> None:
        """Say again that the seat is there: the will of an earlier connection may lie on the topic."""
        reason = Reason.RECONNECT if self._known else Reason.START
        self._known = True
        with suppress(MqttError):
            self._say(State.ONLINE, reason)

    def on_disconnected(self, reason: str, code: int | None) -> None:
        """Do nothing: the connection logs it and comes back."""

    def on_ack(self, mid: int, code: int, failure: bool) -> None:
        """Let the seat go once its farewell has arrived, and tell of a broker that does not let it speak."""
        if failure and not self._refused:
            self._refused = True
            log.error("the broker takes nothing on %s (%#x): see its ACL", self._speaker.topic("status"), code)
        if mid == self._farewell:
            self._left.set()

    def on_message(self, message: Received) -> None:
        """Do nothing: a seat has subscribed to nothing and takes no commands."""


def why(path: Path | None) -> Reason:
    """Return why the seat leaves: what whoever stops it wrote into the file a moment ago, else STOP."""
    if path is None:
        return Reason.STOP
    try:
        fresh = time.time() - path.stat().st_mtime < _STALE
        word = path.read_text(encoding="utf-8", errors="replace").strip().lower()
        path.unlink()
    except OSError:
        return Reason.STOP
    return next((reason for reason in LEAVING if fresh and reason == word), Reason.STOP)


def _heed(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Stop in order when the service manager, the console or a person says so."""
    if sys.platform == "win32":
        for number in (signal.SIGINT, signal.SIGBREAK):  # Ctrl+C of a service wrapper; a console that is closed
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    else:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)


def _loop(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run on a selector: the other loop of Windows cannot carry paho's socket."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(coroutine)
