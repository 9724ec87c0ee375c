"""Stories of (time, what a seat says) and what its agent is taken for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.messages import Tree, stamp
from edgeagent.readings import Answers
from edgeagent.seatanswers import LARGEST
from edgeagent.seatinbox import INTERVAL, OFFSET, STATE, SeatInbox
from edgeagent.seatpayloads import Malformed, report, status
from edgeagent.seatreport import Reason, Speaker, State
from edgeagent.seatverdict import Word

SEAT: Final = "a017"
WALL: Final = 1_760_000_000.0
START: Final = 1_000.0


def said(state: str, session: str = "s1", **more: object) -> bytes:
    reason = {"online": "start", "leaving": "shutdown", "offline": "lost"}[state]
    return json.dumps({"state": state, "session": session, "reason": reason, **more}).encode()


def told(session: str = "s1", machine: str = "m1", off: float = 0.0, at: float = 0.0, **answers: object) -> bytes:
    found = {address.replace("__", "."): value for address, value in answers.items()} or {"online": 1}
    return json.dumps(
        {"session": session, "seq": 1, "time": stamp(WALL + at + off), "machine": machine, "answers": found}
    ).encode()


class Host:
    """An inbox, and a clock that a story moves. A word with * lies retained at the broker."""

    def __init__(self) -> None:
        self.inbox = SeatInbox([SEAT, "a018"])
        self.at = 0.0

    def hear(self, what: str, session: str = "s1", machine: str = "m1", **more: Any) -> frozenset[str]:  # noqa: ANN401
        retained, word = what.endswith("*"), what.rstrip("*")
        name = "report" if word == "report" else "status"
        payload = told(session, machine, at=self.at, **more) if name == "report" else said(word, session, **more)
        return self.inbox.take(SEAT, name, payload, START + self.at, WALL + self.at, retained=retained)

    @property
    def word(self) -> str:
        return self.inbox.state(SEAT, START + self.at).value


STORIES: Final[Mapping[str, list[tuple[float, str, str]]]] = {
    "a seat that was never heard is unknown": [(0, "", "unknown"), (1e6, "", "unknown")],
    "it runs while it reports": [(0, "report", "running"), (44, "", "running"), (44.5, "report", "running")],
    "it runs from its birth": [(0, "online", "running"), (10, "report", "running")],
    "silence for three intervals is silence, and no more": [
        (0, "report", "running"), (44.9, "", "running"), (45, "", "silent"), (1e6, "", "silent"),
        (1e6, "report", "running"),
    ],
    "killed: the will comes while it spoke": [(0, "report", "running"), (12, "offline", "died"), (99, "", "died")],
    "stopped, or its cable cut: the will comes long after": [
        (0, "report", "running"), (37, "offline", "frozen"), (1e6, "", "frozen"),
    ],
    "a will that comes after the silence tells that it froze": [
        (0, "report", "running"), (45, "", "silent"), (50, "offline", "frozen"),
    ],
    "it left in order": [(0, "report", "running"), (5, "leaving", "left"), (1e6, "", "left")],
    "a report that was under way when it left is late": [
        (0, "report", "running"), (5, "leaving", "left"), (5.1, "report", "left"), (30, "report", "running"),
    ],
    "a will after it left says nothing new": [(0, "report", "running"), (5, "leaving", "left"), (6, "offline", "left")],
    "it came back": [
        (0, "report", "running"), (12, "offline", "died"), (60, "online s2", "running"), (70, "report s2", "running"),
    ],
    "a blip: its own session comes back after its will": [
        (0, "report", "running"), (12, "offline", "died"), (13, "online", "running"), (14, "report", "running"),
    ],
    "a will of a session that does not count is passed over": [
        (0, "report", "running"), (9, "online s2", "running"), (9, "offline", "running"), (9, "report s2", "running"),
    ],
    "started again at once after a kill: no two are heard": [
        (0, "report", "running"), (3, "online s2", "running"), (4, "report s2", "running"), (9, "report s2", "running"),
    ],
    "it connects and never reports": [(0, "online", "running"), (45, "", "frozen")],
    "it connects again and reports no more": [(0, "report", "running"), (5, "online", "running"), (50, "", "frozen")],
    "online since before our time is a hint": [
        (0, "online*", "unknown"), (44, "", "unknown"), (45, "", "silent"), (50, "report", "running"),
    ],
    "gone before our time": [(0, "offline*", "died"), (5, "online s2", "running")],
    "left before our time": [(0, "leaving*", "left"), (5, "report s2", "running")],
    "the broker came back with an old word: the session has ended": [
        (0, "report", "running"), (12, "offline", "died"), (20, "online*", "died"),
    ],
    "the broker came back with an old word: the session lives": [(0, "report", "running"), (5, "online*", "running")],
    "it left and came again while we were deaf": [
        (0, "report", "running"), (100, "online* s2", "unknown"), (101, "report s2", "running"),
    ],
    "another session left while we were deaf": [(0, "report", "running"), (100, "leaving* s2", "left")],
    "it went while we were deaf: nobody knows when": [(0, "report", "running"), (100, "offline*", "died")],
    "two machines": [
        (0, "report", "running"), (7, "report s2/m2", "cloned"), (15, "report", "cloned"), (90, "", "silent"),
    ],
    "the clone is switched off": [
        (0, "report", "running"), (7, "report s2/m2", "cloned"), (15, "report", "cloned"), (30, "report", "cloned"),
        (45, "report", "cloned"), (53, "", "running"),
    ],
    "two machines, the second one told by its birth": [
        (0, "report", "running"), (7, "online s2", "running"), (8, "report s2/m2", "running"), (15, "report", "cloned"),
    ],
    "two processes on one machine": [
        (0, "report", "running"), (7, "report s2", "running"), (15, "report", "cloned"), (22, "report s2", "cloned"),
    ],
    "two that evict each other": [
        (0, "online", "running"), (1, "offline", "died"), (1, "online s2", "running"), (2, "offline s2", "died"),
        (2, "online", "cloned"), (3, "offline", "cloned"), (3, "online s2", "cloned"), (60, "", "frozen"),
    ],
    "another machine takes the place of one that left": [
        (0, "report", "running"), (5, "leaving", "left"), (20, "report s2/m2", "running"),
    ],
    "one that slept wakes after another one left": [
        (0, "report", "running"), (1000, "report s2/m2", "running"), (1010, "leaving s2", "left"),
        (2000, "report", "running"),
    ],
    "the broker's topic was cleared": [(0, "report", "running"), (5, "clear", "running")],
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_what_a_seats_agent_is_taken_for(story: list[tuple[float, str, str]]) -> None:
    host = Host()
    for at, what, word in story:
        host.at = at
        match what.replace("/", " ").split():
            case ["clear"]:
                host.inbox.take(SEAT, "status", b"", START + at, WALL + at)
            case [heard, *who]:
                host.hear(heard, *who)
        assert host.word == word, (at, what)
    assert host.inbox.dropped(START + host.at) == 0
    assert host.inbox.state("a018", START + host.at) is Word.UNKNOWN, "one seat speaks for no other"


@pytest.mark.parametrize(("interval", "died", "frozen"), [(5, 18.9, 19), (15, 29.9, 30), (60, 119.9, 120)], ids=str)
def test_when_a_will_is_late_depends_on_how_often_the_seat_speaks(interval: float, died: float, frozen: float) -> None:
    for at, word in ((died, "died"), (frozen, "frozen")):
        host = Host()
        host.hear("online", interval=interval)
        host.hear("report")
        host.at = at
        host.hear("offline")
        assert host.word == word


@pytest.mark.parametrize(("interval", "holds"), [(5, 15), (60, 180), (1, 15), (3600, 180)])
def test_a_seat_says_how_often_it_reports_within_limits(interval: float, holds: float) -> None:
    host = Host()
    host.hear("online", interval=interval)
    host.hear("report")
    host.at = holds - 0.1
    assert host.word == "running"
    host.at = holds
    assert host.word == "silent"


def test_only_what_answers_otherwise_is_told() -> None:
    host = Host()
    assert host.hear("report", online=1, cpu__percent=20) == {STATE, OFFSET, "online", "cpu.percent"}
    host.at = 15
    assert host.hear("report", online=1, cpu__percent=20) == frozenset()
    host.at = 30
    assert host.hear("report", online=1, cpu__percent=21, softphone=1) == {"cpu.percent", "softphone"}
    host.at = 45
    assert host.hear("report", online=1, cpu__percent=21) == {"softphone"}
    host.at = 50
    assert host.hear("leaving") >= {STATE, "online", "cpu.percent"}, "what it answered holds no more"


def test_time_alone_changes_a_word_once() -> None:
    host = Host()
    for at in (0, 15, 30):
        host.at = at
        host.hear("report")
    assert host.inbox.step(START + 74.9) == []
    assert host.inbox.step(START + 75.0) == [SEAT]
    assert host.inbox.step(START + 1e6) == []
    host.at = 1e6
    assert STATE in host.hear("report")
    assert host.inbox.step(START + 1e6 + 45) == [SEAT]


def test_a_clone_that_went_is_seen_to_have_gone_by_time_alone() -> None:
    host = Host()
    for at, session, machine in (
        (0, "s1", "m1"),
        (7, "s2", "m2"),
        (15, "s1", "m1"),
        (30, "s1", "m1"),
        (45, "s1", "m1"),
    ):
        host.at = at
        host.hear("report", session, machine)
    assert host.inbox.step(START + 51) == []
    assert host.inbox.step(START + 52) == [SEAT]
    assert host.inbox.state(SEAT, START + 52) is Word.RUNNING
    assert host.inbox.step(START + 90) == [SEAT]


def test_a_report_holds_for_three_intervals_and_ends_with_its_session() -> None:
    host = Host()
    host.hear("report", online=1)
    for at, there in ((0, True), (44.9, True), (45, False)):
        assert (host.inbox.answers(SEAT, START + at) is not None) is there
    host.at = 5
    host.hear("offline")
    assert host.inbox.answers(SEAT, START + 5) is None
    assert host.inbox.answers("b001", START) is None


def test_while_two_are_heard_one_answers_and_not_both_in_turn() -> None:
    host = Host()
    heard = []
    for at, session, machine, cpu in ((0, "s1", "m1", 1), (7, "s2", "m2", 2), (15, "s1", "m1", 3), (22, "s2", "m2", 4)):
        host.at = at
        host.hear("report", session, machine, cpu__percent=cpu)
        heard.append((host.inbox.answers(SEAT, START + at) or {})["cpu.percent"])
    assert heard == [1, 1, 3, 3]


@pytest.mark.parametrize(("off", "offset"), [(0.3, 0), (-0.4, 0), (312.0, 312), (-7200.0, -7200)])
def test_the_host_finds_how_far_the_seats_clock_is_off(off: float, offset: int) -> None:
    host = Host()
    host.hear("report", off=off)
    assert (host.inbox.answers(SEAT, START) or {})[OFFSET] == offset


def test_the_seats_own_time_decides_nothing_else() -> None:
    host = Host()
    host.hear("report", off=1e8)
    host.at = 44
    assert host.word == "running"
    host.at = 46
    assert host.word == "silent"


BAD_REPORTS: Final[Mapping[str, bytes]] = {
    "no JSON": b"{",
    "no object": b"[1]",
    "nothing": b"{}",
    "empty": b"",
    "no UTF-8": b'{"session": "\xff"}',
    "deep": b"[" * 3_000,
    "answers are a list": json.dumps({**json.loads(told()), "answers": [1]}).encode(),
    "a session that is none": told("../s1"),
    "a long session": told("s" * 65),
    "a machine that is a number": json.dumps({**json.loads(told()), "machine": 7}).encode(),
    "a seq that is a text": json.dumps({**json.loads(told()), "seq": "7"}).encode(),
    "a time that is none": json.dumps({**json.loads(told()), "time": "yesterday"}).encode(),
    "a time without a zone": json.dumps({**json.loads(told()), "time": "2026-01-01T00:00:00"}).encode(),
    "a number that is a text": told(cpu__percent="20"),
    "a flag": told(online=True),
    "null": told(online=None),
    "not a number": told(cpu__percent=math.nan),
    "endless": told(cpu__percent=1e400),
    "beyond reckoning": told(cpu__percent=10**18),
    "a list": told(cpu__percent=[1]),
    "a text that is a number": told(headset__model=7),
    "a long text": told(headset__model="x" * 81),
    "a text with control characters": told(headset__model="a\x1b[2Jb"),
    "two lines": told(headset__model="a\nb"),
}


@pytest.mark.parametrize("payload", BAD_REPORTS.values(), ids=BAD_REPORTS)
def test_what_is_no_report_is_dropped_as_a_whole_and_counted(payload: bytes) -> None:
    host = Host()
    host.hear("report", online=1)
    assert host.inbox.take(SEAT, "report", payload, START + 1, WALL) == frozenset()
    assert host.inbox.dropped(START + 1) == 1
    assert (host.inbox.answers(SEAT, START + 1) or {})["online"] == 1
    worst = host.inbox.worst(START + 1)
    assert worst is not None
    assert worst[0] == SEAT
    assert worst[1].startswith("malformed")


@pytest.mark.parametrize(
    "payload",
    [b"{}", said("online").replace(b"online", b"fine"), said("online", session=7), said("online", interval="15"),  # type: ignore[arg-type]
     json.dumps({"state": ["online"], "session": "s1"}).encode()],
    ids=["nothing", "another word", "session", "interval", "a list"],
)  # fmt: skip
def test_what_is_no_status_is_dropped(payload: bytes) -> None:
    host = Host()
    host.inbox.take(SEAT, "status", payload, START, WALL)
    assert (host.word, host.inbox.dropped(START)) == ("unknown", 1)


def test_a_large_report_is_not_read() -> None:
    host = Host()
    payload = told(online=1) + b" " * LARGEST
    host.inbox.take(SEAT, "report", payload, START, WALL)
    assert (host.word, host.inbox.worst(START)) == ("unknown", (SEAT, "too large"))
    host.inbox.take(SEAT, "report", told(online=1).ljust(LARGEST), START, WALL)
    assert host.word == "running"


def test_nothing_of_what_nobody_knows_goes_further() -> None:
    payload = json.loads(told(online=1, user__name="li.wei", window__title="CRM", service__crm__answer="ok"))
    found = report(json.dumps({**payload, "user": "li.wei"}).encode())
    assert found.answers == {"online": 1, "service.crm.answer": "ok"}
    assert "li.wei" not in repr(found)


def test_a_report_that_lay_at_the_broker_is_old() -> None:
    host = Host()
    host.hear("report*")
    assert (host.word, host.inbox.dropped(START)) == ("unknown", 1)


def test_a_payload_says_nothing_of_the_seat_that_is_believed() -> None:
    host = Host()
    payload = json.dumps({**json.loads(told()), "seat": "a018"}).encode()
    host.inbox.take(SEAT, "report", payload, START, WALL)
    assert host.inbox.state(SEAT, START) is Word.RUNNING
    assert host.inbox.state("a018", START) is Word.UNKNOWN


def test_seats_that_the_site_does_not_name_are_counted_and_cost_no_room() -> None:
    inbox = SeatInbox([SEAT])
    for number in range(5_000):
        inbox.take(f"x{number}" * 20, "report", told(), START, WALL)
    assert inbox.dropped(START) == 0
    assert len(inbox.strangers()) == 1_000
    assert max(map(len, inbox.strangers())) <= 40
    inbox.begin()
    inbox.take("b001", "status", said("online"), START, WALL, retained=True)
    inbox.take("b001", "status", said("online"), START, WALL)
    inbox.take("b002", "status", said("online"), START, WALL)
    assert inbox.strangers() == {"b001", "b002"}
    inbox.take("b001", "status", b"", START, WALL)
    assert inbox.strangers() == {"b002"}
    assert "b002" not in inbox
    inbox.follow([SEAT, "b002"])
    assert inbox.strangers() == frozenset()


def test_a_seat_that_floods_is_heard_once_a_second_and_costs_the_others_nothing() -> None:
    host = Host()
    taken = 0
    for number in range(100_000):
        host.at = number / 10_000
        taken += bool(host.hear("report", cpu__percent=number))
    assert taken == 10 + 9, "a burst of ten, and one a second"
    assert host.inbox.dropped(START + host.at) == 100_000 - taken
    assert host.inbox.worst(START + host.at) == (SEAT, "too many")
    assert host.inbox.floods(SEAT)
    assert not host.inbox.floods("a018")
    host.inbox.take("a018", "report", told(), START + host.at, WALL)
    assert host.inbox.state("a018", START + host.at) is Word.RUNNING
    assert host.word == "running"
    assert host.inbox.dropped(START + 64) > 0
    assert host.inbox.dropped(START + 71) == 0
    host.at = 71
    host.hear("report")
    assert not host.inbox.floods(SEAT)


def test_all_together_may_say_no_more_than_the_host_can_bear() -> None:
    seats = [f"a{number}" for number in range(1_000)]
    inbox = SeatInbox(seats)
    for _ in range(10):
        for seat in seats:
            inbox.take(seat, "report", told(), START, WALL)
    taken = 10_000 - inbox.dropped(START)
    assert taken == 200 + 3 * 1_000
    assert all(inbox.state(seat, START) is Word.RUNNING for seat in seats), "all back at once is no flood"


def test_another_configuration_keeps_what_is_known_of_the_seats_that_stay() -> None:
    host = Host()
    host.hear("report", online=1)
    host.inbox.follow([SEAT, "c001"])
    assert host.word == "running"
    assert "a018" not in host.inbox
    host.inbox.follow(["c001"])
    assert host.inbox.step(START + 100) == []
    host.hear("report", online=1)
    assert host.inbox.strangers() == {SEAT}


EVENTS = st.tuples(
    st.floats(0, 40), st.sampled_from(["report", "online", "online*", "leaving", "leaving*", "offline", "offline*"]),
    st.sampled_from(["s1", "s2", "s3"]), st.sampled_from(["m1", "m2", ""]),
)  # fmt: skip


@given(st.lists(EVENTS, max_size=40))
def test_whatever_comes_in_whatever_order(events: list[tuple[float, str, str, str]]) -> None:
    """What was told to have changed is what changed, and a seat that is heard no more is none that runs."""
    host = Host()
    last = host.word
    for pause, what, session, machine in events:
        for moved in host.inbox.step(START + host.at + pause):
            assert moved == SEAT
            last = host.inbox.state(SEAT, START + host.at + pause).value
        host.at += pause
        assert host.word == last, "time changed the word and step did not tell"
        changed = host.hear(what, session, machine)
        assert (host.word != last) is (STATE in changed)
        last = host.word
        if host.inbox.answers(SEAT, START + host.at) is not None:
            assert host.word in ("running", "cloned")
    host.at += 3 * 60 + 1
    assert host.word not in ("running", "cloned")
    assert host.inbox.answers(SEAT, START + host.at) is None


def test_what_a_shipped_seat_says_is_taken() -> None:
    speaker = Speaker("floor", "hq", SEAT, "5" * 32, "ab" * 6, 20.0, "1.0", "salt" * 4)
    host = Host()
    answers: Answers = {"online": 1, "cpu.percent": 20.5, "headset.model": b"Jabra", "service.crm.latency": 3.25}
    for name, payload in (
        ("status", speaker.status(State.ONLINE, Reason.START, 1, WALL)), ("report", speaker.report(answers, 2, WALL)),
    ):  # fmt: skip
        assert speaker.topic(name) == Tree("floor", "hq", "edge-1").seat(SEAT, name)
        host.inbox.take(SEAT, name, payload, START, WALL)
    assert host.inbox.dropped(START) == 0
    assert host.inbox.answers(SEAT, START + 59) == {
        "online": 1, "cpu.percent": 20.5, "headset.model": "Jabra", "service.crm.latency": 3.2, OFFSET: 0,
    }  # fmt: skip
    host.inbox.take(SEAT, "status", speaker.will(), START + 10, WALL)
    assert host.inbox.state(SEAT, START + 10) is Word.DIED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=90),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["state", "session", "seq", "time", "machine", "interval", "answers"]),
        JSON | st.dictionaries(st.sampled_from(["online", "headset.model", "service.crm.latency"]), JSON),
    ).map(lambda said: json.dumps(said).encode())
)
def test_no_bytes_of_a_seat_can_do_more_than_be_refused(payload: bytes) -> None:
    for read in (status, report):
        try:
            read(payload)
        except Malformed:
            continue
    SeatInbox([SEAT]).take(SEAT, "report", payload, START, WALL)


def test_the_interval_of_a_seat_that_did_not_say_it_is_the_shipped_one() -> None:
    assert INTERVAL == 15.0
