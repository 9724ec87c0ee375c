"""The `report` command: fault records and the leader's log, from the journal of an agent that may be running."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from edgeagent.cli.common import USAGE, ConfigDir, err, fail, site_of

if TYPE_CHECKING:  # these are loaded only when a report is asked for
    from edgeagent.catalog import Point, Text
    from edgeagent.config import Site
    from edgeagent.journal import Journal
    from edgeagent.store import Entry
    from edgeagent.wording import Names

app = typer.Typer()
_NAMED: Final = 20
"""Runs that are named where nothing like the one asked for is known."""


class Form(StrEnum):
    """How a report is written."""

    MD = "md"
    HTML = "html"
    JSON = "json"
    CSV = "csv"


class Language(StrEnum):
    """Which languages a report has."""

    EN = "en"
    ZH = "zh"
    BOTH = "both"


@app.command()
def report(
    config: ConfigDir,
    run: Annotated[str | None, typer.Argument(help="The run to report; without it and --since all are listed.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="The leader's log from then on.", metavar="2026-11-25T08:00")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="End of the log, now without it.")] = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="Of a run md, html or json; of a log csv or html.")
    ] = None,
    language: Annotated[Language | None, typer.Option("--language", help="The site's own without it.")] = None,
    zone: Annotated[
        str | None, typer.Option("--tz", help="Zone of all times, the host's without it.", metavar="Asia/Shanghai")
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", help="File to write, stdout without it.")] = None,
) -> None:
    """Write the fault record of RUN, or the leader's log --since a time, or list the runs."""
    if run is not None and since is not None:
        fail("a run or --since, not both", USAGE)
    if until is not None and since is None:
        fail("--until needs --since", USAGE)
    if run is not None and form is Form.CSV:
        fail("a record is md, html or json", USAGE)
    if since is not None and form in (Form.MD, Form.JSON):
        fail("a log is csv or html", USAGE)
    if since is not None and form is not Form.HTML and language is Language.BOTH:
        fail("a csv has one language", USAGE)
    given = zone_of(zone)
    begin = None if since is None else _time(since, given)
    now = time.time()
    end = now if until is None else _time(until, given)
    if begin is not None and begin >= end:
        fail("the log ends before it begins", USAGE)
    site = site_of(config)
    languages = languages_of(language, site.language)
    with journal_of(site) as journal:
        if begin is not None:
            text = _log(journal.shift(begin, end), site, (begin, end), form or Form.CSV, languages, given)
        elif run is not None:
            text = _record(journal, run, now, site, form or Form.MD, languages, given)
        else:
            text = "".join(f"{line}\n" for line in _listed(journal.runs(now), languages[0], given))
    write(text, to)


@contextlib.contextmanager
def journal_of(site: Site) -> Iterator[Journal]:
    """Open the journal of the site's agent; that it cannot be read ends the command."""
    from edgeagent.journal import Journal, JournalError
    from edgeagent.statefolder import DATABASE

    try:
        with Journal(site.state / DATABASE) as journal:
            yield journal
    except JournalError as error:
        fail(str(error), 1)


def nearest_of(id: str, known: list[str]) -> str:
    """Point at the id that is like the one asked for, else at the newest ones."""
    from edgeagent.mistakes import nearest

    close = nearest(id, known)
    return close if close.startswith(",") else nearest("", known[-_NAMED:])


def zone_of(name: str | None) -> tzinfo | None:
    """Find a time zone by its name; None is the host's."""
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fail(f'"{name}" is no time zone; they are called like Asia/Shanghai', USAGE)


def _time(text: str, zone: tzinfo | None) -> float:
    """Read a moment: in the zone where it names none itself."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fail(f'"{text}" is no time; write it as 2026-11-25T08:00', USAGE)
    return (found if found.tzinfo is not None or zone is None else found.replace(tzinfo=zone)).timestamp()


def languages_of(asked: Language | None, own: str) -> tuple[str, ...]:
    """Return the languages that are asked for, `own` where none is."""
    if asked is Language.BOTH:
        return ("zh", "en")
    return (own if asked is None else asked.value,)


def _log(
    lines: Iterable[Entry],
    site: Site,
    shift: tuple[float, float],
    form: Form,
    languages: tuple[str, ...],
    zone: tzinfo | None,
) -> str:
    from edgeagent import document, shiftlog, shiftreport

    log = shiftlog.of(lines, *shift, names_of(site))
    if form is Form.CSV:
        return shiftlog.as_csv(log, languages[0], zone)
    return document.html([shiftreport.shift(log, language, zone, names_of(site)) for language in languages])


def _record(
    journal: Journal,
    run: str,
    now: float,
    site: Site,
    form: Form,
    languages: tuple[str, ...],
    zone: tzinfo | None,
) -> str:
    import orjson

    from edgeagent import document, faultrecord, recordfeed, reports

    record = faultrecord.of(journal.run(run, now), run, now)
    if record is None:
        known = [str(line.body.get("run_id")) for line in journal.runs(now)]
        fail(f'no run "{run}" in the journal{nearest_of(run, known)}', 1)
    if form is Form.JSON:
        return orjson.dumps(recordfeed.record(record), option=orjson.OPT_INDENT_2).decode() + "\n"
    documents = [reports.fault(record, language, zone, names_of(site)) for language in languages]
    return document.html(documents) if form is Form.HTML else document.markdown(documents)


def _listed(lines: Iterable[Entry], language: str, zone: tzinfo | None) -> Iterable[str]:
    """Give one line a run: its id, state, onset and what failed."""
    from edgeagent import faultrecord
    from edgeagent.wording import STATES, clean, moment, said

    changes = [happening.change for line in lines if (happening := faultrecord.read(line)) is not None]
    if not changes:
        err().print("no runs in the journal")
    width = max((len(change.run.run_id) for change in changes), default=0)
    for run in (change.run for change in changes):
        state = said(STATES[run.state], language)
        yield f"{run.run_id:{width}}  {moment(run.onset, zone)}  {state}  {clean(said(run.summary, language))}"


def names_of(site: Site) -> Names:
    """Call things as the site's files do."""
    from edgeagent.catalog import Text
    from edgeagent.wording import Names

    called = {**{id: device.name for id, device in site.devices.items()}, **site.areas}

    def resource(id: str) -> Text:
        return called.get(id) or site.tree.name(id)

    def place(id: str) -> Text:
        node, device = site.tree.nodes.get(id), site.devices.get(id)
        area = site.tree.area(id) or (None if device is None else device.area)
        return resource((None if node is None else node.seat) or area or id)

    def known(id: str, point: str) -> Point | None:
        device, node = site.devices.get(id), site.tree.nodes.get(id)
        kind = site.catalog.kinds.get(node.kind) if node is not None else None
        kind = kind if device is None else device.driver.kind
        return None if kind is None else kind.point(point)

    def called_point(id: str, point: str) -> Text:
        found = known(id, point)
        return Text(point, point) if found is None else found.text

    def unit(id: str, point: str) -> str:
        found = known(id, point)
        return "" if found is None else found.unit or ""

    return Names(resource, place, called_point, unit, site.name)


def write(text: str, to: Path | None) -> None:
    """Print, or put a whole file in the place of what was there: nobody ever reads half a record."""
    if to is None:
        try:
            sys.stdout.buffer.write(text.encode())
            sys.stdout.flush()
        except BrokenPipeError:
            raise  # whoever read it has seen enough
        except OSError as error:
            fail(f"stdout: {error.strerror}", 1)
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            Path(name).replace(to)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        fail(f"{to}: {error.strerror}", 1)
    err().print(f"{to} written", markup=False, highlight=False)
