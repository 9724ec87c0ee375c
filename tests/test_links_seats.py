"""Reports of seats as the answers to polls: the newest one counts, for as long as it is fresh."""

from __future__ import annotations

import asyncio

import pytest

from edgeagent.decode import decode, identity
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target, open_link
from edgeagent.links.seats import FRESH, MOST, SeatLink
from edgeagent.probe import plan_of
from edgeagent.readings import Answers, Missing, Quality
from edgeagent.resources import drivers

CATALOG = load([drivers()])
REPORT: Answers = {
    "online": 1, "cpu.percent": 21.5, "softphone": 1, "clock.offset": -0.2, "headset.present": 1,
    "headset.link": "offline", "headset.battery": 35, "headset.model": "Jabra Link 390", "phone.registered": 0,
}  # fmt: skip


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def link(time: Time) -> SeatLink:
    return SeatLink(time)


def ask(link: SeatLink, seat: str, *addresses: str) -> Answers:
    async def once() -> Answers:
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        link.ask(Target("x", parse(f"seat://{seat}")), Plan(addresses, ("walk",)), answered.set_result)
        assert not answered.done(), "done was called from inside ask"
        return await asyncio.wait_for(answered, 2.0)

    return asyncio.run(once())


def test_a_seat_that_never_reported_has_timed_out(link: SeatLink) -> None:
    assert ask(link, "a017", "online", "softphone") == {
        "online": Missing.TIMEOUT, "softphone": Missing.TIMEOUT, "walk": Missing.TIMEOUT,
    }  # fmt: skip


def test_a_poll_gets_what_the_seat_reported_and_no_other_seat(link: SeatLink) -> None:
    link.take("a017", REPORT, 1000.0)
    answers = ask(link, "a017", "online", "cpu.percent", "fan.speed")
    assert answers == {"online": 1, "cpu.percent": 21.5, "fan.speed": Missing.ABSENT, "walk": Missing.ABSENT}
    assert ask(link, "a018", "online")["online"] is Missing.TIMEOUT


def test_the_newest_report_counts(link: SeatLink, time: Time) -> None:
    link.take("a017", {"online": 1, "softphone": 1}, 1000.0)
    link.take("a017", {"online": 1, "softphone": 0}, 1015.0)
    time.now = 1016.0
    assert ask(link, "a017", "softphone")["softphone"] == 0


@pytest.mark.parametrize(("age", "fresh"), [(0.0, True), (FRESH - 0.1, True), (FRESH, False), (86_400.0, False)])
def test_a_report_holds_for_three_heartbeats(link: SeatLink, time: Time, age: float, fresh: bool) -> None:
    link.take("a017", REPORT, 1000.0)
    time.now = 1000.0 + age
    assert ask(link, "a017", "online")["online"] == (1 if fresh else Missing.TIMEOUT)


def test_a_seat_that_was_silent_answers_again_with_its_next_report(link: SeatLink, time: Time) -> None:
    link.take("a017", REPORT, 1000.0)
    time.now = 1100.0
    assert ask(link, "a017", "online")["online"] is Missing.TIMEOUT
    link.take("a017", REPORT, 1100.0)
    assert ask(link, "a017", "online")["online"] == 1


def test_a_seat_that_left_is_silent_at_once(link: SeatLink) -> None:
    link.take("a017", REPORT, 1000.0)
    link.take("a017", {}, 1001.0)
    assert ask(link, "a017", "online")["online"] is Missing.TIMEOUT


def test_more_seats_than_a_site_may_have_take_no_room(link: SeatLink) -> None:
    for number in range(MOST + 5):
        link.take(f"s{number}", REPORT, 1000.0)
    assert ask(link, "s0", "online")["online"] == 1
    assert ask(link, f"s{MOST}", "online")["online"] is Missing.TIMEOUT
    link.take("s0", {"online": 0}, 1000.0)
    assert ask(link, "s0", "online")["online"] == 0


def test_the_shipped_drivers_read_one_report_as_three_devices(link: SeatLink) -> None:
    link.take("a017", REPORT, 1000.0)
    read = {}
    for id in ("workstation/host", "headset/host", "phone/host"):
        driver = CATALOG.drivers[id]
        answers = ask(link, "a017", *plan_of(driver).gets)
        read[id] = {
            point: reading for point, reading in decode(driver, answers, 0.0).items() if reading.value is not None
        }
        if id == "headset/host":
            assert identity(driver, answers, 0.0)["model"] == "Jabra Link 390"
    assert {id: {point: reading.value for point, reading in found.items()} for id, found in read.items()} == {
        "workstation/host": {"online": True, "cpu": 21.5, "softphone": True, "clock.offset": -0.2},
        "headset/host": {"present": True, "link": "offline", "battery": 35},
        "phone/host": {"registered": False},
    }
    assert all(reading.quality is Quality.GOOD for found in read.values() for reading in found.values())


def test_all_seats_share_one_link_that_is_found_by_the_url() -> None:
    one, two = parse("seat://a017"), parse("seat://b002")
    assert one.medium == two.medium != parse("host://").medium
    assert isinstance(open_link(one), SeatLink)
    assert {CATALOG.drivers[id].protocol for id in ("workstation/host", "headset/host", "phone/host")} == {one.protocol}


def test_it_runs_until_it_is_cancelled(link: SeatLink) -> None:
    async def run() -> bool:
        task = asyncio.create_task(link.run())
        await asyncio.sleep(0)
        running = not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return running

    assert asyncio.run(run())
