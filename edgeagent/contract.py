"""The contract of the feed: its channels, the JSON Schema of each payload, and both as one AsyncAPI document.

Owns the table of channels alone. Topics come from `messages.Tree`, payloads from the types that the code writes, so
none of them is told twice. Version 1 only ever grows: readers pass over what they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NotRequired, TypeAlias, get_args, get_origin

import msgspec
from pydantic import BaseModel, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict

from edgeagent import drillrequests, requests, seatreport
from edgeagent.broker import Broker
from edgeagent.catalog import Severity
from edgeagent.messages import CLOUDEVENT, JSON, SCHEMA, Mode, Tree
from edgeagent.payloads import PAYLOADS
from edgeagent.readings import Quality
from edgeagent.voice import EXPIRY

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
VERSION: Final = "1.0.0"
"""Of the feed. The first number is a level of every topic, the second grows with what is added."""
Sender: TypeAlias = Literal["agent", "seat", "consumer"]


class Worth(TypedDict):
    """What a reading is worth that is not good, and why."""

    quality: Quality
    reason: str | None


class DeviceState(TypedDict):
    """The payload of device/<id>/state: one member for each point that is read of the device, null when bad, and these.

    A point of three phases has members for them too: `.l1`, `.l2`, `.l3`. `lane`, which is `drill`, and `exercise_id`
    are there with what a drill shows; `mode` is a point of some kinds.
    """

    units: dict[str, str]
    quality: dict[str, Worth]
    time: str
    observed: str | None
    lane: NotRequired[str]
    exercise_id: NotRequired[str]


class Request(BaseModel):
    """The payload of req/<verb>: who asks, an id that tells a repetition from a second wish, and what it needs."""

    by: str = Field(min_length=1, max_length=80)
    transaction: str | None = Field(default=None, min_length=1, max_length=64)


@dataclass(frozen=True, slots=True)
class Channel:
    """One family of topics. `lanes` is empty where a topic has none; `expires` is in s, None for never.

    `payload` names the schema; for an event that of its `data`.
    """

    id: str
    address: str
    payload: str
    lanes: tuple[Mode, ...]
    text: str
    sender: Sender = "agent"
    qos: int = 1
    retain: bool = False
    expires: int | None = None
    event: bool = False
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lane = f"(?:{'|'.join(self.lanes)})"
        levels = (lane if it == "{lane}" else "[^/]+" if it[0] == "{" else it for it in self.address.split("/"))
        object.__setattr__(self, "pattern", re.compile("/".join(levels)))

    @property
    def parameters(self) -> list[str]:
        """The names in braces of its address."""
        return [level[1:-1] for level in self.address.split("/") if level.startswith("{")]


_LIVE: Final = (Mode.LIVE,)
_DRILL: Final = (Mode.DRILL,)
_BOTH: Final = (Mode.LIVE, Mode.DRILL)
_TREE: Final = Tree("x-root", "x-site", "x-agent")
PARAMETERS: Final[Mapping[str, str]] = {
    "root": "First level of all topics, `floor` unless the site says otherwise.",
    "site": "Id of the site.",
    "lane": "`live` is real, `drill` is an exercise. Who never subscribes to `drill` never sees one.",
    "agent": "Id of the agent.",
    "page": "Number of the page, from 2.",
    "device": "Id of a device, as in the inventory.",
    "alarm": "Id of an alarm, `<resource>.<type>[.<qualifier>]`.",
    "severity": "The gravest that the alarm has or had: a clear goes where the raise went.",
    "procedure": "Id of a procedure.",
    "scenario": "Id of a drill's scenario.",
    "run": "Id of a run of a procedure.",
    "verb": "What is asked.",
    "seat": "Id of a seat.",
}
"""What each level in braces of an address is."""


def _at(topic: str, lanes: tuple[Mode, ...]) -> str:
    """Turn a topic of the code's own tree into an address: ids become parameters, and so does a choice of lanes."""
    levels = [f"{{{level[2:]}}}" if level.startswith("x-") else level for level in topic.split("/")]
    if len(lanes) > 1:
        levels[3] = "{lane}"
    return "/".join(levels)


