"""UDP sockets with room for a burst, and the addresses that they send to."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Final, TypeAlias, cast

To: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""What sendto takes."""
Address: TypeAlias = tuple[int, To]
"""That, with its family before it."""

BUFFER: Final = 4 * 1024 * 1024
"""Receive buffer asked for, in bytes."""
_SO_RCVBUFFORCE: Final = 33
"""Goes past net.core.rmem_max, for who may (CAP_NET_ADMIN): socket(7), asm-generic/socket.h."""

_TAKEN: Final = 2048
"""Bytes of the buffer that the kernel counts for a datagram of some hundred bytes, with all that it keeps beside it."""


def opened(family: socket.AddressFamily) -> socket.socket:
    """Open a socket that does not block, with as much room for what comes together as the system gives.

    It is not connected: an ICMP error for one host would else fail the next call, made for another. Raises OSError.
    """
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    return sock


def numeric(host: str, port: int) -> list[Address]:
    """Return the address of a host given by number, nothing when it is a name. Asks no name server."""
    try:
        return addresses(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST))
    except OSError:
        return []


def addresses(found: Iterable[tuple[int, int, int, str, object]]) -> list[Address]:
    """Return what getaddrinfo found, IPv4 first: many a card is known by an IPv6 address too and has no SNMP there."""
    known = [cast("Address", (entry[0], entry[4])) for entry in found if entry[0] in (socket.AF_INET, socket.AF_INET6)]
    return sorted(known, key=lambda address: address[0] != socket.AF_INET)


def room(sock: socket.socket) -> int:
    """Return how many datagrams of an ordinary size wait in a socket's buffer before one is lost."""
    return max(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // _TAKEN, 1)
