"""The true agent of a seat as a process of its own, and the file that it reads."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rig import SITE, environment

SALT = "0123456789abcdef"


def write_seat(folder: Path, broker: int, id: str, *parts: str, salt: str = SALT, interval: int = 5) -> Path:
    """Write a seat's file, and return it. Another salt makes another machine of this one."""
    folder.mkdir(exist_ok=True)
    (folder / "secrets").mkdir(exist_ok=True)
    (folder / "secrets" / "salt").write_text(salt)
    (folder / "secrets" / "salt").chmod(0o600)
    lines = [
        "[seat]", f'id = "{id}"', f'site = "{SITE}"', f"interval = {interval}", 'salt_secret = "salt"',
        'reason = "reason"', "[broker]", f'url = "mqtt://127.0.0.1:{broker}"', *parts, "",
    ]  # fmt: skip
    (folder / "seat.toml").write_text("\n".join(lines))
    return folder / "seat.toml"


class SeatProcess:
    """`edgeagent seat`, running. Its log is beside its file."""

    def __init__(self, config: Path, **environ: str) -> None:
        self._config, self._environ = config, environ
        self._process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self._config.parent / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "edgeagent", "seat", "--config", str(self._config)]
        with (self._config.parent / "log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd="/", env=environment(**self._environ), stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(5)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """Stop it as a service manager does, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self._process.wait(10)