def _state(
    id: str, topic: str, payload: str, text: str, lanes: tuple[Mode, ...] = _BOTH, qos: int = 1,
    expires: float | None = None,
) -> Channel:  # fmt: skip
    expiry = None if expires is None else int(expires)
    return Channel(id, _at(topic, lanes), payload, lanes, text, qos=qos, retain=True, expires=expiry)


def _told(id: str, topic: str, payload: str, text: str, lanes: tuple[Mode, ...] = _BOTH) -> Channel:
    return Channel(id, _at(topic, lanes), payload, lanes, text, event=True)


def _seat(name: str, text: str, qos: int, *, retain: bool, expires: int | None = None) -> Channel:
    address, payload = _at(_TREE.seat("x-seat", name), ()), f"seat-{name}"
    return Channel(payload, address, payload, (), text, "seat", qos, retain, expires)


CHANNELS: Final = (
    _state(
        "status", _TREE.own("status"), "status",
        "Whether the agent is there: birth, will and clean exit. While it is offline, all its devices are unknown.",
        _LIVE,
    ),
    _state("info", _TREE.own("info"), "info", "Version, configuration and clock of the agent.", _LIVE),
    _state(
        "health", _TREE.own("health"), "health", "The heartbeat, every 60 s: one that is gone means nobody watches.",
        _LIVE, 0, EXPIRY,
    ),
    _state(
        "inventory", _TREE.inventory(), "inventory",
        "What there is: areas, kinds with their points and alarm types, nodes, devices.", _LIVE,
    ),
    _state(
        "inventory-page", _TREE.inventory(2).replace("/2", "/x-page"), "inventory",
        "What did not fit the first page, which says how many `pages` there are.", _LIVE,
    ),
    _state("availability", _TREE.availability("x-device"), "availability", "Whether a device answers.", _LIVE),
    _state(
        "device-state", _TREE.state("x-device"), "device-state",
        "All readings of a device, flat. It expires after 180 s, or after three intervals of a slower device. "
        "A number that moved by less than its deadband is told with the next message: within a minute. As long as "
        "nothing is wrong, one that moved by less than three, right after a message, may follow ten seconds later.",
        qos=0, expires=EXPIRY,
    ),
    _state(
        "alarm", _TREE.alarm("x-alarm"), "alarm",
        "The record of an alarm; it lies there as `closed` for ten minutes, then it is deleted. Of those that a cause "
        "explains the first 20 have one, as `suppressed`; the others are in the snapshot alone.", qos=0,
    ),
    _state("alarms", _TREE.alarms(), "alarms", "Every open alarm in one message: the place to resync from."),
    _state("procedure", _TREE.procedure("x-run"), "procedure", "A run of a procedure with its steps, while listed."),
    _state("record", _TREE.record("x-run"), "fault-record", "The fault record of a run."),
    _state("forecast", _TREE.forecast(), "forecast", "How long the battery lasts, what goes dark, how warm it gets."),
    _state(
        "exercise", _TREE.exercise(), "exercise", "Which drill is on: the one thing of a drill on the live lane.",
        _LIVE,
    ),
    _state(
        "exercise-progress", _TREE.exercise(Mode.DRILL), "exercise-progress",
        "How far the drill is and how its expectations stand.", _DRILL,
    ),
    _told("alarm-event", _TREE.event("alarm", "x-severity"), "alarm-event", "One change of an alarm, for pagers."),
    _told("procedure-event", _TREE.event("procedure", "x-procedure"), "procedure-event", "One change of a run."),
    _told(
        "exercise-event", _TREE.event("exercise", "x-scenario", Mode.DRILL), "exercise-event",
        "One change of a drill.", _DRILL,
    ),
    _told(
        "gap-event", _TREE.event("agent", "gap"), "gap-event",
        "Events that will never come, because the outbox was full: read retained state again.", _LIVE,
    ),
    Channel(
        "request", _at(_TREE.request("x-verb"), _BOTH), "request", _BOTH,
        "A command. One that lies retained is none. Let it expire after 30 s.", "consumer", expires=30,
    ),
    Channel(
        "answer", _at(_TREE.answer("x-verb"), _BOTH), "answer", _BOTH,
        "The answer to a command, unless it named a response topic of its own.", expires=30,
    ),
    _seat("status", "Whether the agent of a seat is there: birth, will and leave.", 1, retain=True),
    _seat("report", "What a seat measured, for the agent of the site.", 0, retain=False, expires=seatreport.EXPIRY),
)  # fmt: skip
"""Every family of topics under `<root>/v1/<site>/`."""


