"""Own frames of Modbus TCP against those of pymodbus, and against bytes that are none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.socket import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsResponse, ReadDiscreteInputsResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

from edgeagent.endpoint import parse
from edgeagent.links.blocks import Block
from edgeagent.links.modbusline import Answer
from edgeagent.links.modbusmbap import MbapLine

UNIT: Final = 7
REGISTERS: Final = Block("h", 100, 10, ())
COILS: Final = Block("c", 100, 10, ())
FRAMER: Final = FramerSocket(DecodePDU(is_server=False))


def frame(pdu: ModbusPDU, transaction: int, unit: int = UNIT) -> bytes:
    return FRAMER.encode(pdu.function_code.to_bytes(1, "big") + pdu.encode(), unit, transaction)


def asked(*pieces: bytes | tuple[ModbusPDU, int], block: Block = REGISTERS, within: float = 5.0) -> Answer:
    """Ask a question that is answered with these pieces; a PDU is framed for so many transactions after this one."""

    async def run() -> Answer:
        line = MbapLine(parse(f"modbus://127.0.0.1:502?unit={UNIT}"))
        transport = create_autospec(asyncio.Transport, instance=True)
        line.connection_made(transport)
        question = asyncio.ensure_future(line.ask(UNIT, block, within))
        await asyncio.sleep(0)
        transaction = int.from_bytes(transport.write.call_args[0][0][:2], "big")
        for piece in pieces:
            line.data_received(piece if isinstance(piece, bytes) else frame(piece[0], transaction + piece[1]))
        return await question

    return asyncio.run(run())


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125), st.booleans())
def test_registers_are_those_that_pymodbus_wrote(values: list[int], inputs: bool) -> None:
    written = (ReadInputRegistersResponse if inputs else ReadHoldingRegistersResponse)(registers=values)
    answer = asked((written, 0), block=Block("i" if inputs else "h", 0, len(values), ()))
    assert answer == Answer(UNIT, written.function_code, values)


@given(st.lists(st.booleans(), min_size=1, max_size=2000), st.booleans())
def test_bits_are_those_that_pymodbus_wrote_in_whole_bytes(values: list[bool], inputs: bool) -> None:
    written = (ReadDiscreteInputsResponse if inputs else ReadCoilsResponse)(bits=values)
    answer = asked((written, 0), block=COILS)
    assert len(answer.values) == -(-len(values) // 8) * 8
    assert answer.values[: len(values)] == values


@given(st.integers(1, 255))
def test_a_refusal_says_why(code: int) -> None:
    assert asked((ExceptionResponse(3, code), 0)) == Answer(UNIT, 0x83, [], code)


def test_a_refusal_that_does_not_count_its_own_code_is_understood() -> None:
    assert asked(bytes.fromhex("0000 0000 0002 07 83 02")) == Answer(UNIT, 0x83, [], 2, anonymous=True)


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=20), st.data())
def test_frames_may_come_in_pieces_and_behind_late_ones(values: list[int], data: st.DataObject) -> None:
    late = ReadHoldingRegistersResponse(registers=[1, 2, 3])
    stream = frame(late, 4711) + frame(late, 0, unit=9) + frame(ReadHoldingRegistersResponse(registers=values), 0)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert asked(*pieces) == Answer(UNIT, 3, values, anonymous=True)


@pytest.mark.parametrize("noise", ["0000 0001 0003 07 03 02", "0000 0000 00ff 07 03 02", "0000 0000 0004 07 03 09 00"])
def test_what_is_no_frame_ends_the_question_at_once(noise: str) -> None:
    with pytest.raises(ConnectionError):
        asked(bytes.fromhex(noise), within=60.0)


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_no_bytes_raise_into_the_loop_or_are_more_than_trouble_on_the_wire(head: bytes, tail: bytes) -> None:
    with suppress(ConnectionError, TimeoutError):
        assert asked(head, b"\0\0\0\0\0" + tail, within=0.001).unit == UNIT
