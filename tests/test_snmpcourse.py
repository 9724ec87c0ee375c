"""Polls of a device that was polled before, held against polls of one that nobody knows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.links import Plan
from edgeagent.links.snmpcourse import Course
from edgeagent.links.snmpdevice import Device, Question
from edgeagent.links.snmplayout import Community
from edgeagent.links.snmpmessage import Ask, Response
from edgeagent.links.snmppoll import Come, Known, Pace, Poll
from edgeagent.readings import Answers, Missing, Raw

TABLE = "1.3.9"
GETS = tuple(f"1.3.{number}.0" for number in range(1, 8))
PLAN = Plan(GETS, (TABLE,))
TAGS = {int: 2, bytes: 4, str: 6}


@dataclass
class Card:
    """A device made of objects. `broken` ones spoil an answer, `most` is what it takes at once, `v1` how it refuses."""

    objects: dict[str, Raw] = field(default_factory=lambda: dict[str, Raw](dict.fromkeys(GETS, 7)))
    broken: frozenset[str] = frozenset()
    mute: bool = False
    most: int = 20
    v1: bool = False
    heard: list[tuple[Ask, tuple[str, ...]]] = field(default_factory=list)

    def answer(self, ask: Ask, oids: tuple[str, ...]) -> Response | Missing:
        self.heard.append((ask, oids))
        if self.mute:
            return Missing.TIMEOUT
        if len(oids) > self.most:
            return Response(1, 0, (), b"", ())
        if self.broken & set(oids):
            return Missing.MALFORMED
        named = [(oid, oid if ask is Ask.GET else self.after(oid)) for oid in oids]
        names = tuple(name or oid for oid, name in named)
        values = [self.objects.get(name or "", Missing.ABSENT) for _, name in named]
        if self.v1 and Missing.ABSENT in values:
            return Response(
                2, values.index(Missing.ABSENT) + 1, oids, bytes([5]) * len(oids), (Missing.NULL,) * len(oids)
            )
        tags = bytes(0x82 if value is Missing.ABSENT else TAGS[type(value)] for value in values)
        return Response(0, 0, names, tags, tuple(values))

    def after(self, oid: str) -> str | None:
        def order(name: str) -> list[int]:
            return [int(arc) for arc in name.split(".")]

        return min((name for name in self.objects if order(name) > order(oid)), key=order, default=None)


class Bench:
    """Puts the questions of one device to its card, in turn, never from inside the call that asks."""

    def __init__(self, card: Card, plan: Plan = PLAN, batch: int = 20) -> None:
        self.card = card
        self.device = Device("ups", 161, Community("2c", "public"), Pace(batch), [], numeric=True)
        self.waiting: deque[Callable[[], None]] = deque()
        self.most = 0
        self.plan = plan
        self.course = Course(self.device, plan, self.ask, self.go_on)

    def ask(self, question: Question, _: float) -> None:
        self.put(question.ask, question.oids, question.come)

    def put(self, ask: Ask, oids: tuple[str, ...], come: Come) -> None:
        self.waiting.append(lambda: come(self.card.answer(ask, oids)))
        self.most = max(self.most, len(self.waiting))

    def go_on(self, device: Device, plan: Plan, known: Known, _: float, done: Callable[[Answers], None]) -> None:
        Poll(plan, device.pace, self.put, done, known).step()

    def poll(self) -> Answers:
        return self._run(lambda done: self.course.start(9.0, done))

    def anew(self) -> Answers:
        """Poll as if the device were asked for the first time."""
        return self._run(lambda done: Poll(self.plan, Pace(self.device.pace.batch), self.put, done).step())

    def _run(self, start: Callable[[Callable[[Answers], None]], None]) -> Answers:
        came: list[Answers] = []
        start(came.append)
        while self.waiting:
            assert not came
            self.waiting.popleft()()
        assert len(came) == 1
        return came[0]


def test_the_same_answers_are_the_same_object() -> None:
    bench = Bench(Card())
    first = bench.poll()
    assert first == {**dict.fromkeys(GETS, 7), TABLE: 0}
    assert bench.poll() is first


def test_a_change_gives_another_object_and_leaves_the_one_before_as_it_was() -> None:
    bench = Bench(Card())
    first = bench.poll()
    bench.card.objects[GETS[2]] = 8
    second = bench.poll()
    assert first[GETS[2]] == 7
    assert second == {**first, GETS[2]: 8}
    assert bench.poll() is second


def test_gets_and_the_first_row_of_a_walk_are_asked_together_and_no_more_than_two_at_a_time() -> None:
    bench = Bench(Card(), Plan(GETS, (TABLE, "1.3.10", "1.3.11")), batch=3)
    for _ in range(2):
        bench.poll()
        assert bench.most == 2
    assert len(bench.card.heard) == 2 * 6
    two = Bench(Card())
    two.poll()
    two.card.heard.clear()
    two.course.start(9.0, lambda _: None)
    assert len(two.waiting) == 2


def test_rows_that_come_and_go_are_followed_and_told() -> None:
    bench = Bench(Card())
    told = [bench.poll()]
    for rows in ([1], [1], [1, 2], [2], [2, 3], [1, 2, 3], []):
        kept = {name: value for name, value in bench.card.objects.items() if not name.startswith(TABLE)}
        bench.card.objects = kept | {f"{TABLE}.{row}": 100 + row for row in rows}
        told.append(bench.poll())
        assert told[-1] == {**dict.fromkeys(GETS, 7), TABLE: len(rows), **{f"{TABLE}.{row}": 100 + row for row in rows}}
    assert told[2] is told[1]


def test_a_device_with_rows_is_asked_no_more_than_one_that_nobody_knows() -> None:
    bench = Bench(Card())
    bench.card.objects |= {f"{TABLE}.{row}": row for row in range(1, 4)}
    asked: list[int] = []
    for poll in (bench.anew, bench.poll, bench.poll):
        bench.card.heard.clear()
        poll()
        asked.append(len(bench.card.heard))
    assert asked == [5, 5, 5]


def test_a_walk_ends_at_64_rows_every_time() -> None:
    bench = Bench(Card())
    bench.card.objects |= {f"{TABLE}.{row}": row for row in range(1, 200)}
    answers = bench.poll()
    assert answers[TABLE] == 64
    assert len(answers) == len(GETS) + 65
    assert bench.poll() is answers


@pytest.mark.parametrize("trouble", ["mute", "broken", "v1"])
def test_what_came_before_trouble_is_not_taken_for_the_same_after_it(trouble: str) -> None:
    bench = Bench(Card())
    before = bench.poll()
    card = bench.card
    well = (card.mute, card.broken, card.v1)
    if trouble == "mute":
        card.mute = True
    elif trouble == "broken":
        card.broken = frozenset({GETS[1]})
    else:
        card.v1, seven = True, card.objects.pop(GETS[1])
    for _ in range(2):
        assert bench.poll() == bench.anew() != before
    card.mute, card.broken, card.v1 = well
    if trouble == "v1":
        card.objects[GETS[1]] = seven
    after = bench.poll()
    assert after == before
    assert bench.poll() is after


def test_a_silent_device_is_asked_two_questions_and_no_more() -> None:
    bench = Bench(Card(mute=True), Plan(GETS, (TABLE, "1.3.10")), batch=2)
    answers = bench.poll()
    assert answers == dict.fromkeys((*GETS, TABLE, "1.3.10"), Missing.TIMEOUT)
    assert len(bench.card.heard) == 2


def test_what_was_answered_counts_when_the_rest_falls_silent() -> None:
    bench = Bench(Card(), batch=4)
    bench.poll()
    silent = partial(Card.answer, bench.card)

    def half(ask: Ask, oids: tuple[str, ...]) -> Response | Missing:
        return Missing.TIMEOUT if GETS[0] in oids else silent(ask, oids)

    bench.card.answer = half  # type: ignore[method-assign]
    assert bench.poll() == {
        **dict.fromkeys(GETS[:4], Missing.TIMEOUT),
        **dict.fromkeys(GETS[4:], 7),
        TABLE: Missing.TIMEOUT,
    }


values = st.integers(-3, 3) | st.sampled_from((b"", b"a", "1.3"))
rows = st.dictionaries(st.integers(1, 6).map(lambda row: f"{TABLE}.{row}"), values, max_size=4)
states = st.builds(
    Card,
    objects=st.builds(
        lambda objects, rows: objects | rows | {"1.4.0": 1},
        st.dictionaries(st.sampled_from(GETS), values, min_size=4),
        rows,
    ),
    broken=st.just(frozenset[str]()) | st.sampled_from((frozenset({GETS[3]}), frozenset({TABLE}))),
    mute=st.sampled_from((False, False, False, True)),
    most=st.sampled_from((20, 20, 20, 3)),
    v1=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(states, st.integers(1, 3)), min_size=1, max_size=6), st.sampled_from((2, 5, 20)))
def test_a_known_device_is_read_as_one_that_nobody_knows(story: list[tuple[Card, int]], batch: int) -> None:
    bench = Bench(Card(), batch=batch)
    for card, times in story:
        bench.card = card
        for _ in range(times):
            expected = bench.anew()
            assert bench.poll() == expected
            assert bench.most <= 2