def channel_of(topic: str) -> Channel | None:
    """Find the family of a topic, None where it is none of ours."""
    return next((channel for channel in CHANNELS if channel.pattern.fullmatch(topic)), None)


class _Schema(GenerateJsonSchema):
    """JSON Schema without a title for each field, which would only say its name again."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 - pydantic's signature
        """Leave titles of fields out."""
        return False


def names() -> list[str]:
    """List the schemas that there are."""
    return [*_TYPES, *(f"request-{verb}" for verb in _SHAPES)]


def schema(name: str) -> dict[str, Any]:
    """Give the JSON Schema of a payload.

    Raises:
        KeyError: for a name that is not in `names`.
    """
    return {"$schema": DIALECT, "$id": f"{SCHEMA}:{name}", **_own(name)}


def schemas() -> dict[str, dict[str, Any]]:
    """Give the JSON Schema of every payload by its name."""
    return {name: schema(name) for name in names()}


def message_schema(channel: Channel) -> dict[str, Any]:
    """Give the JSON Schema of a whole message of a channel: an event is its envelope with its data in place."""
    if not channel.event:
        return schema(channel.payload)
    envelope, data = schema("event"), schema(channel.payload)
    defs = {**envelope.pop("$defs", {}), **data.pop("$defs", {})}
    inner = {key: value for key, value in data.items() if key not in ("$schema", "$id")}
    whole = {**envelope, "$id": f"{SCHEMA}:{channel.id}-message"}
    whole["properties"] = {**envelope["properties"], "data": inner}
    return {**whole, "$defs": defs} if defs else whole


def _own(name: str) -> dict[str, Any]:
    verb = name.removeprefix("request-")
    if verb != name:
        return _asked(verb)
    made = TypeAdapter(_TYPES[name]).json_schema(mode=_MODES.get(name, "serialization"), schema_generator=_Schema)
    if name == "device-state":
        made["additionalProperties"] = {**_VALUE, "description": "The reading of a point; null when it is bad."}
    return made


def _asked(verb: str) -> dict[str, Any]:
    """Put the envelope of a request around the shape of its verb."""
    envelope = Request.model_json_schema(schema_generator=_Schema)
    (shape,) = msgspec.json.schema_components([_SHAPES[verb]])[1].values()
    for each in msgspec.structs.fields(_SHAPES[verb]):
        if get_origin(each.type) is Literal:  # in the order of the code, where msgspec has that of the alphabet
            shape["properties"][each.name] = {"type": "string", "enum": list(get_args(each.type))}
    return {
        "title": f"Request {verb}", "type": "object", "description": f"What req/{verb} takes.",
        "properties": {**envelope["properties"], **shape.get("properties", {})},
        "required": [*envelope["required"], *shape.get("required", [])],
    }  # fmt: skip


_VALUE: Final = TypeAdapter(bool | float | str | list[str] | None).json_schema()
_SHAPES: Final[Mapping[str, type[requests.Asked]]] = {
    **requests.SHAPES, **drillrequests.SHAPES, "refresh": requests.Asked, "runs": requests.Asked,
}  # fmt: skip
_TYPES: Final[Mapping[str, Any]] = {**PAYLOADS, "device-state": DeviceState, "request": Request}
_MODES: Final[Mapping[str, Literal["validation", "serialization"]]] = {"request": "validation"}


def asyncapi() -> dict[str, Any]:
    """Give the whole feed as one AsyncAPI 3 document."""
    broker = Broker("")
    will = {"topic": _at(_TREE.own("status"), _LIVE), "qos": 1, "retain": True, "message": '{"state":"offline",…}'}
    return {
        "asyncapi": "3.0.0",
        "id": SCHEMA,
        "info": {
            "title": "edgeagent feed", "version": VERSION, "license": {"name": "Apache-2.0"},
            "description": _DESCRIPTION,
        },
        "defaultContentType": JSON,
        "servers": {
            "site": {
                "host": "{broker}", "protocol": "secure-mqtt", "protocolVersion": "5.0",
                "description": "The broker of the site: MQTT 5, TLS with client certificates.",
                "variables": {"broker": {"default": "localhost:8883", "description": "Host and port."}},
                "bindings": {
                    "mqtt": {
                        "lastWill": will, "keepAlive": broker.keepalive, "sessionExpiryInterval": broker.session_expiry,
                        "bindingVersion": _BINDING,
                    }
                },
            }
        },
        "channels": {channel.id: _as_channel(channel) for channel in CHANNELS},
        "operations": {channel.id: _operation(channel) for channel in CHANNELS},
        "components": {
            "messages": {channel.id: _message(channel) for channel in CHANNELS},
            "schemas": dict(_components()),
        },
    }  # fmt: skip


_BINDING: Final = "0.2.0"
_COMPONENTS: Final = "#/components/schemas/"
_DESCRIPTION: Final = (
    "The facility of a call centre: readings, alarms, procedures, forecast and drills. State is retained JSON, events "
    "are CloudEvents 1.0. Order by (boot, seq), tell duplicates by (source, id). Pass over members that you do not "
    "know: version 1 grows, and takes nothing away."
)


def _as_channel(channel: Channel) -> dict[str, Any]:
    parameters: dict[str, Any] = {name: {"description": PARAMETERS[name]} for name in channel.parameters}
    if "lane" in parameters:
        parameters["lane"]["enum"] = [mode.value for mode in channel.lanes]
    if "verb" in parameters:
        parameters["verb"]["enum"] = list(_SHAPES)
    if "severity" in parameters:
        parameters["severity"]["enum"] = [severity.value for severity in Severity]
    parameters["root"]["default"] = "floor"
    return {
        "address": channel.address, "description": channel.text, "parameters": parameters,
        "messages": {channel.id: {"$ref": f"#/components/messages/{channel.id}"}},
    }  # fmt: skip


def _operation(channel: Channel) -> dict[str, Any]:
    """Say what the agent does with a channel."""
    binding: dict[str, Any] = {"qos": channel.qos, "retain": channel.retain, "bindingVersion": _BINDING}
    if channel.expires is not None:
        binding["messageExpiryInterval"] = channel.expires
    made = {
        "action": "send" if channel.sender == "agent" else "receive",
        "channel": {"$ref": f"#/channels/{channel.id}"},
        "summary": channel.text,
        "bindings": {"mqtt": binding},
    }
    if channel.id == "request":
        made["reply"] = {"channel": {"$ref": "#/channels/answer"}}
    return made


def _message(channel: Channel) -> dict[str, Any]:
    payload: dict[str, Any] = {"$ref": f"{_COMPONENTS}{channel.payload}"}
    if channel.event:
        placed = {"type": "object", "properties": {"data": payload}}
        payload = {"allOf": [{"$ref": f"{_COMPONENTS}event"}, placed]}
    if channel.id == "request":
        payload = {"anyOf": [{"$ref": f"{_COMPONENTS}request-{verb}"} for verb in _SHAPES]}
    kind = CLOUDEVENT if channel.event else JSON
    made = {
        "name": channel.id, "contentType": kind, "payload": payload,
        "bindings": {"mqtt": {"payloadFormatIndicator": 1, "contentType": kind, "bindingVersion": _BINDING}},
    }  # fmt: skip
    if channel.id in ("request", "answer"):
        made["correlationId"] = {"location": "$message.payload#/transaction"}
    return made


def _components() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every schema under its name, and what they share under the name of its type."""
    for name in names():
        made = _moved(_own(name))
        yield from made.pop("$defs", {}).items()
        yield name, made


def _moved(node: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, list):
        return [_moved(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.replace("#/$defs/", _COMPONENTS) if key == "$ref" else _moved(value) for key, value in node.items()
    }
