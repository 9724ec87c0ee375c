"""The page for who reads the feed, docs/feed.md, made from the contract and from recorded examples."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson

from edgeagent import contract
from edgeagent.alarm import AlarmState, OperatorState, Silence, Verb
from edgeagent.catalog import Severity
from edgeagent.contract import CHANNELS, PARAMETERS, Channel
from edgeagent.drill import DrillVerb, End, Verdict
from edgeagent.outlast import Outlast
from edgeagent.readings import Missing, Quality
from edgeagent.run import RunState, RunVerb, StepState
from edgeagent.verdict import Readiness

Schema = Mapping[str, Any]
SHOWN: Final = ("status", "device-state", "alarm-event", "request", "answer")
"""Channels of which the page shows an example."""
WORDS: Final[Mapping[str, type[StrEnum]]] = {
    "quality.<point>.quality": Quality,
    "quality.<point>.reason": Missing,
    "perceived_severity": Severity,
    "alarm `state`": AlarmState,
    "operator_state": OperatorState,
    "suppression.kind": Silence,
    "alarm-event `verb`": Verb,
    "procedure `state`": RunState,
    "procedure `steps[].state`": StepState,
    "procedure-event `verb`": RunVerb,
    "exercise-event `verb`": DrillVerb,
    "exercise `last.end`": End,
    "exercise-progress `expectations[].verdict`": Verdict,
    "forecast `outlasts`": Outlast,
    "forecast `readiness`": Readiness,
}
"""Members whose words the code knows, by where they stand."""

_HEAD: Final = """\
# The feed

Made from the types of the code by `make feed`; do not edit. For programs: `edgeagent schema NAME` prints the JSON
Schema (2020-12) of a payload, `edgeagent schema --asyncapi` the whole feed as an AsyncAPI document. A recorded
example of each message is in [tests/contract/](../tests/contract/).

## How to read it

