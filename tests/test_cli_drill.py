"""The commands about drills: what they ask of the agent, what they print, and how they exit."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from edgeagent.catalog import Text
from edgeagent.drill import Drill, DrillChange, DrillVerb, End
from edgeagent.drillfeed import event, notice, progress
from edgeagent.messages import Message, Mode, stamp, state
from tests.broker import Mosquitto, needs_mosquitto, until
from tests.rig import device, environment, invoke, write_site
from tests.scripted import TREE, Scripted
from tests.test_drillfeed import DRILL, NOW, OVER

pytestmark = needs_mosquitto
DRILL_ID: Final = DRILL.drill_id
STARTED: Final = {"drill_id": DRILL_ID, "ends": stamp(DRILL.ends), "renew_by": stamp(DRILL.renew_by)}
PLAN: Final = [{"line": "at 0:10 every ups source = battery", "devices": ["ups-a", "ups-b"]}]
TROUBLE: Final = {"code": "real-alarm", "texts": {"en": "the mains is out", "zh": "市电断电"}}
UPS: Final = device("ups-a", "ups/rfc1628", "snmp://192.0.2.1?version=2c")
OWN_SCENARIO: Final = """
scenario = "{id}"
version = 1
text = {{ en = "Our own", zh = "本站自编" }}
purpose = {{ en = "To see it", zh = "熟悉流程" }}
procedure = "outage"
timeline = ["at 0:10 {who} source = battery"]
expect = ["by 0:45 run outage"]
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def site(tmp_path: Path, broker: Mosquitto) -> Path:
    return write_site(tmp_path / "site", broker.port, UPS)


def happened(verb: DrillVerb, text: str, drill: Drill = DRILL) -> Message:
    return event(DrillChange(verb, NOW, drill, Text(text, text)), TREE, "en", 1, 1, NOW)


def noticed(drill: Drill | None, last: Drill | None = None) -> Message:
    return state(TREE.exercise(), notice(drill, last, "en", NOW), NOW)


def under_way(drill: Drill = DRILL) -> list[Message]:
    own = state(TREE.exercise(Mode.DRILL), progress(drill, None, "en", NOW), NOW)
    return [
        own,
        noticed(drill),
        happened(DrillVerb.STARTED, "begun", drill),
        happened(DrillVerb.INJECTED, "shown", drill),
    ]


def over(end: End) -> list[Message]:
    drill = replace(OVER, end=end)
    return [happened(DrillVerb.ENDED, "over", drill), noticed(None, drill)]


class Agent(Scripted):
    """An agent that leads a drill as it is told: `ends` is how it comes out soon after it was started."""

    def __init__(self, port: int, ends: End | None = None, answers: Mapping[str, Any] | None = None) -> None:
        super().__init__(port, {"drill-start": self._start, **(answers or {})})
        self._ends = ends

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        told = [*under_way(), *(over(self._ends) if self._ends is not None else [])]
        self.tell(told)
        return STARTED


def refused(reason: str, en: str) -> dict[str, Any]:
    return {"ok": False, "reason": reason, "text": en, "texts": {"en": en, "zh": "不行"}}


