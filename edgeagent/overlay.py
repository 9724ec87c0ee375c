"""What a drill shows instead of what its devices say: the wanted points, encoded into the answers of each poll. Pure.

    link → answers → Overlay.apply → decode, on the drill lane alone

Owns which injects count at a moment and what several of them come to. It replaces raw answers and nothing behind
them, and only those that were asked for. What could not be read cannot be shown otherwise either: a silent device
stays silent. Moments are s from the start of the drill.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from edgeagent.catalog import Driver, PointType
from edgeagent.decode import decode
from edgeagent.encode import EncodeError, encode, sayable, unsaid
from edgeagent.items import Item
from edgeagent.phases import PHASES, UNREAD
from edgeagent.readings import Answers, Missing, Raw, Reading, Value, silence
from edgeagent.scenario import Do, Planned

_FIXED: Final = (Do.SET, Do.RAMP)
_SHIFTS: Final = (Do.ADD, Do.REMOVE)
_GRADES: Final = ("warning", "trip", "shutdown")
"""What an alarm may be graded by; a device shows it in one grade at a time."""
_FINE: Final = 0.01
"""Part of a unit in which a ramp moves where the device gives decimals of its own (single precision, text)."""

_Wanted: TypeAlias = tuple[Planned, Value | None]
"""An inject, and what its point is to read now; None where it takes a value away, or a ramp has no beginning yet."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What counts from one inject of a device to the next. `ops` stand in the order in which they came."""

    under: bool = False
    silent: bool = False
    ops: tuple[Planned, ...] = ()


class Overlay:
    """All that one drill shows. `drivers` are those of its devices by id."""

    def __init__(self, planned: Sequence[Planned], drivers: Mapping[str, Driver]) -> None:
        self._planned = sorted(planned, key=_order)
        self._moments = [inject.at for inject in self._planned]
        self._failed: list[tuple[Planned, str]] = []
        of: dict[str, list[Planned]] = defaultdict(list)
        for inject in self._planned:
            of[inject.device].append(inject)
        self._known = _Known()
        self._layers = {id: _Layer(injects, drivers[id], self._failed, self._known) for id, injects in of.items()}
        self._under: tuple[int, frozenset[str]] = (0, frozenset())

    def devices(self, moment: float) -> frozenset[str]:
        """Return the devices under the overlay: from their first inject until they are released."""
        done = bisect_right(self._moments, moment)
        if done != self._under[0]:
            under = frozenset(id for id, layer in self._layers.items() if layer.frame(moment).under)
            self._under = (done, under)
        return self._under[1]

    def apply(self, device: str, driver: Driver, answers: Answers, moment: float) -> Answers:
        """Return what the device is to have answered to this poll; the very answers where nothing is replaced.

        `driver` is the variant that suits this card. An inject that cannot be said is left out (`failures`).
        """
        layer = self._layers.get(device)
        return answers if layer is None else layer.apply(driver, answers, moment)

    def failures(self) -> list[tuple[Planned, str]]:
        """Take the injects that could not be shown, and why; each is given once."""
        taken = self._failed.copy()
        self._failed.clear()
        return taken

    def next_change(self, moment: float) -> float | None:
        """Return when the next inject comes due; None after the last. A ramp moves with the polls."""
        place = bisect_right(self._moments, moment)
        return self._moments[place] if place < len(self._moments) else None

    def due(self, after: float, until: float) -> list[Planned]:
        """Return the injects of the moments later than `after`, up to and with `until`, in their order."""
        return self._planned[bisect_right(self._moments, after) : bisect_right(self._moments, until)]

    def dry(self, device: str, driver: Driver, answers: Answers) -> list[tuple[Planned, str]]:
        """Try all injects of a device on what it answers now; return those that it would not show, and why."""
        layer = self._layers.get(device)
        if layer is None:
            return []
        failed: list[tuple[Planned, str]] = []
        _Layer(layer.injects, driver, failed, self._known).rehearse(answers)
        return sorted(failed, key=lambda one: _order(one[0]))


