"""What comes to the sockets of SNMP: answers of v1, v2c and v3, traps and informs."""

from __future__ import annotations

import socket
from itertools import count
from typing import Final, cast

from pyasn1.codec.ber import encoder
from pyasn1.type import univ
from pysnmp.proto.api import v2c

from edgeagent.endpoint import parse
from edgeagent.links import Plan, Target, snmp, snmpdevice, snmppoll, usm
from edgeagent.links import trapv3 as usm_ear
from edgeagent.links.ber import integer, tlv
from edgeagent.links.snmpmessage import Ask, Response
from edgeagent.links.traps import Fate, TrapListener
from edgeagent.links.usmmessage import Frame, write
from edgeagent.links.usmsession import Usm
from edgeagent.readings import Answers, Missing
from edgeagent.trapconfig import Traps
from tests import trapscene
from tests.fuzz import targets
from tests.fuzz.jumping import jump
from tests.fuzz.pieces import told

HOST: Final = "127.0.0.1"
IDENT: Final = 0x01020304
NAMES: Final = ("1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.33.1.2.4.0")
ROOT: Final = "1.3.6.1.2.1.33.1.6.2"

# SNMP.


def response(*rows: tuple[str, object], status: int = 0, index: int = 0) -> univ.Sequence:
    answer = v2c.ResponsePDU()
    v2c.apiPDU.set_defaults(answer)
    v2c.apiPDU.set_request_id(answer, IDENT)
    v2c.apiPDU.set_error_status(answer, status)
    v2c.apiPDU.set_error_index(answer, index)
    v2c.apiPDU.set_varbinds(answer, [(univ.ObjectIdentifier(oid), value) for oid, value in rows])
    return answer


def answers_of_a_card() -> list[univ.Sequence]:
    first, second = NAMES
    return [
        response((first, univ.ObjectIdentifier("1.3.6.1.2.1.33")), (second, v2c.Integer32(97))),
        response((first, v2c.Counter64(2**63)), (second, v2c.Gauge32(4_000_000_000)), (ROOT, v2c.TimeTicks(4711))),
        response((f"{ROOT}.1", univ.ObjectIdentifier("1.3.6.1.2.1.33.1")), (second, v2c.OctetString(b"UPS \xff"))),
        response((first, v2c.NoSuchObject()), (second, v2c.EndOfMibView()), (ROOT, v2c.IpAddress("192.0.2.7"))),
        response((first, v2c.null), status=2, index=1),
        response(status=1),
    ]


def community(answer: univ.Sequence) -> bytes:
    message = v2c.Message()
    v2c.apiMessage.set_version(message, 1)
    v2c.apiMessage.set_community(message, b"floor")
    v2c.apiMessage.set_pdu(message, answer)
    return cast("bytes", encoder.encode(message))


def at_the_edge(link: snmp.SnmpLink, device: snmpdevice.Device, data: bytes) -> Response | Missing | None:
    """Give a datagram to the link as the answer to its one question; None when it is none."""
    found: list[Response | Missing] = []
    question = snmpdevice.Single(device, Ask.GET, NAMES, found.append)
    question.deadline = question.again = 1e9
    question.ids, question.peer = (IDENT,), HOST
    device.open[:], link._by_id = [question], {IDENT: question}
    link._take(data, (HOST, 161))
    assert len(found) <= 1
    return found[0] if found else None


def poll_with(what: Response | Missing) -> None:
    """Answer every question of a poll with the same: it must end, and answer for all it was asked."""
    ended: list[Answers] = []
    asked: list[snmppoll.Come] = []
    poll = snmppoll.Poll(
        Plan(NAMES, (ROOT,)), snmppoll.Pace(2), lambda ask, oids, come: asked.append(come), ended.append
    )
    poll.step()
    for number in count():
        if not asked:
            break
        assert number < 200, "a poll without an end"
        asked.pop(0)(what)
    assert len(ended) == 1
    told(ended[0], (*NAMES, ROOT))


def build_snmp() -> targets.Run:
    link = snmp.SnmpLink()
    device = link._device(Target("ups", parse(f"snmp://{HOST}?version=2c&community=floor")))

    def run(data: bytes) -> None:
        what = at_the_edge(link, device, data)
        if what is not None:
            poll_with(what)

    return run


def seeds_snmp() -> list[bytes]:
    return [community(answer) for answer in answers_of_a_card()]


# SNMPv3: the first byte says whether what follows is a datagram, or what an engine with the right keys seals.

USER: Final = trapscene.user(HOST)


def engine(name: str) -> tuple[usm_ear.Receiver, usm.Keys]:
    own = usm_ear.Receiver(name, 3, lambda: 100.0)
    return own, usm_ear.Account(USER).keys(own.engine)


