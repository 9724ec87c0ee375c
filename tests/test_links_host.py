from __future__ import annotations

import asyncio
import sys
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
from edgeagent.usbdevices import Streams

HERE = Target("here", parse("host://"))
ALL = ("online", "cpu.percent", "memory.percent", "disk.percent", "nic.up", "clock.synced", "boot.time")


def ask(link: HostLink, *addresses: str, walks: tuple[str, ...] = ()) -> Answers:
    async def once() -> Answers:
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        link.ask(HERE, Plan(addresses, walks), answered.set_result)
        assert not answered.done(), "done was called from inside ask"
        return await asyncio.wait_for(answered, 20.0)

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


def of(**figures: int) -> SimpleNamespace:
    return SimpleNamespace(
        **{"packets_recv": 0, "packets_sent": 0, "errin": 0, "errout": 0, "dropin": 0, "dropout": 0} | figures
    )


@pytest.mark.parametrize(
    ("samples", "percents"),
    [
        ([{"eth0": of(packets_recv=5)}], [Missing.BUSY]),
        ([{}], [Missing.ABSENT]),
        ([{"lo": of()}], [Missing.ABSENT]),
        ([{"eth0": of()}, {"eth0": of(packets_recv=9000, packets_sent=1000, errin=9, dropout=1)}], [Missing.BUSY, 0.1]),
        ([{"eth0": of()}, {"eth0": of(packets_recv=10, errin=5)}], [Missing.BUSY, 0.5]),
        ([{"eth0": of()}, {"eth0": of(packets_recv=10_000, dropin=5000)}], [Missing.BUSY, 0.0]),
        ([{"eth0": of(errin=9)}, {"eth0": of(packets_recv=5000, errin=4)}], [Missing.BUSY, 0.0]),
        ([{"eth0": of()}, {"wlan0": of(errin=5)}, {"wlan0": of(errin=5)}], [Missing.BUSY, Missing.BUSY, 0.0]),
    ],
    ids=["first-look", "no-card", "loopback", "lossy", "idle", "foreign-protocols", "began-anew", "another-card"],
)  # fmt: skip
def test_lost_packets_are_those_since_the_last_sample(
    monkeypatch: pytest.MonkeyPatch, samples: list[dict[str, object]], percents: list[float | Missing]
) -> None:
    monkeypatch.setattr("edgeagent.links.host._NETWORK", Path("/nonexistent"))
    rows = iter(samples)
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: next(rows))
    link = HostLink()
    assert [link.sample(["net.errors"])["net.errors"] for _ in samples] == percents


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put a /proc and a list of sessions in the place of this machine's own."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    monkeypatch.setattr(psutil, "users", list)
    monkeypatch.setattr("edgeagent.links.host._SESSIONS", tmp_path / "sessions")
    (tmp_path / "sessions").mkdir()
    (tmp_path / "stat").write_text("cpu  1 0 1 97 1 0 0 0 0 0\n")
    return tmp_path


def start(proc: Path, pid: int, name: str) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "comm").write_text(f"{name}\n")


def softphone(link: HostLink) -> object:
    return link.sample(["softphone"])["softphone"]


linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")


@linux
def test_the_softphone_runs_when_one_of_its_names_does(proc: Path) -> None:
    start(proc, 1, "init")
    start(proc, 20, "sip-client")
    assert softphone(HostLink(softphone=["other", "sip-client"])) == 1
    assert softphone(HostLink(softphone=["sip"])) is Missing.NULL
    assert softphone(HostLink()) is Missing.ABSENT


@linux
def test_a_long_name_is_known_by_what_the_kernel_keeps_of_it_and_no_command_line_is_read(proc: Path) -> None:
    start(proc, 20, "customer-servic")
    (proc / "20" / "cmdline").mkdir()  # whoever reads it fails
    assert softphone(HostLink(softphone=["customer-service-softphone"])) == 1


