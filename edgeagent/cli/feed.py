"""Commands that talk to a running agent through its feed."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from edgeagent.cli.common import ConfigDir, Json, fail, finish, out, print_json, print_line, site_of

app = typer.Typer()
_T = TypeVar("_T")


@app.command()
def watch(config: ConfigDir, json: Json = False) -> None:
    """Follow the alarms of a running agent through its feed, one line a change."""
    from edgeagent import desk

    _talk(desk.watch(site_of(config), json, print_line))


@app.command()
def alarms(config: ConfigDir, json: Json = False) -> None:
    """List the open alarms of a running agent."""
    from edgeagent import desk

    snapshot = _talk(desk.snapshot(site_of(config)))
    if json:
        print_json(snapshot)
    else:
        out.print(desk.table(snapshot))


By = Annotated[str, typer.Option("--by", help="Who you are; stands in the record.")]
Note = Annotated[str, typer.Option("--note", help="What you know or do about it.")]


@app.command()
def ack(alarm: str, config: ConfigDir, by: By = "", note: Note = "") -> None:
    """Acknowledge an alarm: somebody has it."""
    _command(config, "ack", {"alarm_id": alarm, "by": by, "note": note})


@app.command()
def unack(alarm: str, config: ConfigDir, by: By = "", note: Note = "") -> None:
    """Take an acknowledgement back."""
    _command(config, "unack", {"alarm_id": alarm, "by": by, "note": note})


@app.command()
def shelve(
    alarm: str,
    config: ConfigDir,
    reason: Annotated[str, typer.Option("--reason", help="Why nobody needs to hear it for a while.")],
    minutes: Annotated[float, typer.Option("--minutes", help="For how long, 480 at most.")] = 60,
    by: By = "",
) -> None:
    """Keep an alarm from people for a while; it is watched all the same."""
    _command(config, "shelve", {"alarm_id": alarm, "seconds": minutes * 60, "reason": reason, "by": by})


@app.command()
def unshelve(alarm: str, config: ConfigDir, by: By = "") -> None:
    """End a shelf before its time."""
    _command(config, "unshelve", {"alarm_id": alarm, "by": by})


@app.command()
def reset(alarm: str, config: ConfigDir, by: By = "", note: Note = "") -> None:
    """Reset a latched alarm whose cause is gone."""
    _command(config, "reset", {"alarm_id": alarm, "by": by, "note": note})


@app.command()
def refresh(config: ConfigDir) -> None:
    """Make the agent poll everything now and publish all its state again."""
    _command(config, "refresh", {})


def _talk(talking: Coroutine[Any, Any, _T]) -> _T:
    from edgeagent.desk import DeskError

    try:
        return finish(talking)
    except DeskError as error:
        fail(str(error), 1)


def ask(config: Path, verb: str, fields: dict[str, object]) -> dict[str, Any]:
    """Give the running agent a command and return its answer; a refusal ends the command."""
    from edgeagent import desk

    answer: dict[str, Any] = _talk(desk.command(site_of(config), verb, fields))
    if not answer.get("ok"):
        fail(f"{verb} refused: {desk.reason(answer)}", 1)
    return answer


def _command(config: Path, verb: str, fields: dict[str, object]) -> None:
    ask(config, verb, fields)
    print_line(f"{verb}: ok")
