"""The SNMP link against its own simulator, the snmpd of the system, and devices that lie."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pyasn1.type import univ
from pysnmp.proto.api import v2c

from edgeagent.endpoint import AUTH, ENGINES, PRIV, Endpoint
from edgeagent.items import Quirks
from edgeagent.links import Plan, Target, snmp
from edgeagent.links.snmp import SnmpLink
from edgeagent.readings import Answers, Missing, silence
from edgeagent.simulators.snmp import Image, SnmpServer, User
from tests.broker import free_port

T = TypeVar("T")

UPS = "1.3.6.1.2.1.33.1"
TABLE = f"{UPS}.6.2.1.2"
SECRETS = {"auth": "one two three", "priv": "four five six"}
BOTH = ("1", "2c")
OIDS = tuple(f"{UPS}.4.{number}.0" for number in range(1, 31))


def image() -> Image:
    """Give every type that a UPS is known to send, and an alarm table of two rows."""
    return {
        "1.3.6.1.2.1.1.2.0": (6, "1.3.6.1.4.1.318.1.3.27"),
        "1.3.6.1.2.1.1.3.0": (67, 4294967295),
        f"{UPS}.1.1.0": (4, b"American \xff\x00"),
        f"{UPS}.1.2.0": (4, b""),
        f"{UPS}.2.1.0": (2, -1),
        f"{UPS}.2.2.0": (5, b""),
        f"{UPS}.2.3.0": (66, 4294967295),
        f"{UPS}.2.4.0": (65, 0),
        f"{UPS}.2.5.0": (64, b"\x0a\x00\x00\x01"),
        f"{UPS}.2.6.0": (68, b"\x9f\x78\x04\x41\x20\x00\x00"),
        f"{TABLE}.1": (6, f"{UPS}.6.3.1"),
        f"{TABLE}.7": (6, f"{UPS}.6.3.2"),
        f"{UPS}.9.1.0": (70, 2**64 - 1),
    }


EXPECTED: dict[str, object] = {
    "1.3.6.1.2.1.1.2.0": "1.3.6.1.4.1.318.1.3.27",
    "1.3.6.1.2.1.1.3.0": 4294967295,
    f"{UPS}.1.1.0": b"American \xff\x00",
    f"{UPS}.1.2.0": b"",
    f"{UPS}.2.1.0": -1,
    f"{UPS}.2.2.0": Missing.NULL,
    f"{UPS}.2.3.0": 4294967295,
    f"{UPS}.2.4.0": 0,
    f"{UPS}.2.5.0": b"\x0a\x00\x00\x01",
    f"{UPS}.2.6.0": b"\x9f\x78\x04\x41\x20\x00\x00",
    f"{UPS}.3.1.0": Missing.ABSENT,
}
ROWS: dict[str, object] = {TABLE: 2, f"{TABLE}.1": f"{UPS}.6.3.1", f"{TABLE}.7": f"{UPS}.6.3.2"}
PLAN = Plan(tuple(EXPECTED), (TABLE,))
PATIENT = 20.0
"""Longer than a machine stands still, s: for what has to answer."""


def target(
    port: int,
    version: str = "2c",
    host: str = "127.0.0.1",
    timeout: float = PATIENT,
    objects: int = 20,
    user: str = "",
    auth: str = "none",
    priv: str = "none",
    secrets: dict[str, str] | None = None,
    engine: str = "fast",
) -> Target:
    """Describe a device."""
    options = {"version": version, "engine": engine, **({"auth": auth, "priv": priv} if version == "3" else {})}
    secrets = secrets or {**SECRETS, "community": "public"}
    endpoint = Endpoint("snmp", host, port, user=user, options=options, secrets=secrets)
    return Target(f"ups-{port}", endpoint, Quirks(objects=objects), timeout)


def v3(
    port: int,
    auth: str = "SHA-256",
    priv: str = "AES-128",
    user: str = "watch",
    secrets: dict[str, str] | None = None,
    timeout: float = PATIENT,
) -> Target:
    return target(port, "3", user=user, auth=auth, priv=priv, secrets=secrets, timeout=timeout)


async def poll(link: SnmpLink, to: Target, plan: Plan = PLAN) -> Answers:
    """Ask once. A second call of `done` would set the future twice, which ends `run` and fails the test."""
    answers: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
    link.ask(to, plan, answers.set_result)
    assert not answers.done(), "done was called from inside ask"
    return await asyncio.wait_for(answers, to.timeout + PATIENT)


OPENED: list[SnmpServer | Liar | Spoiler] = []


async def up(device: SnmpServer | Liar | Spoiler) -> int:
    """Start a device that `looped` stops, and return its port."""
    OPENED.append(device)
    return await device.start()


def looped(main: Callable[[], Awaitable[T]]) -> T:
    """Run in a loop of its own and leave no socket behind."""

    async def whole() -> T:
        try:
            return await main()
        finally:
            while OPENED:
                OPENED.pop().stop()
            await asyncio.sleep(0)

    return asyncio.run(whole())


def linked(scenario: Callable[[SnmpLink], Awaitable[T]]) -> T:
    """Run a scenario beside a running link, and see that the link survived it."""

    async def main() -> T:
        link = SnmpLink()
        running = asyncio.create_task(link.run())
        try:
            result = await scenario(link)
            await asyncio.sleep(0)
            assert not running.done(), "the link died"
            assert not link._all_open()
            assert not link._by_id
        finally:
            running.cancel()
            await asyncio.wait([running])
        return result

    return looped(main)


class Heard:
    """A request that reached a lying device."""

    def __init__(self, data: bytes, count: int, address: tuple[str, int], reply: Callable[[bytes], None]) -> None:
        self.data = data
        self.count = count
        self.address = address
        self.reply = reply
        self.message, _ = decoder.decode(data, asn1Spec=v2c.Message())
        self.pdu = v2c.apiMessage.get_pdu(self.message)
        self.oids = [str(oid) for oid, _ in v2c.apiPDU.get_varbinds(self.pdu)]
        self.ident = int(v2c.apiPDU.get_request_id(self.pdu))

    def answer(
        self,
        rows: list[tuple[str, object]] | None = None,
        status: int = 0,
        index: int = 0,
        ident: int | None = None,
    ) -> bytes:
        """Encode a response; by default every object is the integer 7."""
        bound = [(oid, v2c.Integer32(7)) for oid in self.oids] if rows is None else rows
        answer = v2c.apiPDU.get_response(self.pdu)
        v2c.apiPDU.set_request_id(answer, self.ident if ident is None else ident)
        v2c.apiPDU.set_error_status(answer, status)
        v2c.apiPDU.set_error_index(answer, index)
        v2c.apiPDU.set_varbinds(answer, [(univ.ObjectIdentifier(oid), value) for oid, value in bound])
        message = v2c.Message()
        v2c.apiMessage.set_version(message, self.message[0])
        v2c.apiMessage.set_community(message, self.message[1])
        v2c.apiMessage.set_pdu(message, answer)
        encoded: bytes = encoder.encode(message)
        return encoded


class Liar(asyncio.DatagramProtocol):
    """A device that answers as the test says; `tell` may reply any number of times."""

    def __init__(self, tell: Callable[[Heard], None]) -> None:
        self.tell = tell
        self.heard: list[Heard] = []

    async def start(self, port: int = 0) -> int:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", port))
        taken: int = self.transport.get_extra_info("sockname")[1]
        return taken

    def stop(self) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        heard = Heard(data, len(self.heard), address, lambda reply: self.transport.sendto(reply, address))
        self.heard.append(heard)
        self.tell(heard)


def lied_to(
    tell: Callable[[Heard], None],
    plan: Plan,
    version: str = "2c",
    timeout: float = PATIENT,
    polls: int = 1,
    objects: int = 20,
) -> tuple[dict[str, object], list[Heard]]:
    """Poll a lying device; return the answers of the last poll and all that the device heard."""

    async def scenario(link: SnmpLink) -> tuple[dict[str, object], list[Heard]]:
        liar = Liar(tell)
        to = target(await up(liar), version, timeout=timeout, objects=objects)
        answers: Answers = {}
        for _ in range(polls):
            answers = await poll(link, to, plan)
        return dict(answers), liar.heard

    return linked(scenario)


def quiet(_: Heard) -> None:
    """Say nothing."""


# The simulator


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_type_comes_as_readings_names_it(version: str, engine: str) -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        server = SnmpServer(image())
        to = target(await up(server), version, engine=engine)
        return [await poll(link, to) for _ in range(3)]

    assert linked(scenario) == [EXPECTED | ROWS] * 3


def test_answers_without_a_change_are_the_same_object_until_something_changes() -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        server = SnmpServer(image())
        to = target(await up(server))
        read = [await poll(link, to), await poll(link, to)]
        server.image[f"{UPS}.2.1.0"] = (2, -2)
        read += [await poll(link, to), await poll(link, to)]
        server.image[f"{TABLE}.9"] = (6, f"{UPS}.6.3.3")
        read += [await poll(link, to), await poll(link, to)]
        server.silent = True
        read.append(await poll(link, target(to.endpoint.port, timeout=0.1)))
        server.silent = False
        return [*read, await poll(link, to), await poll(link, to)]

    read = linked(scenario)
    changed = EXPECTED | {f"{UPS}.2.1.0": -2}
    more = ROWS | {TABLE: 3, f"{TABLE}.9": f"{UPS}.6.3.3"}
    expected = [EXPECTED | ROWS] * 2 + [changed | ROWS] * 2 + [changed | more] * 2
    assert read[:6] == expected
    assert read[7:] == [changed | more] * 2
    assert [later is earlier for earlier, later in pairwise(read)] == [
        True,
        False,
        True,
        False,
        True,
        False,
        False,
        True,
    ]


def test_devices_of_several_communities_and_versions_are_told_apart() -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        words = ["public", "a community of some length", ""]
        devices = []
        for number, word in enumerate(words * 2):
            own = image() | {f"{UPS}.2.1.0": (2, -1 - number)}
            port = await up(SnmpServer(own, community=word))
            version = BOTH[number // len(words)]
            devices.append(target(port, version, secrets={"community": word}))
        return [answers for _ in range(3) for answers in await asyncio.gather(*(poll(link, to) for to in devices))]

    read = linked(scenario)
    assert [answers[f"{UPS}.2.1.0"] for answers in read] == [-1, -2, -3, -4, -5, -6] * 3


def test_a_burst_goes_out_as_fast_as_its_answers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snmp, "_BURST", 8)
    monkeypatch.setattr(snmp, "_DATAGRAMS", 4)

    async def scenario(link: SnmpLink) -> int:
        liar = Liar(lambda heard: heard.reply(heard.answer()))
        port = await up(liar)
        devices = [target(port, secrets={"community": f"number {number}"}) for number in range(100)]
        polls = [asyncio.create_task(poll(link, to, Plan(OIDS[:2]))) for to in devices]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(link._out) == 92
        assert [dict(await each) for each in polls] == [dict.fromkeys(OIDS[:2], 7)] * 100
        return len(liar.heard)

    assert linked(scenario) == 100


def test_a_pause_ends_a_question_once_that_was_asked_twice_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        liar = Liar(lambda heard: heard.reply(heard.answer()) if heard.count == 0 else None)
        to, plan = target(await up(liar)), Plan(OIDS[:1])
        first = await poll(link, to, plan)
        second = asyncio.create_task(poll(link, to, plan))
        await asyncio.sleep(0)
        later = asyncio.get_running_loop().time() + 2 * PATIENT
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "time", lambda: later)
            link._guard(link._sweep)
        return [first, await second]

    assert [dict(answers) for answers in linked(scenario)] == [{OIDS[0]: 7}, {OIDS[0]: Missing.TIMEOUT}]


def test_a_counter64_exists_in_v2c_and_not_in_v1() -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        server = SnmpServer(image())
        port = await up(server)
        return [await poll(link, target(port, version), Plan((f"{UPS}.9.1.0",), (f"{UPS}.9",))) for version in BOTH]

    old, new = linked(scenario)
    assert old == {f"{UPS}.9.1.0": Missing.ABSENT, f"{UPS}.9": 0}
    assert new == {f"{UPS}.9.1.0": 2**64 - 1, f"{UPS}.9": 1}


def test_a_changed_image_is_served_at_once_and_a_silent_server_is_a_timeout() -> None:
    async def scenario(link: SnmpLink) -> list[object]:
        server = SnmpServer({OIDS[0]: (2, 1)})
        to = target(await up(server))
        plan = Plan(OIDS[:1], (f"{UPS}.4",))
        seen: list[object] = [await poll(link, to, plan)]
        server.image[OIDS[0]] = (2, 2)
        server.image[OIDS[1]] = (2, 3)
        seen.append(await poll(link, to, plan))
        server.silent = True
        seen.append(await poll(link, replace(to, timeout=0.1), plan))
        server.silent = False
        del server.image[OIDS[0]]
        seen.append(await poll(link, to, plan))
        return seen

    assert linked(scenario) == [
        {OIDS[0]: 1, f"{UPS}.4": 1},
        {OIDS[0]: 2, OIDS[1]: 3, f"{UPS}.4": 2},
        {OIDS[0]: Missing.TIMEOUT, f"{UPS}.4": Missing.TIMEOUT},
        {OIDS[0]: Missing.ABSENT, OIDS[1]: 3, f"{UPS}.4": 1},
    ]


def test_a_wrong_community_is_silence() -> None:
    async def scenario(link: SnmpLink) -> Answers:
        server = SnmpServer(image(), community="secret")
        return await poll(link, target(await up(server), timeout=0.1))

    assert silence(linked(scenario)) is Missing.TIMEOUT


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param(["snmpset", "-v1"], "readOnly", id="v1"),
        pytest.param(["snmpset", "-v2c"], "notWritable", id="v2c"),
        pytest.param(["snmpset", "-v3"], "notWritable", id="v3"),
    ],
)
def test_the_simulator_refuses_to_be_written(command: list[str], words: str) -> None:
    async def main() -> tuple[str, Image]:
        server = SnmpServer(image(), users=(USER,))
        port = await up(server)
        access = NET_SNMP_V3 if "-v3" in command else ["-c", "public"]
        told = await output([*command, *access, f"127.0.0.1:{port}", f"{UPS}.2.1.0", "i", "9"])
        return told, server.image

    told, left = looped(main)
    assert words in told
    assert left == image()


@pytest.mark.parametrize("version", ["v2c", "v3"])
def test_net_snmp_walks_the_simulator_in_bulk(version: str) -> None:
    async def main() -> str:
        server = SnmpServer(image(), users=(USER,))
        access = NET_SNMP_V3 if version == "v3" else ["-c", "public"]
        port = await up(server)
        return await output(["snmpbulkwalk", f"-{version}", *access, "-On", "-Oe", f"127.0.0.1:{port}", UPS])

    lines = [line for line in looped(main).splitlines() if "No more" not in line]
    assert [line.split(" = ")[0].lstrip(".") for line in lines] == [oid for oid in image() if oid.startswith(UPS)]
    assert f".{UPS}.2.1.0 = INTEGER: -1" in lines
    assert f".{UPS}.9.1.0 = Counter64: 18446744073709551615" in lines


async def output(command: list[str]) -> str:
    """Run a net-snmp command and return all it says."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        told, _ = await asyncio.wait_for(process.communicate(), 20)
    except TimeoutError:
        process.kill()
        raise
    return told.decode()


