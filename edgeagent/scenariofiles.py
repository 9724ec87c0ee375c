"""Reads the drills folders (`<scenario>.toml`) and says all that is wrong with them at once.

A site's own file wins over the shipped one of the same name, whole. Knows what a file may say and how its lines are
placed; the words of a line are read by `injectwords.py`. What a site cannot show is a mistake in a scenario of its
own, and in a shipped one no more than a note: not every site has a generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import Field

from edgeagent import injectwords, targets
from edgeagent.catalog import Catalog
from edgeagent.injectwords import WordError
from edgeagent.kindfiles import TextEntry, compile_condition, text_of
from edgeagent.mistakes import Mistake, Mistakes, Path_, nearest
from edgeagent.procedure import Procedure
from edgeagent.procedurefiles import Positive
from edgeagent.scenario import LONGEST, USUAL, Abort, Scenario
from edgeagent.tomlfile import Document, Strict, check, dotted, read

_LONGEST_ID: Final = 26
"""An id of a drill, at most 40 characters, is that of its scenario and 14 more: "-20261125-0210"."""
_T = TypeVar("_T")


class _File(Strict):
    scenario: str = Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", max_length=_LONGEST_ID)
    version: int = Field(ge=1)
    text: TextEntry
    purpose: TextEntry
    procedure: str
    duration: Annotated[Positive, Field(le=LONGEST)] = USUAL
    scope: tuple[str, ...] = ()
    timeline: tuple[str, ...] = Field(min_length=1)
    expect: tuple[str, ...] = ()
    abort: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that has the shape of a scenario. A copy of a shipped one is not the site's `own`."""

    document: Document
    file: _File
    own: bool = False


def load(
    folders: Sequence[Path],
    catalog: Catalog,
    procedures: Mapping[str, Procedure],
    site: targets.Park | None = None,
    notes: list[Mistake] | None = None,
) -> Mapping[str, Scenario]:
    """Read all scenarios, the shipped folder first, the site's own last; a folder that is not there has none.

    Without a site it is not checked what one can show. `notes` grow by what is no mistake and worth a look: which
    shipped scenarios the site cannot rehearse, and what is passed over in its own.

    Raises:
        Mistakes: everything that is wrong in any of the files.
    """
    mistakes: list[Mistake] = []
    notes = [] if notes is None else notes
    files: dict[str, _Found] = {}
    for place, folder in enumerate(dict.fromkeys(folder.resolve() for folder in folders)):
        for id, found in _folder(folder, mistakes).items():
            copy = id in files and files[id].document.source == found.document.source
            files[id] = replace(found, own=place > 0 and not copy)
    scenarios: dict[str, Scenario] = {}
    lacking: dict[str, list[str]] = {}
    for id, found in files.items():
        reader = _Reader(found, catalog, procedures, site)
        scenario = reader.scenario()
        mistakes += reader.mistakes
        if reader.mistakes:
            continue
        scenarios[id] = scenario
        lacks = targets.unable(scenario, site) if site is not None else []
        wrong = [each for each in lacks if not each.passed]
        if not found.own and wrong:
            lacking.setdefault(wrong[0].why.en, []).append(id)
        elif found.own:
            mistakes += (_mistake(found, each.table, each.number, each.why.en) for each in wrong)
            _note_passed(found, lacks, notes)
    # One note for each thing that is not there: a small site lacks the same for a dozen of them.
    notes += (Mistake("drills", 0, why, f"cannot rehearse {', '.join(ids)}") for why, ids in lacking.items())
    if mistakes:
        raise Mistakes(mistakes)
    return scenarios


def _note_passed(found: _Found, lacks: Sequence[targets.Unable], notes: list[Mistake]) -> None:
    passed = [each for each in lacks if each.passed]
    if passed:
        first, more = passed[0], f", and {len(passed) - 1} more" if len(passed) > 1 else ""
        notes.append(_mistake(found, first.table, first.number, f"is passed over: {first.why.en}{more}"))


