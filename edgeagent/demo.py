"""A whole site on this machine: simulated devices, an embedded broker, the agent, and something that happens there.

That is a mains failure in fast motion, or a drill. The agent runs as a process of its own from a configuration folder
that is written here, so the demo shows the way an installation goes. What the screen shows comes from the feed alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from edgeagent import driverfiles, resources, sitefiles
from edgeagent.broker import Broker
from edgeagent.consumer import consume, request
from edgeagent.demodrill import Show, chosen
from edgeagent.demoscreen import Screen
from edgeagent.demostory import DEVICES, LEADER, ROUND, SITE, STORY, DemoError, write
from edgeagent.endpoint import parse
from edgeagent.messages import Mode, Tree
from edgeagent.mqtt import MqttError
from edgeagent.simulator import Serving, SimulatedDevice

SPEED: Final = 30.0
"""How many times faster than real a drill is shown; half an hour of it takes a minute."""
CUT_SHORT: Final = 3
TREE: Final = Tree("floor", SITE, "edge-demo")
_LANES: Final = {mode: TREE.alarms(mode).removesuffix("alarms") for mode in Mode}


def seconds(text: str) -> float:
    """Read a time such as 60s, 2m or 45.

    Raises:
        DemoError: for anything else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min)?", text)
    if match is None:
        raise DemoError(f'"{text}" is no time; write 60s or 2m')
    return float(match.group(1)) * (60 if match.group(2) in ("m", "min") else 1)


async def run(limit: float | None, drill: str | None = None, speed: float = SPEED) -> int:
    """Show the demo for `limit` seconds, or outages for ever and a drill to its end; return the exit code.

    Raises:
        DemoError: when the embedded broker is not installed, and for a drill that cannot be shown.
    """
    console = _Console()
    logging.getLogger().setLevel(logging.WARNING)  # the screen belongs to the feed
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeagent-demo-")))
        port = _broker(stack, folder)
        devices = await _serve(stack)
        site, screen = folder / "site", Screen(console, drill=drill is not None)
        served = {id: (device, serving.port) for id, (device, serving) in devices.items()}
        write(site, port, served, None if drill is None else speed)
        show = None if drill is None else _drill(site, drill, speed, screen)
        ears = f"mosquitto_sub -V mqttv5 -p {port} -t '{TREE.root}/v1/{TREE.site}/#' -v"
        console.print(f"listen to its feed / 接收数据: {ears}", markup=False, highlight=False, soft_wrap=True)
        agent = await _agent(stack, site)
        stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        tasks = [
            asyncio.create_task(_follow(port, screen, show)),
            asyncio.create_task(_story(devices, screen, port, limit) if show is None else show.play()),
            asyncio.create_task(screen.draw()),
            asyncio.create_task(agent.wait()),
        ]
        ended = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait([*tasks, ended], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if show is not None and (not done or ended in done):
            await show.stop()
        ended.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.wait([*tasks, ended])
        for task in done - {ended}:
            if (error := task.exception()) is not None:
                if isinstance(error, DemoError):
                    raise error
                console.print(f"demo ended: {error}", style="red", markup=False)
                return 1
        if agent.returncode is not None:
            console.print(f"the agent ended with {agent.returncode}", style="red")
            return 1
        if show is None:
            if screen.run is not None:
                await _report(console, site, "report", screen.run)
            console.print(screen.summary(), markup=False)
            return 0
        if show.drill_id:
            await _report(console, site, "drill", "report", show.drill_id, "--language", "zh")
            console.print(show.last_words(), markup=False, highlight=False, soft_wrap=True)
        console.print(screen.live_words(), markup=False, highlight=False, soft_wrap=True)
        return 0 if show.went or not done or ended in done else CUT_SHORT


class _Console(Console):
    """A terminal, or a pipe of which the reader may have seen enough."""

    def on_broken_pipe(self) -> None:
        """Print no more, and raise an error like any other: rich would leave from amid a task."""
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _drill(site: Path, name: str, speed: float, screen: Screen) -> Show:
    found = sitefiles.load(site, resources.drivers())
    return Show(found, chosen(found, name), speed, screen.say)


def _broker(stack: contextlib.AsyncExitStack, folder: Path) -> int:
    """Start the embedded broker on a free loopback port, MQTT 5 only."""
    try:
        import iotcore
    except ImportError as error:
        raise DemoError(
            "the demo's broker is not installed: pip install '.[demo]' in the folder of the source"
        ) from error
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
        device = plan.device(catalog)
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
    devices: dict[str, tuple[SimulatedDevice, Serving]], screen: Screen, port: int, limit: float | None
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


async def _tick(port: int, screen: Screen, step: str) -> None:
    """Have the shift leader say that a step is done, as a console at the leader's desk would."""
    if screen.run is None:
        return
    asked = {"run_id": screen.run, "step": step, "action": "done", "by": LEADER}
    broker = Broker("127.0.0.1", port, f"demo-leader-{port}")
    answer = orjson.loads(await request(broker, TREE.request("step"), orjson.dumps(asked), TREE.answer("step")))
    if not answer["ok"]:
        screen.tell(f"step {step}: {answer['texts']['en']}", f"步骤 {step}：{answer['texts']['zh']}")


async def _report(console: Console, site: Path, *words: str) -> None:
    """Print what a command makes of the journal: the one that everybody uses."""
    command = (sys.executable, "-m", "edgeagent", *words, "--config", str(site))
    made = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    text, _ = await made.communicate()
    console.print(text.decode(), markup=False, highlight=False, soft_wrap=True)


async def _follow(port: int, screen: Screen, show: Show | None) -> None:
    """Read the feed as any consumer would; wait for the broker if it must be."""
    lanes = _LANES if show is not None else {Mode.LIVE: _LANES[Mode.LIVE]}
    while True:
        with contextlib.suppress(MqttError):
            broker = Broker("127.0.0.1", port, f"demo-screen-{port}")
            async with consume(broker, [f"{lane}#" for lane in lanes.values()]) as messages:
                async for message in messages:
                    payload = orjson.loads(message.payload) if message.payload else None
                    for mode, lane in lanes.items():
                        if message.topic.startswith(lane):
                            screen.take(mode, message.topic.removeprefix(lane), payload)
                    if show is not None:
                        show.take(message.topic, payload)
        await asyncio.sleep(0.5)
