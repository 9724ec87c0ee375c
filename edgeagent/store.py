"""What must survive: state, journal and outbox in one SQLite file, written together by one thread.

A change, its journal entry and its messages are one transaction with `synchronous=FULL`, so a kill or a power cut
leaves all of them or none. That the broker has a message may go with the power: it is sent twice then. Batches that
wait while the disk is busy share one COMMIT. When the disk refuses (full, locked, read-only) the callers are told, the
batches stay in memory in their order, and their messages can already be sent: a full disk may not silence an alarm.

The writer thread alone writes. Reads run on the caller's thread through a second, read-only connection. Who commits an
event stands aside for the few ms in which a healthy disk has it: the interpreter then is the writer's alone, and what
was written can be sent in the same breath. A disk that takes longer is not waited for, and not again until it is well.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

from edgeagent import database, outbox
from edgeagent.bell import Bell
from edgeagent.messages import Message, Place
from edgeagent.survived import unpacked

log = logging.getLogger(__name__)

_RETRY, _QUIET, _CHECKS = 1.0, 0.5, 60.0
_SWIFT: Final = 0.005
"""s that a healthy disk takes at most, and for which the loop waits for it."""
_SLOW: Final = 0.1
"""s for which nothing waits for a disk that took longer: it can take a twentieth of the time from polling."""
Body: TypeAlias = Mapping[str, Any]
"""A JSON object as the store keeps it."""


class StoreError(Exception):
    """The disk refused. `reason` says how; `kept` tells that the batch waits in memory and will be written later."""

    def __init__(self, reason: str, *, kept: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kept = kept


Done: TypeAlias = Callable[[StoreError | None, Sequence[outbox.Row]], None]
"""Hears that a batch is on the disk, or that the disk refused it, and which rows of the outbox its messages are."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the file may grow to: rows, bytes, ages in s. `waiting` bounds the batches kept while the disk refuses."""

    events: int = 50_000
    event_bytes: int = 100_000_000
    event_age: float = 72 * 3600.0
    journal: int = 500_000
    journal_age: float = 400 * 86_400.0
    quarantine: int = 1_000
    waiting: int = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. `seq` is given by the store and grows by one."""

    kind: str
    time: float
    body: Body
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What belongs together: state by key (None removes it), journal entries, messages to send.

    `retained` are topics that are about to hold what was made of the state: nothing older is sent to them any more.
    """

    state: Mapping[str, Body | None] = field(default_factory=dict)
    journal: Sequence[Entry] = ()
    outbox: Sequence[Message] = ()
    retained: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """One thing to write, who waits for it, the rows it adds and takes away. What is `light` may go with the power."""

    write: Callable[[sqlite3.Connection], None]
    future: asyncio.Future[None] | None = None
    done: Done | None = None
    rows: tuple[outbox.Row, ...] = ()
    gone: tuple[int, ...] = ()
    light: bool = False


