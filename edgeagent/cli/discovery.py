"""Commands that find devices, and make drivers of what their makers export."""

from __future__ import annotations

import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from edgeagent import resources
from edgeagent.cli.common import CONFIG, SILENT, USAGE, endpoint_of, err, fail, finish, load_catalog
from edgeagent.mistakes import Mistakes

app = typer.Typer()


@app.command()
def scan(
    where: Annotated[
        list[str], typer.Argument(help="Networks, ranges (192.0.2.10-40), hosts, serial ports, or: ports")
    ],
    community: Annotated[list[str] | None, typer.Option("--community", help="SNMP community to try.")] = None,
    secret: Annotated[
        list[str] | None, typer.Option("--community-secret", help="Name of a secret that holds a community.")
    ] = None,
    user: Annotated[str, typer.Option("--user", help="SNMPv3 user; secrets as in device URLs.")] = "",
    units: Annotated[str, typer.Option("--units", help="Modbus unit ids, such as 1-10,17.")] = "1",
    bauds: Annotated[str, typer.Option("--bauds", help="Rates of serial ports, such as 9600,19200.")] = "9600",
    ports: Annotated[str, typer.Option("--modbus-ports", help="TCP ports of Modbus, such as 502.")] = "502",
    snmp_port: Annotated[int, typer.Option("--snmp-port", min=1, max=65535)] = 161,
    rate: Annotated[float, typer.Option("--rate", help="New addresses a second.", min=0.1, max=200)] = 20,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for each answer.", min=0.1, max=30)] = 1,
) -> None:
    """Find out what answers at these addresses and print it as sections of site.toml."""
    from edgeagent import scan as scanner

    try:
        hosts, lines = scanner.addresses(where)
        queries = [f"version=2c&community={quote(name, safe='')}" for name in community or []]
        queries += [f"version=2c&community_secret={quote(name, safe='')}" for name in secret or []]
        ways = scanner.Ways(
            ("version=3",) if user else tuple(queries) or ("version=2c",), quote(user, safe=""),
            scanner.numbers(ports, 1, 65535), snmp_port, scanner.numbers(units, 0, 255),
            scanner.numbers(bauds, 50, 4_000_000), rate, timeout,
        )  # fmt: skip
    except scanner.ScanError as error:
        fail(str(error), USAGE)
    for query in ways.snmp:
        endpoint_of(f"snmp://{ways.user + '@' if user else ''}localhost?{query}")  # a secret that is missing shows now
    found = finish(_scanned(hosts, lines, ways))
    sys.stdout.write(scanner.sections(found))
    if community and any(seen.endpoint.protocol == "snmp" for seen in found):
        err().print("the community is not printed: write community_secret=NAME into the URLs, or community=… yourself")
    if not found:
        fail("nothing answered", SILENT)


async def _scanned(hosts: list[str], lines: list[str], ways: Any) -> list[Any]:  # noqa: ANN401 - scan.Ways, scan.Seen
    """Scan with a progress bar on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from edgeagent import scan as scanner

    columns = (
        TextColumn("scan"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[found]}"),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("scan", total=len(hosts) + len(lines), found="")
        found = []
        async for seen in scanner.scan(load_catalog(), hosts, lines, ways, lambda: bar.advance(task)):
            found.append(seen)
            bar.update(task, found=f"{len(found)} found")
    return found


class _Format(StrEnum):
    COMAP = "comap"
    CAREL = "carel"


@app.command("import")
def import_(
    source: Annotated[_Format, typer.Argument(help="comap: cfgmodbus.txt; carel: a vendor's variable list as CSV.")],
    file: Annotated[Path, typer.Argument(help="What the maker's tool exported.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option("--name", help="The new driver's name: lower-case letters, digits, hyphens.")],
    to: Annotated[Path | None, typer.Option("--out", help="Folder of your own drivers; stdout without it.")] = None,
) -> None:
    """Make a driver file out of a maker's register list, for controllers whose registers are configured."""
    from edgeagent import carel, comap, driverfiles

    text = file.read_text(encoding="utf-8-sig", errors="replace")
    make, kind = (comap.driver_from, "generator") if source is _Format.COMAP else (carel.driver_from, "hvac")
    try:
        made = make(text, name)
        with tempfile.TemporaryDirectory() as folder:
            own = Path(folder, kind, f"{name}.toml")
            own.parent.mkdir()
            own.write_text(made, encoding="utf-8")
            driverfiles.load([resources.drivers(), Path(folder)])
    except (comap.ExportError, carel.ListError) as error:
        fail(f"{file}: {error}", CONFIG)
    except Mistakes as error:
        fail("\n".join(map(str, error.found)), CONFIG)
    if to is None:
        sys.stdout.write(made)
        return
    target = to / kind / f"{name}.toml"
    if target.exists():
        fail(f"{target} stands there already; take another name or remove it", USAGE)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(made, encoding="utf-8")
    err().print(f"{target}: read it, then look at one value after the other on the controller's display")
