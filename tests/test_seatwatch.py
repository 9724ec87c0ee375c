"""Stories of watched seats, from what their parts say to what people are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.readings import Value
from edgeagent.sitetree import CauseSettings
from tests.seatrow import OFFICE, Row, ids, rows

DARK: dict[str, dict[str, Value]] = {"ping": {"echo": False}, "port": {"link": "down"}}


def dark(seat: str = "s000") -> dict[str, dict[str, Value] | None]:
    return {f"{seat}-{part}": dict(values) for part, values in DARK.items()}


# Kill, freeze, cable cut, clean stop, clone: five stories, five ends.


@pytest.mark.parametrize(
    ("word", "others", "state", "raised"),
    [
        pytest.param("died", {}, ("working", "down"), ["s000.agent-down"], id="kill: the agent is gone at once"),
        pytest.param("frozen", {}, ("working", "down"), ["s000.agent-down"], id="freeze: the workstation answers"),
        pytest.param("silent", DARK, ("failed", "(silent)"), ["s000.workstation-down"], id="cable cut"),
        pytest.param("left", DARK, ("left", "left"), [], id="clean stop"),
        pytest.param("cloned", {}, ("working", "cloned"), ["s000.cloned"], id="clone"),
    ],
)
def test_how_a_seat_goes_tells_what_is_made_of_it(
    word: str, others: dict[str, dict[str, Value]], state: tuple[str, str], raised: list[str]
) -> None:
    row = Row(rows()).start()
    row.at(10, {f"s000-{part}": dict(values) for part, values in others.items()})
    row.part(40, "pc", agent=word).to(200)
    assert (row.is_(), row.is_(point="agent")) == state
    assert row.raised() == raised


def test_a_kill_and_a_freeze_are_told_apart_by_what_is_seen_gone() -> None:
    row = Row(rows()).start()
    row.part(10, "pc", agent="died").part(10, "pc", ["s001"], agent="frozen")
    assert row.floor.derived["s000"]["gone"].value == frozenset({"agent-died"})
    assert row.floor.derived["s001"]["gone"].value == frozenset({"agent-frozen"})


def test_silence_alone_is_not_known_to_be_anything_and_is_seen_at_the_seat() -> None:
    row = Row(rows()).start()
    row.at(5, {"s000-ping": None, "s000-port": None})
    row.part(10, "pc", agent="silent").to(600)
    assert row.is_() == "(silent)"
    assert row.raised() == []


def test_what_fails_is_told_in_both_languages_with_what_speaks_for_it_and_since_when() -> None:
    row = Row(rows()).start()
    row.at(10, dark())
    row.part(40, "pc", agent="silent").to(200)
    alarm = row.record("s000.workstation-down")
    assert alarm.alarm_text.en == "s000: workstation does not answer (agent silent, no ping, port down)"
    assert alarm.alarm_text.zh == "“s000”电脑无响应（ping 不通、交换机端口断开、代理无上报）"
    assert row.onset("s000.workstation-down") - row.offset == 10


def test_a_fault_stays_while_nobody_can_say_that_it_is_over() -> None:
    row = Row(rows()).start()
    row.at(10, dark())
    row.part(40, "pc", agent="silent").to(200)
    row.at(210, {"s000-ping": None, "s000-port": None})
    row.to(900)
    assert row.is_() == "(silent)"
    assert not row.record("s000.workstation-down").is_cleared
    row.part(910, "pc", agent="running").to(1000)
    assert row.record("s000.workstation-down").is_cleared


def test_a_witness_that_was_never_seen_alive_says_nothing() -> None:
    row = Row(rows())
    row.at(0, {f"s000-{part}": dict(values) for part, values in DARK.items()} | {"s000-pc": {"agent": "running"}})
    row.part(100, "pc", agent="silent").to(400)
    assert row.is_() == "(silent)"
    assert row.raised() == []


def test_a_witness_that_was_dark_while_the_agent_went_on_reporting_is_none_when_it_falls_silent() -> None:
    row = Row(rows()).start()
    row.part(10, "ping", echo=False).to(600)  # a firewall that came
    assert row.is_() == "working"
    row.part(600, "port", link="up").part(610, "pc", agent="silent").to(1000)
    assert row.is_(point="agent") == "down"
    assert row.raised() == ["s000.agent-down"]


def test_a_link_that_is_down_while_the_agent_reports_is_dissent_and_no_alarm() -> None:
    row = Row(rows()).start()
    row.part(10, "port", link="down").to(300)
    assert (row.is_(), row.raised()) == ("working", [])
    assert row.floor.derived["s000"]["gone"].value == frozenset({"port-down"})
    assert row.floor.derived["s000"]["alive"].value == frozenset({"agent", "echo"})


def test_who_falls_silent_has_its_other_witnesses_asked_at_once() -> None:
    row = Row(rows(phone=True)).start()
    row.curious.clear()
    row.part(10, "pc", agent="silent")
    assert row.curious == {"s000-ping", "s000-port", "s000-phone"}


def test_a_phone_that_fails_is_one_alarm_at_the_seat_and_none_of_its_own() -> None:
    row = Row(rows(phone=True)).start()
    row.part(10, "phone", registered=False, reachable=False, powered=False).to(200)
    assert row.raised() == ["s000.phone-down"]


def test_a_port_that_cannot_be_read_is_told_once_and_as_that() -> None:
    row = Row(rows(phone=True)).start()
    row.part(5, "phone", ["s001"], reachable=False)  # that was asked, and did not answer
    row.unreachable(10, "s000-port")
    row.to(300)
    assert sorted(row.raised()) == ["s000.witness-unread", "s001.phone-down"]


# Shifts, maintenance.


def test_at_night_what_is_silent_or_dark_is_empty_and_in_the_morning_it_counts() -> None:
    row = Row(rows(staffed=(OFFICE,)), hour=19.9).start()
    row.to(720)  # past eight
    row.at(730, dark() | {"s001-ping": {"echo": True}})
    row.part(740, "pc", ["s000", "s001"], agent="silent").to(3600)
    assert (row.is_(), row.is_("s001"), row.is_("s002")) == ("empty", "empty", "working")
    assert row.raised() == []
    row.to(12 * 3600 + 400)
    assert row.is_() == "failed"
    assert "s000.workstation-down" in row.raised()


def test_a_fault_that_the_running_agent_itself_reports_counts_at_night_too() -> None:
    row = Row(rows(staffed=(OFFICE,), headset=True), hour=22).start()
    row.part(10, "headset", present=False).to(100)
    assert row.raised() == ["s000-headset.headset-missing"]


def test_a_seat_in_maintenance_says_nothing() -> None:
    row = Row(rows(off=["s000"], phone=True)).start()
    row.at(10, dark() | {"s000-phone": {"registered": False}})
    row.part(40, "pc", agent="died").to(300)
    assert (row.is_(), row.raised()) == ("maintenance", [])


# Many at once.


def test_a_dead_switch_with_48_seats_is_one_fault_on_the_switch() -> None:
    row = Row(rows(240, switches=5)).start()
    hit = [seat for number, seat in enumerate(ids(240)) if number % 5 == 2]
    row.at(10, {id: values for seat in hit for id, values in dark(seat).items() if id.endswith("ping")})
    row.at(12, {f"{seat}-port": None for seat in hit})
    for number, seat in enumerate(hit):
        row.part(40 + number % 15, "pc", [seat], agent="silent")
    row.to(300)
    assert row.raised() == ["switch-2.group.workstation-down"]
    text = row.record("switch-2.group.workstation-down").alarm_text
    assert text.en == "48 seats at switch-2: workstation does not answer"
    assert text.zh == "“switch-2”的 48 个座席电脑无响应"
    assert row.hidden()["s002.workstation-down"] == "switch-2.group.workstation-down"
    assert not row.agent("seats.blind")


def agents_alone(seats: int, switches: int) -> Row:
    """Start a site whose seats have nothing but their own agents."""
    site = rows(seats, switches)
    own = {id: device for id, device in site.devices.items() if not id.endswith(("-ping", "-port"))}
    return Row(replace(site, devices=own)).start()


def test_seats_with_nothing_but_their_agents_speak_for_each_other_when_a_switch_dies() -> None:
    row = agents_alone(60, 3)
    silence(row, 10, ids(60)[1::3])
    row.to(200)
    assert row.raised() == ["switch-1.group.workstation-down"]
    assert row.record("switch-1.group.workstation-down").alarm_text.en.startswith("20 seats at switch-1")
    assert not row.agent("seats.blind")
    row.part(210, "pc", ids(60)[1::3], agent="running").to(400)
    assert row.record("switch-1.group.workstation-down").is_cleared


def test_silent_seats_here_and_there_do_not_speak_for_each_other() -> None:
    row = agents_alone(60, 3)
    silence(row, 10, ids(12))
    row.to(300)
    assert row.raised() == []
    assert row.is_() == "(silent)"


def test_agents_that_stop_at_one_switch_while_the_workstations_answer_are_no_fault_of_the_seats() -> None:
    row = Row(rows(60, 3)).start()
    silence(row, 10, ids(60)[1::3])
    row.to(300)
    assert [id.partition(".")[2] for id in row.raised()] == ["group.agent-down"]


def test_softphones_that_are_down_at_many_healthy_seats_stay_a_group_of_their_own() -> None:
    row = Row(rows(20)).start()
    row.part(10, "pc", ids(20), softphone=False)
    row.to(100)
    assert [id.partition(".")[2] for id in row.raised()] == ["group.softphone-down"]


# Blindness.


def silence(row: Row, second: float, seats: list[str]) -> None:
    for number, seat in enumerate(seats):
        row.part(second + number % 20, "pc", [seat], agent="silent")


def test_when_nearly_all_fall_silent_no_seat_is_judged_and_one_alarm_says_so() -> None:
    row = Row(rows(40, switches=2)).start()
    row.at(30, {f"{seat}-ping": {"echo": False} for seat in ids(40)})
    silence(row, 40, ids(38))
    row.to(300)
    assert row.raised() == ["agent.monitoring-blind"]
    assert {row.is_(seat) for seat in ids(40)} == {"(blind)"}
    alarm = row.record("agent.monitoring-blind")
    assert "broker and our own network first" in alarm.recommended_action.en
    assert "先检查消息服务器和监控主机自身网络" in alarm.recommended_action.zh


def test_it_is_over_when_half_are_heard_and_each_is_judged_by_its_own_word() -> None:
    row = Row(rows(40, switches=2)).start()
    row.at(30, {f"{seat}-ping": {"echo": False} for seat in ids(40)})
    silence(row, 40, ids(40))
    row.to(300)
    row.at(300, {f"{seat}-ping": {"echo": True} for seat in ids(39)})
    row.part(301, "pc", ids(19), agent="running").to(310)
    assert row.agent("seats.blind")
    row.part(310, "pc", ids(1, 19), agent="running").to(311)
    assert not row.agent("seats.blind")
    assert (row.is_("s019"), row.is_("s020"), row.agent("seats.silent")) == ("working", "(blind)", 20)
    row.part(315, "pc", ids(19, 20), agent="running").to(600)
    assert row.raised() == ["agent.monitoring-blind", "s039.workstation-down"]
    assert row.record("agent.monitoring-blind").is_cleared


@pytest.mark.parametrize("state", ["disconnected", "refused"])
def test_a_broker_that_is_gone_blinds_at_once_and_no_longer_than_it_is_away(state: str) -> None:
    row = Row(rows(10)).start().own(1, broker="connected").own(10, broker=state)
    assert row.agent("seats.blind")
    silence(row, 40, ids(10))
    row.to(300)
    told = {"disconnected": "agent.broker-lost", "refused": "agent.broker-refused"}[state]
    assert set(row.raised()) == {told, "agent.monitoring-blind"}
    row.own(300, broker="connected")
    assert row.agent("seats.blind")
    row.part(305, "pc", ids(10), agent="running").to(310)
    assert not row.agent("seats.blind")
    assert {row.is_(seat) for seat in ids(10)} == {"working"}


def test_a_broker_that_is_away_for_a_moment_is_no_matter_of_the_seats() -> None:
    row = Row(rows(10)).start().own(1, broker="connected").own(10, broker="disconnected").own(12, broker="connected")
    row.to(60)
    assert not row.agent("seats.blind")
    assert row.raised() == []


def test_two_hundred_seats_that_leave_for_the_night_are_not_blindness() -> None:
    row = Row(rows(220, switches=5)).start()
    for number, seat in enumerate(ids(200)):
        row.part(10 + number % 30, "pc", [seat], agent="left")
    row.at(60, {id: values for seat in ids(200) for id, values in dark(seat).items()})
    row.to(400)
    assert not row.agent("seats.blind")
    assert row.raised() == []


def test_seats_that_fall_silent_when_their_shift_is_over_are_not_blindness() -> None:
    row = Row(rows(30, staffed=(OFFICE,)), hour=19.99).start()
    row.to(40)
    silence(row, 50, ids(30))
    row.to(400)
    assert (row.agent("seats.blind"), row.raised()) == (False, [])


def test_seats_whose_ports_are_read_as_down_are_heard_of_and_not_blindness() -> None:
    row = Row(rows(40, switches=4)).start()
    row.at(20, {id: values for seat in ids(40) for id, values in dark(seat).items()})
    silence(row, 40, ids(40))
    row.to(300)
    assert not row.agent("seats.blind")
    assert all("group.workstation-down" in id for id in row.raised())


def test_fewer_than_a_quorum_are_never_blindness() -> None:
    row = Row(rows(4)).start()
    silence(row, 10, ids(4))
    row.to(300)
    assert not row.agent("seats.blind")


def test_blindness_outlives_a_restart_until_the_seats_are_heard() -> None:
    row = Row(rows(10)).start()
    row.at(30, {f"{seat}-ping": {"echo": False} for seat in ids(10)})
    silence(row, 40, ids(10))
    row.to(200)
    row.restart(row.offset + 210)
    row.to(400)
    assert row.agent("seats.blind")
    assert not row.record("agent.monitoring-blind").is_cleared
    row.part(410, "pc", ids(5), agent="running").to(430)
    assert not row.agent("seats.blind")


# Spares and headsets.


def test_healthy_spare_seats_are_counted() -> None:
    row = Row(rows(10, spares=3, phone=True, headset=True)).start()
    assert row.agent("spares.ready") == 3
    row.part(10, "pc", ["s009"], agent="left").part(10, "headset", ["s008"], present=False)
    assert row.agent("spares.ready") == 1
    row.part(20, "phone", ["s007"], registered=False)
    assert row.agent("spares.ready") == 0
    row.part(30, "pc", ["s009"], agent="running")
    assert row.agent("spares.ready") == 1


def fails(row: Row, second: float, seat: str, serial: str) -> None:
    """Let a headset be worn at a seat, and fail."""
    row.part(second, "headset", [seat], present=True, link="connected", model="Evolve2", serial=serial)
    row.part(second + 1000, "headset", [seat], link="offline")
    row.to(second + 1100)
    row.part(second + 1100, "headset", [seat], link="connected", serial="other" + seat)


@pytest.mark.parametrize("lack", [{"present": False}, {"link": "offline"}, {"capture": False}, {"render": False}])
def test_a_spare_whose_headset_cannot_be_used_is_not_ready(lack: dict[str, Value]) -> None:
    row = Row(rows(spares=1, headset=True)).start()
    row.part(5, "headset", ["s005"], capture=True, render=True)
    assert row.agent("spares.ready") == 1
    row.part(10, "headset", ["s005"], **lack)
    assert (row.agent("spares.ready"), row.floor.derived["s005"]["ready"].value) == (0, False)


def test_a_headset_without_sound_has_failed_like_one_that_is_off() -> None:
    row = Row(rows(headset=True)).start()
    row.part(10, "headset", capture=False, render=True).to(100)
    assert row.raised() == ["s000-headset.audio-missing"]
    assert row.floor.derived["s000"]["headsets"].value == 1


def test_a_headset_that_failed_at_three_seats_is_named_by_model_and_short_hash() -> None:
    row = Row(rows(headset=True)).start()
    for number, seat in enumerate(ids(3)):
        fails(row, 2000 * (number + 1), seat, "c0ffee123456")
    row.to(9000)
    (alarm,) = (alarm for id, alarm in row.floor.records().items() if id.startswith("agent.headset-suspect"))
    assert alarm.alarm_text.en == "Headset Evolve2 #c0ffee failed at three seats or more in 30 days"
    row.restart(row.offset + 9100)
    row.to(9200)
    assert row.agent("headsets.suspect") == frozenset({"Evolve2 #c0ffee"})
    row.jump(31 * 86400)
    assert row.agent("headsets.suspect") == frozenset()


def test_a_headset_that_is_carried_from_seat_to_seat_has_not_failed() -> None:
    row = Row(rows(headset=True)).start()
    for number, seat in enumerate(ids(4)):
        row.part(1000 * number + 10, "headset", [seat], present=True, model="E", serial="aa11bb22")
        row.part(1000 * number + 900, "headset", [seat], present=False)
    row.to(9000)
    assert row.agent("headsets.suspect") == frozenset()


def test_a_seat_at_which_three_headsets_failed_is_told() -> None:
    row = Row(rows(headset=True)).start()
    for number, serial in enumerate(("111111aa", "222222aa", "333333aa")):
        fails(row, 2000 * (number + 1), "s000", serial)
    row.to(9000)
    assert "s000.seat-eats-headsets" in row.standing()
    assert row.record("s000.seat-eats-headsets").alarm_text.en == "s000: 3 different headsets failed here in 30 days"


def test_a_flat_headset_is_no_failure_of_it() -> None:
    row = Row(rows(headset=True)).start()
    for second in (10, 3000, 6000):
        row.part(second, "headset", link="offline", battery=4)
        row.part(second + 600, "headset", link="connected", battery=90)
    row.to(9000)
    assert row.floor.derived["s000"]["headsets"].value == 0


# Reloads and drills.


def test_a_new_configuration_goes_on_with_what_was_seen() -> None:
    row = Row(rows()).start()
    row.at(10, dark())
    row.part(40, "pc", agent="silent").to(100)
    row.take(row.floor.replace(rows(8, causes=CauseSettings(hold=5)), row.now))
    row.to(200)
    assert row.is_() == "failed"
    assert row.raised() == ["s000.workstation-down"]


def test_what_a_drill_shows_of_a_seat_carries_it_to_the_alarm() -> None:
    row = Row(rows(6)).start()
    row.origin = "drill-1"
    row.at(10, dark())
    row.part(40, "pc", agent="silent").to(200)
    assert row.record("s000.workstation-down").origin == "drill-1"
    assert row.floor.derived["agent"]["spares.ready"].origin == "drill-1"


def test_a_seat_without_an_agent_or_another_witness_is_not_watched() -> None:
    from tests.hall import hall

    assert "s000" not in Row(hall().site()).floor.derived
