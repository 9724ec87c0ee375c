"""What a drill leaves in the journal, and what is told of it from the journal alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import document, drillfigures, drilljson, drillrecord, drillreview, faultrecord, reports, shiftlog
from edgeagent.drill import DrillChange, DrillVerb, End, Outcome, Verdict
from edgeagent.drillfigures import Judgement
from edgeagent.drillrecord import MOST
from edgeagent.drillreview import DrillRecord
from edgeagent.run import RunState
from edgeagent.scenario import Expectation, What
from edgeagent.store import Entry
from tests.drilljournals import DRILL, LOST, SCENARIO, Told, drilled
from tests.journals import BASE, Journal, both, outage, seat

LATER = BASE + 50_000


def record_of(journal: Journal, drill_id: str = DRILL, as_of: float = LATER) -> DrillRecord:
    record = drillreview.of(journal.lines, drill_id, as_of)
    assert record is not None
    return record


@pytest.fixture
def record() -> DrillRecord:
    journal = Journal()
    drilled(journal)
    return record_of(journal)


def test_a_record_has_the_declaration_and_how_it_ended(record: DrillRecord) -> None:
    declared, ended = record.declared, record.held.ended
    assert (declared.scenario, declared.version, declared.procedure) == ("outage-good-start", 2, "outage")
    assert (declared.owner, declared.confirmed_by) == ("林玥", "陈经理")
    assert (declared.started, declared.ends) == (BASE, BASE + 1500)
    assert declared.devices == ("genset", "ups-a", "ups-b")
    assert [words.line for words in declared.injects] == [each.line for each in SCENARIO.timeline]
    assert declared.expects == SCENARIO.expects
    assert ended is not None
    assert (ended.at, ended.why) == (BASE + 1210, End.COMPLETED)
    assert not record.trimmed


def test_each_expectation_has_its_verdict_and_its_moment(record: DrillRecord) -> None:
    found = [(line.outcome.verdict, line.actual, round(line.late, 1)) for line in record.expected]
    assert found == [
        (Verdict.MET, 14, 0), (Verdict.MET, 15, 0), (Verdict.LATE, 70, 10), (Verdict.MET, 100, 0),
        (Verdict.MET, 600, 0), (Verdict.HELD, None, 0),
    ]  # fmt: skip
    assert record.held.good == 5


def test_an_inject_tells_where_it_was_shown_where_it_failed_and_why(record: DrillRecord) -> None:
    shown, ramp, missing, released, silent = record.injects
    assert (shown.shown, shown.devices, shown.failures) == (BASE + 10.2, ("ups-a", "ups-b"), ())
    assert [(each.devices, each.reason) for each in ramp.failures] == [
        (("ups-b",), "battery.charge cannot be written back")
    ]
    assert missing.devices == ("ups-a",)
    assert released.shown == BASE + 540
    assert (silent.shown, silent.count) == (None, 0)


def test_detection_counts_from_the_inject_and_the_announcement_from_the_raise(record: DrillRecord) -> None:
    first = record.first
    assert first is not None
    assert first.line.alarm_id == "mains.mains-lost"
    assert first.inject is not None
    assert first.inject.number == 0
    assert first.detect == pytest.approx(3.8)
    assert first.announce == pytest.approx(0.5)
    assert first.ack == pytest.approx(58)


def test_an_alarm_is_told_of_the_inject_at_its_own_device_and_never_of_a_release() -> None:
    journal = Journal()
    told = Told(journal)
    told.injected(10, 0, "ups-b").injected(60, 2, "ups-a").injected(540, 3, "ups-a", "ups-b")
    for id in ("ups-b.hot", "mains.mains-lost", "genset.fuel-low"):
        told.alarm(600, "raised", id)
    found = {alarm.line.alarm_id: alarm.inject and alarm.inject.number for alarm in record_of(journal).alarms}
    assert found == {"ups-b.hot": 0, "mains.mains-lost": 2, "genset.fuel-low": None}


def test_an_alarm_of_a_device_that_its_inject_only_counts_is_still_told_of_it() -> None:
    journal = Journal()
    told = Told(journal)
    told.drill = replace(told.drill, devices=frozenset(f"pc-{number:04}" for number in range(500)))
    told.tell(0, DrillVerb.STARTED).injected(10, 0, *told.drill.devices).alarm(20, "raised", "pc-0499.gone")
    first = record_of(journal).first
    assert first is not None
    assert first.detect == 10


def test_steps_that_were_skipped_or_never_done_are_told(record: DrillRecord) -> None:
    assert [(step.words.id, step.run.state.value) for _, step in record.undone] == [
        ("hall-cooling-off", "skipped"), ("appliances-off", "ready"),
    ]  # fmt: skip


def test_what_nothing_expected_is_told_but_not_what_another_alarm_explains(record: DrillRecord) -> None:
    assert [alarm.line.alarm_id for alarm in record.strays] == ["genset.fuel-low"]
    assert record.stray_runs == ()


def test_the_end_of_a_drill_closes_its_run_and_no_person_did(record: DrillRecord) -> None:
    assert record.main is not None
    assert record.main.run.state is RunState.ABORTED
    assert drillfigures.closed(record.main) is None
    assert record.main.times.ack == pytest.approx(59.8)


def test_notes_after_the_end_belong_to_it_and_an_improvement_is_no_note(record: DrillRecord) -> None:
    assert [note.reason for note in record.notes] == ["广播听不清"]
    assert [(note.reason, note.facts["owner"], note.facts["due"]) for note in record.improvements] == [
        ("给大厅加一只喇叭", "王工", "2026-12-31")
    ]


def test_a_running_drill_is_told_as_far_as_it_is() -> None:
    journal = Journal()
    drilled(journal)
    found = record_of(journal, as_of=BASE + 90)
    assert found.held.ended is None
    assert [line.outcome.verdict for line in found.expected][2:] == [
        Verdict.LATE, Verdict.OPEN, Verdict.OPEN, Verdict.OPEN,
    ]  # fmt: skip
    assert found.main is not None
    assert not found.main.over


def test_what_was_judged_before_a_restart_stays_judged() -> None:
    journal = Journal()
    told = Told(journal)
    told.judged(14, 0, Verdict.MET, "mains.mains-lost").judged(60, 2, Verdict.MISSED)
    told.drill = replace(told.drill, outcomes=tuple(Outcome() for _ in SCENARIO.expects))
    told.ended(100, End.RESTART)
    verdicts = [line.outcome.verdict for line in record_of(journal).expected]
    assert verdicts == [Verdict.MET, Verdict.UNJUDGED, Verdict.MISSED, *[Verdict.UNJUDGED] * 3]


def test_only_the_lines_at_which_it_begins_and_ends_hold_the_declaration() -> None:
    journal = Journal()
    drilled(journal)
    kept = [line.body["verb"] for line in journal.lines if line.kind == "drill" and "declared" in line.body]
    assert kept == ["started", "ended"]


def test_an_inject_at_five_thousand_devices_is_a_short_line() -> None:
    ids = [f"pc-{number:04}" for number in range(5000)]
    facts = {"number": 0, "line": SCENARIO.timeline[0].line, "devices": ids}
    change = DrillChange(DrillVerb.INJECTED, BASE, Told(Journal()).drill, LOST, facts=facts)
    body = drillrecord.journal_of(change)
    assert (len(body["facts"]["devices"]), body["facts"]["count"]) == (MOST, 5000)
    journal = Journal()
    Told(journal)
    journal.put("drill", 1, body)
    assert record_of(journal).injects[0].count == 5000


def test_a_journal_that_begins_in_the_middle_still_tells_of_the_drill() -> None:
    journal = Journal()
    drilled(journal)
    journal.lines = journal.lines[5:]
    assert record_of(journal).trimmed
    assert record_of(journal).held.good == 5


def test_lines_that_nobody_can_read_are_passed_over() -> None:
    journal = Journal()
    drilled(journal)
    whole = record_of(journal)
    journal.put("drill", 1211, {"drill": DRILL, "verb": "sung", "text": {"en": "", "zh": ""}})
    journal.put("drill", 1211, {"drill": DRILL})
    assert record_of(journal).story == whole.story
    assert drillreview.of(journal.lines, "another", LATER) is None


def test_in_a_fast_drill_all_is_told_by_its_own_clock() -> None:
    journal = Journal()
    told = Told(journal, speed=10.0)
    told.injected(1, 0, "ups-a").alarm(14, "raised", "mains.mains-lost", LOST)
    told.judged(1.4, 0, Verdict.MET, "mains.mains-lost").ended(120)
    found = record_of(journal)
    assert found.injects[0].shown == BASE + 10
    assert found.first is not None
    assert found.first.detect == pytest.approx(4)
    assert found.expected[0].actual == pytest.approx(14)
    assert found.until == BASE + 1200
    assert not found.held.rehearsed


@pytest.mark.parametrize(
    ("name", "alarm_id", "named"),
    [
        ("mains.mains-lost", "mains.mains-lost", True),
        ("mains-lost", "mains.mains-lost", True),
        ("ups-a.outlet", "ups-a.outlet.3", True),
        ("outlet", "ups-a.outlet.3", True),
        ("ups-a.outlet.3", "ups-a.outlet.3", True),
        ("ups-b.outlet", "ups-a.outlet.3", False),
        ("mains", "mains.mains-lost", False),
    ],
)
def test_an_expectation_names_an_alarm_by_its_id_or_its_type(name: str, alarm_id: str, named: bool) -> None:
    assert drillreview.names(Expectation(What.ALARM, name, ""), alarm_id) is named
    assert not drillreview.names(Expectation(What.RUN, name, ""), alarm_id)


# Real and drilled figures.


def both_kinds() -> Journal:
    """Make a journal in which an outage was drilled, and was real at the same time, line by line between each other."""
    journal = Journal()
    outage(journal)
    drilled(journal)
    seat(journal, 17, 20.0)
    mixed = sorted(journal.lines, key=lambda line: line.time)
    journal.lines = [replace(line, seq=number) for number, line in enumerate(mixed, 1)]
    return journal


def is_of_a_drill(line: Entry) -> bool:
    return line.kind.startswith("drill")


def real_figures(lines: list[Entry]) -> tuple[str, str]:
    """Write what reports tell of real faults: the log of the shift, and the record of the outage."""
    record = faultrecord.of(lines, "outage-20261125-0830", LATER)
    assert record is not None
    log = shiftlog.as_csv(shiftlog.of(lines, BASE - 3600, LATER), "zh", None)
    return log, document.html([reports.fault(record, "zh", None)])


def test_reports_of_real_faults_read_the_same_with_a_drill_and_without() -> None:
    lines = both_kinds().lines
    assert real_figures(lines) == real_figures([line for line in lines if not is_of_a_drill(line)])


def test_the_report_of_a_drill_reads_the_same_with_a_real_fault_and_without() -> None:
    journal = both_kinds()
    alone = Journal()
    alone.lines = [line for line in journal.lines if is_of_a_drill(line)]
    assert drilljson.report(Judgement(record_of(journal))) == drilljson.report(Judgement(record_of(alone)))


@given(st.data())
def test_whatever_happens_to_lines_of_one_sort_the_figures_of_the_other_stay(data: st.DataObject) -> None:
    journal = both_kinds()
    drills = data.draw(st.booleans())
    fate = st.sampled_from(["kept", "gone", "twice", "late"])
    changed: list[Entry] = []
    for line in journal.lines:
        done = data.draw(fate) if is_of_a_drill(line) is drills else "kept"
        late = replace(line, time=line.time + 1000, body=copy.deepcopy(dict(line.body)))
        changed += {"kept": [line], "gone": [], "twice": [line, line], "late": [late]}[done]
    if drills:
        assert real_figures(changed) == real_figures(journal.lines)
    else:
        was, now = Journal(), Journal()
        was.lines, now.lines = journal.lines, changed
        assert record_of(now) == record_of(was)


def test_a_drill_is_compared_with_the_one_before_and_with_the_median_of_real_faults() -> None:
    journal = Journal()
    drilled(journal, "before", -90_000, ack=130.0)
    drilled(journal)
    real = []
    for number, ack in enumerate((20, 90, 40, 500, 60, 30)):
        other = Journal()
        story = outage(other, until=12).acked(ack).recovering(900 + number).closed(2000)
        made = faultrecord.of(other.lines, story.is_now.run_id, LATER)
        assert made is not None
        real.append(made)
    rows = drillfigures.compared(Judgement(record_of(journal), record_of(journal, "before"), tuple(real)))
    found = {row.id: row for row in rows}

    def of(id: str) -> tuple[float | None, ...]:
        row = found[id]
        return tuple(None if each is None else round(each, 3) for each in (row.now, row.before, row.real, row.count))

    assert of("ack") == (59.8, 119.8, 60, 5)  # the newest five
    assert of("step/ups-carries") == (9.8, 9.8, 9, 5)
    assert of("recover") == (589.8, 589.8, 903, 5)
    assert of("detect") == (3.8, 3.8, None, 0)
    assert of("close") == (None, None, 2000, 5)


def test_a_run_of_a_drill_never_counts_as_a_real_one() -> None:
    journal = Journal()
    drilled(journal)
    record = record_of(journal)
    assert record.main is not None
    rows = drillfigures.compared(Judgement(record, None, (record.main,)))
    assert {row.count for row in rows} == {0}


def test_a_drill_whose_clocks_were_not_true_is_compared_with_nothing() -> None:
    journal = Journal()
    drilled(journal)
    record = record_of(journal)
    held = replace(record.held, declared=replace(record.declared, speed=2.0))
    assert drillfigures.compared(Judgement(replace(record, held=held), record)) == ()


def test_texts_of_both_languages_come_back() -> None:
    journal = Journal()
    drilled(journal)
    assert record_of(journal).declared.purpose == both("Everybody knows the way", "熟悉断电处置流程")
