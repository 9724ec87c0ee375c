from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeagent import sdnotify


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The end of the socket on which systemd listens."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@edgeagent-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address.replace("@", "\0") if request.param == "abstract" else address)
        channel.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield channel


def heard(systemd: socket.socket) -> list[str]:
    return systemd.recv(4096).decode().split("\n")


def test_ready_carries_its_status_in_the_same_datagram(systemd: socket.socket) -> None:
    assert sdnotify.ready("polling 12 devices")
    assert heard(systemd) == ["READY=1", "STATUS=polling 12 devices"]


def test_a_watchdog_beat_is_one_word(systemd: socket.socket) -> None:
    assert sdnotify.watchdog()
    assert heard(systemd) == ["WATCHDOG=1"]


def test_a_status_of_two_lines_cannot_smuggle_in_a_second_assignment(systemd: socket.socket) -> None:
    assert sdnotify.status("broker is away\nSTOPPING=1 柴油机")
    assert heard(systemd) == ["STATUS=broker is away STOPPING=1 柴油机"]


def test_reloading_names_the_moment_as_newer_systemd_asks(systemd: socket.socket) -> None:
    assert sdnotify.reloading()
    word, moment = heard(systemd)
    assert word == "RELOADING=1"
    assert moment.removeprefix("MONOTONIC_USEC=").isdecimal()


def test_stopping_is_told(systemd: socket.socket) -> None:
    assert sdnotify.stopping()
    assert heard(systemd) == ["STOPPING=1"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234"], ids=["absent", "empty", "not a unix socket"])
def test_without_systemd_nothing_is_sent_and_nothing_is_logged(
    address: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not sdnotify.watchdog()
    assert not caplog.records


def test_a_socket_that_is_gone_is_a_warning_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not sdnotify.watchdog()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(tmp_path / "gone") in caplog.text


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("60000000", None, 30.0),
        ("60000000", "us", 30.0),
        ("60000000", "1", None),
        ("0", None, None),
        ("", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
    ids=["half of it", "meant for us", "meant for another", "zero is off", "empty", "no number", "absent"],
)
def test_the_watchdog_interval(
    usec: str | None, pid: str | None, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", str(os.getpid()) if pid == "us" else pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert sdnotify.watchdog_interval() == expected
