"""What is judged in a drill, as stories: what came in time, late or not at all, what never should, when all is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.alarm import Verb
from edgeagent.catalog import Severity
from edgeagent.drill import DrillVerb, Verdict
from edgeagent.run import RunChange, RunVerb
from edgeagent.scenario import DrillSettings
from tests.drillscene import (
    ALARMS_ONLY,
    EXPLAINED,
    LED,
    OUTAGE,
    PLANNED,
    TALK,
    Scene,
    alarm,
    change,
    on,
    over,
    run,
    started,
)
from tests.duty import BASE

FAST = DrillSettings(speed=10)
FIRE = alarm("fire.smoke", Severity.CRITICAL)


def good(scene: Scene) -> None:
    """Let everything come as it should."""
    scene.ask(10, "injected", PLANNED[:2])
    scene.drill_alarm(15, "mains.mains-lost")
    scene.drill_run(15, RunVerb.OPENED)
    scene.drill_run(20, RunVerb.STEP_DONE, step="ups-carries")
    scene.drill_run(60, RunVerb.ACKNOWLEDGED, "Zhao")
    scene.lead(480)
    scene.ask(480, "injected", PLANNED)
    scene.drill_alarm(500, "mains.mains-lost", Verb.CLEARED)
    scene.drill_run(530, RunVerb.RECOVERING)


def test_a_drill_in_which_all_comes_in_time_completes_with_its_last_run() -> None:
    scene = started()
    good(scene)
    scene.ask(600, "renew", "Lin")
    scene.drill_run(700, RunVerb.CLOSED, "Lin")
    assert scene.story(DrillVerb.INJECTED, DrillVerb.MET, DrillVerb.MISSED, DrillVerb.ENDED) == [
        "10 injected at 0:10 every ups source = battery",
        "15 met met by 0:45 alarm mains.mains-lost",
        "15 met met by 0:50 run outage",
        "20 met met by 10:10 step outage/ups-carries",
        "60 met met by 3:00 ack outage",
        "480 injected at 8:00 every ups battery.charge -> 60 over 1:00",
        "500 met met by 9:30 cleared mains-lost",
        "530 met met by 12:00 recovered outage",
        "700 met met by 20:00 closed outage",
        "700 ended completed",
    ]
    drill = over(scene)
    assert [outcome.verdict for outcome in drill.outcomes] == [*[Verdict.MET] * 7, Verdict.HELD]
    assert (drill.outcomes[3].at, drill.outcomes[3].of, drill.outcomes[3].by) == (BASE + 60, "drill-outage", "Zhao")
    assert drill.done == 2
    assert scene.told[-1].text.zh.endswith("演练已结束：全部完成；8 项预期中 8 项符合")


def test_what_is_late_is_missed_first_and_is_waited_for() -> None:
    scene = started(Scene(ALARMS_ONLY))
    scene.at(100)
    scene.drill_alarm(130, "mains.mains-lost")
    assert scene.story() == [
        "0 started",
        "45 missed missed by 0:45 alarm mains.mains-lost",
        "130 met late by 0:45 alarm mains.mains-lost",
        "130 ended completed",
    ]
    assert [outcome.verdict for outcome in over(scene).outcomes] == [Verdict.LATE, Verdict.HELD]
    missed, late = scene.told[1:3]
    assert missed.facts == {
        "expectation": 0, "line": "by 0:45 alarm mains.mains-lost", "verdict": "missed", "target": 45, "actual": None,
        "of": "",
    }  # fmt: skip
    assert (late.facts["actual"], late.facts["of"]) == (130, "mains.mains-lost")
    assert missed.text.zh.endswith("】未按时达到：by 0:45 alarm mains.mains-lost")
    assert late.text.zh.endswith("】2:10 才达到，已超时：by 0:45 alarm mains.mains-lost")


def test_what_never_comes_is_waited_for_until_the_time_is_up() -> None:
    scene = started(Scene(ALARMS_ONLY))
    scene.lead(1600)
    assert scene.story(DrillVerb.MISSED, DrillVerb.ENDED)[-1] == "1500 ended time"
    assert [outcome.verdict for outcome in over(scene).outcomes] == [Verdict.MISSED, Verdict.HELD]


def test_what_comes_at_the_very_moment_is_in_time() -> None:
    scene = started(Scene(ALARMS_ONLY))
    scene.at(45)
    scene.drill_alarm(45, "mains.mains-lost")
    assert scene.story(DrillVerb.MET, DrillVerb.MISSED) == ["45 met met by 0:45 alarm mains.mains-lost"]


def test_what_counts_is_when_it_happened_not_when_it_was_heard_of() -> None:
    scene = started(Scene(ALARMS_ONLY))
    told = change(Verb.RAISED, alarm("mains.mains-lost", origin="d"), 44)
    scene.take(scene.drills.drilled([told], [], BASE + 50))
    assert scene.story(DrillVerb.MET, DrillVerb.MISSED) == ["44 met met by 0:45 alarm mains.mains-lost"]


def test_what_never_should_come_is_told_at_once() -> None:
    scene = started(Scene(ALARMS_ONLY))
    scene.drill_alarm(15, "genset.failed-to-start")
    scene.drill_alarm(16, "genset.failed-to-start")
    assert scene.story(DrillVerb.BROKEN) == ["15 broken broken never alarm failed-to-start"]
    assert on(scene).outcomes[1].of == "genset.failed-to-start"
    assert "0:15 出现了不应出现的情况" in scene.told[-1].text.zh
    scene.ask(20, "stop", "Lin", "why")
    assert [outcome.verdict for outcome in over(scene).outcomes] == [Verdict.UNJUDGED, Verdict.BROKEN]


def test_a_drill_that_is_cut_off_proves_nothing_by_what_did_not_come() -> None:
    scene = started(Scene(ALARMS_ONLY))
    scene.ask(20, "stop", "Lin", "why")
    assert [outcome.verdict for outcome in over(scene).outcomes] == [Verdict.UNJUDGED, Verdict.UNJUDGED]


@pytest.mark.parametrize(("second", "verdict"), [(200, Verdict.UNJUDGED), (539, Verdict.UNJUDGED), (541, Verdict.HELD)])
def test_what_never_should_come_has_held_when_all_was_shown(second: float, verdict: Verdict) -> None:
    scene = started(Scene(replace(OUTAGE, expects=OUTAGE.expects[-1:])))
    scene.lead(second)
    scene.ask(second, "stop", "Lin", "why")
    assert [outcome.verdict for outcome in over(scene).outcomes] == [verdict]


def test_what_is_due_at_the_very_end_is_missed_and_not_left_open() -> None:
    scene = Scene(ALARMS_ONLY)
    scene.start(asked=replace(LED, duration=45))
    scene.at(100)
    assert scene.story() == ["0 started", "45 missed missed by 0:45 alarm mains.mains-lost", "45 ended time"]


@pytest.mark.parametrize("name", ["grid.mains-lost", "mains-lost", "grid.mains-lost.l1"])
def test_an_alarm_is_named_by_its_id_or_its_type_with_or_without_qualifier(name: str) -> None:
    expected = replace(ALARMS_ONLY.expects[0], name=name)
    scene = started(Scene(replace(ALARMS_ONLY, expects=(expected,))))
    scene.drill_alarm(14, "grid.circuit-lost")
    scene.drill_alarm(15, "grid.mains-lost.l1")
    assert scene.story(DrillVerb.MET) == ["15 met met by 0:45 alarm mains.mains-lost"]


def test_an_alarm_comes_when_people_are_told_of_it() -> None:
    scene = started(Scene(ALARMS_ONLY))
    scene.drill_alarm(15, "mains.mains-lost", suppression=EXPLAINED)
    scene.drill_alarm(16, "mains.mains-lost", Verb.RELATED)
    assert scene.story(DrillVerb.MET) == []
    scene.drill_alarm(30, "mains.mains-lost", Verb.UNSUPPRESSED)
    assert scene.story(DrillVerb.MET) == ["30 met met by 0:45 alarm mains.mains-lost"]


def test_a_step_counts_for_its_own_procedure_alone() -> None:
    scene = started()
    scene.drill_run(20, RunVerb.STEP_DONE, step="tell")
    own = run("security", origin="d")
    scene.ask(21, "drilled", [], [RunChange(RunVerb.STEP_DONE, own, BASE + 21, own.text, step="ups-carries")])
    assert scene.story(DrillVerb.MET) == []


def test_what_people_do_is_told_with_their_names() -> None:
    scene = started()
    scene.drill_run(20, RunVerb.ACKNOWLEDGED, "Zhao")
    assert scene.told[-1].text.zh.endswith("】0:20 按时达到（Zhao）：by 3:00 ack outage")
    assert scene.told[-1].by == "Zhao"


def test_a_missed_acknowledgement_is_not_waited_for_when_its_run_is_over() -> None:
    waits = replace(OUTAGE, expects=(OUTAGE.expects[1], OUTAGE.expects[3]))
    scene = started(Scene(waits))
    scene.drill_run(15, RunVerb.OPENED)
    scene.lead(700)
    assert on(scene).outcomes[1].verdict is Verdict.MISSED
    scene.drill_run(710, RunVerb.CLOSED, "Lin")
    assert scene.story(DrillVerb.ENDED) == ["710 ended completed"]
    assert [outcome.verdict for outcome in over(scene).outcomes] == [Verdict.MET, Verdict.MISSED]


def test_a_missed_acknowledgement_is_waited_for_while_no_run_has_begun() -> None:
    scene = started(Scene(replace(OUTAGE, expects=(OUTAGE.expects[3],))))
    scene.lead(1400)
    scene.drill_run(1410, RunVerb.ACKNOWLEDGED, "Zhao")
    assert scene.story(DrillVerb.MET) == ["1410 met late by 3:00 ack outage"]


def test_people_at_work_in_a_run_are_let_finish() -> None:
    scene = started(Scene(ALARMS_ONLY))
    scene.drill_run(14, RunVerb.OPENED)
    scene.drill_alarm(15, "mains.mains-lost")
    scene.lead(900)
    assert on(scene).ended is None
    scene.drill_run(910, RunVerb.CLOSED)
    assert scene.story(DrillVerb.ENDED) == ["910 ended completed"]


def test_a_drill_is_not_complete_before_all_was_shown() -> None:
    scene = started(Scene(replace(OUTAGE, expects=OUTAGE.expects[:1])))
    scene.drill_alarm(15, "mains.mains-lost")
    scene.lead(1000)
    assert scene.story(DrillVerb.ENDED) == ["540 ended completed"]


def test_where_nothing_is_expected_to_come_a_drill_takes_its_time() -> None:
    for scenario in (TALK, replace(OUTAGE, expects=OUTAGE.expects[-1:])):
        scene = started(Scene(scenario))
        scene.lead(2000)
        assert scene.story(DrillVerb.ENDED) == ["1500 ended time"]
    assert scene.told[-1].text.en.endswith("1 of 1 as expected")


def test_an_inject_is_told_once_with_its_devices_and_whoever_cannot_show_it() -> None:
    scene = started()
    (shown,) = scene.ask(10, "injected", PLANNED[:2])
    assert shown.facts == {"number": 0, "line": "at 0:10 every ups source = battery", "devices": ["ups-a", "ups-b"]}
    assert shown.text.zh.endswith("】0:10 开始模拟：every ups source = battery")
    assert scene.ask(11, "injected", PLANNED[:2]) == []
    (failed,) = scene.ask(12, "failed", PLANNED[1], "no raw value for it")
    assert (failed.verb, failed.reason) == (DrillVerb.INJECT_FAILED, "no raw value for it")
    assert failed.facts == {"number": 0, "line": "at 0:10 every ups source = battery", "devices": ["ups-b"]}
    assert on(scene).done == 1


def test_once_a_drill_has_ended_nothing_of_it_goes_on() -> None:
    scene = started()
    scene.ask(20, "stop", "Lin", "why")
    drill = over(scene)
    scene.ask(21, "injected", PLANNED)
    scene.ask(22, "failed", PLANNED[0], "why")
    scene.drill_alarm(23, "mains.mains-lost")
    scene.drill_run(24, RunVerb.OPENED)
    scene.ask(25, "live", [change(Verb.RAISED, FIRE, 25)], [])
    scene.at(5000)
    assert over(scene) == drill
    assert scene.story()[-1] == "20 ended stopped"


# -- clocks ---------------------------------------------------------------------------------------------------


def test_a_demonstration_runs_faster_and_is_renewed_in_real_time() -> None:
    scene = Scene(OUTAGE, FAST)
    scene.start(asked=replace(LED, speed=10))
    assert (on(scene).ends, on(scene).renew_by) == (BASE + 150, BASE + 300)
    # The drill lane tells by the clock of the drill: 0:44 there is 4.4 s here.
    lost = change(Verb.RAISED, alarm("mains.mains-lost", origin="d"), 44)
    (met,) = scene.ask(4.45, "drilled", [lost], [])
    assert met.facts["actual"] == pytest.approx(44)
    assert met.at == pytest.approx(BASE + 4.4)
    scene.at(200)
    assert scene.story(DrillVerb.RENEW_DUE, DrillVerb.MISSED, DrillVerb.ENDED) == [
        "5 missed missed by 0:50 run outage",
        "18 missed missed by 3:00 ack outage",
        "57 missed missed by 9:30 cleared mains-lost",
        "61 missed missed by 10:10 step outage/ups-carries",
        "72 missed missed by 12:00 recovered outage",
        "120 missed missed by 20:00 closed outage",
        "150 ended time",
    ]


@pytest.mark.parametrize("delta", [-3600.0, 86_400.0])
def test_a_stepped_clock_moves_the_drill_along(delta: float) -> None:
    scene = started(Scene(ALARMS_ONLY))
    scene.drill_alarm(15, "mains.mains-lost", suppression=EXPLAINED)
    scene.ask(100, "broker", connected=False)
    scene.drills.shift(delta)
    assert on(scene).started == BASE + delta
    scene.at(delta + 400)
    assert [each.at - BASE - delta for each in scene.told if each.verb is DrillVerb.ENDED] == [160]


def test_what_an_early_call_would_have_done_a_late_one_does_first() -> None:
    scene = started(Scene(ALARMS_ONLY))
    scene.take(scene.drills.step(BASE + 10_000))
    assert scene.story() == [
        "0 started", "45 missed missed by 0:45 alarm mains.mains-lost", "240 renew-due", "300 ended unled",
    ]  # fmt: skip


def test_no_line_bears_the_mark_of_a_drill_itself() -> None:
    scene = started()
    good(scene)
    assert not [each.text for each in scene.told if "EXERCISE –" in each.text.en or "演练 –" in each.text.zh]
