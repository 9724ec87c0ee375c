"""What operators may ask of the agent through the feed: the shape of each command, checked before it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from edgeagent.alarm import Change
from edgeagent.alarms import Alarms
from edgeagent.catalog import Text
from edgeagent.commands import Rejected
from edgeagent.lane import Lane, Outcome
from edgeagent.messages import Mode
from edgeagent.procedures import Procedures
from edgeagent.procedures import Refused as RunRefused
from edgeagent.run import RunChange

_Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=40)]
_Words: TypeAlias = Annotated[str, Meta(max_length=500)]
_Story: TypeAlias = Annotated[str, Meta(max_length=2000)]
"""What people write into the record of a run."""


class Asked(Struct, frozen=True, kw_only=True):
    """A request. Its envelope (by, transaction, mode) is checked elsewhere, so unknown keys are left alone here."""


class _Alarm(Asked, frozen=True, kw_only=True):
    alarm_id: Annotated[str, Meta(min_length=1, max_length=200)]
    raise_count: int | None = None
    note: _Words = ""


class _Shelve(_Alarm, frozen=True, kw_only=True):
    seconds: Annotated[float, Meta(gt=0)]
    reason: _Words = ""


class _Run(Asked, frozen=True, kw_only=True):
    run_id: _Id


class _Step(_Run, frozen=True, kw_only=True):
    step: Annotated[str, Meta(min_length=1, max_length=80)]
    action: Literal["done", "skip", "note"]
    note: _Story = ""


class _Reasoned(_Run, frozen=True, kw_only=True):
    reason: _Story = ""


class _Noted(_Run, frozen=True, kw_only=True):
    text: Annotated[str, Meta(min_length=1, max_length=2000)]


class _Filled(_Run, frozen=True, kw_only=True):
    field: _Id
    text: _Story


class _Levelled(_Reasoned, frozen=True, kw_only=True):
    level: int


class _Open(Asked, frozen=True, kw_only=True):
    procedure: _Id
    scope: Annotated[str, Meta(max_length=40)] = ""
    reason: _Story = ""
    level: int | None = None


Do: TypeAlias = Callable[[Alarms, Any, str, float], list[Change]]
"""Does what is asked of an alarm: `(alarms, request, by, now)`."""
Carry: TypeAlias = Callable[[Procedures, Any, str, float], list[RunChange]]
"""Does what is asked of a run: `(procedures, request, by, now)`."""
_OPEN: Final = "run-open"


def _step(runs: Procedures, asked: _Step, by: str, now: float) -> list[RunChange]:
    if asked.action == "done":
        return runs.done(asked.run_id, asked.step, by, asked.note, now)
    if asked.action == "skip":
        return runs.skip(asked.run_id, asked.step, by, asked.note, now)
    return runs.note(asked.run_id, by, asked.note, now, asked.step)


_OF_ALARMS: Final[Mapping[str, tuple[type[_Alarm], Do]]] = {
    "ack": (_Alarm, lambda alarms, it, by, now: alarms.ack(it.alarm_id, it.raise_count, by, it.note, now)),
    "unack": (_Alarm, lambda alarms, it, by, now: alarms.unack(it.alarm_id, it.raise_count, by, it.note, now)),
    "reset": (_Alarm, lambda alarms, it, by, now: alarms.reset(it.alarm_id, it.raise_count, by, it.note, now)),
    "shelve": (_Shelve, lambda alarms, it, by, now: alarms.shelve(it.alarm_id, it.seconds, by, it.reason, now)),
    "unshelve": (_Alarm, lambda alarms, it, by, now: alarms.unshelve(it.alarm_id, by, it.note, now)),
}
_OF_RUNS: Final[Mapping[str, tuple[type[Asked], Carry]]] = {
    "step": (_Step, _step),
    "run-close": (_Reasoned, lambda runs, it, by, now: runs.close(it.run_id, by, it.reason, now)),
    "run-abort": (_Reasoned, lambda runs, it, by, now: runs.abort(it.run_id, by, it.reason, now)),
    "run-ack": (_Run, lambda runs, it, by, now: runs.ack(it.run_id, by, now)),
    "run-lead": (_Run, lambda runs, it, by, now: runs.command(it.run_id, by, now)),
    "run-note": (_Noted, lambda runs, it, by, now: runs.note(it.run_id, by, it.text, now)),
    "run-fill": (_Filled, lambda runs, it, by, now: runs.fill(it.run_id, it.field, it.text, by, now)),
    "run-level": (_Levelled, lambda runs, it, by, now: runs.level(it.run_id, it.level, by, it.reason, now)),
}
_NO_DRILL: Final = Text(
    "no drill is running; ask on the live lane for the real thing", "当前没有演练；真实告警请在 live 主题下操作"
)
_NOT_DRILLED: Final = Text(
    "this is none of the drill's; ask on the live lane for the real thing",
    "该项不属于本次演练；真实告警请在 live 主题下操作",
)
SHAPES: Final[Mapping[str, type[Asked]]] = {
    **{verb: shape for verb, (shape, _) in (*_OF_ALARMS.items(), *_OF_RUNS.items())}, _OPEN: _Open,
}  # fmt: skip
"""The shape of each command by its verb."""
VERBS: Final = tuple(SHAPES)


def no_drill() -> Rejected:
    """Say that there is no drill to ask anything of."""
    return Rejected("no-drill", _NO_DRILL)


def carry_out(
    lane: Lane, verb: str, request: Mapping[str, Any], by: str, now: float, exercise: str | None = None
) -> tuple[Mapping[str, Any], Outcome]:
    """Do one command; return what its answer adds, and what changed. `exercise` is the drill whose lane it is.

    Raises:
        Rejected: for an unknown verb, a request of the wrong shape, one that came on another lane: whoever may only
            ask on the drill lane does nothing to the real thing, nor there to what is none of the drill's; and for
            what the state of the run does not allow.
        alarm.Refused: for what the state of the alarm does not allow.
    """
    if verb not in VERBS:
        raise Rejected("unknown-verb")
    if (request.get("mode") == Mode.LIVE) is not (exercise is None):
        raise no_drill()
    if verb in _OF_ALARMS:
        shape, do = _OF_ALARMS[verb]
        alarm = read(shape, request)
        known = lane.records().get(alarm.alarm_id)
        if known is not None and known.origin != exercise:
            raise Rejected("not-drilled", _NOT_DRILLED)
        outcome = lane.ask_alarms(lambda alarms: do(alarms, alarm, by, now), now)
        record = lane.records().get(alarm.alarm_id)
        return {"alarm_id": alarm.alarm_id, "state": "normal" if record is None else record.state.value}, outcome
    form, carry = (_Open, _opening(exercise)) if verb == _OPEN else _OF_RUNS[verb]
    run = read(form, request)
    carried = lane.procedures.runs().get(run.run_id) if isinstance(run, _Run) else None
    if carried is not None and carried.origin != exercise:
        raise Rejected("not-drilled", _NOT_DRILLED)
    try:
        outcome = lane.ask_runs(lambda runs: carry(runs, run, by, now))
    except RunRefused as error:
        raise Rejected(error.code, error.text) from None
    return _run_answer(lane, run, outcome), outcome


def _opening(exercise: str | None) -> Carry:
    return lambda runs, it, by, now: runs.open(it.procedure, it.scope, by, it.reason, now, it.level, exercise)


def _run_answer(lane: Lane, asked: Asked, outcome: Outcome) -> Mapping[str, Any]:
    run_id = asked.run_id if isinstance(asked, _Run) else outcome.runs[-1].run.run_id
    run = lane.procedures.runs().get(run_id)
    return {"run_id": run_id, "state": "closed" if run is None else run.state.value}


_Shape = TypeVar("_Shape", bound=Asked)


def read(shape: type[_Shape], request: Mapping[str, Any]) -> _Shape:
    """Read a request of a shape.

    Raises:
        Rejected: with all that is wrong in it.
    """
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for field in msgspec.structs.fields(shape):
        if field.name in request:
            try:
                found[field.name] = msgspec.convert(request[field.name], field.type)
            except msgspec.ValidationError as error:
                wrong.append(f"{field.name}: {error}")
        elif field.required:
            wrong.append(f"{field.name}: is missing")
    if wrong:
        raise Rejected("bad-request", Text(said := "; ".join(wrong), f"请求格式有误：{said}"))
    return shape(**found)
