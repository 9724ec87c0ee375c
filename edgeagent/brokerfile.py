"""How configuration files say where the broker is and how it knows us; the site's and a seat's say it alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from edgeagent.broker import Broker, Place, Protocol
from edgeagent.endpoint import EndpointError, certificate, needed
from edgeagent.mistakes import nearest
from edgeagent.tls import faults
from edgeagent.tomlfile import Strict

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class BrokerEntry(Strict):
    """Keys of a table that tell how the broker knows us. The URL's own key differs from file to file."""

    username: str | None = None
    password_secret: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class FeedEntry(BrokerEntry):
    """Where the site's broker is: one URL, or several in the order in which they are tried."""

    broker: Annotated[
        tuple[str, ...], BeforeValidator(lambda said: (said,) if isinstance(said, str) else said), Field(min_length=1)
    ]
    protocol: Protocol = Protocol.V5


def broker_of(
    urls: Sequence[str], entry: BrokerEntry, folder: Path, key: str, say: Callable[[str, str], None]
) -> Broker:
    """Read where the brokers are, the first to be used before the others.

    `folder` holds the files and secrets; `say` is told key and text of each mistake.
    """
    first, *others = (_place(url, key, say) for url in urls)
    if len(set(urls)) < len(urls):
        say(key, "one broker stands there twice")
    password = _secret(entry.password_secret, folder, say)
    files = {name: _file(name, getattr(entry, name), folder, say) for name in ("ca", "cert", "key")}
    if (entry.cert is None) is not (entry.key is None):
        say("cert", "cert and key stand together or not at all")
    if any(url.startswith("mqtt:") for url in urls) and any(files.values()):
        say(key, "certificates need mqtts://")
    broker = Broker(
        first.host, first.port, username=entry.username, password=password, tls=first.tls,
        ca=files["ca"], cert=files["cert"], key=files["key"], fallbacks=tuple(others),
    )  # fmt: skip
    for fault in faults(broker.files):
        say(fault.part, str(fault))
    return broker


def _place(url: str, key: str, say: Callable[[str, str], None]) -> Place:
    parts, port = urlsplit(""), None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        say(key, f"{error}")
    if parts.scheme not in _PORTS:
        say(key, f'unknown scheme "{parts.scheme}"{nearest(parts.scheme, list(_PORTS))}')
    if not parts.hostname:
        say(key, "a host is missing: mqtts://broker.example:8883")
    if parts.username or parts.password:
        say(key, "user and password do not stand in the URL; use username and password_secret")
    return Place(parts.hostname or "", port or _PORTS.get(parts.scheme, 1883), parts.scheme == "mqtts")


def _file(name: str, path: Path | None, folder: Path, say: Callable[[str, str], None]) -> Path | None:
    """Find a certificate file."""
    try:
        return None if path is None else certificate(str(path), folder)
    except EndpointError as error:
        say(name, str(error))
        return None


def _secret(name: str | None, folder: Path, say: Callable[[str, str], None]) -> str | None:
    if name is None:
        return None
    try:
        return needed(name, folder / "secrets")
    except EndpointError as error:
        say("password_secret", str(error))
        return None
