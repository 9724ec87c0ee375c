"""If the mains failed now: would the battery hold until the generator carries, and would it come? Pure.

Owns the table of what speaks against it, device by device, and how it adds up. A row counts when its condition is
true. A row whose condition cannot be judged because a reading is bad makes the device unknown: not knowing is never
ready. What a device does not measure at all says nothing, unless a row asks for just that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgeagent.catalog import Text
from edgeagent.readings import Missing, Quality, Readings
from edgeagent.ridethrough import LOW, ON_BATTERY
from edgeagent.rules import Condition, parse
from edgeagent.trend import silent

UPS, GENERATOR, ATS = "ups", "generator", "ats"
REACHABLE: Final = "reachable"
RUN_EVERY: Final = 35 * 86400.0
"""s without a run after which a generator is not counted on (NFPA 110 §8.4.2: monthly)."""
DISCHARGE_EVERY: Final = 400 * 86400.0
"""s without a discharge after which a battery is not counted on."""
_GONE: Final = frozenset({Missing.ABSENT.value, Missing.NULL.value, "not-fitted"})


class Readiness(StrEnum):
    """How it would go, the best first."""

    READY = "ready"
    AT_RISK = "at-risk"
    UNKNOWN = "unknown"
    NOT_READY = "not-ready"

    @property
    def rank(self) -> int:
        """Order, 0 is the best."""
        return _RANKS[self]


_RANKS = {readiness: rank for rank, readiness in enumerate(Readiness)}


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks against it: at which resource ("" for the site), how much it weighs, in which words."""

    resource: str
    id: str
    level: Readiness
    text: Text


@dataclass(frozen=True, slots=True)
class Part:
    """One device's share. `runtime` is how many s a UPS would last at its load of now, the lower of what is known.

    `proved` is when it was last seen to do its work: a battery discharged, a generator run; epoch s.
    """

    resource: str
    kind: str
    level: Readiness
    reasons: tuple[Reason, ...] = ()
    runtime: float | None = None
    proved: float | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole site's: the worst of its parts. `reasons` has the worst first, `counts` all levels.

    `runtime` is the shortest of all, `origin` the drill that some of it comes from.
    """

    level: Readiness
    reasons: tuple[Reason, ...]
    counts: Mapping[Readiness, int]
    runtime: float | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class _Check:
    id: str
    level: Readiness
    when: Condition
    text: Text


def _row(id: str, level: Readiness, en: str, zh: str, when: str | Condition = "", alarms: str = "") -> _Check:
    """Make one row; `alarms` are members of the device's set, each of which is enough."""
    if isinstance(when, Condition):
        return _Check(id, level, when, Text(en, zh))
    sides = [*([when] if when else []), *(f"alarms has {alarm}" for alarm in alarms.split())]
    return _Check(id, level, parse(" or ".join(sides)), Text(en, zh))


