"""What NUT reads in the walks of real devices, beside what we read: `python -m tests.second_opinion FILE` writes it.

Each walk is served by snmpsim and read by Debian's snmp-ups; the same walk is read by us. Every difference has a line
in `second_opinion.toml` that says who is right and by what; a line that no longer holds is a mistake as well.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from edgeagent import captures
from edgeagent.catalog import Driver
from edgeagent.phases import PHASES
from edgeagent.probe import Found
from tests import nut, truth
from tests.field import CAPTURES, SNMPSIM, SnmpSim, varied

TABLE: Final = Path(__file__).with_name("second_opinion.toml")
MODEL: Final = {
    "ietf": "1.3.6.1.2.1.33.1.1.2.0", "tripplite": "1.3.6.1.2.1.33.1.1.2.0", "apcc": "1.3.6.1.4.1.318.1.1.1.1.1.1.0",
    "pw": "1.3.6.1.4.1.534.1.1.2.0", "mge": "1.3.6.1.4.1.705.1.1.1.0", "xppc": "1.3.6.1.4.1.935.1.1.1.1.1.1.0",
    "cyberpower": "1.3.6.1.4.1.3808.1.1.1.1.1.1.0",
}  # fmt: skip
"""Where each table of NUT looks for a model name. It reads nothing without one; a walk that lacks it is lent one."""
FIELDS: Final = {
    "battery.charge": "battery.charge", "battery.runtime": "battery.runtime", "battery.voltage": "battery.voltage",
    "battery.temperature": "battery.temperature", "ups.load": "output.load", "ups.realpower": "output.power",
    "input.voltage": "input.voltage", "input.frequency": "input.frequency", "output.voltage": "output.voltage",
    "output.frequency": "output.frequency", "output.current": "output.current", "output.realpower": "output.power",
    "input.bypass.voltage": "bypass.voltage", **{
        theirs.replace("#", str(number)): f"{ours}.{phase}"
        for number, phase in enumerate(PHASES, 1)
        for theirs, ours in {
            "ups.L#.load": "output.load", "output.L#.power.percent": "output.load",
            "input.L#-N.voltage": "input.voltage", "input.L#.frequency": "input.frequency",
            "output.L#-N.voltage": "output.voltage", "output.L#.current": "output.current",
            "output.L#.realpower": "output.power", "input.bypass.L#-N.voltage": "bypass.voltage",
        }.items()
    },
}  # fmt: skip
"""NUT's variable → our point, in the same unit."""
WORDS: Final = {
    "normal": "OL", "eco": "OL", "booster": "OL BOOST", "reducer": "OL TRIM", "bypass": "BYPASS", "battery": "OB",
    "off": "OFF", "test": "TEST", "other": "",
}  # fmt: skip
"""Our source in the words of NUT's ups.status."""
COMPARED: Final = frozenset({"OL", "OB", "LB", "RB", "OFF", "OVER", "BYPASS", "BOOST", "TRIM", "TEST", "CAL"})


@dataclass(frozen=True, slots=True)
class View:
    """One walk, read by one table of NUT; `changes` (oid → `tag|value`) bring it into another `state`."""

    capture: str
    mib: str
    state: str = ""
    changes: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.capture} {self.mib}{': ' if self.state else ''}{self.state}"


@dataclass(frozen=True, slots=True)
class Line:
    """One point of one view: the text NUT printed, what we read, and whether that is the same."""

    view: str
    field: str
    nut: str
    ours: str
    same: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference that is known: both readings, and the source that says who is right."""

    nut: str
    ours: str
    why: str


def known() -> tuple[list[View], dict[tuple[str, str], Difference]]:
    """Read the walks to compare, as recorded and in other states, and the differences that are explained."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    views = [View(capture, mib) for mib, captures in table["walks"].items() for capture in captures]
    for each in table["states"]:
        base = each["base"]
        for state, objects in each["state"].items():
            changes = {f"{base}.{cell}": value if "|" in value else f"2|{value}" for cell, value in objects.items()}
            views.append(View(each["capture"], each["mib"], state, changes))
    differences = {
        (view, each["field"]): Difference(each["nut"], each["ours"], each["why"])
        for each in table["difference"]
        for view in each["views"]
    }
    return views, differences


def compare(views: Iterable[View]) -> dict[str, list[Line]]:
    """Let NUT and us read each view; return the lines of each, none where NUT could not read it."""
    views = list(views)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, view in enumerate(views):
            lent = {} if MODEL[view.mib] in truth.walk(view.capture) else {MODEL[view.mib]: "4|unnamed"}
            varied(CAPTURES / f"{view.capture}.snmprec", folder / f"v{number}", {**view.changes, **lent})
        (folder / "nut").mkdir()
        with SnmpSim(folder, folder / "cache") as sim:
            asked = [nut.Asked(f"v{number}/ups", view.mib) for number, view in enumerate(views)]
            shown = nut.read(sim.port, asked, folder / "nut")
    return {view.id: list(lines(view, variables)) for view, variables in zip(views, shown, strict=True)}


