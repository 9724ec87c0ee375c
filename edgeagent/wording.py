"""How reports write times, durations, values, roles and words that came from people. Pure.

Owns nothing but the spelling. A language is "en" or "zh"; a zone of None is the host's own.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

from edgeagent.alarm import spoken
from edgeagent.catalog import Severity, Text
from edgeagent.procedure import Role
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
_SHORTEST: Final = 10.0
"""s below which tenths are told."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_SECONDS: Final = Text("{0} s", "{0} 秒")
_MINUTES: Final = Text("{0} min {1} s", "{0} 分 {1} 秒")
_HOURS: Final = Text("{0} h {1} min", "{0} 小时 {1} 分")
_DAYS: Final = Text("{0} d {1} h", "{0} 天 {1} 小时")
_UNITS: Final = {"Cel": "°C", "1": "", "[ppm]": "ppm", "By": "B", "kW.h": "kWh"}
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
"""Characters that XML forbids, that hide, or that turn the direction of what follows them."""


def said(text: Text, language: str) -> str:
    """Return a text in one language."""
    return text.zh if language == "zh" else text.en


def clean(text: str) -> str:
    """Return what somebody wrote without the characters that nobody sees; half a surrogate pair becomes "?"."""
    return _UNSEEN.sub("", text).encode("utf-8", "replace").decode("utf-8").strip()


def duration(seconds: float, language: str) -> str:
    """Write a duration with the two largest units that matter: 8 分 10 秒, 2 h 14 min."""
    seconds = max(0.0, seconds)
    if seconds < _SHORTEST and seconds != int(seconds):
        return said(_SECONDS, language).format(f"{seconds:.1f}".removesuffix(".0"))
    whole = round(seconds)
    if whole < _MINUTE:
        return said(_SECONDS, language).format(whole)
    if whole < _HOUR:
        return said(_MINUTES, language).format(*divmod(whole, _MINUTE))
    if whole < _DAY:
        hours, rest = divmod(whole, _HOUR)
        return said(_HOURS, language).format(hours, rest // _MINUTE)
    days, rest = divmod(whole, _DAY)
    return said(_DAYS, language).format(days, rest // _HOUR)


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


def evidence(found: Evidence, name: str, language: str) -> str:
    """Write one reading that proved a step: UPS A source = battery."""
    value = spoken(found.value, ("是", "否") if language == "zh" else ("yes", "no"))
    unit = _UNITS.get(found.unit or "", found.unit or "")
    return clean(f"{name} {found.point} = {value} {unit}")
