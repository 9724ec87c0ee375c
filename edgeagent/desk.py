"""What operators do at a terminal with a running agent: follow it, list alarms, give commands. All through the feed."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson
from rich.text import Text as Line

from edgeagent.broker import Broker
from edgeagent.catalog import Text
from edgeagent.config import Site
from edgeagent.consumer import Denied, consume, request
from edgeagent.exercisemark import MARK
from edgeagent.messages import Mode, Tree
from edgeagent.mqtt import MqttError
from edgeagent.wording import clean, hour, said

PATIENCE: Final = 10.0
_GRACE: Final = 0.5
"""s to wait for a retained topic that need not be there, when what must be there has come."""
_BANNER: Final = Text(
    "EXERCISE under way: {title} ({id}; led by {owner}, over by {ends})",
    "【演练进行中】{title}（{id}；负责人 {owner}，最迟 {ends} 结束）",
)
_COLOURS: Final = {"critical": "bold red", "major": "red", "minor": "yellow", "warning": "cyan"}


class DeskError(Exception):
    """The agent or its broker could not be reached; the message says which."""


class NoRight(DeskError):
    """The broker does not let us give commands on that lane."""


async def watch(site: Site, json: bool, say: Callable[[str], None]) -> None:
    """Say each event of alarms, procedures and drills as it comes, one line each, and first that a drill is on.

    Raises:
        DeskError.
    """
    notice = tree_of(site).exercise()
    topics, running = [f"{site.root}/v1/{site.id}/+/event/#", *([] if json else [notice])], ""
    try:
        async with consume(broker_of(site), topics) as messages:
            async for message in messages:
                if message.topic != notice:
                    say(message.payload.decode() if json else line(orjson.loads(message.payload), site.language))
                    continue
                news = orjson.loads(message.payload or b"{}")
                before, running = running, news.get("drill_id") or ""
                if running != before:
                    say(banner(news, site.language) or clean(news.get("short_text", "")))
    except MqttError as error:
        raise DeskError(str(error)) from error


async def snapshot(site: Site, mode: Mode = Mode.LIVE) -> dict[str, Any]:
    """Return the agent's list of open alarms of a lane, and as `exercise` what it says of drills.

    Raises:
        DeskError.
    """
    tree = tree_of(site)
    status, alarms = tree.own("status"), tree.alarms(mode)
    needed, others = ([status], [alarms]) if mode is Mode.DRILL else ([status, alarms], [])
    found = await _retained(site, needed, [tree.exercise(), *others])
    if alarms not in found:
        raise DeskError("no drill is on / 当前没有演练")
    return {"agent": found[status]["state"], **found[alarms], "exercise": found.get(tree.exercise())}


async def exercise(site: Site) -> Mapping[str, Any]:
    """Return what the agent says of drills, empty where it says nothing.

    Raises:
        DeskError.
    """
    tree = tree_of(site)
    notice: Mapping[str, Any] = (await _retained(site, [tree.own("status")], [tree.exercise()])).get(
        tree.exercise(), {}
    )
    return notice


async def command(site: Site, verb: str, fields: Mapping[str, object], mode: Mode = Mode.LIVE) -> dict[str, Any]:
    """Give the agent a command on a lane and return its answer.

    Raises:
        NoRight: when the broker lets us give none on this lane.
        DeskError.
    """
    tree = tree_of(site)
    by = str(fields.get("by") or os.environ.get("SUDO_USER") or getpass.getuser())
    asked = orjson.dumps({**fields, "by": by, "transaction": uuid.uuid4().hex})
    try:
        payload = await request(broker_of(site), tree.request(verb, mode), asked, tree.answer(verb, mode), PATIENCE)
    except Denied as error:
        raise NoRight(str(error)) from error
    except MqttError as error:
        raise DeskError(str(error)) from error
    except TimeoutError as error:
        raise DeskError(f"no answer from agent {site.agent} within {PATIENCE:.0f} s") from error
    answer: dict[str, Any] = orjson.loads(payload)
    return answer


def line(event: Mapping[str, Any], language: str) -> str:
    """Spell one event as a line: time, what happened, how grave, which alarm or run, its text."""
    data = event["data"]
    said = data.get("texts", {}).get(language, "")
    text = said if isinstance(said, str) else said.get("short_text", "")  # a run has one text, an alarm three
    words = (
        event["time"],
        data.get("verb", event["type"]),
        data.get("perceived_severity", ""),
        data.get("alarm_id") or data.get("run_id") or data.get("drill_id", ""),
    )
    return "  ".join(word for word in (*words, text) if word)


def banner(notice: Mapping[str, Any] | None, language: str) -> str:
    """Say in the line that stands above everything else that a drill is on; nothing while none is."""
    if notice is None or notice.get("state") != "running":
        return ""
    words = {name: clean(str(notice[name])) for name in ("owner", "drill_id")}
    ends = hour(datetime.fromisoformat(notice["ends"]).timestamp(), None)
    title = clean(notice["titles"][language]).removeprefix(said(MARK, language))
    return said(_BANNER, language).format(title=title, id=words["drill_id"], owner=words["owner"], ends=ends)


def table(found: Mapping[str, Any]) -> Iterator[Line]:
    """Lay the open alarms out for a terminal, one line each."""
    counts = ", ".join(f"{count} {severity}" for severity, count in found["counts"].items() if count)
    yield Line(f"agent {found['agent']}; {counts or 'no alarms'}; {found['unacknowledged']} not acknowledged")
    rows = [
        (
            alarm["perceived_severity"], alarm["state"], alarm["last_raised"] or "", alarm["alarm_id"],
            f"{alarm['texts']['zh']}  {alarm['texts']['en']}",
        )
        for alarm in found["open"]
    ]  # fmt: skip
    head, *lines = _aligned(("severity", "state", "since", "alarm", ""), *rows)
    yield Line(head, "bold")
    for (severity, *_), line in zip(rows, lines, strict=True):
        yield Line(line, _COLOURS.get(severity, ""))


def run_table(runs: Sequence[Mapping[str, Any]], language: str) -> Iterator[Line]:
    """Lay runs of procedures out for a terminal, below each what is asked for now."""
    yield Line(f"{len(runs)} runs")
    rows = [(run["run_id"], run["state"], run["onset"], run["texts"][language]) for run in runs]
    head, *lines = _aligned(("run", "state", "since", ""), *rows)
    yield Line(head, "bold")
    for run, line in zip(runs, lines, strict=True):
        ready = [step for step in run["steps"] if step["state"] == "ready"]
        style = "red" if any(step["overdue"] for step in ready) else ""
        yield Line(line, style)
        for step in ready:
            yield Line(f"  {clean(step['step'])} ({step['role']}): {clean(step['texts'][language])}", style)


def _aligned(*rows: Sequence[str]) -> Iterator[str]:
    """Spell rows with their columns below each other. No word is cut: ids are what commands ask for."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield clean("  ".join(f"{word:{width}}" for word, width in zip(row, widths, strict=True)))


