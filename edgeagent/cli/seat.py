"""The seat role, started by a workstation's service manager, and the one look that an installer takes."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from edgeagent import log
from edgeagent.cli.common import Json, mistaken, print_line
from edgeagent.mistakes import Mistakes
from edgeagent.readings import Missing

app = typer.Typer()


@app.command()
def seat(
    config: Annotated[
        Path, typer.Option("--config", help="The seat's file, seat.toml.", metavar="FILE", readable=False)
    ],
    once: Annotated[bool, typer.Option("--once", help="Print one report and publish nothing.")] = False,
    json: Json = False,
) -> None:
    """Report the workstation, headset and services of a seat to the site's broker."""
    from edgeagent import seat as role
    from edgeagent import seatconfig

    try:
        settings = seatconfig.load(config)
    except Mistakes as error:
        mistaken(error)
    if not once:
        log.setup("debug" if logging.getLogger().level == logging.DEBUG else "info")
        raise typer.Exit(role.run(settings))
    answers, report = role.once(settings)
    if json:
        sys.stdout.write(report.decode() + "\n")
        return
    print_line(
        f"{settings.root}/v1/{settings.site}/seat/{settings.id}/report at {settings.broker}, {len(report)} bytes"
    )
    told = orjson.loads(report)["answers"]
    width = max(map(len, answers))
    for address, raw in answers.items():
        print_line(
            f"{address:{width}}  {told.get(address, f'– ({raw})' if isinstance(raw, Missing) else '– (not told)')}"
        )
