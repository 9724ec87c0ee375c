"""One SNMP poll: a queue of questions, what each came to, and which questions follow from that.

Owns the batches of GETs, the walks and the meaning of error-status. Knows no sockets, no bytes and no times: questions
leave through `put`, and what they came to returns through their callbacks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

from edgeagent.links import Plan
from edgeagent.links.snmpmessage import Ask, Response, Row, Status
from edgeagent.readings import Answers, Missing, Raw

IN_FLIGHT: Final = 2
"""Questions of one poll under way at a time: small cards drop bursts, and one dead object must not hold up the rest."""
ROWS: Final = 64
"""Rows of one walk."""

_VERDICTS: Final[Mapping[int, Missing]] = {
    Status.NO_SUCH_NAME: Missing.ABSENT,
    Status.NO_ACCESS: Missing.DENIED,
    Status.AUTHORIZATION_ERROR: Missing.DENIED,
}
"""What an error-status says of the object it names; every other one is the device's own failure."""

Come: TypeAlias = Callable[[Response | Missing], None]
"""Takes what a question came to, once."""

Put: TypeAlias = Callable[[Ask, tuple[str, ...], Come], None]
"""Asks a question; never calls back from inside."""


Known: TypeAlias = Mapping[tuple[Ask, tuple[str, ...]], Response | Missing]
"""What questions have come to already."""


@dataclass(slots=True)
class Pace:
    """How many objects a device takes in one request; less after it said tooBig."""

    batch: int


class Poll:
    """What is still to be asked, what is under way, what was answered."""

    def __init__(
        self, plan: Plan, pace: Pace, put: Put, done: Callable[[Answers], None], known: Known = MappingProxyType({})
    ) -> None:
        self._plan = plan
        self._pace = pace
        self._put = put
        self._done = done
        self._known = known
        self._answers: dict[str, Raw] = {}
        self._silence: Missing | None = None
        self._under_way = 0
        self._queue: deque[tuple[Ask, tuple[str, ...], Come]] = deque()
        for start in range(0, len(plan.gets), pace.batch):
            self._get(plan.gets[start : start + pace.batch])
        for root in plan.walks:
            self._next(root, root, 0)

    def step(self) -> None:
        """Ask the next questions; when none is left under way, the poll is over."""
        while self._queue and self._under_way < IN_FLIGHT:
            ask, oids, come = self._queue.popleft()
            what = self._known.get((ask, oids))
            if what is not None:
                self._take(come, what)
            elif self._silence is None:
                self._under_way += 1
                self._put(ask, oids, partial(self._come, come))
        if not self._under_way:
            for address in (*self._plan.gets, *self._plan.walks):
                self._answers.setdefault(address, self._silence or Missing.TIMEOUT)
            self._done(self._answers)

    def _come(self, come: Come, what: Response | Missing) -> None:
        self._under_way -= 1
        self._take(come, what)
        self.step()

    def _take(self, come: Come, what: Response | Missing) -> None:
        if isinstance(what, Missing) and what.silent:
            # All questions share one deadline and one user: what ended this one would end the rest.
            self._silence = what
        else:
            come(what)

    def _get(self, oids: tuple[str, ...]) -> None:
        self._queue.append((Ask.GET, oids, partial(self._got, oids)))

    def _got(self, oids: tuple[str, ...], what: Response | Missing) -> None:
        if isinstance(what, Missing):
            status, index, verdict = 0, 0, what
        elif what.status == Status.NO_ERROR:
            self._answers.update(answered(oids, what))
            return
        else:
            status, index, verdict = what.status, what.error_index, _verdict(what.status)
        if status == Status.TOO_BIG:
            index = 0
            self._pace.batch = max(1, min(self._pace.batch, len(oids) // 2))
        if len(oids) == 1:
            self._answers[oids[0]] = verdict
        elif 1 <= index <= len(oids):
            self._answers[oids[index - 1]] = verdict
            self._get(oids[: index - 1] + oids[index:])
        else:  # one of them spoils the answer and the device does not say which
            self._get(oids[: len(oids) // 2])
            self._get(oids[len(oids) // 2 :])

    def _next(self, root: str, last: str, rows: int) -> None:
        self._queue.append((Ask.NEXT, (last,), partial(self._walked, root, last, rows)))

    def _walked(self, root: str, last: str, rows: int, what: Response | Missing) -> None:
        row = next_row(what, root, last)
        if isinstance(row, Row):
            self._answers[row.oid] = row.value
            rows += 1
            if rows < ROWS:
                self._next(root, row.oid, rows)
                return
        self._answers[root] = row if isinstance(row, Missing) else rows


def answered(oids: tuple[str, ...], what: Response) -> dict[str, Raw]:
    """Return what an answer without error says of the objects that were asked for."""
    given = dict(zip(what.names, what.values, strict=True))
    if what.names == oids:
        return given
    return {oid: given.get(oid, Missing.MALFORMED) for oid in oids}


def next_row(what: Response | Missing, root: str, last: str) -> Row | Missing | None:
    """Return the next row of a walk, None at the end of the subtree, or why the walk failed."""
    if isinstance(what, Missing):
        return what
    if what.status:
        return None if what.status == Status.NO_SUCH_NAME else _verdict(what.status)
    if not what.names:
        return Missing.MALFORMED
    row = Row(what.names[0], what.tags[0], what.values[0])
    if row.value is Missing.ABSENT or not row.oid.startswith(root + "."):
        return None
    return row if _order(row.oid) > _order(last) else Missing.MALFORMED


def _verdict(status: int) -> Missing:
    return _VERDICTS.get(status, Missing.ERROR)


def _order(oid: str) -> list[int]:
    return [int(arc) for arc in oid.split(".")]
