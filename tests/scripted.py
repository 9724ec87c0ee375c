"""An agent that does nothing but say what a test wants said: its topics, and its answers to commands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import orjson
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeagent.messages import Message, Mode, Tree

TREE: Final = Tree("floor", "test", "edge-1")
Answer: TypeAlias = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]
"""What an answer adds to `ok`, or what makes it of the request."""


class Scripted:
    """A scripted agent on a broker. `asked` is what it was asked: lane, verb, request."""

    def __init__(self, port: int, answers: Mapping[str, Answer] | None = None, **login: str) -> None:
        self.asked: list[tuple[Mode, str, dict[str, Any]]] = []
        self._answers = answers or {}
        self._ready = threading.Event()
        self._client = client = Client(CallbackAPIVersion.VERSION2, "scripted", protocol=MQTTv5)
        if login:
            client.username_pw_set(**login)
        client.on_connect = self._listen
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = self._take
        client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._ready.wait(30)
        self.say(TREE.own("status"), {"state": "online", "reason": "start", "boot": 1, "since": None})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str, payload: Mapping[str, Any] | None, *, retain: bool = True) -> None:
        """Publish a payload; None deletes what lies there."""
        self._client.publish(topic, b"" if payload is None else orjson.dumps(payload), 1, retain)

    def tell(self, messages: Sequence[Message]) -> None:
        """Publish messages as they were built."""
        for message in messages:
            self._client.publish(message.topic, message.body, message.qos, message.retain)

    def verbs(self, mode: Mode = Mode.DRILL) -> list[str]:
        """Return what it was asked on a lane."""
        return [verb for lane, verb, _ in list(self.asked) if lane is mode]

    def request(self, verb: str) -> dict[str, Any]:
        """Return the newest request of a verb."""
        return next(request for _, asked, request in reversed(self.asked) if asked == verb)

    def _listen(self, client: Client, *_: object) -> None:
        client.subscribe(TREE.requests, qos=1)

    def _take(self, _: object, __: object, message: MQTTMessage) -> None:
        asked = TREE.requested(message.topic)
        assert asked is not None
        mode, verb = asked
        request = orjson.loads(message.payload)
        self.asked.append((mode, verb, request))
        script = self._answers.get(verb, {})
        said = script(request) if callable(script) else script
        given = message.properties
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = given.CorrelationData  # type: ignore[union-attr]
        body = orjson.dumps({"ok": True, "verb": verb, "time": "2026-11-25T08:30:00.000Z", **said})
        self._client.publish(TREE.answer(verb, mode), body, 1, properties=properties)
