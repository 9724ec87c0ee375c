"""What all commands share: the output, the exit codes, and how a mistake is told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeVar

import orjson
import typer

from edgeagent import resources
from edgeagent.catalog import Catalog, Driver
from edgeagent.endpoint import Endpoint, EndpointError, parse
from edgeagent.mistakes import Mistakes, nearest

if TYPE_CHECKING:
    from rich.console import Console

USAGE: Final = 2
SILENT: Final = 3
UNKNOWN: Final = 4
CONFIG: Final = 78

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
# What cannot be read is a mistake in the configuration like any other, not wrong usage.
_SITE = typer.Option("--config", help="Folder with the site's *.toml.", metavar="DIR", readable=False)
ConfigDir = Annotated[Path, _SITE]
ConfigDirOrNone = Annotated[Path | None, _SITE]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the device.", min=0.1, max=60)]
DriverId = Annotated[str | None, typer.Option("--driver", help="Take this driver, whatever the device says.")]
_T = TypeVar("_T")


@cache
def out() -> Console:
    """Return what tells people of results; not loaded where there is nothing to tell, as in the agent."""
    from rich.console import Console

    return Console()


@cache
def err() -> Console:
    """Return what tells people all else."""
    from rich.console import Console

    return Console(stderr=True)


def load_catalog() -> Catalog:
    """Load the shipped drivers and those of /etc/edgeagent, or name all that is wrong with them."""
    from edgeagent import driverfiles

    own = Path("/etc/edgeagent/drivers")
    try:
        return driverfiles.load([resources.drivers(), *([own] if own.is_dir() else [])])
    except Mistakes as error:
        mistaken(error)


def load_site(config: Path, *, whole: bool = True) -> Any:  # noqa: ANN401 - config.Site, loaded when it is needed
    """Load the site's folder, with all drivers that there are or only with those that it names."""
    from edgeagent import sitefiles

    return sitefiles.load(config, resources.drivers(), whole=whole)


def site_of(config: Path, *, whole: bool = True) -> Any:  # noqa: ANN401 - see above
    """Load the site's folder, or name every mistake in it and leave."""
    try:
        return load_site(config, whole=whole)
    except Mistakes as error:
        mistaken(error)


def mistaken(error: Mistakes) -> NoReturn:
    """Name every mistake and leave."""
    for mistake in error.found:
        sys.stderr.write(f"{mistake}\n")
    raise typer.Exit(CONFIG)


def fail(text: str, code: int) -> NoReturn:
    """Say what is wrong and leave."""
    sys.stderr.write(f"edgeagent: {text}\n")
    raise typer.Exit(code)


def endpoint_of(url: str) -> Endpoint:
    """Read a device URL."""
    try:
        return parse(url)
    except EndpointError as error:
        fail(str(error), USAGE)


def driver_of(found: Catalog, id: str) -> Driver:
    """Find a driver by its id."""
    driver = found.drivers.get(id)
    if driver is None:
        fail(f'unknown driver "{id}"{nearest(id, list(found.drivers))}', USAGE)
    return driver


def finish(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end; an interrupt is a normal way out."""
    try:
        return asyncio.run(coroutine)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def print_json(data: object) -> None:
    """Print one object as JSON."""
    sys.stdout.buffer.write(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()


def print_line(text: str) -> None:
    """Print one line at once, into a pipe too."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
