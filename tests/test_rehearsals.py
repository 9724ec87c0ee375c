"""Drills on an agent without its links: what starts, runs and ends one, what is marked, and that nothing is left.

Every story is told on `stage.py`: the true lanes, ledger, store and feed, and a broker that takes everything.
"""

# ruff: noqa: ANN401 - words of commands, and what stands in for a method, are of many types

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from edgeagent import drillfeed, drillrecord, rehearsals
from edgeagent.drill import End, Verdict
from edgeagent.ledger import Ledger
from edgeagent.messages import Place
from edgeagent.readings import Reading
from edgeagent.rehearsal import Rehearsal, prepared
from edgeagent.scenario import Do, DrillSettings, Hours, Inject, Scenario, Who
from tests.stage import (
    DRILL,
    LEAD,
    LIVE,
    OUTAGE,
    SILENCE,
    TITLE,
    Stage,
    drill_of,
    ended,
    play,
    rehearsing,
    stage,
    wrong,
)

# -- what may start -------------------------------------------------------------------------------------------


def _trouble(it: Stage) -> None:
    it.moods["ups-a"] = "trouble"


def _own(point: str, value: str | bool) -> Callable[[Stage], None]:
    def say(it: Stage) -> None:
        it.lane.view["agent"] = {**it.lane.view["agent"], point: Reading(value, it.now)}

    return say


def _run(it: Stage) -> None:
    it.ask("run-open", "live", procedure="security", reason="smoke seen")


def _nothing(it: Stage) -> None:
    pass


def _unread(it: Stage) -> None:
    it.states["ups-a"].readings.clear()


def _foreign(it: Stage) -> None:
    it.states["ups-a"].readings["identity"] = Reading("mismatch", it.now)


BLOCKED: Final = DrillSettings((Hours(0, 1440),))
EMPTY: Final = Scenario(
    "hvac-b", 1, TITLE, TITLE, "outage", timeline=(Inject(0, Who("phone"), Do.SILENT, "at 0:00 x"),)
)
ODD: Final = replace(
    OUTAGE, id="odd", timeline=(Inject(0, Who("", ("ups-a",)), Do.ADD, "at 0:00 y", "alarms", "no-such-alarm"),)
)
PASSING: Final = replace(
    OUTAGE,
    id="passing",
    timeline=(*OUTAGE.timeline, Inject(10.0, Who("ups"), Do.SET, "at 0:10 v", "ambient.humidity", 80.0)),
)
BEYOND: Final = replace(
    OUTAGE, id="beyond", timeline=(Inject(0, Who("ups"), Do.SET, "at 0:00 z", "battery.charge", 1e12),)
)


@pytest.mark.parametrize(
    ("code", "before", "fields", "rules"),
    [
        pytest.param("", _nothing, {}, None, id="all well"),
        pytest.param("bad-request", _nothing, {"scenario": 7}, None, id="no word"),
        pytest.param("bad-request", _nothing, {"scenario": ""}, None, id="no scenario"),
        pytest.param("bad-request", _nothing, {"owner": "x" * 81}, None, id="a long name"),
        pytest.param("bad-request", _nothing, {"seconds": "600"}, None, id="words for a number"),
        pytest.param("bad-request", _nothing, {"seconds": 0}, None, id="no time"),
        pytest.param("bad-request", _nothing, {"seconds": 4 * 3600 + 1}, None, id="a day's drill"),
        pytest.param("bad-request", _nothing, {"seconds": float("nan")}, None, id="a number that is none"),
        pytest.param("bad-request", _nothing, {"speed": -1}, None, id="backwards"),
        pytest.param("bad-request", _nothing, {"speed": [2]}, None, id="a list of speeds"),
        pytest.param("unknown-scenario", _nothing, {"scenario": "outrage"}, None, id="no such scenario"),
        pytest.param("no-target", _nothing, {"scenario": "hvac-b"}, None, id="no such device here"),
        pytest.param("no-target", _nothing, {"scenario": "odd"}, None, id="nothing that a device could say"),
        pytest.param("cannot-show", _nothing, {"scenario": "beyond"}, None, id="more than a register holds"),
        pytest.param("second-person-missing", _nothing, {"confirmed_by": ""}, None, id="alone"),
        pytest.param(
            "second-person-missing", _nothing, {"confirmed_by": " 王班长 "}, None, id="confirmed by its owner"
        ),
        pytest.param("too-fast", _nothing, {"speed": 2}, None, id="faster than the clock"),
        pytest.param("too-fast", _nothing, {"speed": 0.5}, None, id="slower than the clock"),
        pytest.param("blocked-hours", _nothing, {}, BLOCKED, id="blocked hours"),
        pytest.param("real-critical", _trouble, {}, None, id="a real alarm"),
        pytest.param("real-run", _run, {}, None, id="a real procedure"),
        pytest.param("broker-away", _own("broker", "refused"), {}, None, id="no broker"),
        pytest.param("clock-unsynced", _own("clock.synced", False), {}, None, id="no true time"),
        pytest.param("store-failing", _own("store", "failing"), {}, None, id="no journal"),
        pytest.param("device-unread", _unread, {}, None, id="a device that was not read"),
        pytest.param("device-mismatch", _foreign, {}, None, id="another device"),
    ],
)
def test_a_drill_starts_only_where_all_is_well_and_declared(
    tmp_path: Path, code: str, before: Callable[[Stage], None], fields: dict[str, Any], rules: DrillSettings | None
) -> None:
    async def story(it: Stage) -> None:
        before(it)
        if before is _trouble:
            await it.wait(30)
        asked = {"scenario": "blackout", **LEAD, **fields}
        assert it.refused("drill-start", **asked) == code
        assert (it.running is None) is (code != "")
        if it.running is not None:
            await it.prepared()
        await it.written()
        if code:
            assert not it.store.journal(kind="drill")
            assert it.lies() == []
            assert it.notice()["state"] == "none"

    play(tmp_path, story, rehearsing(OUTAGE, EMPTY, ODD, BEYOND, settings=rules))


