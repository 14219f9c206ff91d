"""What a link over Kafka promises beside what every link does, on a real broker: whatever rebalances come, nothing is skipped."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from protocols.service.links.broker import ROOM
from protocols.service.links.kafka import routing
from tests.links.conftest import Inbox, Note, Running, drained, started

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.broker,
    pytest.mark.parametrize("broker", ["kafka"], indirect=True, scope="module"),
]
TOPIC = "wdm.stock"
SOON_S = 30.0


class Holding(Inbox):
    """An inbox that finishes a parcel when none of its notes is in ``held``; ``release`` finishes the rest."""

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
    kept, given = notes_of(0, 5 * ROOM), notes_of(1, 1)  # the library gives the first member the first partition
    held = {*kept[10:], *given}
    one, other = Holding(held), Inbox()
    async with started(broker.link("order-1"), Inbox()) as order:
        for note in (*kept, *given):
            order.send("stock", note)
            await drained(order)  # a record each
    async with started(broker.link("stock-1"), one):
        await until_committed(broker, 0, 10)
        await until(lambda: len(one.notes) >= ROOM + 10)  # it takes no more, and the next batch waits for room
        async with started(broker.link("stock-2"), other):
            await other.until(set(given))  # it has its partition
            held -= {*kept[30:], *given}
            one.release()
            await until_committed(broker, 0, 10, lambda: set(kept) <= set(one.notes), for_s=0.5)
            held.clear()
            one.release()
            await until_committed(broker, 0, len(kept))


# ---------------------------------------------------------------- what the broker has


def notes_of(partition: int, count: int) -> list[Note]:
    """So many notes that go to this partition of the stock service's topic."""
    route, names = routing({"stock": 2}), (f"joined.{number}" for number in range(8 * (count + 8)))
    return [Note(name) for name in names if route("stock", Note(name)) == f"stock/{partition}"][:count]


async def until_committed(
    broker: Running, partition: int, wanted: int, over: Callable[[], bool] = lambda: True, for_s: float = 0.0
) -> None:
    """Wait until the stock service's group has committed this offset, ``for_s`` after ``over``, and never a later one."""
    admin, clock = AIOKafkaAdminClient(bootstrap_servers=servers(broker)), asyncio.get_running_loop().time
    at, until_s = TopicPartition(TOPIC, partition), float("inf")
    await admin.start()
    try:
        async with asyncio.timeout(SOON_S):
            while True:
                if until_s == float("inf") and over():
                    until_s = clock() + for_s
                offsets = await admin.list_consumer_group_offsets(TOPIC)
                found = offsets[at].offset if at in offsets else 0
                assert found <= wanted, f"{found} is committed, {wanted} is unfinished"
                if found == wanted and clock() >= until_s:
                    return
                await asyncio.sleep(0.01)
    finally:
        await admin.close()


def servers(broker: Running) -> str:
    return urlsplit(broker.broker.urls["order-2"]).netloc


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not happened():
            await asyncio.sleep(0.02)
