"""What a record says in words: each thing once, in one language, and nothing done by who did not do it."""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from pathlib import Path
from typing import Final

import pytest

from edgeagent import document, faultrecord, reports, resources, shiftlog, shiftreport, sitefiles
from edgeagent.catalog import Text
from edgeagent.config import Site
from edgeagent.faultrecord import FaultRecord
from edgeagent.lane import Lane, Outcome
from edgeagent.ledger import _journal
from edgeagent.readings import Reading, Value
from edgeagent.requests import carry_out
from edgeagent.run import Evidence, RunVerb
from edgeagent.wording import NAMELESS, Names, evidence, zone_name
from tests.journals import BASE, SEAT, SYSTEM, Journal, Story, both

ZONE: Final = timezone(timedelta(hours=8))
FOLDER: Final = Path(__file__).parent.parent / "config"


def told(journal: Journal, story: Story, as_of: float = BASE + 50_000) -> FaultRecord:
    record = faultrecord.of(journal.lines, story.is_now.run_id, as_of)
    assert record is not None
    return record


def markdown(record: FaultRecord, language: str = "zh", names: Names = NAMELESS) -> str:
    return document.markdown([reports.fault(record, language, ZONE, names)])


def test_every_word_of_an_enumerated_point_is_said_in_chinese() -> None:
    kinds = sitefiles.load(FOLDER, resources.drivers()).catalog.kinds.values()
    words = {word for kind in kinds for point in kind.points.values() for word in point.values}
    assert "battery" in words
    english = {word for word in words if re.search("[a-z]", evidence(Evidence("一", "二", word), NAMELESS, "zh"))}
    assert english == set()


def test_a_line_is_told_without_what_all_lines_of_the_run_begin_with() -> None:
    journal = Journal()
    story = journal.run(SEAT, "seat-1", scope="a007", name=both("Seat a007", "a007 号座席"))
    said = both("Seat equipment fault, Seat a007: Li is in command", "【座席设备故障】a007 号座席：李 担任现场指挥")
    record = told(journal, story.tell(9, RunVerb.COMMANDER, said, by="李"))
    assert "| 08:30:09 | 李 | 李 担任现场指挥 |" in markdown(record)
    assert "| 08:30:09 | 李 | Li is in command |" in markdown(record, "en")
    assert "【" not in markdown(record).replace("【恢复】", "")


def test_a_note_is_told_once_among_the_measures() -> None:
    journal = Journal()
    story = journal.run(SEAT, "seat-1")
    story.tell(5, RunVerb.NOTED, both("Wang: rain", "【座席设备故障】王：下雨"), by="王", reason="下雨")
    assert "| 08:30:05 | 王 | 下雨 |" in markdown(told(journal, story))


def test_what_proves_that_a_fault_is_over_is_said_in_the_words_of_its_alarm() -> None:
    journal = Journal()
    journal.alarm(1, "raised", "pc-7.softphone-down", both("Softphone is down", "软电话未运行"))
    story = journal.run(SEAT, "seat-1", alarms=("pc-7.softphone-down",), standing=("pc-7.softphone-down",))
    proof = Evidence.cleared("pc-7.softphone-down")
    record = told(journal, story.done(90, "repair", "system", evidence=(proof, Evidence.cleared("pc-8.gone"))))
    assert "| 已恢复：软电话未运行<br>已恢复：pc-8.gone |" in markdown(record)
    assert "over: Softphone is down" in markdown(record, "en")


def test_what_readings_show_is_not_said_to_be_done_by_the_agent() -> None:
    journal = Journal()
    record = told(journal, journal.run(SEAT, "seat-1").done(90, "repair", "system"))
    assert "| 08:31:30 | （读数确认） | 维修或更换设备 |" in markdown(record)
    assert "| 08:31:30 | (shown by readings) | Repair or swap the equipment |" in markdown(record, "en")


