"""Messages over RabbitMQ: a quorum queue a service, shared by its instances, and one an instance for the answers to it.

A batch is published with a confirm: it is in the queue's log when `publish` returns. It is acknowledged after its effects; a
batch that a process left unacknowledged is delivered again. A rejected batch goes to a dead-letter queue. Each answer names its
transaction itself; the batch around it only names its sender (`reply_to`).

One trap: RabbitMQ (3.10) writes the first term of a new quorum queue lazily. Killed within a second or two of the queue's
creation it never elects a leader for it again, and the queue has to be deleted by hand.

The client library's own reconnection is not used: which batch is published again, and when, is the link's decision.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from aio_pika import DeliveryMode, Message, connect
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelPreconditionFailed
from aiormq.abc import DeliveredMessage

from protocols.service.codec import Codec
from protocols.service.links import MOST_DEAD_LETTER_BYTES, MOST_DEAD_LETTERS
from protocols.service.links.broker import (
    MOST_BATCHES_IN,
    Addresses,
    Batch,
    BrokerLink,
    BrokerLost,
    Collector,
    Confirmed,
)
from protocols.service.settings import Settings
from protocols.service.tasks import SupervisedTasks, start_task
from protocols.shop.services import SERVICES

DEAD = "wdm.dead"
PREFETCH = MOST_BATCHES_IN
ANSWER_WITHIN_S = 5.0
CLOSE_WITHIN_S = 1.0
HEARTBEAT_S = 4
LOOK_EVERY_S = 5.0
T = TypeVar("T")
LOST = (*CONNECTION_EXCEPTIONS, TimeoutError)
QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
KEPT: dict[str, Any] = {**QUORUM, "x-max-length": MOST_DEAD_LETTERS, "x-max-length-bytes": MOST_DEAD_LETTER_BYTES}
# At-least-once dead-lettering drops nothing, and requires a queue that rejects new messages when it is full.
WITH_DEAD_LETTERS = {
    **QUORUM,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def link(settings: Settings, codec: Codec) -> BrokerLink:
    for library in ("aio_pika", "aiormq"):  # they repeat that the broker is away; the link logs it once
        logging.getLogger(library).setLevel(logging.CRITICAL)
    addresses = Addresses(settings.broker_url, settings.node)
    return BrokerLink(settings.node, codec, lambda: connected(addresses.take(), settings.service, settings.node))


def queue_of(to: str) -> str:
    return f"wdm.{to}"


async def dead_letters(url: str) -> Sequence[bytes]:
    """See `Transport.dead_letters`. The messages are not acknowledged, so they go back to the queue."""
    bodies: list[bytes] = []
    async with _connection(url) as connection:
        async with _answered():
            queue = await _dead_letters(connection)
        while len(bodies) < MOST_DEAD_LETTERS:
            async with _answered():  # a limit for each of them: a thousand take seconds
                message = await queue.get(fail=False)
            if message is None:
                break
            bodies.append(message.body)
    return bodies


async def publish(url: str, service: str, *bodies: bytes) -> None:
    """See `Transport.publish`."""
    async with _connection(url) as connection:
        async with _answered():
            channel = await connection.channel(publisher_confirms=True)
        for body in bodies:
            async with _answered():
                message = Message(body, delivery_mode=DeliveryMode.PERSISTENT)
                await channel.default_exchange.publish(message, queue_of(service))


@contextlib.asynccontextmanager
async def connected(url: str, service: str, node: str) -> AsyncIterator["RabbitChannel"]:
    async with _connection(url) as connection:
        channel = RabbitChannel(connection, node)
        async with _answered():
            await channel.open(service)
        yield channel


@contextlib.asynccontextmanager
async def _connection(urls: str) -> AsyncIterator[AbstractConnection]:
    """Connect to the first of these nodes of the broker, separated by spaces, that accepts it. Raises `BrokerLost`."""
    *others, last = urls.split()
    for url in others:
        with contextlib.suppress(BrokerLost):
            connection = await _connected(url)
            break
    else:
        connection = await _connected(last)
    try:
        yield connection
    finally:
        with contextlib.suppress(*LOST):
            await within(CLOSE_WITHIN_S, connection.close(), "close")


async def _connected(url: str) -> AbstractConnection:
    try:
        return await within(ANSWER_WITHIN_S, connect(url, timeout=ANSWER_WITHIN_S, heartbeat=HEARTBEAT_S), "connect")
    except LOST as error:
        raise BrokerLost(_describe(error)) from error


async def within(limit_s: float, work: Coroutine[Any, Any, T], name: str) -> T:
    """Return the result of work that may ignore its cancellation. Raises `TimeoutError`.

    The library's close does so while the broker, its disk full, reads nothing from its publishers. Such a connection is left
    to itself: it sends no heartbeats any more, so the broker closes it.
    """
    task = start_task(work, f"rabbitmq {name}")
    # Marked as seen: if the wait below is cancelled, nothing else will look at the task's failure.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        await asyncio.wait({task}, timeout=limit_s)
    finally:
        if not task.done():
            task.cancel()
    if not task.done():
        raise TimeoutError(f"no end of {name} within {limit_s:g} s")
    return task.result()


@contextlib.asynccontextmanager
async def _answered() -> AsyncIterator[None]:
    """Raise `BrokerLost` if the broker does not answer in time inside this context, or fails."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            yield
    except LOST as error:
        raise BrokerLost(_describe(error)) from error


