"""Commands that talk to devices, real and simulated; none needs a running agent."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeagent.catalog import Driver
from edgeagent.cli.common import (
    SILENT,
    UNKNOWN,
    USAGE,
    ConfigDir,
    DriverId,
    Json,
    Timeout,
    driver_of,
    endpoint_of,
    err,
    fail,
    finish,
    load_catalog,
    out,
    print_json,
    print_line,
    site_of,
)  # fmt: skip
from edgeagent.endpoint import Endpoint
from edgeagent.mistakes import nearest

app = typer.Typer()


@app.command()
def drivers(json: Json = False) -> None:
    """List the device families that can be read."""
    found = load_catalog()
    if json:
        print_json([_described(driver) for driver in found.drivers.values()])
        return
    width = max(map(len, found.drivers))
    for driver in found.drivers.values():
        print_line(f"{driver.id:{width}}  {driver.protocol:6}  {driver.text.en}  {driver.text.zh}")


@app.command()
def probe(url: str, driver: DriverId = None, json: Json = False, timeout: Timeout = 3.0) -> None:
    """Find out what stands at URL and read it once."""
    from edgeagent import probe as prober

    found = load_catalog()
    _show(
        prober.probe(found, endpoint_of(url), driver_of(found, driver) if driver else None, timeout, time.time()), json
    )


@app.command()
def poll(device: str, config: ConfigDir, json: Json = False) -> None:
    """Read one device of the site once."""
    from edgeagent import probe as prober

    site = site_of(config)
    found = site.devices.get(device)
    if found is None:
        fail(f'no device "{device}"{nearest(device, list(site.devices))}', USAGE)
    reading = prober.probe(site.catalog, found.endpoint, found.driver, found.timeout, time.time(), found.alarms)
    _show(reading, json)


@app.command()
def record(
    url: str,
    to: Annotated[Path | None, typer.Option("--out", help="File to write, stdout without it.")] = None,
    driver: DriverId = None,
    registers: Annotated[
        str | None,
        typer.Option("--range", help="Modbus: registers instead of a driver's own.", metavar="h768-800,i0-20"),
    ] = None,
    timeout: Timeout = 30.0,
) -> None:
    """Record a device as a capture, with serial numbers, names, addresses and secrets masked."""
    from edgeagent import probe as prober
    from edgeagent import record as recorder

    found = load_catalog()
    endpoint = endpoint_of(url)
    chosen = driver_of(found, driver) if driver else None
    if registers is not None and endpoint.protocol != "modbus":
        fail(f"--range is for Modbus, not {endpoint.scheme}", USAGE)
    try:
        dump = recorder.ranges(registers) if registers is not None else ()
        text = finish(recorder.record(found, endpoint, chosen, timeout, dump))
    except recorder.RangeError as mistake:
        fail(str(mistake), USAGE)
    except prober.NoAnswer as reason:
        fail(f"{endpoint}: nothing answered ({reason})", SILENT)
    except prober.NoDriver as reason:
        other = " or registers with --range" if endpoint.protocol == "modbus" else ""
        fail(f"{endpoint}: no driver fits; name one with --driver{other} ({reason})", UNKNOWN)
    if to is None:
        sys.stdout.write(text)
    else:
        to.write_text(text, encoding="utf-8")
        err().print(f"{to}: {len(text.splitlines())} lines; read it for secrets before you pass it on")


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A capture: .snmprec (SNMP) or .rec (Modbus).")],
    listen: Annotated[str, typer.Option("--listen", help="Device URL on loopback; port 0 takes a free one.")],
    exit_after: Annotated[float | None, typer.Option("--for", help="End after so many seconds.")] = None,
) -> None:
    """Serve a capture as the device it was taken from. Commands on stdin: silence, answer, show, quit."""
    from edgeagent.mistakes import Mistakes
    from edgeagent.replay import ReplayedDevice
    from edgeagent.simulator import SimulationError

    endpoint = endpoint_of(listen)
    try:
        device = ReplayedDevice(file)
        finish(_serve(device, str(file), endpoint, exit_after))
    except Mistakes as error:
        fail("\n".join(map(str, error.found)), USAGE)
    except OSError as error:
        fail(f"{file}: {error.strerror}", USAGE)
    except SimulationError as error:
        fail(str(error), USAGE)


@app.command()
def simulate(
    driver: str,
    listen: Annotated[str, typer.Option("--listen", help="Device URL on loopback; port 0 takes a free one.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="POINT=VALUE", metavar="POINT=VALUE")] = None,
    state: Annotated[
        str,
        typer.Option(
            help='normal, alarm, slow, half-dead or lying; also "slow SECONDS" and "half-dead absent|failing|silent".'
        ),
    ] = "normal",
    exit_after: Annotated[float | None, typer.Option("--for", help="End after so many seconds.")] = None,
) -> None:
    """Serve a driver file as a device. Commands on stdin: set, ramp, state, silence, answer, show."""
    from edgeagent.simulator import SimulatedDevice, SimulationError

    chosen = driver_of(load_catalog(), driver)
    endpoint = endpoint_of(listen)
    try:
        device = SimulatedDevice(chosen)
        for word in set_ or []:
            device.set(*device.parse(word))
        device.turn(*device.parse_state(state))
        finish(_serve(device, chosen.id, endpoint, exit_after))
    except SimulationError as error:
        fail(str(error), USAGE)


def _show(reading: Coroutine[Any, Any, Any], json: bool) -> None:
    from edgeagent import probe as prober

    try:
        found = finish(reading)
    except prober.NoAnswer as why:
        fail(f"nothing answered ({why})", SILENT)
    except prober.NoDriver as why:
        fail(f"answered, but no driver fits: {why}", UNKNOWN)
    if json:
        print_json(found.as_json())
        return
    out().print(f"[bold]{found.driver.id}[/bold]  {found.driver.text.en}  {found.driver.text.zh}")
    if found.sure is not None:
        others = f"; could also be {', '.join(found.others)}" if found.others else ""
        out().print(f"  {found.sure}{others}", markup=False)
    for key, value in found.identity.items():
        out().print(f"  {key}: {value or '–'}", markup=False)
    from rich.table import Table

    table = Table("point", "value", "unit", "quality", box=None)
    for id, fields in found.as_json()["readings"].items():
        value = fields["value"]
        shown = ", ".join(value) or "none" if isinstance(value, list) else "–" if value is None else str(value)
        reason = f" ({fields['reason']})" if "reason" in fields else ""
        table.add_row(id, shown, fields.get("unit", ""), f"{fields['quality']}{reason}")
    out().print(table)
    out().print("alarms: " + (", ".join(found.alarms) or "none"), markup=False)


def _described(driver: Driver) -> dict[str, object]:
    return {
        "driver": driver.id,
        "kind": driver.kind.id,
        "protocol": driver.protocol,
        "text": {"en": driver.text.en, "zh": driver.text.zh},
        "source": driver.source,
        "evidence": driver.evidence,
        "models": list(driver.models),
        "points": sorted(driver.points),
    }


async def _serve(device: Any, name: str, endpoint: Endpoint, seconds: float | None) -> None:  # noqa: ANN401 - see replay
    """Serve a device until stdin says quit, the time is over or somebody interrupts."""
    from edgeagent.simulator import SimulationError

    serving = await device.serve(endpoint)
    loop = asyncio.get_running_loop()
    print_line(f"{name} answers on {endpoint.host or endpoint.path} port {serving.port}")
    ended = asyncio.Event()

    def take(line: str) -> None:
        if line.strip() == "quit":
            ended.set()
        elif line.strip():
            try:
                print_line(device.command(line, loop.time()))
            except (SimulationError, ValueError) as error:
                print_line(f"error: {error}")

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(take, line)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), seconds)
    await serving.stop()
