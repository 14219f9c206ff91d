"""Reading from Kafka: which records are under way, and which offset of each partition may be committed.

An offset is committed when every record before it has been carried out, after any number of rebalances in between.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, KafkaError

from protocols.service.links.broker import Batch, BrokerLost, Collector

MOST_READ = 32  # records at a time
WAIT_MS = 1_000
# Not more often: a commit is a write of the broker, and an uncommitted record is only delivered again.
COMMIT_EVERY_S = 0.1
LAST_COMMIT_WITHIN_S = 0.3
LOST = (KafkaError, ConsumerStoppedError, OSError, TimeoutError)


class OffsetTracker:
    """The offsets of one partition that are under way.

    All offsets before `position` are finished; 0: no position yet. `next` is the lowest offset that may be fetched next.
    `closed`: the partition no longer belongs to this consumer.
    """

    def __init__(self, partition: TopicPartition) -> None:
        self.partition = partition
        self.position = 0
        self.next = 0
        self.closed = False
        self._under_way: dict[int, bool] = {}  # offset -> finished, in ascending order

    def begin(self, offset: int) -> None:
        self._under_way[offset] = False
        self.next = offset + 1

    def finish(self, offset: int) -> bool:
        """Mark an offset as finished; return whether the position has moved."""
        self._under_way[offset] = True
        moved = False
        # Up to the oldest unfinished record: a commit past it would lose that record in a crash.
        while self._under_way:
            first = next(iter(self._under_way))
            if not self._under_way[first]:
                break
            del self._under_way[first]
            self.position, moved = first + 1, True
        return moved


@dataclass(frozen=True, slots=True)
class Fetched:
    """The batch of one record, and the tracker of its partition."""

    tracker: OffsetTracker
    batch: Batch


class Reader(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Reads for one consumer, and tracks the offsets of each of its partitions.

    A tracker begins with the first record that is fetched under an assignment, and is closed when that assignment ends: the
    records that are unfinished then are delivered again to the next owner of the partition, from the last offset committed. A
    closed tracker commits nothing more, and its records that still wait here are dropped.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._moved = Collector()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all of them
        """Commit the finished records, for the old generation still may. The library returns no record before this ends."""
        await self.commit_rest()
        for tracker in self._trackers.values():
            tracker.closed = True
        self._trackers = {}

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Keep the trackers: the library may have returned records of this assignment already, and they have theirs."""

    async def read(self, into: asyncio.Queue[Fetched], rejected: Collector) -> None:
        """Fetch records for ever. A rejected one is added to `rejected` as `(body, why, done)`. Raises `BrokerLost`."""
        while True:
            try:
                records_of = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=MOST_READ)
            except LOST as error:
                raise BrokerLost(describe(error)) from error
            # All of them enter a tracker before the first wait: a rebalance may come while the queue is full, and its trackers
            # must not get records of the assignment before.
            for batches in [self._fetched(partition, records, rejected) for partition, records in records_of.items()]:
                for fetched in batches:
                    await into.put(fetched)

    async def commit(self) -> None:
        """Commit positions that have moved, for ever. Raises `BrokerLost`."""
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self._commit(dict.fromkeys(await self._moved.take()))

    async def commit_rest(self) -> None:
        """Commit the positions that are not committed yet, if that takes no more than a moment."""
        with contextlib.suppress(BrokerLost, TimeoutError):
            async with asyncio.timeout(LAST_COMMIT_WITHIN_S):
                await self._commit(tuple(self._trackers.values()))

    async def _commit(self, trackers: Iterable[OffsetTracker]) -> None:
        trackers = [tracker for tracker in trackers if tracker.position and not tracker.closed]
        if not trackers:
            return
        try:
            await self._consumer.commit({tracker.partition: tracker.position for tracker in trackers})
        except CommitFailedError:
            return  # the group has rebalanced, which closes these trackers
        except LOST as error:
            # With a tracker closed in between, a rebalance was the reason, and the connection is fine.
            if not any(tracker.closed for tracker in trackers):
                raise BrokerLost(describe(error)) from error

    def _fetched(self, partition: TopicPartition, records: Sequence[Any], rejected: Collector) -> Sequence[Fetched]:
        tracker = self._trackers.get(partition)
        if tracker is None or records[0].offset < tracker.next:
            # A lower offset than expected: the topic was deleted and made again, and its log begins anew.
            if tracker is not None:
                tracker.closed = True
            tracker = self._trackers[partition] = OffsetTracker(partition)
        for record in records:
            tracker.begin(record.offset)
        return [Fetched(tracker, self._batch(tracker, record, rejected)) for record in records]

    def _batch(self, tracker: OffsetTracker, record: Any, rejected: Collector) -> Batch:
        def done() -> None:
            if tracker.finish(record.offset):
                self._moved.add(tracker)

        return Batch(record.value, done, lambda why: rejected.add((record.value, why, done)))


def describe(error: BaseException) -> str:
    """Return the error's message, or its type's name where it has none."""
    return str(error) or type(error).__name__
