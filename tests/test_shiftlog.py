"""The leader's log: which faults it has, what it counts, and a spreadsheet that runs nothing."""

from __future__ import annotations

import csv
import io
from datetime import timedelta, timezone
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import shiftlog
from edgeagent.catalog import Severity, Text
from edgeagent.shiftlog import COLUMNS, Fault, ShiftLog
from edgeagent.wording import Names
from tests.journals import BASE, SEAT, Journal, cooling, outage, seat, system_fault

ZONE: Final = timezone(timedelta(hours=8))
SINCE, UNTIL = BASE - 1800, BASE - 1800 + 8 * 3600
"""08:00 to 16:00."""
NAMES: Final = Names(
    lambda id: Text(f"Seat {id[-3:]}", f"{id[-3:]} 号座席"), lambda id: Text("Hall", "座席大厅") if id else Text("", "")
)


def log(journal: Journal, since: float = SINCE, until: float = UNTIL) -> ShiftLog:
    return shiftlog.of(journal.lines, since, until, NAMES)


def rows(text: str) -> list[list[str]]:
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_a_seats_fault_has_start_recovery_spare_seat_measures_and_who() -> None:
    journal = Journal()
    seat(journal, 17)
    (fault,) = log(journal).faults
    assert (fault.id, fault.start, fault.end, fault.took) == ("equipment-fault-17", BASE, BASE + 2730, 2730)
    assert (fault.place.zh, fault.what.zh) == ("17 号座席", "17 号座席耳机故障")
    assert fault.spare == Text("Seat 060", "060 号座席")
    assert fault.procedure == SEAT.text
    assert fault.severity is Severity.MINOR
    assert [measure.zh for measure in fault.measures] == [
        "报告值班班组长", "安排客户服务代表换到备用座席（换到 60 号座席）", "维修或更换设备（更换耳机）",
        "填写故障记录",
    ]  # fmt: skip
    assert fault.who == ("座席员 李敏", "Lin Yue", "王工")


def test_an_alarm_without_a_run_is_a_fault_of_its_own_each_time_it_comes() -> None:
    journal = Journal()
    name = Text("PC 41 does not answer", "41 号电脑无响应")
    journal.alarm(0, "raised", "pc-041.unreachable", name, "minor")
    journal.alarm(60, "acknowledged", "pc-041.unreachable", name, "minor", by="王工", reason="网线松动")
    journal.alarm(300, "cleared", "pc-041.unreachable", name, "minor")
    journal.alarm(900, "raised", "pc-041.unreachable", name, "minor")
    first, second = log(journal).faults
    assert (first.start, first.end, first.who, first.acked) == (BASE, BASE + 300, ("王工",), BASE + 60)
    assert [measure.zh for measure in first.measures] == ["网线松动"]
    assert first.place.zh == "座席大厅"
    assert (second.start, second.end, second.who, second.acked) == (BASE + 900, None, (), None)


def test_a_fault_of_a_device_that_the_site_no_longer_has_is_not_handed_on() -> None:
    journal = Journal()
    journal.alarm(0, "raised", "contacts.door-open")
    journal.alarm(600, "closed", "contacts.door-open", state="closed")
    (fault,) = log(journal).faults
    assert (fault.start, fault.end) == (BASE, BASE + 600)


def test_what_a_run_has_is_told_once() -> None:
    journal = Journal()
    outage(journal)
    assert [fault.id for fault in log(journal).faults] == ["outage-20261125-0830"]


def test_what_another_fault_explains_what_is_slight_and_the_agents_own_are_no_faults_of_the_floor() -> None:
    journal = Journal()
    journal.alarm(1, "raised", "crac-1.stopped", state="suppressed")
    journal.alarm(2, "cleared", "crac-1.stopped", state="suppressed")
    journal.alarm(3, "raised", "hall.humidity", severity="warning")
    journal.alarm(4, "raised", "agent.outbox", severity="major")
    assert log(journal).faults == ()


def test_what_is_no_longer_explained_is_a_fault_from_then_on() -> None:
    journal = Journal()
    journal.alarm(1, "raised", "crac-1.stopped", state="suppressed")
    journal.alarm(600, "unsuppressed", "crac-1.stopped", state="unack")
    (fault,) = log(journal).faults
    assert (fault.start, fault.end) == (BASE + 600, None)


