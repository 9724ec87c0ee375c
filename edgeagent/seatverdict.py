"""What the witnesses of one seat come to: does its workstation work, its phone, its agent. Pure: tables, no state.

A workstation is gone when two witnesses say so, or a strong one: the port of a seat with a phone on it that has lost
its link and feeds nothing. Whoever answers freshly, the agent itself or an echo, outweighs them. Silence alone is not
known to be anything, but that of many at one switch, while others are heard, speaks for each of them. What answers
while its agent does not is an agent that is down, and no fault of the seat.

    agent                         others                                   workstation    agent
    running, cloned               whatever they say, they are dissent      working        working, cloned
    running                       port without link and power              ? disputed     working
    left                          –                                        left           left
    anything else, unstaffed      –                                        empty          empty
    died, frozen, silent          an echo, or link or MAC and none gone    working        down
    died, frozen, silent          one or more gone, no echo                failed         ?
    died, frozen, silent          none                                     ? silent       ?
    none heard                    port without link and power, or two gone failed         ?
    none heard                    an echo, link or MAC                     working        ?
    none heard                    one gone, none                           ? unconfirmed  ?

A question mark is a bad reading: it neither raises nor clears. A link says nothing of a workstation behind a phone:
there its MAC does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgeagent.catalog import Text


class Word(StrEnum):
    """What is heard of a seat's agent."""

    RUNNING = "running"
    LEFT = "left"
    DIED = "died"
    FROZEN = "frozen"
    SILENT = "silent"
    CLONED = "cloned"
    UNKNOWN = "unknown"


HEARD: Final = frozenset({Word.RUNNING, Word.CLONED})
LOST: Final = frozenset({Word.DIED, Word.FROZEN, Word.SILENT})
UNPOWERED: Final = frozenset({"searching", "off", "fault"})
"""What a port says that gives no power. Of a seat without a phone it says nothing."""


class Part(StrEnum):
    """What a part of a seat is by now."""

    WORKING = "working"
    FAILED = "failed"
    DOWN = "down"
    CLONED = "cloned"
    LEFT = "left"
    EMPTY = "empty"
    MAINTENANCE = "maintenance"


AWAY: Final = frozenset({Part.LEFT, Part.EMPTY, Part.MAINTENANCE})
"""What cannot fail now: nobody is there to have the fault."""


class Doubt(StrEnum):
    """Why nobody can say."""

    SILENT = "silent"
    """Only its agent is not heard."""
    UNCONFIRMED = "unconfirmed"
    """One witness that is not enough, or none."""
    DISPUTED = "disputed"
    """The agent reports by a port that is dead."""
    BLIND = "blind"
    """The seats are not heard at all: it is not judged before it was heard itself."""
    NOT_FITTED = "not-fitted"
    """The site names none."""


