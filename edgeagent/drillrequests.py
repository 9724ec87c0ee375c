"""What people ask of drills: begin one, renew it, stop it, note something, see what there is and whether it may begin.

Owns the shapes of these requests and who may ask what on which lane. Anyone may stop a drill, on either lane; to begin
or renew one takes the right to write on the drill lane's request topics, which the broker gives (config/mosquitto/acl).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from msgspec import Meta

from edgeagent import drillfeed, messages, steady, targets
from edgeagent.catalog import Text
from edgeagent.commands import Rejected
from edgeagent.drill import DrillRefused
from edgeagent.drills import Start
from edgeagent.messages import Mode
from edgeagent.mistakes import nearest
from edgeagent.overlay import Overlay
from edgeagent.payloads import both
from edgeagent.requests import Asked, no_drill, read
from edgeagent.scenario import LONGEST, Planned, Scenario

if TYPE_CHECKING:
    from edgeagent.rehearsals import Rehearsals

_OF_BOTH: Final = frozenset({"drill-stop", "drill-status", "drill-list", "drill-check", "drill-note"})


_Name: TypeAlias = Annotated[str, Meta(max_length=80)]


class _Which(Asked, frozen=True, kw_only=True):
    scenario: Annotated[str, Meta(min_length=1, max_length=40)]


class _Start(_Which, frozen=True, kw_only=True):
    owner: _Name = ""
    confirmed_by: _Name = ""
    seconds: Annotated[float, Meta(gt=0, le=LONGEST)] | None = None
    speed: Annotated[float, Meta(gt=0, le=1000)] = 1.0


class _Ours(Asked, frozen=True, kw_only=True):
    drill_id: Annotated[str, Meta(max_length=40)] = ""


class _Stop(_Ours, frozen=True, kw_only=True):
    reason: Annotated[str, Meta(max_length=2000)] = ""


class _Note(_Ours, frozen=True, kw_only=True):
    text: Annotated[str, Meta(min_length=1, max_length=2000)]
    owner: _Name = ""
    due: Annotated[str, Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""


def _start(own: Rehearsals, request: Mapping[str, Any], by: str, now: float) -> Mapping[str, Any]:
    asked = read(_Start, request)
    scenario, planned, scope, devices = _resolved(own, asked.scenario)
    changes = own.drills.start(
        Start(asked.owner or by, asked.confirmed_by, asked.seconds, asked.speed), scenario, scope, devices,
        _troubles(own, planned, scope, devices), now, datetime.fromtimestamp(now).astimezone(),
    )  # fmt: skip
    drill = changes[-1].drill
    own.begin(changes, planned, now)
    return {
        "drill_id": drill.drill_id, "ends": messages.stamp(drill.ends), "renew_by": messages.stamp(drill.renew_by),
    }  # fmt: skip


def _renew(own: Rehearsals, request: Mapping[str, Any], by: str, now: float) -> Mapping[str, Any]:
    changes = own.drills.renew(by, now, read(_Ours, request).drill_id)
    own.tell(changes, now)
    drill = changes[-1].drill
    return {"drill_id": drill.drill_id, "renew_by": messages.stamp(drill.renew_by)}


def _stop(own: Rehearsals, request: Mapping[str, Any], by: str, now: float) -> Mapping[str, Any]:
    asked = read(_Stop, request)
    changes = own.drills.stop(by, asked.reason, now, asked.drill_id)
    own.tell(changes, now)
    return {"drill_id": changes[-1].drill.drill_id}


def _note(own: Rehearsals, request: Mapping[str, Any], by: str, now: float) -> Mapping[str, Any]:
    """Write down what was seen, or what somebody is to make better; after the end too."""
    asked = read(_Note, request)
    changes = own.drills.note(by, asked.text, now, asked.owner, asked.due, asked.drill_id)
    own.tell(changes, now)
    return {"drill_id": changes[-1].drill.drill_id}


def _status(own: Rehearsals, request: Mapping[str, Any], by: str, now: float) -> Mapping[str, Any]:
    return {**drillfeed.progress(own.drills.current, own.drills.last, own.site.language, now)}


def _list(own: Rehearsals, request: Mapping[str, Any], by: str, now: float) -> Mapping[str, Any]:
    listed = [
        {
            "scenario": each.id, "titles": both(each.text), "purposes": both(each.purpose),
            "procedure": each.procedure, "duration": each.duration,
            "able": not targets.prevents(each, own.site),
        }
        for each in own.site.drills.scenarios.values()
    ]  # fmt: skip
    return {"scenarios": listed}


def _check(own: Rehearsals, request: Mapping[str, Any], by: str, now: float) -> Mapping[str, Any]:
    """Say what stands against a drill now, and what it would show where."""
    scenario, planned, scope, devices = _resolved(own, read(_Which, request).scenario)
    troubles = _troubles(own, planned, scope, devices)
    where: dict[int, list[str]] = {}
    for each in planned:
        where.setdefault(each.number, []).append(each.device)
    lines = [{"line": inject.line, "devices": where.get(number, [])} for number, inject in enumerate(scenario.timeline)]
    return {
        "ready": not troubles, "troubles": [{"code": each.code, "texts": both(each.text)} for each in troubles],
        "plan": lines,
    }  # fmt: skip


def _resolved(own: Rehearsals, id: str) -> tuple[Scenario, tuple[Planned, ...], frozenset[str], frozenset[str]]:
    """Find a scenario, its injects at the site's devices, the resources that it concerns and the devices it shows."""
    known = own.site.drills.scenarios
    if id not in known:
        hint = nearest(id, list(known))
        raise DrillRefused("unknown-scenario", Text(f'unknown scenario "{id}"{hint}', f"没有演练方案“{id}”{hint}"))
    scenario = known[id]
    planned = targets.plan(scenario, own.site)
    return scenario, planned, targets.scope(scenario, own.site, planned), frozenset(each.device for each in planned)