def test_without_an_owner_it_is_led_by_who_asks(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        await it.start(owner="")
        assert it.running is not None
        assert it.running.owner == "林悦"
        assert it.refused("drill-start", scenario="silence", **LEAD) == "already-running"

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("verb", "fields", "live"),
    [
        ("drill-start", {"scenario": "blackout", **LEAD}, "no-drill"),
        ("drill-renew", {}, "no-drill"),
        ("drill-status", {}, ""),
        ("drill-list", {}, ""),
        ("drill-check", {"scenario": "blackout"}, ""),
        ("drill-note", {"text": "seen"}, ""),
        ("drill-stop", {"reason": "enough"}, ""),
        ("drill-fly", {}, "unknown-verb"),
    ],
)
def test_who_may_only_ask_on_the_live_lane_looks_notes_and_stops_and_leads_none(
    tmp_path: Path, verb: str, fields: dict[str, Any], live: str
) -> None:
    async def story(it: Stage) -> None:
        if verb != "drill-start":
            await it.start()
        assert it.refused(verb, "live", **fields) == live
        assert (it.running is None) is (verb in ("drill-start", "drill-stop"))
        if verb == "drill-stop":
            await it.start()
        drilled = it.refused(verb, **fields)
        assert drilled == ("unknown-verb" if verb == "drill-fly" else "")
        if it.running is not None:
            await it.prepared()

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("verb", "fields", "code"),
    [
        ("drill-stop", {"drill_id": "another-one"}, "other-drill"),
        ("drill-renew", {"drill_id": "another-one"}, "other-drill"),
        ("drill-note", {"text": "x", "drill_id": "another-one"}, "other-drill"),
        ("drill-note", {"text": ""}, "bad-request"),
        ("drill-note", {"text": "x", "due": "tomorrow"}, "bad-request"),
        ("drill-note", {"text": "x", "due": "2026-13-01", "owner": "li"}, "bad-date"),
        ("drill-note", {"text": "x", "due": "2026-12-01"}, "improvement-incomplete"),
        ("drill-note", {"text": "   "}, "text-missing"),
        ("drill-stop", {"reason": 7}, "bad-request"),
        ("drill-check", {"scenario": None}, "bad-request"),
        ("drill-check", {"scenario": "outrage"}, "unknown-scenario"),
    ],
)
def test_what_is_asked_of_a_drill_in_the_wrong_shape_changes_nothing(
    tmp_path: Path, verb: str, fields: dict[str, Any], code: str
) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        lines = len(it.store.journal(kind="drill"))
        assert it.refused(verb, **fields) == code
        assert it.running is not None
        await it.written()
        assert len(it.store.journal(kind="drill")) - lines <= 1  # "started" may still have been on its way

    play(tmp_path, story)


