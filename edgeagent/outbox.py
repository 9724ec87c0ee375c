"""The outbox tables: what is to be sent, in which order, what is dropped when there is too much of it.

Owns the SQL of outbox, quarantine and retained. Every function runs inside a transaction of `store.py`.

State (retained) is kept once a topic, the newest replaces. Events are a queue with a bound in rows, bytes and age:
telemetry goes first, then what is cleared or merely told, then minor alarms. A critical or major raise goes only
after its clear has gone. Whatever numbered event is dropped, a `gap` row says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from typing_extensions import TypedDict

from edgeagent.messages import GAP, JSON, Gap, Keep, Message, Place, dump
from edgeagent.survived import read

# Place 4 is Place.DRILL: its order is its story, so nothing of it is kept once a topic.
# Place 3 is Place.EVENT, keep 3 and 4 are Keep.ENDED and Keep.RAISE: partial indexes take literals only.
DRILL: Final = 5_000
"""Messages of a drill that may wait: who cannot be reached is not rehearsed with."""
UNSET: Final = 1_600_000_000.0
"""A time before this one was taken before the clock was set: nothing is too old by it."""
SCHEMA: Final = """
CREATE TABLE outbox(id INTEGER PRIMARY KEY, place INTEGER NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL, props BLOB,
    retain INTEGER NOT NULL, qos INTEGER NOT NULL, born REAL NOT NULL, expires REAL, keep INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, seq INTEGER, subject TEXT, clears INTEGER NOT NULL);
