"""What the feed says of the forecast: the record, and the line that people read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from edgeagent.alarm import LONGEST
from edgeagent.catalog import Text
from edgeagent.forecast import Forecast
from edgeagent.forecastfeed import MOST, ForecastRecord, line, payload
from edgeagent.heat import Heat, NoHeat
from edgeagent.messages import LARGEST, dump
from edgeagent.outlast import Starts, weigh
from edgeagent.ridethrough import Gap, Ride, Source
from edgeagent.seatfeeds import Dark
from edgeagent.verdict import Part, Parts, Readiness, Reason, Standing

BASE = 1_750_000_000.0
RECORD = TypeAdapter(ForecastRecord)
NAMES = {"ups-a": Text("UPS A", "A 路 UPS"), "hall": Text("Hall", "座席大厅")}
WEAK = Ride("ups-a", 1330, 1500, (Source.DEVICE, Source.DISCHARGE), 1.0, charge=81, load=40)
FIRST = Dark(("a001..a020",), 20, ("ups-a",), 1330, 1500)
WARM = Heat("hall", "climate", "temperature", 25.0, 27.0, 2.0, 560, 700, 3.0)
RISK = Reason("ups-a", "load", Readiness.AT_RISK, Text("UPS A: load above 80 %", "A 路 UPS 负载率超过 80%"))


def name(id: str) -> Text:
    return NAMES.get(id, Text(id, id))


def outage(
    second: float, *rides: Ride, state: str = "lost", generator: str = "ordered", dark: tuple[Dark, ...] = (FIRST,),
    origin: str | None = None,
) -> Forecast:  # fmt: skip
    found = weigh(BASE, state, generator, Starts(), rides, BASE + second)
    return Forecast(BASE + second, found, rides=rides, dark=dark, origin=origin)


def calm(*reasons: Reason, heat: tuple[Heat, ...] = ()) -> Forecast:
    level = reasons[0].level if reasons else Readiness.READY
    return Forecast(BASE, standing=Standing(level, reasons, {}), heat=heat)


SHORT = replace(WEAK, low=100, high=120)
UNREAD = Ride("ups-a", gap=Gap.UNREADABLE)
LINES = {
    "before the window": (
        outage(250, WEAK),
        (
            "Power out for 4 min 10 s: UPS lasts about 22 min more; generator window opens in 2 min 50 "
            "s; battery outlasts it; first dark without it: a001..a020"
        ),
        (
            "断电 4 分 10 秒：UPS 还可供电约 22 分钟；柴油机带载时段 2 分 50 秒后开始；"
            "可撑到该时段结束；柴油机若未带载，最先断电：a001..a020"
        ),
    ),
    "in the window, too short": (
        outage(450, SHORT),
        (
            "Power out for 7 min 30 s: UPS lasts about 100 s more; generator window closes in 2 min 30 "
            "s; battery does NOT outlast it; first dark without it: a001..a020"
        ),
        (
            "断电 7 分 30 秒：UPS 还可供电约 100 秒；柴油机带载时段还剩 2 分 30 秒；"
            "撑不到该时段结束；柴油机若未带载，最先断电：a001..a020"
        ),
    ),
    "nobody knows": (
        outage(250, UNREAD, dark=()),
        "Power out for 4 min 10 s: nobody knows how long the UPS lasts; generator window opens in 2 min 50 s",
        "断电 4 分 10 秒：UPS 剩余供电时间未知；柴油机带载时段 2 分 50 秒后开始",
    ),
    "failed to start": (
        outage(250, WEAK, generator="failed-to-start"),
        (
            "Power out for 4 min 10 s: UPS lasts about 22 min more; generator FAILED to start; first dark without it: "
            "a001..a020"
        ),
        "断电 4 分 10 秒：UPS 还可供电约 22 分钟；柴油机启动失败；柴油机若未带载，最先断电：a001..a020",
    ),
    "generator cannot be read": (
        outage(250, WEAK, generator="unknown", dark=()),
        (
            "Power out for 4 min 10 s: UPS lasts about 22 min more; generator cannot be read; generator "
            "window opens in 2 min 50 s; battery outlasts it"
        ),
        "断电 4 分 10 秒：UPS 还可供电约 22 分钟；柴油机状态未知；柴油机带载时段 2 分 50 秒后开始；可撑到该时段结束",
    ),
    "the window is over": (
        outage(660, WEAK, generator="running"),
        (
            "Power out for 11 min: UPS lasts about 22 min more; generator window over for 1 min; first dark without "
            "it: a001..a020"
        ),
        "断电 11 分：UPS 还可供电约 22 分钟；柴油机带载时段已过 1 分；柴油机若未带载，最先断电：a001..a020",
    ),
    "our own circuit": (
        outage(30, WEAK, state="circuit-lost", generator="idle"),
        (
            "Our own circuit out for 30 s: UPS lasts about 22 min more; no generator starts for that; first dark "
            "without it: a001..a020"
        ),
        "线路故障断电 30 秒：UPS 还可供电约 22 分钟；柴油机不会为此启动；柴油机若未带载，最先断电：a001..a020",
    ),
    "not in auto": (
        outage(250, WEAK, generator="idle", dark=()),
        "Power out for 4 min 10 s: UPS lasts about 22 min more; generator is NOT starting",
        "断电 4 分 10 秒：UPS 还可供电约 22 分钟；柴油机没有启动",
    ),
    "no generator": (
        outage(250, WEAK, generator="none", dark=()),
        "Power out for 4 min 10 s: UPS lasts about 22 min more; no generator is watched",
        "断电 4 分 10 秒：UPS 还可供电约 22 分钟；未监测到备用发电机",
    ),
    "carrying": (
        outage(500, generator="carrying", dark=()),
        "Power out for 8 min 20 s: the generator carries the load",
        "断电 8 分 20 秒：柴油机已带载",
    ),
    "carrying, not taken": (
        outage(500, WEAK, generator="carrying", dark=()),
        "Power out for 8 min 20 s: the generator carries, yet UPS A is on battery",
        "断电 8 分 20 秒：柴油机已带载，但 A 路 UPS 仍由电池供电",
    ),
    "one ups alone": (
        Forecast(BASE, rides=(WEAK,), dark=(FIRST,)),
        "UPS A is on battery; lasts about 22 min more; first dark: a001..a020",
        "A 路 UPS 由电池供电；还可供电约 22 分钟；最先断电：a001..a020",
    ),
    "ready": (calm(), "If the mains failed now: ready", "若此刻断电：已就绪"),
    "at risk, and warm": (
        calm(RISK, heat=(WARM,)),
        "Hall 25 °C, over 27 °C in about 9 min; If the mains failed now: at risk, UPS A: load above 80 %",
        "座席大厅 25 °C，约 9 分钟后超过 27 °C；若此刻断电：有风险，A 路 UPS 负载率超过 80%",
    ),
    "too warm": (
        Forecast(BASE, heat=(replace(WARM, now=28.2, low=0, high=0),)),
        "Hall 28.2 °C, over its limit of 27 °C",
        "座席大厅 28.2 °C，已超过限值 27 °C",
    ),
    "nothing to say": (Forecast(BASE, heat=(replace(WARM, low=None, high=None, gap=NoHeat.STEADY),)), "", ""),
}


@pytest.mark.parametrize(("forecast", "en", "zh"), LINES.values(), ids=LINES)
def test_the_line_says_it_in_both_languages(forecast: Forecast, en: str, zh: str) -> None:
    record = payload(forecast, name, "zh")
    assert record["texts"] == {"en": en, "zh": zh}
    assert record["short_text"] == zh
    assert len(record["short_text"]) <= LONGEST


def test_many_ranges_of_seats_are_cut_short_and_counted() -> None:
    seats = ("a001..a020", "b1", "b3", "b5", "b7")
    told = line(Forecast(BASE, rides=(WEAK,), dark=(replace(FIRST, seats=seats, count=24),)), name)
    assert told.zh.endswith("最先断电：a001..a020, b1, b3 …（共 24 席）")
    assert told.en.endswith("a001..a020, b1, b3 … (24 seats)")


def test_seats_that_are_dark_already_are_not_said_to_go_dark() -> None:
    already = Dark(("guest-1",), 1, (), 0.0, 0.0)
    assert "guest-1" not in line(outage(10, WEAK, dark=(already, FIRST)), name).en


def test_the_record_gives_moments_and_not_only_spans() -> None:
    record = payload(outage(250, WEAK), name, "en")
    assert record["since"] == "2025-06-15T15:06:40.000Z"
    assert record["window_opens"] == "2025-06-15T15:13:40.000Z"
    assert record["window_closes"] == "2025-06-15T15:16:40.000Z"
    battery = record["batteries"][0]
    assert (battery["empty_from"], battery["empty_to"]) == ("2025-06-15T15:33:00.000Z", "2025-06-15T15:35:50.000Z")
    assert (battery["age"], battery["sources"], battery["reason"]) == (1.0, ["device", "discharge"], None)
    assert record["dark"][0]["dark_from"] == battery["empty_from"]
    assert (record["outlasts"], record["why"], record["margin"]) == ("yes", "reserve", 980.0)


def test_what_is_not_known_is_null_with_a_reason() -> None:
    record = payload(outage(250, UNREAD), name, "en")
    battery = record["batteries"][0]
    assert (battery["low"], battery["empty_from"], battery["reason"]) == (None, None, "unreadable")
    assert (record["outlasts"], record["margin"]) == ("unknown", None)
    calm = payload(Forecast(BASE, heat=(Heat("hall", "climate", "temperature", gap=NoHeat.STALE),)), name, "en")
    assert (calm["heat"][0]["limit_from"], calm["heat"][0]["reason"]) == (None, "stale")


def test_a_drill_can_never_be_taken_for_the_real_thing() -> None:
    record = payload(outage(250, WEAK, origin="drill-7"), name, "zh")
    assert (record["mode"], record["exercise_id"]) == ("drill", "drill-7")
    assert record["short_text"].startswith("演练 – ")
    assert record["texts"]["en"].startswith("EXERCISE – ")


@pytest.mark.parametrize("forecast", [each[0] for each in LINES.values()], ids=LINES)
def test_every_record_is_what_its_type_says(forecast: Forecast) -> None:
    record = RECORD.validate_json(dump({**payload(forecast, name, "en")}), strict=True)
    assert record.keys() == ForecastRecord.__annotations__.keys()


def test_a_thousand_upses_make_no_message_too_large() -> None:
    rides = tuple(replace(WEAK, ups=f"ups-{number:04}") for number in range(1000))
    parts = [Part(ride.ups, "ups", Readiness.AT_RISK, (replace(RISK, resource=ride.ups),), 600.0) for ride in rides]
    dark = tuple(replace(FIRST, upses=(ride.ups,)) for ride in rides)
    heat = tuple(replace(WARM, area=f"room-{number}") for number in range(500))
    forecast = Forecast(BASE, None, Starts(), rides, dark, Parts(parts).standing(), heat)
    record = payload(forecast, name, "zh")
    assert len(dump({**record})) < LARGEST
    assert (record["batteries_omitted"], record["dark_omitted"]) == (1000 - MOST, 1000 - MOST)
    assert (record["reasons_omitted"], record["heat_omitted"]) == (1001 - MOST, 500 - MOST)
    assert record["readiness_counts"] == {"at-risk": 1000}
