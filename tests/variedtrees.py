"""Objects of each MIB in each state, by hand from the MIBs: what `tests.variations` changes in the walks.

A key is an object below the tree's base; `*` stands for any, and only objects that the walk shows are changed, unless
`+` adds them. Where a family has no object for a state, a text says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgeagent.readings import Raw

STRANGER: Final = "1.3.6.1.4.1.32473.9.1"
"""An alarm that no family knows, below the number that RFC 5612 keeps for examples."""


class State(StrEnum):
    """A state of a UPS."""

    HEALTHY = "as walked"
    LOST = "mains lost"
    LOW = "mains lost, battery low"
    OVERLOAD = "overload"
    HOT = "over-temperature"
    BYPASS = "bypass"
    REPLACE = "replace battery"
    PHASE = "one phase lost"
    TEST = "self-test running"
    KNOWN = "known alarm added"
    UNKNOWN = "unknown alarm added"


@dataclass(frozen=True, slots=True)
class Change:
    """Raw values by object; `raises` are the alarms where they differ from the state's own."""

    objects: Mapping[str, Raw]
    raises: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """What one MIB shows; `table` is the entry of its alarm table, whose column 2 names the alarm."""

    base: str
    states: Mapping[State, Change | str]
    table: str = ""
    count: str = ""


def _rows(column: str, *alarms: str) -> dict[str, Raw]:
    """Write the rows of an alarm table."""
    return {f"+{column}.{row}": alarm for row, alarm in enumerate(alarms, 1)}


def _rfc(*alarms: int | str) -> dict[str, Raw]:
    names = [alarm if isinstance(alarm, str) else f"1.3.6.1.2.1.33.1.6.3.{alarm}" for alarm in alarms]
    return {"+6.1.0": len(names), **_rows("6.2.1.2", *names)}


def _xups(*alarms: int) -> dict[str, Raw]:
    return {"+7.1.0": len(alarms), **_rows("7.2.1.2", *(f"1.3.6.1.4.1.534.1.7.{alarm}" for alarm in alarms))}


def _tripplite(*alarms: int) -> dict[str, Raw]:
    return {"+6.1.0": len(alarms), **_rows("6.2.1.2", *(f"1.3.6.1.4.1.850.100.1.6.3.{alarm}" for alarm in alarms))}


def _socomec(*alarms: int) -> dict[str, Raw]:
    """Socomec says each alarm as a flag and as a row."""
    rows = _rows("6.2.1.2", *(f"1.3.6.1.4.1.4555.1.1.7.1.6.3.{alarm}" for alarm in alarms))
    return {"6.1.0": len(alarms), **rows, **{f"6.3.{alarm}.0": 1 for alarm in alarms}}


def _liebert(*events: int) -> dict[str, Raw]:
    """Liebert says each event as a row of its conditions and as a text of its flexible table."""
    rows = _rows("2.3.1.2", *(f"1.3.6.1.4.1.476.1.42.3.2.7.1.{event}" for event in events))
    texts: dict[str, Raw] = {f"+9.20.1.20.1.2.100.{event}": b"Active Event" for event in events}
    return {"+2.2.0": len(events), **rows, **texts}


def _apc(*places: int) -> dict[str, Raw]:
    """Write upsBasicStateOutputState, 64 flags counted from 1; 6 is a serial link that works, 19 switched on."""
    return {"+11.1.1.0": bytes(49 if place in (*places, 6, 19) else 48 for place in range(1, 65))}


