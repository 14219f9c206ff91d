"""The topics of the shop: created before a link uses them, and looked after while it does.

A deleted topic makes no noise: the client library goes on fetching it, and a group whose topic is gone has an empty assignment.
So a link asks the broker every second whether all is there, and begins anew with a new connection if something is not.

A static member that joins again gets its old assignment, without a rebalance, were it empty (KAFKA-13435). So an instance to
which nothing is assigned joins once more as the member that it is then: when the group's leader does, the group rebalances.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import InvalidPartitionsError, TopicAlreadyExistsError

from protocols.service.links import MOST_DEAD_LETTER_BYTES
from protocols.service.links.broker import BrokerLost
from protocols.service.links.kafka_reader import LOST, words

DEAD = "wdm.dead"
# The oldest segment goes when there are more bytes: time does not matter to somebody who comes to look.
KEPT = {"retention.bytes": MOST_DEAD_LETTER_BYTES, "retention.ms": -1, "segment.bytes": MOST_DEAD_LETTER_BYTES // 8}
WATCH_EVERY_S = 1.0
IDLE_LOOKS = 3

log = structlog.get_logger()


class Topics:
    """``partitions``: how many instances each service has. A topic has as many partitions, or more."""

    def __init__(self, servers: str, partitions: Mapping[str, int], within_ms: int) -> None:
        self._wanted = {
            topic: count for name, count in partitions.items() for topic in (f"wdm.{name}", f"wdm.replies.{name}")
        }
        self._admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=within_ms)

    async def open(self) -> None:
        """Create them, or let them grow: there may be more instances now than when they were created."""
        await self._admin.start()
        new = [NewTopic(name, count, 1) for name, count in self._wanted.items()]
        new.append(NewTopic(DEAD, 1, 1, topic_configs={name: str(value) for name, value in KEPT.items()}))
        with contextlib.suppress(TopicAlreadyExistsError):
            await self._admin.create_topics(new)
        there = await self._there()
        for name, count in self._wanted.items():
            if 0 < there.get(name, 0) < count:
                with contextlib.suppress(InvalidPartitionsError):  # another instance was first
                    await self._admin.create_partitions({name: NewPartitions(count)})

    async def stop(self) -> None:
        await self._admin.close()

    async def watch(self, assigned: Callable[[], Collection[Any]], join_again: Callable[[], None]) -> None:
        """Raise ``BrokerLost`` as soon as a topic or a partition is gone; ``join_again`` when nothing is ``assigned``."""
        idle = 0
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                gone = await self._gone()
            except LOST as error:
                raise BrokerLost(words(error)) from error
            if gone:
                raise BrokerLost(f"topics or partitions are gone: {', '.join(gone)}")
            idle = 0 if assigned() else idle + 1
            if idle and idle % IDLE_LOOKS == 0:
                log.warning("no partition is assigned", after_s=idle * WATCH_EVERY_S)
                join_again()

    async def _gone(self) -> Sequence[str]:
        there = await self._there()
        return [name for name, count in {**self._wanted, DEAD: 1}.items() if there.get(name, 0) < count]

    async def _there(self) -> Mapping[str, int]:
        """How many partitions each topic has; 0: there is none of this name."""
        found = await self._admin.describe_topics([*self._wanted, DEAD])
        return {topic["topic"]: len(topic["partitions"]) for topic in found}
