"""Commands about drills: which there are, starting, following, renewing and stopping one, and what came of it."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import orjson
import typer

from edgeagent.cli.common import USAGE, ConfigDir, Json, fail, out, print_json, print_line, site_of
from edgeagent.cli.feed import By, talk
from edgeagent.cli.reports import Language, journal_of, languages_of, names_of, nearest_of, write, zone_of

if TYPE_CHECKING:  # loaded only when they are needed
    from edgeagent.config import Site
    from edgeagent.drillscreen import Following

CUT_SHORT: Final = 3
INTERRUPTED: Final = 130

app = typer.Typer()
drill = typer.Typer(no_args_is_help=True, help="Rehearse a fault on the running agent, in a lane of its own.")
app.add_typer(drill, name="drill")

Spoken = Annotated[
    Literal["en", "zh"] | None, typer.Option("--language", help="Of the texts; the site's own without it.")
]
Which = Annotated[str, typer.Option("--drill", help="The drill that is meant; the one that is on without it.")]
Zone = Annotated[
    str | None, typer.Option("--tz", help="Zone of all times, the host's without it.", metavar="Asia/Shanghai")
]
To = Annotated[Path | None, typer.Option("--out", help="File to write, stdout without it.")]
Follow = Annotated[bool | None, typer.Option("--follow/--no-follow", help="Show it until its end.")]


@drill.command("list")
def list_(config: ConfigDir, json: Json = False, language: Spoken = None) -> None:
    """List the site's scenarios, and what keeps one from running here."""
    from edgeagent import drillscreen

    site = site_of(config)
    found = drillscreen.scenarios(site)
    if json:
        print_json(found)
    else:
        for line in drillscreen.catalogue(found, language or site.language):
            print_line(line)


@drill.command()
def check(name: str, config: ConfigDir, json: Json = False, language: Spoken = None, by: By = "") -> None:
    """Ask the agent what speaks against a drill now, and which devices each of its lines means."""
    from edgeagent import drillscreen

    site = site_of(config)
    answer = _ask(site, "drill-check", {"scenario": name, "by": by})
    if json:
        print_json({"ready": answer["ready"], "troubles": answer["troubles"], "plan": answer["plan"]})
    else:
        for line in drillscreen.plan(answer, language or site.language):
            print_line(line)
    raise typer.Exit(0 if answer["ready"] else 1)


@drill.command()
def start(
    name: str,
    config: ConfigDir,
    owner: Annotated[str, typer.Option("--owner", help="Who leads it.")],
    confirmed_by: Annotated[str, typer.Option("--confirmed-by", help="Who else has agreed to it.")] = "",
    for_: Annotated[
        str | None, typer.Option("--for", help="It ends after this at the latest; as its scenario says without.")
    ] = None,
    speed: Annotated[float, typer.Option("--speed", help="Times faster than real, in demonstrations.")] = 1.0,
    follow: Follow = None,
    language: Spoken = None,
    by: By = "",
) -> None:
    """Start a drill; on a terminal show it until its end. Enter renews it, Ctrl-C leaves it running."""
    from edgeagent import drillscreen

    asked: dict[str, object] = {"scenario": name, "owner": owner, "confirmed_by": confirmed_by, "by": by}
    if for_ is not None:
        asked["seconds"] = _seconds(for_)
    if speed != 1.0:
        asked["speed"] = speed
    site = site_of(config)
    if follow if follow is not None else sys.stdout.isatty():
        _follow(site, language or site.language, asked)
    else:
        answer = talk(drillscreen.granted(site, "drill-start", asked))
        print_line(answer["drill_id"])


@drill.command()
def status(
    config: ConfigDir, follow: Follow = False, json: Json = False, language: Spoken = None, by: By = ""
) -> None:  # fmt: skip
    """Say which drill is on, how far it is and how its expectations stand."""
    from edgeagent import drillscreen

    site = site_of(config)
    answer = _ask(site, "drill-status", {"by": by})
    if json:
        print_json({key: value for key, value in answer.items() if key not in ("ok", "verb", "transaction")})
        return
    for line in drillscreen.state(answer, language or site.language, time.time()):
        print_line(line)
    if follow and answer["state"] == "running":
        _follow(site, language or site.language)


@drill.command()
def note(
    text: str,
    config: ConfigDir,
    drill_id: Which = "",
    owner: Annotated[str, typer.Option("--owner", help="Who makes it better next time.")] = "",
    due: Annotated[str, typer.Option("--due", help="Until when.", metavar="YYYY-MM-DD")] = "",
    by: By = "",
) -> None:
    """Write down what was seen, or with --owner and --due what is to be made better; it stands in the report."""
    if bool(owner) is not bool(due):
        fail("an improvement has an --owner and a --due", USAGE)
    if due:
        _date(due)
    answer = _ask(
        site_of(config), "drill-note", {"drill_id": drill_id, "text": text, "owner": owner, "due": due, "by": by}
    )
    print_line(f"{answer['drill_id']}: note ok")