class _Layer:
    """The injects of one device, in their order, and what its last answers were made into."""

    def __init__(
        self, injects: list[Planned], driver: Driver, failed: list[tuple[Planned, str]], known: _Known
    ) -> None:  # fmt: skip
        self.injects = injects
        self._moments = [inject.at for inject in injects]
        self._known = known
        self._sources = known.of(driver)
        self._failed = failed
        self._told: set[int] = set()
        self._frames: dict[int, _Frame] = {0: _Frame()}
        self._before: dict[int, Planned | None] = {}
        self._begins: dict[int, float] = {}
        self._key: tuple[_Frame, list[_Wanted]] | None = None
        self._real: Answers | None = None
        self._shown: Answers = {}

    def frame(self, moment: float) -> _Frame:
        """Return what counts at a moment."""
        done = bisect_right(self._moments, moment)
        found = self._frames.get(done)
        if found is None:
            found = self._frames[done] = self._fold(done)
        return found

    def _fold(self, done: int) -> _Frame:
        under = silent = False
        ops: list[Planned] = []
        for inject in self.injects[:done]:
            under = inject.do is not Do.RELEASE
            if inject.do is Do.RELEASE:
                silent, ops = False, []
            elif inject.do in (Do.SILENT, Do.ANSWERS):
                silent = inject.do is Do.SILENT
            else:
                same = [op for op in ops if op.point == inject.point]
                over = [op for op in same if inject.do not in _SHIFTS or op.do is Do.MISSING]
                self._before[inject.number] = same[-1] if same else None
                ops = [*(op for op in ops if op not in over), inject]
        return _Frame(under, silent, tuple(ops))

    def apply(self, driver: Driver, answers: Answers, moment: float) -> Answers:
        frame = self.frame(moment)
        if not (frame.silent or frame.ops) or silence(answers) is not None:
            return answers
        if driver is not self._sources.driver:
            self._sources, self._key = self._known.of(driver), None
        wanted = [(op, self._value(op, answers, moment)) for op in frame.ops]
        if self._key is None or frame is not self._key[0] or wanted != self._key[1] or answers != self._real:
            self._key, self._real = (frame, wanted), answers
            self._shown = self._sources.silent(answers) if frame.silent else self._say(wanted, answers)
        return self._shown

    def _value(self, op: Planned, answers: Answers, moment: float) -> Value | None:
        """Return what a point is to read; a ramp goes in steps that the device can tell apart."""
        if op.do is not Do.RAMP:
            return op.value
        begin, end = self._begin(op, answers), _number(op.value)
        if end is None or moment >= op.at + op.over:
            return op.value
        if begin is None:
            return None
        share, step = (moment - op.at) / op.over, self._sources.step(op.point)
        value = round(round((begin + (end - begin) * share) / step) * step, 6)
        return min(max(value, min(begin, end)), max(begin, end))

    def _begin(self, op: Planned, answers: Answers) -> float | None:
        """Return where a ramp begins: as it says, else at what is shown until then, else at what is really so."""
        if op.start is not None:
            return op.start
        before = self._before[op.number]
        if before is not None and before.do in _FIXED:
            shown = _number(self._value(before, answers, op.at))
            if shown is not None:
                return shown
        if op.number not in self._begins:
            reading = self._sources.read(op.point, answers)
            real = None if reading is None else _number(reading.value)
            if real is None:
                return None
            self._begins[op.number] = real
        return self._begins[op.number]

    def _say(self, wanted: list[_Wanted], answers: Answers) -> Answers:
        """Return the answers with all in them that can be said; an inject that spoils it is left out."""
        ready: list[_Wanted] = []
        for op, value in wanted:
            if not self._sources.asked(op.point, answers):
                continue
            if op.do is Do.RAMP and value is None:
                self._fail(op, f"{op.point} has no value from which it could go to {op.value}")
            else:
                ready.append((op, value))
        try:
            changes = self._sources.changes(ready, answers)
        except EncodeError:
            changes = self._most(ready, answers)
        return self._sources.laid(changes, answers)

    def _most(self, ready: list[_Wanted], answers: Answers) -> dict[str, Raw]:
        kept: list[_Wanted] = []
        changes: dict[str, Raw] = {}
        for one in ready:
            try:
                changes = self._sources.changes([*kept, one], answers)
            except EncodeError as error:
                self._fail(one[0], str(error))
            else:
                kept.append(one)
        return changes

    def _fail(self, op: Planned, why: str) -> None:
        if op.number not in self._told:
            self._told.add(op.number)
            self._failed.append((op, why))

    def rehearse(self, answers: Answers) -> None:
        """Go through all moments on one poll, and look at what is read of it."""
        ends = {inject.at + inject.over for inject in self.injects if inject.do is Do.RAMP}
        for moment in sorted(ends.union(self._moments)):
            frame = self.frame(moment)
            if silence(answers) is not None:
                for op in frame.ops:
                    self._fail(op, "it does not answer now")
            elif frame.ops and not frame.silent:
                driver = self._sources.driver
                readings = decode(driver, self.apply(driver, answers, moment), 0.0)
                for op in frame.ops:
                    why = self._sources.amiss(op, frame.ops, readings.get(op.point))
                    if why:
                        self._fail(op, why)


