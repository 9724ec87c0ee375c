"""Whether the battery outlasts the generator's window. Pure.

Owns the comparison of the weakest battery with the time that the generator may take, and what it rests on. A fact that
is worse never gives a better answer, and what is not known is never a yes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from edgeagent.ridethrough import Ride

WINDOW: Final = (420.0, 600.0)
"""The generator carries 7 to 10 minutes after the mains went (PROCEDURES.md, outage, step 5); s."""
LOST, CIRCUIT_LOST, CARRYING = "lost", "circuit-lost", "carrying"
NO_GENERATOR: Final = "none"
"""In the place of the word for what the generator does: the site has none."""
_IDLE, UNKNOWN = "idle", "unknown"
_FAILED: Final = frozenset({"failed-to-start", "failed-to-transfer"})


class Outlast(StrEnum):
    """Whether the weakest battery lasts until the generator should carry."""

    YES = "yes"
    UNCLEAR = "unclear"
    UNKNOWN = "unknown"
    NO = "no"


class Why(StrEnum):
    """What the answer rests on."""

    RESERVE = "reserve"
    """The time that the weakest battery lasts, against the time that is left."""
    CARRYING = "carrying"
    """The generator carries and no UPS is on battery."""
    NOT_TAKEN = "not-taken"
    """The generator carries, and a UPS is on battery all the same."""
    GENERATOR_FAILED = "generator-failed"
    NOT_ORDERED = "not-ordered"
    """The generator is at rest and nothing has called it: it is not in auto."""
    WINDOW_OVER = "window-over"
    NO_WINDOW = "no-window"
    """No generator starts: only our own circuit is lost, or there is none."""
    NO_FIGURE = "no-figure"
    """Nobody knows how long a battery lasts."""
    NO_UPS = "no-ups"
    """No UPS is known to be on battery."""


@dataclass(frozen=True, slots=True)
class Starts:
    """How long the generator took from mains lost to carrying, of late; s."""

    count: int = 0
    median: float | None = None
    slowest: float | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """The outage that lasts: since when, what is lost, the generator's window, and whether the battery outlasts it.

    `until` is when the generator should carry at the latest: the end of its window, or its usual time if that is
    later. `margin` is how much longer than that the weakest battery (`ups`) lasts by its low estimate. `state` and
    `generator` are words of the kind `mains`, or `NO_GENERATOR`. Times are epoch s.
    """

    since: float
    state: str
    generator: str
    opens: float
    closes: float
    until: float
    outlast: Outlast = Outlast.UNKNOWN
    why: Why = Why.NO_UPS
    margin: float | None = None
    ups: str | None = None


def weigh(
    since: float, state: str, generator: str, starts: Starts, rides: Sequence[Ride], now: float,
    window: tuple[float, float] = WINDOW,
) -> Outage:  # fmt: skip
    """Hold the batteries that count, the weakest first, against the window."""
    opens, closes = (since + end for end in window)
    until = closes if starts.median is None else max(closes, since + starts.median)
    outage = Outage(since, state, generator, opens, closes, until)
    if generator == CARRYING:
        if rides:
            return replace(outage, outlast=Outlast.UNCLEAR, why=Why.NOT_TAKEN, ups=rides[0].ups)
        return replace(outage, outlast=Outlast.YES, why=Why.CARRYING)
    if not rides:
        return outage
    weakest, left = rides[0], until - now
    outage = replace(outage, ups=weakest.ups)
    if weakest.low is None or weakest.high is None:
        return replace(outage, why=Why.NO_FIGURE)
    if generator == NO_GENERATOR or (state == CIRCUIT_LOST and generator in (_IDLE, UNKNOWN)):
        return replace(outage, why=Why.NO_WINDOW)
    margin = round(weakest.low - left, 1)
    outage = replace(outage, margin=margin, why=Why.RESERVE)
    if any(ride.high is not None and ride.high < left for ride in rides):
        return replace(outage, outlast=Outlast.NO)
    dumb = next((ride for ride in rides if ride.low is None), None)
    if dumb is not None:
        return replace(outage, outlast=Outlast.UNKNOWN, why=Why.NO_FIGURE, ups=dumb.ups, margin=None)
    if generator in _FAILED:
        return replace(outage, outlast=Outlast.UNCLEAR, why=Why.GENERATOR_FAILED)
    if generator == _IDLE:
        return replace(outage, outlast=Outlast.UNCLEAR, why=Why.NOT_ORDERED)
    if left <= 0:
        return replace(outage, outlast=Outlast.UNCLEAR, why=Why.WINDOW_OVER, margin=None)
    return replace(outage, outlast=Outlast.YES if margin >= 0 else Outlast.UNCLEAR)
