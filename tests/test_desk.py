"""What a terminal shows of the feed: one line an event, the lists, and above all that a drill is on."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console

from edgeagent.alarmfeed import snapshot
from edgeagent.catalog import Text
from edgeagent.cli.feed import print_table
from edgeagent.demoscreen import Screen
from edgeagent.desk import banner, line, run_table, table
from edgeagent.drill import Drill, DrillChange, DrillVerb
from edgeagent.drillfeed import event, notice
from edgeagent.messages import Message, Mode, stamp, state
from edgeagent.run import RunVerb
from edgeagent.runfeed import messages_of, record
from tests.broker import Mosquitto, needs_mosquitto, until
from tests.rig import device, environment, invoke, write_site
from tests.scripted import TREE, Scripted
from tests.test_drillfeed import DRILL, OVER
from tests.test_runfeed import NOW, OUTAGE, RUN, change
from tests.test_runfeed import TREE as FEED

ALARM = {
    "time": "2026-11-25T08:30:00.000Z",
    "type": "edgeagent.alarm.raised",
    "data": {
        "verb": "raised",
        "perceived_severity": "critical",
        "alarm_id": "mains.mains-lost",
        "texts": {"en": {"short_text": "Mains lost"}, "zh": {"short_text": "市电断电"}},
    },
}
GAP = {"time": "2026-11-25T08:30:00.000Z", "type": "edgeagent.gap", "data": {"from_seq": 3, "to_seq": 5, "count": 3}}


def of_a_run() -> Message:
    return messages_of([change(RunVerb.OPENED)], lambda _: OUTAGE, FEED, "zh", 1, lambda: 1, NOW)[-1]


@pytest.mark.parametrize(("language", "text"), [("en", "Mains lost"), ("zh", "市电断电")])
def test_an_alarm_is_one_line(language: str, text: str) -> None:
    assert line(ALARM, language) == f"2026-11-25T08:30:00.000Z  raised  critical  mains.mains-lost  {text}"


@pytest.mark.parametrize(("language", "text"), [("en", "en x"), ("zh", "中文 x")])
def test_what_happens_to_a_run_is_one_line_too(language: str, text: str) -> None:
    event = json.loads(of_a_run().body)
    assert line(event, language) == f"{event['time']}  opened  outage-20261119-0210  {text}"


def test_a_gap_is_told_by_its_type() -> None:
    assert line(GAP, "zh") == "2026-11-25T08:30:00.000Z  edgeagent.gap"


def test_what_happens_to_a_drill_is_one_line_with_its_mark() -> None:
    told = event(DrillChange(DrillVerb.INJECTED, NOW, DRILL, Text("shown", "开始模拟")), FEED, "zh", 1, 1, NOW)
    said = json.loads(told.body)
    assert line(said, "zh") == f"{said['time']}  injected  {DRILL.drill_id}  演练 – 开始模拟"


def test_the_banner_says_in_one_line_what_is_rehearsed_by_whom_and_until_when() -> None:
    ends = f"{datetime.fromtimestamp(DRILL.ends).astimezone():%H:%M:%S}"
    said = notice(DRILL, None, "zh", NOW)
    assert banner(said, "zh") == f"【演练进行中】市电断电（{DRILL.drill_id}；负责人 li，最迟 {ends} 结束）"
    assert banner(said, "en") == f"EXERCISE under way: Mains outage ({DRILL.drill_id}; led by li, over by {ends})"


@pytest.mark.parametrize("said", [None, {}, notice(None, OVER, "zh", NOW)], ids=["nothing", "empty", "over"])
def test_without_a_drill_there_is_no_banner(said: dict[str, Any] | None) -> None:
    assert banner(said, "zh") == ""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def site(tmp_path: Path, broker: Mosquitto) -> Path:
    return write_site(tmp_path / "site", broker.port, HOST, language="zh")


HOST: Final = device("this-host", "workstation/host", "host://")
LISTED: Final = {Mode.LIVE: None, Mode.DRILL: DRILL.drill_id}


def snapshots(*modes: Mode) -> list[Message]:
    return [state(TREE.alarms(mode), snapshot((), mode, "zh", 1, 1, NOW, LISTED[mode]), NOW) for mode in modes]


def noticed(drill: Drill | None) -> Message:
    return state(TREE.exercise(), notice(drill, None, "zh", NOW), NOW)


@needs_mosquitto
def test_the_list_of_alarms_says_first_that_a_drill_is_on(site: Path, broker: Mosquitto) -> None:
    with Scripted(broker.port) as agent:
        agent.tell([*snapshots(Mode.LIVE, Mode.DRILL), noticed(DRILL)])
        shown = [invoke("alarms", "--config", site, *words) for words in ((), ("--drill",))]
        as_json = [
            json.loads(invoke("alarms", "--config", site, "--json", *words).stdout) for words in ((), ("--drill",))
        ]
    assert all(result.stdout.startswith("【演练进行中】市电断电") for result in shown)
    assert [each["mode"] for each in as_json] == ["live", "drill"]
    assert all(each["exercise"]["drill_id"] == DRILL.drill_id for each in as_json)


@needs_mosquitto
@pytest.mark.parametrize("told", [True, False], ids=["none is on", "an agent that knows no drills"])
def test_without_a_drill_the_list_of_alarms_is_as_ever(site: Path, broker: Mosquitto, told: bool) -> None:
    with Scripted(broker.port) as agent:
        agent.tell([*snapshots(Mode.LIVE), *([noticed(None)] if told else [])])
        live, drill = invoke("alarms", "--config", site), invoke("alarms", "--config", site, "--drill")
    assert live.stdout.startswith("agent online; no alarms")
    assert drill.exit_code == 1
    assert "no drill is on" in drill.stderr


@needs_mosquitto
@pytest.mark.parametrize(("words", "mode"), [((), Mode.LIVE), (("--drill",), Mode.DRILL)], ids=["real", "drill"])
def test_the_runs_of_each_lane_are_asked_for_on_it(
    site: Path, broker: Mosquitto, words: tuple[str, ...], mode: Mode
) -> None:
    run = replace(RUN, origin=LISTED[mode])
    with Scripted(broker.port, {"runs": {"runs": [record(run, OUTAGE, "zh", NOW)]}}) as agent:
        agent.tell([noticed(DRILL)])
        result = invoke("runs", "--config", site, *words)
        assert agent.verbs(mode) == ["runs"]
    assert result.stdout.startswith("【演练进行中】市电断电")
    assert ("演练 – 市电断电" in result.stdout) is (mode is Mode.DRILL)


@needs_mosquitto
@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (("ack", "mains.mains-lost"), "ack"),
        (("shelve", "mains.mains-lost", "--reason", "known"), "shelve"),
        (("step", RUN.run_id, "tell", "done"), "step"),
        (("run", "ack", RUN.run_id), "run-ack"),
        (("run", "close", RUN.run_id, "--reason", "over"), "run-close"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_done_in_a_drill_is_asked_on_its_lane_alone(
    site: Path, broker: Mosquitto, words: tuple[str, ...], verb: str
) -> None:
    with Scripted(broker.port) as agent:
        assert invoke(*words, "--config", site, "--drill").exit_code == 0
        assert (agent.verbs(Mode.DRILL), agent.verbs(Mode.LIVE)) == ([verb], [])
        assert invoke(*words, "--config", site).exit_code == 0
        assert (agent.verbs(Mode.DRILL), agent.verbs(Mode.LIVE)) == ([verb], [verb])


def test_ids_are_never_cut_however_narrow_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    run, step, alarm = f"outage-{'x' * 40}-20261125-0210", f"generator-carries-{'x' * 40}", f"ups-a.{'x' * 60}"
    texts = {"en": "The generator [carries] the load", "zh": "发电机带载"}
    steps = [
        {"step": step, "role": "leader", "texts": texts, "state": "ready", "overdue": True},
        {"step": "waits", "role": "leader", "texts": texts, "state": "waiting", "overdue": False},
    ]
    runs = [{"run_id": run, "state": "response", "onset": stamp(NOW), "texts": texts, "steps": steps}]
    stands = {"perceived_severity": "major", "state": "unack", "last_raised": stamp(NOW), "alarm_id": alarm}
    found = {"agent": "online", "counts": {"major": 1}, "unacknowledged": 1, "open": [{**stands, "texts": texts}]}
    print_table([*run_table(runs, "en"), *table(found)])
    assert capsys.readouterr().out.splitlines() == [
        "1 runs",
        f"{'run':{len(run)}}  state     since",
        f"{run}  response  {stamp(NOW)}  The generator [carries] the load",
        f"  {step} (leader): The generator [carries] the load",
        "agent online; 1 major; 1 not acknowledged",
        f"severity  state  {'since':{len(stamp(NOW))}}  alarm",
        f"major     unack  {stamp(NOW)}  {alarm}  发电机带载  The generator [carries] the load",
    ]


@needs_mosquitto
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("outage",), 0, RUN.run_id),
        (("outtage",), 2, 'unknown procedure "outtage", did you mean "outage"?'),
        (("nope",), 2, 'unknown procedure "nope" (known: '),
        (("nope", "--unknown"), 0, RUN.run_id),
    ],
    ids=["known", "typo", "unknown", "meant"],
)
def test_a_run_of_a_procedure_that_the_site_has_not_is_opened_only_where_that_is_meant(
    site: Path, broker: Mosquitto, words: tuple[str, ...], code: int, said: str
) -> None:
    with Scripted(broker.port, {"run-open": {"run_id": RUN.run_id}}) as agent:
        result = invoke("run", "open", *words, "--reason", "smoke seen", "--config", site)
        assert agent.verbs(Mode.LIVE) == ([] if code else ["run-open"])
    assert result.exit_code == code
    assert said in (result.stderr if code else result.stdout)


@needs_mosquitto
def test_watch_says_first_that_a_drill_is_on_and_then_that_it_is_over(site: Path, broker: Mosquitto) -> None:
    command = (sys.executable, "-m", "edgeagent", "watch", "--config", str(site))
    seen: list[str] = []
    with Scripted(broker.port) as agent:
        agent.tell([noticed(DRILL)])
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as watching:
            assert watching.stdout is not None
            lines = iter(watching.stdout.readline, b"")
            reading = threading.Thread(target=lambda: seen.extend(each.decode().strip() for each in lines))
            reading.start()
            until(lambda: seen)
            agent.tell([noticed(DRILL), state(TREE.exercise(), notice(None, OVER, "zh", NOW), NOW)])
            until(lambda: len(seen) > 1)
            watching.terminate()
            reading.join(10)
    assert [text[:9] for text in seen] == ["【演练进行中】市电", "演练 – 已结束："]


def test_the_demos_screen_has_the_banner_once_and_above_the_rest() -> None:
    screen = Screen(Console(file=StringIO()))
    for drill in (DRILL, DRILL, None):
        screen.take(Mode.LIVE, "exercise", notice(drill, None, "zh", NOW))
    assert [line.plain[9:17] for line in screen.lines] == ["【演练进行中】市"]
