"""Modbus links against pymodbus's own server, against our simulator, and against peers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edgeagent.endpoint import parse
from edgeagent.items import Quirks
from edgeagent.links import Plan, Target
from edgeagent.links.modbus import ModbusLink
from edgeagent.readings import Answers, Missing, Raw, silence
from edgeagent.simulators.modbus import ModbusServer, crc

needs_socat = pytest.mark.skipif(shutil.which("socat") is None, reason="socat makes the serial lines of these tests")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate of this test")

PLAN = Plan(("h0", "h1", "h2", "h9", "i4", "i5", "c0", "c1", "c10", "d3"))
IMAGE = {"h0": 17, "h1": 65535, "h2": 0, "h9": 4660, "i4": 7, "i5": 8, "c0": 1, "c1": 0, "c10": 1, "d3": 1}
FILLED = {**{f"h{n}": 0 for n in range(10)}, **{f"c{n}": 0 for n in range(11)}, **IMAGE}


def go(story: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(story, 120)

    asyncio.run(bounded())


def addresses(table: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{table}{number}" for number in numbers)


def target(url: str, timeout: float = 60.0, patience: float = 4.0, **quirks: object) -> Target:
    """Poll within `timeout` s, wait `patience` s for one answer: longer than a machine stands still."""
    return Target("device", parse(url), replace(Quirks(timeout=patience), **quirks), timeout)  # type: ignore[arg-type]


def hasty(url: str, **quirks: object) -> Target:
    """Wait less for an answer, for tests of what comes late or never."""
    return target(url, 60.0, 0.3, **quirks)


@contextlib.asynccontextmanager
async def running(url: str, recheck: float = 60.0) -> AsyncIterator[ModbusLink]:
    link = ModbusLink(parse(url), recheck=recheck)
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def start(link: ModbusLink, target: Target, gets: Sequence[str]) -> asyncio.Future[Answers]:
    """Ask, and fail when the answer comes twice."""
    answer: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
    link.ask(target, Plan(tuple(gets)), answer.set_result)
    assert not answer.done()
    return answer


async def ask(link: ModbusLink, target: Target, gets: Sequence[str] = PLAN.gets) -> dict[str, Raw]:
    answers = await start(link, target, gets)
    assert set(answers) == set(gets)
    return dict(answers)


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def until_good(link: ModbusLink, target: Target, gets: Sequence[str], within: float = 60.0) -> dict[str, Raw]:
    end = time.monotonic() + within
    while time.monotonic() < end:
        answers = await ask(link, target, gets)
        if not any(isinstance(raw, Missing) for raw in answers.values()):
            return answers
        await asyncio.sleep(0.05)
    raise AssertionError(f"no good answer within {within} s, last {answers}")


@contextlib.asynccontextmanager
async def serving(server: ModbusServer) -> AsyncIterator[str]:
    """Start a simulator and give the URL it is reached at."""
    port = await server.start()
    try:
        yield server.url.replace(":0?", f":{port}?")
    finally:
        await server.stop()


class Line:
    """Two serial ports joined by socat, which can be pulled apart."""

    def __init__(self, directory: Path) -> None:
        self.here = directory / "here"
        self.there = directory / "there"
        self.plug()

    def plug(self) -> None:
        ends = [f"pty,raw,echo=0,link={end}" for end in (self.here, self.there)]
        self._socat = subprocess.Popen(["socat", *ends])
        end = time.monotonic() + 30
        while not (self.here.exists() and self.there.exists()):
            assert time.monotonic() < end, "socat made no ports"
            time.sleep(0.01)

    def pull(self) -> None:
        self._socat.terminate()
        self._socat.wait()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.pull()


# --- decoding, against pymodbus's server ---------------------------------------------------------------------------


def device(unit: int = 1, action: Callable[..., Awaitable[ExcCodes | None]] | None = None) -> SimDevice:
    bits, registers = DataType.BITS, DataType.REGISTERS
    return SimDevice(
        unit,
        (
            [SimData(0, values=[FILLED[f"c{n}"] == 1 for n in range(11)] + [False] * 5, datatype=bits)],
            [SimData(0, values=[False, False, False, True] + [False] * 12, datatype=bits)],
            [SimData(0, values=[FILLED[f"h{n}"] for n in range(10)], datatype=registers)],
            [SimData(4, values=[7, 8], datatype=registers)],
        ),
        action=action,  # type: ignore[arg-type]
    )


@contextlib.asynccontextmanager
async def peer(
    devices: SimDevice | list[SimDevice], scheme: str = "modbus", port: int = 0, serial: Line | None = None
) -> AsyncIterator[str]:
    """Run pymodbus's own server and give the URL of unit 1."""
    server: ModbusTcpServer | ModbusSerialServer
    if serial is not None:
        server = ModbusSerialServer(devices, port=str(serial.there), baudrate=19200, framer=FramerType.RTU)
    else:
        framer = FramerType.RTU if scheme == "modbus+rtuovertcp" else FramerType.SOCKET
        server = ModbusTcpServer(devices, address=("127.0.0.1", port), framer=framer)
    await server.serve_forever(background=True)
    try:
        if serial is not None:
            yield f"modbus+rtu://{serial.here}?baud=19200&unit=1"
        else:
            yield f"{scheme}://127.0.0.1:{server.transport.sockets[0].getsockname()[1]}?unit=1"  # type: ignore[attr-defined]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("scheme", ["modbus", "modbus+rtuovertcp", pytest.param("modbus+rtu", marks=needs_socat)])
