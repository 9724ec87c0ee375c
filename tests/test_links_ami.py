"""The conversation with an Asterisk, first as bytes and times, then over sockets against a PBX that is none."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.endpoint import Endpoint, parse
from edgeagent.links import Plan, Target, open_link
from edgeagent.links import ami as module
from edgeagent.links.ami import AmiLink
from edgeagent.links.amisession import QUIET, REFRESH, Lost, Session
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.resources import drivers

DRIVER: Final = load([drivers()]).drivers["phone/ami"]
SECRET: Final = "correct horse"
BANNER: Final = b"Asterisk Call Manager/9.0.0\r\n"
READS: Final = {"challenge", "login", "pjsipshowendpoints", "pjsipshowcontacts", "ping"}
_T = TypeVar("_T")


def message(*lines: str) -> bytes:
    return "\r\n".join((*lines, "", "")).encode()


def contact(action: str, endpoint: str, status: str, uri: str = "") -> bytes:
    """Return what Asterisk 22 says of one contact."""
    return message(
        "Event: ContactList", f"ActionID: {action}", "ObjectType: contact", f"ObjectName: {endpoint};@ab12cd34",
        "ViaAddr: 192.0.2.8", "ViaPort: 57688", "QualifyTimeout: 3.000", "CallID: ", "RegServer: pbx",
        f"Endpoint: {endpoint}", f"Uri: {uri or f'sip:{endpoint}@192.0.2.8:57688'}", "UserAgent: Yealink SIP-T54W",
        "QualifyFrequency: 60", f"Status: {status}", "RoundtripUsec: 3706",
    )  # fmt: skip


def changed(endpoint: str, status: str, uri: str = "") -> bytes:
    return message(
        "Event: ContactStatus", "Privilege: system,all", f"URI: {uri or f'sip:{endpoint}@192.0.2.8:57688'}",
        f"ContactStatus: {status}", f"AOR: {endpoint}", f"EndpointName: {endpoint}", "RoundtripUsec: 56737",
    )  # fmt: skip


class Pbx:
    """An Asterisk: it knows these phones and says this of their contacts."""

    def __init__(self, contacts: Iterable[tuple[str, str]] = (), endpoints: Iterable[str] = ()) -> None:
        self.contacts = list(contacts)
        self.endpoints = sorted({*endpoints, *(name for name, _ in self.contacts)})
        self.asked: list[str] = []
        self.users = {"edge": SECRET}
        self.refuses: dict[str, str] = {}

    def answer(self, data: bytes) -> bytes:
        return b"".join(self._one(each) for each in data.split(b"\r\n\r\n") if each)

    def _one(self, data: bytes) -> bytes:
        fields = dict(line.split(": ", 1) for line in data.decode().split("\r\n"))
        action, id = fields["Action"].lower(), fields["ActionID"]
        self.asked.append(action)
        if action in self.refuses:
            return message("Response: Error", f"ActionID: {id}", f"Message: {self.refuses[action]}")
        if action == "challenge":
            return message("Response: Success", f"ActionID: {id}", "Challenge: 840415273")
        if action == "login":
            key = hashlib.md5(f"840415273{self.users.get(fields['Username'], '')}".encode()).hexdigest()
            if fields["Key"] != key:
                return message("Response: Error", f"ActionID: {id}", "Message: Authentication failed")
            accepted = message("Response: Success", f"ActionID: {id}", "Message: Authentication accepted")
            return accepted + message("Event: FullyBooted", "Privilege: system,all", "Status: Fully Booted")
        if action == "ping":
            return message("Response: Success", f"ActionID: {id}", "Ping: Pong", "Timestamp: 1700000000.1")
        rows = self._rows(action, id)
        if not rows:
            return message("Response: Error", f"ActionID: {id}", "Message: No Contacts found")
        start = message("Response: Success", f"ActionID: {id}", "EventList: start", "Message: A listing follows")
        word = "Endpoint" if action == "pjsipshowendpoints" else "Contact"
        end = message(f"Event: {word}ListComplete", f"ActionID: {id}", "EventList: Complete", f"ListItems: {len(rows)}")
        return start + b"".join(rows) + end

    def _rows(self, action: str, id: str) -> list[bytes]:
        if action == "pjsipshowcontacts":
            return [contact(id, *each) for each in self.contacts]
        return [
            message("Event: EndpointList", f"ActionID: {id}", "ObjectType: endpoint", f"ObjectName: {name}",
                    "DeviceState: Not in use", "ActiveChannels: ")
            for name in self.endpoints
        ]  # fmt: skip


class Talk:
    """A session with a PBX, told as times and bytes; what it says is cut into pieces of `piece` bytes."""

    def __init__(self, pbx: Pbx, piece: int = 65_536, user: str = "edge") -> None:
        self.pbx, self.piece = pbx, piece
        self.session = Session(user, SECRET, 0.0)

    def hear(self, data: bytes, now: float = 0.0) -> None:
        """Say something to the session, and all that follows from it."""
        while data:
            said = b""
            for start in range(0, len(data), self.piece):
                said += self.session.receive(data[start : start + self.piece], now)
            data = self.pbx.answer(said)

    def begin(self) -> Talk:
        self.hear(BANNER)
        assert self.session.ready
        return self

    def at(self, now: float) -> Talk:
        self.hear(self.pbx.answer(self.session.due(now)), now)
        return self

    def phone(self, name: str) -> tuple[Raw, Raw]:
        known = self.session.phone(name)
        return known["registered"], known["reachable"]


PHONES: Final = [("1001", "Reachable"), ("1002", "Unreachable"), ("1003", "NonQualified"), ("1004", "Unknown")]
"""Phones and what Asterisk says of their contacts."""
SAID: Final = {
    "1001": (1, 1), "1002": (1, 0), "1003": (1, Missing.NULL), "1004": (1, Missing.NULL), "1005": (0, Missing.NULL),
    "9999": (Missing.ABSENT, Missing.ABSENT),
}  # fmt: skip


@pytest.mark.parametrize("piece", [1, 2, 7, 64, 1000, 65_536])
def test_phones_are_known_however_the_bytes_are_cut(piece: int) -> None:
    talk = Talk(Pbx(PHONES, ["1005"]), piece).begin()
    assert {name: talk.phone(name) for name in SAID} == SAID


def test_nothing_is_ever_asked_for_but_reads() -> None:
    talk = Talk(Pbx(PHONES)).begin()
    for now in range(0, 300, 5):
        talk.at(now)
    assert set(talk.pbx.asked) == READS


def test_a_phone_with_two_contacts_is_reachable_while_one_is() -> None:
    pbx = Pbx()
    talk = Talk(pbx)
    pbx.contacts = [("1001", "Unreachable", "sip:1001@192.0.2.8"), ("1001", "Reachable", "sip:1001@192.0.2.9")]  # type: ignore[list-item]
    assert talk.begin().phone("1001") == (1, 1)
    talk.hear(changed("1001", "Unreachable", "sip:1001@192.0.2.9"))
    assert talk.phone("1001") == (1, 0)
    talk.hear(changed("1001", "Removed", "sip:1001@192.0.2.8"))
    talk.hear(changed("1001", "Removed", "sip:1001@192.0.2.9"))
    assert talk.phone("1001") == (0, Missing.NULL)


@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        ("Reachable", "Unreachable", (1, 0)),
        ("Unreachable", "Reachable", (1, 1)),
        ("Reachable", "Removed", (0, Missing.NULL)),
        ("Reachable", "Updated", (1, 1)),
        ("Unreachable", "Updated", (1, 0)),
        ("Reachable", "NonQualified", (1, Missing.NULL)),
        ("Reachable", "a word of tomorrow", (1, Missing.NULL)),
    ],
)
def test_what_changes_is_told_at_once(before: str, event: str, after: tuple[Raw, Raw]) -> None:
    talk = Talk(Pbx([("1001", before)])).begin()
    talk.hear(changed("1001", event))
    assert talk.phone("1001") == after


def test_a_phone_that_registers_is_known_before_the_next_list() -> None:
    talk = Talk(Pbx([], ["1001"])).begin()
    assert talk.phone("1001") == (0, Missing.NULL)
    talk.hear(changed("1001", "Reachable"))
    assert talk.phone("1001") == (1, 1)


def test_without_events_the_next_list_tells() -> None:
    talk = Talk(Pbx(PHONES)).begin()
    talk.pbx.contacts = [("1001", "Unreachable")]
    assert talk.at(REFRESH - 1).phone("1001") == (1, 1)
    assert talk.at(REFRESH).phone("1001") == (1, 0)
    assert talk.phone("1002") == (0, Missing.NULL)


def test_a_change_while_a_list_comes_is_not_lost() -> None:
    talk = Talk(Pbx([("1001", "Reachable")])).begin()
    endpoints = talk.pbx.answer(talk.session.due(REFRESH))
    contacts = talk.pbx.answer(talk.session.receive(endpoints, REFRESH))
    passed, end = contacts[: contacts.index(b"Event: ContactListComplete")], contacts[contacts.rindex(b"Event") :]
    talk.session.receive(passed + changed("1001", "Unreachable"), REFRESH)
    assert talk.phone("1001") == (1, 0)
    talk.session.receive(end, REFRESH)
    assert talk.phone("1001") == (1, 0)


def test_a_list_counts_when_it_is_whole() -> None:
    talk = Talk(Pbx(PHONES)).begin()
    talk.pbx.contacts = []
    endpoints = talk.pbx.answer(talk.session.due(REFRESH))
    talk.session.receive(endpoints, REFRESH)
    assert talk.phone("1001") == (1, 1), "its contacts are still to come"


@pytest.mark.parametrize("message", ["No endpoints found", "Permission denied", "Invalid/unknown command"])
def test_without_a_list_of_endpoints_no_phone_is_called_unknown(message: str) -> None:
    pbx = Pbx(PHONES)
    pbx.refuses["pjsipshowendpoints"] = message
    assert Talk(pbx).begin().phone("9999") == (0, Missing.NULL)


@pytest.mark.parametrize(
    ("action", "said", "missing", "why"),
    [
        ("challenge", "Invalid/unknown command", Missing.DENIED, "it gives no challenge: Invalid/unknown command"),
        ("login", "Authentication failed", Missing.DENIED, "it does not let edge in: Authentication failed"),
        ("pjsipshowcontacts", "Permission denied", Missing.DENIED, "it does not list contacts for edge: Perm"),
    ],
)  # fmt: skip
def test_who_is_not_let_in_is_told_why(action: str, said: str, missing: Missing, why: str) -> None:
    pbx = Pbx(PHONES)
    pbx.refuses[action] = said
    with pytest.raises(Lost, match=re.escape(why)) as caught:
        Talk(pbx).begin()
    assert caught.value.missing is missing
    assert SECRET not in str(caught.value)


def test_the_secret_itself_never_crosses_the_wire() -> None:
    session = Session("edge", SECRET, 0.0)
    pbx = Pbx(PHONES)
    said, heard = b"", BANNER
    while heard:
        answer = session.receive(heard, 0.0)
        said += answer
        heard = pbx.answer(answer)
    assert session.ready
    assert SECRET.encode() not in said


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param(bytes(300), id="zeros"),
        pytest.param(BANNER + b"x" * 70_000, id="a message without an end"),
        pytest.param(b"Asterisk Call Manager/" + b"9" * 300, id="a line without an end"),
    ],
)
def test_what_no_asterisk_says_ends_the_session(data: bytes) -> None:
    with pytest.raises(Lost) as caught:
        Session("edge", SECRET, 0.0).receive(data, 0.0)
    assert caught.value.missing is Missing.MALFORMED


@given(st.binary(max_size=400))
def test_garbage_in_between_changes_nothing_that_is_known(data: bytes) -> None:
    talk = Talk(Pbx(PHONES)).begin()
    with contextlib.suppress(Lost):
        talk.session.receive(data + b"\r\n\r\n", 1.0)
    assert talk.phone("1001") == (1, 1)


def test_an_answer_to_somebody_elses_question_is_not_ours() -> None:
    talk = Talk(Pbx(PHONES)).begin()
    talk.session.due(REFRESH)
    talk.session.receive(message("Event: ContactListComplete", "ActionID: 99", "EventList: Complete"), REFRESH)
    talk.session.receive(message("Response: Error", "ActionID: 99", "Message: Permission denied"), REFRESH)
    assert talk.phone("1001") == (1, 1)


def test_a_quiet_pbx_is_pinged_and_given_up_when_it_does_not_answer() -> None:
    talk = Talk(Pbx(PHONES)).begin()
    assert talk.session.due(QUIET - 1) == b""
    assert b"Action: Ping\r\n" in talk.session.due(QUIET)
    assert talk.session.due(2 * QUIET - 1) == b""
    with pytest.raises(Lost, match="it does not answer") as caught:
        talk.session.due(2 * QUIET)
    assert caught.value.missing is Missing.TIMEOUT


def test_a_pbx_that_takes_the_connection_and_says_nothing_is_given_up() -> None:
    session = Session("edge", SECRET, 100.0)
    assert session.due(100.0 + QUIET - 1) == b""
    with pytest.raises(Lost, match="it does not answer"):
        session.due(100.0 + QUIET)


def test_thousands_of_contacts_come_in_one_list() -> None:
    phones = [(str(number), "Reachable" if number % 7 else "Unreachable") for number in range(5_000)]
    talk = Talk(Pbx(phones)).begin()
    assert (talk.phone("4999"), talk.phone("4998"), talk.phone("5000")) == ((1, 1), (1, 0), (Missing.ABSENT,) * 2)


# Over sockets.


@contextlib.asynccontextmanager
async def served(
    pbx: Pbx, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
) -> AsyncIterator[tuple[int, set[asyncio.StreamWriter]]]:
    """Serve a PBX on a port of its own, and give the connections that it has."""
    ours: set[asyncio.StreamWriter] = set()

    async def usual(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BANNER)
        while data := await reader.read(65_536):
            writer.write(pbx.answer(data))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours.add(writer)
        with contextlib.suppress(OSError):
            await (talk or usual)(reader, writer)
        ours.discard(writer)
        writer.transport.abort()

    serving = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield serving.sockets[0].getsockname()[1], ours
    finally:
        serving.close()
        for writer in list(ours):
            writer.transport.abort()
        await asyncio.sleep(0)


def phone(port: int, endpoint: str = "1001") -> Endpoint:
    return parse(f"ami://edge@127.0.0.1:{port}?endpoint={endpoint}")


@contextlib.asynccontextmanager
async def linked(port: int) -> AsyncIterator[AmiLink]:
    link = AmiLink(phone(port))
    running = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled(), running.exception()


async def once(link: AmiLink, port: int, endpoint: str = "1001", within: float = 20.0) -> Answers:
    answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
    target = Target(endpoint, phone(port, endpoint), timeout=within)
    link.ask(target, Plan(("registered", "reachable", "calls")), answered.set_result)
    assert not answered.done(), "done was called from inside ask"
    return await asyncio.wait_for(answered, within + 20)


async def until(link: AmiLink, port: int, wanted: Raw) -> Answers:
    """Ask until the phone is said to be so."""
    async with asyncio.timeout(30):
        while True:
            answers = await once(link, port)
            if answers["registered"] == wanted:
                return answers
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAGENT_AMI", SECRET)
    monkeypatch.setattr(module, "_FIRST", 0.01)
    monkeypatch.setattr(module, "_TICK", 0.02)


def run(story: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(story)


def test_one_session_answers_for_all_phones() -> None:
    async def story() -> tuple[list[Answers], int]:
        async with served(Pbx(PHONES, ["1005"])) as (port, ours), linked(port) as link:
            names = ("1001", "1002", "1005", "9999")
            return [await once(link, port, name) for name in names], len(ours)

    answers, sessions = run(story())
    assert [(each["registered"], each["reachable"]) for each in answers] == [
        (1, 1), (1, 0), (0, Missing.NULL), (Missing.ABSENT, Missing.ABSENT),
    ]  # fmt: skip
    assert all(each["calls"] is Missing.ABSENT for each in answers)
    assert sessions == 1


def test_a_lost_session_says_so_of_every_phone_until_the_next_one() -> None:
    async def story() -> Answers:
        pbx, away = Pbx(PHONES), asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if away.is_set():
                return
            writer.write(BANNER)
            while data := await reader.read(65_536):
                writer.write(pbx.answer(data))

        async with served(pbx, talk) as (port, ours), linked(port) as link:
            assert (await once(link, port))["registered"] == 1
            away.set()
            for writer in list(ours):
                writer.transport.abort()
            lost = await until(link, port, Missing.LINK_DOWN)
            away.clear()
            assert (await until(link, port, 1))["reachable"] == 1
            return lost

    assert set(run(story()).values()) == {Missing.LINK_DOWN}


def test_a_wrong_login_is_told_once_and_not_tried_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> tuple[Answers, int]:
        pbx = Pbx(PHONES)
        pbx.users["edge"] = "another secret"
        async with served(pbx) as (port, _), linked(port) as link:
            first = await once(link, port)
            await asyncio.sleep(0.2)
            assert await once(link, port) == first
            return first, pbx.asked.count("login")

    answers, logins = run(story())
    assert set(answers.values()) == {Missing.DENIED}
    assert logins == 1, "Asterisks ban who tries in a row"
    (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "it does not let edge in: Authentication failed" in line
    assert SECRET not in line


def test_where_nobody_listens_the_link_is_down(free_port: Callable[[], int]) -> None:
    async def story() -> Answers:
        port = free_port()
        async with linked(port) as link:
            return await once(link, port)

    assert set(run(story()).values()) == {Missing.LINK_DOWN}


def test_a_poll_waits_for_the_first_list_no_longer_than_its_deadline() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def story() -> Answers:
        async with served(Pbx(), mute) as (port, _), linked(port) as link:
            return await once(link, port, within=0.1)

    assert set(run(story()).values()) == {Missing.TIMEOUT}


def test_another_protocol_on_the_port_is_garbage() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async def story() -> Answers:
        async with served(Pbx(), web) as (port, _), linked(port) as link:
            return await once(link, port)

    assert set(run(story()).values()) == {Missing.MALFORMED}


def test_polls_that_wait_end_as_link_down_when_the_link_ends() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def story() -> Answers:
        async with served(Pbx(), mute) as (port, _):
            async with linked(port) as link:
                poll = asyncio.create_task(once(link, port, within=30.0))
                await asyncio.sleep(0.02)
            return await poll

    assert set(run(story()).values()) == {Missing.LINK_DOWN}


# The way from the URL to the reading.


def test_the_phones_of_a_pbx_share_its_link() -> None:
    one, two = phone(5038, "1001"), phone(5038, "1002")
    assert one.medium == two.medium != phone(5039, "1001").medium
    assert isinstance(open_link(one), AmiLink)


def test_the_shipped_driver_reads_a_phone_and_does_not_know_a_stranger() -> None:
    readings = decode(DRIVER, {"registered": 1, "reachable": 0}, 0.0)
    assert {id: reading.value for id, reading in readings.items()} == {"registered": True, "reachable": False}
    readings = decode(DRIVER, {"registered": 0, "reachable": Missing.NULL}, 0.0)
    assert (readings["registered"].value, readings["reachable"].reason) == (False, "null")
