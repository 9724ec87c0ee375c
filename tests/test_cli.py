"""The command line as a contract: words, output and exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from typer.testing import Result

from tests.field import Controller
from tests.rig import ROOT, device, edgeagent, environment, write_site
from tests.rig import invoke as run
from tests.test_mosquitto import certify

HOST: Final = device("this-host", "workstation/host", "host://")


def mistakes(result: Result) -> dict[str, str]:
    """Take `file:line: key: text` lines apart: key to text."""
    found = {}
    for line in result.stderr.splitlines():
        match = re.fullmatch(r"(\S+\.toml):(\d+): ([^:]+): (.+)", line)
        assert match is not None, f"not file:line: key: text, but {line}"
        file = Path(match.group(1))
        assert 1 <= int(match.group(2)) <= len(file.read_text(encoding="utf-8").splitlines())
        found[match.group(3)] = match.group(4)
    return found


def line_of(result: Result, key: str) -> str:
    """Return the line of the file that a mistake points at."""
    match = re.search(rf"^(\S+\.toml):(\d+): {re.escape(key)}: ", result.stderr, re.MULTILINE)
    assert match is not None, result.stderr
    return Path(match.group(1)).read_text(encoding="utf-8").splitlines()[int(match.group(2)) - 1]


def test_the_example_site_has_no_mistakes() -> None:
    result = run("check", "--config", ROOT / "config")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"\b9 devices, 3 areas, no mistakes", result.stdout.replace("\n", " "))


def test_every_mistake_of_a_site_is_named_at_once_with_file_line_and_key(tmp_path: Path) -> None:
    site = write_site(
        tmp_path / "site", 1883,
        device("a", "ups/rfc1682", "snmp://192.0.2.1?version=2c"),
        device("b", "ups/rfc1628", "snmp://192.0.2.2?version=4"),
        device("c", "ups/rfc1628", "modbus://192.0.2.3?unit=1"),
        device("d", "generator/dse-gencomm", "modbus://192.0.2.4"),
        device("e", "ups/rfc1628", "snmp://192.0.2.5", {"on-batery": {"on_delay": 1}, "load-high": {"limit": 70}}),
        device("f", "ups/rfc1628", "snmp://192.0.2.6") + 'area = "cellar"\n',
        device("Big Name", "ups/rfc1628", "snmp://192.0.2.7").replace("Big Name", '"Big Name"', 1),
    )  # fmt: skip
    result = run("check", "--config", site)
    assert result.exit_code == 78
    assert result.stdout == ""
    found = mistakes(result)
    assert 'did you mean "ups/rfc1628"?' in found["devices.a.driver"]
    assert "unknown SNMP version" in found["devices.b.url"]
    assert "speaks snmp, not modbus" in found["devices.c.url"]
    assert "unit id is missing" in found["devices.d.url"]
    assert 'did you mean "on-battery"?' in found["devices.e.alarms.on-batery"]
    assert "several severities" in found["devices.e.alarms.load-high.limit"]
    assert "unknown area" in found["devices.f.area"]
    assert line_of(result, "devices.d.url") == 'url = "modbus://192.0.2.4"'
    assert line_of(result, "devices.f.area") == 'area = "cellar"'
    assert any("topics" in text for text in found.values())


def test_words_that_no_file_may_have_and_values_of_the_wrong_kind_are_mistakes_too(tmp_path: Path) -> None:
    site = write_site(
        tmp_path / "site", 1883,
        device("g", "ups/rfc1628", "snmp://192.0.2.8", timeout=-1, intervall=3),
        device("h", "ups/rfc1628", "snmp://192.0.2.9").replace("zh =", "de ="),
    )  # fmt: skip
    result = run("check", "--config", site)
    assert result.exit_code == 78
    found = mistakes(result)
    assert {"devices.g.timeout", "devices.g.intervall"} <= found.keys()
    assert 'did you mean "interval"?' in found["devices.g.intervall"]
    assert line_of(result, "devices.g.timeout") == "timeout = -1"
    assert any(key.startswith("devices.h.name") for key in found)


@pytest.mark.parametrize("text", ["[site\n", ""], ids=["not TOML", "empty"])
def test_a_file_that_is_no_site_is_a_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / "site.toml").write_text(text)
    result = run("check", "--config", tmp_path)
    assert result.exit_code == 78
    assert str(tmp_path) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_without_a_site_is_a_mistake(tmp_path: Path) -> None:
    result = run("check", "--config", tmp_path / "nowhere")
    assert result.exit_code == 78
    assert "no such folder" in result.stderr


@pytest.mark.slow
def test_a_wrong_site_does_not_run(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", 1883, device("a", "ups/rfc1682", "snmp://192.0.2.1"))
    done = edgeagent("run", "--config", site)
    assert done.returncode == 78
    assert re.search(r"site\.toml:\d+: devices\.a\.driver: ", done.stderr)
    assert not (site / "state").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("probe", "snmp//192.0.2.1"), 2, "is not a URL"),
        (("probe", "snnp://192.0.2.1"), 2, 'did you mean "snmp"?'),
        (("probe", "snmp://192.0.2.1", "--driver", "ups/rfc1682"), 2, 'did you mean "ups/rfc1628"?'),
        (("simulate", "rfc1628", "--listen", "snmp://127.0.0.1:0"), 2, 'did you mean "ups/rfc1628"?'),
        (("simulate", "apc", "--listen", "snmp://127.0.0.1:0"), 2, '"ups/apc-powernet"?'),
        (("simulate", "ups/rfc1628", "--listen", "snmp://192.0.2.1"), 2, "not a loopback address"),
        (("simulate", "ups/rfc1628", "--listen", "modbus://127.0.0.1?unit=1"), 2, "speaks snmp, not modbus"),
        (("simulate", "ups/rfc1628", "--listen", "snmp://127.0.0.1:0", "--set", "chrage=1"), 2, "is no point"),
        (("demo", "--for", "soon"), 2, "is no time"),
    ],
    ids=lambda each: " ".join(each[:2]) if isinstance(each, tuple) else None,
)
def test_a_wrong_word_is_told_with_the_nearest_right_one(words: tuple[str, ...], code: int, says: str) -> None:
    result = run(*words)
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_device_is_told_with_the_nearest_right_one(tmp_path: Path) -> None:
    result = run("poll", "this-hots", "--config", write_site(tmp_path / "site", 1883, HOST))
    assert result.exit_code == 2
    assert 'did you mean "this-host"?' in result.stderr


def test_the_catalogue_lists_every_driver_file() -> None:
    listed = json.loads(run("drivers", "--json").stdout)
    files = {
        f"{path.parent.name}/{path.stem}" for path in (ROOT / "drivers").glob("*/*.toml") if path.name != "kind.toml"
    }
    assert {each["driver"] for each in listed} == files
    for each in listed:
        assert each["text"]["en"]
        assert each["text"]["zh"]
        assert each["source"]
    plain = run("drivers").stdout
    assert {line.split()[0] for line in plain.splitlines()} == files


def test_this_host_is_read_like_any_device(tmp_path: Path) -> None:
    result = run("poll", "this-host", "--config", write_site(tmp_path / "site", 1883, HOST), "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["driver"], found["kind"]) == ("workstation/host", "workstation")
    assert 0 <= found["readings"]["memory"]["value"] <= 100


BOILER: Final = """
driver = "environment/boiler-room"
protocol = "modbus"
text = { en = "Boiler room controller", zh = "锅炉房控制器" }
source = "its manual, page 7"

