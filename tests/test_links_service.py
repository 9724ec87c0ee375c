"""The service link against real servers on loopback: what answers, what refuses, what says nothing."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target
from edgeagent.links import service as module
from edgeagent.links.service import ServiceLink
from edgeagent.links.serviceprobes import MOST
from edgeagent.probe import Found, plan_of
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.resources import drivers

CATALOG = load([drivers()])
ALL = ("answer", "status", "latency", "certificate", "scheme")
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def linked(network: Path | None = None) -> AsyncIterator[ServiceLink]:
    link = ServiceLink(network) if network else ServiceLink()
    running = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        running.cancel()
        await asyncio.wait([running])


async def once(link: ServiceLink, url: str, within: float = 20.0, gets: tuple[str, ...] = ALL) -> Answers:
    answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
    link.ask(Target("x", parse(url), timeout=within), Plan(gets), answered.set_result)
    assert not answered.done(), "done was called from inside ask"
    return await asyncio.wait_for(answered, within + 20.0)


async def heard(url: str, within: float = 20.0, network: Path | None = None) -> Answers:
    async with linked(network) as link:
        return await once(link, url, within)


def run(story: Coroutine[Any, Any, Answers]) -> Answers:
    return asyncio.run(story)


@contextlib.asynccontextmanager
async def server(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    ours: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours.add(writer)
        with contextlib.suppress(OSError):
            await talk(reader, writer)

    serving = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield serving.sockets[0].getsockname()[1]
    finally:
        serving.close()
        for writer in ours:
            writer.transport.abort()
        await asyncio.sleep(0)


def page(response: bytes, *, stay: bool = False, asked: list[bytes] | None = None) -> Talk:
    """Make a server that gives one response, and stays connected after it if told so."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(request)
        writer.write(response)
        await writer.drain()
        if stay:
            await reader.read()
        writer.close()

    return talk


async def from_page(response: bytes, rest: str = "", within: float = 20.0, *, stay: bool = False) -> Answers:
    async with server(page(response, stay=stay)) as port:
        return await heard(f"service+http://127.0.0.1:{port}/{rest}", within)


def made(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, ""))
    return head.encode() + body


# TCP.


def test_a_port_that_takes_a_connection_answers() -> None:
    async def story() -> Answers:
        async with server(page(b"")) as port:
            return await heard(f"service+tcp://127.0.0.1:{port}")

    answers = run(story())
    assert (answers["answer"], answers["status"], answers["certificate"]) == ("ok", Missing.ABSENT, Missing.ABSENT)
    assert answers["scheme"] == b"tcp"
    assert isinstance(answers["latency"], float)
    assert 0 <= answers["latency"] < 20_000


def test_a_closed_port_is_an_answer_and_no_silence(free_port: Callable[[], int]) -> None:
    answers = run(heard(f"service+tcp://127.0.0.1:{free_port()}"))
    assert (answers["answer"], answers["latency"]) == ("refused", Missing.NULL)


def test_a_name_with_a_dead_address_beside_a_good_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> Answers:
        async with server(page(b"")) as port:
            loop = asyncio.get_running_loop()

            async def addresses(host: str, at: int, **_: object) -> list[Any]:
                return [(0, 0, 0, "", (each, at)) for each in ("127.0.0.99", "127.0.0.1")]

            monkeypatch.setattr(loop, "getaddrinfo", addresses, raising=False)
            async with linked() as link:
                found: asyncio.Future[Answers] = loop.create_future()
                link.ask(Target("x", parse(f"service+tcp://crm.example:{port}")), Plan(ALL), found.set_result)
                return await found

    assert run(story())["answer"] == "ok"


# A web page.


