"""What a terminal shows of drills, and how one is led from there. All through the feed.

`Following` turns the messages of a drill into lines and is told no time but what it is asked for; `follow` reads the
feed, shows the lines as they come, and lets whoever leads the drill renew it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final, Literal, TypeAlias

import orjson
from rich.console import Console
from rich.live import Live
from rich.text import Text as Line

from edgeagent import desk, targets
from edgeagent.catalog import Text
from edgeagent.config import Site
from edgeagent.consumer import Consumer, consume
from edgeagent.desk import DeskError
from edgeagent.drill import DrillVerb, Verdict
from edgeagent.drilldebt import Owed
from edgeagent.drillfeed import VERDICTS, WENT
from edgeagent.drilltexts import clocked
from edgeagent.messages import Mode, Tree
from edgeagent.mqtt import MqttError
from edgeagent.payloads import both
from edgeagent.wording import clean, duration, local, said

Language: TypeAlias = Literal["en", "zh"]
_UNABLE: Final = Text('not here: "{line}": {why}', "本站点不能进行：“{line}”：{why}")
_ALL_SHIFTS: Final = Text("all shifts", "全部班次")
_NEVER: Final = Text("never rehearsed", "从未演练")
_AGO: Final = Text("last on {day}, {ago} ago ({id})", "上次演练 {day}，{ago}前（{id}）")
_LEFT: Final = Text("ends in {left} at the latest", "最迟 {left}后结束")
_RENEW: Final = Text("to be renewed within {left}", "须在 {left}内确认继续")
_ENTER: Final = Text("Enter renews it", "按回车确认继续")
_SHOWN: Final = Text("injects {done} of {all}", "已模拟 {done}/{all}")
_NEXT: Final = Text("next {line}", "下一项 {line}")
_EXPECTED: Final = Text("expected", "预期")
_RENEWED: Final = Text("not renewed: {why}", "确认继续未成功：{why}")
_AWAY: Final = Text("the agent is not there ({reason})", "监控代理不在线（{reason}）")
_BACK: Final = Text("the agent is there again", "监控代理已恢复在线")
_LEAVING: Final = Text(
    "The exercise goes on. Follow it with `edgeagent drill status --follow`, stop it with `edgeagent drill stop`.",
    "演练仍在进行。继续查看：edgeagent drill status --follow；叫停：edgeagent drill stop。",
)
_LOST: Final = Text("EXERCISE – over; the agent does not say how", "演练 – 已结束；监控代理未说明结果")
_BETWEEN: Final = Text("; ", "；")
_MORE: Final = Text(" and {more} more", " 等，另有 {more} 台")
_PASSED: Final = Text("passed over, not at this site", "本站点不适用，跳过")
_NAMED: Final = 8
COLUMN: Final = 9
"""Characters of the moment that each line of a drill begins with."""
STYLES: Final[Mapping[str, str]] = {
    Verdict.MET: "green", Verdict.HELD: "green", Verdict.LATE: "yellow", Verdict.MISSED: "bold red",
    Verdict.BROKEN: "bold red", DrillVerb.RENEW_DUE: "bold yellow", DrillVerb.ENDED: "bold", "cleared": "green",
    "raised": "red",
}  # fmt: skip


def scenarios(site: Site) -> list[dict[str, Any]]:
    """List the scenarios of a site, with what of each means nothing there and so keeps it from running."""
    return [
        {
            "scenario": each.id,
            "version": each.version,
            "titles": both(each.text),
            "purposes": both(each.purpose),
            "procedure": each.procedure,
            "duration": each.duration,
            "lacks": [{"line": lack.line, "texts": both(lack.why)} for lack in targets.prevents(each, site)],
        }
        for each in site.drills.scenarios.values()
    ]


def catalogue(found: Sequence[Mapping[str, Any]], language: Language) -> Iterator[str]:
    """Spell a list of scenarios, one line each; below one that cannot run here, the first thing that it lacks."""
    width = max((len(each["scenario"]) for each in found), default=0)
    for each in found:
        long = duration(each["duration"], language)
        yield f"{each['scenario']:{width}}  {each['procedure']}  {long}  {each['titles'][language]}"
        if each["lacks"]:
            lack = each["lacks"][0]
            yield f"{'':{width}}  ✗ {said(_UNABLE, language).format(line=lack['line'], why=lack['texts'][language])}"


def debt(
    owed: Sequence[Owed], site: Site, language: Language, zone: tzinfo | None, now: float
) -> Iterator[str]:  # fmt: skip
    """Spell when each procedure was rehearsed last on each shift, what is overdue marked."""
    for each in owed:
        shift = site.drills.shifts.get(each.shift)
        whose = said(_ALL_SHIFTS if shift is None else shift.text, language)
        last = said(_NEVER, language)
        if each.last is not None:
            last = said(_AGO, language).format(
                day=f"{local(each.last, zone):%Y-%m-%d}", ago=duration(now - each.last, language), id=each.drill_id
            )
        title = said(site.procedures[each.procedure].text, language)
        yield f"{'✗' if each.overdue else '✓'} {each.procedure}  {title}  {whose}  {last}"


def plan(answer: Mapping[str, Any], language: Language) -> Iterator[str]:
    """Spell the answer of `drill-check`: what speaks against it, then each line of the timeline with its devices."""
    for trouble in answer["troubles"]:
        yield f"✗ {clean(trouble['texts'][language])} ({trouble['code']})"
    for row in answer["plan"]:
        named = ", ".join(row["devices"][:_NAMED]) or said(_PASSED, language)
        more = len(row["devices"]) - _NAMED
        yield f"{clean(row['line'])}  →  {named}{said(_MORE, language).format(more=more) if more > 0 else ''}"


def state(progress: Mapping[str, Any], language: Language, now: float) -> Iterator[str]:
    """Spell the answer of `drill-status`: the drill, how far it is, and how each expectation stands."""
    if progress["state"] != "running":
        yield clean(progress["texts"][language])
        return
    yield desk.banner(progress, language)
    yield remaining(progress, language, now)
    if progress["next"] is not None:
        yield said(_NEXT, language).format(line=clean(progress["next"]["line"]))
    for each in progress["expectations"]:
        came = "" if each["came"] is None else f"  {clocked(each['came'])}"
        verdict = said(VERDICTS[Verdict(each["verdict"])], language)
        yield f"  {verdict}  {clean(each['line'])}{came}  {each['of']}".rstrip()


def remaining(progress: Mapping[str, Any], language: Language, now: float) -> str:
    """Say in one line how much time is left and how far it is."""
    ends, renew_by = _epoch(progress["ends"]), _epoch(progress["renew_by"])
    words = [said(_LEFT, language).format(left=duration(ends - now, language))]
    if renew_by < ends:
        words.append(said(_RENEW, language).format(left=duration(renew_by - now, language)))
    if "injects" in progress:
        words.append(said(_SHOWN, language).format(done=progress["injects_done"], all=progress["injects"]))
        found = [f"{said(VERDICTS[Verdict(id)], language)} {count}" for id, count in progress["counts"].items()]
        words += [f"{said(_EXPECTED, language)} {' '.join(found)}"] if found else []
    return said(_BETWEEN, language).join(words)


def leaving(language: Language) -> str:
    """Say to whoever looks away from a drill how to come back to it, and how to stop it."""
    return said(_LEAVING, language)


class Following:
    """One drill as its messages tell it. `drill_id` is known from the start, or from the first notice of one."""

    def __init__(self, tree: Tree, language: Language, drill_id: str = "") -> None:
        self.drill_id = drill_id
        self.progress: Mapping[str, Any] = {}
        """The newest of what the feed says of the drill while it runs."""
        self.ended: Mapping[str, Any] | None = None
        """How it came out; empty where nobody can tell. None while it runs."""
        self.language: Language = language
        self._notice, self._own, self._status = tree.exercise(), tree.exercise(Mode.DRILL), tree.own("status")
        self._away = False

    @property
    def went(self) -> bool:
        """Tell whether it went all its way."""
        return self.ended is not None and self.ended.get("end") in set(WENT)

    def take(self, topic: str, payload: Mapping[str, Any] | None) -> list[tuple[str, str]]:
        """Take a message and return the lines it makes, each with the word by which it is coloured."""
        if self.ended is not None or payload is None:
            return []
        if topic == self._status:
            return self._agent(payload)
        if topic in (self._notice, self._own):
            return self._noticed(topic, payload)
        if payload.get("exerciseid") != self.drill_id:
            return []
        data = payload["data"]
        if data.get("verb") == DrillVerb.ENDED and data.get("ended") is not None:
            self.ended = data["ended"]
        spoken = data.get("texts", {}).get(self.language, "")
        text = spoken if isinstance(spoken, str) else spoken["short_text"]
        return [(f"{self._moment(payload):>{COLUMN - 2}}  {clean(text)}", str(data.get("verb", "")))]

    def _agent(self, status: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Say that the agent has gone or come back; what that means for the drill it says itself when it is back."""
        was, self._away = self._away, status["state"] != "online"
        if was is self._away:
            return []
        text = _AWAY.format(reason=status["reason"]) if self._away else _BACK
        return [(f"{'':{COLUMN}}{said(text, self.language)}", DrillVerb.RENEW_DUE if self._away else "")]

    def _noticed(self, topic: str, notice: Mapping[str, Any]) -> list[tuple[str, str]]:
        if notice["state"] == "running":
            self.drill_id = self.drill_id or notice["drill_id"]
            if notice["drill_id"] == self.drill_id:
                self.progress = {**self.progress, **notice}
                return []
        last = notice["last"]
        if last is not None and last["drill_id"] == self.drill_id:
            self.ended = last
        elif self.progress and topic == self._notice:  # it was there, and another word of it will not come
            self.ended = {}
        return []

    def _moment(self, event: Mapping[str, Any]) -> str:
        """Write when in the drill it was. All that the drill lane tells bears the time of the drill's own clock."""
        moment = event["data"].get("moment")
        if moment is None and self.progress:
            moment = _epoch(event["time"]) - _epoch(self.progress["started"])
        return "" if moment is None else clocked(moment)

    def last_words(self) -> str:
        """Say in one line how it came out."""
        return clean(self.ended["texts"][self.language]) if self.ended else said(_LOST, self.language)


