"""A whole site on this machine: simulated devices, an embedded broker, the agent, a mains failure in fast motion.

The agent runs as a process of its own from a configuration folder that is written here, so the demo shows the
way an installation goes. What the screen shows comes from the feed alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgeagent import driverfiles, resources
from edgeagent.broker import Broker
from edgeagent.consumer import consume, request
from edgeagent.demostory import DEVICES, LEADER, ROUND, SITE, STORY, write
from edgeagent.desk import banner
from edgeagent.endpoint import parse
from edgeagent.messages import Tree
from edgeagent.mqtt import MqttError
from edgeagent.simulator import Serving, SimulatedDevice

TREE: Final = Tree("floor", SITE, "edge-demo")
TOPICS: Final = TREE.alarms().removesuffix("/alarms")


class DemoError(Exception):
    """The demo cannot run; the message says what is missing."""


def seconds(text: str) -> float:
    """Read a time such as 60s, 2m or 45.

    Raises:
        DemoError: for anything else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min)?", text)
    if match is None:
        raise DemoError(f'"{text}" is no time; write 60s or 2m')
    return float(match.group(1)) * (60 if match.group(2) in ("m", "min") else 1)


async def run(limit: float | None) -> int:
    """Show the demo for `limit` seconds, for ever without; return the exit code.

    Raises:
        DemoError: when the embedded broker is not installed.
    """
    console = Console()
    logging.getLogger().setLevel(logging.WARNING)  # the screen belongs to the feed
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeagent-demo-")))
        port = _broker(stack, folder)
        devices = await _serve(stack)
        site = folder / "site"
        write(site, port, {id: (device, serving.port) for id, (device, serving) in devices.items()})
        agent = await _agent(stack, site)
        screen = _Screen(console)
        stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        tasks = [
            asyncio.create_task(_follow(port, screen)),
            asyncio.create_task(_story(devices, screen, port, limit)),
            asyncio.create_task(screen.draw()),
            asyncio.create_task(agent.wait()),
        ]
        ended = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait([*tasks, ended], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.wait([*tasks, ended])
        for task in done - {ended}:
            if task.exception() is not None:
                console.print(f"demo ended: {task.exception()}", style="red", markup=False)
                return 1
        if agent.returncode is not None:
            console.print(f"the agent ended with {agent.returncode}", style="red")
            return 1
        await _report(console, site, screen.run)
    console.print(screen.summary(), markup=False)
    return 0


def _broker(stack: contextlib.AsyncExitStack, folder: Path) -> int:
    """Start the embedded broker on a free loopback port, MQTT 5 only."""
    try:
        import iotcore
    except ImportError as error:
        raise DemoError("the demo's broker is not installed: pip install 'edgeagent[demo]'") from error
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    file = folder / "broker.toml"
    file.write_text(
        "id = 0\n[router]\nid = 0\nmax_connections = 50\nmax_outgoing_packet_count = 200\n"
        "max_segment_size = 1048576\nmax_segment_count = 10\n"
        f'[v5.1]\nname = "v5"\nlisten = "127.0.0.1:{port}"\nnext_connection_delay_ms = 1\n'
        "[v5.1.connections]\nconnection_timeout_ms = 5000\nmax_payload_size = 1048576\nmax_inflight_count = 100\n"
        "dynamic_filters = true\n",
        encoding="utf-8",
    )
    stack.enter_context(iotcore.Broker(config_path=str(file)))
    return port


async def _serve(stack: contextlib.AsyncExitStack) -> dict[str, tuple[SimulatedDevice, Serving]]:
    catalog = driverfiles.load([resources.drivers()])
    devices: dict[str, tuple[SimulatedDevice, Serving]] = {}
    for id, plan in DEVICES.items():
        device = SimulatedDevice(catalog.drivers[plan.driver], plan.begin)
        serving = await device.serve(parse(plan.url))
        stack.push_async_callback(serving.stop)
        devices[id] = (device, serving)
    return devices


async def _agent(stack: contextlib.AsyncExitStack, folder: Path) -> asyncio.subprocess.Process:
    log = stack.enter_context((folder / "agent.log").open("wb"))
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edgeagent", "run", "--config", str(folder), stderr=log, stdin=asyncio.subprocess.DEVNULL
    )

    async def stop() -> None:
        if agent.returncode is None:
            agent.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(agent.wait(), 8)
        if agent.returncode is None:
            agent.kill()
            await agent.wait()

    stack.push_async_callback(stop)
    return agent


