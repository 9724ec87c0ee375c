"""A site with everything for drills: devices behind real SNMP, Modbus and HTTP, seats, and people who act."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from edgeagent import resources
from tests.broker import Mosquitto, until
from tests.causescene import raised
from tests.exercises import ask, drilled, lie_retained, may_drill, notice, start, taints
from tests.field import Controller, Simulated
from tests.rig import Daemon, Ear, device, edgeagent, write_site

SCENARIOS: Final = sorted(path.stem for path in (resources.examples() / "drills").glob("*.toml"))
SPEED: Final = 60
SLOWLY: Final = 25
"""Short ones are played slowly: a machine that is busy for half a second must not look like half a minute."""
SHORT: Final = ("door-intrusion", "mains-flapping", "smoke", "ups-self-test", "water-under-floor")
SEATS: Final = 20
ALL_WELL: Final = 0b111
"""Of one seat: softphone runs, workstation online, headset there."""
BOXES: Final = {
    "workstation": '"softphone" = { holding = 1059, bit = 0 }\n"online" = { holding = 1059, bit = 1 }\n',
    "headset": '"present" = { holding = 1059, bit = 2 }\n',
    "environment": "".join(
        f'"{point}" = {{ holding = 1080, bit = {bit} }}\n'
        for bit, point in enumerate(("smoke", "water", "door.front", "intrusion.front"))
    ),
}
COUNTS: Final = {"workstation": SEATS, "headset": 2, "environment": 1}
PLACES: Final[dict[str, Any]] = {
    "workstation": lambda n: {"seat": f"a{n:03}"}, "headset": lambda n: {"seat": f"a{n:03}"},
    "environment": lambda n: {"area": "hall"},
}  # fmt: skip
COOLS: Final = 'fed_by = ["panel"]\ncools = ["hall"]\narea = "hall"'
SNMP: Final = "snmp://127.0.0.1:{port}?version=2c&community=drill"
DEVICES: Final[dict[str, tuple[str, str, str]]] = {
    "ups-a": ("ups/apc-powernet", SNMP, 'fed_by = ["circuit-a"]'),
    "ups-b": ("ups/rfc1628", SNMP, 'fed_by = ["circuit-b"]'),
    "genset": ("generator/dse-gencomm", "modbus://127.0.0.1:{port}?unit=10", ""),
    "ats": ("ats/socomec-atys", "modbus+rtuovertcp://127.0.0.1:{port}?unit=5", 'fed_by = ["mains", "genset"]'),
    "crac-1": ("hvac/liebert-icom", "modbus://127.0.0.1:{port}?unit=1", COOLS),
    "crac-2": ("hvac/liebert-icom", "modbus://127.0.0.1:{port}?unit=1", COOLS),
    "climate": ("environment/renke-ws", "modbus://127.0.0.1:{port}?unit=1", 'area = "hall"\nfed_by = ["ups-a"]'),
    "crm": ("service/http", "service+http://127.0.0.1:{port}/", 'connected_by = ["core"]'),
}  # fmt: skip
TREE: Final = """
[areas.hall]
name = { en = "Hall", zh = "大厅" }
[power.mains]
kind = "mains"
name = { en = "Mains", zh = "市电" }
[power.panel]
kind = "panel"
name = { en = "Panel", zh = "配电柜" }
fed_by = ["ats"]
[power.circuit-a]
name = { en = "Circuit A", zh = "A 回路" }
fed_by = ["panel"]
[power.circuit-b]
name = { en = "Circuit B", zh = "B 回路" }
fed_by = ["panel"]
[network.core]
name = { en = "Core switch", zh = "核心交换机" }
fed_by = ["ups-a", "ups-b"]
[network.switch-a]
name = { en = "Switch A", zh = "A 接入交换机" }
connected_by = ["core"]
fed_by = ["ups-a", "ups-b"]
[network.switch-b]
name = { en = "Switch B", zh = "B 接入交换机" }
connected_by = ["core"]
fed_by = ["ups-a", "ups-b"]
[seats.row-a]
range = "a001..a010"
area = "hall"
fed_by = ["ups-a"]
connected_by = ["switch-a"]
needs = ["crm"]
[seats.row-b]
range = "a011..a020"
area = "hall"
fed_by = ["ups-b"]
connected_by = ["switch-b"]
needs = ["crm"]
spare = ["a020"]
"""


class Hall:
    """The floor: an agent on a site with everything, and the people who carry out what a drill asks of them."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        (folder / "broker").mkdir()
        broker = stack.enter_context(Mosquitto(folder / "broker"))
        self.ear, self.port = stack.enter_context(Ear(broker.port)), broker.port
        box = stack.enter_context(Controller())
        box.write(1059, *[ALL_WELL] * SEATS)
        box.write(1080, 0)
        entries = []
        for kind, points in BOXES.items():
            (folder / "drivers" / kind).mkdir(parents=True)
            (folder / "drivers" / kind / "seat-box.toml").write_text(
                f'driver = "{kind}/seat-box"\nprotocol = "modbus"\nsource = "made for this test"\n'
                f'text = {{ en = "Seats", zh = "座席" }}\n[units]\nlast = {SEATS - 1}\nholding = 1\n[points]\n{points}',
                encoding="utf-8",
            )
            entries += [
                device(f"{kind}-{n:03}", f"{kind}/seat-box", f"modbus://127.0.0.1:{box.port}?unit=10", interval=0.15,
                       index=n - 1, **PLACES[kind](n))
                for n in range(1, COUNTS[kind] + 1)
            ]  # fmt: skip
        starting = {id: Simulated(driver, url.format(port=0)) for id, (driver, url, _) in DEVICES.items()}
        for id, simulated in starting.items():
            driver, url, ties = DEVICES[id]
            entry = device(id, driver, url.format(port=stack.enter_context(simulated).port), interval=0.15, timeout=1)
            entries.append(entry.replace("interval", f"{ties}\ninterval", 1))
        own = f"state = {json.dumps(str(folder / 'state'))}\ndrivers = [{json.dumps(str(folder / 'drivers'))}]"
        self.folder = write_site(folder / "site", broker.port, TREE, *entries, agent=own, language="zh")
        may_drill(self.folder, speed=SPEED)
        self.daemon = stack.enter_context(Daemon(self.folder))
        until(lambda: self.ear.state("headset-002") and self.ear.state("environment-001"))
        until(lambda: ask(self.port, "drill-check", scenario="outage-good-start")["ready"])
        self._done: set[tuple[str, str, str]] = set()

    def act(self, drill: str) -> None:
        """Have people take on what is open and do each step that waits for them."""
        for run in ask(self.port, "runs").get("runs", ()):
            id = run["run_id"]
            if not run["acked_by"] and run["state"] in ("open", "recovering"):
                ask(self.port, "run-ack", run_id=id)
            for step in run["steps"]:
                waits = step["state"] == "ready" and step["role"] != "system" and step["ticked"] != "reading"
                if waits and (drill, id, step["step"]) not in self._done:
                    self._done.add((drill, id, step["step"]))
                    ask(self.port, "step", run_id=id, step=step["step"], action="done", note="演练")

    def play(self, scenario: str, speed: float, within: float) -> dict[str, Any]:
        """Hold a drill to its end and return its report."""
        drill = start(self.port, scenario, speed=speed)

        def over() -> bool:
            self.act(drill)
            last = notice(self.ear).get("last")
            return last is not None and last["drill_id"] == drill

        until(over, within)
        done = edgeagent("drill", "report", drill, "--config", self.folder, "--format", "json")
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report


def comes_out(hall: Hall, scenario: str) -> None:
    """Hold a drill and see that it came out as its file says, and left nothing behind."""
    for speed in (SLOWLY,) if scenario in SHORT else (SPEED, SLOWLY):
        report = hall.play(scenario, speed, 150.0)
        wrong = {
            each["line"]: (each["verdict"], each["actual"])
            for each in report["expectations"]
            if each["verdict"] not in ("met", "held")
        }
        if not wrong:  # else the machine was too busy for so fast a clock, or it is wrong at a slow one too
            break
    assert not wrong, wrong
    assert report["end"] in ("completed", "time")
    assert lie_retained(hall.port) == []
    assert raised(hall.ear) == [], "nothing of a drill is told on the live lane"
    assert "Traceback" not in hall.daemon.log


def all_marked(hall: Hall) -> None:
    """See that all that was said of the drills held so far bears its mark, and nothing else does."""
    drills = {event["exerciseid"] for event in drilled(hall.ear)}
    assert drills
    assert taints(hall.ear, *drills) == []
