"""An outage and failing seats from the device to the record: the true agent, simulated devices, mosquitto, commands."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from edgeagent import resources
from tests.broker import Mosquitto, needs_mosquitto, until
from tests.field import Controller, Simulated
from tests.rig import SITE, TOPICS, Daemon, Ear, device, edgeagent, write_site

pytestmark = [needs_mosquitto, pytest.mark.slow]

SNMP: Final = "snmp://127.0.0.1:{port}?version=2c&community=operated"
QUICK: Final = {"on_delay": 0.5, "off_delay": 0.5}
DEVICES: Final[Mapping[str, tuple[str, str, str]]] = {
    "ups-a": ("ups/rfc1628", SNMP, 'fed_by = ["panel"]'),
    "ups-b": ("ups/apc-powernet", SNMP, 'fed_by = ["panel"]'),
    "genset": ("generator/dse-gencomm", "modbus://127.0.0.1:{port}?unit=10", ""),
    "crac": ("hvac/liebert-icom", "modbus://127.0.0.1:{port}?unit=1", 'fed_by = ["panel"]\ncools = ["hall"]'),
}  # fmt: skip
TREE: Final = """
[areas.hall]
name = { en = "Hall", zh = "大厅" }
[power.mains]
kind = "mains"
name = { en = "Mains", zh = "市电" }
alarms.mains-lost = { on_delay = 0.5, off_delay = 0.5 }
alarms.circuit-lost = { on_delay = 0.5, off_delay = 0.5 }
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
hold = 4
settle = 0.5
"""
LOST: Final = ("set source=battery", "set input.voltage=0", "set input.frequency=0")
LIT: Final = ("set source=normal", "set input.voltage=230", "set input.frequency=50")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


def quick_procedures(site: Path, *names: str) -> None:
    """Put copies of shipped procedures beside the site, their times to settle and to hold shortened to a second."""
    (site / "procedures").mkdir()
    for name in names:
        text = (resources.examples() / "procedures" / f"{name}.toml").read_text(encoding="utf-8")
        quick, count = re.subn(r'(settle|hold) = "\w+"', r'\1 = "1s"', text)
        assert count
        (site / "procedures" / f"{name}.toml").write_text(quick, encoding="utf-8")


class Site:
    """The devices of a small site behind real SNMP and Modbus, and the folder of an agent that watches them."""

    def __init__(self, stack: ExitStack, folder: Path, broker: int) -> None:
        self.devices = {
            id: stack.enter_context(Simulated(driver, url.format(port=0))) for id, (driver, url, _) in DEVICES.items()
        }
        entries = []
        for id, (driver, url, ties) in DEVICES.items():
            overrides = {"on-battery": QUICK} if driver.startswith("ups/") else {}
            entry = device(id, driver, url.format(port=self.devices[id].port), overrides, interval=0.3)
            entries.append(entry.replace("interval", f"{ties}\ninterval", 1))
        self.folder = write_site(folder / "site", broker, TREE, *entries, language="zh")
        quick_procedures(self.folder, "outage")

    def tell(self, ids: str, *words: str) -> None:
        for id in ids.split():
            for word in words:
                self.devices[id].tell(word)

    def mains(self, *, there: bool) -> None:
        self.tell(
            "genset",
            *(
                f"set mains.{point}"
                for point in (("voltage=230", "frequency=50") if there else ("voltage=0", "frequency=0"))
            ),
        )
        self.tell("ups-a ups-b", *(LIT if there else LOST))

    def run(self, *words: str) -> str:
        """Give a command as the leader does."""
        by = () if words == ("runs",) else ("--by", "王班长")
        done = edgeagent(*words, "--config", self.folder, *by)
        assert done.returncode == 0, done.stderr
        return done.stdout


def run_of(ear: Ear, procedure: str) -> dict[str, Any] | None:
    """Return the newest retained record of a run of a procedure."""
    found = [message for message in ear.messages if message["topic"].startswith(f"{TOPICS}/procedure/{procedure}-")]
    return ear.newest(found[-1]["topic"]) if found else None


def state_of(ear: Ear, step: str, procedure: str = "outage") -> str:
    run = run_of(ear, procedure)
    return next((each["state"] for each in run["steps"] if each["step"] == step), "") if run else ""


def raised(ear: Ear) -> set[str]:
    return {event["subject"] for event in ear.events("", "raised")}


def test_an_outage_is_one_cause_and_one_run_whose_steps_tick_over_a_kill(tmp_path: Path, broker: Mosquitto) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Site(stack, tmp_path, broker.port)
        daemon = stack.enter_context(Daemon(site.folder))
        until(lambda: ear.state("ups-b") and ear.state("genset") and ear.state("crac"))
        lost = time.time()
        site.mains(there=False)
        ear.until_raised("mains.mains-lost")
        until(lambda: {"ups-a.on-battery", "ups-b.on-battery", "genset.mains-lost"} <= ear.listed(), 15)
        assert raised(ear) == {"mains.mains-lost"}, "what the cause explains is listed, and told to nobody"
        for child in ("ups-a.on-battery", "ups-b.on-battery", "genset.mains-lost"):
            record = ear.record(child)
            assert (record["state"], record["suppression"]["by"]) == ("suppressed", "mains.mains-lost")
            assert record["root_cause_resource"] == ["mains"]
        assert "市电断电" in ear.record("mains.mains-lost")["short_text"]

        until(lambda: state_of(ear, "ups-carries") == "done")
        run = run_of(ear, "outage")
        assert run is not None
        opened, onset = run["run_id"], run["onset"]
        assert abs(stamp(onset) - lost) < 3
        assert abs(stamp(step_of(run, "generator-carries")["due"]) - stamp(onset) - 600) < 0.01
        assert abs(stamp(step_of(run, "generator-carries")["opens"]) - stamp(onset) - 420) < 0.01
        forecast = until(lambda: (said := ear.newest(f"{TOPICS}/forecast")) and said["since"] and said)
        assert "断电" in forecast["texts"]["zh"]
        assert opened in site.run("runs")
        site.run("step", opened, "tell", "done", "--note", "已通知运维和经理")
        site.run("step", opened, "appliances-off", "skip", "--note", "已由物业切断")
        refused = edgeagent("step", opened, "appliances-off", "skip", "--config", site.folder)
        assert refused.returncode == 1
        until(lambda: state_of(ear, "tell") == "done")

        daemon.kill()
        site.tell("crac", "set running=false", "set state=off")
        daemon.start()
        until(lambda: state_of(ear, "cooling-off") == "done", 15)
        run = run_of(ear, "outage")
        assert run is not None
        assert (run["run_id"], run["onset"]) == (opened, onset), "the run goes on as if nothing had happened"
        assert step_of(run, "tell")["by"] == "王班长"
        assert step_of(run, "appliances-off")["note"] == "已由物业切断"

        site.tell("genset", "set state=running", "set speed=1500", "set output.voltage=230", "set output.frequency=50")
        site.tell("genset", "set on-load=true", "set output.power=42000")
        site.tell("ups-a ups-b", *LIT)
        until(lambda: state_of(ear, "generator-carries") == "done", 15)
        run = run_of(ear, "outage")
        assert run is not None
        evidence = {
            (each["resource"], each["point"]): each["value"] for each in step_of(run, "generator-carries")["evidence"]
        }
        assert evidence["mains", "generator"] == "carrying"
        assert evidence["ups-a", "source"] == evidence["ups-b", "source"] == "normal"

        site.mains(there=True)
        site.tell(
            "genset",
            "set on-load=false",
            "set output.power=0",
            "set state=stopped",
            "set speed=0",
            "set output.voltage=0",
        )
        site.tell("crac", "set running=true", "set state=on")
        ear.until_cleared("mains.mains-lost", 15)
        until(lambda: state_of(ear, "back-on-mains") == state_of(ear, "cooling-on") == "done", 20)
        site.run("run", "fill", opened, "cause", "供电公司检修")
        site.run("step", opened, "record", "done")
        until(lambda: (run_of(ear, "outage") or {}).get("state") == "closed")
        record = until(lambda: (found := ear.newest(f"{TOPICS}/record/{opened}")) and found["over"] and found)
        assert record["form"]["cause"] == "供电公司检修"
        assert raised(ear) == {"mains.mains-lost"}
        assert "Traceback" not in daemon.log

        told = [message for message in ear.messages if message["topic"] == f"{TOPICS}/event/procedure/outage"]
        verbs = [json.loads(message["payload"])["data"]["verb"] for message in told]
        assert verbs.count("opened") == verbs.count("closed") == 1
        report = json.loads(edgeagent("report", opened, "--config", site.folder, "--format", "json").stdout)
        assert report["form"]["cause"] == "供电公司检修"
        assert {step["step"]: step["state"] for step in report["steps"]}["appliances-off"] == "skipped"


def test_one_ups_on_battery_with_the_mains_there_is_a_lost_circuit(tmp_path: Path, broker: Mosquitto) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Site(stack, tmp_path, broker.port)
        stack.enter_context(Daemon(site.folder))
        until(lambda: ear.state("ups-b") and ear.state("genset"))
        site.tell("ups-a", *LOST)
        ear.until_raised("mains.circuit-lost")
        until(lambda: state_of(ear, "tell") == "ready")
        run = run_of(ear, "outage")
        assert run is not None
        assert "呼叫中心线路故障断电" in run["short_text"]
        assert "mains.mains-lost" not in raised(ear)
        assert step_of(run, "generator-carries")["state"] == "waiting", "its own circuit alone calls no generator"


SEATS: Final = 40
SEAT_BOX: Final = f"""
driver = "workstation/seat-box"
protocol = "modbus"
text = {{ en = "Softphones of {SEATS} seats", zh = "{SEATS} 个座席的软电话" }}
source = "made for this test"
[units]
last = {SEATS - 1}
holding = 1
[points]
"softphone" = {{ holding = 1059, bit = 0 }}
"""


def test_forty_softphones_are_one_system_fault_and_one_is_a_seats_with_a_spare_named(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        box = stack.enter_context(Controller())
        box.write(1059, *[1] * 29)
        entries = [
            device(f"pc-{n:03}", "workstation/seat-box", f"modbus://127.0.0.1:{box.port}?unit=10",
                   {"softphone-down": QUICK}, interval=0.5, index=n - 1, seat=f"a{n:03}")  # type: ignore[arg-type]
            for n in range(1, 30)
        ]  # fmt: skip
        drivers = tmp_path / "drivers" / "workstation"
        drivers.mkdir(parents=True)
        (drivers / "seat-box.toml").write_text(SEAT_BOX, encoding="utf-8")
        tree = TREE.replace('fed_by = ["ups-a"]', 'fed_by = ["panel"]').replace(
            'fed_by = ["mains", "genset"]', 'fed_by = ["mains"]'
        )
        own = f"state = {json.dumps(str(tmp_path / 'state'))}\ndrivers = [{json.dumps(str(tmp_path / 'drivers'))}]"
        folder = write_site(tmp_path / "site", broker.port, tree, *entries, agent=own, language="zh")
        quick_procedures(folder, "system-fault", "equipment-fault")
        stack.enter_context(Daemon(folder))
        until(lambda: ear.state("pc-029"))
        box.write(1059 + 6, 0)
        ear.until_raised("pc-007.softphone-down", 15)
        single = until(lambda: run_of(ear, "equipment-fault"))
        assert (single["scope"], single["spare"]) == ("a007", "a039")

        before = len(ear.events("", "raised"))
        box.write(1059, *[0] * 29)
        group = until(lambda: [event for event in ear.events("", "raised") if ".group." in event["subject"]], 15)[0]
        assert group["data"]["short_text"] == "配电柜的 29 个座席：软电话未运行", "not the mains above it"
        run = until(lambda: run_of(ear, "system-fault"))
        assert abs(stamp(step_of(run, "report")["due"]) - stamp(run["onset"]) - 300) < 0.01
        assert len(ear.events("", "raised")) == before + 1, "no single seat is told of"
        assert {message["topic"] for message in ear.messages if "/procedure/equipment-fault-" in message["topic"]} == {
            f"{TOPICS}/procedure/{single['run_id']}"
        }
        box.write(1059, *[1] * 29)
        until(lambda: (run_of(ear, "system-fault") or {}).get("state") == "recovering", 30)
        assert SITE in group["source"]


def step_of(run: Mapping[str, Any], step: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in run["steps"] if each["step"] == step)
    return found


def stamp(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
