"""The true agent as a process of its own, a site written for it, and devices behind wires that can be pulled.

Whatever is started here is ended by its own pid. Waiting is for a condition with a deadline (`broker.until`).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.broker import Listener, free_port, until

ROOT: Final = Path(__file__).parent.parent
CAPTURES: Final = ROOT.parent / "shared" / "captures"
SITE: Final = "test"
TOPICS: Final = f"floor/v1/{SITE}/live"
UPS_MIB: Final = "1.3.6.1.2.1.33.1"
SNMPSIM: Final = Path(sys.executable).parent / "snmpsim-command-responder"

needs_captures = pytest.mark.skipif(
    not (CAPTURES / "truth.json").is_file(), reason=f"walks of real devices are not in {CAPTURES}"
)
needs_snmpsim = pytest.mark.skipif(not SNMPSIM.is_file(), reason="snmpsim is not installed")


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


def edgeagent(*args: str | Path, within: float = 30.0, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run one command as a person does, outside the checkout."""
    command = [sys.executable, "-m", "edgeagent", *map(str, args)]
    return subprocess.run(
        command, cwd="/", env=environment(**environ), capture_output=True, text=True, check=False, timeout=within
    )


class Daemon:
    """`edgeagent run` on a site's folder; it may be ended and started again. `before` stands before the command."""

    def __init__(self, folder: Path, before: Sequence[str] = (), **environ: str) -> None:
        self.folder = folder
        self._before, self._environ = before, environ
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
                [*self._before, sys.executable, "-m", "edgeagent", "run", "--config", str(self.folder)],
                cwd="/", env=environment(**self._environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        if ready:
            self.until_says("first pass after", within=20.0)

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

    def until_says(self, words: str, within: float = 10.0) -> None:
        """Wait until it logs these words in this life."""
        try:
            until(lambda: words in self.now or not self.running, within)
        finally:
            if words not in self.now:
                sys.stdout.write(self.now[-20_000:])
        assert words in self.now, f"the agent ended with {self.wait()} and never said: {words}"

    def wait(self, within: float = 10.0) -> int:
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

    def stop(self, within: float = 10.0) -> int:
        """End it as systemd does and return the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self.wait(within)

    def reload(self) -> None:
        """Have it read its configuration again."""
        os.kill(self.pid, signal.SIGHUP)


class Ear(Listener):
    """A consumer of the whole feed with a session of its own: QoS 1, nothing lost while it is away."""

    def __init__(self, port: int) -> None:
        super().__init__(port, f"floor/v1/{SITE}/#", args=("-i", f"ear-{port}", "-c", "-x", "3600"))

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

    def until_raised(self, alarm: str, within: float = 10.0, times: int = 1) -> dict[str, Any]:
        """Wait for an alarm's raise and return the event."""
        return until(lambda: self.events(alarm, "raised")[times - 1 :], within)[0]

    def until_cleared(self, alarm: str, within: float = 10.0, times: int = 1) -> dict[str, Any]:
        """Wait for an alarm's end and return the event."""
        return until(lambda: self.events(alarm, "cleared", "closed")[times - 1 :], within)[0]


def arrival(message: Mapping[str, Any]) -> float:
    """Return when mosquitto_sub got a message, epoch s. It writes the zone twice: 12:00:00.000000Z+0000."""
    return datetime.strptime(str(message["tst"]).replace("Z", ""), "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


class SnmpSim:
    """snmpsim serving a folder of captures: the community is the file's name without its suffix."""

    def __init__(self, captures: Path, cache: Path) -> None:
        self.port = free_port()
        cache.mkdir(exist_ok=True)
        root = ["--process-user=root", "--process-group=root"] if os.geteuid() == 0 else []
        self._log = cache / "snmpsim.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(SNMPSIM), f"--data-dir={captures}", f"--cache-dir={cache}", "--logging-method=stderr",
                    f"--agent-udpv4-endpoint=127.0.0.1:{self.port}", *root,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def __enter__(self) -> Self:
        until(lambda: "Listening at UDP" in self._log.read_text() or self._process.poll() is not None, 30)
        assert self._process.poll() is None, self._log.read_text()[-5000:]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(5)


def varied(capture: Path, folder: Path, changes: Mapping[str, str]) -> Path:
    """Copy a capture as `ups.snmprec` with objects changed or added; each change is oid -> `tag|value`."""
    folder.mkdir()
    rows: dict[str, str] = {}
    for line in capture.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        oid, bar, rest = line.partition("|")
        if bar:
            rows[oid] = rest
    rows.update(changes)
    order = sorted(rows, key=lambda oid: tuple(map(int, oid.split("."))))
    text = "".join(f"{oid}|{rows[oid]}\n" for oid in order)
    (folder / "ups.snmprec").write_text(text, encoding="utf-8", errors="surrogateescape")
    return folder


ON_BATTERY: Final = {
    f"{UPS_MIB}.4.1.0": "2|5",
    f"{UPS_MIB}.2.1.0": "2|2",
    f"{UPS_MIB}.2.2.0": "2|37",
    f"{UPS_MIB}.2.3.0": "2|140",
    f"{UPS_MIB}.2.4.0": "2|97",
    f"{UPS_MIB}.3.3.1.2.1": "2|0",
    f"{UPS_MIB}.3.3.1.2.2": "2|0",
    f"{UPS_MIB}.3.3.1.2.3": "2|0",
    f"{UPS_MIB}.3.3.1.3.1": "2|0",
    f"{UPS_MIB}.3.3.1.3.2": "2|0",
    f"{UPS_MIB}.3.3.1.3.3": "2|0",
    f"{UPS_MIB}.6.1.0": "66|1",
    f"{UPS_MIB}.6.2.1.2.1": f"6|{UPS_MIB}.6.3.2",
}
"""What a UPS with the standard MIB shows when the mains has gone (RFC 1628 §4)."""


class Wire:
    """A UDP port with a cable behind it: `plug` leads it to another device, `pull` to none, which is silence."""

    def __init__(self) -> None:
        self._front = socket.socket(type=socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self.port: int = self._front.getsockname()[1]
        self.asked: list[float] = []
        """When questions came, by the monotonic clock."""
        self._back: dict[tuple[str, int], socket.socket] = {}
        self._target: int | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(5)
        for each in (self._front, *self._back.values()):
            each.close()

    def plug(self, port: int) -> float:
        """Lead to the device at this port from now on; return the moment, epoch s."""
        self._target = port
        return time.time()

    def pull(self) -> None:
        """Lead nowhere."""
        self._target = None

    def _carry(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._front, selectors.EVENT_READ)
            while not self._end.is_set():
                for key, _ in ready.select(0.1):
                    end = key.fileobj
                    assert isinstance(end, socket.socket)
                    with suppress(ConnectionError):
                        data, sender = end.recvfrom(65_535)
                        target = self._target
                        if end is self._front:
                            self.asked.append(time.monotonic())
                        if target is None:
                            continue
                        if end is not self._front:
                            self._front.sendto(data, key.data)
                            continue
                        if sender not in self._back:
                            self._back[sender] = back = socket.socket(type=socket.SOCK_DGRAM)
                            ready.register(back, selectors.EVENT_READ, sender)
                        self._back[sender].sendto(data, ("127.0.0.1", target))


HEALTHY: Final = 0x1111
NOT_THERE: Final = 0xFFFF


def controller(changes: Mapping[int, int]) -> SimDevice:
    """Make a controller at rest in auto with the mains there, as pymodbus serves it."""
    page3 = [1, 0x0A12, 0x0012, 0x34, 1, NOT_THERE, 0, 0]
    page4 = [NOT_THERE] * 64
    page4[:14] = [0, 38, 0x7FFF, 64, 0, 274, 0, 0, 0, 0, 0, 0, 0, 0]  # kPa, Cel, oil Cel, %, V, 0.1 V, rpm, 0.1 Hz
    page4[35:42] = [500, 0, 2298, 0, 2301, 0, 2305]  # 1059: mains 0.1 Hz, then L1..L3 in 0.1 V, high word first
    pages: dict[int, list[int]] = {
        768: page3,
        1024: page4,
        1408: [0],
        1536: [0, 0],
        1798: [0x0006, 0xCFC0],  # 446400 s, which a filter of "too large" values would lose
        1808: [0, 128],
        2048: [14 * 4, *[HEALTHY] * 14],
        3328: [0x000C],  # generator loading in bits 8 and 9: off
        39424: [44, *[HEALTHY] * 11],
    }
    for address, value in changes.items():
        page = max(start for start in pages if start <= address)
        pages[page][address - page] = value
    return SimDevice(
        10, [SimData(start, values=values, datatype=DataType.REGISTERS) for start, values in sorted(pages.items())]
    )


class Controller:
    """A controller of registers written by hand, served by pymodbus in a thread of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._serve())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._server.shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def write(self, address: int, *values: int) -> float:
        """Set holding registers; return the moment, epoch s."""
        self._do(self._server.async_setValues(10, 16, address, list(values)))
        return time.time()

    async def _serve(self) -> None:
        self._server = ModbusTcpServer(controller({}), address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class Simulated:
    """`edgeagent simulate` as a person runs it."""

    def __init__(self, driver: str, url: str, *values: str) -> None:
        sets = [part for value in values for part in ("--set", value)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgeagent", "simulate", driver, "--listen", url, *sets],
            cwd="/", env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self.port = 0

    def __enter__(self) -> Self:
        said = self._out.readline()
        match = re.search(r" port (\d+)$", said)
        if match is None:
            self.__exit__()
        assert match is not None, said
        self.port = int(match.group(1))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(5)
        for end in (self._process.stdin, self._process.stdout):
            assert end is not None
            with suppress(BrokenPipeError):
                end.close()

    @property
    def _out(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def tell(self, line: str) -> None:
        """Give it a command and see that it takes it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        assert self._out.readline() == "ok\n", line


def missing(*programs: str) -> str:
    """Name the programs that are not installed."""
    return ", ".join(name for name in programs if shutil.which(name) is None)
