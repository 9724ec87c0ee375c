"""Tell systemd how the agent is, as sd_notify(3) says. Without systemd every call does nothing.

Never raises: whoever hears nothing from us starts us again, so a lost word is a warning in the log.
"""

from __future__ import annotations

import logging
import os
import socket
import time

_log = logging.getLogger(__name__)


def notify(*assignments: str) -> bool:
    """Send `NAME=value` lines in one datagram and return whether systemd took them."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # an abstract socket is spelled with @ and addressed with a zero byte
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect(address)
            channel.sendall("\n".join(assignments).encode())
    except OSError as error:
        _log.warning("systemd does not hear us on %s: %s", os.environ["NOTIFY_SOCKET"], error)
        return False
    return True


def ready(text: str) -> bool:
    """Say that start-up, or a reload, is done."""
    return notify("READY=1", _status(text))


def status(text: str) -> bool:
    """Say in one line what the agent is doing; `systemctl status` shows it."""
    return notify(_status(text))


def watchdog() -> bool:
    """Say that everything that must tick has ticked."""
    return notify("WATCHDOG=1")


def reloading() -> bool:
    """Say that the configuration is being read again; `ready` ends it."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> bool:
    """Say that the agent is on its way out."""
    return notify("STOPPING=1")


def watchdog_interval() -> float | None:
    """Return how often `watchdog` is due in s, half of what the unit allows, or None when nobody waits for it."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    if not limit.isdecimal() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit) / 2_000_000 or None


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())
