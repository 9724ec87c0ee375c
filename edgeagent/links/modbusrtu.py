"""Modbus RTU, on a port or over TCP, through pymodbus.

The only module of the agent that knows pymodbus, loaded when the first such device is asked. pymodbus frames and
decodes; retries and reconnection are switched off there and left to `modbuswire`.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from typing import Final

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient

from edgeagent.endpoint import Endpoint
from edgeagent.links.blocks import Block
from edgeagent.links.modbusline import Answer

_log = logging.getLogger(__name__)

_SHORTEST: Final = 5  # bytes of an RTU exception; less is line noise

# pymodbus logs each time-out and each odd frame as an error with a dump; the link tells what matters.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


class RtuLine:
    """A session on one bus; see `Line`. `unasked(unit)` hears of a frame for which nobody asked."""

    def __init__(self, endpoint: Endpoint, unasked: Callable[[int], None]) -> None:
        self.heard = False
        self._endpoint, self._unasked = endpoint, unasked
        self._client: ModbusBaseClient | None = None
        self._asking = False

    @property
    def alive(self) -> bool:
        """Tell whether questions can be sent; pymodbus overlooks a connection lost while it was being made."""
        client = self._client
        return client is not None and client.connected and not client.ctx.transport.is_closing()

    @property
    def torn(self) -> bool:
        """Tell whether something came: a frame carries nothing that would tell whose it is."""
        return self.heard

    async def connect(self, within: float) -> str:
        """Open the bus; raises what pyserial raises for a bad port."""
        self._client = client = self._build(within)
        return "" if await client.connect() else _reason(self._endpoint)

    async def ask(self, unit: int, block: Block, within: float) -> Answer:
        """Ask for one block."""
        client = self._client
        if client is None:
            raise ConnectionError
        reads = {
            "c": client.read_coils,
            "d": client.read_discrete_inputs,
            "h": client.read_holding_registers,
            "i": client.read_input_registers,
        }
        client.ctx.comm_params.timeout_connect = within
        self.heard, self._asking = False, True
        try:
            answer = await reads[block.table](block.start, count=block.count, device_id=unit)
        finally:
            self._asking = False
        values = [int(value) for value in (answer.bits if block.bits else answer.registers)]
        return Answer(answer.dev_id, answer.function_code, values, answer.exception_code)

    def close(self) -> None:
        """Let go of the port."""
        client, self._client = self._client, None
        if client is not None:
            # pyserial and termios raise all sorts of things for a port that was pulled out.
            with contextlib.suppress(Exception):
                client.close()

    def _build(self, within: float) -> ModbusBaseClient:
        """Make a fresh client that leaves retries and reconnection to us."""
        where, options = self._endpoint, self._endpoint.options
        client: ModbusBaseClient
        if where.scheme == "modbus+rtu":
            client = AsyncModbusSerialClient(
                where.path,
                baudrate=int(options["baud"]),
                bytesize=int(options["bytesize"]),
                parity=options["parity"],
                stopbits=int(options["stopbits"]),
                handle_local_echo=options.get("echo", "0") not in ("0", "no", "false"),
                retries=0,
                reconnect_delay=0,
                timeout=within,
                trace_packet=self._traced,
                trace_connect=self._changed,
            )
        else:
            client = AsyncModbusTcpClient(
                where.host,
                port=where.port,
                framer=FramerType.RTU,
                retries=0,
                reconnect_delay=0,
                timeout=within,
                trace_packet=self._traced,
                trace_connect=self._changed,
            )
        client.set_max_no_responses(1 << 30)  # when a session is given up is decided by the wire
        receive = client.ctx.data_received

        def received(data: bytes) -> None:
            try:
                receive(data)
            except Exception as error:  # noqa: BLE001 pymodbus raises into the event loop for a frame it cannot decode
                _log.debug("%s: %r", where.medium, error)
                self._fail(client)

        client.ctx.data_received = received  # type: ignore[method-assign]
        return client

    def _fail(self, client: ModbusBaseClient) -> None:
        """End the question under way now: no answer can come."""
        if self._asking and not client.ctx.response_future.done():
            client.ctx.response_future.set_exception(ConnectionError())

    def _changed(self, connected: bool) -> None:
        if not connected and self._client is not None:
            self._fail(self._client)

    def _traced(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            self.heard = True
            if not self._asking and len(data) >= _SHORTEST:
                self._unasked(data[0])
        return data


def _reason(where: Endpoint) -> str:
    """Say why there is no connection, as far as can be told: pymodbus keeps the error to itself."""
    if not where.path:
        return "refused or not answered"
    if not os.path.exists(where.path):  # noqa: PTH110
        return "no such port"
    return "in use or broken" if os.access(where.path, os.R_OK | os.W_OK) else "no permission, see group dialout"
