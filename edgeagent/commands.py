"""Commands that come in over the feed: checked, done once, answered always.

`req/<verb>` takes a JSON object with `by` (who asks), usually `transaction`, and what the verb needs. Its answer goes
to the request's response topic, else to `res/<verb>`. A transaction that was answered gets the same answer again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import orjson
from typing_extensions import TypedDict

from edgeagent.alarm import Refused
from edgeagent.catalog import Text
from edgeagent.messages import Message, Mode, Place, Tree, dump
from edgeagent.mqtt import Received
from edgeagent.payloads import answer, refusal
from edgeagent.store import Batch, Body, Store
from edgeagent.survived import taken

log = logging.getLogger(__name__)

LARGEST: Final = 16 * 1024
REMEMBERED: Final = 1_000
MEMORY: Final = 24 * 3600.0
_EXPIRY: Final = 30.0
_PREFIX: Final = "answer/"
_REASONS: Final[Mapping[str, Text]] = {
    "bad-json": Text("the request is no JSON object", "请求不是 JSON 对象"),
    "too-large": Text("the request is too large", "请求过大"),
    "bad-transaction": Text("transaction is a text of 1 to 64 characters", "transaction 须为 1 至 64 个字符的文本"),
    "operator-missing": Text(
        "say who asks: by is a text of 1 to 80 characters", "请写明操作人：by 须为 1 至 80 个字符"
    ),
    "unknown-verb": Text("there is no such command", "没有这个命令"),
    "internal-error": Text("the agent failed at it; its log says how", "代理执行失败，详见日志"),
}


class _Answered(TypedDict):
    """What was answered to a transaction, and when, epoch s."""

    at: float
    answer: dict[str, Any]


class Rejected(Exception):
    """A command that is not done. `reason` is for programs, `text` for people."""

    def __init__(self, reason: str, text: Text | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text or _REASONS[reason]


class Commands:
    """Takes requests and sends answers.

    `on_command(verb, request, by)` does the work and returns what the answer adds. Its `request` has the `mode` of
    the topic, so that who may only write drill commands does nothing to the real thing. It raises `Rejected` or
    `alarm.Refused` for what it will not do; "unknown-verb" is its to say.
    """

    def __init__(
        self, tree: Tree, language: Literal["en", "zh"], store: Store,
        on_command: Callable[[str, dict[str, Any], str], Mapping[str, Any]],
        send: Callable[[Message, bytes | None], None], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._tree = tree
        self._language: Literal["en", "zh"] = language
        self._store = store
        self._on_command = on_command
        self._send = send
        self._clock = clock
        kept = store.load_state(_PREFIX)
        read = {key: said for key, row in kept.items() if (said := taken(_Answered, row, key)) is not None}
        self._answers = dict(sorted(read.items(), key=lambda item: item[1]["at"]))
        self._forgotten: list[str] = []

    def take(self, received: Received) -> None:
        """Do one request. What lies retained on a request's topic is no request."""
        asked = self._tree.requested(received.topic)
        if asked is None or received.retained:
            return
        mode, verb = asked
        transaction: str | None = None
        try:
            request = _parsed(received.payload)
            transaction = _transaction(request, received.correlation)
            key = f"{_PREFIX}{mode}/{verb}/{transaction}"
            self._forget()
            if transaction is not None and key in self._answers:
                self._reply(received, mode, verb, self._answers[key]["answer"])
                return
            by = _operator(request)
        except Rejected as error:
            said = self._refused(verb, transaction, error.reason, error.text)
            self._reply(received, mode, verb, said)
            return
        said = self._done(verb, {**request, "mode": mode.value}, by, transaction)
        if transaction is None:
            self._reply(received, mode, verb, said)
        else:
            # What the command changed was handed to the store before, so the answer follows it onto the disk.
            self._remember(key, said, lambda: self._reply(received, mode, verb, said))

    def _done(self, verb: str, request: dict[str, Any], by: str, transaction: str | None) -> dict[str, Any]:
        try:
            return answer(verb, transaction, self._clock(), self._on_command(verb, request, by))
        except Rejected as error:
            return self._refused(verb, transaction, error.reason, error.text)
        except Refused as error:
            return self._refused(verb, transaction, error.code, error.text)
        except Exception:  # the edge: whoever may send commands may not be able to stop the agent with one
            log.exception("command %s by %s failed", verb, by)
            return self._refused(verb, transaction, "internal-error", _REASONS["internal-error"])

    def _refused(self, verb: str, transaction: str | None, reason: str, text: Text) -> dict[str, Any]:
        return refusal(verb, transaction, self._clock(), reason, text, self._language)

    def _remember(self, key: str, said: dict[str, Any], then: Callable[[], None]) -> None:
        self._answers[key] = {"at": self._clock(), "answer": said}
        self._forget()
        state: dict[str, Body | None] = {**dict.fromkeys(self._forgotten), key: self._answers[key]}
        self._forgotten.clear()
        self._store.commit(Batch(state), lambda *_: then())

    def _forget(self) -> None:
        """Drop the oldest answers that are too many or too old; the disk hears of it with the next one."""
        while self._answers:
            oldest = next(iter(self._answers))
            if len(self._answers) <= REMEMBERED and self._answers[oldest]["at"] > self._clock() - MEMORY:
                return
            del self._answers[oldest]
            self._forgotten.append(oldest)

    def _reply(self, received: Received, mode: Mode, verb: str, said: Mapping[str, Any]) -> None:
        now, topic = self._clock(), self._tree.answer(verb, mode)
        wanted = received.response_topic
        # Our rights are not lent out: a response topic may not be one of the topics that people believe.
        if wanted and not set("+#") & set(wanted) and not wanted.startswith(f"{self._tree.root}/"):
            topic = wanted
        self._send(Message(topic, dump(said), Place.EVENT, born=now, expires=now + _EXPIRY), received.correlation)


def _parsed(payload: bytes) -> dict[str, Any]:
    if len(payload) > LARGEST:
        raise Rejected("too-large")
    try:
        request = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Rejected("bad-json") from error
    if not isinstance(request, dict):
        raise Rejected("bad-json")
    return request


def _transaction(request: dict[str, Any], correlation: bytes | None) -> str | None:
    """Take the request's id, which tells a repetition from a second wish; correlation data serves as one."""
    transaction = request.pop("transaction", None)
    if transaction is None:
        return correlation.hex()[:64] if correlation else None
    if not isinstance(transaction, str) or not 1 <= len(transaction) <= 64:
        raise Rejected("bad-transaction")
    return transaction


def _operator(request: dict[str, Any]) -> str:
    by = request.pop("by", None)
    if not isinstance(by, str) or not 1 <= len(by) <= 80:
        raise Rejected("operator-missing")
    return by
