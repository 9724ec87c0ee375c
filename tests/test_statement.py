"""What is said of a device's readings in a short way, held against the slow way, which looks at all of them anew."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import resources, sitefiles
from edgeagent.messages import dump, stamp
from edgeagent.payloads import device_state
from edgeagent.readings import UNKNOWN_ENUM, Quality, Reading
from edgeagent.statement import Points, Statement

NOON: Final = 1_795_000_000.0
FACTORY: Final = sitefiles.load(Path(__file__).parent.parent / "config", resources.drivers())
UPS: Final = FACTORY.devices["ups-a"].driver.kind
NAMES: Final = ("output.load", "battery.charge", "source", "alarms", "reachable", "battery.runtime", "unheard-of")
VALUES: Final = st.one_of(
    st.integers(-5, 100), st.floats(-5, 100), st.booleans(), st.sampled_from(["normal", "battery"]),
    st.frozensets(st.sampled_from(["overload", "battery-low", "bypass"])),
)  # fmt: skip
TIMES: Final = st.sampled_from([NOON - 60.0, NOON, NOON + 0.05, NOON + 0.1, NOON + 1.0])
ORIGINS: Final = st.sampled_from([None, None, None, "drill-1"])
GOODS: Final = st.builds(Reading, VALUES, TIMES, origin=ORIGINS)
ODD: Final = st.one_of(
    st.builds(Reading.bad,
              st.sampled_from(["absent", "not-fitted", "timeout", "sentinel"]), TIMES, ORIGINS),
    st.builds(lambda at: Reading("other", at, Quality.UNCERTAIN, UNKNOWN_ENUM), TIMES),
    st.builds(lambda at: Reading(False, at, Quality.GOOD, "timeout"), TIMES),
)  # fmt: skip
STEPS: Final = st.lists(st.dictionaries(st.sampled_from(NAMES), GOODS | GOODS | GOODS | ODD), min_size=1, max_size=8)
OBSERVED: Final = st.none() | TIMES


def slowly(readings: dict[str, Reading], now: float, observed: float | None) -> bytes:
    """Say it as if nothing had been said before."""
    shown = {id: reading for id, reading in readings.items() if reading.reason not in ("absent", "not-fitted")}
    units = {id: point.unit for id in shown if (point := UPS.point(id)) is not None and point.unit is not None}
    newest = max((reading.time for reading in shown.values()), default=now)
    return dump(device_state(shown, units, newest, observed))


@given(STEPS, st.lists(OBSERVED, min_size=8, max_size=8))
def test_what_goes_on_from_the_last_message_is_what_is_said_from_nothing(
    steps: list[dict[str, Reading]], observed: list[float | None]
) -> None:
    statement, known, readings = Statement("t"), Points(UPS), dict[str, Reading]()
    for index, changed in enumerate(steps):
        readings.update(changed)
        now = NOON + index
        assert statement.body(readings, known, now, observed[index]) == slowly(readings, now, observed[index])
        assert all(statement.told(id) is reading for id, reading in readings.items())


def test_another_mapping_of_readings_is_said_from_nothing() -> None:
    statement, known = Statement("t"), Points(UPS)
    first, second = {"output.load": Reading(1, NOON)}, {"battery.charge": Reading(2, NOON)}
    for readings in (first, second, first):
        assert statement.body(readings, known, NOON, NOON) == slowly(readings, NOON, NOON)


def test_units_that_a_configuration_changed_are_said() -> None:
    statement, readings = Statement("t"), {"output.load": Reading(1, NOON)}
    cooler = next(device for device in FACTORY.devices.values() if device.driver.kind.id == "hvac").driver.kind
    assert b'"units":{"output.load":"%"}' in statement.body(readings, Points(UPS), NOON, NOON)
    assert b'"units":{}' in statement.body(readings, Points(cooler), NOON, NOON)


@given(st.floats(-4e9, 4e9))
@pytest.mark.parametrize("shift", [0.0, 0.0004, 0.0005, 0.9995, 0.99951])
def test_a_time_is_written_as_the_calendar_writes_it(shift: float, at: float) -> None:
    for moment in (at, round(at) + shift):
        text = datetime.fromtimestamp(round(moment, 3), UTC).isoformat(timespec="milliseconds")
        assert stamp(moment) == text.replace("+00:00", "Z")
