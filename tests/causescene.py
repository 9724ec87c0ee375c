"""A small site for stories of causes: simulated UPSes, a generator, cooling and a sensor, and an agent in a hurry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from edgeagent import resources
from tests.field import Simulated
from tests.rig import TOPICS, Ear, device, edgeagent, write_site

SNMP: Final = "snmp://127.0.0.1:{port}?version=2c&community=operated"
MODBUS: Final = "modbus://127.0.0.1:{port}?unit="
QUICK: Final = {"on_delay": 0.5, "off_delay": 0.5}
LOST: Final = ("set source=battery", "set input.voltage=0", "set input.frequency=0")
LIT: Final = ("set source=normal", "set input.voltage=230", "set input.frequency=50")
RUNS: Final = ("set state=running", "set speed=1500", "set output.voltage=230", "set output.frequency=50")
RESTS: Final = ("set state=stopped", "set speed=0", "set output.voltage=0", "set output.frequency=0")
LOADED: Final = ("set on-load=true", "set output.power=42000")
UNLOADED: Final = ("set on-load=false", "set output.power=0")
DEVICES: Final[Mapping[str, tuple[str, str, str, Mapping[str, Mapping[str, float]]]]] = {
    "ups-a": ("ups/rfc1628", SNMP, 'fed_by = ["panel"]', {"on-battery": QUICK}),
    "ups-b": ("ups/apc-powernet", SNMP, 'fed_by = ["panel"]', {"on-battery": QUICK}),
    "genset": ("generator/dse-gencomm", f"{MODBUS}10", "", {"mains-lost": QUICK, "unreachable": QUICK}),
    "crac": (
        "hvac/liebert-icom", f"{MODBUS}1", 'fed_by = ["panel"]\ncools = ["hall"]\narea = "hall"',
        {"fan-fault": QUICK, "airflow-loss": QUICK, "unit-alarm": QUICK},
    ),
    "probe": (
        "environment/renke-ws", f"{MODBUS}1", 'area = "hall"', {"temperature-high": QUICK, "unreachable": QUICK},
    ),
}  # fmt: skip
_HURRIED: Final = (
    "mains-lost", "circuit-lost", "supply-lost", "generator-failed-to-start", "generator-failed-to-transfer",
    "generator-unknown",
)  # fmt: skip
TREE: Final = """
[areas.hall]
name = { en = "Hall", zh = "大厅" }
[power.mains]
kind = "mains"
name = { en = "Mains", zh = "市电" }
""" + "".join(f"alarms.{type} = {{ on_delay = 0.5, off_delay = 0.5 }}\n" for type in _HURRIED) + """
[power.panel]
kind = "panel"
name = { en = "Panel", zh = "配电柜" }
fed_by = ["mains", "genset"]
[seats.hall]
range = "a001..a040"
area = "hall"
fed_by = ["ups-a"]
spare = ["a039..a040"]
[causes]
hold = 2
settle = 0.5
transfer = 2
"""  # fmt: skip


def quicken(site: Path, *procedures: str, times: Mapping[str, str] = MappingProxyType({})) -> None:
    """Put copies of shipped procedures beside a site, their times to settle and to hold a second or as `times` says."""
    (site / "procedures").mkdir()
    for name in procedures:
        text = (resources.examples() / "procedures" / f"{name}.toml").read_text(encoding="utf-8")
        for key, value in {"settle": "1s", "hold": "1s", **times}.items():
            text = re.sub(rf'\b{key} = "\w+"', f'{key} = "{value}"', text)
        (site / "procedures" / f"{name}.toml").write_text(text, encoding="utf-8")


class Scene:
    """The devices of a site behind real SNMP and Modbus, and the folder of an agent that watches those that are named.

    `procedures` and `times` are for `quicken`. Alarms of the mains are raised after `patience` s.
    """

    def __init__(
        self, stack: ExitStack, folder: Path, broker: int, names: str, *procedures: str, patience: float = 0.5,
        times: Mapping[str, str] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        starting = {id: Simulated(DEVICES[id][0], DEVICES[id][1].format(port=0)) for id in names.split()}
        self.devices = {id: stack.enter_context(simulated) for id, simulated in starting.items()}
        entries = []
        for id, simulated in self.devices.items():
            driver, url, ties, alarms = DEVICES[id]
            entry = device(id, driver, url.format(port=simulated.port), alarms, interval=0.3, timeout=0.4)
            entries.append(entry.replace("interval", f"{ties}\ninterval", 1))
        tree = TREE if "genset" in self.devices else TREE.replace(', "genset"', "")
        tree = tree.replace("on_delay = 0.5", f"on_delay = {patience}")
        self.folder = write_site(folder / "site", broker, tree, *entries, language="zh")
        quicken(self.folder, *procedures, times=times)

    def tell(self, ids: str, *words: str) -> None:
        """Have devices become something else."""
        for id in ids.split():
            for word in words:
                self.devices[id].tell(word)

    def mains(self, *, there: bool) -> None:
        """Take the mains away from all that see it, or give it back."""
        volts, hertz = (230, 50) if there else (0, 0)
        if "genset" in self.devices:
            self.tell("genset", f"set mains.voltage={volts}", f"set mains.frequency={hertz}")
        self.tell(" ".join(id for id in self.devices if id.startswith("ups")), *(LIT if there else LOST))

    def run(self, *words: str) -> str:
        """Give a command as the leader does."""
        done = edgeagent(*words, "--config", self.folder, "--by", "王班长")
        assert done.returncode == 0, done.stderr
        return done.stdout


def runs_of(ear: Ear, procedure: str) -> list[dict[str, Any]]:
    """Return the newest record of each run of a procedure, the latest run last."""
    found = dict.fromkeys(
        message["topic"]
        for message in list(ear.messages)
        if message["topic"].startswith(f"{TOPICS}/procedure/{procedure}-")
    )
    return [record for topic in found if (record := ear.newest(topic))]


def latest(ear: Ear, procedure: str = "outage") -> dict[str, Any]:
    """Return the newest record of the latest run of a procedure, an empty one if there was none."""
    return runs_of(ear, procedure)[-1] if runs_of(ear, procedure) else {}


def step_of(run: Mapping[str, Any], step: str) -> dict[str, Any]:
    """Return one step of a run, an empty one without it."""
    return next((each for each in run.get("steps", ()) if each["step"] == step), {})


def lines(ear: Ear, procedure: str = "outage", *verbs: str) -> list[dict[str, Any]]:
    """Return what was told of runs of a procedure, in the order it came."""
    topic = f"{TOPICS}/event/procedure/{procedure}"
    told = [json.loads(message["payload"]) for message in list(ear.messages) if message["topic"] == topic]
    events = {event["id"]: event["data"] for event in told}
    return [data for data in events.values() if not verbs or data["verb"] in verbs]


def said(ear: Ear, *words: str, procedure: str = "outage") -> bool:
    """Tell whether some line about runs of a procedure has all these words."""
    return any(all(word in json.dumps(line, ensure_ascii=False) for word in words) for line in lines(ear, procedure))


def raised(ear: Ear) -> list[str]:
    """Return the alarms that were told to people, in their order."""
    return [event["subject"] for event in ear.events("", "raised")]


def stamp(text: str) -> float:
    """Read a moment, epoch s."""
    return datetime.fromisoformat(text).timestamp()
