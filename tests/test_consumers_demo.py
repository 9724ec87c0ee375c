"""Programs that others wrote read the feed of `edgeagent demo`: Node-RED with the example flow, and Home Assistant.

`NODE_RED=/path/to/node_modules/node-red/red.js` and `HOMEASSISTANT_PYTHON=/path/to/venv/bin/python` name them; the test
of one that is not named is left out. What they showed is printed (`-s`).
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from tests.broker import Listener, Mosquitto, free_port, needs_mosquitto, until
from tests.rig import environment
from tests.test_consumers import FOLDER, NODE_RED, fetch
from tests.test_homeassistant import PYTHON

pytestmark = [needs_mosquitto, pytest.mark.slow]
LANES: Final = "floor/v1/demo"
ON_MOSQUITTO: Final = """
import asyncio, sys
from edgeagent import demo
demo._broker = lambda *_: int(sys.argv[1])
sys.exit(asyncio.run(demo.run(None)))
"""
"""The demo on a broker of a site: its own gives not all that is retained to who subscribes to hundreds of topics."""


@contextmanager
def demo(tmp_path: Path, *words: str) -> Iterator[int]:
    """Run the demo as a person does, and give the port of its broker, which its agent was told."""
    with (tmp_path / "demo.log").open("wb") as log:
        command = [sys.executable, "-m", "edgeagent", "demo", *words]
        process = subprocess.Popen(
            command, cwd="/", env=environment(TMPDIR=str(tmp_path)), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:

        def told() -> str:
            assert process.poll() is None, (tmp_path / "demo.log").read_text()
            sites = [path.read_text(encoding="utf-8") for path in tmp_path.glob("edgeagent-demo-*/site/site.toml")]
            found = re.search(r'broker = "mqtt://127\.0\.0\.1:(\d+)"', "".join(sites))
            return found[1] if found else ""

        yield int(until(told))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@contextmanager
def node_red(tmp_path: Path, broker: int) -> Iterator[str]:
    """Run Node-RED with the example flow on the demo's feed, and give where it answers."""
    home, port = tmp_path / "node-red", free_port()
    home.mkdir()
    (home / "settings.js").write_text('module.exports = {uiHost: "127.0.0.1", telemetry: {enabled: false}};\n')
    flow = (FOLDER / "node-red" / "shift-desk.json").read_text(encoding="utf-8")
    flow = flow.replace('"1883"', f'"{broker}"').replace("floor/v1/hq/", f"{LANES}/")
    (home / "flows.json").write_text(flow, encoding="utf-8")
    command = ["node", NODE_RED] if NODE_RED.endswith(".js") else [NODE_RED]
    command += ["-u", str(home), "-p", str(port), "-s", str(home / "settings.js"), "flows.json"]
    with (tmp_path / "node-red.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as node:
        try:
            yield f"http://127.0.0.1:{port}/floor"
        finally:
            node.terminate()
            node.wait(60)


def shown(url: str) -> Any:  # noqa: ANN401 - JSON
    """Return what the flow shows while the agent is online, None before."""
    with suppress(urllib.error.URLError, ConnectionError):
        status, said = fetch(url)
        return said if status == 200 else None
    return None


needs_node_red = pytest.mark.skipif(not NODE_RED, reason="NODE_RED names no Node-RED, and none is on the path")


@needs_node_red
def test_node_red_shows_an_alarm_of_the_demo(tmp_path: Path) -> None:
    with demo(tmp_path) as broker, node_red(tmp_path, broker) as url:
        said = until(lambda: (found := shown(url)) and found["open"] and "critical" in found["line"] and found)
    print(said["line"], [alarm["alarm_id"] for alarm in said["open"]])
    assert any(alarm["perceived_severity"] == "critical" for alarm in said["open"])


@needs_node_red
def test_node_red_shows_nothing_of_a_drill_of_the_demo(tmp_path: Path) -> None:
    lines: set[str] = set()
    filters = (f"{LANES}/drill/event/alarm/#", f"{LANES}/live/event/alarm/#")
    with (
        demo(tmp_path, "--drill", "outage-good-start") as broker,
        Listener(broker, *filters) as heard,
        node_red(tmp_path, broker) as url,
    ):

        def rehearsed() -> set[str]:
            events = [json.loads(each["payload"]) for each in list(heard.messages) if each["payload"]]
            drilled = [event for event in events if event["mode"] == "drill"]
            return {event["subject"] for event in drilled if event["severity"] == "critical"}

        def looked() -> bool:
            said = shown(url)
            lines.update([said["line"], *(alarm["short_text"] for alarm in said["open"])] if said else [])
            return bool(lines)

        until(rehearsed)
        until(looked)
        told = rehearsed()
        live = [each["topic"] for each in list(heard.messages) if "/live/" in each["topic"]]
    print("on the drill lane", told, "shown", lines, "events of the live lane", len(live))
    assert not any("EXERCISE" in line or "演练" in line for line in lines)
    assert not any(alarm in line for alarm in told for line in lines)


@pytest.mark.skipif(not PYTHON, reason="HOMEASSISTANT_PYTHON names no Python that has Home Assistant")
def test_home_assistant_finds_the_devices_of_the_demo_and_follows_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    log = (tmp_path / "demo.log").open("wb")
    with (
        Mosquitto(tmp_path) as broker,
        log,
        subprocess.Popen(
            [sys.executable, "-c", ON_MOSQUITTO, str(broker.port)], cwd="/", env=environment(), stdout=log, stderr=log
        ) as shown_there,
    ):
        command = [PYTHON, str(Path(__file__).parent / "homeassistant_follow.py"), str(broker.port), "45", str(home)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
        shown_there.send_signal(signal.SIGINT)
        shown_there.wait(60)
    assert done.returncode == 0, done.stderr[-3000:]
    states: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        said = json.loads(line)
        states.setdefault(said["name"], []).append(said["state"])
    print(len(states), "entities:", ", ".join(f"{name} {taken[-1]}" for name, taken in sorted(states.items())))
    followed = {name: states[name] for name in ("A 路 UPS 供电来源", "1 号空调 运行", "监控代理 edge-demo 紧急告警数")}
    print(followed)
    assert {"normal", "battery"} <= set(followed["A 路 UPS 供电来源"])
    assert {"on", "off"} <= set(followed["1 号空调 运行"])
    assert {"0", "1"} <= set(followed["监控代理 edge-demo 紧急告警数"])
    assert all(set(taken) != {"unavailable"} for taken in states.values()), "each has a value"
