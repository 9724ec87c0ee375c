"""What a healthy device of a driver holds: who it is, and the samples of its kind."""

from __future__ import annotations

import re
from typing import Final

from edgeagent.catalog import Driver, PointType
from edgeagent.fit import SYS_DESCR, SYS_OBJECT_ID
from edgeagent.items import Identify
from edgeagent.phases import PHASES
from edgeagent.readings import Raw, Value

_NET_SNMP: Final = "1.3.6.1.4.1.8072.3.2.10"
_UPTIME: Final = "1.3.6.1.2.1.1.3.0"


def example(pattern: str) -> str:
    """Return a text that a simple regular expression of a driver file finds."""
    text = re.sub(r"\\([.()\[\]+*-])", r"\1", re.sub(r"\\b|\(\?i\)|[\^$]", "", pattern.partition("|")[0]))
    return text.replace(".*", " ").strip("()")


def introduction(driver: Driver) -> dict[str, Raw]:
    """Return the answers to the questions by which a driver recognises its devices."""
    answers: dict[str, Raw] = {}
    words = {"vendor": "Simulated", "model": driver.text.en, "serial": "SIM-0001", "firmware": "1.0"}
    for item in driver.identity:
        for place, address in enumerate(item.addresses):
            text = words[item.point].encode().ljust(len(item.addresses))
            answers.setdefault(address, text[place] if driver.protocol == "modbus" else text)
    way = driver.identify[0] if driver.identify else Identify()
    if driver.protocol == "snmp":
        answers[SYS_OBJECT_ID] = way.sys_object_ids[0] if way.sys_object_ids else _NET_SNMP
        shown = example(way.sys_descr) if way.sys_descr else f"Simulated {driver.text.en}"
        answers[SYS_DESCR] = shown.encode()
        answers[_UPTIME] = 4242
    for addresses, pattern in way.texts.items():
        text = example(pattern).encode().ljust(len(addresses))
        answers |= dict(zip(addresses, text if len(addresses) > 1 else [text], strict=False))
    for address, wanted in way.equals.items():
        answers[address] = min(wanted)
    for address, ranges in way.between.items():
        answers[address] = int(ranges[0][0])
    for address in way.requires[:1]:
        answers.setdefault(address, 0)
    return answers


def sample(driver: Driver, id: str) -> Value | None:
    """Return what a healthy device shows at a point; the phases of a sum share it."""
    point = driver.kind.point(id)
    if point is None or point.type is PointType.SET:
        return None if point is None else frozenset()
    if point.aggregate == "sum" and id != point.id and isinstance(point.sample, (int, float)):
        return point.sample / sum(f"{point.id}.{phase}" in driver.points for phase in PHASES)
    return point.sample