State = Part | Doubt
WITNESSES: Final = {
    "agent-died": Text("agent gone", "代理断线"),
    "agent-frozen": Text("agent frozen", "代理无响应"),
    "agent-silent": Text("agent silent", "代理无上报"),
    "no-echo": Text("no ping", "ping 不通"),
    "port-down": Text("port down", "交换机端口断开"),
    "no-poe": Text("no PoE", "PoE 无供电"),
    "neighbours": Text("its neighbours silent too", "同交换机座席均无上报"),
    "no-mac": Text("not seen behind its port", "端口下无此电脑"),
    "agent": Text("agent", "代理"),
    "echo": Text("ping", "ping 通"),
    "link": Text("port up", "端口连通"),
    "mac": Text("seen behind its port", "端口下可见此电脑"),
}
"""What witnesses say, as people read it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the witnesses of a seat say; None is a witness that is not there, cannot be read or cannot be believed.

    `neighbours` says that many at its switch fell silent with it. `fitted` says whether the site names a workstation,
    or another witness of one; `phone` whether it names a phone.
    """

    agent: Word | None = None
    echo: bool | None = None
    link: bool | None = None
    poe: str | None = None
    mac: bool | None = None
    registered: bool | None = None
    reachable: bool | None = None
    powered: bool | None = None
    neighbours: bool = False
    fitted: bool = True
    phone: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What they come to. `gone` and `alive` are words of `WITNESSES`."""

    workstation: State
    phone: State
    agent: State
    gone: frozenset[str] = frozenset()
    alive: frozenset[str] = frozenset()

    @property
    def ready(self) -> bool:
        """Tell whether an agent could work there, as far as the witnesses know."""
        well = (Part.WORKING, Doubt.NOT_FITTED)
        return self.workstation in well and self.phone in well and Part.WORKING in (self.workstation, self.phone)


def judge(seen: Seen, *, staffed: bool = True, maintenance: bool = False, blind: bool = False) -> Verdict:
    """Weigh the witnesses of a seat."""
    gone, alive = _gone(seen), _alive(seen)
    if maintenance or blind:
        all_of: State = Part.MAINTENANCE if maintenance else Doubt.BLIND
        phone = all_of if seen.phone else Doubt.NOT_FITTED
        return Verdict(all_of if seen.fitted else Doubt.NOT_FITTED, phone, _of_agent(seen, all_of), gone, alive)
    workstation = _workstation(seen, gone, alive, staffed=staffed) if seen.fitted else Doubt.NOT_FITTED
    return Verdict(workstation, _phone(seen, staffed=staffed), _agent(seen, workstation), gone, alive)


def answers(seen: Seen) -> bool:
    """Tell whether anything of a workstation answers."""
    return bool(_alive(seen))


def _gone(seen: Seen) -> frozenset[str]:
    said = {
        f"agent-{seen.agent}": seen.agent in LOST, "no-echo": seen.echo is False, "port-down": seen.link is False,
        "no-mac": seen.mac is False and seen.link is not False, "no-poe": seen.phone and seen.poe in UNPOWERED,
        "neighbours": seen.neighbours and seen.agent in LOST,
    }  # fmt: skip
    return frozenset(word for word, so in said.items() if so)


def _alive(seen: Seen) -> frozenset[str]:
    said = {
        "agent": seen.agent in HEARD, "echo": seen.echo is True, "mac": seen.mac is True and seen.link is not False,
        "link": seen.link is True and seen.mac is None and not seen.phone,
    }  # fmt: skip
    return frozenset(word for word, so in said.items() if so)


def _dead_port(seen: Seen) -> bool:
    return seen.link is False and seen.phone and seen.poe in UNPOWERED


def _workstation(seen: Seen, gone: frozenset[str], alive: frozenset[str], *, staffed: bool) -> State:
    if seen.agent in HEARD:
        return Doubt.DISPUTED if _dead_port(seen) and seen.echo is not True else Part.WORKING
    if seen.agent is Word.LEFT:
        return Part.LEFT
    if not staffed:
        return Part.EMPTY
    against = gone - {"no-poe"}
    if "echo" not in alive and (len(against) > 1 or _dead_port(seen)):
        return Part.FAILED
    if alive and ("echo" in alive or not against - {f"agent-{seen.agent}"}):
        return Part.WORKING
    return Doubt.SILENT if seen.agent in LOST else Doubt.UNCONFIRMED


def _agent(seen: Seen, workstation: State) -> State:
    if seen.agent is Word.CLONED:
        return Part.CLONED
    if seen.agent is Word.RUNNING:
        return Part.WORKING
    if seen.agent in LOST and workstation is Part.WORKING:
        return Part.DOWN
    if workstation in (Part.LEFT, Part.EMPTY):
        return _of_agent(seen, workstation)
    return _of_agent(seen, Doubt.SILENT if seen.agent in LOST else Doubt.UNCONFIRMED)


def _of_agent(seen: Seen, state: State) -> State:
    return Doubt.NOT_FITTED if seen.agent is None else state


def _phone(seen: Seen, *, staffed: bool) -> State:
    """Judge the phone: one that is not registered has failed, one that only does not answer may have.

    A telephone system knows a phone by its registration until that runs out, so a dead port outweighs it.
    """
    if not seen.phone:
        return Doubt.NOT_FITTED
    dead = (
        seen.registered is False
        or seen.powered is False
        or (seen.reachable is False and seen.poe is not None)
        or (_dead_port(seen) and seen.reachable is not True)
    )
    if dead:
        return Part.FAILED if staffed else Part.EMPTY
    if seen.reachable is False or (seen.poe in UNPOWERED and seen.reachable is not True):
        return Doubt.UNCONFIRMED if staffed else Part.EMPTY
    if seen.registered or seen.reachable:
        return Part.WORKING
    return Doubt.UNCONFIRMED