class _Known:
    """What is known of the drivers of one drill: devices in their thousands have but a few."""

    def __init__(self) -> None:
        self._by: dict[int, _Sources] = {}

    def of(self, driver: Driver) -> _Sources:
        """Return where the points of a driver come from. It is kept with it, so its identity stays its own."""
        if id(driver) not in self._by:
            self._by[id(driver)] = _Sources(driver)
        return self._by[id(driver)]


class _Sources:
    """Where the points of one driver come from, as far as a drill has asked."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._gets = frozenset(driver.gets)
        self._packed = frozenset(item.addresses[0] for item in driver.items if item.bits is not None)
        self._narrow: dict[str, Driver] = {}
        self._steps: dict[str, float] = {}

    def _of(self, point: str) -> Driver:
        """Return the driver with nothing in it but one point, and its phases."""
        if point not in self._narrow:
            rows = {point, *(f"{point}.{phase}" for phase in PHASES)}
            items = tuple(item for item in self.driver.items if item.point in rows and item.code != "when")
            self._narrow[point] = replace(self.driver, items=items)
        return self._narrow[point]

    def asked(self, point: str, answers: Answers) -> bool:
        """Tell whether this poll asked for a point; one that the driver lacks is left for `encode` to refuse."""
        places = [*self._of(point).gets, *self._of(point).walks]
        return not places or any(place in answers for place in places)

    def read(self, point: str, answers: Answers) -> Reading | None:
        """Decode one point."""
        return decode(self._of(point), answers, 0.0).get(point)

    def step(self, point: str) -> float:
        """Return the smallest change of a number that the device can say, in the unit of the point."""
        if point not in self._steps:
            items = self._of(point).items
            found = min((abs(item.scale) * (_FINE if _decimal(item) else 1.0) for item in items), default=1.0)
            self._steps[point] = found or 1.0
        return self._steps[point]

    def changes(self, wanted: Iterable[_Wanted], answers: Answers) -> dict[str, Raw]:
        """Return the raw answers to change so that all that is wanted reads so.

        Sets come first, so that the bits which they share with another point are those of that point; what joins and
        leaves a set comes last, and works on what it shows by then.

        Raises:
            EncodeError: when something cannot be said, or not beside the others.
        """
        wanted = list(wanted)
        fixed = [(op.point, value) for op, value in wanted if op.do in _FIXED and value is not None]
        changes = encode(self.driver, dict(sorted(fixed, key=lambda one: not self._is_set(one[0]))), answers)
        for op, _ in wanted:
            if op.do is Do.MISSING:
                changes |= unsaid(self.driver, op.point, {**answers, **changes})
        shifts: dict[str, list[Planned]] = defaultdict(list)
        for op, _ in wanted:
            if op.do in _SHIFTS:
                shifts[op.point].append(op)
        for point, ops in shifts.items():
            image = {**answers, **changes}
            changes |= encode(self.driver, {point: self._shifted(point, ops, image)}, image)
        for address in changes.keys() & self._packed:
            if answers.get(address) in (Missing.ABSENT, Missing.NULL):
                raise EncodeError(f"{address} is not there, and the other points in it would be made up")
        return changes

    def _shifted(self, point: str, ops: list[Planned], image: Answers) -> frozenset[str]:
        """Return what a set shows after some have joined and left it. What no word stands for cannot stay."""
        reading = self.read(point, image)
        shown = reading.value if reading is not None and isinstance(reading.value, frozenset) else frozenset[str]()
        left = {member for item in self._of(point).items for member in sayable(item) & shown}
        for op in ops:
            alarm = _alarm(str(op.value))
            left = {member for member in left if _alarm(member) != alarm}
            if op.do is Do.ADD:
                left.add(str(op.value))
        return frozenset(left)

    def _is_set(self, point: str) -> bool:
        known = self.driver.kind.point(point)
        return known is not None and known.type is PointType.SET

    def silent(self, answers: Answers) -> Answers:
        """Return what a poll brings of which nothing came."""
        return {address: Missing.TIMEOUT for address in answers if self._root(address) is None}

    def laid(self, changes: Mapping[str, Raw], answers: Answers) -> Answers:
        """Return the answers with the changes in them, as far as they were asked for and came."""
        shown = dict(answers)
        for address, raw in changes.items():
            root = self._root(address)
            place = root or address
            if place not in answers or answers[place] in UNREAD:
                continue
            if root and raw is Missing.ABSENT:
                shown.pop(address, None)
            else:
                shown[address] = raw
        return answers if shown == answers else shown

    def _root(self, address: str) -> str | None:
        """Return the subtree of which an answer is a row."""
        if address in self._gets:
            return None
        return next((root for root in self.driver.walks if address.startswith(root + ".")), None)

    def amiss(self, op: Planned, ops: Sequence[Planned], reading: Reading | None) -> str:
        """Tell what is wrong with what is read where an inject should show; nothing if it does."""
        if reading is None:
            return f"{op.point} is not read"
        if op.do is Do.MISSING:
            return "" if reading.value is None else f"{op.point} would still read {_spell(reading.value)}"
        if reading.value is None:
            return f"{op.point} would not be read: {reading.reason}"
        if isinstance(reading.value, frozenset):
            return self._amiss_in(reading.value, op, ops)
        if isinstance(reading.value, (bool, str)) and reading.value != op.value:
            return f"{op.point} would read {_spell(reading.value)} beside the others"
        return ""

    def _amiss_in(self, shown: frozenset[str], op: Planned, ops: Sequence[Planned]) -> str:
        later = [other for other in ops[ops.index(op) + 1 :] if other.point == op.point]
        wanted = op.value if isinstance(op.value, frozenset) else {str(op.value)}
        for member in wanted:
            overruled = any(_alarm(member) in _alarms(other.value) for other in later)
            if not overruled and (member in shown) is (op.do is Do.REMOVE):
                return f"{op.point} would {'still' if op.do is Do.REMOVE else 'not'} show {member}"
        return ""


def _order(inject: Planned) -> tuple[float, int]:
    return inject.at, inject.number


def _number(value: Value | None) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _decimal(item: Item) -> bool:
    return item.type == "f32" or any(":" in address for address in item.addresses)


def _alarm(member: str) -> str:
    """Return a member without its grade."""
    stem, _, grade = member.rpartition(".")
    return stem if grade in _GRADES else member


def _alarms(value: Value | None) -> set[str]:
    return {_alarm(member) for member in (value if isinstance(value, frozenset) else {str(value)})}


def _spell(value: Value) -> str:
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)
