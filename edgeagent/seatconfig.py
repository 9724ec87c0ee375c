"""Reads a seat's file (seat.toml) and says all that is wrong with it at once. Opens only what the file names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from edgeagent.broker import Broker
from edgeagent.brokerfile import BrokerEntry, broker_of
from edgeagent.endpoint import Endpoint, EndpointError, needed, parse
from edgeagent.mistakes import Mistake, Mistakes
from edgeagent.seatanswers import SERVICES
from edgeagent.tls import faults
from edgeagent.tomlfile import Document, Strict, check, read, readable

INTERVAL: Final = 15.0
"""s between two reports where the file says nothing."""
_PROBE: Final = 60.0
_ID: Final = r"^[a-z0-9-]{1,40}$"
_NAME: Final = r"^[a-z0-9-]{1,20}$"
_SALT: Final = 16
"""Characters of a salt at least: by a shorter one, serial numbers could be found by trying."""
Maker = Literal["jabra", "poly"]


@dataclass(frozen=True, slots=True)
class SeatSettings:
    """All that is said to a seat's agent. Times in s.

    `softphone` are names of processes, of which one is enough. `headsets` tells whether to look for any, `headset`
    whether one belongs to the seat, `ask` whose headsets may be asked by their maker's own protocol. `services` are
    asked every `probe`. `reason` is the file in which whoever stops the agent may say why.
    """

    id: str
    site: str
    root: str
    interval: float
    salt: str
    broker: Broker
    reason: Path | None
    softphone: tuple[str, ...] = ()
    headsets: bool = True
    headset: bool = True
    ask: tuple[str, ...] = ()
    services: Mapping[str, Endpoint] = field(default_factory=dict)
    probe: float = _PROBE


class _Seat(Strict):
    id: str = Field(pattern=_ID)
    site: str = Field(pattern=_ID)
    root: str = Field(default="floor", pattern=_ID)
    interval: float = Field(default=INTERVAL, ge=5, le=60)
    probe: float = Field(default=_PROBE, ge=15, le=600)
    salt_secret: str | None = None
    reason: Path | None = None


class _Broker(BrokerEntry):
    url: str


class _Softphone(Strict):
    processes: tuple[Annotated[str, StringConstraints(pattern=r"^[^/\\\s](?:[^/\\]{0,62}[^/\\\s])?$")], ...] = Field(
        min_length=1, max_length=8
    )


class _Headsets(Strict):
    watch: bool = True
    expected: bool = True
    ask: tuple[Maker, ...] = ()


class _File(Strict):
    seat: _Seat
    broker: _Broker
    softphone: _Softphone | None = None
    headsets: _Headsets = _Headsets()
    services: dict[Annotated[str, StringConstraints(pattern=_NAME)], str] = Field(default_factory=dict)


_STAND_INS: Final[Mapping[str, dict[str, Any]]] = {
    "seat": {"id": "seat", "site": "site"},
    "broker": {"url": "mqtt://localhost"},
}


def load(path: Path) -> SeatSettings:
    """Read a seat's file. Secrets and certificates lie beside it or come as systemd credentials.

    Raises:
        Mistakes: everything that is wrong.
    """
    document = read(path)
    checked, mistakes = check(document, _File, document.data)
    file = checked if isinstance(checked, _File) else readable(_File, document.data, _STAND_INS)
    if file is None:
        raise Mistakes(mistakes)
    reader = _Reader(document, path.parent)
    settings = reader.settings(file)
    if mistakes or reader.mistakes:
        raise Mistakes([*mistakes, *reader.mistakes])
    return settings


class _Reader:
    """Looks at what a schema cannot: the URLs, the secrets, the files."""

    def __init__(self, document: Document, folder: Path) -> None:
        self._document, self._folder = document, folder
        self.mistakes: list[Mistake] = []

    def _say(self, table: str, key: str, text: str) -> None:
        self.mistakes.append(self._document.mistake((table, key), text))

    def settings(self, file: _File) -> SeatSettings:
        seat = file.seat
        entry = file.broker
        broker = broker_of((entry.url,), entry, self._folder, "url", lambda *said: self._say("broker", *said))
        if broker.key is not None and _open_to_all(broker.key):
            self._say("broker", "key", f"{broker.key} may be read by everybody; chmod 600 it")
        if len(file.services) > SERVICES:
            self.mistakes.append(self._document.mistake(("services",), f"{len(file.services)} of at most {SERVICES}"))
        return SeatSettings(
            seat.id, seat.site, seat.root, seat.interval, self._salt(seat), broker, self._reason(seat.reason),
            () if file.softphone is None else file.softphone.processes,
            file.headsets.watch, file.headsets.expected, file.headsets.ask, self._services(file.services), seat.probe,
        )  # fmt: skip

    def _salt(self, seat: _Seat) -> str:
        """Return what serial numbers are hashed with: without a secret one, the id of the site, which is no secret."""
        if seat.salt_secret is None:
            return f"edgeagent {seat.site}"
        try:
            salt = needed(seat.salt_secret, self._folder / "secrets")
        except EndpointError as error:
            self._say("seat", "salt_secret", str(error))
            return ""
        if len(salt) < _SALT:
            self._say("seat", "salt_secret", f"shorter than {_SALT} characters")
        return salt

    def _reason(self, path: Path | None) -> Path | None:
        runtime = os.environ.get("RUNTIME_DIRECTORY")
        if path is None and runtime is not None:
            return Path(runtime) / "reason"
        return None if path is None else self._folder / path

    def _services(self, entries: Mapping[str, str]) -> Mapping[str, Endpoint]:
        found = {}
        for name, url in entries.items():
            try:
                endpoint = parse(url, self._folder / "secrets")
            except EndpointError as error:
                self._say("services", name, str(error))
                continue
            for fault in faults(endpoint.files):
                self._say("services", name, f"{fault.part}: {fault}")
            if endpoint.protocol == "service":
                found[name] = endpoint
            else:
                self._say("services", name, f"a service is asked here, as service+https://…, not {endpoint.scheme}")
        return found


def _open_to_all(file: Path) -> bool:
    """Tell whether everybody may read a file; not where the mode says nothing of that, nor where there is none."""
    with suppress(OSError):
        return os.name == "posix" and bool(file.stat().st_mode & 0o007)
    return False