def lines(view: View, variables: Mapping[str, str]) -> Iterator[Line]:
    """Compare what NUT printed of a view with what we read, point by point, and the states."""
    if not variables:
        return
    changes = {oid: captures._object(f"{oid}|{row}".encode())[2] for oid, row in view.changes.items()}
    found = truth.read({**truth.walk(view.capture), **changes}, _driver(view.capture))
    assert found is not None, view.id
    for name, id in FIELDS.items():
        if name in variables and not view.state:
            yield _number(view, name, variables[name], id, found)
    theirs, ours = _words(variables.get("ups.status", "")), spoken(found)
    yield Line(view.id, "ups.status", theirs, ours, theirs == ours)


@cache
def _driver(capture: str) -> Driver:
    return truth.recognised(truth.walk(capture))[0]


def spoken(found: Found) -> str:
    """Say what state we see in the words of NUT's ups.status."""
    source = found.readings.get("source")
    words = [WORDS.get(str(source.value), "")] if source is not None else []
    members = found.readings.get("alarms")
    own = members.value if members is not None and isinstance(members.value, frozenset) else frozenset()
    alarms = {alarm.split(".")[1] for alarm in found.alarms}
    if "on-battery" in alarms and "OB" not in words:
        words = ["OB"]
    words += ["BYPASS"] * ("on-bypass" in alarms) + ["LB"] * ("battery-low" in alarms)
    words += ["RB"] * ("battery-replace" in alarms) + ["OVER"] * ("overload" in own)
    return _words(" ".join(words))


def _words(status: str) -> str:
    """Sort the words that tell a state of supply; some of NUT's tables say OL beside BYPASS and some do not."""
    words = set(status.split()) & COMPARED
    return " ".join(sorted(words - {"OL"} if "BYPASS" in words else words)) or "–"


def _number(view: View, name: str, shown: str, id: str, found: Found) -> Line:
    """Compare two numbers: 0.5 % or one digit, the coarser of the two."""
    asked = [id] if name == "ups.realpower" else [f"{id}.l1", id]  # its plain names mostly hold the first phase
    readings = [found.readings[each] for each in asked if each in found.readings]
    reading = next((each for each in readings if each.value is not None), readings[-1] if readings else None)
    if reading is None or not isinstance(reading.value, (int, float)):
        ours = "–" if reading is None else f"– ({reading.reason})"
        return Line(view.id, name, shown, ours, same=False)
    value = reading.value
    step = max(truth.digit(found.driver, id), 0.01 if "." in shown else 0.99)
    same = abs(float(shown) - value) <= max(0.005 * abs(value), step)
    return Line(view.id, name, shown, f"{value:g}", same)


def document(shown: Mapping[str, list[Line]], differences: Mapping[tuple[str, str], Difference]) -> str:
    """Write the comparison as Markdown."""
    every = [line for each in shown.values() for line in each]
    apart = [line for line in every if not line.same]
    walks = {id.split()[0] for id in shown}
    unread = ", ".join(name for name in truth.NAMES if name not in walks)
    sum_up = f"{len(every) - len(apart)} of {len(every)} points are the same, {len(apart)} differ"
    text = [
        "# A second opinion: Network UPS Tools",
        "",
        "<!-- Written by `make second-opinion`; do not edit. -->",
        "",
        f"snmpsim serves walks of real devices; `snmp-ups` of Network UPS Tools {nut.VERSION} (Debian 12) reads them,",
        "and so do our drivers. Numbers count as the same within 0.5 % or one digit, the coarser of both; states are",
        "compared in the words of NUT's `ups.status`, `–` where it names none. A state behind the name of a walk means",
        "that single objects of it were changed. A test holds both sides to what stands here.",
        "",
        f"{len(walks)} walks in {len(shown)} readings: {sum_up}.",
        f"NUT reads no value in: {unread}.",
        "",
        "## Where they differ",
        "",
        "| walk, NUT's table | point | NUT | ours | why |",
        "|---|---|---|---|---|",
    ]
    for line in apart:
        why = differences[line.view, line.field].why if (line.view, line.field) in differences else "**unexplained**"
        text.append(f"| {line.view} | {line.field} | {line.nut} | {line.ours} | {why} |")
    text += ["", "## Where they agree", "", "| walk, NUT's table | points |", "|---|---|"]
    for id, each in shown.items():
        agreed = [
            f"ups.status ({line.ours})" if line.field == "ups.status" else line.field for line in each if line.same
        ]
        if agreed:
            text.append(f"| {id} | {', '.join(agreed)} |")
    return "\n".join([*text, ""])


def main() -> None:
    """Write the comparison to the file named, or show it."""
    if not (nut.HERE and SNMPSIM.is_file() and truth.NAMES):
        sys.exit(f"needed: snmp-ups {nut.VERSION} (Debian: nut-snmp), snmpsim, and the walks of real devices")
    views, differences = known()
    text = document(compare(views), differences)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
