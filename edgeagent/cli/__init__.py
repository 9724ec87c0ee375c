"""The command line, which other people's scripts rely on. Thin: each command reads its words, calls one module, prints.

Results go to stdout, the log to stderr. Exit codes: 0 done, 1 refused or not reached, 2 wrong usage, 3 nothing
answered or a drill cut short, 4 answered but no driver fits, 78 configuration (EX_CONFIG of sysexits.h).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from edgeagent import log
from edgeagent.cli import devices, discovery, drill, feed, procedures, reports, schema, seat, support
from edgeagent.cli.common import USAGE, ConfigDir, fail, finish, print_line, site_of

app = typer.Typer(
    help="Watch the power, cooling, sensors and hosts of a call centre and publish faults as one MQTT feed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(devices.app)
app.add_typer(discovery.app)
app.add_typer(feed.app)
app.add_typer(procedures.app)
app.add_typer(drill.app)
app.add_typer(reports.app)
app.add_typer(schema.app)
app.add_typer(seat.app)
app.add_typer(support.app)


def main() -> None:
    """Run the command line."""
    app()


@app.callback()
def _start(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False) -> None:
    log.setup("debug" if verbose else "warning")


@app.command()
def check(config: ConfigDir) -> None:
    """Read the site's folder and name every mistake in it, and what may have been forgotten."""
    from edgeagent.sitetree import SEAT

    site = site_of(config)
    seats = sum(1 for _ in site.tree.of_kind(SEAT))
    for note in (*site.notes, *site.drills.notes, *site.security.notes(datetime.now().astimezone().date())):
        print_line(f"note: {note}")
    found = f"{len(site.devices)} devices, {len(site.areas)} areas, no mistakes"
    print_line(f"{config}: {found}; {len(site.tree.nodes)} nodes in the tree, {seats} of them seats")


@app.command()
def demo(
    for_: Annotated[str | None, typer.Option("--for", help="End after this time, e.g. 60s.", metavar="TIME")] = None,
    drill: Annotated[
        str | None, typer.Option("--drill", help="Show a drill instead, e.g. outage-good-start.", metavar="NAME")
    ] = None,
    speed: Annotated[float, typer.Option("--speed", help="Times faster than real, of a drill.", min=1, max=100)] = 30,
) -> None:
    """Show a simulated site at work: devices, broker, agent, and a mains failure in fast motion or a drill."""
    from edgeagent import demo as show
    from edgeagent.demostory import DemoError

    try:
        seconds = None if for_ is None else show.seconds(for_)
        raise typer.Exit(finish(show.run(seconds, drill, speed)))
    except DemoError as error:
        fail(str(error), USAGE)
