from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from edgeagent.decode import decode
from edgeagent.driverfiles import load
from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target
from edgeagent.links.host import HostLink
from edgeagent.readings import Answers, Missing, Quality
from edgeagent.resources import drivers

HERE = Target("here", parse("host://"))
ALL = ("online", "cpu.percent", "memory.percent", "disk.percent", "nic.up", "clock.synced", "boot.time")


def ask(link: HostLink, *addresses: str, walks: tuple[str, ...] = ()) -> Answers:
    async def once() -> Answers:
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        link.ask(HERE, Plan(addresses, walks), answered.set_result)
        assert not answered.done(), "done was called from inside ask"
        return await asyncio.wait_for(answered, 2.0)

    return asyncio.run(once())


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    moment = time.monotonic() + seconds
    monkeypatch.setattr("edgeagent.links.host.time", SimpleNamespace(monotonic=lambda: moment))


def test_every_address_of_the_plan_is_answered_once_and_not_from_inside_ask() -> None:
    answers = ask(HostLink(), *ALL, "fan.speed", walks=("processes",))
    assert set(answers) == {*ALL, "fan.speed", "processes"}
    assert answers["fan.speed"] is Missing.ABSENT
    assert answers["processes"] is Missing.ABSENT


def test_the_figures_are_those_of_this_machine() -> None:
    answers = ask(HostLink(), "online", "memory.percent", "disk.percent", "boot.time")
    assert answers["online"] == 1
    assert answers["memory.percent"] == pytest.approx(psutil.virtual_memory().percent, abs=10)
    assert answers["disk.percent"] == pytest.approx(psutil.disk_usage("/").percent, abs=2)
    assert answers["boot.time"] == pytest.approx(psutil.boot_time(), abs=2)


def test_the_processor_is_unknown_until_there_is_something_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    percents = iter([0.0, 42.0, 77.0])
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: next(percents))
    link = HostLink()
    assert ask(link, "cpu.percent") == {"cpu.percent": Missing.BUSY}
    later(monkeypatch, 1.0)
    assert ask(link, "cpu.percent") == {"cpu.percent": 42.0}


def test_two_who_ask_in_the_same_moment_get_the_same_processor_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    percents = iter([0.0, 42.0, 0.0])
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: next(percents))
    link = HostLink()
    later(monkeypatch, 1.0)
    assert [ask(link, "cpu.percent")["cpu.percent"] for _ in range(2)] == [42.0, 42.0]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("net_if_stats", "nic.up"),
        ("disk_usage", "disk.percent"),
        ("boot_time", "boot.time"),
        ("virtual_memory", "memory.percent"),
    ],
)
def test_what_psutil_lacks_on_a_platform_is_absent_and_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    link = HostLink()
    monkeypatch.delattr(psutil, name)
    answers = ask(link, "online", address)
    assert answers == {"online": 1, address: Missing.ABSENT}


@pytest.mark.parametrize(
    ("trouble", "missing"),
    [
        (PermissionError(), Missing.DENIED),
        (OSError(5, "Input/output error"), Missing.ERROR),
        (psutil.Error(), Missing.ERROR),
        (RuntimeError(), Missing.ERROR),
        (NotImplementedError(), Missing.ABSENT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.value,
)
def test_trouble_in_psutil_becomes_a_reason(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception, missing: Missing
) -> None:
    def fail() -> None:
        raise trouble

    monkeypatch.setattr(psutil, "virtual_memory", fail)
    assert ask(HostLink(), "memory.percent", "online") == {"memory.percent": missing, "online": 1}


def test_a_system_volume_on_the_network_is_not_asked_because_it_could_block(monkeypatch: pytest.MonkeyPatch) -> None:
    def block(path: str) -> None:
        pytest.fail(f"asked {path}")

    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [SimpleNamespace(mountpoint="/", fstype="nfs4")])
    monkeypatch.setattr(psutil, "disk_usage", block)
    assert ask(HostLink(), "disk.percent") == {"disk.percent": Missing.ABSENT}


def _card(*, isup: bool, flags: str = "up,broadcast") -> SimpleNamespace:
    return SimpleNamespace(isup=isup, flags=flags)


@pytest.mark.parametrize(
    ("cards", "real", "up"),
    [
        ({"lo": _card(isup=True, flags="up,loopback"), "eth0": _card(isup=True)}, ("eth0",), 1),
        ({"lo": _card(isup=True, flags="up,loopback"), "eth0": _card(isup=False)}, ("eth0",), 0),
        ({"docker0": _card(isup=True), "eth0": _card(isup=False)}, ("eth0",), 0),
        ({"eth0": _card(isup=False), "wlan0": _card(isup=True)}, ("eth0", "wlan0"), 1),
        ({"veth1": _card(isup=True)}, (), 1),
        ({"Loopback Pseudo-Interface 1": SimpleNamespace(isup=True)}, (), Missing.ABSENT),
    ],
    ids=["up", "down", "a-bridge-is-no-witness", "one-of-two", "container", "loopback-only"],
)
def test_the_network_is_up_when_a_real_interface_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cards: dict[str, object], real: tuple[str, ...], up: int
) -> None:
    for name in real:
        (tmp_path / name / "device").mkdir(parents=True)
    monkeypatch.setattr("edgeagent.links.host._NETWORK", tmp_path)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: cards)
    assert ask(HostLink(), "nic.up") == {"nic.up": up}


@pytest.mark.parametrize(
    ("prepare", "answer"),
    [
        (lambda folder: None, Missing.ABSENT),
        (lambda folder: folder.mkdir(), 0),
        (lambda folder: (folder.mkdir(), (folder / "synchronized").touch()), 1),
    ],
    ids=["another-time-service", "not-yet", "synchronised"],
)
def test_the_clock_is_synchronised_when_timesyncd_says_so(
    tmp_path: Path, prepare: Callable[[Path], object], answer: int | Missing
) -> None:
    folder = tmp_path / "timesync"
    prepare(folder)
    assert ask(HostLink(timesync=folder), "clock.synced") == {"clock.synced": answer}


def test_the_shipped_driver_reads_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = load([drivers()]).drivers["workstation/host"]
    link = HostLink()
    later(monkeypatch, 1.0)
    readings = decode(driver, ask(link, *driver.gets), now=1.0)
    for id in ("cpu", "memory", "disk"):
        assert readings[id].quality is Quality.GOOD, readings[id]
        assert isinstance(readings[id].value, (int, float))
    assert readings["online"].value is True


def test_it_runs_until_it_is_cancelled() -> None:
    async def run() -> bool:
        task = asyncio.create_task(HostLink().run())
        await asyncio.sleep(0)
        running = not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return running

    assert asyncio.run(run())
