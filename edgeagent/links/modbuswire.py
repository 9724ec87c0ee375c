"""The connection under a Modbus link: opened, paced, settled after trouble, opened again.

Owns what is believed of a line (`modbusline`), and when a session is given up: an RTU frame carries no transaction
id, so that a late answer may pass for the next one even when function or length differ.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final, TypeGuard

from edgeagent.endpoint import Endpoint
from edgeagent.items import Quirks
from edgeagent.links.blocks import Block
from edgeagent.links.modbusline import Answer, Early, Line
from edgeagent.links.modbusmbap import MbapLine
from edgeagent.readings import Missing

_log = logging.getLogger(__name__)

_CONNECT: Final = 1.0  # s for a connection at least
_BACKOFF: Final = 0.5  # s between failed connections, doubling
_LONGEST_BACKOFF: Final = 10.0
_QUIET: Final = 0.5  # s of silence at least before a line that may still bring a late answer is used
_LATEST: Final = 5.0  # s after its time-out in which an answer may still come
_CHATTER: Final = 5.0  # s after which a line that never falls silent is not waited for
_RTU_DELAY: Final = 0.05  # s between frames; gateways and slow slaves miss questions that come sooner

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
        self._line: Line | None = None
        self._retry_at = 0.0
        self._backoff = _BACKOFF
        self._ready_at = 0.0  # no question before this: pause after connect, frame delay
        self._quiet_until = 0.0
        self._owed: dict[int, dict[tuple[int, int], float]] = {}  # RTU: answers by unit that may come late, since when
        self._widest: dict[int, Block] = {}  # RTU: the longest read by unit that was answered
        self._answered: set[int] = set()  # units that answered in this session
        self._silence = 0
        self._anonymous = False  # the device does not echo transaction ids
        self.early: dict[Block, Early] = {}
        """What was asked already of the poll that comes now, of the same unit."""

    def at_once(self, unit: int, quirks: Quirks) -> MbapLine | None:
        """Return the line if a plain answer of this unit would be believed, and change nothing that is known."""
        line = self._line
        calm = unit in self._answered and not (self._silence or self._anonymous or quirks.frame_delay)
        return line if calm and isinstance(line, MbapLine) and line.alive else None

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
        line, self._line = self._line, None
        if line is not None:
            line.close()

    async def _exchange(self, unit: int, block: Block, quirks: Quirks, within: float) -> list[int] | Missing:
        """Ask one question, unless that was done."""
        if self.early and (early := self.early.pop(block, None)) is not None:
            self.spent += early.waited
            return self._come(self._line, early.outcome, unit, block, within)
        if not await self._open(quirks, within):
            return Missing.LINK_DOWN
        quiet = await self._pace()
        line = self._line
        if not _alive(line):
            return self._lost()
        if not quiet:
            return self._distrust(unit, block, within)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        try:
            outcome: Answer | Exception = await line.ask(unit, block, within)
        except Exception as error:  # noqa: BLE001 the link's edge: whatever pymodbus, pyserial or the OS raise is trouble on the wire
            outcome = error
        finally:
            now = loop.time()
            self.spent += now - asked
            self._ready_at = now + (quirks.frame_delay or (_RTU_DELAY if self._rtu else 0.0))
        return self._come(line, outcome, unit, block, within)

    def _come(
        self, line: Line | None, outcome: Answer | Exception, unit: int, block: Block, within: float
    ) -> list[int] | Missing:
        """Judge what a question came to."""
        if isinstance(outcome, Answer):
            return self._judged(outcome, unit, block, within)
        _log.debug("%s unit %d: %r", self._endpoint.medium, unit, outcome)
        return self._unanswered(line, unit, block, within) if _alive(line) else self._lost()

    def _judged(self, answer: Answer, unit: int, block: Block, within: float) -> list[int] | Missing:
        """Take the values out of an answer, and take nothing for an answer that is not."""
        refused = answer.function == block.function | 0x80
        length = block.size * 8 if block.bits else block.count  # bits come in whole bytes
        fits = refused or (answer.function == block.function and len(answer.values) == length)
        if not fits or unit not in (answer.unit, 0):
            return self._distrust(unit, block, within)
        self._answered.add(unit)
        self._silence = 0
        self._backoff = _BACKOFF
        self._anonymous = answer.anonymous
        if refused:
            return _REFUSALS.get(answer.code, Missing.ERROR)
        if self._rtu and (unit not in self._widest or self._widest[unit].size < block.size):
            self._widest[unit] = block
        return answer.values[: block.count] if block.bits else answer.values

    def _unanswered(self, line: Line, unit: int, block: Block, within: float) -> Missing:
        """Judge a question that ran out of time."""
        if line.torn:
            return self._distrust(unit, block, within)
        self._owe(unit, block, within)
        self._silence += _KNOWN_UNIT if unit in self._answered else 1
        # A session over which nothing comes any more is opened anew; at once when it brings answers to other
        # questions, or when nothing would tell a late answer from the next.
        if self._silence >= _SUSPECT or line.heard or self._anonymous:
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
        if _alive(self._line):
            return True
        self.close()
        loop = asyncio.get_running_loop()
        if loop.time() < self._retry_at:
            return False
        try:
            self._line = line = self._build()
            why = await line.connect(max(_CONNECT, within))
        except Exception as error:  # noqa: BLE001 the link's edge: pyserial and ssl raise more than OSError for a bad port or file
            why = str(error) or repr(error)
        if why:
            level = logging.WARNING if self._backoff == _BACKOFF else logging.DEBUG
            _log.log(level, "%s is down: %s", self._endpoint.medium, why)
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

    def _build(self) -> Line:
        if not self._rtu:
            return MbapLine(self._endpoint)
        from edgeagent.links.modbusrtu import RtuLine

        return RtuLine(self._endpoint, self._unasked)

    def _unasked(self, unit: int) -> None:
        """Doubt a unit's next answer: something came on its bus for which nobody asked."""
        self._owed.setdefault(unit, {})
        self._quiet_until = asyncio.get_running_loop().time() + _QUIET


def _alive(line: Line | None) -> TypeGuard[Line]:
    """Tell whether questions can be sent."""
    return line is not None and line.alive
