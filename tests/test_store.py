"""The store on a real disk: one transaction a batch, kill -9, a disk that is full or locked, and what is dropped."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edgeagent import store as store_module
from edgeagent.messages import GAP, Keep, Message, Place
from edgeagent.store import Batch, Entry, Limits, Store, StoreError

NOW = 1_700_000_000.0


def event(
    store: Store, name: str = "", keep: Keep = Keep.INFO, *,
    born: float = NOW, subject: str = "", clears: bool = False, size: int = 2,
) -> Message:  # fmt: skip
    seq = store.next_seq()
    body = json.dumps({"seq": seq, "name": name}).encode().ljust(size)
    return Message(
        f"event/{name or seq}", body, Place.EVENT, born=born, keep=keep, seq=seq, subject=subject, clears=clears
    )


def state(topic: str, body: bytes = b"{}", place: Place = Place.STATE) -> Message:
    return Message(topic, body, place, retain=True, born=NOW)


@contextmanager
def opened(path: Path, limits: Limits | None = None, clock: Callable[[], float] = lambda: NOW) -> Iterator[Store]:
    store = Store(path / "edge.db", limits, clock)
    try:
        yield store
    finally:
        store.close()


def topics(store: Store, limit: int = 1000) -> list[str]:
    return [row.message.topic for row in store.next_rows(limit)]


def gaps(store: Store) -> list[dict[str, Any]]:
    return [json.loads(row.message.body) for row in store.next_rows(1000) if row.message.topic == GAP]


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            batch = Batch(
                {"alarm/a": {"n": 1}, "ack/a": {"by": "li"}}, [Entry("raised", NOW, {"a": 1})], [event(store)]
            )
            await store.commit(batch)
            await store.commit(Batch({"ack/a": None}))

        asyncio.run(run())
        boot = store.boot
    with opened(tmp_path) as store:
        assert store.boot == boot + 1
        assert store.seq == 1
        assert store.load_state("alarm/") == {"alarm/a": {"n": 1}}
        assert store.load_state("ack/") == {}
        assert [(entry.seq, entry.kind, entry.body) for entry in store.journal()] == [(1, "raised", {"a": 1})]
        assert topics(store) == ["event/1"]


def test_ids_of_a_lost_file_do_not_come_back(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        first = store.boot
    (tmp_path / "edge.db").unlink()
    with opened(tmp_path, clock=lambda: NOW + 3600) as store:
        assert store.boot > first


def test_waiting_batches_share_one_transaction(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> int:
            begun = 0

            def count(statement: str) -> None:
                nonlocal begun
                begun += statement.startswith("BEGIN")

            store._db.set_trace_callback(count)
            await asyncio.gather(*(store.commit(Batch(journal=[Entry("x", NOW, {"n": n})])) for n in range(500)))
            return begun

        assert asyncio.run(run()) < 100
        assert [entry.body["n"] for entry in store.journal()] == list(range(500))


def test_a_callback_hears_of_the_commit_after_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> list[int]:
            seen: list[int] = []
            done = asyncio.Event()

            def written(error: StoreError | None, _: object) -> None:
                assert error is None
                seen.append(len(store.journal()))
                done.set()

            store.commit(Batch(journal=[Entry("x", NOW, {})]), written)
            await asyncio.wait_for(done.wait(), 30)
            return seen

        assert asyncio.run(run()) == [1]


async def alone(store: Store, ask: Callable[[], None]) -> None:
    """Have something written before anything else is."""
    ask()
    while store._queue:  # noqa: ASYNC110 - the writer is a thread
        await asyncio.sleep(0.001)


def test_the_disk_need_not_be_sure_of_what_the_broker_has_and_of_all_else_it_is(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        said: list[str] = []

        async def run() -> None:
            await store.commit(Batch(outbox=[event(store)]))
            store._db.set_trace_callback(said.append)
            await alone(store, lambda: store.delete([1]))
            await alone(store, lambda: store.tried([1]))
            await alone(store, lambda: store.note_retained(["a"]))
            await store.commit(Batch({"key": {}}))

        asyncio.run(run())
        store._db.set_trace_callback(None)
        settings = [line for line in said if line.startswith(("PRAGMA synchronous", "COMMIT"))]
        unsure = ["PRAGMA synchronous=NORMAL", "COMMIT", "PRAGMA synchronous=FULL"]
        assert settings == [*unsure, *unsure, "COMMIT", "COMMIT"]


def _folds(said: list[str]) -> list[int]:
    return [number for number, line in enumerate(said) if "wal_checkpoint" in line]


async def _write(store: Store, batches: int) -> None:
    for number in range(batches):
        await store.commit(Batch({f"key/{number}/{each}": {"text": "x" * 2_000} for each in range(4)}))


def test_the_log_is_folded_into_the_file_after_a_commit_and_never_in_one(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        said: list[str] = []
        store._db.set_trace_callback(said.append)
        asyncio.run(_write(store, 1_200))
        store._db.set_trace_callback(None)
        assert len(_folds(said)) >= 2
        assert all("COMMIT" in said[number - 1] for number in _folds(said))
        assert (tmp_path / "edge.db-wal").stat().st_size < 20_000_000
        assert store._db.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)


def test_a_log_of_some_length_is_folded_in_a_quiet_moment_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        said: list[str] = []
        store._db.set_trace_callback(said.append)
        asyncio.run(_write(store, 200))
        begun = time.monotonic()
        while not _folds(said) and time.monotonic() < begun + 10:
            time.sleep(0.02)
        store._db.set_trace_callback(None)
        assert len(_folds(said)) == 1
        assert said[-1].startswith("PRAGMA wal_checkpoint")
        assert time.monotonic() > begun + 0.3, "it was not quiet yet"


def test_an_event_on_a_healthy_disk_is_told_of_before_its_commit_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_SWIFT", 30.0)  # however busy the machine
    with opened(tmp_path) as store, sqlite3.connect(tmp_path / "edge.db") as other:

        async def run() -> list[tuple[int, list[str]]]:
            seen: list[tuple[int, list[str]]] = []

            def written(error: StoreError | None, _: object) -> None:
                assert error is None
                seen.append((other.execute("SELECT count(*) FROM outbox").fetchone()[0], topics(store)))

            store.commit(Batch(outbox=[event(store)]), written)
            told = list(seen)
            await store.commit(Batch(outbox=[event(store)]))
            assert len(seen) == 1  # once, though the loop has come round
            return told

        assert asyncio.run(run()) == [(1, ["event/1"])]


def test_a_disk_that_hangs_holds_the_loop_up_once_and_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_SLOW", 60.0)  # however busy the machine
    with opened(tmp_path) as store, sqlite3.connect(tmp_path / "edge.db", isolation_level=None) as other:

        async def run() -> tuple[list[int], list[float]]:
            told: list[int] = []
            waits: list[float] = []
            wait = store._ended.wait

            def note(number: int, error: StoreError | None, _: object) -> None:
                assert error is None
                told.append(number)

            def waited(seconds: float) -> None:
                waits.append(seconds)
                wait(seconds)

            monkeypatch.setattr(store._ended, "wait", waited)
            other.execute("BEGIN IMMEDIATE")  # the writer waits for the lock, as for a disk
            try:
                futures = [store.commit(Batch(outbox=[event(store)]), partial(note, number)) for number in range(50)]
                assert told == []
            finally:
                other.execute("ROLLBACK")
            await asyncio.gather(*futures)
            await asyncio.sleep(0)
            return told, waits

        told, waits = asyncio.run(run())
        assert told == list(range(50))
        assert sum(waits) <= 2 * store_module._SWIFT
        assert waits[0] == pytest.approx(store_module._SWIFT)
        assert topics(store) == [f"event/{number}" for number in range(1, 51)]


def test_the_outbox_is_drained_status_first_and_events_last(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            first = [event(store), state("alarm/b"), state("alarms", place=Place.SNAPSHOT)]
            await store.commit(Batch(outbox=first))
            await store.commit(Batch(outbox=[event(store), state("status", place=Place.STATUS), state("alarm/a")]))

        asyncio.run(run())
        assert topics(store) == ["status", "alarms", "alarm/b", "alarm/a", "event/1", "event/2"]
        rows = store.next_rows(2)
        assert [row.message.topic for row in store.next_rows(2, [row.id for row in rows])] == ["alarm/b", "alarm/a"]


def test_state_is_kept_once_a_topic_and_an_old_ack_does_not_delete_the_new_value(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            await store.commit(Batch(outbox=[state("t", b"1")]))
            in_flight = store.next_rows(1)[0].id
            await store.commit(Batch(outbox=[state("t", b"2"), state("t", b"3")]))
            store.delete([in_flight])
            await store.commit(Batch())

        asyncio.run(run())
        assert [row.message.body for row in store.next_rows(10)] == [b"3"]


def test_a_deleted_row_is_not_sent_again_before_the_disk_knows(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            await store.commit(Batch(outbox=[event(store), event(store)]))
            store.delete([store.next_rows(1)[0].id])
            assert topics(store) == ["event/2"]

        asyncio.run(run())


def test_a_delivered_tombstone_ends_the_record_of_its_topic(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            store.note_retained(["direct"])
            await store.commit(Batch(outbox=[state("a"), state("b")]))
            assert store.retained() == {"a", "b", "direct"}
            await store.commit(Batch(outbox=[state("a", b""), state("b", b"")]))
            dead = {row.message.topic: row.id for row in store.next_rows(10)}
            await store.commit(Batch(outbox=[state("b", b"again")]))
            store.delete(dead.values())
            await store.commit(Batch())

        asyncio.run(run())
        assert store.retained() == {"b", "direct"}


def drilled(topic: str, body: bytes = b"{}") -> Message:
    return Message(topic, body, Place.DRILL, retain=True, born=NOW, keep=Keep.TELEMETRY)


def test_all_that_is_real_goes_before_what_a_drill_has_to_say_however_late_it_comes(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            await store.commit(Batch(outbox=[drilled("d/a", b"1"), drilled("d/b"), drilled("d/a", b"2")]))
            await store.commit(Batch(outbox=[event(store), state("alarm/a"), event(store)]))

        asyncio.run(run())
        assert topics(store) == ["alarm/a", "event/1", "event/2", "d/a", "d/b", "d/a"]
        assert [row.message.body for row in store.next_rows(10)][3:] == [b"1", b"{}", b"2"], "its order is its story"
        assert topics(store, 3) == ["alarm/a", "event/1", "event/2"]


def test_what_waits_of_a_drill_is_bounded_and_costs_nothing_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeagent.outbox.DRILL", 5)
    with opened(tmp_path, Limits(events=3)) as store:
        real = [event(store), state("alarm/a"), event(store)]
        asyncio.run(_commit(store, Batch(outbox=[*real, *(drilled(f"d/{n}") for n in range(50))])))
        assert topics(store)[:3] == ["alarm/a", "event/1", "event/2"]
        assert topics(store)[3:] == [f"d/{n}" for n in range(44, 50)], "the newest"
        assert gaps(store) == []
        assert store.depth().events == 2


def test_what_a_drill_of_an_earlier_life_had_to_say_is_gone_at_once_and_its_topics_are_known(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        asyncio.run(_commit(store, Batch(outbox=[drilled("d/a"), event(store), drilled("d/b", b"")])))
    with opened(tmp_path) as store:

        async def run() -> None:
            with locked(tmp_path / "edge.db"):
                store.forget_drill()
                assert topics(store) == ["event/1"], "even while the disk refuses"
                new = store.commit(Batch(outbox=[drilled("d/new")]))
                with pytest.raises(StoreError):
                    await new
            await _until(lambda: store.trouble is None)
            await store.commit(Batch())

        asyncio.run(run())
        assert topics(store) == ["event/1", "d/new"], "what was said since is not forgotten with it"
        assert store.retained() == {"d/a", "d/new"}
        assert gaps(store) == []


CROWD: list[tuple[str, Keep]] = [
    ("telemetry", Keep.TELEMETRY),
    ("cleared", Keep.INFO),
    ("minor", Keep.MINOR),
    ("major", Keep.RAISE),
    ("critical", Keep.RAISE),
]


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        pytest.param(10, "telemetry telemetry cleared cleared minor minor major major critical critical", id="room"),
        pytest.param(9, "telemetry cleared cleared minor minor major major critical critical", id="telemetry-first"),
        pytest.param(7, "cleared minor minor major major critical critical", id="then-cleared-and-info"),
        pytest.param(5, "minor major major critical critical", id="then-minor"),
        pytest.param(2, "major major critical critical", id="never-what-stands-and-is-grave"),
    ],
)
def test_a_full_outbox_drops_in_the_order_of_need(tmp_path: Path, limit: int, left: str) -> None:
    with opened(tmp_path, Limits(events=limit)) as store:
        crowd = [event(store, name, keep) for name, keep in reversed(CROWD) for _ in range(2)]
        asyncio.run(_commit(store, Batch(outbox=crowd)))
        kept = [topic.removeprefix("event/") for topic in topics(store) if topic != GAP]
        assert sorted(kept) == sorted(left.split())
        assert sum(gap["count"] for gap in gaps(store)) == 10 - len(kept)
        assert all(gap["reason"] == "outbox-full" for gap in gaps(store))


def test_a_raise_may_go_when_its_clear_has_gone_and_not_before(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(events=3)) as store:

        async def run() -> None:
            ended = [
                event(store, "raise-a", Keep.RAISE, subject="a"),
                event(store, "clear-a", Keep.INFO, subject="a", clears=True),
            ]
            standing = [event(store, f"raise-{name}", Keep.RAISE, subject=name) for name in "bcd"]
            await store.commit(Batch(outbox=ended + standing))

        asyncio.run(run())
        assert topics(store) == [GAP, "event/raise-b", "event/raise-c", "event/raise-d"]
        assert gaps(store) == [{"from_seq": 1, "to_seq": 2, "count": 2, "reason": "outbox-full"}]


def test_bytes_and_age_bound_the_outbox_too_and_gaps_of_one_reason_are_one(tmp_path: Path) -> None:
    at = NOW
    limits = Limits(event_bytes=10_000, event_age=100)
    with opened(tmp_path, limits, lambda: at) as store:

        async def run() -> None:
            nonlocal at
            for _ in range(30):
                await store.commit(Batch(outbox=[event(store, size=1000, born=at)]))
            assert store.depth().event_bytes <= 10_000
            assert [(gap["from_seq"], gap["reason"]) for gap in gaps(store)] == [(1, "outbox-full")]
            assert gaps(store)[0]["to_seq"] == gaps(store)[0]["count"] == 30 - (store.depth().events - 1)
            at += 101
            await store.commit(Batch(outbox=[event(store, "young", born=at)]))

        asyncio.run(run())
        assert [topic for topic in topics(store) if topic != GAP] == ["event/young"]
        assert sum(gap["count"] for gap in gaps(store)) == 30
        assert sorted(gap["reason"] for gap in gaps(store)) == ["outbox-full", "too-old"]


def test_what_is_quarantined_leaves_a_gap_and_stays_readable(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            await store.commit(Batch(outbox=[event(store), event(store)]))
            store.quarantine(store.next_rows(1)[0].id, "too large")
            await store.commit(Batch())

        asyncio.run(run())
        assert topics(store) == [GAP, "event/2"]
        assert gaps(store) == [{"from_seq": 1, "to_seq": 1, "count": 1, "reason": "quarantined"}]
        assert store.depth().quarantined == 1
        kept = store._reader.execute("SELECT topic, reason FROM quarantine").fetchall()
        assert kept == [("event/1", "too large")]


def test_an_expired_message_is_not_sent(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            late = Message("late", b"{}", Place.EVENT, born=NOW - 40, expires=NOW - 10)
            await store.commit(Batch(outbox=[late, event(store)]))

        asyncio.run(run())
        assert topics(store) == ["event/1"]


def test_the_journal_is_bounded_in_rows_and_age(tmp_path: Path) -> None:
    at = NOW
    with opened(tmp_path, Limits(journal=10, journal_age=1000), lambda: at) as store:

        async def run() -> None:
            nonlocal at
            await store.commit(Batch(journal=[Entry("x", NOW, {"n": n}) for n in range(25)]))
            at += 61
            await store.commit(Batch(journal=[Entry("x", at, {"n": 25})]))
            assert [entry.seq for entry in store.journal()] == list(range(17, 27))
            at += 1000
            await store.commit(Batch(journal=[Entry("x", at, {"n": 26})]))
            assert [entry.seq for entry in store.journal(after=25)] == [26, 27]
            assert len(store.journal()) == 2

        asyncio.run(run())


# Disks that refuse.


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Let no file outgrow the write-ahead log as it is: the kernel then says EFBIG, as a full disk says ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    was = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name(path.name + "-wal").stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, was)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@pytest.mark.parametrize("refusal", [pytest.param(full_disk, id="full"), pytest.param(locked, id="locked")])
def test_a_refusing_disk_is_told_and_nothing_is_lost(
    tmp_path: Path, refusal: Callable[[Path], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            await store.commit(Batch({"n": {"n": 0}}, [Entry("x", NOW, {"n": 0})], [event(store)]))
            with refusal(tmp_path / "edge.db"):
                for n in range(1, 6):
                    batch = Batch({"n": {"n": n}}, [Entry("x", NOW, {"n": n})], [event(store, size=9000)])
                    with pytest.raises(StoreError) as told:
                        await store.commit(batch)
                    assert told.value.kept
                assert store.trouble is not None
                assert store.load_state("n") == {"n": {"n": 0}}
                assert topics(store) == [f"event/{n}" for n in range(1, 7)], "an alarm waits for no disk"
                store.delete([store.next_rows(2)[1].id])
                assert topics(store) == ["event/1", "event/3", "event/4", "event/5", "event/6"]
            await _until(lambda: store.trouble is None)
            await store.commit(Batch())

        asyncio.run(run())
        assert [entry.body["n"] for entry in store.journal()] == list(range(6))
        assert store.load_state("n") == {"n": {"n": 5}}
        assert topics(store) == ["event/1", "event/3", "event/4", "event/5", "event/6"]
        assert store.depth().unwritten == 0
    assert "the disk refuses" in caplog.text
    assert "takes writes again" in caplog.text


def test_past_the_bound_in_memory_the_caller_hears_that_the_batch_is_lost_and_readers_get_a_gap(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(waiting=3)) as store:

        async def run() -> None:
            await store.commit(Batch(outbox=[event(store)]))
            kept = []
            with locked(tmp_path / "edge.db"):
                for _ in range(5):
                    with pytest.raises(StoreError) as told:
                        await store.commit(Batch(outbox=[event(store)]))
                    kept.append(told.value.kept)
            assert kept == [True, True, True, False, False]
            await _until(lambda: GAP in topics(store))

        asyncio.run(run())
        assert topics(store) == ["event/1", "event/2", "event/3", "event/4", GAP]
        assert gaps(store) == [{"from_seq": 5, "to_seq": 6, "count": 2, "reason": "store-overflow"}]


def test_closing_writes_what_waited_for_the_disk(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            with locked(tmp_path / "edge.db"), pytest.raises(StoreError):
                await store.commit(Batch(journal=[Entry("x", NOW, {})]))

        asyncio.run(run())
    with opened(tmp_path) as store:
        assert len(store.journal()) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b"this is no database, it is a letter" * 300), id="another-file"),
        pytest.param(lambda path: _overwrite(path, 4096, 8192), id="damaged-pages"),
        pytest.param(lambda path: os.truncate(path, path.stat().st_size // 2), id="cut-short"),
    ],
)
def test_a_corrupt_file_is_moved_aside_and_said(
    tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as store:

        async def run() -> None:
            await store.commit(Batch({str(n): {"n": "x" * 500} for n in range(200)}, outbox=[event(store)]))

        asyncio.run(run())
        boot = store.boot
    spoil(tmp_path / "edge.db")
    with opened(tmp_path, clock=lambda: NOW + 60) as store:
        assert store.load_state("") == {}
        assert store.boot > boot
        asyncio.run(_commit(store, Batch({"a": {}})))
        assert store.load_state("") == {"a": {}}
    assert (tmp_path / f"edge.db.corrupt-{int(NOW + 60)}").exists()
    assert "is corrupt" in caplog.text


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    other = sqlite3.connect(tmp_path / "edge.db")
    other.execute("PRAGMA user_version=99")
    other.close()
    with pytest.raises(StoreError, match="newer version"):
        Store(tmp_path / "edge.db")
    assert list(tmp_path.glob("*corrupt*")) == []


# kill -9.

WRITER = """
import asyncio, sys
from pathlib import Path
from edgeagent.messages import Keep, Message, Place
from edgeagent.store import Batch, Entry, Store

