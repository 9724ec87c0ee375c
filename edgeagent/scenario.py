"""The shape of a drill's scenario: what is shown instead of what the devices say, when, and what must come of it.

Values only; `scenariofiles.py` reads them from config/drills, `targets.py` finds the devices of a site that they mean,
`overlay.py` turns an inject into raw answers. Moments are s from the start of the drill. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from edgeagent.catalog import Text
from edgeagent.mistakes import Mistake
from edgeagent.readings import Value
from edgeagent.rules import Condition

LONGEST: Final = 4 * 3600.0
"""s that a drill may last at most (DESIGN; facts: a hard cap of 4 h)."""
USUAL: Final = 30 * 60.0
"""s that a drill lasts where its scenario does not say."""


class Do(StrEnum):
    """What an inject does."""

    SET = "set"
    """A point has this value."""
    RAMP = "ramp"
    """A number goes from what it is (or from `start`) to `value` within `over` s, and stays there."""
    MISSING = "missing"
    """The device answers with the sentinel of "I do not know"."""
    ADD = "add"
    """An alarm row, bit or flag joins the set."""
    REMOVE = "remove"
    """It leaves the set."""
    SILENT = "silent"
    """The device does not answer at all."""
    ANSWERS = "answers"
    """It answers again."""
    RELEASE = "release"
    """Nothing of this device is replaced any more: what it really says counts again."""


@dataclass(frozen=True, slots=True)
class Who:
    """Which devices an inject is about.

    `names` are ids of devices, or of seats (then the device of `kind` at each of them). Without names: all devices of
    `kind`, or the first `count`, or this `share` (0 to 1) of them; `under` keeps to those below or in a node or area.
    `optional` is for what not every site has: that there is none of them is no reason not to rehearse.
    """

    kind: str = ""
    names: tuple[str, ...] = ()
    count: int | None = None
    share: float | None = None
    under: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Inject:
    """One line of the timeline. `line` is how it was written."""

    at: float
    who: Who
    do: Do
    line: str
    point: str = ""
    value: Value | None = None
    start: float | None = None
    over: float = 0.0


class What(StrEnum):
    """What an expectation is about."""

    ALARM = "alarm"
    """An alarm is raised; `name` is its id, or its type at any resource."""
    CLEARED = "cleared"
    """It is over."""
    RUN = "run"
    """A run of the procedure `name` is opened."""
    STEP = "step"
    """Step `step` of the procedure `name` is done."""
    RECOVERED = "recovered"
    """The fault of a run of the procedure `name` is over."""
    CLOSED = "closed"
    """The run of the procedure `name` is closed."""
    ACK = "ack"
    """Somebody has taken the run of the procedure `name` on."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must have come by `by` s, or with `never` may not come before the end. `line` is how it was written."""

    what: What
    name: str
    line: str
    step: str = ""
    by: float = 0.0
    never: bool = False


@dataclass(frozen=True, slots=True)
class Abort:
    """A condition on what the devices really say, besides the rules that always hold, on which the drill ends."""

    kind: str
    when: Condition
    line: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `duration` is after how many s the drill ends at the latest.

    `scope` are nodes, areas and devices that it concerns besides those it shows; `procedure` is the one exercised.
    """

    id: str
    version: int
    text: Text
    purpose: Text
    procedure: str
    duration: float = USUAL
    scope: tuple[str, ...] = ()
    timeline: tuple[Inject, ...] = ()
    expects: tuple[Expectation, ...] = ()
    aborts: tuple[Abort, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """One inject at one device of the site. `at`, `over` are s; `number` is the place in the timeline, from 0."""

    number: int
    at: float
    device: str
    do: Do
    point: str = ""
    value: Value | None = None
    start: float | None = None
    over: float = 0.0


@dataclass(frozen=True, slots=True)
class Hours:
    """A time of day on some days. Minutes after midnight, local; `end` before `begin` goes on past midnight.

    `days` are 0 for Monday to 6; past midnight it belongs to the day on which it began.
    """

    begin: int
    end: int
    days: frozenset[int] = frozenset(range(7))

    def holds(self, day: int, minute: int) -> bool:
        """Tell whether a moment, given as day of the week and minute of the day, is within."""
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class DrillSettings:
    """What the site says of drills. `blocked` are hours in which none may start.

    `second_person` asks that somebody else than the owner has confirmed it. `speed` is how many times faster than
    real a drill may run: 1 but for demonstrations, or nobody rehearses true clocks.
    """

    blocked: tuple[Hours, ...] = ()
    second_person: bool = True
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Shift:
    """A working shift of the floor, by which rehearsals are counted."""

    id: str
    text: Text
    hours: Hours


@dataclass(frozen=True, slots=True)
class DrillPlans:
    """All that the site's files say of drills. `notes` are of what is no mistake and worth a look."""

    settings: DrillSettings = DrillSettings()
    scenarios: Mapping[str, Scenario] = field(default_factory=dict)
    shifts: Mapping[str, Shift] = field(default_factory=dict)
    notes: tuple[Mistake, ...] = ()
