"""Notifications read from bytes that pysnmp, net-snmp and chance wrote."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import encoder
from pyasn1.type import univ

from edgeagent.endpoint import Endpoint
from edgeagent.links.ber import Malformed, dotted
from edgeagent.links.trapmessage import Notification, answer, read
from edgeagent.links.traps import Fate, TrapListener
from edgeagent.trapconfig import Traps
from tests.trapscene import (
    ON_BATTERY,
    OWN,
    REQUEST,
    at,
    first,
    listening,
    needs_net_snmp,
    play,
    relayed,
    second,
    user,
)


@pytest.mark.parametrize(
    ("data", "told", "name"),
    [
        pytest.param(second(), Notification(ON_BATTERY), f"upsTrapOnBattery ({ON_BATTERY})", id="v2c"),
        pytest.param(
            second("1.3.6.1.2.1.33.2.0.3"), Notification("1.3.6.1.2.1.33.2.0.3"),
            "upsTrapAlarmEntryAdded (1.3.6.1.2.1.33.2.0.3)", id="converted",
        ),
        pytest.param(
            first(), Notification("1.3.6.1.2.1.33.2.0.1"), "upsTrapOnBattery (1.3.6.1.2.1.33.2.0.1)", id="v1"
        ),
        pytest.param(
            first("1.3.6.1.4.1.318", specific=5, agent="192.0.2.7"),
            Notification("1.3.6.1.4.1.318.0.5", "192.0.2.7"), "1.3.6.1.4.1.318.0.5", id="v1 vendor",
        ),
        pytest.param(
            first(generic=0, specific=0), Notification("1.3.6.1.6.3.1.1.5.1"),
            "coldStart (1.3.6.1.6.3.1.1.5.1)", id="v1 standard",
        ),
        pytest.param(
            second(inform=True), Notification(ON_BATTERY, inform=True), f"upsTrapOnBattery ({ON_BATTERY})", id="inform"
        ),
        pytest.param(
            relayed("192.0.2.9"), Notification(ON_BATTERY, "192.0.2.9", OWN.encode()),
            f"upsTrapOnBattery ({ON_BATTERY})", id="relayed",
        ),
    ],
)  # fmt: skip
def test_a_notification_is_read_and_named(data: bytes, told: Notification, name: str) -> None:
    plain = read(data)
    assert plain.notification == told
    assert told.name == name
    assert plain.community in (OWN.encode(), b"relay")


def test_the_answer_to_an_inform_is_the_inform_as_a_response() -> None:
    data = second(inform=True)
    said = answer(data, read(data).pdu)
    assert [(at, old, new) for at, (old, new) in enumerate(zip(data, said, strict=True)) if old != new] == [
        (read(data).pdu, 0xA6, 0xA2)
    ]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=30), st.integers(0, 2), st.integers(0, 39))
def test_object_identifiers_are_spelled_as_pyasn1_spells_them(rest: list[int], first: int, second: int) -> None:
    oid = (first, second, *rest)
    assert dotted(encoder.encode(univ.ObjectIdentifier(oid))[2:]) == ".".join(map(str, oid))


@pytest.mark.parametrize("data", [b"", b"\x30", REQUEST, bytes(65507), b"\x30\x84\xff\xff\xff\xff", first()[:-1]])
def test_what_is_no_trap_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


def test_an_object_identifier_longer_than_any_is_malformed() -> None:
    with pytest.raises(Malformed):
        read(second(".".join(["1.3", *["4294967295"] * 128])))


# net-snmp's own programs.

LEVELS = [("MD5", "DES"), ("SHA-1", "AES-128"), ("SHA-256", "AES-128"), ("SHA-512", "none"), ("none", "none")]


def net_snmp(program: str, port: int, *version: str, oid: str = ON_BATTERY) -> tuple[int, str]:
    command = [program, *version, f"127.0.0.1:{port}", "", oid, "1.3.6.1.2.1.33.1.2.2.0", "i", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr


def words(endpoint: Endpoint) -> list[str]:
    """Return a v3 user as net-snmp's programs take it."""
    auth, priv = endpoint.options["auth"], endpoint.options["priv"]
    level = "noAuthNoPriv" if auth == "none" else "authNoPriv" if priv == "none" else "authPriv"
    own = ["-v3", "-u", endpoint.user, "-l", level, "-t", "2", "-r", "1"]
    if auth != "none":
        own += ["-a", auth.replace("SHA-1", "SHA"), "-A", endpoint.secrets["auth"]]
    if priv != "none":
        own += ["-x", priv.replace("AES-128", "AES"), "-X", endpoint.secrets["priv"]]
    return own


@needs_net_snmp
def test_the_traps_and_informs_of_net_snmp_are_heard_and_answered() -> None:
    async def story() -> None:
        async with listening({"a": at("127.0.0.1")}) as scene:
            plain = ("-v2c", "-c", OWN)
            assert await asyncio.to_thread(net_snmp, "snmptrap", scene.port, *plain) == (0, "")
            await scene.heard(1)
            assert await asyncio.to_thread(net_snmp, "snmpinform", scene.port, *plain) == (0, "")
            old = [
                "snmptrap",
                "-v1",
                "-c",
                OWN,
                f"127.0.0.1:{scene.port}",
                "1.3.6.1.2.1.33.2",
                "10.1.1.1",
                "6",
                "1",
                "",
            ]
            await asyncio.to_thread(subprocess.run, old, check=True, timeout=60)
            await scene.heard(3)
            assert scene.listener.counts == {Fate.TAKEN: 3}

    play(story)


