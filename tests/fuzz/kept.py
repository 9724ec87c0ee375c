"""What an earlier life of the agent left on the disk: rows of state that were changed under it.

A file that SQLite itself finds corrupt is moved aside. This is about a row that SQLite likes and that makes no sense:
the agent has to come up, and to go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final, cast

import orjson

from edgeagent.commands import Commands
from edgeagent.feed import Feed
from edgeagent.lane import Lane
from edgeagent.ledger import SEEN, Ledger
from edgeagent.readings import Reading
from edgeagent.requests import carry_out
from edgeagent.store import Store
from tests.fuzz import targets
from tests.fuzz.said import NOW, TREE
from tests.fuzz.shared import folder, site

_SENT: Final = "sent"
"""Stands for how a message in the outbox is sent, and for what stands in a line of the journal."""


class Quiet:
    """A feed that hears what was restored and says nothing."""

    def restore(self, alarms: Iterable[object], said: Iterable[object]) -> None:
        list(alarms)
        list(said)


def rows() -> dict[str, bytes]:
    """Write all that a lane with an open alarm and an open run keeps."""
    lane = Lane(site())
    lane.view["ups-a"] = {"source": Reading("battery", NOW), "battery.charge": Reading(50, NOW)}
    lane.step([("ups-a", "source"), ("ups-a", "battery.charge")], ["ups-a"], NOW)
    lane.foresee(NOW)
    carry_out(lane, "run-open", {"mode": "live", "procedure": "system-fault", "reason": "x"}, "li", NOW)
    found: dict[str, Any] = {f"alarm/{id}": lane.floor.store(id) for id in lane.floor.touched()}
    found |= {f"run/{id}": lane.procedures.store(id) for id in lane.procedures.runs()}
    found |= {"memory/floor": lane.floor.memory(), "memory/forecast": lane.forecasts.memory(), SEEN: {"at": NOW}}
    found["answer/live/ack/t1"] = {"at": NOW, "answer": {"ok": True}}
    found[_SENT] = {"type": "application/json", "user": {"drill": "x"}}
    return {key: orjson.dumps(body) for key, body in found.items() if body is not None}


def build_state() -> targets.Run:
    root = folder()
    store = Store(root / "edgeagent.sqlite")
    beside = sqlite3.connect(root / "edgeagent.sqlite", isolation_level=None)
    beside.execute("PRAGMA synchronous=OFF")
    beside.execute("INSERT INTO outbox VALUES (1, 3, 'floor', '{}', '{}', 0, 1, 0, NULL, 4, 0, 1, NULL, 0)")
    beside.execute("INSERT INTO journal VALUES (1, ?, 'alarm', '{}')", (NOW,))
    sound = rows()

    def run(data: bytes) -> None:
        key, _, body = data.partition(b"\n")
        kept = {**sound, key.decode("utf-8", "replace"): body}
        beside.execute("BEGIN")
        beside.execute("DELETE FROM state")
        beside.executemany("INSERT INTO state VALUES (?, ?)", list(kept.items()))
        beside.execute("UPDATE outbox SET props = ?", (kept[_SENT],))
        beside.execute("UPDATE journal SET body = ?", (kept[_SENT],))
        beside.execute("COMMIT")
        assert len(store.next_rows(10)) == 1
        assert len(store.journal()) <= 1
        lane = Lane(site())
        Ledger(lane, cast("Feed", Quiet()), store, TREE, "zh").restore(NOW + 60)
        Commands(TREE, "zh", store, lambda verb, request, by: {}, lambda message, own: None, lambda: NOW + 60)
        lane.view["ups-a"] = {"source": Reading("battery", NOW + 61)}
        lane.step([("ups-a", "source")], ["ups-a"], NOW + 61)
        lane.foresee(NOW + 61)
        lane.floor.orphans()

    return run


def seeds_state() -> list[bytes]:
    return [key.encode() + b"\n" + body for key, body in rows().items()]


TARGETS: Final = (targets.Target("state", build_state, seeds_state, ("edgeagent.ledger", "edgeagent.store"), 4096),)