_RFC_LOST: Final[Mapping[str, Raw]] = {
    "4.1.0": 5, "2.2.0": 37, "2.3.0": 20, "2.4.0": 80, "3.3.1.2.*": 0, "3.3.1.3.*": 0,
}  # fmt: skip
_XUPS_LOST: Final[Mapping[str, Raw]] = {
    "4.5.0": 5, "2.5.0": 2, "2.1.0": 1200, "2.4.0": 80, "3.1.0": 0, "3.4.1.2.*": 0, "+3.9.0": 1,
}  # fmt: skip
_MGE_LOST: Final[Mapping[str, Raw]] = {
    "7.3.0": 1, "5.1.0": 1200, "5.2.0": 80, "6.2.1.2.*": 0, "6.2.1.3.*": 0, "6.3.0": 1, "6.4.0": 4, "7.7.0": 1,
}  # fmt: skip
_APC_LOST: Final[Mapping[str, Raw]] = {
    "4.1.1.0": 3, "2.1.2.0": 3700, "2.2.3.0": 120000, "2.2.1.0": 80, "2.3.1.0": 800, "3.2.1.0": 0, "3.2.4.0": 0,
    "3.3.1.0": 0, "3.3.4.0": 0, "3.2.5.0": 4, "9.2.3.1.3.1.*": 0, "9.2.3.1.14.1.*": 0, **_apc(2),
}  # fmt: skip
_CPS_LOST: Final[Mapping[str, Raw]] = {
    "4.1.1.0": 3, "2.2.1.0": 80, "2.2.4.0": 120000, "3.2.1.0": 0, "3.2.4.0": 0, "3.2.5.0": 3, "3.2.6.0": 5,
}  # fmt: skip
_PPC_LOST: Final[Mapping[str, Raw]] = {
    "4.1.1.0": 3, "+2.1.2.0": 37, "2.2.1.0": 80, "2.2.4.0": 1200, "3.2.1.0": 0, "3.2.4.0": 0, "8.2.[1234].0": 0,
    "+8.5.5.0": 4, "+8.6.3.0": 11,
}  # fmt: skip
_EPPC_LOST: Final[Mapping[str, Raw]] = {
    "2.1.0": 5, "3.1.0": 5, "+3.2.0": 37, "3.3.0": 20, "3.4.0": 80, "2.16.1.2.1": 0, "2.16.1.3.1": 0,
}  # fmt: skip
_SOCOMEC_LOST: Final[Mapping[str, Raw]] = {
    "2.1.0": 5, "2.2.0": 37, "2.3.0": 20, "2.4.0": 80, "3.2.0": 0, "3.3.1.2.1": 0,
}  # fmt: skip
_TRIPPLITE_LOST: Final[Mapping[str, Raw]] = {
    "3.3.1.1.1.1": 5, "3.1.1.1.2.1": 37, "3.1.1.1.3.1": 20, "3.1.1.1.4.1": 80, "3.1.2.1.3.1": 80,
    "3.2.2.1.2.1.1": 0, "3.2.2.1.3.1.1": 0,
}  # fmt: skip
_LIEBERT_LOST: Final[Mapping[str, Raw]] = {
    "9.20.1.20.1.2.1.4096": b"0", "9.20.1.20.1.2.1.4098": b"0", "9.20.1.20.1.2.1.4100": b"0",
    "9.20.1.20.1.2.1.4105": b"0", "9.20.1.20.1.2.1.4150": b"20", "9.20.1.20.1.2.1.4872": b"Battery",
}  # fmt: skip
_NO_TEST: Final = "no test"
_NO_OVERLOAD: Final = "no load"
_NO_BYPASS: Final = "no bypass"
_NO_REPLACE: Final = "no battery's end"
_NO_ROWS: Final = "no open list of alarms"
_NO_LOW: Final = "no low battery"

