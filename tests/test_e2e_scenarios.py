"""Each shipped scenario of a drill that is no outage, on the true agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.broker import needs_mosquitto
from tests.drillhall import SCENARIOS, Hall, all_marked, comes_out

pytestmark = [needs_mosquitto, pytest.mark.slow]


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with ExitStack() as stack:
        yield Hall(stack, tmp_path_factory.mktemp("hall"))


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if not each.startswith("outage-")])
def test_a_shipped_scenario_comes_out_as_it_says(hall: Hall, scenario: str) -> None:
    comes_out(hall, scenario)


def test_all_that_was_said_of_these_drills_bears_its_mark(hall: Hall) -> None:
    all_marked(hall)