def seal(own: usm_ear.Receiver, keys: usm.Keys, scoped: bytes) -> bytes:
    user = usm_ear.Account(USER)
    return write(user.level, IDENT, own.engine, 3, 0, user.name, keys, scoped)


def scoped_pdu(own: usm_ear.Receiver, pdu: bytes) -> bytes:
    return tlv(0x30, tlv(4, own.engine), tlv(4), pdu)


def build_v3() -> targets.Run:
    own, keys = engine("card")
    link = snmp.SnmpLink()
    device = link._device(Target("ups", USER))
    session = device.session
    assert isinstance(session, Usm)

    known = Frame(IDENT, 0, False, own.engine, 3, 0, b"", (0, 0), b"", 0, 0)

    def run(data: bytes) -> None:
        session._learn(known)
        honest = data[:1] >= b"\x80"
        datagram = seal(own, keys, data[1:]) if honest else data[1:]
        what = at_the_edge(link, device, datagram)
        if what is not None:
            poll_with(what)

    return run


def seeds_v3() -> list[bytes]:
    own, keys = engine("card")
    plain = [scoped_pdu(own, encoder.encode(answer)) for answer in answers_of_a_card()]
    report = tlv(
        0xA8, integer(IDENT), integer(0), integer(0),
        tlv(0x30, tlv(0x30, tlv(6, usm_ear._NOT_IN_TIME), tlv(0x41, b"\x01"))),
    )  # fmt: skip
    plain.append(scoped_pdu(own, report))
    return [b"\xff" + each for each in plain] + [b"\0" + seal(own, keys, each) for each in plain]


# Traps: the first byte likewise.


class Sink:
    """A socket to answer on."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendto(self, data: bytes, address: object) -> None:
        self.sent.append(data)


def build_traps() -> targets.Run:
    own, keys = engine("card")
    hinted: list[str] = []
    listener = TrapListener(hinted.append, "test", 1)
    known = {"a": trapscene.at(HOST), "b": USER}
    listener.follow(Traps((HOST,), 0, frozenset({HOST})), known)
    clock = count(1)

    async def hear(data: bytes) -> None:
        sink = Sink()
        before = listener.counts.total()
        listener._take(data, (HOST, 4711), cast("socket.socket", sink), float(next(clock)))
        assert listener.counts.total() == before + 1
        assert listener._bug is None
        assert set(hinted) <= known.keys()
        hinted.clear()
        for reply in sink.sent:
            assert len(reply) <= len(data) + 200  # nobody is flooded by us in another's name
        sender = listener._book.get(HOST)
        assert sender is not None
        sender.rest()
        assert not listener.counts[Fate.FLOODED]

    def run(data: bytes) -> None:
        honest = data[:1] >= b"\x80"
        datagram = seal(own, keys, data[1:]) if honest else data[1:]
        jump(hear(datagram))

    return run


def seeds_traps() -> list[bytes]:
    own, keys = engine("card")
    pdu = bytes.fromhex("a71f02010102010002010030143012060a2b06010603010104010006") + b"\x04\x2b\x06\x01\x02"
    packets = [
        trapscene.first(), trapscene.first("1.3.6.1.4.1.318", specific=5, agent="192.0.2.7"), trapscene.second(),
        trapscene.second(inform=True), trapscene.relayed("192.0.2.9"), trapscene.relayed(HOST), trapscene.REQUEST,
    ]  # fmt: skip
    told = (trapscene.second(), trapscene.second(inform=True))
    inner = [scoped_pdu(own, pdu), *(scoped_pdu(own, each[each.index(b"floor") + 5 :]) for each in told)]
    question = Usm(USER).wrap(Ask.GET, (), IDENT)
    sealed = [seal(own, keys, each) for each in inner]
    return [b"\0" + each for each in (*packets, question, *sealed)] + [b"\xff" + each for each in inner]


_LINK: Final = "edgeagent.links"
_SNMP: Final = tuple(f"{_LINK}.{name}" for name in ("ber", "snmplayout", "snmpmessage", "snmppoll"))
_USM: Final = tuple(f"{_LINK}.{name}" for name in ("usmsession", "usmmessage", "usmshape", "usmcipher", "usm"))
TARGETS: Final = (
    targets.Target("snmp", build_snmp, seeds_snmp, _SNMP),
    targets.Target("snmp-v3", build_v3, seeds_v3, _USM),
    targets.Target(
        "traps", build_traps, seeds_traps, (f"{_LINK}.trapmessage", f"{_LINK}.trapv3", f"{_LINK}.traps"), 2048
    ),
)
