"""What hearing a trap costs, and what one SNMPv3 poll costs by our own codec and by pysnmp's, without any wire.

From a trap to the alarm that is told, through the whole agent, is measured by `python -m tests.benchmarks traps`.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final

from edgeagent.endpoint import Endpoint
from edgeagent.links import ber, snmpv3
from edgeagent.links.ber import OCTETS, SEQUENCE, tlv
from edgeagent.links.snmpmessage import Ask, Session
from edgeagent.links.traps import Fate, TrapListener
from edgeagent.links.usm import User
from edgeagent.links.usmmessage import write
from edgeagent.links.usmsession import Usm
from edgeagent.trapconfig import Traps
from tests.trapscene import at, second, user

DEVICES: Final = 2000
ROUNDS: Final = 3
ENGINE: Final = bytes.fromhex("80001f880461626364")
IDENT: Final = 0x12345678
OIDS: Final = tuple(f"1.3.6.1.2.1.33.1.4.4.1.{number}.1" for number in range(1, 21))


def address(number: int) -> str:
    return f"127.1.{number // 250}.{number % 250 + 1}"


def sealed(pdu: bytes, level: int, ident: int = IDENT) -> bytes:
    """Write a v3 message of a device around a PDU."""
    account = User(user("127.0.0.1"))
    scoped = tlv(SEQUENCE, tlv(OCTETS, ENGINE), tlv(OCTETS), pdu)
    return write(level, ident, ENGINE, 3, 5000, account.name, account.keys(ENGINE), scoped)


def best(run: Callable[[], None], count: int) -> float:
    """Return the us of CPU that one of so many takes."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        run()
        found.append((time.process_time() - began) / count * 1e6)
    return min(found)


def heard(data: bytes, device: Callable[[str], Endpoint]) -> float:
    """Return the us that a trap costs, one of each device."""

    async def story() -> float:
        listener = TrapListener(lambda _: None, "bench", 1)
        known = {f"ups-{number}": device(address(number)) for number in range(DEVICES)}
        listener.follow(Traps(("127.0.0.1",), 0, frozenset()), known)
        froms = [(address(number), 1162) for number in range(DEVICES)]
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            now = asyncio.get_running_loop().time()

            def burst() -> None:
                for each in froms:
                    listener._take(data, each, sock, now)

            took = best(burst, DEVICES)
        assert listener.counts == {Fate.TAKEN: ROUNDS * DEVICES}
        return took

    return asyncio.run(story())


def test_what_a_trap_costs_to_hear() -> None:
    plain = second()
    signed = sealed(plain[plain.index(b"\xa7") :], 3)
    print(f"\na trap, without its poll: v2c {heard(plain, at):.0f} us, v3 authPriv {heard(signed, user):.0f} us")


def polled(session: Session, count: int) -> float:
    """Return the us that asking and reading 20 objects costs."""
    rows = [tlv(SEQUENCE, ber.identifier(oid), ber.integer(230)) for oid in OIDS]
    pdu = tlv(ber.RESPONSE, ber.integer(IDENT), ber.integer(0), ber.integer(0), tlv(SEQUENCE, *rows))
    answer = sealed(pdu, 3)
    row = tlv(SEQUENCE, ber.identifier("1.3.6.1.6.3.15.1.1.4.0"), tlv(0x41, b"\x01"))
    report = tlv(0xA8, ber.integer(IDENT), ber.integer(0), ber.integer(0), tlv(SEQUENCE, row))
    session.wrap(Ask.GET, OIDS, IDENT)
    assert session.unwrap(sealed(report, 0), IDENT, OIDS) is None

    def run() -> None:
        for _ in range(count):
            session.wrap(Ask.GET, OIDS, IDENT)
            session.unwrap(answer, IDENT, OIDS)

    return best(run, count)


def test_what_a_v3_poll_costs_beside_pysnmps_codec() -> None:
    own = user("127.0.0.1")
    ours, theirs = polled(Usm(own), 3000), polled(snmpv3.Usm(own), 100)
    print(f"\na v3 poll of 20 objects, SHA-256 and AES-128: {ours:.0f} us, by pysnmp {theirs:.0f} us")
