"""What a site says of drills and shifts: hours as people write them, and what is wrong with others."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgeagent.catalog import Text
from edgeagent.drillsettings import DrillsEntry, ShiftEntry, hours, shifts_of
from edgeagent.scenario import DrillSettings, Hours, Shift

EVERY = frozenset(range(7))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("08:00-20:00", Hours(480, 1200, EVERY), id="every day"),
        pytest.param("mon-fri 09:00-11:30", Hours(540, 690, frozenset(range(5))), id="some days"),
        pytest.param("sat,sun 00:00-24:00", Hours(0, 1440, frozenset({5, 6})), id="whole days"),
        pytest.param("fri-mon 22:00-06:00", Hours(1320, 360, frozenset({4, 5, 6, 0})), id="over the week's end"),
        pytest.param(
            "Mon-Tue, thu 9:00-11:00".replace("9:", "09:"), Hours(540, 660, frozenset({0, 1, 3})), id="a list"
        ),
        pytest.param(" wed 12:00 - 13:00 ", Hours(720, 780, frozenset({2})), id="blanks"),
    ],
)
def test_hours_are_read_as_people_write_them(text: str, expected: Hours) -> None:
    assert hours(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "9-17", '"9-17" is no time of day; write "08:00-20:00" or "mon-fri 09:00-11:30"', id="hours alone"
        ),
        pytest.param(9, '"9" is no time of day', id="a number"),
        pytest.param("24:00-08:00", "a day goes from 00:00 to 24:00", id="begins at 24"),
        pytest.param("08:00-24:01", "a day goes from 00:00 to 24:00", id="ends after 24"),
        pytest.param("08:00-08:00", 'takes no time; the whole day is "00:00-24:00"', id="no time"),
        pytest.param("mo-fri 08:00-09:00", 'unknown day "mo", did you mean "mon"?', id="day"),
        pytest.param("mon, 08:00-09:00", 'unknown day ""', id="comma too many"),
    ],
)
def test_other_hours_are_told_what_is_wrong_with_them(text: object, told: str) -> None:
    with pytest.raises(ValueError, match=r"24:00|no time|unknown day") as caught:
        hours(text)
    assert told in str(caught.value)


def test_hours_past_midnight_belong_to_the_day_on_which_they_begin() -> None:
    night = hours("sat 22:00-06:00")
    assert [night.holds(day, minute) for day, minute in ((5, 1380), (6, 300), (6, 1380), (5, 300))] == [
        True, True, False, False,
    ]  # fmt: skip


def test_a_site_that_says_nothing_has_careful_settings() -> None:
    assert DrillsEntry().settings() == DrillSettings((), second_person=True, speed=1)


def test_settings_and_shifts_become_a_model() -> None:
    entry = DrillsEntry.model_validate({"blocked": ["mon 09:00-10:00"], "second_person": False, "speed": 10})
    assert entry.settings() == DrillSettings((Hours(540, 600, frozenset({0})),), second_person=False, speed=10)
    night = ShiftEntry.model_validate({"name": {"en": "Night", "zh": "夜班"}, "hours": "20:00-08:00"})
    assert shifts_of({"night": night}) == {"night": Shift("night", Text("Night", "夜班"), Hours(1200, 480))}


def test_a_drill_is_never_slower_than_real() -> None:
    with pytest.raises(ValidationError):
        DrillsEntry(speed=0.5)