CREATE INDEX outbox_order ON outbox(place, id);
CREATE UNIQUE INDEX outbox_topic ON outbox(topic) WHERE place < 3;
CREATE INDEX outbox_keep ON outbox(keep, id) WHERE place = 3;
CREATE INDEX outbox_subject ON outbox(subject) WHERE keep = 4;
CREATE TABLE tally(events INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO tally VALUES (0, 0);
CREATE TRIGGER outbox_in AFTER INSERT ON outbox WHEN new.place = 3
    BEGIN UPDATE tally SET events = events + 1, bytes = bytes + length(new.body); END;
CREATE TRIGGER outbox_out AFTER DELETE ON outbox WHEN old.place = 3
    BEGIN UPDATE tally SET events = events - 1, bytes = bytes - length(old.body); END;
CREATE TABLE quarantine(id INTEGER PRIMARY KEY, topic TEXT NOT NULL, body BLOB NOT NULL, reason TEXT NOT NULL,
    at REAL NOT NULL);
CREATE TABLE retained(topic TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class _Properties(TypedDict):
    """How a message is sent."""

    type: str
    user: dict[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """A message in the outbox. Ids grow; those of gaps are negative, so that they are told first."""

    id: int
    message: Message


@dataclass(frozen=True, slots=True)
class Depth:
    """How full the outbox is. `oldest` is when the oldest event was born, epoch s; `unwritten` rows wait in memory."""

    states: int
    events: int
    event_bytes: int
    oldest: float | None
    quarantined: int
    unwritten: int


def newest(rows: Sequence[Row]) -> list[Row]:
    """Leave out what a later row of the same batch replaces."""
    last = {row.message.topic: row.id for row in rows if row.message.place < Place.EVENT}
    return [row for row in rows if row.message.place >= Place.EVENT or last[row.message.topic] == row.id]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Order rows as they are sent: status, snapshots, other state, then events by id."""
    return sorted(rows, key=lambda row: (row.message.place, row.id))


def insert(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add rows; a state message replaces the one that waits for the same topic."""
    states = [(row.message.topic,) for row in rows if row.message.place < Place.EVENT]
    if states:
        db.executemany("DELETE FROM outbox WHERE topic = ? AND place < 3", states)
    db.executemany(
        "INSERT INTO outbox(id, place, topic, body, props, retain, qos, born, expires, keep, seq, subject, clears)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
        [_columns(row) for row in newest(rows)],
    )
    retained = [(row.message.topic,) for row in rows if row.message.retain and row.message.body]
    if retained:
        note(db, retained)


def count(db: sqlite3.Connection, row: int, seq: int) -> None:
    """Remember the last row and the last event that were numbered."""
    db.execute(
        "UPDATE meta SET value = max(value, CASE key WHEN 'row' THEN ?1 ELSE ?2 END) WHERE key IN ('row', 'seq')",
        (row, seq),
    )


def note(db: sqlite3.Connection, topics: Sequence[tuple[str]]) -> None:
    """Remember retained topics."""
    db.executemany("INSERT OR IGNORE INTO retained VALUES (?)", topics)


def hold(db: sqlite3.Connection, topics: Sequence[tuple[str]]) -> None:
    """Remember topics whose retained message is held in memory; what waits for them is out of date."""
    db.executemany("DELETE FROM outbox WHERE topic = ? AND place < 3", topics)
    note(db, topics)


def delete(db: sqlite3.Connection, ids: Collection[int]) -> None:
    """Remove delivered rows. A delivered tombstone (empty and retained) ends the record of its topic."""
    gone = [(id,) for id in ids]
    db.executemany(
        "DELETE FROM retained WHERE topic IN (SELECT topic FROM outbox WHERE id = ? AND retain AND length(body) = 0)",
        gone,
    )
    db.executemany("DELETE FROM outbox WHERE id = ?", gone)


def quarantine(db: sqlite3.Connection, id: int, reason: str, at: float, keep: int) -> None:
    """Move one row aside, keeping the newest `keep` of them."""
    found = db.execute("SELECT topic, body, seq FROM outbox WHERE id = ?", (id,)).fetchone()
    if found is None:
        return
    topic, body, seq = found
    db.execute("INSERT INTO quarantine(topic, body, reason, at) VALUES (?, ?, ?, ?)", (topic, body, reason, at))
    db.execute("DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?", (keep,))
    db.execute("DELETE FROM outbox WHERE id = ?", (id,))
    _told(db, [(id, seq)], "quarantined", at)


def tried(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Count an attempt."""
    db.executemany("UPDATE outbox SET tries = tries + 1 WHERE id = ?", [(id,) for id in ids])


def gap(seqs: Sequence[int], reason: str, at: float, before: Gap | None = None) -> Message:
    """Build the row that stands for events that will never be sent; the feed puts the envelope around it."""
    body: Gap = {"from_seq": min(seqs), "to_seq": max(seqs), "count": len(seqs), "reason": reason}
    if before is not None:
        body["from_seq"] = min(before["from_seq"], body["from_seq"])
        body["to_seq"] = max(before["to_seq"], body["to_seq"])
        body["count"] += before["count"]
    return Message(GAP, dump(body), Place.EVENT, born=at, keep=Keep.RAISE)


def bound(db: sqlite3.Connection, now: float, events: int, size: int) -> None:
    """Drop events, least needed first, until a tenth of the bound is free again."""
    if _over(db, events, size):
        _drop(db, now, "outbox-full", events - events // 10, size - size // 10, None)


def bound_drill(db: sqlite3.Connection) -> None:
    """Drop the oldest of what is too much of a drill."""
    db.execute(
        "DELETE FROM outbox WHERE place = 4 AND id <"
        " (SELECT id FROM outbox WHERE place = 4 ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (DRILL,),
    )


def expire(db: sqlite3.Connection, now: float, age: float) -> None:
    """Drop what nobody may get any more, and events older than `age` s."""
    late = db.execute("SELECT id, seq FROM outbox WHERE expires < ?", (now,)).fetchall()
    _remove(db, late, "expired", now)
    oldest = db.execute(
        "SELECT born FROM outbox WHERE place = 3 AND keep < 4 AND born > ? ORDER BY id LIMIT 1", (UNSET,)
    ).fetchone()
    if oldest is not None and oldest[0] < now - age:
        _drop(db, now, "too-old", 0, 0, now - age)


def following(db: sqlite3.Connection, limit: int, exclude: Collection[int], now: float) -> list[Row]:
    """Read what to send next."""
    found = db.execute(
        "SELECT id, place, topic, body, props, retain, qos, born, expires, keep, seq, subject, clears FROM outbox"
        " WHERE id NOT IN (SELECT value FROM json_each(?)) AND (expires IS NULL OR expires >= ?)"
        " ORDER BY place, id LIMIT ?",
        (orjson.dumps(list(exclude)).decode(), now, limit),
    )
    return [_row(columns) for columns in found]


def of_drill(db: sqlite3.Connection) -> tuple[int, ...]:
    """Return the rows of a drill."""
    return tuple(id for (id,) in db.execute("SELECT id FROM outbox WHERE place = 4"))


def forget_drill(db: sqlite3.Connection) -> None:
    """Drop what a drill still had to say: with the agent that led it, it is over."""
    db.execute("DELETE FROM outbox WHERE place = 4")


def depth(db: sqlite3.Connection, unwritten: int) -> Depth:
    """Count."""
    events, size = db.execute("SELECT events, bytes FROM tally").fetchone()
    states = db.execute("SELECT count(*) FROM outbox WHERE place < 3").fetchone()[0]
    oldest = db.execute("SELECT born FROM outbox WHERE place = 3 AND born > ? ORDER BY id LIMIT 1", (UNSET,)).fetchone()
    quarantined = db.execute("SELECT count(*) FROM quarantine").fetchone()[0]
    return Depth(states, events, size, oldest[0] if oldest else None, quarantined, unwritten)


def _over(db: sqlite3.Connection, events: int, size: int) -> bool:
    rows, used = db.execute("SELECT events, bytes FROM tally").fetchone()
    return bool(rows > events or used > size)


def _drop(db: sqlite3.Connection, now: float, reason: str, events: int, size: int, before: float | None) -> None:
    """Drop in order of need. A dropped clear sets free the raises it ends, so the search starts over after one."""
    dropped: list[tuple[int, int | None]] = []
    while _over(db, events, size):
        rows, used = db.execute("SELECT events, bytes FROM tally").fetchone()
        found = db.execute(
            "SELECT id, seq, length(body), subject, clears FROM outbox"
            " WHERE place = 3 AND keep < 4 AND (?1 IS NULL OR born > ?2 AND born < ?1) ORDER BY keep, id",
            (before, UNSET),
        )
        batch, freed = [], []
        for id, seq, length, subject, clears in found:
            if rows <= events and used <= size:
                break
            rows, used = rows - 1, used - length
            batch.append((id, seq))
            if clears:
                freed.append((subject, id))
        if not batch:
            break
        db.executemany("DELETE FROM outbox WHERE id = ?", [(id,) for id, _ in batch])
        db.executemany("UPDATE outbox SET keep = 3 WHERE subject = ? AND keep = 4 AND id < ?", freed)
        dropped += batch
    _told(db, dropped, reason, now)


def _remove(db: sqlite3.Connection, rows: Sequence[tuple[int, int | None]], reason: str, now: float) -> None:
    db.executemany("DELETE FROM outbox WHERE id = ?", [(id,) for id, _ in rows])
    _told(db, rows, reason, now)


def _told(db: sqlite3.Connection, rows: Sequence[tuple[int, int | None]], reason: str, now: float) -> None:
    """Write one gap row a reason, which takes in the one that still waits."""
    seqs = [seq for _, seq in rows if seq is not None]
    if not seqs:
        return
    before: Gap | None = None
    for id, body in db.execute("SELECT id, body FROM outbox WHERE id < 0 AND topic = ?", (GAP,)).fetchall():
        waiting: Gap = orjson.loads(body)
        if waiting["reason"] == reason:
            before = waiting
            db.execute("DELETE FROM outbox WHERE id = ?", (id,))
    insert(db, [Row(-max(id for id, seq in rows if seq is not None), gap(seqs, reason, now, before))])


def _columns(row: Row) -> tuple[object, ...]:
    it = row.message
    props = orjson.dumps({"type": it.content_type, "user": dict(it.properties)})
    return (
        row.id, it.place, it.topic, it.body, props, it.retain, it.qos, it.born, it.expires, it.keep, it.seq,
        it.subject or None, it.clears,
    )  # fmt: skip


def _row(columns: tuple[Any, ...]) -> Row:
    id, place, topic, body, props, retain, qos, born, expires, keep, seq, subject, clears = columns
    try:
        said = read(_Properties, orjson.loads(props))
    except ValueError:  # changed on the disk: the message is what counts
        said = {"type": JSON, "user": {}}
    message = Message(
        topic, body, Place(place), qos, bool(retain), said["user"], said["type"], born, expires, Keep(keep), seq,
        subject or "", bool(clears),
    )  # fmt: skip
    return Row(id, message)
