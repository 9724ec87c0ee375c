"""How long a battery lasts: discharges made by hand, devices that lie, devices that fall silent."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.outlast import Outage, Outlast, Starts, Why, weigh
from edgeagent.readings import UNVERIFIED, Quality, Reading, Value
from edgeagent.ridethrough import FLAG_LASTS, ON_BATTERY, Battery, Discharge, Gap, Ride, Source
from edgeagent.trend import STALE

BASE = 1_750_000_000.0
KIND = Path(__file__).parent.parent / "drivers/ups/kind.toml"


class Ups:
    """One UPS, played second by second."""

    def __init__(self) -> None:
        self.battery = Battery("ups-a")
        self.readings: dict[str, Reading] = {}

    def say(self, second: float, reason: str = "timeout", /, **values: Value | None) -> bool:
        """Let it say some points, with `_` for the dots; None is bad for a reason."""
        now = BASE + second
        for word, value in values.items():
            point = word.replace("_", ".")
            self.readings[point] = Reading.bad(reason, now) if value is None else Reading(value, now)
        return self.battery.take(self.readings, now)

    def ride(self, second: float) -> Ride:
        return self.battery.ride(BASE + second)

    def drain(
        self, until: float, charge: Callable[[float], float], runtime: Callable[[float], float] | None = None,
        step: float = 2.0, load: float = 40.0,
    ) -> None:  # fmt: skip
        """Run down from second 0 on, as the functions of time say."""
        second = 0.0
        while second <= until:
            told: dict[str, Value | None] = {"battery_charge": round(charge(second)), "output_load": load}
            if runtime is not None:
                told["battery_runtime"] = float(runtime(second))
            self.say(second, source="battery", **told)
            second += step


def linear(minutes: float, full: float = 100.0) -> Callable[[float], float]:
    return lambda second: full - full * second / (60 * minutes)


def test_without_a_word_from_the_ups_there_is_no_forecast() -> None:
    ride = Ups().ride(0)
    assert (ride.low, ride.high, ride.gap, ride.age) == (None, None, Gap.UNREADABLE, None)


def test_its_own_figure_counts_down_from_when_it_was_first_said() -> None:
    ups = Ups()
    ups.say(0, source="battery", battery_runtime=1200)
    assert ups.ride(0).low == 1200
    ups.say(40, source="battery", battery_runtime=1200)
    ride = ups.ride(40)
    assert (ride.low, ride.high, ride.sources, ride.age) == (1160, 1200, (Source.DEVICE,), 0)
    ups.say(60, battery_runtime=1140)
    assert ups.ride(60).low == 1140


def test_a_figure_that_was_there_on_mains_counts_from_the_loss_on() -> None:
    ups = Ups()
    ups.say(0, source="normal", battery_runtime=2400)
    ups.say(5000, source="battery")
    assert ups.ride(5000).low == 2400
    assert ups.ride(5030).low == 2370


def test_a_figure_that_stands_still_is_not_believed_to() -> None:
    ups = Ups()
    for second in range(0, 1200, 2):
        ups.say(second, source="battery", battery_runtime=1800)
    assert ups.ride(1200).low == 600


def test_an_observed_discharge_needs_three_percent_and_a_minute() -> None:
    ups = Ups()
    ups.drain(50, linear(10))
    assert ups.ride(50).gap is Gap.NO_FIGURE
    ups.drain(90, linear(10))
    assert Source.DISCHARGE in ups.ride(90).sources
    slow = Ups()
    slow.drain(300, linear(300))
    assert slow.ride(300).gap is Gap.NO_FIGURE


@pytest.mark.parametrize("minutes", [8, 20, 45, 120])
def test_the_truth_of_a_linear_discharge_lies_in_the_range(minutes: float) -> None:
    """The low end leads to 10 % of charge, the high end to nothing."""
    ups = Ups()
    ups.drain(minutes * 24, linear(minutes))
    ride = ups.ride(minutes * 24)
    left, floor = minutes * 36, minutes * 30
    assert ride.low is not None
    assert ride.high is not None
    assert ride.low <= left <= ride.high
    assert 0.75 * floor <= ride.low <= 1.05 * floor


def test_a_noisy_charge_gives_much_the_same() -> None:
    for seed in range(5):
        noise, ups = Random(seed), Ups()
        ups.drain(480, lambda second, noise=noise: linear(20)(second) + noise.gauss(0, 1.5))  # type: ignore[misc]
        ride = ups.ride(480)
        assert ride.low is not None
        assert ride.high is not None
        assert 0.5 * 600 <= ride.low <= 720 <= ride.high


def test_a_wild_value_in_between_moves_nothing_much() -> None:
    calm, wild = Ups(), Ups()
    calm.drain(480, linear(20))
    wild.drain(480, lambda second: 5 if second == 300 else linear(20)(second))
    assert wild.ride(480).low == pytest.approx(calm.ride(480).low, rel=0.1)


def test_a_device_whose_figure_lies_high_is_overruled_by_what_is_seen() -> None:
    ups = Ups()
    ups.drain(300, linear(15), runtime=lambda second: 3600 - second)
    ride = ups.ride(300)
    assert set(ride.sources) == {Source.DEVICE, Source.DISCHARGE}
    assert ride.low is not None
    assert ride.high is not None
    assert ride.low <= 510
    assert ride.high < 1200


def test_a_device_whose_figure_lies_low_is_believed() -> None:
    ups = Ups()
    ups.drain(300, linear(60), runtime=lambda second: 400 - second)
    assert ups.ride(300).low == pytest.approx(100)


def test_a_discharge_that_gets_faster_is_followed() -> None:
    """Peukert-like: what is left sinks ever faster, and the last minutes count, not the whole."""

    def charge(second: float) -> float:
        return 100 - 100 * math.pow(second / 1200, 1.6)

    ups = Ups()
    ups.drain(900, charge)
    ride = ups.ride(900)
    assert ride.low is not None
    assert ride.low <= 300
    assert ride.low >= 120


def test_shed_load_shows_within_minutes() -> None:
    def charge(second: float) -> float:
        return 100 - second / 12 if second <= 300 else 75 - (second - 300) / 36

    ups = Ups()
    ups.drain(900, charge)
    ride = ups.ride(900)
    assert ride.low is not None
    assert ride.low > 1000


def test_a_stuck_charge_is_no_discharge() -> None:
    ups = Ups()
    ups.drain(600, lambda _: 100, runtime=lambda second: 1800 - second)
    assert ups.ride(600).sources == (Source.DEVICE,)
    alone = Ups()
    alone.drain(600, lambda _: 100)
    assert alone.ride(600).gap is Gap.NO_FIGURE


def test_a_charge_that_sticks_half_way_is_not_taken_for_a_full_stop() -> None:
    ups = Ups()
    ups.drain(300, linear(15))
    rate_low = ups.ride(300).low
    ups.drain(420, lambda second: linear(15)(min(second, 300)))
    assert rate_low is not None
    later = ups.ride(420)
    assert later.low is None or later.low <= rate_low * 2.5


@pytest.mark.parametrize("reason", ["sentinel", "out-of-range", "implausible", "absent", "not-fitted"])
def test_a_figure_that_the_device_takes_back_is_gone_at_once(reason: str) -> None:
    ups = Ups()
    ups.say(0, source="battery", battery_runtime=1200)
    ups.say(2, reason, battery_runtime=None)
    assert ups.ride(2).gap is Gap.NO_FIGURE


def test_a_doubtful_figure_counts_for_nothing_and_an_unverified_one_does() -> None:
    ups = Ups()
    ups.readings["battery.runtime"] = Reading(1200, BASE, Quality.UNCERTAIN, "implausible")
    ups.say(0, source="battery")
    assert ups.ride(0).gap is Gap.NO_FIGURE
    ups.readings["battery.runtime"] = Reading(1200, BASE, Quality.UNCERTAIN, UNVERIFIED)
    ups.say(1)
    assert ups.ride(1).low is not None


def test_a_ups_that_falls_silent_is_counted_on_for_a_minute_and_no_longer() -> None:
    ups = Ups()
    ups.say(0, source="battery", battery_runtime=1200, battery_charge=90)
    ups.say(2, source=None, battery_runtime=None, battery_charge=None)
    ride = ups.ride(30)
    assert (ride.low, ride.age) == (1170, 30)
    assert ups.ride(STALE + 1).gap is Gap.UNREADABLE
    ups.say(90, source="battery", battery_runtime=1000)
    assert ups.ride(90).low == 1000


def test_what_is_not_asked_any_more_goes_stale_where_somebody_knows_when_it_answered() -> None:
    ups = Ups()
    ups.say(0, source="battery", battery_runtime=1200)
    assert ups.battery.ride(BASE + 40, observed=BASE).low == 1160
    assert Battery("x").ride(BASE, observed=BASE).gap is Gap.NO_FIGURE
    fresh = Battery("x")
    fresh.take(ups.readings, BASE, BASE)
    assert fresh.ride(BASE + 61, BASE).gap is Gap.UNREADABLE


FLAGS = [{"battery_status": "low"}, {"battery_status": "depleted"}, {"alarms": frozenset({"battery-low"})},
         {"alarms": frozenset({"battery-low.shutdown"})}, {"alarms": frozenset({"shutdown-imminent"})}]  # fmt: skip


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: str(next(iter(flag.values()))))
def test_the_low_battery_flag_always_wins(flag: dict[str, Value | None]) -> None:
    ups = Ups()
    ups.drain(300, linear(60), runtime=lambda second: 3600 - second)
    ups.say(300, **flag)
    ride = ups.ride(300)
    assert (ride.low, ride.high) == (FLAG_LASTS, FLAG_LASTS)
    assert Source.FLAG in ride.sources
    assert ups.ride(350).low == FLAG_LASTS - 50


def test_a_lower_figure_goes_below_the_flag() -> None:
    ups = Ups()
    ups.say(0, source="battery", battery_runtime=45, battery_status="low")
    assert ups.ride(0).low == 45


def test_the_flag_outlives_the_connection() -> None:
    ups = Ups()
    ups.say(0, source="battery", battery_runtime=900, battery_status="low")
    ups.say(2, source=None, battery_runtime=None, battery_status=None)
    ride = ups.ride(100)
    assert (ride.low, ride.sources, ride.gap) == (20, (Source.FLAG,), None)


def test_a_flag_that_is_taken_back_gives_way() -> None:
    ups = Ups()
    ups.say(0, source="battery", battery_runtime=900, battery_status="low")
    ups.say(2, battery_status="normal")
    assert ups.ride(2).low == 898


def test_a_discharge_is_remembered_and_the_next_one_reckons_with_it_until_it_shows_itself() -> None:
    ups = Ups()
    ups.drain(300, linear(20), load=40)
    assert ups.say(302, source="normal", battery_charge=75)
    assert ups.battery.last is not None
    assert ups.battery.last.per_minute == pytest.approx(5.0, rel=0.05)
    assert ups.battery.last.load == 40
    ups.say(50_000, source="battery", battery_charge=100, output_load=40)
    ride = ups.ride(50_000)
    assert ride.sources == (Source.HISTORY,)
    assert ride.low == pytest.approx(18 * 60, rel=0.05)
    ups.say(50_002, output_load=80)
    harder = ups.ride(50_002)
    assert harder.low is not None
    assert ride.low is not None
    assert harder.low < ride.low / 2


@pytest.mark.parametrize(
    ("seconds", "drop"), [(10, 6), (300, 1)], ids=["a self-test of ten seconds", "a full battery, hardly touched"]
)
def test_what_tells_nothing_is_not_remembered(seconds: float, drop: float) -> None:
    ups = Ups()
    ups.say(0, source="test", battery_charge=100, output_load=40)
    ups.say(seconds - 1, battery_charge=100 - drop)
    assert not ups.say(seconds, source="normal")
    assert ups.battery.last is None


def test_a_discharge_with_a_hole_in_it_is_not_remembered() -> None:
    ups = Ups()
    ups.drain(100, linear(20))
    ups.say(102, source=None, battery_charge=None, output_load=None)
    assert not ups.say(4000, source="normal", battery_charge=60)
    assert ups.battery.last is None


def test_a_discharge_of_long_ago_or_at_no_known_load_tells_nothing() -> None:
    last = Discharge(BASE, 5.0, 300, 40)
    assert last.lasts(100, 40, BASE + 86400) is not None
    assert last.lasts(100, 40, BASE + 500 * 86400) is None
    assert last.lasts(100, None, BASE) is None
    assert replace(last, load=None).lasts(100, 40, BASE) is None


def test_how_long_it_would_last_is_the_lower_of_its_word_and_its_past() -> None:
    ups = Ups()
    ups.say(0, source="normal", battery_charge=100, battery_runtime=3600, output_load=40)
    assert ups.battery.standing(BASE) == 3600
    ups.battery.last = Discharge(BASE - 86400, 9.0, 300, 40)
    assert ups.battery.standing(BASE) == 600
    ups.say(1, "sentinel", battery_runtime=None)
    assert ups.battery.standing(BASE) == 600
    assert Battery("x").standing(BASE) is None


def test_a_battery_test_is_not_on_battery() -> None:
    ups = Ups()
    ups.say(0, source="battery", alarms=frozenset({"testing", "on-battery"}), input_voltage=230)
    assert ups.battery.on is False
    ups.say(2, input_voltage=0)
    assert ups.battery.on is True


def test_what_is_on_battery_is_what_the_alarm_calls_so() -> None:
    kind = tomllib.loads(KIND.read_text(encoding="utf-8"))
    assert ON_BATTERY.text == " ".join(kind["alarms"]["on-battery"]["when"].split())


def test_a_stepped_clock_changes_no_forecast() -> None:
    ups = Ups()
    ups.drain(300, linear(20), runtime=lambda second: 1200 - second)
    before = ups.ride(300)
    ups.battery.shift(7200)
    assert ups.ride(7500) == before


def test_a_drill_marks_the_forecast() -> None:
    ups = Ups()
    ups.readings["source"] = Reading("battery", BASE, origin="drill-7")
    ups.say(0, battery_runtime=1200)
    assert ups.ride(0).origin == "drill-7"


values = st.one_of(st.none(), st.floats(0, 100))
words = st.fixed_dictionaries({
    "source": st.sampled_from([None, "battery", "normal", "test"]),
    "battery_charge": values,
    "battery_runtime": st.one_of(st.none(), st.floats(0, 4000)),
    "output_load": values,
    "battery_status": st.sampled_from([None, "normal", "low"]),
})  # fmt: skip


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from(["timeout", "sentinel"]), words), max_size=60))
def test_a_range_is_never_the_wrong_way_round_and_never_made_of_nothing(
    story: list[tuple[int, str, dict[str, Value | None]]],
) -> None:
    ups, second = Ups(), 0
    for wait, reason, told in story:
        second += wait
        ups.say(second, reason, **told)
        ride = ups.ride(second)
        assert (ride.low is None) is (ride.high is None) is (ride.gap is not None)
        if ride.low is not None and ride.high is not None:
            assert 0 <= ride.low <= ride.high
            assert ride.sources
        if Source.FLAG in ride.sources:
            assert ride.high is not None
            assert ride.high <= FLAG_LASTS


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 9)), max_size=30), st.sampled_from(["sentinel", "error"]))
def test_bad_readings_never_make_a_forecast(story: list[tuple[int, int]], reason: str) -> None:
    ups, second = Ups(), 0
    for charge, wait in story:
        second += wait
        ups.say(second, source="battery", battery_charge=charge)
    ups.say(second + 1, reason, battery_charge=None, battery_runtime=None)
    assert ups.ride(second + 1).low is None


# -- against the window ---------------------------------------------------------------------------------------


def rides(*spans: tuple[float, float] | None) -> list[Ride]:
    """Batteries from their ranges, the weakest first as the forecast has them."""
    made = [
        Ride(f"ups-{index}", gap=Gap.UNREADABLE) if span is None else Ride(f"ups-{index}", *span)
        for index, span in enumerate(spans)
    ]
    return sorted(made, key=lambda ride: (ride.low is None, ride.low or 0.0))


def ask(
    second: float, *spans: tuple[float, float] | None, generator: str = "ordered", state: str = "lost",
    starts: Starts = Starts(),  # noqa: B008 - frozen
) -> Outage:  # fmt: skip
    return weigh(BASE, state, generator, starts, rides(*spans), BASE + second)


ANSWERS = {
    "lasts": (100, [(500, 700)], "cranking", Outlast.YES, Why.RESERVE, 0),
    "does not": (100, [(300, 400)], "ordered", Outlast.NO, Why.RESERVE, -200),
    "may": (100, [(450, 700)], "running", Outlast.UNCLEAR, Why.RESERVE, -50),
    "the weakest counts": (100, [(900, 990), (300, 400)], "ordered", Outlast.NO, Why.RESERVE, -200),
    "one that nobody can read": (100, [(900, 990), None], "ordered", Outlast.UNKNOWN, Why.NO_FIGURE, None),
    "none can be read": (100, [None], "ordered", Outlast.UNKNOWN, Why.NO_FIGURE, None),
    "a no is a no beside it": (100, [(300, 400), None], "ordered", Outlast.NO, Why.RESERVE, -200),
    "no battery known": (100, [], "ordered", Outlast.UNKNOWN, Why.NO_UPS, None),
    "failed to start": (100, [(5000, 6000)], "failed-to-start", Outlast.UNCLEAR, Why.GENERATOR_FAILED, 4500),
    "failed and short": (100, [(100, 200)], "failed-to-start", Outlast.NO, Why.RESERVE, -400),
    "not in auto": (100, [(5000, 6000)], "idle", Outlast.UNCLEAR, Why.NOT_ORDERED, 4500),
    "there is none": (100, [(5000, 6000)], "none", Outlast.UNKNOWN, Why.NO_WINDOW, None),
    "window over": (601, [(5000, 6000)], "running", Outlast.UNCLEAR, Why.WINDOW_OVER, None),
    "generator unreadable": (100, [(500, 700)], "unknown", Outlast.YES, Why.RESERVE, 0),
    "carries": (490, [], "carrying", Outlast.YES, Why.CARRYING, None),
    "carries, not taken": (490, [(900, 990)], "carrying", Outlast.UNCLEAR, Why.NOT_TAKEN, None),
}


@pytest.mark.parametrize(("second", "spans", "generator", "answer", "why", "margin"), ANSWERS.values(), ids=ANSWERS)
def test_the_weakest_battery_is_held_against_the_close_of_the_window(
    second: float, spans: Iterable[tuple[float, float] | None], generator: str, answer: Outlast, why: Why,
    margin: float | None,
) -> None:  # fmt: skip
    outage = ask(second, *spans, generator=generator)
    assert (outage.outlast, outage.why, outage.margin) == (answer, why, margin)
    assert (outage.opens, outage.closes) == (BASE + 420, BASE + 600)


def test_no_generator_starts_for_our_own_circuit() -> None:
    outage = ask(100, (900, 990), generator="idle", state="circuit-lost")
    assert (outage.outlast, outage.why) == (Outlast.UNKNOWN, Why.NO_WINDOW)


def test_a_generator_that_takes_longer_as_a_rule_is_waited_for() -> None:
    outage = ask(0, (700, 750), starts=Starts(5, 800, 900))
    assert (outage.outlast, outage.until, outage.closes) == (Outlast.NO, BASE + 800, BASE + 600)
    assert ask(0, (700, 750), starts=Starts(5, 300, 900)).outlast is Outlast.YES


RANK = {Outlast.YES: 0, Outlast.UNCLEAR: 1, Outlast.UNKNOWN: 2, Outlast.NO: 3}
spans = st.tuples(st.floats(0, 2000), st.floats(0, 2000)).map(lambda pair: (min(pair), max(pair)))
generators = st.sampled_from(["idle", "ordered", "cranking", "running", "failed-to-start", "unknown"])


@given(st.lists(spans, min_size=1, max_size=4), st.floats(0, 900), st.floats(0, 500), generators, st.integers(0, 3))
def test_a_worse_battery_or_a_failed_generator_never_gives_a_better_answer(
    given_spans: list[tuple[float, float]], second: float, less: float, generator: str, which: int
) -> None:
    before = ask(second, *given_spans, generator=generator)
    worse = list(given_spans)
    at = which % len(worse)
    worse[at] = (max(0.0, worse[at][0] - less), max(0.0, worse[at][1] - less))
    assert RANK[ask(second, *worse, generator=generator).outlast] >= RANK[before.outlast]
    for failed in ("failed-to-start", "failed-to-transfer", "idle"):
        assert RANK[ask(second, *given_spans, generator=failed).outlast] >= RANK[before.outlast]
    unread = ask(second, *given_spans, None, generator=generator)
    assert RANK[unread.outlast] >= RANK[before.outlast]