async def _story(
    devices: dict[str, tuple[SimulatedDevice, Serving]], screen: _Screen, port: int, limit: float | None
) -> None:
    """Let the mains fail and return, over and over; another round begins only if the time is enough for it."""
    loop = asyncio.get_running_loop()
    for past in itertools.count():
        began = loop.time()
        if limit is not None and past and past * ROUND + STORY[-1].at > limit:
            await asyncio.Event().wait()
        for scene in STORY:
            await asyncio.sleep(max(0.0, began + scene.at - loop.time()))
            screen.tell(scene.en, scene.zh)
            for id, values in scene.values.items():
                for point, value in values.items():
                    devices[id][0].set(point, value)
            for id, point, start, end, over in scene.ramps:
                devices[id][0].ramp(point, start, end, over, loop.time())
            for step in scene.steps:
                await _tick(port, screen, step)
        await asyncio.sleep(max(0.0, began + ROUND - loop.time()))


async def _tick(port: int, screen: _Screen, step: str) -> None:
    """Have the shift leader say that a step is done, as a console at the leader's desk would."""
    if screen.run is None:
        return
    asked = {"run_id": screen.run, "step": step, "action": "done", "by": LEADER}
    broker = Broker("127.0.0.1", port, f"demo-leader-{port}")
    answer = orjson.loads(await request(broker, TREE.request("step"), orjson.dumps(asked), TREE.answer("step")))
    if not answer["ok"]:
        screen.tell(f"step {step}: {answer['texts']['en']}", f"步骤 {step}：{answer['texts']['zh']}")


async def _report(console: Console, site: Path, run: str | None) -> None:
    """Print the record of the outage, made by the command that everybody uses."""
    if run is None:
        return
    command = (sys.executable, "-m", "edgeagent", "report", run, "--config", str(site))
    made = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    text, _ = await made.communicate()
    console.print(text.decode(), markup=False, highlight=False, soft_wrap=True)


async def _follow(port: int, screen: _Screen) -> None:
    """Read the feed as any consumer would; wait for the broker if it must be."""
    while True:
        with contextlib.suppress(MqttError):
            async with consume(Broker("127.0.0.1", port, f"demo-screen-{port}"), [f"{TOPICS}/#"]) as messages:
                async for message in messages:
                    if message.payload:
                        screen.take(message.topic.removeprefix(TOPICS + "/"), orjson.loads(message.payload))
        await asyncio.sleep(0.5)


_SHOWN: Final = (
    "source", "state", "position", "running", "battery.charge", "battery.runtime", "input.voltage", "mains.voltage",
    "output.voltage", "output.load", "speed", "temperature", "humidity", "return.temperature", "cpu", "memory",
)  # fmt: skip
_MARKS: Final = {"done": "✓", "skipped": "–", "ready": "…"}
_EXERCISE: Final = "bold black on yellow"
_COLOURS: Final = {"critical": "bold red", "major": "red", "minor": "yellow", "warning": "cyan"}


