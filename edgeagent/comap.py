"""Makes a driver file out of the register list that ComAp's own tool exports (cfgmodbus.txt). Pure.

Which register holds what is decided by the configuration of each ComAp controller, so a fixed list is right only by
luck. The export is a text of fixed columns (InteliLite Global Guide, "Modbus examples"; header "Format: 2.0"):

    Table: Binaries    Modbus Addr., Value or State, number, name …        read as discrete inputs
    Table: Values      Register(s), Com.Obj., Name, Dimension, Type, Len, Dec, Min, Max, Group
    Table: Setpoints   the same columns

Read tolerantly: columns may be any number of spaces apart, a register may be a range, tables that are not named
count as values. Len is in bytes. Values are found by their English names; what is not known by name is left out.
Of the binaries only protections ("State") are taken: the polarity of an input is the site's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_MOST: Final = 0xFFFF
_NAME: Final = re.compile(r"[a-z0-9-]+")
_TABLE: Final = re.compile(r"\s*Table:\s*(\w+)")
_VALUE: Final = re.compile(
    r"\s*(?P<first>\d{4,5})(?:\s*(?:-|\.\.)\s*(?P<last>\d{4,5}))?\s+(?P<object>\d{3,5})\s+(?P<name>\S.*?)\s+"
    r"(?P<type>Integer|Unsigned|Float|List|StrList|Char)\s*(?:#\s*\d+)?\s+(?P<length>\d{1,2})\s+(?P<decimals>\d|-)(?:\s|$)"
)
_STATE: Final = re.compile(r"\s*(?P<address>\d{4,5})\s+State\s+\d+\s+(?P<name>\S(?:.*?\S)?)(?:\s{2,}.*)?$")

# Dimension -> factor and offset to the unit of the point.
_DIMENSIONS: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "V": {"V": (1, 0), "kV": (1000, 0)},
    "Hz": {"Hz": (1, 0)},
    "W": {"W": (1, 0), "kW": (1000, 0), "MW": (1_000_000, 0)},
    "r/min": {"RPM": (1, 0), "rpm": (1, 0)},
    "%": {"%": (1, 0)},
    "kPa": {"kPa": (1, 0), "bar": (100, 0), "Bar": (100, 0), "psi": (6.894757, 0), "Psi": (6.894757, 0)},
    "Cel": {"C": (1, 0), "F": (5 / 9, -160 / 9)},
    "s": {"h": (3600, 0), "min": (60, 0), "s": (1, 0)},
    "1": {"": (1, 0)},
}
_UNITS: Final = {
    "speed": "r/min",
    "fuel": "%",
    "oil.pressure": "kPa",
    "coolant.temperature": "Cel",
    "starter.voltage": "V",
    "runtime": "s",
    "starts": "1",
    "mains.frequency": "Hz",
    "output.frequency": "Hz",
    "output.power": "W",
    **{f"{side}.voltage.l{phase}": "V" for side in ("mains", "output") for phase in (1, 2, 3)},
}
_NAMES: Final[Mapping[str, str]] = {
    "rpm": "speed", "enginespeed": "speed", "enginerpm": "speed",
    "fuellevel": "fuel",
    "oilpressure": "oil.pressure", "engineoilpressure": "oil.pressure", "oilpress": "oil.pressure",
    "coolanttemp": "coolant.temperature", "coolanttemperature": "coolant.temperature",
    "enginecoolanttemperature": "coolant.temperature",
    "batteryvoltage": "starter.voltage", "ubat": "starter.voltage",
    "runninghours": "runtime", "runhours": "runtime", "enginerunhours": "runtime",
    "numstarts": "starts", "numberofstarts": "starts",
    "mainsfrequency": "mains.frequency", "mainsfreq": "mains.frequency",
    "generatorfrequency": "output.frequency", "genfreq": "output.frequency",
    "generatorp": "output.power", "actualpower": "output.power", "actpower": "output.power",
    "enginestate": "state", "controllermode": "mode",
    **{
        f"{word}l{phase}{end}": f"{point}.l{phase}"
        for word, point in (
            ("mainsvoltage", "mains.voltage"), ("mainsv", "mains.voltage"),
            ("generatorvoltage", "output.voltage"), ("genv", "output.voltage"),
        )
        for phase in (1, 2, 3)
        for end in ("n", "")
    },
}  # fmt: skip
"""Names of values, their letters and digits alone, lower case."""

_STATES: Final = {
    1: "stopped", 2: "stopped", 3: "starting", 4: "cranking", 5: "starting", 6: "starting", 7: "running",
    8: "running", 9: "running", 10: "cooling", 11: "stopping", 12: "fault", 15: "running", 16: "stopping",
}  # fmt: skip
_LOADED: Final = 8
_MODES: Final = {0: "off", 1: "manual", 2: "auto", 3: "test"}
_GRADES: Final = {"wrn": "warning", "sd": "shutdown", "stp": "shutdown", "boc": "trip", "mp": "trip"}
_PLAIN: Final = {"emergencystop": "emergency-stop", "startfail": "fail-to-start", "stopfail": "fail-to-stop"}
_GRADED: Final = {
    "overspeed": "speed-high", "underspeed": "speed-low", "pickupfault": "speed-sensing-lost",
    "oilpressure": "oil-pressure-low", "oilpress": "oil-pressure-low", "engineoilpressure": "oil-pressure-low",
    "coolanttemp": "coolant-temperature-high", "coolanttemperature": "coolant-temperature-high",
    "enginecoolanttemperature": "coolant-temperature-high",
    "coolantlevel": "coolant-level-low", "fuellevel": "fuel-low", "overload": "output-overload",
    "generatoroverload": "output-overload", "batteryflat": "starter-voltage-low",
    "chargefail": "battery-charger-fail", "batterychargefail": "battery-charger-fail",
    "maintenance": "maintenance-due", "earthfault": "earth-fault",
}  # fmt: skip
_REST: Final = {"warning": "common-warning", "shutdown": "common-shutdown", "trip": "electrical-trip"}


class ExportError(ValueError):
    """A text that is no register list, or one without anything that a generator has; the message says which."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One value of the list: its first wire address, how many registers, type and dimension as written."""

    address: int
    registers: int
    name: str
    type: str
    dimension: str
    decimals: int


