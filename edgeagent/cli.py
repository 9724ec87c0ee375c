"""The command line, which other people's scripts rely on. Thin: each command reads its words, calls one module, prints.

Results go to stdout, the log to stderr. Exit codes: 0 done, 1 refused or not reached, 2 wrong usage, 3 nothing
answered, 4 answered but no driver fits, 78 configuration (EX_CONFIG of sysexits.h).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from edgeagent import log, resources
from edgeagent.catalog import Catalog, Driver
from edgeagent.endpoint import Endpoint, EndpointError, nearest, parse
from edgeagent.tomlfile import Mistakes

USAGE: Final = 2
SILENT: Final = 3
UNKNOWN: Final = 4
CONFIG: Final = 78

app = typer.Typer(
    help="Watch the power, cooling, sensors and hosts of a call centre and publish faults as one MQTT feed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
ConfigDir = Annotated[Path, typer.Option("--config", help="Folder with the site's *.toml.", metavar="DIR")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the device.", min=0.1, max=60)]
DriverId = Annotated[str | None, typer.Option("--driver", help="Take this driver, whatever the device says.")]
_T = TypeVar("_T")


def main() -> None:
    """Run the command line."""
    app()


@app.callback()
def _start(
    context: typer.Context, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False
) -> None:
    log.setup("debug" if verbose else "info" if context.invoked_subcommand == "run" else "warning")


@app.command()
def drivers(json: Json = False) -> None:
    """List the device families that can be read."""
    found = _catalog()
    if json:
        _print([_described(driver) for driver in found.drivers.values()])
        return
    width = max(map(len, found.drivers))
    for driver in found.drivers.values():
        _line(f"{driver.id:{width}}  {driver.protocol:6}  {driver.text.en}  {driver.text.zh}")


@app.command()
def check(config: ConfigDir) -> None:
    """Read the site's folder and name every mistake in it."""
    site = _site(config)
    out.print(f"{config}: {len(site.devices)} devices, {len(site.areas)} areas, no mistakes")


@app.command()
def run(config: ConfigDir) -> None:
    """Run the agent in the foreground, as systemd does."""
    from edgeagent.agent import Agent
    from edgeagent.statefolder import Occupied

    site = _site(config)
    try:
        agent = Agent(site, lambda: _load(config))
    except Occupied as error:
        _fail(str(error), 1)
    raise typer.Exit(_run(agent.run()))


@app.command()
def probe(url: str, driver: DriverId = None, json: Json = False, timeout: Timeout = 3.0) -> None:
    """Find out what stands at URL and read it once."""
    from edgeagent import probe as prober

    found = _catalog()
    _show(prober.probe(found, _endpoint(url), _driver(found, driver) if driver else None, timeout, time.time()), json)


@app.command()
def poll(device: str, config: ConfigDir, json: Json = False) -> None:
    """Read one device of the site once."""
    from edgeagent import probe as prober

    site = _site(config)
    found = site.devices.get(device)
    if found is None:
        _fail(f'no device "{device}"{nearest(device, list(site.devices))}', USAGE)
    reading = prober.probe(site.catalog, found.endpoint, found.driver, found.timeout, time.time(), found.alarms)
    _show(reading, json)


@app.command()
def record(
    url: str,
    to: Annotated[Path | None, typer.Option("--out", help="File to write, stdout without it.")] = None,
    driver: DriverId = None,
    timeout: Timeout = 30.0,
) -> None:
    """Record a device as a capture, with names, addresses and secrets masked."""
    from edgeagent import probe as prober
    from edgeagent import record as recorder

    found = _catalog()
    endpoint = _endpoint(url)
    chosen = _driver(found, driver) if driver else None
    try:
        text = _run(recorder.record(found, endpoint, chosen, timeout))
    except prober.NoAnswer as reason:
        _fail(f"{endpoint}: nothing answered ({reason})", SILENT)
    except prober.NoDriver as reason:
        _fail(f"{endpoint}: no driver fits; name one with --driver ({reason})", UNKNOWN)
    if to is None:
        sys.stdout.write(text)
    else:
        to.write_text(text, encoding="utf-8")
        err.print(f"{to}: {len(text.splitlines())} lines; read it for secrets before you pass it on")


