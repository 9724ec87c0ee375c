"""Where a device answers: the URL an operator writes, taken apart and checked. Does no I/O but reading secrets.

snmp://host:161?version=1|2c|3&community=…          snmp://user@host?version=3&auth=SHA-256&priv=AES-128
        (&engine=pysnmp has pysnmp speak to it, at a hundred times the cost)
modbus://host:502?unit=10      modbus+rtuovertcp://host:502?unit=10     modbus+tls://host:802?unit=10
modbus+rtu:///dev/serial/by-id/…?baud=9600&parity=N&stopbits=1&unit=1
serial:///dev/serial/by-id/…?baud=2400&protocol=megatec|mustek|megatec-old     (found out without protocol)
host://                        (this machine)
seat://a017                    (what the agent of seat a017 reports of its workstation, headset and phone)
seat://a017?service=crm        (and of a service as it is reached from there, by its name in the seat's file)
service+tcp://host:port        service+dns://resolver:53?name=crm.example
service+http://host:80/path?status=200&text=…&query=…     service+https://host:443/path?…&ca=/etc/ssl/site.pem
service+sip://user@host:5060   (asked over UDP; the user may be left out)
icmp://host                    (an echo, by name or number)
ami://user@host:5038?endpoint=1017     ami+tls://user@host:5039?endpoint=1017&ca=…     (an Asterisk, of one phone)

Of a web page `query` is what its own URL has after the question mark, `status` the one code that is right
(without it any from 200 to 399), `text` what must stand in its first 64 KiB; all percent-encoded, as in every URL.

Secrets stay out of the URL where they can: `community_secret=`, `auth_secret=`, `priv_secret=` and `ami_secret=` name
a systemd credential, else the environment variable EDGEAGENT_<NAME>, else a file of the site's secrets/. Without them
v3 looks for "snmp-auth" and "snmp-priv", a link to an Asterisk for "ami". `ca=`, `cert=` and `key=` name a systemd
credential too, else a file in the site's folder.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from edgeagent.mistakes import nearest, unread


class EndpointError(ValueError):
    """A URL or a secret that cannot be used; the message says what is wrong and what would be right."""


class Files(NamedTuple):
    """Certificate files: whom to trust, None for whom this host trusts, and what we show; `cert` may hold its `key`."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked device URL. `options` holds what stood after the question mark; secrets are not in it."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    user: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def protocol(self) -> str:
        """The driver family that speaks here: a seat's agent tells what a host does, an echo is a probe."""
        return _FAMILIES.get(self.scheme) or self.scheme.partition("+")[0]

    @property
    def unit(self) -> int:
        """Modbus unit id."""
        return int(self.options["unit"])

    @property
    def files(self) -> Files:
        """Its certificate files."""
        return Files(**{part: Path(self.options[part]) for part in Files._fields if part in self.options})

    @property
    def on_loopback(self) -> bool:
        """Tell whether the host is this machine, reached by no other."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def medium(self) -> str:
        """What is shared: devices with the same medium are asked by one link."""
        if self.scheme == "icmp" or self.protocol in _SHARED:
            return self.scheme.partition("+")[0]
        if self.scheme == "seat":
            return "seats"
        user = f"{self.user}@" if self.protocol == "ami" else ""
        return f"{self.scheme}:{self.path}" if self.path else f"{self.scheme}://{user}{self.host}:{self.port}"

    def __str__(self) -> str:
        """Spell the URL without any secret."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.host and self.scheme not in _FAMILIES else ""
        query = "&".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.scheme}://{user}{host}{port}{self.path}" + (f"?{query}" if query else "")