def driver_from(text: str, name: str) -> str:
    """Return a driver file `generator/<name>.toml` for the unit whose register list `text` is.

    Raises:
        ExportError: when it is no such list, knows neither engine nor generator, or `name` is no file name.
    """
    if not _NAME.fullmatch(name):
        raise ExportError(f'"{name}" is no name for a driver: small letters, digits and hyphens only')
    values, protections = _read(text)
    if not values and not protections:
        raise ExportError("this is no register list of ComAp: it has neither values nor protections")
    points = dict(_points(values))
    if not points:
        raise ExportError(f"none of the {len(values)} values has a name that is known of a generator")
    if "state" in points:
        points["running"] = 'when = "state in [running, cooling]' + (' or speed > 100"' if "speed" in points else '"')
    elif "speed" in points:
        points["running"] = 'when = "speed > 100"'
    if "mains.voltage.l1" in points:
        points["mains.healthy"] = 'when = "mains.voltage > 176"'
    lines = [
        f'driver = "generator/{name}"',
        'protocol = "modbus"',
        f'text = {{ en = "ComAp generator controller {name}", zh = "科迈 (ComAp) 发电机组控制器 {name}" }}',
        'source = "the register list exported from this controller (cfgmodbus.txt)"',
        'evidence = "manual"',
        "",
        "# A read across a hole is refused.",
        "[quirks]",
        "gap = 0",
        "timeout = 1.0",
        "",
        "[points]",
        *(f'"{point}" = {{ {entry} }}' for point, entry in points.items()),
        *_alarms(protections),
    ]
    return "\n".join(lines) + "\n"