def test_a_shift_has_what_it_took_over_and_not_what_was_over_before() -> None:
    journal = Journal()
    seat(journal, 1, -20_000)
    seat(journal, 2, -20_000, over=False)
    seat(journal, 3, -3000)  # recovers within the shift
    seat(journal, 4, 40_000)
    found = log(journal)
    assert [fault.id for fault in found.faults] == ["equipment-fault-2", "equipment-fault-3"]
    assert (found.summary.began, found.summary.open) == (0, 1)


def test_a_shift_knows_nothing_of_what_comes_after_it() -> None:
    journal = Journal()
    seat(journal, 17)
    (fault,) = log(journal, until=BASE + 100).faults
    assert (fault.end, [measure.zh for measure in fault.measures]) == (None, ["报告值班班组长"])


def test_the_summary_counts_and_means() -> None:
    journal = Journal()
    outage(journal)
    cooling(journal)
    system_fault(journal)
    seat(journal, 17, 5000)
    seat(journal, 23, 9000, over=False)
    total = log(journal).summary
    assert (total.faults, total.began, total.open, total.drills) == (5, 5, 1, 0)
    assert {kind.en: count for kind, count in total.by_kind.items()} == {
        "Power outage": 1, "Air conditioning fault": 1, "System fault": 1, "Seat equipment fault": 2,
    }  # fmt: skip
    assert total.mean_ack == (45 + 30) / 2
    assert total.mean_recovery == (8430 + 4230 + 4030 + 2730) / 4
    assert total.longest is not None
    assert total.longest.id == "outage-20261125-0830"


def test_an_exercise_is_marked_and_counts_for_nothing() -> None:
    journal = Journal()
    journal.run(SEAT, "drill", origin="ex-7").recovering(900).closed(901)
    found = log(journal)
    total = found.summary
    assert (total.faults, total.drills, total.longest, total.mean_recovery) == (0, 1, None, None)
    assert shiftlog.cells(found.faults[0], "zh", ZONE).what.startswith("演练 – ")
    assert "EXERCISE – " in shiftlog.as_csv(found, "en", ZONE)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_spreadsheet_has_a_head_and_a_row_each(language: str) -> None:
    journal = Journal()
    seat(journal, 17)
    seat(journal, 23, 9000, over=False)
    head, first, second = rows(shiftlog.as_csv(log(journal), language, ZONE))
    assert [name.removesuffix(" (UTC+08:00)") for name in head] == [getattr(column, language) for column in COLUMNS]
    assert first[:2] == ["2026-11-25 08:30:00", "2026-11-25 09:15:30"]
    assert first[-1] == "equipment-fault-17"
    assert second[1] == ("未恢复" if language == "zh" else "still there")


def test_the_spreadsheet_has_the_mark_that_excel_asks_for_and_its_line_ends() -> None:
    text = shiftlog.as_csv(log(Journal()), "zh", ZONE)
    assert text.encode().startswith(b"\xef\xbb\xbf")
    assert text.endswith("\r\n")


def written(words: str) -> list[str]:
    both = Text(words, words)
    fault = Fault("id", BASE, None, both, both, Severity.MAJOR, spare=both, measures=(both,), who=(words,))
    found = ShiftLog(SINCE, UNTIL, (fault,), log(Journal()).summary)
    return rows(shiftlog.as_csv(found, "zh", ZONE))[1]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t=", "\r=", " =", "＝", "\ufeff=", "\u200b+", "\x00@"])
def test_a_cell_that_would_be_a_formula_is_told_to_be_text(sign: str) -> None:
    cells = written(f'{sign}cmd|"/c calc"!A1')
    assert [cell for cell in cells if "calc" in cell and not cell.startswith("'")] == []
    assert sum("calc" in cell for cell in cells) == 5


@given(st.text(max_size=30))
def test_no_text_begins_a_formula_or_another_row(words: str) -> None:
    cells = written(words)
    assert len(cells) == len(COLUMNS)
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) for cell in cells)


def test_ten_thousand_alarms_are_a_log_at_once() -> None:
    journal = Journal()
    for number in range(10_000):
        journal.alarm(1 + number / 1000, "raised", f"pc-{number}.unreachable", severity="minor")
        journal.alarm(20 + number / 1000, "acknowledged", f"pc-{number}.unreachable", severity="minor", by="王工")
    found = log(journal)
    assert found.summary.faults == 10_000
    assert {fault.who for fault in found.faults} == {("王工",)}
