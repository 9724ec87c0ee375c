"""Drills on the true agent: simulated devices behind real SNMP and Modbus, mosquitto, and what is real beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from edgeagent.mqtt import MqttError
from tests.broker import Mosquitto, needs_mosquitto, until
from tests.causescene import Scene, raised, stamp
from tests.exercises import (
    DRILL,
    LIVE,
    QUICK,
    ask,
    drilled,
    lie_retained,
    may_drill,
    notice,
    run_of,
    start,
    taints,
    until_over,
)
from tests.rig import Daemon, Ear, edgeagent

pytestmark = [needs_mosquitto, pytest.mark.slow]

POWER: Final = "ups-a ups-b genset crac probe"
LOAD: Final = """
scenario = "load"
version = 1
text = { en = "High load", zh = "负载过高" }
purpose = { en = "To see that it works", zh = "验证功能" }
procedure = "outage"
timeline = ["at 0:00 ups-a output.load = 90", "at 9:00 ups-a released"]
expect = ["by 1:00 alarm ups-a.load-high"]
"""
"""One minor alarm, which opens no run."""
TURNS: Final = ("battery-replace", "bypass-unavailable", "charger-fault", "fan-fault", "test-failed")
"""Alarms that come and go in earnest, each but twice: three raises in a minute would be chatter."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


class Floor:
    """A site with an agent that may rehearse."""

    def __init__(
        self, stack: ExitStack, folder: Path, broker: Mosquitto, ear: Ear, *scenarios: str, speed: float = 1
    ) -> None:
        self.ear, self.port = ear, broker.port
        self.scene = Scene(stack, folder, broker.port, POWER, "outage", "air-conditioning")
        may_drill(self.scene.folder, *scenarios, speed=speed)
        with (self.scene.folder / "site.toml").open("a", encoding="utf-8") as site:
            quick = [f"ups-a.alarms.{type}" for type in ("load-high", *TURNS)] + ["ups-b.alarms.load-high"]
            site.writelines(f"[devices.{alarm}]\non_delay = 0.5\noff_delay = 0.5\n" for alarm in quick)
        self.daemon = stack.enter_context(Daemon(self.scene.folder))
        until(lambda: all(ear.state(id) for id in POWER.split()))
        until(lambda: ask(self.port, "drill-check", scenario="outage-good-start")["ready"])


@pytest.fixture
def quick(tmp_path: Path, broker: Mosquitto) -> Iterator[Floor]:
    with ExitStack() as stack, Ear(broker.port) as ear:
        yield Floor(stack, tmp_path, broker, ear, QUICK)


def heard(ear: Ear, topic: str) -> int:
    """Return the place of the first message on a topic among all that came."""
    return next(place for place, message in enumerate(ear.messages) if message["topic"].startswith(topic))


def test_a_real_outage_ends_a_drill_of_one_and_is_told_first(quick: Floor) -> None:
    ear = quick.ear
    drill = start(quick.port, "quick")
    until(lambda: drilled(ear, "opened"))
    assert notice(ear)["state"] == "running"
    assert raised(ear) == []
    quick.scene.mains(there=False)
    ear.until_raised("mains.mains-lost")
    over = until_over(ear, drill)
    assert (over["end"], over["reason"]) == ("real-alarm", "mains.mains-lost")
    run = until(lambda: ear.newest(f"{LIVE}/procedure/{ear_run(ear)}"))
    assert run["mode"] == "live"
    assert run["run_id"].startswith("outage-")
    until(lambda: drilled(ear, "ended"))
    verbs = [event["data"]["verb"] for event in drilled(ear)]
    assert "aborted" in verbs, "the drill's own run is closed with it"
    events = [message["topic"] for message in ear.messages if "/event/" in message["topic"]]
    ended = next(
        place for place, message in enumerate(ear.messages)
        if message["topic"].startswith(f"{DRILL}/event/exercise/") and '"verb":"ended"' in message["payload"]
    )  # fmt: skip
    assert heard(ear, f"{LIVE}/event/alarm/critical") < ended, events
    assert lie_retained(quick.port) == []
    assert taints(ear, drill) == []
    assert "Traceback" not in quick.daemon.log


