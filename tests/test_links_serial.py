"""A UPS on a serial line that is late, garbled, pulled out or somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from edgeagent.endpoint import EndpointError, parse
from edgeagent.items import Quirks
from edgeagent.links import Plan, Target, open_link
from edgeagent.links.serial import SerialLink
from edgeagent.readings import Answers, Missing, fruitless
from edgeagent.simulators.serial import SerialServer

FAST: Final = Quirks(timeout=0.15)
"""For what does not come."""
PATIENT: Final = Quirks(timeout=4.0)
"""Longer than a machine stands still."""
BYPASS: Final = b"(208.4 140.0 208.4 034 59.9 2.05 35.0 00110000"
WHOLE: Final = b"(209.7 209.7 219.7 020 50.0 41.8 23.3 00000001"
HOME: Final = b"(231.0 000.0 231.0 003 49.0 13.7 30.8 00001000"
Says = dict[str, bytes | None]
PLAN: Final = Plan(("Q1:0", "Q1:mode", "Q1:battery"))


@asynccontextmanager
async def ups(path: Path, says: Says) -> AsyncIterator[SerialServer]:
    server = SerialServer(str(path), says.get)
    await server.start()
    try:
        yield server
    finally:
        server.stop()


async def asked(server: SerialServer) -> None:
    async with asyncio.timeout(30):
        while not server.asked:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.005)


@asynccontextmanager
async def linked(
    path: Path, options: str = "", recheck: float = 600.0
) -> AsyncIterator[Callable[..., asyncio.Future[Answers]]]:
    endpoint = parse(f"serial://{path}{options}")
    link = SerialLink(endpoint, recheck=recheck)
    running = asyncio.create_task(link.run())

    def ask(plan: Plan = PLAN, timeout: float = 60.0, quirks: Quirks = PATIENT) -> asyncio.Future[Answers]:
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        link.ask(Target("ups", endpoint, quirks, timeout), plan, answered.set_result)
        return answered

    try:
        yield ask
    finally:
        running.cancel()
        await asyncio.wait([running])


def test_one_question_answers_all_its_fields(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"Q1": WHOLE}) as server, linked(tmp_path / "ups") as ask:
            answers = await ask(Plan(("Q1:0", "Q1:battery", "Q1:b0", "Q1:status", "Q1:17", "Q1:b9"), ("walk",)))
            assert answers == {
                "Q1:0": b"209.7", "Q1:battery": b"41.8", "Q1:b0": b"1", "Q1:status": b"00000001",
                "Q1:17": Missing.ABSENT, "Q1:b9": Missing.ABSENT, "walk": Missing.ABSENT,
            }  # fmt: skip
            assert list(server.asked) == ["Q1"]

    asyncio.run(story())


def test_the_voltage_of_a_cell_becomes_that_of_the_battery(tmp_path: Path) -> None:
    async def story() -> None:
        says: Says = {"Q1": BYPASS, "F": b"#220.0 004 192.0 50.0"}
        async with ups(tmp_path / "ups", says) as server, linked(tmp_path / "ups") as ask:
            assert (await ask())["Q1:battery"] == b"196.80"
            assert (await ask())["Q1:battery"] == b"196.80"
            assert list(server.asked) == ["Q1", "F", "Q1"]  # the ratings do not change

    asyncio.run(story())


def test_the_voltage_of_a_cell_alone_says_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"Q1": BYPASS}) as server, linked(tmp_path / "ups") as ask:
            for _ in range(3):
                assert (await ask())["Q1:battery"] is Missing.ABSENT
            assert list(server.asked) == ["Q1", "F", "Q1", "Q1"]

    asyncio.run(story())


def test_an_echo_is_no_answer(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"Q1": HOME}) as server, linked(tmp_path / "ups") as ask:
            server.echo = True
            assert (await ask())["Q1:0"] == b"231.0"

    asyncio.run(story())


@pytest.mark.parametrize("protocol", ["", "?protocol=mustek"])
def test_a_ups_that_knows_qs_alone_is_read(tmp_path: Path, protocol: str) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"QS": HOME}) as server, linked(tmp_path / "ups", protocol) as ask:
            assert (await ask())["Q1:0"] == b"231.0"
            server.asked.clear()
            assert (await ask())["Q1:mode"] == b"line"
            assert list(server.asked) == ["QS"]

    asyncio.run(story())


def test_the_oldest_dialect_is_spoken_only_when_it_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"D": HOME}) as server:
            async with linked(tmp_path / "ups") as ask:
                assert set((await ask(quirks=FAST)).values()) == {Missing.ABSENT}
                assert "D" not in server.asked
            async with linked(tmp_path / "ups", "?protocol=megatec-old") as ask:
                assert (await ask())["Q1:0"] == b"231.0"

    asyncio.run(story())


def test_nothing_is_sent_that_would_act(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"Q1": HOME}) as server, linked(tmp_path / "ups") as ask:
            places = ("S01:0", "S00R0000:0", "T:0", "TL:0", "CT:0", "C:0", "Q:0", "q1:0", ":0", "Q1")
            assert set((await ask(Plan(places))).values()) == {Missing.ABSENT}
            assert set(server.asked) <= {"Q1"}

    asyncio.run(story())


@pytest.mark.parametrize(
    "refusal", [pytest.param(None, id="echoed"), pytest.param(b"(NAK", id="NAK"), pytest.param(b"", id="ignored")]
)
def test_an_inquiry_that_a_ups_does_not_know_is_left_alone(tmp_path: Path, refusal: bytes | None) -> None:
    async def story() -> None:
        async with (
            ups(tmp_path / "ups", {"Q1": HOME, "I": refusal}) as server,
            linked(tmp_path / "ups", recheck=30) as ask,
        ):
            for _ in range(4):
                answers = await ask(
                    Plan(("I:1", "Q1:0")),
                )
                assert answers["Q1:0"] == b"231.0"
                assert answers["I:1"] in (Missing.ABSENT, Missing.TIMEOUT)
            assert answers["I:1"] is Missing.ABSENT
            assert server.asked.count("I") <= 2

    asyncio.run(story())


def test_it_is_asked_again_after_a_while(tmp_path: Path) -> None:
    async def story() -> None:
        says: Says = {"Q1": HOME, "I": b"(NAK"}
        async with ups(tmp_path / "ups", says), linked(tmp_path / "ups", recheck=0.05) as ask:
            assert (await ask(Plan(("I:1", "Q1:0"))))["I:1"] is Missing.ABSENT
            says["I"] = b"#Acme U1000 V1.2"
            await asyncio.sleep(0.06)
            assert (await ask(Plan(("I:1", "Q1:0"))))["I:1"] == b"U1000"

    asyncio.run(story())


def test_a_refusal_of_what_it_knew_is_noise(tmp_path: Path) -> None:
    async def story() -> None:
        says: Says = {"Q1": HOME}
        async with ups(tmp_path / "ups", says), linked(tmp_path / "ups") as ask:
            await ask()
            says["Q1"] = b"(NAK"
            assert (await ask())["Q1:0"] is Missing.ERROR
            says["Q1"] = HOME
            assert (await ask())["Q1:0"] == b"231.0"

    asyncio.run(story())


def test_another_ups_on_the_same_port_is_found_out(tmp_path: Path) -> None:
    async def story() -> None:
        says: Says = {"Q1": HOME}
        async with ups(tmp_path / "ups", says), linked(tmp_path / "ups") as ask:
            await ask()
            says.clear()
            says["QS"] = WHOLE
            for _ in range(5):
                assert (await ask(quirks=FAST))["Q1:0"] is Missing.ERROR
            assert (await ask())["Q1:0"] == b"209.7"

    asyncio.run(story())


def test_silence_is_a_timeout_and_asks_no_further(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"Q1": HOME}) as server, linked(tmp_path / "ups", "?protocol=megatec") as ask:
            server.silent = True
            answers = await ask(Plan(("Q1:0", "I:0", "F:0")), quirks=FAST)
            assert set(answers.values()) == {Missing.TIMEOUT}
            assert list(server.asked) == ["Q1"]
            server.silent = False
            assert (await ask())["Q1:0"] == b"231.0"

    asyncio.run(story())


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b"\xfe\x1c\x00\xe0\xfe", id="the wrong baud rate"),
        pytest.param(WHOLE[:-4], id="a line cut short"),
        pytest.param(b"(" + b"0" * 300, id="a line without end"),
        pytest.param(b"Welcome to ttyUSB0 login:", id="something else"),
    ],
)
def test_noise_is_malformed_and_passes(tmp_path: Path, noise: bytes) -> None:
    async def story() -> None:
        says: Says = {"Q1": noise}
        async with ups(tmp_path / "ups", says), linked(tmp_path / "ups", "?protocol=megatec") as ask:
            answers = await ask()
            assert fruitless(answers, answers) is Missing.MALFORMED
            says["Q1"] = HOME
            assert (await ask())["Q1:0"] == b"231.0"

    asyncio.run(story())


def test_a_line_without_its_end_is_malformed(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"Q1": HOME}) as server, linked(tmp_path / "ups", "?protocol=megatec") as ask:
            server.silent = True
            pending = ask()
            await asked(server)
            server.say(HOME)
            assert set((await pending).values()) == {Missing.MALFORMED}

    asyncio.run(story())


def test_a_line_that_never_falls_silent_is_given_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {}) as server, linked(tmp_path / "ups", "?protocol=megatec") as ask:
            server.silent = True

            async def chatter() -> None:
                while True:
                    server.say(b"~")
                    await asyncio.sleep(0.02)

            talking = asyncio.create_task(chatter())
            loop = asyncio.get_running_loop()
            begun = loop.time()
            for _ in range(3):
                assert set((await ask(timeout=1.0, quirks=FAST)).values()) == {Missing.MALFORMED}
            assert loop.time() - begun < 20
            talking.cancel()

    asyncio.run(story())


def test_a_late_answer_is_not_taken_for_the_next(tmp_path: Path) -> None:
    async def story() -> None:
        says: Says = {"Q1": HOME}
        async with ups(tmp_path / "ups", says) as server, linked(tmp_path / "ups", "?protocol=megatec") as ask:
            server.delay = 0.25
            assert set((await ask(quirks=FAST)).values()) == {Missing.TIMEOUT}
            server.delay = 0.0
            says["Q1"] = WHOLE
            assert (await ask())["Q1:0"] == b"209.7"
            assert (await ask())["Q1:0"] == b"209.7"

    asyncio.run(story())


def test_a_slow_ups_holds_up_nobody_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"Q1": HOME}) as server, linked(tmp_path / "ups") as ask:
            server.delay, turns = 1.0, 0
            pending = ask()
            while not pending.done():
                await asyncio.sleep(0.005)
                turns += 1
            assert pending.result()["Q1:0"] == b"231.0"
            assert turns > 5, "the loop came round while it waited"

    asyncio.run(story())


def test_polls_at_once_are_asked_one_after_the_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {"Q1": HOME}) as server, linked(tmp_path / "ups") as ask:
            server.delay = 0.02
            polls = [ask() for _ in range(5)]
            assert [answers["Q1:0"] for answers in await asyncio.gather(*polls)] == [b"231.0"] * 5

    asyncio.run(story())


def test_a_flood_of_polls_is_bounded(tmp_path: Path) -> None:
    async def story() -> None:
        async with linked(tmp_path / "nowhere") as ask:
            answers = await asyncio.gather(*(ask(timeout=1.0) for _ in range(200)))
            assert {raw for answer in answers for raw in answer.values()} == {Missing.TIMEOUT, Missing.LINK_DOWN}

    asyncio.run(story())


def test_a_port_that_is_not_there_is_a_link_that_is_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with linked(tmp_path / "nowhere") as ask:
            assert set((await ask()).values()) == {Missing.LINK_DOWN}
            assert set((await ask()).values()) == {Missing.LINK_DOWN}

    asyncio.run(story())
    assert "No such file or directory" in caplog.text
    assert len(caplog.records) == 1


def test_what_is_no_terminal_is_a_link_that_is_down(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "file").touch()
        async with linked(tmp_path / "file") as ask:
            assert set((await ask()).values()) == {Missing.LINK_DOWN}

    asyncio.run(story())


def test_a_port_that_somebody_else_uses_is_a_link_that_is_down(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            ups(tmp_path / "ups", {"Q1": HOME}),
            linked(tmp_path / "ups") as ask,
            linked(tmp_path / "ups") as other,
        ):
            assert (await ask())["Q1:0"] == b"231.0"
            assert set((await other()).values()) == {Missing.LINK_DOWN}

    asyncio.run(story())


def test_an_adapter_that_is_pulled_out_and_put_back_is_read_again(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "ups"
        async with linked(path) as ask:
            for line in (HOME, WHOLE):
                async with ups(path, {"Q1": line}) as server:
                    for _ in range(100):
                        answers = await ask()
                        if answers["Q1:0"] is not Missing.LINK_DOWN:
                            break
                        await asyncio.sleep(0.05)
                    assert answers["Q1:0"] == line[1:6]
                    server.silent = True
                    pending = ask()
                    await asyncio.sleep(0.05)
                assert set((await pending).values()) == {Missing.LINK_DOWN}  # at once, not after the time-out

    asyncio.run(story())


def test_what_is_open_at_the_end_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with ups(tmp_path / "ups", {}) as server:
            server.silent = True
            async with linked(tmp_path / "ups") as ask:
                polls = [ask() for _ in range(3)]
                await asked(server)
            assert all(set(poll.result().values()) == {Missing.LINK_DOWN} for poll in polls)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("serial:///dev/ttyUSB0?protocol=megatek", 'unknown protocol "megatek", did you mean "megatec"?'),
        ("serial:///dev/ttyUSB0?baut=9600", 'unknown option "baut", did you mean "baud"?'),
        ("serial://dev/ttyUSB0", "write the port's full path after three slashes: serial:///dev/serial/by-id/…"),
    ],
)
def test_a_wrong_url_says_what_would_be_right(url: str, message: str) -> None:
    with pytest.raises(EndpointError) as error:
        parse(url)
    assert str(error.value) == message


def test_a_ups_is_asked_at_2400_baud_unless_told_otherwise() -> None:
    assert parse("serial:///dev/ttyUSB0").options["baud"] == "2400"
    assert parse("serial:///dev/ttyUSB0?baud=9600").options["baud"] == "9600"
    assert isinstance(open_link(parse("serial:///dev/ttyUSB0")), SerialLink)
