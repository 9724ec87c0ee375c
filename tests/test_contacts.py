"""Contacts as the site's files spell them: their sense, their delays, the input that supervises their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeagent import driverfiles
from edgeagent.config import Site
from edgeagent.contacts import Delays
from edgeagent.resources import drivers
from edgeagent.sitefiles import load

SITE = """\
[site]
id = "hq"
name = { en = "HQ", zh = "总部" }

[feed]
broker = "mqtt://127.0.0.1"

[devices.ups-a]
name = { en = "UPS A", zh = "A" }
driver = "ups/rfc1628"
url = "snmp://192.0.2.1?community=floor"

[devices.contacts]
name = { en = "Contacts", zh = "干接点" }
driver = "environment/moxa-iologik-e1212"
url = "modbus://192.0.2.2?unit=1"
[devices.contacts.contacts]
1 = { point = "smoke", active = "open" }
16 = { point = "door.front" }
"""

SHIPPED = driverfiles.load([drivers()])


@pytest.fixture(autouse=True)
def _shipped_drivers_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driverfiles, "load", lambda _: SHIPPED)


def site(tmp_path: Path, text: str = SITE) -> Site:
    (tmp_path / "site.toml").write_text(text, encoding="utf-8")
    return load(tmp_path, drivers())


def changed(old: str, new: str) -> str:
    assert old in SITE
    return SITE.replace(old, new, 1)


def test_contacts_are_wired_with_their_sense(tmp_path: Path) -> None:
    driver = site(tmp_path).devices["contacts"].driver
    assert [(item.point, item.addresses, item.invert) for item in driver.items] == [
        ("smoke", ("d0",), True),
        ("door.front", ("d15",), False),
    ]


def test_a_channel_may_be_named(tmp_path: Path) -> None:
    text = changed("1 = {", '"contact.1" = {')
    assert site(tmp_path, text).devices["contacts"].driver.gets == ("d0", "d15")


def test_contacts_are_read_twice_a_second_unless_the_site_says_otherwise(tmp_path: Path) -> None:
    url = 'url = "modbus://192.0.2.2?unit=1"\n'
    assert site(tmp_path, changed(url, f"{url}interval = 2\n")).devices["contacts"].interval == 2.0
    sensor = changed("environment/moxa-iologik-e1212", "environment/xy-md02")
    sensor = sensor[: sensor.index("[devices.contacts.contacts]")]
    assert site(tmp_path, sensor).devices["contacts"].interval == 5.0


def test_each_contact_has_its_delays_and_none_less_than_two_reads(tmp_path: Path) -> None:
    assert site(tmp_path).devices["contacts"].contacts == {"smoke": Delays(1.0), "door.front": Delays(1.0)}
    text = changed('"open" }', '"open", on_delay = 3, off_delay = 20 }')
    assert site(tmp_path, text).devices["contacts"].contacts["smoke"] == Delays(1.0, 3.0, 20.0)
    slow = changed('url = "modbus://192.0.2.2?unit=1"\n', 'url = "modbus://192.0.2.2?unit=1"\ninterval = 2\n')
    assert site(tmp_path, slow).devices["contacts"].contacts["door.front"] == Delays(2.5)
    assert site(tmp_path).devices["ups-a"].contacts == {}


def test_a_second_input_may_supervise_the_line_of_a_contact(tmp_path: Path) -> None:
    text = changed('{ point = "door.front" }', '{ point = "smoke.hall", fault = 5, fault_active = "open" }')
    device = site(tmp_path, text).devices["contacts"]
    assert device.driver.gets == ("d0", "d15", "d4")
    assert device.driver.points == {"smoke", "smoke.hall", "wire-break.smoke-hall"}
    assert set(device.contacts) == {"smoke", "smoke.hall", "wire-break.smoke-hall"}
