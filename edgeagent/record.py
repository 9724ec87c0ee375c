"""Record a device as a capture: what it answered, with what could tell where it stands or how to get in masked.

SNMP becomes a snmpsim file (`oid|tag|value`, sorted), Modbus and the host the same shape with our addresses
(`h1032|int|2301`). Masking is for people and places; read a capture before you pass it on all the same.
"""

from __future__ import annotations

import re
from typing import Final

from edgeagent.catalog import Catalog, Driver
from edgeagent.endpoint import Endpoint
from edgeagent.links import Target
from edgeagent.probe import NoAnswer, ask, identify, opened, plan_of
from edgeagent.readings import Answers, Missing, Raw, silence

ROOTS: Final = ("1.3.6.1.2.1.1", "1.3.6.1.2.1.33", "1.3.6.1.4.1")
MOST: Final = 20_000
"""Objects of one device at the most."""
_PRIVATE: Final = ("1.3.6.1.2.1.1.4.", "1.3.6.1.2.1.1.5.", "1.3.6.1.2.1.1.6.")
_MASKED: Final = b"<private>"
_ADDRESS: Final = re.compile(
    rb"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b|[\w.+-]+@[\w-]+\.[\w.-]+"
)
_OCTETS: Final = 4
_IP: Final = 64


async def record(catalog: Catalog, endpoint: Endpoint, driver: Driver | None, within: float) -> str:
    """Return the capture as text, recorded `within` s.

    Raises:
        NoAnswer, NoDriver: as `probe` does; SNMP needs no driver.
    """
    async with opened(endpoint) as link:
        if endpoint.protocol == "snmp":
            from edgeagent.links.snmp import SnmpLink

            assert isinstance(link, SnmpLink)  # noqa: S101 - open_link makes it
            rows = await link.walk_all(Target("record", endpoint, timeout=within), ROOTS, MOST)
            if not rows:
                raise NoAnswer(Missing.TIMEOUT.value)
            hidden = [secret.encode() for secret in endpoint.secrets.values() if secret]
            return "".join(_row(oid, tag, raw, hidden) for oid, tag, raw in rows)
        chosen = driver or (await identify(catalog, link, endpoint, within))[0][0]
        answers = await ask(link, Target("record", endpoint, chosen.quirks, within), plan_of(chosen))
    missing = silence(answers)
    if missing is not None:
        raise NoAnswer(missing.value)
    return f"# {chosen.id}\n" + _registers(answers)


def _row(oid: str, tag: int, raw: Raw, hidden: list[bytes]) -> str:
    if isinstance(raw, Missing):
        return f"{oid}|5|\n" if raw is Missing.NULL else ""
    if not isinstance(raw, bytes):
        return f"{oid}|{tag}|{raw}\n"
    if tag == _IP:
        return f"{oid}|{tag}|192.0.2.1\n"
    if oid.startswith(_PRIVATE):
        raw = _MASKED
    for secret in hidden:
        raw = raw.replace(secret, _MASKED)
    raw = _ADDRESS.sub(_MASKED, raw)
    if tag == _OCTETS and all(32 <= octet < 127 for octet in raw):
        return f"{oid}|{tag}|{raw.decode()}\n"
    return f"{oid}|{tag}x|{raw.hex()}\n"


def _registers(answers: Answers) -> str:
    ordered = sorted(answers.items(), key=lambda item: (item[0][:1], len(item[0]), item[0]))
    return "".join(
        f"{address}|{_kind(raw)}|{raw.hex() if isinstance(raw, bytes) else raw}\n" for address, raw in ordered
    )


def _kind(raw: Raw) -> str:
    return "missing" if isinstance(raw, Missing) else type(raw).__name__
