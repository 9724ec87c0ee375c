"""One short storm of faults; `make soak` runs longer ones, each with a seed of its own."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests.broker import needs_mosquitto
from tests.soak.storm import SEEN, Shown, Span, Storm, rage

pytestmark = [needs_mosquitto, pytest.mark.slow]


def test_in_a_storm_of_faults_everything_is_told_that_could_be_seen(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(1_000_000))
    print("seed", seed)
    figures, findings = rage(tmp_path, 25.0, seed)
    print(figures)
    assert not findings, f"{figures}\n" + "\n".join(findings)


def test_the_oracle_asks_for_nothing_that_could_not_be_seen() -> None:
    span = Span([(2.0, 4.0), (6.0, 7.0)])
    assert span.spoils(0.0, 4.0 + SEEN - 0.1)
    assert not span.spoils(0.0, 7.0 + SEEN)
    assert not span.spoils(10.0, 10.0 + SEEN)


def event(seq: int, verb: str, at: float, alarm: str = "ups-a.fan-fault") -> dict[str, Any]:
    return {
        "seq": seq, "subject": alarm, "time": datetime.fromtimestamp(at, UTC).isoformat(), "data": {"verb": verb}
    }  # fmt: skip


WELL: Final = (event(1, "raised", 101), event(2, "cleared", 109))
SILENT: Final = "ups-a.unreachable"


@pytest.mark.parametrize(
    ("events", "finding"),
    [
        pytest.param([*WELL], None, id="all well"),
        pytest.param([], "was never raised", id="a fault lost"),
        pytest.param([event(1, "raised", 101)], "never ended", id="a clear lost"),
        pytest.param([event(1, "raised", 101), event(3, "cleared", 109)], "[2]", id="a hole"),
        pytest.param(
            [*WELL, *(event(n, "raised", 110, SILENT) for n in (3, 4)), event(5, "oscillating", 110, SILENT)],
            None, id="a wire that chatters",
        ),
        pytest.param([*WELL, event(3, "raised", 110, SILENT)], "never ended", id="a silence that never ends"),
        pytest.param(
            [event(1, "raised", 101), event(2, "cleared", 109), event(3, "raised", 150), event(4, "cleared", 151)],
            "did not show it", id="a false alarm",
        ),
    ],
)  # fmt: skip
def test_the_oracle_finds(tmp_path: Path, events: list[dict[str, Any]], finding: str | None) -> None:
    storm: Any = Storm(tmp_path, 0)
    storm.story = [Shown("ups-a.fan-fault", 100.0, 108.0)]
    messages = [
        {"topic": "floor/v1/test/live/event/alarm/minor", "payload": json.dumps(each)} for each in events
    ]  # fmt: skip
    storm.ear = SimpleNamespace(events=lambda: events, messages=messages)
    found = storm.findings()
    assert len(found) == (finding is not None)
    assert finding is None or finding in found[0]
