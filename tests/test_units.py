# ruff: noqa: E501 - a table has one case a line
"""Several units behind one gateway: the site says which, by its index."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.mistakes import Mistakes
from edgeagent.resources import drivers
from edgeagent.sitefiles import load as load_site

CATALOG = load([drivers()])
SITE = """
[site]
id = "x"
name = {{ en = "x", zh = "某" }}
language = "zh"
[agent]
id = "e"
state = "{folder}/state"
[feed]
broker = "mqtt://127.0.0.1:1"
[devices.room]
name = {{ en = "Room", zh = "房间" }}
driver = "{driver}"
url = "modbus://192.0.2.1?unit=1"
index = {index}
"""


@pytest.mark.parametrize(
    ("id", "index", "answers", "read"),
    [
        # Wire addresses by the makers' formulas, worked out by hand.
        pytest.param("hvac/intesis-multi", 5, {"h101": 1, "h103": 24, "h108": 0}, {"running": True, "setpoint": 24}, id="intesis 20 x 5"),
        pytest.param("hvac/hitachi-hc-a16mb", 3, {"h2118": 2, "h2111": 26}, {"running": True, "return.temperature": 26}, id="hitachi 2000 + 32 x 3"),
        pytest.param("hvac/onokom-vrf", 2, {"c10201": 0, "h10203": 2550}, {"running": False, "return.temperature": 25.5}, id="onokom 10000 + 100 x 2"),
        pytest.param("hvac/carrier-xct", 4, {"i12": 27, "c4": 1, "i13": 0}, {"return.temperature": 27, "running": True}, id="xct 3 x 4"),
        pytest.param("hvac/daikin-diii", 17, {"i2104": 240, "i2106": 263, "i6": 0b10, "i3635": 0}, {"setpoint": 24, "return.temperature": None}, id="diii 2000 + 6 x 17, its link down"),
        pytest.param("hvac/daikin-diii", 17, {"i2102": 1, "i2104": 240, "i2106": 263, "i6": 0b01, "i3635": 0}, {"setpoint": 24, "return.temperature": 26.3}, id="diii, the link of another down"),
    ],
)  # fmt: skip
def test_a_unit_has_its_own_registers(
    id: str, index: int, answers: dict[str, int], read: dict[str, bool | float | None]
) -> None:
    readings = decode(CATALOG.drivers[id].of_unit(index), answers, 0.0)
    for point, value in read.items():
        if id == "hvac/daikin-diii" and answers["i6"] == 0b10:
            assert readings[point].reason == "implausible"
        else:
            assert readings[point].value == value


def test_the_site_gives_the_index(tmp_path: Path) -> None:
    site = SITE.format(folder=tmp_path, driver="hvac/intesis-multi", index=2)
    (tmp_path / "site.toml").write_text(site, encoding="utf-8")
    device = load_site(tmp_path, drivers()).devices["room"]
    assert "h41" in device.driver.gets


@pytest.mark.parametrize(
    ("driver", "index", "told"),
    [("hvac/intesis-multi", 128, "0 to 127"), ("hvac/liebert-icom", 1, "reads one unit"), ("hvac/intesis-multi", -1, "index")],
)  # fmt: skip
def test_an_index_that_the_gateway_lacks_is_a_mistake(tmp_path: Path, driver: str, index: int, told: str) -> None:
    (tmp_path / "site.toml").write_text(SITE.format(folder=tmp_path, driver=driver, index=index), encoding="utf-8")
    with pytest.raises(Mistakes, match=told):
        load_site(tmp_path, drivers())
