"""The same poll of the same device, time after time: what was asked and answered before need not be thought of again.

Owns, for one device and one plan, its questions and the answers of the last poll. An answer that is the same object as
the last one to its question changes nothing, and a poll without any change gives the answers of the last one, the same
object: whoever takes them can tell by that alone. Where an answer says that more is to be asked than a walk's next row
(an error, tooBig, garbage), `snmppoll` goes on from what has come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from edgeagent.links import Plan
from edgeagent.links.snmpdevice import Device, Question
from edgeagent.links.snmpmessage import Ask, Response, Row
from edgeagent.links.snmppoll import IN_FLIGHT, ROWS, Known, answered, next_row
from edgeagent.readings import Answers, Missing, Raw

Put: TypeAlias = Callable[[Question, float], None]
"""Asks a question until this loop time; never calls back from inside."""

GoOn: TypeAlias = Callable[[Device, Plan, Known, float, Callable[[Answers], None]], None]
"""Polls a device on from what is known, until this loop time."""


class _Step(Question):
    """One question of the poll, what it came to last, and the question that follows when that is a row of a walk.

    It is `odd` when that is more than a course can say.
    """

    __slots__ = ("course", "odd", "root", "row", "rows", "then", "what")

    def __init__(self, course: Course, ask: Ask, oids: tuple[str, ...], root: str, rows: int) -> None:
        super().__init__(course.device, ask, oids)
        self.course = course
        self.root = root
        self.rows = rows
        self.what: Response | Missing | None = None
        self.row: Row | Missing | None = None
        self.then: _Step | None = None
        self.odd = False

    def come(self, what: Response | Missing) -> None:
        """Take what it came to; as nearly always, that is what it came to last, and all there is."""
        course = self.course
        if what is self.what and course.only is self and course.last is not None and not self.odd:
            course.busy = False
            course.done(course.last)
        else:
            course.come(self, what)


class Course:
    """A plan as one device is asked it. Free for the next poll when the last one is done."""

    __slots__ = (
        *("_asked", "_batch", "_changed", "_deadline", "_first", "_go_on", "_odd", "_put", "_silent"),
        *("_under_way", "busy", "device", "done", "last", "only", "plan"),
    )

    def __init__(self, device: Device, plan: Plan, put: Put, go_on: GoOn) -> None:
        self.device = device
        self.plan = plan
        self.busy = False
        self._put = put
        self._go_on = go_on
        self._lay()

    def _lay(self) -> None:
        plan, size = self.plan, self.device.pace.batch
        gets = (plan.gets[start : start + size] for start in range(0, len(plan.gets), size))
        self._batch = size
        self._first = [
            *(_Step(self, Ask.GET, oids, "", 0) for oids in gets),
            *(_Step(self, Ask.NEXT, (root,), root, 0) for root in plan.walks),
        ]
        self.only = self._first[0] if len(self._first) == 1 and not plan.walks else None
        """The question that is all of the poll."""
        self.last: Answers | None = None
        """What the last poll came to."""

    def start(self, deadline: float, done: Callable[[Answers], None]) -> None:
        """Ask it once more."""
        if self._batch != self.device.pace.batch:
            self._lay()
        self.busy = True
        self._deadline, self.done = deadline, done
        self._changed = self._odd = self._silent = False
        if self.only is not None:
            self._asked = self._under_way = 1
            self._put(self.only, deadline)
            return
        self._asked = self._under_way = 0
        self._ask()

    def _ask(self) -> None:
        while self._under_way < IN_FLIGHT and self._asked < len(self._first) and not self._silent:
            step = self._first[self._asked]
            self._asked += 1
            self._under_way += 1
            self._put(step, self._deadline)

    def come(self, step: _Step, what: Response | Missing) -> None:
        """Take what a question came to; ask the next, or end the poll."""
        if what is not step.what or step.odd:
            self._take(step, what)
        then = step.then
        if then is not None:
            self._put(then, self._deadline)
            return
        self._under_way -= 1
        if self._asked < len(self._first):
            self._ask()
        if not self._under_way:
            self._finish()

    def _take(self, step: _Step, what: Response | Missing) -> None:
        if what != step.what:
            self._changed = True
        step.what = what
        step.odd = isinstance(what, Missing) or (step.ask is Ask.GET and what.status != 0)
        if isinstance(what, Missing):
            self._silent |= what.silent
        self._odd |= step.odd
        if step.ask is Ask.NEXT:
            step.row = row = next_row(what, step.root, step.oids[0])
            if not isinstance(row, Row) or step.rows + 1 == ROWS:
                step.then = None
            elif step.then is None or step.then.oids[0] != row.oid:
                step.then = _Step(self, Ask.NEXT, (row.oid,), step.root, step.rows + 1)

    def _finish(self) -> None:
        self.busy = False
        if self._odd:  # its answer will not be the same when all is well again, so the answers will be made anew
            self._go_on(self.device, self.plan, self._known(), self._deadline, self.done)
            return
        if self._changed or self.last is None:
            self.last = self._answers()
        self.done(self.last)

    def _known(self) -> Known:
        known: dict[tuple[Ask, tuple[str, ...]], Response | Missing] = {}
        for first in self._first[: self._asked]:
            step: _Step | None = first
            while step is not None and step.what is not None:
                known[step.ask, step.oids] = step.what
                step = step.then
        return known

    def _answers(self) -> Answers:
        answers: dict[str, Raw] = {}
        for first in self._first:
            if first.ask is Ask.GET and isinstance(first.what, Response):
                answers.update(answered(first.oids, first.what))
                continue
            step, rows = first, 0
            while isinstance(step.row, Row):
                answers[step.row.oid] = step.row.value
                rows += 1
                if step.then is None:
                    break
                step = step.then
            answers[first.root] = step.row if isinstance(step.row, Missing) else rows
        return answers