# SNMPv3

USER = User("watch", "SHA-256", SECRETS["auth"], "AES-128", SECRETS["priv"])
NET_SNMP_V3 = [
    "-u",
    "watch",
    "-l",
    "authPriv",
    "-a",
    "SHA-256",
    "-A",
    SECRETS["auth"],
    "-x",
    "AES",
    "-X",
    SECRETS["priv"],
]
MATRIX = [(auth, priv) for auth in AUTH for priv in PRIV if auth != "none" or priv == "none"]


def test_every_pair_of_v3_protocols_reads_alike() -> None:
    async def scenario(link: SnmpLink) -> dict[tuple[str, str], Answers]:
        users = tuple(
            User(
                f"{auth}/{priv}",
                auth,
                SECRETS["auth"] if auth != "none" else "",
                priv,
                SECRETS["priv"] if priv != "none" else "",
            )
            for auth, priv in MATRIX
        )
        server = SnmpServer(image(), users=users)
        port = await up(server)
        return {(auth, priv): await poll(link, v3(port, auth, priv, user=f"{auth}/{priv}")) for auth, priv in MATRIX}

    read = linked(scenario)
    assert len(read) == 31
    assert {pair for pair, answers in read.items() if answers != EXPECTED | ROWS} == set()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"user": "nobody"}, id="unknown user"),
        pytest.param({"secrets": {**SECRETS, "auth": "not the password"}}, id="wrong digest"),
        pytest.param({"auth": "none", "priv": "none"}, id="level too low"),
    ],
)
def test_a_v3_refusal_is_denied_and_no_timeout(wrong: dict[str, Any]) -> None:
    async def scenario(link: SnmpLink) -> Answers:
        server = SnmpServer(image(), users=(USER,))
        port = await up(server)
        started = time.monotonic()
        answers = await poll(link, v3(port, **wrong))
        assert time.monotonic() - started < PATIENT / 2, "nor is it asked a second time"
        assert await poll(link, v3(port)) == EXPECTED | ROWS
        return answers

    answers = linked(scenario)
    assert set(answers) == {*PLAN.gets, *PLAN.walks}
    assert set(answers.values()) == {Missing.DENIED}


