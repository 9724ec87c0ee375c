"""The wheel against a plain list of times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.links.wheel import GRAIN, Wheel

times = st.floats(0, 100)


@given(st.lists(times, max_size=50), st.lists(times, max_size=10), st.booleans())
def test_everything_comes_once_not_early_and_a_grain_late_at_most(
    items: list[float], looks: list[float], asked: bool
) -> None:
    wheel: Wheel[float] = Wheel(lambda _: True)
    waiting: list[float] = []
    for item in items:
        wheel.add(item, item)
        waiting.append(item)
    for now in sorted(looks):
        came = list(wheel.due(now))
        assert all(item <= now for item in came)
        for item in came:
            waiting.remove(item)
        assert all(item > now - GRAIN - 1e-9 for item in waiting)
        if asked:
            assert (wheel.next() is None) is (not waiting)
    assert (wheel.next() is None) is (not waiting)
    rest = list(wheel.due(1000))
    assert sorted(rest) == sorted(waiting)


def test_only_the_first_of_a_grain_says_when_to_wake() -> None:
    wheel: Wheel[str] = Wheel(lambda _: True)
    woken = [wheel.add("a", 1.001), wheel.add("b", 1.002), wheel.add("c", 5.0), wheel.add("d", 1.003)]
    assert [when is None for when in woken] == [False, True, False, True]
    assert wheel.next() == woken[0]
    assert list(wheel.due(1.5)) == ["a", "b", "d"]
    assert wheel.next() == woken[2]


@given(st.lists(st.tuples(times, st.booleans()), max_size=50, unique_by=lambda each: each[0]), times)
def test_nobody_is_woken_for_what_no_longer_matters(items: list[tuple[float, bool]], now: float) -> None:
    left = [when for when, matters in items if matters]
    wheel: Wheel[float] = Wheel(left.__contains__)
    for when, _ in items:
        wheel.add(when, when)
    first = wheel.next()
    assert first is None if not left else first is not None and min(left) <= first <= min(left) + GRAIN + 1e-9
    assert sorted([*wheel.due(now), *wheel.due(1000)]) == sorted(left)


def test_what_ceases_to_matter_while_others_are_seen_to_is_passed_over() -> None:
    ended: set[str] = set()
    wheel: Wheel[str] = Wheel(lambda item: item not in ended)
    for when in (1.0, 1.5):
        wheel.add("twice", when)
    came = []
    for item in wheel.due(2.0):
        came.append(item)
        ended.add(item)
    assert came == ["twice"]
