"""A UPS on a serial line that is asked line by line (Megatec and its dialects). One question at a time.

A port that is gone is opened again by its path, so that a USB adapter under /dev/serial/by-id may come and go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import termios
from collections import deque
from typing import TYPE_CHECKING, Final

from edgeagent.endpoint import Endpoint
from edgeagent.links import Plan, Target
from edgeagent.links import megatec as lines
from edgeagent.links.turns import Done, Turns, same
from edgeagent.readings import Answers, Missing

if TYPE_CHECKING:
    import serial

_log = logging.getLogger(__name__)

RECHECK: Final = 600.0
"""s for which an inquiry that the UPS does not know is left alone, and for which its ratings hold."""
_QUEUE: Final = 64
_LONGEST: Final = 256  # bytes of a line; the longest answer of the family has 80
_REQUEST: Final = 1.0  # s for one answer, as Network UPS Tools has it; 80 characters take 0.33 at 2400 baud
_SILENT: Final = 2  # times that an inquiry which was never answered stays unanswered before it is left alone
_QUIET: Final = 0.2  # s of silence before a line on which a late answer may come is used
_CHATTER: Final = 1.0  # s after which a line that never falls silent is not waited for
_BACKOFF: Final = 0.5  # s between failed openings, doubling
_LONGEST_BACKOFF: Final = 10.0
_SUSPECT: Final = 5  # polls without a value after which the port is opened anew and nothing is taken for known
_TROUBLE: Final = (OSError, ValueError, termios.error)  # what pyserial and termios raise; SerialException is an OSError


class SerialLink:
    """The UPS at one port.

    `target.timeout` bounds a poll from its turn on, opening the port aside; one answer may take `quirks.timeout`,
    else 1 s. An inquiry that the UPS refuses, or leaves unanswered while it answers others, is not asked again for
    `recheck` s.
    """

    def __init__(self, endpoint: Endpoint, *, recheck: float = RECHECK) -> None:
        self._line = Line(endpoint)
        self._recheck = recheck
        chosen = endpoint.options.get("protocol")
        self._dialects = (chosen,) if chosen else lines.LOOKED_FOR
        self._dialect: str | None = None
        self._left: dict[str, float] = {}  # inquiries left alone, until when
        self._known: set[str] = set()  # inquiries that were answered in this session
        self._unanswered: dict[str, int] = {}
        self._cells: int | None = None
        self._rated = 0.0  # when the ratings are asked again
        self._mute = 0
        self._turns = Turns(_QUEUE)

    def ask(self, target: Target, plan: Plan, done: Done) -> None:
        """Start one poll; see `Link.ask`. Walks do not exist here and are answered as absent."""
        self._turns.ask(target, plan, done)

    async def run(self) -> None:
        """Own the port until cancelled; what is still open then is answered as link down."""
        await self._turns.serve(self._poll, self._line.close)

    async def _poll(self, target: Target, plan: Plan) -> Answers:
        answers = same(plan, Missing.ABSENT)
        if not await self._line.open():
            return dict.fromkeys(answers, Missing.LINK_DOWN)
        if self._line.fresh:
            self._line.fresh = False
            self._forget()
        loop = asyncio.get_running_loop()
        end = loop.time() + target.timeout
        wanted: dict[str, list[tuple[str, str]]] = {}
        for address in plan.gets:
            command, _, name = address.partition(":")
            wanted.setdefault(command, []).append((address, name))
        over: Missing | None = None
        heard = False
        for command, places in sorted(wanted.items(), key=lambda item: lines.ORDER.get(item[0], 0)):
            fields = over or await self._fields(command, target, end, [name for _, name in places])
            silent = isinstance(fields, Missing) and fields.silent
            heard = heard or not silent
            if fields is Missing.LINK_DOWN or (silent and not heard):
                over = Missing(str(fields))  # who does not answer the first question does not answer the next
            answers |= {
                address: fields if isinstance(fields, Missing) else fields.get(name, Missing.ABSENT)
                for address, name in places
            }
        if over is Missing.LINK_DOWN and not heard:
            return dict.fromkeys(answers, over)
        self._mute = 0 if any(not isinstance(raw, Missing) for raw in answers.values()) else self._mute + 1
        if self._mute >= _SUSPECT:
            self._mute = 0
            self._line.close()
        return answers

    def _forget(self) -> None:
        """Take nothing for known: another UPS may hang on the port now."""
        self._dialect, self._cells, self._rated = None, None, 0.0
        self._left.clear()
        self._known.clear()
        self._unanswered.clear()

    async def _fields(self, command: str, target: Target, end: float, names: list[str]) -> lines.Fields | Missing:
        """Ask one inquiry and return the fields of its answer, or why there are none."""
        if command not in lines.FORMS:
            return Missing.ABSENT
        if command != lines.STATUS:
            return await self._once(command, command, target, end)
        status = await self._status(target, end)
        if isinstance(status, Missing) or "battery" not in names:
            return status
        if lines.per_cell(status):
            await self._rate(target, end)
        return {**status, "battery": lines.whole(status, self._cells)}

    async def _status(self, target: Target, end: float) -> lines.Fields | Missing:
        """Ask for the status in the dialect that this UPS speaks; look for it while it is not known."""
        worst: Missing = Missing.TIMEOUT
        for dialect in (self._dialect,) if self._dialect else self._dialects:
            verb = lines.VERBS[dialect]
            answer = await self._once(verb, lines.STATUS, target, end)
            if not isinstance(answer, Missing):
                self._dialect = dialect
                return answer
            if answer is Missing.LINK_DOWN:
                return answer
            worst = answer if worst.silent else worst
        return worst

    async def _rate(self, target: Target, end: float) -> None:
        """Ask how many cells the battery has, once for a long time."""
        now = asyncio.get_running_loop().time()
        if now < self._rated:
            return
        rating = await self._once(lines.RATING, lines.RATING, target, end)
        if not isinstance(rating, Missing):
            self._cells = lines.cells(rating)
            self._rated = now + self._recheck

    async def _once(self, verb: str, form: str, target: Target, end: float) -> lines.Fields | Missing:
        """Send one inquiry unless it is known to be in vain, and take its answer apart."""
        loop = asyncio.get_running_loop()
        if self._left.get(verb, 0.0) > loop.time():
            return Missing.ABSENT
        within = min(target.quirks.timeout or _REQUEST, end - loop.time())
        if within <= 0:
            return Missing.TIMEOUT
        line = await self._line.question(verb.encode(), within, target.quirks.frame_delay)
        fields = line if isinstance(line, Missing) else lines.parse(form, line)
        if not isinstance(fields, Missing):
            self._known.add(verb)
            self._unanswered.pop(verb, None)
            return fields
        if fields is Missing.MALFORMED:
            _log.debug("%s: %s is answered by %r", target.name, verb, line)
            self._line.doubt()
        elif verb in self._known:
            # What it once knew it cannot have forgotten: noise on the line.
            return Missing.ERROR if fields is Missing.ABSENT else fields
        elif fields is Missing.ABSENT:
            self._leave(verb, target)
        elif fields is Missing.TIMEOUT and self._known:
            self._unanswered[verb] = self._unanswered.get(verb, 0) + 1
            if self._unanswered[verb] >= _SILENT:
                self._leave(verb, target)
        return fields

    def _leave(self, verb: str, target: Target) -> None:
        if verb in (lines.VERBS[dialect] for dialect in self._dialects):
            return  # a UPS that was just switched on refuses its status for a while
        _log.info("%s does not know %s", target.name, verb)
        self._unanswered.pop(verb, None)
        self._left[verb] = asyncio.get_running_loop().time() + self._recheck


class Line:
    """One port: opened, closed, and a line of text sent for a line of text. Used by one task.

    `fresh` says that it was opened since somebody looked.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.fresh = False
        self._endpoint = endpoint
        self._port: serial.Serial | None = None
        self._retry_at = 0.0
        self._backoff = _BACKOFF
        self._ready_at = 0.0
        self._doubtful = False
        self._last = 0.0  # when something last came
        self._buffer = b""
        self._overrun = False
        self._lines: deque[bytes] = deque(maxlen=16)
        self._heard = asyncio.Event()

    async def open(self) -> bool:
        """Open the port unless it is open; while the last failure is fresh say no at once."""
        if self._port is not None:
            return True
        loop = asyncio.get_running_loop()
        if loop.time() < self._retry_at:
            return False
        opening = loop.run_in_executor(None, self._build)  # a driver of the kernel may take its time
        try:
            port = await asyncio.shield(opening)
            self._port = port
            loop.add_reader(port.fileno(), self._readable)
        except asyncio.CancelledError:
            opening.add_done_callback(_shut)
            raise
        except _TROUBLE as error:
            level = logging.WARNING if self._backoff == _BACKOFF else logging.DEBUG
            _log.log(level, "%s is down: %s", self._endpoint.medium, error)
            self.close()
            self._back_off()
            return False
        _log.info("%s: open", self._endpoint.medium)
        self._backoff, self._ready_at, self._doubtful = _BACKOFF, loop.time(), False
        self.fresh = True
        return True

    def close(self) -> None:
        """Let go of the port."""
        port, self._port = self._port, None
        if port is None:
            return
        asyncio.get_running_loop().remove_reader(port.fileno())
        _close(port)

    def doubt(self) -> None:
        """Wait for silence before the next question: more may come of what was not understood."""
        self._doubtful = True

    async def question(self, command: bytes, within: float, pause: float) -> bytes | Missing:
        """Send a command and return the line that answers it, without its end, within so many s.

        A line that only repeats the command is an echo; when nothing follows it, the UPS does not know the command
        (v2.7, "Invalid Command/Information Handling") and the answer is `ABSENT`.
        """
        if not await self._settled():
            return Missing.LINK_DOWN if self._port is None else Missing.MALFORMED
        self._buffer, self._overrun = b"", False
        self._lines.clear()
        if not self._send(command + b"\r"):
            return Missing.LINK_DOWN
        echoed = False
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._port is not None and not self._overrun:
                    while self._lines:
                        line = self._lines.popleft()
                        if line == command and not echoed:
                            echoed = True
                        elif line:
                            self._ready_at = loop.time() + pause
                            return line
                    self._heard.clear()
                    await self._heard.wait()
        self._ready_at = loop.time() + pause
        if self._port is None:
            return Missing.LINK_DOWN
        self._doubtful = True
        if self._overrun or self._buffer.strip(b"\0"):
            return Missing.MALFORMED
        return Missing.ABSENT if echoed else Missing.TIMEOUT

    async def _settled(self) -> bool:
        """Wait for the pause between questions and, after trouble, for silence; False when there is none."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _CHATTER
        while self._port is not None:
            ready = max(self._ready_at, self._last + _QUIET) if self._doubtful else self._ready_at
            wait = ready - loop.time()
            if wait <= 0:
                self._doubtful = False
                return True
            if self._doubtful and loop.time() >= end:
                return False
            await asyncio.sleep(wait)
        return False

    def _send(self, data: bytes) -> bool:
        if self._port is None:
            return False
        try:
            # Not port.write: it goes round and round while the buffer of a stuck adapter is full.
            sent = os.write(self._port.fileno(), data)
        except _TROUBLE as error:
            self._lost(error)
            return False
        if sent != len(data):
            self._lost(OSError("it takes no more data"))
        return sent == len(data)

    def _readable(self) -> None:
        if self._port is None:
            return
        try:
            data = os.read(self._port.fileno(), 1024)
        except (BlockingIOError, InterruptedError):
            return
        except _TROUBLE as error:
            self._lost(error)
            return
        if not data:
            self._lost(OSError("it was pulled out"))
            return
        self._last = asyncio.get_running_loop().time()
        *whole, self._buffer = (self._buffer + data).replace(b"\n", b"\r").split(b"\r")
        self._lines.extend(line.strip(b"\0 ") for line in whole if len(line) <= _LONGEST)
        self._overrun = self._overrun or any(len(line) > _LONGEST for line in (*whole, self._buffer))
        self._buffer = self._buffer[-_LONGEST:]
        self._heard.set()

    def _lost(self, why: Exception) -> None:
        _log.warning("%s: lost: %s", self._endpoint.medium, why)
        self.close()
        self._back_off()
        self._heard.set()

    def _back_off(self) -> None:
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 - spreads retries, guards nothing
        self._retry_at = asyncio.get_running_loop().time() + self._backoff * jitter
        self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF)

    def _build(self) -> serial.Serial:
        import serial

        options = self._endpoint.options
        port = serial.Serial(
            None,
            baudrate=int(options["baud"]),
            bytesize=int(options["bytesize"]),
            parity=options["parity"],
            stopbits=int(options["stopbits"]),
            timeout=0,
            exclusive=True,
        )
        # DTR on and RTS off feed the interface of opto-isolated cables; it is what Network UPS Tools does as well.
        port.dtr, port.rts = True, False
        port.port = self._endpoint.path
        port.open()
        return port


def _shut(opening: asyncio.Future[serial.Serial]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        _close(opening.result())


def _close(port: serial.Serial) -> None:
    with contextlib.suppress(*_TROUBLE):
        termios.tcflush(port.fileno(), termios.TCIOFLUSH)  # else the kernel waits for what nobody reads any more
    with contextlib.suppress(*_TROUBLE):
        port.close()
