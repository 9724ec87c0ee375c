"""A device under an alarm list, played second by second, and alarm types to play with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from edgeagent.alarms import Alarm, Alarms, Change, Rule, Settings
from edgeagent.catalog import AlarmType, Level, Severity, Text
from edgeagent.readings import Reading, Value
from edgeagent.rules import parse

BASE = 1_750_000_000.0
NAME = Text("UPS 1", "一号 UPS")
NONE = AlarmType(
    id="none", text=Text("{name}", "{name}"), advice=Text("Look.", "查看。"), levels=(), event_type="equipment",
    probable_cause="powerProblem",
)  # fmt: skip
LOAD = replace(
    NONE,
    id="load-high",
    text=Text("{name} carries {value} {unit}, limit {limit} {unit}", "{name} 负载 {value} {unit}，限值 {limit} {unit}"),
    levels=(
        Level(Severity.MINOR, parse("load > limit"), 80, on_delay=3),
        Level(Severity.CRITICAL, parse("load > limit"), 100, on_delay=1),
    ),
    deadband=5,
    off_delay=4,
)
AT_ONCE = replace(NONE, id="on-battery", levels=(Level(Severity.MAJOR, parse("source = battery")),))
LATCHED = replace(AT_ONCE, id="failed", latch=True)
SELF = replace(AT_ONCE, id="event", ack_needed=False)
TWO = replace(NONE, id="graded", levels=(
    Level(Severity.MINOR, parse("load > limit"), 80), Level(Severity.CRITICAL, parse("load > limit"), 100),
))  # fmt: skip
VENDOR = replace(
    NONE, id="vendor", text=Text("{name}: {qualifier}", "{name}：{qualifier}"), each="alarms",
    levels=(Level(Severity.WARNING, parse("absent(alarms)")),),
)  # fmt: skip
CALM = Settings(chatter_count=100, linger=50)


class Floor:
    """One device under a list, played second by second; timers are served on time."""

    def __init__(self, *types: AlarmType, settings: Settings = CALM, rules: Iterable[Rule] = ()) -> None:
        units = {"load": "%", "temperature": "Cel"}
        known = frozenset({"overload", "testing"})
        own = [Rule("ups-1", NAME, type, known=known, units=units) for type in types]
        self.alarms = Alarms([*own, *rules], settings)
        self.view: dict[str, dict[str, Reading]] = {}
        self.changes: list[Change] = []

    def at(self, second: float) -> None:
        """Serve all timers up to a second."""
        for _ in range(1000):
            due = self.alarms.next_due()
            if due is None or due > BASE + second:
                return
            self.changes += self.alarms.tick(self.view, due)
        raise AssertionError("timers never come to rest")

    def read(
        self, second: float, device: str = "ups-1", *, origin: str | None = None, since: float | None = None,
        **values: Value | None,
    ) -> list[Change]:  # fmt: skip
        """Let readings arrive; None is a time-out."""
        self.at(second)
        now = BASE + second
        for point, value in values.items():
            reading = Reading.bad("timeout", now, origin) if value is None else Reading(value, now, origin=origin)
            self.view.setdefault(device, {})[point] = reading
        onsets = {} if since is None else {(device, point): BASE + since for point in values}
        told = self.alarms.step(self.view, [(device, point) for point in values], now, onsets)
        self.changes += told
        return told

    def ask(
        self, second: float, verb: str, *words: object, id: str = "ups-1.on-battery", by: str = "Lin"
    ) -> list[Change]:
        """Let an operator do something."""
        self.at(second)
        asked: Callable[..., list[Change]] = getattr(self.alarms, verb)
        told = asked(id, *words, by, "seen", BASE + second)
        self.changes += told
        return told

    def play(self, story: Iterable[tuple[object, ...]], until: float = 0.0) -> list[str]:
        for second, what, *words in story:
            assert isinstance(second, (int, float))
            if isinstance(what, dict):
                self.read(second, **what)
            else:
                self.ask(second, str(what), *words[:-1], id=str(words[-1]))
        self.at(until)
        return told(self.changes)

    def record(self, id: str = "ups-1.on-battery") -> Alarm:
        return self.alarms.records()[id]


def told(changes: Iterable[Change]) -> list[str]:
    return [f"{change.at - BASE:g} {change.verb} {change.alarm.state}" for change in changes]


ON, OFF, LOST = {"source": "battery"}, {"source": "normal"}, {"source": None}
B, L, S = "ups-1.on-battery", "ups-1.failed", "ups-1.event"


def many(count: int, type: AlarmType = AT_ONCE) -> list[Rule]:
    return [Rule(f"pc-{number:02}", Text(f"PC {number}", f"电脑 {number}"), type) for number in range(count)]