@pytest.mark.parametrize(
    ("response", "rest", "answer", "status"),
    [
        pytest.param(made("200 OK", b"hello"), "", "ok", 200, id="200"),
        pytest.param(made("302 Found", b"", "Location: /login"), "", "ok", 302, id="a redirection is not followed"),
        pytest.param(made("404 Not Found"), "", "wrong", 404, id="404"),
        pytest.param(made("503 Service Unavailable"), "", "wrong", 503, id="503"),
        pytest.param(made("401 Unauthorized"), "?status=401", "ok", 401, id="the code that is expected"),
        pytest.param(made("200 OK"), "?status=401", "wrong", 200, id="another code than expected"),
        pytest.param(made("200 OK", b"<p>CRM ready</p>"), "?text=CRM%20ready", "ok", 200, id="text"),
        pytest.param(made("200 OK", b"<p>database error</p>"), "?text=CRM%20ready", "wrong", 200, id="text missing"),
        pytest.param(made("200 OK", "系统正常".encode()), "?text=%E6%AD%A3%E5%B8%B8", "ok", 200, id="Chinese text"),
        pytest.param(made("200 OK", "系统正常".encode("gbk")), "?text=%E6%AD%A3%E5%B8%B8", "ok", 200, id="Chinese text in GBK"),
        pytest.param(made("200 OK", b"3\r\nCRM\r\n6\r\n ready\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "?text=CRM%20ready", "ok", 200, id="text over two chunks"),
        pytest.param(made("200 OK", b"zz\r\nCRM", "Transfer-Encoding: chunked"), "?text=CRM", "wrong", 200, id="chunks that are none"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", "", "wrong", Missing.NULL, id="no web server"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", "", "wrong", Missing.NULL, id="no status"),
        pytest.param(b"", "", "wrong", Missing.NULL, id="nothing, then closed"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n", "", "wrong", Missing.NULL, id="too many headers"),
    ],
)  # fmt: skip
def test_a_page_is_right_when_code_and_text_are(response: bytes, rest: str, answer: str, status: Raw) -> None:
    answers = run(from_page(response, rest))
    assert (answers["answer"], answers["status"]) == (answer, status)
    assert isinstance(answers["latency"], float)


@pytest.mark.parametrize(
    "response",
    [
        made("200 OK", b"CRM ready", "Content-Length: 9"),
        made("200 OK", b"9\r\nCRM ready\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    ],
    ids=["length", "chunks"],
)
def test_a_server_that_does_not_close_is_not_waited_for(response: bytes) -> None:
    answers = run(from_page(response, "?text=ready", 30.0, stay=True))
    assert answers["answer"] == "ok"
    assert isinstance(answers["latency"], float)
    assert answers["latency"] < 10_000


def test_no_more_is_read_than_the_first_part_of_a_page() -> None:
    early, late = b"ready" + b"x" * MOST * 4, b"x" * MOST * 4 + b"ready"
    assert run(from_page(made("200 OK", early), "?text=ready"))["answer"] == "ok"
    assert run(from_page(made("200 OK", late), "?text=ready"))["answer"] == "wrong"


def test_a_server_that_takes_the_question_and_says_nothing_is_silent() -> None:
    async def story() -> Answers:
        async with server(page(b"", stay=True)) as port:
            return await heard(f"service+http://127.0.0.1:{port}/", 0.3)

    assert run(story())["answer"] == "silent"


def test_what_is_asked_is_what_the_url_says() -> None:
    asked: list[bytes] = []

    async def story() -> Answers:
        async with server(page(made("200 OK"), asked=asked)) as port:
            return await heard(f"service+http://127.0.0.1:{port}/a%20b/health?query=deep%3D1%26x%3D2")

    run(story())
    lines = asked[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b/health?deep=1&x=2 HTTP/1.1"
    assert re.fullmatch(r"Host: 127\.0\.0\.1:\d+", lines[1])
    assert "Connection: close" in lines


# TLS.


def certificate(folder: Path, name: str, days: float) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate that signs itself, and a server that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=400))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    shown, secret = folder / "shown.pem", folder / "key.pem"
    shown.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, secret)
    return shown, context


@pytest.mark.parametrize(
    ("name", "days", "trusted", "answer", "left"),
    [
        pytest.param("localhost", 20.5, True, "ok", 20.5, id="trusted"),
        pytest.param("localhost", 20.5, False, "insecure", None, id="signed by nobody we trust"),
        pytest.param("localhost", -1, True, "insecure", None, id="expired"),
        pytest.param("crm.example", 20.5, True, "insecure", None, id="of another name"),
    ],
)
def test_a_certificate_is_looked_at(
    tmp_path: Path, name: str, days: float, trusted: bool, answer: str, left: float | None
) -> None:
    shown, context = certificate(tmp_path, name, days)

    async def story() -> Answers:
        async with server(page(made("200 OK")), context) as port:
            return await heard(f"service+https://localhost:{port}/" + (f"?ca={shown}" if trusted else ""))

    answers = run(story())
    assert answers["answer"] == answer
    assert answers["certificate"] == (Missing.NULL if left is None else pytest.approx(left, abs=0.2))


def test_a_port_without_tls_is_insecure() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(made("400 Bad Request"))
        await writer.drain()
        await reader.read()

    async def story() -> Answers:
        async with server(talk) as port:
            return await heard(f"service+https://127.0.0.1:{port}/")

    assert run(story())["answer"] == "insecure"


def test_a_file_of_trust_that_is_not_there_is_our_own_trouble(free_port: Callable[[], int]) -> None:
    answers = run(heard(f"service+https://127.0.0.1:{free_port()}/?ca=/nowhere/ca.pem"))
    assert set(answers.values()) == {Missing.ERROR}


# Names and SIP, over UDP.


class Phone(asyncio.DatagramProtocol):
    """Answers datagrams, each time with the next of its answers: None is no answer, the last one is repeated."""

    def __init__(self, *answers: Callable[[bytes], bytes] | None) -> None:
        self._answers = list(answers)
        self.asked: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.asked.append(data)
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer(data), address)


async def from_phone(phone: Phone, url: str, within: float = 20.0) -> Answers:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: phone, local_addr=("127.0.0.1", 0))
    try:
        return await heard(url.format(transport.get_extra_info("sockname")[1]), within)
    finally:
        transport.close()


def sip(status: str) -> Callable[[bytes], bytes]:
    def answer(asked: bytes) -> bytes:
        kept = [
            line for line in asked.decode().split("\r\n") if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))
        ]
        return "\r\n".join((f"SIP/2.0 {status}", *kept, "Content-Length: 0", "", "")).encode()

    return answer


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("200 OK", "ok"),
        ("405 Method Not Allowed", "ok"),
        ("486 Busy Here", "ok"),
        ("404 Not Found", "ok"),
        ("501 Not Implemented", "ok"),
        ("503 Service Unavailable", "wrong"),
        ("500 Server Internal Error", "wrong"),
    ],
)
def test_any_final_answer_shows_that_sip_lives(status: str, answer: str) -> None:
    answers = run(from_phone(Phone(sip(status)), "service+sip://2001@127.0.0.1:{}"))
    assert (answers["answer"], answers["status"]) == (answer, int(status[:3]))


