"""What comes from seats and which devices are asked because of it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from edgeagent import resources, sitefiles
from edgeagent.config import Site
from edgeagent.hearing import Hearing
from edgeagent.messages import Tree, stamp
from edgeagent.mqtt import Received
from tests.rig import SITE, device, write_site


class Room:
    """A site of two seats with their hearing; `asked` are the devices that were to be asked at once."""

    def __init__(self, folder: Path, *seats: str) -> None:
        self.folder, self.now, self.asked = folder, 1000.0, list[str]()
        self.hearing = Hearing(
            self.site(*seats), Tree("floor", SITE, "edge-1"), self.asked.append, self.clock, self.clock
        )
        self.hearing.follow(self.site(*seats))

    def site(self, *seats: str) -> Site:
        parts = (
            device(f"{part}-{seat}", f"{part}/host", f"seat://{seat}")
            for seat in seats for part in ("workstation", "headset")
        )  # fmt: skip
        ups = device("ups", "ups/rfc1628", "snmp://127.0.0.1:161?version=2c&community=x")
        return sitefiles.load(write_site(self.folder, 1883, ups, *parts), resources.drivers())

    def clock(self) -> float:
        return self.now

    def hear(self, topic: str, payload: dict[str, object], *, retained: bool = False) -> list[str]:
        self.asked.clear()
        self.hearing.on_message(Received(f"floor/v1/{SITE}/{topic}", json.dumps(payload).encode(), retained))
        return sorted(self.asked)

    def report(self, seat: str = "a017", **answers: object) -> list[str]:
        found = {address.replace("__", "."): value for address, value in answers.items()}
        said = {"session": "s1", "seq": 1, "time": stamp(self.now), "machine": "m1", "answers": found}
        return self.hear(f"seat/{seat}/report", said)

    def status(self, state: str) -> list[str]:
        return self.hear("seat/a017/status", {"state": state, "session": "s1", "reason": "stop"})


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "site", "a017", "a018")


BOTH = ["headset-a017", "workstation-a017"]


def test_the_devices_of_a_seat_are_asked_when_what_they_would_answer_changes(room: Room) -> None:
    assert room.report(cpu__percent=20, headset__present=1) == BOTH, "its word is another one"
    room.now += 15
    assert room.report(cpu__percent=20, headset__present=1) == []
    room.now += 15
    assert room.report(cpu__percent=21, headset__present=1) == ["workstation-a017"]
    assert room.report(cpu__percent=21, headset__present=0) == ["headset-a017"]
    assert room.status("leaving") == BOTH
    assert room.status("leaving") == []


def test_they_are_asked_when_a_seat_goes_silent(room: Room) -> None:
    room.report(online=1)
    room.asked.clear()
    room.now += 44
    room.hearing.tick()
    assert room.asked == []
    room.now += 1
    room.hearing.tick()
    assert sorted(room.asked) == BOTH


@pytest.mark.parametrize("topic", ["seat/a017", "seat/a017/report/x", "live/device/a017/state", "seats/a017/report"])
def test_other_topics_are_passed_over(room: Room, topic: str) -> None:
    assert room.hear(topic, {}) == []
    assert room.hearing.tick() == {"seats.dropped": 0, "seats.unknown": 0}


def test_who_says_too_much_and_who_is_not_named_is_counted_and_told_once_a_minute(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(5):
        for _ in range(20):
            room.report(online=1)
            room.report("b\n001", online=1)
        assert room.hearing.tick()["seats.unknown"] == 1
        room.now += 1
    assert room.hearing.tick()["seats.dropped"] == 5 * 20 - (10 + 4)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "10 messages of seats dropped in a minute, most of a017: too many",
        "1 seats speak that the site does not name, such as 'b\\n001'",
    ]
    room.now += 61
    assert room.hearing.tick() == {"seats.dropped": 0, "seats.unknown": 1}
    assert len(caplog.records) == 2
    assert room.hearing.figures == room.hearing.tick()


class Wire:
    """What is asked of the broker."""

    def __init__(self) -> None:
        self.on: set[str] = set()
        self.retained: list[str] = []

    def subscribe(self, filters: list[str], qos: int, *, retained: bool = True) -> None:
        assert qos == 0, "a broker queues no more than so many of a higher one"
        self.on |= set(filters)
        self.retained += filters if retained else []

    def unsubscribe(self, filters: list[str]) -> None:
        assert set(filters) <= self.on
        self.on -= set(filters)


@pytest.fixture
def wire(room: Room, monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(room.hearing, "connection", wire)
    room.hearing.on_connected(session_present=False, maximum_packet_size=None)
    return wire


STATUSES = f"floor/v1/{SITE}/seat/+/status"
ONE, TWO = (f"floor/v1/{SITE}/seat/{seat}/report" for seat in ("a017", "a018"))


def test_reports_are_listened_to_seat_by_seat_and_never_to_what_lies_there(room: Room, wire: Wire) -> None:
    assert wire.on == {STATUSES, ONE, TWO}
    assert wire.retained == [STATUSES]
    room.hearing.follow(room.site("a017", "b001"))
    assert wire.on == {STATUSES, ONE, f"floor/v1/{SITE}/seat/b001/report"}


def test_a_seat_that_floods_is_not_listened_to_for_some_seconds(room: Room, wire: Wire) -> None:
    for _ in range(109):
        room.report(online=1)
    assert ONE in wire.on
    for _ in range(50):
        room.report(online=1)
    assert wire.on == {STATUSES, TWO}
    room.now += 9.9
    room.hearing.tick()
    assert ONE not in wire.on
    room.now += 0.1
    room.hearing.tick()
    assert ONE in wire.on
    assert room.report(online=0) == ["workstation-a017"]
    assert wire.retained == [STATUSES]


def test_one_that_floods_with_statuses_costs_the_others_some_seconds_and_no_word(room: Room, wire: Wire) -> None:
    for _ in range(200):
        room.status("online")
    assert wire.on == {ONE, TWO}
    room.now += 10
    room.hearing.tick()
    assert wire.retained == [STATUSES, STATUSES], "the newest of each are sent again"


def test_all_is_asked_for_again_after_a_new_connection(room: Room, wire: Wire) -> None:
    for _ in range(200):
        room.report(online=1)
    wire.on.clear()
    room.hearing.on_connected(session_present=False, maximum_packet_size=None)
    assert wire.on == {STATUSES, ONE, TWO}


def test_another_configuration_is_followed(room: Room) -> None:
    room.report(online=1)
    room.hearing.follow(room.site("a017", "b001"))
    assert room.report(online=1) == []
    assert room.report("a018", online=1) == []
    assert room.report("b001", online=1) == ["headset-b001", "workstation-b001"]


def test_without_seats_there_is_no_connection(tmp_path: Path) -> None:
    assert not Room(tmp_path / "none").hearing._wanted.is_set()
    assert Room(tmp_path / "some", "a017").hearing._wanted.is_set()
