"""What the feed says of the forecast: one retained record, and the one line for a screen. Pure.

Moments are given as such, so that who shows them counts down alone. Lists are bounded and have the worst first; what
is left out is counted. What comes from a drill says so in every text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from typing_extensions import TypedDict

from edgeagent.alarm import number
from edgeagent.catalog import Text
from edgeagent.exercisemark import marked
from edgeagent.forecast import Forecast
from edgeagent.heat import Heat
from edgeagent.messages import Mode, stamp
from edgeagent.outlast import CIRCUIT_LOST, LOST, NO_GENERATOR, Outage, Outlast, Why
from edgeagent.ridethrough import Ride
from edgeagent.seatfeeds import Dark
from edgeagent.verdict import Readiness, Reason
from edgeagent.wording import duration

MOST: Final = 50
"""Entries of each list at the most."""
_MOST_RANGES: Final = 3
_MINUTE: Final = 60.0
_EXACT: Final = 120.0
"""s below which an estimate is told in seconds."""


class BatteryRecord(TypedDict):
    """How long one UPS on battery lasts: from `empty_from` to `empty_to`, null with a `reason`. `age` is s."""

    ups: str
    names: dict[str, str]
    low: float | None
    high: float | None
    empty_from: str | None
    empty_to: str | None
    sources: list[str]
    age: float | None
    reason: str | None
    charge: float | None
    load: float | None


class DarkRecord(TypedDict):
    """Seats that go dark together. `seats` are ids and ranges of them: "a001..a020"."""

    seats: list[str]
    count: int
    upses: list[str]
    dark_from: str | None
    dark_to: str | None


class ReasonRecord(TypedDict):
    """One thing that speaks against it; `resource` is empty for the site as a whole."""

    resource: str
    reason: str
    level: str
    text: str
    texts: dict[str, str]


class HeatRecord(TypedDict):
    """How warm one area is and when it reaches its limit. Cel, K in 10 minutes, s."""

    area: str
    names: dict[str, str]
    sensor: str
    point: str
    temperature: float | None
    limit: float | None
    slope: float | None
    limit_from: str | None
    limit_to: str | None
    age: float | None
    reason: str | None


class ForecastRecord(TypedDict):
    """The payload of the forecast. What belongs to an outage is null while there is none, `readiness` in one."""

    time: str
    short_text: str
    texts: dict[str, str]
    since: str | None
    mains: str | None
    generator: str | None
    window_opens: str | None
    window_closes: str | None
    generator_by: str | None
    outlasts: str | None
    why: str | None
    margin: float | None
    weakest: str | None
    starts: int
    start_median: float | None
    start_slowest: float | None
    batteries: list[BatteryRecord]
    batteries_omitted: int
    dark: list[DarkRecord]
    dark_omitted: int
    readiness: str | None
    readiness_counts: dict[str, int]
    readiness_runtime: float | None
    reasons: list[ReasonRecord]
    reasons_omitted: int
    heat: list[HeatRecord]
    heat_omitted: int
    mode: str
    exercise_id: str | None


def mode_of(forecast: Forecast) -> Mode:
    """Tell the lane of a forecast: what came from a drill stays in it."""
    return Mode.LIVE if forecast.origin is None else Mode.DRILL


def payload(forecast: Forecast, name: Callable[[str], Text], language: str) -> ForecastRecord:
    """Build the record; `name` gives the names of devices and areas."""
    outage, standing = forecast.outage, forecast.standing
    texts = marked(line(forecast, name), drilled=forecast.origin is not None)
    reasons = standing.reasons if standing is not None else ()
    return {
        "time": stamp(forecast.at),
        "short_text": texts[language],
        "texts": texts,
        "since": stamp(outage.since) if outage else None,
        "mains": outage.state if outage else None,
        "generator": outage.generator if outage else None,
        "window_opens": stamp(outage.opens) if outage else None,
        "window_closes": stamp(outage.closes) if outage else None,
        "generator_by": stamp(outage.until) if outage else None,
        "outlasts": outage.outlast if outage else None,
        "why": outage.why if outage else None,
        "margin": outage.margin if outage else None,
        "weakest": outage.ups if outage else None,
        "starts": forecast.starts.count,
        "start_median": forecast.starts.median,
        "start_slowest": forecast.starts.slowest,
        "batteries": [_battery(ride, forecast.at, name) for ride in forecast.rides[:MOST]],
        "batteries_omitted": max(0, len(forecast.rides) - MOST),
        "dark": [_dark(dark, forecast.at) for dark in forecast.dark[:MOST]],
        "dark_omitted": max(0, len(forecast.dark) - MOST),
        "readiness": standing.level if standing else None,
        "readiness_counts": {level.value: count for level, count in standing.counts.items()} if standing else {},
        "readiness_runtime": standing.runtime if standing else None,
        "reasons": [_reason(forecast, reason, language) for reason in reasons[:MOST]],
        "reasons_omitted": max(0, len(reasons) - MOST),
        "heat": [_heat(warm, forecast.at, name) for warm in forecast.heat[:MOST]],
        "heat_omitted": max(0, len(forecast.heat) - MOST),
        "mode": mode_of(forecast),
        "exercise_id": forecast.origin,
    }


def _battery(ride: Ride, at: float, name: Callable[[str], Text]) -> BatteryRecord:
    return {
        "ups": ride.ups,
        "names": _names(name(ride.ups)),
        "low": _rounded(ride.low),
        "high": _rounded(ride.high),
        "empty_from": _moment(at, ride.low),
        "empty_to": _moment(at, ride.high),
        "sources": list(ride.sources),
        "age": _rounded(ride.age),
        "reason": ride.gap,
        "charge": ride.charge,
        "load": ride.load,
    }


def _dark(dark: Dark, at: float) -> DarkRecord:
    return {
        "seats": list(dark.seats),
        "count": dark.count,
        "upses": list(dark.upses),
        "dark_from": _moment(at, dark.low),
        "dark_to": _moment(at, dark.high),
    }


def _reason(forecast: Forecast, reason: Reason, language: str) -> ReasonRecord:
    texts = marked(reason.text, drilled=forecast.origin is not None)
    return {
        "resource": reason.resource,
        "reason": reason.id,
        "level": reason.level,
        "text": texts[language],
        "texts": texts,
    }


def _heat(warm: Heat, at: float, name: Callable[[str], Text]) -> HeatRecord:
    return {
        "area": warm.area,
        "names": _names(name(warm.area)),
        "sensor": warm.sensor,
        "point": warm.point,
        "temperature": warm.now,
        "limit": warm.limit,
        "slope": warm.slope,
        "limit_from": _moment(at, warm.low),
        "limit_to": _moment(at, warm.high),
        "age": _rounded(warm.age),
        "reason": warm.gap,
    }


def _names(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _moment(at: float, span: float | None) -> str | None:
    return None if span is None else stamp(at + span)


# -- the line -------------------------------------------------------------------------------------------------

_HEADS: Final[Mapping[str, Text]] = {
    LOST: Text("Power out for {time}", "断电 {time}"),
    CIRCUIT_LOST: Text("Our own circuit out for {time}", "线路故障断电 {time}"),
}
_HEAD: Final = Text("Supply unclear for {time}", "供电状态不明 {time}")
_LASTS: Final = Text("UPS lasts about {left} more", "UPS 还可供电约 {left}")
_BATTERIES: Final[Mapping[Why, Text]] = {
    Why.NO_FIGURE: Text("nobody knows how long the UPS lasts", "UPS 剩余供电时间未知"),
    Why.NO_UPS: Text("no UPS reports to be on battery", "没有 UPS 报告电池供电"),
    Why.CARRYING: Text("the generator carries the load", "柴油机已带载"),
    Why.NOT_TAKEN: Text("the generator carries, yet {ups} is on battery", "柴油机已带载，但 {ups} 仍由电池供电"),
}
_FAILURES: Final[Mapping[str, Text]] = {
    "failed-to-start": Text("generator FAILED to start", "柴油机启动失败"),
    "failed-to-transfer": Text("generator did NOT take the load", "柴油机未能带载"),
    "idle": Text("generator is NOT starting", "柴油机没有启动"),
}
_UNREAD: Final = Text("generator cannot be read", "柴油机状态未知")
_NOT_CALLED: Final = Text("no generator starts for that", "柴油机不会为此启动")
_NO_GENERATOR: Final = Text("no generator is watched", "未监测到备用发电机")
_OPENS: Final = Text("generator window opens in {time}", "柴油机带载时段 {time}后开始")
_CLOSES: Final = Text("generator window closes in {time}", "柴油机带载时段还剩 {time}")
_OVER: Final = Text("generator window over for {time}", "柴油机带载时段已过 {time}")
_ANSWERS: Final[Mapping[Outlast, Text]] = {
    Outlast.YES: Text("battery outlasts it", "可撑到该时段结束"),
    Outlast.UNCLEAR: Text("battery may not outlast it", "未必能撑到该时段结束"),
    Outlast.NO: Text("battery does NOT outlast it", "撑不到该时段结束"),
}
_FIRST: Final = Text("first dark without it: {seats}", "柴油机若未带载，最先断电：{seats}")
_ALONE: Final = Text("{ups} is on battery", "{ups} 由电池供电")
_ALONE_LASTS: Final = Text("lasts about {left} more", "还可供电约 {left}")
_ALONE_UNKNOWN: Final = Text("nobody knows how long it lasts", "剩余供电时间未知")
_ALONE_FIRST: Final = Text("first dark: {seats}", "最先断电：{seats}")
_WARMS: Final = Text("{area} {now} °C, over {limit} °C in about {left}", "{area} {now} °C，约 {left}后超过 {limit} °C")
_WARM: Final = Text("{area} {now} °C, over its limit of {limit} °C", "{area} {now} °C，已超过限值 {limit} °C")
_STANDINGS: Final[Mapping[Readiness, Text]] = {
    Readiness.READY: Text("If the mains failed now: ready", "若此刻断电：已就绪"),
    Readiness.AT_RISK: Text("If the mains failed now: at risk, {why}", "若此刻断电：有风险，{why}"),
    Readiness.UNKNOWN: Text("If the mains failed now: unknown, {why}", "若此刻断电：无法判断，{why}"),
    Readiness.NOT_READY: Text("If the mains failed now: NOT ready, {why}", "若此刻断电：未就绪，{why}"),
}
_MORE: Final = Text(" … ({count} seats)", " …（共 {count} 席）")
_BETWEEN: Final = Text("; ", "；")


def line(forecast: Forecast, name: Callable[[str], Text]) -> Text:
    """Say it in one line for a screen: the outage, else a battery that gives out, else how it would go and the heat."""
    if forecast.outage is not None:
        return _outage(forecast, forecast.outage, name)
    if forecast.rides:
        weakest = forecast.rides[0]
        lasts = _ALONE_UNKNOWN if weakest.low is None else _about(_ALONE_LASTS, weakest.low)
        return _joined(_with(_ALONE, ups=name(weakest.ups)), lasts, *_seats(forecast, _ALONE_FIRST))
    told = [_warm(warm, name) for warm in forecast.heat if warm.low is not None][:1]
    standing = forecast.standing
    if standing is not None:
        why = standing.reasons[0].text if standing.reasons else Text("", "")
        told.append(_with(_STANDINGS[standing.level], why=why))
    return _joined(*told)


def _outage(forecast: Forecast, outage: Outage, name: Callable[[str], Text]) -> Text:
    head = _timed(_HEADS.get(outage.state, _HEAD), forecast.at - outage.since)
    weakest = next((ride for ride in forecast.rides if ride.ups == outage.ups), None)
    if outage.why in _BATTERIES:
        battery = _with(_BATTERIES[outage.why], ups=name(outage.ups or ""))
    else:
        battery = _LASTS if weakest is None or weakest.low is None else _about(_LASTS, weakest.low)
    told = [battery]
    if outage.why is Why.NO_WINDOW:
        told.append(_NO_GENERATOR if outage.generator == NO_GENERATOR else _NOT_CALLED)
    elif outage.why not in (Why.CARRYING, Why.NOT_TAKEN):
        told += _generator(outage, forecast.at)
    if outage.why is not Why.CARRYING:
        told += _seats(forecast, _FIRST)
    rest = _joined(*told)
    return Text(f"{head.en}: {rest.en}", f"{head.zh}：{rest.zh}")


def _generator(outage: Outage, at: float) -> list[Text]:
    """Say what is to be expected of the generator; for one that does not come there is no window to outlast."""
    if outage.generator in _FAILURES:
        return [_FAILURES[outage.generator]]
    told = [_UNREAD] if outage.generator == "unknown" else []
    told.append(_window(outage, at))
    if outage.outlast in _ANSWERS and outage.why is not Why.WINDOW_OVER:
        told.append(_ANSWERS[outage.outlast])
    return told


def _window(outage: Outage, at: float) -> Text:
    if at < outage.opens:
        return _timed(_OPENS, outage.opens - at)
    return _timed(_CLOSES, outage.closes - at) if at < outage.closes else _timed(_OVER, at - outage.closes)


def _seats(forecast: Forecast, text: Text) -> list[Text]:
    """Name the seats that go dark next, if anybody knows; those that are dark already have no UPS to wait for."""
    dark = next((dark for dark in forecast.dark if dark.upses and dark.low is not None), None)
    if dark is None:
        return []
    shown = ", ".join(dark.seats[:_MOST_RANGES])
    more = _MORE.format(count=dark.count) if len(dark.seats) > _MOST_RANGES else Text("", "")
    return [_with(text, seats=Text(shown + more.en, shown + more.zh))]


def _warm(warm: Heat, name: Callable[[str], Text]) -> Text:
    words = {"now": number(warm.now or 0.0), "limit": number(warm.limit or 0.0)}
    if not warm.low:
        return _with(_WARM, area=name(warm.area), **words)
    return _about(_with(_WARMS, area=name(warm.area), left=Text("{left}", "{left}"), **words), warm.low)


def _with(text: Text, **words: Text | str) -> Text:
    def fill(code: str) -> str:
        spoken = {key: word if isinstance(word, str) else getattr(word, code) for key, word in words.items()}
        filled: str = getattr(text, code).format(**spoken)
        return filled

    return Text(fill("en"), fill("zh"))


def _timed(text: Text, seconds: float) -> Text:
    return _with(text, time=Text(duration(seconds, "en"), duration(seconds, "zh")))


def _about(text: Text, seconds: float) -> Text:
    """Write an estimate no more exactly than it is, and never longer."""
    whole = int(seconds)
    minutes = int(seconds / _MINUTE)
    left = Text(f"{whole} s", f"{whole} 秒") if seconds < _EXACT else Text(f"{minutes} min", f"{minutes} 分钟")
    return _with(text, left=left)


def _joined(*texts: Text) -> Text:
    return Text(_BETWEEN.en.join(text.en for text in texts), _BETWEEN.zh.join(text.zh for text in texts))


PAYLOADS: Final[Mapping[str, type]] = {"forecast": ForecastRecord}
"""The type of each payload by name."""
