"""One port of a switch, one thin client: what the site says of its place, what a real snmpd and a simulator answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import driverfiles
from edgeagent.catalog import Driver, Text
from edgeagent.config import Device
from edgeagent.decode import decode
from edgeagent.devices import DeviceState
from edgeagent.encode import EncodeError, encode, unsaid
from edgeagent.endpoint import Endpoint, parse
from edgeagent.items import PLACES
from edgeagent.links import Plan, Target
from edgeagent.links.snmp import SnmpLink
from edgeagent.mistakes import Mistakes
from edgeagent.readings import Answers, Missing, Raw, Reading, Value
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice
from edgeagent.sitefiles import load
from tests.broker import free_port, until

CATALOG: Final = driverfiles.load([drivers()])
PART: Final = '[seats.row-a.parts.port]\ndriver = "port/if-mib"\nurl = "snmp://192.0.2.61"\n'
IF: Final = "1.3.6.1.2.1.2.2.1"
FDB: Final = "1.3.6.1.2.1.17.4.3.1.2.0.0.94.0.83.23"
VLAN: Final = "1.3.6.1.2.1.17.7.1.2.2.1.2.20.0.0.94.0.83.23"
POE: Final = "1.3.6.1.2.1.105.1.1.1.6.1.17"
MAC: Final = "0.0.94.0.83.23"
PORTS: Final = sorted(id for id in CATALOG.drivers if id.startswith("port/"))
SITE: Final = """\
[site]
id = "hq"
name = { en = "HQ", zh = "总部" }

[feed]
broker = "mqtt://127.0.0.1"

[areas.hall]
name = { en = "Hall", zh = "大厅" }

[seats.row-a]
range = "a001..a003"
area = "hall"