def ear_run(ear: Ear) -> str:
    topic = until(
        lambda: next((m["topic"] for m in ear.messages if m["topic"].startswith(f"{LIVE}/procedure/outage-")), "")
    )
    return str(topic.rpartition("/")[2])


def test_one_alarm_of_one_device_is_real_and_drilled_and_stays_two(tmp_path: Path, broker: Mosquitto) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        floor = Floor(stack, tmp_path, broker, ear, LOAD)
        drill = start(floor.port, "load")
        event = until(lambda: drilled(ear, "raised"), 60)[0]
        assert event["subject"] == "ups-a.load-high"
        floor.scene.tell("ups-a", "set output.load=85")
        ear.until_raised("ups-a.load-high", 60)
        real, shown = ear.record("ups-a.load-high"), ear.newest(f"{DRILL}/alarm/ups-a.load-high")
        assert (real["mode"], real["value"]["value"], real["exercise_id"]) == ("live", 85, None)
        assert (shown["mode"], shown["value"]["value"], shown["exercise_id"]) == ("drill", 90, drill)
        assert ear.state("ups-a")["output.load"] == 85
        assert ear.newest(f"{DRILL}/device/ups-a/state")["output.load"] == 90
        floor.scene.tell("ups-a", "set output.load=30")
        ear.until_cleared("ups-a.load-high", 60)
        assert notice(ear)["state"] == "running", "a real minor alarm ends no drill"
        assert ask(floor.port, "drill-stop", reason="gesehen")["ok"]
        until_over(ear, drill)
        assert ear.record("ups-a.load-high")["mode"] == "live"
        assert taints(ear, drill) == []


def test_a_device_that_falls_silent_in_earnest_is_told_on_the_live_lane(quick: Floor) -> None:
    ear = quick.ear
    drill = start(quick.port, "quick")
    until(lambda: drilled(ear, "opened"))
    quick.scene.tell("ups-a", "silence")
    ear.until_raised("ups-a.unreachable")
    assert until_over(ear, drill)["end"] == "real-alarm"
    assert lie_retained(quick.port) == []


def test_a_drill_dies_with_its_agent_and_is_never_taken_up_again(quick: Floor) -> None:
    ear = quick.ear
    drill = start(quick.port, "quick")
    run = until(lambda: run_of(ear, "outage"))
    assert ask(quick.port, "step", run_id=run["run_id"], step="tell", action="done")["ok"]
    assert not ask(quick.port, "step", "live", run_id=run["run_id"], step="tell", action="done")["ok"]
    quick.daemon.kill()
    quick.daemon.start()
    over = until_over(ear, drill)
    assert over["end"] == "restart"
    until(lambda: lie_retained(quick.port) == [])
    until(lambda: ear.state("ups-b"))
    assert raised(ear) == []
    assert ask(quick.port, "runs", "live")["runs"] == []
    assert ask(quick.port, "runs")["reason"] == "no-drill"
    report = json.loads(edgeagent("drill", "report", drill, "--config", quick.scene.folder, "--format", "json").stdout)
    assert report["end"] == "restart"
    verdicts = {each["line"]: each["verdict"] for each in report["expectations"]}
    assert verdicts["by 0:30 alarm mains-lost"] == "met", "what was judged before the kill stays judged"


def test_a_broker_that_comes_back_finds_the_drill_going_on(quick: Floor, broker: Mosquitto) -> None:
    ear = quick.ear
    drill = start(quick.port, "quick")
    until(lambda: drilled(ear, "opened"))
    broker.stop()
    broker.start()
    until(lambda: ask_patiently(quick.port, "drill-status").get("state") == "running")
    assert set(lie_retained(quick.port)) >= {f"{DRILL}/exercise", f"{DRILL}/alarms", f"{DRILL}/alarm/mains.mains-lost"}
    assert ask(quick.port, "drill-stop")["ok"]
    until(lambda: lie_retained(quick.port) == [])
    assert drill


