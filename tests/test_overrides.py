"""Alarm types that sites set alike are one object; the slow way beside it says what they must be."""

from __future__ import annotations

import pytest

from edgeagent import driverfiles, resources
from edgeagent.catalog import Kind
from edgeagent.mistakes import Path_
from edgeagent.overrides import Overridden, Override, overridden


@pytest.fixture(scope="module")
def ups() -> Kind:
    """Load the kind of a UPS."""
    return driverfiles.load([resources.drivers()], frozenset({"ups/apc-powernet"})).kinds["ups"]


def unheard(path: Path_, text: str) -> None:
    """Fail on a mistake where none is."""
    pytest.fail(f"{path}: {text}")


def test_what_is_set_alike_is_made_once_and_as_the_slow_way_makes_it(ups: Kind) -> None:
    shared = Overridden()
    one, other, third = (shared(ups, {"on-battery": Override(on_delay=delay)}, unheard) for delay in (1.0, 1.0, 2.0))
    assert one is other
    assert one == overridden(ups, {"on-battery": Override(on_delay=1.0)}, unheard)
    assert third == overridden(ups, {"on-battery": Override(on_delay=2.0)}, unheard) != one


def test_a_mistake_is_said_each_time_it_is_made(ups: Kind) -> None:
    shared, said = Overridden(), list[Path_]()
    for _ in range(2):
        shared(ups, {"on-batery": Override()}, lambda path, _: said.append(path))
    assert said == [("on-batery",), ("on-batery",)]
