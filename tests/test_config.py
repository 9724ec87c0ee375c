"""The site's folder: a model when it is right, every mistake with its place when it is not."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from edgeagent import driverfiles
from edgeagent.broker import Broker, Place, Protocol
from edgeagent.catalog import Severity
from edgeagent.config import Site
from edgeagent.endpoint import Files
from edgeagent.mistakes import Mistakes
from edgeagent.resources import drivers, examples
from edgeagent.sitefiles import STATE, load
from tests.test_mosquitto import certify

SITE = """\
[site]
id = "hq"
name = { en = "HQ", zh = "总部" }

[feed]
broker = "mqtt://127.0.0.1"

[areas.hall]
name = { en = "Hall", zh = "大厅" }

[devices.ups-a]
name = { en = "UPS A", zh = "A" }
driver = "ups/rfc1628"
url = "snmp://192.0.2.1?community=floor"
area = "hall"

[devices.contacts]
name = { en = "Contacts", zh = "干接点" }
driver = "environment/moxa-iologik-e1212"
url = "modbus://192.0.2.2?unit=1"
[devices.contacts.contacts]
1 = { point = "smoke", active = "open" }
16 = { point = "door.front" }
"""

LOAD = driverfiles.load
SHIPPED = LOAD([drivers()])


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("EDGEAGENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


@pytest.fixture(autouse=True)
def _shipped_drivers_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driverfiles, "load", lambda folders: SHIPPED if folders == [drivers()] else LOAD(folders))


def site(tmp_path: Path, text: str = SITE, **more: str) -> Site:
    """Load a site of one file and more of them."""
    for name, content in {"site": text, **more}.items():
        (tmp_path / f"{name}.toml").write_text(content, encoding="utf-8")
    return load(tmp_path, drivers())


def mistakes(tmp_path: Path, text: str = SITE, **more: str) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        site(tmp_path, text, **more)
    return str(caught.value).replace(f"{tmp_path}/", "").replace(str(tmp_path), "FOLDER").splitlines()


def changed(old: str, new: str) -> str:
    assert old in SITE
    return SITE.replace(old, new, 1)


def ups(*lines: str) -> str:
    """Return the site with more lines in the table of its UPS."""
    return changed('area = "hall"\n', "\n".join(['area = "hall"', *lines, ""]))


def test_the_example_site_has_no_mistakes(tmp_path: Path) -> None:
    found = load(examples(), drivers())
    assert found.id == "hq"
    assert {device.driver.kind.id for device in found.devices.values()} == {
        "ups", "generator", "ats", "hvac", "environment", "workstation",
    }  # fmt: skip
    assert {device.area for device in found.devices.values()} <= found.areas.keys()
    shutil.copytree(examples(), tmp_path / "copy")
    assert load(tmp_path / "copy", drivers()).digest == found.digest


def test_a_site_becomes_a_model(tmp_path: Path) -> None:
    found = site(tmp_path)
    assert (found.id, found.name.zh, found.language, found.agent) == ("hq", "总部", "zh", "edge-1")
    assert (found.root, found.rate, found.state) == ("floor", 200.0, STATE)
    assert found.broker == Broker("127.0.0.1", 1883)
    assert found.areas["hall"].en == "Hall"
    device = found.devices["ups-a"]
    assert (device.name.en, device.area, device.driver.id) == ("UPS A", "hall", "ups/rfc1628")
    assert (device.interval, device.fast, device.timeout) == (2.0, 1.0, 3.0)
    assert device.endpoint.secrets == {"community": "floor"}
    assert device.alarms == device.driver.kind.alarms
    assert found.tree.area("ups-a") == "hall"
    assert [note.key for note in found.notes] == ["power"]  # whence its UPS has its power it does not say


@pytest.mark.parametrize(
    ("lines", "interval", "fast"),
    [
        pytest.param((), 2.0, 1.0, id="of the kind"),
        pytest.param(("interval = 10",), 10.0, 1.0, id="own interval"),
        pytest.param(("interval = 10", "fast = 3"), 10.0, 3.0, id="both"),
        pytest.param(("interval = 0.5",), 0.5, 0.5, id="never faster at rest than in trouble"),
        pytest.param(("interval = 1", "fast = 5"), 1.0, 1.0, id="nor slower in trouble"),
    ],
)
def test_intervals(tmp_path: Path, lines: tuple[str, ...], interval: float, fast: float) -> None:
    device = site(tmp_path, ups(*lines)).devices["ups-a"]
    assert (device.interval, device.fast) == (interval, fast)


@pytest.mark.parametrize(
    ("lines", "polling", "often"),
    [
        pytest.param((), "", None, id="off by default"),
        pytest.param((), "[polling]\nalarm_interval = 0.2\n", 0.2, id="of the site"),
        pytest.param(("alarm_interval = 0.5",), "[polling]\nalarm_interval = 0.2\n", 0.5, id="own"),
        pytest.param(("alarm_interval = 5",), "", None, id="no less often than all of it"),
    ],
)
def test_alarms_may_be_asked_more_often(
    tmp_path: Path, lines: tuple[str, ...], polling: str, often: float | None
) -> None:
    found = site(tmp_path, ups(*lines), polling=polling)
    assert found.devices["ups-a"].alarm_interval == often


def test_what_has_no_part_in_power_is_not_polled_faster(tmp_path: Path) -> None:
    device = site(tmp_path).devices["contacts"]
    assert device.interval == device.fast == 0.5


@pytest.mark.parametrize(
    ("table", "option", "engine"),
    [
        ("", "", None),
        ("fast", "", None),
        ("pysnmp", "", "pysnmp"),
        ("", "pysnmp", "pysnmp"),
        ("pysnmp", "fast", "fast"),
    ],
)
def test_a_site_or_one_device_of_it_can_be_asked_by_pysnmp(
    tmp_path: Path, table: str, option: str, engine: str | None
) -> None:
    text = changed("?community=floor", f"?community=floor&engine={option}" if option else "?community=floor")
    devices = site(tmp_path, text + (f'[snmp]\nengine = "{table}"\n' if table else "")).devices
    assert devices["ups-a"].endpoint.options.get("engine") == engine
    assert "engine" not in devices["contacts"].endpoint.options


def test_tables_may_stand_in_several_files(tmp_path: Path) -> None:
    text, _, devices = SITE.partition("[devices.ups-a]")
    split = site(tmp_path, text, devices=f"[devices.ups-a]{devices}")
    assert list(split.devices) == ["ups-a", "contacts"]


def test_the_digest_tells_configurations_apart(tmp_path: Path) -> None:
    first = site(tmp_path).digest
    assert site(tmp_path).digest == first
    assert site(tmp_path, SITE + "# a word\n").digest != first


# Overrides.


@pytest.mark.parametrize(
    ("lines", "levels", "off_delay", "deadband"),
    [
        pytest.param((), [("minor", 80, 30), ("critical", 100, 5)], 60, 5, id="of the kind"),
        pytest.param(("limits = { minor = 70 }",), [("minor", 70, 30), ("critical", 100, 5)], 60, 5, id="one limit"),
        pytest.param(("limits = { minor = 70, critical = 95 }",), [("minor", 70, 30), ("critical", 95, 5)], 60, 5, id="both limits"),
        pytest.param(("on_delay = 9",), [("minor", 80, 9), ("critical", 100, 9)], 60, 5, id="on-delay"),
        pytest.param(("off_delay = 0", "deadband = 0"), [("minor", 80, 30), ("critical", 100, 5)], 0, 0, id="nothing is something"),
    ],
)  # fmt: skip
def test_an_alarm_with_levels_is_overridden(
    tmp_path: Path, lines: tuple[str, ...], levels: list[tuple[str, float, float]], off_delay: float, deadband: float
) -> None:
    found = site(tmp_path, ups("[devices.ups-a.alarms.load-high]", *lines)).devices["ups-a"]
    alarm = found.alarms["load-high"]
    assert [(level.severity, level.limit, level.on_delay) for level in alarm.levels] == levels
    assert (alarm.off_delay, alarm.deadband) == (off_delay, deadband)
    assert found.driver.kind.alarms["load-high"].levels[0].limit == 80  # of the others


def test_an_alarm_with_one_level_is_overridden(tmp_path: Path) -> None:
    text = ups("[devices.ups-a.alarms.battery-temperature]", "limit = 35", 'severity = "major"')
    (level,) = site(tmp_path, text).devices["ups-a"].alarms["battery-temperature"].levels
    assert (level.severity, level.limit, level.on_delay) == (Severity.MAJOR, 35, 120)


def test_an_alarm_can_be_left_out(tmp_path: Path) -> None:
    device = site(tmp_path, ups("[devices.ups-a.alarms.fan-fault]", "enabled = false")).devices["ups-a"]
    assert device.driver.kind.alarms.keys() - device.alarms.keys() == {"fan-fault"}


# The broker.


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param('broker = "mqtt://b.example:1999"', Broker("b.example", 1999), id="port"),
        pytest.param('broker = "mqtts://b.example"', Broker("b.example", 8883, tls=True), id="TLS"),
        pytest.param('broker = "mqtt://[::1]"', Broker("::1", 1883), id="IPv6"),
        pytest.param(
            'broker = "mqtt://b"\nusername = "edge"\npassword_secret = "mqtt"',
            Broker("b", 1883, username="edge", password="a password"),
            id="password",
        ),
        pytest.param(
            'broker = ["mqtts://a", "mqtts://b:1999"]',
            Broker("a", 8883, tls=True, fallbacks=(Place("b", 1999, tls=True),)),
            id="a fallback",
        ),
        pytest.param('broker = "mqtt://b"\nprotocol = "3.1.1"', Broker("b", protocol=Protocol.V311), id="MQTT 3.1.1"),
    ],
)
def test_the_broker(tmp_path: Path, lines: str, expected: Broker) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "mqtt").write_text("a password\n", encoding="utf-8")
    (secrets / "mqtt").chmod(0o600)
    found = site(tmp_path, changed('broker = "mqtt://127.0.0.1"', lines)).broker
    assert found == expected
    assert "a password" not in repr(found)


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Write certificates, the key of which comes from systemd."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    certificates(tmp_path)
    (tmp_path / "a.key").rename(credentials / "a.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    return Files(tmp_path / "ca.crt", tmp_path / "a.crt", credentials / "a.key")


def test_certificates_lie_beside_the_file_or_come_from_systemd(tmp_path: Path, certified: Files) -> None:
    lines = 'broker = "mqtts://b"\nca = "ca.crt"\ncert = "a.crt"\nkey = "a.key"'
    found = site(tmp_path, changed('broker = "mqtt://127.0.0.1"', lines)).broker
    assert (found.ca, found.cert, found.key) == certified


def certificates(folder: Path, name: str = "a") -> None:
    """Write ca.crt, and a certificate and key of that name."""
    certify(folder, name, (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]), certify(folder, "ca")))


TLS = changed('broker = "mqtt://127.0.0.1"', 'broker = "mqtts://b"\nca = "ca.crt"\ncert = "a.crt"\nkey = "a.key"')


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"ca.crt": "junk"}, ["site.toml:7: feed.ca: ca.crt holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"], id="ca"),
        pytest.param({"a.crt": ""}, ["site.toml:8: feed.cert: a.crt holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"], id="cert"),
        pytest.param({"a.key": "junk"}, ["site.toml:9: feed.key: a.key holds no private key in PEM form without a passphrase"], id="key"),
        pytest.param({"a.key": "other.key"}, ["site.toml:9: feed.key: a.key is not the key of a.crt"], id="key of another"),
        pytest.param({"ca.crt": "", "a.key": "other.key"}, ["site.toml:7: feed.ca: ca.crt holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", "site.toml:9: feed.key: a.key is not the key of a.crt"], id="two at once"),
    ],
)  # fmt: skip
def test_certificate_files_are_read_before_anybody_connects(
    tmp_path: Path, spoilt: dict[str, str], told: list[str]
) -> None:
    certificates(tmp_path, "other")
    certificates(tmp_path)
    for name, content in spoilt.items():
        other = tmp_path / content
        (tmp_path / name).write_text(other.read_text() if content and other.is_file() else content)
    assert (mistakes(tmp_path, TLS) if told else site(tmp_path, TLS) and []) == told


PLC = '\n[devices.plc]\nname = { en = "P", zh = "控" }\ndriver = "generator/deif-agc150"\nurl = "modbus+tls://p?unit=1&%s"\n'


def test_the_certificates_of_a_device_lie_there_too(tmp_path: Path, certified: Files) -> None:
    found = site(tmp_path, SITE + PLC % "ca=ca.crt&cert=a.crt&key=a.key").devices["plc"].endpoint.files
    assert found == certified


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("ca=none.crt", "ca: none.crt is no file"),
        ("cert=site.toml", "cert: site.toml holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"),
        ("cert=a.crt", "key: a.crt holds no private key in PEM form without a passphrase"),
        ("cert=a.crt&key=ca.key", "key: ca.key is not the key of a.crt"),
    ],
)
def test_those_of_a_device_are_read_before_anybody_connects(tmp_path: Path, options: str, told: str) -> None:
    certificates(tmp_path)
    assert mistakes(tmp_path, SITE + PLC % options) == [f"site.toml:28: devices.plc.url: {told}"]


@pytest.mark.parametrize(
    ("line", "given", "expected"),
    [
        pytest.param("", None, STATE, id="default"),
        pytest.param("", "/run/other", Path("/run/other"), id="systemd's"),
        pytest.param('state = "/srv/agent"', "/run/other", Path("/srv/agent"), id="the file's"),
    ],
)
def test_where_the_state_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, given: str | None, expected: Path
) -> None:
    if given is not None:
        monkeypatch.setenv("STATE_DIRECTORY", given)
    assert site(tmp_path, f"{SITE}[agent]\n{line}\n").state == expected


def test_a_relative_state_lies_in_the_folder(tmp_path: Path) -> None:
    assert site(tmp_path, f'{SITE}[agent]\nstate = "state"\n').state == tmp_path / "state"


def test_drivers_of_ones_own_join_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / "own/ups").mkdir(parents=True)
    (tmp_path / "own/ups/mine.toml").write_text(
        'driver = "ups/mine"\nprotocol = "snmp"\ntext = { en = "Mine", zh = "自有" }\nsource = "manual"\n'
        '[points]\n"battery.charge" = { oid = "1.3.6.1.4.1.5.1.0" }\n',
        encoding="utf-8",
    )
    text = changed("ups/rfc1628", "ups/mine") + '[agent]\ndrivers = ["own"]\n'
    assert site(tmp_path, text).devices["ups-a"].driver.gets == ("1.3.6.1.4.1.5.1.0",)


# Mistakes.


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # the site
        pytest.param("", ["FOLDER: devices: no device stands here; add [devices.<id>] with url, driver and name", "FOLDER: feed: is missing", "FOLDER: site: is missing"], id="nothing"),
        pytest.param(changed('id = "hq"', 'id = "HQ 1"'), ['site.toml:2: site.id: "HQ 1" does not fit: 1 to 40 of a-z, 0-9 and -'], id="site id"),
        pytest.param(changed('id = "hq"', 'idd = "hq"'), ["site.toml:1: site.id: is missing", 'site.toml:2: site.idd: unknown key, did you mean "id"?'], id="key of the site"),
        pytest.param(changed('zh = "总部"', 'zh = ""'), ["site.toml:3: site.name.zh: string should have at least 1 character"], id="a language left empty"),
        pytest.param(SITE + "[device.x]\n", ['site.toml:24: device: unknown key, did you mean "devices"?'], id="table"),
        pytest.param(changed("[areas.hall]", '[areas."the hall"]').replace('area = "hall"\n', ""), ['site.toml:8: areas."the hall": an id is 1 to 40 of a-z, 0-9 and -, since it becomes part of topics'], id="area id"),
        pytest.param(SITE[: SITE.index("[devices")], ["FOLDER: devices: no device stands here; add [devices.<id>] with url, driver and name"], id="no devices"),
        pytest.param(SITE + '[agent]\ndrivers = ["nowhere"]\n', ["site.toml:25: agent.drivers: nowhere: no such folder"], id="drivers folder"),
        # the feed
        pytest.param(changed("mqtt://", "mqqt://"), ['site.toml:6: feed.broker: unknown scheme "mqqt", did you mean "mqtt"?'], id="broker scheme"),
        pytest.param(changed("mqtt://127.0.0.1", "mqtt://"), ["site.toml:6: feed.broker: a host is missing: mqtts://broker.example:8883"], id="no broker"),
        pytest.param(changed("127.0.0.1", "b:port"), ["site.toml:6: feed.broker: Port could not be cast to integer value as 'port'"], id="broker port"),
        pytest.param(changed("127.0.0.1", "[::1"), ["site.toml:6: feed.broker: Invalid IPv6 URL", "site.toml:6: feed.broker: a host is missing: mqtts://broker.example:8883", 'site.toml:6: feed.broker: unknown scheme "" (known: mqtt, mqtts)'], id="broker bracket"),
        pytest.param(changed("127.0.0.1", "user:pw@b"), ["site.toml:6: feed.broker: user and password do not stand in the URL; use username and password_secret"], id="password in the URL"),
        pytest.param(changed('127.0.0.1"', '127.0.0.1"\npassword_secret = "mqtt"'), ['site.toml:7: feed.password_secret: secret "mqtt" is missing: no systemd credential, no EDGEAGENT_MQTT, no secrets/mqtt'], id="no secret"),
        pytest.param(changed('mqtt://127.0.0.1"', 'mqtts://b"\ncert = "secrets"\nrate = 0'), ["site.toml:7: feed.cert: secrets is no file", "site.toml:7: feed.cert: cert and key stand together or not at all", "site.toml:8: feed.rate: input should be greater than 0"], id="rate, and what else is wrong"),
        pytest.param(changed('mqtt://127.0.0.1"', 'mqtts://b"\nca = "none.crt"'), ["site.toml:7: feed.ca: none.crt is no file"], id="no certificate"),
        pytest.param(changed('mqtt://127.0.0.1"', 'mqtts://b"\ncert = "site.toml"'), ["site.toml:7: feed.cert: site.toml holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", "site.toml:7: feed.cert: cert and key stand together or not at all"], id="cert without key"),
        pytest.param(changed('127.0.0.1"', '127.0.0.1"\nca = "site.toml"'), ["site.toml:6: feed.broker: certificates need mqtts://", "site.toml:7: feed.ca: site.toml holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"], id="certificate without TLS"),
        # devices
        pytest.param(changed("[devices.ups-a]", "[devices.UPS_A]"), ["site.toml:11: devices.UPS_A: an id is 1 to 40 of a-z, 0-9 and -, since it becomes part of topics"], id="device id"),
        pytest.param(changed("[devices.ups-a]", "[devices.agent]"), ['site.toml:11: devices.agent: "agent" is the agent itself; take another id'], id="the agent's id"),
        pytest.param(changed("ups/rfc1628", "ups/rfc1268"), ['site.toml:13: devices.ups-a.driver: unknown driver "ups/rfc1268", did you mean "ups/rfc1628"?'], id="driver"),
        pytest.param(changed('area = "hall"', 'area = "hal"'), ['site.toml:15: devices.ups-a.area: unknown area "hal", did you mean "hall"?'], id="area"),
        pytest.param(ups("intervall = 5"), ['site.toml:16: devices.ups-a.intervall: unknown key, did you mean "interval"?'], id="key of a device"),
        pytest.param(ups("interval = 0"), ["site.toml:16: devices.ups-a.interval: input should be greater than or equal to 0.1"], id="interval"),
        pytest.param(changed("snmp://192.0.2.1", "snmp//192.0.2.1"), ['site.toml:14: devices.ups-a.url: "snmp//192.0.2.1" is not a URL; write for example snmp://192.0.2.7?version=2c&community=…'], id="URL"),
        pytest.param(changed("snmp://192.0.2.1?community=floor", "snmp://u@192.0.2.1"), ['site.toml:14: devices.ups-a.url: secret "snmp-auth" is missing: no systemd credential, no EDGEAGENT_SNMP_AUTH, no secrets/snmp-auth'], id="secret of a device"),
        pytest.param(changed("snmp://192.0.2.1?community=floor", "modbus://192.0.2.1?unit=1"), ["site.toml:14: devices.ups-a.url: ups/rfc1628 speaks snmp, not modbus"], id="protocol"),
        # alarms
        pytest.param(ups("[devices.ups-a.alarms.load-hi]"), ['site.toml:16: devices.ups-a.alarms.load-hi: ups has no such alarm, did you mean "load-high"?'], id="alarm"),
        pytest.param(ups("[devices.ups-a.alarms.load-high]", "limit = 3"), ["site.toml:17: devices.ups-a.alarms.load-high.limit: has several severities; write limits = { minor = … }"], id="one limit of several"),
        pytest.param(ups("[devices.ups-a.alarms.load-high]", "limits = { major = 3 }"), ["site.toml:16: devices.ups-a.alarms.load-high: has no limit for major (it has: critical, minor)"], id="limit of another severity"),
        pytest.param(ups("[devices.ups-a.alarms.load-high]", "limits = { minor = 110 }"), ["site.toml:16: devices.ups-a.alarms.load-high: its limits cross, from the lowest severity to the highest: 110.0, 100.0"], id="limits that cross"),
        pytest.param(ups("[devices.ups-a.alarms.fan-fault]", "limit = 3"), ["site.toml:16: devices.ups-a.alarms.fan-fault: has no limit for major (it has: none)"], id="limit where there is none"),
        pytest.param(ups("[devices.ups-a.alarms.load-high]", 'severity = "minor"'), ["site.toml:17: devices.ups-a.alarms.load-high.severity: has several severities of its own"], id="one severity of several"),
        pytest.param(ups("[devices.ups-a.alarms.load-high]", "limits = { majr = 3 }"), ['site.toml:17: devices.ups-a.alarms.load-high.limits.majr: "majr" is not known, did you mean "major"?'], id="severity"),
        pytest.param(ups("[devices.ups-a.alarms.load-high]", "on_delay = -1"), ["site.toml:17: devices.ups-a.alarms.load-high.on_delay: input should be greater than or equal to 0"], id="delay"),
        # contacts
        pytest.param(changed("16 = {", "17 = {"), ["site.toml:23: devices.contacts.contacts.17: environment/moxa-iologik-e1212 has the inputs 1 to 16"], id="contact number"),
        pytest.param(changed("16 = {", "0 = {"), ["site.toml:23: devices.contacts.contacts.0: environment/moxa-iologik-e1212 has the inputs 1 to 16"], id="contacts count from 1"),
        pytest.param(changed("16 = {", '"relay.1" = {'), ['site.toml:23: devices.contacts.contacts."relay.1": environment/moxa-iologik-e1212 has no inputs "relay"'], id="channel"),
        pytest.param(changed("door.front", "dor"), ['site.toml:23: devices.contacts.contacts.16: unknown point "dor", did you mean "door"?'], id="point of a contact"),
        pytest.param(changed("door.front", "door.Front Left"), ['site.toml:23: devices.contacts.contacts.16: unknown point "door.Front Left" (known: reachable, smoke, water, door, mains-present, intrusion, contact, wire-break)'], id="name of an instance"),
        pytest.param(changed("door.front", "temperature.hall"), ["site.toml:23: devices.contacts.contacts.16: temperature.hall is a number; a contact is a flag"], id="a number from a contact"),
        pytest.param(changed("door.front", "smoke"), ["site.toml:23: devices.contacts.contacts.16: smoke has an input already; name this one smoke.<where it is>"], id="two contacts, one point"),
        pytest.param(changed("16 = {", '"contact.1" = {'), ['site.toml:23: devices.contacts.contacts."contact.1": input 1 stands here twice'], id="one contact, two points"),
        pytest.param(ups("[devices.ups-a.contacts]", '1 = { point = "x" }'), ['site.toml:17: devices.ups-a.contacts.1: ups/rfc1628 has no inputs "contact"'], id="a device without inputs"),
        pytest.param(changed('"open" }', '"open", on_delay = 0.9 }'), ["site.toml:22: devices.contacts.contacts.1.on_delay: needs at least 1 s, so that two reads decide; or give the device a shorter interval"], id="one read would decide"),
        pytest.param(changed('"open" }', '"open", off_delay = 0 }'), ["site.toml:22: devices.contacts.contacts.1.off_delay: needs at least 1 s, so that two reads decide; or give the device a shorter interval"], id="one read would clear"),
        pytest.param(changed('"open" }', '"open", fault = 17 }'), ["site.toml:22: devices.contacts.contacts.1.fault: environment/moxa-iologik-e1212 has the inputs 1 to 16"], id="fault input"),
        pytest.param(changed('"open" }', '"open", fault = "present.1" }'), ['site.toml:22: devices.contacts.contacts.1.fault: environment/moxa-iologik-e1212 has no inputs "present"'], id="channel of the fault input"),
        pytest.param(changed('"open" }', '"open", fault = 16 }'), ["site.toml:22: devices.contacts.contacts.1.fault: input 16 is a contact itself"], id="fault input that is a contact"),
        pytest.param(changed('"open" }', '"open", fault = 1 }'), ["site.toml:22: devices.contacts.contacts.1.fault: input 1 is a contact itself"], id="a contact that supervises itself"),
        pytest.param(changed('"open" }', '"opened" }'), ['site.toml:22: devices.contacts.contacts.1.active: "opened" is not known, did you mean "open"?'], id="sense"),
        pytest.param(SITE[: SITE.index("[devices.contacts.contacts]")], ["site.toml:17: devices.contacts: nothing to read: say in [devices.contacts.contacts] what the inputs mean"], id="no contacts at all"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, text: str, told: list[str]) -> None:
    assert mistakes(tmp_path, text) == told


def test_mistakes_of_shape_and_of_sense_are_told_in_one_run(tmp_path: Path) -> None:
    text = """[site]
