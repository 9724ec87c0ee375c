"""What `edgeagent record` gets off a device."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import pytest

from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.masking import IPS, MACS
from edgeagent.probe import NoAnswer
from edgeagent.record import MOST, RangeError, ranges, record
from edgeagent.resources import drivers
from edgeagent.simulators.modbus import ModbusServer
from edgeagent.simulators.snmp import Image, SnmpServer
from tests.rig import invoke

CATALOG: Final = load([drivers()])
DESCR, OBJECT, NAME = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.5.0"
CONTACT, LOCATION = "1.3.6.1.2.1.1.4.0", "1.3.6.1.2.1.1.6.0"
SERIAL: Final = "1.3.6.1.4.1.318.1.1.1.1.2.3.0"
MODEL: Final = "1.3.6.1.4.1.318.1.1.1.1.1.1.0"


@pytest.mark.parametrize("text", ["", "h", "h5-4", "x5", "h70000", "h1-h9", "h0-65535"])
def test_a_range_that_makes_no_sense_or_no_end_is_refused(text: str) -> None:
    with pytest.raises(RangeError):
        ranges(text)


def test_a_range_is_taken_apart_once() -> None:
    assert ranges("h768-770, i0,h770") == ("h768", "h769", "h770", "i0")
    assert len(ranges(f"h0-{MOST - 1}")) == MOST


async def _recorded(server: Any, url: str, within: float = 20.0, **more: Any) -> str:  # noqa: ANN401 - either server
    port = await server.start()
    try:
        return await record(CATALOG, parse(url.format(port=port)), more.pop("driver", None), within, **more)
    finally:
        stopped = server.stop()
        if stopped is not None:
            await stopped


def test_a_walk_over_the_wire_hides_what_the_device_shows_elsewhere() -> None:
    mac, ip = bytes.fromhex("00c0b7123456"), bytes((10, 20, 30, 40))
    image: Image = {
        DESCR: (4, b"APC Web/SNMP Management Card (SN: ZA2215342271)"), OBJECT: (6, "1.3.6.1.4.1.318.1.3.27"),
        CONTACT: (4, b"Li Wei"), NAME: (4, b"ups-room-3"), LOCATION: (4, b"Room 3"), f"{MACS}.2": (4, mac),
        f"{IPS}.10.20.30.40": (64, ip), SERIAL: (4, b"AS1234567890"), MODEL: (4, b"Smart-UPS 1500"),
        "1.3.6.1.4.1.318.9.1.10.20.30.40": (4, mac),
        "1.3.6.1.4.1.318.9.2.0": (4, b"floor-read as1234567890 ups-room-3"),
        "1.3.6.1.4.1.318.9.3.0": (5, b""), "1.3.6.1.4.1.318.9.4.0": (70, 2**63),
    }  # fmt: skip
    text = asyncio.run(
        _recorded(SnmpServer(image, community="floor-read"), "snmp://127.0.0.1:{port}?community=floor-read")
    )
    for trace in ("Li Wei", "room-3", "Room 3", "ZA22", "1234567890", "10.20.30.40", "c0b7", "floor-read", MACS, IPS):
        assert trace not in text, trace
    assert f"{MODEL}|4|Smart-UPS 1500\n" in text
    assert "1.3.6.1.4.1.318.9.3.0|5|\n1.3.6.1.4.1.318.9.4.0|70|9223372036854775808\n" in text
    assert "1.3.6.1.4.1.318.9.1.192.0.2.1|4x|00005e005301\n" in text


def test_a_dump_of_ranges_needs_no_driver_and_leaves_out_what_is_refused() -> None:
    image = {"h10": 5, "h11": 6, "h14": 7, "i3": 8, "c0": 1}
    server = ModbusServer({1: image}, "modbus://127.0.0.1:0?unit=1")
    text = asyncio.run(_recorded(server, "modbus://127.0.0.1:{port}?unit=1", dump=ranges("h9-15,i3-4,c0-1")))
    assert text.splitlines() == ["c0|int|1", "h10|int|5", "h11|int|6", "h14|int|7", "i3|int|8"]


def test_a_driver_s_registers_are_recorded_with_what_the_device_refuses() -> None:
    server = ModbusServer({1: {"i1": 305}}, "modbus://127.0.0.1:0?unit=1")
    driver = CATALOG.drivers["environment/xy-md02"]
    text = asyncio.run(_recorded(server, "modbus://127.0.0.1:{port}?unit=1", driver=driver))
    assert text.splitlines()[0] == "# environment/xy-md02"
    assert "i1|int|305" in text.splitlines()
    assert "i2|missing|absent" in text.splitlines()


def test_a_silent_device_is_no_answer() -> None:
    server = ModbusServer({1: {}}, "modbus://127.0.0.1:0?unit=1", silent={1})
    with pytest.raises(NoAnswer):
        asyncio.run(_recorded(server, "modbus://127.0.0.1:{port}?unit=1", 0.3, dump=("h1",)))


@pytest.mark.parametrize(
    ("url", "range_"),
    [("snmp://127.0.0.1:9", "h1"), ("modbus://127.0.0.1:9?unit=1", "h5-4")],
    ids=["snmp", "backwards"],
)
def test_a_wrong_range_is_told_before_anything_is_asked(url: str, range_: str) -> None:
    done = invoke("record", url, "--range", range_)
    assert done.exit_code == 2
    assert re.search("--range|no range", done.output)