TREES: Final[dict[str, Tree]] = {
    "rfc1628": Tree("1.3.6.1.2.1.33.1", {
        State.LOST: Change({**_RFC_LOST, **_rfc(2)}),
        State.LOW: Change({**_RFC_LOST, "2.1.0": 3, "2.3.0": 4, "2.4.0": 12, **_rfc(2, 3)}),
        State.OVERLOAD: Change({"4.4.1.5.1": 130, **_rfc(8)}),
        State.HOT: Change(_rfc(5)),
        State.BYPASS: Change({"4.1.0": 4, **_rfc(9)}),
        State.REPLACE: Change(_rfc(1)),
        State.PHASE: Change({"3.3.1.2.2": 0, "3.3.1.3.2": 0}),
        State.TEST: Change({"4.1.0": 5, "2.2.0": 12, "+7.3.0": 5, **_rfc(24)}),
        State.KNOWN: Change(_rfc(16), ("fan-fault",)),
        State.UNKNOWN: Change(_rfc(STRANGER), (f"vendor-alarm.unknown-{STRANGER}",)),
    }, "6.2.1", "6.1.0"),
    "rfc1628-values": Tree("1.3.6.1.2.1.33.1", {
        State.LOST: Change({"3.3.1.3.1.0": 0}),
        State.LOW: Change({"3.3.1.3.1.0": 0}),
        State.OVERLOAD: Change({"4.4.1.5.1.0": 130}),
        State.HOT: _NO_ROWS,
        State.BYPASS: _NO_ROWS,
        State.REPLACE: _NO_ROWS,
        State.TEST: _NO_TEST,
        State.UNKNOWN: _NO_ROWS,
    }),
    "xups": Tree("1.3.6.1.4.1.534.1", {
        State.LOST: Change({**_XUPS_LOST, **_xups(3, 14)}),
        State.LOW: Change({**_XUPS_LOST, "2.1.0": 240, "2.4.0": 12, **_xups(3, 14, 4)}),
        State.OVERLOAD: Change({"4.1.0": 130, **_xups(7)}),
        State.HOT: Change(_xups(31)),
        State.BYPASS: Change({"4.5.0": 4, **_xups(11)}),
        State.REPLACE: Change(_xups(23)),
        State.PHASE: Change({"3.4.1.2.2": 0}),
        State.TEST: Change({"4.5.0": 5, "2.5.0": 7, "8.2.0": 4, **_xups(28)}),
        State.KNOWN: Change(_xups(33), ("fan-fault",)),
        State.UNKNOWN: Change(_xups(99), ("vendor-alarm.unknown-1.3.6.1.4.1.534.1.7.99",)),
    }, "7.2.1", "7.1.0"),
    "mge": Tree("1.3.6.1.4.1.705.1", {
        State.LOST: Change(_MGE_LOST),
        State.LOW: Change({**_MGE_LOST, "5.1.0": 240, "5.2.0": 12, "5.14.0": 1, "5.16.0": 1}),
        State.OVERLOAD: Change({"7.10.0": 1, "7.2.1.4.1": 130, "7.2.1.4.1.0": 130}),
        State.HOT: Change({"7.11.0": 1}),
        State.BYPASS: Change({"7.4.0": 1}),
        State.REPLACE: Change({"5.11.0": 1}),
        State.PHASE: Change({"6.2.1.2.2.0": 0, "6.2.1.3.2.0": 0}),
        State.TEST: _NO_TEST,
        State.KNOWN: Change({"5.15.0": 1}, ("charger-fault",)),
        State.UNKNOWN: _NO_ROWS,
    }),
    "apc": Tree("1.3.6.1.4.1.318.1.1.1", {
        State.LOST: Change(_APC_LOST),
        State.LOW: Change({
            **_APC_LOST, "+2.1.1.0": 3, "2.2.3.0": 24000, "2.2.1.0": 12, "2.3.1.0": 120, **_apc(2, 3, 30),
        }),
        State.OVERLOAD: Change({"4.2.3.0": 130, "4.3.3.0": 1300, "9.3.3.1.10.1.1": 130, **_apc(4, 9)}),
        State.HOT: Change(_apc(4, 45)),
        State.BYPASS: Change({"4.1.1.0": 10, **_apc(14)}),
        State.REPLACE: Change({"2.2.4.0": 2, **_apc(4, 5)}),
        State.PHASE: Change({"9.2.3.1.3.1.[12]": 225, "9.2.3.1.14.1.2": 0}),
        State.TEST: Change({"4.1.1.0": 15, "+7.2.3.0": 4, **_apc(2, 29)}),
        State.KNOWN: Change(_apc(4, 41), ("fan-fault",)),
        State.UNKNOWN: Change(_apc(4, 64), ()),
    }),
    "cps": Tree("1.3.6.1.4.1.3808.1.1.1", {
        State.LOST: Change(_CPS_LOST),
        State.LOW: Change({**_CPS_LOST, "2.1.1.0": 3, "2.2.1.0": 12, "2.2.4.0": 24000}),
        State.OVERLOAD: Change({"4.1.1.0": 11, "+4.2.3.0": 130}),
        State.HOT: Change({"2.2.3.0": 55}, ("battery-temperature",)),
        State.BYPASS: Change({"4.1.1.0": 9}),
        State.REPLACE: Change({"2.2.5.0": 2}),
        State.TEST: Change({"4.1.1.0": 3, "+7.2.3.0": 4}),
        State.KNOWN: Change({"3.2.6.0": 2}, ("input-bad",)),
        State.UNKNOWN: _NO_ROWS,
    }),
    "dell": Tree("1.3.6.1.4.1.674.10902.2", {
        State.LOST: Change({"110.1.0": 4, "120.5.3.0": 1200, "+120.4.2.0": b"47,57"}),
        State.LOW: Change({"110.1.0": 5, "120.5.3.0": 240, "+120.4.2.0": b"43,47,57"}),
        State.OVERLOAD: Change({"+120.4.2.0": b"21"}),
        State.HOT: Change({"+120.4.2.0": b"51"}),
        State.BYPASS: Change({"+120.4.2.0": b"59"}),
        State.REPLACE: Change({"+120.4.2.0": b"63"}),
        State.TEST: Change({"+120.4.2.0": b"61", "+120.5.2.0": 5}),
        State.KNOWN: Change({"+120.4.2.0": b"65"}, ("fan-fault",)),
        State.UNKNOWN: Change({"+120.4.2.0": b"65,77"}, ("fan-fault", "vendor-alarm.unknown-77")),
    }),
    "delta": Tree("1.3.6.1.4.1.2254.2.4", {
        State.LOST: Change({"+5.1.0": 1, "+7.4.0": 37, "+7.8.0": 80, "+9.2.0": 1}),
        State.LOW: Change({"+5.1.0": 1, "+7.2.0": 1, "+7.4.0": 37, "+7.8.0": 12, "+9.2.0": 1, "+9.3.0": 1}),
        State.OVERLOAD: Change({"+5.1.0": 0, "+9.5.0": 1, "+9.12.0": 1}),
        State.HOT: Change({"+9.18.0": 1}),
        State.BYPASS: Change({"+5.1.0": 2, "+9.6.0": 1}),
        State.REPLACE: _NO_REPLACE,
        State.TEST: Change({"+5.1.0": 1, "+8.2.0": 2, "+9.9.0": 1}),
        State.KNOWN: Change({"+9.23.0": 1}, ("fan-fault",)),
        State.UNKNOWN: _NO_ROWS,
    }),
    "ppc": Tree("1.3.6.1.4.1.935.1.1.1", {
        State.LOST: Change(_PPC_LOST),
        State.LOW: Change({**_PPC_LOST, "2.1.1.0": 3, "2.2.1.0": 12, "2.2.4.0": 240, "+8.5.3.0": 14}),
        State.OVERLOAD: Change({"4.2.3.0": 130, "8.3.5.0": 1300, "+8.7.4.0": 14}),
        State.HOT: Change({"+8.7.6.0": 14}),
        State.BYPASS: Change({"4.1.1.0": 6, "+8.6.4.0": 13}),
        State.REPLACE: _NO_REPLACE,
        State.PHASE: Change({"8.2.3.0": 0}),
        State.TEST: Change({"4.1.1.0": 3, "+2.1.2.0": 12, "+7.2.3.0": 4}),
        State.KNOWN: Change({"+8.7.1.0": 14, "+8.7.2.0": 16}, ("emergency-off",)),
        State.UNKNOWN: _NO_ROWS,
    }),
    "eppc": Tree("1.3.6.1.4.1.935.10.1.1", {
        State.LOST: Change(_EPPC_LOST),
        State.LOW: Change({**_EPPC_LOST, "3.1.0": 3, "3.3.0": 4, "3.4.0": 12}),
        State.OVERLOAD: Change({"2.18.1.7.1": 130}),
        State.HOT: Change({"+3.8.0": 550}, ("battery-temperature",)),
        State.BYPASS: Change({"2.1.0": 3}),
        State.REPLACE: _NO_REPLACE,
        State.TEST: Change({"2.1.0": 6, "3.1.0": 5}),
        State.KNOWN: Change({"3.1.0": 6}, ("battery-fault",)),
        State.UNKNOWN: "codes that nobody explains",
    }),
    "socomec": Tree("1.3.6.1.4.1.4555.1.1.7.1", {
        State.LOST: Change({**_SOCOMEC_LOST, **_socomec(15, 22)}),
        State.LOW: Change({**_SOCOMEC_LOST, "2.1.0": 6, "2.3.0": 4, "2.4.0": 12, **_socomec(15, 22, 14)}),
        State.OVERLOAD: Change({"4.4.1.4.1": 130, "4.7.0": 130, **_socomec(2)}),
        State.HOT: Change(_socomec(3)),
        State.BYPASS: Change({"4.1.0": 6, **_socomec(55)}),
        State.REPLACE: Change(_socomec(19)),
        State.TEST: Change({"2.1.0": 4, "2.2.0": 12, **_socomec(18)}),
        State.KNOWN: Change(_socomec(32), ("fan-fault",)),
        State.UNKNOWN: Change(_socomec(45), ("vendor-alarm.unknown-1.3.6.1.4.1.4555.1.1.7.1.6.3.45",)),
    }, "6.2.1", "6.1.0"),
    "ita2": Tree("1.3.6.1.4.1.13400.2.54.2", {
        State.LOST: Change({"1.1.0": 1, "1.2.0": 2, "2.1.0": 0, "2.4.0": 0, "5.7.0": 200, "5.10.0": 80}),
        State.LOW: Change(
            {"1.1.0": 2, "1.2.0": 2, "2.1.0": 0, "2.4.0": 0, "5.7.0": 40, "5.10.0": 12}, ("on-battery", "runtime-low"),
        ),
        State.OVERLOAD: Change({"3.14.0": 1300}),
        State.HOT: Change({"+5.8.0": 550}, ("battery-temperature",)),
        State.BYPASS: Change({"1.2.0": 3}),
        State.REPLACE: "a trap alone",
        State.TEST: _NO_TEST,
        State.KNOWN: "traps alone",
        State.UNKNOWN: "traps alone",
    }),
    "liebert": Tree("1.3.6.1.4.1.476.1.42.3", {
        State.LOST: Change({**_LIEBERT_LOST, **_liebert(4122, 4168)}),
        State.LOW: Change({**_LIEBERT_LOST, "9.20.1.20.1.2.1.4150": b"4", **_liebert(4122, 4168, 4162)}),
        State.OVERLOAD: Change({**_liebert(5806), "9.20.1.20.1.2.1.4223": b"130"}),
        State.HOT: Change(_liebert(4310)),
        State.BYPASS: Change({**_liebert(4298), "+5.3.10.0": 1}),
        State.REPLACE: Change(_liebert(6182)),
        State.TEST: Change(_liebert(4172)),
        State.KNOWN: Change(_liebert(4311), ("fan-fault",)),
        State.UNKNOWN: Change(_liebert(4998), ("vendor-alarm.unknown-1.3.6.1.4.1.476.1.42.3.2.7.1.4998",)),
    }, "2.3.1", "2.2.0"),
    "tripplite": Tree("1.3.6.1.4.1.850.1.1.3.1", {
        State.LOST: Change(_TRIPPLITE_LOST),
        State.LOW: Change({
            **_TRIPPLITE_LOST, "3.1.1.1.1.1": 3, "3.1.1.1.3.1": 4, "3.1.1.1.4.1": 12, "3.1.2.1.3.1": 12,
        }),
        State.OVERLOAD: Change({"3.3.2.1.5.1.1": 130}),
        State.HOT: "no temperature",
        State.BYPASS: Change({"3.3.1.1.1.1": 4}),
        State.REPLACE: Change({"3.1.5.1.1.1.1": 3}),
        State.TEST: Change({"3.3.1.1.1.1": 10, "2.1.1.6.1": 5}),
        State.KNOWN: Change({"2.1.1.14.1": 1}, ("internal-fault",)),
        State.UNKNOWN: _NO_ROWS,
    }),
    "tripplite12": Tree("1.3.6.1.4.1.850.100.1", {
        State.LOST: Change(_tripplite(9, 1)),
        State.LOW: Change(_tripplite(9, 1, 10)),
        State.OVERLOAD: Change(_tripplite(15)),
        State.HOT: Change(_tripplite(12)),
        State.BYPASS: Change(_tripplite(16)),
        State.REPLACE: Change(_tripplite(8)),
        State.TEST: Change(_tripplite(31)),
        State.KNOWN: Change(_tripplite(23), ("fan-fault",)),
        State.UNKNOWN: Change(_tripplite(99), ("vendor-alarm.unknown-1.3.6.1.4.1.850.100.1.6.3.99",)),
    }, "6.2.1", "6.1.0"),
    "santak": Tree("1.3.6.1.4.1.2468.1.2.1.1", {
        State.LOST: Change({"4.1.0": 5, "2.2.0": 37, "2.4.0": 80, "3.3.1.2.1": 0, "3.3.1.3.1": 0}),
        State.LOW: Change(
            {"4.1.0": 5, "2.1.0": 3, "2.2.0": 37, "2.4.0": 12, "3.3.1.2.1": 0, "3.3.1.3.1": 0},
            ("on-battery", "battery-low"),
        ),
        State.OVERLOAD: Change({"4.4.1.5.1": 130}),
        State.HOT: Change({"2.7.0": 550}, ("battery-temperature",)),
        State.BYPASS: Change({"4.1.0": 4}),
        State.REPLACE: _NO_REPLACE,
        State.TEST: _NO_TEST,
        State.KNOWN: "no alarms",
        State.UNKNOWN: "no alarms",
    }),
    "algcom": Tree("1.3.6.1.4.1.49136.1", {
        State.LOST: Change({"3.1.0": 1, "3.2.0": 1}),
        State.LOW: Change({"2.3.0": 6, "3.1.0": 1, "3.2.0": 1}, ("on-battery", "battery-low")),
        State.OVERLOAD: Change({"3.6.0": 1}),
        State.HOT: Change({"3.5.0": 1}),
        State.BYPASS: _NO_BYPASS,
        State.REPLACE: _NO_REPLACE,
        State.TEST: Change({"2.3.0": 7, "3.1.0": 1}),
        State.KNOWN: Change({"3.7.0": 1}, ("fan-fault",)),
        State.UNKNOWN: _NO_ROWS,
    }),
    "bke": Tree("1.3.6.1.4.1.27533.5", {
        State.LOST: Change({"1.1.0": 1, "2.1.0": 1}),
        State.LOW: _NO_LOW,
        State.OVERLOAD: _NO_OVERLOAD,
        State.HOT: Change({"3.3.0": 550}, ("battery-temperature",)),
        State.BYPASS: _NO_BYPASS,
        State.REPLACE: _NO_REPLACE,
        State.TEST: _NO_TEST,
        State.KNOWN: Change({"4.2.0": 2}, ("output-off",)),
        State.UNKNOWN: _NO_ROWS,
    }),
    "compas": Tree("1.3.6.1.4.1.26854.3.2.1.20.1.20.1.13.3", {
        State.LOST: Change({"1.0": 3, "91.0": 80, "92.0": 20}),
        State.LOW: Change({"1.0": 3, "91.0": 12, "92.0": 4}, ("on-battery", "runtime-low")),
        State.OVERLOAD: _NO_OVERLOAD,
        State.HOT: Change({"71.0": 55}, ("battery-temperature",)),
        State.BYPASS: _NO_BYPASS,
        State.REPLACE: _NO_REPLACE,
        State.TEST: Change({"1.0": 2, "72.0": 2}),
        State.KNOWN: Change({"72.0": 4}, ("test-failed",)),
        State.UNKNOWN: _NO_ROWS,
    }),
    "smu": Tree("1.3.6.1.4.1.2011.6.164.1", {
        State.LOST: Change({"4.2.3.0": 3, "4.4.2.1.3.1": 800, "5.2.1.1.4.1": 0}),
        State.LOW: _NO_LOW,
        State.OVERLOAD: _NO_OVERLOAD,
        State.HOT: "no temperature",
        State.BYPASS: _NO_BYPASS,
        State.REPLACE: _NO_REPLACE,
        State.TEST: _NO_TEST,
        State.KNOWN: "no alarms",
        State.UNKNOWN: "no alarms",
    }),
}  # fmt: skip
