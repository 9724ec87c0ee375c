"""Serve a capture as the device it was taken from, on loopback: SNMP from .snmprec, Modbus from .rec.

Touches no device. What was not recorded is not there: noSuchObject, or Modbus exception 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeagent.captures import Capture, load
from edgeagent.endpoint import Endpoint
from edgeagent.mistakes import nearest
from edgeagent.readings import Missing
from edgeagent.simulator import SimulationError

if TYPE_CHECKING:
    from edgeagent.simulators.modbus import ModbusServer
    from edgeagent.simulators.snmp import Image, SnmpServer

_NULL: Final = 5


class ReplayedDevice:
    """One recorded device. It says what it said, or nothing at all."""

    def __init__(self, path: Path) -> None:
        """Read the capture. Raises Mistakes and OSError as `captures.load` does."""
        self.capture: Capture = load(path)
        self._silence = False
        self._serving: Replaying | None = None

    async def serve(self, endpoint: Endpoint) -> Replaying:
        """Answer at `endpoint`, which must be on loopback; port 0 takes a free one.

        Raises:
            SimulationError: when the endpoint does not fit the capture, is not on loopback, or is taken.
        """
        protocol = self.capture.protocol
        if protocol not in ("snmp", "modbus"):
            raise SimulationError(f"a {protocol} capture cannot be served, only SNMP and Modbus ones")
        if endpoint.protocol != protocol:
            raise SimulationError(f"this is a capture of {protocol}, not {endpoint.scheme}")
        if endpoint.host and not endpoint.on_loopback:
            raise SimulationError(f"{endpoint.host} is not a loopback address; a replayed device stays on this machine")
        self._serving = Replaying(self.capture, endpoint)
        try:
            await self._serving.start()
        except OSError as error:
            raise SimulationError(f"{endpoint}: {error}") from error
        return self._serving

    def command(self, line: str, now: float) -> str:
        """Do what a line says: `silence`, `answer` or `show`.

        Raises:
            SimulationError: for any other word.
        """
        verb = line.strip()
        if verb == "show":
            return "\n".join(f"{address} = {raw!r}" for address, (_, raw) in self.capture.objects.items())
        if verb not in ("silence", "answer"):
            raise SimulationError(f'unknown command "{verb}"{nearest(verb, ["silence", "answer", "show", "quit"])}')
        if self._serving is not None:
            self._serving.silence(verb == "silence")
        return "ok"


class Replaying:
    """A capture at its endpoint."""

    def __init__(self, capture: Capture, endpoint: Endpoint) -> None:
        self._unit = endpoint.unit if endpoint.protocol == "modbus" else 0
        self._server: SnmpServer | ModbusServer
        self._server = _snmp(capture, endpoint) if endpoint.protocol == "snmp" else _modbus(capture, endpoint)
        self.port = endpoint.port

    async def start(self) -> None:
        """Begin to answer.

        Raises:
            OSError: when the port cannot be had.
        """
        self.port = await self._server.start()

    def silence(self, silent: bool) -> None:
        """Be dead, or alive again."""
        from edgeagent.simulators.snmp import SnmpServer

        if isinstance(self._server, SnmpServer):
            self._server.silent = silent
        elif silent:
            self._server.silent.add(self._unit)
        else:
            self._server.silent.clear()

    async def stop(self) -> None:
        """Answer no more."""
        stopped = self._server.stop()
        if stopped is not None:
            await stopped


def _snmp(capture: Capture, endpoint: Endpoint) -> SnmpServer:
    from edgeagent.simulators.snmp import SnmpServer, User

    image: Image = {}
    for oid, (tag, raw) in capture.objects.items():
        if tag == _NULL:
            image[oid] = (tag, b"")
        elif isinstance(raw, (int, bytes, str)) and not isinstance(raw, Missing):
            image[oid] = (tag, raw)
    options, secrets = endpoint.options, endpoint.secrets
    users: tuple[User, ...] = ()
    if options["version"] == "3":
        users = (User(
            endpoint.user, options["auth"], secrets.get("auth", ""), options["priv"], secrets.get("priv", "")
        ),)  # fmt: skip
    return SnmpServer(image, endpoint.host, endpoint.port, secrets.get("community", ""), users)


def _modbus(capture: Capture, endpoint: Endpoint) -> ModbusServer:
    from edgeagent.simulators.modbus import ModbusServer

    image = {address: raw for address, (_, raw) in capture.objects.items() if isinstance(raw, int)}
    return ModbusServer({endpoint.unit: image}, str(endpoint))
