"""The feed: what the agent has to say, brought to the broker and kept true there.

Alarms and other events go through the store's outbox: committed first, then sent at a bounded rate, deleted when the
broker has acknowledged them. Whatever is retained is held in memory, the newest a topic, and said again after every
connection: a broker may forget it. That of alarms and runs follows their events; a restart makes it of their state.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from edgeagent import messages
from edgeagent.alarm import Alarm, Change
from edgeagent.alarmfeed import gone, messages_of
from edgeagent.commands import Commands
from edgeagent.delivery import NEVER, TOO_LARGE, Bucket, Patience, Settings
from edgeagent.foreign import Foreign
from edgeagent.messages import GAP, Message, Mode, Place, dump
from edgeagent.mqtt import Connection, Events, MqttError, Received, Will
from edgeagent.openalarms import OpenAlarms
from edgeagent.outbox import Row
from edgeagent.payloads import status
from edgeagent.store import Batch, Store, StoreError
from edgeagent.underway import AHEAD, Line, Owed, Sent, Waiting, parted

log = logging.getLogger(__name__)

_REPLAYED, _FLUSH, _AGAIN, _GATHER, _OVERHEAD = 60.0, 0.5, 2.0, 0.02, 256


class Feed:
    """Everything between the agent and its broker.

    `connect` builds the connection that calls us back. `on_trouble(kind, text)` hears of "disconnected", "quarantine",
    "denied" and "oversize", `on_announced(subject, at, lane)` when the broker has the event of an alarm or a run.
    """

    def __init__(
        self, settings: Settings, store: Store, connect: Callable[[Events, Will], Connection],
        on_command: Callable[[str, dict[str, Any], str], Mapping[str, Any]], *,
        clock: Callable[[], float] = time.time, on_trouble: Callable[[str, str], None] | None = None,
        on_announced: Callable[[str, float, Mode], None] | None = None,
    ) -> None:  # fmt: skip
        self._settings, self._tree, self._store, self._clock = settings, settings.tree, store, clock
        self._on_trouble, self._on_announced = on_trouble or (lambda *_: None), on_announced or (lambda *_: None)
        will = dump(status(online=False, reason="lost", boot=store.boot, since=None))
        self.connection = connect(self, Will(self._tree.own("status"), will))
        self.foreign = Foreign(self._tree, will, self._repair)
        self._commands = Commands(self._tree, settings.language, store, on_command, self._answer, clock)
        self._held, self._newest, self._acked = dict[str, Message](), dict[str, Message](), list[int]()
        self._owed, self._open = Owed(), OpenAlarms()
        self._direct: deque[tuple[Message, bytes | None, asyncio.Future[None] | None]] = deque()
        self._budget = Bucket(settings.rate, settings.burst)
        self._telemetry = Bucket(settings.telemetry_rate, max(20.0, settings.telemetry_rate / 10))
        self._line: Line | None = None
        self._waiting, self._patience, self._largest, self._births = Waiting(), Patience(), settings.largest, 0
        self._timer: asyncio.TimerHandle | None = None
        self._lost, self._ticked, self._stopping, self._stop = "", time.monotonic(), False, asyncio.Event()

    # What the agent says.

    def messages(
        self, changes: Sequence[Change], now: float, folded: Callable[[str], bool] = lambda _: False,
        mode: Mode = Mode.LIVE, next_seq: Callable[[], int] | None = None,
    ) -> list[Message]:  # fmt: skip
        """Turn alarm changes of a lane into what a batch has to hold: records (but of the folded), events, snapshot."""
        self._open.change(changes)
        number, language = next_seq or self._store.next_seq, self._settings.language
        told = messages_of(changes, self._tree, language, self._store.boot, number, now, folded)
        return told + self.snapshots(now, mode)

    def snapshots(self, now: float, mode: Mode) -> list[Message]:
        """Take a lane's snapshot for a batch, if it was put off and is due."""
        return [self._snapshot(mode, now)] if self._open.due(now, mode) else []

    def gone(self, alarms: Iterable[Alarm], now: float) -> list[Message]:
        """Turn records that are no longer listed, and were said, into tombstones for a batch."""
        stones = (gone(alarm, self._tree, now) for alarm in alarms)
        return [stone for stone in stones if (self._newest.get(stone.topic) or self._held.get(stone.topic, stone)).body]

    def commit(self, batch: Batch) -> asyncio.Future[None]:
        """Write a batch and send its messages as soon as it is on the disk, those that are retained state last.

        When the disk refuses, the messages are sent from memory; the future tells of it (see `Store.commit`).
        """
        newest, (rows, state) = self._newest, parted(batch.outbox)
        fresh = [each.topic for each in state if each.topic not in self._held or not newest.get(each.topic, each).body]
        newest.update((message.topic, message) for message in batch.outbox if message.retain)

        def written(error: StoreError | None, rows: Sequence[Row]) -> None:
            if error is None or error.kept:
                for message in batch.outbox:
                    if message.retain and newest[message.topic] is message:
                        self._hold(message)
                self._wake(rows)
                self.connection.flush()
                self._owed.tell(message for message in state if newest[message.topic] is message)
                self._pump()
                self.connection.flush()

        return self._store.commit(replace(batch, outbox=rows, retained=fresh), written)

    def hold(self, *said: Message) -> None:
        """Say retained messages from memory, now and after each connection; the same body again only if it expires."""
        for message in said:
            topic, last = message.topic, self._newest.get(message.topic)
            if message.expires is None and last is not None and last.body == message.body:
                continue
            if last is None or not last.body:
                self._store.note_retained([topic])
            self._held[topic] = self._newest[topic] = message
            self._owed.rest[topic] = None
        self._pump()

    def restore(self, listed: Iterable[Alarm], said: Iterable[Message]) -> None:
        """Take over the alarms and the retained records that were there before the start; call it before `run`."""
        for alarm in listed:
            self._open.take(alarm)
        for message in (*said, self._snapshot(Mode.LIVE, self._clock())):
            self._hold(message)

    def begin_drill(self, drill_id: str, now: float) -> Message:
        """Open the drill lane, and give the snapshot in which it has no alarms yet."""
        self._open.begin(drill_id)
        return self._snapshot(Mode.DRILL, now)

    def end_drill(self, now: float) -> list[Message]:
        """Empty the drill lane: tombstones for all that a drill has left retained, be it on its way still."""
        self._open.begin(None)
        left = (topic for topic, last in self._newest.items() if last.body and self._tree.mode(topic) is Mode.DRILL)
        return [messages.tombstone(topic, now) for topic in left]

    def say_again(self) -> None:
        """Say everything that is held in memory again, as after a new connection, documents first."""
        self._owed.again(self._held)
        self._wake()

    @property
    def session(self) -> Literal["connected", "disconnected", "refused", "taken-over"]:
        """Tell how we stand with the broker."""
        if self._line is not None:
            return "connected"
        lost = self._lost
        return "taken-over" if "another client" in lost else "refused" if lost.startswith("refused") else "disconnected"

    def alive(self) -> bool:
        """Tell whether the feed's own loop goes on, broker or not."""
        return time.monotonic() - self._ticked < 10.0

    async def run(self) -> None:
        """Keep the feed going until cancelled or stopped. All that is retained must have been held before."""
        if self._tree.alarms() not in self._held:
            self.restore((), ())
        unwanted = self._store.retained() - self._held.keys() - {self._tree.own("status")}
        if unwanted:
            self._store.commit(Batch(outbox=[messages.tombstone(topic, self._clock()) for topic in sorted(unwanted)]))
        self._store.note_retained([self._tree.own("status")])
        running = asyncio.create_task(self.connection.run(), name="mqtt")
        try:
            while not self._stop.is_set() and not running.done():
                self._ticked = time.monotonic()
                self.foreign.step(self._ticked)
                self._wake()  # the store adds gaps by itself, and what was put off comes due
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), 1.0)
        finally:
            running.cancel()
            await asyncio.wait([running])
        if not running.cancelled():
            running.result()

    async def stop(self, reason: str = "stop") -> None:
        """Send what waits for 2 s at most, say that we are gone, wait up to 3 s for that to be heard, disconnect."""
        patience = time.monotonic() + 2.0
        with suppress(StoreError, TimeoutError):  # what is being written now is not among what waits yet
            await asyncio.wait_for(asyncio.shield(self._store.commit(Batch())), 2.0)
        while (line := self._line) and (self._waiting.some or line.sent) and time.monotonic() < patience:  # noqa: ASYNC110 - bounded
            await asyncio.sleep(0.02)
        self._stopping = True
        if self._line is not None:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._direct.append((self._status(online=False, reason=reason), None, done))
            self._pump()
            await asyncio.wait([done], timeout=3.0)
        self._flush()
        await self.connection.close()
        self._stop.set()

    # What the connection says.

    def on_connected(self, session_present: bool, maximum_packet_size: int | None) -> None:
        """Give birth, then say everything again that may have been forgotten."""
        self._line = Line(self._clock(), min((maximum_packet_size or 1 << 28) - _OVERHEAD, self._largest))
        self._waiting.drop()
        self._births += 1
        birth = self._status(online=True, reason="start" if self._births == 1 else "reconnect")
        self._direct.appendleft((birth, None, None))
        self.connection.subscribe([self._tree.requests], retained=False)
        self.foreign.begin(birth.body, time.monotonic())
        self.connection.subscribe(self.foreign.filters, qos=0, retained=False, own=False)
        self.say_again()

    def on_disconnected(self, reason: str, code: int | None) -> None:
        """Take what was not acknowledged for not delivered."""
        line, self._line, self._lost = self._line, None, reason
        self._on_trouble("disconnected", reason)
        if line is None:
            return
        held = [sent.message.size for sent in line.sent.values() if not sent.row]
        large = self._patience.hung_up(held) if line.heard else None
        if code == TOO_LARGE:  # it does not say which: nothing as large as the largest will be tried again
            large = max((sent.message.size for sent in line.sent.values()), default=self._largest)
        if large is not None:
            self._largest = large - 1
            log.error("the broker takes no message as large as ours: from now on at most %d bytes", self._largest)
        rows = {sent.row: sent.message for sent in line.sent.values() if sent.row}
        self._store.tried(rows)
        given_up = self._patience.broken({row: rows[row].size for row in rows}) if line.heard else None
        if given_up is not None:
            self._set_aside(given_up, rows[given_up], "the broker hangs up whenever it is sent")

    def on_ack(self, mid: int, code: int, failure: bool) -> None:
        """Delete what the broker has, put aside what it will never take, keep the rest for later."""
        if (line := self._line) is None or (sent := line.sent.pop(mid, None)) is None:
            return
        line.heard |= sent.message.qos > 0
        if sent.done is not None and not sent.done.done():
            sent.done.set_result(None)
        if failure:
            self._failed(sent, code)
        elif sent.row:
            self._delivered(sent)
        self._pump()

    def on_message(self, message: Received) -> None:
        """Take a command, or see what another client says in our place."""
        said = [held[message.topic].body for held in (self._held, self._newest) if message.topic in held]
        if self._tree.requested(message.topic) is None:
            self.foreign.take(message.topic, message.payload, said, time.monotonic())
        self._commands.take(message)

    def _repair(self, topic: str) -> None:
        """Say again what another client has overwritten; take away what is none of ours."""
        if topic in self._held:
            self._owed.rest[topic] = None
            self._pump()
        elif topic == self._tree.own("status"):
            self._answer(self._status(online=True, reason="reconnect"), None)
        elif topic not in self._newest or not self._newest[topic].body:
            self._answer(messages.tombstone(topic, self._clock()), None)

    def _delivered(self, sent: Sent) -> None:
        self._patience.over(sent.row)
        if not self._acked:
            asyncio.get_running_loop().call_later(_FLUSH, self._flush)
        self._acked.append(sent.row)
        if sent.message.subject:
            self._on_announced(sent.message.subject, self._clock(), self._tree.mode(sent.message.topic))

    def _failed(self, sent: Sent, code: int) -> None:
        why = NEVER.get(code)
        if not sent.row:
            log.warning("%s was refused: %s", sent.message.topic, why or f"reason code {code:#04x}")
            self._on_trouble("denied", sent.message.topic)
            if why is None and sent.message.retain:
                asyncio.get_running_loop().call_later(_AGAIN, self._repair, sent.message.topic)
        elif why is not None:
            self._set_aside(sent.row, sent.message, why)
        else:
            delay = self._patience.refused(sent.row, time.monotonic())
            self._store.tried([sent.row])
            log.warning("%s was refused: reason code %#04x; next in %.0f s", sent.message.topic, code, delay)

    def _set_aside(self, row: int, message: Message, why: str) -> None:
        log.error("%s cannot be delivered and is put in quarantine: %s", message.topic, why)
        self._patience.over(row)
        self._store.quarantine(row, why)
        self._on_trouble("quarantine", f"{message.topic}: {why}")

    def _wake(self, rows: Sequence[Row] | None = None) -> None:
        self._waiting.add(rows)
        self._pump()

    def _pump(self) -> None:
        """Send what may be sent: what is urgent, then the outbox, then what is held in memory."""
        line, now, owed = self._line, time.monotonic(), self._owed
        if line is None or not self.connection.connected:
            return
        budget, telemetry, wary = self._budget.fill(now), self._telemetry.fill(now), self._patience.wary
        while self._direct and self.connection.room > 0:
            message, correlation, done = self._direct.popleft()
            self._publish(line, Sent(0, message, done), correlation)
        if self._stopping:
            return
        if owed.first and self._waiting.late(self.connection.room) and self._patience.alone is None and not wary:
            self._say(line, owed.first)  # who hears late what happened looks there whether it is still so
        while self._waiting.some and self.connection.room > 0 and budget >= 1:
            rows = self._next_rows(line, min(self.connection.room, int(budget)), now)
            for row in rows:
                self._send_row(line, row)
            budget = self._budget.take(len(rows))
        while (topic := owed.next) and self._patience.alone is None and telemetry >= 1:
            if self._held[topic].qos and (self.connection.room <= 0 or (wary and (self._waiting.some or line.sent))):
                break
            telemetry = self._telemetry.take(1)
            self._say(line, topic)
        if self._waiting.some and budget < 1:
            self._again(1 / self._budget.rate)
        if owed.next and telemetry < 1:  # one at a time they would cost as much again
            self._again(max(_GATHER, 1 / self._telemetry.rate))

    def _say(self, line: Line, topic: str) -> None:
        self._owed.drop(topic)
        message = self._held[topic]
        if message.expires is None or message.expires > self._clock():
            self._publish(line, Sent(0, message))

    def _again(self, delay: float) -> None:
        loop, timer = asyncio.get_running_loop(), self._timer
        if timer is None or not loop.time() <= timer.when() <= loop.time() + delay:
            self._timer = loop.call_later(delay, self._pump)

    def _next_rows(self, line: Line, limit: int, now: float) -> list[Row]:
        patience, waiting = self._patience, self._waiting
        if patience.alone is None and (ahead := waiting.take(limit)) is not None:
            return ahead
        out = {sent.row for sent in line.sent.values()}.union(self._acked)
        if patience.alone is not None:
            waiting.drop()
            suspect = [row for row in self._store.next_rows(1_000, out) if row.id == patience.alone]
            if suspect or patience.alone in out:
                return suspect
            patience.over(patience.alone)
        return waiting.look(self._store.next_rows(AHEAD, out | patience.waiting(now)), limit)

    def _send_row(self, line: Line, row: Row) -> None:
        message = row.message
        if message.topic == GAP:
            message = messages.told_gap(self._tree, message, row.id, self._store.boot)
        if message.place is Place.EVENT and message.born < line.since - _REPLAYED:
            message = messages.as_replayed(message)
        if not message.body and self._newest.get(message.topic, message).body:  # wanted again since
            self._store.delete([row.id])
            self._store.note_retained([message.topic])
        elif message.size > line.largest:
            self._set_aside(row.id, message, f"{len(message.body)} bytes are too large")
        else:
            self._owed.drop(message.topic)
            self._publish(line, Sent(row.id, message))

    def _publish(self, line: Line, sent: Sent, correlation: bytes | None = None) -> None:
        message = sent.message
        if message.size > line.largest:
            log.error("%s was not sent: %d bytes are too large", message.topic, len(message.body))
            self._on_trouble("oversize", message.topic)
            return
        expiry = None if message.expires is None else int(message.expires - self._clock())
        try:
            mid = self.connection.publish(
                message.topic, message.body, qos=message.qos, retain=message.retain, expiry=expiry,
                user=message.properties, content_type=message.content_type if message.body else None,
                correlation=correlation,
            )  # fmt: skip
        except MqttError as error:  # it went away just now; on_disconnected follows
            log.debug("%s was not sent: %s", message.topic, error)
            return
        if message.qos:
            line.sent[mid] = sent
        elif sent.row:  # nobody acknowledges it; it is retained, and said again after each connection
            self._delivered(sent)

    def _flush(self) -> None:
        if self._acked:
            self._store.delete(self._acked)
            self._acked = []

    def _answer(self, message: Message, correlation: bytes | None) -> None:
        self._direct.append((message, correlation, None))
        self._pump()

    def _hold(self, message: Message) -> None:
        self._held[message.topic] = message
        if not message.body:
            del self._held[message.topic]
            self._owed.drop(message.topic)

    def _snapshot(self, mode: Mode, now: float) -> Message:
        return self._open.snapshot(self._tree, mode, self._settings.language, self._store.boot, self._store.seq, now)

    def _status(self, *, online: bool, reason: str) -> Message:
        now = self._clock()
        payload = status(online=online, reason=reason, boot=self._store.boot, since=now)
        return messages.state(self._tree.own("status"), payload, now, place=Place.STATUS)
