"""Messages over Kafka: a topic a service, shared by its instances as a consumer group, and a partition an instance for answers.

A service's topic has as many partitions as there are instances: more would only make the batches smaller.

A transaction keeps its partition, so its messages arrive in the order of their sending. The producer is idempotent and waits
for all replicas: a record is there once when `publish` returns. An offset is committed when the effects of all records up to it
have been carried out, never by time; after a rebalance the rest is delivered again, to the partition's next owner. Members are
static: one that is back at once gets its partitions back, without a rebalance.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from protocols.errors import UsageError
from protocols.service.codec import Codec
from protocols.service.links import MOST_DEAD_LETTERS
from protocols.service.links.broker import MOST_BATCHES_IN, Batch, BrokerLink, BrokerLost, Collector
from protocols.service.links.kafka_reader import LOST, WAIT_MS, Fetched, Reader, describe
from protocols.service.links.kafka_topics import DEAD, METADATA_MS, Topics
from protocols.service.settings import Settings
from protocols.service.tasks import SupervisedTasks
from protocols.shop.services import SERVICES

ANSWER_WITHIN_MS = 5_000
SESSION_MS = 6_000
HEARTBEAT_MS = 1_000
STOP_WITHIN_S = 0.8


def link(settings: Settings, codec: Codec) -> BrokerLink:
    """Make the link. Raises `UsageError` for an instance whose name has no number: it would have no partition."""
    _partition_of(settings.node)
    # Its log repeats at every attempt that the broker is away; the link logs that once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return BrokerLink(settings.node, codec, lambda: connected(settings), routing(_partitions(settings)))


def routing(partitions: Mapping[str, int]) -> Callable[[str, Any], str]:
    """Return a route for `BrokerLink`; `partitions` is the number of instances of each service.

    It leads to `stock/3`, a transaction's partition of a service's topic, or to `replies.order/0`, an instance's partition. It
    raises `UsageError` for an unknown destination.
    """

    def route(to: str, message: Any) -> str:
        if to in partitions:
            return f"{to}/{crc32(message.txn.encode()) % partitions[to]}"
        service, partition = _partition_of(to)
        return f"replies.{service}/{partition}"

    return route


def _partitions(settings: Settings) -> dict[str, int]:
    return {name: len(urls) for name, urls in settings.peers.items()}


def _partition_of(node: str) -> tuple[str, int]:
    service, _, number = node.rpartition("-")
    if service not in SERVICES or not number.isdecimal() or int(number) < 1:
        raise UsageError(f"over Kafka an instance is called SERVICE-NUMBER, like order-1, not {node!r}")
    return service, int(number) - 1


async def dead_letters(url: str) -> Sequence[bytes]:
    """See `Transport.dead_letters`."""
    partition = TopicPartition(DEAD, 0)
    reader = AIOKafkaConsumer(
        bootstrap_servers=_servers(url), request_timeout_ms=ANSWER_WITHIN_MS, auto_offset_reset="earliest"
    )
    bodies: list[bytes] = []
    async with _started(reader):
        reader.assign([partition])
        first = (await reader.beginning_offsets([partition]))[partition]
        end = (await reader.end_offsets([partition]))[partition]
        reader.seek(partition, max(first, end - MOST_DEAD_LETTERS))
        while await reader.position(partition) < end:
            records = await reader.getmany(partition, timeout_ms=WAIT_MS, max_records=MOST_DEAD_LETTERS - len(bodies))
            bodies += [record.value for record in records.get(partition, ())]
    return bodies


async def publish(url: str, service: str, *bodies: bytes) -> None:
    """See `Transport.publish`."""
    producer = AIOKafkaProducer(bootstrap_servers=_servers(url), request_timeout_ms=ANSWER_WITHIN_MS)
    async with _started(producer):
        for body in bodies:
            await producer.send_and_wait(f"wdm.{service}", body, partition=0)


def _servers(urls: str) -> list[str]:
    """Return `HOST:PORT` of each node of the broker."""
    return [urlsplit(url).netloc for url in urls.split()]


@contextlib.asynccontextmanager
async def _started(client: Any) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(3 * ANSWER_WITHIN_MS / 1000):
            await client.start()
            yield
    except LOST as error:
        raise BrokerLost(describe(error)) from error
    finally:
        await client.stop()


@contextlib.asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator["KafkaChannel"]:
    servers = _servers(settings.broker_url)
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(3 * ANSWER_WITHIN_MS / 1000):
                topics = Topics(servers, _partitions(settings), ANSWER_WITHIN_MS)
                stack.push_async_callback(_stopped, topics)
                await topics.open()
                channel = KafkaChannel(servers, settings, topics)
                stack.push_async_callback(channel.close)
                await channel.open()
        except LOST as error:
            raise BrokerLost(describe(error)) from error
        yield channel


class KafkaChannel:
    """A producer and two consumers: of the service's topic, and of this instance's partition of the answers."""

    def __init__(self, servers: Sequence[str], settings: Settings, topics: Topics) -> None:
        service, node = settings.service, settings.node
        self._service = service
        self._topics = topics
        self._replies = TopicPartition(f"wdm.replies.{service}", _partition_of(node)[1])
        common = {
            "bootstrap_servers": servers,
            "client_id": node,
            "request_timeout_ms": ANSWER_WITHIN_MS,
            "metadata_max_age_ms": METADATA_MS,
        }
        self._producer = AIOKafkaProducer(enable_idempotence=True, acks="all", linger_ms=0, **common)
        reading = common | {"enable_auto_commit": False, "auto_offset_reset": "earliest"}
        self._shared = AIOKafkaConsumer(
            group_id=f"wdm.{service}",
            group_instance_id=node,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            **reading,
        )
        self._own = AIOKafkaConsumer(group_id=f"wdm.replies.{node}", **reading)
        self._arrived: asyncio.Queue[Fetched] = asyncio.Queue(MOST_BATCHES_IN)
        self._rejected = Collector()
        self._tasks = SupervisedTasks()
        self._readers = (Reader(self._shared), Reader(self._own))

    async def open(self) -> None:
        await self._producer.start()
        self._join()
        await self._shared.start()
        self._own.assign([self._replies])
        await self._own.start()

    def _join(self) -> None:
        self._shared.subscribe([f"wdm.{self._service}"], listener=self._readers[0])

    async def close(self) -> None:
        """Stop all clients at once: a stop in a hurry cancels this, and each of them has begun to stop by then."""
        await asyncio.gather(*(_stopped(client) for client in (self._producer, self._shared, self._own)))

    def publish(self, to: str, body: bytes, confirmed: Callable[[], None]) -> None:
        topic, _, partition = to.rpartition("/")
        self._tasks.start(self._publish(f"wdm.{topic}", int(partition), body, confirmed), "kafka publish")

    def put_aside(self, body: bytes, why: str, confirmed: Callable[[], None]) -> None:
        self._tasks.start(self._publish(DEAD, 0, body, confirmed, why), "kafka put aside")

    async def _publish(
        self, topic: str, partition: int, body: bytes, confirmed: Callable[[], None], why: str = ""
    ) -> None:
        try:
            await self._producer.send_and_wait(
                topic, body, partition=partition, headers=[("why", why.encode())] * bool(why)
            )
        except LOST as error:
            raise BrokerLost(describe(error)) from error
        confirmed()

    async def batches(self) -> AsyncIterator[Batch]:
        while True:
            fetched = await self._arrived.get()
            if not fetched.tracker.closed:
                yield fetched.batch

    async def work(self) -> None:
        for reader in self._readers:
            self._tasks.start(reader.read(self._arrived, self._rejected), "kafka read")
            self._tasks.start(reader.commit(), "kafka commit")
        self._tasks.start(self._publish_rejected(), "kafka dead letters")
        self._tasks.start(self._topics.watch(self._shared.assignment, self._join), "kafka watch")
        try:
            await self._tasks.wait_for_failure()
        except asyncio.CancelledError:
            for reader in self._readers:
                await reader.commit_rest()
            raise

    async def _publish_rejected(self) -> None:
        while True:
            for body, why, done in await self._rejected.take():
                await self._publish(DEAD, 0, body, done, why)


async def _stopped(client: Any) -> None:
    with contextlib.suppress(*LOST):
        async with asyncio.timeout(STOP_WITHIN_S):
            await client.stop()
