"""Devices as the field has them: snmpsim, pymodbus, our own simulator, and wires that can be pulled."""

from __future__ import annotations

import asyncio
import os
import re
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Self

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.broker import free_port, until
from tests.rig import ROOT, environment

CAPTURES: Final = ROOT.parent / "shared" / "captures"
UPS_MIB: Final = "1.3.6.1.2.1.33.1"
SNMPSIM: Final = Path(sys.executable).parent / "snmpsim-command-responder"

needs_captures = pytest.mark.skipif(
    not (CAPTURES / "truth.json").is_file(), reason=f"walks of real devices are not in {CAPTURES}"
)
needs_snmpsim = pytest.mark.skipif(not SNMPSIM.is_file(), reason="snmpsim is not installed")


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
        until(lambda: "Listening at UDP" in self._log.read_text() or self._process.poll() is not None, 60)
        assert self._process.poll() is None, self._log.read_text()[-5000:]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)


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
        self._thread.join(60)
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
        self._do(self._server.shutdown())  # type: ignore[no-untyped-call]
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
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


class Spoken:
    """A command of ours that serves a device at a port and takes lines of text, as a person runs it."""

    def __init__(self, *words: str | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgeagent", *map(str, words)],
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
        self._process.wait(60)
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


class Simulated(Spoken):
    """`edgeagent simulate`."""

    def __init__(self, driver: str, url: str, *values: str) -> None:
        super().__init__("simulate", driver, "--listen", url, *(part for value in values for part in ("--set", value)))
