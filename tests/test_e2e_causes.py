"""Stories of outages and heat on the true agent: generators that fail, cards that lie, flapping, a kill in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.broker import Mosquitto, needs_mosquitto, until
from tests.causescene import (
    LIT,
    LOADED,
    LOST,
    RUNS,
    Scene,
    latest,
    lines,
    raised,
    runs_of,
    said,
    stamp,
    step_of,
)
from tests.rig import TOPICS, Daemon, Ear

pytestmark = [needs_mosquitto, pytest.mark.slow]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


def forecast(ear: Ear) -> str:
    """Return the newest line of the forecast in Chinese."""
    record = ear.newest(f"{TOPICS}/forecast")
    return str(record["texts"]["zh"]) if record else ""


def state_of(ear: Ear, step: str) -> str:
    return str(step_of(latest(ear), step).get("state", ""))


def test_a_generator_that_cannot_start_stands_in_the_run_and_keeps_none_open(tmp_path: Path, broker: Mosquitto) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Scene(stack, tmp_path, broker.port, "ups-a ups-b genset", "outage")
        daemon = stack.enter_context(Daemon(site.folder))
        until(lambda: all(ear.state(id) for id in site.devices))
        site.mains(there=False)
        until(lambda: latest(ear))
        site.tell("genset", "set alarms=fail-to-start.shutdown")
        until(lambda: said(ear, "genset 号 启动失败") and said(ear, "供电中断，备用发电机未能启动"))
        until(lambda: "柴油机启动失败" in forecast(ear))
        assert [each["verb"] for each in lines(ear) if "启动失败" in each["texts"]["zh"]] == ["alarm-joined"]
        assert any("genset failed to start" in line["texts"]["en"] for line in lines(ear, "outage", "alarm-joined"))
        assert set(raised(ear)) == {"mains.mains-lost", "genset.fail-to-start", "mains.generator-failed-to-start"}

        site.mains(there=True)
        until(lambda: latest(ear)["state"] == "recovering")
        assert "genset.fail-to-start" in ear.listed(), "it latches, and stands beside a run that recovers all the same"
        until(lambda: "genset 号 启动失败" in forecast(ear))
        assert state_of(ear, "back-on-mains") == "ready", "a set that is locked out is not back in auto"
        site.tell("genset", "set alarms=")
        until(lambda: state_of(ear, "back-on-mains") == "done")

        site.tell("genset", "set mode=manual")
        site.mains(there=False)
        until(lambda: said(ear, "相关告警：genset 号 未处于自动模式"))
        until(lambda: "柴油机没有启动" in forecast(ear))
        assert len(runs_of(ear, "outage")) == 1
        assert "Traceback" not in daemon.log


def test_a_generator_that_runs_and_does_not_carry_or_cannot_be_read_explains_and_is_told(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Scene(stack, tmp_path, broker.port, "ups-a ups-b genset", "outage")
        daemon = stack.enter_context(Daemon(site.folder))
        until(lambda: all(ear.state(id) for id in site.devices))
        site.mains(there=False)
        until(lambda: latest(ear))
        ran = time.time()
        site.tell("genset", *RUNS)
        failed = ear.until_raised("mains.generator-failed-to-transfer")
        assert stamp(failed["time"]) - ran >= 2, "it has the time that the site gives it"
        until(lambda: said(ear, "相关告警：发电机已运行，但负载未切换到发电机"))
        until(lambda: "柴油机未能带载" in forecast(ear))
        site.tell("genset", *LOADED)
        site.tell("ups-a ups-b", *LIT)
        until(lambda: state_of(ear, "generator-carries") == "done")
        until(lambda: said(ear, "已恢复：发电机已运行，但负载未切换到发电机"))

        site.tell("genset", "silence")
        until(lambda: said(ear, "相关告警：genset 号 通信中断"))
        site.tell("ups-a", *LOST)
        until(lambda: said(ear, "相关告警：市电断电，且无法得知发电机状态"))
        site.tell("ups-a", *LIT)
        until(lambda: ear.state("ups-a")["source"] == "normal")
        assert latest(ear)["state"] == "open", "who gives that power cannot be seen, and lit inputs are no mains"
        assert "mains.mains-lost" in ear.listed()
        told = {event["subject"] for event in ear.events("", "raised", "unsuppressed")}
        assert not {"ups-a.on-battery", "ups-b.on-battery", "genset.mains-lost"} & told, "all of it hangs on the mains"

        assert len(runs_of(ear, "outage")) == 1
        assert "Traceback" not in daemon.log


def test_a_self_test_is_no_outage_and_an_onset_is_dated_back_only_by_a_count_that_can_be_trusted(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Scene(stack, tmp_path, broker.port, "ups-a ups-b", "outage", patience=1.5)
        daemon = stack.enter_context(Daemon(site.folder))
        until(lambda: all(ear.state(id) for id in site.devices))
        site.tell("ups-a", "set source=battery", "set alarms=testing", "set battery.time=5")
        site.tell("ups-b", "set source=test")
        until(lambda: ear.state("ups-b")["source"] == "test" and "testing" in ear.state("ups-a")["alarms"])
        site.tell("ups-a ups-b", *LIT, "set battery.time=4000")
        site.tell("ups-a", "set alarms=")
        until(lambda: ear.state("ups-a")["battery.time"] == ear.state("ups-b")["battery.time"] == 4000)
        assert (raised(ear), runs_of(ear, "outage")) == ([], [])

        lost = time.time()
        site.mains(there=False)
        ear.until_raised("mains.mains-lost")
        run = until(lambda: latest(ear))
        assert -0.5 <= stamp(run["onset"]) - lost < 10, "what a card still shows of the last outage dates nothing back"
        site.mains(there=True)
        site.tell("ups-a ups-b", "set battery.time=0")
        ear.until_cleared("mains.mains-lost")

        daemon.kill()
        lost = time.time()
        site.mains(there=False)
        site.tell("ups-a", "ramp battery.time 0 600 600")
        until(lambda: time.time() > lost + 6)  # nobody watches, and the battery counts
        daemon.start()
        until(lambda: len(ear.events("mains.mains-lost", "raised")) == 2)
        until(lambda: abs(stamp(ear.record("mains.mains-lost")["onset"]) - lost) < 5)
        assert "Traceback" not in daemon.log


def test_flapping_mains_are_one_run_and_few_words(tmp_path: Path, broker: Mosquitto) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Scene(stack, tmp_path, broker.port, "ups-a ups-b", "outage")
        daemon = stack.enter_context(Daemon(site.folder))
        until(lambda: all(ear.state(id) for id in site.devices))
        for _ in range(5):
            site.mains(there=False)
            until(lambda: (lost := ear.record("mains.mains-lost")) and not lost["is_cleared"])
            until(lambda: ear.state("ups-b")["source"] == "battery")
            site.mains(there=True)
            until(lambda: ear.state("ups-b")["source"] == "normal")
            until(lambda: (lost := ear.record("mains.mains-lost"))["is_cleared"] or lost["oscillating"])
        assert len(runs_of(ear, "outage")) == 1
        assert len(lines(ear, "outage", "opened")) == 1
        told = ear.events("", "raised", "cleared", "oscillating", "unsuppressed")
        assert {event["subject"] for event in told} == {"mains.mains-lost"}, "no battery is told of on its own"
        assert ear.verbs("mains.mains-lost").count("oscillating") == 1
        assert len(told) <= 6, "once it oscillates it stays raised"
        assert "Traceback" not in daemon.log


def test_a_cooler_that_trips_and_a_sensor_that_dies_are_one_run_of_the_room(tmp_path: Path, broker: Mosquitto) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Scene(stack, tmp_path, broker.port, "ups-a crac probe", "outage", "air-conditioning")
        daemon = stack.enter_context(Daemon(site.folder))
        site.tell("probe", "set temperature=25")
        until(lambda: all(ear.state(id) for id in site.devices))
        site.tell("crac", "set alarms=fan-fault")
        opened = until(lambda: lines(ear, "air-conditioning", "opened"))
        assert "【空调故障（机组故障）】大厅" in opened[0]["texts"]["zh"]
        site.tell("probe", "ramp temperature 25 33 1")
        until(lambda: said(ear, "过高：probe 号", procedure="air-conditioning"))
        site.tell("probe", "silence")
        until(lambda: said(ear, "相关告警：probe 号 通信中断", procedure="air-conditioning"))
        run = latest(ear, "air-conditioning")
        assert (run["scope"], run["state"]) == ("hall", "open")
        assert "probe.temperature-high" in run["standing"], "a sensor that dies cools no room"

        daemon.kill()
        daemon.start()
        until(lambda: not any(room["limit_from"] for room in ear.newest(f"{TOPICS}/forecast")["heat"]))
        assert latest(ear, "air-conditioning")["standing"] == run["standing"]
        assert len(runs_of(ear, "air-conditioning")) == 1
        assert "Traceback" not in daemon.log


def test_a_kill_in_the_middle_changes_no_clock_and_what_fell_due_is_told_once(
    tmp_path: Path, broker: Mosquitto
) -> None:
    times = {"due": "18s", "opens": "9s", "remind": "9s", "after": "20s", "ack_lapse": "1h"}
    with ExitStack() as stack, Ear(broker.port) as ear:
        site = Scene(stack, tmp_path, broker.port, "ups-a ups-b genset", "outage", times=times)
        daemon = stack.enter_context(Daemon(site.folder))
        until(lambda: all(ear.state(id) for id in site.devices))
        site.mains(there=False)
        run = until(lambda: latest(ear))
        opened, onset, due = run["run_id"], run["onset"], step_of(run, "tell")["due"]
        site.run("run", "ack", opened)
        site.run("step", opened, "appliances-off", "done")
        until(lambda: state_of(ear, "appliances-off") == "done" and "ups-a.on-battery" in ear.listed())
        daemon.kill()
        until(lambda: time.time() > stamp(due) + 4, 40)  # what is due falls due while nobody serves it
        daemon.start()
        until(lambda: len(lines(ear, "outage", "escalated")) == 3)
        run = until(lambda: (now := latest(ear)) and step_of(now, "tell")["overdue"] and now)
        assert (run["run_id"], run["onset"], step_of(run, "tell")["due"]) == (opened, onset, due)
        assert (step_of(run, "appliances-off")["by"], run["acked_by"]) == ("王班长", "王班长")
        late = [line["step"] for line in lines(ear, "outage", "step-overdue")]
        assert sorted(late) == ["cooling-off", "generator-carries", "tell"], "each of them once"
        assert len(lines(ear, "outage", "opened")) == 1

        site.tell("genset", "set mains.voltage=230", "set mains.frequency=50")
        site.tell("ups-b", *LIT)
        ear.until_cleared("mains.mains-lost")
        until(lambda: ear.events("ups-a.on-battery", "unsuppressed"))
        record = ear.record("ups-a.on-battery")
        assert (record["state"], record["root_cause_resource"]) == ("unack", []), "what stays speaks for itself"
        assert not ear.events("ups-b.on-battery", "unsuppressed")
        assert "mains.circuit-lost" not in raised(ear), "each UPS returns to the mains in its own time"
        assert len(lines(ear, "outage", "escalated")) == 3
        assert "Traceback" not in daemon.log
