"""What the walks would show in trouble: raw objects changed by hand, family by family and state by state.

No walk of a card in an outage exists, so each healthy one is changed in memory, with numbers and identities of the
makers' MIBs and of RFC 1628, never with what our own drivers would write. `python -m tests.variations` prints what is
raised, or why a family has nothing to say of a state.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from functools import cache
from typing import Final

from rich.console import Console
from rich.table import Table

from edgeagent import probe
from edgeagent.catalog import Driver
from edgeagent.probe import Found
from edgeagent.readings import Answers, Missing, Raw
from tests.truth import FOLDER, NAMES, RAISED, answers, recognised, walk
from tests.variedtrees import TREES, Change, State, Tree

WALKS: Final[Mapping[str, Sequence[str]]] = {
    "abbups_abbups": ["rfc1628"],
    "algcom-dc-ups": ["algcom"],
    "apc-mgeups_galaxy7000": ["mge", "rfc1628-values"],
    "apc_smart1500": ["apc"],
    "apc_smtl1000-nmc3": ["apc"],
    "apc_sua1500rmi2u": ["apc"],
    "apc_symmetralx": ["apc"],
    "bke_bke": ["bke"],
    "centreon-ups-apc-battery-low": ["apc"],
    "centreon-ups-apc-galaxy": ["apc"],
    "compas_usv": ["compas"],
    "cyberpower": ["cps"],
    "dell-ups_tower1000w": ["dell", "rfc1628"],
    "deltaups": ["delta", "rfc1628"],
    "deltaups_mini-snmp": ["delta", "rfc1628"],
    "eaton-93e-80": ["mge", "xups", "rfc1628"],
    "eaton-mgeups_5px": ["mge", "xups", "rfc1628"],
    "eatonups": ["xups"],
    "eatonupsm2_9px": ["xups", "rfc1628"],
    "generex-ups_cs141": ["rfc1628"],
    "huawei-smu": ["smu"],
    "huaweiups_ups2000": ["rfc1628"],
    "ingrasys-power-switch": ["rfc1628"],
    "liebert_apm": ["liebert", "rfc1628"],
    "marathonups": ["rfc1628"],
    "netagent2": ["ppc"],
    "netmanplus_204": ["rfc1628"],
    "orvaldi-ups": ["rfc1628"],
    "poweralert_ups": ["tripplite", "tripplite12", "rfc1628"],
    "powerwalker": ["eppc"],
    "socomec-ups": ["socomec"],
    "vertiv-ita2": ["ita2"],
    "webpower-smart2": ["santak"],
}
"""The trees that a card serves."""
THREE_PHASES: Final = [
    "abbups_abbups", "centreon-ups-apc-galaxy", "eaton-93e-80", "eatonups", "generex-ups_cs141",
    "ingrasys-power-switch", "liebert_apm", "netagent2",
]  # fmt: skip
RAISES: Final = {
    State.HEALTHY: (),
    State.LOST: ("on-battery",),
    State.LOW: ("on-battery", "battery-low", "runtime-low"),
    State.OVERLOAD: ("load-high",),
    State.HOT: ("over-temperature",),
    State.BYPASS: ("on-bypass",),
    State.REPLACE: ("battery-replace",),
    State.PHASE: ("phase-loss",),
    State.TEST: (),
}
"""What a state raises where its tree says nothing else."""
NO_BYPASS: Final = (State.LOST, State.LOW, State.TEST)
"""In these a unit that rested on bypass has left it."""
IN_ROWS_ONLY: Final = {
    "centreon-ups-apc-battery-low": ["ups.battery-replace"],
    "cyberpower": ["ups.environment"],
    "eatonups": ["ups.battery-low"],
}
"""What a card says nowhere else but where it tells its alarms."""
NULL_TOO: Final = {
    ("eaton-mgeups_5px", State.HEALTHY): ["ups.phase-loss"],
    ("socomec-ups", State.LOST): ["ups.input-bad"],
    ("socomec-ups", State.LOW): ["ups.input-bad"],
}
"""What else is raised when what is NULL is the last that tells a single phase, or battery, from the opposite."""
FLAWED: Final = (State.HEALTHY, State.LOST, State.LOW)
"""The states in which a card may have a flaw besides."""
SINGLE: Final = "one phase to neutral"


class Flaw(StrEnum):
    """What a card may do wrong, besides."""

    ZERO_ROWS = "rows of 0.0"
    EMPTY = "a count, no rows"
    NULLS = "a third is NULL"
    SILENT = "alarms time out"


@dataclass(frozen=True, slots=True)
class Variation:
    """One walk in one state: the objects it would show, and the alarms that must come of it."""

    name: str
    state: State
    objects: Mapping[str, Raw]
    raises: list[str]


@cache
def driver_of(name: str) -> Driver:
    """Return the driver of a walk."""
    return recognised(walk(name))[0]


def vary(name: str, state: State, trees: Sequence[str] | None = None) -> Variation | str:
    """Change a walk into a state; a text says why that cannot be."""
    if state is State.PHASE and name not in THREE_PHASES:
        return SINGLE
    objects, raised = dict(walk(name)), set(RAISED.get(name, []))
    found, reasons = False, []
    for id in trees or WALKS[name]:
        change = TREES[id].states.get(state, "no object") if state is not State.HEALTHY else Change({})
        if isinstance(change, str):
            reasons.append(change)
            continue
        found = True
        objects |= changed(objects, TREES[id], change)
        raised |= {f"ups.{alarm}" for alarm in (RAISES[state] if change.raises is None else change.raises)}
    if not found:
        return reasons[0]
    if state in NO_BYPASS:
        raised.discard("ups.on-bypass")
    return Variation(name, state, objects, sorted(raised))


def changed(objects: Mapping[str, Raw], tree: Tree, change: Change) -> dict[str, Raw]:
    """Return the objects that a change gives another value, and those it adds (`+`)."""
    found: dict[str, Raw] = {}
    for pattern, raw in change.objects.items():
        if pattern.startswith("+"):
            found[f"{tree.base}.{pattern[1:]}"] = raw
            continue
        for oid, before in objects.items():
            if fnmatch(oid, f"{tree.base}.{pattern}") and not isinstance(before, Missing) and before != -1:
                found[oid] = raw
    return found


def shown(varied: Variation) -> Found:
    """Read what a walk shows in a state."""
    driver = driver_of(varied.name)
    return probe.read(driver, answers(driver, varied.objects), 0.0)


def flawed(varied: Variation, flaw: Flaw) -> list[Answers] | str:
    """Give the answers of a card with a flaw; a text says why this one cannot have it."""
    driver, tables = driver_of(varied.name), _tables(varied.name)
    if flaw is Flaw.NULLS:
        return [answers(driver, _nulls(varied.objects, third)) for third in range(3)]
    if flaw is Flaw.SILENT:
        return _silent(driver, varied)
    if not tables:
        return "no alarm table"
    roots = tuple(f"{root}." for root, _ in tables)
    objects = {oid: raw for oid, raw in varied.objects.items() if not oid.startswith(roots)}
    for root, count in tables:
        objects[count] = 0 if flaw is Flaw.ZERO_ROWS else 2
        if flaw is Flaw.ZERO_ROWS:
            objects |= {f"{root}.2.{row}": "0.0" for row in range(1, 25)}
    return [answers(driver, objects)]


def _tables(name: str) -> list[tuple[str, str]]:
    trees = [TREES[id] for id in WALKS[name]]
    return [(f"{tree.base}.{tree.table}", f"{tree.base}.{tree.count}") for tree in trees if tree.table]


def _nulls(objects: Mapping[str, Raw], third: int) -> dict[str, Raw]:
    """Answer NULL for every third object with all its rows, for so a card does that lacks them."""
    columns: dict[str, int] = {}
    return {
        oid: Missing.NULL if columns.setdefault(oid.rpartition(".")[0], len(columns)) % 3 == third else raw
        for oid, raw in objects.items()
    }


def _silent(driver: Driver, varied: Variation) -> list[Answers] | str:
    """Let the alarm tables time out, and every object that tells nothing else."""
    other = {address for item in driver.items if item.point != "alarms" for address in item.addresses}
    gone = {address for item in driver.items if item.point == "alarms" for address in item.addresses} - other
    gone |= set(driver.walks)
    answered = answers(driver, varied.objects)
    left = {oid: raw for oid, raw in answered.items() if not oid.startswith(tuple(f"{root}." for root in driver.walks))}
    return [{**left, **dict.fromkeys(gone, Missing.TIMEOUT)}] if gone else "no object of alarms alone"


def told(varied: Variation, flaw: Flaw) -> tuple[list[str], str]:
    """Return what a card with a flaw raises, all thirds together, and what is wrong with that, or why not at all."""
    answered = flawed(varied, flaw)
    if isinstance(answered, str):
        return [], answered
    alarms = {alarm for each in answered for alarm in probe.read(driver_of(varied.name), each, 0.0).alarms}
    wanted = set(varied.raises)
    if flaw is Flaw.NULLS:
        wanted |= set(NULL_TOO.get((varied.name, varied.state), []))
    elif flaw is Flaw.SILENT or _tables(varied.name):
        wanted -= set(IN_ROWS_ONLY.get(varied.name, []))
    # A count without a row that can be read is told as just that, unless the source says what it counts.
    left = alarms - {"ups.unlisted"} if flaw in (Flaw.EMPTY, Flaw.NULLS) else alarms
    return sorted(alarms), "" if left == wanted else f"≠ {', '.join(sorted(wanted)) or '·'}"


def cells(name: str) -> list[tuple[str, list[str], str]]:
    """Return, of one walk, each state and each flaw with what is raised, and what is wrong or why there is nothing."""
    found: list[tuple[str, list[str], str]] = []
    for state in State:
        varied = vary(name, state)
        if isinstance(varied, str):
            found.append((state.value, [], varied))
            continue
        alarms = shown(varied).alarms
        found.append((state.value, alarms, "" if alarms == varied.raises else f"≠ {', '.join(varied.raises) or '·'}"))
    for flaw in Flaw:
        for state in FLAWED[:2]:
            varied = vary(name, state)
            assert not isinstance(varied, str)
            found.append((f"{state.value}, {flaw.value}", *told(varied, flaw)))
    return found


def table() -> tuple[Table, int]:
    """Return states by walks with what is raised, and how many are wrong."""
    columns = {name: cells(name) for name in NAMES}
    rows, wrong = Table("walk", "driver", "state", "raised", "why not", title="what the walks raise"), 0
    for name, found in columns.items():
        for place, (state, alarms, why) in enumerate(found):
            bad = why.startswith("≠")
            wrong += bad
            first = (name, driver_of(name).id.removeprefix("ups/")) if place == 0 else ("", "")
            text = ", ".join(alarm.removeprefix("ups.") for alarm in alarms) or ("" if why and not bad else "none")
            rows.add_row(*first, state, text, f"[red]{why}[/red]" if bad else why, end_section=place == len(found) - 1)
    return rows, wrong


if __name__ == "__main__":
    if not NAMES:
        sys.exit(f"walks of real devices are not in {FOLDER}")
    matrix, failures = table()
    Console(width=160).print(matrix)
    sys.exit(f"{failures} states are wrong" if failures else 0)
