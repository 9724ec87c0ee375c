"""The command line, which other people's scripts rely on. Thin: each command reads its words, calls one module, prints.

Results go to stdout, the log to stderr. Exit codes: 0 done, 1 refused or not reached, 2 wrong usage, 3 nothing
answered, 4 answered but no driver fits, 78 configuration (EX_CONFIG of sysexits.h).
"""

from __future__ import annotations

from typing import Annotated

import typer

from edgeagent import log
from edgeagent.cli import devices, discovery, feed
from edgeagent.cli.common import USAGE, ConfigDir, fail, finish, load_site, print_line, site_of

app = typer.Typer(
    help="Watch the power, cooling, sensors and hosts of a call centre and publish faults as one MQTT feed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(devices.app)
app.add_typer(discovery.app)
app.add_typer(feed.app)


def main() -> None:
    """Run the command line."""
    app()


@app.callback()
def _start(
    context: typer.Context, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False
) -> None:
    log.setup("debug" if verbose else "info" if context.invoked_subcommand == "run" else "warning")


@app.command()
def check(config: ConfigDir) -> None:
    """Read the site's folder and name every mistake in it."""
    site = site_of(config)
    print_line(f"{config}: {len(site.devices)} devices, {len(site.areas)} areas, no mistakes")


@app.command()
def run(config: ConfigDir) -> None:
    """Run the agent in the foreground, as systemd does."""
    from edgeagent.agent import Agent
    from edgeagent.statefolder import Occupied

    site = site_of(config)
    try:
        agent = Agent(site, lambda: load_site(config))
    except Occupied as error:
        fail(str(error), 1)
    raise typer.Exit(finish(agent.run()))


@app.command()
def demo(
    for_: Annotated[str | None, typer.Option("--for", help="End after this time, e.g. 60s.", metavar="TIME")] = None,
) -> None:
    """Show a simulated site at work: devices, broker, agent and a mains failure in fast motion."""
    from edgeagent import demo as show

    try:
        seconds = None if for_ is None else show.seconds(for_)
        raise typer.Exit(finish(show.run(seconds)))
    except show.DemoError as error:
        fail(str(error), USAGE)