def test_pymodbus_server_reads_the_same_over_every_framing(scheme: str, request: pytest.FixtureRequest) -> None:
    serial = request.getfixturevalue("line") if scheme == "modbus+rtu" else None

    async def story() -> None:
        async with peer(device(), scheme, serial=serial) as url, running(url) as link:
            assert await ask(link, target(url)) == IMAGE
            assert await ask(link, target(url)) == IMAGE

    go(story())


@pytest.mark.parametrize("scheme", ["modbus", "modbus+rtuovertcp", pytest.param("modbus+rtu", marks=needs_socat)])
def test_the_simulator_is_read_like_pymodbus_server(scheme: str, request: pytest.FixtureRequest) -> None:
    async def story() -> None:
        url = f"{scheme}://127.0.0.1:0?unit=1"
        there = url
        if scheme == "modbus+rtu":
            line = request.getfixturevalue("line")
            url, there = f"modbus+rtu://{line.here}?unit=1", f"modbus+rtu://{line.there}?unit=1"
        server = ModbusServer({1: dict(FILLED)}, there)
        async with serving(server) as served, running(url := url if scheme == "modbus+rtu" else served) as link:
            assert await ask(link, target(url)) == IMAGE
            assert len(server.requests) == 4

    go(story())


@needs_socat
def test_an_adapter_that_echoes_is_read_when_the_url_says_so(line: Line) -> None:
    async def story() -> None:
        here, there = f"modbus+rtu://{line.here}?unit=1&echo=1", f"modbus+rtu://{line.there}?unit=1"
        server = ModbusServer({1: dict(FILLED)}, there)
        async with serving(server), running(here) as link:
            port = server._serial
            assert port is not None
            read = port.read

            def echoing(size: int) -> bytes:
                data = read(size)
                port.write(data)
                return data

            port.read = echoing  # type: ignore[method-assign,assignment]
            assert await ask(link, target(here)) == IMAGE
            server.silent.add(1)
            assert set((await ask(link, hasty(here))).values()) == {Missing.TIMEOUT}

    go(story())


