"""A real mosquitto on a free loopback port, certificates for it, and a mosquitto_sub that remembers what it heard."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest

T = TypeVar("T")

needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto") is None or shutil.which("mosquitto_sub") is None, reason="mosquitto is not installed"
)


_FIRST, _LAST, _BLOCK = 20_000, 32_000, 50


def _own_ports() -> Iterator[int]:
    """Give ports of blocks that are claimed for as long as this process lives, by a name that the kernel holds."""
    blocks = range(_FIRST, _LAST, _BLOCK)
    begin = os.getpid() % len(blocks)  # a run after this one does not meet what this one left waiting
    for first in (*blocks[begin:], *blocks[:begin]):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0edgeagent-test-ports-{first}")
        except OSError:  # another run's
            claim.close()
            continue
        claim.detach()
        yield from range(first, first + _BLOCK)


_ports = _own_ports()


def free_port() -> int:
    """Give a port of 127.0.0.1 that neither TCP nor UDP uses, another one each time.

    It lies below the kernel's own range, so no outgoing connection takes it before its server does; tests that run
    side by side, of one run or of several, have ports of their own.
    """
    for port in _ports:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def until(probe: Callable[[], T | None], within: float = 60.0) -> T:
    """Ask again and again until the answer is true; fail when it never is."""
    deadline = time.monotonic() + within
    while True:
        late = time.monotonic() >= deadline  # before the answer: who stood still until then asks once more
        found = probe()
        if found:
            return found
        if late:
            raise AssertionError(f"did not come true within {within} s")
        time.sleep(0.02)


class Mosquitto:
    """One broker. `config` has further lines; `accounts` and `acl` close it to all others."""

    def __init__(
        self, folder: Path, config: Sequence[str] = (), *, accounts: dict[str, str] | None = None, acl: str = ""
    ) -> None:
        self.port = free_port()
        self.folder = folder
        self._config = list(config)
        if accounts:
            passwords = folder / "passwords"
            passwords.write_text("".join(f"{name}:{password}\n" for name, password in accounts.items()))
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
            self._config += [f"password_file {passwords}"]
        else:
            self._config += ["allow_anonymous true"]
        if acl:
            (folder / "acl").write_text(acl)
            self._config += [f"acl_file {folder / 'acl'}"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What the broker has logged so far."""
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, on the same port each time, and see that it is ours that listens."""
        own = ["user root"] if os.geteuid() == 0 else []  # else it drops to a user that cannot read the folder
        path = self.folder / "mosquitto.conf"
        # Else a small message waits for the acknowledgement of the one before it, 40 ms.
        lines = [*own, "set_tcp_nodelay true", f"listener {self.port} 127.0.0.1", *self._config, ""]
        path.write_text("\n".join(lines))
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(["mosquitto", "-v", "-c", str(path)], stdout=log, stderr=log)
        process = self._process
        until(lambda: process.poll() is not None or _listens(process.pid, self.port))
        assert process.poll() is None, self.log

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Have it answer nothing for a while, its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


class Listener:
    """A mosquitto_sub; `messages` are what it printed: topic, payload, qos, retain, properties."""

    def __init__(self, port: int, *filters: str, args: Sequence[str] = (), qos: int = 1) -> None:
        topics = [part for topic in filters for part in ("-t", topic)]
        command = ["stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-F", "%j", "-d"]
        # Unbuffered, since it flushes messages but not the word that it has subscribed.
        self._process = subprocess.Popen(
            [*command, "-p", str(port), "-q", str(qos), *topics, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.messages: list[dict[str, Any]] = []
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        until(lambda: any(line.startswith("Subscribed") for line in self._lines))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # amid a message, its handler of SIGTERM makes it print that one twice
        self._process.wait(60)
        self._thread.join(60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            line = raw.decode(errors="replace")
            if line.startswith("{"):
                self.messages.append(json.loads(line))
            else:
                self._lines.append(line)

    def on(self, topic: str) -> list[dict[str, Any]]:
        """Return what came on a topic, payloads parsed; an empty one is None."""
        found = [message for message in list(self.messages) if message["topic"] == topic]
        return [{**message, "payload": _parsed(message["payload"])} for message in found]

    def newest(self, topic: str) -> Any:  # noqa: ANN401 - JSON
        """Return the payload that came last on a topic, None when there is none."""
        found = self.on(topic)
        return found[-1]["payload"] if found else None


def certificates(folder: Path) -> dict[str, Path]:
    """Make a CA, a broker certificate for 127.0.0.1 and a client certificate with CN edge-hq-1."""
    files = {name: folder / name for name in ("ca.crt", "ca.key", "broker.crt", "broker.key", "agent.crt", "agent.key")}

    def openssl(*args: str | Path) -> None:
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-subj", "/CN=test ca", "-keyout", files["ca.key"], "-out", files["ca.crt"])
    for name, subject in (("broker", "/CN=broker"), ("agent", "/CN=edge-hq-1")):
        request, extra = folder / f"{name}.csr", folder / f"{name}.ext"
        extra.write_text("subjectAltName = IP:127.0.0.1\n")
        openssl("req", "-new", *key[:5], "-subj", subject, "-keyout", files[f"{name}.key"], "-out", request)
        openssl(
            "x509", "-req", "-in", request, "-CA", files["ca.crt"], "-CAkey", files["ca.key"], "-CAcreateserial",
            "-days", "2", "-extfile", extra, "-out", files[f"{name}.crt"],
        )  # fmt: skip
    return files


def _parsed(payload: Any) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(payload, str):
        return payload
    return json.loads(payload) if payload else None


def _listens(pid: int, port: int) -> bool:
    """Tell whether the process itself holds the listening socket."""
    wanted = f":{port:04X}"
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted) and fields[3] == "0A":
            inodes.add(f"socket:[{fields[9]}]")
    try:
        return any(str(entry.readlink()) in inodes for entry in Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:  # a descriptor was closed, or the process ended, meanwhile
        return False
