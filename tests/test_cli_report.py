"""`edgeagent report`: from a store that is being written, to a page, and never a byte in the store."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson
import pytest
from typer.testing import Result

from edgeagent import database
from edgeagent.journal import Journal as Opened
from edgeagent.journal import JournalError
from tests.journals import BASE, Journal, outage, seat
from tests.rig import device, invoke, write_site

RUN: Final = "outage-20261125-0830"
CHINA: Final = ("--tz", "Asia/Shanghai")


def put(db: sqlite3.Connection, journal: Journal) -> None:
    db.executemany(
        "INSERT INTO journal(time, kind, body) VALUES (?, ?, ?)",
        [(line.time, line.kind, orjson.dumps(line.body)) for line in journal.lines],
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    hall = '[areas.hall]\nname = { en = "Hall", zh = "座席大厅" }\n'
    ups = device("ups-a", "ups/rfc1628", "snmp://192.0.2.1?version=2c")
    folder = write_site(tmp_path / "site", 1883, hall, ups, language="zh")
    (folder / "state").mkdir()
    return folder


@pytest.fixture
def agent(site: Path) -> Iterator[sqlite3.Connection]:
    """The store as an agent has it open, with an outage, a seat's fault of yesterday and one that is still there."""
    journal = Journal()
    seat(journal, 17, -90_000, over=False)
    outage(journal)
    seat(journal, 23, 9000, over=False)
    db = database.opened(site / "state" / "edgeagent.db", BASE)
    put(db, journal)
    yield db
    db.close()


def report(site: Path, *words: str | Path) -> Result:
    return invoke("report", *words, "--config", site)


def test_a_record_is_markdown_in_the_sites_language(site: Path, agent: sqlite3.Connection) -> None:
    result = report(site, RUN, *CHINA)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("# 故障记录\n")
    assert "2026-11-25 08:30:00" in result.stdout
    assert "8 分 10 秒" in result.stdout
    assert "ups-a 号，" in result.stdout  # called as the site's files call it


@pytest.mark.parametrize(("language", "titles"), [("en", 1), ("zh", 1), ("both", 2)])
def test_a_record_is_a_page_in_the_language_asked_for(
    site: Path, agent: sqlite3.Connection, language: str, titles: int
) -> None:
    result = report(site, RUN, "--format", "html", "--language", language)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("<!DOCTYPE html>")
    assert result.stdout.count("<h1>") == titles
    assert result.stdout.count("<svg") == titles


def test_a_record_is_json_for_programs(site: Path, agent: sqlite3.Connection) -> None:
    found = json.loads(report(site, RUN, "--format", "json").stdout)
    assert (found["run_id"], found["onset"], found["times"]["recover"]) == (RUN, "2026-11-25T00:30:00.000Z", 8430)
    assert [alarm["alarm_id"] for alarm in found["alarms"]] == ["mains.lost", "ups-a.on-battery", "ups-b.on-battery"]


def test_a_log_is_a_spreadsheet_of_what_was_there(site: Path, agent: sqlite3.Connection) -> None:
    result = report(site, "--since", "2026-11-25T08:00", "--until", "2026-11-25T16:00", *CHINA)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("\ufeff开始时间 (UTC+08:00)")
    assert [line.rsplit(",", 1)[1] for line in lines[1:]] == ["equipment-fault-17", RUN, "equipment-fault-23"]
    page = report(site, "--since", "2026-11-25T08:00+08:00", "--until", "2026-11-25T16:00+08:00", "--format", "html")
    assert "<h1>组长日志</h1>" in page.stdout


def test_a_log_takes_up_alarms_that_stood_before_it_and_leaves_those_that_did_not(
    site: Path, agent: sqlite3.Connection
) -> None:
    journal = Journal()
    journal.alarm(-50_000, "raised", "pc-1.gone")
    journal.alarm(-49_000, "cleared", "pc-1.gone")
    journal.alarm(-50_000, "raised", "pc-2.gone")
    journal.alarm(-40_000, "acknowledged", "pc-2.gone", by="王工")
    put(agent, journal)
    said = report(site, "--since", "2026-11-25T08:00", "--until", "2026-11-25T16:00", *CHINA).stdout
    assert "pc-2.gone" in said
    assert "王工" in next(line for line in said.splitlines() if "pc-2.gone" in line)
    assert "pc-1.gone" not in said


def test_without_words_the_runs_are_listed_in_their_order(site: Path, agent: sqlite3.Connection) -> None:
    lines = report(site, *CHINA).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["equipment-fault-17", RUN, "equipment-fault-23"]
    assert "2026-11-25 08:30:00  已结束  市电断电" in lines[1]


def test_a_report_goes_to_a_file_whole_or_not_at_all(site: Path, agent: sqlite3.Connection, tmp_path: Path) -> None:
    to = tmp_path / "record.md"
    to.write_text("what was there", encoding="utf-8")
    result = report(site, RUN, "--out", to)
    assert (result.exit_code, result.stdout) == (0, "")
    assert to.read_text(encoding="utf-8").startswith("# 故障记录")
    failed = report(site, RUN, "--out", tmp_path / "nowhere" / "record.md")
    assert failed.exit_code == 1
    assert "No such file" in failed.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["record.md", "site"]