def test_a_provisional_answer_is_waited_out_and_a_lost_question_asked_again() -> None:
    phone = Phone(None, sip("100 Trying"), sip("200 OK"))
    answers = run(from_phone(phone, "service+sip://127.0.0.1:{}"))
    assert (answers["answer"], answers["status"]) == ("ok", 200)
    assert len(phone.asked) == 3
    assert len(set(phone.asked)) == 1, "a retransmission is the same request (RFC 3261 §17.1.2)"


def test_the_question_is_a_whole_sip_request() -> None:
    phone = Phone(sip("200 OK"))
    run(from_phone(phone, "service+sip://2001@127.0.0.1:{}"))
    head, _, body = phone.asked[0].decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    names = dict(line.split(": ", 1) for line in lines)
    assert re.fullmatch(r"OPTIONS sip:2001@127\.0\.0\.1:\d+ SIP/2\.0", first)
    assert {"Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact"} <= set(names)
    assert (names["CSeq"], names["Content-Length"], body) == ("1 OPTIONS", "0", "")
    assert "branch=z9hG4bK" in names["Via"]
    assert ";tag=" in names["From"]


@pytest.mark.parametrize(
    "answer",
    [lambda asked: b"SIP/2.0 200 OK\r\nCall-ID: another\r\n\r\n", lambda asked: b"\xff" * 40, lambda asked: asked, lambda asked: b""],
    ids=["of another call", "no SIP", "an echo", "empty"],
)  # fmt: skip
def test_what_does_not_belong_to_the_question_is_no_answer(answer: Callable[[bytes], bytes]) -> None:
    assert run(from_phone(Phone(answer), "service+sip://127.0.0.1:{}", 0.3))["answer"] == "silent"


