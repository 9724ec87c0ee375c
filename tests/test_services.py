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
        pytest.param({"present": False, "capture": False}, ["ear-s000.headset-missing"], id="unplugged, its sound too"),
        pytest.param({"returns": 3}, [], id="came back from a dock"),
        pytest.param({"returns": 4}, ["ear-s000.headset-unsteady"], id="comes and goes"),
    ],
)
def test_a_headset_tells_what_is_wrong_with_it(said: dict[str, Value | None], told: list[str]) -> None:
    story = floor(1)
    story.say(100, {"ear-s000": {"present": True, **said}})
    story.until(400)
    assert story.raised() == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param({"memory.commit": 96}, {"memory-promised": Severity.MINOR}, id="little memory is left to promise"),
        pytest.param({"memory.commit": 99}, {"memory-promised": Severity.MAJOR}, id="next to none"),
        pytest.param({"memory.commit": 94, "memory": 60}, {}, id="enough"),
        pytest.param({"net.errors": 1.6}, {"net-errors": Severity.MINOR}, id="a bad patch lead"),
        pytest.param({"net.errors": 0.9}, {}, id="a packet now and then"),
        pytest.param({"battery": 19, "charging": False}, {"battery-low": Severity.MINOR}, id="a laptop unplugged"),
        pytest.param({"battery": 19, "charging": True}, {}, id="charging"),
        pytest.param({"battery": 19, "charging": None}, {}, id="whether it charges could not be read"),
        pytest.param({"battery": 60, "charging": False}, {}, id="carried to a meeting"),
        pytest.param({"capture": False, "render": True}, {"audio-missing": Severity.MINOR}, id="no microphone"),
        pytest.param({"capture": True, "render": False}, {"audio-missing": Severity.MINOR}, id="no sound"),
        pytest.param({"capture": None, "render": True}, {}, id="whether there is a microphone could not be read"),
        pytest.param({"capture": False, "softphone": False}, {"softphone-down": Severity.MAJOR}, id="no softphone"),
    ],
)  # fmt: skip
def test_a_workstation_tells_what_is_wrong_with_it(said: dict[str, Value | None], told: dict[str, Severity]) -> None:
    story = floor(1)
    story.say(100, {"pc-s000": said})
    story.until(400)
    assert {id: story.record(id).perceived_severity for id in story.raised()} == {
        f"pc-s000.{type}": severity for type, severity in told.items()
    }


def test_a_workstation_without_a_softphone_needs_no_sound() -> None:
    story = Hall(Plan().add("pc", "workstation"))
    story.say(0, {"pc": {"online": True, "capture": False, "render": False}})
    story.until(400)
    assert story.raised() == []


@pytest.mark.parametrize(
    ("type", "second", "held"),
    [("memory-promised", 159, 161), ("net-errors", 159, 161), ("battery-low", 159, 161), ("audio-missing", 119, 121)],
)
def test_what_passes_by_itself_within_its_time_is_told_to_nobody(type: str, second: int, held: int) -> None:
    story = floor(1)
    story.say(
        100, {"pc-s000": {"memory.commit": 99, "net.errors": 5, "battery": 5, "charging": False, "capture": False}}
    )
    story.until(second)
    assert f"pc-s000.{type}" not in story.raised()
    story.until(held)
    assert f"pc-s000.{type}" in story.raised()


def test_a_laptop_that_its_ups_feeds_no_more_is_explained() -> None:
    story = floor(1)
    story.say(100, {"ups-a": {"source": "off", "alarms": frozenset({"output-off"})}})
    story.say(110, {"pc-s000": {"battery": 12, "charging": False}})
    story.until(400)
    assert story.hidden()["pc-s000.battery-low"].startswith("ups-a.")


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
