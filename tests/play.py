"""A device of which a drill shows something, for the tests of the overlay."""

from __future__ import annotations

from collections.abc import Mapping

from edgeagent.catalog import Driver
from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.overlay import Overlay
from edgeagent.readings import Answers, Missing, Raw, Reading, Value
from edgeagent.resources import drivers
from edgeagent.scenario import Do, Planned
from edgeagent.simulator import SimulatedDevice

DRIVERS = dict(load([drivers()]).drivers)
DRIVERS["environment/moxa-iologik-e1212"] = DRIVERS["environment/moxa-iologik-e1212"].wired(
    {("contact", 1): ("smoke", True), ("contact", 2): ("water", False), ("contact", 16): ("door.front", True)}
)
DRILL = "outage-20261125-0210"


def polled(driver: Driver, held: Mapping[str, Raw]) -> dict[str, Raw]:
    """Return what a poll of a device that holds this brings, as a link would give it."""
    rows = {oid: raw for oid, raw in held.items() if oid.startswith(tuple(f"{root}." for root in driver.walks))}
    counts = {root: sum(oid.startswith(f"{root}.") for oid in rows) for root in driver.walks}
    return {**{address: held.get(address, Missing.ABSENT) for address in driver.gets}, **rows, **counts}


REAL: dict[str, dict[str, Raw]] = {}


def real(driver: Driver) -> dict[str, Raw]:
    if driver.id not in REAL:
        REAL[driver.id] = polled(driver, SimulatedDevice(driver).answers)
    return dict(REAL[driver.id])


class Play:
    """One device of which a drill shows something. A line is (moment, what it does, point, value, more)."""

    def __init__(self, driver: Driver, *injects: Planned) -> None:
        self.driver = driver
        self.overlay = Overlay(injects, {"d": driver})

    def answers(self, moment: float, answers: Answers | None = None) -> Answers:
        return self.overlay.apply("d", self.driver, real(self.driver) if answers is None else answers, moment)

    def readings(self, moment: float, answers: Answers | None = None) -> dict[str, Reading]:
        return decode(self.driver, self.answers(moment, answers), moment, DRILL)

    def value(self, id: str, moment: float, answers: Answers | None = None) -> Value | None:
        return self.readings(moment, answers)[id].value

    def why(self) -> list[str]:
        return [why for _, why in self.overlay.failures()]


def show(
    number: int,
    at: float,
    point: str,
    value: Value | None,
    do: Do = Do.SET,
    start: float | None = None,
    over: float = 0,
) -> Planned:
    return Planned(number, at, "d", do, point, value, start, over)


def do(number: int, at: float, what: Do) -> Planned:
    return Planned(number, at, "d", what)


def with_real(driver: Driver, values: Mapping[str, Value]) -> dict[str, Raw]:
    """Return the answers of a device that really shows these."""
    device = SimulatedDevice(driver)
    for id, value in values.items():
        device.set(id, value)
    return polled(driver, device.answers)
