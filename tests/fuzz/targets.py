"""All that takes bytes from outside: one function of bytes each, with what it may raise and what must hold of the rest.

A target's `build` makes its scene once and returns the function. That function swallows only what its caller in the
agent expects; whatever else comes out of it, be it a failed assertion, is a crash. `seeds` are messages as real
devices, seats, brokers and operators send them, written by this tree's own tests and examples. `modules` are those
whose lines are counted.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Run: TypeAlias = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """One parser. `longest` is the size in bytes up to which a fuzzer grows what it sends."""

    name: str
    build: Callable[[], Run]
    seeds: Callable[[], Sequence[bytes]]
    modules: tuple[str, ...]
    longest: int = 1024


def explained(refusal: Exception) -> None:
    """See that what is refused says why."""
    assert str(refusal).strip(), repr(refusal)


_MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "snmp": ("snmp", "snmp-v3", "traps"),
    "buses": ("modbus-tcp", "modbus-rtu", "serial"),
    "services": ("ami", "http", "datagrams"),
    "plugged": ("headset", "usb"),
    "said": ("commands", "topics", "seat", "seat-answers"),
    "files": ("url", "condition", "site", "seat-file", "driver", "procedure", "scenario", "capture"),
    "kept": ("state",),
}
NAMES: Final = tuple(name for names in _MODULES.values() for name in names)
"""All targets, those that anybody on the network can reach first."""


def target(name: str) -> Target:
    """Return a target; of the others nothing is loaded, as each import is slow where it is followed."""
    where = next(module for module, names in _MODULES.items() if name in names)
    found: Sequence[Target] = importlib.import_module(f"tests.fuzz.{where}").TARGETS
    return next(each for each in found if each.name == name)