@needs_openssl
def test_tls_is_spoken_with_a_device_whose_certificate_is_known(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-keyout", str(key), "-out", str(cert), "-subj", "/CN=genset"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )

    async def story() -> None:
        server = ModbusServer({1: dict(FILLED)}, f"modbus+tls://127.0.0.1:0?unit=1&cert={cert}&key={key}")
        async with serving(server) as served:
            url = served.partition("&")[0]
            async with running(url + f"&ca={cert}") as link:
                assert await ask(link, target(url + f"&ca={cert}")) == IMAGE
            async with running(url) as link:
                assert set((await ask(link, target(url))).values()) == {Missing.LINK_DOWN}
            async with running(url + "&ca=/nowhere.pem") as link:
                assert set((await ask(link, target(url + "&ca=/nowhere.pem"))).values()) == {Missing.LINK_DOWN}

    go(story())


# --- what is asked -------------------------------------------------------------------------------------------------


def test_units_behind_one_gateway_share_one_connection_and_neighbours_one_read() -> None:
    async def story() -> None:
        server = ModbusServer(
            {unit: {f"h{n}": unit * 100 + n for n in range(20)} for unit in (1, 2, 3)}, "modbus://127.0.0.1:0?unit=1"
        )
        async with serving(server) as url, running(url) as link:
            targets = [target(url.replace("unit=1", f"unit={unit}")) for unit in (1, 2, 3)]
            gets = addresses("h", 0, 1, 4, 19)
            asked = [start(link, one, gets) for one in targets * 2]
            answers = await asyncio.gather(*asked)
            assert [answer["h19"] for answer in answers] == [119, 219, 319] * 2
            assert server.connections == 1
            first = [
                (request.unit, request.function, request.address, request.quantity) for request in server.requests
            ][:4]
            assert first == [(1, 3, 0, 5), (1, 3, 19, 1), (2, 3, 0, 5), (2, 3, 19, 1)]
            assert len(server.requests) == 12

    go(story())


def test_a_refused_address_is_found_once_and_then_left_out() -> None:
    async def story() -> None:
        image = {f"h{n}": n for n in range(16) if n != 5}
        server = ModbusServer({1: image}, "modbus://127.0.0.1:0?unit=1")
        async with serving(server) as url, running(url) as link:
            gets, device = addresses("h", *range(16)), target(url)
            expected = {**image, "h5": Missing.ABSENT}
            assert await ask(link, device, gets) == expected
            assert len(server.requests) <= 1 + 2 * 4
            server.requests.clear()
            assert await ask(link, device, gets) == expected
            assert [(request.address, request.quantity) for request in server.requests] == [(0, 5), (6, 10)]

    go(story())


def test_a_hole_that_may_not_be_bridged_is_remembered() -> None:
    async def story() -> None:
        image = {f"h{n}": n for n in (0, 1, 6, 7, 9)}
        server = ModbusServer({1: image}, "modbus://127.0.0.1:0?unit=1")
        async with serving(server) as url, running(url) as link:
            for _ in range(2):  # one refused hole is found out in one poll
                assert await ask(link, target(url), tuple(image)) == image
            server.requests.clear()
            assert await ask(link, target(url), tuple(image)) == image
            assert [(request.address, request.quantity) for request in server.requests] == [(0, 2), (6, 2), (9, 1)]

    go(story())


def test_a_device_that_gives_less_at_a_time_than_its_driver_says_is_read_in_smaller_pieces() -> None:
    async def small(_fc: int, _start: int, _address: int, count: int, *_: object) -> ExcCodes | None:
        return ExcCodes.ILLEGAL_VALUE if count > 4 else None

    async def story() -> None:
        async with peer(device(action=small)) as url, running(url) as link:
            gets = addresses("h", *range(10))
            for _ in range(2):
                assert await ask(link, target(url), gets) == {name: FILLED[name] for name in gets}

    go(story())


def test_a_refused_address_is_tried_again_after_a_while() -> None:
    async def story() -> None:
        image = {"h0": 1, "h1": 2}
        server = ModbusServer({1: image}, "modbus://127.0.0.1:0?unit=1")
        async with serving(server) as url, running(url, recheck=0.2) as link:
            gets = ("h0", "h1", "h2")
            assert (await ask(link, target(url), gets))["h2"] is Missing.ABSENT
            image["h2"] = 3
            assert (await ask(link, target(url), gets))["h2"] is Missing.ABSENT
            assert await until_good(link, target(url), gets) == image

    go(story())


def test_what_is_known_to_be_refused_does_not_hide_silence() -> None:
    async def story() -> None:
        server = ModbusServer({1: {"h0": 1}}, "modbus://127.0.0.1:0?unit=1")
        async with serving(server) as url, running(url) as link:
            assert await ask(link, target(url), ("h0", "h1")) == {"h0": 1, "h1": Missing.ABSENT}
            server.silent.add(1)
            assert silence(await ask(link, hasty(url), ("h0", "h1"))) is Missing.TIMEOUT
            server.silent.clear()
            server.exceptions[1] = 11
            assert silence(await ask(link, target(url), ("h0", "h1"))) is Missing.GATEWAY
            await server.stop()
            await until(lambda: not server.clients)
            assert silence(await ask(link, target(url), ("h0", "h1"))) is Missing.LINK_DOWN

    go(story())


def test_a_device_that_refuses_all_is_asked_one_address_until_it_answers() -> None:
    async def story() -> None:
        image: dict[str, int] = {}
        server = ModbusServer({1: image}, "modbus://127.0.0.1:0?unit=1")
        async with serving(server) as url, running(url) as link:
            gets = addresses("h", *range(8))
            assert set((await ask(link, target(url), gets)).values()) == {Missing.ABSENT}
            server.requests.clear()
            assert set((await ask(link, target(url), gets)).values()) == {Missing.ABSENT}
            assert len(server.requests) == 1
            server.silent.add(1)
            assert silence(await ask(link, hasty(url), gets)) is Missing.TIMEOUT
            server.silent.clear()
            image.update(dict.fromkeys(gets, 4))
            assert await until_good(link, target(url), gets) == image

    go(story())


def test_a_group_is_asked_whole_or_not_at_all() -> None:
    async def story() -> None:
        image = {f"h{n}": n for n in range(100, 132)}
        server = ModbusServer({1: image}, "modbus://127.0.0.1:0?unit=1")
        grouped = target("modbus://127.0.0.1:1?unit=1", groups=(("h100", 32), ("h200", 32)))
        async with serving(server) as url, running(url) as link:
            answers = await ask(link, grouped, ("h101", "h131", "h204", "h205"))
            assert answers == {"h101": 101, "h131": 131, "h204": Missing.ABSENT, "h205": Missing.ABSENT}
            assert [(request.address, request.quantity) for request in server.requests] == [(100, 32), (200, 32)]
            assert await ask(link, grouped, ("h101", "h131", "h204", "h205")) == answers
            assert [request.address for request in server.requests] == [100, 200, 100]

    go(story())


# --- units that do not do well --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "missing", "asked"),
    [
        pytest.param(1, Missing.ERROR, 2, id="illegal function"),
        pytest.param(4, Missing.ERROR, 2, id="device failure"),
        pytest.param(5, Missing.BUSY, 4, id="acknowledge, asked twice"),
        pytest.param(6, Missing.BUSY, 4, id="busy, asked twice"),
        pytest.param(10, Missing.GATEWAY, 1, id="gateway path, asked once"),
        pytest.param(11, Missing.GATEWAY, 1, id="gateway target, asked once"),
    ],
)
def test_an_exception_stays_with_its_unit(code: int, missing: Missing, asked: int) -> None:
    async def story() -> None:
        server = ModbusServer({1: dict(FILLED), 2: dict(FILLED)}, "modbus://127.0.0.1:0?unit=1", exceptions={2: code})
        async with serving(server) as url, running(url) as link:
            sick = target(url.replace("unit=1", "unit=2"))
            bad, good = await asyncio.gather(start(link, sick, ("h0", "i4")), start(link, target(url), ("h0",)))
            assert bad == {"h0": missing, "i4": missing}
            assert good == {"h0": 17}
            assert sum(request.unit == 2 for request in server.requests) == asked
            assert server.connections == 1

    go(story())