def ask_patiently(port: int, verb: str) -> dict[str, Any]:
    try:
        return ask(port, verb, within=2.0)
    except (MqttError, TimeoutError):  # the broker or the agent is not there yet; who listens to all may be
        return {}


def test_there_is_one_drill_and_anyone_stops_it(quick: Floor) -> None:
    ear = quick.ear
    asked: dict[str, Any] = {
        "scenario": "quick", "owner": "王班长", "confirmed_by": "李主管", "transaction": "once",
    }  # fmt: skip
    first = ask(quick.port, "drill-start", **asked)
    assert ask(quick.port, "drill-start", **asked) == first, "the same wish, told twice, is one drill"
    second = ask(quick.port, "drill-start", **{**asked, "transaction": "twice"})
    assert (second["ok"], second["reason"]) == (False, "already-running")
    assert ask(quick.port, "drill-start", "live", **{**asked, "transaction": "3"})["reason"] == "no-drill"
    until(lambda: drilled(ear, "opened"))
    stopped = ask(quick.port, "drill-stop", "live", by="路过的人", reason="看不懂")
    assert stopped["ok"]
    over = until_over(ear, first["drill_id"])
    assert (over["end"], over["by"], over["reason"]) == ("stopped", "路过的人", "看不懂")
    assert lie_retained(quick.port) == []
    note = ask(quick.port, "drill-note", text="班长未及时通知", owner="王班长", due="2026-12-31")
    assert note["ok"]
    until(lambda: drilled(ear, "noted"))
    assert lie_retained(quick.port) == [], "a note after the end leaves nothing behind"


def test_what_is_not_declared_does_not_start(quick: Floor) -> None:
    asked: list[tuple[dict[str, Any], str]] = [
        ({"scenario": "quick", "owner": "王", "confirmed_by": "王"}, "second-person-missing"),
        ({"scenario": "quick", "owner": "王", "confirmed_by": "李", "speed": 2}, "too-fast"),
        ({"scenario": "quack", "owner": "王", "confirmed_by": "李"}, "unknown-scenario"),
        ({"scenario": "quick", "owner": "王", "confirmed_by": "李", "seconds": 20_000}, "bad-request"),
        ({"scenario": ["quick"]}, "bad-request"),
    ]
    answers = [(ask(quick.port, "drill-start", **fields), code) for fields, code in asked]
    assert [(answer["ok"], answer["reason"]) for answer, _ in answers] == [(False, code) for _, code in answers]
    assert notice(quick.ear)["state"] == "none"


def test_a_real_alarm_is_as_quick_during_a_drill(tmp_path: Path, broker: Mosquitto) -> None:
    with ExitStack() as stack, Ear(broker.port) as ear:
        floor = Floor(stack, tmp_path, broker, ear, LOAD.replace("ups-a", "ups-b"))

        def told(time: int) -> float:
            """Raise each alarm in earnest and return how long the quickest took from the pass to the subscriber, s."""
            for type in TURNS:
                floor.scene.tell("ups-a", f"set alarms={type}")
                ear.until_raised(f"ups-a.{type}", times=time)
            floor.scene.tell("ups-a", "set alarms=")
            for type in TURNS:
                ear.until_cleared(f"ups-a.{type}", times=time)
            raises = [ear.events(f"ups-a.{type}", "raised")[-1] for type in TURNS]
            return min(float(event["came"]) - stamp(event["time"]) for event in raises)

        without = told(1)
        drill = start(floor.port, "load")
        until(lambda: drilled(ear, "raised"))
        during = told(2)
        print(f"pass to subscriber: {without * 1000:.1f} ms without, {during * 1000:.1f} ms during a drill")
        assert notice(ear)["drill_id"] == drill
        assert during < 3 * without + 0.02
