"""The site's supply: is the mains lost or only a circuit of ours, since when, and what the generator makes of it. Pure.

Owns the readings of the mains node. What single devices say is understood in `witnesses.py`; a transfer switch, a
relay or a generator with mains sensing is a direct witness, a UPS speaks of the chain above it. No witness that can
be read is no answer, neither "there" nor "lost": the state is then bad, which freezes its alarms.

    direct witnesses   UPS inputs           state
    all lost           none lit             lost
    all lost           some lit, some dark  unclear
    all lost           all lit              normal: a contact or a sense is broken
    all good           all lit              normal
    all good           some dark            circuit-lost, at the nodes above the dark ones and above no lit one
    divided            –                    what most say, of these and then of the UPSes
    none               all dark, two or more   lost; one alone is unclear
    none               dark and lit         circuit-lost
    none               all lit              normal

Where a direct witness says lost and others see power, those are the dissent. Once the generator may carry, a lit UPS
says nothing about the mains. When the mains is back, each UPS returns to it in its own time: one that is still dark
tells of its circuit only after a while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

from typing_extensions import TypedDict

from edgeagent.catalog import Relation
from edgeagent.onset import Since, SinceMemory
from edgeagent.readings import Reading, Readings, Value
from edgeagent.sitetree import SiteTree
from edgeagent.standby import CARRYING, TRANSFER, Standby, StandbyMemory
from edgeagent.witnesses import GENERATOR, ROOM, SWITCH, UPS, Engine, Said, engine_of, goes_on, listen, tells

NORMAL: Final = "normal"
LOST: Final = "lost"
CIRCUIT_LOST: Final = "circuit-lost"
UNCLEAR: Final = "unclear"
_NO_WITNESS: Final = "no-witness"
OVERDUE: Final = 600.0
"""s after which the generator should carry (PROCEDURES.md, outage, step 5)."""
_SETTLED: Final = 30.0
"""s after which a lost circuit is a story of its own, and no early sign of a lost mains."""

_RETURNS: Final = 60.0
"""s in which UPSes return to a mains that is back."""


_Fields: TypeAlias = tuple[tuple[bool, ...], bool | None, bool | None, str | None, bool, bool, str | None]
"""Those of `Said`, in their order."""


class SupplyMemory(TypedDict):
    """What a restart needs of `Supply`: what devices said as the fields of `Said`, readings likewise."""

    said: dict[str, _Fields]
    engines: dict[str, Engine]
    readings: dict[str, tuple[bool | int | float | str | list[str] | None, float, str | None, str | None]]
    state: str | None
    turned: float | None
    onset: float | None
    after: float
    late: float | None
    back: tuple[float | None, bool]
    since: SinceMemory
    standby: StandbyMemory


class Supply:
    """The supply of one site. `readings` are those of the mains node, `said` what each device says.

    `transfer` is within how many s a generator that is ready should have the load.
    """

    def __init__(self, tree: SiteTree, transfer: float = TRANSFER) -> None:
        self._tree = tree
        self.mains = tree.mains
        devices = [node for node in tree.of_kind(UPS, GENERATOR, SWITCH, ROOM) if node.device]
        self._kinds = {node.id: node.kind for node in devices}
        ways = {id: tree.above(id, Relation.POWER) for id in self._kinds}
        shared = {way: frozenset(way) for way in ways.values()}
        self._above = {id: shared[way] for id, way in ways.items()}
        own = [id for id, above in self._above.items() if self.mains in above or not above]
        self._direct = [id for id in own if self._kinds[id] != UPS]
        self._upses = [id for id in own if self._kinds[id] == UPS and self.mains in self._above[id]]
        self._gensets = [id for id, kind in self._kinds.items() if kind == GENERATOR]
        self._switches = [id for id in own if self._kinds[id] == SWITCH]
        self._fed, self._asked = frozenset(self._upses), frozenset((*self._direct, *self._upses))
        self._lit, self._out = set[str](), set[str]()
        """Those with power at their input, and those without."""
        self.said: dict[str, Said] = {}
        self._kept: dict[str, _Fields] = {}
        """The same as it is remembered: all of it is, whenever one of many says something else."""
        self.readings: dict[str, Reading] = {}
        self._engines: dict[str, Engine] = {}
        self._since = Since()
        self._standby = Standby(transfer)
        self._state: str | None = None
        self._turned: float | None = None
        self._onset: float | None = None
        self._after = 0.0
        self._late: float | None = None
        self._back: float | None = None
        self._lost = False
        self._dirty = False

    # -- one step ---------------------------------------------------------------------------------------------

    def step(
        self, view: Mapping[str, Readings], changed: Collection[tuple[str, str]], read: Iterable[str], now: float
    ) -> tuple[frozenset[str], list[str], dict[tuple[str, str], float]]:
        """Take in what changed and which devices were asked.

        Returns the devices that say something else now, the points of the mains that changed, and onsets that are
        better known now.
        """
        moved, dated = set[str](), dict[tuple[str, str], float]()
        kinds = self._kinds
        for id in self._heard(view, changed):
            readings = view.get(id, {})
            said = listen(kinds[id], readings)
            if said is None:
                continue
            engine = engine_of(readings) if kinds[id] == GENERATOR else Engine.UNKNOWN
            before = self.said.get(id)
            if said != before or engine is not self._engines.get(id, Engine.UNKNOWN):
                moved.add(id)
            self._hear(id, said, engine)
            dark = said.input is False or (bool(said.mains) and not any(said.mains))
            if self._since.note(id, readings, now, dark=dark):
                dated[id, "source"] = self._since.dark[id]
        self.calm(read, now)
        due = self.next_due()
        if self.mains is None or not (moved or dated or (due is not None and due <= now)):
            return frozenset(moved), [], dated
        self._dirty = True
        points = self._weigh(now)
        if dated and self._state == LOST:
            self._onset = self._begin()
        if self._onset is not None and ("state" in points or dated):
            dated[self.mains, "state"] = self._onset
            points = list(dict.fromkeys([*points, "state"]))
        return frozenset(moved), points, dated

    def calm(self, read: Iterable[str], now: float) -> None:
        """Take in that these devices were asked and say what they said."""
        self._since.lit.update(dict.fromkeys(self._lit.intersection(read), now))

    def _heard(self, view: Mapping[str, Readings], changed: Iterable[tuple[str, str]]) -> dict[str, None]:
        """Return the devices that may say something else: most of what changes at a device is none of our business."""
        kinds, said, heard = self._kinds, self.said, dict[str, None]()
        for id, point in changed:
            kind = kinds.get(id)
            if kind is None or id in heard:
                continue
            before = said.get(id)
            if not tells(kind, point):
                if before is None and kind != ROOM:
                    heard[id] = None
            elif before is None or kind != UPS or not goes_on(before, view.get(id, {}), point):
                heard[id] = None
        return heard

    def _hear(self, id: str, said: Said, engine: Engine) -> None:
        """Keep what a device says, and count it."""
        self.said[id], self._engines[id] = said, engine
        self._kept[id] = (
            said.mains, said.input, said.feeds, said.position, said.called, said.stuck, said.origin,
        )  # fmt: skip
        for group, within in ((self._lit, said.input is True), (self._out, said.input is False)):
            (group.add if within else group.discard)(id)

    def next_due(self) -> float | None:
        """Return when something happens without a reading, epoch s."""
        waits = None if self._back is None else self._back + _RETURNS
        return min((due for due in (self._standby.due, self._late, waits) if due is not None), default=None)

    def others(self, moved: Collection[str]) -> frozenset[str]:
        """Return the witnesses to ask at once because one of them changed its word."""
        return self._asked.difference(moved) if moved else frozenset()

    def shift(self, delta: float) -> None:
        """Move all that runs along with a clock that stepped."""
        self._since.shift(delta)
        self._standby.shift(delta)
        self._turned = None if self._turned is None else self._turned + delta
        self._onset = None if self._onset is None else self._onset + delta
        self._after += delta
        self._late = None if self._late is None else self._late + delta
        self._back = None if self._back is None else self._back + delta

    # -- weighing ---------------------------------------------------------------------------------------------

    def _weigh(self, now: float) -> list[str]:
        """Judge the state anew and return the points whose reading is another one now."""
        state, gone, dissent = self._judge()
        dark = self._out & self._fed
        if self._returns(state, dark, now):
            state = NORMAL
        circuits = self._circuits(dark) if state == CIRCUIT_LOST else frozenset[str]()
        if state is not None and state != self._state:
            lasted = None if self._turned is None else now - self._turned
            if state == NORMAL:
                self._onset, self._after = None, 0.0
            else:
                if state == LOST and self._state == CIRCUIT_LOST and lasted is not None and lasted > _SETTLED:
                    self._onset, self._after = None, now - _SETTLED
                self._onset = self._begin()
            self._state, self._turned = state, now
        phase = self._standby.judge(
            [self._engines.get(id, Engine.UNKNOWN) for id in self._gensets], now, lost=self._state == LOST,
            called=any(self._said(id).called for id in self._switches),
            switched=any(self._said(id).position == "generator" for id in self._switches),
            stuck=any(self._said(id).stuck for id in (*self._gensets, *self._switches)), arrives=self._arrives(),
        )  # fmt: skip
        late = self._onset + OVERDUE if self._gensets and self._state == LOST and self._onset is not None else None
        self._late = late if late is not None and late > now else None
        origin = next((said.origin for said in self.said.values() if said.origin), None)
        told: dict[str, Value | None] = {
            "state": state,
            "witnesses": frozenset(gone),
            "dissent": frozenset(dissent),
            "circuits": circuits,
            "disagreement": bool(dissent),
            "overdue": late is not None and late <= now and phase != CARRYING,
            "generator": phase if self._gensets else None,
        }
        changed = []
        for point, value in told.items():
            reason = "not-fitted" if point == "generator" else _NO_WITNESS
            reading = Reading.bad(reason, now, origin) if value is None else Reading(value, now, origin=origin)
            if not reading.same(self.readings.get(point)):
                self.readings[point] = reading
                changed.append(point)
        return changed

    def _judge(self) -> tuple[str | None, set[str], set[str]]:
        """Weigh the witnesses: the state, None if nobody speaks; who says that power is gone; who sees it still."""
        votes = [(id, vote) for id in self._direct for vote in self._said(id).mains]
        bad, good = {id for id, vote in votes if not vote}, {id for id, vote in votes if vote}
        dark, lit = self._out & self._fed, self._lit & self._fed
        backed = self._backed()
        if backed or (backed is None and self._state == LOST):
            lit = set()
        gone = bad | dark
        if not votes:
            if self._state == LOST and (backed or (backed is None and dark)):
                return LOST, gone, set()
            if dark:
                return (CIRCUIT_LOST if lit else LOST if len(dark) > 1 else UNCLEAR), gone, set()
            return (NORMAL if lit else None), gone, set()
        side = sum(1 if vote else -1 for _, vote in votes) or len(lit) - len(dark)
        dissent = (good or lit) if bad else set[str]()
        if side > 0 or not bad:
            return (CIRCUIT_LOST if dark else NORMAL), gone, dissent
        if not side or (lit and dark):
            return UNCLEAR, gone, dissent
        return (NORMAL if lit else LOST), gone, dissent

    def _returns(self, state: str | None, dark: Collection[str], now: float) -> bool:
        """Tell whether the dark UPSes have been so since a mains loss that ended just now."""
        if self._back is not None and now >= self._back + _RETURNS:
            self._back = None
        if state == LOST:
            self._lost, self._back = True, None
        elif self._lost and state in (NORMAL, CIRCUIT_LOST):
            self._lost, self._back = False, now
        back = self._back
        if state != CIRCUIT_LOST or back is None:
            return False
        return all(self._since.noticed.get(id, now) < back for id in dark)

    def _backed(self) -> bool | None:
        """Tell whether something else than the mains may light the inputs; None if a generator cannot be read."""
        positions = {self._said(id).position for id in self._switches} - {None}
        engines = [self._engines.get(id, Engine.UNKNOWN) for id in self._gensets]
        if Engine.LOADED in engines or "generator" in positions:
            return True
        if positions & {"mains"}:
            return False
        return True if Engine.READY in engines else None if Engine.UNKNOWN in engines else False

    def _arrives(self) -> bool:
        """Tell whether power reaches a UPS, or no UPS can be read."""
        return not self._lit.isdisjoint(self._fed) or self._out.isdisjoint(self._fed)

    def _circuits(self, dark: Collection[str]) -> frozenset[str]:
        """Return the most specific nodes above all dark UPSes and above no lit one, else for each one its own."""
        lit = list({self._above[id] for id in self._lit & self._fed})
        whole = self._nearest(frozenset.intersection(*{self._above[id] for id in dark}), lit)
        if whole is not None:
            return frozenset({whole})
        near = {above: self._nearest(above, lit) for above in {self._above[id] for id in dark}}
        return frozenset(near[self._above[id]] or id for id in dark)

    def _nearest(self, nodes: Collection[str], lit: Iterable[frozenset[str]]) -> str | None:
        below = self._tree.below
        own = set(nodes).difference(*lit) - {self.mains}
        return min(own, key=lambda id: (len(below(id, Relation.POWER)), id), default=None)

    def _begin(self) -> float | None:
        """Return since when power is gone, by the earliest witness that can be trusted and is of this story."""
        dates = [
            at for id, at in self._since.dark.items() if id in self._asked and self._since.noticed[id] >= self._after
        ]
        return min((*dates, *(() if self._onset is None else (self._onset,))), default=None)

    def _said(self, id: str) -> Said:
        return self.said.get(id, _NOTHING)

    # -- over a restart ---------------------------------------------------------------------------------------

    def memory(self) -> SupplyMemory | None:
        """Return what a restart needs as JSON-able data, None if it is as it was."""
        if not self._dirty:
            return None
        self._dirty = False
        return self.remembered()

    def remembered(self) -> SupplyMemory:
        """Return what a restart needs as JSON-able data."""
        return {
            "said": dict(self._kept),
            "engines": {id: self._engines[id] for id in self._gensets if id in self._engines},
            "readings": {
                point: (sorted(reading.value) if isinstance(reading.value, frozenset) else reading.value,
                        reading.time, reading.reason, reading.origin)
                for point, reading in self.readings.items()
            },
            "state": self._state, "turned": self._turned, "onset": self._onset, "after": self._after,
            "late": self._late, "back": (self._back, self._lost),
            "since": self._since.remembered(), "standby": self._standby.remembered(),
        }  # fmt: skip

    def restore(self, memory: SupplyMemory) -> None:
        """Take up what `memory` gave."""
        for id, said in memory["said"].items():
            if id in self._kinds:
                self._hear(id, Said(*said), memory["engines"].get(id, Engine.UNKNOWN))
        for point, (value, time, reason, origin) in memory["readings"].items():
            held = frozenset(value) if isinstance(value, list) else value
            if held is None:
                self.readings[point] = Reading.bad(reason or _NO_WITNESS, time, origin)
            else:
                self.readings[point] = Reading(held, time, reason=reason, origin=origin)
        self._state, self._turned = memory["state"], memory["turned"]
        self._onset, self._after, self._late = memory["onset"], memory["after"], memory["late"]
        self._back, self._lost = memory["back"]
        self._since.restore(memory["since"])
        self._standby.restore(memory["standby"])


_NOTHING: Final = Said()
