"""Topics, payloads and events: what is on the wire, word for word where others rely on it."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any, cast, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.alarm import Alarm, Change, Measured, OperatorState, Silence, Suppression, Verb
from edgeagent.alarmfeed import LARGEST_SNAPSHOT, Record, gone, messages_of, record, snapshot
from edgeagent.catalog import AlarmType, Catalog, Driver, Kind, Level, Point, PointType, Relation, Severity, Text
from edgeagent.config import Device, Site
from edgeagent.endpoint import parse
from edgeagent.messages import (
    CLOUDEVENT,
    GAP,
    Keep,
    Message,
    Mode,
    Place,
    Tree,
    as_replayed,
    drilled,
    dump,
    event,
    stamp,
    state,
    told_gap,
    tombstone,
)  # fmt: skip
from edgeagent.openalarms import OpenAlarms
from edgeagent.payloads import answer, availability, device_state, inventory, refusal, status
from edgeagent.readings import Reading
from edgeagent.rules import parse as condition
from edgeagent.sitetree import Node, SiteTree

TREE = Tree("floor", "hq", "edge-1")
NOW = 1_700_000_000.25
BOOT = 17

ALARM = Alarm(
    alarm_id="ups-a.on-battery",
    resource="ups-a",
    alarm_type_id="on-battery",
    alarm_type_qualifier="",
    event_type="equipment",
    probable_cause="powerProblem",
    perceived_severity=Severity.CRITICAL,
    alarm_text=Text("UPS A runs on battery", "UPS A 由电池供电"),
    short_text=Text("UPS A on battery", "UPS A 电池供电"),
    recommended_action=Text("Look at the mains", "检查市电"),
    time_created=NOW - 5,
    last_changed=NOW,
    is_cleared=False,
    onset=NOW - 8,
    raised=NOW - 5,
    raise_count=1,
    operator_state=OperatorState.NONE,
    value=Measured("source", "battery"),
)


def told(*changes: Change, language: str = "en", first: int = 1) -> list[Message]:
    numbers = count(first)
    return messages_of(changes, TREE, language, BOOT, lambda: next(numbers), NOW)


def body(message: Message) -> Any:  # noqa: ANN401 - JSON
    return json.loads(message.body)


def walk(found: object) -> Iterator[object]:
    yield found
    if isinstance(found, dict):
        for value in found.values():
            yield from walk(value)
    if isinstance(found, list):
        for value in found:
            yield from walk(value)


@pytest.mark.parametrize(
    ("topic", "spelled"),
    [
        pytest.param(TREE.own("status"), "floor/v1/hq/live/agent/edge-1/status", id="status"),
        pytest.param(TREE.inventory(), "floor/v1/hq/live/inventory", id="inventory"),
        pytest.param(TREE.inventory(2), "floor/v1/hq/live/inventory/2", id="inventory-2"),
        pytest.param(TREE.availability("ups-a"), "floor/v1/hq/live/device/ups-a/availability", id="availability"),
        pytest.param(TREE.state("ups-a"), "floor/v1/hq/live/device/ups-a/state", id="state"),
        pytest.param(TREE.state("ups-a", Mode.DRILL), "floor/v1/hq/drill/device/ups-a/state", id="drill-state"),
        pytest.param(TREE.alarm("ups-a.on-battery"), "floor/v1/hq/live/alarm/ups-a.on-battery", id="alarm"),
        pytest.param(TREE.alarms(Mode.DRILL), "floor/v1/hq/drill/alarms", id="alarms"),
        pytest.param(TREE.event("alarm", "critical"), "floor/v1/hq/live/event/alarm/critical", id="event"),
        pytest.param(TREE.procedure("outage-7"), "floor/v1/hq/live/procedure/outage-7", id="procedure"),
        pytest.param(TREE.exercise(), "floor/v1/hq/live/exercise", id="exercise"),
        pytest.param(TREE.request("ack"), "floor/v1/hq/live/req/ack", id="request"),
        pytest.param(TREE.answer("ack", Mode.DRILL), "floor/v1/hq/drill/res/ack", id="answer"),
        pytest.param(TREE.requests, "floor/v1/hq/+/req/+", id="all-requests"),
    ],
)
def test_topics_are_spelled_as_the_contract_spells_them(topic: str, spelled: str) -> None:
    assert topic == spelled


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Tree("floor", "HQ", "edge-1"), id="capitals"),
        pytest.param(lambda: Tree("floor", "", "edge-1"), id="empty"),
        pytest.param(lambda: TREE.state("ups.a"), id="dot"),
        pytest.param(lambda: TREE.state("a/b"), id="level"),
        pytest.param(lambda: TREE.state("+"), id="wildcard"),
        pytest.param(lambda: TREE.state("x" * 41), id="too-long"),
        pytest.param(lambda: TREE.state("ups-a\n"), id="line-end"),
        pytest.param(lambda: TREE.alarm("ups-a/#"), id="alarm-wildcard"),
    ],
)
def test_an_id_that_would_change_the_tree_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"a-z, 0-9"):
        make()


@pytest.mark.parametrize(
    ("topic", "asked"),
    [
        pytest.param("floor/v1/hq/live/req/ack", (Mode.LIVE, "ack"), id="live"),
        pytest.param("floor/v1/hq/drill/req/drill-start", (Mode.DRILL, "drill-start"), id="drill"),
        pytest.param("floor/v1/hq/other/req/ack", None, id="no-such-mode"),
        pytest.param("floor/v1/hq/live/req/ack/more", None, id="deeper"),
        pytest.param("floor/v1/other/live/req/ack", None, id="another-site"),
        pytest.param("floor/v1/hq/live/req/Ack", None, id="no-id"),
    ],
)
def test_mode_and_verb_come_from_the_topic(topic: str, asked: tuple[Mode, str] | None) -> None:
    assert TREE.requested(topic) == asked


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250Z"),
        (1_700_000_000.9996, "2023-11-14T22:13:21.000Z"),
    ],
)
def test_times_are_utc_with_milliseconds(at: float, written: str) -> None:
    assert stamp(at) == written


def test_a_raise_becomes_a_record_and_a_cloudevent() -> None:
    kept, event = told(Change(Verb.RAISED, ALARM, None, NOW - 5), first=42)
    assert (kept.topic, kept.retain, kept.qos, kept.place) == (TREE.alarm(ALARM.alarm_id), True, 0, Place.STATE)
    assert (event.topic, event.retain, event.qos, event.place) == (
        TREE.event("alarm", "critical"),
        False,
        1,
        Place.EVENT,
    )
    assert event.content_type == CLOUDEVENT
    assert (event.keep, event.subject, event.clears, event.seq) == (Keep.RAISE, ALARM.alarm_id, False, 42)
    envelope = body(event)
    data = envelope.pop("data")
    assert envelope == {
        "specversion": "1.0",
        "id": "17-42",
        "source": "/floor/hq/edge-1",
        "type": "edgeagent.alarm.raised",
        "subject": "ups-a.on-battery",
        "time": stamp(NOW - 5),
        "datacontenttype": "application/json",
        "dataschema": "urn:edgeagent:v1:alarm-event",
        "seq": 42,
        "boot": 17,
        "mode": "live",
        "severity": "critical",
    }
    assert all(re.fullmatch("[a-z0-9]+", name) for name in envelope), "CloudEvents 1.0: lower-case letters and digits"
    assert data == {**body(kept), "verb": "raised", "by": "system", "reason": "", "before": None}
    assert data["short_text"] == "UPS A on battery"
    assert data["texts"]["zh"]["short_text"] == "UPS A 电池供电"
    assert (data["onset"], data["last_raised"]) == (stamp(NOW - 8), stamp(NOW - 5))
    assert set(body(kept)) == set(get_type_hints(Record))


def test_plain_texts_are_in_the_language_of_the_site() -> None:
    assert record(ALARM, "zh")["short_text"] == "UPS A 电池供电"
    assert record(ALARM, "zh")["alarm_text"] == "UPS A 由电池供电"
    assert record(ALARM, "en")["recommended_action"] == "Look at the mains"


def test_a_drill_is_marked_in_topic_payload_properties_and_every_text() -> None:
    long = replace(ALARM, origin="drill-3", short_text=Text("x" * 160, "电" * 160))
    kept, event = told(Change(Verb.RAISED, long, None, NOW))
    assert kept.topic.startswith("floor/v1/hq/drill/")
    assert event.topic == "floor/v1/hq/drill/event/alarm/critical"
    assert (body(event)["mode"], body(event)["exerciseid"]) == ("drill", "drill-3")
    assert event.properties["exerciseid"] == "drill-3"
    assert (body(kept)["mode"], body(kept)["exercise_id"]) == ("drill", "drill-3")
    for code, mark in (("en", "EXERCISE – "), ("zh", "演练 – ")):
        texts = body(kept)["texts"][code]
        assert all(text.startswith(mark) for text in texts.values())
        assert len(texts["short_text"]) == 160
    live = told(Change(Verb.RAISED, ALARM, None, NOW))
    assert not any(b"drill" in message.body or b"EXERCISE" in message.body for message in live)


def altered(**facts: Any) -> Alarm:  # noqa: ANN401 - as replace() takes them
    return replace(ALARM, **facts)


SHELF = Suppression(Silence.SHELVED, "li", "known", NOW + 600)


@pytest.mark.parametrize(
    ("change", "severity", "keep", "clears"),
    [
        pytest.param(Change(Verb.RAISED, ALARM, None, NOW), "critical", Keep.RAISE, False, id="raise"),
        pytest.param(
            Change(Verb.RAISED, altered(perceived_severity=Severity.MINOR), None, NOW),
            "minor", Keep.MINOR, False, id="minor",
        ),
        pytest.param(
            Change(Verb.RAISED, altered(perceived_severity=Severity.WARNING), None, NOW),
            "warning", Keep.INFO, False, id="warning",
        ),
        pytest.param(
            Change(Verb.CLEARED, altered(is_cleared=True), ALARM, NOW),
            "critical", Keep.INFO, True, id="clear-where-the-raise-went",
        ),
        pytest.param(
            Change(Verb.SEVERITY_CHANGED, altered(perceived_severity=Severity.MINOR), ALARM, NOW),
            "critical", Keep.MINOR, False, id="lowered-told-to-those-who-heard-of-the-higher",
        ),
        pytest.param(
            Change(Verb.SEVERITY_CHANGED, ALARM, altered(perceived_severity=Severity.MINOR), NOW),
            "critical", Keep.RAISE, False, id="risen",
        ),
        pytest.param(
            Change(Verb.ACKNOWLEDGED, altered(operator_state=OperatorState.ACK), ALARM, NOW, "li"),
            "critical", Keep.INFO, False, id="ack",
        ),
        pytest.param(
            Change(Verb.SHELVED, altered(suppression=SHELF), ALARM, NOW, "li"),
            "critical", Keep.INFO, False, id="shelved-is-told",
        ),
        pytest.param(
            Change(Verb.UNSHELVED, ALARM, altered(suppression=SHELF), NOW),
            "critical", Keep.RAISE, False, id="back-and-standing",
        ),
    ],
)  # fmt: skip
def test_each_change_goes_where_it_is_waited_for(change: Change, severity: str, keep: Keep, clears: bool) -> None:
    _, event = told(change)
    assert (event.topic, event.keep, event.clears) == (TREE.event("alarm", severity), keep, clears)
    assert body(event)["data"]["verb"] == change.verb
    assert body(event)["severity"] == change.alarm.perceived_severity


@pytest.mark.parametrize(
    ("verb", "en", "zh"),
    [
        pytest.param(Verb.RAISED, "UPS A on battery", "UPS A 电池供电", id="raised"),
        pytest.param(Verb.CLEARED, "CLEARED: UPS A on battery", "已恢复：UPS A 电池供电", id="cleared"),
        pytest.param(Verb.ACKNOWLEDGED, "Acknowledged: UPS A on battery", "已确认：UPS A 电池供电", id="acknowledged"),
    ],
)
def test_one_line_on_a_phone_says_what_happened_to_the_fault(verb: Verb, en: str, zh: str) -> None:
    kept, event = told(Change(verb, ALARM, ALARM, NOW), language="zh")
    data = body(event)["data"]
    assert data["short_text"] == data["texts"]["zh"]["short_text"] == zh
    assert data["texts"]["en"]["short_text"] == en
    assert body(kept)["short_text"] == "UPS A 电池供电"


@pytest.mark.parametrize("verb", [Verb.RAISED, Verb.CLEARED, Verb.SEVERITY_CHANGED, Verb.RE_ALARMED])
def test_a_shelved_alarm_changes_its_record_and_calls_nobody(verb: Verb) -> None:
    messages = told(Change(verb, altered(suppression=SHELF), ALARM, NOW))
    assert [message.place for message in messages] == [Place.STATE]
    assert body(messages[0])["suppression"] == {
        "kind": "shelved",
        "by": "li",
        "reason": "known",
        "until": stamp(NOW + 600),
    }


DESIGN = Suppression(Silence.BY_DESIGN, "mains.mains-lost", "no power / 无供电")


@pytest.mark.parametrize(
    ("verb", "facts", "events"),
    [
        pytest.param(Verb.RAISED, {"suppression": DESIGN}, 0, id="raised under its cause"),
        pytest.param(Verb.SUPPRESSED, {"suppression": DESIGN}, 0, id="folded later"),
        pytest.param(Verb.CLEARED, {"suppression": DESIGN, "is_cleared": True}, 0, id="over, and nobody heard of it"),
        pytest.param(
            Verb.CLEARED, {"suppression": DESIGN, "is_cleared": True, "announced": NOW}, 1, id="over, and people did"
        ),
        pytest.param(Verb.UNSUPPRESSED, {}, 1, id="speaks for itself"),
        pytest.param(Verb.UNSUPPRESSED, {"is_cleared": True}, 0, id="over with its cause"),
        pytest.param(Verb.UNSUPPRESSED, {"is_cleared": True, "latched": True}, 1, id="latched"),
    ],
)
def test_what_another_alarm_explains_is_shown_and_told_to_nobody(
    verb: Verb, facts: dict[str, Any], events: int
) -> None:
    messages = told(Change(verb, altered(**{"announced": None, **facts}), ALARM, NOW))
    assert [message.place for message in messages] == [Place.STATE, *[Place.EVENT] * events]


def test_what_is_folded_has_no_record_of_its_own() -> None:
    changes = [Change(Verb.RAISED, altered(suppression=DESIGN), None, NOW)]
    assert messages_of(changes, TREE, "en", BOOT, lambda: 1, NOW, lambda alarm_id: alarm_id == ALARM.alarm_id) == []
    assert len(messages_of(changes, TREE, "en", BOOT, lambda: 1, NOW)) == 1


def test_several_changes_of_one_alarm_make_one_record_of_the_last() -> None:
    acked = altered(operator_state=OperatorState.ACK)
    messages = told(Change(Verb.RAISED, ALARM, None, NOW), Change(Verb.ACKNOWLEDGED, acked, ALARM, NOW, "li"), first=5)
    assert [message.place for message in messages] == [Place.STATE, Place.EVENT, Place.EVENT]
    assert body(messages[0])["operator_state"] == "ack"
    assert [message.seq for message in messages] == [None, 5, 6]


def test_the_snapshot_has_the_gravest_first_then_the_oldest_and_says_what_is_hidden() -> None:
    alarms = [
        altered(alarm_id="d", perceived_severity=Severity.MINOR),
        altered(alarm_id="b", raised=NOW - 1),
        altered(alarm_id="a", raised=NOW - 9),
        altered(alarm_id="c", perceived_severity=Severity.MAJOR, suppression=SHELF),
        altered(alarm_id="e", perceived_severity=Severity.MAJOR, is_cleared=True),
        altered(alarm_id="f", is_cleared=True, operator_state=OperatorState.CLOSED),
    ]
    listed = snapshot(alarms, Mode.LIVE, "en", BOOT, 7, NOW)
    assert [line["alarm_id"] for line in listed["open"]] == ["a", "b", "c", "e", "d"]
    assert listed["counts"] == {"critical": 2, "major": 0, "minor": 1, "warning": 0, "indeterminate": 0}
    assert (listed["unacknowledged"], listed["suppressed"], listed["omitted"]) == (4, 1, 0)
    assert (listed["list_version"], listed["boot"], listed["mode"]) == (7, BOOT, "live")


def test_a_snapshot_of_a_flood_stays_below_what_brokers_take() -> None:
    alarms = OpenAlarms()
    for n in range(5_000):
        alarms.take(altered(alarm_id=f"pc-{n}.offline", raised=NOW + n))
    message = alarms.snapshot(TREE, Mode.LIVE, "zh", BOOT, 1, NOW)
    assert (message.place, message.retain, message.qos) == (Place.SNAPSHOT, True, 1)
    assert 32_000 < len(message.body) < 64 * 1024
    found = body(message)
    assert found["counts"]["critical"] == 5_000
    assert found["omitted"] == 5_000 - len(found["open"])
    assert found["open"][0]["alarm_id"] == "pc-0.offline"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(Severity), st.booleans(),
            st.sampled_from([None, "drill-3"]), st.booleans(), st.sampled_from(Silence),
            st.sampled_from([OperatorState.NONE, OperatorState.ACK]), st.sampled_from([None, NOW, NOW - 5]),
        ),
        max_size=20,
    ),
    st.sampled_from([LARGEST_SNAPSHOT, 900]),
)  # fmt: skip
def test_a_snapshot_that_is_kept_in_order_is_the_one_made_of_all_alarms(
    story: list[tuple[str, Severity, bool, str | None, bool, Silence, OperatorState, float | None]], largest: int
) -> None:
    kept = OpenAlarms()
    kept.begin("drill-3")
    now: dict[Mode, dict[str, Alarm]] = {mode: {} for mode in Mode}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeagent.alarmfeed.LARGEST_SNAPSHOT", largest)
        patch.setattr("edgeagent.openalarms.LARGEST_SNAPSHOT", largest)
        for id, severity, cleared, origin, closed, silence, operator, since in story:
            closing = {"is_cleared": True, "operator_state": OperatorState.CLOSED}
            facts = closing if closed else {"is_cleared": cleared, "operator_state": operator}
            hidden = Suppression(silence, "li", "x")
            alarm = altered(
                alarm_id=id, perceived_severity=severity, origin=origin, raised=since, suppression=hidden, **facts
            )
            now[Mode.LIVE if origin is None else Mode.DRILL][id] = alarm
            kept.change([Change(Verb.RAISED, alarm, None, NOW)])
            for mode, exercise in ((Mode.LIVE, None), (Mode.DRILL, "drill-3")):
                plain = snapshot(now[mode].values(), mode, "zh", BOOT, 1, NOW, exercise)
                assert kept.snapshot(TREE, mode, "zh", BOOT, 1, NOW).body == dump(plain)


def test_only_a_tombstone_is_empty() -> None:
    dead = gone(altered(origin="drill-3"), TREE, NOW)
    assert (dead.body, dead.retain, dead.qos) == (b"", True, 1)
    assert dead.topic == "floor/v1/hq/drill/alarm/ups-a.on-battery"


def test_a_replayed_event_says_so_and_is_otherwise_the_same() -> None:
    _, event = told(Change(Verb.RAISED, ALARM, None, NOW))
    late = as_replayed(event)
    assert body(late) == {**body(event), "replayed": True}
    assert late.properties["replayed"] == "true"
    assert replace(late, body=b"", properties={}) == replace(event, body=b"", properties={})


def test_a_gap_takes_the_place_of_the_last_event_that_is_missing() -> None:
    row = Message(GAP, dump({"from_seq": 3, "to_seq": 9, "count": 5, "reason": "outbox-full"}), Place.EVENT, born=NOW)
    event = told_gap(TREE, row, -12, BOOT)
    assert event.topic == "floor/v1/hq/live/event/agent/gap"
    assert (body(event)["id"], body(event)["seq"], body(event)["type"]) == ("17-gap12", 9, "edgeagent.gap")
    assert body(event)["data"] == {"from_seq": 3, "to_seq": 9, "count": 5, "reason": "outbox-full"}


def test_a_device_is_one_flat_object_with_what_its_values_are_worth() -> None:
    readings = {
        "battery.charge": Reading(97.5, NOW),
        "battery.runtime": Reading.bad("sentinel", NOW),
        "source": Reading("normal", NOW),
        "smoke": Reading(False, NOW),
        "alarms": Reading(frozenset({"overload", "fan"}), NOW),
    }
    assert device_state(readings, {"battery.charge": "%", "battery.runtime": "s", "fuel": "%"}, NOW, NOW + 1) == {
        "battery.charge": 97.5,
        "battery.runtime": None,
        "source": "normal",
        "smoke": False,
        "alarms": ["fan", "overload"],
        "units": {"battery.charge": "%", "battery.runtime": "s"},
        "quality": {"battery.runtime": {"quality": "bad", "reason": "sentinel"}},
        "time": stamp(NOW),
        "observed": stamp(NOW + 1),
    }


def test_a_reading_of_a_drill_marks_its_device() -> None:
    found = device_state({"source": Reading("battery", NOW, origin="drill-3")}, {}, NOW, None)
    assert (found["exercise_id"], found["observed"]) == ("drill-3", None)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(state(TREE.alarms(Mode.DRILL), {"open": []}, NOW, place=Place.SNAPSHOT), id="snapshot"),
        pytest.param(tombstone(TREE.alarm("ups-a.on-battery", Mode.DRILL), NOW), id="tombstone"),
        pytest.param(
            event(TREE, TREE.event("alarm", "critical", Mode.DRILL), "alarm.raised", "a", NOW, {}, boot=BOOT, seq=7,
                  born=NOW, mode=Mode.DRILL, exercise="ex-1", keep=Keep.RAISE, clears=True),
            id="event",
        ),
    ],
)  # fmt: skip
def test_what_a_drill_says_waits_behind_all_that_is_real_and_takes_no_number_of_the_outbox(message: Message) -> None:
    marked = drilled(message, "ex-1")
    assert (marked.place, marked.keep, marked.seq) == (Place.DRILL, Keep.TELEMETRY, None)
    assert marked.properties == {**message.properties, "mode": "drill", "exerciseid": "ex-1"}
    assert (marked.topic, marked.body, marked.retain, marked.qos) == (
        message.topic, message.body, message.retain, message.qos,
    )  # fmt: skip
    assert max(Place) is Place.DRILL


def test_two_drills_of_one_life_share_no_event_id() -> None:
    def told(exercise: str | None) -> Any:  # noqa: ANN401 - JSON
        return body(event(TREE, "t", "x", "s", NOW, {}, boot=BOOT, seq=1, born=NOW, exercise=exercise))

    assert len({told(exercise)["id"] for exercise in (None, "ex-1", "ex-2")}) == 3


def test_status_and_availability_say_since_when_and_why() -> None:
    assert status(True, "start", 3, NOW) == {"state": "online", "reason": "start", "boot": 3, "since": stamp(NOW)}
    assert status(False, "lost", 3, None) == {"state": "offline", "reason": "lost", "boot": 3, "since": None}
    assert availability("offline", NOW, "timeout") == {"state": "offline", "since": stamp(NOW), "reason": "timeout"}


def test_answers_say_ok_or_why_not_in_both_languages() -> None:
    assert answer("ack", "t1", NOW, {"alarm_id": "a", "ok": "forged"}) == {
        "ok": True, "verb": "ack", "transaction": "t1", "time": stamp(NOW), "alarm_id": "a",
    }  # fmt: skip
    assert refusal("ack", None, NOW, "unknown-alarm", Text("no such alarm", "没有这个告警"), "zh") == {
        "ok": False, "verb": "ack", "transaction": None, "time": stamp(NOW), "reason": "unknown-alarm",
        "text": "没有这个告警", "texts": {"en": "no such alarm", "zh": "没有这个告警"},
    }  # fmt: skip


def site(devices: int) -> Site:
    when = Level(Severity.CRITICAL, condition("source = battery"))
    alarms = {
        "on-battery": AlarmType(
            "on-battery", Text("{name} on battery", "电池"), Text("", ""), (when,), "equipment", "powerProblem"
        )
    }
    points = {"battery.charge": Point("battery.charge", PointType.NUMBER, Text("Charge", "电量"), unit="%")}
    kind = Kind("ups", Text("UPS", "不间断电源"), points, alarms)
    driver = Driver("ups/rfc1628", kind, "snmp", Text("", ""), "RFC 1628", (), (), ())
    url = parse("snmp://192.0.2.1")
    named = {
        f"ups-{n}": Device(f"ups-{n}", Text(f"UPS {n}", f"电源 {n}"), driver, url, "hall", 2, 1, 2, alarms if n else {})
        for n in range(devices)
    }
    mains = Kind("mains", Text("Mains", "市电"), {}, {})
    nodes = (
        Node("hall", Text("Hall", "大厅"), "area"),
        Node("mains", Text("Mains", "市电"), "mains"),
        Node("a001", Text("Seat 1", "1 号座席"), "seat"),
        Node("ups-0", Text("UPS 0", "电源 0"), "ups", {Relation.POWER: ("mains",)}, device=True),
    )
    found = SimpleNamespace(
        id="hq", name=Text("Headquarters", "总部"), language="zh", areas={"hall": Text("Hall", "大厅")}, devices=named,
        tree=SiteTree({node.id: node for node in nodes}), catalog=Catalog({"mains": mains}, {}),
    )  # fmt: skip
    return cast("Site", found)


def test_the_inventory_lists_areas_kinds_and_devices_with_both_languages() -> None:
    (page,) = inventory(site(2))
    assert page["areas"] == {"hall": {"en": "Hall", "zh": "大厅"}}
    assert page["kinds"]["ups"]["points"]["battery.charge"]["unit"] == "%"
    assert page["kinds"]["ups"]["alarms"]["on-battery"]["severities"] == ["critical"]
    assert page["devices"]["ups-0"].get("alarms") == [], "all of its kind's alarms are switched off"
    assert "alarms" not in page["devices"]["ups-1"]
    assert page["nodes"] == {"mains": {"kind": "mains", "texts": {"en": "Mains", "zh": "市电"}, "above": {}}}
    assert page["kinds"].keys() == {"ups", "mains"}
    assert page["devices"]["ups-0"].get("above") == {"power": ["mains"]}
    for found in walk(json.loads(dump(page))):
        if isinstance(found, dict) and "en" in found:
            assert set(found) == {"en", "zh"}


def test_an_inventory_that_one_message_cannot_hold_goes_on_in_the_next() -> None:
    pages = inventory(site(2_000), 60_000)
    assert len(pages) > 2
    assert all(len(dump(page)) <= 60_000 for page in pages)
    assert [page["page"] for page in pages] == list(range(1, len(pages) + 1))
    assert {page["pages"] for page in pages} == {len(pages)}
    assert [id for page in pages for id in page["devices"]] == [f"ups-{n}" for n in range(2_000)]


def test_bulk_state_is_qos_0_because_a_broker_queues_only_so_many_for_a_late_reader() -> None:
    assert [message.qos for message in told(Change(Verb.RAISED, ALARM, None, NOW)) if message.retain] == [0]
    assert state("t", {}, NOW).qos == 1


def test_a_payload_that_is_held_takes_what_it_is_long() -> None:
    payload = {f"point.{number}": 230.5 for number in range(40)}
    tracemalloc.start()
    try:
        held = [dump(payload) for _ in range(100)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 * sum(map(len, held))
