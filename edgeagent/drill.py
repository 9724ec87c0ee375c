"""One drill as it runs: who declared it, for how long, what has happened so far, and how it ended. Values only. Pure.

Times are epoch s, moments of the scenario s from the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from edgeagent.catalog import Text
from edgeagent.scenario import Scenario

RENEWAL: Final = 300.0
"""s within which somebody must say that the drill is still led, or it ends."""
BROKER: Final = 60.0
"""s without a broker after which it ends: nobody could see it, or stop it."""


class End(StrEnum):
    """Why a drill ended."""

    COMPLETED = "completed"
    """The timeline is over and each expectation has come, or can come no more."""
    TIME = "time"
    """Its declared end came."""
    STOPPED = "stopped"
    """Somebody stopped it."""
    UNLED = "unled"
    """Nobody renewed it in time."""
    REAL_ALARM = "real-alarm"
    """A real critical alarm anywhere, or a real major one in its scope."""
    REAL_RUN = "real-run"
    """A run of a real procedure was opened."""
    CONDITION = "condition"
    """A condition of the scenario on what the devices really say."""
    BROKER = "broker"
    """The broker was away for too long."""
    RESTART = "restart"
    """The agent was started anew: a drill is never taken up again."""
    RELOAD = "reload"
    """Another configuration was taken over."""
    FAILED = "failed"
    """An error of the agent's own: the watching goes on without the drill."""


class DrillVerb(StrEnum):
    """What happened to a drill."""

    STARTED = "started"
    INJECTED = "injected"
    INJECT_FAILED = "inject-failed"
    """A device could not be made to show it; what it really says stays."""
    MET = "met"
    """An expectation came, in time or late."""
    MISSED = "missed"
    """It was not there when it should have been; it may still come late."""
    BROKEN = "broken"
    """Something came that never should have."""
    RENEWED = "renewed"
    RENEW_DUE = "renew-due"
    """It ends within a minute unless somebody renews it."""
    NOTED = "noted"
    ENDED = "ended"


class Verdict(StrEnum):
    """How an expectation stands."""

    OPEN = "open"
    MET = "met"
    LATE = "late"
    MISSED = "missed"
    HELD = "held"
    """What never should come has not come."""
    BROKEN = "broken"
    UNJUDGED = "unjudged"
    """The drill ended before it could be told."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one expectation of the scenario stands. `at` is when it came, `of` the alarm or run that showed it."""

    verdict: Verdict = Verdict.OPEN
    at: float | None = None
    of: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. `ends` is its declared end, `renew_by` when it must have been renewed.

    `scope` are the resources that it concerns, `devices` those of which something is shown that is not so. `done` is
    how many injects are over. `speed` is 1 but in demonstrations.
    """

    drill_id: str
    scenario: Scenario
    owner: str
    confirmed_by: str
    started: float
    ends: float
    renew_by: float
    scope: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    speed: float = 1.0
    done: int = 0
    outcomes: tuple[Outcome, ...] = ()
    ended: float | None = None
    end: End | None = None
    ended_by: str = ""
    reason: str = ""

    def moment(self, now: float) -> float:
        """Return how far the scenario is, s from its start."""
        return (now - self.started) * self.speed

    def when(self, moment: float) -> float:
        """Return when the scenario is so far, epoch s."""
        return self.started + moment / self.speed

    def shifted(self, delta: float) -> Drill:
        """Return it, while it runs, with all its times moved by `delta` s."""
        outcomes = tuple(replace(each, at=None if each.at is None else each.at + delta) for each in self.outcomes)
        started, ends, renew_by = (at + delta for at in (self.started, self.ends, self.renew_by))
        return replace(self, started=started, ends=ends, renew_by=renew_by, outcomes=outcomes)


@dataclass(frozen=True, slots=True)
class DrillChange:
    """Something that happened to a drill. `text` is one line for people, without the mark of a drill.

    `facts` is what the journal keeps besides: of an inject its line and devices, of an expectation its line, target
    and actual moment.
    """

    verb: DrillVerb
    at: float
    drill: Drill
    text: Text
    by: str = ""
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class DrillRefused(Exception):
    """A drill, or what was asked of one, that is not done. `code` is for programs, `text` for people."""

    def __init__(self, code: str, text: Text) -> None:
        super().__init__(code)
        self.code = code
        self.text = text
