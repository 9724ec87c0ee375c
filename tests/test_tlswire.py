"""What somebody on the wire between the agent and the broker reads: without TLS everything, with it nothing.

Debian's tshark looks, in packets that its dumpcap took from loopback; where they are missing the test is left out.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.broker import Listener, Mosquitto, certificates, needs_mosquitto, until
from tests.rig import TOPICS, Daemon, device, write_site

pytestmark = [
    needs_mosquitto,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not (shutil.which("tshark") and shutil.which("dumpcap")),
        reason="to look at packets takes root and Debian's tshark",
    ),
]
STATE: Final = f"{TOPICS}/device/host-a/state"
SEALED: Final = 10
"""Packets that a session of the agent and one of a reader have at the least."""


@contextmanager
def captured(port: int, file: Path) -> Iterator[None]:
    """Keep what goes over loopback to and from a port, at most for two minutes."""
    command = ["dumpcap", "-q", "-i", "lo", "-f", f"port {port}", "-a", "duration:120", "-w", str(file)]

    def marked(mark: bytes) -> bool:
        """Say a word that is nobody's, and tell whether it was kept: what came before it was too."""
        wire.sendto(mark, ("127.0.0.1", port))
        return file.exists() and mark in file.read_bytes()

    with (
        file.with_suffix(".log").open("wb") as log,
        socket.socket(type=socket.SOCK_DGRAM) as wire,
        subprocess.Popen(command, stdout=log, stderr=log) as dumpcap,
    ):
        try:
            until(lambda: marked(b"the capture begins"))
            yield
            until(lambda: marked(b"the capture ends"))
        finally:
            dumpcap.terminate()
            dumpcap.wait(60)


@dataclass(frozen=True, slots=True)
class Packet:
    """What tshark makes of a packet: its payload, the topics and the server's version of TLS that it can read."""

    payload: bytes
    topics: str
    version: str
    sealed: bool


def packets(file: Path, port: int, protocol: str) -> list[Packet]:
    """Read what was captured of one port, which speaks that protocol."""
    fields = ("tcp.payload", "mqtt.topic", "tls.handshake.extensions.supported_version", "tls.app_data")
    wanted = [part for name in fields for part in ("-e", name)]
    command = ["tshark", "-n", "-r", str(file), "-d", f"tcp.port=={port},{protocol}", "-Y", "tcp.len > 0"]
    said = subprocess.run(
        [*command, "-T", "fields", *wanted], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    rows = [line.split("\t") for line in said.splitlines()]
    return [Packet(bytes.fromhex(row[0]), row[1], row[2], bool(row[3])) for row in rows]


@pytest.mark.parametrize("secure", [pytest.param(False, id="plain"), pytest.param(True, id="TLS")])
def test_the_wire_to_the_broker_shows_the_feed_without_tls_and_nothing_of_it_with(
    tmp_path: Path, *, secure: bool
) -> None:
    files, config, args = certificates(tmp_path), [], []
    if secure:
        config = [f"cafile {files['ca.crt']}", f"certfile {files['broker.crt']}", f"keyfile {files['broker.key']}"]
        args = ["--cafile", str(files["ca.crt"])]
    file = tmp_path / ("tls.pcapng" if secure else "plain.pcapng")
    with Mosquitto(tmp_path, config) as broker:
        site = write_site(tmp_path / "site", broker.port, device("host-a", "workstation/host", "host://"))
        if secure:
            shutil.copy(files["ca.crt"], site / "ca.crt")
            text = (site / "site.toml").read_text(encoding="utf-8")
            text = text.replace('"mqtt://', '"mqtts://').replace("[devices.host-a]", 'ca = "ca.crt"\n[devices.host-a]')
            (site / "site.toml").write_text(text, encoding="utf-8")
        with captured(broker.port, file), Daemon(site) as agent, Listener(broker.port, STATE, args=args) as ear:
            until(lambda: ear.on(STATE))
            assert agent.stop() == 0
    seen = packets(file, broker.port, "tls" if secure else "mqtt")
    count = {
        what: sum(what.encode() in packet.payload for packet in seen)
        for what in (STATE, "edge-test-edge-1", "observed", "online", "Test site")
    }
    sealed = sum(packet.sealed for packet in seen)
    print(file.name, len(seen), "packets with a payload,", sealed, "sealed,", count)
    if secure:
        assert not any(count.values()), count
        assert not any(packet.topics for packet in seen)
        assert sealed > SEALED, "it was there to be read"
        assert any(packet.version == "0x0304" for packet in seen), "TLS 1.3"
    else:
        assert all(count.values()), count
        assert any(STATE in packet.topics for packet in seen)
        assert not sealed
