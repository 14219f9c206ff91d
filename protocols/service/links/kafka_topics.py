"""The topics of the shop: created before a link uses them, and checked while it does.

No event reports the deletion of a topic: the client library goes on fetching it, and a group whose topic is gone has an empty
assignment. So a link checks every second that all topics exist, and ends its connection if one does not; the next connection
creates it.

A static member that joins again gets its old assignment back without a rebalance, even an empty one (KAFKA-13435). So an
instance without any partition joins once more under its member id: when the group's leader does so, the group rebalances.
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
from protocols.service.links.kafka_reader import LOST, describe

DEAD = "wdm.dead"
# By size alone: a dead letter is as useful after a week as after an hour.
METADATA_MS = 2_000  # a partition that is added or created again is assigned this soon
KEPT = {"retention.bytes": MOST_DEAD_LETTER_BYTES, "retention.ms": -1, "segment.bytes": MOST_DEAD_LETTER_BYTES // 8}
WATCH_EVERY_S = 1.0
IDLE_LOOKS = 3
ATTEMPTS, AGAIN_S = 5, 0.2

log = structlog.get_logger()


class Topics:
    """The topics of all services, on each of the broker's nodes, the `servers`.

    `partitions` is the number of instances of each service; a topic has as many partitions, or more.
    """

    def __init__(self, servers: Sequence[str], partitions: Mapping[str, int], within_ms: int) -> None:
        self._wanted = {
            topic: count for name, count in partitions.items() for topic in (f"wdm.{name}", f"wdm.replies.{name}")
        }
        self._copies = len(servers)
        self._admin = AIOKafkaAdminClient(
            bootstrap_servers=servers, request_timeout_ms=within_ms, metadata_max_age_ms=METADATA_MS
        )

    async def open(self) -> None:
        """Create missing topics, and missing partitions: there may be more instances now than at the creation."""
        await self._admin.start()
        new = [NewTopic(name, count, self._copies) for name, count in self._wanted.items()]
        new.append(NewTopic(DEAD, 1, self._copies, topic_configs={name: str(value) for name, value in KEPT.items()}))
        with contextlib.suppress(TopicAlreadyExistsError):
            await self._admin.create_topics(new)
        existing = await self._existing()
        for name, count in self._wanted.items():
            if 0 < existing.get(name, 0) < count:
                with contextlib.suppress(InvalidPartitionsError):  # another instance was first
                    await self._admin.create_partitions({name: NewPartitions(count)})

    async def stop(self) -> None:
        await self._admin.close()

    async def watch(self, assigned: Callable[[], Collection[Any]], join_again: Callable[[], None]) -> None:
        """Check for ever; call `join_again` while nothing is `assigned`. Raises `BrokerLost` for a missing topic or partition."""
        idle = 0
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                missing = await self._missing()
            except LOST as error:
                raise BrokerLost(describe(error)) from error
            if missing:
                raise BrokerLost(f"topics or partitions are gone: {', '.join(missing)}")
            idle = 0 if assigned() else idle + 1
            if idle and idle % IDLE_LOOKS == 0:
                log.warning("no partition is assigned", after_s=idle * WATCH_EVERY_S)
                join_again()

    async def _missing(self) -> Sequence[str]:
        existing = await self._existing()
        return [name for name, count in {**self._wanted, DEAD: 1}.items() if existing.get(name, 0) < count]

    async def _existing(self) -> Mapping[str, int]:
        """Return the number of partitions of each topic; 0 for a topic that does not exist."""
        # The client library asks a node at random, also one that has just died: another one may answer.
        for _ in range(ATTEMPTS if self._copies > 1 else 0):
            with contextlib.suppress(*LOST):
                return await self._described()
            await asyncio.sleep(AGAIN_S)
        return await self._described()

    async def _described(self) -> Mapping[str, int]:
        descriptions = await self._admin.describe_topics([*self._wanted, DEAD])
        return {topic["topic"]: len(topic["partitions"]) for topic in descriptions}
