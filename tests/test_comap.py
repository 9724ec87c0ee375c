"""The register list that ComAp's tool exports becomes a driver that loads and reads."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.catalog import Driver
from edgeagent.comap import ExportError, driver_from
from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.readings import Missing
from edgeagent.resources import drivers

LINE = "=" * 126
EXPORT = f"""\
HEADER
{LINE}
Format:              2.0
LongNamesLength:     32 - Name, Name of State, Name of Value, Bit Name, Group
ShortNamesLength:    10 - Dimension, Type
{LINE}
{LINE}
 Table: Binaries
{LINE}
Allowed MODBUS functions: 01, 02
Addresses     Source
Modbus Addr.  = Value  C.O.#    Name of Value                    Bit # Bit Name                         Group
Prot. Addr.   = State  State #  Name of State                    Activated by protection(s):
{LINE}
00000         Value       8235  Binary Inputs                        1 Emergency Stop                   Controller I/O
00004         Not Used
00120         State        101  Emergency Stop                   Shutdown
00121         State        102  Sd Start Fail                    Shutdown
00122         State        103  Wrn Fuel Level                   Level 1
00123         State        104  Sd Oil Pressure                  Level 2
00124         State        105  BOC Earth Fault                  BOC
00125         State        106  Wrn Tank Room Door               Level 1
00126         State        107  Remote Start                     History record
{LINE}
 Table: Values
{LINE}
Allowed MODBUS functions: 03, 04
Register(s)   Com.Obj. Name                             Dimension  Type      Len Dec Min    Max    Group
{LINE}
01000         10123    RPM                              RPM        Unsigned  2   0   0      4000   Engine
01006         8227     Coolant Temp                     °C         Integer   2   0   -16    120    Engine
01008         8228     Oil Pressure                     bar        Integer   2   1   0      100    Engine
01013-01014   8206     Running Hours                    h          Integer   4   1   -      -      Statistics
01020         8202     Generator P                      kW         Integer   2   1   -3200  3200   Generator
01037         8192     Generator Voltage L1-N           V          Unsigned  2   0   0      400    Generator
01038         8193     Generator Voltage L2-N           V          Unsigned  2   0   0      400    Generator
01053         8213     BatteryVoltage                   V          Integer   2   1   0      400    Controller I/O
01060         8195     Mains Voltage L1-N               V          Unsigned  2   0   0      400    Mains
01061         8211     Mains Frequency                  Hz         Unsigned  2   1   0      650    Mains
01070         9999     Fuel Level                       L          Unsigned  2   0   0      9000   Engine
01298         8330     Engine State                                List#5    1   -   0      16     Info
01300         8331     Breaker State                               List#6    1   -   0      9      Info
01382         8315     Controller Mode                             List#7    1   -   0      3      Info
{LINE}
 Table: Setpoints
{LINE}
Allowed MODBUS functions: 03, 04, 06, 16
03008         8276     Nominal Power                    kW         Unsigned  2   0   1      5000   Basic Settings
03009         8253     RPM                              RPM        Unsigned  2   0   100    4000   Basic Settings
"""


def loaded(tmp_path: Path, text: str, name: str = "our-set") -> Driver:
    """Load a made driver beside the shipped kinds, as a site's own folder has it."""
    site = tmp_path / "site"
    (site / "generator").mkdir(parents=True)
    (site / "generator" / f"{name}.toml").write_text(driver_from(text, name), encoding="utf-8")
    shipped = tmp_path / "drivers"
    (shipped / "generator").mkdir(parents=True)
    for file in ("device.toml", "generator/kind.toml"):
        shutil.copy(drivers() / file, shipped / file)
    return load([shipped, site]).drivers[f"generator/{name}"]


