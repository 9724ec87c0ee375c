"""`edgeagent probe` at walks of real UPSes, at a real snmpd, and at nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from typer.testing import Result

from tests.broker import free_port, until
from tests.field import CAPTURES, SnmpSim, needs_snmpsim
from tests.rig import edgeagent, invoke
from tests.truth import NAMES, marks, needs_captures, recognised, walk


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnmpSim]:
    with SnmpSim(CAPTURES, tmp_path_factory.mktemp("snmpsim")) as sim:
        yield sim


def probe(url: str, *args: str) -> Result:
    return invoke("probe", url, *args)


@needs_captures
@needs_snmpsim
@pytest.mark.parametrize("name", NAMES)
def test_a_real_ups_is_read_as_it_truly_is(cards: SnmpSim, name: str) -> None:
    result = probe(f"snmp://127.0.0.1:{cards.port}?version=2c&community={name}", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["driver"] == recognised(walk(name))[0].id
    assert found["kind"] == "ups"
    for reading in found["readings"].values():
        assert (reading["quality"] == "good") is ("reason" not in reading)
        assert (reading["quality"] == "bad") is (reading["value"] is None)
    assert [mark for mark in marks(found, name) if not mark.right] == []


@needs_captures
@needs_snmpsim
def test_a_low_battery_on_mains_is_a_low_battery_and_no_outage(cards: SnmpSim) -> None:
    name = "centreon-ups-apc-battery-low"
    if not (CAPTURES / f"{name}.snmprec").exists():
        pytest.skip("this walk is not there")
    found = json.loads(probe(f"snmp://127.0.0.1:{cards.port}?community={name}", "--json").stdout)
    assert found["alarms"] == ["ups.battery-low", "ups.battery-replace"]
    assert found["readings"]["source"]["value"] == "normal"


@needs_captures
@needs_snmpsim
@pytest.mark.parametrize("version", ["1", "2c"])
def test_a_wrong_community_is_no_answer(cards: SnmpSim, version: str) -> None:
    url = f"snmp://127.0.0.1:{cards.port}?version={version}&community=not-the-one"
    result = probe(url, "--timeout", "1")
    assert result.exit_code == 3
    assert "nothing answered" in result.stderr
    assert "not-the-one" not in result.stdout + result.stderr


@needs_captures
@needs_snmpsim
def test_the_installed_command_prints_one_object_and_logs_no_secret(cards: SnmpSim) -> None:
    done = edgeagent("-v", "probe", f"snmp://127.0.0.1:{cards.port}?version=1&community=apc_sua1500rmi2u", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["driver"] == "ups/apc-powernet"
    assert found["identity"]["model"] == "Smart-UPS 1500 RM"
    assert found["identity"]["serial"] is None  # it says FFFFFFFFFFFF
    assert found["readings"]["battery.charge"] == {"value": 100, "unit": "%", "quality": "good"}
    assert found["readings"]["battery.runtime"] == {"value": 3960, "unit": "s", "quality": "good"}
    assert "apc_sua1500rmi2u" not in done.stdout + done.stderr


@needs_captures
@needs_snmpsim
def test_without_json_people_see_the_same(cards: SnmpSim) -> None:
    result = probe(f"snmp://127.0.0.1:{cards.port}?community=huaweiups_ups2000")
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip()}
    assert lines["battery.charge"] == ["100", "%", "good"]
    assert lines["battery.runtime"][:2] == ["–", "s"]
    assert lines["battery.runtime"][2] == "bad"


@needs_captures
@needs_snmpsim
def test_a_driver_can_be_named_over_the_one_that_fits_best(cards: SnmpSim) -> None:
    url = f"snmp://127.0.0.1:{cards.port}?community=apc_smtl1000-nmc3"
    assert json.loads(probe(url, "--json").stdout)["driver"] == "ups/apc-powernet"
    assert json.loads(probe(url, "--json", "--driver", "ups/rfc1628").stdout)["driver"] == "ups/rfc1628"


# The snmpd of the system: no UPS, so it answers and no driver fits.

AUTH: Final = "a long secret"
PRIV: Final = "another long one"


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    program = shutil.which("snmpd") or shutil.which("snmpd", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("snmpd is not installed")
    folder = tmp_path_factory.mktemp("snmpd")
    port = free_port()
    config = folder / "snmpd.conf"
    config.write_text(
        f"view system included .1.3.6.1.2.1.1\nrocommunity floor-read 127.0.0.1 -V system\n"
        f"createUser watcher SHA-256 {json.dumps(AUTH)} AES {json.dumps(PRIV)}\n"
        "rouser watcher priv -V system\nsysDescr an ordinary host\n"
    )
    environ = {**os.environ, "SNMP_PERSISTENT_DIR": str(folder / "state"), "MIBS": ""}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-f", "-Lo", "-C", "-c", str(config), "-p", str(folder / "pid"), f"udp:127.0.0.1:{port}"],
            env=environ, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        asked = [
            "snmpget",
            "-v2c",
            "-c",
            "floor-read",
            "-t",
            "0.2",
            "-r",
            "0",
            f"127.0.0.1:{port}",
            "1.3.6.1.2.1.1.2.0",
        ]
        until(lambda: subprocess.run(asked, capture_output=True, check=False, env=environ).returncode == 0)
        yield port
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    def give(auth: str, priv: str) -> None:
        monkeypatch.setenv("EDGEAGENT_SNMP_AUTH", auth)
        monkeypatch.setenv("EDGEAGENT_SNMP_PRIV", priv)

    return give


V3: Final = "snmp://watcher@127.0.0.1:{port}?version=3&auth=SHA-256&priv=AES-128"


@pytest.mark.parametrize(
    "url",
    [
        "snmp://127.0.0.1:{port}?version=1&community=floor-read",
        "snmp://127.0.0.1:{port}?version=2c&community=floor-read",
        V3,
    ],
    ids=["v1", "v2c", "v3"],
)
def test_a_host_that_is_no_ups_answers_and_no_driver_fits(
    snmpd: int, secrets: Callable[[str, str], None], url: str
) -> None:
    secrets(AUTH, PRIV)
    result = probe(url.format(port=snmpd), "--json")
    assert result.exit_code == 4, (result.stdout, result.stderr)
    assert "an ordinary host" in result.stderr


@pytest.mark.parametrize(
    ("auth", "priv"), [("not that secret", PRIV), (AUTH, "not that one")], ids=["authentication", "privacy"]
)
def test_a_wrong_v3_secret_is_no_answer(snmpd: int, secrets: Callable[[str, str], None], auth: str, priv: str) -> None:
    secrets(auth, priv)
    result = probe(V3.format(port=snmpd), "--timeout", "1.5")
    assert result.exit_code == 3, (result.stdout, result.stderr)
    assert "nothing answered" in result.stderr


def test_v3_secrets_are_in_no_output_and_no_log(snmpd: int) -> None:
    done = edgeagent("-v", "probe", V3.format(port=snmpd), EDGEAGENT_SNMP_AUTH=AUTH, EDGEAGENT_SNMP_PRIV=PRIV)
    assert done.returncode == 4, done.stderr
    for secret in (AUTH, PRIV, AUTH.encode().hex(), PRIV.encode().hex()):
        assert secret not in done.stdout + done.stderr


def test_a_v3_url_without_its_secret_says_where_it_is_looked_for() -> None:
    done = edgeagent("probe", V3.format(port=1))
    assert done.returncode == 2
    assert "EDGEAGENT_SNMP_AUTH" in done.stderr
