"""The agent of a seat at a real mosquitto: it comes, reports, leaves, dies, comes back, and never speaks for others."""

from __future__ import annotations

import getpass
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgeagent import seatpayloads
from edgeagent.seat import WILL_DELAY
from edgeagent.seatanswers import LARGEST, known
from tests.broker import Listener, Mosquitto, free_port, needs_mosquitto, until
from tests.rig import SITE, Reader, edgeagent
from tests.seatcrowd import Seat as LightSeat
from tests.seatprocess import SeatProcess, write_seat

pytestmark = needs_mosquitto

SEATS = f"floor/v1/{SITE}/seat/#"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def topic(seat: str, name: str) -> str:
    return f"floor/v1/{SITE}/seat/{seat}/{name}"


def said(ear: Listener, seat: str, name: str = "status") -> list[dict[str, Any]]:
    return [message["payload"] for message in ear.on(topic(seat, name)) if message["payload"] is not None]


def states(ear: Listener, seat: str) -> list[tuple[str, str]]:
    return [(status["state"], status["reason"]) for status in said(ear, seat)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as started:
        yield started


def test_a_seat_comes_reports_and_leaves(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_seat(tmp_path, broker.port, "a001", "[softphone]", 'processes = ["some-softphone"]')
    with Reader(broker.port, SEATS) as ear, SeatProcess(config) as seat:
        status = until(lambda: said(ear, "a001"))[0]
        assert status.keys() == {"state", "session", "seq", "time", "reason", "interval", "version"}
        assert (status["state"], status["reason"], status["interval"]) == ("online", "start", 5.0)
        assert STAMP.fullmatch(status["time"])

        until(lambda: len(said(ear, "a001", "report")) > 1, 20.0)
        reports = ear.on(topic("a001", "report"))
        for message in reports:
            assert (message["qos"], message["retain"]) == (0, 0)
            assert message["properties"]["message-expiry-interval"] <= 45
        first, second = (message["payload"] for message in reports[:2])
        assert first.keys() == {"session", "seq", "time", "machine", "answers"}
        assert first["session"] == second["session"] == status["session"]
        assert status["seq"] < first["seq"] < second["seq"]
        assert {"online", "cpu.percent", "memory.percent", "disk.percent", "boot.time"} <= second["answers"].keys()
        taken = seatpayloads.report(json.dumps(second).encode())
        assert taken.answers == second["answers"], "the host takes all of it"

        with Reader(broker.port, SEATS) as late:
            kept = until(lambda: late.on(topic("a001", "status")))[0]
            assert (kept["retain"], kept["payload"]["state"]) == (1, "online")
            assert not [message for message in late.on(topic("a001", "report")) if message["retain"]]

        assert seat.stop() == 0
        until(lambda: states(ear, "a001") == [("online", "start"), ("leaving", "stop")])
        assert said(ear, "a001")[-1]["session"] == status["session"]
    with Reader(broker.port, SEATS) as late:
        assert until(lambda: states(late, "a001")) == [("leaving", "stop")]


def test_why_a_seat_leaves_is_said_by_whoever_stops_it(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_seat(tmp_path, broker.port, "a002")
    with Reader(broker.port, SEATS) as ear, SeatProcess(config) as seat:
        until(lambda: said(ear, "a002"))
        (tmp_path / "reason").write_text("update\n")
        assert seat.stop() == 0
        until(lambda: states(ear, "a002") == [("online", "start"), ("leaving", "update")])
        assert not (tmp_path / "reason").exists(), "it is no reason for the next time"


def test_of_a_seat_that_is_gone_at_once_the_broker_says_so_and_of_one_that_left_nothing(
    broker: Mosquitto, tmp_path: Path
) -> None:
    killed, left = (write_seat(tmp_path / id, broker.port, id) for id in ("a003", "a004"))
    with Reader(broker.port, SEATS) as ear, SeatProcess(killed) as dies, SeatProcess(left) as leaves:
        session = until(lambda: said(ear, "a003"))[0]["session"]
        until(lambda: said(ear, "a004"))
        dies.signal(signal.SIGKILL)
        assert leaves.stop() == 0
        until(lambda: len(said(ear, "a003")) > 1, WILL_DELAY + 10.0)
        assert said(ear, "a003")[-1] == {"state": "offline", "session": session, "reason": "lost"}
        assert states(ear, "a004") == [("online", "start"), ("leaving", "stop")]


def test_after_every_connection_the_seat_says_that_it_is_there_and_keeps_nothing_for_later(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        config = write_seat(tmp_path / "seat", broker.port, "a005")
        with SeatProcess(config) as seat:
            with Reader(broker.port, SEATS) as ear:
                session = until(lambda: said(ear, "a005"))[0]["session"]
                until(lambda: said(ear, "a005", "report"))
            broker.stop()
            until(lambda: "next attempt" in seat.log)
            away = time.time()
            until(lambda: time.time() > away + 6)  # longer than an interval
            broker.start()
            with Reader(broker.port, SEATS) as ear:
                until(lambda: said(ear, "a005", "report"), 30.0)
                status, report = said(ear, "a005")[0], said(ear, "a005", "report")[0]
                assert (status["state"], status["reason"], status["session"]) == ("online", "reconnect", session)
                assert report["seq"] > status["seq"], "nothing from before came after it"
                assert seat.stop() == 0


def test_two_machines_that_take_themselves_for_one_seat_are_seen_both(broker: Mosquitto, tmp_path: Path) -> None:
    one = write_seat(tmp_path / "one", broker.port, "a006")
    two = write_seat(tmp_path / "two", broker.port, "a006", salt="another machine, as it were")
    with Reader(broker.port, SEATS) as ear, SeatProcess(one), SeatProcess(two) as other:
        until(lambda: len({status["session"] for status in said(ear, "a006")}) == 2)

        def machines() -> bool:
            last = [(report["session"], report["machine"]) for report in said(ear, "a006", "report")[-4:]]
            return len(set(last)) == 2 and len({machine for _, machine in last}) == 2 and len(last) == 4

        until(machines, 30.0)
        assert "taken over" not in other.log
        assert states(ear, "a006") == [("online", "start")] * 2


def test_a_seat_that_may_not_write_is_told_where_to_look(tmp_path: Path) -> None:
    acl = f"user a007\ntopic write floor/v1/{SITE}/seat/a007/#\n"
    with Mosquitto(tmp_path, accounts={"a007": "word"}, acl=acl) as broker:
        account = ('username = "a007"', 'password_secret = "salt"')
        wrong = write_seat(tmp_path / "wrong", broker.port, "a008", *account, salt="wordwordwordword")
        with SeatProcess(wrong) as seat:
            until(lambda: "not authorised" in seat.log)
        (tmp_path / "wrong" / "secrets" / "word").write_text("word")
        (tmp_path / "wrong" / "secrets" / "word").chmod(0o600)
        wrong.write_text(wrong.read_text().replace('password_secret = "salt"', 'password_secret = "word"'))
        with SeatProcess(wrong) as seat:
            until(lambda: "see its ACL" in seat.log)
            assert topic("a008", "status") in seat.log


def test_a_console_that_is_closed_ends_it_in_order(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_seat(tmp_path, broker.port, "a009")
    with Reader(broker.port, SEATS) as ear, SeatProcess(config) as seat:
        until(lambda: said(ear, "a009"))
        seat.signal(signal.SIGINT)
        until(lambda: states(ear, "a009")[-1] == ("leaving", "stop"))


def once(config: Path, *words: str) -> str:
    done = edgeagent("seat", "--config", config, "--once", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_look_prints_a_report_and_publishes_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_seat(tmp_path, broker.port, "a010", "[services]", f'gone = "service+tcp://127.0.0.1:{free_port()}"')
    before = broker.log.count("New connection")
    report = json.loads(once(config, "--json"))
    assert report.keys() == {"session", "seq", "time", "machine", "answers"}
    assert report["answers"]["service.gone.answer"] == "refused"
    assert 0 <= report["answers"]["cpu.percent"] <= 100, "the first figure of psutil, always 0, is none"
    text = once(config)
    assert f"{topic('a010', 'report')} at mqtt://127.0.0.1:{broker.port}" in text
    assert re.search(r"^service\.gone\.answer +refused$", text, re.MULTILINE)
    assert re.search(r"^memory\.percent +\d+\.\d$", text, re.MULTILINE)
    assert broker.log.count("New connection") == before


def test_a_report_of_this_machine_names_nobody_and_nothing_that_runs_on_it(tmp_path: Path) -> None:
    own = psutil.Process()
    config = write_seat(tmp_path, free_port(), "a011", "[softphone]", f"processes = [{json.dumps(own.name())}]")
    report = once(config, "--json")
    assert len(report) <= LARGEST
    answers = json.loads(report)["answers"]
    assert answers["softphone"] == 1
    assert [address for address in answers if not known(address)] == []
    people = {getpass.getuser(), *(user.name for user in psutil.users())}
    cards = {address.address.lower() for found in psutil.net_if_addrs().values() for address in found}
    words = {own.name(), *own.cmdline(), socket.gethostname(), str(tmp_path), *people, *cards}
    assert [word for word in words if len(word) > 3 and word.lower() in report.lower()] == []


def test_the_light_seats_of_other_tests_say_what_a_true_one_says(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_seat(tmp_path, broker.port, "a012")
    light = LightSeat("a012", broker.port)
    with Reader(broker.port, SEATS) as ear, SeatProcess(config) as seat:
        reports = until(lambda: said(ear, "a012", "report"), 20.0)
        assert reports[0].keys() == {"session", "seq", "time", "machine", "answers"}
        assert all(known(address) for address in light.answers)
        status = json.loads(light._status("online", "start"))
        assert status.keys() == said(ear, "a012")[0].keys()
        assert {key: type(value) for key, value in status.items() if key != "interval"} == {
            key: type(value) for key, value in said(ear, "a012")[0].items() if key != "interval"
        }
        assert seat.stop() == 0