async def main():
    store = Store(Path(sys.argv[1]))
    print("ready", flush=True)
    for _ in range(1_000_000):
        batches = []
        for _ in range(3):
            seq = store.next_seq()
            body = {"seq": seq}
            message = Message("event", b"%d" % seq, Place.EVENT, keep=Keep.RAISE, seq=seq, born=store._clock())
            record = Message(f"alarm/{seq % 7}", b"%d" % seq, Place.STATE, retain=True)
            entry = Entry("raised", store._clock(), body)
            batches.append(Batch({f"alarm/{seq % 7}": body}, [entry], [record, message]))
        await asyncio.gather(*map(store.commit, batches))
        if seq % 30 == 0:
            store.delete([row.id for row in store.next_rows(5) if row.message.place is Place.EVENT])

asyncio.run(main())
"""


def test_kill_9_at_any_moment_leaves_journal_state_and_outbox_agreeing(tmp_path: Path) -> None:
    path, seen = tmp_path / "edge.db", 0
    for _ in range(12):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(random.uniform(0.0, 0.15))
            child.kill()
        store = Store(path)
        try:
            entries = store.journal(limit=1_000_000)
            written = [entry.body["seq"] for entry in entries]
            assert written == list(range(1, len(written) + 1)), "a hole in the journal"
            assert [entry.seq for entry in entries] == written
            assert store.seq == len(written)
            rows = store.next_rows(1_000_000)
            sent = [row.message.seq for row in rows if row.message.place is Place.EVENT]
            assert sent == written[len(written) - len(sent) :], "events must be a journal's tail without a hole"
            newest = {f"alarm/{seq % 7}": seq for seq in written}
            assert {key: body["seq"] for key, body in store.load_state("alarm/").items()} == newest
            records = {row.message.topic: int(row.message.body) for row in rows if row.message.place is Place.STATE}
            assert records == newest
        finally:
            store.close()
        assert len(written) >= seen
        seen = len(written)
    assert seen > 100, "the children were killed before they wrote anything worth the name"


def _overwrite(path: Path, start: int, end: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * (end - start))


async def _commit(store: Store, batch: Batch) -> None:
    await store.commit(batch)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - the disk comes back without a word
            await asyncio.sleep(0.02)