def test_a_busy_device_is_asked_again() -> None:
    calls = 0

    async def busy_once(*_: object) -> ExcCodes | None:
        nonlocal calls
        calls += 1
        return ExcCodes.DEVICE_BUSY if calls == 1 else None

    async def story() -> None:
        async with peer(device(action=busy_once)) as url, running(url) as link:
            assert await ask(link, target(url), ("h0", "h1")) == {"h0": 17, "h1": 65535}

    go(story())


def test_a_block_that_fails_takes_no_other_with_it() -> None:
    async def sick(function: int, *_: object) -> ExcCodes | None:
        return ExcCodes.DEVICE_FAILURE if function == 3 else None

    async def story() -> None:
        async with peer(device(action=sick)) as url, running(url) as link:
            assert await ask(link, target(url), ("h0", "i4")) == {"h0": Missing.ERROR, "i4": 7}

    go(story())


def test_a_register_that_fails_is_found_and_asked_alone() -> None:
    async def sick(_fc: int, _start: int, address: int, count: int, *_: object) -> ExcCodes | None:
        return ExcCodes.DEVICE_FAILURE if address <= 5 < address + count else None

    async def story() -> None:
        asked: list[tuple[int, int]] = []

        async def heard(fc: int, start: int, address: int, count: int, *rest: object) -> ExcCodes | None:
            asked.append((address, count))
            return await sick(fc, start, address, count, *rest)

        async with peer(device(action=heard)) as url, running(url) as link:
            gets = addresses("h", *range(10))
            expected = {**{name: FILLED[name] for name in gets}, "h5": Missing.ERROR}
            assert await ask(link, target(url), gets) == expected
            asked.clear()
            assert await ask(link, target(url), gets) == expected
            assert asked == [(0, 5), (5, 1), (6, 4)]

    go(story())


