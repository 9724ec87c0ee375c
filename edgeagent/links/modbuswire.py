"""The connection under a Modbus link: opened, paced, settled after trouble, opened again.

The only module that knows pymodbus. pymodbus frames and decodes; retries and reconnection are switched off there and
done here, and so is the question whether an answer belongs to what was asked: an RTU frame carries no transaction
id, and pymodbus takes a late answer for the next one even when function or length differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import ssl
from typing import TYPE_CHECKING, Final, TypeGuard

from edgeagent.endpoint import Endpoint
from edgeagent.items import Quirks
from edgeagent.links.blocks import Block
from edgeagent.readings import Missing

if TYPE_CHECKING:
    from pymodbus.client.base import ModbusBaseClient
    from pymodbus.pdu import ModbusPDU

_log = logging.getLogger(__name__)

_CONNECT: Final = 1.0  # s for a connection at least
_BACKOFF: Final = 0.5  # s between failed connections, doubling
_LONGEST_BACKOFF: Final = 10.0
_QUIET: Final = 0.5  # s of silence at least before a line that may still bring a late answer is used
_LATEST: Final = 5.0  # s after its time-out in which an answer may still come
_CHATTER: Final = 5.0  # s after which a line that never falls silent is not waited for
_RTU_DELAY: Final = 0.05  # s between frames; gateways and slow slaves miss questions that come sooner
_SHORTEST_FRAME: Final = 5  # bytes of an RTU exception; less is line noise

_SUSPECT: Final = 10  # a session is opened anew when silence adds up to this
_KNOWN_UNIT: Final = 5  # weight of a unit that answered in this session and stopped; one that never did weighs 1

_REFUSALS: Final = {
    2: Missing.ABSENT,
    3: Missing.ABSENT,
    5: Missing.BUSY,
    6: Missing.BUSY,
    10: Missing.GATEWAY,
    11: Missing.GATEWAY,
}
"""Exception codes (MODBUS Application Protocol V1.1b3 §7); all others are the device's own failure."""


