"""Transfer switches: registers and objects written by hand from the makers' lists, what they read and raise."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from edgeagent.driverfiles import load
from edgeagent.encode import encode
from edgeagent.fit import SYS_DESCR, SYS_OBJECT_ID, best
from edgeagent.probe import Found, read
from edgeagent.readings import Answers, Missing, Quality, Raw, Value
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice

CATALOG = load([drivers()])
NAMED_BY_THE_SITE: Final = {"ats/dse-gencomm", "ats/eaton-atc300", "ats/generac-ilc"}
OWN: Final = sorted(id for id in CATALOG.drivers if id.startswith("ats/"))
APC: Final = "1.3.6.1.4.1.318.1.1.8"
EATON: Final = "1.3.6.1.4.1.534.10.2"


def below(base: str, objects: Mapping[str, Raw]) -> dict[str, Raw]:
    return {f"{base}.{oid}": raw for oid, raw in objects.items()}


def seen(driver: str, answers: Mapping[str, Raw]) -> Found:
    """Read a device that has these answers and nothing else."""
    found = CATALOG.drivers[driver]
    return read(found, {**dict.fromkeys((*found.gets, *found.proofs), Missing.ABSENT), **answers}, 0.0)


def values(found: Found) -> dict[str, Any]:
    return {id: reading.value for id, reading in found.readings.items() if reading.value is not None}


SOCOMEC: Final = {
    "h50000": 0x53, "h50001": 0x4F, "h50002": 0x43, "h50003": 0x4F, "h50004": 300, "h50005": 1000, "h50007": 102,
    "h20481": 0x0010, "h20482": 2, "h20484": 0, "h20486": 2, "h20487": 0, "h20488": 0, "h20489": 17,
}  # fmt: skip
ATC: Final = {"c999": 1, "c1000": 0, "c1001": 1, "c1002": 0, "c1003": 0, "c1010": 0, "c1011": 0}
# Automatic mode; utility ok; 231 V, 50.01 Hz; generator 0 V.
GENERAC: Final = {"h500": 1 << 6, "h501": 1 << 0, "h502": 0, "h509": 231, "h511": 5001, "h514": 0}
APC_FINE: Final = below(APC, {
    "5.1.1.0": 2, "5.1.2.0": 1, "5.1.3.0": 2, "5.1.4.0": 2, "5.1.5.0": 2, "5.1.6.0": 2, "5.1.7.0": 2, "5.1.8.0": 2,
    "5.1.9.0": 2, "5.1.10.0": 2, "5.1.12.0": 2, "5.1.13.0": 2, "5.1.16.0": 2,
    "5.3.3.1.3.1.1.1": 216, "5.3.3.1.3.2.1.1": 215, "5.3.2.1.4.1": 50, "5.3.2.1.4.2": 50,
    "1.5.0": b"AP7724", "1.6.0": b"5A1516T15268", "1.2.0": b"3.0.5",
})  # fmt: skip
EATON_FINE: Final = below(EATON, {
    "1.1.0": b"EATON", "1.2.0": b"Eaton ATS", "1.3.0": b"00.00.0009", "1.5.0": b"GA04F23009",
    "2.4.0": 4, "2.2.1.2.1": 2292, "2.2.1.2.2": 2432, "2.2.1.3.1": 500, "2.2.1.3.2": 499,
    "3.2.1.3.1": 2, "3.2.1.3.2": 2, "3.2.1.4.1": 1, "3.2.1.4.2": 1, "3.3.1.0": 1, "3.3.2.0": 2, "3.3.3.0": 1,
    "3.3.4.0": 1, "3.3.5.0": 1, "3.3.6.0": 1, "3.3.7.0": 1, "4.8.0": 6,
})  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "answers", "expected"),
    [
        pytest.param("ats/socomec-atys", SOCOMEC, {"mode": "auto", "position": "mains", "generator.called": False, "source.mains": "available", "source.generator": "lost", "transfers": 17, "alarms": frozenset()}, id="Socomec on mains"),
        pytest.param("ats/socomec-atys", SOCOMEC | {"h20482": 3, "h20484": 1, "h20486": 0, "h20487": 2}, {"mode": "auto", "position": "generator", "generator.called": True, "source.mains": "lost", "source.generator": "available", "transfers": 17, "alarms": frozenset()}, id="Socomec on the generator"),
        pytest.param("ats/asco-group-g", {"h12": 5002, "h13": 0, "h16": 3981, "h17": 3995, "h18": 4002, "h22": 0, "h160": 88}, {"mains.voltage": 398.1, "mains.voltage.l1": 398.1, "mains.voltage.l2": 399.5, "mains.voltage.l3": 400.2, "mains.frequency": 50.02, "generator.voltage": 0, "generator.frequency": 0, "transfers": 88}, id="ASCO"),
        pytest.param("ats/eaton-atc300", ATC, {"source.mains": "available", "source.generator": "lost", "position": "mains", "generator.called": False, "alarms": frozenset()}, id="ATC-300 on source 1"),
        pytest.param("ats/eaton-atc300", {"c999": 0, "c1000": 1, "c1001": 0, "c1002": 1, "c1003": 0, "c1010": 1, "c1011": 1}, {"source.mains": "lost", "source.generator": "available", "position": "generator", "generator.called": True, "alarms": frozenset({"switch-fault"})}, id="ATC-300 on source 2"),
        pytest.param("ats/eaton-atc300", ATC | {"c1001": 0}, {"source.mains": "available", "source.generator": "lost", "position": "moving", "generator.called": False, "alarms": frozenset()}, id="ATC-300 between the two"),
        pytest.param("ats/generac-ilc", GENERAC, {"mode": "auto", "position": "mains", "source.mains": "available", "source.generator": "lost", "generator.called": False, "mains.voltage": 231, "mains.frequency": 50.01, "generator.voltage": 0, "alarms": frozenset()}, id="Generac on utility"),
        pytest.param("ats/dse-gencomm", {"h772": 1, "h3328": 0b0000_0001_0000_0000, "h1059": 0, "h1060": 0, "h1061": 0, "h1062": 0xFFFF, "h1063": 0xFFFF, "h1064": 0xFFFF, "h1065": 0xFFFF, "h1031": 501, "h1032": 0, "h1033": 2304}, {"mode": "auto", "position": "generator", "mains.frequency": 0, "mains.voltage.l1": 0, "mains.voltage": 0, "generator.frequency": 50.1, "generator.voltage.l1": 230.4, "generator.voltage": 230.4}, id="DSE on the generator, one phase"),
        pytest.param("ats/apc-rack-ats", APC_FINE, {"feed": "a", "source.a": "available", "source.b": "available", "redundant": True, "a.voltage": 216, "b.voltage": 215, "a.frequency": 50, "b.frequency": 50, "alarms": frozenset()}, id="APC on feed A"),
        pytest.param("ats/eaton-ats16", EATON_FINE, {"feed": "a", "source.a": "available", "source.b": "available", "output-powered": True, "a.voltage": 229.2, "b.voltage": 243.2, "a.frequency": 50, "b.frequency": 49.9, "alarms": frozenset()}, id="Eaton on feed A"),
    ],
)  # fmt: skip
def test_a_switch_reads_as_its_maker_wrote_it(driver: str, answers: Answers, expected: dict[str, Any]) -> None:
    assert values(seen(driver, answers)) == expected


@pytest.mark.parametrize(
    ("driver", "answers", "raised"),
    [
        pytest.param("ats/socomec-atys", SOCOMEC, [], id="Socomec fine"),
        pytest.param("ats/socomec-atys", SOCOMEC | {"h20486": 0, "h20487": 2}, ["failed-to-transfer", "mains-lost"], id="Socomec: mains gone, still there"),
        pytest.param("ats/socomec-atys", SOCOMEC | {"h20482": 3, "h20486": 0}, ["generator-lost", "mains-lost"], id="Socomec: on a dead generator"),
        pytest.param("ats/socomec-atys", SOCOMEC | {"h20482": 1}, ["position-off"], id="Socomec: position 0"),
        pytest.param("ats/socomec-atys", SOCOMEC | {"h20482": 0}, ["moving-too-long"], id="Socomec: no position sensed"),
        pytest.param("ats/socomec-atys", SOCOMEC | {"h20481": 0x0000}, ["not-in-auto"], id="Socomec: manual"),
        pytest.param("ats/socomec-atys", SOCOMEC | {"h20481": 0x0040}, ["not-in-auto"], id="Socomec: inhibited"),
        pytest.param("ats/socomec-atys", SOCOMEC | {"h20488": 4}, [], id="Socomec: a test is no alarm"),
        pytest.param("ats/eaton-atc300", ATC | {"c999": 0}, ["mains-lost"], id="ATC-300: source 1 gone"),
        pytest.param("ats/eaton-atc300", ATC | {"c1010": 1}, ["switch-fault"], id="ATC-300: alarm relay"),
        pytest.param("ats/eaton-atc300", ATC | {"c1003": 1}, [], id="ATC-300: test"),
        pytest.param("ats/generac-ilc", GENERAC | {"h501": 1 << 6 | 1 << 3}, ["mains-lost"], id="Generac: on the generator"),
        pytest.param("ats/generac-ilc", GENERAC | {"h500": 0}, ["not-in-auto"], id="Generac: not automatic"),
        pytest.param("ats/generac-ilc", GENERAC | {"h501": 1 | 1 << 12}, ["switch-fault"], id="Generac: system fault"),
        pytest.param("ats/generac-ilc", GENERAC | {"h502": 2}, [], id="Generac: test mode"),
        pytest.param("ats/abb-otm", {"i25": 0}, [], id="ABB fine"),
        pytest.param("ats/abb-otm", {"i25": 2}, ["failed-to-transfer"], id="ABB: switch II failed"),
        pytest.param("ats/abb-otm", {"i25": 3}, ["both-closed"], id="ABB: both on"),
        pytest.param("ats/apc-rack-ats", APC_FINE, [], id="APC fine"),
        pytest.param("ats/apc-rack-ats", APC_FINE | {f"{APC}.5.1.13.0": 1, f"{APC}.5.1.3.0": 1}, ["redundancy-lost", "source-b-lost"], id="APC: feed B gone"),
        pytest.param("ats/apc-rack-ats", APC_FINE | {f"{APC}.5.1.2.0": 2, f"{APC}.5.1.12.0": 1, f"{APC}.5.1.3.0": 1}, ["redundancy-lost", "source-a-lost"], id="APC: on B, A gone"),
        pytest.param("ats/apc-rack-ats", APC_FINE | {f"{APC}.5.1.4.0": 1}, ["overload"], id="APC: over current"),
        pytest.param("ats/apc-rack-ats", APC_FINE | {f"{APC}.5.1.6.0": 1}, ["power-supply-fault"], id="APC: 24 V supply"),
        pytest.param("ats/apc-rack-ats", APC_FINE | {f"{APC}.5.1.1.0": 3}, ["controller-lost"], id="APC: card lost its switch"),
        pytest.param("ats/apc-rack-ats", APC_FINE | {f"{APC}.5.1.15.0": 1}, [], id="APC: firmware that calls a good output failed"),
        pytest.param("ats/eaton-ats16", EATON_FINE, [], id="Eaton fine"),
        pytest.param("ats/eaton-ats16", EATON_FINE | {f"{EATON}.2.4.0": 5, f"{EATON}.3.2.1.3.1": 1}, ["source-a-lost"], id="Eaton: on 2, 1 gone"),
        pytest.param("ats/eaton-ats16", EATON_FINE | {f"{EATON}.2.4.0": 3, f"{EATON}.3.3.2.0": 1}, ["output-off", "position-off"], id="Eaton: off"),
        pytest.param("ats/eaton-ats16", EATON_FINE | {f"{EATON}.2.4.0": 7}, ["switch-fault"], id="Eaton: fault"),
        pytest.param("ats/eaton-ats16", EATON_FINE | {f"{EATON}.3.3.3.0": 2}, ["overload"], id="Eaton: overload warning"),
        pytest.param("ats/eaton-ats16", EATON_FINE | {f"{EATON}.3.3.4.0": 2}, ["temperature-high"], id="Eaton: hot"),
        pytest.param("ats/eaton-ats16", EATON_FINE | {f"{EATON}.3.3.6.0": 2}, ["controller-lost"], id="Eaton: card lost its switch"),
    ],
)  # fmt: skip
def test_a_switch_raises_what_its_maker_means(driver: str, answers: Answers, raised: list[str]) -> None:
    assert seen(driver, answers).alarms == [f"ats.{alarm}" for alarm in raised]


def test_what_no_good_source_confirms_says_so() -> None:
    for reading in seen("ats/generac-ilc", GENERAC).readings.values():
        assert reading.value == frozenset() or reading.quality is Quality.UNCERTAIN
    alarms = seen("ats/abb-otm", {"i25": 1}).readings["alarms"]
    assert (alarms.quality, alarms.reason) == (Quality.UNCERTAIN, "unverified")


def test_a_switch_that_cannot_be_read_raises_nothing() -> None:
    for id in OWN:
        driver = CATALOG.drivers[id]
        silent = read(driver, dict.fromkeys((*driver.gets, *driver.proofs), Missing.TIMEOUT), 0.0)
        assert silent.alarms == []
        assert values(silent) == {}


@pytest.mark.parametrize("id", OWN)
def test_a_switch_is_found_by_its_own_driver_and_by_no_other(id: str) -> None:
    driver = CATALOG.drivers[id]
    others = [other for other in CATALOG.drivers.values() if other.protocol == driver.protocol]
    asked = {address: Missing.ABSENT for other in others for address in other.proofs}
    found = [one.id for one, _ in best(others, {**asked, **SimulatedDevice(driver).answers})]
    assert found == ([] if id in NAMED_BY_THE_SITE else [id])


def test_an_eaton_switch_on_an_old_card_is_told_from_the_ups_with_the_same_object_id() -> None:
    snmp = [driver for driver in CATALOG.drivers.values() if driver.protocol == "snmp"]
    asked: dict[str, Raw] = {address: Missing.ABSENT for driver in snmp for address in driver.proofs}
    card: dict[str, Raw] = {SYS_OBJECT_ID: "1.3.6.1.4.1.705.1", SYS_DESCR: b"Eaton ATS 16"}
    assert best(snmp, {**asked, **EATON_FINE, **card})[0][0].id == "ats/eaton-ats16"
    ups: dict[str, Raw] = {**card, SYS_DESCR: b"MGE UPS"}
    assert "ats/eaton-ats16" not in [driver.id for driver, _ in best(snmp, {**asked, **EATON_FINE, **ups})]


@pytest.mark.parametrize(
    ("driver", "point", "value"),
    [
        pytest.param("ats/socomec-atys", "position", "generator", id="Socomec position"),
        pytest.param("ats/socomec-atys", "mode", "inhibited", id="Socomec mode"),
        pytest.param("ats/generac-ilc", "position", "generator", id="Generac position"),
        pytest.param("ats/dse-gencomm", "position", "generator", id="DSE position"),
        pytest.param("ats/apc-rack-ats", "feed", "b", id="APC feed"),
        pytest.param("ats/apc-rack-ats", "alarms", frozenset({"overload", "power-supply-fault"}), id="APC alarms"),
        pytest.param("ats/eaton-ats16", "feed", "off", id="Eaton feed"),
        pytest.param("ats/eaton-ats16", "alarms", frozenset({"switch-fault", "testing"}), id="Eaton alarms"),
        pytest.param("ats/abb-otm", "alarms", frozenset({"both-closed"}), id="ABB alarms"),
    ],
)
def test_what_is_wanted_of_a_simulated_switch_comes_back(driver: str, point: str, value: Value) -> None:
    found = CATALOG.drivers[driver]
    image = dict(SimulatedDevice(found).answers)
    assert values(seen(driver, {**image, **encode(found, {point: value}, image)}))[point] == value
