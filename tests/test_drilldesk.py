"""What is asked of the drills of a store, and answered from its journal alone, without a byte of it changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Final

import orjson
import pytest

from edgeagent import database, document, drilldesk
from edgeagent.drill import End
from edgeagent.journal import Journal as Opened
from edgeagent.wording import NAMELESS
from tests.drilljournals import DRILL, SCENARIO, Told, drilled
from tests.journals import BASE, Journal, cooling, outage

ZONE: Final = timezone(timedelta(hours=8))
DAY: Final = 86_400.0
BEFORE: Final = "outage-good-start-20261115-0830"
LATER: Final = BASE + 2 * DAY


def real_outages(journal: Journal, count: int) -> list[str]:
    """Tell real outages that were closed, one a day, the newest yesterday."""
    ids = []
    for number in range(count):
        at = -DAY * (count - number)
        run_id = f"outage-real-{number}"
        story = journal.run(_OUTAGE, run_id, onset=at, started=at + 3)
        story.acked(at + 10 * (number + 1)).recovering(at + 900).closed(at + 1000)
        ids.append(run_id)
    return ids


_OUTAGE: Final = outage(Journal()).procedure


@pytest.fixture
def written() -> Journal:
    journal = Journal()
    real_outages(journal, 7)
    cooling(journal)
    drilled(journal, BEFORE, -10 * DAY, ack=130.0)
    Told(journal, "other-20261120-0830", -5 * DAY, replace(SCENARIO, id="other")).ended(10, End.STOPPED)
    drilled(journal)
    return journal


@pytest.fixture
def store(tmp_path: Path, written: Journal) -> Iterator[Opened]:
    path = tmp_path / "edgeagent.db"
    db = database.opened(path, BASE)
    db.executemany(
        "INSERT INTO journal(time, kind, body) VALUES (?, ?, ?)",
        [(line.time, line.kind, orjson.dumps(line.body)) for line in written.lines],
    )
    with Opened(path) as journal:
        yield journal
    db.close()


def test_all_drills_are_known_oldest_first(store: Opened) -> None:
    assert [held.drill_id for held in drilldesk.drills(store, LATER)] == [BEFORE, "other-20261120-0830", DRILL]
    assert [held.drill_id for held in drilldesk.drills(store, BASE - 7 * DAY)] == [BEFORE]


def test_without_an_id_the_last_drill_is_judged(store: Opened) -> None:
    last, named = drilldesk.judged(store, None, LATER), drilldesk.judged(store, DRILL, LATER)
    assert last == named
    assert last is not None
    assert last.record.held.drill_id == DRILL
    assert drilldesk.judged(store, "none-such", LATER) is None
    assert drilldesk.report(store, "none-such", "zh", ZONE, now=LATER) is None
    assert drilldesk.as_json(store, "none-such", now=LATER) is None


def test_a_drill_is_judged_beside_the_last_of_its_scenario_and_the_newest_real_runs(store: Opened) -> None:
    found = drilldesk.judged(store, DRILL, LATER)
    assert found is not None
    assert found.before is not None
    assert found.before.held.drill_id == BEFORE
    assert [record.run.run_id for record in found.real] == [f"outage-real-{number}" for number in range(2, 7)]
    first = drilldesk.judged(store, BEFORE, LATER)
    assert first is not None
    assert first.before is None
    assert first.real == ()  # all were later


def test_a_run_that_is_still_open_is_no_measure(store: Opened, written: Journal) -> None:
    found = drilldesk.as_json(store, DRILL, now=LATER)
    assert found is not None
    ack = next(row for row in found["compared"] if row["time"] == "ack")
    assert (ack["this"], ack["before"], ack["real_median"], ack["real_count"]) == (59.8, 119.8, 50, 5)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_is_laid_out_from_the_store(store: Opened, language: str) -> None:
    found = drilldesk.report(store, None, language, ZONE, NAMELESS, now=LATER)
    assert found is not None
    assert "outage-good-start" in document.markdown([found])


def test_real_questions_are_answered_as_if_no_drill_had_been(tmp_path: Path, store: Opened, written: Journal) -> None:
    path = tmp_path / "real.db"
    db = database.opened(path, BASE)
    db.executemany(
        "INSERT INTO journal(seq, time, kind, body) VALUES (?, ?, ?, ?)",
        [
            (line.seq, line.time, line.kind, orjson.dumps(line.body))
            for line in written.lines
            if not line.kind.startswith("drill")
        ],
    )
    with Opened(path) as alone:
        assert store.runs(LATER) == alone.runs(LATER)
        assert store.shift(BASE - 3 * DAY, LATER) == alone.shift(BASE - 3 * DAY, LATER)
        assert store.run("outage-real-6", LATER) == alone.run("outage-real-6", LATER)
        assert store.real_runs("outage", LATER, 5) == alone.real_runs("outage", LATER, 5)
        assert alone.drills(LATER) == []
    db.close()


def test_one_drill_is_asked_for_and_no_line_of_another_comes(store: Opened) -> None:
    lines = store.drill(DRILL)
    assert {line.kind for line in lines} == {"drill", "drill-alarm", "drill-run"}
    assert {line.body["drill"] for line in lines} == {DRILL}
    assert store.drill(DRILL[:-1]) == []