def boots(server: SnmpServer, count: int) -> None:
    """Make the simulated engine believe it has booted so often."""
    assert server._engine is not None
    (symbol,) = server._engine.get_mib_builder().import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineBoots")
    symbol.syntax = symbol.syntax.clone(count)


@pytest.mark.parametrize("count", [9, 1], ids=["boots counted on", "boots lost"])
def test_a_rebooted_engine_is_asked_again_and_not_missed(count: int) -> None:
    async def scenario(link: SnmpLink) -> Answers:
        server = SnmpServer(image(), users=(USER,))
        to = v3(await up(server))
        boots(server, 5)
        assert await poll(link, to) == EXPECTED | ROWS
        boots(server, count)
        return await poll(link, to)

    assert linked(scenario) == EXPECTED | ROWS


def test_a_replaced_device_with_another_engine_id_is_read() -> None:
    async def scenario(link: SnmpLink) -> Answers:
        server = SnmpServer(image(), users=(USER,))
        port = await up(server)
        assert await poll(link, v3(port)) == EXPECTED | ROWS
        server.stop()
        await asyncio.sleep(0)
        replaced = SnmpServer(image(), port=port, users=(USER,))
        await up(replaced)
        return await poll(link, v3(port))

    assert linked(scenario) == EXPECTED | ROWS


