"""How reports write times, durations, values, roles and words that came from people. Pure.

Owns nothing but the spelling. A language is "en" or "zh"; a zone of None is the host's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from edgeagent.alarm import WORDS, spoken
from edgeagent.catalog import Severity, Text
from edgeagent.procedure import Role
from edgeagent.readings import Value
from edgeagent.run import Evidence, RunState

ROLES: Final = {
    Role.AGENT: Text("agent", "客户服务代表"),
    Role.LEADER: Text("shift leader", "值班班组长"),
    Role.SUPERVISOR: Text("supervisor", "呼叫中心主管"),
    Role.MANAGER: Text("manager", "呼叫中心经理"),
    Role.OM: Text("O&M specialist", "系统运维专员"),
    Role.DEPARTMENT: Text("head of department", "部门领导"),
    Role.SYSTEM: Text("by itself", "设备自动"),
}
"""PROCEDURES.md, roles."""
SEVERITIES: Final = {
    Severity.INDETERMINATE: Text("indeterminate", "未确定"),
    Severity.WARNING: Text("warning", "警告"),
    Severity.MINOR: Text("minor", "次要"),
    Severity.MAJOR: Text("major", "重要"),
    Severity.CRITICAL: Text("critical", "紧急"),
}
STATES: Final = {
    RunState.OPEN: Text("still open", "处理中"),
    RunState.RECOVERING: Text("fault over, recovery steps open", "故障已恢复，收尾中"),
    RunState.CLOSED: Text("closed", "已结束"),
    RunState.ABORTED: Text("aborted", "已中止"),
}
SYSTEM: Final = "system"
"""Who acts where no person does."""
NOTHING: Final = "–"
TIMES: Final = Text("all times", "时间均为")
_NAMELESS: Final = Text("", "")
_SHORTEST: Final = 10.0
"""s below which tenths are told."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_SPANS: Final = (
    (_DAY, Text("{} d", "{} 天")), (_HOUR, Text("{} h", "{} 小时")),
    (_MINUTE, Text("{} min", "{} 分")), (1, Text("{} s", "{} 秒")),
)  # fmt: skip
_UNITS: Final = {"Cel": "°C", "1": "", "[ppm]": "ppm", "By": "B", "kW.h": "kWh"}
_ZH: Final = {
    "a": "A 路", "auto": "自动", "available": "可用", "b": "B 路", "battery": "电池", "booster": "升压",
    "bypass": "旁路", "carrying": "带载", "charging": "充电中", "circuit-lost": "线路断电", "cloned": "身份重复",
    "connected": "已连接", "cool": "制冷", "cooling": "冷却中", "cranking": "启动中", "delivering": "供电中",
    "depleted": "耗尽", "died": "已断线", "disconnected": "已断开", "down": "中断", "dry": "除湿",
    "eco": "经济模式", "empty": "无人值守", "failed": "故障", "failed-to-return": "未能切回",
    "failed-to-start": "启动失败", "failed-to-transfer": "切换失败", "failing": "异常", "fan": "送风",
    "fault": "故障", "frozen": "无响应", "generator": "发电机", "heat": "制热", "idle": "空闲", "inhibited": "禁止",
    "insecure": "证书无效", "left": "已退出", "listening": "接收中", "lost": "断电", "low": "低", "mains": "市电",
    "maintenance": "维护中", "manual": "手动", "match": "一致", "mismatch": "不一致", "moving": "切换中",
    "none": "无", "normal": "正常", "off": "关", "offline": "离线", "ok": "正常", "on": "开",
    "ordered": "已请求启动", "other": "其他", "present": "有电", "reducer": "降压", "refused": "被拒绝",
    "remote": "远程", "returning": "切回中", "running": "运行", "searching": "未供电", "silent": "无应答",
    "standby": "待机", "starting": "启动中", "stopped": "停机", "stopping": "停机中", "taken-over": "被接管",
    "test": "测试", "unclear": "不明", "unknown": "未知", "unresolved": "域名无法解析", "up": "连通",
    "warming-up": "预热", "wired": "有线", "working": "正常", "wrong": "应答不正确",
}  # fmt: skip
"""The words of enumerated points in Chinese."""
LAPSED: Final = Text("no longer needed: the fault was over first", "故障已恢复，无需再做")
"""Why the agent itself leaves a step out."""
_SERIES: Final = 3
_NUMBERED: Final = re.compile(r"(.*?)(\d{0,9})", re.DOTALL)
_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)
"""Characters that XML forbids, that hide, or that turn the direction of what follows them."""


@dataclass(frozen=True, slots=True)
class Names:
    """How things are called: a resource and where it stands by its id, a point by its resource and its own id.

    `unit` is that of the point (UCUM), `site` the call centre itself.
    """

    resource: Callable[[str], Text] = lambda id: Text(id, id)
    place: Callable[[str], Text] = lambda id: Text(id, id)
    point: Callable[[str, str], Text] = lambda _, id: Text(id, id)
    unit: Callable[[str, str], str] = lambda _resource, _point: ""
    site: Text = _NAMELESS


