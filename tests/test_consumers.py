"""The examples for those who read the feed: that they can be read, name what exists, and do what their README says.

`NODE_RED=/path/to/node_modules/node-red/red.js` names a Node-RED; without it, or one on the path, its test is left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from edgeagent import alarmfeed, driverfiles, messages
from edgeagent.messages import Mode, Tree
from edgeagent.metrics import HOST, Figures, page
from edgeagent.outbox import Depth
from edgeagent.outputconfig import PORT
from edgeagent.resources import drivers
from tests.broker import Listener, Mosquitto, free_port, needs_mosquitto, until
from tests.rig import Daemon, device, write_site

FOLDER: Final = Path(__file__).parent.parent / "config" / "consumers"
TREE: Final = Tree("floor", "hq", "edge-1")
CRITICAL: Final = TREE.event("alarm", "critical")
NODE_RED: Final = os.environ.get("NODE_RED") or shutil.which("node-red") or ""


def event(short_text: str, seq: int, mode: Mode = Mode.LIVE, exercise: str | None = None) -> messages.Message:
    topic = TREE.event("alarm", "critical", mode)
    data = {"alarm_id": "ups.on-battery", "short_text": short_text, "verb": "raised"}
    return messages.event(
        TREE, topic, "alarm.raised", "ups.on-battery", 0.0, data, boot=1, seq=seq, born=0.0, mode=mode,
        severity="critical", exercise=exercise,
    )  # fmt: skip


def publish(port: int, topic: str, body: bytes, *more: str) -> None:
    command = ["mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic, *more]
    command += ["-s"] if body else ["-n"]
    subprocess.run(command, input=body, check=True, timeout=60)


@pytest.mark.parametrize("name", ["grafana", "homeassistant", "node-red", "prometheus", "sms", "telegraf"])
def test_each_example_says_how_it_is_used(name: str) -> None:
    assert 4 <= len((FOLDER / name / "README.md").read_text(encoding="utf-8").splitlines()) <= 20


def test_telegraf_reads_the_live_lane_alone_and_takes_tags_from_the_right_levels() -> None:
    config = tomllib.loads((FOLDER / "telegraf" / "telegraf.conf").read_text(encoding="utf-8"))
    readers = {reader["topics"][0]: reader for reader in config["inputs"]["mqtt_consumer"]}
    assert set(readers) == {TREE.state("x").replace("/x/", "/+/"), TREE.alarms()}
    for topic, reader in readers.items():
        assert reader["qos"] == 0
        for parsing in reader["topic_parsing"]:
            levels = topic.split("/")
            wanted, tags = parsing["topic"].split("/"), parsing["tags"].split("/")
            assert len(levels) == len(wanted) == len(tags)
            assert all(own in (level, "+") for own, level in zip(wanted, levels, strict=True))
            names = {tag: level for tag, level in zip(tags, levels, strict=True) if tag != "_"}
            assert names in ({"site": "hq"}, {"site": "hq", "device": "+"})
    state = readers[TREE.state("x").replace("/x/", "/+/")]["json_v2"][0]
    assert {"units", "quality"} <= set(state["object"][0]["excluded_keys"])


def test_grafana_draws_points_that_exist() -> None:
    board = json.loads((FOLDER / "grafana" / "floor.json").read_text(encoding="utf-8"))
    points = {id for kind in driverfiles.load([drivers()]).kinds.values() for id in kind.points}
    counts = {*alarmfeed.snapshot((), Mode.LIVE, "en", 1, 1, 0.0)["counts"], "unacknowledged"}
    found: dict[str, set[str]] = {"device": set(), "alarms": set()}
    for target in (target for panel in board["panels"] for target in panel["targets"]):
        match = re.match(r'SELECT (?:last|min)\("([^"]+)"\) FROM "(device|alarms)" WHERE ', target["query"])
        assert match is not None, target["query"]
        found[match[2]].add(match[1])
    assert found["device"] <= points
    assert found["alarms"] <= counts
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_node_red_flow_hangs_together() -> None:
    nodes = {node["id"]: node for node in json.loads((FOLDER / "node-red" / "shift-desk.json").read_text("utf-8"))}
    wired = {target for node in nodes.values() for wires in node.get("wires", ()) for target in wires}
    assert wired <= nodes.keys()
    assert all("/live/" in node["topic"] for node in nodes.values() if node["type"].startswith("mqtt ") and node["z"])
    assert all(node["broker"] in nodes for node in nodes.values() if node["type"] in ("mqtt in", "mqtt out"))


def test_prometheus_is_told_the_port_that_is_ours_unless_the_site_says_otherwise() -> None:
    text = (FOLDER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    assert f'targets: ["{HOST}:{PORT}"]' in text
    said = set(re.findall(r"edgeagent_[a-z_]+", (FOLDER / "prometheus" / "README.md").read_text(encoding="utf-8")))
    figures = Figures({"devices": 0, "silent": 0}, {}, Depth(0, 0, 0, None, 0, 0), "connected", None, 0)
    assert all(f"# TYPE {name} " in page("hq", "edge-1", figures, "", 0.0) for name in said)


def test_the_sms_gateway_fits_on_a_page() -> None:
    assert len((FOLDER / "sms" / "sms.py").read_text(encoding="utf-8").splitlines()) <= 30


@needs_mosquitto
@pytest.mark.slow
def test_the_sms_gateway_pages_for_the_real_thing_once_and_never_for_a_drill(tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    script = tmp_path / "send"
    script.write_text(f'#!/bin/sh\nprintf "%s|%s\\n" "$1" "$2" >> {sent}\n')
    script.chmod(0o755)

    def texts() -> list[str]:
        return sent.read_text(encoding="utf-8").splitlines() if sent.exists() else []

    with Mosquitto(tmp_path) as broker:
        drill = event("EXERCISE – UPS on battery", 1, Mode.DRILL, "ex-1")
        publish(broker.port, CRITICAL, event("before it was there", 1).body, "-r")  # retained by some mistake
        command = [sys.executable, str(FOLDER / "sms" / "sms.py"), f"127.0.0.1:{broker.port}", "hq", str(script), "+86"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as gateway:
            try:
                until(lambda: "Sending SUBACK to sms-hq" in broker.log)
                real = event("UPS on battery", 2)
                publish(broker.port, real.topic, real.body)
                publish(broker.port, real.topic, real.body)  # the outbox sends again what was not acknowledged
                publish(broker.port, drill.topic, drill.body)
                publish(broker.port, CRITICAL, drill.body)  # nobody does; it must not ring all the same
                publish(broker.port, CRITICAL, messages.as_replayed(event("two hours ago", 3)).body)
                for broken in (b"", b"{", b"[]", b'{"mode": "live"}', b"null"):
                    publish(broker.port, CRITICAL, broken)
                publish(broker.port, TREE.event("alarm", "major"), event("not critical", 4).body)
                last = event("UPS on battery is over", 5)
                publish(broker.port, last.topic, last.body)
                until(lambda: len(texts()) >= 2)
            finally:
                gateway.send_signal(signal.SIGTERM)
                gateway.wait(30)
    assert texts() == ["+86|UPS on battery", "+86|UPS on battery is over"]


def fetch(url: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else None


@needs_mosquitto
@pytest.mark.slow
@pytest.mark.skipif(not NODE_RED, reason="NODE_RED names no Node-RED, and none is on the path")
def test_node_red_shows_the_leaders_line_and_acknowledges(tmp_path: Path) -> None:
    port = free_port()
    home = tmp_path / "node-red"
    home.mkdir()
    (home / "settings.js").write_text('module.exports = {uiHost: "127.0.0.1", telemetry: {enabled: false}};\n')
    line = {
        "alarm_id": "ups.on-battery", "raise_count": 3, "short_text": "UPS A on battery", "suppression": "none",
    }  # fmt: skip
    empty = alarmfeed.snapshot((), Mode.LIVE, "en", 1, 1, 0.0)
    snapshot = {**empty, "counts": {**empty["counts"], "critical": 1}, "unacknowledged": 1, "open": [line]}
    with Mosquitto(tmp_path) as broker, Listener(broker.port, TREE.request("ack")) as heard:
        flow = (FOLDER / "node-red" / "shift-desk.json").read_text(encoding="utf-8")
        (home / "flows.json").write_text(flow.replace('"1883"', f'"{broker.port}"'), encoding="utf-8")
        command = ["node", NODE_RED] if NODE_RED.endswith(".js") else [NODE_RED]
        command += ["-u", str(home), "-p", str(port), "-s", str(home / "settings.js"), "flows.json"]
        with (tmp_path / "node-red.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as node:
            try:

                def shown(wanted: int) -> Any:  # noqa: ANN401 - JSON
                    assert node.poll() is None, (tmp_path / "node-red.log").read_text()
                    with suppress(urllib.error.URLError, ConnectionError):
                        status, said = fetch(f"http://127.0.0.1:{port}/floor")
                        return said if status == wanted else None
                    return None

                away = until(lambda: shown(503), 60)
                assert away["open"] == []
                publish(broker.port, TREE.alarms(), json.dumps(snapshot).encode(), "-r")
                publish(broker.port, TREE.own("status"), b'{"state": "online"}', "-r")
                said = until(lambda: (found := shown(200)) and found["line"] and found)
                assert said["line"] == "1 critical; 1 to acknowledge; UPS A on battery"
                url = f"http://127.0.0.1:{port}/floor/ack"
                assert fetch(url, {"alarm_id": "ups.other", "by": "Wang"})[0] == 400
                assert fetch(url, {"alarm_id": "ups.on-battery"})[0] == 400
                status, answer = fetch(url, {"alarm_id": "ups.on-battery", "raise_count": 2, "by": "Wang"})
                assert status == 202
                asked = until(lambda: heard.on(TREE.request("ack")))
                assert [each["payload"] for each in asked] == [
                    {
                        "alarm_id": "ups.on-battery", "raise_count": 2, "by": "Wang",
                        "transaction": answer["transaction"],
                    }
                ]  # fmt: skip
                assert asked[0]["retain"] == 0
                publish(broker.port, TREE.own("status"), b'{"state": "offline"}', "-r")
                assert until(lambda: shown(503))["open"] == []
            finally:
                node.terminate()
                node.wait(30)


@needs_mosquitto
@pytest.mark.slow
def test_an_agent_tells_home_assistant_and_answers_a_health_check_until_it_is_told_not_to(tmp_path: Path) -> None:
    folder, port = tmp_path / "site", free_port()
    more = f"[homeassistant]\n[metrics]\nport = {port}\n"
    both = [device("host-a", "workstation/host", "host://"), device("host-b", "workstation/host", "host://")]
    with Mosquitto(tmp_path) as broker, Listener(broker.port, "homeassistant/#") as heard:
        write_site(folder, broker.port, *both, more)

        def topics() -> set[str]:
            newest = {message["topic"]: message["payload"] for message in list(heard.messages)}
            return {topic.split("/")[2] for topic, payload in newest.items() if payload}

        with Daemon(folder) as agent:
            until(lambda: topics() == {"test_agent_edge-1", "test_host-a", "test_host-b"})
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
                assert answer.read().startswith(b"ok: 2 devices, 0 silent; ")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                assert b"\nedgeagent_devices 2\n" in answer.read()
            write_site(folder, broker.port, both[0], more)
            agent.reload()
            until(lambda: topics() == {"test_agent_edge-1", "test_host-a"})
            assert agent.stop() == 0
            write_site(folder, broker.port, both[0])
            agent.start()
            until(lambda: not topics())
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30)
            assert agent.stop() == 0