def reason(answer: Mapping[str, Any]) -> str:
    """Spell why a command was refused."""
    return (
        f"{answer.get('texts', {}).get('en', '')} ({answer.get('reason', '?')}) {answer.get('texts', {}).get('zh', '')}"
    )


def tree_of(site: Site) -> Tree:
    """Return the topics of the site's agent."""
    return Tree(site.root, site.id, site.agent)


def broker_of(site: Site) -> Broker:
    """Return the site's broker, under a client id of our own."""
    return replace(site.broker, client_id=f"desk-{socket.gethostname()}-{uuid.uuid4().hex[:8]}")


async def _retained(site: Site, needed: Sequence[str], others: Sequence[str]) -> dict[str, Any]:
    """Return what lies on retained topics; `others` need not be there.

    Raises:
        DeskError.
    """
    found: dict[str, Any] = {}
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PATIENCE) as limit, consume(broker_of(site), [*others, *needed]) as messages:
            async for message in messages:
                if message.payload:
                    found[message.topic] = orjson.loads(message.payload)
                if found.keys() >= {*needed, *others}:
                    return found
                if found.keys() >= set(needed):
                    limit.reschedule(min(limit.when() or 0.0, loop.time() + _GRACE))
    except MqttError as error:
        raise DeskError(str(error)) from error
    except TimeoutError as error:
        if found.keys() >= set(needed):
            return found
        raise DeskError(f"the broker has nothing of agent {site.agent} at site {site.id}") from error
    raise DeskError("the connection ended")