def test_a_full_disk_is_told_in_one_line(site: Path, agent: sqlite3.Connection) -> None:
    words = [sys.executable, "-m", "edgeagent", "report", RUN, "--config", str(site)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "edgeagent: stdout: No space left on device\n")


def test_a_file_that_cannot_be_written_whole_leaves_what_was_there(
    site: Path, agent: sqlite3.Connection, tmp_path: Path
) -> None:
    to = tmp_path / "record.md"
    to.write_text("what was there", encoding="utf-8")
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
    words = [sys.executable, "-c", limit + "from edgeagent.cli import main; sys.exit(main())", "report", RUN]
    words += ["--config", str(site), "--out", str(to)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "File too large" in done.stderr
    assert to.read_text(encoding="utf-8") == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["record.md", "site"]


def test_an_unknown_run_is_told_with_the_nearest(site: Path, agent: sqlite3.Connection) -> None:
    result = report(site, "outage-20261125-0831")
    assert result.exit_code == 1
    assert f'did you mean "{RUN}"?' in result.stderr
    assert "known: equipment-fault-17" in report(site, "xyz").stderr


@pytest.mark.parametrize("name", ["", "%", "' OR 1=1 --", '"', "中文"])
def test_whatever_is_asked_for_is_only_a_name(site: Path, agent: sqlite3.Connection, name: str) -> None:
    result = report(site, name)
    assert result.exit_code == 1
    assert "no run" in result.stderr


@pytest.mark.parametrize("running", [True, False], ids=["the agent runs", "the agent is gone"])
def test_a_report_leaves_no_trace_in_the_state_folder(site: Path, agent: sqlite3.Connection, running: bool) -> None:
    if not running:
        agent.close()
    folder = site / "state"
    before = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    for words in ((), (RUN,), ("--since", "2026-11-25T00:00")):
        assert report(site, *words).exit_code == 0
    after = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    assert after == before
    assert ("edgeagent.db-wal" in after) is running


def test_the_agent_goes_on_writing_while_a_report_reads(site: Path, agent: sqlite3.Connection) -> None:
    with Opened(site / "state" / "edgeagent.db") as journal:
        before = journal.runs(BASE + 1e6)
        more = Journal()
        seat(more, 99, 10_000)
        put(agent, more)
        assert len(journal.runs(BASE + 1e6)) == len(before) + 1


def test_nobody_can_write_through_an_open_journal(site: Path, agent: sqlite3.Connection) -> None:
    with Opened(site / "state" / "edgeagent.db") as journal, pytest.raises(sqlite3.OperationalError, match="readonly"):
        journal._db.execute("DELETE FROM journal")


def test_a_store_that_is_not_there_is_told_and_not_made(site: Path) -> None:
    result = report(site)
    assert result.exit_code == 1
    assert "no such file" in result.stderr
    assert list((site / "state").iterdir()) == []


@pytest.mark.parametrize("content", [b"not a database" * 100, b""], ids=["garbage", "empty"])
def test_a_foreign_file_is_told_and_left_alone(site: Path, content: bytes) -> None:
    file = site / "state" / "edgeagent.db"
    file.write_bytes(content)
    result = report(site)
    assert result.exit_code == 1
    assert "is no store of an agent" in result.stderr
    assert "Traceback" not in result.stderr
    assert file.read_bytes() == content


def test_a_store_of_a_newer_version_is_told(site: Path, agent: sqlite3.Connection) -> None:
    agent.execute(f"PRAGMA user_version={database.VERSION + 1}")
    with pytest.raises(JournalError, match="newer version"):
        Opened(site / "state" / "edgeagent.db")


def test_another_programs_database_is_told(site: Path) -> None:
    with sqlite3.connect(site / "state" / "edgeagent.db") as db:
        db.execute("CREATE TABLE recipes(name)")
        db.execute("PRAGMA user_version=1")
    db.close()
    assert "is no store of an agent" in report(site).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((RUN, "--since", "2026-11-25"), "not both"),
        (("--until", "2026-11-25"), "--until needs --since"),
        (("--since", "this morning"), "is no time"),
        (("--since", "2026-11-25T08:00", "--until", "2026-11-25T07:00"), "ends before it begins"),
        ((RUN, "--format", "csv"), "md, html or json"),
        (("--since", "2026-11-25", "--format", "md"), "csv or html"),
        (("--since", "2026-11-25", "--language", "both"), "one language"),
        ((RUN, "--tz", "Mars/Olympus"), "no time zone"),
        ((RUN, "--tz", "../etc/passwd"), "no time zone"),
    ],
)
def test_wrong_words_are_told(site: Path, words: tuple[str, ...], says: str) -> None:
    result = report(site, *words)
    assert result.exit_code == 2
    assert says in result.stderr


def test_times_without_a_zone_are_the_hosts(site: Path, agent: sqlite3.Connection) -> None:
    host = datetime.fromtimestamp(BASE).astimezone()
    assert f"{host:%Y-%m-%d %H:%M:%S}" in report(site, RUN).stdout