@pytest.mark.parametrize(
    ("at", "result", "english"),
    [
        pytest.param(1200, "逾期未做", "not done in time", id="late"),
        pytest.param(600, "无需再做", "not needed", id="in time"),
    ],
)
def test_a_step_that_nobody_did_before_the_fault_was_over_says_so(at: float, result: str, english: str) -> None:
    journal = Journal()
    story = journal.run(SYSTEM, "system-1").recovering(at).skipped(at, "staff", "fault over", "system")
    record = told(journal, story)
    (step,) = [each for each in record.steps if each.lapsed]
    assert (step.met, step.late) == ((False, 300) if at > 900 else (None, 0))
    assert re.search(rf"\| 按话务高峰预案调配人员 \|.*故障已恢复，无需再做 \| {result} \|", markdown(record))
    assert f"| {english} |" in markdown(record, "en")
    assert "fault over" not in markdown(record)
    assert "跳过：" not in markdown(record)
    (fault,) = shiftlog.of(journal.lines, BASE, BASE + 9000).faults
    assert fault.measures == ()


def test_reminders_of_two_steps_that_take_turns_are_two_lines() -> None:
    journal = Journal()
    story = journal.run(SEAT, "seat-1")
    for minute in range(1, 41):
        story.reminded(60 * minute, "repair").reminded(60 * minute, "spare-seat")
    said = markdown(told(journal, story, BASE + 3000))
    assert said.count("（共 40 次，最后一次 09:10:00）") == 4
    assert said.count("提醒：请尽快处理") == 4


def test_lines_stay_in_their_order_when_reminders_are_folded() -> None:
    journal = Journal()
    story = journal.run(SEAT, "seat-1").reminded(1, "repair").reminded(2, "spare-seat").reminded(3, "repair")
    story.reminded(4, "repair").noted(5, "下雨").reminded(6, "repair")
    times = re.findall(r"\n\| 08:30:0(\d) \| \\\+", markdown(told(journal, story, BASE + 9)))
    assert times == ["3", "1", "2", "5", "6"]  # opened at 3, then the reminders of which three are one


def test_what_failed_is_not_what_cleared_last() -> None:
    journal = Journal()
    trip, warm = both("Unit has tripped", "机组停机"), both("Too warm", "温度过高")
    story = journal.run(SEAT, "ac", summary=trip, alarms=("a.trip",), standing=("a.trip",))
    more = both("Unit has tripped (and 1 more)", "机组停机（另有 1 条告警）")
    story.set(summary=more, standing=("a.trip", "b.warm")).tell(60, RunVerb.ALARM_JOINED)
    story.set(summary=warm, standing=("b.warm",)).tell(90, RunVerb.ALARM_CLEARED)
    assert told(journal, story.recovering(120).closed(130)).run.summary == more
    (fault,) = shiftlog.of(journal.lines, BASE, BASE + 9000).faults
    assert fault.what == more


def test_what_failed_is_called_as_it_was_known_in_the_end() -> None:
    journal = Journal()
    story = journal.run(SEAT, "out", summary=both("Supply lost", "供电中断"), standing=("m.unclear",))
    known = both("Mains lost", "市电断电")
    story.set(summary=known, standing=("m.lost",)).tell(9, RunVerb.ALARM_JOINED)
    assert told(journal, story.recovering(120)).run.summary == known


def test_a_record_names_the_centre_and_a_clock_that_is_not_its_own() -> None:
    journal = Journal()
    record = told(journal, journal.run(SEAT, "seat-1"))
    names = Names(site=Text("North", "北区中心"))
    own = zone_name(BASE, None)
    other = timezone(timedelta(hours=3, minutes=45))
    said = document.markdown([reports.fault(record, "zh", other, names)])
    assert "北区中心 · 座席设备故障 · seat-1 · 时间均为 UTC+03:45 · 引述原文中的钟点为 " + own in said
    assert "引述原文" not in document.markdown([reports.fault(record, "zh", None, names)])


def test_a_security_run_leaves_an_incident_record() -> None:
    journal = Journal()
    record = told(journal, journal.run(SEAT, "seat-1").set(procedure="security").noted(1, "x"))
    assert markdown(record).startswith("# 事件记录\n")


def test_a_long_note_is_cut_in_the_log_and_whole_in_the_record() -> None:
    journal = Journal()
    note = "很长" * 1000
    story = journal.run(SEAT, "seat-1").noted(5, note)
    log = shiftlog.of(journal.lines, BASE, BASE + 9000)
    written = document.html([shiftreport.shift(log, "zh", ZONE)])
    assert "很长…" in written
    assert note not in written
    assert note in markdown(told(journal, story))
    assert note in shiftlog.as_csv(log, "zh", ZONE)


# Played by the engine on the example site.

