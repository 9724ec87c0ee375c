"""A UPS on a serial line that is not there: it answers inquiries on a pseudo terminal, at a path of its own.

What it says is put together here, apart from how the link takes it apart, in the fixed columns of the Megatec and
Voltronic documents, so that other people's tools can read it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import tty
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgeagent.readings import Missing, Raw

_REMNANT: Final = b"0.0 25.0 0"
_LONGEST: Final = 64  # bytes of a question that never ends
_ASKED: Final = {"QS": "Q1", "D": "Q1"}
_BOOST, _BUCK = 1.15, 0.87  # output against input; less than 5 % apart would be bypass


@dataclass
class SerialServer:
    """Answer at `path`, which becomes a link to a pseudo terminal.

    `answer` gives the line for a command, without its end, b"" for one that is not answered, or None for one that is
    not known: that is echoed, as the Megatec document has it. A `silent` one says nothing; with `echo` it repeats every
    command first, with `stale` it sends what is left of an earlier line. `asked` holds the last thousand commands.
    """

    path: str
    answer: Callable[[str], bytes | None]
    silent: bool = False
    echo: bool = False
    stale: bool = False
    delay: float = 0.0
    asked: deque[str] = field(default_factory=lambda: deque(maxlen=1000))

    def __post_init__(self) -> None:
        """Begin without a terminal."""
        self._fds: tuple[int, int] | None = None
        self._buffer = b""

    async def start(self) -> int:
        """Open the terminal and link it; there is no port, so 0.

        Raises:
            OSError: when something stands at the path already.
        """
        ours, theirs = os.openpty()
        try:
            tty.setraw(theirs)
            os.set_blocking(ours, False)
            _link(Path(self.path), os.ttyname(theirs))
        except OSError:
            os.close(ours)
            os.close(theirs)
            raise
        self._fds = ours, theirs  # theirs stays open, else the terminal ends with the first client
        asyncio.get_running_loop().add_reader(ours, self._read)
        return 0

    def stop(self) -> None:
        """Pull the plug: the path is gone and whoever has it open reads its end."""
        if self._fds is None:
            return
        fds, self._fds = self._fds, None
        asyncio.get_running_loop().remove_reader(fds[0])
        with contextlib.suppress(OSError):
            Path(self.path).unlink()
        for fd in fds:
            os.close(fd)

    def say(self, data: bytes) -> None:
        """Send what nobody asked for."""
        if self._fds is not None:
            with contextlib.suppress(BlockingIOError):  # nobody reads it
                os.write(self._fds[0], data)

    def _read(self) -> None:
        if self._fds is None:
            return
        try:
            self._buffer += os.read(self._fds[0], 1024)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EAGAIN):
                raise
            return
        *commands, self._buffer = self._buffer.split(b"\r")
        self._buffer = self._buffer[-_LONGEST:]
        for raw in commands:
            command = raw.strip(b"\0\n ").decode("latin-1")
            self.asked.append(command)
            if self.silent or not command:
                continue
            said = self.answer(command)
            if said == b"":
                continue
            line = raw if said is None else said
            before = _REMNANT if self.stale and said is not None else b""
            data = before + (raw + b"\r" if self.echo and said is not None else b"") + line + b"\r"
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self.say, data)
            else:
                self.say(data)


def _link(where: Path, terminal: str) -> None:
    if where.is_symlink() and not where.exists():
        where.unlink()  # left behind by one that was killed
    where.symlink_to(terminal)


def speak(image: Mapping[str, Raw], command: str) -> bytes | None:
    """Answer in the dialect that the image is of: a `TIMEOUT` in it keeps a command unanswered, `NULL` is dashes."""
    if any(
        raw is Missing.TIMEOUT and address.startswith(f"{_ASKED.get(command, command)}:")
        for address, raw in image.items()
    ):
        return b""
    return (voltronic if any(address.startswith("QGS:") for address in image) else megatec)(image, command)


def voltronic(image: Mapping[str, Raw], command: str) -> bytes:
    """Say what a Voltronic UPS answers; what it does not know it refuses."""
    mode = _text(image, "QMOD:0").decode() or "L"
    volts = _number(image, "QGS:8", 27.3)
    if command == "QGS":
        bits = "10" + "".join(str(int(_number(image, f"QGS:b{bit}", 0) != 0)) for bit in range(9, -1, -1))
        on_battery = mode == "B" or bits[2] == "1"
        bits = f"{bits[:2]}{int(on_battery)}{bits[3:]}"
        words = [
            f"{_field(image, 'QGS:0', 230, '05.1f')} {_field(image, 'QGS:1', 50, '04.1f')}",
            f"{_field(image, 'QGS:2', 230, '05.1f')} {_field(image, 'QGS:3', 50, '04.1f')}",
            f"{_field(image, 'QGS:4', 0, '05.1f')} {_field(image, 'QGS:5', 0, '03.0f')}",
            f"369.1 ---.- {_field(image, 'QGS:8', 27.3, '05.1f')} ---.- {_field(image, 'QGS:10', 25, '05.1f')}",
        ]
        return f"({' '.join(words)} {bits}".encode()
    if command == "QBV":
        charge, minutes = _field(image, "QBV:3", 100, "03.0f"), _field(image, "QBV:4", 40, "03.0f")
        return f"({volts:05.1f} 02 01 {charge} {minutes}".encode()
    if command == "QWS":
        flags = _text(image, "QWS:0")
        return b"(" + (flags if len(flags) == 64 else b"0" * 64)
    said = {
        "QMOD": mode.encode(),
        "QPI": b"PI01",
        "QRI": b"230.0 004 024.0 50.0",
        "QMD": b"######SIMULATED ###1000 80 1/1 230 230 02 12.0",
        "QMF": _text(image, "QMF:0") or b"####SIM",
        "QVFW": b"VERFW:" + (_text(image, "QVFW:0") or b"00001.00"),
        "QID": _text(image, "QID:0") or b"0000000000000000",
    }.get(command, b"NAK")
    return b"(" + said


def megatec(image: Mapping[str, Raw], command: str) -> bytes | None:
    """Say what a UPS with this image (raw answers by address, "Q1:0") answers to a Megatec command."""
    if command in ("Q1", "QS", "D"):
        return _status(image)
    if command == "F":
        cells = _number(image, "F:2", _number(image, "Q1:battery", 24.0))
        return f"#{_number(image, 'F:0', 220):05.1f} {_number(image, 'F:1', 9):03.0f} {cells:05.1f} 50.0".encode()
    if command == "I":
        maker, model, version = (_text(image, f"I:{place}") for place in range(3))
        return b"#" + maker.ljust(15)[:15] + b" " + model.ljust(10)[:10] + b" " + version.ljust(10)[:10]
    return None


def _status(image: Mapping[str, Raw]) -> bytes:
    mode = _text(image, "Q1:mode").decode()
    inside, outside = _number(image, "Q1:0", 230), _number(image, "Q1:2", 230)
    ratio = {"boost": _BOOST, "buck": _BUCK}.get(mode)
    if ratio is not None:
        inside = outside / ratio
    if mode == "off":
        outside = 0.0
    battery = _number(image, "Q1:battery", 27.3)
    words = [
        _dashed(image, "Q1:0", f"{inside:05.1f}"),
        _field(image, "Q1:1", inside, "05.1f"),
        _dashed(image, "Q1:2", f"{outside:05.1f}"),
        _field(image, "Q1:3", 0, "03.0f"),
        _field(image, "Q1:4", 50, "04.1f"),
        _dashed(image, "Q1:battery", f"{battery:04.1f}" if battery > 3 else f"{battery:04.2f}"),
        _field(image, "Q1:6", 25, "04.1f"),
    ]
    on = {
        7: mode == "battery",
        5: mode in ("bypass", "boost", "buck"),
        3: mode in ("boost", "buck"),
        2: mode == "test",
    }
    bits = "".join("1" if on.get(bit) or _number(image, f"Q1:b{bit}", 0) else "0" for bit in range(7, -1, -1))
    return f"({' '.join(words)} {bits}".encode()


def _field(image: Mapping[str, Raw], address: str, default: float, form: str) -> str:
    return _dashed(image, address, f"{_number(image, address, default):{form}}")


def _dashed(image: Mapping[str, Raw], address: str, text: str) -> str:
    """Return dashes of the same width for what the UPS does not know."""
    return re.sub(r"\d", "-", text) if image.get(address) is Missing.NULL else text


def _number(image: Mapping[str, Raw], address: str, default: float) -> float:
    raw = image.get(address, default)
    return default if isinstance(raw, Missing) else float(raw)


def _text(image: Mapping[str, Raw], address: str) -> bytes:
    raw = image.get(address, b"")
    return raw if isinstance(raw, bytes) else b""