idd = "hq"
name = { en = "X", zh = "Y" }
[feed]
broker = "mqqt://x"
ratee = 3
[devices.a]
name = { en = "A", zh = "A" }
driver = "ups/rfc1268"
intervall = 3
url = "snmp://h?version=4"
[devices.b]
name = { en = "B", zh = "B" }
driver = "ups/rfc1628"
url = "snmp://h"
area = "hal"
timeout = "x"
[devices.c]
name = { en = "C" }
driver = "ups/rfc1628"
url = "snmp://h"
"""
    assert mistakes(tmp_path, text) == [
        "site.toml:1: site.id: is missing",
        'site.toml:2: site.idd: unknown key, did you mean "id"?',
        'site.toml:5: feed.broker: unknown scheme "mqqt", did you mean "mqtt"?',
        'site.toml:6: feed.ratee: unknown key, did you mean "rate"?',
        'site.toml:9: devices.a.driver: unknown driver "ups/rfc1268", did you mean "ups/rfc1628"?',
        'site.toml:10: devices.a.intervall: unknown key, did you mean "interval"?',
        'site.toml:11: devices.a.url: unknown SNMP version "4" (known: 1, 2c, 3)',
        'site.toml:16: devices.b.area: unknown area "hal" (known: none)',
        'site.toml:17: devices.b.timeout: "x" is no number',
        "site.toml:19: devices.c.name.zh: is missing",
    ]


def test_what_is_heard_from_one_seat_is_no_part_of_another(tmp_path: Path) -> None:
    seats = '[seats.row]\nrange = "a001..a002"\narea = "hall"\n'
    part = (
        '[devices.pc]\nname = { en = "PC", zh = "PC" }\ndriver = "workstation/host"\nurl = "seat://a001"\nseat = "%s"\n'
    )
    assert site(tmp_path, SITE + seats + part % "a001").devices["pc"].endpoint.host == "a001"
    found = mistakes(tmp_path, SITE + seats + part % "a002")
    assert [text.partition(": devices")[2] for text in found] == [
        ".pc.url: heard from seat a001, yet part of seat a002"
    ]


def test_a_device_stands_in_one_file(tmp_path: Path) -> None:
    device = SITE[SITE.index("[devices.ups-a]") : SITE.index("[devices.contacts]")]
    assert mistakes(tmp_path, SITE, devices=f"# again\n{device}") == [
        "site.toml:11: devices.ups-a: stands in devices.toml already"
    ]


def test_a_secret_that_others_may_read_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/mqtt").write_text("x", encoding="utf-8")
    (tmp_path / "secrets/mqtt").chmod(0o644)
    assert mistakes(tmp_path, changed('127.0.0.1"', '127.0.0.1"\npassword_secret = "mqtt"')) == [
        "site.toml:7: feed.password_secret: secrets/mqtt may be read by others; chmod 600 it"
    ]


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "own/ups").mkdir(parents=True)
    (tmp_path / "own/ups/mine.toml").write_text("driver = ", encoding="utf-8")
    text = changed("ups/rfc1628", "ups/rfc").replace('"hall"', '"hal"').replace("16 = {", "99 = {")
    assert mistakes(tmp_path, text + '[agent]\ndrivers = ["own"]\n', more="[area.x]") == [
        'more.toml:1: area: unknown key, did you mean "areas"?',
        'site.toml:15: devices.ups-a.area: unknown area "hal", did you mean "hall"?',
        "own/ups/mine.toml:1: Invalid value",
    ]


def test_there_must_be_a_folder_with_files(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r"no \*.toml in this folder"):
        load(tmp_path, drivers())
    with pytest.raises(Mistakes, match="no such folder"):
        load(tmp_path / "none", drivers())


def test_the_agent_reads_only_the_drivers_that_the_site_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driverfiles, "load", LOAD)
    whole = site(tmp_path)
    lean = load(tmp_path, drivers(), whole=False)
    named = {device.driver.id for device in whole.devices.values()}
    assert named <= lean.catalog.drivers.keys() < whole.catalog.drivers.keys()
    assert lean.devices == whole.devices
    assert lean.catalog.kinds == whole.catalog.kinds


# What cannot be read, and what hangs on it.


def shipped(tmp_path: Path, old: str, new: str, **more: str) -> list[str]:
    """Return what is wrong with the example site when one thing in it is changed."""
    text = (examples() / "site.toml").read_text(encoding="utf-8")
    assert old in text
    return unlined(mistakes(tmp_path, text.replace(old, new, 1), **more))


def unlined(told: list[str]) -> list[str]:
    """Take the line numbers away: the example site is edited often."""
    return [re.sub(r"\.toml:\d+", ".toml", line) for line in told]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param("[agent]", "stray\n[agent]", ["site.toml: Expected '=' after a key in a key/value pair (column 6)"], id="a stray word"),
        pytest.param("[areas.hall]", "[areas.server-room]", ["site.toml: Cannot declare ('areas', 'server-room') twice (column 19)"], id="a doubled table"),
        pytest.param('zh = "总部呼叫中心"', "zh = “总部呼叫中心”", ['site.toml: Invalid value (column 48); full-width punctuation is not read: write " for “, " for ”'], id="Chinese quotes"),
    ],
)  # fmt: skip
def test_of_a_file_that_is_not_toml_only_that_is_told(tmp_path: Path, old: str, new: str, told: list[str]) -> None:
    assert shipped(tmp_path, old, new) == told


def test_what_a_broken_file_may_tell_is_neither_missing_nor_unknown(tmp_path: Path) -> None:
    text, _, devices = (examples() / "site.toml").read_text(encoding="utf-8").partition("[devices.ups-a]")
    assert mistakes(tmp_path, text.replace('id = "hq"', ""), devices="[devices.ups-a]\nstray\n" + devices) == [
        "devices.toml:2: Expected '=' after a key in a key/value pair (column 6)"
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param('driver = "ups/apc', 'drivr = "ups/apc', ["site.toml: devices.ups-a.driver: is missing", 'site.toml: devices.ups-a.drivr: unknown key, did you mean "driver"?'], id="a device"),
        pytest.param('range = "a001', 'rang = "a001', ["site.toml: seats.row-a.range: is missing", 'site.toml: seats.row-a.rang: unknown key, did you mean "range"?'], id="seats"),
        pytest.param('name = { en = "Hall switch"', 'nam = { en = "Hall switch"', ["site.toml: network.hall-switch.name: is missing", 'site.toml: network.hall-switch.nam: unknown key, did you mean "name"?'], id="a switch"),
        pytest.param('name = { en = "Agents\' hall"', 'nam = { en = "Agents\' hall"', ["site.toml: areas.hall.name: is missing", 'site.toml: areas.hall.nam: unknown key, did you mean "name"?'], id="an area"),
        pytest.param('hours = "08:00', 'hour = "08:00', ["site.toml: shifts.day.hours: is missing", 'site.toml: shifts.day.hour: unknown key, did you mean "hours"?'], id="a shift"),
    ],
)  # fmt: skip
def test_a_table_with_a_mistake_is_known_all_the_same(tmp_path: Path, old: str, new: str, told: list[str]) -> None:
    seat = '[devices.pc]\nname = { en = "PC", zh = "PC" }\ndriver = "workstation/host"\nurl = "seat://a001"\nseat = "a001"\n'
    seat += '[seats.staffed]\nrange = "b001..b002"\nstaffed = "day"\n'
    assert shipped(tmp_path, old, new, more=seat) == told


def test_procedures_and_scenarios_may_name_a_device_whose_table_has_a_mistake(tmp_path: Path) -> None:
    for kind, name, old, new in (
        ("procedures", "outage", 'kind = "ups", affected', 'kind = "ups", resource = "ups-a", affected'),
        ("drills", "ups-self-test", "every ups source = battery", "ups-a source = battery"),
    ):
        own = tmp_path / kind / f"{name}.toml"
        own.parent.mkdir()
        text = (examples() / kind / own.name).read_text(encoding="utf-8")
        assert old in text
        own.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert len(found := shipped(tmp_path, 'driver = "ups/apc', 'drivr = "ups/apc')) == 2, found


def test_a_file_begun_by_an_editor_on_windows_is_read(tmp_path: Path) -> None:
    assert site(tmp_path, f"\ufeff{SITE}").id == "hq"


def test_seconds_are_written_as_a_number(tmp_path: Path) -> None:
    bare = "a number stands without unit and quotes, times in seconds"
    assert mistakes(tmp_path, ups('interval = "5s"')) == [
        f'site.toml:16: devices.ups-a.interval: "5s" is no number; {bare}'
    ]
    assert mistakes(tmp_path, ups("interval = 5 s  # often")) == [
        f"site.toml:16: Expected newline or end of document after a statement (column 14); {bare}"
    ]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE, encoding="utf-8")
    with pytest.raises(Mistakes) as caught:
        load(tmp_path / "site.toml", drivers())
    assert str(caught.value) == f"{tmp_path}/site.toml: is no folder"
    with pytest.raises(Mistakes) as caught:
        load(tmp_path / "none", drivers())
    assert str(caught.value) == f"{tmp_path}/none: no such folder"
