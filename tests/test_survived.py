"""Rows that an earlier life of the agent wrote and that make no sense any more."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest

from edgeagent.alarm import Rule
from edgeagent.alarms import Alarms
from edgeagent.messages import Message, Place
from edgeagent.store import Batch, Entry, Store
from tests.floor import AT_ONCE, BASE, LATCHED, NAME, Floor


def test_a_row_that_cannot_be_read_is_left_out_and_costs_the_others_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "state.sqlite"

    async def write() -> None:
        store = Store(file, clock=lambda: BASE)
        sent = Message("floor/v1/a", b"{}", Place.EVENT, properties={"drill": "d"}, seq=1)
        lines = [Entry("alarm", BASE, {"n": number}) for number in range(2)]
        await store.commit(Batch({"alarm/a": {"n": 1}, "alarm/b": {"n": 2}}, lines, [sent]))
        store.close()

    asyncio.run(write())
    with sqlite3.connect(file) as db:
        db.execute("UPDATE state SET body = ? WHERE key = 'alarm/a'", (b'{"n":',))
        db.execute("UPDATE journal SET body = ? WHERE seq = 1", (b"[]",))
        db.execute("UPDATE outbox SET props = ?", (b"\xff",))
    db.close()
    store = Store(file, clock=lambda: BASE)
    try:
        assert store.load_state("alarm/") == {"alarm/b": {"n": 2}}
        assert [entry.body for entry in store.journal()] == [{"n": 1}]
        assert [(row.message.body, dict(row.message.properties)) for row in store.next_rows(10)] == [(b"{}", {})]
    finally:
        store.close()
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [line.partition(",")[0] for line in said] == ["alarm/a", "line 1 of the journal"]


def test_an_alarm_of_another_shape_is_left_out_and_the_rest_come_back(caplog: pytest.LogCaptureFixture) -> None:
    floor = Floor(AT_ONCE, LATCHED)
    floor.read(0, source="battery")
    rows = {id: floor.alarms.store(id) or {} for id in ("ups-1.on-battery", "ups-1.failed")}
    again = Alarms([Rule("ups-1", NAME, type) for type in (AT_ONCE, LATCHED)])
    again.restore({**rows, "ups-1.on-battery": {**rows["ups-1.on-battery"], "at": "noon"}}, BASE + 60)
    assert again.records().keys() == {"ups-1.failed"}
    assert "the alarm ups-1.on-battery" in caplog.text
