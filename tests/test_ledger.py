"""What a lane judged, on a real disk and on its way out: one batch, over a restart, tombstones, and 5,000 seats."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeagent.alarm import Change, Silence, Suppression, Verb
from edgeagent.causes import MOST
from edgeagent.config import Site
from edgeagent.messages import Message, Mode, Place
from edgeagent.openalarms import PAUSE, OpenAlarms
from edgeagent.readings import Value
from edgeagent.runbook import LINGER
from tests.crowd import SEATS, Office, crowd
from tests.hall import TREE
from tests.test_feed import ALARM

GROUP = "core.group.softphone-down"
SMALL = 30
PCS = [f"pc-s{number:04}" for number in range(SMALL)]


@pytest.fixture(scope="module")
def small() -> Site:
    return crowd(SMALL, 3, 10)


def play(site: Site, path: Path, story: Callable[[Office], Awaitable[None]], before: Office | None = None) -> Office:
    """Play a story in an office; `before` is the office whose process ended in the same place."""

    async def run() -> Office:
        office = Office(site, path)
        if before is not None:
            office.now, office.view = before.now, before.view
        try:
            office.start()
            await story(office)
            await office.written()
        finally:
            office.store.close()
        return office

    return asyncio.run(run())


def fail(office: Office, *pcs: str, well: bool = False) -> None:
    said: dict[str, Value] = {"softphone": well}
    office.say(dict.fromkeys(pcs or PCS, said))


async def all_seats_fail(office: Office) -> None:
    office.wait(100, polled=True)
    office.clean()
    fail(office)
    office.wait(60, polled=True)


def topics(messages: list[Message], place: Place | None = None) -> list[str]:
    return [message.topic for message in messages if place in (None, message.place)]


def stones(office: Office) -> list[str]:
    return [message.topic for message in office.messages() if not message.body]


def run_of(office: Office, procedure: str = "system-fault") -> str:
    (run_id,) = (id for id, run in office.lane.procedures.runs().items() if run.procedure == procedure)
    return run_id


def held(office: Office) -> dict[str, Any]:
    """Return what is retained of alarms and runs, without when it was said."""
    found = {topic: json.loads(message.body) for topic, message in office.feed._held.items()}
    return {
        topic: {name: value for name, value in body.items() if name != "time"}
        for topic, body in found.items()
        if "/alarm/" in topic or "/procedure/" in topic
    }


def told(office: Office) -> list[tuple[str, str, str, float]]:
    alarms = [(change.verb, change.alarm.alarm_id, "", change.at) for it in office.outcomes for change in it.changes]
    return alarms + [(each.verb, each.run.run_id, each.step, each.at) for it in office.outcomes for each in it.runs]


# -- one batch ------------------------------------------------------------------------------------------------


def test_state_journal_and_messages_of_one_outcome_are_one_batch(small: Site, tmp_path: Path) -> None:
    office = play(small, tmp_path, all_seats_fail)
    run_id = run_of(office)
    batch = next(batch for batch in office.batches if f"alarm/{GROUP}" in batch.state)
    assert {f"run/{run_id}", "memory/floor", f"alarm/{PCS[-1]}.softphone-down"} <= batch.state.keys()
    lines = [(entry.kind, entry.body["verb"]) for entry in batch.journal]
    assert lines.count(("alarm", "raised")) == SMALL + 1
    assert lines.count(("run", "opened")) == 1
    said = topics(list(batch.outbox))
    assert {TREE.alarm(GROUP), TREE.alarms(), TREE.procedure(run_id), TREE.event("procedure", "system-fault")} <= {
        *said
    }
    assert said.count(TREE.alarms()) == 1
    assert topics(list(batch.outbox), Place.EVENT).count(TREE.event("alarm", "critical")) == 1
    raised = {entry.body["alarm_id"] for each in office.batches for entry in each.journal if entry.kind == "alarm"}
    assert {
        id.removeprefix("alarm/") for each in office.batches for id in each.state if id.startswith("alarm/")
    } >= raised


def test_nothing_that_is_as_it_was_is_written(small: Site, tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await all_seats_fail(office)
        office.clean()
        for _ in range(5):
            office.wait(1, polled=True)

    assert play(small, tmp_path, story).batches == []


# -- over a restart -------------------------------------------------------------------------------------------


async def ack(office: Office) -> None:
    await all_seats_fail(office)
    run_id = run_of(office)
    office.enter(office.lane.ask_runs(lambda runs: runs.ack(run_id, "li", office.now)))
    office.enter(office.lane.ask_alarms(lambda alarms: alarms.ack(GROUP, None, "li", "", office.now), office.now))


async def go_on(office: Office) -> None:
    """Let what is due come due, then recover."""
    office.clean()
    office.wait(600, polled=True)
    fail(office, well=True)
    for _ in range(4):
        office.wait(60, polled=True)


async def nothing(office: Office) -> None:
    """Start, and do no more."""


def test_after_a_restart_alarms_runs_and_records_are_as_they_were_and_nothing_is_told_twice(
    small: Site, tmp_path: Path
) -> None:
    before = play(small, tmp_path, ack)
    after = play(small, tmp_path, nothing, before)
    assert dict(after.lane.records()) == dict(before.lane.records())
    assert after.lane.procedures.runs() == before.lane.procedures.runs()
    runs = before.lane.procedures.runs()
    assert [after.lane.procedures.store(id) for id in runs] == [before.lane.procedures.store(id) for id in runs]
    assert after.lane.next_due() == before.lane.next_due()
    assert {id for id in after.lane.records() if after.lane.floor.folded(id)} == {
        id for id in before.lane.records() if before.lane.floor.folded(id)
    }
    assert held(after) == held(before)
    assert told(after) == []
    assert after.messages() == []


def test_what_comes_after_a_restart_is_what_would_have_come_without_one(small: Site, tmp_path: Path) -> None:
    async def through(office: Office) -> None:
        await ack(office)
        await go_on(office)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    without = play(small, tmp_path / "a", through)
    with_one = play(small, tmp_path / "b", go_on, play(small, tmp_path / "b", ack))
    assert told(with_one) == told(without)
    assert sorted(topics(with_one.messages())) == sorted(topics(without.messages()))
    assert any(verb == "step-overdue" for verb, *_ in told(without))
    assert held(with_one) == held(without)


# -- what is no longer there ----------------------------------------------------------------------------------


def test_a_run_that_left_the_list_takes_its_records_along(small: Site, tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await all_seats_fail(office)
        run_id = run_of(office)
        fail(office, well=True)
        office.wait(200, polled=True)
        office.enter(office.lane.ask_runs(lambda runs: runs.close(run_id, "li", "over", office.now)))
        office.clean()
        office.wait(LINGER - 1)
        assert TREE.procedure(run_id) not in stones(office)
        office.wait(2)
        assert {TREE.procedure(run_id), TREE.record(run_id)} <= {*stones(office)}
        assert office.ledger.records(office.now) == []
        await office.written()
        assert office.store.load_state("run/") == {}

    play(small, tmp_path, story)


# -- what is folded -------------------------------------------------------------------------------------------


def test_folded_alarms_are_in_the_snapshot_have_no_topic_and_leave_no_tombstone(small: Site, tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await all_seats_fail(office)
        own = {f"{pc}.softphone-down" for pc in PCS}
        folded = {id for id in own if office.lane.floor.folded(id)}
        assert len(folded) == SMALL - 20
        (snapshot,) = (json.loads(each.body) for each in office.messages() if each.topic == TREE.alarms())
        assert snapshot["suppressed"] == SMALL
        assert {line["alarm_id"] for line in snapshot["open"]} == own | {GROUP}
        fail(office, well=True)
        for _ in range(5):
            office.wait(60, polled=True)
        office.wait(2_000)
        assert office.lane.records().keys().isdisjoint(own)
        said = Counter(topics(office.messages()))
        assert not [id for id in folded if TREE.alarm(id) in said]
        assert {*stones(office)} >= {TREE.alarm(id) for id in own - folded}

    play(small, tmp_path, story)


def test_an_alarm_that_had_a_record_and_is_folded_now_has_it_taken_back_once(small: Site, tmp_path: Path) -> None:
    last = PCS[-1]

    async def story(office: Office) -> None:
        office.wait(100, polled=True)
        fail(office, last)
        office.wait(60, polled=True)
        fail(office, last, well=True)
        office.wait(60, polled=True)
        topic = TREE.alarm(f"{last}.softphone-down")
        assert json.loads(office.feed._newest[topic].body)["state"] == "rtn-unack"
        office.clean()
        fail(office)
        office.wait(60, polled=True)
        assert office.lane.floor.folded(f"{last}.softphone-down")
        fail(office, well=True)
        for _ in range(4):
            office.wait(60, polled=True)
        assert stones(office).count(topic) == 1
        assert topics(office.messages()).count(topic) == 1

    play(small, tmp_path, story)


def test_seats_that_fail_poll_by_poll_are_a_few_snapshots_and_the_last_one_has_them_all(
    small: Site, tmp_path: Path
) -> None:
    async def story(office: Office) -> None:
        office.wait(100, polled=True)
        office.clean()
        for pc in PCS:
            fail(office, pc)
            office.wait(0.2)
        office.wait(60, polled=True)
        said = [json.loads(each.body) for each in office.messages() if each.topic == TREE.alarms()]
        assert 2 <= len(said) <= 2 + SMALL * 0.2 / PAUSE
        assert said[-1]["suppressed"] == SMALL
        moments = [batch.outbox[0].born for batch in office.batches if TREE.alarm(GROUP) in topics(list(batch.outbox))]
        first = next(each.born for each in office.messages() if each.topic == TREE.alarms())
        assert first == moments[0], "what people are told of is in the snapshot at once"

    play(small, tmp_path, story)


def test_a_drill_that_ended_leaves_no_snapshot_to_be_said() -> None:
    record = replace(ALARM, origin="ex-1", suppression=Suppression(Silence.BY_DESIGN, "x", "y"))
    alarms = OpenAlarms()
    alarms.change([Change(Verb.RAISED, record, None, 1.0)])
    assert not alarms.due(1.0e9)
    assert alarms.due(1.0e9, Mode.DRILL)
    alarms.change([Change(Verb.RAISED, record, None, 2.0)])
    assert not alarms.due(1.0e9 + PAUSE / 2, Mode.DRILL)
    alarms.begin(None)
    assert not alarms.due(2.0e9, Mode.DRILL)


def test_many_causes_share_the_records_that_folded_alarms_may_have(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        office.wait(100, polled=True)
        upses = [id for id in office.site.devices if id.startswith("ups-")]
        dark: dict[str, Value] = {"source": "off", "output.voltage": 0}
        pcs = [id for id in office.site.devices if id.startswith("pc-")]
        office.clean()
        office.say(dict.fromkeys(upses, dark) | dict.fromkeys(pcs, None))
        office.wait(60, polled=True)
        explained = [id for id, alarm in office.lane.records().items() if id.startswith("pc-") and not alarm.is_cleared]
        own = [id for id in explained if not office.lane.floor.folded(id)]
        assert (len(explained), len(own)) == (SEATS // 10, MOST)

    play(crowd(SEATS // 10, 50, 500), tmp_path, story)


# -- what changes without an event ----------------------------------------------------------------------------


def test_a_run_of_which_more_is_known_is_said_again_without_an_event(small: Site, tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        office.wait(100, polled=True)
        fail(office, *PCS[:20])
        office.wait(60, polled=True)
        run_id = run_of(office)
        before = office.lane.procedures.runs()[run_id]
        office.clean()
        fail(office, *PCS[20:25])
        office.wait(45, polled=True)  # before the first step is overdue
        assert {*office.lane.procedures.runs()[run_id].affected} > {*before.affected}
        batch = next(each for each in office.batches if TREE.procedure(run_id) in topics(list(each.outbox)))
        assert f"run/{run_id}" in batch.state
        assert not [entry for each in office.batches for entry in each.journal if entry.kind == "run"]
        assert TREE.event("procedure", "system-fault") not in topics(office.messages())

    play(small, tmp_path, story)


# -- a disk that refuses --------------------------------------------------------------------------------------


def test_a_disk_that_refuses_keeps_nothing_from_being_sent_and_has_it_later(small: Site, tmp_path: Path) -> None:
    async def until(true: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not true():  # noqa: ASYNC110 - the disk refuses and comes back without a word
                await asyncio.sleep(0.02)

    async def story(office: Office) -> None:
        office.wait(100, polled=True)
        await office.written()
        office.wire.connected = True
        office.feed.on_connected(False, None)
        other = sqlite3.connect(tmp_path / "edge.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        fail(office)
        office.wait(60, polled=True)
        event = TREE.event("procedure", "system-fault")
        await until(lambda: event in dict(office.wire.said))
        assert office.store.trouble is not None
        assert office.store.load_state("run/") == {}
        assert TREE.alarm(GROUP) in dict(office.wire.said)
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: office.store.trouble is None)
        assert office.store.load_state("run/").keys() == {f"run/{run_of(office)}"}

    play(small, tmp_path, story)


# -- all at once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken", [pytest.param({"softphone": False}, id="softphones"), pytest.param(None, id="network")]
)
def test_5000_seats_that_fail_in_one_step_are_one_story_of_tens_of_messages(
    tmp_path: Path, broken: dict[str, Value] | None
) -> None:
    async def story(office: Office) -> None:
        office.wait(100, polled=True)
        office.clean()
        office.say(dict.fromkeys([id for id in office.site.devices if id.startswith("pc-")], broken))
        office.wait(120, polled=True)

    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    tenth = play(crowd(SEATS // 10, 50, 100), tmp_path / "small", story)
    office = play(crowd(), tmp_path / "large", story)
    sent = office.messages()
    rows = Counter(key for batch in office.batches for key in batch.state if key.startswith("alarm/pc-"))
    lines = [entry for batch in office.batches for entry in batch.journal]
    print(
        f"\n{SEATS} seats: {len(sent)} messages of {sum(len(each.body) for each in sent) // 1000} kB,"
        f" {rows.total()} rows, {len(lines)} lines; CPU {office.pass_cpu:.2f} s of passes, {office.commit_cpu:.2f} s of"
        f" batches; a tenth of them {tenth.pass_cpu:.2f} s and {tenth.commit_cpu:.2f} s"
    )  # fmt: skip
    assert len(sent) <= 60
    loud = [each for each in topics(sent, Place.EVENT) if "/alarm/" in each]
    assert len(loud) == 1, "one fault of many, and no seat is told of"
    assert len(office.lane.procedures.runs()) == 1
    assert [batch for batch in office.batches if len(batch.state) > SEATS // 2] == office.batches[:2]
    assert set(rows.values()) == {2}, "once when its delay began, once when it was raised"
    assert sum(entry.kind == "alarm" and entry.body["verb"] == "raised" for entry in lines) == SEATS + 1
    assert max(len(json.dumps(entry.body)) for entry in lines if entry.kind == "alarm") < 1_000
    assert office.pass_cpu + office.commit_cpu < 40 * (tenth.pass_cpu + tenth.commit_cpu), (
        "grows with the seats, no more"
    )
