"""The command that packs what whoever helps has to know. Thin: `edgeagent.support` does it."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from edgeagent.cli.common import USAGE, ConfigDir, fail, load_site, print_line
from edgeagent.mistakes import Mistakes

app = typer.Typer()


@app.command()
def support(
    config: ConfigDir,
    to: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("edgeagent-support.tar.gz"),
    mask: Annotated[bool, typer.Option("--mask", help="Hide addresses and names of hosts too.")] = False,
) -> None:
    """Pack versions, configuration, the log and what the store holds into one file, secrets taken out."""
    from edgeagent import support as packer

    site, said = None, ""
    try:
        site = load_site(config)
    except Mistakes as error:
        said = "".join(f"{mistake}\n" for mistake in error.found)
    else:
        notes = (*site.notes, *site.drills.notes, *site.security.notes(datetime.now().astimezone().date()))
        said = "".join(f"note: {note}\n" for note in notes) + "no mistakes\n"
    files = packer.contents(config, site, None if site is None else site.catalog, said)
    try:
        packer.write(to, files, packer.cleaner(config, mask=mask), time.time())
    except OSError as error:
        fail(f"{to}: {error.strerror}", USAGE)
    print_line(f"{to}: {len(files)} files; read it before you pass it on")
