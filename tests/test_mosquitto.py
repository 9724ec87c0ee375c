"""The broker configuration that ships, under the real mosquitto with certificates made for the occasion."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edgeagent.messages import Tree
from edgeagent.resources import drivers, examples
from edgeagent.sitefiles import load

SHIPPED = Path(__file__).parent.parent / "config" / "mosquitto"

pytestmark = pytest.mark.skipif(
    None in {shutil.which("mosquitto"), shutil.which("mosquitto_pub"), shutil.which("mosquitto_sub")},
    reason="mosquitto is missing: install Debian's packages mosquitto and mosquitto-clients",
)


@dataclass(frozen=True, slots=True)
class Broker:
    port: int
    folder: Path

    def client(self, program: str, user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run mosquitto_pub or mosquitto_sub over MQTT v5 with the certificate of a user."""
        folder = self.folder
        command = [program, "-V", "5", "-h", "localhost", "-p", str(self.port), "--cafile", str(folder / "ca.crt")]
        if user:
            command += ["--cert", str(folder / f"{user}.crt"), "--key", str(folder / f"{user}.key")]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=60)

    def may_write(self, user: str, topic: str) -> bool:
        """Publish with QoS 1 and tell whether the PUBACK carries "not authorized"."""
        done = self.client("mosquitto_pub", user, "-q", "1", "-t", topic, "-m", "{}", "-d")
        assert "PUBACK" in done.stdout, done.stdout + done.stderr
        return "RC:135" not in done.stdout