def test_an_export_becomes_a_driver_that_reads_the_unit(tmp_path: Path) -> None:
    driver = loaded(tmp_path, EXPORT)
    image: dict[str, int] = {
        "h1000": 1500, "h1006": 0xFFF6, "h1008": 35, "h1013": 0, "h1014": 1240, "h1020": 420, "h1037": 231,
        "h1038": 229, "h1053": 265, "h1060": 0, "h1061": 0, "h1298": 8, "h1382": 2,
        **{f"d{address}": 0 for address in range(120, 127)}, "d122": 1, "d125": 1,
    }  # fmt: skip
    readings = decode(driver, {address: image.get(address, Missing.ABSENT) for address in driver.gets}, 0.0)
    values = {point: reading.value for point, reading in readings.items()}
    assert values == {
        "speed": 1500, "coolant.temperature": -10, "oil.pressure": 350, "runtime": 446400, "output.power": 42000,
        "output.voltage": 229, "output.voltage.l1": 231, "output.voltage.l2": 229, "starter.voltage": 26.5,
        "mains.voltage": 0, "mains.voltage.l1": 0, "mains.frequency": 0, "mains.healthy": False, "state": "running",
        "on-load": True, "running": True, "mode": "auto", "alarms": frozenset({"fuel-low.warning", "common-warning"}),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("bit", "alarm"),
    [
        (120, "emergency-stop"), (121, "fail-to-start"), (122, "fuel-low.warning"), (123, "oil-pressure-low.shutdown"),
        (124, "earth-fault.trip"), (125, "common-warning"),
    ],
)  # fmt: skip
def test_a_protection_is_known_by_its_name_or_at_least_by_its_grade(tmp_path: Path, bit: int, alarm: str) -> None:
    driver = loaded(tmp_path, EXPORT)
    asked = {address: int(address == f"d{bit}") for address in driver.gets if address.startswith("d")}
    assert decode(driver, asked, 0.0)["alarms"].value == frozenset({alarm})


def test_inputs_and_records_of_the_history_are_no_alarms(tmp_path: Path) -> None:
    gets = loaded(tmp_path, EXPORT).gets
    assert "d0" not in gets
    assert "d126" not in gets


def test_a_dimension_that_does_not_fit_leaves_the_point_out(tmp_path: Path) -> None:
    assert "fuel" not in loaded(tmp_path, EXPORT).points


def test_an_invalid_number_is_none(tmp_path: Path) -> None:
    driver = loaded(tmp_path, EXPORT)
    readings = decode(driver, {"h1006": 0x8000, "h1000": 0x8000, "h1013": 0x8000, "h1014": 0}, 0.0)
    assert [readings[id].reason for id in ("coolant.temperature", "speed", "runtime")] == ["not-available"] * 3


def test_columns_one_space_apart_read_the_same(tmp_path: Path) -> None:
    text = "\n".join(" ".join(line.split()) for line in EXPORT.splitlines() if not line.startswith(("00", "=")))
    assert loaded(tmp_path, text).points == loaded(tmp_path / "wide", EXPORT).points - {"alarms"}


def test_a_list_without_headings_counts_as_values(tmp_path: Path) -> None:
    driver = loaded(tmp_path, "01053 8213 BatteryVoltage V Integer 2 1 0 400 Controller I/O\n")
    assert decode(driver, {"h1053": 240}, 0.0)["starter.voltage"].value == 24  # the example of the Global Guide


@pytest.mark.parametrize("degrees", ["°C", "C", "\ufffdC", "ÂºC"])
def test_a_degree_sign_may_come_through_any_code_page(tmp_path: Path, degrees: str) -> None:
    driver = loaded(tmp_path, f"01006 8227 Coolant Temp {degrees} Integer 2 0 -16 120 Engine\n")
    assert decode(driver, {"h1006": 82}, 0.0)["coolant.temperature"].value == 82


def test_fahrenheit_becomes_celsius(tmp_path: Path) -> None:
    driver = loaded(tmp_path, "01006 8227 Coolant Temp °F Integer 2 0 -16 320 Engine\n")
    assert decode(driver, {"h1006": 212}, 0.0)["coolant.temperature"].value == pytest.approx(100, abs=0.001)


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        (EXPORT, "Our Set", '"Our Set" is no name'),
        (EXPORT, "../x", "is no name"),
        ("", "our-set", "no register list"),
        ("<html>404</html>", "our-set", "no register list"),
        ("01228 9018 Nominal Power kW Integer 2 0 0 32767 Generator", "our-set", "none of the 1 values"),
    ],
)
def test_what_is_no_list_is_refused_in_words(text: str, name: str, told: str) -> None:
    with pytest.raises(ExportError, match=told):
        driver_from(text, name)


@given(st.text(max_size=400), st.integers(0, 99999), st.integers(0, 20))
def test_what_comes_of_any_text_is_toml_or_refused(text: str, address: int, decimals: int) -> None:
    row = f"{address:05} 8213 BatteryVoltage V Integer 2 {decimals} 0 400 x\n"
    state = f"Table: Binaries\n{address:05}  State  1  Sd {text}\n"
    for whole in (text, f"{EXPORT}{text}", row + state, text.join(EXPORT.splitlines(keepends=True))):
        try:
            made = tomllib.loads(driver_from(whole, "x"))
        except ExportError:
            continue
        entries = [entry for entry in made["points"].values() if isinstance(entry, dict)]
        assert all(0 <= entry.get("holding", 0) <= 65535 for entry in entries)
        assert all(0 <= entry["discrete"] <= 65535 for entry in made["points"].get("alarms", []))
