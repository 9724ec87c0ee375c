"""pysnmp by itself, asked in its fastest honest way: objects built once, no MIB looked up. A process to be measured.

pysnmppeer.py PORT USER AUTH PRIV OID …    polls one agent over v3 authPriv, several at once, until it is ended
"""

from __future__ import annotations

import asyncio
import sys

from pysnmp.hlapi.v3arch.asyncio import (
    ContextData,
    SnmpEngine,
    UdpTransportTarget,
    UsmUserData,
    get_cmd,
    usmAesCfb128Protocol,
    usmHMACSHAAuthProtocol,
)
from pysnmp.proto.rfc1902 import Null, ObjectName

AT_ONCE = 8


async def ask(engine: SnmpEngine, user: UsmUserData, target: UdpTransportTarget, objects: list[object]) -> None:
    """Poll for ever."""
    while True:
        error, status, _, _ = await get_cmd(engine, user, target, ContextData(), *objects, lookupMib=False)
        assert not error, error
        assert not status, status


async def main(port: str, name: str, auth: str, priv: str, *oids: str) -> None:
    """Keep some polls under way."""
    protocols = {"authProtocol": usmHMACSHAAuthProtocol, "privProtocol": usmAesCfb128Protocol}
    user = UsmUserData(name, auth, priv, **protocols)
    target = await UdpTransportTarget.create(("127.0.0.1", int(port)), timeout=5)
    objects: list[object] = [(ObjectName(oid), Null("")) for oid in oids]
    engine = SnmpEngine()
    await asyncio.gather(*(ask(engine, user, target, objects) for _ in range(AT_ONCE)))


asyncio.run(main(*sys.argv[1:]))
