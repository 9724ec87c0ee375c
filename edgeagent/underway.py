"""What is on its way to the broker: one connection, and the messages of it that are not acknowledged yet. Data only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from edgeagent.messages import Message


@dataclass(frozen=True, slots=True)
class Sent:
    """A message on its way: its row in the outbox, or 0 when it is said from memory."""

    row: int
    message: Message
    done: asyncio.Future[None] | None = None


@dataclass(slots=True)
class Line:
    """What belongs to one connection and is forgotten with it. `since` is epoch s."""

    since: float
    largest: int
    sent: dict[int, Sent] = field(default_factory=dict)
    heard: bool = False
