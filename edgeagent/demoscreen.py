"""What the demo's screen shows of the feed: a live table on a terminal, plain lines elsewhere.

Owns the layout. What the two lanes say of a device stands side by side; what the drill lane says in words comes ready
made from `demodrill.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgeagent.desk import banner
from edgeagent.drillscreen import remaining
from edgeagent.messages import Mode

_SHOWN: Final = (
    "source", "state", "position", "running", "battery.charge", "battery.runtime", "input.voltage", "mains.voltage",
    "output.voltage", "output.load", "speed", "temperature", "humidity", "return.temperature", "cpu", "memory",
    "smoke", "water",
)  # fmt: skip
_MARKS: Final = {"done": "✓", "skipped": "–", "ready": "…"}
_EXERCISE: Final = "bold black on yellow"
_COLOURS: Final = {"critical": "bold red", "major": "red", "minor": "yellow", "warning": "cyan"}
_LINES: Final = 12


@dataclass(slots=True)
class _Lane:
    """What one lane said last of its devices, alarms and runs."""

    devices: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    online: dict[str, str] = field(default_factory=dict)
    open: list[Mapping[str, Any]] = field(default_factory=list)
    runs: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def take(self, parts: list[str], payload: Any) -> None:  # noqa: ANN401 - JSON
        match parts:
            case ["device", id, "state"]:
                _hold(self.devices, id, payload)
            case ["device", id, "availability"]:
                _hold(self.online, id, payload and payload["state"])
            case ["procedure", id]:
                _hold(self.runs, id, payload)
            case ["alarms"]:
                self.open = payload["open"] if payload else []


class Screen:
    """What the feed said so far. `drill` tells that a drill is shown, so that there is something on both lanes."""

    def __init__(self, console: Console, *, drill: bool = False) -> None:
        self.lanes: Final = {mode: _Lane() for mode in Mode}
        self.run: str | None = None
        """The newest real run of the outage procedure."""
        self.lines: list[Text] = []
        self._console = console
        self._main = Mode.DRILL if drill else Mode.LIVE
        self._raised: set[str] = set()
        self._cleared: set[str] = set()
        self._real: list[str] = []
        self._began = time.monotonic()
        self._forecast: dict[str, Any] = {}
        self._banner = ""
        self._progress: Mapping[str, Any] = {}

    def tell(self, en: str, zh: str) -> None:
        """Say what the simulated world does."""
        self._add(Text(f"— {en} / {zh}", style="bold blue"))

    def say(self, line: str, style: str) -> None:
        """Say a line that others have made."""
        self._add(Text(line, style=style))

    def take(self, mode: Mode, topic: str, payload: Any) -> None:  # noqa: ANN401 - JSON
        """Take one message of a lane; None is a topic that was deleted."""
        parts = topic.split("/")
        self.lanes[mode].take(parts, payload)
        if mode is Mode.DRILL:
            self._progress = (payload or {}) if topic == "exercise" else self._progress
        elif payload is not None:
            self._live(parts, payload)

    def _live(self, parts: list[str], payload: Any) -> None:  # noqa: ANN401 - JSON
        match parts:
            case ["event", "alarm", *_]:
                self._alarm(payload["data"])
            case ["procedure", id]:
                self.run = id if payload["procedure"] == "outage" else self.run
            case ["event", "procedure", *_]:
                data = payload["data"]
                words = f"{data['texts']['zh']}  {data['texts']['en']}"
                self._note(data["run_id"])
                self._add(Text(f"{data['verb']:12} {data['procedure']:9} {words}", style="magenta"))
            case ["forecast"]:
                self._foresee(payload)
            case ["exercise"]:
                self._exercise(payload)

    def _alarm(self, data: Mapping[str, Any]) -> None:
        verb, id = data["verb"], data["alarm_id"]
        if verb == "raised":
            self._raised.add(id)
        elif verb == "cleared":
            self._cleared.add(id)
        self._note(id)
        words = f"{data['texts']['zh']['short_text']}  {data['texts']['en']['short_text']}"
        severity = data["perceived_severity"]
        style = "green" if verb in ("cleared", "closed") else _COLOURS.get(severity, "")
        self._add(Text(f"{verb:12} {severity:9} {id}  {words}", style=style))

    def _note(self, id: str) -> None:
        if id not in self._real:
            self._real.append(id)

    def _foresee(self, payload: dict[str, Any]) -> None:
        if payload["texts"] != self._forecast.get("texts"):
            self._forecast = payload
            self._add(Text(f"forecast     {payload['texts']['zh']}  {payload['texts']['en']}", style="cyan"))

    def _exercise(self, notice: dict[str, Any]) -> None:
        before, self._banner = self._banner, "  ".join(filter(None, (banner(notice, code) for code in ("zh", "en"))))
        if self._banner and self._banner != before:
            self._add(Text(self._banner, style=_EXERCISE))

    def _add(self, line: Text) -> None:
        stamped = Text(f"{time.monotonic() - self._began:5.1f} s  ", no_wrap=True, overflow="ellipsis").append_text(
            line
        )
        self.lines.append(stamped)
        if not self._console.is_terminal:
            self._console.print(stamped, soft_wrap=True)

    async def draw(self) -> None:
        """Keep the terminal up to date; elsewhere the lines suffice."""
        if not self._console.is_terminal:
            await asyncio.Event().wait()
        with Live(console=self._console, refresh_per_second=5, screen=False) as live:
            while True:
                live.update(Group(*self._head(), self._table(), self._alarms(), self._steps(), *self.lines[-_LINES:]))
                await asyncio.sleep(0.2)

    def _head(self) -> list[Text]:
        head = [Text(self._banner, style=_EXERCISE)] if self._banner else []
        if self._progress.get("state") == "running":
            head.append(Text(remaining(self._progress, "zh", time.time()), style="reverse"))
        if self._main is Mode.DRILL:
            head.append(Text(self.live_words(), style="green" if not self._real else "bold red"))
        return head

    def _table(self) -> Table:
        live, drill = self.lanes[Mode.LIVE], self.lanes[Mode.DRILL]
        both = self._main is Mode.DRILL
        heads = ("floor/v1/demo/live", "floor/v1/demo/drill 演练") if both else ("reading",)
        table = Table("device", "", *heads, box=None)
        for id in sorted(live.devices):
            cells = [_readings(live.devices[id], 3 if both else 6)]
            cells += [_readings(drill.devices.get(id, {}), 3)] if both else []
            table.add_row(id, live.online.get(id, "?"), *cells)
        return table

    def _alarms(self) -> Table:
        shown = self.lanes[self._main].open
        title = f"open alarms, {self._main} lane: {len(shown)}"
        table = Table("severity", "alarm", "", box=None, title=title, title_justify="left")
        for alarm in shown[:8]:
            severity = alarm["perceived_severity"]
            row = (severity, alarm["alarm_id"], f"{alarm['texts']['zh']}  {alarm['texts']['en']}")
            table.add_row(*row, style=_COLOURS.get(severity, ""))
        return table

    def _steps(self) -> Table:
        runs = self.lanes[self._main].runs
        run = runs.get(self.run or "") if self._main is Mode.LIVE else next(reversed(runs.values()), None)
        title = "no run / 无预案"
        if run is not None:
            title = f"{run['run_id']}  {run['texts']['zh']}  {run['texts']['en']}"
        table = Table("", "step", "", "", box=None, title=title, title_justify="left")
        for step in run["steps"] if run is not None else ():
            mark = _MARKS.get(step["state"], "")
            table.add_row(mark, step["step"], step["texts"]["zh"], step["by"], style="green" if mark == "✓" else "")
        return table

    def live_words(self) -> str:
        """Say what the live lane told of faults: while a drill shows some, nothing."""
        if not self._real:
            return (
                "live lane: quiet, no real alarm and no real procedure / 实际监控：一切正常，无真实告警，未启动真实预案"
            )
        return f"live lane / 实际监控: {', '.join(self._real)}"

    def summary(self) -> str:
        """Say what was seen raised and cleared on the feed."""
        both = sorted(self._raised & self._cleared)
        left = sorted(self._raised - self._cleared)
        return f"raised and cleared: {', '.join(both) or 'none'}" + (
            f"\nstill raised: {', '.join(left)}" if left else ""
        )


def _hold(held: dict[str, Any], id: str, payload: Any) -> None:  # noqa: ANN401 - JSON
    if payload:
        held[id] = payload
    else:
        held.pop(id, None)


def _readings(state: Mapping[str, Any], most: int) -> str:
    values = [f"{point} {state[point]}" for point in _SHOWN if state.get(point) is not None]
    return "  ".join(values[:most])
