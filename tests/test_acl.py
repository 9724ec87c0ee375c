"""What clients get at the broker configuration that ships, when they try what they must not: docs/security.md.

The page is the expectation: each row of it is tried as it stands there, by each user, and so is each line below it.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.broker import free_port, needs_mosquitto, until
from tests.test_mosquitto import Broker, certify, shipped

pytestmark = [needs_mosquitto, pytest.mark.slow]

PAGE: Final = (Path(__file__).parent.parent / "docs" / "security.md").read_text(encoding="utf-8")
HQ: Final = "floor/v1/hq/"
AGENT: Final = "edge-hq-1"
STATUS: Final = f"{HQ}live/agent/{AGENT}/status"
USERS: Final = ("stranger", "a017", "sms-gw", "dashboard", "shift-desk", "drill-desk", AGENT)
PLANTED: Final = {
    AGENT: (
        "live/device/ups-a/state", "live/alarms", "live/event/alarm/critical", "drill/event/alarm/critical",
        "drill/alarms", "live/res/ack",
    ),
    "a017": ("seat/a017/report",),
    "shift-desk": ("live/req/ack",),
}  # fmt: skip
"""What its rightful writer says while somebody listens."""
TOO_MUCH: Final = 80_000
"""B, of a payload."""


class Client:
    """A client with the certificate of `user`; `by` and `password` are what it says besides."""

    def __init__(
        self, broker: Broker, user: str, id: str = "", *, folder: str = "", by: str = "", password: str = "",
        will: str = "", modern: bool = True, tls: bool = True, lasting: bool = False,
    ) -> None:  # fmt: skip
        own = broker.folder / folder / user
        version = paho.MQTTv5 if modern else paho.MQTTv311
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, id or f"test-{user}", protocol=version, clean_session=None if modern else True,
            reconnect_on_failure=False,
        )  # fmt: skip
        if tls:
            context = ssl.create_default_context(cafile=str(broker.folder / "ca.crt"))
            if user:
                context.load_cert_chain(f"{own}.crt", f"{own}.key")
            self._client.tls_set_context(context)
        if by:
            self._client.username_pw_set(by, password)
        if will:
            self._client.will_set(will, b'{"state": "offline"}', 1, retain=True)
        self.heard: list[str] = []
        self.ended: str | None = None
        self._acks: dict[int | None, int] = {}
        self._turn = threading.Condition()
        self._client.on_connect = lambda _c, _u, _f, code, _p: self._met(failed=code.is_failure)
        self._client.on_disconnect = lambda _c, _u, _f, code, _p: self._over(str(code))
        self._client.on_publish = lambda _c, _u, mid, code, _p: self._acked(mid, code.value)
        self._client.on_subscribe = lambda _c, _u, mid, _codes, _p: self._acked(mid, 0)
        self._client.on_message = lambda _c, _u, message: self.heard.append(message.topic)
        more: dict[str, Any] = {}
        if modern:
            session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            session.SessionExpiryInterval = 60 if lasting else 0
            more = {"clean_start": not lasting, "properties": session}
        try:
            self._client.connect("localhost", broker.port, 60, **more)
        except OSError as error:
            self._over(str(error))
            return
        if isinstance(wire := self._client.socket(), socket.socket):  # none where the broker has hung up already
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.loop_start()

    def _met(self, *, failed: bool) -> None:
        if failed:
            self._over("refused")
        self._acked(None, 0)

    def _over(self, why: str) -> None:
        with self._turn:
            self.ended = why
            self._turn.notify_all()

    def _acked(self, mid: int | None, code: int) -> None:
        with self._turn:
            self._acks[mid] = code
            self._turn.notify_all()

    def _wait(self, mid: int | None) -> int | None:
        with self._turn:
            assert self._turn.wait_for(lambda: mid in self._acks or self.ended is not None, 60)
            return self._acks.pop(mid, None)

    def __enter__(self) -> Self:
        self._wait(None)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def break_off(self) -> None:
        """End without a word, so that the will is due."""
        self._client._sock_close()

    def write(self, topic: str, payload: bytes = b"{}", *, retain: bool = False) -> bool | None:
        """Publish and tell whether the broker took it; None when it ended the connection over it."""
        mid = self._client.publish(topic, payload, 1, retain).mid
        code = self._wait(mid)
        return code if code is None else code != 135  # not authorized

    def listen(self, wanted: str) -> None:
        """Subscribe to one filter more."""
        self._wait(self._client.subscribe(wanted, 1)[1])

    def settle(self) -> list[str]:
        """Wait for what the broker had for us before; return what was heard since the last time."""
        self.write("nobody/may/write/here")
        heard, self.heard = self.heard, []
        return heard


class Floor:
    """The broker with a client of each user; what they try, and what came of it as the page says it."""

    def __init__(self, broker: Broker, stack: ExitStack) -> None:
        self.broker = broker
        self.users = {user: stack.enter_context(Client(broker, user)) for user in USERS}
        self.agent = self.users[AGENT]
        self.agent.listen(f"{HQ}#")

    def tried(self, what: str, topic: str, user: str) -> str:
        """Try one thing as one user; return its cell."""
        if what == "read":
            return self._read(topic, user)
        self.agent.write(topic, b'{"true": true}', retain=True)
        self.agent.settle()
        taken = self.users[user].write(topic, b"" if what == "delete" else b'{"true": false}', retain=True)
        heard = topic in self.agent.settle()
        assert heard is taken or not topic.startswith(HQ), f"{user}, {topic}: the broker said {taken}"
        return "yes" if taken else "no"

    def _read(self, wanted: str, user: str) -> str:
        with Client(self.broker, user, f"reader-{user}") as reader:
            reader.listen(wanted)
            for writer, topics in PLANTED.items():
                for topic in topics:
                    assert self.users[writer].write(f"{HQ}{topic}")
            heard = {kind(topic) for topic in reader.settle()}
        if not heard or wanted.startswith((HQ, "$SYS")):
            return "yes" if heard else "no"
        missed = {kind(f"{HQ}{topic}") for topics in PLANTED.values() for topic in topics} - heard
        return ", ".join(sorted(heard)) if len(missed) > 1 else f"all but {missed.pop()}" if missed else "all"


def kind(topic: str) -> str:
    """Say what a topic holds, as the page does."""
    words = {"/live/event/": "events", "/req/": "commands", "/res/": "answers", "/seat/": "seats", "/drill/": "drill"}
    return next((word for part, word in words.items() if part in topic), "live")


def rows() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Give the rows of the page's table: what is tried, the topic, and each user's cell."""
    head = f"| tried | {' | '.join(f'`{user}`' for user in USERS)} |"
    assert head in PAGE, "the table's head names the users"
    for line in PAGE[PAGE.index(head) :].splitlines()[2:]:
        found = re.match(r"\| (read|write|delete) `([^`]+)` \| (.+) \|$", line)
        if found is None:
            return
        topic = found[2] if re.match(r"floor/|homeassistant/|[$#]", found[2]) else f"{HQ}{found[2]}"
        yield found[1], topic, tuple(found[3].split(" | "))


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    folder = tmp_path_factory.mktemp("acl")
    with shipped(folder, free_port(), *USERS, "+") as broker, ExitStack() as stack:
        (folder / "foreign").mkdir()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        certify(folder / "foreign", AGENT, (name, certify(folder / "foreign", "ca")))
        yield Floor(broker, stack)


