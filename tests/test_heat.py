"""When a room is too warm: rooms that warm, wobble, cool and lose their sensor."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.heat import RETURN, TEMPERATURE, Heat, NoHeat, Sensor, worst
from edgeagent.readings import Reading, Value

BASE = 1_750_000_000.0


class Room:
    """One sensor, read every 10 s."""

    def __init__(self, limit: float | None = 27.0, device: str = "climate", point: str = TEMPERATURE) -> None:
        self.sensor = Sensor(device, point, "hall", limit)
        self.point = point
        self.readings: dict[str, Reading] = {}

    def say(self, second: float, value: float | None, reason: str = "timeout", **others: Value) -> None:
        now = BASE + second
        self.readings |= {point: Reading(other, now) for point, other in others.items()}
        self.readings[self.point] = Reading.bad(reason, now) if value is None else Reading(value, now)
        self.sensor.take(self.readings, now)

    def warm(self, start: float, until: float, degrees: Callable[[float], float]) -> None:
        second = start
        while second <= until:
            self.say(second, round(degrees(second), 1))
            second += 10

    def heat(self, second: float) -> Heat:
        return self.sensor.heat(BASE + second)


def rising(per_ten_minutes: float, start: float = 23.0) -> Callable[[float], float]:
    return lambda second: start + per_ten_minutes * second / 600


def test_a_room_that_warms_reaches_its_limit_when_its_slope_says() -> None:
    room = Room()
    room.warm(0, 600, rising(2))
    heat = room.heat(600)
    assert (heat.now, heat.limit, heat.gap) == (25.0, 27.0, None)
    assert heat.slope == pytest.approx(2, abs=0.1)
    assert heat.low is not None
    assert heat.high is not None
    assert heat.low <= 600 <= heat.high
    assert heat.high - heat.low < 200


def test_noise_widens_the_range_and_does_not_move_it_away() -> None:
    for seed in range(5):
        noise, room = Random(seed), Room()
        room.warm(0, 600, lambda second, noise=noise: rising(2)(second) + noise.gauss(0, 0.1))  # type: ignore[misc]
        heat = room.heat(600)
        assert heat.low is not None
        assert heat.high is not None
        assert heat.low <= 650
        assert heat.high >= 550


@pytest.mark.parametrize("slope", [0.0, 0.1, -2.0], ids=["still", "hardly", "cooling"])
def test_a_room_that_does_not_clearly_warm_has_no_forecast(slope: float) -> None:
    room = Room()
    room.warm(0, 600, rising(slope))
    heat = room.heat(600)
    assert (heat.low, heat.gap) == (None, NoHeat.STEADY)


def test_a_room_that_only_wobbles_has_no_forecast() -> None:
    room = Room()
    room.warm(0, 600, lambda second: 23.0 + (second // 10) % 2 * 0.4)
    assert room.heat(600).gap is NoHeat.STEADY


def test_a_room_over_its_limit_is_so_now_with_no_history_at_all() -> None:
    room = Room()
    room.say(0, 27.5)
    assert (room.heat(0).low, room.heat(0).high) == (0, 0)


def test_three_minutes_must_be_watched_before_anything_is_said() -> None:
    room = Room()
    room.warm(0, 170, rising(4))
    assert room.heat(170).gap is NoHeat.SHORT
    room.warm(180, 200, rising(4))
    assert room.heat(200).low is not None


def test_a_sensor_that_dies_in_the_middle_ends_the_forecast_within_a_minute_and_begins_anew_when_it_is_back() -> None:
    room = Room()
    room.warm(0, 600, rising(2))
    room.say(610, None)
    assert room.heat(640).low is not None
    dead = room.heat(661 + 10)
    assert (dead.low, dead.now, dead.gap) == (None, None, NoHeat.STALE)
    room.warm(900, 1000, rising(2))
    assert room.heat(1000).gap is NoHeat.SHORT
    room.warm(1010, 1100, rising(2))
    assert room.heat(1100).low is not None


@pytest.mark.parametrize("reason", ["sensor-fault", "sentinel", "out-of-range"])
def test_a_sensor_that_calls_itself_broken_ends_it_at_once(reason: str) -> None:
    room = Room()
    room.warm(0, 600, rising(2))
    room.say(610, None, reason)
    assert (room.heat(610).now, room.heat(610).gap) == (None, NoHeat.STALE)


def test_a_sensor_that_is_no_longer_asked_goes_stale_where_somebody_knows() -> None:
    room = Room()
    room.warm(0, 600, rising(2))
    assert room.sensor.heat(BASE + 650, BASE + 600).low is not None
    assert room.sensor.heat(BASE + 670, BASE + 600).gap is NoHeat.STALE


def test_without_a_limit_only_the_slope_is_told() -> None:
    room = Room(limit=None)
    room.warm(0, 600, rising(2))
    heat = room.heat(600)
    assert (heat.low, heat.gap) == (None, NoHeat.NO_LIMIT)
    assert heat.slope == pytest.approx(2, abs=0.1)


def test_the_return_air_of_a_unit_that_stands_still_says_nothing_of_the_room() -> None:
    unit = Room(point=RETURN)
    unit.say(0, 24.0, running=True)
    assert unit.heat(0).now == 24.0
    unit.say(10, 24.0, running=False, fan=False, state="off")
    assert (unit.heat(10).now, unit.heat(10).gap) == (None, NoHeat.IDLE)
    unknown = Room(point=RETURN)
    unknown.say(0, 24.0)
    assert unknown.heat(0).gap is NoHeat.IDLE


def pick(*rooms: Room, second: float = 600) -> Heat:
    found = worst((room.sensor, room.heat(second)) for room in rooms)
    assert found is not None
    return found


def test_of_several_sensors_the_one_that_reaches_its_limit_first_speaks() -> None:
    slow, fast = Room(device="slow"), Room(device="fast", point="temperature.rear")
    slow.warm(0, 600, rising(1))
    fast.warm(0, 600, rising(3))
    assert pick(slow, fast).sensor == "fast"


def test_return_air_stands_in_for_a_room_sensor_that_is_dead_and_only_then() -> None:
    sensor, unit = Room(device="climate"), Room(device="crac", point=RETURN)
    unit.readings["running"] = Reading(True, BASE)
    unit.warm(0, 600, rising(4))
    sensor.warm(0, 600, rising(1))
    assert pick(sensor, unit).sensor == "climate"
    sensor.say(610, None, "sensor-fault")
    assert pick(sensor, unit).sensor == "crac"


def test_an_area_of_which_nothing_can_be_read_says_so() -> None:
    assert pick(Room()).gap is NoHeat.STALE
    assert worst(()) is None


def test_a_stepped_clock_changes_no_forecast() -> None:
    room = Room()
    room.warm(0, 600, rising(2))
    before = room.heat(600)
    room.sensor.shift(-3600)
    after = room.heat(-3000)
    assert after.low == pytest.approx(before.low)
    assert after.gap is None


@given(st.lists(st.tuples(st.integers(1, 90), st.one_of(st.none(), st.floats(-20, 60)))))
def test_a_range_is_never_the_wrong_way_round_and_never_made_of_nothing(
    story: list[tuple[int, float | None]],
) -> None:
    room, second = Room(), 0
    for wait, value in story:
        second += wait
        room.say(second, value)
        heat = room.heat(second)
        assert (heat.low is None) is (heat.high is None) is (heat.gap is not None)
        if heat.low is not None and heat.high is not None:
            assert 0 <= heat.low <= heat.high
            assert heat.now is not None
