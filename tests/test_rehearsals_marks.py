"""The drill lane beside the real one: who touches what, and that all of a drill bears its mark and nothing real does.

Every story is told on `stage.py`: the true lanes, ledger, store and feed, and a broker that takes everything.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgeagent.drill import End
from edgeagent.exercisemark import MARK
from edgeagent.ledger import Ledger
from edgeagent.messages import Keep, Place
from edgeagent.rehearsal import Standing
from edgeagent.scenario import Do, DrillPlans, DrillSettings, Inject, Who
from edgeagent.store import Batch
from tests.cornersite import MOODS, Wish, planned
from tests.stage import (
    DRILL,
    LEAD,
    LIVE,
    OUTAGE,
    Stage,
    drill_of,
    ended,
    play,
    rehearsing,
    wrong,
)

KINDS: Final = ("drill", "drill-alarm", "drill-run")


# -- its lane and the real one --------------------------------------------------------------------------------


async def _both(it: Stage) -> tuple[str, str]:
    """Have a minor alarm in earnest and a run of the drill, and return their ids."""
    it.moods["ups-b"] = "slight"
    await it.wait(60)
    await it.start()
    await it.wait(60)
    real = "ups-b.load-high"
    assert it.alarms() == [real]
    run = it.ask("runs")["runs"][0]["run_id"]
    return real, run


def test_commands_on_the_drill_lane_touch_only_what_is_of_the_drill(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        real, run = await _both(it)
        before = dict(it.lane.records())
        asked: list[tuple[str, dict[str, Any]]] = [
            ("ack", {}),
            ("reset", {}),
            ("unack", {}),
            ("shelve", {"seconds": 60}),
        ]
        for verb, more in asked:
            assert it.refused(verb, alarm_id=real, **more) == "not-drilled"
        assert it.refused("ack", alarm_id="mains.mains-lost") == ""
        assert it.refused("run-ack", run_id=run) == ""
        assert it.refused("step", run_id=run, step="tell", action="done") == ""
        opened = it.ask("run-open", procedure="security", reason="rehearsed")["run_id"]
        assert it.refused("run-abort", run_id=opened, reason="done") == ""
        assert dict(it.lane.records()) == before
        assert it.lane.procedures.runs() == {}
        assert it.verbs(LIVE).count("acknowledged") == 0
        await it.written()
        assert wrong(it, drill_of(it)) == []

    play(tmp_path, story)


def test_commands_on_the_live_lane_do_not_touch_the_drill(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        real, run = await _both(it)
        assert it.refused("ack", "live", alarm_id="mains.mains-lost") == "unknown-alarm"
        for verb, more in (("run-ack", {}), ("run-note", {"text": "x"}), ("run-abort", {"reason": "x"})):
            assert it.refused(verb, "live", run_id=run, **more) == "unknown-run"
        assert it.refused("step", "live", run_id=run, step="tell", action="done") == "unknown-run"
        assert it.refused("ack", "live", alarm_id=real) == ""
        assert it.ask("runs")["runs"][0]["run_id"] == run
        await it.written()
        assert wrong(it, drill_of(it)) == []

    play(tmp_path, story)


def test_a_real_run_is_none_of_the_drills(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        await it.wait(30)
        real = it.ask("run-open", "live", procedure="security", reason="smoke")["run_id"]
        await it.written()
        ended(it, End.REAL_RUN)
        assert it.refused("step", run_id=real, step="evacuate", action="done") == "no-drill"

    play(tmp_path, story)


def test_commands_come_in_over_the_feed_and_a_repeated_start_is_one_drill(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        asked = {"by": "王班长", "transaction": "t1", "scenario": "blackout", **LEAD}
        for lane, body in (("live", {**asked, "transaction": "t0"}), ("drill", asked), ("drill", asked)):
            it.request("drill-start", lane, body)
            await it.written()
        await it.prepared()
        it.request("drill-start", "drill", {"by": "李", "scenario": ["blackout"]})
        await it.written()
        said = [json.loads(each["payload"]) for each in it.wire.messages if "/res/drill-start" in each["topic"]]
        assert [each.get("reason") for each in said] == ["no-drill", None, None, "bad-request"]
        assert said[1] == said[2]
        assert it.verbs().count("started") == 1

    play(tmp_path, story)


# -- notes, numbers, marks ------------------------------------------------------------------------------------


def test_a_note_after_the_end_leaves_nothing_retained_and_bears_its_own_drills_mark(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        first = await it.start()
        await it.wait(20)
        it.ask("drill-stop")
        it.ask("drill-note", text="too slow", owner="li", due="2026-12-01")
        await it.written()
        assert it.lies() == []
        second = await it.start("silence")
        it.ask("drill-note", "live", text="seen late", drill_id=first)
        await it.written()
        notes = [event for event in it.events() if event["data"]["verb"] == "noted"]
        assert [event["exerciseid"] for event in notes] == [first, first]
        assert len({event["id"] for event in it.events()}) == len(it.events())
        assert wrong(it, first, second) == []
        on = it.wire.retained[f"{DRILL}/exercise"]
        assert on["properties"]["exerciseid"] == json.loads(on["payload"])["drill_id"] == second
        it.now += 241  # that the second is to be renewed is found due by who notes something of the first
        it.ask("drill-note", text="once more", drill_id=first)
        await it.written()
        assert [(event["data"]["verb"], event["exerciseid"]) for event in it.events()][-2:] == [
            ("renew-due", second),
            ("noted", first),
        ]
        assert wrong(it, first, second) == []
        told = [each for each in it.wire.messages if "/event/" in each["topic"] and DRILL in each["topic"]]
        marks = [(each["properties"]["exerciseid"], json.loads(each["payload"])["exerciseid"]) for each in told]
        assert all(outside == inside for outside, inside in marks)

    play(tmp_path, story)


def test_a_disk_that_refuses_from_begin_to_end_leaves_nothing_of_a_drill(tmp_path: Path) -> None:
    """What is committed and not written yet is covered by the end too."""

    async def until(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():  # noqa: ASYNC110 - the disk refuses and comes back without a word
                await asyncio.sleep(0.02)

    async def story(it: Stage) -> None:
        other = sqlite3.connect(tmp_path / "edge.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        drill = await it.start()
        await it.wait(40)
        it.ask("drill-stop")
        stones = {message.topic for message in it.of_drill() if not message.body}
        said = {message.topic for message in it.of_drill() if message.retain and message.topic != f"{LIVE}/exercise"}
        assert f"{DRILL}/alarm/mains.mains-lost" in said
        assert f"{DRILL}/device/ups-a/state" in stones, "what is said from memory is covered too"
        assert said == stones
        await until(lambda: it.store.trouble is not None)
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: it.store.trouble is None)
        await it.written()
        assert it.lies() == []
        assert it.notice()["last"]["drill_id"] == drill
        assert wrong(it, drill) == []

    play(tmp_path, story)


def test_what_is_real_is_sent_before_what_a_drill_had_to_say_earlier(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        await it.start()
        await it.written()
        it.leave()
        heard = len(it.wire.messages)
        it.moods["ups-b"] = "slight"
        await it.wait(50)
        await it.written()
        assert it.alarms() == ["ups-b.load-high"]
        assert "mains.mains-lost" in {alarm.alarm_id for alarm in it.drills.standing()}
        it.come_back()
        await it.written()
        events = [each["topic"] for each in it.wire.messages[heard:] if "/event/" in each["topic"]]
        live = [place for place, topic in enumerate(events) if topic.startswith(LIVE)]
        assert live
        assert live == list(range(len(live)))
        assert len(events) > len(live)

    play(tmp_path, story)


def test_the_notice_on_the_live_lane_is_always_there(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        await it.written()
        assert it.notice()["state"] == "none"
        drill = await it.start()
        await it.written()
        assert (it.notice()["state"], it.notice()["drill_id"]) == ("running", drill)
        it.come_back()
        await it.written()
        assert it.notice()["drill_id"] == drill
        it.ask("drill-stop")
        await it.written()
        assert it.notice()["state"] == "none"
        assert not [each for each in it.wire.messages if each["topic"] == f"{LIVE}/exercise" and not each["payload"]]

    play(tmp_path, story)


wishes = st.builds(
    Wish, st.integers(0, 99), st.sampled_from([Do.SET, Do.SET, Do.RAMP, Do.ADD, Do.MISSING, Do.SILENT, Do.RELEASE]),
    st.integers(0, 99), st.integers(0, 99), st.sampled_from([0.0, 5.0, 20.0]), st.just(30.0),
)  # fmt: skip
deeds = st.tuples(
    st.sampled_from([1, 5, 15]),
    st.sampled_from(["", "", "note", "renew", "ack", "real-ack", "open", "stop", "start", "away", "back"]),
    st.dictionaries(st.sampled_from(["ear-a001", "ear-a002", "pc-a001", "climate", "ups-b"]), st.sampled_from(MOODS),
                    max_size=2),
)  # fmt: skip


@settings(max_examples=25, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # to shrink it takes minutes
@given(st.lists(wishes, min_size=1, max_size=8), st.lists(deeds, max_size=10))
def test_whatever_happens_all_of_a_drill_bears_its_mark_and_nothing_real_does(
    wished: list[Wish], story: list[tuple[int, str, dict[str, str]]]
) -> None:
    site = rehearsing()
    injects = tuple(
        Inject(each.at, Who("", (each.device,)), each.do, f"{each.number}", each.point, each.value, None, each.over)
        for each in planned(site, tuple(wished))
    )  # fmt: skip
    drills: set[str] = set()

    async def start(it: Stage) -> None:
        for count in range(len(injects), -1, -1):
            timeline = (*injects[:count], Inject(0.0, Who("ups"), Do.SET, "at 0:00 ups", "source", "battery"))
            scenario = replace(OUTAGE, timeline=timeline)
            it.drills.site = replace(site, drills=DrillPlans(DrillSettings(), {"blackout": scenario}))
            if it.refused("drill-start", scenario="blackout", **LEAD) == "":
                drills.add(drill_of(it))
                await it.prepared()
                return

    async def play_it(it: Stage) -> None:
        await start(it)
        for seconds, deed, moods in story:
            it.moods |= moods
            await it.wait(seconds)
            alarm = next(iter(it.drills.standing()), None)
            real = next(iter(it.alarms()), "none")
            if deed == "start":
                await start(it)
            elif deed == "away":
                it.leave()
            elif deed == "back":
                it.come_back()
            elif deed == "ack":
                it.refused("ack", alarm_id=alarm.alarm_id if alarm else "none")
            elif deed == "real-ack":
                it.refused("ack", "live", alarm_id=real)
            elif deed == "open":
                it.refused("run-open", procedure="security", reason="x")
            elif deed:
                it.refused(f"drill-{deed}", text="x")
        await it.wait(2)
        it.come_back()
        await it.written()
        await it.written()

    with tempfile.TemporaryDirectory() as folder:
        it = play(Path(folder), play_it, site)
    assert wrong(it, *drills) == []
    own = [message for message in it.of_drill() if message.topic != f"{LIVE}/exercise"]
    assert all(message.topic.startswith(f"{DRILL}/") and message.seq is None for message in own)
    assert all(message.keep is Keep.TELEMETRY for message in own)
    assert all(message.properties["mode"] == "drill" and message.properties["exerciseid"] in drills for message in own)
    others = [message for batch in it.batches for message in batch.outbox if message.place is not Place.DRILL]
    assert not [message.topic for message in others if message.topic.startswith(DRILL)]
    assert not [message.topic for message in others for mark in (MARK.en, MARK.zh) if mark.encode() in message.body]
    for batch in it.batches:
        drilled = any(message.topic.startswith(f"{DRILL}/") for message in batch.outbox)
        for entry in batch.journal:
            assert drilled is (entry.kind in KINDS) is (entry.body.get("drill") in drills), entry
    numbers = [event["seq"] for event in it.events(LIVE)]
    assert sorted(set(numbers)) == list(range(1, it.store.seq + 1))
    assert not {key for batch in it.batches for key in batch.state if any(id in key for id in drills)}
    if it.running is None:
        assert it.lies() == []


def test_the_tests_of_marks_find_a_message_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "commit", lambda self, batch: self._feed.commit(batch))

    async def story(it: Stage) -> None:
        drill = await it.start()
        await it.wait(40)
        await it.written()
        assert wrong(it, drill)

    play(tmp_path, story)


def test_what_stands_is_copied_and_not_shared(tmp_path: Path) -> None:
    async def story(it: Stage) -> None:
        it.moods["ear-a001"] = "trouble"
        await it.wait(60)
        standing = Standing.of(it.lane)
        held = json.dumps([standing.alarms, standing.memory], default=str, sort_keys=True)
        it.moods |= {"ups-a": "trouble", "genset": "trouble", "ear-a001": "well"}
        await it.wait(60)
        assert json.dumps([standing.alarms, standing.memory], default=str, sort_keys=True) == held
        assert all(standing.view[id] is not it.lane.view[id] for id in standing.view)
        await it.store.commit(Batch())

    play(tmp_path, story)