def test_where_none_is_on_there_is_nothing_to_ask_for_on_its_lane(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        for verb in ("drill-stop", "drill-renew"):
            assert it.refused(verb) == "no-drill"
        assert it.refused("drill-note", text="x") == "no-drill"
        assert it.refused("ack", alarm_id="mains.mains-lost") == "no-drill"
        assert it.refused("runs") == "no-drill"
        assert it.ask("drill-status")["state"] == "none"

    play(tmp_path, story)


# -- how it ends ----------------------------------------------------------------------------------------------


def test_it_ends_when_nobody_renews_it_and_goes_on_when_somebody_does(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        await it.wait(290)
        it.ask("drill-renew")
        await it.wait(299)
        assert it.running is not None
        await it.written()
        assert it.verbs().count("renew-due") == 2
        await it.wait(2)
        await it.written()
        ended(it, End.UNLED)

    play(tmp_path, story)


def test_it_ends_when_its_time_is_over(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        await it.start(seconds=120)
        await it.wait(119)
        assert it.running is not None
        await it.wait(2)
        await it.written()
        ended(it, End.TIME)

    play(tmp_path, story)


@pytest.mark.parametrize("seconds", [10, 5, 11])
def test_an_end_at_the_moment_of_an_inject_leaves_nothing_behind(tmp_path: Path, seconds: int) -> None:
    """All that falls together: the inject, the poll that shows it, the alarm without a delay, and the end."""
    quick = replace(
        OUTAGE, id="quick", timeline=(
            Inject(0.0, Who("ups"), Do.SET, "at 0:00 every ups source", "source", "battery"),
            *(Inject(at, Who("hvac"), Do.SET, "at x", "running", False) for at in (5.0, 10.0, 11.0)),
        ),
    )  # fmt: skip

    async def story(it: Stage) -> None:
        drill = await it.start("quick", seconds=seconds)
        at = it.now
        while it.now < at + seconds - 1:
            await it.wait(1)
        it.now = at + seconds + 0.5  # nobody served the timer: a poll comes first
        it.take()
        await it.written()
        ended(it, End.TIME)
        assert wrong(it, drill) == []

    play(tmp_path, story, rehearsing(quick))


def test_what_the_lane_gives_in_the_turn_that_ends_the_drill_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(it: Stage) -> None:
        await it.start(seconds=10)
        await it.wait(8)
        own = Rehearsal.step

        def step(self: Rehearsal, *asked: Any) -> Any:
            """Give an alarm at once, without the delay that it has."""
            given = own(self, *asked)
            self.lane.ask_runs(lambda runs: runs.open("security", "site", "li", "x", self.drill.started, None, drill))
            run = list(self.lane.procedures.runs().values())[-1]
            outcome = self.lane.ask_runs(lambda runs: runs.note(run.run_id, "li", "late", self.drill.started))
            return replace(given, outcome=outcome)

        drill = drill_of(it)
        monkeypatch.setattr(Rehearsal, "step", step)
        it.now += 3
        it.take()
        await it.written()
        ended(it, End.TIME)

    play(tmp_path, story)


def test_a_real_alarm_is_told_first_and_ends_it(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        drill = await it.start()
        await it.wait(30)
        it.moods |= {"ups-a": "trouble", "ups-b": "trouble", "genset": "trouble", "ats": "trouble"}
        await it.wait(10)
        await it.written()
        ended(it, End.REAL_ALARM)
        assert it.last.reason == "mains.mains-lost"
        assert "mains.mains-lost" in it.alarms()
        said = [each["topic"] for each in it.wire.messages]
        verbs = [json.loads(each["payload"] or b"{}").get("data", {}).get("verb") for each in it.wire.messages]
        assert said.index(f"{LIVE}/event/alarm/critical") < verbs.index("ended")
        runs = [event for event in it.events(LIVE) if event["data"]["verb"] == "opened"]
        assert [(run["data"]["procedure"], run["mode"]) for run in runs] == [("outage", "live")]
        assert wrong(it, drill) == []

    play(tmp_path, story)


def test_a_real_minor_alarm_ends_nothing(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        it.moods["ups-b"] = "slight"
        await it.wait(60)
        assert it.alarms() == ["ups-b.load-high"]
        assert it.running is not None

    play(tmp_path, story)


def test_a_condition_on_what_is_really_so_ends_it(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        await it.wait(5)
        it.moods["climate"] = "trouble"
        await it.wait(3)
        await it.written()
        ended(it, End.CONDITION)

    play(tmp_path, story)


@pytest.mark.parametrize(("away", "on"), [(58, True), (62, False)])
def test_a_broker_that_is_away_for_a_minute_ends_it(tmp_path: Path, away: int, *, on: bool) -> None:
    async def story(it: Stage) -> None:
        drill = await it.start()
        await it.wait(40)
        it.leave()
        await it.wait(away)
        assert (it.running is not None) is on
        it.come_back()
        await it.written()
        await it.wait(2)
        await it.written()
        assert f"{LIVE}/exercise" in it.wire.retained
        if on:
            assert f"{DRILL}/exercise" in it.lies()
            assert it.notice()["drill_id"] == drill
            await it.wait(90)
            assert it.running is not None, "it is away anew the next time"
        else:
            ended(it, End.BROKER)
        assert wrong(it, drill) == []

    play(tmp_path, story)


def test_the_list_has_as_able_what_can_be_started(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        listed = {each["scenario"]: each["able"] for each in it.ask("drill-list")["scenarios"]}
        assert listed == {"hvac-b": False, "passing": True}
        for id, able in listed.items():
            assert (it.refused("drill-check", scenario=id) == "") is able

    play(tmp_path, story, rehearsing(EMPTY, PASSING))


def test_another_configuration_ends_it(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        await it.wait(30)
        it.drills.replace(rehearsing(SILENCE))
        await it.written()
        ended(it, End.RELOAD)
        assert it.refused("drill-check", scenario="blackout") == "unknown-scenario"
        await it.start("silence")
        await it.wait(10)
        assert it.running is not None

    play(tmp_path, story)


@pytest.mark.parametrize("delta", [-3600.0, 5000.0])
def test_a_step_of_the_clock_neither_ends_nor_hurries_it(tmp_path: Path, delta: float) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        await it.wait(5)
        it.shift(delta)
        await it.wait(4)
        await it.written()
        assert "injected" not in it.verbs()
        await it.wait(51)
        assert it.running is not None
        assert [each.verdict for each in it.running.outcomes[:2]] == [Verdict.MET, Verdict.MET]
        await it.wait(241)
        await it.written()
        ended(it, End.UNLED)

    play(tmp_path, story)


def test_a_step_of_the_clock_while_the_lane_is_being_built_is_made_up_for(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        it.ask("drill-start", scenario="blackout", **LEAD)
        await asyncio.sleep(0)
        it.shift(-3600.0)
        await it.prepared()
        await it.wait(8)
        await it.written()
        assert "injected" not in it.verbs()
        await it.wait(40)
        assert it.running is not None
        assert it.running.outcomes[0].verdict is Verdict.MET

    play(tmp_path, story)


# -- whatever goes wrong in it --------------------------------------------------------------------------------


def _breaks(*args: object, **kwargs: object) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        (Rehearsal, "step"), (Rehearsal, "next_due"), (Ledger, "touched"), (drillfeed, "progress"),
        (drillrecord, "journal_of"),
    ],
    ids=str,
)  # fmt: skip
def test_an_error_in_a_drill_ends_it_and_the_watching_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    method: str,
) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        await it.wait(30)
        assert it.lies()
        broken = [0]
        own = getattr(owner, method)

        def once(*args: object, **kwargs: object) -> Any:
            broken[0] += 1
            return _breaks() if broken[0] == 1 else own(*args, **kwargs)

        monkeypatch.setattr(owner, method, once)
        if owner in (drillfeed, drillrecord):
            it.ask("drill-note", text="go on")
        await it.wait(4)

    async def guarded(it: Stage) -> None:
        try:
            await story(it)
        except ZeroDivisionError:  # who asked is told that it failed
            assert owner in (drillfeed, drillrecord)
        await it.written()
        ended(it, End.FAILED)
        it.moods |= {"ups-a": "trouble", "ups-b": "trouble", "genset": "trouble", "ats": "trouble"}
        await it.wait(10)
        await it.written()
        assert "mains.mains-lost" in it.alarms()
        assert it.lies() == []

    play(tmp_path, guarded)


def test_a_lane_whose_runs_cannot_be_closed_ends_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        await it.wait(30)
        monkeypatch.setattr(Rehearsal, "abort", _breaks)
        it.ask("drill-stop", "live", by="路人")
        await it.written()
        ended(it, End.STOPPED)
        assert it.last.ended_by == "路人"

    play(tmp_path, story)


@pytest.mark.parametrize("what", ["prepared", "Rehearsal", "Standing"])
def test_a_lane_that_cannot_be_built_is_a_drill_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    broken = SimpleNamespace(of=_breaks) if what == "Standing" else _breaks
    monkeypatch.setattr(rehearsals, what, broken)

    async def story(it: Stage) -> None:
        await it.start()
        await it.written()
        ended(it, End.FAILED)

    play(tmp_path, story)


def test_a_drill_that_is_stopped_while_its_lane_is_built_is_over_and_the_next_one_has_its_own(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        it.ask("drill-start", scenario="blackout", **LEAD)
        first = it.drills._preparing
        await asyncio.sleep(0)
        it.ask("drill-stop")
        it.ask("drill-start", scenario="silence", **LEAD)
        assert first is not None
        await first
        await it.prepared()
        await it.wait(20)
        await it.written()
        assert drill_of(it).startswith("silence")
        shown = {topic.split("/")[-2] for topic in it.lies() if topic.endswith("/state")}
        assert shown == {"ups-a"}
        it.ask("drill-stop")
        await it.written()
        ended(it, End.STOPPED)

    play(tmp_path, story)


def test_a_first_lane_that_fails_late_does_not_end_the_second_drill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(it: Stage) -> None:
        times = [0]

        def build(*args: Any) -> Any:
            times[0] += 1
            return _breaks() if times[0] == 1 else prepared(*args)

        monkeypatch.setattr(rehearsals, "prepared", build)
        it.ask("drill-start", scenario="blackout", **LEAD)
        first = it.drills._preparing
        await asyncio.sleep(0)
        it.ask("drill-stop")
        it.ask("drill-start", scenario="silence", **LEAD)
        assert first is not None
        await first
        await it.prepared()
        assert drill_of(it).startswith("silence")

    play(tmp_path, story)


# -- a new life of the agent ----------------------------------------------------------------------------------


def test_a_drill_is_not_taken_up_by_a_new_life_and_what_was_judged_stays(tmp_path: Path) -> None:
    async def first() -> str:
        async with stage(tmp_path) as it:
            drill = await it.start()
            await it.wait(60)
            await it.written()
            assert it.running is not None
            assert {each.verdict for each in it.running.outcomes[:2]} == {Verdict.MET}
            it.leave()
            await it.wait(40)
            it.ask("drill-note", text="broker gone")
            await it.written()
            assert any(row.message.place is Place.DRILL for row in it.store.next_rows(1000))
            it.now += 1
            return drill

    async def second(drill: str) -> None:
        it = Stage(rehearsing(), tmp_path, it_now)
        it.wire.retained = {f"{DRILL}/alarms": {}, f"{DRILL}/exercise": {}, f"{LIVE}/exercise": {}}
        it.ledger.restore(it.now)
        it.drills.restore()
        running = asyncio.create_task(it.feed.run())
        it.feed.on_connected(False, None)
        await asyncio.sleep(0)
        await it.written()
        await it.written()
        try:
            assert it.running is None
            assert it.last.end is End.RESTART
            assert it.last.drill_id == drill
            assert [each.verdict for each in it.last.outcomes] == [Verdict.MET, Verdict.MET, Verdict.UNJUDGED]
            assert it.lies() == []
            assert it.notice()["last"]["drill_id"] == drill
            assert it.verbs() == ["ended"]
            stones = {each["topic"] for each in it.wire.messages if not each["payload"]}
            assert f"{DRILL}/alarm/mains.mains-lost" in stones
            assert f"{LIVE}/exercise" not in stones
            assert wrong(it, drill) == []
            assert not it.store.load_state("drill")
            await it.wait(60)
            assert it.alarms() == []
            assert it.refused("drill-note", text="learnt", owner="li", due="2026-12-01") == ""
            await it.written()
            assert it.lies() == []
        finally:
            running.cancel()
            await asyncio.wait([running])
            it.store.close()

    drill = asyncio.run(first())
    it_now = 1_795_543_800.0 + 300
    asyncio.run(second(drill))
    asyncio.run(third(tmp_path, it_now + 100))


async def third(path: Path, now: float) -> None:
    """Start once more: what is over is not ended a second time."""
    async with stage(path, now=now) as it:
        await it.written()
        assert [entry.body["verb"] for entry in it.store.journal(kind="drill")].count("ended") == 1
        assert it.notice()["state"] == "none"
        assert it.verbs() == []
