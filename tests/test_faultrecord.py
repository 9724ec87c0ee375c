"""The fault record: what a run leaves in the journal, and what is told of it from the journal alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from edgeagent import faultrecord, recordfeed
from edgeagent.catalog import Severity, Text
from edgeagent.faultrecord import FORM, MOST, FaultRecord, StepLine
from edgeagent.run import RunChange, RunState, RunVerb, StepState
from edgeagent.store import Entry
from tests.journals import BASE, OUTAGE, PROCEDURES, SEAT, STORIES, Journal, Story, outage, seat, system_fault

LATER = BASE + 50_000


def told(journal: Journal, story: Story, as_of: float = LATER) -> FaultRecord:
    record = faultrecord.of(journal.lines, story.is_now.run_id, as_of)
    assert record is not None
    return record


def played(name: str) -> FaultRecord:
    journal = Journal()
    return told(journal, STORIES[name](journal))


def step(record: FaultRecord, id: str) -> StepLine:
    return next(each for each in record.steps if each.words.id == id)


@pytest.mark.parametrize("name", STORIES)
def test_the_record_of_each_procedure_has_what_the_form_asks_for(name: str) -> None:
    record = played(name)
    procedure = next(each for each in PROCEDURES if each.id == name)
    assert record.over
    assert not record.trimmed
    assert record.words.text == procedure.text
    assert record.run.onset == BASE
    assert record.run.recovered is not None
    assert record.run.scope_name.zh
    assert record.run.summary.zh
    assert record.alarms
    assert record.times.detect is not None
    assert record.times.recover == record.run.recovered - BASE
    assert [(line.words.id, line.words.text, line.words.role) for line in record.steps] == [
        (each.id, each.text, each.role) for each in procedure.steps
    ]
    assert all(line.run.by for line in record.steps)
    assert record.story[0].verb is RunVerb.OPENED
    assert record.story[-1].verb is RunVerb.CLOSED


def test_an_outage_is_told_to_the_second() -> None:
    record = played("outage")
    times = record.times
    assert (times.detect, times.open, times.ack, times.recover, times.close) == (2, 3, 45, 8430, 9405)
    assert times.announce == pytest.approx(2.4, abs=1e-3)
    generator = step(record, "generator-carries")
    assert (generator.words.opens, generator.target, generator.actual, generator.met) == (420, 600, 490, True)
    assert (generator.run.evidence[0].resource, generator.run.evidence[0].value) == ("genset", "running")
    forgotten = step(record, "appliances-off")
    assert (forgotten.target, forgotten.actual, forgotten.met, forgotten.late) == (300, 445, False, 145)
    assert (forgotten.overdue, forgotten.reminders) == (BASE + 300, 2)
    assert [(each.at, each.roles) for each in forgotten.escalations] == [(BASE + 420, ("supervisor",))]
    assert record.run.form["cause"] == "区域 10 kV 电缆被施工挖断"
    assert record.affected == 64


def test_a_recovery_step_counts_from_the_recovery() -> None:
    back = step(played("outage"), "back-on-mains")
    assert (back.start, back.target, back.actual) == (BASE + 8430, 1800, 470)


def test_a_skipped_step_says_why_and_is_neither_met_nor_late() -> None:
    fans = step(played("air-conditioning"), "fans")
    assert (fans.run.state, fans.run.note, fans.met, fans.late) == (StepState.SKIPPED, "仓库无备用风扇", None, 0.0)
    assert fans.actual is None


def test_a_fault_level_has_its_words_and_its_verdict() -> None:
    journal = Journal()
    late = told(journal, system_fault(journal))
    assert late.level == Text("Level 1", "一级")
    assert late.restored is False
    assert [change.roles for change in late.escalations] == [("manager",), ("department",)]
    in_time = replace(late, run=replace(late.run, recovered=BASE + 1800))
    assert in_time.restored is True
    still = replace(late, run=replace(late.run, recovered=None, ended=None, state=RunState.OPEN))
    assert replace(still, as_of=BASE + 1700).restored is None
    assert replace(still, as_of=BASE + 1900).restored is False


def test_an_open_run_is_told_as_far_as_it_is() -> None:
    journal = Journal()
    record = told(journal, outage(journal, until=430), BASE + 432)
    assert not record.over
    assert (record.times.recover, record.times.close) == (None, None)
    forgotten, generator = step(record, "appliances-off"), step(record, "generator-carries")
    assert (forgotten.met, forgotten.late, forgotten.actual) == (False, 132, None)
    assert (generator.met, generator.late, generator.target) == (None, 0.0, 600)
    assert [alarm.spans[-1].end for alarm in record.alarms] == [None, None, None]
    assert step(record, "record").run.state is StepState.WAITING


@pytest.mark.parametrize("kept", range(1, 15))
def test_what_is_left_of_a_trimmed_journal_is_enough_for_a_record(kept: int) -> None:
    journal = Journal()
    story = outage(journal)
    whole = told(journal, story)
    journal.lines = journal.lines[-kept:]
    record = told(journal, story)
    assert record.trimmed
    assert record.steps[0].words.text == whole.steps[0].words.text
    assert [(line.run, line.target, line.met, line.late) for line in record.steps] == [
        (line.run, line.target, line.met, line.late) for line in whole.steps
    ]
    assert (record.run, record.affected) == (whole.run, 64)
    assert (record.times.ack, record.times.recover) == (45, 8430)


def test_without_a_line_that_has_its_words_a_step_is_called_by_its_id() -> None:
    journal = Journal()
    story = outage(journal, until=600)
    journal.lines = journal.lines[-3:]
    record = told(journal, story, BASE + 600)
    assert {line.words.text.zh for line in record.steps} == {each.id for each in OUTAGE.steps}
    assert step(record, "notify").actual == 75


def test_an_alarm_whose_raise_was_trimmed_stood_since_nobody_knows_when() -> None:
    journal = Journal()
    story = outage(journal)
    journal.lines = [line for line in journal.lines if line.body["verb"] != "raised"]
    mains = next(alarm for alarm in told(journal, story).alarms if alarm.alarm_id == "mains.lost")
    assert [(span.start, span.end) for span in mains.spans] == [(None, BASE + 8400)]


def test_a_record_takes_nothing_from_other_runs_and_their_alarms() -> None:
    journal = Journal()
    story = seat(journal, 17)
    alone = told(journal, story)
    outage(journal)
    seat(journal, 18, 100.0)
    journal.alarm(20, "raised", "ups-z.on-battery")
    assert told(journal, story) == alone


def test_an_alarm_that_flaps_has_a_span_for_each_time_and_the_gravest_severity() -> None:
    journal = Journal()
    story = journal.run(SEAT, "seat-1", alarms=("pc-1.slow",))
    for second in range(0, 400, 40):
        journal.alarm(second, "raised", "pc-1.slow", severity="minor")
        journal.alarm(second + 10, "severity-changed", "pc-1.slow", severity="major")
        journal.alarm(second + 20, "cleared", "pc-1.slow", severity="minor")
    (alarm,) = told(journal, story).alarms
    assert [(span.start, span.end) for span in alarm.spans] == [
        (BASE + second, BASE + second + 20) for second in range(0, 400, 40)
    ]
    assert (alarm.severity, alarm.resource) == (Severity.MAJOR, "pc-1")


def test_a_change_comes_back_from_the_journal_as_it_was() -> None:
    journal = Journal()
    story = outage(journal)
    read = [faultrecord.read(line) for line in journal.lines if line.kind == "run"]
    last = read[-1]
    assert last is not None
    assert last.change == RunChange(RunVerb.CLOSED, story.is_now, BASE + 9405, Text("Closed", "已结束"), "林玥")
    assert None not in read


def test_five_thousand_seats_that_join_one_by_one_do_not_fill_the_disk() -> None:
    journal = Journal()
    story = journal.run(SEAT, "hall", alarms=("a-0.gone",), affected=("seat-0",))
    for number in range(1, 5000):
        if number % 50 == 0:  # enough to see how lines grow
            ids = range(number + 1)
            story.set(alarms=tuple(f"a-{each}.gone" for each in ids), affected=tuple(f"seat-{each}" for each in ids))
            story.tell(number / 100, RunVerb.ALARM_JOINED, reason=f"a-{number}.gone")
    assert all(len(line.body["run"]["affected"]) <= MOST for line in journal.lines[1:])
    record = told(journal, story, BASE + 60)
    assert (record.affected, record.alarm_count) == (4951, 4951)
    story.recovering(70)
    assert len(told(journal, story).run.affected) == 4951


@pytest.mark.parametrize(
    "broken", [{}, {"verb": "exploded"}, {"run": None}, {"run": {"run_id": 5}}, {"text": "x"}, {"words": []}], ids=str
)
def test_a_line_that_nobody_can_read_is_passed_over(broken: dict[str, object]) -> None:
    journal = Journal()
    story = seat(journal)
    whole = told(journal, story)
    middle = journal.lines[3]
    body = {"run_id": story.is_now.run_id, **({**middle.body, **broken} if broken else {})}
    journal.lines.append(Entry("run", LATER, body, 1000))
    assert faultrecord.read(journal.lines[-1]) is None
    assert told(journal, story) == whole


def test_a_run_that_the_journal_does_not_know_has_no_record() -> None:
    journal = Journal()
    seat(journal)
    assert faultrecord.of(journal.lines, "equipment-fault-18", LATER) is None
    assert faultrecord.of([], "equipment-fault-17", LATER) is None


@pytest.mark.parametrize("name", STORIES)
def test_the_json_of_a_record_keeps_its_own_schema_and_has_every_field_of_the_form(name: str) -> None:
    written = recordfeed.record(played(name))
    assert TypeAdapter(recordfeed.FaultRecordJson).validate_python(written, strict=True) == written
    assert set(FORM) <= set(written["form"])
    assert written["over"]
    assert written["onset"] == "2026-11-25T00:30:00.000Z"
