"""Two network namespaces with a wire between them: the site host's and the floor's. Needs root and iproute2."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

_T = TypeVar("_T")
_NEWNET: Final = 0x40000000
SITE: Final = "10.99.0.1"

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("nsenter") and shutil.which("ip")),
    reason="network namespaces take root, iproute2 and util-linux",
)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace, held by a process that does nothing."""

    pid: int

    def run(self, *lines: str) -> None:
        """Run lines of shell inside."""
        script = "set -e\n" + "\n".join(lines)
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-n", "sh", "-c", script], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def call(self, function: Callable[[], _T]) -> _T:
        """Call a function on a thread inside: sockets belong to the namespace of the thread that opens them."""
        came: queue.Queue[tuple[_T | None, BaseException | None]] = queue.Queue()

        def inside() -> None:
            try:
                self.enter()
                came.put((function(), None))
            except BaseException as error:  # noqa: BLE001 - goes on where it is waited for
                came.put((None, error))

        thread = threading.Thread(target=inside)
        thread.start()
        result, error = came.get(timeout=120)
        thread.join()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def enter(self) -> None:
        """Move this thread inside."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/proc/{self.pid}/ns/net").open("rb") as file:
            assert libc.setns(file.fileno(), _NEWNET) == 0, os.strerror(ctypes.get_errno())

    def tell(self, story: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine inside."""
        return self.call(lambda: asyncio.run(story))


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """Open an empty namespace."""
    with subprocess.Popen(["unshare", "-n", "sleep", "600"]) as process:
        try:
            ours = Path("/proc/self/ns/net").readlink()
            until = time.monotonic() + 30
            while Path(f"/proc/{process.pid}/ns/net").readlink() == ours:
                assert time.monotonic() < until
                assert process.poll() is None
                time.sleep(0.005)
            yield Namespace(process.pid)
        finally:
            process.kill()


@contextlib.contextmanager
def floor(*hosts: str) -> Iterator[tuple[Namespace, Namespace]]:
    """Join the site host, 10.99.0.1 and fd99::1, to a floor that has these addresses."""
    with namespace() as site, namespace() as seats:
        for each in (site, seats):  # an address counts at once, not after a second of looking for its double
            each.run(*(f"echo 0 > /proc/sys/net/ipv6/conf/{which}/accept_dad" for which in ("all", "default")))
        site.run(
            f"ip link add s0 type veth peer name f0 netns {seats.pid}",
            "ip link set lo up",
            f"ip addr add {SITE}/16 dev s0",
            "ip -6 addr add fd99::1/64 dev s0 nodad",
            "ip link set s0 up",
        )
        seats.run(
            "ip link set lo up",
            *(f"ip addr add {host}/16 dev f0" for host in hosts if ":" not in host),
            *(f"ip -6 addr add {host}/64 dev f0 nodad" for host in hosts if ":" in host),
            "ip link set f0 up",
        )
        for each, card in ((site, "s0"), (seats, "f0")):  # the kernel takes note of a new wire a moment later
            each.run(
                f"for _ in $(seq 500); do ip link show {card} | grep -q 'state UP' && exit 0; sleep 0.01; done; exit 1"
            )
        site.run('echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range')
        yield site, seats