async def follow(
    site: Site, language: Language, console: Console, begin: Mapping[str, object] | None = None
) -> Following:  # fmt: skip
    """Show the drill that is on, or the one that starts with `begin`, until its end; on a terminal Enter renews it.

    Without `begin` and without a drill it returns at once, nothing followed.

    Raises:
        DeskError: also when the drill is refused.
    """
    tree = desk.tree_of(site)
    events = f"{site.root}/v1/{site.id}/{Mode.DRILL}/event/#"
    topics = [tree.exercise(), tree.exercise(Mode.DRILL), events, tree.own("status")]
    following = Following(tree, language)
    try:
        # It listens before it asks, so that the first words of the drill are heard.
        async with consume(desk.broker_of(site), topics) as messages:
            if begin is not None:
                following.drill_id = (await granted(site, "drill-start", begin))["drill_id"]
            with _leading(site, following, console) as say:
                await _read(messages, following, tree, say, waits=begin is not None)
    except MqttError as error:
        raise DeskError(str(error)) from error
    return following


async def granted(site: Site, verb: str, fields: Mapping[str, object], mode: Mode = Mode.DRILL) -> dict[str, Any]:
    """Ask the agent for something and return its answer.

    Raises:
        DeskError: also when it refuses.
    """
    answer = await desk.command(site, verb, fields, mode)
    if not answer.get("ok"):
        raise DeskError(f"{verb} refused: {desk.reason(answer)}")
    return answer