[devices.port]
name = { en = "Port", zh = "端口" }
driver = "port/if-mib"
url = "snmp://192.0.2.61"
"""


def port(id: str = "port/if-mib", **places: str) -> Driver:
    return CATALOG.drivers[id].placed(places)


def value(driver: Driver, id: str, answers: Mapping[str, Raw]) -> tuple[Value | None, str | None]:
    reading = decode(driver, answers, 0.0)[id]
    return reading.value, reading.reason


# The place.


def test_a_driver_reads_the_port_that_the_site_names() -> None:
    driver = port(index="10117", port="1.17", mac=MAC)
    assert driver.gets == (
        f"{IF}.8.10117", f"{IF}.7.10117", f"{IF}.9.10117", "1.3.6.1.2.1.31.1.1.1.15.10117", f"{IF}.14.10117", POE, FDB,
    )  # fmt: skip


def test_what_the_site_does_not_say_where_to_find_the_port_does_not_have() -> None:
    assert port(index="7").points == {"link", "enabled", "changed", "speed", "errors"}
    assert port(port="1.7").points == {"poe"}
    assert port("port/cisco", port="1.7").points == {"poe", "poe.power"}


@pytest.mark.parametrize(
    ("places", "address"),
    [
        ({"mac": MAC}, FDB),
        ({"mac": MAC, "bridge": "17"}, FDB),
        ({"mac": MAC, "vlan": "20"}, VLAN),
        ({"mac": MAC, "vlan": "20", "bridge": "17"}, VLAN),
    ],
    ids=["any VLAN", "any VLAN, one port", "one VLAN", "one VLAN, one port"],
)
def test_an_address_is_asked_for_once_where_most_is_said_of_it(places: dict[str, str], address: str) -> None:
    assert port(**places).gets == (address,)


@pytest.mark.parametrize("id", PORTS)
def test_the_driver_of_the_catalogue_reads_a_sample(id: str) -> None:
    driver = CATALOG.drivers[id]
    assert driver.places <= PLACES.keys()
    assert not any("{" in address for address in driver.gets)
    assert driver.placed(PLACES).points == driver.points


def site(folder: Path, text: str) -> Mapping[str, Device]:
    (folder / "site.toml").write_text(text, encoding="utf-8")
    return load(folder, drivers()).devices


def test_a_device_of_the_site_says_its_place(tmp_path: Path) -> None:
    more = 'index = 10117\nport = "1.17"\nmac = "00:00:5E:00:53:17"\nvlan = 20\nbridge = 17\n'
    assert site(tmp_path, SITE + more)["port"].driver.gets == port(
        index="10117", port="1.17", mac=MAC, vlan="20", bridge="17"
    ).gets  # fmt: skip


def test_each_seat_of_a_range_has_its_own_port(tmp_path: Path) -> None:
    more = 'index = "{n+10100}"\nport = "1.{n}"\n'
    devices = site(tmp_path, SITE + "index = 1\n" + PART + more)
    assert devices["a002-port"].driver.gets == port(index="10102", port="1.2").gets


def told(folder: Path, text: str) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        site(folder, text)
    return [str(mistake).partition(": ")[2] for mistake in caught.value.found]


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("", "devices.port: nothing to read: say index or port, as the device counts"),
        ('port = "17"\n', 'devices.port.port: "17" does not fit: group.port, as 1.17'),
        (
            'mac = "0000.5e00.5317"\n',
            'devices.port.mac: "0000.5e00.5317" does not fit: six pairs of hexadecimal digits',
        ),
        ("index = -1\n", "devices.port.index: input should be greater than or equal to 0"),
    ],
    ids=["nothing", "port", "address", "index"],
)
def test_a_place_that_is_none_is_told(tmp_path: Path, more: str, mistake: str) -> None:
    assert any(line.startswith(mistake) for line in told(tmp_path, SITE + more)), told(tmp_path, SITE + more)


def test_a_place_that_the_driver_does_not_know_is_told(tmp_path: Path) -> None:
    text = SITE.replace("port/if-mib", "ups/rfc1628") + 'port = "1.17"\nindex = 3\n'
    assert told(tmp_path, text) == [
        "devices.port.port: ups/rfc1628 reads nothing by port (known: none)",
        "devices.port.index: ups/rfc1628 takes no index: it reads one unit",
    ]


def test_a_part_whose_port_is_none_is_told_once(tmp_path: Path) -> None:
    assert told(tmp_path, SITE + "index = 1\n" + PART + 'port = "{n}"\n') == [
        'seats.row-a.parts.port.port: "1" of a001 is no group.port, such as 1.17'
    ]


# What the answers mean.


@pytest.mark.parametrize(
    ("raw", "link"),
    [(1, "up"), (2, "down"), (3, "unknown"), (4, "unknown"), (5, "unknown"), (6, "down"), (7, "down")],
)
def test_the_link_is_what_rfc_2863_calls_it(raw: int, link: str) -> None:
    assert value(port(index="7"), "link", {f"{IF}.8.7": raw}) == (link, None)


RFC_3621: Final = ["off", "searching", "delivering", "fault", "unknown", "fault"]


@pytest.mark.parametrize(
    ("id", "address", "words"),
    [
        ("port/if-mib", "1.3.6.1.2.1.105.1.1.1.6.1.17", RFC_3621),
        ("port/cisco", "1.3.6.1.2.1.105.1.1.1.6.1.17", RFC_3621),
        ("port/alcatel", "1.3.6.1.4.1.6486.800.1.2.1.27.999.1.1.1.7.1.17",
         ["off", "searching", "unknown-3", "delivering", "fault", "unknown-6", "unknown", "fault"]),
    ],
)  # fmt: skip
def test_power_is_what_each_maker_calls_it(id: str, address: str, words: list[str]) -> None:
    driver = port(id, port="1.17")
    assert [value(driver, "poe", {address: raw})[0] for raw in range(1, len(words) + 1)] == words


@pytest.mark.parametrize(
    ("id", "address"),
    [
        ("port/cisco", "1.3.6.1.4.1.9.9.402.1.2.1.9.1.17"),
        ("port/h3c", "1.3.6.1.4.1.25506.2.14.1.1.5.1.17"),
        ("port/huawei", "1.3.6.1.4.1.2011.5.25.195.3.1.10.10117"),
        ("port/alcatel", "1.3.6.1.4.1.6486.800.1.2.1.27.1.1.1.1.2.1.17"),
    ],
)
def test_milliwatts_are_told_in_watts(id: str, address: str) -> None:
    assert value(port(id, index="10117", port="1.17"), "poe.power", {address: 3_900}) == (3.9, None)


@pytest.mark.parametrize(
    ("raw", "anywhere", "here"),
    [
        (17, (True, None), (True, None)),
        (25, (True, None), (False, None)),
        (0, (False, None), (False, None)),
        (Missing.ABSENT, (False, None), (False, None)),
        (Missing.ERROR, (None, "error"), (None, "error")),
        (Missing.TIMEOUT, (None, "timeout"), (None, "timeout")),
    ],
    ids=["at its port", "at another port", "forgotten, its row left", "not seen", "failed", "silent"],
)
def test_an_address_that_no_port_has_is_an_answer(raw: Raw, anywhere: object, here: object) -> None:
    assert value(port(mac=MAC), "mac", {FDB: raw}) == anywhere
    assert value(port(mac=MAC, bridge="17"), "mac", {FDB: raw}) == here


@given(st.sampled_from(PORTS), st.booleans())
def test_what_is_said_of_an_address_reads_back(id: str, seen: bool) -> None:
    driver = port(id, mac=MAC, bridge="17")
    image = {FDB: 17} | encode(driver, {"mac": seen}, {FDB: 17})
    assert value(driver, "mac", image) == (seen, None)
    assert value(driver, "mac", image | unsaid(driver, "mac", image))[0] is None


# Shares of a whole.

DISK: Final = CATALOG.drivers["workstation/host-resources"].placed({"index": "31"})
USED, SIZE = "1.3.6.1.2.1.25.2.3.1.6.31", "1.3.6.1.2.1.25.2.3.1.5.31"


@pytest.mark.parametrize(
    ("used", "size", "said"),
    [
        (250, 1000, (25, None)),
        (0, 1000, (0, None)),
        (1_342_177_280, -1_610_612_736, (50, None)),
        (-1_610_612_736, -1_610_612_736, (100, None)),
        (10, 0, (None, "not-available")),
        (10, Missing.ABSENT, (None, "absent")),
        (b"10", 1000, (None, "malformed")),
        (10, -(2**40), (None, "malformed")),
    ],
    ids=["a part", "nothing", "a size beyond 31 bits", "both", "of nothing", "no size", "text", "no size at all"],
)
def test_a_disk_is_as_full_as_its_used_share(used: Raw, size: Raw, said: object) -> None:
    found, reason = value(DISK, "disk", {USED: used, SIZE: size})
    assert (found, reason) == said


@given(st.floats(0, 100), st.integers(10_000, 2**31 - 1))
def test_a_share_that_is_said_reads_back(share: float, size: int) -> None:
    image = {USED: 0, SIZE: size} | encode(DISK, {"disk": share}, {SIZE: size})
    assert image[SIZE] == size
    assert cast("float", value(DISK, "disk", image)[0]) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("wrong", [True, float("inf"), 1e9, -5.0])
def test_what_is_no_share_cannot_be_said(wrong: float) -> None:
    driver = CATALOG.drivers["workstation/host-resources"]
    only_share = driver.placed({"index": "31"})
    with pytest.raises(EncodeError):
        encode(only_share, {"memory": wrong}, {})


# The snmpd of this system.


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    program = shutil.which("snmpd") or shutil.which("snmpd", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("snmpd is not installed")
    folder, number = tmp_path_factory.mktemp("snmpd"), free_port()
    config = folder / "snmpd.conf"
    config.write_text("rocommunity floor-read 127.0.0.1\nproc nosuchsoftphone 1 1\ndisk / 1%\n")
    environ = {**os.environ, "SNMP_PERSISTENT_DIR": str(folder / "state"), "MIBS": ""}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-f", "-Lo", "-C", "-c", str(config), "-p", str(folder / "pid"), f"udp:127.0.0.1:{number}"],
            env=environ, stdout=log, stderr=log,
        )  # fmt: skip
    command = [
        "snmpget",
        "-v2c",
        "-c",
        "floor-read",
        "-t",
        "0.2",
        "-r",
        "0",
        f"127.0.0.1:{number}",
        "1.3.6.1.2.1.1.2.0",
    ]
    try:
        until(lambda: subprocess.run(command, capture_output=True, check=False, env=environ).returncode == 0)
        yield number
    finally:
        process.terminate()
        process.wait(60)


def device(driver: Driver, number: int) -> Device:
    endpoint = parse(f"snmp://127.0.0.1:{number}?community=floor-read")
    return Device("d", Text("D", "D"), driver, endpoint, None, 15.0, 15.0, 2.0, driver.kind.alarms)


async def asked(link: SnmpLink, endpoint: Endpoint, plan: Plan) -> Answers:
    answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
    link.ask(Target("d", endpoint, timeout=20.0), plan, answered.set_result)
    return await asyncio.wait_for(answered, 40.0)


async def read(driver: Driver, number: int) -> Mapping[str, Reading]:
    """Poll a device over the wire, as the agent does."""
    state = DeviceState(device(driver, number))
    link = SnmpLink()
    running = asyncio.create_task(link.run())
    try:
        state.take(await asked(link, state.device.endpoint, Plan(*state.wants(0.0))), 0.0)
    finally:
        running.cancel()
        await asyncio.wait([running])
    return state.readings


def test_the_loopback_interface_of_a_real_agent_is_up(snmpd: int) -> None:
    index = str(socket.if_nametoindex("lo"))
    readings = asyncio.run(read(port(index=index, port="1.1"), snmpd))
    assert (readings["link"].value, readings["enabled"].value, readings["errors"].value) == ("up", True, 0)
    assert readings["speed"].value is not None
    assert (readings["poe"].value, readings["poe"].reason) == (None, "absent"), "it powers nothing"


def test_a_port_that_a_real_agent_does_not_have_has_no_link(snmpd: int) -> None:
    readings = asyncio.run(read(port(index="4242"), snmpd))
    assert (readings["link"].value, readings["link"].reason) == (None, "absent")


def test_a_real_thin_client_is_read(snmpd: int) -> None:
    readings = asyncio.run(read(CATALOG.drivers["workstation/host-resources"].placed({}), snmpd))
    assert readings["identity"].value == "match"
    assert readings["online"].value is True
    assert readings["softphone"].value is False, "no such program runs"
    for id in ("memory", "disk"):
        found = readings[id].value
        assert isinstance(found, int | float), readings[id]
        assert 0 <= found <= 100
    cpu = readings["cpu"]
    assert cpu.reason == "absent" or isinstance(cpu.value, int | float), "absent in its first minute, and no fault"


# A simulated switch, over the wire.


@pytest.mark.parametrize("id", PORTS)
def test_a_simulated_switch_shows_every_state_of_its_power(id: str) -> None:
    driver = CATALOG.drivers[id]
    states = ("delivering", "searching", "off", "fault", "delivering")

    async def story() -> list[Any]:
        simulated = SimulatedDevice(driver)
        serving = await simulated.serve(parse("snmp://127.0.0.1:0?community=floor-read"))
        said: list[Any] = []
        try:
            for state in states:
                simulated.set("poe", state)
                said.append((await read(driver, serving.port))["poe"].value)
            simulated.set("link", "down")
            simulated.set("mac", value=False)
            readings = await read(driver, serving.port)
            said += [readings["link"].value, readings["mac"].value]
        finally:
            await serving.stop()
        return said

    assert asyncio.run(story()) == [*states, "down", False]
