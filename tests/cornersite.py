"""A corner of a site with devices of true drivers, what they answer in which mood, and injects that may befall them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from edgeagent import procedurefiles, resources
from edgeagent.catalog import Driver, PointType
from edgeagent.config import Site
from edgeagent.readings import Answers, Missing, Raw, Value
from edgeagent.scenario import Do, Planned
from edgeagent.simulator import SimulatedDevice
from edgeagent.sitetree import AREA, MAINS, SEAT
from tests.hall import CATALOG, Plan
from tests.play import polled

MODELS: Final = {
    "ups": "ups/apc-powernet", "generator": "generator/dse-gencomm", "ats": "ats/socomec-atys",
    "hvac": "hvac/liebert-icom", "environment": "environment/renke-ws", "workstation": "workstation/host",
    "headset": "headset/host", "service": "service/http",
}  # fmt: skip
TROUBLE: Final[Mapping[str, Mapping[str, Value]]] = {
    "ups": {"source": "battery", "input.voltage": 0}, "generator": {"mains.voltage": 0, "fuel": 10},
    "ats": {"source.mains": "lost"}, "hvac": {"running": False}, "environment": {"temperature": 40},
    "workstation": {"softphone": False}, "headset": {"present": False}, "service": {"reachable": False},
}  # fmt: skip
"""What really goes wrong with a device of a kind."""
SLIGHT: Final[Mapping[str, Mapping[str, Value]]] = {"ups": {"output.load": 85}}
"""What is worth a minor alarm and no run."""
MOODS: Final = ("well", "trouble", "silent", "refusing", "garbage", "scraps", "half")
"""How a device may answer: with sense, not at all, with an error, with nonsense of two sorts, with half of it."""
_JUNK: Final[Mapping[str, tuple[Raw, ...]]] = {
    "snmp": (0, -1, 1 << 31, b"", b"\xff\xfe\x00", b"NaN", "1.3.6.1.4.1.9", Missing.NULL, Missing.ABSENT),
    "modbus": (0, 1, 0x7FFF, 0x8000, 0xFFFF, Missing.ABSENT, Missing.ERROR),
    "host": (0, 1, -1, 1e30, Missing.ABSENT, Missing.ERROR),
}


def corner(seats: int = 2) -> Site:
    """Build two UPSes, a generator, a transfer switch, a cooler and a sensor, and seats that hang on them."""
    models = {kind: CATALOG.drivers[model] for kind, model in MODELS.items()}
    plan = (
        Plan(drivers=models).add("mains", MAINS).add("genset", "generator").add("ats", "ats", fed=["mains", "genset"])
    )
    plan.add("panel", "panel", fed=["ats"]).add("ups-a", "ups", fed=["panel"]).add("ups-b", "ups", fed=["panel"])
    plan.add("hall", AREA, cooled=["crac"]).add("crac", "hvac", fed=["panel"], area="hall")
    plan.add("climate", "environment", area="hall").add("core", "network", fed=["ups-a", "ups-b"])
    plan.add("crm", "service", linked=["core"])
    for number in range(1, seats + 1):
        seat = f"a{number:03}"
        plan.add(seat, SEAT, fed=["ups-a"], linked=["core"], needs=["crm"], area="hall")
        plan.add(f"pc-{seat}", "workstation", seat=seat).add(f"ear-{seat}", "headset", seat=seat)
    site = plan.site()
    procedures = procedurefiles.load([resources.examples() / "procedures"], CATALOG, site.tree.nodes)
    return replace(site, id="test", procedures=procedures)


@cache
def _image(model: str, mood: str) -> Answers:
    driver = CATALOG.drivers[model]
    device = SimulatedDevice(driver)
    wrong = {"trouble": TROUBLE, "slight": SLIGHT}.get(mood, {}).get(driver.kind.id, {})
    for id, value in wrong.items():
        if id in driver.points:
            device.set(id, value)
    answers = polled(driver, device.answers)
    if mood == "silent":
        return dict.fromkeys(driver.gets or answers, Missing.TIMEOUT)
    if mood == "refusing":
        return dict.fromkeys(driver.gets or answers, Missing.ERROR)
    if mood in ("garbage", "scraps"):
        junk, first = _JUNK.get(driver.protocol, _JUNK["host"]), MOODS.index(mood)
        return {address: junk[(first + number) % len(junk)] for number, address in enumerate(answers)}
    if mood == "half":
        return {at: Missing.TIMEOUT if number % 2 else raw for number, (at, raw) in enumerate(answers.items())}
    return answers


def answered(driver: Driver, mood: str) -> Answers:
    """Return what a poll of a device of this driver brings in a mood."""
    return dict(_image(driver.id, mood))


@dataclass(frozen=True, slots=True)
class Wish:
    """An inject in the making: any numbers, which are made to fit the device that they hit upon."""

    device: int
    do: Do
    point: int
    value: int
    at: float
    over: float


def planned(site: Site, wishes: tuple[Wish, ...]) -> tuple[Planned, ...]:
    """Make injects of wishes; what a device cannot say is among them now and then."""
    ids = sorted(site.devices)
    made = []
    for number, wish in enumerate(wishes):
        id = ids[wish.device % len(ids)]
        driver = site.devices[id].driver
        if wish.do in (Do.SILENT, Do.ANSWERS, Do.RELEASE):
            made.append(Planned(number, wish.at, id, wish.do))
            continue
        numbers = [point for point in sorted(driver.points) if _type(driver, point) is PointType.NUMBER]
        sets = [point for point in sorted(driver.points) if _type(driver, point) is PointType.SET]
        points = {Do.RAMP: numbers, Do.ADD: sets, Do.REMOVE: sets}.get(wish.do) or sorted(driver.points)
        point = points[wish.point % len(points)]
        value = None if wish.do is Do.MISSING else _value(driver, point, wish.value)
        over = wish.over if wish.do is Do.RAMP else 0.0
        made.append(Planned(number, wish.at, id, wish.do, point, value, None, over))
    return tuple(made)


def _type(driver: Driver, point: str) -> PointType | None:
    known = driver.kind.point(point)
    return None if known is None else known.type


def _value(driver: Driver, point: str, number: int) -> Value:
    words = sorted({word for item in driver.items if item.point == point for word in item.enum.values()})
    match _type(driver, point):
        case PointType.FLAG:
            return bool(number % 2)
        case PointType.ENUM if words:
            return words[number % len(words)]
        case PointType.SET:
            return words[number % len(words)] if words else "battery-replace"
        case PointType.NUMBER:
            return float((0, 1, 45, 90, 230, 3600)[number % 6])
    return f"word {number % 3}"
