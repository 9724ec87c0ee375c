"""What the witnesses of one seat come to, as tables."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeagent.seatverdict import Seen, Word, judge

R, LEFT, DIED, FROZEN, SILENT, CLONED, UNKNOWN = (
    Word.RUNNING, Word.LEFT, Word.DIED, Word.FROZEN, Word.SILENT, Word.CLONED, Word.UNKNOWN,
)  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "workstation", "agent"),
    [
        pytest.param(Seen(R, echo=True, link=True), "working", "working", id="all is well"),
        pytest.param(Seen(R, link=False), "working", "working", id="a link that lies, or a second interface"),
        pytest.param(Seen(R, echo=False), "working", "working", id="a firewall that came"),
        pytest.param(Seen(R, echo=False, link=False), "working", "working", id="two that are wrong about one that speaks"),
        pytest.param(Seen(R, link=False, poe="off", phone=True), "disputed", "working", id="reports by a dead port"),
        pytest.param(Seen(CLONED, echo=True), "working", "cloned", id="two with one name"),
        pytest.param(Seen(LEFT, echo=False, link=False), "left", "left", id="shut down"),
        pytest.param(Seen(LEFT, echo=True), "left", "left", id="the agent was stopped"),
        pytest.param(Seen(SILENT), "silent", "silent", id="silence alone"),
        pytest.param(Seen(DIED), "silent", "silent", id="the broker's word alone"),
        pytest.param(Seen(SILENT, echo=False), "failed", "silent", id="silent and no echo"),
        pytest.param(Seen(SILENT, link=False), "failed", "silent", id="silent and no link"),
        pytest.param(Seen(DIED, echo=False, link=False), "failed", "silent", id="cable cut"),
        pytest.param(Seen(FROZEN, echo=False), "failed", "silent", id="frozen and no echo"),
        pytest.param(Seen(SILENT, neighbours=True), "failed", "silent", id="silent with its neighbours"),
        pytest.param(Seen(SILENT, echo=True, neighbours=True), "working", "down", id="an echo among silent neighbours"),
        pytest.param(Seen(R, neighbours=True), "working", "working", id="heard among silent neighbours"),
        pytest.param(Seen(SILENT, echo=True), "working", "down", id="silent and an echo"),
        pytest.param(Seen(DIED, echo=True), "working", "down", id="killed"),
        pytest.param(Seen(FROZEN, echo=True, link=True), "working", "down", id="frozen"),
        pytest.param(Seen(SILENT, link=True), "working", "down", id="silent and a link"),
        pytest.param(Seen(SILENT, link=True, phone=True), "silent", "silent", id="the link is the phone's"),
        pytest.param(Seen(SILENT, link=True, mac=True, phone=True), "working", "down", id="seen behind the phone"),
        pytest.param(Seen(SILENT, link=True, mac=False, phone=True), "failed", "silent", id="gone behind the phone"),
        pytest.param(Seen(R, link=True, mac=False, phone=True), "working", "working", id="aged out, and it reports"),
        pytest.param(Seen(SILENT, echo=False, mac=True, phone=True), "failed", "silent", id="a MAC not aged out yet"),
        pytest.param(Seen(SILENT, echo=True, link=False), "working", "down", id="an echo by another interface"),
        pytest.param(Seen(UNKNOWN, link=False, poe="searching", phone=True), "failed", "unconfirmed", id="a dead port, alone"),
        pytest.param(Seen(UNKNOWN, link=False, poe="searching"), "unconfirmed", "unconfirmed", id="no phone: that port never fed"),
        pytest.param(Seen(UNKNOWN, link=False), "unconfirmed", "unconfirmed", id="no link, alone"),
        pytest.param(Seen(UNKNOWN, echo=False), "unconfirmed", "unconfirmed", id="no echo, alone"),
        pytest.param(Seen(UNKNOWN, echo=False, link=False), "failed", "unconfirmed", id="no echo and no link"),
        pytest.param(Seen(UNKNOWN, echo=True), "working", "unconfirmed", id="an echo, never heard"),
        pytest.param(Seen(UNKNOWN), "unconfirmed", "unconfirmed", id="nobody speaks"),
        pytest.param(Seen(echo=False, link=False), "failed", "not-fitted", id="without an agent"),
    ],
)  # fmt: skip
def test_a_workstation_fails_by_two_witnesses_or_a_strong_one(seen: Seen, workstation: str, agent: str) -> None:
    verdict = judge(seen)
    assert (verdict.workstation, verdict.agent) == (workstation, agent)


@pytest.mark.parametrize(
    ("seen", "phone"),
    [
        pytest.param(Seen(registered=True, reachable=True, poe="delivering"), "working", id="all is well"),
        pytest.param(Seen(registered=False), "failed", id="not registered"),
        pytest.param(Seen(registered=False, reachable=True), "failed", id="answers, and is not registered"),
        pytest.param(Seen(reachable=False, poe="delivering"), "failed", id="fed, and does not answer"),
        pytest.param(Seen(reachable=False, poe="searching"), "failed", id="not fed, and does not answer"),
        pytest.param(Seen(reachable=False), "unconfirmed", id="does not answer, alone"),
        pytest.param(Seen(registered=True, reachable=False), "unconfirmed", id="registered, and does not answer"),
        pytest.param(Seen(registered=True, poe="off"), "unconfirmed", id="not fed, registered still"),
        pytest.param(Seen(registered=True, link=False, poe="off"), "failed", id="a dead port outweighs the registration"),
        pytest.param(Seen(reachable=True, link=False, poe="off"), "working", id="an answer outweighs the port"),
        pytest.param(Seen(powered=False, registered=True), "failed", id="says that it has no power"),
        pytest.param(Seen(reachable=True), "working", id="answers"),
        pytest.param(Seen(), "unconfirmed", id="nobody speaks"),
    ],
)  # fmt: skip
def test_a_phone_fails_by_its_registration_or_by_two_witnesses(seen: Seen, phone: str) -> None:
    assert judge(replace(seen, phone=True)).phone == phone
    assert judge(seen).phone == "not-fitted"


@pytest.mark.parametrize("word", [DIED, FROZEN, SILENT, UNKNOWN])
@pytest.mark.parametrize(
    "others",
    [
        {}, {"echo": False}, {"link": False}, {"link": False, "poe": "off"}, {"echo": True}, {"registered": False},
        {"reachable": False, "poe": "off"},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_that_is_silent_or_dark_counts_where_nobody_works(word: Word, others: dict[str, bool]) -> None:
    verdict = judge(Seen(word, phone=True, **others), staffed=False)  # type: ignore[arg-type]
    assert verdict.workstation == verdict.agent == "empty"
    assert verdict.phone in ("empty", "unconfirmed")


def test_a_seat_in_maintenance_is_not_judged_and_one_that_is_not_heard_neither() -> None:
    seen = Seen(SILENT, echo=False, registered=False, phone=True)
    for verdict in (judge(seen, maintenance=True), judge(seen, maintenance=True, blind=True)):
        assert {verdict.workstation, verdict.phone, verdict.agent} == {"maintenance"}
    verdict = judge(seen, blind=True)
    assert {verdict.workstation, verdict.phone, verdict.agent} == {"blind"}


def test_both_sides_are_told_whatever_comes_of_it() -> None:
    verdict = judge(Seen(R, echo=False, link=False, poe="fault", phone=True))
    assert verdict.gone == {"no-echo", "port-down", "no-poe"}
    assert verdict.alive == {"agent"}
    assert judge(Seen(SILENT, echo=True, link=False)).gone == {"agent-silent", "port-down"}


@pytest.mark.parametrize(
    ("seen", "ready"),
    [
        pytest.param(Seen(R), True, id="a workstation"),
        pytest.param(Seen(R, registered=True, phone=True), True, id="with a phone"),
        pytest.param(Seen(R, registered=False, phone=True), False, id="whose phone has failed"),
        pytest.param(Seen(R, phone=True), False, id="whose phone nobody knows"),
        pytest.param(Seen(registered=True, phone=True, fitted=False), True, id="a phone alone"),
        pytest.param(Seen(SILENT), False, id="silent"),
        pytest.param(Seen(LEFT), False, id="shut down"),
        pytest.param(Seen(fitted=False), False, id="nothing at all"),
    ],
)
def test_a_seat_is_ready_when_all_that_it_has_is_known_to_work(seen: Seen, ready: bool) -> None:
    assert judge(seen).ready is ready