def test_a_replaced_device_that_ignores_the_old_engine_id_is_read_after_one_silence() -> None:
    class Proud(SnmpServer):
        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            if b"watch" not in data or self._engine_id in data:
                super().datagram_received(data, address)

    async def scenario(link: SnmpLink) -> list[Answers]:
        server = Proud(image(), users=(USER,))
        to = v3(await up(server))
        read = [await poll(link, to)]
        server.stop()
        await asyncio.sleep(0)
        await up(Proud(image(), port=to.endpoint.port, users=(USER,)))
        return [*read, await poll(link, replace(to, timeout=0.3)), await poll(link, to)]

    first, silent, last = linked(scenario)
    assert first == last == EXPECTED | ROWS
    assert silence(silent) is Missing.TIMEOUT


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda data: data.replace(b"\x02\x01\xff", b"\x02\x01\x05"), id="value changed"),
        pytest.param(
            lambda data: data.replace(b"\x02\x01\xff", b"\x02\x01\x05").replace(
                b"\x04\x01\x01\x02", b"\x04\x01\x00\x02"
            ),
            id="value changed, authentication flag taken off",
        ),
        pytest.param(lambda data: data.replace(b"signed", b"nobody"), id="user changed"),
    ],
)
def test_a_forged_v3_answer_is_dropped(forge: Callable[[bytes], bytes]) -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        spoiler = Spoiler(await up(SnmpServer(image(), users=(User("signed", "SHA-1", SECRETS["auth"]),))))
        to = target(await up(spoiler), "3", user="signed", auth="SHA-1")
        plan = Plan((f"{UPS}.2.1.0",))
        read = [await poll(link, to, plan)]
        spoiler.spoil = forge
        return [*read, await poll(link, replace(to, timeout=0.2), plan)]

    assert linked(scenario) == [{f"{UPS}.2.1.0": -1}, {f"{UPS}.2.1.0": Missing.TIMEOUT}]


def test_two_devices_with_one_engine_id_and_one_user_name_do_not_disturb_each_other() -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        other = {"auth": "another password", "priv": "yet another one"}
        users = (USER, User("watch", "SHA-256", other["auth"], "AES-128", other["priv"]))
        servers = [SnmpServer(image(), users=(user,), engine_id=b"\x80\x00\x00\x00\x05same") for user in users]
        devices = [
            v3(await up(server), secrets=secrets) for server, secrets in zip(servers, (SECRETS, other), strict=True)
        ]
        boots(servers[1], 77)
        read = [await poll(link, device) for _ in range(3) for device in devices]
        read += await asyncio.gather(*(poll(link, device) for device in devices))
        return read

    assert linked(scenario) == [EXPECTED | ROWS] * 8