def test_a_device_that_fails_at_everything_is_not_searched_each_time() -> None:
    async def story() -> None:
        server = ModbusServer({1: dict(FILLED)}, "modbus://127.0.0.1:0?unit=1", exceptions={1: 4})
        async with serving(server) as url, running(url) as link:
            gets = addresses("h", *range(10))
            for _ in range(3):
                server.requests.clear()
                assert await ask(link, target(url), gets) == dict.fromkeys(gets, Missing.ERROR)
            assert len(server.requests) == 1

    go(story())


@pytest.mark.parametrize("scheme", ["modbus", "modbus+rtuovertcp"])
def test_a_dead_unit_costs_one_request_and_the_others_are_read(scheme: str) -> None:
    async def story() -> None:
        server = ModbusServer({1: dict(FILLED), 3: dict(FILLED)}, f"{scheme}://127.0.0.1:0?unit=1", silent={2})
        async with serving(server) as url, running(url) as link:
            dead, other = hasty(url.replace("unit=1", "unit=2")), target(url.replace("unit=1", "unit=3"))
            for _ in range(3):
                begun = time.monotonic()
                polls = [start(link, one, PLAN.gets) for one in (target(url), dead, other)]
                first, second, third = await asyncio.gather(*polls)
                assert first == third == IMAGE
                assert set(second.values()) == {Missing.TIMEOUT}
                # One time-out, and on a line with RTU frames the quiet time in which a late answer would come.
                assert time.monotonic() - begun >= (0.8 if scheme == "modbus+rtuovertcp" else 0.3)
            assert sum(request.unit == 2 for request in server.requests) == 3
            assert server.connections == 1

    go(story())


def test_a_slow_unit_gets_no_more_than_its_deadline() -> None:
    async def story() -> None:
        server = ModbusServer({1: {f"h{n}": n for n in range(0, 1000, 50)}}, "modbus://127.0.0.1:0?unit=1", delay=0.4)
        async with serving(server) as url, running(url) as link:
            begun = time.monotonic()
            answers = await ask(link, target(url, timeout=3.0), addresses("h", *range(0, 1000, 50)))
            assert time.monotonic() - begun < 20 * 0.4, "as long as all of them take"
            assert answers["h0"] == 0
            assert answers["h950"] is Missing.TIMEOUT
            assert len(server.requests) <= 9

    go(story())


# --- the connection ------------------------------------------------------------------------------------------------


def test_a_server_that_dies_and_returns_is_read_again_every_time() -> None:
    async def story() -> None:
        server = ModbusServer({1: dict(FILLED)}, "modbus://127.0.0.1:0?unit=1")
        port = await server.start()
        url = server.url.replace(":0?", f":{port}?")
        async with running(url) as link:
            for _ in range(4):
                assert await until_good(link, target(url), PLAN.gets) == IMAGE
                await server.stop()
                begun = time.monotonic()
                for _ in range(20):
                    assert set((await ask(link, target(url))).values()) == {Missing.LINK_DOWN}
                assert time.monotonic() - begun < 10.0
                server = ModbusServer({1: dict(FILLED)}, url)
                await server.start()
            assert await until_good(link, target(url), PLAN.gets) == IMAGE
            assert server.connections == 1
            await server.stop()

    go(story())


def test_a_restarted_pymodbus_server_is_read_again() -> None:
    async def story() -> None:
        async with peer(device()) as url:
            link = ModbusLink(parse(url))
            task = asyncio.create_task(link.run())
            assert await ask(link, target(url)) == IMAGE
        assert Missing.LINK_DOWN in (await ask(link, target(url))).values()
        async with peer(device(), port=parse(url).port):
            assert await until_good(link, target(url), PLAN.gets) == IMAGE
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    go(story())