@pytest.mark.parametrize(("what", "topic", "cells"), [pytest.param(*row, id=" ".join(row[:2])) for row in rows()])
def test_each_user_gets_what_the_page_says(floor: Floor, what: str, topic: str, cells: tuple[str, ...]) -> None:
    assert tuple(floor.tried(what, topic, user) for user in USERS) == cells


# Lies that no topic stands for.


def turned_away(client: Callable[[], Client]) -> str:
    with client() as liar:
        return "let in" if liar.ended is None else "turned away"


def writes(client: Callable[[], Client], topic: str, floor: Floor, payload: bytes = b'{"true": false}') -> str:
    """Say whether a write came through, by who hears it and not by what the broker says."""
    floor.agent.settle()
    with client() as liar:
        taken = liar.write(topic, payload)
    came = topic in floor.agent.settle()
    return (
        "came through"
        if came
        else {True: "said to be taken, heard by nobody", False: "refused", None: "cut off"}[taken]
    )


def wills(floor: Floor, user: str, topic: str) -> str:
    floor.agent.settle()
    with Client(floor.broker, user, f"dying-{user}", will=topic) as dying:
        dying.break_off()
        if topic == f"{HQ}seat/{user}/status":
            until(lambda: topic in floor.agent.heard)
    # The broker does what a connection's end asks for before it takes the next one.
    with Client(floor.broker, user, f"dying-{user}") as again:
        again.settle()
    return "came through" if topic in floor.agent.settle() else "not sent"


