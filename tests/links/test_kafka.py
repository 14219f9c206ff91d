"""The promises of a link over Kafka beside those of every link, on a real broker: no rebalance makes it skip a record."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.protocol.group import LeaveGroupRequest
from structlog.testing import capture_logs

from protocols.service.links import MOST_DEAD_LETTER_BYTES, MOST_DEAD_LETTERS, transport
from protocols.service.links.broker import MOST_BATCHES_IN
from protocols.service.links.kafka import routing
from protocols.service.links.kafka_topics import DEAD, Topics
from tests.links.conftest import Inbox, Note, Running, drained, started

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.broker,
    pytest.mark.parametrize("broker", ["kafka"], indirect=True, scope="module"),
]
TOPIC = "wdm.stock"
SOON_S = 30.0


class Holding(Inbox):
    """An inbox that finishes a batch when none of its notes is in `held`; `release` finishes the rest."""

    def __init__(self, held: set[Note]) -> None:
        super().__init__()
        self.held = held
        self._unfinished: list[tuple[list[Note], Callable[[], None]]] = []

    def __call__(self, sender: str, messages: Any, done: Callable[[], None]) -> None:
        self.senders.add(sender)
        self.notes += messages
        self._unfinished.append((list(messages), done))
        self.release()

    def release(self) -> None:
        over = [(notes, done) for notes, done in self._unfinished if not self.held & set(notes)]
        self._unfinished = [item for item in self._unfinished if item not in over]
        for _, done in over:
            done()


async def test_an_instance_that_joins_in_mid_batch_moves_no_offset_beyond_unfinished_work(broker: Running) -> None:
    kept, given = (
        notes_of(0, 5 * MOST_BATCHES_IN),
        notes_of(1, 1),
    )  # the library gives the first member the first partition
    held = {*kept[10:], *given}
    one, other = Holding(held), Inbox()
    async with started(broker.link("order-1"), Inbox()) as order:
        for note in (*kept, *given):
            order.send("stock", note)
            await drained(order)  # a record each
    async with started(broker.link("stock-1"), one):
        await until_committed(broker, 0, 10)
        await until(
            lambda: len(one.notes) >= MOST_BATCHES_IN + 10
        )  # it takes no more, and the next batch waits for room
        async with started(broker.link("stock-2"), other):
            await other.until(set(given))  # it has its partition
            held -= {*kept[30:], *given}
            one.release()
            await until_committed(broker, 0, 10, lambda: set(kept) <= set(one.notes), for_s=0.5)
            held.clear()
            one.release()
            await until_committed(broker, 0, len(kept))


async def test_deleted_topics_are_noticed_created_again_and_consumed_again(broker: Running) -> None:
    request, answer = Note("request"), Note("answer")
    at_order, at_stock = Inbox(), Inbox()
    with capture_logs() as lines:
        async with (
            started(broker.link("order-1"), at_order) as order,
            started(broker.link("stock-1"), at_stock) as stock,
            administration(broker) as admin,
        ):
            await until(lambda: order.up and stock.up)
            lines.clear()
            await admin.delete_topics([TOPIC, "wdm.replies.order"])
            await until(lambda: not order.up and not stock.up)  # nothing is sent meanwhile
            await until(lambda: order.up and stock.up)
            order.send("stock", request)
            await at_stock.until({request})
            stock.send("order-1", answer)
            await at_order.until({answer})
    lost = [line["error"] for line in lines if line["event"] == "broker lost"]
    assert 2 <= len(lost) <= 4, "one line for each, and one more if the second topic goes later"
    assert all("are gone: wdm." in error for error in lost)


async def test_an_instance_that_had_no_partition_because_there_was_no_topic_has_one_when_it_joins_again(
    broker: Running,
) -> None:
    sent, inbox = notes_of(0, 1), Inbox()
    async with member(broker, "stock-1") as former, administration(broker) as admin:  # its former life
        await until(lambda: bool(former.assignment()))
        async with member(broker, None) as other:
            await until(lambda: bool(other.assignment()))
            await admin.delete_topics([TOPIC])
        # The other's leave lets the group rebalance: the client library alone may never notice that a topic is gone.
        await until(lambda: not former.assignment())
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), inbox):
        order.send("stock", sent[0])
        await inbox.until(set(sent))


async def test_a_member_whose_group_is_deleted_consumes_again(broker: Running) -> None:
    before, after = notes_of(0, 1), notes_of(0, 3)[1:]
    inbox = Inbox()
    async with (
        started(broker.link("order-1"), Inbox()) as order,
        started(broker.link("stock-1"), inbox),
        administration(broker) as admin,
    ):
        order.send("stock", before[0])
        await inbox.until(set(before))
        await delete_the_group(admin)
        for note in after:
            order.send("stock", note)
        await inbox.until(set(after))
        await until_committed(broker, 0, await end_of(broker, 0))


async def test_a_member_that_another_one_of_its_name_fences_consumes_again_when_that_one_is_gone(
    broker: Running,
) -> None:
    sent, inbox = notes_of(0, 20), Inbox()
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), inbox):
        order.send("stock", sent[0])
        await inbox.until({sent[0]})
        namesake = AIOKafkaConsumer(
            TOPIC,
            bootstrap_servers=servers(broker),
            group_id=TOPIC,
            group_instance_id="stock-1",
            enable_auto_commit=False,
        )
        await namesake.start()
        try:
            await until(lambda: bool(namesake.assignment()))
            for note in sent[1:]:
                order.send("stock", note)
            await drained(order)
        finally:
            await namesake.stop()
        await inbox.until(set(sent))
        await until_committed(broker, 0, await end_of(broker, 0))


async def test_partitions_that_another_instance_added_first_are_enough(
    broker: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Topics(servers(broker), {"stock": 2}, 5_000)

    async def outdated() -> dict[str, int]:
        return {TOPIC: 1, "wdm.replies.stock": 1}

    monkeypatch.setattr(topics, "_existing", outdated)
    try:
        await topics.open()
    finally:
        await topics.stop()


async def test_a_deleted_topic_of_dead_letters_is_created_again(broker: Running) -> None:
    async with started(broker.link("stock-1"), Inbox()) as stock, administration(broker) as admin:
        await until(lambda: stock.up)
        await admin.delete_topics([DEAD])
        await until(lambda: not stock.up)
        await until(lambda: stock.up)
        await transport("kafka").publish(servers_url(broker), "stock", b"late")
        await until(lambda: stock.counts.dead_lettered == 1)
        async with asyncio.timeout(SOON_S):
            while list(await transport("kafka").dead_letters(servers_url(broker))) != [b"late"]:
                await asyncio.sleep(0.2)


async def test_dead_letters_are_bounded_and_the_newest_are_read(broker: Running) -> None:
    async with started(broker.link("order-1"), Inbox()) as order, administration(broker) as admin:
        await until(lambda: order.up)
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, DEAD)])
    ((_, _, _, _, settings),) = answer.resources
    kept = {name: value for name, value, *_ in settings}
    assert (kept["retention.bytes"], kept["retention.ms"]) == (str(MOST_DEAD_LETTER_BYTES), "-1")
    # Only whole segments are deleted, and never the last.
    assert int(kept["segment.bytes"]) <= MOST_DEAD_LETTER_BYTES / 8
    producer = AIOKafkaProducer(bootstrap_servers=servers(broker))
    await producer.start()
    try:
        sending = [await producer.send(DEAD, str(number).encode()) for number in range(MOST_DEAD_LETTERS + 5)]
        await asyncio.gather(*sending)
    finally:
        await producer.stop()
    found = await transport("kafka").dead_letters(servers_url(broker))
    assert list(found) == [str(number).encode() for number in range(5, MOST_DEAD_LETTERS + 5)]


# ---------------------------------------------------------------- what the broker has


def notes_of(partition: int, count: int) -> list[Note]:
    """Return so many notes for this partition of the stock service's topic."""
    route, names = routing({"stock": 2}), (f"joined.{number}" for number in range(8 * (count + 8)))
    return [Note(name) for name in names if route("stock", Note(name)) == f"stock/{partition}"][:count]


