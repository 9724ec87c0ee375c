"""What the agent of a seat says: its topics and payloads. Pure. What a report may hold is for `seatanswers.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgeagent.messages import dump, stamp
from edgeagent.readings import Answers
from edgeagent.seatanswers import HASH, told

EXPIRY: Final = 45
"""s after which the broker gives a report to nobody: three intervals."""


class State(StrEnum):
    """What a seat's status says. OFFLINE is the broker's word, given as will."""

    ONLINE = "online"
    LEAVING = "leaving"
    OFFLINE = "offline"


class Reason(StrEnum):
    """Why a status is what it is: two of coming, four of leaving, and the will's."""

    START = "start"
    RECONNECT = "reconnect"
    SHUTDOWN = "shutdown"
    UPDATE = "update"
    LOGOFF = "logoff"
    STOP = "stop"
    LOST = "lost"


LEAVING: Final = (Reason.SHUTDOWN, Reason.UPDATE, Reason.LOGOFF, Reason.STOP)


@dataclass(frozen=True, slots=True)
class Speaker:
    """One run of one seat's agent: which seat it speaks for, and how it is told from all others.

    `session` is new with each start. `machine` is a salted hash of the hardware, empty where that cannot be told.
    """

    root: str
    site: str
    seat: str
    session: str
    machine: str
    interval: float
    version: str
    salt: str

    @property
    def client_id(self) -> str:
        """The MQTT client id: two machines that take themselves for one seat do not evict each other."""
        return f"seat-{self.site}-{self.seat}-{self.machine or self.session[:HASH]}"

    def topic(self, name: str) -> str:
        """Give the seat's topics: status or report."""
        return f"{self.root}/v1/{self.site}/seat/{self.seat}/{name}"

    def status(self, state: State, reason: Reason, seq: int, now: float) -> bytes:
        """Write a status; `now` is epoch s."""
        return dump({
            "state": state, "session": self.session, "seq": seq, "time": stamp(now), "reason": reason,
            "interval": self.interval, "version": self.version,
        })  # fmt: skip

    def will(self) -> bytes:
        """Write what the broker says when the seat is gone without a word."""
        return dump({"state": State.OFFLINE, "session": self.session, "reason": Reason.LOST})

    def report(self, answers: Answers, seq: int, now: float) -> bytes:
        """Write a report of what was read; what is missing, or may not be told, is left out."""
        return dump({
            "session": self.session, "seq": seq, "time": stamp(now), "machine": self.machine,
            "answers": told(answers, self.salt),
        })  # fmt: skip
