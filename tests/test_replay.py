"""A capture served as the device it was taken from: what it says, and what is no capture."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.captures import answer_line, load
from edgeagent.driverfiles import load as load_drivers
from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target, open_link
from edgeagent.links.snmp import SnmpLink
from edgeagent.masking import shape
from edgeagent.mistakes import Mistakes
from edgeagent.probe import NoAnswer, ask, plan_of, probe, read
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.record import record
from edgeagent.replay import ReplayedDevice
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice, SimulationError
from tests.rig import edgeagent, environment, invoke

CATALOG: Final = load_drivers([drivers()])
WALKS: Final = Path(__file__).parent.parent.parent / "shared" / "captures"
DSE: Final = "generator/dse-gencomm"
TREE: Final = "1.3.6.1.4.1.99999.1"
URLS: Final = {"snmp": "snmp://127.0.0.1:{}?version={}&community=floor-read", "modbus": "modbus://127.0.0.1:{}?unit=7"}


def url(protocol: str, port: int = 0, version: str = "2c") -> str:
    return URLS[protocol].format(port, version)


async def served(device: Any, protocol: str, use: Callable[[str], Awaitable[Any]], version: str = "2c") -> Any:  # noqa: ANN401
    """Serve a device for as long as `use` takes, which gets its URL."""
    serving = await device.serve(parse(url(protocol, 0, version)))
    try:
        return await use(url(protocol, serving.port, version))
    finally:
        await serving.stop()


async def asked(where: str, *gets: str, walks: tuple[str, ...] = (), within: float = 20.0) -> Answers:
    endpoint = parse(where)
    link = open_link(endpoint)
    running = asyncio.create_task(link.run())
    try:
        return await ask(link, Target("test", endpoint, timeout=within), Plan(gets, walks))
    finally:
        running.cancel()
        await asyncio.wait([running])


async def probed(where: str, driver: str | None = None) -> dict[str, Any]:
    named = CATALOG.drivers[driver] if driver else None
    return (await probe(CATALOG, parse(where), named, 3.0, 0.0)).as_json()


@pytest.mark.parametrize(
    ("id", "values"),
    [
        ("ups/apc-powernet", {"source": "battery", "battery.charge": 63.0, "alarms": frozenset({"battery-low"})}),
        ("ups/rfc1628", {"source": "bypass", "alarms": frozenset({"on-bypass"})}),
        (
            "generator/dse-gencomm",
            {"state": "running", "output.voltage.l2": 231.4, "alarms": frozenset({"fuel-low.warning"})},
        ),
        ("ats/socomec-atys", {"position": "generator"}),
    ],
)
def test_a_replayed_record_reads_as_the_device_that_was_recorded(
    id: str, values: dict[str, Any], tmp_path: Path
) -> None:
    driver = CATALOG.drivers[id]
    file = tmp_path / ("record.snmprec" if driver.protocol == "snmp" else "record.rec")

    async def first(where: str) -> dict[str, Any]:
        found = await probed(where)
        file.write_text(await record(CATALOG, parse(where), driver, 3.0), encoding="utf-8")
        return found

    def device() -> SimulatedDevice:
        simulated = SimulatedDevice(driver)
        for point, value in values.items():
            if point in driver.points:
                simulated.set(point, value)
        return simulated

    shown = asyncio.run(served(device(), driver.protocol, first))
    again = asyncio.run(served(ReplayedDevice(file), driver.protocol, probed))
    assert shown["driver"] == id
    assert shown["alarms"] or id == "ats/socomec-atys"
    serial, hidden = shown["identity"].pop("serial", None), again["identity"].pop("serial", None)
    assert again == shown
    assert (serial is None) == (hidden is None)
    assert serial is None or hidden in (shape(serial.encode()).decode(), "1")


@pytest.mark.parametrize("name", sorted(path.name for path in WALKS.glob("*.snmprec")))
def test_a_walk_of_a_real_device_is_served_as_it_was_written_down(name: str) -> None:
    device = ReplayedDevice(WALKS / name)
    driver = CATALOG.drivers["ups/rfc1628"]
    plan = plan_of(driver)
    wanted = read(driver, device.capture.answers(plan.gets, plan.walks), 0.0).as_json()
    found = asyncio.run(served(device, "snmp", lambda where: probed(where, "ups/rfc1628")))
    for key in ("identity", "readings", "alarms"):
        assert found[key] == wanted[key]


def objects(tmp_path: Path, *lines: str, name: str = "made-up.snmprec") -> ReplayedDevice:
    file = tmp_path / name
    file.write_text("\n".join(lines), encoding="utf-8")
    return ReplayedDevice(file)


TYPES: Final[dict[str, tuple[str, Raw]]] = {
    "INTEGER": ("2|-5", -5),
    "INTEGER of 64 bits": (f"2|{2**40}", 2**40),
    "text": ("4|On | Line", b"On | Line"),
    "empty text": ("4|", b""),
    "hex": ("4x|00ff7C0a", b"\x00\xff|\n"),
    "NULL": ("5|", Missing.NULL),
    "OBJECT IDENTIFIER": ("6|1.3.6.1.4.1.318", "1.3.6.1.4.1.318"),
    "OBJECT IDENTIFIER with a dot": ("6|.1.3.6.1.2", "1.3.6.1.2"),
    "the empty row": ("6|0.0", "0.0"),
    "IpAddress": ("64|192.0.2.7", bytes((192, 0, 2, 7))),
    "IpAddress in hex": ("64x|c0000207", bytes((192, 0, 2, 7))),
    "Counter32": ("65|4294967295", 2**32 - 1),
    "Gauge32": ("66|2312", 2312),
    "TimeTicks": ("67|70494480", 70494480),
    "Opaque": ("68x|9f780443660000", bytes.fromhex("9f780443660000")),
    "Counter64": (f"70|{2**64 - 1}", 2**64 - 1),
    "a number with its unit": ("66|2312 dV", 2312),
}


@pytest.mark.parametrize("version", ["1", "2c"])
def test_every_type_comes_over_the_wire_as_it_was_recorded(version: str, tmp_path: Path) -> None:
    lines = [f"{TREE}.{place}.0|{line}" for place, (line, _) in enumerate(TYPES.values(), 1)]
    wanted = {f"{TREE}.{place}.0": raw for place, (_, raw) in enumerate(TYPES.values(), 1)}
    if version == "1":  # which has no Counter64 (RFC 3584 §4.2.2.1)
        wanted = {oid: Missing.ABSENT if raw == 2**64 - 1 else raw for oid, raw in wanted.items()}
    answers = asyncio.run(served(objects(tmp_path, *lines), "snmp", lambda where: asked(where, *wanted), version))
    assert answers == wanted


def test_a_record_of_a_replay_is_the_record(tmp_path: Path) -> None:
    lines = [
        "1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.318.1.3.27", "1.3.6.1.2.1.33.1.1.1.0|4|APC", f"{TREE}.1.0|2|-5",
        f"{TREE}.2.0|4|On | Line", f"{TREE}.3.0|4x|00ff7c0a", f"{TREE}.4.0|5|", f"{TREE}.5.0|64|192.0.2.1",
        f"{TREE}.6.0|65|7", f"{TREE}.7.0|66|2312", f"{TREE}.8.0|67|99", f"{TREE}.9.0|68x|9f780443660000",
        f"{TREE}.10.0|70|18446744073709551615",
    ]  # fmt: skip
    again = asyncio.run(
        served(objects(tmp_path, *lines), "snmp", lambda where: record(CATALOG, parse(where), None, 3.0))
    )
    assert again.splitlines() == lines


def test_an_object_that_was_not_recorded_is_absent_and_a_walk_ends(tmp_path: Path) -> None:
    device = objects(tmp_path, f"{TREE}.1.1|2|1", f"{TREE}.1.2|2|2", f"{TREE}.3.0|2|3")
    use = lambda where: asked(where, f"{TREE}.2.0", f"{TREE}.3.0", walks=(f"{TREE}.1",))  # noqa: E731
    assert asyncio.run(served(device, "snmp", use)) == {
        f"{TREE}.2.0": Missing.ABSENT, f"{TREE}.3.0": 3, f"{TREE}.1": 2, f"{TREE}.1.1": 1, f"{TREE}.1.2": 2,
    }  # fmt: skip


def test_a_wrong_community_gets_no_answer(tmp_path: Path) -> None:
    async def use(where: str) -> Answers:
        return await asked(where.replace("floor-read", "guessed"), f"{TREE}.1.0", within=1.0)

    device = objects(tmp_path, f"{TREE}.1.0|2|1")
    assert asyncio.run(served(device, "snmp", use)) == {f"{TREE}.1.0": Missing.TIMEOUT}


def test_a_gap_in_a_modbus_capture_is_refused(tmp_path: Path) -> None:
    device = objects(
        tmp_path, "# generator/dse-gencomm", "h10|int|1", "h11|missing|absent", "h12|int|65535", "c3|int|1", "d0|int|0",
        "i7|int|9", name="made-up.rec",
    )  # fmt: skip
    gets = ("h10", "h11", "h12", "h13", "c3", "d0", "i7", "i8")
    assert asyncio.run(served(device, "modbus", lambda where: asked(where, *gets))) == {
        "h10": 1, "h11": Missing.ABSENT, "h12": 65535, "h13": Missing.ABSENT, "c3": 1, "d0": 0, "i7": 9,
        "i8": Missing.ABSENT,
    }  # fmt: skip
    assert device.capture.driver == "generator/dse-gencomm"


@pytest.mark.parametrize("protocol", ["snmp", "modbus"])
def test_a_replayed_device_can_fall_silent_and_come_back(protocol: str, tmp_path: Path) -> None:
    device = objects(tmp_path, f"{TREE}.1.0|2|5") if protocol == "snmp" else objects(tmp_path, "h1|int|5", name="a.rec")
    address = f"{TREE}.1.0" if protocol == "snmp" else "h1"

    async def use(where: str) -> list[Raw]:
        found = []
        for word, within in (("silence", 1.0), ("answer", 20.0)):
            assert device.command(word, 0.0) == "ok"
            found.append((await asked(where, address, within=within))[address])
        return found

    assert asyncio.run(served(device, protocol, use)) == [Missing.TIMEOUT, 5]
    assert device.command("show", 0.0) == f"{address} = 5"
    with pytest.raises(SimulationError, match="silence"):
        device.command("silense", 0.0)


WRONG: Final = {
    "no fields": ("1.3.6.1.4.1.9.1", "address|type|value"),
    "no OID": ("sysDescr|4|x", "is no OID"),
    "an OID of nowhere": ("9.3.6|4|x", "is no OID"),
    "an unknown tag": ("1.3.6.1|99|x", "unknown tag"),
    "a simulation module": ("1.3.6.1|2:numeric|rate=1", "unknown tag"),
    "no number": ("1.3.6.1|2|many", "no whole number"),
    "a number too large": ("1.3.6.1|65|4294967296", "no whole number"),
    "a negative gauge": ("1.3.6.1|66|-1", "no whole number"),
    "an endless number": (f"1.3.6.1|2|{'9' * 5000}", "no whole number"),
    "no hex": ("1.3.6.1|4x|0g", "hexadecimal"),
    "half an octet": ("1.3.6.1|4x|abc", "hexadecimal"),
    "no address": ("1.3.6.1|64|192.0.2.300", "IPv4"),
    "an address too short": ("1.3.6.1|64x|c00002", "IPv4"),
    "an OID that is none": ("1.3.6.1|6|sysUpTime", "value is no OID"),
}
WRONG_ANSWERS: Final = {
    "no fields": ("h1", "address|type|value"),
    "an address too high": ("h65536|int|1", "no address"),
    "a register too large": ("h1|int|65536", "does not fit"),
    "a negative register": ("i1|int|-1", "does not fit"),
    "a bit too large": ("c1|int|2", "does not fit"),
    "a register of floats": ("h1|float|1.5", "int or missing"),
    "an unknown reason": ("h1|missing|gone", "unknown reason"),
    "an unknown type": ("cpu.percent|double|1", "unknown type"),
    "no hex": ("I:0|bytes|xyz", "hexadecimal"),
    "no float": ("cpu.percent|float|fast", "float"),
}


@pytest.mark.parametrize(
    ("suffix", "line", "told"),
    [(".snmprec", *case) for case in WRONG.values()] + [(".rec", *case) for case in WRONG_ANSWERS.values()],
    ids=[*WRONG, *(f"register: {name}" for name in WRONG_ANSWERS)],
)
def test_a_line_that_is_not_understood_is_told_with_its_number(
    suffix: str, line: str, told: str, tmp_path: Path
) -> None:
    file = tmp_path / f"wrong{suffix}"
    file.write_text(f"# comment\n\n{line}\n", encoding="utf-8")
    with pytest.raises(Mistakes) as error:
        load(file)
    (mistake,) = error.value.found
    assert (mistake.line, told in mistake.text) == (3, True), mistake


def test_all_mistakes_are_told_at_once_and_twice_is_one(tmp_path: Path) -> None:
    file = tmp_path / "wrong.snmprec"
    file.write_bytes(b"1.3.6.1|2|1\r\n.1.3.6.1|2|2\n\xff\xfe|4|x\n1.3.6.2|\xff|x\n")
    with pytest.raises(Mistakes) as error:
        load(file)
    assert [mistake.line for mistake in error.value.found] == [2, 3, 4]


@given(st.binary(max_size=200), st.sampled_from([".rec", ".snmprec"]))
def test_no_bytes_make_reading_a_capture_fail_in_any_other_way(data: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"any{suffix}"
        file.write_bytes(data.replace(b",", b"|"))
        try:
            found: object = load(file).objects
        except Mistakes as error:
            found = error.found
    assert found


@pytest.mark.parametrize(
    ("name", "told"), [("empty.rec", "nothing"), ("walk.txt", ".snmprec"), ("c.snmprec", "nothing")]
)
def test_what_is_no_capture_is_told(name: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text("# nothing here\n", encoding="utf-8")
    with pytest.raises(Mistakes, match=told):
        load(file)


def test_a_record_of_this_host_is_one(tmp_path: Path) -> None:
    file = tmp_path / "host.rec"
    file.write_text(asyncio.run(record(CATALOG, parse("host://"), None, 3.0)), encoding="utf-8")
    capture = load(file)
    assert (capture.protocol, capture.driver) == ("host", "workstation/host")
    assert capture.objects["online"] == (0, 1)


def test_records_of_other_devices_are_read_too(tmp_path: Path) -> None:
    known: dict[str, tuple[str, Raw]] = {
        "cpu.percent": ("float|3.5", 3.5), "nic.up": ("bool|True", True), "os": ("str|Debian | 12", "Debian | 12"),
        "raw": ("bytes|00ff", b"\x00\xff"), "Q1:0": ("text|208.4", b"208.4"), "gone": ("missing|null", Missing.NULL),
    }  # fmt: skip
    file = tmp_path / "ups.rec"
    file.write_text("".join(f"{address}|{line}\n" for address, (line, _) in known.items()), encoding="utf-8")
    capture = load(file)
    assert capture.protocol == "serial"
    assert {address: raw for address, (_, raw) in capture.objects.items()} == {
        address: raw for address, (_, raw) in known.items()
    }
    assert "".join(answer_line(address, raw) for address, (_, raw) in capture.objects.items()) == file.read_text()


@pytest.mark.parametrize(
    ("name", "line", "listen", "told"),
    [
        ("a.rec", "cpu.percent|float|3.5", "modbus://127.0.0.1:0?unit=1", "host capture cannot be served"),
        ("a.rec", "h1|int|1", "snmp://127.0.0.1:0", "a capture of modbus, not snmp"),
        ("a.snmprec", "1.3.6.1|2|1", "modbus://127.0.0.1:0?unit=1", "a capture of snmp, not modbus"),
        ("a.rec", "h1|int|1", "modbus://192.0.2.1:0?unit=1", "not a loopback address"),
        ("a.rec", "h1|int|many", "modbus://127.0.0.1:0?unit=1", "no whole number"),
        ("a.rec", "h1|int|1", "modbus://127.0.0.1:0", "unit id is missing"),
    ],
)
def test_the_command_line_says_what_cannot_be_replayed(
    name: str, line: str, listen: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(line, encoding="utf-8")
    done = invoke("replay", tmp_path / name, "--listen", listen)
    assert done.exit_code == 2
    assert told in done.output


def test_a_capture_that_is_not_there_is_told() -> None:
    done = invoke("replay", "/nowhere/walk.snmprec", "--listen", "snmp://127.0.0.1:0")
    assert done.exit_code == 2
    assert "/nowhere/walk.snmprec: No such file" in done.output


def test_a_replay_answers_a_probe_until_it_is_told_to_quit() -> None:
    file = Path(__file__).parent / "captures" / "generator" / "dse-gencomm_fail-to-start.rec"
    command = [sys.executable, "-m", "edgeagent", "replay", str(file), "--listen", "modbus://127.0.0.1:0?unit=10"]
    process = subprocess.Popen(
        command, cwd="/", env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().rsplit(" ", 1)[1].strip()
        done = edgeagent("probe", f"modbus://127.0.0.1:{port}?unit=10", "--driver", DSE, "--json")
        out, _ = process.communicate("quit\n", 30)
    finally:
        process.kill()
        process.wait()
    assert done.returncode == 0, done.stderr
    found, golden = json.loads(done.stdout), json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert {key: found[key] for key in golden} == golden
    assert process.returncode == 0, out


def test_a_replay_ends_by_itself(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_text("h1|int|1\n", encoding="utf-8")
    done = edgeagent("replay", tmp_path / "a.rec", "--listen", "modbus://127.0.0.1:0?unit=1", "--for", "0.1")
    assert done.returncode == 0, done.stderr
    assert "answers on 127.0.0.1 port" in done.stdout


def test_nothing_answers_after_the_end(tmp_path: Path) -> None:
    async def use() -> None:
        device = objects(tmp_path, "1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.318.1.3.27")
        serving = await device.serve(parse(url("snmp")))
        await serving.stop()
        await probe(CATALOG, parse(url("snmp", serving.port)), None, 0.3, 0.0)

    with pytest.raises(NoAnswer):
        asyncio.run(use())


def test_a_walk_of_a_replay_is_whole(tmp_path: Path) -> None:
    lines = [f"{TREE}.{table}.{row}|2|{row}" for table in (1, 2, 10) for row in range(1, 40)]

    async def use(where: str) -> list[Any]:
        link = SnmpLink()
        running = asyncio.create_task(link.run())
        try:
            return list(await link.walk_all(Target("test", parse(where)), (TREE,), 500))
        finally:
            running.cancel()
            await asyncio.wait([running])

    rows = asyncio.run(served(objects(tmp_path, *reversed(lines)), "snmp", use))
    assert [f"{oid}|{tag}|{raw}" for oid, tag, raw in rows] == lines
