"""What operators may ask of the agent through the feed: the shape of each command, checked before it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeagent.alarm import Change
from edgeagent.alarms import Alarms
from edgeagent.catalog import Text
from edgeagent.commands import Rejected
from edgeagent.messages import Mode


class _Request(BaseModel):
    """The envelope (by, transaction, mode) is checked elsewhere, so unknown keys are left alone here."""

    model_config = ConfigDict(extra="ignore", strict=True)

    alarm_id: str = Field(min_length=1, max_length=200)
    raise_count: int | None = None
    note: str = Field(default="", max_length=500)


class _Shelve(_Request):
    seconds: float = Field(gt=0)
    reason: str = Field(default="", max_length=500)


_JUDGEMENTS: Final[Mapping[str, Callable[[Alarms, str, int | None, str, str, float], list[Change]]]] = {
    "ack": Alarms.ack,
    "unack": Alarms.unack,
    "reset": Alarms.reset,
}
"""Verbs that are about one raise of an alarm."""
_NO_DRILL: Final = Text(
    "no drill is running; ask on the live lane for the real thing", "当前没有演练；真实告警请在 live 主题下操作"
)
VERBS: Final = (*_JUDGEMENTS, "shelve", "unshelve")


def carry_out(alarms: Alarms, verb: str, request: Mapping[str, Any], by: str, now: float) -> tuple[str, list[Change]]:
    """Do one command on the alarm list; return the alarm's id and what changed.

    Raises:
        Rejected: for an unknown verb, a request of the wrong shape, or one that came on the drill lane: whoever
            may only ask there does nothing to the real thing.
        Refused: for what the state of the alarm does not allow.
    """
    if verb not in VERBS:
        raise Rejected("unknown-verb")
    if request.get("mode") != Mode.LIVE:
        raise Rejected("no-drill", _NO_DRILL)
    try:
        asked = (_Shelve if verb == "shelve" else _Request).model_validate(request)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise Rejected("bad-request", Text(wrong, f"请求格式有误：{wrong}")) from None
    if isinstance(asked, _Shelve):
        return asked.alarm_id, alarms.shelve(asked.alarm_id, asked.seconds, by, asked.reason, now)
    if verb == "unshelve":
        return asked.alarm_id, alarms.unshelve(asked.alarm_id, by, asked.note, now)
    return asked.alarm_id, _JUDGEMENTS[verb](alarms, asked.alarm_id, asked.raise_count, by, asked.note, now)