# snmpd


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Run the snmpd of the system with a v2c community and v3 users."""
    program = shutil.which("snmpd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("no snmpd here")
    folder = tmp_path_factory.mktemp("snmpd")
    port = free_port()
    lines = [
        "rocommunity public 127.0.0.1",
        # Zeros as long as a digest's placeholder: they must not be taken for it.
        f"exactEngineID 0x80001f8805{'00' * 24}07",
        "sysName captured-by-nobody",
        "sysLocation room 7",
        "sysObjectID 1.3.6.1.4.1.318.1.3.27",
    ]
    for auth, priv in SNMPD_MATRIX:
        words = [auth.replace("SHA-1", "SHA"), f'"{SECRETS["auth"]}"']
        if priv != "none":
            words += [priv.replace("AES-128", "AES"), f'"{SECRETS["priv"]}"']
        lines.append(f"createUser {auth}/{priv} {' '.join(words)}")
        lines.append(f"rouser {auth}/{priv} {'auth' if priv == 'none' else 'priv'}")
    lines += ["createUser none/none", "rouser none/none noauth"]
    conf = folder / "snmpd.conf"
    conf.write_text("\n".join(lines) + "\n", encoding="ascii")
    command = [program, "-f", "-Lo", "-C", "-c", str(conf), "-p", str(folder / "pid"), f"udp:127.0.0.1:{port}"]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env={"SNMP_PERSISTENT_DIR": str(folder), "PATH": "/usr/bin:/bin"}
        )
    try:
        deadline = time.monotonic() + 60
        while linked(lambda link: poll(link, target(port, timeout=0.2), SYSTEM))[SYSTEM.gets[0]] != b"room 7":
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
        yield port, folder
    finally:
        process.terminate()
        process.wait(10)


SYSTEM = Plan(("1.3.6.1.2.1.1.6.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.99.0"), ("1.3.6.1.2.1.1.9.1.2",))
SNMPD_MATRIX = [(auth, priv) for auth in AUTH if auth != "none" for priv in PRIV]


def is_the_system(answers: Answers) -> bool:
    rows = [address for address in answers if address.startswith(SYSTEM.walks[0] + ".")]
    return (
        answers[SYSTEM.gets[0]] == b"room 7"
        and answers[SYSTEM.gets[1]] == "1.3.6.1.4.1.318.1.3.27"
        and answers[SYSTEM.gets[2]] is Missing.ABSENT
        and answers[SYSTEM.walks[0]] == len(rows) > 3
        and all(isinstance(answers[row], str) for row in rows)
    )


@pytest.mark.parametrize("version", BOTH)
def test_snmpd_is_read_by_community(snmpd: tuple[int, Path], version: str) -> None:
    assert is_the_system(linked(lambda link: poll(link, target(snmpd[0], version), SYSTEM)))


@pytest.mark.parametrize(("auth", "priv"), [*SNMPD_MATRIX, ("none", "none")])
def test_snmpd_is_read_as_a_v3_user(snmpd: tuple[int, Path], auth: str, priv: str) -> None:
    assert is_the_system(linked(lambda link: poll(link, v3(snmpd[0], auth, priv, user=f"{auth}/{priv}"), SYSTEM)))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"user": "nobody"}, id="unknown user"),
        pytest.param(
            {"user": "SHA-256/AES-128", "secrets": {**SECRETS, "auth": "not the password"}}, id="wrong digest"
        ),
        pytest.param({"user": "SHA-256/AES-128", "priv": "none"}, id="level too low"),
    ],
)
def test_snmpd_refuses_and_that_is_denied(snmpd: tuple[int, Path], wrong: dict[str, Any]) -> None:
    answers = linked(lambda link: poll(link, v3(snmpd[0], **wrong), Plan(SYSTEM.gets)))
    assert set(answers.values()) == {Missing.DENIED}


def test_a_recording_of_snmpd_is_what_snmpwalk_sees(snmpd: tuple[int, Path]) -> None:
    async def scenario(link: SnmpLink) -> tuple[list[tuple[str, int, int | bytes | str]], str]:
        walked = await link.walk_all(target(snmpd[0]), ("1.3.6.1.2.1.1.9", "1.3.6.1.2.1.1.5"), 100)
        return walked, await output(
            ["snmpwalk", "-v2c", "-c", "public", "-On", f"127.0.0.1:{snmpd[0]}", "1.3.6.1.2.1.1.9"]
        )

    walked, told = linked(scenario)
    tags = {"INTEGER": 2, "STRING": 4, "OID": 6, "Timeticks": 67}
    expected = [(line.split(" = ")[0][1:], tags[line.split(" = ")[1].split(":")[0]]) for line in told.splitlines()]
    assert [(oid, tag) for oid, tag, _ in walked[:-1]] == expected
    assert len(expected) > 9
    assert walked[-1] == ("1.3.6.1.2.1.1.5.0", 4, b"captured-by-nobody")


def test_a_recording_stops_at_its_limit_and_when_the_device_falls_silent(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(link: SnmpLink) -> list[int]:
        server = SnmpServer(image())
        to = target(await up(server))
        lengths = [len(await link.walk_all(to, ("1.3.6.1.2.1",), limit)) for limit in (100, 3)]
        server.silent = True
        lengths.append(len(await link.walk_all(replace(to, timeout=0.1), ("1.3.6.1.2.1",), 3)))
        return lengths

    assert linked(scenario) == [len(image()), 3, 0]
    assert "stopped after 1.3.6.1.2.1: timeout" in caplog.text


def test_a_recording_served_again_is_the_same_device() -> None:
    async def scenario(link: SnmpLink) -> Image:
        server = SnmpServer(image())
        walked = await link.walk_all(target(await up(server)), ("1.3.6.1.2.1",), 100)
        return {oid: (tag, value) for oid, tag, value in walked}

    assert linked(scenario) == image()


# Devices that lie or fail


def test_a_partial_answer_is_kept_and_the_rest_is_a_timeout() -> None:
    def tell(heard: Heard) -> None:
        if OIDS[0] in heard.oids or OIDS[20] in heard.oids:
            heard.reply(heard.answer())

    answers, _ = lied_to(tell, Plan(OIDS), timeout=3, objects=10)
    assert answers == dict.fromkeys(OIDS[:10] + OIDS[20:], 7) | dict.fromkeys(OIDS[10:20], Missing.TIMEOUT)


def test_a_lost_request_is_sent_once_more_with_a_fresh_id() -> None:
    def tell(heard: Heard) -> None:
        if heard.count == 1:
            heard.reply(heard.answer())

    answers, heard = lied_to(tell, Plan(OIDS[:2]), timeout=5)
    assert answers == dict.fromkeys(OIDS[:2], 7)
    assert len({request.ident for request in heard}) == 2
    assert heard[0].oids == heard[1].oids


def test_the_answer_to_the_first_sending_counts_after_the_second() -> None:
    first: list[bytes] = []

    def tell(heard: Heard) -> None:
        first.append(heard.answer([(OIDS[0], v2c.Integer32(heard.count))]))
        if heard.count == 1:
            heard.reply(first[0])

    answers, _ = lied_to(tell, Plan(OIDS[:1]), timeout=5)
    assert answers == {OIDS[0]: 0}


def test_a_dead_device_hears_two_questions_twice_and_ends_at_the_deadline() -> None:
    started = time.monotonic()
    answers, heard = lied_to(quiet, Plan(OIDS, (TABLE,)), timeout=1, objects=5)
    assert time.monotonic() - started >= 1
    assert answers == dict.fromkeys((*OIDS, TABLE), Missing.TIMEOUT)
    assert [request.oids for request in heard] == [list(OIDS[:5]), list(OIDS[5:10])] * 2


def test_a_late_answer_is_dropped_and_the_next_poll_is_right() -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        held: list[tuple[Heard, bytes]] = []

        def tell(heard: Heard) -> None:
            answer = heard.answer([(OIDS[0], v2c.Integer32(heard.count))])
            if heard.count < 2:
                held.append((heard, answer))
                return
            for earlier, late in held:
                earlier.reply(late)
            heard.reply(answer)

        to = target(await up(Liar(tell)))
        return [await poll(link, replace(to, timeout=timeout), Plan(OIDS[:1])) for timeout in (0.2, PATIENT)]

    assert linked(scenario) == [{OIDS[0]: Missing.TIMEOUT}, {OIDS[0]: 2}]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda heard: b"", id="empty"),
        pytest.param(lambda heard: b"\x00" * 40, id="zeros"),
        pytest.param(lambda heard: b"HTTP/1.0 400 Bad Request\r\n\r\n", id="another protocol"),
        pytest.param(lambda heard: heard.data, id="an echo of the request"),
        pytest.param(lambda heard: heard.answer(ident=heard.ident ^ 1), id="another request-id"),
        pytest.param(lambda heard: heard.answer()[:12], id="cut before its request-id"),
        pytest.param(
            lambda heard: heard.answer().replace(b"\x02\x01\x01\x04", b"\x02\x01\x00\x04", 1), id="another version"
        ),
    ],
)
def test_what_is_no_answer_to_us_is_silence(spoil: Callable[[Heard], bytes]) -> None:
    answers, heard = lied_to(lambda heard: heard.reply(spoil(heard)), Plan(OIDS[:2]), timeout=0.6)
    assert answers == dict.fromkeys(OIDS[:2], Missing.TIMEOUT)
    assert len(heard) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda heard: heard.answer()[:-3], id="truncated"),
        pytest.param(lambda heard: heard.answer([]), id="no bindings"),
        pytest.param(
            lambda heard: heard.answer([("1.3.6.1.2.1.1.1.0", v2c.Integer32(1))] * len(heard.oids)), id="other OIDs"
        ),
        pytest.param(lambda heard: retyped(heard, b"abc", 0x49), id="unknown type"),
        pytest.param(lambda heard: retyped(heard, b"", 0x02), id="integer of no bytes"),
        pytest.param(lambda heard: retyped(heard, b"\x01" * 10, 0x41), id="counter of ten bytes"),
        pytest.param(lambda heard: retyped(heard, b"\x2b\x80", 0x06), id="OID cut in an arc"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_is_malformed(spoil: Callable[[Heard], bytes]) -> None:
    answers, _ = lied_to(lambda heard: heard.reply(spoil(heard)), Plan(OIDS[:3]))
    assert answers == dict.fromkeys(OIDS[:3], Missing.MALFORMED)


def retyped(heard: Heard, content: bytes, tag: int) -> bytes:
    """Answer every object with these bytes under this BER tag."""
    answer = heard.answer([(oid, v2c.OctetString(content)) for oid in heard.oids])
    size = bytes([len(content)])
    # The zero before it is the end of the OID.
    return answer.replace(b"\x00\x04" + size + content, bytes([0, tag]) + size + content)


def test_only_the_mismatching_objects_are_malformed() -> None:
    def tell(heard: Heard) -> None:
        rows: list[tuple[str, object]] = [(oid, v2c.Integer32(7)) for oid in heard.oids]
        rows[1] = ("1.3.6.1.2.1.1.1.0", v2c.Integer32(8))
        heard.reply(heard.answer(rows))

    assert lied_to(tell, Plan(OIDS[:3]))[0] == {OIDS[0]: 7, OIDS[1]: Missing.MALFORMED, OIDS[2]: 7}


def test_one_object_that_spoils_every_packet_costs_the_others_nothing() -> None:
    def tell(heard: Heard) -> None:
        heard.reply(heard.answer()[:-2] if OIDS[13] in heard.oids else heard.answer())

    answers, _ = lied_to(tell, Plan(OIDS[:20]))
    assert answers == dict.fromkeys(OIDS[:20], 7) | {OIDS[13]: Missing.MALFORMED}


def test_a_gauge_without_its_leading_zero_byte_is_unsigned() -> None:
    def tell(heard: Heard) -> None:
        answer = heard.answer([(OIDS[0], v2c.Gauge32(0x7FFFFFFF))])
        heard.reply(answer.replace(b"\x42\x04\x7f\xff\xff\xff", b"\x42\x04\xff\xff\xff\xff"))

    assert lied_to(tell, Plan(OIDS[:1]))[0] == {OIDS[0]: 4294967295}


def test_an_answer_from_another_port_is_dropped() -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        other = Liar(quiet)
        liar = Liar(lambda heard: other.transport.sendto(heard.answer(), heard.address))
        await up(other)
        to = target(await up(liar))
        read = [await poll(link, replace(to, timeout=0.2), Plan(OIDS[:1]))]
        other = liar
        return [*read, await poll(link, to, Plan(OIDS[:1]))]

    assert linked(scenario) == [{OIDS[0]: Missing.TIMEOUT}, {OIDS[0]: 7}]


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("index", [0, 1], ids=["no index", "an index that RFC 3416 forbids"])
def test_too_big_halves_the_batch_and_is_remembered(version: str, index: int) -> None:
    def tell(heard: Heard) -> None:
        heard.reply(heard.answer() if len(heard.oids) <= 6 else heard.answer(status=1, index=index))

    answers, heard = lied_to(tell, Plan(OIDS), version, polls=2)
    assert answers == dict.fromkeys(OIDS, 7)
    assert [len(request.oids) for request in heard[-6:]] == [5] * 6
    assert [len(request.oids) for request in heard].count(20) == 1


def test_too_big_for_one_object_is_its_error() -> None:
    answers, _ = lied_to(lambda heard: heard.reply(heard.answer([], status=1)), Plan(OIDS[:3]))
    assert answers == dict.fromkeys(OIDS[:3], Missing.ERROR)


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        pytest.param(2, Missing.ABSENT, id="noSuchName"),
        pytest.param(5, Missing.ERROR, id="genErr"),
        pytest.param(6, Missing.DENIED, id="noAccess"),
        pytest.param(16, Missing.DENIED, id="authorizationError"),
        pytest.param(99, Missing.ERROR, id="unheard of"),
    ],
)
@pytest.mark.parametrize("named", [True, False], ids=["index", "no index"])
def test_an_error_marks_the_object_it_names_and_the_rest_is_asked_again(
    status: int, missing: Missing, named: bool
) -> None:
    bad = {OIDS[3], OIDS[11]}

    def tell(heard: Heard) -> None:
        index = next((position for position, oid in enumerate(heard.oids, 1) if oid in bad), 0)
        heard.reply(heard.answer(status=status, index=index if named else 0) if index else heard.answer())

    answers, _ = lied_to(tell, Plan(OIDS[:20]), "1")
    assert answers == dict.fromkeys(OIDS[:20], 7) | dict.fromkeys(bad, missing)


def test_an_error_index_out_of_range_ends() -> None:
    answers, heard = lied_to(lambda heard: heard.reply(heard.answer(status=5, index=200)), Plan(OIDS[:20]))
    assert answers == dict.fromkeys(OIDS[:20], Missing.ERROR)
    assert len(heard) == 39


# Walks


def rows_below(*tails: str) -> Callable[[Heard], None]:
    """Answer every GETNEXT with the next of these rows, whatever was asked."""

    def tell(heard: Heard) -> None:
        oid = f"{TABLE}.{tails[min(heard.count, len(tails) - 1)]}"
        heard.reply(heard.answer([(oid, v2c.ObjectIdentifier(f"{UPS}.6.3.1"))]))

    return tell


def test_a_walk_that_goes_back_is_malformed_and_keeps_its_rows() -> None:
    answers, heard = lied_to(rows_below("1", "9", "2"), Plan((), (TABLE,)))
    assert answers == {TABLE: Missing.MALFORMED, f"{TABLE}.1": f"{UPS}.6.3.1", f"{TABLE}.9": f"{UPS}.6.3.1"}
    assert len(heard) == 3


def test_a_walk_that_stands_still_is_malformed() -> None:
    answers, heard = lied_to(rows_below("1"), Plan((), (TABLE,)))
    assert answers == {TABLE: Missing.MALFORMED, f"{TABLE}.1": f"{UPS}.6.3.1"}
    assert len(heard) == 2


def test_a_walk_orders_by_number_and_not_by_text() -> None:
    answers, _ = lied_to(rows_below("9", "10", "2.1"), Plan((), (TABLE,)))
    assert set(answers) == {TABLE, f"{TABLE}.9", f"{TABLE}.10"}


def test_an_endless_walk_ends_at_64_rows() -> None:
    answers, heard = lied_to(rows_below(*map(str, range(1, 200))), Plan((), (TABLE,)))
    assert answers[TABLE] == 64 == len(answers) - 1 == len(heard)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda heard: heard.answer([(heard.oids[0], v2c.EndOfMibView(""))]), id="endOfMibView"),
        pytest.param(lambda heard: heard.answer(status=2, index=1), id="noSuchName"),
        pytest.param(lambda heard: heard.answer([(f"{TABLE}1.1", v2c.Integer32(1))]), id="a neighbour"),
        pytest.param(lambda heard: heard.answer([("1.3.6.1.2.1.1.1.0", v2c.Integer32(1))]), id="round to the first"),
    ],
)
def test_a_walk_ends_where_its_subtree_ends(end: Callable[[Heard], bytes]) -> None:
    def tell(heard: Heard) -> None:
        row = heard.answer([(f"{TABLE}.4", v2c.Null(""))])
        heard.reply(end(heard) if heard.count else row)

    assert lied_to(tell, Plan((), (TABLE,)))[0] == {TABLE: 1, f"{TABLE}.4": Missing.NULL}


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        pytest.param(lambda heard: heard.answer(status=5, index=1), Missing.ERROR, id="genErr"),
        pytest.param(lambda heard: heard.answer(status=16, index=1), Missing.DENIED, id="authorizationError"),
        pytest.param(lambda heard: heard.answer([]), Missing.MALFORMED, id="no bindings"),
        pytest.param(lambda heard: heard.answer()[:-1], Missing.MALFORMED, id="truncated"),
        pytest.param(lambda heard: b"", Missing.TIMEOUT, id="silence"),
    ],
)
def test_a_failed_walk_says_why_and_the_gets_come_all_the_same(
    answer: Callable[[Heard], bytes], missing: Missing
) -> None:
    def tell(heard: Heard) -> None:
        heard.reply(answer(heard) if heard.oids == [TABLE] else heard.answer())

    timeout = 3.0 if missing is Missing.TIMEOUT else PATIENT
    assert lied_to(tell, Plan(OIDS[:2], (TABLE,)), timeout=timeout)[0] == {OIDS[0]: 7, OIDS[1]: 7, TABLE: missing}


# The medium


def test_half_of_the_hosts_dead_costs_the_others_nothing() -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        servers = [SnmpServer(image()) for _ in range(20)]
        devices = [target(await up(server), timeout=4) for server in servers]
        for server in servers[::3]:
            server.silent = True
        for server in servers[1::3]:
            server.stop()  # its port answers with an ICMP error
        await asyncio.sleep(0)
        dead = [asyncio.create_task(poll(link, device)) for device in devices[::3] + devices[1::3]]
        alive = await asyncio.gather(*(poll(link, device) for device in devices[2::3]))
        assert not any(task.done() for task in dead)
        assert all(silence(answers) is Missing.TIMEOUT for answers in await asyncio.gather(*dead))
        return alive

    assert linked(scenario) == [EXPECTED | ROWS] * 6


def test_two_polls_of_one_device_may_be_under_way() -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        server = SnmpServer(image())
        to = target(await up(server))
        return list(await asyncio.gather(*(poll(link, to) for _ in range(5))))

    assert linked(scenario) == [EXPECTED | ROWS] * 5


def test_an_empty_plan_is_done_at_once_but_not_inside_ask() -> None:
    assert linked(lambda link: poll(link, target(9), Plan(()))) == {}


def test_a_poll_asked_before_run_waits_for_the_socket() -> None:
    async def main() -> Answers:
        server = SnmpServer(image())
        link = SnmpLink()
        early = asyncio.create_task(poll(link, target(await up(server))))
        await asyncio.sleep(0.01)
        running = asyncio.create_task(link.run())
        answers = await early
        running.cancel()
        return answers

    assert looped(main) == EXPECTED | ROWS


def test_without_a_socket_every_poll_is_link_down_by_its_deadline() -> None:
    async def main() -> Answers:
        return await poll(SnmpLink(), target(9, timeout=0.1))

    assert silence(looped(main)) is Missing.LINK_DOWN


def test_polls_under_way_are_done_once_when_the_link_is_cancelled() -> None:
    async def main() -> list[Answers]:
        link = SnmpLink()
        running = asyncio.create_task(link.run())
        server = SnmpServer(image())
        server.silent = True
        to = target(await up(server), timeout=0.2)
        done: list[Answers] = []
        await asyncio.sleep(0)
        for _ in range(3):
            link.ask(to, PLAN, done.append)
        running.cancel()
        await asyncio.wait([running])
        await asyncio.sleep(0.3)
        return done

    done = looped(main)
    assert [silence(answers) for answers in done] == [Missing.LINK_DOWN] * 3


def test_a_bug_in_done_ends_run() -> None:
    def broken(_: Answers) -> None:
        raise KeyError("bug")

    async def main() -> None:
        server = SnmpServer(image())
        to = target(await up(server))
        link = SnmpLink()
        running = asyncio.create_task(link.run())
        link.ask(to, PLAN, broken)
        await asyncio.wait_for(running, PATIENT)

    with pytest.raises(KeyError, match="bug"):
        looped(main)


def resolver(*found: list[tuple[Any, ...]] | OSError) -> Callable[..., Awaitable[list[tuple[Any, ...]]]]:
    """Answer name look-ups in this order, the last for ever."""
    turns = iter(found)
    last = found[-1]

    async def look_up(*_: object, **__: object) -> list[tuple[Any, ...]]:
        told = next(turns, last)
        await asyncio.sleep(0)
        if isinstance(told, OSError):
            raise told
        return told

    return look_up


def entry(host: str, port: int) -> tuple[Any, ...]:
    if ":" in host:
        return (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", (host, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_DGRAM, 17, "", (host, port))


def test_a_name_that_is_not_known_is_link_down() -> None:
    async def scenario(link: SnmpLink) -> Answers:
        asyncio.get_running_loop().getaddrinfo = resolver(socket.gaierror(-2, "unknown"))  # type: ignore[assignment,method-assign]
        return await poll(link, target(161, host="ups.nowhere", timeout=5))

    assert silence(linked(scenario)) is Missing.LINK_DOWN


def test_a_silent_host_is_looked_up_again_and_found_where_it_moved() -> None:
    async def scenario(link: SnmpLink) -> list[Answers]:
        server = SnmpServer(image())
        port = await up(server)
        gone = Liar(quiet)
        await up(gone)
        moves = resolver([entry("127.0.0.2", port)], [entry("127.0.0.1", port)], socket.gaierror(-2, "unknown"))
        asyncio.get_running_loop().getaddrinfo = moves  # type: ignore[assignment,method-assign]
        to = target(port, host="ups")
        brief = replace(to, timeout=0.2)
        read = [await poll(link, brief), await poll(link, to)]
        server.silent = True
        read.append(await poll(link, brief))
        server.silent = False
        read.append(await poll(link, to))
        return read

    read = linked(scenario)
    assert silence(read[0]) is Missing.TIMEOUT
    assert read[1] == EXPECTED | ROWS
    assert silence(read[2]) is Missing.TIMEOUT
    assert read[3] == EXPECTED | ROWS, "the old address is kept when the name server is gone"


def test_a_name_with_both_families_is_asked_over_ipv4() -> None:
    async def scenario(link: SnmpLink) -> Answers:
        server = SnmpServer(image())
        port = await up(server)
        both = resolver([entry("::1", port), entry("127.0.0.1", port)])
        asyncio.get_running_loop().getaddrinfo = both  # type: ignore[assignment,method-assign]
        return await poll(link, target(port, host="ups"))

    assert linked(scenario) == EXPECTED | ROWS


@pytest.mark.parametrize("version", BOTH)
def test_ipv6_is_read_as_ipv4_is(version: str) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")

    async def scenario(link: SnmpLink) -> Answers:
        server = SnmpServer(image(), host="::1")
        return await poll(link, target(await up(server), version, host="::1"))

    assert linked(scenario) == EXPECTED | ROWS


def test_request_ids_are_random_and_all_different() -> None:
    idents = [heard.ident for heard in lied_to(lambda heard: heard.reply(heard.answer()), Plan(OIDS), polls=40)[1]]
    steps = {later - earlier for earlier, later in pairwise(idents)}
    assert len(set(idents)) == len(idents) == 80
    assert len(steps) > 75


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        pytest.param("", set(), id="no device"),
        pytest.param("session(parse('snmp://h'))", set(), id="v2c"),
        pytest.param("session(parse('snmp://h?engine=pysnmp'))", {"pysnmp"}, id="v2c by pysnmp"),
        pytest.param("session(parse('snmp://u@h?auth=none')).wrap('get', ('1.3.6.1',), 1 << 24)", set(), id="v3"),
        pytest.param(
            "session(parse('snmp://u@h?auth=none&engine=pysnmp'))", {"pysnmp", "cryptography"}, id="v3 by pysnmp"
        ),
    ],
)
def test_pysnmp_is_loaded_only_for_what_needs_it(code: str, loaded: set[str]) -> None:
    script = f"""