@needs_socat
def test_a_serial_line_that_is_pulled_and_plugged_is_read_again(line: Line) -> None:
    async def story() -> None:
        here, there = (f"modbus+rtu://{end}?unit=1" for end in (line.here, line.there))
        async with running(here) as link:
            for _ in range(3):
                server = ModbusServer({1: dict(FILLED)}, there)
                async with serving(server):
                    assert await until_good(link, target(here), PLAN.gets) == IMAGE
                    line.pull()
                    assert set((await ask(link, target(here))).values()) == {Missing.LINK_DOWN}
                line.plug()

    go(story())


def test_a_port_that_is_not_there_is_a_link_that_is_down(tmp_path: Path) -> None:
    async def story() -> None:
        url = f"modbus+rtu://{tmp_path}/none?unit=1"
        async with running(url) as link:
            for _ in range(5):
                assert set((await ask(link, target(url))).values()) == {Missing.LINK_DOWN}

    go(story())


def test_a_lost_connection_is_told_at_once() -> None:
    async def story() -> None:
        server = ModbusServer({1: dict(FILLED)}, "modbus://127.0.0.1:0?unit=1", silent={1})
        async with serving(server) as url, running(url) as link:
            begun = time.monotonic()
            poll = start(link, Target("slow", parse(url), Quirks(timeout=60), 60), ("h0",))
            await until(lambda: bool(server.requests))
            await server.stop()
            assert await poll == {"h0": Missing.LINK_DOWN}
            assert time.monotonic() - begun < 20

    go(story())


def test_a_session_over_which_nothing_comes_is_opened_anew() -> None:
    async def story() -> None:
        server = ModbusServer({1: {"h0": 1}}, "modbus://127.0.0.1:0?unit=1")
        async with serving(server) as url, running(url) as link:
            assert await ask(link, target(url), ("h0",)) == {"h0": 1}
            server.silent.add(1)
            for _ in range(2):
                assert await ask(link, hasty(url), ("h0",)) == {"h0": Missing.TIMEOUT}
            server.silent.clear()
            assert await ask(link, target(url), ("h0",)) == {"h0": 1}
            assert server.connections == 2

    go(story())


def test_a_peer_that_hangs_up_at_once_is_called_less_and_less() -> None:
    calls: list[float] = []

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(time.monotonic())
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        url = f"modbus://127.0.0.1:{server.sockets[0].getsockname()[1]}?unit=1"
        async with server, running(url) as link:
            while len(calls) < 3:
                assert await ask(link, target(url), ("h0",)) == {"h0": Missing.LINK_DOWN}
                await asyncio.sleep(0.02)
        first, second, third = calls
        assert (second - first > 0.75 * 0.5, third - second > 0.75 * 1.0) == (True, True)

    go(story())


def test_a_device_may_have_time_after_connecting_and_between_frames() -> None:
    async def story() -> None:
        server = ModbusServer({1: dict(FILLED)}, "modbus://127.0.0.1:0?unit=1")
        async with serving(server) as url, running(url) as link:
            begun = time.monotonic()
            slow = target(url, pause_after_connect=0.4, frame_delay=0.1)
            assert await ask(link, slow, ("h0", "i4", "c0")) == {"h0": 17, "i4": 7, "c0": 1}
            assert time.monotonic() - begun >= 0.6
            later = []
            for _ in range(5):
                begun = time.monotonic()
                assert await ask(link, slow, ("h0",)) == {"h0": 17}
                later.append(time.monotonic() - begun)
            assert min(later) < 0.4, "the pause was for the first question alone"

    go(story())


def test_cancelling_answers_what_is_open_and_hangs_up() -> None:
    async def story() -> None:
        server = ModbusServer({1: dict(FILLED)}, "modbus://127.0.0.1:0?unit=1", silent={1})
        async with serving(server) as url:
            async with running(url) as link:
                polls = [start(link, target(url), ("h0",)) for _ in range(3)]
                await until(lambda: bool(server.requests))
            for poll in polls:
                assert poll.result() == {"h0": Missing.LINK_DOWN}
            await until(lambda: not server.clients)

    go(story())


