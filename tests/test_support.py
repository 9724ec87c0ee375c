"""What the support bundle holds, and that no secret of a site leaves with it."""

from __future__ import annotations

import stat
import tarfile
from pathlib import Path

import pytest

from edgeagent import support
from tests.rig import device, edgeagent, write_site

PLANTED = {
    "community": "c0mmunity-in-url", "vlan": "floor-vlan-read", "file": "snmp-auth-passw0rd",
    "credential": "cr3dential-of-systemd",
    "variable": "priv-from-env1ronment", "comment": "hunter2-in-a-comment", "user": "user-pass-in-url", "short": "q7x",
}  # fmt: skip
SERIAL = "AS1234567890"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = write_site(
        tmp_path / "site", 1883,
        device("ups-a", "ups/rfc1628", f"snmp://192.168.7.9?version=2c&community={PLANTED['community']}"),
        device("ups-b", "ups/rfc1628", "snmp://watch@192.168.7.10?version=3"),
        device("ups-c", "ups/rfc1628", f"snmp://192.168.7.11?community={PLANTED['short']}"),
        device("port", "port/cisco", f"snmp://192.168.7.12?community={PLANTED['vlan']}@20", index=1),
        device("climate", "environment/xy-md02", "modbus+rtu:///dev/serial/by-id/usb-FTDI_RS485_A50285BI-if00-port0?unit=1"),
        f"# the old password: {PLANTED['comment']}, Serial No: {SERIAL}",
        f"# http://admin:{PLANTED['user']}@192.168.7.9/, switch 00:11:22:33:44:55",
    )  # fmt: skip
    (found / "secrets").mkdir()
    (found / "secrets" / "snmp-auth").write_text(PLANTED["file"] + "\n")
    (found / "secrets" / "snmp-auth").chmod(0o600)
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "mqtt-password").write_text(PLANTED["credential"])
    (found / "state").mkdir()
    for place in PLANTED.values():  # wherever else it may have got to
        with (found / "site.toml").open("a") as file:
            file.write(f"# seen: {place}\n")
    return found


def bundle(folder: Path, *words: str) -> dict[str, str]:
    to = folder.parent / "bundle.tar.gz"
    done = edgeagent(
        "support", "--config", folder, "--out", to, *words,
        CREDENTIALS_DIRECTORY=str(folder.parent / "credentials"), EDGEAGENT_SNMP_PRIV=PLANTED["variable"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    with tarfile.open(to) as opened:
        files = {entry.name: opened.extractfile(entry) for entry in opened.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


@pytest.mark.parametrize("words", [(), ("--mask",)], ids=["plain", "masked"])
def test_no_planted_secret_and_no_serial_leaves(folder: Path, words: tuple[str, ...]) -> None:
    files = bundle(folder, *words)
    assert "edgeagent-support/config/site.toml" in files
    for text in files.values():
        for secret in (*PLANTED.values(), SERIAL, "A50285BI", "00:11:22:33:44:55"):
            assert secret not in text


def test_addresses_stay_unless_they_are_to_be_masked(folder: Path) -> None:
    assert "192.168.7.9" in bundle(folder)["edgeagent-support/config/site.toml"]
    assert not any("192.168.7." in text for text in bundle(folder, "--mask").values())


def test_it_tells_what_helps(folder: Path) -> None:
    files = {name.removeprefix("edgeagent-support/"): text for name, text in bundle(folder).items()}
    assert {"versions.json", "check.txt", "journal.txt", "catalogue.json", "site.json", "store.json"} <= files.keys()
    assert '"edgeagent"' in files["versions.json"]
    assert "no mistakes" in files["check.txt"]
    assert '"ups/rfc1628": 3' in files["site.json"]
    assert "version=3" in files["config/site.toml"]


def test_a_site_with_mistakes_is_packed_too_and_they_are_told(folder: Path) -> None:
    with (folder / "site.toml").open("a") as file:
        file.write(f'[devices.bad]\nurl = "snmp://h?community={PLANTED["comment"]}&versoin=1"\n')
    files = bundle(folder)
    assert "devices.bad" in files["edgeagent-support/check.txt"]
    assert PLANTED["comment"] not in "".join(files.values())


def test_a_key_is_no_part_of_it(folder: Path) -> None:
    (folder / "agent.key").write_text("-----BEGIN PRIVATE KEY-----\n")
    (folder / "secrets" / "late").write_text("another-secret-file")
    files = bundle(folder)
    assert not any("PRIVATE KEY" in text or "another-secret" in text for text in files.values())


def test_a_short_secret_is_taken_out_as_a_word_alone(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "s").write_text("ups")
    clean = support.cleaner(tmp_path, mask=False)
    assert clean("ups and groups") == "*** and groups"
