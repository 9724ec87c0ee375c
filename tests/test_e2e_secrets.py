"""Secrets of a site, planted wherever it keeps some: none shows in the log, the process list, the feed or the store."""

from __future__ import annotations

from pathlib import Path

from tests.broker import Mosquitto, free_port, needs_mosquitto, until
from tests.rig import TOPICS, Daemon, Ear, device, edgeagent, write_site

SECRETS = {
    "mqtt-password": "mqtt-passw0rd-planted",
    "snmp-auth": "auth-passw0rd-planted",
    "snmp-priv": "priv-passw0rd-planted",
    "ami": "ami-secr3t-planted",
    "floor": "community-fr0m-file",
}
COMMUNITY = "community-1n-the-url"
ALL = (*SECRETS.values(), COMMUNITY)


def leaks(text: bytes) -> list[str]:
    return [secret for secret in ALL if secret.encode() in text]


@needs_mosquitto
def test_no_secret_shows_in_log_process_list_feed_or_store(tmp_path: Path) -> None:
    account = {"edge": SECRETS["mqtt-password"], "ear": "ear"}
    port = free_port()
    with Mosquitto(tmp_path, accounts=account) as broker:
        folder = write_site(
            tmp_path / "site", broker.port, 'username = "edge"\npassword_secret = "mqtt-password"',
            device("url", "ups/rfc1628", f"snmp://127.0.0.1:{port}?version=2c&community={COMMUNITY}", timeout=0.2),
            device("file", "ups/rfc1628", f"snmp://127.0.0.1:{port}?version=1&community_secret=floor", timeout=0.2),
            device("v3", "ups/rfc1628", f"snmp://watch@127.0.0.1:{port}?version=3", timeout=0.2),
            device("phone", "phone/ami", f"ami://edge@127.0.0.1:{port}?endpoint=1017", timeout=0.2),
        )  # fmt: skip
        (folder / "secrets").mkdir()
        for name, secret in SECRETS.items():
            (folder / "secrets" / name).write_text(secret)
            (folder / "secrets" / name).chmod(0o600)
        with Ear(broker.port, "-u", "ear", "-P", "ear") as ear, Daemon(folder, words=("-v", "run")) as daemon:
            ear.until_raised("v3.unreachable", within=40.0)
            until(lambda: ear.newest(f"{TOPICS}/inventory"))
            listed = (Path("/proc") / str(daemon.pid) / "cmdline").read_bytes()
            around = (Path("/proc") / str(daemon.pid) / "environ").read_bytes()
            assert b"edgeagent" in listed
            assert leaks(listed + around) == []
            (folder / "site.toml").write_text((folder / "site.toml").read_text() + "[devices.bad]\nurl = 1\n")
            daemon.reload()
            daemon.until_says("the old one stays in force")
            assert "DEBUG" in daemon.log
            assert leaks(daemon.log.encode()) == []
            assert leaks(repr(ear.messages).encode()) == []
        stored = [path for path in (folder / "state").rglob("*") if path.is_file()]
        assert stored
        assert [path for path in stored if leaks(path.read_bytes())] == []
        checked = edgeagent("check", "--config", folder)
        assert leaks((checked.stdout + checked.stderr).encode()) == []
