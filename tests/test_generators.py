"""Generator controllers: raw registers worked out by hand from the makers' tables, to what people must see."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from edgeagent.catalog import Catalog, Driver
from edgeagent.decode import decode, identity
from edgeagent.driverfiles import load
from edgeagent.fit import best
from edgeagent.probe import Found
from edgeagent.readings import Missing, Quality, Raw, Reading, Value
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice

pytestmark = pytest.mark.disable_socket

CATALOG: Catalog = load([drivers()])
GENERATORS: Final = [driver for driver in CATALOG.drivers.values() if driver.kind.id == "generator"]
MODBUS: Final = [driver for driver in CATALOG.drivers.values() if driver.protocol == "modbus"]
NOW: Final = 1_700_000_000.0


def at(table: str, first: int, *words: int) -> dict[str, Raw]:
    """Return words in consecutive registers or coils."""
    return {f"{table}{first + place}": word for place, word in enumerate(words)}


def none(table: str, first: int, last: int) -> dict[str, Raw]:
    """Return registers or coils that hold nothing."""
    return at(table, first, *[0] * (last - first + 1))


def read(driver: Driver, image: Mapping[str, Raw]) -> Mapping[str, Reading]:
    """Decode an image; what it does not name the device does not have."""
    return decode(driver, {address: image.get(address, Missing.ABSENT) for address in driver.gets}, NOW)


# Each at rest in auto, the mains good where it is sensed, 231 V, 26.5 V, fuel 80 %, 124 h, 128 starts.
DSE: Final = {
    **at("h", 768, 1, 32840), "h772": 1, "h774": 0,
    **at("h", 1024, 0, 41), "h1027": 80, **at("h", 1029, 265, 0, 0, 0, 0, 0, 0, 0, 0),
    **at("h", 1059, 500, 0, 2312, 0, 2310, 0, 2305),
    "h1408": 0, **at("h", 1536, 0, 0), **at("h", 1798, 6, 53184), **at("h", 1808, 0, 128), "h3328": 0x0400,
    **at("h", 39425, *[0x1111] * 11),
}  # fmt: skip
DSE_OLD: Final = {address: raw for address, raw in DSE.items() if not address.startswith("h394")} | {
    "h769": 6120, **at("h", 2049, *[0x1111] * 15)
}  # fmt: skip
DSE_8XXX: Final = {**DSE, "h769": 32832, "h39443": 0x1111, "h39445": 0x1111}
SMARTGEN: Final = {
    **none("c", 0, 84), "c6": 1, "c41": 1, "c65": 1,
    **none("h", 0, 47), **at("h", 0, 231, 230, 229), "h6": 500, "h17": 25, "h21": 80, "h24": 265,
    **at("h", 42, 0, 124), **at("h", 46, 0, 128),
}  # fmt: skip
MEBAY: Final = {
    **none("h", 4096, 4184), "h4097": 265, **at("h", 4132, 500, 231, 230, 229), "h4149": 128,
    **at("h", 4150, 0, 1240), "h4159": 153, "h4161": 6, "h4162": 0b1100, "h4180": 25, "h4184": 80,
}  # fmt: skip
RECORDS: Final = {f"h{4216 + 27 * place}": 0 for place in range(8)}
INTELILITE: Final = {
    "h1298": 1, "h1382": 2, "h1004": 0, "h1006": 25, "h1008": 0, **at("h", 1013, 0, 1240), "h1020": 0,
    **none("h", 1036, 1039), "h1053": 265, "h1055": 80, **RECORDS,
}  # fmt: skip
INTELIGEN: Final = {
    "h1325": 1, "h1323": 2, **none("h", 1000, 1001), **none("h", 1020, 1022), "h1051": 265, "h1055": 80,
    **at("h", 1291, 0, 1240), **RECORDS,
}  # fmt: skip
DATAKOM: Final = {
    **at("h", 10240, 2312, 0, 2310, 0, 2305, 0), **none("h", 10246, 10251), **none("h", 10294, 10295),
    **at("h", 10338, 5000, 0), "h10341": 2650, **at("h", 10361, 0, 250, 800), "h10376": 0,
    **at("h", 10604, 0, 4), "h10609": 0xD500, "h10616": 128, **at("h", 10622, 12400, 0),
}  # fmt: skip
DEIF: Final = {
    **none("i", 504, 507), "i519": 0, **at("i", 554, 0, 124), "i566": 128, "i567": 265, **none("i", 593, 595),
    **none("i", 1000, 1009), "i1018": 0, "i1019": 0x0008,
}  # fmt: skip
CRE: Final = {
    **at("h", 4, 1221, 0, 5001), **none("h", 50, 52), "h75": 0, "h78": 128, **at("h", 83, 124, 0),
    **none("h", 363, 365), **at("h", 200, 0, 250, 0), "h204": 265, "h4001": 0, "h4008": 2, **at("h", 4664, 0, 0),
}  # fmt: skip
CUMMINS: Final = {
    **none("h", 9, 70), "h60": 265, "h63": 250, "h68": 128, **at("h", 69, 6, 53184)
}  # fmt: skip
EMCP: Final = {"h101": 0, **at("h", 105, 0x7735, 0x9400), **none("h", 113, 115), "h202": 530}
EASYGEN: Final = {
    **at("h", 50000, 5100, 0, 0x0101, 0), **none("h", 50004, 50008), **at("h", 50009, 5000, 0, 2312),
    "h50015": 128, **at("h", 50016, 0, 0),
}  # fmt: skip
KOHLER: Final = {
    **none("c", 0, 27), **none("c", 200, 301), "c219": 1,
    **none("h", 6, 21), **none("h", 256, 269), **none("h", 654, 673), **at("h", 672, 0x41D4, 0),
    **at("h", 670, 0x42F8, 0), "h9998": 74,
}  # fmt: skip
BASLER: Final = {
    **none("h", 3507, 3512), "h3511": 1, **none("h", 4755, 4760), **none("h", 4783, 4814), "h4803": 265, "h4805": 80,
    "h4799": 77, **none("h", 4831, 4836), "h4835": 124, "h4871": 128, "h4872": 0, **at("h", 4879, 1, 0),
}  # fmt: skip
DYNAGEN: Final = {**none("h", 2, 5), "h149": 0, "h150": 25, "h153": 80}

LOST: Final = {"dse": {**none("h", 1059, 1065), "h3328": 0}, "mebay": {**none("h", 4132, 4135), "h4162": 0}}
DSE_RUN: Final = {
    **LOST["dse"], "h1024": 350, "h1025": 82, "h1030": 1500, "h1031": 500,
    **at("h", 1032, 0, 2312, 0, 2310, 0, 2305), "h1408": 3,
}  # fmt: skip
SMARTGEN_LOST: Final = {**none("h", 0, 2), "h6": 0, "c6": 0, "c64": 1, "c65": 0, "c69": 1}
SMARTGEN_RUN: Final = {**SMARTGEN_LOST, "h34": 9, "h23": 1500, **at("h", 7, 231, 230, 229), "h13": 500}
MEBAY_RUN: Final = {**LOST["mebay"], "h4161": 18, "h4162": 0b01, "h4105": 500, **at("h", 4106, 231, 230, 229)}
COMAP_RUN: Final = {"h1298": 7, "h1004": 1500, **at("h", 1036, 500, 231, 230, 229)}
DATAKOM_LOST: Final = {**none("h", 10240, 10245), "h10338": 0}
DATAKOM_RUN: Final = {
    **DATAKOM_LOST, "h10604": 8, "h10376": 1500, **at("h", 10246, 2312, 0, 2310, 0, 2305, 0), "h10339": 5000,
}  # fmt: skip
KOHLER_RUN: Final = {
    "c218": 1, "c219": 0, **at("h", 6, 0x4367, 0, 0x4367, 0, 0x4366, 0), **at("h", 20, 0x4248, 0),
    **at("h", 256, 0x44BB, 0x8000), **at("h", 260, 0x42A4, 0),
}  # fmt: skip
BASLER_RUN: Final = {
    **at("h", 4879, 4, 0), **at("h", 4795, 1500, 0), **at("h", 4755, 231, 0, 230, 0, 229, 0),
    **at("h", 4789, 0, 0x4248), "h4799": 180, "h4801": 50,
}  # fmt: skip
REST: Final[Mapping[str, Value | None]] = {"mode": "auto", "running": False}
ON: Final[Mapping[str, Value | None]] = {
    "running": True, "on-load": False, "output.voltage": 230.5, "output.frequency": 50, "speed": 1500
}  # fmt: skip

Case = tuple[str, Mapping[str, Raw], Mapping[str, Raw], Mapping[str, Value | None], set[str]]
CASES: Final[Mapping[str, Case]] = {
    # Deep Sea Electronics, page 154
    "dse at rest": ("dse-gencomm", DSE, {}, {**REST, "state": "stopped", "on-load": False, "mains.healthy": True, "mains.voltage": 230.5, "fuel": 80, "starter.voltage": 26.5, "runtime": 446400, "starts": 128}, set()),
    "dse mains lost": ("dse-gencomm", DSE, LOST["dse"], {**REST, "mains.healthy": False}, {"mains-lost"}),
    "dse runs off load": ("dse-gencomm", DSE, DSE_RUN, {**ON, "state": "running", "oil.pressure": 350, "coolant.temperature": 82}, {"mains-lost"}),
    "dse on load": ("dse-gencomm", DSE, {**DSE_RUN, "h3328": 0x0100, "h1537": 42000}, {"running": True, "on-load": True, "output.power": 42000}, {"mains-lost"}),
    "dse fails to start": ("dse-gencomm", DSE, {**LOST["dse"], "h774": 0x1000, "h39428": 0x1311}, {"running": False}, {"mains-lost", "fail-to-start", "common-shutdown"}),
    "dse emergency stop": ("dse-gencomm", DSE, {"h774": 0x1000, "h39425": 0x3111}, {}, {"emergency-stop", "common-shutdown"}),
    "dse in stop": ("dse-gencomm", DSE, {"h772": 0}, {"mode": "off"}, {"not-in-auto"}),
    "dse fuel low": ("dse-gencomm", DSE, {"h1027": 20, "h39430": 0x1121}, {"fuel": 20}, {"fuel-low"}),
    "dse sender open": ("dse-gencomm", DSE, {"h1024": 0xFFFC, "h39429": 0x1211}, {"oil.pressure": None}, {"sender-fault"}),
    "dse lacks a sender": ("dse-gencomm", DSE, {"h1025": 0x7FFF, "h1027": 0xFFFF}, {"coolant.temperature": None, "fuel": None}, set()),
    "dse battery low": ("dse-gencomm", DSE, {"h1029": 221, "h39427": 0x1121}, {"starter.voltage": 22.1}, {"starter-voltage-low"}),
    "dse without engine state": ("dse-gencomm", DSE, {"h1408": 15}, {"state": None, "running": False}, set()),
    "dse without state or speed": ("dse-gencomm", DSE, {"h1408": 0xFFFF, "h1030": 0xFFFF}, {"state": None, "running": None}, set()),
    "dse inactive indications": ("dse-gencomm", DSE, at("h", 39425, 0x0F9A, 0x8888), {}, set()),
    # page 8
    "dse old at rest": ("dse-gencomm", DSE_OLD, {}, {**REST, "mains.healthy": True}, set()),
    "dse old fails to start": ("dse-gencomm", DSE_OLD, {"h774": 0x1000, "h2050": 0x1131}, {}, {"fail-to-start", "common-shutdown"}),
    "dse old mains failed": ("dse-gencomm", DSE_OLD, {"h2058": 0x1121}, {"mains.healthy": False}, {"mains-lost"}),
    "dse old emergency stop": ("dse-gencomm", DSE_OLD, {"h2049": 0x3111}, {}, {"emergency-stop"}),
    # 8xxx
    "dse 8610 at rest": ("dse-8xxx", DSE_8XXX, {}, {**REST, "mains.healthy": True, "fuel": 80}, set()),
    "dse 8610 mains low": ("dse-8xxx", DSE_8XXX, {"h39443": 0x1121}, {"mains.healthy": True}, {"mains-abnormal"}),
    "dse 8610 fails to start": ("dse-8xxx", DSE_8XXX, {"h774": 0x1000, "h39428": 0x1311}, {}, {"fail-to-start", "common-shutdown"}),
    "dse 8610 hot trip": ("dse-8xxx", DSE_8XXX, {"h774": 0x0800, "h39445": 0x4111}, {}, {"coolant-temperature-high", "electrical-trip"}),
    # SmartGen
    "smartgen at rest": ("smartgen-hgm", SMARTGEN, {}, {**REST, "state": "stopped", "on-load": False, "mains.healthy": True, "mains.voltage": 229, "fuel": 80, "starter.voltage": 26.5, "runtime": 446400, "starts": 128}, set()),
    "smartgen runs off load": ("smartgen-hgm", SMARTGEN, SMARTGEN_RUN, {**ON, "output.voltage": 229, "state": "running", "mains.healthy": False}, {"mains-lost"}),
    "smartgen on load": ("smartgen-hgm", SMARTGEN, {**SMARTGEN_RUN, "c7": 1}, {"on-load": True}, {"mains-lost"}),
    "smartgen fails to start": ("smartgen-hgm", SMARTGEN, {**SMARTGEN_LOST, "c2": 1, "c17": 1}, {"running": False}, {"mains-lost", "fail-to-start", "common-shutdown"}),
    "smartgen emergency stop": ("smartgen-hgm", SMARTGEN, {"c2": 1, "c8": 1, "c48": 1}, {}, {"emergency-stop", "common-shutdown"}),
    "smartgen in manual": ("smartgen-hgm", SMARTGEN, {"c41": 0, "c42": 1}, {"mode": "manual"}, {"not-in-auto"}),
    "smartgen in test": ("smartgen-hgm", SMARTGEN, {"c41": 0, "c40": 1}, {"mode": "test"}, set()),
    "smartgen fuel low": ("smartgen-hgm", SMARTGEN, {"h21": 18, "c28": 1}, {"fuel": 18}, {"fuel-low"}),
    "smartgen sender open": ("smartgen-hgm", SMARTGEN, {"h17": 32766, "c35": 1}, {"coolant.temperature": None}, {"sender-fault"}),
    "smartgen without engine computer": ("smartgen-hgm", SMARTGEN, {"h19": 32767}, {"oil.pressure": None}, set()),
    "smartgen below zero": ("smartgen-hgm", SMARTGEN, {"h17": 65526}, {"coolant.temperature": -10}, set()),
    "smartgen without mains sensing": ("smartgen-hgm", SMARTGEN, {"c65": 0, **none("h", 0, 2)}, {"mains.healthy": None}, set()),
    "smartgen does not stop": ("smartgen-hgm", SMARTGEN, {"h34": 14}, {"state": "stopping"}, {"fail-to-stop"}),
    "smartgen wired input": ("smartgen-hgm", SMARTGEN, {"c21": 1}, {}, {"external-fault"}),
    # MEBAY
    "mebay at rest": ("mebay-dc", MEBAY, {}, {**REST, "state": "stopped", "on-load": False, "mains.healthy": True, "mains.voltage": 229, "fuel": 80, "starter.voltage": 26.5, "runtime": 446400, "starts": 128}, set()),
    "mebay runs off load": ("mebay-dc", MEBAY, MEBAY_RUN, {"running": True, "on-load": False, "output.voltage": 229, "output.frequency": 50, "mains.healthy": False}, {"mains-lost"}),
    "mebay on load": ("mebay-dc", MEBAY, {**MEBAY_RUN, "h4162": 0b11, "h4123": 420}, {"on-load": True, "output.power": 42000}, {"mains-lost"}),
    "mebay fails to start": ("mebay-dc", MEBAY, {**LOST["mebay"], "h4163": 47, "h4161": 5}, {"state": "fault"}, {"mains-lost", "fail-to-start", "common-shutdown"}),
    "mebay emergency stop": ("mebay-dc", MEBAY, {"h4163": 46}, {}, {"emergency-stop"}),
    "mebay in stop": ("mebay-dc", MEBAY, {"h4159": 51}, {"mode": "off"}, {"not-in-auto"}),
    "mebay fuel low": ("mebay-dc", MEBAY, {"h4184": 15, "h4167": 1 << 12}, {"fuel": 15}, {"fuel-low"}),
    "mebay sender open": ("mebay-dc", MEBAY, {"h4180": 50000, "h4166": 1 << 4}, {"coolant.temperature": None}, {"sender-fault"}),
    "mebay without mains sensing": ("mebay-dc", MEBAY, {**at("h", 4132, 20000, 20000, 20000, 20000), "h4162": 0}, {"mains.voltage": None, "mains.healthy": None}, set()),
    "mebay in a state of no meaning": ("mebay-dc", MEBAY, {"h4161": 3}, {"running": None}, set()),
    # ComAp
    "intelilite at rest": ("comap-intelilite", INTELILITE, {}, {**REST, "state": "stopped", "on-load": False, "fuel": 80, "starter.voltage": 26.5, "runtime": 446400}, set()),
    "intelilite runs off load": ("comap-intelilite", INTELILITE, COMAP_RUN, {**ON, "output.voltage": 229, "state": "running"}, set()),
    "intelilite on load": ("comap-intelilite", INTELILITE, {**COMAP_RUN, "h1298": 8, "h1020": 42}, {"on-load": True, "output.power": 42000}, set()),
    "intelilite shut down": ("comap-intelilite", INTELILITE, {"h1298": 12, "h4216": 0x0201}, {"state": "fault", "running": False}, {"common-shutdown"}),
    "intelilite alarm gone but not seen": ("comap-intelilite", INTELILITE, {"h4216": 0x0200}, {}, set()),
    "intelilite warns": ("comap-intelilite", INTELILITE, {"h4243": 0x0103}, {}, {"common-warning"}),
    "intelilite sender open": ("comap-intelilite", INTELILITE, {"h1055": 0x8000, "h4216": 0x0301}, {"fuel": None}, {"sender-fault"}),
    "intelilite in manual": ("comap-intelilite", INTELILITE, {"h1382": 1}, {"mode": "manual"}, {"not-in-auto"}),
    "intelilite fuel low": ("comap-intelilite", INTELILITE, {"h1055": 20}, {"fuel": 20}, {"fuel-low"}),
    "intelilite starting up": ("comap-intelilite", INTELILITE, {"h1298": 0}, {"running": None}, set()),
    "inteligen on load": ("comap-inteligen500", INTELIGEN, {"h1325": 8, "h1000": 1500, "h1001": 42, **at("h", 1020, 231, 230, 229)}, {"running": True, "on-load": True, "output.power": 42000, "output.voltage": 229, "runtime": 446400}, set()),
    "inteligen runs off load": ("comap-inteligen500", INTELIGEN, {"h1325": 7, "h1000": 1500}, {"running": True, "on-load": False, "starter.voltage": 26.5}, set()),
    "inteligen off": ("comap-inteligen500", INTELIGEN, {"h1323": 0}, {"mode": "off"}, {"not-in-auto"}),
    # Datakom
    "datakom at rest": ("datakom", DATAKOM, {}, {**REST, "state": "stopped", "on-load": False, "mains.healthy": True, "mains.voltage": 230.5, "fuel": 80, "starter.voltage": 26.5, "runtime": 446400, "starts": 128, "coolant.temperature": 25}, set()),
    "datakom runs off load": ("datakom", DATAKOM, DATAKOM_RUN, {**ON, "state": "running", "mains.healthy": False}, {"mains-lost"}),
    "datakom on load": ("datakom", DATAKOM, {**DATAKOM_RUN, "h10604": 13, "h10294": 420}, {"on-load": True, "output.power": 42000}, {"mains-lost"}),
    "datakom cranks": ("datakom", DATAKOM, {**DATAKOM_LOST, "h10604": 5}, {"state": "cranking", "running": False}, {"mains-lost"}),
    "datakom in stop": ("datakom", DATAKOM, {"h10605": 1}, {"mode": "off"}, {"not-in-auto"}),
    "datakom fuel low": ("datakom", DATAKOM, {"h10363": 180}, {"fuel": 18}, {"fuel-low"}),
    "datakom sender open": ("datakom", DATAKOM, {"h10363": 0x7FFF}, {"fuel": None}, set()),
    "datakom low word first": ("datakom", DATAKOM, at("h", 10622, 1, 1), {"runtime": 65537 * 36}, set()),
    # DEIF
    "deif at rest": ("deif-agc150", DEIF, {}, {**REST, "starter.voltage": 26.5, "runtime": 446400, "starts": 128, "speed": None}, set()),
    "deif runs": ("deif-agc150", DEIF, {"i1018": 0x0040, **at("i", 504, 231, 230, 229, 5000), "i519": 42, "i593": 1500, "i594": 820}, {"running": True, "output.voltage": 229, "output.frequency": 50, "output.power": 42000, "speed": 1500, "coolant.temperature": 82}, set()),
    "deif not in auto": ("deif-agc150", DEIF, {"i1019": 0}, {"mode": "other"}, {"not-in-auto"}),
    "deif any alarm": ("deif-agc150", DEIF, {"i1003": 0x0100}, {}, {"common-warning"}),
    # CRE
    "cre at rest": ("cre-compact", CRE, {}, {**REST, "state": "stopped", "starter.voltage": 26.5, "runtime": 446400, "starts": 128}, set()),
    "cre runs": ("cre-compact", CRE, {"h4001": 6, "h202": 1500, "h200": 35, **at("h", 50, 231, 230, 229), "h75": 5000, **at("h", 363, 140, 140, 140)}, {"running": True, "output.power": 42000, "oil.pressure": 350, "output.frequency": 50, "output.voltage": 229}, set()),
    "cre fault": ("cre-compact", CRE, {"h4001": 255, "h4664": 1}, {"state": "fault"}, {"common-shutdown"}),
    "cre warns": ("cre-compact", CRE, {"h4665": 1}, {}, {"common-warning"}),
    "cre in manual": ("cre-compact", CRE, {"h4008": 0}, {"mode": "manual"}, {"not-in-auto"}),
    # Cummins
    "pcc1301 at rest": ("cummins-pcc1301", CUMMINS, {}, {"running": False, "starter.voltage": 26.5, "coolant.temperature": 25, "runtime": 446400, "starts": 128}, set()),
    "pcc1301 runs": ("cummins-pcc1301", CUMMINS, {"h67": 15000, "h43": 500, **at("h", 17, 231, 230, 229), "h61": 350}, {"running": True, "speed": 1500, "output.frequency": 50, "output.voltage": 229, "oil.pressure": 350}, set()),
    "pcc1301 fails to crank": ("cummins-pcc1301", CUMMINS, {"h11": 1438}, {}, {"fail-to-start"}),
    "pcc1301 emergency stop": ("cummins-pcc1301", CUMMINS, {"h11": 1433}, {}, {"emergency-stop"}),
    "pcc1301 fault of no name": ("cummins-pcc1301", CUMMINS, {"h11": 2335}, {}, {"vendor-alarm.unknown-2335"}),
    # Caterpillar
    "emcp at rest": ("cat-emcp42", EMCP, {}, {"running": False, "output.power": 0, "starter.voltage": 26.5}, set()),
    "emcp runs": ("cat-emcp42", EMCP, {"h101": 6400, **at("h", 105, 0x7736, 0x3810), **at("h", 113, 231, 230, 229)}, {"running": True, "output.frequency": 50, "output.power": 42000, "output.voltage": 229}, set()),
    "emcp knows nothing": ("cat-emcp42", EMCP, {"h101": 0xFFFF, **at("h", 105, 0xFFFF, 0xFFFF), **at("h", 113, 0xFB00, 0xFB00, 0xFB00)}, {"running": None, "output.frequency": None, "output.power": None, "output.voltage": None}, set()),
    # Woodward
    "easygen at rest": ("woodward-easygen", EASYGEN, {}, {**REST, "mains.healthy": True, "mains.voltage": 231.2, "mains.frequency": 50, "starts": 128}, set()),
    "easygen runs": ("woodward-easygen", EASYGEN, {"h50001": 1500, **at("h", 50004, 0, 2312, 5000), **at("h", 50009, 0, 0, 0), **at("h", 50016, 0, 42000)}, {"running": True, "output.voltage": 231.2, "output.frequency": 50, "output.power": 42000, "mains.healthy": False}, {"mains-lost"}),
    "easygen stopped by hand": ("woodward-easygen", EASYGEN, {"h50002": 0x0102}, {"mode": "off"}, {"not-in-auto"}),
    # Kohler
    "kohler at rest": ("kohler-apm603", KOHLER, {}, {**REST, "state": "stopped", "on-load": False, "starter.voltage": 26.5, "runtime": 446400}, set()),
    "kohler cranks": ("kohler-apm603", KOHLER, {"c21": 1, "c219": 0}, {"state": "cranking", "running": False}, set()),
    "kohler runs off load": ("kohler-apm603", KOHLER, KOHLER_RUN, {**ON, "state": "running", "output.voltage": 230, "coolant.temperature": 82}, set()),
    "kohler on load": ("kohler-apm603", KOHLER, {**KOHLER_RUN, "c232": 1, **at("h", 654, 0x4724, 0x1000)}, {"on-load": True, "output.power": 42000}, set()),
    "kohler over crank": ("kohler-apm603", KOHLER, {"c23": 1, "c200": 1}, {}, {"fail-to-start", "common-shutdown"}),
    "kohler emergency stop": ("kohler-apm603", KOHLER, {"c23": 1, "c213": 1}, {}, {"emergency-stop", "common-shutdown"}),
    "kohler not in auto": ("kohler-apm603", KOHLER, {"c233": 1}, {"mode": "other"}, {"not-in-auto"}),
    "kohler fuel low": ("kohler-apm603", KOHLER, {"c298": 1}, {}, {"fuel-low"}),
    "kohler says neither": ("kohler-apm603", KOHLER, {"c219": 0}, {"state": None}, set()),
    "kohler no number": ("kohler-apm603", KOHLER, at("h", 260, 0x7FC0, 0), {"coolant.temperature": None}, set()),
    # Basler
    "basler at rest": ("basler-dgc2020hd", BASLER, {}, {**REST, "state": "stopped", "on-load": False, "fuel": 80, "starter.voltage": 26.5, "runtime": 446400, "starts": 128, "coolant.temperature": 25}, set()),
    "basler runs off load": ("basler-dgc2020hd", BASLER, BASLER_RUN, {**ON, "output.voltage": 229, "state": "running", "coolant.temperature": 82.222222, "oil.pressure": 344.73785}, set()),
    "basler on load": ("basler-dgc2020hd", BASLER, {**BASLER_RUN, "h4832": 0x8000, "h4783": 42}, {"on-load": True, "output.power": 42000}, set()),
    "basler overcrank": ("basler-dgc2020hd", BASLER, {**at("h", 4879, 5, 0), "h4812": 0x0200}, {"state": "fault"}, {"fail-to-start", "common-shutdown"}),
    "basler emergency stop": ("basler-dgc2020hd", BASLER, {"h4812": 0x0100}, {}, {"emergency-stop"}),
    "basler in run": ("basler-dgc2020hd", BASLER, {"h3511": 0, "h3509": 1}, {"mode": "manual"}, {"not-in-auto"}),
    "basler fuel low": ("basler-dgc2020hd", BASLER, {"h4805": 20, "h4814": 0x2000}, {"fuel": 20}, {"fuel-low"}),
    "basler below freezing": ("basler-dgc2020hd", BASLER, at("h", 4799, 0xFFFC, 0xFFFF), {"coolant.temperature": -20}, set()),
    # DynaGen
    "dynagen at rest": ("dynagen-gsc400", DYNAGEN, {}, {"running": False, "on-load": False, "fuel": 80}, set()),
    "dynagen runs off load": ("dynagen-gsc400", DYNAGEN, {"h5": 0x0400, "h149": 15000}, {"running": True, "on-load": False, "speed": 1500}, set()),
    "dynagen on load": ("dynagen-gsc400", DYNAGEN, {"h5": 0x0420}, {"running": True, "on-load": True}, set()),
    "dynagen over crank": ("dynagen-gsc400", DYNAGEN, {"h2": 0x0020}, {}, {"fail-to-start"}),
    "dynagen emergency stop": ("dynagen-gsc400", DYNAGEN, {"h3": 0x0400}, {}, {"emergency-stop"}),
    "dynagen fuel low": ("dynagen-gsc400", DYNAGEN, {"h4": 0x0400, "h153": 20}, {"fuel": 20}, {"fuel-low"}),
    "dynagen lacks a sender": ("dynagen-gsc400", DYNAGEN, {"h153": 0xFF00, "h150": 0xFF01}, {"fuel": None, "coolant.temperature": None}, set()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_raw_registers_show_what_the_engine_does(case: Case) -> None:
    name, image, changes, expected, alarms = case
    driver = CATALOG.drivers[f"generator/{name}"]
    readings = read(driver, {**image, **changes})
    assert {point: readings[point].value for point in expected} == expected
    assert set(Found(driver, {}, readings).alarms) == {f"generator.{alarm}" for alarm in alarms}


def test_every_generator_family_is_covered() -> None:
    assert {driver.id for driver in GENERATORS} == {f"generator/{name}" for name, *_ in CASES.values()}


@pytest.mark.parametrize(
    ("name", "image", "reason"),
    [
        ("dse-gencomm", {**DSE, "h1027": 0xFFFC}, "sensor-fault"),
        ("smartgen-hgm", {**SMARTGEN, "h21": 32766}, "sensor-fault"),
        ("smartgen-hgm", {**SMARTGEN, "h21": 32767}, "not-available"),
        ("mebay-dc", {**MEBAY, "h4184": 50000}, "sensor-fault"),
        ("mebay-dc", {**MEBAY, "h4184": 20000}, "not-fitted"),
        ("comap-intelilite", {**INTELILITE, "h1055": 0x8000}, "not-available"),
        ("datakom", {**DATAKOM, "h10363": 0x7FFF}, "not-available"),
        ("dynagen-gsc400", {**DYNAGEN, "h153": 0xFF00}, "not-fitted"),
    ],
)
def test_a_broken_sender_says_why_there_is_no_fuel_level(name: str, image: Mapping[str, Raw], reason: str) -> None:
    reading = read(CATALOG.drivers[f"generator/{name}"], image)["fuel"]
    assert (reading.value, reading.quality, reading.reason) == (None, Quality.BAD, reason)


@pytest.mark.parametrize(
    ("name", "image"),
    [("comap-intelilite", {**INTELILITE, "h1298": 14}), ("mebay-dc", {**MEBAY, "h4161": 21}),
     ("basler-dgc2020hd", {**BASLER, "h4879": 9}), ("smartgen-hgm", {**SMARTGEN, "h34": 99})],
)  # fmt: skip
def test_a_state_of_no_known_meaning_is_neither_stopped_nor_a_fault(name: str, image: Mapping[str, Raw]) -> None:
    driver = CATALOG.drivers[f"generator/{name}"]
    readings = read(driver, image)
    assert readings["state"].quality is Quality.UNCERTAIN
    assert readings["running"].value is None
    assert Found(driver, {}, readings).alarms == []


@pytest.mark.parametrize("name", ["deif-agc150", "cummins-pcc1301", "cat-emcp42", "woodward-easygen", "dynagen-gsc400"])
def test_a_controller_without_a_register_for_it_says_nothing_of_its_state(name: str) -> None:
    assert "state" not in CATALOG.drivers[f"generator/{name}"].points


@pytest.mark.parametrize(
    ("name", "image", "found"),
    [
        ("dse-8xxx", DSE_8XXX, {"vendor": "Deep Sea Electronics", "model": "DSE8610 MkII"}),
        ("datakom", DATAKOM, {"vendor": "Datakom", "model": "D-500"}),
        ("kohler-apm603", KOHLER, {"vendor": "Kohler", "model": "APM603"}),
        ("deif-agc150", at("i", 770, 0x4147, 0x4331, 0x3530, 0x4745, 0x4E00, 0), {"model": "AGC150GEN"}),
        ("comap-intelilite", {**none("h", 1307, 1322), **at("h", 1307, 0x496E, 0x7465, 0x6C69, 0x4C69, 0x7465, 0x3400)}, {"model": "InteliLite4"}),
    ],
)  # fmt: skip
def test_a_controller_tells_its_name(name: str, image: Mapping[str, Raw], found: Mapping[str, str]) -> None:
    driver = CATALOG.drivers[f"generator/{name}"]
    assert identity(driver, image, NOW) == found
    asked = {address: image.get(address, Missing.ABSENT) for other in MODBUS for address in other.proofs}
    assert best(MODBUS, asked)[0][0] is driver


@pytest.mark.parametrize("driver", GENERATORS, ids=lambda driver: driver.id)
def test_a_simulated_controller_is_taken_for_no_other(driver: Driver) -> None:
    device = SimulatedDevice(driver)
    asked = {address: device.answers.get(address, Missing.ABSENT) for other in MODBUS for address in other.proofs}
    found = [other.id for other, _ in best(MODBUS, asked)]
    assert found[:1] == ([driver.id] if driver.identify else [])
    assert set(found[1:]) <= {"generator/dse-gencomm"}
    assert Found(driver, {}, device.readings()).alarms == []


@pytest.mark.parametrize("word", [0, 1, 100, 0xFFFF])
def test_what_answers_every_question_with_the_same_number_is_no_generator(word: int) -> None:
    asked: dict[str, Raw] = {
        address: min(word, 1) if address[0] in "cd" else word for other in MODBUS for address in other.proofs
    }
    assert not {other.id for other, _ in best(MODBUS, asked)} & {driver.id for driver in GENERATORS} - {
        "generator/dse-gencomm"  # 768 = 1 is all it asks for
    }


@pytest.mark.parametrize("driver", GENERATORS, ids=lambda driver: driver.id)
def test_a_drill_can_show_every_word_and_every_alarm(driver: Driver) -> None:
    for item in driver.items:
        if item.code == "enum":
            for word in item.enum.values():
                device = SimulatedDevice(driver, {item.point: word})
                assert device.readings()[item.point].value == word
    members = {
        str(name) for item in driver.items if item.point == "alarms"
        for name in ([item.alarm] if item.code == "alarm" else item.enum.values()) if name
    }  # fmt: skip
    for member in members:
        value = SimulatedDevice(driver, {"alarms": member}).readings()["alarms"].value
        assert isinstance(value, frozenset)
        assert member in value


@pytest.mark.parametrize("driver", GENERATORS, ids=lambda driver: driver.id)
def test_weak_witnesses_rank_below_every_register_that_tells_the_maker(driver: Driver) -> None:
    for way in driver.identify:
        assert way.rank >= 20 if way.strong else way.rank <= 5


def test_out_of_auto_is_critical_only_when_the_engine_is_needed() -> None:
    levels = CATALOG.kinds["generator"].alarms["not-in-auto"].levels
    needed = {**DSE, **LOST["dse"], "h772": 0}
    by_hand = {**DSE, **DSE_RUN, "h772": 2}
    driver = CATALOG.drivers["generator/dse-gencomm"]
    for image, critical in (({**DSE, "h772": 0}, False), (needed, True), (by_hand, False)):
        readings = read(driver, image)
        assert [level.when.holds(readings) for level in levels] == [True, critical]