class Store:
    """The agent's memory on disk. Open it once a process; `boot` has then grown by one.

    Raises:
        StoreError: when the file cannot be opened or is written by a newer version. A corrupt file is moved aside
            and a fresh one is made.
    """

    def __init__(self, path: Path, limits: Limits | None = None, clock: Callable[[], float] = time.time) -> None:
        self.limits = limits or Limits()
        self._clock = clock
        try:
            self._db = database.opened(path, clock())
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{path}: {error}", kept=False) from error
        self._reader = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
        self._reader.execute("PRAGMA query_only=1")
        meta = dict(self._reader.execute("SELECT key, value FROM meta"))
        self.boot: Final[int] = meta["boot"]
        self._seq: int = meta["seq"]
        self._row: int = meta["row"]
        self.trouble: str | None = None
        """Why the disk refuses at the moment, None while it does not."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unwritten: dict[int, outbox.Row] = {}
        self._gone: set[int] = set()
        self._refused: list[int] = []
        self._asked, self._ended = Bell(), Bell()  # there is work for the writer, and it has done some
        self._news: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._slow_until = self._checked = 0.0
        self._queue: deque[_Work] = deque()
        self._put_in = self._done = 0
        self._closing = self._aside = False
        self._crash: BaseException | None = None
        self._folded = self._db.total_changes
        self._thread = threading.Thread(target=self._write_until_closed, name="store", daemon=True)
        self._thread.start()

    # What the agent asks for, on the event loop.

    @property
    def seq(self) -> int:
        """The last event number that was given out."""
        return self._seq

    def next_seq(self) -> int:
        """Give out the next event number. It is on the disk when the event that carries it is."""
        self._seq += 1
        return self._seq

    def commit(self, batch: Batch, done: Done | None = None) -> asyncio.Future[None]:
        """Write a batch; the future and `done` hear of it after the COMMIT, on the running loop.

        Of a batch with an event `done` may hear before this returns. They get a StoreError when the disk refuses; with
        its `kept` the batch is written later all the same, before any younger one: do not hand it in again.
        """
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = self._loop.create_future()
        rows = [outbox.Row(self._row + number, message) for number, message in enumerate(batch.outbox, 1)]
        self._row += len(rows)
        future.add_done_callback(lambda ended: _refuse(ended, done, rows))
        if self.trouble is not None and len(self._queue) >= self.limits.waiting:
            self._refused += [row.message.seq for row in rows if row.message.seq is not None]
            future.set_exception(StoreError(f"{self.trouble}, and no room to keep it in memory", kept=False))
            return future
        work = _Work(_writes(batch, rows, self._row), future, done, tuple(rows))
        self._put(work)
        if self.trouble is not None:
            self._fail([work], self.trouble)
        elif any(row.message.place >= Place.EVENT for row in rows):
            self._stand_aside()
        return future

    def delete(self, ids: Iterable[int]) -> None:
        """Take rows out of the outbox that the broker has. A delivered tombstone also ends the topic's record."""
        gone = tuple(ids)
        self._remove(gone, lambda db: outbox.delete(db, gone), light=True)

    def quarantine(self, id: int, reason: str) -> None:
        """Move a row aside that the broker will never take; a gap event stands in for a numbered one."""
        at, keep = self._clock(), self.limits.quarantine
        self._remove((id,), lambda db: outbox.quarantine(db, id, reason, at, keep))

    def _remove(self, gone: tuple[int, ...], write: Callable[[sqlite3.Connection], None], light: bool = False) -> None:
        """Make rows invisible now; the disk hears of it when it can. A crash in between sends them twice."""
        self._loop = asyncio.get_running_loop()
        self._gone.update(gone)
        for id in gone:
            self._unwritten.pop(id, None)
        self._put(_Work(write, gone=gone, light=light))

    def tried(self, ids: Collection[int]) -> None:
        """Count one more attempt that ended without an answer or with a refusal that may pass."""
        tried = list(ids)
        self._put(_Work(lambda db: outbox.tried(db, tried), light=True))

    def forget_drill(self) -> None:
        """Drop at once what a drill of an earlier life still had to say; call it before anything new is said of one."""
        self._remove(outbox.of_drill(self._reader), outbox.forget_drill)

    def note_retained(self, topics: Iterable[str]) -> None:
        """Remember topics whose retained message did not go through the outbox."""
        noted = [(topic,) for topic in topics]
        self._put(_Work(lambda db: outbox.note(db, noted)))

    def next_rows(self, limit: int, exclude: Collection[int] = ()) -> list[outbox.Row]:
        """Return what to send next: status, snapshots, other state, then events by id; what has expired is left out."""
        now = self._clock()
        try:
            rows = outbox.following(self._reader, limit, self._gone.union(exclude), now)
        except sqlite3.DatabaseError as error:
            rows = []
            if self.trouble is None:
                log.warning("outbox cannot be read: %s", error)
        if self._unwritten:
            known = {row.id for row in rows}.union(exclude)
            rows = outbox.in_order([*rows, *(row for row in self._unwritten.values() if row.id not in known)])
        return rows[:limit]

    def depth(self) -> outbox.Depth:
        """Measure the outbox."""
        return outbox.depth(self._reader, len(self._unwritten))

    def load_state(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Return all state whose key begins with the prefix, in the order of the keys."""
        found = self._reader.execute(
            "SELECT key, body FROM state WHERE key >= ? AND key < ? ORDER BY key", (prefix, prefix + "\U0010ffff")
        )
        return {key: said for key, body in found if (said := unpacked(body, key)) is not None}

    def journal(self, since: float = 0.0, kind: str | None = None, after: int = 0, limit: int = 10_000) -> list[Entry]:
        """Return journal entries, oldest first, from the time `since` (epoch s) and after the seq `after`."""
        found = self._reader.execute(
            "SELECT kind, time, body, seq FROM journal WHERE time >= ? AND seq > ? AND (?3 IS NULL OR kind = ?3)"
            " ORDER BY seq LIMIT ?4",
            (since, after, kind, limit),
        )
        return [
            Entry(kind, time, said, seq)
            for kind, time, body, seq in found
            if (said := unpacked(body, f"line {seq} of the journal")) is not None
        ]

    def retained(self) -> set[str]:
        """Return every topic that holds, or may hold, a retained message of ours."""
        return {topic for (topic,) in self._reader.execute("SELECT topic FROM retained")}

    def close(self) -> None:
        """Write what waits, once more if the disk refused before, and close the file."""
        self._closing = True
        self._asked.ring()
        self._thread.join(10.0)
        if self._queue:
            log.error("%d batches could not be written before the end: %s", len(self._queue), self.trouble)
        self._reader.close()
        self._db.close()

    def _put(self, work: _Work) -> None:
        if self._crash is not None:
            raise RuntimeError("the store's writer has stopped") from self._crash
        self._put_in += 1
        self._queue.append(work)
        self._asked.ring()

    def _stand_aside(self) -> None:
        """Leave the interpreter to the writer until it has done all there is, or has shown that it takes its time."""
        now, wanted = time.monotonic(), self._put_in
        if now < self._slow_until:
            return
        self._aside, end = True, now + _SWIFT
        while self._done < wanted and now < end:
            self._ended.wait(end - now)
            now = time.monotonic()
        self._aside = False
        self._slow_until = 0.0 if self._done >= wanted else now + _SLOW
        self._hear()

    def _hear(self) -> None:
        """Take what the writer has to tell, in its order."""
        while self._news:
            call, args = self._news.popleft()
            call(*args)

    def _written(self, works: Sequence[_Work]) -> None:
        if self.trouble is not None:
            log.warning("store: the disk takes writes again, %d waiting batches written", len(works))
            self.trouble = None
        told = [(w.done, w.rows) for w in works if w.done is not None and w.future is not None and not w.future.done()]
        for work in works:
            for row in work.rows:
                self._unwritten.pop(row.id, None)
            self._gone.difference_update(work.gone)
            if work.future is not None and not work.future.done():
                work.future.set_result(None)
        # At once: by way of the future an alarm would wait for one more turn of a loop that may be busy.
        with ExitStack() as stack:  # one that fails keeps nothing from the others
            for done, rows in reversed(told):
                stack.callback(done, None, rows)
        if self._refused:
            gap = outbox.gap(self._refused, "store-overflow", self._clock())
            self._refused = []
            self.commit(Batch(outbox=[gap]))

    def _fail(self, works: Sequence[_Work], reason: str) -> None:
        if self.trouble is None:
            log.error("store: the disk refuses: %s; batches wait in memory", reason)
        self.trouble = reason
        for work in works:
            if work.future is not None and not work.future.done():
                self._unwritten.update((row.id, row) for row in work.rows)
                work.future.set_exception(StoreError(reason, kept=True))

    # The writer thread.

    def _write_until_closed(self) -> None:
        refused = False
        while True:
            again = time.monotonic() + (_RETRY if refused else _QUIET)
            while not self._closing and (refused or not self._queue) and (left := again - time.monotonic()) > 0:
                self._asked.wait(left)
            last, works = self._closing, list(self._queue)
            if works:
                refused = not self._written_together(works)
            if not (refused or last):
                self._folded = database.fold(self._db, self._folded, quiet=not works)
            # An attempt that began before the end was asked for is not the last one.
            if self._crash is not None or (last and (refused or not self._queue)):
                return

    def _written_together(self, works: list[_Work]) -> bool:
        try:
            self._transact(works)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError) as error:
            self._crash = error  # a bug, not the disk: the next caller of commit meets it
            self._post(self._crashed, works)
            return False
        except sqlite3.DatabaseError as error:
            self._post(self._fail, works, f"{error} ({getattr(error, 'sqlite_errorname', 'unknown')})")
            return False
        self._post(self._written, [self._queue.popleft() for _ in works], done=len(works))
        return True

    def _crashed(self, works: Sequence[_Work]) -> None:
        for work in works:
            if work.future is not None and not work.future.done():
                work.future.set_exception(RuntimeError(f"the store's writer has stopped: {self._crash}"))

    def _transact(self, works: Sequence[_Work]) -> None:
        db, now = self._db, self._clock()
        # Without power what the broker has is sent twice: no alarm need wait until the disk is sure of that.
        with database.transaction(db, sure=not all(work.light for work in works)):
            for work in works:
                work.write(db)
            outbox.bound(db, now, self.limits.events, self.limits.event_bytes)
            if any(row.message.place is Place.DRILL for work in works for row in work.rows):
                outbox.bound_drill(db)
            if not 0 <= now - self._checked < _CHECKS:
                self._checked = now
                outbox.expire(db, now, self.limits.event_age)
                database.shorten(db, self.limits.journal, now - self.limits.journal_age)

    def _post(self, call: Callable[..., None], *args: object, done: int = 0) -> None:
        """Let the loop hear of something: it will look for it if it stands aside, else it is called."""
        self._news.append((call, args))
        waits, self._done = self._aside, self._done + done
        self._ended.ring()
        if not waits and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hear)


def _refuse(ended: asyncio.Future[None], done: Done | None, rows: Sequence[outbox.Row]) -> None:
    error = None if ended.cancelled() else ended.exception()
    if done is not None and isinstance(error, StoreError):
        done(error, rows)


def _writes(batch: Batch, rows: Sequence[outbox.Row], last_row: int) -> Callable[[sqlite3.Connection], None]:
    """Serialise now, so that what is written is what was handed in, and return how to write it."""
    removed = [(key,) for key, body in batch.state.items() if body is None]
    kept = [(key, orjson.dumps(body)) for key, body in batch.state.items() if body is not None]
    entries = [(entry.time, entry.kind, orjson.dumps(entry.body)) for entry in batch.journal]
    seq, noted = max((row.message.seq or 0 for row in rows), default=0), [(topic,) for topic in batch.retained]

    def write(db: sqlite3.Connection) -> None:
        db.executemany("DELETE FROM state WHERE key = ?", removed)
        db.executemany("INSERT INTO state VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET body = excluded.body", kept)
        db.executemany("INSERT INTO journal(time, kind, body) VALUES (?, ?, ?)", entries)
        if noted:
            outbox.hold(db, noted)
        if rows:
            outbox.insert(db, rows)
            outbox.count(db, last_row, seq)

    return write
