"""What one device says about the supply: is there power at it, does it pass power on, what does its engine do. Pure.

Owns how the readings of a UPS, a generator, a transfer switch or a mains relay are understood. Weighing what several of
them say is for `supply.py`. What cannot be read says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgeagent.readings import UNKNOWN_ENUM, Reading, Value

UPS: Final = "ups"
GENERATOR: Final = "generator"
SWITCH: Final = "ats"
ROOM: Final = "environment"
PRESENT: Final = "mains-present"
DEAD: Final = 80.0
"""V, line to neutral: below it nothing runs. The same limit stands in the kind's alarm rules."""
_SOUND: Final = (90.0, 300.0)
"""V in which a generator's output is good, from 100 V grids to the top of 230 V ones."""
_STEADY: Final = (45.0, 66.0)
"""Hz in which it is good."""
_LOADED: Final = 200.0
"""W from which a generator surely carries something."""
_LIT: Final = frozenset({"normal", "eco", "booster", "reducer", "bypass"})
_HOLDS: Final = frozenset({"normal", "eco", "booster", "reducer", "battery", "test"})
"""Sources with which a UPS feeds its load whatever happens at its input."""
_HEARD: Final = {
    UPS: frozenset({"source", "alarms", "input.voltage", "output.voltage", "battery.time"}),
    GENERATOR: frozenset({
        "mains.healthy", "running", "state", "mode", "alarms", "on-load", "output.power", "output.voltage",
        "output.frequency",
    }),
    SWITCH: frozenset({"source.mains", "position", "generator.called", "alarms"}),
}  # fmt: skip
"""Points on which what a device says may hang, the count from which it is dated among them."""
_TREMBLES: Final = frozenset({"input.voltage", "output.voltage"})
_STUCK: Final = frozenset({"generator-close-failed", "mains-open-failed", "failed-to-transfer"})


@dataclass(frozen=True, slots=True)
class Said:
    """What one device says.

    `mains` are its own words on the mains, True for "there": none, one, or one a contact. `input` is whether there is
    power at a UPS's input. `feeds` is whether it gives power whatever is above it, None if that cannot be read.
    `called` and `stuck` are whether the generator was ordered and whether the load could not be transferred.
    """

    mains: tuple[bool, ...] = ()
    input: bool | None = None
    feeds: bool | None = None
    position: str | None = None
    called: bool = False
    stuck: bool = False
    origin: str | None = None


class Engine(StrEnum):
    """What a generator does, as far as it says so itself; the best first."""

    LOADED = "loaded"
    READY = "ready"
    """It runs with good voltage and frequency."""
    TURNING = "turning"
    """It starts, or runs without good output yet."""
    WAITING = "waiting"
    """At rest, and not known to be out of auto."""
    NOT_IN_AUTO = "not-in-auto"
    FAILED = "failed"
    UNKNOWN = "unknown"


def value(readings: Mapping[str, Reading], point: str) -> Value | None:
    """Return what a point says, None when it says nothing that can be understood."""
    reading = readings.get(point)
    return None if reading is None or reading.reason == UNKNOWN_ENUM else reading.value


def number(readings: Mapping[str, Reading], point: str) -> float | None:
    """Return the number of a point, None when there is none."""
    found = value(readings, point)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def alarms(readings: Mapping[str, Reading]) -> frozenset[str]:
    """Return the alarms that a device reports, grades aside."""
    found = value(readings, "alarms")
    return frozenset(member.partition(".")[0] for member in found) if isinstance(found, frozenset) else frozenset()


def tells(kind: str, point: str) -> bool:
    """Tell whether what a device says may be something else because a point changed."""
    heard = _HEARD.get(kind)
    return point in heard if heard is not None else point.startswith(PRESENT)


def goes_on(before: Said, readings: Mapping[str, Reading], point: str) -> bool:
    """Tell whether a UPS says the same as `before` though a point changed, for most of what trembles at one.

    One with power at its input that feeds its load is told by its source, of which only a dead output makes a doubt.
    """
    if point not in _TREMBLES or not (before.input and before.feeds) or before.origin is not None:
        return False
    reading = readings.get(point)
    if reading is None or reading.origin is not None:
        return False
    volts = number(readings, point)
    return point == "input.voltage" or (volts is not None and volts >= DEAD)


