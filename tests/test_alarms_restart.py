"""The alarm list across restarts, reloads and steps of the clock, and what a step costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgeagent.alarms import AlarmState, Rule, Verb
from edgeagent.catalog import AlarmType, Level, Severity
from edgeagent.readings import Reading
from edgeagent.rules import parse
from tests.floor import AT_ONCE, BASE, LATCHED, LOAD, NAME, TWO, VENDOR, B, Floor, L, many, told


def restart(floor: Floor, *types: AlarmType, second: float, seen: float | None = None) -> Floor:
    ids = {*floor.alarms.records(), *floor.alarms.touched()}
    rows = {id: json.loads(json.dumps(row)) for id in ids if (row := floor.alarms.store(id)) is not None}
    again = Floor(*types, settings=floor.alarms._settings)
    again.alarms.restore(rows, BASE + second, None if seen is None else BASE + seen)
    return again


def test_a_restart_keeps_records_to_the_letter() -> None:
    floor = Floor(LOAD, LATCHED, AT_ONCE, VENDOR)
    floor.read(0, load=90, source="battery", alarms=frozenset({"Fan Fail"}), origin="drill-1")
    floor.at(10)
    floor.ask(11, "ack", 1)
    floor.ask(12, "shelve", 100, id="ups-1.load-high")
    floor.ask(13, "suppress", id="ups-1.vendor.fan-fail")
    again = restart(floor, LOAD, LATCHED, AT_ONCE, VENDOR, second=20)
    assert len(again.alarms.records()) == 4
    assert again.alarms.records() == floor.alarms.records()
    again.at(200)
    assert told(again.changes) == ["112 unshelved unack"]


@pytest.mark.parametrize(("seen", "raised"), [(None, 103), (2, 101)], ids=["since the row", "since last seen"])
def test_time_that_nobody_watched_is_neither_for_nor_against(seen: float | None, raised: float) -> None:
    floor = Floor(LOAD)
    floor.read(0, load=90)
    again = restart(floor, LOAD, second=100, seen=seen)
    again.at(1000 - 1000)
    assert again.changes == []
    again.read(100, load=90)
    again.at(200)
    assert told(again.changes) == [f"{raised:g} raised unack"]
    assert again.record("ups-1.load-high").onset == BASE


def test_nothing_clears_after_a_restart_before_it_is_read() -> None:
    types = (AT_ONCE, replace(AT_ONCE, id="faulty", levels=(Level(Severity.MINOR, parse("bad(probe)")),)))
    floor = Floor(*types)
    floor.view["ups-1"] = {"source": Reading("battery", BASE), "probe": Reading.bad("sensor-fault", BASE)}
    floor.alarms.step(floor.view, [("ups-1", "source"), ("ups-1", "probe")], BASE)
    again = restart(floor, *types, second=10)
    for id in tuple(again.alarms.records()):
        again.ask(10, "out_of_service", BASE + 20, id=id)
    again.at(60)
    assert told(again.changes[2:]) == ["20 in-service unack", "20 in-service unack"]


def test_what_is_no_longer_configured_is_closed_after_a_restart() -> None:
    floor = Floor(AT_ONCE, LOAD)
    floor.read(0, source="battery", load=90)
    again = restart(floor, LOAD, second=10)
    changes = again.alarms.orphans()
    assert [(c.verb, c.alarm.alarm_id, c.reason) for c in changes] == [(Verb.CLOSED, B, "no longer configured")]
    assert again.alarms.orphans() == []
    assert B in again.alarms.touched()
    assert again.alarms.store(B) is None


def test_a_reload_keeps_what_remains_closes_what_is_gone_and_judges_what_is_new() -> None:
    floor = Floor(AT_ONCE, TWO)
    floor.read(0, source="battery", load=90)
    floor.ask(1, "ack", 1)
    rules = [Rule("ups-1", NAME, type) for type in (AT_ONCE, LATCHED)]
    changes = floor.alarms.replace(rules, BASE + 2)
    assert [(c.verb, c.alarm.alarm_id) for c in changes] == [(Verb.CLOSED, "ups-1.graded")]
    assert floor.record().state is AlarmState.ACKED
    floor.changes.clear()
    floor.at(3)
    assert [c.alarm.alarm_id for c in floor.changes] == [L]
    assert set(floor.alarms.records()) == {B, L}


def test_a_reload_that_drops_the_raised_level_clears_only_by_a_reading() -> None:
    floor = Floor(TWO)
    floor.read(0, load=110)
    lower = replace(TWO, levels=(replace(TWO.levels[0], severity=Severity.WARNING, limit=200),))
    floor.view["ups-1"]["load"] = Reading.bad("timeout", BASE + 1)
    floor.alarms.replace([Rule("ups-1", NAME, lower)], BASE + 1)
    floor.at(10)
    assert not floor.record("ups-1.graded").is_cleared
    floor.read(11, load=110)
    assert told(floor.changes)[-1] == "11 cleared rtn-unack"


def test_a_step_of_the_wall_clock_moves_what_runs_and_leaves_an_agreed_end() -> None:
    floor = Floor(LOAD, AT_ONCE, LATCHED)
    floor.read(0, load=90, source="battery")
    floor.ask(0, "shelve", 10)
    floor.ask(0, "out_of_service", BASE + 1050, id=L)
    floor.alarms.shift(1000)
    floor.at(1100)
    assert told(floor.changes[4:]) == ["1003 raised unack", "1010 unshelved unack", "1050 in-service unack"]
    assert floor.record("ups-1.load-high").onset == BASE + 1000


def test_a_step_looks_only_at_rules_that_name_what_changed() -> None:
    floor = Floor(rules=[*many(2), *many(2, TWO)])
    looked: list[str] = []

    class Spied(dict[str, dict[str, Reading]]):
        def get(self, key: str, default: object = None) -> dict[str, Reading]:
            looked.append(key)
            return {"source": Reading("normal", BASE), "load": Reading(1, BASE)}

    floor.alarms.step(Spied(), [], BASE)
    assert looked == []
    floor.alarms.step(Spied(), [("pc-00", "source"), ("pc-00", "unnamed"), ("other", "source")], BASE)
    assert looked == ["pc-00"]


def test_nothing_is_kept_for_an_alarm_that_is_not_there() -> None:
    floor = Floor(LOAD)
    for second in range(0, 100, 2):
        floor.read(second, load=90 if second % 4 == 0 else 10)
    assert floor.changes == []
    assert floor.alarms.store("ups-1.load-high") is None
    assert floor.alarms.next_due() is None


def test_the_order_does_not_hang_on_the_hash_seed() -> None:
    script = (
        "import tests.floor as t\n"
        "f = t.Floor(t.VENDOR, t.TWO, t.AT_ONCE)\n"
        "f.read(0, source='battery', load=120, alarms=frozenset({'a', 'b', 'c', 'd'}))\n"
        "print([c.alarm.alarm_id for c in f.changes])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent.parent)},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(outputs) == 1
    assert "ups-1.vendor.a" in outputs.pop()


def test_a_reload_with_another_limit_is_judged_at_once() -> None:
    floor = Floor(TWO)
    floor.read(0, load=50)
    lower = replace(TWO, levels=(replace(TWO.levels[0], limit=40),))
    floor.alarms.replace([Rule("ups-1", NAME, lower)], BASE + 1)
    floor.at(2)
    assert told(floor.changes) == ["1 raised unack"]


def test_a_reload_moves_set_members_between_their_own_alarm_and_the_rest() -> None:
    floor = Floor(VENDOR)
    floor.read(0, alarms=frozenset({"overload", "unknown-1"}))
    changes = floor.alarms.replace([Rule("ups-1", NAME, VENDOR, known=frozenset({"unknown-1"}))], BASE + 1)
    assert [(c.verb, c.alarm.alarm_id) for c in changes] == [(Verb.CLOSED, "ups-1.vendor.unknown-1")]
    floor.at(2)
    assert told(floor.changes)[1:] == ["1 raised unack"]
    assert set(floor.alarms.records()) == {"ups-1.vendor.overload"}
