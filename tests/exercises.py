"""Drills on the true agent: a site that may rehearse, what is asked of it, and what the feed said in which lane."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edgeagent.broker import Broker
from edgeagent.consumer import request
from tests.broker import Listener, until
from tests.rig import SITE, Ear

DRILL: Final = f"floor/v1/{SITE}/drill"
LIVE: Final = f"floor/v1/{SITE}/live"
MARKS: Final = ("演练 – ", "EXERCISE – ")
QUICK: Final = """
scenario = "quick"
version = 1
text = { en = "Quick outage", zh = "快速断电" }
purpose = { en = "To see that it works", zh = "验证功能" }
procedure = "outage"
duration = "10min"
scope = ["mains"]
timeline = [
  "at 0:00 every ups source = battery",
  "at 0:00 every ups input.voltage = 0",
  "at 0:00 every ups input.frequency = 0",
  "at 0:00 every generator mains.voltage = 0",
  "at 0:00 every generator mains.frequency = 0",
  "at 9:00 every ups released",
  "at 9:00 every generator released",
]
expect = ["by 0:30 alarm mains-lost", "by 0:30 run outage", "by 8:00 closed outage"]
"""
"""An outage that is there at once and lasts, at true speed."""


def may_drill(folder: Path, *scenarios: str, speed: float = 1) -> None:
    """Let a site rehearse, with scenarios of its own."""
    site = folder / "site.toml"
    site.write_text(f"{site.read_text(encoding='utf-8')}\n[drills]\nspeed = {speed}\n", encoding="utf-8")
    (folder / "drills").mkdir(exist_ok=True)
    for text in scenarios:
        name = text.partition('scenario = "')[2].partition('"')[0]
        (folder / "drills" / f"{name}.toml").write_text(text, encoding="utf-8")


def ask(port: int, verb: str, lane: str = "drill", within: float = 60.0, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Ask something of the agent and return its answer."""
    root = f"floor/v1/{SITE}/{lane}"
    body = json.dumps({"by": "王班长", "transaction": uuid.uuid4().hex, **fields}).encode()
    broker = Broker("127.0.0.1", port, client_id=f"desk-{uuid.uuid4().hex[:8]}")
    answer: dict[str, Any] = json.loads(
        asyncio.run(request(broker, f"{root}/req/{verb}", body, f"{root}/res/{verb}", within))
    )
    return answer


def start(port: int, scenario: str, **fields: Any) -> str:  # noqa: ANN401 - JSON
    """Start a drill and return its id."""
    answer = ask(port, "drill-start", scenario=scenario, owner="王班长", confirmed_by="李主管", **fields)
    assert answer["ok"], answer
    return str(answer["drill_id"])


def notice(ear: Ear) -> dict[str, Any]:
    """Return what the live lane says of drills."""
    return ear.newest(f"{LIVE}/exercise") or {}


def until_over(ear: Ear, drill_id: str, within: float = 60.0) -> dict[str, Any]:
    """Wait for the end of a drill and return how it came out."""
    over: dict[str, Any] = until(
        lambda: (last := notice(ear).get("last")) and last["drill_id"] == drill_id and last, within
    )
    return over


def drilled(ear: Ear, *verbs: str) -> list[dict[str, Any]]:
    """Return the events of the drill lane, repetitions left out."""
    found = {
        event["id"]: event
        for message in list(ear.messages)
        if message["topic"].startswith(f"{DRILL}/event/") and (event := json.loads(message["payload"]))
    }
    return [event for event in found.values() if not verbs or event["data"]["verb"] in verbs]


def run_of(ear: Ear, procedure: str) -> dict[str, Any]:
    """Return the newest record of the drill's run of a procedure, an empty one without any."""
    topics = dict.fromkeys(
        message["topic"]
        for message in list(ear.messages)
        if message["topic"].startswith(f"{DRILL}/procedure/drill-{procedure}")
    )
    found = [message["payload"] for topic in topics for message in ear.on(topic) if message["payload"]]
    return found[-1] if found else {}


def lie_retained(port: int) -> list[str]:
    """Return what lies retained on the drill lane."""
    with Listener(port, f"{DRILL}/#", f"{LIVE}/agent/#", args=("--retained-only",)) as left:
        until(lambda: any("/agent/" in message["topic"] for message in left.messages))
        return [message["topic"] for message in left.messages if message["topic"].startswith(DRILL)]


def texts(payload: Any, key: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON
    """Give every line in a payload that people read, in either language."""
    if isinstance(payload, dict):
        for name, value in payload.items():
            within = key if name in ("en", "zh") else name
            yield from texts(value, within)
    elif isinstance(payload, list):
        for value in payload:
            yield from texts(value, key)
    elif isinstance(payload, str) and key in ("short_text", "texts", "text", "title", "titles", "alarm_text"):
        yield payload


def taints(ear: Ear, *drill_ids: str) -> list[str]:
    """Return what is wrong with the marks: of drills on the live lane, or missing on the drill lane."""
    wrong = []
    for message in list(ear.messages):
        topic, payload = message["topic"], message["payload"]
        if not payload or topic.startswith((f"{LIVE}/req/", f"{LIVE}/res/", f"{DRILL}/req/", f"{DRILL}/res/")):
            continue
        said = json.loads(payload)
        data = said.get("data", said)
        marked = [text.startswith(MARKS) for text in texts(said) if text]
        if topic.startswith(f"{LIVE}/"):
            of_drill = any(marked) or '"drill"' in payload or any(id in payload for id in drill_ids)
            if topic != f"{LIVE}/exercise" and of_drill:
                wrong.append(f"{topic} on the live lane is of a drill: {payload[:300]}")
            continue
        owner = said.get("exerciseid", data.get("exercise_id"))
        if said.get("lane", said.get("mode")) != "drill" or owner not in drill_ids or not all(marked):
            wrong.append(f"{topic} lacks its mark: {payload[:300]}")
        properties = str(message.get("properties"))
        if owner not in properties or "exerciseid" not in properties or "mode" not in properties:
            wrong.append(f"{topic} lacks its user properties: {properties}")
    return wrong