async def anywhere(site: Site, verb: str, fields: Mapping[str, object]) -> dict[str, Any]:
    """Ask what may be asked on both lanes on the one where the broker lets us.

    Raises:
        DeskError: also when the agent refuses.
    """
    try:
        return await granted(site, verb, fields)
    except desk.NoRight:
        return await granted(site, verb, fields, Mode.LIVE)


async def _read(
    messages: Consumer, following: Following, tree: Tree, say: Callable[[str, str], None], waits: bool
) -> None:  # fmt: skip
    async for message in messages:
        payload = orjson.loads(message.payload) if message.payload else None
        for line, colour in following.take(message.topic, payload):
            say(line, colour)
        # What the notice says first was true before a drill that has just been asked for.
        if following.ended is not None or (message.topic == tree.exercise() and not waits and not following.drill_id):
            return


@contextlib.contextmanager
def _leading(site: Site, following: Following, console: Console) -> Iterator[Callable[[str, str], None]]:
    """Give what says a line. On a terminal the time left stands below the lines, and Enter renews the drill."""

    def say(line: str, colour: str = "") -> None:
        console.print(Line(line, style=STYLES.get(colour, "")), soft_wrap=True)

    with contextlib.ExitStack() as stack:
        if console.is_terminal:
            live = stack.enter_context(Live(console=console, auto_refresh=False, transient=True))
            stack.callback(asyncio.create_task(_tick(live, following, keys=sys.stdin.isatty())).cancel)
        if sys.stdin.isatty():
            stack.enter_context(_renewing(site, following, say))
        yield say


async def _tick(live: Live, following: Following, *, keys: bool) -> None:
    """Keep the line with the time left true; with `keys` somebody can press Enter."""
    while True:
        if following.progress:
            line = remaining(following.progress, following.language, time.time())
            if keys:
                line = said(_BETWEEN, following.language).join((line, said(_ENTER, following.language)))
            live.update(Line(line, style="reverse"), refresh=True)
        await asyncio.sleep(1.0)


@contextlib.contextmanager
def _renewing(site: Site, following: Following, say: Callable[[str, str], None]) -> Iterator[None]:
    """Renew the drill whenever somebody presses Enter."""
    loop, renewals = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    async def renew() -> None:
        try:
            await granted(site, "drill-renew", {"drill_id": following.drill_id})
        except DeskError as error:
            say(said(_RENEWED, following.language).format(why=error), DrillVerb.RENEW_DUE)

    def pressed() -> None:
        if not sys.stdin.readline():  # nobody can press anything any more
            loop.remove_reader(sys.stdin)
            return
        task = loop.create_task(renew())
        renewals.add(task)
        task.add_done_callback(renewals.discard)

    before = termios.tcgetattr(sys.stdin)
    silent = before.copy()
    silent[3] &= ~termios.ECHO  # a new line would push the one with the time left up among the others
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    loop.add_reader(sys.stdin, pressed)
    try:
        yield
    finally:
        loop.remove_reader(sys.stdin)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        for task in renewals:
            task.cancel()


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