_NO, _RISK, _DARK = Readiness.NOT_READY, Readiness.AT_RISK, Readiness.UNKNOWN
_CHECKS: Final[Mapping[str, tuple[_Check, ...]]] = {
    UPS: (
        _row("on-battery", _NO, "{name} is on battery already", "{name} 已在电池供电", ON_BATTERY),
        _row("no-battery", _NO, "{name} has no battery", "{name} 未接入电池",
            "battery.status = none", "battery-missing"),
        _row("battery-fault", _NO, "{name}: battery fault", "{name} 电池故障",
            "battery.status = fault", "battery-fault"),
        _row("battery-low", _NO, "{name}: battery low", "{name} 电池电量低", LOW),
        _row("charge", _NO, "{name}: battery nearly empty", "{name} 电池电量严重不足", "battery.charge < 30"),
        _row("off", _NO, "{name} gives no power", "{name} 输出关闭", "source = off", "output-off emergency-off"),
        _row("bypass", _NO, "{name} is on bypass, unprotected", "{name} 处于旁路，负载无保护",
            "source = bypass", "on-bypass"),
        _row("overload", _NO, "{name} is overloaded", "{name} 过载", "output.load > 100", "overload"),
        _row("comms", _DARK, "{name}: its card has lost it, what it shows is old",
            "{name} 网卡与主机失去通信，数据可能过期",
            alarms="ups-comms-lost"),
        _row("replace", _RISK, "{name}: battery must be replaced", "{name} 电池需更换", alarms="battery-replace"),
        _row("test-failed", _RISK, "{name}: self-test failed", "{name} 自检未通过", alarms="test-failed"),
        _row("charger", _RISK, "{name}: charger failed", "{name} 充电器故障", alarms="charger-fault"),
        _row("internal", _RISK, "{name}: fault inside", "{name} 内部故障",
            alarms="internal-fault redundancy-lost over-temperature"),
        _row("charging", _RISK, "{name}: battery not full", "{name} 电池未充满", "battery.charge < 80"),
        _row("load", _RISK, "{name}: load above 80 %", "{name} 负载率超过 80%", "output.load > 80"),
    ),
    GENERATOR: (
        _row("not-in-auto", _NO, "{name} is not in auto", "{name} 未处于自动模式", "not mode in [auto, test]"),
        _row("mode", _DARK, "{name} does not tell whether it is in auto", "{name} 无法读取是否处于自动模式",
            "absent(mode)"),
        _row("fault", _NO, "{name} is shut down on a fault", "{name} 故障停机",
            "state = fault", "common-shutdown ecu-shutdown electrical-trip"),
        _row("emergency-stop", _NO, "{name}: emergency stop pressed", "{name} 急停按钮已按下", alarms="emergency-stop"),
        _row("fail-to-start", _NO, "{name} failed to start", "{name} 启动失败", alarms="fail-to-start"),
        _row("blocked", _NO, "{name} is locked out by its protection", "{name} 被保护闭锁，无法启动",
            alarms="oil-pressure-low.shutdown coolant-temperature-high.shutdown coolant-level-low.shutdown "
            "oil-level-low.shutdown air-flap.shutdown external-fault.shutdown"),
        _row("fuel", _NO, "{name}: tank nearly empty", "{name} 燃油将尽", "fuel < 10"),
        _row("starter", _NO, "{name}: starter battery flat", "{name} 启动电池没电",
            "starter.voltage < 11 or starter.voltage > 16 and starter.voltage < 22"),
        _row("transfer", _RISK, "{name}: the last transfer failed", "{name} 上次负载切换失败",
            alarms="generator-close-failed mains-open-failed"),
        _row("fuel-low", _RISK, "{name}: fuel low or leaking", "{name} 燃油不足或泄漏",
            "fuel < 25", "fuel-low fuel-leak fuel-use"),
        _row("starter-low", _RISK, "{name}: starter battery low or not charged", "{name} 启动电池电压低或未充电",
            "starter.voltage < 11.8 or starter.voltage > 16 and starter.voltage < 23.6", "starter-voltage-low "
            "battery-charger-fail"),
        _row("cold", _RISK, "{name}: engine cold", "{name} 发动机温度低", alarms="coolant-temperature-low"),
        _row("controller", _RISK, "{name}: controller or sender fault", "{name} 控制器或传感器故障",
            alarms="controller-fault sender-fault speed-sensing-lost"),
    ),
    ATS: (
        _row("not-in-auto", _NO, "{name} is not in auto", "{name} 未处于自动模式", "not mode in [auto, test]"),
        _row("mode", _DARK, "{name} does not tell whether it is in auto", "{name} 无法读取是否处于自动模式",
            "absent(mode) and absent(feed)"),
        _row("off", _NO, "{name} is off", "{name} 处于断开位（0 位）", "position = off or feed = off"),
        _row("fault", _NO, "{name}: switch fault", "{name} 开关本体故障", alarms="switch-fault both-closed"),
        _row("transfer", _NO, "{name} failed to transfer", "{name} 切换失败", alarms="failed-to-transfer"),
        _row("comms", _DARK, "{name}: its card has lost it, what it shows is old",
            "{name} 网卡与主机失去通信，数据可能过期",
            alarms="controller-lost"),
        _row("redundancy", _RISK, "{name} may not transfer", "{name} 可能无法切换",
            "not redundant", "overload power-supply-fault"),
    ),
}  # fmt: skip
_UNREAD: Final = Text("{name} cannot be read in full", "{name} 数据读取不完整")
_UNREACHABLE: Final = Text("{name} cannot be reached", "{name} 无法通信")
_TOO_SHORT: Final = Text(
    "{name} would last only {minutes} min, the generator needs {open} to {close}",
    "{name} 仅可供电约 {minutes} 分钟，柴油机需 {open}~{close} 分钟",
)
_MAY_BE_SHORT: Final = Text(
    "{name} would last {minutes} min, the generator may take {close}",
    "{name} 可供电约 {minutes} 分钟，柴油机最长需 {close} 分钟",
)
_NO_RUNTIME: Final = Text("{name}: nobody knows how long it would last", "{name} 可供电时间未知")
_IDLE: Final = Text("{name} has not run for {days} days", "{name} 已 {days} 天未运行")
_UNPROVED: Final = Text("{name}: battery not discharged for {days} days", "{name} 已 {days} 天未放电验证")
_NO_GENERATOR: Final = Text("no generator is watched here", "未监测到备用发电机")

KINDS: Final = frozenset(_CHECKS)
POINTS: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset().union({REACHABLE}, *(check.when.points for check in checks)) for kind, checks in _CHECKS.items()
}
"""Points whose change can matter, by kind."""