[points]
"temperature.boiler" = { holding = 1025, type = "s16" }
"water"              = { holding = 1408, bit = 0 }
"""


@pytest.mark.slow
def test_a_device_is_added_with_one_file_of_the_sites_own(tmp_path: Path) -> None:
    with Controller() as controller:
        controller.write(1025, 61)
        site = write_site(
            tmp_path / "site", 1883,
            device("boiler", "environment/boiler-room", f"modbus://127.0.0.1:{controller.port}?unit=10"),
            agent='drivers = ["own"]',
        )  # fmt: skip
        own = site / "own" / "environment"
        own.mkdir(parents=True)
        (own / "boiler-room.toml").write_text(BOILER, encoding="utf-8")
        assert run("check", "--config", site).exit_code == 0
        done = edgeagent("poll", "boiler", "--config", site, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
    assert found["readings"]["temperature.boiler"] == {"value": 61, "unit": "Cel", "quality": "good"}
    assert found["readings"]["water"]["value"] is False
    assert found["alarms"] == ["environment.temperature-high.boiler"]


# What the user of a process may not read.

BROKER: Final = 'broker = "mqtts://broker.example"\npassword_secret = "mqtt"\nca = "ca.crt"\n'


def denied(closed: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one command as a user to whom a file or folder is closed, be it root."""
    closed.chmod(0)
    rights = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    try:
        return subprocess.run(
            [*rights, sys.executable, "-m", "edgeagent", *map(str, words)], cwd="/", env=environment(),
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    finally:
        closed.chmod(0o700)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("closed", "told"),
    [
        pytest.param("", ": cannot", id="the folder"),
        pytest.param("site.toml", "site.toml: cannot", id="a file of the site"),
        pytest.param("procedures", "procedures: cannot", id="the procedures"),
        pytest.param("secrets", "feed.password_secret: .*secrets/mqtt cannot", id="the secrets"),
        pytest.param("secrets/mqtt", "feed.password_secret: .*secrets/mqtt cannot", id="a secret"),
        pytest.param("ca.crt", "feed.ca: .*ca.crt cannot", id="a certificate"),
    ],
)
def test_what_may_not_be_read_is_a_mistake_that_names_it(tmp_path: Path, closed: str, told: str) -> None:
    folder = write_site(tmp_path / "site", 1883, HOST)
    site = (folder / "site.toml").read_text(encoding="utf-8")
    (folder / "site.toml").write_text(re.sub(r"broker = .*\n", BROKER, site), encoding="utf-8")
    for name in ("procedures", "secrets"):
        (folder / name).mkdir()
    (folder / "secrets/mqtt").write_text("word")
    (folder / "secrets/mqtt").chmod(0o600)
    certify(folder, "ca")
    done = denied(folder / closed, "run", "--config", folder)
    assert done.returncode == 78, done.stderr
    (line,) = done.stderr.splitlines()
    assert re.search(rf"{told} be read: Permission denied; let the agent's user read it and enter its folder", line)


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["seat.toml", "secrets", "seat.key"])
def test_what_a_seats_agent_may_not_read_is_a_mistake_too(tmp_path: Path, closed: str) -> None:
    (tmp_path / "secrets").mkdir()
    certify(tmp_path, "seat")
    broker = BROKER.replace("broker =", "url =").replace("ca.crt", "seat.crt")
    text = f'[seat]\nid = "a017"\nsite = "hq"\n[broker]\n{broker}cert = "seat.crt"\nkey = "seat.key"\n'
    (tmp_path / "seat.toml").write_text(text, encoding="utf-8")
    (tmp_path / "secrets/mqtt").write_text("word")
    for file in ("secrets/mqtt", "seat.key"):
        (tmp_path / file).chmod(0o600)
    done = denied(tmp_path / closed, "seat", "--config", tmp_path / "seat.toml")
    assert done.returncode == 78, done.stderr
    (line,) = done.stderr.splitlines()
    assert f"{tmp_path / closed}" in line
    assert "cannot be read: Permission denied; let the agent's user read it" in line