NOON: Final = 1_795_575_600.0
KNOWN: Final = {"UPS", "UTC", "edgeagent", "outage"}
"""What stands in a Chinese record in Latin letters, ids of runs and alarms aside."""


@pytest.fixture(scope="module")
def site() -> Site:
    return sitefiles.load(FOLDER, resources.drivers())


class Play:
    """The example site, its people, and the journal that its lane leaves."""

    def __init__(self, site: Site) -> None:
        self.lane, self.now, self.journal = Lane(site), NOON, Journal()
        for id, device in site.devices.items():
            points, given = device.driver.kind.points, device.driver.points
            well = {point: points[point].sample for point in given & points.keys()}
            self.say(0, id, **{point: value for point, value in well.items() if value is not None}, reachable=True)

    def keep(self, outcome: Outcome) -> None:
        definition = self.lane.procedures.definition
        for change in outcome.changes:
            self.journal.put("alarm", change.at - BASE, _journal(change))
        for told in outcome.runs:
            self.journal.put("run", told.at - BASE, faultrecord.journal_of(told, definition(told.run)))

    def say(self, later: float, id: str, **values: Value) -> None:
        self.wait(later)
        readings = self.lane.view.setdefault(id, {})
        assert isinstance(readings, dict)
        readings |= {point: Reading(value, self.now) for point, value in values.items()}
        self.keep(self.lane.step([(id, point) for point in values], self.lane.view, self.now))

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            due = self.lane.next_due()
            self.now = min(until, self.now + 5 if due is None else min(max(due, self.now + 0.01), self.now + 5))
            self.keep(self.lane.step((), self.lane.view, self.now))

    def ask(self, later: float, verb: str, **fields: object) -> None:
        self.wait(later)
        (run_id,) = self.lane.procedures.runs()
        self.keep(carry_out(self.lane, verb, {"mode": "live", "run_id": run_id, **fields}, "王芳", self.now)[1])


def test_an_outage_that_was_really_played_is_told_in_one_language(site: Site) -> None:
    play = Play(site)
    dead: dict[str, Value] = {"source": "battery", "input.voltage": 0.0, "input.frequency": 0.0}
    lit: dict[str, Value] = {"source": "normal", "input.voltage": 230.0, "input.frequency": 50.0}
    for ups in ("ups-a", "ups-b"):
        play.say(1, ups, **dead)
    play.say(0.2, "genset", **{"mains.healthy": False, "mains.voltage": 0.0})
    play.say(0.2, "ats", **{"source.mains": "lost"})
    play.say(0.2, "contacts", **{"mains-present": False})
    play.ask(30, "run-ack")
    play.ask(1, "run-lead")
    play.ask(200, "step", step="tell", action="done", note="已电话通知")
    play.ask(1, "run-note", text="通话未中断")
    for unit in ("crac-1", "crac-2"):
        play.say(5, unit, running=False, state="off")
    for ups in ("ups-a", "ups-b"):
        play.say(60, ups, **lit)
    play.say(1, "genset", **{"mains.healthy": True, "mains.voltage": 230.0})
    play.say(1, "ats", **{"source.mains": "available"})
    play.say(1, "contacts", **{"mains-present": True})
    play.wait(90)
    play.ask(1, "run-fill", field="cause", text="电缆故障")
    for unit in ("crac-1", "crac-2"):
        play.say(5, unit, running=True, state="on")
    play.wait(30)
    play.ask(1, "step", step="record", action="done")
    (run_id,) = play.lane.procedures.runs()
    record = faultrecord.of(play.journal.lines, run_id, play.now)
    assert record is not None
    assert record.over
    names = Names(
        lambda id: site.devices[id].name if id in site.devices else site.tree.name(id),
        point=lambda id, point: site.catalog.kinds[site.tree.nodes[id].kind].points[point].text,
    )
    chinese = re.sub(r"<br>[a-z-]+\.[a-z.-]+", "", markdown(record, "zh", names)).replace(run_id, "")
    assert set(re.findall("[A-Za-z]{3,}", chinese)) <= KNOWN
    english = markdown(record, "en", names)
    for own in ("王芳", "已电话通知", "通话未中断", "电缆故障"):
        assert own in english
        english = english.replace(own, "")
    assert not re.findall("[\u4e00-\u9fff]+", english)