async def _dead_letters(connection: AbstractConnection) -> AbstractQueue:
    """Declare the queue of dead letters, on a channel of its own. It keeps the newest; one of an earlier version keeps all."""
    channel = await connection.channel()
    try:
        return await channel.declare_queue(DEAD, durable=True, arguments=KEPT)
    except ChannelPreconditionFailed:
        channel = await connection.channel()
        return await channel.declare_queue(DEAD, passive=True)


class RabbitChannel:
    """A channel of this instance, `node`."""

    def __init__(self, connection: Any, node: str) -> None:
        self._connection = connection
        self._node = node
        self._arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()  # prefetch bounds it
        self._done = Collector()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._channel: AbstractChannel
        self._queues: dict[str, AbstractQueue] = {}
        self._tasks = SupervisedTasks()

    async def open(self, service: str) -> None:
        self._connection.close_callbacks.add(lambda *_: self._lose("the connection was closed"))
        self._channel = channel = await self._connection.channel(publisher_confirms=True)
        channel.close_callbacks.add(lambda *_: self._lose("the connection was closed"))
        await channel.set_qos(prefetch_count=PREFETCH)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._cancelled)
        await self._declare()
        for name in (service, self._node):
            await self._queues[queue_of(name)].consume(self._arrived.put)

    def publish(self, to: str, body: bytes, confirmed: Confirmed) -> None:
        message = Message(body, delivery_mode=DeliveryMode.PERSISTENT, reply_to=queue_of(self._node))
        self._tasks.start(self._publish(queue_of(to), message, confirmed), "rabbitmq publish")

    def put_aside(self, body: bytes, why: str, confirmed: Confirmed) -> None:
        message = Message(body, delivery_mode=DeliveryMode.PERSISTENT, headers={"why": why})
        self._tasks.start(self._publish(DEAD, message, confirmed), "rabbitmq put aside")

    async def _publish(self, queue: str, message: Message, confirmed: Confirmed) -> None:
        try:
            answer = await self._channel.default_exchange.publish(message, queue, timeout=ANSWER_WITHIN_S)
        except LOST as error:
            raise BrokerLost(_describe(error)) from error
        if not isinstance(answer, DeliveredMessage):
            confirmed()
        elif queue in self._queues:
            raise BrokerLost(
                f"the queue {queue} is gone"
            )  # the next connection declares it, and the batch leaves again
        else:
            confirmed(False)  # to an instance that is gone: a living one has made its queue

    async def batches(self) -> AsyncIterator[Batch]:
        while True:
            yield self._batch(await self._arrived.get())

    async def work(self) -> None:
        """Acknowledge finished batches, check the queues, and notice the end of the connection."""
        self._tasks.start(self._acknowledge(), "rabbitmq acknowledge")
        self._tasks.start(self._notice(), "rabbitmq notice")
        self._tasks.start(self._look_after_queues(), "rabbitmq queues")
        await self._tasks.wait_for_failure()

    # ------------------------------------------------------------ inside

    def _batch(self, message: AbstractIncomingMessage) -> Batch:
        def done(_: bool = True) -> None:
            self._done.add(message)

        # Published and acknowledged, instead of AMQP's own reject: after that the broker would try for minutes, and report
        # nothing, to move the message to a dead-letter queue that is gone.
        return Batch(message.body, done, lambda why: self.put_aside(message.body, why, done))

    async def _declare(self) -> None:
        """Declare all queues; an existing one stays as it is."""
        self._queues[DEAD] = await _dead_letters(self._connection)
        for name in map(queue_of, (*SERVICES, self._node)):
            self._queues[name] = await self._channel.declare_queue(name, durable=True, arguments=WITH_DEAD_LETTERS)

    async def _look_after_queues(self) -> None:
        """Declare the queues again and again: no event reports the deletion of a queue that is rarely used (dead letters)."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            async with _answered():
                await self._declare()

    def _cancelled(self, frame: Any) -> None:
        self._lose(f"the broker cancelled the consumer {frame.consumer_tag}: its queue is gone or has moved")

    def _lose(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_result(why)

    async def _notice(self) -> None:
        raise BrokerLost(await self._lost)

    async def _acknowledge(self) -> None:
        while True:
            for message in await self._done.take():
                try:
                    await message.ack()
                except LOST as error:
                    raise BrokerLost(_describe(error)) from error


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__