@linux
def test_a_softphone_is_missed_only_while_somebody_is_logged_on(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(proc, 1, "init")
    link = HostLink(softphone=["phone"])
    assert softphone(link) is Missing.NULL
    (proc / "sessions" / "c1").write_text("UID=0\nCLASS=greeter\n")
    assert softphone(link) is Missing.NULL
    (proc / "sessions" / "1").write_text("UID=1000\nUSER=somebody\nCLASS=user\nTYPE=x11\n")
    assert softphone(link) == 0
    (proc / "sessions" / "1").unlink()
    monkeypatch.setattr(psutil, "users", lambda: [SimpleNamespace(name="somebody")])
    assert softphone(link) == 0


@linux
def test_while_the_softphone_runs_no_other_process_is_looked_at(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(proc, 20, "phone")
    link = HostLink(softphone=["phone"])
    assert softphone(link) == 1
    monkeypatch.setattr(psutil, "pids", lambda: pytest.fail("looked at all processes"))
    assert softphone(link) == 1


@linux
def test_a_softphone_that_was_started_again_or_whose_number_went_to_another_is_seen(proc: Path) -> None:
    start(proc, 20, "phone")
    (proc / "sessions" / "1").write_text("CLASS=user\n")
    link = HostLink(softphone=["phone"])
    assert softphone(link) == 1
    (proc / "20" / "comm").write_text("bash\n")
    assert softphone(link) == 0
    start(proc, 21, "phone")
    assert softphone(link) == 1


def supply(folder: Path, name: str, **files: str) -> None:
    (folder / name).mkdir()
    for file, text in files.items():
        (folder / name / file).write_text(f"{text}\n")


@linux
@pytest.mark.parametrize(
    ("supplies", "charge", "charging"),
    [
        ({}, Missing.ABSENT, Missing.ABSENT),
        ({"AC": {"type": "Mains", "online": "1"}}, Missing.ABSENT, Missing.ABSENT),
        ({"BAT0": {"type": "Battery", "capacity": "57", "status": "Discharging"}}, 57.0, 0),
        ({"BAT0": {"type": "Battery", "capacity": "57", "status": "Charging", "scope": "System"}}, 57.0, 1),
        (
            {
                "BAT0": {"type": "Battery", "capacity": "90", "status": "Full"},
                "BAT1": {"type": "Battery", "capacity": "10", "status": "Discharging"},
            },
            50.0,
            0,
        ),
        (
            {"hid-50C275A1-battery": {"type": "Battery", "capacity": "7", "status": "Discharging", "scope": "Device"}},
            Missing.ABSENT,
            Missing.ABSENT,
        ),
        (
            {
                "hidpp_battery_0": {"type": "Battery", "capacity": "7", "status": "Discharging", "scope": "Device"},
                "BAT0": {"type": "Battery", "capacity": "80", "status": "Charging"},
            },
            80.0,
            1,
        ),
    ],
    ids=["none", "mains", "laptop", "charging", "two", "headset-alone", "headset-beside"],
)  # fmt: skip
def test_a_headsets_battery_is_not_the_machines(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    supplies: dict[str, dict[str, str]],
    charge: object,
    charging: object,
) -> None:
    for name, files in supplies.items():
        supply(tmp_path, name, **files)
    monkeypatch.setattr("edgeagent.links.host._SUPPLY", tmp_path)
    assert HostLink().sample(["battery.percent", "battery.charging"]) == {
        "battery.percent": charge, "battery.charging": charging,
    }  # fmt: skip


@linux
@pytest.mark.parametrize(("mode", "percent"), [("0", Missing.ABSENT), ("1", Missing.ABSENT), ("2", 75.0)])
def test_what_linux_has_promised_counts_where_it_keeps_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str, percent: object
) -> None:
    (tmp_path / "sys/vm").mkdir(parents=True)
    (tmp_path / "sys/vm/overcommit_memory").write_text(f"{mode}\n")
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nCommitLimit: 1000 kB\nCommitted_AS: 750 kB\n")
    link = HostLink()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert link.sample(["memory.commit"]) == {"memory.commit": percent}


@pytest.mark.parametrize(
    ("heard", "capture", "render"),
    [
        (None, Missing.ABSENT, Missing.ABSENT),
        (Streams(capture=True, render=True), 1, 1),
        (Streams(capture=False, render=True), 0, 1),
    ],
    ids=["no-alsa", "both", "no-microphone"],
)
def test_a_device_to_record_and_one_to_play_are_there_or_not(
    monkeypatch: pytest.MonkeyPatch, heard: Streams | None, capture: object, render: object
) -> None:
    monkeypatch.setattr("edgeagent.links.host.streams", lambda: heard)
    assert HostLink().sample(["audio.capture", "audio.render"]) == {"audio.capture": capture, "audio.render": render}


def test_what_windows_alone_tells_is_absent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    link = HostLink()
    monkeypatch.setattr("edgeagent.links.host.sys", SimpleNamespace(platform="win32"))
    monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    asked = ("memory.commit", "audio.capture", "battery.percent")
    assert link.sample(asked) == dict.fromkeys(asked, Missing.ABSENT)


def _address(text: str) -> SimpleNamespace:
    return SimpleNamespace(family=psutil.AF_LINK, address=text)


def test_a_machine_is_known_by_the_cards_that_makers_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {
        "lo": [_address("00:00:00:00:00:00")],
        "wlan0": [_address("b8-27-EB-00-00-02"), SimpleNamespace(family=2, address="10.0.0.7")],
        "eth0": [_address("3c:52:82:00:00:01")],
        "docker0": [_address("02:42:ac:11:00:02")],
        "ib0": [_address("80:00:00:00:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:29:26:52")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: cards)
    assert HostLink().hardware() == "3c:52:82:00:00:01 b8:27:eb:00:00:02"


def test_a_machine_without_such_a_card_is_known_by_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"veth0": [_address("02:42:ac:11:00:02")]})
    file = Path("/etc/machine-id")
    assert HostLink().hardware() == (file.read_text().strip() if file.exists() else "")


def test_the_agent_that_answers_here_runs() -> None:
    assert HostLink().sample(["agent.state"]) == {"agent.state": "running"}