@drill.command()
def renew(config: ConfigDir, drill_id: Which = "", by: By = "") -> None:
    """Say that the drill is still led; it ends where nobody does for 5 minutes."""
    from edgeagent import drillscreen

    answer = talk(drillscreen.granted(site_of(config), "drill-renew", {"drill_id": drill_id, "by": by}))
    print_line(f"{answer['drill_id']}: renew ok")


@drill.command()
def stop(
    config: ConfigDir,
    drill_id: Which = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; stands in the report.")] = "",
    by: By = "",
) -> None:
    """Stop the drill at once. Anyone may."""
    answer = _ask(site_of(config), "drill-stop", {"drill_id": drill_id, "reason": reason, "by": by})
    print_line(f"{answer['drill_id']}: stopped")


@drill.command()
def report(
    config: ConfigDir,
    drill_id: Annotated[
        str | None, typer.Argument(help="The drill to report, the last one without it.", metavar="[DRILL]")
    ] = None,
    form: Annotated[Literal["md", "html", "json"], typer.Option("--format", help="How it is written.")] = "md",
    language: Annotated[Language | None, typer.Option("--language", help="The site's own without it.")] = None,
    zone: Zone = None,
    to: To = None,
) -> None:
    """Write the report of a drill, from the journal of an agent that may be running."""
    from edgeagent import document, drilldesk, drilljson, drillreport

    given, site, now = zone_of(zone), site_of(config), time.time()
    with journal_of(site) as journal:
        found = drilldesk.judged(journal, drill_id, now)
        if found is None:
            fail(_unknown(drill_id, [each.drill_id for each in drilldesk.drills(journal, now)]), 1)
    if form == "json":
        text = orjson.dumps(drilljson.report(found), option=orjson.OPT_INDENT_2).decode() + "\n"
    else:
        languages = languages_of(language, site.language)
        documents = [drillreport.drill(found, each, given, names_of(site)) for each in languages]
        text = document.html(documents) if form == "html" else document.markdown(documents)
    write(text, to)


@drill.command()
def debt(
    config: ConfigDir,
    json: Json = False,
    to_fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if something is overdue.")] = False,
    language: Spoken = None,
    zone: Zone = None,
) -> None:
    """Say which procedure has not been rehearsed for 90 days, on which shift."""
    from edgeagent import drilldesk, drillscreen
    from edgeagent.messages import stamp

    given, site, now = zone_of(zone), site_of(config), time.time()
    with journal_of(site) as journal:
        owed = drilldesk.debt(journal, site, now, given)
    if json:
        print_json([{**asdict(each), "last": None if each.last is None else stamp(each.last)} for each in owed])
    else:
        for line in drillscreen.debt(owed, site, language or site.language, given, now):
            print_line(line)
    if to_fail and any(each.overdue for each in owed):
        raise typer.Exit(1)


@drill.command("from")
def from_(
    run: Annotated[str, typer.Argument(help="The run of the incident, as `edgeagent report` lists it.")],
    config: ConfigDir,
    zone: Zone = None,
    to: To = None,
) -> None:
    """Make a scenario of a recorded incident, to be looked through and put into the site's drills folder."""
    from edgeagent import incident

    given, site, now = zone_of(zone), site_of(config), time.time()
    with journal_of(site) as journal:
        times = [line.time for line in journal.run(run, now)]
        if not times:
            known = [str(line.body.get("run_id")) for line in journal.runs(now)]
            fail(f'no run "{run}" in the journal{nearest_of(run, known)}', 1)
        lines = journal.shift(min(times), max(times) + 1.0)  # with what its cause explained, which is none of its own
    try:
        text = incident.scenario_of(lines, run, site, given)
    except incident.IncidentError as error:
        fail(str(error), 1)
    write(text, to)


def _ask(site: Site, verb: str, fields: dict[str, object]) -> dict[str, Any]:
    """Ask what may be asked on either lane."""
    from edgeagent import drillscreen

    return talk(drillscreen.anywhere(site, verb, fields))


def _unknown(drill_id: str | None, known: list[str]) -> str:
    if not known:
        return "no drill in the journal"
    return f'no drill "{drill_id}" in the journal{nearest_of(drill_id or "", known)}'


def _follow(site: Site, language: Literal["en", "zh"], begin: dict[str, object] | None = None) -> None:
    from edgeagent import drillscreen

    try:
        following: Following = talk(drillscreen.follow(site, language, out(), begin))
    except typer.Exit as left:
        if left.exit_code == INTERRUPTED:
            print_line(drillscreen.leaving(language))
        raise
    print_line(following.last_words())
    raise typer.Exit(0 if following.went else CUT_SHORT)


def _seconds(text: str) -> float:
    """Read a duration as the site's files write it; 20m is 20min too."""
    from pydantic import TypeAdapter, ValidationError

    from edgeagent.procedurefiles import Positive

    try:
        return TypeAdapter(Positive).validate_python(re.sub(r"m$", "min", text))
    except ValidationError:
        fail(f'"{text}" is no duration; write for example 20min, 90s or 1h30min', USAGE)


def _date(text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        fail(f'"{text}" is no date; write it as 2026-11-25', USAGE)
