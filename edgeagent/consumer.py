"""The reading side of the feed, for the command line: follow topics, ask the agent for something."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from edgeagent.broker import Broker
from edgeagent.mqtt import NO_SUBSCRIBERS, NOT_AUTHORISED, Connection, MqttError, Received


class Denied(MqttError):
    """The broker does not let us ask there."""


class Consumer:
    """A connection that reads. Iterate it for messages; after a lost connection it subscribes again by itself."""

    def __init__(self, broker: Broker, filters: Sequence[str]) -> None:
        self._filters = filters
        self._inbox: asyncio.Queue[Received | MqttError] = asyncio.Queue()
        self._acks: dict[int, asyncio.Future[int]] = {}
        self._up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connection = Connection(broker, self)

    async def wait(self) -> None:
        """Wait for the first connection.

        Raises:
            MqttError: when the first attempt fails.
        """
        await self._up

    async def send(self, topic: str, payload: bytes, answers: str, correlation: bytes) -> None:
        """Publish a request and wait until the broker has handed it on.

        Raises:
            Denied: when we have no right to it.
            MqttError: when the broker refuses it, or nobody listens for it.
        """
        mid = self.connection.publish(
            topic, payload, expiry=30, content_type="application/json", response_topic=answers, correlation=correlation
        )
        code = await self._acks.setdefault(mid, asyncio.get_running_loop().create_future())
        if code == NOT_AUTHORISED:
            raise Denied(f"not authorised to publish on {topic}")
        if code == NO_SUBSCRIBERS:
            raise MqttError("no agent listens there: is it running, and are site and mode right?")
        if code >= 0x80:
            raise MqttError(f"the broker refused the request: reason code {code:#04x}")

    def __aiter__(self) -> AsyncIterator[Received]:
        return self

    async def __anext__(self) -> Received:
        received = await self._inbox.get()
        if isinstance(received, MqttError):
            raise received
        return received

    def on_connected(self, session_present: bool, maximum_packet_size: int | None) -> None:
        """Subscribe, each time: sessions are not kept."""
        self.connection.subscribe(self._filters)
        if not self._up.done():
            self._up.set_result(None)

    def on_disconnected(self, reason: str, code: int | None) -> None:
        """Give up if there was never a connection; fail requests that got no acknowledgement."""
        if not self._up.done():
            self._up.set_exception(MqttError(f"{self.connection.broker}: {reason}"))
        for ack in self._acks.values():
            if not ack.done():
                ack.set_exception(MqttError(f"the connection was lost: {reason}"))

    def on_ack(self, mid: int, code: int, failure: bool) -> None:
        """Wake the request that waits for it."""
        ack = self._acks.setdefault(mid, asyncio.get_running_loop().create_future())
        if not ack.done():
            ack.set_result(code)

    def on_message(self, message: Received) -> None:
        """Queue it."""
        self._inbox.put_nowait(message)


@asynccontextmanager
async def consume(broker: Broker, filters: Sequence[str]) -> AsyncIterator[Consumer]:
    """Connect, subscribe and yield a consumer to iterate.

    Raises:
        MqttError: when the broker cannot be reached or refuses us.
    """
    consumer = Consumer(broker, filters)
    running = asyncio.create_task(consumer.connection.run())
    try:
        await consumer.wait()
        yield consumer
    finally:
        await consumer.connection.close()
        running.cancel()
        await asyncio.wait([running])


async def request(broker: Broker, topic: str, payload: bytes, answers: str, within: float = 10.0) -> bytes:
    """Publish a request and return the answer that carries our correlation data.

    Raises:
        Denied: when we have no right to ask there.
        MqttError: when the broker cannot be used, refuses the request, or nobody listens.
        TimeoutError: when no answer came `within` s.
    """
    correlation = uuid.uuid4().bytes
    async with asyncio.timeout(within), consume(broker, [answers]) as consumer:
        await consumer.send(topic, payload, answers, correlation)
        async for answer in consumer:
            if answer.correlation == correlation:
                return answer.payload
    raise TimeoutError
