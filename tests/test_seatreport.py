from __future__ import annotations

import json
from dataclasses import replace

from edgeagent import seatpayloads
from edgeagent.readings import Missing
from edgeagent.seatreport import LEAVING, Reason, Speaker, State

A017 = Speaker("floor", "hq", "a017", "5e" * 16, "0123456789ab", 15.0, "1.2.3", "salt")
NOON = 1_760_000_000.25


def test_a_seat_speaks_under_its_own_two_topics() -> None:
    assert A017.topic("status") == "floor/v1/hq/seat/a017/status"
    assert A017.topic("report") == "floor/v1/hq/seat/a017/report"


def test_a_copy_of_the_disk_in_another_machine_has_another_client_id() -> None:
    assert A017.client_id == "seat-hq-a017-0123456789ab"
    assert replace(A017, machine="ba9876543210").client_id != A017.client_id
    assert replace(A017, session="77" * 16).client_id == A017.client_id


def test_a_machine_that_cannot_be_told_apart_has_a_client_id_of_each_run() -> None:
    nameless = replace(A017, machine="")
    assert nameless.client_id == "seat-hq-a017-5e5e5e5e5e5e"
    assert replace(nameless, session="77" * 16).client_id != nameless.client_id


def test_a_status_says_who_came_when_and_why() -> None:
    assert json.loads(A017.status(State.ONLINE, Reason.START, 7, NOON)) == {
        "state": "online", "session": "5e" * 16, "seq": 7, "time": "2025-10-09T08:53:20.250Z", "reason": "start",
        "interval": 15.0, "version": "1.2.3",
    }  # fmt: skip


def test_the_will_names_the_run_that_was_lost() -> None:
    assert json.loads(A017.will()) == {"state": "offline", "session": "5e" * 16, "reason": "lost"}


def test_a_report_holds_what_is_known_and_leaves_out_what_is_not() -> None:
    report = A017.report({"online": 1, "cpu.percent": Missing.BUSY, "headset.model": "Link 390"}, 8, NOON)
    assert json.loads(report) == {
        "session": "5e" * 16, "seq": 8, "time": "2025-10-09T08:53:20.250Z", "machine": "0123456789ab",
        "answers": {"online": 1, "headset.model": "Link 390"},
    }  # fmt: skip


def test_the_host_takes_all_that_a_seat_says() -> None:
    for state in State:
        for reason in Reason:
            assert seatpayloads.status(A017.status(state, reason, 1, NOON)).session == A017.session
    assert seatpayloads.status(A017.will()).state == "offline"
    report = seatpayloads.report(A017.report({"online": 1, "headset.serial": "5X"}, 8, NOON))
    assert (report.machine, report.time) == (A017.machine, NOON)
    assert report.answers.keys() == {"online", "headset.serial"}


def test_there_are_four_reasons_to_leave() -> None:
    assert set(LEAVING) == {"shutdown", "update", "logoff", "stop"}