import sys
from edgeagent.endpoint import parse
from edgeagent.links.snmpdevice import session
{code}
print(*({{"pysnmp", "cryptography", "pysnmp.entity.engine"}} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert set(told.stdout.split()) == loaded


# Mutated packets


class Spoiler(asyncio.DatagramProtocol):
    """Stands between link and server and changes the answers."""

    def __init__(self, port: int) -> None:
        self.server = ("127.0.0.1", port)
        self.client = self.server
        self.spoil: Callable[[bytes], bytes] = bytes

    async def start(self) -> int:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        taken: int = self.transport.get_extra_info("sockname")[1]
        return taken

    def stop(self) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if address == self.server:
            self.transport.sendto(self.spoil(data), self.client)
        else:
            self.client = address
            self.transport.sendto(data, self.server)


mutations = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=4)


def mutate(data: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    """Replace stretches of a packet by others, which may be longer, shorter or nothing."""
    for at, instead, length in changes:
        place = at % (len(data) + 1)
        data = data[:place] + instead + data[place + length :]
    return data


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({"version": "1"}, id="v1"),
        pytest.param({"version": "2c"}, id="v2c"),
        pytest.param({"version": "3", "user": "plain"}, id="v3 noAuthNoPriv"),
        pytest.param({"version": "3", "user": "watch", "auth": "SHA-256", "priv": "AES-128"}, id="v3 authPriv"),
    ],
)
def test_a_mutated_packet_never_harms_the_link_and_always_ends_in_an_answer(kind: dict[str, Any]) -> None:
    plan = Plan(tuple(EXPECTED)[:4], (TABLE,))
    true = {address: EXPECTED[address] for address in plan.gets} | ROWS
    with asyncio.Runner() as runner:
        server = SnmpServer(image(), users=(USER, User("plain")) if kind["version"] == "3" else ())
        spoiler = Spoiler(runner.run(server.start()))
        to = target(runner.run(spoiler.start()), timeout=0.06, **kind)
        link = SnmpLink()

        async def begin() -> asyncio.Task[None]:
            return asyncio.create_task(link.run())

        running = runner.run(begin())

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(mutations)
        def spoiled(changes: list[tuple[int, bytes, int]]) -> None:
            spoiler.spoil = lambda data: mutate(data, changes)
            answers = runner.run(poll(link, to, plan))
            assert not running.done()
            assert {*plan.gets, *plan.walks} <= set(answers)
            if kind.get("user") == "watch":
                false = {a: v for a, v in answers.items() if not isinstance(v, Missing) and true.get(a) != v}
                assert false == {}, "an authentic answer can be lost, not changed"

        try:
            spoiled()
            spoiler.spoil = bytes
            assert runner.run(poll(link, replace(to, timeout=PATIENT), plan)) == true
        finally:
            running.cancel()
            spoiler.stop()
            server.stop()
            runner.run(asyncio.sleep(0))