def judge(
    resource: str, kind: str, name: Text, readings: Readings, now: float, *, before: Part | None = None,
    runtime: float | None = None, proved: float | None = None, window: tuple[float, float] = (420.0, 600.0),
) -> Part:  # fmt: skip
    """Judge one device. `runtime` and `proved` are as in `Part`.

    While a device was missed only once or twice it is as it was `before`.
    """
    reasons: list[Reason] = []

    def add(id: str, level: Readiness, text: Text, **words: object) -> None:
        reasons.append(Reason(resource, id, level, Text(
            text.en.format(name=name.en, **words), text.zh.format(name=name.zh, **words),
        )))  # fmt: skip

    reachable = readings.get(REACHABLE)
    unread = False
    if not readings or (reachable is not None and reachable.value is False):
        add("unreachable", _DARK, _UNREACHABLE)
    else:
        if before is not None and reachable is not None and _missed(kind, readings):
            return before
        for check in _CHECKS[kind]:
            truth = check.when.holds(readings)
            if truth:
                add(check.id, check.level, check.text)
            elif truth is None and not unread:
                unread = _unread(readings, check.when.points)
        if unread:
            add("unread", _DARK, _UNREAD)
        if kind == UPS and (short := _short(runtime, window)) is not None:
            opens, closes = (round(end / 60) for end in window)
            add("runtime", *short, minutes=int((runtime or 0.0) / 60), open=opens, close=closes)
    rest = 0.0 if proved is None else now - proved
    if kind == GENERATOR and rest > RUN_EVERY:
        add("idle", _RISK, _IDLE, days=int(rest / 86400))
    if kind == UPS and rest > DISCHARGE_EVERY:
        add("unproved", _RISK, _UNPROVED, days=int(rest / 86400))
    reasons.sort(key=lambda reason: -reason.level.rank)
    level = reasons[0].level if reasons else Readiness.READY
    return Part(resource, kind, level, tuple(reasons), runtime, proved, _origin(readings))


class Parts:
    """All parts of a site, added up as they change: of those that are ready nothing is sorted or looked at again."""

    def __init__(self, parts: Iterable[Part] = ()) -> None:
        self._parts: dict[str, Part] = {}
        self._against: dict[str, Part] = {}
        self._runtimes: dict[str, float] = {}
        self._origins: dict[str, str] = {}
        self._levels, self._kinds = Counter[Readiness](), Counter[str]()
        for part in parts:
            self.put(part)

    def get(self, id: str) -> Part | None:
        """Return a device's share as it was judged last."""
        return self._parts.get(id)

    def put(self, part: Part) -> None:
        """Take a device's share, in the place of what it was."""
        id = part.resource
        if id in self._parts:
            self._take_off(self._parts[id])
        self._parts[id] = part
        self._levels[part.level] += 1
        self._kinds[part.kind] += 1
        if part.reasons:
            self._against[id] = part
        if part.runtime is not None:
            self._runtimes[id] = part.runtime
        if part.origin is not None:
            self._origins[id] = part.origin

    def keep(self, kinds: Mapping[str, str]) -> None:
        """Leave out what is no device of its kind any more."""
        for id in [id for id, part in self._parts.items() if kinds.get(id) != part.kind]:
            self._take_off(self._parts.pop(id))

    def _take_off(self, part: Part) -> None:
        self._levels[part.level] -= 1
        self._kinds[part.kind] -= 1
        for group in (self._against, self._runtimes, self._origins):
            group.pop(part.resource, None)

    def standing(self) -> Standing | None:
        """Say how it would go; None where there is no UPS and no generator to speak of."""
        if not (self._kinds[UPS] or self._kinds[GENERATOR]):
            return None
        ranked = sorted(self._against.values(), key=lambda part: (-part.level.rank, _shortest(part), part.resource))
        reasons = [reason for part in ranked for reason in part.reasons]
        if not self._kinds[GENERATOR]:
            reasons.append(Reason("", "no-generator", _DARK, _NO_GENERATOR))
        reasons.sort(key=lambda reason: -reason.level.rank)
        level = reasons[0].level if reasons else Readiness.READY
        counts = {level: count for level, count in self._levels.items() if count}
        shortest = min(self._runtimes.values(), default=None)
        return Standing(level, tuple(reasons), counts, shortest, next(iter(self._origins.values()), None))


def _short(runtime: float | None, window: tuple[float, float]) -> tuple[Readiness, Text] | None:
    """Hold a runtime against the generator's window."""
    if runtime is None:
        return _DARK, _NO_RUNTIME
    if runtime < window[0]:
        return _NO, _TOO_SHORT
    return (_RISK, _MAY_BE_SHORT) if runtime < window[1] else None


def _shortest(part: Part) -> float:
    return 1e9 if part.runtime is None else part.runtime


def _unread(readings: Readings, points: Iterable[str]) -> bool:
    """Tell whether a point is there and cannot be read, which is another thing than not being there."""
    for point in points:
        reading = readings.get(point)
        if reading is not None and reading.quality is not Quality.GOOD and reading.reason not in _GONE:
            return True
    return False


def _missed(kind: str, readings: Readings) -> bool:
    """Tell whether the last poll went unanswered."""
    for point in POINTS[kind]:
        reading = readings.get(point)
        if reading is not None and reading.quality is Quality.BAD and silent(reading):
            return True
    return False


def _origin(readings: Readings) -> str | None:
    """Return the drill that some of it comes from."""
    for reading in readings.values():
        if reading.origin is not None:
            return reading.origin
    return None
