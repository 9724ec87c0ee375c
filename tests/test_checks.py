"""What conditions are compiled to, against their trees: whatever is read, both say the same."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.catalog import Catalog
from edgeagent.driverfiles import load
from edgeagent.readings import PARTIAL, UNKNOWN_ENUM, UNVERIFIED, Missing, Quality, Reading, Value
from edgeagent.resources import drivers
from edgeagent.rules import Condition, _Scope, parse

CATALOG: Final[Catalog] = load([drivers()])
ALARMS: Final = [alarm for kind in CATALOG.kinds.values() for alarm in kind.alarms.values()]
OWN: Final = [
    "not (a > limit and not b <= a) or c", "a in [1, on, true] and s has x", "not s has x.high or bad(a)", "a = true",
    "b != 1 and not (a < 1 or absent(b))", "unknown(s) or a >= b", "not a >= -1.5", "s has x and a > 1 or not c",
]  # fmt: skip
CONDITIONS: Final[list[Condition]] = sorted(
    {
        *(level.when for alarm in ALARMS for level in alarm.levels),
        *(alarm.clear for alarm in ALARMS if alarm.clear is not None),
        *(point.doubt for kind in CATALOG.kinds.values() for point in kind.points.values() if point.doubt is not None),
        *(item.when for driver in CATALOG.drivers.values() for item in driver.items if item.when is not None),
        *map(parse, OWN),
    },
    key=lambda condition: condition.text,
)
NUMBERS: Final = st.sampled_from([0, 1, -1, 1.5, 0.0, True, False]) | st.integers(-300, 300) | st.floats(-300, 300)
REASONS: Final = [*(missing.value for missing in Missing), "not-fitted", "stale", "implausible", "sensor-fault"]


@st.composite
def readings(draw: st.DrawFn, condition: Condition) -> dict[str, Reading]:
    """Draw readings, good, uncertain, bad or missing, of the points that a condition names, near to what it asks."""
    words = sorted({word for _, word in condition.words}) or ["on"]
    bounds = [float(found) for found in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])", condition.text)] or [1.0]
    members = st.frozensets(st.sampled_from([*words, *(f"{word}.high" for word in words), "other"]), max_size=3)
    values: st.SearchStrategy[Value] = NUMBERS | st.sampled_from(words) | members | st.sampled_from(bounds)
    uncertain = st.sampled_from([PARTIAL, UNVERIFIED, UNKNOWN_ENUM])
    one = (
        st.builds(Reading, values, st.just(0.0))
        | st.builds(Reading, values, st.just(0.0), st.just(Quality.UNCERTAIN), uncertain)
        | st.builds(Reading, st.none() | values, st.just(0.0), st.just(Quality.BAD), st.sampled_from(REASONS))
    )
    return draw(st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(condition.points), one)))


@pytest.mark.parametrize("part", range(4))
@settings(deadline=None, max_examples=250)
@given(data=st.data())
def test_a_compiled_condition_says_what_its_tree_says(part: int, data: st.DataObject) -> None:
    condition = data.draw(st.sampled_from(CONDITIONS[part::4]))
    view = data.draw(readings(condition))
    limit = data.draw(st.none() | st.integers(-300, 300) | st.floats(-300, 300))
    slack = data.draw(st.sampled_from([0.0, 0.5, 2.0, -1.0]))
    truth = condition.root.truth(_Scope(view, limit, slack))
    assert condition.holds(view, limit, slack) is (truth if isinstance(truth, bool) else None)


@pytest.mark.parametrize("text", OWN)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_each_form_of_a_condition_is_compiled_as_it_reads(text: str, data: st.DataObject) -> None:
    condition = parse(text)
    view = data.draw(readings(condition))
    truth = condition.root.truth(_Scope(view, 1.0, 0.5))
    assert condition.holds(view, 1.0, 0.5) is (truth if isinstance(truth, bool) else None)
