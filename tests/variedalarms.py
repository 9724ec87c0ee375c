"""Each alarm that the makers' MIBs number, by hand, and what must come of it: for `tests.test_variations`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgeagent.readings import Raw

CONDITION: Final = ""
"""A row that is no alarm: a test, an order, a state of rest."""
STRANGE: Final = "vendor-alarm"
"""A row without a word of ours, told under its own number."""

RFC: Final[Mapping[int, str]] = {
    1: "battery-replace", 3: "battery-low", 4: "battery-low", 5: "over-temperature", 6: "input-bad", 7: "output-bad",
    8: "load-high", 9: "on-bypass", 10: "bypass-unavailable", 11: CONDITION, 12: CONDITION, 13: "charger-fault",
    14: "output-off", 15: "output-off", 16: "fan-fault", 17: "internal-fault", 18: "internal-fault", 19: "test-failed",
    20: "ups-comms-lost", 21: CONDITION, 22: "shutdown-imminent", 23: "shutdown-imminent", 24: CONDITION, 25: STRANGE,
}  # fmt: skip
XUPS: Final[Mapping[int, str]] = {
    4: "battery-low", 5: CONDITION, 6: CONDITION, 7: "load-high", 8: "internal-fault", 9: "battery-low",
    10: "internal-fault", 11: "on-bypass", 12: "bypass-unavailable", 13: "output-off", 14: "input-bad",
    16: "shutdown-imminent", 17: CONDITION, 20: "internal-fault", 23: "battery-replace", 25: "test-failed",
    26: "ups-comms-lost", 28: CONDITION, 29: "environment", 30: "redundancy-lost", 31: "over-temperature",
    32: "charger-fault", 33: "fan-fault", 34: "internal-fault", 37: CONDITION, 40: "environment", 42: "output-bad",
    43: CONDITION, 44: "on-bypass", 51: STRANGE,
}  # fmt: skip
DELTA: Final[Mapping[int, str]] = {
    3: "battery-low", 4: CONDITION, 5: "load-high", 6: "on-bypass", 7: "internal-fault", 9: CONDITION,
    10: "test-failed", 11: "internal-fault", 12: "load-high", 14: "internal-fault", 15: "internal-fault",
    18: "over-temperature", 19: "output-bad", 20: "bypass-unavailable", 22: "charger-fault", 23: "fan-fault",
    27: "emergency-off",
}  # fmt: skip
SOCOMEC: Final[Mapping[int, str]] = {
    1: "shutdown-imminent", 2: "load-high", 3: "over-temperature", 12: "battery-missing", 13: "battery-low",
    14: "battery-low", 16: "battery-temperature", 19: "battery-replace", 20: "internal-fault", 22: "input-bad",
    24: "charger-fault", 26: "internal-fault", 28: "bypass-unavailable", 30: "bypass-unavailable", 32: "fan-fault",
    33: "on-bypass", 36: "internal-fault", 54: CONDITION, 55: "on-bypass", 56: "output-off", 58: "ups-comms-lost",
    59: "shutdown-imminent",
}  # fmt: skip
SOCOMEC_ROWS: Final[Mapping[int, str]] = {
    **SOCOMEC, 21: "internal-fault", 23: CONDITION, 25: "charger-fault", 27: "internal-fault", 45: STRANGE,
}  # fmt: skip
LIEBERT: Final[Mapping[int, str]] = {
    4122: "input-bad", 4162: "battery-low", 4298: "on-bypass", 4299: "on-bypass", 4310: "over-temperature",
    4315: CONDITION, 5806: "load-high", 6182: "battery-replace",
}  # fmt: skip
APC: Final[Mapping[int, str]] = {
    3: "battery-low", 5: "battery-replace", 7: CONDITION, 8: CONDITION, 9: "load-high", 10: CONDITION,
    12: "on-bypass", 13: "on-bypass", 14: "on-bypass", 15: "on-bypass", 16: "on-bypass", 17: CONDITION, 18: CONDITION,
    22: "shutdown-imminent", 24: "output-bad", 25: "charger-fault", 26: "battery-temperature",
    27: "battery-temperature", 28: "battery-temperature", 29: CONDITION, 30: "battery-low", 33: "battery-missing",
    41: "fan-fault", 45: "over-temperature", 49: "internal-fault", 50: "internal-fault", 51: CONDITION, 52: CONDITION,
    53: "emergency-off", 56: "internal-fault", 58: "output-off", 59: CONDITION,
}  # fmt: skip


def said() -> list[tuple[str, str, dict[str, Raw], str]]:
    """List each alarm: a walk, its name, the object that says it, the alarm that comes of it."""
    tables = [
        ("orvaldi-ups", "1.3.6.1.2.1.33.1.6.2.1.2.1", "1.3.6.1.2.1.33.1.6.3", RFC),
        ("eatonups", "1.3.6.1.4.1.534.1.7.2.1.2.1", "1.3.6.1.4.1.534.1.7", XUPS),
        ("eaton-93e-80", "1.3.6.1.4.1.534.1.7.2.1.2.1", "1.3.6.1.4.1.534.1.7", XUPS),
        ("socomec-ups", "1.3.6.1.4.1.4555.1.1.7.1.6.2.1.2.1", "1.3.6.1.4.1.4555.1.1.7.1.6.3", SOCOMEC_ROWS),
        ("liebert_apm", "1.3.6.1.4.1.476.1.42.3.2.3.1.2.1", "1.3.6.1.4.1.476.1.42.3.2.7.1", LIEBERT),
    ]
    flags: list[tuple[str, str, Raw, Mapping[int, str]]] = [
        ("deltaups", "1.3.6.1.4.1.2254.2.4.9.{}.0", 1, DELTA),
        ("socomec-ups", "1.3.6.1.4.1.4555.1.1.7.1.6.3.{}.0", 1, SOCOMEC),
        ("liebert_apm", "1.3.6.1.4.1.476.1.42.3.9.20.1.20.1.2.100.{}", b"Active Event", LIEBERT),
    ]
    found: list[tuple[str, str, dict[str, Raw], str]] = []
    for name, row, below, alarms in tables:
        found += [
            (name, f"{name}, row {k}", {row: f"{below}.{k}"}, _shown(word, f"{below}.{k}"))
            for k, word in alarms.items()
        ]
    for name, oid, raw, alarms in flags:
        found += [
            (name, f"{name}, {oid.format(k)}", {oid.format(k): raw}, _shown(word, "")) for k, word in alarms.items()
        ]
    for k, word in APC.items():
        flag: Raw = bytes(49 if place in (4, 6, 19, k) else 48 for place in range(1, 65))
        found.append(("apc_smart1500", f"apc, flag {k}", {"1.3.6.1.4.1.318.1.1.1.11.1.1.0": flag}, _shown(word, "")))
    return found


def _shown(word: str, oid: str) -> str:
    return f"ups.{word}.unknown-{oid}" if word == STRANGE else f"ups.{word}" if word else ""
