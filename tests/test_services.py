"""Services and the parts of a seat under the floor: what is told, what explains it, and what pages nobody."""

from __future__ import annotations

import pytest

from edgeagent.catalog import Severity
from edgeagent.readings import Value
from edgeagent.sitetree import SEAT
from tests.hall import Hall, Plan, hall


def floor(seats: int = 2) -> Hall:
    """Start a hall whose seats have headset and phone, need CRM and ACD, and hang on one switch."""
    plan = hall(0).add("crm", "service", linked=["switch"])
    for number in range(seats):
        seat = f"s{number:03}"
        plan.add(seat, SEAT, fed=["ups-a"], linked=["switch"], needs=["acd", "crm"], area="hall")
        for part, kind in (("pc", "workstation"), ("ear", "headset"), ("tel", "phone")):
            plan.add(f"{part}-{seat}", kind, seat=seat)
    return Hall(plan).start()


def test_dead_softphones_are_explained_by_the_telephony_that_they_need() -> None:
    story = floor()
    story.say(100, {"acd": {"telephony": False, "answer": "silent"}})
    story.say(102, {f"pc-s{number:03}": {"softphone": False} for number in range(2)})
    story.until(200)
    assert story.raised() == ["acd.telephony-down"]
    assert story.hidden() == {f"pc-s{number:03}.softphone-down": "acd.telephony-down" for number in range(2)}
    assert story.record("acd.telephony-down").perceived_severity is Severity.CRITICAL


def test_a_service_behind_a_switch_without_power_is_no_fault_of_its_own() -> None:
    story = floor()
    story.say(100, {"ups-b": {"source": "off", "alarms": frozenset({"output-off"})}})
    story.say(102, {"crm": {"reachable": False, "answer": "silent"}})
    story.until(200)
    assert "crm.unreachable" not in story.raised()
    assert story.hidden()["crm.unreachable"].startswith("ups-b.")


def test_a_blink_of_a_service_is_told_to_nobody() -> None:
    story = floor()
    story.say(100, {"crm": {"reachable": False}})
    story.say(115, {"crm": {"reachable": True}})
    story.until(300)
    assert story.raised() == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param({"present": False}, ["ear-s000.headset-missing"], id="unplugged"),
        pytest.param({"link": "offline", "battery": 60}, ["ear-s000.headset-offline"], id="off or out of range"),
        pytest.param({"link": "offline"}, ["ear-s000.headset-offline"], id="off, and it never tells its battery"),
        pytest.param({"link": "offline", "battery": 4, "charging": False}, ["ear-s000.battery-low"], id="went flat"),
        pytest.param({"link": "connected", "battery": 9, "charging": False}, ["ear-s000.battery-low"], id="low"),
        pytest.param({"battery": 9}, ["ear-s000.battery-low"], id="low, and it never tells whether it charges"),
        pytest.param({"battery": 9, "charging": None}, [], id="low, and whether it charges could not be read"),
        pytest.param({"link": "connected", "battery": 9, "charging": True}, [], id="on the charger"),
        pytest.param({"link": "unknown", "battery": 60}, [], id="nobody knows"),
        pytest.param({"capture": False, "render": True}, ["ear-s000.audio-missing"], id="no microphone"),
        pytest.param({"capture": True, "render": True}, [], id="sound"),
        pytest.param(
            {"capture": False, "render": False, "link": "offline"},
            ["ear-s000.headset-offline"],
            id="off, its sound too",
        ),
        pytest.param({"returns": 3}, [], id="came back from a dock"),
        pytest.param({"returns": 4}, ["ear-s000.headset-unsteady"], id="comes and goes"),
    ],
)
def test_a_headset_tells_what_is_wrong_with_it(said: dict[str, Value | None], told: list[str]) -> None:
    story = floor(1)
    story.say(100, {"ear-s000": {"present": True, **said}})
    story.until(400)
    assert story.raised() == told


def test_a_flat_headset_is_a_warning_whatever_comes_of_it() -> None:
    story = floor(1)
    for second, battery, link in ((100, 9, "connected"), (300, 3, "connected"), (600, 3, "offline")):
        story.say(second, {"ear-s000": {"present": True, "battery": battery, "charging": False, "link": link}})
    story.until(2000)
    assert story.standing() == {"ear-s000.battery-low"}
    assert {alarm.perceived_severity for alarm in story.floor.records().values()} == {Severity.WARNING}


def test_phones_of_a_dead_switch_are_no_faults_of_their_own() -> None:
    story = floor(2)
    story.say(100, {"ups-b": {"source": "off", "alarms": frozenset({"output-off"})}})
    story.say(101, {f"tel-s{number:03}": {"registered": False, "powered": False} for number in range(2)})
    story.until(300)
    assert not [id for id in story.raised() if id.startswith("tel-")]


def test_a_slow_service_grows_worse_and_better_again() -> None:
    story = Hall(Plan().add("crm", "service")).start()
    for second, latency in ((100, 1800), (300, 4500), (500, 2500), (700, 40)):
        story.say(second, {"crm": {"answer": "ok", "latency": latency}})
    story.until(900)
    severities = [change.alarm.perceived_severity for change in story.changes if change.alarm.alarm_type_id == "slow"]
    assert list(dict.fromkeys(severities)) == [Severity.MINOR, Severity.MAJOR]
    assert story.record("crm.slow").is_cleared
