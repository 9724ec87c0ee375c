"""What one device last said, whether it can be read, and whether it is what the site says it is. Pure.

A poll that gave not one value, be it for silence, garbage or refusals, makes every reading bad at once, which
freezes its alarms; only after MISSES of them is the device unreachable, only after GOODS answers is it reachable
again. Nothing is believed before the device has shown that it fits its driver; one that does not fit gives
`identity = mismatch` and no other value.

A probe reads whether its target can be reached: there `reachable` is a reading like any other, and what keeps the
probe itself from being made says nothing about it.

Where a device's alarms are asked for more often than the rest, the polls between two in full bring what they look at
alone; the rest stays as it was.

A twin is the device as a drill shows it: all that it reads carries the drill's id, and what the device is, the state
of which it is the twin knows.
"""

from __future__ import annotations

from copy import copy
from math import inf
from typing import Final

from edgeagent import redecode
from edgeagent.catalog import Driver
from edgeagent.config import Device
from edgeagent.deadband import Deadbands, deadbands
from edgeagent.decode import decode, identity, omitted
from edgeagent.fit import SYS_DESCR, SYS_OBJECT_ID, SYSTEM, fits, suited
from edgeagent.phases import UNREAD
from edgeagent.readings import Answers, Missing, Quality, Reading, Value, fruitless, silence
from edgeagent.redecode import Table
from edgeagent.urgent import urgent
from edgeagent.values import text_of

MISSES: Final = 3
GOODS: Final = 2
BACK_OFF_CAP: Final = 30.0
"""A device that comes back is seen after this many seconds at the latest."""
_DOUBLINGS: Final = 16
"""Enough for the shortest interval to come to the cap; a year of misses would overflow."""
RECHECK: Final = 600.0
"""The identity is asked again after this many seconds."""
CALM: Final = 10.0
"""A number that only trembles is looked at no more often than after this many seconds."""
REACHABLE: Final = "reachable"
IDENTITY: Final = "identity"
_OWN: Final = frozenset({REACHABLE, IDENTITY})
_NOTHING: Final = frozenset[str]()


