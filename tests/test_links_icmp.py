"""The echo link against real kernels, over a wire between two namespaces, and hosts that answer as no kernel would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target, open_link
from edgeagent.links import icmp as module
from edgeagent.links.echo import LENGTH, Wire, checksum, open_wire
from edgeagent.links.icmp import IcmpLink
from edgeagent.readings import Answers, Missing
from edgeagent.resources import drivers
from tests.netns import SITE, Namespace, floor, needs_namespaces

DRIVERS: Final = load([drivers()]).drivers
ALL: Final = ("answer", "latency", "scheme", "status")
SEAT, OTHER, GONE, SEAT6 = "10.99.0.17", "10.99.0.18", "10.99.0.19", "fd99::17"
NONCE: Final = b"nonce-of"


def sample(family: int = socket.AF_INET, ident: int = 7, *, raw: bool = False) -> Wire:
    return Wire(cast("socket.socket", None), family, ident, raw)  # its bytes need no socket


@contextlib.asynccontextmanager
async def linked(network: Path | None = None) -> AsyncIterator[IcmpLink]:
    link = IcmpLink(network) if network else IcmpLink(Path("/nonexistent"))
    running = asyncio.create_task(link.run())
    await asyncio.sleep(0)
    try:
        yield link
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled(), running.exception()


def put(link: IcmpLink, host: str, within: float, gets: tuple[str, ...] = ALL) -> asyncio.Future[Answers]:
    answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
    url = f"icmp://[{host}]" if ":" in host else f"icmp://{host}"
    link.ask(Target("x", parse(url), timeout=within), Plan(gets), answered.set_result)
    assert not answered.done(), "done was called from inside ask"
    return answered


async def asked(*hosts: str, within: float = 20.0, network: Path | None = None) -> dict[str, object]:
    async with linked(network) as link:
        polls = {host: put(link, host, within) for host in hosts}
        return {host: (await asyncio.wait_for(poll, within + 20))["answer"] for host, poll in polls.items()}


# Bytes.


@pytest.mark.parametrize(("family", "reply"), [(socket.AF_INET, 0), (socket.AF_INET6, 129)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("raw", [False, True], ids=["datagram", "raw"])
def test_an_answer_bears_the_number_of_its_question(family: int, reply: int, raw: bool) -> None:
    wire = sample(family, raw=raw)
    question = wire.question(NONCE, 70_000)
    assert len(question) == LENGTH
    assert wire.number(bytes([reply]) + question[1:], NONCE) == 70_000
    assert wire.number(question, NONCE) is None, "a question is no answer"


def test_a_raw_question_has_a_checksum_that_comes_out_even() -> None:
    assert checksum(sample(raw=True).question(NONCE, 99)) == 0
    assert sample().question(NONCE, 99)[2:4] == b"\0\0", "the kernel fills it in"


def test_a_header_of_ip_before_it_does_not_matter() -> None:
    wire = sample(raw=True)
    answer = b"\0" + wire.question(NONCE, 5)[1:]
    assert wire.number(b"\x46" + bytes(23) + answer, NONCE) == 5


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data[:-1], id="too short"),
        pytest.param(lambda data: data + b"x", id="too long"),
        pytest.param(lambda data: b"\x03" + data[1:], id="unreachable"),
        pytest.param(lambda data: data[:1] + b"\1" + data[2:], id="code"),
        pytest.param(lambda data: data[:4] + b"\0\x08" + data[6:], id="of another process"),
        pytest.param(lambda data: data[:6] + b"\0\x09" + data[8:], id="another sequence"),
        pytest.param(lambda data: data[:8] + b"another!" + data[16:], id="without our secret"),
        pytest.param(lambda data: b"", id="nothing"),
    ],
)
def test_what_is_not_quite_ours_answers_nothing(spoil: Callable[[bytes], bytes]) -> None:
    wire = sample(raw=True)
    answer = b"\0" + wire.question(NONCE, 5)[1:]
    assert wire.number(answer, NONCE) == 5
    assert wire.number(spoil(answer), NONCE) is None


@given(st.binary(max_size=80), st.booleans())
def test_garbage_answers_nothing_and_raises_nothing(data: bytes, raw: bool) -> None:
    assert WIRES[raw].number(data, NONCE) is None


WIRES: Final = {raw: sample(raw=raw) for raw in (False, True)}


# Real kernels.


@pytest.fixture(scope="module")
def wired() -> Iterator[tuple[Namespace, Namespace]]:
    with floor(SEAT, OTHER, SEAT6, "10.99.0.2") as namespaces:
        yield namespaces


@needs_namespaces
def test_hosts_that_are_there_answer_and_the_one_that_is_not_keeps_silent(wired: tuple[Namespace, Namespace]) -> None:
    site, _ = wired
    hosts = (SEAT, OTHER, SEAT6, GONE, "127.0.0.1", "::1", SITE)
    expected: dict[str, object] = dict.fromkeys(hosts, "ok")
    expected[GONE] = "silent"
    assert site.tell(asked(*hosts, within=3.0)) == expected


@needs_namespaces
def test_an_answer_says_how_long_it_took_by_the_kernels_clock(wired: tuple[Namespace, Namespace]) -> None:
    async def story() -> Answers:
        async with linked() as link:
            poll = put(link, SEAT, 20.0)
            busy = asyncio.get_running_loop().time() + 0.2  # somebody holds the loop; the wire is no slower for it
            while asyncio.get_running_loop().time() < busy:
                pass
            return await poll

    answers = wired[0].tell(story())
    assert {id: raw for id, raw in answers.items() if id != "latency"} == {
        "answer": "ok", "scheme": b"icmp", "status": Missing.ABSENT,
    }  # fmt: skip
    assert isinstance(answers["latency"], float)
    assert 0 <= answers["latency"] < 150


@needs_namespaces
def test_a_seat_that_is_unplugged_falls_silent_and_answers_again(wired: tuple[Namespace, Namespace]) -> None:
    site, seats = wired
    assert site.tell(asked(OTHER, SEAT)) == {OTHER: "ok", SEAT: "ok"}
    seats.run(f"ip addr del {OTHER}/16 dev f0")
    try:
        assert site.tell(asked(OTHER, SEAT, within=3.0)) == {OTHER: "silent", SEAT: "ok"}
        assert site.tell(asked(OTHER, SEAT, within=3.0)) == {OTHER: "silent", SEAT: "ok"}, "the kernel gave it up"
    finally:
        seats.run(f"ip addr add {OTHER}/16 dev f0")
    assert site.tell(asked(OTHER)) == {OTHER: "ok"}


@needs_namespaces
def test_without_a_cable_of_our_own_nobody_is_said_to_be_silent(
    wired: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    site, seats = wired
    card = tmp_path / "eth0"
    card.mkdir()
    (card / "carrier").write_text("0\n")
    seats.run("ip link set f0 down")
    try:
        assert site.tell(asked(SEAT, "127.0.0.1", within=3.0, network=tmp_path)) == {
            SEAT: Missing.LINK_DOWN, "127.0.0.1": "ok",
        }  # fmt: skip
    finally:
        seats.run("ip link set f0 up", f"ip -6 addr replace {SEAT6}/64 dev f0 nodad")


@needs_namespaces
def test_where_no_route_leads_nobody_was_asked(wired: tuple[Namespace, Namespace]) -> None:
    assert wired[0].tell(asked("198.51.100.7", within=0.2)) == {"198.51.100.7": Missing.LINK_DOWN}


def test_a_name_that_nobody_knows_is_unresolved_and_says_nothing_of_the_machine() -> None:
    assert asyncio.run(asked("nosuch.invalid")) == {"nosuch.invalid": "unresolved"}
    readings = decode(DRIVERS["presence/icmp"], {"answer": "unresolved", "latency": Missing.NULL}, 0.0)
    assert (readings["echo"].value, readings["echo"].reason) == (None, "unresolved")


@needs_namespaces
def test_a_name_is_looked_up_again_when_its_address_is_old(
    wired: tuple[Namespace, Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"pc.example": GONE}

    async def story() -> list[object]:
        loop = asyncio.get_running_loop()

        async def look_up(host: str, port: object, **more: object) -> object:
            return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", (where[host], 0))]

        monkeypatch.setattr(loop, "getaddrinfo", look_up)
        said: list[object] = []
        async with linked() as link:
            said.append((await put(link, "pc.example", 0.3))["answer"])
            where["pc.example"] = SEAT
            said.append((await put(link, "pc.example", 0.3))["answer"])
            monkeypatch.setattr(module, "_FRESH", 0.0)
            await put(link, "pc.example", 0.3)
            said.append((await put(link, "pc.example", 0.3))["answer"])
        return said

    assert wired[0].tell(story()) == ["silent", "silent", "ok"]


@needs_namespaces
def test_five_hundred_hosts_are_asked_at_once_and_the_dead_cost_the_others_nothing(
    wired: tuple[Namespace, Namespace],
) -> None:
    dead = [f"10.99.7.{number}" for number in range(1, 251)] + [f"10.99.8.{number}" for number in range(1, 251)]

    async def story() -> tuple[set[object], set[object], bool]:
        async with linked() as link:
            lost = [put(link, host, 4.0) for host in dead]
            alive = [put(link, host, 4.0) for host in (SEAT, OTHER)]
            good: set[object] = {(await poll)["answer"] for poll in alive}
            early = not any(poll.done() for poll in lost)
            return good, {(await poll)["answer"] for poll in lost}, early

    assert wired[0].tell(story()) == ({"ok"}, {"silent"}, True)


@needs_namespaces
@pytest.mark.parametrize(
    ("groups", "user", "said"),
    [("0 2147483647", 65534, "ok"), ("1 0", 0, "ok"), ("1 0", 65534, Missing.DENIED)],
    ids=["nobody, by a datagram socket", "root, by a raw socket", "nobody, refused"],
)
def test_it_asks_as_the_host_allows(groups: str, user: int, said: object) -> None:
    with floor(SEAT, SEAT6) as (site, _):
        site.run(f'echo "{groups}" > /proc/sys/net/ipv4/ping_group_range')

        async def story() -> dict[str, object]:
            if user:
                # The thread's own capabilities and ids, which is what the kernel looks at (capabilities(7)).
                raw_syscall(119, user, user, user)  # setresgid
                raw_syscall(117, user, user, user)  # setresuid
            return await asked(SEAT, SEAT6, "127.0.0.1", within=4.0)

        assert site.tell(story()) == dict.fromkeys((SEAT, SEAT6, "127.0.0.1"), said)


def raw_syscall(number: int, *arguments: int) -> None:
    """Change the ids of this thread alone; the C library would change those of the whole process."""
    import ctypes

    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of system calls are those of x86-64")
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.syscall(number, *arguments) == 0, os.strerror(ctypes.get_errno())


def test_a_refusal_is_told_once_with_what_to_set_and_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def refuse(family: int, ident: int) -> Wire:
        tries.append(family)
        raise PermissionError(13, "Permission denied")

    async def story() -> list[object]:
        link = IcmpLink(Path("/nonexistent"), refuse)
        running = asyncio.create_task(link.run())
        await asyncio.sleep(0)
        said: list[object] = [(await put(link, "127.0.0.1", 0.1))["answer"]]
        monkeypatch.setattr(module, "_RETRY", 0.0)
        said.append((await put(link, "127.0.0.1", 0.1))["answer"])
        running.cancel()
        await asyncio.wait([running])
        return said

    assert asyncio.run(story()) == [Missing.DENIED, Missing.DENIED]
    assert len(tries) >= 4
    (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    for word in ("net.ipv4.ping_group_range", "60-edgeagent.conf", "AmbientCapabilities=CAP_NET_RAW"):
        assert word in line


def test_polls_under_way_end_as_link_down_when_the_link_ends() -> None:
    async def story() -> Answers:
        link = IcmpLink(Path("/nonexistent"), lambda family, ident: Wire(quiet(), family, ident, raw=False))
        running = asyncio.create_task(link.run())
        await asyncio.sleep(0)
        poll = put(link, "127.0.0.1", 30.0)
        running.cancel()
        await asyncio.wait([running])
        return await poll

    assert set(asyncio.run(story()).values()) == {Missing.LINK_DOWN}


def quiet() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def test_what_a_poll_raises_ends_the_link() -> None:
    async def story() -> None:
        link = IcmpLink(Path("/nonexistent"))
        running = asyncio.create_task(link.run())
        await asyncio.sleep(0)

        def fail(answers: Answers) -> None:
            raise LookupError("a bug")

        link.ask(Target("x", parse("icmp://198.51.100.7"), timeout=0.1), Plan(ALL), fail)
        await asyncio.wait_for(running, 5)

    with pytest.raises(LookupError, match="a bug"):
        asyncio.run(story())


# Hosts that answer as no kernel would.

STOP: Final = b"stop it!"
Replies = Callable[[bytes], list[tuple[str, bytes]]]


@contextlib.contextmanager
def odd(seats: Namespace, reply: Replies) -> Iterator[None]:
    """Answer echoes to the floor as `reply` says: from whom, and the bytes from ICMP on."""
    sockets: list[socket.socket] = []

    def listen() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    def serve() -> None:
        seats.enter()
        out = {host: listen() for host in (SEAT, OTHER)}
        for host, sock in out.items():
            sock.bind((host, 0))
        while True:
            try:
                data = sockets[0].recv(2048)[20:]
            except OSError:
                break
            if data[:1] == b"\x08":
                for host, answer in reply(data):
                    out[host].sendto(answer, (SITE, 0))
            elif data == STOP:
                break
        for sock in out.values():
            sock.close()

    seats.run("echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all")
    sockets.append(seats.call(listen))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        seats.call(stop)
        thread.join(10)
        assert not thread.is_alive()
        sockets[0].close()
        seats.run("echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all")


def stop() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.sendto(STOP, (SEAT, 0))


def proper(data: bytes, change: Callable[[bytes], bytes] = lambda data: data) -> bytes:
    """Return the answer to a question, changed, its checksum made right again."""
    body = change(b"\0" + data[1:2] + b"\0\0" + data[4:])
    if len(body) < 4 or len(body) % 2:
        return body
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


@needs_namespaces
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param(lambda data: [(SEAT, proper(data))], "ok", id="proper"),
        pytest.param(lambda data: [(SEAT, proper(data))] * 3, "ok", id="thrice"),
        pytest.param(lambda data: [(OTHER, proper(data))], "silent", id="from another host"),
        pytest.param(lambda data: [(OTHER, proper(data)), (SEAT, proper(data))], "ok", id="another host first"),
        pytest.param(lambda data: [(SEAT, proper(data, lambda d: d[:-8] + bytes(8)))], "silent", id="another number"),
        pytest.param(lambda data: [(SEAT, proper(data, lambda d: d[:8] + bytes(8) + d[16:]))], "silent", id="forged"),
        pytest.param(lambda data: [(SEAT, proper(data, lambda d: d[:12]))], "silent", id="cut short"),
        pytest.param(
            lambda data: [(SEAT, random.Random(7).randbytes(40)), (SEAT, bytes(8)), (SEAT, proper(data))],
            "ok",
            id="garbage first",
        ),
        pytest.param(lambda data: [(SEAT, proper(data, lambda d: b"\x03\x01" + d[2:]))], "silent", id="unreachable"),
    ],
)
@pytest.mark.parametrize("groups", ["0 2147483647", "1 0"], ids=["datagram", "raw"])
def test_only_a_proper_answer_counts(
    wired: tuple[Namespace, Namespace], reply: Replies, said: str, groups: str
) -> None:
    site, seats = wired
    site.run(f'echo "{groups}" > /proc/sys/net/ipv4/ping_group_range')
    try:
        with odd(seats, reply):
            assert site.tell(asked(SEAT, within=20.0 if said == "ok" else 0.5)) == {SEAT: said}
    finally:
        site.run('echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range')


@needs_namespaces
def test_a_late_answer_counts_for_no_later_poll(wired: tuple[Namespace, Namespace]) -> None:
    site, seats = wired
    kept: list[bytes] = []

    def late(data: bytes) -> list[tuple[str, bytes]]:
        """Answer the questions of the first poll when the second one asks."""
        kept.append(data)
        return [(SEAT, proper(old)) for old in kept[:2]] if len(kept) > 2 else []

    async def story() -> list[object]:
        async with linked() as link:
            return [(await put(link, SEAT, 0.4))["answer"] for _ in range(2)]

    with odd(seats, late):
        assert site.tell(story()) == ["silent", "silent"]
    assert len(kept) == 4, "each poll asks twice"


@needs_namespaces
def test_an_answer_to_the_first_question_counts_after_the_second(wired: tuple[Namespace, Namespace]) -> None:
    kept: list[bytes] = []

    def slow(data: bytes) -> list[tuple[str, bytes]]:
        kept.append(data)
        return [(SEAT, proper(kept[0]))] if len(kept) == 2 else []

    with odd(wired[1], slow):
        assert wired[0].tell(asked(SEAT, within=5.0)) == {SEAT: "ok"}


# The way from the URL to the reading.


@pytest.mark.parametrize(("answer", "echo"), [("ok", True), ("silent", False), ("unresolved", None)], ids=str)
def test_the_shipped_driver_says_whether_there_was_an_echo(answer: str, echo: bool | None) -> None:
    readings = decode(DRIVERS["presence/icmp"], {"answer": answer, "latency": Missing.NULL}, 0.0)
    assert readings["echo"].value is echo


@pytest.mark.parametrize(
    ("answer", "echo"),
    [("ok", True), ("refused", True), ("wrong", True), ("silent", False), ("unresolved", None)],
    ids=str,
)
def test_a_port_that_refuses_is_an_answer_of_the_machine(answer: str, echo: bool | None) -> None:
    readings = decode(DRIVERS["presence/tcp"], {"answer": answer, "latency": Missing.NULL}, 0.0)
    assert readings["echo"].value is echo


def test_all_echoes_share_one_link_that_is_found_by_the_url() -> None:
    one, two = parse("icmp://192.0.2.7"), parse("icmp://pc.example")
    assert one.medium == two.medium != parse("service+tcp://192.0.2.7:445").medium
    assert isinstance(open_link(one), IcmpLink)


def test_a_host_without_a_family_still_has_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_four(family: int, ident: int) -> Wire:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return Wire(quiet(), family, ident, raw=False)

    async def story() -> Answers:
        link = IcmpLink(Path("/nonexistent"), only_four)
        running = asyncio.create_task(link.run())
        await asyncio.sleep(0)
        answers = await put(link, "2001:db8::7", 0.1)
        running.cancel()
        await asyncio.wait([running])
        return answers

    assert asyncio.run(story())["answer"] is Missing.LINK_DOWN


@needs_namespaces
def test_the_socket_that_is_opened_is_the_least_that_will_do() -> None:
    with floor() as (site, _):
        assert site.call(lambda: kind_of(open_wire(socket.AF_INET, 1))) == socket.SOCK_DGRAM
        site.run('echo "1 0" > /proc/sys/net/ipv4/ping_group_range')
        assert site.call(lambda: kind_of(open_wire(socket.AF_INET6, 1))) == socket.SOCK_RAW


def kind_of(wire: Wire) -> int:
    with wire.sock as sock:
        return sock.type & 0xF
