"""Commands that talk to a running agent through its feed."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from edgeagent.cli.common import ConfigDir, Json, fail, finish, out, print_json, print_line, site_of
from edgeagent.messages import Mode

if TYPE_CHECKING:  # loaded only when an agent is asked something
    from rich.text import Text as Line

    from edgeagent.config import Site

app = typer.Typer()
_T = TypeVar("_T")


@app.command()
def watch(config: ConfigDir, json: Json = False) -> None:
    """Follow the alarms of a running agent through its feed, one line a change."""
    from edgeagent import desk

    talk(desk.watch(site_of(config), json, print_line))


By = Annotated[str, typer.Option("--by", help="Who you are; stands in the record.")]
Note = Annotated[str, typer.Option("--note", help="What you know or do about it.")]
InDrill = Annotated[bool, typer.Option("--drill", help="In the drill that is on, not in reality.")]


@app.command()
def alarms(config: ConfigDir, json: Json = False, drill: InDrill = False) -> None:
    """List the open alarms of a running agent."""
    from edgeagent import desk

    site = site_of(config)
    snapshot = talk(desk.snapshot(site, lane(drill)))
    if json:
        print_json(snapshot)
    else:
        print_banner(desk.banner(snapshot["exercise"], site.language))
        print_table(desk.table(snapshot))


@app.command()
def ack(alarm: str, config: ConfigDir, by: By = "", note: Note = "", drill: InDrill = False) -> None:
    """Acknowledge an alarm: somebody has it."""
    _command(config, "ack", {"alarm_id": alarm, "by": by, "note": note}, drill)


@app.command()
def unack(alarm: str, config: ConfigDir, by: By = "", note: Note = "", drill: InDrill = False) -> None:
    """Take an acknowledgement back."""
    _command(config, "unack", {"alarm_id": alarm, "by": by, "note": note}, drill)


@app.command()
def shelve(
    alarm: str,
    config: ConfigDir,
    reason: Annotated[str, typer.Option("--reason", help="Why nobody needs to hear it for a while.")],
    minutes: Annotated[float, typer.Option("--minutes", help="For how long, 480 at most.")] = 60,
    by: By = "",
    drill: InDrill = False,
) -> None:
    """Keep an alarm from people for a while; it is watched all the same."""
    _command(config, "shelve", {"alarm_id": alarm, "seconds": minutes * 60, "reason": reason, "by": by}, drill)


@app.command()
def unshelve(alarm: str, config: ConfigDir, by: By = "", drill: InDrill = False) -> None:
    """End a shelf before its time."""
    _command(config, "unshelve", {"alarm_id": alarm, "by": by}, drill)


@app.command()
def reset(alarm: str, config: ConfigDir, by: By = "", note: Note = "", drill: InDrill = False) -> None:
    """Reset a latched alarm whose cause is gone."""
    _command(config, "reset", {"alarm_id": alarm, "by": by, "note": note}, drill)


@app.command()
def refresh(config: ConfigDir) -> None:
    """Make the agent poll everything now and publish all its state again."""
    _command(config, "refresh", {})


def talk(talking: Coroutine[Any, Any, _T]) -> _T:
    """Talk to the agent; that it cannot be reached, or will not, ends the command."""
    from edgeagent.desk import DeskError

    try:
        return finish(talking)
    except DeskError as error:
        fail(str(error), 1)


def ask(site: Site, verb: str, fields: dict[str, object], mode: Mode = Mode.LIVE) -> dict[str, Any]:
    """Give the running agent a command and return its answer; a refusal ends the command."""
    from edgeagent import desk

    answer: dict[str, Any] = talk(desk.command(site, verb, fields, mode))
    if not answer.get("ok"):
        fail(f"{verb} refused: {desk.reason(answer)}", 1)
    return answer


def lane(drill: bool) -> Mode:
    """Choose the lane to act on."""
    return Mode.DRILL if drill else Mode.LIVE


def print_banner(text: str) -> None:
    """Print above everything else that a drill is on, if one is."""
    if text:
        out().print(text, style="bold black on yellow", markup=False, highlight=False, soft_wrap=True)


def print_table(lines: Iterable[Line]) -> None:
    """Print lines as they are, however narrow the terminal."""
    for line in lines:
        out().print(line, soft_wrap=True)


def _command(config: Path, verb: str, fields: dict[str, object], drill: bool = False) -> None:
    ask(site_of(config), verb, fields, lane(drill))
    print_line(f"{verb}: ok")