def listen(kind: str, readings: Mapping[str, Reading]) -> Said | None:
    """Return what a device says about the supply; None for a kind that has nothing to say."""
    origin = next((reading.origin for reading in readings.values() if reading.origin), None)
    if kind == UPS:
        return Said(input=_input(readings), feeds=_holds(readings), origin=origin)
    if kind == GENERATOR:
        healthy = value(readings, "mains.healthy")
        engine = engine_of(readings)
        feeds = _carries(readings, engine)
        stuck = not _STUCK.isdisjoint(alarms(readings))
        return Said((healthy,) if isinstance(healthy, bool) else (), feeds=feeds, stuck=stuck, origin=origin)
    if kind == SWITCH:
        source, position = value(readings, "source.mains"), value(readings, "position")
        return Said(
            (source != "lost",) if isinstance(source, str) else (),
            position=position if isinstance(position, str) else None,
            called=value(readings, "generator.called") is True,
            stuck=not _STUCK.isdisjoint(alarms(readings)),
            origin=origin,
        )
    if kind == ROOM:
        contacts = [value(readings, id) for id in sorted(readings) if id.partition(".")[0] == PRESENT]
        said = tuple(contact for contact in contacts if isinstance(contact, bool))
        return Said(said, origin=origin) if contacts else None
    return None


def _carries(readings: Mapping[str, Reading], engine: Engine) -> bool | None:
    """Tell whether a generator gives power; not known of one that runs well and shows no load."""
    if engine is Engine.READY:
        unloaded = value(readings, "on-load") is False or number(readings, "output.power") is not None
        return None if unloaded else True
    return None if engine is Engine.UNKNOWN else engine is Engine.LOADED


def _input(readings: Mapping[str, Reading]) -> bool | None:
    """Tell whether there is power at the input of a UPS. A battery test with power there is no outage."""
    source, volts = value(readings, "source"), number(readings, "input.voltage")
    testing = source == "test" or "testing" in alarms(readings)
    if source == "battery" and not testing:
        return False
    if source in ("battery", "test", "other"):
        return False if volts is not None and volts < DEAD else None
    if source == "bypass" and volts is not None and volts < DEAD:
        return None  # it may have a supply of its own
    if source in _LIT:
        return True
    if source == "off":
        return True if volts is not None and volts >= DEAD else None
    missing = readings.get("source")
    absent = missing is None or missing.reason in ("absent", "null", "not-fitted")
    # A card without a source tells it by its alarm alone.
    return False if absent and "on-battery" in alarms(readings) and not testing else None


def _holds(readings: Mapping[str, Reading]) -> bool | None:
    source, volts = value(readings, "source"), number(readings, "output.voltage")
    if volts is not None and volts < DEAD:
        return False
    return source in _HOLDS if isinstance(source, str) and source != "other" else None


def engine_of(readings: Mapping[str, Reading]) -> Engine:
    """Tell what a generator does."""
    running, state, mode = (value(readings, id) for id in ("running", "state", "mode"))
    told = alarms(readings)
    if not isinstance(running, bool):
        running = state in ("running", "warming-up", "cooling") if isinstance(state, str) else None
    if "fail-to-start" in told:
        return Engine.FAILED
    if running:
        power = number(readings, "output.power")
        if value(readings, "on-load") is True or (power is not None and power > _LOADED):
            return Engine.LOADED
        return Engine.READY if sound(readings) else Engine.TURNING
    if state in ("starting", "cranking", "warming-up"):
        return Engine.TURNING
    if running is None and state is None:
        return Engine.UNKNOWN
    if state == "fault" or told & {"common-shutdown", "emergency-stop"}:
        return Engine.FAILED
    return Engine.NOT_IN_AUTO if mode in ("manual", "off", "other") else Engine.WAITING


def sound(readings: Mapping[str, Reading]) -> bool:
    """Tell whether a generator's voltage and frequency are good, as far as they can be read."""
    volts, hertz = number(readings, "output.voltage"), number(readings, "output.frequency")
    return (volts is None or _SOUND[0] <= volts <= _SOUND[1]) and (hertz is None or _STEADY[0] <= hertz <= _STEADY[1])
