"""The offsets that a link over Kafka commits, on a consumer whose rebalances come where the test puts them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Self

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from protocols.errors import UsageError
from protocols.service.links import kafka, kafka_reader
from protocols.service.links.broker import BrokerLost, Collector
from tests.unit.service.fake_broker import Note

HERE = TopicPartition("wdm.stock", 0)


@dataclass(frozen=True)
class Record:
    offset: int
    value: bytes = b""


class Consumer:
    """A client with the two calls that the reader uses: it fetches the batches that it is given, and notes what is committed."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[Mapping[TopicPartition, list[Record]]] = asyncio.Queue()
        self.committed = 0
        self.refuses: Exception | None = None

    async def meanwhile(self) -> None:
        """While a commit is under way."""

    async def getmany(self, **_: Any) -> Mapping[TopicPartition, list[Record]]:
        return await self.batches.get()

    async def commit(self, positions: dict[TopicPartition, int]) -> None:
        await self.meanwhile()
        if self.refuses:
            raise self.refuses
        self.committed = positions[HERE]

    def fetch(self, *offsets: int) -> None:
        self.batches.put_nowait({HERE: [Record(offset) for offset in offsets]})


class Reading:
    """A reader at work, whose queue has room for two records."""

    def __init__(self) -> None:
        self.consumer = Consumer()
        self.reader = kafka_reader.Reader(self.consumer)
        self.queue: asyncio.Queue[kafka_reader.Fetched] = asyncio.Queue(2)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.reader.read(self.queue, Collector()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def take(self, count: int) -> Sequence[kafka_reader.Fetched]:
        async with asyncio.timeout(5):
            return [await self.queue.get() for _ in range(count)]

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not happened():
                await asyncio.sleep(0)

    async def rebalance(self) -> None:
        await self.reader.on_partitions_revoked([HERE])
        await self.reader.on_partitions_assigned([HERE])

    @contextlib.asynccontextmanager
    async def committing(self) -> AsyncIterator[asyncio.Task[None]]:
        """Commit meanwhile whatever may be, as a connected link does."""
        task = asyncio.create_task(self.reader.commit())
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def committed(self) -> int:
        """The last position that was committed, once every one that may be is."""
        await self.reader.commit_rest()
        return self.consumer.committed


def finish(fetched: Sequence[kafka_reader.Fetched]) -> None:
    for one in fetched:
        one.batch.done()


async def test_a_rebalance_in_mid_batch_commits_no_offset_beyond_unfinished_work() -> None:
    async with Reading() as reading:
        reading.consumer.fetch(*range(5))
        await reading.until(reading.queue.full)  # two of five: the others wait for room
        await reading.rebalance()
        before = await reading.take(5)
        finish(before[2:])
        assert await reading.committed() == 0, "0 and 1 are unfinished"
        reading.consumer.fetch(*range(5))
        again = await reading.take(5)
        finish(again[1:])
        assert await reading.committed() == 0
        finish(before[:1])
        assert await reading.committed() == 0, "0 was delivered again, and is unfinished"
        finish(again[:1])
        assert await reading.committed() == 5


async def test_records_that_come_before_the_news_of_their_assignment_are_tracked() -> None:
    async with Reading() as reading:
        await reading.reader.on_partitions_revoked([])
        reading.consumer.fetch(0, 1)
        first = await reading.take(2)
        await reading.reader.on_partitions_assigned([HERE])
        reading.consumer.fetch(2, 3)
        finish(await reading.take(2))
        assert await reading.committed() == 0
        finish(first)
        assert await reading.committed() == 4


async def test_a_revocation_commits_finished_records_and_drops_waiting_ones() -> None:
    async with Reading() as reading:
        reading.consumer.fetch(*range(3))
        fetched = await reading.take(3)
        finish(fetched[:2])
        await reading.reader.on_partitions_revoked([HERE])
        assert reading.consumer.committed == 2
        assert fetched[2].tracker.closed
        finish(fetched[2:])
        assert await reading.committed() == 2


async def test_records_after_a_revocation_have_a_tracker_of_their_own() -> None:
    async with Reading() as reading:
        reading.consumer.fetch(0, 1)
        finish(await reading.take(2))
        await reading.rebalance()
        reading.consumer.fetch(2, 3)
        finish(await reading.take(2))
        assert await reading.committed() == 4


async def test_a_record_that_is_finished_after_its_revocation_is_not_committed() -> None:
    async with Reading() as reading, reading.committing():
        reading.consumer.fetch(0)
        former = await reading.take(1)
        await reading.rebalance()
        finish(former)
        await asyncio.sleep(3 * kafka_reader.COMMIT_EVERY_S)
        assert reading.consumer.committed == 0


async def test_a_log_that_begins_anew_has_a_tracker_of_its_own() -> None:
    async with Reading() as reading, reading.committing():
        reading.consumer.fetch(500, 501)
        old = await reading.take(2)
        reading.consumer.fetch(0, 1)
        new = await reading.take(2)
        finish(old)
        await asyncio.sleep(3 * kafka_reader.COMMIT_EVERY_S)
        assert await reading.committed() == 0, "500 was an offset of the log that is gone"
        finish(new[:1])
        assert await reading.committed() == 1


@pytest.mark.parametrize(
    ("refusal", "lost"), [(CommitFailedError(), False), (IllegalStateError("x"), True), (KafkaError("x"), True)]
)
async def test_a_commit_that_a_rebalance_refuses_costs_no_connection(refusal: Exception, lost: bool) -> None:
    async with Reading() as reading:
        committing = asyncio.create_task(reading.reader.commit())
        reading.consumer.refuses = refusal
        reading.consumer.fetch(0)
        finish(await reading.take(1))
        done, _ = await asyncio.wait([committing], timeout=3 * kafka_reader.COMMIT_EVERY_S)
        assert bool(done) == lost
        committing.cancel()
        (ended,) = await asyncio.gather(committing, return_exceptions=True)
        assert isinstance(ended, BrokerLost if lost else asyncio.CancelledError)


@pytest.mark.parametrize("error", [KafkaError("x"), OSError("x"), TimeoutError()])
async def test_a_fetch_that_fails_costs_the_connection(error: Exception) -> None:
    consumer = Consumer()

    async def fail(**_: Any) -> Any:
        raise error

    consumer.getmany = fail  # type: ignore[method-assign]
    with pytest.raises(BrokerLost):
        await kafka_reader.Reader(consumer).read(asyncio.Queue(), Collector())


async def test_an_error_of_a_commit_that_a_rebalance_overtook_costs_no_connection() -> None:
    async with Reading() as reading, reading.committing() as committing:

        async def revoke() -> None:
            reading.consumer.meanwhile = nothing  # type: ignore[method-assign]
            await reading.reader.on_partitions_revoked([HERE])

        nothing, reading.consumer.meanwhile = reading.consumer.meanwhile, revoke  # type: ignore[method-assign]
        reading.consumer.refuses = KafkaError("x")
        reading.consumer.fetch(0)
        finish(await reading.take(1))
        done, _ = await asyncio.wait([committing], timeout=3 * kafka_reader.COMMIT_EVERY_S)
        assert not done
        assert reading.consumer.meanwhile is nothing


async def test_records_that_wait_while_their_partition_is_revoked_are_dropped() -> None:
    channel = object.__new__(kafka.KafkaChannel)  # no connection is needed to hand records on
    channel._arrived = asyncio.Queue()
    async with Reading() as reading:
        reading.consumer.fetch(0, 1)
        for fetched in await reading.take(2):
            channel._arrived.put_nowait(fetched)
        await reading.rebalance()
        reading.consumer.fetch(1)
        (again,) = await reading.take(1)
        channel._arrived.put_nowait(again)
        async with asyncio.timeout(5):
            assert await anext(channel.batches()) is again.batch


@pytest.mark.parametrize("order", list(permutations(range(5, 9))))
def test_an_offset_is_committed_when_all_before_it_are_done(order: tuple[int, ...]) -> None:
    tracker, done = kafka_reader.OffsetTracker(HERE), set()
    for offset in range(5, 9):
        tracker.begin(offset)
    for offset in order:
        done.add(offset)
        tracker.finish(offset)
        first_missing = next((offset for offset in range(5, 9) if offset not in done), 9)
        assert tracker.position == (first_missing if first_missing > 5 else 0)


def test_a_transaction_keeps_its_partition_and_an_instance_has_its_own() -> None:
    route = kafka.routing({"order": 3, "stock": 4})
    assert {route("stock", Note(f"a.{number}")) for number in range(200)} == {f"stock/{part}" for part in range(4)}
    assert route("stock", Note("a.1")) == route("stock", Note("a.1"))
    assert route("order-3", Note("a.1")) == "replies.order/2"


@pytest.mark.parametrize("name", ["order-0", "order-x", "cart-1"])
def test_over_kafka_an_instance_is_numbered(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        kafka.routing({"order": 1})(name, Note("a.1"))
