"""Reports of seats as the answers to polls: the newest one counts, for as long as it holds."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.catalog import Text
from edgeagent.config import Device
from edgeagent.decode import decode, identity
from edgeagent.devices import REACHABLE, DeviceState
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target, open_link
from edgeagent.links.seats import SeatLink
from edgeagent.messages import stamp
from edgeagent.probe import plan_of
from edgeagent.readings import Answers, Missing, Quality
from edgeagent.resources import drivers
from edgeagent.seatinbox import SeatInbox
from edgeagent.seatverdict import Word

CATALOG = load([drivers()])
HOST = ("workstation/host", "headset/host", "phone/host", "service/seat")
REPORT: Answers = {
    "online": 1, "cpu.percent": 21.5, "softphone": 1, "headset.present": 1, "headset.link": "offline",
    "headset.battery": 35, "headset.model": "Jabra Link 390", "phone.registered": 0,
    "memory.commit": 41.5, "net.errors": 0.2, "battery.percent": 88, "battery.charging": 0, "audio.capture": 1,
    "audio.render": 0, "service.crm.answer": "silent", "service.kb.answer": "ok", "service.kb.latency": 40,
}  # fmt: skip


class Floor:
    """Two seats, what they say, and the link that reads it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.inbox = SeatInbox(["a017", "a018"])
        self.link = SeatLink(self.inbox, lambda: self.now)

    def report(self, seat: str, answers: Answers) -> None:
        said = {"session": f"s-{seat}", "seq": 1, "time": stamp(self.now), "machine": "", "answers": dict(answers)}
        self.inbox.take(seat, "report", json.dumps(said).encode(), self.now, self.now)

    def status(self, seat: str, state: str) -> None:
        payload = json.dumps({"state": state, "session": f"s-{seat}", "reason": "stop"}).encode()
        self.inbox.take(seat, "status", payload, self.now, self.now)

    def ask(self, seat: str, *addresses: str) -> Answers:
        return ask(self.link, seat, *addresses)


@pytest.fixture
def floor() -> Floor:
    return Floor()


def ask(link: SeatLink, seat: str, *addresses: str) -> Answers:
    async def once() -> Answers:
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        link.ask(Target("x", parse(f"seat://{seat}")), Plan(addresses, ("walk",)), answered.set_result)
        assert not answered.done(), "done was called from inside ask"
        return await asyncio.wait_for(answered, 20.0)

    return asyncio.run(once())


def test_a_seat_that_never_reported_has_timed_out_but_for_its_word(floor: Floor) -> None:
    assert floor.ask("a017", "online", "agent.state") == {
        "online": Missing.TIMEOUT, "agent.state": "unknown", "walk": Missing.TIMEOUT,
    }  # fmt: skip


def test_of_a_seat_that_the_site_does_not_name_there_is_no_word(floor: Floor) -> None:
    nothing = {"online": Missing.TIMEOUT, "agent.state": Missing.TIMEOUT, "walk": Missing.TIMEOUT}
    assert floor.ask("b001", "online", "agent.state") == nothing
    assert ask(SeatLink(), "a017", "online", "agent.state") == nothing


def test_a_poll_gets_what_the_seat_reported_and_no_other_seat(floor: Floor) -> None:
    floor.report("a017", REPORT)
    assert floor.ask("a017", "online", "cpu.percent", "fan.speed", "agent.state") == {
        "online": 1, "cpu.percent": 21.5, "fan.speed": Missing.ABSENT, "agent.state": "running", "walk": Missing.ABSENT,
    }  # fmt: skip
    assert floor.ask("a018", "online")["online"] is Missing.TIMEOUT


def test_the_newest_report_counts(floor: Floor) -> None:
    floor.report("a017", {"online": 1, "softphone": 1})
    floor.now += 15
    floor.report("a017", {"online": 1, "softphone": 0})
    assert floor.ask("a017", "softphone")["softphone"] == 0


@pytest.mark.parametrize(("age", "fresh"), [(0.0, True), (44.9, True), (45.0, False), (86_400.0, False)])
def test_a_report_holds_for_three_heartbeats(floor: Floor, age: float, fresh: bool) -> None:
    floor.report("a017", REPORT)
    floor.now += age
    answers = floor.ask("a017", "online", "agent.state")
    assert answers["online"] == (1 if fresh else Missing.TIMEOUT)
    assert answers["agent.state"] == ("running" if fresh else "silent")


def test_a_seat_that_left_answers_nothing_more_at_once_and_all_again_with_its_next_report(floor: Floor) -> None:
    floor.report("a017", REPORT)
    floor.status("a017", "leaving")
    answers = floor.ask("a017", "online", "agent.state")
    assert (answers["online"], answers["agent.state"]) == (Missing.TIMEOUT, "left")
    floor.now += 3600
    floor.status("a017", "online")
    floor.report("a017", REPORT)
    assert floor.ask("a017", "online")["online"] == 1