# --- peers that misbehave ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("medium", "delays", "gap"),
    [
        pytest.param("modbus+rtuovertcp", (0.5,), 8, id="always late"),
        pytest.param("modbus+rtuovertcp", (0.5, 0.0), 8, id="late every other time"),
        pytest.param("modbus+rtuovertcp", (0.9, 0.28), 8, id="once later than the quiet time, then just in time"),
        pytest.param("modbus+rtuovertcp", (0.9, 0.28), 0, id="the same, where no read may go beyond what is wanted"),
        pytest.param("modbus+rtu", (0.5, 0.28), 8, id="on a serial line", marks=needs_socat),
    ],
)
def test_a_late_answer_is_never_taken_for_the_next(
    medium: str, delays: tuple[float, ...], gap: int, request: pytest.FixtureRequest
) -> None:
    # Every register holds its own address, and blocks have one length: nothing but order tells answers apart.
    image = {f"h{n}": n for n in range(400)}

    async def story() -> None:
        if medium == "modbus+rtu":
            line = request.getfixturevalue("line")
            here, there = (f"modbus+rtu://{end}?unit=1" for end in (line.here, line.there))
        else:
            here = there = "modbus+rtuovertcp://127.0.0.1:0?unit=1"
        server = ModbusServer({1: image}, there)
        async with serving(server) as served, running(here := here if medium == "modbus+rtu" else served) as link:
            assert await ask(link, hasty(here), ("h3",)) == {"h3": 3}
            lost = 0
            for number in range(4):
                server.delay = delays[number % len(delays)]
                first = 50 * number
                answers = await ask(link, hasty(here, gap=gap), addresses("h", first, first + 20, first + 40))
                for name, raw in answers.items():
                    assert isinstance(raw, Missing) or raw == image[name]
                lost += any(isinstance(raw, Missing) for raw in answers.values())
            assert lost
            server.delay = 0.0
            assert await until_good(link, hasty(here), ("h7", "h77")) == {"h7": 7, "h77": 77}

    go(story())


Twist = Callable[[bytes, bytes], bytes]
"""What a crooked server makes of (question, right answer)."""


@contextlib.asynccontextmanager
async def crooked(*twists: Twist, rtu: bool = False) -> AsyncIterator[str]:
    """Serve h0 = 1, h1 = 2 …; the first answers are twisted, the later ones right.

    What a twist swallows of an answer comes late, together with the next one of the same connection.
    """
    left = list(twists)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late = b""
        with contextlib.suppress(ConnectionError):
            while question := await reader.read(260):
                pdu = question[1:6] if rtu else question[7:12]
                start, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
                words = b"".join((n + 1).to_bytes(2, "big") for n in range(start, start + count))
                body = bytes([3, len(words)]) + words
                if rtu:
                    frame = question[:1] + body
                    frame += crc(frame)
                else:
                    frame = question[:4] + (len(body) + 1).to_bytes(2, "big") + question[6:7] + body
                twist = left.pop(0) if left else None
                if twist is None:
                    writer.write(late + frame)
                    late = b""
                elif sent := twist(question, frame):
                    writer.write(late + sent)
                    late = frame[len(sent) :] if frame.startswith(sent) else b""
                else:
                    late = b"" if rtu else nameless(question, frame) if nameless in twists else frame
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'modbus+rtuovertcp' if rtu else 'modbus'}://127.0.0.1:{port}?unit=1"
    finally:
        server.close()


def nothing(_question: bytes, _answer: bytes) -> bytes:
    return b""


def right(_question: bytes, answer: bytes) -> bytes:
    return answer


def nameless(_question: bytes, answer: bytes) -> bytes:
    return b"\0\0" + answer[2:]


