"""What readings prove: one watch for each proof that an open run waits for, found by (kind, point). Pure.

A watch keeps the truth of each of its devices, so that a change costs that device and no other. Its time stands still
while it is not known how things are: an unreadable device neither proves nor disproves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final

from edgeagent.procedure import Proof
from edgeagent.readings import Readings
from edgeagent.run import Evidence

MOST: Final = 24
"""Readings that are kept as evidence of one step."""
_NOTHING: Final[Readings] = MappingProxyType({})
_CANNOT: Final = "cannot"
"""The device has no such points and never will."""


class Watch:
    """One proof over its devices. `since` is from when it holds without a doubt, `held` what it held before one."""

    def __init__(self, run_id: str, proof: Proof, devices: Iterable[str]) -> None:
        self.run_id, self.proof = run_id, proof
        self.since: float | None = None
        self._held = 0.0
        self._truths: dict[str, bool | str | None] = dict.fromkeys(devices)
        self._counts: Counter[bool | str | None] = Counter(self._truths.values())

    @property
    def devices(self) -> Iterable[str]:
        """All that it looks at."""
        return self._truths

    def look(self, view: Mapping[str, Readings], device: str) -> bool:
        """Take over what one device says; tell whether it is one of these and says something else than before."""
        if device not in self._truths:
            return False
        readings = view.get(device, _NOTHING)
        truth: bool | str | None = self.proof.when.holds(readings)
        if truth is None and readings and self.proof.when.silent(readings):
            truth = _CANNOT
        before = self._truths[device]
        if truth is before:
            return False
        self._truths[device] = truth
        self._counts[before] -= 1
        self._counts[truth] += 1
        return True

    def look_at_all(self, view: Mapping[str, Readings]) -> None:
        """Take over what all of its devices say."""
        for device in self._truths:
            self.look(view, device)

    @property
    def truth(self) -> bool | None:
        """Tell whether the proof holds by now; None while a device that matters cannot be read."""
        yes, no, unknown = (self._counts[truth] for truth in (True, False, None))
        decided, other = (no, yes) if self.proof.every else (yes, no)
        if decided:
            return not self.proof.every
        if unknown or not other:
            return None
        return self.proof.every

    def move(self, now: float) -> None:
        """Let its time run, stand still or begin anew."""
        truth = self.truth
        if truth is True:
            self.since = now if self.since is None else self.since
        elif truth is None and self.since is not None:
            self._held += now - self.since
            self.since = None
        elif truth is False:
            self.since, self._held = None, 0.0

    @property
    def due(self) -> float | None:
        """The moment at which it has held long enough; None while its time does not run."""
        return None if self.since is None else self.since + max(0.0, self.proof.hold - self._held)

    def shift(self, delta: float) -> None:
        """Go along with a clock that stepped."""
        self.since = None if self.since is None else self.since + delta

    def evidence(self, view: Mapping[str, Readings]) -> Iterator[Evidence]:
        """Give the readings that prove it."""
        points = sorted(self.proof.when.points)
        for device, truth in self._truths.items():
            readings = view.get(device, _NOTHING)
            for point in points if truth is True else ():
                if (reading := readings.get(point)) is not None and reading.value is not None:
                    yield Evidence(device, point, reading.value, self.proof.units.get(point))


class Watching:
    """All watches of all open runs, by what can move them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], dict[Watch, None]] = {}
        self._fresh: dict[Watch, None] = {}

    def __bool__(self) -> bool:
        """Tell whether anything is waited for."""
        return bool(self._found)

    def add(self, watch: Watch) -> None:
        """Begin to wait for a proof; it is looked at next."""
        self._fresh[watch] = None
        for point in watch.proof.when.points:
            self._found.setdefault((watch.proof.kind, point), {})[watch] = None

    def drop(self, watch: Watch) -> None:
        """Wait for it no more."""
        self._fresh.pop(watch, None)
        for point in watch.proof.when.points:
            key = (watch.proof.kind, point)
            self._found.get(key, {}).pop(watch, None)
            if not self._found.get(key, True):
                del self._found[key]

    def naming(self, kind: str, point: str) -> Iterable[Watch]:
        """Return those that look at a point of a kind of device."""
        return self._found.get((kind, point), ())

    def all(self) -> Iterable[Watch]:
        """Return all of them."""
        return dict.fromkeys(watch for watches in self._found.values() for watch in watches)

    def fresh(self) -> Iterable[Watch]:
        """Return, once, those that were not looked at yet."""
        found, self._fresh = self._fresh, {}
        return found


class Waits:
    """What the steps of one run wait for: to be asked for, or to be done. `scope` finds the devices of a proof."""

    def __init__(self, run_id: str, watching: Watching, scope: Callable[[Proof], tuple[str, ...]]) -> None:
        self._run_id, self._watching, self._scope = run_id, watching, scope
        self._found: dict[str, list[Watch]] = {}

    def begin(self, step: str, proofs: Iterable[Proof]) -> None:
        """Wait for all of some proofs; those that it waits for already go on."""
        if step in self._found:
            return
        self._found[step] = [Watch(self._run_id, proof, self._scope(proof)) for proof in proofs]
        for watch in self._found[step]:
            self._watching.add(watch)

    def end(self, step: str) -> None:
        """Wait no more."""
        for watch in self._found.pop(step, ()):
            self._watching.drop(watch)

    def look_again(self) -> None:
        """Look at the devices that count by now; a proof that looks at others than before begins anew."""
        for step, watches in [*self._found.items()]:
            if any(tuple(watch.devices) != self._scope(watch.proof) for watch in watches):
                self.end(step)
                self.begin(step, [watch.proof for watch in watches])

    def proven(self, step: str) -> float | None:
        """Return when a step is proven if nothing changes until then."""
        dues = [watch.due for watch in self._found.get(step, ())]
        known = [due for due in dues if due is not None]
        return max(known) if known and len(known) == len(dues) else None

    def evidence(self, step: str, view: Mapping[str, Readings]) -> tuple[Evidence, ...]:
        """Gather what proves a step, each reading once and not without end."""
        found = (each for watch in self._found.get(step, ()) for each in watch.evidence(view))
        return tuple(islice(dict.fromkeys(found), MOST))

    def shift(self, delta: float) -> None:
        """Go along with a clock that stepped."""
        for watches in self._found.values():
            for watch in watches:
                watch.shift(delta)