def test_the_shipped_drivers_read_one_report_as_what_it_tells_of(floor: Floor) -> None:
    floor.report("a017", REPORT)
    read = {}
    for id in HOST:
        driver = CATALOG.drivers[id]
        answers = floor.ask("a017", *plan_of(driver).gets)
        read[id] = {
            point: reading for point, reading in decode(driver, answers, 0.0).items() if reading.value is not None
        }
        if id == "headset/host":
            assert identity(driver, answers, 0.0)["model"] == "Jabra Link 390"
    assert {id: {point: reading.value for point, reading in found.items()} for id, found in read.items()} == {
        "workstation/host": {
            "online": True, "cpu": 21.5, "memory.commit": 41.5, "net.errors": 0.2, "clock.offset": 0, "battery": 88,
            "charging": False, "softphone": True, "capture": True, "render": False, "agent": "running",
        },
        "headset/host": {
            "present": True, "link": "offline", "battery": 35, "capture": True, "render": False, "agent": "running",
            "model": "Jabra Link 390",
        },
        "phone/host": {"registered": False, "agent": "running"},
        "service/seat": {"seat.answer": "silent", "agent": "running"},
    }  # fmt: skip
    assert all(reading.quality is Quality.GOOD for found in read.values() for reading in found.values())


@pytest.mark.parametrize("id", HOST)
def test_a_seat_that_is_silent_is_no_device_that_cannot_be_reached(floor: Floor, id: str) -> None:
    driver = CATALOG.drivers[id]
    device = Device("x", Text("x", "x"), driver, parse("seat://a017"), None, 15.0, 15.0, 2.0, driver.kind.alarms)
    state = DeviceState(device)

    def poll(times: int) -> tuple[object, object]:
        for _ in range(times):
            state.take(floor.ask("a017", *state.wants(floor.now)[0]), floor.now)
            floor.now += 15
        reachable = state.readings.get(REACHABLE)
        return state.readings[
            "agent"
        ].value, reachable.value if reachable and "reachable" not in driver.points else True

    assert poll(5) == ("unknown", True)
    floor.report("a017", REPORT)
    assert poll(1) == ("running", True)
    assert poll(5) == ("silent", True)
    assert state.misses == 0
    floor.status("a017", "leaving")
    assert poll(2) == ("left", True)
    other = next(id for id in sorted(driver.points) if id not in ("agent", REACHABLE))
    assert (state.readings[other].quality, state.readings[other].reason) == (Quality.BAD, "timeout")


@pytest.mark.parametrize("id", HOST)
def test_every_word_of_a_seats_agent_is_one_of_its_point(id: str) -> None:
    driver = CATALOG.drivers[id]
    item = next(item for item in driver.items if item.point == "agent")
    assert set(item.enum) == {word.value for word in Word}
    point = driver.kind.point("agent")
    assert point is not None
    assert set(point.values) == set(item.enum.values())


def test_a_number_that_cannot_be_is_a_bad_reading_as_of_any_device(floor: Floor) -> None:
    driver = CATALOG.drivers["workstation/host"]
    floor.report("a017", {"online": 1, "cpu.percent": 4_000})
    reading = decode(driver, floor.ask("a017", *driver.gets), 0.0)["cpu"]
    assert (reading.quality, reading.reason) == (Quality.BAD, "out-of-range")


def test_all_seats_share_one_link_that_is_found_by_the_url() -> None:
    one, two = parse("seat://a017"), parse("seat://b002")
    assert one.medium == two.medium != parse("host://").medium
    assert isinstance(open_link(one), SeatLink)
    assert {CATALOG.drivers[id].protocol for id in HOST} == {one.protocol}


def test_it_runs_until_it_is_cancelled(floor: Floor) -> None:
    async def run() -> bool:
        task = asyncio.create_task(floor.link.run())
        await asyncio.sleep(0)
        running = not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return running

    assert asyncio.run(run())


@given(st.lists(st.one_of(
    st.tuples(st.just("report"), st.dictionaries(st.sampled_from(sorted(REPORT)), st.integers(0, 2), max_size=3)),
    st.tuples(st.just("leave"), st.just({})), st.tuples(st.just("wait"), st.just({})),
), max_size=12))  # fmt: skip
def test_what_is_remembered_is_what_would_be_found_anew(story: list[tuple[str, dict[str, int]]]) -> None:
    floor, plans = Floor(), (("online", "cpu.percent", "agent.state"), ("headset.present", "headset.battery"))
    last: dict[tuple[str, ...], Answers] = {}
    for what, answers in story:
        floor.now += 30 if what == "wait" else 5
        if what == "report":
            floor.report("a017", {**dict.fromkeys(("cpu.percent", "headset.present"), 1), **answers})
        elif what == "leave":
            floor.status("a017", "leaving")
        for plan in plans:
            found = floor.ask("a017", *plan)
            assert found == ask(SeatLink(floor.inbox, lambda: floor.now), "a017", *plan)
            assert (found is last.get(plan)) is (found == last.get(plan))
            last[plan] = found


def test_what_one_device_reports_leaves_the_answers_of_another_the_same(floor: Floor) -> None:
    floor.report("a017", {"cpu.percent": 20, "headset.present": 1})
    cpu, headset = floor.ask("a017", "cpu.percent"), floor.ask("a017", "headset.present")
    floor.report("a017", {"cpu.percent": 21, "headset.present": 1})
    assert floor.ask("a017", "headset.present") is headset
    assert floor.ask("a017", "cpu.percent") is not cpu