class DeviceState:
    """One device of the site. `readings` is its part of the view, `observed` when it last answered (epoch s).

    `origin` is the id of the drill of which it is a twin, None for what the device really says.
    """

    __slots__ = (
        "_all", "_checked", "_deadbands", "_exact", "_goods", "_heard", "_last", "_looked", "_mark", "_owed", "_own",
        "_pace", "_part", "_real", "_slow", "_table", "_urgent", "_usual", "_whole", "device", "driver", "facts",
        "misses", "observed", "origin", "readings", "reason",
    )  # fmt: skip

    def __init__(self, device: Device) -> None:
        self.device = device
        self.driver = device.driver
        self.readings: dict[str, Reading] = {}
        self.observed: float | None = None
        self.facts: dict[str, str | None] = {}
        self.misses = 0
        self.reason: Missing | None = None
        self.origin: str | None = None
        self._real: DeviceState | None = None
        self._goods = GOODS
        self._own = _OWN if _OWN.isdisjoint(device.driver.points) else _OWN - device.driver.points
        self._last: Answers | None = None
        """The answers that the readings are of."""
        self._heard: Answers | None = None
        """Those that came last: numbers that only tremble are taken for what they were."""
        self._table: Table | None = None
        self._deadbands: Deadbands | None = None
        """What shortcuts need to go on from there."""
        self._exact = False
        """While it is polled faster, each number counts."""
        self._looked = -inf
        self._owed: float | None = None
        """When numbers were last found to have moved, and when to look again at those that may have."""
        self._usual = _usual(device.driver)
        self._urgent = self._usual
        """What is asked at `alarm_interval`, between two polls in full."""
        self._mark: str | None = None
        """An address that stands in a poll in full alone; None where all polls are."""
        self._part: Answers | None = None
        """The last answers to what is urgent, as long as no poll in full said otherwise."""
        self._whole, self._pace, self._all = -inf, device.interval, True
        self._sort()
        self._checked: float | None = None
        self._slow = False
        """It answered, but not all that would prove it: it is asked for that alone next time."""

    @property
    def answers(self) -> Answers | None:
        """What its readings are of, None where nothing that it answered counts."""
        return self._last

    def stirs(self, answers: Answers) -> bool:
        """Tell whether it says something else than another number; one that said nothing before does not."""
        last = self._last
        if last is None or answers is self._heard or answers is self._part:
            return False
        driver = self.driver
        for address in driver.telling:
            if address in answers and answers[address] != last.get(address):
                return True
        return bool(driver.walks) and _walked(driver.walks, answers) != _walked(driver.walks, last)

    def twin(self, origin: str) -> DeviceState:
        """Return a twin for a drill: it goes on from here, and takes each poll after this state has taken it."""
        twin = copy(self)
        for name, value in {
            "origin": origin,
            "_real": self,
            "readings": dict(self.readings),
            "_last": None,
            "_heard": None,
            "_part": None,
        }.items():
            setattr(twin, name, value)
        return twin

    def wants(self, now: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what to ask next: addresses to get and subtrees to walk."""
        driver = self.device.driver
        if not self._doubtful(now):
            part = self._mark is not None and self._last is not None and not self._all
            return self._urgent if part and abs(now - self._whole) < self._pace else self._usual
        known = (address for item in driver.identity for address in item.addresses)
        if self._slow:
            return tuple(dict.fromkeys((*self._proof(), *known))), ()
        gets = dict.fromkeys((*self._proof(), *known, *driver.gets))
        return tuple(gets), driver.walks

    def interval(self, hasten: bool) -> float:
        """Return the seconds until the next poll: faster while abnormal, soon after a miss, slower when dead."""
        own = self._pace = self.device.fast if hasten else self.device.interval
        self._exact = hasten
        if self.misses >= MISSES:
            doubled = own * 2.0 ** min(self.misses - MISSES + 1, _DOUBLINGS)
            return min(max(own, BACK_OFF_CAP), doubled)
        if self.misses or self._goods < GOODS:
            return min(own, 2.0)
        if self._mark is None or self.device.alarm_interval is None:
            return own
        return 0.0 if self._all else min(own, self.device.alarm_interval)

    def ask_all(self) -> None:
        """Let the next poll be one in full, whatever its turn."""
        self._all = True

    def _goes_on(self, answers: Answers, now: float, *, exact: bool = False) -> bool:
        """Take the very answers that it gave last, as most polls of a calm site are; tell whether it did.

        All that `take` does would come to the same. Where they are not those, or more is due, nothing is done.
        """
        exact = exact or self._exact
        if self._goods < GOODS or self.misses:
            return False
        if answers is not self._part or exact:
            if answers is not (self._last if exact else self._heard) or self._doubtful(now) or self._owes(now):
                return False
            self._whole, self._all = now, False
        self.observed = now
        return True

    def take(self, answers: Answers, now: float, *, exact: bool = False) -> frozenset[str]:
        """Take the answers of one poll; return the ids of the points whose reading is another one now.

        A number that moved by less than its deadband since it was last judged, and past nothing that an alarm asks, is
        as it was, unless all is to be `exact` this time. In the CALM after a look it may move by three.
        """
        if self._goes_on(answers, now, exact=exact):
            return _NOTHING
        exact = exact or self._exact
        sure = self._goods >= GOODS and not (self.misses or self._doubtful(now))
        if self._mark is not None:
            if self._mark not in answers and self._last is not None:
                return self._take_part(answers, self._last, now, exact=exact)
            self._part, self._all, self._whole = None, False, now
        self._heard = answers
        if sure and not exact and self._last is not None:
            answers = self._put_back(self._last, answers, now)
            if answers is self._last:
                self.observed = now
                return _NOTHING
        missing = silence(answers)
        if missing is not None:
            return self._missed(missing, now)
        # A poll that was asked before doubt arose brings no proof; the next one will. A twin is shown what is not so.
        asked = self._real is None and self._doubtful(now) and all(address in answers for address in self._proof())
        if answers == self._last:
            self._checked = now if asked else self._checked
            return self._answered(now)
        verdict = fits(self.device.driver, answers) if asked and self._proof() else True
        if self._real is not None:
            verdict = _identity(self._real) != "mismatch"
        read = any(address in answers for address in self.driver.gets)
        nothing = fruitless(answers, self.driver.gets) if read else None
        self._slow = verdict is None
        if verdict is None or (verdict and nothing is not None):
            return self._missed(nothing or self._unproven(answers), now)
        changed = self._answered(now)
        if asked:
            self._checked = now if verdict else None
            changed |= self._replace({IDENTITY: Reading("match" if verdict else "mismatch", now)})
            changed |= self._know(answers, now)
        elif self._real is not None:
            changed |= self._follow(self._real, now)
        if not verdict:
            return changed | self._all_bad("profile-mismatch", now)
        return changed | self._replace(self._decoded(answers, now))

    def _put_back(self, last: Answers, answers: Answers, now: float, *, part: bool = False) -> Answers:
        """Take what only trembles for what it was; `last` itself if nothing else moved."""
        if self._deadbands is None or self._real is not None:  # a drill shows what it was told to show
            return answers
        calm = 0 <= now - self._looked < CALM
        kept = self._deadbands.put_back(last, answers, wide=calm, part=part)
        if kept is not last:
            self._looked, calm = now, True
        self._owed = self._looked + CALM if calm else None
        return kept

    def _owes(self, now: float) -> bool:
        """Tell whether a closer look is due at what was put back in the calm; so it is when the clock went back."""
        return self._owed is not None and not 0 < self._owed - now <= CALM

    def _take_part(self, answers: Answers, last: Answers, now: float, *, exact: bool) -> frozenset[str]:
        """Take what is urgent alone; all else is as it was. What it is or does now is a reason to ask for the rest."""
        missing = silence(answers) or fruitless(answers, self._urgent[0])
        if missing is not None:
            return self._missed(missing, now)
        changed, self._part = self._answered(now), answers
        walked = tuple(f"{walk}." for walk in self._urgent[1])
        if not (walked or exact):
            answers = self._put_back(last, answers, now, part=True)
            if answers is last:
                return changed
        kept = {address: raw for address, raw in last.items() if not address.startswith(walked)} if walked else last
        whole: Answers = {**kept, **answers}
        if walked and not exact:
            whole = self._put_back(last, whole, now)
        if whole == last:
            return changed
        before = dict(self.readings)
        moved = self._replace(self._decoded(whole, now))
        self._all = any(not _trembles(before.get(id), self.readings[id]) for id in moved)
        return changed | moved

    def _sort(self) -> None:
        """Find what is urgent of all that is asked."""
        if self.device.alarm_interval is not None and self._real is None:
            self._urgent = urgent(self.driver, self.device.alarms.values())
            self._mark = next((each for each in self.driver.gets if each not in self._urgent[0]), None)

    def _decoded(self, answers: Answers, now: float) -> dict[str, Reading]:
        """Decode what these answers change, or all of them where that cannot be told."""
        found, last = None, self._last
        if last is not None and self._table is not None and self._table.driver is self.driver:
            found = redecode.changed(self._table, last, answers, self.readings, now, self.origin)
        if found is None:
            found = decode(self.driver, answers, now, self.origin)
            self._table = redecode.table(self.driver, answers)
            self._deadbands = None if self._table is None else deadbands(self._table, self.device.alarms)
        self._last = answers
        return found

    def _proof(self) -> tuple[str, ...]:
        """Return the addresses without which nothing can be said about what the device is."""
        driver = self.device.driver
        if not driver.named:
            return ()  # what only has the shape of a device may not be refused for losing a register
        return (*SYSTEM, *driver.proofs) if driver.protocol == "snmp" else driver.proofs

    def _unproven(self, answers: Answers) -> Missing:
        """Return why what would prove the device could not be read."""
        raws = (answers.get(address, Missing.TIMEOUT) for address in self._proof())
        return next((raw for raw in raws if isinstance(raw, Missing) and raw in UNREAD), Missing.TIMEOUT)

    def _doubtful(self, now: float) -> bool:
        return self._checked is None or now - self._checked >= RECHECK

    def _know(self, answers: Answers, now: float) -> frozenset[str]:
        """Learn which card it is; what such a card does not have is said to be so."""
        self.driver = suited(self.device.driver, answers)
        self._usual = _usual(self.driver)
        self._sort()
        self.facts = known(self.driver, answers, now)
        return self._replace(omitted(self.device.driver, self.driver, now))

    def _follow(self, real: DeviceState, now: float) -> frozenset[str]:
        """Take over what the device is."""
        identity, changed = real.readings.get(IDENTITY), frozenset[str]()
        if identity is not None and identity.value != _identity(self):
            changed = self._replace({IDENTITY: Reading(identity.value, now, origin=self.origin)})
        if self.driver is not real.driver:
            self.driver, self.facts, self._usual = real.driver, real.facts, real._usual
            changed |= self._replace(omitted(self.device.driver, self.driver, now, self.origin))
        return changed

    def _answered(self, now: float) -> frozenset[str]:
        self.misses, self.reason, self.observed = 0, None, now
        self._goods = min(self._goods + 1, GOODS)
        reachable = self.readings.get(REACHABLE)
        if REACHABLE in self._own and self._goods >= GOODS and (reachable is None or reachable.value is not True):
            return self._replace({REACHABLE: Reading(True, now, origin=self.origin)})
        return frozenset()

    def _missed(self, missing: Missing, now: float) -> frozenset[str]:
        self.misses += 1
        self.reason = missing
        changed = self._all_bad(missing.value, now)
        if self.misses < MISSES:
            return changed
        self._checked, self._goods = None, 0
        if REACHABLE not in self._own:
            return changed
        return changed | self._replace({REACHABLE: Reading(False, now, Quality.GOOD, missing.value, self.origin)})

    def _all_bad(self, reason: str, now: float) -> frozenset[str]:
        self._last = self._heard = None
        points = (self.readings.keys() | self.driver.points) - self._own
        return self._replace({id: Reading.bad(reason, now, self.origin) for id in points})

    def _replace(self, readings: dict[str, Reading]) -> frozenset[str]:
        known = self.readings
        changed = frozenset([id for id, reading in readings.items() if not reading.same(known.get(id))])
        known.update(readings)
        return changed


def _usual(driver: Driver) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what is asked of a device that nobody doubts; the same for all of a driver."""
    return driver.gets, driver.walks


def _trembles(before: Reading | None, now: Reading) -> bool:
    """Tell whether a number is only another number."""
    numbers = all(each is not None and type(each.value) in (int, float) for each in (before, now))
    return numbers and before is not None and before.quality is now.quality


def _identity(state: DeviceState) -> Value | None:
    reading = state.readings.get(IDENTITY)
    return None if reading is None else reading.value


def known(driver: Driver, answers: Answers, now: float) -> dict[str, str | None]:
    """Return what a device says of itself: vendor, model, serial, firmware and, over SNMP, its system group."""
    facts = identity(driver, answers, now)
    object_id, description = answers.get(SYS_OBJECT_ID), answers.get(SYS_DESCR)
    if isinstance(object_id, str) and not isinstance(object_id, Missing):
        facts["sysObjectID"] = object_id
    if isinstance(description, bytes):
        facts["sysDescr"] = text_of(description)
    return facts


def _walked(walks: tuple[str, ...], answers: Answers) -> Answers:
    below = tuple(f"{walk}." for walk in walks)
    return {address: raw for address, raw in answers.items() if address.startswith(below)}