_FAMILIES: Final[Mapping[str, str]] = {"seat": "host", "icmp": "service"}
"""Schemes without a port, by the family whose drivers read them."""
_SHARED: Final = frozenset({"snmp", "service"})
"""Families whose devices are all asked by one link, wherever they are."""
_SAID: Final = -1
"""There is no default port."""
_SNMP: Final = frozenset(
    {"version", "community", "community_secret", "auth", "priv", "auth_secret", "priv_secret", "context", "engine"}
)
_HTTP: Final = frozenset({"status", "text", "query"})
_AMI: Final = frozenset({"endpoint", "ami_secret"})
_SERIAL: Final = frozenset({"baud", "parity", "stopbits", "bytesize", "echo"})
_KNOWN: Final[dict[str, tuple[int, frozenset[str]]]] = {
    "snmp": (161, _SNMP),
    "modbus": (502, frozenset({"unit"})),
    "modbus+rtuovertcp": (502, frozenset({"unit"})),
    "modbus+tls": (802, frozenset({"unit", "ca", "cert", "key"})),
    "modbus+rtu": (0, frozenset({"unit"}) | _SERIAL),
    "serial": (0, (_SERIAL - {"echo"}) | {"protocol"}),
    "host": (0, frozenset()),
    "seat": (0, frozenset({"service"})),
    "service+tcp": (_SAID, frozenset()),
    "service+http": (80, _HTTP),
    "service+https": (443, _HTTP | {"ca"}),
    "service+dns": (53, frozenset({"name"})),
    "service+sip": (5060, frozenset()),
    "icmp": (0, frozenset()),
    "ami": (5038, _AMI),
    "ami+tls": (5039, _AMI | {"ca"}),
}
VERSIONS: Final = ("1", "2c", "3")
ENGINES: Final = ("fast", "pysnmp")
"""What speaks SNMP: our own codec, or pysnmp at a hundred times the cost; ours is held against it in the tests."""
DIALECTS: Final = ("megatec", "mustek", "megatec-old")
"""How a UPS on a serial line is asked for its status: Q1, QS or D. The words are those of Network UPS Tools."""
AUTH: Final = ("none", "MD5", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512")
PRIV: Final = ("none", "DES", "AES-128", "AES-192", "AES-256")
_SPELLINGS: Final = {"SHA": "SHA-1", "AES": "AES-128"}


def secret(name: str, folder: Path | None = None) -> str | None:
    """Read a secret: $CREDENTIALS_DIRECTORY/<name>, else EDGEAGENT_<NAME>, else <folder>/<name>; None without one.

    Raises:
        EndpointError: when its file cannot be read, or the one in `folder` may be read by everybody.
    """
    given = credential(name)
    if given is not None:
        return _content(given)
    variable = os.environ.get(_variable(name))
    if variable is not None:
        return variable
    file = None if folder is None or "/" in name else folder / name
    if file is None or not _stands(file):
        return None
    if os.name == "posix" and file.stat().st_mode & 0o077:  # elsewhere the mode says nothing of who may read it
        raise EndpointError(f"{file} may be read by others; chmod 600 it")
    return _content(file)


def needed(name: str, folder: Path | None = None) -> str:
    """Read a secret that must be there.

    Raises:
        EndpointError: when it is not, or as `secret` says.
    """
    value = secret(name, folder)
    if value is None:
        where = "" if folder is None else f", no {folder / name}"
        raise EndpointError(f'secret "{name}" is missing: no systemd credential, no {_variable(name)}{where}')
    return value


def credential(name: str) -> Path | None:
    """Return the file of a systemd credential, None without one.

    Raises:
        EndpointError: when it cannot be told whether there is one.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(directory) / name if directory and "/" not in name else None
    return file if file is not None and _stands(file) else None


def certificate(name: str, folder: Path) -> Path:
    """Return where a certificate file is: a systemd credential of that name, else in the folder."""
    return credential(name) or folder / name


def _stands(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError as error:
        raise EndpointError(f"{file} {unread(error, secret=True)}") from error


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise EndpointError(f"{file} {unread(error, secret=True)}") from error
    except UnicodeDecodeError as error:
        raise EndpointError(f"{file} is not UTF-8 text") from error


def _variable(name: str) -> str:
    return "EDGEAGENT_" + name.upper().replace("-", "_").replace(".", "_")


def parse(url: str, secrets: Path | None = None) -> Endpoint:
    """Take a device URL apart. `secrets` is the folder to look into when systemd gave no credentials, in the site's.

    Raises:
        EndpointError: naming the first thing that is wrong and the nearest valid word.
    """
    if "://" not in url:
        raise EndpointError(f'"{_masked(url)}" is not a URL; write for example snmp://192.0.2.7?version=2c&community=…')
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EndpointError(f"{error}") from error
    scheme = parts.scheme.lower()
    if scheme not in _KNOWN:
        raise EndpointError(f'unknown scheme "{scheme}"{nearest(scheme, list(_KNOWN))}')
    default_port, known = _KNOWN[scheme]
    options: dict[str, str] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in known:
            raise EndpointError(f'unknown option "{key}"{nearest(key, sorted(known))}')
        if key in options:
            raise EndpointError(f'option "{key}" stands twice')
        options[key] = value
    for part in Files._fields & options.keys():
        options[part] = str(certificate(options[part], Path() if secrets is None else secrets.parent))
    user = unquote(parts.username or "")
    if parts.password:
        raise EndpointError("a password may not stand in the URL; use auth_secret and priv_secret")
    port = default_port if port is None else port
    if scheme == "snmp":
        return _snmp(parts.hostname or "", port, user, options, secrets)
    if scheme.startswith("service+"):
        return _service(scheme, parts.hostname or "", port, parts.path, user, options)
    if scheme.startswith("ami"):
        return _ami(scheme, parts.hostname or "", port, parts.path, user, options, secrets)
    families = {"modbus": _modbus, "serial": _serial, "host": _host, "seat": _seat, "icmp": _icmp}
    return families[scheme.partition("+")[0]](scheme, parts.hostname or "", port, unquote(parts.path), user, options)


def _snmp(host: str, port: int, user: str, options: dict[str, str], folder: Path | None) -> Endpoint:
    if not host:
        raise EndpointError("a host is missing: snmp://host?…")
    version = options.setdefault("version", "3" if user else "2c")
    if version not in VERSIONS:
        raise EndpointError(f'unknown SNMP version "{version}"{nearest(version, VERSIONS)}')
    engine = options.get("engine", ENGINES[0])
    if engine not in ENGINES:
        raise EndpointError(f'unknown SNMP engine "{engine}"{nearest(engine, ENGINES)}')
    secrets: dict[str, str] = {}
    for option in options:
        if option not in ("version", "engine") and option.startswith("community") is (version == "3"):
            raise EndpointError(f'option "{option}" does not go with version={version}')
    if version == "3":
        if not user:
            raise EndpointError("SNMPv3 needs a user: snmp://user@host?version=3")
        auth = _spelled("auth", options.setdefault("auth", "SHA-256"), AUTH)
        priv = _spelled("priv", options.setdefault("priv", "none" if auth == "none" else "AES-128"), PRIV)
        if auth == "none" and priv != "none":
            raise EndpointError("privacy without authentication does not exist in SNMPv3: set auth or priv=none")
        options.update(auth=auth, priv=priv)
        for kind, protocol in (("auth", auth), ("priv", priv)):
            if protocol != "none":
                secrets[kind] = _long(options.get(f"{kind}_secret", f"snmp-{kind}"), 8, folder)
    else:
        plain = options.pop("community", None)
        named = options.get("community_secret")
        if plain is not None and named is not None:
            raise EndpointError("both community and community_secret stand there; keep one")
        secrets["community"] = needed(named, folder) if named is not None else plain or "public"
    return Endpoint("snmp", host, port, user=user, options=options, secrets=secrets)


def _modbus(scheme: str, host: str, port: int, path: str, user: str, options: dict[str, str]) -> Endpoint:
    if "unit" not in options:
        raise EndpointError("the unit id is missing: ?unit=1 (there is no default, gateways differ)")
    _number("unit", options["unit"], 0, 255)
    if scheme != "modbus+rtu":
        if not host:
            raise EndpointError(f"a host is missing: {scheme}://host?unit=1")
        return Endpoint(scheme, host, port, options=options)
    return _serial(scheme, host, 0, path, user, options)


def _serial(scheme: str, host: str, port: int, path: str, user: str, options: dict[str, str]) -> Endpoint:
    if host or not path.startswith("/"):
        raise EndpointError(f"write the port's full path after three slashes: {scheme}:///dev/serial/by-id/…")
    # Every UPS of the Megatec family speaks 2400 8N1; Modbus has a default of its own (over Serial Line V1.02, §3.2).
    _number("baud", options.setdefault("baud", "2400" if scheme == "serial" else "9600"), 50, 4_000_000)
    if "protocol" in options and options["protocol"] not in DIALECTS:
        raise EndpointError(f'unknown protocol "{options["protocol"]}"{nearest(options["protocol"], DIALECTS)}')
    options["parity"] = options.setdefault("parity", "N").upper()
    if options["parity"] not in ("N", "E", "O"):
        raise EndpointError(f'parity "{options["parity"]}" is none of N, E, O')
    _number("stopbits", options.setdefault("stopbits", "1"), 1, 2)
    _number("bytesize", options.setdefault("bytesize", "8"), 7, 8)
    return Endpoint(scheme, path=path, options=options)


def _host(scheme: str, host: str, port: int, path: str, user: str, options: dict[str, str]) -> Endpoint:
    return Endpoint(scheme)


def _seat(scheme: str, host: str, port: int, path: str, user: str, options: dict[str, str]) -> Endpoint:
    if not host or port or path.strip("/"):
        raise EndpointError("write the seat alone: seat://a017")
    if not re.fullmatch(r"[a-z0-9-]{1,40}", host):
        raise EndpointError(f'"{host}" is no id of a seat: 1 to 40 of a-z, 0-9 and -')
    if not re.fullmatch(r"[a-z0-9-]{1,20}", options.get("service", "-")):
        raise EndpointError(f'"{options["service"]}" is no name of a service: 1 to 20 of a-z, 0-9 and -')
    return Endpoint(scheme, host, options=options)


def _icmp(scheme: str, host: str, port: int, path: str, user: str, options: dict[str, str]) -> Endpoint:
    if not host or port or user or path.strip("/"):
        raise EndpointError("write the host alone: icmp://host (an echo has no port)")
    return Endpoint(scheme, host)


def _ami(
    scheme: str, host: str, port: int, path: str, user: str, options: dict[str, str], folder: Path | None
) -> Endpoint:
    if not host or not user or path.strip("/"):
        raise EndpointError(f"write user and host of the Asterisk: {scheme}://user@host?endpoint=1017")
    if not options.get("endpoint"):
        raise EndpointError("the phone is missing: ?endpoint=1017, as the Asterisk names it")
    for part, text in (("the user", user), ("endpoint", options["endpoint"])):
        if not re.fullmatch(r"[!-~]+", text):  # a line of its own would be another action
            raise EndpointError(f"{part} may hold printable ASCII only")
    secrets = {"ami": _long(options.get("ami_secret", "ami"), 1, folder)}
    return Endpoint(scheme, host, port, user=user, options=options, secrets=secrets)


def _service(scheme: str, host: str, port: int, path: str, user: str, options: dict[str, str]) -> Endpoint:
    if not host:
        raise EndpointError(f"a host is missing: {scheme}://host")
    if port < 0:
        raise EndpointError(f"the port is missing: {scheme}://{host}:443 (TCP has no default)")
    web = scheme.startswith("service+http")
    if not web and path.strip("/"):
        raise EndpointError(f"{scheme} has no path: {scheme}://{host}:{port}")
    if user and scheme != "service+sip":
        raise EndpointError("only a SIP address has a user")
    if "status" in options:
        _number("status", options["status"], 100, 599)
    # What goes into a request as it stands may not end a line of it.
    for part, text in (("the path", path), ("the user", user), ("query", options.get("query", ""))):
        if not re.fullmatch(r"[!-~]*", text):
            raise EndpointError(f"{part} may hold printable ASCII only; percent-encode the rest")
    if scheme == "service+dns":
        _domain(options.get("name", ""))
    return Endpoint(scheme, host, port, path or "/" if web else "", user, options)


def _domain(name: str) -> None:
    if not name:
        raise EndpointError("the name to ask for is missing: service+dns://resolver?name=crm.example")
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(re.fullmatch(r"[A-Za-z0-9_-]{1,63}", label) for label in labels):
        raise EndpointError(f'name "{name}" is no domain name; write others than ASCII ones as xn--… (RFC 1035 §2.3)')


def _spelled(option: str, value: str, known: tuple[str, ...]) -> str:
    """Return the standard spelling: SHA256, sha-256 and SHA-256 are one."""
    plain = value.upper().replace("-", "").replace("_", "")
    plain = _SPELLINGS.get(plain, plain).replace("-", "")
    for word in known:
        if plain == word.upper().replace("-", ""):
            return word
    raise EndpointError(f'unknown {option} protocol "{value}"{nearest(value.upper(), known)}')


def _long(name: str, shortest: int, folder: Path | None) -> str:
    value = needed(name, folder)
    if len(value) < shortest:
        raise EndpointError(f'secret "{name}" is shorter than {shortest} characters (RFC 3414 §11.2)')
    return value


def _number(option: str, value: str, low: int, high: int) -> None:
    if not value.isdecimal() or not low <= int(value) <= high:
        raise EndpointError(f"{option}={value} is not a whole number from {low} to {high}")


def _masked(url: str) -> str:
    return url.partition("?")[0]
