"""Reads the journal of a store that another process may be writing, and never writes to it.

Owns the questions that reports ask: the runs, one run with its alarms, a shift, the drills, one drill with all that it
made. All rows of one question are read in one transaction. The journal has no index by kind or run: a question about
runs looks at each row's kind once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import orjson

from edgeagent.database import VERSION
from edgeagent.store import Entry

_ROW: Final = "SELECT kind, time, body, seq FROM journal"
_NEWEST: Final = (
    "SELECT kind, time, body, seq FROM journal WHERE seq IN (SELECT max(seq) FROM journal WHERE kind = 'run'"
    " AND time < ? GROUP BY json_extract(CAST(body AS TEXT), '$.run_id')) ORDER BY seq"
)
_TURNS: Final = (
    f"{_ROW} WHERE kind = 'drill' AND time < ?"
    " AND json_extract(CAST(body AS TEXT), '$.verb') IN ('started', 'ended') ORDER BY seq"
)
_ENDS: Final = ("closed", "aborted")
_EARLIER: Final = 60.0
"""s before the onset of a run in which its alarms may have begun: an onset is back-dated, a raise is not."""


class JournalError(Exception):
    """The journal cannot be read; the message says why, and what to do."""


class Journal:
    """An open journal. `with Journal(path) as journal:` closes it.

    Raises:
        JournalError: when there is no such file, it may not be read, or it is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not path.is_file():
                raise JournalError(f"{path}: no such file; no agent has run with this configuration on this host")
            path.open("rb").close()
        except PermissionError:
            raise JournalError(f"{path}: may not be read; run this as the agent's user or as root") from None
        # Without a write-ahead log nobody has the file open, and SQLite need not make the files that go with one.
        idle = not path.with_name(f"{path.name}-wal").exists()
        self._db = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if idle else ''}", uri=True, timeout=5.0,
            isolation_level=None,
        )  # fmt: skip
        try:
            with self._reading():
                self._check()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._db.close()

    def runs(self, until: float) -> list[Entry]:
        """Return the newest line of each run before a moment (epoch s), oldest first."""
        with self._reading():
            return self._rows(_NEWEST, until)

    def run(self, run_id: str, until: float) -> list[Entry]:
        """Return the lines of one run and of its alarms, none where it is not known."""
        with self._reading():
            mark = orjson.dumps({"run_id": run_id})[1:-1]
            lines = [
                line
                for line in self._rows(f"{_ROW} WHERE kind = 'run' AND instr(body, ?) ORDER BY seq", mark)
                if line.body.get("run_id") == run_id
            ]
            if not lines:
                return []
            facts = [line.body["run"] for line in lines if isinstance(line.body.get("run"), dict)]
            ids = {str(id) for fact in facts for id in fact.get("alarms", ())}
            since = min((float(fact.get("onset", lines[0].time)) for fact in facts), default=lines[0].time) - _EARLIER
            ended = next((fact["ended"] for fact in reversed(facts) if fact.get("ended")), until)
            return [*lines, *self._alarms(since, min(until, float(ended) + _EARLIER), ids)]

    def shift(self, since: float, until: float) -> list[Entry]:
        """Return all lines of the runs that were there in a shift, and of the alarms that were."""
        with self._reading():
            runs = self._runs_there(since, until)
            facts = [line.body["run"] for line in runs if isinstance(line.body.get("run"), dict)]
            ids = {str(id) for fact in facts for id in fact.get("alarms", ())}
            return [*runs, *self._standing(since, ids), *self._alarms(since, until, None)]

    def drills(self, until: float) -> list[Entry]:
        """Return the lines at which each drill before a moment began and ended: each has all that was declared."""
        with self._reading():
            return self._rows(_TURNS, until)

    def drill(self, drill_id: str) -> list[Entry]:
        """Return all lines of one drill, of its alarms and of its runs, none where it is not known."""
        query = f"{_ROW} WHERE kind IN ('drill', 'drill-alarm', 'drill-run') AND instr(body, ?) ORDER BY seq"
        with self._reading():
            lines = self._rows(query, orjson.dumps({"drill": drill_id})[1:-1])
        return [line for line in lines if line.body.get("drill") == drill_id]

    def real_runs(self, procedure: str, until: float, most: int) -> list[Entry]:
        """Return the lines of the newest runs of a procedure that were closed before a moment, without their alarms."""
        with self._reading():
            ended = [
                line.body.get("run_id")
                for line in self._rows(_NEWEST, until)
                if line.body.get("procedure") == procedure and line.body.get("verb") == "closed"
            ][-most:]
            mark = orjson.dumps({"procedure": procedure})[1:-1]
            rows = self._rows(f"{_ROW} WHERE kind = 'run' AND instr(body, ?) ORDER BY seq", mark) if ended else []
        return [line for line in rows if line.body.get("run_id") in ended]

    def _runs_there(self, since: float, until: float) -> list[Entry]:
        """Return the lines of runs that had not ended when the shift began."""
        there = {
            line.body.get("run_id")
            for line in self._rows(_NEWEST, until)
            if line.time >= since or line.body.get("verb") not in _ENDS
        }
        rows = self._rows(f"{_ROW} WHERE kind = 'run' AND time < ? ORDER BY seq", until) if there else []
        return [line for line in rows if line.body.get("run_id") in there]

    def _standing(self, since: float, ids: Collection[str]) -> list[Entry]:
        """Return the lines before a shift of some alarms, and of all that stood when it began, from their raise on."""
        kept: dict[str, list[Entry]] = {}
        # The + keeps SQLite off the index by time: nearly all rows are wanted, and they lie in order.
        found = self._db.execute(f"{_ROW} WHERE +time < ? AND kind = 'alarm' ORDER BY seq", (since,))
        for kind, time, body, seq in found:
            line = orjson.loads(body)
            id, verb = str(line.get("alarm_id")), line.get("verb")
            if id in ids or id in kept or verb == "raised":
                kept.setdefault(id, []).append(Entry(kind, time, line, seq))
            if verb == "cleared" and id not in ids:
                kept.pop(id, None)
        return [line for lines in kept.values() for line in lines]

    def _alarms(self, since: float, until: float, ids: Collection[str] | None) -> Iterator[Entry]:
        query = f"{_ROW} WHERE time >= ? AND time < ? AND kind = 'alarm' ORDER BY seq"
        for kind, time, body, seq in self._db.execute(query, (since, until)):
            line = orjson.loads(body)
            if ids is None or line.get("alarm_id") in ids:
                yield Entry(kind, time, line, seq)

    def _rows(self, query: str, *words: object) -> list[Entry]:
        found = self._db.execute(query, words)
        return [Entry(kind, time, orjson.loads(body), seq) for kind, time, body, seq in found]

    def _check(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        known = self._db.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'journal'")
        if version > VERSION:
            raise JournalError(f"{self.path}: written by a newer version ({version}; this one knows {VERSION})")
        if version < 1 or not known.fetchone()[0]:
            raise JournalError(f"{self.path}: is no store of an agent")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """See one state of the file, and say what is wrong with it in words."""
        try:
            self._db.execute("BEGIN")
            yield
        except (sqlite3.Error, orjson.JSONDecodeError) as error:
            name = getattr(error, "sqlite_errorname", "")
            reason = "is no store of an agent" if name == "SQLITE_NOTADB" else f"cannot be read: {error}"
            raise JournalError(f"{self.path}: {reason}") from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
