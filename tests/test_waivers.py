"""Insecure settings: what counts as one, who answers for it, and when that ends."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from edgeagent import resources
from edgeagent.broker import Broker
from edgeagent.endpoint import parse
from edgeagent.mistakes import Mistake, Mistakes, Path_
from edgeagent.sitefiles import load
from edgeagent.waivers import Insecure, Security, Waiver, security_of
from tests.rig import device, write_site

HERE = Broker("127.0.0.1")
TODAY = date(2027, 6, 30)


def note(path: Path_, text: str) -> Mistake:
    return Mistake("site.toml", 1, ".".join(map(str, path)), text)


def found(*urls: str, broker: Broker = HERE, waivers: tuple[Waiver, ...] = ()) -> Security:
    ways = [(("devices", f"d{number}"), parse(url)) for number, url in enumerate(urls)]
    return security_of(ways, broker, waivers, note)


def waiver(what: Insecure, until: date = TODAY) -> Waiver:
    return Waiver(what, "Li Wei", "the card knows no other", until)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("snmp://127.0.0.1?version=1&community=public", set()),
        ("snmp://[::1]?version=2c", set()),
        ("snmp://localhost?version=2c", set()),
        ("modbus://127.0.0.1?unit=1", set()),
        ("modbus+rtu:///dev/ttyS0?unit=1", set()),
        ("host://", set()),
        ("seat://a001", set()),
        ("snmp://10.0.0.7?version=2c&community=floor-read", set()),
        ("snmp://192.168.3.7?version=2c&community=floor-read", set()),
        ("snmp://[fd00::7]?version=2c&community=floor-read", set()),
        ("modbus://10.0.0.7?unit=1", set()),
        ("snmp://10.0.0.7?version=2c&community=public", {"snmp-community-public"}),
        ("snmp://10.0.0.7", {"snmp-community-public"}),
        ("snmp://10.0.0.7?version=1&community=floor-read", {"snmp-v1"}),
        ("snmp://10.0.0.7?version=1", {"snmp-v1", "snmp-community-public"}),
        ("snmp://8.8.8.8?version=2c&community=floor-read", {"snmp-v2c-routed"}),
        ("snmp://ups.example?version=2c&community=floor-read", {"snmp-v2c-routed"}),
        ("snmp://watch@10.0.0.7?version=3&auth=none", {"snmp-v3-without-auth"}),
        ("snmp://watch@10.0.0.7?version=3&priv=none", set()),
        ("snmp://watch@8.8.8.8?version=3&priv=none", {"snmp-v3-without-privacy-routed"}),
        ("snmp://watch@8.8.8.8?version=3", set()),
        ("modbus://8.8.8.8?unit=1", {"modbus-routed"}),
        ("modbus+rtuovertcp://gateway.example?unit=1", {"modbus-routed"}),
        ("modbus+tls://8.8.8.8?unit=1", set()),
        ("ami://agent@10.0.0.9?endpoint=1", {"ami-without-tls"}),
        ("ami+tls://agent@10.0.0.9?endpoint=1", set()),
    ],
)
def test_what_is_insecure(monkeypatch: pytest.MonkeyPatch, url: str, expected: set[str]) -> None:
    for name in ("SNMP_AUTH", "SNMP_PRIV", "AMI"):
        monkeypatch.setenv(f"EDGEAGENT_{name}", "long enough")
    assert found(url).open(TODAY) == expected


@pytest.mark.parametrize(
    ("broker", "insecure"),
    [(Broker("127.0.0.1"), False), (Broker("10.0.0.1"), True), (Broker("10.0.0.1", tls=True), False)],
)
def test_a_broker_without_tls_is_insecure_unless_it_is_here(broker: Broker, *, insecure: bool) -> None:
    assert found(broker=broker).open(TODAY) == ({"mqtt-without-tls"} if insecure else set())


def test_a_waiver_quietens_its_setting_alone_until_its_last_day_is_over() -> None:
    security = found("snmp://10.0.0.7?version=1", waivers=(waiver(Insecure.V1),))
    assert security.open(TODAY) == {"snmp-community-public"}
    assert security.waived(TODAY) == {"snmp-v1"}
    assert security.open(date(2027, 7, 1)) == {"snmp-community-public", "snmp-v1"}
    assert security.waived(date(2027, 7, 1)) == frozenset()
    noon = datetime(2027, 6, 30, 12, tzinfo=UTC).timestamp()
    assert security.readings(noon)["insecure.waived"] == {"snmp-v1"}


def test_each_weakness_is_noted_once_with_its_first_place_and_what_became_of_it() -> None:
    urls = [f"snmp://10.0.0.{number}?version=1&community=x" for number in range(1, 41)]
    (told,) = found(*urls).notes(TODAY)
    assert told.startswith(
        "site.toml:1: devices.d0: snmp-v1: SNMP v1 has neither secrecy nor authenticity (in 40 places"
    )
    assert told.endswith("; change it, or waive it by name: [[waivers]] what, who, why, until")
    kept = (waiver(Insecure.V1), waiver(Insecure.MQTT))
    waived, idle = found(*urls, waivers=kept).notes(TODAY)
    assert waived.endswith("waived by Li Wei until 2027-06-30: the card knows no other")
    assert idle == "waivers: nothing here is mqtt-without-tls any more; take its waiver out"
    (ended, _) = found(*urls, waivers=kept).notes(date(2027, 7, 1))
    assert ended.endswith("the waiver of Li Wei ended on 2027-06-30")


def test_a_site_says_its_waivers_in_a_table_and_an_unknown_one_is_a_mistake(tmp_path: Path) -> None:
    ups = device("ups-a", "ups/rfc1628", "snmp://10.0.0.7?version=1&community=x")
    entry = '[[waivers]]\nwhat = "snmp-v1"\nwho = "Li Wei"\nwhy = "the card knows no other"\nuntil = "2027-06-30"\n'
    site = load(write_site(tmp_path / "right", 1883, ups, entry), resources.drivers())
    assert site.security.waived(TODAY) == {"snmp-v1"}
    with pytest.raises(Mistakes) as mistakes:
        load(write_site(tmp_path / "wrong", 1883, ups, entry.replace("snmp-v1", "snmp-v4")), resources.drivers())
    assert '"snmp-v4" is not known, did you mean "snmp-v1"?' in str(mistakes.value)
    with pytest.raises(Mistakes) as mistakes:
        load(write_site(tmp_path / "late", 1883, ups, entry.replace("2027-06-30", "30.6.2027")), resources.drivers())
    assert 'until: "30.6.2027" is no date; write YYYY-MM-DD, as 2027-06-30' in str(mistakes.value)
