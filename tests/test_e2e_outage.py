"""An outage and failing seats from the device to the record: the true agent, simulated devices, mosquitto, commands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.broker import Mosquitto, needs_mosquitto, until
from tests.causescene import LIT, LOST, TREE, Scene, latest, quicken, raised, stamp, step_of
from tests.field import Controller
from tests.rig import SITE, TOPICS, Daemon, Ear, device, edgeagent, write_site

pytestmark = [needs_mosquitto, pytest.mark.slow]

QUICK: Final = {"on_delay": 0.5, "off_delay": 0.5}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


def state_of(ear: Ear, step: str) -> str:
    return str(step_of(latest(ear), step).get("state"))


def test_an_outage_is_one_cause_and_one_run_whose_steps_tick_over_a_kill(tmp_path: Path, broker: Mosquitto) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Scene(stack, tmp_path, broker.port, "ups-a ups-b genset crac", "outage")
        daemon = stack.enter_context(Daemon(site.folder))
        until(lambda: ear.state("ups-b") and ear.state("genset") and ear.state("crac"))
        lost = time.time()
        site.mains(there=False)
        ear.until_raised("mains.mains-lost")
        until(lambda: {"ups-a.on-battery", "ups-b.on-battery", "genset.mains-lost"} <= ear.listed())
        assert raised(ear) == ["mains.mains-lost"], "what the cause explains is listed, and told to nobody"
        for child in ("ups-a.on-battery", "ups-b.on-battery", "genset.mains-lost"):
            until(lambda id=child: ear.record(id))  # type: ignore[misc]
            record = ear.record(child)
            assert (record["state"], record["suppression"]["by"]) == ("suppressed", "mains.mains-lost")
            assert record["root_cause_resource"] == ["mains"]
        assert "市电断电" in ear.record("mains.mains-lost")["short_text"]

        until(lambda: state_of(ear, "ups-carries") == "done")
        run = latest(ear)
        opened, onset = run["run_id"], run["onset"]
        assert abs(stamp(onset) - lost) < 5
        assert abs(stamp(step_of(run, "generator-carries")["due"]) - stamp(onset) - 600) < 0.01
        assert abs(stamp(step_of(run, "generator-carries")["opens"]) - stamp(onset) - 420) < 0.01
        forecast = until(lambda: (said := ear.newest(f"{TOPICS}/forecast")) and said["since"] and said)
        assert "断电" in forecast["texts"]["zh"]
        assert opened in edgeagent("runs", "--config", site.folder).stdout
        site.run("step", opened, "tell", "done", "--note", "已通知运维和经理")
        site.run("step", opened, "appliances-off", "skip", "--note", "已由物业切断")
        refused = edgeagent("step", opened, "appliances-off", "skip", "--config", site.folder)
        assert refused.returncode == 1
        until(lambda: state_of(ear, "tell") == "done")

        daemon.kill()
        site.tell("crac", "set running=false", "set state=off")
        daemon.start()
        until(lambda: state_of(ear, "cooling-off") == "done")
        run = latest(ear)
        assert (run["run_id"], run["onset"]) == (opened, onset), "the run goes on as if nothing had happened"
        assert step_of(run, "tell")["by"] == "王班长"
        assert step_of(run, "appliances-off")["note"] == "已由物业切断"

        site.tell("genset", "set state=running", "set speed=1500", "set output.voltage=230", "set output.frequency=50")
        site.tell("genset", "set on-load=true", "set output.power=42000")
        site.tell("ups-a ups-b", *LIT)
        until(lambda: state_of(ear, "generator-carries") == "done")
        run = latest(ear)
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
        ear.until_cleared("mains.mains-lost")
        until(lambda: state_of(ear, "back-on-mains") == state_of(ear, "cooling-on") == "done", 20)
        site.run("run", "fill", opened, "cause", "供电公司检修")
        site.run("step", opened, "record", "done")
        until(lambda: latest(ear).get("state") == "closed")
        record = until(lambda: (found := ear.newest(f"{TOPICS}/record/{opened}")) and found["over"] and found)
        assert record["form"]["cause"] == "供电公司检修"
        assert raised(ear) == ["mains.mains-lost"]
        assert "Traceback" not in daemon.log

        told = [message for message in ear.messages if message["topic"] == f"{TOPICS}/event/procedure/outage"]
        verbs = [json.loads(message["payload"])["data"]["verb"] for message in told]
        assert verbs.count("opened") == verbs.count("closed") == 1
        report = json.loads(edgeagent("report", opened, "--config", site.folder, "--format", "json").stdout)
        assert report["form"]["cause"] == "供电公司检修"
        assert {step["step"]: step["state"] for step in report["steps"]}["appliances-off"] == "skipped"


def test_one_ups_on_battery_with_the_mains_there_is_a_lost_circuit(tmp_path: Path, broker: Mosquitto) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Scene(stack, tmp_path, broker.port, "ups-a ups-b genset crac", "outage")
        stack.enter_context(Daemon(site.folder))
        until(lambda: ear.state("ups-b") and ear.state("genset"))
        site.tell("ups-a", *LOST)
        ear.until_raised("mains.circuit-lost")
        until(lambda: state_of(ear, "tell") == "ready")
        run = latest(ear)
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
        tree = TREE.replace("hold = 2", "hold = 4").replace('fed_by = ["ups-a"]', 'fed_by = ["panel"]')
        tree = tree.replace('fed_by = ["mains", "genset"]', 'fed_by = ["mains"]')
        own = f"state = {json.dumps(str(tmp_path / 'state'))}\ndrivers = [{json.dumps(str(tmp_path / 'drivers'))}]"
        folder = write_site(tmp_path / "site", broker.port, tree, *entries, agent=own, language="zh")
        quicken(folder, "system-fault", "equipment-fault")
        stack.enter_context(Daemon(folder))
        until(lambda: ear.state("pc-029"))
        box.write(1059 + 6, 0)
        ear.until_raised("pc-007.softphone-down")
        single = until(lambda: latest(ear, "equipment-fault"))
        assert (single["scope"], single["spare"]) == ("a007", "a039")

        before = len(ear.events("", "raised"))
        box.write(1059, *[0] * 29)
        group = until(lambda: [event for event in ear.events("", "raised") if ".group." in event["subject"]])[0]
        assert group["data"]["short_text"] == "配电柜的 29 个座席：软电话未运行", "not the mains above it"
        run = until(lambda: latest(ear, "system-fault"))
        assert abs(stamp(step_of(run, "report")["due"]) - stamp(run["onset"]) - 300) < 0.01
        assert len(ear.events("", "raised")) == before + 1, "no single seat is told of"
        assert {message["topic"] for message in ear.messages if "/procedure/equipment-fault-" in message["topic"]} == {
            f"{TOPICS}/procedure/{single['run_id']}"
        }
        assert SITE in group["source"]
        box.write(1059, *[1] * 29)
        until(lambda: latest(ear, "system-fault").get("state") == "recovering", 20)
