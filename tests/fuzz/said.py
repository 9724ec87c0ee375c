"""What comes over the broker: commands, what others write on our topics, what seats say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, cast

import orjson

from edgeagent import drillrequests, requests
from edgeagent.commands import Commands
from edgeagent.foreign import Foreign
from edgeagent.lane import Lane
from edgeagent.messages import Message, Mode, Tree, dump, stamp
from edgeagent.mqtt import Received
from edgeagent.readings import Missing, Reading
from edgeagent.seatanswers import LARGEST, LONGEST, known, told
from edgeagent.seatinbox import SeatInbox
from edgeagent.seatpayloads import Malformed, report, status
from edgeagent.seatreport import Reason, Speaker, State
from edgeagent.store import Batch, Store
from tests.fuzz import targets
from tests.fuzz.shared import site

NOW: Final = 1_795_000_000.0
TREE: Final = Tree("floor", "site-a", "edge-1")
SEAT: Final = "a017"
SPEAKER: Final = Speaker("floor", "site-a", SEAT, "s1", "m1", 15.0, "0.1.0", "salt")


def of(data: bytes, parts: int) -> list[bytes]:
    """Cut what came at its first lines: what stands on the last part may have lines of its own."""
    found = data.split(b"\n", parts - 1)
    return found + [b""] * (parts - len(found))


# Commands, to a lane with an open alarm and an open run.


class Memory:
    """A store that writes at once and keeps nothing."""

    def load_state(self, prefix: str) -> dict[str, dict[str, Any]]:
        return {}

    def commit(self, batch: Batch, done: Callable[[object], None] | None = None) -> None:
        orjson.dumps([body for body in batch.state.values() if body is not None])
        if done is not None:
            done(None)


class Desk:
    """Does what the agent does with a command, on a lane that is made anew when one changed it."""

    def __init__(self) -> None:
        self._site = site()
        self.lane = self._fresh()

    def _fresh(self) -> Lane:
        lane = Lane(self._site)
        id = next(id for id, device in self._site.devices.items() if device.driver.kind.id == "ups")
        lane.view[id] = {"source": Reading("battery", NOW)}
        lane.step([(id, "source")], [id], NOW)
        requests.carry_out(lane, "run-open", {"mode": "live", "procedure": "system-fault", "reason": "x"}, "li", NOW)
        return lane

    def do(self, verb: str, request: Mapping[str, Any], by: str) -> Mapping[str, Any]:
        if verb in drillrequests.SHAPES:
            requests.read(drillrequests.SHAPES[verb], request)
        answer, outcome = requests.carry_out(self.lane, verb, request, by, NOW + 1)
        if outcome.changes or outcome.runs:
            self.lane = self._fresh()
        return answer


def build_commands() -> targets.Run:
    desk = Desk()
    sent: list[tuple[Message, bytes | None]] = []
    clock = count(1)

    def run(data: bytes) -> None:
        commands = Commands(
            TREE, "zh", cast("Store", Memory()), desk.do, lambda message, own: sent.append((message, own)),
            lambda: NOW + next(clock),
        )  # fmt: skip
        topic, wanted, payload = of(data, 3)
        received = Received(
            topic.decode("utf-8", "replace"), payload, False, wanted.decode("utf-8", "replace"), wanted[:8] or None
        )
        for _ in range(2):  # a transaction that comes twice is answered with the same
            commands.take(received)
        answers = {message.body for message, _ in sent}
        assert len(sent) in (0, 2)
        for message, _ in sent:
            said = orjson.loads(message.body)
            assert said.get("reason") != "internal-error", said
            assert not message.retain
            own = message.topic.startswith("floor/")
            assert not own or "/res/" in message.topic, message.topic
        assert len(answers) <= 2
        sent.clear()

    return run


def seeds_commands() -> list[bytes]:
    run = next(iter(Desk().lane.procedures.runs()))
    asked: list[tuple[str, dict[str, object]]] = [
        ("ack", {"alarm_id": "ups-a.on-battery", "raise_count": 1, "note": "seen"}),
        ("shelve", {"alarm_id": "ups-a.on-battery", "seconds": 600, "reason": "换电池"}),
        ("step", {"run_id": run, "step": "report", "action": "done", "note": ""}),
        ("run-fill", {"run_id": run, "field": "cause", "text": "switch"}),
        ("run-level", {"run_id": run, "level": 4, "reason": "whole floor"}),
        ("run-close", {"run_id": run, "reason": "works again"}),
        ("run-open", {"procedure": "outage", "scope": "", "reason": "told", "level": 3}),
        ("drill-start", {"scenario": "smoke", "seconds": 600, "speed": 1.0}),
        ("drill-note", {"text": "late", "owner": "Li", "due": "2026-11-25"}),
        ("fly", {}),
    ]
    return [
        f"floor/v1/site-a/{mode}/req/{verb}\n{wanted}\n".encode()
        + orjson.dumps({"by": "li.wei", "transaction": "t1", **fields})
        for mode in Mode for verb, fields in asked for wanted in ("", "desk/answers")
    ]  # fmt: skip


# Topics of ours on which somebody else writes, and the topics that are taken apart.


def build_topics() -> targets.Run:
    def run(data: bytes) -> None:
        topic, body = of(data, 2)
        repaired: list[str] = []
        name = topic.decode("utf-8", "replace")
        foreign = Foreign(TREE, b"will", repaired.append)
        foreign.begin(b"birth", 100.0)
        for now in (100.0, 100.5, 102.0, 109.0):
            foreign.take(name, body, [b"ours"], now)
            foreign.step(now)
        assert set(repaired) <= {name}
        assert len(repaired) <= 4
        TREE.requested(name)
        TREE.speaker(name)
        assert TREE.mode(name) in Mode
        for make in (TREE.own, TREE.state, TREE.alarm, TREE.request):
            try:
                made = make(name)
            except ValueError:
                continue
            assert made.startswith("floor/v1/site-a/live/")
            assert not set("+# \0") & set(made)

    return run


def seeds_topics() -> list[bytes]:
    topics = (
        TREE.own("status"), TREE.alarms(), TREE.alarm("ups-a.on-battery"), TREE.event("alarm", "critical"),
        TREE.request("ack"), TREE.answer("ack", Mode.DRILL), TREE.seat(SEAT, "report"), "ups-a", "on-battery",
    )  # fmt: skip
    return [f"{topic}\n{body}".encode() for topic in topics for body in ("birth", "will", "ours", '{"state":"x"}', "")]


# Seats: two messages after each other; the first line of each says on which topic it came.


def build_seat() -> targets.Run:
    def run(data: bytes) -> None:
        inbox = SeatInbox([SEAT])
        now = 1000.0
        for piece in data.split(b"\x1e")[:8]:
            where, payload = of(piece, 2)
            name = where.strip(b"*").decode("utf-8", "replace")
            inbox.take(SEAT, name, payload, now, NOW, retained=b"*" in where)
            now += 7.0
            inbox.step(now)
            inbox.state(SEAT, now)
            for address, value in (inbox.answers(SEAT, now) or {}).items():
                assert address == "clock.offset" or known(address)
                assert isinstance(value, int | float | str)
                assert not isinstance(value, str) or (value.isprintable() and len(value) <= 80)
                assert not isinstance(value, int | float) or abs(value) < 1e15
            for look in (status, report):
                try:
                    look(payload)
                except Malformed as error:
                    targets.explained(error)

    return run


def seeds_seat() -> list[bytes]:
    answers = {"online": 1, "cpu.percent": 12.5, "headset.model": "Evolve2", "service.crm.latency": 12.0}
    born = b"status\n" + SPEAKER.status(State.ONLINE, Reason.START, 1, NOW)
    says = b"report\n" + SPEAKER.report(cast("Any", answers), 2, NOW)
    left = b"status\n" + SPEAKER.status(State.LEAVING, Reason.SHUTDOWN, 3, NOW)
    died = b"status\n" + SPEAKER.will()
    other = says.replace(b'"s1"', b'"s2"').replace(b'"m1"', b'"m2"')
    return [
        b"\x1e".join(story)
        for story in (
            (born, says, left), (born, died), (b"*" + born, b"*" + died, says), (says, other, says),
            (says, b"status\n"),
        )
    ]  # fmt: skip


# What a seat may tell: whatever its sensors gave, the host takes the report.


def build_answers() -> targets.Run:
    def run(data: bytes) -> None:
        try:
            given = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        if not isinstance(given, dict):
            return
        raw = {key: Missing.TIMEOUT if value is None else value for key, value in given.items()}
        raw |= {key: value.encode() for key, value in raw.items() if isinstance(value, str) and len(value) % 2}
        plain = told({key: value for key, value in raw.items() if not isinstance(value, list | dict)}, "salt")
        assert all(known(address) for address in plain)
        assert all(not isinstance(value, str) or len(value) <= LONGEST for value in plain.values())
        payload = dump({"session": "s1", "seq": 1, "time": stamp(NOW), "machine": "m", "answers": plain})
        if len(payload) <= LARGEST:
            assert report(payload).answers == orjson.loads(payload)["answers"]

    return run


def seeds_answers() -> list[bytes]:
    return [
        b'{"online":1,"cpu.percent":12.5,"headset.serial":"00A1B2C3","headset.model":"Evolve2 65","nic.up":true}',
        b'{"service.crm.answer":"refused","service.crm.latency":1e3,"softphone":null,"user":"li","boot.time":1.7e9}',
        '{"headset.vendor":"捷波朗\\u0000","headset.link":"connected","battery.percent":1e300,"audio.capture":0}'.encode(),
    ]


_SEATS: Final = ("edgeagent.seatpayloads", "edgeagent.seatinbox")
TARGETS: Final = (
    targets.Target("commands", build_commands, seeds_commands, ("edgeagent.commands", "edgeagent.requests"), 2048),
    targets.Target("topics", build_topics, seeds_topics, ("edgeagent.foreign", "edgeagent.messages"), 512),
    targets.Target("seat", build_seat, seeds_seat, _SEATS, 4096),
    targets.Target("seat-answers", build_answers, seeds_answers, ("edgeagent.seatanswers",)),
)
