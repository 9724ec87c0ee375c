"""What is on its way to the broker, what of it is not acknowledged yet, and what the outbox still holds. Data only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edgeagent import outbox
from edgeagent.messages import Message, Place
from edgeagent.outbox import Row

AHEAD: Final = 256
"""Rows of the outbox in hand at most: a look at the disk for each that may go would cost more than to send it."""


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


def parted(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Part what is to go through the outbox from retained state, which a restart makes anew.

    A drill keeps its order, and what is deleted at the broker was said by an earlier life perhaps: both are rows.
    """
    rows, state = list[Message](), list[Message]()
    for each in messages:
        (state if each.retain and each.body and each.place < Place.EVENT else rows).append(each)
    return rows, state


@dataclass(slots=True)
class Owed:
    """The topics of which what is held in memory is to be said, what alarms and runs are now before all others."""

    told: dict[str, None] = field(default_factory=dict)
    rest: dict[str, None] = field(default_factory=dict)
    first: str | None = None
    """The one of them that is said before events that waited: the snapshot of alarms."""

    def tell(self, state: Iterable[Message]) -> None:
        """Owe what alarms and runs are."""
        for message in state:
            self.told[message.topic] = None
            if message.place is Place.SNAPSHOT:
                self.first = message.topic

    def again(self, held: Mapping[str, Message]) -> None:
        """Owe all that is held, documents first."""
        self.tell(message for message in held.values() if message.place is Place.SNAPSHOT)
        self.rest = dict.fromkeys(sorted(held, key=lambda topic: (held[topic].place, -held[topic].qos)))

    def drop(self, topic: str) -> None:
        """Leave one unsaid, or take it to be said."""
        self.told.pop(topic, None)
        self.rest.pop(topic, None)
        self.first = None if topic == self.first else self.first

    @property
    def next(self) -> str | None:
        """The topic whose turn it is."""
        return next(iter(self.told or self.rest), None)


@dataclass(slots=True)
class Waiting:
    """What waits in the outbox and is not on its way: the first of it is `ahead`; with `more` the disk may have others.

    Ids of rows grow by one, so rows that come right after the last ones that were seen are all that came.
    """

    more: bool = True
    ahead: list[Row] = field(default_factory=list)
    _seen: int = 0

    @property
    def some(self) -> bool:
        """Tell whether anything may wait."""
        return self.more or bool(self.ahead)

    def late(self, room: int) -> bool:
        """Tell whether something can go, and more may wait than that."""
        return room > 0 and (self.more or len(self.ahead) > room)

    def add(self, rows: Sequence[Row] | None) -> None:
        """Take in rows that were written, as one batch; None for those that nobody was told of."""
        if rows is None:
            self.more = True
        elif rows:
            if self.more or rows[0].id != self._seen + 1 or len(self.ahead) + len(rows) > AHEAD:
                self.more = True
            else:
                self.ahead = outbox.in_order(outbox.newest([*self.ahead, *rows]))
            self._seen = rows[-1].id

    def take(self, limit: int) -> list[Row] | None:
        """Take what is sent next; None where it takes a look at the disk."""
        if self.more and not self.ahead:
            return None
        taken, self.ahead = self.ahead[:limit], self.ahead[limit:]
        return taken

    def look(self, found: list[Row], limit: int) -> list[Row]:
        """Take what is sent next of what a look at the disk has found, which was for AHEAD rows."""
        self.more, self.ahead = len(found) == AHEAD, found[limit:]
        return found[:limit]

    def drop(self) -> None:
        """Forget what waits until somebody looks for it again."""
        self.more, self.ahead = False, []
