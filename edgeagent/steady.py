"""Whether a drill may start: by its declaration, and by the steady state of the site. Pure.

Steady is a site where nothing real is wrong that a drill could hide or be taken for. That is read from the live lane
alone; nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from edgeagent.alarm import Alarm
from edgeagent.catalog import Relation, Severity, Text
from edgeagent.config import Site
from edgeagent.devices import IDENTITY, REACHABLE
from edgeagent.drilltexts import refusal
from edgeagent.inventory import AGENT
from edgeagent.readings import Reading, Readings
from edgeagent.run import Run
from edgeagent.runtexts import filled, summed_up
from edgeagent.scenario import LONGEST, DrillSettings, Scenario
from edgeagent.supply import NORMAL
from edgeagent.witnesses import SWITCH, UPS

_NAMED: Final = 8
"""Devices that are told by name; more are counted."""
_TEXTS: Final = {
    "real-critical": Text("a real critical alarm stands: {what}", "存在真实的紧急告警：{what}"),
    "real-major": Text("a real major alarm stands in its scope: {what}", "演练范围内存在真实的重要告警：{what}"),
    "real-run": Text("a real procedure is under way: {what}", "真实预案正在执行：{what}"),
    "mains-not-normal": Text("the real supply is not normal: {what}", "实际供电不正常：{what}"),
    "mains-unknown": Text("no witness of the mains can be read", "无法读取市电状态"),
    "broker-away": Text("the agent has no session with the broker", "监控代理未连接消息服务器"),
    "clock-unsynced": Text("the agent's clock is not synchronised", "监控代理时钟未同步"),
    "store-failing": Text("the agent cannot write its journal", "监控代理无法写入本地记录"),
    "device-unread": Text("not read yet: {what}", "尚未读取：{what}"),
    "device-unreachable": Text("cannot be reached: {what}", "通信中断：{what}"),
    "device-mismatch": Text("not the device that the site names: {what}", "设备与配置不符：{what}"),
}
_STATES: Final = {
    "lost": Text("mains lost", "市电断电"),
    "circuit-lost": Text("circuit lost", "线路断电"),
    "unclear": Text("unclear", "不明"),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One reason why no drill may start. `code` is for programs, `text` for people."""

    code: str
    text: Text


@dataclass(frozen=True, slots=True)
class Start:
    """What somebody asks for who starts a drill. `duration` in s, that of the scenario if None."""

    owner: str
    confirmed_by: str = ""
    duration: float | None = None
    speed: float = 1.0


def forbidden(asked: Start, scenario: Scenario, settings: DrillSettings, local: datetime) -> Iterator[Trouble]:
    """Give all that speaks against what somebody asks for; `local` is the moment by the clock on the wall."""
    owner, second = (name.strip().casefold() for name in (asked.owner, asked.confirmed_by))
    if not owner:
        yield Trouble(*refusal("owner-missing"))
    if settings.second_person and second in ("", owner):
        yield Trouble(*refusal("second-person-missing"))
    minute = local.hour * 60 + local.minute
    for hours in settings.blocked:
        if hours.holds(local.weekday(), minute):
            begin, end = (f"{each // 60:02}:{each % 60:02}" for each in (hours.begin, hours.end))
            yield Trouble(*refusal("blocked-hours", begin=begin, end=end))
    fastest = max(1.0, settings.speed)
    if not 1.0 <= asked.speed <= fastest:
        yield Trouble(*refusal("too-fast", speed=f"{fastest:g}"))
    if not 0.0 < (scenario.duration if asked.duration is None else asked.duration) <= LONGEST:
        yield Trouble(*refusal("bad-duration"))


def check(
    records: Mapping[str, Alarm], runs: Mapping[str, Run], view: Mapping[str, Readings], scope: Collection[str],
    devices: Collection[str], site: Site,
) -> list[Trouble]:  # fmt: skip
    """Return all that speaks against a drill now, the gravest first; nothing where the site is steady.

    `records`, `runs` and `view` are those of the live lane; `scope` the resources that the drill concerns, `devices`
    those of which it would show something that is not so.
    """
    return [
        *_alarms(records.values(), {*scope, *devices}),
        *_runs(runs.values()),
        *_mains(view, site),
        *_agent(view.get(AGENT, {})),
        *_devices(view, devices, site),
    ]


