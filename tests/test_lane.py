"""One lane as the agent steps it: what a change does to alarms, procedures and the forecast, on the example site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pytest

from edgeagent import resources, sitefiles
from edgeagent.config import Site
from edgeagent.forecast import Forecast
from edgeagent.lane import Lane, Outcome
from edgeagent.readings import Reading, Readings, Value
from edgeagent.run import RunVerb
from tests.hall import BASE as NOW
from tests.seatrow import OFFICE, rows

NOON: Final = 1_795_000_000.0


@pytest.fixture(scope="module")
def site() -> Site:
    return sitefiles.load(Path(__file__).parent.parent / "config", resources.drivers())


class Story:
    """A lane of the example site and its clock; every device is read at each step, as a poll would."""

    def __init__(self, site: Site) -> None:
        self.lane, self.now = Lane(site), NOON
        self.told: list[Outcome | Forecast] = []
        self._readings: dict[str, dict[str, Reading]] = {id: {} for id in site.devices}
        self.lane.view.update(self._readings)
        for id, device in site.devices.items():
            kind = device.driver.kind
            well = {
                point: kind.points[point].sample for point in device.driver.points & kind.points.keys()
                if kind.points[point].sample is not None
            }  # fmt: skip
            self.say(0.0, id, reachable=True, **{point: value for point, value in well.items() if value is not None})

    def say(self, later: float, id: str, **values: Value) -> Outcome:
        """Let a device read otherwise; a point's dots are written as they are."""
        self.now += later
        for point, value in values.items():
            self._readings[id][point] = Reading(value, self.now)
        return self._step([(id, point) for point in values])

    def wait(self, seconds: float) -> list[Outcome]:
        """Let time pass, timer by timer."""
        until, found = self.now + seconds, []
        while (due := self.lane.next_due()) is not None and due <= until:
            self.now = max(self.now, due)
            found.append(self._step(()))
        self.now = until
        return found

    def _step(self, changed: Iterable[tuple[str, str]]) -> Outcome:
        outcome = self.lane.step(changed, self._readings, self.now)
        forecast = self.lane.foresee(self.now)
        self.told += [outcome] if forecast is None else [outcome, forecast]
        return outcome


def lose_the_mains(story: Story) -> list[Outcome]:
    dead: dict[str, Value] = {"source": "battery", "input.voltage": 0.0, "input.frequency": 0.0}
    outcomes = [story.say(1.0, ups, **dead) for ups in ("ups-a", "ups-b")]
    outcomes.append(story.say(0.2, "genset", **{"mains.healthy": False, "mains.voltage": 0.0}))
    outcomes.append(story.say(0.2, "ats", **{"source.mains": "lost"}))
    outcomes.append(story.say(0.2, "contacts", **{"mains-present": False}))
    return [*outcomes, *story.wait(20.0)]


def test_a_lost_mains_is_one_alarm_one_run_and_a_forecast(site: Site) -> None:
    story = Story(site)
    story.wait(60.0)
    outcomes = lose_the_mains(story)
    told = [change for outcome in outcomes for change in outcome.changes if change.verb == "raised"]
    loud = {change.alarm.alarm_id for change in told if change.alarm.state != "suppressed"}
    assert loud == {"mains.mains-lost"}
    runs = [change for outcome in outcomes for change in outcome.runs]
    assert [change.run.procedure for change in runs if change.verb is RunVerb.OPENED] == ["outage"]
    raised = next(change for change in told if change.alarm.alarm_id == "mains.mains-lost")
    spoken = next(n for n, it in enumerate(story.told) if isinstance(it, Forecast) and it.outage is not None)
    before = story.told[spoken - 1]
    assert isinstance(before, Outcome)
    assert any(change is raised for change in before.changes), "the forecast speaks of it right after its alarm"


def test_alarms_and_runs_are_there_before_anything_is_foreseen(site: Site) -> None:
    story, looks = Story(site), list[float]()
    step = story.lane.forecasts.step

    def looked(
        view: Mapping[str, Readings], changed: Iterable[tuple[str, str]], now: float, since: float | None
    ) -> bool:
        looks.append(now)
        return step(view, changed, now, since)

    story.lane.forecasts.step = looked  # type: ignore[method-assign, assignment]
    outcome = story.lane.step([("ups-a", "source")], ["ups-a"], story.now)
    assert not looks, outcome
    story.lane.foresee(story.now)
    assert looks == [story.now]


def test_what_changed_in_several_steps_is_foreseen_in_one_look(site: Site) -> None:
    at_once, later = Story(site), Story(site)
    for story in (at_once, later):
        for ups in ("ups-a", "ups-b"):
            story._readings[ups] |= {"source": Reading("battery", NOON), "battery.charge": Reading(60, NOON)}
            story.lane.step([(ups, "source"), (ups, "battery.charge")], [ups], NOON)
            if story is at_once:
                story.lane.foresee(NOON)
        story.lane.foresee(NOON)
        story.lane.forecasts._next = 0.0
    assert later.lane.forecasts.at(NOON) == at_once.lane.forecasts.at(NOON)
    assert {ride.ups for ride in later.lane.forecasts.at(NOON).rides} == {"ups-a", "ups-b"}


def test_readings_of_a_device_stay_its_own(site: Site) -> None:
    story = Story(site)
    lose_the_mains(story)
    for id in site.devices:
        assert story.lane.view[id] is story._readings[id]


def test_a_command_on_an_alarm_is_followed_through(site: Site) -> None:
    story = Story(site)
    lose_the_mains(story)
    outcome = story.lane.ask_alarms(lambda alarms: alarms.ack("mains.mains-lost", None, "li", "", story.now), story.now)
    assert [change.verb for change in outcome.changes] == ["acknowledged"]


def test_another_configuration_goes_on_with_what_remains(site: Site) -> None:
    story = Story(site)
    lose_the_mains(story)
    (run_id,) = story.lane.procedures.runs()
    story.lane.replace(site, story.now)
    assert not story.lane.records()["mains.mains-lost"].is_cleared
    assert run_id in story.lane.procedures.runs()


def test_what_a_seat_is_stands_in_the_view_by_which_procedures_go() -> None:
    lane = Lane(rows(2))
    for seat in ("s000", "s001"):
        lane.view |= {f"{seat}-pc": {"agent": Reading("running", NOW)}, f"{seat}-ping": {"echo": Reading(True, NOW)}}
    lane.step([(f"{seat}-pc", "agent") for seat in ("s000", "s001")], (), NOW)
    assert lane.view["s000"]["workstation"].value == "working"
    assert lane.view["agent"] == {}
    lane.replace(rows(1), NOW + 1)
    assert "s001" not in lane.view


def test_the_hours_of_a_site_are_no_delays_that_a_restart_must_know() -> None:
    lane = Lane(rows(2, staffed=(OFFICE,)))
    lane.step([], (), NOW)
    assert lane.delays() is None
    assert (lane.next_due() or 0) > NOW
