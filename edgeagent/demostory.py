"""The site that the demo shows, and what happens to it: devices, tree, people, an outage in fast motion. Data only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgeagent import resources
from edgeagent.catalog import Catalog
from edgeagent.readings import Value
from edgeagent.simulator import SimulatedDevice

SITE: Final = "demo"
ROUND: Final = 48.0
"""Seconds from one mains failure to the next."""
LEADER: Final = "王班长 (demo)"
OM: Final = "陈工 (demo)"
SUPERVISOR: Final = "林主管 (demo)"
_FAST: Final = 10.0
"""Alarm delays are shorter than a real site's by this factor."""
_OFTEN: Final = 0.1
"""s between two polls, at the least, while a drill runs faster than real."""


class DemoError(Exception):
    """The demo cannot run; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One simulated device: its driver, its URL before the port is known, its names, what differs from healthy.

    `contacts` are the points of its inputs, from 1, each of which is closed when it is so.
    """

    driver: str
    url: str
    en: str
    zh: str
    area: str
    ties: str = ""
    begin: dict[str, Value] = field(default_factory=dict)
    contacts: tuple[str, ...] = ()

    def device(self, catalog: Catalog) -> SimulatedDevice:
        """Make it."""
        wires = {("contact", number): (point, False) for number, point in enumerate(self.contacts, 1)}
        return SimulatedDevice(catalog.drivers[self.driver].wired(wires), self.begin)


_SNMP: Final = "snmp://127.0.0.1:0?version=2c&community=demo"
_FED: Final = 'fed_by = ["panel"]'
_COOLS: Final = f'{_FED}\ncools = ["hall"]'
DEVICES: Final[Mapping[str, Plan]] = {
    "ups-a": Plan("ups/apc-powernet", _SNMP, "UPS A", "A 路 UPS", "power-room", _FED),
    "ups-b": Plan("ups/rfc1628", _SNMP, "UPS B", "B 路 UPS", "power-room", _FED),
    "genset": Plan(
        "generator/dse-gencomm", "modbus://127.0.0.1:0?unit=10", "Diesel generator", "柴油发电机", "power-room"
    ),
    "ats": Plan(
        "ats/socomec-atys", "modbus+rtuovertcp://127.0.0.1:0?unit=5", "Transfer switch", "自动转换开关", "power-room",
        'fed_by = ["mains", "genset"]',
    ),
    "crac-1": Plan("hvac/liebert-icom", "modbus://127.0.0.1:0?unit=1", "Air conditioner 1", "1 号空调", "hall", _COOLS),
    "crac-2": Plan("hvac/liebert-icom", "modbus://127.0.0.1:0?unit=1", "Air conditioner 2", "2 号空调", "hall", _COOLS),
    "climate": Plan(
        "environment/xy-md02", "modbus://127.0.0.1:0?unit=1", "Hall climate", "大厅温湿度", "hall", 'fed_by = ["ups-a"]'
    ),
    "contacts": Plan(
        "environment/moxa-iologik-e1212", "modbus://127.0.0.1:0?unit=1", "Dry contacts", "干接点模块", "power-room",
        'fed_by = ["ups-a"]', contacts=("smoke", "water", "door.front", "intrusion.hall"),
    ),
}  # fmt: skip
_TREE: Final = """
[areas.power-room]
name = { en = "Power room", zh = "配电间" }
[areas.hall]
name = { en = "Agents' hall", zh = "座席大厅" }

[power.mains]
kind = "mains"
name = { en = "Mains", zh = "市电" }
[power.panel]
kind = "panel"
name = { en = "Main panel", zh = "总配电柜" }
fed_by = ["ats"]

[seats.left]
range = "a001..a020"
area = "hall"
fed_by = ["ups-a"]
spare = ["a019..a020"]
[seats.right]
range = "b001..b020"
area = "hall"
fed_by = ["ups-b"]

[devices.this-host]
name = { en = "This host", zh = "本机" }
driver = "workstation/host"
url = "host://"
fed_by = ["ups-a"]
"""
_QUICK: Final = "[causes]\nhold = 2.5\nsettle = 1\n"


