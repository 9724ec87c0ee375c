"""What the feed says of alarms: records, the snapshot of what is open, and the events that changes become. Pure.

`alarm_text`, `short_text` and `recommended_action` are in the site's language, because an SMS gateway takes
`data.short_text` as it is; `texts` holds both. What comes from a drill says so in every text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from typing_extensions import TypedDict

from edgeagent.alarm import Alarm, AlarmState, Change, OperatorState, Silence, Verb
from edgeagent.catalog import Severity, Text
from edgeagent.exercisemark import MARK, cut
from edgeagent.messages import Keep, Message, Mode, Tree, dump, event, stamp, stamped, state, tombstone

LARGEST_SNAPSHOT: Final = 60 * 1024
_SPOKEN: Final[Mapping[Verb, Text]] = MappingProxyType(
    {
        Verb.CLEARED: Text("CLEARED: ", "已恢复："),
        Verb.ACKNOWLEDGED: Text("Acknowledged: ", "已确认："),
        Verb.UNACKNOWLEDGED: Text("Not acknowledged any more: ", "撤销确认："),
        Verb.RE_ALARMED: Text("STILL THERE: ", "仍未处理："),
        Verb.SHELVED: Text("Shelved: ", "已搁置："),
        Verb.UNSHELVED: Text("No longer shelved: ", "取消搁置："),
        Verb.OUT_OF_SERVICE: Text("Out of service: ", "停用维护："),
        Verb.IN_SERVICE: Text("In service again: ", "恢复使用："),
        Verb.RESET: Text("Reset: ", "已复位："),
        Verb.CLOSED: Text("Closed: ", "已关闭："),
    }
)
"""What stands before the short text of an event, so that a phone never shows a clearance as if it were the fault."""
_RAISES: Final = frozenset({Verb.RAISED, Verb.SEVERITY_CHANGED, Verb.RE_ALARMED})
_RETURNS: Final = frozenset({Verb.UNSHELVED, Verb.UNSUPPRESSED, Verb.IN_SERVICE})
_HUSHED: Final = _RAISES | {Verb.CLEARED, Verb.UNACKNOWLEDGED, Verb.OSCILLATING, Verb.STEADIED}
"""What nobody is told of while the alarm is shelved or suppressed (RFC 8632 §4.5); its record still changes."""


class Values(TypedDict):
    """What was measured when the alarm was last raised or changed its severity."""

    point: str
    value: bool | float | str | list[str] | None
    unit: str | None
    limit: float | None
    quality: str


class Suppressed(TypedDict):
    """Whether people are kept from hearing of an alarm, and why."""

    kind: str
    by: str
    reason: str
    until: str | None


class AlarmTexts(TypedDict):
    """An alarm's texts in one language."""

    alarm_text: str
    short_text: str
    recommended_action: str


class Record(TypedDict):
    """The payload of alarm/<id>: RFC 8632 in snake case."""

    alarm_id: str
    resource: str
    alarm_type_id: str
    alarm_type_qualifier: str
    event_type: str
    probable_cause: str
    perceived_severity: str
    is_cleared: bool
    state: str
    alarm_text: str
    short_text: str
    recommended_action: str
    texts: dict[str, AlarmTexts]
    time_created: str
    onset: str | None
    last_raised: str | None
    last_changed: str
    last_cleared: str | None
    announced: str | None
    raise_count: int
    re_alarm_count: int
    operator_state: str
    operator: str
    operator_text: str
    operator_time: str | None
    latched: bool
    suppression: Suppressed
    first_out: bool
    oscillating: bool
    root_cause_resource: list[str]
    impacted_resource: list[str]
    related_alarm: list[str]
    value: Values | None
    mode: str
    exercise_id: str | None


class Told(Record):
    """The data of an alarm event: the record after the change, and what the change was."""

    verb: str
    by: str
    reason: str
    before: str | None


class Listed(TypedDict):
    """One line of the snapshot."""

    alarm_id: str
    resource: str
    perceived_severity: str
    state: str
    short_text: str
    texts: dict[str, str]
    last_raised: str | None
    raise_count: int
    suppression: str
    root_cause_resource: list[str]