- **Live or drill.** The fourth level of a topic is the lane. Subscribe to `floor/v1/<site>/live/#` and no drill
  ever reaches you, but for `live/exercise`, which says that one is on. What comes from a drill says so three times:
  in its topic, in its payload (`mode`, of a device's readings `lane`; `exercise_id`),
  and at the head of every text (`EXERCISE – `, `演练 – `).
- **State first, then events.** State is retained: subscribe, and you have it. After each connection read the
  retained topics, `alarms` before all others: it is one message and has every open alarm (`omitted` counts what did not
  fit). Events tell what changed, and when; no state has to be built from them. An event comes some ms before the state
  that it changes.
- **An empty payload deletes its topic.** A record that is gone is over. Every subscriber sees the empty message
  once.
- **Repetitions.** QoS 1 may bring an event twice. `(source, id)` is the same both times, and also after a restart.
- **Gaps.** `(boot, seq)` orders the events of an agent; never order by time. `seq` goes up by one with each event
  of the live lane, over restarts too: a number that is missing means that your queue at the broker was full. Read
  the retained topics again. Only who reads all of `live/event/#` can tell so. `event/agent/gap` tells of events that
  nobody will ever get. A drill counts for itself.
- **Late.** What happened while the broker was away comes with `replayed: true` and its old `time`. Page nobody for
  it: look whether the alarm is still in `alarms`.
- **Silence is not health.** Take every device for unknown when the `state` of `agent/<agent>/status` is `offline`,
  and also when `agent/<agent>/health` has been away for 180 s. Of one device `availability` says whether it
  answers.
- **A bad reading is null**, never an old value. `quality` names the readings that are not good, and why. Units are
  UCUM.
- **Times** are RFC 3339 in UTC with milliseconds. `time` is when it happened, not when it was sent.
- **Growth.** Version 1 only ever grows. Pass over members and words that you do not know.
- **Sessions.** Who must miss no event: a fixed client id, `clean_start` false, a session expiry of hours, QoS 1. A
  broker keeps a bounded queue (mosquitto: `max_queued_messages`), so the rule on gaps still holds.
- **MQTT 3.1.1** readers miss nothing: user properties only repeat what the payload says.

"""
_COMMANDS: Final = """
## Commands

Publish a JSON object to `req/<verb>`, QoS 1, not retained, expiry 30 s. `by` says who asks. A `transaction` of your
own makes it safe to ask twice: it is done once and answered with the same words for 24 h. The answer comes to the
response topic that you name (MQTT 5), else to `res/<verb>`. `ok` says whether it was done; if not, `reason` is for
programs and `text` for people. What a command gives stands beside. On the drill lane commands touch the drill
alone.

| verb | must have | may have |
|---|---|---|
"""


def page(examples: Mapping[str, Any]) -> str:
    """Return the page in Markdown; `examples` are messages by channel."""
    return "".join(
        [_HEAD, *_topics(), _COMMANDS, *_verbs(), "\n## Examples\n", *_examples(examples), *_payloads(), *_words()]
    )


def _topics() -> Iterator[str]:
    yield "## Topics\n\nBelow `{root}/v1/{site}/`. A number in the column *expires* is s.\n\n"
    yield "| topic | payload | QoS | retained | expires | |\n|---|---|---|---|---|---|\n"
    for channel in CHANNELS:
        name = f"event, data {channel.payload}" if channel.event else channel.payload
        kept, expires = "yes" if channel.retain else "", channel.expires or ""
        yield f"| `{_below(channel)}` | {name} | {channel.qos} | {kept} | {expires} | {channel.text} |\n"
    told = ", ".join(f"`{{{name}}}` {text[0].lower()}{text[1:].rstrip('.')}" for name, text in _ids())
    yield f"\n{told}. Ids are 1 to 40 of a–z, 0–9 and -; those of alarms have dots and up to 200.\n"


def _ids() -> list[tuple[str, str]]:
    return [(name, PARAMETERS[name]) for name in ("device", "run", "procedure", "scenario", "page")] + [
        ("alarm", PARAMETERS["alarm"].rstrip(".")), ("severity", PARAMETERS["severity"]),
    ]  # fmt: skip


def _below(channel: Channel) -> str:
    return channel.address.removeprefix("{root}/v1/{site}/")


def _verbs() -> Iterator[str]:
    own = contract.schema("request")["properties"]
    for name in contract.names():
        verb = name.removeprefix("request-")
        if verb == name:
            continue
        schema = contract.schema(name)
        must = [f"`{each}`" for each in schema["required"] if each not in own]
        may = [f"`{each}`" for each in schema["properties"] if each not in own and f"`{each}`" not in must]
        yield f"| `{verb}` | {', '.join(must)} | {', '.join(may)} |\n"


def _examples(examples: Mapping[str, Any]) -> Iterator[str]:
    for id in SHOWN:
        if id in examples:
            yield f"\n**{id}**\n\n```json\n{shown(examples[id])}\n```\n"


def shown(example: Mapping[str, Any], indent: str = "") -> str:
    """Write an object with one member a line; what is nested deeper than an event's data stands in one line."""
    lines = []
    for key, value in example.items():
        deeper = key == "data" and isinstance(value, dict) and not indent
        text = shown(value, "  ") if deeper else json.dumps(value, ensure_ascii=False)
        lines.append(f"{indent}  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _payloads() -> Iterator[str]:
    yield "\n## Payloads\n\nA member in brackets is not always there.\n"
    told: set[str] = set()
    before: dict[str, Schema] = {}
    for name in contract.names():
        if name.startswith("request"):
            continue
        schema = contract.schema(name)
        whole = schema["properties"]
        lesser = next((each for each, had in before.items() if len(had) > 1 and had.items() <= whole.items()), None)
        known = {} if lesser is None else before[lesser]
        start = "" if lesser is None else f"All of **{lesser}**, and "
        before[name] = whole
        yield f"\n**{name}**. {_flowing(schema['description'])}\n{start}{_members(schema, known)}.\n"
        for inner, part in schema.get("$defs", {}).items():
            if "properties" in part and inner not in told:
                told.add(inner)
                yield f"- *{inner}*: {_flowing(part.get('description', ''))} {_members(part)}.\n"


def _flowing(text: str) -> str:
    return " ".join(text.split())


def _members(schema: Schema, known: Schema = MappingProxyType({})) -> str:
    """List the members but for those that are `known`."""
    required = set(schema.get("required", ()))
    return ", ".join(
        f"{f'`{name}`' if name in required else f'[`{name}`]'} {_type(part)}"
        for name, part in schema["properties"].items()
        if name not in known
    )


def _type(schema: Schema) -> str:
    """Say in words what a member may be."""
    if "$ref" in schema:
        return f"*{schema['$ref'].rpartition('/')[2]}*"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{word}"' for word in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"object of {_type(inner)}" if isinstance(inner, dict) else "object"
    return _NAMES.get(str(schema.get("type")), str(schema.get("type", "anything")))


_NAMES: Final = {"string": "text", "integer": "whole number", "boolean": "true or false"}


def _words() -> Iterator[str]:
    yield "\n## Words\n\nWhat stands in members that are texts for programs; more may come.\n\n"
    yield "| member | words |\n|---|---|\n"
    for member, words in WORDS.items():
        named = member if "`" in member else f"`{member}`"
        yield f"| {named} | {', '.join(words)} |\n"
    yield _STATES


_STATES: Final = """
The states of an alarm are those of ANSI/ISA-18.2: `unack` stands and nobody has taken it on, `acked` somebody has;
`rtn-unack` is over (returned to normal) and nobody has taken it on; `latched-unack` and `latched-acked` are over and
stay until somebody resets them; `shelved` is put off by an operator, `suppressed` explained by its cause,
`out-of-service` in maintenance; `closed` is over and done with.
"""


def main(file: Path, recorded: Path) -> None:
    """Write the page with the examples that lie in the folder `recorded`."""
    file.write_text(page(read(recorded)), encoding="utf-8")


def read(recorded: Path) -> dict[str, Any]:
    """Read the payloads of the recorded messages, by channel."""
    files = {channel.id: recorded / f"{channel.id}.json" for channel in CHANNELS}
    return {id: orjson.loads(file.read_bytes())["payload"] for id, file in files.items() if file.exists()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