@pytest.mark.parametrize("scheme", ["service+sip://127.0.0.1:{}", "service+dns://127.0.0.1:{}?name=crm.example"])
def test_over_udp_too_a_closed_port_refuses_and_silence_is_silent(scheme: str, free_port: Callable[[], int]) -> None:
    assert run(heard(scheme.format(free_port())))["answer"] == "refused"
    assert run(from_phone(Phone(None), scheme, 0.3))["answer"] == "silent"


def dns(flags: int, answers: int, ident: int = 0) -> Callable[[bytes], bytes]:
    def answer(asked: bytes) -> bytes:
        found = struct.unpack_from(">H", asked)[0] ^ ident
        return struct.pack(">HHHHHH", found, flags, 1, answers, 0, 0) + asked[12:]

    return answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(dns(0x8180, 1), ("ok", 0), id="an address"),
        pytest.param(dns(0x8180, 0), ("wrong", 0), id="none"),
        pytest.param(dns(0x8183, 0), ("wrong", 3), id="NXDOMAIN"),
        pytest.param(dns(0x8182, 0), ("wrong", 2), id="SERVFAIL"),
        pytest.param(dns(0x8180, 1, ident=1), ("silent", Missing.NULL), id="to another question"),
        pytest.param(dns(0x0100, 1), ("silent", Missing.NULL), id="a question"),
        pytest.param(lambda asked: b"\0" * 11, ("silent", Missing.NULL), id="too short"),
    ],
)
def test_a_name_server_answers_with_an_address(answer: Callable[[bytes], bytes], expected: tuple[str, Raw]) -> None:
    answers = run(from_phone(Phone(answer), "service+dns://127.0.0.1:{}?name=crm.example.", 0.4))
    assert (answers["answer"], answers["status"]) == expected


def test_the_question_for_a_name_is_as_the_rfc_has_it() -> None:
    phone = Phone(dns(0x8180, 1))
    run(from_phone(phone, "service+dns://127.0.0.1:{}?name=crm.example."))
    assert phone.asked[0][2:] == bytes.fromhex("0100 0001 0000 0000 0000") + b"\x03crm\x07example\0\0\x01\0\x01"


# Whose trouble it is.


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "refused"),
        (TimeoutError(), "silent"),
        (OSError(errno.EHOSTUNREACH, "no route to host"), "silent"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "unresolved"),
        (UnicodeError("label too long"), "unresolved"),
        (ssl.SSLError(1, "wrong version"), "insecure"),
        (OSError(errno.ENETUNREACH, "network is unreachable"), Missing.LINK_DOWN),
        (OSError(errno.ENETDOWN, "network is down"), Missing.LINK_DOWN),
        (OSError(errno.EMFILE, "too many open files"), Missing.ERROR),
        (PermissionError(errno.EPERM, "not permitted"), Missing.ERROR),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__} {getattr(value, 'errno', '')}",
)
def test_an_error_says_whose_trouble_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, answer: str | Missing
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, "ask_tcp", fail)
    answers = run(heard("service+tcp://192.0.2.7:443", network=tmp_path))
    assert answers["answer"] == answer
    assert (set(answers.values()) == {answer}) is isinstance(answer, Missing)