class Snapshot(TypedDict):
    """The payload of `alarms`. `counts` has what stands and is not kept from people; `omitted` lines did not fit."""

    list_version: int
    boot: int
    time: str
    mode: str
    exercise_id: str | None
    counts: dict[str, int]
    unacknowledged: int
    suppressed: int
    open: list[Listed]
    omitted: int


def mode_of(alarm: Alarm) -> Mode:
    """Tell the lane of an alarm: what came from a drill stays in it."""
    return Mode.LIVE if alarm.origin is None else Mode.DRILL


def record(alarm: Alarm, language: str) -> Record:
    """Build the record of an alarm."""
    texts = _texts(alarm)
    own, hidden, value = texts[language], alarm.suppression, alarm.value
    return {
        "alarm_id": alarm.alarm_id,
        "resource": alarm.resource,
        "alarm_type_id": alarm.alarm_type_id,
        "alarm_type_qualifier": alarm.alarm_type_qualifier,
        "event_type": alarm.event_type,
        "probable_cause": alarm.probable_cause,
        "perceived_severity": alarm.perceived_severity,
        "is_cleared": alarm.is_cleared,
        "state": alarm.state,
        "alarm_text": own["alarm_text"],
        "short_text": own["short_text"],
        "recommended_action": own["recommended_action"],
        "texts": texts,
        "time_created": stamp(alarm.time_created),
        "onset": stamped(alarm.onset),
        "last_raised": stamped(alarm.raised),
        "last_changed": stamp(alarm.last_changed),
        "last_cleared": stamped(alarm.last_cleared),
        "announced": stamped(alarm.announced),
        "raise_count": alarm.raise_count,
        "re_alarm_count": alarm.re_alarm_count,
        "operator_state": alarm.operator_state,
        "operator": alarm.operator,
        "operator_text": alarm.operator_text,
        "operator_time": stamped(alarm.operator_time),
        "latched": alarm.latched,
        "suppression": {
            "kind": hidden.kind, "by": hidden.by, "reason": hidden.reason, "until": stamped(hidden.until),
        },
        "first_out": alarm.first_out,
        "oscillating": alarm.oscillating,
        "root_cause_resource": list(alarm.root_cause_resource),
        "impacted_resource": list(alarm.impacted_resource),
        "related_alarm": list(alarm.related_alarm),
        "value": None if value is None else {
            "point": value.point,
            "value": sorted(value.value) if isinstance(value.value, frozenset) else value.value,
            "unit": value.unit,
            "limit": value.limit,
            "quality": value.quality,
        },
        "mode": mode_of(alarm),
        "exercise_id": alarm.origin,
    }  # fmt: skip


def listed(alarm: Alarm, language: str) -> Listed:
    """Build an alarm's line of the snapshot."""
    texts = _texts(alarm)
    return {
        "alarm_id": alarm.alarm_id,
        "resource": alarm.resource,
        "perceived_severity": alarm.perceived_severity,
        "state": alarm.state,
        "short_text": texts[language]["short_text"],
        "texts": {code: text["short_text"] for code, text in texts.items()},
        "last_raised": stamped(alarm.raised),
        "raise_count": alarm.raise_count,
        "suppression": alarm.suppression.kind,
        "root_cause_resource": list(alarm.root_cause_resource),
    }


def rank(alarm: Alarm) -> tuple[int, float, str]:
    """Order open alarms: gravest first, then oldest first."""
    return -alarm.perceived_severity.rank, alarm.raised or alarm.time_created, alarm.alarm_id


def snapshot(
    alarms: Iterable[Alarm], mode: Mode, language: str, boot: int, version: int, at: float, exercise: str | None = None
) -> Snapshot:
    """Build the list of open alarms; what does not fit is counted in `omitted`. `openalarms.py` has the quick way."""
    found = sorted((alarm for alarm in alarms if alarm.state is not AlarmState.CLOSED), key=rank)
    seen = [alarm for alarm in found if alarm.suppression.kind is Silence.NONE]
    standing = Counter(alarm.perceived_severity for alarm in seen if not alarm.is_cleared)
    shown, room = [], LARGEST_SNAPSHOT
    for alarm in found:
        line = listed(alarm, language)
        room -= len(dump(line)) + 1
        if room < 0:
            break
        shown.append(line)
    return {
        "list_version": version,
        "boot": boot,
        "time": stamp(at),
        "mode": mode,
        "exercise_id": exercise,
        "counts": {severity.value: standing[severity] for severity in reversed(Severity)},
        "unacknowledged": sum(alarm.operator_state is OperatorState.NONE for alarm in seen),
        "suppressed": len(found) - len(seen),
        "open": shown,
        "omitted": len(found) - len(shown),
    }


