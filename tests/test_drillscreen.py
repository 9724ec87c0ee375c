"""What a terminal shows of a drill: the lines of its messages, how far it is, and how it came out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from edgeagent.catalog import Text
from edgeagent.drill import Drill, DrillChange, DrillVerb, End
from edgeagent.drillfeed import WENT, event, notice, progress
from edgeagent.drillscreen import Following, catalogue, plan, remaining, scenarios, state
from edgeagent.messages import Message, Mode
from edgeagent.run import RunVerb
from edgeagent.runfeed import messages_of
from edgeagent.scenario import DrillPlans
from tests.test_drillfeed import DRILL, NOW, OVER, TREE
from tests.test_runfeed import OUTAGE, RUN
from tests.test_runfeed import change as of_run
from tests.test_targets import park, scenario

LIVE: Final = TREE.exercise()
OWN: Final = TREE.exercise(Mode.DRILL)
STATUS: Final = TREE.own("status")
ONLINE: Final = {"state": "online", "reason": "start"}


def happened(verb: DrillVerb, drill: Drill = DRILL, text: str = "x", at: float = NOW) -> Message:
    return event(DrillChange(verb, at, drill, Text(f"en {text}", f"中文 {text}")), TREE, "zh", 1, 1, at)


def take(following: Following, *messages: Message) -> list[str]:
    found = [following.take(message.topic, json.loads(message.body)) for message in messages]
    return [line for lines in found for line, _ in lines]


def under_way(language: str = "zh") -> Following:
    following = Following(TREE, "en" if language == "en" else "zh", DRILL.drill_id)
    following.take(OWN, {**progress(DRILL, None, "zh", NOW)})
    return following


@pytest.mark.parametrize(("language", "text"), [("en", "EXERCISE – en x"), ("zh", "演练 – 中文 x")])
def test_each_event_is_one_line_with_its_moment_and_the_mark(language: str, text: str) -> None:
    assert take(under_way(language), happened(DrillVerb.INJECTED)) == [f"   1:00  {text}"]


def test_what_follows_of_a_run_is_a_line_too_with_the_moment_by_the_drills_clock() -> None:
    run = replace(RUN, origin=DRILL.drill_id)
    told = messages_of([of_run(RunVerb.OPENED, run)], lambda _: OUTAGE, TREE, "zh", 1, lambda: 1, NOW)[-1]
    assert take(under_way(), told) == ["   1:00  演练 – 中文 x"]


def test_an_event_of_another_drill_says_nothing() -> None:
    other = replace(DRILL, drill_id="outage-good-start-20261119-0110")
    assert take(under_way(), happened(DrillVerb.INJECTED, other), happened(DrillVerb.ENDED, other)) == []


def test_the_last_event_ends_it_with_its_own_last_words() -> None:
    following = under_way("en")
    assert not following.ended
    take(following, happened(DrillVerb.ENDED, OVER))
    assert following.ended is not None
    assert following.last_words().startswith("EXERCISE – over: Mains outage, stopped by hand by zhao; 2 of 3")
    assert take(following, happened(DrillVerb.NOTED, OVER)) == []


@pytest.mark.parametrize("end", list(End))
def test_only_a_drill_that_was_not_cut_short_went_all_its_way(end: End) -> None:
    following = under_way()
    assert not following.went
    take(following, happened(DrillVerb.ENDED, replace(OVER, end=end)))
    assert following.went is (end in WENT)
    assert (End.COMPLETED in WENT, End.STOPPED in WENT, End.REAL_ALARM in WENT) == (True, False, False)


def test_an_agent_that_comes_back_from_the_dead_says_that_the_drill_is_over() -> None:
    following = under_way()
    lines = [following.take(STATUS, said) for said in (ONLINE, {"state": "offline", "reason": "lost"}, ONLINE)]
    assert [len(each) for each in lines] == [0, 1, 1]
    assert "监控代理不在线（lost）" in lines[1][0][0]
    assert following.ended is None, "nobody knows yet"
    following.take(LIVE, {**notice(None, replace(OVER, end=End.RESTART), "zh", NOW)})
    assert following.ended
    assert not following.went


def test_a_drill_that_vanishes_without_a_word_is_over_all_the_same() -> None:
    following = under_way()
    following.take(LIVE, {**notice(None, None, "zh", NOW)})
    assert following.ended == {}
    assert not following.went
    assert following.last_words().startswith("演练 – 已结束")


def test_the_notice_from_before_the_start_ends_nothing() -> None:
    following = Following(TREE, "zh", DRILL.drill_id)
    before = replace(OVER, drill_id="outage-good-start-20261119-0110")
    following.take(LIVE, {**notice(None, before, "zh", NOW)})
    assert following.ended is None


def test_whoever_looks_in_later_follows_the_drill_that_is_on() -> None:
    following = Following(TREE, "zh")
    following.take(LIVE, {**notice(DRILL, None, "zh", NOW)})
    assert following.drill_id == DRILL.drill_id
    assert len(take(following, happened(DrillVerb.MET))) == 1


def test_retained_topics_that_go_are_no_news() -> None:
    following = under_way()
    assert following.take(OWN, None) == []
    assert following.ended is None


def test_one_line_says_how_much_time_is_left_and_how_far_it_is() -> None:
    said = progress(DRILL, None, "zh", NOW)
    assert remaining(said, "en", NOW) == (
        "ends in 29 min at the latest; to be renewed within 4 min; injects 1 of 2; expected open 2 met 1"
    )
    assert remaining(said, "zh", NOW + 60) == (
        "最迟 28 分后结束；须在 3 分内确认继续；已模拟 1/2；预期 待判定 2 达到 1"
    )


def test_a_drill_that_is_over_before_it_must_be_renewed_need_not_be() -> None:
    said = progress(replace(DRILL, ends=DRILL.renew_by - 1), None, "en", NOW)
    assert "renewed" not in remaining(said, "en", NOW)


def test_before_its_first_progress_the_notice_alone_says_how_much_time_is_left() -> None:
    assert remaining(notice(DRILL, None, "en", NOW), "en", NOW).endswith("within 4 min")


def test_the_status_has_the_banner_first_and_each_expectation() -> None:
    lines = list(state(progress(DRILL, None, "zh", NOW), "zh", NOW))
    assert lines[0].startswith("【演练进行中】市电断电（outage-good-start-20261119-0210；负责人 li，最迟 ")
    assert "  达到  by 0:45 alarm mains.mains-lost  0:40  mains.mains-lost" in lines
    assert "  待判定  never alarm fuel-low" in lines


def test_the_status_without_a_drill_says_how_the_last_one_ended() -> None:
    assert list(state(progress(None, OVER, "en", NOW), "en", NOW)) == [
        "EXERCISE – over: Mains outage, stopped by hand by zhao; 2 of 3 expectations met (a fire door stood open)"
    ]


def test_a_plan_says_what_speaks_against_it_and_what_each_line_means() -> None:
    answer: Mapping[str, Any] = {
        "troubles": [{"code": "real-alarm", "texts": {"en": "the mains is out", "zh": "市电断电"}}],
        "plan": [
            {"line": "at 0:10 every ups source = battery", "devices": ["ups-a", "ups-b"]},
            {"line": "at 0:20 every headset present = false", "devices": [f"headset-{n}" for n in range(10)]},
            {"line": "at 0:30 any ats position = mains", "devices": []},
        ],
    }
    assert list(plan(answer, "en")) == [
        "✗ the mains is out (real-alarm)",
        "at 0:10 every ups source = battery  →  ups-a, ups-b",
        f"at 0:20 every headset present = false  →  {', '.join(f'headset-{n}' for n in range(8))} and 2 more",
        "at 0:30 any ats position = mains  →  passed over, not at this site",
    ]
    assert list(plan(answer, "zh"))[-1] == "at 0:30 any ats position = mains  →  本站点不适用，跳过"


def test_what_is_merely_passed_over_keeps_no_scenario_from_running() -> None:
    lines = ("0:10 every ups source = battery", "0:10 every ups battery.runtime = 60")
    able, unable = scenario(*lines), replace(scenario(*lines, "0:20 every hvac silent"), id="hot")
    found = {able.id: able, unable.id: unable}
    site = replace(park(a="ups/megatec"), drills=DrillPlans(scenarios=found))
    lacks = {each["scenario"]: [lack["line"] for lack in each["lacks"]] for each in scenarios(site)}
    assert lacks == {"dark": [], "hot": ["at 0:20 every hvac silent"]}


def test_a_scenario_that_means_nothing_here_says_what_it_lacks() -> None:
    lack = {"line": "at 0:10 genset alarms + fail-to-start", "texts": {"en": "no genset", "zh": "没有 genset"}}
    rows: list[dict[str, Any]] = [
        {"scenario": "one", "procedure": "outage", "duration": 1500, "titles": {"zh": "市电断电"}, "lacks": []},
        {"scenario": "other", "procedure": "outage", "duration": 90, "titles": {"zh": "启动失败"}, "lacks": [lack]},
    ]
    assert list(catalogue(rows, "zh")) == [
        "one    outage  25 分  市电断电",
        "other  outage  1 分 30 秒  启动失败",
        "       ✗ 本站点不能进行：“at 0:10 genset alarms + fail-to-start”：没有 genset",
    ]


def test_what_somebody_wrote_cannot_move_the_cursor() -> None:
    said = {**progress(replace(DRILL, owner="li\x1b[2J"), None, "en", NOW)}
    assert "\x1b" not in "\n".join(state(said, "en", NOW))
