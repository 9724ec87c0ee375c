"""The simulated site of site.c, built when it is first needed, and told what to show."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.benchmarks.process import Process
from tests.broker import free_port, until

SOURCE: Final = Path(__file__).with_name("site.c")
COMPILER: Final = shutil.which("cc") or shutil.which("gcc")
MISSING: Final = "no C compiler, so no simulated site that is cheap enough (Debian: gcc, libc6-dev)"
OIDS: Final = tuple(
    f"1.3.6.1.2.1.33.1.{oid}"
    for oid in (
        "4.1.0", "2.1.0", "2.2.0", "2.3.0", "2.4.0", "2.5.0", "2.6.0", "2.7.0", "3.1.0", "3.3.1.2.1", "3.3.1.3.1",
        "3.3.1.3.2", "3.3.1.3.3", "4.2.0", "4.4.1.2.1", "4.4.1.3.1", "4.4.1.4.1", "4.4.1.5.1", "5.3.1.2.1", "7.3.0",
    )
)  # fmt: skip
"""What a poll asks of a UPS, by slot."""
REGISTERS: Final = 60
SOURCE_SLOT: Final = 0
BATTERY: Final = 5
"""upsOutputSource of a UPS on battery; 3 when all is well."""
WARMTH_SLOT: Final = 7
SMOKE_SLOT: Final = 50


def build(folder: Path) -> Path:
    """Compile the site once for a folder and return the program."""
    program = folder / "site"
    if not program.exists():
        assert COMPILER is not None, MISSING
        subprocess.run([COMPILER, "-O2", "-o", program, SOURCE, "-lm"], check=True)
    return program


def address(device: int) -> str:
    """Return where a device answers."""
    number = 0x7F010001 + device
    return ".".join(str(number >> shift & 0xFF) for shift in (24, 16, 8, 0))


class SimulatedSite:
    """A process that answers for many devices. `seen` is when an answer first showed a (device, slot), monotonic s."""

    def __init__(self, folder: Path, protocol: str, devices: int, **options: float) -> None:
        self.port, self.devices = free_port(), devices
        words = [part for name, value in options.items() for part in (name, str(value))]
        self._process = subprocess.Popen(
            [build(folder), protocol, str(self.port), str(devices), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self.cpu = Process(self._process.pid)
        self.seen: dict[tuple[int, int], float] = {}
        self._reports: list[dict[str, float]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        assert self._ready.wait(10), "the simulated site did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(5)
        self._thread.join(5)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("seen"):
                _, device, slot, at = line.split()
                self.seen[int(device), int(slot)] = float(at)
            elif line.startswith("{"):
                self._reports.append(json.loads(line))
            else:
                self._ready.set()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")

    def set(self, device: int, slot: int, value: int) -> float:
        """Let a device show another value from now on, and return when that was."""
        self.seen.pop((device, slot), None)
        at = time.monotonic()
        self._say(f"set {device} {slot} {value}")
        return at

    def dead(self, share: float) -> None:
        """Let so many devices answer nothing any more."""
        self._say(f"dead {share}")

    def reset(self) -> None:
        """Forget the polls counted so far."""
        self._say("reset")

    def polls(self, interval: float) -> dict[str, float]:
        """Return what was polled since `reset`, gaps as their distance from the interval in ms, and forget it."""
        known = len(self._reports)
        self._say(f"polls {interval}")
        until(lambda: len(self._reports) > known)
        return self._reports[-1]
