"""Whether what came over a feed keeps the contract: known topics, their QoS and retain, payloads by their schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator

from edgeagent import contract
from edgeagent.contract import CHANNELS, Channel

MOST: Final = 12
"""Breaches that are told; more of them say nothing new."""
_WORD: Final = 12
"""Characters of the longest word that a closed set may have."""
_CHANNELS: Final = {channel.id: channel for channel in CHANNELS}


@cache
def validator(channel: str) -> Draft202012Validator:
    """Return what checks a whole message of a channel."""
    return Draft202012Validator(contract.message_schema(_CHANNELS[channel]))


def breaches(messages: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name what breaks the contract in messages as mosquitto_sub prints them; requests may be wrong on purpose.

    A schema says something of shapes and of closed sets of words alone, so one message of each shape is looked at.
    """
    seen: set[object] = set()
    found: dict[str, None] = {}
    for message in messages:
        channel = contract.channel_of(message["topic"])
        if channel is None:
            found[f"{message['topic']} is in no channel"] = None
        elif channel.sender != "consumer":
            found.update(dict.fromkeys(_of(channel, message, seen)))
        if len(found) >= MOST:
            break
    return list(found)


def _of(channel: Channel, message: Mapping[str, Any], seen: set[object]) -> Iterator[str]:
    if message["retain"] and not channel.retain:
        yield f"{message['topic']} lies retained"
    if not message["payload"]:  # what deletes a retained topic goes with QoS 1 always
        if not channel.retain:
            yield f"{message['topic']} is empty"
        return
    if message["qos"] != channel.qos and channel.sender == "agent":  # tests play seats in ways of their own
        yield f"{message['topic']} came with QoS {message['qos']}"
    try:
        payload = json.loads(message["payload"])
    except ValueError:
        yield f"{message['topic']} is no JSON"
        return
    shape = (channel.id, _shape(payload))
    if shape not in seen:
        seen.add(shape)
        for error in validator(channel.id).iter_errors(payload):
            yield f"{message['topic']}: {error.json_path}: {error.message}"


def _shape(value: Any) -> object:  # noqa: ANN401 - JSON
    """Reduce a value to what a schema of ours can tell apart: types, members, and words that may be of a closed set."""
    match value:
        case dict():
            return frozenset((key, _shape(each)) for key, each in value.items())
        case list():
            return frozenset(map(_shape, value))
        case str():
            return value if len(value) <= _WORD and value.isalpha() else str
    return type(value)
