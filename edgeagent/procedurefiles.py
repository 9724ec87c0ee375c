"""Reads the procedures folders (`<procedure>.toml`) and says all that is wrong with them at once.

A site's own file wins over the shipped one of the same name, whole. Times are written as people say them: "7min",
"90s", "1h30min", or a number of seconds. Knows what a file may say; what happens by it is in `procedures.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from edgeagent.catalog import ID, Catalog, Kind, Severity
from edgeagent.kindfiles import TextEntry, compile_condition, text_of
from edgeagent.mistakes import Mistake, Mistakes, Path_, nearest
from edgeagent.procedure import (
    GROUP,
    Escalation,
    FaultLevel,
    Phase,
    Procedure,
    Proof,
    Role,
    Scope,
    Step,
    Ticked,
    Trigger,
)
from edgeagent.rules import Condition
from edgeagent.sitetree import AREA, MAINS, SEAT
from edgeagent.tomlfile import Document, Strict, check, read

PLACES: Final = (AREA, "circuit", MAINS, "network", "panel", SEAT, "service")
"""Kinds of what nobody polls: nodes of the site's tree that alarms can be about."""
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)min)?(?:(\d+(?:\.\d+)?)s)?")


def _seconds(value: object) -> object:
    """Turn "7min", "90s" or "1h30min" into s; numbers are s already."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.replace(" ", ""))
    if match is None or not any(match.groups()):
        raise ValueError(f'"{value}" is no duration; write for example "90s", "7min" or "1h30min"')
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
Positive = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]


class _Escalation(Strict):
    after: Duration
    role: Role
    text: TextEntry


class _Proof(Strict):
    when: str
    kind: str
    resource: str | None = None
    area: str | None = None
    affected: bool = False
    every: bool = True
    hold: Duration = 0.0


class _Step(Strict):
    text: TextEntry
    role: Role
    phase: Phase = Phase.RESPONSE
    ticked: Ticked | None = None
    due: Positive | None = None
    opens: Duration | None = None
    remind: Positive | None = None
    escalations: tuple[_Escalation, ...] = ()
    needs: tuple[str, ...] = ()
    enabled_when: tuple[_Proof, ...] = ()
    done_when: Literal["over"] | tuple[_Proof, ...] = ()
    lapses: bool = False


class _Level(Strict):
    text: TextEntry
    restore: Positive
    escalations: tuple[_Escalation, ...] = ()


class _Trigger(Strict):
    types: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    qualifiers: frozenset[str] = frozenset()
    severity: Severity = Severity.WARNING
    seat: bool | None = None
    level: int | None = None
    text: TextEntry | None = None
    held_by: frozenset[str] = frozenset()
    held_when: str | None = None
    beside: bool = False


class _File(Strict):
    procedure: str = Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", max_length=40)
    version: int = Field(ge=1)
    text: TextEntry
    scope: Scope
    owner: Role
    ack_lapse: Positive = 900.0
    settle: Duration = 30.0
    spare: bool = False
    level: int | None = None
    triggers: tuple[_Trigger, ...] = ()
    steps: dict[Annotated[str, Field(pattern=ID)], _Step] = Field(default_factory=dict)
    levels: dict[int, _Level] = Field(default_factory=dict)


def load(folders: Sequence[Path], catalog: Catalog, nodes: Collection[str] | None = None) -> Mapping[str, Procedure]:
    """Read all procedures, the shipped folder first, the site's own last; a folder that is not there has none.

    `nodes` are the ids of the site's tree, to check what files name of the site; without them that is not checked.

    Raises:
        Mistakes: everything that is wrong in any of the files.
    """
    mistakes: list[Mistake] = []
    files: dict[str, tuple[Document, _File]] = {}
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        own: dict[str, tuple[Document, _File]] = {}
        for path in sorted(folder.glob("*.toml")):
            found = _file(path, folder, mistakes)
            if found is None:
                continue
            document, file = found
            if file.procedure in own:
                where = own[file.procedure][0].file
                mistakes.append(document.mistake(("procedure",), f'"{file.procedure}" stands in {where} already'))
            elif file.procedure != path.stem:
                why = f"the file is {path.stem}.toml; make both the same"
                mistakes.append(document.mistake(("procedure",), why))
            own.setdefault(file.procedure, found)
        files |= own
    procedures: dict[str, Procedure] = {}
    for id, (document, file) in files.items():
        reader = _Reader(document, file, catalog, nodes, list(files))
        procedures[id] = reader.procedure()
        mistakes += reader.mistakes
    if mistakes:
        raise Mistakes(mistakes)
    return procedures


def _file(path: Path, folder: Path, mistakes: list[Mistake]) -> tuple[Document, _File] | None:
    try:
        document = read(path, f"{folder.name}/{path.name}")
    except Mistakes as error:
        mistakes += error.found
        return None
    file, wrong = check(document, _File, document.data)
    mistakes += wrong
    return (document, file) if isinstance(file, _File) else None


class _Reader:
    """Compiles one file and checks its words against the catalogue and against each other."""

    def __init__(
        self, document: Document, file: _File, catalog: Catalog, nodes: Collection[str] | None, known: list[str]
    ) -> None:
        self._document, self._file, self._catalog = document, file, catalog
        self._nodes, self._known = nodes, known
        self.mistakes: list[Mistake] = []

    def procedure(self) -> Procedure:
        file = self._file
        levels = tuple(
            FaultLevel(
                id, text_of(level.text), level.restore,
                self._escalations(("levels", str(id), "escalations"), level.escalations),
            )
            for id, level in sorted(file.levels.items())
        )  # fmt: skip
        if levels and file.level is None:
            self._say(("levels",), "needs a level beside them: which one holds until somebody says otherwise")
        self._level(("level",), file.level)
        triggers = tuple(self._trigger(("triggers", index), each) for index, each in enumerate(file.triggers))
        steps = tuple(self._step(id, step) for id, step in file.steps.items())
        self._cycles(steps)
        return Procedure(
            file.procedure, file.version, text_of(file.text), file.scope, file.owner, triggers, steps, levels,
            file.level, file.ack_lapse, file.settle, file.spare,
        )  # fmt: skip

    def _say(self, path: Path_, text: str) -> None:
        self.mistakes.append(self._document.mistake(path, text))

    def _is_known(self, path: Path_, what: str, words: Iterable[str], known: Iterable[str]) -> None:
        known = sorted(known)
        for word in sorted(words):
            if word not in known:
                self._say(path, f'unknown {what} "{word}"{nearest(word, known)}')

    def _level(self, path: Path_, level: int | None) -> None:
        if level is not None and level not in self._file.levels:
            self._is_known(path, "fault level", [str(level)], map(str, self._file.levels))

    def _trigger(self, path: Path_, entry: _Trigger) -> Trigger:
        kinds = self._catalog.kinds
        self._is_known((*path, "kinds"), "kind", entry.kinds, {*kinds, *PLACES})
        own = [kinds[id] for id in sorted(entry.kinds) if id in kinds]
        every = {type for kind in kinds.values() for type in kind.alarms}
        # What stands at a place of the tree is of a type that its devices have.
        types = {type for kind in own for type in kind.alarms} if own and entry.kinds <= kinds.keys() else every
        self._is_known((*path, "types"), "alarm type", entry.types, {*types, GROUP})
        if entry.types == {GROUP}:
            self._is_known((*path, "qualifiers"), "alarm type", entry.qualifiers, every)
        self._is_known((*path, "held_by"), "procedure", entry.held_by, self._known)
        self._level((*path, "level"), entry.level)
        if entry.beside and (entry.text or entry.level is not None):
            self._say((*path, "beside"), "an alarm beside a run gives it neither text nor level")
        held = None
        if entry.held_when is not None:
            for kind in own:
                held = self._condition((*path, "held_when"), entry.held_when, kind)
            if not entry.held_by or len(own) != 1:
                self._say((*path, "held_when"), "needs held_by beside it, and one kind of device")
        return Trigger(
            entry.types, entry.kinds, entry.qualifiers, entry.severity, entry.seat, entry.level,
            text_of(entry.text) if entry.text else None, entry.held_by, held, entry.beside,
        )  # fmt: skip

    def _step(self, id: str, entry: _Step) -> Step:
        path: Path_ = ("steps", id)
        over = entry.done_when == "over"
        proofs = () if entry.done_when == "over" else entry.done_when
        done_when = tuple(self._proof((*path, "done_when", n), proof) for n, proof in enumerate(proofs))
        provable = over or bool(done_when)
        ticked = entry.ticked or (Ticked.EITHER if provable else Ticked.PERSON)
        if ticked is not Ticked.PERSON and not provable:
            self._say((*path, "ticked"), "needs done_when: nothing says what the readings must show")
        if ticked is Ticked.PERSON and provable:
            self._say((*path, "ticked"), "done_when is never looked at when only a person ticks it")
        if entry.role is Role.SYSTEM and ticked is Ticked.PERSON:
            self._say((*path, "role"), "no person does it, so it needs done_when")
        if over and entry.phase is Phase.RECOVERY:
            self._say((*path, "done_when"), "the recovery begins when the fault is over; ask for something else")
        if entry.lapses and entry.phase is Phase.RECOVERY:
            self._say((*path, "lapses"), "only a response step lapses with the fault")
        if entry.opens is not None and entry.due is not None and entry.opens >= entry.due:
            self._say((*path, "opens"), "must lie before due")
        self._is_known((*path, "needs"), "step", entry.needs, self._file.steps)
        for need in entry.needs:
            later = need in self._file.steps and self._file.steps[need].phase is Phase.RECOVERY
            if later and entry.phase is Phase.RESPONSE:
                self._say((*path, "needs"), f'"{need}" is a recovery step and comes later')
        return Step(
            id, text_of(entry.text), entry.role, entry.phase, ticked, entry.due, entry.opens, entry.remind,
            self._escalations((*path, "escalations"), entry.escalations), entry.needs,
            tuple(self._proof((*path, "enabled_when", n), proof) for n, proof in enumerate(entry.enabled_when)),
            done_when, over, entry.lapses,
        )  # fmt: skip

    def _escalations(self, path: Path_, entries: Sequence[_Escalation]) -> tuple[Escalation, ...]:
        times = [entry.after for entry in entries]
        if times != sorted(times):
            self._say(path, "stand from the earliest to the latest")
        if any(entry.role is Role.SYSTEM for entry in entries):
            self._say(path, "go to a person")
        return tuple(Escalation(entry.after, entry.role, text_of(entry.text)) for entry in entries)

    def _proof(self, path: Path_, entry: _Proof) -> Proof:
        kinds = self._catalog.kinds
        self._is_known((*path, "kind"), "kind", [entry.kind], kinds)
        kind = kinds.get(entry.kind) or Kind(entry.kind, text_of(self._file.text), {}, {})
        when = self._condition((*path, "when"), entry.when, kinds.get(entry.kind))
        for name, node in (("resource", entry.resource), ("area", entry.area)):
            if node is not None and self._nodes is not None:
                self._is_known((*path, name), "name of the site", [node], self._nodes)
        points = {id: kind.point(id) for id in when.points}
        units = {id: point.unit for id, point in points.items() if point is not None and point.unit is not None}
        return Proof(
            when, entry.kind, entry.resource, entry.area, entry.affected, entry.every, entry.hold, units
        )  # fmt: skip

    def _condition(self, path: Path_, text: str, kind: Kind | None) -> Condition:
        wrong: list[Mistake] = []
        known = kind or Kind("", text_of(self._file.text), {}, {})
        condition = compile_condition(self._document, path, text, known, known.alarms, wrong)
        if kind is not None:  # an unknown kind is one mistake, not one for each of its points
            self.mistakes += wrong
        if condition.uses_limit:
            self._say(path, "there is no limit here; write the number")
        return condition

    def _cycles(self, steps: Iterable[Step]) -> None:
        needs = {step.id: [need for need in step.needs if need in self._file.steps] for step in steps}
        while free := [id for id, them in needs.items() if not any(need in needs for need in them)]:
            for id in free:
                del needs[id]
        for id in needs:
            self._say(("steps", id, "needs"), f"waits for itself: {' → '.join(_ring(id, needs))}")


def _ring(id: str, needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Follow the needs of a step until one comes twice."""
    ring = [id]
    while ring.count(ring[-1]) == 1:
        ring.append(next(need for need in needs[ring[-1]] if need in needs))
    return ring
