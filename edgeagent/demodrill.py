"""The drill of the demo: it is started on the demo's agent, its people act, and it is followed to its end.

All of it goes through the feed, as from a drill desk. `People` knows no clock and no feed: what they do follows from
the runs of the drill and from what its scenario expects of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from edgeagent import targets
from edgeagent.config import Site
from edgeagent.demostory import LEADER, OM, SUPERVISOR, DemoError
from edgeagent.desk import DeskError, command, reason, tree_of
from edgeagent.drillscreen import COLUMN, STYLES, Following, granted
from edgeagent.messages import Mode
from edgeagent.mistakes import nearest
from edgeagent.scenario import Scenario, What

_PATIENCE: Final = 30.0
"""s within which the site must be steady enough for a drill."""
_LOOK: Final = 0.1
"""s between two looks at what people have to do."""
_SOON: Final = 60.0
"""s before it would end for want of a renewal in which it is renewed."""
_PART: Final = 1 / 3
"""When people do a thing, between when it is asked for and when it is expected."""
_LATE: Final = 4 / 5
"""The same of what a reading may say too: it comes first if it can."""
_ROLES: Final = {"om": OM, "supervisor": SUPERVISOR}

Deed = tuple[str, Mapping[str, object]]
"""A command and its fields."""


def chosen(site: Site, name: str) -> Scenario:
    """Find the scenario that is to be shown.

    Raises:
        DemoError: for an unknown one, and for one that the site cannot show.
    """
    scenarios = site.drills.scenarios
    if name not in scenarios:
        raise DemoError(f'unknown drill "{name}"{nearest(name, list(scenarios))}; there are: {", ".join(scenarios)}')
    if lacks := targets.prevents(scenarios[name], site):
        able = ", ".join(id for id, each in scenarios.items() if not targets.prevents(each, site))
        raise DemoError(f'the demo\'s site cannot show {name}: {lacks[0].why.en} ("{lacks[0].line}"); it can: {able}')
    return scenarios[name]


class People:
    """Who acts in the drill. Moments are s of the scenario."""

    def __init__(self, scenario: Scenario) -> None:
        wanted = (each for each in scenario.expects if not each.never)
        self._by = {(each.what, each.name, each.step): each.by for each in wanted}
        self._asked: dict[tuple[str, str], float] = {}
        self._done: set[tuple[str, str]] = set()

    def due(self, runs: Iterable[Mapping[str, Any]], moment: float) -> Iterator[Deed]:
        """Give what is done now, once each: runs taken on, steps done that wait for a person."""
        for run in runs:
            id, procedure = run["run_id"], run["procedure"]
            if not run["acked_by"] and self._acts(id, "", (What.ACK, procedure, ""), moment, _PART):
                yield "run-ack", {"run_id": id, "by": LEADER}
            for step in run["steps"]:
                if step["state"] != "ready" or step["role"] == "system" or step["ticked"] == "reading":
                    continue
                part = _LATE if step["ticked"] == "either" else _PART
                if self._acts(id, step["step"], (What.STEP, procedure, step["step"]), moment, part):
                    by = _ROLES.get(step["role"], LEADER)
                    yield "step", {"run_id": id, "step": step["step"], "action": "done", "by": by}

    def _acts(self, run: str, step: str, what: tuple[What, str, str], moment: float, part: float) -> bool:
        if (run, step) in self._done:
            return False
        asked = self._asked.setdefault((run, step), moment)
        # What is expected of nobody is done with the last of what is: a run closes when all its steps are settled.
        last = max((by for (_, name, _), by in self._by.items() if name == what[1]), default=moment)
        if moment < asked + part * (self._by.get(what, last) - asked):
            return False
        self._done.add((run, step))
        return True


class Show:
    """The drill as the demo shows it: `take` hears both lanes, `play` leads it to its end."""

    def __init__(self, site: Site, scenario: Scenario, speed: float, say: Callable[[str, str], None]) -> None:
        self._site, self._scenario, self._speed, self._say = site, scenario, speed, say
        tree = tree_of(site)
        self._zh, self._en = Following(tree, "zh"), Following(tree, "en")
        self._runs: dict[str, Mapping[str, Any]] = {}
        self._early: list[tuple[str, Mapping[str, Any] | None]] = []
        self._status, self._there, self._over = tree.own("status"), asyncio.Event(), asyncio.Event()
        self._procedures = tree.procedure("x", Mode.DRILL).removesuffix("x")

    @property
    def drill_id(self) -> str:
        """Its id, empty as long as it has not begun."""
        return self._zh.drill_id

    @property
    def went(self) -> bool:
        """Tell whether it went all its way."""
        return self._zh.went

    def take(self, topic: str, payload: Mapping[str, Any] | None) -> None:
        """Take one message of either lane; None is a topic that was deleted."""
        if topic == self._status and payload is not None and payload["state"] == "online":
            self._there.set()
        if not self.drill_id:  # what is heard before the answer of its start may be its first words
            self._early.append((topic, payload))
            return
        if topic.startswith(self._procedures):
            run = topic.removeprefix(self._procedures)
            self._runs = {id: held for id, held in self._runs.items() if id != run}
            if payload is not None:
                self._runs[run] = payload
        for (zh, style), (en, _) in zip(self._zh.take(topic, payload), self._en.take(topic, payload), strict=True):
            self._say(f"{zh}  {en[COLUMN:]}", STYLES.get(style, ""))
        if self._zh.ended is not None:
            self._over.set()

    async def play(self) -> None:
        """Start it, have the people act, and return when it is over.

        Raises:
            DemoError: when the agent refuses it.
        """
        await self._steady()
        asked = {
            "scenario": self._scenario.id, "owner": SUPERVISOR, "confirmed_by": LEADER, "by": SUPERVISOR,
            "speed": self._speed,
        }  # fmt: skip
        try:
            id = (await granted(self._site, "drill-start", asked))["drill_id"]
        except DeskError as error:
            raise DemoError(str(error)) from error
        self._zh.drill_id = self._en.drill_id = id
        early, self._early = self._early, []
        for topic, payload in early:
            self.take(topic, payload)
        people = People(self._scenario)
        while not self._over.is_set():
            await self._lead(people)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _LOOK)

    async def stop(self) -> None:
        """Stop it, if it is on, and wait a moment for its last words."""
        if self.drill_id and not self._over.is_set():
            try:
                await granted(self._site, "drill-stop", {"by": SUPERVISOR, "reason": "the demo ends / 演示结束"})
                await asyncio.wait_for(self._over.wait(), 5.0)
            except (DeskError, TimeoutError) as error:
                self._say(f"drill-stop: {error}", "red")

    def last_words(self) -> str:
        """Say in both languages how it came out."""
        return f"{self._zh.last_words()}\n{self._en.last_words()}"

    async def _steady(self) -> None:
        """Wait until nothing speaks against it: the agent begins, and reads its devices first."""
        asked, why = {"scenario": self._scenario.id, "by": SUPERVISOR}, "the agent does not answer"
        until = time.monotonic() + _PATIENCE
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._there.wait(), _PATIENCE)
        while time.monotonic() < until:
            try:
                answer = await command(self._site, "drill-check", asked, Mode.DRILL)
            except DeskError as error:
                why = str(error)
            else:
                if answer.get("ready"):
                    return
                why = "; ".join(each["texts"]["en"] for each in answer.get("troubles", ())) or reason(answer)
            await asyncio.sleep(0.3)
        raise DemoError(f"no drill can start: {why}")

    async def _lead(self, people: People) -> None:
        """Do what people have to do now; renew the drill where it takes long."""
        progress, now = self._zh.progress, time.time()
        if not progress:
            return
        moment = (now - _epoch(progress["started"])) * self._speed
        deeds: list[Deed] = list(people.due(self._runs.values(), moment))
        if _epoch(progress["renew_by"]) < min(now + _SOON, _epoch(progress["ends"])):
            deeds.append(("drill-renew", {"drill_id": self.drill_id, "by": SUPERVISOR}))
        for verb, fields in deeds:
            try:
                await granted(self._site, verb, fields)
            except DeskError as error:  # it has just ended, or somebody was faster
                self._say(str(error), "yellow")


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