@pytest.mark.parametrize(
    ("cards", "url", "answer"),
    [
        pytest.param({"lo": "1", "eth0": "0"}, "service+tcp://192.0.2.7:443", Missing.LINK_DOWN, id="the cable is out"),
        pytest.param({"lo": "1", "eth0": None}, "service+tcp://192.0.2.7:443", Missing.LINK_DOWN, id="the card is off"),
        pytest.param({"lo": "1", "eth0": "0", "eth1": "1"}, "service+tcp://192.0.2.7:443", "silent", id="one of two"),
        pytest.param({"lo": "1"}, "service+tcp://192.0.2.7:443", "silent", id="no card known"),
        pytest.param({"lo": "1", "eth0": "0"}, "service+tcp://127.0.0.1:443", "silent", id="on this host"),
    ],
)
def test_silence_is_ours_when_the_cable_is_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cards: dict[str, str | None], url: str, answer: str | Missing
) -> None:
    for name, carrier in cards.items():
        (tmp_path / name).mkdir()
        if carrier is not None:
            (tmp_path / name / "carrier").write_text(f"{carrier}\n", encoding="ascii")

    async def fail(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(module, "ask_tcp", fail)
    assert run(heard(url, network=tmp_path))["answer"] == answer


# The link.


def test_polls_under_way_end_as_link_down_when_it_is_cancelled() -> None:
    async def story() -> list[Answers]:
        found: list[Answers] = []
        came = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            came.set()
            await reader.read()

        async with server(talk) as port:
            async with linked() as link:
                target = Target("x", parse(f"service+http://127.0.0.1:{port}/"), timeout=60.0)
                link.ask(target, Plan(("answer",), ("walk",)), found.append)
                await came.wait()
            return found

    assert asyncio.run(story()) == [{"answer": Missing.LINK_DOWN, "walk": Missing.LINK_DOWN}]


def test_a_slow_service_costs_the_others_nothing(free_port: Callable[[], int]) -> None:
    async def story() -> tuple[bool, Answers]:
        async with server(page(b"", stay=True)) as port, linked() as link:
            slow: list[Answers] = []
            link.ask(Target("x", parse(f"service+http://127.0.0.1:{port}/"), timeout=60.0), Plan(ALL), slow.append)
            other = await once(link, f"service+tcp://127.0.0.1:{free_port()}")
            return not slow, other

    waiting, other = asyncio.run(story())
    assert waiting
    assert other["answer"] == "refused"


def test_a_bug_ends_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise KeyError("bug")

    async def story() -> None:
        monkeypatch.setattr(module, "ask_tcp", broken)
        link = ServiceLink()
        running = asyncio.create_task(link.run())
        await asyncio.sleep(0)
        link.ask(Target("x", parse("service+tcp://127.0.0.1:1")), Plan(ALL), lambda answers: pytest.fail("answered"))
        await asyncio.wait_for(running, 20.0)

    with pytest.raises(KeyError, match="bug"):
        asyncio.run(story())


@pytest.mark.parametrize(
    ("driver", "answer", "alarms"),
    [
        ("service/http", "ok", []),
        ("service/http", "refused", ["service.unreachable"]),
        ("service/http", "silent", ["service.unreachable"]),
        ("service/http", "unresolved", ["service.unreachable"]),
        ("service/http", "wrong", ["service.failing"]),
        ("service/http", "insecure", ["service.failing"]),
        ("service/dns", "wrong", ["service.failing"]),
        ("service/tcp", "refused", ["service.unreachable"]),
        ("service/sip", "silent", ["service.telephony-down"]),
        ("service/sip", "wrong", ["service.failing"]),
        ("service/acd", "refused", ["service.telephony-down"]),
        ("phone/sip", "silent", ["phone.unreachable"]),
        ("phone/sip", "wrong", []),
    ],
)
def test_what_is_heard_becomes_the_alarm_of_what_is_lost(driver: str, answer: str, alarms: list[str]) -> None:
    chosen = CATALOG.drivers[driver]
    answers = {**dict.fromkeys(plan_of(chosen).gets, Missing.NULL), "answer": answer}
    assert Found(chosen, {}, decode(chosen, answers, 0.0)).alarms == alarms
