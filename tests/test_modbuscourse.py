"""Polls by their course against the same polls asked the slow way: the same questions on the wire, the same answers."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import pytest

from edgeagent.endpoint import parse
from edgeagent.items import Quirks
from edgeagent.links import Plan, Target
from edgeagent.links.modbus import ModbusLink
from edgeagent.readings import Answers, Missing

PLAN: Final = Plan(("c0", "c9", "h0", "h1", "h5", "h200", "i7"))
QUESTIONS: Final = 4  # of one poll
POLLS: Final = 5
_ASK: Final = struct.Struct(">HHHBBHH")


@dataclass(slots=True)
class Asked:
    """One question as a device sees it. `turn` is its number, and moves the values of some registers."""

    transaction: int
    unit: int
    function: int
    start: int
    count: int
    turn: int

    def frame(self, pdu: bytes | None = None, transaction: int | None = None, unit: int | None = None) -> bytes:
        pdu = self.pdu() if pdu is None else pdu
        transaction = self.transaction if transaction is None else transaction
        return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, self.unit if unit is None else unit) + pdu

    def pdu(self, count: int | None = None) -> bytes:
        count = self.count if count is None else count
        moved = self.turn // (2 * QUESTIONS)  # every other poll
        if self.function in (1, 2):
            data = bytes(0x55 ^ moved for _ in range((count + 7) // 8))
        else:
            data = b"".join((self.start + n + moved * (n % 3 == 0)).to_bytes(2) for n in range(count))
        return bytes((self.function, len(data))) + data

    def refused(self, code: int) -> bytes:
        return self.frame(bytes((self.function | 0x80, code)))


Behaviour = Callable[[Asked], tuple[bytes, ...] | None]
"""The pieces in which it answers; None hangs up."""

BEHAVIOURS: Final[dict[str, Behaviour]] = {
    "plain": lambda it: (it.frame(),),
    "in two pieces": lambda it: (it.frame()[:7], it.frame()[7:]),
    "behind a late one": lambda it: (it.frame(transaction=it.transaction - 1) + it.frame(),),
    "twice": lambda it: (it.frame() * 2,),
    "with a piece of another behind it": lambda it: (it.frame() + it.frame()[:5],),
    "without its transaction": lambda it: (it.frame(transaction=0),),
    "of another unit": lambda it: (it.frame(unit=9),),
    "too short": lambda it: (it.frame(it.pdu(it.count - 8)),),
    "too long": lambda it: (it.frame(it.pdu(it.count + 8)),),
    "with another count than data": lambda it: (it.frame(bytes((it.function, 200)) + it.pdu()[2:]),),
    "with half a register": lambda it: (it.frame(bytes((3, 3, 1, 2, 3))),),
    "of another function": lambda it: (it.frame(bytes((it.function ^ 7,)) + it.pdu()[1:]),),
    "no such address": lambda it: (it.refused(2),),
    "a failure": lambda it: (it.refused(4),),
    "busy": lambda it: (it.refused(6),),
    "a gateway without its unit": lambda it: (it.refused(11),),
    "no frame at all": lambda _: (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
    "silence": lambda _: (),
    "hanging up": lambda _: None,
}


@dataclass(slots=True)
class Device:
    """A host that answers plainly but for one question, of which it makes what it likes."""

    odd: int = -1
    behaviour: Behaviour = BEHAVIOURS["plain"]
    asked: list[tuple[int, ...]] = field(default_factory=list)
    most: int = 0
    """Questions that it had at once at most."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                transaction, _, _, unit, function, start, count = _ASK.unpack(await reader.readexactly(_ASK.size))
                it = Asked(transaction, unit, function, start, count, len(self.asked))
                self.asked.append((unit, function, start, count))
                self.most = max(self.most, 1 + len(reader._buffer) // _ASK.size)  # type: ignore[attr-defined]
                pieces = (self.behaviour if it.turn == self.odd else BEHAVIOURS["plain"])(it)
                if pieces is None:
                    break
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(0.002 if len(pieces) > 1 else 0)
        writer.close()


class Slow(ModbusLink):
    """A link that thinks each poll through."""

    def _begin(self, *_: object) -> bool:
        return False


@contextlib.asynccontextmanager
async def running(kind: type[ModbusLink], device: Device) -> AsyncIterator[tuple[ModbusLink, Callable[..., Target]]]:
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    url = f"modbus://127.0.0.1:{server.sockets[0].getsockname()[1]}?unit="
    link = kind(parse(f"{url}1"))
    task = asyncio.create_task(link.run())

    def target(unit: int = 1, within: float = 20.0, patience: float = 0.3) -> Target:
        return Target("device", parse(f"{url}{unit}"), Quirks(timeout=patience, gap=5), within)

    try:
        yield link, target
    finally:
        task.cancel()
        await asyncio.wait([task])
        server.close()


async def poll(link: ModbusLink, target: Target, plan: Plan = PLAN) -> Answers:
    answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
    link.ask(target, plan, answered.set_result)
    assert not answered.done(), "done was called from inside ask"
    return await asyncio.wait_for(answered, 60)


async def polled(kind: type[ModbusLink], device: Device) -> list[Answers]:
    async with running(kind, device) as (link, target):
        it = target()
        return [await poll(link, it) for _ in range(POLLS)]


@pytest.mark.parametrize("place", range(QUESTIONS))
@pytest.mark.parametrize("how", BEHAVIOURS)
def test_what_is_odd_comes_to_what_the_slow_way_makes_of_it(how: str, place: int) -> None:
    async def both() -> None:
        # In the third poll: the first is asked the slow way, the second by a course.
        swift, slow = (Device(2 * QUESTIONS + place, BEHAVIOURS[how]) for _ in range(2))
        found = await asyncio.gather(polled(ModbusLink, swift), polled(Slow, slow))
        assert found[0] == found[1]
        assert swift.asked == slow.asked
        assert swift.most == 1

    asyncio.run(both())


def test_a_poll_that_changes_nothing_gives_the_same_object() -> None:
    answers = asyncio.run(polled(ModbusLink, Device()))
    same = [after is before for before, after in pairwise(answers)]
    # The values move every other poll; the first was not asked by a course.
    assert same == [False, False, True, False]
    assert [after == before for before, after in pairwise(answers)] == [True, False, True, False]


def test_a_poll_has_so_much_time_for_all_its_questions() -> None:
    async def run(kind: type[ModbusLink]) -> tuple[Answers, float]:
        device = Device(QUESTIONS + 1, BEHAVIOURS["silence"])
        async with running(kind, device) as (link, target):
            it = target(within=0.4, patience=5.0)
            await poll(link, it)
            began = asyncio.get_running_loop().time()
            return await poll(link, it), asyncio.get_running_loop().time() - began

    async def both() -> None:
        (swift, swift_took), (slow, slow_took) = await asyncio.gather(run(ModbusLink), run(Slow))
        assert swift == slow
        assert Missing.TIMEOUT in swift.values()
        assert abs(swift_took - slow_took) < 0.25

    asyncio.run(both())


def test_polls_of_many_units_of_one_session_are_asked_one_after_another() -> None:
    async def run() -> None:
        device = Device()
        async with running(ModbusLink, device) as (link, target):
            targets = [target(unit) for unit in range(1, 9)]
            for _ in range(3):
                before = len(device.asked)
                found = await asyncio.gather(*(poll(link, it) for it in targets))
                assert all(answers.keys() == set(PLAN.gets) for answers in found)
                units = [question[0] for question in device.asked[before:]]
                assert units == [unit for unit in range(1, 9) for _ in range(QUESTIONS)]
        assert device.most == 1

    asyncio.run(run())


def test_what_waits_behind_a_unit_that_is_silent_is_asked_after_it() -> None:
    async def run() -> None:
        device = Device(2 * QUESTIONS, BEHAVIOURS["silence"])
        async with running(ModbusLink, device) as (link, target):
            one, other = target(1), target(2)
            for it in (one, other):
                await poll(link, it)
            silent, well = await asyncio.gather(poll(link, one), poll(link, other))
        assert set(silent.values()) == {Missing.TIMEOUT}
        assert not any(isinstance(raw, Missing) for raw in well.values())

    asyncio.run(run())


def test_what_is_under_way_or_waits_at_the_end_is_answered_as_link_down() -> None:
    async def run() -> None:
        device = Device(2 * QUESTIONS, BEHAVIOURS["silence"])
        async with running(ModbusLink, device) as (link, target):
            it, other = target(), target(2)
            await poll(link, it)
            await poll(link, it)
            found: list[Answers] = []
            link.ask(it, PLAN, found.append)
            link.ask(other, PLAN, found.append)
            await asyncio.sleep(0.05)
            assert found == []
        assert found == [dict.fromkeys(PLAN.gets, Missing.LINK_DOWN)] * 2
        await asyncio.sleep(0.4)
        assert len(found) == 2, "answered twice"

    asyncio.run(run())


def test_a_bug_in_what_takes_the_answers_is_seen_by_the_loop_as_one_of_a_callback() -> None:
    async def run() -> None:
        contexts: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
        async with running(ModbusLink, Device()) as (link, target):
            it = target()
            await poll(link, it)

            def bug(_: Answers) -> None:
                raise RuntimeError("a bug")

            link.ask(it, PLAN, bug)
            await asyncio.sleep(0.1)
            assert not isinstance((await poll(link, it))["h0"], Missing), "the session goes on"
        assert [str(context["exception"]) for context in contexts] == ["a bug"]
        assert "handle" in contexts[0]

    asyncio.run(run())