async def until_committed(
    broker: Running, partition: int, wanted: int, over: Callable[[], bool] = lambda: True, for_s: float = 0.0
) -> None:
    """Wait until the stock service's group has committed this offset, ``for_s`` after ``over``, and never a later one."""
    at, clock, until_s = TopicPartition(TOPIC, partition), asyncio.get_running_loop().time, float("inf")
    async with administration(broker) as admin, asyncio.timeout(SOON_S):
        while True:
            if until_s == float("inf") and over():
                until_s = clock() + for_s
            offsets = await admin.list_consumer_group_offsets(TOPIC)
            found = offsets[at].offset if at in offsets else 0
            assert found <= wanted, f"{found} is committed, {wanted} is unfinished"
            if found == wanted and clock() >= until_s:
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def member(broker: Running, name: str | None) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a consumer of the stock service's group that belongs to no link."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=servers(broker),
        group_id=TOPIC,
        group_instance_id=name,
        enable_auto_commit=False,
        metadata_max_age_ms=500,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def end_of(broker: Running, partition: int) -> int:
    at, consumer = TopicPartition(TOPIC, partition), AIOKafkaConsumer(bootstrap_servers=servers(broker))
    await consumer.start()
    try:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets([at])
    finally:
        await consumer.stop()
    return ends[at]


async def delete_the_group(admin: Any) -> None:
    """Remove all consumers from the stock service's group, and delete the group before one of them has noticed."""
    coordinator = await admin.find_coordinator(TOPIC)
    ((_, _, _, _, _, members, *_),) = (await admin.describe_consumer_groups([TOPIC]))[0].groups
    for member, *_ in members:
        left = await admin._send_request(
            LeaveGroupRequest(TOPIC, member), coordinator
        )  # the library offers no public way
        assert left.error_code == 0
    deleted = await admin._send_request(DeleteGroupsRequest([TOPIC]), coordinator)
    assert deleted.results == [(TOPIC, 0)]


@asynccontextmanager
async def administration(broker: Running) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers(broker))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def servers_url(broker: Running) -> str:
    return broker.broker.urls["order-2"]


def servers(broker: Running) -> str:
    return urlsplit(servers_url(broker)).netloc


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not happened():
            await asyncio.sleep(0.02)
