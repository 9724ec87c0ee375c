"""What a terminal shows of the feed: one line an event."""

from __future__ import annotations

import json

import pytest

from edgeagent.desk import line
from edgeagent.messages import Message
from edgeagent.run import RunVerb
from edgeagent.runfeed import messages_of
from tests.test_runfeed import NOW, OUTAGE, change
from tests.test_runfeed import TREE as FEED

ALARM = {
    "time": "2026-11-25T08:30:00.000Z",
    "type": "edgeagent.alarm.raised",
    "data": {
        "verb": "raised",
        "perceived_severity": "critical",
        "alarm_id": "mains.mains-lost",
        "texts": {"en": {"short_text": "Mains lost"}, "zh": {"short_text": "市电断电"}},
    },
}
GAP = {"time": "2026-11-25T08:30:00.000Z", "type": "edgeagent.gap", "data": {"from_seq": 3, "to_seq": 5, "count": 3}}


def of_a_run() -> Message:
    return messages_of([change(RunVerb.OPENED)], lambda _: OUTAGE, FEED, "zh", 1, lambda: 1, NOW)[-1]


@pytest.mark.parametrize(("language", "text"), [("en", "Mains lost"), ("zh", "市电断电")])
def test_an_alarm_is_one_line(language: str, text: str) -> None:
    assert line(ALARM, language) == f"2026-11-25T08:30:00.000Z  raised  critical  mains.mains-lost  {text}"


@pytest.mark.parametrize(("language", "text"), [("en", "en x"), ("zh", "中文 x")])
def test_what_happens_to_a_run_is_one_line_too(language: str, text: str) -> None:
    event = json.loads(of_a_run().body)
    assert line(event, language) == f"{event['time']}  opened  outage-20261119-0210  {text}"


def test_a_gap_is_told_by_its_type() -> None:
    assert line(GAP, "zh") == "2026-11-25T08:30:00.000Z  edgeagent.gap"
