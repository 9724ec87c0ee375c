"""The true agent as a process of its own, the command line, a site written for them, and a consumer of the feed.

Whatever is started here is ended by its own pid. Waiting is for a condition with a deadline (`broker.until`).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from typer.testing import CliRunner, Result

from edgeagent.cli import app
from tests.broker import Listener, until
from tests.contracted import breaches

ROOT: Final = Path(__file__).parent.parent
SITE: Final = "test"
TOPICS: Final = f"floor/v1/{SITE}/live"


def device(
    id: str, driver: str, url: str, alarms: Mapping[str, Mapping[str, object]] | None = None, **settings: float
) -> str:
    """Write one device of a site as TOML. JSON's numbers, words and flags are TOML's too."""
    lines = [f"[devices.{id}]", f'name = {{ en = "{id}", zh = "{id} 号" }}', f'driver = "{driver}"', f'url = "{url}"']
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    for alarm, override in (alarms or {}).items():
        lines += [
            f"[devices.{id}.alarms.{alarm}]",
            *(f"{name} = {json.dumps(value)}" for name, value in override.items()),
        ]
    return "\n".join([*lines, ""])


def write_site(folder: Path, broker: int, *devices: str, agent: str = "", language: str = "en") -> Path:
    """Write a site with its state beside its files, and return its folder."""
    folder.mkdir(exist_ok=True)
    own = f"state = {json.dumps(str(folder / 'state'))}"
    text = "\n".join(
        [
            f'[site]\nid = "{SITE}"\nname = {{ en = "Test site", zh = "测试站点" }}\nlanguage = "{language}"',
            f'[agent]\nid = "edge-1"\n{agent or own}',
            f'[feed]\nbroker = "mqtt://127.0.0.1:{broker}"',
            *devices,
        ]
    )
    (folder / "site.toml").write_text(text, encoding="utf-8")
    return folder


def environment(**more: str) -> dict[str, str]:
    """Return what a process of ours runs in: the project on its path, nothing of systemd but what is given."""
    dropped = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"}
    own = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**own, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def edgeagent(*args: str | Path, within: float = 120.0, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run one command as a person does, outside the checkout."""
    command = [sys.executable, "-m", "edgeagent", *map(str, args)]
    return subprocess.run(
        command, cwd="/", env=environment(**environ), capture_output=True, text=True, check=False, timeout=within
    )


def invoke(*words: str | Path) -> Result:
    """Run one command in this process, which is quicker, and leave the log of the tests as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        return CliRunner().invoke(app, [str(word) for word in words])
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(level)


class Daemon:
    """`edgeagent run` on a site's folder; it may be ended and started again. `before` stands before the command."""

    def __init__(
        self, folder: Path, before: Sequence[str] = (), words: Sequence[str] = ("run",), **environ: str
    ) -> None:
        self.folder = folder
        self._before, self._environ = before, environ
        self._words = words
        self._log = folder.parent / f"{folder.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._begin = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if error is not None:
            sys.stdout.write(self.log[-20_000:])

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait for its first pass."""
        assert self._process is None
        self._begin = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._before, sys.executable, "-m", "edgeagent", *self._words, "--config", str(self.folder)],
                cwd="/", env=environment(**self._environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        if ready:
            self.until_says("first pass after")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Tell whether it still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it logged, all its lives together."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def now(self) -> str:
        """What it logged in this life."""
        with self._log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")

    def until_says(self, words: str, within: float = 60.0) -> None:
        """Wait until it logs these words in this life."""
        try:
            until(lambda: words in self.now or not self.running, within)
        finally:
            if words not in self.now:
                sys.stdout.write(self.now[-20_000:])
        assert words in self.now, f"the agent ended with {self.wait()} and never said: {words}"

    def wait(self, within: float = 60.0) -> int:
        """Wait for its end and return the exit code."""
        assert self._process is not None
        code = self._process.wait(within)
        self._process = None
        return code

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self, within: float = 60.0) -> int:
        """End it as systemd does and return the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self.wait(within)

    def reload(self) -> None:
        """Have it read its configuration again."""
        os.kill(self.pid, signal.SIGHUP)


class Reader(Listener):
    """A subscriber that holds all that it heard against the contract of the feed in the end."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self.validate()

    def validate(self) -> None:
        """See that all that it heard keeps the contract of the feed."""
        found = breaches(self.messages)
        assert not found, "\n".join(found)


class Ear(Reader):
    """A consumer of the whole feed with a session of its own: QoS 1, nothing lost while it is away."""

    def __init__(self, port: int, *account: str) -> None:
        super().__init__(port, f"floor/v1/{SITE}/#", args=("-i", f"ear-{port}", "-c", "-x", "3600", *account))

    def events(self, alarm: str = "", *verbs: str, replayed: bool = True) -> list[dict[str, Any]]:
        """Return the alarm events in the order they came, repetitions left out."""
        found: dict[str, dict[str, Any]] = {}
        for message in list(self.messages):
            if message["topic"].startswith(f"{TOPICS}/event/alarm/"):
                event = {**json.loads(message["payload"]), "topic": message["topic"], "came": arrival(message)}
                found.setdefault(event["id"], event)
        return [
            event for event in found.values()
            if alarm in ("", event["subject"]) and (not verbs or event["data"]["verb"] in verbs)
            and (replayed or "replayed" not in event)
        ]  # fmt: skip

    def verbs(self, alarm: str = "") -> list[str]:
        """Return what happened to an alarm, or to all."""
        return [event["data"]["verb"] for event in self.events(alarm)]

    def record(self, alarm: str) -> Any:  # noqa: ANN401 - JSON
        """Return the newest record of an alarm, None without one."""
        return self.newest(f"{TOPICS}/alarm/{alarm}")

    def listed(self) -> set[str]:
        """Return the ids of the newest snapshot."""
        snapshot = self.newest(f"{TOPICS}/alarms")
        return {alarm["alarm_id"] for alarm in snapshot["open"]} if snapshot else set()

    def state(self, device: str) -> Any:  # noqa: ANN401 - JSON
        """Return the newest readings of a device, None without any."""
        return self.newest(f"{TOPICS}/device/{device}/state")

    def until_raised(self, alarm: str, within: float = 60.0, times: int = 1) -> dict[str, Any]:
        """Wait for an alarm's raise and return the event."""
        return until(lambda: self.events(alarm, "raised")[times - 1 :], within)[0]

    def until_cleared(self, alarm: str, within: float = 60.0, times: int = 1) -> dict[str, Any]:
        """Wait for an alarm's end and return the event."""
        return until(lambda: self.events(alarm, "cleared", "closed")[times - 1 :], within)[0]


def arrival(message: Mapping[str, Any]) -> float:
    """Return when mosquitto_sub got a message, epoch s. It writes the zone twice: 12:00:00.000000Z+0000."""
    return datetime.strptime(str(message["tst"]).replace("Z", ""), "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
