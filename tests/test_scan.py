"""Scanning: what is given is asked and nothing else, and what comes out is a site.toml that checks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.fit import Sure
from edgeagent.resources import drivers
from edgeagent.scan import MOST, ScanError, Seen, addresses, numbers, sections
from edgeagent.simulator import SimulatedDevice
from tests.rig import invoke

CATALOG = load([drivers()])


@contextmanager
def devices(*urls: tuple[str, str]) -> Iterator[None]:
    """Serve drivers at URLs, in a loop of their own."""
    ready, ended = Event(), Event()

    async def serve() -> None:
        serving = [await SimulatedDevice(CATALOG.drivers[id]).serve(parse(url)) for id, url in urls]
        ready.set()
        await asyncio.to_thread(ended.wait, 60)
        for one in serving:
            await one.stop()

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("words", "hosts", "lines"),
    [
        pytest.param(["192.0.2.0/30"], ["192.0.2.1", "192.0.2.2"], [], id="network"),
        pytest.param(["192.0.2.7/32"], ["192.0.2.7"], [], id="network of one"),
        pytest.param(["192.0.2.9-11"], ["192.0.2.9", "192.0.2.10", "192.0.2.11"], [], id="range"),
        pytest.param(["192.0.2.9", "ups.example"], ["192.0.2.9", "ups.example"], [], id="hosts"),
        pytest.param(["192.0.2.9", "192.0.2.9-10"], ["192.0.2.9", "192.0.2.10"], [], id="each once"),
        pytest.param(["2001:db8::7"], ["2001:db8::7"], [], id="IPv6"),
        pytest.param(["/dev/ttyS0"], [], ["/dev/ttyS0"], id="serial port"),
    ],
)
def test_places_are_spread(words: list[str], hosts: list[str], lines: list[str]) -> None:
    assert addresses(words) == (hosts, lines)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("10.0.0.0/8", "too many"),
        ("2001:db8::/64", "too many"),
        ("192.0.2.0/33", "192.0.2.0/33"),
        ("192.0.2.300", "192.0.2.300"),
        ("192.0.2.20-10", "ends before it begins"),
        ("192.0.2.1-256", "beyond 255"),
        ("-rf", "no network"),
        ("", "no network"),
    ],
)
def test_what_is_no_place_is_told(word: str, told: str) -> None:
    with pytest.raises(ScanError, match=told):
        addresses([word])


def test_many_small_networks_are_too_many_together() -> None:
    with pytest.raises(ScanError, match=str(MOST)):
        addresses([f"10.0.{number}.0/24" for number in range(17)])


def test_numbers_are_read_and_bounded() -> None:
    assert numbers("1-3, 17,2", 0, 255) == (1, 2, 3, 17)
    for wrong in ("", "x", "3-1", "256", "1-9999999999", "-1"):
        with pytest.raises(ScanError):
            numbers(wrong, 0, 255)


def test_devices_are_found_and_the_section_checks(tmp_path: Path) -> None:
    with devices(
        ("ups/apc-powernet", "snmp://127.0.0.3:11610"),
        ("generator/dse-gencomm", "modbus://127.0.0.4:15020?unit=3"),
    ):
        found = invoke(
            "scan", "127.0.0.1-6", "--snmp-port", "11610", "--modbus-ports", "15020", "--units", "1-3",
            "--timeout", "3",
        )  # fmt: skip
    assert found.exit_code == 0, found.stderr
    assert 'driver = "ups/apc-powernet"' in found.stdout
    assert 'url = "snmp://127.0.0.3:11610?version=2c"' in found.stdout
    assert 'driver = "generator/dse-gencomm"' in found.stdout
    assert 'url = "modbus://127.0.0.4:15020?unit=3"' in found.stdout
    head = '[site]\nid = "x"\nname = { en = "x", zh = "某" }\nlanguage = "zh"\n[agent]\nid = "e"\n[feed]\nbroker = "mqtt://127.0.0.1:1"\n'
    (tmp_path / "site.toml").write_text(head + found.stdout, encoding="utf-8")
    checked = invoke("check", "--config", tmp_path)
    assert checked.exit_code == 0, checked.stderr
    assert "2 devices" in checked.stdout


def test_nothing_there_is_nothing_found() -> None:
    found = invoke("scan", "127.0.0.9", "--snmp-port", "11699", "--modbus-ports", "15099", "--timeout", "0.2")
    assert (found.exit_code, found.stdout) == (3, "")


def test_a_community_is_never_printed() -> None:
    with devices(("ups/rfc1628", "snmp://127.0.0.8:11611?community=hush-hush")):
        found = invoke("scan", "127.0.0.8", "--snmp-port", "11611", "--community", "hush-hush", "--timeout", "3")
    assert found.exit_code == 0, found.stderr
    assert "hush-hush" not in found.stdout + found.stderr
    assert "community_secret" in found.stderr


def test_a_guess_and_a_stranger_are_comments_and_hostile_names_stay_within_their_quotes() -> None:
    end = parse("modbus://192.0.2.1?unit=1")
    text = sections(
        [
            Seen(end, CATALOG.drivers["environment/xy-md02"], Sure.GUESS, ("environment/wb-msw",)),
            Seen(end, said='a box\n[devices.x]\nurl = "evil"'),
            Seen(end, CATALOG.drivers["ups/rfc1628"], Sure.LIKELY, (), 'UPS" }\n[agent]\nid = "evil'),
        ]
    )
    live = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert live[0] == "[devices.ups-1]"
    assert len(live) == 4
    assert "also fits: environment/wb-msw" in text