def takes_over(floor: Floor, user: str) -> str:
    """Come with the client id of an agent whose session is kept, and say what that gives."""
    topic = f"{HQ}live/req/ack"
    with Client(floor.broker, AGENT, "edge-hq-edge-hq-1", lasting=True) as victim:
        victim.listen(topic)
        with Client(floor.broker, user, "edge-hq-edge-hq-1", lasting=True) as thief:
            until(lambda: victim.ended is not None)
            assert floor.users["shift-desk"].write(topic)
            heard, wrote = thief.settle(), thief.write(STATUS)
    return f"throws it off; {'hears' if heard else 'hears nothing'}, {'writes' if wrote else 'writes nothing'}"


LIES: Final[dict[str, Callable[[Floor], str]]] = {
    "plain MQTT, no TLS": lambda floor: turned_away(partial(Client, floor.broker, "", tls=False)),
    "TLS without a certificate": lambda floor: turned_away(partial(Client, floor.broker, "")),
    "TLS, a name and a password, no certificate": lambda floor: turned_away(
        partial(Client, floor.broker, "", by=AGENT, password="guessed")
    ),
    "the agent's name in a certificate of another CA": lambda floor: turned_away(
        partial(Client, floor.broker, AGENT, folder="foreign")
    ),
    "`stranger` writes the agent's status, with the agent's user name": lambda floor: writes(
        partial(Client, floor.broker, "stranger", by=AGENT, password="guessed"), STATUS, floor
    ),
    "`stranger` writes the agent's status with MQTT 3.1.1": lambda floor: writes(
        partial(Client, floor.broker, "stranger", modern=False), STATUS, floor
    ),
    "a certificate named `+` writes as seat `a018`": lambda floor: writes(
        partial(Client, floor.broker, "+"), f"{HQ}seat/a018/status", floor
    ),
    "a seat's report of 80 kB": lambda floor: writes(
        partial(Client, floor.broker, "a017", "large"), f"{HQ}seat/a017/report", floor, bytes(TOO_MUCH)
    ),
    "a seat's will on its own status": lambda floor: wills(floor, "a017", f"{HQ}seat/a017/status"),
    "a seat's will on the agent's status": lambda floor: wills(floor, "a017", STATUS),
    "`stranger` with the client id of the agent": lambda floor: takes_over(floor, "stranger"),
}


def told() -> dict[str, str]:
    """Give the lines of the page's second table."""
    begin = PAGE.index("| lie | got |")
    lines = PAGE[begin:].split("\n\n", 1)[0].splitlines()[2:]
    return {line[2:-2].split(" | ")[0]: line[2:-2].split(" | ")[1] for line in lines}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_gets_what_the_page_says(floor: Floor, lie: str) -> None:
    assert told()[lie] == LIES[lie](floor)


def test_who_may_be_the_agent_takes_over_what_its_session_hears(floor: Floor) -> None:
    assert takes_over(floor, AGENT) == "throws it off; hears, writes"


def test_the_page_tells_of_no_other() -> None:
    assert told().keys() == LIES.keys()
    assert len(list(rows())) > 20
