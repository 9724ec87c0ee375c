"""Every alarm bit of an air conditioner's manual by itself, under the maker's own number, to what people see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from edgeagent.catalog import Catalog
from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.probe import Found
from edgeagent.readings import Raw
from edgeagent.resources import drivers

pytestmark = pytest.mark.disable_socket

CATALOG: Final[Catalog] = load([drivers()])
NOW: Final = 1_700_000_000.0

# Numbers as the manual prints them, and what one is less on the wire: SL-28170 tables 6 and 20 number discrete inputs
# from 10001; the C2020 list from 1; the pCO and C7000 lists give the address itself.
ICOM: Final = {
    "fan-fault": (10034, 10218),
    "airflow-loss": (10035, 10036),
    "high-pressure": (10037,),
    "low-pressure": (10038,),
    "compressor-fault": (10039, 10212, 10213, 10601, 10602),
    "unit-comms-lost": (10091,),
    "comms-lost": (10092,),
    "controller-fault": (10094, 10099, 10224, 10225, 10226, 10227),
    "maintenance-due": (10098, 10216, 10238),
    "sensor-fault": (10108, 10109, 10211, 10228, 10240, 10241, 10242, 10243, 10600, 10603, 10608, 10609, 10610, 10611),
    "supply-temperature-high": (10209,),
    "supply-temperature-low": (10210,),
    "unit-alarm": (10215, 10230, 10231, 10234),
    "smoke": (10229,),
    "unit-trip": (10235, 10236),
    "humidity-abnormal": (10345, 10346, 10347),
    "power-fault": (10500, 10501, 10502, 10503, 10504, 10505, 10605, 10606),
}
XDP: Final = {
    "pump-fault": (10001, 10002, 10020),
    "fan-fault": (10003,),
    "humidity-abnormal": (10004,),
    "coolant-abnormal": (10006, 10008, 10009),
    "sensor-fault": (10007, 10010),
    "power-fault": (10019,),
    "water": (10021,),
    "smoke": (10022,),
    "maintenance-due": (10023,),
    "unit-comms-lost": (10262,),
    "controller-fault": (10263, 10266),
    "comms-lost": (10264,),
}
C2020: Final = {
    "return-temperature-high": (14, 15),
    "unit-warning": (16,),
    "humidity-abnormal": (18, 19),
    "low-pressure": (20,),
    "high-pressure": (21,),
    "airflow-loss": (22,),
    "smoke": (23,),
    "power-fault": (25,),
    "filter-dirty": (27,),
    "compressor-fault": (28,),
}
PCO: Final = {
    "compressor-fault": (28, 29),
    "low-pressure": (30, 31),
    "airflow-loss": (32,),
    "fan-fault": (33,),
    "unit-alarm": (34, 35),
    "smoke": (36,),
    "filter-dirty": (37,),
    "return-temperature-high": (38,),
    "unit-warning": (39,),
    "humidity-abnormal": (40, 41),
    "maintenance-due": (42,),
}
BITS: Final[list[tuple[str, str, int, Mapping[str, tuple[int, ...]]]]] = [
    ("liebert-icom", "d", 10001, ICOM),
    ("liebert-xdp", "d", 10001, XDP),
    ("stulz-c2020", "d", 1, C2020),
    ("carel-standard-ac", "c", 0, PCO),
    ("stulz-c7000", "d", 0, {"unit-alarm": (1010,), "maintenance-due": (1014,)}),
    ("stulz-c7000", "c", 0, {"unit-alarm": (8,)}),
    ("intesis-mbs", "h", 0, {"unit-alarm": (10,), "filter-dirty": (44,)}),
]


def rows() -> Iterator[tuple[str, str, str]]:
    for name, table, first, alarms in BITS:
        for alarm, numbers in alarms.items():
            for number in numbers:
                yield name, f"{table}{number - first}", alarm


def at_rest(name: str) -> dict[str, Raw]:
    """Return registers of a unit that is well: nothing is set but what says that it runs, at 24 degrees."""
    running: Mapping[str, dict[str, Raw]] = {
        "liebert-icom": {"i99": 1, "i101": 1, "i564": 240, "i129": 480},
        "intesis-mbs": {"h4": 230, "h5": 240},
    }
    return {**dict.fromkeys(CATALOG.drivers[f"hvac/{name}"].gets, 0), **running.get(name, {})}


@pytest.mark.parametrize("name", sorted({name for name, *_ in BITS}))
def test_a_unit_that_is_well_raises_nothing(name: str) -> None:
    driver = CATALOG.drivers[f"hvac/{name}"]
    assert Found(driver, {}, decode(driver, at_rest(name), NOW)).alarms == []


@pytest.mark.parametrize(("name", "address", "alarm"), list(rows()))
def test_each_bit_of_the_manual_raises_its_alarm_and_no_other(name: str, address: str, alarm: str) -> None:
    driver = CATALOG.drivers[f"hvac/{name}"]
    readings = decode(driver, {**at_rest(name), address: 1}, NOW)
    assert Found(driver, {}, readings).alarms == [f"hvac.{alarm}"]


@pytest.mark.parametrize(
    ("name", "address", "raw"),
    [
        *(("daikin-diii", "i3601", 1 << bit) for bit in (8, 9)),
        *(("carrier-xct", "i1", code) for code in (1, 2, 99, 256)),
        *(("haier-ycj-a002", "i1", code) for code in (1, 2, 99, 255)),
        *(("onokom-air", "i1", code) for code in (1, 2, 99, 65535)),
        *(("onokom-vrf", "i10001", code) for code in (1, 2, 99, 65535)),
        *(("intesis-multi", "h9", code) for code in (1, 2, 99, 65535)),
        *(("daikin-ekmbpp1", "i21", code) for code in (1,)),
    ],
)
def test_whatever_code_a_maker_shows_it_is_a_fault_of_the_unit(name: str, address: str, raw: int) -> None:
    driver = CATALOG.drivers[f"hvac/{name}"]
    well = {**dict.fromkeys(driver.gets, 0), "d1": 1, "c20": 1, "c10020": 1, "i22": 255}
    assert Found(driver, {}, decode(driver, well, NOW)).alarms == []
    assert Found(driver, {}, decode(driver, {**well, address: raw}, NOW)).alarms == ["hvac.unit-alarm"]


def test_every_alarm_bit_of_these_families_is_in_the_tables() -> None:
    for name in {name for name, *_ in BITS}:
        driver = CATALOG.drivers[f"hvac/{name}"]
        told = {address for other, address, _ in rows() if other == name}
        bits = {item.addresses[0] for item in driver.items if item.code == "alarm"}
        assert bits <= told, name
