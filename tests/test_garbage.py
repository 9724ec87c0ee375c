"""What was there at a sweep is looked through again by one in many, and no ring of it stays for good."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from edgeagent import garbage


class Ring:
    """Something that holds itself."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_a_ring_of_late_goes_with_the_next_sweep() -> None:
    garbage.settle()
    gone = weakref.ref(Ring())
    garbage.sweep()
    assert gone() is None


def test_nothing_is_looked_through_before_a_sweep_unless_very_much_comes() -> None:
    looked: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            looked.append(info["generation"])

    garbage.settle()
    gc.callbacks.append(note)
    try:
        kept: list[object] = [Ring() for _ in range(5_000)]
        assert looked == []
        kept += [Ring() for _ in range(100_000)]
        assert looked
        assert set(looked) == {0}
    finally:
        gc.callbacks.remove(note)


def test_a_ring_that_was_there_before_goes_with_the_next_that_is_whole() -> None:
    garbage.settle()
    ring = Ring()
    garbage.sweep()
    gone = weakref.ref(ring)
    del ring
    frozen = gc.get_freeze_count()
    assert frozen
    for _ in range(garbage._WHOLE):
        garbage.sweep()
    assert gone() is None
    assert gc.get_freeze_count() > frozen / 2, "what is not garbage is kept out of the way again"
