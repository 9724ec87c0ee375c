"""What a Modbus link needs of the connection under it, whatever frames travel there.

Owns the types between `modbuswire`, which judges, and the lines, which frame: `modbusmbap` (TCP, TLS) and `modbusrtu`
(RTU on a port or over TCP). Knows no sockets.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from edgeagent.links.blocks import Block


class Answer(NamedTuple):
    """One response PDU: who answers with which function, the registers or bits it holds, or why it refuses.

    `values` of a refusal are empty, `code` of an answer is 0 (MODBUS Application Protocol V1.1b3 §7). Bits come in
    whole bytes. `anonymous` tells that it does not say to which request it belongs.
    """

    unit: int
    function: int
    values: list[int]
    code: int = 0
    anonymous: bool = False


class Early(NamedTuple):
    """What a question came to before it was put in the usual way, and the seconds for which that was waited for."""

    outcome: Answer | Exception
    waited: float


class Line(Protocol):
    """One connection that is asked one question at a time; it is made for one session and never opened again.

    `heard` tells whether anything came since the last question was asked.
    """

    heard: bool

    @property
    def torn(self) -> bool:
        """Tell whether what came was part of a frame or none at all."""

    @property
    def alive(self) -> bool:
        """Tell whether questions can be sent."""

    async def connect(self, within: float) -> str:
        """Open it in so many seconds; return why that failed, "" where it did not. May raise what the medium raises."""

    async def ask(self, unit: int, block: Block, within: float) -> Answer:
        """Ask for one block; raises TimeoutError, or whatever else is trouble on the wire."""

    def close(self) -> None:
        """Let go of the socket or port."""