def messages_of(
    changes: Sequence[Change], tree: Tree, language: str, boot: int, next_seq: Callable[[], int], now: float,
    folded: Callable[[str], bool] = lambda _: False,
) -> list[Message]:  # fmt: skip
    """Turn changes into one event each, and one retained record for each alarm as it is after the last of them.

    What is `folded` under its cause has no record of its own; the snapshot lists it.
    """
    newest = {(mode_of(change.alarm), change.alarm.alarm_id): change.alarm for change in changes}
    said = {key: record(alarm, language) for key, alarm in newest.items()}
    events = list[Message]()
    for change in changes:
        if not hushed(change):
            key = (mode_of(change.alarm), change.alarm.alarm_id)
            known = said[key] if newest[key] is change.alarm else record(change.alarm, language)
            events.append(_event_of(change, known, tree, language, boot, next_seq(), now))
    records = [state(tree.alarm(id, mode), said[mode, id], now, qos=0) for mode, id in newest if not folded(id)]
    return records + events


def gone(alarm: Alarm, tree: Tree, now: float) -> Message:
    """Build the tombstone of a record that is no longer listed."""
    return tombstone(tree.alarm(alarm.alarm_id, mode_of(alarm)), now)


def _event_of(
    change: Change, said: Record, tree: Tree, language: str, boot: int, seq: int, now: float
) -> Message:  # fmt: skip
    alarm, before = change.alarm, change.before
    gravest = max(alarm.perceived_severity, (before or alarm).perceived_severity, key=lambda severity: severity.rank)
    mode, spoken = mode_of(alarm), _SPOKEN.get(change.verb)
    texts = said["texts"] if spoken is None else _texts(alarm, spoken)
    data: Told = {
        **said,
        "short_text": texts[language]["short_text"],
        "texts": texts,
        "verb": change.verb,
        "by": change.by,
        "reason": change.reason,
        "before": None if before is None else before.state,
    }
    return event(
        # A clear goes where the raise went, and a lowered severity to those who heard of the higher one.
        tree, tree.event("alarm", gravest, mode), f"alarm.{change.verb}", alarm.alarm_id, change.at, data, boot=boot,
        seq=seq, born=now, mode=mode, severity=alarm.perceived_severity, exercise=alarm.origin, keep=_keep(change),
        clears=alarm.is_cleared,
    )  # fmt: skip


def hushed(change: Change) -> bool:
    """Tell whether a change is nobody's business.

    What is explained by another alarm is not told. Who heard that it was raised hears when it is over. What an alarm
    causes or follows stands in its record, which is said again: a pager need not ring for it.
    """
    alarm, verb = change.alarm, change.verb
    if verb is Verb.UNSUPPRESSED:
        return alarm.is_cleared and not alarm.latched
    if verb is Verb.CLEARED and alarm.suppression.kind is Silence.BY_DESIGN:
        return alarm.announced is None
    return verb in (Verb.SUPPRESSED, Verb.RELATED) or (verb in _HUSHED and alarm.suppression.kind is not Silence.NONE)


def _keep(change: Change) -> Keep:
    alarm = change.alarm
    if change.verb not in _RAISES | _RETURNS or alarm.is_cleared or alarm.perceived_severity.rank < Severity.MINOR.rank:
        return Keep.INFO
    return Keep.MINOR if alarm.perceived_severity is Severity.MINOR else Keep.RAISE


def _texts(alarm: Alarm, spoken: Text | None = None) -> dict[str, AlarmTexts]:
    return {code: _marked(alarm, code, "" if spoken is None else getattr(spoken, code)) for code in ("en", "zh")}


def _marked(alarm: Alarm, code: str, spoken: str) -> AlarmTexts:
    mark = "" if alarm.origin is None else getattr(MARK, code)
    text, short, action = (getattr(it, code) for it in (alarm.alarm_text, alarm.short_text, alarm.recommended_action))
    return {"alarm_text": mark + text, "short_text": cut(mark + spoken + short), "recommended_action": mark + action}