@app.command()
def simulate(
    driver: str,
    listen: Annotated[str, typer.Option("--listen", help="Device URL on loopback; port 0 takes a free one.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="POINT=VALUE", metavar="POINT=VALUE")] = None,
    exit_after: Annotated[float | None, typer.Option("--for", help="End after so many seconds.")] = None,
) -> None:
    """Serve a driver file as a device. Commands on stdin: set, ramp, silence, answer, show."""
    from edgeagent.simulator import SimulatedDevice, SimulationError

    chosen = _driver(_catalog(), driver)
    endpoint = _endpoint(listen)
    try:
        device = SimulatedDevice(chosen)
        for word in set_ or []:
            device.set(*device.parse(word))
        _run(_serve(device, endpoint, exit_after))
    except SimulationError as error:
        _fail(str(error), USAGE)


@app.command()
def demo(
    for_: Annotated[str | None, typer.Option("--for", help="End after this time, e.g. 60s.", metavar="TIME")] = None,
) -> None:
    """Show a simulated site at work: devices, broker, agent and a mains failure in fast motion."""
    from edgeagent import demo as show

    try:
        seconds = None if for_ is None else show.seconds(for_)
        raise typer.Exit(_run(show.run(seconds)))
    except show.DemoError as error:
        _fail(str(error), USAGE)


@app.command()
def watch(config: ConfigDir, json: Json = False) -> None:
    """Follow the alarms of a running agent through its feed, one line a change."""
    from edgeagent import desk

    _talk(desk.watch(_site(config), json, _line))


@app.command()
def alarms(config: ConfigDir, json: Json = False) -> None:
    """List the open alarms of a running agent."""
    from edgeagent import desk

    snapshot = _talk(desk.snapshot(_site(config)))
    if json:
        _print(snapshot)
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


def _catalog() -> Catalog:
    from edgeagent import driverfiles

    own = Path("/etc/edgeagent/drivers")
    try:
        return driverfiles.load([resources.drivers(), *([own] if own.is_dir() else [])])
    except Mistakes as error:
        _mistakes(error)


def _load(config: Path) -> Any:  # noqa: ANN401 - config.Site, whose module is loaded only when it is needed
    from edgeagent import config as configuration

    return configuration.load(config, resources.drivers())


def _site(config: Path) -> Any:  # noqa: ANN401 - see above
    try:
        return _load(config)
    except Mistakes as error:
        _mistakes(error)


def _mistakes(error: Mistakes) -> NoReturn:
    for mistake in error.found:
        sys.stderr.write(f"{mistake}\n")
    raise typer.Exit(CONFIG)


def _fail(text: str, code: int) -> NoReturn:
    sys.stderr.write(f"edgeagent: {text}\n")
    raise typer.Exit(code)


def _endpoint(url: str) -> Endpoint:
    try:
        return parse(url)
    except EndpointError as error:
        _fail(str(error), USAGE)


def _driver(found: Catalog, id: str) -> Driver:
    driver = found.drivers.get(id)
    if driver is None:
        _fail(f'unknown driver "{id}"{nearest(id, list(found.drivers))}', USAGE)
    return driver


def _run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(coroutine)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _print(data: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _show(reading: Coroutine[Any, Any, Any], json: bool) -> None:
    from edgeagent import probe as prober

    try:
        found = _run(reading)
    except prober.NoAnswer as why:
        _fail(f"nothing answered ({why})", SILENT)
    except prober.NoDriver as why:
        _fail(f"answered, but no driver fits: {why}", UNKNOWN)
    if json:
        _print(found.as_json())
        return
    out.print(f"[bold]{found.driver.id}[/bold]  {found.driver.text.en}  {found.driver.text.zh}")
    for key, value in found.identity.items():
        out.print(f"  {key}: {value or '–'}", markup=False)
    table = Table("point", "value", "unit", "quality", box=None)
    for id, fields in found.as_json()["readings"].items():
        value = fields["value"]
        shown = ", ".join(value) or "none" if isinstance(value, list) else "–" if value is None else str(value)
        reason = f" ({fields['reason']})" if "reason" in fields else ""
        table.add_row(id, shown, fields.get("unit", ""), f"{fields['quality']}{reason}")
    out.print(table)
    out.print("alarms: " + (", ".join(found.alarms) or "none"), markup=False)


def _described(driver: Driver) -> dict[str, object]:
    return {
        "driver": driver.id,
        "kind": driver.kind.id,
        "protocol": driver.protocol,
        "text": {"en": driver.text.en, "zh": driver.text.zh},
        "source": driver.source,
        "points": sorted(driver.points),
    }


async def _serve(device: Any, endpoint: Endpoint, seconds: float | None) -> None:  # noqa: ANN401 - SimulatedDevice
    """Serve a device until stdin says quit, the time is over or somebody interrupts."""
    from edgeagent.simulator import SimulationError

    serving = await device.serve(endpoint)
    loop = asyncio.get_running_loop()
    _line(f"{device.driver.id} answers on {endpoint.host or endpoint.path} port {serving.port}")
    ended = asyncio.Event()

    def take(line: str) -> None:
        if line.strip() == "quit":
            ended.set()
        elif line.strip():
            try:
                _line(device.command(line, loop.time()))
            except (SimulationError, ValueError) as error:
                _line(f"error: {error}")

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(take, line)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), seconds)
    await serving.stop()


def _talk(talking: Coroutine[Any, Any, _T]) -> _T:
    from edgeagent.desk import DeskError

    try:
        return _run(talking)
    except DeskError as error:
        _fail(str(error), 1)


def _command(config: Path, verb: str, fields: dict[str, object]) -> None:
    from edgeagent import desk

    answer = _talk(desk.command(_site(config), verb, fields))
    if not answer.get("ok"):
        _fail(f"{verb} refused: {desk.reason(answer)}", 1)
    _line(f"{verb}: ok")
