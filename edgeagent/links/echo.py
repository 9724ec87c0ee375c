"""ICMP echo: the bytes of a question and of its answer, and the sockets they go through (RFC 792, RFC 4443 §4).

Linux lets groups within net.ipv4.ping_group_range send echoes through datagram sockets, of IPv6 as well: the kernel
then sets the identifier and hands over only what bears it. A raw socket needs CAP_NET_RAW, and sees all echoes.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_HEAD: Final = struct.Struct("!BBHHH")
"""Type, code, checksum, identifier, sequence."""
_NUMBER: Final = struct.Struct("!Q")
_NONCE: Final = 8
LENGTH: Final = _HEAD.size + _NONCE + _NUMBER.size
_ASK: Final[Mapping[int, int]] = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY: Final[Mapping[int, int]] = {socket.AF_INET: 0, socket.AF_INET6: 129}
_PROTOCOL: Final[Mapping[int, int]] = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_MOST: Final = 2048
_BUFFER: Final = 4 * 1024 * 1024
"""Buffers asked for, in bytes: answers of a slot come together, and echoes to dead neighbours wait for seconds."""
# linux/icmp.h and linux/icmpv6.h; a set bit keeps that type out.
_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1
_ICMP6_FILTER: Final = 1
_STAMPED: Final = 35
"""SO_TIMESTAMPNS: the kernel's time of arrival comes with each datagram, so that a busy loop is no slow network."""
_STAMP: Final = struct.Struct("=qq")


@dataclass(frozen=True, slots=True)
class Wire:
    """One socket. `raw` ones take an identifier and a checksum of ours; elsewhere than on Linux all do."""

    sock: socket.socket
    family: int
    ident: int
    raw: bool

    def question(self, nonce: bytes, number: int) -> bytes:
        """Return an echo request; `number` comes back in the answer, and `nonce` shows that it is ours."""
        body = nonce + _NUMBER.pack(number)
        head = _HEAD.pack(_ASK[self.family], 0, 0, self.ident, number & 0xFFFF)
        if self.raw and self.family == socket.AF_INET:
            head = _HEAD.pack(_ASK[self.family], 0, checksum(head + body), self.ident, number & 0xFFFF)
        return head + body

    def receive(self) -> tuple[bytes, str, float]:
        """Take one datagram: its bytes, who sent it, when it came (epoch s). Raises OSError as `recv` does."""
        data, notes, _, address = self.sock.recvmsg(_MOST, socket.CMSG_SPACE(_STAMP.size))
        for _, type, note in notes:
            if type == _STAMPED and len(note) == _STAMP.size:
                seconds, nanoseconds = _STAMP.unpack(note)
                return data, bare(address[0]), seconds + nanoseconds / 1e9
        return data, bare(address[0]), time.time()

    def number(self, data: bytes, nonce: bytes) -> int | None:
        """Return the number of the question that a datagram answers; None where it answers none of ours."""
        if self.family == socket.AF_INET and len(data) > LENGTH and data[0] >> 4 == 4:
            data = data[(data[0] & 0x0F) * 4 :]  # raw sockets give the IP header too (raw(7))
        if len(data) != LENGTH:
            return None
        type, code, _, ident, sequence = _HEAD.unpack_from(data)
        if type != _REPLY[self.family] or code or data[_HEAD.size : _HEAD.size + _NONCE] != nonce:
            return None
        number = int(_NUMBER.unpack_from(data, _HEAD.size + _NONCE)[0])
        return None if sequence != number & 0xFFFF or (self.raw and ident != self.ident) else number


def open_wire(family: int, ident: int) -> Wire:
    """Open a socket for echoes, an unprivileged one where the host allows it.

    Raises:
        PermissionError: when the host allows neither kind.
        OSError: when the host does not have this family.
    """
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM, _PROTOCOL[family])
        raw = not sys.platform.startswith("linux")
    except PermissionError:
        sock = socket.socket(family, socket.SOCK_RAW, _PROTOCOL[family])
        raw = True
        _only_replies(sock, family)
    sock.setblocking(False)
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, buffer, _BUFFER)
    if sys.platform.startswith("linux"):
        sock.setsockopt(socket.SOL_SOCKET, _STAMPED, 1)
    return Wire(sock, family, ident, raw)


def bare(address: str) -> str:
    """Return an address without its zone (RFC 4007 §11)."""
    return address.partition("%")[0]


def _only_replies(sock: socket.socket, family: int) -> None:
    """Have the kernel keep everything out but echo replies; elsewhere than on Linux they are sorted out here alone."""
    if not sys.platform.startswith("linux"):
        return
    if family == socket.AF_INET:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _REPLY[socket.AF_INET]) & 0xFFFFFFFF))
    else:
        word, bit = divmod(_REPLY[socket.AF_INET6], 32)
        words = [0xFFFFFFFF & ~(1 << bit) if place == word else 0xFFFFFFFF for place in range(8)]
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))


def checksum(data: bytes) -> int:
    """Return the Internet checksum of an even number of bytes (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