NAMELESS: Final = Names()
"""Calls everything by its id."""


def said(text: Text, language: str) -> str:
    """Return a text in one language."""
    return text.zh if language == "zh" else text.en


class Speech:
    """What a report is written with, in one language."""

    def __init__(self, language: str) -> None:
        self.language = language

    def say(self, text: Text) -> str:
        """Return a text."""
        return said(text, self.language)

    def word(self, en: str, zh: str) -> str:
        """Return a text that stands where it is used."""
        return said(Text(en, zh), self.language)

    def took(self, seconds: float | None) -> str:
        """Write a duration, a dash where there is none."""
        return NOTHING if seconds is None else duration(seconds, self.language)

    def listed(self, words: list[str]) -> str:
        """Join words to a list."""
        return self.word(", ", "、").join(words)


def clean(text: str) -> str:
    """Return what somebody wrote without the characters that nobody sees; half a surrogate pair becomes "?"."""
    return _UNSEEN.sub("", text).encode("utf-8", "replace").decode("utf-8").strip()


def duration(seconds: float, language: str) -> str:
    """Write a duration with the two largest units, what is zero left out: 8 分 10 秒, 2 h 14 min, 10 分."""
    seconds = max(0.0, seconds)
    if seconds < _SHORTEST:
        return said(_SPANS[-1][1], language).format(f"{seconds:.1f}".removesuffix(".0"))
    rest, parts = round(seconds), []
    for size, words in _SPANS:
        count, rest = divmod(rest, size)
        parts.append(said(words, language).format(count) if count else "")
    first = next(place for place, part in enumerate(parts) if part)
    return " ".join(filter(None, parts[first : first + 2]))


def local(at: float, zone: tzinfo | None) -> datetime:
    """Return a moment (epoch s) in the zone, to the whole second."""
    return datetime.fromtimestamp(round(at), UTC).astimezone(zone)


def moment(at: float | None, zone: tzinfo | None) -> str:
    """Write a moment with its date: 2026-11-25 08:12:30."""
    return NOTHING if at is None else f"{local(at, zone):%Y-%m-%d %H:%M:%S}"


def hour(at: float, zone: tzinfo | None, beside: float | None = None) -> str:
    """Write a moment without its date where that is the date of `beside`: 08:12:30, else 11-26 00:02:10."""
    found = local(at, zone)
    alike = beside is None or found.date() == local(beside, zone).date()
    return f"{found:%H:%M:%S}" if alike else f"{found:%m-%d %H:%M:%S}"


def zone_name(at: float, zone: tzinfo | None) -> str:
    """Name the zone by its offset at a moment: UTC+08:00."""
    offset = f"{local(at, zone):%z}"
    return f"UTC{offset[:3]}:{offset[3:5]}"


def person(name: str, language: str) -> str:
    """Name who did something."""
    return said(Text("edgeagent (automatic)", "edgeagent（自动）"), language) if name in ("", SYSTEM) else clean(name)


def role(id: str, language: str) -> str:
    """Name a role; one that nobody knows is called by its id."""
    return said(ROLES[Role(id)], language) if id in set(Role) else clean(id)


def severity(id: str, language: str) -> str:
    """Name a severity; one that nobody knows is called by its id."""
    return said(SEVERITIES[Severity(id)], language) if id in set(Severity) else clean(id)


def evidence(found: Evidence, names: Names, language: str) -> str:
    """Write one reading that proved a step: UPS A, source: battery."""
    read = value(found.value, found.unit or "", language)
    name, point = (
        said(names.resource(found.resource), language),
        said(names.point(found.resource, found.point), language),
    )
    return clean(f"{name}，{point}：{read}" if language == "zh" else f"{name}, {point}: {read}")


def value(found: Value | None, unit: str, language: str) -> str:
    """Write a value with its unit (UCUM): 231 V, battery."""
    word = spoken(found, WORDS[language], (lambda id: _ZH.get(id, id)) if language == "zh" else str)
    return f"{word} {_UNITS.get(unit, unit)}".rstrip()


def folded(ids: Iterable[str], names: Names, language: str) -> list[str]:
    """Name things; three or more whose ids count up become one: Seat 1 – Seat 60."""
    series: list[list[str]] = []
    for id in ids:
        if series and _next(series[-1][-1]) == id:
            series[-1].append(id)
        else:
            series.append([id])
    told = []
    for found in series:
        called = [
            said(names.resource(id), language) for id in (found if len(found) < _SERIES else found[:: len(found) - 1])
        ]
        told += called if len(found) < _SERIES else [" – ".join(called)]
    return told


def _next(id: str) -> str:
    stem, digits = _NUMBERED.fullmatch(id).groups()  # type: ignore[union-attr]  # it matches every string
    return f"{stem}{int(digits) + 1:0{len(digits)}}" if digits else ""
