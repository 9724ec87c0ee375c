"""The rules of drills as stories: who may start one, what keeps it going, what ends it at once."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from edgeagent.alarm import Alarm, Silence, Suppression, Verb
from edgeagent.catalog import Severity, Text
from edgeagent.drill import DrillRefused, DrillVerb, End, Verdict
from edgeagent.drills import Start
from edgeagent.readings import Reading
from edgeagent.run import RunChange, RunState, RunVerb
from edgeagent.scenario import DrillSettings, Hours
from edgeagent.steady import Trouble
from tests.drillscene import (
    DEVICES,
    EXPLAINED,
    LED,
    OUTAGE,
    SCOPE,
    TALK,
    Scene,
    alarm,
    change,
    on,
    over,
    run,
    started,
)
from tests.duty import BASE, CHINA

CRITICAL, MAJOR, MINOR = Severity.CRITICAL, Severity.MAJOR, Severity.MINOR
AT_NIGHT = DrillSettings(blocked=(Hours(120, 180),))
FAST = DrillSettings(speed=10)


# -- the start ------------------------------------------------------------------------------------------------


def test_a_drill_starts_with_all_that_was_declared() -> None:
    scene = Scene()
    (told,) = scene.start(asked=Start(" Lin ", "Wang", duration=600))
    drill = on(scene)
    assert told.drill == drill
    assert drill.drill_id == "outage-good-start-20261125-0210"
    assert (drill.owner, drill.confirmed_by, drill.scope, drill.devices) == (
        "Lin", "Wang", frozenset(SCOPE), frozenset(DEVICES),
    )  # fmt: skip
    assert (drill.started, drill.ends, drill.renew_by) == (BASE, BASE + 600, BASE + 300)
    assert {outcome.verdict for outcome in drill.outcomes} == {Verdict.OPEN}
    assert told.text == Text(
        "Mains outage, generator starts well: exercise started by Lin, confirmed by Wang; over by 02:20 at the latest",
        "【市电断电，发电机正常启动】演练已开始，负责人 Lin，确认人 Wang，最迟 02:20 结束",
    )


STARTS: dict[str, tuple[Start, DrillSettings]] = {
    "owner-missing": (Start(" ", "Wang"), DrillSettings()),
    "second-person-missing": (Start("Lin"), DrillSettings()),
    "second-person-missing who is the owner": (Start("Lin", " LIN "), DrillSettings()),
    "blocked-hours": (LED, AT_NIGHT),
    "too-fast": (replace(LED, speed=2), DrillSettings()),
    "too-fast for a demonstration": (replace(LED, speed=11), FAST),
    "too-fast because slower than real": (replace(LED, speed=0.5), FAST),
    "bad-duration": (replace(LED, duration=4 * 3600 + 1), DrillSettings()),
    "bad-duration of none": (replace(LED, duration=0), DrillSettings()),
    "bad-duration of no number": (replace(LED, duration=float("nan")), DrillSettings()),
}


@pytest.mark.parametrize(("asked", "settings"), STARTS.values(), ids=STARTS.keys())
def test_a_drill_that_may_not_be_is_refused(
    asked: Start, settings: DrillSettings, request: pytest.FixtureRequest
) -> None:
    scene = Scene(settings=settings)
    with pytest.raises(DrillRefused) as error:
        scene.start(asked=asked)
    assert error.value.code == request.node.callspec.id.partition(" ")[0]
    assert scene.drills.current is None
    assert scene.drills.next_due() is None


ALLOWED: dict[str, tuple[Start, DrillSettings]] = {
    "alone where the site allows it": (Start("Lin"), DrillSettings(second_person=False)),
    "at other hours": (LED, DrillSettings(blocked=(Hours(131, 180), Hours(60, 130)))),
    "as fast as a demonstration may be": (replace(LED, speed=10), FAST),
    "for four hours": (replace(LED, duration=4 * 3600), DrillSettings()),
}


@pytest.mark.parametrize(("asked", "settings"), ALLOWED.values(), ids=ALLOWED.keys())
def test_a_drill_that_may_be_starts(asked: Start, settings: DrillSettings) -> None:
    scene = Scene(settings=settings)
    scene.start(asked=asked)
    assert on(scene).speed == asked.speed


def test_a_refusal_gives_every_reason() -> None:
    scene = Scene(settings=AT_NIGHT)
    steady = (Trouble("real-critical", Text("a real critical alarm stands: fire", "存在真实的紧急告警：火警")),)
    with pytest.raises(DrillRefused) as error:
        scene.start(asked=Start("Lin"), steady=steady)
    assert error.value.code == "second-person-missing"
    assert error.value.text == Text(
        "somebody else than its owner must confirm it; none may start between 02:00 and 03:00; "
        "a real critical alarm stands: fire",
        "须由负责人以外的第二人确认；02:00 至 03:00 期间不得开始演练；存在真实的紧急告警：火警",
    )


def test_no_second_drill_starts_beside_the_first() -> None:
    scene = started(Scene(TALK))
    first = on(scene)
    with pytest.raises(DrillRefused, match="already-running") as error:
        scene.start(60)
    assert "outage-good-start-20261125-0210" in error.value.text.zh
    assert on(scene) == first


def test_no_drill_starts_before_the_end_of_the_last_was_told() -> None:
    scene = started(Scene(TALK))
    local = datetime.fromtimestamp(BASE + 301, CHINA)
    with pytest.raises(DrillRefused, match="already-running"):
        scene.drills.start(LED, TALK, SCOPE, DEVICES, (), BASE + 301, local)
    assert scene.drills.step(BASE + 301)[-1].drill.end is End.UNLED
    (told,) = scene.start(302)
    assert told.verb is DrillVerb.STARTED


def test_a_drill_of_the_same_minute_has_an_id_of_its_own() -> None:
    scene = Scene(replace(OUTAGE, id="a-scenario-with-a-very-long-name-indeed"))
    ids = []
    for second in (0, 10, 20):
        scene.start(second)
        ids.append(on(scene).drill_id)
        scene.ask(second + 5, "stop", "Lin", "again")
    assert ids == [
        "a-scenario-with-a-very-lon-20261125-0210",
        "a-scenario-with-a-very-l-20261125-0210-2",
        "a-scenario-with-a-very-l-20261125-0210-3",
    ]


@pytest.mark.parametrize(("day", "refused"), [(27, True), (28, False)], ids=["Friday", "Saturday"])
def test_blocked_hours_are_by_the_clock_on_the_wall_and_on_their_days(day: int, refused: bool) -> None:
    scene = Scene(settings=DrillSettings(blocked=(Hours(540, 690, frozenset(range(5))),)))
    local = datetime(2026, 11, day, 9, 30, tzinfo=CHINA)
    with pytest.raises(DrillRefused) if refused else nullcontext() as error:
        scene.drills.start(LED, OUTAGE, SCOPE, DEVICES, (), local.timestamp(), local)
    assert (error is not None) is refused
    if error is not None:
        assert error.value.text.zh == "09:00 至 11:30 期间不得开始演练"


# -- renewal, notes, stop -------------------------------------------------------------------------------------


def test_a_drill_that_nobody_renews_ends_after_a_warning() -> None:
    scene = started(Scene(TALK))
    scene.at(1000)
    assert scene.story() == ["0 started", "240 renew-due", "300 ended unled"]
    assert scene.told[-1].text.zh == "【市电断电，发电机正常启动】演练已结束：5 分内无人确认继续"
    assert scene.told[1].text.zh == "【市电断电，发电机正常启动】请确认继续演练，否则 02:15 自动结束"


def test_whoever_renews_it_keeps_it_going_until_its_time() -> None:
    scene = started(Scene(TALK))
    for second in (100, 390, 660, 959, 1250):
        scene.ask(second, "renew", "Zhao")
    scene.at(2000)
    assert scene.story(DrillVerb.RENEW_DUE, DrillVerb.ENDED) == [
        "340 renew-due", "630 renew-due", "900 renew-due", "1199 renew-due", "1500 ended time",
    ]  # fmt: skip
    assert over(scene).ended == BASE + 1500


def test_a_renewal_that_comes_too_late_is_refused_and_the_end_is_told_all_the_same() -> None:
    scene = started(Scene(TALK))
    with pytest.raises(DrillRefused, match="no-drill"):
        scene.drills.renew("Lin", BASE + 301)
    assert scene.drills.next_due() == BASE + 240
    scene.take(scene.drills.step(BASE + 301))
    assert scene.story() == ["0 started", "240 renew-due", "300 ended unled"]
    assert scene.drills.next_due() is None


def test_anyone_stops_it_at_once() -> None:
    scene = started()
    (told,) = scene.ask(30, "stop", "Zhao", "the phones do not stop")
    assert (told.verb, told.by, told.reason) == (DrillVerb.ENDED, "Zhao", "the phones do not stop")
    drill = over(scene)
    assert told.drill == drill
    assert (drill.ended, drill.end, drill.ended_by) == (BASE + 30, End.STOPPED, "Zhao")
    assert told.text == Text(
        "Mains outage, generator starts well: exercise over: stopped by Zhao (the phones do not stop); "
        "0 of 8 as expected",
        "【市电断电，发电机正常启动】演练已结束：Zhao 叫停（the phones do not stop）；8 项预期中 0 项符合",
    )


def test_a_stop_needs_neither_name_nor_reason() -> None:
    scene = started()
    (told,) = scene.ask(30, "stop", "", "")
    assert told.drill.end is End.STOPPED
    assert "有人 叫停；" in told.text.zh


def test_to_stop_what_has_just_ended_is_to_stop_it() -> None:
    scene = started(Scene(TALK))
    told = scene.drills.stop("Zhao", "enough", BASE + 301)
    assert [each.drill.end for each in told if each.verb is DrillVerb.ENDED] == [End.UNLED]
    with pytest.raises(DrillRefused, match="no-drill"):
        scene.drills.stop("Zhao", "enough", BASE + 302)


CODES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "operator-missing": ("renew", (" ",), {}),
    "operator-missing to note": ("note", ("", "seen"), {}),
    "text-missing": ("note", ("Lin", " "), {}),
    "too-long": ("note", ("Lin", "x" * 2001), {}),
    "improvement-incomplete": ("note", ("Lin", "labels"), {"owner": "Zhao"}),
    "improvement-incomplete without owner": ("note", ("Lin", "labels"), {"due": "2026-12-01"}),
    "bad-date": ("note", ("Lin", "labels"), {"owner": "Zhao", "due": "20261201"}),
    "bad-date of no day": ("note", ("Lin", "labels"), {"owner": "Zhao", "due": "2026-02-30"}),
    "other-drill": ("renew", ("Lin",), {"drill_id": "smoke-20261125-0210"}),
    "other-drill to stop": ("stop", ("Lin", "why"), {"drill_id": "smoke-20261125-0210"}),
    "other-drill to note": ("note", ("Lin", "seen"), {"drill_id": "smoke-20261125-0210"}),
}


@pytest.mark.parametrize(("verb", "words", "more"), CODES.values(), ids=CODES.keys())
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    verb: str, words: tuple[Any, ...], more: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    scene = started()
    before = on(scene)
    with pytest.raises(DrillRefused) as error:
        scene.ask(5, verb, *words, **more)
    assert error.value.code == request.node.callspec.id.partition(" ")[0]
    assert error.value.text.en
    assert error.value.text.zh
    assert on(scene) == before


@pytest.mark.parametrize(("verb", "words"), [("renew", ("Lin",)), ("stop", ("Lin", "why")), ("note", ("Lin", "seen"))])
def test_without_a_drill_there_is_nothing_to_ask_of(verb: str, words: tuple[str, ...]) -> None:
    with pytest.raises(DrillRefused, match="no-drill"):
        Scene().ask(0, verb, *words)


def test_notes_are_taken_during_a_drill_and_after_it() -> None:
    scene = started()
    (seen,) = scene.ask(20, "note", "Lin", "nobody looked up")
    assert (seen.by, seen.reason, seen.facts) == ("Lin", "nobody looked up", {})
    assert seen.text.zh == "【市电断电，发电机正常启动】Lin：nobody looked up"
    scene.ask(30, "stop", "Lin", "enough")
    drill = over(scene)
    (better,) = scene.ask(900, "note", "Lin", "label the breakers", owner="Zhao", due="2026-12-01")
    assert better.facts == {"owner": "Zhao", "due": "2026-12-01"}
    assert better.text.zh.endswith("改进事项，责任人 Zhao，2026-12-01 前完成：label the breakers")
    assert better.drill == over(scene) == drill
    scene.start(1000)
    (late,) = scene.ask(1010, "note", "Lin", "and the plan", drill_id=drill.drill_id)
    assert late.drill == drill


# -- what really happens --------------------------------------------------------------------------------------

GRAVE: dict[str, Alarm] = {
    "a critical alarm anywhere": alarm("fire.smoke", CRITICAL),
    "a major alarm at a drilled device": alarm("ups-a.battery-fault"),
    "a major alarm in its scope": alarm("panel.breaker"),
    "a major alarm that hits its scope": alarm("room.hot", impacted_resource=("x", "ups-b")),
}
SLIGHT: dict[str, Alarm] = {
    "a major alarm elsewhere": alarm("crac-1.unit-trip"),
    "a minor alarm at a drilled device": alarm("ups-a.door", MINOR),
    "a critical alarm that is over": replace(alarm("fire.smoke", CRITICAL), is_cleared=True),
    "a critical alarm that another explains": alarm("ups-a.dead", CRITICAL, suppression=EXPLAINED),
    "a critical alarm on the shelf": alarm("x.y", CRITICAL, suppression=Suppression(Silence.SHELVED)),
}


@pytest.mark.parametrize("record", GRAVE.values(), ids=GRAVE.keys())
@pytest.mark.parametrize("verb", [Verb.RAISED, Verb.SEVERITY_CHANGED, Verb.UNSUPPRESSED])
def test_a_real_alarm_ends_it_at_once(record: Alarm, verb: Verb) -> None:
    scene = started()
    slight = change(Verb.RAISED, alarm("crac-1.unit-trip"), 12)
    (told,) = scene.ask(12, "live", [slight, change(verb, record, 12)], [])
    drill = over(scene)
    assert (drill.end, drill.ended, drill.reason) == (End.REAL_ALARM, BASE + 12, record.alarm_id)
    assert record.short_text.zh in told.text.zh


@pytest.mark.parametrize("record", SLIGHT.values(), ids=SLIGHT.keys())
def test_what_is_real_and_slight_does_not_end_it(record: Alarm) -> None:
    scene = started()
    assert scene.ask(12, "live", [change(Verb.RAISED, record, 12)], []) == []
    assert on(scene).ended is None


def test_a_real_procedure_ends_it_at_once() -> None:
    scene = started()
    own = run("system-fault", "system-fault-20261125-0210")
    (told,) = scene.ask(12, "live", [], [RunChange(RunVerb.OPENED, own, BASE + 12, own.text)])
    assert (told.drill.end, told.drill.reason) == (End.REAL_RUN, "system-fault-20261125-0210")


def test_the_last_word_of_a_real_run_that_is_over_does_not_end_it() -> None:
    scene = started()
    own = run(state=RunState.CLOSED)
    assert scene.ask(12, "live", [], [RunChange(RunVerb.NOTED, own, BASE + 12, own.text)]) == []


@pytest.mark.parametrize(
    ("value", "quality", "ends"),
    [(33.0, "", True), (32.0, "", False), (None, "timeout", False), (None, "absent", False)],
)
def test_a_condition_ends_it_only_when_it_is_known_to_hold(value: float | None, quality: str, ends: bool) -> None:
    scene = started()
    reading = Reading.bad(quality, BASE) if value is None else Reading(value, BASE)
    view = {"cold": {"temperature": Reading(20.0, BASE)}, "warm": {"temperature": reading}}
    kinds = {"cold": "environment", "warm": "environment", "unread": "environment", "ups-a": "ups"}
    scene.ask(12, "conditions", view, kinds)
    assert (scene.drills.current is None) is ends
    if ends:
        assert (over(scene).end, over(scene).reason) == (End.CONDITION, "warm, any environment temperature > 32")


def test_a_condition_is_asked_of_what_changed_and_of_its_kind() -> None:
    scene = started()
    view = {id: {"temperature": Reading(40.0, BASE)} for id in ("warm", "ups-a")}
    kinds = {"warm": "environment", "ups-a": "ups"}
    assert scene.ask(12, "conditions", view, kinds, changed=["ups-a", "gone"]) == []
    assert scene.ask(13, "conditions", view, kinds, changed=["warm"])[0].drill.end is End.CONDITION


def test_a_minute_without_the_broker_ends_it() -> None:
    scene = started(Scene(TALK))
    for second, connected in [(10, False), (69, True), (100, False), (130, False)]:
        scene.ask(second, "broker", connected)
    scene.at(200)
    assert scene.story(DrillVerb.ENDED) == ["160 ended broker"]
    scene.start(300)
    scene.lead(500, 300)
    assert on(scene).ended is None


@pytest.mark.parametrize("why", list(End))
def test_the_agent_may_end_it_for_any_reason_and_says_which(why: End) -> None:
    scene = started()
    (told,) = scene.ask(12, "end", why)
    assert "{" not in told.text.en + told.text.zh
    assert (told.verb, over(scene).end) == (DrillVerb.ENDED, why)
    assert scene.ask(13, "end", why) == []


def test_a_drill_that_was_on_when_the_agent_died_is_over_and_nothing_of_it_is_judged() -> None:
    scene = started()
    dead = on(scene)
    again = Scene()
    (told,) = again.take(again.drills.found(dead, BASE + 5000))
    assert (told.drill.drill_id, told.drill.end, told.drill.ended) == (dead.drill_id, End.RESTART, BASE + 5000)
    assert {outcome.verdict for outcome in told.drill.outcomes} == {Verdict.UNJUDGED}
    assert "监控代理已重新启动" in told.text.zh
    assert again.drills.next_due() is None
    assert again.drills.found(over(again), BASE + 5001) == []
