"""The SQLite file itself: its schema, and opening it however it was left. `store.py` owns what happens in it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from edgeagent import outbox

log = logging.getLogger(__name__)

VERSION: Final = 1
_LONG, _LONGEST = 500, 2_000
"""Changes of rows after which the log is folded into the file, in a quiet moment and in any; one is a page or two."""
_PAGE: Final = 2048
"""Bytes of a page: a COMMIT writes whole pages, of an alarm a dozen with little on them."""
_SCHEMA: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state(key TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE journal(seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX journal_time ON journal(time);
"""


def opened(path: Path, now: float) -> sqlite3.Connection:
    """Open the file, make it if it is new, move it aside if it is corrupt, and count the boot.

    Raises:
        sqlite3.DatabaseError: when it can neither be opened nor made, or is written by a newer version.
    """
    try:
        return _checked(path, now)
    except sqlite3.DatabaseError as error:
        if not getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise
        wrong = error
    aside = path.with_name(f"{path.name}.corrupt-{int(now)}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    log.error("%s is corrupt (%s); it was moved to %s and a fresh one is made", path, wrong, aside.name)
    return _checked(path, now)


@contextmanager
def transaction(db: sqlite3.Connection, *, sure: bool) -> Iterator[None]:
    """Do all or nothing. What is not `sure` survives a kill, may go with the power, and takes a tenth of the time."""
    try:
        if not sure:
            db.execute("PRAGMA synchronous=NORMAL")
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    finally:
        if not sure:  # afterwards: it takes its time, and who comes next may be in a hurry
            db.execute("PRAGMA synchronous=FULL")


def shorten(db: sqlite3.Connection, lines: int, before: float) -> None:
    """Forget all but so many lines of the journal, and those from before, epoch s."""
    db.execute(
        "DELETE FROM journal WHERE seq <= (SELECT max(seq) FROM journal) - ? OR time > ? AND time < ?",
        (lines, outbox.UNSET, before),
    )


def fold(db: sqlite3.Connection, folded: int, *, quiet: bool) -> int:
    """Bring what was committed from the log into the file, now and then; return the change up to which that is done.

    SQLite would do it within the COMMIT that makes the log long: an alarm would wait for it. So would one that comes
    meanwhile: where alarms come one upon the other it is put off.
    """
    changes = db.total_changes
    if changes - folded < (_LONG if quiet else _LONGEST):
        return folded
    with suppress(sqlite3.DatabaseError):  # the next COMMIT meets the same disk and tells
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return changes
    return folded


def _checked(path: Path, now: float) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute(f"PRAGMA page_size={_PAGE}")  # of a file that is made now
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA wal_autocheckpoint=0")
        _quick_check(db)
        db.execute("BEGIN IMMEDIATE")
        if _version(db) == 0:
            for statement in (_SCHEMA + outbox.SCHEMA).split(";\n"):
                db.execute(statement)
            # A fresh file starts at the clock, so that ids made of boot and seq never repeat after a lost disk.
            db.executemany("INSERT INTO meta VALUES (?, ?)", [("boot", int(now)), ("seq", 0), ("row", 0)])
            db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("UPDATE meta SET value = value + 1 WHERE key = 'boot'")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _quick_check(db: sqlite3.Connection) -> None:
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        error = sqlite3.DatabaseError(verdict)
        error.sqlite_errorname = "SQLITE_CORRUPT"
        raise error


def _version(db: sqlite3.Connection) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise sqlite3.NotSupportedError(f"written by a newer version ({version}; this one knows {VERSION})")
    return version