@needs_net_snmp
@pytest.mark.parametrize(("auth", "priv"), LEVELS)
def test_v3_traps_and_informs_of_net_snmp_are_heard_at_every_level(auth: str, priv: str) -> None:
    async def story() -> None:
        own = user("127.0.0.1", auth=auth, priv=priv)
        others = {f"{one}-{two}": user("127.0.0.1", auth=one, priv=two) for one, two in LEVELS}
        async with listening({**others, "a": own}) as scene:
            assert await asyncio.to_thread(net_snmp, "snmptrap", scene.port, *words(own)) == (0, "")
            await scene.heard(1)
            assert scene.listener.counts == {Fate.TAKEN: 1}
            assert await asyncio.to_thread(net_snmp, "snmpinform", scene.port, *words(own)) == (0, "")
            assert scene.listener.counts[Fate.TAKEN] == 2
            assert scene.listener.counts == {Fate.TAKEN: 2, Fate.QUESTION: 1}

    play(story)


@needs_net_snmp
@pytest.mark.parametrize("program", ["snmptrap", "snmpinform"])
@pytest.mark.parametrize("wrong", ["user", "password", "level"])
def test_a_v3_trap_of_another_user_password_or_level_is_denied(program: str, wrong: str) -> None:
    async def story() -> None:
        async with listening({"a": user("127.0.0.1")}) as scene:
            given = words(user("127.0.0.1", "who" if wrong == "user" else "watch"))
            if wrong == "password":
                given[given.index("-A") + 1] = "not the password"
            if wrong == "level":
                given = words(user("127.0.0.1", priv="none"))
            given[given.index("-r") + 1] = "0"
            await asyncio.to_thread(net_snmp, program, scene.port, *given)
            await scene.until(lambda: scene.listener.counts[Fate.DENIED] > 0)
            assert scene.hints == []

    play(story)


def test_a_v3_inform_of_pysnmp_learns_our_clock_and_is_answered_after_our_restart_too() -> None:
    from pysnmp.hlapi.v3arch import asyncio as api

    async def story() -> None:
        engine = api.SnmpEngine()
        own = api.UsmUserData(
            "watch", "one two three", "four five six",
            authProtocol=api.usmHMAC192SHA256AuthProtocol, privProtocol=api.usmAesCfb128Protocol,
        )  # fmt: skip

        async def inform(port: int) -> object:
            where = await api.UdpTransportTarget.create(("127.0.0.1", port), timeout=10, retries=2)
            told = api.NotificationType(api.ObjectIdentity(ON_BATTERY))
            error, *_ = await api.send_notification(engine, own, where, api.ContextData(), "inform", told)
            return error

        async with listening({"a": user("127.0.0.1")}) as scene:
            assert await inform(scene.port) is None
            assert scene.listener.counts[Fate.TAKEN] == 1
            receiver = scene.listener._receiver
            assert receiver is not None
            receiver._boots += 1
            assert await inform(scene.port) is None
            assert scene.listener.counts[Fate.TAKEN] == 2
            assert scene.listener.counts[Fate.QUESTION] >= 2
        engine.close_dispatcher()

    play(story)


# Mutations.


def caught() -> dict[str, bytes]:
    """Catch packets as pysnmp and, where it is there, net-snmp write them."""
    found = {"v1": first(), "v2c": second(), "inform": second(inform=True), "relayed": relayed("127.0.0.1")}
    if shutil.which("snmptrap"):
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(30)
            for auth, priv in LEVELS:
                net_snmp("snmptrap", sock.getsockname()[1], *words(user("127.0.0.1", auth=auth, priv=priv)))
                found[f"v3 {auth} {priv}"] = sock.recv(65535)
            asking = words(user("127.0.0.1"))
            asking[asking.index("-t") + 1], asking[asking.index("-r") + 1] = "0.1", "0"
            net_snmp("snmpinform", sock.getsockname()[1], *asking)
            found["v3 question"] = sock.recv(65535)
    return found


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(changed)) if changed else 0
        kind = chance.randrange(5)
        if kind == 0 and changed:
            changed[at] = chance.randrange(256)
        elif kind == 1 and changed:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del changed[at : at + chance.randrange(1, 9)]
        elif kind == 3:
            changed[at:at] = chance.randbytes(chance.randrange(1, 9))
        else:
            del changed[at:]
    return bytes(changed)


def test_twenty_thousand_mutated_packets_raise_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1162)
    known = {
        "a": at("127.0.0.1"),
        **{f"{auth}{priv}": user("127.0.0.1", auth=auth, priv=priv) for auth, priv in LEVELS},
    }

    async def story() -> None:
        listener = TrapListener(lambda _: None, "test", 1)
        listener.follow(Traps(("127.0.0.1",), 0, frozenset({"127.0.0.1"})), known)
        packets = list(caught().values())
        for data in packets:
            assert listener._hear(data, "127.0.0.1", 0.0).fate in (Fate.TAKEN, Fate.QUESTION)
        fates = dict.fromkeys(Fate, 0)
        begin = time.perf_counter()
        for number in range(20_000):
            if number == 10_000:
                monkeypatch.setattr("edgeagent.links.usmmessage.hmac.compare_digest", lambda *_: True)
            heard = listener._hear(mutated(chance.choice(packets), chance), "127.0.0.1", float(number))
            fates[heard.fate] += 1
        print(f"{1e6 * (time.perf_counter() - begin) / 20_000:.0f} us each: {fates}")
        assert fates[Fate.MALFORMED] > 5000
        assert min(fates[fate] for fate in (Fate.TAKEN, Fate.DENIED, Fate.UNKNOWN)) > 0

    play(story)
