"""A device made from its driver file, served over real SNMP or Modbus on loopback, or on a pseudo terminal.

It proves that the way from the wire to the feed works, not that the driver file tells the truth: that takes
captures and other people's tools. Values are set, ramped and silenced in the words of the vocabulary.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from edgeagent.catalog import Driver, PointType
from edgeagent.decode import decode
from edgeagent.encode import EncodeError, encode
from edgeagent.endpoint import Endpoint
from edgeagent.fit import suited
from edgeagent.mistakes import nearest
from edgeagent.readings import Missing, Raw, Reading, Value
from edgeagent.simulators.faults import faulty
from edgeagent.simulators.healthy import introduction, sample
from edgeagent.simulators.lies import lies
from edgeagent.simulators.states import SLOWNESS, Death, State, half_dead, patience

if TYPE_CHECKING:
    from edgeagent.simulators.modbus import ModbusServer
    from edgeagent.simulators.serial import SerialServer
    from edgeagent.simulators.service import ServiceServer
    from edgeagent.simulators.snmp import SnmpServer

    _Server: TypeAlias = SnmpServer | ModbusServer | SerialServer | ServiceServer

_T = TypeVar("_T")
_STEP: Final = 0.25
"""Seconds between two steps of a ramp."""
_VERBS: Final = ("set", "ramp", "state", "silence", "answer", "show")
_SECONDS: Final = r"(\d{1,4}(\.\d+)?)?"
_YES: Final = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class SimulationError(ValueError):
    """A command that cannot be done; the message says what is wrong."""


@dataclass(slots=True)
class _Ramp:
    point: str
    start: float
    end: float
    began: float
    seconds: float


class SimulatedDevice:
    """One device. `answers` is what it holds, by address; it begins with the samples of its kind.

    `shown` is what it says of that in its `state`, a `Missing` where it does not; `delay` s pass before an answer.
    """

    def __init__(self, driver: Driver, values: Mapping[str, Value] | None = None) -> None:
        self.answers: dict[str, Raw] = introduction(driver)
        self.driver = suited(driver, self.answers)
        self.silent = False
        self.state = State.NORMAL
        self.delay = 0.0
        self._death = Death.REFUSED
        self._raised: dict[str, tuple[Raw, Raw]] = {}
        self._ramps: dict[str, _Ramp] = {}
        self._changed: Callable[[], None] | None = None
        for id in sorted(driver.points):
            healthy = sample(driver, id)
            if healthy is not None and not self._try(id, healthy) and isinstance(healthy, str):
                # The family has no word for it: take the first that it has.
                words = (word for item in driver.items if item.point == id for word in item.enum.values())
                self._try(id, next(words, healthy))
        for id, value in (values or {}).items():
            self.set(id, value)

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` now and after each change."""
        self._changed = changed
        changed()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()

    def _try(self, id: str, value: Value) -> bool:
        """Set a value if this driver can say it; tell whether it can."""
        try:
            self._write({id: value})
        except EncodeError:
            return False
        return True

    def set(self, id: str, value: Value) -> None:
        """Make the device show a value (canonical unit).

        Raises:
            SimulationError: for a point or a value that its driver does not have.
        """
        self._ramps.pop(id, None)
        try:
            self._write({id: value})
        except EncodeError as error:
            raise SimulationError(str(error)) from error

    def _write(self, values: Mapping[str, Value]) -> None:
        for address, raw in encode(self.driver, values, self.answers).items():
            self._put(address, raw)
        self._tell()

    def _put(self, address: str, raw: Raw) -> None:
        if raw is Missing.ABSENT:
            self.answers.pop(address, None)
        else:
            self.answers[address] = raw

    def ramp(self, id: str, start: float, end: float, seconds: float, now: float) -> None:
        """Move a number from `start` to `end` within `seconds`, beginning at `now` (any steady clock, s)."""
        self.set(id, start)
        self._ramps[id] = _Ramp(id, start, end, now, max(seconds, 0.001))

    def tick(self, now: float) -> None:
        """Move all ramps to where they are at `now`."""
        for ramp in list(self._ramps.values()):
            share = min((now - ramp.began) / ramp.seconds, 1.0)
            self._try(ramp.point, ramp.start + (ramp.end - ramp.start) * share)
            if share >= 1.0:
                del self._ramps[ramp.point]

    def turn(self, state: State, word: str = "") -> None:
        """Be in a state; `word` says how slow (s an answer) or how the dead half dies (`Death`).

        Raises:
            SimulationError: for a word that the state does not know.
        """
        delay, death = 0.0, Death.REFUSED
        if state is State.SLOW:
            if not re.fullmatch(_SECONDS, word):
                raise SimulationError(f"write: state slow SECONDS, not {word}")
            delay = float(word) if word else SLOWNESS * patience(self.driver)
        elif state is State.HALF_DEAD:
            if word and word not in set(Death):
                raise SimulationError(f'unknown death "{word}"{nearest(word, list(Death))}')
            death = Death(word or Death.REFUSED)
        elif word:
            raise SimulationError(f"state {state} takes nothing more, not {word}")
        if State.ALARM in (state, self.state) and state is not self.state:
            self._alarm(state is State.ALARM)
        self.state, self.delay, self._death = state, delay, death
        self._tell()

    def _alarm(self, on: bool) -> None:
        """Show the typical fault of the kind, or what was there before, unless it was set to something else since."""
        for address, (before, after) in self._raised.items():
            if self.answers.get(address, Missing.ABSENT) == after:
                self._put(address, before)
        self._raised.clear()
        if not on:
            return
        for address, raw in faulty(self.driver, self.answers).items():
            self._raised[address] = self.answers.get(address, Missing.ABSENT), raw
            self._put(address, raw)

    @property
    def shown(self) -> dict[str, Raw]:
        """Return what it answers: what it holds, as its state makes it."""
        if self.state is State.HALF_DEAD:
            return {**self.answers, **half_dead(self.driver, self.answers, self._death)}
        return {**self.answers, **lies(self.driver, self.answers)} if self.state is State.LYING else self.answers

    def readings(self) -> dict[str, Reading]:
        """Return what the driver reads from it."""
        shown = self.shown
        known = {address: shown.get(address, Missing.ABSENT) for address in self.driver.gets}
        return decode(self.driver, {**shown, **known}, 0.0)

    def command(self, line: str, now: float) -> str:
        """Do what a line of text says and return what to print.

        set POINT=VALUE …     ramp POINT FROM TO SECONDS     silence     answer     show
        state normal | alarm | slow [SECONDS] | half-dead [refused | absent | failing | silent] | lying

        Raises:
            SimulationError: for a line that makes no sense here.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise SimulationError(f"{error}: {line.strip()}") from error
        verb, rest = (words[0], words[1:]) if words else ("show", [])
        if verb == "set":
            for id, value in (self.parse(word) for word in rest):
                self.set(id, value)
        elif verb == "ramp":
            if len(rest) != 4 or not all(re.fullmatch(r"-?\d+(\.\d+)?", word) for word in rest[1:]):
                raise SimulationError("write: ramp POINT FROM TO SECONDS")
            self.ramp(rest[0], float(rest[1]), float(rest[2]), float(rest[3]), now)
        elif verb == "state":
            self.turn(*self.parse_state(" ".join(rest)))
        elif verb in ("silence", "answer"):
            self.silent = verb == "silence"
            self._tell()
        elif verb == "show":
            return "\n".join(f"{id} = {_spell(reading)}" for id, reading in sorted(self.readings().items()))
        else:
            raise SimulationError(f'unknown command "{verb}"{nearest(verb, _VERBS)}')
        return "ok"

    @staticmethod
    def parse_state(text: str) -> tuple[State, str]:
        """Take "slow 3" apart into the state and what it says more.

        Raises:
            SimulationError: for an unknown state.
        """
        name, _, word = text.partition(" ")
        if name not in set(State):
            raise SimulationError(f'unknown state "{name}"{nearest(name, list(State))}')
        return State(name), word.strip()

    def parse(self, text: str) -> tuple[str, Value]:
        """Take `POINT=VALUE` apart into the point's own type; sets are comma-separated.

        Raises:
            SimulationError: for an unknown point or a word that is no value of it.
        """
        id, equals, word = text.partition("=")
        point = self.driver.kind.point(id)
        if not equals or point is None:
            raise SimulationError(f'"{id}" is no point of {self.driver.id}{nearest(id, sorted(self.driver.points))}')
        if point.type is PointType.SET:
            return id, frozenset(part for part in re.split(r"[,\s]+", word) if part)
        if point.type is PointType.FLAG:
            if word.lower() not in _YES:
                raise SimulationError(f"{id} is true or false, not {word}")
            return id, _YES[word.lower()]
        if point.type is not PointType.NUMBER:
            return id, word
        try:
            return id, float(word)
        except ValueError as error:
            raise SimulationError(f"{id} is a number in {point.unit}, not {word}") from error

    async def serve(self, endpoint: Endpoint) -> Serving:
        """Answer at `endpoint`, which must be on loopback; port 0 takes a free one.

        Raises:
            SimulationError: when the endpoint does not fit the driver, is not on loopback, or is taken.
        """
        if endpoint.protocol != self.driver.protocol:
            raise SimulationError(f"{self.driver.id} speaks {self.driver.protocol}, not {endpoint.scheme}")
        if endpoint.host and not endpoint.on_loopback:
            raise SimulationError(
                f"{endpoint.host} is not a loopback address; a simulated device stays on this machine"
            )
        serving = Serving(self, endpoint)
        try:
            await serving.start()
        except OSError as error:
            raise SimulationError(f"{endpoint}: {error}") from error
        return serving


class Serving:
    """A simulated device at its endpoint, with the clock of its ramps."""

    def __init__(self, device: SimulatedDevice, endpoint: Endpoint) -> None:
        self._device, self._endpoint = device, endpoint
        self._server: _Server | None = None
        self._clock: asyncio.Task[None] | None = None
        self.port = endpoint.port

    async def start(self) -> None:
        """Begin to answer.

        Raises:
            OSError: when the port cannot be had.
        """
        ways: Mapping[str, Callable[[], tuple[_Server, Callable[[], None]]]] = {
            "snmp": self._snmp, "modbus": self._modbus, "serial": self._serial, "service": self._service
        }  # fmt: skip
        way = ways.get(self._endpoint.protocol)
        if way is None or self._endpoint.scheme in ("service+https", "icmp"):  # no certificate; the kernel answers
            raise SimulationError(f"a {self._endpoint.scheme} device cannot be served")
        self._server, mirror = way()
        self.port = await self._server.start()
        self._device.follow(mirror)
        self._clock = asyncio.create_task(self._tick())

    def _snmp(self) -> tuple[SnmpServer, Callable[[], None]]:
        from edgeagent.simulators.snmp import SnmpServer, User

        device, endpoint = self._device, self._endpoint
        options, secrets = endpoint.options, endpoint.secrets
        users: tuple[User, ...] = ()
        if options["version"] == "3":
            auth, priv = secrets.get("auth", ""), secrets.get("priv", "")
            users = (User(endpoint.user, options["auth"], auth, options["priv"], priv),)
        server = SnmpServer({}, endpoint.host, endpoint.port, secrets.get("community", ""), users)
        walks = set(device.driver.walks)

        def mirror() -> None:
            server.silent, server.delay, server.stale = device.silent, device.delay, device.state is State.LYING
            shown = device.shown
            _follow(server.broken, _broken(shown))
            image = {oid: _tagged(raw) for oid, raw in shown.items() if _served(raw) and oid not in walks}
            _follow(server.image, image)

        return server, mirror

    def _modbus(self) -> tuple[ModbusServer, Callable[[], None]]:
        from edgeagent.simulators.modbus import ModbusServer

        device, endpoint = self._device, self._endpoint
        image: dict[str, int] = {}
        server = ModbusServer({endpoint.unit: image}, str(endpoint))

        def mirror() -> None:
            server.silent.clear()
            if device.silent:
                server.silent.add(endpoint.unit)
            server.delay, server.stale = device.delay, device.state is State.LYING
            shown = device.shown
            _follow(server.broken, _broken(shown))
            _follow(image, {address: raw for address, raw in shown.items() if isinstance(raw, int)})

        return server, mirror

    def _serial(self) -> tuple[SerialServer, Callable[[], None]]:
        from edgeagent.simulators.serial import SerialServer, speak

        device = self._device
        shown: dict[str, Raw] = {}
        server = SerialServer(self._endpoint.path, lambda command: speak(shown, command))

        def mirror() -> None:
            server.silent, server.delay, server.stale = device.silent, device.delay, device.state is State.LYING
            _follow(shown, device.shown)

        return server, mirror

    def _service(self) -> tuple[ServiceServer, Callable[[], None]]:
        from edgeagent.simulators.service import SERVERS, show

        server = SERVERS[self._endpoint.scheme](self._endpoint.host, self._endpoint.port)
        return server, lambda: show(server, self._device.shown, self._device.silent, self._device.delay)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_STEP)
            self._device.tick(loop.time())

    async def stop(self) -> None:
        """Answer no more."""
        if self._clock is not None:
            self._clock.cancel()
        if self._server is not None:
            stopped = self._server.stop()
            if stopped is not None:
                await stopped


def _follow(image: MutableMapping[str, _T], wanted: Mapping[str, _T]) -> None:
    """Make a served image hold just what is wanted, never empty in between."""
    image.update(wanted)
    for address in image.keys() - wanted.keys():
        del image[address]


def _broken(shown: Mapping[str, Raw]) -> dict[str, Missing]:
    """Return what is not merely absent: it fails, or nothing comes."""
    return {address: raw for address, raw in shown.items() if raw is Missing.ERROR or raw is Missing.TIMEOUT}


def _served(raw: Raw) -> bool:
    return raw is Missing.NULL or not isinstance(raw, Missing)


def _tagged(raw: Raw) -> tuple[int, int | bytes | str]:
    """Give a raw answer the ASN.1 tag that real cards use: INTEGER, Gauge32, OCTET STRING, OBJECT IDENTIFIER."""
    if raw is Missing.NULL:
        return 5, b""
    if isinstance(raw, (bytes, str)):
        return (4, raw) if isinstance(raw, bytes) else (6, raw)
    number = int(raw)
    return (2 if -(2**31) <= number < 2**31 else 66, number)


def _spell(reading: Reading) -> str:
    if reading.value is None:
        return f"({reading.reason})"
    if isinstance(reading.value, frozenset):
        return ", ".join(sorted(reading.value)) or "none"
    return str(reading.value)