def test_the_sites_own_scenarios_are_listed_beside_the_shipped_ones(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", 1883, UPS)
    (site / "drills").mkdir()
    (site / "drills" / "own.toml").write_text(OWN_SCENARIO.format(id="own", who="every ups"), encoding="utf-8")
    result = invoke("drill", "list", "--config", site, "--language", "zh")
    assert result.exit_code == 0, result.stderr
    assert any(line.split() == ["own", "outage", "30", "分", "本站自编"] for line in result.stdout.splitlines())
    found = {each["scenario"]: each for each in json.loads(invoke("drill", "list", "--config", site, "--json").stdout)}
    assert found["own"]["lacks"] == []
    lacking = [each for each in found.values() if each["lacks"]]
    assert lacking, "a site of one UPS cannot rehearse everything"
    assert all(lack["texts"]["zh"] for each in lacking for lack in each["lacks"])


@pytest.mark.parametrize(("troubles", "code"), [([], 0), ([TROUBLE], 1)], ids=["ready", "trouble"])
def test_a_check_prints_the_plan_and_what_speaks_against_it(
    site: Path, broker: Mosquitto, troubles: list[Any], code: int
) -> None:
    answer = {"ready": not troubles, "troubles": troubles, "plan": PLAN}
    with Agent(broker.port, answers={"drill-check": answer}) as agent:
        result = invoke("drill", "check", "outage-good-start", "--config", site)
        assert result.exit_code == code
        assert agent.request("drill-check")["scenario"] == "outage-good-start"
        as_json = invoke("drill", "check", "outage-good-start", "--config", site, "--json")
    assert "at 0:10 every ups source = battery  →  ups-a, ups-b" in result.stdout
    assert ("✗ the mains is out (real-alarm)" in result.stdout) is bool(troubles)
    assert json.loads(as_json.stdout) == answer


def test_a_check_of_what_is_no_scenario_says_so(site: Path, broker: Mosquitto) -> None:
    with Agent(broker.port, answers={"drill-check": refused("unknown-scenario", "unknown scenario")}):
        result = invoke("drill", "check", "outrage", "--config", site)
    assert result.exit_code == 1
    assert "drill-check refused: unknown scenario (unknown-scenario) 不行" in result.stderr


def test_a_start_asks_on_the_drill_lane_for_what_was_declared(site: Path, broker: Mosquitto) -> None:
    words = ("--owner", "li", "--confirmed-by", "wang", "--for", "20m", "--speed", "4")
    with Agent(broker.port) as agent:
        result = invoke("drill", "start", "outage-good-start", "--config", site, *words)
        asked = agent.request("drill-start")
        assert agent.verbs(Mode.LIVE) == []
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{DRILL_ID}\n"
    wanted = {"scenario": "outage-good-start", "owner": "li", "confirmed_by": "wang", "seconds": 1200, "speed": 4}
    assert asked.items() >= wanted.items()


def test_what_was_not_said_is_not_asked_for(site: Path, broker: Mosquitto) -> None:
    with Agent(broker.port) as agent:
        invoke("drill", "start", "outage-good-start", "--config", site, "--owner", "li", "--by", "wang")
        asked = agent.request("drill-start")
    assert not {"seconds", "speed"} & asked.keys()
    assert asked["by"] == "wang"


@pytest.mark.parametrize("follow", ["--follow", "--no-follow"])
def test_a_refused_start_says_why(site: Path, broker: Mosquitto, follow: str) -> None:
    with Agent(broker.port, answers={"drill-start": refused("blocked-hours", "none may start now")}):
        result = invoke("drill", "start", "outage-good-start", "--config", site, "--owner", "li", follow)
    assert result.exit_code == 1
    assert "drill-start refused: none may start now (blocked-hours)" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(("end", "code"), [(End.COMPLETED, 0), (End.REAL_ALARM, 3)])
def test_a_followed_drill_is_told_line_by_line_until_its_end(
    site: Path, broker: Mosquitto, end: End, code: int
) -> None:
    with Agent(broker.port, end):
        result = invoke("drill", "start", "outage-good-start", "--config", site, "--owner", "li", "--follow")
    assert result.exit_code == code, result.stderr
    begun, shown, ended, verdict = result.stdout.splitlines()
    assert (begun, shown, ended) == tuple(f"   1:00  EXERCISE – {word}" for word in ("begun", "shown", "over"))
    assert verdict.startswith("EXERCISE – over: Mains outage, ")
    assert "2 of 3 expectations met" in verdict


def test_the_status_is_what_the_agent_says(site: Path, broker: Mosquitto) -> None:
    said = progress(DRILL, None, "en", NOW)
    with Agent(broker.port, answers={"drill-status": said}):
        result = invoke("drill", "status", "--config", site, "--language", "zh")
        as_json = invoke("drill", "status", "--config", site, "--json")
    assert result.exit_code == as_json.exit_code == 0
    assert result.stdout.startswith("【演练进行中】市电断电")
    assert json.loads(as_json.stdout) == json.loads(json.dumps({**said, "time": json.loads(as_json.stdout)["time"]}))


def test_without_a_drill_there_is_nothing_to_follow(site: Path, broker: Mosquitto) -> None:
    with Agent(broker.port, answers={"drill-status": progress(None, OVER, "en", NOW)}):
        result = invoke("drill", "status", "--config", site, "--follow")
    assert result.exit_code == 0
    assert result.stdout.startswith("EXERCISE – over: Mains outage")


def test_a_drill_that_is_on_can_be_followed_by_anybody(site: Path, broker: Mosquitto) -> None:
    with Agent(broker.port, answers={"drill-status": progress(DRILL, None, "en", NOW)}) as agent:
        agent.tell(under_way())
        command = (sys.executable, "-m", "edgeagent", "drill", "status", "--follow", "--config", str(site))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
            # It shows nothing of the past, so something happens until it listens.
            stop = threading.Event()
            happening = threading.Thread(target=_repeat, args=(agent, stop))
            happening.start()
            assert process.stdout is not None
            while b"noted" not in process.stdout.readline():
                pass
            stop.set()
            happening.join()
            agent.tell(over(End.STOPPED))
            out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "stopped by hand by zhao" in out.decode().splitlines()[-1]


def _repeat(agent: Agent, stop: threading.Event) -> None:
    while not stop.wait(0.1):
        agent.tell([happened(DrillVerb.NOTED, "noted")])


@pytest.mark.parametrize(
    ("words", "verb", "fields", "says"),
    [
        (("renew",), "drill-renew", {"drill_id": ""}, "renew ok"),
        (("stop", "--reason", "fire"), "drill-stop", {"reason": "fire", "drill_id": ""}, "stopped"),
        (("stop", "--drill", DRILL_ID), "drill-stop", {"drill_id": DRILL_ID}, "stopped"),
        (("note", "a lamp was out"), "drill-note", {"text": "a lamp was out", "owner": "", "due": ""}, "note ok"),
        (
            ("note", "buy lamps", "--owner", "wang", "--due", "2026-12-24"),
            "drill-note", {"text": "buy lamps", "owner": "wang", "due": "2026-12-24"}, "note ok",
        ),
    ],
    ids=["renew", "stop", "stop this one", "note", "improvement"],
)  # fmt: skip
def test_a_word_about_the_drill_is_asked_on_its_lane(
    site: Path, broker: Mosquitto, words: tuple[str, ...], verb: str, fields: dict[str, Any], says: str
) -> None:
    with Agent(broker.port, answers={verb: {"drill_id": DRILL_ID}}) as agent:
        result = invoke("drill", *words, "--config", site, "--by", "zhao")
        assert agent.verbs(Mode.DRILL) == [verb]
        assert agent.request(verb).items() >= {**fields, "by": "zhao"}.items()
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{DRILL_ID}: {says}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("start", "x", "--owner", "li", "--for", "soon"), "is no duration"),
        (("start", "x", "--owner", "li", "--for", "20"), "is no duration"),
        (("start", "x"), "--owner"),
        (("note", "x", "--owner", "li"), "an --owner and a --due"),
        (("note", "x", "--owner", "li", "--due", "tomorrow"), "is no date"),
    ],
)
def test_wrong_words_are_told_before_anybody_is_asked(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    result = invoke("drill", *words, "--config", write_site(tmp_path / "site", 9, UPS))
    assert result.exit_code == 2
    assert says in result.stderr


@pytest.mark.parametrize(
    ("written", "seconds"), [("20m", 1200), ("20min", 1200), ("90s", 90), ("1h30m", 5400), ("1h", 3600)]
)
def test_a_time_is_written_as_in_the_sites_files(site: Path, broker: Mosquitto, written: str, seconds: float) -> None:
    with Agent(broker.port) as agent:
        invoke("drill", "start", "x", "--config", site, "--owner", "li", "--for", written)
        assert agent.request("drill-start")["seconds"] == seconds


def test_who_has_no_right_to_the_drill_lane_stops_a_drill_but_renews_none(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    acl = "user scripted\ntopic readwrite #\nuser desk\ntopic read #\ntopic write floor/v1/test/live/req/#\n"
    with Mosquitto(folder, accounts={"scripted": "s", "desk": "d"}, acl=acl) as broker:
        site = write_site(tmp_path / "site", broker.port, UPS)
        text = (site / "site.toml").read_text(encoding="utf-8")
        (site / "site.toml").write_text(text.replace("[feed]", '[feed]\nusername = "desk"\npassword_secret = "desk"'))
        (site / "secrets").mkdir()
        (site / "secrets" / "desk").write_text("d")
        (site / "secrets" / "desk").chmod(0o600)
        with Scripted(broker.port, {"drill-stop": {"drill_id": DRILL_ID}}, username="scripted", password="s") as agent:
            stopped = invoke("drill", "stop", "--config", site)
            renewed = invoke("drill", "renew", "--config", site)
            assert agent.verbs(Mode.DRILL) == []
            assert agent.verbs(Mode.LIVE) == ["drill-stop"]
    assert stopped.exit_code == 0, stopped.stderr
    assert renewed.exit_code == 1
    assert "not authorised" in renewed.stderr


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *words: str | Path) -> None:
        self._ours, theirs = pty.openpty()
        # Who runs the tests in the background has had the shell turn interrupts off for all below it.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "edgeagent", *map(str, words)]
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(TERM="xterm", COLUMNS="200"),
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        while True:
            try:
                self.seen += os.read(self._ours, 4096).decode(errors="replace")
            except OSError:  # it has ended
                return

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join(5)
        os.close(self._ours)


@pytest.fixture
def led(site: Path, broker: Mosquitto) -> Iterator[tuple[Terminal, Agent]]:
    """Start a drill that does not end, at a terminal."""
    with Agent(broker.port, answers={"drill-renew": {"drill_id": DRILL_ID}}) as agent:
        terminal = Terminal("drill", "start", "outage-good-start", "--config", site, "--owner", "li")
        try:
            until(lambda: "EXERCISE – shown" in terminal.seen and "injects 1 of 2" in terminal.seen)
            yield terminal, agent
        finally:
            terminal.close()


@pytest.mark.slow
def test_at_a_terminal_the_time_left_is_shown_and_enter_renews_the_drill(led: tuple[Terminal, Agent]) -> None:
    terminal, agent = led
    assert "to be renewed within" in terminal.seen
    terminal.press("\n")
    until(lambda: agent.verbs()[1:] == ["drill-renew"])
    assert agent.request("drill-renew")["drill_id"] == DRILL_ID
    agent.tell(over(End.COMPLETED))
    assert terminal.process.wait(30) == 0
    until(lambda: "EXERCISE – over: Mains outage, completed" in terminal.seen)


@pytest.mark.slow
def test_ctrl_c_leaves_the_drill_running_and_says_how_to_stop_it(led: tuple[Terminal, Agent]) -> None:
    terminal, agent = led
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(30) == 130
    until(lambda: "edgeagent drill stop" in terminal.seen)
    assert agent.verbs() == ["drill-start"]