def _cannot_show(id: str, why: str) -> steady.Trouble:
    return steady.Trouble("cannot-show", Text(f"{id} cannot show it: {why}", f"{id} 无法模拟：{why}"))


def _troubles(
    own: Rehearsals, planned: Sequence[Planned], scope: frozenset[str], devices: frozenset[str]
) -> list[steady.Trouble]:
    lane, states = own.around.live, own.around.states()
    found = steady.check(lane.records(), lane.procedures.runs(), lane.view, scope, devices, own.site)
    drivers = {id: states[id].driver for id in devices if id in states}
    shown: dict[str, list[int]] = {}
    for each in planned:
        shown.setdefault(each.device, []).append(each.number)
    # Seats in their hundreds are alike: one of each driver that shows the same is tried.
    alike = {(driver.id, *shown[id]): id for id, driver in drivers.items() if states[id].answers is not None}
    tried = frozenset(alike.values())
    overlay = Overlay([each for each in planned if each.device in tried], drivers)
    for id in sorted(tried):
        failed = {each.number: why for each, why in overlay.dry(id, drivers[id], states[id].answers or {})}
        found += [_cannot_show(id, why) for why in failed.values()]
    return found


_VERBS: Final[Mapping[str, Callable[[Rehearsals, Mapping[str, Any], str, float], Mapping[str, Any]]]] = {
    "drill-start": _start,
    "drill-renew": _renew,
    "drill-stop": _stop,
    "drill-note": _note,
    "drill-status": _status,
    "drill-list": _list,
    "drill-check": _check,
}
SHAPES: Final[Mapping[str, type[Asked]]] = {
    "drill-start": _Start, "drill-renew": _Ours, "drill-stop": _Stop, "drill-note": _Note, "drill-status": Asked,
    "drill-list": Asked, "drill-check": _Which,
}  # fmt: skip
"""The shape of each command by its verb."""


def of_drill(own: Rehearsals, verb: str, request: Mapping[str, Any], by: str, now: float) -> Mapping[str, Any]:
    """Do one command about a drill and return what its answer adds.

    Raises:
        Rejected: for an unknown verb, one that is not for this lane, a wrong shape, and what the rules forbid.
    """
    do = _VERBS.get(verb)
    if do is None:
        raise Rejected("unknown-verb")
    if request.get("mode") == Mode.LIVE and verb not in _OF_BOTH:
        raise no_drill()
    try:
        return do(own, request, by, now)
    except DrillRefused as error:
        raise Rejected(error.code, error.text) from None