class _Screen:
    """What the feed said so far, as a live table on a terminal and as plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._devices: dict[str, dict[str, Any]] = {}
        self._online: dict[str, str] = {}
        self._open: list[dict[str, Any]] = []
        self._lines: list[Text] = []
        self._raised: set[str] = set()
        self._cleared: set[str] = set()
        self._began = time.monotonic()
        self._runs: dict[str, dict[str, Any]] = {}
        self._forecast: dict[str, Any] = {}
        self._banner = ""
        self.run: str | None = None
        """The newest run of the outage procedure."""

    def tell(self, en: str, zh: str) -> None:
        """Say what the simulated world does."""
        self._add(Text(f"— {en} / {zh}", style="bold blue"))

    def take(self, topic: str, payload: Any) -> None:  # noqa: ANN401 - JSON
        """Take one message of the feed."""
        parts = topic.split("/")
        if parts[0] == "device" and parts[-1] == "state":
            self._devices[parts[1]] = payload
        elif parts[0] == "device" and parts[-1] == "availability":
            self._online[parts[1]] = payload["state"]
        elif topic == "alarms":
            self._open = payload.get("open", [])
        elif parts[:2] == ["event", "alarm"]:
            self._event(payload)
        elif parts[0] == "procedure":
            self._runs[parts[1]] = payload
            self.run = parts[1] if payload["procedure"] == "outage" else self.run
        elif parts[:2] == ["event", "procedure"]:
            data = payload["data"]
            words = f"{data['texts']['zh']}  {data['texts']['en']}"
            self._add(Text(f"{data['verb']:12} {data['procedure']:9} {words}", style="magenta"))
        elif topic == "forecast":
            self._foresee(payload)
        elif topic == "exercise":
            self._exercise(payload)

    def _event(self, event: dict[str, Any]) -> None:
        data = event["data"]
        verb, id = data["verb"], data["alarm_id"]
        if verb == "raised":
            self._raised.add(id)
        elif verb == "cleared":
            self._cleared.add(id)
        words = f"{data['texts']['zh']['short_text']}  {data['texts']['en']['short_text']}"
        severity = data["perceived_severity"]
        style = "green" if verb in ("cleared", "closed") else _COLOURS.get(severity, "")
        self._add(Text(f"{verb:12} {severity:9} {id}  {words}", style=style))

    def _foresee(self, payload: dict[str, Any]) -> None:
        if payload["texts"] != self._forecast.get("texts"):
            self._forecast = payload
            self._add(Text(f"forecast     {payload['texts']['zh']}  {payload['texts']['en']}", style="cyan"))

    def _exercise(self, notice: dict[str, Any]) -> None:
        before, self._banner = self._banner, "  ".join(filter(None, (banner(notice, code) for code in ("zh", "en"))))
        if self._banner and self._banner != before:
            self._add(Text(self._banner, style=_EXERCISE))

    def _add(self, line: Text) -> None:
        stamped = Text(f"{time.monotonic() - self._began:5.1f} s  ").append_text(line)
        self._lines.append(stamped)
        if not self._console.is_terminal:
            self._console.print(stamped, soft_wrap=True)

    async def draw(self) -> None:
        """Keep the terminal up to date; elsewhere the lines suffice."""
        if not self._console.is_terminal:
            await asyncio.Event().wait()
        with Live(console=self._console, refresh_per_second=5, screen=False) as live:
            while True:
                first = [Text(self._banner, style=_EXERCISE)] if self._banner else []
                live.update(Group(*first, self._table(), self._alarms(), self._steps(), *self._lines[-14:]))
                await asyncio.sleep(0.2)

    def _table(self) -> Table:
        table = Table("device", "", "reading", box=None, title="floor/v1/demo/live", title_justify="left")
        for id in sorted(self._devices):
            state = self._devices[id]
            values = [f"{point} {state[point]}" for point in _SHOWN if state.get(point) is not None]
            table.add_row(id, self._online.get(id, "?"), "  ".join(values[:6]))
        return table

    def _alarms(self) -> Table:
        table = Table("severity", "alarm", "", box=None, title=f"open alarms: {len(self._open)}", title_justify="left")
        for alarm in self._open[:8]:
            severity = alarm["perceived_severity"]
            row = (severity, alarm["alarm_id"], f"{alarm['texts']['zh']}  {alarm['texts']['en']}")
            table.add_row(*row, style=_COLOURS.get(severity, ""))
        return table

    def _steps(self) -> Table:
        run = self._runs.get(self.run or "")
        title = "no outage / 无断电" if run is None else f"{run['run_id']}  {run['texts']['zh']}  {run['texts']['en']}"
        table = Table("", "step", "", "", box=None, title=title, title_justify="left")
        for step in run["steps"] if run is not None else ():
            mark = _MARKS.get(step["state"], "")
            table.add_row(mark, step["step"], step["texts"]["zh"], step["by"], style="green" if mark == "✓" else "")
        return table

    def summary(self) -> str:
        """Say what was seen raised and cleared on the feed."""
        both = sorted(self._raised & self._cleared)
        left = sorted(self._raised - self._cleared)
        return f"raised and cleared: {', '.join(both) or 'none'}" + (
            f"\nstill raised: {', '.join(left)}" if left else ""
        )
