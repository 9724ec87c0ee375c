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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgeagent import driverfiles, resources
from edgeagent.broker import Broker
from edgeagent.consumer import consume
from edgeagent.endpoint import parse
from edgeagent.mqtt import MqttError
from edgeagent.readings import Value
from edgeagent.simulator import Serving, SimulatedDevice

SITE: Final = "demo"
TOPICS: Final = f"floor/v1/{SITE}/live"
ROUND: Final = 48.0
"""Seconds from one mains failure to the next."""


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


@dataclass(frozen=True, slots=True)
class _Plan:
    """One simulated device: its driver, its URL before the port is known, its names, what differs from healthy."""

    driver: str
    url: str
    en: str
    zh: str
    area: str
    begin: dict[str, Value] = field(default_factory=dict)
    extra: str = ""


_DEVICES: Final[dict[str, _Plan]] = {
    "ups-a": _Plan("ups/apc-powernet", "snmp://127.0.0.1:0?version=2c&community=demo", "UPS A", "A 路 UPS", "power"),
    "ups-b": _Plan("ups/rfc1628", "snmp://127.0.0.1:0?version=2c&community=demo", "UPS B", "B 路 UPS", "power"),
    "genset": _Plan("generator/dse-gencomm", "modbus://127.0.0.1:0?unit=10", "Diesel generator", "柴油发电机", "power"),
    "ats": _Plan(
        "ats/socomec-atys", "modbus+rtuovertcp://127.0.0.1:0?unit=5", "Transfer switch", "自动转换开关", "power"
    ),
    "crac-1": _Plan("hvac/liebert-icom", "modbus://127.0.0.1:0?unit=1", "Air conditioner 1", "1 号空调", "hall"),
    "crac-2": _Plan("hvac/liebert-icom", "modbus://127.0.0.1:0?unit=1", "Air conditioner 2", "2 号空调", "hall"),
    "climate": _Plan("environment/xy-md02", "modbus://127.0.0.1:0?unit=1", "Hall climate", "大厅温湿度", "hall"),
}
_FAST_MOTION: Final = """
[devices.{id}.alarms.{alarm}]
on_delay = {on}
off_delay = {off}
"""


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
        _write(site, port, devices)
        agent = await _agent(stack, site)
        screen = _Screen(console)
        stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        tasks = [
            asyncio.create_task(_follow(port, screen)),
            asyncio.create_task(_story(devices, screen, limit)),
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
    for id, plan in _DEVICES.items():
        device = SimulatedDevice(catalog.drivers[plan.driver], plan.begin)
        serving = await device.serve(parse(plan.url))
        stack.push_async_callback(serving.stop)
        devices[id] = (device, serving)
    return devices


def _write(folder: Path, port: int, devices: dict[str, tuple[SimulatedDevice, Serving]]) -> None:
    """Write the configuration of the demo site, its alarm delays a tenth of a real site's."""
    lines = [
        f'[site]\nid = "{SITE}"\nname = {{ en = "Demo call centre", zh = "演示呼叫中心" }}\n',
        f'[agent]\nid = "edge-demo"\nstate = "{folder / "state"}"\n',
        f'[feed]\nbroker = "mqtt://127.0.0.1:{port}"\n',
        '[areas.power]\nname = { en = "Power room", zh = "配电间" }\n',
        '[areas.hall]\nname = { en = "Agents\' hall", zh = "座席大厅" }\n',
        '[devices.this-host]\nname = { en = "This host", zh = "本机" }\ndriver = "workstation/host"\nurl = "host://"\n',
    ]
    for id, (device, serving) in devices.items():
        plan = _DEVICES[id]
        url = plan.url.replace(":0?", f":{serving.port}?")
        lines.append(
            f'[devices.{id}]\nname = {{ en = "{plan.en}", zh = "{plan.zh}" }}\ndriver = "{plan.driver}"\n'
            f'url = "{url}"\narea = "{plan.area}"\ninterval = 1\n{plan.extra}'
        )
        for alarm in device.driver.kind.alarms.values():
            if alarm.each is None:
                on = max(level.on_delay for level in alarm.levels) / 10
                lines.append(_FAST_MOTION.format(id=id, alarm=alarm.id, on=on, off=alarm.off_delay / 10))
    folder.mkdir()
    (folder / "site.toml").write_text("\n".join(lines), encoding="utf-8")


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


@dataclass(frozen=True, slots=True)
class _Scene:
    """What happens `at` seconds of a round. `values` are set, `ramps` are (device, point, from, to, seconds)."""

    at: float
    en: str
    zh: str
    values: dict[str, dict[str, Value]]
    ramps: tuple[tuple[str, str, float, float, float], ...] = ()


_DEAD: Final[dict[str, Value]] = {"source": "battery", "input.voltage": 0.0, "input.frequency": 0.0}
_FED: Final[dict[str, Value]] = {"source": "normal", "input.voltage": 229.0, "input.frequency": 50.0}
_OFF: Final[dict[str, Value]] = {"running": False, "state": "off"}
_ON: Final[dict[str, Value]] = {"running": True, "state": "on"}
_STORY: Final = (
    _Scene(
        8, "the mains fails", "市电断电",
        {
            "ups-a": _DEAD, "ups-b": _DEAD, "ats": {"source.mains": "lost"},
            "genset": {"mains.voltage": 0.0, "mains.frequency": 0.0},
        },
        tuple(ramp for ups in ("ups-a", "ups-b") for ramp in (
            (ups, "battery.charge", 100.0, 88.0, 16.0), (ups, "battery.runtime", 2400.0, 1980.0, 16.0)
        )),
    ),
    _Scene(
        12, "the diesel cranks, the air conditioning is switched off", "柴油发电机启动中，关闭空调",
        {"genset": {"state": "starting", "speed": 220.0}, "crac-1": _OFF, "crac-2": _OFF},
        (("climate", "temperature", 24.0, 26.5, 14.0),),
    ),
    _Scene(
        16, "the diesel runs", "柴油发电机运行",
        {"genset": {"state": "running", "speed": 1500.0, "output.voltage": 230.0, "output.frequency": 50.0}},
    ),
    _Scene(
        19, "the diesel carries the load", "柴油发电机带载",
        {
            "ups-a": _FED, "ups-b": _FED, "genset": {"on-load": True, "output.power": 42000.0},
            "ats": {"position": "generator", "source.generator": "available"},
        },
    ),
    _Scene(
        27, "the mains returns", "市电恢复",
        {
            "genset": {
                "mains.voltage": 231.0, "mains.frequency": 50.0, "on-load": False,
                "output.power": 0.0, "state": "cooling",
            },
            "ats": {"position": "mains", "source.mains": "available"}, "crac-1": _ON, "crac-2": _ON,
            "ups-a": {"battery.runtime": 2400.0}, "ups-b": {"battery.runtime": 2400.0},
        },
        (
            ("climate", "temperature", 26.5, 24.0, 8.0), ("ups-a", "battery.charge", 88.0, 100.0, 12.0),
            ("ups-b", "battery.charge", 88.0, 100.0, 12.0),
        ),
    ),
    _Scene(
        33, "all is back to normal", "全部恢复正常",
        {
            "genset": {"state": "stopped", "speed": 0.0, "output.voltage": 0.0, "output.frequency": 0.0},
            "ats": {"source.generator": "lost"},
        },
    ),
)  # fmt: skip
"""An outage as PROCEDURES tells it, in under a minute."""


async def _story(devices: dict[str, tuple[SimulatedDevice, Serving]], screen: _Screen, limit: float | None) -> None:
    """Let the mains fail and return, over and over; another round begins only if the time is enough for it."""
    loop = asyncio.get_running_loop()
    for past in itertools.count():
        began = loop.time()
        if limit is not None and past and past * ROUND + _STORY[-1].at > limit:
            await asyncio.Event().wait()
        for scene in _STORY:
            await asyncio.sleep(max(0.0, began + scene.at - loop.time()))
            screen.tell(scene.en, scene.zh)
            for id, values in scene.values.items():
                for point, value in values.items():
                    devices[id][0].set(point, value)
            for id, point, start, end, over in scene.ramps:
                devices[id][0].ramp(point, start, end, over, loop.time())
        await asyncio.sleep(max(0.0, began + ROUND - loop.time()))


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
                live.update(Group(self._table(), self._alarms(), *self._lines[-14:]))
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

    def summary(self) -> str:
        """Say what was seen raised and cleared on the feed."""
        both = sorted(self._raised & self._cleared)
        left = sorted(self._raised - self._cleared)
        return f"raised and cleared: {', '.join(both) or 'none'}" + (
            f"\nstill raised: {', '.join(left)}" if left else ""
        )
