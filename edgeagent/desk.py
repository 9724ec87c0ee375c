"""What operators do at a terminal with a running agent: follow it, list alarms, give commands. All through the feed."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from rich.table import Table

from edgeagent.broker import Broker
from edgeagent.config import Site
from edgeagent.consumer import consume, request
from edgeagent.messages import Tree
from edgeagent.mqtt import MqttError

PATIENCE: Final = 10.0
_COLOURS: Final = {"critical": "bold red", "major": "red", "minor": "yellow", "warning": "cyan"}


class DeskError(Exception):
    """The agent or its broker could not be reached; the message says which."""


async def watch(site: Site, json: bool, say: Callable[[str], None]) -> None:
    """Say each event of alarms and procedures as it comes, one line each.

    Raises:
        DeskError.
    """
    topic = f"{site.root}/v1/{site.id}/+/event/#"
    try:
        async with consume(_broker(site), [topic]) as messages:
            async for message in messages:
                say(message.payload.decode() if json else line(orjson.loads(message.payload), site.language))
    except MqttError as error:
        raise DeskError(str(error)) from error


async def snapshot(site: Site) -> dict[str, Any]:
    """Return the agent's list of open alarms.

    Raises:
        DeskError.
    """
    tree = Tree(site.root, site.id, site.agent)
    status, alarms = tree.own("status"), tree.alarms()
    found: dict[str, Any] = {}
    try:
        async with asyncio.timeout(PATIENCE), consume(_broker(site), [status, alarms]) as messages:
            async for message in messages:
                found[message.topic] = orjson.loads(message.payload)
                if status in found and alarms in found:
                    return {"agent": found[status]["state"], **found[alarms]}
    except MqttError as error:
        raise DeskError(str(error)) from error
    except TimeoutError as error:
        raise DeskError(f"the broker has nothing of agent {site.agent} at site {site.id}") from error
    raise DeskError("the connection ended")


async def command(site: Site, verb: str, fields: Mapping[str, object]) -> dict[str, Any]:
    """Give the agent a command and return its answer.

    Raises:
        DeskError.
    """
    tree = Tree(site.root, site.id, site.agent)
    by = str(fields.get("by") or os.environ.get("SUDO_USER") or getpass.getuser())
    asked = {**fields, "by": by, "transaction": uuid.uuid4().hex}
    try:
        payload = await request(_broker(site), tree.request(verb), orjson.dumps(asked), tree.answer(verb), PATIENCE)
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
        data.get("alarm_id") or data.get("run_id", ""),
    )
    return "  ".join(word for word in (*words, text) if word)


def table(found: Mapping[str, Any]) -> Table:
    """Lay the open alarms out for a terminal."""
    counts = ", ".join(f"{count} {severity}" for severity, count in found["counts"].items() if count)
    title = f"agent {found['agent']}; {counts or 'no alarms'}; {found['unacknowledged']} not acknowledged"
    rows = Table(box=None, title=title, title_justify="left")
    for name in ("severity", "state", "since", "alarm"):
        rows.add_column(name, no_wrap=True)
    rows.add_column()
    for alarm in found["open"]:
        since = alarm["last_raised"] or ""
        texts = alarm["texts"]
        rows.add_row(
            alarm["perceived_severity"], alarm["state"], since, alarm["alarm_id"], f"{texts['zh']}  {texts['en']}",
            style=_COLOURS.get(alarm["perceived_severity"], ""),
        )  # fmt: skip
    return rows


def run_table(runs: Sequence[Mapping[str, Any]], language: str) -> Table:
    """Lay runs of procedures out for a terminal, with what is asked for now."""
    rows = Table(box=None, title=f"{len(runs)} runs", title_justify="left")
    for name in ("run", "state", "since"):
        rows.add_column(name, no_wrap=True)
    rows.add_column()
    for run in runs:
        overdue = any(step["overdue"] for step in run["steps"] if step["state"] == "ready")
        lines = [run["texts"][language]]
        lines += [
            f"  {step['step']} ({step['role']}): {step['texts'][language]}"
            for step in run["steps"]
            if step["state"] == "ready"
        ]
        rows.add_row(run["run_id"], run["state"], run["onset"], "\n".join(lines), style="red" if overdue else "")
    return rows


def reason(answer: Mapping[str, Any]) -> str:
    """Spell why a command was refused."""
    return (
        f"{answer.get('texts', {}).get('en', '')} ({answer.get('reason', '?')}) {answer.get('texts', {}).get('zh', '')}"
    )


def _broker(site: Site) -> Broker:
    return replace(site.broker, client_id=f"desk-{socket.gethostname()}-{uuid.uuid4().hex[:8]}")