class Wire:
    """One connection, used by one task. `spent` adds up the seconds spent waiting for answers."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.spent = 0.0
        self._endpoint = endpoint
        self._rtu = endpoint.scheme in ("modbus+rtu", "modbus+rtuovertcp")
        self._client: ModbusBaseClient | None = None
        self._retry_at = 0.0
        self._backoff = _BACKOFF
        self._ready_at = 0.0  # no question before this: pause after connect, frame delay
        self._quiet_until = 0.0
        self._asking = False
        self._heard = 0  # bytes in the receive buffer when something last came
        self._garbled = False
        self._owed: dict[int, dict[tuple[int, int], float]] = {}  # RTU: answers by unit that may come late, since when
        self._widest: dict[int, Block] = {}  # RTU: the longest read by unit that was answered
        self._answered: set[int] = set()  # units that answered in this session
        self._silence = 0
        self._anonymous = False  # the device does not echo transaction ids

    async def read(self, unit: int, block: Block, quirks: Quirks, within: float) -> list[int] | Missing:
        """Ask for one block and return its registers or bits, or why there are none within so many seconds.

        After trouble on an RTU line a unit is believed only when a read whose answer cannot be mistaken for a late
        one has come back; where there is no such read it is left alone until nothing can come late any more.
        """
        if unit in self._owed:
            now = asyncio.get_running_loop().time()
            owed = {shape for shape, since in self._owed[unit].items() if now - since < _LATEST}
            anchor = block.anchor(owed, quirks.gap)
            if anchor.shape in owed:
                anchor = self._widest.get(unit, block).anchor(owed, 0)
            if anchor.shape in owed:
                return Missing.TIMEOUT
            result = await self._exchange(unit, anchor, quirks, within)
            if result in (Missing.TIMEOUT, Missing.LINK_DOWN, Missing.MALFORMED):
                return result
            self._owed.pop(unit, None)
        return await self._exchange(unit, block, quirks, within)

    def close(self) -> None:
        """Let go of the socket or port."""
        client, self._client = self._client, None
        if client is not None:
            # pyserial and termios raise all sorts of things for a port that was pulled out.
            with contextlib.suppress(Exception):
                client.close()

    async def _exchange(self, unit: int, block: Block, quirks: Quirks, within: float) -> list[int] | Missing:
        """Ask one question."""
        if not await self._open(quirks, within):
            return Missing.LINK_DOWN
        quiet = await self._pace()
        client = self._client
        if not _alive(client):
            return self._lost()
        if not quiet:
            return self._distrust(unit, block, within)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        client.ctx.comm_params.timeout_connect = within
        self._heard, self._garbled, self._asking = 0, False, True
        try:
            answer = await self._request(client, unit, block)
        except Exception as error:  # noqa: BLE001 the link's edge: whatever pymodbus, pyserial or the OS raise is trouble on the wire
            _log.debug("%s unit %d: %r", self._endpoint.medium, unit, error)
            return self._unanswered(client, unit, block, within) if _alive(client) else self._lost()
        finally:
            self._asking = False
            now = loop.time()
            self.spent += now - asked
            self._ready_at = now + (quirks.frame_delay or (_RTU_DELAY if self._rtu else 0.0))
        return self._judged(answer, unit, block, within)

    @staticmethod
    async def _request(client: ModbusBaseClient, unit: int, block: Block) -> ModbusPDU:
        reads = {
            "c": client.read_coils,
            "d": client.read_discrete_inputs,
            "h": client.read_holding_registers,
            "i": client.read_input_registers,
        }
        return await reads[block.table](block.start, count=block.count, device_id=unit)

    def _judged(self, answer: ModbusPDU, unit: int, block: Block, within: float) -> list[int] | Missing:
        """Take the values out of an answer, and take nothing for an answer that is not."""
        refused = answer.function_code == block.function | 0x80
        values = answer.bits if block.bits else answer.registers
        length = block.size * 8 if block.bits else block.count  # bits come in whole bytes
        fits = refused or (answer.function_code == block.function and len(values) == length)
        if not fits or unit not in (answer.dev_id, 0):
            return self._distrust(unit, block, within)
        self._answered.add(unit)
        self._silence = 0
        self._backoff = _BACKOFF
        self._anonymous = not self._rtu and not answer.transaction_id
        if refused:
            return _REFUSALS.get(answer.exception_code, Missing.ERROR)
        if self._rtu and (unit not in self._widest or self._widest[unit].size < block.size):
            self._widest[unit] = block
        return [int(value) for value in values[: block.count]]

    def _unanswered(self, client: ModbusBaseClient, unit: int, block: Block, within: float) -> Missing:
        """Judge a question that ran out of time."""
        if self._garbled or (self._heard and (self._rtu or client.ctx.recv_buffer)):
            return self._distrust(unit, block, within)
        self._owe(unit, block, within)
        self._silence += _KNOWN_UNIT if unit in self._answered else 1
        # A session over which nothing comes any more is opened anew; at once when it brings answers to other
        # questions, or when nothing would tell a late answer from the next.
        if self._silence >= _SUSPECT or self._heard or self._anonymous:
            self._reopen()
        return Missing.TIMEOUT

    def _distrust(self, unit: int, block: Block, within: float) -> Missing:
        """Give up what is on the wire: it answers something else, or nothing at all."""
        self._owe(unit, block, within)
        if not self._rtu:
            self._reopen()
        return Missing.MALFORMED

    def _owe(self, unit: int, block: Block, within: float) -> None:
        if self._rtu:
            now = asyncio.get_running_loop().time()
            self._owed.setdefault(unit, {})[block.shape] = now
            self._quiet_until = now + max(_QUIET, within)

    def _lost(self) -> Missing:
        _log.warning("%s: connection lost", self._endpoint.medium)
        self._reopen()
        return Missing.LINK_DOWN

    def _reopen(self) -> None:
        """Close, and connect again with the next question; later when this session brought no answer at all."""
        self.close()
        if not self._answered:
            self._back_off()

    def _back_off(self) -> None:
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 spreads retries, guards nothing
        self._retry_at = asyncio.get_running_loop().time() + self._backoff * jitter
        self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF)

    async def _open(self, quirks: Quirks, within: float) -> bool:
        """Connect unless connected; while the last failure is fresh say no at once."""
        if _alive(self._client):
            return True
        self.close()
        loop = asyncio.get_running_loop()
        if loop.time() < self._retry_at:
            return False
        why = ""
        try:
            self._client = client = self._build(max(_CONNECT, within))
            up = await client.connect()
        except Exception as error:  # noqa: BLE001 the link's edge: pyserial and ssl raise more than OSError for a bad port or file
            up, why = False, str(error)
        if not up:
            level = logging.WARNING if self._backoff == _BACKOFF else logging.DEBUG
            _log.log(level, "%s is down: %s", self._endpoint.medium, why or _reason(self._endpoint))
            self.close()
            self._back_off()
            return False
        _log.info("%s: connected", self._endpoint.medium)
        self._answered.clear()
        self._silence = 0
        self._anonymous = False
        self._ready_at = loop.time() + quirks.pause_after_connect
        return True

    async def _pace(self) -> bool:
        """Wait until the next question may be asked; False when the line does not fall silent."""
        loop = asyncio.get_running_loop()
        end = max(loop.time(), self._ready_at, self._quiet_until) + _CHATTER
        while (wait := max(self._ready_at, self._quiet_until) - loop.time()) > 0:
            if self._quiet_until > end:
                return False
            await asyncio.sleep(wait)
        return True

    def _build(self, within: float) -> ModbusBaseClient:
        """Make a fresh client that leaves retries and reconnection to us."""
        from pymodbus import FramerType
        from pymodbus.client import (
            AsyncModbusSerialClient,
            AsyncModbusTcpClient,
            AsyncModbusTlsClient,
        )
        from pymodbus.framer.socket import FramerSocket
        from pymodbus.pdu import DecodePDU

        # pymodbus logs each time-out and each odd frame as an error with a dump; the link tells what matters.
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
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
        elif where.scheme == "modbus+tls":
            client = AsyncModbusTlsClient(
                where.host,
                port=where.port,
                sslctx=_tls(where),
                retries=0,
                reconnect_delay=0,
                timeout=within,
                trace_packet=self._traced,
                trace_connect=self._changed,
            )
            # pymodbus takes each chunk out of TLS for one frame; inside, the frames are those of TCP, unchanged
            # (MODBUS/TCP Security v36).
            client.ctx.framer = FramerSocket(DecodePDU(is_server=False))
        else:
            client = AsyncModbusTcpClient(
                where.host,
                port=where.port,
                framer=FramerType.RTU if self._rtu else FramerType.SOCKET,
                retries=0,
                reconnect_delay=0,
                timeout=within,
                trace_packet=self._traced,
                trace_connect=self._changed,
            )
        client.set_max_no_responses(1 << 30)  # when a session is given up is decided here
        receive = client.ctx.data_received

        def received(data: bytes) -> None:
            try:
                receive(data)
            except Exception as error:  # noqa: BLE001 pymodbus raises into the event loop for a frame it cannot decode
                _log.debug("%s: %r", where.medium, error)
                self._garbled = True
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
        """Note what comes in. On an RTU line what comes unasked makes that unit's next answer doubtful."""
        if not sending:
            self._heard = len(data)
            if self._rtu and not self._asking and len(data) >= _SHORTEST_FRAME:
                self._owed.setdefault(data[0], {})
                self._quiet_until = asyncio.get_running_loop().time() + _QUIET
        return data


def _alive(client: ModbusBaseClient | None) -> TypeGuard[ModbusBaseClient]:
    """Tell whether questions can be sent; pymodbus overlooks a connection lost while it was being made."""
    return client is not None and client.connected and not client.ctx.transport.is_closing()


def _tls(where: Endpoint) -> ssl.SSLContext:
    """Build the context of a client that checks the device's name against `ca` and may show a certificate."""
    context = ssl.create_default_context(cafile=where.options.get("ca"))
    if "cert" in where.options:
        context.load_cert_chain(where.options["cert"], where.options.get("key"))
    return context


def _reason(where: Endpoint) -> str:
    """Say why there is no connection, as far as can be told: pymodbus keeps the error to itself."""
    if not where.path:
        return "refused or not answered"
    if not os.path.exists(where.path):  # noqa: PTH110
        return "no such port"
    return "in use or broken" if os.access(where.path, os.R_OK | os.W_OK) else "no permission, see group dialout"