def write(
    folder: Path, broker: int, served: Mapping[str, tuple[SimulatedDevice, int]], speed: float | None = None
) -> None:  # fmt: skip
    """Write the configuration of the site; `served` has each device and its port.

    All its delays are shortened, as the story needs it; with `speed` they are true ones, and a drill may run so fast.
    """
    interval = 1.0 if speed is None else max(_OFTEN, 1.0 / speed)
    lines = [
        f'[site]\nid = "{SITE}"\nname = {{ en = "Demo call centre", zh = "演示呼叫中心" }}\n',
        f'[agent]\nid = "edge-demo"\nstate = "{folder / "state"}"\n',
        f'[feed]\nbroker = "mqtt://127.0.0.1:{broker}"\n[homeassistant]\n',
        _TREE,
        _QUICK if speed is None else f"[drills]\nspeed = {speed:g}\n",
    ]
    for id, (device, port) in served.items():
        plan = DEVICES[id]
        url = plan.url.replace(":0?", f":{port}?")
        lines.append(
            f'[devices.{id}]\nname = {{ en = "{plan.en}", zh = "{plan.zh}" }}\ndriver = "{plan.driver}"\n'
            f'url = "{url}"\narea = "{plan.area}"\ninterval = {interval:g}\n{plan.ties}\n'
        )
        if plan.contacts:
            lines.append(f"[devices.{id}.contacts]")
            lines += [f'{n} = {{ point = "{point}", active = "closed" }}' for n, point in enumerate(plan.contacts, 1)]
        if speed is None:
            lines += _quick(id, device)
    lines += [_alarm("power.mains", type, 0.5, 3) for type in ("mains-lost", "circuit-lost") if speed is None]
    folder.mkdir()
    (folder / "site.toml").write_text("\n".join(lines), encoding="utf-8")
    if speed is None:
        (folder / "procedures").mkdir()
        outage = (resources.examples() / "procedures" / "outage.toml").read_text(encoding="utf-8")
        quick = re.sub(r'(settle|hold) = "\d+s"', r'\1 = "1s"', outage)
        (folder / "procedures" / "outage.toml").write_text(quick, encoding="utf-8")


def _quick(id: str, device: SimulatedDevice) -> Iterator[str]:
    for alarm in device.driver.kind.alarms.values():
        if alarm.each is None:
            on = max(level.on_delay for level in alarm.levels) / _FAST
            yield _alarm(f"devices.{id}", alarm.id, on, alarm.off_delay / _FAST)


def _alarm(resource: str, alarm: str, on: float, off: float) -> str:
    return f"[{resource}.alarms.{alarm}]\non_delay = {on}\noff_delay = {off}\n"


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens `at` seconds of a round.

    `values` are set, `ramps` are (device, point, from, to, seconds), `steps` are what the shift leader has done then.
    """

    at: float
    en: str
    zh: str
    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    ramps: tuple[tuple[str, str, float, float, float], ...] = ()
    steps: tuple[str, ...] = ()


_DEAD: Final[dict[str, Value]] = {"source": "battery", "input.voltage": 0.0, "input.frequency": 0.0}
_LIT: Final[dict[str, Value]] = {"source": "normal", "input.voltage": 229.0, "input.frequency": 50.0}
_OFF: Final[dict[str, Value]] = {"running": False, "state": "off"}
_ON: Final[dict[str, Value]] = {"running": True, "state": "on"}
STORY: Final = (
    Scene(
        8, "the mains fails", "市电断电",
        {
            "ups-a": _DEAD, "ups-b": _DEAD, "ats": {"source.mains": "lost"},
            "genset": {"mains.voltage": 0.0, "mains.frequency": 0.0},
        },
        tuple(ramp for ups in ("ups-a", "ups-b") for ramp in (
            (ups, "battery.charge", 100.0, 88.0, 16.0), (ups, "battery.runtime", 2400.0, 1980.0, 16.0)
        )),
    ),
    Scene(
        11, "the leader tells O&M and manager, switches the kitchen off", "班组长通知运维和经理，关闭茶水间电器",
        steps=("tell", "appliances-off"),
    ),
    Scene(
        12, "the diesel cranks, the air conditioning is switched off", "柴油发电机启动中，关闭空调",
        {"genset": {"state": "starting", "speed": 220.0}, "crac-1": _OFF, "crac-2": _OFF},
        (("climate", "temperature", 24.0, 26.5, 14.0),),
    ),
    Scene(
        16, "the diesel runs", "柴油发电机运行",
        {"genset": {"state": "running", "speed": 1500.0, "output.voltage": 230.0, "output.frequency": 50.0}},
    ),
    Scene(
        19, "the diesel carries the load", "柴油发电机带载",
        {
            "ups-a": _LIT, "ups-b": _LIT, "genset": {"on-load": True, "output.power": 42000.0},
            "ats": {"position": "generator", "source.generator": "available"},
        },
    ),
    Scene(
        27, "the mains returns", "市电恢复",
        {
            "genset": {
                "mains.voltage": 231.0, "mains.frequency": 50.0, "on-load": False,
                "output.power": 0.0, "state": "cooling",
            },
            "ats": {"position": "mains", "source.mains": "available"}, "crac-1": _ON, "crac-2": _ON,
            "ups-a": {"battery.runtime": 2400.0}, "ups-b": {"battery.runtime": 2400.0},
        },
        (
            ("climate", "temperature", 26.5, 24.0, 8.0), ("ups-a", "battery.charge", 88.0, 100.0, 12.0),
            ("ups-b", "battery.charge", 88.0, 100.0, 12.0),
        ),
    ),
    Scene(
        33, "all is back to normal", "全部恢复正常",
        {
            "genset": {"state": "stopped", "speed": 0.0, "output.voltage": 0.0, "output.frequency": 0.0},
            "ats": {"source.generator": "lost"},
        },
    ),
    Scene(40, "the shift leader writes the record", "值班班组长填写故障记录", steps=("record",)),
)  # fmt: skip
"""An outage as PROCEDURES tells it, in under a minute."""