def certify(
    folder: Path, name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None
) -> ec.EllipticCurvePrivateKey:
    """Write <name>.crt and <name>.key, signed by the issuer or, without one, as a CA by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(
            issuer[0] if issuer else subject, subject, key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return key


@contextmanager
def shipped(folder: Path, port: int, *users: str) -> Iterator[Broker]:
    """Start the shipped configuration on a port of 127.0.0.1, its files in a folder of the test."""
    authority = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]), certify(folder, "ca"))
    for name in ("broker", "edge-hq-1", *users):
        certify(folder, name, authority)
    shutil.copy(SHIPPED / "acl", folder / "acl")
    text = (SHIPPED / "mosquitto.conf").read_text(encoding="utf-8")
    moved = text.replace("/etc/mosquitto/", f"{folder}/").replace("listener 8883", f"listener {port} 127.0.0.1")
    (folder / "mosquitto.conf").write_text(f"{moved}\npersistence_location {folder}/\nuser root\n")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["mosquitto", "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        started = Broker(port, folder)
        while started.client("mosquitto_pub", "edge-hq-1", "-t", "floor/v1/hq/live/exercise", "-m", "{}").returncode:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
        yield started
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Broker]:
    """Start the shipped configuration with all its users, and one that it does not know."""
    users = ("sms-gw", "shift-desk", "drill-desk", "dashboard", "stranger", "a017")
    with shipped(tmp_path_factory.mktemp("mosquitto"), free_port(), *users) as started:
        yield started


@pytest.mark.parametrize(
    ("user", "topic", "granted"),
    [
        ("edge-hq-1", "floor/v1/hq/live/agent/edge-hq-1/status", True),
        ("edge-hq-1", "floor/v1/hq/live/inventory", True),
        ("edge-hq-1", "floor/v1/hq/live/device/ups-1/state", True),
        ("edge-hq-1", "floor/v1/hq/drill/alarm/ups-1.on-battery", True),
        ("edge-hq-1", "floor/v1/hq/live/alarms", True),
        ("edge-hq-1", "floor/v1/hq/live/event/alarm/critical", True),
        ("edge-hq-1", "floor/v1/hq/live/procedure/run-1", True),
        ("edge-hq-1", "floor/v1/hq/drill/exercise", True),
        ("edge-hq-1", "floor/v1/hq/live/res/ack", True),
        ("edge-hq-1", "floor/v1/hq/live/agent/edge-hq-2/status", False),
        ("edge-hq-1", "floor/v1/branch/live/alarms", False),
        ("edge-hq-1", "floor/v1/hq/live/req/ack", False),
        ("shift-desk", "floor/v1/hq/live/req/ack", True),
        ("shift-desk", "floor/v1/hq/live/alarms", False),
        ("shift-desk", "floor/v1/hq/drill/alarms", False),
        ("shift-desk", "floor/v1/hq/drill/req/step", True),
        ("shift-desk", "floor/v1/hq/drill/req/ack", True),
        ("shift-desk", "floor/v1/hq/drill/req/drill-stop", True),
        ("shift-desk", "floor/v1/hq/drill/req/drill-note", True),
        ("shift-desk", "floor/v1/hq/live/req/drill-stop", True),
        ("shift-desk", "floor/v1/hq/drill/req/drill-start", False),
        ("shift-desk", "floor/v1/hq/drill/req/drill-renew", False),
        ("shift-desk", "floor/v1/hq/live/exercise", False),
        ("drill-desk", "floor/v1/hq/drill/req/drill-start", True),
        ("drill-desk", "floor/v1/hq/drill/req/drill-renew", True),
        ("drill-desk", "floor/v1/hq/drill/req/drill-stop", True),
        ("drill-desk", "floor/v1/hq/drill/req/step", True),
        ("drill-desk", "floor/v1/hq/live/req/drill-stop", True),
        ("drill-desk", "floor/v1/hq/live/req/ack", False),
        ("drill-desk", "floor/v1/hq/drill/exercise", False),
        ("dashboard", "floor/v1/hq/live/req/ack", False),
        ("dashboard", "floor/v1/hq/live/req/drill-stop", False),
        ("dashboard", "floor/v1/hq/drill/req/drill-start", False),
        ("dashboard", "floor/v1/hq/drill/req/drill-stop", False),
        ("sms-gw", "floor/v1/hq/drill/req/drill-start", False),
        ("sms-gw", "floor/v1/hq/live/alarms", False),
        ("stranger", "floor/v1/hq/live/alarms", False),
        ("a017", "floor/v1/hq/seat/a017/status", True),
        ("a017", "floor/v1/hq/seat/a017/report", True),
        ("a017", "floor/v1/hq/seat/a017/other", False),
        ("a017", "floor/v1/hq/seat/a018/status", False),
        ("a017", "floor/v1/hq/seat/a018/report", False),
        ("a017", "floor/v1/branch/seat/a017/report", False),
        ("a017", "floor/v1/hq/live/device/a017/state", False),
        ("a017", "floor/v1/hq/live/req/ack", False),
        ("shift-desk", "floor/v1/hq/seat/a017/report", False),
    ],
)
def test_who_may_write_what(broker: Broker, user: str, topic: str, *, granted: bool) -> None:
    assert broker.may_write(user, topic) is granted


def test_the_agent_of_the_example_site_may_write_all_that_is_its_own(broker: Broker) -> None:
    site = load(examples(), drivers())
    tree = Tree(site.root, site.id, site.agent)
    own = (tree.own("status"), tree.own("info"), tree.own("health"), tree.inventory(), tree.state("ups-a"))
    assert [topic for topic in own if not broker.may_write("edge-hq-1", topic)] == []


@pytest.mark.parametrize(
    ("user", "topic", "granted"),
    [
        ("edge-hq-1", "floor/v1/hq/live/device/ups-1/state", True),
        ("dashboard", "floor/v1/hq/live/device/ups-1/state", True),
        ("sms-gw", "floor/v1/hq/live/event/alarm/critical", True),
        ("sms-gw", "floor/v1/hq/drill/event/alarm/critical", False),
        ("sms-gw", "floor/v1/hq/drill/event/exercise/outage-good-start", False),
        ("sms-gw", "floor/v1/hq/drill/alarms", False),
        ("sms-gw", "floor/v1/hq/drill/exercise", False),
        ("shift-desk", "floor/v1/hq/drill/exercise", True),
        ("sms-gw", "floor/v1/hq/live/device/ups-1/state", False),
        ("stranger", "floor/v1/hq/live/device/ups-1/state", False),
        ("a017", "floor/v1/hq/live/device/ups-1/state", False),
        ("edge-hq-1", "floor/v1/hq/seat/a017/status", True),
        ("a017", "floor/v1/hq/seat/a017/status", False),
        ("shift-desk", "floor/v1/hq/seat/a017/status", False),
        ("drill-desk", "floor/v1/hq/drill/alarms", True),
        ("dashboard", "floor/v1/hq/seat/a017/status", False),
    ],
)
def test_who_may_read_what(broker: Broker, user: str, topic: str, *, granted: bool) -> None:
    writer = "a017" if "/seat/" in topic else "edge-hq-1"
    broker.client("mosquitto_pub", writer, "-q", "1", "-r", "-t", topic, "-m", "kept")
    patience = "10" if granted else "1"
    heard = broker.client("mosquitto_sub", user, "-t", topic, "-F", "%t %p", "-C", "1", "-W", patience)
    assert (heard.stdout == f"{topic} kept\n") is granted


@pytest.mark.parametrize("wanted", ["floor/v1/hq/+/event/alarm/#", "floor/#", "#"])
def test_a_pager_that_asks_for_everything_gets_nothing_of_a_drill(broker: Broker, wanted: str) -> None:
    for topic in (
        "floor/v1/hq/live/event/alarm/major",
        "floor/v1/hq/drill/event/alarm/major",
        "floor/v1/hq/drill/alarms",
    ):
        broker.client("mosquitto_pub", "edge-hq-1", "-q", "1", "-r", "-t", topic, "-m", "kept")
    heard = broker.client("mosquitto_sub", "sms-gw", "-t", wanted, "-F", "%t", "-W", "1")
    assert set(heard.stdout.split()) >= {"floor/v1/hq/live/event/alarm/major"}
    assert "/drill/" not in heard.stdout


def test_a_client_without_a_certificate_is_turned_away(broker: Broker) -> None:
    assert broker.client("mosquitto_pub", "", "-q", "1", "-t", "floor/v1/hq/live/alarms", "-m", "{}").returncode != 0
