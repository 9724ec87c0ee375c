"""What is likely next: battery against generator, seats in the dark, warm rooms, and how it would go right now. Pure.

Owns the forecast of one lane and what it remembers of the past: how long the generator took, how fast batteries went.
How long one battery lasts is in `ridethrough.py`, whether that is long enough in `outlast.py`, which seats hang on it
in `seatfeeds.py`, when a room is too warm in `heat.py`, what speaks against the site's readiness in `verdict.py`.
Nothing is guessed: what is not known is said to be so, and why. Times are epoch s, durations s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Final

import msgspec

from edgeagent import heat, verdict
from edgeagent.heat import Heat, Sensor
from edgeagent.outlast import CARRYING, CIRCUIT_LOST, LOST, NO_GENERATOR, UNKNOWN, WINDOW, Outage, Starts, weigh
from edgeagent.readings import Reading, Readings
from edgeagent.ridethrough import POINTS as BATTERY_POINTS
from edgeagent.ridethrough import URGENT, Battery, Discharge, Ride, Source
from edgeagent.rules import parse
from edgeagent.seatfeeds import Dark, SeatFeeds, Supply
from edgeagent.sitetree import SiteTree
from edgeagent.survived import taken
from edgeagent.trend import STALE
from edgeagent.verdict import Part, Parts, Standing

_RUNS: Final = parse("running or on-load")
_HVAC: Final = "hvac"
_WARM: Final = frozenset({"environment", _HVAC})
_WATCHED: Final = {
    **verdict.POINTS,
    verdict.UPS: verdict.POINTS[verdict.UPS] | BATTERY_POINTS,
    verdict.GENERATOR: verdict.POINTS[verdict.GENERATOR] | _RUNS.points,
}
_NEVER: Final = Starts()
_SOON, _BUSY, _WARMS, _CALM, _ALL = 1.0, 5.0, 10.0, 30.0, 600.0
"""After how many s to look again: something big changed, gives out, warms; else; and at everything."""
_AT_ONCE: Final = 20
"""Devices that are judged in one step at most, while nothing presses."""
_STARTS, _RUN_AGAIN, _SAME_RUN = 20, 3600.0, 1.0
"""The onset of an outage is dated back at times; one that begins later by more than this is another one."""
_SHIFT, _WARM_SHIFT, _SHARE = 15.0, 60.0, 0.1
"""By how many s, or which share of the time that is left, a moment must move to be news: of a battery, of a room."""
_REFRESH: Final = 30.0
"""In an outage it is told again after this time, so that nobody wonders how old it is."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """All of it at one moment. `rides` has every UPS on battery, the weakest first; `standing` is None in an outage."""

    at: float
    outage: Outage | None = None
    starts: Starts = _NEVER
    rides: tuple[Ride, ...] = ()
    dark: tuple[Dark, ...] = ()
    standing: Standing | None = None
    heat: tuple[Heat, ...] = ()
    origin: str | None = None
    """The drill that some of it comes from."""


@dataclass(slots=True)
class _Memory:
    """What the past taught: start times of the generator, the last discharge of each UPS, the last run of each set."""

    starts: list[float] = field(default_factory=list)
    counted: float | None = None
    """The outage whose start is among them."""
    discharges: dict[str, Discharge] = field(default_factory=dict)
    runs: dict[str, float] = field(default_factory=dict)


class Forecasts:
    """The forecasts of one lane.

    `kinds` gives the kind of each device, `limits` the room limit (Cel) of each that measures a temperature.
    `observed` tells when a device last answered; without it, what is not bad counts as read now.
    """

    def __init__(
        self, tree: SiteTree, kinds: Mapping[str, str], limits: Mapping[str, float],
        window: tuple[float, float] = WINDOW, observed: Callable[[str], float | None] | None = None,
    ) -> None:  # fmt: skip
        self._observed = observed or (lambda _: None)
        self._memory, self._learnt = _Memory(), False
        self._batteries: dict[str, Battery] = {}
        self._sensors: dict[tuple[str, str], Sensor] = {}
        self._parts = Parts()
        self._standing: Standing | None = None
        self._since: float | None = None
        self._state, self._generator = "", ""
        self._circuits: frozenset[str] = frozenset()
        self._origin: str | None = None
        self._told: Forecast | None = None
        self._next = self._next_all = self._looked = 0.0
        self.replace(tree, kinds, limits, window)

    def replace(
        self, tree: SiteTree, kinds: Mapping[str, str], limits: Mapping[str, float],
        window: tuple[float, float] = WINDOW,
    ) -> None:  # fmt: skip
        """Go on with another site: what remains keeps its past."""
        self._tree, self._limits, self._window = tree, limits, window
        self._mains = tree.mains
        self._kinds = {id: kind for id, kind in kinds.items() if kind in verdict.KINDS or kind in _WARM}
        upses = frozenset(id for id, kind in self._kinds.items() if kind == verdict.UPS)
        self._batteries = {ups: self._batteries.get(ups) or Battery(ups) for ups in sorted(upses)}
        self._on, self._off = set[str](), set[str]()  # UPSes on battery, and those that give nothing
        for ups, battery in self._batteries.items():
            battery.last = battery.last or self._memory.discharges.get(ups)
            self._count(ups, battery)
        self._feeds = SeatFeeds(tree, upses)
        self._sensors = {key: sensor for key, sensor in self._sensors.items() if self._kinds.get(key[0]) in _WARM}
        for (device, _), sensor in self._sensors.items():
            sensor.area, sensor.limit = tree.area(device) or device, limits.get(device)
        self._parts.keep(self._kinds)
        self._dirty = dict.fromkeys(id for id, kind in self._kinds.items() if kind in verdict.KINDS)
        self._left: list[str] = []
        """Those that are still to be judged before the next look, the next one last."""
        self._next = 0.0

    # -- readings ---------------------------------------------------------------------------------------------

    def step(
        self, view: Mapping[str, Readings], changed: Iterable[tuple[str, str]], now: float, since: float | None = None
    ) -> bool:
        """Take what changed; tell whether the forecast is worth telling again.

        `since` is when the mains or the circuit was lost, by the alarm that says so; without it the reading of the
        mains tells.
        """
        for resource, point in changed:
            if resource == self._mains:
                self._follow_mains(view, since, now)
                self._hasten()
            elif (kind := self._kinds.get(resource)) is not None and self._take(resource, kind, point, view, now):
                self._hasten()
        if now < self._next:
            return False
        self._follow_mains(view, since, now)
        if not self._judge(view, now):
            return False
        found = self.at(now)
        warms = any(warm.low is not None for warm in found.heat)
        self._looked, self._next = now, now + (_BUSY if found.rides or found.outage else _WARMS if warms else _CALM)
        worth = self._told is None or differs(self._told, found)
        if worth:
            self._told = found
        return worth

    def _hasten(self) -> None:
        """Look soon: at once, but not all the time while everything changes."""
        self._next = min(self._next, self._looked + _SOON)

    def _take(self, device: str, kind: str, point: str, view: Mapping[str, Readings], now: float) -> bool:
        """Take one changed point where it is worth it; tell whether it is worth a look at once."""
        if kind in _WARM:
            if point.partition(".")[0] == heat.TEMPERATURE or point == heat.RETURN:
                self._sensor(device, point).take(view.get(device, {}), now, self._observed(device))
            elif kind == _HVAC and point in heat.HVAC_POINTS and (device, heat.RETURN) in self._sensors:
                self._sensors[device, heat.RETURN].take(view.get(device, {}), now, self._observed(device))
            return False
        if point not in _WATCHED[kind]:
            return False
        self._dirty[device] = None
        if kind != verdict.UPS:
            return False
        if point in URGENT or point == "battery.charge":
            self._discharged(device, view, now)
        return point in URGENT

    def _sensor(self, device: str, point: str) -> Sensor:
        key = device, point
        if key not in self._sensors:
            self._sensors[key] = Sensor(*key, self._tree.area(device) or device, self._limits.get(device))
        return self._sensors[key]

    def _discharged(self, ups: str, view: Mapping[str, Readings], now: float) -> None:
        battery = self._batteries[ups]
        if battery.take(view.get(ups, {}), now, self._observed(ups)) and battery.last is not None:
            self._memory.discharges[ups] = battery.last
            self._learnt = True
        self._count(ups, battery)

    def _count(self, ups: str, battery: Battery) -> None:
        for group, within in ((self._on, battery.on is True), (self._off, battery.off)):
            (group.add if within else group.discard)(ups)

    def _follow_mains(self, view: Mapping[str, Readings], since: float | None, now: float) -> None:
        """Know since when the mains is gone and how far the generator is; learn how long it took."""
        readings = view.get(self._mains or "", {})
        state = readings.get("state")
        self._state = _word(state)
        self._origin = None if state is None else state.origin
        if self._state in (LOST, CIRCUIT_LOST) and state is not None:
            self._since = since or self._since or min(state.time, now)
        elif self._state == "normal":
            self._since = None
        else:
            self._since = since or (self._since if self._state else None)
        circuits = readings["circuits"].value if "circuits" in readings else None
        self._circuits = circuits if isinstance(circuits, frozenset) else frozenset()
        before, self._generator = self._generator, _word(readings.get("generator"))
        memory = self._memory
        if self._generator != CARRYING or before in ("", UNKNOWN, CARRYING) or self._since is None:
            return
        if memory.counted is None or self._since > memory.counted + _SAME_RUN:
            memory.starts = [*memory.starts, round(now - self._since, 1)][-_STARTS:]
            memory.counted, self._learnt = self._since, True

    def _judge(self, view: Mapping[str, Readings], now: float) -> bool:
        """Judge anew the devices of which something changed, and now and then all; tell whether that is done.

        Of very many only some in one step: the next steps go on with the others.
        """
        if now >= self._next_all:
            self._next_all = now + _ALL
            self._dirty |= dict.fromkeys(id for id, kind in self._kinds.items() if kind in verdict.KINDS)
        if not self._left:
            self._left = list(reversed(self._dirty))
        calm = self._since is None
        some = self._left[-_AT_ONCE:] if calm else self._left
        for device in reversed(some):
            if device in self._dirty:
                self._look_at(device, view, now, calm=calm)
        del self._left[len(self._left) - len(some) :]
        if self._left or not calm:
            return not self._left
        if some:
            self._standing = self._parts.standing()
        return True

    def _look_at(self, device: str, view: Mapping[str, Readings], now: float, *, calm: bool) -> None:
        """Judge one device; how it would go is asked again when the outage is over."""
        readings = view.get(device, {})
        if self._kinds[device] == verdict.UPS:
            self._discharged(device, view, now)
        elif _RUNS.holds(readings) and now - self._memory.runs.get(device, 0.0) > _RUN_AGAIN:
            self._memory.runs[device], self._learnt = now, True
        if calm:
            self._parts.put(self._part(device, readings, now))
            del self._dirty[device]

    def _part(self, device: str, readings: Readings, now: float) -> Part:
        battery = self._batteries.get(device)
        proved = self._memory.runs.get(device)
        if battery is not None:
            proved = None if battery.last is None else battery.last.at
        return verdict.judge(
            device, self._kinds[device], self._tree.name(device), readings, now, before=self._parts.get(device),
            runtime=None if battery is None else battery.standing(now), proved=proved, window=self._window,
        )  # fmt: skip

    # -- the forecast -----------------------------------------------------------------------------------------

    @property
    def told(self) -> Forecast | None:
        """The forecast as it was when it was last worth telling."""
        return self._told

    def at(self, now: float) -> Forecast:
        """Return the forecast as it is at a moment."""
        rides = self._rides(now)
        outage = None if self._since is None else self._outage(self._since, rides, now)
        supply = Supply(
            {ride.ups: ride for ride in rides},
            frozenset(self._off),
            lost=outage is not None and outage.state != CIRCUIT_LOST and outage.generator != CARRYING,
            circuits=self._circuits,
        )
        areas: dict[str, list[tuple[Sensor, Heat]]] = {}
        for sensor in self._sensors.values():
            areas.setdefault(sensor.area, []).append((sensor, sensor.heat(now, self._observed(sensor.device))))
        warm = [worst for found in areas.values() if (worst := heat.worst(found)) is not None]
        standing = None if outage is not None else self._standing
        judged = None if standing is None else standing.origin
        origins = (self._origin, *(each.origin for group in (rides, warm) for each in group), judged)
        return Forecast(
            now, outage, self._past(), rides, self._feeds.dark(supply) if rides or supply.lost else (), standing,
            tuple(sorted(warm, key=lambda each: (*each.urgency, each.area))),
            next((origin for origin in origins if origin is not None), None),
        )  # fmt: skip

    def _rides(self, now: float) -> tuple[Ride, ...]:
        """Forecast every UPS on battery; in an outage also those of which nobody knows."""
        found: list[Ride] = []
        for ups in (self._on if self._since is None else self._batteries.keys()) - self._off:
            ride = (battery := self._batteries[ups]).ride(now, self._observed(ups))
            if battery.on or ride.age is None or ride.age > STALE:
                found.append(ride)
        return tuple(sorted(found, key=lambda ride: (ride.low is None, ride.low or 0.0, ride.ups)))

    def _outage(self, since: float, rides: tuple[Ride, ...], now: float) -> Outage:
        """Hold the batteries against the window: those that feed seats, or all where seats are not told of."""
        rides = tuple(ride for ride in rides if ride.ups in self._feeds.feeding) or rides
        return weigh(since, self._state or LOST, self._generator or UNKNOWN, self._past(), rides, now, self._window)

    def _past(self) -> Starts:
        starts = self._memory.starts
        return Starts(len(starts), median(starts), max(starts)) if starts else Starts()

    # -- memory -----------------------------------------------------------------------------------------------

    def memory(self) -> dict[str, Any] | None:
        """Return what a restart needs as JSON-able data; None when nothing was learnt since the last call."""
        if not self._learnt:
            return None
        self._learnt = False
        row: dict[str, Any] = msgspec.to_builtins(self._memory)
        return row

    def restore(self, memory: Mapping[str, Any] | None) -> None:
        """Take up what `memory` gave."""
        found = None if memory is None else taken(_Memory, memory, "what was learnt for the forecast")
        if found is None:
            return
        self._memory = found
        for ups, battery in self._batteries.items():
            battery.last = self._memory.discharges.get(ups)

    def next_due(self) -> float:
        """Return when to look again though nothing changes."""
        return self._next

    def shift(self, delta: float) -> None:
        """Move all along with a wall clock that stepped by `delta` s."""
        for battery in self._batteries.values():
            battery.shift(delta)
        for sensor in self._sensors.values():
            sensor.shift(delta)
        self._since = None if self._since is None else self._since + delta
        memory, self._learnt = self._memory, True
        memory.counted = None if memory.counted is None else memory.counted + delta
        memory.runs = {id: at + delta for id, at in memory.runs.items()}
        memory.discharges |= {ups: battery.last for ups, battery in self._batteries.items() if battery.last is not None}
        self._next = self._next_all = self._looked = 0.0


def _word(reading: Reading | None) -> str:
    """Return the word of the mains, "" where nobody weighs it; what is not there is another thing than not known."""
    if reading is None:
        return ""
    if reading.value is None:
        return NO_GENERATOR if reading.reason == "not-fitted" else UNKNOWN
    return str(reading.value)


def differs(old: Forecast, new: Forecast) -> bool:
    """Tell whether a forecast says something else than one before, or is old enough to be told again.

    Times count down by themselves: a moment that stays where it was is no change.
    """
    if (new.outage or new.rides) and new.at - old.at >= _REFRESH:
        return True
    if _facts(old) != _facts(new):
        return True
    moments, measures = zip(_moments(old), _moments(new), strict=True), zip(_measures(old), _measures(new), strict=True)
    return any(_moved(was, now, new.at) for was, now in moments) or any(
        abs(now - was) >= step for (was, _), (now, step) in measures
    )


def _facts(forecast: Forecast) -> tuple[object, ...]:
    outage, standing = forecast.outage, forecast.standing
    return (
        outage and replace(outage, margin=None),
        forecast.starts,
        [(ride.ups, ride.gap, Source.FLAG in ride.sources) for ride in forecast.rides],
        [(dark.upses, dark.count, dark.low == 0) for dark in forecast.dark],
        standing and (standing.level, [(reason.resource, reason.id) for reason in standing.reasons]),
        [(warm.area, warm.sensor, warm.gap, warm.low == 0) for warm in forecast.heat],
        forecast.origin,
    )


def _moments(forecast: Forecast) -> list[tuple[float | None, float]]:
    """Return the moments that it names, each with how many s it may move before that is news."""
    spans = [(ride.low, _SHIFT) for ride in forecast.rides] + [(warm.low, _WARM_SHIFT) for warm in forecast.heat]
    return [(None if span is None else forecast.at + span, shift) for span, shift in spans]


def _measures(forecast: Forecast) -> list[tuple[float, float]]:
    """Return the values that it shows, each with what makes a change of it news."""
    shown = [(-273.0 if warm.now is None else warm.now, 1.0) for warm in forecast.heat]
    shortest = (forecast.standing and forecast.standing.runtime) or 0.0
    return [*shown, (shortest, max(60.0, _SHARE * shortest))]


def _moved(old: tuple[float | None, float], new: tuple[float | None, float], now: float) -> bool:
    if old[0] is None or new[0] is None:
        return old[0] is not new[0]
    return abs(new[0] - old[0]) > max(new[1], _SHARE * (new[0] - now))
