"""The contract of the feed: version 1 stays what it is, and what is written of the feed is what the code does."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from edgeagent import contract, drillrequests, feedpage, messages, requests
from edgeagent.contract import CHANNELS, channel_of
from edgeagent.driverfiles import load
from edgeagent.messages import Mode, Tree
from edgeagent.payloads import PAYLOADS
from edgeagent.resources import drivers
from tests.compatible import EXAMPLES, breaks, recorded
from tests.contracted import breaches, validator
from tests.rig import ROOT, invoke

FILES: Final = {path.stem: path for path in EXAMPLES.glob("*.json") if path.stem in {each.id for each in CHANNELS}}
TREE: Final = Tree("floor", "hq", "edge-1")
Json = dict[str, Any]


def example(channel: str) -> Json:
    found: Json = json.loads(FILES[channel].read_text(encoding="utf-8"))
    return found


def heard(topic: str, payload: Json | None, qos: int = 1, retain: int = 0) -> Json:
    """Write a message as mosquitto_sub prints it."""
    return {"topic": topic, "payload": "" if payload is None else json.dumps(payload), "qos": qos, "retain": retain}


# -- version 1 stays --------------------------------------------------------------------------------------------------


def test_nothing_of_version_1_is_gone_or_changed() -> None:
    assert breaks(recorded(), contract.schemas()) == []


def test_what_was_added_is_recorded_too() -> None:
    assert recorded() == contract.schemas(), "please run: make feed"


@pytest.mark.parametrize("channel", FILES)
def test_a_recorded_message_still_keeps_the_contract(channel: str) -> None:
    message = example(channel)
    found = channel_of(message["topic"])
    assert found is not None
    assert found.id == channel
    assert [error.message for error in validator(channel).iter_errors(message["payload"])] == []


def test_there_is_a_recorded_message_of_every_payload() -> None:
    assert {channel.payload for channel in CHANNELS} == {each.payload for each in CHANNELS if each.id in FILES}
    assert {channel.payload for channel in CHANNELS} | {"event"} == {*PAYLOADS, "device-state", "request"}


def drop(*path: str) -> Callable[[Json], None]:
    def change(schemas: Json) -> None:
        node = schemas
        for key in path[:-1]:
            node = node[key]
        if isinstance(node, list):
            node.remove(path[-1])
        else:
            del node[path[-1]]

    return change


def put(value: object, *path: str) -> Callable[[Json], None]:
    def change(schemas: Json) -> None:
        node = schemas
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


NUMBER: Final = {"type": "number"}
BREAKS: Final = {
    "payload": drop("alarms"),
    "member": drop("alarm", "properties", "latched"),
    "not always": drop("alarm", "required", "latched"),
    "type": put(NUMBER, "alarm", "properties", "raise_count"),
    "no null": put({"type": "string"}, "alarm", "properties", "onset"),
    "null": put({"anyOf": [{"type": "string"}, {"type": "null"}]}, "alarm", "properties", "resource"),
    "nested": drop("alarm", "$defs", "Values", "properties", "limit"),
    "in a list": put(NUMBER, "alarms", "$defs", "Listed", "properties", "state"),
    "in an object": put({"type": "string"}, "health", "properties", "counts", "additionalProperties"),
    "word": put(["online"], "status", "properties", "state", "enum"),
    "closed": put(False, "alarm", "additionalProperties"),
    "asked for": put(["by", "alarm_id", "note"], "request-ack", "required"),
    "shorter": put(10, "request-ack", "properties", "note", "maxLength"),
}  # fmt: skip


@pytest.mark.parametrize("change", BREAKS.values(), ids=BREAKS)
def test_what_breaks_version_1_is_found(change: Callable[[Json], None]) -> None:
    now = copy.deepcopy(recorded())
    change(now)
    assert breaks(recorded(), now)


ADDITIONS: Final = {
    "payload": put({"type": "object", "properties": {}}, "new"),
    "member": put(NUMBER, "alarm", "properties", "new"),
    "nested member": put(NUMBER, "alarm", "$defs", "Values", "properties", "new"),
    "word": put(["online", "offline", "asleep"], "status", "properties", "state", "enum"),
    "words about it": put("New words.", "alarm", "description"),
    "may be asked": put(NUMBER, "request-ack", "properties", "new"),
}


@pytest.mark.parametrize("change", ADDITIONS.values(), ids=ADDITIONS)
def test_what_only_adds_to_version_1_is_let_through(change: Callable[[Json], None]) -> None:
    now = copy.deepcopy(recorded())
    change(now)
    assert now != recorded()
    assert breaks(recorded(), now) == []


# -- what is written is what the code does ----------------------------------------------------------------------------


def test_no_kind_has_a_point_that_is_called_like_a_member_of_its_own() -> None:
    own = contract.schema("device-state")["properties"]
    kinds = load([drivers()]).kinds.values()
    assert {point for kind in kinds for point in kind.points if point in own} == set()


@pytest.mark.parametrize("name", contract.names())
def test_a_schema_is_one_of_2020_12_that_says_what_it_is_of_and_leaves_room_for_more(name: str) -> None:
    schema = contract.schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:edgeagent:v1:{name}"
    assert schema["description"]
    assert schema.get("additionalProperties") is not False


def test_every_command_that_the_agent_knows_has_a_schema() -> None:
    verbs = {name.removeprefix("request-") for name in contract.names() if name.startswith("request-")}
    assert verbs == {*requests.VERBS, *drillrequests._VERBS, "refresh", "runs"}


TOPICS: Final = [
    *((TREE.own(name), name) for name in ("status", "info", "health")),
    (TREE.inventory(), "inventory"),
    (TREE.inventory(2), "inventory-page"),
    (TREE.availability("ups-a"), "availability"),
    (TREE.state("ups-a"), "device-state"),
    (TREE.state("ups-a", Mode.DRILL), "device-state"),
    (TREE.alarm("ups-a.on-battery"), "alarm"),
    (TREE.alarms(Mode.DRILL), "alarms"),
    (TREE.event("alarm", "critical"), "alarm-event"),
    (TREE.event("agent", "gap"), "gap-event"),
    (TREE.exercise(), "exercise"),
    (TREE.exercise(Mode.DRILL), "exercise-progress"),
    (TREE.request("ack", Mode.DRILL), "request"),
    (TREE.seat("a001", "report"), "seat-report"),
    ("floor/v1/hq/both/alarms", None),
    ("floor/v2/hq/live/alarms", None),
    ("floor/v1/hq/drill/availability", None),
]


@pytest.mark.parametrize(("topic", "channel"), TOPICS)
def test_a_topic_belongs_to_its_channel(topic: str, channel: str | None) -> None:
    found = channel_of(topic)
    assert (found and found.id) == channel


def test_state_is_retained_and_events_requests_and_answers_are_not() -> None:
    passing = {channel.id for channel in CHANNELS if not channel.retain}
    events = {channel.id for channel in CHANNELS if "/event/" in channel.address}
    assert passing == events | {"request", "answer", "seat-report"}
    event = messages.event(TREE, TREE.event("alarm", "minor"), "alarm.raised", "x", 0.0, {}, boot=1, seq=1, born=0.0)
    assert not event.retain


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_what_the_asyncapi_document_refers_to_is_in_it() -> None:
    document = contract.asyncapi()
    for reference in references(document):
        node = document
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]
    schemas = document["components"]["schemas"]
    assert {*contract.names()} <= {*schemas}
    assert len({channel["address"] for channel in document["channels"].values()}) == len(CHANNELS)


@pytest.mark.parametrize("channel", FILES)
def test_a_recorded_message_is_what_the_asyncapi_document_says(channel: str) -> None:
    document = contract.asyncapi()
    payload = document["components"]["messages"][channel]["payload"]
    whole = Draft202012Validator({**payload, "components": document["components"]})
    assert [error.message for error in whole.iter_errors(example(channel)["payload"])] == []
    if "data" in example(channel)["payload"]:
        assert not whole.is_valid({**example(channel)["payload"], "data": {}})


@pytest.mark.slow
def test_asyncapis_own_parser_takes_the_document(tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node is not installed")
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "@asyncapi/parser@3.6.3"]
    if subprocess.run(install, cwd=tmp_path, capture_output=True, check=False, timeout=300).returncode:
        pytest.skip("the parser cannot be had here")
    (tmp_path / "feed.json").write_text(json.dumps(contract.asyncapi()), encoding="utf-8")
    (tmp_path / "check.mjs").write_text(
        "import { Parser } from '@asyncapi/parser'; import fs from 'fs';"
        "const found = await new Parser().parse(fs.readFileSync('feed.json', 'utf8'));"
        "console.log(JSON.stringify({channels: found.document?.channels().all().length,"
        " said: found.diagnostics.map(each => each.code)}));"
    )
    done = subprocess.run([node, "check.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    said = json.loads(done.stdout)
    assert said["channels"] == len(CHANNELS)
    assert set(said["said"]) <= {"asyncapi-latest-version"}


def test_the_page_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "feed.md").read_text(encoding="utf-8")
    assert page == feedpage.page(feedpage.read(EXAMPLES)), "please run: make feed"


def test_the_page_names_every_topic_payload_and_command() -> None:
    page = feedpage.page({})
    for channel in CHANNELS:
        assert f"`{channel.address.removeprefix('{root}/v1/{site}/')}`" in page
        assert f"**{channel.payload}**" in page or channel.payload == "request"
    for verb in requests.VERBS:
        assert f"| `{verb}` |" in page


# -- what came is looked at -------------------------------------------------------------------------------------------


STATUS: Final = {"state": "online", "reason": "start", "boot": 1, "since": None}
WRONG: Final = {
    "topic": heard(TREE.own("status") + "/more", STATUS),
    "qos": heard(TREE.own("status"), STATUS, qos=0),
    "retained event": {**heard("floor/v1/hq/live/res/ack", None, retain=1), "payload": "{}"},
    "empty answer": heard("floor/v1/hq/live/res/ack", None),
    "no JSON": {**heard(TREE.own("status"), STATUS), "payload": "{"},
    "member": heard(TREE.own("status"), {**STATUS, "boot": None}),
    "word": heard(TREE.own("status"), {**STATUS, "state": "asleep"}),
}


@pytest.mark.parametrize("message", WRONG.values(), ids=WRONG)
def test_a_message_that_breaks_the_contract_is_named(message: Json) -> None:
    good = heard(TREE.own("status"), STATUS, retain=1)
    assert breaches([good, heard(TREE.own("status"), None), heard("floor/v1/hq/live/req/ack", {})]) == []
    assert any(message["topic"] in line for line in breaches([good, message]))


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_one_schema_all_of_them_or_the_document() -> None:
    assert json.loads(invoke("schema", "alarm").stdout) == contract.schema("alarm")
    assert json.loads(invoke("schema").stdout) == contract.schemas()
    assert json.loads(invoke("schema", "--asyncapi").stdout) == contract.asyncapi()
    assert invoke("schema", "--list").stdout.split() == contract.names()


def test_the_command_points_at_the_nearest_name() -> None:
    done = invoke("schema", "alarn")
    assert done.exit_code == 2
    assert 'no payload "alarn", did you mean "alarm"?' in done.stderr
    assert invoke("schema", "alarm", "--list").exit_code == 2
