"""Commands about procedures: which runs are open, what is done in them, opening and closing one by hand."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgeagent.cli.common import (
    USAGE,
    ConfigDir,
    ConfigDirOrNone,
    Json,
    fail,
    load_site,
    print_json,
    print_line,
    site_of,
)
from edgeagent.cli.feed import By, InDrill, ask, lane, print_banner, print_table, talk
from edgeagent.messages import Mode
from edgeagent.mistakes import Mistakes, nearest

if TYPE_CHECKING:  # loaded only when it is read
    from edgeagent.config import Site

app = typer.Typer()
run = typer.Typer(invoke_without_command=True)
app.add_typer(run, name="run")

Note = Annotated[str, typer.Option("--note", help="What was seen or done; stands in the record.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; stands in the record.")]


@run.callback()
def _run(context: typer.Context, config: ConfigDirOrNone = None) -> None:
    """Run the agent in the foreground, as systemd does; with a word behind it: about one run of a procedure."""
    if context.invoked_subcommand is not None:
        return
    from edgeagent import handover

    if config is None:
        fail("run needs --config DIR, or one of the words that `edgeagent run --help` lists", USAGE)
    if handover.asked():
        sys.stdout.buffer.write(handover.pack(_read(config)))
        return
    site = site_of(config, whole=False)
    level = "debug" if logging.getLogger().level == logging.DEBUG else "info"
    handover.become(site, level)
    from edgeagent import daemon

    raise typer.Exit(daemon.run(site, level))


def _read(config: Path) -> Site | Mistakes:
    """Read the site's folder for a running agent."""
    try:
        found: Site = load_site(config, whole=False)
    except Mistakes as error:
        return error
    return found


@app.command()
def runs(config: ConfigDir, json: Json = False, drill: InDrill = False) -> None:
    """List the runs of procedures that are open or ended of late."""
    from edgeagent import desk

    site = site_of(config)
    answer = ask(site, "runs", {}, lane(drill))
    if json:
        print_json(answer["runs"])
    else:
        print_banner(desk.banner(talk(desk.exercise(site)), site.language))
        print_table(desk.run_table(answer["runs"], site.language))


@app.command()
def step(
    run_id: str,
    step: str,
    action: Literal["done", "skip", "note"],
    config: ConfigDir,
    note: Note = "",
    by: By = "",
    drill: InDrill = False,
) -> None:
    """Say that a step is done, skipped (with --note why), or what is known of it."""
    asked: dict[str, object] = {"run_id": run_id, "step": step, "action": action, "note": note, "by": by}
    ask(site_of(config), "step", asked, lane(drill))
    print_line(f"{run_id} {step}: {action}")


@run.command("open")
def open_(
    procedure: str,
    config: ConfigDir,
    reason: Reason,
    scope: Annotated[str, typer.Option("--scope", help="The area, seat or device it is about; else the site.")] = "",
    level: Annotated[int | None, typer.Option("--level", help="Fault level, where the procedure has some.")] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Open it although the site has no such procedure: a run without steps.")
    ] = False,
    by: By = "",
    drill: InDrill = False,
) -> None:
    """Open a run of a procedure by hand; one that the site has not only with --unknown, as it may be a slip."""
    site = site_of(config)
    if not unknown and procedure not in site.procedures:
        hint = nearest(procedure, list(site.procedures))
        fail(f'unknown procedure "{procedure}"{hint} – with --unknown it is opened, without steps', USAGE)
    asked: dict[str, object] = {"procedure": procedure, "scope": scope, "reason": reason, "level": level, "by": by}
    print_line(ask(site, "run-open", asked, lane(drill))["run_id"])


@run.command()
def close(run_id: str, config: ConfigDir, reason: Reason, by: By = "", drill: InDrill = False) -> None:
    """Close a run whose fault is over."""
    _act(config, lane(drill), "run-close", run_id, reason=reason, by=by)


@run.command()
def abort(run_id: str, config: ConfigDir, reason: Reason, by: By = "", drill: InDrill = False) -> None:
    """End a run that should not be: a mistake, a test."""
    _act(config, lane(drill), "run-abort", run_id, reason=reason, by=by)


@run.command()
def ack(run_id: str, config: ConfigDir, by: By = "", drill: InDrill = False) -> None:
    """Acknowledge a run: somebody has it. It lapses where nothing goes on."""
    _act(config, lane(drill), "run-ack", run_id, by=by)


@run.command()
def lead(run_id: str, config: ConfigDir, by: By = "", drill: InDrill = False) -> None:
    """Take the command of a run."""
    _act(config, lane(drill), "run-lead", run_id, by=by)


@run.command()
def note(run_id: str, text: str, config: ConfigDir, by: By = "", drill: InDrill = False) -> None:
    """Write down what happens; it stands in the record with its time."""
    _act(config, lane(drill), "run-note", run_id, text=text, by=by)


@run.command()
def fill(run_id: str, field: str, text: str, config: ConfigDir, by: By = "", drill: InDrill = False) -> None:
    """Fill in a field of the fault record: nature, cause, responsible, follow-up, prevention …."""
    _act(config, lane(drill), "run-fill", run_id, field=field, text=text, by=by)


@run.command()
def level(run_id: str, level: int, config: ConfigDir, reason: Reason, by: By = "", drill: InDrill = False) -> None:
    """Set the fault level, which sets the clock."""
    _act(config, lane(drill), "run-level", run_id, level=level, reason=reason, by=by)


def _act(config: Path, mode: Mode, verb: str, run_id: str, **fields: object) -> None:
    ask(site_of(config), verb, {"run_id": run_id, **fields}, mode)
    print_line(f"{run_id}: {verb.removeprefix('run-')} ok")
