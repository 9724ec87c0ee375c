"""How configuration files say where the broker is and how it knows us; the site's and a seat's say it alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edgeagent.broker import Broker
from edgeagent.endpoint import EndpointError, nearest, secret
from edgeagent.tomlfile import Strict

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class BrokerEntry(Strict):
    """Keys of a table that tell how the broker knows us. The URL's own key differs from file to file."""

    username: str | None = None
    password_secret: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def broker_of(url: str, entry: BrokerEntry, folder: Path, key: str, say: Callable[[str, str], None]) -> Broker:
    """Read where the broker is. `folder` holds the files and secrets; `say` is told key and text of each mistake."""
    parts, port = urlsplit(""), None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        say(key, f"{error}")
    host = parts.hostname or ""
    if parts.scheme not in _PORTS:
        say(key, f'unknown scheme "{parts.scheme}"{nearest(parts.scheme, list(_PORTS))}')
    if not host:
        say(key, "a host is missing: mqtts://broker.example:8883")
    if parts.username or parts.password:
        say(key, "user and password do not stand in the URL; use username and password_secret")
    password = _secret(entry.password_secret, folder, say)
    files = {name: _file(name, getattr(entry, name), folder, say) for name in ("ca", "cert", "key")}
    if (entry.cert is None) is not (entry.key is None):
        say("cert", "cert and key stand together or not at all")
    if parts.scheme == "mqtt" and any(files.values()):
        say(key, "certificates need mqtts://")
    return Broker(
        host, port or _PORTS.get(parts.scheme, 1883), username=entry.username, password=password,
        tls=parts.scheme == "mqtts", ca=files["ca"], cert=files["cert"], key=files["key"],
    )  # fmt: skip


def _file(name: str, path: Path | None, folder: Path, say: Callable[[str, str], None]) -> Path | None:
    """Find a certificate file: a systemd credential of that name, else relative to the folder."""
    if path is None:
        return None
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / path
    found = credential if credential.is_file() else folder / path
    if not found.is_file():
        say(name, f"{found} is no file")
    return found


def _secret(name: str | None, folder: Path, say: Callable[[str, str], None]) -> str | None:
    if name is None:
        return None
    try:
        value = secret(name, folder / "secrets")
    except EndpointError as error:
        say("password_secret", str(error))
        return None
    if value is None:
        missing = f'secret "{name}" is missing: no systemd credential, no {folder / "secrets" / name}'
        say("password_secret", missing)
    return value