TCP_TWISTS = {
    "garbage": (lambda q, a: b"HTTP/1.1 400 Bad Request\r\n\r\n", Missing.MALFORMED),
    "wrong transaction": (lambda q, a: b"\x77\x77" + a[2:], Missing.TIMEOUT),
    "wrong unit": (lambda q, a: a[:6] + b"\x09" + a[7:], Missing.TIMEOUT),
    "truncated": (lambda q, a: a[:-1], Missing.MALFORMED),
    "other function": (lambda q, a: a[:7] + b"\x04" + a[8:], Missing.MALFORMED),
    "unknown function": (lambda q, a: a[:7] + b"\x63" + a[8:], Missing.MALFORMED),
    "too few registers": (lambda q, a: a[:5] + b"\x05" + a[6:8] + b"\x02" + a[9:11], Missing.MALFORMED),
    "too many registers": (lambda q, a: a[:5] + b"\x09" + a[6:8] + b"\x06" + a[9:] + b"\0\0", Missing.MALFORMED),
    "byte count beyond the frame": (lambda q, a: a[:8] + b"\xff" + a[9:], Missing.MALFORMED),
    "exception of another function": (lambda q, a: a[:5] + b"\x03" + a[6:7] + b"\x84\x02", Missing.MALFORMED),
    "nothing": (nothing, Missing.TIMEOUT),
}
RTU_TWISTS = {
    "garbage": (lambda q, a: b"\xff\x00\xff\x13\x37\x00\x11", Missing.MALFORMED),
    "wrong check bytes": (lambda q, a: a[:-1] + bytes([a[-1] ^ 1]), Missing.MALFORMED),
    "wrong unit": (lambda q, a: (b"\x09" + a[1:-2]) + crc(b"\x09" + a[1:-2]), Missing.MALFORMED),
    "truncated": (lambda q, a: a[:-1], Missing.MALFORMED),
    "other function": (lambda q, a: a[:1] + b"\x04" + a[2:-2] + crc(a[:1] + b"\x04" + a[2:-2]), Missing.MALFORMED),
    "too few registers": (lambda q, a: (f := a[:2] + b"\x02" + a[3:5]) + crc(f), Missing.MALFORMED),
    "nothing": (nothing, Missing.TIMEOUT),
}


@pytest.mark.parametrize(
    ("rtu", "twist", "missing"),
    [
        *(pytest.param(False, *twist, id=f"TCP {name}") for name, twist in TCP_TWISTS.items()),
        *(pytest.param(True, *twist, id=f"RTU {name}") for name, twist in RTU_TWISTS.items()),
    ],
)
def test_a_wrong_answer_gives_no_value_and_the_next_is_right(
    rtu: bool, twist: Twist, missing: Missing, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with crooked(right, twist, rtu=rtu) as url, running(url) as link:
            assert await ask(link, target(url), ("h0", "h1")) == {"h0": 1, "h1": 2}
            assert await ask(link, hasty(url), ("h10", "h11")) == {"h10": missing, "h11": missing}
            following = await ask(link, target(url), ("h20", "h21"))
            if rtu and following["h20"] is Missing.MALFORMED:  # the rest of a truncated frame
                following = await ask(link, target(url), ("h20", "h21"))
            assert following == {"h20": 21, "h21": 22}

    go(story())
    assert not [record for record in caplog.records if record.name != "edgeagent.links.modbuswire"]


@pytest.mark.parametrize("how", [right, nameless])
def test_a_late_answer_on_tcp_is_told_by_its_transaction_or_left_behind_with_its_session(how: Twist) -> None:
    async def story() -> None:
        async with crooked(how, nothing, how, how) as url, running(url) as link:
            assert await ask(link, target(url), ("h10",)) == {"h10": 11}
            assert await ask(link, hasty(url), ("h20",)) == {"h20": Missing.TIMEOUT}
            assert await ask(link, target(url), ("h30",)) == {"h30": 31}
            assert await ask(link, target(url), ("h40",)) == {"h40": 41}

    go(story())


def test_one_garbled_block_leaves_the_rest_of_the_poll_and_two_end_it() -> None:
    garbage = TCP_TWISTS["garbage"][0]

    def brief(url: str) -> Target:
        return target(url, patience=2.5)

    async def story() -> None:
        gets = ("h10", "h50", "h90")
        async with crooked(right, garbage) as url, running(url) as link:
            assert await ask(link, target(url), ("h0",)) == {"h0": 1}
            assert await ask(link, brief(url), gets) == {"h10": Missing.MALFORMED, "h50": 51, "h90": 91}
        async with crooked(right, garbage, right, garbage) as url, running(url) as link:
            assert await ask(link, target(url), ("h0",)) == {"h0": 1}
            answers = await ask(link, brief(url), (*gets, "h130"))
            assert answers == {"h10": Missing.MALFORMED, "h50": 51, "h90": Missing.MALFORMED, "h130": Missing.MALFORMED}

    go(story())