def _read(text: str) -> tuple[list[_Row], list[tuple[int, str]]]:
    values: list[_Row] = []
    protections: list[tuple[int, str]] = []
    table = "Values"
    for line in text.splitlines():
        heading = _TABLE.match(line)
        if heading:
            table = heading.group(1)
        elif table == "Binaries":
            state = _STATE.match(line)
            if state and int(state.group("address")) <= _MOST:
                protections.append((int(state.group("address")), " ".join(state.group("name").split())))
        else:
            row = _row(line)
            # The mode is a setpoint on some units; other setpoints tell nothing of the engine.
            if row and (table == "Values" or _bare(row.name) == "controllermode"):
                values.append(row)
    return values, protections


def _row(line: str) -> _Row | None:
    found = _VALUE.match(line)
    if found is None or int(found.group("first")) >= _MOST:
        return None
    first, length = int(found.group("first")), int(found.group("length"))
    last = int(found.group("last") or first + (length + 1) // 2 - 1)
    words = found.group("name").split()
    dimension = ""
    if len(words) > 1 and _dimension(words[-1]):
        dimension = _dimension(words.pop())
    decimals = found.group("decimals")
    return _Row(
        first, last - first + 1, " ".join(words), found.group("type"), dimension,
        int(decimals) if decimals.isdecimal() else 0,
    )  # fmt: skip


def _dimension(word: str) -> str:
    """Return the dimension that a word is, "" for none; the degree sign may have come through any code page."""
    degrees = re.fullmatch(r"[^\x00-\x7f]{0,2}([CF])", word)
    word = degrees.group(1) if degrees else word
    return word if any(word in known for known in _DIMENSIONS.values()) else ""


def _bare(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _points(values: list[_Row]) -> Iterator[tuple[str, str]]:
    """Give each point once, in the order of the list."""
    seen: set[str] = set()
    for row in values:
        point = _NAMES.get(_bare(row.name))
        if point is None or point in seen:
            continue
        place = f"holding = {row.address}"
        if point == "state":
            yield "state", f"{place}, enum = {_table(_STATES)}"
            yield "on-load", f"{place}, equals = {_LOADED}"
        elif point == "mode":
            yield "mode", f"{place}, enum = {_table(_MODES)}"
        else:
            entry = _number(point, row)
            if entry is None:
                continue
            yield point, f"{place}{entry}"
        seen.add(point)


def _number(point: str, row: _Row) -> str | None:
    """Return type, scale and sentinel of a number; None where its dimension or type does not fit the point."""
    known = _DIMENSIONS[_UNITS[point]]
    factor = known.get(row.dimension)
    signed = row.type == "Integer"
    if factor is None or row.registers not in (1, 2) or row.type not in ("Integer", "Unsigned"):
        return None
    bits = 16 * row.registers
    scale = factor[0] / 10**row.decimals
    parts = [f'type = "{"s" if signed else "u"}{bits}"']
    if scale != 1:
        parts.append(f"scale = {round(scale, 10):.10g}")
    if factor[1]:
        parts.append(f"offset = {round(factor[1], 6):.8g}")
    parts.append(f'sentinels = {{ 0x{1 << bits - 1:X} = "not-available" }}')
    return ", " + ", ".join(parts)


def _table(words: Mapping[int, str]) -> str:
    return "{ " + ", ".join(f'{number} = "{word}"' for number, word in words.items()) + " }"


def _alarms(protections: list[tuple[int, str]]) -> Iterator[str]:
    entries = [(address, alarm, name) for address, name in protections for alarm in (_alarm(name),) if alarm]
    if not entries:
        return
    yield '"alarms" = ['
    for address, alarm, name in entries:
        shown = "".join(letter if letter.isprintable() else " " for letter in name)
        yield f'  {{ discrete = {address}, alarm = "{alarm}" }}, # {shown}'
    yield "]"


def _alarm(name: str) -> str:
    """Return the alarm that a protection is, "" for a mere record in the history."""
    first, _, rest = name.partition(" ")
    grade = _GRADES.get(first.lower(), "")
    bare = _bare(rest if grade else name)
    if bare in _PLAIN:
        return _PLAIN[bare]
    if bare in _GRADED and grade:
        return f"{_GRADED[bare]}.{grade}"
    return _REST.get(grade, "")
