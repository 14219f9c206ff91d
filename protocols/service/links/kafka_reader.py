"""Reading from Kafka: which records are under way, and which offset may be committed of each partition.

An offset is committed when every record before it has been carried out, whatever rebalances came between.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, KafkaError

from protocols.service.links.broker import Batch, BrokerLost, Done

READ = 32  # records at a time
WAIT_MS = 1_000
# At the most: a commit is a write of the broker's, and what is not committed is only delivered again.
COMMIT_EVERY_S = 0.1
REST_WITHIN_S = 0.3
LOST = (KafkaError, ConsumerStoppedError, OSError, TimeoutError)


class Account:
    """The offsets of one partition that are under way. ``position``: all before it are done with; 0: nothing to say yet.

    ``next`` is the lowest offset that may be fetched next. ``closed``: the partition is no longer this consumer's.
    """

    def __init__(self, partition: TopicPartition) -> None:
        self.partition = partition
        self.position = 0
        self.next = 0
        self.closed = False
        self._under_way: dict[int, bool] = {}  # offset -> done, in ascending order

    def begin(self, offset: int) -> None:
        self._under_way[offset] = False
        self.next = offset + 1

    def finish(self, offset: int) -> bool:
        """Whether the position moved."""
        self._under_way[offset] = True
        moved = False
        while self._under_way:
            first = next(iter(self._under_way))
            if not self._under_way[first]:
                break
            del self._under_way[first]
            self.position, moved = first + 1, True
        return moved


@dataclass(frozen=True, slots=True)
class Fetched:
    """A record's parcel, and the account that it is in."""

    account: Account
    parcel: Batch


class Reader(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Reads for one consumer, and keeps account of what may be committed of each partition that it has.

    An account begins with the first record that is fetched under an assignment, and is closed when that assignment ends: the
    records that are unfinished then are delivered again to the next owner of the partition, from the last offset committed.
    A closed account commits nothing more, and its records that still wait here are dropped.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._accounts: dict[TopicPartition, Account] = {}
        self._done = Done()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all of them
        """Commit what is finished, for the old generation still may. The library returns no record before this has ended."""
        await self.commit_rest()
        for account in self._accounts.values():
            account.closed = True
        self._accounts = {}

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Keep the accounts: the library may have returned records of this assignment already, and they have their accounts."""

    async def read(self, into: asyncio.Queue[Fetched], buried: Done) -> None:
        while True:
            try:
                found = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=READ)
            except LOST as error:
                raise BrokerLost(words(error)) from error
            # All of them, before the first wait: a rebalance may come while the queue is full, and these are of before it.
            for fetched in [self._fetched(at, records, buried) for at, records in found.items()]:
                for one in fetched:
                    await into.put(one)

    async def commit(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self._commit(dict.fromkeys(await self._done.take()))

    async def commit_rest(self) -> None:
        """Commit what is finished and not committed yet, if that is a matter of a moment."""
        with contextlib.suppress(BrokerLost, TimeoutError):
            async with asyncio.timeout(REST_WITHIN_S):
                await self._commit(tuple(self._accounts.values()))

    async def _commit(self, moved: Iterable[Account]) -> None:
        moved = [account for account in moved if account.position and not account.closed]
        if not moved:
            return
        try:
            await self._consumer.commit({account.partition: account.position for account in moved})
        except CommitFailedError:
            return  # the group has rebalanced, which closes these accounts
        except LOST as error:
            if not any(account.closed for account in moved):
                raise BrokerLost(words(error)) from error  # else a rebalance came between

    def _fetched(self, partition: TopicPartition, records: Sequence[Any], buried: Done) -> Sequence[Fetched]:
        account = self._accounts.get(partition)
        if account is None or records[0].offset < account.next:  # the log begins anew
            if account is not None:
                account.closed = True
            account = self._accounts[partition] = Account(partition)
        for record in records:
            account.begin(record.offset)
        return [Fetched(account, self._parcel(account, record, buried)) for record in records]

    def _parcel(self, account: Account, record: Any, buried: Done) -> Batch:
        def done() -> None:
            if account.finish(record.offset):
                self._done.add(account)

        return Batch(record.value, done, lambda why: buried.add((record.value, why, done)))


def words(error: BaseException) -> str:
    return str(error) or type(error).__name__