def _folder(folder: Path, mistakes: list[Mistake]) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            document = read(path, f"{folder.name}/{path.name}")
        except Mistakes as error:
            mistakes += error.found
            continue
        file, wrong = check(document, _File, document.data)
        mistakes += wrong
        if not isinstance(file, _File):
            continue
        if file.scenario in found:
            where = found[file.scenario].document.file
            mistakes.append(document.mistake(("scenario",), f'"{file.scenario}" stands in {where} already'))
        elif file.scenario != path.stem:
            mistakes.append(document.mistake(("scenario",), f"the file is {path.stem}.toml; make both the same"))
        found.setdefault(file.scenario, _Found(document, file))
    return found


def _mistake(found: _Found, table: str, number: int, text: str) -> Mistake:
    """Say what is wrong with an entry of a list, at the line on which it stands."""
    document = found.document
    line = document.line((table,))
    at = sum(len(each) + 1 for each in document.source.split("\n")[: line - 1])
    for entry in getattr(found.file, table)[: number + 1]:
        at = document.source.find(entry, at)
        if at < 0:  # written with escapes: the line before it is near enough
            break
        line = document.source.count("\n", 0, at) + 1
        at += len(entry)
    return Mistake(document.file, line, dotted((table, number)), text)


class _Reader:
    """Compiles one file and checks its words against the catalogue and the procedures."""

    def __init__(
        self,
        found: _Found,
        catalog: Catalog,
        procedures: Mapping[str, Procedure],
        site: targets.Park | None,
    ) -> None:
        self._found, self._document, self._file = found, found.document, found.file
        self._kinds, self._procedures = catalog.kinds, procedures
        devices = {} if site is None else site.devices
        self._devices = {id: device.driver.kind.id for id, device in devices.items()}
        self.mistakes: list[Mistake] = []

    def scenario(self) -> Scenario:
        file, kinds, procedures = self._file, self._kinds, self._procedures
        if file.procedure not in procedures:
            why = f'unknown procedure "{file.procedure}"{nearest(file.procedure, list(procedures))}'
            self.mistakes.append(self._document.mistake(("procedure",), why))
        timeline = self._lines("timeline", lambda line: injectwords.inject(line, kinds, self._devices))
        expects = self._lines("expect", lambda line: injectwords.expectation(line, kinds, procedures))
        for number, inject in timeline.items():
            self._within("timeline", number, inject.at)
        for number, expectation in expects.items():
            self._within("expect", number, expectation.by)
        return Scenario(
            file.scenario, file.version, text_of(file.text), text_of(file.purpose), file.procedure, file.duration,
            file.scope, tuple(timeline.values()), tuple(expects.values()), self._aborts(),
        )  # fmt: skip

    def _say(self, table: str, number: int, text: str) -> None:
        self.mistakes.append(_mistake(self._found, table, number, text))

    def _lines(self, table: str, words: Callable[[str], _T]) -> dict[int, _T]:
        """Read the lines of a list, and say what is wrong with the others."""
        found: dict[int, _T] = {}
        for number, line in enumerate(getattr(self._file, table)):
            try:
                found[number] = words(line)
            except WordError as error:
                self._say(table, number, str(error))
        return found

    def _within(self, table: str, number: int, moment: float) -> None:
        if moment > self._file.duration:
            self._say(table, number, f"comes after the end of the drill, {_minutes(self._file.duration)}")

    def _aborts(self) -> tuple[Abort, ...]:
        found: list[Abort] = []
        for number, (kind, text) in self._lines("abort", lambda line: injectwords.abort(line, self._kinds)).items():
            wrong: list[Mistake] = []
            path: Path_ = ("abort", number)
            condition = compile_condition(self._document, path, text, kind, kind.alarms, wrong)
            if condition.uses_limit:
                wrong.append(self._document.mistake(path, "there is no limit here; write the number"))
            for mistake in wrong:
                self._say("abort", number, mistake.text)
            found.append(Abort(kind.id, condition, " ".join(self._file.abort[number].split())))
        return tuple(found)


def _minutes(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
