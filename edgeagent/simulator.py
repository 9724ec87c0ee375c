"""A device made from its driver file, served over real SNMP or Modbus on loopback, or on a pseudo terminal.

It proves that the way from the wire to the feed works, not that the driver file tells the truth: that takes
captures and other people's tools. Values are set, ramped and silenced in the words of the vocabulary.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import shlex
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from edgeagent.catalog import Driver, PointType
from edgeagent.decode import decode
from edgeagent.encode import EncodeError, encode
from edgeagent.endpoint import Endpoint, nearest
from edgeagent.fit import SYS_DESCR, SYS_OBJECT_ID, suited
from edgeagent.items import Identify
from edgeagent.phases import PHASES
from edgeagent.readings import Missing, Raw, Reading, Value

if TYPE_CHECKING:
    from edgeagent.simulators.modbus import ModbusServer
    from edgeagent.simulators.serial import SerialServer
    from edgeagent.simulators.snmp import SnmpServer

_T = TypeVar("_T")
_NET_SNMP: Final = "1.3.6.1.4.1.8072.3.2.10"
_STEP: Final = 0.25
"""Seconds between two steps of a ramp."""
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


def example(pattern: str) -> str:
    """Return a text that a simple regular expression of a driver file finds."""
    text = re.sub(r"\\([.()\[\]+*-])", r"\1", re.sub(r"\\b|\(\?i\)|[\^$]", "", pattern.partition("|")[0]))
    return text.replace(".*", " ").strip("()")


class SimulatedDevice:
    """One device. `answers` is what it holds, by address; it begins with the samples of its kind."""

    def __init__(self, driver: Driver, values: Mapping[str, Value] | None = None) -> None:
        self.driver = driver
        self.answers: dict[str, Raw] = {}
        self.silent = False
        self._ramps: dict[str, _Ramp] = {}
        self._changed: Callable[[], None] | None = None
        self._introduce()
        for id in sorted(driver.points):
            sample = _sample(driver, id)
            if sample is not None and not self._try(id, sample) and isinstance(sample, str):
                # The family has no word for it: take the first that it has.
                words = (word for item in driver.items if item.point == id for word in item.enum.values())
                self._try(id, next(words, sample))
        for id, value in (values or {}).items():
            self.set(id, value)

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` now and after each change."""
        self._changed = changed
        changed()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()

    def _introduce(self) -> None:
        """Answer to the questions by which a driver recognises its devices."""
        driver = self.driver
        words = {"vendor": "Simulated", "model": driver.text.en, "serial": "SIM-0001", "firmware": "1.0"}
        for item in driver.identity:
            for place, address in enumerate(item.addresses):
                text = words[item.point].encode().ljust(len(item.addresses))
                self.answers.setdefault(address, text[place] if driver.protocol == "modbus" else text)
        way = driver.identify[0] if driver.identify else Identify()
        if driver.protocol == "snmp":
            self.answers[SYS_OBJECT_ID] = way.sys_object_ids[0] if way.sys_object_ids else _NET_SNMP
            shown = example(way.sys_descr) if way.sys_descr else f"Simulated {driver.text.en}"
            self.answers[SYS_DESCR] = shown.encode()
            self.answers["1.3.6.1.2.1.1.3.0"] = 4242
        for addresses, pattern in way.texts.items():
            text = example(pattern).encode().ljust(len(addresses))
            self.answers |= dict(zip(addresses, text if len(addresses) > 1 else [text], strict=False))
        for address, wanted in way.equals.items():
            self.answers[address] = min(wanted)
        for address, ranges in way.between.items():
            self.answers[address] = int(ranges[0][0])
        for address in way.requires[:1]:
            self.answers.setdefault(address, 0)
        self.driver = suited(driver, self.answers)

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
            if raw is Missing.ABSENT:
                self.answers.pop(address, None)
            else:
                self.answers[address] = raw
        self._tell()

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

    def readings(self) -> dict[str, Reading]:
        """Return what the driver reads from it."""
        known = {address: self.answers.get(address, Missing.ABSENT) for address in self.driver.gets}
        return decode(self.driver, {**self.answers, **known}, 0.0)

    def command(self, line: str, now: float) -> str:
        """Do what a line of text says and return what to print.

        set POINT=VALUE …     ramp POINT FROM TO SECONDS     silence     answer     show

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
        elif verb in ("silence", "answer"):
            self.silent = verb == "silence"
            self._tell()
        elif verb == "show":
            return "\n".join(f"{id} = {_spell(reading)}" for id, reading in sorted(self.readings().items()))
        else:
            raise SimulationError(
                f'unknown command "{verb}"{nearest(verb, ["set", "ramp", "silence", "answer", "show"])}'
            )
        return "ok"

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
        if endpoint.host and not _is_loopback(endpoint.host):
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
        self._server: SnmpServer | ModbusServer | SerialServer | None = None
        self._clock: asyncio.Task[None] | None = None
        self.port = endpoint.port

    async def start(self) -> None:
        """Begin to answer.

        Raises:
            OSError: when the port cannot be had.
        """
        if self._endpoint.protocol == "snmp":
            self._server, mirror = self._snmp()
        elif self._endpoint.protocol == "modbus":
            self._server, mirror = self._modbus()
        elif self._endpoint.protocol == "serial":
            self._server, mirror = self._serial()
        else:
            raise SimulationError(f"a {self._endpoint.scheme} device cannot be served")
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
            server.silent = device.silent
            wanted = {oid: _tagged(raw) for oid, raw in device.answers.items() if oid not in walks}
            _follow(server.image, wanted)

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
            _follow(image, {address: raw for address, raw in device.answers.items() if isinstance(raw, int)})

        return server, mirror

    def _serial(self) -> tuple[SerialServer, Callable[[], None]]:
        from edgeagent.simulators.serial import SerialServer, speak

        device = self._device
        server = SerialServer(self._endpoint.path, lambda command: speak(device.answers, command))

        def mirror() -> None:
            server.silent = device.silent

        return server, mirror

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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sample(driver: Driver, id: str) -> Value | None:
    """Return what a healthy device shows at a point; the phases of a sum share it."""
    point = driver.kind.point(id)
    if point is None or point.type is PointType.SET:
        return None if point is None else frozenset()
    if point.aggregate == "sum" and id != point.id and isinstance(point.sample, (int, float)):
        return point.sample / sum(f"{point.id}.{phase}" in driver.points for phase in PHASES)
    return point.sample


def _tagged(raw: Raw) -> tuple[int, int | bytes | str]:
    """Give a raw answer the ASN.1 tag that real cards use: INTEGER, Gauge32, OCTET STRING, OBJECT IDENTIFIER."""
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