def grave(alarm: Alarm, scope: Collection[str]) -> bool:
    """Tell whether an alarm forbids a drill: a real critical one anywhere, a real major one at its scope or hitting it.

    Whether it is kept from people does not matter: the fault is there.
    """
    if alarm.origin is not None or alarm.is_cleared:
        return False
    if alarm.perceived_severity is not Severity.MAJOR:
        return alarm.perceived_severity is Severity.CRITICAL
    return alarm.resource in scope or any(id in scope for id in alarm.impacted_resource)


def _alarms(alarms: Iterable[Alarm], scope: Collection[str]) -> Iterator[Trouble]:
    found = [alarm for alarm in alarms if grave(alarm, scope)]
    for code, severity in (("real-critical", Severity.CRITICAL), ("real-major", Severity.MAJOR)):
        alike = [alarm for alarm in found if alarm.perceived_severity is severity]
        if alike:
            lead = min(alike, key=lambda alarm: (alarm.raised or alarm.time_created, alarm.alarm_id))
            yield _trouble(code, summed_up(lead, len(alike)))


def _runs(runs: Iterable[Run]) -> Iterator[Trouble]:
    titles = [run.text for run in runs if run.origin is None and not run.over]
    if titles:
        yield _trouble("real-run", _listed(list(dict.fromkeys(titles))))


def _mains(view: Mapping[str, Readings], site: Site) -> Iterator[Trouble]:
    """Look at the supply. One whose witnesses may have no word for it (a relay, a generator) may stay unknown."""
    mains = site.tree.mains
    if mains is None:
        return
    reading = view.get(mains, {}).get("state")
    state = None if reading is None else reading.value
    if state is None:
        below = (site.tree.nodes[id] for id in site.tree.below(mains, Relation.POWER))
        if any(node.device and node.kind in (UPS, SWITCH) for node in below):
            yield _trouble("mains-unknown")
    elif state != NORMAL:
        yield _trouble("mains-not-normal", _STATES.get(str(state), Text(str(state), str(state))))


def _agent(own: Readings) -> Iterator[Trouble]:
    """Look at the agent itself. Where no time service tells of the clock it counts as right, as everywhere."""
    if _value(own, "broker") != "connected":
        yield _trouble("broker-away")
    if _value(own, "clock.synced") is False:
        yield _trouble("clock-unsynced")
    if _value(own, "store") == "failing":
        yield _trouble("store-failing")


def _devices(view: Mapping[str, Readings], devices: Iterable[str], site: Site) -> Iterator[Trouble]:
    found: dict[str, list[Text]] = {"device-unread": [], "device-unreachable": [], "device-mismatch": []}
    for id in sorted(devices):
        readings = view.get(id, {})
        if _value(readings, IDENTITY) == "mismatch":
            code = "device-mismatch"
        elif (reachable := _value(readings, REACHABLE)) is not True:
            code = "device-unread" if reachable is None else "device-unreachable"
        else:
            continue
        found[code].append(site.devices[id].name if id in site.devices else Text(id, id))
    for code, names in found.items():
        if names:
            yield _trouble(code, _listed(names))


def _value(readings: Readings, point: str) -> object:
    reading: Reading | None = readings.get(point)
    return None if reading is None else reading.value


def _listed(names: list[Text]) -> Text:
    more = f" +{len(names) - _NAMED}" if len(names) > _NAMED else ""
    named = names[:_NAMED]
    return Text(", ".join(name.en for name in named) + more, "、".join(name.zh for name in named) + more)


def _trouble(code: str, what: Text | str = "") -> Trouble:
    return Trouble(code, filled(_TEXTS[code], what=what))
