"""Rows of watched seats under a floor: each with an agent, an echo, a switch port and, if wanted, phone and headset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from edgeagent.config import Site
from edgeagent.endpoint import parse
from edgeagent.floor import Floor
from edgeagent.readings import Reading, Value
from edgeagent.scenario import Hours
from edgeagent.sitetree import AREA, MAINS, SEAT, CauseSettings
from tests.hall import BASE, STANDARD, Hall, Plan

PARTS = {"pc": "workstation", "ping": "presence", "port": "port"}
OFFICE = Hours(8 * 60, 20 * 60)
"""By UTC. The stories begin in the middle of them."""
WELL: dict[str, dict[str, Value]] = {
    "pc": {"agent": "running", "online": True, "softphone": True},
    "ping": {"echo": True},
    "port": {"link": "up", "poe": "searching"},
    "phone": {"registered": True, "reachable": True},
    "headset": {"agent": "running", "present": True, "link": "connected", "battery": 80, "charging": False},
}


def rows(
    seats: int = 6, switches: int = 1, *, phone: bool = False, headset: bool = False, spares: int = 0,
    staffed: tuple[Hours, ...] = (), off: Iterable[str] = (), causes: CauseSettings = STANDARD,
) -> Site:  # fmt: skip
    """Plan seats s000, s001 … one after the other at each switch; the last ones are spare."""
    plan = Plan().add("mains", MAINS).add("ups", "ups", fed=["mains"]).add("hall", AREA).add("core", "network")
    for number in range(switches):
        plan.add(f"switch-{number}", "network", fed=["ups"], linked=["core"])
    for number in range(seats):
        seat, away = f"s{number:03}", set(off)
        plan.add(seat, SEAT, fed=["ups"], linked=[f"switch-{number % switches}"], area="hall")
        plan.nodes[seat] = replace(
            plan.nodes[seat], spare=number >= seats - spares, staffed=staffed, maintenance=seat in away
        )
        extra = {"phone": "phone"} if phone else {}
        extra |= {"headset": "headset"} if headset else {}
        for part, kind in (PARTS | extra).items():
            id = f"{seat}-{part}"
            plan.add(id, kind, seat=seat)
            if part in ("pc", "headset"):
                plan.devices[id] = replace(plan.devices[id], endpoint=parse(f"seat://{seat}"))
    return plan.site(causes)


class Row(Hall):
    """A floor of such seats, told of by seat and part."""

    def __init__(self, site: Site, hour: float = 12.0) -> None:
        midday = datetime.fromtimestamp(BASE, UTC)
        self.offset = hour * 3600 - (midday.hour * 3600 + midday.minute * 60 + midday.second)
        super().__init__(site, self.offset)
        self.floor = Floor(site, UTC)

    def start(self) -> Row:
        """Let all seats be well."""
        port: dict[str, Value] = {"link": "up", "poe": "delivering"}
        well = WELL if not any(id.endswith("-phone") for id in self.site.devices) else WELL | {"port": port}
        said: dict[str, dict[str, Value]] = {
            id: dict(well[id.partition("-")[2]]) for id in self.site.devices if "-" in id
        }
        for id, values in said.items():
            if id.endswith("-headset"):
                values |= {"model": "Evolve2", "serial": f"{id[1:4]}aaabbbccc"}
        self.at(0, said)
        return self

    def at(self, second: float, said: Mapping[str, Mapping[str, Value] | None]) -> None:
        self.say(self.offset + second, said)

    def to(self, second: float) -> Row:
        self.until(self.offset + second)
        return self

    def jump(self, second: float) -> None:
        """Let the time pass in one step."""
        self.now = BASE + self.offset + second
        self.take(self.floor.step(self.view, [], self.now, list(self.view)))

    def part(self, second: float, part: str, seats: Iterable[str] = ("s000",), **values: Value) -> Row:
        """Let one part of some seats say something at a second."""
        self.at(second, {f"{seat}-{part}": dict(values) for seat in seats})
        return self

    def unreachable(self, second: float, id: str) -> None:
        """Let a device have said nothing for three polls."""
        self.at(second, {id: None})
        self.view[id]["reachable"] = Reading(False, self.now, reason="timeout")
        self.take(self.floor.step(self.view, [(id, "reachable")], self.now, [id]))

    def own(self, second: float, **values: Value) -> Row:
        """Let the agent itself have readings of its own."""
        self.to(second)
        now = BASE + self.offset + second
        own = self.view.setdefault("agent", {})
        own |= {point: Reading(value, now) for point, value in values.items()}
        self.take(self.floor.step(self.view, [("agent", point) for point in values], now, []))
        return self

    def is_(self, seat: str = "s000", point: str = "workstation") -> str:
        """Return what a part of a seat is, or in brackets why nobody knows."""
        reading = self.floor.derived[seat][point]
        return str(reading.value) if reading.value is not None else f"({reading.reason})"

    def agent(self, point: str) -> Value | None:
        return self.floor.derived["agent"][point].value


def ids(count: int, first: int = 0) -> list[str]:
    return [f"s{number:03}" for number in range(first, first + count)]
