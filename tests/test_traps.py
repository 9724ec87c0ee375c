"""Traps as hints: who may send them, what they make polled, what a burst or a flood costs."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from pathlib import Path
from typing import get_args

import pytest

from edgeagent import sitefiles
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.links import traps
from edgeagent.links.trapbook import BURST, Allowance, Notes, Sender
from edgeagent.links.trapmessage import answer, read
from edgeagent.links.traps import APART, Fate, State, TrapListener
from edgeagent.mistakes import Mistakes
from edgeagent.resources import drivers
from edgeagent.trapconfig import PORT, Traps
from tests.rig import device, write_site
from tests.trapscene import (
    EVERYWHERE,
    ON_BATTERY,
    OWN,
    REQUEST,
    Scene,
    at,
    first,
    listening,
    play,
    relayed,
    second,
    user,
)


def test_a_trap_polls_the_device_it_comes_from_and_no_other() -> None:
    async def story() -> None:
        async with listening({"a": at("127.0.0.2"), "b": at("127.0.0.3")}, EVERYWHERE) as scene:
            for count, data in enumerate((first(), second(), second(inform=True)), 1):
                scene.send(data, "127.0.0.2")
                await scene.heard(count)
            assert scene.listener.counts == {Fate.TAKEN: 3}
            await scene.until(lambda: len(scene.hints) == 2)
            assert scene.polled == ["a", "a"]

    play(story)


def test_all_devices_behind_one_address_are_polled_whatever_they_speak() -> None:
    async def story() -> None:
        gate = parse("modbus://127.0.0.2:502?unit=1")
        behind = {"a": at("127.0.0.2", 1610), "b": at("127.0.0.2", 1611, "other"), "c": gate}
        async with listening(behind, EVERYWHERE) as scene:
            scene.send(second(community="other"), "127.0.0.2")
            await scene.heard(1)
            assert scene.polled == ["a", "b", "c"]

    play(story)


def test_a_name_is_looked_up_and_ipv6_is_heard() -> None:
    async def story() -> None:
        async with listening({"a": at("localhost"), "b": at("::1")}, ("127.0.0.1", "::1")) as scene:
            await scene.until(lambda: scene.listener._book.get("127.0.0.1") is not None)
            scene.send(second())
            await scene.heard(1)
            scene.send(second(), "::1", port=scene.listener.ports[1])
            await scene.heard(2)
            assert set(scene.polled) == {"a", "b"}

    play(story)


@pytest.mark.parametrize(
    ("data", "source", "fate"),
    [
        pytest.param(second(community="wrong"), "127.0.0.2", Fate.DENIED, id="community"),
        pytest.param(second(community=""), "127.0.0.2", Fate.DENIED, id="no community"),
        pytest.param(second(), "127.0.0.9", Fate.UNKNOWN, id="source"),
        pytest.param(first(agent="127.0.0.2"), "127.0.0.9", Fate.UNKNOWN, id="agent-addr of a stranger"),
        pytest.param(relayed("127.0.0.2"), "127.0.0.9", Fate.UNKNOWN, id="snmpTrapAddress of a stranger"),
        pytest.param(relayed("127.0.0.9"), "127.0.0.2", Fate.DENIED, id="a device is no forwarder"),
        pytest.param(second(), "127.0.0.4", Fate.DENIED, id="v2c of a v3 device"),
        pytest.param(b"\x30\x03\x02\x01\x03", "127.0.0.2", Fate.DENIED, id="v3 of a v2c device"),
        pytest.param(REQUEST, "127.0.0.2", Fate.MALFORMED, id="no trap"),
        pytest.param(relayed("127.0.0.2", original="wrong"), "127.0.0.8", Fate.DENIED, id="relayed community"),
        pytest.param(relayed("127.0.0.7"), "127.0.0.8", Fate.UNKNOWN, id="relayed for nobody"),
        pytest.param(second(), "127.0.0.8", Fate.UNKNOWN, id="the forwarder's own"),
    ],
)
def test_what_is_not_a_devices_own_is_counted_and_polls_nothing(data: bytes, source: str, fate: Fate) -> None:
    async def story() -> None:
        known = {"a": at("127.0.0.2"), "v3": user("127.0.0.4")}
        async with listening(known, EVERYWHERE, ["127.0.0.8"]) as scene:
            scene.send(data, source)
            await scene.heard(1)
            assert scene.listener.counts == {fate: 1}
            assert scene.hints == []

    play(story)


@pytest.mark.parametrize("data", [first(agent="127.0.0.2"), relayed("127.0.0.2"), relayed("127.0.0.2", OWN, "else")])
def test_a_forwarder_of_the_configuration_is_believed_whom_it_relays_for(data: bytes) -> None:
    async def story() -> None:
        async with listening({"a": at("127.0.0.2"), "b": at("127.0.0.3")}, EVERYWHERE, ["127.0.0.8"]) as scene:
            scene.send(data, "127.0.0.8")
            await scene.heard(1)
            assert scene.polled == ["a"]

    play(story)


def test_a_burst_makes_one_poll_at_once_and_one_after_it() -> None:
    async def story() -> None:
        async with listening({"a": at("127.0.0.2")}, EVERYWHERE) as scene:
            for _ in range(50):
                scene.send(second(), "127.0.0.2")
            await scene.heard(50)
            last = asyncio.get_running_loop().time()
            assert len(scene.hints) == 1
            await asyncio.sleep(2.5 * APART)
            assert len(scene.hints) == 2, "no more than one poll may follow"
            assert scene.hints[1][0] >= max(last, scene.hints[0][0] + APART)

    play(story)


def test_informs_are_answered_also_when_they_are_folded_and_strangers_get_no_answer() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with listening({"a": at("127.0.0.2")}, EVERYWHERE) as scene:
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.bind(("127.0.0.2", 0))
                sock.setblocking(False)
                for _ in range(3):
                    data = second(inform=True)
                    await loop.sock_sendto(sock, data, ("127.0.0.2", scene.port))
                    got = await asyncio.wait_for(loop.sock_recv(sock, 65535), 30)
                    assert got == answer(data, read(data).pdu)
                await loop.sock_sendto(sock, second(inform=True, community="wrong"), ("127.0.0.2", scene.port))
                await scene.heard(4)
                with pytest.raises(BlockingIOError):
                    sock.recv(65535)

    play(story)


def test_two_thousand_traps_of_a_hundred_devices_are_all_heard_and_each_is_polled_after_its_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        hosts = {f"ups-{number}": f"127.0.1.{number}" for number in range(1, 101)}
        async with listening({id: at(host) for id, host in hosts.items()}, EVERYWHERE) as scene:
            (ear,) = scene.listener._sockets.values()
            roomy = ear.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 4 * 1024 * 1024
            socks: dict[str, socket.socket] = {}
            last: dict[str, float] = {}
            loop, fold = asyncio.get_running_loop(), scene.listener._fold

            def noted(sender: Sender, now: float) -> None:
                last[sender.names] = loop.time()
                fold(sender, now)

            monkeypatch.setattr(scene.listener, "_fold", noted)
            try:
                for id, host in hosts.items():
                    socks[id] = socket.socket(type=socket.SOCK_DGRAM)
                    socks[id].bind((host, 0))
                    socks[id].connect(("127.0.0.1", scene.port))
                data, begin = second(), time.perf_counter()
                for _ in range(20):
                    for sock in socks.values():
                        sock.send(data)
                    if not roomy:  # the kernel keeps 270: room is made as a network card would leave it
                        await asyncio.sleep(0.02)
                sent = time.perf_counter()
                await scene.heard(2000)
            finally:
                for sock in socks.values():
                    sock.close()
            heard = time.perf_counter()
            print(f"2000 sent in {1e3 * (sent - begin):.0f} ms, heard {1e3 * (heard - sent):.0f} ms later")
            assert scene.listener.counts == {Fate.TAKEN: 2000}
            await scene.until(lambda: {id for when, id in scene.hints if when >= last[id]} == set(hosts))
            assert len(scene.hints) <= 4 * len(hosts)

    play(story)


def flood(port: int, packets: int, source: str = "127.0.0.9", data: bytes = second()) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        for _ in range(packets):
            sock.send(data)


def test_a_flood_from_a_stranger_costs_little_and_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with listening({"a": at("127.0.0.2")}, EVERYWHERE) as scene:
            before = time.process_time()
            loop = asyncio.get_running_loop()
            lag, turns = 0.0, 0
            done = asyncio.create_task(asyncio.to_thread(flood, scene.port, 50_000))
            while not done.done():
                start = loop.time()
                await asyncio.sleep(0.01)
                lag, turns = max(lag, loop.time() - start - 0.01), turns + 1
            await asyncio.sleep(0.1)
            read, spent = scene.listener.counts.total(), time.process_time() - before
            print(f"flood: {read} of 50000 read, {1e6 * spent / read:.0f} us each with sending, lag {1e3 * lag:.0f} ms")
            assert scene.listener.counts.keys() == {Fate.UNKNOWN}
            await asyncio.sleep(1.2)
            scene.send(second(), "127.0.0.2")
            await scene.until(lambda: scene.polled == ["a"])

    with caplog.at_level(logging.INFO):
        play(story)
    assert len([record for record in caplog.records if record.name.startswith("edgeagent")]) <= 6


def test_a_device_that_floods_is_read_at_a_bounded_rate() -> None:
    allowance = Allowance(BURST, 100.0)
    assert sum(allowance.take(1000.0) for _ in range(3 * BURST)) == BURST
    assert sum(allowance.take(1001.0) for _ in range(3 * BURST)) == 100


def test_ten_thousand_senders_leave_a_bounded_memory_and_a_bounded_log(caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes(20, 1 / 60)
    with caplog.at_level(logging.INFO):
        for number in range(10_000):
            notes.say(number / 100, logging.INFO, (f"host {number}", "unknown"), "", "a trap from nobody")
    assert len(caplog.records) == 21
    assert len(notes._said) <= 512


def test_the_same_trap_each_minute_is_told_of_once_in_ten_and_another_one_always(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notes = Notes(200, 1.0)
    with caplog.at_level(logging.INFO):
        for minute in range(21):
            notes.say(60.0 * minute, logging.INFO, ("ups", "taken"), ON_BATTERY, "on battery")
        notes.say(1261.0, logging.INFO, ("ups", "taken"), "other", "removed")
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == ["on battery"] * 3 + ["removed"]


def test_an_address_that_cannot_be_bound_is_said_clearly_and_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traps, "RETRY", 0.05)

    async def story() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            listener = TrapListener(lambda _: None, "test", 1)
            listener.follow(Traps(("127.0.0.1",), taken.getsockname()[1]), {})
            running = asyncio.create_task(listener.run())
            scene = Scene(listener)
            await scene.until(lambda: listener.state == "failing")
            taken.close()
            await scene.until(lambda: listener.state == "listening")
            listener.follow(None, {})
            await scene.until(lambda: listener.state == "off")
            assert listener.ports == ()
            running.cancel()
            await asyncio.wait([running])

    with caplog.at_level(logging.INFO):
        play(story)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "Address already in use; devices are polled all the same" in errors[0]


def test_a_bug_in_what_a_hint_calls_ends_the_listener() -> None:
    async def story() -> None:
        def broken(id: str) -> None:
            raise RuntimeError(id)

        listener = TrapListener(broken, "test", 1)
        listener.follow(Traps(("127.0.0.1",), 0), {"a": at("127.0.0.1")})
        running = asyncio.create_task(listener.run())
        scene = Scene(listener)
        await scene.until(lambda: bool(listener.ports))
        scene.send(second())
        with pytest.raises(RuntimeError, match="a"):
            await asyncio.wait_for(running, 30)

    play(story)


# The configuration.


def test_nobody_listens_without_the_table_and_with_it_at_1162(tmp_path: Path) -> None:
    ups = device("ups", "ups/rfc1628", "snmp://192.0.2.1?version=2c")
    assert sitefiles.load(write_site(tmp_path / "off", 1883, ups), drivers()).traps is None
    site = write_site(tmp_path / "on", 1883, '[traps]\nforwarders = ["2001:DB8::5"]', ups)
    assert sitefiles.load(site, drivers()).traps == Traps(("0.0.0.0", "::"), PORT, frozenset({"2001:db8::5"}))
    assert PORT == 1162


def test_mistakes_in_the_table_are_named_with_their_lines(tmp_path: Path) -> None:
    ups = device("ups", "ups/rfc1628", "snmp://192.0.2.1?version=2c")
    wrong = '[traps]\nport = 0\naddresses = ["here"]\nforwarder = []'
    with pytest.raises(Mistakes) as caught:
        sitefiles.load(write_site(tmp_path / "site", 1883, wrong, ups), drivers())
    assert [mistake.key for mistake in caught.value.found] == ["traps.port", "traps.addresses.0", "traps.forwarder"]
    assert 'did you mean "forwarders"?' in caught.value.found[2].text


def test_the_alarm_of_a_deaf_agent_knows_every_state_of_the_listener() -> None:
    kind = load([drivers()]).kinds["agent"]
    point = kind.point("traps")
    assert point is not None
    assert point.values == get_args(State)
    assert kind.alarms["traps-failing"].levels[0].when.points == {"traps"}
